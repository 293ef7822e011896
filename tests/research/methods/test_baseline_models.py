"""The methods that are compared: each can be fitted, and does what its title says."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from research import study
from research.methods import baseline_models
from research.study import REPORT
from tf_model import tasks

pytestmark = pytest.mark.usefixtures("stores")


# ---------------------------------------------------------------- the methods


@pytest.mark.parametrize(
    ("text", "product", "emotion"),
    [
        ("I love my iPad 2", "iPad", tasks.POSITIVE),
        ("the iPhone app crashed again, what a fail", "iPad or iPhone App", tasks.NEGATIVE),
        ("a great android app", "Android App", tasks.POSITIVE),
        ("Google Maps at noon", "Other Google product or service", tasks.NO_EMOTION),
        ("google talks at noon", "Google", tasks.NO_EMOTION),
        ("love it, hate it", "Apple", tasks.NO_EMOTION),  # no product named: the most frequent class
    ],
)
def test_keyword_rules(text, product, emotion):
    for task, label in ((tasks.PRODUCT, product), (tasks.EMOTION, emotion)):
        rules = baseline_models.KeywordRules(task).fit(
            ["a", "b"], np.array([5, 5] if task == tasks.PRODUCT else [1, 1])
        )
        assert task.labels[rules.predict([text])[0]] == label


def test_every_quick_method_can_be_made_and_fitted(problems):
    problem = problems["product"]
    for method in baseline_models.methods().values():
        if method.inputs is not baseline_models.embeddings and not method.slow:
            result = study.score_method(method, problem, tasks.PRODUCT, REPORT, 0)
            metrics = study.evaluate(
                tasks.PRODUCT, problem.label_ids(tasks.PRODUCT), result, has_probabilities=method.has_probabilities
            )
            assert (metrics["accuracy"] > 0.3) == (method.name != "majority"), f"{method.name}: {metrics['accuracy']}"


def test_embeddings_have_length_1_do_not_depend_on_the_batch_and_are_kept(tiny_bert, monkeypatch):
    texts = ["i love my ipad", "a", "the new google maps are bad, and the app is bad too", "a"]
    monkeypatch.setattr(baseline_models, "BACKBONE", str(tiny_bert))
    baseline_models._embed.cache_clear()
    vectors = baseline_models.embeddings(texts)
    assert vectors.shape == (4, 16)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.array_equal(vectors[1], vectors[3])
    assert baseline_models.embeddings(texts) is vectors
    assert np.allclose(baseline_models.embeddings(["a"])[0], vectors[1], atol=1e-5), "padding is not averaged"
    baseline_models._embed.cache_clear()


def test_logistic_regression_does_not_hang_on_the_last_digit_of_an_embedding():
    """Embeddings computed on two machines differ by about that much."""
    random = np.random.default_rng(0)
    label_ids = random.integers(0, 4, 2000)
    vectors = random.normal(size=(2000, 200)) * np.geomspace(1, 0.05, 200) + np.eye(4, 200)[label_ids] + 1
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    others = vectors + random.uniform(-1.5e-7, 1.5e-7, vectors.shape).astype(np.float32)
    method = baseline_models.methods()["frozen_minilm"]
    with threadpool_limits(1):  # the products are so small that threads would only wait for each other
        ours, theirs = (
            method.make(tasks.EMOTION, 0).fit(each[:-100], label_ids[:-100]).predict_proba(each[-100:])
            for each in (vectors, others)
        )
    assert np.abs(ours - theirs).max() < 1e-5, "at scikit-learn's own tolerance: 2e-3"
