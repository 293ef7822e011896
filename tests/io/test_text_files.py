"""Text files: what comes in goes out unchanged, whatever its encoding, separator and quoting."""

import csv
import io
import json
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_files import FEW, ROWS, message_of, read, save, texts, write

from tf_model.errors import DataError, TweetTargetError
from tf_model.io import tables

# ---------------------------------------------------------------- CSV and TSV


def test_csv_values_stay_what_they_are(tmp_path):
    path = write(tmp_path / "a.csv", 'id,text,n\n007,NA,1e5\n,"a, ""b""\r\nc",null\n')
    with tables.open_table(path) as table:
        assert (table.columns, table.text_column, table.total_rows, table.notes) == (["id", "text", "n"], "text", 2, [])
    assert read(path).values.tolist() == [["007", "NA", "1e5"], ["", 'a, "b"\r\nc', "null"]]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separator_is_found_in_the_header(tmp_path, separator):
    rows = [["id", '"a, text; it is"'], ["1", "hello"]]
    path = write(tmp_path / "a.csv", "\n" + "\n".join(map(separator.join, rows)))  # after a blank line
    assert read(path).to_dict("list") == {"id": ["1"], "a, text; it is": ["hello"]}
    path = write(tmp_path / "b.csv", "text;reach (k, DE)\nhello;12\n")
    assert read(path).to_dict("list") == {"text": ["hello"], "reach (k, DE)": ["12"]}


@pytest.mark.parametrize(
    ("header", "names"),
    [('"id\n\n(short)";n;text', ["id\n\n(short)", "n", "text"]), ('id;5";text', ["id", '5"', "text"])],
)
def test_a_quoted_heading_may_have_several_lines(tmp_path, header, names):
    path = write(tmp_path / "a.csv", f'{header}\n1;2;"so, so, so, good"\n')
    assert read(path).to_dict("list") == dict(zip(names, [["1"], ["2"], ["so, so, so, good"]], strict=True))


def test_a_line_for_excel_is_not_taken_for_the_header(tmp_path):
    path = write(tmp_path / "a.csv", "sep=;\r\nid;text\r\n1;hello\r\n")
    assert message_of(DataError, path).endswith("a.csv: its first line, 'sep=;', is only for Excel; delete it")


@pytest.mark.parametrize(("separator", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "|")])
def test_rows_that_are_read_as_one_text_are_told(tmp_path, separator, name):
    for title, is_told in (("Report\n\n", True), ("text\na text without\n", False)):
        path = write(tmp_path / "a.csv", f"{title}id;text\n1;so good\n".replace(";", separator))
        with tables.open_table(path) as table:
            words = f"each line is read as one text, but the first two have {name}; if they separate columns, delete"
            assert any(note.startswith(words) for note in table.notes) is is_told


def test_column_names_may_repeat_or_be_empty(tmp_path):
    path = write(tmp_path / "a.csv", ",x,x,text\n1,2,3,hello\n")
    save(read(path), tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_text() == path.read_text()


def test_blank_lines_of_a_csv_are_left_out_and_told(tmp_path):
    path = write(tmp_path / "a.csv", 'text\na\n\n\n""\nb\n\n')
    with tables.open_table(path) as table:
        assert table.notes == ["blank rows were left out: 2"]
        assert table.total_rows == 3
    assert texts(path) == ["a", "", "b"]
    path = write(tmp_path / "b.csv", ";;\nid;text;n\n1;so good;2\n")  # a blank row, as Excel writes it
    assert read(path).to_dict("list") == {"id": ["1"], "text": ["so good"], "n": ["2"]}


def test_tsv_without_quoting(tmp_path):
    path = write(tmp_path / "a.tsv", 'id\ttext\n1\t"so" he said\n2\t5" screen\n')
    with tables.open_table(path) as table:
        assert "do not pair up" in table.notes[0]
    assert texts(path) == ['"so" he said', '5" screen']
    assert texts(write(tmp_path / "b.tsv", 'id\ttext\n1\t"a\tb"\n')) == ["a\tb"]


def test_header_only_is_an_empty_table(tmp_path):
    with tables.open_table(write(tmp_path / "a.csv", "id,text\n")) as table:
        assert (table.total_rows, table.text_column) == (0, "text")
        assert table.notes == ["there is a header, but no rows"]
        (frame,) = table.chunks()
    assert frame.shape == (0, 2)
    save(frame, tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_text() == "id,text\n"


@pytest.mark.parametrize("separator", ["\t", ";"])
def test_rows_that_quotes_may_have_joined_are_told(tmp_path, separator):
    for rows, told in (('1\t"hello there\n2\tfine\n3\tthe end"\n', True), ('1\t"hello\nthere"\n2\tfine\n', False)):
        content = f"id\ttext\n{rows * 2}".replace("\t", separator)
        with tables.open_table(write(tmp_path / ("a.tsv" if separator == "\t" else "a.csv"), content)) as table:
            assert [note.startswith("some rows have several lines") for note in table.notes] == [True] * told
    for content in ('text\n"so\ngood"\n', 'id,text\n1,"so\ngood, yes"\n'):  # too little to look like rows
        with tables.open_table(write(tmp_path / "b.csv", content)) as table:
            assert table.notes == []


# ---------------------------------------------------------------- encodings and lines


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings(tmp_path, encoding):
    path = write(tmp_path / "a.csv", "text\ncafé “x” €\n".encode(encoding))
    with tables.open_table(path) as table:
        assert [table.texts(chunk) for chunk in table.chunks()] == [["café “x” €"]]
        assert any("not all of it is UTF-8" in note for note in table.notes) == (encoding == "cp1252")


def test_encodings_may_be_mixed_and_undefined_bytes_survive(tmp_path):
    path = write(tmp_path / "a.txt", "café €\n".encode() + "café €\n".encode("cp1252") + b"a\x81b \xe2\x82x\n")
    assert texts(path) == ["café €", "café €", "a\x81b â‚x"]


def test_multibyte_characters_survive_block_borders(tmp_path):
    path = write(tmp_path / "a.txt", "x" + "é😀" * 300_000)
    assert texts(path) == ["x" + "é😀" * 300_000]
    with tables.open_table(path) as table:
        assert table.notes == []


def test_half_a_character_at_the_end_is_told(tmp_path):
    with tables.open_table(write(tmp_path / "a.txt", "xé😀\nxé😀".encode()[:-1])) as table:
        assert table.notes == ["not all of it is UTF-8: the other bytes were read as Windows-1252"]


def test_only_cr_and_lf_end_lines(tmp_path):
    assert texts(write(tmp_path / "a.txt", "a\u0085b\u2028c\x0cd\r\n\ne\rf")) == ["a\u0085b\u2028c\x0cd", "", "e", "f"]
    assert texts(write(tmp_path / "a.csv", "id,text\n1,a\u0085b\u2028c\n")) == ["a\u0085b\u2028c"]
    assert texts(write(tmp_path / "b.csv", "id,text\r1,a\r2,b\r")) == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "told"), [("id\ttext\n1\thello\n", True), ("a\tb\nhello\n", False), ("a\nb\n", False)]
)
def test_columns_in_a_file_of_lines_are_told(tmp_path, content, told):
    path = tmp_path / "a.txt"
    path.write_text(content, encoding="utf-16")
    with tables.open_table(path) as table:
        assert ["end in .tsv" in note for note in table.notes] == [True] * told
    assert texts(path) == content.splitlines()


# ---------------------------------------------------------------- standard input and JSON lines


def _stdin(content: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedReader(io.BytesIO(content)))


def test_standard_input_is_one_text_a_line(monkeypatch):
    monkeypatch.setattr(sys, "stdin", _stdin("\ufeffa,b\r\n\ncafé".encode()))
    with tables.open_table("-") as table:
        assert (table.columns, table.total_rows) == (["text"], None)
        assert [chunk["text"].tolist() for chunk in table.chunks(2)] == [["a,b", ""], ["café"]]


def test_empty_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", _stdin(b""))
    assert "standard input is empty: expected one text per line" in message_of(DataError, "-")


def test_json_lines_keep_values_and_all_fields(tmp_path):
    lines = '{"id": 12345678901234567890, "text": "caf\\u00e9", "tags": ["x"]}\n\n{"text": "\\ud83d", "new": null}\n'
    path = write(tmp_path / "a.jsonl", lines)
    assert texts(path) == ["café", "\ud83d"]
    frame = read(path)
    save(frame, tmp_path / "b.jsonl")
    assert [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()] == [
        {"id": 12345678901234567890, "text": "café", "tags": ["x"], "new": None},
        {"id": None, "text": "\ud83d", "tags": None, "new": None},
    ]
    save(frame, tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_text().splitlines()[1] == '12345678901234567890,café,"[""x""]",'


# ---------------------------------------------------------------- properties


@FEW
@given(rows=ROWS, suffix=st.sampled_from([".csv", ".tsv"]))
def test_users_columns_survive_text_formats(tmp_path, rows, suffix):
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        first, second = Path(folder, f"a{suffix}"), Path(folder, f"b{suffix}")
        delimiter = "," if suffix == ".csv" else "\t"
        with first.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([("id", "text"), *rows])
        save(read(first), second)
        with second.open(encoding="utf-8", newline="") as stream:
            assert [tuple(row) for row in csv.reader(stream, delimiter=delimiter)] == [("id", "text"), *rows]
        assert [tuple(row) for row in read(second).values.tolist()] == rows


@FEW
@given(content=st.binary(max_size=60))
def test_no_bytes_make_a_reader_crash(tmp_path, content):
    for name in ("a.csv", "a.tsv", "a.jsonl", "a.txt"):
        message = ""
        try:
            read(write(tmp_path / name, content))
        except TweetTargetError as error:
            message = str(error)
        assert "\n" not in message
