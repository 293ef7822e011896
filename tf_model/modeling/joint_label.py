"""The joint label: which emotion towards which product, no emotion, or "Not sure".

The rule, written once for the exported graph and for evaluation:

- The most probable emotion decides. If it is "no emotion", that is the answer, without a product. A model may have no
  such class.
- Else the answer is that emotion towards the most probable product.
- The confidence is the probability of "no emotion", or that of the emotion times that of the product.
- Of a model of targets the most probable emotion is the answer, and its probability the confidence.
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
    """``Positive emotion → iPad``, or the label of no emotion alone; of the report's labels."""
    return emotion if emotion == tasks.NO_EMOTION or product is None else f"{emotion}{ARROW}{product}"


def candidates(chosen: Sequence[tasks.Task]) -> list[str]:
    """All answers but "Not sure" of a model of these tasks, product and emotion, or target alone.

    No emotion, if there is that class, then each other emotion, towards each product if it is asked for.
    """
    *product, emotion = chosen
    none = [] if emotion.neutral is None else [emotion.no_emotion]
    non_neutral = [label for label in emotion.labels if label not in none]
    if not product:
        return [*none, *non_neutral]
    return [*none, *(f"{label}{ARROW}{towards}" for label in non_neutral for towards in product[0].labels)]


def confidence_of(
    answer: str, product_probabilities: Mapping[str, float], emotion_probabilities: Mapping[str, float]
) -> float:
    """The confidence, 0 to 1, of one of :func:`candidates`; probabilities by label."""
    emotion, _, product = answer.partition(ARROW)
    return emotion_probabilities[emotion] * (product_probabilities[product] if product else 1.0)


def best_two(probabilities: Sequence[tf.Tensor], neutral: int | None) -> dict[str, tf.Tensor]:
    """The two best answers of each text, from probabilities float32 [N, products] and [N, emotions], or the latter.

    ``neutral`` is the id of no emotion, None if there is no such class. ``best`` and ``second``, int64 [N], index
    :func:`candidates`; ``confidence``, float32 [N], is that of the best.
    """
    import tensorflow as tf

    emotion_probabilities = probabilities[-1]
    is_joint = len(probabilities) > 1
    product_probabilities = probabilities[0] if is_joint else tf.ones_like(emotion_probabilities[:, :1])
    non_neutral = [number for number in range(emotion_probabilities.shape[1]) if number != neutral]
    scores = [] if neutral is None else [emotion_probabilities[:, neutral, None]]
    scores += [emotion_probabilities[:, number, None] * product_probabilities for number in non_neutral]
    scores = tf.concat(scores, axis=1)  # (N, candidates)
    products = tf.cast(tf.shape(product_probabilities)[1], tf.int64)
    emotion = tf.argmax(emotion_probabilities, axis=1)  # (N)
    product = tf.argmax(product_probabilities, axis=1)
    best = emotion * products + product
    if neutral is not None:
        rank = tf.where(emotion > neutral, emotion - 1, emotion)  # among the emotions that are not neutral
        best = tf.where(emotion == neutral, tf.zeros_like(emotion), 1 + rank * products + product)
    taken = tf.one_hot(best, tf.shape(scores)[1], on_value=True, off_value=False)
    return {
        "best": best,
        "second": tf.argmax(tf.where(taken, -1.0, scores), axis=1),
        "confidence": tf.gather(scores, best, axis=1, batch_dims=1),
    }


def confidence_and_right(
    label_ids: np.ndarray, probabilities: Sequence[np.ndarray], neutral: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """How sure each best answer is, float [N], and whether it is exactly correct, bool [N].

    ``label_ids``, int [N, tasks], and ``probabilities``, float [N, classes] of each, are of product and emotion, or of
    targets. A neutral text is answered correctly by no emotion; any other by its emotion and, if it has a product
    label (its id is not -1), its product.
    """
    from tf_model.device import import_tensorflow

    tf = import_tensorflow()
    two = best_two([tf.constant(values, tf.float32) for values in probabilities], neutral)
    *product, emotion = (values.argmax(axis=1) for values in probabilities)
    correct = emotion == label_ids[:, -1]
    if product:
        product_matches = (label_ids[:, 0] == tasks.NO_LABEL) | (product[0] == label_ids[:, 0])
        correct &= (label_ids[:, -1] == neutral) | product_matches
    return two["confidence"].numpy(), correct


def joint_outputs(
    outputs: Mapping[str, tf.Tensor], chosen: Sequence[tasks.Task], threshold: float
) -> dict[str, tf.Tensor]:
    """``answer``, ``best_guess``, ``second_guess``, string [N], and ``answer_confidence``, float32 [N], of each text.

    ``outputs`` are ``<task>_probabilities``, float32 [N, classes], of the tasks of :func:`candidates`.
    """
    import tensorflow as tf

    guesses = tf.constant(candidates(chosen))
    two = best_two([outputs[f"{task.name}_probabilities"] for task in chosen], chosen[-1].neutral)
    best = tf.gather(guesses, two["best"])
    return {
        "answer": tf.where(two["confidence"] >= threshold, best, NOT_SURE),
        "answer_confidence": two["confidence"],
        "best_guess": best,
        "second_guess": tf.gather(guesses, two["second"]),
    }
