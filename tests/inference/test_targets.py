"""A row for each product that a text names: where, and the emotion toward it."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stub_model import EMOTIONS, stub, target_stub

from tf_model import model_dir, paths
from tf_model.data.products import Products
from tf_model.errors import DataError, ModelError, UsageError
from tf_model.inference.predictor import Predictor
from tf_model.inference.targets import TargetPredictor, find_target_model
from tf_model.io import tables
from tf_model.modeling.joint_label import NOT_SURE

NEGATIVE, NONE, POSITIVE = EMOTIONS
GAMES = Products({"Xbox": ["xbone"], "Kindle": ["Kindle Fire"]})
TARGETS = TargetPredictor(target_stub(), GAMES)
COLUMNS = {
    **{"product": "str", "mention": "str", "start": "Int64", "end": "Int64"},
    **{"emotion": "str", "emotion_confidence": "float32"},
}


def rows_of(frame: pandas.DataFrame) -> list[tuple]:
    """The rows, after the index of their text; missing values as None."""
    return [tuple(None if pandas.isna(value) else value for value in row) for row in frame.itertuples()]


def test_each_product_of_a_text_has_its_own_emotion():
    texts = ["the Kindle Fire is great, my xbone bad. Xbox great", "no product", "\U0001f600 caf\u00e9 Xbox"]
    found = TARGETS.predict(texts)
    assert found.dtypes.astype(str).to_dict() == COLUMNS
    assert rows_of(found.drop(columns="emotion_confidence")) == [
        (0, "Kindle", "Kindle Fire", 4, 15, POSITIVE),
        (0, "Xbox", "xbone", 29, 34, NEGATIVE),
        (1, None, None, None, None, None),
        (2, "Xbox", "Xbox", 7, 11, NONE),
    ]
    assert found["emotion_confidence"].tolist() == pytest.approx([0.6, 0.6, np.nan, 0.6], nan_ok=True)


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(st.lists(st.text(max_size=4) | st.sampled_from([" Xbox ", "#kindle ", " xbone."])).map("".join)))
def test_start_and_end_are_characters_of_the_text_as_it_was_given(texts):
    found = TARGETS.predict(texts)
    assert found.index.is_monotonic_increasing
    assert set(found.index) == set(range(len(texts))), "no text is lost"
    for row in found.dropna(subset="start").itertuples():
        assert texts[row.Index][row.start : row.end] == row.mention
    named = found.dropna(subset="start")
    assert not named.reset_index().duplicated(["text", "product"]).any()


@pytest.mark.parametrize("empty", [[], [""], [None, float("nan"), " \n"]])
def test_texts_of_nothing(empty):
    found = TARGETS.predict(empty, probabilities=True)
    assert len(found) == len(empty)
    assert found.dtypes.astype(str).to_dict() == {
        **COLUMNS,
        **{f"emotion_probability_{label}": "float32" for label in EMOTIONS},
    }
    assert found.index.dtype == "int64"
    assert found.isna().all(axis=None)


def test_probabilities_and_a_threshold():
    found = TARGETS.predict(["Xbox bad"], probabilities=True, threshold=0.61)
    assert found["emotion"].tolist() == [NOT_SURE]
    assert found.filter(like="emotion_probability_").iloc[0].tolist() == pytest.approx([0.6, 0.2, 0.2])
    assert TARGETS.predict(["Xbox bad"], threshold=0.6)["emotion"].tolist() == [NEGATIVE]
    with pytest.raises(UsageError, match="expected a threshold from 0 to 1"):
        TARGETS.predict(["nothing"], threshold=2)


def test_what_names_no_product_is_a_guess_of_the_answer_model():
    def score(batch):
        outputs = stub(has_emotion=True).score(batch)
        outputs["emotion"][:] = [NONE if b"tea" in text else POSITIVE for text in batch]
        outputs["answer"][:] = [NONE if b"tea" in text else f"{POSITIVE} \u2192 iPad" for text in batch]
        outputs["answer"][[b"hm" in text for text in batch]] = NOT_SURE
        return outputs

    answer = replace(stub(has_emotion=True), score=score)
    found = replace(TARGETS, answer=answer).predict(["my ipad", "Xbox bad", "tea", "hm, ipad", " "])
    others = replace(TARGETS, answer=answer, products=Products({"iPad": ()})).predict(["my ipadx", "ipad tea"])
    assert others["mention"].tolist() == ["unnamed", "ipad"]
    assert others["product"].tolist() == ["iPad", "iPad"]
    assert rows_of(found.drop(columns="emotion_confidence")) == [
        (0, None, "unnamed", None, None, POSITIVE),  # iPad, which is not on the list
        (1, "Xbox", "Xbox", 0, 4, NEGATIVE),
        (2, None, "unnamed", None, None, NONE),
        (3, None, "unnamed", None, None, NOT_SURE),
        (4, None, None, None, None, None),
    ]
    assert found["emotion_confidence"].notna().tolist() == [True] * 4 + [False]


def test_a_table_keeps_its_columns_and_repeats_them_for_each_product():
    table = tables.TextsInMemory(["Xbox bad, Kindle great", "tea", "Kindle"])
    table.columns = ["text", "text"]  # as CSV allows
    table.rows = lambda: ((number, [number, text]) for number, text in enumerate(table._texts))
    table.text_position = 1
    progress = []
    [found] = TARGETS.predict_table(table, on_progress=progress.append)
    assert list(found.columns) == ["text", "text", *COLUMNS]
    assert found.iloc[:, 0].tolist() == [0, 0, 1, 2]
    assert found.index.tolist() == [0, 0, 1, 2], "that of the chunk: one for each text"
    assert found["product"].tolist()[:2] == ["Xbox", "Kindle"]
    assert progress == [2, 1], "texts, not mentions"
    with_guesses, progress = replace(TARGETS, answer=stub(has_emotion=True)), []
    with_guesses.predict(["Xbox bad, Kindle great", "tea", "Kindle"], on_progress=progress.append)
    with_guesses.predict([], on_progress=progress.append)
    assert progress == [2, 1]


def test_the_emotion_at_a_mention_is_explained_and_the_guess_where_there_is_none():
    targets = TargetPredictor(target_stub(), GAMES, stub(True))
    texts = ["\x02 xbone bad", "tea", " "]
    named, unnamed, blank = (dict(zip(["text", *COLUMNS], row, strict=True)) for row in rows_of(targets.predict(texts)))
    found = targets.explain(texts[0], named)
    assert found.words == ("xbone", "bad"), "as marked, not as the model reads it"
    assert found.tasks["emotion"].label == NEGATIVE
    assert found.tasks["emotion"].weights[0] == 0 < found.tasks["emotion"].weights[1]
    assert list(targets.explain(texts[1], unnamed).tasks) == ["emotion"], "of the guess"
    assert replace(targets, answer=None).explain(texts[1], unnamed) is None
    assert targets.explain(texts[2], blank) is None


# ---------------------------------------------------------------- a trained model


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """An empty folder in place of ``saved_models``."""
    monkeypatch.setattr(paths, "SAVED_MODELS", tmp_path)
    return tmp_path


def test_the_model_and_its_products_are_found(saved, target_model):
    with pytest.raises(ModelError, match=r"no model in .*target; run `make targets`, or name the folder of one"):
        find_target_model()
    shutil.copytree(target_model, saved / "target")
    folder, products, answer = find_target_model()
    assert (folder, list(products.aliases), answer) == (saved / "target", ["Kindle", "Nintendo Switch", "Xbox"], None)
    (saved / "mine.csv").write_text("name,aliases\nXbox,xbone\n")
    (saved / "answer").mkdir()
    (saved / "answer" / model_dir.GRAPH).touch()
    labels = {"product": ["iPad"], "emotion": model_dir.read_labels(target_model)["target"]}
    (saved / "answer" / model_dir.LABELS).write_text(json.dumps({"labels": labels}))
    _, products, answer = find_target_model(target_model, saved / "mine.csv")
    assert (products.aliases, answer) == ({"Xbox": ("xbone",)}, saved / "answer")
    (saved / "answer" / model_dir.LABELS).write_text(json.dumps({"labels": labels | {"emotion": ["up", "down"]}}))
    assert find_target_model(target_model, saved / "mine.csv")[2] is None, "it guesses in other words"
    (saved / "answer" / model_dir.LABELS).write_text(json.dumps({"labels": {"emotion": labels["emotion"]}}))
    assert find_target_model(target_model, saved / "mine.csv")[2] is None, "it knows no products"


def test_a_folder_that_cannot_be_used_is_one_line(saved, target_model):
    folder = shutil.copytree(target_model, saved / "mine")
    with pytest.raises(ModelError, match="nowhere is not a folder"):
        find_target_model(saved / "nowhere")
    with pytest.raises(DataError, match=r"nothing\.csv"):
        find_target_model(folder, saved / "nothing.csv")
    (folder / "products.csv").unlink()
    with pytest.raises(ModelError, match=r"products\.csv is missing; give the products with --products FILE"):
        find_target_model(folder)
    (folder / "labels.json").write_text('{"labels": {"emotion": ["a", "b"]}}')
    with pytest.raises(ModelError, match="mine predicts for a whole text, not for each product; name the folder of"):
        find_target_model(folder)


@pytest.fixture(scope="module")
def model(target_model) -> Predictor:
    return Predictor.load(target_model)


def test_another_name_changes_no_probability(model):
    names = ["Zorblax 3000", "Quixo", "\u00c9clair", "[MASK]ify", "Apple"]
    aliases = {name: [] if name.isalpha() else [f"re:{name.replace('[', '.').replace(']', '.')}"] for name in names}
    targets = TargetPredictor(model, Products(aliases))
    frames = [
        targets.predict([f"I love my {name}!", f"RT @user: {name} is bad, is it? #sxsw"], probabilities=True)
        for name in names
    ]
    assert [set(frame["product"]) for frame in frames] == [{name} for name in names]
    scores = [frame.filter(like="emotion").drop(columns="emotion").to_numpy() for frame in frames]
    for each in scores[1:]:
        np.testing.assert_array_equal(each, scores[0])
    assert (scores[0][0] != scores[0][1]).any(), "the words around it count"


def test_a_mention_at_the_far_end_of_a_text_is_read(model):
    targets = TargetPredictor(model, GAMES)
    far, near = (f"{'love ' * times}I hate my Xbox so bad" for times in (3000, 200))
    found = targets.predict([far, near, f"{'love ' * 3000}I hate my"], probabilities=True)
    assert found["start"].tolist()[:2] == [far.index("Xbox"), near.index("Xbox")]
    scores = found.filter(like="probability").to_numpy()
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-6)


def test_the_python_of_the_docs_answers_like_the_command(random_models, tmp_path, monkeypatch):
    page = (paths.ROOT / "saved_models" / "README.md").read_text(encoding="utf-8")
    program = next(block for block in re.findall(r"```python\n(.*?)```", page, re.S) if "Predictor" in block)
    (tmp_path / "saved_models").symlink_to(random_models)
    (tmp_path / "names.csv").write_text("name,aliases\nKindle,Paperwhite; e-reader\nXbox,\n")
    monkeypatch.chdir(tmp_path)
    results: dict[str, pandas.DataFrame] = {}
    exec(program, results)
    assert list(results["answers"]) == list(Predictor.load(random_models / "answer").columns())
    assert list(results["targets"]) == list(COLUMNS)
    assert rows_of(results["targets"][["product", "start"]]) == [(0, "Kindle", 10), (0, "Xbox", 24)]
