"""Which words are frequent, and which tell one label from the others."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from tf_model.eda.tweets import is_label, label_order

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_array

RETWEET = "rt"  # a mark, not a word
LEAST_TWEETS = 5  # in which a telling word must occur
PRIOR_WORDS = 1000  # weight of the prior: the greater, the more rare words are drawn towards no difference


def frequent_words(tweets: pd.DataFrame, pairs: bool = False) -> pd.DataFrame:
    """In how many tweets each word occurs; words of no meaning of their own are left out.

    Left out are "rt", scikit-learn's English stop words, and pairs of nothing else.

    Args:
        tweets: See :func:`tf_model.eda.describe`.
        pairs: Count two words in a row instead of one.

    Returns:
        ``words`` (str), ``tweets`` (int64) and ``share`` (of the tweets, 0 to 1), the most frequent first.
    """
    import pandas as pd
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    counts, words = _occurrences(tweets, pairs)
    frame = pd.DataFrame({"words": words, "tweets": counts.sum(axis=0).astype(np.int64)})
    dull = ENGLISH_STOP_WORDS | {RETWEET}
    frame = frame[np.array([not dull.issuperset(each.split()) for each in words], dtype=bool)]
    frame = frame.sort_values(["tweets", "words"], ascending=[False, True], ignore_index=True)
    return frame.assign(share=frame["tweets"] / max(len(tweets), 1))


def telling_words(tweets: pd.DataFrame, by: str, pairs: bool = False) -> pd.DataFrame:
    """Which words tell the tweets of a label from those of the other labels.

    Log-odds ratio with an informative Dirichlet prior: B. L. Monroe, M. P. Colaresi and K. M. Quinn, "Fightin' Words:
    Lexical Feature Selection and Evaluation for Identifying the Content of Political Conflict", Political Analysis 16
    (2008), equations 15, 16, 20 and 22. The prior is the frequency of each word in all the tweets, with the weight of
    :data:`PRIOR_WORDS`. A word counts once a tweet; those of fewer than :data:`LEAST_TWEETS` are left out.

    Args:
        tweets: See :func:`tf_model.eda.describe`.
        by: The column with the labels, ``product`` or ``emotion``; missing and ignored ones are left out.
        pairs: Count two words in a row instead of one.

    Returns:
        One line per label and word: ``label``, ``words`` (str), ``tweets`` and ``others`` (int64: in how many tweets
        of the label and of the other labels it occurs), ``log_odds`` (natural logarithm of the odds ratio; positive:
        more frequent here) and ``z`` (the same over its standard deviation); for each label the greatest ``z`` first.
        Empty where there are fewer than two labels to compare.
    """
    import pandas as pd

    labels = [label for label in label_order(tweets, by) if is_label(label)]
    tweets = tweets[tweets[by].isin(labels)]
    labels = [label for label in labels if (tweets[by] == label).any()]
    occurrences, words = _occurrences(tweets, pairs)
    total = occurrences.sum(axis=0)
    kept = (total >= LEAST_TWEETS) & (words != RETWEET)
    if len(labels) < 2 or not kept.any():
        return pd.DataFrame(columns=["label", "words", "tweets", "others", "log_odds", "z"])
    prior = PRIOR_WORDS * total / total.sum()
    parts = []
    for label in labels:
        here = occurrences[(tweets[by] == label).to_numpy()].sum(axis=0)
        log_odds, z = _log_odds(here, total - here, prior)
        part = {"words": words, "tweets": here, "others": total - here, "log_odds": log_odds, "z": z}
        part = pd.DataFrame(part)[kept].sort_values(["z", "words"], ascending=[False, True])
        part.insert(0, "label", label)
        parts.append(part)
    return pd.concat(parts, ignore_index=True).astype({"tweets": np.int64, "others": np.int64})


def with_words(tweets: pd.DataFrame, words: str) -> pd.DataFrame:
    """The tweets in which a word, or a pair of words with one space between, occurs."""
    sought = tuple(words.split())
    return tweets[[sought in _in_a_row(terms, len(sought)) for terms in tweets["terms"]]]


def _log_odds(here: np.ndarray, elsewhere: np.ndarray, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Difference of the log-odds of each word [W] between two sets of counts [W], and its z-score."""
    one, other = here + prior, elsewhere + prior
    log_odds = np.log(one / (one.sum() - one)) - np.log(other / (other.sum() - other))
    return log_odds, log_odds / np.sqrt(1 / one + 1 / other)


def _occurrences(tweets: pd.DataFrame, pairs: bool) -> tuple[csr_array, np.ndarray]:
    """1 where a word occurs in a tweet, sparse float64 [N, words], and the words (object [words])."""
    from scipy.sparse import csr_array
    from sklearn.feature_extraction.text import CountVectorizer

    size = 2 if pairs else 1
    if not any(len(terms) >= size for terms in tweets["terms"]):
        return csr_array((len(tweets), 0)), np.array([], dtype=object)
    vectorizer = CountVectorizer(
        analyzer=lambda terms: [" ".join(each) for each in _in_a_row(terms, size)], binary=True, dtype=np.float64
    )
    return csr_array(vectorizer.fit_transform(tweets["terms"])), vectorizer.get_feature_names_out()


def _in_a_row(terms: tuple[str, ...], size: int) -> list[tuple[str, ...]]:
    return list(pairwise(terms)) if size == 2 else [(term,) for term in terms]
