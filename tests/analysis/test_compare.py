"""Two selections side by side."""

import numpy as np
import pandas as pd
import pytest
from answered_rows import three_months

from tf_model.analysis.compare import TOO_FEW, compare, distinctive_words, holm, newcombe
from tf_model.analysis.rows import ALL
from tf_model.tasks import EMOTIONS, NEGATIVE


def test_the_intervals_are_the_published_ones():
    # R. G. Newcombe (1998), table II, method 10, contrast (a): 56/70 and 48/80.
    difference, low, high = newcombe(np.array([48, 56]), np.array([80, 70]))
    assert (difference, low, high) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_p_values_are_corrected_for_their_number():
    assert holm(np.array([0.04, 0.01, 0.03, 0.9])) == pytest.approx([0.09, 0.04, 0.09, 0.9])
    assert holm(np.array([0.6, 0.9])).tolist() == [1, 1]


def test_what_differs_is_told_from_what_does_not():
    rows = three_months()
    is_may = (rows["date"].dt.month == 5).to_numpy()
    table = compare(rows, ~is_may, is_may, EMOTIONS).set_index(["product", "emotion"])
    worse = table.loc[("iPhone", NEGATIVE)]
    assert worse["p_value"] < 0.001
    assert 0 < worse["low"] < worse["difference"] == worse["share_other"] - worse["share_one"]
    assert (table.loc["iPad", "p_value"] > 0.05).all()
    one, other = distinctive_words(rows, ~is_may, is_may)
    assert other[:2] == ["battery", "dies"]
    assert "battery" not in one
    assert distinctive_words(rows.assign(product=None), ~is_may, is_may)[1][:2] == ["battery", "dies"]


def test_the_words_of_a_text_count_once_whatever_number_of_products_it_names():
    rows = three_months(count=600)
    rows["text"] += [f" {word}" for word in np.random.default_rng(0).choice([f"word{each}" for each in range(40)], 600)]
    both = pd.concat([rows.assign(product=name) for name in ("iPhone", "iPad")], ignore_index=True)
    one = np.random.default_rng(1).random(600) < 0.5
    expected = distinctive_words(rows, one, ~one)
    found = distinctive_words(both, np.tile(one, 2), np.tile(~one, 2))
    assert tuple(map(set, found)) == tuple(map(set, expected))


def test_few_texts_are_not_compared():
    rows = three_months()
    one = (rows["product"] == "iPad").to_numpy()
    other = ~one & (np.cumsum(~one) <= 29)
    table = compare(rows, one, other, EMOTIONS)
    assert set(table["note"]) == {TOO_FEW}
    assert table[["difference", "low", "high", "p_value"]].isna().all(axis=None)
    assert table.loc[table["product"] == ALL, "texts_other"].tolist() == [29] * 3
