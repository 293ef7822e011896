"""The labelled tweets: found, read, checked, split, and what is wrong with them."""

from tf_model.data.dataset import ASSIGNMENT, SAMPLE, Dataset, read
from tf_model.data.examples import TrainingRows, checked_rows, training_rows
from tf_model.data.source import DATA_VARIABLE, OFFLINE_VARIABLES, Source, announce, resolve
