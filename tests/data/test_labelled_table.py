"""Tables of other columns and labels than this project's: what is read of them, and what an audit makes of them."""

import json

import pandas as pd
import pytest
from sample_datasets import line_of
from test_audit import unlike

from tf_model import data, tasks
from tf_model.data.labelled_table import MOST_CLASSES, read_labelled
from tf_model.errors import DataError, UsageError


def frame_of(count: int = 20) -> pd.DataFrame:
    """Texts that say their topic, one of them twice, once to train and once to test."""
    texts = [f"{text} {('rain', 'goal')[number % 2]}" for number, text in enumerate(unlike(count))]
    topics = ["weather", "sport"] * (count // 2)
    parts = ["train"] * (count - 4) + ["test"] * 4
    frame = pd.DataFrame({"id": range(count), "content": texts, "topic": topics, "urgent": "no", "part": parts})
    return pd.concat([frame, frame.head(1).assign(part="test", topic="sport")], ignore_index=True)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "xlsx", "parquet", "jsonl"])
def test_texts_and_labels_are_read_from_every_kind_of_file(tmp_path, suffix):
    frame, path = frame_of(), tmp_path / f"mine.{suffix}"
    frame.loc[3, "content"] = None
    frame.loc[4, "topic"] = None
    {
        "csv": lambda: frame.to_csv(path, index=False),
        "tsv": lambda: frame.to_csv(path, index=False, sep="\t"),
        "xlsx": lambda: frame.to_excel(path, index=False),
        "parquet": lambda: frame.to_parquet(path, index=False),
        "jsonl": lambda: frame.to_json(path, orient="records", lines=True),
    }[suffix]()
    dataset, (topic, urgent) = read_labelled(path, ["topic", "URGENT"], split_column="part")
    assert (topic.name, topic.labels) == ("topic", ("sport", "weather"))
    assert urgent.labels == ("no",)
    assert dataset.labelled["row"].tolist() == [row for row in range(21) if row != 3]
    assert dataset.labelled[tasks.TEXT_COLUMN].tolist() == frame["content"].dropna().tolist()
    assert dataset.labelled["topic"].isna().sum() == 1
    assert dataset.dropped[0].rows == (3,)
    assert "texts: the column 'content' (by its name)" in dataset.warnings
    assert "1 row has no text: left out" in dataset.warnings


def test_an_audit_of_any_table_finds_the_leak_and_the_conflict(tmp_path, capsys):
    path = tmp_path / "mine.csv"
    frame_of().to_csv(path, index=False)
    command = ["--audit", str(path), "--label-column", "topic", "--json"]
    assert data.main([*command, "--split-column", "part"]) == 1
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert [leak["row"] for leak in found["leakage"][0]["leaks"]] == [20]
    assert found["leakage"][0]["leaks"][0]["training_row"] == 0
    (conflict,) = found["tasks"]["topic"]["conflicts"]
    assert (conflict["rows"], conflict["labels"]) == ([0, 20], ["weather", "sport"])
    assert found["tasks"]["topic"]["classes"]["sport"]["rows"] == 11
    assert "note: texts: the column 'content'" in said.err
    assert data.main(command) == 0, "nobody said how it is split"
    found = json.loads(capsys.readouterr().out)
    assert found["leakage"] == []
    assert "leakage was not looked for: name the split with --split-column or --against" in found["remarks"]


def test_the_part_that_trains_may_be_another_file(tmp_path, capsys):
    frame = frame_of()
    frame[frame["part"] == "train"].to_csv(tmp_path / "train.csv", index=False)
    frame[frame["part"] == "test"].to_parquet(tmp_path / "test.parquet", index=False)
    command = ["--audit", str(tmp_path / "test.parquet"), "--label-column", "topic", "--text-column", "content"]
    assert data.main([*command, "--against", str(tmp_path / "train.csv")]) == 1
    assert "1 of 5 validation rows (20.0%)" in capsys.readouterr().out


def test_the_part_that_trains_needs_no_labels_and_may_be_a_sheet_that_is_named(tmp_path, capsys):
    frame = frame_of()
    frame[frame["part"] == "test"].to_csv(tmp_path / "test.csv", index=False)
    with pd.ExcelWriter(tmp_path / "train.xlsx") as writer:
        pd.DataFrame({"content": ["what this is"]}).to_excel(writer, sheet_name="Read me", index=False)
        frame[frame["part"] == "train"][["content"]].to_excel(writer, sheet_name="Texts", index=False)
    command = ["--audit", str(tmp_path / "test.csv"), "--label-column", "topic", "--against"]
    assert data.main([*command, str(tmp_path / "train.xlsx")]) == 0, "the first sheet holds none of these texts"
    said = capsys.readouterr().err
    assert "note: texts: the column 'content' (by its name)" in said
    assert f"note: {tmp_path / 'train.xlsx'}: reading the first sheet, 'Read me', of" in said
    assert "--against-sheet chooses another" in said
    assert data.main([*command, str(tmp_path / "train.xlsx"), "--against-sheet", "Texts"]) == 1
    assert "1 of 5 validation rows (20.0%)" in capsys.readouterr().out
    with pytest.raises(
        UsageError, match=r"--against-sheet chooses a sheet of an \.xlsx workbook, and .*test\.csv is none"
    ):
        data.main([*command, str(tmp_path / "test.csv"), "--against-sheet", "Texts"])
    with pytest.raises(UsageError, match="--against-sheet chooses a sheet of the file of --against; name the file too"):
        data.main([*command[:-1], "--against-sheet", "Texts"])


def write_with_gaps(path, frame):
    """The rows, with a blank one (in Parquet without a text) above the second last, and the row of the last."""
    gap = pd.DataFrame([dict.fromkeys(frame.columns)])
    frame = pd.concat([frame[:-2], gap, frame[-2:]], ignore_index=True)
    lines = frame.to_csv(index=False).replace(",,,,\n", "\n")
    objects = frame.to_json(orient="records", lines=True).splitlines()
    {
        ".csv": lambda: path.write_text("\n" + lines),
        ".xlsx": lambda: frame.to_excel(path, index=False, startrow=1),
        ".parquet": lambda: frame.to_parquet(path, index=False),
        ".jsonl": lambda: path.write_text("\n".join("" if '"id":null' in each else each for each in objects)),
    }[path.suffix]()
    return {".csv": 24, ".xlsx": 24, ".parquet": 22, ".jsonl": 22}[path.suffix]


@pytest.mark.parametrize("suffix", [".csv", ".xlsx", ".parquet", ".jsonl"])
def test_rows_are_numbered_as_in_the_file(tmp_path, capsys, suffix):
    path = tmp_path / f"mine{suffix}"
    last = write_with_gaps(path, frame_of())
    command = ["--audit", str(path), "--label-column", "topic", "--split-column", "part"]
    assert data.main(command) == 1
    first = last - 21
    assert f"row {last}: like training row {first} (1.00)" in capsys.readouterr().out
    assert data.main([*command, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    (leak,) = found["leakage"][0]["leaks"]
    assert (leak["row"] + found["first_row"], leak["training_row"] + found["first_row"]) == (last, first)
    frame_of().head(3).to_csv(tmp_path / "train.csv", index=False)
    assert data.main([*command[:-2], "--against", str(tmp_path / "train.csv")]) == 1
    assert f"row {first}: like training row 2 (1.00)" in capsys.readouterr().out, "each in its own file"


def test_a_sheet_of_a_workbook_can_be_named(tmp_path, capsys):
    with pd.ExcelWriter(tmp_path / "mine.xlsx") as writer:
        pd.DataFrame({"about": ["what this is"]}).to_excel(writer, sheet_name="Read me", index=False)
        frame_of().to_excel(writer, sheet_name="Labels", index=False)
    command = ["--audit", str(tmp_path / "mine.xlsx"), "--label-column", "topic"]
    with pytest.raises(UsageError, match="has no column 'topic'"):
        data.main(command)
    assert data.main([*command, "--sheet", "Labels"]) == 0
    assert "topic: 21 examples" in capsys.readouterr().out


def test_what_cannot_be_read_is_said_in_one_line(tmp_path):
    path = tmp_path / "mine.csv"
    frame_of(2 * MOST_CLASSES).assign(empty="").to_csv(path, index=False)

    def said(*columns: str, error=DataError, **options) -> str:
        return line_of(read_labelled, path, list(columns), error=error, **options)

    assert "has no column 'topics'; did you mean 'topic'?" in said("topics", error=UsageError)
    assert "the column 'id' of" in said("id")
    assert f"has {2 * MOST_CLASSES} different values, of which at most {MOST_CLASSES} can be classes" in said("id")
    assert "expected labels in the column 'empty'" in said("empty")
    assert "a column is named twice: 'topic', 'Topic'" in said("topic", "Topic", error=UsageError)
    assert "'row' cannot hold labels or a split here; rename the column" in said("row", error=UsageError)
    assert "expected texts in the column 'empty'" in said("topic", text_column="empty")
    with pytest.raises(UsageError, match="--text-column, --sheet and --against-sheet go with --label-column"):
        data.main(["--audit", str(path), "--text-column", "content"])
    with pytest.raises(UsageError, match="--sheet, --against-sheet and --show-texts belong to --audit"):
        data.main(["--data", str(path), "--label-column", "topic"])


def test_labels_of_a_file_are_shown_as_they_are(tmp_path, capsys):
    path, label = tmp_path / "mine.csv", "[/b]\x1b[31mred [bold]x"
    frame_of().replace({"topic": {"sport": label}}).rename(columns={"topic": "[i]topic"}).to_csv(path, index=False)
    assert data.main(["--audit", str(path), "--label-column", "[i]topic"]) == 0
    printed = capsys.readouterr().out
    assert "[/b]␛[31mred [bold]x" in printed
    assert "[i]topic: 21 examples" in printed
    assert "\x1b" not in printed
