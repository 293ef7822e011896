"""The learning curve draws nested training parts and leaves the validation parts alone."""

from __future__ import annotations

import numpy as np
import pytest

from research import learning_curve, runs
from research.study import GROUPED
from tf_model import paths


@pytest.fixture(scope="module")
def problem(problems):
    return problems["product"]


def test_draws_are_nested_and_inside_the_training_part(problem):
    small, large = learning_curve.sample_folds(problem, 50, 0), learning_curve.sample_folds(problem, 200, 0)
    for few, many, split in zip(small, large, problem.folds[GROUPED], strict=True):
        assert (len(few.train), len(many.train)) == (50, 200)
        assert set(few.train) < set(many.train) < set(split.train)
        assert np.array_equal(few.validation, split.validation)
    other = learning_curve.sample_folds(problem, 50, 1)
    assert not np.array_equal(small[0].train, other[0].train)
    assert np.array_equal(learning_curve.sample_folds(problem, 50, 1)[0].train, other[0].train)


@pytest.mark.usefixtures("made_once", "stores")
def test_command_records_a_curve_that_rises(monkeypatch, capsys):
    arguments = ["--data", str(paths.SAMPLE_CORPUS), "--sizes", "20", "9999"]
    monkeypatch.setattr(learning_curve, "DRAWS", 2)
    assert learning_curve.main([*arguments, "--methods", "keywords", "words_logistic"]) == 0
    run = runs.load("learning_curve")
    for found in run["methods"].values():
        few, all_of_them = found["points"]
        assert few["size"] == 20
        assert 250 < all_of_them["size"] < 374, "no more than the smallest training part holds"
        assert few["accuracy"]["n"] == 2
    few, all_of_them = run["methods"]["words_logistic"]["points"]
    assert all_of_them["accuracy"]["mean"] > few["accuracy"]["mean"] + 0.1
    assert "20: " in capsys.readouterr().out
    assert learning_curve.main([*arguments, "--methods", "majority"]) == 0
    grown = runs.load("learning_curve")
    assert list(grown["methods"]) == ["majority", "keywords", "words_logistic"], "what was measured stays"
    assert grown["methods"]["keywords"] == run["methods"]["keywords"]
