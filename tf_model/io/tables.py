"""Users' files in and out: rows are read and written in chunks, and their values stay as they are.

A file is read once from end to end before anything is made of it: a broken last line is then known in the first
second and not after an hour of predictions, and so is the number of rows. Both passes keep one chunk in memory.
(A workbook also keeps its table of shared strings: that is how the format works.)

:mod:`~tf_model.io.reading` opens a file and :mod:`~tf_model.io.writing` makes one; each format has a module
of its own with both its directions.
"""

from tf_model.io.formats import CHUNK_ROWS, Limits, TableWriter, TooLargeError
from tf_model.io.reading import INPUT_SUFFIXES, STANDARD_INPUT, Table, open_table, table_of_texts
from tf_model.io.text_column import TEXT_NAMES, choose_text_column
from tf_model.io.text_files import CsvWriter, JsonLinesWriter
from tf_model.io.values import as_text
from tf_model.io.writing import OUTPUT_SUFFIXES, check_output, refuse_collisions, table_writer

__all__ = [
    "CHUNK_ROWS",
    "INPUT_SUFFIXES",
    "OUTPUT_SUFFIXES",
    "STANDARD_INPUT",
    "TEXT_NAMES",
    "CsvWriter",
    "JsonLinesWriter",
    "Limits",
    "Table",
    "TableWriter",
    "TooLargeError",
    "as_text",
    "check_output",
    "choose_text_column",
    "open_table",
    "refuse_collisions",
    "table_of_texts",
    "table_writer",
]
