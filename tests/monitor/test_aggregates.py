"""Counts that add up, and histograms that are as fine as they promise."""

from collections import Counter

import numpy
import pytest

from tests.monitor.made_up import answered, predictions, window_of
from tf_model import tasks
from tf_model.monitor import aggregates
from tf_model.monitor.aggregates import Window


def histogram_of(name, values):
    window = Window(0, 60)
    for value in values:
        aggregates.merge(window.counts, {(name, aggregates.bin_of(name, value)): (1, value)})
    return window.histogram(name)


@pytest.mark.parametrize("name", sorted(aggregates.BINS))
def test_a_value_lies_in_its_bin(name):
    edges = aggregates.BINS[name]
    for value in (0.02, 0.5, 0.98, 0.999, 1, 2, 17, 100, 20_000):
        if name.endswith(("confidence", "rate")) and value > 1:
            continue
        key = aggregates.bin_of(name, value)
        assert edges[key] <= value
        assert value < edges[key + 1] or value == edges[-1]


@pytest.mark.parametrize(("value", "key"), [(0.0, 0), (0.02, 1), (0.06, 3), (0.58, 29), (0.9999, 49), (1.0, 49)])
def test_a_share_on_an_edge_belongs_to_the_bin_above(value, key):
    assert aggregates.bin_of("product_confidence", value) == key  # 0.06 / 0.02 is a little below 3 in binary


def test_odd_values_have_a_bin_too():
    assert aggregates.bin_of("length", 10**9) == 100
    assert aggregates.bin_of("length", 0) == 0
    assert aggregates.bin_of(aggregates.SECONDS, 0.0) == aggregates.bin_of(aggregates.SECONDS, 1e-6) == 0
    assert aggregates.bin_of(aggregates.SECONDS, 1e9) == aggregates.bin_of(aggregates.SECONDS, 130_000)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.95, 0.99])
def test_percentiles_of_times_are_right_within_a_tenth(share):
    times = numpy.random.default_rng(0).lognormal(-3, 1, 5000)
    seen = histogram_of(aggregates.SECONDS, times).quantile(share)
    assert seen == pytest.approx(numpy.quantile(times, share), rel=0.1)


def test_an_empty_histogram_has_no_figures():
    empty = Window(0, 60).histogram(aggregates.SECONDS)
    assert (empty.count, empty.mean, empty.quantile(0.5)) == (0, None, None)


def test_counts_of_two_parts_add_up_to_those_of_the_whole():
    counts = [aggregates.call_counts(each) for each in (answered(0, ["a", "bb"]), answered(1, ["c" * 40]))]
    counts.append({(aggregates.ERRORS, "ModelError"): (1, 0.0)})
    whole = aggregates.join([Window(number, number + 1, each) for number, each in enumerate(counts)])
    assert (whole.since, whole.until) == (0, 3)
    assert whole.counts[aggregates.REQUESTS, aggregates.OK] == (2, 3)
    assert (whole.requests, whole.failures, whole.predictions) == (3, 1, 3)
    assert whole.labels(aggregates.ERRORS) == {"ModelError": 1}


def test_the_time_of_a_call_is_the_sum_of_its_stages():
    window = Window(0, 60, aggregates.call_counts(answered(0, seconds=0.5)))
    assert window.histogram(aggregates.SECONDS).mean == pytest.approx(0.5)
    assert window.histogram(aggregates.STAGE_SECONDS["model"]).mean == pytest.approx(0.45)
    assert window.histogram(aggregates.STAGE_SECONDS["rest"]).count == 0  # it was not measured


def test_each_value_of_a_prediction_is_counted_in_its_bin():
    values = numpy.linspace(0, 1, 101).tolist()
    window = window_of(predictions(101, sure=values), ["x" * number * 11 for number in range(101)])
    counted = dict.fromkeys(
        ("product_confidence", "emotion_confidence", "answer_confidence"), numpy.float32(values).tolist()
    )
    for name, expected in (counted | {"length": [number * 11 for number in range(101)]}).items():
        found = {key: count for key, (count, _) in window.histogram(name).sums.items()}
        assert found == Counter(aggregates.bin_of(name, each) for each in expected), name
    assert window.histogram("unk_rate").count == 0


def test_confidence_in_a_product_is_counted_apart_where_an_emotion_is_directed_at_one():
    emotions = [tasks.POSITIVE, tasks.NO_EMOTION, tasks.NEGATIVE]
    window = window_of(predictions(3, emotion=emotions, sure=[0.9, 0.2, 0.7]))
    assert window.histogram(aggregates.DIRECTED_CONFIDENCE).mean == pytest.approx(0.8)
    assert window.histogram("product_confidence").count == 3
    of_one_task = window_of(predictions(3)[["product", "product_confidence"]])
    assert of_one_task.histogram(aggregates.DIRECTED_CONFIDENCE).count == 0
