"""Which tweets repeat others, and whether their labels agree."""

from itertools import combinations

import numpy as np
import pandas as pd

from tf_model.data.splits import near_duplicate_groups
from tf_model.eda.tweets import is_label

NOTIONS = ("exact text", "same words", "near-duplicates")  # definitions of a repeat, from strict to loose


def groups_by(tweets: pd.DataFrame, notion: str) -> np.ndarray:
    """Number the tweets so that repeats, by one of :data:`NOTIONS`, share a number, int64 [N].

    ``near-duplicates`` take about 15 seconds for 8,588 tweets.
    """
    if notion == "near-duplicates":
        return near_duplicate_groups(tweets["text"].tolist())
    column = tweets["text" if notion == "exact text" else "same_words"]
    return column.factorize()[0].astype(np.int64)


def repeats(groups: np.ndarray) -> pd.DataFrame:
    """How many ``groups`` of each ``size`` there are, and their ``tweets``; a group of size 1 has no repeats."""
    size, number = np.unique(np.unique(groups, return_counts=True)[1], return_counts=True)
    return pd.DataFrame({"size": size, "groups": number, "tweets": size * number}).astype(np.int64)


def conflicts(tweets: pd.DataFrame, groups: np.ndarray, column: str) -> pd.DataFrame:
    """The groups of at least two labelled ``tweets``, and whether their labels agree; "I can't tell" does not count.

    ``labels`` is the number of different labels; ``agreement`` is the share of the most frequent label, 0 to 1.
    """
    counts = _labelled(tweets, groups, column).value_counts().groupby("group")
    table = pd.DataFrame({"tweets": counts.sum(), "labels": counts.size(), "agreement": counts.max() / counts.sum()})
    return table[table["tweets"] >= 2].reset_index()


def conflicting_labels(tweets: pd.DataFrame, groups: np.ndarray, column: str) -> pd.DataFrame:
    """How many ``groups`` contain both labels, ``one`` and ``other``, of each pair, the most frequent pair first."""
    frame = _labelled(tweets, groups, column).drop_duplicates().sort_values(["group", "label"])
    frame = frame[frame.duplicated("group", keep=False)]  # skips groups that agree, as most do
    pairs = [pair for _, labels in frame.groupby("group")["label"] for pair in combinations(labels, 2)]
    return pd.DataFrame(pairs, columns=["one", "other"]).value_counts().reset_index(name="groups")


def _labelled(tweets: pd.DataFrame, groups: np.ndarray, column: str) -> pd.DataFrame:
    """``group`` and ``label`` of the tweets whose label is a class of the task."""
    frame = pd.DataFrame({"label": tweets[column], "group": groups})
    return frame[frame["label"].map(is_label).astype(bool)]
