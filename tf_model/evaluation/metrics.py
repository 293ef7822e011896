"""How good the answers are: loss, accuracy with its interval, macro-F1, each class, and tables that show them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_model.errors import DataError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# The figures of the report that this project reproduces: bert-base-uncased, 9 products, 10 epochs, the last epoch's
# training part (2,632 tweets) and validation part (659 tweets, 576 of them right). It gives no macro-F1.
REPORT: Mapping[str, Mapping[str, float]] = {
    "train": {"loss": 0.2608, "accuracy": 0.9487},
    "validation": {"loss": 0.4569, "accuracy": 0.8741},
}
SMALLEST_PROBABILITY = 1e-7  # Keras' epsilon: an answer that was ruled out costs 16.1 nats, not infinitely many
SUM_TOLERANCE = 1e-3  # enough for probabilities that were rounded, too little for logits
NOT_REPORTED = "-"
CONFIDENCE = 0.95  # coverage of intervals
RESAMPLES = 9999  # of a bootstrap


def wilson_interval(successes: int, total: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Wilson's score interval of a proportion, such as an accuracy, without continuity correction.

    Unlike the normal approximation it stays within 0 and 1 and keeps its coverage for small totals and for shares
    near 0 or 1. Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal
    of the American Statistical Association 22 (1927), as in ``scipy.stats``.

    Args:
        successes: Number of successes, 0 to ``total``.
        total: Number of independent trials, at least 1.
        confidence: Coverage, between 0 and 1.

    Returns:
        Lower and upper bound, 0 to 1.
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
    """Percentile interval of a mean over rows, such as an accuracy, by a bootstrap.

    Args:
        values: float [N], such as whether each row was answered right, or by what share of several models.
        groups: int [N], such as :func:`tf_model.data.splits.near_duplicate_groups` gives. Rows of one group are drawn
            together, because retweets are right or wrong together; None draws each row by itself.
        confidence: Coverage, between 0 and 1.
        resamples: How often rows are drawn with replacement.

    Returns:
        Lower and upper bound.

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

    found = bootstrap(
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
    return float(found.low), float(found.high)


def evaluate_probabilities(label_ids: np.ndarray, probabilities: np.ndarray, labels: Sequence[str]) -> dict[str, Any]:
    """Compare the probabilities that a model gave with the true classes.

    Args:
        label_ids: True class ids, int array of shape [N], values from 0 to C - 1.
        probabilities: Float array of shape [N, C], each row a distribution over the classes.
        labels: The C class names, in the order of their ids.

    Returns:
        Plain numbers, strings, lists and dicts, ready for JSON:

        - ``rows``: N.
        - ``loss``: mean negative log-likelihood of the true class, in nats. Probabilities are clipped at 1e-7 and
          normalised, as Keras' ``SparseCategoricalCrossentropy`` does.
        - ``accuracy``: share of rows whose most probable class (the first of several) is the true one, 0 to 1.
        - ``accuracy_interval``: ``[low, high]``, its 95% :func:`wilson_interval`.
        - ``macro_f1``: unweighted mean of F1 over all C classes, 0 to 1. A class without a row here counts as 0, be it
          predicted or not, so a part that lacks a class cannot reach 1.
        - ``per_class``: for each label ``precision``, ``recall``, ``f1`` (0 where there is nothing to divide by) and
          ``support``, its number of true rows.
        - ``confusion_matrix``: C lists of C counts; the row is the true class, the column the predicted one.

    Raises:
        DataError: Shapes do not fit together, there is no row, or a row of ``probabilities`` is not a distribution
            within 0.001, such as after a training that diverged.
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
    """Mean and spread of one figure over several seeds or folds, ready for JSON.

    Args:
        values: Finite numbers, at least one.

    Returns:
        ``mean``, ``sd`` (of the sample, dividing by n - 1; None for a single value, which shows no spread), ``min``,
        ``max`` and ``n``.
    """
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

    Nine classes with the names of the products fit in 80 columns; where there is less room, names wrap and numbers
    stay whole. Titles and labels are printed as they are, never as rich markup.
    """
    from rich.text import Text

    low, high = metrics["accuracy_interval"]
    console.print(
        Text(
            f"{title}: accuracy {metrics['accuracy']:.4f} (95% interval {low:.3f} to {high:.3f}), "
            f"macro-F1 {metrics['macro_f1']:.4f}, loss {metrics['loss']:.4f}, {metrics['rows']:,} rows"
        )
    )
    console.print(per_class_table(metrics))
    console.print(confusion_table(metrics))


def per_class_table(metrics: Mapping[str, Any]) -> "Table":
    """A rich table of precision, recall, F1 (0 to 1) and rows of each class."""
    table = _table("each class", ("class", "precision", "recall", "F1", "rows"))
    for number, (label, scores) in enumerate(metrics["per_class"].items()):
        shares = (f"{scores[name]:.3f}" for name in ("precision", "recall", "f1"))
        table.add_row(_numbered(number, label), *shares, f"{scores['support']:,}")
    return table


def confusion_table(metrics: Mapping[str, Any]) -> "Table":
    """A rich table of counts: the row is the true class, the column the predicted one, by its number in the rows."""
    matrix = metrics["confusion_matrix"]
    table = _table("true class (rows), predicted class (columns, by number)", ("class", *map(str, range(len(matrix)))))
    for number, (label, counts) in enumerate(zip(metrics["per_class"], matrix, strict=True)):
        table.add_row(_numbered(number, label), *(str(count) if count else "." for count in counts))
    return table


def comparison_table(
    train_metrics: Mapping[str, Any],
    validation_metrics: Mapping[str, Any],
    reference: Mapping[str, Mapping[str, float]] = REPORT,
) -> "Table":
    """A rich table of loss, accuracy and macro-F1 of both parts, each beside the report's figure.

    Args:
        train_metrics: Figures of the training part, as :func:`evaluate_probabilities` gives them.
        validation_metrics: The same of the validation part.
        reference: Figures to show beside them, by part ("train", "validation") and name ("loss", "accuracy",
            "macro_f1"); one that is not there is shown as "-".
    """
    figures = {"loss": "loss", "accuracy": "accuracy", "macro_f1": "macro-F1"}
    columns = [name for title in figures.values() for name in (title, "report")]
    table = _table("beside the report", ("part", "rows", *columns))
    for part, metrics in (("train", train_metrics), ("validation", validation_metrics)):
        pairs = ((metrics[key], reference.get(part, {}).get(key)) for key in figures)
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


def _numbered(number: int, label: str) -> Any:
    from rich.text import Text

    return Text(f"{number} {label}")


def figure(value: float | None) -> str:
    """A share or a loss with four decimals; :data:`NOT_REPORTED` where there is none."""
    return NOT_REPORTED if value is None else f"{value:.4f}"


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
