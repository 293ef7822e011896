"""Render the pages from templates/*.md.j2: people write the sentences, the recorded runs give the figures."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from research.report import lookup
from tf_model.cli import duration
from tf_model.evaluation.metrics import REPORT, wilson_interval

TEMPLATES = Path(__file__).parent / "templates"


def render(page: str) -> str:
    """A page as Markdown, by the name of its template; :class:`DataError` if a run that it shows is not recorded."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    filters = (count, percent, plain, points, difference, ci, interval, seeds_ci, duration, gigabytes)
    environment.filters |= {each.__name__: each for each in filters}
    environment.globals |= {"report": REPORT, "wilson": wilson_interval, "lookup": lookup, "recorded": lookup.recorded}
    return environment.get_template(f"{page}.md.j2").render()


def count(value: float) -> str:
    """A number of things, such as 3,291."""
    return f"{float(value):,.0f}"  # float: a value that the run lacks is then named in the error


def percent(value: float | None, digits: int = 1) -> str:
    """A share as a percentage; nothing for None."""
    return "" if value is None else f"{100 * value:.{digits}f}%"


def plain(value: float, digits: int = 3) -> str:
    """A number that is not a share of tweets, such as macro-F1."""
    return f"{float(value):.{digits}f}"


def points(value: float) -> str:
    """A difference of shares in percentage points, with two digits if one would hide its sign."""
    percentage_points = 100 * value
    return f"{percentage_points:+.{2 if 0 < abs(percentage_points) < 0.05 else 1}f}"


def difference(row: Any) -> str:
    """A difference in percentage points with its 95% interval; nothing for None."""
    return "" if row is None else f"{points(row['difference'])} ({points(row['low'])} to {points(row['high'])})"


def ci(row: Any) -> str:
    """The 95% interval of a difference in percentage points."""
    return f"95% CI {points(row['low'])} to {points(row['high'])}"


def seeds_ci(row: Any) -> str:
    """The 95% interval of a difference over training seeds."""
    return f"{points(row['seeds_low'])} to {points(row['seeds_high'])}"


def interval(bounds: tuple[float, float], digits: int = 1) -> str:
    """The bounds of a share, in percent."""
    low, high = bounds
    return f"{100 * low:.{digits}f}\N{EN DASH}{percent(high, digits)}"


def gigabytes(octets: float) -> str:
    """Bytes as ``"1.82 GB"``."""
    return f"{octets / 1e9:.2f} GB"
