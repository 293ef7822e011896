"""The share of each emotion, corrected for the errors that the model is known to make.

Expectation maximization for label shift (M. Saerens et al., "Adjusting the outputs of a classifier to new a priori
probabilities", Neural Computation 14, 2002), on probabilities that the validation rows calibrate.
``research/shares.py`` says how well it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tf_model import tasks
from tf_model.analysis.rows import LEAST_TEXTS, by_product
from tf_model.errors import ModelError
from tf_model.evaluation.metrics import Z
from tf_model.model_dir import Predictions, probability_column, read_report

LEAST_LABELLED = 10  # validation rows of an emotion
# For the interval. Of each emotion no more than so many rows calibrate at once: the texts of a user read differently
# from those that validated the model, so that these say less than their number.
DRAWS, DRAWN = 100, 30
MOST_TEXTS = 2_000  # drawn of more: what is not known of the model counts for more than the chance of the draw
STEPS, TOLERANCE = 200, 1e-4  # of the maximization, and the least change of a share


@dataclass(frozen=True, eq=False)
class Correction:
    """What the validation rows of a model say about its probabilities of C emotions."""

    rows: int
    calibrations: tuple[tuple[Any, np.ndarray], ...]  # fitted, and the shares that it was fitted to, float64 [C]

    @classmethod
    def of(cls, labelled: Predictions) -> Correction:
        """From validation rows with a label: calibrated by vector scaling, by all rows and by :data:`DRAWS` draws.

        Rows with the same probabilities are one text and its copies, which count once. :class:`ModelError` where an
        emotion has too few rows.
        """
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits

        kept = np.unique(labelled.probabilities, axis=0, return_index=True)[1]
        inputs, label_ids = _logs(labelled.probabilities[kept]), labelled.label_ids[kept]
        by_emotion = [np.flatnonzero(label_ids == number) for number in range(len(labelled.labels))]
        for emotion, own in zip(labelled.labels, by_emotion, strict=True):
            if len(own) < LEAST_LABELLED:
                raise ModelError(
                    f"shares cannot be corrected: the model was validated on {len(own)} rows of {emotion!r}, and "
                    f"{LEAST_LABELLED} are needed; label more rows and train it again"
                )
        generator = np.random.default_rng(0)
        draws = [
            np.concatenate([generator.choice(own, min(len(own), DRAWN)) for own in by_emotion]) for _ in range(DRAWS)
        ]
        with threadpool_limits(1):  # so small are they that threads would only wait for each other
            calibrations = tuple(
                (LogisticRegression(C=10).fit(inputs[each], label_ids[each]), np.bincount(label_ids[each]) / len(each))
                for each in (np.arange(len(kept)), *draws)
            )
        return cls(len(kept), calibrations)


def read_correction(folder: Path | str) -> Correction:
    """The correction of a saved model; :class:`ModelError` where its validation rows do not tell."""
    report = read_report(folder)
    labelled = report.labelled(tasks.TARGET.name if tasks.TARGET.name in report.labels else tasks.EMOTION.name)
    if labelled is None:
        raise ModelError("; ".join(report.problems) or f"{folder} was validated on no row with a label of the emotion")
    return Correction.of(labelled)


def emotion_shares(
    rows: pd.DataFrame, emotions: Sequence[str], correction: Correction | None, checked: pd.Series | None = None
) -> pd.DataFrame:
    """For all rows, each product and emotion: ``texts``, ``counted`` of them, and ``counted_share`` (0 to 1).

    With a correction also ``share`` with the 95% interval ``low``, ``high``; NaN of fewer than 30 texts. ``checked``
    are emotions that people gave to rows in the order of :func:`draw`, by their index, None where they could not tell:
    they narrow the interval.
    """
    lines = []
    for product, own in by_product(rows):
        counted = own["emotion"].value_counts().reindex(emotions, fill_value=0).to_numpy()
        estimate = np.full((3, len(emotions)), np.nan)
        if correction and len(own) >= LEAST_TEXTS:
            known = pd.Series(dtype=object) if checked is None else checked_sample(own, checked)
            counts = known.value_counts().reindex(emotions, fill_value=0).to_numpy()
            probabilities = own[[probability_column("emotion", each) for each in emotions]].to_numpy()
            estimate = estimated_shares(probabilities, correction, counts)
        for emotion, count, share, low, high in zip(emotions, counted, *estimate, strict=True):
            lines.append((product, emotion, len(own), count, count / max(len(own), 1), share, low, high))
    columns = ["product", "emotion", "texts", "counted", "counted_share", "share", "low", "high"]
    return pd.DataFrame(lines, columns=columns)


def estimated_shares(
    probabilities: np.ndarray, correction: Correction, checked: np.ndarray | None = None
) -> np.ndarray:
    """Share, lower and upper bound of the 95% interval of each emotion, float64 [3, C], of float [N, C].

    ``checked``: how many of the rows, drawn at random, people gave each emotion, int [C].
    """
    generator = np.random.default_rng(1)
    counted = np.bincount(probabilities.argmax(axis=1), minlength=probabilities.shape[1]) / len(probabilities)
    inputs = _logs(generator.permutation(probabilities)[:MOST_TEXTS])
    (model, prior), *draws = correction.calibrations
    share = _mixture(model.predict_proba(inputs), prior)
    drawn = []
    for model, prior in draws:
        drawn.append(_mixture(model.predict_proba(generator.choice(inputs, len(inputs))), prior))
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    variance = np.var(drawn, axis=0)
    if checked is None or not checked.sum():
        # Shrunk towards the count by as much as chance alone would move it (W. James and C. Stein, 1961).
        distance = share - counted
        share = counted + max(0, 1 - variance.sum() / max((distance**2).sum(), 1e-12)) * distance
        return np.stack([share, np.minimum(low, share), np.maximum(high, share)])
    # Two estimates, each weighed by its precision (W. G. Cochran, 1954). One more of each emotion: of 50 texts without
    # a negative one it is not certain that there is none.
    smooth = (checked + 1) / (checked + 1).sum()
    weight = 1 / (1 + variance / (smooth * (1 - smooth) / checked.sum()))
    share = weight * share + (1 - weight) * checked / checked.sum()
    share, half = share / share.sum(), Z * np.sqrt(weight * variance)
    return np.clip(np.stack([share, share - half, share + half]), 0, 1)


def _logs(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.clip(probabilities, 1e-6, 1))


def _mixture(posterior: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """The most likely shares, float64 [C], of texts whose probabilities [N, C] hold where the shares are ``prior``."""
    likelihood, shares = posterior / prior, prior
    for _ in range(STEPS):
        joint = likelihood * shares
        before, shares = shares, (joint / joint.sum(axis=1, keepdims=True)).mean(axis=0)
        if abs(shares - before).max() < TOLERANCE:
            break
    return shares


def draw(rows: pd.DataFrame) -> pd.Index:
    """The index of the rows in the order in which people check them: at random, and the same for any selection."""
    return rows.index[np.argsort(pd.util.hash_array(rows.index.to_numpy()), kind="stable")]


def checked_sample(rows: pd.DataFrame, checked: pd.Series) -> pd.Series:
    """Of the rows that people checked, those that are a random sample of ``rows``: the first of :func:`draw`.

    Rows that were checked while others were selected are none, where one before them was not.
    """
    order = draw(rows)
    is_checked = np.append(order.isin(checked.index), False)
    return checked[order[: is_checked.argmin()]]
