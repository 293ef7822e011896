"""Deliberate faults: what is counted, and that a count above 0 misses its target where 0 is required."""

from __future__ import annotations

from collections import Counter

import pytest

from research.runs import load
from research.tools import chaos

SOUND = load("chaos") | {"batches": {"failed": 0, "of_the_model": 0.9}}  # which misses its target


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_killed_training_is_held_to_the_metrics_of_one_left_alone(tmp_path, monkeypatch, goes_on):
    script = """
import json, pathlib, sys, time
folder = pathlib.Path(sys.argv[-1])
before = folder.exists() and GOES_ON is False
(folder / "model").mkdir(parents=True, exist_ok=True)
time.sleep(0.5)
(folder / "model" / "metrics.json").write_text(json.dumps({"train": 1, "validation": 2 + before}))
"""
    monkeypatch.setattr(chaos, "TRAINING", ("-c", script.replace("GOES_ON", str(goes_on))))
    found = chaos.kill_training(tmp_path / "training", 3)
    assert found["killed"] == 3
    assert found["ended"] >= 1
    assert (found["other_metrics"] == 0) == goes_on


def test_a_killed_predict_leaves_no_half_output(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(chaos, "ROWS", 50)
    found = chaos.kill_predict(trained[0], tmp_path, 2)
    assert (found["half_outputs"], found["wrong_outputs"], found["left_behind"]) == (0, 0, 0)


def test_a_model_that_is_replaced_under_load_gives_no_answer_of_the_other(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(chaos, "LEAST_REPLACEMENTS", 3)
    monkeypatch.setattr(chaos, "SECONDS_BETWEEN", 0.5)
    found = chaos.replace_under_load(trained[0], tmp_path, 200)
    assert (found["wrong"], found["failed"], found["mixed_loads"]) == (0, 0, 0)
    assert found["asked"] >= 200
    assert found["replaced"] >= 3


def test_a_locked_log_loses_nothing_silently(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(chaos, "ROWS", 20)
    monkeypatch.setattr(chaos, "SEQUENTIAL_REQUESTS", 5)
    found = chaos.lock_log(trained[0], tmp_path)
    assert chaos.failures(SOUND | {"locked": found}) == []
    assert (found["answered"], found["said_lost"]) == (20 + 20 + 5 + 5, 20 + 5)


def test_a_clock_that_jumps_loses_and_hides_nothing(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(chaos, "SEQUENTIAL_REQUESTS", 5)
    found = chaos.jump_clock(trained[0], tmp_path)
    assert found == {"jumps": 3, "answered": 20, "failed": 0, "not_recorded": 0, "hidden": 0}


def test_many_clients_are_answered(trained):
    found = chaos.serve_people(trained[0], chaos.PEOPLE, ["an iPad"], 1, 0.5)
    assert found["failed"] == 0
    assert found["answered"] >= found["clients"] == 50
    assert 0 < found["p50_seconds"] <= found["p95_seconds"]


def test_many_texts_of_many_clients_are_answered_at_a_share_of_the_model_s_speed(trained, monkeypatch):
    monkeypatch.setattr(chaos, "BATCH_ROUNDS", 1)
    monkeypatch.setattr(chaos, "BATCH_SECONDS", 0.5)
    monkeypatch.setattr(chaos, "BATCH_CLIENTS", 2)
    found = chaos.serve_batches(trained[0])
    assert found["failed"] == 0
    assert found["texts_a_second"] >= chaos.BATCH
    assert 0 < found["of_the_model"] < 2


def test_answers_at_a_steady_rate_are_timed(trained, monkeypatch):
    monkeypatch.setattr(chaos, "RATE_REQUESTS", 20)
    found = chaos.serve_rate(trained[0])
    assert (found["answered"], found["failed"]) == (20, 0)
    assert 0 < found["p50_seconds"] <= found["p99_seconds"]


@pytest.mark.parametrize(
    ("title", "name", "value"),
    [
        ("training", "other_metrics", 1),
        ("kills", "half_outputs", 1),
        ("locked", "lost_silently", 1),
        ("clock", "hidden", 1),
        ("sigterm", "begun_and_lost", 2),
        ("memory", "late_bytes", 10**12),
        ("people", "p95_seconds", 1.2),
        ("rate", "p99_seconds", 0.04),
        ("batches", "of_the_model", -0.2),
    ],
)
def test_what_does_not_hold_is_named(title, name, value):
    run = SOUND.copy()
    assert chaos.failures(run) == []
    run[title] = Counter(run.get(title, {}), **{name: value})
    [missed] = chaos.failures(run)
    assert title in missed
