import io
import math

import numpy as np
import pytest
from rich.console import Console
from scipy.stats import binomtest

from tf_model.errors import DataError
from tf_model.evaluation.metrics import (
    comparison_table,
    evaluate_probabilities,
    print_metrics,
    summarize,
    wilson_interval,
)
from tf_model.tasks import PRODUCTS

LABELS = ("pear", "fig", "plum")
# Two right (pear, fig), one fig taken for pear; no plum, and none predicted.
TRUE = np.array([0, 1, 1])
PROBABILITIES = np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.7, 0.2, 0.1]])


def random_part(seed, rows=200, classes=9):
    generator = np.random.default_rng(seed)
    return generator.integers(0, classes, rows), generator.dirichlet(np.ones(classes), rows)


def printed(*renderables, width=100):
    console = Console(width=width, record=True, file=io.StringIO(), force_terminal=False)
    for renderable in renderables:
        console.print(renderable)
    return console.export_text()


def test_wilson_intervals_are_those_of_scipy():
    totals = np.array([[1], [7], [30], [659]])
    successes = np.round(totals * np.linspace(0, 1, 9)).astype(int)
    low, high = wilson_interval(successes, totals)
    assert low.shape == high.shape == successes.shape
    for (row, column), count in np.ndenumerate(successes):
        expected = binomtest(count, totals[row, 0]).proportion_ci(0.95, method="wilson")
        for found in ((low[row, column], high[row, column]), wilson_interval(int(count), int(totals[row, 0]))):
            assert found == pytest.approx((expected.low, expected.high), abs=1e-12)
        assert 0 <= low[row, column] <= count / totals[row, 0] <= high[row, column] <= 1, "despite rounding"


class TestEvaluateProbabilities:
    def test_by_hand(self):
        metrics = evaluate_probabilities(TRUE, PROBABILITIES, LABELS)
        assert metrics["rows"] == 3
        assert metrics["loss"] == pytest.approx(-(math.log(0.5) + math.log(0.5) + math.log(0.2)) / 3, abs=1e-6)
        assert metrics["accuracy"] == 2 / 3
        assert metrics["accuracy_interval"] == list(wilson_interval(2, 3))
        assert metrics["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
        assert metrics["per_class"] == {
            "pear": {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "support": 1},
            "fig": {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2},
            "plum": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0},
        }
        assert metrics["confusion_matrix"] == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]

    @pytest.mark.filterwarnings("error")
    def test_certainty_costs_nothing_or_much_but_never_infinity(self):
        certain = np.eye(3)[[0, 1]]
        assert evaluate_probabilities(np.array([0, 1]), certain, LABELS)["loss"] == pytest.approx(0, abs=1e-6)
        wrong = evaluate_probabilities(np.array([2, 2]), certain, LABELS)
        assert wrong["loss"] == pytest.approx(-math.log(1e-7), abs=1e-6)
        assert wrong["accuracy"] == 0

    def test_rounded_probabilities_will_do(self):
        evaluate_probabilities(np.array([0]), np.array([[0.333, 0.333, 0.3335]]), LABELS)

    @pytest.mark.parametrize(
        "row", [[0.5, 0.5, 0.01], [0.0, 0.0, 0.0], [1.5, 4.0, -2.0], [0.5, 0.5, math.nan], [0.5, 0.5, math.inf]]
    )
    def test_not_a_distribution(self, row):
        probabilities = PROBABILITIES.copy()
        probabilities[2] = row
        with pytest.raises(DataError, match="sum to 1; train again"):
            evaluate_probabilities(TRUE, probabilities, LABELS)


class TestSummarize:
    def test_by_hand(self):
        assert summarize([2, 4, 4, 6]) == {
            "mean": 4.0,
            "sd": pytest.approx(math.sqrt(8 / 3)),
            "min": 2.0,
            "max": 6.0,
            "n": 4,
        }

    def test_one_value_has_no_spread(self):
        assert summarize(iter([0.5])) == {"mean": 0.5, "sd": None, "min": 0.5, "max": 0.5, "n": 1}


class TestTables:
    @pytest.mark.parametrize("width", [80, 100])
    def test_nine_classes_fit(self, width):
        label_ids, probabilities = random_part(0, rows=3000)
        metrics = evaluate_probabilities(label_ids, probabilities, PRODUCTS)
        console = Console(width=width, record=True, file=io.StringIO())
        print_metrics(console, "validation", metrics)
        text = console.export_text()
        assert "…" not in text
        assert max(map(len, text.splitlines())) <= width
        for number, (label, counts) in enumerate(zip(PRODUCTS, metrics["confusion_matrix"], strict=True)):
            row = [f"{number} {label}", *map(str, counts)]
            assert any(" ".join(line.split()) == " ".join(row) for line in text.splitlines())
        assert f"accuracy {metrics['accuracy']:.4f} (95% interval " in text
        assert "3,000 rows" in " ".join(text.split())

    def test_narrow_terminals_keep_the_numbers(self):
        label_ids, probabilities = random_part(0, rows=3000)
        metrics = evaluate_probabilities(label_ids, probabilities, PRODUCTS)
        console = Console(width=60, record=True, file=io.StringIO())
        print_metrics(console, "validation", metrics)
        text = console.export_text()
        assert all(f" {count} " in text for row in metrics["confusion_matrix"] for count in row)

    def test_a_matrix_that_is_too_wide_is_named_and_not_shown_in_part(self):
        label_ids = np.arange(60)
        metrics = evaluate_probabilities(label_ids, np.eye(60), [f"brand {number}" for number in label_ids])
        console = Console(width=80, record=True, file=io.StringIO())
        print_metrics(console, "validation", metrics)
        text = console.export_text()
        assert "confusion matrix is too wide to show" in text
        assert "59 brand 59" in text  # each class has its row

    def test_labels_and_titles_are_no_markup(self):
        labels = ("[bold]pear", "[/red]", "plum :smile: [link=x]y\x1b[5m")
        console = Console(width=100, record=True, file=io.StringIO())
        print_metrics(console, "[/nothing] [red]title", evaluate_probabilities(TRUE, PROBABILITIES, labels))
        text = console.export_text()
        for label in (*labels, "[/nothing] [red]title"):
            assert label.replace("\x1b", "␛") in text, "nor an escape sequence"

    def test_comparison_with_the_report(self):
        metrics = evaluate_probabilities(TRUE, PROBABILITIES, LABELS)
        lines = [line.split() for line in printed(comparison_table(metrics, metrics)).splitlines()]
        ours = [f"{metrics[name]:.4f}" for name in ("loss", "accuracy", "macro_f1")]
        assert ["part", "rows", "loss", "report", "accuracy", "report", "macro-F1", "report"] in lines
        assert ["train", "3", ours[0], "0.2608", ours[1], "0.9487", ours[2], "-"] in lines
        assert ["validation", "3", ours[0], "0.4569", ours[1], "0.8741", ours[2], "-"] in lines

    def test_comparison_without_a_reference(self):
        metrics = evaluate_probabilities(TRUE, PROBABILITIES, LABELS)
        lines = [line.split() for line in printed(comparison_table(metrics, metrics, {})).splitlines()]
        ours = [f"{metrics[name]:.4f}" for name in ("loss", "accuracy", "macro_f1")]
        assert ["part", "rows", "loss", "accuracy", "macro-F1"] in lines
        assert ["train", "3", *ours] in lines
