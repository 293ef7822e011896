"""A job: each row is in exactly one shard, finished work is kept, and no other folder is touched."""

import csv
import json
import os
import shutil
import tempfile
from pathlib import Path

import pandas
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tf_model.batch.job import (
    BAD_ROWS,
    SHARD_ROWS,
    Job,
    input_files,
    input_suffix,
    open_first,
    shard_name,
    write_shards,
)
from tf_model.errors import DataError, OutputError, UsageError
from tf_model.io import tables

CELLS = st.text(st.sampled_from('ab ,"\n\r\t;é☕'), max_size=6)


def write_csv(path, rows, delimiter=","):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)


def cut(source: Path, column=None, shard_rows=SHARD_ROWS):
    """The shards, their frames in order, and the bad rows."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = input_files(source)
        made = write_shards(files, open_first(files, column), shard_rows, folder)
        frames = []
        for index, size in enumerate(made.sizes):
            file = folder / shard_name(index, input_suffix(files[0].suffix.lower()))
            with tables.open_table(file, made.text_column) as table:
                frames.append(pandas.concat(table.chunks(), ignore_index=True))
            assert len(frames[-1]) == size
        assert len(list(folder.iterdir())) == len(frames) + 1
        bad = [json.loads(line) for line in (folder / BAD_ROWS).read_text().splitlines()]
    assert len(bad) == made.bad
    return made, pandas.concat(frames, ignore_index=True), bad


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=12), shard_rows=st.integers(1, 5))
def test_csv_shards_hold_each_row_once_and_in_order(tmp_path, rows, shard_rows):
    path = tmp_path / "tweets.csv"
    write_csv(path, [("text", "a;b;c"), *rows])
    made, frame, bad = cut(path, "text", shard_rows)
    assert bad == []
    assert list(made.sizes) == [min(shard_rows, len(rows) - first) for first in range(0, len(rows), shard_rows)]
    assert made.rows == len(rows)
    assert list(frame.columns) == ["text", "a;b;c"]
    assert list(frame.itertuples(index=False, name=None)) == [tuple(row) for row in rows]


def test_csv_is_read_as_the_plain_command_reads_it(tmp_path):
    path = tmp_path / "tweets.csv"
    content = '\ufefftext;n\n"a ""b""; c";007\n\ncaf\u00e9;NA\n'.encode() + b"caf\xe9 \x80;1e5\n"
    path.write_bytes(content)
    made, frame, bad = cut(path, shard_rows=1)
    assert (made.text_column, made.reason, bad) == ("text", "by its name", [])
    with tables.open_table(path) as table:
        pandas.testing.assert_frame_equal(frame, pandas.concat(table.chunks(), ignore_index=True))
    assert frame["text"].tolist() == ['a "b"; c', "café", "café €"]


def test_bad_rows_are_set_aside_with_their_place_and_reason(tmp_path):
    path = tmp_path / "tweets.csv"
    path.write_bytes(b'text,n\ngood,1\ntoo,many,fields\n"broken" quote,2\nnul\0,3\nfew\n"two\nlines",4\nlast,5\n')
    made, frame, bad = cut(path, shard_rows=2)
    assert frame["text"].tolist() == ["good", "two\nlines", "last"]
    assert (made.sizes, made.bad) == ((2, 1), 4)
    assert [(row["file"], row["line"]) for row in bad] == [(str(path), line) for line in (3, 4, 5, 6)]
    assert bad[0]["reason"] == "expected 2 fields, as in the header, found 3"
    assert bad[0]["record"] == "too,many,fields"
    assert "expected after" in bad[1]["reason"]
    assert bad[2]["reason"] == "expected text, found a NUL character, as in UTF-16"
    assert bad[3]["reason"] == "expected 2 fields, as in the header, found 1"


@pytest.mark.parametrize("end", [["400,more", "401,good"], ['400,"two\nlines"', "401,good"]])
def test_a_quote_that_is_not_closed_costs_its_line_alone(tmp_path, end):
    path, rows = tmp_path / "tweets.csv", [f"{number},good" for number in range(400)]
    rows[10], rows[290] = '10,"best phone ever', '290,"worst phone'
    path.write_text("\n".join(["id,text", *rows, *end]) + "\n", encoding="utf-8")
    _, frame, bad = cut(path, shard_rows=1000)
    assert frame["id"].tolist() == [str(number) for number in range(402) if number not in (10, 290)]
    assert frame["text"].iloc[-2] == end[0][4:].strip('"')
    assert [(row["line"], row["record"]) for row in bad] == [(12, '10,"best phone ever'), (292, '290,"worst phone')]


@pytest.mark.parametrize("group_rows", [3, 100])
@pytest.mark.parametrize("shard_rows", [4, 50])
def test_parquet_shards_hold_each_row_once_with_its_type(tmp_path, group_rows, shard_rows):
    table = pyarrow.table(
        {"id": list(range(23)), "text": [f"tweet {i}" for i in range(23)], "ok": [True, None] * 11 + [True]}
    )
    # The case of a suffix does not matter.
    pyarrow.parquet.write_table(table, tmp_path / "TWEETS.PARQUET", row_group_size=group_rows)
    made, frame, bad = cut(tmp_path / "TWEETS.PARQUET", shard_rows=shard_rows)
    assert (made.text_column, bad) == ("text", [])
    assert frame["id"].tolist() == list(range(23))
    assert str(frame["ok"].dtype) == "bool[pyarrow]"
    assert len(made.sizes) == -(-23 // shard_rows)


def test_a_folder_is_read_in_the_order_of_its_names_without_hidden_files(tmp_path):
    for name in ("b/2.csv", "a.csv", "_old/x.csv", ".hidden.csv"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        write_csv(path, [("text",), (name,)])
    (tmp_path / "_SUCCESS").write_text("")
    made, frame, _ = cut(tmp_path)
    assert frame["text"].tolist() == ["a.csv", "b/2.csv"]
    assert made.sizes == (1, 1)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "expected files that all end in .csv or all in .parquet, found none"),
        ({"a.csv": b"text\nx\n", "b.txt": b"x"}, "found '.csv', '.txt'"),
        ({"a.csv": b""}, "is empty"),
        ({"a.csv": b"text\n"}, "expected at least one readable row below the header, found none"),
        ({"a.csv": b"text\na,b\n"}, "expected at least one readable row below the header, found none"),
        ({"a.csv": "text\nx\n".encode("utf-16-le")}, "line 1: expected text, found a NUL character"),
        (
            {"a.csv": b"text\nx\n", "b.csv": b"text,n\nx,1\n"},
            r"expected the columns of a.csv, 'text', found 'text', 'n'",
        ),
        ({"a.csv": b"id,grade\n1,good\n"}, "expected a column of texts, but 'id', 'grade' hold numbers"),
        ({"a.csv": b'"te"xt"\nx\n'}, "line 1: ',' expected after"),
        ({"a.csv": b'text\nfine\n"never closed\nmore\nand more\n'}, "line 3: unexpected end of data; .*double quotes"),
        ({"a.parquet": b"PAR1 nonsense"}, "expected a Parquet file"),
        (
            {"y=1/day=2/a.csv": b"text\nx\n", "y=1/day=3/a.csv": b"text\nx\n"},
            r"the column 'y' is in the names of folders, such as y=1, which are not read; write it into the files",
        ),
    ],
)
def test_what_cannot_be_cut_is_refused_in_one_line(tmp_path, files, message):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as refused:
        cut(tmp_path)
    assert "\n" not in str(refused.value)


def test_how_a_file_was_read_is_said_once(tmp_path, capsys):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_bytes("text\nun café\n".encode("latin-1"))
    cut(tmp_path)
    assert capsys.readouterr().err == "note: a.csv: not all of it is UTF-8: the other bytes were read as Windows-1252\n"


def test_the_first_file_with_a_row_decides_the_text_column(tmp_path):
    table = pyarrow.table({"id": [1], "note": ["i love my ipad"]})
    pyarrow.parquet.write_table(table.slice(0, 0), tmp_path / "a.parquet")
    pyarrow.parquet.write_table(table, tmp_path / "b.parquet")
    assert cut(tmp_path)[0].text_column == "note"


def test_columns_that_cannot_be_used(tmp_path):
    write_csv(tmp_path / "a.csv", [("text", "text", "product"), ("a", "b", "c")])
    with pytest.raises(UsageError, match="has 2 columns called 'text'; rename all but one"):
        cut(tmp_path)
    with pytest.raises(UsageError, match="has no column 'tweet'"):
        cut(tmp_path, "tweet")


# ---------------------------------------------------------------- the manifest


@pytest.fixture
def source(tmp_path):
    (tmp_path / "in.csv").write_text("text\n" + "tweet\n" * 5)
    return tmp_path / "in.csv"


def job_of(source, **settings):
    return Job(source.parent / "out", [source], {"model": "abc", "options": {}} | settings)


def begin(job):
    return job.begin(open_first(job.files, None), 2)


def score(job, *indices):
    """Score as a worker does."""
    for index in indices:
        shutil.copy(job.input(index), job.output(index))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_job_goes_on_with_what_is_not_done(source):
    source.write_text(source.read_text() + "a,b\n")
    job = job_of(source)
    assert job.resume() is None
    shards = begin(job)
    assert (shards.sizes, shards.bad, shards.text_column, job.missing(shards)) == ((2, 2, 1), 1, "text", [0, 1, 2])
    score(job, 1)
    again = job_of(source)
    assert again.resume() == shards
    assert again.missing(shards) == [0, 2]
    with pytest.raises(OutputError, match="2 of 3 shards are missing; run the same command again"):
        again.finalize(shards)
    score(again, 0, 2)
    again.finalize(shards)
    assert shards.rows == 5
    assert names(job.folder) == ["_bad", "_manifest.json", *(f"shard-{index:06}.csv" for index in range(3))]
    assert json.loads((job.folder / "_bad" / "rows.jsonl").read_text())["line"] == 7
    assert job_of(source).resume() == shards
    assert job_of(source).missing(shards) == []


@pytest.mark.parametrize("lose", [Path.unlink, lambda shard: shard.write_text("")])
def test_a_shard_that_was_removed_or_emptied_is_written_again(source, lose):
    job = job_of(source)
    shards = begin(job)
    score(job, 0, 1, 2)
    lose(job.output(1))
    assert job.resume() == shards
    assert job.missing(shards) == [1]
    score(job, 1)
    job.finalize(shards)
    lose(job.output(1))
    assert job.resume() is None, "the copy of the input has gone"
    begin(job)
    assert job.missing(shards) == [0, 1, 2]


@pytest.mark.parametrize("settings", [{"model": "def"}, {"options": {"threshold": 0.5}}])
def test_the_output_of_another_job_is_kept_unless_asked(source, settings):
    job = job_of(source)
    begin(job)
    score(job, 0)
    other = job_of(source, **settings)
    with pytest.raises(UsageError, match=r"another job \(another model, setting or input\); choose another folder"):
        other.resume()
    assert other.resume(overwrite=True) is None
    assert job.output(0).is_file(), "nothing is touched yet"
    assert other.missing(begin(other)) == [0, 1, 2]
    assert names(job.folder) == ["_input", "_manifest.json"]


def test_an_input_that_cannot_be_cut_leaves_an_earlier_job_as_it_was(source):
    job = job_of(source)
    begin(job)
    score(job, 0)
    before = names(job.folder)
    source.write_text('text\n"never closed')
    with pytest.raises(DataError, match="unexpected end of data"):
        begin(job_of(source))
    assert names(job.folder) == before


def test_overwriting_goes_on_with_an_unfinished_run_of_the_same_job_and_replaces_a_complete_one(source):
    job = job_of(source)
    shards = begin(job)
    score(job, 0)
    # As the same command with --overwrite does after losing its workers.
    assert job_of(source).resume(overwrite=True) == shards
    score(job, 1, 2)
    assert job_of(source).resume(overwrite=True) == shards
    job.finalize(shards)
    assert job_of(source).resume() == shards
    assert job_of(source).resume(overwrite=True) is None


def test_a_changed_input_is_another_job(source):
    begin(job_of(source))
    before = source.stat()
    source.write_text("text\n" + "tweeT\n" * 5)
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))
    with pytest.raises(UsageError, match=r"another job"):
        job_of(source).resume()


def test_an_input_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        job_of(tmp_path / "nothing.csv")


def test_a_link_keeps_its_own_name(tmp_path):
    """Tools for data name the file by a hash, without an ending, and link to it."""
    (tmp_path / "3f2a").write_text("text\nan iPad\n", encoding="utf-8")
    (tmp_path / "tweets.csv").symlink_to(tmp_path / "3f2a")
    shards, frame, _ = cut(tmp_path / "tweets.csv")
    assert (shards.rows, frame["text"].tolist()) == (1, ["an iPad"])


@pytest.mark.parametrize("to", ["archive", "nowhere"])
def test_a_link_to_a_folder_or_to_nothing_is_refused(tmp_path, to):
    folder = tmp_path / "files"
    for each in (tmp_path / "archive", folder):
        each.mkdir()
        (each / "a.csv").write_text("text\nan iPad\n", encoding="utf-8")
    (folder / "linked").symlink_to(tmp_path / to)
    with pytest.raises(DataError, match=r"linked is a link to a folder, or to nothing"):
        input_files(folder)


def test_a_name_that_is_no_utf_8_does_not_make_another_job(tmp_path):
    path = tmp_path / "caf\udce9.csv"
    path.write_text("text\nan iPad\n", encoding="utf-8")
    begin(job_of(path))
    assert job_of(path).resume() is not None


def test_what_no_job_made_is_never_touched(source):
    job = job_of(source)
    job.folder.mkdir()
    mine = job.folder / "mine.txt"
    mine.write_text("mine")
    with pytest.raises(OutputError, match=r"holds other files, 'mine\.txt'; choose another folder"):
        job.resume(overwrite=True)
    mine.unlink()
    score(job, *job.missing(begin(job)))
    mine.write_text("mine")
    (job.folder / ".shard-000000.csv.abc.part").mkdir()  # of a worker that was killed
    other = job_of(source, model="def")
    assert other.resume(overwrite=True) is None
    begin(other)
    assert names(job.folder) == ["_input", "_manifest.json", "mine.txt"]
    shutil.rmtree(job.folder)
    job.folder.write_text("a file")
    with pytest.raises(OutputError, match="a part of this path is a file"):
        job.resume()


def test_shards_without_a_manifest_are_never_touched(source):
    job = job_of(source)
    score(job, *job.missing(begin(job)))
    (job.folder / "_manifest.json").unlink()
    with pytest.raises(OutputError, match=r"holds other files, 'shard-000000\.csv', "):
        job.resume(overwrite=True)


def test_what_a_killed_run_left_before_its_manifest_is_replaced(source):
    job = job_of(source)
    begin(job)
    (job.folder / "_manifest.json").unlink()
    (job.folder / "._input.abc.part").mkdir()
    assert job.resume() is None
    assert len(begin(job).sizes) == 3


@pytest.mark.parametrize("content", ["{}", "[]", '{"job": 1}', "no JSON"])
def test_a_file_that_is_only_called_like_a_manifest_is_kept(source, content):
    job = job_of(source)
    job.folder.mkdir()
    (job.folder / "_manifest.json").write_text(content)
    with pytest.raises(DataError, match=r"cannot read .*_manifest\.json"):
        job.resume(overwrite=True)
    assert (job.folder / "_manifest.json").read_text() == content
