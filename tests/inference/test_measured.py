"""Measured predictions: each stage, the unknown tokens, and the number of calls under way."""

import time
from dataclasses import replace

import numpy
import pytest
from stub_model import stub

from tf_model.errors import ModelError
from tf_model.inference.predictor import in_flight

TEXTS = ["my ipad", "", "a longer text without it", "my ipad", None]


def telling(pause=0.0):
    """The model in plain Python that reports its times: it tokenizes for a third of ``pause`` seconds."""
    plain = stub()

    def score(batch):
        time.sleep(pause)
        shares = numpy.array([len(text) / 100 for text in batch], "float32")
        seconds = {"tokenize_seconds": numpy.float64(pause / 3), "model_seconds": numpy.float64(pause * 2 / 3)}
        return plain.score(batch) | seconds | {"unknown_share": shares}

    return replace(plain, score=score)


def test_each_stage_has_its_time_over_all_batches_and_the_rest_is_what_is_left():
    began = time.perf_counter()
    measured = replace(telling(0.03), batch_size=1).predict_measured(["a", "bb", "ccc"])
    taken = time.perf_counter() - began
    assert list(measured.seconds) == ["tokenize", "model", "rest"]
    assert measured.seconds["tokenize"] == pytest.approx(0.03)
    assert measured.seconds["model"] == pytest.approx(0.06)
    assert measured.seconds["rest"] > 0
    assert sum(measured.seconds.values()) <= taken


def test_each_text_has_its_share_of_unknown_tokens_repeated_ones_too():
    measured = telling().predict_measured(TEXTS)
    assert measured.unk_rates == pytest.approx([0.07, 0, 0.24, 0.07, 0])


def test_a_model_that_does_not_tell_is_measured_as_a_whole():
    measured = stub().predict_measured(TEXTS)
    assert list(measured.seconds) == ["model"]
    assert measured.unk_rates is None


def test_calls_that_are_under_way_are_counted_also_after_an_error():
    counts = []

    def score(batch):
        counts.append(in_flight())
        raise ModelError("no")

    with pytest.raises(ModelError):
        replace(stub(), score=score).predict_measured(["a"])
    assert (counts, in_flight()) == ([1], 0)
