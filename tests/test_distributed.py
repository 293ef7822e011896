"""Training by two processes on loopback: equal to one process, and what is left if one is killed."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from ports import free_ports

from tf_model import paths
from tf_model.distributed import VARIABLE, Cluster, from_environment
from tf_model.errors import UsageError

# A worker waits for another forever; no test may.
LIMIT = 600
EPOCHS, FOLDS = 3, 2  # as for the model trained by one process
TRAIN = f"""
from tf_model import cli, train
from tf_model.training import cross_validation

cross_validation.CALIBRATION_FOLDS = {FOLDS}
cli.run(train.main)
"""
CONNECT = """
from tf_model import cli, device, distributed

device.import_tensorflow()
cli.run(lambda _: distributed.from_environment().connect(30))
"""


# ------------------------------------------------------------------------------------------------ what TF_CONFIG says


def config(task: dict, **cluster: list[str]) -> str:
    return json.dumps({"cluster": cluster, "task": task})


@pytest.mark.parametrize("given", [None, "", config({"type": "worker", "index": 0}, worker=["here:1"])])
def test_one_process_is_no_cluster(given, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    if given is not None:
        monkeypatch.setenv(VARIABLE, given)
    assert from_environment() is None


def test_the_first_worker_is_the_chief_unless_there_is_one(monkeypatch):
    monkeypatch.setenv(VARIABLE, config({"type": "worker", "index": 0}, worker=["a:1", "b:2"]))
    assert from_environment() == Cluster(("a:1", "b:2"), 0)
    assert from_environment().index == 0
    monkeypatch.setenv(VARIABLE, config({"type": "worker", "index": "0"}, worker=["a:1", "b:2"], chief=["c:3"]))
    found = from_environment()
    assert (found, found.describe()) == (Cluster(("c:3", "a:1", "b:2"), 1), "worker 2 of 3")


@pytest.mark.parametrize(
    "given",
    [
        "worker 1 of 2",
        "[]",
        "{}",
        config({"type": "worker", "index": 2}, worker=["a:1", "b:2"]),
        config({"type": "worker", "index": -1}, worker=["a:1", "b:2"]),
        config({"type": "ps", "index": 0}, worker=["a:1"], ps=["b:2"]),
        config({"type": "chief", "index": 0}, worker=["a:1", "b:2"]),
        config({"type": "worker", "index": 0}, worker=["a:1", "a:1"]),
        config({"type": "worker", "index": 0}, worker=["a", "b"]),
        config({"type": "worker"}, worker=["a:1", "b:2"]),
    ],
)
def test_what_tensorflow_would_not_understand_is_refused(given, monkeypatch):
    monkeypatch.setenv(VARIABLE, given)
    with pytest.raises(UsageError, match="expected TF_CONFIG to name all workers and this one, such as") as error:
        from_environment()
    assert "\n" not in str(error.value)


# ------------------------------------------------------------------------------------------------ shares of a batch


@pytest.mark.parametrize("replicas", [2, 3, 4])
def test_every_row_is_in_one_share_and_the_shares_are_alike_in_size(replicas):
    from tf_model.device import import_tensorflow

    tf = import_tensorflow()
    from tf_model.preprocessing.batching import training_batches

    # Row n has n + 10 as its only token and n as its label.
    rows = 23
    options = {"batch_size": 5, "max_tokens": 16, "seed": 1, "first_epoch": 0, "epochs": 2}
    token_ids, label_ids = (
        tf.ragged.constant([[row + 10] for row in range(rows)], dtype=tf.int32),
        np.arange(rows)[:, None],
    )
    whole = [labels.numpy()[:, 0].tolist() for _, labels in training_batches(token_ids, label_ids, **options)]
    found = [[] for _ in whole]
    for place in range(replicas):
        own = training_batches(token_ids, label_ids, **options, replicas=replicas, own_shares=range(place, place + 1))
        shares = list(own)
        assert len(shares) == len(whole)
        for batch, (inputs, labels), seen in zip(whole, shares, found, strict=True):
            assert labels.shape == (-(-len(batch) // replicas), 1)
            real = labels.numpy()[:, 0] >= 0
            seen += labels.numpy()[real, 0].tolist()
            assert inputs["input_ids"].numpy()[real, 0].tolist() == (labels.numpy()[real, 0] + 10).tolist()
    assert [sorted(seen) for seen in found] == [sorted(batch) for batch in whole]


# ------------------------------------------------------------------------------------------------ two processes


def run(script: str, *arguments: str, place: int, ports: list[int]) -> subprocess.Popen:
    """Run a script as one of several workers."""
    addresses = [f"127.0.0.1:{port}" for port in ports]
    environment = os.environ | {VARIABLE: config({"type": "worker", "index": place}, worker=addresses)}
    command, pipe = [sys.executable, "-c", script, *arguments], subprocess.PIPE
    return subprocess.Popen(command, cwd=paths.ROOT, env=environment, stdout=pipe, stderr=pipe, text=True)


def start(folder: Path, bert: Path, *arguments: str, place: int, ports: list[int]) -> subprocess.Popen:
    """The real command, but for the number of folds, as one of several workers."""
    settings = ["--task", "answer", "--data", str(paths.SAMPLE_CORPUS), "--backbone", str(bert)]
    settings += ["--precision", "float32", "--learning-rate", "2e-3", "--batch-size", "30", "--epochs", str(EPOCHS)]
    return run(TRAIN, *settings, "--output-dir", str(folder), *arguments, place=place, ports=ports)


def start_two(folder: Path, bert: Path, *arguments: str, second: tuple[str, ...] = ()):
    ports = free_ports(2)
    return [start(folder, bert, *arguments, *(second if place else ()), place=place, ports=ports) for place in range(2)]


def end(processes: list[subprocess.Popen]) -> list[tuple[int, str]]:
    """Exit code and standard error of each; any over the limit is killed."""
    timer = threading.Timer(LIMIT, lambda: [process.kill() for process in processes])
    timer.start()
    try:
        said = [process.communicate()[1] for process in processes]
    finally:
        timer.cancel()
    return [(process.returncode, words) for process, words in zip(processes, said, strict=True)]


def history(folder: Path) -> dict[str, list[float]]:
    rows = list(csv.DictReader((folder / "history.csv").read_text(encoding="utf-8").splitlines()))
    return {name: [float(row[name]) for row in rows] for name in ("epoch", "loss", "val_loss", "val_accuracy")}


def kill_in_epoch(number: int, killed: subprocess.Popen, other: subprocess.Popen) -> None:
    """Kill one of two workers after that epoch."""
    for line in killed.stderr:
        if line.startswith(f"epoch {number}/") and "val_loss" in line:  # not of a fold
            break
    killed.send_signal(signal.SIGKILL)
    (killed_code, _), (other_code, words) = end([killed, other])
    assert killed_code == -signal.SIGKILL
    assert other_code == 1, words
    assert "is gone; finished epochs are kept: start all workers again with --resume" in words
    assert "Traceback" not in words


def check_as_one(processes: list[subprocess.Popen], folder: Path, answer_model: Path) -> list[str]:
    """Two workers end with the model that one process trains; returns what each had written."""
    (chief_code, chief_words), (second_code, second_words) = end(processes)
    assert (chief_code, second_code) == (0, 0), chief_words + second_words
    assert "worker 2 of 2 is done; the first one has saved" in second_words
    one, two = history(answer_model), history(folder / "answer")
    assert two["epoch"] == one["epoch"] == [*range(1, EPOCHS + 1)]
    assert one["val_loss"][-1] < one["val_loss"][0] - 0.005  # it learns something that could differ
    np.testing.assert_allclose(two["val_loss"], one["val_loss"], rtol=1e-4)
    np.testing.assert_allclose(two["val_accuracy"], one["val_accuracy"], atol=0.014)  # one row of the 75
    # The last, smaller batch is padded to be shared between workers, so it weighs a little more here.
    np.testing.assert_allclose(two["loss"], one["loss"], rtol=2e-3)
    assert not (folder / ".checkpoints" / "answer").exists()

    one, two = (
        json.loads((each / "calibration.json").read_text(encoding="utf-8"))["temperature"]
        for each in (answer_model, folder / "answer")
    )
    assert two == pytest.approx(one, rel=1e-4)
    assert one["product"] != one["emotion"]
    return [chief_words, second_words]


@pytest.mark.timeout(2 * LIMIT)
def test_two_workers_learn_and_calibrate_as_one_does(tmp_path, steady_bert, answer_model):
    _, said = check_as_one(start_two(tmp_path, steady_bert), tmp_path, answer_model)
    assert f"calibration, fold {FOLDS} of {FOLDS}" in said, "the folds are shared out too"


@pytest.mark.robustness
@pytest.mark.timeout(3 * LIMIT)
def test_a_killed_worker_costs_an_epoch(tmp_path, steady_bert, answer_model):
    chief, second = start_two(tmp_path, steady_bert)
    kill_in_epoch(1, second, chief)
    assert not (tmp_path / "answer").exists()
    chief, second = start_two(tmp_path, steady_bert, "--resume")
    kill_in_epoch(2, chief, second)
    assert list((tmp_path / ".checkpoints" / "answer").glob("ckpt-*.index"))
    assert not (tmp_path / "answer").exists()
    said, _ = check_as_one(start_two(tmp_path, steady_bert, "--resume"), tmp_path, answer_model)
    assert "resuming after" in said


@pytest.mark.timeout(2 * LIMIT)
def test_workers_that_differ_do_not_begin(tmp_path, steady_bert):
    found = end(start_two(tmp_path, steady_bert, second=("--seed", "7")))
    assert [code for code, _ in found] == [2, 2], found
    for _, words in found:
        assert "error: the workers differ in seed; start the same command everywhere" in words


@pytest.mark.timeout(2 * LIMIT)
def test_a_port_that_is_taken_is_an_error_in_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        [(code, words)] = end([run(CONNECT, place=0, ports=[port, *free_ports(1)])])
    assert code == 2, words
    assert f"error: worker 1 of 2 cannot listen at 127.0.0.1:{port} (Could not start gRPC server); give each" in words
    assert "Traceback" not in words


@pytest.mark.timeout(2 * LIMIT)
def test_a_worker_that_never_comes_is_not_waited_for_for_ever(tmp_path, steady_bert):
    options = ["--task", "emotion", "--workers-timeout", "1"]  # without the search for near-duplicates
    process = start(tmp_path, steady_bert, *options, place=0, ports=free_ports(2))
    [(code, words)] = end([process])
    assert code == -signal.SIGALRM
    assert "worker 1 of 2: waiting for the others, 1 s at most; start the same command on each" in words
