"""Parts: every row in exactly one of them, whatever the quoting, and the same parts each time."""

import csv
import io

import pandas
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tf_model.batch import parts
from tf_model.errors import DataError, UsageError
from tf_model.io import tables

CELLS = st.text(st.sampled_from('ab ,"\n\r;é☕'), max_size=6)


def write_csv(path, rows, delimiter=","):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)


def read_all(plan):
    """Good rows, their numbers and bad rows of all parts, one after the other."""
    frames, numbers, bad = [], [], []
    for part in plan.parts:
        frame, found, set_aside = parts.read(part, plan.columns, plan.delimiter)
        assert len(found) + len(set_aside) == part.rows
        frames.append(frame)
        numbers += found
        bad += set_aside
    return pandas.concat(frames, ignore_index=True), numbers, bad


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=12), part_rows=st.integers(1, 5))
def test_csv_parts_hold_each_row_once_and_in_order(tmp_path, rows, part_rows):
    path = tmp_path / "tweets.csv"
    write_csv(path, [("text", "note"), *rows])
    plan = parts.plan(path, "text", part_rows)
    frame, numbers, bad = read_all(plan)
    assert bad == []
    assert numbers == list(range(len(rows))) == list(range(plan.rows))
    assert [part.rows for part in plan.parts] == [
        min(part_rows, len(rows) - first) for first in range(0, len(rows), part_rows)
    ]
    assert list(frame.itertuples(index=False, name=None)) == [tuple(row) for row in rows]


def test_csv_is_read_as_the_plain_command_reads_it(tmp_path):
    path = tmp_path / "tweets.csv"
    content = '\ufefftext;n\n"a ""b""; c";007\n\ncaf\u00e9;NA\n'.encode() + b"caf\xe9 \x80;1e5\n"
    path.write_bytes(content)
    plan = parts.plan(path, part_rows=1)
    frame, _, bad = read_all(plan)
    assert (plan.text_column, plan.delimiter, bad) == ("text", ";", [])
    with tables.open_table(path) as table:
        pandas.testing.assert_frame_equal(frame, pandas.concat(table.chunks(), ignore_index=True))
    assert frame["text"].tolist() == ['a "b"; c', "café", "café €"]


def test_bad_rows_are_set_aside_with_their_place_and_reason(tmp_path):
    path = tmp_path / "tweets.csv"
    path.write_bytes(b'text,n\ngood,1\ntoo,many,fields\n"broken" quote,2\nnul\0,3\nfew\n"two\nlines",4\nlast,5\n')
    frame, numbers, bad = read_all(parts.plan(path, part_rows=2))
    assert frame["text"].tolist() == ["good", "two\nlines", "last"]
    assert numbers == [0, 5, 6]
    assert [(row.row, row.line) for row in bad] == [(1, 3), (2, 4), (3, 5), (4, 6)]
    assert bad[0].reason == "expected 2 fields, as in the header, found 3"
    assert bad[0].record == "too,many,fields"
    assert "expected after" in bad[1].reason
    assert bad[2].reason == "it holds a NUL character"
    assert bad[3].reason == "expected 2 fields, as in the header, found 1"


def test_a_quote_that_is_never_closed_is_not_one_bad_row(tmp_path):
    path = tmp_path / "tweets.csv"
    path.write_text('text\nfine\n"never closed\nmore\nand more\n')
    with pytest.raises(DataError, match=r"begins in the row on line 3 is never closed"):
        parts.plan(path)


@pytest.mark.parametrize("group_rows", [3, 7, 100])
@pytest.mark.parametrize("part_rows", [1, 4, 10, 50])
def test_parquet_parts_hold_each_row_once_with_its_type(tmp_path, group_rows, part_rows):
    table = pyarrow.table(
        {"id": list(range(23)), "text": [f"tweet {i}" for i in range(23)], "ok": [True, None] * 11 + [True]}
    )
    pyarrow.parquet.write_table(table, tmp_path / "tweets.parquet", row_group_size=group_rows)
    plan = parts.plan(tmp_path / "tweets.parquet", part_rows=part_rows)
    frame, numbers, bad = read_all(plan)
    assert (plan.text_column, bad) == ("text", [])
    assert frame["id"].tolist() == numbers == list(range(23))
    assert str(frame["ok"].dtype) == "bool[pyarrow]"
    assert len(plan.parts) == -(-23 // part_rows)


def test_the_case_of_an_ending_does_not_matter(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a tweet", "another"]}), tmp_path / "TWEETS.PARQUET")
    frame, _, bad = read_all(parts.plan(tmp_path / "TWEETS.PARQUET"))
    assert (frame["text"].tolist(), bad) == (["a tweet", "another"], [])


def test_a_folder_is_read_in_the_order_of_its_names_without_hidden_files(tmp_path):
    for name in ("b/2.csv", "a.csv", "_old/x.csv", ".hidden.csv"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        write_csv(path, [("text",), (name,)])
    (tmp_path / "_SUCCESS").write_text("")
    plan = parts.plan(tmp_path)
    assert read_all(plan)[0]["text"].tolist() == ["a.csv", "b/2.csv"]
    assert [part.name for part in plan.parts] == ["part-000000", "part-000001"]
    assert parts.plan(tmp_path) == plan


def test_huge_rows_make_small_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(parts, "PART_BYTES", 100)
    write_csv(tmp_path / "tweets.csv", [("text",), *[("x" * 40,)] * 7])
    plan = parts.plan(tmp_path / "tweets.csv")
    assert [part.rows for part in plan.parts] == [2, 2, 2, 1]
    assert len(read_all(plan)[0]) == 7


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "expected files that all end in .csv or all in .parquet, found none"),
        ({"a.csv": b"text\nx\n", "b.txt": b"x"}, "found '.csv', '.txt'"),
        ({"a.csv": b""}, "is empty"),
        ({"a.csv": b"text\n"}, "at least one row below the header"),
        ({"a.csv": "text\nx\n".encode("utf-16")}, "save it as UTF-8"),
        ({"a.csv": b"text\nx\n", "b.csv": b"tweet\nx\n"}, r"expected the columns of a.csv, 'text', found 'tweet'"),
        ({"a.csv": b'"te"xt"\nx\n'}, "the header cannot be read"),
        ({"a.parquet": b"PAR1 nonsense"}, "expected a Parquet file"),
    ],
)
def test_what_cannot_be_cut_is_refused_in_one_line(tmp_path, files, message):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        parts.plan(tmp_path)
    assert "\n" not in str(error.value)


def test_a_part_knows_when_its_file_is_another_one(tmp_path):
    path = tmp_path / "tweets.csv"
    write_csv(path, [("text",), ("one",), ("two",)])
    plan = parts.plan(path)
    write_csv(path, [("text",), ("three",)])
    with pytest.raises(DataError, match="has changed since the job began"):
        parts.read(plan.parts[0], plan.columns, plan.delimiter)
    buffer = io.BytesIO()
    pandas.DataFrame({"text": ["a"]}).to_parquet(buffer)
    parquet = tmp_path / "tweets.parquet"
    pandas.DataFrame({"text": ["a", "b"]}).to_parquet(parquet)
    plan = parts.plan(parquet)
    parquet.write_bytes(buffer.getvalue())
    with pytest.raises(DataError, match="has changed"):
        parts.read(plan.parts[0], plan.columns, plan.delimiter)


def test_a_part_has_at_least_one_row(tmp_path):
    with pytest.raises(UsageError, match="at least 1 row, got 0"):
        parts.plan(tmp_path, part_rows=0)
