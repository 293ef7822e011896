"""What is written is read back whole, even while others write, and the aggregates match the rows."""

import math
import sqlite3
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from types import SimpleNamespace

import pytest
from filelock import FileLock

from tests.monitor.made_up import APP, NOON, answered, corrected, store_with
from tf_model import tasks
from tf_model.errors import DataError, OutputError
from tf_model.modeling.joint_label import NOT_SURE
from tf_model.monitor import aggregates
from tf_model.monitor import store as log
from tf_model.monitor.aggregates import join
from tf_model.monitor.events import Failed, Stream
from tf_model.monitor.store import DAY, HOUR, MINUTE_RETENTION, Store

FILE = Stream("answer", "v1", "batch")
OLD = Stream("answer", "v0", "app")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log" / "predictions.sqlite"


def test_reading_is_limited_to_a_span_and_to_the_newest(path):
    store = store_with(path, [corrected(True, NOON + each) for each in range(10)])
    assert len(store.rows("corrections", NOON + 3, NOON + 5)) == 2
    newest = store.rows("corrections", limit=3)["time"]
    assert newest.is_monotonic_decreasing
    assert newest.iloc[0].timestamp() == NOON + 9


def test_what_is_taken_back_no_longer_counts(path):
    said = [corrected(True), corrected(False, NOON + 60), corrected(True, NOON + 61, start=3, end=7)]
    store = store_with(path, [*said, corrected(None, NOON + 3600)])
    assert store.rows("corrections")["is_correct"].tolist() == [True, True], "the last one of the whole text is gone"
    assert store.window(NOON, NOON + 7200).feedback == (2, 2)
    store_with(path, [corrected(None, NOON + 3601, text="another")])
    assert len(store.rows("corrections")) == 2


@pytest.mark.parametrize("is_correct", [True, False])
def test_feedback_counts_whether_the_user_agrees_and_on_not_sure_judges_no_answer(path, is_correct):
    not_sure = corrected(is_correct, NOON + 1, prediction={"answer": NOT_SURE}, emotion=tasks.POSITIVE)
    window = store_with(path, [corrected(is_correct), not_sure]).window(NOON, NOON + 60)
    assert window.feedback == (is_correct, 1)
    assert window.labels(aggregates.FEEDBACK) == {"correct" if is_correct else "wrong": 1}


def test_of_two_mentions_that_begin_together_the_one_that_is_named_is_taken_back(path):
    said = [corrected(False, NOON + each, product=name, start=0, end=6) for each, name in enumerate(("Google", "App"))]
    store = store_with(path, [*said, corrected(None, NOON + 2, product="Google", start=0)])
    assert store.rows("corrections")["correct_product"].tolist() == ["App"]
    store.write([corrected(None, NOON + 3, start=0)])
    assert store.rows("corrections").empty


@pytest.mark.parametrize("goes", ["by its age", "taken back"])
def test_a_correction_of_a_mention_keeps_its_characters_and_goes_with_them(path, goes):
    of_mention = {"product": "iPad", "start": 3, "end": 7}
    store = store_with(path, [corrected(False), corrected(False, NOON + 1, **of_mention)])
    assert store.rows("corrections")[["start", "end"]].astype(object).fillna("").values.tolist() == [[3, 7], ["", ""]]
    if goes == "by its age":
        store.prune(corrections=True, seconds=0)
    else:
        store.write([corrected(None, NOON + 2, start=3)])
    store.write([corrected(True)])  # SQLite reuses the id of a deleted row
    assert store.rows("corrections")["start"].isna().all()
    store.write([corrected(None, NOON + 3), corrected(False, NOON + 4, **of_mention)])
    assert store.rows("corrections")["start"].tolist()[0] == 3


def test_the_sums_are_those_of_the_calls_at_every_level(path):
    # Four days of events: aggregates by the minute and by the hour.
    events = [answered(NOON - each * 3_000, ["x" * (each % 90)] * (each % 3 + 1)) for each in range(110)]
    store = store_with(path, events)
    for since, until in ((NOON - 6_000, NOON + 60), (NOON - 86_400 * 3, NOON + 60), (NOON - 86_400 * 200, NOON + 60)):
        window = store.window(since, until)
        calls = [event for event in events if window.since <= event.time < window.until]
        lengths = [length for event in calls for length in event.columns["length"]]
        assert window.predictions == len(lengths) > 0
        assert window.histogram("length").count == len(lengths)
        assert window.histogram("length").mean == pytest.approx(sum(lengths) / len(lengths))
        assert window.histogram(aggregates.SECONDS).count == len(calls)


def test_a_series_has_no_gaps_and_adds_up_to_the_window(path):
    store = store_with(path, [answered(NOON + each * 60) for each in (0, 1, 7)])
    windows = store.series(NOON, NOON + 600, 120)
    assert [window.requests for window in windows] == [2, 0, 0, 1, 0]
    assert [window.since for window in windows] == [NOON + each * 120 for each in range(5)]
    assert join(windows).counts == store.window(NOON, NOON + 600).counts


@pytest.mark.parametrize(("since", "until"), [(NOON + 0.5, NOON + 0.6), (NOON, NOON), (NOON - 61, NOON + 1)])
def test_a_window_is_widened_to_whole_minutes(path, since, until):
    window = store_with(path, [answered(NOON + 30)]).window(since, until)
    assert window.since <= since
    assert window.until >= until
    assert window.since % 60 == window.until % 60 == 0
    assert window.requests == 1


def test_what_is_older_than_the_minutes_is_read_by_the_hour(path):
    then = (time.time() - MINUTE_RETENTION) // 3600 * 3600 - 7200
    store = store_with(path, [answered(then + 100)])
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM aggregates WHERE level = 60")
    assert store.window(then, then + 60).requests == 1


def test_times_are_counted_for_those_who_wait(path):
    window = store_with(path, [answered(NOON), answered(NOON, seconds=40.0, stream=FILE)]).window(NOON, NOON + 60)
    assert (window.requests, window.histogram(aggregates.SECONDS).count) == (2, 1)
    assert window.histogram(aggregates.SECONDS).mean == pytest.approx(0.01)
    assert window.histogram(aggregates.STAGE_SECONDS["model"]).count == 1


def test_the_newest_model_is_the_one_that_was_asked_last_also_within_an_hour_and_if_it_failed(path):
    calls = [answered(NOON + 60), answered(NOON + 300, stream=OLD), answered(NOON + 1800)]
    store = store_with(path, calls)
    assert store.versions()[0][:2] == (APP.model, APP.version), "the older one answers again after a rollback"
    store = store_with(path, [Failed(NOON + 2000, OLD, "ModelError", "no")])
    assert store.versions()[0][:2] == (OLD.model, OLD.version), "a call that failed is a call"
    store = store_with(path, [corrected(True, NOON + 3000)])
    assert store.versions() == [("answer", "v0", NOON + 2000), ("answer", "v1", NOON + 1800)], "it is no call"


def test_errors_and_corrections_of_one_version_alone(path):
    events = [Failed(NOON + each, stream, "K", "m") for each, stream in enumerate([APP, OLD, APP, OLD])]
    events += [corrected(True, stream=stream) for stream in (APP, OLD, OLD)]
    store = store_with(path, events)
    assert len(store.rows("errors", streams=(OLD.model, OLD.version))) == 2
    assert store.rows("errors", limit=1, streams=(None, APP.version))["time"].iloc[0].timestamp() == NOON + 2
    assert len(store.rows("corrections", streams=(None, OLD.version))) == 2
    assert len(store.rows("corrections", limit=2)) == 2


def test_a_failed_writing_leaves_nothing_and_can_be_repeated(path):
    store = Store(path)
    store.write([answered(NOON)])
    good, bad = answered(NOON + 1, product="Android"), Failed(NOON + 1, APP, "kind", None)
    with pytest.raises(DataError, match="cannot be used: NOT NULL constraint failed"):
        store.write([good, bad])
    assert store.window(NOON, NOON + 60).requests == 1
    store.write([good])
    assert store.window(NOON, NOON + 60).labels("product") == {"Android": 1, "iPad": 1}


def test_reading_goes_on_while_another_writes(path):
    store, stop = store_with(path, [answered(NOON, ["a", "b", "c"])]), threading.Event()

    def read(_):
        while not stop.is_set():
            window = Store(path).window(NOON, NOON + 60)
            assert window.predictions == 3 * window.requests == window.histogram("length").count > 0

    with ThreadPoolExecutor(3) as pool:
        readers = pool.map(read, range(3))
        for number in range(30):
            store.write([answered(NOON + number, ["a", "b", "c"])])
        stop.set()
        list(readers)  # raises what they raised
    assert store.window(NOON, NOON + 60).predictions == 93


def test_two_writers_do_not_disturb_each_other(path):
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda store: [store.write([answered(NOON, ["a", "b"])]) for _ in range(20)], [Store(path)] * 2))
    assert Store(path).window(NOON, NOON + 60).predictions == 80


# ---------------------------------------------------------------- the file


def test_nothing_is_made_before_the_first_writing_and_an_empty_file_is_no_log_yet(path):
    store = Store(path)
    assert not store.exists
    with pytest.raises(
        DataError, match=r"^there is no prediction log at .*; use the app or `predict --record` first, or name"
    ):
        store.versions()
    assert not path.parent.exists()
    path.parent.mkdir()
    path.touch()
    with pytest.raises(DataError, match="there is no prediction log"):
        store.versions()


def test_only_the_owner_may_read_the_log(path):
    store = Store(path)
    with closing(store.open()):
        store.write([answered(NOON)])
        assert len(list(path.parent.iterdir())) == 4, "the database, its two other files, and the lock"
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_a_file_of_another_kind_is_refused_and_left_alone(path):
    path.parent.mkdir()
    path.write_text("not a database, but something that somebody needs " * 100, encoding="utf-8")
    before = path.read_bytes()
    for use in (Store(path).open, Store(path).versions):
        with pytest.raises(DataError, match="move the file away"):
            use()
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("statement", "kind"), [("PRAGMA user_version = 1", "version 1"), (None, "another kind of file")]
)
def test_a_log_of_another_version_and_a_foreign_database_are_refused(path, statement, kind):
    if statement:
        store_with(path, [answered(NOON)])
    else:
        path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute(statement or "CREATE TABLE theirs (a)")
    for use in (Store(path).open, Store(path).versions):
        with pytest.raises(DataError, match=f"of version 4, got {kind}; name another file, or move this one away"):
            use()


def test_a_folder_that_cannot_be_made_is_explained(tmp_path):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(OutputError, match="a part of this path is a file"):
        Store(tmp_path / "file" / "log.sqlite").open()


def test_an_sqlite_without_what_the_log_needs_is_named(path, monkeypatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(DataError, match=r"needs SQLite 3\.35, and this Python has 3\..*; use another Python"):
        Store(path).open()


def test_an_empty_log_reads_as_empty(path):
    store = store_with(path, [])
    assert store.window(0, math.floor(NOON)).counts == {}
    assert len(store.rows("errors")) == len(store.rows("corrections")) == len(store.versions()) == 0


# ---------------------------------------------------------------- retention


@pytest.fixture
def set_clock(monkeypatch):
    """A function that sets the log's clock."""
    return lambda now: monkeypatch.setattr(log, "time", SimpleNamespace(time=lambda: now))


def rows_of_aggregates(path):
    with sqlite3.connect(path) as connection:
        return connection.execute("SELECT count(*) FROM aggregates").fetchone()[0]


def levels(path):
    with sqlite3.connect(path) as connection:
        return {level for (level,) in connection.execute("SELECT DISTINCT level FROM aggregates")}


def test_what_is_older_than_the_limit_goes_and_corrections_stay(path, set_clock):
    set_clock(NOON + 60)
    old = NOON - 10 * DAY
    events = [answered(when, ["a", "b"]) for when in (old, old + 1, NOON)]
    store = store_with(path, [*events, Failed(old, APP, "X", "x"), corrected(True, old)])
    counts = rows_of_aggregates(path)
    assert store.prune(5 * DAY) == 1 + counts - rows_of_aggregates(path)
    assert store.rows("errors").empty
    assert len(store.rows("corrections")) == 1
    assert store.window(old - 60, old + 60).requests == 0
    assert store.window(NOON, NOON + 60).requests == 1
    assert store.prune(5 * DAY) == 0
    assert store.prune(5 * DAY, corrections=True) == 1
    assert store.rows("corrections").empty


def test_the_texts_of_pruned_corrections_are_in_no_file_while_the_log_is_open(path, monkeypatch, set_clock):
    open_log = Store.open

    def open_as_most_do(store):
        connection = open_log(store)
        connection.execute("PRAGMA secure_delete = OFF")  # SQLite's default, which some systems change
        return connection

    monkeypatch.setattr(Store, "open", open_as_most_do)
    set_clock(NOON)
    store = store_with(path, [])
    store.keep_open()
    for is_correct in (True, None):  # which takes it back
        store.write([corrected(is_correct, NOON, "a secret taken back")])
    store.write([corrected(True, NOON - 2 * DAY, "a secret text"), corrected(True, NOON, "a later text")])
    assert b"a secret text" in path.with_name(f"{path.name}-wal").read_bytes()
    assert store.prune(DAY, corrections=True) == 1
    assert not [each.name for each in path.parent.glob(f"{path.name}*") if b"a secret" in each.read_bytes()]
    store.release()


def test_counts_go_when_all_of_their_time_is_too_old_and_minutes_before_hours(path, set_clock):
    store = store_with(path, [answered(NOON)])
    assert levels(path) == {60, 3600}
    set_clock(NOON + DAY + 30)
    store.prune(DAY)
    assert levels(path) == {60, 3600}, "half of the minute is young"
    set_clock(NOON + DAY + HOUR / 2)
    store.prune(DAY)
    assert levels(path) == {3600}
    set_clock(NOON + DAY + HOUR + 1)
    store.prune(DAY)
    assert levels(path) == set()
    then = NOON - MINUTE_RETENTION - DAY
    store.write([answered(then)])
    set_clock(NOON)
    store.prune()
    assert levels(path) == {3600}
    assert store.window(then, then + 60).requests == 1


def test_a_lock_that_another_program_holds_is_one_line_and_no_wait_for_ever(path, monkeypatch):
    path.parent.mkdir()
    with FileLock(f"{path}.lock"), monkeypatch.context() as patch:
        patch.setattr(log, "LOCK_TIMEOUT", 0.1)
        with pytest.raises(OutputError, match=r"another program holds .*\.lock; stop it first"):
            Store(path).open()
    Store(path).open().close()


def test_the_space_of_many_errors_is_freed(path):
    store = Store(path)
    store.write([Failed(time.time() - 40 * DAY, APP, "ValueError", "x" * 300)] * 30_000)
    store.prune(30 * DAY)
    assert path.stat().st_size < 1_000_000
