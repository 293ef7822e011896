"""Metrics for Prometheus: what is counted, what never becomes a label, and what rules and dashboard query."""

import json
import math
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy
import pandas
import pytest
import yaml
from ports import free_ports
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from stub_model import stub

from tests.monitor.made_up import corrected, predictions, record, wait_until, window_of
from tf_model import tasks
from tf_model.api.app import Guard
from tf_model.errors import DataError, OutputError
from tf_model.inference import predictor
from tf_model.modeling.joint_label import NOT_SURE
from tf_model.monitor import prometheus, reference, report
from tf_model.monitor.events import BULK_SOURCES, Answered, Failed, Stream, counted_columns
from tf_model.monitor.prometheus import Exporter
from tf_model.monitor.recorder import Recorder
from tf_model.monitor.store import Store

DEPLOY = Path(prometheus.__file__).parent / "deploy"
SECRET = "call me, Jane, on 555-0100"
ANSWERS = pandas.DataFrame(
    {
        "product": ["iPad", "iPad", "Google", "Kindle"],
        "product_confidence": numpy.array([0.25, 0.5, 0.97, math.nan], numpy.float32),
        "emotion": [tasks.POSITIVE, tasks.NO_EMOTION, tasks.NEGATIVE, tasks.POSITIVE],
        "emotion_confidence": numpy.array([0.4, 0.5, 0.6, 0.7], numpy.float32),
        "answer": [NOT_SURE, tasks.NO_EMOTION, "Negative emotion → Google", "Positive emotion → Kindle"],
        "answer_confidence": numpy.array([0.1, 0.5, 0.6, 0.7], numpy.float32),
    }
)
SECONDS = {"tokenize": 0.002, "model": 0.03, "rest": 0.001}


def program(name: str) -> str:
    found = shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed (Debian's package prometheus has it)")
    return found


def judged(sure: float = 0.9, rows: int = 60) -> report.Report:
    """A report on predictions with this confidence, against a reference with 0.9."""
    known = reference.build(["x"] * 200, predictions(200), "made up", accuracy={"answer": 0.88})
    window = window_of(predictions(rows, sure=sure), ["x"] * rows)
    return report.judge([window], known)


def answered(frame: pandas.DataFrame, seconds: dict[str, float], source: str = "python") -> Answered:
    return Answered(0.0, Stream("answer", "1", source), seconds, counted_columns(["x"] * len(frame), frame))


def failed(kind: str, source: str = "app") -> Failed:
    return Failed(0.0, Stream("answer", "1", source), kind, SECRET)


class Follower:
    """The part of a recorder that an exporter uses, without a log."""

    path, dropped, waiting, failure = Path("none.sqlite"), 0, 0, None

    def __init__(self, model: str = "answer", version: str = "2024-05-01") -> None:
        self.model, self.version, self.observers = model, version, []


def busy_exporter() -> Exporter:
    """An exporter with a sample of everything, so that every series exists."""
    exporter = Exporter()
    exporter.attach(Follower())
    exporter.judge = judged
    exporter.observe(answered(ANSWERS, SECONDS, "app"))
    exporter.observe(failed("ModelError"))
    exporter.observe(corrected(True))
    return exporter


def api_metrics() -> CollectorRegistry:
    """The metrics of the API's requests, after one."""
    registry = CollectorRegistry()
    Guard(None, (), registry, ())._seconds.labels("/predict", "200").observe(0.1)
    return registry


def value(exporter: Exporter, name: str, /, **labels: str) -> float | None:
    return exporter.registry.get_sample_value(f"tweet_target_{name}", labels)


def predicted(exporter: Exporter, product: str, emotion: str, outcome: str) -> float | None:
    return value(exporter, "predictions_total", product=product, emotion=emotion, outcome=outcome)


def text_of(exporter: Exporter) -> str:
    return generate_latest(exporter.registry).decode()


# ------------------------------------------------------------------------------------------------------ what is counted


def test_predictions_are_counted_by_product_emotion_and_outcome():
    exporter = Exporter()
    exporter.observe(answered(ANSWERS, SECONDS, "app"))
    assert predicted(exporter, "iPad", tasks.POSITIVE, "not_sure") == 1
    assert predicted(exporter, "iPad", tasks.NO_EMOTION, "no_emotion") == 1
    assert predicted(exporter, "Google", tasks.NEGATIVE, "answered") == 1
    assert value(exporter, "requests_total", source="app", status="ok") == 1
    assert value(exporter, "batch_size_sum") == 4
    assert value(exporter, "request_duration_seconds_sum", source="app") == pytest.approx(0.033)
    assert value(exporter, "stage_duration_seconds_bucket", source="app", stage="model", le="0.025") == 0
    assert value(exporter, "stage_duration_seconds_bucket", source="app", stage="model", le="0.05") == 1
    assert value(exporter, "confidence_ratio_bucket", task="product", le="0.5") == 2


def test_the_classes_of_any_model_are_counted():
    exporter = Exporter()
    frame = predictions(2, product=["Kindle", "Xbox"], emotion=["good", "meh"])
    event = replace(answered(frame, SECONDS), columns=counted_columns(["x"] * 2, frame, no_emotion="meh"))
    exporter.observe(event)
    assert predicted(exporter, "Kindle", "good", "answered") == 1
    assert predicted(exporter, "Xbox", "meh", "no_emotion") == 1


def test_a_confidence_that_is_no_number_does_not_spoil_the_sum():
    exporter = Exporter()
    exporter.observe(answered(ANSWERS, SECONDS))
    assert value(exporter, "confidence_ratio_sum", task="product") == pytest.approx(1.72)
    assert value(exporter, "confidence_ratio_count", task="product") == 3


def test_a_model_of_the_product_alone_always_answers():
    exporter = Exporter()
    exporter.observe(answered(ANSWERS[["product", "product_confidence"]], {}))
    assert predicted(exporter, "iPad", "none", "answered") == 2
    assert value(exporter, "request_duration_seconds_count", source="python") is None  # no time was measured
    assert value(exporter, "confidence_ratio_count", task="emotion") == 0


def test_errors_and_feedback():
    exporter = Exporter()
    assert value(exporter, "requests_total", source="batch", status="error") == 0  # from the start: a rate needs it
    exporter.observe(failed("DataError", "batch"))
    exporter.observe(corrected(False))
    exporter.observe(corrected(False, prediction={"answer": NOT_SURE}))  # "Not sure" is no answer to judge
    assert value(exporter, "errors_total", kind="DataError") == 1
    assert value(exporter, "requests_total", source="batch", status="error") == 1
    assert value(exporter, "feedback_total", verdict="wrong") == 1
    assert value(exporter, "feedback_total", verdict="right") == 0


def test_calls_under_way_are_seen_by_who_asks_meanwhile(monkeypatch):
    monkeypatch.setattr(predictor, "_calls", [])  # an earlier test may have left a slow call
    exporter, seen = Exporter(), []
    model = stub()

    def score(batch):
        seen.append(value(exporter, "requests_in_flight"))
        return model.score(batch)

    replace(model, score=score).predict_measured(["a"])
    assert (seen, value(exporter, "requests_in_flight")) == ([1], 0)


def test_the_model_in_use():
    exporter = Exporter()
    exporter.attach(Follower("product", "1"))
    exporter.attach(Follower("answer", "2"))  # replaces the first
    assert value(exporter, "model_info", name="answer", version="2") == 1
    assert value(exporter, "model_info", name="product", version="1") is None


def test_what_the_report_says_is_served_and_nothing_where_it_says_nothing():
    exporter = Exporter()
    assert value(exporter, "alarm", signal="drift") is None  # unknown is not zero
    exporter.judge = judged
    assert [value(exporter, "alarm", signal=signal) for signal in report.SIGNALS] == [0] * len(report.SIGNALS)
    assert value(exporter, "drift_psi", feature="product") == 0
    assert value(exporter, "drift_alarm", feature="product") == 0
    assert value(exporter, "estimated_accuracy_ratio", task="answer") == pytest.approx(0.9)
    assert value(exporter, "validation_accuracy_ratio", task="answer") == 0.88
    exporter.judge = lambda: judged(sure=0.4)
    assert value(exporter, "alarm", signal="accuracy") == value(exporter, "alarm", signal="drift") == 1
    assert value(exporter, "alarm", signal="errors") == 0
    assert value(exporter, "drift_alarm", feature="answer_confidence") == 1
    assert value(exporter, "estimated_accuracy_ratio", task="answer") == pytest.approx(0.4)
    exporter.judge = lambda: judged(rows=3)
    assert value(exporter, "estimated_accuracy_ratio", task="answer") is None
    assert value(exporter, "drift_psi", feature="product") is None
    exporter.judge = lambda: report.judge(judged().windows, None)
    alarms = {signal: value(exporter, "alarm", signal=signal) for signal in report.SIGNALS}
    assert alarms == {"errors": 0, "latency": 0, "accuracy": None, "drift": None, "log": 0}, "without a reference"


# ------------------------------------------------------------------------------------------------------ the recorder


def test_it_follows_a_recorder(tmp_path):
    exporter = Exporter()
    with Recorder(tmp_path / "log.sqlite", model="answer", version="7") as recorder:
        exporter.attach(recorder)
        record(recorder, [SECRET] * 4, ANSWERS, SECONDS, "app")
        recorder.record_error(DataError(SECRET), "batch")
        recorder.correct(SECRET, {"product": "iPad"}, is_correct=False, product="iPhone")
        assert recorder.flush()
        assert value(exporter, "records_waiting") == 0
    assert value(exporter, "model_info", name="answer", version="7") == 1
    assert predicted(exporter, "iPad", tasks.POSITIVE, "not_sure") == 1
    assert value(exporter, "feedback_total", verdict="wrong") == 1
    assert value(exporter, "records_dropped_total") == 0
    record(recorder, [SECRET] * 4, ANSWERS, SECONDS, "app")  # it is closed
    assert value(exporter, "records_dropped_total") == 4
    assert SECRET not in text_of(exporter)


def test_a_model_that_was_taken_back_is_the_one_that_answers(tmp_path):
    exporter, path = Exporter(), tmp_path / "log.sqlite"
    with Recorder(path, model="answer", version="a") as old, Recorder(path, model="answer", version="b") as new:
        for each in (old, new):
            exporter.attach(each)
        record(new, [SECRET] * 4, ANSWERS, SECONDS, "app")
        assert new.flush()
        assert value(exporter, "model_info", name="answer", version="b") == 1
        record(old, [SECRET] * 4, ANSWERS, SECONDS, "app")
        assert old.flush()
        assert value(exporter, "model_info", name="answer", version="a") == 1
        assert predicted(exporter, "iPad", tasks.POSITIVE, "not_sure") == 2, "each counted once"
    for each in (old, new):
        record(each, [SECRET] * 4, ANSWERS, SECONDS, "app")  # both are closed
    assert value(exporter, "records_dropped_total") == 8


def test_a_log_that_cannot_be_written_is_served_until_it_can(tmp_path, monkeypatch):
    exporter, path, write = Exporter(), tmp_path / "log.sqlite", Store.write

    def full(*_):
        raise OutputError("database or disk is full")

    def wait_for_log(failing: int) -> None:
        wait_until(lambda: value(exporter, "log_failing") == failing)
        assert value(exporter, "log_failing") == failing

    with Recorder(path, model="answer", version="7") as recorder:
        exporter.attach(recorder)
        exporter.attach(Follower())  # whose log is well
        assert value(exporter, "log_failing") == 0
        monkeypatch.setattr(Store, "write", full)
        record(recorder, [SECRET] * 4, ANSWERS, SECONDS, "app")
        wait_for_log(1)
        monkeypatch.setattr(Store, "write", write)
        wait_for_log(0)


def test_it_says_of_the_log_of_a_recorder_what_the_report_says(tmp_path):
    exporter, known = Exporter(), reference.build(["x"] * 200, predictions(200), "made up", accuracy={"answer": 0.88})
    with Recorder(tmp_path / "log.sqlite", model="answer", version="7") as recorder:
        exporter.attach(recorder, known)
        record(recorder, ["x"] * 60, predictions(60), SECONDS, "app")
        recorder.flush(30)
        assert value(exporter, "alarm", signal="drift") == value(exporter, "alarm", signal="errors") == 0
        record(recorder, ["x"] * 300, predictions(300, sure=0.4), SECONDS, "app")
        for _ in range(30):
            recorder.record_error(DataError("no"), "app")
        recorder.flush(30)
        found = report.make(Store(recorder.path), time.time() - 3600, time.time(), known, "answer", "7")
        raised = {alarm.signal for alarm in found.alarms}
        assert raised == {"errors", "accuracy", "drift"}
        assert {signal for signal in report.SIGNALS if value(exporter, "alarm", signal=signal)} == raised
        assert {each.feature: each.index for each in found.drifts} == {
            each.feature: value(exporter, "drift_psi", feature=each.feature) for each in found.drifts
        }
    recorder.path.unlink()
    assert value(exporter, "alarm", signal="drift") is None
    assert value(exporter, "errors_total", kind="DataError") == 30  # metrics without a log are still served


# ------------------------------------------------------------------------------------------------------ served


def test_it_is_served_to_this_machine():
    url = busy_exporter().serve(0)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/metrics", url)
    body = urllib.request.urlopen(url).read().decode()
    names = {family.name for family in text_string_to_metric_families(body)}
    assert {"tweet_target_requests", "process_resident_memory_bytes"} <= names
    assert "_created" not in body


def test_a_port_or_address_that_cannot_be_is_one_line():
    port = urllib.parse.urlsplit(Exporter().serve(0)).port
    with pytest.raises(OutputError) as caught:
        Exporter().serve(port)
    assert str(caught.value) == (
        f"cannot serve metrics at 127.0.0.1 port {port}: Address already in use; choose another port above "
        "1023, or an address of this machine, such as 127.0.0.1"
    )
    with pytest.raises(OutputError, match=r"at 192\.0\.2\.1 port 0: .* or an address of this machine"):
        Exporter().serve(0, "192.0.2.1")
    with pytest.raises(OutputError, match=r"port 70000: .*0-65535"):
        Exporter().serve(70000)
    with pytest.raises(OutputError, match="label empty or too long"):
        Exporter().serve(0, "127..0.1")


def test_promtool_finds_nothing_to_say_about_names_and_units():
    text = text_of(busy_exporter())
    checked = subprocess.run([program("promtool"), "check", "metrics"], input=text, capture_output=True, text=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


# ------------------------------------------------------------------------------------------------------ rules, panels


def rules() -> list[dict]:
    [group] = yaml.safe_load((DEPLOY / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return group["rules"]


def dashboard() -> dict:
    return json.loads((DEPLOY / "dashboard.json").read_text(encoding="utf-8"))


def queries() -> list[str]:
    """Every query of the dashboard, with Grafana's variables filled in."""
    panels = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())]
    return [query.replace("$__rate_interval", "1m").replace("$instance", ".*") for query in panels]


def metrics_in(query: str) -> set[str]:
    return set(re.findall(r"\b(?:tweet_target|process)_\w+", query))


def test_rules_and_dashboard_ask_for_metrics_that_exist():
    families = [*busy_exporter().registry.collect(), *api_metrics().collect()]
    exported = {sample.name for family in families for sample in family.samples}
    asked = [rule["expr"] for rule in rules()] + queries() + [dashboard()["templating"]["list"][1]["definition"]]
    assert len(queries()) > 25
    assert set().union(*map(metrics_in, asked)) <= exported
    for rule in rules():  # the metrics named in descriptions exist too
        named = metrics_in(rule["annotations"]["description"])
        assert all(any(name.startswith(each) for name in exported) for each in named)


def test_the_dashboard_shows_every_metric():
    shown = set().union(*map(metrics_in, queries()))
    families = {family.name for family in busy_exporter().registry.collect()}
    ours = [name for name in families if name.startswith("tweet_target_")]
    assert [name for name in ours if not any(each.startswith(name) for each in shown)] == []


def test_labels_in_rules_and_dashboard_exist():
    families = [*busy_exporter().registry.collect(), *api_metrics().collect()]
    labels = {label for family in families for sample in family.samples for label in sample.labels}
    labels |= {"job", "instance"}
    for query in [rule["expr"] for rule in rules()] + queries():
        used = set(re.findall(r"(\w+)\s*(?:=~|!=|=)\s*\"", query))
        for group in re.findall(r"\bby \(([^)]*)\)", query):
            used |= {each.strip() for each in group.split(",")}
        assert used <= labels, query


def test_panels_neither_overlap_nor_share_an_id():
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


@pytest.mark.parametrize(
    "check",
    [
        ("check", "rules", "--lint-fatal", "alerts.yml"),
        ("check", "config", "--lint-fatal", "prometheus.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=" ".join,
)
def test_promtool(check):
    checked = subprocess.run([program("promtool"), *check], cwd=DEPLOY, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_alert_has_a_test_in_which_it_fires():
    tested = yaml.safe_load((DEPLOY / "alerts_test.yml").read_text(encoding="utf-8"))["tests"]
    fired = {case["alertname"] for test in tested for case in test["alert_rule_test"] if case["exp_alerts"]}
    assert fired == {rule["alert"] for rule in rules()}


def test_an_alert_asks_for_a_report_on_the_time_that_it_judges():
    commands = re.findall(r"`python -m tf_model\.monitor report([^`]*)`", " ".join(map(str, rules())))
    assert commands == [f" --hours {prometheus.WINDOW_SECONDS / 3600:g}"] * 2


def test_the_limits_of_the_alerts_are_those_of_the_report():
    errors, slow = "TweetTargetErrors", "TweetTargetSlow"
    [enough] = [rule["expr"].rpartition(" >= ")[2].strip() for rule in rules() if rule["alert"] == errors]
    assert int(enough) == report.FEWEST_FAILURES
    [enough] = [rule["expr"].rpartition(" >= ")[2].strip() for rule in rules() if rule["alert"] == slow]
    assert int(enough) == report.FEWEST_REQUESTS
    [of_slow] = [rule["expr"] for rule in rules() if rule["alert"] == slow]
    assert of_slow.count(f'source!~"{"|".join(BULK_SOURCES)}"') == 2
    ends = {rule["alert"]: rule["expr"].split(" and ")[0].split("\n  and ")[0].strip() for rule in rules()}
    assert float(re.findall(r"> ([\d.]+)", ends[errors])[0]) == report.ERROR_SHARE
    assert float(re.findall(r"> ([\d.]+)", ends[slow])[0]) == report.P95_SECONDS
    colours = {
        panel["title"]: panel["fieldConfig"]["defaults"]["thresholds"]["steps"][1]["value"]
        for panel in dashboard()["panels"]
        if panel["type"] == "stat" and "thresholds" in panel["fieldConfig"]["defaults"]
    }
    assert colours["Failed requests"] == report.ERROR_SHARE
    assert colours["p95 in the app"] == report.P95_SECONDS


def test_the_example_asks_the_default_port():
    [job] = yaml.safe_load((DEPLOY / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"{prometheus.ADDRESS}:{prometheus.PORT}"]}]
    assert all(f'job="{job["job_name"]}"' in rule["expr"] for rule in rules() if "up{" in rule["expr"])


# ------------------------------------------------------------------------------------------------------ the real server


def ask(port: int, path: str, **parameters: str) -> dict:
    url = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    return json.loads(urllib.request.urlopen(url, timeout=60).read())["data"]


def wait_for(condition, process: subprocess.Popen, log: Path, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if condition():
                return
        except OSError:
            pass
        if process.poll() is not None:
            break
        time.sleep(0.2)
    pytest.fail(f"Prometheus did not get there:\n{log.read_text()[-3000:]}")


def test_a_real_prometheus_scrapes_it_and_answers_every_query(tmp_path):
    """The example configuration, rules and dashboard; only the ports and the interval differ."""
    server_program, exporter, [port] = program("prometheus"), busy_exporter(), free_ports()
    config = (DEPLOY / "prometheus.yml").read_text(encoding="utf-8")
    config = config.replace(f"{prometheus.ADDRESS}:{prometheus.PORT}", urllib.parse.urlsplit(exporter.serve(0)).netloc)
    (tmp_path / "prometheus.yml").write_text(config.replace("15s", "1s"), encoding="utf-8")
    shutil.copy(DEPLOY / "alerts.yml", tmp_path)
    log = tmp_path / "log.txt"
    options = [f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'data'}"]
    with log.open("w") as output:
        process = subprocess.Popen(
            [server_program, *options, f"--web.listen-address=127.0.0.1:{port}"], stdout=output, stderr=output
        )
    try:

        def rate_is_known() -> bool:
            exporter.observe(answered(ANSWERS, SECONDS, "app"))
            exporter.observe(failed("ModelError"))
            found = ask(port, "query", query='rate(tweet_target_requests_total{source="app",status="ok"}[1m]) > 0')
            return bool(found["result"])

        wait_for(rate_is_known, process, log)
        [up] = ask(port, "query", query='up{job="tweet-target"}')["result"]
        assert up["value"][1] == "1"
        for query in queries():
            found = ask(port, "query", query=query)["result"]
            assert found, query

        def errors_are_noticed() -> bool:
            [group] = ask(port, "rules")["groups"]
            states = {rule["name"]: rule["state"] for rule in group["rules"] if rule["health"] == "ok"}
            return states.keys() == {rule["alert"] for rule in rules()} and states["TweetTargetErrors"] == "pending"

        wait_for(errors_are_noticed, process, log)
    finally:
        process.terminate()
        process.wait(60)
