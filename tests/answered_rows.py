"""Rows of a user's file that were answered by a model in plain Python."""

import numpy as np
import pandas as pd

from tf_model.analysis.rows import analysed_rows
from tf_model.model_dir import Predictions, probability_column
from tf_model.tasks import EMOTIONS, NEGATIVE

TOPICS = (
    ("screen cracked", "slow update", "bad keyboard", "lost signal", "crash again"),
    ("talk at noon", "line outside", "session about maps", "new store", "panel today"),
    ("love camera", "great design", "fast app", "super speaker", "nice cover"),
)


def predictions(counts, seed: int) -> Predictions:
    """A model's predictions for ``counts`` texts of each emotion; it misses most negative ones."""
    generator = np.random.default_rng(seed)
    label_ids = np.repeat(range(3), counts)
    middle = np.array([[0.3, 0.8, 0.0], [-2.0, 1.5, 0.0], [-1.5, 0.4, 1.0]])[label_ids]
    exponentials = np.exp(middle + generator.normal(size=(len(label_ids), 3)))
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    return Predictions(EMOTIONS, np.arange(len(label_ids)), label_ids, probabilities)


def frame_of(emotion_ids, product, texts=None, dates=None) -> pd.DataFrame:
    """Rows certain of these emotions."""
    columns = [probability_column("emotion", emotion) for emotion in EMOTIONS]
    result = pd.DataFrame(np.eye(3)[emotion_ids], columns=columns).assign(product=product)
    return analysed_rows(result, pd.Series(texts or ["some text"] * len(result)), EMOTIONS, dates)


def three_months(seed: int = 0, jump: float = 0.3, count: int = 1500) -> pd.DataFrame:
    """Rows of April to June with a bad May for iPhones: ``jump`` more of its texts are negative, about the battery."""
    generator = np.random.default_rng(seed)
    dates = pd.Series(pd.Timestamp("2024-04-01") + pd.to_timedelta(generator.uniform(0, 91, count), unit="D"))
    product = generator.choice(["iPhone", "iPad"], count)
    emotion_ids = generator.choice(3, count, p=[0.05, 0.6, 0.35])
    is_bad = (dates.dt.month == 5).to_numpy() & (product == "iPhone") & (generator.random(count) < jump)
    emotion_ids[is_bad] = EMOTIONS.index(NEGATIVE)
    texts = [
        "battery dies" if bad else generator.choice(TOPICS[each]) for bad, each in zip(is_bad, emotion_ids, strict=True)
    ]
    return frame_of(emotion_ids, product, texts, dates)
