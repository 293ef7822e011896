"""Predictions and explanations on the terminal: rows for a program, a table for a person, and progress."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from tf_model import cli
from tf_model.errors import count_of
from tf_model.inference.attribution import Explanation
from tf_model.inference.predictor import Predictor, model_input
from tf_model.inference.targets import UNNAMED, TargetPredictor
from tf_model.io import tables
from tf_model.io.base import rows_of
from tf_model.io.characters import visible
from tf_model.io.text_files import json_line
from tf_model.modeling.joint_label import ARROW

SHOWN_CHARACTERS = 280  # of a text in a table for a person
MOST_COLUMNS = 8  # of predictions beside a text: a terminal of 80 characters has no room for more
BAR = 12  # characters of the bar of the word that counts most
SECONDS_BETWEEN_LINES = 60.0  # of progress, where there is no terminal to draw a bar on


class _Harmless:
    """Standard output to a terminal: control characters are shown instead of sent."""

    def write(self, text: str) -> None:
        sys.stdout.write("\n".join(visible(line) for line in text.split("\n")))


def print_rows(chunks: Iterator[Any], kind: str) -> None:
    """Print rows as in a file; ``kind`` is "csv" or "json" (one object per line)."""
    sys.stdout.reconfigure(encoding="utf-8", newline="")  # line endings are left as they are
    target = _Harmless() if sys.stdout.isatty() else sys.stdout
    writer = tables.JsonLinesWriter(target) if kind == "json" else tables.CsvWriter(target)
    for chunk in chunks:
        writer.write(chunk)
        sys.stdout.flush()


def print_table(chunks: Iterator[Any], table: tables.Table, names: Sequence[str]) -> None:
    """Print each chunk as a table for a person: the text, and the predictions in the columns ``names``.

    Rows with the same index are about one text; only the first shows it. With more than :data:`MOST_COLUMNS` columns,
    each row becomes a table of its own, one line per column.
    """
    import pandas as pd
    from rich.table import Table
    from rich.text import Text

    stdout = cli.stdout()
    headings = [Text(visible(name.replace("_", " "))) for name in ("text", *names)]
    for chunk in chunks:
        rows = []
        repeats = chunk.index.duplicated()
        for text, is_repeat, *values in zip(table.texts(chunk), repeats, *(chunk[name] for name in names), strict=True):
            text = "" if is_repeat else model_input(text).decode("utf-8")
            text = text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
            cells = ["" if pd.isna(value) else value if isinstance(value, str) else f"{value:.1%}" for value in values]
            rows.append([Text(visible(cell)) for cell in (text, *cells)])
        if len(names) > MOST_COLUMNS:
            for row in rows:
                grid = Table(show_header=False)
                for heading, cell in zip(headings, row, strict=True):
                    grid.add_row(heading, cell)
                stdout.print(grid)
        else:
            grid = Table()
            grid.add_column(headings[0], overflow="fold", ratio=1)
            for name, heading in zip(names, headings[1:], strict=True):
                grid.add_column(heading, justify="right" if "_" in name else "left")
            for row in rows:
                grid.add_row(*row)
            stdout.print(grid)
        if "mention" in names and (chunk["mention"] == UNNAMED).any():
            stdout.print(
                f"{UNNAMED}: the text names no product on the list; its row is the answer model's guess",
                highlight=False,
                soft_wrap=True,
            )


def explain_texts(
    predictor: Predictor | TargetPredictor, texts: Sequence[str], threshold: float | None, kind: str | None
) -> None:
    """Print each prediction for each text and the weights of its words; ``kind`` "json" prints one object per line."""
    if kind == "json":
        sys.stdout.reconfigure(encoding="utf-8", newline="")
    predictions = predictor.predict(texts, threshold=threshold)
    is_target = isinstance(predictor, TargetPredictor)
    for index, values in zip(predictions.index, rows_of(predictions), strict=True):
        text, row = texts[index], dict(zip(predictions, values, strict=True))
        explanation = predictor.explain(text, row) if is_target else predictor.explain(text)
        if kind == "json":
            row = {name: round(value, 6) if isinstance(value, float) else value for name, value in row.items()}
            row["explanation"] = explanation and asdict(explanation)
            sys.stdout.write(json_line({"text": text, **row}) + "\n")
        else:
            _print_explanation(text, row, explanation)


def _print_explanation(text: str, row: Mapping[str, Any], explanation: Explanation | None) -> None:
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    stdout = cli.stdout()
    stdout.print(Text(visible(text)[:500]), soft_wrap=True)
    if not explanation:
        stdout.print("the text names no product on the list: nothing to explain")
        return
    attributions = explanation.tasks.values()
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("word", overflow="fold")
    for attribution in attributions:
        table.add_column(Text(visible(f"for {attribution.label}")), justify="right")
        table.add_column("", no_wrap=True)
    largest = max((abs(weight) for each in attributions for weight in each.weights), default=0) or 1
    for word, *weights in zip(explanation.words, *(each.weights for each in attributions), strict=True):
        cells = [(f"{weight:+.2f}", "+-"[weight < 0] * round(abs(weight) / largest * BAR)) for weight in weights]
        table.add_row(Text(visible(word)), *(cell for pair in cells for cell in pair))
    classes = ", ".join(f"{each.label} ({row[f'{task}_confidence']:.3f})" for task, each in explanation.tasks.items())
    answer = row.get("answer")
    if "mention" in row:
        answer = ARROW.join(filter(None, (row["emotion"], row["product"])))
        answer += " (a guess: the text names no product on the list)" if row["mention"] == UNNAMED else ""
    headline = f"{answer}: {classes}" if answer else classes
    stdout.print(Text(visible(headline)), soft_wrap=True)
    stdout.print(table if explanation.words else "the text has no words: nothing to explain")


@contextmanager
def count_progress(total: int | None, show: bool) -> Iterator[Callable[[int], None]]:
    """Yield a function that counts texts; show a bar on a terminal, else a line a minute, and the totals at the end."""
    began = printed = time.monotonic()
    count = 0
    with cli.progress_bar(cli.stderr(), show) as bar:
        task = bar.add_task("", total=total)

        def advance(texts: int) -> None:
            nonlocal count, printed
            count += texts
            now = time.monotonic()
            rate = count / max(now - began, 1e-9)
            bar.update(task, advance=texts, description=f"{rate:,.0f} texts/s")
            if count and show and bar.disable and now - printed >= SECONDS_BETWEEN_LINES:
                printed = now
                rest = f" of {total:,} texts, {cli.duration((total - count) / rate)} left" if total else " texts"
                cli.say(f"{count:,}{rest} ({rate:,.0f} texts/s)")

        yield advance
    seconds = time.monotonic() - began
    rate = count / max(seconds, 1e-9)
    cli.say(f"{count_of(count, 'text')} in {seconds:.1f} s ({rate:,.0f} texts/s)")
