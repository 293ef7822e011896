"""The benchmark of many tweets: what it makes, what the rates leave out, and that a missed target is a failure."""

from __future__ import annotations

import sys

import pyarrow.parquet
import pytest

from research import runs
from research.benchmarks import scale
from tf_model import paths

TWEETS = ["one two three four", "five six", "seven eight nine ten eleven"]


def run_of(ray: float = 380.0, late: float = 2.0e9, seconds: float = 10.0, peak: float = 4.5e8) -> dict:
    def found(rate: float, last: float) -> dict:
        return {
            "rows": 1000,
            "seconds": seconds,
            "rows_per_second": rate,
            "start_seconds": 4.0,
            "early_bytes": 2.0e9,
            "late_bytes": last,
            "peak_bytes": peak,
        }

    return {"model": "answer", "runs": {"plain": found(400.0, 2.0e9), "ray": found(ray, late)}, "ratio": ray / 400.0}


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


@pytest.mark.parametrize(
    ("run", "missed"),
    [
        (run_of(), []),
        (run_of(ray=320.0), ["ray: 0.80 of the plain command's rows a second, the target is 0.85"]),
        (run_of(late=2.2e9), ["ray: memory grew by 10.0%, the target is 5%"]),
        (run_of(seconds=1860.0), ["plain: 31 minutes, the target is 30", "ray: 31 minutes, the target is 30"]),
        (run_of(peak=5.2e8), ["plain: 520 MB, the target is 500"]),
    ],
)
def test_what_misses_a_target_is_said_in_words(run, missed):
    assert scale.missed_targets(run) == missed


def test_a_run_is_timed_and_its_processes_watched(monkeypatch):
    monkeypatch.setattr(scale, "SECONDS_BETWEEN", 0.05)
    found = scale.measure([sys.executable, "-c", "import time; held = bytearray(10**8); time.sleep(1)"], 10)
    assert 1 < found["seconds"] < 60
    assert found["peak_bytes"] > 1e8
    with pytest.raises(scale.TweetTargetError, match="ended with 3: no such thing"):
        scale.measure([sys.executable, "-c", "import sys; print('no such thing', file=sys.stderr); exit(3)"], 1)


def test_rows_that_are_missing_are_no_result(monkeypatch, tmp_path):
    monkeypatch.setattr(runs, "RUNS", tmp_path)
    figures = run_of()["runs"]["ray"]
    monkeypatch.setattr(scale, "measure", lambda command, rows: figures | {"rows": rows, "seconds": rows / 100})
    command = ["--data", str(paths.SAMPLE_CORPUS), "--rows", "4000", "--model", str(tmp_path)]
    with pytest.raises(scale.TweetTargetError, match="expected 4,000 rows in the output, found 0"):
        scale.main([*command, "--record"])
    assert not list(tmp_path.glob("bench_scale.json"))
