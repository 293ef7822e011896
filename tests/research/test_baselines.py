"""Baselines answer the rows that they were not fitted on, in the folds of our own models."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from research.methods.baseline_models.baseline_models import Method

from research import baselines, runs
from research.baselines import GROUPED, REPORT, Answers, Problem
from research.methods.baseline_models import baseline_models
from tf_model import data, paths, tasks
from tf_model.data import splits
from tf_model.errors import UsageError
from tf_model.modeling import backbone
from tf_model.training import cross_validation

pytestmark = pytest.mark.usefixtures("stores")
NONE, GOOD, BAD = (tasks.EMOTIONS.index(label) for label in (tasks.NO_EMOTION, tasks.POSITIVE, tasks.NEGATIVE))


class Watched:
    """Answers the class of the training text that is nearest in length; notes what it was fitted on."""

    def __init__(self, fitted):
        self._fitted = fitted

    def fit(self, texts, label_ids):
        self._fitted.append((list(texts), label_ids))
        self._texts, self._ids, self.classes_ = list(texts), label_ids, np.unique(label_ids)
        return self

    def predict(self, texts):
        lengths = np.array([len(text) for text in self._texts])
        return np.array([self._ids[np.abs(lengths - len(text)).argmin()] for text in texts])

    def predict_proba(self, texts):
        sure = 0.5 + 0.5 * np.array([len(text) / 200 for text in texts])
        others = (1 - sure) / (len(self.classes_) - 1)
        return np.where(self.predict(texts)[:, None] == self.classes_, sure[:, None], others[:, None])


def watched(has_probabilities: bool = True) -> tuple[Method, list]:
    fitted: list = []
    options = {"has_probabilities": has_probabilities, "settings": "as it is"}
    return Method("watched", "watched", lambda task, seed: Watched(fitted), **options), fitted


# ---------------------------------------------------------------- rows and folds


@pytest.mark.parametrize("name", ["product", "emotion", "answer"])
def test_folds_are_those_of_evaluate_and_no_group_crosses_them(dataset, problems, name):
    problem, rows = problems[name], data.training_rows(dataset, name)
    groups = splits.near_duplicate_groups(rows.texts)
    expected = splits.folds_of(rows, groups, cross_validation.FOLDS, cross_validation.FOLD_SEED)
    for fold, other in zip(problem.folds[GROUPED], expected, strict=True):
        assert np.array_equal(fold.train, other.train)
        assert np.array_equal(fold.validation, other.validation)
        assert not np.intersect1d(problem.groups[fold.train], problem.groups[fold.validation]).size
    validated = np.concatenate([fold.validation for fold in problem.folds[GROUPED]])
    assert np.array_equal(np.sort(validated), np.arange(len(rows)))


def test_report_split_of_the_product_is_the_reports(dataset, problems):
    expected = splits.report_split(data.training_rows(dataset, "product").strata)
    (split,) = problems["product"].folds[REPORT]
    assert np.array_equal(split.validation, expected.validation)


@pytest.mark.parametrize("protocol", [GROUPED, REPORT])
def test_methods_learn_from_labelled_training_rows_and_answer_the_others(problems, protocol):
    problem = problems["answer"]
    method, fitted = watched()
    said = baselines.fit_and_answer(method, problem, tasks.PRODUCT, problem.folds[protocol], 0)
    label_ids, texts = problem.label_ids(tasks.PRODUCT), np.array(problem.rows.texts, dtype=object)
    assert (label_ids == tasks.NO_LABEL).any()
    for (seen, ids), split in zip(fitted, problem.folds[protocol], strict=True):
        labelled = split.train[label_ids[split.train] >= 0]
        assert seen == texts[labelled].tolist()
        assert np.array_equal(ids, label_ids[labelled])
    validated = np.concatenate([split.validation for split in problem.folds[protocol]])
    assert (said.predicted[validated] >= 0).all(), "rows without a label are answered too"
    assert (np.delete(said.predicted, validated) == -1).all()
    assert np.allclose(said.probabilities[validated].sum(axis=1), 1)


# ---------------------------------------------------------------- the store


def test_answers_are_kept_and_computed_anew_only_for_other_folds(problems):
    problem, (method, fitted) = problems["product"], watched()
    first = baselines.answers(method, problem, tasks.PRODUCT, REPORT, 0, "sha")
    again = baselines.answers(method, problem, tasks.PRODUCT, REPORT, 0, "sha")
    assert len(fitted) == 1
    assert np.array_equal(first.predicted, again.predicted)
    assert np.array_equal(first.probabilities, again.probabilities)
    (split,) = problem.folds[REPORT]
    other = replace(problem, folds={REPORT: (splits.Split(split.train[1:], split.validation),)})
    baselines.answers(method, other, tasks.PRODUCT, REPORT, 0, "sha")
    baselines.answers(method, problem, tasks.PRODUCT, REPORT, 0, "another file")
    baselines.answers(replace(method, settings="changed"), problem, tasks.PRODUCT, REPORT, 0, "sha")
    assert len(fitted) == 4


@pytest.mark.parametrize(("name", "value"), [("versions", {"tensorflow": "0"}), ("version", "0")])
def test_answers_of_other_versions_are_computed_anew(problems, monkeypatch, name, value):
    problem, (method, fitted) = problems["product"], watched()
    for _ in range(2):
        baselines.answers(method, problem, tasks.PRODUCT, REPORT, 0, "sha")
    assert len(fitted) == 1
    monkeypatch.setattr(baselines, name, lambda *_: value)
    baselines.answers(method, problem, tasks.PRODUCT, REPORT, 0, "sha")
    assert len(fitted) == 2


def test_answers_without_probabilities_stay_without(problems):
    method, _ = watched(has_probabilities=False)
    assert baselines.answers(method, problems["product"], tasks.PRODUCT, REPORT, 0, "sha").probabilities is None
    assert baselines.answers(method, problems["product"], tasks.PRODUCT, REPORT, 0, "sha").probabilities is None


def test_a_slow_method_goes_on_where_it_was_stopped(problems):
    problem, (quick, fitted) = problems["product"], watched()
    whole = baselines.fit_and_answer(quick, problem, tasks.PRODUCT, problem.folds[GROUPED], 0)
    fitted.clear()

    class Stopped(Watched):
        def fit(self, texts, label_ids):
            if len(fitted) == 3:
                raise KeyboardInterrupt
            return super().fit(texts, label_ids)

    slow = replace(quick, slow=True)
    with pytest.raises(KeyboardInterrupt):
        baselines.answers(
            replace(slow, make=lambda task, seed: Stopped(fitted)), problem, tasks.PRODUCT, GROUPED, 0, "sha"
        )
    said = baselines.answers(slow, problem, tasks.PRODUCT, GROUPED, 0, "sha")
    assert len(fitted) == cross_validation.FOLDS, "no fold is fitted twice"
    assert np.array_equal(said.predicted, whole.predicted)
    assert np.array_equal(said.probabilities, whole.probabilities)
    (kept,) = (paths.CHECKPOINTS / "baselines").iterdir()
    assert kept == baselines.store_path(slow, problem, tasks.PRODUCT, GROUPED, 0, "sha")


# ---------------------------------------------------------------- figures


def test_score_counts_answered_and_labelled_rows_only():
    predicted = np.array([0, 1, 2, -1, 1])
    label_ids = np.array([0, 1, 1, 2, -1])
    found = baselines.score(tasks.EMOTION, label_ids, Answers(predicted, None, 0.0))
    assert found["rows"] == 3
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert "loss" not in found
    assert "accuracy_at_80_percent" not in found


def test_score_of_probabilities_has_loss_and_the_accuracy_of_the_surest():
    label_ids = np.array([0, 0, 0, 0, 0])
    sure = np.array([0.9, 0.9, 0.9, 0.9, 0.4])
    probabilities = np.stack([sure, 1 - sure, np.zeros(5)], axis=1)
    found = baselines.score(tasks.EMOTION, label_ids, Answers(probabilities.argmax(axis=1), probabilities, 0.0))
    assert found["accuracy"] == 0.8
    assert found["accuracy_at_80_percent"] == 1.0
    assert found["loss"] == pytest.approx(-(4 * np.log(0.9) + np.log(0.4)) / 5)


def answer_problem(products, emotions) -> Problem:
    label_ids = np.stack([products, emotions], axis=1)
    count = len(label_ids)
    rows = data.TrainingRows(tasks.ANSWER_TASKS, np.arange(count), ["text"] * count, label_ids)
    return Problem(tasks.ANSWER, rows, np.arange(count), {})


@pytest.mark.parametrize(
    ("product", "emotion", "said_product", "said_emotion", "is_right"),
    [
        (-1, NONE, 4, NONE, True),  # no emotion: whatever the product
        (3, NONE, 4, NONE, True),
        (-1, NONE, 4, GOOD, False),
        (3, GOOD, 3, GOOD, True),
        (3, GOOD, 4, GOOD, False),
        (3, GOOD, 3, BAD, False),
        (3, BAD, 3, NONE, False),
        (-1, BAD, 4, BAD, True),  # an emotion towards an unknown product
    ],
)
def test_an_answer_is_exactly_right(product, emotion, said_product, said_emotion, is_right):
    problem = answer_problem([product], [emotion])
    said = {
        "product": Answers(np.array([said_product]), None, 0.0),
        "emotion": Answers(np.array([said_emotion]), None, 0.0),
    }
    rows, right = baselines.right_answers(problem, said)
    assert rows.tolist() == [0]
    assert right.tolist() == [is_right]


def test_rows_without_an_emotion_label_are_not_judged():
    problem = answer_problem([3, 3], [-1, GOOD])
    said = {
        name: Answers(np.array([3, 3]) if name == "product" else np.array([GOOD, GOOD]), None, 0.0)
        for name in tasks.TASKS
    }
    assert baselines.right_answers(problem, said)[0].tolist() == [1]


class Remembers:
    """Answers a text as it was labelled when it was seen, and any other one as the first class."""

    def fit(self, texts, label_ids):
        self._seen = dict(zip(texts, label_ids, strict=True))
        return self

    def predict(self, texts):
        return np.array([self._seen.get(text, 0) for text in texts])


def test_copies_are_worth_what_a_method_loses_without_them():
    texts = ["a", "a", "b", "b", "c", "d", "e", "f"]
    ids, groups = np.array([1, 1, 2, 1, 1, 0, 1, 2]), np.array([0, 0, 1, 1, 2, 3, 4, 5])
    rows = data.TrainingRows((tasks.EMOTION,), np.arange(8), texts, ids)
    halves = [np.array([0, 1, 4, 6]), np.array([2, 3, 5, 7])]  # no text is in both
    grouped = [splits.Split(halves[1], halves[0]), splits.Split(halves[0], halves[1])]
    report = splits.Split(np.array([0, 2, 4, 6]), np.array([1, 3, 5, 7]))
    problem = Problem("emotion", rows, groups, {GROUPED: grouped, REPORT: [report]})
    method = Method("remembers", "remembers", lambda task, seed: Remembers(), settings="none")
    found = baselines.worth_of_copies(method, problem, 0, "sha")
    # Of the rows that the report's split validates on: the copy of "a" is right, that of "b" was labelled otherwise.
    assert found["accuracy"] == {GROUPED: 0.25, REPORT: 0.5}
    assert (found["rows"], found["difference"]) == (4, 0.25)
    assert (found["only_new_right"], found["only_old_right"]) == (1, 0)


# ---------------------------------------------------------------- the methods


@pytest.mark.parametrize(
    ("text", "product", "emotion"),
    [
        ("I love my iPad 2", "iPad", tasks.POSITIVE),
        ("the iPhone app crashed again, what a fail", "iPad or iPhone App", tasks.NEGATIVE),
        ("a great android app", "Android App", tasks.POSITIVE),
        ("Google Maps at noon", "Other Google product or service", tasks.NO_EMOTION),
        ("google talks at noon", "Google", tasks.NO_EMOTION),
        ("love it, hate it", "Apple", tasks.NO_EMOTION),  # no product named: the most frequent class
    ],
)
def test_keyword_rules(text, product, emotion):
    for task, label in ((tasks.PRODUCT, product), (tasks.EMOTION, emotion)):
        rules = baseline_models.KeywordRules(task).fit(
            ["a", "b"], np.array([5, 5] if task == tasks.PRODUCT else [1, 1])
        )
        assert task.labels[rules.predict([text])[0]] == label


def test_every_method_can_be_made_and_fitted(problems):
    problem = problems["product"]
    for method in baseline_models.methods().values():
        if method.inputs == baseline_models.TEXTS and not method.slow:
            said = baselines.fit_and_answer(method, problem, tasks.PRODUCT, problem.folds[REPORT], 0)
            accuracy = baselines.score(tasks.PRODUCT, problem.label_ids(tasks.PRODUCT), said)["accuracy"]
            assert (accuracy > 0.3) == (method.name != "majority"), f"{method.name}: {accuracy}"


def test_embeddings_have_length_1_do_not_depend_on_the_batch_and_are_kept(tiny_bert, monkeypatch):
    texts = ["i love my ipad", "a", "the new google maps are bad, and the app is bad too", "a"]
    found = baseline_models.embeddings(texts, str(tiny_bert))
    assert found.shape == (4, 16)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert np.array_equal(found[1], found[3])
    monkeypatch.setattr(baseline_models, "_embed", lambda *_: pytest.fail("the texts were embedded before"))
    assert np.array_equal(baseline_models.embeddings(texts[::-1], str(tiny_bert)), found[::-1])
    monkeypatch.undo()
    alone = baseline_models._embed(["a"], backbone.find(str(tiny_bert)), "normalized")
    assert np.allclose(alone[0], found[1], atol=1e-5), "padding is not averaged"


# ---------------------------------------------------------------- the command


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
    worth = keywords[baselines.COPIES]["emotion"]["0"]
    assert worth["accuracy"][REPORT] == keywords["emotion"][REPORT]["seeds"]["0"]["accuracy"]
    assert worth["rows"] == run["rows"]["emotion"][REPORT]
    assert not any(text in json.dumps(run) for text in problem.rows.texts)
    assert "keyword rules" in capsys.readouterr().out


def evaluate(*arguments: str) -> dict:
    assert baselines.main(["--data", str(paths.SAMPLE_CORPUS), *arguments]) == 0
    return runs.load("baselines")


def test_the_recorded_run_grows_by_method_protocol_and_seed(monkeypatch):
    quick, _ = watched()
    slow = replace(quick, name="slow", slow=True, seeds=(0, 1, 2))
    known = baseline_models.methods() | {"slow": slow}
    monkeypatch.setattr(baselines, "methods", lambda: known)
    evaluate("--methods", "slow", "--seeds", "1", "--protocols", REPORT)
    evaluate("--methods", "majority", "--problems", "product")
    run = evaluate("--methods", "slow", "--seeds", "0", "--problems", "product", "answer")
    assert list(run["methods"]) == ["majority", "slow"]
    assert list(run["methods"]["majority"]) == ["title", "settings", "product", "seconds", baselines.COPIES]
    found = run["methods"]["slow"]
    assert list(found["product"][REPORT]["seeds"]) == ["0", "1"]
    assert found["product"][REPORT]["summary"]["accuracy"]["n"] == 2
    assert list(found["product"][GROUPED]["seeds"]) == ["0"]
    assert list(found[baselines.COPIES]["product"]) == ["0"], "seed 1 was not run on the leak-free folds"
    evaluate("--methods", "slow", "--seeds", "1", "--problems", "product", "--protocols", GROUPED)
    assert list(runs.load("baselines")["methods"]["slow"][baselines.COPIES]["product"]) == ["0", "1"]
    assert list(found["emotion"]) == [REPORT]
    assert "answer" not in found, "a slow method does not answer twice"
    (recorded,) = found["emotion"][REPORT]["seeds"].values()
    del recorded["seconds"]
    runs.record("baselines", "x", run)  # as before each seed had its own
    assert evaluate("--methods", "slow", "--seeds", "0", "--problems", "product")["methods"]["slow"]["seconds"] > 0
    known["slow"] = replace(slow, settings="changed")
    assert list(evaluate("--methods", "majority")["methods"]) == ["majority"], "figures of other settings are left out"


def test_each_command_names_the_methods_of_the_same_problems_protocols_and_seeds():
    known = baseline_models.methods()

    def method(seeds: str, *names: str, protocols=baselines.PROTOCOLS) -> dict:
        return {name: {protocol: {"seeds": dict.fromkeys(seeds)} for protocol in protocols} for name in names}

    quick = {name: method("0", *baselines.PROBLEMS) for name, each in known.items() if not each.slow}
    assert baselines.command(quick, known) == "make baselines"
    some = {
        "majority": quick["majority"],
        "scratch": method("0", "product"),
        "keras_nlp_bert": method("0", *tasks.TASKS),
    }
    base = "python -m research.baselines --methods"
    assert baselines.command(some, known).split(" and ") == [
        f"{base} majority",
        f"{base} scratch --seeds 0 --problems product",
        f"{base} keras_nlp_bert --seeds 0",
    ]
    mixed = {"scratch": method("012", "product") | method("0", "emotion", protocols=[GROUPED])}
    assert baselines.command(mixed, known).split(" and ") == [
        f"{base} scratch --problems product",
        f"{base} scratch --seeds 0 --problems emotion --protocols grouped",
    ]


def test_settings_are_chosen_inside_the_training_part(dataset, monkeypatch):
    monkeypatch.setattr(baselines, "CHOICES", {"words_svm": (0.01, 1.0)})
    assert baselines.main(["--data", str(paths.SAMPLE_CORPUS), "--choose", "--methods", "words_svm"]) == 0
    run = runs.load("choose_baselines")
    split = splits.report_split(data.training_rows(dataset, "product").strata)
    assert run["rows"]["product"] == len(split.train)
    found = run["methods"]["words_svm"]
    for task, best in found["best"].items():
        by_value = {float(value): tried[task] for value, tried in found["tried"].items()}
        assert by_value[best] == max(by_value.values())
    with pytest.raises(UsageError, match="words_svm"):
        baselines.main(["--data", str(paths.SAMPLE_CORPUS), "--choose", "--methods", "majority"])


def test_logistic_regression_does_not_hang_on_the_last_digit_of_an_embedding():
    """The embeddings of two machines differ by about that."""
    random = np.random.default_rng(0)
    label_ids = random.integers(0, 4, 2000)
    vectors = random.normal(size=(2000, 200)) * np.geomspace(1, 0.05, 200) + np.eye(4, 200)[label_ids] + 1
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    others = vectors + random.uniform(-1.5e-7, 1.5e-7, vectors.shape).astype(np.float32)
    method = baseline_models.methods()["frozen_minilm"]
    ours, theirs = (
        method.make(tasks.EMOTION, 0).fit(each[:-100], label_ids[:-100]).predict_proba(each[-100:])
        for each in (vectors, others)
    )
    assert np.abs(ours - theirs).max() < 1e-5, "at scikit-learn's own tolerance: 2e-3"
