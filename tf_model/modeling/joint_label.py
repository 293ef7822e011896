"""The joint label: which emotion toward which product, no emotion, or "Not sure".

The rule, written once for the exported graph, the light model and evaluation:

- The most probable emotion decides. If it is "no emotion", that is the answer, without a product. A model may have no
  such class.
- Else the answer is that emotion toward the most probable product.
- The confidence is the probability of "no emotion", or that of the emotion times that of the product.
- A model of targets answers with the most probable emotion; the confidence is its probability.
- Below the threshold the answer is "Not sure", and the two best guesses show the alternatives.

It uses NumPy functions, ``xp``; in the graph, ``tf.experimental.numpy`` replaces them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_model import tasks

NOT_SURE = "Not sure"
ARROW = " → "


def answer_text(emotion: str, product: str | None) -> str:
    """``Positive emotion → iPad``; the emotion alone if it is no emotion or has no product (the report's labels)."""
    return emotion if emotion == tasks.NO_EMOTION or product is None else f"{emotion}{ARROW}{product}"


def candidates(model_tasks: Sequence[tasks.Task]) -> list[str]:
    """All answers but "Not sure" of a model of product and emotion, or of target alone.

    First no emotion, if there is such a class, then each other emotion: toward each product, or without one.
    """
    *product, emotion = model_tasks
    neutral = [] if emotion.neutral is None else [emotion.no_emotion]
    non_neutral = [label for label in emotion.labels if label not in neutral]
    if not product:
        return [*neutral, *non_neutral]
    return [*neutral, *(f"{label}{ARROW}{name}" for label in non_neutral for name in product[0].labels)]


def best_two(probabilities: Sequence[Any], neutral: int | None, xp: Any = np) -> dict[str, Any]:
    """The two best answers of each text, from probabilities float32 [N, products] and [N, emotions], or emotions alone.

    ``neutral`` is the id of no emotion, None if there is no such class. ``best`` and ``second``, int64 [N], index
    :func:`candidates`; ``confidence``, float32 [N], is the confidence of the best answer.
    """
    emotion_probabilities = probabilities[-1]
    is_joint = len(probabilities) > 1
    product_probabilities = probabilities[0] if is_joint else xp.ones_like(emotion_probabilities[:, :1])
    non_neutral = [number for number in range(emotion_probabilities.shape[1]) if number != neutral]
    scores = [] if neutral is None else [emotion_probabilities[:, neutral, None]]
    scores += [emotion_probabilities[:, number, None] * product_probabilities for number in non_neutral]
    scores = xp.concatenate(scores, axis=1)  # (N, candidates)
    products = product_probabilities.shape[1]
    emotion = xp.argmax(emotion_probabilities, axis=1)  # (N)
    product = xp.argmax(product_probabilities, axis=1)
    best = emotion * products + product
    if neutral is not None:
        rank = xp.where(emotion > neutral, emotion - 1, emotion)  # position among the non-neutral emotions
        best = xp.where(emotion == neutral, xp.zeros_like(emotion), 1 + rank * products + product)
    is_best = xp.arange(scores.shape[1]) == best[:, None]
    return {
        "best": best,
        "second": xp.argmax(xp.where(is_best, -xp.ones_like(scores), scores), axis=1),
        "confidence": xp.take_along_axis(scores, best[:, None], axis=1)[:, 0],
    }


def confidence_and_correctness(
    label_ids: np.ndarray, probabilities: Sequence[np.ndarray], neutral: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """The confidence of each best answer, float [N], and whether it is exactly correct, bool [N].

    ``label_ids``, int [N, tasks], and ``probabilities``, float [N, classes] of each task, are for product and emotion,
    or for targets. For a neutral text, no emotion is correct; for any other text, its emotion and, if it has a product
    label (its id is not -1), its product.
    """
    best_pair = best_two([np.asarray(values, np.float32) for values in probabilities], neutral)
    *product, emotion = (values.argmax(axis=1) for values in probabilities)
    correct = emotion == label_ids[:, -1]
    if product:
        product_matches = (label_ids[:, 0] == tasks.NO_LABEL) | (product[0] == label_ids[:, 0])
        correct &= (label_ids[:, -1] == neutral) | product_matches
    return best_pair["confidence"], correct


def answer_outputs(
    probabilities: Sequence[Any], model_tasks: Sequence[tasks.Task], threshold: float | None, xp: Any = np
) -> dict[str, Any]:
    """The outputs of a model, from its calibrated probabilities, float32 [N, classes] of each task.

    ``<task>`` (string [N]), ``<task>_confidence`` (float32 [N]), ``<task>_probabilities``; with a ``threshold`` also
    ``answer``, ``best_guess`` and ``second_guess`` (string [N]), of :func:`candidates`, and ``answer_confidence``.
    """
    outputs = {}
    for task, values in zip(model_tasks, probabilities, strict=True):
        outputs |= {
            task.name: xp.take(np.array(task.labels, object), xp.argmax(values, axis=-1)),
            f"{task.name}_confidence": xp.max(values, axis=-1),
            f"{task.name}_probabilities": values,
        }
    if threshold is not None:
        answers = np.array([*candidates(model_tasks), NOT_SURE], object)
        best_pair = best_two(probabilities, model_tasks[-1].neutral, xp)
        answer = xp.where(best_pair["confidence"] >= threshold, best_pair["best"], len(answers) - 1)
        outputs |= {
            "answer": xp.take(answers, answer),
            "answer_confidence": best_pair["confidence"],
            "best_guess": xp.take(answers, best_pair["best"]),
            "second_guess": xp.take(answers, best_pair["second"]),
        }
    return outputs
