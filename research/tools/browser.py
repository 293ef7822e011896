"""The real app and a headless Chromium that opens it, for the screenshots, the film and the checks."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy
import pandas
import playwright
from playwright.sync_api import Browser, Page, sync_playwright

from research.tools.app_client import crowd
from tf_model import cli, data, paths, tasks
from tf_model.errors import TweetTargetError
from tf_model.model_dir import model_folders

APP = "streamlit_app"  # the module that serves the app
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
STARTING_SECONDS = 180  # TensorFlow is imported before the first page is up
WORKING_SECONDS = 300  # a busy machine is slow to load a model
PEOPLE = 4  # who ask before the page Monitor is shown
WHEN = ("by noon", "at breakfast", "before the keynote", "in the queue")
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
    """Run the app on a free port of loopback, and yield its address. TweetTargetError if it does not start.

    ``folder`` holds the code that ``python`` runs; ``environment`` replaces this process's own.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    command = [str(python), "-m", APP, "--server.headless", "true", "--server.address", "127.0.0.1"]
    command += ["--server.port", port, "--server.fileWatcherType", "none"]
    command += ["--", "--models", str(models)] if models else []
    variables = {**(os.environ if environment is None else environment), **({"TWEETS_DATA": str(data)} if data else {})}
    # A file, not a pipe: nobody reads while the app runs, and a full pipe would block it.
    with cli.stopped_cleanly(), tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        app = subprocess.Popen(command, cwd=folder, env=variables, stdout=subprocess.DEVNULL, stderr=errors)
        try:
            _wait_until_up(app, f"http://127.0.0.1:{port}", errors)
            yield f"http://127.0.0.1:{port}"
        finally:
            app.terminate()
            try:
                app.wait(timeout=60)  # a busy machine is slow, and a killed app leaves its log open
            except subprocess.TimeoutExpired:
                app.kill()
                app.wait()


def _wait_until_up(app: subprocess.Popen, address: str, errors: IO[str]) -> None:
    deadline = time.monotonic() + STARTING_SECONDS
    while time.monotonic() < deadline:
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
def staged_models(without: str = "") -> Iterator[Path]:
    """Link the models into a temporary folder, so that nothing asked or shown enters the user's log.

    ``without`` names a model to leave out. TweetTargetError if there is no model.
    """
    folders = [each for each in model_folders(paths.SAVED_MODELS) if each.name != without]
    if not folders:
        raise TweetTargetError(f"expected a trained model in {paths.SAVED_MODELS}; run `make answer` first")
    with tempfile.TemporaryDirectory() as name:
        stage = Path(name)
        for folder in folders:
            (stage / folder.name).symlink_to(folder.resolve())
        yield stage


# ---------------------------------------------------------------- the browser


@contextmanager
def watched_app(questions_each: int, rest: float) -> Iterator[tuple[Browser, str]]:
    """Start the app and a browser, and yield the browser and the app's address.

    Some visitors first ask ``questions_each`` sentences of the sample corpus, waiting about ``rest`` seconds after each
    answer, so that the page Monitor has something to show.
    """
    with staged_models() as models, running_app(models, paths.SAMPLE_CORPUS) as address:
        corpus = data.read(paths.SAMPLE_CORPUS).labelled[tasks.TEXT_COLUMN]
        texts = corpus.sample(PEOPLE * questions_each, random_state=0).tolist()
        crowd(address, PEOPLE, questions_each, rest, texts=texts)
        with chromium() as browser:
            yield browser, address


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, headless, which records with the system's ffmpeg. Nothing is ever downloaded."""
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        raise TweetTargetError("expected Chromium on this machine, found none; on Debian: apt-get install chromium")
    with _system_ffmpeg(), sync_playwright() as driver:
        # Chromium refuses its sandbox to root, as in a container; the pages are our own.
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def _system_ffmpeg() -> Iterator[None]:
    """Link the system's ffmpeg to where playwright looks for the one that it downloads."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None or "PLAYWRIGHT_BROWSERS_PATH" in os.environ:
        yield
        return
    browsers_file = Path(playwright.__file__).parent / "driver" / "package" / "browsers.json"
    browsers = json.loads(browsers_file.read_text(encoding="utf-8"))["browsers"]
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
    """Open the app in a new window and wait until it is drawn; ``options`` are those of ``new_context``."""
    context = browser.new_context(**options)
    context.set_default_timeout(WORKING_SECONDS * 1000)
    page = context.new_page()
    page.goto(address)
    wait_until_done(page)
    return page


def wait_until_done(page: Page) -> None:
    """Wait until the page is drawn: its script has finished, and its charts are there."""
    # Do not rely on the class of the running icon: the app's state attribute says "running" or "notRunning".
    done = page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]')
    busy = page.locator('[data-testid="stSkeleton"], [data-testid="stSpinner"]')
    page.wait_for_timeout(300)  # for a click to reach the app
    while True:
        done.wait_for(state="attached")
        busy.first.wait_for(state="detached")
        page.wait_for_timeout(700)  # plotly draws after the data has arrived; a busy machine may begin to run only now
        if done.count() and not busy.count():
            return


def page_links(page: Page) -> dict[str, str]:
    """The addresses of the app's pages, by their names in the menu."""
    links = page.locator('[data-testid="stSidebarNavLink"]')
    links.first.wait_for()
    return {link.inner_text().splitlines()[-1].strip(): link.evaluate("link => link.href") for link in links.all()}


# ---------------------------------------------------------------- actions on a page


def ask(page: Page, question: str = QUESTION) -> None:
    """Ask a question on the page Ask, and wait for the answer."""
    page.get_by_label("Your text").fill(question)
    page.get_by_role("button", name="Ask", exact=True).click()
    wait_until_done(page)


def dated_texts() -> bytes:
    """The sample corpus as a CSV file with dates, and complaints about a battery in the last month.

    No picture ever shows a real tweet.
    """
    corpus, random = data.read(paths.SAMPLE_CORPUS).labelled[tasks.TEXT_COLUMN], numpy.random.default_rng(0)
    parts = itertools.product(("Ugh,", "Again:", "I hate that"), ("died", "was empty"), WHEN)
    complaints = [f"{start} the battery of my iPhone {fault} {when}" for start, fault, when in parts]
    starts = numpy.repeat([0, 63], [len(corpus), len(complaints)])
    days = pandas.to_timedelta(random.integers(starts, 91), unit="D")
    rows = pandas.DataFrame({"date": pandas.Timestamp(2026, 6, 1) + days, "text": [*corpus, *complaints]})
    return rows.to_csv(index=False).encode()


def upload(page: Page) -> None:
    """Upload :func:`dated_texts` to the page Batch and have them answered."""
    file = {"name": "tweets.csv", "mimeType": "text/csv", "buffer": dated_texts()}
    page.locator('input[type="file"]').first.set_input_files(file)
    wait_until_done(page)
    page.get_by_role("button", name=re.compile(r"^\W*\w*\s*Answer [\d,]+ row")).click()
    page.get_by_role("button", name=re.compile("Download CSV")).wait_for()
    wait_until_done(page)


def show_log(page: Page) -> None:
    """Show the last minutes on the page Monitor, and stop live updates."""
    page.get_by_text("15 min", exact=True).first.click()
    page.get_by_text("Live", exact=True).first.click()
    wait_until_done(page)
