"""A download from a server on this machine that misbehaves in every way."""

import contextlib
import errno
import hashlib
import http.server
import os
import threading
import time
import types
from pathlib import Path

import pytest
from sample_datasets import line_of

from tf_model.data.download import Limits, download
from tf_model.errors import OutputError

CONTENT = bytes(range(256)) * 40  # 10 KiB


DIGEST = hashlib.sha256(CONTENT).hexdigest()


QUICK = Limits(connect=2, silence=2, window=0.4, slowest=2048, total=1.5, size=1_000_000, retries=1)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers each path in the way that its name says."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.close_connection = True
        self.server.requested.append(self.path)
        with contextlib.suppress(OSError):  # the client may leave in the middle
            getattr(self, f"answer_{self.path.strip('/')}")()

    def answer(self, body=CONTENT, status=200, length=None, kind="application/octet-stream"):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body)

    def answer_fine(self):
        self.answer()

    def answer_cut(self):
        self.answer(CONTENT[:4000], length=len(CONTENT))

    def answer_html(self):
        self.answer(b"\n<!DOCTYPE html><title>Sign in</title>", kind="text/html")

    def answer_missing(self):
        self.answer(b"no such thing", status=404)

    def answer_broken(self):
        self.answer(b"sorry", status=500)

    def answer_other(self):
        self.answer(CONTENT[::-1])

    def answer_flaky(self):
        if len(self.server.requested) == 1:
            self.answer_cut()
        else:
            self.answer()

    def answer_silent(self):
        self.server.ended.wait(20)

    def answer_trickle(self):
        self.answer(b"", length=len(CONTENT))
        self.drip(lambda: b"x")

    def answer_trickling_header(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        self.drip(lambda: b"x")

    def answer_steady(self):
        """Fast enough for the speed limit, too slow for the total."""
        self.answer(b"", length=500_000)
        self.drip(lambda: b"x" * 1024)

    def answer_endless(self):
        self.answer(b"", length=10_000_000_000)
        while not self.server.ended.is_set():
            self.wfile.write(b"x" * 65536)

    def drip(self, piece):
        while not self.server.ended.wait(0.05):
            self.wfile.write(piece())
            self.wfile.flush()

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    """A server on the local machine; ``requested`` lists what it was asked for."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.requested, running.ended = [], threading.Event()
        running.daemon_threads = True
        running.address = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield running
        running.ended.set()
        running.shutdown()
        thread.join()


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    """Seconds that pooch would have waited between attempts."""
    import pooch.core

    seconds: list[float] = []
    monkeypatch.setattr(pooch.core, "time", types.SimpleNamespace(sleep=seconds.append))
    return seconds


def fetch(server, path: str, folder: Path, **changes) -> Path:
    limits = Limits(**{**vars(QUICK), **changes})
    return download(f"{server.address}/{path}", folder / "raw" / "assignment.xlsx", DIGEST, limits)


def files_in(folder: Path) -> list[str]:
    return sorted(file.name for file in (folder / "raw").iterdir())


def test_download(server, tmp_path, waits, capsys):
    target = fetch(server, "fine", tmp_path)
    assert target.read_bytes() == CONTENT
    assert files_in(tmp_path) == ["assignment.xlsx"]
    assert target.stat().st_mode & 0o777 == 0o644
    assert f"downloading {server.address}/fine" in capsys.readouterr().err
    assert fetch(server, "fine", tmp_path) == target
    assert len(server.requested) == 1, "a correct file that is there is not fetched again"


def test_download_never_replaces_another_file(server, tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "assignment.xlsx").write_text("mine")
    assert "move it away" in line_of(fetch, server, "fine", tmp_path)
    assert (tmp_path / "raw" / "assignment.xlsx").read_text() == "mine"
    assert server.requested == []


def test_download_succeeds_at_the_second_attempt(server, tmp_path, waits):
    assert fetch(server, "flaky", tmp_path).read_bytes() == CONTENT
    assert len(server.requested) == 2
    assert waits == [1]


@pytest.mark.parametrize(
    ("path", "words", "attempts"),
    [
        ("cut", "cut off", 3),
        ("broken", "the server answered 500", 3),
        ("other", "sha256 differs", 3),
        ("missing", "the server answered 404", 1),
        ("html", "a web page came instead of the file", 1),
        ("endless", "larger than 1,000,000 bytes", 1),
        ("trickle", "less than 2048 bytes a second", 1),
        ("trickling_header", "less than 2048 bytes a second", 1),
        ("steady", "longer than 1.5 s", 1),
    ],
)
def test_download_fails_in_one_line_and_leaves_nothing(server, tmp_path, waits, path, words, attempts):
    began = time.monotonic()
    message = line_of(fetch, server, path, tmp_path, retries=2)
    assert time.monotonic() - began < 5
    assert words in message
    assert f"cannot download {server.address}/{path}" in message
    assert f"put the file into {tmp_path / 'raw'} yourself" in message
    assert "--data PATH" in message
    assert len(server.requested) == attempts
    assert files_in(tmp_path) == []


def test_download_from_a_server_that_says_nothing(server, tmp_path, waits):
    message = line_of(fetch, server, "silent", tmp_path, silence=0.2, window=5, retries=0)
    assert "no answer from the server in time" in message


def test_download_without_a_server(server, tmp_path, waits):
    server.shutdown()
    server.socket.close()
    assert "no connection to the server" in line_of(fetch, server, "fine", tmp_path)
    assert waits == [1]


def test_download_to_a_full_disk(server, tmp_path, monkeypatch):
    def write_bytes(self, _):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    assert "the disk is full" in line_of(fetch, server, "fine", tmp_path, error=OutputError)
    assert files_in(tmp_path) == []


def test_download_to_an_impossible_folder(server, tmp_path):
    (tmp_path / "raw").write_text("a file, not a folder")
    assert "cannot write" in line_of(fetch, server, "fine", tmp_path, error=OutputError)
