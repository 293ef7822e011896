"""The charts of the Evaluate page: learning curves, confusion matrix, reliability, risk and coverage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from streamlit_app.charts.theme.theme import BLUE, DARK_GREY, ORANGE, SEQUENTIAL, SKY, VERMILION, layout, plain
from tf_model.evaluation.metrics import wilson_interval

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

HEIGHT = 380
FEW_POINTS = 5  # a line of one point is not seen
REFERENCE_LINE = {"color": DARK_GREY, "dash": "dot", "width": 1.5}


def learning_curve(history: pd.DataFrame, figure_name: str, reference: float | None = None) -> go.Figure:
    """Training and validation part after each epoch; the report's validation figure as a dotted line.

    Args:
        history: The columns ``epoch``, ``figure_name`` and, where there is one, ``val_<figure_name>``.
        figure_name: ``"loss"`` or ``"accuracy"``.
        reference: The report's figure for the validation part.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    # Told apart by dash and symbol as well as by colour.
    for column, name, colour, dash, symbol in (
        (figure_name, "training", BLUE, "solid", "circle"),
        (f"val_{figure_name}", "validation", ORANGE, "dash", "diamond"),
    ):
        if column in history:
            figure.add_trace(
                go.Scatter(
                    x=history["epoch"],
                    y=history[column],
                    name=name,
                    mode="lines+markers",
                    line={"color": colour, "dash": dash, "width": 2},
                    marker={"symbol": symbol, "size": 7},
                    hovertemplate=f"epoch %{{x}}: %{{y:.4f}}<extra>{name}</extra>",
                )
            )
    if reference is not None:
        figure.add_hline(
            y=reference, line=REFERENCE_LINE, annotation_text="report, validation", annotation_position="bottom right"
        )
    layout(figure, title=figure_name.capitalize(), height=HEIGHT, x_title="epoch")
    last = max(int(history["epoch"].max()), 1)
    return figure.update_xaxes(range=[0, last + 0.3], dtick=-(-last // 10))  # whole epochs, ten numbers at most


def confusion(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> go.Figure:
    """Counts, coloured by their share of the true class; the row is the true class, the column the predicted one."""
    import plotly.graph_objects as go

    counts = np.asarray(matrix)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [plain(label) for label in labels]
    places = list(range(len(names)))
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=places,
            y=places,
            zmin=0,
            zmax=1,
            colorscale=[list(step) for step in SEQUENTIAL],
            colorbar={"title": {"text": "share of<br>true class"}, "tickformat": ".0%", "thickness": 12},
            text=[[f"{count:,}" if count else "" for count in row] for row in counts],
            texttemplate="%{text}",
            customdata=[[[names[row], names[column], counts[row, column]] for column in places] for row in places],
            hovertemplate="%{customdata[0]}, predicted as %{customdata[1]}: "
            "%{customdata[2]:,} (%{z:.1%})<extra></extra>",
            xgap=1,
            ygap=1,
        )
    )
    layout(figure, height=160 + 38 * len(names) + (90 if len(names) > 4 else 40), x_title="predicted", y_title="true")
    ticks = {"tickmode": "array", "tickvals": places, "ticktext": names, "showgrid": False, "zeroline": False}
    figure.update_xaxes(**ticks, tickangle=-35 if len(names) > 4 else 0)
    return figure.update_yaxes(**ticks, autorange="reversed")


def reliability(bins: Sequence[Mapping[str, Any]]) -> go.Figure:
    """How often the model is right where it is about so confident; a calibrated one lies on the diagonal.

    Args:
        bins: ``low``, ``high``, ``rows``, ``confidence`` (mean) and ``accuracy`` of each bin.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.76, 0.24], vertical_spacing=0.05)
    figure.add_trace(
        go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line=REFERENCE_LINE, name="perfect", hoverinfo="skip"), 1, 1
    )
    found = filled(bins)
    figure.add_trace(_reliability_line(found), 1, 1)
    figure.add_trace(
        go.Bar(
            x=[(each["low"] + each["high"]) / 2 for each in found],
            y=[each["rows"] for each in found],
            width=[(each["high"] - each["low"]) * 0.9 for each in found],
            marker={"color": SKY},
            hovertemplate="%{y:,} rows<extra></extra>",
            showlegend=False,
        ),
        2,
        1,
    )
    layout(figure, height=HEIGHT + 60)
    figure.update_xaxes(range=[0, 1.02], tickformat=".0%", title_text=None)
    figure.update_xaxes(title_text="confidence", row=2, col=1)
    figure.update_yaxes(range=[0, 1.02], tickformat=".0%", title_text="accuracy", row=1, col=1)
    return figure.update_yaxes(title_text="rows", nticks=3, row=2, col=1)


def filled(bins: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The bins that hold a row: an empty one has no accuracy."""
    return [each for each in bins if each.get("rows")]


def _reliability_line(bins: Sequence[Mapping[str, Any]]) -> go.Scatter:
    import plotly.graph_objects as go

    intervals = [wilson_interval(round(each["accuracy"] * each["rows"]), each["rows"]) for each in bins]
    most = max((each["rows"] for each in bins), default=1)
    return go.Scatter(
        x=[each["confidence"] for each in bins],
        y=[each["accuracy"] for each in bins],
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [high - each["accuracy"] for each, (_, high) in zip(bins, intervals, strict=True)],
            "arrayminus": [each["accuracy"] - low for each, (low, _) in zip(bins, intervals, strict=True)],
            "thickness": 1,
            "width": 3,
        },
        customdata=[each["rows"] for each in bins],
        mode="lines+markers",
        name="model",
        line={"color": BLUE, "width": 2},
        # A bin of few rows says little, and looks it.
        marker={"size": [5 + 11 * (each["rows"] / most) ** 0.5 for each in bins], "opacity": 1},
        hovertemplate="confidence %{x:.1%}, accuracy %{y:.1%}, %{customdata:,} rows<extra>model</extra>",
    )


def risk_coverage(points: Sequence[Mapping[str, Any]], chosen: tuple[float, float] | None = None) -> go.Figure:
    """Accuracy of the answers that are given, against the share of texts that get one.

    Args:
        points: ``coverage``, ``accuracy`` and ``threshold`` of each point.
        chosen: Coverage and accuracy at the chosen threshold, shown as a large diamond.
    """
    import plotly.graph_objects as go

    shown = sorted((each for each in points if each.get("accuracy") is not None), key=lambda each: each["coverage"])
    figure = go.Figure(
        go.Scatter(
            x=[each["coverage"] for each in shown],
            y=[each["accuracy"] for each in shown],
            customdata=[each.get("threshold") for each in shown],
            mode="lines" if len(shown) > FEW_POINTS else "lines+markers",
            line={"color": BLUE, "width": 2.5},
            name="all thresholds",
            hovertemplate="answered %{x:.1%}, right %{y:.1%}, threshold %{customdata:.3f}<extra></extra>",
        )
    )
    if chosen is not None:
        figure.add_trace(
            go.Scatter(
                x=[chosen[0]],
                y=[chosen[1]],
                mode="markers",
                marker={"color": VERMILION, "size": 15, "symbol": "diamond", "line": {"color": "white", "width": 1}},
                name="chosen threshold",
                hovertemplate="answered %{x:.1%}, right %{y:.1%}<extra></extra>",
            )
        )
    layout(figure, height=HEIGHT, x_title="share of texts that get an answer", y_title="accuracy of these answers")
    figure.update_xaxes(range=[0, 1.02], tickformat=".0%")
    lowest = min((each["accuracy"] for each in shown), default=0)
    return figure.update_yaxes(range=[max(0, lowest - 0.05), 1.01], tickformat=".0%")
