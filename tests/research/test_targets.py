"""The study of targets: mentions for training and evaluation, what each protocol leaves out, and its metrics."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from research import runs, study, targets
from tf_model import data, paths, tasks
from tf_model.errors import DataError
from tf_model.io.files import write_json
from tf_model.preprocessing.cleaning import MENTION_END, MENTION_START, mark

NEGATIVE, NONE, POSITIVE = range(3)


@pytest.fixture(scope="module")
def mentions() -> pd.DataFrame:
    return targets.all_mentions(data.read(paths.SAMPLE_CORPUS))


@pytest.fixture
def trainings(stores, monkeypatch) -> list[tuple[list[str], list[int]]]:
    """What each model was trained on; every model predicts that there is no emotion."""
    seen = []

    class Remembers:
        def __init__(self, config, classes):
            pass

        def fit(self, texts, label_ids):
            seen.append((list(texts), list(label_ids)))
            return self

        def predict_proba(self, texts):
            return np.eye(3, dtype=np.float32)[np.full(len(texts), NONE)]

    monkeypatch.setattr(targets, "FineTuned", Remembers)
    return seen


def test_every_mention_is_predicted_and_only_what_people_labelled_judges(mentions, trainings):
    assert all(text.count(MENTION_START) == text.count(MENTION_END) == 1 for text in mentions["text"])
    is_judged = mentions["judged_id"] >= 0
    assert (mentions["judged_id"] == mentions["label_id"])[is_judged].all()
    assert set(mentions["label_id"][~is_judged]) <= {tasks.NO_LABEL, NONE}
    names_several = mentions.duplicated("row", keep=False)
    assert names_several.any()
    assert not names_several.all()
    (_, labelled, _), (_, several, _) = targets.grouped(mentions, None, "target", seed=0)
    assert labelled is mentions
    assert (several["judged_id"][~names_several] == tasks.NO_LABEL).all()
    assert (several["judged_id"][names_several] == mentions["label_id"][names_several]).all()


def test_no_product_of_the_maker_that_is_tested_on_is_trained_on(mentions, trainings):
    tests = list(targets.unseen_brand(mentions, None, "target", seed=0))
    assert [name for name, *_ in tests] == ["Google, never seen", "Google, seen", "Apple, never seen", "Apple, seen"]
    products = data.products_of(data.read(paths.SAMPLE_CORPUS))
    for texts, maker in ((trainings[0][0], "Google"), (trainings[6][0], "Apple")):
        plain = [targets.unmark(text) for text in texts]
        named = {mention.product for text in plain for mention in products.find(text)}
        assert texts
        assert named.isdisjoint(targets.SIDES[maker])
    for name, judged, scores in tests:
        assert set(judged["product"][judged["judged_id"] >= 0]) <= set(targets.SIDES[name.partition(",")[0]])
        assert scores.shape == (len(mentions), 3)


def test_a_run_is_recorded_and_goes_on_with_what_it_kept(mentions, problems, trainings, capsys, monkeypatch):
    monkeypatch.setattr(targets, "all_mentions", lambda _: mentions)
    monkeypatch.setattr(study, "make_problem", lambda dataset, name: problems[name])
    arguments = ["--data", str(paths.SAMPLE_CORPUS), "--protocols", "grouped", "--seeds", "0"]
    assert targets.main(arguments) == 0
    assert len(trainings) == 10  # five folds for each of two forms
    run = json.loads((runs.RUNS / "targets.json").read_text())
    assert run["tests"].keys() == {"grouped, labelled mentions", "grouped, texts with several products"}
    labelled = run["tests"]["grouped, labelled mentions"]
    assert labelled.keys() == {"target", "text", "vader"}
    assert labelled["target"]["seeds"]["0"]["per_class"][tasks.POSITIVE]["recall"] == 0
    assert labelled["vader"]["per_class"][tasks.POSITIVE]["recall"] > 0.3
    assert run["answers"]["target"]["seeds"]["0"]["emotion_rows_accuracy"] == 0
    printed = capsys.readouterr().out
    assert f"grouped, labelled mentions, target, seed 0: rows {labelled['target']['seeds']['0']['rows']}, " in printed
    assert f", F1 of {tasks.POSITIVE} 0\n" in printed
    assert "whole answer, target, seed 0: rows " in printed
    del run["recipe"]["r_drop"]  # recorded before this setting was added
    write_json(runs.RUNS / "targets.json", run)
    assert targets.main([*arguments[:3], "unseen_brand", *arguments[-2:]]) == 0
    extended = json.loads((runs.RUNS / "targets.json").read_text())
    assert {name: extended["tests"][name] for name in run["tests"]} == run["tests"]
    assert len(extended["tests"]) == 6
    assert len(trainings) == 14  # "seen" takes the kept folds


def test_the_lexicon_reads_the_clause_of_the_mention():
    text = "I love my iPad but my Android is horrible"
    marked = [mark(text, *place) for place in ((10, 14), (22, 29))]
    assert targets.vader(marked).argmax(axis=1).tolist() == [POSITIVE, NEGATIVE]
    assert targets.vader([mark("The iPad talk is at nine", 4, 8)]).argmax() == NONE


def test_whole_answers_need_the_emotion_and_its_product(mentions):
    dataset = data.read(paths.SAMPLE_CORPUS)
    perfect = np.eye(3, dtype=np.float32)[np.maximum(mentions["label_id"], NONE)]
    perfect[mentions["label_id"] == NEGATIVE] = np.eye(3)[NEGATIVE]
    best = targets.whole_answers(dataset, mentions, perfect)
    none = targets.whole_answers(dataset, mentions, np.eye(3, dtype=np.float32)[np.full(len(perfect), NONE)])
    assert best["accuracy"] > 0.9 > none["accuracy"]
    assert none["emotion_rows_accuracy"] == 0
    assert best["rows"] == len(dataset.labelled[dataset.labelled[tasks.EMOTION_COLUMN].isin(tasks.EMOTIONS)])


def test_other_tweets_than_those_of_dong_are_refused(tmp_path):
    file = tmp_path / "train.raw"
    for content in (None, "i like $T$\nxbox\n1\n"):
        if content:
            file.write_text(content)
        with pytest.raises(DataError, match="found none or another file; name it with --dong, or leave it out"):
            targets.read_dong(file)


@pytest.mark.skipif(not targets.DONG.is_file(), reason="the tweets of Dong et al. are not there")
def test_the_tweets_of_dong_have_their_targets_marked(monkeypatch):
    monkeypatch.setattr(targets.splits, "near_duplicate_groups", lambda texts: np.arange(len(texts)))  # takes seconds
    mentions = targets.read_dong(targets.DONG)
    assert len(mentions) == 6248
    assert np.bincount(mentions["label_id"]).tolist() == [1560, 3127, 1561]
    assert all("$T$" not in text for text in mentions["text"])
