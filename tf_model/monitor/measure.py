"""Predictions with what is recorded of them: the time of each stage, unknown tokens, calls that are under way."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tf_model.predictor import Outputs, Predictor, model_input

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Measured:
    """Predictions and how they came about.

    Attributes:
        predictions: As :func:`tf_model.predict.predict_texts` gives them, the guesses of a model that answers included.
        seconds: How long the call took, by stage: ``"tokenize"`` (cleaning and tokenizing), ``"model"`` and ``"rest"``;
            of a model that does not tell ``"model"`` alone.
        unknown_shares: For each text the share of its tokens that the vocabulary does not know, 0 to 1; None where the
            model does not tell.
    """

    predictions: pandas.DataFrame
    seconds: Mapping[str, float]
    unknown_shares: Sequence[float] | None


def predict(predictor: Predictor, texts: Sequence[Any], **options: Any) -> Measured:
    """Score texts and measure it.

    Args:
        predictor: The model.
        texts: See :func:`tf_model.predict.predict_texts`.
        options: Further arguments of that function, but for ``guesses``.
    """
    from tf_model import predict as scoring

    stages = {"tokenize": 0.0, "model": 0.0}
    shares: dict[bytes, float] = {}
    measure = predictor.measure

    def score(batch: Sequence[bytes]) -> Outputs:
        outputs, found = measure(batch)
        stages["tokenize"] += found.tokenize
        stages["model"] += found.model
        shares.update(zip(batch, found.unknown_shares.tolist(), strict=True))
        return outputs

    measured = replace(predictor, score=score) if measure else predictor
    began = time.perf_counter()
    with _under_way():
        predictions = scoring.predict_texts(measured, texts, guesses=predictor.has_answer, **options)
    taken = time.perf_counter() - began
    if not measure:
        return Measured(predictions, {"model": taken}, None)
    unknown_shares = [shares[model_input(text)] for text in texts]
    return Measured(predictions, stages | {"rest": max(taken - sum(stages.values()), 0.0)}, unknown_shares)


# ---------------------------------------------------------------- how many are asked just now

_lock = threading.Lock()
_count = 0


def in_flight() -> int:
    """Calls of :func:`predict` that are under way in this process."""
    return _count


@contextmanager
def _under_way() -> Iterator[None]:
    global _count
    with _lock:
        _count += 1
    try:
        yield
    finally:
        with _lock:
            _count -= 1
