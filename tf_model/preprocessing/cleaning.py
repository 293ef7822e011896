"""How a text is cleaned: one definition, applied in the TensorFlow graph, and without TensorFlow by the light model.

A cleaning is a list of RE2 patterns (https://github.com/google/re2/wiki/Syntax) with their replacements, so that
training, evaluation and the exported models run the same operations and cannot disagree.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf

# The longest input in tokens, special tokens included. A tweet of the dataset needs 60 at most.
MAX_TOKENS = 128

# The non-ASCII letters whose lower case contains an ASCII letter: KELVIN SIGN and I WITH DOT ABOVE. With these two
# replaced, lower-casing only ASCII gives the same letters a-z as Python's str.lower, in any locale.
_LOWERED = (("\u212a", "k"), ("\u0130", "i\u0307"))

# CrowdFlower's export turned the right single quotation mark into one of these.
BROKEN_APOSTROPHE = "\ufffd\u06ea|\u0089\u00db\u00aa"

URL = r"(?i)(?:https?:\S*|www\.[^\s!.]\S*|(?:[a-z0-9-]+\.)+[a-z]{2,}/\S*|\{link\}|\[(?:pic|pics|video|link)\])"


@lru_cache
def url_pattern() -> Any:
    """:data:`URL`, compiled by RE2, which takes linear time, also for a text without spaces."""
    import re2

    return re2.compile(URL)


@dataclass(frozen=True)
class Cleaning:
    """A named cleaning rule."""

    name: str
    steps: tuple[tuple[str, str], ...]  # RE2 patterns and replacements, applied in order to all matches
    lower_case: bool = False  # lower-case ASCII letters before the steps
    decompose: bool = False  # split accented letters (Unicode NFD) before the steps, so that these can keep the letter
    strip: bool = False  # strip spaces at both ends after the steps

    @property
    def reads_mentions(self) -> bool:
        """Whether it turns marked mentions into mask tokens."""
        return any(MASK in replacement for _, replacement in self.steps)

    def __call__(self, texts: tf.Tensor) -> tf.Tensor:
        """Clean texts, a string tensor of any shape, into ASCII; bytes that are not UTF-8 are read as U+FFFD."""
        import tensorflow as tf

        texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
        if self.lower_case:
            texts = tf.strings.lower(texts)
        if self.decompose:
            import tensorflow_text

            # First, because NFD would decompose these characters.
            texts = tf.strings.regex_replace(texts, BROKEN_APOSTROPHE, "'")
            texts = tensorflow_text.normalize_utf8(texts, "NFD")
        for pattern, replacement in self.steps:
            texts = tf.strings.regex_replace(texts, pattern, replacement)
        return tf.strings.strip(texts) if self.strip else texts

    def clean(self, text: str) -> str:
        """Clean one text without TensorFlow; it must be encodable as UTF-8."""
        if self.lower_case:
            text = text.encode().lower().decode()  # bytes.lower changes ASCII letters only
        if self.decompose:
            for broken in BROKEN_APOSTROPHE.split("|"):
                text = text.replace(broken, "'")
            text = unicodedata.normalize("NFD", text)
        encoded = text.encode()
        for pattern, replacement in self._compiled_steps:
            encoded = pattern.sub(replacement, encoded)
        return (encoded.strip() if self.strip else encoded).decode()

    @cached_property
    def _compiled_steps(self) -> list[tuple[Any, bytes]]:
        import re2

        return [(re2.compile(pattern.encode()), replacement.encode()) for pattern, replacement in self.steps]


# Exactly as in the report: lower-case, replace all but a-z by one space, and remove URLs. The last rule can never
# match, because the rule before it has removed the colon and the slashes.
REPORT = Cleaning(
    name="report",
    lower_case=True,
    steps=(
        *_LOWERED,
        (r"[^a-z]+", " "),
        (r"http[s]?://\S+", ""),
    ),
)

# Removes what says nothing about emotion or product: addresses, placeholders, user names, broken bytes. Keeps what
# the report's cleaning loses: digits ("iPad 2", "3G"), emoticons, punctuation, hashtags. The tokenizer handles letter
# case. Only ASCII is left, for which this tokenizer and Hugging Face's give the same ids.
NORMALIZED = Cleaning(
    name="normalized",
    decompose=True,
    steps=(
        # Any Unicode space ends an address, not only ASCII's. They are listed, and the last step begins with two
        # spaces, because replacing each single space by itself would take most of the time.
        (r"[\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]+", " "),
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
        ("  +", " "),
    ),
    strip=True,
)

# "RT @user:" in front, and a "!", "lol" or user name at the end, must not change the answer: the model never sees them.
TRIMMED = replace(
    NORMALIZED,
    name="normalized_trimmed",
    steps=(
        *NORMALIZED.steps,
        (r"(?i)^ ?(?:rt\b[: ]*(?:@\w+[: ]*)?)+", ""),
        (r"(?i)(?:[ !.]|#?\blol\b|\B@user\b)+$", ""),
    ),
)

# The mention marked by :func:`mark` becomes BERT's mask token: the model reads what the text says about a product, not
# its name, so what it learns about one product holds for any other.
MENTION_START, MENTION_END = "\x02", "\x03"
MENTION = f"{MENTION_START}[^{MENTION_END}]*{MENTION_END}"  # as a pattern
KEPT_CHARACTERS = 9_000  # on each side of it: more than any model reads
MASK = "[MASK]"
TARGET = replace(
    TRIMMED,
    name="target",
    steps=(
        (r"\p{Mn}+", ""),  # before the next step, or "[M\u00c1SK]" would become a special token after it
        (r"\[(CLS|SEP|PAD|UNK|MASK)\]", r"(\1)"),  # a "[MASK]" that somebody wrote is no special token
        (MENTION, f" {MASK} "),
        *TRIMMED.steps,
    ),
)

CLEANINGS = {cleaning.name: cleaning for cleaning in (REPORT, NORMALIZED, TRIMMED, TARGET)}


def mark(text: str, start: int, end: int) -> str:
    """Mark the mention ``text[start:end]`` for :data:`TARGET`; what is far from it is cut off."""
    text = text.replace(MENTION_START, " ").replace(MENTION_END, " ")
    before, after = text[max(start - KEPT_CHARACTERS, 0) : start], text[end : end + KEPT_CHARACTERS]
    return f"{before}{MENTION_START}{text[start:end]}{MENTION_END}{after}"


def unmark(text: str) -> str:
    """Remove the marks that :func:`mark` added."""
    return text.replace(MENTION_START, "").replace(MENTION_END, "")


def mark_bytes(texts: tf.Tensor, starts: tf.Tensor, ends: tf.Tensor) -> tf.Tensor:
    """:func:`mark` in the graph, for texts, string [N], and the byte offsets of their mentions, int32 [N].

    Raises ``tf.errors.InvalidArgumentError`` for an offset outside the text or inside a character.
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
    before = tf.strings.substr(texts, tf.zeros_like(starts), starts)
    mention = tf.strings.substr(texts, starts, ends - starts)
    after = tf.strings.substr(texts, ends, lengths - ends)
    return tf.strings.join([before, MENTION_START, mention, MENTION_END, after])
