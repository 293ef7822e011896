"""Whether texts are fit for the model: what makes an answer mean little, and files that hold no texts at all."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tf_model.data.products import Products
from tf_model.data.splits import bare_words
from tf_model.errors import DataError, listed
from tf_model.inference.predictor import model_input
from tf_model.io import tables
from tf_model.preprocessing.cleaning import MAX_TOKENS, URL

STATUS = "status"  # the column
FIT = "fit"
BLANK, NO_WORDS, REPEATED = "blank", "only emoji or signs", "repeated"
LONG = f"longer than the {MAX_TOKENS} tokens that the model reads"
OTHER_LANGUAGE = "other language"
NO_PRODUCT, SEVERAL = "no known product", "several products"

# Between these a few words are told apart more surely than between all that the detector knows. At this probability it
# took 2 of the 8,588 English tweets for another language, and 0.8% of their first two words.
LANGUAGES = (
    *("en", "es", "de", "fr", "it", "pt", "nl", "sv", "da", "no"),
    *("fi", "pl", "tr", "ru", "ar", "ja", "zh", "ko", "hi", "id"),
)
LEAST_PROBABILITY = 0.7

_URL = re.compile(URL)
_NAME = re.compile(r"[@#]\w+")
_TOKEN = re.compile(r"(?i)[a-z0-9]+|[^\sa-z0-9]")
_DATE = re.compile(r"(?i)\b(?:mon|tue|wed|thu|fri|sat|sun|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\w*")
_PROSE = re.compile(r"[^\W\d_]{2,}\W*\s\W*[^\W\d_]{2,}|[^\W\d_a-zA-Z]{4,}")  # two words, or a word that is not Latin


@dataclass
class FitCheck:
    """Says of one text after the other whether its answer can be counted; the first of equal texts can.

    Without ``products`` none is looked for; ``several``: whether more than one is a reason; ``english``: whether any
    other language is.
    """

    products: Products | None = None
    several: bool = True
    english: bool = False
    _seen: set[str] = field(default_factory=set)

    def __call__(self, text: Any) -> str:
        """:data:`FIT`, or the reasons why not, with ``; `` between them. Texts are read by :func:`model_input`."""
        return "; ".join(self._reasons(model_input(text).decode())) or FIT

    def _reasons(self, text: str) -> Iterator[str]:
        if not text.strip():
            yield BLANK
            return
        plain = _URL.sub(" ", text)
        if not any(map(str.isalnum, plain)):
            yield NO_WORDS
            return
        words = bare_words(text)
        if words in self._seen:
            yield REPEATED
        self._seen.add(words)
        # Of the words and signs that the cleaning leaves, each is one token or more.
        ascii_only = unicodedata.normalize("NFD", plain).encode("ascii", "ignore").decode()
        if len(_TOKEN.findall(ascii_only)) > MAX_TOKENS - 2:
            yield LONG
        if self.english:
            language, probability = _detector().classify(_NAME.sub(" ", plain).lower())
            if language != "en" and probability >= LEAST_PROBABILITY:
                yield OTHER_LANGUAGE
        if self.products:
            named = len(self.products.first_mentions(text))
            if not named:
                yield NO_PRODUCT
            elif named > 1 and self.several:
                yield SEVERAL


@cache
def _detector() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    detector = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    detector.set_languages(LANGUAGES)
    return detector


def refuse_without_texts(table: tables.Table, sample: Any) -> None:
    """Raise :class:`DataError` if no column of ``sample``, the first rows of ``table``, holds texts.

    What has two words side by side is a text; a column that is the only one, or has a usual name, need not.
    """
    if sample.empty or table.reason in ("by its name", "the only column"):
        return
    for position in range(sample.shape[1]):
        values = (tables.as_text(value) for value in sample.iloc[:, position].dropna())
        if any(_PROSE.search(_DATE.sub(" ", value)) for value in values):
            return
    raise DataError(
        f"{table.name}: expected a column of texts, but {listed([str(name) for name in sample.columns])} hold numbers, "
        "dates or single words; add the texts, or call their column 'text'"
    )
