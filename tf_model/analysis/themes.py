"""What people praise and complain about: the texts of one product and emotion, in five to ten themes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from tf_model.analysis.changes import PERIODS, period_of
from tf_model.analysis.compare import stop_words
from tf_model.analysis.rows import LEAST_TEXTS
from tf_model.data.splits import bare_words, near_duplicate_groups
from tf_model.eda import terms

THEMES = range(5, 11)  # numbers of themes to try
WORDS, QUOTES = 4, 3  # that stand for a theme
MOST_SHARE = 0.3  # of all texts: words in more of them do not distinguish themes
DIMENSIONS = 50
MOST_COMPARED = 3_000  # texts whose near-duplicates are found in a second; with more, only equal words count
MOST_FITTED = 5_000  # texts that clusters are fitted to; a sample if there are more
MOST_SCORED = 1_000  # texts by which the number of themes is chosen
SEED = 0


def find_themes(rows: pd.DataFrame, names: Iterable[str] = ()) -> pd.Series:
    """The name of the theme of each row of one product and emotion: str by row index, empty if fewer than 30 differ.

    Themes are k-means clusters of TF-IDF in 50 dimensions; the silhouette chooses their number. Near-duplicates count
    once and share a theme. Left out are texts of only dull words and ``names``, such as the product's.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score
    from threadpoolctl import threadpool_limits

    words = content_words(rows["text"], names)
    rows = rows[words.astype(bool)]
    group = groups_of(rows)
    _, first_rows = np.unique(group, return_index=True)
    if len(first_rows) < LEAST_TEXTS:
        return pd.Series(dtype=object)
    words = words[rows.index[first_rows]]
    vectors = vectors_of(words)
    distinct = len(np.unique(vectors.round(6), axis=0))
    order = np.random.default_rng(SEED).permutation(len(first_rows))
    sample, scored = np.sort(order[:MOST_FITTED]), order[:MOST_SCORED]
    with threadpool_limits(1):  # on a busy machine threads would only wait for each other
        clusterings = [
            KMeans(count, n_init=3, random_state=SEED).fit(vectors[sample]).predict(vectors)
            for count in THEMES
            if count < distinct
        ]
    best = max(
        (each for each in clusterings if len(np.unique(each[scored])) > 1),  # nearly all texts may be alike
        key=lambda each: silhouette_score(vectors[scored], each[scored]),
        default=np.zeros(len(first_rows), np.int64),  # one theme
    )
    labels = pd.Series(_typical_words(words, best)).map(", ".join)
    labels = labels.where(~labels.duplicated(), labels + " (" + labels.index.astype(str) + ")")
    return pd.Series(labels[best[group]].to_numpy(), rows.index)


def describe_themes(
    rows: pd.DataFrame, themes: pd.Series, names: Iterable[str] = (), period: str | None = None
) -> pd.DataFrame:
    """The ``words``, ``texts`` and ``trend`` of each theme of the rows, largest first; ``themes`` may have more rows.

    The texts are a list of indices, nearest to the centre first, with one of each group of near-duplicates. The trend
    counts them by ``period`` (default :func:`period_of`), if the rows have dates. To merge themes, give them the same
    name.
    """
    columns = ["theme", "words", "texts", "trend"]
    themed_rows = rows[rows.index.isin(themes.index)]
    unique_rows = themed_rows.iloc[np.unique(groups_of(themed_rows), return_index=True)[1]]
    if unique_rows.empty:
        return pd.DataFrame(columns=columns)
    if dated := rows["date"].notna().any():
        periods = rows["date"].dt.to_period(PERIODS[period or period_of(rows["date"])])
        all_periods = pd.period_range(periods.min(), periods.max())
    theme, lines = themes[unique_rows.index].to_numpy(), []
    all_words = content_words(unique_rows["text"], names)
    vectors = vectors_of(all_words)
    for name, words in _typical_words(all_words, theme).items():
        nearness = vectors[theme == name] @ vectors[theme == name].mean(axis=0)
        texts = unique_rows.index[theme == name][np.argsort(-nearness, kind="stable")]
        trend = periods[texts].value_counts().reindex(all_periods, fill_value=0).tolist() if dated else []
        lines.append((name, words, texts.tolist(), trend))
    lines.sort(key=lambda line: len(line[2]), reverse=True)
    return pd.DataFrame(lines, columns=columns)


def _typical_words(words: pd.Series, themes: np.ndarray) -> dict[Any, list[str]]:
    """Those of the texts' words with the greatest c-TF-IDF in each theme (M. Grootendorst, "BERTopic", 2022)."""
    from scipy.sparse import csr_array
    from sklearn.feature_extraction.text import CountVectorizer

    vectorizer = CountVectorizer(analyzer=list)
    counts = csr_array(vectorizer.fit_transform(words))  # texts, words
    words, each_theme = vectorizer.get_feature_names_out(), np.unique(themes)
    by_theme = np.vstack([counts[themes == theme].sum(axis=0) for theme in each_theme])
    weights = by_theme * np.log1p(by_theme.sum() / len(each_theme) / by_theme.sum(axis=0))
    weights[:, (counts > 0).mean(axis=0) > MOST_SHARE] *= 1e-3  # rank after all others
    return {
        theme: [str(words[each]) for each in np.argsort(-weight, kind="stable")[:WORDS] if weight[each]]
        for theme, weight in zip(each_theme.tolist(), weights, strict=True)
    }


def groups_of(rows: pd.DataFrame) -> np.ndarray:
    """Number the rows so that near-duplicates share a number, int64 [N]."""
    texts = rows["text"].tolist()
    if len(texts) <= MOST_COMPARED:
        return near_duplicate_groups(texts)
    return np.unique([bare_words(text) for text in texts], return_inverse=True)[1]


def content_words(texts: pd.Series, names: Iterable[str]) -> pd.Series:
    """The words of each text that can show its subject, a list of str by row index."""
    ignored = stop_words(names)

    def is_content(word: str) -> bool:
        return word not in ignored and len(word) > 1 and not word.isdigit()

    bare = ([word.split("'")[0] for word in words if not word.endswith("n't")] for words in terms(texts))
    return pd.Series([list(filter(is_content, words)) for words in bare], texts.index, dtype=object)


def vectors_of(words: pd.Series) -> np.ndarray:
    """The reduced TF-IDF vector of each text's words, float64 [N, at most 50], rows of length 1."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize
    from threadpoolctl import threadpool_limits

    vectors = TfidfVectorizer(sublinear_tf=True, analyzer=list).fit_transform(words)
    if vectors.shape[1] <= DIMENSIONS:
        return vectors.toarray()
    with threadpool_limits(1):
        return normalize(TruncatedSVD(DIMENSIONS, random_state=SEED).fit_transform(vectors))
