"""Parquet: types and missing values survive."""

import json
from datetime import date, datetime

import pandas
import pyarrow
import pyarrow.parquet
import pytest
from table_files import message_of, read, save

from tf_model.errors import DataError, OutputError
from tf_model.tables import table_writer


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


def test_parquet_with_one_name_twice(tmp_path):
    table = pyarrow.Table.from_arrays([pyarrow.array(["a"])] * 2, names=["x", "x"])
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert "more than one column called 'x'" in message_of(DataError, tmp_path / "a.parquet")


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
        ([1], [2.5]),
        (date(2020, 1, 2), datetime(2020, 1, 2, 5)),
    ],
)
def test_a_later_value_that_the_type_cannot_hold_is_refused(tmp_path, begins, later):
    frame = pandas.DataFrame({"n": [begins, begins, later]}, dtype=object)
    with pytest.raises(OutputError, match=r"column 'n' began as .*write \.jsonl or \.csv"):
        save(frame, tmp_path / "b.parquet")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("begins", "later", "kept"),
    [
        (1, 2.0, [1, 1, 2]),
        (2.5, 3, [2.5, 2.5, 3.0]),
        (1, None, [1, 1, None]),
        (None, 3, [None, None, "3"]),
        ([1], [2], [[1], [1], [2]]),
        ([], [1], ["[]", "[]", "[1]"]),
        ({}, {"a": 1}, ["{}", "{}", '{"a": 1}']),
        ({"a": 1}, {"a": 2, "b": 3}, ['{"a": 1}', '{"a": 1}', '{"a": 2, "b": 3}']),
    ],
)
def test_later_values_stay_what_they_are(tmp_path, begins, later, kept):
    save(pandas.DataFrame({"n": [begins, begins, later]}, dtype=object), tmp_path / "b.parquet")
    assert pyarrow.parquet.read_table(tmp_path / "b.parquet")["n"].to_pylist() == kept


@pytest.mark.parametrize("later", [[[], []], [[None], None], [None, None]])
def test_a_later_part_in_which_every_list_is_empty_is_kept(tmp_path, later):
    with table_writer(tmp_path / "b.parquet") as writer:
        for values in ([["a"], ["b"]], later):
            writer.write(pandas.DataFrame({"tags": pandas.Series(values, dtype=object)}))
    assert pyarrow.parquet.read_table(tmp_path / "b.parquet")["tags"].to_pylist() == [["a"], ["b"], *later]
