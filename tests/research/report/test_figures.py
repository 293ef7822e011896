"""The figures show every recorded point."""

from __future__ import annotations

import re

import pytest

from research.report import figures, lookup
from tf_model import paths
from tf_model.errors import OutputError


def test_the_learning_curve_has_every_size_of_every_method():
    traces = figures.learning_curve().data
    assert sum(len(trace.x) for trace in traces) == len(lookup.learning_curve())
    assert [trace.name for trace in traces if trace.showlegend] == [
        "keyword rules", "TF-IDF + logistic regression", "TF-IDF + linear SVM", "frozen MiniLM + logistic regression",
        "ours, tuned",
    ]  # fmt: skip


def test_bins_of_few_tweets_are_left_out_of_the_reliability():
    calibration = next(iter(lookup.recorded("grouped_answer")["seeds"].values()))["calibration"]
    bins = calibration["emotion"]["after"]["reliability"]
    trace = figures.reliability().data[3]
    assert list(trace.x) == [each["confidence"] for each in bins if each["rows"] >= figures.FEWEST_TWEETS]


def test_a_figure_that_is_drawn_again_is_the_same_file(tmp_path, monkeypatch):
    from plotly.graph_objects import Figure

    monkeypatch.setattr(paths, "RESEARCH", tmp_path)
    monkeypatch.setattr(figures, "FIGURES", {"one": Figure, "two": Figure})
    drawn = iter([b'<g id="defs-0a1b"><g class="trace1a2b3c"/>', b'<g id="defs-ff00"><g class="traceffffff"/>'])
    monkeypatch.setattr(Figure, "to_image", lambda self, format: next(drawn))
    (tmp_path / "figures").mkdir()
    first, second = figures.draw_all()
    assert first.read_text("utf-8") == second.read_text("utf-8") == '<g id="defs--0"><g class="trace-1"/>\n'


def test_without_a_browser_one_line_says_what_to_install(monkeypatch):
    from plotly.graph_objects import Figure

    def refuse(self, format):
        raise RuntimeError("no Chrome\nlong explanation")

    monkeypatch.setattr(Figure, "to_image", refuse)
    with pytest.raises(OutputError, match=re.escape("no Chrome; install Chrome or Chromium")):
        list(figures.draw_all())
