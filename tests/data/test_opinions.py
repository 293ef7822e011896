from __future__ import annotations

import csv

import numpy as np

from tf_model import paths, tasks
from tf_model.data.opinions import SHARES, opinion_pairs
from tf_model.preprocessing.cleaning import MENTION_END, MENTION_START, unmark


def test_every_opinion_is_about_one_product_and_has_an_emotion():
    with paths.OPINIONS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["emotion"] for row in rows} == set(tasks.EMOTIONS)
    assert all(row["text"].count("{product}") == 1 for row in rows)
    assert len({row["text"] for row in rows}) == len(rows)


def test_a_pair_is_one_sentence_with_either_product_marked():
    texts, label_ids = opinion_pairs(200, seed=1)
    assert (len(texts), label_ids.dtype) == (400, np.int64)
    for first, second in zip(texts[::2], texts[1::2], strict=True):
        assert unmark(first) == unmark(second) != first != second
        assert first.count(MENTION_START) == first.count(MENTION_END) == second.count(MENTION_START) == 1
        assert "{" not in first
    assert opinion_pairs(200, seed=1)[0] == texts != opinion_pairs(200, seed=2)[0]


def test_the_emotion_is_that_of_the_marked_product():
    with paths.OPINIONS.open(encoding="utf-8", newline="") as file:
        emotion_of = {row["text"]: row["emotion"] for row in csv.DictReader(file) if "{other}" not in row["text"]}
    texts, label_ids = opinion_pairs(500, seed=3)
    found = 0
    for text, label_id in zip(texts, label_ids, strict=True):
        before, rest = text.split(MENTION_START)
        marked = f"{before}{{product}}{rest.split(MENTION_END)[1]}"
        fitting = {emotion for opinion, emotion in emotion_of.items() if opinion in marked}
        found += len(fitting) == 1
        assert not fitting or tasks.EMOTIONS[label_id] in fitting
    assert found > len(texts) / 2


def test_opinions_are_drawn_by_the_shares_of_their_classes():
    label_ids = opinion_pairs(2000, seed=5)[1]
    np.testing.assert_allclose(np.bincount(label_ids) / len(label_ids), SHARES, atol=0.03)
