"""The figures of one model: beside the report's, by class, over the epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from streamlit_app.charts.theme import evaluate_charts, theme
from streamlit_app.components.notices import plain_markdown
from tf_model.evaluation.error_analysis import report_metrics
from tf_model.evaluation.metrics import figure, wilson_interval
from tf_model.model_dir import ModelReport

if TYPE_CHECKING:
    import pandas as pd

FIGURES = {"accuracy": "accuracy", "macro_f1": "macro-F1", "loss": "loss"}


def show_beside_the_report(report: ModelReport, task: str, train: Mapping, validation: Mapping) -> None:
    """Accuracy, macro-F1 and loss of both parts, each beside the report's where there is one."""
    import pandas as pd

    reference, words = report_metrics(report, task)
    comparable = words.startswith("Comparable")
    st.subheader("Figures beside the report's", anchor=False)
    columns = st.columns(len(FIGURES) + 1)
    for column, (key, name) in zip(columns, FIGURES.items(), strict=False):
        value, theirs = validation.get(key), reference.get("validation", {}).get(key)
        with column:
            st.metric(
                f"Validation {name}",
                figure(value),
                delta=None if value is None or theirs is None or not comparable else f"{value - theirs:+.4f}",
                delta_color="inverse" if key == "loss" else "normal",
                delta_description=None if theirs is None or not comparable else f"report: {theirs:.4f}",
                border=True,
                height="stretch",
            )
    columns[-1].metric(
        "Validation tweets",
        f"{validation['rows']:,}",
        border=True,
        height="stretch",
    )
    rows = []
    for part, figures in (("training", train), ("validation", validation)):
        row: dict[str, Any] = {"part": part, "rows": figures.get("rows")}
        for key, name in FIGURES.items():
            row |= {name: figures.get(key)}
            if any(key in theirs for theirs in reference.values()):
                row |= {f"{name}, report": reference["train" if part == "training" else part].get(key)}
        rows.append(row)
    numbers = [name for name in rows[0] if name not in ("part", "rows")]
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={name: st.column_config.NumberColumn(format="%.4f") for name in numbers},
        alt="Loss, accuracy and macro-F1 of both parts beside the report's figures",
    )
    bounds = f"95% interval of the validation accuracy: {interval(validation)}."
    st.caption(plain_markdown(f"{words} {bounds} Protocol: {report.protocol}."))


def show_classes(report: ModelReport, task: str, validation: Mapping) -> None:
    """The confusion matrix and the figures of each class, on the validation part."""
    import pandas as pd

    labels = report.labels[task]
    if validation.get("confusion_matrix"):
        st.subheader("Which class is taken for which", anchor=False)
        theme.show(
            evaluate_charts.confusion(validation["confusion_matrix"], labels),
            alt=_confusion_words(validation["confusion_matrix"], labels),
            caption=f"Rows of the validation part ({validation['rows']:,} tweets); the diagonal is right.",
            key="evaluate_confusion",
        )
    if validation.get("per_class"):
        st.subheader("Each class", anchor=False)
        rows = [{"class": label, **scores} for label, scores in validation["per_class"].items()]
        frame = pd.DataFrame(rows).rename(columns={"f1": "F1", "support": "rows"})
        if {"recall", "rows"} <= set(frame):
            frame["recall, 95% interval"] = [
                range_of(wilson_interval(round(recall * count), count)) if count else "-"
                for recall, count in zip(frame["recall"], frame["rows"], strict=True)
            ]
        bar = st.column_config.ProgressColumn
        st.dataframe(
            frame,
            hide_index=True,
            column_config={
                name: bar(format="%.3f", min_value=0, max_value=1) for name in ("precision", "recall", "F1")
            },
            alt="Precision, recall and F1 of each class with its number of rows",
        )
        st.caption("A class with few rows has a wide interval: its figures say little.")


def _confusion_words(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> str:
    confused = sorted(
        (
            (count, labels[row], labels[column])
            for row, counts in enumerate(matrix)
            for column, count in enumerate(counts)
            if row != column and count
        ),
        reverse=True,
    )[:3]
    most = "; ".join(f"{true} taken for {predicted}: {count}" for count, true, predicted in confused)
    return f"Confusion matrix of {len(labels)} classes. Most often confused: {most or 'nothing'}."


def show_learning_curves(report: ModelReport) -> None:
    """Loss and accuracy after each epoch, if they were kept."""
    if report.history is None:
        return
    st.subheader("Learning curves", anchor=False)
    reference, words = report_metrics(report, report.task)
    theirs = reference.get("validation", {}) if words.startswith("Comparable") else {}
    for column, name in zip(st.columns(2), ("loss", "accuracy"), strict=True):
        with column:
            theme.show(
                evaluate_charts.learning_curve(report.history, name, theirs.get(name)),
                alt=_curve_words(report.history, name),
                key=f"evaluate_curve_{name}",
            )
    st.caption(
        "After each epoch. The training curve is the mean over the epoch, with dropout, so it may lie below the "
        "validation curve."
    )


def _curve_words(history: pd.DataFrame, name: str) -> str:
    last = history.iloc[-1]
    validation = f", validation {last[f'val_{name}']:.4f}" if f"val_{name}" in history else ""
    return f"{name} over {len(history)} epochs; after the last: training {last[name]:.4f}{validation}."


# ---------------------------------------------------------------- words


def interval(figures: Mapping) -> str:
    """The 95% interval of an accuracy in words; a dash where there is none."""
    found = figures.get("accuracy_interval")
    return range_of(found) if isinstance(found, list | tuple) and len(found) == 2 else "-"


def range_of(bounds: Sequence[float]) -> str:
    """``0.848 to 0.899``."""
    return f"{bounds[0]:.3f} to {bounds[1]:.3f}"
