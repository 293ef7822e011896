"""The charts of the Monitor page: the five signals over time, and what drift is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from streamlit_app.charts.theme.theme import (
    BLUE,
    DARK_GREY,
    GREEN,
    ORANGE,
    PALETTE,
    VERMILION,
    layout,
    legend_below,
    plain,
    say_empty,
)

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from tf_model.monitor.accuracy import Accuracy
    from tf_model.monitor.window import Window

HEIGHT = 320
# Told apart by dash and symbol as well as by colour.
STYLES = ((BLUE, "solid", "circle"), (ORANGE, "dash", "diamond"), (VERMILION, "dot", "square"))
PATTERNS = ("", "/", "x", ".", "-", "\\", "+", "|")
MOST_KINDS = 5  # of errors that are told apart; the rest is one
OTHER = "other"


def over(figure: go.Figure, windows: Sequence[Window]) -> go.Figure:
    """Have a chart show the whole time, also where nothing was measured."""
    import pandas as pd

    ends = (windows[0].since, windows[-1].until)
    return figure.update_xaxes(type="date", range=[pd.Timestamp(each, unit="s", tz="UTC") for each in ends])


def lines(frame: pd.DataFrame, columns: Mapping[str, str], title: str, *, form: str, scale: float = 1.0) -> go.Figure:
    """Figures over time, a gap where nothing was measured.

    Args:
        frame: ``time`` and a column for each line.
        columns: The name of each line, by its column; three at most.
        title: With the unit.
        form: A d3 format of the values.
        scale: What the values are multiplied by.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    for (column, name), (colour, dash, symbol) in zip(columns.items(), STYLES, strict=False):
        figure.add_trace(
            go.Scatter(
                x=frame["time"],
                y=frame[column] * scale,
                name=name,
                mode="lines+markers",
                connectgaps=False,
                line={"color": colour, "dash": dash, "width": 2},
                marker={"symbol": symbol, "size": 5},
                hovertemplate=f"%{{x|%d %b %H:%M}}: %{{y:{form}}}<extra>{name}</extra>",
            )
        )
    layout(figure, title=title, height=HEIGHT)
    _legend(figure, is_shown=len(columns) > 1)
    if frame[list(columns)].isna().all(axis=None):
        say_empty(figure, "Nothing measured in this time")
    return figure.update_yaxes(rangemode="tozero", tickformat=form)


def bars(frame: pd.DataFrame, column: str, title: str) -> go.Figure:
    """Counts over time."""
    import plotly.graph_objects as go

    figure = go.Figure(
        go.Bar(
            x=frame["time"],
            y=frame[column],
            marker={"color": BLUE},
            hovertemplate="%{x|%d %b %H:%M}: %{y:,}<extra></extra>",
        )
    )
    layout(figure, title=title, height=HEIGHT)
    return figure.update_yaxes(rangemode="tozero", tickformat=",")


def errors(times: Sequence[pd.Timestamp], kinds: Sequence[Mapping[str, int]], title: str) -> go.Figure:
    """Errors over time, stacked by kind; the most frequent kinds, and the others as one.

    Args:
        times: The beginning of each window.
        kinds: For each window how often each kind came.
        title: Of the chart.
    """
    import plotly.graph_objects as go

    totals: dict[str, int] = {}
    for window in kinds:
        for kind, count in window.items():
            totals[kind] = totals.get(kind, 0) + count
    first = sorted(totals, key=lambda kind: (-totals[kind], kind))[:MOST_KINDS]
    shown = [*first, *([OTHER] if len(totals) > len(first) else [])]
    figure = go.Figure()
    for place, kind in enumerate(shown):
        counts = [
            sum(count for each, count in window.items() if (each not in first if kind == OTHER else each == kind))
            for window in kinds
        ]
        figure.add_trace(
            go.Bar(
                x=list(times),
                y=counts,
                name=plain(kind),
                marker={
                    "color": (VERMILION, *PALETTE)[place],
                    "pattern": {"shape": PATTERNS[place], "size": 6},
                    "line": {"color": DARK_GREY, "width": 0.5},
                },
                hovertemplate="%{x|%d %b %H:%M}: %{y:,}<extra>" + plain(kind) + "</extra>",
            )
        )
    layout(figure, title=title, height=HEIGHT)
    _legend(figure, is_shown=bool(shown)).update_layout(barmode="stack")
    if not shown:
        say_empty(figure, "No error in this time")
    return figure.update_yaxes(rangemode="tozero", tickformat=",")


def accuracy(corrected: Sequence[Accuracy], estimated: Mapping[str, Sequence[Accuracy]], title: str) -> go.Figure:
    """What users called right, and what the model's own confidence promises, with 95% intervals.

    Args:
        corrected: From corrections, one a window.
        estimated: From confidences, by task, one a window.
        title: Of the chart.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    for (task, found), (colour, dash, symbol) in zip(estimated.items(), STYLES, strict=False):
        line = {"color": colour, "dash": dash, "width": 2}
        figure.add_trace(_accuracy_trace(found, task, line=line, marker={"symbol": symbol, "size": 5}))
    known = [each for each in corrected if each.accuracy is not None]
    if known:
        mark = {"color": GREEN, "symbol": "star", "size": 11}
        trace = _accuracy_trace(known, "judged by users", mode="markers", marker=mark)
        trace.error_y = {
            "type": "data",
            "symmetric": False,
            "array": [each.high - each.accuracy for each in known],
            "arrayminus": [each.accuracy - each.low for each in known],
            "thickness": 1,
            "width": 3,
        }
        figure.add_trace(trace)
    layout(figure, title=title, height=HEIGHT)
    _legend(figure, is_shown=bool(figure.data))
    if all(value is None for trace in figure.data for value in trace.y):
        say_empty(figure, "Too few predictions and judgements")
    return figure.update_yaxes(range=[0, 1.04], tickformat=".0%")


def _legend(figure: go.Figure, is_shown: bool) -> go.Figure:
    """The legend below, where half a page has room for it."""
    figure.update_layout(showlegend=is_shown)
    return legend_below(figure) if is_shown else figure


def _accuracy_trace(found: Sequence[Accuracy], name: str, mode: str = "lines+markers", **style: Any) -> go.Scatter:
    import pandas as pd
    import plotly.graph_objects as go

    return go.Scatter(
        x=[pd.Timestamp(each.since, unit="s", tz="UTC") for each in found],
        y=[each.accuracy for each in found],
        customdata=[[each.rows, each.low, each.high] for each in found],
        name=name,
        mode=mode,
        connectgaps=False,
        hovertemplate="%{x|%d %b %H:%M}: %{y:.1%} (95%: %{customdata[1]:.1%} to %{customdata[2]:.1%}, "
        "of %{customdata[0]:,})<extra>" + name + "</extra>",
        **style,
    )


def side_by_side(reference: Mapping[str, float], current: Mapping[str, float], title: str) -> go.Figure:
    """Share of each label, or span of values, in the reference and now."""
    import plotly.graph_objects as go

    cells = list(dict.fromkeys([*reference, *current]))
    names, places = [plain(cell) for cell in cells], list(range(len(cells)))
    figure = go.Figure()
    for name, shares, colour, pattern in (("reference", reference, DARK_GREY, "/"), ("now", current, BLUE, "")):
        figure.add_trace(
            go.Bar(
                x=[shares.get(cell, 0.0) for cell in cells],
                y=places,
                orientation="h",
                name=name,
                marker={"color": colour, "pattern": {"shape": pattern, "size": 5}},
                customdata=names,
                hovertemplate="%{customdata}: %{x:.1%}<extra>" + name + "</extra>",
            )
        )
    layout(figure, title=title, height=90 + 36 * len(cells))
    figure.update_layout(barmode="group")
    figure.update_xaxes(tickformat=".0%", rangemode="tozero")
    return figure.update_yaxes(
        tickmode="array",
        tickvals=places,
        ticktext=names,
        autorange="reversed",
        showgrid=False,
    )
