"""Why: how much each word speaks for the answer, by integrated gradients on the model's word embeddings.

The words' embeddings are moved in a straight line from "no word" (padding) to what they are; the gradients of the
score on the way, summed up, say how much each word moved it. The weights of all words add up to the change of the
score. Source: M. Sundararajan, A. Taly, Q. Yan, "Axiomatic attribution for deep networks", ICML 2017.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

    from tf_model.training.trainer import Fitted

SIGNATURE = "explain"
# The score bends sharply close to "no word" for some texts and hardly for others. So the points along the way are
# those of Clenshaw-Curtis rules, each of which has all points of the one before it: they are added until the weights
# add up to the change of the score. For 44 real tweets and plain texts, two tasks each, the sums of the weights were
# within 1.8% of it, no weight was off by more than 3.4% of its text's largest, and it took a quarter of the time that
# 129 points take.
FEWEST_INTERVALS, MOST_INTERVALS = 16, 128  # a rule of N intervals has N + 1 points
# What the sum may be off by: a share of the change of the score, and nats where there is hardly a change.
SHARE_OFF, NATS_OFF = 0.02, 0.005
# Points computed at once: few, so that an answer to somebody else need not wait for the whole of an explanation.
POINTS_AT_ONCE = 8


@dataclass(frozen=True)
class Explanation:
    """What each word of a text says about the chosen classes.

    Attributes:
        words: The words as the model reads them, after cleaning.
        product: The chosen product; empty where the model knows no products.
        product_weights: One weight a word, in nats of the product's log-probability: above 0 the word speaks for it,
            below 0 against it.
        emotion: The chosen emotion; empty where the model knows no emotions.
        emotion_weights: The same for the emotion.
        product_change: By how much all words together change the product's log-probability.
        emotion_change: The same for the emotion.
    """

    words: tuple[str, ...]
    product: str = ""
    product_weights: tuple[float, ...] = ()
    emotion: str = ""
    emotion_weights: tuple[float, ...] = ()
    product_change: float = 0.0
    emotion_change: float = 0.0


def explain_function(
    fitted: Fitted, labels: Mapping[str, Sequence[str]], temperatures: Mapping[str, float]
) -> tf.types.experimental.PolymorphicFunction:
    """The graph function that is exported as the signature ``explain``.

    It takes ``text``, one string, and returns ``words`` (string [W]) and, for each task, ``<task>`` (string, the most
    probable class), ``<task>_weights`` (float32 [W]) and ``<task>_change`` (float32).

    Args:
        fitted: The trained classifier, in float32.
        labels: Classes of each task, in the order of the logits.
        temperatures: By which each task's logits are divided.
    """
    import tensorflow as tf

    from tf_model.modeling.classifier import task_logits

    encoder, model = fitted.encoder, fitted.model
    embeddings = model.bert.embeddings.weight  # (vocabulary, hidden)
    nodes, ends_of_rounds, weights = (tf.constant(values) for values in _rounds())

    def scores(embedded: tf.Tensor) -> dict[str, tf.Tensor]:
        """Log-probabilities of each task, float32 [B, classes], of embedded texts, float32 [B, L, hidden]."""
        mask = tf.ones(tf.shape(embedded)[:2], tf.int32)
        logits = task_logits(model, {"inputs_embeds": embedded, "attention_mask": mask})
        return {
            task: tf.nn.log_softmax(values / temperatures[task]) for task, values in zip(labels, logits, strict=True)
        }

    @tf.function(input_signature=[tf.TensorSpec([], tf.string, name="text")])
    def explain(text: tf.Tensor) -> dict[str, tf.Tensor]:
        words, token_ids, word_of_token = encoder.words(text)  # (W), (L), (L) with -1 for special tokens
        embedded = tf.gather(embeddings, token_ids)  # (L, hidden)
        special = (word_of_token < 0)[:, None]
        baseline = tf.where(special, embedded, embeddings[0])  # special tokens stay, words become padding
        difference = embedded - baseline
        ends = scores(tf.stack([baseline, embedded]))
        chosen = {task: tf.argmax(ends[task][1]) for task in labels}
        change = {task: ends[task][1, chosen[task]] - ends[task][0, chosen[task]] for task in labels}

        def slopes(nodes: tf.Tensor) -> dict[str, tf.Tensor]:
            """How much each token moves each task's score at each of P points on the way, float32 [P, L]."""
            way = baseline + nodes[:, None, None] * difference  # (P, L, hidden)
            with tf.GradientTape(persistent=True) as tape:
                tape.watch(way)
                found = scores(way)
                score = {task: found[task][:, chosen[task]] for task in labels}  # (P) each
            return {task: tf.reduce_sum(tape.gradient(score[task], way) * difference, axis=2) for task in labels}

        def add_round(
            number: tf.Tensor, known: dict[str, tf.Tensor], _: dict[str, tf.Tensor]
        ) -> tuple[tf.Tensor, dict[str, tf.Tensor], dict[str, tf.Tensor]]:
            here = slopes(nodes[ends_of_rounds[number] : ends_of_rounds[number + 1]])
            known = {task: tf.concat([known[task], here[task]], axis=0) for task in labels}
            rule = weights[number, : ends_of_rounds[number + 1], None]
            return number + 1, known, {task: tf.reduce_sum(rule * known[task], axis=0) for task in labels}

        def is_off(_: tf.Tensor, __: dict[str, tf.Tensor], of_token: dict[str, tf.Tensor]) -> tf.Tensor:
            misses = {task: tf.abs(tf.reduce_sum(of_token[task]) - change[task]) for task in labels}
            adds_up = [misses[task] <= SHARE_OFF * tf.abs(change[task]) + NATS_OFF for task in labels]  # NaN: no
            return tf.logical_not(tf.reduce_all(adds_up))

        length = tf.shape(embedded)[0]
        nothing = {task: tf.zeros([0, length]) for task in labels}
        unknown = {task: tf.fill([length], np.float32(np.inf)) for task in labels}  # off, whatever the change is
        _, _, of_token = tf.while_loop(
            is_off,
            add_round,
            (tf.constant(0), nothing, unknown),
            shape_invariants=(
                tf.TensorShape([]),
                {task: tf.TensorShape([None, None]) for task in labels},
                {task: tf.TensorShape([None]) for task in labels},
            ),
            maximum_iterations=weights.shape[0],
            parallel_iterations=1,
        )
        found = {"words": words}
        for task, names in labels.items():
            found |= {
                task: tf.gather(tf.constant(list(names)), chosen[task]),
                f"{task}_weights": tf.math.unsorted_segment_sum(of_token[task], word_of_token, tf.size(words)),
                f"{task}_change": change[task],
            }
        return found

    return explain


def clenshaw_curtis(intervals: int) -> tuple[np.ndarray, np.ndarray]:
    """Points from 0 to 1, float64 [N + 1], and their weights: exact for polynomials of degree N, for an even N.

    Source: C. W. Clenshaw and A. R. Curtis, "A method for numerical integration on an automatic computer", 1960.
    """
    angles = np.pi * np.arange(intervals + 1) / intervals
    frequencies = np.arange(1, intervals // 2 + 1)
    halved = np.where(frequencies == intervals // 2, 0.5, 1.0)  # the last term of the sum counts half
    cosines = np.cos(2 * np.outer(angles, frequencies))
    weights = (1 - 2 * cosines @ (halved / (4 * frequencies**2 - 1))) / intervals
    weights[[0, -1]] /= 2
    return (1 - np.cos(angles)) / 2, weights


def _rounds() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points in the order in which they are computed, and what there is after each round of them.

    Returns:
        The points, float32 [P]; where each round ends, int32 [rounds + 1], the first is 0; and the weights of the
        points that are known after each round, float32 [rounds, P]: NaN, which satisfies nobody, until a rule is whole.
    """
    finest, _ = clenshaw_curtis(MOST_INTERVALS)
    places: list[int] = []  # of the points on the finest rule, in the order in which they are computed
    ends, weights = [0], []
    intervals = FEWEST_INTERVALS
    while intervals <= MOST_INTERVALS:
        step = MOST_INTERVALS // intervals
        new = [place for place in range(0, MOST_INTERVALS + 1, step) if place not in places]
        rounds = np.array_split(new, max(1, len(new) // POINTS_AT_ONCE))
        for points in rounds:
            places += points.tolist()
            ends.append(len(places))
            weights.append(np.full(MOST_INTERVALS + 1, np.nan))
        _, rule = clenshaw_curtis(intervals)
        weights[-1] = np.zeros(MOST_INTERVALS + 1)
        weights[-1][: len(places)] = rule[np.array(places) // step]
        intervals *= 2
    return finest[places].astype(np.float32), np.array(ends, np.int32), np.array(weights, np.float32)


def read_explanation(outputs: Mapping[str, Any]) -> Explanation:
    """What the signature ``explain`` returned, as Python values."""
    values: dict[str, Any] = {"words": tuple(word.decode("utf-8") for word in outputs["words"].numpy())}
    for task in ("product", "emotion"):
        if task in outputs:
            values[task] = outputs[task].numpy().decode("utf-8")
            values[f"{task}_weights"] = tuple(float(weight) for weight in outputs[f"{task}_weights"].numpy())
            values[f"{task}_change"] = float(outputs[f"{task}_change"].numpy())
    return Explanation(**values)
