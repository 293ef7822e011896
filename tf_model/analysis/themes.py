"""What people praise and complain about: the texts of one product and emotion, in five to ten themes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

from tf_model.analysis.compare import dull_words
from tf_model.analysis.rows import LEAST_TEXTS
from tf_model.data.splits import bare_words, near_duplicate_groups
from tf_model.eda.tweets import terms

THEMES = range(5, 11)  # how many
WORDS, QUOTES = 4, 3  # that stand for a theme
DIMENSIONS = 50
MOST_COMPARED = 3_000  # texts of which near-duplicates are found in a second; of more only those with the same words
MOST_SCORED = 1_000  # texts by which the number of themes is chosen
SEED = 0


def find_themes(rows: pd.DataFrame, names: Iterable[str] = ()) -> pd.Series:
    """The theme of each of the rows of one product and emotion: int by their index, -1 of all if fewer than 30 differ.

    Clusters by k-means of TF-IDF in 50 dimensions, as many as the silhouette is best with. Near-duplicates count once
    there, and share a theme. ``names`` are words that say nothing, such as the product's.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    group = groups_of(rows)
    _, first = np.unique(group, return_index=True)
    if len(first) < LEAST_TEXTS:
        return pd.Series(-1, rows.index)
    vectors = _vectors(rows["text"].iloc[first], names)
    size = min(MOST_SCORED, len(first))
    found = [KMeans(count, n_init=3, random_state=SEED).fit_predict(vectors) for count in THEMES]
    best = max(found, key=lambda each: silhouette_score(vectors, each, sample_size=size, random_state=SEED))
    return pd.Series(best[group], rows.index)


def describe_themes(rows: pd.DataFrame, themes: pd.Series, names: Iterable[str] = ()) -> pd.DataFrame:
    """Of each theme of :func:`find_themes`, the largest first: its ``words``, how many ``texts``, and three ``quotes``.

    The words are those with the greatest c-TF-IDF (M. Grootendorst, "BERTopic", 2022), the quotes the index of the
    texts nearest to the middle. Near-duplicates count once. Themes that are given one number before are merged.
    """
    columns = ["theme", "words", "texts", "quotes"]
    kept = rows.iloc[np.unique(groups_of(rows), return_index=True)[1]]
    theme = themes[kept.index]
    if (theme < 0).all():
        return pd.DataFrame(columns=columns)
    counts, words = _counts(kept["text"], names)
    numbers = np.unique(theme)
    by_theme = np.vstack([counts[(theme == number).to_numpy()].sum(axis=0) for number in numbers])
    weights = by_theme * np.log1p(by_theme.sum() / len(numbers) / by_theme.sum(axis=0))
    vectors, lines = _vectors(kept["text"], names), []
    for number, weight in zip(numbers, weights, strict=True):
        own = (theme == number).to_numpy()
        nearness = vectors[own] @ vectors[own].mean(axis=0)
        quotes = kept.index[own][np.argsort(-nearness, kind="stable")[:QUOTES]].tolist()
        telling = [str(words[each]) for each in np.argsort(-weight, kind="stable")[:WORDS] if weight[each]]
        lines.append((int(number), telling, int(own.sum()), quotes))
    return pd.DataFrame(lines, columns=columns).sort_values("texts", ascending=False, ignore_index=True, kind="stable")


def groups_of(rows: pd.DataFrame) -> np.ndarray:
    """Number the rows so that near-duplicates share a number, int64 [N]."""
    texts = rows["text"].tolist()
    if len(texts) <= MOST_COMPARED:
        return near_duplicate_groups(texts)
    return np.unique([bare_words(text) for text in texts], return_inverse=True)[1]


def _analyzer(names: Iterable[str]) -> Callable[[str], list[str]]:
    dull = dull_words(names)
    return lambda text: [word for word in terms(text) if word not in dull and len(word) > 1 and not word.isdigit()]


def _counts(texts: pd.Series, names: Iterable[str]) -> tuple[Any, np.ndarray]:
    """How often each word occurs in each text, sparse [N, words], and the words."""
    from scipy.sparse import csr_array
    from sklearn.feature_extraction.text import CountVectorizer

    vectorizer = CountVectorizer(analyzer=_analyzer(names))
    return csr_array(vectorizer.fit_transform(texts)), vectorizer.get_feature_names_out()


def _vectors(texts: pd.Series, names: Iterable[str]) -> np.ndarray:
    """The meaning of each text, float64 [N, 50], rows of length 1 (0 for a text without words)."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    vectors = TfidfVectorizer(sublinear_tf=True, min_df=2, analyzer=_analyzer(names)).fit_transform(texts)
    return normalize(TruncatedSVD(min(DIMENSIONS, vectors.shape[1]), random_state=SEED).fit_transform(vectors))
