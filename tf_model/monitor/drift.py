"""Drift: whether a window of predictions looks different from the reference, and by how much.

An alarm needs a yes to two questions, asked of each feature:

- *Could chance have done it?* A two-sample test, chi-squared for labels and Kolmogorov-Smirnov for numbers, at a level
  shared out over the features (Bonferroni): ordinary texts raise any alarm at all with probability :data:`ALPHA` at
  most.
- *Is it large enough to matter?* The population stability index, at least 0.1 or what chance reaches at that level:
  between samples of n and m rows from one population the index of k cells is (1/n + 1/m) times a chi-squared variable
  with k - 1 degrees of freedom (B. Yurdakul, "Statistical properties of population stability index", Western Michigan
  University, 2018).

Both take the texts for independent. A batch of texts about one thing is a real difference, and is reported as one.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy
from scipy import stats

from tf_model.monitor.aggregates import NUMBERS, Window
from tf_model.monitor.events import ABSTAINED
from tf_model.monitor.reference import Reference

ALPHA = 0.01  # how often a window of ordinary texts may raise an alarm
SMALLEST_INDEX = 0.1  # a smaller population stability index is no alarm, however certain it is
MINIMUM_ROWS = 50  # of a window, for a judgement
FEWEST_EXPECTED = 5.0  # rows in a cell of a chi-squared test; rarer cells are put together
CELLS = 10  # of the index of a number: tenths of the reference

ABSTENTION = "abstention"
IN_WORDS: Mapping[str, str] = {
    "product": "mix of products",
    "emotion": "mix of emotions",
    ABSTENTION: 'share of "Not sure"',
    "product_confidence": "confidence in the product",
    "emotion_confidence": "confidence in the emotion",
    "answer_confidence": "confidence in the answer",
    "unk_rate": "UNK rate of the tokens",
    "length": "length of the texts",
}
FEATURES = tuple(IN_WORDS)


@dataclass(frozen=True)
class Drift:
    """How one feature differs from the reference; ``alarm`` where index and p-value both cross their bound."""

    feature: str  # one of FEATURES
    rows: int  # predictions of the window that have it
    reference_rows: int
    index: float  # population stability index, 0 where the two are alike
    bound: float  # what the index must reach for an alarm
    p_value: float  # how probable a difference of this size is by chance alone
    level: float  # what the p-value must stay below for an alarm
    reference: Mapping[str, float]  # share of each cell: of a label, or of a span of values
    current: Mapping[str, float]
    alarm: bool

    def in_words(self) -> str:
        """What changed most, and against what."""
        cell = max(self.current, key=lambda each: abs(self.current[each] - self.reference[each]))
        return (
            f"{IN_WORDS[self.feature]}: most of the change: {cell} from {self.reference[cell]:.0%} in the reference "
            f"to {self.current[cell]:.0%} of {self.rows:,} predictions (population stability index {self.index:.2f}, "
            f"alarm from {self.bound:.2f}, p {self.p_value:.1g})"
        )


def compare(reference: Reference, window: Window) -> list[Drift]:
    """Compare a window with the reference of the same version, for each of :data:`FEATURES` that both have and that
    the window has at least :data:`MINIMUM_ROWS` predictions of."""
    known = Window(0, 1, reference.counts)
    pairs = {feature: (_cells(known, feature), _cells(window, feature)) for feature in FEATURES}
    both = {feature: pair for feature, pair in pairs.items() if pair[0] and sum(pair[1].values()) >= MINIMUM_ROWS}
    level = ALPHA / max(len(both), 1)
    return [_compare(feature, expected, current, level) for feature, (expected, current) in both.items()]


def _cells(window: Window, feature: str) -> dict[Any, int]:
    """Counts of a feature by label, or by bin for numbers."""
    if feature in NUMBERS:
        return {key: count for key, (count, _) in window.histogram(feature).sums.items()}
    if feature != ABSTENTION:
        return window.labels(feature)
    outcomes = window.labels("outcome")
    abstained = outcomes.pop(ABSTAINED, 0)
    return {"Not sure": abstained, "answered": sum(outcomes.values())} if outcomes or abstained else {}


def _compare(feature: str, expected: dict[Any, int], seen: dict[Any, int], level: float) -> Drift:
    keys = sorted({*expected, *seen}) if feature in NUMBERS else list(dict.fromkeys([*expected, *seen]))
    table = numpy.array([[cells.get(key, 0) for key in keys] for cells in (expected, seen)])  # (2, keys)
    n, m = table.sum(axis=1)
    if feature in NUMBERS:
        p_value = _kolmogorov_smirnov(table)
        names, table = _tenths(feature, keys, table)
    else:
        names, p_value = [str(key) for key in keys], _chi_squared(table)
    index, cells = _stability_index(table)
    chance = (1 / n + 1 / m) * stats.chi2.isf(level, max(cells - 1, 1))
    bound = max(SMALLEST_INDEX, float(chance))
    shares = table / table.sum(axis=1, keepdims=True)
    reference, current = ({name: float(share) for name, share in zip(names, row, strict=True)} for row in shares)
    alarm = p_value < level and index >= bound
    return Drift(feature, int(m), int(n), index, bound, p_value, level, reference, current, alarm)


def _chi_squared(table: numpy.ndarray) -> float:
    """p-value of a chi-squared test of two rows of counts; labels too rare for it are put together."""
    expected = table.sum(axis=0) * (table.sum(axis=1).min() / table.sum())
    rare = expected < FEWEST_EXPECTED
    cells = numpy.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
    cells = cells[:, cells.sum(axis=0) > 0]
    return float(stats.chi2_contingency(cells, correction=False).pvalue) if cells.shape[1] > 1 else 1.0


def _kolmogorov_smirnov(table: numpy.ndarray) -> float:
    """p-value of the two-sample test from counts by bin in order: ``scipy.stats.ks_2samp(..., method="asymp")`` of the
    numbers of the bins, without spelling them out. Values of a bin are ties, so it is too large if anything."""
    n, m = (float(count) for count in table.sum(axis=1))
    reference, current = numpy.cumsum(table, axis=1) / numpy.array([[n], [m]])
    distance = float(numpy.abs(reference - current).max())
    return float(stats.kstwo.sf(distance, numpy.round(n * m / (n + m))))


def _tenths(feature: str, keys: list[int], table: numpy.ndarray) -> tuple[list[str], numpy.ndarray]:
    """Names and counts of cells that hold about a tenth of the reference each: neighbouring bins put together. What
    lies below all of the reference, or above, has a cell of its own."""
    seen = numpy.flatnonzero(table[0])
    groups = [list(range(seen[0]))]
    held = table[0].sum()  # so that the first bin of the reference begins a cell
    for bin_index in range(seen[0], seen[-1] + 1):
        if held >= table[0].sum() / CELLS:
            groups.append([])
            held = 0
        groups[-1].append(bin_index)
        held += table[0, bin_index]
    groups = [group for group in (*groups, list(range(seen[-1] + 1, len(keys)))) if group]
    bins = NUMBERS[feature]
    names = []
    for group in groups:
        low, high = bins.edges(keys[group[0]])[0], bins.edges(keys[group[-1]])[1]
        names.append(f"{low:g} or more" if high == math.inf else f"{low:g} to {high:g}")
    return names, numpy.column_stack([table[:, group].sum(axis=1) for group in groups])


def _stability_index(table: numpy.ndarray) -> tuple[float, int]:
    """Population stability index of two rows of counts, and of how many cells; half a row is added to each cell, so
    that an empty one counts for much but not for infinitely much."""
    table = table[:, table.sum(axis=0) > 0] + 0.5
    reference, current = table / table.sum(axis=1, keepdims=True)
    return float(((current - reference) * numpy.log(current / reference)).sum()), table.shape[1]
