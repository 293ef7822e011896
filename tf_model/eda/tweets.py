"""One line per tweet: its labels, its words, and which tweets it repeats."""

import html
import re
from collections.abc import Iterable, Sequence
from datetime import date

import pandas as pd

from tf_model import tasks
from tf_model.data.splits import bare_words
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
    labels = task.labels if set(task.labels).issuperset(labels_present) else labels_present
    return (*labels, *sorted(values.difference(labels_present), key=(NO_PRODUCT, NO_LABEL).__contains__))


def is_label(label: str) -> bool:
    """Whether ``label`` is a class of a task, not a stand-in for a missing or an ignored label."""
    return label not in (NO_PRODUCT, NO_LABEL) and not tasks.is_cannot_tell(label)
