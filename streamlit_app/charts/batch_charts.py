"""The charts of a scored file: emotion by product, and how sure the model is."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from streamlit_app.charts import theme
from tf_model import tasks
from tf_model.errors import plural
from tf_model.modeling.joint_label import NOT_SURE

if TYPE_CHECKING:
    import pandas
    import plotly.graph_objects as go

BINS = 20
# What tells the parts of a bar apart to those who do not see its colours.
SIGNS = {tasks.POSITIVE: "+", tasks.NEGATIVE: "−"}
HATCHED = {"shape": "/", "size": 8, "solidity": 0.15, "fillmode": "replace"}


def counts_by_product(predictions: pandas.DataFrame) -> pandas.DataFrame:
    """Rows by the most probable product and emotion, and by whether the model abstained.

    The best guesses, not the answers: the model abstains from emotional texts more often than from others, so the
    shares of the answers lean to "no emotion".

    Args:
        predictions: Has ``product``, ``emotion`` and ``answer``.

    Returns:
        int64; one row for each product that an emotion is directed at, the most frequent first, then one for "no
        emotion" where there is such; the columns are :func:`part` of each of :data:`tf_model.tasks.EMOTIONS`.
    """
    import pandas

    emotion = predictions["emotion"].astype(object)
    target = predictions["product"].astype(object).mask(emotion == tasks.NO_EMOTION, tasks.NO_EMOTION)
    parts = emotion.mask(predictions["answer"] == NOT_SURE, emotion.map(lambda name: part(name, is_sure=False)))
    columns = [part(name, is_sure) for name in tasks.EMOTIONS for is_sure in (True, False)]
    counts = pandas.crosstab(target, parts).reindex(columns=columns, fill_value=0)
    last = counts.index.intersection([tasks.NO_EMOTION])
    products = counts.drop(index=last).sum(axis=1).sort_values(ascending=False, kind="stable").index
    return counts.loc[[*products, *last]]


def part(emotion: str, is_sure: bool) -> str:
    """What the rows of an emotion are called: ``Positive emotion``, or ``Positive emotion, not sure``."""
    return emotion if is_sure else f"{emotion}, {NOT_SURE.lower()}"


def emotion_by_product(counts: pandas.DataFrame) -> go.Figure:
    """Bars of :func:`counts_by_product`, one for each product, in parts by emotion; what is not sure is hatched.

    Rows without an emotion have no bar: they would dwarf the others. :func:`totals_in_words` counts them.
    """
    import plotly.graph_objects as go

    counts = counts.drop(index=tasks.NO_EMOTION, errors="ignore")
    names = [theme.plain(name) for name in counts.index]
    figure = go.Figure()
    for emotion, sign in SIGNS.items():
        colour = theme.colour_of(emotion)
        light = theme.lighter(colour)
        # With its own background: without one the page shows through, and the count is not read on a dark one.
        hatched = {"color": light, "pattern": HATCHED | {"fgcolor": colour, "bgcolor": light}}
        for is_sure, marker in ((True, {"color": colour}), (False, hatched)):
            name = part(emotion, is_sure)
            if not counts[name].any():
                continue
            figure.add_bar(
                x=counts[name].tolist(),
                y=names,
                orientation="h",
                name=f"{sign} {name}",
                marker=marker,
                texttemplate=f"{sign} %{{x:,d}}" if is_sure else f"{sign} %{{x:,d}} ?",
                textposition="inside",
                insidetextanchor="middle",
                textangle=0,
                hovertemplate=f"%{{y}}, {name}: %{{x:,d}}<extra></extra>",
            )
    height = 150 + theme.BAR_HEIGHT * max(len(names), 3)  # on a narrow page the legend has four lines
    theme.layout(figure, title="Emotion by product, rows", height=height)
    theme.legend_below(figure).update_layout(barmode="stack", showlegend=True)
    if not figure.data:
        theme.say_empty(figure, "No row with an emotion")
    figure.update_xaxes(tickformat=theme.AXIS_FORMAT)
    return figure.update_yaxes(autorange="reversed", showgrid=False)


def totals_in_words(counts: pandas.DataFrame) -> str:
    """How many rows of :func:`counts_by_product` have an emotion and how many none."""
    unsure = counts[[part(emotion, is_sure=False) for emotion in tasks.EMOTIONS]].sum(axis=1)
    rows, emotional = counts.sum(axis=1), counts.index != tasks.NO_EMOTION
    some, none = (
        f"{rows[which].sum():,} {plural(rows[which].sum(), 'row', 'rows')}, {unsure[which].sum():,} of them not sure"
        for which in (emotional, ~emotional)
    )
    return f"By the best guess. An emotion toward a product: {some}. No emotion toward one: {none}."


def counts_in_words(counts: pandas.DataFrame) -> str:
    """Every count of :func:`counts_by_product`."""
    return "; ".join(
        f"{name}: " + ", ".join(f"{each} {count:,}" for each, count in row.items() if count)
        for name, row in counts.iterrows()
    )


def confidence(values: pandas.Series, title: str) -> tuple[go.Figure, str]:
    """A histogram of confidences, 0 to 1, and its description in words."""
    import numpy
    import plotly.graph_objects as go

    heights, edges = numpy.histogram(values.to_numpy("float64"), bins=BINS, range=(0.0, 1.0))
    figure = go.Figure(
        go.Bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=heights,
            width=0.9 / BINS,
            customdata=[f"{low:.0%} to {high:.0%}" for low, high in pairwise(edges)],
            marker={"color": theme.BLUE},
            hovertemplate="%{customdata}: %{y:,d} rows<extra></extra>",
        )
    )
    theme.layout(figure, title=title, height=320, x_title="Confidence", y_title="Rows")
    figure.update_xaxes(range=[0, 1], tickformat=".0%")
    figure.update_yaxes(tickformat=theme.AXIS_FORMAT)
    return figure, f"{title}: half of the rows have a confidence above {values.median():.0%}"
