"""Choose the rows that are most worth a label, and compare and combine the labels of several annotators."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from tf_model.analysis.themes import groups_of
from tf_model.data.splits import bare_words
from tf_model.model_dir import probability_column

SIZE = 50  # texts of a queue
CANDIDATES = 5  # near-duplicates are sought among this many times ``size`` uncertain texts

Labels = Mapping[str, Mapping[str, str | None]]  # by annotator and row; None if the annotator could not tell


def label_queue(
    rows: pd.DataFrame, emotions: Sequence[str], size: int = SIZE, labelled: Iterable[str] = ()
) -> pd.Index:
    """The index of the (at most) ``size`` texts most worth a label, most uncertain first, each with all its products.

    Uncertainty is the entropy of the probabilities (B. Settles, "Active learning literature survey", 2009). One of
    near-duplicates is kept; texts with the words of a ``labelled`` one are not. See ``research/label_queue.py``.
    """
    from scipy.stats import entropy

    probabilities = rows[[probability_column("emotion", each) for each in emotions]]
    rows = rows.assign(certainty=-entropy(probabilities, axis=1), words=rows["text"].map(bare_words))
    rows = rows[~rows["words"].isin(set(map(bare_words, labelled)))].sort_values("certainty", kind="stable")
    texts = rows.drop_duplicates("words").head(CANDIDATES * size)
    texts = texts.iloc[np.sort(np.unique(groups_of(texts), return_index=True)[1])].head(size)
    rank = rows["text"].map({text: number for number, text in enumerate(texts["text"])})
    is_first = ~rows.duplicated(["text", "product"])
    return rank[is_first].dropna().sort_values(kind="stable").index


def agreement(labels: Labels) -> pd.DataFrame:
    """How far each two annotators, ``one`` and ``other``, agree on the ``rows`` to which both gave an emotion.

    ``share`` (0 to 1) of these rows has equal labels; ``kappa`` is Cohen's, NaN if they have only one emotion.
    """
    from sklearn.metrics import cohen_kappa_score

    table, lines = pd.DataFrame(labels), []
    for one, other in combinations(table, 2):
        shared = table[[one, other]].dropna()
        if len(shared):
            is_defined = len(np.unique(shared)) > 1
            kappa = cohen_kappa_score(shared[one], shared[other]) if is_defined else np.nan
            lines.append((one, other, len(shared), (shared[one] == shared[other]).mean(), kappa))
    return pd.DataFrame(lines, columns=["one", "other", "rows", "share", "kappa"])


def majority(labels: Labels) -> pd.Series:
    """The emotion that most annotators gave, by row number (int); rows with a tie or without a label are left out."""
    modes = pd.DataFrame(labels, dtype=object).mode(axis=1).reindex(columns=[0, 1])
    return modes.loc[modes[0].notna() & modes[1].isna(), 0].rename(int).sort_index()
