"""How many tweets each label has, how labels go together, and how long their tweets are."""

import numpy as np
import pandas as pd

from tf_model.eda.tweets import NO_PRODUCT, label_order
from tf_model.evaluation.metrics import wilson_interval

BINS = {"characters": 10, "words": 2}  # width of a bin of each unit of length


def products(tweets: pd.DataFrame) -> pd.DataFrame:
    """How many ``tweets`` each ``product`` has, and their ``share`` of all (0 to 1), in the order of the task."""
    return _counts(tweets, "product")


def emotions(tweets: pd.DataFrame) -> pd.DataFrame:
    """The same of each ``emotion``."""
    return _counts(tweets, "emotion")


def _counts(tweets: pd.DataFrame, column: str) -> pd.DataFrame:
    counts = tweets[column].value_counts().reindex(list(label_order(tweets, column)), fill_value=0)
    table = counts.rename_axis(column).reset_index(name="tweets").astype({"tweets": np.int64})
    return table.assign(share=table["tweets"] / max(len(tweets), 1))


def emotion_by_product(tweets: pd.DataFrame) -> pd.DataFrame:
    """How the ``tweets`` of each product divide into emotions: ``share``, with its 95% interval ``low``, ``high``."""
    lines = []
    for product, own in _parts(tweets, "product"):
        for emotion in label_order(tweets, "emotion"):
            count = int((own["emotion"] == emotion).sum())
            lines.append((product, emotion, count, count / len(own), *wilson_interval(count, len(own))))
    return pd.DataFrame(lines, columns=["product", "emotion", "tweets", "share", "low", "high"])


def without_product(tweets: pd.DataFrame) -> pd.DataFrame:
    """How many of the ``tweets`` of each emotion are ``without`` a product, and their ``share`` (0 to 1)."""
    lines = []
    for emotion, own in _parts(tweets, "emotion"):
        without = int((own["product"] == NO_PRODUCT).sum())
        lines.append((emotion, len(own), without, without / len(own)))
    return pd.DataFrame(lines, columns=["emotion", "tweets", "without", "share"])


def lengths(tweets: pd.DataFrame, unit: str = "characters") -> pd.DataFrame:
    """By emotion, how many ``tweets`` are from ``low`` to below ``high`` long (``characters`` or ``words``)."""
    width, lines = BINS[unit], []
    for label, own in _parts(tweets, "emotion"):
        counts = np.bincount(own[unit] // width, minlength=tweets[unit].max() // width + 1).tolist()
        for number, count in enumerate(counts):
            lines.append((label, number * width, (number + 1) * width, count, count / len(own)))
    return pd.DataFrame(lines, columns=["label", "low", "high", "tweets", "share"])


def length_summary(tweets: pd.DataFrame, unit: str = "characters") -> pd.DataFrame:
    """``label``, ``tweets``, ``shortest``, ``median``, ``p95`` (95th percentile), ``longest`` of each emotion."""
    lines = [
        (label, len(own), own[unit].min(), own[unit].median(), own[unit].quantile(0.95), own[unit].max())
        for label, own in _parts(tweets, "emotion")
    ]
    return pd.DataFrame(lines, columns=["label", "tweets", "shortest", "median", "p95", "longest"])


def _parts(tweets: pd.DataFrame, column: str) -> list[tuple[str, pd.DataFrame]]:
    """The tweets of each label that occurs, in the order in which to show them."""
    parts = dict(list(tweets.groupby(column)))
    return [(label, parts[label]) for label in label_order(tweets, column) if label in parts]
