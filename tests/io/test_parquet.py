"""Parquet: types and missing values survive."""

import json
from datetime import datetime, timedelta
from decimal import Decimal

import pandas
import pyarrow
import pyarrow.parquet
import pytest
from table_files import message_of, read, save

from tf_model.errors import DataError, OutputError
from tf_model.io import tables
from tf_model.io.base import values_of

NOON = datetime(2024, 5, 1, 12)


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


def test_views_are_read_as_texts(tmp_path):
    view = pyarrow.string_view()
    columns = {
        "text": pyarrow.array(["so good", None], view),
        "bytes": pyarrow.array([None, b"a"], pyarrow.binary_view()),
        "tags": pyarrow.array([["x"], None], pyarrow.large_list(view)),
        "user": pyarrow.array([None, {"name": "y"}], pyarrow.struct([("name", view)])),
        "pair": pyarrow.array([["x", "y"], None], pyarrow.list_(view, 2)),
        "map": pyarrow.array([[("a", "b")], None], pyarrow.map_(view, view)),
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "a.parquet")
    frame = read(tmp_path / "a.parquet")
    assert [values_of(frame[name].iloc[[1, 0, 0]]) for name in frame] == [
        [None, "so good", "so good"],
        [b"a", None, None],
        [None, ["x"], ["x"]],
        [{"name": "y"}, None, None],
        [None, ["x", "y"], ["x", "y"]],
        [None, [("a", "b")], [("a", "b")]],
    ]


def test_a_map_is_written_as_json(tmp_path):
    kind = pyarrow.map_(pyarrow.string(), pyarrow.float64())
    pairs = pyarrow.array([[("a", float("nan")), ("b", 1.5)]], kind)
    pyarrow.parquet.write_table(pyarrow.table({"text": ["x"], "map": pairs}), tmp_path / "a.parquet")
    for suffix in (".jsonl", ".csv"):
        save(read(tmp_path / "a.parquet"), tmp_path / f"b{suffix}")
        content = (tmp_path / f"b{suffix}").read_text(encoding="utf-8").replace('""', '"')
        assert '[["a", null], ["b", 1.5]]' in content


def test_parquet_with_one_name_twice(tmp_path):
    table = pyarrow.Table.from_arrays([pyarrow.array(["a"])] * 2, names=["x", "x"])
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert "two columns of the same name" in message_of(DataError, tmp_path / "a.parquet")


def test_parquet_without_columns(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({}), tmp_path / "a.parquet")
    assert "is empty: expected a column of texts" in message_of(DataError, tmp_path / "a.parquet")


def test_parquet_of_mixed_and_missing_values(tmp_path):
    frame = pandas.DataFrame(
        {
            "none": [None, None, "x"],
            "mixed": ["a", 1, [2]],
            "flags": [2.5, True, None],
            "n": [1, 2, None],
            "bad": ["\ud83d", "b", None],
            "when": [NOON.date(), NOON, None],
        },
        dtype=object,
    )
    save(frame, tmp_path / "a.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "a.parquet").to_pydict() == {
        "none": [None, None, "x"],
        "mixed": ["a", "1", "[2]"],
        "flags": ["2.5", "True", None],
        "n": [1, 2, None],
        "bad": ["\ufffd", "b", None],
        "when": ["2024-05-01", "2024-05-01 12:00:00", None],
    }


@pytest.mark.parametrize(
    ("begins", "later"),
    [
        (1, "x"),
        (1, 2.75),
        (1, True),
        (2.5, True),
        (True, 1),
        (1, 2**70),
        (2.5, 2**53 + 1),
        (10115, "01067"),
        (NOON, 45443),
        (NOON, "noon"),
        (NOON.date(), NOON),
        (NOON - NOON, 8),
        (45443, NOON),
        (NOON.time(), NOON),
        (b"a", "x"),
    ],
)
def test_a_later_value_that_the_type_cannot_hold_is_refused(tmp_path, begins, later):
    frame = pandas.DataFrame({"n": [begins, begins, later]}, dtype=object)
    with pytest.raises(OutputError, match=r"column 'n' is not all .*write \.jsonl or \.csv"):
        save(frame, tmp_path / "b.parquet")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("begins", "later", "kept"),
    [
        (1, 2.0, [1, 1, 2]),
        (2.5, 3, [2.5, 2.5, 3.0]),
        (1, None, [1, 1, None]),
        (None, 3, [None, None, "3"]),
        ([1], [2.5], ["[1]", "[1]", "[2.5]"]),
        ([], [1], ["[]", "[]", "[1]"]),
        ({}, {"a": 1}, ["{}", "{}", '{"a": 1}']),
        ({"a": 1}, {"a": 2, "b": 3}, ['{"a": 1}', '{"a": 1}', '{"a": 2, "b": 3}']),
    ],
)
def test_later_values_stay_what_they_are(tmp_path, begins, later, kept):
    save(pandas.DataFrame({"n": [begins, begins, later]}, dtype=object), tmp_path / "b.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "b.parquet")["n"].to_pylist() == kept


def test_a_number_among_times_is_no_time(tmp_path):
    """As in a workbook whose column of dates has a cell that is not formatted as one."""
    save(pandas.DataFrame({"n": [NOON, 45443], "m": [NOON - NOON, 8]}, dtype=object), tmp_path / "b.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "b.parquet").to_pydict() == {
        "n": ["2024-05-01 12:00:00", "45443"],
        "m": ["0:00:00", "8"],
    }


# ---------------------------------------------------------------- other people's files


def limits(**values) -> tables.Limits:
    return tables.Limits(**{"rows": 10_000, "columns": 100, "bytes": 50_000_000} | values)


def test_a_small_parquet_file_of_one_huge_text_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": ["x" * 1_000_000]}), path, use_dictionary=False)
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(pyarrow.parquet.ParquetFile, "scan_contents", None)
    assert "more than 900,000 bytes when unpacked" in message_of(
        tables.TooLargeError, path, limits=limits(bytes=900_000)
    )


def test_a_small_parquet_file_of_huge_texts_is_refused_before_it_is_unpacked(tmp_path):
    path, text = tmp_path / "a.parquet", "x" * 100_000
    pyarrow.parquet.write_table(pyarrow.table({"text": pyarrow.array([text] * 1_024).dictionary_encode()}), path)
    assert path.stat().st_size < 50_000
    before = pyarrow.total_allocated_bytes()
    pyarrow.default_memory_pool().release_unused()
    message = message_of(tables.TooLargeError, path, limits=limits())
    assert "a.parquet has more than 50,000,000 bytes when unpacked, the most allowed" in message
    assert pyarrow.total_allocated_bytes() - before < 10_000_000
    assert len(read(path, limits=limits(bytes=10**9))) == 1_024


def test_a_parquet_file_of_many_rows_values_or_columns_is_refused_by_its_footer(tmp_path):
    path = tmp_path / "a.parquet"
    lists = pyarrow.array([[0] * 5_000] * 10)
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a"] * 10, "n": lists}), path)
    assert "has more than 9 rows, the most allowed" in message_of(tables.TooLargeError, path, limits=limits(rows=9))
    assert "more than 1 columns" in message_of(tables.TooLargeError, path, limits=limits(columns=1))
    assert "unpacked" in message_of(tables.TooLargeError, path, limits=limits(bytes=50_000))
    assert len(read(path, limits=limits(rows=10, columns=2))) == 10


def test_texts_in_lists_are_counted_before_many_of_them_are_unpacked(tmp_path):
    path, text = tmp_path / "a.parquet", "x" * 100_000
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a"] * 2_000, "tags": [[text]] * 2_000}), path)
    pyarrow.default_memory_pool().release_unused()
    before, seen = pyarrow.total_allocated_bytes(), []
    iter_batches = pyarrow.parquet.ParquetFile.iter_batches

    def watched(self, *arguments, **options):
        for each in iter_batches(self, *arguments, **options):
            seen.append(pyarrow.total_allocated_bytes() - before)
            yield each

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pyarrow.parquet.ParquetFile, "iter_batches", watched)
        assert "more than 5,000,000 bytes" in message_of(tables.TooLargeError, path, limits=limits(bytes=5_000_000))
    assert max(seen) < 15_000_000, "of 200 MB"


def test_one_row_that_unpacks_to_all_memory_is_refused(tmp_path):
    path, many = tmp_path / "a.parquet", 3_000
    for text in (pyarrow.array(["x" * 100_000]), pyarrow.array(["x" * 100_000], pyarrow.large_string())):
        texts = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * many, pyarrow.int32()), text)
        for values in (texts, pyarrow.nulls(10_000_000)):
            lists = pyarrow.ListArray.from_arrays([0, len(values)], values)
            pyarrow.parquet.write_table(pyarrow.table({"text": ["a"], "n": lists}), path, compression="zstd")
            assert path.stat().st_size < 2_000
            message_of(tables.TooLargeError, path, limits=limits(cells=10**6))


@pytest.mark.parametrize("options", [{}, {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}}])
def test_values_of_every_type_can_be_counted(tmp_path, options):
    path, text = tmp_path / "a.parquet", ["a", None, "c"]
    table = {
        "text": text,
        "category": pyarrow.array(text).dictionary_encode(),
        "number": pyarrow.array([1, 2, 1]).dictionary_encode(),
        "decimal": pyarrow.array([Decimal("1.5")] * 3, pyarrow.decimal256(60, 2)),
        "map": pyarrow.array([[("a", 1)], [], None], pyarrow.map_(pyarrow.string(), pyarrow.int32())),
        "struct": [{"a": "x", "b": [{"c": "y"}]}, None, {"a": "z", "b": []}],
        "bytes": [b"a", b"\xff", None],
        "fixed": pyarrow.array([[1, 2]] * 3, pyarrow.list_(pyarrow.int8(), 2)),
    }
    pyarrow.parquet.write_table(pyarrow.table(table), path, **options)
    assert read(path, limits=limits())["text"].tolist()[::2] == ["a", "c"]
    assert "more than 100 bytes" in message_of(tables.TooLargeError, path, limits=limits(bytes=100))


def test_damage_of_any_kind_is_one_line(tmp_path):
    frame = pandas.DataFrame({"text": [f"héllo {number}" for number in range(50)]}, index=[f"é{n}" for n in range(50)])
    frame.to_parquet(tmp_path / "a.parquet")
    content, refused = (tmp_path / "a.parquet").read_bytes(), []
    for place in range(0, len(content), 7):
        for value in (0, 0x96):
            damaged = tmp_path / "b.parquet"
            damaged.write_bytes(content[:place] + bytes([value]) + content[place + 1 :])
            try:
                read(damaged)
            except DataError as error:
                refused.append(str(error))
    assert len(refused) > 100
    assert [message for message in refused if len(message.splitlines()) != 1] == []


def test_texts_that_are_no_unicode_and_metadata_that_is_no_json_are_refused(tmp_path):
    path, text = tmp_path / "a.parquet", pyarrow.array([b"a\xff"]).view(pyarrow.string())
    pyarrow.parquet.write_table(pyarrow.table({"text": text}), path)
    assert "Invalid UTF8" in message_of(DataError, path)
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a"]}).replace_schema_metadata({"pandas": "{"}), path)
    assert "expected a Parquet file" in message_of(DataError, path)


def test_a_duration_is_read_and_one_that_python_does_not_know_is_refused(tmp_path):
    path = tmp_path / "lasted.parquet"
    for seconds, expected in ([5, None], [timedelta(seconds=5), None]), ([None, None], [None, None]):
        durations = pyarrow.array(seconds, pyarrow.duration("s"))
        pyarrow.parquet.write_table(pyarrow.table({"text": ["an ipad", "ok"], "lasted": durations}), path)
        with tables.open_table(path) as table:
            assert values_of(next(table.chunks())["lasted"]) == expected
    far = pyarrow.array([5, 2**62], pyarrow.duration("s"))
    pyarrow.parquet.write_table(pyarrow.table({"text": ["an ipad", "ok"], "lasted": far}), path)
    assert "expected a Parquet file" in message_of(DataError, path)


@pytest.mark.parametrize("nested", [False, True])
def test_a_date_that_python_does_not_know_is_refused(tmp_path, nested):
    times = pyarrow.array([0, 10**18], pyarrow.timestamp("us"))  # the year 33658
    values = pyarrow.ListArray.from_arrays([0, 1, 2], times) if nested else times
    path = tmp_path / "far.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": ["an ipad", "ok"], "when": values}), path)
    assert "date value out of range" in message_of(DataError, path)


def test_a_far_date_as_spark_writes_it_stays(tmp_path):
    times = pyarrow.array([datetime(9999, 12, 31), datetime(1, 1, 1)], pyarrow.timestamp("us"))
    table = pyarrow.table({"text": ["an ipad", "ok"], "until": times})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet", use_deprecated_int96_timestamps=True)
    assert read(tmp_path / "a.parquet")["until"].tolist() == times.to_pylist()


def test_lists_of_texts_in_several_row_groups_are_read(tmp_path):
    table = pyarrow.table({"text": list("abcd"), "tags": [["x", "y"]] * 4})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet", row_group_size=3)
    assert read(tmp_path / "a.parquet")["text"].tolist() == list("abcd")
