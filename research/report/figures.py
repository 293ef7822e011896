"""Figures of the recorded runs, drawn by plotly into research/figures/ as SVG."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import plotly.express as px
from plotly.graph_objects import Figure

from research.report import lookup
from tf_model import paths
from tf_model.errors import OutputError, first_line
from tf_model.io.files import whole_file

WIDTH, HEIGHT = 900, 420
# Okabe and Ito's colours, which colour-blind readers can tell apart; the same as in the app.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#56B4E9", "#D55E00")
FEWEST_TWEETS = 20  # in a confidence bin that is drawn


def draw_all() -> Iterator[Path]:
    """Draw every figure and yield its file; :class:`OutputError` if there is no Chrome or Chromium for kaleido."""
    for name, draw in FIGURES.items():
        yield _write(name, draw())


def learning_curve() -> Figure:
    """Accuracy by number of labelled tweets, one line per method; bars are standard deviations over draws."""
    curve = lookup.learning_curve()
    curve["method"] = curve["model"].map(lookup.MODELS).str.replace("`", "")
    options = {"color": "method", "color_discrete_sequence": COLOURS, "facet_col": "task", "facet_col_spacing": 0.1}
    figure = px.line(curve, x="size", y="accuracy", error_y="sd", markers=True, log_x=True, **options)
    sizes = sorted(curve["size"].unique())
    figure.update_xaxes(title="labelled tweets", tickvals=sizes, ticktext=[f"{size:,}" for size in sizes])
    figure.update_yaxes(tickformat=".0%", matches=None, showticklabels=True)
    figure.update_yaxes(title="accuracy, grouped cross-validation", col=1)
    return _laid_out(figure)


def reliability() -> Figure:
    """Accuracy of the answer model's first seed by confidence, before and after calibration."""
    seed = next(iter(lookup.recorded("grouped_answer")["seeds"].values()))
    bins = pd.DataFrame(
        {"task": task, "when": f"{when} calibration", **each}
        for task in lookup.TASKS
        for when in ("before", "after")
        for each in seed["calibration"][task][when]["reliability"]
        if each["rows"] >= FEWEST_TWEETS
    )
    colours = {"before calibration": COLOURS[1], "after calibration": COLOURS[0]}
    options = {"color": "when", "color_discrete_map": colours, "facet_col": "task", "facet_col_spacing": 0.05}
    figure = px.scatter(bins, x="confidence", y="accuracy", size="rows", **options)
    figure.update_traces(mode="lines+markers")
    figure.update_traces(line_dash="dot", selector={"name": "before calibration"})
    figure.add_shape(type="line", x0=0, y0=0, x1=1, y1=1, line={"color": "#999999", "width": 1}, row=1, col="all")
    figure.update_xaxes(tickformat=".0%", range=[0, 1])
    figure.update_yaxes(tickformat=".0%", range=[0, 1])
    figure.update_yaxes(title="correct (first seed)", col=1)
    return _laid_out(figure)


FIGURES: dict[str, Callable[[], Figure]] = {"reliability": reliability, "learning_curve": learning_curve}


def _laid_out(figure: Figure) -> Figure:
    figure.for_each_annotation(lambda panel: panel.update(text=panel.text.removeprefix("task=")))
    return figure.update_layout(
        width=WIDTH,
        height=HEIGHT,
        template="plotly_white",
        legend={"title": "", "orientation": "h", "yanchor": "bottom", "y": 1.08, "x": 0},
        margin={"l": 70, "r": 20, "t": 80, "b": 70},
    )


def _write(name: str, figure: Figure) -> Path:
    path = paths.RESEARCH / "figures" / f"{name}.svg"
    try:
        text = figure.to_image(format="svg").decode("utf-8")
    except Exception as error:  # kaleido raises errors of several packages
        raise OutputError(f"{path} cannot be drawn: {first_line(error)}; install Chrome or Chromium") from error
    # plotly gives its elements random names, but a figure that is drawn again should be the same file.
    names = [*re.findall(r'id="defs-([0-9a-f]+)"', text), *re.findall(r"\btrace([0-9a-f]{6})\b", text)]
    for number, random_name in enumerate(dict.fromkeys(names)):
        text = text.replace(random_name, f"-{number}")
    with whole_file(path, overwrite=True) as part:
        part.write_text(text + "\n", encoding="utf-8")
    return path
