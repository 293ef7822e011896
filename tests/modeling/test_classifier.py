"""The classifier: its size, how it is compiled, and what it refuses."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from tf_model import device
from tf_model.config import REPORT, TUNED, make_config
from tf_model.errors import ModelError
from tf_model.modeling import backbone
from tf_model.modeling.classifier import build, class_probabilities, compile_model, reseed_dropout

tf = device.import_tensorflow()

CLASSES = 9


@pytest.fixture(scope="module", autouse=True)
def float32():
    """Number format and random numbers as in a run."""
    device.prepare(0, precision="float32")


@pytest.fixture(scope="module")
def model(tiny_bert):
    return build(backbone.find(str(tiny_bert)), [CLASSES])


@pytest.fixture(scope="module")
def two(tiny_bert):
    """A model of two tasks; each test compiles it anew."""
    return build(backbone.find(str(tiny_bert)), [3, 2])


@pytest.fixture
def folder(tiny_bert, tmp_path):
    """A copy of the tiny BERT that a test may damage."""
    return shutil.copytree(tiny_bert, tmp_path / "bert")


def batch(rows=3, length=8):
    ids = np.random.default_rng(0).integers(5, 60, (rows, length)).astype(np.int32)
    mask = np.ones_like(ids)
    mask[0, 5:] = ids[0, 5:] = 0
    return {"input_ids": tf.constant(ids), "attention_mask": tf.constant(mask)}


# ------------------------------------------------------------------------------------------------------------ size


def test_the_packaged_bert_with_nine_classes_has_its_known_size():
    model = build(backbone.find("minilm"), [CLASSES])
    assert type(model).__name__ == "TFBertForSequenceClassification"
    assert model.count_params() == 22_716_681
    assert model.config.num_labels == CLASSES


def test_the_reports_bert_with_nine_classes_has_its_known_size(model):
    with tf.Graph().as_default():  # shapes only: no memory for the weights
        report = type(model)(type(model.config)(num_labels=CLASSES))
        report.build()
        assert report.count_params() == 109_489_161


def test_pretrained_weights_are_read_and_the_classifier_is_new(tiny_bert, model):
    from safetensors.numpy import load_file

    [kept] = [value for name, value in load_file(tiny_bert / "model.safetensors").items() if "word_embed" in name]
    [found] = [weight for weight in model.weights if "word_embeddings" in weight.name]
    np.testing.assert_array_equal(found.numpy(), kept)
    kernel, bias = model.classifier.weights
    assert kernel.shape == (16, CLASSES)
    assert np.unique(kernel.numpy()).size == 16 * CLASSES
    assert not bias.numpy().any()


# --------------------------------------------------------------------------------------------------------- refusal


def change_config(folder, **values):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


@pytest.mark.parametrize(
    "values", [{"hidden_size": 32}, {"num_hidden_layers": 3}, {"vocab_size": 500}, {"intermediate_size": 64}]
)
def test_weights_that_do_not_fit_the_configuration_are_refused(folder, values):
    change_config(folder, **values)
    with pytest.raises(ModelError) as refused:
        build(backbone.find(str(folder)), [CLASSES])
    message = str(refused.value)
    assert f"the weights of {folder} do not fit its config.json" in message
    assert "missing or of another size" in message
    assert "download the folder again or choose another backbone" in message
    assert "\n" not in message


def test_weights_of_something_else_are_refused(folder):
    save_file({"layer.weight": np.zeros((2, 2), np.float32)}, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"the weights of .* do not fit its config\.json: \d+ of its layers' weights"):
        build(backbone.find(str(folder)), [CLASSES])


def test_a_configuration_that_makes_no_bert_is_refused(folder):
    change_config(folder, hidden_size=15)
    with pytest.raises(ModelError, match=r"cannot be loaded as a BERT: .*15") as refused:
        build(backbone.find(str(folder)), [CLASSES])
    assert "\n" not in str(refused.value)


def test_a_classifier_of_another_number_of_classes_is_replaced(folder, tiny_bert):
    build(backbone.find(str(tiny_bert)), [4]).save_pretrained(folder, safe_serialization=True)
    assert build(backbone.find(str(folder)), [CLASSES])(batch()).logits.shape == (3, CLASSES)


# --------------------------------------------------------------------------------------------------------- compile


def compiled(model, recipe, steps=100, **options):
    compile_model(model, recipe, steps, **options)
    return model


def rate(model, step):
    schedule = model.optimizer._learning_rate
    return float(schedule(step)) if callable(schedule) else float(model.optimizer.learning_rate)


def test_it_is_compiled_as_in_the_report(model):
    import tf_keras

    optimizer = compiled(model, REPORT).optimizer
    assert isinstance(optimizer, tf_keras.optimizers.Adam)
    assert float(optimizer.learning_rate) == pytest.approx(1e-5)
    assert not optimizer.use_ema
    assert isinstance(model.loss, tf_keras.losses.SparseCategoricalCrossentropy)
    assert model.loss.get_config()["from_logits"] is True
    logits, labels = tf.constant([[2.0, -1.0, 0.5]]), tf.constant([2])
    expected = np.log(np.exp([2.0, -1.0, 0.5]).sum()) - 0.5
    assert float(model.loss(labels, logits)) == pytest.approx(expected, rel=1e-5)


def test_a_smoothed_label_spreads_a_share_over_all_classes_of_its_task(two):
    loss = compiled(two, make_config("answer", label_smoothing=0.3)).loss
    logits = np.array([[2.0, -1.0, 0.5, 1.0, 0.0], [0.0, 1.0, 0.0, -1.0, 3.0]], np.float32)
    first, second = (part - np.log(np.exp(part).sum(axis=1, keepdims=True)) for part in np.split(logits, [3], axis=1))
    expected = -(first[0] @ [0.1, 0.1, 0.8]) - (second[0] @ [0.85, 0.15] + second[1] @ [0.15, 0.85]) / 2
    assert float(loss(tf.constant([[2, 0], [-1, 1]]), tf.constant(logits))) == pytest.approx(expected, rel=1e-5)


def test_targets_count_where_a_task_has_any(two):
    found = compiled(two, make_config("answer"), soft=True)
    logits = np.random.default_rng(1).normal(size=(3, 5)).astype(np.float32)
    first, second = (part - np.log(np.exp(part).sum(axis=1, keepdims=True)) for part in np.split(logits, [3], axis=1))
    targets = np.array([[0.5, 0.25, 0.25, 0, 0], [0, 1, 0, 0.3, 0.7], [-1] * 5], np.float32)  # the last row is padding
    expected = -(first[0] @ targets[0, :3] + first[1] @ targets[1, :3]) / 2 - second[1] @ targets[1, 3:]
    assert float(found.loss(tf.constant(targets), tf.constant(logits))) == pytest.approx(expected, rel=1e-5)
    found.run_eagerly = True  # tracing takes longer, and is tested where models are trained
    metrics = found.test_on_batch(batch(3), tf.constant(targets), return_dict=True)
    said = np.split(found(batch(3)).logits.numpy(), [3], axis=1)
    correct = [said[0][0].argmax() == 0, said[0][1].argmax() == 1, said[1][1].argmax() == 1]
    assert metrics["accuracy"] == pytest.approx(np.mean(correct))


@pytest.mark.parametrize("soft", [False, True])
def test_r_drop_adds_the_divergence_between_the_two_predictions_of_each_row(two, soft):
    labels = np.array([[2, 0], [-1, 1], [-1, -1]])  # the last row is padding
    if soft:
        labels = np.array([[0.5, 0.25, 0.25, 0, 0], [0, 0, 0, 0.3, 0.7], [-1] * 5], np.float32)
    labels = tf.constant(labels.repeat(2, axis=0))
    logits = np.random.default_rng(1).normal(size=(6, 5)).astype(np.float32)
    logs = [part - np.log(np.exp(part).sum(axis=1, keepdims=True)) for part in np.split(logits, [3], axis=1)]
    both_ways = [
        ((np.exp(task[row]) - np.exp(task[row + 1])) @ (task[row] - task[row + 1])) for row in (0, 2) for task in logs
    ]
    plain, r_drop = (compiled(two, make_config("answer", r_drop=weight), soft=soft).loss for weight in (0.0, 3.0))
    expected = float(plain(labels, tf.constant(logits))) + 3 * sum(both_ways) / 2 / 2
    assert float(r_drop(labels, tf.constant(logits))) == pytest.approx(expected, rel=1e-5)


def test_a_model_of_one_task_smooths_its_labels_too(model):
    found = compiled(model, make_config("tuned", label_smoothing=0.1))
    logits = np.random.default_rng(0).normal(size=(4, CLASSES)).astype(np.float32)
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = -np.mean(0.9 * logs[np.arange(4), [0, 3, 8, 3]] + 0.1 * logs.mean(axis=1))
    assert float(found.loss(tf.constant([0, 3, 8, 3]), tf.constant(logits))) == pytest.approx(expected, rel=1e-5)
    found.run_eagerly = True  # tracing takes longer, and is tested where models are trained
    metrics = found.test_on_batch(batch(4), tf.constant([0, 3, 8, 3]), return_dict=True)
    assert 0 <= metrics["accuracy"] <= 1


@pytest.mark.parametrize("step", [0, 1, 50, 100, 1000])
def test_a_constant_rate_stays(model, step):
    assert rate(compiled(model, REPORT), step) == pytest.approx(1e-5)


@pytest.mark.parametrize(
    ("warmup", "step", "share"),
    [
        *((0.1, 0, 0), (0.1, 5, 0.5), (0.1, 10, 1), (0.1, 11, 89 / 90), (0.1, 55, 0.5), (0.1, 99, 1 / 90)),
        *((0.1, 100, 0), (0.1, 150, 0), (0, 0, 1), (0, 50, 0.5), (0, 100, 0)),
    ],
)
def test_a_linear_rate_warms_up_and_decays_to_nothing(model, warmup, step, share):
    recipe = make_config("tuned", learning_rate=2e-4, warmup=warmup)
    assert rate(compiled(model, recipe), step) == pytest.approx(2e-4 * share, abs=1e-9)


def test_a_run_of_one_step_has_a_rate(model):
    assert rate(compiled(model, TUNED, steps=1), 0) == pytest.approx(TUNED.learning_rate)


def test_nothing_is_compiled_by_xla(model):
    compiled(model, REPORT)
    assert not model._jit_compile
    assert not model.optimizer.jit_compile


# ---------------------------------------------------------------------------------------------------- probabilities


def test_class_probabilities_are_the_softmax_of_the_logits(model):
    found = class_probabilities(model, batch())
    assert (found.dtype, found.shape) == (tf.float32, (3, CLASSES))
    logits = model(batch(), training=False).logits.numpy().astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


# ---------------------------------------------------------------------------------------------------------- dropout


def test_reseeding_repeats_dropout_and_another_seed_does_not(model):
    def logits(seed=None):
        if seed is not None:
            reseed_dropout(model, seed)
        return model(batch(), training=True).logits.numpy()

    first, second = logits(seed=1), logits()
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(logits(seed=1), first)
    np.testing.assert_array_equal(logits(), second)
    assert not np.array_equal(logits(seed=2), first)
    largest = (2**31 - 1) * 1_000_003 + 1000  # from the largest seed of a configuration, in a late epoch
    np.testing.assert_array_equal(logits(seed=largest), logits(seed=largest))


def test_each_dropout_layer_draws_its_own_numbers(model):
    reseed_dropout(model, 0)
    layers = [layer for layer in model.submodules if type(layer).__name__ == "Dropout"]
    states = {tuple(layer._random_generator._generator.state.numpy().tolist()) for layer in layers}
    assert len(layers) == len(states) >= 6
