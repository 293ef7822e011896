"""A picture of every page of the app, light and dark, into docs/screenshots/."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from research.tools import browser
from tf_model import cli, paths
from tf_model.io.files import whole_file

if TYPE_CHECKING:
    from playwright.sync_api import Page

SCREENSHOTS = paths.ROOT / "docs" / "screenshots"
THEMES = ("light", "dark")
WINDOW = {"width": 1280, "height": 800}
MOST_HEIGHT = 2000  # pixels: a page is shown in full up to here
TALLEST = """() => Math.max(...["stMain", "stSidebarContent"].map(
  name => document.querySelector(`[data-testid="${name}"]`)?.scrollHeight ?? 0))"""


def main(argv: list[str] | None = None) -> int:
    """Start the real app, look at each page in both themes, and write what was seen."""
    parser = cli.parser("research.tools.screenshots", __doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, help="folder of models; saved_models/ if not given")
    parser.add_argument("--log", type=Path, help="log of predictions for the page Monitor; it is copied, not changed")
    parser.add_argument("--output-dir", type=Path, default=Path(paths.shown(SCREENSHOTS)), help="where pictures go")
    parser.add_argument("--page", action="append", help="only this page, by its name in the menu (repeatable)")
    parser.add_argument("--theme", choices=THEMES, action="append", help="only this theme")
    parser.add_argument("--most-height", type=int, default=MOST_HEIGHT, help="pixels; a longer page is cut there")
    parser.add_argument("--data", type=Path, default=paths.SAMPLE_CORPUS, help="dataset whose texts are shown")
    arguments = parser.parse_args(argv)
    wanted = {name.lower() for name in arguments.page or ()}
    prepare = {
        "ask": browser.ask,
        "batch": browser.upload,
        "monitor": partial(browser.show_log, whole=arguments.log is not None),
    }
    with (
        browser.staged_models(arguments.models, arguments.log) as models,
        browser.running_app(models, arguments.data) as address,
    ):
        if arguments.log is None and (not wanted or "monitor" in wanted):
            asyncio.run(browser.ask_for_a_while(address))  # or the page Monitor has nothing to show
        with browser.chromium() as chromium:
            for theme in arguments.theme or THEMES:
                page = browser.open_window(chromium, address, viewport=WINDOW, color_scheme=theme)
                for name, link in browser.page_links(page).items():
                    if wanted and name.lower() not in wanted:
                        continue
                    page.set_viewport_size(WINDOW)
                    page.goto(link)
                    browser.wait_until_done(page)
                    prepare.get(name.lower(), browser.wait_until_done)(page)
                    target = arguments.output_dir / f"{name.lower()}-{theme}.png"
                    _photograph(page, target, arguments.most_height)
                    print(paths.shown(target))
                page.context.close()
    return 0


def _photograph(page: Page, target: Path, most_height: int) -> None:
    """The whole page: the app scrolls in a part of the window, so the window grows to what is in it."""
    page.mouse.move(0, 0)  # away from what would show a tip under it
    for _ in range(3):  # charts that come into view make the page longer
        height = max(WINDOW["height"], min(int(page.evaluate(TALLEST)), most_height))
        if height == page.viewport_size["height"]:
            break
        page.set_viewport_size(WINDOW | {"height": height})
        browser.wait_until_done(page)
    with whole_file(target, overwrite=True) as part:
        part.write_bytes(page.screenshot(animations="disabled"))


if __name__ == "__main__":
    cli.run(main)
