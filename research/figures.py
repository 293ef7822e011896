"""Figures of the recorded runs, drawn by plotly into research/figures/ as SVG."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from research.runs import load
from tf_model import paths
from tf_model.errors import OutputError
from tf_model.files import whole_file
from tf_model.messages import first_line

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

WIDTH, HEIGHT = 760, 460


def draw_all() -> Iterator[Path]:
    """Draw every figure whose run is recorded, and yield its file.

    Raises:
        OutputError: There is no Chrome or Chromium for kaleido.
    """
    for name, (run_name, draw) in FIGURES.items():
        run = load(run_name)
        if run is not None:
            yield _write(name, draw(run))


def learning_curve(run: Mapping[str, Any]) -> Figure:
    """Accuracy against the number of labelled tweets, one line a method; bars are standard deviations over draws."""
    from plotly import graph_objects

    figure = _figure("labelled tweets", "accuracy without leakage")
    for found in run["methods"].values():
        summaries = [point["accuracy"] for point in found["points"]]
        figure.add_trace(
            graph_objects.Scatter(
                x=[point["size"] for point in found["points"]],
                y=[summary["mean"] for summary in summaries],
                error_y={"type": "data", "array": [summary["sd"] or 0 for summary in summaries]},
                name=_plain(found["title"]),
            )
        )
    sizes = sorted({point["size"] for found in run["methods"].values() for point in found["points"]})
    figure.update_xaxes(type="log", tickvals=sizes, ticktext=[f"{size:,}" for size in sizes])
    return figure


def without_doubtful(run: Mapping[str, Any]) -> Figure:
    """Accuracy of training without the most doubtful labels, and without as many at random, by task."""
    from plotly import graph_objects

    figure = _figure("labels left out of training", "accuracy without leakage")
    for name, found in run["tasks"].items():
        kept = found["without_doubtful"]
        shares = [share for share in kept if share != "all"]
        x = [0.0, *map(float, shares)]
        doubtful = [kept["all"]["accuracy"], *(kept[share]["doubtful"]["accuracy"] for share in shares)]
        random = [kept["all"]["accuracy"], *(kept[share]["random"]["accuracy"]["mean"] for share in shares)]
        figure.add_trace(graph_objects.Scatter(x=x, y=doubtful, name=f"{name}, most doubtful"))
        figure.add_trace(graph_objects.Scatter(x=x, y=random, name=f"{name}, at random", line={"dash": "dot"}))
    figure.update_xaxes(tickformat=".0%")
    return figure


def _figure(x: str, y: str) -> Figure:
    from plotly import graph_objects

    layout = graph_objects.Layout(
        width=WIDTH,
        height=HEIGHT,
        template="plotly_white",
        showlegend=True,
        xaxis={"title": x},
        yaxis={"title": y, "tickformat": ".2f"},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02},
        margin={"l": 70, "r": 20, "t": 80, "b": 60},
    )
    return graph_objects.Figure(layout=layout)


def _plain(title: str) -> str:
    return title.replace("`", "")


def _write(name: str, figure: Figure) -> Path:
    path = paths.RESEARCH / "figures" / f"{name}.svg"
    try:
        text = figure.to_image(format="svg").decode("utf-8")
    except Exception as error:  # kaleido raises errors of several packages
        raise OutputError(
            f"{path} cannot be drawn: {first_line(error)}; install Chrome or Chromium, or leave --figures out"
        ) from error
    # plotly numbers its elements at random: a figure that is drawn again should be the same file.
    names = [*re.findall(r'id="defs-([0-9a-f]+)"', text), *re.findall(r"\btrace([0-9a-f]{6})\b", text)]
    for number, random_name in enumerate(dict.fromkeys(names)):
        text = text.replace(random_name, f"-{number}")
    with whole_file(path, overwrite=True) as part:
        part.write_text(text + "\n", encoding="utf-8")
    return path


FIGURES: dict[str, tuple[str, Callable[[Mapping[str, Any]], Figure]]] = {
    "learning_curve": ("learning_curve", learning_curve),
    "without_doubtful": ("label_quality", without_doubtful),
}
