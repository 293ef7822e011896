"""Which rows people should label so that a model learns most from them, and what several people said of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from tf_model.analysis.themes import groups_of
from tf_model.data.splits import bare_words
from tf_model.model_dir import probability_column

SIZE = 50  # texts of a queue
CANDIDATES = 5  # times as many uncertain texts are looked at for near-duplicates

Labels = Mapping[str, Mapping[str, str | None]]  # by annotator and row; None where one could not tell


def label_queue(rows: pd.DataFrame, emotions: Sequence[str], size: int = SIZE, known: Iterable[str] = ()) -> pd.Index:
    """The index of at most ``size`` texts most worth a label, the most uncertain first, each with all its products.

    Those whose probabilities have the greatest entropy (B. Settles, "Active learning literature survey", 2009), of
    near-duplicates one; texts with the words of ``known`` ones are left out. ``research/label_queue.py`` measures it.
    """
    from scipy.stats import entropy

    probabilities = rows[[probability_column("emotion", each) for each in emotions]]
    rows = rows.assign(certainty=-entropy(probabilities, axis=1), words=rows["text"].map(bare_words))
    rows = rows[~rows["words"].isin(set(map(bare_words, known)))].sort_values("certainty", kind="stable")
    texts = rows.drop_duplicates("words").head(CANDIDATES * size)
    texts = texts.iloc[np.sort(np.unique(groups_of(texts), return_index=True)[1])].head(size)
    rank = rows["text"].map({text: number for number, text in enumerate(texts["text"])})
    is_first = ~rows.duplicated(["text", "product"])
    return rank[is_first].dropna().sort_values(kind="stable").index


def agreement(labels: Labels) -> pd.DataFrame:
    """For each two annotators (``one``, ``other``) that both gave an emotion to some ``rows``: how far they agree.

    ``share`` (0 to 1) of these rows, and ``kappa``: Cohen's, NaN where there is one emotion only.
    """
    from sklearn.metrics import cohen_kappa_score

    table, lines = pd.DataFrame(labels), []
    for one, other in combinations(table, 2):
        both = table[[one, other]].dropna()
        if len(both):
            is_known = len(np.unique(both)) > 1
            kappa = cohen_kappa_score(both[one], both[other]) if is_known else np.nan
            lines.append((one, other, len(both), (both[one] == both[other]).mean(), kappa))
    return pd.DataFrame(lines, columns=["one", "other", "rows", "share", "kappa"])


def majority(labels: Labels) -> pd.Series:
    """The emotion that most annotators gave, by the row (int); rows without a single such emotion are left out."""
    modes = pd.DataFrame(labels, dtype=object).mode(axis=1).reindex(columns=[0, 1])
    return modes.loc[modes[0].notna() & modes[1].isna(), 0].rename(int).sort_index()
