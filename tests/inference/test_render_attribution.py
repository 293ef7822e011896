"""The words' weights on the terminal and as JSON: signs, lengths of the bars, and nothing that a terminal obeys."""

import json
from dataclasses import replace

import pytest
from stub_model import EMOTIONS, stub

from tf_model.inference.attribution import Explanation
from tf_model.inference.render_attribution import BAR, explain_texts

FOUND = Explanation(
    words=("my", "[red]iPad[/red]", "\x1b[31mbroke"),
    product="iPad",
    product_weights=(0.0, 2.0, -0.5),
    emotion=EMOTIONS[0],
    emotion_weights=(0.25, -1.0, 1.0),
    product_change=1.5,
    emotion_change=0.25,
)


@pytest.fixture
def explaining(monkeypatch):
    """A function that explains one text by the stub, which finds what it is told to."""

    def explain(found: Explanation, text: str = "my iPad broke", has_emotion: bool = True, form: str | None = None):
        predictor = stub(has_emotion=has_emotion)
        monkeypatch.setattr(type(predictor), "explain", lambda self, text: found)
        explain_texts(predictor, [text], None, form)

    return explain


def rows_of(printed: str) -> dict[str, list[str]]:
    """The cells of each word's row."""
    lines = [line.split() for line in printed.splitlines()]
    return {cells[0]: cells[1:] for cells in lines if len(cells) > 1 and cells[1][0] in "+-"}


def test_a_bar_is_as_long_as_its_weight_beside_the_largest(explaining, capsys):
    explaining(FOUND)
    printed = capsys.readouterr().out
    rows = rows_of(printed)
    assert rows["[red]iPad[/red]"] == ["+2.00", "+" * BAR, "-1.00", "-" * (BAR // 2)]
    assert rows["my"] == ["+0.00", "+0.25", "++"]
    assert rows["␛[31mbroke"] == ["-0.50", "---", "+1.00", "+" * (BAR // 2)]
    assert "\x1b" not in printed
    assert f"for {EMOTIONS[0]}" in printed
    assert "Positive emotion → iPad: iPad (" in printed


def test_a_model_of_one_task_shows_that_task_alone(explaining, capsys):
    explaining(replace(FOUND, emotion="", emotion_weights=()), has_emotion=False)
    printed = capsys.readouterr().out
    assert rows_of(printed)["[red]iPad[/red]"] == ["+2.00", "+" * BAR]
    assert "emotion" not in printed


def test_a_label_of_a_strange_model_reaches_no_terminal_as_it_is(explaining, capsys):
    explaining(replace(FOUND, emotion="\x1b[31mred"))
    printed = capsys.readouterr().out
    assert "for ␛[31mred" in printed
    assert "\x1b" not in printed


def test_weights_of_nothing_are_no_bars(explaining, capsys):
    explaining(replace(FOUND, product_weights=(0.0, 0.0, 0.0), emotion_weights=(0.0, 0.0, 0.0)))
    assert rows_of(capsys.readouterr().out)["my"] == ["+0.00", "+0.00"]


def test_no_words_are_said_to_be_none(explaining, capsys):
    explaining(Explanation((), "iPad", (), EMOTIONS[1], ()), text="")
    assert "no word is left after cleaning: nothing to explain" in capsys.readouterr().out


def test_json_reaches_no_terminal_raw_and_any_text_can_be_written(explaining, capsys):
    explaining(FOUND, text="caf\udce9 \x9b31m iPad", form="json")
    said = capsys.readouterr().out
    assert "\x9b" not in said
    assert json.loads(said)["text"] == "caf\udce9 \x9b31m iPad"


def test_json_holds_the_text_as_it_is_and_every_weight(explaining, capsys):
    text = "my iPad\x1b broke\nnow"
    explaining(FOUND, text=text, form="json")
    (line,) = capsys.readouterr().out.splitlines()
    said = json.loads(line)
    assert said["text"] == text
    assert said["explanation"]["words"] == list(FOUND.words)
    assert said["explanation"]["product_weights"] == list(FOUND.product_weights)
    assert said["product"] == "iPad"
    assert 0 < said["product_confidence"] <= 1
