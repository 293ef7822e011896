"""Tidy frames of the recorded runs, one row per measurement, and look-ups of single rows for sentences in the pages.

Accuracies, their differences and intervals are shares, 0 to 1. Intervals are 95%: ``low`` and ``high`` resample groups
of near-duplicates; ``seeds_low`` and ``seeds_high`` are Student's t for the mean over training seeds.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from research import runs
from tf_model.analysis.compare import holm
from tf_model.errors import DataError

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
# Targets for the answer model's mean over the seeds: title, target, whether more is better.
TARGETS = {
    "product_accuracy": ("product accuracy", 0.89, True),
    "product_macro_f1": ("product macro-F1", 0.81, True),
    "emotion_accuracy": ("emotion accuracy", 0.76, True),
    "emotion_macro_f1": ("emotion macro-F1", 0.68, True),
    "answer_accuracy": ("whole answer correct", 0.75, True),
    f"{NON_NEUTRAL}_accuracy": ("whole answer correct, non-neutral tweets", 0.58, True),
    "product_accuracy_at_80_percent": ("product accuracy on the most confident 80%", 0.94, True),
    "product_ece": ("product ECE after calibration", 0.03, False),
    "emotion_ece": ("emotion ECE after calibration", 0.03, False),
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


def scores() -> pd.DataFrame:
    """Accuracy of each model by task, protocol and folds (over the tweets of the ``task``, or over ``all``)."""
    return pd.DataFrame(_scores())


def score(model: str, task: str, protocol: str = "grouped", folds: str = "all") -> Any:
    """One row of :func:`scores`, None if it was not measured."""
    return _row(scores(), model=model, task=task, protocol=protocol, folds=folds)


def comparisons() -> pd.DataFrame:
    """Our accuracy less a baseline's on the same tweets: one row per question, of the seed with the smallest gain."""
    rows = [
        {"ours": ours, "model": model, "task": task, "seed": seed, "rows": test["rows"], **_difference(test)}
        for ours, name in (("report", "report_product"), ("tuned", "product"), ("answer", "answer"))
        for model, tests in recorded(f"compare_{name}")["methods"].items()
        for task in QUESTIONS
        for seed, test in tests.get(task, {}).items()
        if seed != "averaged"
    ]
    frame = pd.DataFrame(rows)
    return frame.loc[frame.groupby(["ours", "model", "task"], sort=False)["difference"].idxmin()]


def compared(ours: str, model: str, task: str) -> Any:
    """One row of :func:`comparisons`, None if it was not measured."""
    return _row(comparisons(), ours=ours, model=model, task=task)


def near_duplicates() -> pd.DataFrame:
    """What near-duplicates in training add to the accuracy on the same tweets, with p-values corrected by Holm."""
    rows = [
        {"model": model, "task": task, **_difference(test)}
        for model, entry in recorded("baselines")["methods"].items()
        for task, tests in entry.get("report_less_grouped", {}).items()
        for test in tests.values()
    ]
    frame = pd.DataFrame(rows)
    frame = frame[frame["low"] < frame["high"]]  # methods that do not learn from tweets predict the same either way
    p_values = [normal_p(*row) for row in frame[["difference", "low", "high"]].to_numpy()]
    return frame.assign(p=holm(np.array(p_values)))


def duplicates_of(model: str, task: str) -> Any:
    """One row of :func:`near_duplicates`."""
    return _row(near_duplicates(), model=model, task=task)


REPORTED_BEFORE, CHOSEN_ON = "levers_four_epochs", "levers_folds_100_four_epochs"  # of the earlier answer model


def variants(run: str = REPORTED_BEFORE) -> pd.DataFrame:
    """Accuracy of each variant of the answer model less that of the unchanged model, by question."""
    by_name = recorded(run)["levers"]
    unchanged = _headlines(by_name["unchanged"])
    rows = [
        {"variant": name, "task": task, "seeds": len(variant["seeds"])}
        | _difference(variant["paired"][task])
        | _over_seeds(runs.gains(_headlines(variant), unchanged, f"{task}_accuracy"))
        for name, variant in by_name.items()
        if name != "unchanged"
        for task in (*QUESTIONS, NON_NEUTRAL)
    ]
    return pd.DataFrame(rows)


def variant(name: str, task: str, run: str = REPORTED_BEFORE) -> Any:
    """One row of :func:`variants`."""
    return _row(variants(run), variant=name, task=task)


def bugs() -> pd.DataFrame:
    """Product accuracy with one bug added or fixed less that without, by setting and protocol."""
    rows = []
    for setting, entry in recorded("ablation")["settings"].items():
        for protocol, switches in entry["protocols"].items():
            for name in [name for name in BUGS if name in switches]:
                for key, other in (("paired", "unchanged"), ("beside_control", "as_many_left_out")):
                    if paired := switches[name].get(key):
                        gains = runs.gains(switches[name]["seeds"], switches[other]["seeds"], "accuracy")
                        row = {"setting": setting, "protocol": protocol, "bug": name, "beside": other}
                        rows.append(row | _difference(paired) | _over_seeds(gains))
    return pd.DataFrame(rows)


def bug(setting: str, protocol: str, name: str, beside: str = "unchanged") -> Any:
    """One row of :func:`bugs`."""
    return _row(bugs(), setting=setting, protocol=protocol, bug=name, beside=beside)


def agreement(task: str) -> dict[str, Any]:
    """How often the labels of two near-duplicates agree, and the bounds of the best possible accuracy."""
    run = recorded("label_quality")
    return (run["answers_agree"] if task == "answer" else run["tasks"][task]["agreement"])["0.95"]


def learning_curve() -> pd.DataFrame:
    """Accuracy by number of labelled tweets: mean, standard deviation, least and most over draws."""
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


def targets() -> pd.DataFrame:
    """The targets for the answer model and what it reached, means over the seeds."""
    run = recorded("grouped_answer")
    rows = []
    for name, (title, target, higher_is_better) in TARGETS.items():
        mean = run["summary"][name]["mean"]
        values = [seed["headline"][name] for seed in run["seeds"].values()]
        reached = mean >= target if higher_is_better else mean <= target
        rows.append({"title": title, "target": target, "more": higher_is_better, "mean": mean, "reached": reached})
        rows[-1] |= _over_seeds(values)
    return pd.DataFrame(rows)


def mentions() -> pd.DataFrame:
    """Accuracy and macro-F1 of the emotion directed at a mention, mean over the seeds, by test and form of the text."""
    rows = []
    for test, (title, _) in MENTIONS.items():
        for form, results in recorded("targets")["tests"].get(test, {}).items():
            by_seed = list(results.get("seeds", {form: results}).values())
            means = {name: np.mean([metrics[name] for metrics in by_seed]) for name in ("accuracy", "macro_f1", "rows")}
            low, high = np.mean([metrics["macro_f1_interval"] for metrics in by_seed], axis=0)
            key = {"test": test, "title": title, "form": form, "seeds": len(by_seed)}
            rows.append(key | means | {"low": low, "high": high})
    return pd.DataFrame(rows)


def mention(test: str, form: str) -> Any:
    """One row of :func:`mentions`, None if it was not measured."""
    return _row(mentions(), test=test, form=form)


def to_reach(test: str) -> dict[str, float]:
    """The goals of the target model in a test of :data:`MENTIONS`: accuracy and macro-F1."""
    if test == "grouped, labelled mentions":
        return {"macro_f1": mention(test, "text").macro_f1 + MORE_THAN_TEXT}
    if test.endswith(", never seen"):
        return {"macro_f1": mention(test.replace("never ", ""), "target").macro_f1 - LESS_THAN_SEEN}
    return MENTIONS[test][1]


def lost_unseen(maker: str) -> float:
    """Points of macro-F1 that the target model loses on a maker's products if no training tweet names them."""
    seen, unseen = (mention(f"{maker}, {name}", "target").macro_f1 for name in ("seen", "never seen"))
    return 100 * (seen - unseen)


def whole_answers(form: str) -> dict[str, float]:
    """How often the answers made from the mentions are correct as a whole, mean over the seeds."""
    seeds = recorded("targets")["answers"][form]["seeds"].values()
    return {name: float(np.mean([seed[name] for seed in seeds])) for name in WHOLE_ANSWERS}


def reached_on_mentions() -> list[bool]:
    """Whether the target model reaches each goal, one value per figure that was measured."""
    rows = {test: mention(test, "target") for test in MENTIONS}
    reached = [
        getattr(row, name) >= least
        for test, row in rows.items()
        if row is not None
        for name, least in to_reach(test).items()
    ]
    answers = whole_answers("target")
    return reached + [answers[name] >= least for name, least in WHOLE_ANSWERS.items()]


def classes(task: str) -> pd.DataFrame:
    """Precision, recall, F1 and number of tweets of each class of the answer model, mean over the seeds."""
    by_seed = [pd.DataFrame(seed[task]["per_class"]).T for seed in recorded("grouped_answer")["seeds"].values()]
    return (sum(by_seed) / len(by_seed)).rename_axis("label").reset_index()


def confusion(task: str) -> pd.DataFrame:
    """Tweets by label (row) and by the answer model's prediction (column), mean over the seeds."""
    seeds = recorded("grouped_answer")["seeds"].values()
    labels = list(next(iter(seeds))[task]["per_class"])
    return pd.DataFrame(np.mean([seed[task]["confusion_matrix"] for seed in seeds], axis=0), labels, labels)


def calibration(task: str) -> dict[str, float]:
    """The answer model's ECE and Brier score before and after calibration, means over seeds; bounds of Brier's gain."""
    by_seed = [seed["calibration"][task] for seed in recorded("grouped_answer")["seeds"].values()]
    means = {
        f"{metric}_{when}": float(np.mean([seed[when][metric] for seed in by_seed]))
        for metric in ("ece", "brier")
        for when in ("before", "after")
    }
    gains = [seed["brier_gain"] for seed in by_seed]
    return means | {
        "least_gain": min(gain["interval"][0] for gain in gains),
        "greatest_gain": max(gain["interval"][1] for gain in gains),
    }


def emotion_shares() -> pd.DataFrame:
    """Share of each emotion in the labels, the best guesses and the answered tweets, mean over the seeds."""
    seeds = recorded("grouped_answer")["seeds"].values()
    by_seed = [pd.DataFrame(seed["answer"]["emotion_shares"]).T for seed in seeds]
    return (sum(by_seed) / len(by_seed)).rename_axis("emotion").reset_index()


def epochs() -> dict[int, float]:
    """Validation accuracy by epoch in the cross-validation that fixed the number of epochs."""
    return {round(row["epoch"]): row["val_accuracy"] for row in recorded("choose_epochs")["epochs"]}


def over_seeds(values: Sequence[float]) -> tuple[float, float]:
    """The 95% interval of a mean over training seeds, by Student's t; infinite for a single seed."""
    from scipy.stats import sem, t

    if len(values) < 2:
        return -np.inf, np.inf
    return t.interval(0.95, len(values) - 1, np.mean(values), sem(values))


def normal_p(difference: float, low: float, high: float) -> float:
    """Two-sided p-value of a difference, from the normal distribution with a 95% interval of this width."""
    from scipy.stats import norm

    return float(2 * norm.sf(abs(difference) * 2 * norm.ppf(0.975) / (high - low)))


def _scores() -> Iterator[dict[str, Any]]:
    for model, method in recorded("baselines")["methods"].items():
        for task in TASKS:
            for protocol, result in method.get(task, {}).items():
                yield _score(model, task, protocol, "task", result["summary"], result["intervals"][task])
        for protocol, result in method.get("answer", {}).items():
            for task in QUESTIONS:
                yield _score(model, task, protocol, "all", result["summary"][task], result["intervals"][task])
    yield _score("report", "product", "report", "task", recorded("bench_train_report"))
    for model, folds, questions in (("tuned", "task", ("product",)), ("answer", "all", QUESTIONS)):
        summary = recorded(f"grouped_{model}")["summary"]
        for task in questions:
            metrics = {name.removeprefix(f"{task}_"): value for name, value in summary.items() if name.startswith(task)}
            yield _score(model, task, "grouped", folds, metrics, metrics["accuracy"]["interval"])


def _score(model: str, task: str, protocol: str, folds: str, summary: Mapping, interval: Sequence = ()) -> dict:
    low, high = interval or (np.nan, np.nan)
    return {
        "model": model,
        "task": task,
        "protocol": protocol,
        "folds": folds,
        "accuracy": summary["accuracy"]["mean"],
        "low": low,
        "high": high,
        "macro_f1": summary.get("macro_f1", {}).get("mean"),
        "non_neutral": summary.get("emotion_rows_accuracy", {}).get("mean"),
    }


def _headlines(variant: Mapping[str, Any]) -> dict[str, Any]:
    return {seed: result["headline"] for seed, result in variant["seeds"].items()}


def _difference(test: Mapping[str, Any]) -> dict[str, float]:
    low, high = test.get("interval") or test["difference_interval"]
    return {"difference": test["difference"], "low": low, "high": high}


def _over_seeds(values: Sequence[float]) -> dict[str, float]:
    return dict(zip(("seeds_low", "seeds_high"), over_seeds(values), strict=True))


def _row(frame: pd.DataFrame, **values: Any) -> Any:
    """The one row with these values, as a named tuple; None if there is none."""
    rows = frame[(frame[list(values)] == pd.Series(values)).all(axis="columns")]
    return next(rows.itertuples(index=False), None)
