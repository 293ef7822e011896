"""Which words are frequent, which distinguish one label from the others, and rules that tell a label by words."""

import re
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from tf_model import tasks
from tf_model.eda.tweets import is_label, label_order

RETWEET = "rt"  # a mark, not a word
LEAST_TWEETS = 5  # that a distinctive word must occur in
PRIOR_WORDS = 1000  # weight of the prior, the frequencies in all tweets; the greater, the less rare words stand out

_APP, _APPLE_DEVICE = r"\bapps?\b", r"\bip(?:ad|hone)s?|\bi(?:os|tunes)\b|\bapp ?store\b"
# Patterns for lower-cased texts, which must all match, and the product that they indicate; the first rule that
# matches decides. Written from the class names and from what the makers sold and showed in early 2011.
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
POSITIVE_WORDS = re.compile(
    r"\b(?:love[sd]?|loving|like[sd]?|great|awesome|cool(?:est)?|amazing|excellent|excited|exciting|best|better|nice|"
    r"fun|happy|beautiful|brilliant|genius|smart|win(?:s|ning|ner)?|wow|yay|thanks?|sweet|perfect|wants?|hot|rocks?|"
    r"impress(?:ed|ive)|enjoy(?:ed|ing)?|good|fantastic|wonderful|handy|useful|easy)\b|[:;]-?\)",
)
NEGATIVE_WORDS = re.compile(
    r"\b(?:hate[sd]?|fails?|failed|failure|bad|worse|worst|sucks?|crap(?:py)?|awful|terrible|horrible|stupid|annoy\w*|"
    r"disappoint\w*|broken|broke|crash\w*|bugs?|buggy|slow|dead|dies|died|lost|lame|boring|ugly|useless|problems?|"
    r"sad|fascist|evil|wtf|ugh|fuck\w*|shit\w*|expensive|not working|doesn'?t work|can'?t)\b|[:;]-?\(",
)


def frequent_words(tweets: pd.DataFrame, pairs: bool = False) -> pd.DataFrame:
    """How many ``tweets`` contain each word or word pair (``words``), and their ``share``; no "rt", no stop words."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    counts, words = _occurrences(tweets, pairs)
    frame = pd.DataFrame({"words": words, "tweets": counts.sum(axis=0).astype(np.int64)})
    ignored = ENGLISH_STOP_WORDS | {RETWEET}
    frame = frame[np.array([not ignored.issuperset(each.split()) for each in words], dtype=bool)]
    frame = frame.sort_values(["tweets", "words"], ascending=[False, True], ignore_index=True)
    return frame.assign(share=frame["tweets"] / max(len(tweets), 1))


def distinctive_words(tweets: pd.DataFrame, by: str, pairs: bool = False) -> pd.DataFrame:
    """Words, or word pairs, that distinguish the tweets of a label (``by``: ``product`` or ``emotion``) from others.

    Source: B. L. Monroe, M. P. Colaresi and K. M. Quinn, "Fightin' Words: Lexical Feature Selection and Evaluation for
    Identifying the Content of Political Conflict", Political Analysis 16 (2008), equations 15, 16, 20 and 22. Returns
    how many ``tweets`` of the label and ``others`` contain the words, the ``log_odds`` and ``z``, the highest first.
    """
    tweets = tweets[tweets[by].isin(filter(is_label, tweets[by].unique()))]
    labels = [label for label in label_order(tweets, by) if (tweets[by] == label).any()]
    occurrences, words = _occurrences(tweets, pairs)
    total = occurrences.sum(axis=0)
    is_counted = (total >= LEAST_TWEETS) & (words != RETWEET)
    if len(labels) < 2 or not is_counted.any():
        return pd.DataFrame(columns=["label", "words", "tweets", "others", "log_odds", "z"])
    prior = PRIOR_WORDS * total / total.sum()
    parts = []
    for label in labels:
        in_label = occurrences[(tweets[by] == label).to_numpy()].sum(axis=0)
        log_odds, z = _log_odds(in_label, total - in_label, prior)
        columns = {"words": words, "tweets": in_label, "others": total - in_label, "log_odds": log_odds, "z": z}
        part = pd.DataFrame({"label": label, **columns})[is_counted]
        parts.append(part.sort_values(["z", "words"], ascending=[False, True]))
    return pd.concat(parts, ignore_index=True).astype({"tweets": np.int64, "others": np.int64})


def with_words(tweets: pd.DataFrame, words: str) -> pd.DataFrame:
    """The tweets that contain a word, or a pair of words separated by one space."""
    return tweets[[f" {words} " in f" {' '.join(terms)} " for terms in tweets["terms"]]]


def _log_odds(in_label: np.ndarray, in_others: np.ndarray, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Difference of the log-odds of each word [W] between two sets of counts [W], and its z-score."""
    one, other = in_label + prior, in_others + prior
    log_odds = np.log(one / (one.sum() - one)) - np.log(other / (other.sum() - other))
    return log_odds, log_odds / np.sqrt(1 / one + 1 / other)


def _occurrences(tweets: pd.DataFrame, pairs: bool) -> tuple[Any, np.ndarray]:
    """1 where a word occurs in a tweet, sparse float64 [N, words], and the words (object [words])."""
    from scipy.sparse import csr_array

    row = np.arange(len(tweets)).repeat(tweets["terms"].map(len).to_numpy(np.int64))
    columns, words = pd.factorize(np.array(list(chain.from_iterable(tweets["terms"])), dtype=object))
    if pairs:
        is_first = row[:-1] == row[1:]
        columns, pairs_found = pd.factorize((columns[:-1] * len(words) + columns[1:])[is_first])
        first, second = np.divmod(pairs_found, max(len(words), 1))
        row, words = row[:-1][is_first], words[first] + " " + words[second]
    occurrences = csr_array((np.ones(len(row)), (row, columns)), shape=(len(tweets), len(words)))
    occurrences.data[:] = 1  # also where a word occurs several times
    return occurrences, words


def keyword_rule(text: str) -> str | None:
    """The product of the first of :data:`PRODUCT_RULES` that matches a text; None if none does."""
    lower = text.lower()
    matches = (label for patterns, label in PRODUCT_RULES if all(re.search(pattern, lower) for pattern in patterns))
    return next(matches, None)


def keyword_emotion(text: str) -> str:
    """The emotion of a text by whether it has more :data:`POSITIVE_WORDS` or :data:`NEGATIVE_WORDS`."""
    balance = len(POSITIVE_WORDS.findall(text.lower())) - len(NEGATIVE_WORDS.findall(text.lower()))
    return tasks.NO_EMOTION if balance == 0 else (tasks.POSITIVE if balance > 0 else tasks.NEGATIVE)
