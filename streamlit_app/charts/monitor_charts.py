"""The charts of the Monitor page: accuracy, latency, throughput, errors and resources over time, and drift."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import pandas as pd
import plotly.express as px
import plotly.graph_objects as go

from streamlit_app.charts.theme import (
    AMOUNT,
    DARK_GREY,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    YELLOW,
    layout,
    legend_below,
    plain,
    whiskers,
)
from tf_model.monitor.accuracy import Accuracy
from tf_model.monitor.aggregates import Window

HEIGHT = 320
# Dash and symbol differ too, not only the colour.
STYLES = ((AMOUNT, "solid", "circle"), (ORANGE, "dash", "diamond"), (PURPLE, "dot", "square"))
KINDS = ((ORANGE, ""), (PURPLE, "."), (SKY, "-"), (YELLOW, "|"), (GREY, "+"), (DARK_GREY, ""))  # colours, patterns


def lines(
    windows: Sequence[Window], values: Mapping[str, Sequence[float | None]], title: str, form: str, scale: float = 1.0
) -> go.Figure:
    """At most three lines over time, with a gap where nothing was measured.

    Values are multiplied by ``scale`` and shown in the d3 format ``form``.
    """
    figure = go.Figure()
    for (name, line), (colour, dash, symbol) in zip(values.items(), STYLES, strict=False):
        figure.add_scatter(
            x=_times(windows),
            y=[None if value is None else value * scale for value in line],
            name=name,
            mode="lines+markers",
            line={"color": colour, "dash": dash, "width": 2},
            marker={"symbol": symbol, "size": 5},
            hovertemplate=f"%{{x|%d %b %H:%M}}: %{{y:{form}}}<extra>{name}</extra>",
        )
    return _lay_out(figure, windows, title, form)


def bars(windows: Sequence[Window], counts: Mapping[str, Sequence[int]], title: str) -> go.Figure:
    """Stacked counts by name for each window."""
    kinds = ((AMOUNT, ""),) if "predictions" in counts else KINDS
    figure = go.Figure()
    for name, (colour, pattern) in zip(sorted(counts, key=lambda name: (-sum(counts[name]), name)), cycle(kinds)):
        figure.add_bar(
            x=_times(windows),
            y=counts[name],
            offset=0,  # a bar begins where its window does
            name=plain(name),
            marker={
                "color": colour,
                "pattern": {"shape": pattern, "size": 6},
                "line": {"color": DARK_GREY, "width": 0.5},
            },
            hovertemplate=f"%{{x|%d %b %H:%M}}: %{{y:,}}<extra>{plain(name)}</extra>",
        )
    figure.update_yaxes(autorangeoptions={"include": [4]})  # below, plotly also marks fractions
    return _lay_out(figure, windows, title, ",").update_layout(barmode="stack")


def accuracy(
    windows: Sequence[Window],
    user_accuracy: Sequence[Accuracy],
    estimates: Mapping[str, Sequence[Accuracy]],
    title: str,
) -> go.Figure:
    """For each window, the accuracy judged by users, with 95% intervals, and each task's estimate from confidences."""
    values = {task: [figure.accuracy for figure in figures] for task, figures in estimates.items()}
    figure = lines(windows, values, title, ".0%")
    judged = pd.DataFrame(user_accuracy, _times(windows)).dropna(subset="accuracy")
    if len(judged):
        figure.add_scatter(
            x=judged.index,
            y=judged["accuracy"],
            customdata=judged["rows"],
            name="judged by users",
            mode="markers",
            marker={"color": SKY, "symbol": "star", "size": 11},
            error_y=whiskers(judged["accuracy"], judged["low"], judged["high"]),
            hovertemplate="%{x|%d %b %H:%M}: %{y:.1%} of %{customdata:,}<extra>judged by users</extra>",
        )
        _lay_out(figure, windows, title, ".0%")
    return figure.update_yaxes(range=[0, 1.04])


def _times(windows: Sequence[Window]) -> pd.DatetimeIndex:
    """In UTC, without a zone: plotly would show a number in the browser's."""
    return pd.to_datetime([window.since for window in windows], unit="s")


def _lay_out(figure: go.Figure, windows: Sequence[Window], title: str, form: str) -> go.Figure:
    """Make the x-axis span all windows, even empty ones, and put a legend below if there is more than one name."""
    layout(figure, title=title, height=HEIGHT)
    if len(figure.data) > 1:
        legend_below(figure)
    figure.update_xaxes(type="date", range=pd.to_datetime([windows[0].since, windows[-1].until], unit="s"))
    return figure.update_yaxes(rangemode="tozero", tickformat=form)


def side_by_side(reference: Mapping[str, float], current: Mapping[str, float], title: str) -> go.Figure:
    """Share of each label or range of values, in the reference and now."""
    shares = pd.DataFrame({"reference": reference, "now": current}).fillna(0.0).rename(index=plain)
    figure = px.bar(shares, orientation="h", barmode="group", color_discrete_sequence=[DARK_GREY, AMOUNT])
    figure.update_traces(hovertemplate="%{y}: %{x:.1%}<extra>%{fullData.name}</extra>")
    figure.update_traces(marker_pattern={"shape": ".", "size": 5}, selector={"name": "reference"})
    layout(figure, title=title, height=90 + 36 * len(shares))
    figure.update_xaxes(tickformat=".0%", rangemode="tozero")
    return figure.update_yaxes(type="category", autorange="reversed", showgrid=False)


def milliseconds(seconds: float) -> str:
    """``15 ms``, or ``2.4 s`` from a second on."""
    return f"{seconds:,.1f} s" if seconds >= 0.9995 else f"{seconds * 1000:.3g} ms"
