"""Corrected shares are nearer to the truth than the count, and their intervals hold it."""

import numpy as np
import pandas as pd
import pytest
from answered_rows import predictions
from model_folders import write_answer, write_single

from tf_model.analysis.rows import ALL, rows_of
from tf_model.analysis.shares import Correction, draw, emotion_shares, estimated_shares, read_correction
from tf_model.errors import ModelError
from tf_model.model_dir import probability_column
from tf_model.tasks import EMOTIONS


def rows(own, product="iPad"):
    columns = [probability_column("emotion", emotion) for emotion in EMOTIONS]
    result = pd.DataFrame(own.probabilities, columns=columns).assign(product=product)
    return rows_of(result, pd.Series(["text"] * len(result)), EMOTIONS)


def test_shares_that_moved_are_found_where_counting_misses_them():
    generator, errors, counting, held = np.random.default_rng(0), [], [], []
    for seed in range(30):
        correction = Correction.of(predictions((60, 500, 200), seed))
        window = predictions(generator.multinomial(300, generator.dirichlet(np.ones(3))), 1000 + seed)
        truth = np.bincount(window.label_ids, minlength=3) / 300
        share, low, high = estimated_shares(window.probabilities, correction)
        assert ((low <= share) & (share <= high)).all()
        errors.append(abs(share - truth).mean())
        counting.append(abs(np.bincount(window.predicted_ids, minlength=3) / 300 - truth).mean())
        held.append(((low <= truth) & (truth <= high)).mean())
    assert np.mean(errors) < 0.5 * np.mean(counting)
    assert np.mean(held) > 0.9


def test_rows_checked_by_hand_narrow_the_interval_and_move_the_share():
    correction, own = Correction.of(predictions((60, 500, 200), 0)), predictions((60, 200, 140), 1)
    answered = rows(own)
    checked = draw(answered, 100)
    assert len(draw(answered, 1000)) == len(answered)
    labels = pd.Series(np.array(EMOTIONS)[own.label_ids[checked.index]], checked.index)
    before, after = (emotion_shares(answered, EMOTIONS, correction, known) for known in (None, labels))
    assert ((after["high"] - after["low"]) < (before["high"] - before["low"])).all()
    assert abs(after["share"] - [0.15, 0.5, 0.35]).max() < 0.05
    elsewhere = labels.set_axis(labels.index + 10_000)
    pd.testing.assert_frame_equal(emotion_shares(answered, EMOTIONS, correction, elsewhere), before)


def test_the_count_stands_beside_it_and_few_texts_are_not_corrected():
    own = predictions((10, 30, 18), 0)
    product = np.where(np.arange(58) < 40, "iPad", "iPhone")
    table = emotion_shares(rows(own, product), EMOTIONS, Correction.of(predictions((60, 500, 200), 1)))
    assert table["product"].unique().tolist() == [ALL, "iPad", "iPhone"]
    counts = np.bincount(own.predicted_ids, minlength=3)
    assert table["counted"].head(3).tolist() == counts.tolist()
    assert table["counted_share"].head(3).tolist() == (counts / 58).tolist()
    assert table.groupby("product")["share"].count().to_dict() == {ALL: 3, "iPad": 3, "iPhone": 0}
    assert table["share"].head(3).sum() == pytest.approx(1)
    assert emotion_shares(rows(own), EMOTIONS, None)["share"].isna().all()


def test_copies_of_a_validation_text_count_once():
    own = predictions((20, 30, 20), 0)
    assert Correction.of(own.take(np.repeat(np.arange(70), 3))).rows == 70


def test_the_correction_is_read_from_the_folder_of_a_model(tmp_path):
    correction = read_correction(write_answer(tmp_path))
    assert (correction.emotions, correction.rows) == (EMOTIONS, 60)
    with pytest.raises(ModelError, match="no row with a label of the emotion"):
        read_correction(write_single(tmp_path, "product"))
    with pytest.raises(ModelError, match=r"validated on 9 rows of 'Negative emotion', and 10 are needed; label more"):
        Correction.of(predictions((9, 30, 20), 0))
