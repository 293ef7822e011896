"""Token ids: exact ones for a tiny vocabulary, and Hugging Face's own for the packaged one."""

import pytest

from tf_model import data, paths
from tf_model.device import import_tensorflow
from tf_model.modeling import backbone
from tf_model.preprocessing.batching import encode
from tf_model.preprocessing.cleaning import CLEANINGS, MAX_TOKENS, mark
from tf_model.preprocessing.tokenizer import TextEncoder, pad
from tf_model.tasks import TEXT_COLUMN

tf = import_tensorflow()

PAD, UNK, CLS, SEP, MASK = range(5)
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ipad", "love", "##s", "my", "2", "!", "pad", "[", "]", "sep"]
IPAD, LOVE, S, MY, TWO, MARK = range(5, 11)


@pytest.fixture(scope="module")
def tiny_vocabulary(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    path.write_text("\n".join(TOKENS) + "\n", encoding="utf-8")
    return path


def traced(encoder):
    """``encoder`` as a traced function from a list of texts to lists of model inputs, as it runs when exported."""
    function = tf.function(encoder.__call__, input_signature=[tf.TensorSpec([None], tf.string)])
    return lambda texts: {name: value.numpy().tolist() for name, value in function(tf.constant(texts)).items()}


@pytest.fixture(scope="module")
def inputs(tiny_vocabulary):
    return traced(TextEncoder(tiny_vocabulary, "normalized"))


@pytest.fixture(scope="module")
def ids(inputs):
    """Token ids of each text, without padding."""

    def unpadded(texts):
        found = inputs(texts)
        lengths = map(sum, found["attention_mask"])
        return [row[:length] for row, length in zip(found["input_ids"], lengths, strict=True)]

    return unpadded


def test_ids_of_a_text_stand_between_cls_and_sep(inputs):
    assert inputs(["Loves my iPad 2!"]) == {
        "input_ids": [[CLS, LOVE, S, MY, IPAD, TWO, MARK, SEP]],
        "attention_mask": [[1] * 8],
    }


def test_a_word_outside_the_vocabulary_is_unknown_as_a_whole(ids):
    assert ids(["my lovely ipads", "zebra"]) == [[CLS, MY, UNK, IPAD, S, SEP], [CLS, UNK, SEP]]


def test_the_share_of_unknown_tokens_leaves_the_special_ones_out(tiny_vocabulary):
    encoder = TextEncoder(tiny_vocabulary, "normalized")
    token_ids = encode(encoder, ["my lovely ipads", "zebra", "my ipad", ""])
    assert encoder.unk_rates(pad(token_ids, encoder.max_tokens)).numpy().tolist() == [0.25, 1, 0, 0]


def test_texts_are_cleaned_first(tiny_vocabulary, ids):
    assert ids(["@bob LOVE http://t.co/x &amp;"]) == [[CLS, UNK, UNK, LOVE, UNK, SEP]]  # @user love &
    report = TextEncoder(tiny_vocabulary, "report")
    assert encode(report, ["iPad 2!"]).to_list() == [[CLS, IPAD, SEP]]


def test_a_cased_vocabulary_keeps_capitals(tiny_vocabulary):
    cased = TextEncoder(tiny_vocabulary, "normalized", lower_case=False)
    assert encode(cased, ["love Love"]).to_list() == [[CLS, LOVE, UNK, SEP]]


@pytest.mark.parametrize("text", ["", "   ", "http://t.co/x", "\ufffd\ufffd"])
def test_a_text_with_nothing_in_it_is_cls_and_sep(inputs, text):
    assert inputs([text]) == {
        "input_ids": [[CLS, SEP] + [PAD] * 6],
        "attention_mask": [[1, 1] + [0] * 6],
    }


@pytest.mark.parametrize("special", ["[PAD]", "[CLS]", "[SEP]", "[MASK]"])
def test_a_text_cannot_name_special_tokens(ids, special):
    [found] = ids([f"my {special} ipad {special}"])
    assert not {PAD, CLS, SEP, MASK} & set(found[1:-1])


@pytest.fixture(scope="module")
def of_mentions(tiny_vocabulary):
    """An encoder of mentions."""
    return TextEncoder(tiny_vocabulary, "target")


@pytest.mark.parametrize("special", ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[M\u00c1SK]", "[SE\u0301P]"])
def test_a_mention_is_the_only_special_token_of_its_text(of_mentions, special):
    text = f"my {special} ipad {special}"
    [found] = encode(of_mentions, [mark(text, 0, 2)]).to_list()
    assert found[:2] == [CLS, MASK]
    assert not {PAD, CLS, SEP, MASK} & set(found[2:-1])


@pytest.mark.parametrize(("before", "after"), [(0, 300), (62, 300), (140, 20), (300, 0), (300, 300), (5, 5)])
def test_a_mention_is_read_wherever_it_stands_with_as_much_around_it_as_fits(of_mentions, before, after):
    text = mark(f"{'!' * before} Xbox {'2 ' * after}", before + 1, before + 5)
    [found] = encode(of_mentions, [text]).to_list()
    fits = found[1:-1]
    assert len(fits) == min(before + 1 + after, 126)
    assert fits.count(MASK) == 1
    assert set(fits[: fits.index(MASK)]) <= {MARK}
    assert set(fits[fits.index(MASK) + 1 :]) <= {TWO}
    assert min(fits.index(MASK), before) >= min(before, 63)


@pytest.mark.parametrize("max_tokens", [3, 10])
def test_a_long_text_is_cut_and_keeps_its_sep(tiny_vocabulary, max_tokens):
    inputs = traced(TextEncoder(tiny_vocabulary, "normalized", max_tokens=max_tokens))
    found = inputs(["love " * 300, "my", "love " * (max_tokens - 2), "love " * (max_tokens - 1)])
    full = [CLS] + [LOVE] * (max_tokens - 2) + [SEP]
    assert found["input_ids"] == [full, [CLS, MY, SEP] + [PAD] * (max_tokens - 3), full, full]
    assert [sum(mask) for mask in found["attention_mask"]] == [max_tokens, 3, max_tokens, max_tokens]


def test_no_more_than_128_tokens_are_kept_by_default(ids):
    assert ids(["love " * 300]) == [[CLS] + [LOVE] * 126 + [SEP]]


@pytest.mark.parametrize(("words", "length"), [(0, 8), (1, 8), (6, 8), (7, 16), (14, 16), (15, 24), (125, 128)])
def test_a_batch_is_padded_to_its_longest_text_in_steps_of_eight(inputs, words, length):
    found = inputs(["love " * words, ""])
    tokens = words + 2
    assert found["input_ids"][0] == [CLS] + [LOVE] * words + [SEP] + [PAD] * (length - tokens)
    assert found["attention_mask"] == [[1] * tokens + [0] * (length - tokens), [1, 1] + [0] * (length - 2)]


# ------------------------------------------------------------------------------- the same ids as Hugging Face's


def test_an_mpnet_gets_the_ids_of_hugging_face(tiny_mpnet):
    from transformers import MPNetTokenizerFast

    texts = [*data.read(paths.SAMPLE_CORPUS).labelled[TEXT_COLUMN], "", "love " * 300, "caf\u00e9 \U0001f600 #iPad2"]
    encoder = TextEncoder(tiny_mpnet / "vocab.txt", "normalized")
    cleaned = [text.decode() for text in CLEANINGS["normalized"](tf.constant(texts)).numpy()]
    theirs = MPNetTokenizerFast(vocab_file=str(tiny_mpnet / "vocab.txt"))
    assert encode(encoder, texts).to_list() == theirs(cleaned, truncation=True, max_length=MAX_TOKENS)["input_ids"]
    marked = encode(TextEncoder(tiny_mpnet / "vocab.txt", "target"), [mark("love my iPad", 8, 12)])
    assert marked.to_list()[0][-2:] == [theirs.mask_token_id, theirs.sep_token_id]


@pytest.mark.parametrize("name", ["normalized", "target"])  # the tokenizer differs only for marked mentions
def test_the_sample_corpus_gets_the_ids_of_hugging_face(name):
    from transformers import BertTokenizerFast

    file = backbone.find("minilm").vocabulary
    texts = data.read(paths.SAMPLE_CORPUS).labelled[TEXT_COLUMN].tolist()
    assert len(texts) > 400
    texts += ["", " ", "love " * 300, "x" * 150, "unaffable!!! :-) 3G/4G #iPad2", "don\ufffd\u06eat café 😀 日本"]
    cleaned = [text.decode() for text in CLEANINGS[name](tf.constant(texts)).numpy()]
    theirs = BertTokenizerFast(vocab_file=str(file), do_lower_case=True)
    found = encode(TextEncoder(file, name), texts).to_list()
    assert found == theirs(cleaned, truncation=True, max_length=MAX_TOKENS)["input_ids"]
