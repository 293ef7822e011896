"""The account of a job: what is done stays done, and nobody else's folder is touched."""

import json
import os

import pandas
import pytest

from tf_model.batch import parts
from tf_model.batch.ledger import Ledger, model_fingerprint
from tf_model.batch.parts import BadRow
from tf_model.errors import DataError, OutputError, UsageError


@pytest.fixture
def plan(tmp_path):
    (tmp_path / "in.csv").write_text("text\n" + "tweet\n" * 5)
    return parts.plan(tmp_path / "in.csv", part_rows=2)


def ledger(tmp_path, plan, **settings):
    return Ledger(tmp_path / "out", plan, {"model": "abc", "suffix": ".csv", "options": {}} | settings)


def write(account, part, rows, bad=()):
    account.write(part, [pandas.DataFrame({"text": ["tweet"] * rows})], bad, seconds=0.1, worker="here:1")


def test_a_job_goes_on_with_what_is_not_done(tmp_path, plan):
    account = ledger(tmp_path, plan)
    assert account.begin() == list(plan.parts)
    write(account, plan.parts[1], 2)
    again = ledger(tmp_path, plan)
    assert again.begin() == [plan.parts[0], plan.parts[2]]
    with pytest.raises(OutputError, match=r"1 of 3 parts are there, with 2 of 5 rows; run the same command again"):
        again.conclude(0)
    write(again, plan.parts[0], 1, [BadRow(1, 3, "no good", "x\ud800")])
    write(again, plan.parts[2], 1)
    summary = again.conclude(1)
    assert (summary.rows, summary.written, summary.bad, summary.resumed) == (5, 4, 1, 1)
    assert ledger(tmp_path, plan).begin() == []
    bad = [json.loads(line) for line in (tmp_path / "out/_bad/part-000000.jsonl").read_text().splitlines()]
    assert [(row["row"], row["reason"]) for row in bad] == [(1, "no good")]


def test_a_part_whose_file_is_gone_is_done_again(tmp_path, plan):
    account = ledger(tmp_path, plan)
    account.begin()
    for part in plan.parts:
        write(account, part, part.rows)
    (tmp_path / "out" / "part-000001.csv").unlink()
    assert account.begin() == [plan.parts[1]]


def test_a_row_that_is_neither_written_nor_set_aside_is_noticed(tmp_path, plan):
    account = ledger(tmp_path, plan)
    account.begin()
    for part in plan.parts:
        write(account, part, 1)
    with pytest.raises(OutputError, match="3 of 3 parts are there, with 3 of 5 rows"):
        account.conclude(0)


@pytest.mark.parametrize("settings", [{"model": "def"}, {"options": {"threshold": 0.5}}])
def test_the_output_of_another_job_is_kept_unless_asked(tmp_path, plan, settings):
    account = ledger(tmp_path, plan)
    account.begin()
    write(account, plan.parts[0], 2)
    other = ledger(tmp_path, plan, **settings)
    with pytest.raises(UsageError, match=r"another job \(another model or setting\); choose another folder"):
        other.begin()
    assert (tmp_path / "out" / "part-000000.csv").is_file()
    assert other.begin(overwrite=True) == list(plan.parts)
    assert not (tmp_path / "out" / "part-000000.csv").exists()


def test_overwriting_goes_on_with_an_unfinished_run_of_the_same_job_and_replaces_a_concluded_one(tmp_path, plan):
    account = ledger(tmp_path, plan)
    account.begin(overwrite=True)
    write(account, plan.parts[0], 2)
    # As the same command does, --overwrite included, after it lost its workers.
    assert ledger(tmp_path, plan).begin(overwrite=True) == list(plan.parts[1:])
    for part in plan.parts[1:]:
        write(account, part, part.rows)
    assert ledger(tmp_path, plan).begin(overwrite=True) == []
    account.conclude(1)
    assert ledger(tmp_path, plan).begin() == []
    assert ledger(tmp_path, plan).begin(overwrite=True) == list(plan.parts)


@pytest.mark.parametrize(("rows", "what"), [(5, "another input"), (6, "another input and another cut into parts")])
def test_a_changed_input_is_another_job(tmp_path, plan, rows, what):
    ledger(tmp_path, plan).begin()
    before = (tmp_path / "in.csv").stat()
    (tmp_path / "in.csv").write_text("text\n" + "tweeT\n" * rows)
    os.utime(tmp_path / "in.csv", ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))
    changed = parts.plan(tmp_path / "in.csv", part_rows=2)
    assert ((tmp_path / "in.csv").stat().st_size == before.st_size) == (changed == plan) == (rows == 5)
    with pytest.raises(UsageError, match=rf"another job \({what}\)"):
        ledger(tmp_path, changed).begin()


def test_an_input_that_is_as_it_was_is_the_same_job(tmp_path, plan):
    ledger(tmp_path, plan).begin()
    assert ledger(tmp_path, parts.plan(tmp_path / "in.csv", part_rows=2)).begin() == list(plan.parts)


def test_a_folder_that_no_job_made_is_never_touched(tmp_path, plan):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match="is not empty and no job made it"):
        ledger(tmp_path, plan).begin(overwrite=True)
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"


NEEDED = ("saved_model.pb", "labels.json", "variables/variables.data-00000-of-00001", "variables/variables.index")
OPTIONAL = ("calibration.json", "recipe.json")


@pytest.fixture
def model(tmp_path):
    (tmp_path / "model" / "variables").mkdir(parents=True)
    for name in (*NEEDED, *OPTIONAL):
        (tmp_path / "model" / name).write_text("a")
    return tmp_path / "model"


@pytest.mark.parametrize("name", [*NEEDED, *OPTIONAL])
def test_the_fingerprint_changes_with_all_that_decides_what_a_model_says(model, name):
    first = model_fingerprint(model)
    assert first == model_fingerprint(model)
    (model / name).write_text("b")
    assert model_fingerprint(model) != first


@pytest.mark.parametrize("name", OPTIONAL)
def test_a_model_without_a_paper_that_is_not_needed_has_a_fingerprint_of_its_own(model, name):
    first = model_fingerprint(model)
    (model / name).unlink()
    assert model_fingerprint(model) != first


def test_a_model_that_is_not_there_has_no_fingerprint(tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        model_fingerprint(tmp_path / "nothing")


def test_what_no_job_made_is_not_removed_with_the_output_of_one(tmp_path, plan):
    out = tmp_path / "out"
    first = ledger(tmp_path, plan)
    for part in first.begin():
        write(first, part, part.rows)
    first.conclude(0)
    (out / ".part-000000.csv.abc.part").write_text("of a worker that was killed")
    (out / "tweets.csv").write_text("mine")
    held = sorted(path.name for path in out.iterdir())
    with pytest.raises(OutputError, match=r"also holds 'tweets\.csv', which no job made; move that away"):
        ledger(tmp_path, plan).begin(overwrite=True)
    assert sorted(path.name for path in out.iterdir()) == held
    (out / "tweets.csv").unlink()
    assert ledger(tmp_path, plan).begin(overwrite=True) == list(plan.parts)
    assert [path.name for path in out.iterdir()] == ["_manifest.json"]


@pytest.mark.parametrize("content", ["{}", "[]", '{"job": 1}'])
def test_a_file_that_is_only_called_like_a_manifest_makes_no_job(tmp_path, plan, content):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "_manifest.json").write_text(content)
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="is not empty and no job made it"):
            ledger(tmp_path, plan).begin(overwrite)
    assert (tmp_path / "out" / "_manifest.json").read_text() == content
