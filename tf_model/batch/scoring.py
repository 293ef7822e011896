"""What a worker does with one part: read it, score it with the one scoring function, set bad rows aside, write it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tf_model.batch import parts
from tf_model.batch.ledger import Done, Ledger
from tf_model.batch.parts import BadRow, Part
from tf_model.errors import ModelError, TweetTargetError, first_line
from tf_model.inference.predictor import Predictor
from tf_model.io.tables import refuse_collisions

if TYPE_CHECKING:
    import pandas


def score_part(predictor: Predictor, ledger: Ledger, part: Part, batch_size: int, options: Mapping[str, Any]) -> Done:
    """Read a part, score it and write it.

    Args:
        predictor: The model.
        ledger: Where it is written, and how it is read.
        part: The part.
        batch_size: See :meth:`~tf_model.inference.predictor.Predictor.predict`.
        options: More arguments of :meth:`~tf_model.inference.predictor.Predictor.predict`.

    Raises:
        DataError: The input has changed, or has a column that the predictions use.
        ModelError: The model cannot score any of the rows.
        OutputError: The part cannot be written.
    """
    import pandas

    begun = time.perf_counter()
    plan = ledger.plan
    columns = predictor.columns(options.get("probabilities", False))
    refuse_collisions(plan, columns)  # before the work that it would be in vain
    rows, numbers, bad = parts.read(part, plan.columns, plan.delimiter)
    texts = rows.iloc[:, plan.columns.index(plan.text_column)].tolist()
    predictions, failed = score_rows(predictor, texts, batch_size, options)
    if failed:
        bad += [BadRow(numbers[place], None, reason, str(texts[place])) for place, reason in failed.items()]
        rows = rows.drop(index=list(failed)).reset_index(drop=True)
    frame = pandas.concat([rows, predictions], axis=1)
    worker = f"{socket.gethostname()}:{os.getpid()}"
    return ledger.write(part, [frame], bad, seconds=time.perf_counter() - begun, worker=worker)


def score_rows(
    predictor: Predictor, texts: Sequence[Any], batch_size: int, options: Mapping[str, Any]
) -> tuple[pandas.DataFrame, dict[int, str]]:
    """Score texts; where that fails, find the ones to blame by halving.

    Returns:
        The predictions of the texts that could be scored, in their order, and the reason for each that could not, by
        its place.

    Raises:
        ModelError: None of them could be scored, so that the model is to blame rather than the texts.
    """
    import pandas

    frames: list[pandas.DataFrame] = []
    failed: dict[int, str] = {}

    def score(start: int, end: int) -> None:
        try:
            frames.append(predictor.predict(texts[start:end], batch_size, **options))
        except TweetTargetError:
            raise  # it says what to do: memory, a server that is down
        except Exception as error:
            if end - start > 1:
                middle = (start + end) // 2
                score(start, middle)
                score(middle, end)
                return
            failed[start] = f"{type(error).__name__}: {first_line(error)}"

    score(0, len(texts))
    if len(failed) == len(texts) > 1:
        raise ModelError(f"the model cannot score any of {len(texts)} rows ({failed[0]}); try it with --text first")
    if not frames:
        frames.append(predictor.predict([], batch_size, **options))
    return pandas.concat(frames, ignore_index=True), failed
