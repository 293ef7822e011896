"""``python -m tf_model.monitor``: the commands by their arguments."""

import json
import time

import pytest

from tests.monitor.made_up import APP, answered, corrected, predictions, store_with
from tf_model import paths
from tf_model.errors import DataError, OutputError
from tf_model.monitor import reference
from tf_model.monitor.__main__ import main
from tf_model.monitor.events import Failed, Stream
from tf_model.monitor.store import DAY, Store


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "SAVED_MODELS", tmp_path / "models")
    now = time.time()
    events = [answered(now - each, ["x" * 90] * 4) for each in range(1, 60)]
    path = tmp_path / "log.sqlite"
    store_with(path, [*events, corrected(True, now, "a text", prediction={"product": "iPad"})])
    return path


def test_report_is_0_when_all_is_well(log, capsys):
    assert main(["report", "--log", str(log)]) == 0
    printed = capsys.readouterr()
    assert "59 requests, 0 failed; 236 predictions" in printed.out
    assert printed.out.endswith("no alarm\n")
    assert printed.err.startswith("model answer, version v1, in ")


def test_report_is_1_on_an_alarm_and_json_is_all_of_standard_output(log, capsys):
    store_with(log, [Failed(time.time(), APP, "ModelError", "x")] * 20)
    assert main(["report", "--log", str(log), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["model"], found["version"], found["errors"]) == ("answer", "v1", 20)
    assert [alarm["signal"] for alarm in found["alarms"]] == ["errors"]
    assert "others" not in found


def test_json_is_whole_where_a_terminal_lacks_a_character(log, capsys):
    store_with(log, [answered(time.time(), stream=Stream("g→", "v1", "app"))])
    assert main(["report", "--log", str(log), "--json"]) == 0
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert json.loads(printed)["model"] == "g→"


def test_a_clock_that_was_ahead_hides_nothing(log, capsys):
    now, other = time.time(), Stream("answer", "v2", "app")
    store_with(log, [Failed(now, APP, "ModelError", "x")] * 100)
    store_with(log, [answered(now + 3 * DAY, stream=other)])
    assert main(["report", "--log", str(log)]) == 1
    assert "100 of 159 requests failed" in capsys.readouterr().out
    store_with(log, [answered(time.time(), stream=Stream("answer", "v2", "batch"))])
    assert Store(log).versions()[0][:2] == ("answer", "v2"), "by a clock that is right"


def test_the_reference_is_that_of_the_model(log, tmp_path, capsys, monkeypatch):
    frame = predictions(300, product="Google")
    reference.build(["x" * 90] * 300, frame, "another mix").save(tmp_path / "models" / "answer")
    assert main(["report", "--log", str(log)]) == 0
    words = "drift: not judged: no reference.json for this version of the model in models/\n"
    assert words in capsys.readouterr().out
    monkeypatch.setattr(reference, "training_of", lambda folder: "v1")
    assert main(["report", "--log", str(log)]) == 1
    assert "drift from another mix" in capsys.readouterr().out
    (tmp_path / "models" / "answer" / reference.FILE).write_text("{}")
    assert main(["report", "--log", str(log)]) == 0
    printed = capsys.readouterr()
    assert "drift: not judged" in printed.out
    assert "warning: drift and accuracy are not judged: " in printed.err


def test_a_model_that_is_not_in_the_log_is_explained(log):
    assert main(["report", "--log", str(log), "--model", "answer"]) == 0
    with pytest.raises(DataError, match=r"no predictions of the model 'x' in .*; choose with --model from: 'answer'"):
        main(["report", "--log", str(log), "--model", "x"])


def test_what_else_answered_in_this_time_is_judged_too(log, capsys):
    now = time.time()
    others = [("answer", "v0", now - 2), ("product", "v1", now - 3), ("old", "v1", now - 3 * DAY)]
    for model, version, when in others:
        store_with(log, [answered(when, stream=Stream(model, version, "app"))])
    store_with(log, [answered(now)])
    assert main(["report", "--log", str(log)]) == 0
    assert capsys.readouterr().out.endswith("no alarm\nanswer, version v0: no alarm\nproduct, version v1: no alarm\n")
    store_with(log, [Failed(now - 3, Stream("product", "v1", "app"), "ModelError", "x")] * 30)
    assert main(["report", "--log", str(log)]) == 1
    alarm = "30 of 31 requests failed (96.8%; the limit is 1.0%), most often with ModelError (30)"
    assert capsys.readouterr().out.endswith(f"\nproduct, version v1: 1 ALARM\n  errors: {alarm}\n")
    assert main(["report", "--log", str(log), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["model"], found["version"], found["alarms"]) == ("answer", "v1", [])
    assert found["others"] == [
        {"model": "answer", "version": "v0", "alarms": []},
        {"model": "product", "version": "v1", "alarms": [{"signal": "errors", "words": alarm}]},
    ]
    assert main(["report", "--log", str(log), "--model", "answer"]) == 0
    assert capsys.readouterr().out.endswith("no alarm\nanswer, version v0: no alarm\n")
    assert main(["report", "--log", str(log), "--hours", "96"]) == 1
    assert "old, version v1: no alarm\n" in capsys.readouterr().out


def test_export_writes_and_refuses_to_overwrite(log, tmp_path, capsys):
    output = tmp_path / "corrections.csv"
    assert main(["export", "--log", str(log), str(output)]) == 0
    assert output.read_text(encoding="utf-8").splitlines()[1] == "a text,iPad,,,"
    assert "(1 row; left out: 0 corrections" in capsys.readouterr().err
    with pytest.raises(OutputError, match="add --overwrite"):
        main(["export", "--log", str(log), str(output)])
    assert main(["export", "--log", str(log), str(output), "--overwrite"]) == 0


def test_export_can_be_of_one_model(log, tmp_path):
    own, now = Stream("brands", "v1", "app"), time.time()
    store_with(log, [corrected(True, now, "of its own", stream=own, prediction={"product": "Kindle"})])
    output = tmp_path / "corrections.csv"
    assert main(["export", "--log", str(log), str(output), "--model", "brands"]) == 0
    assert output.read_text(encoding="utf-8").splitlines()[1:] == ["of its own,Kindle,,,"]
    with pytest.raises(DataError, match="none of the 0 corrections of the model 'brand' names a product"):
        main(["export", "--log", str(log), str(tmp_path / "other.csv"), "--model", "brand"])


def test_prune_removes_what_is_old(log, capsys):
    old = time.time() - 100 * 86_400
    failed = [Failed(when, APP, "ModelError", "x") for when in (old, time.time() - 1)]
    store_with(log, [*failed, corrected(True, old, "an old text")])
    assert main(["prune", "--log", str(log)]) == 0
    assert "removed 1 rows; the log now holds " in capsys.readouterr().err
    assert (len(Store(log).rows("errors")), len(Store(log).rows("corrections"))) == (1, 2)
    assert main(["prune", "--log", str(log), "--corrections"]) == 0
    assert len(Store(log).rows("corrections")) == 1  # it is recent
    assert main(["prune", "--log", str(log), "--days", "0.00000001"]) == 0
    assert Store(log).rows("errors").empty


@pytest.mark.parametrize("command", [["report"], ["prune"], ["export", "out.csv"]])
def test_a_missing_log_is_explained_and_not_made(tmp_path, command):
    with pytest.raises(DataError, match="there is no prediction log at"):
        main([*command, "--log", str(tmp_path / "none.sqlite")])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["grow"],
        ["report", "--hours", "0"],
        ["prune", "--days", "x"],
        ["prune", "--days", "1e305"],
        ["report", "--hours", "1e8"],
    ],
)
def test_wrong_usage_is_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "see `python -m tf_model.monitor" in capsys.readouterr().err


def test_the_command_keeps_as_long_as_the_recorder_does():
    from tf_model.monitor.__main__ import _parser
    from tf_model.monitor.store import RETENTION_SECONDS

    prune = _parser().parse_args(["prune"])
    assert prune.days * DAY == RETENTION_SECONDS
