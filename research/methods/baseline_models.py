"""The methods that are compared on equal terms, each as a scikit-learn classifier."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.svm import LinearSVC

from research.methods.neural import FineTuned, Inputs, KerasNlpBert, score
from tf_model import config, device, tasks
from tf_model.data.audit import tfidf_classifier, tfidf_features
from tf_model.eda import keyword_emotion, keyword_rule

BACKBONE = "minilm"  # of the frozen embeddings
OURS = "tuned"  # our own model among the methods
SEEDS = (0, 1, 2)  # of the methods with randomness


def raw(texts: Sequence[str]) -> np.ndarray:
    """The texts themselves, object [N]."""
    return np.array(texts, dtype=object)


@dataclass(frozen=True)
class Method:
    """A method; its name is that of the command line and of the recorded runs."""

    name: str
    title: str  # for tables
    make: Callable[[tasks.Task, int], Any]  # an unfitted classifier for a task and a seed
    inputs: Callable[[Sequence[str]], np.ndarray] = raw  # makes the inputs, [N, ...], from N raw texts
    seeds: tuple[int, ...] = (0,)  # one for a method without randomness
    has_probabilities: bool = False  # whether its predict_proba is meaningful
    settings: str = ""  # everything that changes what it learns, as text
    slow: bool = False  # trains for minutes: it predicts each task on its own folds, not on those of the joined answer


class KeywordRules:
    """Keyword rules; from data it learns only the most frequent class, its prediction where no rule applies."""

    def __init__(self, task: tasks.Task):
        self._task = task

    def fit(self, texts: Sequence[str], label_ids: np.ndarray) -> KeywordRules:
        """Learn the most frequent class."""
        self._majority_id = int(np.bincount(label_ids).argmax())
        return self

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """Class ids of texts, int64 [N]."""
        rule = keyword_rule if self._task == tasks.PRODUCT else keyword_emotion
        labels = [rule(text) for text in texts]
        return np.array([self._majority_id if label is None else self._task.labels.index(label) for label in labels])


def _linear_svm(inverse_penalty: float) -> Any:
    # The dual problem is solved in random order; the primal one has no randomness.
    return make_pipeline(tfidf_features(), LinearSVC(C=inverse_penalty, dual=False))


def _embedding_classifier(inverse_penalty: float) -> Any:
    """Logistic regression, fitted to the minimum of its loss.

    At the default tolerance it stops early, at a point that depends on the seventh digit of the embeddings; accuracy
    then differed between machines by up to 0.003.
    """
    classifier = LogisticRegression(C=inverse_penalty, solver="newton-cg", tol=1e-8, max_iter=1000)
    return make_pipeline(FunctionTransformer(np.float64), classifier)


# The inverse penalty of a linear model. `python -m research.baselines --choose` tries CANDIDATES inside the report's
# training part. CHOSEN are the values used for each task, the best.
CANDIDATES: dict[str, tuple[float, ...]] = {
    "words_logistic": (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0),
    "words_svm": (0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
    "frozen_minilm": (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0),
}
CHOSEN: dict[str, dict[str, float]] = {
    "words_logistic": {"product": 10.0, "emotion": 1.0},
    "words_svm": {"product": 1.0, "emotion": 0.1},
    "frozen_minilm": {"product": 3.0, "emotion": 3.0},
}


def with_setting(name: str, values: Mapping[str, float]) -> Method:
    """A method of :data:`CANDIDATES` with the given value of its setting for each task."""
    features = "TF-IDF (words 1-2, characters 2-5)"
    title, classifier, solver = {
        "words_logistic": (f"{features} + logistic regression", tfidf_classifier, "to convergence"),
        "words_svm": (f"{features} + linear SVM", _linear_svm, "primal"),
        "frozen_minilm": (
            "frozen MiniLM, mean-pooled + logistic regression",
            _embedding_classifier,
            "to convergence, cleaning normalized",
        ),
    }[name]
    is_one_value = len(set(values.values())) == 1
    by_task = ", ".join(f"{value:g} ({task})" for task, value in values.items())
    return Method(
        name,
        title,
        lambda task, seed: classifier(values[task.name]),
        inputs=embeddings if name == "frozen_minilm" else raw,
        has_probabilities=name != "words_svm",
        settings=f"C={values['product']:g}, {solver}" if is_one_value else f"C={by_task}, {solver}",
    )


def _network(name: str, title: str, make: Callable[..., Any], settings: config.TrainingConfig) -> Method:
    """A network; ``make`` gets its settings, with the seed, and the number of classes."""
    text = (  # also kept with the results
        f"cleaning {settings.cleaning}, {settings.epochs} epochs of batches of {settings.batch_size}, Adam "
        f"{settings.learning_rate:g} {settings.schedule}, warm-up {settings.warmup:g}, {settings.pooling} pooling"
    )
    return Method(
        name,
        title,
        lambda task, seed: make(replace(settings, seed=seed), len(task.labels)),
        seeds=SEEDS,
        has_probabilities=True,
        settings=text,
        slow=True,
    )


def methods() -> dict[str, Method]:
    """All methods by name, the simplest first and :data:`OURS` last."""
    keras_nlp = replace(config.TUNED, pooling="cls")
    all_methods = (
        Method(
            "majority", "always the most frequent class", lambda task, seed: DummyClassifier(strategy="most_frequent")
        ),
        Method(
            "keywords", "keyword rules", lambda task, seed: KeywordRules(task), settings="rules of research.methods"
        ),
        *(with_setting(name, CHOSEN[name]) for name in CHOSEN),
        # At a greater rate and twice the epochs, because it starts from random weights.
        _network(
            "scratch",
            "keras-nlp transformer of the same size, from scratch",
            partial(KerasNlpBert, pretrained=False),
            replace(keras_nlp, learning_rate=3e-4, epochs=10),
        ),
        _network("keras_nlp_bert", "keras-nlp BertTextClassifier on the MiniLM weights", KerasNlpBert, keras_nlp),
        # The title is that of the recorded runs.
        _network(OURS, f"MiniLM fine-tuned, `{OURS}` recipe", lambda each, size: FineTuned(each, [size]), config.TUNED),
    )
    return {method.name: method for method in all_methods}


def embeddings(texts: Sequence[str]) -> np.ndarray:
    """Frozen sentence embeddings, float32 [N, hidden]: the mean of the last layer over a text's tokens, at length 1.

    Pooling as in N. Reimers and I. Gurevych, "Sentence-BERT", EMNLP 2019, as in the pretraining of the packaged
    backbone.
    """
    return _embed(tuple(texts))


@lru_cache  # the folds of a problem share its texts
def _embed(texts: tuple[str, ...]) -> np.ndarray:
    tf = device.import_tensorflow()
    device.prepare(0, precision="float32")
    from tf_model.modeling import backbone, classifier
    from tf_model.preprocessing.tokenizer import TextEncoder

    weights = backbone.find(BACKBONE)
    bert = classifier.build(weights, [2]).bert

    def mean(inputs: Inputs) -> Any:
        tokens = bert(inputs, training=False).last_hidden_state  # (B, L, hidden)
        mask = tf.cast(inputs["attention_mask"], tokens.dtype)[..., tf.newaxis]
        return tf.math.l2_normalize(tf.reduce_sum(tokens * mask, axis=1), axis=1)

    return score(mean, TextEncoder(weights.vocabulary, "normalized", weights.lower_case), texts)
