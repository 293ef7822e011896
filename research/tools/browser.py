"""The real app and a headless Chromium that looks at it: what the screenshots, the film and the checks share."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from research.tools.app_client import crowd
from tf_model import cli, data, paths, tasks
from tf_model.errors import TweetTargetError
from tf_model.model_dir import model_folders

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

APP = "streamlit_app"  # the module that serves it
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
STARTING_SECONDS = 180  # TensorFlow is imported before the first page is up
WORKING_SECONDS = 300  # a busy machine is slow to load a model
PEOPLE = 4  # who ask before the page Monitor is looked at
QUESTION = "Loving the new iPad, but my iPhone battery is dead again by noon #fail"


# ---------------------------------------------------------------- the app


@contextmanager
def running_app(
    models: Path | None = None,
    data: Path | None = None,
    *,
    python: Path | str = sys.executable,
    folder: Path = paths.ROOT,
    environment: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """The app on a free port of loopback, by its address; stopped at the end. TweetTargetError if it does not start.

    ``folder`` is the code that ``python`` runs, ``environment`` replaces this process's own.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    command = [str(python), "-m", APP, "--server.headless", "true", "--server.address", "127.0.0.1"]
    command += ["--server.port", port, "--server.fileWatcherType", "none"]
    command += ["--", "--models", str(models)] if models else []
    variables = {**(os.environ if environment is None else environment), **({"TWEETS_DATA": str(data)} if data else {})}
    # A file and not a pipe: nobody reads while the app runs, and a full pipe would stop it.
    with cli.stopped_cleanly(), tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        app = subprocess.Popen(command, cwd=folder, env=variables, stdout=subprocess.DEVNULL, stderr=errors)
        try:
            _wait_until_up(app, f"http://127.0.0.1:{port}", errors)
            yield f"http://127.0.0.1:{port}"
        finally:
            app.terminate()
            try:
                app.wait(timeout=60)  # a busy machine takes its time, and killed it leaves its log open
            except subprocess.TimeoutExpired:
                app.kill()
                app.wait()


def _wait_until_up(app: subprocess.Popen, address: str, errors: IO[str]) -> None:
    until = time.monotonic() + STARTING_SECONDS
    while time.monotonic() < until:
        if app.poll() is not None:
            errors.seek(0)
            lines = errors.read().strip().splitlines() or [f"exit code {app.returncode}"]
            raise TweetTargetError(f"the app did not start: {lines[-1][:300]}")
        try:
            urllib.request.urlopen(f"{address}/_stcore/health", timeout=2).close()
            return
        except OSError:
            time.sleep(0.2)
    raise TweetTargetError(f"the app did not answer within {STARTING_SECONDS} s")


@contextmanager
def staged_models(models: Path | None = None, log: Path | None = None, without: str = "") -> Iterator[Path]:
    """The models in a folder of its own for a while, so that what is shown and asked stays out of the user's log.

    ``log`` is a log of predictions for the page Monitor; it is copied. ``without`` names a model to leave out.
    TweetTargetError if there is no log, or no model.
    """
    folders = [each for each in model_folders(models or paths.SAVED_MODELS) if each.name != without]
    if not folders:
        raise TweetTargetError(f"expected a trained model in {models or paths.SAVED_MODELS}; run `make answer` first")
    with tempfile.TemporaryDirectory() as name:
        stage = Path(name)
        for folder in folders:
            (stage / folder.name).symlink_to(folder.resolve())
        if log is not None:
            copy = stage / paths.MONITOR_LOG.relative_to(paths.SAVED_MODELS)
            copy.parent.mkdir()
            try:  # SQLite's own copy is whole, also while somebody writes
                address = f"{log.absolute().as_uri()}?mode=ro"
                with closing(sqlite3.connect(address, uri=True)) as old, closing(sqlite3.connect(copy)) as new:
                    old.backup(new)
            except sqlite3.Error as error:
                raise TweetTargetError(f"expected a log of predictions, {log} cannot be read: {error}") from error
        yield stage


# ---------------------------------------------------------------- the browser


def parser(name: str, description: str, folder: Path) -> argparse.ArgumentParser:
    """The options of a command that shows the app; what it makes goes into ``folder``."""
    made = cli.parser(f"research.tools.{name}", description)
    made.add_argument("--models", type=Path, help="folder of models; saved_models/ if not given")
    made.add_argument("--log", type=Path, help="log of predictions for the page Monitor; it is copied, not changed")
    made.add_argument("--output-dir", type=Path, default=Path(paths.shown(folder)), help="where it goes")
    return made


@contextmanager
def watched_app(arguments: argparse.Namespace, questions_each: int, rest: float) -> Iterator[tuple[Browser, str]]:
    """A browser and the address of the app that it is to look at, by the options of :func:`parser`.

    Without a log some people first ask ``questions_each`` sentences of the sample corpus, about ``rest`` seconds
    after each answer: else the page Monitor would have nothing to show.
    """
    with staged_models(arguments.models, arguments.log) as models, running_app(models, paths.SAMPLE_CORPUS) as address:
        if arguments.log is None:
            corpus = data.read(paths.SAMPLE_CORPUS).labelled[tasks.TEXT_COLUMN]
            texts = corpus.sample(PEOPLE * questions_each, random_state=0).tolist()
            asyncio.run(crowd(address, PEOPLE, questions_each, rest, texts=texts))
        with chromium() as browser:
            yield browser, address


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, without a window, that records with the system's ffmpeg. Nothing is ever downloaded."""
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        raise TweetTargetError("expected Chromium on this machine, found none; on Debian: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with _system_ffmpeg(), sync_playwright() as playwright:
        # Root, as in a container, may not use Chromium's sandbox; the pages are our own.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def _system_ffmpeg() -> Iterator[None]:
    """Have playwright find the system's ffmpeg where it would look for the one that it downloads."""
    import playwright

    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None or "PLAYWRIGHT_BROWSERS_PATH" in os.environ:
        yield
        return
    listed = Path(playwright.__file__).parent / "driver" / "package" / "browsers.json"
    browsers = json.loads(listed.read_text(encoding="utf-8"))["browsers"]
    [revision] = [each["revision"] for each in browsers if each["name"] == "ffmpeg"]
    with tempfile.TemporaryDirectory() as name:
        link = Path(name) / f"ffmpeg-{revision}" / ("ffmpeg-mac" if sys.platform == "darwin" else "ffmpeg-linux")
        link.parent.mkdir()
        link.symlink_to(ffmpeg)
        os.environ["PLAYWRIGHT_BROWSERS_PATH"] = name
        try:
            yield
        finally:
            del os.environ["PLAYWRIGHT_BROWSERS_PATH"]


def open_window(browser: Browser, address: str, **options: Any) -> Page:
    """A window on the app, drawn; ``options`` are those of ``new_context``."""
    context = browser.new_context(**options)
    context.set_default_timeout(WORKING_SECONDS * 1000)
    page = context.new_page()
    page.goto(address)
    wait_until_done(page)
    return page


def wait_until_done(page: Page) -> None:
    """Wait until the page is drawn: the app runs nothing for it, and its charts stand."""
    page.wait_for_timeout(300)  # for a click to reach the app
    page.locator('[data-testid="stApp"]').wait_for()
    # The class of the running man is not ours, the state of the app is: it says "running" or "notRunning".
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for(state="attached")
    page.locator('[data-testid="stSkeleton"], [data-testid="stSpinner"]').first.wait_for(state="detached")
    page.wait_for_timeout(700)  # plotly draws after the data has come


def page_links(page: Page) -> dict[str, str]:
    """The pages of the app by their names in the menu: where each is."""
    links = page.locator('[data-testid="stSidebarNavLink"]')
    links.first.wait_for()
    return {link.inner_text().splitlines()[-1].strip(): link.evaluate("link => link.href") for link in links.all()}


# ---------------------------------------------------------------- what is done on a page


def ask(page: Page, question: str = QUESTION) -> None:
    """Ask a question on the page Ask, and wait for the answer."""
    page.get_by_label("Your text").fill(question)
    page.get_by_role("button", name="Ask", exact=True).click()
    wait_until_done(page)


def upload(page: Page) -> None:
    """Give the page Batch a file, and have it answered: the sample corpus with days, most complaints in the last month.

    No real tweet is ever shown in a picture.
    """
    import numpy
    import pandas

    corpus, random = data.read(paths.SAMPLE_CORPUS).labelled, numpy.random.default_rng(0)
    is_late = (corpus[tasks.EMOTION_COLUMN] == tasks.NEGATIVE) & (random.random(len(corpus)) < 0.9)
    days = pandas.to_timedelta(random.integers(numpy.where(is_late, 63, 0), 91), unit="D")
    rows = pandas.DataFrame({"date": pandas.Timestamp(2026, 6, 1) + days, "text": corpus[tasks.TEXT_COLUMN]})
    file = {"name": "tweets.csv", "mimeType": "text/csv", "buffer": rows.to_csv(index=False).encode()}
    page.locator('input[type="file"]').first.set_input_files(file)
    wait_until_done(page)
    page.get_by_role("button", name=re.compile(r"^\W*\w*\s*Answer [\d,]+ row")).click()
    page.get_by_role("button", name=re.compile("Download CSV")).wait_for()
    wait_until_done(page)


def show_log(page: Page, whole: bool = False) -> None:
    """Show the last minutes of the page Monitor, or all of a log that was given, and keep it still."""
    page.get_by_text("Whole log" if whole else "15 min", exact=True).first.click()
    page.get_by_text("Live", exact=True).first.click()
    wait_until_done(page)
    if whole:
        # What was asked for the pictures is the newest; a log that was given is older, and is what is to be seen.
        page.locator('[data-testid="stMain"] [data-testid="stSelectbox"]').first.locator("input").click()
        page.get_by_role("option").last.click()
        wait_until_done(page)
