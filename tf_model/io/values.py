"""The values of a frame as Python values, as cells of a text file, and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, time
from typing import TYPE_CHECKING, Any

from tf_model.errors import OutputError, listed
from tf_model.io.characters import well_formed

if TYPE_CHECKING:
    import pandas


def rows_of(frame: pandas.DataFrame) -> Iterator[tuple[Any, ...]]:
    """The rows of ``frame`` as Python values; a missing one is None."""
    return zip(*(values_of(frame.iloc[:, position]) for position in range(frame.shape[1])), strict=True)


def values_of(column: pandas.Series) -> list[Any]:
    """The values of ``column`` as Python values; a missing one is None."""
    values = column.tolist()
    if column.dtype.kind == "f" and column.dtype.itemsize == 4:
        # 0.9 as float32 is 0.9, not the 0.8999999761581421 of its float64 neighbour.
        values = [float(str(value)) for value in column.to_numpy("float32", na_value=float("nan"))]
    return [None if gone else value for value, gone in zip(values, column.isna().to_numpy(), strict=True)]


def as_text(value: Any) -> str:
    """A value as a cell of a text file: a missing one is empty, a list or a mapping is JSON."""
    if isinstance(value, str):
        return well_formed(value)
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, dict | list):
        return well_formed(json.dumps(as_json(value), ensure_ascii=False, default=as_text))
    return str(value)


def as_json(value: Any) -> Any:
    """A value as the types that JSON has; what has no word there, NaN and infinity, is None."""
    if isinstance(value, dict):
        return {key: as_json(each) for key, each in value.items()}
    if isinstance(value, list):
        return [as_json(each) for each in value]
    if isinstance(value, datetime | time):
        return value.isoformat()
    if isinstance(value, float) and value - value != 0:
        return None
    return value


def unique_names(frame: pandas.DataFrame, kind: str) -> list[str]:
    """The names of the columns, for a format that must tell them apart.

    Raises:
        OutputError: Two columns have the same name.
    """
    names = [str(name) for name in frame.columns]
    twice = repeated(names)
    if twice:
        raise OutputError(
            f"{kind} cannot hold two columns of the same name, and the input has {listed(twice)} more than once; "
            "write .csv, or rename them"
        )
    return names


def repeated(names: list[str]) -> list[str]:
    """The names that occur more than once."""
    return [name for name, count in Counter(names).items() if count > 1]
