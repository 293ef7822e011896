"""Tweets that repeat others, and what their labels say about the labelling."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from tf_model.data.splits import near_duplicate_groups
from tf_model.eda.labels import is_label

if TYPE_CHECKING:
    import pandas as pd

EXACT, SAME_WORDS, NEAR = "exact text", "same words", "near-duplicates"


def _exact(tweets: pd.DataFrame) -> np.ndarray:
    return np.unique(tweets["text"].to_numpy(dtype=object), return_inverse=True)[1].astype(np.int64)


def _same_words(tweets: pd.DataFrame) -> np.ndarray:
    return tweets["same_words"].to_numpy()


def _near(tweets: pd.DataFrame) -> np.ndarray:
    return near_duplicate_groups(tweets["text"].tolist())


# From strict to loose.
NOTIONS: dict[str, Callable[[pd.DataFrame], np.ndarray]] = {EXACT: _exact, SAME_WORDS: _same_words, NEAR: _near}


def groups_by(tweets: pd.DataFrame, notion: str) -> np.ndarray:
    """Number the tweets so that those which are the same to a notion share a number.

    Args:
        tweets: N rows, see :func:`tf_model.eda.describe`.
        notion: ``exact text``; ``same words``, once case, punctuation and leading retweet marks are put aside; or
            ``near-duplicates`` (:func:`tf_model.data.splits.near_duplicate_groups`, which compares every pair: about 15
            seconds for 8,588 tweets on two cores).

    Returns:
        int64 [N].
    """
    return NOTIONS[notion](tweets)


def repeats(tweets: pd.DataFrame, groups: np.ndarray) -> pd.DataFrame:
    """How many groups of each size there are.

    Args:
        tweets: N rows.
        groups: int64 [N], from :func:`groups_by`.

    Returns:
        One line per size that occurs: ``size`` (tweets in a group), ``groups`` (how many groups) and ``tweets``
        (size times groups), int64, the smallest first. Size 1 are tweets that nothing repeats.
    """
    import pandas as pd

    sizes = np.unique(groups, return_counts=True)[1] if len(tweets) else np.array([], dtype=np.int64)
    size, number = np.unique(sizes, return_counts=True)
    return pd.DataFrame({"size": size, "groups": number, "tweets": size * number}).astype(np.int64)


def conflicts(tweets: pd.DataFrame, groups: np.ndarray, column: str) -> pd.DataFrame:
    """The groups of repeated tweets, and whether the labels within each agree.

    Args:
        tweets: N rows.
        groups: int64 [N], from :func:`groups_by`.
        column: ``product`` or ``emotion``. A missing label contradicts nothing; neither does "I can't tell".

    Returns:
        One line per group with at least two labelled tweets: ``group`` (int64), ``tweets`` (int64, the labelled ones),
        ``labels`` (int64, how many different ones), ``majority`` (str, the most frequent label, the first of the
        alphabet among equals) and ``agreement`` (its share, 0 to 1), the largest groups first.
    """
    counts = _labelled(tweets, groups, column).value_counts(["group", "label"], sort=False).reset_index(name="count")
    counts = counts.sort_values(["group", "count", "label"], ascending=[True, False, True])
    by_group = counts.groupby("group", sort=True)
    table = by_group.agg(tweets=("count", "sum"), labels=("label", "size"), majority=("label", "first"))
    table["agreement"] = by_group["count"].first() / table["tweets"]
    table = table[table["tweets"] >= 2].reset_index()
    return table.sort_values(["tweets", "group"], ascending=[False, True], ignore_index=True)


def conflicting_labels(tweets: pd.DataFrame, groups: np.ndarray, column: str) -> pd.DataFrame:
    """Which labels stand against each other on the same tweet.

    Returns:
        One line per pair of labels that occur in one group: ``one`` and ``other`` (str, in alphabetical order) and
        ``groups`` (int64, in how many), the most frequent first.
    """
    import pandas as pd

    frame = _labelled(tweets, groups, column).drop_duplicates().sort_values(["group", "label"])
    frame = frame[frame.duplicated("group", keep=False)]  # most groups agree: only the others are taken apart
    pairs = [pair for _, labels in frame.groupby("group")["label"] for pair in combinations(labels, 2)]
    return pd.DataFrame(pairs, columns=["one", "other"]).value_counts().reset_index(name="groups")


def _labelled(tweets: pd.DataFrame, groups: np.ndarray, column: str) -> pd.DataFrame:
    """``group`` and ``label`` of the tweets that have a label which can contradict another."""
    import pandas as pd

    frame = pd.DataFrame({"group": groups, "label": tweets[column].to_numpy()})
    return frame[np.array([is_label(label) for label in frame["label"]], dtype=bool)]
