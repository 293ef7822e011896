"""The benchmark of many tweets: what it makes, what the rates leave out, and that a failed run is no result."""

from __future__ import annotations

import sys

import pyarrow.parquet
import pytest

from research import runs
from research.benchmarks import scale
from tf_model import paths

TWEETS = ["one two three four", "five six", "seven eight nine ten eleven"]


def test_rows_are_made_of_two_tweets_and_hardly_two_are_alike(tmp_path):
    scale.write_rows(tmp_path / "rows", [f"{number} a b {number * 7}" for number in range(500)], 3000)
    frame = pyarrow.parquet.read_table(tmp_path / "rows").to_pandas()
    assert frame["id"].tolist() == list(range(3000))
    assert frame["text"].nunique() > 2900
    assert frame["text"].str.match(r"^\d+ a b \d+$").all()
    assert list(scale.texts(TWEETS, 20)) == list(scale.texts(TWEETS, 20)), "the same rows each time"


def test_a_rate_leaves_out_what_starting_takes():
    found = scale.rates({"rows": 2_000, "seconds": 14.0}, {"rows": 102_000, "seconds": 264.0})
    assert found["rows_per_second"] == pytest.approx(400)
    assert found["start_seconds"] == pytest.approx(9)
    assert found["seconds"] == 264.0


def test_a_run_is_timed_and_its_processes_watched(monkeypatch, capfd):
    monkeypatch.setattr(scale, "SECONDS_BETWEEN", 0.05)
    found = scale.measure([sys.executable, "-c", "import time; held = bytearray(10**8); time.sleep(1)"], 10)
    assert 1 < found["seconds"] < 60
    assert found["peak_bytes"] > 1e8
    with pytest.raises(scale.TweetTargetError, match="ended with 3; see its message above"):
        scale.measure([sys.executable, "-c", "import sys; print('no such thing', file=sys.stderr); exit(3)"], 1)
    assert "no such thing" in capfd.readouterr().err


def test_rows_that_are_missing_are_no_result(monkeypatch, tmp_path):
    monkeypatch.setattr(runs, "RUNS", tmp_path)
    monkeypatch.setattr(scale, "measure", lambda command, rows: {"rows": rows, "seconds": rows / 100})
    command = ["--data", str(paths.SAMPLE_CORPUS), "--rows", "4000", "--model", str(tmp_path)]
    with pytest.raises(scale.TweetTargetError, match="expected 4,000 rows in the output, found 0"):
        scale.main([*command, "--record"])
    assert not list(tmp_path.glob("bench_scale.json"))
