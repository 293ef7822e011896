"""Drift and estimated accuracy of the trained model on real tweets: what they notice, and what they miss."""

import urllib.request

import numpy
import pandas
import pytest
from ports import free_ports

from research.tools.app_client import crowd
from research.tools.browser import running_app, staged_models
from tests.monitor.made_up import counts_of
from tests.monitor.made_up import window_of_columns as window_of
from tests.monitor.other_topics import other_topics
from tf_model import data, paths, tasks
from tf_model.evaluation import joint_metrics
from tf_model.inference.predictor import probability_column
from tf_model.monitor import accuracy, drift, reference
from tf_model.monitor.aggregates import STAGE_SECONDS, join
from tf_model.monitor.events import counted_columns

# Imports and scoring take long on a busy machine.
pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]

WINDOW = 500


def recorded(model, texts):
    """The recorded columns for texts that the model answers."""
    found = model.predict_measured(texts)
    return counted_columns(texts, found.predictions, found.unk_rates)


@pytest.fixture(scope="module")
def validated(predictor, real_data):
    """The validation part, which the model was not trained on, in random order: texts, labels, recorded columns."""
    frame = pandas.read_csv(predictor.folder / "validation_predictions.csv").sample(frac=1, random_state=0)
    rows = data.read(real_data).labelled.set_index("row").loc[frame["row"]]
    columns = [probability_column(task.name, label) for task in tasks.ANSWER_TASKS for label in task.labels]
    predictions = joint_metrics.predictions(frame[columns].to_numpy("float32"), predictor.threshold)
    texts = rows[tasks.TEXT_COLUMN].tolist()
    return texts, rows, counted_columns(texts, predictions)


@pytest.fixture(scope="module")
def strangers(predictor):
    """The recorded columns for texts on other topics."""
    return recorded(predictor, other_topics(400))


def alarms(expected, window):
    return [found.feature for found in drift.compare(expected, window) if found.alarm]


@pytest.mark.parametrize(
    ("rows", "share", "fewest", "most"),
    [(WINDOW, 0.0, 0, 5), (50, 0.0, 0, 5), (WINDOW, 0.3, 95, 100)],
    ids=["500 real tweets", "50 real tweets", "500 real tweets, 30% of them of another topic"],
)
def test_drift_on_100_windows(validated, strangers, rows, share, fewest, most):
    """The reference is half of the validation part; the windows are drawn from the other half."""
    texts, _, columns = validated
    half = len(texts) // 2
    known = {name: values[:half] for name, values in columns.items()}
    expected = reference.Reference("half of the validation part", half, window_of(known).counts)
    generator = numpy.random.default_rng(rows)
    raised = 0
    for _ in range(100):
        wanted = round(rows * share)
        chosen = half + generator.choice(len(texts) - half, rows - wanted, replace=False)
        foreign = window_of(strangers, generator.choice(400, wanted, replace=False))
        raised += bool(alarms(expected, join([window_of(columns, chosen), foreign])))
    print(f"{raised} of 100 windows raise an alarm")
    assert fewest <= raised <= most


def test_the_test_sheet_is_seen_to_hold_other_tweets(predictor, real_data):
    """All its tweets carry an emotion, but three in five others carry none: the model is less sure of the sheet."""
    texts = data.read(real_data).unlabelled.iloc[:, 0].dropna().tolist()
    found = drift.compare(reference.load(predictor.folder), window_of(recorded(predictor, texts)))
    raised = {each.feature for each in found if each.alarm}
    print({each.feature: round(each.index, 3) for each in found})
    assert {"emotion_confidence", "answer_confidence"} <= raised
    assert not raised & {"length", "unk_rate"}  # the texts themselves are alike


def test_the_estimate_of_the_accuracy_on_real_tweets(predictor, validated):
    """It follows a shifted label mix and, for the product, the loss of half of the words. It misses garbled text that
    makes the model sure of "no emotion" (drift notices that), and redefined labels."""
    texts, rows, columns = validated
    emotions = rows[tasks.EMOTION_COLUMN].to_numpy(object)
    right = numpy.array(columns["emotion"], object) == emotions
    known = numpy.isin(emotions, tasks.EMOTIONS)

    def estimated(found, chosen):
        return accuracy.from_confidence(window_of(found, chosen), "emotion")

    everybody = numpy.flatnonzero(known)
    before, true = estimated(columns, everybody), right[known].mean()
    negative = emotions[everybody] == tasks.NEGATIVE
    mixed = numpy.concatenate([numpy.repeat(everybody[negative], 15), everybody[~negative]])
    shifted, true_shifted = estimated(columns, mixed), right[mixed].mean()
    some = everybody[:400]
    broken = recorded(predictor, ["".join(sorted(texts[place])) for place in some])
    false, true_broken = (
        estimated(broken, range(400)),
        (numpy.array(broken["emotion"], object) == emotions[some]).mean(),
    )
    half = recorded(predictor, [" ".join(texts[place].split()[::2]) for place in some])
    products = rows[tasks.PRODUCT_COLUMN].to_numpy(object)[some]
    named = numpy.flatnonzero(numpy.isin(products, tasks.PRODUCTS))
    whole_sure, half_sure = (  # on texts with a product, whatever the predicted emotion
        accuracy.from_confidence(
            window_of({name: found[name] for name in ("product", "product_confidence")}, chosen), "product"
        )
        for found, chosen in ((columns, some[named]), (half, named))
    )
    true_whole = (numpy.array(columns["product"], object)[some] == products)[named].mean()
    true_half = (numpy.array(half["product"], object) == products)[named].mean()
    print(
        f"product {whole_sure.accuracy:.3f} for {true_whole:.3f}, of half the words {half_sure.accuracy:.3f} for "
        f"{true_half:.3f}"
    )
    renamed = {tasks.POSITIVE: tasks.NO_EMOTION, tasks.NO_EMOTION: tasks.POSITIVE}
    redefined = numpy.array([renamed.get(each, each) for each in emotions], object)
    true_redefined = (numpy.array(columns["emotion"], object) == redefined)[known].mean()
    print(f"ordinary {before.accuracy:.3f} for {true:.3f}, mix {shifted.accuracy:.3f} for {true_shifted:.3f}")
    print(
        f"broken {false.accuracy:.3f} for {true_broken:.3f}, redefined {before.accuracy:.3f} for {true_redefined:.3f}"
    )

    assert before.accuracy == pytest.approx(true, abs=0.04)
    assert true_shifted < true - 0.05  # a real drop
    assert shifted.high < before.low  # and it is noticed
    assert true_half < true_whole - 0.1
    assert half_sure.high < whole_sure.low
    assert true_broken < true - 0.05
    assert false.low > before.high  # "no emotion", and the model is sure of it
    assert "answer_confidence" in alarms(reference.load(predictor.folder), window_of(broken))
    assert true_redefined < true - 0.3
    assert before.low > true_redefined + 0.25  # it cannot see that, as its assumption says


def test_the_app_records_what_it_answers_and_closes_its_log_on_sigterm(predictor, monkeypatch):
    """Pages run in threads, which receive no signals: the log is closed because the server shuts down in order."""
    [port] = free_ports()
    monkeypatch.setenv("TWEETS_METRICS", f"127.0.0.1:{port}")
    question = "the new iPad is great, I love it"

    with staged_models() as models:
        with running_app(models) as address:
            crowd(address, people=1, questions=1, think=0, texts=[question])
            served = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60).read().decode()
        log = models / paths.MONITOR_LOG.relative_to(paths.SAVED_MODELS)
        files = {each.name for each in log.parent.iterdir()}
        kept = counts_of(log, "app")  # leaves SQLite's other files, which a reader may not remove
    assert files == {log.name, f"{log.name}.lock"}, "SQLite removes the others when the last connection is closed"
    assert (kept.predictions, kept.histogram("length").mean) == (1, len(question))
    assert all(kept.histogram(name).mean > 0 for name in STAGE_SECONDS.values())
    assert kept.histogram("unk_rate").mean == 0
    assert 'tweet_target_requests_total{source="app",status="ok"} 1.0' in served
    assert 'tweet_target_alarm{signal="drift"} 0.0' in served
    assert question not in served
