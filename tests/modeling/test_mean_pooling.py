"""The mean-pooling classifier: which tokens count, and what it returns besides the logits."""

from __future__ import annotations

import numpy as np
import pytest

from tf_model.modeling import backbone
from tf_model.modeling.classifier import build

CLASSES = 4
IDS = [[2, 5, 6, 7, 3, 0, 0]]  # two of them padding
MASK = [[1, 1, 1, 1, 1, 0, 0]]


@pytest.fixture(scope="module", params=["tiny_bert", "tiny_mpnet"])
def model(request):
    return build(backbone.find(str(request.getfixturevalue(request.param))), [CLASSES], "mean")


def encoder(model):
    return getattr(model, model.base_model_prefix)


@pytest.fixture(scope="module")
def tokens(model):
    """The last layer's outputs, float32 [1, L, hidden]."""
    import tensorflow as tf

    return encoder(model)(input_ids=tf.constant(IDS), attention_mask=tf.constant(MASK)).last_hidden_state.numpy()


def test_the_logits_are_of_the_mean_of_the_tokens_that_count(model, tokens):
    import tensorflow as tf

    mean = tokens[:, :5].mean(axis=1)
    expected = model.classifier(tf.constant(mean)).numpy()
    found = model({"input_ids": tf.constant(IDS), "attention_mask": tf.constant(MASK)}).logits.numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    other = model.classifier(tf.constant(tokens.mean(axis=1))).numpy()
    assert np.abs(other - expected).max() > 1e-4  # padding would have made a difference


def test_without_a_mask_every_token_counts(model):
    import tensorflow as tf

    ids = tf.constant([row[:5] for row in IDS])
    masked = model({"input_ids": ids, "attention_mask": tf.ones_like(ids)}).logits.numpy()
    np.testing.assert_allclose(model({"input_ids": ids}).logits.numpy(), masked, atol=1e-6)


def test_there_is_no_pooling_layer(model):
    assert not any("pooler" in variable.name for variable in model.variables)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
@pytest.mark.parametrize("name", ["tiny_bert", "tiny_mpnet"])
def test_it_is_exported_in_float32(name, pooling, request):
    import tensorflow as tf
    import tf_keras

    from tf_model.training.trainer import Fitted

    tf_keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        mixed = Fitted(build(backbone.find(str(request.getfixturevalue(name))), [CLASSES], pooling), None)
        exact = mixed.in_float32()
        assert tf_keras.mixed_precision.global_policy().name == "mixed_bfloat16", "that of the next training"
    finally:
        tf_keras.mixed_precision.set_global_policy("float32")
    inputs = {"input_ids": tf.constant(IDS), "attention_mask": tf.constant(MASK)}
    assert encoder(mixed.model)(inputs).last_hidden_state.dtype == tf.bfloat16
    assert mixed.model(inputs).logits.dtype == tf.float32
    assert encoder(exact.model)(inputs).last_hidden_state.dtype == tf.float32
    assert {weight.dtype for each in (mixed, exact) for weight in each.model.weights} == {tf.float32}
    assert (exact.in_float32(), exact.history) == (exact, mixed.history)
    assert len(exact.model.get_weights()) > 20
    for ours, theirs in zip(exact.model.get_weights(), mixed.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_allclose(exact.model(inputs).logits, mixed.model(inputs).logits, atol=0.03)
