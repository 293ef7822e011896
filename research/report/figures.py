"""Figures of the recorded runs, drawn by plotly into research/figures/ as SVG."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from plotly.graph_objects import Figure
from plotly.subplots import make_subplots

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
    figure = _panels(horizontal_spacing=0.1)
    for column, task in enumerate(lookup.TASKS, start=1):
        for model, colour in zip(curve["model"].unique(), COLOURS, strict=True):
            points = curve[(curve["task"] == task) & (curve["model"] == model)]
            figure.add_scatter(
                x=points["size"],
                y=points["accuracy"],
                error_y={"type": "data", "array": points["sd"]},
                line={"color": colour},
                name=lookup.MODELS[model].replace("`", ""),
                legendgroup=model,
                showlegend=column == 1,
                row=1,
                col=column,
            )
    sizes = sorted(curve["size"].unique())
    figure.update_xaxes(title="labelled tweets", type="log", tickvals=sizes, ticktext=[f"{size:,}" for size in sizes])
    figure.update_yaxes(tickformat=".0%")
    figure.update_yaxes(title="accuracy, grouped cross-validation", col=1)
    figure.update_layout(height=HEIGHT + 60, margin={"t": 130}, legend={"y": 1.12})
    return figure


def reliability() -> Figure:
    """Accuracy of the answer model's first seed by confidence, before and after calibration."""
    figure = _panels(shared_yaxes=True, horizontal_spacing=0.05)
    seed = next(iter(lookup.recorded("grouped_answer")["seeds"].values()))
    for column, task in enumerate(lookup.TASKS, start=1):
        for when, colour, dash in (("before", COLOURS[1], "dot"), ("after", COLOURS[0], "solid")):
            bins = [each for each in seed["calibration"][task][when]["reliability"] if each["rows"] >= FEWEST_TWEETS]
            largest = max(each["rows"] for each in bins)
            figure.add_scatter(
                x=[each["confidence"] for each in bins],
                y=[each["accuracy"] for each in bins],
                mode="lines+markers",
                line={"color": colour, "dash": dash},
                marker={"size": [4 + 16 * (each["rows"] / largest) ** 0.5 for each in bins]},
                name=f"{when} calibration",
                showlegend=column == 1,
                row=1,
                col=column,
            )
        figure.add_shape(type="line", x0=0, y0=0, x1=1, y1=1, line={"color": "#999999", "width": 1}, row=1, col=column)
    figure.update_xaxes(title="confidence", tickformat=".0%", range=[0, 1])
    figure.update_yaxes(tickformat=".0%", range=[0, 1])
    figure.update_yaxes(title="correct", col=1)
    return figure


FIGURES: dict[str, Callable[[], Figure]] = {
    "reliability": reliability,
    "learning_curve": learning_curve,
}


def _panels(**options: Any) -> Figure:
    figure = make_subplots(cols=len(lookup.TASKS), subplot_titles=lookup.TASKS, **options)
    return figure.update_layout(
        width=WIDTH,
        height=HEIGHT,
        template="plotly_white",
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.08, "x": 0},
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
