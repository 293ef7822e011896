"""What is in the labelled tweets, as tidy tables.

:func:`describe` makes a table with one line per tweet; functions of ``tweets`` take that table, whole, filtered or
empty, and never change it.
"""

import html
import re
from collections.abc import Iterable, Sequence
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from tf_model import tasks
from tf_model.data.splits import bare_words
from tf_model.evaluation.metrics import wilson_interval
from tf_model.preprocessing.cleaning import BROKEN_APOSTROPHE, URL

NO_PRODUCT = "no product"
NO_LABEL = "no label"

_USER = re.compile(r"\B@\w+")
_APOSTROPHE = re.compile(f"{BROKEN_APOSTROPHE}|\u2019")
_WORD = re.compile(r"\w+(?:['&]\w+)*")


def describe(labelled: pd.DataFrame) -> pd.DataFrame:
    """Everything about each tweet that the other functions count, one line per row of ``Dataset.labelled``.

    Tweets with the same :func:`~tf_model.data.splits.bare_words` share a number in ``same_words``.
    """
    text = labelled[tasks.TEXT_COLUMN].reset_index(drop=True)
    return pd.DataFrame(
        {
            "row": labelled["row"].to_numpy(),
            "text": text,
            "product": labelled[tasks.PRODUCT_COLUMN].fillna(NO_PRODUCT).to_numpy(),
            "emotion": labelled[tasks.EMOTION_COLUMN].fillna(NO_LABEL).to_numpy(),
            "terms": pd.Series(terms(text), dtype=object),
            "same_words": text.map(bare_words).factorize()[0],
        }
    )


def terms(texts: Iterable[str]) -> list[tuple[str, ...]]:
    """The words of each text for counting: lower case, without ``#``, user names, addresses and placeholders."""
    from pyarrow import array, compute, large_string

    plain = array([_APOSTROPHE.sub("'", html.unescape(text)) for text in texts], large_string())
    plain = compute.replace_substring_regex(plain, URL, " ").to_pylist()  # by RE2, as in the cleaning
    words = {}  # one string for all texts that hold a word
    return [
        tuple(words.setdefault(each, each) for each in _WORD.findall(_USER.sub(" ", text).lower())) for text in plain
    ]


def filter_tweets(
    tweets: pd.DataFrame,
    *,
    products: Iterable[str] = (),
    emotions: Iterable[str] = (),
    statuses: Iterable[str] = (),
    sources: Iterable[str] = (),
    dates: Sequence[date | str] = (),
    contains: str = "",
    once: bool = False,
) -> pd.DataFrame:
    """The rows of ``tweets`` (see :func:`describe`) that pass all filters, with their index; empty ones keep all.

    Answered tweets may also have the columns ``status``, ``source`` and ``date``; ``dates`` are the first and the last
    day. ``contains`` ignores letter case; ``once`` keeps the first of the tweets with the same words.
    """
    allowed_labels = {"product": products, "emotion": emotions, "status": statuses, "source": sources}
    for column, labels in allowed_labels.items():
        if labels:
            tweets = tweets[tweets[column].isin(labels)]
    if len(dates) == 2:
        first, last = map(pd.Timestamp, dates)
        tweets = tweets[tweets["date"].between(first, last + pd.Timedelta(days=1), inclusive="left")]
    if contains:
        tweets = tweets[tweets["text"].str.lower().str.contains(contains.lower(), regex=False)]
    return tweets.drop_duplicates("same_words") if once else tweets


def label_order(tweets: pd.DataFrame, column: str) -> tuple[str, ...]:
    """All labels of ``product`` or ``emotion`` in display order, then ignored and missing labels if they occur.

    For a table with other labels than the report's: the labels that occur, sorted.
    """
    task, values = tasks.TASKS[column], set(tweets[column].unique())
    labels_present = sorted(filter(is_label, values))
    are_known = set(task.labels).issuperset(labels_present) and (labels_present or not values)
    labels = task.labels if are_known else labels_present
    return (*labels, *sorted(values.difference(labels_present), key=(NO_PRODUCT, NO_LABEL).__contains__))


def is_label(label: str) -> bool:
    """Whether ``label`` is a class of a task, not a stand-in for a missing or an ignored label."""
    return label not in (NO_PRODUCT, NO_LABEL) and not tasks.is_cannot_tell(label)


def label_counts(tweets: pd.DataFrame, column: str) -> pd.DataFrame:
    """How many ``tweets`` each ``product`` or ``emotion`` has, and their ``share`` (0 to 1), in the task's order."""
    counts = tweets[column].value_counts().reindex(list(label_order(tweets, column)), fill_value=0)
    table = counts.rename_axis(column).reset_index(name="tweets").astype({"tweets": np.int64})
    return table.assign(share=table["tweets"] / max(len(tweets), 1))


def emotion_by_product(tweets: pd.DataFrame) -> pd.DataFrame:
    """How the ``tweets`` of each product divide into emotions: ``share``, with its 95% interval ``low``, ``high``."""
    lines = []
    in_order = pd.Categorical(tweets["product"], list(label_order(tweets, "product")))
    for product, group in tweets.groupby(in_order, observed=True):
        for emotion in label_order(tweets, "emotion"):
            count = int((group["emotion"] == emotion).sum())
            lines.append((product, emotion, count, count / len(group), *wilson_interval(count, len(group))))
    return pd.DataFrame(lines, columns=["product", "emotion", "tweets", "share", "low", "high"])


def repeats(groups: pd.Series) -> pd.DataFrame:
    """How many ``groups`` of each ``size`` there are, and their ``tweets``; a group of size 1 has no repeats."""
    size, number = np.unique(np.unique(groups, return_counts=True)[1], return_counts=True)
    return pd.DataFrame({"size": size, "groups": number, "tweets": size * number}).astype(np.int64)


RETWEET = "rt"  # a mark, not a word
LEAST_TWEETS = 5  # that a distinctive word must occur in
PRIOR_WORDS = 1000  # weight of the prior, the frequencies in all tweets; the greater, the less rare words stand out

_APP, _APPLE_DEVICE = r"\bapps?\b", r"\bip(?:ad|hone)s?|\bi(?:os|tunes)\b|\bapp ?store\b"
# Patterns for lower-cased texts, which must all match, and the product that they indicate; the first rule that
# matches decides. Written from the class names and from what the makers sold and showed in early 2011.
PRODUCT_RULES: tuple[tuple[tuple[str, ...], str], ...] = (
    ((_APP, r"android"), "Android App"),
    ((_APP, _APPLE_DEVICE), "iPad or iPhone App"),
    ((r"ipad",), "iPad"),
    ((r"iphone",), "iPhone"),
    ((r"android",), "Android"),
    ((r"\bitunes|\bipods?\b|\bmac(?:book|s)?\b|\bimacs?\b|\bfinal cut\b",), "Other Apple product or service"),
    (
        (r"gmail|youtube|chrome|google ?(?:maps?|docs?|places|voice|reader|circles?|hotpot|tv)",),
        "Other Google product or service",
    ),
    ((r"google",), "Google"),
    ((r"apple",), "Apple"),
    ((_APP,), "iPad or iPhone App"),
)
POSITIVE_WORDS = re.compile(
    r"\b(?:love[sd]?|loving|like[sd]?|great|awesome|cool(?:est)?|amazing|excellent|excited|exciting|best|better|nice|"
    r"fun|happy|beautiful|brilliant|genius|smart|win(?:s|ning|ner)?|wow|yay|thanks?|sweet|perfect|wants?|hot|rocks?|"
    r"impress(?:ed|ive)|enjoy(?:ed|ing)?|good|fantastic|wonderful|handy|useful|easy)\b|[:;]-?\)",
)
NEGATIVE_WORDS = re.compile(
    r"\b(?:hate[sd]?|fails?|failed|failure|bad|worse|worst|sucks?|crap(?:py)?|awful|terrible|horrible|stupid|annoy\w*|"
    r"disappoint\w*|broken|broke|crash\w*|bugs?|buggy|slow|dead|dies|died|lost|lame|boring|ugly|useless|problems?|"
    r"sad|fascist|evil|wtf|ugh|fuck\w*|shit\w*|expensive|not working|doesn'?t work|can'?t)\b|[:;]-?\(",
)


def frequent_words(tweets: pd.DataFrame, pairs: bool = False) -> pd.DataFrame:
    """How many ``tweets`` hold each word or word pair (``words``), and their ``share``; no "rt" or stop words alone."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    counts, words = _occurrences(tweets, pairs)
    frame = pd.DataFrame({"words": words, "tweets": counts.sum(axis=0).astype(np.int64)})
    is_ignored = np.array([ENGLISH_STOP_WORDS.issuperset(each.split()) for each in words], dtype=bool)
    frame = frame[_without_mark(words) & ~is_ignored]
    frame = frame.sort_values(["tweets", "words"], ascending=[False, True], ignore_index=True)
    return frame.assign(share=frame["tweets"] / max(len(tweets), 1))


def distinctive_words(tweets: pd.DataFrame, by: str, pairs: bool = False) -> pd.DataFrame:
    """Words, or word pairs, that distinguish the tweets of a label (``by``: ``product`` or ``emotion``) from others.

    Source: B. L. Monroe, M. P. Colaresi and K. M. Quinn, "Fightin' Words: Lexical Feature Selection and Evaluation for
    Identifying the Content of Political Conflict", Political Analysis 16 (2008), equations 15, 16, 20 and 22. Returns
    how many ``tweets`` of the label and ``others`` contain the words, the ``log_odds`` and ``z``, the highest first.
    """
    tweets = tweets[tweets[by].isin(filter(is_label, tweets[by].unique()))]
    labels = [label for label in label_order(tweets, by) if (tweets[by] == label).any()]
    occurrences, words = _occurrences(tweets, pairs)
    total = occurrences.sum(axis=0)
    is_counted = (total >= LEAST_TWEETS) & _without_mark(words)
    if len(labels) < 2 or not is_counted.any():
        return pd.DataFrame(columns=["label", "words", "tweets", "others", "log_odds", "z"])
    prior = PRIOR_WORDS * total / total.sum()
    parts = []
    for label in labels:
        in_label = occurrences[(tweets[by] == label).to_numpy()].sum(axis=0)
        log_odds, z = _log_odds(in_label, total - in_label, prior)
        columns = {"words": words, "tweets": in_label, "others": total - in_label, "log_odds": log_odds, "z": z}
        part = pd.DataFrame({"label": label, **columns})[is_counted]
        parts.append(part.sort_values(["z", "words"], ascending=[False, True]))
    return pd.concat(parts, ignore_index=True).astype({"tweets": np.int64, "others": np.int64})


def _without_mark(words: Iterable[str]) -> np.ndarray:
    """Which words or pairs hold no "rt", bool [N]."""
    return np.array([RETWEET not in each.split() for each in words], dtype=bool)


def with_words(tweets: pd.DataFrame, words: str) -> pd.DataFrame:
    """The tweets that contain a word, or a pair of words separated by one space."""
    return tweets[[f" {words} " in f" {' '.join(terms)} " for terms in tweets["terms"]]]


def _log_odds(in_label: np.ndarray, in_others: np.ndarray, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Difference of the log-odds of each word [W] between two sets of counts [W], and its z-score."""
    one, other = in_label + prior, in_others + prior
    log_odds = np.log(one / (one.sum() - one)) - np.log(other / (other.sum() - other))
    return log_odds, log_odds / np.sqrt(1 / one + 1 / other)


def _occurrences(tweets: pd.DataFrame, pairs: bool) -> tuple[Any, np.ndarray]:
    """1 where a word or a pair of words occurs in a tweet, sparse int64 [N, words], and the words (object [words])."""
    from scipy.sparse import csr_array
    from sklearn.preprocessing import MultiLabelBinarizer

    words = tweets["terms"]
    if pairs:
        words = [[" ".join(pair) for pair in pairwise(terms)] for terms in words]
    binarizer = MultiLabelBinarizer(sparse_output=True)
    return csr_array(binarizer.fit_transform(words)), binarizer.classes_


def keyword_rule(text: str) -> str | None:
    """The product of the first of :data:`PRODUCT_RULES` that matches a text; None if none does."""
    lower = text.lower()
    matches = (label for patterns, label in PRODUCT_RULES if all(re.search(pattern, lower) for pattern in patterns))
    return next(matches, None)


def keyword_emotion(text: str) -> str:
    """The emotion of a text by whether it has more :data:`POSITIVE_WORDS` or :data:`NEGATIVE_WORDS`."""
    balance = len(POSITIVE_WORDS.findall(text.lower())) - len(NEGATIVE_WORDS.findall(text.lower()))
    return tasks.NO_EMOTION if balance == 0 else (tasks.POSITIVE if balance > 0 else tasks.NEGATIVE)
