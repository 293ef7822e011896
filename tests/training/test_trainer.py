"""Fitting: what is learned, what is repeatable, and what survives an interruption."""

import gc
import resource
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_folders import eagerly

from tf_model.config import TrainingConfig
from tf_model.device import import_tensorflow, prepare
from tf_model.errors import ModelError, OutputError, UsageError
from tf_model.modeling import backbone
from tf_model.preprocessing.cleaning import MENTION_START, mark, unmark
from tf_model.training.checkpoint import Checkpoint
from tf_model.training.trainer import Examples, Fitted, fit, join_texts, text_encoder

pytestmark = pytest.mark.timeout(300)  # the default, given so that this slow file begins early

CONSTANT = TrainingConfig(epochs=4, batch_size=8, learning_rate=5e-3, seed=7)
LINEAR = replace(CONSTANT, schedule="linear", warmup=0.3)
ADAPTED = replace(LINEAR, lora_rank=3, learning_rate=5e-2)
PRODUCTS = ("ipad", "iphone", "android", "google")
# The texts have several lengths, so that sorting by length changes their order.
TEXTS = [
    f"{word} {name}{' is great' * (number % 3)}" for number, (word, name) in enumerate(product("abcdefg", PRODUCTS))
]
LABEL_IDS = np.array([[PRODUCTS.index(text.split()[1])] for text in TEXTS])
TRAINING, VALIDATION = (TEXTS[:21], LABEL_IDS[:21]), (TEXTS[21:], LABEL_IDS[21:])
EASY = [f"{word} {name}" for name in PRODUCTS for word in ("love", "hate")], np.repeat(np.arange(4), 2)[:, None]
COLUMNS = ["epoch", "seconds", "loss", "accuracy", "val_loss", "val_accuracy"]


@pytest.fixture(scope="module")
def tiny(shallow_bert: Path) -> backbone.Backbone:
    return backbone.find(str(shallow_bert))


@pytest.fixture(scope="module")
def whole(tiny) -> dict[str, Fitted]:
    """Uninterrupted runs with a schedule; one trains adapters."""
    return {"linear": train(LINEAR, tiny), "lora": train(ADAPTED, tiny)}


@pytest.fixture(scope="module")
def by_heart(steady_bert) -> Fitted:
    """A model that learned eight sentences in mixed_bfloat16, without dropout so that nothing hinders learning."""
    # With mean pooling, every seed learns them within 6 epochs; with [CLS] alone, few seeds do within 60.
    recipe = TrainingConfig(epochs=60, batch_size=8, learning_rate=5e-3, seed=2, pooling="mean")
    return train(recipe, backbone.find(str(steady_bert)), EASY, None, precision="mixed_bfloat16")


def train(
    recipe: TrainingConfig,
    tiny: backbone.Backbone,
    training: tuple[list[str], np.ndarray] = TRAINING,
    validation: tuple[list[str], np.ndarray] | None = VALIDATION,
    precision: str = "float32",
    **options: Any,
) -> Fitted:
    runtime = prepare(recipe.seed, precision=precision)
    encoder = text_encoder(recipe, tiny)
    from tf_model.preprocessing.batching import encode

    parts = [Examples(encode(encoder, texts), ids) for texts, ids in filter(None, (training, validation))]
    return fit(recipe, tiny, [len(PRODUCTS)], encoder, *parts, runtime=runtime, **options)


def test_another_model_of_another_seed_is_traced_once_and_freed_when_nobody_holds_it(tiny, whole, monkeypatch):
    """Cross-validation trains many short models in turn: tracing takes most of the time, weights most of the memory."""
    import tf_keras
    from transformers import TFBertForSequenceClassification

    traced, train_step = [], TFBertForSequenceClassification.train_step

    def counted(model: Any, batch: Any) -> Any:
        traced.append(batch)
        return train_step(model, batch)

    monkeypatch.setattr(TFBertForSequenceClassification, "train_step", counted)
    fitted = train(replace(LINEAR, seed=8), tiny)
    assert len(traced) == 1
    correct = fitted.history[0]["accuracy"] * len(TRAINING[0])
    assert correct == pytest.approx(round(correct), abs=1e-4), "the example that made the metrics does not count"
    assert fitted.history[0]["loss"] != whole["linear"].history[0]["loss"]
    model = weakref.ref(fitted.model)
    assert model() is not None
    del fitted
    traced.clear()
    tf_keras.backend.clear_session()
    gc.collect()
    assert model() is None


def score(fitted: Fitted, texts: list[str] = TEXTS) -> np.ndarray:
    from tf_model.preprocessing.batching import encode

    return fitted.probabilities(encode(fitted.encoder, texts))


def figures(fitted: Fitted) -> list[dict[str, float]]:
    """The history without the seconds."""
    return [{name: value for name, value in row.items() if name != "seconds"} for row in fitted.history]


def raise_at(epoch: int, batch: int, error: BaseException):
    """A callback that raises ``error`` after a batch, both counted from 1."""
    import tf_keras

    class Raise(tf_keras.callbacks.Callback):
        def on_epoch_begin(self, number, logs=None):
            self.epoch = number + 1

        def on_train_batch_end(self, number, logs=None):
            if (self.epoch, number + 1) == (epoch, batch):
                raise error

    return Raise()


@contextmanager
def no_room(size: int) -> Iterator[None]:
    """Let no file grow beyond ``size`` bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def assert_same(resumed: Fitted, uninterrupted: Fitted) -> None:
    assert figures(resumed) == figures(uninterrupted)
    np.testing.assert_array_equal(score(resumed), score(uninterrupted))


# ------------------------------------------------------------------------------------------------ what is learned


def test_learns_eight_easy_sentences_by_heart(by_heart):
    assert score(by_heart, EASY[0]).argmax(axis=1).tolist() == EASY[1][:, 0].tolist()
    assert max(row["accuracy"] for row in by_heart.history) == 1.0
    assert by_heart.history[-1]["loss"] < by_heart.history[0]["loss"] / 2
    assert [[*row] for row in by_heart.history] == [COLUMNS[:4]] * 60, "none of a validation part"


@pytest.mark.parametrize("name", ["linear", "lora"])
def test_validation_figures_are_those_of_the_model_after_the_epoch(name, whole):
    fitted = whole[name]
    scores = score(fitted, VALIDATION[0])
    last = fitted.history[-1]
    assert last["val_accuracy"] == (scores.argmax(axis=1) == VALIDATION[1][:, 0]).mean()
    loss = -np.log(scores[np.arange(len(VALIDATION[0])), VALIDATION[1][:, 0]]).mean()
    assert last["val_loss"] == pytest.approx(loss, abs=1e-5)


def test_texts_longer_than_the_backbone_can_read_fail_before_the_first_epoch(tiny):
    never = raise_at(epoch=1, batch=1, error=AssertionError("trained"))
    with pytest.raises(UsageError, match="reads at most 128 tokens"):
        train(replace(CONSTANT, max_tokens=129), tiny, callbacks=[never])


# ------------------------------------------------------------------------------------------- what is repeatable


def test_too_little_memory_for_a_batch_is_one_line(tiny, tmp_path):
    import tensorflow as tf
    import tf_keras

    class Full(tf_keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    said = f"not enough memory for batches of {LINEAR.batch_size} texts of up to {LINEAR.max_tokens} tokens; free some"
    for checkpoint, advice in (
        (None, ", or lower --batch-size or --max-tokens"),
        (
            Checkpoint(tmp_path / "run", {}),
            " and add --resume, or lower --batch-size or --max-tokens and add --restart",
        ),
    ):
        with pytest.raises(ModelError) as error:
            train(LINEAR, tiny, checkpoint=checkpoint, callbacks=[Full()])
        assert str(error.value) == said + advice


def test_a_run_that_a_full_disk_stopped_ends_as_if_it_had_not_been(tiny, whole, tmp_path, monkeypatch):
    save = Checkpoint.save

    def save_with_little_room(self, history):
        if len(history) < 3:
            save(self, history)
        else:
            with no_room(4096):
                save(self, history)

    folder = tmp_path / "run"
    monkeypatch.setattr(Checkpoint, "save", save_with_little_room)
    with pytest.raises(OutputError) as raised:
        train(ADAPTED, tiny, checkpoint=Checkpoint(folder, ADAPTED.to_dict()))
    monkeypatch.undo()
    message = str(raised.value)
    assert message.startswith(f"cannot write the checkpoint in {folder}: ")
    assert "the epochs before it are kept: free some space, then add --resume" in message
    assert "\n" not in message
    assert raised.value.exit_code == 1
    checkpoint = Checkpoint(folder, ADAPTED.to_dict())
    assert checkpoint.epochs_done() == 2
    checkpoint.open(resume=True, restart=False)
    again = [raise_at(epoch, 1, AssertionError("trained again")) for epoch in (1, 2)]
    resumed = train(ADAPTED, tiny, checkpoint=checkpoint, callbacks=again)
    assert_same(resumed, whole["lora"])
    for ours, theirs in zip(resumed.model.get_weights(), whole["lora"].model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # The process may end after the last epoch but before the export: then no epoch is trained again.
    never = raise_at(epoch=4, batch=1, error=AssertionError("trained again"))
    assert_same(train(ADAPTED, tiny, checkpoint=checkpoint, callbacks=[never]), whole["lora"])
    checkpoint.remove()
    assert not folder.exists()


def test_a_checkpoint_that_cannot_be_written_says_why(tmp_path):
    checkpoint = Checkpoint(tmp_path / "file" / "run", {})
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="a part of this path is a file, not a folder; choose another path"):
        checkpoint.save([])


def test_an_unfinished_run_is_gone_on_with_or_forgotten_only_where_asked(tmp_path, capsys):
    import_tensorflow()
    folder = tmp_path / "run"
    before = {"task": "product", "data": "aaa", **CONSTANT.to_dict()}
    Checkpoint(folder, {"other": "settings"}).make_folder()  # it holds no fold or epoch yet
    checkpoint = Checkpoint(folder, before)
    assert (checkpoint.epochs_done(), checkpoint.progress()) == (0, "")
    checkpoint.open(resume=False, restart=False)
    checkpoint.make_folder()
    (folder / "calibration").mkdir()
    (folder / "calibration" / "fold.npz").touch()
    with pytest.raises(UsageError, match=r"unfinished run \(1 fold of the calibration\); add --resume .* or --restart"):
        checkpoint.open(resume=False, restart=False)
    checkpoint.open(resume=True, restart=False)
    assert "resuming after 1 fold of the calibration" in capsys.readouterr().err
    after = before | {"data": "bbb", "learning_rate": 1e-4, "epochs": 9}
    with pytest.raises(UsageError) as raised:
        Checkpoint(folder, after).open(resume=True, restart=False)
    assert "had other settings (data was another, epochs was 4, learning_rate was 0.005); resume" in str(raised.value)
    with pytest.raises(UsageError, match=r"\(layers was None\)"):
        Checkpoint(folder, {**before, "layers": 6}).open(resume=True, restart=False)
    Checkpoint(folder, after).open(resume=True, restart=True)
    assert not folder.exists()


# --------------------------------------------------------------------------------------------- more to learn from


def test_joined_texts_keep_the_mention_of_one_and_its_label():
    texts = [mark(f"tweet {number} of it", 0, 5) for number in range(100)]
    label_ids = np.repeat([0, 1], [4, 96])
    joined, asked = join_texts(texts, label_ids, 500, seed=1)
    assert len(joined) == len(asked) == 1000
    for number, (text, whose) in enumerate(zip(joined, asked, strict=True)):
        other = asked[number + 1 if number % 2 == 0 else number - 1]
        assert text.count(MENTION_START) == 1
        assert texts[whose] in text
        assert unmark(texts[other]) in text
    assert 0.4 < (label_ids[asked] == 0).mean() < 0.6
    assert join_texts(texts, label_ids, 500, seed=1)[0] == joined != join_texts(texts, label_ids, 500, seed=2)[0]


def test_r_drop_learns_from_as_many_steps_what_differs(tiny, whole):
    fitted, without_divergence = (
        train(replace(LINEAR, epochs=1, r_drop=weight), tiny, prepare=eagerly) for weight in (1000.0, 1e-9)
    )
    assert [[*row] for row in fitted.history] == [COLUMNS]
    assert fitted.model.optimizer.iterations * LINEAR.epochs == whole["linear"].model.optimizer.iterations
    assert not np.allclose(score(fitted), score(without_divergence), atol=1e-3)


def test_pairs_are_a_part_of_every_epoch(tiny):
    recipe = replace(CONSTANT, epochs=1, joined_pairs=0.5, opinion_pairs=0.2)
    texts = [mark(text, 0, 1) for text in TRAINING[0]]
    encoder = text_encoder(recipe, tiny)
    from tf_model.preprocessing.batching import encode

    training = Examples(encode(encoder, texts), TRAINING[1], texts)
    runtime = prepare(7, precision="float32")
    fitted = fit(recipe, tiny, [len(PRODUCTS)], encoder, training, runtime=runtime, prepare=eagerly)
    assert int(fitted.model.optimizer.iterations) == -(-(21 + 2 * 10 + 2 * 4) // 8)
