"""Recording: a record reaches the log whatever happens to the process, and no caller waits for it."""

import errno
import logging
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy
import pytest

from tests.monitor.killed import kill_while_recording
from tests.monitor.made_up import NOON, answered, counts_of, predictions, record, wait_until
from tf_model import paths, tasks
from tf_model.errors import DataError, ModelError
from tf_model.monitor import recorder as recording
from tf_model.monitor import store as log
from tf_model.monitor.aggregates import STAGE_SECONDS
from tf_model.monitor.events import Answered, Corrected, Failed
from tf_model.monitor.recorder import Recorder
from tf_model.monitor.store import Store

SECONDS = {"tokenize": 0.001, "model": 0.02, "rest": 0.003}
# On an idle machine a record is safe after 0.2 s (measured by bench-monitor); on a busy one, the writing thread
# also waits for the processor.
SAFE_AFTER = 1.0


@pytest.fixture
def path(tmp_path):
    return tmp_path / "predictions.sqlite"


@pytest.fixture
def recorder(path):
    with Recorder(path, model="answer", version="v1") as recorder:
        yield recorder


def test_what_is_recorded_is_in_the_log_after_a_flush(recorder, path):
    frame = predictions(2, product=["iPad", "Google"], sure=[0.5, 0.25])
    record(recorder, ["one", "two"], frame, SECONDS, "app", unk_rates=[0.0, 0.25])
    recorder.record_error(ModelError("it is too large\nand more"), "batch")
    recorder.correct("one", frame.iloc[0], is_correct=False, product="iPhone")
    assert recorder.flush()
    store = Store(path)
    window = counts_of(path, "app")
    assert window.labels("product") == {"Google": 1, "iPad": 1}
    assert window.histogram("unk_rate").mean == 0.125
    stages = [window.histogram(STAGE_SECONDS[stage]) for stage in SECONDS]
    assert [(each.count, each.mean) for each in stages] == [(1, seconds) for seconds in SECONDS.values()]
    assert [version[:2] for version in store.versions()] == [("answer", "v1")]
    assert store.rows("errors")["message"].tolist() == ["it is too large"]
    [correction] = store.rows("corrections").to_dict("records")
    assert correction["text"] == "one"
    assert correction["product_confidence"] == 0.5
    assert recorder.waiting == recorder.dropped == 0
    assert recorder.failure is None


def test_a_record_is_written_without_a_flush(recorder, path):
    record(recorder, ["one"], predictions(), SECONDS, "app")
    wait_until(lambda: counts_of(path).predictions)
    assert counts_of(path).predictions == 1


@pytest.mark.parametrize("moved", [True, False])
def test_a_log_that_is_moved_away_or_deleted_is_begun_anew(recorder, path, moved):
    record(recorder, ["one"], predictions(product=["iPad"]), SECONDS, "app")
    assert recorder.flush()
    old = path.rename(path.with_name("old.sqlite")) if moved else path.unlink()
    record(recorder, ["two"], predictions(product=["Google"]), SECONDS, "app")
    assert recorder.flush()
    record(recorder, ["three"], predictions(product=["iPad"]), SECONDS, "batch")
    assert recorder.flush()
    assert [counts_of(path, each).labels("product") for each in ("app", "batch")] == [{"Google": 1}, {"iPad": 1}]
    if moved:
        assert counts_of(old).labels("product") == {"iPad": 1}


def test_several_writers_leave_a_log_that_is_moved_away_and_begin_one_together(path):
    first, second, third = stores = [Store(path) for _ in range(3)]
    for store in stores:
        store.write([answered(NOON)])
    old = path.rename(path.with_name("old.sqlite"))
    for store in (first, first, second, first, second, third):
        store.write([answered(NOON, ["new"])])
    assert (counts_of(path).requests, counts_of(old).requests) == (6, 3)
    for each in (path, old):
        with sqlite3.connect(each) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_of_a_text_nothing_is_kept(path):
    with Recorder(path, model="m", version="1") as recorder:
        record(recorder, ["a secret tweet"], predictions(), {}, "app")
    assert b"a secret tweet" not in b"".join(file.read_bytes() for file in path.parent.iterdir())


def test_any_text_and_any_number_can_be_recorded(recorder, path):
    texts = ["", None, float("nan"), 7, "\0 \ud800 🎉", "x" * 100_000]
    frame = predictions(len(texts), sure=[0.0, 1.0, float("nan"), float("inf"), 0.5, 0.5])
    record(recorder, texts, frame, {"model": float("nan"), "rest": -1.0, "tokenize": 0.5}, "app")
    recorder.correct("\0 \ud800", {"product": None}, is_correct=True)
    assert recorder.flush()
    assert recorder.failure is None
    window = counts_of(path)
    assert sum(total for _, total in window.histogram("length").sums.values()) == 1 + 5 + 20_000
    assert (window.predictions, window.histogram("product_confidence").count) == (6, 4)
    assert window.histogram(STAGE_SECONDS["model"]).count == 0
    assert Store(path).rows("corrections")["text"].tolist() == ["\0 \ufffd"]


def test_predictions_of_a_product_alone_and_with_probabilities_can_be_recorded(recorder, path):
    frame = predictions()[["product", "product_confidence"]]
    record(recorder, ["a"], frame.assign(**{f"product_probability_{number}": 0.1 for number in range(9)}), {}, "app")
    record(recorder, [], frame.iloc[:0], {}, "app")
    assert recorder.flush()
    window = counts_of(path)
    assert window.labels("outcome") == {"answered": 1}
    assert window.labels("emotion") == {}
    assert window.requests == 2


def test_a_call_that_fails_is_recorded_and_its_error_goes_on(recorder, path):
    with pytest.raises(ModelError, match="it broke"), recorder.recording_errors("batch"):
        raise ModelError("it broke")
    with pytest.raises(DataError), recorder.recording_errors("batch"):  # no failure of the model, and it quotes a text
        raise DataError("expected a row, found 'a text'")
    assert recorder.flush()
    assert Store(path).rows("errors")[["source", "kind", "message"]].values.tolist() == [
        ["batch", "ModelError", "it broke"]
    ]


def test_a_call_whose_lengths_differ_is_dropped_and_breaks_nothing(recorder, path, caplog):
    record(recorder, ["a", "b"], predictions(), {}, "app")
    record(recorder, ["a"], predictions(), {}, "app", unk_rates=[])
    record(recorder, ["c"], predictions(), {}, "app")
    assert recorder.flush()
    assert recorder.dropped == 3
    assert "predictions cannot be recorded" in caplog.text
    assert counts_of(path).predictions == 1


def test_a_file_of_another_kind_is_refused_when_recording_begins(path):
    path.write_text("x" * 5000, encoding="utf-8")
    with pytest.raises(DataError, match="move the file away"):
        Recorder(path, model="m", version="1")


# ---------------------------------------------------------------- many at once


def test_eight_threads_record_and_nothing_is_lost(recorder, path):
    def work(thread):
        for number in range(50):
            record(recorder, [f"{thread} {number}"], predictions(), SECONDS, f"source {thread % 2}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert recorder.flush(30)
    assert [counts_of(path, f"source {each}").predictions for each in (0, 1)] == [200, 200]


def test_what_does_not_fit_is_dropped_and_counted_where_everybody_sees_it(path, monkeypatch):
    gate = threading.Event()
    monkeypatch.setattr(recording, "CAPACITY", 10)
    with Recorder(path, model="m", version="1") as recorder:
        recorder.observers.append(lambda event: gate.wait(30))  # blocks the writer
        for number in range(25):
            record(recorder, [f"{number}"], predictions(), {}, "app")
        assert recorder.dropped == 15
        threading.Timer(0.2, gate.set).start()
        recorder.correct("a text", {}, is_correct=True)  # accepted all the same, and waits for the writer
        assert recorder.flush(30)
        record(recorder, ["x"] * 50, predictions(50), {}, "app")  # larger than the whole queue, which is empty
        assert recorder.flush(30)
        assert recorder.dropped == 15
    window = Store(path).window(time.time() - 60, time.time())
    assert (window.predictions, window.dropped, window.feedback) == (60, 15, (1, 1))


def test_recording_costs_the_caller_less_than_a_fifth_of_a_millisecond(recorder):
    frame, times = predictions(), []
    for number in range(300):
        begin = time.perf_counter()
        record(recorder, [f"tweet {number}"], frame, SECONDS, "app")
        times.append(time.perf_counter() - begin)
        time.sleep(0.001)
    assert numpy.quantile(times, 0.25) < 0.0002  # not the median: the machine may be busy with something else


# ---------------------------------------------------------------- observers and figures


def test_observers_get_each_event_once_and_their_errors_go_no_further(recorder, path, caplog):
    def broken(event):
        raise RuntimeError("no")

    seen = []
    recorder.observers += [broken, seen.append]
    record(recorder, ["a", "b"], predictions(2, emotion=tasks.NO_EMOTION), SECONDS, "app")
    recorder.record_error(ModelError("y"), "app")
    with caplog.at_level(logging.ERROR):
        recorder.flush()
    recorder.correct("a", {}, is_correct=True)
    assert [type(event) for event in seen] == [Answered, Failed, Corrected]
    assert seen[0].rows == 2
    assert seen[0].columns["outcome"] == ["no_emotion"] * 2
    assert "an observer of the prediction log failed" in caplog.text
    assert counts_of(path).predictions == 2


def test_the_machine_is_sampled(path, monkeypatch):
    monkeypatch.setattr(recording, "SAMPLE_SECONDS", 0.02)
    with Recorder(path, model="m", version="1"):
        wait_until(lambda: counts_of(path).mean("cpu") is not None)
    window = Store(path).window(time.time() - 60, time.time())
    assert window.mean("memory") > 10**7
    assert window.mean("cpu") >= 0


def test_records_go_on_where_the_machine_cannot_be_sampled(path, monkeypatch):
    tried = []

    def sample(_):
        tried.append(True)
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(Recorder, "_sample", sample)
    with Recorder(path, model="m", version="1") as recorder:
        wait_until(lambda: tried)
        record(recorder, ["a"], predictions(), {}, "app")
        assert recorder.flush()
    assert counts_of(path).predictions == 1


# ---------------------------------------------------------------- trouble with the disk


def test_a_locked_log_is_written_when_it_is_free_again(recorder, path, monkeypatch, caplog):
    monkeypatch.setattr(recording, "RETRY_SECONDS", 0.05)
    write, fails = Store.write, [True] * 3

    def locked(store, *arguments):
        if fails:
            fails.pop()
            raise sqlite3.OperationalError("database is locked")
        return write(store, *arguments)

    monkeypatch.setattr(Store, "write", locked)
    with caplog.at_level(logging.ERROR):
        record(recorder, ["a"], predictions(), {}, "app")
        wait_until(lambda: recorder.failure or not fails)
        assert recorder.flush(30)
    assert recorder.failure is None
    assert counts_of(path).predictions == 1
    assert caplog.text.count("database is locked") == 1  # logged once, not at each attempt


def test_old_rows_that_cannot_be_removed_are_said_once_and_records_go_on(path, monkeypatch, caplog):
    def locked(*_):
        raise DataError("database is locked")

    monkeypatch.setattr(Store, "prune", locked)
    with caplog.at_level(logging.ERROR), Recorder(path, model="m", version="1") as recorder:
        wait_until(lambda: recorder.failure)
        record(recorder, ["a"], predictions(), {}, "app")
    assert caplog.text.count("database is locked") == 1
    assert counts_of(path).predictions == 1


def test_a_disk_that_stays_full_does_not_keep_the_program_from_ending(path, monkeypatch, caplog):
    recorder = Recorder(path, model="m", version="1")

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Store, "write", full)
    monkeypatch.setattr(recording, "RETRY_SECONDS", 0.05)
    record(recorder, ["a"], predictions(), {}, "app")
    begin = time.monotonic()
    with caplog.at_level(logging.ERROR):
        recorder.close()
    assert time.monotonic() - begin < 30
    assert "1 predictions could not be written" in caplog.text
    assert recorder.failure == "database or disk is full"


def test_who_takes_feedback_back_takes_only_his_own_and_leaves_no_text(recorder, path):
    def holds_the_text() -> bool:
        return any(b"a text" in file.read_bytes() for file in path.parent.glob(f"{path.name}*"))

    mine = recorder.correct("a text", {}, is_correct=False, emotion=tasks.NEGATIVE)
    other = recorder.correct("a text", {}, is_correct=True)
    recorder.take_back(mine)
    assert Store(path).rows("corrections")["is_correct"].tolist() == [True]
    assert holds_the_text()
    recorder.take_back(other)
    assert Store(path).rows("corrections").empty
    assert not holds_the_text()


def test_a_correction_that_cannot_be_written_is_an_error_in_one_line(recorder, path, monkeypatch):
    seen = []
    recorder.observers.append(seen.append)
    with closing(sqlite3.connect(path, isolation_level=None)) as other, monkeypatch.context() as patch:
        other.execute("BEGIN IMMEDIATE")
        patch.setattr(log, "LOCK_TIMEOUT", 0.5)
        with pytest.raises(DataError, match="cannot be used: database is locked; check the disk"):
            recorder.correct("a text", {"product": "iPad"}, is_correct=True)
    assert seen == []
    recorder.correct("a text", {"product": "iPad"}, is_correct=True)
    assert len(Store(path).rows("corrections")) == len(seen) == 1


def test_after_closing_records_are_counted_as_dropped_and_corrections_written(path):
    recorder = Recorder(path, model="m", version="1")
    recorder.close()
    recorder.close()
    assert recorder.flush()
    recorder.correct("late", {}, is_correct=True)
    record(recorder, ["a", "b"], predictions(2), {}, "app")
    assert (recorder.dropped, recorder.waiting) == (2, 0)
    assert Store(path).rows("corrections")["text"].tolist() == ["late"]


# ---------------------------------------------------------------- the end of the process

RECORD = """
import pandas, sys, time
from tf_model import cli
from tf_model.inference.predictor import Measured
from tf_model.monitor import recorder as recording
recording.INTERVAL = {interval}
recorder = recording.Recorder(sys.argv[1], model="m", version="1")
frame = pandas.DataFrame({{"product": ["iPad"], "product_confidence": [0.9]}})
for number in range(20):
    recorder.record_measured([str(number)], Measured(frame, {{}}, None), "app")
{after}
"""
WAIT = "with cli.stopped_cleanly():\n    print('recorded', flush=True)\n    time.sleep(60)"


@pytest.mark.parametrize(("after", "interval", "code"), [("", 0.5, 0), (WAIT, 0.5, 143)], ids=["its end", "SIGTERM"])
def test_a_process_that_ends_or_a_command_that_is_told_to_loses_nothing(path, after, interval, code):
    command = [sys.executable, "-c", RECORD.format(after=after, interval=interval), str(path)]
    environment = os.environ | {"PYTHONPATH": str(paths.ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        if after:
            assert process.stdout.readline() == "recorded\n"
            process.send_signal(signal.SIGTERM)
    assert (process.returncode, counts_of(path).predictions) == (code, 20)


@pytest.mark.parametrize("seed", range(3))
def test_kill_9_takes_the_last_moment_at_most_and_breaks_nothing(tmp_path, seed):
    left = kill_while_recording(tmp_path / "predictions.sqlite", random.Random(seed))
    assert left.faults == []
    assert left.recorded > 0
    assert left.missing_seconds < SAFE_AFTER
