"""Logs of made-up predictions, at times that the test chooses."""

import random

import pandas as pd

from tests.monitor.made_up import corrected
from tf_model import tasks
from tf_model.modeling.joint_label import NOT_SURE, answer_text
from tf_model.monitor import reference
from tf_model.monitor.aggregates import CPU, DROPPED, MEMORY
from tf_model.monitor.events import PROCESS, Answered, Failed, Stream, columns_of
from tf_model.monitor.store import Store

APP = Stream("answer", "one", "app")
ORDINARY = {"iPad": 5, "iPhone": 3, "Google": 2}
OTHER_TOPIC = {"Android": 9, "Google": 1}


def predictions(count: int, mix=ORDINARY, seed: int = 0) -> pd.DataFrame:
    """Rows as ``Predictor.predict`` returns them, drawn from a mix of products."""
    choose = random.Random(seed)
    rows = []
    for _ in range(count):
        [product] = choose.choices(list(mix), list(mix.values()))
        [emotion] = choose.choices(tasks.EMOTIONS, (1, 5, 3))
        confidence = min(max(choose.gauss(0.85, 0.08), 0.2), 0.999)
        answer = NOT_SURE if confidence < 0.6 else answer_text(emotion, product)
        figures = dict.fromkeys(("product_confidence", "emotion_confidence", "answer_confidence"), confidence)
        rows.append({"product": product, "emotion": emotion, "answer": answer, **figures})
    return pd.DataFrame(rows)


def texts(count: int, seed: int = 0) -> list[str]:
    choose = random.Random(seed)
    return ["made up " * choose.randint(2, 12) for _ in range(count)]


def answered(time: float, frame: pd.DataFrame, seconds: float = 0.02, stream: Stream = APP, seed: int = 0) -> Answered:
    """One call for the rows of ``frame``."""
    times = {"tokenize": seconds * 0.1, "model": seconds * 0.8, "rest": seconds * 0.1}
    return Answered(time, stream, times, columns_of(texts(len(frame), seed), frame))


def write_healthy(store: Store, since: float, calls: int = 60, stream: Stream = APP) -> None:
    """Calls of a few ordinary texts, one in half a minute, with samples of the machine."""
    events = [
        answered(since + number * 30, predictions(3, seed=number), 0.015 + 0.01 * (number % 7 == 0), stream, number)
        for number in range(calls)
    ]
    machine = Stream(stream.model, stream.version, PROCESS)
    samples = [
        (event.time, machine, {(CPU, ""): (1, 0.3 + 0.1 * (number % 3)), (MEMORY, ""): (1, 700e6 + number * 1e5)})
        for number, event in enumerate(events)
    ]
    store.write(events, samples)


def write_corrections(store: Store, since: float, correct: int, wrong: int, text: str = "made up", stream=APP) -> None:
    events = []
    for number, answer in enumerate(predictions(correct + wrong, seed=1).to_dict("records")):
        is_correct = number < correct
        right = {} if is_correct else {"product": "iPad", "emotion": tasks.POSITIVE}
        events.append(corrected(is_correct, since + number, f"{text} {number}", stream, prediction=answer, **right))
    store.write(events)


def write_errors(store: Store, since: float, count: int, message: str = "it broke") -> None:
    store.write([Failed(since + number, APP, "ModelError", f"{message} {number}") for number in range(count)])


def write_lost(store: Store, time: float, count: int) -> None:
    store.write([], [(time, Stream(APP.model, APP.version, PROCESS), {(DROPPED, ""): (count, 0.0)})])


def ordinary_reference() -> reference.Reference:
    return reference.build(
        texts(2000, 99), predictions(2000, seed=99), "2,000 made-up validation texts", accuracy={"answer": 0.85}
    )
