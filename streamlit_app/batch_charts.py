"""The charts of a scored file: emotion by product, and how sure the answers are."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from streamlit_app import charts
from tf_model import tasks
from tf_model.answers import NOT_SURE

if TYPE_CHECKING:
    import pandas
    import plotly.graph_objects as go

BINS = 20
# What tells the parts of a bar apart to those who do not see its colours.
SIGNS = {tasks.POSITIVE: "+", tasks.NEGATIVE: "−", tasks.NO_EMOTION: "○", NOT_SURE: "?"}


def counts_by_product(answered: pandas.DataFrame) -> pandas.DataFrame:
    """Rows by product and emotion.

    Args:
        answered: Has ``product``, ``emotion`` and ``answer``.

    Returns:
        int64; one row for each product that an emotion is directed at, the most frequent first, then one for "no
        emotion" and one for "not sure" where there are such; columns :data:`tf_model.tasks.EMOTIONS` and "Not sure".
    """
    import pandas

    target, emotion = answered["product"].astype(object), answered["emotion"].astype(object)
    for special in (tasks.NO_EMOTION, NOT_SURE):
        rows = answered["answer"] == special
        target, emotion = target.mask(rows, special), emotion.mask(rows, special)
    counts = pandas.crosstab(target, emotion).reindex(columns=list(SIGNS), fill_value=0)
    last = [special for special in (tasks.NO_EMOTION, NOT_SURE) if special in counts.index]
    products = counts.drop(index=last).sum(axis=1).sort_values(ascending=False, kind="stable").index
    return counts.loc[[*products, *last]]


def emotion_by_product(counts: pandas.DataFrame) -> go.Figure:
    """Bars of :func:`counts_by_product`, one for each product, in parts by emotion.

    Rows without a product have no bar: they would dwarf the others. :func:`without_product` counts them.
    """
    import plotly.graph_objects as go

    counts = counts.drop(index=[tasks.NO_EMOTION, NOT_SURE], errors="ignore")
    names = [charts.plain(name) for name in counts.index]
    figure = go.Figure()
    for emotion, sign in SIGNS.items():
        if not counts[emotion].any():
            continue
        figure.add_bar(
            x=counts[emotion].tolist(),
            y=names,
            orientation="h",
            name=f"{sign} {emotion}",
            marker={"color": charts.colour_of(emotion)},
            texttemplate=f"{sign} %{{x:,d}}",
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            hovertemplate=f"%{{y}}, {emotion}: %{{x:,d}}<extra></extra>",
        )
    height = 110 + charts.BAR_HEIGHT * max(len(names), 2)
    charts.layout(figure, title="Emotion by product, rows", height=height)
    charts.legend_below(figure).update_layout(barmode="stack", showlegend=True)
    if not figure.data:
        charts.say_empty(figure, "No row names a product")
    figure.update_xaxes(tickformat=charts.AXIS_FORMAT)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def without_product(counts: pandas.DataFrame) -> str:
    """How many rows of :func:`counts_by_product` name no product, in words."""
    none, unsure = (int(counts.loc[name].sum()) if name in counts.index else 0 for name in (tasks.NO_EMOTION, NOT_SURE))
    named = int(counts.to_numpy().sum()) - none - unsure
    return f"An emotion toward a product: {named:,} rows. No emotion toward one: {none:,}. Not sure: {unsure:,}."


def products(answered: pandas.DataFrame, task: str) -> go.Figure:
    """Bars of how often each class of ``task`` was answered, the most frequent first."""
    counts = answered[task].value_counts()
    return charts.horizontal_bars(
        counts.index.tolist(), counts.tolist(), title=f"Rows by {task}", value_format=",d", x_title="Rows"
    )


def confidence(values: pandas.Series, title: str) -> tuple[go.Figure, str]:
    """A histogram of confidences, 0 to 1, and its description in words."""
    import numpy
    import plotly.graph_objects as go

    heights, edges = numpy.histogram(values.to_numpy("float64"), bins=BINS, range=(0.0, 1.0))
    middles = (edges[:-1] + edges[1:]) / 2
    ranges = [f"{low:.0%} to {high:.0%}" for low, high in pairwise(edges)]
    figure = go.Figure(
        go.Bar(
            x=middles,
            y=heights,
            width=0.9 / BINS,
            customdata=ranges,
            marker={"color": charts.BLUE},
            hovertemplate="%{customdata}: %{y:,d} rows<extra></extra>",
        )
    )
    charts.layout(figure, title=title, height=320, x_title="Confidence", y_title="Rows")
    figure.update_xaxes(range=[0, 1], tickformat=".0%")
    figure.update_yaxes(tickformat=charts.AXIS_FORMAT)
    figure.update_layout(bargap=0)
    median = float(values.median()) if len(values) else 0.0
    return figure, f"{title}: half of the rows have a confidence above {median:.0%}"
