"""The study of the label queue: which rows a model is trained on, and which rows evaluate it."""

import pandas as pd
import pytest

from research import label_queue, runs
from tf_model import paths


@pytest.fixture
def small(monkeypatch):
    """A method without a network, and few labels."""
    monkeypatch.setattr(label_queue, "METHOD", "words_logistic")
    monkeypatch.setattr(label_queue, "INITIAL_LABELS", 60)
    ways = {
        "none added": (label_queue.at_random, 0),
        "20 at random": (label_queue.at_random, 20),
        "20 by the queue": (label_queue.by_queue, 20),
    }
    monkeypatch.setattr(label_queue, "STRATEGIES", ways)


def test_command_records_each_way(small, stores, capsys):
    arguments = ["--data", str(paths.SAMPLE_CORPUS), "--seeds", "0", "1"]
    assert label_queue.main(arguments) == 0
    assert "20 by the queue: macro-F1 0." in capsys.readouterr().out
    run = runs.load("label_queue")
    ways = run["results"]["ways"]
    assert list(ways) == ["none added", "20 at random", "20 by the queue"]
    assert len(ways["20 by the queue"]["macro_f1"]["by_seed"]) == 2
    assert ways["20 at random"]["macro_f1"]["mean"] > ways["none added"]["macro_f1"]["mean"]


def test_no_way_sees_a_row_that_validates(small, problems, monkeypatch):
    problem = problems["emotion"]
    folds = problem.folds["grouped"]
    seen = []

    def choose(rows, size):
        seen.append(rows)
        return rows.index[:size]

    monkeypatch.setattr(label_queue, "STRATEGIES", {"watched": (choose, 20)})
    label_queue.measure(problem, [0])
    for rows, split in zip(seen, folds, strict=True):
        assert set(rows.index) < set(split.train)
        assert len(rows) == len(split.train) - 60
        assert rows["text"].tolist() == [problem.rows.texts[each] for each in rows.index]


def test_ways_choose_by_the_answers():
    probabilities = [[0.5, 0.5, 0], [0.4, 0.3, 0.3], [0, 0, 1], [0.1, 0.8, 0.1]]
    texts = ["slow update", "new store", "great camera", "nice cover"]
    rows = pd.DataFrame(probabilities, range(10, 14), label_queue.COLUMNS).assign(text=texts, product="")
    assert list(label_queue.at_random(rows, 2)) == [10, 11]
    assert list(label_queue.by_queue(rows, 4)) == [11, 10, 13, 12]
