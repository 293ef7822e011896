"""How far a model's confidence can be trusted, and what a threshold on it would do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import streamlit as st

from streamlit_app.charts.theme import evaluate_charts, theme
from streamlit_app.charts.theme.evaluate_scores import interval
from streamlit_app.components.notices import plain_markdown
from tf_model.evaluation import calibration, error_analysis
from tf_model.inference.predictor import ANSWER
from tf_model.model_dir import ModelReport, Predictions

if TYPE_CHECKING:
    import numpy as np

DEFAULT_THRESHOLD = 0.5


def show_reliability(report: ModelReport, task: str, predictions: Predictions) -> None:
    """Confidence against accuracy on the validation part, and what calibration changed."""
    st.subheader("Does the confidence hold?", anchor=False)
    bins = calibration.reliability(predictions.label_ids, predictions.probabilities)
    ece = calibration.expected_calibration_error(predictions.label_ids, predictions.probabilities)
    brier = calibration.brier_score(predictions.label_ids, predictions.probabilities)
    left, right = st.columns([3, 1])
    with left:
        theme.show(
            evaluate_charts.reliability(bins),
            alt=f"Reliability diagram: accuracy by confidence. Expected calibration error {ece:.3f}.",
            caption="Above the dotted line the model is better than it says, below it too sure. Whiskers: 95%.",
            key="evaluate_reliability",
        )
    with right:
        st.metric(
            f"ECE, {calibration.BINS} bins",
            f"{ece:.4f}",
            help="Mean distance of confidence from accuracy, by rows; 0 is best",
        )
        st.metric(
            "Brier score", f"{brier:.4f}", help="Squared error of all probabilities, summed over classes; 0 is best"
        )
        st.metric("Mean confidence", f"{predictions.confidences.mean():.1%}")
        st.metric("Accuracy", f"{predictions.correct.mean():.1%}")
    st.caption(
        plain_markdown(f"Measured on the {len(predictions.rows):,} validation tweets. Protocol: {report.protocol}.")
    )
    _calibration_record(report, task)


def _calibration_record(report: ModelReport, task: str) -> None:
    """What calibration changed, on the rows that it was fitted on, as the model's own paper has it."""
    import pandas as pd

    found = report.calibration.get(task)
    if not isinstance(found, Mapping):
        return
    temperature = report.calibration.get("temperature")
    rows = [
        {"": f"{moment} calibration", "ECE": figures.get("ece"), "Brier score": figures.get("brier")}
        for moment in ("before", "after")
        if isinstance(figures := found.get(moment), Mapping)
    ]
    if rows:
        st.dataframe(
            pd.DataFrame(rows),
            hide_index=True,
            column_config={name: st.column_config.NumberColumn(format="%.4f") for name in ("ECE", "Brier score")},
            alt="Expected calibration error and Brier score before and after calibration",
        )
        degrees = temperature.get(task) if isinstance(temperature, Mapping) else None
        st.caption(
            "Measured on out-of-fold predictions, which the temperature"
            + (f" ({degrees:.3f})" if isinstance(degrees, int | float) else "")
            + " was fitted on."
        )


@st.fragment
def show_threshold(
    model: str,
    name: str,
    confidences: np.ndarray,
    right: np.ndarray,
    protocol: str,
    threshold: float = DEFAULT_THRESHOLD,
) -> None:
    """The slider and what it would do; moving it draws this section alone. ``name`` is a task or the answer."""
    st.subheader("What would a threshold do?", anchor=False)
    chosen = st.slider(
        'Answer only where the confidence is at least this, else "Not sure"',
        min_value=0.0,
        max_value=1.0,
        value=threshold,
        step=0.01,
        key=f"evaluate_threshold_{name}_{model}",  # each model begins at its own threshold
    )
    effect = error_analysis.threshold_effect(confidences, right, chosen)
    accuracy = "-" if effect.accuracy is None else f"{effect.accuracy:.1%}"
    figures = {
        "Answered": f"{effect.coverage:.1%}",
        "Right, of those answered": accuracy,
        "Wrong answers withheld": f"{effect.abstained_wrong:,}",
        "Right answers withheld": f"{effect.abstained_correct:,}",
    }
    for column, (label, value) in zip(st.columns(len(figures)), figures.items(), strict=True):
        column.metric(label, value, border=True)
    sentence = f"At {chosen:.2f} no validation tweet gets an answer."
    if effect.accuracy_interval:
        low, high = effect.accuracy_interval
        sentence = (
            f"At {chosen:.2f}, {effect.answered:,} of {effect.rows:,} validation tweets get an answer; "
            f"{effect.correct:,} of these are right: {accuracy} (95% interval {low:.1%} to {high:.1%})."
        )
    st.write(sentence)
    theme.show(
        evaluate_charts.risk_coverage(
            calibration.risk_coverage(confidences, right),
            None if effect.accuracy is None else (effect.coverage, effect.accuracy),
        ),
        alt=f"Accuracy of the given answers against the share that is answered. {sentence}",
        key=f"evaluate_risk_{name}",
    )
    st.caption(plain_markdown(f"Choose a threshold on other rows than you report on. Protocol: {protocol}."))


# ---------------------------------------------------------------- the answer


def show_answer(report: ModelReport, verdicts: tuple[np.ndarray, np.ndarray] | None) -> None:
    """The figures of the joined answer; ``verdicts`` as ``joint_correctness`` gives them."""
    figures = report.part("validation", ANSWER)
    st.subheader("The whole answer", anchor=False)
    shown = {
        "Exactly right": figures.get("accuracy"),
        "Right, emotional tweets": figures.get("emotion_rows_accuracy"),
        '"Not sure"': figures.get("not_sure_share"),
        "Right, of those answered": figures.get("answered_accuracy"),
    }
    for column, (label, value) in zip(st.columns(len(shown)), shown.items(), strict=True):
        column.metric(label, f"{value:.1%}" if isinstance(value, int | float) else "-", border=True, height="stretch")
    st.caption(
        plain_markdown(
            f"{figures.get('rows', 0):,} validation tweets; 95% interval of exactly right: {interval(figures)}. "
            "A tweet without an emotion is right when none is answered, one with an emotion when the emotion and, "
            "where labelled, the product are right. The first two figures are those of the best guess, as if nothing "
            f"was withheld. Protocol: {report.protocol}."
        )
    )
    if verdicts is None:
        st.info("What a threshold would do needs validation_predictions.csv, which this model has not.")
        return
    threshold = report.calibration.get("threshold")
    own = isinstance(threshold, int | float) and 0 <= threshold <= 1
    show_threshold(report.name, ANSWER, *verdicts, report.protocol, float(threshold) if own else DEFAULT_THRESHOLD)
    if own:
        st.caption(
            f"The slider begins at the model's own threshold, {threshold:.2f}: it decides what the page Ask withholds."
        )
