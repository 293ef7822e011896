"""Which models may replace which, and the command that does it."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sample_datasets import write_csv
from stub_model import EMOTIONS, PRODUCTS, stub, target_stub

from tf_model import evaluate, paths, signing, tasks
from tf_model.data.dataset import COLUMNS, read
from tf_model.errors import ModelError, OutputError, UsageError
from tf_model.inference.predictor import Predictor
from tf_model.promote import __main__ as command
from tf_model.promote.versions import other_version


def compared(difference: float) -> dict:
    """The result of a comparison of two models."""
    verdict = "no clear difference"
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


def write(folder: Path, emotion: bool = False, mark: str = "", **files: str) -> Path:
    """A folder that stands for a model; ``mark`` tells one from another."""
    folder.mkdir(parents=True)
    labels = {"product": PRODUCTS} | ({"emotion": EMOTIONS} if emotion else {})
    contents = {"saved_model.pb": mark, "model.json": json.dumps({"dataset": "assignment", "labels": labels}), **files}
    for name, content in contents.items():
        (folder / name).write_text(content)
    return folder


def run(*arguments: Path | str) -> None:
    assert command.main([str(each) for each in arguments]) == 0


def promote(new: Path, difference: float, *options: Path | str) -> list[dict]:
    """Promote as if the comparison had given this difference of accuracies; returns the comparisons printed."""
    printed: list[dict] = []

    def compare(_, candidate, *__):
        return compared(difference if candidate.folder == new else -difference)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command.data, "load", lambda path, **options: None)
        patch.setattr("tf_model.evaluation.comparison.compare_models", compare)
        patch.setattr("tf_model.evaluation.comparison.print_comparison", lambda _, result: printed.append(result))
        run(new, *options)
    return printed


def test_a_model_that_is_replaced_while_it_is_compared_is_not_promoted(models, new, monkeypatch):
    old, compare = write(models / "product", mark="old"), command._compare

    def train_again(*arguments):
        (new / "saved_model.pb").write_text("of another training")
        return compare(*arguments)

    monkeypatch.setattr(command, "_compare", train_again)
    with pytest.raises(ModelError, match="was replaced by another model meanwhile; promote it again"):
        promote(new, 0.1)
    assert mark_of(old) == "old"


def mark_of(folder: Path | None) -> str | None:
    return (folder / "saved_model.pb").read_text() if folder and folder.exists() else None


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch):
    """Models in plain Python, and a folder for them."""

    def load(folder, verify=None):
        if verify:
            signing.verify(folder, verify)
        if not (folder / "model.json").is_file():
            raise ModelError(f"{folder} holds no complete model")
        known = json.loads((folder / "model.json").read_text())
        plain = stub(has_emotion="emotion" in known["labels"])

        def score(batch):
            if (folder / "fails").exists():
                raise KeyError("product")
            outputs = plain.score(batch)
            if (folder / "nan").exists():
                outputs["product_probabilities"] = np.full((len(batch), 3), math.nan)
            return outputs

        labels = plain.labels | {"product": tuple(known["labels"]["product"])}
        return replace(plain, labels=labels, score=score, folder=folder, metrics=known)

    monkeypatch.setattr(command.Predictor, "load", load)
    monkeypatch.setattr(paths, "SAVED_MODELS", tmp_path / "saved_models")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "saved_models"


@pytest.fixture
def new(tmp_path):
    return write(tmp_path / "new", mark="new")


# ------------------------------------------------------------------------------------------------------ promotion


def test_the_first_model_needs_no_comparison(models, new):
    assert promote(new, 0.1) == []
    assert other_version(models / "product") is None
    assert mark_of(models / "product") == mark_of(new) == "new"
    with pytest.raises(ModelError, match="has no previous version"):
        run("--rollback", models / "product")


def test_a_model_of_both_tasks_is_the_answer(models, tmp_path):
    run(write(tmp_path / "joint", mark="joint", emotion=True))
    assert mark_of(models / "answer") == "joint"


def test_a_model_of_targets_never_takes_the_place_of_the_answer(models, new, monkeypatch):
    monkeypatch.setattr(command.Predictor, "load", lambda folder, verify=None: replace(target_stub(), folder=folder))
    run(new)
    assert mark_of(models / "target") == "new"


@pytest.mark.parametrize("difference", [0.0, 0.01])
def test_a_model_that_is_not_worse_replaces_the_old_one_which_is_kept(models, new, difference):
    old = write(models / "product", mark="old")
    assert promote(new, difference) == [compared(difference)]
    assert (mark_of(old), mark_of(other_version(old))) == ("new", "old")


def test_a_worse_model_is_refused_unless_told(models, new):
    old = write(models / "product", mark="old")
    with pytest.raises(
        ModelError, match=r"is lower; .* 0\.8700 against 0\.8800, .* new 3 times, old 7, .*add --force to promote"
    ) as caught:
        promote(new, -0.01)
    assert len(str(caught.value).splitlines()) == 1
    assert mark_of(old) == "old"
    promote(new, -0.01, "--force")
    assert mark_of(old) == "new"


@pytest.mark.parametrize("fault", ["nan", "fails"])
def test_a_broken_model_is_never_promoted(models, tmp_path, fault):
    old, broken = write(models / "product", mark="old"), write(tmp_path / "broken", **{fault: ""})
    words = {"nan": "expected probabilities of the product that sum to 1", "fails": "cannot answer"}[fault]
    with pytest.raises(ModelError, match=words):
        promote(broken, 0.1, "--force")
    with pytest.raises(ModelError, match=words):
        run(broken, "--to", models / "another")
    assert mark_of(old) == "old"
    assert not (models / "another").exists()


def test_a_model_of_another_task_is_refused(models, new):
    write(models / "answer", emotion=True)
    with pytest.raises(ModelError, match=r"predicts product and .*answer product, emotion; .*add --force to promote"):
        promote(new, 0.1, "--to", models / "answer")


def test_a_model_of_other_classes_is_refused(models, new):
    other = {"dataset": "custom", "labels": {"product": ["Kindle", "Xbox", "Switch"]}}
    write(models / "product", **{"model.json": json.dumps(other)})
    with pytest.raises(
        ModelError, match=r"predicts product and .*product with other classes; promote it under another"
    ):
        promote(new, 0.1, "--to", models / "product")


def test_models_that_cannot_be_compared_need_force(models, new, tmp_path, capsys):
    old = write(models / "product", mark="old")
    other = write_csv(tmp_path / "other.csv")
    with pytest.raises(ModelError, match=r"cannot be compared: .* was trained on other data .*add --force to promote"):
        run(new, "--data", other)
    assert mark_of(old) == "old"
    run(new, "--data", other, "--force")
    assert mark_of(old) == "new"
    printed = capsys.readouterr()
    assert "were not compared" in printed.err
    assert printed.out == ""


def test_other_data_with_other_column_names_is_called_other_data(models, new, tmp_path):
    known = {"dataset": "custom", "labels": {"product": PRODUCTS}, "columns": {"text": "review"}}
    write(models / "product", **{"model.json": json.dumps(known)})
    with pytest.raises(ModelError, match="was trained on other data"):
        run(new, "--data", write_csv(tmp_path / "other.csv"))


def test_anything_that_works_replaces_what_does_not(models, new, capsys):
    old = write(models / "product", mark="old")
    (old / "model.json").unlink()
    run(new)
    assert mark_of(old) == "new"
    assert "the model in use is broken" in capsys.readouterr().err


def test_what_is_no_model_is_not_replaced(models, new):
    (models / "product").mkdir(parents=True)
    (models / "product" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="is not a saved model, so it is not replaced"):
        run(new, "--force")
    assert (models / "product" / "thesis.txt").read_text() == "mine"


def test_a_model_does_not_replace_itself(models, new):
    old = write(models / "product", mark="old")
    with pytest.raises(UsageError, match="is already the model in use"):
        run(old)
    promote(new, 0.1)
    with pytest.raises(UsageError, match="new is already the model in use; give the folder of another one"):
        promote(new, 0.0, "--force")
    assert (mark_of(old), mark_of(other_version(old))) == ("new", "old")


@pytest.mark.parametrize("name", [".versions", ".versions/product/1", "..", ""])
def test_the_kept_versions_are_no_place_to_promote_to(models, new, name):
    place = models / name if name else Path("/")
    for act in (lambda: run(new, "--to", place), lambda: run("--rollback", place)):
        with pytest.raises(UsageError, match="expected a name such as saved_models/answer"):
            act()


def test_a_link_of_somebody_else_is_not_moved(models, new, tmp_path):
    elsewhere = write(tmp_path / "elsewhere", mark="old")
    models.mkdir()
    (models / "product").symlink_to(elsewhere)
    for act in (lambda: run(new, "--force"), lambda: run("--rollback", models / "product")):
        with pytest.raises(UsageError, match=r"saved_models/product is a link to .*; name that folder instead"):
            act()
    assert mark_of(models / "product") == "old"


# ------------------------------------------------------------------------------------------------------ rollback


def test_a_rollback_needs_a_version_that_works(models, new):
    old = write(models / "product", mark="old")
    with pytest.raises(ModelError, match=r"has no previous version in .* only a promotion keeps one"):
        run("--rollback", old)
    assert [each.name for each in models.iterdir()] == ["product"]
    promote(new, 0.1)
    (other_version(old) / "model.json").unlink()
    with pytest.raises(ModelError, match="holds no complete model"):
        run("--rollback", old)
    assert mark_of(old) == "new"


def test_a_name_that_a_killed_promotion_left_missing_comes_back(models, new, tmp_path, capsys):
    old = write(models / "product", mark="old")
    promote(new, 0.1)
    (models / "product").unlink()
    assert command.main(["--rollback", "product"]) == 0  # restores the previous of the two versions
    assert (mark_of(old), mark_of(other_version(old))) == ("old", "new")
    (models / "product").unlink()
    with pytest.raises(ModelError, match="--force"):  # the comparison still applies
        promote(write(tmp_path / "worse", mark="worse"), -0.1)
    assert mark_of(old) == "old"


def test_a_model_that_was_trained_over_a_promoted_one_can_be_taken_back(models, new):
    old = write(models / "product", mark="old")
    promote(new, 0.1)
    from tf_model.io.files import whole_folder

    with whole_folder(old, overwrite=True) as part:  # as train --overwrite and export --overwrite write
        (part / "saved_model.pb").write_text("trained")
        (part / "model.json").write_text((new / "model.json").read_text())
    assert mark_of(old) == "trained"
    run("--rollback", old)
    assert (mark_of(old), mark_of(other_version(old))) == ("old", "trained")


# ------------------------------------------------------------------------------------------------------ signatures


def test_what_does_not_verify_is_not_promoted(models, new, keys):
    old = write(models / "product", mark="old")
    with pytest.raises(ModelError, match="new is not signed"):
        promote(new, 0.1, "--verify", keys[1])
    signing.signer(keys[0])(new)
    (new / "saved_model.pb").write_text("altered")
    with pytest.raises(ModelError, match="new cannot be verified with"):
        promote(new, 0.1, "--verify", keys[1])
    assert mark_of(old) == "old"
    (new / "saved_model.pb").write_text("new")
    promote(new, 0.1, "--verify", keys[1])
    assert mark_of(old) == "new"
    with pytest.raises(ModelError, match="2 is not signed"):
        run("--rollback", old, "--verify", keys[1])
    assert mark_of(old) == "new"


def test_a_model_that_is_altered_between_check_and_copy_is_not_promoted(models, new, keys, monkeypatch):
    old = write(models / "product", mark="old")
    signing.signer(keys[0])(new)
    judge = command._compare

    def alter(*arguments):
        (new / "model_card.md").write_text("other words")
        return judge(*arguments)

    monkeypatch.setattr(command, "_compare", alter)
    with pytest.raises(ModelError, match="Extra files"):
        promote(new, 0.1, "--verify", keys[1])
    assert mark_of(old) == "old"
    assert [each.name for each in (models / ".versions").rglob("*")] == ["product"]


def test_a_promoted_copy_is_signed(models, new, keys):
    private, public = (str(key) for key in keys)
    with pytest.raises(UsageError, match="expected an elliptic-curve key"):
        run(new, "--sign", keys[1])
    assert command.main(["new", "--sign", private]) == 0
    signing.verify((models / "product").resolve(), keys[1])
    assert not (new / signing.SIGNATURE).exists()
    better = write(new.parent / "better", mark="better")
    signing.signer(keys[0])(better)
    promote(better, 0.1, "--sign", keys[0], "--verify", keys[1])
    assert command.main(["--rollback", "product", "--verify", public]) == 0
    assert mark_of(models / "product") == "new"


def test_the_newest_version_must_verify_too_where_the_name_is_missing(models, new, keys):
    target = write(models / "product", mark="old")
    promote(new, 0.1)
    target.unlink()
    with pytest.raises(ModelError, match="is not signed"):
        run("--rollback", target, "--verify", keys[1])
    assert not target.exists()
    run("--rollback", target)
    assert mark_of(target) == "old", "the version that was kept last"


# ------------------------------------------------------------------------------------------------------ the command


def test_the_command(models, new, capsys):
    assert command.main(["new"]) == 0
    assert capsys.readouterr().err == "promoted new to saved_models/product\n"
    newer = write(new.parent / "newer", mark="newer")
    assert command.main([str(newer), "--to", "saved_models/product", "--force", "--data", "nowhere.csv"]) == 0
    assert (
        "promoted newer to saved_models/product\n"
        "the previous version is kept in saved_models/.versions/product/1; to restore it: "
        "python -m tf_model.promote --rollback product\n"
    ) in capsys.readouterr().err
    assert command.main(["--rollback", "product"]) == 0
    assert mark_of(models / "product") == "new"
    assert (
        "saved_models/product is now saved_models/.versions/product/1; "
        "the other version is in saved_models/.versions/product/2\n"
    ) in capsys.readouterr().err
    assert command.main(["--rollback", "saved_models/product"]) == 0
    assert mark_of(models / "product") == "newer"


@pytest.mark.parametrize("is_signed", [False, True])
@pytest.mark.parametrize(("edited", "is_noted"), [("name\nKindle\n", True), ("name\niPad\n", False)])
def test_a_list_of_products_that_a_promotion_replaces_is_named(models, tmp_path, capsys, edited, is_noted, is_signed):
    write(models / "product", mark="old", **{"products.csv": edited})
    signature = {signing.SIGNATURE: "of all files"} if is_signed else {}
    write(tmp_path / "new", mark="new", **{"products.csv": "name\niPad\n"}, **signature)
    assert command.main(["new", "--force", "--data", "nowhere.csv"]) == 0
    files = "saved_models/.versions/product/2/products.csv saved_models/product/products.csv"
    note = f"note: its list of products is another than before; to keep the old one: cp {files}"
    note += ", then sign it again" * is_signed
    notes = [line for line in capsys.readouterr().err.splitlines() if "list of products" in line]
    assert notes == ([note] if is_noted else [])


@pytest.mark.parametrize("arguments", [[], ["new", "--rollback", "product"]])
def test_wrong_usage(arguments):
    with pytest.raises(SystemExit) as stopped:
        command.main(arguments)
    assert stopped.value.code == 2


@pytest.mark.parametrize("option", [["--to", "other"], ["--data", "x.csv"], ["--force"], ["--sign", "key.pem"]])
def test_a_rollback_says_what_it_does_not_take(option):
    with pytest.raises(UsageError, match=f"{option[0]} cannot be used with --rollback"):
        command.main(["--rollback", "product", *option])


# ------------------------------------------------------------------------------------------------------ real models


def save(folder: Path, pattern: str) -> Path:
    """A SavedModel that says iPad for a text with the pattern, else Google."""
    import tensorflow as tf

    class Tiny(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def serve(self, text):
            is_ipad = tf.cast(tf.strings.regex_full_match(text, f"(?s).*({pattern}).*"), tf.int32)
            probabilities = tf.gather(tf.constant([[0.1, 0.1, 0.8], [0.1, 0.8, 0.1]]), is_ipad)
            label = tf.gather(tf.constant(PRODUCTS), tf.argmax(probabilities, 1))
            outputs = {"label": label, "confidence": tf.reduce_max(probabilities, 1), "probabilities": probabilities}
            return outputs | {"product": label} | {f"product_{name}": outputs[name] for name in list(outputs)[1:]}

    model = Tiny()
    tf.saved_model.save(model, str(folder), signatures={"serving_default": model.serve})
    (folder / "labels.json").write_text(json.dumps({"task": "product", "labels": {"product": PRODUCTS}}))
    return folder


def test_real_models_are_loaded_compared_and_exchanged(models, tmp_path, monkeypatch, capsys):
    monkeypatch.undo()  # load models for real
    monkeypatch.chdir(tmp_path)
    rows = [
        (f"{word} {number}", product, tasks.POSITIVE, f"note {number}")
        for number, (word, product) in enumerate(
            [("ipad", "iPad"), ("apples", "Google"), ("maps", "Google"), ("case of ipad", "iPad")]
        )
    ]
    dataset = write_csv(tmp_path / "data.csv", rows, [*COLUMNS, "note"])
    metrics = json.dumps({"dataset": "custom", "data_sha256": read(dataset).sha256})
    for name, pattern in (("new", "ipad|note 0"), ("saved_models/product", "case")):
        save(tmp_path / name, pattern)
        (tmp_path / name / "metrics.json").write_text(metrics)
        (tmp_path / name / "validation_predictions.csv").write_text("row\n0\n1\n2\n3\n")
    (tmp_path / "new" / "model_card.md").write_text("new")
    assert command.main(["new", "--to", "saved_models/product", "--data", str(dataset)]) == 0
    assert (
        "no clear difference between the models: accuracy of the product 1.0000 against 0.7500"
        in capsys.readouterr().out
    )
    assert Predictor.load(tmp_path / "saved_models" / "product").metrics["dataset"] == "custom"
    assert (tmp_path / "saved_models" / "product" / "model_card.md").exists()

    damaged = shutil.copytree(tmp_path / "new", tmp_path / "damaged")
    graph = damaged / "saved_model.pb"
    graph.write_bytes(graph.read_bytes()[:200])
    with pytest.raises(ModelError, match=r"TensorFlow .* cannot load it"):
        command.main([str(damaged), "--to", "saved_models/product", "--force"])
    assert command.main(["--rollback", "saved_models/product"]) == 0
    assert not (tmp_path / "saved_models" / "product" / "model_card.md").exists()

    options = ["--data", str(dataset), "--text-column", "note"]
    capsys.readouterr()
    assert evaluate.main(["--compare", "saved_models/product", "new", *options]) == 0
    said = capsys.readouterr()
    assert "accuracy of the product 0.7500 against 0.5000" in said.out
    assert "columns: text: note, " in said.err
