"""``python -m research.targets``: how well the emotion directed at each product of a text is recognized.

Each protocol is measured with the mention masked, as `--task target` trains it, and with the text alone, where the
model cannot know which mention is meant. Finished trainings are kept, so a stopped run resumes.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from research import study
from research.methods.neural import FineTuned
from research.runs import record, show
from tf_model import cli, data, paths, tasks
from tf_model.config import TARGET
from tf_model.data import splits
from tf_model.errors import DataError
from tf_model.evaluation.metrics import evaluate_probabilities, mean_interval
from tf_model.preprocessing.cleaning import CLEANINGS, MENTION_START, mark, unmark

TEXT_ALONE = replace(TARGET, cleaning="normalized_trimmed", joined_pairs=0.0, opinion_pairs=0.0)
FORMS = {"target": TARGET, "text": TEXT_ALONE}
VADER = "vader"  # a sentiment lexicon on the mention's clause: C. Hutto and E. Gilbert, ICWSM 2014
CLASSES = tasks.TARGET.labels
SIDES = {
    "Google": ("Google", "Android", "Android App", "Other Google product or service"),
    "Apple": ("Apple", "iPhone", "iPad", "iPad or iPhone App", "Other Apple product or service"),
}
# L. Dong et al., "Adaptive Recursive Neural Network for Target-dependent Twitter Sentiment Classification", ACL 2014.
DONG_SHA256 = "d33db1cf553ec0b65c4b503e736f10cb1a810d451ae466f5244724a61c935a8e"
DONG = paths.SHARED_DATA / "dong2014" / "train.raw"
CLAUSE = re.compile(r"[.,;:!?]+\s|\s(?:but|while|whereas|though|although|however|unlike)\s", re.IGNORECASE)
RESAMPLES = 1000
VADER_NEUTRAL = 0.05  # the compound score below which its authors call a text neutral


# A table of mentions has a row for each, with the columns text (the mention is marked), row (number in the dataset),
# product, label_id (to train on; -1 where the emotion is unknown), judged_id (given by annotators; -1 elsewhere) and
# group (of near-duplicates).
Tests = Iterator[tuple[str, pd.DataFrame, np.ndarray]]  # name, mentions, and their scores, float32 [N, classes]


def main(argv: list[str] | None = None) -> int:
    """Measure the chosen protocols; print and record the results."""
    parser = study.parser("targets", __doc__.splitlines()[0])
    names = list(PROTOCOLS)
    parser.add_argument("--protocols", nargs="+", choices=names, default=names, help="where it is measured")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="training seeds")
    parser.add_argument("--dong", type=Path, default=DONG, help="train.raw of Dong et al. 2014")
    arguments = parser.parse_args(argv)
    dataset = data.load(arguments.data)
    mentions, foreign = all_mentions(dataset), None
    if any(name.startswith("dong") for name in arguments.protocols):
        foreign = read_dong(arguments.dong)
    same = {
        "data_sha256": dataset.sha256,
        "opinions_sha256": hashlib.sha256(paths.OPINIONS.read_bytes()).hexdigest(),
        "mentions": len(mentions),
    }
    run = study.load_to_extend("targets", same, TARGET)
    with cli.stopped_cleanly():
        for name in arguments.protocols:
            for seed, form in product(arguments.seeds, FORMS):
                for test, judged, scores in PROTOCOLS[name](mentions, foreign, form, seed):
                    metrics = evaluate(judged, scores)
                    shown = {key: metrics[key] for key in ("rows", "accuracy", "macro_f1", "macro_f1_interval")}
                    shown |= {f"F1 of {label}": each["f1"] for label, each in metrics["per_class"].items()}
                    show(f"{test}, {form}, seed {seed}", shown)
                    of_test = run.setdefault("tests", {}).setdefault(test, {})
                    of_form = of_test.setdefault(form, {})
                    of_form["seeds"] = study.with_seed(of_form, seed, metrics)
                    of_test[VADER] = evaluate(judged, vader(judged["text"]))
                if name == "grouped":
                    answers = whole_answers(dataset, mentions, out_of_fold(mentions, form, seed))
                    show(f"whole answer, {form}, seed {seed}", answers)
                    of_form = run.setdefault("answers", {}).setdefault(form, {})
                    of_form["seeds"] = study.with_seed(of_form, seed, answers)
                record("targets", study.command_line("targets", argv), run)
    return 0


# ---------------------------------------------------------------- rows


def all_mentions(dataset: data.Dataset) -> pd.DataFrame:
    """The first mention of each product in each text of the dataset, with the labels to train on."""
    products = data.products_of(dataset)
    mentions = pd.DataFrame(
        [
            (mark(text, mention.start, mention.end), row, name)
            for row, text in zip(dataset.labelled["row"], dataset.labelled[tasks.TEXT_COLUMN], strict=True)
            for name, mention in products.first_mentions(text).items()
        ],
        columns=["text", "row", "product"],
    )
    rows = data.training_rows(dataset, tasks.TARGET.name, products)
    ids = {"label_id": rows.label_ids[:, 0], "judged_id": rows.judged_ids[:, 0]}
    labels = pd.DataFrame({"text": rows.texts, "row": rows.rows} | ids)
    mentions = mentions.merge(labels, how="left").fillna(dict.fromkeys(ids, tasks.NO_LABEL))
    groups = splits.near_duplicate_groups(mentions["text"].tolist())
    return mentions.astype(dict.fromkeys(ids, np.int64)).assign(group=groups)


def read_dong(path: Path) -> pd.DataFrame:
    """Tweets of 2010 to 2013 about ten products (four are ours too) and famous people, each with one target."""
    content = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(content).hexdigest() != DONG_SHA256:
        raise DataError(
            f"expected the train.raw of Dong et al. 2014 in {path}, found none or another file; "
            "name it with --dong, or leave it out: --protocols grouped unseen_brand"
        )
    lines = content.decode("utf-8").splitlines()
    texts, targets, labels = (lines[start::3] for start in range(3))
    places = [text.index("$T$") for text in texts]
    whole = [text.replace("$T$", target) for text, target in zip(texts, targets, strict=True)]
    marked = [mark(text, at, at + len(name)) for text, at, name in zip(whole, places, targets, strict=True)]
    label_ids = np.array([int(label) + 1 for label in labels])  # -1, 0, 1 in the order of the classes
    groups = splits.near_duplicate_groups(whole)
    return pd.DataFrame({"text": marked, "label_id": label_ids, "judged_id": label_ids, "group": groups})


# ---------------------------------------------------------------- protocols: (name, judged mentions, scores)


def grouped(mentions: pd.DataFrame, _: pd.DataFrame | None, form: str, seed: int) -> Tests:
    """Five folds with no near-duplicate on both sides."""
    scores = out_of_fold(mentions, form, seed)
    yield "grouped, labelled mentions", mentions, scores
    # Includes mentions whose emotion is assumed to be none: the annotators labelled one product of a text.
    names_several = mentions.duplicated("row", keep=False)
    judged = mentions.assign(judged_id=mentions["label_id"].where(names_several, tasks.NO_LABEL))
    yield "grouped, texts with several products", judged, scores


def unseen_brand(mentions: pd.DataFrame, _: pd.DataFrame | None, form: str, seed: int) -> Tests:
    """Train on tweets that name no product of one maker, and test on that maker's products.

    The sentences of :mod:`tf_model.data.opinions` do name some, beside the product that is asked about.
    """
    for maker, products in SIDES.items():
        is_of_maker = mentions["product"].isin(products)
        of_maker = mentions[is_of_maker]
        is_near = mentions["row"].isin(of_maker["row"]) | mentions["group"].isin(of_maker["group"])
        judged = mentions.assign(judged_id=mentions["judged_id"].where(is_of_maker, tasks.NO_LABEL))
        everything = splits.Split(np.flatnonzero(~is_near & (mentions["label_id"] >= 0)), np.arange(len(mentions)))
        unseen = trained_and_scored(mentions, [everything], form, seed, mentions["text"])
        yield f"{maker}, never seen", judged, unseen
        yield f"{maker}, seen", judged, out_of_fold(mentions, form, seed)


def dong_unseen(mentions: pd.DataFrame, foreign: pd.DataFrame, form: str, seed: int) -> Tests:
    """Train on our tweets, and test on those of Dong et al."""
    everything = splits.Split(np.flatnonzero(mentions["label_id"] >= 0), np.arange(len(foreign)))
    scores = trained_and_scored(mentions, [everything], form, seed, foreign["text"])
    yield "Dong et al., never trained on", foreign, scores


def dong_trained(_: pd.DataFrame, foreign: pd.DataFrame, form: str, seed: int) -> Tests:
    """Five folds of the tweets of Dong et al."""
    yield "Dong et al., 5 folds", foreign, out_of_fold(foreign, form, seed)


PROTOCOLS = {each.__name__: each for each in (grouped, unseen_brand, dong_unseen, dong_trained)}


def out_of_fold(mentions: pd.DataFrame, form: str, seed: int) -> np.ndarray:
    """Probabilities of all mentions, float32 [N, classes], each by a model that saw no near-duplicate of its text."""
    folds = splits.grouped_folds(mentions["label_id"].to_numpy() + 1, mentions["group"].to_numpy())
    return trained_and_scored(mentions, folds, form, seed, mentions["text"])


def trained_and_scored(
    mentions: pd.DataFrame, folds: Sequence[splits.Split], form: str, seed: int, texts: pd.Series
) -> np.ndarray:
    """Probabilities of ``texts``, float32 [N, classes]; a fold has positions of mentions to train on, and of texts."""

    def fit_and_score(split: splits.Split) -> np.ndarray:
        train = mentions.iloc[split.train].query("label_id >= 0")
        model = FineTuned(replace(FORMS[form], seed=seed), [len(CLASSES)])
        model.fit(train["text"].tolist(), train["label_id"].to_numpy())
        return model.predict_proba(texts.iloc[split.validation].tolist())

    depends_on = (
        mentions["text"].tolist(),
        mentions["label_id"].tolist(),
        texts.tolist(),
        FORMS[form].to_dict(),
        asdict(CLEANINGS[FORMS[form].cleaning]),
        paths.OPINIONS.read_text("utf-8"),
        study.precision_and_gpus(),
    )
    name, title = f"targets-{form}-seed-{seed}", f"{form}, seed {seed}"
    return study.score_folds(name, depends_on, len(texts), folds, fit_and_score, title).scores


def vader(marked: Iterable[str]) -> np.ndarray:
    """The class that a sentiment lexicon gives to the clause of each mention, as probabilities of 0 and 1."""
    analyzer, class_ids = SentimentIntensityAnalyzer(), []
    for text in marked:
        clause = next(each for each in CLAUSE.split(text) if MENTION_START in each)
        compound = analyzer.polarity_scores(unmark(clause))["compound"]
        class_ids.append(1 + int(compound >= VADER_NEUTRAL) - int(compound <= -VADER_NEUTRAL))
    return np.eye(len(CLASSES), dtype=np.float32)[class_ids]


# ---------------------------------------------------------------- metrics


def evaluate(judged: pd.DataFrame, scores: np.ndarray) -> dict[str, Any]:
    """Metrics on the judged mentions; the intervals resample groups of near-duplicates."""
    known = (judged["judged_id"] >= 0).to_numpy()
    label_ids, groups = judged["judged_id"][known].to_numpy(), judged["group"][known].factorize(sort=True)[0]
    metrics = evaluate_probabilities(label_ids, scores[known], CLASSES)
    del metrics["accuracy_interval"]
    counts = np.zeros((groups.max() + 1, len(CLASSES), len(CLASSES)))  # by group: true class, predicted class
    np.add.at(counts, (groups, label_ids, scores[known].argmax(axis=1)), 1)
    drawn = np.random.default_rng(0).multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size=RESAMPLES)
    tables = np.einsum("rg,gij->rij", drawn, counts)
    right = np.einsum("rii->ri", tables)
    f1 = 2 * right / np.maximum(tables.sum(axis=1) + tables.sum(axis=2), 1)
    intervals = {"accuracy_interval": right.sum(axis=1) / tables.sum(axis=(1, 2)), "macro_f1_interval": f1.mean(axis=1)}
    return metrics | {name: np.quantile(values, (0.025, 0.975)).tolist() for name, values in intervals.items()}


def whole_answers(dataset: data.Dataset, mentions: pd.DataFrame, scores: np.ndarray) -> dict[str, Any]:
    """How often emotion and product of a tweet are both correct, over all tweets with an emotion label.

    The answer is the tweet's most probable non-neutral mention; neutral if no mention is. It is judged like the answers
    of the ``answer`` model: if the product has no label, any product counts as correct.
    """
    problem, neutral = study.make_problem(dataset, tasks.ANSWER), tasks.EMOTION.neutral
    predicted = mentions.assign(emotion=scores.argmax(axis=1), confidence=scores.max(axis=1))
    felt = predicted[(predicted["emotion"] != neutral) & predicted["row"].isin(problem.rows.rows)]
    felt = felt.sort_values("confidence").drop_duplicates("row", keep="last")
    positions = np.searchsorted(problem.rows.rows, felt["row"])
    emotions = np.full(len(problem.rows), neutral)
    emotions[positions] = felt["emotion"]
    products = np.zeros(len(problem.rows), int)  # ignored where there is no emotion
    products[positions] = [tasks.PRODUCTS.index(name) for name in felt["product"]]
    one_hot = np.concatenate([np.eye(len(tasks.PRODUCTS))[products], np.eye(len(CLASSES))[emotions]], axis=1)
    rows, correct = study.correct_by_question(problem, one_hot)[tasks.ANSWER]
    groups = problem.groups[rows]
    is_felt = problem.label_ids(tasks.EMOTION)[rows] != neutral
    return {
        "rows": len(correct),
        "accuracy": float(correct.mean()),
        "accuracy_interval": list(mean_interval(correct, groups)),
        "emotion_rows": int(is_felt.sum()),
        "emotion_rows_accuracy": float(correct[is_felt].mean()),
        "emotion_rows_accuracy_interval": list(mean_interval(correct[is_felt], groups[is_felt])),
    }


if __name__ == "__main__":
    cli.run(main)
