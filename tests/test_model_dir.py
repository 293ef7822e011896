"""Which training a folder holds, and how a version on a server says so."""

import json

import pytest

from tf_model import model_dir, tasks
from tf_model.errors import ModelError


def test_a_copy_is_the_same_training_and_another_is_not(tmp_path):
    (tmp_path / model_dir.GRAPH).write_bytes(b"a graph")
    of_graph = model_dir.training_of(tmp_path)
    (tmp_path / model_dir.FINGERPRINT).write_bytes(b"one")
    one = model_dir.training_of(tmp_path)
    (tmp_path / model_dir.FINGERPRINT).write_bytes(b"two")
    assert len({"", of_graph, one, model_dir.training_of(tmp_path)}) == 4
    assert model_dir.training_of(tmp_path / "missing") == ""


def test_a_served_version_grows_with_time_and_names_its_training():
    first, later = (model_dir.served_version("0123456789ab", seconds) for seconds in (1_795_488_000, 1_795_488_001))
    other = model_dir.served_version("ba9876543210", 1_795_488_000)
    assert first < other < later or other < first < later
    assert [model_dir.served_since(each) for each in (first, other, later)] == [1_795_488_000] * 2 + [1_795_488_001]
    assert len(str(later)) == 16
    for version in (str(first), str(later), "0123456789ab"):
        assert model_dir.is_of_training(version, "0123456789ab")
        assert not model_dir.is_of_training(version, "ba9876543210")
        assert not model_dir.is_of_training(version, "")
    assert model_dir.is_of_training("123456789012", "123456789012"), "a hash of digits alone"


@pytest.mark.parametrize("content", ["[]", "{", "3"])
def test_what_is_no_object_is_refused(tmp_path, content):
    (tmp_path / "x.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match="export the model again"):
        model_dir.read_json(tmp_path / "x.json")
    assert model_dir.read_json(tmp_path / "missing.json") == {}


def test_labels_of_one_task_and_of_both(tmp_path):
    with pytest.raises(ModelError, match=r"saved_model.pb is missing"):
        model_dir.read_labels(tmp_path)
    (tmp_path / model_dir.GRAPH).touch()
    file = tmp_path / model_dir.LABELS
    file.write_text(json.dumps({"task": "product", "labels": ["a", "b"]}), encoding="utf-8")
    assert model_dir.read_labels(tmp_path) == {"product": ("a", "b")}
    file.write_text(json.dumps({"task": tasks.ANSWER, "product": ["a"], "emotion": ["b"]}), encoding="utf-8")
    assert model_dir.read_labels(tmp_path) == {"product": ("a",), "emotion": ("b",)}
    for damaged in ({"task": "colour", "labels": ["a"]}, {"task": ["x"]}, {"task": None}, {"task": "product"}):
        file.write_text(json.dumps(damaged), encoding="utf-8")
        with pytest.raises(ModelError, match="expected a task"):
            model_dir.read_labels(tmp_path)
