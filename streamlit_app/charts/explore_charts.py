"""The charts of the Explore page that are more than plain bars: shares, histogram, heat map."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamlit_app.charts.theme.theme import (
    AXIS_FORMAT,
    BLUE,
    DARK_GREY,
    SEQUENTIAL,
    colour_of,
    horizontal_bars,
    layout,
    legend_below,
    plain,
)
from tf_model import tasks

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

ROW = 38  # pixels for one row with its gap
HEIGHT = 380
_EDGE = {"color": DARK_GREY, "width": 0.5}
# A hatching beside the colour, so that nothing is told by colour alone: plain light grey lies between the two others.
_HATCHES = {tasks.NEGATIVE: "/", tasks.POSITIVE: "", tasks.NO_EMOTION: ""}


def counts(frame: pd.DataFrame, column: str, title: str | None = None, one_colour: bool = True) -> go.Figure:
    """Horizontal bars of ``frame["tweets"]``, one for each line; ``column`` holds the labels."""
    colours = [BLUE] * len(frame) if one_colour else None
    return horizontal_bars(frame[column], frame["tweets"], title=title, colours=colours, value_format=",d")


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
            marker=_marks(emotion),
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
            marker=_marks(label),
            customdata=part["high"] - 1,
            hovertemplate=f"%{{x}} to %{{customdata}} {unit}, %{{fullData.name}}: %{{y:,}} tweets<extra></extra>",
        )
    layout(figure, title=title, height=HEIGHT, x_title=unit, y_title="tweets")
    figure.update_yaxes(tickformat=AXIS_FORMAT)
    return legend_below(figure, x_title=True).update_layout(barmode="stack", bargap=0)


def named_map(frame: pd.DataFrame, title: str) -> go.Figure:
    """Which brand words the tweets of each product hold, as a heat map of shares.

    Args:
        frame: What :func:`tf_model.eda.named_by_product` returns.
        title: What the chart shows.
    """
    import plotly.graph_objects as go

    shares = frame.pivot(index="product", columns="brand", values="share")
    shares = shares.loc[list(dict.fromkeys(frame["product"])), list(dict.fromkeys(frame["brand"]))]
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            x=[f"names {brand}" for brand in shares.columns],
            y=[plain(product) for product in shares.index],
            zmin=0,
            zmax=1,
            colorscale=SEQUENTIAL,
            texttemplate="%{z:.0%}",
            xgap=2,
            ygap=2,
            showscale=False,
            hovertemplate="%{y}: %{z:.1%} %{x}<extra></extra>",
        )
    )
    layout(figure, title=title, height=110 + ROW * len(shares))
    figure.update_xaxes(side="top", showgrid=False)
    figure.update_layout(margin={"t": 90})
    return figure.update_yaxes(autorange="reversed", showgrid=False)


def _marks(label: str) -> dict:
    colour = colour_of(label)
    hatch = {"shape": _HATCHES.get(label, "x"), "size": 5, "solidity": 0.2, "bgcolor": colour, "fgcolor": "#FFFFFF"}
    hatch["fgopacity"] = 0.45  # numbers are read on it
    return {"color": colour, "line": _EDGE, "pattern": hatch}
