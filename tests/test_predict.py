"""One function scores, and the command sends files through it."""

import csv
import io
import json
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import openpyxl
import pandas
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_folders import write_answer, write_single
from stub_model import EMOTIONS, PRODUCTS, stub

from tf_model import data, paths, predict
from tf_model.errors import DataError, OutputError, UsageError
from tf_model.inference import predictor
from tf_model.inference.predictor import Predictor
from tf_model.io import tables
from tf_model.serving import remote


def rows_of(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


# ---------------------------------------------------------------- one function scores


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(st.text(max_size=9) | st.sampled_from(["iPad", "an ipad", ""])), batch_size=st.integers(1, 9))
def test_a_text_is_scored_alike_alone_and_in_any_batch(texts, batch_size):
    together = replace(stub(), batch_size=batch_size).predict(texts, probabilities=True)
    alone = [stub().predict([text], probabilities=True) for text in texts]
    expected = pandas.concat(alone, ignore_index=True) if alone else stub().predict([], probabilities=True)
    pandas.testing.assert_frame_equal(together, expected)


def test_batches_hold_texts_of_about_one_length_and_no_text_twice(monkeypatch):
    sizes, done = [], []
    texts = ["a", "b" * 40, "cc", "a", "d" * 30, "a"]
    replace(stub(sizes=sizes), batch_size=2).predict(texts, on_progress=done.append)
    assert sizes == [[40, 30], [2, 1]]
    assert done == [2, 4]
    monkeypatch.setattr(predictor, "WINDOW", 3)
    sizes.clear()
    replace(stub(sizes=sizes), batch_size=2).predict(texts)
    assert sizes == [[40, 2], [1], [30, 1]]


def test_columns_and_dtypes_even_of_nothing():
    expected = {"product": "str", "product_confidence": "float32"}
    assert stub().predict([]).dtypes.astype(str).to_dict() == expected
    expected |= {"emotion": "str", "emotion_confidence": "float32", "answer": "str"}
    assert stub(has_emotion=True).predict(["a"]).dtypes.astype(str).to_dict() == expected
    frame = stub(has_emotion=True).predict(["a"], probabilities=True)
    assert list(frame.columns[5:]) == [
        *("answer_confidence", "best_guess", "second_guess"),
        *(f"product_probability_{label}" for label in PRODUCTS),
        *(f"emotion_probability_{label}" for label in EMOTIONS),
    ]
    assert frame["product_probability_iPad"].item() == frame["product_confidence"].item()
    assert set(frame.dtypes.iloc[8:].astype(str)) == {"float32"}
    assert "answer_confidence" not in stub().columns(probabilities=True)


def test_awkward_texts_reach_the_model_as_utf_8():
    seen = []
    model = Predictor({"product": PRODUCTS}, lambda batch: (seen.extend(batch), stub().score(batch))[1], batch_size=3)
    texts = [None, float("nan"), pandas.NA, "", "\ud83d", "\ud83d\ude00", "a\0b", 12, b"caf\xc3\xa9", ["x"]]
    assert len(model.predict(texts)) == len(texts)
    assert sorted(seen) == sorted([b"", b"\xef\xbf\xbd", "😀".encode(), b"a\0b", b"12", "café".encode(), b'["x"]'])


def test_only_the_beginning_of_a_huge_text_is_read():
    sizes = []
    stub(sizes=sizes).predict(["é" * 5_000_000])
    assert sizes == [[2 * predictor.MAX_CHARACTERS]]


def test_wrong_calls():
    with pytest.raises(TypeError, match="expected a list of texts"):
        stub().predict("one text")
    with pytest.raises(UsageError, match=r"expected a threshold from 0 to 1, got 1\.5"):
        stub(has_emotion=True).predict(["a"], threshold=1.5)


# ---------------------------------------------------------------- the command line


def test_a_first_text_that_is_taken_for_the_header_is_seen(stubbed, tmp_path, capsys):
    source = tmp_path / "in.csv"
    source.write_text("my ipad rocks\na phone\n")
    assert predict.main([str(source)]) == 0
    assert "reading the texts of column 'my ipad rocks' (the only column)" in capsys.readouterr().err


def test_file_to_file(stubbed, tmp_path, capsys):
    source, target = tmp_path / "in.csv", tmp_path / "new" / "out.csv"
    source.write_text('id,text,note\n007,"an ""iPad""\nhere!",NA\n1e5,a phone,\n')
    assert predict.main([str(source), "--output", str(target)]) == 0
    assert rows_of(target) == [
        ["id", "text", "note", "product", "product_confidence"],
        ["007", 'an "iPad"\nhere!', "NA", "iPad", "0.5"],
        ["1e5", "a phone", "", "iPhone", "1.0"],
    ]
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert lines[0] == "reading the texts of column 'text' (by its name)"
    assert lines[1].startswith("2 texts in ")
    assert lines[1].endswith(" texts/s)")
    assert lines[2] == f"wrote {target}"


@pytest.mark.parametrize(
    ("kind", "target"),
    [("csv", "xlsx"), ("tsv", "parquet"), ("xlsx", "jsonl"), ("parquet", "tsv"), ("jsonl", "csv")],
)
def test_every_format_is_read_and_written(stubbed, tmp_path, kind, target):
    first, second = tmp_path / f"a.{kind}", tmp_path / f"b.{target}"
    with tables.table_writer(first) as writer:
        writer.write(pandas.DataFrame({"text": ["=iPad é😀", "phone"], "n": ["1", "2"]}))
    assert predict.main([str(first), "--output", str(second)]) == 0
    with tables.open_table(second) as table:
        (frame,) = table.chunks()
    assert list(frame) == ["text", "n", "product", "product_confidence"]
    assert frame["text"].tolist() == ["=iPad é😀", "phone"]
    assert frame["product"].tolist() == ["iPad", "iPhone"]
    assert target != "parquet" or str(frame["product_confidence"].dtype) == "float[pyarrow]"


def test_header_only_gives_a_header(stubbed, tmp_path, capsys):
    (tmp_path / "a.csv").write_text("id,text\n")
    for suffix in (".csv", ".xlsx", ".parquet"):
        assert predict.main([str(tmp_path / "a.csv"), "--output", str(tmp_path / f"b{suffix}")]) == 0
    assert rows_of(tmp_path / "b.csv") == [["id", "text", "product", "product_confidence"]]
    assert openpyxl.load_workbook(tmp_path / "b.xlsx").active.max_row == 1
    assert pyarrow.parquet.read_table(tmp_path / "b.parquet").shape == (0, 4)
    assert "note: there is a header, but no rows" in capsys.readouterr().err


def test_standard_input(stubbed, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(b"an iPad\n\ncaf\xe9\n"))))
    assert predict.main(["-", "--format", "json"]) == 0
    captured = capsys.readouterr()
    assert [json.loads(line)["text"] for line in captured.out.splitlines()] == ["an iPad", "", "café"]
    assert captured.err.startswith("3 texts in ")
    assert captured.err.splitlines()[-1] == "note: not all of it is UTF-8: the other bytes were read as Windows-1252"


def test_a_file_without_texts_is_refused_unless_its_column_is_named(stubbed, tmp_path, capsys):
    path = tmp_path / "a.csv"
    path.write_text("id,grade\n1,good\n2,bad\n")
    with pytest.raises(DataError, match="expected a column of texts, but 'id', 'grade' hold numbers"):
        predict.main([str(path)])
    assert predict.main([str(path), "--column", "grade"]) == 0
    assert capsys.readouterr().out.count("\n") == 3


def test_blank_texts_are_counted(stubbed, tmp_path, capsys):
    path = tmp_path / "a.csv"
    path.write_text("id,text\n1,\n2, \u3000 \n3,so good\n", encoding="utf-8")
    assert predict.main([str(path)]) == 0
    assert "note: 2 texts are blank; ignore their answers" in capsys.readouterr().err.splitlines()


def test_sheet_and_column(stubbed, tmp_path, capsys):
    book = openpyxl.Workbook()
    sheet = book.create_sheet("Test")
    for row in (["Tweet", "Other"], ["a", "iPad"]):
        sheet.append(row)
    book.save(tmp_path / "a.xlsx")
    assert predict.main([str(tmp_path / "a.xlsx"), "--sheet", "Test", "--column", "Other"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "a,iPad,iPad,0.2"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "expected one of INPUT, - for standard input, --text TEXT and --test-predictions; see --help"),
        (["a.csv", "--text", "a"], "expected one of INPUT"),
        (
            ["a.csv", "--output", "b.csv", "--format", "csv"],
            "--output cannot be used with --format; leave one of them out",
        ),
        (["--text", "a", "--column", "b"], "--column needs INPUT; see --help"),
        (["--test-predictions", "--sheet", "b"], "--sheet needs INPUT"),
        (["a.csv", "--data", "b.csv"], "--data needs --test-predictions"),
        (["-", "--sheet", "a"], "--sheet chooses a sheet of an .xlsx workbook"),
        (["--text", "a", "--output", "b.pdf"], "found '.pdf'"),
        (["--test-predictions", "--record"], "--test-predictions cannot be used with --record"),
        (["--text", "a", "--threshold", "0", "--record"], "--threshold cannot be used with --record"),
        (["a.csv", "--explain"], "--explain needs --text"),
        (["--text", "a", "--explain", "--record"], "--explain cannot be used with --record"),
        (["--text", "a", "--explain", "--probabilities"], "--explain cannot be used with --probabilities"),
        (["--text", "a", "--explain", "--format", "csv"], "leave out --format csv"),
        (["a.csv", "--workers", "2"], "--workers needs --engine"),
        (["a.csv", "--engine", "ray"], "--engine needs --output"),
        (["a.csv", "--engine", "ray", "--output", "b", "--server", "c"], "--engine cannot be used with --server"),
        (["--text", "a", "--threshold", "0"], 'only a model that says "Not sure" has a threshold'),
        (["--text", "a", "--products", "b.csv"], "--products needs --targets"),
        (["--text", "a", "--targets", "--record"], "--targets cannot be used with --record"),
        (["--text", "a", "--targets", "--server", "b"], "--targets cannot be used with --server"),
        (["--test-predictions", "--targets"], "--targets cannot be used with --test-predictions"),
    ],
)
def test_wrong_usage(stubbed, arguments, words):
    with pytest.raises(UsageError) as caught:
        predict.main(arguments)
    assert words in str(caught.value)


def test_a_threshold_that_a_model_cannot_use_is_refused_before_many_tweets_are_cut(tmp_path):
    (tmp_path / "a.csv").write_text("text\nan iPad\n")
    arguments = [str(tmp_path / "a.csv"), "--engine", "ray", "--output", str(tmp_path / "out"), "--threshold", "0.5"]
    with pytest.raises(UsageError, match='only a model that says "Not sure" has a threshold'):
        predict.main([*arguments, "--model", str(write_single(tmp_path))])
    assert not (tmp_path / "out").exists()


def test_a_name_that_no_disk_takes_is_one_line(stubbed, tmp_path):
    with pytest.raises(OutputError, match=r"cannot write b+\.csv: File name too long"):
        predict.main(["--text", "a", "--output", f"{'b' * 300}.csv"])


@pytest.mark.parametrize("number", ["0", "-1", "many", "1.5"])
def test_numbers_that_no_option_takes(number, capsys):
    with pytest.raises(SystemExit) as stop:
        predict.main(["a.csv", f"--workers={number}"])
    assert stop.value.code == 2
    assert f"expected a whole number above 0, got '{number}'" in capsys.readouterr().err


def test_nothing_is_loaded_where_the_files_are_wrong(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Predictor, "load", lambda *_: pytest.fail("the model was loaded"))
    (tmp_path / "a.csv").write_text("text\na\n")
    for error, arguments in (
        (DataError, ["no.csv"]),
        (UsageError, [str(tmp_path / "a.csv"), "--output", str(tmp_path / "a.csv"), "--overwrite"]),
        (OutputError, ["--text", "a", "--output", str(tmp_path / "a.csv")]),
        (OutputError, ["--test-predictions", "--output", str(tmp_path / "a.csv")]),
    ):
        with pytest.raises(error):
            predict.main(arguments)


def test_columns_of_the_input_that_are_called_as_ours_get_another_name(stubbed, tmp_path):
    (tmp_path / "a.csv").write_text("text,product\nan ipad,mine\n")
    assert predict.main([str(tmp_path / "a.csv"), "--output", str(tmp_path / "b.csv")]) == 0
    header, row = csv.reader((tmp_path / "b.csv").read_text().splitlines())
    assert header[:3] == ["text", "product_input", "product"]
    assert row[:3] == ["an ipad", "mine", "iPad"]


def test_a_log_that_stays_locked_is_an_error(stubbed, tmp_path, monkeypatch, caplog):
    from tf_model.monitor import recorder, store

    monkeypatch.setattr(paths, "MONITOR_LOG", tmp_path / "log.sqlite")
    monkeypatch.setattr(recorder, "CLOSE_SECONDS", 0.2)
    (tmp_path / "a.txt").write_text("a\nb\n")
    with closing(store.Store().open()), closing(sqlite3.connect(paths.MONITOR_LOG, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OutputError, match=r"2 predictions are not in the log .*; before the next run, end"):
            predict.main([str(tmp_path / "a.txt"), "--output", str(tmp_path / "b.csv"), "--record"])
        other.execute("ROLLBACK")
    assert rows_of(tmp_path / "b.csv")[0][0] == "text"
    assert "another program is writing to it" in caplog.text


# ---------------------------------------------------------------- answers


@pytest.fixture
def answering(monkeypatch, tmp_path):
    """The command with a stub that answers, with confidence 0.5 for "an iPad!"."""
    monkeypatch.setattr(Predictor, "load", lambda folder=None: replace(stub(has_emotion=True), folder=tmp_path))


@pytest.mark.parametrize("threshold", ["-1", "1.5", "nan"])
def test_a_threshold_is_a_share(answering, tmp_path, threshold):
    write_answer(tmp_path)
    (tmp_path / "a.csv").write_text("text\nan iPad!\n")
    of_ray = [str(tmp_path / "a.csv"), "--model", str(tmp_path / "answer"), "--engine", "ray", "--output", "out"]
    for arguments in (["--text", "a"], of_ray):
        with pytest.raises(UsageError, match=rf"expected a threshold from 0 to 1, got {threshold}"):
            predict.main([*arguments, f"--threshold={threshold}"])


GUESSES = ["0.5", "Positive emotion → iPad", "Negative emotion → iPhone"]


@pytest.mark.parametrize(("threshold", "answer"), [("0.5", "Positive emotion → iPad"), ("0.51", "Not sure")])
def test_below_the_threshold_nobody_is_sure_and_the_guesses_say_between_what(
    answering, tmp_path, capsys, threshold, answer
):
    (tmp_path / "a.csv").write_text("text\nan iPad!\n")
    more = ["--threshold", threshold]
    assert predict.main(["--text", "an iPad!", "--format", "csv", "--probabilities", *more]) == 0
    header, row = csv.reader(capsys.readouterr().out.splitlines())
    assert header[5:9] == ["answer", "answer_confidence", "best_guess", "second_guess"]
    assert row[5:9] == [answer, *GUESSES]
    assert predict.main([str(tmp_path / "a.csv"), "--output", str(tmp_path / "b.csv"), *more]) == 0
    header, row = rows_of(tmp_path / "b.csv")
    assert header[-1] == "answer"
    assert row[-1] == answer


# ---------------------------------------------------------------- targets


HEADER = ["id", "text", "product", "mention", "start", "end", "emotion", "emotion_confidence"]


@pytest.fixture
def of_targets(tmp_path, target_model, monkeypatch) -> list[str]:
    """Arguments for a file of four texts, one of them empty, and a products file of another name."""
    monkeypatch.setattr(paths, "SAVED_MODELS", tmp_path)  # no model guesses
    (tmp_path / "products.csv").write_text("name,aliases\nXbox,xbone\nKindle,\n")
    (tmp_path / "in.csv").write_text('id,text\n07,"caf\u00e9: my xbone, not the Kindle"\n8,\n9,a Wii\n10,a kindle\n')
    options = ["--targets", "--model", str(target_model), "--products", str(tmp_path / "products.csv")]
    return [str(tmp_path / "in.csv"), *options]


def test_a_file_of_targets_has_a_row_for_each_product(of_targets, tmp_path, capsys):
    assert predict.main([*of_targets, "--output", str(tmp_path / "out.csv"), "--threshold", "0"]) == 0
    header, *rows = rows_of(tmp_path / "out.csv")
    assert header == HEADER
    assert [row[:6] for row in rows] == [
        ["07", "caf\u00e9: my xbone, not the Kindle", "Xbox", "xbone", "9", "14"],
        ["07", "caf\u00e9: my xbone, not the Kindle", "Kindle", "Kindle", "24", "30"],
        ["8", "", *[""] * 4],
        ["9", "a Wii", *[""] * 4],
        ["10", "a kindle", "Kindle", "kindle", "2", "8"],
    ]
    for row in rows:
        assert row[6] in (("negative", "neutral", "positive") if row[2] else ("",))
        assert 1 / 3 < float(row[7]) <= 1 if row[2] else row[7] == ""
    assert any(line.startswith("4 texts in ") for line in capsys.readouterr().err.splitlines()), "the rows of the input"
    assert predict.main([*of_targets, "--format", "json", "--probabilities", "--threshold", "1"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert list(found[0])[: len(HEADER)] == HEADER
    assert [row["emotion"] for row in found] == ["Not sure", "Not sure", None, None, "Not sure"]
    assert [row["start"] for row in found] == [9, 24, None, None, 2]
    assert sum(found[0][f"emotion_probability_{label}"] for label in ("negative", "neutral", "positive")) == (
        pytest.approx(1)
    )
    assert found[1]["emotion_confidence"] == pytest.approx(float(rows[1][7]))


def test_targets_are_never_answered_unasked(of_targets, tmp_path):
    [source, _, *of_model, _, _] = of_targets
    with pytest.raises(UsageError, match="works only with --targets; add it"):
        predict.main([source, *of_model])
    with pytest.raises(UsageError, match="works only with --targets; add it"):
        predict.main([source, *of_model, "--engine", "ray", "--output", str(tmp_path / "out")])
    with pytest.raises(UsageError, match="works only with --targets; name another model"):
        predict.main([source, *of_model, "--record"])
    assert not list(tmp_path.glob("*out*"))


def test_a_server_of_targets_is_not_asked_about_whole_texts(monkeypatch):
    served = remote.RemotePredictor({"target": EMOTIONS}, None, url="http://127.0.0.1:1/v1/models/target")
    monkeypatch.setattr(remote.RemotePredictor, "connect", lambda *_, **__: served)
    with pytest.raises(
        UsageError, match="models/target works only with --targets; leave out --server, and add --targets"
    ):
        predict.main(["--text", "I love my iPad", "--server", "http://127.0.0.1:1/v1/models/target"])


def test_an_empty_address_of_a_server_is_not_answered_by_another_model():
    with pytest.raises(UsageError, match="expected the REST address of a server"):
        predict.main(["--text", "I love my iPad", "--server", ""])


# ---------------------------------------------------------------- the report's file


@pytest.fixture
def dataset(monkeypatch, tmp_path):
    """A dataset with two unlabelled tweets, in place of the real one."""
    unlabelled = pandas.DataFrame({"Tweet": ["an iPad", ""]}, dtype="str")
    source = data.Source(tmp_path / "data.xlsx", "because")
    monkeypatch.setattr(data, "resolve", lambda path: source if path is None else replace(source, path=Path(path)))
    monkeypatch.setattr(data, "read", lambda path: SimpleNamespace(unlabelled=unlabelled, path=path))
    monkeypatch.setattr(paths, "SAVED_MODELS", tmp_path)


def test_the_file_that_the_report_delivered(stubbed, dataset, tmp_path, capsys):
    assert predict.main(["--test-predictions"]) == 0
    assert rows_of(tmp_path / "test_predictions.csv") == [
        ["Tweet", "Tweet_is_directed_at", "product_confidence"],
        ["an iPad", "iPad", "1.0"],
        ["", "iPhone", "1.0"],
    ]
    assert capsys.readouterr().err.endswith("test_predictions.csv (2 tweets)\n")
    with pytest.raises(OutputError, match="already exists; add --overwrite"):
        predict.main(["--test-predictions"])


def test_the_threshold_and_the_guesses_hold_for_the_test_sheet_too(answering, dataset, monkeypatch, tmp_path):
    unlabelled = pandas.DataFrame({"Tweet": ["an iPad!"]}, dtype="str")
    monkeypatch.setattr(data, "read", lambda path: SimpleNamespace(unlabelled=unlabelled, path=path))
    assert predict.main(["--test-predictions", "--threshold", "0.51", "--probabilities"]) == 0
    header, row = rows_of(tmp_path / "test_predictions.csv")
    assert header[2:5] == ["product_confidence", "emotion", "emotion_confidence"]
    assert header[5:9] == ["answer", "answer_confidence", "best_guess", "second_guess"]
    assert row[5:9] == ["Not sure", *GUESSES]


def test_the_dataset_is_never_replaced_by_its_predictions(stubbed, dataset, tmp_path):
    (tmp_path / "data.xlsx").write_bytes(b"the labels")
    with pytest.raises(UsageError, match="is the input itself, which is never overwritten"):
        predict.main(["--test-predictions", "--output", str(tmp_path / "data.xlsx"), "--overwrite"])
    assert (tmp_path / "data.xlsx").read_bytes() == b"the labels"


def test_a_dataset_without_unlabelled_tweets(stubbed, dataset, monkeypatch, tmp_path):
    monkeypatch.setattr(data, "read", lambda path: SimpleNamespace(unlabelled=None, path=path, warnings=warnings))
    warnings = "not all of it is UTF-8", "the sheet 'Test' is left out: row 3 is odd"
    expected = r"^mine\.xlsx has no sheet 'Test' with unlabelled tweets; the sheet 'Test' is left out.*--data PATH"
    with pytest.raises(DataError, match=expected):
        predict.main(["--test-predictions", "--data", "mine.xlsx"])


# ---------------------------------------------------------------- processes: start, stop, memory


WITH_STUB = """
import re, resource, sys, time
from pathlib import Path
import numpy
from tf_model import cli, predict

def score(batch):
    time.sleep(DELAY)
    sure = numpy.full(len(batch), 0.5, numpy.float32)
    product = numpy.array(["iPad"] * len(batch), object)
    return {"product": product, "product_confidence": sure, "product_probabilities": sure[:, None]}

DELAY = float(sys.argv.pop(1))
predict.Predictor.load = lambda folder=None: predict.Predictor({"product": ("iPad",)}, score)
try:
    cli.run(predict.main)
finally:
    status = Path("/proc/self/status")  # on Linux ru_maxrss counts what the parent held when it forked; macOS: bytes
    peak = re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1] if status.exists() else None
    if not sys.stderr.closed:
        print("peak", peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, file=sys.stderr)
"""


def with_stub(delay: float, *arguments: object) -> list[str]:
    return [sys.executable, "-c", WITH_STUB, str(delay), *map(str, arguments)]


def test_a_termination_leaves_no_output(tmp_path):
    (tmp_path / "a.txt").write_text("".join(f"text {i}\n" for i in range(10_000)))
    command = with_stub(0.1, tmp_path / "a.txt", "--output", tmp_path / "b.csv")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".b.csv.*.part")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.2)
    process.terminate()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 143
    assert re.fullmatch(r"terminated\npeak \d+\n", errors)
    assert list(tmp_path.iterdir()) == [tmp_path / "a.txt"]


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    (tmp_path / "a.txt").write_text("".join(f"text {i}\n" for i in range(30_000)))
    process = subprocess.Popen(with_stub(0, tmp_path / "a.txt"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"text,product,product_confidence\n"
    process.stdout.close()
    assert process.wait(120) == 0
    assert b"Traceback" not in process.stderr.read()


def test_memory_does_not_grow_with_the_input(tmp_path):
    peaks = []
    for rows in (10_000, 200_000):
        (tmp_path / "a.csv").write_text("id,text\n" + "".join(f"{i},iPad {i} {'x' * 100}\n" for i in range(rows)))
        command = with_stub(0, tmp_path / "a.csv", "--output", tmp_path / f"{rows}.parquet")
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stderr.split("peak ")[1]))
    assert pyarrow.parquet.read_metadata(tmp_path / "200000.parquet").num_rows == 200_000
    assert peaks[1] - peaks[0] < 12_000, "in KiB; the larger file alone is 22,000"
