"""Pieces of the pages that are written from recorded runs: tables, numbers with their spread, captions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tf_model import paths
from tf_model.cli import duration
from tf_model.evaluation.metrics import wilson_interval


def captioned(body: str, caption: str) -> str:
    """What stands below a heading: a table, and how it came about."""
    return f"{body}\n\n{caption}\n"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a bar inside a cell is shown as a slash."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def anchor(heading: str) -> str:
    """The address of a heading inside its page, as GitHub makes it."""
    return "#" + re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def not_measured(command: str) -> str:
    """In place of a table whose run is not recorded."""
    return f"Not measured yet: run `{command}`.\n"


def made(run: Mapping[str, Any], seconds: float | None = None) -> str:
    """Command, date, machine and duration of a recorded run."""
    return f"{commands(run)}, {run['date']}, {run['machine']}{took(seconds)}."


def commands(run: Mapping[str, Any]) -> str:
    """What made a recorded run, each command as code."""
    return " and ".join(f"`{command}`" for command in re.split(r" and (?=make |python -m )", run["command"]))


def dated(run: Mapping[str, Any]) -> str:
    """The date of a run that has one."""
    return f", {run['date']}" if "date" in run else ""


def took(seconds: float | None) -> str:
    """How long was computed, if that is known."""
    return "" if not seconds else f", {duration(seconds)} of computing"


def figure_of(name: str, shows: str) -> str:
    """The drawn figure, where it was drawn, and what it shows."""
    path = paths.RESEARCH / "figures" / f"{name}.svg"
    return f"\n\n![{shows}](figures/{path.name})\n\n{shows}" if path.is_file() else ""


def mean(summary: Mapping[str, Any]) -> str:
    """Mean and standard deviation of what :func:`tf_model.evaluation.metrics.summarize` returns."""
    return f"{summary['mean']:.4f}" + ("" if summary["sd"] is None else f" (sd {summary['sd']:.4f})")


def spread(summary: Mapping[str, Any]) -> str:
    """Least and greatest value, if there is more than one."""
    return f"{summary['min']:.4f} to {summary['max']:.4f}" if summary["n"] > 1 else ""


def interval(bounds: Sequence[float]) -> str:
    """Of an accuracy."""
    return f"{bounds[0]:.3f} to {bounds[1]:.3f}"


def interval_of_mean(summary: Mapping[str, Any], rows: int, bounds: Sequence[float] | None = None) -> str:
    """The 95% interval of an accuracy on ``rows`` tweets, of the mean over the seeds.

    The ``bounds`` that were recorded with it, or ``interval`` of the summary, which draw near-duplicates together; else
    :func:`wilson_of_mean`, marked with a star.
    """
    bounds = bounds or summary.get("interval")
    if bounds:
        return interval(bounds)
    return wilson_of_mean(summary, rows) + "*"


def wilson_of_mean(summary: Mapping[str, Any], rows: int) -> str:
    """Wilson's interval, 95%, of a share of ``rows`` tweets: the mean over the seeds, as if it were that of one."""
    return interval(wilson_interval(round(summary["mean"] * rows), rows))


def difference(value: float, bounds: Sequence[float]) -> str:
    """A difference of accuracies and its interval."""
    return f"{value:+.4f} ({bounds[0]:+.4f} to {bounds[1]:+.4f})"


def share(value: float | None) -> str:
    """A share, 0 to 1; nothing where there is none."""
    return "" if value is None else f"{value:.4f}"


def p_value(value: float) -> str:
    """Two digits; one that is too small for a float says so."""
    return f"{value:.2g}" if value > 0 else "< 1e-300"


def first(mapping: Mapping[str, Any]) -> Any:
    """The first value."""
    return next(iter(mapping.values()))
