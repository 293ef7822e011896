"""A model in plain Python, where a real one does not matter."""

import re

import numpy

from tf_model.inference.predictor import Predictor
from tf_model.modeling.joint_label import answer_outputs
from tf_model.tasks import EMOTIONS, TARGET

PRODUCTS = ("iPhone", "iPad", "Google")


def stub(has_emotion: bool = False, sizes: list | None = None) -> Predictor:
    """A model in plain Python: a text with "ipad" is about the iPad; its length sets the confidence."""

    def score(batch):
        assert batch
        if sizes is not None:
            sizes.append([len(text) for text in batch])
        product = [1 if b"ipad" in text.lower() else 0 for text in batch]
        sure = numpy.array([1 / (1 + len(text) % 7) for text in batch], numpy.float32)
        probabilities = numpy.stack([1 - sure, sure, 0 * sure], 1)
        outputs = {
            "product": numpy.array([PRODUCTS[each] for each in product], object),
            "product_confidence": sure,
            "product_probabilities": probabilities,
        }
        if has_emotion:
            words = dict.fromkeys(("answer", "best_guess"), "Positive emotion → iPad")
            words |= {"emotion": EMOTIONS[2], "second_guess": "Negative emotion → iPhone"}
            outputs |= {name: numpy.full(len(batch), value, object) for name, value in words.items()}
            outputs |= {"emotion_confidence": sure, "emotion_probabilities": probabilities, "answer_confidence": sure}
        return outputs

    labels = {"product": PRODUCTS} | ({"emotion": EMOTIONS} if has_emotion else {})
    return Predictor(labels, score)


def target_stub() -> Predictor:
    """A target model in plain Python: the words right after the mention, if any, decide, with confidence 0.6."""

    def score(batch):
        behind = [re.search(b"\x03 ?(?:is )?(great|bad)", text) for text in batch]
        ids = [{b"bad": 0, None: 1, b"great": 2}[word and word[1]] for word in behind]
        probabilities = (numpy.eye(3)[ids] * 0.4 + 0.2).astype(numpy.float32)
        return answer_outputs([probabilities], [TARGET], threshold=0.0)

    return Predictor({"target": EMOTIONS}, score)
