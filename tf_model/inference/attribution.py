"""Explain an answer: how much each word contributes to it, by integrated gradients on the word embeddings.

The gradients of a class's log-probability, along a straight line from padding to the words, add up to its whole change.
Source: M. Sundararajan, A. Taly, Q. Yan, "Axiomatic attribution for deep networks", 2017.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tf_model.tasks import ALL_TASKS

SIGNATURE = "explain"
# The integral is computed with Clenshaw-Curtis rules; each rule contains all points of the previous one. Points are
# added until the weights sum to the change of the score, to within RTOL of the change plus ATOL nats.
INTERVALS = (16, 32, 64, 128)  # a rule of N intervals has N + 1 points
RTOL, ATOL = 0.02, 0.005
POINTS_AT_ONCE = 8  # few, to save memory and so that other requests need not wait


@dataclass(frozen=True)
class Attribution:
    """What the words of a text say about one task."""

    label: str  # the most probable class
    weights: tuple[float, ...]  # one per word, in nats of log-probability: above 0 for the class, below 0 against it
    change: float  # by how much all words together change the log-probability


@dataclass(frozen=True)
class Explanation:
    """What the words of a text say about the classes that the model chose."""

    words: tuple[str, ...]  # as the model reads them, after cleaning
    tasks: dict[str, Attribution]


def explain_function(fitted: Any, labels: Mapping[str, Sequence[str]], temperatures: Mapping[str, float]) -> Any:
    """The graph function of a ``Fitted`` classifier (float32) that is exported as the signature ``explain``.

    It takes ``text``, one string, and returns ``words`` (string [W]) and, for each task, ``<task>`` (string, the most
    probable class), ``<task>_weights`` (float32 [W]) and ``<task>_change`` (float32). ``temperatures`` divide the
    logits of each task.
    """
    import tensorflow as tf

    from tf_model.modeling.classifier import task_logits

    encoder, model = fitted.encoder, fitted.model
    embeddings = model.get_input_embeddings().weight  # (vocabulary, hidden)
    points, ends, rules = (tf.constant(values) for values in nested_rules())

    def scores(embedded: tf.Tensor) -> list[tf.Tensor]:
        """For each task, log-probabilities, float32 [B, classes], of embedded texts, float32 [B, L, hidden]."""
        mask = tf.ones(tf.shape(embedded)[:2], tf.int32)
        logits = task_logits(model, {"inputs_embeds": embedded, "attention_mask": mask})
        return [tf.nn.log_softmax(each / temperatures[task]) for task, each in zip(labels, logits, strict=True)]

    @tf.function(input_signature=[tf.TensorSpec([], tf.string, name="text")])
    @tf.autograph.experimental.do_not_convert
    def explain(text: tf.Tensor) -> dict[str, tf.Tensor]:
        words, token_ids, word_of_token = encoder.words(text)  # (W), (L), (L) with -1 for special tokens
        embedded = tf.gather(embeddings, token_ids)  # (L, hidden)
        is_special = (word_of_token < 0)[:, None]
        baseline = tf.where(is_special, embedded, embeddings[encoder.padding])  # words become padding
        difference = embedded - baseline
        end_scores = scores(tf.stack([baseline, embedded]))
        class_ids = [tf.argmax(each[1]) for each in end_scores]
        change = tf.stack([each[1, label] - each[0, label] for each, label in zip(end_scores, class_ids, strict=True)])

        def slopes_at(points: tf.Tensor) -> tf.Tensor:
            """How much each token moves each task's score at P points along the line, float32 [tasks, P, L]."""
            path_points = baseline + points[:, None, None] * difference  # (P, L, hidden)
            with tf.GradientTape(persistent=True) as tape:
                tape.watch(path_points)
                chosen_scores = [each[:, label] for each, label in zip(scores(path_points), class_ids, strict=True)]
            gradients = tf.stack([tape.gradient(each, path_points) for each in chosen_scores])
            return tf.reduce_sum(gradients * difference, axis=3)

        def refine(step: tf.Tensor, slopes: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            slopes = tf.concat([slopes, slopes_at(points[ends[step] : ends[step + 1]])], axis=1)
            weights = tf.reduce_sum(rules[step, : ends[step + 1], None] * slopes, axis=1)
            return step + 1, slopes, weights

        def is_inexact(_: tf.Tensor, __: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
            errors = tf.abs(tf.reduce_sum(weights, axis=1) - change)
            return tf.logical_not(tf.reduce_all(errors <= RTOL * tf.abs(change) + ATOL))  # NaN is inexact

        length = tf.shape(embedded)[0]
        initial = tf.zeros([len(labels), 0, length]), tf.fill([len(labels), length], np.float32(np.nan))
        shapes = (tf.TensorShape([]), tf.TensorShape([len(labels), None, None]), tf.TensorShape([len(labels), None]))
        start = (tf.constant(0), *initial)
        _, _, weights = tf.while_loop(
            is_inexact, refine, start, shape_invariants=shapes, maximum_iterations=len(rules), parallel_iterations=1
        )
        outputs = {"words": words}
        for number, (task, names) in enumerate(labels.items()):
            outputs |= {
                task: tf.gather(tf.constant(list(names)), class_ids[number]),
                f"{task}_weights": tf.math.unsorted_segment_sum(weights[number], word_of_token, tf.size(words)),
                f"{task}_change": change[number],
            }
        return outputs

    return explain


def clenshaw_curtis(intervals: int) -> tuple[np.ndarray, np.ndarray]:
    """Points from 0 to 1, float64 [N + 1], and their weights; for an even N, exact for polynomials of degree N.

    Source: C. W. Clenshaw and A. R. Curtis, "A method for numerical integration on an automatic computer", 1960.
    """
    angles = np.pi * np.arange(intervals + 1) / intervals
    frequencies = np.arange(1, intervals // 2 + 1)
    factors = np.where(frequencies == intervals // 2, 0.5, 1.0)  # the last term of the sum counts half
    cosines = np.cos(2 * np.outer(angles, frequencies))
    weights = (1 - 2 * cosines @ (factors / (4 * frequencies**2 - 1))) / intervals
    weights[[0, -1]] /= 2
    return (1 - np.cos(angles)) / 2, weights


def nested_rules() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rules of :data:`INTERVALS`, in steps of about :data:`POINTS_AT_ONCE` points.

    Returns the points in order of use, float32 [P]; the number of points before each step and after the last, int32
    [steps + 1]; and the weights after each step, float32 [steps, P], which are NaN where no rule is complete.
    """
    finest = INTERVALS[-1]
    order: list[int] = []  # indices of the points in the finest rule
    ends, rules = [0], []
    for intervals in INTERVALS:
        step = finest // intervals
        new_points = [index for index in range(0, finest + 1, step) if index not in order]
        for indices in np.array_split(new_points, len(new_points) // POINTS_AT_ONCE):
            order += indices.tolist()
            ends.append(len(order))
            rules.append(np.full(finest + 1, np.nan))
        rules[-1][: len(order)] = clenshaw_curtis(intervals)[1][np.array(order) // step]
    points, _ = clenshaw_curtis(finest)
    return points[order].astype(np.float32), np.array(ends, np.int32), np.array(rules, np.float32)


def read_explanation(outputs: Mapping[str, Any]) -> Explanation:
    """Convert the outputs of the signature ``explain`` to Python values."""
    words = tuple(word.decode("utf-8") for word in outputs["words"].numpy())
    by_task = {
        task: Attribution(
            outputs[task].numpy().decode("utf-8"),
            tuple(outputs[f"{task}_weights"].numpy().tolist()),
            float(outputs[f"{task}_change"].numpy()),
        )
        for task in ALL_TASKS
        if task in outputs
    }
    return Explanation(words, by_task)
