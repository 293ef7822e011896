"""How a text is cleaned: one definition, applied in the TensorFlow graph, and without TensorFlow by the light model.

A cleaning is a list of RE2 patterns (https://github.com/google/re2/wiki/Syntax) with their replacements, so that
training, evaluation and the exported models run the same operations and cannot disagree.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

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

    def clean(self, text: str) -> str:
        """The same without TensorFlow, of one text that can be encoded as UTF-8."""
        if self.lower_case:
            text = text.encode().lower().decode()  # of bytes, ASCII letters alone
        if self.decompose:
            for broken in BROKEN_APOSTROPHE.split("|"):
                text = text.replace(broken, "'")
            text = unicodedata.normalize("NFD", text)
        for pattern, replacement in self._compiled_steps:
            text = pattern.sub(replacement, text)
        return text.strip(" \t\n\v\f\r") if self.strip else text

    @cached_property
    def _compiled_steps(self) -> list[tuple[Any, str]]:
        import re2

        return [(re2.compile(pattern), replacement) for pattern, replacement in self.steps]


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

# Nor must what is put at the end: "!", "lol" or a mention.
TRIMMED = replace(
    NO_RETWEET,
    name="normalized_trimmed",
    steps=(*NO_RETWEET.steps, (r"(?i)(?:[ !.]|#?\blol\b|\B@user\b)+$", "")),
)

# One mention of a text, marked by :func:`mark`, becomes BERT's own word for "some word": the model reads how the text
# speaks of it, not what it is called, so that what it has learned of one product holds for any other.
MENTION_START, MENTION_END = "\x02", "\x03"
MASK = "[MASK]"
TARGET = replace(
    NO_RETWEET,
    name="target",
    steps=(
        (r"\p{Mn}+", ""),  # at once, lest it is what tells "[M\u00c1SK]" from a special token
        (r"\[(CLS|SEP|PAD|UNK|MASK)\]", r"(\1)"),  # what somebody wrote is no special token
        (f"{MENTION_START}[^{MENTION_END}]*{MENTION_END}", f" {MASK} "),
        *NO_RETWEET.steps,
    ),
)
READ_CHARACTERS = 300  # of a text on each side of the mention, about as many as fit into 128 tokens

CLEANINGS = {cleaning.name: cleaning for cleaning in (REPORT, NORMALIZED, NO_RETWEET, TRIMMED, TARGET)}


def mark(text: str, start: int, end: int) -> str:
    """``text`` with the mention from character ``start`` up to ``end`` marked, as :data:`TARGET` reads it."""
    text = text.replace(MENTION_START, " ").replace(MENTION_END, " ")
    before, after = text[max(start - READ_CHARACTERS, 0) : start], text[end : end + READ_CHARACTERS]
    return f"{before}{MENTION_START}{text[start:end]}{MENTION_END}{after}"


def unmark(text: str) -> str:
    """A text of :func:`mark` without the marks."""
    return text.replace(MENTION_START, "").replace(MENTION_END, "")


def mark_bytes(texts: tf.Tensor, starts: tf.Tensor, ends: tf.Tensor) -> tf.Tensor:
    """:func:`mark` in the graph: texts, string [N], and the bytes where their mentions begin and end, int32 [N].

    ``tf.errors.InvalidArgumentError`` where these are outside the text or inside a character.
    """
    import tensorflow as tf

    lengths = tf.strings.length(texts)
    is_inside = tf.reduce_all((starts >= 0) & (starts <= ends) & (ends <= lengths))
    with tf.control_dependencies([tf.debugging.Assert(is_inside, ["expected 0 <= start <= end <= bytes of the text"])]):
        texts = tf.strings.regex_replace(texts, f"[{MENTION_START}{MENTION_END}]", " ")
    for places in (starts, ends):
        first = tf.io.decode_raw(tf.strings.substr(texts + " ", places, tf.ones_like(places)), tf.uint8)
        is_whole = tf.reduce_all(tf.bitwise.bitwise_and(first, 0xC0) != 0x80)
        with tf.control_dependencies([tf.debugging.Assert(is_whole, ["start or end is inside a character"])]):
            texts = tf.identity(texts)
    before, after = (
        tf.strings.substr(texts, tf.zeros_like(starts), starts),
        tf.strings.substr(texts, ends, lengths - ends),
    )
    skipped = tf.maximum(tf.strings.length(before, unit="UTF8_CHAR") - READ_CHARACTERS, 0)
    most = tf.fill(tf.shape(starts), READ_CHARACTERS)
    before = tf.strings.substr(before, skipped, most, unit="UTF8_CHAR")
    after = tf.strings.substr(after, tf.zeros_like(ends), most, unit="UTF8_CHAR")
    mention = tf.strings.substr(texts, starts, ends - starts)
    return tf.strings.join([before, MENTION_START, mention, MENTION_END, after])
