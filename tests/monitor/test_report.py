"""The report states what is wrong, by how much and compared to what, and raises no alarm where all is well."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from tests.monitor.made_up import APP, NOON, answered, corrected, predictions, store_with
from tf_model import tasks
from tf_model.monitor import reference, report
from tf_model.monitor.events import Failed, Stream
from tf_model.monitor.print_report import print_report
from tf_model.monitor.store import Store

FILE = Stream("answer", "v1", "batch")
SPAN = NOON, NOON + 3600
WELL = [answered(NOON + each, ["x" * 90] * 4, product=["iPad", "iPad", "Google", "Apple"]) for each in range(100)]


@pytest.fixture(scope="module")
def expected():
    frame = predictions(400, product=["iPad", "iPad", "Google", "Apple"] * 100)
    return reference.build(["x" * 90] * 400, frame, "the validation part", accuracy={"product": 0.85, "answer": 0.8})


@pytest.fixture
def judge(tmp_path, expected):
    def judge(*more, well=WELL, against=expected):
        store = store_with(tmp_path / "log", [*well, *more])
        return report.make(store, *SPAN, against)

    return judge


def words(found):
    return {alarm.signal: alarm.words for alarm in found.alarms}


def printed(found):
    stream = io.StringIO()
    print_report(Console(file=stream, width=100), found)
    return stream.getvalue()


def test_all_is_well(judge):
    found = judge()
    assert found.alarms == []
    assert (found.window.requests, found.window.predictions) == (100, 400)
    assert set(found.estimates) == {"product", "emotion", "answer"}
    assert len(found.drifts) == 7


def test_errors_are_an_alarm_beyond_their_limit(judge):
    failed = [Failed(NOON, APP, kind, "x") for kind in ["ModelError"] * 12 + ["OSError"] * 3]
    text = words(judge(*failed))["errors"]
    assert text == "15 of 115 requests failed (13.0%; the limit is 1.0%), most often with ModelError (12), OSError (3)"


@pytest.mark.parametrize("requests", [30, 60])
def test_one_error_is_no_alarm_even_where_it_is_more_than_the_limit(judge, requests):
    found = judge(Failed(NOON, APP, "ModelError", "x"), well=WELL[:requests])
    assert found.window.failures / found.window.requests > 0.01
    assert words(found) == {}


@pytest.mark.parametrize(("others", "whose"), [(0, ""), (5, "app: ")])
def test_an_outage_is_an_alarm_however_few_ask_and_whoever_else_is_answered(judge, others, whose):
    found = judge(*[Failed(NOON, APP, "ModelError", "x")] * 3, well=[replace(e, stream=FILE) for e in WELL * others])
    assert words(found)["errors"].startswith(f"{whose}3 of 3 requests failed")


def test_errors_that_chance_makes_within_the_limit_are_no_alarm(judge):
    assert words(judge(*[Failed(NOON, APP, "ModelError", "x")] * 2, well=WELL[:53])) == {}


def test_what_was_not_judged_is_said(judge):
    found = judge(well=WELL[:7])
    assert found.to_json()["judged"] == ["log"]
    said = "not judged: errors, latency, accuracy, drift (too few records, or no reference)"
    assert printed(found).splitlines()[-2:] == [said, "no alarm"]


def test_slow_requests_are_an_alarm_with_the_slowest_stage(judge):
    text = words(judge(*[answered(NOON, seconds=3.0) for _ in range(20)]))["latency"]
    assert text.startswith("95% of 120 requests took up to 3.0")
    assert "the limit is 1.00 s. The slowest stage is 'model'" in text


def test_whole_files_may_take_their_time(judge):
    assert "latency" not in words(judge(*[answered(NOON, seconds=60.0, stream=FILE) for _ in range(50)]))


def test_alarms_of_a_file_are_kept_apart_from_those_of_the_app(judge, tmp_path, expected):
    other = [answered(NOON, ["x" * 90] * 4, product=["Android"] * 4, stream=FILE) for _ in range(100)]
    found = judge(*other, *[Failed(NOON, APP, "ModelError", "x")] * 15)
    texts = [alarm.words for alarm in found.alarms if alarm.signal in ("errors", "drift")]
    assert texts[0].startswith("app: 15 of 115 requests failed")
    assert all(text.startswith("batch: ") for text in texts[1:])
    assert any("mix of products" in text for text in texts)
    assert found.window.requests == 215
    assert "all sources together" in " ".join(printed(found).split())
    assert " ok" not in printed(found)
    of_app, of_file = (report.make(Store(tmp_path / "log"), *SPAN, expected, source=each) for each in ("app", "batch"))
    assert set(words(of_app)) == {"errors"}
    assert "drift" in words(of_file)
    assert " ok" in printed(of_app)
    assert "all sources together" not in printed(of_app)
    assert of_app.window.requests == 115


def test_failures_of_sources_with_too_few_requests_each_are_judged_together(judge):
    streams = FILE, replace(FILE, source="api")
    found = judge(*[Failed(NOON, stream, "ModelError", "x") for stream in streams * 2])
    assert words(found)["errors"].startswith("4 of 104 requests failed")
    assert {each["alarm"] for each in found.to_json()["drift"]} <= {None}


def test_less_confidence_is_an_alarm_of_the_estimated_accuracy(judge):
    unsure = [answered(NOON, ["x" * 90] * 4, sure=0.5) for _ in range(100)]
    found = judge(*unsure)
    text = next(alarm.words for alarm in found.alarms if alarm.signal == "accuracy")
    assert text.startswith("the accuracy of the product is estimated at 70% over 800 predictions (at most ")
    assert "on the validation part it was 90%; a drop of 5 points is allowed" in text


def corrections(correct, wrong):
    return [corrected(number < correct) for number in range(correct + wrong)]


def test_corrections_that_chance_may_have_made_are_no_alarm(judge):
    found = judge(*corrections(correct=21, wrong=9))
    assert found.user_accuracy.accuracy < 0.8 - 0.05 < found.user_accuracy.high
    assert words(found) == {}


def test_answers_of_an_earlier_time_are_judged_when_they_are_corrected(judge):
    asked = [answered(NOON - 7200)]
    others = [replace(each, stream=replace(APP, source=source)) for source in ("batch", "api") for each in WELL]
    assert words(judge(*corrections(correct=9, wrong=31), *asked, well=others))["accuracy"].startswith(
        "app: users called 9 of 40"
    )


def test_a_guess_at_the_product_where_there_is_none_is_no_alarm(judge):
    none = [answered(NOON, ["x" * 90] * 4, sure=0.3, emotion=tasks.NO_EMOTION) for _ in range(100)]
    found = judge(*none)
    assert found.estimates["product"].rows == 400  # those of WELL
    assert not [alarm for alarm in found.alarms if "accuracy of the product" in alarm.words]


def test_as_much_less_as_is_allowed_is_no_alarm_of_the_corrections(judge, monkeypatch):
    many = corrections(correct=7_700, wrong=2_300)
    assert words(judge(*many)) == {}
    monkeypatch.setattr(report, "ACCURACY_DROP", 0.01)
    assert set(words(judge())) == {"accuracy"}


def test_as_much_less_as_is_allowed_is_no_alarm_of_the_estimate(judge, monkeypatch):
    unsure = [
        answered(NOON, ["x" * 90] * 4, product=["iPad", "iPad", "Google", "Apple"], sure=0.87) for _ in range(600)
    ]
    assert "accuracy" not in words(judge(*unsure, well=[]))
    monkeypatch.setattr(report, "ACCURACY_DROP", 0.01)
    assert "accuracy" in words(judge(well=[]))


def test_an_estimate_from_a_few_predictions_is_no_alarm(judge):
    found = judge(*[answered(NOON, ["x" * 90] * 4, sure=0.82) for _ in range(8)], well=[])
    assert found.estimates["product"].accuracy < 0.9 - 0.05 < found.estimates["product"].high
    assert "accuracy" not in words(found)


def test_a_version_is_not_blamed_for_another(tmp_path, expected):
    slow = [answered(NOON, seconds=9.0, stream=Stream("answer", "v0", "app")) for _ in range(30)]
    store = Store(tmp_path / "log")
    store.write([*WELL, *slow], [(NOON, Stream("answer", "v0", "process"), {("dropped", ""): (3, 0.0)})])
    assert report.make(store, *SPAN, expected, "answer", "v1").alarms == []
    assert {"latency", "log"} <= set(words(report.make(store, *SPAN, expected, "answer", "v0")))


def test_many_corrections_are_an_alarm_and_few_are_not(judge):
    assert words(judge(*corrections(correct=0, wrong=25))) == {}
    text = words(judge(*corrections(correct=15, wrong=25), well=[]))["accuracy"]  # with the 25 from above
    assert text.startswith("users called 15 of 65 predictions correct (23%")
    assert "it was 80% on the validation part" in text


def test_corrections_are_compared_with_the_accuracy_of_what_is_answered(judge, expected):
    answers = replace(expected, answered_accuracy=0.9)
    many = corrections(correct=770, wrong=230)  # as accurate as the best guesses, far below the answers
    assert words(judge(*many)) == {}
    text = words(judge(against=answers))["accuracy"]
    assert 'apart from "Not sure", it was 90% on the validation part' in text
    of_one_task = words(judge(against=replace(expected, accuracy={"product": 0.9})))["accuracy"]
    assert "; it was 90% on the validation part" in of_one_task


def test_lost_records_are_an_alarm(tmp_path, expected):
    store = Store(tmp_path / "log")
    store.write(WELL, [(NOON, Stream("answer", "v1", "process"), {("dropped", ""): (3, 0.0)})])
    assert words(report.make(store, *SPAN, expected))["log"].startswith(
        "3 predictions were not logged, because they could not be written; 400 were logged"
    )


def test_what_could_be_judged_is_told_from_what_could_not(judge):
    assert judge().judged_signals == report.SIGNALS
    assert judge(against=None).judged_signals == ("errors", "latency", "log")


def test_one_large_file_decides_on_accuracy_and_drift_and_not_on_errors(judge):
    one = answered(NOON, ["x" * 90] * 400, product=["iPad", "iPad", "Google", "Apple"] * 100, stream=FILE)
    assert judge(one, well=[]).judged_signals == ("accuracy", "drift", "log")


def test_json_and_table_tell_the_same(judge):
    found = judge(*[Failed(NOON, APP, "Model[red]Error\x1b", "x") for _ in range(15)])
    plain = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert plain["errors"] == 15
    assert plain["seconds"]["total"]["p95"] == pytest.approx(0.01, rel=0.1)
    assert plain["products"] == {"iPad": 200, "Apple": 100, "Google": 100}
    assert [each["feature"] for each in plain["drift"]] == [each.feature for each in found.drifts]
    shown = printed(found)
    assert "115 requests, 15 failed; 400 predictions, 0 not logged" in shown
    assert "1 ALARM\n" in shown
    assert f"  errors: {found.alarms[0].words}".replace("\x1b", "␛") in shown
    assert "Model[red]Error␛" in shown
    assert "\x1b" not in shown
    assert "the validation part" in shown


def test_the_time_can_be_had_in_pieces(tmp_path):
    store = store_with(tmp_path / "log", [*WELL, answered(NOON + 1800)])
    found = report.make(store, *SPAN, step=1800)
    assert [window.requests for window in found.windows] == [100, 1]
    assert found.window.requests == 101
    assert (found.window.since, found.window.until) == SPAN


@pytest.mark.parametrize("well", [[], WELL[:3]])
def test_a_short_report_is_printed_and_is_json_too(judge, well, expected):
    for against in (None, expected):
        found = judge(well=well, against=against)
        assert json.loads(json.dumps(found.to_json(), allow_nan=False))["requests"] == found.window.requests
        assert "drift: not judged" in printed(found)
        assert printed(found).endswith("no alarm\n")
