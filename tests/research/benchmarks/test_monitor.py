"""The benchmark of the log: it measures what it claims, and names each missed target."""

from functools import partial
from types import SimpleNamespace

import pytest
from stub_model import stub

from research.benchmarks import monitor
from tf_model.monitor.store import Store


def well(**changes):
    found = {
        "paired": {"p50_share": 0.004},
        "caller": {"p99_milliseconds": 0.1},
        "sustained": {"dropped": 0, "records_per_second": 1999.0},
        "kills": {"faulty_rounds": 0, "missing_seconds_most": 0.11},
        "large": {"slowest_query_seconds": 0.9},
    }
    return found | changes


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"paired": {"p50_share": 0.02}}, "paired: p50_share is 0.02, the target is 0.01"),
        ({"paired": {"p50_share": float("nan")}}, "paired: p50_share is nan"),
        ({"sustained": {"dropped": 3, "records_per_second": 2000.0}}, "sustained: dropped is 3, the target is 0"),
        ({"sustained": {"dropped": 0, "records_per_second": 1500.0}}, "sustained: 1500 records a second of 2000"),
        ({"kills": {"faulty_rounds": 1, "missing_seconds_most": 0.1}}, "kills: faulty_rounds is 1"),
        ({"large": {"slowest_query_seconds": 2.5}}, "large: slowest_query_seconds is 2.5, the target is 2"),
    ],
)
def test_what_misses_its_target_is_said(changes, words):
    [missed] = monitor.missed_targets(well(**changes))
    assert missed.startswith(words)


def test_what_reaches_its_targets_misses_nothing():
    assert monitor.missed_targets(well()) == []


def test_each_prediction_is_made_with_the_log_and_without(tmp_path):
    sizes = []
    found = monitor._paired(stub(sizes=sizes), tmp_path / "log.sqlite", pairs=12)
    assert found["pairs"] == 12
    assert found["p50_milliseconds_without"] > 0
    assert found["p50_share_low"] <= found["p50_share"] <= found["p50_share_high"]
    kept = Store(tmp_path / "log.sqlite").predictions()
    assert len(sizes) == 2 * len(kept), "each text both ways, the warming up included"


def test_a_large_log_holds_what_the_page_asks_for(tmp_path, monkeypatch):
    monkeypatch.setattr(monitor, "DAYS", 0.1)
    found = monitor._large(tmp_path / "log.sqlite", records=1_000)
    assert list(found["query_seconds"]) == [*monitor.SPANS, "newest predictions"]
    assert found["slowest_query_seconds"] == max(found["query_seconds"].values()) > 0


def test_what_is_measured_is_recorded_unless_it_is_a_try(monkeypatch, capsys):
    monkeypatch.setattr(monitor, "Predictor", SimpleNamespace(load=lambda folder: stub()))
    monkeypatch.setattr(monitor, "_paired", lambda predictor, path: {"p50_share": 0.004})
    monkeypatch.setattr(monitor, "_caller", partial(monitor._caller, calls=5))
    monkeypatch.setattr(monitor, "_sustained", partial(monitor._sustained, seconds=0.2))
    monkeypatch.setattr(monitor, "_large", lambda path, records: {"slowest_query_seconds": 0.1 * records})
    kept = []
    monkeypatch.setattr(monitor.harness, "finish", lambda *arguments, keep: kept.append((arguments, keep)) or 0)
    assert monitor.main(["--kill-rounds", "1", "--records", "9", "--no-record"]) == 0
    [((_, _, results, _), keep)] = kept
    assert not keep
    assert results["kills"]["rounds"] == 1
    assert results["sustained"]["records"] == 400
    assert "kills: rounds 1" in capsys.readouterr().out
