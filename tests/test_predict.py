"""Prediction: a tiny real SavedModel, and stubs where the model does not matter."""

import csv
import errno
import io
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy
import openpyxl
import pandas
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tf_model import console, data, paths, predict, tables
from tf_model.errors import DataError, ModelError, OutputError, UsageError
from tf_model.predict import Predictor, predict_texts

PRODUCTS = ("iPhone", "iPad", "Google")
EMOTIONS = ("Negative emotion", "No emotion toward brand or product", "Positive emotion")


def stub(has_emotion: bool = False, sizes: list | None = None) -> Predictor:
    """A model in plain Python: a text with "ipad" is about the iPad, and its length decides how sure that is."""

    def score(batch):
        assert batch
        if sizes is not None:
            sizes.append([len(text) for text in batch])
        product = [1 if b"ipad" in text.lower() else 0 for text in batch]
        sure = numpy.array([1 / (1 + len(text) % 7) for text in batch], numpy.float32)
        probabilities = numpy.stack([1 - sure, sure, 0 * sure], 1)
        outputs = {
            "product": numpy.array([PRODUCTS[each] for each in product], object),
            "product_confidence": sure,
            "product_probabilities": probabilities,
        }
        if has_emotion:
            outputs |= {
                "emotion": numpy.array([EMOTIONS[2]] * len(batch), object),
                "emotion_confidence": sure,
                "emotion_probabilities": probabilities,
                "answer": numpy.array(["Positive emotion → iPad"] * len(batch), object),
            }
        return outputs

    labels = {"product": PRODUCTS} | ({"emotion": EMOTIONS} if has_emotion else {})
    return Predictor(labels, score, has_answer=has_emotion)


@pytest.fixture
def stubbed(monkeypatch):
    """The command line with the stub in place of a saved model."""
    monkeypatch.setattr(Predictor, "load", lambda folder=None: stub())


@pytest.fixture(scope="session")
def save_model(tmp_path_factory):
    """A function that saves a small TensorFlow model of a task and returns its folder."""
    import tensorflow as tf

    class Tiny(tf.Module):
        def __init__(self, names):
            super().__init__()
            self.weights = tf.Variable([[2.0, 1.0, 0.0], [1.0, 4.0, 0.0]])  # (without "ipad", with it) x 3 classes
            self.names = names

        def task(self, text, labels):
            has_ipad = tf.strings.regex_full_match(tf.strings.lower(text), "(?s).*ipad.*")
            probabilities = tf.nn.softmax(tf.gather(self.weights, tf.cast(has_ipad, tf.int32)))  # (N, 3)
            label = tf.gather(tf.constant(labels), tf.argmax(probabilities, 1))
            return {"label": label, "confidence": tf.reduce_max(probabilities, 1), "probabilities": probabilities}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def serve_task(self, text):
            return self.task(text, PRODUCTS)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def serve_answer(self, text):
            outputs = {}
            for task, labels in {"product": PRODUCTS, "emotion": EMOTIONS}.items():
                found = self.task(text, labels)
                outputs[task] = found.pop("label")
                outputs |= {f"{task}_{name}": value for name, value in found.items()}
            return outputs | {"answer": outputs["emotion"] + " → " + outputs["product"]}

    def save(labels, signature="task", **files):
        folder = tmp_path_factory.mktemp("model")
        model = Tiny(PRODUCTS)
        signatures = {"task": model.serve_task, "answer": model.serve_answer}[signature]
        tf.saved_model.save(model, str(folder), signatures=signatures)
        for name, value in {"labels": labels, **files}.items():
            (folder / f"{name}.json").write_text(json.dumps(value))
        return folder

    return save


@pytest.fixture(scope="session")
def product_model(save_model):
    labels = {"task": "product", "labels": PRODUCTS}
    return save_model(labels, recipe={"name": "tuned"}, metrics={"dataset": "assignment"})


@pytest.fixture(scope="session")
def answer_model(save_model):
    return save_model({"task": "answer", "product": PRODUCTS, "emotion": EMOTIONS}, "answer")


def rows_of(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.reader(stream))


# ---------------------------------------------------------------------------------------------- one function scores


def test_rows_come_in_the_order_of_the_texts():
    texts = [f"{'iPad' if i % 3 else 'phone'} {'x' * (i * 37 % 50)}" for i in range(200)]
    frame = predict_texts(stub(), texts, batch_size=7)
    assert frame["product"].tolist() == ["iPad" if i % 3 else "iPhone" for i in range(200)]
    assert frame["product_confidence"].tolist() == [pytest.approx(1 / (1 + len(text.encode()) % 7)) for text in texts]


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(st.text(max_size=9) | st.sampled_from(["iPad", "an ipad", ""])), batch_size=st.integers(1, 9))
def test_a_text_is_scored_alike_alone_and_in_any_batch(texts, batch_size):
    together = predict_texts(stub(), texts, batch_size, probabilities=True)
    alone = [predict_texts(stub(), [text], probabilities=True) for text in texts]
    expected = pandas.concat(alone, ignore_index=True) if alone else predict_texts(stub(), [], probabilities=True)
    pandas.testing.assert_frame_equal(together, expected)


def test_batches_hold_texts_of_about_one_length_and_no_text_twice(monkeypatch):
    sizes, done = [], []
    texts = ["a", "b" * 40, "cc", "a", "d" * 30, "a"]
    predict_texts(stub(sizes=sizes), texts, batch_size=2, on_progress=done.append)
    assert sizes == [[40, 30], [2, 1]]
    assert done == [2, 4]
    monkeypatch.setattr(predict, "WINDOW", 3)
    sizes.clear()
    predict_texts(stub(sizes=sizes), texts, batch_size=2)
    assert sizes == [[40, 2], [1], [30, 1]]


def test_columns_and_dtypes_even_of_nothing():
    expected = {"product": "str", "product_confidence": "float32"}
    assert predict_texts(stub(), []).dtypes.astype(str).to_dict() == expected
    expected |= {"emotion": "str", "emotion_confidence": "float32", "answer": "str"}
    assert predict_texts(stub(has_emotion=True), ["a"]).dtypes.astype(str).to_dict() == expected
    frame = predict_texts(stub(has_emotion=True), ["a"], probabilities=True)
    assert list(frame.columns[5:]) == [
        *(f"product_probability_{label}" for label in PRODUCTS),
        *(f"emotion_probability_{label}" for label in EMOTIONS),
    ]
    assert frame["product_probability_iPad"].item() == frame["product_confidence"].item()
    assert set(frame.dtypes.iloc[5:].astype(str)) == {"float32"}


def test_awkward_texts_reach_the_model_as_utf_8():
    seen = []
    model = Predictor({"product": PRODUCTS}, lambda batch: (seen.extend(batch), stub().score(batch))[1])
    texts = [None, float("nan"), pandas.NA, "", "\ud83d", "\ud83d\ude00", "a\0b", 12, b"caf\xc3\xa9", ["x"]]
    assert len(predict_texts(model, texts, batch_size=3)) == len(texts)
    assert sorted(seen) == sorted([b"", b"\xef\xbf\xbd", "😀".encode(), b"a\0b", b"12", "café".encode(), b'["x"]'])


def test_only_the_beginning_of_a_huge_text_is_read():
    sizes = []
    predict_texts(stub(sizes=sizes), ["é" * 5_000_000])
    assert sizes == [[2 * predict.MAX_CHARACTERS]]


def test_wrong_calls():
    with pytest.raises(UsageError, match="expected a batch size of at least 1, got 0"):
        predict_texts(stub(), ["a"], batch_size=0)
    with pytest.raises(TypeError, match="expected a list of texts"):
        predict_texts(stub(), "one text")


# ------------------------------------------------------------------------------------------------ a real SavedModel


def test_a_saved_model_of_one_task(product_model):
    predictor = Predictor.load(product_model)
    assert predictor.labels == {"product": PRODUCTS}
    assert (predictor.recipe, predictor.warning) == ({"name": "tuned"}, None)
    texts = ["My iPad", "phone", "", "\ud83d ipad\0", "ipad " * 50_000, None] * 5
    frame = predict_texts(predictor, texts, batch_size=4, probabilities=True)
    assert frame["product"].tolist() == ["iPad", "iPhone", "iPhone", "iPad", "iPad", "iPhone"] * 5
    assert frame["product_confidence"].iloc[0] == pytest.approx(numpy.exp(4) / (numpy.exp(4) + numpy.exp(1) + 1))
    assert frame[[f"product_probability_{label}" for label in PRODUCTS]].sum(axis=1).tolist() == pytest.approx([1] * 30)
    pandas.testing.assert_frame_equal(frame, predict_texts(predictor, texts, batch_size=1, probabilities=True))


def test_a_saved_model_of_both_tasks(answer_model):
    predictor = Predictor.load(answer_model)
    frame = predict_texts(predictor, ["My iPad", "phone"])
    assert frame["answer"].tolist() == ["No emotion toward brand or product → iPad", "Negative emotion → iPhone"]
    assert frame["emotion"].tolist() == [EMOTIONS[1], EMOTIONS[0]]
    assert list(frame) == ["product", "product_confidence", "emotion", "emotion_confidence", "answer"]


def test_a_saved_model_of_the_emotion_alone(save_model):
    predictor = Predictor.load(save_model({"task": "emotion", "labels": PRODUCTS}))
    assert list(predict_texts(predictor, ["a"])) == ["emotion", "emotion_confidence"]
    with pytest.raises(ModelError, match="predicts emotion, not the product; give another --model"):
        predict.write_test_predictions(predictor, output=Path("never.csv"))


def test_default_models(monkeypatch, tmp_path, product_model, answer_model):
    monkeypatch.setattr(paths, "SAVED_MODELS", tmp_path / "saved_models")
    with pytest.raises(ModelError, match=r"no trained model in saved_models/; run `make train`.*--model DIR"):
        Predictor.load()
    paths.SAVED_MODELS.mkdir()
    (paths.SAVED_MODELS / "product").symlink_to(product_model)
    assert Predictor.load().folder == paths.SAVED_MODELS / "product"
    with pytest.raises(ModelError, match="product does not exist; did you mean saved_models/product"):
        Predictor.load("product")
    (paths.SAVED_MODELS / "answer").symlink_to(answer_model)
    assert Predictor.load().folder == paths.SAVED_MODELS / "answer"


def copy_of(model: Path, folder: Path, **files: str) -> Path:
    import shutil

    shutil.copytree(model, folder)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(content)
    return folder


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ("{", r"labels\.json cannot be read .*export the model again"),
        ("[]", "expected a JSON object, found a list"),
        ('{"task": "colour", "labels": ["a"]}', r"expected a task \(product, emotion, answer\) and its labels"),
        ('{"task": "product", "labels": []}', "expected a task"),
        ('{"task": "answer", "product": ["a"]}', "expected a task"),
        (
            '{"task": "product", "labels": ["a", "b"]}',
            r"has 3 classes and labels\.json names 2; export the model again",
        ),
        (
            '{"task": "answer", "product": ["a"], "emotion": ["b"]}',
            "to return product, product_confidence,.*found confidence, label",
        ),
    ],
)
def test_labels_that_do_not_fit(tmp_path, product_model, labels, words):
    with pytest.raises(ModelError, match=words):
        Predictor.load(copy_of(product_model, tmp_path / "m", labels=labels))


def test_folders_that_hold_no_whole_model(tmp_path, product_model):
    with pytest.raises(ModelError, match=r"does not exist; Run `make train`, or give the folder of a saved model"):
        Predictor.load(tmp_path / "no")
    with pytest.raises(ModelError, match=r"holds no whole model: saved_model\.pb is missing"):
        Predictor.load(tmp_path)
    with pytest.raises(ModelError, match="is a file; give the folder"):
        Predictor.load(product_model / "saved_model.pb")
    folder = copy_of(product_model, tmp_path / "m")
    (folder / "labels.json").unlink()
    with pytest.raises(ModelError, match=r"labels\.json is missing; export it again"):
        Predictor.load(folder)
    for damage in ("saved_model.pb", "variables/variables.index"):
        folder = copy_of(product_model, tmp_path / damage.split("/")[0])
        (folder / damage).write_bytes(b"no model")
        with pytest.raises(ModelError, match=r"holds no model that TensorFlow .* can load .*export it again") as caught:
            Predictor.load(folder)
        assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match=r"metrics\.json cannot be read"):
        Predictor.load(copy_of(product_model, tmp_path / "n", metrics="nonsense"))


def test_signatures_that_do_not_fit(tmp_path):
    import tensorflow as tf

    module = tf.Module()
    serve = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    for folder, signatures, found in (("a", None, "no signature"), ("b", serve, r"with the inputs \['x'\]")):
        tf.saved_model.save(module, str(tmp_path / folder), signatures=signatures)
        (tmp_path / folder / "labels.json").write_text('{"task": "product", "labels": ["a"]}')
        with pytest.raises(
            ModelError, match=r"expected the signature serving_default\(text: string\[N\]\), .*" + found
        ):
            Predictor.load(tmp_path / folder)


def test_a_batch_that_does_not_fit_into_memory():
    import tensorflow as tf

    def signature(text):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM")

    model = Predictor({"product": PRODUCTS}, predict._scorer(signature, {}))
    with pytest.raises(ModelError, match="a batch of 2 texts does not fit into memory; give a smaller --batch-size"):
        predict_texts(model, ["a", "b"])


# -------------------------------------------------------------------------------------------------- the command line


def test_file_to_file(stubbed, tmp_path, capsys):
    source, target = tmp_path / "in.csv", tmp_path / "new" / "out.csv"
    source.write_text('id,text,note\n007,"an ""iPad""\nhere!",NA\n1e5,a phone,\n')
    assert predict.main([str(source), "--output", str(target), "--batch-size", "1"]) == 0
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


@pytest.mark.parametrize("kind", ["csv", "tsv", "xlsx", "parquet", "jsonl"])
@pytest.mark.parametrize("target", ["tsv", "xlsx", "parquet", "jsonl"])
def test_every_format_to_every_format(stubbed, tmp_path, kind, target):
    first, second = tmp_path / f"a.{kind}", tmp_path / f"b.{target}"
    with tables.table_writer(first) as writer:
        writer.write(pandas.DataFrame({"text": ["=iPad é😀", "phone"], "n": ["1", "2"]}))
    assert predict.main([str(first), "--output", str(second)]) == 0
    with tables.open_table(second) as table:
        (frame,) = table.chunks()
    assert list(frame) == ["text", "n", "product", "product_confidence"]
    assert frame["text"].tolist() == ["=iPad é😀", "phone"]
    assert frame["product"].tolist() == ["iPad", "iPhone"]


def test_confidence_in_parquet_is_float32(stubbed, tmp_path):
    (tmp_path / "a.txt").write_text("iPad\n")
    predict.main([str(tmp_path / "a.txt"), "--output", str(tmp_path / "b.parquet")])
    schema = pyarrow.parquet.read_schema(tmp_path / "b.parquet")
    assert schema.field("product_confidence").type == pyarrow.float32()


def test_header_only_gives_a_header(stubbed, tmp_path, capsys):
    (tmp_path / "a.csv").write_text("id,text\n")
    for suffix in (".csv", ".xlsx", ".parquet"):
        assert predict.main([str(tmp_path / "a.csv"), "--output", str(tmp_path / f"b{suffix}")]) == 0
    assert rows_of(tmp_path / "b.csv") == [["id", "text", "product", "product_confidence"]]
    assert openpyxl.load_workbook(tmp_path / "b.xlsx").active.max_row == 1
    assert pyarrow.parquet.read_table(tmp_path / "b.parquet").shape == (0, 4)
    assert "note: there is a header and not one row" in capsys.readouterr().err


def test_texts_as_a_table(stubbed, capsys):
    assert predict.main(["--text", "[red]iPad[/red] \x1b[31m\r\u202e", "--text", "x", "--format", "table"]) == 0
    captured = capsys.readouterr()
    assert "[red]iPad[/red] ␛[31m␍\ufffd" in captured.out
    assert "50.0%" in captured.out
    assert captured.err == ""


def test_texts_as_csv_and_json(stubbed, capsys):
    predict.main(["--text", "an iPad", "--text", "é\u009b", "--format", "csv"])
    assert capsys.readouterr().out == "text,product,product_confidence\nan iPad,iPad,1.0\né\u009b,iPhone,0.2\n"
    predict.main(["--text", "\ud83d\x7f\u009bé", "--format", "json", "--probabilities"])
    line = capsys.readouterr().out
    assert line.startswith('{"text": "\\ud83d\\u007f\\u009bé", "product": "iPhone", "product_confidence": ')
    assert json.loads(line)["product_probability_Google"] == 0


def test_csv_is_the_default_for_a_pipe_and_a_table_for_a_terminal(stubbed, capsys, monkeypatch):
    predict.main(["--text", "a\x1b"])
    assert capsys.readouterr().out.startswith("text,product")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    predict.main(["--text", "a\x1b"])
    assert "│ a␛ " in capsys.readouterr().out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    predict.main(["--text", "a\x1b\nb", "--format", "csv"])
    assert '"a␛\nb",iPhone' in capsys.readouterr().out


def test_standard_input(stubbed, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("an iPad\n\ncafé\n".encode())))
    assert predict.main(["-", "--format", "json"]) == 0
    captured = capsys.readouterr()
    assert [json.loads(line)["text"] for line in captured.out.splitlines()] == ["an iPad", "", "café"]
    assert captured.err.startswith("3 texts in ")


def test_a_long_text_is_shortened_on_the_terminal_only(stubbed, capsys):
    predict.main(["--text", "x" * 1000, "--format", "table"])
    assert capsys.readouterr().out.count("x") == predict.SHOWN_CHARACTERS - 1 + 1  # one in the heading "text"


def test_sheet_and_column(stubbed, tmp_path, capsys):
    book = openpyxl.Workbook()
    sheet = book.create_sheet("Test")
    for row in (["Tweet", "Other"], ["a", "iPad"]):
        sheet.append(row)
    book.save(tmp_path / "a.xlsx")
    assert predict.main([str(tmp_path / "a.xlsx"), "--sheet", "Test", "--column", "Other"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "a,iPad,iPad,0.2"


def test_warning_about_the_sample_corpus(monkeypatch, capsys, save_model):
    folder = save_model({"task": "product", "labels": PRODUCTS}, metrics={"dataset": "sample"})
    predict.main(["--text", "iPad", "--model", str(folder)])
    captured = capsys.readouterr()
    assert captured.err.startswith(f"warning: {folder} was trained on the small sample corpus, not on the real data")
    assert captured.out.splitlines()[1].startswith("iPad,iPad,0.9")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "got none of them"),
        (["a.csv", "--text", "a"], "got several of them"),
        (["a.csv", "--output", "b.csv", "--format", "csv"], "leave one of them out"),
        (["--text", "a", "--column", "b"], "--column chooses a part of a file"),
        (["a.csv", "--data", "b.csv"], "--data names the dataset for --test-predictions"),
        (["-", "--sheet", "a"], "--sheet chooses a sheet of an .xlsx workbook"),
        (["--text", "a", "--output", "b.pdf"], "found '.pdf'"),
    ],
)
def test_wrong_usage(stubbed, arguments, words):
    with pytest.raises(UsageError) as caught:
        predict.main(arguments)
    assert words in str(caught.value)


@pytest.mark.parametrize("size", ["0", "-1", "many", "1.5"])
def test_wrong_batch_size(size, capsys):
    with pytest.raises(SystemExit) as stop:
        predict.main(["--text", "a", f"--batch-size={size}"])
    assert stop.value.code == 2
    assert f"expected a whole number above 0, got '{size}'" in capsys.readouterr().err


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


def test_an_input_with_our_columns_is_refused(stubbed, tmp_path):
    (tmp_path / "a.csv").write_text("text,product\na,b\n")
    with pytest.raises(DataError, match="already has a column called 'product'"):
        predict.main([str(tmp_path / "a.csv"), "--output", str(tmp_path / "b.csv")])
    assert not (tmp_path / "b.csv").exists()


def test_a_full_disk(stubbed, tmp_path, monkeypatch):
    def write(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tables.CsvWriter, "write", write)
    with pytest.raises(OutputError, match="the disk is full; free some space and run the command again"):
        predict.main(["--text", "a", "--output", str(tmp_path / "a.csv")])
    assert list(tmp_path.iterdir()) == []


def test_exit_codes(stubbed, monkeypatch, capsys):
    for arguments, code, words in (
        (["no.csv"], 1, "error: no.csv does not exist"),
        ([], 2, "error: expected a file"),
    ):
        monkeypatch.setattr(sys, "argv", ["predict", *arguments])
        with pytest.raises(SystemExit) as stop:
            console.run(predict.main)
        assert stop.value.code == code
        assert capsys.readouterr().err.startswith(words)


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=5))
def test_the_users_columns_are_untouched(stubbed, tmp_path, rows):
    source, target = tmp_path / "a.csv", tmp_path / "b.csv"
    with source.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([("note", "text"), *rows])
    predict.main([str(source), "--output", str(target), "--overwrite"])
    found = rows_of(target)
    assert found[0] == ["note", "text", "product", "product_confidence"]
    assert [tuple(row[:2]) for row in found[1:]] == rows


# ------------------------------------------------------------------------------------------------ the report's file


@pytest.fixture
def dataset(monkeypatch, tmp_path):
    """A dataset with two unlabelled tweets, in place of the real one."""
    unlabelled = pandas.DataFrame({"Tweet": ["an iPad", ""]}, dtype="str")
    source = data.Source(tmp_path / "data.xlsx", "because")
    monkeypatch.setattr(data, "resolve", lambda path: source)
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
    assert predict.write_test_predictions(stub(has_emotion=True), output=tmp_path / "b.csv") == 2
    assert rows_of(tmp_path / "b.csv")[0][2:] == ["product_confidence", "emotion", "emotion_confidence", "answer"]


def test_a_dataset_without_unlabelled_tweets(stubbed, dataset, monkeypatch, tmp_path):
    monkeypatch.setattr(data, "read", lambda path: SimpleNamespace(unlabelled=None, path=path))
    with pytest.raises(DataError, match=r"has no sheet 'Test' with unlabelled tweets.*--data PATH"):
        predict.main(["--test-predictions"])


# ------------------------------------------------------------------------------------- processes: start, stop, memory

WITH_STUB = """
import re, resource, sys, time
from pathlib import Path
import numpy
from tf_model import console, predict

def score(batch):
    time.sleep(DELAY)
    sure = numpy.full(len(batch), 0.5, numpy.float32)
    return {"product": numpy.array(["iPad"] * len(batch), object), "product_confidence": sure}

DELAY = float(sys.argv.pop(1))
predict.Predictor.load = lambda folder=None: predict.Predictor({"product": ("iPad",)}, score)
try:
    console.run(predict.main)
finally:
    status = Path("/proc/self/status")  # on Linux ru_maxrss counts what the parent held when it forked
    peak = re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1] if status.exists() else None
    if not sys.stderr.closed:
        print("peak", peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def with_stub(delay: float, *arguments: object) -> list[str]:
    return [sys.executable, "-c", WITH_STUB, str(delay), *map(str, arguments)]


def test_help_is_quick():
    begun = time.monotonic()
    done = subprocess.run([sys.executable, "-m", "tf_model.predict", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "saved_models/answer" in done.stdout
    assert time.monotonic() - begun < 3
    code = "import sys, tf_model.predict; print({'tensorflow', 'pandas', 'pyarrow', 'rich'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize(
    ("number", "code", "line"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_an_interrupt_leaves_no_output(tmp_path, number, code, line):
    (tmp_path / "a.txt").write_text("".join(f"text {i}\n" for i in range(10_000)))
    command = with_stub(0.1, tmp_path / "a.txt", "--output", tmp_path / "b.csv")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob(".b.csv.*.part")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.2)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert re.fullmatch(rf"{line}\npeak \d+\n", errors)
    assert list(tmp_path.iterdir()) == [tmp_path / "a.txt"]


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    (tmp_path / "a.txt").write_text("".join(f"text {i}\n" for i in range(30_000)))
    process = subprocess.Popen(with_stub(0, tmp_path / "a.txt"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"text,product,product_confidence\n"
    process.stdout.close()
    assert process.wait(30) == 0
    assert b"Traceback" not in process.stderr.read()


def test_memory_does_not_grow_with_the_input(tmp_path):
    peaks = []
    for rows in (10_000, 200_000):
        (tmp_path / "a.csv").write_text("id,text\n" + "".join(f"{i},iPad {i} {'x' * 100}\n" for i in range(rows)))
        command = with_stub(0, tmp_path / "a.csv", "--output", tmp_path / f"{rows}.csv")
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peaks.append(int(done.stderr.split("peak ")[1]))
    assert sum(1 for _ in (tmp_path / "200000.csv").open()) == 200_001
    assert peaks[1] - peaks[0] < 12_000, "in KiB; the larger file alone is 22,000"
