"""An audit on the terminal; rows are numbered as in the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tf_model.data.audit import Audit, TaskAudit
from tf_model.errors import plural

if TYPE_CHECKING:
    from rich.console import Console

SHOWN_ROWS = 10


def print_audit(stdout: Console, found: Audit, texts: Mapping[int, str] | None = None) -> None:
    """Print what was found. ``texts`` (by row) are shown if given.

    Rows are numbered as a spreadsheet shows them, the header being row 1; those of JSON lines by the line, those of
    Parquet from 1.
    """
    say = _Printer(stdout, texts, found.first_row)
    say.line(f"audit of {found.path}: {found.rows:,} rows")
    for name, repeats in (("exact text", found.exact), (f"near-duplicates (cosine {found.threshold})", found.near)):
        say.line(f"{name}: {repeats.rows:,} rows in {repeats.groups:,} {plural(repeats.groups, 'group', 'groups')}")
    for leakage in found.leakage:
        agreement = leakage.label_agreement
        agree = "" if agreement is None else f"; {agreement:.0%} of them have the label of their near-duplicate"
        say.line(
            f"leakage, {leakage.split}: {len(leakage.leaks):,} of {leakage.validation_rows:,} validation rows "
            f"({leakage.share:.1%}) have a near-duplicate among {leakage.training_rows:,} training rows{agree}"
        )
        for leak in leakage.leaks[:SHOWN_ROWS]:
            like = f"like training row {leak.training_row + leakage.first_training_row:,} ({leak.similarity:.2f})"
            say.row(leak.row, like)
        say.more(len(leakage.leaks))
    for name, task in found.tasks.items():
        say.task(name, task)
    for remark in found.remarks:
        say.line(f"note: {remark}")


class _Printer:
    def __init__(self, stdout: Console, texts: Mapping[int, str] | None, first_row: int):
        self._stdout, self._texts, self._first_row = stdout, texts, first_row

    def line(self, line: str) -> None:
        from rich.text import Text

        from tf_model.io.characters import visible

        self._stdout.print(Text(visible(line)), soft_wrap=True)

    def row(self, row: int, what: str) -> None:
        text = "" if self._texts is None else f"  {self._texts[row]}"
        self.line(f"  row {row + self._first_row:,}: {what}{text}")

    def more(self, count: int) -> None:
        if count > SHOWN_ROWS:
            self.line(f"  ... and {count - SHOWN_ROWS:,} more; --json names all")

    def task(self, name: str, task: TaskAudit) -> None:
        from rich.table import Table
        from rich.text import Text

        from tf_model.io.characters import visible

        table = Table(title=Text(visible(f"{name}: {task.examples:,} examples")), title_justify="left")
        table.add_column("label")
        for column in ("rows", "without near-duplicates", ""):
            table.add_column(column, justify="right")
        for label, count in task.classes.items():
            remark = "too small" if count.too_small else ("none" if not count.rows else "")
            table.add_row(Text(visible(label)), f"{count.rows:,}", f"{count.groups:,}", remark)
        self._stdout.print(table)
        exact = sum(conflict.exact for conflict in task.conflicts)
        rows = sum(len(conflict.rows) for conflict in task.conflicts)
        groups = plural(len(task.conflicts), "group", "groups")
        self.line(
            f"{name}: {len(task.conflicts):,} {groups} of near-duplicates ({rows:,} rows) with different labels, "
            f"{exact:,} of them with the very same text"
        )
        for conflict in task.conflicts[:SHOWN_ROWS]:
            pairs = zip(conflict.rows, conflict.labels, strict=True)
            labels = ", ".join(f"{row + self._first_row:,} {label}" for row, label in list(pairs)[:4])
            self.row(conflict.rows[0], f"{labels}{', ...' if len(conflict.rows) > 4 else ''}")
        self.more(len(task.conflicts))
        if task.doubts is not None:
            share = len(task.doubts) / task.examples
            self.line(f"{name}: {len(task.doubts):,} labels look wrong ({share:.1%}), by confident learning")
            for doubt in task.doubts[:SHOWN_ROWS]:
                self.row(doubt.row, f"{doubt.label} ({doubt.probability:.2f}), rather {doubt.suggested}?")
            self.more(len(task.doubts))
        if task.remark:
            self.line(f"{name}: {task.remark}")
