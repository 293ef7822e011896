"""The points of the explanations: rules that integrate correctly, and rounds that end with a rule."""

from __future__ import annotations

import numpy as np
import pytest

from tf_model.inference import attribution
from tf_model.inference.attribution import clenshaw_curtis


@pytest.mark.parametrize("intervals", [2, 4, 16, 128])
def test_a_rule_is_exact_for_polynomials_of_its_degree(intervals):
    nodes, weights = clenshaw_curtis(intervals)
    assert len(nodes) == len(weights) == intervals + 1
    assert (nodes[0], nodes[-1]) == (0, 1)
    for degree in {0, 1, 2, intervals // 2, intervals}:
        assert weights @ nodes**degree == pytest.approx(1 / (degree + 1), rel=1e-12)


def test_a_finer_rule_has_all_points_of_a_coarser_one():
    coarse, _ = clenshaw_curtis(16)
    fine, _ = clenshaw_curtis(32)
    np.testing.assert_allclose(fine[::2], coarse, atol=1e-15)


def test_each_rule_is_complete_after_some_step():
    nodes, ends, weights = attribution.nested_rules()
    assert len(np.unique(nodes)) == len(nodes) == attribution.INTERVALS[-1] + 1
    assert ends[0] == 0
    assert ends[-1] == len(nodes)
    assert np.diff(ends).min() > 0
    assert np.diff(ends).max() <= attribution.POINTS_AT_ONCE + 1
    whole = {
        int(end): rule[:end] for end, rule in zip(ends[1:], weights, strict=True) if not np.isnan(rule[:end]).any()
    }
    assert list(whole) == [17, 33, 65, 129]
    for points, rule in whole.items():
        expected = dict(zip(*(values.astype(np.float32) for values in clenshaw_curtis(points - 1)), strict=True))
        found = dict(zip(nodes[:points], rule, strict=True))
        assert {node: pytest.approx(weight, rel=1e-4) for node, weight in expected.items()} == found
