"""How many tweets each label has, how labels go together, and how often tweets repeat."""

import numpy as np
import pandas as pd

from tf_model.eda.tweets import label_order
from tf_model.evaluation.metrics import wilson_interval


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
