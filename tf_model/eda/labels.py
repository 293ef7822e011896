"""How many tweets each label has, how labels go together, and how long their tweets are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tf_model import tasks
from tf_model.eda.tweets import NO_LABEL, NO_PRODUCT, label_order
from tf_model.evaluation.metrics import wilson_interval

if TYPE_CHECKING:
    import pandas as pd

UNITS = {"characters": 10, "words": 2, "tokens": 4}  # each with the width of a bin


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
        column = tweets.loc[tweets["product"] == product, "emotion"]
        if column.empty:
            continue
        for emotion in label_order(tweets, "emotion"):
            count = int((column == emotion).sum())
            lines.append((product, emotion, count, count / len(column), *wilson_interval(count, len(column))))
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
        column = tweets.loc[tweets["emotion"] == emotion, "product"]
        if not column.empty:
            without = int((column == NO_PRODUCT).sum())
            lines.append((emotion, len(column), without, without / len(column)))
    return pd.DataFrame(lines, columns=["emotion", "tweets", "without", "share"])


def lengths(tweets: pd.DataFrame, unit: str = "characters", by: str = "emotion") -> pd.DataFrame:
    """The distribution of lengths, in bins of the same width.

    Args:
        tweets: See :func:`tf_model.eda.describe`.
        unit: ``characters``, ``words``, or ``tokens`` where such a column was added.
        by: The column whose labels are counted apart.

    Returns:
        One line per label that occurs and bin: ``label``, ``low`` (int64, included), ``high`` (int64, not included),
        ``tweets`` (int64) and ``share`` (of the label's tweets, 0 to 1).
    """
    import pandas as pd

    width = UNITS[unit]
    columns = ["label", "low", "high", "tweets", "share"]
    if tweets.empty:
        return pd.DataFrame(columns=columns)
    bins = np.arange(tweets[unit].max() // width + 1)
    lines = []
    for label in label_order(tweets, by):
        values = tweets.loc[tweets[by] == label, unit].to_numpy()
        if len(values):
            counts = np.bincount(values // width, minlength=len(bins))
            lines += [
                (label, int(low), int(low) + width, int(count), count / len(values))
                for low, count in zip(bins * width, counts, strict=True)
            ]
    return pd.DataFrame(lines, columns=columns)


def length_summary(tweets: pd.DataFrame, unit: str = "characters", by: str = "emotion") -> pd.DataFrame:
    """``label``, ``tweets``, ``shortest``, ``median``, ``p95`` (95th percentile), ``longest`` of each label."""
    import pandas as pd

    lines = []
    for label in label_order(tweets, by):
        values = tweets.loc[tweets[by] == label, unit]
        if not values.empty:
            lines.append((label, len(values), values.min(), values.median(), values.quantile(0.95), values.max()))
    return pd.DataFrame(lines, columns=["label", "tweets", "shortest", "median", "p95", "longest"])


def is_label(label: str) -> bool:
    """Whether ``label`` is a class of a task, not a stand-in for a missing or an ignored label."""
    return label not in (NO_PRODUCT, NO_LABEL, tasks.CANNOT_TELL)


def _counts(tweets: pd.DataFrame, column: str) -> pd.DataFrame:
    import pandas as pd

    counts = tweets[column].value_counts()
    labels = label_order(tweets, column)
    numbers = np.array([int(counts.get(label, 0)) for label in labels], dtype=np.int64)
    return pd.DataFrame({column: labels, "tweets": numbers, "share": numbers / max(len(tweets), 1)})
