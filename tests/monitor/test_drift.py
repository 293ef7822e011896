"""Drift: ordinary texts raise no alarm, however few or many; another topic does."""

import math
from functools import cache

import numpy
import pandas
import pytest

from tests.monitor.made_up import predictions, window_of, window_of_columns
from tests.monitor.other_topics import other_topics
from tf_model import tasks
from tf_model.modeling.joint_label import NOT_SURE, answer_text
from tf_model.monitor import drift, reference
from tf_model.monitor.aggregates import Window, join
from tf_model.monitor.events import counted_columns

MIX = {"iPad": 0.4, "Apple": 0.3, "Google": 0.25, "Android": 0.05}


def draw(rows, generator, mix=MIX, sure=(8, 2)):
    frame = predictions(rows, product=generator.choice(list(mix), rows, p=list(mix.values())))
    return frame.assign(product_confidence=generator.beta(*sure, rows).astype("float32"))


@pytest.fixture(scope="module")
def expected():
    frame = draw(3000, numpy.random.default_rng(7))
    return reference.build(["x" * 90] * 3000, frame, "made up")


def alarms(expected, frame):
    return {found.feature for found in drift.compare(expected, window_of(frame)) if found.alarm}


# ---------------------------------------------------------------- made-up predictions


@pytest.mark.parametrize("rows", [50, 200, 2000])
def test_predictions_of_the_same_kind_raise_no_alarm(expected, rows):
    generator = numpy.random.default_rng(rows)
    assert sum(bool(alarms(expected, draw(rows, generator))) for _ in range(20)) <= 1


def test_another_mix_is_noticed_and_named(expected):
    frame = draw(500, numpy.random.default_rng(1), {"iPad": 0.1, "Apple": 0.3, "Google": 0.25, "Android": 0.35})
    assert alarms(expected, frame) == {"product"}
    [found] = [each for each in drift.compare(expected, window_of(frame)) if each.alarm]
    assert found.in_words().startswith("mix of products: the largest change is iPad, 40% in the ")
    assert found.in_words().endswith("% of 500 predictions"), "the measures stand in the table"
    assert found.reference["Android"] == pytest.approx(0.05, abs=0.02)
    assert found.current["Android"] == pytest.approx(0.35, abs=0.06)


def test_less_confidence_is_noticed(expected):
    assert alarms(expected, draw(500, numpy.random.default_rng(2), sure=(4, 3))) == {"product_confidence"}


def test_abstention_length_and_unknown_tokens_are_noticed():
    rows, texts = 400, ["x" * length for length in numpy.random.default_rng(3).integers(40, 140, 400)]
    sure = ["iPad"] * 380 + [NOT_SURE] * 20
    known = reference.build(texts, predictions(rows, answer=sure), "made up", [0.0] * 390 + [0.1] * 10)
    unsure = predictions(rows, answer=["iPad"] * 250 + [NOT_SURE] * 150)
    window = window_of(unsure, [text * 2 for text in texts], [0.0] * 200 + [0.3] * 200)
    raised = {each.feature for each in drift.compare(known, window) if each.alarm}
    assert raised == {"abstention", "length", "unk_rate"}


@pytest.mark.parametrize("length", [990, 1000, 20_000])
def test_a_cell_of_lengths_is_called_by_all_that_it_holds(length):
    known = reference.build(["x" * 140] * 100, predictions(100), "made up")
    found = drift.compare(known, window_of(predictions(60), ["x" * length] * 60))
    [longer] = [each for each in found if each.feature == "length"]
    assert longer.current == {"140 to 150": 0, f"{min(length, 1000)} {'to 1000' if length < 1000 else 'or more'}": 1}


def test_a_certain_but_small_difference_is_no_alarm(expected):
    frame = draw(20_000, numpy.random.default_rng(4), {"iPad": 0.44, "Apple": 0.3, "Google": 0.21, "Android": 0.05})
    [product] = [each for each in drift.compare(expected, window_of(frame)) if each.feature == "product"]
    assert product.p_value < product.level
    assert product.index < 0.1
    assert not product.alarm


def test_the_bound_grows_where_there_are_few_predictions(expected):
    few, many = (drift.compare(expected, window_of(draw(rows, numpy.random.default_rng(5)))) for rows in (50, 5000))
    assert few[0].bound > 0.25  # 0.25, the usual bound for a "significant" shift, would raise false alarms
    assert many[0].bound == 0.1


def test_the_alarm_begins_where_chance_ends(monkeypatch):
    products, sure = ["iPad", "Apple", "Google", "Google"], ["iPad", NOT_SURE]
    known = reference.build(["x"] * 100, predictions(100, product=products * 25, answer=sure * 50), "made up")
    window = window_of(predictions(60, product=products * 15, answer=sure * 30), ["x"] * 60)
    monkeypatch.setattr(drift, "ALPHA", 0.07)
    found = {each.feature: each for each in drift.compare(known, window)}
    assert [each.level for each in found.values()] == [pytest.approx(0.01)] * 7  # ALPHA is divided among the features
    # 9.210 and 6.635 are the 99% quantiles of chi-squared with 2 degrees of freedom and with 1.
    for feature, quantile in (("product", 9.210), ("abstention", 6.635)):
        assert found[feature].bound == pytest.approx((1 / 100 + 1 / 60) * quantile, rel=1e-4)
        assert (found[feature].index, found[feature].p_value) == pytest.approx((0, 1), abs=0.005)
    monkeypatch.setattr(drift, "SMALLEST_INDEX", 0.2)
    larger = {each.feature: each.bound for each in drift.compare(known, window)}
    assert larger["product"] == found["product"].bound
    assert larger["abstention"] == 0.2


def test_labels_that_are_rare_in_the_smaller_part_are_put_together():
    # Each rare label expects 52 * 100 / 1100 = 4.7 rows in the window, fewer than 5; merged, they have 100 and 4 rows.
    table = numpy.array([[900, 50, 50], [96, 2, 2]])
    chi_squared = 1100 * (900 * 4 - 100 * 96) ** 2 / (1000 * 100 * 996 * 104)
    assert drift._chi_squared(table) == pytest.approx(math.erfc(math.sqrt(chi_squared / 2)))  # 1 degree of freedom


def test_nothing_is_said_of_fewer_predictions_than_the_minimum(expected):
    assert drift.compare(expected, window_of(draw(drift.MINIMUM_ROWS - 1, numpy.random.default_rng(6)))) == []
    assert drift.compare(expected, Window(0, 60)) == []


@pytest.mark.parametrize("product", ["iPad", "never seen before"])
def test_a_window_of_one_class_is_judged_like_any_other(expected, product):
    frame = predictions(100, product=product, sure=1.0)
    assert "product" in alarms(expected, frame)


@pytest.mark.parametrize("sure", [0.3, 0.99])
def test_what_lies_beyond_all_of_the_reference_is_noticed(sure):
    known = reference.build(["x"] * 100, predictions(100, sure=0.8), "made up")
    assert "product_confidence" in alarms(known, predictions(100, sure=sure))


def test_a_reference_and_a_window_of_the_same_one_class_agree():
    known = reference.build(["x"] * 100, predictions(100), "made up")
    found = drift.compare(known, window_of(predictions(60), ["x"] * 60))
    assert len(found) == 7  # no unknown tokens
    assert not any(each.alarm for each in found)
    assert all(each.p_value == 1 and each.index == 0 for each in found)


def test_features_that_one_side_lacks_are_left_out(expected):
    frame = draw(100, numpy.random.default_rng(8))[["product", "product_confidence"]]
    features = [each.feature for each in drift.compare(expected, window_of(frame, unk_rates=[0.1] * 100))]
    assert features == ["product", "abstention", "product_confidence", "length"]


def test_the_test_of_numbers_is_that_of_scipy():
    from scipy import stats

    generator = numpy.random.default_rng(9)
    first, second = generator.integers(0, 30, 300), generator.integers(2, 30, 200)
    table = numpy.array([numpy.bincount(each, minlength=30) for each in (first, second)])
    assert drift._kolmogorov_smirnov(table) == pytest.approx(stats.ks_2samp(first, second, method="asymp").pvalue)


# ---------------------------------------------------------------- real tweets


@cache
def scored(dataset):
    """A reference, and the recorded columns of 2,100 ordinary tweets and 600 texts on other topics.

    TF-IDF with logistic regression stands in for BERT, to train in seconds. It learns from half of the tweets; a
    quarter makes the reference, the other quarter the windows.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    tweets = dataset.labelled.sample(frac=1, random_state=0)
    half, quarter = len(tweets) // 2, len(tweets) // 4
    models = {}
    for task in tasks.TASKS.values():
        rows = tweets[:half][tweets[:half][task.column].isin(task.labels)]
        model = make_pipeline(
            TfidfVectorizer(min_df=2, sublinear_tf=True), LogisticRegression(C=10, max_iter=60, tol=0.01)
        )
        models[task.name] = model.fit(rows[tasks.TEXT_COLUMN], rows[task.column])

    def predict(texts):
        frame = pandas.DataFrame()
        for name, model in models.items():
            probabilities = model.predict_proba(texts)
            frame[name] = pandas.Series(model.classes_[probabilities.argmax(axis=1)], dtype="str")
            frame[f"{name}_confidence"] = probabilities.max(axis=1).astype("float32")
        is_none = frame["emotion"] == tasks.NO_EMOTION
        both = frame["emotion_confidence"].where(is_none, frame["emotion_confidence"] * frame["product_confidence"])
        answers = [
            answer_text(emotion, product) for emotion, product in zip(frame["emotion"], frame["product"], strict=True)
        ]
        return frame.assign(answer=pandas.Series(answers).mask(both < 0.4, NOT_SURE), answer_confidence=both)

    parts = tweets[tasks.TEXT_COLUMN].tolist()
    known, ordinary, others = parts[half : half + quarter], parts[half + quarter :], other_topics(600)
    expected = reference.build(known, predict(known), "a quarter of the tweets")
    return expected, counted_columns(ordinary, predict(ordinary)), counted_columns(others, predict(others))


def mixed(generator, ordinary, others, rows, share):
    """A window of ``rows`` texts, ``share`` of them on other topics."""
    strangers = round(rows * share)
    parts = [(ordinary, rows - strangers), (others, strangers)]
    return join(
        window_of_columns(columns, generator.choice(len(columns["product"]), wanted, replace=False))
        for columns, wanted in parts
    )


@pytest.mark.parametrize(
    ("rows", "share", "fewest", "most"),
    [(500, 0.0, 0, 5), (50, 0.0, 0, 2), (500, 0.3, 95, 100)],
    ids=["500 ordinary tweets", "50 ordinary tweets", "500 tweets, 30% of another topic"],
)
def test_alarms_on_100_windows_of_real_tweets(real_dataset, rows, share, fewest, most):
    expected, ordinary, others = scored(real_dataset)
    generator = numpy.random.default_rng(rows)
    windows = (mixed(generator, ordinary, others, rows, share) for _ in range(100))
    raised = sum(any(found.alarm for found in drift.compare(expected, window)) for window in windows)
    assert fewest <= raised <= most
