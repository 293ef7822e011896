"""Read and write users' files: rows come in chunks, and their values are kept as they are.

A whole file is read before it is used, so a broken last line and the number of rows are known at once.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tf_model.errors import DataError, OutputError, TweetTargetError, UsageError, close_names, listed
from tf_model.io import workbooks
from tf_model.io.base import CHUNK_ROWS, Limits, Table, TableWriter, TextsInMemory, TooLargeError, as_text
from tf_model.io.files import check_file, refuse_to_overwrite, whole_file
from tf_model.io.parquet import Parquet, ParquetWriter
from tf_model.io.text_files import CsvWriter, Delimited, JsonLines, JsonLinesWriter, Lines, StandardInput
from tf_model.io.workbooks import Workbook, WorkbookWriter

__all__ = ["CHUNK_ROWS", "TextsInMemory", "TooLargeError", "as_text"]  # re-exported

STANDARD_INPUT = "-"

_READERS: dict[str, type[Table]] = {
    ".csv": Delimited,
    ".tsv": Delimited,
    ".tab": Delimited,
    ".jsonl": JsonLines,
    ".ndjson": JsonLines,
    ".json": JsonLines,
    ".txt": Lines,
    ".xlsx": Workbook,
    ".parquet": Parquet,
}
INPUT_SUFFIXES = tuple(_READERS)


def open_table(
    path: Path | str,
    column: str | None = None,
    sheet: str | None = None,
    limits: Limits | None = None,
    *,
    sheet_option: str = "--sheet",
    on_bad_row: Callable[[int, str, str], None] | None = None,
) -> Table:
    """Open a user's file, or "-" for standard input, check all of it, and find its column of texts.

    Use the table in a ``with`` block. ``on_bad_row`` gets each row of a CSV file that cannot be read (its line, the
    reason, the row as in the file), as the chunks are read; without it such a row is an error. ``sheet_option`` names
    the option for the sheet in messages.
    Raises :class:`DataError` for the file, :class:`TooLargeError`, and :class:`UsageError` for the column or sheet.
    """
    table = _reader(path, column, sheet, sheet_option)
    table.limits = limits or table.limits
    table.on_bad_row = (lambda *_: None) if on_bad_row else None
    try:
        table.check()
        with explain_sheet(table):
            if column is None:
                is_stream = isinstance(table, StandardInput)
                sample = table.frame([]) if is_stream else next(table.chunks(1_000))
                table.text_position, table.reason = choose_text_column(sample, table.name)
            else:
                table.text_position, table.reason = named_column(table, column), "as asked"
        table.text_column = table.columns[table.text_position]
    except BaseException:
        table.close()
        raise
    table.on_bad_row = on_bad_row
    return table


@contextmanager
def explain_sheet(table: Table) -> Iterator[None]:
    """Say in an error about the columns which sheet of a workbook was read, if it has several."""
    try:
        yield
    except TweetTargetError as error:
        sheets = [note for note in table.notes if note.startswith("reading the sheet")]
        raise type(error)("; ".join([str(error), *sheets])) from error


def _reader(path: Path | str, column: str | None, sheet: str | None, sheet_option: str) -> Table:
    name, suffix = str(path), Path(path).suffix.lower()
    if sheet is not None and suffix != ".xlsx":
        raise UsageError(f"{sheet_option} chooses a sheet of an .xlsx workbook, and {name} is not one; leave it out")
    if name == STANDARD_INPUT:
        return StandardInput(name)
    path = Path(path)
    check_file(path)
    if suffix not in _READERS:
        expected = f"expected a file whose name ends in {', '.join(INPUT_SUFFIXES)}"
        raise DataError(f"{name}: {expected}, found {suffix or 'no ending'!r}; save it as one of these")
    table: Table
    if suffix == ".xlsx":
        names = {plain_name(column)} if column else USUAL_NAMES
        table = Workbook(path, sheet, sheet_option, lambda name: plain_name(name) in names)
    else:
        table = _READERS[suffix](path)
    table.checked_stamp = table.stamp()
    return table


_ADDRESS = re.compile(r"(?i)(?:https?://|www\.)\S+")
_DATE = re.compile(r"(?i)\b(?:mon|tue|wed|thu|fri|sat|sun|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\w*")
# Two words, or a word that is not Latin. No two parts can match the same space, so that padding takes linear time.
_PROSE = re.compile(r"[^\W\d_]{2}[^\w\s]*\s\W*[^\W\d_]{2}|[^\W\d_a-zA-Z]{4}")
# The most reliable first.
USUAL_NAMES = ("text", "tweet", "tweet_text", "full_text", "content", "message", "body", "comment", "review", "post")


def plain_name(name: str) -> str:
    """The name of a column in lower case, with an underscore between its words."""
    return re.sub(r"[\s_-]+", "_", name.strip().casefold())


def choose_text_column(sample: Any, name: str) -> tuple[int, str]:
    """The position of the column of texts in ``sample``, the first rows, and the reason for the choice, in words.

    A column with a usual name is chosen, unless only others hold words. Else it is the one with the longest texts, of
    those with two words side by side if there are any, and with half as much text as any. Raises :class:`DataError` if
    no column holds text.
    """
    columns = [str(heading) for heading in sample.columns]
    lengths = {}  # of the texts of each column that may hold texts
    for position in range(len(columns)):
        present = sample.iloc[:, position].dropna()
        text_lengths = [len(value) for value in present if isinstance(value, str) or _is_utf8(value)]
        if text_lengths or present.empty:
            lengths[position] = text_lengths or [0]
    if not lengths:
        raise DataError(
            f"{name}: expected a column of texts, but none of {listed(columns)} holds text; give another file"
        )
    if len(columns) == 1:
        return 0, "the only column"
    names = {position: plain_name(columns[position]) for position in lengths}
    usual = [position for usual_name in USUAL_NAMES for position, name in names.items() if name == usual_name]
    with_letters = [position for position in usual if has_letters(sample.iloc[:, position])]
    if with_letters:
        return with_letters[0], "by its name"
    with_words = [position for position in lengths if has_words(sample.iloc[:, position])]  # not URLs alone
    if usual and not with_words:
        return usual[0], "by its name"
    amounts = {position: sum(lengths[position]) for position in with_words or lengths}
    averages = {
        position: amount / max(sum(map(bool, lengths[position])), 1)
        for position, amount in amounts.items()
        if 2 * amount >= max(amounts.values())
    }
    longest = max(averages, key=averages.__getitem__)
    first = f"the first rows of {columns[usual[0]]!r} hold no words" if usual else "no column of texts has a usual name"
    return longest, f"{first}; it has much text, {averages[longest]:.0f} characters on average"


def _is_utf8(value: Any) -> bool:
    """Whether ``value`` is text that a Parquet file holds as bytes."""
    return isinstance(value, bytes) and value.decode("utf-8", "ignore").encode() == value


def has_letters(column: Any) -> bool:
    """Whether a value of ``column`` has a letter that is not part of an address."""
    return any(map(str.isalpha, _ADDRESS.sub(" ", " ".join(map(as_text, column.dropna())))))


def has_words(column: Any) -> bool:
    """Whether a value of ``column`` has two words side by side, apart from the names of days and months."""
    return any(_PROSE.search(_DATE.sub(" ", as_text(value))) for value in column.dropna())


def refuse_without_texts(table: Table) -> None:
    """Raise :class:`DataError` if no column of the first rows of ``table`` holds texts.

    Two words side by side count as a text. The only column, one with a usual name, and one that the user named are not
    checked.
    """
    if table.reason in ("by its name", "the only column", "as asked"):
        return
    sample = next(table.chunks(1_000))
    if not sample.empty and not any(has_words(sample.iloc[:, position]) for position in range(sample.shape[1])):
        raise DataError(
            f"{table.name}: expected a column of texts, but {listed(table.columns)} hold numbers, dates or single "
            "words; add the texts, or name their column 'text'"
        )


def named_column(table: Table, column: str) -> int:
    """The position of the column that the user named; case and the separator of its words do not matter."""
    columns, name = table.columns, table.name
    matches = [position for position, heading in enumerate(columns) if heading == column]
    matches = matches or [
        position for position, heading in enumerate(columns) if plain_name(heading) == plain_name(column)
    ]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UsageError(f"{name} has {len(matches)} columns called {column!r}; rename all but one")
    similar_names = close_names(column, columns, most=3)
    hint = f"did you mean {listed(similar_names)}? The" if similar_names else "the"
    raise UsageError(f"{name} has no column {column!r}; {hint} columns are {listed(columns)}")


_TEXT = {"mode": "w", "encoding": "utf-8", "newline": ""}
_WRITERS: dict[str, Callable[[Path], TableWriter]] = {
    ".csv": lambda path: CsvWriter(path.open(**_TEXT)),
    ".tsv": lambda path: CsvWriter(path.open(**_TEXT), delimiter="\t"),
    ".xlsx": WorkbookWriter,
    ".parquet": ParquetWriter,
    ".jsonl": lambda path: JsonLinesWriter(path.open(**_TEXT)),
    ".ndjson": lambda path: JsonLinesWriter(path.open(**_TEXT)),
}
OUTPUT_SUFFIXES = tuple(_WRITERS)


def input_renames(table: Table, reserved: Iterable[str]) -> dict[str, str]:
    """New names for input columns with the same names as ``reserved``: ``product`` becomes ``product_input``."""
    names, used_names = {}, {*table.columns, *reserved}
    for name in reserved:
        if name in table.columns:
            names[name] = f"{name}_input"
            while names[name] in used_names:
                names[name] += "_input"
            used_names.add(names[name])
    return names


def check_output(output: Path, overwrite: bool = False, table: Table | None = None) -> None:
    """Refuse, before any work is done, an output that cannot be written.

    Raises :class:`UsageError` for an unknown suffix or the input itself, and :class:`OutputError` if ``output`` exists
    and ``overwrite`` is false, or if a workbook cannot hold that many rows.
    """
    if output.suffix.lower() not in _WRITERS:
        expected = f"expected an output whose name ends in {', '.join(OUTPUT_SUFFIXES)}"
        raise UsageError(f"{output}: {expected}, found {output.suffix or 'no ending'!r}; choose one of these")
    refuse_to_overwrite(output, overwrite, table and table.path)
    rows = (table.total_rows if table else None) or 0
    if output.suffix.lower() == ".xlsx" and rows >= workbooks.MOST_ROWS:
        raise OutputError(workbooks.explain_too_many(f"there are {rows:,}"))


@contextmanager
def table_writer(output: Path, overwrite: bool = False) -> Iterator[TableWriter]:
    """Write a table, whole or not at all, in the format that the suffix of ``output`` names."""
    with whole_file(output, overwrite) as part, _WRITERS[output.suffix.lower()](part) as writer:
        yield writer
        writer.finish()
