"""Take a picture of every page of the app, and of a report, into docs/screenshots/."""

import io
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page

from research.tools import browser
from tf_model import cli, paths, report
from tf_model.io.files import whole_file

SCREENSHOTS = paths.ROOT / "docs" / "screenshots"
WINDOW = {"width": 1280, "height": 800}
REPORT_WINDOW = {"width": 900, "height": 1200}
MOST_HEIGHT = 2160  # pixels: a page is shown in full up to this height
TALLEST = """() => Math.max(...["stMain", "stSidebarContent"].map(
  name => document.querySelector(`[data-testid="${name}"]`)?.scrollHeight ?? 0))"""


def main(argv: list[str] | None = None) -> int:
    """Start the real app, open each page, and write its picture."""
    cli.parser("research.tools.screenshots", __doc__.splitlines()[0]).parse_args(argv)
    prepare = {"ask": browser.ask, "batch": browser.upload, "monitor": browser.show_log}
    with browser.watched_app(questions_each=40, rest=4.0) as (chromium, address):
        page = browser.open_window(chromium, address, viewport=WINDOW, color_scheme="light")
        for name, link in browser.page_links(page).items():
            page.set_viewport_size(WINDOW)
            page.goto(link)
            browser.wait_until_done(page)
            prepare.get(name.lower(), browser.wait_until_done)(page)
            _photograph(page, SCREENSHOTS / f"{name.lower()}.png")
            if name == "Batch":
                page.get_by_role("tab", name="Over time").click()
                browser.wait_until_done(page)
                _photograph(page, SCREENSHOTS / "over-time.png")
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "tweets.csv").write_bytes(browser.dated_texts())
            report.main([f"{folder}/tweets.csv", "--output", f"{folder}/report.html"])
            page.set_viewport_size(REPORT_WINDOW)
            page.goto(f"file://{folder}/report.html")
            _save(page, SCREENSHOTS / "report.png")
    return 0


def _photograph(page: Page, target: Path) -> None:
    """Photograph the whole page: the app scrolls inside the window, so the window grows to fit it."""
    page.mouse.move(0, 0)  # away from anything that shows a tooltip
    for _ in range(3):  # charts that come into view make the page longer
        height = max(WINDOW["height"], min(int(page.evaluate(TALLEST)), MOST_HEIGHT))
        if height == page.viewport_size["height"]:
            break
        page.set_viewport_size(WINDOW | {"height": height})
        browser.wait_until_done(page)
    page.locator('[data-testid="stMain"]').evaluate("main => main.scrollTo(0, 0)")  # a click has scrolled it
    _save(page, target)


def _save(page: Page, target: Path) -> None:
    with whole_file(target, overwrite=True) as part:
        picture = Image.open(io.BytesIO(page.screenshot(animations="disabled"))).convert("RGB")
        picture.quantize(dither=Image.Dither.NONE).save(part, "png", optimize=True)  # a third of the size
    print(paths.shown(target))


if __name__ == "__main__":
    cli.run(main)
