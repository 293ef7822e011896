"""Token ids without TensorFlow equal those of the graph, for every cleaning and script."""

import os
import random
from dataclasses import replace
from functools import cache

import pytest

from tests.preprocessing.test_cleaning import PIECES
from tf_model.io.characters import well_formed
from tf_model.modeling import backbone
from tf_model.preprocessing.batching import encode
from tf_model.preprocessing.cleaning import CLEANINGS, TARGET, mark
from tf_model.preprocessing.light_tokenizer import LightTokenizer
from tf_model.preprocessing.tokenizer import TextEncoder
from tf_model.tasks import TEXT_COLUMN

TEXTS = int(os.environ.get("LIGHT_TEXTS", 2_000))  # for each cleaning; `make check-light` takes 100,000
WORDS = [
    *("ipad", "iphone", "android", "Google", "APPLE", "app", "maps", "love", "hate", "the", "of", "is"),
    *("don't", "can't", "re-tweet", "sxsw", "[MASK]", "[CLS]"),
]
# Ranges of characters: ASCII, Latin, marks, Greek, Arabic, Ethiopic, symbols, Han, Hangul, emoji, ...
SCRIPTS = [
    *((0x00, 0x80), (0x80, 0x250), (0x300, 0x370), (0x370, 0x600), (0x600, 0x1200), (0x1200, 0x2000)),
    *((0x2000, 0x2C00), (0x2C00, 0xA000), (0xA000, 0xD800), (0xE000, 0x10000), (0x10000, 0x20000)),
    *((0x20000, 0x30000), (0xE0000, 0xE01F0)),
]


@pytest.fixture(scope="module")
def weights():
    return backbone.find("minilm")


def generated(count: int, seed: int) -> list[str]:
    draw = random.Random(seed)

    def piece() -> str:
        match draw.randrange(8):
            case 0 | 1:
                return draw.choice(PIECES)
            case 2 | 3:
                return draw.choice(WORDS)
            case 4:
                return draw.choice([" ", "", ", ", "\t"])
            case 5 if draw.random() < 0.2:  # words of more than 100 letters are unknown
                return draw.choice("abz#") * draw.choice([99, 100, 101, 300])
        low, high = draw.choice(SCRIPTS)
        return "".join(chr(draw.randrange(low, high)) for _ in range(draw.randrange(1, 5)))

    return ["".join(piece() for _ in range(draw.randrange(14))) for _ in range(count)]


def marked(texts: list[str], seed: int) -> list[str]:
    """Texts with a mention anywhere, some far from the beginning and with words on both sides."""
    draw = random.Random(seed)
    found = [mark(text, *sorted(draw.randrange(len(text) + 1) for _ in "ab")) for text in texts]
    return found + [mark("w " * many + "iPad" + " v" * many, 2 * many, 2 * many + 4) for many in range(0, 200, 7)]


@cache
def tokenizers(weights, name: str, lower_case: bool) -> tuple[TextEncoder, LightTokenizer]:
    encoder = TextEncoder(weights.vocabulary, name, lower_case)
    return encoder, LightTokenizer(encoder.vocabulary, CLEANINGS[name], lower_case, encoder.max_tokens)


def both(weights, name: str, lower_case: bool, texts: list[str]) -> list[tuple[str, list[int], list[int]]]:
    """The texts whose token ids differ, with both lists of ids."""
    encoder, light = tokenizers(weights, name, lower_case)
    expected = encode(encoder, texts).to_list()
    found = light([well_formed(text) for text in texts])
    return [each for each in zip(map(ascii, texts), expected, found, strict=True) if each[1] != each[2]]


@pytest.mark.timeout(3600 if "LIGHT_TEXTS" in os.environ else 300)
@pytest.mark.parametrize(
    ("name", "lower_case"),
    [("report", True), ("normalized_trimmed", True), ("target", True), ("normalized", False), ("target", False)],
)
def test_the_ids_are_those_of_the_graph(weights, name, lower_case):
    texts = generated(TEXTS, seed=len(name))
    if name == "target":
        texts += marked(texts, seed=1)
    assert both(weights, name, lower_case, texts) == []


def test_mentions_are_masked_by_any_cleaning_with_the_steps_for_it(weights, monkeypatch):
    monkeypatch.setitem(CLEANINGS, "new", replace(TARGET, name="new"))
    texts = [mark("my iPad broke", 3, 7)]
    assert both(weights, "new", True, texts) == []
    assert encode(tokenizers(weights, "new", True)[0], texts).to_list()[0][2] == 103  # [MASK]


@pytest.mark.parametrize("name", ["report", "normalized_trimmed", "target"])  # trimmed: all steps of normalized
def test_the_ids_of_the_real_tweets_are_those_of_the_graph(weights, real_dataset, name):
    texts = real_dataset.labelled[TEXT_COLUMN].tolist() + real_dataset.unlabelled["Tweet"].tolist()
    assert len(texts) > 9_000
    assert both(weights, name, True, marked(texts, seed=2) if name == "target" else texts) == []
