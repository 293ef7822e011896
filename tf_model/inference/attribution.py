"""Explain a prediction: how much more probable each word of the text makes the class that the model chose.

The text is scored again without each word. Source: J. Li, W. Monroe, D. Jurafsky, "Understanding Neural Networks
through Representation Erasure", 2016.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tf_model.preprocessing.cleaning import MAX_TOKENS, MENTION, MENTION_START, unmark

MOST_WORDS = MAX_TOKENS  # per text; a model reads no more, unless trained with a greater --max-tokens
_MENTION = re.compile(MENTION)
_WORD = re.compile(rf"(?:{MENTION}|\S)+")


@dataclass(frozen=True)
class Attribution:
    """What the words of a text say about one task."""

    label: str  # the most probable class
    # One per word: by how much it raises the class's log-probability, in nats; 0 for a marked mention alone, whose
    # name the model does not read.
    weights: tuple[float, ...]


@dataclass(frozen=True)
class Explanation:
    """What the words of a text say about the classes that the model chose."""

    words: tuple[str, ...]  # as written, at most MOST_WORDS
    tasks: dict[str, Attribution]


def explain(
    text: str, labels: Mapping[str, Sequence[str]], probabilities: Callable[[Sequence[str]], np.ndarray]
) -> Explanation:
    """Weigh the words of a text.

    ``probabilities`` takes N texts and returns the probabilities of the classes of each task in ``labels``, the tasks
    side by side, float32 [N, classes of all tasks].
    """
    matches = list(_WORD.finditer(text))
    mention = next((number for number, match in enumerate(matches) if MENTION_START in match.group()), 0)
    start = max(min(mention - MOST_WORDS // 2, len(matches) - MOST_WORDS), 0)  # the model reads what is around it
    matches = matches[start : start + MOST_WORDS]
    shorter_texts = [  # of a word with a marked mention, only the mention stays
        text[: match.start()] + "".join(_MENTION.findall(match.group())) + text[match.end() :] for match in matches
    ]
    least = np.finfo(np.float32).tiny  # its logarithm is finite, so JSON can hold the weights
    scores = np.log(np.maximum(probabilities([text, *shorter_texts]), least))
    ends = np.cumsum([len(classes) for classes in labels.values()])[:-1]
    attributions = {}
    for (task, classes), log_probabilities in zip(labels.items(), np.split(scores, ends, axis=1), strict=True):
        chosen = log_probabilities[0].argmax()
        weights = log_probabilities[0, chosen] - log_probabilities[1:, chosen]
        attributions[task] = Attribution(classes[chosen], tuple(weights.tolist()))
    return Explanation(tuple(unmark(match.group()) for match in matches), attributions)
