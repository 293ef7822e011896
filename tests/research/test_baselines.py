"""Baselines on the folds of our own models: what is recorded, and how their settings are chosen."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from research import baselines, runs
from research.methods import baseline_models
from research.study import GROUPED, REPORT, Problem
from tests.research.watched_method import watched_method
from tf_model import data, paths, tasks
from tf_model.data import splits
from tf_model.errors import UsageError

pytestmark = pytest.mark.usefixtures("stores", "made_once")


def test_near_duplicates_are_worth_what_a_method_loses_without_them():
    texts, groups = ["a", "a", "b", "b", "c", "d", "e", "f"], np.array([0, 0, 1, 1, 2, 3, 4, 5])
    ids = np.array([1, 1, 2, 1, 1, 0, 1, 2])
    rows = data.TrainingRows((tasks.EMOTION,), np.arange(8), texts, ids[:, np.newaxis])
    report = splits.Split(np.array([0, 2, 4, 6]), np.array([7, 5, 3, 1]))
    problem = Problem("emotion", rows, groups, {REPORT: [report]}, "sha")
    grouped = runs.pack(np.array([0, 0, 1, 0, 1, 1, 1, 0], bool))
    worth = baselines.duplicate_gain(problem, grouped, runs.pack(np.array([1, 0, 1, 0], bool)))
    assert (worth["rows"], worth["difference"]) == (4, 0.25)
    assert (worth["only_new_right"], worth["only_old_right"]) == (1, 0)


def test_command_records_every_protocol(capsys, problems):
    assert baselines.main(["--data", str(paths.SAMPLE_CORPUS), "--methods", "majority", "keywords"]) == 0
    run = runs.load("baselines")
    assert list(run["methods"]) == ["majority", "keywords"]
    assert run["command"] == "python -m research.baselines --methods majority keywords"
    problem = problems["emotion"]
    (split,) = problem.folds[REPORT]
    ids = problem.label_ids(tasks.EMOTION)
    expected = (ids[split.validation] == np.bincount(ids[split.train]).argmax()).mean()
    majority = run["methods"]["majority"]
    assert majority["emotion"][REPORT]["summary"]["accuracy"]["mean"] == pytest.approx(expected)
    keywords = run["methods"]["keywords"]
    assert keywords["answer"][GROUPED]["seeds"]["0"]["answer"]["rows"] == len(ids)
    assert keywords["product"][GROUPED]["seeds"]["0"]["rows"] == run["rows"]["product"][GROUPED]
    assert keywords["product"][GROUPED]["summary"]["accuracy"]["mean"] > 0.5
    worth = keywords[baselines.DUPLICATE_GAIN]["emotion"]["0"]
    assert worth["rows"] == run["rows"]["emotion"][REPORT]
    assert not any(text in json.dumps(run) for text in problem.rows.texts)
    accuracy = keywords["emotion"][GROUPED]["summary"]["accuracy"]["mean"]
    low, high = keywords["emotion"][GROUPED]["intervals"]["emotion"]
    line = next(line for line in capsys.readouterr().out.splitlines() if "keyword rules, emotion, grouped: " in line)
    assert f"accuracy {accuracy:.4g}, " in line
    assert line.endswith(f"accuracy_interval [{low:.4g}, {high:.4g}]")


def evaluate(*arguments: str) -> dict:
    assert baselines.main(["--data", str(paths.SAMPLE_CORPUS), *arguments]) == 0
    return runs.load("baselines")


def test_the_recorded_run_grows_by_method_protocol_and_seed(monkeypatch):
    quick, _ = watched_method()
    slow = replace(quick, name="slow", slow=True, seeds=(0, 1, 2))
    known = baseline_models.methods() | {"slow": slow}
    monkeypatch.setattr(baselines, "methods", lambda: known)
    evaluate("--methods", "slow", "--seeds", "1", "--protocols", REPORT)
    evaluate("--methods", "majority", "--problems", "product")
    run = evaluate("--methods", "slow", "--seeds", "0", "--problems", "product", "answer")
    assert list(run["methods"]) == ["majority", "slow"]
    assert list(run["methods"]["majority"]) == ["title", "settings", "product", baselines.DUPLICATE_GAIN]
    found = run["methods"]["slow"]
    assert list(found["product"][REPORT]["seeds"]) == ["0", "1"]
    assert found["product"][REPORT]["summary"]["accuracy"]["n"] == 2
    assert list(found["product"][GROUPED]["seeds"]) == ["0"]
    assert list(found[baselines.DUPLICATE_GAIN]["product"]) == ["0"], "seed 1 was not run on the leak-free folds"
    evaluate("--methods", "slow", "--seeds", "1", "--problems", "product", "--protocols", GROUPED)
    assert list(runs.load("baselines")["methods"]["slow"][baselines.DUPLICATE_GAIN]["product"]) == ["0", "1"]
    assert list(found["emotion"]) == [REPORT]
    assert "answer" not in found, "a slow method is not asked twice"
    assert run["command"] == (
        "python -m research.baselines --methods slow --seeds 1 --protocols report and "
        "python -m research.baselines --methods majority --problems product and "
        "python -m research.baselines --methods slow --seeds 0 --problems product answer"
    )
    known["slow"] = replace(slow, settings="changed")
    assert list(evaluate("--methods", "majority")["methods"]) == ["majority"], "figures of other settings are left out"


def test_settings_are_chosen_inside_the_training_part(dataset, monkeypatch):
    monkeypatch.setattr(baselines, "CANDIDATES", {"words_svm": (0.01, 1.0)})
    assert baselines.main(["--data", str(paths.SAMPLE_CORPUS), "--choose", "--methods", "words_svm"]) == 0
    run = runs.load("choose_baselines")
    split = splits.report_split(data.training_rows(dataset, "product").label_ids[:, 0])
    assert run["rows"]["product"] == len(split.train)
    found = run["methods"]["words_svm"]
    for task, best in found["best"].items():
        by_value = {float(value): tried[task] for value, tried in found["tried"].items()}
        assert by_value[best] == max(by_value.values())
    with pytest.raises(UsageError, match="words_svm"):
        baselines.main(["--data", str(paths.SAMPLE_CORPUS), "--choose", "--methods", "majority"])
