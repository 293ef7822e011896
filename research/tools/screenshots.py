"""A picture of every page of the app, light and dark, into docs/screenshots/."""

from __future__ import annotations

import asyncio
import csv
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

from research.tools.app_client import Session
from research.tools.browser import (
    WORKING_SECONDS,
    chromium,
    open_window,
    page_links,
    running_app,
    staged_models,
    wait_until_done,
)
from tf_model import cli, data, paths, tasks
from tf_model.io.files import whole_file

if TYPE_CHECKING:
    import argparse

    from playwright.sync_api import Browser, Page

PEOPLE, QUESTIONS, REST = 4, 40, 4.0  # before the page Monitor is looked at; seconds of rest after each answer
SCREENSHOTS = paths.ROOT / "docs" / "screenshots"
THEMES = ("light", "dark")
WIDTH, HEIGHT = 1280, 800
MOST_HEIGHT = 2000  # pixels: a page is shown in full up to here
QUESTION = "My iPhone battery is dead again by noon, this is so annoying #fail"
# Made up for the pictures: no real tweet is ever shown in them.
UPLOAD = (
    "Loving the new iPad, the screen is gorgeous",
    "my iphone dropped every call today",
    "The Android app keeps crashing, what a mess",
    "Google will talk about its maps at 3 pm in hall 2",
    "queueing for coffee again",
    "The pop-up Apple store is a great idea",
    "iPad battery lasted the whole keynote",  # not sure
)


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
    with staged_models(arguments.models, arguments.log) as models, running_app(models, arguments.data) as address:
        if arguments.log is None and (not wanted or "monitor" in wanted):
            asyncio.run(ask_for_a_while(address))  # or the page Monitor has nothing to show
        with chromium() as browser:
            _photograph_pages(browser, address, arguments, wanted)
    return 0


async def ask_for_a_while(address: str, questions_each: int = QUESTIONS, rest: float = REST) -> None:
    """Have some people ask the sentences of the sample corpus, one after the other."""
    corpus = data.read(paths.SAMPLE_CORPUS).labelled[tasks.TEXT_COLUMN]
    texts = corpus.sample(PEOPLE * questions_each, random_state=0).tolist()

    async def visit(questions: list[str]) -> None:
        async with Session(address) as session:
            for question in questions:
                await session.ask(question)
                await asyncio.sleep(rest)

    await asyncio.gather(*(visit(texts[first::PEOPLE]) for first in range(PEOPLE)))


def _photograph_pages(browser: Browser, address: str, arguments: argparse.Namespace, wanted: set[str]) -> None:
    prepare = PREPARE | ({"monitor": look_at_the_whole_log} if arguments.log else {})
    for theme in arguments.theme or THEMES:
        page = open_window(browser, address, viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=theme)
        for name, link in page_links(page).items():
            if wanted and name.lower() not in wanted:
                continue
            page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
            page.goto(link)
            wait_until_done(page)
            prepare.get(name.lower(), wait_until_done)(page)
            target = arguments.output_dir / f"{name.lower()}-{theme}.png"
            _photograph(page, target, arguments.most_height)
            print(paths.shown(target))
        page.context.close()


def ask(page: Page, question: str = QUESTION) -> None:
    """Ask a question on the page Ask, and wait for the answer."""
    page.get_by_label("Your text").fill(question)
    page.get_by_role("button", name="Ask", exact=True).click()
    wait_until_done(page)


def upload(page: Page) -> None:
    """Give the page Batch a small file, and have it answered."""
    file = {"name": "tweets.csv", "mimeType": "text/csv", "buffer": _csv()}
    page.locator('input[type="file"]').first.set_input_files(file)
    wait_until_done(page)
    page.get_by_role("button", name=re.compile(r"^\W*\w*\s*Answer [\d,]+ row")).click()
    page.get_by_role("button", name=re.compile("Download CSV")).wait_for(timeout=WORKING_SECONDS * 1000)
    wait_until_done(page)


def look_at_the_last_minutes(page: Page) -> None:
    """Show what was asked for the pictures on the page Monitor, and keep it still."""
    _look_at_the_log(page, "15 min")


def look_at_the_whole_log(page: Page) -> None:
    """Show all that the page Monitor has of a log that was given, and keep it still."""
    if _look_at_the_log(page, "Whole log"):
        # What was asked for the pictures is the newest; a log that was given is older, and is what is to be seen.
        page.locator('[data-testid="stMain"] [data-testid="stSelectbox"]').first.locator("input").click()
        page.get_by_role("option").last.click()
        wait_until_done(page)


def _look_at_the_log(page: Page, time: str) -> bool:
    """Choose a length of time; False where nothing was recorded."""
    if not page.get_by_text(time, exact=True).count():
        return False
    page.get_by_text(time, exact=True).first.click()
    page.get_by_text("Live", exact=True).first.click()
    wait_until_done(page)
    return True


TALLEST = """() => Math.max(...["stMain", "stSidebarContent"].map(
  name => document.querySelector(`[data-testid="${name}"]`)?.scrollHeight ?? 0))"""
PREPARE = {"ask": ask, "batch": upload, "monitor": look_at_the_last_minutes}


def _csv() -> bytes:
    lines = io.StringIO()
    writer = csv.writer(lines)
    writer.writerow(["id", "text"])
    writer.writerows(enumerate(UPLOAD * 4, 1))
    return lines.getvalue().encode()


def _photograph(page: Page, target: Path, most_height: int) -> None:
    """The whole page: the app scrolls in a part of the window, so the window grows to what is in it."""
    page.mouse.move(0, 0)  # away from what would show a tip under it
    for _ in range(3):  # charts that come into view make the page longer
        height = max(HEIGHT, min(int(page.evaluate(TALLEST)), most_height))
        if height == page.viewport_size["height"]:
            break
        page.set_viewport_size({"width": WIDTH, "height": height})
        wait_until_done(page)
    with whole_file(target, overwrite=True) as part:
        part.write_bytes(page.screenshot(animations="disabled"))


if __name__ == "__main__":
    cli.run(main)
