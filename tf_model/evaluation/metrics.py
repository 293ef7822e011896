"""How good the answers are: loss, accuracy with its interval, macro-F1, each class, and tables that show them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_model.errors import DataError
from tf_model.model_dir import SUM_TOLERANCE

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# Of the report that this project reproduces: bert-base-uncased, 9 products, the last of 10 epochs, training part (2,632
# tweets) and validation part (659 tweets, 576 of them correct). It gives no macro-F1.
REPORT: Mapping[str, Mapping[str, float]] = {
    "train": {"loss": 0.2608, "accuracy": 0.9487},
    "validation": {"loss": 0.4569, "accuracy": 0.8741},
}
SMALLEST_PROBABILITY = 1e-7  # Keras' epsilon: an answer that was ruled out costs 16.1 nats, not infinitely many
CONFIDENCE = 0.95  # coverage of intervals
RESAMPLES = 9999  # of a bootstrap


def wilson_interval(successes: int, total: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval (1927) of a proportion, such as an accuracy: lower and upper bound, 0 to 1.

    Args:
        successes: 0 to ``total``.
        total: Number of independent trials, at least 1.
        confidence: Coverage, between 0 and 1.
    """
    from scipy.stats import binomtest

    interval = binomtest(int(successes), int(total)).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def mean_interval(
    values: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """Percentile interval of a mean over rows, such as an accuracy, by a bootstrap: lower and upper bound.

    Args:
        values: float [N], such as whether each row was answered correctly.
        groups: int [N], near-duplicates, which are drawn together; None draws each row by itself.
        confidence: Coverage, between 0 and 1.
        resamples: How often rows are drawn with replacement.

    Raises:
        DataError: There are fewer than two rows or groups to draw from.
    """
    from scipy.stats import bootstrap

    values = np.asarray(values, np.float64)
    groups = np.arange(len(values)) if groups is None else np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(groups)
    if len(sizes) < 2:
        raise DataError(
            f"an interval needs at least 2 rows that are no near-duplicates, got {len(sizes)}; label more rows"
        )
    sums = np.bincount(groups, weights=values)

    def mean(sums: np.ndarray, sizes: np.ndarray, axis: int) -> np.ndarray:
        return sums.sum(axis=axis) / sizes.sum(axis=axis)

    interval = bootstrap(
        (sums, sizes),
        mean,
        paired=True,
        vectorized=True,
        n_resamples=resamples,
        batch=1000,  # some 10 MB for a thousand rows
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(0),  # the same models, the same interval
    ).confidence_interval
    return float(interval.low), float(interval.high)


def evaluate_probabilities(label_ids: np.ndarray, probabilities: np.ndarray, labels: Sequence[str]) -> dict[str, Any]:
    """Compare the probabilities that a model gave with the true classes.

    Args:
        label_ids: True class ids, int [N], from 0 to C - 1.
        probabilities: Float [N, C], each row a distribution over the classes.
        labels: The C class names, in the order of their ids.

    Returns:
        ``rows``; ``loss``, in nats, of probabilities clipped at 1e-7 and normalised as Keras does; ``accuracy`` with
        its 95% Wilson ``accuracy_interval``; ``macro_f1`` over all C classes (one without a row counts as 0);
        ``per_class`` with ``precision``, ``recall``, ``f1`` and ``support``; ``confusion_matrix``, C lists of C counts,
        the row is the true class. Ready for JSON.

    Raises:
        DataError: Shapes do not fit together, there is no row, or a row of ``probabilities`` is not a distribution,
            such as after a training that diverged.
    """
    from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support

    label_ids, probabilities = np.asarray(label_ids), np.asarray(probabilities, dtype=np.float64)
    _check(label_ids, probabilities, labels)
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


def print_metrics(console: "Console", title: str, metrics: Mapping[str, Any]) -> None:
    """Print what :func:`evaluate_probabilities` returned: one line over all, each class, the confusion matrix.

    Nine products fit in 80 columns; titles and labels are printed as they are, never as rich markup.
    """
    from rich.text import Text

    low, high = metrics["accuracy_interval"]
    line = (
        f"{title}: accuracy {metrics['accuracy']:.4f} (95% interval {low:.3f} to {high:.3f}), "
        f"macro-F1 {metrics['macro_f1']:.4f}, loss {metrics['loss']:.4f}, {metrics['rows']:,} rows"
    )
    per_class = _table("each class", ("class", "precision", "recall", "F1", "rows"))
    numbers = map(str, range(len(metrics["per_class"])))
    confusion = _table("true class (rows), predicted class (columns, by number)", ("class", *numbers))
    for number, (label, scores) in enumerate(metrics["per_class"].items()):
        name, counts = Text(f"{number} {label}"), metrics["confusion_matrix"][number]
        per_class.add_row(
            name, *(f"{scores[key]:.3f}" for key in ("precision", "recall", "f1")), f"{scores['support']:,}"
        )
        confusion.add_row(name, *(str(count) if count else "." for count in counts))
    for part in (Text(line), per_class, confusion):
        console.print(part)


def comparison_table(
    train_metrics: Mapping[str, Any],
    validation_metrics: Mapping[str, Any],
    reference: Mapping[str, Mapping[str, float]] = REPORT,
) -> "Table":
    """A rich table of loss, accuracy and macro-F1 of both parts (:func:`evaluate_probabilities`).

    ``reference`` has what to show beside them, by part and metric; "-" where it has none.
    """
    titles = {"loss": "loss", "accuracy": "accuracy", "macro_f1": "macro-F1"}
    columns = [name for title in titles.values() for name in (title, "report")]
    table = _table("beside the report", ("part", "rows", *columns))
    for part, metrics in (("train", train_metrics), ("validation", validation_metrics)):
        pairs = ((metrics[key], reference.get(part, {}).get(key)) for key in titles)
        table.add_row(part, f"{metrics['rows']:,}", *(figure(value) for pair in pairs for value in pair))
    return table


def _table(title: str, columns: Sequence[str]) -> "Table":
    """An empty table; the first column is text that may wrap, the others are numbers."""
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=SIMPLE, pad_edge=False, padding=(0, 0, 0, 1))
    table.add_column(columns[0])
    for column in columns[1:]:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def figure(value: float | None) -> str:
    """A share or a loss with four decimals; "-" where there is none."""
    return "-" if value is None else f"{value:.4f}"


def _check(label_ids: np.ndarray, probabilities: np.ndarray, labels: Sequence[str]) -> None:
    rows, classes = len(label_ids), len(labels)
    if not rows or label_ids.shape != (rows,) or probabilities.shape != (rows, classes):
        raise DataError(
            f"expected class ids of shape [rows] and probabilities of shape [rows, {classes}], at least one row, got "
            f"{list(label_ids.shape)} and {list(probabilities.shape)}; use the labels that the model was trained with"
        )
    off = ~(np.abs(probabilities.sum(axis=1) - 1) <= SUM_TOLERANCE) | (probabilities < 0).any(axis=1)  # NaN is off too
    if off.any():
        row = int(np.flatnonzero(off)[0])
        raise DataError(
            f"expected probabilities that sum to 1, got {probabilities[row].round(4).tolist()} in row {row}; "
            "apply softmax to logits, or train again with a lower learning rate"
        )
