"""Our models against baselines, tweet by tweet: of kept folds, of saved models, of recorded answers."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from research import baselines, compare, runs
from research.baselines import GROUPED, REPORT, Answers
from research.methods.baseline_models import baseline_models
from tf_model import config, paths, tasks
from tf_model.errors import DataError, UsageError
from tf_model.training import cross_validation

pytestmark = pytest.mark.usefixtures("stores")


def keep_folds(folder, problem, scores, seed=0, folds=None):
    for number, split in enumerate(folds or problem.folds[GROUPED], start=1):
        cross_validation.write_fold(
            folder / f"seed-{seed}-fold-{number}.npz", split.validation, scores[split.validation], []
        )


def one_hot_scores(problem, wrong=()):
    """Probabilities that are right on all rows of each task but ``wrong``."""
    columns = []
    for task in problem.rows.tasks:
        ids = np.maximum(problem.label_ids(task), 0).copy()
        ids[list(wrong)] = (ids[list(wrong)] + 1) % len(task.labels)
        columns.append(np.eye(len(task.labels), dtype=np.float32)[ids])
    return np.concatenate(columns, axis=1)


def test_our_folds_are_read_back_and_compared(tmp_path, problems):
    problem = problems["answer"]
    keep_folds(tmp_path, problem, one_hot_scores(problem), seed=0)
    keep_folds(tmp_path, problem, one_hot_scores(problem, wrong=[0]), seed=7)
    keep_folds(tmp_path, problem, one_hot_scores(problem), seed=8, folds=problem.folds[GROUPED][:2])  # unfinished
    ours = compare.load_out_of_fold(tmp_path, problem)
    assert list(ours) == ["0", "7", "averaged"]
    assert np.array_equal(ours["0"], one_hot_scores(problem))
    theirs = {task.name: Answers(np.full(len(problem.rows), 1), None, 0.0) for task in problem.rows.tasks}
    found = compare.compare_all(problem, compare.rights_of(problem, ours), baselines.right_by_question(problem, theirs))
    emotions = problem.label_ids(tasks.EMOTION)
    known = emotions >= 0
    test = found["emotion"]["0"]
    assert test["rows"] == known.sum()
    assert test["difference"] == pytest.approx(1 - (emotions[known] == 1).mean())
    assert test["only_old_right"] == 0
    assert test["verdict"] == "better"
    low, high = test["difference_interval"]
    assert 0 < low < test["difference"] < high
    assert set(found) == {"product", "emotion", "answer"}


def test_the_store_of_another_task_is_refused(tmp_path, problems):
    keep_folds(tmp_path, problems["product"], one_hot_scores(problems["product"]))
    with pytest.raises(DataError, match="holds other rows or classes than emotion"):
        compare.load_out_of_fold(tmp_path, problems["emotion"])
    with pytest.raises(DataError, match="found none complete"):
        compare.load_out_of_fold(tmp_path / "nothing", problems["emotion"])


def test_the_store_is_found_where_one_alone_fits(problems, capsys):
    problem = problems["product"]
    with pytest.raises(DataError, match="none fits; name one with --store"):
        compare.find_store(problem)
    keep_folds(paths.CHECKPOINTS / "grouped-1", problem, one_hot_scores(problem))
    keep_folds(paths.CHECKPOINTS / "grouped-2", problems["emotion"], one_hot_scores(problems["emotion"]))
    arguments = ["--data", str(paths.SAMPLE_CORPUS), "--task", "product", "--methods", "keywords"]
    assert compare.main(arguments) == 0
    run = runs.load("compare_product")
    assert run["command"] == "python -m research.compare --task product --methods keywords"
    assert compare.main([*arguments, "--store", str(paths.CHECKPOINTS / "grouped-1")]) == 0
    assert runs.load("compare_product")["command"].endswith("grouped-1 --methods keywords")
    test = run["methods"]["keywords"]["product"]["0"]
    assert test["only_old_right"] == 0
    assert "less keyword rules: +" in capsys.readouterr().out
    keep_folds(paths.CHECKPOINTS / "grouped-3", problem, one_hot_scores(problem))
    with pytest.raises(DataError, match=r"2 fit: .*grouped-1, .*grouped-3; name one"):
        compare.find_store(problem)


def test_a_slow_method_is_compared_by_what_it_said_on_folds_of_each_task(problems, dataset, monkeypatch):
    slow = replace(baseline_models.methods()["majority"], name="slow", slow=True)
    monkeypatch.setattr(compare, "baselines", lambda: {"slow": slow})
    problem = problems["answer"]
    keep_folds(paths.CHECKPOINTS / "grouped-1", problem, one_hot_scores(problem))
    arguments = ["--data", str(paths.SAMPLE_CORPUS), "--methods", "slow"]
    with pytest.raises(
        DataError, match=r"no kept answers; run `python -m research\.baselines --methods slow --seeds 0"
    ):
        compare.main(arguments)
    own = problems["emotion"]
    said = baselines.answers(slow, own, tasks.EMOTION, GROUPED, 0, dataset.sha256)
    with monkeypatch.context() as patch:
        patch.setattr(baselines, "fit_and_answer", lambda *_: pytest.fail("it trains nothing"))
        assert compare.main(arguments) == 0
    found = runs.load("compare_answer")["methods"]["slow"]
    assert found["settings"] == slow.settings
    assert set(compare.tests_of(found)) == {"emotion"}, "the product was not asked, and so the whole answer neither"
    wrong = said.predicted != own.label_ids(tasks.EMOTION)
    assert found["emotion"]["0"]["rows"] == len(own.rows)
    assert found["emotion"]["0"]["only_new_right"] == wrong.sum() > 0
    baselines.answers(slow, problems["product"], tasks.PRODUCT, GROUPED, 0, dataset.sha256)
    assert compare.main(arguments) == 0
    found = runs.load("compare_answer")["methods"]["slow"]
    assert set(compare.tests_of(found)) == {"product", "emotion"}, "the whole answer was not asked on folds of its own"


def save_model(folder, problem, dataset, seed=42, wrong=(), rows=None):
    """The papers of a model of one task that ``compare --models`` reads."""
    (task,), (split,) = problem.rows.tasks, problem.folds[REPORT]
    validated = split.validation if rows is None else rows
    scores, ids = one_hot_scores(problem, wrong), problem.label_ids(task)
    folder.mkdir()
    frame = pd.DataFrame(scores[validated], columns=list(task.labels))
    frame.insert(0, "row", problem.rows.rows[validated])
    frame.insert(1, "label", [task.labels[number] for number in ids[validated]])
    frame.insert(2, "predicted", [task.labels[number] for number in scores[validated].argmax(axis=1)])
    frame.to_csv(folder / "validation_predictions.csv", index=False)
    papers = {"recipe": {"seed": seed}, "metrics": {"data_sha256": dataset.sha256}}
    papers["labels"] = {"task": task.name, "labels": list(task.labels)}
    for name, value in papers.items():
        (folder / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    return folder


def test_saved_models_are_compared_on_the_split_of_the_report(tmp_path, problems, dataset, capsys):
    problem = problems["product"]
    (split,) = problem.folds[REPORT]
    one = save_model(tmp_path / "one", problem, dataset)
    other = save_model(tmp_path / "other", problem, dataset, seed=7, wrong=split.validation[:3])
    arguments = ["--data", str(paths.SAMPLE_CORPUS), "--task", "product", "--methods", "keywords", "--models"]
    assert compare.main([*arguments, str(one), str(other)]) == 0
    run = runs.load("compare_report_product")
    assert run["rows"] == len(split.validation)
    assert run["command"].endswith(f"--task product --models {one} {other} --methods keywords")
    tests = run["methods"]["keywords"]["product"]
    assert list(tests) == ["42", "7", "averaged"]
    assert {test["rows"] for test in tests.values()} == {len(split.validation)}
    assert tests["42"]["only_old_right"] == 0
    assert tests["42"]["difference"] - tests["7"]["difference"] == pytest.approx(3 / len(split.validation))
    assert "seed 42, less keyword rules: +" in capsys.readouterr().out


def test_models_of_other_rows_tasks_or_the_same_seed_are_refused(tmp_path, problems, dataset):
    problem = problems["product"]
    (split,) = problem.folds[REPORT]
    one = save_model(tmp_path / "one", problem, dataset)
    twin = save_model(tmp_path / "twin", problem, dataset)
    elsewhere = save_model(tmp_path / "elsewhere", problem, dataset, rows=split.train)
    emotion = save_model(tmp_path / "emotion", problems["emotion"], dataset)
    for models, said in (
        ([one, twin], "two have the seed 42"),
        ([elsewhere], "was validated on other rows"),
        ([emotion], "expected a model of product"),
    ):
        with pytest.raises(DataError, match=said):
            compare.load_validated(models, problem, dataset.sha256)
    with pytest.raises(DataError, match="was validated on other rows"):
        compare.load_validated([one], problem, "another dataset")
    with pytest.raises(DataError, match="expected a model of one task"):
        compare.load_validated([one], problems["answer"], dataset.sha256)
    with pytest.raises(UsageError, match="got both"):
        compare.main(["--models", str(one), "--store", str(tmp_path)])


SAMPLE = ["--data", str(paths.SAMPLE_CORPUS)]


@pytest.fixture
def recorded_ours(problems, dataset):
    """Our answer model, as ``make levers`` records it: two seeds, the second wrong on the first hundred tweets."""
    problem = problems["answer"]
    said = {"0": one_hot_scores(problem), "7": one_hot_scores(problem, range(100))}
    seeds = {
        seed: {"right": {question: runs.pack(right) for question, (_, right) in rights.items()}}
        for seed, rights in compare.rights_of(problem, said).items()
    }
    run = {"data_sha256": dataset.sha256, "recipe": replace(config.ANSWER, seed=0).to_dict()}
    runs.record("levers", "x", run | {"levers": {"unchanged": {"seeds": seeds}}})
    return said


def as_fitted_before(name: str, **changes) -> dict:
    """Change the settings with which a method is recorded in the comparison, or other values of the record."""
    run = runs.load("compare_answer") | changes
    run["methods"][name]["settings"] = "as it was"
    runs.write_run("compare_answer", run)
    return run


@pytest.mark.parametrize("name", ["product", "emotion", "answer"])
def test_the_rows_of_a_question_are_those_that_can_be_judged(problems, name):
    (rights,) = compare.rights_of(problems[name], {"0": one_hot_scores(problems[name])}).values()
    asked = baselines.asked_rows(problems[name])
    assert list(asked) == list(rights)
    for question, rows in asked.items():
        assert np.array_equal(rows, rights[question][0])


def test_records_alone_say_the_same_as_kept_answers(problems, recorded_ours, capsys):
    problem = problems["answer"]
    for seed, scores in recorded_ours.items():
        keep_folds(paths.CHECKPOINTS / "grouped-1", problem, scores, seed=seed)
    arguments = [*SAMPLE, "--methods", "majority", "keywords"]
    assert compare.main(arguments) == 0
    assert baselines.main([*arguments, "--protocols", GROUPED]) == 0
    before = runs.load("compare_answer")
    assert compare.main([*arguments, "--recorded"]) == 0
    assert runs.load("compare_answer") == before, "nothing that knows the seeds averaged is replaced"
    assert "majority was compared by its answers, our seeds averaged too; it stays so" in capsys.readouterr().err
    without = runs.load("compare_answer")
    emotion = without["methods"]["majority"].pop("emotion")
    runs.write_run("compare_answer", without)
    assert compare.main([*arguments, "--recorded"]) == 0
    found = runs.load("compare_answer")["methods"]["majority"]
    assert found["product"] == before["methods"]["majority"]["product"], "what is missing is added"
    assert found["emotion"] == {seed: test for seed, test in emotion.items() if seed != compare.AVERAGED}
    assert found[compare.RECORDED]["questions"] == ["emotion"]
    as_fitted_before("majority")
    assert compare.main([*arguments, "--recorded"]) == 0
    run = runs.load("compare_answer")
    assert (run["command"], run["methods"]["keywords"]) == (before["command"], before["methods"]["keywords"])
    found = run["methods"]["majority"]
    assert found[compare.RECORDED]["command"] == "python -m research.compare --recorded --methods majority keywords"
    for question, by_seed in compare.tests_of(before["methods"]["majority"]).items():
        assert found[question] == {seed: test for seed, test in by_seed.items() if seed != compare.AVERAGED}
        assert by_seed["7"]["difference"] != by_seed["0"]["difference"]


def test_records_of_other_tweets_or_seeds_are_not_mixed(recorded_ours):
    arguments = [*SAMPLE, "--methods", "majority", "keywords"]
    assert baselines.main([*arguments, "--protocols", GROUPED]) == 0
    assert compare.main([*arguments, "--recorded"]) == 0
    as_fitted_before("majority", rows=7)
    assert compare.main([*arguments[:-1], "--recorded"]) == 0
    assert list(runs.load("compare_answer")["methods"]) == ["majority"], "the other was of other tweets"
    run = as_fitted_before("majority")
    run["methods"]["keywords"] = {"title": "", "settings": "", "product": {"3": {}}}
    runs.write_run("compare_answer", run)
    with pytest.raises(DataError, match="have other seeds"):
        compare.main([*arguments[:-1], "--recorded"])


def test_a_slow_method_is_compared_by_the_records_of_each_task(recorded_ours, monkeypatch):
    slow = replace(baseline_models.methods()["majority"], name="slow", slow=True)
    for module, name in ((compare, "baselines"), (baselines, "methods")):
        monkeypatch.setattr(module, name, lambda: {"slow": slow})
    arguments = [*SAMPLE, "--methods", "slow"]
    assert baselines.main([*arguments, "--problems", "emotion", "--protocols", GROUPED]) == 0
    assert compare.main([*arguments, "--recorded"]) == 0
    found = runs.load("compare_answer")["methods"]["slow"]
    assert set(compare.tests_of(found)) == {"emotion"}
    figures = runs.load("baselines")["methods"]["slow"]["emotion"][GROUPED]["seeds"]["0"]
    test = found["emotion"]["0"]
    assert test["rows"] == figures["rows"]
    assert test["difference"] == pytest.approx(1 - figures["accuracy"])


def test_what_is_not_recorded_is_asked_for(recorded_ours):
    arguments = [*SAMPLE, "--recorded", "--methods", "majority"]
    for option in (["--store", "folds"], ["--models", "model"], ["--task", "product"]):
        with pytest.raises(UsageError, match="leave out --store, --models and --task"):
            compare.main([*arguments, *option])
    not_recorded = "majority, as it is fitted now, is not recorded on this dataset; run"
    with pytest.raises(DataError, match=not_recorded):
        compare.main(arguments)
    assert baselines.main([*SAMPLE, "--methods", "majority", "--protocols", GROUPED]) == 0
    for key, value in (("settings", "as it was"), ("data_sha256", "of another")):
        run = runs.load("baselines")
        changed = run["methods"]["majority"] if key == "settings" else run
        changed[key], kept = value, changed[key]
        runs.write_run("baselines", run)
        with pytest.raises(DataError, match=not_recorded):
            compare.main(arguments)
        changed[key] = kept
        runs.write_run("baselines", run)
    assert compare.main(arguments) == 0
    ours = runs.load("levers")
    for change in ({"data_sha256": "of another"}, {"recipe": ours["recipe"] | {"epochs": 9}}):
        runs.write_run("levers", ours | change)
        with pytest.raises(DataError, match="our answer model is not recorded on this dataset; run `make lev"):
            compare.main(arguments)
