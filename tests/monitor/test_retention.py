"""What is old goes, what is too much goes, and the sums stay as long as they are of use."""

import sqlite3

import pytest

from tests.monitor.made_up import APP, NOON, answered, store_with
from tf_model.monitor import retention
from tf_model.monitor.events import Corrected, Failed
from tf_model.monitor.retention import Retention, prune, prune_some, size
from tf_model.monitor.schema import DAY, HOUR
from tf_model.monitor.store import MINUTES_KEPT


@pytest.fixture
def path(tmp_path):
    return tmp_path / "predictions.sqlite"


def levels(path):
    with sqlite3.connect(path) as connection:
        return {level for (level,) in connection.execute("SELECT DISTINCT level FROM rollups")}


def test_what_is_older_than_the_limit_goes_and_corrections_stay(path):
    old = NOON - 10 * DAY
    events = [answered(when, ["a", "b"]) for when in (old, old + 1, NOON)]
    events += [Failed(old, APP, "X", "x"), Corrected(old, APP, "t", 1, {}, "right", "iPad", None)]
    store = store_with(path, events)
    assert prune(store, Retention(5 * DAY), NOON + 60) == 5
    assert len(store.predictions()) == 2
    assert store.errors().empty
    assert len(store.corrections()) == 1
    assert store.window(old - 60, old + 60).requests == 0
    assert store.window(NOON, NOON + 60).requests == 1
    assert prune(store, Retention(5 * DAY), NOON + 60) == 0
    assert prune(store, Retention(5 * DAY, corrections=True), NOON + 60) == 1
    assert store.corrections().empty


def test_a_log_that_is_too_large_loses_its_oldest_rows_and_no_sums(path):
    store = store_with(path, [answered(NOON + each, ["x"] * 500) for each in range(60)])
    before = size(store.open())
    limit = before // 2
    assert prune(store, Retention(size_bytes=limit), NOON + 100) > 0
    assert limit * 0.5 < size(store.open()) <= limit
    rows = store.predictions()
    assert 0 < len(rows) < 30_000
    assert rows["time"].max().timestamp() == NOON + 59
    assert store.window(NOON, NOON + 60).predictions == 30_000
    store.close()
    assert path.stat().st_size < before * 0.7  # the space is given back


def test_one_step_removes_a_bounded_number_of_texts(path, monkeypatch):
    monkeypatch.setattr(retention, "CHUNK", 10)
    store = store_with(
        path, [answered(NOON - 100 * DAY + each, ["x"] * texts) for each, texts in enumerate((4, 4, 4, 50, 1))]
    )
    assert [prune_some(store, Retention(), NOON) for _ in range(4)] == [8, 4, 51 - 1, 1]
    assert prune_some(store, Retention(), NOON) == 0


def test_minutes_go_before_hours_and_days(path):
    then = NOON - MINUTES_KEPT - DAY
    store = store_with(path, [answered(then)])
    assert levels(path) == {60, 3600, 86_400}
    prune(store, Retention(), NOON)
    assert levels(path) == {3600, 86_400}
    assert store.window(then, then + 60).requests == 1


def test_sums_go_when_all_of_their_time_is_too_old(path):
    store = store_with(path, [answered(NOON)])
    prune(store, Retention(DAY), NOON + DAY + 30)
    assert levels(path) == {60, 3600, 86_400}  # half of the minute is young
    prune(store, Retention(DAY), NOON + DAY + HOUR / 2)
    assert levels(path) == {3600, 86_400}
    assert store.predictions().empty
    prune(store, Retention(DAY), NOON + DAY + HOUR + 1)
    assert levels(path) == {86_400}
    prune(store, Retention(DAY), NOON + 2 * DAY)
    assert levels(path) == set()
