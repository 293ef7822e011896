"""Small datasets for the tests, as files."""

import random
from pathlib import Path

import pandas as pd
import pytest

from tf_model import tasks
from tf_model.data.dataset import COLUMNS
from tf_model.errors import DataError

HEADER = ",".join(COLUMNS)


NONE, GOOD, BAD = tasks.NO_EMOTION, tasks.POSITIVE, tasks.NEGATIVE


ROWS = [
    ("the battery of my phone lasts all day", "iPhone", GOOD),
    ("the maps keep losing me", "Google", BAD),
    ("queueing for coffee", "", NONE),
    ("the tablet is light", "iPad", GOOD),
    ("hard to say what this is", "", tasks.CANNOT_TELL),
]


def write_csv(path: Path, rows=ROWS, columns=COLUMNS, **options) -> Path:
    pd.DataFrame(rows, columns=list(columns)).to_csv(path, index=False, **options)
    return path


def write_workbook(path: Path, **sheets: pd.DataFrame) -> Path:
    with pd.ExcelWriter(path) as writer:
        for name, frame in sheets.items():
            frame.to_excel(writer, sheet_name=name, index=False)
    return path


def labelled(rows=ROWS, columns=COLUMNS) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(columns))


def line_of(call, *arguments, error=DataError, **options) -> str:
    """The message of the error that ``call`` raises, which must be one line."""
    with pytest.raises(error) as caught:
        call(*arguments, **options)
    message = str(caught.value)
    assert message
    assert len(message.splitlines()) == 1
    return message


def unlike(count: int, seed: int = 0) -> list[str]:
    """Texts of random letters; no two are near-duplicates."""
    generator = random.Random(seed)
    return [" ".join("".join(generator.choices("abcdefghijklmnop", k=7)) for _ in range(7)) for _ in range(count)]


def split_rows() -> list[tuple[str, str, str, str]]:
    """Rows with the part that each belongs to; one of the test is a near-duplicate of one of the training."""
    first, second, third = unlike(3)
    return [
        (first, "iPad", GOOD, "Train"),
        (second, "Google", BAD, " train "),
        (third, "iPad", GOOD, "test"),
        (f"RT @user {second}", "Google", BAD, "test"),
        (first, "Google", BAD, ""),
    ]


def long_targets(path: Path) -> Path:
    """A table of 20 texts, each with a row about the Kindle at its begin and one about the Xbox at its end."""
    parts = iter(unlike(400))
    texts = [" ".join(["my Kindle", *(next(parts) for _ in range(20)), "my Xbox"]) for _ in range(20)]
    labels = ("negative", "positive")
    rows = [(text, name, labels[row % 2]) for row, text in enumerate(texts) for name in ("Kindle", "Xbox")]
    return write_csv(path / "long.csv", rows, ("text", "brand", "sentiment"))


def topics(count: int = 20) -> pd.DataFrame:
    """A table with other columns: texts that name their topic, one both in training and test."""
    texts = [f"{text} {('rain', 'goal')[number % 2]}" for number, text in enumerate(unlike(count))]
    labels = ["weather", "sport"] * (count // 2)
    parts = ["train"] * (count - 4) + ["test"] * 4
    frame = pd.DataFrame({"id": range(count), "content": texts, "topic": labels, "urgent": "no", "part": parts})
    return pd.concat([frame, frame.head(1).assign(part="test", topic="sport")], ignore_index=True)
