"""How every chart looks, and the charts of several pages: bars, and a share over time.

Text, grid and background follow the theme of the page, light or dark (``.streamlit/config.toml``). A figure sets only
the colours of its marks, which are readable on both backgrounds.
"""

import html
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from tf_model import tasks
from tf_model.eda import NO_LABEL, NO_PRODUCT
from tf_model.modeling.joint_label import NOT_SURE

# The seven hues of Okabe and Ito, "Color Universal Design" (2008), which colour-blind people can tell apart. Two greys
# replace their black, which is invisible on a dark page.
ORANGE, SKY, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
GREY, DARK_GREY = "#A6A6A6", "#757575"

POSITIVE, NEGATIVE, NEUTRAL = BLUE, VERMILION, GREY  # these mean an emotion on every page; grey also none
AMOUNT = GREEN  # of anything but an emotion
FOR, AGAINST = GREEN, ORANGE  # not the emotions' colours: a word may support a negative emotion

_COLOURS = {  # for emotions, see colour_of
    tasks.CANNOT_TELL: PURPLE,
    NOT_SURE: PURPLE,
    NO_PRODUCT: GREY,
    NO_LABEL: DARK_GREY,
}
# For labels without a fixed colour: each gets the next.
_OTHER_COLOURS = defaultdict(cycle((ORANGE, GREEN, SKY, PURPLE, YELLOW, DARK_GREY)).__next__)

BAR_HEIGHT = 30  # pixels for one bar with its gap
# Hatching, so that colour alone carries no information; the plain light grey separates the other two.
HATCHES = {NEGATIVE: "/", POSITIVE: "", NEUTRAL: ""}  # other labels: dots


def colour_of(label: str, column: str = tasks.EMOTION.name) -> str:
    """The colour of a label, the same on every page; an emotion without a fixed colour gets the next in the cycle."""
    if label in _COLOURS:
        return _COLOURS[label]
    if column == tasks.PRODUCT.name:
        return AMOUNT
    if tasks.is_no_emotion(label) or label == "0":
        return NEUTRAL
    word = label.casefold()
    if word.startswith("neg") or word == "-1":
        return NEGATIVE
    return POSITIVE if word.startswith("pos") or word == "1" else _OTHER_COLOURS[label]


def percent(share: float) -> str:
    """``0.94`` as ``"94%"``; never 100% or 0%, since no model is that sure."""
    if share >= 0.995:
        return "over 99%"
    return "under 1%" if share < 0.005 else f"{share:.0%}"


def plain(text: Any) -> str:
    """``text`` with HTML escaped, because plotly interprets some HTML in its labels."""
    return html.escape(str(text), quote=False)


def layout(
    figure: go.Figure, *, title: str | None = None, height: int, x_title: str | None = None, y_title: str | None = None
) -> go.Figure:
    """Apply the common layout to ``figure``, with a height in pixels, and return it.

    Titles that contain a user's words must go through :func:`plain`.
    """
    figure.update_layout(
        title={"text": title or "", "x": 0, "xanchor": "left"},
        height=height,
        margin={"l": 8, "r": 24, "t": 48 if title else 16, "b": 8},
        bargap=0.25,
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "xanchor": "right", "x": 1.0, "title": {"text": ""}},
        hoverlabel={"align": "left"},
        dragmode=False,  # a swipe over a chart scrolls the page
    )
    figure.update_xaxes(automargin=True, title={"text": x_title})
    return figure.update_yaxes(automargin=True, title={"text": y_title})


def legend_below(figure: go.Figure) -> go.Figure:
    """Put the legend at the bottom of ``figure``, clear of the axis at any height, and return the figure."""
    legend = {"x": 0, "xanchor": "left", "yref": "container", "y": 0, "yanchor": "bottom", "traceorder": "normal"}
    return figure.update_layout(legend=legend, margin_b=62)  # pixels: the numbers of the axis, then the legend


def whiskers(values: Sequence[float], low: Sequence[float], high: Sequence[float]) -> dict[str, Any]:
    """The intervals of points, as plotly's ``error_y``."""
    above, below = np.subtract(high, values), np.subtract(values, low)
    return {"symmetric": False, "array": above, "arrayminus": below, "thickness": 1, "width": 3}


def horizontal_bars(
    labels: Sequence[str],
    values: Sequence[float],
    *,
    title: str | None = None,
    form: str = ",d",
    colour: str | Sequence[str] = AMOUNT,
) -> go.Figure:
    """Horizontal bars, the first at the top, each with its value in the d3 format ``form``; labels must be unique.

    If the format ends in ``%``, the axis goes from 0 to 100%. ``colour`` is that of all bars, or of each.
    """
    figure = go.Figure(
        go.Bar(
            x=list(values),
            y=[plain(label) for label in labels],
            customdata=[[label] for label in labels],
            orientation="h",
            marker={
                "color": colour,
                "line": {"color": DARK_GREY, "width": 0.5},  # makes yellow visible on white
            },
            texttemplate=f"%{{x:{form}}}",
            textposition="outside",
            cliponaxis=False,
            hovertemplate=f"%{{y}}: %{{x:{'.1%' if form.endswith('%') else form}}}<extra></extra>",
        )
    )
    layout(figure, title=title, height=70 + BAR_HEIGHT * max(len(labels), 1))
    if form.endswith("%"):
        figure.update_xaxes(range=[0, 1.08], tickformat=".0%", tickvals=[0, 0.25, 0.5, 0.75, 1])
    else:
        is_few = form == ",d" and max(values, default=0) < 10  # plotly would also mark halves
        figure.update_xaxes(tickformat=",~r", dtick=1 if is_few else None)  # d3: no SI prefixes such as µ
    return figure.update_yaxes(type="category", autorange="reversed", showgrid=False)


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
            hovertemplate="%{y}, %{fullData.name}: %{x:.1%} (%{customdata[0]:,} counted; "
            "95% interval %{customdata[1]:.1%} to %{customdata[2]:.1%})<extra></extra>",
        )
    layout(figure, title=title, height=120 + (BAR_HEIGHT + 8) * max(frame["product"].nunique(), 2))
    uniform = {"minsize": 11, "mode": "hide"}  # hides numbers too small to read
    legend_below(figure).update_layout(barmode="stack", showlegend=True, uniformtext=uniform)
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
        hovertemplate="%{x|%d %b %Y}: %{y:.1%} (%{customdata[0]:,} of %{customdata[1]:,} counted; "
        "95% interval %{customdata[2]:.1%} to %{customdata[3]:.1%})<extra></extra>",
    )
    band: dict[str, list] = {"x": [], "y": []}  # one shape for each run of periods with texts
    for _, own in frame[frame["texts"] > 0].groupby((frame["texts"] == 0).cumsum()):
        band["x"] += [*own["start"], *own["start"][::-1], None]
        band["y"] += [*own["low"], *own["high"][::-1], None]
    # The outline is all there is of the band of a period between two gaps.
    shape = {"fill": "toself", "fillcolor": f"{colour}40", "line": {"width": 2, "color": f"{colour}80"}}
    figure = go.Figure([line, go.Scatter(mode="lines", hoverinfo="skip", **shape, **band)])
    figure = layout(figure, title=plain(title), height=340).update_layout(showlegend=False)
    for when in changes:
        figure.add_vline(x=when, line={"color": DARK_GREY, "dash": "dash"})
    starts = frame["start"][:: -(-len(frame) // 8)]  # plotly's own ticks fall between the weeks
    figure.update_xaxes(tickvals=starts, tickformat="%-d %b %Y")
    return figure.update_yaxes(tickformat="~%", rangemode="tozero")


def show(figure: go.Figure, *, alt: str, caption: str | None = None, key: str, **options: Any) -> None:
    """Show a figure with its text for screen readers, ``alt``, and a visible ``caption`` below it."""
    st.plotly_chart(figure, config={"displayModeBar": False}, key=key, alt=alt, **options)
    if caption:
        st.caption(caption)
