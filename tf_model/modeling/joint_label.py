"""The answer to the whole question: which emotion towards which product, none, or "Not sure".

The rule is written once, with TensorFlow, for the graph that is exported and for evaluation alike:

- The most probable emotion decides. If it is "no emotion", that is the answer and there is no product.
- Else the answer is that emotion towards the most probable product.
- Its confidence is the probability of "no emotion", or that of the emotion times that of the product.
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


def answer_text(emotion: str, product: str | None) -> str:
    """How an answer is written: ``Positive emotion → iPad``, or the label of no emotion alone."""
    return emotion if emotion == tasks.NO_EMOTION or product is None else f"{emotion}{ARROW}{product}"


def candidates(products: Sequence[str], emotions: Sequence[str]) -> list[str]:
    """All answers that can be given, "Not sure" aside: no emotion, then each other emotion towards each product."""
    felt = [emotion for emotion in emotions if emotion != tasks.NO_EMOTION]
    return [tasks.NO_EMOTION, *(answer_text(emotion, product) for emotion in felt for product in products)]


def confidence_of(
    answer: str, product_probabilities: Mapping[str, float], emotion_probabilities: Mapping[str, float]
) -> float:
    """How sure a model is of one of :func:`candidates`, by the rule of this module.

    Args:
        answer: As :func:`answer_text` writes it.
        product_probabilities: By label, 0 to 1.
        emotion_probabilities: By label, 0 to 1.
    """
    emotion, _, product = answer.partition(ARROW)
    return emotion_probabilities[emotion] * (product_probabilities[product] if product else 1.0)


def best_two(product_probabilities: tf.Tensor, emotion_probabilities: tf.Tensor) -> dict[str, tf.Tensor]:
    """The two best answers of each text, by the rule of this module.

    Args:
        product_probabilities: float32 [N, products].
        emotion_probabilities: float32 [N, emotions], in the order of :data:`tf_model.tasks.EMOTIONS`.

    Returns:
        ``best`` and ``second``, int64 [N], positions in :func:`candidates`; ``confidence``, float32 [N], of the best.
    """
    import tensorflow as tf

    none = tasks.EMOTIONS.index(tasks.NO_EMOTION)
    felt = [number for number in range(len(tasks.EMOTIONS)) if number != none]
    towards = [emotion_probabilities[:, number, None] * product_probabilities for number in felt]
    scores = tf.concat([emotion_probabilities[:, none, None], *towards], axis=1)  # (N, candidates)
    products = tf.cast(tf.shape(product_probabilities)[1], tf.int64)
    emotion = tf.argmax(emotion_probabilities, axis=1)  # (N)
    product = tf.argmax(product_probabilities, axis=1)
    place = tf.gather(
        tf.constant([felt.index(number) if number in felt else 0 for number in range(3)], tf.int64), emotion
    )
    best = tf.where(emotion == none, tf.zeros_like(emotion), 1 + place * products + product)
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
    """How sure each answer is, and whether it is exactly right.

    A text without emotion is right where no emotion is answered; one with an emotion where the emotion is right and,
    if it has a product label, the product too.

    Args:
        product_ids: True products, int [N], -1 where unknown.
        emotion_ids: True emotions, int [N], all known.
        product_probabilities: Float [N, products].
        emotion_probabilities: Float [N, emotions].

    Returns:
        ``confidence`` float [N] and ``right`` bool [N], as if nothing was withheld.
    """
    from tf_model.device import import_tensorflow

    tf = import_tensorflow()
    found = best_two(tf.constant(product_probabilities, tf.float32), tf.constant(emotion_probabilities, tf.float32))
    emotion, product = emotion_probabilities.argmax(axis=1), product_probabilities.argmax(axis=1)
    none = tasks.EMOTIONS.index(tasks.NO_EMOTION)
    product_right = (product_ids == tasks.NO_LABEL) | (product == product_ids)
    right = (emotion == emotion_ids) & ((emotion_ids == none) | product_right)
    return found["confidence"].numpy(), right


def joint_outputs(
    outputs: Mapping[str, tf.Tensor], labels: Mapping[str, Sequence[str]], threshold: float
) -> dict[str, tf.Tensor]:
    """The joint label of each text, from the outputs of both tasks.

    Args:
        outputs: ``product_probabilities`` and ``emotion_probabilities``, float32 [N, classes].
        labels: Classes of both tasks.
        threshold: Below this confidence the answer is "Not sure".

    Returns:
        ``answer``, ``best_guess``, ``second_guess``, string [N], and ``answer_confidence``, float32 [N].
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
