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

LIMITS = tables.Limits(rows=200_000, columns=1_000, bytes=250_000_000)  # more would fill the server's memory
COMMAND_LINE = "python -m tf_model.predict FILE --output answers.csv"  # takes files of any size
FIRST_ROWS = 5
TYPES = [suffix.removeprefix(".") for suffix in tables.INPUT_SUFFIXES]


@dataclass(frozen=True)
class Upload:
    """An uploaded file.

    Attributes:
        id: Tells one upload from another.
        name: What the user calls it.
        path: Where it lies while this object exists.
        columns: Its columns, empty if it cannot be used.
        text_column: The column that probably holds the texts.
        reason: Why that one.
        rows: How many rows it has.
        notes: Remarks on how it was read.
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
    path = Path(folder.name) / f"upload{Path(name).suffix[:10]}"  # of a name from a browser the ending alone is safe
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
        return Upload(**kept, problem=f"{explained(error, path, name)} here; any size: {COMMAND_LINE}")
    except TweetTargetError as error:
        return Upload(**kept, problem=explained(error, path, name))
    except Exception as error:  # a damaged file may make its library raise anything
        return Upload(**kept, problem=f"{name} cannot be read ({first_line(error)[:200]}); save it again, or as .csv")


def explained(error: Exception, path: Path, name: str) -> str:
    """The message of an error with the user's own name of the file."""
    return str(error).replace(str(path), name)


def showable(frame: pandas.DataFrame) -> pandas.DataFrame:
    """``frame`` as a page can show it: different names, and one kind of value in each column."""
    import pandas

    columns: dict[str, pandas.Series] = {}
    for position in range(frame.shape[1]):
        name, number = str(frame.columns[position]), 1
        while name in columns:
            number += 1
            name = f"{frame.columns[position]} ({number})"
        column = frame.iloc[:, position]
        if column.dtype == object:
            column = column.map(tables.as_text, na_action="ignore").astype("str")
        columns[name] = column
    return pandas.DataFrame(columns, index=frame.index)
