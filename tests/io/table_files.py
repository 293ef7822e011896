"""Users' files for the tests: written, read and saved again."""

from pathlib import Path

import openpyxl
import pandas
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from sample_datasets import line_of

from tf_model.errors import TweetTargetError
from tf_model.io import tables


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path, **options) -> pandas.DataFrame:
    with tables.open_table(path, **options) as table:
        return pandas.concat(list(table.chunks(2)), ignore_index=True)


def texts(path, **options) -> list:
    with tables.open_table(path, **options) as table:
        return [text for chunk in table.chunks() for text in table.texts(chunk)]


def save(frame: pandas.DataFrame, path: Path, rows: int = 2, **options) -> list[str]:
    with tables.table_writer(path, **options) as writer:
        for start in range(0, max(len(frame), 1), rows):
            writer.write(frame.iloc[start : start + rows].reset_index(drop=True))
    return writer.notes


def workbook(path: Path, **sheets: list[list]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def message_of(error: type[TweetTargetError], path, **options) -> str:
    """The error message of reading all of ``path``, which must be one line."""
    return line_of(read, path, error=error, **options)


# For property tests: rows of two cells that are hard to write and read.
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
AWKWARD = st.sampled_from(
    ["", '"', '""', "\r", "\n", "\r\n", ",", ";", "\t", " ", "NA", "=1", "\ufeff", "_x000D_", "é"]
)
CELL = ANY_TEXT | st.lists(AWKWARD, max_size=4).map("".join)
ROWS = st.lists(st.tuples(CELL, CELL), max_size=5)
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
