"""Workbooks: cells keep their values and texts stay texts."""

import tempfile
import warnings
import zipfile
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import openpyxl
import pandas
import pytest
from hypothesis import given
from table_files import FEW, ROWS, message_of, read, save, texts, workbook, write

from tf_model.errors import DataError, OutputError, UsageError
from tf_model.io import tables, workbooks


def test_workbook_sheets_types_and_blank_rows(tmp_path):
    rows = [["id", "when", "text"], [1, datetime(2020, 1, 2), "a"], [], [True, None, None], [2.5, None, "=b"], [], []]
    path = workbook(tmp_path / "a.xlsx", Cover=[["prose"]], Test=rows)
    with tables.open_table(path) as table:
        assert table.notes[0] == "reading the sheet 'Test' of 'Cover', 'Test'; --sheet chooses another"
    with tables.open_table(path, sheet="Test") as table:
        assert (table.total_rows, table.text_column) == (3, "text")
        assert "blank rows were left out: 1" in table.notes
    assert read(path, sheet="Test").iloc[0].tolist() == [1, datetime(2020, 1, 2), "a"]
    assert "no sheet 'Tset'; its sheets are 'Cover', 'Test'" in message_of(UsageError, path, sheet="Tset")
    csv_file = write(tmp_path / "a.csv", "text\na\n")
    assert "chooses a sheet of an .xlsx workbook" in message_of(UsageError, csv_file, sheet="Test")


def test_the_sheet_with_the_texts_is_preferred(tmp_path):
    sheets = {"Card": [["what", "means"]], "Mine": [["Tweet Text", "n"], ["a", 1]], "More": [["opinion"], ["b"]]}
    path = workbook(tmp_path / "a.xlsx", Empty=[[]], **sheets)
    with tables.open_table(path) as table:
        words = "reading the sheet 'Mine' of 'Empty', 'Card', 'Mine', 'More'; --sheet chooses another"
        assert table.notes == [words]
    assert texts(path) == ["a"]
    assert texts(path, column="Opinion") == ["b"]
    with tables.open_table(path, sheet="Card") as table:
        assert table.columns == ["what", "means"]


def test_a_hidden_sheet_is_read_only_if_it_is_named(tmp_path):
    path = workbook(tmp_path / "a.xlsx", Lookup=[["text"], ["code"]], Posts=[["text"], ["I love it"]])
    book = openpyxl.load_workbook(path)
    book["Lookup"].sheet_state = "hidden"
    book.save(path)
    assert texts(path) == ["I love it"]
    assert texts(path, sheet="Lookup") == ["code"]
    book["Posts"]["A1"], book["Posts"]["A2"] = "id", 7
    book.save(path)
    assert "reading the sheet 'Posts' of 'Lookup', 'Posts'; --sheet chooses another" in message_of(DataError, path)


def test_a_header_of_two_rows_is_noted(tmp_path):
    rows = [["Post", None, "Author"], ["ID", "Text", "Name"], ["1", "I love it", "A"]]
    with tables.open_table(workbook(tmp_path / "a.xlsx", S=rows)) as table:
        assert table.notes[0].startswith("columns with values, but without a heading: 1; if the header has two rows")
    with tables.open_table(write(tmp_path / "a.csv", ",text,\n1,a,\n2,b,\n")) as table:  # as pandas writes an index
        assert table.notes == []


@pytest.mark.parametrize("cover", [[[]], [["Survey of May"], [], ["Asked by mail."], ["Ask us what it means."]]])
def test_a_cover_page_is_not_taken_for_the_table(tmp_path, cover):
    answers = [["what we were told", "shop"], *([f"my reader broke {number}", "web"] for number in range(9))]
    path = workbook(tmp_path / "a.xlsx", Cover=cover, Answers=answers, Shops=[["shop"], ["web"]])
    with tables.open_table(path) as table:
        assert table.columns == ["what we were told", "shop"]
        assert table.notes == ["reading the sheet 'Answers' of 'Cover', 'Answers', 'Shops'; --sheet chooses another"]
    path = workbook(tmp_path / "b.xlsx", Answers=answers, Codes=[["code", "means"], *[["a", "b"]] * 20])
    with tables.open_table(path) as table:
        assert "reading the sheet 'Answers'" in table.notes[0]


def test_what_a_workbook_cannot_hold_exactly_is_text(tmp_path):
    ids = [10**15 - 1, 10**15, 47_936_284_917_354_497, -(10**15)]
    frame = pandas.DataFrame({"id": pandas.Series(ids, dtype=object), "when": [datetime(1850, 1, 2)] * 4})
    frame["day"] = [date(1850, 1, 2)] * 4
    frame["price"] = [*map(Decimal, ("12.50", "-1.00", "0.1234567890123456", "NaN"))]
    frame["ratio"], frame["took"] = float("inf"), timedelta(hours=30)
    save(frame, tmp_path / "a.xlsx")
    found = read(tmp_path / "a.xlsx")
    assert found["id"].tolist() == [10**15 - 1, "1000000000000000", "47936284917354497", "-1000000000000000"]
    assert found["when"][0] == "1850-01-02T00:00:00"
    assert found["day"][0] == "1850-01-02"
    assert found["price"].tolist() == [12.5, -1, "0.1234567890123456", None]
    assert (found["ratio"][0], found["took"][0]) == ("inf", timedelta(hours=30))


def test_a_workbook_has_a_frozen_header_filters_fitting_widths_and_real_dates(tmp_path):
    frame = pandas.DataFrame({"day": [datetime(2026, 5, 1)], "text": ["x" * 90], "n": [1]})
    save(frame, tmp_path / "a.xlsx")
    sheet = openpyxl.load_workbook(tmp_path / "a.xlsx").active
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("A2", "A1:C2")
    widths = [sheet.column_dimensions[letter].width for letter in "ABC"]
    assert widths == [22, 60, 4]
    assert sheet["A2"].is_date


def test_workbook_value_without_heading(tmp_path):
    path = workbook(tmp_path / "a.xlsx", S=[["text"], ["a"], [], ["b", "c"]])
    assert (
        "sheet 'S', row 4: a value is to the right of the last heading, 'text'; name its column, or delete the"
        in message_of(DataError, path)
    )


def test_workbook_without_rows(tmp_path):
    assert "sheet 'S' is empty: expected a header" in message_of(DataError, workbook(tmp_path / "a.xlsx", S=[[]]))


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
    monkeypatch.setattr(workbooks, "MOST_ROWS", 2)
    with pytest.raises(OutputError, match="holds 1 rows below its header, but there are more"):
        save(frame, tmp_path / "b.xlsx")
    assert not (tmp_path / "b.xlsx").exists()
    with (
        tables.open_table(write(tmp_path / "a.txt", "a\nb\n")) as table,
        pytest.raises(OutputError, match=r"there are 2; write \.csv or \.parquet"),
    ):
        tables.check_output(tmp_path / "b.xlsx", table=table)


def test_more_columns_than_a_sheet_holds_are_refused(tmp_path):
    frame = pandas.DataFrame([range(16_385)])
    with pytest.raises(OutputError, match=r"a sheet holds 16,384 columns, there are 16,385; write \.csv"):
        save(frame, tmp_path / "a.xlsx")


@FEW
@given(rows=ROWS)
def test_users_columns_survive_a_workbook(tmp_path, rows):
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder, warnings.catch_warnings():
        path = Path(folder, "a.xlsx")
        save(pandas.DataFrame(rows, columns=["id", "text"], dtype="str"), path)
        found = [tuple(value or "" for value in row) for row in read(path).values.tolist()]
        assert found == [row for row in rows if any(row)]


# ---------------------------------------------------------------- other people's files


def test_a_cell_below_the_last_row_of_a_sheet_is_no_hour_of_blank_rows(tmp_path, monkeypatch):
    path = workbook(tmp_path / "a.xlsx", S=[["text"], ["a"], ["b"]])
    far = tmp_path / "far.xlsx"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(far, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("sheet1.xml"):
                content = content.replace(b'<row r="3"', b'<row r="5000"').replace(b'r="A3"', b'r="A5000"')
            new.writestr(name, content)
    assert texts(far) == ["a", "b"]
    monkeypatch.setattr(workbooks, "MOST_ROWS", 4_000)
    assert "far.xlsx: expected an .xlsx workbook, but it cannot be read" in message_of(DataError, far)


def test_a_workbook_that_unpacks_to_much_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    path = workbook(tmp_path / "a.xlsx", S=[["text"], *[["a" * 30_000]] * 100])
    limits = tables.Limits(rows=1_000, columns=10, bytes=1_000_000)
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(openpyxl, "load_workbook", None)
    message = message_of(tables.TooLargeError, path, limits=limits)
    assert "a.xlsx has more than 1,000,000 bytes when unpacked, the most allowed" in message
    broken = write(tmp_path / "b.xlsx", b"PK nonsense")
    assert "BadZipFile" in message_of(DataError, broken, limits=limits)


@pytest.mark.parametrize(
    ("compression", "claimed", "most", "expected"),
    [
        (zipfile.ZIP_DEFLATED, 2_000, 1_000_000, "more than 1,000,000 bytes when unpacked, the most allowed"),
        (zipfile.ZIP_DEFLATED, 2_000, 10_000_000, "it unpacks to another size than it says"),
        (zipfile.ZIP_STORED, 2_000, 1_000_000, "more than 1,000,000 bytes when unpacked, the most allowed"),
        (zipfile.ZIP_BZIP2, None, 10_000_000, "it is compressed in another way than workbooks are"),
    ],
)
def test_a_workbook_that_claims_to_be_small_is_refused(tmp_path, monkeypatch, compression, claimed, most, expected):
    plain, path = workbook(tmp_path / "plain.xlsx", S=[["text"], ["a"]]), tmp_path / "a.xlsx"
    with zipfile.ZipFile(plain) as archive, zipfile.ZipFile(path, "w", compression) as changed:
        for name in archive.namelist():
            changed.writestr(name, archive.read(name))
        changed.writestr("xl/media/image1.png", b" " * 3_000_000)
        changed.infolist()[-1].file_size = claimed or 3_000_000  # in the index, which is written last
    monkeypatch.setattr(openpyxl, "load_workbook", None)
    assert expected in message_of(DataError, path, limits=tables.Limits(bytes=most))


def test_the_header_of_one_of_several_sheets_is_not_looked_for_in_all_its_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(workbooks, "HEADER_ROWS", 3)
    path = workbook(tmp_path / "a.xlsx", Far=[[], [], [], ["text"], ["a"]], Near=[[], [], ["text"], ["b"]])
    assert texts(path) == ["b"]
    assert read(path, sheet="Far")["text"].tolist() == ["a"]


def test_a_text_that_many_cells_share_counts_for_each(tmp_path):
    # openpyxl writes a text into each of its cells, other programs once for all.
    plain, shared = workbook(tmp_path / "plain.xlsx", S=[["text"], *[["x"]] * 100]), tmp_path / "shared.xlsx"
    strings = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    changes = {
        "xl/worksheets/sheet1.xml": ('t="inlineStr"><is><t>x</t></is>', 't="s"><v>0</v>'),
        "[Content_Types].xml": ("</Types>", f'<Override PartName="/xl/s.xml" ContentType="{strings}"/></Types>'),
    }
    with zipfile.ZipFile(plain) as archive, zipfile.ZipFile(shared, "w") as changed:
        for name in archive.namelist():
            changed.writestr(name, archive.read(name).decode().replace(*changes.get(name, ("", ""))))
        namespace = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
        changed.writestr("xl/s.xml", f'<sst xmlns="{namespace}"><si><t>{"a" * 30_000}</t></si></sst>')
    assert texts(shared) == ["a" * 30_000] * 100
    limits = tables.Limits(bytes=1_000_000)
    assert "more than 1,000,000 bytes when unpacked" in message_of(tables.TooLargeError, shared, limits=limits)


def test_a_heading_in_the_last_column_is_refused_before_any_row_is_read(tmp_path):
    path = workbook(tmp_path / "a.xlsx", S=[["text", *[None] * 50, "far"], ["a"] * 60])
    limits = tables.Limits(rows=10, columns=20, bytes=10**6)
    assert "a.xlsx has more than 20 columns" in message_of(tables.TooLargeError, path, limits=limits)
