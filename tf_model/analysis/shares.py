"""The share of each emotion, corrected for the known errors of the model.

Expectation maximization for label shift (M. Saerens et al., "Adjusting the outputs of a classifier to new a priori
probabilities", Neural Computation 14, 2002), on probabilities calibrated on the validation rows. The probabilities
of a model that names products already reflect the shares of emotions for the product. So the shift is measured from the
shares of that product, not from those of all rows. ``research/shares.py`` measures the accuracy of the correction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from tf_model import tasks
from tf_model.analysis.rows import LEAST_TEXTS, by_product
from tf_model.errors import ModelError
from tf_model.evaluation.metrics import Z
from tf_model.model_dir import ModelReport, Predictions, probability_column, read_report

LEAST_LABELLED = 10  # validation rows of an emotion
# For the interval: the number of resamples, and the most rows of an emotion in each. A user's texts differ from the
# validation texts, which therefore say less than their number suggests.
RESAMPLES, RESAMPLED_ROWS = 100, 30
MOST_TEXTS = 2_000  # a sample if there are more: the model's errors matter more than the sampling error
PSEUDO_ROWS = 20  # with the shares of all products, added to the validation rows of one, which may be few
STEPS, TOLERANCE = 200, 1e-4  # of the maximization, and the change of a weight at which it stops


@dataclass(frozen=True, eq=False)
class Calibration:
    """A model fitted to validation rows: posteriors of C emotions, at the shares of all validation rows."""

    weights: np.ndarray  # float64 [C + 1, C], the intercepts in the last row
    shares: np.ndarray  # float64 [C]
    by_product: Mapping[str, np.ndarray]  # float64 [C] each, of the texts that the model assigns to a product

    def posterior(self, inputs: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, float64 [N, C], from the logarithms of a model's, [N, C]."""
        from scipy.special import softmax

        return softmax(inputs @ self.weights[:-1] + self.weights[-1], axis=1)


@dataclass(frozen=True, eq=False)
class Correction:
    """Calibrations of a model's probabilities of C emotions, from its validation rows."""

    rows: int
    calibrations: tuple[Calibration, ...]

    @classmethod
    def of(cls, labelled: Predictions, products: pd.Series | None = None) -> Correction:
        """Calibrate by matrix scaling on labelled validation rows: on all rows, and on :data:`RESAMPLES` resamples.

        ``products``: the one that the model names for each row, str [N]; None if it names none. Rows with the same
        probabilities are copies of one text and count once. Raises :class:`ModelError` if an emotion has too few rows.
        """
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits

        unique_rows = np.unique(labelled.probabilities, axis=0, return_index=True)[1]
        inputs, label_ids = _logs(labelled.probabilities[unique_rows]), labelled.label_ids[unique_rows]
        by_emotion = [np.flatnonzero(label_ids == number) for number in range(len(labelled.labels))]
        for emotion, rows in zip(labelled.labels, by_emotion, strict=True):
            if len(rows) < LEAST_LABELLED:
                raise ModelError(
                    f"the model was validated on {len(rows)} rows of {emotion!r}, and "
                    f"{LEAST_LABELLED} are needed; label more rows and train it again"
                )
        shares = np.bincount(label_ids) / len(unique_rows)

        def calibration(resample: np.ndarray) -> Calibration:
            model = LogisticRegression(C=10).fit(inputs[resample], label_ids[resample])
            shift = np.log(shares / (np.bincount(label_ids[resample]) / len(resample)))
            weights = np.vstack([model.coef_.T, model.intercept_])
            if len(shift) == 2:  # of two classes, one has a logit
                weights = np.hstack([np.zeros_like(weights), weights])
            weights[-1] += shift
            calibrated = Calibration(weights, shares, {})
            if products is None:
                return calibrated
            groups = pd.DataFrame(calibrated.posterior(inputs)).groupby(products.to_numpy()[unique_rows])
            smoothed = (groups.sum() + PSEUDO_ROWS * shares).div(groups.size() + PSEUDO_ROWS, axis=0)
            return replace(calibrated, by_product=dict(zip(smoothed.index, smoothed.to_numpy(), strict=True)))

        generator = np.random.default_rng(0)
        resamples = [
            np.concatenate([generator.choice(rows, min(len(rows), RESAMPLED_ROWS)) for rows in by_emotion])
            for _ in range(RESAMPLES)
        ]
        with threadpool_limits(1):  # the fits are so small that threads would only wait for each other
            return cls(len(unique_rows), tuple(map(calibration, (np.arange(len(unique_rows)), *resamples))))


def read_correction(folder: Path | str) -> Correction:
    """The correction of a saved model; :class:`ModelError` if its validation rows do not suffice."""
    report = read_report(folder)
    task = tasks.TARGET.name if tasks.TARGET.name in report.labels else tasks.EMOTION.name
    if task not in report.labels:
        raise ModelError(f"{folder} has no validation rows labelled with an emotion")
    return Correction.of(report.labelled(task), named_products(report, task))


def named_products(report: ModelReport, task: str) -> pd.Series | None:
    """The product of each validation row with a label of ``task``, as the model names it; None if it names none."""
    if (products := report.labelled(task).products) is not None:
        return pd.Series(products)
    if tasks.PRODUCT.name not in report.predictions:
        return None
    products = report.predictions[tasks.PRODUCT.name]
    labelled_products = products.take(report.predictions[task].label_ids != tasks.NO_LABEL)
    return pd.Series(np.array(products.labels, object)[labelled_products.predicted_ids])


def emotion_shares(
    rows: pd.DataFrame,
    emotions: Sequence[str],
    correction: Correction | None,
    checked_labels: pd.Series | None = None,
    by_words: bool = False,
) -> pd.DataFrame:
    """The share of each emotion, for all rows and each product: ``texts``, ``counted``, ``counted_share`` (0 to 1).

    With a correction also the corrected ``share`` with its 95% interval ``low``, ``high``; NaN for fewer than 30 texts.
    ``checked_labels`` are emotions that people gave to rows in the order of :func:`checking_order`, by row index, None
    where they could not tell; ``checked`` is how many are a sample of the line's texts and so narrow the interval.
    ``by_words``: see :func:`estimated_shares`.
    """
    if checked_labels is None:
        checked_labels = pd.Series(dtype=object)
    names, lines = [probability_column("emotion", each) for each in emotions], []
    for product, product_rows in by_product(rows[["product", "emotion", *names]]):
        model_counts = product_rows["emotion"].value_counts().reindex(emotions, fill_value=0).to_numpy()
        estimate, sample = np.full((3, len(emotions)), np.nan), checked_sample(product_rows, checked_labels)
        if correction and len(product_rows) >= LEAST_TEXTS:
            checked_ids = pd.Categorical(sample.reindex(product_rows.index), emotions).codes
            estimate = estimated_shares(
                product_rows[names].to_numpy(), product_rows["product"], correction, checked_ids, by_words
            )
        for emotion, count, share, low, high in zip(emotions, model_counts, *estimate, strict=True):
            counted_share = count / max(len(product_rows), 1)
            lines.append((product, emotion, len(product_rows), sample.count(), count, counted_share, share, low, high))
    columns = ["product", "emotion", "texts", "checked", "counted", "counted_share", "share", "low", "high"]
    return pd.DataFrame(lines, columns=columns)


def estimated_shares(
    probabilities: np.ndarray,
    products: pd.Series,
    correction: Correction,
    checked_ids: np.ndarray | None = None,
    by_words: bool = False,
) -> np.ndarray:
    """Share, lower and upper bound of the 95% interval of each emotion, float64 [3, C], from float [N, C].

    ``products`` are those of the N texts. ``checked_ids``: the emotions that people gave to randomly drawn rows, int
    [N], -1 elsewhere. ``by_words``: the texts were selected by a word, which the probabilities already reflect, so that
    the shares are not taken for shifted.
    """
    generator = np.random.default_rng(1)
    sample = generator.permutation(len(probabilities))[:MOST_TEXTS]
    inputs = _logs(probabilities[sample])
    codes, names = pd.factorize(products.iloc[sample], use_na_sentinel=False)  # a text may have no product

    def estimates(calibration: Calibration, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        posterior = calibration.posterior(inputs[rows])
        priors = np.stack([calibration.by_product.get(name, calibration.shares) for name in names])
        return _shifted(posterior, priors, np.bincount(codes[rows], minlength=len(names))), posterior.mean(axis=0)

    main_calibration, *resampled = correction.calibrations
    shifted, unshifted = estimates(main_calibration, np.arange(len(inputs)))
    resampled_shares = np.array([estimates(each, generator.choice(len(inputs), len(inputs))) for each in resampled])
    # The texts do not tell whether the shares of emotions differ from training or only the wording does: the interval
    # covers both. The shift is shrunk by the part that chance explains (W. James and C. Stein, 1961); subtracting that
    # part twice had the least squared error out of fold.
    distance, chance_variance = shifted - unshifted, np.var(resampled_shares[:, 0], axis=0).sum()
    shift = 0 if by_words else max(0, 1 - 2 * chance_variance / max((distance**2).sum(), 1e-12))
    share = unshifted + shift * distance
    bounds = np.quantile(resampled_shares, (0.025, 0.975), axis=0)
    low, high = np.minimum(bounds[0].min(axis=0), share), np.maximum(bounds[1].max(axis=0), share)
    if checked_ids is None or (checked_ids < 0).all():
        return np.stack([share, low, high])
    # The mean probability, and its mean error in the checked rows (W. G. Cochran, 1977, difference estimator).
    is_checked = checked_ids >= 0
    errors = np.eye(probabilities.shape[1])[checked_ids[is_checked]] - probabilities[is_checked]
    checked, observed = len(errors), probabilities.mean(axis=0) + errors.mean(axis=0)
    # As if one more row were wrong: 50 rows without an error do not prove that there is none. Drawn without
    # replacement: once all texts are checked, their share is known.
    squares = ((errors - errors.mean(axis=0)) ** 2).sum(axis=0) + 1
    sampling_variance = squares / (checked + 1) / checked * (1 - checked / len(probabilities))
    # The mean of two estimates, weighted by precision (W. G. Cochran, 1954). More difference than chance explains is an
    # error of the correction on these texts (R. DerSimonian and N. Laird, 1986).
    variance = np.maximum(((high - low) / 2 / Z) ** 2, (share - observed) ** 2 - sampling_variance)
    weight = sampling_variance / np.maximum(sampling_variance + variance, 1e-12)
    share = np.clip(weight * share + (1 - weight) * observed, 0, 1)
    share, margin = share / share.sum(), Z * np.sqrt(weight * variance)
    return np.clip(np.stack([share, share - margin, share + margin]), 0, 1)


def _logs(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.clip(probabilities, 1e-6, 1))


def _shifted(posterior: np.ndarray, priors: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The most likely shares, float64 [C], of texts with probabilities ``posterior`` [N, C].

    Of the N texts, ``counts`` [P] are about each product, for which the probabilities assume the shares ``priors``
    [P, C]. The weights are how much more frequent each emotion is than in these.
    """
    posterior, weights = np.maximum(posterior, 1e-12), np.ones(posterior.shape[1])
    for _ in range(STEPS):
        observed, expected = 1 / (posterior @ weights) @ posterior, counts / (priors @ weights) @ priors
        previous, weights = weights, weights * observed / expected
        weights /= weights.sum()
        if abs(weights - previous).max() < TOLERANCE:
            break
    return previous * observed / len(posterior)


def checking_order(rows: pd.DataFrame) -> pd.Index:
    """The index of the rows in the order in which people check them: random, and the same in any selection."""
    return rows.index[np.argsort(pd.util.hash_array(rows.index.to_numpy()), kind="stable")]


def checked_sample(rows: pd.DataFrame, checked_labels: pd.Series) -> pd.Series:
    """The checked rows that are a random sample of ``rows``: those before the first unchecked in the checking order.

    Later rows were checked as part of another selection, so they are not random here.
    """
    order = checking_order(rows)
    is_checked = np.append(order.isin(checked_labels.index), False)
    return checked_labels[order[: is_checked.argmin()]]
