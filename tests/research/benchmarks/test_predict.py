"""The benchmark of prediction runs on the current code, and records its measurements."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace

import pandas
import pytest
from sample_datasets import labelled, write_workbook
from stub_model import stub

from research import runs
from research.benchmarks import predict


def slow(milliseconds):
    """A model that takes so long for each batch."""
    model = stub(has_emotion=True)

    def score(batch):
        time.sleep(milliseconds / 1000)
        return model.score(batch)

    return replace(model, score=score)


def test_both_models_are_measured_side_by_side(monkeypatch, tmp_path):
    sheet = pandas.DataFrame({"Tweet": ["i love my ipad", "maps for the android app at #sxsw"] * 10})
    workbook = write_workbook(tmp_path / "tweets.xlsx", Train=labelled(), Test=sheet)
    monkeypatch.setattr(runs, "RUNS", tmp_path)
    models = {"product": slow(4), "answer": slow(12)}
    monkeypatch.setattr(predict, "Predictor", SimpleNamespace(load=lambda folder, runtime: models[folder.name]))
    assert predict.main(["--data", str(workbook)]) == 0
    recorded = runs.load("bench_predict")
    assert recorded["texts"] == 20
    assert 0 < recorded["tweets_per_second"] < 20 / 0.004
    pair = recorded["answer_beside_product"]
    assert 4 < pair["product"]["p50"] <= pair["product"]["p99"]
    assert pair["ratio"] == pytest.approx(pair["answer"]["p50"] / pair["product"]["p50"])
    assert 1.5 < pair["ratio"] < 3.5  # 12 ms against 4 ms, plus the time that both need
