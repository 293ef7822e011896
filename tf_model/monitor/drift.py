"""Drift: whether a window of predictions looks different from the reference, and by how much.

A feature raises an alarm if its difference is both significant and large:

- *Is it more than chance?* A two-sample test, chi-squared for labels and Kolmogorov-Smirnov for numbers, at a level
  divided by the number of features (Bonferroni): ordinary texts raise an alarm with probability :data:`ALPHA` at most.
- *Is it large enough to matter?* The population stability index reaches 0.1 and what chance can reach at that level:
  between samples of n and m rows from one population the index of k cells is (1/n + 1/m) times a chi-squared variable
  with k - 1 degrees of freedom (B. Yurdakul, "Statistical properties of population stability index", Western Michigan
  University, 2018).

Both assume independent texts. A batch of texts on one subject is a real difference, and is reported as one.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy
from scipy import stats

from tf_model.monitor.aggregates import NUMERIC_BINS, Window
from tf_model.monitor.events import ABSTAINED, LABEL_COLUMNS
from tf_model.monitor.reference import Reference

ALPHA = 0.01  # how often a window of ordinary texts may raise an alarm
SMALLEST_INDEX = 0.1  # a smaller population stability index raises no alarm, however significant
MINIMUM_ROWS = 50  # of a window, to be judged
FEWEST_EXPECTED = 5.0  # rows in a cell of a chi-squared test; rarer cells are merged
CELLS = 10  # of the index of a numeric feature: tenths of the reference

ABSTENTION = "abstention"
FEATURE_NAMES: Mapping[str, str] = {
    "product": "mix of products",
    "emotion": "mix of emotions",
    ABSTENTION: 'share of "Not sure"',
    **{f"{name}_confidence": f"confidence in the {name}" for name in LABEL_COLUMNS},
    "unk_rate": "UNK rate of the tokens",
    "length": "length of the texts",
}


@dataclass(frozen=True)
class Drift:
    """How one feature differs from the reference; ``alarm`` if index and p-value both cross their bounds."""

    feature: str  # one of FEATURE_NAMES
    rows: int  # predictions of the window that have it
    reference_rows: int
    index: float  # population stability index, 0 where the two are alike
    bound: float  # what the index must reach for an alarm
    p_value: float  # how probable a difference of this size is by chance alone
    level: float  # what the p-value must stay below for an alarm
    reference: Mapping[str, float]  # share of each cell: a label, or a range of values
    current: Mapping[str, float]
    alarm: bool

    def in_words(self) -> str:
        """The largest change; the measures behind it are in the table of drift."""
        cell = max(self.current, key=lambda each: abs(self.current[each] - self.reference[each]))
        return (
            f"{FEATURE_NAMES[self.feature]}: the largest change is {cell}, {self.reference[cell]:.0%} in the "
            f"reference, {self.current[cell]:.0%} of {self.rows:,} predictions"
        )


def compare(reference: Reference, window: Window) -> list[Drift]:
    """Compare a window with the reference of the same version, for each of :data:`FEATURE_NAMES` that both have,
    with at least :data:`MINIMUM_ROWS` predictions in the window."""
    expected_window = Window(0, 1, reference.counts)
    cells = {feature: (_cells(expected_window, feature), _cells(window, feature)) for feature in FEATURE_NAMES}
    comparable = {feature: pair for feature, pair in cells.items() if pair[0] and sum(pair[1].values()) >= MINIMUM_ROWS}
    level = ALPHA / max(len(comparable), 1)
    return [_compare(feature, expected, current, level) for feature, (expected, current) in comparable.items()]


def _cells(window: Window, feature: str) -> dict[Any, int]:
    """Counts of a feature by label, or by bin if it is numeric."""
    if feature in NUMERIC_BINS:
        return {key: count for key, (count, _) in window.histogram(feature).sums.items()}
    if feature != ABSTENTION:
        return window.labels(feature)
    outcomes = window.labels("outcome")
    abstained = outcomes.pop(ABSTAINED, 0)
    return {"Not sure": abstained, "answered": sum(outcomes.values())} if outcomes or abstained else {}


def _compare(feature: str, expected: dict[Any, int], observed: dict[Any, int], level: float) -> Drift:
    keys = sorted({*expected, *observed}) if feature in NUMERIC_BINS else list(dict.fromkeys([*expected, *observed]))
    table = numpy.array([[cells.get(key, 0) for key in keys] for cells in (expected, observed)])  # (2, keys)
    n, m = table.sum(axis=1)
    if feature in NUMERIC_BINS:
        p_value = _kolmogorov_smirnov(table)
        names, table = _decile_cells(feature, keys, table)
    else:
        names, p_value = [str(key) for key in keys], _chi_squared(table)
    index, cells = _stability_index(table)
    critical_index = (1 / n + 1 / m) * stats.chi2.isf(level, max(cells - 1, 1))
    bound = max(SMALLEST_INDEX, float(critical_index))
    shares = table / table.sum(axis=1, keepdims=True)
    reference, current = ({name: float(share) for name, share in zip(names, row, strict=True)} for row in shares)
    alarm = p_value < level and index >= bound
    return Drift(feature, int(m), int(n), index, bound, p_value, level, reference, current, alarm)


def _chi_squared(table: numpy.ndarray) -> float:
    """p-value of a chi-squared test of two rows of counts; labels that are too rare for it are merged."""
    expected = table.sum(axis=0) * (table.sum(axis=1).min() / table.sum())
    rare = expected < FEWEST_EXPECTED
    cells = numpy.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
    cells = cells[:, cells.sum(axis=0) > 0]
    return float(stats.chi2_contingency(cells, correction=False).pvalue) if cells.shape[1] > 1 else 1.0


def _kolmogorov_smirnov(table: numpy.ndarray) -> float:
    """p-value of the two-sample test from ordered counts by bin, equal to ``scipy.stats.ks_2samp(..., method="asymp")``
    on the bin numbers. The values in a bin are ties, so the p-value is, if anything, too large."""
    n, m = (float(count) for count in table.sum(axis=1))
    reference, current = numpy.cumsum(table, axis=1) / numpy.array([[n], [m]])
    distance = float(numpy.abs(reference - current).max())
    return float(stats.kstwo.sf(distance, numpy.round(n * m / (n + m))))


def _decile_cells(feature: str, keys: list[int], table: numpy.ndarray) -> tuple[list[str], numpy.ndarray]:
    """Merge neighbouring bins that begin in the same tenth of the reference into cells; returns their names and counts.
    Values below or above the whole reference have cells of their own."""
    up_to = table[0].cumsum()
    tenths = numpy.where(up_to == 0, -1, (up_to - table[0]) * CELLS // table[0].sum())
    first_bins = numpy.flatnonzero(numpy.diff(tenths, prepend=-2))
    last_bins = [*first_bins[1:] - 1, len(keys) - 1]
    edges, names = NUMERIC_BINS[feature], []
    for first, last in zip(first_bins, last_bins, strict=True):
        low, high = edges[keys[first]], edges[keys[last] + 1]
        names.append(f"{low:g} or more" if high == math.inf else f"{low:g} to {high:g}")
    return names, numpy.add.reduceat(table, first_bins, axis=1)


def _stability_index(table: numpy.ndarray) -> tuple[float, int]:
    """Population stability index of two rows of counts, and its number of cells; half a row is added to each cell, so
    that an empty cell has a large but finite effect."""
    table = table[:, table.sum(axis=0) > 0] + 0.5
    return float(stats.entropy(*table) + stats.entropy(*table[::-1])), table.shape[1]
