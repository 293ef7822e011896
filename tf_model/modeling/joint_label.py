"""The joint label: which emotion towards which product, no emotion, or "Not sure".

The rule, written once for the exported graph and for evaluation:

- The most probable emotion decides. If it is "no emotion", that is the answer, without a product.
- Else the answer is that emotion towards the most probable product.
- The confidence is the probability of "no emotion", or that of the emotion times that of the product.
- Below the threshold the answer is "Not sure", and the two best guesses say between what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tf_model import tasks

if TYPE_CHECKING:
    import tensorflow as tf

NOT_SURE = "Not sure"
ARROW = " → "
NEUTRAL = tasks.EMOTIONS.index(tasks.NO_EMOTION)


def answer_text(emotion: str, product: str | None) -> str:
    """``Positive emotion → iPad``, or the label of no emotion alone."""
    return emotion if emotion == tasks.NO_EMOTION or product is None else f"{emotion}{ARROW}{product}"


def candidates(products: Sequence[str], emotions: Sequence[str]) -> list[str]:
    """All answers but "Not sure": no emotion, then each other emotion towards each product."""
    non_neutral = [emotion for emotion in emotions if emotion != tasks.NO_EMOTION]
    return [tasks.NO_EMOTION, *(answer_text(emotion, product) for emotion in non_neutral for product in products)]


def confidence_of(
    answer: str, product_probabilities: Mapping[str, float], emotion_probabilities: Mapping[str, float]
) -> float:
    """The confidence, 0 to 1, of one of :func:`candidates`; probabilities by label."""
    emotion, _, product = answer.partition(ARROW)
    return emotion_probabilities[emotion] * (product_probabilities[product] if product else 1.0)


def best_two(product_probabilities: tf.Tensor, emotion_probabilities: tf.Tensor) -> dict[str, tf.Tensor]:
    """The two best answers of each text, from probabilities float32 [N, products] and [N, emotions].

    ``best`` and ``second``, int64 [N], index :func:`candidates`; ``confidence``, float32 [N], is that of the best.
    """
    import tensorflow as tf

    non_neutral = [number for number in range(len(tasks.EMOTIONS)) if number != NEUTRAL]
    towards = [emotion_probabilities[:, number, None] * product_probabilities for number in non_neutral]
    scores = tf.concat([emotion_probabilities[:, NEUTRAL, None], *towards], axis=1)  # (N, candidates)
    products = tf.cast(tf.shape(product_probabilities)[1], tf.int64)
    emotion = tf.argmax(emotion_probabilities, axis=1)  # (N)
    product = tf.argmax(product_probabilities, axis=1)
    rank = tf.where(emotion > NEUTRAL, emotion - 1, emotion)  # among the emotions that are not neutral
    best = tf.where(emotion == NEUTRAL, tf.zeros_like(emotion), 1 + rank * products + product)
    taken = tf.one_hot(best, tf.shape(scores)[1], on_value=True, off_value=False)
    return {
        "best": best,
        "second": tf.argmax(tf.where(taken, -1.0, scores), axis=1),
        "confidence": tf.gather(scores, best, axis=1, batch_dims=1),
    }


def confidence_and_right(
    product_ids: np.ndarray,
    emotion_ids: np.ndarray,
    product_probabilities: np.ndarray,
    emotion_probabilities: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """How sure each best answer is, float [N], and whether it is exactly correct, bool [N].

    A neutral text is answered correctly by no emotion; any other by its emotion and, if it has a product label (its id
    is not -1), its product.
    """
    from tf_model.device import import_tensorflow

    tf = import_tensorflow()
    two = best_two(tf.constant(product_probabilities, tf.float32), tf.constant(emotion_probabilities, tf.float32))
    emotion, product = emotion_probabilities.argmax(axis=1), product_probabilities.argmax(axis=1)
    product_matches = (product_ids == tasks.NO_LABEL) | (product == product_ids)
    correct = (emotion == emotion_ids) & ((emotion_ids == NEUTRAL) | product_matches)
    return two["confidence"].numpy(), correct


def joint_outputs(
    outputs: Mapping[str, tf.Tensor], labels: Mapping[str, Sequence[str]], threshold: float
) -> dict[str, tf.Tensor]:
    """``answer``, ``best_guess``, ``second_guess``, string [N], and ``answer_confidence``, float32 [N], of each text.

    ``outputs`` are ``product_probabilities`` and ``emotion_probabilities``, float32 [N, classes].
    """
    import tensorflow as tf

    guesses = tf.constant(candidates(labels[tasks.PRODUCT.name], labels[tasks.EMOTION.name]))
    two = best_two(outputs["product_probabilities"], outputs["emotion_probabilities"])
    best = tf.gather(guesses, two["best"])
    return {
        "answer": tf.where(two["confidence"] >= threshold, best, NOT_SURE),
        "answer_confidence": two["confidence"],
        "best_guess": best,
        "second_guess": tf.gather(guesses, two["second"]),
    }
