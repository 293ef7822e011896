"""The classification tasks: the labels of each, and the column that holds them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

TEXT_COLUMN = "tweet_text"
PRODUCT_COLUMN = "emotion_in_tweet_is_directed_at"
EMOTION_COLUMN = "is_there_an_emotion_directed_at_a_brand_or_product"
COLUMNS = (TEXT_COLUMN, PRODUCT_COLUMN, EMOTION_COLUMN)

# The report's classes in its order, so that class ids are comparable. Any other table has its own labels.
PRODUCTS = (
    "iPhone",
    "iPad or iPhone App",
    "iPad",
    "Google",
    "Android",
    "Apple",
    "Android App",
    "Other Google product or service",
    "Other Apple product or service",
)
NEGATIVE = "Negative emotion"
NO_EMOTION = "No emotion toward brand or product"
POSITIVE = "Positive emotion"
EMOTIONS = (NEGATIVE, NO_EMOTION, POSITIVE)
CANNOT_TELL = "I can't tell"  # occurs in the data, but is not a class of any task


@dataclass(frozen=True)
class Task:
    """One classification task."""

    name: str  # on the command line, and of the saved model
    column: str  # of the dataset, with the labels
    labels: tuple[str, ...]  # the classes; the id of a class is its position
    ignored_labels: tuple[str, ...] = ()  # other values of the column, which no model learns
    no_emotion: str | None = None  # the label of no emotion, if there is one

    @property
    def neutral(self) -> int | None:
        """The id of the class "no emotion"; None if there is none."""
        return self.labels.index(self.no_emotion) if self.no_emotion in self.labels else None


PRODUCT = Task("product", PRODUCT_COLUMN, PRODUCTS)
EMOTION = Task("emotion", EMOTION_COLUMN, EMOTIONS, ignored_labels=(CANNOT_TELL,), no_emotion=NO_EMOTION)
ANSWER_TASKS = (PRODUCT, EMOTION)  # of the joined model; its labels and probabilities are in this order, emotion last
TASKS = {task.name: task for task in ANSWER_TASKS}

# The emotion directed at one product that a text names, with its mention marked in the text.
TARGET = replace(EMOTION, name="target")
ALL_TASKS = TASKS | {TARGET.name: TARGET}

ANSWER = "answer"  # the name of the joined model, and of its whole answer
NO_LABEL = -1  # the class id of a row that has no label of a task


def name_of(labels: Iterable[str]) -> str:
    """The name of a model with these task names; empty if there are none."""
    names = list(labels)
    return ANSWER if len(names) > 1 else next(iter(names), "")


def has_answer(labels: Iterable[str]) -> bool:
    """Whether a model with these task names gives answers, including "Not sure"."""
    names = set(labels)
    return names >= {PRODUCT.name, EMOTION.name} or TARGET.name in names


def of_model(labels: Mapping[str, Sequence[str]], no_emotion: str | None) -> tuple[Task, ...]:
    """The tasks of a model with these classes."""
    return tuple(
        replace(ALL_TASKS[name], labels=tuple(classes), no_emotion=None if name == PRODUCT.name else no_emotion)
        for name, classes in labels.items()
    )


_MISSING = {"n/a", "#n/a", "na", "nan", "null"}
_NO_PRODUCT = {"none", "no product", "no brand"}
_NO_EMOTION = {"none", "neutral", "no emotion", "no sentiment", NO_EMOTION.lower()}
_CANNOT_TELL = {"i can't tell", "can't tell", "cannot tell", "not sure", "unsure", "unclear"}


def is_missing(label: str, task: str) -> bool:
    """Whether the words of a cell mean that there is no label: "n/a", or "none" for the product."""
    return _plain(label) in (_MISSING | _NO_PRODUCT if task == PRODUCT.name else _MISSING)


def is_cannot_tell(label: str) -> bool:
    """Whether a label says that the annotator could not tell the emotion."""
    return _plain(label) in _CANNOT_TELL


def is_no_emotion(label: str) -> bool:
    """Whether a label is one of the usual names of no emotion."""
    return _plain(label) in _NO_EMOTION


def no_emotion_of(labels: Iterable[str]) -> list[str]:
    """The labels that may mean no emotion; if the labels are -1, 0 and 1, that is 0."""
    labels = list(labels)
    with suppress(ValueError):
        numbers = {label: float(label) for label in labels}
        return [label for label in labels if not numbers[label]] if {*numbers.values()} == {-1.0, 0.0, 1.0} else []
    return [label for label in labels if is_no_emotion(label)]


def _plain(label: str) -> str:
    return re.sub(r"[\s_-]+", " ", label.casefold().replace("\u2019", "'")).strip()
