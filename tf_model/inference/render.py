"""Predictions on the terminal: rows for a program, a table for a person, and the progress of either."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from tf_model.cli import duration, say
from tf_model.errors import plural
from tf_model.inference.predictor import model_input
from tf_model.io import tables
from tf_model.io.characters import visible

if TYPE_CHECKING:
    import pandas

SHOWN_CHARACTERS = 280  # of a text in a table for a person
SECONDS_BETWEEN_LINES = 60.0  # of progress, where there is no terminal to draw a bar on


def print_rows(chunks: Iterator[pandas.DataFrame], kind: str) -> None:
    """Print rows as they would stand in a file, with no raw control character to a terminal.

    Args:
        chunks: The rows.
        kind: ``"csv"``, or ``"json"`` for one object a line.
    """
    with standard_output() as stream:
        target = _Harmless(stream) if sys.stdout.isatty() else stream
        writer = tables.JsonLinesWriter(target) if kind == "json" else tables.CsvWriter(target)
        for chunk in chunks:
            writer.write(chunk)
            stream.flush()


class _Harmless:
    """A stream to a terminal that shows control characters instead of sending them."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        self._stream.write("\n".join(visible(line) for line in text.split("\n")))


@contextmanager
def standard_output() -> Iterator[TextIO]:
    """Standard output as UTF-8, with line endings left as they are."""
    sys.stdout.flush()
    stream = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="")
    try:
        yield stream
        stream.flush()
    finally:
        stream.detach()


def print_table(chunks: Iterator[pandas.DataFrame], table: tables.Table, names: list[str]) -> None:
    """Print a table for a person, one for each chunk: the text, and the predictions in the columns ``names``."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    for chunk in chunks:
        shown = Table()
        shown.add_column("text", overflow="fold", ratio=1)
        for name in names:
            shown.add_column(Text(visible(name.replace("_", " "))), justify="right" if "_" in name else "left")
        for text, *values in zip(table.texts(chunk), *(chunk[name] for name in names), strict=True):
            cells = [value if isinstance(value, str) else f"{value:.1%}" for value in values]
            shown.add_row(Text(_shortened(text)), *(Text(visible(cell)) for cell in cells))
        Console(markup=False, highlight=False).print(shown)


def _shortened(text: Any) -> str:
    text = model_input(text).decode("utf-8")
    return visible(text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…")


@contextmanager
def count_progress(total: int | None, shown: bool, summary: bool = True) -> Iterator[Callable[[int], None]]:
    """Give a function that counts texts; show a bar on a terminal or a line a minute, and count and rate at the end."""
    begun, done = time.monotonic(), 0
    way = (_bar if sys.stderr.isatty() else _lines) if shown else _nothing
    with way(total) as advance_bar:

        def advance(texts: int) -> None:
            nonlocal done
            done += texts
            advance_bar(texts, done / max(time.monotonic() - begun, 1e-9))

        yield advance
    if summary:
        seconds = time.monotonic() - begun
        rate = done / max(seconds, 1e-9)
        say(f"{done:,} {plural(done, 'text', 'texts')} in {seconds:.1f} s ({rate:,.0f} texts/s)")


@contextmanager
def _nothing(total: int | None) -> Iterator[Callable[[int, float], None]]:
    yield lambda texts, rate: None


@contextmanager
def _lines(total: int | None) -> Iterator[Callable[[int, float], None]]:
    """For a log: a line now and then, none about work that is done by then."""
    done, said = 0, time.monotonic()

    def advance(texts: int, rate: float) -> None:
        nonlocal done, said
        done += texts
        if time.monotonic() - said >= SECONDS_BETWEEN_LINES:
            said = time.monotonic()
            left = f" of {total:,} texts, {duration((total - done) / max(rate, 1e-9))} left" if total else " texts"
            say(f"{done:,}{left} ({rate:,.0f} texts/s)")

    yield advance


@contextmanager
def _bar(total: int | None) -> Iterator[Callable[[int, float], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=total, rate="")
        yield lambda texts, rate: progress.update(bar, advance=texts, rate=f"{rate:,.0f} texts/s")
