"""The benchmark of prediction runs by the present code, and shows what it measured."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from sample_datasets import labelled, write_workbook
from stub_model import stub

from research import runs
from research.benchmarks import predict
from tf_model import paths
from tf_model.modeling import backbone


@pytest.fixture
def run(tmp_path, monkeypatch, tiny_bert):
    """Runs the benchmark on two tweets with a tiny BERT; gives what was recorded."""
    import pandas

    sheet = pandas.DataFrame({"Tweet": ["i love my ipad", "maps for the android app at #sxsw"] * 6})
    workbook = write_workbook(tmp_path / "tweets.xlsx", Train=labelled(), Test=sheet)
    monkeypatch.setattr(runs, "RUNS", tmp_path)
    monkeypatch.setattr(paths, "RESEARCH", tmp_path)
    monkeypatch.setattr(paths, "SAVED_MODELS", tmp_path / "models")
    found = backbone.find(str(tiny_bert))
    monkeypatch.setattr(backbone, "find", lambda name: found)

    def run():
        assert predict.main(["--data", str(workbook)]) == 0
        return runs.load("bench_predict")

    return run


def test_prediction_is_measured_without_any_saved_model(run, capsys):
    recorded = run()
    assert recorded["texts"] == 12
    assert recorded["tweets_per_second"] > 0
    assert 0 < recorded["one_tweet_milliseconds"]["p50"] <= recorded["one_tweet_milliseconds"]["p99"]
    assert "answer_beside_product" not in recorded
    assert "product and answer are not both saved" in capsys.readouterr().err


def test_the_answer_is_measured_beside_the_product_where_both_are_saved(monkeypatch, tmp_path):
    import time

    def slow(milliseconds):
        model = stub(has_emotion=True)

        def score(batch):
            time.sleep(milliseconds / 1000)
            return model.score(batch)

        return replace(model, score=score, recipe={"backbone": "minilm", "cleaning": "report"})

    for name in predict.PAIR:
        (tmp_path / name).mkdir()
    models = {"product": slow(4), "answer": slow(12)}
    monkeypatch.setattr(paths, "SAVED_MODELS", tmp_path)
    monkeypatch.setattr(predict, "Predictor", SimpleNamespace(load=lambda folder, runtime: models[folder.name]))
    pair = predict._answer_beside_product([f"text {number}" for number in range(20)])
    assert pair["ratio"] == pytest.approx(pair["answer"]["p50"] / pair["product"]["p50"])
    assert 1.5 < pair["ratio"] < 3.5  # 12 ms beside 4 ms, with what both need besides
    assert (pair["answer"]["backbone"], pair["answer"]["cleaning"]) == ("minilm", "report")
