"""How many tweets each label has, how labels go together, how long their tweets are, and whether repeats agree."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from tf_model.data.splits import near_duplicate_groups
from tf_model.eda.tweets import NO_PRODUCT, is_label, label_order
from tf_model.evaluation.metrics import wilson_interval

if TYPE_CHECKING:
    import pandas as pd

UNITS = {"characters": 10, "words": 2, "tokens": 4}  # each with the width of a bin
EXACT, SAME_WORDS, NEAR = "exact text", "same words", "near-duplicates"
NOTIONS = (EXACT, SAME_WORDS, NEAR)  # from strict to loose


def products(tweets: pd.DataFrame) -> pd.DataFrame:
    """Columns ``product``, ``tweets`` (int64) and ``share`` (of all tweets, 0 to 1), in the order of the task."""
    return _counts(tweets, "product")


def emotions(tweets: pd.DataFrame) -> pd.DataFrame:
    """Columns ``emotion``, ``tweets`` (int64) and ``share`` (of all tweets, 0 to 1), in the order of the task."""
    return _counts(tweets, "emotion")


def emotion_by_product(tweets: pd.DataFrame) -> pd.DataFrame:
    """How the tweets of each product divide into emotions.

    Returns:
        One line per product that occurs and emotion: ``product``, ``emotion``, ``tweets`` (int64), ``share`` (of the
        product's tweets, 0 to 1) and ``low`` and ``high``, the 95% Wilson interval of the share.
    """
    import pandas as pd

    lines = []
    for product in label_order(tweets, "product"):
        own = tweets.loc[tweets["product"] == product, "emotion"]
        for emotion in label_order(tweets, "emotion") if len(own) else ():
            count = int((own == emotion).sum())
            lines.append((product, emotion, count, count / len(own), *wilson_interval(count, len(own))))
    return pd.DataFrame(lines, columns=["product", "emotion", "tweets", "share", "low", "high"])


def without_product(tweets: pd.DataFrame) -> pd.DataFrame:
    """How many tweets of each emotion name no product in their label.

    Returns:
        One line per emotion that occurs: ``emotion``, ``tweets``, ``without`` (int64: those without a product) and
        ``share`` (of the emotion's tweets, 0 to 1).
    """
    import pandas as pd

    lines = []
    for emotion in label_order(tweets, "emotion"):
        own = tweets.loc[tweets["emotion"] == emotion, "product"]
        if len(own):
            without = int((own == NO_PRODUCT).sum())
            lines.append((emotion, len(own), without, without / len(own)))
    return pd.DataFrame(lines, columns=["emotion", "tweets", "without", "share"])


def lengths(tweets: pd.DataFrame, unit: str = "characters") -> pd.DataFrame:
    """The distribution of lengths by emotion, in bins of the same width.

    Args:
        tweets: See :func:`tf_model.eda.describe`.
        unit: ``characters``, ``words``, or ``tokens`` where such a column was added.

    Returns:
        One line per emotion that occurs and bin: ``label``, ``low`` (int64, included), ``high`` (int64, not included),
        ``tweets`` (int64) and ``share`` (of the emotion's tweets, 0 to 1).
    """
    import pandas as pd

    width, lines = UNITS[unit], []
    for label in label_order(tweets, "emotion"):
        own = tweets.loc[tweets["emotion"] == label, unit].to_numpy()
        if len(own):
            counts = np.bincount(own // width, minlength=tweets[unit].max() // width + 1).tolist()
            for number, count in enumerate(counts):
                lines.append((label, number * width, (number + 1) * width, count, count / len(own)))
    return pd.DataFrame(lines, columns=["label", "low", "high", "tweets", "share"])


def length_summary(tweets: pd.DataFrame, unit: str = "characters") -> pd.DataFrame:
    """``label``, ``tweets``, ``shortest``, ``median``, ``p95`` (95th percentile), ``longest`` of each emotion."""
    import pandas as pd

    lines = []
    for label in label_order(tweets, "emotion"):
        own = tweets.loc[tweets["emotion"] == label, unit]
        if len(own):
            lines.append((label, len(own), own.min(), own.median(), own.quantile(0.95), own.max()))
    return pd.DataFrame(lines, columns=["label", "tweets", "shortest", "median", "p95", "longest"])


# ---------------------------------------------------------------- repeats


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
    if notion == NEAR:
        return near_duplicate_groups(tweets["text"].tolist())
    column = tweets["text" if notion == EXACT else "same_words"]
    return column.factorize()[0].astype(np.int64)


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

    size, number = np.unique(np.unique(groups, return_counts=True)[1], return_counts=True)
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


# ---------------------------------------------------------------- helpers


def _counts(tweets: pd.DataFrame, column: str) -> pd.DataFrame:
    counts = tweets[column].value_counts().reindex(list(label_order(tweets, column)), fill_value=0)
    table = counts.rename_axis(column).reset_index(name="tweets").astype({"tweets": np.int64})
    return table.assign(share=table["tweets"] / max(len(tweets), 1))


def _labelled(tweets: pd.DataFrame, groups: np.ndarray, column: str) -> pd.DataFrame:
    """``group`` and ``label`` of the tweets that have a label which can contradict another."""
    frame = tweets[[column]].set_axis(["label"], axis=1).assign(group=groups)
    return frame[frame["label"].map(is_label).astype(bool)]
