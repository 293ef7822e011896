"""The parts of the app's browser tools that need no browser: the staged models, and messages when it cannot start."""

import shutil
import signal
import socket
import subprocess
import sys
import urllib.parse

import pytest
from model_folders import write_single
from sample_datasets import line_of

from research.tools import browser
from tf_model import paths
from tf_model.errors import TweetTargetError


def staged(without=""):
    with browser.staged_models(without) as folder:
        return sorted(each.name for each in folder.iterdir())


def test_models_are_staged_without_being_copied_or_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "SAVED_MODELS", tmp_path)
    model = write_single(tmp_path)
    shutil.copytree(model, tmp_path / "target")
    assert staged() == ["product", "target"]
    assert staged(without="target") == ["product"]
    with browser.staged_models() as folder:
        assert (folder / "product").resolve() == model.resolve()
        (folder / ".monitor").mkdir()  # as recorded while screenshots are taken
    assert not (tmp_path / ".monitor").exists()
    assert (model / "metrics.json").is_file()
    assert not folder.exists()


def test_without_a_model_it_says_what_to_run(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "SAVED_MODELS", tmp_path)
    assert "make answer" in line_of(staged, error=TweetTargetError)


def test_an_app_that_does_not_start_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(browser, "APP", "no_such_module")
    with pytest.raises(TweetTargetError, match=r"the app did not start: .*no_such_module"), browser.running_app():
        pass


def test_without_chromium_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(browser, "CHROMIUM", ("no-such-browser",))
    with pytest.raises(TweetTargetError, match="apt-get install chromium"), browser.chromium():
        pass


def test_an_app_goes_with_the_process_that_started_it():
    script = "import time\nfrom research.tools.browser import running_app\nwith running_app() as address:\n"
    command = [sys.executable, "-c", f"{script}    print(address, flush=True)\n    time.sleep(600)"]
    with subprocess.Popen(command, cwd=paths.ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as it:
        address = urllib.parse.urlsplit(it.stdout.readline().strip())
        with socket.create_connection((address.hostname, address.port), timeout=10):
            pass
        it.terminate()
        assert it.wait(timeout=90) == 128 + signal.SIGTERM
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.hostname, address.port), timeout=10)
