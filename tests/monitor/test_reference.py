"""The reference is saved in a model's folder, and loaded unchanged."""

import json
from dataclasses import replace

import pytest

from tests.monitor.made_up import predictions
from tf_model.errors import ModelError
from tf_model.model_dir import served_version, training_of
from tf_model.monitor import reference
from tf_model.monitor.aggregates import Window
from tf_model.promote.versions import add_version


@pytest.fixture
def made():
    frame = predictions(3, product=["iPad", "iPad", "Google"], sure=[0.5, 0.75, 1.0])
    return reference.build(["a", "bb", "c" * 200], frame, "3 texts", [0.0, None, 0.5], {"product": 0.9})


def test_it_counts_what_a_window_counts(made):
    assert made.rows == 3
    window = Window(0, 1, made.counts)
    assert window.labels("product") == {"iPad": 2, "Google": 1}
    assert window.histogram("product_confidence").mean == 0.75
    assert window.histogram("unk_rate").count == 2
    assert window.histogram("length").mean == pytest.approx(203 / 3)
    assert window.requests == 0, "what belongs to a call and not to a prediction is no part of it"


def test_it_comes_back_from_a_folder(made, tmp_path):
    made.save(tmp_path)
    assert reference.load(tmp_path) == made
    assert "c" * 3 not in (tmp_path / "reference.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("metrics", "known"),
    [
        ({"validation": {"answer": {"accuracy": 0.7, "answered_accuracy": 0.82}}}, 0.82),
        ({"validation": {"answer": {"answered_accuracy": None}}}, None),
        ({"validation": {"product": {"accuracy": 0.88}}}, None),
        ({}, None),
    ],
)
def test_how_often_what_is_answered_is_right_comes_from_the_figures_of_the_model(made, tmp_path, metrics, known):
    made.save(tmp_path)
    (tmp_path / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    assert reference.load(tmp_path) == replace(made, answered_accuracy=known)


def test_a_folder_without_one_has_none(tmp_path):
    assert reference.load(tmp_path) is None
    assert reference.load(tmp_path / "missing") is None


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[]", b"null", b"\xff\xfe"),
        *({"format": 1}, {"counts": {"product": {"iPad": 3}}}, {"counts": {"length": {"odd": [1, 1.0]}}}),
    ],
)
def test_one_that_is_damaged_or_of_another_version_is_explained(made, tmp_path, content):
    made.save(tmp_path)
    file = tmp_path / "reference.json"
    changed = content if isinstance(content, bytes) else json.dumps(json.loads(file.read_bytes()) | content).encode()
    file.write_bytes(changed)
    with pytest.raises(ModelError, match=r"reference.json cannot be used \(.*\); train the model again"):
        reference.load(tmp_path)


def test_it_is_that_of_the_version_that_answered(made, tmp_path):
    made.save(tmp_path)
    (tmp_path / "fingerprint.pb").write_bytes(b"one training")
    training = training_of(tmp_path)
    # The model may be much older than its version on the server, as after a rollback.
    served = [str(served_version(training, seconds)) for seconds in (1_000_000_000, 1_795_488_000)]
    for version in (training, *served):
        assert reference.load(tmp_path, version) == made
    (tmp_path / "fingerprint.pb").write_bytes(b"another training")
    for version in (training, *served, "", "1795488000"):
        assert reference.load(tmp_path, version) is None
    (tmp_path / "fingerprint.pb").unlink()
    assert reference.load(tmp_path, "") is None


def test_a_version_that_was_replaced_keeps_its_own(made, tmp_path):
    target, trainings = tmp_path / "answer", {}
    for name in ("old", "new"):
        new = tmp_path / name
        new.mkdir()
        (new / "fingerprint.pb").write_bytes(name.encode())
        replace(made, origin=name).save(new)
        trainings[name] = training_of(new)
        add_version(new, target)
    assert {name: reference.load(target, training).origin for name, training in trainings.items()} == {
        "old": "old",
        "new": "new",
    }
    assert reference.load(target).origin == "new"
    assert reference.load(target, "another") is None
