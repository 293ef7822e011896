"""The records of a CSV file with the place of each, so that a part of the file can be read on its own."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tf_model.io import characters
from tf_model.io.files import explain_read_errors
from tf_model.io.text_files import csv_rows

UNCLOSED = "a quoted text is never closed"


@dataclass
class Record:
    """A CSV record.

    Attributes:
        line: The line on which it begins, from 1.
        offset: Its first byte in the file.
        length: Its length in bytes, the end of the line included.
        fields: Its fields; None if it cannot be read.
        reason: Why it cannot.
    """

    line: int
    offset: int
    length: int
    fields: list[str] | None
    reason: str | None


def file_records(file: Path, delimiter: str) -> Iterator[Record]:
    """All records of a file, its header first; see :func:`records`."""
    with explain_read_errors(file), file.open("rb") as stream:
        mark = codecs.BOM_UTF8 if stream.peek(3).startswith(codecs.BOM_UTF8) else b""
        stream.seek(len(mark))
        yield from records(stream, delimiter, 1, len(mark))


def decoded(content: bytes) -> str:
    """UTF-8, with the bytes that are not as :func:`tf_model.io.characters.decoded` reads them."""
    try:
        return content.decode("utf-8")  # a hundred times as fast, and nearly always enough
    except UnicodeDecodeError:
        return characters.decoded(io.BytesIO(content)).read()


def records(stream: Iterable[bytes], delimiter: str, line: int, offset: int) -> Iterator[Record]:
    """The records of a CSV file, blank lines left out, each with the place where it begins.

    A record that breaks the rules of quoting is given with the reason and without fields; the one after it begins on
    the next line.
    """
    taken: list[bytes] = []
    ended = False

    def lines() -> Iterator[str]:
        nonlocal ended
        for each in stream:
            taken.append(each)
            yield decoded(each)
        ended = True

    reader = csv_rows(lines(), delimiter, strict=True)
    while True:
        taken.clear()
        fields, reason = None, None
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            reason = UNCLOSED if ended else str(error)
        length = sum(map(len, taken))
        if fields and any("\0" in field for field in fields):
            fields, reason = None, "it holds a NUL character"
        if fields or reason:
            yield Record(line, offset, length, fields, reason)
        line, offset = line + len(taken), offset + length
