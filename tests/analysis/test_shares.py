"""Corrected shares are nearer to the truth than counts, and their intervals cover it."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from answered_rows import predictions
from model_folders import write_answer, write_single

from tf_model.analysis.rows import ALL, analysed_rows
from tf_model.analysis.shares import (
    Correction,
    checked_sample,
    checking_order,
    emotion_shares,
    estimated_shares,
    read_correction,
)
from tf_model.errors import ModelError
from tf_model.model_dir import Predictions, probability_column
from tf_model.tasks import EMOTIONS

pytestmark = pytest.mark.timeout(300)  # the default, given so that this slow file begins early


@pytest.fixture
def not_resampled(monkeypatch):
    """Corrections without resamples, which take most of the time."""
    monkeypatch.setattr("tf_model.analysis.shares.RESAMPLES", 0)


@cache
def correction_of(seed):
    return Correction.of(predictions((60, 500, 200), seed))


def of_one(own):
    return pd.Series(["iPad"] * len(own.rows))


def rows(own, product="iPad"):
    columns = [probability_column("emotion", emotion) for emotion in EMOTIONS]
    result = pd.DataFrame(own.probabilities, columns=columns).assign(product=product)
    return analysed_rows(result, pd.Series(["text"] * len(result)), EMOTIONS)


@cache
def moved():
    """30 windows whose shares moved: answered, their truth, and the estimate with its bounds."""
    generator, windows = np.random.default_rng(0), []
    for seed in range(30):
        own = predictions(generator.multinomial(300, generator.dirichlet(np.ones(3))), 1000 + seed)
        truth = np.bincount(own.label_ids, minlength=3) / 300
        windows.append((own, truth, estimated_shares(own.probabilities, of_one(own), correction_of(seed % 6))))
    return windows


def test_shares_that_moved_are_found_where_counting_misses_them():
    errors, counting, held = [], [], []
    for window, truth, (share, low, high) in moved():
        assert ((low <= share) & (share <= high)).all()
        errors.append(abs(share - truth).mean())
        counting.append(abs(np.bincount(window.predicted_ids, minlength=3) / 300 - truth).mean())
        held.append(((low <= truth) & (truth <= high)).mean())
    assert np.mean(errors) < 0.5 * np.mean(counting)
    assert np.mean(held) > 0.9


def test_shares_that_did_not_move_are_not_corrected_for_chance():
    errors, counting = [], []
    for seed in range(30):
        correction = correction_of(seed % 6)
        window = predictions((24, 197, 79), 1000 + seed)  # of 300, as in validation
        truth = np.bincount(window.label_ids, minlength=3) / 300
        errors.append(abs(estimated_shares(window.probabilities, of_one(window), correction)[0] - truth).mean())
        counting.append(abs(np.bincount(window.predicted_ids, minlength=3) / 300 - truth).mean())
    assert np.mean(errors) < 0.5 * np.mean(counting)


def test_how_emotions_divide_for_a_product_is_no_error_of_the_model():
    """Models learn these rates: iPads are loved, iPhones are not."""
    generator = np.random.default_rng(0)
    shares = {"iPad": np.array([0.05, 0.35, 0.6]), "iPhone": np.array([0.15, 0.8, 0.05])}

    def answered(products):
        priors = np.stack([shares[each] for each in products])
        label_ids = np.array([generator.choice(3, p=each) for each in priors])
        likelihood = np.exp(generator.normal(size=priors.shape) + np.eye(3)[label_ids])  # of normals 1 apart
        probabilities = priors * likelihood / (priors * likelihood).sum(axis=1, keepdims=True)
        return Predictions(EMOTIONS, np.arange(len(products)), label_ids, probabilities)

    products = pd.Series(generator.choice(list(shares), 1500))
    labelled, ipads = answered(products), pd.Series(["iPad"] * 300)
    window = answered(ipads)
    truth = np.bincount(window.label_ids, minlength=3) / 300
    aware, unaware = (Correction.of(labelled, each) for each in (products, None))
    share, low, high = estimated_shares(window.probabilities, ipads, aware)
    assert abs(share - truth).max() < 0.1
    assert ((low <= truth) & (truth <= high)).all()
    unknown = estimated_shares(window.probabilities, ipads, unaware)
    assert abs(unknown[0] - truth).max() > 2 * abs(share - truth).max()
    assert ((unknown[1] <= truth) & (truth <= unknown[2])).all(), "as texts that only read otherwise"
    others = pd.Series(["Kindle"] * 300)
    np.testing.assert_array_equal(estimated_shares(window.probabilities, others, aware), unknown)


def test_texts_that_were_selected_by_a_word_are_not_taken_for_shifted():
    generator, says_love = np.random.default_rng(0), np.array([0.02, 0.05, 0.3])  # probability of "love" by emotion

    def answered(count):
        label_ids = generator.choice(3, count, p=(prior := np.array([0.08, 0.6, 0.32])))
        with_love = generator.random(count) < says_love[label_ids]
        likelihood = np.exp(generator.normal(size=(count, 3)) + np.eye(3)[label_ids])
        likelihood *= np.where(with_love[:, None], says_love, 1 - says_love) * prior
        probabilities = likelihood / likelihood.sum(axis=1, keepdims=True)
        return Predictions(EMOTIONS, np.arange(count), label_ids, probabilities), with_love

    correction = Correction.of(answered(1700)[0])
    window, with_love = answered(3000)
    with_love = window.take(with_love)
    truth = np.bincount(with_love.label_ids, minlength=3) / len(with_love.rows)
    table = emotion_shares(rows(with_love), EMOTIONS, correction, by_words=True)
    assert (table["share"] - truth).abs().max() < 0.05
    assert table["share"].between(table["low"], table["high"]).all()


def test_rows_checked_by_hand_narrow_the_interval_which_still_holds_the_truth():
    held, narrower, errors = [], [], []
    for seed, (own, truth, before) in enumerate(moved()[:24]):
        answered = rows(own)
        order = checking_order(answered)[:50]
        labels = pd.Series(np.array(EMOTIONS, object)[own.label_ids[order]], order)
        table = emotion_shares(answered, EMOTIONS, correction_of(seed % 6), labels)
        after = table[["share", "low", "high"]].to_numpy().T
        held.append(((after[1] <= truth) & (truth <= after[2])).mean())
        narrower.append((after[2] - after[1]).sum() / (before[2] - before[1]).sum())
        errors.append([abs(share - truth).mean() for share, *_ in (before, after)])
    assert np.mean(held) > 0.9
    assert max(narrower) < 0.9
    assert np.diff(np.mean(errors, axis=0)) < 0


def test_rows_checked_by_hand_outweigh_a_model_that_they_contradict():
    own = predictions((0, 400, 0), 3)
    negative = 1 - own.label_ids[checking_order(rows(own))[:50]]
    negative[::2] = 1
    answered = rows(own)
    labels = pd.Series(np.array(EMOTIONS, object)[negative], checking_order(answered)[:50])
    before, after = (
        emotion_shares(answered, EMOTIONS, correction_of(1), known).set_index("emotion").loc[EMOTIONS[0]]
        for known in (None, labels)
    )
    assert before["high"] < 0.3
    assert after["low"] < 0.5 < after["high"]
    assert after["share"] > 0.4


def test_rows_on_which_people_agree_with_the_model_confirm_its_count():
    ids = np.repeat(range(3), (40, 200, 160))
    probabilities = np.where(np.eye(3)[ids] > 0, 0.96, 0.02)
    answered = rows(Predictions(EMOTIONS, np.arange(400), ids, probabilities))
    order = checking_order(answered)[:50]
    agreed = pd.Series(np.array(EMOTIONS, object)[ids[order]], order)
    table = emotion_shares(answered, EMOTIONS, correction_of(1), agreed)
    assert (table["share"] - table["counted_share"]).abs().max() < 0.02
    assert (table["high"] - table["low"]).max() < 0.12


def test_once_all_texts_are_checked_their_share_is_known():
    own = predictions((5, 25, 10), 7)
    answered, labels = rows(own), np.array(EMOTIONS, object)[own.label_ids]
    table = emotion_shares(answered, EMOTIONS, correction_of(1), pd.Series(labels, answered.index))
    for name in ("share", "low", "high"):
        np.testing.assert_allclose(table[name], np.bincount(own.label_ids) / 40)


def test_only_a_random_sample_of_the_rows_counts_as_checked():
    answered = rows(predictions((60, 200, 140), 1), np.array(["iPad", "iPhone"])[np.arange(400) % 2])
    ipads = answered[answered["product"] == "iPad"]
    order, of_ipads = checking_order(answered), checking_order(ipads)
    assert of_ipads.equals(order[order.isin(ipads.index)])
    assert abs(np.mean(order[:200]) - 200) < 30, "at random, not by their place in the file"
    checked = pd.Series("any", of_ipads[:50])
    assert len(checked_sample(ipads, checked)) == 50
    others = checked_sample(answered, checked)  # all rows up to the first iPhone
    assert others.index.equals(order[: len(others)])
    assert order[len(others)] not in ipads.index
    assert len(checked_sample(answered, pd.Series("any", order))) == 400
    assert checked_sample(answered, pd.Series(dtype=object)).empty


def test_the_count_stands_beside_it_and_few_texts_are_not_corrected():
    own = predictions((10, 30, 18), 0)
    product = np.where(np.arange(58) < 40, "iPad", "iPhone")
    table = emotion_shares(rows(own, product), EMOTIONS, correction_of(1))
    assert table["product"].unique().tolist() == [ALL, "iPad", "iPhone"]
    counts = np.bincount(own.predicted_ids, minlength=3)
    assert table["counted"].head(3).tolist() == counts.tolist()
    assert table["counted_share"].head(3).tolist() == (counts / 58).tolist()
    assert table.groupby("product")["share"].count().to_dict() == {ALL: 3, "iPad": 3, "iPhone": 0}
    assert table["share"].head(3).sum() == pytest.approx(1)
    assert emotion_shares(rows(own), EMOTIONS, None)["share"].isna().all()


def test_a_model_of_two_emotions_is_corrected_too():
    """Such as one without a class for no emotion."""

    def answered(counts, seed):
        label_ids = np.repeat(range(2), counts)
        log_odds = np.random.default_rng(seed).normal(np.array([-0.2, 1.8])[label_ids])  # takes most for positive
        positive = 1 / (1 + np.exp(-log_odds))
        return Predictions(EMOTIONS[::2], np.arange(len(label_ids)), label_ids, np.stack([1 - positive, positive], 1))

    window = answered((210, 90), 1)
    share, low, high = estimated_shares(window.probabilities, of_one(window), Correction.of(answered((100, 300), 0)))
    assert share.sum() == pytest.approx(1)
    assert abs(share[0] - 0.7) < abs(np.mean(window.predicted_ids == 0) - 0.7)
    assert ((low <= [0.7, 0.3]) & (high >= [0.7, 0.3])).all()


@pytest.mark.usefixtures("not_resampled")
def test_copies_of_a_validation_text_count_once():
    own = predictions((20, 30, 20), 0)
    assert Correction.of(own.take(np.repeat(np.arange(70), 3))).rows == 70


@pytest.mark.usefixtures("not_resampled")
def test_the_correction_is_read_from_the_folder_of_a_model(tmp_path):
    correction = read_correction(write_answer(tmp_path))
    assert correction.rows == 60
    with pytest.raises(ModelError, match="no validation rows labelled with an emotion"):
        read_correction(write_single(tmp_path, "product"))
    with pytest.raises(ModelError, match=r"validated on 9 rows of 'Negative emotion', and 10 are needed; label more"):
        Correction.of(predictions((9, 30, 20), 0))


@pytest.mark.usefixtures("not_resampled")
def test_the_products_of_mentions_are_read_from_the_folder_of_a_model_of_targets(tmp_path):
    file = write_single(tmp_path, "target") / "validation_predictions.csv"
    assert read_correction(file.parent).calibrations[0].by_product == {}, "trained before products were kept"
    frame = pd.read_csv(file)
    frame.assign(product=["iPad", "iPhone", ""] * 20).to_csv(file, index=False)
    assert set(read_correction(file.parent).calibrations[0].by_product) == {"iPad", "iPhone", ""}
    frame.assign(product="iPad", target=["", *frame["target"][1:]]).to_csv(file, index=False)
    by_product = read_correction(file.parent).calibrations[0].by_product
    assert set(by_product) == {"iPad"}, "of the labelled rows alone"


def test_an_emotion_that_no_text_has_leaves_no_gap():
    """Its weight vanishes while the others are fitted."""
    own = Predictions(EMOTIONS, np.arange(60), np.full(60, 2), np.tile([1e-9, 1e-9, 1 - 2e-9], (60, 1)))
    share, low, high = estimated_shares(own.probabilities, of_one(own), correction_of(1))
    assert share.sum() == pytest.approx(1)
    assert ((low >= 0) & (low <= share) & (share <= high) & (high <= 1 + 1e-9)).all()
