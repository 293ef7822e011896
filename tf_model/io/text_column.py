"""Find the column of a table that holds the texts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tf_model.errors import DataError, UsageError, listed, nearest

if TYPE_CHECKING:
    import pandas

# Usual names of the column of texts, the surest first.
TEXT_NAMES = (
    "text",
    "tweet",
    "tweet_text",
    "full_text",
    "content",
    "message",
    "body",
    "comment",
    "review",
    "post",
    "sentence",
)


def choose_text_column(sample: pandas.DataFrame, column: str | None, name: str) -> tuple[int, str]:
    """Find the column of texts.

    Args:
        sample: The first rows.
        column: The name that the user gave. None: a usual name (:data:`TEXT_NAMES`), else the longest texts on
            average.
        name: What to call the input in messages.

    Returns:
        The column's position and the reason for choosing it, in words.

    Raises:
        UsageError: ``column`` is not there, or is there more than once.
        DataError: No column holds text.
    """
    columns = [str(each) for each in sample.columns]
    if column is not None:
        return _named_column(columns, column, name), "as asked"
    textual = [position for position in range(len(columns)) if _holds_text(sample.iloc[:, position])]
    if not textual:
        raise DataError(f"{name}: expected a column of texts, but none of {listed(columns)} holds text")
    if len(columns) == 1:
        return 0, "the only column"
    names = {_plain_name(columns[position]): position for position in reversed(textual)}
    for usual in TEXT_NAMES:
        if usual in names:
            return names[usual], "by its name"
    means = {position: _mean_length(sample.iloc[:, position]) for position in textual}
    longest = max(textual, key=means.__getitem__)
    return longest, f"no column has a usual name; its texts are the longest, {means[longest]:.0f} characters on average"


def _named_column(columns: list[str], column: str, name: str) -> int:
    matches = [position for position, each in enumerate(columns) if each == column]
    matches = matches or [position for position, each in enumerate(columns) if _plain_name(each) == _plain_name(column)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UsageError(f"{name} has {len(matches)} columns called {column!r}; rename all but one")
    near = nearest(column, columns, most=3)
    hint = f"did you mean {listed(near)}? The" if near else "the"
    raise UsageError(f"{name} has no column {column!r}; {hint} columns are {listed(columns)}")


def _plain_name(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().casefold())


def _holds_text(column: pandas.Series) -> bool:
    present = column[column.notna()]
    return len(present) == 0 or any(isinstance(value, str) for value in present)


def _mean_length(column: pandas.Series) -> float:
    lengths = [len(value) for value in column if isinstance(value, str)]
    return sum(lengths) / len(lengths) if lengths else 0.0
