"""Figures of the recorded runs, looked up for the pages: of one thing as a dict, of several as a frame.

Accuracies, their differences and intervals are shares, 0 to 1. Intervals are 95%: ``low`` and ``high`` resample groups
of near-duplicates; ``seeds_low`` and ``seeds_high`` are Student's t for the mean over training seeds.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm, sem, t

from research import runs
from tf_model.analysis.compare import holm
from tf_model.errors import DataError
from tf_model.tasks import NEGATIVE, NO_EMOTION, POSITIVE

TASKS = ("product", "emotion")
QUESTIONS = (*TASKS, "answer")  # the whole answer: emotion and product
NON_NEUTRAL = "answer_emotion_rows"  # the whole answer, on tweets that have an emotion

MODELS = {
    "report": "ours, `report`",
    "tuned": "ours, `tuned`",
    "answer": "ours, `answer`",
    "keras_nlp_bert": "keras-nlp BertTextClassifier, same weights",
    "scratch": "keras-nlp transformer from scratch",
    "frozen_minilm": "frozen MiniLM + logistic regression",
    "words_svm": "TF-IDF + linear SVM",
    "words_logistic": "TF-IDF + logistic regression",
    "keywords": "keyword rules",
    "majority": "most frequent class",
}
CLASSICAL = ("frozen_minilm", "words_svm", "words_logistic", "keywords", "majority")
NETWORKS = ("keras_nlp_bert", "scratch")
BUGS = {
    "no_mask": "bug: attention mask dropped",
    "second_layer": "bug: second softmax layer",
    "unstratified": "bug: folds not stratified by class",
    "duplicates_across": "bug: near-duplicates on both sides",
    "urls_first": "fix: URL rule before the letters rule",
    "normalized": "fix: cleaning keeps digits and emoticons",
    "as_many_left_out": "control: as many random tweets left out",
    "without_duplicates": "fix: near-duplicates left out of training",
}
SHORT = {NEGATIVE: "Negative", NO_EMOTION: "None", POSITIVE: "Positive"}
NEGATIVE_F1 = "negative_f1"
# Targets for the answer model's mean over the seeds: title, target, whether more is better.
TARGETS = {
    "product_accuracy": ("product accuracy", 0.9, True),
    "product_macro_f1": ("product macro-F1", 0.83, True),
    "emotion_accuracy": ("emotion accuracy", 0.755, True),
    "emotion_macro_f1": ("emotion macro-F1", 0.66, True),
    NEGATIVE_F1: ("negative emotion, F1", 0.52, True),
    "answer_accuracy": ("whole answer correct", 0.735, True),
    f"{NON_NEUTRAL}_accuracy": ("whole answer correct, non-neutral tweets", 0.6, True),
    "product_ece": ("product ECE after calibration", 0.02, False),
    "emotion_ece": ("emotion ECE after calibration", 0.02, False),
}


# Tests of the emotion directed at a mention: title, and the goals for accuracy and macro-F1.
MENTIONS = {
    "grouped, labelled mentions": ("labelled mentions", {}),
    "grouped, texts with several products": ("texts with several products", {"macro_f1": 0.60}),
    "Google, never seen": ("Google's products, never seen", {}),
    "Google, seen": ("the same, seen", {}),
    "Apple, never seen": ("Apple's products, never seen", {}),
    "Apple, seen": ("the same, seen", {}),
    "Dong et al., never trained on": ("tweets of Dong et al., never trained on", {"accuracy": 0.64, "macro_f1": 0.62}),
    "Dong et al., 5 folds": ("the same, trained on", {"accuracy": 0.72, "macro_f1": 0.70}),
}
MORE_THAN_TEXT, LESS_THAN_SEEN = 0.03, 0.03  # of macro-F1: least gain over the text alone, greatest loss if never seen
WHOLE_ANSWERS = {"accuracy": 0.72, "emotion_rows_accuracy": 0.60}


def recorded(name: str) -> dict[str, Any]:
    """A recorded run; :class:`DataError` if there is none."""
    run = runs.load(name)
    if run is None:
        raise DataError(f"research/runs/{name}.json is missing; restore it, or record it again (`make help`)")
    return run


def score(model: str, task: str, protocol: str = "grouped", folds: str = "all") -> dict[str, float] | None:
    """Means over the seeds, and the interval of the accuracy if there is one; None if it was not measured.

    ``folds`` are over the tweets of the ``task``, or over ``all``.
    """
    if model in ("report", "tuned", "answer"):
        measured = {"report": ("product", "report", "task"), "tuned": ("product", "grouped", "task")}
        if (task, protocol, folds) != measured.get(model, (task, "grouped", "all")):
            return None
        summary = recorded("bench_train_report" if model == "report" else f"grouped_{model}")
        if model != "report":
            summary = {name.removeprefix(f"{task}_"): values for name, values in summary["summary"].items()}
        interval = summary["accuracy"].get("interval")
    else:
        results = recorded("baselines")["methods"][model].get("answer" if folds == "all" else task, {})
        if protocol not in results:
            return None
        summary, interval = results[protocol]["summary"], results[protocol]["intervals"][task]
        summary = summary[task] if folds == "all" else summary
    names = ("accuracy", "macro_f1", "emotion_rows_accuracy")
    bounds = dict(zip(("low", "high"), interval or (), strict=False))
    return {name: summary[name]["mean"] for name in names if name in summary} | bounds


def neutral_accuracy(model: str) -> float:
    """Accuracy of the whole answer on neutral tweets: saying so everywhere is correct on just these."""
    row, neutral = score(model, "answer"), score("majority", "answer")["accuracy"]
    return (row["accuracy"] - (1 - neutral) * row["emotion_rows_accuracy"]) / neutral


def compared(ours: str, model: str, task: str) -> dict[str, Any] | None:
    """Our accuracy less a baseline's on the same tweets, of the seed with the smallest gain; None if not measured."""
    name = {"report": "report_product", "tuned": "product"}.get(ours, ours)
    by_seed = recorded(f"compare_{name}")["methods"].get(model, {}).get(task, {})
    tests = [{"rows": test["rows"], **_difference(test)} for seed, test in by_seed.items() if seed != "averaged"]
    return min(tests, key=itemgetter("difference"), default=None)


def near_duplicates() -> pd.DataFrame:
    """What near-duplicates in training add to the accuracy on the same tweets, by model and task; p-values by Holm."""
    rows = [
        {"model": model, "task": task, **_difference(test)}
        for model, entry in recorded("baselines")["methods"].items()
        for task, tests in entry.get("report_less_grouped", {}).items()
        for test in tests.values()
    ]
    frame = pd.DataFrame(rows).set_index(["model", "task"])
    frame = frame[frame["low"] < frame["high"]]  # methods that do not learn from tweets predict the same either way
    p_values = [normal_p(*row) for row in frame[["difference", "low", "high"]].to_numpy()]
    return frame.assign(p=holm(np.array(p_values)))


REPORTED_BEFORE, CHOSEN_ON = "variants_four_epochs", "variants_folds_100_four_epochs"  # of the earlier answer model
TRIED, TRIED_IN_FLOAT32 = "variants_folds_100", "variants_folds_100_float32"  # of today's answer model, on other folds


def variant(name: str, task: str, run: str = REPORTED_BEFORE) -> dict[str, Any]:
    """Accuracy of a variant of the answer model less that of the unchanged model, on one question."""
    entry, gains = recorded(run)["variants"][name], variant_gains(name, f"{task}_accuracy", run)
    return {"seeds": len(entry["seeds"]), **_difference(entry["paired"][task]), **_over_seeds(gains)}


def variant_gains(name: str, metric: str, run: str) -> list[float]:
    """A metric of a variant of the answer model less that of the unchanged model, for each seed that both have."""
    seeds, others = (recorded(run)["variants"][each]["seeds"] for each in (name, "unchanged"))
    return [seeds[seed]["headline"][metric] - others[seed]["headline"][metric] for seed in seeds if seed in others]


def times_as_long(name: str) -> float:
    """Time to train a variant of today's answer model, as a multiple of the unchanged one's; both beside other work."""
    by_name = recorded(TRIED)["variants"]
    taken, unchanged = (sum(each["seconds"] for each in by_name[key]["seeds"].values()) for key in (name, "unchanged"))
    return taken / unchanged


def bug(setting: str, protocol: str, name: str, beside: str = "unchanged") -> dict[str, float] | None:
    """Product accuracy with one bug added or fixed less that without; None if it was not measured."""
    trainings = recorded("ablation")["settings"][setting]["protocols"][protocol]
    paired = trainings.get(name, {}).get("paired" if beside == "unchanged" else "beside_control")
    if not paired:
        return None
    seeds, others = (trainings[each]["seeds"] for each in (name, beside))
    gains = [seeds[seed]["accuracy"] - others[seed]["accuracy"] for seed in seeds if seed in others]
    return _difference(paired) | _over_seeds(gains)


def agreement(task: str) -> dict[str, Any]:
    """How often two labels of a repeated text agree, and the bounds of the best possible accuracy."""
    run = recorded("label_quality")
    return (run["answers_agree"] if task == "answer" else run["tasks"][task]["agreement"])["0.95"]


def learning_curve() -> pd.DataFrame:
    """Accuracy by number of labelled tweets: mean, standard deviation, least and most over random subsets."""
    rows = [
        {"task": task, "model": model, "size": point["size"], "accuracy": point["accuracy"]["mean"]}
        | {"sd": point["accuracy"]["sd"], "least": point["accuracy"]["min"], "most": point["accuracy"]["max"]}
        for task, name in (("product", "learning_curve"), ("emotion", "learning_curve_emotion"))
        for model, method in recorded(name)["methods"].items()
        for point in method["points"]
    ]
    return pd.DataFrame(rows)


def lead(task: str, size: int) -> float:
    """Accuracy of our fine-tuned model's worst draw less that of the best draw of any baseline, at a size."""
    curve = learning_curve()
    points = curve[(curve["task"] == task) & (curve["size"] == size)].set_index("model")
    return points.loc["tuned", "least"] - points.drop("tuned")["most"].max()


def targets() -> list[dict[str, Any]]:
    """The targets for the answer model and what it reached, means over the seeds."""
    seeds = recorded("grouped_answer")["seeds"].values()
    measured = [each["headline"] | {NEGATIVE_F1: each["emotion"]["per_class"][NEGATIVE]["f1"]} for each in seeds]
    rows = []
    for name, (title, target, higher_is_better) in TARGETS.items():
        values = [each[name] for each in measured]
        mean = float(np.mean(values))
        reached = mean >= target if higher_is_better else mean <= target
        row = {"title": title, "target": target, "more": higher_is_better, "mean": mean, "reached": reached}
        rows.append(row | _over_seeds(values))
    return rows


def mention(test: str, form: str) -> dict[str, Any]:
    """The emotion directed at a mention, mean over the seeds, by test and form of the text.

    ``none`` is the share of the mentions with no emotion: the accuracy of always answering that. ``felt``: the others.
    """
    results = recorded("targets")["tests"][test][form]
    by_seed = list(results.get("seeds", {form: results}).values())
    means = {name: np.mean([metrics[name] for metrics in by_seed]) for name in ("accuracy", "macro_f1", "rows")}
    low, high = np.mean([metrics["macro_f1_interval"] for metrics in by_seed], axis=0)
    rows, calm = by_seed[0]["rows"], by_seed[0]["per_class"][NO_EMOTION]["support"]
    return means | {"seeds": len(by_seed), "low": low, "high": high, "none": calm / rows, "felt": rows - calm}


def to_reach(test: str) -> dict[str, float]:
    """The goals of the target model in a test of :data:`MENTIONS`: accuracy and macro-F1."""
    if test == "grouped, labelled mentions":
        return {"macro_f1": mention(test, "text")["macro_f1"] + MORE_THAN_TEXT}
    if test.endswith(", never seen"):
        return {"macro_f1": mention(test.replace("never ", ""), "target")["macro_f1"] - LESS_THAN_SEEN}
    return MENTIONS[test][1]


def lost_unseen(maker: str) -> float:
    """Points of macro-F1 that the target model loses on a maker's products if no training tweet names them."""
    seen, unseen = (mention(f"{maker}, {name}", "target")["macro_f1"] for name in ("seen", "never seen"))
    return 100 * (seen - unseen)


def whole_answers() -> dict[str, float]:
    """How often the answers made from the target model's mentions are correct as a whole, mean over the seeds."""
    seeds = recorded("targets")["answers"]["target"]["seeds"].values()
    return {name: float(np.mean([seed[name] for seed in seeds])) for name in WHOLE_ANSWERS}


def reached_on_mentions() -> list[bool]:
    """Whether the target model reaches each goal."""
    reached = [mention(test, "target")[name] >= least for test in MENTIONS for name, least in to_reach(test).items()]
    answers = whole_answers()
    return reached + [answers[name] >= least for name, least in WHOLE_ANSWERS.items()]


def classes(task: str) -> pd.DataFrame:
    """Precision, recall, F1 and number of tweets of each class of the answer model, mean over the seeds."""
    return _mean_of_seeds(lambda seed: pd.DataFrame(seed[task]["per_class"]).T)


def confusion(task: str) -> pd.DataFrame:
    """Tweets by label (row) and by the answer model's prediction (column), mean over the seeds."""
    labels = classes(task).index
    return _mean_of_seeds(lambda seed: pd.DataFrame(seed[task]["confusion_matrix"], labels, labels))


def calibration(task: str) -> dict[str, Any]:
    """The answer model's ECE and Brier score ``before`` and ``after`` calibration, means over seeds; Brier's gain."""
    by_seed = [seed["calibration"][task] for seed in recorded("grouped_answer")["seeds"].values()]
    means = {
        when: {metric: np.mean([seed[when][metric] for seed in by_seed]) for metric in ("ece", "brier")}
        for when in ("before", "after")
    }
    lows, highs = zip(*(seed["brier_gain"]["interval"] for seed in by_seed), strict=True)
    return means | {"least_gain": min(lows), "greatest_gain": max(highs)}


def emotion_shares() -> pd.DataFrame:
    """Share of each emotion in the labels, the best guesses and the answered tweets, mean over the seeds."""
    return _mean_of_seeds(lambda seed: pd.DataFrame(seed["answer"]["emotion_shares"]).T)


def epochs() -> dict[int, float]:
    """Validation accuracy by epoch in the cross-validation that fixed the number of epochs."""
    return {round(row["epoch"]): row["val_accuracy"] for row in recorded("choose_epochs")["epochs"]}


def over_seeds(values: Sequence[float]) -> tuple[float, float]:
    """The 95% interval of a mean over training seeds, by Student's t; infinite for a single seed."""
    if len(values) < 2:
        return -np.inf, np.inf
    return t.interval(0.95, len(values) - 1, np.mean(values), sem(values))


def normal_p(difference: float, low: float, high: float) -> float:
    """Two-sided p-value of a difference, from the normal distribution with a 95% interval of this width."""
    return float(2 * norm.sf(abs(difference) * 2 * norm.ppf(0.975) / (high - low)))


def _mean_of_seeds(table: Callable[[Mapping[str, Any]], pd.DataFrame]) -> pd.DataFrame:
    by_seed = [table(seed) for seed in recorded("grouped_answer")["seeds"].values()]
    return sum(by_seed) / len(by_seed)


def _difference(test: Mapping[str, Any]) -> dict[str, float]:
    low, high = test.get("interval") or test["difference_interval"]
    return {"difference": test["difference"], "low": low, "high": high}


def _over_seeds(values: Sequence[float]) -> dict[str, float]:
    return dict(zip(("seeds_low", "seeds_high"), over_seeds(values), strict=True))
