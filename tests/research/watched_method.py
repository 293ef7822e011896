"""A method that records what it is fitted on."""

from __future__ import annotations

import numpy as np

from research.methods.baseline_models import Method


class Watched:
    """Predicts the class of the training text nearest in length; records what it was fitted on."""

    def __init__(self, fitted):
        self._fitted = fitted

    def fit(self, texts, label_ids):
        self._fitted.append((list(texts), label_ids))
        self._texts, self._ids, self.classes_ = list(texts), label_ids, np.unique(label_ids)
        return self

    def predict(self, texts):
        lengths = np.array([len(text) for text in self._texts])
        return np.array([self._ids[np.abs(lengths - len(text)).argmin()] for text in texts])

    def predict_proba(self, texts):
        sure = 0.5 + 0.5 * np.array([len(text) / 200 for text in texts])
        others = (1 - sure) / (len(self.classes_) - 1)
        return np.where(self.predict(texts)[:, None] == self.classes_, sure[:, None], others[:, None])


def watched_method(has_probabilities: bool = True) -> tuple[Method, list]:
    fitted: list = []
    options = {"has_probabilities": has_probabilities, "settings": "as it is"}
    return Method("watched", "watched", lambda task, seed: Watched(fitted), **options), fitted
