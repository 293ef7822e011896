"""What tweets contain besides words (digits, emoticons, placeholders, damage), and what cleaning keeps of it."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from tf_model.io.characters import well_formed
from tf_model.preprocessing.cleaning import CLEANINGS, MAX_TOKENS
from tf_model.preprocessing.light_tokenizer import LightTokenizer, read_vocabulary

SURFACE_FEATURES = {
    "digits": re.compile(r"\d"),
    "emoticons": re.compile(r"(?<!\S)[:;=8][-'o]?[)(DPp/\\|*\]\[](?=\s|$)|<3|&lt;3"),
    "exclamation marks": re.compile(r"!"),
    "question marks": re.compile(r"\?"),
    "apostrophes inside words": re.compile(r"\w['\u2019]\w"),
    "hashtags": re.compile(r"\B#\w+"),
    "@mention": re.compile(r"@mention\b"),
    "other user names": re.compile(r"\B@(?!mention\b)\w+"),
    "{link}": re.compile(r"\{link\}", re.IGNORECASE),
    "other addresses": re.compile(r"https?:\S*|www\.\S+", re.IGNORECASE),
    "[pic], [video] and the like": re.compile(r"\[(?:pics?|video|link)\]", re.IGNORECASE),
    "RT @ within the text": re.compile(r"(?<=\S\s)RT:?\s*@", re.IGNORECASE),
    "HTML entities": re.compile(r"&(?:[a-z]+|#\d+);", re.IGNORECASE),
    "replacement characters (U+FFFD)": re.compile("\ufffd"),
    "other non-ASCII characters": re.compile("[^\\x00-\\x7f\ufffd]"),
    "line breaks": re.compile(r"[\r\n]"),
}


def count_surface_features(tweets: pd.DataFrame) -> pd.DataFrame:
    """How many ``tweets`` contain each ``feature`` of :data:`SURFACE_FEATURES`, and their ``share`` (0 to 1)."""
    counts = [len(with_surface_feature(tweets, feature)) for feature in SURFACE_FEATURES]
    frame = pd.DataFrame({"feature": list(SURFACE_FEATURES), "tweets": counts})
    return frame.assign(share=frame["tweets"] / max(len(tweets), 1))


def with_surface_feature(tweets: pd.DataFrame, feature: str) -> pd.DataFrame:
    """The tweets that contain one of :data:`SURFACE_FEATURES`."""
    return tweets[[bool(SURFACE_FEATURES[feature].search(text)) for text in tweets["text"]]]


def after_cleaning(tweets: pd.DataFrame) -> pd.DataFrame:
    """How many ``tweets`` contain each ``feature`` in each ``state``: ``raw``, or the name of a cleaning."""
    states = {"raw": tweets}
    for name, cleaning in CLEANINGS.items():
        states[name] = tweets.assign(text=[cleaning.clean(well_formed(text)) for text in tweets["text"]])
    counts = [count_surface_features(frame).assign(state=state) for state, frame in states.items()]
    return pd.concat(counts, ignore_index=True)[["feature", "state", "tweets"]]


def token_counts(tweets: pd.DataFrame, vocabulary: Path, cleaning: str) -> np.ndarray:
    """Length of each cleaned tweet in tokens of a BERT ``vocab.txt``, special tokens included: int64 [N]."""
    tokenizer = LightTokenizer(read_vocabulary(vocabulary), CLEANINGS[cleaning], lower_case=True, max_tokens=MAX_TOKENS)
    return np.array([len(ids) for ids in tokenizer([well_formed(text) for text in tweets["text"]])], np.int64)
