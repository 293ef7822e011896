"""Low-rank adapters: what they add, what is trained with them, and what is left after merging."""

import numpy as np
import pytest

from tf_model import device
from tf_model.config import make_config
from tf_model.errors import UsageError
from tf_model.modeling import backbone
from tf_model.modeling.classifier import build, compile_model

tf = device.import_tensorflow()

from tf_model.modeling import lora  # noqa: E402  it needs TensorFlow set up

IDS = tf.constant([[2, 5, 6, 7, 3], [2, 9, 8, 3, 0]])
INPUTS = {"input_ids": IDS, "attention_mask": tf.constant([[1] * 5, [1] * 4 + [0]])}


@pytest.fixture(params=["tiny_bert", "tiny_mpnet"])
def model(request):
    device.prepare(1, precision="float32")
    return build(backbone.find(str(request.getfixturevalue(request.param))), [4], "cls")


def logits(model):
    return model(INPUTS, training=False).logits.numpy()


def kept(model):
    return {variable.name.split("/", 1)[1]: variable.numpy() for variable in model.variables}


def is_adapted(name):
    return name.endswith("/kernel:0") and name.split("/")[-2] in {"query", "value", "q", "v"}


def test_new_adapters_change_nothing(model):
    before = logits(model)
    with pytest.raises(UsageError, match=r"^--lora-rank 17 is above the width of the backbone, 16; give a smaller .*$"):
        lora.attach(model, 17)
    lora.attach(model, 16)
    np.testing.assert_array_equal(logits(model), before)


def test_a_merged_model_answers_as_its_adapters_did_and_the_rest_of_the_encoder_is_as_it_was(model):
    names, before = [variable.name for variable in model.trainable_variables], kept(model)
    lora.attach(model, 4)
    compile_model(model, make_config("report", learning_rate=3e-2), steps=5)
    model.run_eagerly = True  # tracing would take longer than five steps
    for _ in range(5):
        model.train_on_batch(INPUTS, tf.constant([[0], [3]]))
    expected = logits(model)
    lora.merge(model)
    np.testing.assert_allclose(logits(model), expected, atol=1e-5)
    after = kept(model)
    assert list(after) == list(before)  # set_weights needs this order
    assert [variable.name for variable in model.trainable_variables] == names
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert {name for name in changed if "pooler" not in name and "classifier" not in name} == set(
        filter(is_adapted, before)
    )
    assert len(list(filter(is_adapted, changed))) == 4  # in two layers
    assert any("classifier" in name for name in changed)
