"""The page of benchmarks says what the recorded runs say."""

from __future__ import annotations

import json

import pytest

from research import runs
from research.report import benchmarks
from tf_model import paths


def run_of(accuracies: list[float]) -> dict:
    from tf_model.evaluation.metrics import summarize

    seeds = [
        {
            "seed": number,
            "train_loss": 0.2,
            "train_accuracy": 0.95,
            "validation_loss": 0.4,
            "validation_accuracy": accuracy,
            "validation_macro_f1": 0.8,
            "seconds": 600.0,
            "peak_memory_bytes": 2.5e9,
        }
        for number, accuracy in enumerate(accuracies)
    ]
    return {
        "command": "make bench-train",
        "date": "2026-01-02",
        "machine": "2 cores",
        "device": "CPU, 2 cores, float32",
        "recipe": "report",
        "protocol": "random split",
        "rows": {"train": 2632, "validation": 659},
        "seeds": seeds,
        "accuracy": summarize(accuracies),
        "macro_f1": summarize([0.8] * len(accuracies)),
        "target": 0.874,
        "reach_target": sum(accuracy >= 0.874 for accuracy in accuracies),
    }


@pytest.mark.parametrize(
    ("accuracies", "mean", "reached"), [([0.86, 0.9], "0.8800", "1 of 2"), ([0.88], "0.8800", "1 of 1")]
)
def test_training_runs_are_shown_with_mean_and_spread(tmp_path, monkeypatch, accuracies, mean, reached):
    monkeypatch.setattr(runs, "RUNS", tmp_path)
    monkeypatch.setattr(paths, "RESEARCH", tmp_path)
    (tmp_path / "bench_train_report.json").write_text(json.dumps(run_of(accuracies)), encoding="utf-8")
    assert benchmarks.main([]) == 0
    page = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert f"mean **{mean}**" in page
    assert f"{reached} seeds reach 0.874" in page
    assert page.count("| 2.50 GB |") == len(accuracies)
    assert ("sd " in page) == (len(accuracies) > 1)
    assert "An epoch on a GPU" not in page


def test_the_load_on_the_app_is_shown_with_its_percentiles(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "RUNS", tmp_path)
    monkeypatch.setattr(paths, "RESEARCH", tmp_path)
    times = {"p50": 0.2, "p95": 0.625, "greatest": 2.0}
    found = {"questions": 200, "answer_seconds": times, "page_seconds": times | {"p95": 1.5}}
    memory = {"questions": 2000, "before_bytes": 2**30, "grown_bytes": -(3 * 2**20), "cpu_seconds_per_question": 0.25}
    run = {"command": "make bench-app", "date": "2026-01-02", "machine": "2 cores", "people": 20, "think_seconds": 5.0}
    run |= {"crowd": found, "all_at_the_same_moment": found, "memory": memory}
    run |= {"first_answer_seconds": {"browser": {"questions": 10, "p50": 0.4, "greatest": 0.75}}}
    (tmp_path / "bench_app.json").write_text(json.dumps(run), encoding="utf-8")
    assert benchmarks.main([]) == 0
    page = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert "| 20 people, 5 s of reading between two questions | 200 | 0.20 / 0.62 s | 0.20 / 1.50 s |" in page
    assert "after 0.40 s (median of 10; longest\n0.75 s)" in page
    assert "grew by -3 MiB, from\n1,024 MiB; a question took 250 ms" in page


def test_the_committed_page_is_what_the_recorded_runs_render_to(tmp_path, monkeypatch):
    committed = (paths.RESEARCH / "benchmarks.md").read_text(encoding="utf-8")
    monkeypatch.setattr(paths, "RESEARCH", tmp_path)
    benchmarks.main([])
    assert (tmp_path / "benchmarks.md").read_text(encoding="utf-8") == committed
