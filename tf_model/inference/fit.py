"""Whether texts are fit for the model: what makes an answer unreliable."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from tf_model import paths, tasks
from tf_model.data.products import Products, read_products
from tf_model.data.splits import bare_words
from tf_model.inference.predictor import Predictor, model_input
from tf_model.io import tables
from tf_model.preprocessing.cleaning import CLEANINGS, MAX_TOKENS, url_pattern

STATUS = "status"  # name of the column
FIT = "fit"
BLANK, NO_WORDS, REPEATED = "blank", "only emoji, signs or links", "repeated"
TOO_LONG = "longer than the model reads"
OTHER_LANGUAGE = "other language"
NO_PRODUCT, SEVERAL = "no known product", "several products"

# Short texts are identified more reliably among these languages than among all that the detector knows. In which other
# language a text is does not matter, and Danish is hard to tell from Norwegian. At this probability of English, none of
# the 8,588 English tweets, and 0.8% of their first two words, were taken for another language.
LANGUAGES = (
    *("en", "es", "de", "fr", "it", "pt", "nl", "sv", "da", "no"),
    *("fi", "pl", "tr", "ru", "ar", "ja", "zh", "ko", "hi", "id"),
)
LEAST_PROBABILITY = 0.02

_NAME = re.compile(r"[@#]\w+")
_TOKEN = re.compile(r"(?i)[a-z0-9]+|[^\sa-z0-9]")


class FitCheck:
    """Decides for each text whether ``model``'s answer can be counted; of equal texts, only the first can.

    Products are checked only if ``products`` are given; a model of targets gives each of several its own answer.
    """

    def __init__(self, model: Predictor, products: Products | None) -> None:
        self.model, self.products = model, products
        self._most_tokens = model.recipe.get("max_tokens", MAX_TOKENS) - 2  # without [CLS] and [SEP]
        self._cleaning = CLEANINGS.get(model.recipe.get("cleaning"))
        self._seen_words: set[str] = set()

    def __call__(self, text: Any) -> str:
        """Return :data:`FIT`, or the reasons why not, joined by ``; ``. Texts are read by :func:`model_input`."""
        return "; ".join(self._reasons(model_input(text).decode())) or FIT

    def of_rows(self, table: tables.Table, rows: Any) -> Any:
        """The status of each of some rows of ``table``; rows with the same index are about one text."""
        texts = dict(zip(rows.index, table.texts(rows), strict=True))
        return rows.index.map({index: self(text) for index, text in texts.items()})

    def _reasons(self, text: str) -> Iterator[str]:
        if not text.strip():
            yield BLANK
            return
        mentions = self.products.find(text) if self.products else []
        plain = url_pattern().sub(" ", text)
        if not any(map(str.isalnum, plain)):
            yield NO_WORDS
            return
        words = bare_words(plain)  # each time that a link is shared, it may have another address
        if words in self._seen_words:
            yield REPEATED
        self._seen_words.add(words)
        # Each word or sign that remains after cleaning is at least one token.
        read = self._cleaning.clean(text) if self._cleaning else plain
        token_count = len(_TOKEN.findall(_ascii(read)))
        if token_count > self._most_tokens:
            yield f"{TOO_LONG} (at most {max(100 * self._most_tokens // token_count, 1)}% was read)"
        # A cleaning may also remove "lol" or "7", which are in no other language.
        is_latin = any(map(str.isalnum, _ascii(plain)))
        if self._cleaning and not is_latin and not any(map(str.isalnum, self._cleaning.clean(plain))):
            yield OTHER_LANGUAGE
        elif self.model.reads_english:
            for mention in reversed(mentions):  # an Italian name says nothing of the language
                text = f"{text[: mention.start]} {text[mention.end :]}"
            words = _NAME.sub(" ", url_pattern().sub(" ", text))
            if dict(_detector().rank(words.lower()))["en"] < LEAST_PROBABILITY:
                yield OTHER_LANGUAGE
        if self.products:
            product_count = len({mention.product for mention in mentions})
            if not product_count:
                yield NO_PRODUCT
            elif product_count > 1 and tasks.TARGET.name not in self.model.labels:
                yield SEVERAL


def _ascii(text: str) -> str:
    return unicodedata.normalize("NFD", text).encode("ascii", "ignore").decode()


def reasons_of(statuses: Any) -> Any:
    """A Series of statuses without how much of a text was read, to be counted and filtered by."""
    return statuses.str.replace(r" \(.*?\)", "", regex=True)


def known_products(labels: Mapping[str, Sequence[str]]) -> Products | None:
    """The products of which a text must name one to be fit for a model of whole texts; None if they are unknown."""
    # Users' own labels need not be names that people write.
    is_known = tasks.has_answer(labels) and labels[tasks.PRODUCT.name] == tasks.PRODUCTS
    return read_products(paths.PRODUCTS) if is_known else None


@cache
def _detector() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    detector = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    detector.set_languages(LANGUAGES)
    return detector
