"""Agreement of labels, suspected label errors, and training without them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from research import label_quality, runs, study
from research.methods import baseline_models
from research.study import GROUPED, Problem
from tf_model import config, data, paths, tasks
from tf_model.data import splits
from tf_model.training.cross_validation import FOLD_SEED, FOLDS

LABELS = len(tasks.EMOTIONS)

pytestmark = pytest.mark.usefixtures("stores")


def problem_of(texts, label_ids) -> Problem:
    groups = np.arange(len(texts))
    rows = data.TrainingRows((tasks.EMOTION,), groups, texts, label_ids[:, np.newaxis])
    return Problem("emotion", rows, groups, {GROUPED: splits.grouped_folds(label_ids, groups)}, "sha")


def record_ours(problem, seeds):
    protocol = {"part": "all", "folds": FOLDS, "fold_seed": FOLD_SEED, "recipe": config.ANSWER.to_dict()}
    runs.record("grouped_answer", "x", protocol | {"data_sha256": problem.data_sha256, "seeds": seeds})


def test_agreement_counts_pairs_weighted_by_rows():
    # Two rows that agree, three of which one disagrees (1 of 3 pairs agrees), and single texts, which do not count.
    label_ids = [0, 0, 1, 1, 2, *[0, 1, 2] * 5]
    groups = np.array([0, 0, 1, 1, 1, *range(2, 17)])
    found = label_quality.agreement(groups, np.array(label_ids))
    assert (found["groups"], found["rows"], found["disagreeing_groups"]) == (2, 5, 1)
    assert found["pairwise"] == pytest.approx((2 * 1 + 3 / 3) / 5)
    low, high = found["interval"]
    assert low < found["pairwise"] < high
    assert found["ceiling"] == [low, pytest.approx(np.sqrt(high))], "the agreement itself is not known better"


def test_our_model_is_judged_on_the_repeated_texts(problems):
    problem = problems["product"]
    assert label_quality.our_accuracy(problem) is None, "nothing is recorded"
    right = [np.arange(len(problem.rows)) % 2 == 0, np.ones(len(problem.rows), bool)]
    seeds = {str(seed): {"right": {"product": runs.pack(each)}} for seed, each in enumerate(right)}
    record_ours(problem, seeds)
    ours = label_quality.our_accuracy(problem)
    assert ours.tolist() == [1.0, 0.5] * (len(ours) // 2) + [1.0] * (len(ours) % 2)
    groups = np.arange(len(ours))
    groups[[1, 3]], groups[[5, 7]] = 1, 5  # rows that one of the two seeds got right
    found = label_quality.agreement(groups, problem.label_ids(tasks.PRODUCT), ours)
    assert found["our_accuracy"] == 0.5
    assert found["our_interval"] == [0.5, 0.5]


def test_of_whole_answers_no_emotion_is_one_label_and_an_unknown_target_none(problems):
    none, positive = (tasks.EMOTIONS.index(label) for label in (tasks.NO_EMOTION, tasks.POSITIVE))
    # Two labels without emotion agree, whatever the product. Emotion and none disagree, and so do two products.
    pairs = [[(0, none), (-1, none)], [(0, none), (0, positive)], [(0, positive), (1, positive)]]
    pairs += [[(2, positive), (2, positive)], [(3, positive), (-1, positive)], [(4, -1), (4, positive)]]
    label_ids = np.array([label for pair in pairs for label in pair])
    answers = problems[tasks.ANSWER]
    few = answers.rows.take(np.arange(len(label_ids)))
    folds = {GROUPED: [splits.Split(np.arange(0), np.arange(12))]}
    problem = Problem(
        tasks.ANSWER, replace(few, label_ids=label_ids), np.repeat(np.arange(6), 2), folds, answers.data_sha256
    )
    rows, judged = label_quality.rows_with_labels(problem)
    assert rows.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 11]
    agree = label_quality.agreement(problem.groups[rows], judged)
    assert (agree["groups"], agree["disagreeing_groups"], agree["pairwise"]) == (4, 2, 0.5)
    asked = label_ids[:, 1] >= 0
    right = {"right": {tasks.ANSWER: runs.pack(np.arange(asked.sum()) % 2 == 0)}}
    record_ours(answers, {"0": right})
    ours = label_quality.our_accuracy(problem)
    assert np.isnan(ours).tolist() == (~asked).tolist()
    assert ours[11] == 1, "the tenth of the eleven that were asked"


def test_agreement_without_a_repeated_text():
    assert label_quality.agreement(np.arange(15), np.array([0, 1, 2] * 5)) == {"groups": 0, "rows": 0}
    one = np.array([0, 0, 0, *range(3, 15)])
    assert label_quality.agreement(one, np.array([0, 1, 2] * 5)) == {"groups": 1, "rows": 3}, "too few for an interval"


def test_the_ceiling_holds_the_true_one():
    """Labels are drawn from known probabilities; the best prediction is correct with the largest of them."""
    generator = np.random.default_rng(0)
    truth = generator.dirichlet([1, 1, 1], size=3000)
    label_ids = np.concatenate([generator.choice(3, size=3, p=each) for each in truth])
    found = label_quality.agreement(np.repeat(np.arange(3000), 3), label_ids)
    low, high = found["ceiling"]
    assert found["pairwise"] == pytest.approx((truth**2).sum(axis=1).mean(), abs=0.02)
    assert low < truth.max(axis=1).mean() < high


def words_and_labels(count: int, wrong: int) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Texts whose one telling word gives the label away, the first ``wrong`` of them labelled wrongly."""
    generator = np.random.default_rng(1)
    true = np.arange(count) % LABELS
    telling = ("gloomy", "plain", "sunny")
    fillers = ("alpha", "bravo", "delta", "foxtrot", "hotel", "india", "kilo", "lima")
    texts = [f"{telling[label]} {' '.join(generator.choice(fillers, 3))}" for label in true]
    label_ids = true.copy()
    label_ids[:wrong] = (label_ids[:wrong] + 1) % LABELS
    return texts, label_ids, true


def test_doubtful_labels_are_found_inside_the_training_part_and_left_out(monkeypatch):
    texts, label_ids, _ = words_and_labels(150, wrong=15)
    problem = problem_of(texts, label_ids)
    kept: list[tuple[str, list[np.ndarray]]] = []
    score_method = study.score_method

    def watched(method, part, task, protocol, seed):
        if protocol != "inner":
            kept.append((protocol, [split.train for split in part.folds[protocol]]))
        return score_method(method, part, task, protocol, seed)

    monkeypatch.setattr(study, "score_method", watched)
    monkeypatch.setattr(label_quality, "DRAWS", 2)
    monkeypatch.setattr(label_quality, "SHARES", [0.1])
    orders = [label_quality.most_doubtful_first(problem, split) for split in problem.folds[GROUPED]]
    method = baseline_models.with_setting(
        "words_logistic", {"product": 10.0, "emotion": 10.0}
    )  # fits closely enough to be misled
    found = label_quality.without_doubtful(method, problem, orders)
    assert set(found) == {"all", "0.1"}
    left_out = found["0.1"]
    assert left_out["random"]["accuracy"]["n"] == 2
    gain = left_out["doubtful"]["accuracy"] - left_out["random"]["accuracy"]["mean"]
    assert left_out["difference"] == pytest.approx(gain)
    assert gain != 0
    assert left_out["interval"][0] < gain < left_out["interval"][1]
    trained, classes = dict(kept)["without-0.1-doubtful"], []
    for rows, split in zip(trained, problem.folds[GROUPED], strict=True):
        assert set(rows) < set(split.train)
        left_out = np.setdiff1d(split.train, rows)
        assert len(left_out) == round(0.1 * len(split.train))
        assert (left_out < 15).mean() > 0.8, "those left out are the wrong ones"
        at_random = np.setdiff1d(split.train, dict(kept)["without-0.1-random"][len(classes)])
        classes.append([np.bincount(label_ids[some], minlength=LABELS).tolist() for some in (left_out, at_random)])
    assert all(doubtful == random for doubtful, random in classes), "as many of each class"
    randomly = [parts for protocol, parts in kept if protocol == "without-0.1-random"]
    assert not np.array_equal(randomly[0][0], randomly[1][0])


@pytest.mark.usefixtures("made_once")
def test_command_records_method_by_method_and_keeps_what_was_recorded(problems, monkeypatch, capsys):
    monkeypatch.setattr(label_quality, "DRAWS", 1)

    def frequent_last(problem, split):  # so that the most frequent class stays so
        ids = problem.label_ids(tasks.PRODUCT)[split.train]
        return split.train[np.argsort(ids == np.bincount(ids).argmax(), kind="stable")]

    monkeypatch.setattr(label_quality, "most_doubtful_first", frequent_last)  # whose fits take seconds
    command = ["--data", str(paths.SAMPLE_CORPUS), "--tasks", "product", "--methods"]
    assert label_quality.main([*command, "majority"]) == 0
    assert label_quality.main([*command, "keywords"]) == 0
    run = runs.load("label_quality")
    found = run["tasks"]["product"]["without_doubtful"]
    assert set(found) == {"majority", "keywords"}
    for kept in found.values():
        assert [share for share in kept if share.startswith("0.")] == ["0.02", "0.05", "0.1"]
        assert kept["all"]["accuracy"] == kept["0.1"]["doubtful"]["accuracy"], "rules learn nothing"
    assert run["command"] == (
        "python -m research.label_quality --tasks product --methods majority and "
        "python -m research.label_quality --tasks product --methods keywords"
    )
    assert run["answers_agree"] == label_quality.agreements(problems[tasks.ANSWER])
    assert (
        "product: keyword rules, without the most doubtful 2%, beside as many at random: accuracy difference 0, "
        in capsys.readouterr().out
    )
