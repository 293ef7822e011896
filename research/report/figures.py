"""Figures of the recorded runs, drawn by plotly into research/figures/ as SVG."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import ceil, floor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from research.ablation import CONTROL, MENDED, PUT_IN, SWITCHES, effects
from research.baselines import COPIES
from research.report.claims import UNDECIDED, agreed, verdict
from research.runs import load, over_seeds
from tf_model import paths
from tf_model.errors import OutputError, first_line
from tf_model.io.files import whole_file

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

WIDTH, HEIGHT = 760, 460
# Okabe and Ito's colours, which the colour-blind tell apart; the same as in the app.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#56B4E9", "#D55E00", "#CC79A7")
FEWEST_ROWS = 20  # of a bin whose share of right answers is drawn
WRAPPED = 52  # letters of a line of what a switch is
SLIPS = (PUT_IN, MENDED, CONTROL)  # in the order in which switches are drawn
PROTOCOL_COLOURS = {"grouped": "#0072B2", "report": "#E69F00"}


def draw_all() -> Iterator[Path]:
    """Draw every figure whose run is recorded, and yield its file.

    Raises:
        OutputError: There is no Chrome or Chromium for kaleido.
    """
    for name, (run_name, draw) in FIGURES.items():
        run = load(run_name)
        figure = draw(run) if run is not None else None
        if figure is not None and figure.data:  # a run that was begun may have nothing to draw yet
            yield _write(name, figure)


def learning_curve(run: Mapping[str, Any]) -> Figure:
    """Accuracy against the number of labelled tweets, one line a method; bars are standard deviations over draws."""
    from plotly import graph_objects

    figure = _figure("labelled tweets", f"accuracy of the {run['task']}, without leakage")
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
    figure.update_yaxes(range=accuracy_axis(run))
    title = {"text": f"How many labelled tweets the {run['task']} takes", "x": 0.5, "y": 0.97}
    figure.update_layout(title=title, height=HEIGHT + 60, margin={"t": 170})
    return figure


def accuracy_axis(run: Mapping[str, Any]) -> tuple[float, float]:
    """Where the axis of the accuracy begins and ends in the figure of a learning curve: twentieths around all bars."""
    summaries = [point["accuracy"] for found in run["methods"].values() for point in found["points"]]
    ends = [summary["mean"] + side * (summary["sd"] or 0) for summary in summaries for side in (-1, 1)]
    return floor(min(ends, default=0) * 20) / 20, ceil(max(ends, default=1) * 20) / 20


def without_doubtful(run: Mapping[str, Any]) -> Figure:
    """What leaving doubtful labels out of training gains over random ones, with its 95% interval; a panel a task."""
    from plotly import graph_objects
    from plotly.subplots import make_subplots

    figure = make_subplots(cols=2, shared_yaxes=True, horizontal_spacing=0.05, subplot_titles=["product", "emotion"])
    for column, name in enumerate(("product", "emotion"), start=1):
        methods = run["tasks"].get(name, {}).get("without_doubtful", {})
        for number, (kept, colour) in enumerate(zip(methods.values(), COLOURS, strict=False)):
            shares = [share for share in kept if share.startswith("0.")]
            gains = [kept[share]["difference"] for share in shares]
            shift = 0.003 * (number - (len(methods) - 1) / 2)  # beside each other
            figure.add_trace(
                graph_objects.Scatter(
                    x=[float(share) + shift for share in shares],
                    y=gains,
                    error_y=_error_bars(gains, [kept[share]["interval"] for share in shares]),
                    mode="markers",
                    marker={"color": colour, "size": 8},
                    name=_plain(kept["title"]),
                    legendgroup=kept["title"],
                    showlegend=column == 1,
                ),
                row=1,
                col=column,
            )
        figure.add_hline(y=0, line={"color": "#555555", "width": 1}, row=1, col=column)
    figure.update_layout(_layout(width=WIDTH + 100))
    figure.update_xaxes(title="labels left out of training", tickformat=".0%", tickvals=[0.02, 0.05, 0.1])
    figure.update_yaxes(tickformat="+.3f")
    figure.update_yaxes(title="accuracy less that of random ones", col=1)
    return figure


def copies(run: Mapping[str, Any]) -> Figure:
    """What near-duplicates in training add to the accuracy on the same tweets, by method; one panel a task."""
    from plotly import graph_objects
    from plotly.subplots import make_subplots

    rows = [(_plain(found["title"]), found[COPIES]) for found in run["methods"].values() if COPIES in found]
    names = ("product", "emotion")
    figure = make_subplots(cols=2, shared_yaxes=True, horizontal_spacing=0.05, subplot_titles=names)
    for column, name in enumerate(names, start=1):
        points = [(place, test) for place, (_, by_task) in enumerate(rows) for test in by_task.get(name, {}).values()]
        if not points:
            continue
        gains, intervals = zip(*((test["difference"], test["difference_interval"]) for _, test in points), strict=True)
        figure.add_trace(
            graph_objects.Scatter(
                x=gains,
                y=[place for place, _ in points],
                error_x=_error_bars(gains, intervals, COLOURS[0]),
                mode="markers",
                marker=_filled_if([verdict(*interval) != UNDECIDED for interval in intervals], COLOURS[0]),
                showlegend=False,
            ),
            row=1,
            col=column,
        )
        figure.add_vline(x=0, line={"color": "#555555", "width": 1}, row=1, col=column)
    figure.update_layout(_layout(width=WIDTH + 240) | {"height": HEIGHT - 80, "margin": {"t": 40, "r": 20, "b": 60}})
    figure.update_xaxes(title="accuracy with near-duplicates less without", tickformat="+.2f")
    figure.update_yaxes(tickvals=list(range(len(rows))), ticktext=[title for title, _ in rows], zeroline=False)
    figure.update_yaxes(range=[len(rows) - 0.5, -0.5])
    return figure


def ablation(run: Mapping[str, Any]) -> Figure:
    """What each switch does to the accuracy, with its two 95% intervals and each seed by itself.

    One row a switch, those that put a slip in first, then those that mend one, then controls; in it one below the other
    what is recorded of each setting and protocol.
    """
    from plotly import graph_objects

    series = {
        (setting, protocol): [each for name in SWITCHES for each in effects(switches, name)]
        for setting, found in run["settings"].items()
        for protocol, switches in found["protocols"].items()
    }
    series = {key: found for key, found in series.items() if found}
    slips = {each.title: each.slip for found in series.values() for each in found}
    rows = sorted(slips, key=lambda title: SLIPS.index(slips[title]))  # stable: else as the switches stand
    figure = _figure("accuracy with the switch less without", "")
    for number, ((setting, protocol), found) in enumerate(series.items()):
        shift = 0.5 * ((number + 0.5) / len(series) - 0.5)
        places = [rows.index(each.title) + shift for each in found]
        several = [(place, each) for place, each in zip(places, found, strict=True) if len(each.each) > 1]
        means, differences = [each.difference for _, each in several], [each.difference for each in found]
        name, colour = f"{protocol} protocol, {setting} setting", PROTOCOL_COLOURS[protocol]
        over_tweets = _error_bars(differences, [each.interval for each in found], colour, thickness=4)
        told = [agreed(each.interval, each.each) != UNDECIDED for each in found]
        traces = [
            {
                "x": means,
                "y": [place for place, _ in several],
                "error_x": _error_bars(means, [over_seeds(each.each) for _, each in several], colour, thickness=1),
                "marker": {"opacity": 0},
                "name": f"{name}, over seeds",
                "showlegend": False,
            },
            {
                "x": [gain for each in found for gain in each.each],
                "y": [place for place, each in zip(places, found, strict=True) for _ in each.each],
                "marker": {"color": colour, "size": 12, "symbol": "line-ns-open"},
                "name": f"{name}, each seed",
            },
            {
                "x": differences,
                "y": places,
                "error_x": over_tweets,
                "marker": _filled_if(told, colour, "circle" if setting == "report" else "diamond"),
                "name": name,
            },
        ]
        for trace in traces:
            figure.add_trace(graph_objects.Scatter(mode="markers", **trace))
    figure.add_vline(x=0, line={"color": "#555555", "width": 1})
    labels = ["<br>".join(textwrap.wrap(f"{slips[title]}: {title}", WRAPPED)) for title in rows]
    figure.update_layout(width=WIDTH + 240, height=200 + 60 * len(rows))
    figure.update_xaxes(tickformat="+.3f")
    places = list(range(len(rows)))
    figure.update_yaxes(tickvals=places, ticktext=labels, range=[len(rows) - 0.5, -0.5], zeroline=False)
    return figure


def reliability(run: Mapping[str, Any]) -> Figure:
    """How often the first seed's answers are right, by how sure it is, before and after calibration; a panel a task."""
    from plotly import graph_objects
    from plotly.subplots import make_subplots

    figure = make_subplots(cols=2, horizontal_spacing=0.12, subplot_titles=["product", "emotion"])
    calibration = next(iter(run["seeds"].values())).get("calibration", {})
    for column, name in enumerate(("product", "emotion"), start=1):
        for (when, colour), dash in zip(
            {"before": "#E69F00", "after": "#0072B2"}.items(), ("dot", "solid"), strict=True
        ):
            bins = calibration.get(name, {}).get(when, {}).get("reliability", ())
            bins = [each for each in bins if each["rows"] >= FEWEST_ROWS]
            if not bins:
                continue
            largest = max(each["rows"] for each in bins)
            figure.add_trace(
                graph_objects.Scatter(
                    x=[each["confidence"] for each in bins],
                    y=[each["accuracy"] for each in bins],
                    mode="lines+markers",
                    line={"color": colour, "dash": dash},
                    marker={"size": [4 + 16 * (each["rows"] / largest) ** 0.5 for each in bins]},
                    name=f"{when} calibration",
                    showlegend=column == 1,
                ),
                row=1,
                col=column,
            )
        figure.add_shape(type="line", x0=0, y0=0, x1=1, y1=1, line={"color": "#999999", "width": 1}, row=1, col=column)
    figure.update_layout(_layout(width=WIDTH + 100))
    figure.update_xaxes(title="confidence", tickformat=".1f", range=[0, 1])
    figure.update_yaxes(title="share right", tickformat=".1f", range=[0, 1])
    return figure


def _filled_if(told: Sequence[bool], colour: str, symbol: str = "circle") -> dict[str, Any]:
    """Markers that are hollow where the data cannot tell."""
    fill = [colour if each else "white" for each in told]
    return {"color": fill, "line": {"color": colour, "width": 2}, "size": 10, "symbol": symbol}


def _error_bars(
    values: Sequence[float], intervals: Iterable[Sequence[float]], colour: str | None = None, thickness: int = 2
) -> dict[str, Any]:
    """Bars from ``values`` to both ends of their ``intervals``; those that are given a ``colour`` have no caps."""
    pairs = list(zip(values, intervals, strict=True))
    return {
        "type": "data",
        "thickness": thickness,
        **({"color": colour, "width": 0} if colour else {}),
        "array": [high - value for value, (_, high) in pairs],
        "arrayminus": [value - low for value, (low, _) in pairs],
    }


def _figure(x: str, y: str) -> Figure:
    from plotly import graph_objects

    layout = {**_layout(), "xaxis": {"title": x}, "yaxis": {"title": y, "tickformat": ".2f"}}
    return graph_objects.Figure(layout=layout)


def _layout(width: int = WIDTH) -> dict[str, Any]:
    return {
        "width": width,
        "height": HEIGHT,
        "template": "plotly_white",
        "colorway": COLOURS,
        "showlegend": True,
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.06, "x": 0},
        "margin": {"l": 70, "r": 20, "t": 110, "b": 60},
    }


def _plain(title: str) -> str:
    return title.replace("`", "")


def _write(name: str, figure: Figure) -> Path:
    path = paths.RESEARCH / "figures" / f"{name}.svg"
    try:
        text = figure.to_image(format="svg").decode("utf-8")
    except Exception as error:  # kaleido raises errors of several packages
        raise OutputError(f"{path} cannot be drawn: {first_line(error)}; install Chrome or Chromium") from error
    # plotly numbers its elements at random: a figure that is drawn again should be the same file.
    names = [*re.findall(r'id="defs-([0-9a-f]+)"', text), *re.findall(r"\btrace([0-9a-f]{6})\b", text)]
    for number, random_name in enumerate(dict.fromkeys(names)):
        text = text.replace(random_name, f"-{number}")
    with whole_file(path, overwrite=True) as part:
        part.write_text(text + "\n", encoding="utf-8")
    return path


FIGURES: dict[str, tuple[str, Callable[[Mapping[str, Any]], Figure]]] = {
    "copies": ("baselines", copies),
    "reliability": ("grouped_answer", reliability),
    "learning_curve": ("learning_curve", learning_curve),
    "learning_curve_emotion": ("learning_curve_emotion", learning_curve),
    "ablation": ("ablation", ablation),
    "without_doubtful": ("label_quality", without_doubtful),
}
