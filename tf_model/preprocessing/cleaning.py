"""How a text is cleaned: one definition, applied in the TensorFlow graph wherever a text goes in.

A cleaning is a list of RE2 patterns (https://github.com/google/re2/wiki/Syntax) with their replacements, so that
training, evaluation and the exported model run the same operations and cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

# The longest input in tokens, special tokens included. A tweet of the dataset needs 62 at most.
MAX_TOKENS = 128

# The non-ASCII letters whose lower case holds an ASCII letter: KELVIN SIGN and I WITH DOT ABOVE. With these two,
# lower-casing ASCII alone gives the same letters a-z as Python's str.lower, in any locale.
_LOWERED = (("\u212a", "k"), ("\u0130", "i\u0307"))

# CrowdFlower's export broke the right single quotation mark into these.
BROKEN_APOSTROPHE = "\ufffd\u06ea|\u0089\u00db\u00aa"

URL = r"(?i)(?:https?:\S*|www\.\S+|(?:[a-z0-9-]+\.)+[a-z]{2,}/\S*|\{link\}|\[(?:pic|pics|video|link)\])"


@dataclass(frozen=True)
class Cleaning:
    """A named cleaning rule."""

    name: str
    steps: tuple[tuple[str, str], ...]  # RE2 patterns and replacements, in this order, each for all its matches
    lower_case: bool = False  # ASCII letters, first
    decompose: bool = False  # accented letters (Unicode NFD), so that the letter survives its accent
    strip: bool = False  # spaces at both ends, last

    def __call__(self, texts: tf.Tensor) -> tf.Tensor:
        """Clean texts, a string tensor of any shape, into ASCII; bytes that are not UTF-8 are read as U+FFFD."""
        import tensorflow as tf

        texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
        if self.lower_case:
            texts = tf.strings.lower(texts)
        if self.decompose:
            import tensorflow_text

            # First what the decomposition would take apart.
            texts = tf.strings.regex_replace(texts, BROKEN_APOSTROPHE, "'")
            texts = tensorflow_text.normalize_utf8(texts, "NFD")
        for pattern, replacement in self.steps:
            texts = tf.strings.regex_replace(texts, pattern, replacement)
        return tf.strings.strip(texts) if self.strip else texts


# To the letter: lower-case, everything but a-z to one space, and a URL rule that can never match, because the rule
# before it has removed the colon and the slashes.
REPORT = Cleaning(
    name="report",
    lower_case=True,
    steps=(
        *_LOWERED,
        (r"[^a-z]+", " "),
        (r"http[s]?://\S+", ""),
    ),
)

# What is taken away says nothing about emotion or product: addresses, placeholders, who is mentioned, broken bytes.
# What the report lost stays: digits ("iPad 2", "3G"), emoticons, punctuation, hashtags. Letter case is the
# tokenizer's matter. Only ASCII is left, for which this tokenizer and Hugging Face's give the same ids.
NORMALIZED = Cleaning(
    name="normalized",
    decompose=True,
    steps=(
        (r"[\p{Z}\x{85}]+", " "),  # every Unicode space ends an address, not ASCII's alone
        ("[\u2018\u2019\u201a\u2032]", "'"),
        ("[\u201c\u201d\u201e\u2033]", '"'),
        ("[\u2010-\u2015]", "-"),
        ("\u2026", "..."),
        ("&quot;", '"'),
        ("&#39;|&apos;", "'"),
        ("&nbsp;", " "),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&amp;", "&"),
        (URL, " "),
        (r"\B@\w+", "@user"),
        (r"\p{Mn}+", ""),
        (r"[^\x20-\x7e]+", " "),
        (" +", " "),
    ),
    strip=True,
)

# A retweet says what the tweet says: "RT @user:" in front must not change the answer, so the model never sees it.
NO_RETWEET = replace(
    NORMALIZED,
    name="normalized_no_retweet",
    steps=(*NORMALIZED.steps, (r"(?i)^ ?(?:rt\b[: ]*(?:@\w+[: ]*)?)+", "")),
)

CLEANINGS = {cleaning.name: cleaning for cleaning in (REPORT, NORMALIZED, NO_RETWEET)}
