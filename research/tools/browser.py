"""The real app and a headless Chromium that looks at it: what the screenshots and the demo share."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tf_model import cli, paths
from tf_model.errors import TweetTargetError
from tf_model.model_dir import model_folders

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

APP = "streamlit_app"  # the module that serves it
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
STARTING_SECONDS = 180  # TensorFlow is imported before the first page is up
WORKING_SECONDS = 300  # a busy machine is slow to load a model


@contextmanager
def running_app(models: Path | None = None, data: Path | None = None) -> Iterator[str]:
    """The app on a free port of loopback, stopped at the end.

    Args:
        models: The folder of models; None: ``saved_models/``.
        data: The dataset; None: as :func:`tf_model.data.resolve` finds it.

    Yields:
        Its address, such as ``http://127.0.0.1:40123``.

    Raises:
        TweetTargetError: It does not start.
    """
    port = _free_port()
    command = [sys.executable, "-m", APP, "--server.headless", "true"]
    command += ["--server.address", "127.0.0.1", "--server.port", str(port), "--server.fileWatcherType", "none"]
    command += ["--", *(["--models", str(models)] if models else [])]
    environment = os.environ | ({"TWEETS_DATA": str(data)} if data else {})
    address = f"http://127.0.0.1:{port}"
    # A file and not a pipe: nobody reads while the app runs, and a full pipe would stop it.
    kept = {"mode": "w+", "encoding": "utf-8", "errors": "replace"}
    with cli.stopped_cleanly(), tempfile.TemporaryFile(**kept) as said:
        app = subprocess.Popen(command, cwd=paths.ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=said)
        try:
            _wait_until_up(app, address, said)
            yield address
        finally:
            app.terminate()
            try:
                app.wait(timeout=60)  # a busy machine takes its time, and killed it leaves its log open
            except subprocess.TimeoutExpired:
                app.kill()
                app.wait()


@contextmanager
def staged_models(models: Path | None = None, log: Path | None = None) -> Iterator[Path]:
    """The models in a folder of its own for a while, so that what is shown and asked stays out of the user's log.

    Args:
        models: The folder of models; None: ``saved_models/``.
        log: A log of predictions that the page Monitor is to show; it is copied.

    Raises:
        TweetTargetError: There is no model, or no such log.
    """
    found = model_folders(models or paths.SAVED_MODELS)
    if not found:
        raise TweetTargetError(f"expected a trained model in {models or paths.SAVED_MODELS}; run `make answer` first")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for each in found:
            (folder / each.name).symlink_to(each.resolve())
        if log is not None:
            copy = folder / paths.MONITOR_LOG.relative_to(paths.SAVED_MODELS)
            copy.parent.mkdir()
            # SQLite's own copy is whole, also while somebody writes.
            address = f"{log.absolute().as_uri()}?mode=ro"
            with closing(sqlite3.connect(address, uri=True)) as old, closing(sqlite3.connect(copy)) as new:
                old.backup(new)
        yield folder


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, without a window, that records with the system's ffmpeg. Nothing is ever downloaded.

    Raises:
        TweetTargetError: There is no Chromium.
    """
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        raise TweetTargetError("expected Chromium on this machine, found none; on Debian: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with _system_ffmpeg(), sync_playwright() as playwright:
        # Root, as in a container, may not use Chromium's sandbox; the pages are our own.
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def open_window(browser: Browser, address: str, **options: Any) -> Page:
    """A window on the app, drawn; ``options`` are those of ``new_context``."""
    context = browser.new_context(**options)
    context.set_default_timeout(WORKING_SECONDS * 1000)
    page = context.new_page()
    page.goto(address)
    wait_until_done(page)
    return page


@contextmanager
def _system_ffmpeg() -> Iterator[None]:
    """Have playwright find the system's ffmpeg where it would look for the one that it downloads."""
    import playwright

    ffmpeg = shutil.which("ffmpeg")
    listed = Path(playwright.__file__).parent / "driver" / "package" / "browsers.json"
    browsers = json.loads(listed.read_text(encoding="utf-8"))["browsers"]
    revision = next((each["revision"] for each in browsers if each["name"] == "ffmpeg"), None)
    if ffmpeg is None or revision is None or "PLAYWRIGHT_BROWSERS_PATH" in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory() as name:
        place = Path(name) / f"ffmpeg-{revision}" / ("ffmpeg-mac" if sys.platform == "darwin" else "ffmpeg-linux")
        place.parent.mkdir()
        place.symlink_to(ffmpeg)
        os.environ["PLAYWRIGHT_BROWSERS_PATH"] = name
        try:
            yield
        finally:
            del os.environ["PLAYWRIGHT_BROWSERS_PATH"]


def wait_until_done(page: Page, seconds: float = WORKING_SECONDS) -> None:
    """Wait until the page is drawn: the app runs nothing for it, and its charts stand."""
    page.wait_for_timeout(300)  # for a click to reach the app
    page.wait_for_selector('[data-testid="stApp"]', timeout=seconds * 1000)
    # The class of the running man is not ours, the state of the app is: it says "running" or "notRunning".
    page.wait_for_selector(
        '[data-testid="stApp"][data-test-script-state="notRunning"]', timeout=seconds * 1000, state="attached"
    )
    page.wait_for_function(
        '() => !document.querySelector(\'[data-testid="stSkeleton"], [data-testid="stSpinner"]\')',
        timeout=seconds * 1000,
    )
    page.wait_for_timeout(700)  # plotly draws after the data has come


def page_links(page: Page) -> dict[str, str]:
    """The pages of the app by their names in the menu: where each is."""
    links = page.locator('[data-testid="stSidebarNavLink"]')
    links.first.wait_for(timeout=WORKING_SECONDS * 1000)
    return {link.inner_text().splitlines()[-1].strip(): link.evaluate("link => link.href") for link in links.all()}


def _wait_until_up(app: subprocess.Popen, address: str, said: IO[str]) -> None:
    until = time.monotonic() + STARTING_SECONDS
    while time.monotonic() < until:
        if app.poll() is not None:
            said.seek(0)
            lines = said.read().strip().splitlines()
            raise TweetTargetError(f"the app did not start: {lines[-1] if lines else f'exit code {app.returncode}'}")
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise TweetTargetError(f"the app did not answer within {STARTING_SECONDS} s")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
