"""Which products a tweet names, and how far a rule of keywords gets with nothing else."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_model import tasks
from tf_model.eda.tweets import BRANDS, NO_PRODUCT
from tf_model.evaluation.metrics import wilson_interval

if TYPE_CHECKING:
    import pandas as pd

_APP, _APPLE_DEVICE = r"\bapps?\b", r"\bip(?:ad|hone)s?|\bi(?:os|tunes)\b|\bapp ?store\b"
# Patterns for lower-cased texts, which must all match, and the product that they speak for; the first rule that
# fits decides. Written from the names of the classes and of what their makers sold and showed in early 2011.
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


def keyword_rule(text: str) -> str | None:
    """The product of the first of :data:`PRODUCT_RULES` that fits a text; None where none does."""
    lower = text.lower()
    fitting = (label for patterns, label in PRODUCT_RULES if all(re.search(pattern, lower) for pattern in patterns))
    return next(fitting, None)


def several_named(tweets: pd.DataFrame) -> pd.DataFrame:
    """How many tweets name how many of :data:`BRANDS`: ``named`` (int64), ``tweets`` (int64), ``share`` (0 to 1)."""
    import pandas as pd

    counts = np.bincount(tweets["named"].map(len).astype(int), minlength=1)
    return pd.DataFrame({"named": range(len(counts)), "tweets": counts, "share": counts / max(len(tweets), 1)})


def named_by_product(tweets: pd.DataFrame) -> pd.DataFrame:
    """How often the tweets of each product name each brand.

    Returns:
        One line per product that occurs (:data:`NO_PRODUCT` included) and brand: ``product``, ``brand``, ``tweets``
        (int64) and ``share`` (of the product's tweets, 0 to 1; a tweet may name several brands).
    """
    import pandas as pd

    lines = []
    for product in (*tasks.PRODUCTS, NO_PRODUCT):
        own = tweets.loc[tweets["product"] == product, "named"]
        for brand in BRANDS if len(own) else ():
            count = sum(brand in brands for brands in own)
            lines.append((product, brand, count, count / len(own)))
    return pd.DataFrame(lines, columns=["product", "brand", "tweets", "share"])


def keyword_scores(tweets: pd.DataFrame) -> tuple[dict[str, Any], pd.DataFrame]:
    """How often :func:`keyword_rule` gives the labelled product.

    Returns:
        ``{"rows", "correct", "accuracy", "low", "high"}`` over the tweets with a product (accuracy with its 95% Wilson
        interval, NaN without any), and a table of the answers: ``product`` (the label), ``answer`` (the rule's,
        :data:`NO_PRODUCT` where none fits) and ``tweets`` (int64), one line per combination that occurs.
    """
    labelled = tweets[tweets["product"] != NO_PRODUCT]
    answers = labelled.assign(answer=[keyword_rule(text) or NO_PRODUCT for text in labelled["text"]])
    table = answers.value_counts(["product", "answer"]).reset_index(name="tweets")
    rows, correct = len(answers), int((answers["product"] == answers["answer"]).sum())
    low, high = wilson_interval(correct, rows) if rows else (np.nan, np.nan)
    accuracy = correct / rows if rows else np.nan
    return {"rows": rows, "correct": correct, "accuracy": accuracy, "low": low, "high": high}, table
