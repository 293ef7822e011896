"""The explorer's charts other than plain bars: emotion by product, and a share over time."""

from collections.abc import Iterable

import pandas as pd
import plotly.graph_objects as go

from streamlit_app.charts.theme import (
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

# Hatching, so that colour alone carries no information; the plain light grey separates the other two.
HATCHES = {NEGATIVE: "/", POSITIVE: "", NEUTRAL: ""}  # other labels: dots


def emotion_by_product(frame: pd.DataFrame, title: str) -> go.Figure:
    """One stacked bar per product, with the share of each emotion; each trace is an emotion.

    ``frame`` has the columns of :func:`tf_model.eda.emotion_by_product`, and ``name``, the name of each bar.
    """
    figure = go.Figure()
    for emotion, part in frame.groupby("emotion", sort=False):
        colour = colour_of(emotion)
        hatch = {"shape": HATCHES.get(colour, "."), "size": 5, "solidity": 0.2, "bgcolor": colour, "fgcolor": "#FFFFFF"}
        hatch["fgopacity"] = 0.45  # keeps the numbers on it readable
        figure.add_bar(
            x=part["share"],
            y=[plain(name) for name in part["product"]],
            name=plain(emotion),
            orientation="h",
            marker={"color": colour, "line": {"color": DARK_GREY, "width": 0.5}, "pattern": hatch},
            text=[f"{each:.0%}" for each in part["share"]],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            textfont={"color": "#FFFFFF" if colour == POSITIVE else "#000000"},
            customdata=part[["tweets", "low", "high", "name"]],
            hovertemplate="%{y}, %{fullData.name}: %{x:.1%} (%{customdata[0]:,} texts; "
            "95% interval %{customdata[1]:.1%} to %{customdata[2]:.1%})<extra></extra>",
        )
    layout(figure, title=title, height=120 + (BAR_HEIGHT + 8) * max(frame["product"].nunique(), 2))
    legend_below(figure).update_layout(barmode="stack", showlegend=True)
    figure.update_layout(uniformtext={"minsize": 11, "mode": "hide"})  # hides numbers too small to read
    figure.update_xaxes(tickformat=".0%", range=[0, 1])
    return figure.update_yaxes(type="category", autorange="reversed", showgrid=False)


def share_over_time(frame: pd.DataFrame, changes: Iterable[pd.Timestamp], emotion: str, title: str) -> go.Figure:
    """A line with a band; each row of ``frame`` is a period, see :func:`tf_model.analysis.changes.by_period`.

    Its column ``name`` names the periods; a dashed line marks each of ``changes``.
    """
    colour = colour_of(emotion)
    line = go.Scatter(
        x=frame["start"],
        y=frame["share"],
        mode="lines+markers",
        line={"color": colour, "width": 2},
        marker={"size": 9, "line": {"color": DARK_GREY, "width": 0.5}},
        customdata=frame[["count", "texts", "low", "high", "name"]],
        hovertemplate="%{x|%d %b %Y}: %{y:.1%} (%{customdata[0]:,} of %{customdata[1]:,} texts; "
        "95% interval %{customdata[2]:.1%} to %{customdata[3]:.1%})<extra></extra>",
    )
    band: dict[str, list] = {"x": [], "y": []}  # one shape for each run of periods with texts
    for _, own in frame[frame["texts"] > 0].groupby((frame["texts"] == 0).cumsum()):
        band["x"] += [*own["start"], *own["start"][::-1], None]
        band["y"] += [*own["low"], *own["high"][::-1], None]
    shape = {"fill": "toself", "fillcolor": f"{colour}40", "line": {"width": 0}}  # a quarter opaque
    figure = go.Figure([line, go.Scatter(mode="lines", hoverinfo="skip", **shape, **band)])
    figure = layout(figure, title=plain(title), height=340).update_layout(showlegend=False)
    for when in changes:
        figure.add_vline(x=when, line={"color": DARK_GREY, "dash": "dash"})
    starts = frame["start"][:: -(-len(frame) // 8)]  # plotly's own ticks fall between the weeks
    figure.update_xaxes(tickvals=starts, tickformat="%-d %b %Y")
    return figure.update_yaxes(tickformat=".0%", rangemode="tozero")
