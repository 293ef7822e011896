"""The share of an emotion over time, with its interval and the changes that were found."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
import plotly.graph_objects as go

from streamlit_app.charts.theme import DARK_GREY, colour_of, layout, plain

HEIGHT = 340


def share_over_time(frame: pd.DataFrame, changes: Iterable[pd.Timestamp], emotion: str, title: str) -> go.Figure:
    """A line with a band: ``frame`` has the columns of :func:`tf_model.analysis.changes.by_period`, a line a period.

    The points of the line are those of its first trace; at each of ``changes`` stands a dashed line.
    """
    colour = colour_of(emotion)
    line = go.Scatter(
        x=frame["start"],
        y=frame["share"],
        mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={"size": 9, "line": {"color": DARK_GREY, "width": 0.5}},
        customdata=frame[["count", "texts", "low", "high"]],
        hovertemplate="%{x|%d %b %Y}: %{y:.1%} (%{customdata[0]:,} of %{customdata[1]:,} texts; "
        "95% interval %{customdata[2]:.1%} to %{customdata[3]:.1%})<extra></extra>",
    )
    edge = {"x": frame["start"], "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    low = go.Scatter(y=frame["low"], **edge)
    high = go.Scatter(y=frame["high"], fill="tonexty", fillcolor=f"{colour}40", **edge)  # a quarter opaque
    figure = layout(go.Figure([line, low, high]), title=plain(title), height=HEIGHT).update_layout(showlegend=False)
    for when in changes:
        figure.add_vline(x=when, line={"color": DARK_GREY, "dash": "dash"})
    return figure.update_yaxes(tickformat=".0%", rangemode="tozero")
