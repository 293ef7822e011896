"""How two selections of rows differ: by how much, how significantly, and in which words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
import pandas as pd

from tf_model import eda
from tf_model.analysis.rows import LEAST_TEXTS, by_product
from tf_model.evaluation.metrics import wilson_interval

TOO_FEW = f"fewer than {LEAST_TEXTS} texts"
MOST_TEXTS = 5_000  # per side, a sample if there are more: words are then found in a tenth of a second
DISTINCTIVE_Z = 1.96  # z-score of a word's log-odds above which it distinguishes two selections
MOST_WORDS = 8  # per side


def newcombe(counts: np.ndarray, totals: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The second share minus the first, of counts and totals [2, ...], and the bounds of its 95% interval.

    Source: R. G. Newcombe, "Interval estimation for the difference between independent proportions", Statistics in
    Medicine 17 (1998), method 10.
    """
    (one, other), (low, high) = counts / totals, wilson_interval(counts, totals)
    difference = other - one
    below = np.sqrt((other - low[1]) ** 2 + (high[0] - one) ** 2)
    above = np.sqrt((high[1] - other) ** 2 + (one - low[0]) ** 2)
    return difference, difference - below, difference + above


def holm(p_values: np.ndarray) -> np.ndarray:
    """Correct p-values [N] for multiple testing (S. Holm, 1979)."""
    order = np.argsort(p_values)
    corrected = np.maximum.accumulate(p_values[order] * np.arange(len(order), 0, -1)).clip(max=1)
    return corrected[np.argsort(order)]


def compare(rows: pd.DataFrame, one: np.ndarray, other: np.ndarray, emotions: Sequence[str]) -> pd.DataFrame:
    """Compare the share of each emotion in two selections of the rows, both bool [N], over all products and for each.

    One line per ``product`` and ``emotion``: the texts and the share of both sides, ``difference`` (other minus one),
    its 95% interval ``low``, ``high``, and ``p_value`` of Fisher's exact test, corrected by Holm. If a side has fewer
    than 30 texts, these four are NaN, and ``note`` says so. No row may be on both sides.
    """
    from scipy.stats import fisher_exact

    lines = []
    for product, product_rows in by_product(rows[one | other]):
        sides = [product_rows.loc[product_rows.index.isin(rows.index[side]), "emotion"] for side in (one, other)]
        totals = np.array([len(side) for side in sides])
        for emotion in emotions:
            counts = np.array([int((side == emotion).sum()) for side in sides])
            shares = counts / np.maximum(totals, 1)
            is_tested = totals.min() >= LEAST_TEXTS
            effect = [float(each) for each in newcombe(counts, totals)] if is_tested else [np.nan] * 3
            p_value = fisher_exact([counts, totals - counts]).pvalue if is_tested else np.nan
            lines.append((product, emotion, *totals, *shares, *effect, p_value, "" if is_tested else TOO_FEW))
    sides = ["texts_one", "texts_other", "share_one", "share_other"]
    columns = ["product", "emotion", *sides, "difference", "low", "high", "p_value", "note"]
    table = pd.DataFrame(lines, columns=columns)
    tested = table["p_value"].notna()
    table.loc[tested, "p_value"] = holm(table.loc[tested, "p_value"].to_numpy())
    return table


def distinctive_words(rows: pd.DataFrame, one: np.ndarray, other: np.ndarray) -> tuple[list[str], list[str]]:
    """The words that distinguish two selections of the rows, both bool [N]: those of ``one`` and those of ``other``.

    From :func:`tf_model.eda.distinctive_words`, most distinctive first; each word is significant on its own.
    """
    names = ("one", "other")
    labels = np.select([one, other], names, default="")
    frame = rows.assign(emotion=labels)[labels != ""]
    # A text counts once, not once for each of its mentions.
    copy = frame.groupby(["text", "emotion", "product"], dropna=False).cumcount()
    frame = frame[~frame.assign(copy=copy).duplicated(["text", "emotion", "copy"])]
    frame = frame.sample(frac=1, random_state=0).groupby("emotion").head(MOST_TEXTS)
    frame = frame.assign(terms=eda.terms(frame["text"]))  # eda.distinctive_words reads this column and the emotion
    table = eda.distinctive_words(frame, "emotion")
    table = table[(table["z"] > DISTINCTIVE_Z) & ~table["words"].isin(stop_words())]
    first, second = (table.loc[table["label"] == name, "words"].head(MOST_WORDS).tolist() for name in names)
    return first, second


def stop_words(names: Iterable[str] = ()) -> frozenset[str]:
    """Words that do not show the subject of a text, including the words of ``names``."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return ENGLISH_STOP_WORDS | {"rt", "link", "amp"} | set(chain.from_iterable(eda.terms(names)))
