"""A model in plain Python, where a real one does not matter."""

import numpy

from tf_model.inference.predictor import Predictor

PRODUCTS = ("iPhone", "iPad", "Google")
EMOTIONS = ("Negative emotion", "No emotion toward brand or product", "Positive emotion")


def stub(has_emotion: bool = False, sizes: list | None = None) -> Predictor:
    """A model in plain Python: a text with "ipad" is about the iPad, and its length decides how sure that is."""

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
            outputs |= {
                "emotion": numpy.array([EMOTIONS[2]] * len(batch), object),
                "emotion_confidence": sure,
                "emotion_probabilities": probabilities,
                "answer": numpy.array(["Positive emotion → iPad"] * len(batch), object),
                "answer_confidence": sure,
                "best_guess": numpy.array(["Positive emotion → iPad"] * len(batch), object),
                "second_guess": numpy.array(["Negative emotion → iPhone"] * len(batch), object),
            }
        return outputs

    labels = {"product": PRODUCTS} | ({"emotion": EMOTIONS} if has_emotion else {})
    return Predictor(labels, score)
