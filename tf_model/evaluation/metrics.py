"""Metrics of one task: loss, accuracy with its interval, macro-F1, each class, and tables that show them."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tf_model.errors import DataError
from tf_model.io.characters import visible
from tf_model.model_dir import probabilities_sum_to_1

# From the report that this project reproduces: bert-base-uncased, 9 products, the last of 10 epochs, training part
# (2,632 tweets) and validation part (659 tweets, 576 of them correct). It gives no macro-F1.
REPORT: Mapping[str, Mapping[str, float]] = {
    "train": {"loss": 0.2608, "accuracy": 0.9487},
    "validation": {"loss": 0.4569, "accuracy": 0.8741},
}
SMALLEST_PROBABILITY = 1e-7  # Keras' epsilon: a true class with probability 0 costs 16.1 nats, not infinitely many
CONFIDENCE = 0.95  # coverage of intervals
Z = 1.959963984540054  # standard deviations on each side of a normal mean that cover CONFIDENCE
RESAMPLES = 9999  # of a bootstrap


def wilson_interval(successes: Any, total: Any) -> tuple[Any, Any]:
    """Wilson's score interval (1927) of proportions, such as an accuracy: lower and upper bound, 0 to 1.

    Counts and totals (at least 1) give floats; arrays of any shape give float64 arrays of that shape.
    """
    share, square = successes / total, Z**2 / total
    middle = share + square / 2
    half = (share * (1 - share) * square + square**2 / 4) ** 0.5
    low, high = (middle - half) / (1 + square), (middle + half) / (1 + square)
    return np.clip(low, 0, share), np.clip(high, share, 1)  # corrects rounding only


def mean_interval(values: np.ndarray, groups: np.ndarray | None = None) -> tuple[float, float]:
    """Percentile interval of a mean over rows, float [N], by a bootstrap that resamples whole groups, int [N].

    Raises :class:`DataError` if there are fewer than two rows or groups.
    """
    from scipy.stats import bootstrap

    values = np.asarray(values, np.float64)
    groups = np.arange(len(values)) if groups is None else np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(groups)
    if len(sizes) < 2:
        raise DataError(
            f"an interval needs at least 2 rows that are not near-duplicates, got {len(sizes)}; label more rows"
        )
    sums = np.bincount(groups, weights=values)

    def mean(sums: np.ndarray, sizes: np.ndarray, axis: int) -> np.ndarray:
        return sums.sum(axis=axis) / sizes.sum(axis=axis)

    interval = bootstrap(
        (sums, sizes),
        mean,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=1000,  # some 10 MB for a thousand rows
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),  # the same input always gives the same interval
    ).confidence_interval
    return float(interval.low), float(interval.high)


def check_probabilities(probabilities: np.ndarray) -> None:
    """Raise :class:`DataError` if a row of float [N, C] does not sum to 1, such as after a training that diverged."""
    if not probabilities_sum_to_1(probabilities):
        raise DataError("expected probabilities that sum to 1; train again with a lower learning rate")


def evaluate_probabilities(label_ids: np.ndarray, probabilities: np.ndarray, labels: Sequence[str]) -> dict[str, Any]:
    """JSON-ready metrics of a model's probabilities, float [N, C], for rows with these true classes, int [N].

    ``loss`` is in nats, as in Keras; ``macro_f1`` is over all C classes; a row of ``confusion_matrix`` is a true class.
    The probabilities are checked by :func:`check_probabilities`.
    """
    from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support

    label_ids, probabilities = np.asarray(label_ids), np.asarray(probabilities, dtype=np.float64)
    check_probabilities(probabilities)
    classes = range(len(labels))
    predicted = probabilities.argmax(axis=1)
    correct = int((predicted == label_ids).sum())
    clipped = np.clip(probabilities, SMALLEST_PROBABILITY, 1)
    scores = precision_recall_fscore_support(label_ids, predicted, labels=classes, zero_division=0)
    return {
        "rows": len(label_ids),
        "loss": float(log_loss(label_ids, clipped / clipped.sum(axis=1, keepdims=True), labels=classes)),
        "accuracy": correct / len(label_ids),
        "accuracy_interval": list(wilson_interval(correct, len(label_ids))),
        "macro_f1": float(scores[2].mean()),
        "per_class": {
            label: {"precision": float(precision), "recall": float(recall), "f1": float(f1), "support": int(support)}
            for label, precision, recall, f1, support in zip(labels, *scores, strict=True)
        },
        "confusion_matrix": confusion_matrix(label_ids, predicted, labels=classes).tolist(),
    }


def summarize(values: Iterable[float]) -> dict[str, float | int | None]:
    """``mean``, ``sd`` (of the sample; None of a single value), ``min``, ``max`` and ``n`` of at least one number."""
    numbers = [float(value) for value in values]
    return {
        "mean": float(np.mean(numbers)),
        "sd": float(np.std(numbers, ddof=1)) if len(numbers) > 1 else None,
        "min": min(numbers),
        "max": max(numbers),
        "n": len(numbers),
    }


def pack(correct: np.ndarray) -> str:
    """Encode whether each row was predicted correctly, bool [N], as a short text."""
    return base64.b64encode(np.packbits(correct)).decode("ascii")


def print_metrics(console: Any, title: str, metrics: Mapping[str, Any]) -> None:
    """Print what :func:`evaluate_probabilities` returned: a summary line, each class, and the confusion matrix."""
    from rich.text import Text

    low, high = metrics["accuracy_interval"]
    line = (
        f"{title}: accuracy {metrics['accuracy']:.4f} (95% interval {low:.3f} to {high:.3f}), "
        f"macro-F1 {metrics['macro_f1']:.4f}, loss {metrics['loss']:.4f}, {metrics['rows']:,} rows"
    )
    per_class = table_of_numbers(("class", "precision", "recall", "F1", "rows"), "each class")
    numbers = map(str, range(len(metrics["per_class"])))
    confusion = table_of_numbers(("class", *numbers), "true class (rows), predicted class (columns, by number)")
    for number, (label, scores) in enumerate(metrics["per_class"].items()):
        name, counts = Text(visible(f"{number} {label}")), metrics["confusion_matrix"][number]
        per_class.add_row(
            name, *(f"{scores[key]:.3f}" for key in ("precision", "recall", "f1")), f"{scores['support']:,}"
        )
        confusion.add_row(name, *(str(count) if count else "." for count in counts))
    widest = console.options.update(max_width=10_000)
    if console.measure(confusion, options=widest).minimum > console.width:  # else rich would leave out columns
        confusion = Text("The confusion matrix is too wide to show; it is in the model's metrics.json, or use --json.")
    for part in (Text(line), per_class, confusion):
        console.print(part)


def comparison_table(
    train_metrics: Mapping[str, Any],
    validation_metrics: Mapping[str, Any],
    reference: Mapping[str, Mapping[str, float]] = REPORT,
) -> Any:
    """A rich table of loss, accuracy and macro-F1 of both parts, beside those of ``reference`` unless it is empty."""
    titles = {"loss": "loss", "accuracy": "accuracy", "macro_f1": "macro-F1"}
    columns = [name for title in titles.values() for name in ((title, "report") if reference else (title,))]
    table = table_of_numbers(("part", "rows", *columns), "beside the report" if reference else None)
    for part, metrics in (("train", train_metrics), ("validation", validation_metrics)):
        pairs = ((metrics[key], *([reference[part].get(key)] if reference else [])) for key in titles)
        table.add_row(part, f"{metrics['rows']:,}", *(decimal(value) for pair in pairs for value in pair))
    return table


def table_of_numbers(columns: Sequence[str], title: str | None = None) -> Any:
    """An empty rich table; the first column is text that may wrap, the others are numbers."""
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE, pad_edge=False, padding=(0, 0, 0, 1))
    table.add_column(columns[0])
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def decimal(value: float | None, digits: int = 4) -> str:
    """A share or a loss with so many decimals; "-" where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"
