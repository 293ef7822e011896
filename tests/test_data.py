import contextlib
import datetime
import errno
import hashlib
import http.server
import io
import json
import os
import subprocess
import sys
import threading
import time
import types
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_model import data, paths, tasks
from tf_model.errors import DataError, OutputError, UsageError

REAL = paths.SHARED_DATA / "assignment.xlsx"
HEADER = ",".join(data.COLUMNS)
NONE, GOOD, BAD = tasks.NO_EMOTION, tasks.POSITIVE, tasks.NEGATIVE
ROWS = [
    ("the battery of my phone lasts all day", "iPhone", GOOD),
    ("the maps keep losing me", "Google", BAD),
    ("queueing for coffee", "", NONE),
    ("the tablet is light", "iPad", GOOD),
    ("hard to say what this is", "", tasks.CANNOT_TELL),
]


def write_csv(path: Path, rows=ROWS, columns=data.COLUMNS, **options) -> Path:
    pd.DataFrame(rows, columns=list(columns)).to_csv(path, index=False, **options)
    return path


def write_workbook(path: Path, **sheets: pd.DataFrame) -> Path:
    with pd.ExcelWriter(path) as writer:
        for name, frame in sheets.items():
            frame.to_excel(writer, sheet_name=name, index=False)
    return path


def labelled(rows=ROWS, columns=data.COLUMNS) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(columns))


def line_of(call, *arguments, error=DataError, **options) -> str:
    """The message of the error that ``call`` raises, which must be one line."""
    with pytest.raises(error) as caught:
        call(*arguments, **options)
    message = str(caught.value)
    assert message
    assert len(message.splitlines()) == 1
    return message


def outcome_of(path: Path) -> data.Dataset | str:
    """What reading gives: a dataset, or the message of the error."""
    try:
        return data.read(path)
    except DataError as error:
        return str(error)


@pytest.fixture(autouse=True)
def no_outside_settings(monkeypatch):
    for name in (data.DATA_VARIABLE, *data.OFFLINE_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")


@pytest.fixture
def locations(tmp_path) -> data.Locations:
    """Empty folders, and an address where nobody listens."""
    folder = tmp_path / "project"
    return data.Locations(
        raw=folder / "data" / "raw",
        shared=folder / "shared",
        sample=folder / "data" / "sample.csv",
        address="http://127.0.0.1:9/dataset.xlsx",
    )


# ---------------------------------------------------------------- the real dataset


@pytest.fixture(scope="module")
def real() -> data.Dataset:
    if not REAL.is_file():
        pytest.skip("the real dataset is not in ../shared/data/")
    return data.read(REAL)


def test_real_dataset_is_recognized(real):
    assert real.name == data.ASSIGNMENT
    assert real.sha256 == data.SHA256
    assert list(real.labelled.columns) == ["row", *data.COLUMNS]
    assert len(real.labelled) == 8588
    assert real.dropped == (data.Dropped("the text is missing", 1, (6,)),)
    assert list(real.unlabelled.columns) == ["Tweet"]
    assert len(real.unlabelled) == 504
    assert (real.unlabelled["Tweet"] != "").all()


def test_real_products(real):
    frame = data.examples(real, tasks.PRODUCT)
    assert len(frame) == 3291
    assert frame["label"].value_counts().to_dict() == {
        "iPad": 946,
        "Apple": 661,
        "iPad or iPhone App": 470,
        "Google": 430,
        "iPhone": 297,
        "Other Google product or service": 293,
        "Android App": 81,
        "Android": 78,
        "Other Apple product or service": 35,
    }
    assert data.check_classes(frame, tasks.PRODUCT) == ()


def test_real_emotions(real):
    frame = data.examples(real, tasks.EMOTION)
    # 5,389 + 2,672 + 519 in the file, less the one row without a text, which says "No emotion".
    assert frame["label"].value_counts().to_dict() == {NONE: 5388, GOOD: 2672, BAD: 519}
    assert data.summarize(real).tasks["emotion"].ignored == {tasks.CANNOT_TELL: 9}


def test_real_row_numbers_are_those_of_the_sheet(real):
    sheet = pd.read_excel(REAL, sheet_name="Train", dtype=str, keep_default_na=False)
    frame = data.examples(real, tasks.PRODUCT)
    assert frame["row"].is_monotonic_increasing
    assert (sheet["tweet_text"].iloc[frame["row"]].to_numpy() == frame["text"].to_numpy()).all()
    assert frame["text"].str.len().between(25, 170).all()


def test_real_repeats_are_kept_and_counted(real):
    summary = data.summarize(real)
    assert summary.repeats == real.labelled["tweet_text"].duplicated().sum() > 0
    assert any("repeat the exact text" in note for note in real.warnings)
    assert summary.tasks["product"].unlabelled == 5297


# ---------------------------------------------------------------- find


def test_named_file_wins_over_everything(tmp_path, locations, monkeypatch):
    named, other = write_csv(tmp_path / "named.csv"), write_csv(tmp_path / "other.csv")
    locations.raw.mkdir(parents=True)
    write_csv(locations.raw / "mine.csv")
    monkeypatch.setenv("TWEETS_DATA", str(other))
    source = data.resolve(named, locations)
    assert source == data.Source(named, "named by --data")
    assert source.describe() == f"data: {named} (named by --data)"
    assert data.resolve(None, locations) == data.Source(other, "named by TWEETS_DATA")
    monkeypatch.setenv("TWEETS_DATA", "")
    assert data.resolve(None, locations).path == locations.raw / "mine.csv"


def test_named_file_that_is_missing_is_an_error_and_never_replaced(tmp_path, locations, monkeypatch):
    locations.raw.mkdir(parents=True)
    write_csv(locations.raw / "mine.csv")
    message = line_of(data.resolve, tmp_path / "gone.csv", locations)
    assert "gone.csv (--data)" in message
    assert "give the path of an existing" in message
    monkeypatch.setenv("TWEETS_DATA", str(tmp_path / "gone.csv"))
    assert "gone.csv (TWEETS_DATA)" in line_of(data.resolve, None, locations)
    assert "is a folder" in line_of(data.resolve, tmp_path, locations)
    assert "~nobody-of-this-name" in line_of(data.resolve, "~nobody-of-this-name/x.csv", locations)
    assert "cannot read" in line_of(data.resolve, "a\0b.csv", locations)
    assert "cannot read" in line_of(data.resolve, "a" * 5000 + ".csv", locations)


def test_home_is_expanded(tmp_path, locations, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_csv(tmp_path / "mine.csv")
    assert data.resolve("~/mine.csv", locations).path == tmp_path / "mine.csv"


def test_raw_folder_then_shared_folder(locations):
    locations.shared.mkdir(parents=True)
    (locations.shared / "assignment.xlsx").touch()
    assert data.resolve(None, locations).reason == "found in ../shared/data/"
    locations.raw.mkdir(parents=True)
    for name in ("notes.txt", "~$mine.xlsx", ".hidden.csv"):
        (locations.raw / name).touch()
    assert data.resolve(None, locations).path.parent == locations.shared
    for name in ("mine.csv", data.JUDGE_CSV, "assignment.xlsx"):  # each one more preferred than those before
        (locations.raw / name).touch()
        assert data.resolve(None, locations) == data.Source(locations.raw / name, "found in data/raw/")


def test_several_files_in_the_raw_folder_are_ambiguous(locations):
    locations.raw.mkdir(parents=True)
    for name in ("b.tsv", "a.csv"):
        (locations.raw / name).touch()
    message = line_of(data.resolve, None, locations)
    assert "expected one data file" in message
    assert "found 2 (a.csv, b.tsv)" in message
    assert "--data PATH" in message


def test_download_is_used_where_nothing_is_at_hand(locations, monkeypatch):
    def fetch(url, target, sha256):
        assert (url, sha256) == (locations.address, locations.sha256)
        return target

    monkeypatch.setattr(data, "download", fetch)
    source = data.resolve(None, locations)
    assert source.path == locations.raw / "assignment.xlsx"
    assert "downloaded from http://127.0.0.1:9/" in source.reason
    assert not source.is_sample


@pytest.mark.parametrize("error", [DataError("cannot download it: no connection"), OutputError("the disk is full")])
def test_sample_is_the_last_resort_and_says_so(locations, monkeypatch, capsys, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(data, "download", fail)
    assert "no data" in line_of(data.resolve, None, locations)
    locations.sample.parent.mkdir(parents=True)
    write_csv(locations.sample)
    source = data.resolve(None, locations)
    assert source.is_sample
    assert source.path == locations.sample
    assert str(error) in source.reason
    assert data.read(source.path, locations).name == data.SAMPLE
    data.announce(source)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "THIS IS NOT THE REAL DATASET" in shown.err
    assert "data/raw/" in shown.err
    assert len(shown.err.splitlines()) > 5


@pytest.mark.parametrize("variable", ["TWEETS_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_never_downloads(locations, monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    monkeypatch.setattr(data, "download", lambda *_: pytest.fail("it tried to download"))
    assert f"{variable} forbids a download" in line_of(data.resolve, None, locations)
    locations.sample.parent.mkdir(parents=True)
    write_csv(locations.sample)
    assert data.resolve(None, locations).is_sample


def test_naming_the_sample_is_announced_too(locations):
    locations.sample.parent.mkdir(parents=True)
    write_csv(locations.sample)
    assert data.resolve(locations.sample, locations).is_sample


# ---------------------------------------------------------------- download

CONTENT = bytes(range(256)) * 40  # 10 KiB
DIGEST = hashlib.sha256(CONTENT).hexdigest()
QUICK = data.Limits(connect=2, silence=2, window=0.4, slowest=2048, total=1.5, size=1_000_000, retries=1)


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
    limits = data.Limits(**{**vars(QUICK), **changes})
    return data.download(f"{server.address}/{path}", folder / "raw" / "assignment.xlsx", DIGEST, limits)


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


# ---------------------------------------------------------------- read: what works


def test_csv(tmp_path, locations):
    rows = [*ROWS, ("", "iPad", GOOD), (" \t ", "", NONE), ("  spaces stay  ", " iPad ", f" {GOOD}\n")]
    path = write_csv(tmp_path / "mine.csv", rows)
    dataset = data.read(path, locations)
    assert dataset.name == data.CUSTOM
    assert dataset.path == path
    assert dataset.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert dataset.unlabelled is None
    assert dataset.labelled["row"].tolist() == [0, 1, 2, 3, 4, 7]
    assert dataset.labelled["tweet_text"].iloc[-1] == "  spaces stay  "
    assert dataset.labelled[tasks.PRODUCT_COLUMN].iloc[-1] == "iPad"
    assert dataset.labelled[tasks.EMOTION_COLUMN].iloc[-1] == GOOD
    assert dataset.labelled[tasks.PRODUCT_COLUMN].isna().tolist() == [False, False, True, False, True, False]
    assert dataset.dropped == (
        data.Dropped("the text is missing", 1, (5,)),
        data.Dropped("the text is white space only", 1, (6,)),
    )
    assert dataset.warnings == ()


def test_csv_and_workbook_give_the_same(tmp_path):
    csv = data.read(write_csv(tmp_path / "mine.csv"))
    book = data.read(write_workbook(tmp_path / "mine.xlsx", Train=labelled()))
    pd.testing.assert_frame_equal(csv.labelled, book.labelled)


def test_workbook_with_unlabelled_rows(tmp_path):
    tweets = pd.DataFrame({"other": [1, 2, 3], " tweet": ["one", None, "three"]})
    book = write_workbook(tmp_path / "mine.xlsx", Card=pd.DataFrame({"a": [1]}), train=labelled(), Test=tweets)
    dataset = data.read(book)
    assert len(dataset.labelled) == 5
    assert dataset.unlabelled.to_dict("list") == {"Tweet": ["one", "", "three"]}


def test_single_sheet_of_any_name(tmp_path):
    dataset = data.read(write_workbook(tmp_path / "mine.xlsx", Sheet1=labelled()))
    assert len(dataset.labelled) == 5
    assert dataset.unlabelled is None


def test_cells_that_are_no_texts(tmp_path):
    rows = [(12.5, "iPad", GOOD), ("#N/A", "", NONE), (True, "#REF!", NONE), (datetime.date(2011, 3, 11), "", NONE)]
    dataset = data.read(write_workbook(tmp_path / "mine.xlsx", Train=labelled(rows)))
    assert dataset.labelled["tweet_text"].tolist() == ["12.5", "True", "2011-03-11 00:00:00"]
    assert dataset.labelled[tasks.PRODUCT_COLUMN].isna().tolist() == [False, True, True]
    assert dataset.dropped == (data.Dropped("the text is missing", 1, (1,)),)


def test_test_sheet_without_its_column_is_ignored(tmp_path):
    book = write_workbook(tmp_path / "mine.xlsx", Train=labelled(), Test=pd.DataFrame({"texts": ["one"]}))
    dataset = data.read(book)
    assert dataset.unlabelled is None
    assert "no column 'Tweet'" in dataset.warnings[0]


def test_columns_in_any_order_case_and_spacing(tmp_path):
    frame = labelled()[[tasks.EMOTION_COLUMN, tasks.TEXT_COLUMN, tasks.PRODUCT_COLUMN]]
    frame.columns = [f" {name.upper()} " for name in frame.columns]
    frame.insert(1, "Annotator", "someone")
    frame.to_csv(tmp_path / "mine.csv", index=False, encoding="utf-8-sig")
    dataset = data.read(tmp_path / "mine.csv")
    assert list(dataset.labelled.columns) == ["row", *data.COLUMNS]
    assert dataset.warnings == ("ignored column: 'Annotator'",)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mine.csv", {"sep": ";"}),
        ("mine.tsv", {"sep": "\t"}),
        ("mine.CSV", {"encoding": "utf-8-sig"}),
        ("mine.csv", {"encoding": "cp1252"}),
        ("mine.csv", {"encoding": "utf-16"}),
        ("mine.csv", {"lineterminator": "\r\n"}),
        ("mine.csv", {"lineterminator": "\r"}),
    ],
)
def test_dialects_and_encodings(tmp_path, name, options):
    text = 'a “café”, with "quotes";\ttab\nand a second line'
    path = write_csv(tmp_path / name, [(text, "iPad", GOOD), *ROWS], **options)
    assert data.read(path).labelled["tweet_text"].iloc[0] == text


def test_lines_of_several_encodings(tmp_path):
    texts = [
        "naïve \u2028 line \x85 ends".encode(),
        "naïve “quoted”".encode("cp1252"),
        b"\x81 undefined",
        b'"two\nna\xefve"',
    ]
    lines = [HEADER.encode(), *(text + f",iPad,{GOOD}".encode() for text in texts)]
    path = tmp_path / "mine.csv"
    path.write_bytes(b"\n".join(lines))
    dataset = data.read(path)
    assert dataset.labelled["tweet_text"].tolist() == [
        "naïve \u2028 line \x85 ends",
        "naïve “quoted”",
        "\x81 undefined",
        "two\nnaïve",
    ]
    assert dataset.warnings[0] == "3 lines are not UTF-8 and read as Windows-1252"


def test_blank_lines_keep_row_numbers_true(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(f"{HEADER}\none,iPad,{GOOD}\n\ntwo,iPhone,{GOOD}\n\n\n")
    dataset = data.read(path)
    assert dataset.labelled["row"].tolist() == [0, 2]
    assert dataset.dropped == (data.Dropped("the text is missing", 1, (1,)),)


def test_words_that_look_like_missing_values_are_texts(tmp_path):
    dataset = data.read(write_csv(tmp_path / "mine.csv", [("NA", "iPad", GOOD), ("null", "", NONE), ("1.0", "", NONE)]))
    assert dataset.labelled["tweet_text"].tolist() == ["NA", "null", "1.0"]


def test_repeats_and_conflicts_are_kept_and_told(tmp_path):
    rows = [
        ("same", "iPad", GOOD),
        ("same", "iPhone", GOOD),
        ("same", "", BAD),
        ("other", "", NONE),
        ("other", "", NONE),
    ]
    dataset = data.read(write_csv(tmp_path / "mine.csv", rows))
    assert len(dataset.labelled) == 5
    assert dataset.warnings == (
        "3 rows repeat the exact text of an earlier row; kept",
        "1 repeated text has different product labels; kept",
        "1 repeated text has different emotion labels; kept",
    )


texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\r"), min_size=1, max_size=40)


@settings(max_examples=40, deadline=None)
@given(st.lists(texts, min_size=1, max_size=4))
def test_any_text_survives_reading(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("any") / "mine.csv"
    rows = [("first", "iPad", GOOD), *((value, "", NONE) for value in values)]
    write_csv(path, rows, encoding="utf-8", quoting=1)
    expected = [(number, text) for number, (text, *_) in enumerate(rows) if text.strip()]
    frame = data.read(path).labelled
    assert list(zip(frame["row"], frame["tweet_text"], strict=True)) == expected


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([".csv", ".tsv", ".xlsx"]), st.booleans())
def test_any_bytes_give_a_dataset_or_one_line(tmp_path_factory, content, suffix, with_header):
    path = tmp_path_factory.mktemp("any") / f"mine{suffix}"
    path.write_bytes((HEADER.encode() + b"\n" if with_header else b"") + content)
    outcome = outcome_of(path)
    assert isinstance(outcome, data.Dataset) or len(outcome.splitlines()) == 1


# ---------------------------------------------------------------- read: what does not


def test_missing_file_folder_and_suffix(tmp_path):
    assert "no file" in line_of(data.read, tmp_path / "gone.csv")
    assert "is a folder" in line_of(data.read, tmp_path)
    (tmp_path / "mine.json").write_text("{}")
    message = line_of(data.read, tmp_path / "mine.json")
    assert "expected an .xlsx, .csv or .tsv file" in message
    assert "save it as one of these" in message


def test_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    assert "is a device or a pipe" in line_of(data.read, tmp_path / "pipe.csv")


def test_no_permission(tmp_path, monkeypatch):
    path = write_csv(tmp_path / "mine.csv")

    def read_bytes(self):  # root may read everything, so the refusal is played
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    message = line_of(data.read, path)
    assert "is not permitted" in message
    assert "change its permissions" in message


@pytest.mark.parametrize("content", [b"", b" \n\n", b"\xef\xbb\xbf", b"\xff\xfe"])
@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_empty_file(tmp_path, content, suffix):
    path = tmp_path / f"mine{suffix}"
    path.write_bytes(content)
    message = line_of(data.read, path)
    assert "mine" in message
    assert "is empty" in message or "no table" in message or "not an Excel workbook" in message


def test_header_only(tmp_path):
    for path in (write_csv(tmp_path / "a.csv", []), write_workbook(tmp_path / "a.xlsx", Train=labelled([]))):
        assert "expected rows below the header" in line_of(data.read, path)


def test_empty_sheet(tmp_path):
    message = line_of(data.read, write_workbook(tmp_path / "a.xlsx", Train=pd.DataFrame()))
    assert "found none" in message


def test_wrong_sheets_are_listed(tmp_path):
    book = write_workbook(tmp_path / "mine.xlsx", Training=labelled(), Test=pd.DataFrame({"Tweet": ["one"]}))
    message = line_of(data.read, book)
    assert "expected a sheet 'Train'" in message
    assert "found 'Training', 'Test'" in message
    assert "rename" in message


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_wrong_columns_show_the_nearest_names(tmp_path, kind):
    columns = ("tweet_texts", "product", tasks.EMOTION_COLUMN)
    if kind == "csv":
        path = write_csv(tmp_path / "mine.csv", columns=columns)
    else:
        path = write_workbook(tmp_path / "mine.xlsx", Train=labelled(columns=columns))
    message = line_of(data.read, path)
    assert "found 'tweet_texts', 'product'" in message
    assert f"'tweet_text', '{tasks.PRODUCT_COLUMN}' are missing" in message
    assert "'tweet_texts' looks like 'tweet_text'" in message


def test_a_list_of_texts_is_no_dataset(tmp_path):
    (tmp_path / "mine.csv").write_text("tweet\nshort, with a comma\n")
    assert "found 'tweet'" in line_of(data.read, tmp_path / "mine.csv")


def test_column_that_occurs_twice(tmp_path):
    path = write_csv(tmp_path / "mine.csv", [("a", "b", "", NONE)], columns=(*data.COLUMNS[:1], *data.COLUMNS))
    assert "occurs 2 times" in line_of(data.read, path)


def test_unknown_label_tells_row_value_and_nearest(tmp_path):
    message = line_of(data.read, write_csv(tmp_path / "a.csv", [*ROWS, ("text", "ipad", GOOD)]))
    assert "row 7 of the file" in message
    assert f"'ipad' in '{tasks.PRODUCT_COLUMN}'" in message
    assert "did you mean 'iPad'?" in message
    rows = [("one", "", "angry\nand more"), *ROWS, ("two", "", "sad"), ("three", "toaster", "fine")]
    message = line_of(data.read, write_csv(tmp_path / "b.csv", rows))
    assert "row 2 of the file" in message
    assert "(and 2 more rows)" in message
    assert f"use one of '{BAD}'" in message


def test_row_numbers_count_records_and_not_lines(tmp_path):
    rows = [("two\nlines", "iPad", GOOD), ("text", "iPod", GOOD)]
    assert "row 3 of the file" in line_of(data.read, write_csv(tmp_path / "a.csv", rows))


def test_all_texts_empty(tmp_path):
    message = line_of(data.read, write_csv(tmp_path / "a.csv", [("", "iPad", GOOD), (" ", "", NONE)]))
    assert "all 2 are empty" in message
    assert "fill it in" in message


def test_ten_megabytes_in_one_cell(tmp_path):
    message = line_of(data.read, write_csv(tmp_path / "a.csv", [*ROWS, ("x" * 10_000_000, "iPad", GOOD)]))
    assert "row 7 of the file" in message
    assert "10,000,000 characters, expected at most 100,000" in message
    assert len(message) < 500
    longest = write_csv(tmp_path / "b.csv", [("x" * 100_000, "iPad", GOOD)])
    assert len(data.read(longest).labelled) == 1


def test_nul_characters(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_bytes(f"{HEADER}\none\0,iPad,{GOOD}\n".encode())
    message = line_of(data.read, path)
    assert "NUL character in line 2" in message
    assert "save it again" in message
    path.write_bytes(f"{HEADER}\n".encode("utf-16-le"))  # UTF-16 without its mark
    assert "UTF-16" in line_of(data.read, path)


def test_broken_utf_16(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_bytes(b"\xff\xfea\0b")
    assert "save it again as UTF-8" in line_of(data.read, path)


def test_damaged_tables(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(f'{HEADER}\n"two\nlines",iPad,{GOOD}\none, two,iPad,{GOOD}\n')
    message = line_of(data.read, path)
    assert "row 3 of the file has 4 fields, the header 3" in message
    assert "in quotes" in message
    path.write_text(f'{HEADER}\none,iPad,{GOOD}\n"two,iPad,{GOOD}\n')
    assert "opens in row 3 of the file is never closed" in line_of(data.read, path)


def test_damaged_workbooks(tmp_path):
    whole = write_workbook(tmp_path / "whole.xlsx", Train=labelled()).read_bytes()
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("hello.txt", "no workbook")
    damaged = {
        "cut": whole[: len(whole) // 2],
        "zip": other.getvalue(),
        "text": HEADER.encode(),
        "old": b"\xd0\xcf\x11\xe0",
    }
    # Bytes overwritten in the middle of the archive, at several places.
    for place in range(100, len(whole), len(whole) // 6):
        damaged[f"hole{place}"] = whole[:place] + b"\xff" * 40 + whole[place + 40 :]
    for name, content in damaged.items():
        (tmp_path / f"{name}.xlsx").write_bytes(content)
        outcome = outcome_of(tmp_path / f"{name}.xlsx")
        if isinstance(outcome, data.Dataset):  # the hole was in a part that holds no cells
            assert name.startswith("hole")
            assert len(outcome.labelled) == 5
        else:
            assert "is not an Excel workbook" in outcome
            assert "save it again" in outcome


# ---------------------------------------------------------------- use


@pytest.fixture
def dataset(tmp_path) -> data.Dataset:
    return data.read(write_csv(tmp_path / "mine.csv", [("", "iPad", GOOD), *ROWS]))


def test_examples(dataset):
    products = data.examples(dataset, tasks.PRODUCT)
    assert list(products.columns) == ["row", "text", "label", "label_id"]
    assert products["row"].tolist() == [1, 2, 4]
    assert products["label"].tolist() == ["iPhone", "Google", "iPad"]
    assert products["label_id"].tolist() == [0, 3, 2]
    assert products["label_id"].dtype == products["row"].dtype == "int64"
    assert products.index.tolist() == [0, 1, 2]
    emotions = data.examples(dataset, tasks.EMOTION)
    assert emotions["row"].tolist() == [1, 2, 3, 4]
    assert emotions["label_id"].tolist() == [2, 0, 1, 2]


def test_examples_without_any_label(tmp_path):
    dataset = data.read(write_csv(tmp_path / "mine.csv", [("text", "", tasks.CANNOT_TELL)]))
    for task in tasks.TASKS.values():
        message = line_of(data.examples, dataset, task)
        assert f"expected labels of the task '{task.name}'" in message
        assert task.column in message
    assert data.summarize(dataset).tasks["product"].examples == 0


def test_class_with_one_example(dataset):
    emotions = data.examples(dataset, tasks.EMOTION)
    message = line_of(data.check_classes, emotions, tasks.EMOTION)
    assert "at least 2 examples of each class of the task 'emotion'" in message
    assert f"'{BAD}' (1), '{NONE}' (1)" in message
    assert "add more, or leave these classes out" in message
    assert data.check_classes(emotions, tasks.EMOTION, minimum=1) == ()


def test_absent_classes_are_named_and_a_single_class_is_refused(dataset):
    products = data.examples(dataset, tasks.PRODUCT)
    absent = data.check_classes(products, tasks.PRODUCT, minimum=1)
    assert len(absent) == 6
    assert "Android" in absent
    message = line_of(data.check_classes, products[products["label"] == "iPad"], tasks.PRODUCT, minimum=1)
    assert "at least two classes" in message
    assert "found 'iPad' only" in message


# ---------------------------------------------------------------- command line


def test_command_prints_tables(tmp_path, capsys):
    rows = [*ROWS, ("", "", NONE), ROWS[0]]
    path = write_csv(tmp_path / "[bold]mine.csv", rows)
    assert data.main(["--data", str(path)]) == 0
    shown = capsys.readouterr()
    assert f"data: {path} (named by --data)" in shown.err
    assert f"file      {path}" in shown.out
    assert "dataset   custom" in shown.out
    assert "rows      6" in shown.out
    assert "dropped   1 row: the text is missing (row 7 of the file)" in shown.out
    assert "1 row repeats the exact text of an earlier row" in shown.out
    assert "product: 4 examples" in shown.out
    assert "emotion: 5 examples" in shown.out
    assert "I can't tell (left out)" in shown.out
    assert not any(text in shown.out for text, *_ in ROWS), "texts are not shown"


def test_command_prints_json(tmp_path, capsys):
    path = write_csv(tmp_path / "mine.csv", [("", "", NONE), *ROWS])
    assert data.main(["--data", str(path), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["dataset"] == "custom"
    assert summary["path"] == str(path)
    assert summary["reason"] == "named by --data"
    assert summary["rows"] == 5
    assert summary["dropped"] == [{"reason": "the text is missing", "count": 1, "rows": [0]}]
    assert summary["tasks"]["product"]["labels"]["iPad"] == 1
    assert list(summary["tasks"]["product"]["labels"]) == list(tasks.PRODUCTS)
    assert summary["tasks"]["emotion"]["ignored"] == {tasks.CANNOT_TELL: 1}


def test_command_refuses_an_empty_path():
    assert "leave --data out" in line_of(data.main, ["--data", ""], error=UsageError)


def run_command(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments], cwd=paths.ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_command_exits_with_one_line(tmp_path):
    result = run_command("-m", "tf_model.data", "--data", str(tmp_path / "gone.csv"))
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: no file")
    assert len(result.stderr.splitlines()) == 1
    assert run_command("-m", "tf_model.data", "--unknown").returncode == 2


def test_importing_loads_nothing_heavy():
    heavy = "{'pandas', 'pandera', 'pooch', 'requests', 'rich', 'tensorflow'}"
    result = run_command("-c", f"import sys, tf_model.data; print({heavy} & set(sys.modules) or 'light')")
    assert result.stdout.strip() == "light", result.stderr
