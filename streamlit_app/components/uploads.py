"""An uploaded file: kept in a temporary folder of its session, checked, its first rows read."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tf_model.errors import TweetTargetError, first_line
from tf_model.io import tables

if TYPE_CHECKING:
    import pandas

# More would hold too much of the server's memory and of everybody's time.
LIMITS = tables.Limits(rows=200_000, columns=1_000, bytes=250_000_000)
COMMAND_LINE = "The command line takes any number: python -m tf_model.predict FILE --output answers.csv"
FIRST_ROWS = 5
TYPES = [suffix.removeprefix(".") for suffix in tables.INPUT_SUFFIXES]
_LONGEST_NAME = 100  # bytes


@dataclass(frozen=True)
class Upload:
    """A file as it was found.

    Attributes:
        id: Tells one upload from another.
        name: What the user calls it.
        path: Where it lies.
        columns: Its columns, empty if it cannot be used.
        text_column: The column that probably holds the texts.
        reason: Why that one.
        rows: How many rows it has.
        notes: What was remarkable in reading it.
        first_rows: Its first rows.
        problem: Why it cannot be used, in one line, or empty.
    """

    id: str
    name: str
    path: Path
    columns: tuple[str, ...] = ()
    text_column: str = ""
    reason: str = ""
    rows: int = 0
    notes: tuple[str, ...] = ()
    first_rows: pandas.DataFrame | None = None
    problem: str = ""
    _folder: tempfile.TemporaryDirectory | None = field(default=None, repr=False)


def keep(file_id: str, name: str, content: memoryview | bytes) -> Upload:
    """Write an upload into a temporary folder, which goes when the upload is forgotten, and look at it."""
    folder = tempfile.TemporaryDirectory(prefix="tweet-target-", ignore_cleanup_errors=True)
    path = Path(folder.name) / _safe_name(name)
    kept = {"id": file_id, "name": name, "path": path, "_folder": folder}
    try:
        path.write_bytes(content)
        with tables.open_table(path, limits=LIMITS) as table:
            return Upload(
                **kept,
                columns=tuple(table.columns),
                text_column=table.text_column,
                reason=table.reason,
                rows=table.total_rows or 0,
                notes=tuple(table.notes),
                first_rows=showable(next(table.chunks(FIRST_ROWS))),
            )
    except tables.TooLargeError as error:
        return Upload(**kept, problem=f"{without_folder(str(error), path)} here. {COMMAND_LINE}")
    except TweetTargetError as error:
        return Upload(**kept, problem=without_folder(str(error), path))
    except Exception as error:  # a damaged file may make its library raise anything
        return Upload(**kept, problem=f"{name} cannot be read ({first_line(error)[:200]}); save it again, or as .csv")


def without_folder(message: str, path: Path) -> str:
    """An error's words with the user's own name of the file, not the place where it lies."""
    return message.replace(f"{path.parent}/", "")


def showable(frame: pandas.DataFrame) -> pandas.DataFrame:
    """``frame`` as a table on a page can show it: one name a column, one kind of value a column."""
    import pandas

    columns: dict[str, pandas.Series] = {}
    for position in range(frame.shape[1]):
        name, number = str(frame.columns[position]), 1
        while name in columns:
            number += 1
            name = f"{frame.columns[position]} ({number})"
        column = frame.iloc[:, position]
        if column.dtype == object:
            values = [None if gone else tables.as_text(each) for each, gone in zip(column, column.isna(), strict=True)]
            column = pandas.Series(values, index=column.index, dtype="str")
        columns[name] = column
    return pandas.DataFrame(columns, index=frame.index)


def _safe_name(name: str) -> str:
    """The last part of a name from a browser, without what a file system could misread; its ending is kept."""
    path = Path(name.replace("\\", "/").replace("\0", ""))
    stem = _shortened(path.stem.strip(". "), _LONGEST_NAME) or "upload"
    return f"{stem}{_shortened(path.suffix, 10)}"


def _shortened(name: str, most: int) -> str:
    """What of a name fits into so many bytes, which is what a file system counts."""
    return name.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")
