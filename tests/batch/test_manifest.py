"""The manifest of a job: what is done stays done, and nobody else's folder is touched."""

import json
import os
import shutil

import pytest

from tf_model.batch.manifest import Job, model_fingerprint
from tf_model.batch.shards import open_first
from tf_model.errors import DataError, OutputError, UsageError


@pytest.fixture
def source(tmp_path):
    (tmp_path / "in.csv").write_text("text\n" + "tweet\n" * 5)
    return tmp_path / "in.csv"


def job_of(source, **settings):
    return Job(source.parent / "out", [source], {"model": "abc", "options": {}} | settings)


def begin(job):
    return job.begin(open_first(job.files, None, []), 2)


def score(job, *indices):
    """As a worker does it."""
    for index in indices:
        shutil.copy(job.input(index), job.output(index))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_job_goes_on_with_what_is_not_done(source):
    source.write_text(source.read_text() + "a,b\n")
    job = job_of(source)
    assert job.resume() is None
    shards = begin(job)
    assert (shards.sizes, shards.bad, shards.text_column, job.left(shards)) == ((2, 2, 1), 1, "text", [0, 1, 2])
    score(job, 1)
    again = job_of(source)
    assert again.resume() == shards
    assert again.left(shards) == [0, 2]
    with pytest.raises(OutputError, match="2 of 3 shards are missing; run the same command again"):
        again.finalize(shards)
    score(again, 0, 2)
    again.finalize(shards)
    assert shards.rows == 5
    assert names(job.folder) == ["_bad", "_manifest.json", *(f"shard-{index:06}.csv" for index in range(3))]
    assert json.loads((job.folder / "_bad" / "rows.jsonl").read_text())["line"] == 7
    assert job_of(source).resume() == shards
    assert job_of(source).left(shards) == []


def test_a_shard_that_was_removed_is_written_again(source):
    job = job_of(source)
    shards = begin(job)
    score(job, 0, 1, 2)
    job.output(1).unlink()
    assert job.resume() == shards
    assert job.left(shards) == [1]
    score(job, 1)
    job.finalize(shards)
    job.output(1).unlink()
    assert job.resume() is None, "the copy of the input has gone"
    begin(job)
    assert job.left(shards) == [0, 1, 2]


@pytest.mark.parametrize("settings", [{"model": "def"}, {"options": {"threshold": 0.5}}])
def test_the_output_of_another_job_is_kept_unless_asked(source, settings):
    job = job_of(source)
    begin(job)
    score(job, 0)
    other = job_of(source, **settings)
    with pytest.raises(UsageError, match=r"another job \(another model, setting or input\); choose another folder"):
        other.resume()
    assert other.resume(overwrite=True) is None
    assert job.output(0).is_file(), "nothing is touched yet"
    assert other.left(begin(other)) == [0, 1, 2]
    assert names(job.folder) == ["_input", "_manifest.json"]


def test_an_input_that_cannot_be_cut_leaves_an_earlier_job_as_it_was(source):
    job = job_of(source)
    begin(job)
    score(job, 0)
    before = names(job.folder)
    source.write_text('text\n"never closed')
    with pytest.raises(DataError, match="unexpected end of data"):
        begin(job_of(source))
    assert names(job.folder) == before


def test_overwriting_goes_on_with_an_unfinished_run_of_the_same_job_and_replaces_a_complete_one(source):
    job = job_of(source)
    shards = begin(job)
    score(job, 0)
    # As the same command does, --overwrite included, after it lost its workers.
    assert job_of(source).resume(overwrite=True) == shards
    score(job, 1, 2)
    assert job_of(source).resume(overwrite=True) == shards
    job.finalize(shards)
    assert job_of(source).resume() == shards
    assert job_of(source).resume(overwrite=True) is None


def test_a_changed_input_is_another_job(source):
    begin(job_of(source))
    before = source.stat()
    source.write_text("text\n" + "tweeT\n" * 5)
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))
    with pytest.raises(UsageError, match=r"another job"):
        job_of(source).resume()


def test_an_input_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        job_of(tmp_path / "nothing.csv")


def test_what_no_job_made_is_never_touched(source):
    job = job_of(source)
    job.folder.mkdir()
    mine = job.folder / "mine.txt"
    mine.write_text("mine")
    with pytest.raises(OutputError, match=r"holds 'mine\.txt', which no job made; choose another folder"):
        job.resume(overwrite=True)
    mine.unlink()
    score(job, *job.left(begin(job)))
    mine.write_text("mine")
    (job.folder / ".shard-000000.csv.abc.part").mkdir()  # of a worker that was killed
    other = job_of(source, model="def")
    assert other.resume(overwrite=True) is None
    begin(other)
    assert names(job.folder) == ["_input", "_manifest.json", "mine.txt"]
    shutil.rmtree(job.folder)
    job.folder.write_text("a file")
    with pytest.raises(OutputError, match="a part of this path is a file"):
        job.resume()


def test_shards_without_a_manifest_are_never_touched(source):
    job = job_of(source)
    score(job, *job.left(begin(job)))
    (job.folder / "_manifest.json").unlink()
    with pytest.raises(OutputError, match=r"holds 'shard-000000\.csv', .* which no job made"):
        job.resume(overwrite=True)


def test_what_a_killed_run_left_before_its_manifest_is_replaced(source):
    job = job_of(source)
    begin(job)
    (job.folder / "_manifest.json").unlink()
    (job.folder / "._input.abc.part").mkdir()
    assert job.resume() is None
    assert len(begin(job).sizes) == 3


@pytest.mark.parametrize("content", ["{}", "[]", '{"job": 1}', "no JSON"])
def test_a_file_that_is_only_called_like_a_manifest_is_kept(source, content):
    job = job_of(source)
    job.folder.mkdir()
    (job.folder / "_manifest.json").write_text(content)
    with pytest.raises(DataError, match=r"cannot read .*_manifest\.json"):
        job.resume(overwrite=True)
    assert (job.folder / "_manifest.json").read_text() == content


NAMES = ("fingerprint.pb", "labels.json", "calibration.json", "recipe.json")


@pytest.mark.parametrize("name", NAMES)
def test_the_fingerprint_changes_with_all_that_decides_what_a_model_predicts(tmp_path, name):
    for each in NAMES:
        (tmp_path / each).write_text("a")
    first = model_fingerprint(tmp_path)
    assert first == model_fingerprint(tmp_path)
    (tmp_path / name).write_text("b")
    second = model_fingerprint(tmp_path)
    (tmp_path / name).unlink()
    assert len({first, second, model_fingerprint(tmp_path)}) == 3
