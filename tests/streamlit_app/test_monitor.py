"""What the Monitor page shows for an empty log, a healthy one, and one with something wrong."""

import io
import random
import shutil
import time
from datetime import datetime

import pandas as pd
import pytest
import streamlit as st
from app_stub import MARKUP, figures, open_app, said
from sample_datasets import write_csv
from streamlit.testing.v1 import AppTest

from streamlit_app.charts import monitor_charts
from streamlit_app.components import loading, training
from tests.monitor import made_up
from tf_model import paths, tasks
from tf_model.data import DATA_VARIABLE
from tf_model.modeling.joint_label import NOT_SURE, answer_text
from tf_model.monitor import reference
from tf_model.monitor.accuracy import Accuracy
from tf_model.monitor.aggregates import CPU, DROPPED, MEMORY, Window
from tf_model.monitor.events import PROCESS, Answered, Corrected, Failed, Stream, counted_columns
from tf_model.monitor.store import Store

PAGE = paths.ROOT / "streamlit_app" / "views" / "monitor.py"
PIECES = [Window(0, 60), Window(60, 120)]
APP, OLD = Stream("answer", "one", "app"), Stream("old", "v0", "app")
ORDINARY = {"iPad": 5, "iPhone": 3, "Google": 2}
OTHER_TOPIC = {"Android": 9, "Google": 1}


def predictions(count, mix=ORDINARY, seed=0):
    """Rows as ``Predictor.predict`` returns them, drawn from a mix of products."""
    choose = random.Random(seed)
    product = choose.choices(list(mix), list(mix.values()), k=count)
    emotion = choose.choices(tasks.EMOTIONS, (1, 5, 3), k=count)
    sure = [min(max(choose.gauss(0.85, 0.08), 0.2), 0.999) for _ in range(count)]
    answers = map(answer_text, emotion, product)
    answers = [NOT_SURE if share < 0.6 else answer for share, answer in zip(sure, answers, strict=True)]
    return made_up.predictions(count, product, emotion, sure, answers)


def texts(count, seed=0):
    choose = random.Random(seed)
    return ["made up " * choose.randint(2, 12) for _ in range(count)]


def answered(when, frame, seconds=0.02, stream=APP, seed=0):
    """One call for the rows of ``frame``."""
    times = {"tokenize": seconds * 0.1, "model": seconds * 0.8, "rest": seconds * 0.1}
    return Answered(when, stream, times, counted_columns(texts(len(frame), seed), frame))


def write_healthy(store, since, calls=60, stream=APP):
    """Calls of a few ordinary texts, one in half a minute, with samples of the machine."""
    machine, events, samples = Stream(stream.model, stream.version, PROCESS), [], []
    for number in range(calls):
        when, seconds = since + number * 30, 0.015 + 0.01 * (number % 7 == 0)
        events.append(answered(when, predictions(3, seed=number), seconds, stream, number))
        counts = {(CPU, ""): (1, 0.3 + 0.1 * (number % 3)), (MEMORY, ""): (1, 700e6 + number * 1e5)}
        samples.append((when, machine, counts))
    store.write(events, samples)


def write_corrections(store, since, correct, wrong, text="made up", stream=APP):
    events = []
    for number, answer in enumerate(predictions(correct + wrong, seed=1).to_dict("records")):
        right = {} if number < correct else {"product": "iPad", "emotion": tasks.POSITIVE}
        words = f"{text} {number}"
        events.append(made_up.corrected(not right, since + number, words, stream, prediction=answer, **right))
    store.write(events)


def write_errors(store, since, count, message="it broke"):
    store.write([Failed(since + number, APP, "ModelError", f"{message} {number}") for number in range(count)])


def write_lost(store, when, count):
    store.write([], [(when, Stream(APP.model, APP.version, PROCESS), {(DROPPED, ""): (count, 0.0)})])


@pytest.fixture
def store(models):
    """An empty log beside the models."""
    made = Store(loading.monitor_log())
    made.open().close()
    return made


@pytest.fixture(scope="module")
def half_an_hour(tmp_path_factory):
    """A log with half an hour of ordinary use that ends now."""
    made = Store(tmp_path_factory.mktemp("log") / "log.sqlite")
    write_healthy(made, time.time() - 1800)
    return made.path


@pytest.fixture
def healthy(models, half_an_hour):
    """A log of its own with half an hour of ordinary use."""
    made = Store(loading.monitor_log())
    made.path.parent.mkdir()
    shutil.copy(half_an_hour, made.path)
    return made


def open_page(window=None):
    page = AppTest.from_file(str(PAGE), default_timeout=120).run()
    if window:
        page.segmented_control(key="monitor_window").set_value(window).run()
    assert not page.exception, page.exception
    return page


def alarms(page):
    return page.error[0].value.replace("\\", "")


def spoken(page):
    return [chart.proto.alt for chart in page.get("plotly_chart")]


def table_with(page, column):
    return next((each.value for each in page.dataframe if column in each.value), None)


class TestStates:
    def test_without_a_log_it_says_how_to_get_one(self, models):
        page = open_page()
        assert "No answer has been recorded yet" in page.info[0].value
        assert not page.get("plotly_chart")

    def test_a_file_that_is_no_log(self, models):
        path = loading.monitor_log()
        path.parent.mkdir()
        path.write_text("something else entirely" * 100)
        page = open_page()
        assert page.error[0].value == "The log of predictions cannot be read."
        assert "predictions.sqlite" in page.text[0].value

    def test_a_quiet_time_is_no_figure(self, store):
        write_healthy(store, time.time() - 20 * 3600, calls=5)
        page = open_page()
        assert "Nothing was recorded in this period." in page.info[0].value
        page.segmented_control(key="monitor_window").set_value("24 hours").run()
        assert figures(page)["Predictions"] == "15"

    def test_two_versions_are_never_mixed(self, healthy):
        write_healthy(healthy, time.time() - 7000, calls=4, stream=Stream("answer", "before", "app"))
        page = open_page("6 hours")
        assert figures(page)["Predictions"] == "180"
        choices = page.selectbox(key="monitor_stream").options
        assert choices == ["answer", "answer, version one", "answer, version before"]
        page.selectbox(key="monitor_stream").set_value("answer, version before").run()
        assert figures(page)["Predictions"] == "12"
        for version in ("before", "one"):  # both are in use, as by an API that was not restarted
            write_healthy(healthy, time.time() - 10, calls=1, stream=Stream("answer", version, "app"))
            assert figures(page.run())["Predictions"] == "15"

    def test_the_page_follows_a_promotion(self, healthy):
        page = open_page()
        write_healthy(healthy, time.time() - 100, calls=4, stream=Stream("answer", "two", "app"))
        assert figures(page.run())["Predictions"] == "12"


class TestSignals:
    def test_a_healthy_hour(self, healthy):
        page = open_page()
        assert "No alarms in 60 requests." in page.success[0].value
        found = figures(page)
        assert (found["Predictions"], found["Failed requests"], found["Records lost"]) == ("180", "0", "0")
        assert found["95% of requests within"].endswith(" ms")
        assert found["Memory"] == "703 MB"
        assert "On average tokenize 1.65 ms, model 13.2 ms, rest 1.65 ms." in said(page)

    def test_the_five_signals_in_words_for_those_who_do_not_see_them(self, healthy):
        said = spoken(open_page())
        starts = ["Accuracy over time.", "Latency over time. p50", "Predictions over time. 180 predictions"]
        starts += ["Errors over time. 0 of 60 requests failed", "Processor, cores in use over time. 0.40 cores"]
        starts += ["Memory of a process, mean, MB over time. 703 MB"]
        assert [alt[: len(start)] for alt, start in zip(said, starts, strict=True)] == starts
        assert "Estimated for the product: 8" in said[0]
        assert "The estimate for the product counts only texts with an emotion" in said[0]

    def test_one_prediction_is_in_the_singular(self, store):
        store.write([answered(time.time() - 60, predictions(1), 0.1, APP)])
        assert "Predictions over time. 1 prediction, 24 a day on average." in spoken(open_page())

    def test_errors_of_another_version_hide_none_of_this_one(self, healthy):
        other = Stream("answer", "before", "app")
        healthy.write([Failed(time.time() - number / 100, other, "Other", "no") for number in range(600)])
        write_errors(healthy, time.time() - 200, 2)
        page = open_page()
        page.selectbox(key="monitor_stream").set_value("answer, version one").run()
        assert table_with(page, "message")["kind"].tolist() == ["ModelError"] * 2

    def test_errors_with_their_newest_messages_as_text(self, healthy):
        write_errors(healthy, time.time() - 200, 40, message=MARKUP)
        page = open_page()
        assert "**Errors**: 40 of 100 requests failed" in alarms(page)
        shown = table_with(page, "message")
        assert shown["message"].tolist()[0] == f"{MARKUP} 39"
        assert len(shown) == 40
        assert "<b>" not in said(page)
        assert all(not each.allow_html for each in page.markdown)
        assert "Errors over time. 40 of 100 requests failed: ModelError 40." in spoken(page)

    def test_of_many_errors_the_newest_are_shown_of_all(self, healthy):
        write_errors(healthy, time.time() - 200, 70)
        assert "The newest 50 of 70." in said(open_page())

    def test_an_error_before_this_time_is_not_said_to_be_left_out(self, store):
        now = time.time()
        write_errors(store, now - 7 * 86_400 - 60, 1)
        write_errors(store, now - 200, 3)
        page = open_page("7 days")
        assert len(table_with(page, "message")) == 3
        assert "The newest" not in said(page)

    def test_of_many_corrections_the_newest_are_shown(self, healthy):
        write_corrections(healthy, time.time() - 900, correct=198, wrong=1)
        assert "download them to see all" not in said(open_page())
        write_corrections(healthy, time.time() - 900, correct=5, wrong=0)
        assert "The newest 200; download them to see all." in said(open_page())

    def test_lost_records_are_counted_and_an_alarm(self, healthy):
        write_lost(healthy, time.time() - 60, 17)
        page = open_page()
        assert figures(page)["Records lost"] == "17"
        assert "**1 alarm**\n- **Lost records**: 17 predictions were" in alarms(page)
        assert not page.success

    def test_lost_records_are_an_alarm_where_no_other_is_kept(self, store):
        write_healthy(store, time.time() - 20 * 3600, calls=5)
        write_lost(store, time.time() - 60, 17)
        assert "**Lost records**: 17 predictions were" in alarms(open_page())

    def test_too_few_to_judge(self, store):
        write_healthy(store, time.time() - 300, calls=3)
        assert "Too few requests to judge: 3 requests" in open_page().info[0].value

    def test_a_source_that_is_judged_does_not_speak_for_the_others(self, healthy):
        write_healthy(healthy, time.time() - 300, calls=3, stream=Stream("answer", "one", "api"))
        assert "Judged for at least one of those who asked: errors," in open_page().success[0].value

    def test_without_a_reference_two_signals_are_not_judged(self, healthy):
        assert (
            "No alarms in 60 requests. Judged: errors, latency, lost records. "
            "Not judged: accuracy, drift (too few records, or no reference)."
        ) in open_page().success[0].value
        write_lost(healthy, time.time() - 60, 17)
        assert alarms(open_page()).endswith("\nNot judged: accuracy, drift (too few records, or no reference).")


class TestCorrections:
    def test_accuracy_with_its_interval(self, healthy):
        assert table_with(open_page(), "judged") is None
        write_corrections(healthy, time.time() - 900, correct=80, wrong=20, text=MARKUP)
        page = open_page()
        assert "Judged correct by users: 80% (95% interval 71% to 87%, 100 answers)." in said(page)
        shown = table_with(page, "judged")
        assert shown["text"].iloc[0] == f"{MARKUP} 99"
        assert shown["correct_product"].iloc[0] == "iPad"
        assert "<b>" not in said(page)

    def test_all_of_them_are_a_file_to_train_with(self, healthy, monkeypatch):
        write_corrections(healthy, time.time() - 900, correct=1, wrong=2)
        write_corrections(healthy, time.time() - 900, correct=0, wrong=1, text="=1+1", stream=OLD)
        offered = {}
        monkeypatch.setattr(st, "download_button", lambda label, data, **said: offered.update(said | {label: data}))
        open_page()
        assert "`python -m tf_model.train --task answer --extra corrections.csv --name candidate`" in offered["help"]
        file = pd.read_csv(io.StringIO(offered["Download all corrections"]()))
        assert list(file) == ["text", "product", "emotion", "start", "end"]
        assert set(file["text"]) == {"=1+1 0", "made up 0", "made up 1", "made up 2"}

    def test_they_are_offered_where_nothing_else_is_recorded(self, models, offered):
        store = Store(loading.monitor_log())
        store.path.parent.mkdir()
        write_corrections(store, time.time() - 90_000, correct=1, wrong=0, stream=Stream("target", "v1", "app"))
        assert "No answer has been recorded yet." in open_page().info[0].value
        assert "made up 0" in offered["Download all corrections"]()

    def test_they_train_the_chosen_model(self, healthy, models, monkeypatch, tmp_path):
        monkeypatch.setenv(DATA_VARIABLE, str(paths.SAMPLE_CORPUS))
        write_corrections(healthy, time.time() - 900, correct=1, wrong=2)
        own = {"answer": "bad → Kindle", "product": "Kindle", "emotion": "bad"}
        healthy.write([Corrected(time.time() - 900, OLD, "of its own", own, False, "Xbox", "good")])
        trained = []
        monkeypatch.setattr(training, "_start", lambda task, labels: trained.append((task, labels())))
        page = open_page()
        page.segmented_control(key="monitor_task").set_value("target").run()
        page.button(key="monitor_train").click().run()
        assert trained[0][0] == "target"
        assert "made up 2" in trained[0][1]
        assert "of its own" not in trained[0][1], "a label that the dataset does not have"
        rows = [("so good", "Xbox", "good"), ("so bad", "Kindle", "bad")]
        monkeypatch.setenv(DATA_VARIABLE, str(write_csv(tmp_path / "own.csv", rows, ("text", "brand", "sentiment"))))
        open_page().button(key="monitor_train").click().run()
        assert "of its own" in trained[1][1]
        assert "made up" not in trained[1][1]
        for model, dataset in (("old", "custom"), ("answer", "assignment")):
            (models / model).mkdir()
            (models / model / "metrics.json").write_text(f'{{"dataset": "{dataset}"}}')
        open_page().button(key="monitor_train").click().run()
        assert "of its own" not in trained[2][1], "its model learned from a table of its own"
        (models / "answer" / "metrics.json").write_text('{"dataset": "custom"}')
        with pytest.raises(KeyError):
            open_page().button(key="monitor_train")
        (models / "answer" / "metrics.json").unlink()
        assert open_page().button(key="monitor_train")
        monkeypatch.setattr(training, "find_spec", lambda name: None)
        with pytest.raises(KeyError):
            open_page().segmented_control(key="monitor_task")

    def test_a_handful_makes_no_figure(self, healthy):
        write_corrections(healthy, time.time() - 900, correct=4, wrong=1)
        assert "Judged correct by users: too few to say (5)." in said(open_page())


class TestDrift:
    @pytest.fixture
    def known(self, models, monkeypatch):
        folder = models / "answer"
        folder.mkdir()
        frame = predictions(2000, seed=99)
        reference.build(texts(2000, 99), frame, "made up", accuracy={"answer": 0.85}).save(folder)
        monkeypatch.setattr("tf_model.monitor.reference.training_of", lambda folder: APP.version)

    def test_without_a_reference_it_says_why_and_where_it_looks(self, healthy, models):
        page = said(open_page())
        assert "Not judged: there is no reference.json for this version of the model." in page
        assert f"The app looks for it in {paths.shown(models / 'answer')}, where training writes it." in page

    def test_a_damaged_reference(self, healthy, models):
        (models / "answer").mkdir()
        (models / "answer" / "reference.json").write_text("{")
        assert "reference.json cannot be used" in said(open_page())

    def test_too_few_predictions_or_the_reference_of_another_version(self, store, known, monkeypatch):
        write_healthy(store, time.time() - 600, calls=10)
        assert "that needs 50 predictions; this period has 30" in said(open_page())
        monkeypatch.setattr("tf_model.monitor.reference.training_of", lambda folder: "another")
        assert "Not judged: there is no reference.json for this version of the model." in said(open_page())

    def test_another_topic_is_an_alarm_and_is_shown_beside_the_reference(self, healthy, known):
        healthy.write([answered(time.time() - 500 + n, predictions(5, OTHER_TOPIC, seed=n)) for n in range(100)])
        page = open_page()
        assert "- **Drift**: mix of products" in alarms(page)
        assert "There is a drift alarm, and the estimate assumes no drift" in spoken(page)[0]
        rows = table_with(page, "state").set_index("feature")
        assert rows.loc["mix of products", "state"] == "ALARM"
        assert page.selectbox(key="monitor_feature").value == "product"
        assert "Reference and now side by side. mix of products" in spoken(page)[-1]

    def test_a_file_of_another_topic_is_no_alarm_of_the_app(self, healthy, known):
        file = Stream("answer", "one", "batch")
        calls = [predictions(5, OTHER_TOPIC, seed=number) for number in range(100)]
        healthy.write([answered(time.time() - 500 + n, each, stream=file) for n, each in enumerate(calls)])
        page = open_page()
        assert "- **Drift**: batch: mix of products" in alarms(page)
        assert "state" not in table_with(page, "bound")
        assert "choose one in Asked by" in said(page)
        page.selectbox(key="monitor_source").set_value("app").run()
        assert page.success
        assert set(table_with(page, "state")["state"]) == {"ok"}
        assert "There is a drift alarm" not in spoken(page)[0]
        assert figures(page)["Predictions"] == "180"


class TestCharts:
    def test_a_chart_shows_the_whole_time(self):
        figure = monitor_charts.lines(PIECES, {"p50": [None, 0.25]}, "Latency", ",.0f", scale=1000)
        assert list(figure.layout.xaxis.range) == [datetime(1970, 1, 1), datetime(1970, 1, 1, 0, 2)]  # UTC everywhere
        assert list(figure.data[0].y) == [None, 250]

    @pytest.mark.parametrize(
        ("seconds", "said"),
        [(0.0165, "16.5 ms"), (0.9994, "999 ms"), (0.9997, "1.0 s"), (120, "120.0 s"), (0, "0 ms")],
    )
    def test_a_time_is_written_as_people_write_it(self, seconds, said):
        assert monitor_charts.milliseconds(seconds) == said

    def test_the_most_frequent_kind_of_errors_comes_first(self):
        kinds = {f"Kind{number}": [number, 1] for number in range(8)}
        figure = monitor_charts.bars(PIECES, kinds, "Errors")
        assert {trace.offset for trace in figure.data} == {0}, "a bar begins where its window does"
        assert [trace.name for trace in figure.data] == [f"Kind{number}" for number in reversed(range(8))]
        assert list(figure.data[0].y) == [7, 1]

    def test_corrections_that_make_no_figure_make_no_point(self):
        known = Accuracy(10, 8, 0.8, 0.5, 0.9)
        figure = monitor_charts.accuracy(PIECES, [known, Accuracy(2, 1)], {}, "Accuracy")
        assert list(figure.data[0].y) == [0.8]
        assert figure.data[0].error_y.array == pytest.approx((0.1,))

    def test_a_cell_that_one_side_lacks_is_zero_there(self):
        figure = monitor_charts.side_by_side({"a": 1.0}, {"a": 0.25, "<i>": 0.75}, "Mix")
        assert list(figure.data[0].x) == [1.0, 0.0]
        assert list(figure.data[0].y) == ["a", "&lt;i&gt;"]


def test_who_asked_is_kept_while_another_page_is_visited(healthy):
    write_healthy(healthy, time.time() - 1800, stream=Stream("old", "v0", "batch"))
    app = open_app("monitor")
    app.selectbox(key="monitor_stream").set_value(APP.model).run()
    app.selectbox(key="monitor_source").set_value("app").run()
    app.switch_page("views/ask.py").run()
    app.switch_page("views/monitor.py").run()
    assert app.selectbox(key="monitor_source").value == "app"
    app.selectbox(key="monitor_stream").set_value("old").run()  # which the app did not ask
    assert not app.exception, app.exception
    assert app.selectbox(key="monitor_source").value is None
