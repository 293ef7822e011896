"""The rows to analyse: the answered texts of a user's file, with the same columns for every model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from tf_model import tasks
from tf_model.io import tables
from tf_model.model_dir import probability_column

ALL = "all products"
SOURCES = ("source", "channel", "platform", "site", "network")  # names of columns that say where a text is from
MOST_SOURCES = 100  # with more, they are addresses, not channels
LEAST_TEXTS = 30  # with fewer, no share is corrected, no change or difference is reported, and no theme is formed


def emotions_of(labels: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The emotions that a model distinguishes, from the classes of its tasks."""
    return tuple(labels[tasks.TARGET.name if tasks.TARGET.name in labels else tasks.EMOTION.name])


def analysed_rows(
    result: pd.DataFrame, texts: pd.Series, emotions: Sequence[str], dates: pd.Series | None = None
) -> pd.DataFrame:
    """The ``text``, ``product``, ``emotion``, probabilities and ``date`` (NaT: none) of each prediction, same index.

    ``result`` holds predictions with probabilities. The emotion is the most probable one, never "Not sure": non-neutral
    texts are "Not sure" more often, so that shares of the answers would lean to no emotion. Rows without probabilities,
    such as those of a text that names no product, are left out.
    """
    columns = [probability_column("emotion", emotion) for emotion in emotions]
    result = result[result[columns[0]].notna()]
    probabilities = result[columns].to_numpy(np.float64)
    rows = pd.DataFrame(probabilities, index=result.index, columns=columns)
    rows.insert(0, "text", texts.reindex(rows.index))  # else an empty frame would take the rows of ``texts``
    rows.insert(1, "product", result["product"])
    rows.insert(2, "emotion", pd.Categorical.from_codes(probabilities.argmax(axis=1), list(emotions)))
    return rows.assign(date=pd.NaT if dates is None else dates.reindex(rows.index))


def by_product(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield all rows, then the rows of each product, most frequent first; a single product names all rows."""
    counts = rows["product"].value_counts()
    yield counts.index[0] if len(counts) == 1 else ALL, rows
    for product in counts.index if len(counts) > 1 else ():
        yield product, rows[rows["product"] == product]


def find_source(table: pd.DataFrame) -> tuple[int, pd.Series] | None:
    """The column of a user's table that says where each text is from: its position, and its cells, str or missing.

    None if no column whose name is one of :data:`SOURCES`, or ends in it, as "Content Source", has 2 to 100 values.
    """
    names = table.columns.map(lambda name: tables.plain_name(str(name)).rpartition("_")[2])
    for position in np.flatnonzero(names.isin(SOURCES)):
        cells = table.iloc[:, position].map(tables.as_text, na_action="ignore").astype("str")
        cells = cells.where(cells != "")
        if 1 < cells.nunique() <= MOST_SOURCES:
            return int(position), cells
    return None
