"""One line per tweet: its labels, its lengths, its words, and whether it repeats another."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tf_model import tasks
from tf_model.data.splits import RETWEET_MARKS, bare_words
from tf_model.preprocessing.cleaning import BROKEN_APOSTROPHE, URL

if TYPE_CHECKING:
    import pandas as pd

NO_PRODUCT = "no product"
NO_LABEL = "no label"

# Brands that can stand in a tweet side by side; an app is named by a common word and would only repeat these.
BRANDS = ("iPhone", "iPad", "Google", "Android", "Apple")

_NO_WORDS = re.compile(rf"{URL}|\B@\w+")
_APOSTROPHE = re.compile(f"{BROKEN_APOSTROPHE}|\u2019")
_WORD = re.compile(r"\w+(?:['&]\w+)*")


def describe(labelled: pd.DataFrame) -> pd.DataFrame:
    """Everything about each tweet that the other functions count.

    Args:
        labelled: As :attr:`tf_model.data.Dataset.labelled`: N rows with the columns ``row``, text, product, emotion.

    Returns:
        N rows, indexed from 0, in the same order, with the columns

        - ``row`` (int64): as in ``labelled``.
        - ``text`` (str): as it stands in the file.
        - ``product``, ``emotion`` (str): the labels, :data:`NO_PRODUCT` and :data:`NO_LABEL` where there is none.
        - ``characters``, ``words`` (int64): length in code points, and in words between spaces.
        - ``terms`` (tuple of str): see :func:`terms`.
        - ``is_retweet`` (bool): it begins with a retweet mark, such as "RT @user".
        - ``same_words`` (int64): a number that tweets share whose words are the same once case, punctuation and
          leading retweet marks are put aside, as in :func:`tf_model.data.splits.near_duplicate_groups`.
        - ``named`` (tuple of str): see :func:`named`.
    """
    import pandas as pd

    text = labelled[tasks.TEXT_COLUMN].reset_index(drop=True)
    return pd.DataFrame(
        {
            "row": labelled["row"].to_numpy(),
            "text": text,
            "product": labelled[tasks.PRODUCT_COLUMN].fillna(NO_PRODUCT).to_numpy(),
            "emotion": labelled[tasks.EMOTION_COLUMN].fillna(NO_LABEL).to_numpy(),
            "characters": [len(each) for each in text],
            "words": [len(each.split()) for each in text],
            "terms": pd.Series([terms(each) for each in text], dtype=object),
            "is_retweet": [bool(RETWEET_MARKS.match(each.lower())) for each in text],
            "same_words": text.map(bare_words).factorize()[0],
            "named": pd.Series([named(each) for each in text], dtype=object),
        }
    )


def named(text: str) -> tuple[str, ...]:
    """Which of the five brand words of :data:`BRANDS` a text holds, in that order."""
    lower = text.lower()
    return tuple(brand for brand in BRANDS if brand.lower() in lower)


def terms(text: str) -> tuple[str, ...]:
    """The words of a text for counting: lower case, without ``#``, user names, addresses and placeholders.

    HTML entities are read as the characters they stand for; "don't" and "AT&T" are one word each.
    """
    plain = _APOSTROPHE.sub("'", html.unescape(text))
    return tuple(_WORD.findall(_NO_WORDS.sub(" ", plain).lower()))


@dataclass(frozen=True)
class Filter:
    """Which tweets to look at. The default lets all through.

    Attributes:
        products: Labels to keep, :data:`NO_PRODUCT` among them if wanted; empty keeps all.
        emotions: The same of emotions, with :data:`NO_LABEL`.
        retweets: True keeps retweets only, False all others, None both.
        once: Whether to keep only the first of the tweets whose words are the same.
        characters: Least and greatest length, both included; None keeps all.
        contains: Letters that the text must hold, whatever their case; empty keeps all.
    """

    products: tuple[str, ...] = ()
    emotions: tuple[str, ...] = ()
    retweets: bool | None = None
    once: bool = False
    characters: tuple[int, int] | None = None
    contains: str = ""

    def __call__(self, tweets: pd.DataFrame) -> pd.DataFrame:
        """The rows of ``tweets`` (see :func:`describe`) that pass, with their index.

        ``once`` is applied last: the first of those that pass otherwise is kept.
        """
        for column, labels in (("product", self.products), ("emotion", self.emotions)):
            if labels:
                tweets = tweets[tweets[column].isin(labels)]
        if self.retweets is not None:
            tweets = tweets[tweets["is_retweet"] == self.retweets]
        if self.characters is not None:
            tweets = tweets[tweets["characters"].between(*self.characters)]
        if self.contains:
            tweets = tweets[tweets["text"].str.lower().str.contains(self.contains.lower(), regex=False)]
        return tweets.drop_duplicates("same_words") if self.once else tweets


def label_order(tweets: pd.DataFrame, column: str) -> tuple[str, ...]:
    """The labels of ``product`` or ``emotion`` in the order in which to show them.

    Those of the task, in its order, whether they occur or not; then, if they occur, those that it ignores, and what
    stands for a missing label.
    """
    task, occurring = tasks.TASKS[column], set(tweets[column])
    extra = (*task.ignored_labels, NO_PRODUCT, NO_LABEL)
    return (*task.labels, *(label for label in extra if label in occurring))


def is_label(label: str) -> bool:
    """Whether ``label`` is a class of a task, not a stand-in for a missing or an ignored label."""
    return label not in (NO_PRODUCT, NO_LABEL, tasks.CANNOT_TELL)
