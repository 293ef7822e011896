"""The charts of the Explore page that are more than plain bars: shares and histogram."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlit_app.charts.theme import (
    AXIS_FORMAT,
    DARK_GREY,
    colour_of,
    layout,
    legend_below,
)
from tf_model import tasks

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

ROW = 38  # pixels for one row with its gap
HEIGHT = 380
# A hatching beside the colour, so that nothing is told by colour alone: plain light grey lies between the two others.
_HATCHES = {tasks.NEGATIVE: "/", tasks.POSITIVE: "", tasks.NO_EMOTION: ""}


def emotion_shares(frame: pd.DataFrame, title: str) -> go.Figure:
    """One bar per product, divided into emotions, each trace an emotion.

    Args:
        frame: What :func:`tf_model.eda.emotion_by_product` returns, the lines of each emotion in a row.
        title: What the chart shows.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    for emotion, part in frame.groupby("emotion", sort=False):
        figure.add_bar(
            x=part["share"],
            y=part["product"],
            name=emotion,
            orientation="h",
            marker=_marker(emotion),
            text=[f"{share:.0%}" if share >= 0.05 else "" for share in part["share"]],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            textfont={"color": "#000000" if emotion == tasks.NO_EMOTION else "#FFFFFF"},
            customdata=part[["tweets", "low", "high"]],
            hovertemplate=(
                "%{y}, %{fullData.name}: %{x:.1%} (%{customdata[0]:,} tweets; 95% interval %{customdata[1]:.1%} to "
                "%{customdata[2]:.1%})<extra></extra>"
            ),
        )
    layout(figure, title=title, height=120 + ROW * frame["product"].nunique())
    legend_below(figure).update_layout(barmode="stack")
    figure.update_xaxes(range=[0, 1], tickformat=".0%")
    return figure.update_yaxes(autorange="reversed", showgrid=False)


def histogram(frame: pd.DataFrame, unit: str, title: str) -> go.Figure:
    """Stacked bars of a distribution of lengths, each trace a label.

    Args:
        frame: What :func:`tf_model.eda.lengths` returns.
        unit: What is counted.
        title: What the chart shows.
    """
    import plotly.graph_objects as go

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
    layout(figure, title=title, height=HEIGHT, x_title=unit, y_title="tweets")
    figure.update_yaxes(tickformat=AXIS_FORMAT)
    return legend_below(figure, x_title=True).update_layout(barmode="stack", bargap=0)


def _marker(label: str) -> dict:
    colour = colour_of(label)
    hatch = {"shape": _HATCHES.get(label, "x"), "size": 5, "solidity": 0.2, "bgcolor": colour, "fgcolor": "#FFFFFF"}
    hatch["fgopacity"] = 0.45  # numbers are read on it
    return {"color": colour, "line": {"color": DARK_GREY, "width": 0.5}, "pattern": hatch}
