"""Evaluate: what was measured of the trained models, and under which protocol."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from streamlit_app.charts.theme import evaluate_confidence, evaluate_scores
from streamlit_app.components import loading
from streamlit_app.components.notices import plain_markdown
from tf_model import data, model_dir
from tf_model.cli import duration
from tf_model.errors import TweetTargetError, plural
from tf_model.evaluation import error_analysis
from tf_model.inference.predictor import ANSWER
from tf_model.model_dir import ModelReport, Predictions

TASK_NAMES = {"answer": "Answer: emotion and product together", "product": "Product", "emotion": "Emotion"}
MOST_MISTAKES = 50
_PROTOCOL_ROW = 70  # pixels: cells wrap from about 64 on


def main() -> None:
    """The page."""
    st.title("Evaluate")
    st.write("What was measured of each trained model. The protocol stands beside the figures: read it first.")
    reports = [_report(str(folder), model_dir.fingerprint(folder)) for folder in _folders()]
    if not reports:
        st.info(
            "No model is trained yet: the folder of models holds none. Run `make answer`, or `make train` for "
            "the report's product model alone. This page shows it as soon as it is there.",
            icon=":material/model_training:",
        )
        return
    _overview(reports)
    names = {report.name: report for report in reports}
    chosen = st.selectbox("Model", list(names), format_func=lambda name: _option(names[name]), key="evaluate_model")
    _model(names[chosen])


def _folders() -> tuple[Path, ...]:
    return model_dir.model_folders(loading.models_folder())


@st.cache_data(max_entries=32, show_spinner="Reading the model's papers")
def _report(folder: str, fingerprint: model_dir.Fingerprint) -> ModelReport:
    """The papers of a model, read again when one of them changes, which the fingerprint shows."""
    return model_dir.read_report(folder)


@st.cache_data(max_entries=8, show_spinner="Joining emotion and product")
def _verdicts(folder: str, fingerprint: model_dir.Fingerprint) -> tuple[np.ndarray, np.ndarray] | None:
    """Confidence and verdict of each joined answer."""
    return error_analysis.joint_correctness(_report(folder, fingerprint))


def _option(report: ModelReport) -> str:
    if not report.is_whole:
        return f"{report.name} (broken)"
    return f"{report.name} (sample corpus)" if report.is_sample else report.name


# ---------------------------------------------------------------- all models


def _overview(reports: Sequence[ModelReport]) -> None:
    import pandas as pd

    rows = [_overview_row(report, task) for report in reports for task in (_judged(report) or [""])]
    st.subheader("Trained models", anchor=False)
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={
            "accuracy": st.column_config.NumberColumn(format="%.4f"),
            "macro-F1": st.column_config.NumberColumn(format="%.4f"),
            "protocol": st.column_config.TextColumn(width="medium"),
        },
        row_height=_PROTOCOL_ROW,
        placeholder="-",  # the joined answer has no macro-F1
        alt="Each trained model with its validation accuracy, interval, macro-F1, rows, dataset and protocol",
    )
    st.caption(
        "Validation part of each model; the interval is Wilson's, 95%. Figures of different rows do not compare."
    )


def _overview_row(report: ModelReport, task: str) -> dict[str, Any]:
    figures = report.part("validation", task)
    state = "broken" if not report.is_whole else "incomplete" if report.problems else "whole"
    return {
        "model": report.name,
        "task": task or "unknown",
        "accuracy": figures.get("accuracy"),
        "95% interval": evaluate_scores.interval(figures),
        "macro-F1": figures.get("macro_f1"),
        "rows": figures.get("rows"),
        "dataset": str(report.metrics.get("dataset", "")),
        "state": state,
        "protocol": report.protocol,
    }


# ---------------------------------------------------------------- one model


def _model(report: ModelReport) -> None:
    _states(report)
    st.caption(_provenance(report))
    names = _judged(report)
    if not names:
        return
    task = names[0]
    if len(names) > 1:
        task = st.segmented_control(
            "What is judged", names, default=names[0], required=True, format_func=TASK_NAMES.get, key="evaluate_task"
        )
    if task == ANSWER:
        verdicts = _verdicts(str(report.folder), model_dir.fingerprint(report.folder))
        evaluate_confidence.show_answer(report, verdicts)
    else:
        _task(report, task)
    evaluate_scores.show_learning_curves(report)
    _card(report)


def _judged(report: ModelReport) -> list[str]:
    """What the model can be judged by: each of its tasks, and first of all the joined answer."""
    return [*([ANSWER] if report.task == ANSWER else []), *report.labels]


def _states(report: ModelReport) -> None:
    name = plain_markdown(report.name)
    problems = "\n".join(f"- {plain_markdown(problem)}" for problem in report.problems)
    if not report.is_whole:
        st.error(f"The model **{name}** cannot be loaded.\n\n{problems}", icon=":material/error:")
    elif report.problems:
        st.warning(f"Some papers of **{name}** cannot be shown.\n\n{problems}", icon=":material/warning:")
    if report.is_sample:
        st.warning(
            "This model was trained on the sample corpus, which was made up to try the program out: none of these "
            "figures says anything about real tweets.",
            icon=":material/warning:",
        )


def _provenance(report: ModelReport) -> str:
    metrics, backbone = report.metrics, report.metrics.get("backbone")
    parts = [f"Protocol: {report.protocol}."]
    if metrics.get("dataset"):
        parts.append(f"Dataset: {metrics['dataset']}, {metrics.get('rows', 0):,} rows.")
    if isinstance(backbone, Mapping):
        parts.append(f"Backbone: {backbone.get('name')}; recipe: {metrics.get('recipe')}; seed {metrics.get('seed')}.")
    if isinstance(metrics.get("seconds"), int | float):
        parts.append(f"Trained for {duration(metrics['seconds'])} on {metrics.get('device')}.")
    return plain_markdown(" ".join(parts))


def _task(report: ModelReport, task: str) -> None:
    train, validation = report.part("train", task), report.part("validation", task)
    if validation:
        evaluate_scores.show_beside_the_report(report, task, train, validation)
        evaluate_scores.show_classes(report, task, validation)
    predictions = report.labelled(task)
    if predictions is None:
        st.info(
            "Reliability, threshold and mistakes need validation_predictions.csv with labelled rows, which this model "
            "has not.",
            icon=":material/info:",
        )
        return
    evaluate_confidence.show_reliability(report, task, predictions)
    evaluate_confidence.show_threshold(report.name, task, predictions.confidences, predictions.correct, report.protocol)
    _mistakes(report, task, predictions)


# ---------------------------------------------------------------- mistakes, card


def _mistakes(report: ModelReport, task: str, predictions: Predictions) -> None:
    st.subheader("The hardest mistakes", anchor=False)
    mistakes = error_analysis.hardest_mistakes(predictions, MOST_MISTAKES)
    if mistakes.empty:
        st.info("No mistake on the validation part.", icon=":material/check:")
        return
    texts, reason = _texts(report.data_sha256, os.environ.get(data.DATA_VARIABLE))
    frame = mistakes
    if texts is None:
        st.info(f"Row numbers without their texts: {plain_markdown(reason)}", icon=":material/info:")
    else:
        frame = error_analysis.with_texts(mistakes, texts)
    # A dataframe draws its cells letter by letter: no tweet is ever read as HTML or Markdown.
    st.dataframe(
        frame,
        hide_index=True,
        row_height=70 if texts is not None else None,
        column_config={
            "text": st.column_config.TextColumn("tweet", width=300),
            "row": st.column_config.NumberColumn(
                "row", format="%d", help="Counted from 0 in the data part of the file"
            ),
            "label": "labelled",
            "confidence": st.column_config.NumberColumn(format="%.3f", help="Of the predicted class"),
            "true_probability": st.column_config.NumberColumn("P(labelled)", format="%.4f"),
        },
        alt="The validation tweets whose label the model thought least probable",
    )
    total = int((~predictions.correct).sum())
    st.caption(
        f"{len(mistakes):,} of {total:,} {plural(total, 'mistake', 'mistakes')}, those first whose label the model "
        "thought least probable. Some of them are mistakes of the labels."
    )


@st.cache_data(max_entries=4, ttl=60, show_spinner="Reading the dataset")
def _texts(data_sha256: str | None, named: str | None) -> tuple[dict[int, str] | None, str]:
    """The texts by row number, or None and why not; ``named`` is the dataset that the environment names."""
    try:
        return error_analysis.texts_of(data.read(data.resolve().path), data_sha256), ""
    except TweetTargetError as error:
        return None, str(error)


def _card(report: ModelReport) -> None:
    if report.card is None:
        return
    with st.expander("Model card"):
        body = report.card.split("---\n", 2)[-1] if report.card.startswith("---\n") else report.card
        # No picture: the browser would fetch it from wherever the card says.
        st.markdown(body.replace("![", "&#33;["))


main()
