"""What the command prints: for a program, for a person, and never a raw control character to a terminal."""

import io
import json
import re
import sys
from dataclasses import replace

import pytest
from stub_model import EMOTIONS, stub, target_stub

from tf_model import predict
from tf_model.data.products import Products
from tf_model.inference import render
from tf_model.inference.attribution import Attribution, Explanation
from tf_model.inference.render import BAR, explain_texts
from tf_model.inference.targets import TargetPredictor
from tf_model.predict import Predictor


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


@pytest.fixture
def targets(monkeypatch):
    """The command with a stub that answers for each product, and guesses if a text names none."""
    guesser = stub(has_emotion=True)
    found = TargetPredictor(target_stub(), Products({"Xbox": [], "[red]Kindle[/red]": ["Kindle"]}), guesser)
    monkeypatch.setattr(TargetPredictor, "load", lambda *_: found)
    return found


def test_targets_show_each_text_once_and_say_what_a_guess_is(targets, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "120")
    text = "Xbox bad, my Kindle is great"
    predict.main(["--targets", "--text", text, "--text", text, "--text", "an ipad", "--format", "table"])
    lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.split("\u2502")[1:-1]] for line in lines if "%" in line]
    xbox, kindle = ["Xbox", "Xbox", EMOTIONS[0], "60.0%"], ["[red]Kindle[/red]", "Kindle", EMOTIONS[2], "60.0%"]
    guess = ["an ipad", "", "unnamed", EMOTIONS[2], "100.0%"]
    assert rows == [[text, *xbox], ["", *kindle], [text, *xbox], ["", *kindle], guess]
    assert "unnamed: the text names no product on the list; its row is the answer model's guess" in lines[-1]
    assert "start" not in lines[1]
    monkeypatch.setattr(TargetPredictor, "load", lambda *_: replace(targets, answer=None))
    predict.main(["--targets", "--text", "an ipad", "--format", "table"])
    said = capsys.readouterr().out
    assert "nan" not in said
    assert "unnamed" not in said


def test_many_columns_stand_below_one_another(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(Predictor, "load", lambda folder=None: stub(has_emotion=True))
    predict.main(["--text", "an iPad", "--text", "tea", "--format", "table", "--probabilities"])
    rows = [[cell.strip() for cell in line.split("\u2502")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    assert [row[1] for row in rows if row and row[0] == "text"] == ["an iPad", "tea"]
    assert ["answer confidence", "100.0%"] in rows
    assert [f"emotion probability {EMOTIONS[0]}", "0.0%"] in rows


def test_a_long_text_is_shortened_on_the_terminal_only(stubbed, capsys):
    predict.main(["--text", "x" * 1000, "--format", "table"])
    assert capsys.readouterr().out.count("x") == render.SHOWN_CHARACTERS - 1 + 1  # one in the heading "text"


def test_a_log_gets_a_line_of_progress_now_and_then(monkeypatch, capsys):
    clock = iter([0.0, 30.0, 90.0, 100.0])
    monkeypatch.setattr(render.time, "monotonic", lambda: next(clock))
    with render.count_progress(1_000, show=True) as advance:
        advance(100)  # after 30 s: too early for a line
        advance(80)
    assert capsys.readouterr().err.splitlines() == [
        "180 of 1,000 texts, 7 min left (2 texts/s)",
        "180 texts in 100.0 s (2 texts/s)",
    ]


def test_no_end_is_foretold_before_the_first_text_is_done(monkeypatch, capsys):
    monkeypatch.setattr(render, "SECONDS_BETWEEN_LINES", 0)
    with render.count_progress(1_000, show=True) as advance:
        advance(0)  # a share of a long text
    assert capsys.readouterr().err.startswith("0 texts in 0.0 s")


# ---------------------------------------------------------------- explanations

PRODUCT = Attribution("iPad", (0.0, 2.0, -0.5))
EMOTION = Attribution(EMOTIONS[0], (0.25, -1.0, 1.0))
FOUND = Explanation(("my", "[red]iPad[/red]", "\x1b[31mbroke"), {"product": PRODUCT, "emotion": EMOTION})


@pytest.fixture
def explaining(monkeypatch):
    """A function that explains one text with the stub, which returns what it is given."""

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


def test_a_narrow_terminal_shows_every_word_and_bar(explaining, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    product = replace(PRODUCT, label="Other Google product or service")
    emotion = replace(EMOTION, label="No emotion toward brand or product")
    explaining(Explanation(("my", "iPad", "broke"), {"product": product, "emotion": emotion}))
    rows = rows_of(capsys.readouterr().out)
    assert rows["iPad"] == ["+2.00", "+" * BAR, "-1.00", "-" * (BAR // 2)]
    assert {"my", "broke"} < rows.keys()


def test_a_model_of_one_task_shows_that_task_alone(explaining, capsys):
    explaining(replace(FOUND, tasks={"product": PRODUCT}), has_emotion=False)
    printed = capsys.readouterr().out
    assert rows_of(printed)["[red]iPad[/red]"] == ["+2.00", "+" * BAR]
    assert "emotion" not in printed


def test_a_label_of_a_strange_model_reaches_no_terminal_as_it_is(explaining, capsys):
    explaining(replace(FOUND, tasks={"emotion": replace(EMOTION, label="\x1b[31mred")}))
    printed = capsys.readouterr().out
    assert "for ␛[31mred" in printed
    assert "\x1b" not in printed


def test_weights_of_nothing_are_no_bars(explaining, capsys):
    explaining(replace(FOUND, tasks={task: Attribution("", (0.0,) * 3) for task in FOUND.tasks}))
    assert rows_of(capsys.readouterr().out)["my"] == ["+0.00", "+0.00"]


def test_no_words_are_said_to_be_none(explaining, capsys):
    explaining(Explanation((), {"product": Attribution("iPad", ())}), text="")
    assert "the text has no words: nothing to explain" in capsys.readouterr().out


def words_of(predictor: Predictor, text: str) -> Explanation:
    """In place of Predictor.explain: the product and the word "bad"."""
    if "target" not in predictor.labels:
        return FOUND
    product = re.search("\x02(.*)\x03", text)[1]
    return Explanation((product, "bad"), {"target": Attribution(EMOTIONS[0], (0.5, 1.0))})


@pytest.fixture
def explained(targets, monkeypatch):
    """The command with a stub that explains."""
    monkeypatch.setattr(Predictor, "explain", words_of)
    found = replace(targets, answer=None)
    monkeypatch.setattr(TargetPredictor, "load", lambda *_: found)
    return found


def test_each_product_of_a_text_is_explained(explained, capsys):
    assert predict.main(["--targets", "--explain", "--text", "Xbox bad, my Kindle is great", "--text", "tea"]) == 0
    printed = capsys.readouterr().out
    assert f"{EMOTIONS[0]} \u2192 Xbox: {EMOTIONS[0]} (0.600)\n" in printed
    assert f"{EMOTIONS[2]} \u2192 [red]Kindle[/red]: " in printed
    assert rows_of(printed)["Xbox"] == ["+0.50", "+" * (BAR // 2)]
    assert rows_of(printed)["Kindle"] == ["+0.50", "+" * (BAR // 2)]
    assert printed.endswith("tea\nthe text names no product on the list: nothing to explain\n")


def test_json_holds_an_explanation_for_each_product(explained, capsys):
    text = "Xbox bad, my Kindle is great"
    predict.main(["--targets", "--explain", "--text", text, "--text", "tea", "--threshold", "1", "--format", "json"])
    first, second, third = map(json.loads, capsys.readouterr().out.splitlines())
    explanation = {
        "words": ["Xbox", "bad"],
        "tasks": {"emotion": {"label": EMOTIONS[0], "weights": [0.5, 1]}},
    }
    product = {"product": "Xbox", "mention": "Xbox", "start": 0, "end": 4}
    assert first == {
        "text": text,
        **product,
        "emotion": "Not sure",
        "emotion_confidence": 0.6,
        "explanation": explanation,
    }
    assert (second["start"], second["explanation"]["words"]) == (13, ["Kindle", "bad"])
    assert third == {"text": "tea", **dict.fromkeys([*list(first)[1:], "explanation"])}


def test_the_guess_for_a_text_that_names_no_product_is_explained_as_one(explained, monkeypatch, capsys):
    monkeypatch.setattr(TargetPredictor, "load", lambda *_: replace(explained, answer=stub(has_emotion=True)))
    predict.main(["--targets", "--explain", "--text", "my iPad broke"])
    printed = capsys.readouterr().out
    assert f"{EMOTIONS[2]} (a guess: the text names no product on the list): " in printed
    assert rows_of(printed)["my"] == ["+0.25", "+" * (BAR // 4)]


def test_an_explanation_is_in_the_encoding_of_the_terminal_and_json_in_utf_8(explaining, monkeypatch):
    for form, text in ((None, b"caf\xe9"), ("json", "café".encode())):
        written = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "latin-1", "backslashreplace"))
        explaining(FOUND, text="café", form=form)
        sys.stdout.flush()
        assert text in written.getvalue()


def test_json_holds_any_text_as_it_is_and_every_weight_and_nothing_raw(explaining, capsys):
    text = "caf\udce9 \x9b31m iPad\x1b broke\nnow"
    explaining(FOUND, text=text, form="json")
    (line,) = capsys.readouterr().out.splitlines()
    assert line.isprintable()
    said = json.loads(line)
    assert said["text"] == text
    assert said["explanation"]["words"] == list(FOUND.words)
    assert said["explanation"]["tasks"]["product"] == {"label": "iPad", "weights": [0.0, 2.0, -0.5]}
    assert said["product"] == "iPad"
    assert 0 < said["product_confidence"] <= 1
