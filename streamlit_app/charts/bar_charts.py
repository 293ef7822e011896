"""The bar charts of Explore and Batch that are more than plain bars: emotion by product, and histograms."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from streamlit_app.charts.theme import (
    AMOUNT,
    AXIS_FORMAT,
    BAR_HEIGHT,
    DARK_GREY,
    NEGATIVE,
    NEUTRAL,
    POSITIVE,
    colour_of,
    layout,
    legend_below,
    plain,
)

HEIGHT = 380
BINS = 20  # of the confidences
# A hatching beside the colour, so that nothing is told by colour alone: plain light grey lies between the two others.
HATCHES = {NEGATIVE: "/", POSITIVE: "", NEUTRAL: ""}  # of any other label: dots


def emotion_by_product(frame: pd.DataFrame, title: str, value: str = "share") -> go.Figure:
    """One bar per product, divided into emotions by ``"share"`` or by ``"tweets"``, each trace an emotion.

    ``frame`` has one line per bar, those of each emotion in a row: the columns of
    :func:`tf_model.eda.emotion_by_product`, of which counts need no share and no interval.
    """
    is_share = value == "share"
    interval = "%{x:.1%} (%{customdata[0]:,} tweets; 95% interval %{customdata[1]:.1%} to %{customdata[2]:.1%})"
    figure = go.Figure()
    for emotion, part in frame.groupby("emotion", sort=False):
        figure.add_bar(
            x=part[value],
            y=[plain(name) for name in part["product"]],
            name=plain(emotion),
            orientation="h",
            marker=_marker(emotion),
            text=[f"{each:.0%}" if is_share else f"{each:,}" for each in part[value]],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            textfont={"color": "#FFFFFF" if colour_of(emotion) == POSITIVE else "#000000"},
            customdata=part[["tweets", "low", "high"]] if is_share else None,
            hovertemplate=f"%{{y}}, %{{fullData.name}}: {interval if is_share else '%{x:,}'}<extra></extra>",
        )
    layout(figure, title=title, height=120 + (BAR_HEIGHT + 8) * max(frame["product"].nunique(), 2))
    legend_below(figure).update_layout(barmode="stack", showlegend=True)
    figure.update_layout(uniformtext={"minsize": 11, "mode": "hide"})  # a number that cannot be read is none
    figure.update_xaxes(tickformat=".0%" if is_share else AXIS_FORMAT, range=[0, 1] if is_share else None)
    return figure.update_yaxes(type="category", autorange="reversed", showgrid=False)


def clicked(figure: go.Figure, selection: Mapping[str, Any]) -> int | None:
    """Position of the bar that ``st.plotly_chart`` has as selected, counted over all traces; None if there is none."""
    points = selection["selection"]["points"]
    if not points:
        return None
    before = sum(len(trace.y) for trace in figure.data[: points[0]["curve_number"]])
    return before + points[0]["point_index"]


def lengths(frame: pd.DataFrame, unit: str) -> go.Figure:
    """What :func:`tf_model.eda.lengths` returns, as a histogram of stacked bars, each trace an emotion."""
    figure = go.Figure()
    for label, part in frame.groupby("label", sort=False):
        figure.add_bar(
            x=part["low"],
            width=part["high"] - part["low"],
            offset=0,
            y=part["tweets"],
            name=label,
            marker=_marker(label),
            customdata=part["high"] - 1,
            hovertemplate=f"%{{x}} to %{{customdata}} {unit}, %{{fullData.name}}: %{{y:,}} tweets<extra></extra>",
        )
    layout(figure, title=f"Length in {unit}", height=HEIGHT, x_title=unit, y_title="tweets")
    figure.update_yaxes(tickformat=AXIS_FORMAT)
    return legend_below(figure, x_title=True).update_layout(barmode="stack", bargap=0)


def confidences(values: pd.Series, title: str) -> go.Figure:
    """A histogram of confidences, 0 to 1."""
    heights, edges = np.histogram(values, bins=BINS, range=(0.0, 1.0))
    figure = go.Figure(
        go.Bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=heights,
            width=0.9 / BINS,
            customdata=[f"{low:.0%} to {high:.0%}" for low, high in pairwise(edges)],
            marker={"color": AMOUNT},
            hovertemplate="%{customdata}: %{y:,} rows<extra></extra>",
        )
    )
    layout(figure, title=title, height=HEIGHT, x_title="confidence", y_title="rows")
    figure.update_xaxes(range=[0, 1], tickformat=".0%")
    return figure.update_yaxes(tickformat=AXIS_FORMAT)


def _marker(label: str) -> dict:
    colour = colour_of(label)
    hatch = {"shape": HATCHES.get(colour, "."), "size": 5, "solidity": 0.2, "bgcolor": colour, "fgcolor": "#FFFFFF"}
    hatch["fgopacity"] = 0.45  # numbers are read on it
    return {"color": colour, "line": {"color": DARK_GREY, "width": 0.5}, "pattern": hatch}
