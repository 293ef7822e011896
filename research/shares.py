"""``python -m research.shares``: how close corrected shares are to the true ones, and how often intervals cover them.

Out-of-fold probabilities are not recorded. Instead, each window splits the model's validation rows into random halves
that keep near-duplicates together. One half fits the correction; the window is drawn from the other, with each text
once, as a report counts them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupShuffleSplit

from research import study
from research.runs import record, show
from tf_model import cli, data, paths, tasks
from tf_model.analysis.shares import Correction, estimated_shares, named_products
from tf_model.data import splits
from tf_model.errors import DataError
from tf_model.evaluation.metrics import wilson_interval
from tf_model.io.files import sha256_of
from tf_model.model_dir import PREDICTIONS, Predictions, read_report

MODELS = {"answer": "emotion", "target": "target"}  # task by model
MOST_ROWS, LEAST_ROWS = 300, 50  # rows of a window
LEAST_VALIDATION_ROWS = 200  # windows are drawn from half of them
CHECKED = 50  # rows of a window whose true label is looked up


def main(argv: list[str] | None = None) -> int:
    """Measure on every kind of window; print and record the results."""
    parser = study.parser("shares", __doc__.splitlines()[0])
    parser.add_argument("--windows", type=cli.positive_integer, default=200, help="windows of each kind")
    arguments = parser.parse_args(argv)
    dataset = data.load(arguments.data)
    run = study.load_to_extend("shares", {"data_sha256": dataset.sha256, "windows": arguments.windows})
    command = study.command_line("shares", argv)
    for name, task in MODELS.items():
        if not (paths.SAVED_MODELS / name).is_dir():
            cli.say(f"there is no model {name}; its recorded results stay")
            continue
        rows = labelled_rows(paths.SAVED_MODELS / name, task, dataset)
        results = {kind: measure(rows, draw_window, METHODS, arguments.windows) for kind, draw_window in KINDS.items()}
        run.setdefault("results", {})[name] = results
        run.setdefault("predictions_sha256", {})[name] = sha256_of(paths.SAVED_MODELS / name / PREDICTIONS)
        record("shares", command, run)
        for kind, result in results.items():
            for method, metrics in result["methods"].items():
                show(f"{name}, {kind}, {method}", {key: metrics[key] for key in ("error", "coverage", "width")})
    return 0


# ---------------------------------------------------------------- rows and windows


@dataclass(frozen=True, eq=False)
class Rows:
    """The validation rows of a model that have a label."""

    predictions: Predictions
    groups: np.ndarray  # int64 [N], groups of near-duplicates
    is_first: np.ndarray  # bool [N], whether no earlier row has the same words
    products: np.ndarray  # object [N], the only product that a text names, "" if it names none or several
    predicted_products: pd.Series | None  # str [N], the product that the model predicts; None if it predicts none

    def take(self, mask: np.ndarray) -> Rows:
        """The rows where ``mask``, bool [N], is true."""
        predicted_products = None if self.predicted_products is None else self.predicted_products[mask]
        others = (each[mask] for each in (self.groups, self.is_first, self.products))
        return Rows(self.predictions.take(mask), *others, predicted_products)


def labelled_rows(folder: Path, task: str, dataset: data.Dataset) -> Rows:
    """The labelled validation rows of a saved model, with their texts from the dataset that it was validated on."""
    report = read_report(folder)
    if report.data_sha256 != dataset.sha256:
        raise DataError(f"{folder} was trained on other data than {dataset.path}; name that with --data")
    predictions = report.labelled(task)
    texts = dataset.labelled.set_index("row")[tasks.TEXT_COLUMN].loc[predictions.rows].tolist()
    names_by_text = map(list, map(data.products_of(dataset).first_mentions, texts))
    products = np.array([names[0] if len(names) == 1 else "" for names in names_by_text], object)
    is_first = ~pd.Series(map(splits.bare_words, texts)).duplicated().to_numpy()
    groups = splits.near_duplicate_groups(texts)
    return Rows(predictions, groups, is_first, products, named_products(report, task))


def label_shift(rows: Rows, held_out: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Positions of a window whose class shares are drawn uniformly from all that sum to 1."""
    ids = rows.predictions.label_ids[held_out]
    pools = [held_out[ids == number] for number in range(len(rows.predictions.labels))]
    shares = generator.dirichlet(np.ones(len(pools)))
    size = min(MOST_ROWS, *(len(pool) / share for pool, share in zip(pools, shares, strict=True)))
    counts = [int(share * size) for share in shares]
    chosen = [generator.choice(pool, count, replace=False) for pool, count in zip(pools, counts, strict=True)]
    return np.concatenate(chosen)


def one_product(rows: Rows, held_out: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Positions of the rows of one product: people may write about it differently than about others."""
    names, counts = np.unique(rows.products[held_out], return_counts=True)
    product = generator.choice(names[(counts >= LEAST_ROWS) & (names != "")])
    return held_out[rows.products[held_out] == product]


KINDS = {"shares moved": label_shift, "one product": one_product}


def windows(rows: Rows, draw_window: Any, count: int) -> Iterator[tuple[Rows, Rows]]:
    """Yield ``count`` pairs: the rows that fit the correction, and a window of at least :data:`LEAST_ROWS` rows."""
    if len(rows.groups) < LEAST_VALIDATION_ROWS:
        raise DataError(
            f"expected at least {LEAST_VALIDATION_ROWS} validation rows, found {len(rows.groups)}; "
            "train the model on the real data"
        )
    generator, positions = np.random.default_rng(0), np.arange(len(rows.groups))
    while count:
        splitter = GroupShuffleSplit(1, test_size=0.5, random_state=int(generator.integers(2**31)))
        fitting_rows, held_out = next(splitter.split(positions, groups=rows.groups))
        window_rows = draw_window(rows, held_out[rows.is_first[held_out]], generator)
        if len(window_rows) >= LEAST_ROWS:
            count -= 1
            yield tuple(rows.take(np.isin(positions, each)) for each in (fitting_rows, window_rows))


# ---------------------------------------------------------------- methods


def counting(_: Correction, window: Rows, __: np.random.Generator) -> np.ndarray:
    """The share of texts by most probable emotion, with Wilson's interval."""
    predictions = window.predictions
    counts = np.bincount(predictions.predicted_ids, minlength=len(predictions.labels))
    bounds = [wilson_interval(count, len(window.groups)) for count in counts]
    return np.vstack([counts / len(window.groups), np.transpose(bounds)])


def corrected(correction: Correction, window: Rows, generator: np.random.Generator, checked: int = 0) -> np.ndarray:
    """Our corrected shares; the true labels of ``checked`` rows of the window may be known."""
    predictions = window.predictions
    is_checked = np.isin(np.arange(len(window.groups)), generator.permutation(len(window.groups))[:checked])
    checked_ids = np.where(is_checked, predictions.label_ids, tasks.NO_LABEL)
    products = pd.Series(window.products) if window.predicted_products is None else window.predicted_products
    return estimated_shares(predictions.probabilities, products, correction, checked_ids)


Estimate = Callable[[Correction, Rows, np.random.Generator], np.ndarray]  # share, low, high: float [3, C]
METHODS: Mapping[str, Estimate] = {
    "counting": counting,
    "corrected": corrected,
    f"corrected, {CHECKED} rows checked": partial(corrected, checked=CHECKED),
}

# ---------------------------------------------------------------- metrics


def measure(rows: Rows, draw_window: Any, methods: Mapping[str, Estimate], count: int) -> dict[str, Any]:
    """Mean absolute error, coverage and width of the intervals over the windows, on average and by emotion."""
    truths, estimates_by_method = [], {name: [] for name in methods}
    generator = np.random.default_rng(0)
    for fitting_rows, window in windows(rows, draw_window, count):
        labels = window.predictions.labels
        truths.append(np.bincount(window.predictions.label_ids, minlength=len(labels)) / len(window.groups))
        correction = Correction.of(fitting_rows.predictions, fitting_rows.predicted_products)
        for name, method in methods.items():
            estimates_by_method[name].append(method(correction, window, generator))
    truth, result = np.array(truths), {}
    for name, estimates in estimates_by_method.items():
        share, low, high = np.moveaxis(np.array(estimates), 1, 0)
        values = {
            "error": abs(share - truth),
            "coverage": (low - 1e-9 <= truth) & (truth <= high + 1e-9),
            "width": high - low,
        }
        means = pd.DataFrame({key: each.mean(axis=0) for key, each in values.items()}, rows.predictions.labels)
        result[name] = means.mean().to_dict() | {"by_emotion": means.to_dict()}
    return {"rows": len(rows.groups), "windows": count, "methods": result}


if __name__ == "__main__":
    cli.run(main)
