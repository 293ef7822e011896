"""Accuracy estimated without labels follows only what the model can notice; from corrections, it has an interval."""

import numpy
import pandas
import pytest

from tests.monitor.made_up import NOON, corrected, predictions, store_with, window_of
from tf_model import tasks
from tf_model.evaluation.metrics import wilson_interval
from tf_model.monitor import accuracy
from tf_model.monitor.aggregates import Window

LABELS = tasks.PRODUCTS[:3]
# How easy each class is: the share of its texts that state it plainly.
PLAIN = numpy.array([0.95, 0.8, 0.35])
ORDINARY = (0.6, 0.3, 0.1)


class World:
    """Texts whose true probabilities a model knows: its confidence is calibrated by construction.

    Each text belongs to a class. If the text is plain, the model is nearly sure; if not, the model sees little more
    than the class mix. A broken text is never plain.
    """

    def __init__(self, seed=0):
        self.random = numpy.random.default_rng(seed)

    def draw(self, rows, mix=ORDINARY, broken=0.0):
        """Calibrated probabilities [rows, 3] for this mix, and the classes drawn from them."""
        plain = self.random.random(rows) < PLAIN[self.random.choice(3, rows, p=mix)] * (1 - broken)
        strength = numpy.where(plain, self.random.gamma(12, 0.5, rows), self.random.gamma(1, 0.4, rows))
        guess = self.random.choice(3, rows, p=mix)
        scores = numpy.log(numpy.array(mix))[None] * 0.3 + self.random.normal(0, 0.2, (rows, 3))
        scores[numpy.arange(rows), guess] += strength
        probabilities = numpy.exp(scores) / numpy.exp(scores).sum(axis=1, keepdims=True)
        truth = (probabilities.cumsum(axis=1) > self.random.random((rows, 1))).argmax(axis=1)
        return probabilities, truth

    def window(self, rows=1000, **options):
        """A window of predictions, and the share of them that is correct."""
        probabilities, truth = self.draw(rows, **options)
        return window_of(frame_of(probabilities)), float((probabilities.argmax(axis=1) == truth).mean())


def frame_of(probabilities):
    return pandas.DataFrame(
        {
            "product": pandas.Series([LABELS[each] for each in probabilities.argmax(axis=1)], dtype="str"),
            "product_confidence": probabilities.max(axis=1).astype("float32"),
        }
    )


def estimate(window):
    return accuracy.from_confidence(window, "product")


# ---------------------------------------------------------------- without labels


def test_the_estimate_is_the_accuracy_where_all_is_as_it_was():
    world, inside = World(), 0
    for _ in range(100):
        window, true = world.window(500)
        found = estimate(window)
        inside += found.low <= true <= found.high
    assert inside >= 88  # of 100; 95 are expected


@pytest.mark.parametrize(
    "change", [{"mix": (0.1, 0.2, 0.7)}, {"broken": 0.6}, {"mix": (0.2, 0.3, 0.5), "broken": 0.3}], ids=str
)
def test_the_estimate_follows_a_real_drop(change):
    world = World(1)
    before, true_before = world.window(4000)
    after, true_after = world.window(4000, **change)
    assert true_after < true_before - 0.05  # a real drop
    drop = estimate(before).accuracy - estimate(after).accuracy
    assert drop == pytest.approx(true_before - true_after, abs=0.03)
    assert estimate(after).high < estimate(before).low


def test_a_handful_of_predictions_makes_no_estimate():
    window, _ = World().window(accuracy.MINIMUM - 1)
    found = estimate(window)
    assert (found.rows, found.accuracy, found.low) == (accuracy.MINIMUM - 1, None, None)
    assert accuracy.from_confidence(window, "emotion").rows == 0


def test_the_product_is_estimated_from_texts_that_have_one():
    emotions = [tasks.POSITIVE] * 40 + [tasks.NO_EMOTION] * 60
    window = window_of(predictions(100, emotion=emotions, sure=[0.9] * 40 + [0.3] * 60))
    found = estimate(window)
    assert (found.rows, found.accuracy) == (40, pytest.approx(0.9))


def test_certain_predictions_have_an_interval_within_0_and_1():
    found = estimate(window_of(frame_of(numpy.tile([1.0, 0.0, 0.0], (50, 1)))))
    assert (found.accuracy, found.low, found.high) == pytest.approx((1, 1, 1))


# ---------------------------------------------------------------- from corrections


def judged(path, correct, wrong, when=NOON):
    return store_with(path, [corrected(number < correct, when) for number in range(correct + wrong)])


def test_corrections_give_a_share_with_wilsons_interval(tmp_path):
    window = judged(tmp_path / "log", 70, 30).window(NOON, NOON + 60)
    found = accuracy.from_corrections(window)
    assert (found.rows, found.correct, found.accuracy) == (100, 70, 0.7)
    assert (found.low, found.high) == wilson_interval(70, 100)


def test_few_corrections_give_a_count_and_no_share(tmp_path):
    store = judged(tmp_path / "log", 2, 1)
    found = accuracy.from_corrections(store.window(NOON, NOON + 60))
    assert (found.rows, found.correct, found.accuracy, found.low) == (3, 2, None, None)
    assert accuracy.from_corrections(store.window(NOON, NOON + 60), minimum=3).accuracy == pytest.approx(2 / 3)
    assert accuracy.from_corrections(Window(0, 60), minimum=1).accuracy is None
