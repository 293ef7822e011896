"""Which rows people should label so that a model learns most from them, and what several people said of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from tf_model.analysis.themes import SEED, groups_of, vectors_of
from tf_model.data.splits import bare_words
from tf_model.model_dir import probability_column

SIZE = 50  # texts of a queue
SPREAD = 10  # times as many uncertain texts are clustered

Labels = Mapping[str, Mapping[str, str | None]]  # by annotator and row; None where one could not tell


def label_queue(rows: pd.DataFrame, emotions: Sequence[str], size: int = SIZE, known: Iterable[str] = ()) -> pd.Index:
    """The index of at most ``size`` texts most worth a label, the most uncertain first, each with all its products.

    Of the texts whose two most probable emotions are closest, near-duplicates once, the most uncertain one of each
    cluster of TF-IDF; texts with the words of ``known`` ones are left out. Source: F. Zhdanov, "Diverse mini-batch
    active learning", 2019, who takes the text nearest to the middle of a cluster.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    probabilities = np.sort(rows[[probability_column("emotion", each) for each in emotions]].to_numpy())
    rows = rows.assign(margin=probabilities[:, -1] - probabilities[:, -2], words=rows["text"].map(bare_words))
    rows = rows[~rows["words"].isin(set(map(bare_words, known)))].sort_values("margin", kind="stable")
    texts = rows.drop_duplicates("words").head(SPREAD * size)
    texts = texts.iloc[np.sort(np.unique(groups_of(texts), return_index=True)[1])]
    if len(texts) > size:
        vectors = vectors_of(texts["text"], ())
        count = min(size, len(np.unique(vectors.round(6), axis=0)))
        with threadpool_limits(1):  # on a busy machine threads would only wait for each other
            model = KMeans(count, random_state=SEED)
            cluster = model.fit_predict(vectors, sample_weight=1 - texts["margin"].to_numpy())
        texts = texts.iloc[np.sort(np.unique(cluster, return_index=True)[1])]
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
