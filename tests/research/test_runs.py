"""Recorded runs: what is written is read back, and packed answers keep their rows."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from research import runs


@pytest.mark.parametrize("rows", [0, 1, 8, 9, 1000])
def test_packed_answers_are_read_back(rows):
    right = np.random.default_rng(0).random(rows) < 0.5
    packed = runs.pack(right)
    assert np.array_equal(runs.unpack(packed, rows), right)
    with pytest.raises(ValueError, match=f"expected packed values of {rows + 8} rows"):
        runs.unpack(packed, rows + 8)


def test_a_run_is_recorded_with_what_made_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(runs, "RUNS", tmp_path)
    assert runs.load("study") is None
    before = f"{datetime.now(UTC):%Y-%m-%d}"
    runs.record("study", "make study", {"figure": 1})
    assert capsys.readouterr().err == f"written to {tmp_path / 'study.json'}\n"
    run = runs.load("study")
    assert (run["command"], run["figure"]) == ("make study", 1)
    assert run["date"] in (before, f"{datetime.now(UTC):%Y-%m-%d}")
    assert run["versions"]["numpy"] == np.__version__


def test_figures_are_shown_in_one_line(capsys):
    runs.show("a less b", {"rows": 3291, "seeds": ["0", "1"], "difference": -0.01234567, "interval": [-0.02, 1e-3]})
    assert (
        capsys.readouterr().out == "a less b: rows 3291, seeds [0, 1], difference -0.01235, interval [-0.02, 0.001]\n"
    )
