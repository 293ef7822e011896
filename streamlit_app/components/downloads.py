"""Tables as files to download: the user's columns, then ours, with nothing in them that a spreadsheet would run."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_model.io import tables

if TYPE_CHECKING:
    import pandas

BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # without it Excel reads UTF-8 as Windows-1252
# "CSV injection", OWASP: what begins so is a formula to a spreadsheet. The full-width signs are so in Japanese ones.
FORMULA_SIGNS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
_INVISIBLE = "\t\r\n \0\ufeff"
# Where lists are separated by semicolons, as in Germany, Excel begins a cell after each of them.
_WITHIN = re.compile(rf"([;\n][{_INVISIBLE}\"]*)(?=[=＝])")
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")


def as_csv(frame: pandas.DataFrame) -> bytes:
    """``frame`` as a CSV file in UTF-8; a text like a formula gets an apostrophe in front."""
    frame = frame.copy()
    for position, dtype in enumerate(frame.dtypes):
        if dtype.kind not in "biufcmM":
            frame.isetitem(position, frame.iloc[:, position].astype(object).map(harmless))
    frame.columns = [harmless(str(name)) for name in frame.columns]
    return BYTE_ORDER_MARK + _written(frame, ".csv")


def as_xlsx(frame: pandas.DataFrame) -> bytes:
    """``frame`` as a workbook; a text like a formula stays as it is, in a cell that is text."""
    return _written(frame, ".xlsx")


def harmless(value: Any) -> Any:
    """``value`` with an apostrophe in front of what a spreadsheet would take for a formula; numbers stay."""
    if isinstance(value, bytes):
        value = tables.as_text(value)
    if not isinstance(value, str):
        return value
    value = _WITHIN.sub(r"\1'", value)
    if value.lstrip(_INVISIBLE).startswith(FORMULA_SIGNS) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def _written(frame: pandas.DataFrame, suffix: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="tweet-target-") as folder:
        path = Path(folder) / f"answers{suffix}"
        with tables.table_writer(path) as writer:
            for start in range(0, max(len(frame), 1), tables.CHUNK_ROWS):
                writer.write(frame.iloc[start : start + tables.CHUNK_ROWS])
        return path.read_bytes()
