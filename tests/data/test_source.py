"""Which file is used and why, and downloads from a misbehaving server on this machine."""

import contextlib
import hashlib
import http.server
import threading
from pathlib import Path

import pytest
from sample_datasets import line_of, write_csv

from tf_model import data, paths
from tf_model.data import source as sources
from tf_model.errors import DataError, OutputError, UsageError

CONTENT = bytes(range(256)) * 40  # 10 KiB
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def locations(tmp_path, monkeypatch) -> Path:
    """A project without data, and without settings."""
    for name in (data.DATA_VARIABLE, *sources.OFFLINE_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "project"
    monkeypatch.setattr(paths, "RAW_DATA", folder / "data" / "raw")
    monkeypatch.setattr(paths, "SHARED_DATA", folder / "shared")
    monkeypatch.setattr(paths, "SAMPLE_CORPUS", folder / "data" / "sample.csv")
    paths.RAW_DATA.mkdir(parents=True)
    return folder


# ---------------------------------------------------------------- find


def test_named_file_wins_over_everything(tmp_path, monkeypatch):
    named, other = write_csv(tmp_path / "named.csv"), write_csv(tmp_path / "other.csv")
    write_csv(paths.RAW_DATA / "mine.csv")
    monkeypatch.setenv("TWEETS_DATA", str(other))
    source = data.resolve(named)
    assert source == data.Source(named, "named by --data")
    assert source.describe() == f"data: {named} (named by --data)"
    assert data.resolve() == data.Source(other, "named by TWEETS_DATA")
    monkeypatch.setenv("TWEETS_DATA", "")
    assert data.resolve().path == paths.RAW_DATA / "mine.csv"


def test_named_file_that_is_missing_is_an_error_and_never_replaced(tmp_path, monkeypatch):
    write_csv(paths.RAW_DATA / "mine.csv")
    message = line_of(data.resolve, tmp_path / "gone.csv")
    assert "gone.csv (--data) does not exist; check the name" in message
    monkeypatch.setenv("TWEETS_DATA", str(tmp_path / "gone.csv"))
    assert "gone.csv (TWEETS_DATA)" in line_of(data.resolve)
    assert "is a folder" in line_of(data.resolve, tmp_path)
    assert "~nobody-of-this-name" in line_of(data.resolve, "~nobody-of-this-name/x.csv")
    assert "cannot read" in line_of(data.resolve, "a" * 5000 + ".csv")


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_csv(tmp_path / "mine.csv")
    assert data.resolve("~/mine.csv").path == tmp_path / "mine.csv"


def test_raw_folder_then_shared_folder():
    paths.SHARED_DATA.mkdir()
    (paths.SHARED_DATA / "assignment.xlsx").touch()
    for name in ("notes.txt", "~$mine.xlsx", ".hidden.csv"):
        (paths.RAW_DATA / name).touch()
    assert data.resolve() == data.Source(paths.SHARED_DATA / "assignment.xlsx", "found in ../shared/data/")
    for name in ("mine.csv", sources.JUDGE_CSV, "assignment.xlsx"):  # each is preferred to those before
        (paths.RAW_DATA / name).touch()
        assert data.resolve() == data.Source(paths.RAW_DATA / name, "found in data/raw/")


def test_several_files_in_the_raw_folder_are_ambiguous():
    for name in ("b.tsv", "a.csv"):
        (paths.RAW_DATA / name).touch()
    message = line_of(data.resolve)
    assert "expected one data file" in message
    assert "got 2 (a.csv, b.tsv)" in message
    assert "--data PATH" in message


def test_download_is_used_where_nothing_is_at_hand(monkeypatch, capsys):
    paths.RAW_DATA.rmdir()
    monkeypatch.setattr(sources, "download", lambda url, target, sha256: target)
    source = data.resolve()
    assert source.path == paths.RAW_DATA / "assignment.xlsx"
    assert f"downloaded from {sources.ADDRESS}" in source.reason
    assert not source.is_sample
    assert capsys.readouterr().err == f"downloading {sources.ADDRESS}\n"


@pytest.mark.parametrize("error", [DataError("cannot download it: no connection"), OutputError("the disk is full")])
def test_sample_is_the_last_resort_and_says_so(monkeypatch, capsys, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(sources, "download", fail)
    assert "no data" in line_of(data.resolve)
    write_csv(paths.SAMPLE_CORPUS)
    source = data.resolve()
    assert source.is_sample
    assert source.path == paths.SAMPLE_CORPUS
    assert str(error) in source.reason
    assert data.read(source.path).name == data.SAMPLE
    data.announce(source)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "THIS IS NOT THE REAL DATASET" in printed.err
    assert "data/raw/" in printed.err
    assert len(printed.err.splitlines()) > 5


def test_the_name_of_a_file_cannot_control_the_terminal(capsys):
    data.announce(data.Source(Path("a\x1b[31m.csv"), "named by --data"))
    assert capsys.readouterr().err == "data: a␛[31m.csv (named by --data)\n"


def test_what_is_left_out_of_a_dataset_is_said(tmp_path, capsys):
    path = tmp_path / "own.csv"
    path.write_bytes("text,brand\ncaf\xe9 Kindle,Kindle\n,Kindle\nmy Xbox,Xbox\n".encode("latin-1"))
    assert len(data.load(path).labelled) == 2
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "note: 1 row left out: the text is missing (row 3 of the file)",
        "note: not all of it is UTF-8: the other bytes were read as Windows-1252",
    ]


def test_of_a_table_that_was_found_and_not_named_the_message_says_how_to_name_another(tmp_path):
    mine, columns = write_csv(paths.RAW_DATA / "mine.csv"), data.Columns(text="body")
    advice = "; if you meant another table, name it with --data"
    assert line_of(data.load, columns=columns, error=UsageError).endswith(advice)
    assert "has no column 'body'" in line_of(data.load, columns=columns, error=UsageError)
    assert advice not in line_of(data.load, mine, columns=columns, error=UsageError)


@pytest.mark.parametrize("variable", ["TWEETS_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_never_downloads(monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    monkeypatch.setattr(sources, "download", lambda *_: pytest.fail("it tried to download"))
    assert f"{variable} forbids a download" in line_of(data.resolve)
    write_csv(paths.SAMPLE_CORPUS)
    assert data.resolve().is_sample
    assert data.resolve(paths.SAMPLE_CORPUS).is_sample, "naming it is announced too"


# ---------------------------------------------------------------- download


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers each path as its name says."""

    def do_GET(self):
        name = self.path.strip("/")
        self.send_response(404 if name == "missing" else 200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write({"cut": CONTENT[:4000], "other": CONTENT[::-1]}.get(name, CONTENT))

    def log_message(self, *_):
        pass


@pytest.fixture
def address():
    """The address of a local server."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_download(address):
    target = sources.download(f"{address}/fine", paths.RAW_DATA / "assignment.xlsx", DIGEST)
    assert target.read_bytes() == CONTENT
    assert [file.name for file in paths.RAW_DATA.iterdir()] == ["assignment.xlsx"]
    assert target.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("path", "words"), [("cut", "IncompleteRead"), ("other", "sha256 differs"), ("missing", "404 Client Error")]
)
def test_download_fails_in_one_line_and_leaves_nothing(address, path, words):
    message = line_of(sources.download, f"{address}/{path}", paths.RAW_DATA / "assignment.xlsx", DIGEST)
    assert message.startswith(f"cannot download {address}/{path}: ")
    assert words in message
    assert f"put the file into {paths.RAW_DATA} yourself" in message
    assert "--data PATH" in message
    assert list(paths.RAW_DATA.iterdir()) == []


def test_download_to_an_impossible_folder(address):
    paths.RAW_DATA.rmdir()
    paths.RAW_DATA.write_text("a file, not a folder")
    target = paths.RAW_DATA / "assignment.xlsx"
    assert "cannot write" in line_of(sources.download, f"{address}/fine", target, DIGEST, error=OutputError)
