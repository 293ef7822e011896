"""Any file is read in chunks of bounded size, or refused in one line that says what is wrong."""

import csv
import errno
import gc
import json
import os
import weakref
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas
import pytest
from table_files import message_of, read, save, workbook, write

from tf_model.errors import DataError
from tf_model.io import base, tables, text_files

# ---------------------------------------------------------------- bad input


XLSX_WORDS = ["expected an .xlsx workbook", "save it again as .xlsx"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"", ["a.csv is empty"]),
        ("a.csv", b"\xef\xbb\xbf", ["a.csv is empty"]),
        ("a.csv", b"\xff\xfe", ["a.csv is empty"]),
        ("a.txt", b"", ["is empty"]),
        ("a.csv", b"\n\n", ["is empty", "a header line and one row for each text"]),
        ("a.jsonl", b"\n", ["is empty", '{"text": "..."}']),
        ("a.docx", b"x", ["expected a file whose name ends in .csv, .tsv", ".parquet", "found '.docx'"]),
        ("a", b"x", ["found 'no ending'"]),
        ("a.csv", b"text\na\0b\n", ["line 2", "NUL character", "save it as UTF-8"]),
        ("a.csv", "text\na".encode("utf-16-le"), ["line 1", "NUL character, as in UTF-16"]),
        (
            "a.csv",
            b'id,text\n1,"a\nb"\n2,c,d\n',
            ["line 4", "expected 2 fields, as in the header, found 3"],
        ),
        ("a.csv", "text\na".encode("utf-32"), ["line 1", "NUL character"]),
        ("a.csv", b"id,text\n\n1\n", ["line 3", "expected 2 fields", "found 1"]),
        ("a.tsv", b'id\ttext\n1\t"two\nlines"\n2\n', ["line 4", "found 1"]),
        ("a.tsv", b"id\ttext\n1\ta\tb\n", ["line 2", "found 3", "without lines above", "quotes in it doubled"]),
        ("a.csv", b'id,text\n1,a\n2,"b\n3,c\n', ["line 3: unexpected end of data", "double quotes"]),
        ("a.csv", b'id,text\n1,"a" b\n', ["line 2: ',' expected", "quotes in it doubled"]),
        (
            "a.jsonl",
            b'{"text": "a"}\n{"text": }\n',
            ["line 2", "expected a JSON object", """found '{"text": }'"""],
        ),
        ("a.jsonl", b"[" * 100_000, ["line 1", "found '[[["]),
        ("a.jsonl", b'{"text": "a"}\n["b"]\n', ["line 2", """found '["b"]'""", "jq -c '.[]'"]),
        ("a.json", b'[\n{"text": "a"}]\n', ["line 1", "found '['"]),
        ("a.xlsx", b"", XLSX_WORDS),
        ("a.xlsx", b"PK no zip", [*XLSX_WORDS, "BadZipFile"]),
        ("a.xlsx", b"\xd0\xcf\x11\xe0", XLSX_WORDS),  # how an .xls begins
        ("a.xlsx", b"PK\5\6" + bytes(18), XLSX_WORDS),  # an archive without files
        ("a.parquet", b"PAR1 no", ["expected a Parquet file", "create it again"]),
    ],
)
def test_bad_input(tmp_path, name, content, words):
    message = message_of(DataError, write(tmp_path / name, content))
    assert name in message
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize(
    ("suffix", "words"), [(".xlsx", XLSX_WORDS), (".parquet", ["expected a Parquet file", "create it again"])]
)
@pytest.mark.parametrize(("rows", "size"), [(5000, 2000), (100, 40)])
def test_cut_or_damaged_at_any_place(tmp_path, suffix, words, rows, size):
    path = tmp_path / f"a{suffix}"
    save(pandas.DataFrame({"text": [f"text {i} {i * i % 977}" for i in range(rows)]}), path, rows=rows)
    content = path.read_bytes()
    for place in range(100, len(content), len(content) // 6):
        for damaged in (content[:place], content[:place] + b"\xff" * size + content[place + size :]):
            message = message_of(DataError, write(path, damaged))
            assert [word for word in words if word not in message] == []


@pytest.mark.parametrize("suffix", tables.OUTPUT_SUFFIXES)
def test_a_name_with_half_a_surrogate_pair_can_be_written(tmp_path, suffix):
    write(tmp_path / "a.jsonl", '{"text": "a", "n\\ud800": {"\\ud800": 1}}\n')
    workbook(tmp_path / "b.xlsx", S=[["text", "n_xD800_"], ["a", "b"]])
    for name in ("a.jsonl", "b.xlsx"):
        frame = read(tmp_path / name)
        assert frame.columns.tolist() == ["text", "n\ufffd"]
        save(frame, tmp_path / f"out{suffix}", overwrite=True)


def test_missing_file_folder_and_pipe(tmp_path):
    assert message_of(DataError, tmp_path / "no.csv") == f"{tmp_path / 'no.csv'} does not exist; check the name"
    assert "is a folder or a pipe" in message_of(DataError, tmp_path)
    os.mkfifo(tmp_path / "p.csv")
    assert "is a folder or a pipe" in message_of(DataError, tmp_path / "p.csv")


def test_unreadable_file(tmp_path, monkeypatch):
    path = write(tmp_path / "a.csv", "text\na\n")

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert "cannot read" in message_of(DataError, path)
    assert "Permission denied; check the file and its permissions" in message_of(DataError, path)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".xlsx", ".parquet"])
@pytest.mark.parametrize("chunks_before", [0, 1])
def test_a_file_that_is_changed_while_it_is_read_is_no_input(tmp_path, suffix, chunks_before):
    path, frame = tmp_path / f"a{suffix}", pandas.DataFrame({"id": ["1"] * 300, "text": ["a"] * 300})
    for other in (frame[["text", "id"]], frame.head(100), frame.assign(more="b"), None):
        save(frame, path, rows=300, overwrite=True)
        with tables.open_table(path) as table:
            chunks = table.chunks(50)
            for _ in range(chunks_before):
                next(chunks)
            if other is None:
                path.unlink()
            else:
                save(other, tmp_path / f"b{suffix}", rows=300, overwrite=True)
                path.write_bytes((tmp_path / f"b{suffix}").read_bytes())
            with pytest.raises(DataError) as raised:
                list(chunks)
        assert "\n" not in str(raised.value)


# ---------------------------------------------------------------- memory


@pytest.mark.parametrize(("suffix", "reader"), [(".xlsx", "book"), (".parquet", "file")])
def test_a_table_that_was_closed_holds_no_reader_of_its_file(tmp_path, suffix, reader):
    path = tmp_path / f"a{suffix}"
    save(pandas.DataFrame({"text": ["a"]}), path)
    with tables.open_table(path) as table:
        next(table.chunks())
        reader = weakref.ref(getattr(table, reader))
    gc.collect()
    assert reader() is None


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv", ",".join("abc") + "\n1,2,3\n"), ("a.jsonl", '{"a": "1"}\n{"b": "2"}\n{"c": "3"}\n')],
)
def test_more_columns_or_rows_than_somebody_takes(tmp_path, name, content):
    path = write(tmp_path / name, content)
    rows = content.count("\n") - name.endswith(".csv")
    enough = tables.Limits(rows=rows, columns=3, bytes=1)
    assert len(read(path, limits=enough)) == rows
    said = message_of(tables.TooLargeError, path, limits=replace(enough, columns=2))
    assert f"{name} has more than 2 columns, the most allowed" in said
    if rows > 1:
        said = message_of(tables.TooLargeError, path, limits=replace(enough, rows=rows - 1))
        assert f"{name} has more than 2 rows, the most allowed" in said


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", ",".join("abcdefghij") + "\n" + "1,2,3,4,5,6,7,8,9,0\n" * 3),
        ("a.jsonl", json.dumps(dict.fromkeys("abcdefghij", "x")) + "\n" + '{"a": "x"}\n' * 2),
    ],
)
def test_cells_are_counted_before_they_take_memory(tmp_path, name, content):
    path = write(tmp_path / name, content)
    assert len(read(path, limits=tables.Limits(cells=30))) == 3
    assert "more than 20 cells, the most" in message_of(tables.TooLargeError, path, limits=tables.Limits(cells=20))


def test_a_column_for_each_line_is_refused_whoever_asks(tmp_path):
    path = write(tmp_path / "a.jsonl", "".join(f'{{"k{number}": 1}}\n' for number in range(20_000)))
    assert "a.jsonl has more than 16,384 columns" in message_of(tables.TooLargeError, path)


def test_of_a_wide_table_fewer_rows_are_held_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "CHUNK_CELLS", 6)
    with tables.open_table(write(tmp_path / "a.csv", "a,b,text\n" + "1,2,x\n" * 5)) as table:
        assert [len(chunk) for chunk in table.chunks()] == [2, 2, 1]


def test_of_json_with_long_lines_fewer_are_held_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(base, "CHUNK_CHARACTERS", 100)
    rows = [{"text": "a", "tags": [{}] * size} for size in (30, 10, 10, 10, 0)]
    path = write(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
    with tables.open_table(path) as table:
        chunks = list(table.chunks())
        assert [len(chunk) for chunk in chunks] == [1, 2, 2]
        assert pandas.concat(chunks).to_dict("records") == rows


def test_values_in_lists_and_objects_of_json_count_as_cells(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": "a", "tags": [{"a": [1, 2]}, {}, "b"]}\n' * 2)
    assert len(read(path, limits=tables.Limits(cells=16))) == 2
    assert "more than 15 cells, the most" in message_of(tables.TooLargeError, path, limits=tables.Limits(cells=15))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", "short\n" + "x" * 31, "line 2: longer than 30 characters; is there one text per line?"),
        ("a.jsonl", '{"text": "a"}\n{"text": "' + "x" * 30 + '"}\n', "line 2: longer than 30 characters"),
        ("a.csv", 'text\n"' + "x\n" * 40, "line 2: field larger than field limit (30)"),
    ],
)
def test_a_line_without_end_is_refused_before_it_takes_memory(tmp_path, monkeypatch, request, name, content, words):
    request.addfinalizer(partial(csv.field_size_limit, csv.field_size_limit()))
    monkeypatch.setattr(text_files, "MOST_CHARACTERS", 30)
    assert words in message_of(DataError, write(tmp_path / name, content))
