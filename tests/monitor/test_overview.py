"""What the page of the monitor draws: of one version alone, and times only of those who wait for an answer."""

import pytest

from tests.monitor.made_up import APP, NOON, answered, join, store_with
from tf_model.monitor import overview
from tf_model.monitor.events import Corrected, Failed, Stream

FILE, OLD = Stream("answer", "v1", "batch"), Stream("answer", "v0", "app")


@pytest.fixture
def seen(tmp_path):
    events = [answered(NOON + 60 * minute) for minute in range(30)]
    events += [answered(NOON, seconds=40.0, stream=FILE), answered(NOON, seconds=9.0, stream=OLD)]
    for stream in (APP, OLD):
        events += [
            Failed(NOON, stream, stream.version, "x"),
            Corrected(NOON, stream, stream.version, 1, {}, "right", None, None),
        ]
    store = store_with(tmp_path / "log", events)
    return overview.read(store, NOON, NOON + 3600, None, "answer", "v1")


def test_times_are_of_those_who_wait(seen):
    waiting = join(seen.interactive).histogram("seconds")
    assert waiting.count == 30
    assert waiting.quantile(1.0) < 1
    assert join(seen.windows).histogram("seconds").count == 31


def test_another_version_is_nowhere_to_be_seen(seen):
    assert seen.report.window.requests == join(seen.windows).requests == 32
    assert seen.errors["kind"].tolist() == ["v1"]
    assert seen.corrections["text"].tolist() == ["v1"]
