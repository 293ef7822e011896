"""The order, the labels and the padding of batches."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tf_model.device import import_tensorflow
from tf_model.preprocessing import batching
from tf_model.preprocessing.batching import encode, steps_per_epoch, training_batches
from tf_model.preprocessing.tokenizer import TextEncoder

tf = import_tensorflow()

MAX_TOKENS = 64


def examples(rows, seed=0, longest=60):
    """Token ids of ``rows`` texts of random lengths. The first token identifies the text; 3 times it is the label."""
    lengths = np.random.default_rng(seed).integers(2, longest + 1, rows)
    token_ids = tf.ragged.constant([[1000 + row] + [7] * (n - 1) for row, n in enumerate(lengths)], dtype=tf.int32)
    return token_ids, (1000 + np.arange(rows))[:, np.newaxis] * 3


def batches_of(token_ids, label_ids, *, batch_size=4, seed=0, first_epoch=0, epochs=1):
    found = training_batches(
        token_ids,
        label_ids,
        batch_size=batch_size,
        max_tokens=MAX_TOKENS,
        seed=seed,
        first_epoch=first_epoch,
        epochs=epochs,
    )
    return [({name: value.numpy() for name, value in inputs.items()}, labels.numpy()) for inputs, labels in found]


def order_of(batches):
    """Which texts each batch holds."""
    return [(inputs["input_ids"][:, 0] - 1000).tolist() for inputs, _ in batches]


@settings(max_examples=8, deadline=None)
@given(
    rows=st.integers(1, 300),
    batch_size=st.integers(1, 40),
    seed=st.integers(0, 2**31 - 1),
)
def test_every_example_comes_exactly_once_an_epoch(rows, batch_size, seed):
    token_ids, label_ids = examples(rows)
    batches = batches_of(token_ids, label_ids, batch_size=batch_size, seed=seed, epochs=2)
    steps = steps_per_epoch(rows, batch_size)
    assert len(batches) == 2 * steps
    for epoch in (batches[:steps], batches[steps:]):
        order = order_of(epoch)
        assert sorted(row for batch in order for row in batch) == list(range(rows))
        sizes = Counter(map(len, order))
        assert sizes == Counter([batch_size] * (rows // batch_size) + [rows % batch_size] * (rows % batch_size > 0))


def test_labels_and_tokens_stay_with_their_text():
    token_ids, label_ids = examples(150)
    expected = token_ids.to_list()
    for inputs, labels in batches_of(token_ids, label_ids, batch_size=8):
        assert labels.dtype == np.int32
        assert labels[:, 0].tolist() == (inputs["input_ids"][:, 0] * 3).tolist()
        for ids, mask in zip(inputs["input_ids"], inputs["attention_mask"], strict=True):
            assert ids[mask == 1].tolist() == expected[ids[0] - 1000]
            assert mask.tolist() == sorted(mask, reverse=True)
            assert not ids[mask == 0].any()


def test_the_order_depends_on_the_seed_and_the_number_of_the_epoch_alone():
    token_ids, label_ids = examples(90)
    steps = steps_per_epoch(90, 4)
    whole = order_of(batches_of(token_ids, label_ids, epochs=5))
    for first in (1, 3, 5):
        resumed = batches_of(token_ids, label_ids, first_epoch=first, epochs=5)
        assert order_of(resumed) == whole[first * steps :]
    assert order_of(batches_of(token_ids, label_ids, epochs=2)) == whole[: 2 * steps]
    tf.random.set_seed(99)
    assert order_of(batches_of(token_ids, label_ids, epochs=1)) == whole[:steps]


def test_seeds_and_epochs_differ():
    token_ids, label_ids = examples(90)
    steps = steps_per_epoch(90, 4)
    orders = []
    for seed in (0, 1, 2):
        order = order_of(batches_of(token_ids, label_ids, seed=seed, epochs=3))
        orders += [str(order[i : i + steps]) for i in range(0, 3 * steps, steps)]
    assert len(set(orders)) == 9


def test_a_batch_is_padded_to_its_own_longest_text():
    token_ids, label_ids = examples(333)
    lengths = []
    for inputs, _ in batches_of(token_ids, label_ids, batch_size=16):
        assert inputs["input_ids"].shape == inputs["attention_mask"].shape
        longest = inputs["attention_mask"].sum(axis=1).max()
        assert inputs["input_ids"].shape[1] == -(-longest // 8) * 8
        lengths.append(inputs["input_ids"].shape[1])
    assert len(set(lengths)) >= 5
    assert lengths != sorted(lengths)  # the batches themselves are shuffled


def test_sorting_leaves_far_less_padding():
    token_ids, label_ids = examples(1000)
    lengths = token_ids.row_lengths().numpy()
    real = int(lengths.sum())
    unsorted = sum(lengths[start : start + 32].max() * len(lengths[start : start + 32]) for start in range(0, 1000, 32))
    batches = batches_of(token_ids, label_ids, batch_size=32)
    assert sum(inputs["input_ids"].size for inputs, _ in batches) - real < (unsorted - real) / 4


def test_a_window_is_shorter_than_an_epoch(monkeypatch):
    monkeypatch.setattr(batching, "WINDOW", 2)
    token_ids, label_ids = examples(200)
    batches = batches_of(token_ids, label_ids, batch_size=10)
    # Each window gives a batch of short texts and one of long texts; sorting the whole epoch would give some between.
    shortest = sorted(inputs["attention_mask"].sum(axis=1).min() for inputs, _ in batches)
    assert shortest[9] < 15 < 25 < shortest[10]


def test_copies_of_a_row_stay_together_on_a_device():
    token_ids, label_ids = examples(7)
    batches = training_batches(
        token_ids,
        label_ids,
        batch_size=4,
        max_tokens=MAX_TOKENS,
        seed=0,
        first_epoch=0,
        epochs=1,
        copies=2,
        replicas=2,
        own_shares=range(2),
    )
    shares = [labels.numpy().ravel() for _, labels in batches]
    assert [len(each) for each in shares] == [4] * 4
    found = np.concatenate(shares).reshape(-1, 2)
    np.testing.assert_array_equal(found[:, 0], found[:, 1])
    assert sorted(found[:, 0]) == [-1, *label_ids[:, 0]]  # the smaller batch is padded


# --------------------------------------------------------------------------------------------------- evaluation


@pytest.mark.parametrize(("rows", "batch_size"), [(1, 64), (64, 64), (65, 64), (333, 10), (7, 1)])
def test_scores_come_in_the_order_of_the_texts_from_one_trace_for_all_lengths(rows, batch_size):
    token_ids, _ = examples(rows)
    traces, shapes = [], []

    @batching.traced_once
    def first_and_length(inputs):
        traces.append(inputs["input_ids"].shape.as_list())
        return tf.stack([inputs["input_ids"][:, 0], tf.reduce_sum(inputs["attention_mask"], axis=1)], axis=1)

    def watched(inputs):
        shapes.append(inputs["input_ids"].shape.as_list())
        assert shapes[-1][1] == -(-inputs["attention_mask"].numpy().sum(axis=1).max() // 8) * 8
        return first_and_length(inputs)

    scored = batching.scores(watched, token_ids, batch_size=batch_size, max_tokens=MAX_TOKENS)
    assert scored[:, 0].tolist() == list(range(1000, 1000 + rows))
    assert scored[:, 1].tolist() == token_ids.row_lengths().numpy().tolist()
    assert traces == [[None, None]]
    assert [count for count, _ in shapes[:-1]] == [batch_size] * (len(shapes) - 1)
    assert [length for _, length in shapes] == sorted(length for _, length in shapes)  # similar lengths are together


# ------------------------------------------------------------------------------------------------------- encode


@pytest.fixture(scope="module")
def encoder(tmp_path_factory, vocabulary):
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    path.write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    return TextEncoder(path, "normalized", max_tokens=32)


TEXTS = ["love my iPad 2", "", "RT @bob: hate the new android app!", "é 😀 \x00", "a" * 300, "the " * 100, "ipad"]


@pytest.fixture(scope="module")
def one_by_one(encoder):
    """The ids of each text, encoded alone."""
    traced = tf.function(encoder.token_ids, input_signature=[tf.TensorSpec([1], tf.string)])
    return lambda texts: [traced(tf.constant([text])).to_list()[0] for text in texts]


@pytest.mark.parametrize("rows", [2, batching.ENCODE_ROWS])
def test_encoding_together_is_encoding_one_by_one(monkeypatch, encoder, one_by_one, rows):
    monkeypatch.setattr(batching, "ENCODE_ROWS", rows)
    together = encode(encoder, TEXTS).to_list()
    assert together == one_by_one(TEXTS)
    assert max(map(len, together)) == 32


def test_no_texts_are_encoded_as_no_rows(encoder):
    found = encode(encoder, [])
    assert (found.nrows(), found.dtype, found.to_list()) == (0, tf.int32, [])


def test_lone_surrogates_are_encoded_as_replacement_characters(encoder, one_by_one):
    broken = ["love \ud83d ipad", "\udcff", "\ude00\ud83d"]
    assert encode(encoder, broken).to_list() == one_by_one(["love \ufffd ipad", "\ufffd", "\ufffd\ufffd"])
