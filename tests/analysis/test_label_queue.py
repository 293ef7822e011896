"""The label queue: uncertain and different rows, and what people said about them."""

import numpy as np
import pandas as pd
import pytest
from answered_rows import TOPICS

from tf_model.analysis.label_queue import agreement, label_queue, majority
from tf_model.analysis.rows import analysed_rows
from tf_model.model_dir import probability_column
from tf_model.tasks import EMOTIONS, NEGATIVE, NO_EMOTION, POSITIVE


def rows_with(margins, texts, product="iPad"):
    """Rows with these gaps between their top two emotions."""
    margins = np.array(margins)
    probabilities = np.stack([(1 - margins) / 2, (1 + margins) / 2, np.zeros(len(margins))], axis=1)
    columns = [probability_column("emotion", emotion) for emotion in EMOTIONS]
    result = pd.DataFrame(probabilities, columns=columns).assign(product=product)
    return analysed_rows(result, pd.Series(texts), EMOTIONS)


def test_uncertain_texts_come_first_and_near_duplicates_once():
    texts = [topic for topics in TOPICS for topic in topics]
    rows = rows_with(np.linspace(0.9, 0.1, 15), texts)
    assert label_queue(rows, EMOTIONS, 20).tolist() == list(range(14, -1, -1))
    assert label_queue(rows, EMOTIONS, 3).tolist() == [14, 13, 12]
    doubled = pd.concat([rows, rows.assign(text="RT @me: " + rows["text"] + "!")], ignore_index=True)
    assert label_queue(doubled, EMOTIONS, 15).tolist() == list(range(14, -1, -1))
    assert label_queue(doubled, EMOTIONS, 20, labelled=texts[1:]).tolist() == [0]
    assert label_queue(rows[:0], EMOTIONS, 20).empty


def test_a_text_comes_with_all_its_products():
    texts = ["hate the iPad, love the iPhone", "a nice day for a talk", "hate the iPad, love the iPhone"]
    rows = rows_with([0.9, 0.5, 0.1], texts, ["iPad", "iPad", "iPhone"])
    assert label_queue(rows, EMOTIONS, 1).tolist() == [2, 0]
    assert label_queue(rows, EMOTIONS, 2).tolist() == [2, 0, 1]


def test_agreement_is_that_of_the_rows_that_both_could_tell():
    labels = {
        "Ann": {"1": NEGATIVE, "2": POSITIVE, "3": NO_EMOTION, "4": POSITIVE, "5": None},
        "Ben": {"2": POSITIVE, "1": POSITIVE, "3": NO_EMOTION, "4": POSITIVE, "5": POSITIVE},
        "Cay": {"4": POSITIVE},
    }
    table = agreement(labels).set_index(["one", "other"])
    assert table.loc[("Ann", "Ben"), ["rows", "share"]].tolist() == [4, 0.75]
    assert table.loc[("Ann", "Ben"), "kappa"] == pytest.approx((0.75 - 0.4375) / (1 - 0.4375))
    assert table.loc[("Ann", "Cay"), ["rows", "share"]].tolist() == [1, 1]
    assert np.isnan(table.loc[("Ann", "Cay"), "kappa"])
    assert agreement({"Ann": {"1": POSITIVE}, "Ben": {"2": POSITIVE}}).empty
    assert majority(labels).to_dict() == {2: POSITIVE, 3: NO_EMOTION, 4: POSITIVE, 5: POSITIVE}
    assert majority({}).empty
    assert majority({"Ann": {"7": None}}).empty
