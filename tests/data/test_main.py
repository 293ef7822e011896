"""``python -m tf_model.data``: what it prints, and how it ends."""

import json
import re

import pandas as pd
import pytest
from sample_datasets import BAD, GOOD, NONE, ROWS, line_of, split_rows, topics, unlike, write_csv

from tf_model import paths
from tf_model.data.__main__ import main
from tf_model.data.dataset import COLUMNS
from tf_model.errors import DataError, UsageError

# ---------------------------------------------------------------- what it holds


def test_summary(tmp_path, capsys):
    rows = [*ROWS, ("", "", NONE), ROWS[0]]
    path = write_csv(tmp_path / "[bold]mine.csv", rows)
    assert main(["--data", str(path)]) == 0
    printed = capsys.readouterr()
    assert f"data: {path} (named by --data)" in printed.err
    assert f"file      {path}" in printed.out
    assert "dataset   custom" in printed.out
    assert "rows      6" in printed.out
    assert "note      1 row left out: the text is missing (row 7 of the file)" in printed.out
    assert "product: 4 examples" in printed.out
    assert "emotion: 5 examples" in printed.out
    assert "I can't tell (left out)" in printed.out
    assert "iPhone                                2   50.0%" in printed.out
    assert not any(text in printed.out for text, *_ in ROWS), "texts are not shown"


def test_the_page_on_own_products_shows_what_is_printed(capsys, monkeypatch):
    monkeypatch.chdir(paths.ROOT)
    page = (paths.ROOT / "docs" / "your-own-products.md").read_text(encoding="utf-8")
    block = re.search(r"```\n\$ python -m tf_model\.data (.*?)```", page, re.DOTALL)[1]
    options, *lines = block.splitlines()
    main(options.split())
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line not in printed] == ["..."]


# ---------------------------------------------------------------- audit


def test_a_leak_ends_with_1_and_shows_no_text(tmp_path, capsys):
    path = write_csv(tmp_path / "mine.csv", split_rows(), (*COLUMNS, "part"))
    assert main(["--audit", str(path), "--split-column", "part"]) == 1
    printed = capsys.readouterr()
    assert "leakage, column 'part': 1 of 2 validation rows (50.0%)" in printed.out
    assert "row 5: like training row 3 (1.00)" in printed.out, "rows as a spreadsheet numbers them"
    assert "leak: validation rows have near-duplicates in the training part" in printed.err
    assert not any(text[:20] in printed.out for text in unlike(3))
    assert main(["--audit", "--data", str(path), "--split-column", "part", "--show-texts"]) == 1
    assert f"row 5: like training row 3 (1.00)  RT @user {unlike(3)[1]}" in capsys.readouterr().out


def test_no_leak_ends_with_0(tmp_path, capsys):
    rows = [(text, "iPad", GOOD) if number % 2 else (text, "Google", BAD) for number, text in enumerate(unlike(40))]
    assert main(["--audit", str(write_csv(tmp_path / "mine.csv", rows))]) == 0
    assert "0 of 8 validation rows (0.0%)" in capsys.readouterr().out


def test_only_the_first_rows_are_printed(tmp_path, capsys):
    rows = [(text, "iPad", GOOD, "train") for text in unlike(12)]
    rows += [(f"RT @user {text}", "iPad", GOOD, "test") for text, *_ in rows]
    path = write_csv(tmp_path / "mine.csv", rows, (*COLUMNS, "part"))
    assert main(["--audit", str(path), "--split-column", "part"]) == 1
    printed = capsys.readouterr().out
    assert printed.count("like training row") == 10
    assert "  ... and 2 more; --json lists all" in printed


def test_a_few_rows_are_too_few_to_judge_labels_and_the_option_is_named(tmp_path, capsys):
    first, second, third = unlike(3)
    rows = [(first, "iPad", GOOD), (second, "Google", BAD), (third, "iPhone", NONE), (f"RT @user {first}", "iPad", BAD)]
    main(["--audit", str(write_csv(tmp_path / "mine.csv", rows, COLUMNS))])
    printed = capsys.readouterr()
    assert "named by --audit" in printed.err
    assert "not checked: too rare to check: 'iPhone', 'iPad', 'Google'" in printed.out
    assert "emotion: near-duplicates with different labels: 2 rows in 1 group, 0 of them" in printed.out
    assert "row 2: 2 Positive emotion, 5 Negative emotion" in printed.out
    missing = str(tmp_path / "gone.csv")
    assert "gone.csv (--audit)" in line_of(main, ["--audit", missing], error=DataError)


def test_json_holds_row_numbers_and_no_texts(tmp_path, capsys):
    path = write_csv(tmp_path / "mine.csv", split_rows(), (*COLUMNS, "part"))
    assert main(["--audit", str(path), "--split-column", "part", "--json"]) == 1
    printed = capsys.readouterr().out
    audited = json.loads(printed)
    assert audited["leaks"] is True
    assert audited["leakage"][0]["leaks"] == [{"row": 3, "training_row": 1, "similarity": 1.0}]
    assert audited["near_duplicates"] == [[0, 4], [1, 3]]
    assert audited["tasks"]["product"]["classes"]["iPad"] == {"rows": 2, "groups": 2, "rare": True}
    assert not any(text[:20] in printed for text in unlike(3))


def test_json_is_whole_where_a_terminal_lacks_a_character(tmp_path, capsys):
    rows = [(text, "g→" if number % 2 else "Kindle") for number, text in enumerate(unlike(10))]
    assert main(["--audit", str(write_csv(tmp_path / "mine.csv", rows, ("text", "product"))), "--json"]) == 0
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert "g→" in json.loads(printed)["tasks"]["product"]["classes"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--against", "x.csv"], "need --audit"),
        (["--show-texts"], "need --audit"),
        (["--json"], "need --audit"),
        (["--audit", "a.csv", "--data", "b.csv"], "give only one"),
    ],
)
def test_options_that_do_not_go_together(arguments, words):
    assert words in line_of(main, arguments, error=UsageError)


@pytest.mark.parametrize("options", [["--against", "b.csv", "--split-column", "part"], ["--json", "--show-texts"]])
def test_options_that_exclude_one_another(options, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["--audit", "a.csv", *options])
    assert "not allowed with argument" in capsys.readouterr().err


def test_texts_and_labels_cannot_write_to_the_terminal(tmp_path, capsys):
    first, second = unlike(2)
    rows = [(f"[bold]\x1b[31m{first}", "iPad", GOOD), (f"[bold]\x1b[31m{first}", "Google", BAD), (second, "iPad", GOOD)]
    main(["--audit", str(write_csv(tmp_path / "mine.csv", rows)), "--show-texts"])
    printed = capsys.readouterr().out
    assert f"[bold]␛[31m{first}" in printed
    path, label = tmp_path / "other.csv", "[/b]\x1b[31mred [bold]x"
    topics().replace({"topic": {"sport": label}}).rename(columns={"topic": "[i]topic"}).to_csv(path, index=False)
    main(["--audit", str(path), "--product-column", "[i]topic"])
    printed += capsys.readouterr().out
    assert "[/b]␛[31mred [bold]x" in printed
    assert "\x1b" not in printed


def test_a_table_of_other_products(tmp_path, capsys):
    rows = [(text, label) for text, label in zip(unlike(6), ["none", "glad", "sad"] * 2, strict=True)]
    path = write_csv(tmp_path / "own.csv", rows, ("body", "feeling"))
    options = ["--text-column", "body", "--emotion-column", "Feeling"]
    assert main(["--data", str(path), *options]) == 0
    printed = capsys.readouterr().out
    assert "columns   text: body, emotion: feeling" in printed
    assert "none                      2   33.3%  no emotion" in printed
    assert "product: " not in printed
    assert main(["--data", str(path), *options, "--no-emotion", "sad"]) == 0
    assert "sad                       2   33.3%  no emotion" in capsys.readouterr().out
    main(["--audit", str(path), *options])
    assert "leakage, the random split of --task emotion: " in capsys.readouterr().out


def test_a_class_that_training_refuses_is_named(tmp_path, capsys):
    rows = [(text, label) for text, label in zip(unlike(5), ["glad", "glad", "sad", "sad", "sadd"], strict=True)]
    main(["--data", str(write_csv(tmp_path / "own.csv", rows, ("text", "emotion")))])
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "refused" in line] == [
        "  sadd                      1   20.0%  refused in training: a single example"
    ]
    rows = [(text, "glad") for text in unlike(3)]
    main(["--data", str(write_csv(tmp_path / "one.csv", rows, ("text", "emotion")))])
    assert "glad                      3  100.0%  refused in training: the only class" in capsys.readouterr().out


# ---------------------------------------------------------------- audit of a table with other columns


def write_with_gaps(path, frame):
    """The rows, with a blank one before the last two."""
    gap = pd.DataFrame([dict.fromkeys(frame.columns)])
    frame = pd.concat([frame[:-2], gap, frame[-2:]], ignore_index=True)
    if path.suffix == ".csv":
        path.write_text("\n" + frame.to_csv(index=False).replace(",,,,\n", "\n"))
    else:
        frame.to_excel(path, index=False, startrow=1)


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_rows_are_numbered_as_in_the_file(tmp_path, capsys, suffix):
    path = tmp_path / f"mine{suffix}"
    write_with_gaps(path, topics())
    command = ["--audit", str(path), "--product-column", "topic", "--split-column", "part"]
    assert main(command) == 1
    first, last = 3, 24
    assert f"row {last}: like training row {first} (1.00)" in capsys.readouterr().out
    assert main([*command, "--json"]) == 1
    audited = json.loads(capsys.readouterr().out)
    (leak,) = audited["leakage"][0]["leaks"]
    assert (leak["row"] + audited["first_row"], leak["training_row"] + audited["first_row"]) == (last, first)
    topics().head(3).to_csv(tmp_path / "train.csv", index=False)
    assert main([*command[:-2], "--against", str(tmp_path / "train.csv")]) == 1
    assert f"row {first}: like training row 2 (1.00)" in capsys.readouterr().out, "each in its own file"
