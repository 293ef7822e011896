"""What the tests of the research pages share."""

from __future__ import annotations

import json

import pytest

from research import runs
from tf_model import paths


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A function that records a run, in an empty folder of runs."""
    monkeypatch.setattr(runs, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(paths, "RESEARCH", tmp_path)
    (tmp_path / "runs").mkdir()

    def record(name: str, run: dict) -> None:
        made = {"command": f"make {name}", "date": "2026-01-02", "machine": "2 cores"}
        (tmp_path / "runs" / f"{name}.json").write_text(json.dumps(made | run), encoding="utf-8")

    return record
