"""Users' files: what comes in goes out unchanged, and what is wrong is said in one line."""

import csv
import errno
import io
import json
import os
import subprocess
import sys
import tempfile
import warnings
from datetime import datetime
from pathlib import Path

import openpyxl
import pandas
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tf_model import tables
from tf_model.errors import DataError, OutputError, TweetTargetError, UsageError


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path, **options) -> pandas.DataFrame:
    with tables.open_table(path, **options) as table:
        return pandas.concat(list(table.chunks(2)), ignore_index=True)


def texts(path, **options) -> list:
    with tables.open_table(path, **options) as table:
        return [text for chunk in table.chunks() for text in table.texts(chunk)]


def save(frame: pandas.DataFrame, path: Path, rows: int = 2, **options) -> list[str]:
    with tables.table_writer(path, **options) as writer:
        for start in range(0, max(len(frame), 1), rows):
            writer.write(frame.iloc[start : start + rows].reset_index(drop=True))
    return writer.notes


def workbook(path: Path, **sheets: list[list]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def message_of(error: type[TweetTargetError], path, **options) -> str:
    """The message with which reading ``path`` to its end fails, after checking that it is one line."""
    with pytest.raises(error) as caught:
        read(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


# ---------------------------------------------------------------------------------------------------- reading


def test_csv_values_stay_what_they_are(tmp_path):
    path = write(tmp_path / "a.csv", 'id,text,n\n007,NA,1e5\n,"a, ""b""\r\nc",null\n')
    with tables.open_table(path) as table:
        assert (table.columns, table.text_column, table.total_rows, table.notes) == (["id", "text", "n"], "text", 2, [])
    assert read(path).values.tolist() == [["007", "NA", "1e5"], ["", 'a, "b"\r\nc', "null"]]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separator_is_found_in_the_header(tmp_path, separator):
    path = write(tmp_path / "a.csv", separator.join(["id", '"a, text; it is"']) + "\n" + separator.join(["1", "hello"]))
    assert read(path).to_dict("list") == {"id": ["1"], "a, text; it is": ["hello"]}


def test_column_names_may_repeat_or_be_empty(tmp_path):
    path = write(tmp_path / "a.csv", ",x,x,text\n1,2,3,hello\n")
    save(read(path), tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_text() == path.read_text()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
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


def test_only_cr_and_lf_end_lines(tmp_path):
    assert texts(write(tmp_path / "a.txt", "a\u0085b\u2028c\x0cd\r\n\ne\rf")) == ["a\u0085b\u2028c\x0cd", "", "e", "f"]
    assert texts(write(tmp_path / "a.csv", "id,text\n1,a\u0085b\u2028c\n")) == ["a\u0085b\u2028c"]


def test_blank_lines_of_a_csv_are_left_out_and_told(tmp_path):
    path = write(tmp_path / "a.csv", 'text\na\n\n\n""\nb\n\n')
    with tables.open_table(path) as table:
        assert table.notes == ["blank lines were left out: 2"]
        assert table.total_rows == 3
    assert texts(path) == ["a", "", "b"]


def test_tsv_without_quoting(tmp_path):
    path = write(tmp_path / "a.tsv", 'id\ttext\n1\t"so" he said\n2\t5" screen\n')
    with tables.open_table(path) as table:
        assert "do not pair up" in table.notes[0]
    assert texts(path) == ['"so" he said', '5" screen']
    assert texts(write(tmp_path / "b.tsv", 'id\ttext\n1\t"a\tb"\n')) == ["a\tb"]


def test_header_only_is_an_empty_table(tmp_path):
    with tables.open_table(write(tmp_path / "a.csv", "id,text\n")) as table:
        assert (table.total_rows, table.text_column) == (0, "text")
        assert table.notes == ["there is a header and not one row"]
        (frame,) = table.chunks()
    assert frame.shape == (0, 2)
    save(frame, tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_text() == "id,text\n"


def test_standard_input_is_one_text_a_line(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\ufeffa,b\r\n\ncafé".encode())))
    with tables.open_table("-") as table:
        assert (table.columns, table.total_rows) == (["text"], None)
        assert [chunk["text"].tolist() for chunk in table.chunks(2)] == [["a,b", ""], ["café"]]


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


def test_parquet_keeps_types_and_missing_values(tmp_path):
    table = pyarrow.table(
        {
            "id": pyarrow.array([1, None, 2**60]),
            "text": ["a", None, "c"],
            "when": pyarrow.array([datetime(2020, 1, 2)] * 3, pyarrow.timestamp("us", tz="UTC")),
            "tags": [["x"], None, []],
            "kind": pyarrow.array(["u", "v", "u"]).dictionary_encode(),
            "p": pyarrow.array([0.1, None, 0.2], pyarrow.float32()),
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    frame = read(tmp_path / "a.parquet")
    save(frame, tmp_path / "b.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "b.parquet").equals(table)
    save(frame, tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_text().splitlines()[1:3] == [
        '1,a,2020-01-02 00:00:00+00:00,"[""x""]",u,0.1',
        ",,2020-01-02 00:00:00+00:00,,v,",
    ]
    save(frame, tmp_path / "b.jsonl")
    assert json.loads((tmp_path / "b.jsonl").read_text().splitlines()[1])["id"] is None
    save(frame, tmp_path / "b.xlsx")
    assert read(tmp_path / "b.xlsx")["id"].tolist() == [1, None, str(2**60)]


def test_workbook_sheets_types_and_blank_rows(tmp_path):
    rows = [["id", "when", "text"], [1, datetime(2020, 1, 2), "a"], [], [True, None, None], [2.5, None, "=b"], [], []]
    path = workbook(tmp_path / "a.xlsx", Cover=[["prose"]], Test=rows)
    with tables.open_table(path) as table:
        assert "the first sheet, 'Cover', of 'Cover', 'Test'; --sheet chooses another" in table.notes[0]
    with tables.open_table(path, sheet="Test") as table:
        assert (table.total_rows, table.text_column) == (3, "text")
        assert "blank rows were left out: 1" in table.notes
    assert read(path, sheet="Test").iloc[0].tolist() == [1, datetime(2020, 1, 2), "a"]
    assert "no sheet 'Tset'; its sheets are 'Cover', 'Test'" in message_of(UsageError, path, sheet="Tset")
    csv_file = write(tmp_path / "a.csv", "text\na\n")
    assert "chooses a sheet of an .xlsx workbook" in message_of(UsageError, csv_file, sheet="Test")


def test_workbook_value_without_heading(tmp_path):
    path = workbook(tmp_path / "a.xlsx", S=[["text"], ["a"], [], ["b", "c"]])
    assert "sheet 'S', row 4: a value stands to the right of the last heading, 'text'" in message_of(DataError, path)


def test_cell_of_ten_megabytes(tmp_path):
    text = "iPad " * 2_000_000
    assert texts(write(tmp_path / "a.csv", f'id,text\n1,"{text}"\n2,b\n')) == [text, "b"]


def test_chunks_end_early_when_cells_are_huge(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "CHUNK_CHARACTERS", 100)
    path = write(tmp_path / "a.txt", ("x" * 60 + "\n") * 5)
    with tables.open_table(path) as table:
        assert [len(chunk) for chunk in table.chunks()] == [2, 2, 1]


# ----------------------------------------------------------------------------------------- the column of texts


@pytest.mark.parametrize(
    ("columns", "asked", "chosen", "reason"),
    [
        ({"long": "a long sentence", " Tweet_Text ": "b"}, None, " Tweet_Text ", "by its name"),
        ({"comment": "b", "TEXT": "b"}, None, "TEXT", "by its name"),
        ({"full text": "a", "x": "a long sentence"}, None, "full text", "by its name"),
        ({"id": "1", "words": "a long sentence"}, None, "words", "the longest, 15 characters on average"),
        ({"whatever": "b"}, None, "whatever", "the only column"),
        ({"text": "b", "note": "c"}, "note", "note", "as asked"),
        ({"text": "b", "Note": "c"}, "note", "Note", "as asked"),
        ({"text": 1, "words": "b"}, None, "words", "longest"),
    ],
)
def test_text_column(columns, asked, chosen, reason):
    frame = pandas.DataFrame({name: [value] for name, value in columns.items()}, dtype=object)
    position, why = tables.choose_text_column(frame, asked, "a.csv")
    assert frame.columns[position] == chosen
    assert reason in why


def test_unknown_column_names_the_nearest_and_all(tmp_path):
    path = write(tmp_path / "a.csv", "id,tweets\n1,a\n")
    expected = "no column 'tweet'; did you mean 'tweets'? The columns are 'id', 'tweets'"
    assert expected in message_of(UsageError, path, column="tweet")
    twice = write(tmp_path / "b.csv", "text,text\n1,a\n")
    assert "2 columns called 'text'; rename all but one" in message_of(UsageError, twice, column="text")


def test_no_column_of_text(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"n": [1], "m": [2]}), tmp_path / "a.parquet")
    assert "expected a column of texts, but none of 'n', 'm' holds" in message_of(DataError, tmp_path / "a.parquet")


def test_collisions_are_refused(tmp_path):
    with tables.open_table(write(tmp_path / "a.csv", "text,product,answer\na,b,c\n")) as table:
        tables.refuse_collisions(table, ["emotion"])
        with pytest.raises(DataError, match=r"already has a column called 'product', 'answer'.*rename it in the input"):
            tables.refuse_collisions(table, ["product", "product_confidence", "answer"])


# -------------------------------------------------------------------------------------------------- bad input

XLSX_WORDS = ["expected an .xlsx workbook", "save it again as .xlsx"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"", ["a.csv is empty"]),
        ("a.txt", b"", ["is empty"]),
        ("a.csv", b"\n\n", ["is empty", "a header line and one row for each text"]),
        ("a.jsonl", b"\n", ["is empty", '{"text": "..."}']),
        ("a.docx", b"x", ["expected a file whose name ends in .csv, .tsv", ".parquet", "found '.docx'"]),
        ("a", b"x", ["found 'no ending'"]),
        ("a.csv", b"text\na\0b\n", ["line 2", "NUL character", "save it as UTF-8"]),
        ("a.csv", "text\na".encode("utf-16-le"), ["line 1", "UTF-16 without a byte order mark"]),
        ("a.csv", b'id,text\n1,"a\nb"\n2,c,d\n', ["line 4", "expected 2 fields, as in the header, found 3", "','"]),
        ("a.csv", b"id,text\n1\n", ["line 2", "expected 2 fields", "found 1"]),
        ("a.tsv", b"id\ttext\n1\ta\tb\n", ["line 2", "found 3", "hold a tab"]),
        ("a.csv", b'id,text\n1,a\n2,"b\n3,c\n', ["the row that begins on line 3", "close each quoted text"]),
        ("a.csv", b'id,text\n1,"a" b\n', ["the row that begins on line 2", "write a quote inside a quoted text twice"]),
        ("a.jsonl", b'{"text": "a"}\n{"text": }\n', ["line 2", "not JSON", "one whole object on each line"]),
        ("a.jsonl", b"[" * 100_000, ["line 1", "not JSON"]),
        ("a.jsonl", b'{"text": "a"}\n["b"]\n', ["line 2", "found a list", "jq -c '.[]'"]),
        ("a.json", b'[\n{"text": "a"}]\n', ["line 1", "not JSON"]),
        ("a.xlsx", b"PK no zip", [*XLSX_WORDS, "not a zip archive"]),
        ("a.parquet", b"PAR1 no", ["expected a Parquet file", "make it anew"]),
    ],
)
def test_bad_input(tmp_path, name, content, words):
    message = message_of(DataError, write(tmp_path / name, content))
    assert name in message
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize("suffix", [".xlsx", ".parquet"])
def test_damaged_in_the_middle(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    save(pandas.DataFrame({"text": [f"text {i} {i * i % 977}" for i in range(5000)]}), path, rows=5000)
    content = bytearray(path.read_bytes())
    half = len(content) // 2
    content[half : half + 2000] = b"\xff" * 2000
    message_of(DataError, write(path, bytes(content)))
    message_of(DataError, write(path, bytes(content[:half])))


def test_workbook_without_rows(tmp_path):
    assert "sheet 'S' is empty: expected a header" in message_of(DataError, workbook(tmp_path / "a.xlsx", S=[[]]))


def test_parquet_with_one_name_twice(tmp_path):
    table = pyarrow.Table.from_arrays([pyarrow.array(["a"])] * 2, names=["x", "x"])
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert "more than one column called 'x'" in message_of(DataError, tmp_path / "a.parquet")


def test_missing_file_folder_and_pipe(tmp_path):
    assert "does not exist; check the name" in message_of(DataError, tmp_path / "no.csv")
    assert "is a folder" in message_of(DataError, tmp_path)
    os.mkfifo(tmp_path / "p.csv")
    assert "not an ordinary file" in message_of(DataError, tmp_path / "p.csv")


def test_unreadable_file(tmp_path, monkeypatch):
    path = write(tmp_path / "a.csv", "text\na\n")

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert "cannot read" in message_of(DataError, path)
    assert "Permission denied; check the file and its permissions" in message_of(DataError, path)


def test_empty_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert "standard input is empty: expected one text a line" in message_of(DataError, "-")


# ---------------------------------------------------------------------------------------------------- writing


def test_workbook_keeps_texts_as_texts(tmp_path):
    values = ["=1+1", "#N/A", "007", " a ", "a\r\nb\x07\x1b", "_x0041_", "12345678901234567890", "é😀", "\ufffe"]
    notes = save(pandas.DataFrame({"text": values}, dtype=object), tmp_path / "a.xlsx")
    assert notes == []
    cells = [row[0] for row in openpyxl.load_workbook(tmp_path / "a.xlsx").active.iter_rows(min_row=2)]
    assert {cell.data_type for cell in cells} == {"s"}
    assert cells[4].value == "a_x000D_\nb_x0007__x001B_"
    assert texts(tmp_path / "a.xlsx") == values


def test_workbook_limits(tmp_path, monkeypatch):
    frame = pandas.DataFrame({"text": ["😀" * 20_000, "a"]})
    (note,) = save(frame, tmp_path / "a.xlsx")
    assert "texts cut to 32,767 characters" in note
    assert "write a .csv file to keep them whole" in note
    assert texts(tmp_path / "a.xlsx") == ["😀" * 16_383, "a"]
    monkeypatch.setattr(tables, "XLSX_ROWS", 2)
    with pytest.raises(OutputError, match="holds 1 rows below its header, and there are more"):
        save(frame, tmp_path / "b.xlsx")
    assert not (tmp_path / "b.xlsx").exists()
    with (
        tables.open_table(write(tmp_path / "a.txt", "a\nb\n")) as table,
        pytest.raises(OutputError, match=r"there are 2; write \.csv or \.parquet"),
    ):
        tables.check_output(tmp_path / "b.xlsx", table=table)


def test_parquet_of_mixed_and_missing_values(tmp_path):
    frame = pandas.DataFrame(
        {"none": [None, None, "x"], "mixed": ["a", 1, [2]], "n": [1, 2, None], "bad": ["\ud83d", "b", None]},
        dtype=object,
    )
    save(frame, tmp_path / "a.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "a.parquet").to_pydict() == {
        "none": [None, None, "x"],
        "mixed": ["a", "1", "[2]"],
        "n": [1, 2, None],
        "bad": ["\ufffd", "b", None],
    }
    frame = pandas.DataFrame({"n": [1, 2, "x"]}, dtype=object)
    with pytest.raises(OutputError, match=r"column 'n' began as int64.*write \.jsonl or \.csv"):
        save(frame, tmp_path / "b.parquet")
    assert [file.name for file in tmp_path.iterdir()] == ["a.parquet"]


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_formats_that_need_unique_names(tmp_path, suffix):
    frame = pandas.DataFrame([["a", "b"]], columns=["x", "x"])
    with pytest.raises(OutputError, match=r"cannot hold two columns of the same name.*'x'"):
        save(frame, tmp_path / f"a{suffix}")


def test_outputs_that_are_refused(tmp_path):
    path = write(tmp_path / "a.csv", "text\na\n")
    with tables.open_table(path) as table:
        with pytest.raises(UsageError, match=r"ends in \.csv, \.tsv, \.xlsx, \.parquet.*found '\.doc'"):
            tables.check_output(tmp_path / "b.doc")
        with pytest.raises(UsageError, match="is the input itself, which is never changed"):
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


def test_full_disk_in_the_middle_of_a_csv(tmp_path, monkeypatch):
    class Full(io.StringIO):
        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setitem(tables._WRITERS, ".csv", lambda _: tables.CsvWriter(Full()))
    with pytest.raises(OutputError, match="the disk is full"):
        save(pandas.DataFrame({"text": ["a"]}), tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_not_writable(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    with pytest.raises(OutputError, match="writing there is not permitted; choose another place"):
        save(pandas.DataFrame({"text": ["a"]}), tmp_path / "a.csv")


# ------------------------------------------------------------------------------------------------- properties

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
AWKWARD = st.sampled_from(
    ["", '"', '""', "\r", "\n", "\r\n", ",", ";", "\t", " ", "NA", "=1", "\ufeff", "_x000D_", "é"]
)
CELL = ANY_TEXT | st.lists(AWKWARD, max_size=4).map("".join)
ROWS = st.lists(st.tuples(CELL, CELL), max_size=5)
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


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
@given(rows=ROWS)
def test_users_columns_survive_a_workbook(tmp_path, rows):
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder, warnings.catch_warnings():
        path = Path(folder, "a.xlsx")
        save(pandas.DataFrame(rows, columns=["id", "text"], dtype="str"), path)
        found = [tuple(value or "" for value in row) for row in read(path).values.tolist()]
        assert found == [row for row in rows if any(row)]


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


# ----------------------------------------------------------------------------------------------------- memory

MEASURE = """
import re, resource, sys
from pathlib import Path
from tf_model import tables
with tables.open_table(sys.argv[1]) as table, tables.table_writer(sys.argv[2]) as writer:
    for chunk in table.chunks(2000):
        writer.write(chunk)
status = Path("/proc/self/status")  # on Linux ru_maxrss counts what the parent held when it forked
peak = re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1] if status.exists() else None
print(peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_does_not_grow_with_the_file(tmp_path):
    peaks = []
    for rows in (5_000, 100_000):
        path = write(tmp_path / f"{rows}.csv", "id,text\n" + f"1,{'x' * 150}\n" * rows)  # 15 MB
        command = [sys.executable, "-c", MEASURE, path, tmp_path / f"{rows}.parquet"]
        peaks.append(int(subprocess.run(command, capture_output=True, check=True, text=True).stdout))
    assert peaks[1] - peaks[0] < 8_000, "in KiB; the larger file alone is 15,000"
