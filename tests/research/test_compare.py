"""Our models against recorded baselines, tweet by tweet, from records and saved models."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from research import baselines, compare, runs, study
from research.methods import baseline_models
from research.study import GROUPED, REPORT
from tf_model import config, paths, tasks
from tf_model.errors import DataError, UsageError
from tf_model.evaluation import joint_metrics
from tf_model.evaluation.joint_metrics import by_task
from tf_model.io.files import write_json
from tf_model.training.cross_validation import FOLD_SEED, FOLDS

pytestmark = pytest.mark.usefixtures("stores", "made_once")
SAMPLE = ["--data", str(paths.SAMPLE_CORPUS)]


def record_baselines(*names, problems=study.PROBLEMS, protocol=GROUPED):
    assert baselines.main([*SAMPLE, "--methods", *names, "--problems", *problems, "--protocols", protocol]) == 0


def one_hot_scores(problem, wrong=()):
    """Probabilities that predict all rows of each task correctly, except the rows ``wrong``."""
    columns = []
    for task in problem.rows.tasks:
        ids = np.maximum(problem.label_ids(task), 0).copy()
        ids[list(wrong)] = (ids[list(wrong)] + 1) % len(task.labels)
        columns.append(np.eye(len(task.labels), dtype=np.float32)[ids])
    return np.concatenate(columns, axis=1)


def record_ours(problem, scores_by_seed):
    """Record our predictions as cross-validation does."""
    recipe = config.ANSWER if problem.name == tasks.ANSWER else config.TUNED
    seeds = {}
    for seed, scores in scores_by_seed.items():
        correct = joint_metrics.correct_by_question(problem.rows, scores)
        seeds[seed] = {"right": {question: runs.pack(each) for question, (_, each) in correct.items()}}
    protocol = {"part": "all", "folds": FOLDS, "fold_seed": FOLD_SEED, "recipe": recipe.to_dict()}
    runs.record(
        "grouped_answer" if problem.name == tasks.ANSWER else "grouped_tuned",
        "x",
        protocol | {"data_sha256": problem.data_sha256, "seeds": seeds},
    )


def test_our_record_is_read_back_and_compared(problems):
    problem = problems["answer"]
    by_seed = {"0": one_hot_scores(problem), "7": one_hot_scores(problem, wrong=[0])}
    record_ours(problem, by_seed)
    ours = compare.recorded_ours(problem)
    for seed, scores in by_seed.items():
        correct = study.correct_by_question(problem, scores)
        assert ours[seed].keys() == correct.keys() == {"product", "emotion", "answer"}
        for question, both in correct.items():
            np.testing.assert_array_equal(ours[seed][question], both)
    one = np.concatenate([np.eye(len(task.labels))[1] for task in problem.rows.tasks])
    theirs = np.tile(one, (len(problem.rows), 1))
    tests = compare.compare_all(problem, ours, study.correct_by_question(problem, theirs), "always 1")
    emotions = problem.label_ids(tasks.EMOTION)
    known = emotions >= 0
    test = tests["emotion"]["0"]
    assert test["rows"] == known.sum()
    assert test["difference"] == pytest.approx(1 - (emotions[known] == 1).mean())
    assert test["only_old_right"] == 0
    assert test["verdict"] == "better"
    low, high = test["difference_interval"]
    assert 0 < low < test["difference"] < high
    assert set(tests) == {"product", "emotion", "answer"}
    some = {"emotion": (np.arange(5), np.ones(5, bool))}
    with pytest.raises(DataError, match="predicted different rows"):
        compare.compare_all(problem, ours, some, "of other rows")


@pytest.fixture
def save_model(monkeypatch, tmp_path):
    """A function that saves a model as ``compare --models`` reads it."""
    reports = {}
    monkeypatch.setattr(compare, "read_report", reports.get)

    def save(name, problem, dataset, seed=42, wrong=(), rows=None):
        validated = problem.folds[REPORT][0].validation if rows is None else rows
        predictions = {
            task: SimpleNamespace(rows=problem.rows.rows[validated], probabilities=scores[validated])
            for task, scores in by_task(one_hot_scores(problem, wrong), problem.rows.tasks).items()
        }
        reports[tmp_path / name] = SimpleNamespace(
            task=problem.name, predictions=predictions, recipe={"seed": seed}, data_sha256=dataset.sha256
        )
        return tmp_path / name

    return save


def test_saved_models_are_compared_on_the_split_of_the_report(save_model, problems, dataset, capsys):
    problem = problems["product"]
    (split,) = problem.folds[REPORT]
    one = save_model("one", problem, dataset)
    other = save_model("other", problem, dataset, seed=7, wrong=split.validation[:3])
    record_baselines("keywords", problems=["product"], protocol=REPORT)
    arguments = [*SAMPLE, "--task", "product", "--methods", "keywords", "--models"]
    assert compare.main([*arguments, str(one), str(other)]) == 0
    run = runs.load("compare_report_product")
    assert run["rows"] == len(split.validation)
    assert run["command"].endswith(f"--task product --methods keywords --models {one} {other}")
    tests = run["methods"]["keywords"]["product"]
    assert list(tests) == ["42", "7"]
    assert {test["rows"] for test in tests.values()} == {len(split.validation)}
    assert tests["42"]["only_old_right"] == 0
    assert tests["42"]["difference"] - tests["7"]["difference"] == pytest.approx(3 / len(split.validation))
    assert f"seed 42, ours less keyword rules: rows {len(split.validation)}, " in capsys.readouterr().out


def test_models_of_answers_are_refused():
    with pytest.raises(UsageError, match="--models needs --task product or emotion"):
        compare.main(["--models", "saved_models/answer"])


def test_models_of_other_rows_tasks_or_the_same_seed_are_refused(save_model, problems, dataset):
    problem = problems["product"]
    (split,) = problem.folds[REPORT]
    one = save_model("one", problem, dataset)
    twin = save_model("twin", problem, dataset)
    elsewhere = save_model("elsewhere", problem, dataset, rows=split.train)
    emotion = save_model("emotion", problems["emotion"], dataset)
    with pytest.raises(DataError, match="two models have the seed 42"):
        compare.load_validated([one, twin], problem)
    another_dataset = replace(problem, data_sha256="another dataset")
    for model, asked in ((elsewhere, problem), (emotion, problem), (one, another_dataset), (one, problems["answer"])):
        with pytest.raises(DataError, match=f"expected a model of {asked.name} with the report's split of this"):
            compare.load_validated([model], asked)


@pytest.fixture
def recorded_ours(problems):
    """Our answer model: two seeds, the second wrong on the first hundred tweets."""
    problem = problems["answer"]
    record_ours(problem, {"0": one_hot_scores(problem), "7": one_hot_scores(problem, range(100))})


def test_a_comparison_begins_anew(recorded_ours):
    record_baselines("majority", "keywords")
    assert compare.main([*SAMPLE, "--methods", "keywords", "majority"]) == 0
    methods = runs.load("compare_answer")["methods"]
    assert list(methods) == ["majority", "keywords"]
    assert methods["majority"]["product"]["7"]["difference"] != methods["majority"]["product"]["0"]["difference"]
    assert compare.main([*SAMPLE, "--methods", "keywords"]) == 0
    assert list(runs.load("compare_answer")["methods"]) == ["keywords"]


def test_a_slow_method_is_compared_by_the_records_of_each_task(recorded_ours, monkeypatch):
    slow = replace(baseline_models.methods()["majority"], name="slow", slow=True)
    for module, name in ((compare, "methods"), (baselines, "methods")):
        monkeypatch.setattr(module, name, lambda: {"slow": slow})
    arguments = [*SAMPLE, "--methods", "slow"]
    record_baselines("slow", problems=["emotion"])
    assert compare.main(arguments) == 0
    entry = runs.load("compare_answer")["methods"]["slow"]
    assert entry.keys() & {*study.PROBLEMS} == {"emotion"}, "the product was not asked, and so the whole answer neither"
    figures = runs.load("baselines")["methods"]["slow"]["emotion"][GROUPED]["seeds"]["0"]
    test = entry["emotion"]["0"]
    assert test["rows"] == figures["rows"]
    assert test["difference"] == pytest.approx(1 - figures["accuracy"])
    record_baselines("slow", problems=["product"])
    assert compare.main(arguments) == 0
    entry = runs.load("compare_answer")["methods"]["slow"]
    assert entry.keys() & {*study.PROBLEMS} == {"product", "emotion"}, (
        "the whole answer was not asked on folds of its own"
    )


def test_what_is_not_recorded_is_asked_for(recorded_ours, problems):
    arguments = [*SAMPLE, "--methods", "majority"]
    not_recorded = "majority with its current settings is not recorded on this dataset; run"
    with pytest.raises(DataError, match=not_recorded):
        compare.main(arguments)
    record_baselines("majority")
    for key, value in (("settings", "as it was"), ("data_sha256", "of another")):
        run = runs.load("baselines")
        changed = run["methods"]["majority"] if key == "settings" else run
        changed[key], kept = value, changed[key]
        write_json(runs.RUNS / "baselines.json", run)
        with pytest.raises(DataError, match=not_recorded):
            compare.main(arguments)
        changed[key] = kept
        write_json(runs.RUNS / "baselines.json", run)
    assert compare.main(arguments) == 0
    ours = runs.load("grouped_answer")
    changes = {"data_sha256": "of another", "recipe": ours["recipe"] | {"epochs": 9}, "part": "train", "fold_seed": 100}
    for key, value in (changes | {"seeds": {"0": {"headline": {}}}}).items():
        write_json(runs.RUNS / "grouped_answer.json", ours | {key: value})
        with pytest.raises(DataError, match="predicts correctly is not recorded; run `make grouped-answer` first"):
            compare.main(arguments)
    record_ours(problems["product"], {"0": one_hot_scores(problems["product"])})
    assert compare.main([*arguments, "--task", "product"]) == 0
    assert runs.load("compare_product")["methods"]["majority"]["product"]["0"]["only_old_right"] == 0
    with pytest.raises(
        DataError, match=r"emotion rows our model predicts correctly is not recorded; run `make grouped ARGS=.*_emotion"
    ):
        compare.main([*arguments, "--task", "emotion"])
