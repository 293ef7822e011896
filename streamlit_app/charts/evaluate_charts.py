"""The charts of the Evaluate page: confusion matrix, reliability, risk and coverage."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.express as px
import plotly.graph_objects as go

from streamlit_app.charts.theme import AMOUNT, DARK_GREY, ORANGE, layout, plain, whiskers
from tf_model.evaluation.metrics import wilson_interval

HEIGHT = 380


def confusion(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> go.Figure:
    """The confusion matrix: rows are true classes, columns predicted ones, colours shares of the true class."""
    counts, names = np.asarray(matrix), [plain(label) for label in labels]
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = px.imshow(shares, x=names, y=names, zmin=0, zmax=1, color_continuous_scale="Blues", aspect="auto")
    figure.update_traces(
        text=[[f"{count:,}" if count else "" for count in row] for row in counts],
        texttemplate="%{text}",
        customdata=counts,
        hovertemplate="%{y}, predicted as %{x}: %{customdata:,} (%{z:.1%})<extra></extra>",
        xgap=1,
        ygap=1,
    )
    layout(figure, height=250 + 38 * len(names), x_title="predicted", y_title="true")
    figure.update_xaxes(type="category", tickangle=-35)
    return figure.update_yaxes(type="category").update_layout(coloraxis_showscale=False)


def reliability(bins: Sequence[Mapping[str, Any]]) -> go.Figure:
    """Accuracy by confidence, from the bins of :func:`tf_model.evaluation.calibration.reliability`.

    The more rows in a bin, the larger its point; a calibrated model lies on the diagonal.
    """
    frame = pd.DataFrame(bins)
    low, high = wilson_interval((frame["accuracy"] * frame["rows"]).round(), frame["rows"])
    figure = px.line(frame, x="confidence", y="accuracy", hover_data="rows")
    sizes = 5 + 11 * (frame["rows"] / frame["rows"].max()) ** 0.5  # few rows say little
    figure.update_traces(
        name="model",
        showlegend=True,
        mode="lines+markers",
        line_color=AMOUNT,
        marker={"size": sizes, "opacity": 1},
        error_y=whiskers(frame["accuracy"], low, high),
    )
    diagonal = {"color": DARK_GREY, "dash": "dot", "width": 1.5}
    figure.add_scatter(x=[0, 1], y=[0, 1], mode="lines", line=diagonal, name="perfect", hoverinfo="skip")
    layout(figure, height=HEIGHT, x_title="confidence", y_title="accuracy")
    figure.update_xaxes(range=[0, 1.02], tickformat=".0%")
    return figure.update_yaxes(range=[0, 1.02], tickformat=".0%")


def risk_coverage(points: Sequence[Mapping[str, Any]], chosen: tuple[float, float] | None = None) -> go.Figure:
    """Accuracy of the given answers by coverage, the share of texts that get one.

    ``points`` come from :func:`tf_model.evaluation.calibration.risk_coverage`; a diamond shows ``chosen``, the coverage
    and accuracy at the chosen threshold.
    """
    curve = pd.DataFrame(points)
    figure = px.line(curve, x="coverage", y="accuracy", hover_data="threshold")
    figure.update_traces(name="all thresholds", showlegend=True, line_color=AMOUNT)
    if chosen is not None:
        figure.add_scatter(
            x=[chosen[0]],
            y=[chosen[1]],
            mode="markers",
            marker={"color": ORANGE, "size": 15, "symbol": "diamond", "line": {"color": "white", "width": 1}},
            name="chosen threshold",
            hovertemplate="answered %{x:.1%}, accuracy %{y:.1%}<extra></extra>",
        )
    layout(figure, height=HEIGHT, x_title="share of texts that get an answer", y_title="accuracy of these answers")
    figure.update_xaxes(range=[0, 1.02], tickformat=".0%")
    return figure.update_yaxes(range=[max(0, curve["accuracy"].min() - 0.05), 1.01], tickformat=".0%")
