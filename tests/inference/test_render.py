"""What the command prints: for a program, for a person, and never a raw control character to a terminal."""

import json
import sys

import pytest
from stub_model import stub

from tf_model import predict
from tf_model.inference import render
from tf_model.predict import Predictor


@pytest.fixture
def stubbed(monkeypatch):
    """The command line with the stub in place of a saved model."""
    monkeypatch.setattr(Predictor, "load", lambda folder=None: stub())


def test_texts_as_a_table(stubbed, capsys):
    assert predict.main(["--text", "[red]iPad[/red] \x1b[31m\r\u202e", "--text", "x", "--format", "table"]) == 0
    captured = capsys.readouterr()
    assert "[red]iPad[/red] ␛[31m␍\ufffd" in captured.out
    assert "50.0%" in captured.out
    assert captured.err == ""


def test_texts_as_csv_and_json(stubbed, capsys):
    predict.main(["--text", "an iPad", "--text", "é\u009b", "--format", "csv"])
    assert capsys.readouterr().out == "text,product,product_confidence\nan iPad,iPad,1.0\né\u009b,iPhone,0.2\n"
    predict.main(["--text", "\ud83d\x7f\u009bé", "--format", "json", "--probabilities"])
    line = capsys.readouterr().out
    assert line.startswith('{"text": "\\ud83d\\u007f\\u009bé", "product": "iPhone", "product_confidence": ')
    assert json.loads(line)["product_probability_Google"] == 0


def test_csv_is_the_default_for_a_pipe_and_a_table_for_a_terminal(stubbed, capsys, monkeypatch):
    predict.main(["--text", "a\x1b"])
    assert capsys.readouterr().out.startswith("text,product")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    predict.main(["--text", "a\x1b"])
    assert "│ a␛ " in capsys.readouterr().out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    predict.main(["--text", "a\x1b\nb", "--format", "csv"])
    assert '"a␛\nb",iPhone' in capsys.readouterr().out


def test_a_long_text_is_shortened_on_the_terminal_only(stubbed, capsys):
    predict.main(["--text", "x" * 1000, "--format", "table"])
    assert capsys.readouterr().out.count("x") == render.SHOWN_CHARACTERS - 1 + 1  # one in the heading "text"


def test_a_log_gets_a_line_of_progress_now_and_then(monkeypatch, capsys):
    clock = iter([0.0, 0.0, 30.0, 30.0, 90.0, 90.0, 90.0, 100.0])
    monkeypatch.setattr(render.time, "monotonic", lambda: next(clock))
    with render.count_progress(1_000, shown=True) as advance:
        advance(100)  # after 30 s: too early for a line
        advance(80)
    assert capsys.readouterr().err.splitlines() == [
        "180 of 1,000 texts, 7 min left (2 texts/s)",
        "180 texts in 100.0 s (2 texts/s)",
    ]
