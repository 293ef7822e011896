"""Shards: every row in exactly one of them, whatever the quoting, and the same shards each time."""

import csv
import json
import tempfile
from pathlib import Path

import pandas
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tf_model.batch import shards
from tf_model.errors import DataError, UsageError
from tf_model.io import tables

CELLS = st.text(st.sampled_from('ab ,"\n\r\t;é☕'), max_size=6)


def write_csv(path, rows, delimiter=","):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)


def cut(source: Path, column=None, shard_rows=shards.SHARD_ROWS, ours=()):
    """The shards, their frames in order and the bad rows."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = shards.input_files(source)
        made = shards.cut(files, shards.open_first(files, column, ours), shard_rows, folder)
        frames = []
        for index, size in enumerate(made.sizes):
            file = folder / shards.shard_name(index, shards.input_suffix(files[0].suffix.lower()))
            with tables.open_table(file, made.text_column) as table:
                frames.append(pandas.concat(table.chunks(), ignore_index=True))
            assert len(frames[-1]) == size
        assert len(list(folder.iterdir())) == len(frames) + 1
        bad = [json.loads(line) for line in (folder / shards.BAD_ROWS).read_text().splitlines()]
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


@pytest.mark.parametrize("group_rows", [3, 100])
@pytest.mark.parametrize("shard_rows", [4, 50])
def test_parquet_shards_hold_each_row_once_with_its_type(tmp_path, group_rows, shard_rows):
    table = pyarrow.table(
        {"id": list(range(23)), "text": [f"tweet {i}" for i in range(23)], "ok": [True, None] * 11 + [True]}
    )
    # The case of an ending does not matter.
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
        ({"a.csv": b"text\n"}, "expected at least one row below the header that can be read, found none"),
        ({"a.csv": b"text\na,b\n"}, "expected at least one row below the header that can be read, found none"),
        ({"a.csv": "text\nx\n".encode("utf-16-le")}, "line 1: expected text, found a NUL character"),
        (
            {"a.csv": b"text\nx\n", "b.csv": b"text,n\nx,1\n"},
            r"expected the columns of a.csv, 'text', found 'text', 'n'",
        ),
        ({"a.csv": b'"te"xt"\nx\n'}, "line 1: ',' expected after"),
        ({"a.csv": b'text\nfine\n"never closed\nmore\nand more\n'}, "line 3: unexpected end of data; .*double quotes"),
        ({"a.parquet": b"PAR1 nonsense"}, "expected a Parquet file"),
    ],
)
def test_what_cannot_be_cut_is_refused_in_one_line(tmp_path, files, message):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as refused:
        cut(tmp_path)
    assert "\n" not in str(refused.value)


def test_columns_that_cannot_be_used(tmp_path):
    write_csv(tmp_path / "a.csv", [("text", "text", "product"), ("a", "b", "c")])
    with pytest.raises(UsageError, match="has 2 columns called 'text'; rename all but one"):
        cut(tmp_path)
    with pytest.raises(DataError, match="already has a column called 'product'"):
        cut(tmp_path, ours=["product"])
    with pytest.raises(UsageError, match="has no column 'tweet'"):
        cut(tmp_path, "tweet")
