"""The windows of the study of shares: drawn from texts that the correction has not seen, in any form."""

import numpy as np
import pytest
from answered_rows import predictions

from research import shares
from tf_model.errors import DataError
from tf_model.tasks import EMOTIONS


@pytest.fixture
def rows():
    """Pairs of near-duplicates; in every fifth pair, both texts have the same words."""
    own = predictions((120, 600, 280), 0)
    number = np.arange(1000)
    is_first = (number % 2 == 0) | (number // 2 % 5 != 0)
    return shares.Rows(own, number // 2, is_first, np.where(number % 3, "iPad", "").astype(object), None)


@pytest.mark.parametrize("kind", shares.KINDS)
def test_no_text_of_a_window_corrects(rows, kind):
    truths = []
    for corrects, window in shares.windows(rows, shares.KINDS[kind], 10):
        assert not set(corrects.groups) & set(window.groups)
        assert window.is_first.all()
        assert len(window.groups) >= shares.LEAST_ROWS
        assert kind != "one product" or (window.products == "iPad").all()
        truths.append(truth_of(window))
    spread = np.std(truths, axis=0)
    assert (spread > 0.1).all() if kind == "shares moved" else (spread < 0.05).all()


def test_methods_are_measured_on_the_same_windows(rows, monkeypatch):
    monkeypatch.setattr(shares.Correction, "of", lambda *_: None)  # it takes a second, and neither method reads it
    methods = {"counting": shares.counting, "truth": lambda _, window, __: np.stack([truth_of(window)] * 3)}
    result = shares.measure(rows, shares.label_shift, methods, 5)["methods"]
    assert (result["truth"]["error"], result["truth"]["coverage"], result["truth"]["width"]) == (0, 1, 0)
    expected = [
        abs(np.bincount(window.predictions.predicted_ids, minlength=3) / len(window.groups) - truth_of(window)).mean()
        for _, window in shares.windows(rows, shares.label_shift, 5)
    ]
    assert result["counting"]["error"] == pytest.approx(np.mean(expected))
    assert list(result["counting"]["by_emotion"]["error"]) == list(EMOTIONS)


def truth_of(window):
    return np.bincount(window.predictions.label_ids, minlength=3) / len(window.groups)


def test_correction_finds_shares_that_moved(rows, monkeypatch):
    monkeypatch.setattr("tf_model.analysis.shares.RESAMPLES", 10)  # they take most of the time
    result = shares.measure(rows, shares.label_shift, shares.METHODS, 4)["methods"]
    assert all(result[name]["error"] < result["counting"]["error"] for name in shares.METHODS if name != "counting")


def test_a_model_with_few_validation_rows_is_refused(rows):
    few = rows.take(np.arange(1000) < 75)
    with pytest.raises(DataError, match="expected at least 200 validation rows, found 75; train the model on the real"):
        next(shares.windows(few, shares.label_shift, 1))
