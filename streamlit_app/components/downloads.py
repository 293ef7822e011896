"""Tables as files to download: the user's columns and then ours, with nothing in them that a spreadsheet would run."""

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
_HIDDEN_BEGINNINGS = "\t\r\n \0\ufeff"
_WITHIN = re.compile(rf"([;\n][{_HIDDEN_BEGINNINGS}\"]*)(?=[=＝])")


def as_csv(frame: pandas.DataFrame) -> bytes:
    """``frame`` as a CSV file that Excel, too, reads as UTF-8; a text like a formula gets an apostrophe in front."""
    return BYTE_ORDER_MARK + _written(frame, ".csv")


def as_xlsx(frame: pandas.DataFrame) -> bytes:
    """``frame`` as a workbook; a text like a formula stays as it is, in a cell that is text."""
    return _written(frame, ".xlsx")


def harmless(value: Any) -> Any:
    """``value``, with an apostrophe in front of what a spreadsheet would take for a formula.

    A number, such as ``-5`` or ``+1.5e3``, is none. Where lists are separated by semicolons, as in Germany, Excel cuts
    a file with commas there and at line breaks, and what follows begins a cell as well. Of the signs only the equals
    sign counts then: people write ``;-)`` and ``;@user``.
    """
    if isinstance(value, bytes):
        value = tables.as_text(value)
    if not isinstance(value, str):
        return value
    value = _WITHIN.sub(r"\1'", value)
    begins = value.lstrip(_HIDDEN_BEGINNINGS)
    if not begins.startswith(FORMULA_SIGNS) or _is_number(value):
        return value
    return f"'{value}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # which Python allows in a number, and nobody else does


def _written(frame: pandas.DataFrame, suffix: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="tweet-target-") as folder:
        path = Path(folder) / f"answers{suffix}"
        with tables.table_writer(path) as writer:
            for start in range(0, max(len(frame), 1), tables.CHUNK_ROWS):
                part = frame.iloc[start : start + tables.CHUNK_ROWS]
                writer.write(_harmless_frame(part) if suffix == ".csv" else part)
        return path.read_bytes()


def _harmless_frame(frame: pandas.DataFrame) -> pandas.DataFrame:
    import pandas

    columns = []
    for position in range(frame.shape[1]):
        column = frame.iloc[:, position]
        if column.dtype.kind not in "biufcmM":
            values = [harmless(value) for value in column]
            column = pandas.Series(values, index=column.index, dtype=object)
        columns.append(column)
    made = pandas.concat(columns, axis=1) if columns else frame
    made.columns = [harmless(str(name)) for name in frame.columns]
    return made
