"""The labelled tweets: found, read, checked, split, and what is wrong with them.

What other packages use of it; ``python -m tf_model.data`` says what a dataset holds.
"""

from tf_model.data.dataset import ASSIGNMENT, CUSTOM, SAMPLE, Dataset, read
from tf_model.data.examples import (
    TrainingRows,
    answer_examples,
    check_classes,
    describe_ignored,
    examples,
    training_rows,
)
from tf_model.data.source import DATA_VARIABLE, OFFLINE_VARIABLES, Locations, Source, announce, resolve
from tf_model.data.summary import Summary, summarize

__all__ = [
    "ASSIGNMENT",
    "CUSTOM",
    "DATA_VARIABLE",
    "OFFLINE_VARIABLES",
    "SAMPLE",
    "Dataset",
    "Locations",
    "Source",
    "Summary",
    "TrainingRows",
    "announce",
    "answer_examples",
    "check_classes",
    "describe_ignored",
    "examples",
    "read",
    "resolve",
    "summarize",
    "training_rows",
]
