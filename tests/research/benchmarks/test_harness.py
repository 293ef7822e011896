"""What the benchmarks share: runs are recorded with their command, and the files of trainings are read."""

from __future__ import annotations

import io
import json
import sys
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from research import runs
from research.benchmarks import gpu, harness, peer_worker, peers, train
from tf_model import config
from tf_model.errors import ModelError, TweetTargetError
from tf_model.modeling.backbone import find

METRICS = {
    "dataset": "assignment",
    "protocol": "random split",
    "device": "CPU",
    "seed": 0,
    "seconds": 6.0,
    "peak_memory_bytes": 10**9,
    "train": {"product": {"rows": 8, "loss": 0.2, "accuracy": 0.95, "macro_f1": 0.9}},
    "validation": {
        "product": {"rows": 2, "loss": 0.4, "accuracy": 0.88, "macro_f1": 0.8, "accuracy_interval": [0.8, 0.9]}
    },
}


@pytest.fixture(autouse=True)
def recorded_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "RUNS", tmp_path / "runs")


@pytest.fixture
def trained(monkeypatch):
    """Stands in for the real command: writes the files of a training, and records its options."""
    asked = []

    def run_training(*options):
        asked.append(options)
        named = dict(pairwise(options))
        folder = Path(named["--output-dir"]) / named.get("--name", "product")
        folder.mkdir(parents=True)
        options = {"backbone": named.get("--backbone"), "seed": int(named.get("--seed", 42))}
        recipe = config.make_config(named.get("--recipe", "report"), **options)
        for name, value in {"metrics": METRICS, "recipe": recipe.to_dict()}.items():
            (folder / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
        (folder / "history.csv").write_text("epoch,seconds\n1,9.0\n2,2.0\n3,4.0\n", encoding="utf-8")

    monkeypatch.setattr(harness, "run_training", run_training)
    return asked


def test_a_run_is_recorded_with_its_command():
    harness.record("app", ["--people", "3"], {"people": 3})
    assert runs.load("bench_app")["command"] == "python -m research.benchmarks.app --people 3"
    assert runs.load("bench_app")["people"] == 3


def test_a_way_to_answer_is_timed_text_by_text_and_all_together(monkeypatch):
    asked = []

    def answer(texts):
        asked.append(texts)
        return [text.upper() for text in texts]

    monkeypatch.setattr(peer_worker, "KINDS", {"loud": lambda folder: answer})
    monkeypatch.setattr(sys, "argv", ["peer_worker.py", "loud", "."])
    monkeypatch.setattr(sys, "stdin", io.StringIO('["longer", "text"]'))
    monkeypatch.setattr(sys, "stdout", output := io.StringIO())
    peer_worker.main()
    reply = json.loads(output.getvalue())
    assert reply["labels"] == ["LONGER", "TEXT"]
    assert len(reply["seconds"]) == 2
    assert reply["seconds_together"] > 0
    assert asked == [["longer"], ["text"], ["text", "longer"]] * 2, "the first round warms up"


def test_the_ways_to_answer_take_turns_and_are_compared_with_ours(monkeypatch):
    asked = []

    def run(command, **options):
        asked.append(command[2])
        label = "iPad" if command[2] == peers.OURS else "Google"
        reply = {"labels": ["iPad", label], "seconds": [0.001, 0.003], "seconds_together": 0.5}
        return SimpleNamespace(returncode=command[2] == "broken", stdout=json.dumps(reply))

    monkeypatch.setattr(peers.subprocess, "run", run)
    found = peers.measure("folder", {peers.OURS: ["a", "b"], "other": ["a", "b"]})
    assert asked == [peers.OURS, "other"] * peers.ROUNDS
    assert found[peers.OURS] == {"p50": 2.0, "p95": pytest.approx(3.0), "texts_per_second": 4, "labels_as_ours": 1}
    assert found["other"]["labels_as_ours"] == 0.5
    with pytest.raises(ModelError, match="broken failed; see its message above"):
        peers.measure("folder", {"broken": ["a"]})


def test_the_seeds_of_a_configuration_are_summed_up_and_not_trained_twice(trained, monkeypatch, tmp_path):
    monkeypatch.setattr(train, "MODELS", tmp_path / "models")
    for _ in range(2):
        assert train.main(["--seeds", "0", "1"]) == 0
    assert len(trained) == 2
    run = runs.load("bench_train_report")
    assert (run["rows"], run["reach_target"]) == ({"train": 8, "validation": 2}, 2)
    assert run["accuracy"]["n"] == 2
    assert run["seeds"][0]["validation_loss"] == 0.4
    assert "train_macro_f1" not in run["seeds"][0]


def test_other_pretrained_weights_are_recorded_apart(trained, monkeypatch, tmp_path):
    monkeypatch.setattr(train, "MODELS", tmp_path / "models")
    train.main(["--seeds", "0"])
    train.main(["--seeds", "0", "--backbone", "mpnet"])
    backbones = [runs.load(f"bench_train_{name}")["backbone"] for name in ("report", "report_mpnet")]
    assert (len(trained), backbones) == (2, ["minilm", "mpnet"])


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("metrics.json", {"dataset": "sample"}, "was not trained on the real dataset"),
        ("recipe.json", {"epochs": 99}, "with another recipe"),
    ],
)
def test_a_model_of_other_data_or_settings_is_not_counted(trained, monkeypatch, tmp_path, name, change, message):
    monkeypatch.setattr(train, "MODELS", tmp_path / "models")
    train.main(["--seeds", "0"])
    file = tmp_path / "models" / "report-0" / name
    file.write_text(json.dumps(json.loads(file.read_text()) | change), encoding="utf-8")
    with pytest.raises(TweetTargetError, match=message):
        train.main(["--seeds", "0"])


def test_an_epoch_on_a_gpu_is_timed_without_the_first(trained, tmp_path, monkeypatch):
    import transformers

    one_layer = partial(transformers.BertConfig, num_hidden_layers=1)  # 12 layers have 110 million weights
    monkeypatch.setattr(transformers, "BertConfig", one_layer)
    found = gpu.train(tmp_path, "--precision", "float32")
    assert (found["epoch_seconds"], found["device"], found["validation_accuracy"]) == (3.0, "CPU", 0.88)
    assert trained == [("--output-dir", str(tmp_path), "--precision", "float32")]
    backbone = find(str(gpu.random_bert_base(tmp_path)))
    assert json.loads((backbone.folder / "config.json").read_text())["hidden_size"] == 768


def test_without_a_gpu_its_benchmark_says_so():
    with pytest.raises(TweetTargetError, match="no GPU is visible to TensorFlow; run `make install-gpu`"):
        gpu.main([])


def test_a_training_that_fails_is_no_result():
    with pytest.raises(TweetTargetError, match="training failed"):
        harness.run_training("--no-such-option")
