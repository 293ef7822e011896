"""The labelled tweets: found, read, checked, split, and what is wrong with them.

What other packages use of it; ``python -m tf_model.data`` says what a dataset holds.
"""

from tf_model.data.dataset import ASSIGNMENT, CUSTOM, SAMPLE, Dataset, read
from tf_model.data.examples import TrainingRows, check_classes, checked_rows, describe_ignored, examples, training_rows
from tf_model.data.source import DATA_VARIABLE, OFFLINE_VARIABLES, Source, announce, resolve

__all__ = [
    "ASSIGNMENT",
    "CUSTOM",
    "DATA_VARIABLE",
    "OFFLINE_VARIABLES",
    "SAMPLE",
    "Dataset",
    "Source",
    "TrainingRows",
    "announce",
    "check_classes",
    "checked_rows",
    "describe_ignored",
    "examples",
    "read",
    "resolve",
    "training_rows",
]
