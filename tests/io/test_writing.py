"""An output is written whole or not at all, and never over something else."""

import errno
import gc
import resource
import sys

import pandas
import pytest
from table_files import save, write

from tf_model.errors import OutputError, UsageError
from tf_model.io import tables


def test_columns_that_are_called_as_ours_get_names_that_nobody_has(tmp_path):
    with tables.open_table(write(tmp_path / "a.csv", "text,product,answer,answer_input\na,b,c,d\n")) as table:
        assert tables.input_renames(table, ["emotion"]) == {}
        names = tables.input_renames(table, ["product", "product_confidence", "answer"])
    assert names == {"product": "product_input", "answer": "answer_input_input"}


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_formats_that_need_unique_names(tmp_path, suffix):
    frame = pandas.DataFrame([["a", "b"]], columns=["x", "x"])
    with pytest.raises(OutputError, match=r"cannot hold two columns of the same name"):
        save(frame, tmp_path / f"a{suffix}")


def test_outputs_that_are_refused(tmp_path):
    path = write(tmp_path / "a.csv", "text\na\n")
    with tables.open_table(path) as table:
        with pytest.raises(UsageError, match=r"ends in \.csv, \.tsv, \.xlsx, \.parquet.*found '\.doc'"):
            tables.check_output(tmp_path / "b.doc")
        with pytest.raises(UsageError, match="is the input itself, which is never overwritten"):
            tables.check_output(tmp_path / "." / "a.csv", overwrite=True, table=table)
    other = write(tmp_path / "b.csv", "mine")
    with pytest.raises(OutputError, match="already exists; add --overwrite"):
        save(pandas.DataFrame({"text": ["a"]}), other)
    assert other.read_text() == "mine"
    save(pandas.DataFrame({"text": ["a"]}), other, overwrite=True)
    assert other.read_text() == "text\na\n"


@pytest.mark.parametrize("suffix", tables.OUTPUT_SUFFIXES)
@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_leaves_nothing_half_written(tmp_path, suffix, failure):
    output = write(tmp_path / f"a{suffix}", "mine")

    def fail():
        with tables.table_writer(output, overwrite=True) as writer:
            writer.write(pandas.DataFrame({"text": ["a"]}))
            raise failure

    if isinstance(failure, OSError):
        with pytest.raises(OutputError, match=r"cannot write .*the disk is full; free some space"):
            fail()
    else:
        with pytest.raises(KeyboardInterrupt):
            fail()
    assert output.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [output]


def test_a_disk_that_fills_up_while_a_workbook_is_saved_is_one_error_and_no_traceback(tmp_path, monkeypatch):
    ignored = []
    monkeypatch.setattr(sys, "unraisablehook", ignored.append)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def save_with_little_room():
        with tables.table_writer(tmp_path / "a.xlsx") as writer:
            writer.write(pandas.DataFrame({"text": ["a"] * 100}))
            writer.sheet.close()  # its temporary file, elsewhere, has room
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))

    try:
        with pytest.raises(OutputError, match="cannot write"):
            save_with_little_room()
        gc.collect()  # open files try again
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert ignored == []
    assert list(tmp_path.iterdir()) == []
