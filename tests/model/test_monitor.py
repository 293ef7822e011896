"""Drift and estimated accuracy by the trained model on real tweets: what is noticed, and what is not."""

import numpy
import pandas
import pytest

from tests.monitor.other_topics import other_topics
from tf_model import answer_figures, data, tasks
from tf_model.monitor import accuracy, drift, measure, reference, tally
from tf_model.monitor.rows import columns_of
from tf_model.monitor.window import Window
from tf_model.predictor import probability_column

pytestmark = pytest.mark.model

WINDOW = 500


def window_of(columns, chosen=None):
    counts: tally.Counts = {}
    chosen = range(len(columns["product"])) if chosen is None else chosen
    tally.count_columns(counts, {name: [values[each] for each in chosen] for name, values in columns.items()})
    return Window(0, 60, counts)


def recorded(model, texts):
    """What is recorded of texts that the model answers."""
    found = measure.predict(model, texts)
    return columns_of(texts, found.predictions, found.unknown_shares)


@pytest.fixture(scope="module")
def validated(predictor, real_data):
    """The validation part, which the model was not trained on, in random order: texts, labels, recorded columns."""
    frame = pandas.read_csv(predictor.folder / "validation_predictions.csv").sample(frac=1, random_state=0)
    rows = data.read(real_data).labelled.set_index("row").loc[frame["row"]]
    columns = [probability_column(task.name, label) for task in tasks.ANSWER_TASKS for label in task.labels]
    predictions = answer_figures.predictions(frame[columns].to_numpy("float32"), predictor.threshold)
    texts = rows[tasks.TEXT_COLUMN].tolist()
    return texts, rows, columns_of(texts, predictions)


@pytest.fixture(scope="module")
def strangers(predictor):
    """What is recorded of texts of other topics."""
    return recorded(predictor, other_topics(400))


def alarms(expected, window):
    return [found.feature for found in drift.compare(expected, window) if found.alarm]


@pytest.mark.parametrize(
    ("rows", "share", "fewest", "most"),
    [(WINDOW, 0.0, 0, 5), (50, 0.0, 0, 5), (WINDOW, 0.3, 95, 100)],
    ids=["500 real tweets", "50 real tweets", "500 real tweets, 30% of them of another topic"],
)
def test_drift_on_100_windows(validated, strangers, rows, share, fewest, most):
    """The reference is half of the validation part, the windows are drawn from the other half."""
    texts, _, columns = validated
    half = len(texts) // 2
    known = {name: values[:half] for name, values in columns.items()}
    expected = reference.Reference("half of the validation part", half, window_of(known).counts)
    generator = numpy.random.default_rng(rows)
    raised = 0
    for _ in range(100):
        wanted = round(rows * share)
        chosen = half + generator.choice(len(texts) - half, rows - wanted, replace=False)
        counts = window_of(columns, chosen).counts
        tally.merge(counts, window_of(strangers, generator.choice(400, wanted, replace=False)).counts)
        raised += bool(alarms(expected, Window(0, 60, counts)))
    print(f"{raised} of 100 windows raise an alarm")
    assert fewest <= raised <= most


def test_the_tweets_of_the_test_sheet_raise_no_alarm_against_the_reference_of_the_model(predictor, real_data):
    texts = data.read(real_data).unlabelled.iloc[:, 0].dropna().tolist()
    expected = reference.load(predictor.folder)
    found = drift.compare(expected, window_of(recorded(predictor, texts)))
    print({each.feature: round(each.index, 3) for each in found})
    assert not [each.in_words() for each in found if each.alarm]


def test_the_estimate_of_the_accuracy_on_real_tweets(predictor, validated):
    """It follows a shifted mix and broken texts, and misses labels that were redefined."""
    texts, rows, columns = validated
    emotions = rows[tasks.EMOTION_COLUMN].to_numpy(object)
    right = numpy.array(columns["emotion"], object) == emotions
    known = numpy.isin(emotions, tasks.EMOTIONS)

    def estimated(found, chosen=None):
        return accuracy.from_confidence(window_of(found, chosen), "emotion")

    before = estimated(columns, numpy.flatnonzero(known))
    assert before.accuracy == pytest.approx(right[known].mean(), abs=0.04)

    hard = numpy.flatnonzero(known & (emotions == tasks.NEGATIVE))
    mixed = numpy.concatenate([numpy.repeat(hard, 4), numpy.flatnonzero(known & (emotions != tasks.NEGATIVE))])
    shifted = estimated(columns, mixed)
    print("mix", before.accuracy, shifted.accuracy, right[known].mean(), right[mixed].mean())
    assert right[mixed].mean() < right[known].mean() - 0.05  # a real drop
    assert shifted.high < before.accuracy  # is noticed

    broken_texts = [text[::-1] for text in texts]
    broken = recorded(predictor, broken_texts)
    right_broken = numpy.array(broken["emotion"], object) == emotions
    print("broken", estimated(broken).accuracy, right_broken[known].mean())

    renamed = {tasks.POSITIVE: tasks.NO_EMOTION, tasks.NO_EMOTION: tasks.POSITIVE, tasks.NEGATIVE: tasks.NEGATIVE}
    redefined = numpy.array([renamed.get(each, each) for each in emotions], object)
    true = (numpy.array(columns["emotion"], object) == redefined)[known].mean()
    assert true < right[known].mean() - 0.3
    assert before.low > true + 0.25  # it is blind to that, as its assumption says
