"""The benchmark of the log measures what it claims."""

from functools import partial
from types import SimpleNamespace

from stub_model import stub

from research import runs
from research.benchmarks import monitor
from tests.monitor.killed import Left
from tests.monitor.made_up import counts_of


def test_each_prediction_is_made_with_the_log_and_without(tmp_path, monkeypatch):
    sizes = []
    monkeypatch.setattr(monitor, "PAIRS", 12)
    found = monitor._paired(stub(sizes=sizes), tmp_path / "log.sqlite")
    assert found["pairs"] == 12
    assert found["p50_milliseconds_without"] > 0
    assert found["p50_share_low"] <= found["p50_share"] <= found["p50_share_high"]
    kept = counts_of(tmp_path / "log.sqlite").predictions
    assert len(sizes) == 2 * kept, "each text both ways, the warming up included"


def test_a_large_log_holds_what_the_page_asks_for(tmp_path, monkeypatch):
    monkeypatch.setattr(monitor, "DAYS", 1 / 24)
    monkeypatch.setattr(monitor, "RECORDS", 400)
    found = monitor._large(tmp_path / "log.sqlite")
    assert found["records"] == counts_of(tmp_path / "log.sqlite").predictions == 400
    assert list(found["query_seconds"]) == list(runs.load("bench_monitor")["large"]["query_seconds"])
    assert found["slowest_query_seconds"] == max(found["query_seconds"].values()) > 0


def test_what_is_measured_is_recorded(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(runs, "RUNS", tmp_path)
    monkeypatch.setattr(monitor, "ROUNDS", 1)
    monkeypatch.setattr(monitor, "Predictor", SimpleNamespace(load=lambda: stub()))
    monkeypatch.setattr(monitor, "_paired", lambda predictor, path: {"p50_share": 0.004})
    monkeypatch.setattr(monitor, "_caller", partial(monitor._caller, calls=5))
    monkeypatch.setattr(monitor, "_sustained", partial(monitor._sustained, seconds=0.2))
    monkeypatch.setattr(monitor, "kill_while_recording", lambda *_, **__: Left(1, 0.01, []))
    monkeypatch.setattr(monitor, "_large", lambda path: {"slowest_query_seconds": 0.9})
    assert monitor.main([]) == 0
    recorded = runs.load("bench_monitor")
    assert recorded["kills"]["rounds"] == 1
    assert recorded["sustained"]["records"] == 400
    assert recorded["large"] == {"slowest_query_seconds": 0.9}
    assert "kills: rounds 1" in capsys.readouterr().out
