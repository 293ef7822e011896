"""The labelled tweets: found, read, checked, split, and what is wrong with them.

What other packages use of it; ``python -m tf_model.data`` says what a dataset holds.
"""

from tf_model.data.dataset import ASSIGNMENT, SAMPLE, Dataset, read
from tf_model.data.examples import TrainingRows, checked_rows, training_rows
from tf_model.data.source import DATA_VARIABLE, OFFLINE_VARIABLES, Source, announce, resolve

__all__ = [
    "ASSIGNMENT",
    "DATA_VARIABLE",
    "OFFLINE_VARIABLES",
    "SAMPLE",
    "Dataset",
    "Source",
    "TrainingRows",
    "announce",
    "checked_rows",
    "read",
    "resolve",
    "training_rows",
]
