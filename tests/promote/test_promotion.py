"""Which models may replace which, and the command that does it."""

import json
import math
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sample_datasets import write_csv
from stub_model import EMOTIONS, PRODUCTS, stub

from tf_model import paths, tasks
from tf_model.errors import ModelError, OutputError, UsageError
from tf_model.inference.predictor import Predictor
from tf_model.promote import promotion
from tf_model.promote.versions import RECORD, previous_of


def compared(difference: float, verdict: str = "no clear difference") -> dict:
    """What a comparison found."""
    figures = {
        "old": {"accuracy": 0.88},
        "new": {"accuracy": 0.88 + difference},
        "difference": difference,
        "only_old_right": 7,
        "only_new_right": 3,
        "p_value": 0.34,
        "verdict": verdict,
    }
    return {"task": "product", "verdict": verdict, "tasks": {"product": figures}}


def write(folder: Path, dataset: str = "assignment", emotion: bool = False, mark: str = "", **files: str) -> Path:
    """A folder that stands for a model; ``mark`` tells one from another."""
    folder.mkdir(parents=True)
    labels = {"product": PRODUCTS} | ({"emotion": EMOTIONS} if emotion else {})
    papers = {"saved_model.pb": mark, "model.json": json.dumps({"dataset": dataset, "labels": labels}), **files}
    for name, content in papers.items():
        (folder / name).write_text(content)
    return folder


def mark_of(folder: Path) -> str | None:
    return (folder / "saved_model.pb").read_text() if folder.exists() else None


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch):
    """Models in plain Python, and a folder for them."""

    def load(folder):
        if not (folder / "model.json").is_file():
            raise ModelError(f"{folder} holds no whole model")
        known = json.loads((folder / "model.json").read_text())
        plain = stub(has_emotion="emotion" in known["labels"])

        def score(batch):
            if (folder / "fails").exists():
                raise KeyError("product")
            outputs = plain.score(batch)
            if (folder / "nan").exists():
                outputs["product_probabilities"] = np.full((len(batch), 3), math.nan)
            return outputs

        return replace(plain, score=score, folder=folder, metrics={"dataset": known["dataset"]})

    monkeypatch.setattr(promotion.Predictor, "load", load)
    monkeypatch.setattr(paths, "SAVED_MODELS", tmp_path / "saved_models")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "saved_models"


@pytest.fixture
def new(tmp_path):
    return write(tmp_path / "new", mark="new")


# ------------------------------------------------------------------------------------------------------ may it?


def test_the_first_model_needs_no_comparison(models, new):
    done = promotion.promote(new)
    assert (done.target, done.previous, done.comparison) == (models / "product", None, None)
    assert mark_of(models / "product") == mark_of(new) == "new"
    assert json.loads((models / "product" / RECORD).read_text())["from"] == "new"


def test_a_model_of_both_tasks_is_the_answer(models, tmp_path):
    assert promotion.promote(write(tmp_path / "joint", emotion=True)).target == models / "answer"


@pytest.mark.parametrize("difference", [0.0, 0.01])
def test_a_model_that_is_not_worse_replaces_the_old_one_which_is_kept(models, new, difference):
    old = write(models / "product", mark="old")
    done = promotion.promote(new, comparison=compared(difference))
    assert (mark_of(old), mark_of(done.previous)) == ("new", "old")
    assert done.comparison == compared(difference)


def test_a_worse_model_is_refused_unless_told(models, new):
    old = write(models / "product", mark="old")
    with pytest.raises(
        ModelError, match=r"0\.8700 against 0\.8800, .* 3 against 7 times, .*promote \S+ --to \S+ --allow-worse`"
    ) as caught:
        promotion.promote(new, comparison=compared(-0.01))
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(ModelError, match="--allow-worse"):  # force is for other things
        promotion.promote(new, comparison=compared(-0.01), force=True)
    assert mark_of(old) == "old"
    promotion.promote(new, comparison=compared(-0.01), allow_worse=True)
    assert mark_of(old) == "new"


@pytest.mark.parametrize("fault", ["nan", "fails"])
def test_a_broken_model_is_never_promoted(models, tmp_path, fault):
    old, broken = write(models / "product", mark="old"), write(tmp_path / "broken", **{fault: ""})
    words = {"nan": "expected probabilities of the product that sum to 1", "fails": "cannot answer"}[fault]
    with pytest.raises(ModelError, match=words):
        promotion.promote(broken, comparison=compared(0.1), force=True, allow_worse=True)
    with pytest.raises(ModelError, match=words):
        promotion.promote(broken, models / "another")
    assert mark_of(old) == "old"
    assert not (models / "another").exists()


def test_a_model_of_the_sample_does_not_replace_one_of_real_tweets(models, tmp_path):
    old, sample = write(models / "product", mark="old"), write(tmp_path / "sample", "sample", mark="sample")
    with pytest.raises(ModelError, match=r"was trained on the sample corpus, .* on real tweets; .* --force` promotes"):
        promotion.promote(sample, comparison=compared(0.1))
    assert mark_of(old) == "old"
    promotion.promote(sample, comparison=compared(0.1), force=True)
    assert mark_of(old) == "sample"


def test_a_model_of_real_tweets_replaces_one_of_the_sample_uncompared(models, new, capsys):
    old = write(models / "product", "sample", mark="sample")
    assert promotion.promote(new).comparison is None
    assert mark_of(old) == "new"
    assert "replaces it uncompared" in capsys.readouterr().err


def test_a_model_of_another_task_is_refused(models, new):
    write(models / "answer", emotion=True)
    with pytest.raises(ModelError, match=r"predicts product and .*answer product, emotion; .* --force` promotes"):
        promotion.promote(new, models / "answer", comparison=compared(0.1))


def test_the_command_that_a_refusal_names_promotes(models, new, tmp_path, monkeypatch):
    old, read = write(models / "product", mark="old", emotion=True), []
    monkeypatch.setattr(
        "tf_model.evaluation.comparison.compare_models",
        lambda current, model, dataset: read.append(dataset.name) or compared(-0.1),
    )
    monkeypatch.setattr("tf_model.evaluation.comparison.print_comparison", lambda *_: None)
    data = write_csv(tmp_path / "my tweets.csv")
    options: dict = {}
    for added in ("force", "allow_worse"):  # another task, then a lower accuracy
        with pytest.raises(ModelError, match="promotes it all the same") as refused:
            promotion.promote(new, old, path=data, **options)
        options[added] = True
    command = shlex.split(re.search(r"`(.*)`", str(refused.value)).group(1))
    assert command[:3] == ["python", "-m", "tf_model.promote"]
    assert command[-4:] == ["--data", str(data), "--force", "--allow-worse"]
    assert promotion.main(command[3:]) == 0
    assert mark_of(old) == "new"
    assert set(read) == {"custom"}


def test_models_that_cannot_be_compared_need_force(models, new, tmp_path, capsys):
    old = write(models / "product", mark="old")
    other = write_csv(tmp_path / "other.csv")
    with pytest.raises(
        ModelError, match=r"cannot be compared: .* was trained on other data .* --to .* --force` promotes"
    ):
        promotion.promote(new, path=other)
    assert mark_of(old) == "old"
    assert promotion.promote(new, path=other, force=True).comparison is None
    assert mark_of(old) == "new"
    assert "were not compared" in capsys.readouterr().err


def test_anything_that_works_replaces_what_does_not(models, new, capsys):
    old = write(models / "product", mark="old")
    (old / "model.json").unlink()
    promotion.promote(new)
    assert mark_of(old) == "new"
    assert "the model in use is broken" in capsys.readouterr().err


def test_what_is_no_model_is_not_replaced(models, new):
    (models / "product").mkdir(parents=True)
    (models / "product" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="is not a saved model and is not replaced"):
        promotion.promote(new, force=True)
    assert (models / "product" / "thesis.txt").read_text() == "mine"


def test_a_model_does_not_replace_itself(models):
    old = write(models / "product")
    with pytest.raises(UsageError, match="is the model in use already"):
        promotion.promote(old)


def test_the_kept_versions_are_no_place_to_promote_to(models, new):
    with pytest.raises(UsageError, match="expected a name such as saved_models/answer"):
        promotion.promote(new, models / ".previous")


# ------------------------------------------------------------------------------------------------------ and back


def test_back_and_forth(models, new):
    old = write(models / "product", mark="old")
    promotion.promote(new, comparison=compared(0.1))
    assert promotion.rollback(old) == previous_of(old)
    assert (mark_of(old), mark_of(previous_of(old))) == ("old", "new")
    promotion.rollback(old)
    assert (mark_of(old), mark_of(previous_of(old))) == ("new", "old")


def test_a_rollback_needs_a_version_that_works(models, new):
    old = write(models / "product", mark="old")
    with pytest.raises(ModelError, match="does not exist: only a promotion keeps the version before it"):
        promotion.rollback(old)
    assert [each.name for each in models.iterdir()] == ["product"]  # nothing was made
    promotion.promote(new, comparison=compared(0.1))
    (previous_of(old) / "model.json").unlink()
    with pytest.raises(ModelError, match="holds no whole model"):
        promotion.rollback(old)
    assert mark_of(old) == "new"


# ------------------------------------------------------------------------------------------------------ the command


def test_the_command(models, new, capsys):
    assert promotion.main(["new"]) == 0
    assert capsys.readouterr().err == "promoted new to saved_models/product\n"
    newer = write(new.parent / "newer", mark="newer")
    assert promotion.main([str(newer), "--to", "saved_models/product", "--force", "--data", "nowhere.csv"]) == 0
    assert (
        "promoted newer to saved_models/product\n"
        "the version before is kept in saved_models/.previous/product; to go back: "
        "python -m tf_model.promote --rollback product\n"
    ) in capsys.readouterr().err
    assert promotion.main(["--rollback", "product"]) == 0
    assert mark_of(models / "product") == "new"
    assert "saved_models/product is the previous version again" in capsys.readouterr().err
    assert promotion.main(["--rollback", "saved_models/product"]) == 0
    assert mark_of(models / "product") == "newer"


@pytest.mark.parametrize("arguments", [[], ["new", "--rollback", "product"]])
def test_wrong_usage(arguments):
    with pytest.raises(UsageError, match="expected the folder of a new model, or --rollback NAME"):
        promotion.main(arguments)


# ------------------------------------------------------------------------------------------------------ real models


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A SavedModel that says iPad for a text with "ipad", else Google."""
    import tensorflow as tf

    class Tiny(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def serve(self, text):
            has_ipad = tf.cast(tf.strings.regex_full_match(tf.strings.lower(text), "(?s).*ipad.*"), tf.int32)
            probabilities = tf.gather(tf.constant([[0.1, 0.1, 0.8], [0.1, 0.8, 0.1]]), has_ipad)
            label = tf.gather(tf.constant(PRODUCTS), tf.argmax(probabilities, 1))
            return {"label": label, "confidence": tf.reduce_max(probabilities, 1), "probabilities": probabilities}

    folder = tmp_path_factory.mktemp("real") / "model"
    model = Tiny()
    tf.saved_model.save(model, str(folder), signatures={"serving_default": model.serve})
    (folder / "labels.json").write_text(json.dumps({"task": "product", "labels": PRODUCTS}))
    return folder


def test_real_models_are_loaded_compared_and_exchanged(models, saved, tmp_path, monkeypatch, capsys):
    monkeypatch.undo()  # the real way to load
    monkeypatch.chdir(tmp_path)
    rows = [
        (f"{word} {number}", product, tasks.POSITIVE)
        for number, (word, product) in enumerate(
            [("ipad", "iPad"), ("apples", "Google"), ("maps", "Google"), ("case of ipad", "iPad")]
        )
    ]
    dataset = write_csv(tmp_path / "data.csv", rows)
    from tf_model.data.dataset import read

    metrics = json.dumps({"dataset": "custom", "data_sha256": read(dataset).sha256})
    for name in ("new", "saved_models/product"):
        shutil.copytree(saved, tmp_path / name)
        (tmp_path / name / "metrics.json").write_text(metrics)
        (tmp_path / name / "validation_predictions.csv").write_text("row\n0\n1\n2\n3\n")
    (tmp_path / "new" / "model_card.md").write_text("new")
    assert promotion.main(["new", "--to", "saved_models/product", "--data", str(dataset)]) == 0
    assert "no clear difference between the models: accuracy of the product 1.0000" in capsys.readouterr().out
    assert Predictor.load(tmp_path / "saved_models" / "product").metrics["dataset"] == "custom"
    assert (tmp_path / "saved_models" / "product" / "model_card.md").exists()

    damaged = shutil.copytree(saved, tmp_path / "damaged")
    graph = damaged / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:200])
    with pytest.raises(ModelError, match="holds no model that TensorFlow"):
        promotion.main([str(damaged), "--to", "saved_models/product", "--force"])
    assert promotion.main(["--rollback", "saved_models/product"]) == 0
    assert not (tmp_path / "saved_models" / "product" / "model_card.md").exists()
