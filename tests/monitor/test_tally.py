"""Counts that add up, and histograms that are as fine as they promise."""

import numpy
import pytest

from tests.monitor.made_up import APP, answered, predictions, random_generator, window_of
from tf_model import tasks
from tf_model.modeling.joint_label import NOT_SURE
from tf_model.monitor import tally
from tf_model.monitor.events import Corrected, Failed
from tf_model.monitor.window import Window


def histogram_of(name, values):
    counts = {}
    for value in values:
        tally.add(counts, name, tally.BINS[name].key(value), value)
    return tally.histogram(counts, name)


@pytest.mark.parametrize("name", sorted(tally.BINS))
def test_a_value_lies_in_its_bin(name):
    bins = tally.BINS[name]
    for value in (0.02, 0.5, 0.98, 0.999, 1, 2, 17, 100):
        if (name.endswith(("confidence", "share")) and value > 1) or (name == tally.BATCH_SIZE and value < 1):
            continue
        low, high = bins.edges(bins.key(value))
        assert low <= value * (1 + 1e-9)
        assert value <= high


@pytest.mark.parametrize(("value", "key"), [(0.0, 0), (0.02, 1), (0.06, 3), (0.58, 29), (0.9999, 49), (1.0, 49)])
def test_a_share_on_an_edge_belongs_to_the_bin_above(value, key):
    assert tally.BINS["product_confidence"].key(value) == key  # 0.06 / 0.02 is a little below 3 in binary


def test_odd_values_have_a_bin_too():
    assert tally.BINS["length"].key(10**9) == 100
    assert tally.BINS["length"].key(0) == 0
    assert tally.BINS[tally.SECONDS].key(0.0) == tally.BINS[tally.SECONDS].key(1e-6)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.95, 0.99])
def test_percentiles_of_times_are_right_within_a_tenth(share):
    times = random_generator().lognormal(-3, 1, 5000)
    assert histogram_of(tally.SECONDS, times).quantile(share) == pytest.approx(numpy.quantile(times, share), rel=0.1)


def test_means_are_exact():
    assert histogram_of(tally.SECONDS, [0.011, 0.5, 3.25]).mean == pytest.approx(3.761 / 3)


def test_an_empty_histogram_has_no_figures():
    empty = tally.histogram({}, tally.SECONDS)
    assert (empty.count, empty.mean, empty.quantile(0.5)) == (0, None, None)


def test_counts_of_two_parts_add_up_to_those_of_the_whole():
    events = [answered(0, ["a", "bb"]), answered(1, ["c" * 40], product="iPhone"), Failed(2, APP, "ModelError", "x")]
    whole, first, second = {}, {}, {}
    for event in events:
        tally.count_event(whole, event)
    tally.count_event(first, events[0])
    for event in events[1:]:
        tally.count_event(second, event)
    tally.merge(first, second)
    assert first.keys() == whole.keys()
    assert {key: pytest.approx(value) for key, value in first.items()} == whole
    assert tally.by_label(whole, "product") == {"iPad": 2, "iPhone": 1}
    assert whole[tally.REQUESTS, tally.OK] == (2, 3)
    assert whole[tally.REQUESTS, tally.ERROR] == (1, 0)


def test_the_time_of_a_call_is_the_sum_of_its_stages():
    counts = {}
    tally.count_event(counts, answered(0, seconds=0.5))
    assert tally.histogram(counts, tally.SECONDS).mean == pytest.approx(0.5)
    assert tally.histogram(counts, "model_seconds").mean == pytest.approx(0.45)
    assert tally.histogram(counts, "rest_seconds").count == 0  # it was not measured


def test_confidence_in_a_product_is_counted_apart_where_an_emotion_is_directed_at_one():
    emotions = [tasks.POSITIVE, tasks.NO_EMOTION, tasks.NEGATIVE]
    counts = window_of(predictions(3, emotion=emotions, sure=[0.9, 0.2, 0.7])).counts
    assert tally.histogram(counts, tally.DIRECTED_CONFIDENCE).mean == pytest.approx(0.8)
    assert tally.histogram(counts, "product_confidence").count == 3
    of_one_task = window_of(predictions(3)[["product", "product_confidence"]]).counts
    assert tally.histogram(of_one_task, tally.DIRECTED_CONFIDENCE).count == 0


def test_a_correction_counts_its_verdict():
    counts = {}
    tally.count_event(counts, Corrected(0, APP, "t", 1, {}, "wrong", None, None))
    assert counts == {(tally.FEEDBACK, "wrong"): (1, 0.0)}


def test_what_is_said_of_not_sure_is_no_verdict_on_an_answer():
    counts = {}
    for verdict, emotion in (("right", None), ("wrong", None), ("wrong", tasks.POSITIVE)):
        tally.count_event(counts, Corrected(0, APP, "t", 1, {"answer": NOT_SURE}, verdict, None, emotion))
    assert counts == {(tally.FEEDBACK, "not_sure"): (3, 0.0)}
    assert Window(0, 60, counts).feedback == (0, 0)
