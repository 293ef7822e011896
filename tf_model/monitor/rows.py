"""From texts and a table of predictions to the plain values that are recorded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tf_model.monitor.events import CONFIDENCE_COLUMNS, LABEL_COLUMNS, outcome

if TYPE_CHECKING:
    import pandas


def columns_of(
    texts: Sequence[Any], predictions: pandas.DataFrame, unknown_shares: Sequence[float | None] | None = None
) -> dict[str, list[Any]]:
    """The columns of :data:`tf_model.monitor.events.COLUMNS` that can be had, N values each, None for missing ones.

    Args:
        texts: N texts of any kind that can be predicted.
        predictions: N rows; columns that are not recorded are left out.
        unknown_shares: N shares of unknown tokens, 0 to 1.

    Raises:
        ValueError: The lengths differ.
    """
    from tf_model.inference.predictor import model_input

    if len(texts) != len(predictions) or len(unknown_shares if unknown_shares is not None else texts) != len(texts):
        raise ValueError(f"expected a prediction, and a share, for each of {len(texts)} texts")
    columns = _recorded(predictions)
    columns["length"] = [len(model_input(text).decode()) for text in texts]
    if unknown_shares is not None:
        columns["unknown_share"] = [number(share) for share in unknown_shares]
    nothing = [None] * len(texts)
    pairs = zip(columns.get("answer", nothing), columns.get("emotion", nothing), strict=True)
    columns["outcome"] = [outcome(answer, emotion) for answer, emotion in pairs]
    return columns


def _recorded(predictions: pandas.DataFrame) -> dict[str, list[Any]]:
    plain = dict.fromkeys(LABEL_COLUMNS, label) | dict.fromkeys(CONFIDENCE_COLUMNS, number)
    known = [name for name in predictions.columns if name in plain]
    if len(known) < len(predictions.columns):
        predictions = predictions[known]
    values = predictions.to_numpy(dtype=object)  # at once: several times as fast as column by column for one row
    return {name: [plain[name](value) for value in values[:, place]] for place, name in enumerate(known)}


def label(value: Any) -> str | None:
    """A label, None for anything that is no text."""
    return value if isinstance(value, str) else None


def number(value: Any) -> float | None:
    """A finite number, None for anything else."""
    with suppress(TypeError, ValueError):  # None and NA are no numbers
        found = float(value)
        if math.isfinite(found):
            return found
    return None
