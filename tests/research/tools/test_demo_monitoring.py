"""The demonstration of the monitor: faults are injected, and the report and /metrics show them."""

from dataclasses import replace

import pytest
from stub_model import stub

from research.tools import demo_monitoring
from research.tools.demo_monitoring import Phase
from tests.monitor.made_up import counts_of
from tf_model import paths, tasks
from tf_model.monitor import reference
from tf_model.monitor.aggregates import STAGE_SECONDS
from tf_model.monitor.store import Store


@pytest.fixture
def predictor(tmp_path):
    """A model in plain Python with guesses, in a folder with a reference."""
    folder = tmp_path / "models" / "answer"
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"")
    made = replace(stub(has_emotion=True), folder=folder)
    texts = [tweet[tasks.TEXT_COLUMN] for tweet in tweets()]
    predictions = made.predict_measured(texts * 20).predictions
    reference.build(texts * 20, predictions, "made up", accuracy={"answer": 0.5}).save(folder)
    return made


def labelled(row, text, product, emotion):
    return {"row": row} | dict(zip(tasks.COLUMNS, (text, product, emotion), strict=True))


def tweets():
    emotions = (tasks.POSITIVE, tasks.NO_EMOTION) * 10
    return [labelled(row, f"made up {'x' * row} about my ipad", "iPad", each) for row, each in enumerate(emotions)]


@pytest.mark.parametrize(
    ("phase", "code"),
    [
        (Phase("fine"), 0),
        (Phase("errors", frozenset({"errors"}), failure_share=0.5), 0),
        (Phase("unseen", failure_share=0.5), 1),  # errors that the phase does not expect
    ],
    ids=lambda value: value.name if isinstance(value, Phase) else str(value),
)
def test_report_and_metrics_see_what_is_done(predictor, monkeypatch, capsys, phase, code):
    monkeypatch.setattr(demo_monitoring, "_until_next_minute", lambda: 0)
    monkeypatch.setattr(demo_monitoring, "PHASES", (phase,))
    home = predictor.folder.parent
    assert demo_monitoring.run(predictor, home, tweets(), seconds=1.5) == code
    output = capsys.readouterr().err
    assert f"alarms on /metrics: {'errors' if phase.failure_share else 'none'}" in output
    assert ("\n  errors: " in output) == bool(phase.failure_share)
    assert ("did NOT see" in output) == bool(code)
    corrections = Store(home / paths.MONITOR_LOG.relative_to(paths.SAVED_MODELS)).rows("corrections")
    assert corrections["text"].str.fullmatch(r"the tweet in row \d+ of the dataset").all()
    assert set(corrections["is_correct"]) == {True, False}


def test_a_slow_phase_is_recorded_as_slow(predictor, monkeypatch, capsys):
    monkeypatch.setattr(demo_monitoring, "_until_next_minute", lambda: 0)
    monkeypatch.setattr(demo_monitoring, "PHASES", (Phase("slow", frozenset({"latency"}), pause=0.3),))
    home = predictor.folder.parent
    demo_monitoring.run(predictor, home, tweets(), seconds=1)
    kept = counts_of(home / paths.MONITOR_LOG.relative_to(paths.SAVED_MODELS))
    assert kept.histogram(STAGE_SECONDS["model"]).quantile(0) > 0.27, "a bin is 9% wide"
    assert 1 < kept.predictions <= 4 * demo_monitoring.BATCH, "the pause is real"


@pytest.mark.parametrize(
    ("product", "emotion", "answer"),
    [
        (None, tasks.NO_EMOTION, tasks.NO_EMOTION),
        ("iPad", tasks.POSITIVE, "Positive emotion → iPad"),
        (None, tasks.POSITIVE, None),
        ("iPad", None, None),
        (None, None, None),
        ("iPad", "I can't tell", None),
    ],
)
def test_what_a_user_would_call_right(product, emotion, answer):
    assert demo_monitoring.correct_answer(labelled(0, "text", product, emotion)) == answer
