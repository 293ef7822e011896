"""The labelled tweets: find, read, check, split and audit them."""

from tf_model.data.dataset import ASSIGNMENT, SAMPLE, Columns, Dataset, read
from tf_model.data.examples import (
    TrainingRows,
    checked_rows,
    products_for,
    products_of,
    products_to_judge,
    say_unnamed,
    training_rows,
)
from tf_model.data.source import DATA_VARIABLE, Source, add_data_arguments, announce, load, options_of, resolve
