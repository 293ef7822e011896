"""The frame: its pages, the state of the model beside them, and the offer to train where there is none."""

import subprocess
import sys
import time
import tomllib

import pytest
from app_stub import APP, StubPredictor, make_model, open_app, words_of

from streamlit_app.charts.theme import theme as charts
from streamlit_app.components import sample_training, sidebar
from tf_model import paths, tasks
from tf_model.inference.predictor import Predictor

VIEWS = APP.parent / "views"
EPOCHS = (
    "import time\nfor n in (1, 2):\n    print(f'epoch {n}/2  loss 0.5  0 s left', flush=True)\n    time.sleep(0.1)\n"
)


def badges(app) -> str:
    return "\n".join(each.value for each in app.sidebar.markdown)


def test_the_first_page_is_ask_and_the_sidebar_tells_the_model(stub):
    stub.metrics |= {"validation": {"answer": {"accuracy": 0.7, "accuracy_interval": [0.68, 0.72], "rows": 659}}}
    app = open_app()
    assert app.title[0].value == "Ask"
    assert "Ready" in badges(app)
    said = [each.value for each in app.sidebar.caption]
    assert "**answer** tells product and emotion." in said
    assert (
        "Answer accuracy 0.700 (95%: 0.680 to 0.720), 659 validation tweets; of the best guess, nothing withheld"
        in said
    )


def test_a_page_whose_file_is_missing_is_left_out(stub, monkeypatch, tmp_path):
    (tmp_path / "views").mkdir()
    (tmp_path / "views" / "ask.py").write_text("import streamlit as st\nst.title('Only this')\n")
    (tmp_path / "icon.svg").write_bytes((APP.parent / "icon.svg").read_bytes())
    (tmp_path / "app.py").write_text(APP.read_text(encoding="utf-8"))
    from streamlit.testing.v1 import AppTest

    app = AppTest.from_file(str(tmp_path / "app.py"), default_timeout=30).run()
    assert not app.exception
    assert app.title[0].value == "Only this"


@pytest.mark.parametrize("module", [str(each.relative_to(APP.parent)) for each in sorted(APP.parent.rglob("*.py"))])
def test_nothing_renders_html(module):
    source = (APP.parent / module).read_text(encoding="utf-8")
    assert "unsafe_allow_html" not in source
    assert "st.html(" not in source


def test_without_a_model_the_page_says_so_and_offers_to_train(models):
    for page in ("ask", "batch"):
        app = open_app(page)
        assert app.warning[0].value == "There is no trained model yet, so nothing can be answered."
        assert app.code[0].value == "make answer"
        assert app.code[1].value.startswith("python -m tf_model.train ")
        assert "--data data/sample.csv" in app.code[1].value.replace(str(paths.ROOT) + "/", "")
        assert "No model yet" in badges(app)
        assert not app.text_area


def test_a_broken_model_is_said_to_be_broken(models):
    (models / "answer").mkdir()
    app = open_app()
    assert app.error[0].value == "The model cannot be used."
    assert "saved_model.pb is missing" in words_of(app)
    assert "Cannot be used" in badges(app)
    assert "Choose another one" not in words_of(app)


def test_beside_a_broken_model_another_one_can_be_chosen(models, monkeypatch, stub_later):
    make_model(models, "sample")
    (models / "answer").mkdir()
    app = open_app()
    assert "Choose another one beside the page: sample." in words_of(app)
    app.selectbox(key="model_in_use").set_value("sample").run()
    assert app.text_area


def test_a_model_of_the_sample_corpus_is_announced_on_both_pages(stub):
    stub.metrics["dataset"] = "sample"
    for page in ("ask", "batch"):
        app = open_app(page)
        assert "trained on the small sample corpus" in app.warning[0].value
        assert "sample corpus" in badges(app)


def test_what_a_model_of_the_real_tweets_does_not_know_is_said_on_both_pages(stub):
    known = "It knows 9 Apple and Google products from English tweets of one festival in March 2011"
    stub.metrics["dataset"] = "custom"
    assert known not in words_of(open_app())
    stub.metrics["dataset"] = "assignment"
    for page in ("ask", "batch"):
        assert f"{known}: a text about another brand still gets one of them." in words_of(open_app(page))
    stub.tasks = ("emotion",)
    said = words_of(open_app())
    assert "It knows emotions toward Apple and Google from English tweets of one festival in March 2011." in said


def test_a_model_that_was_replaced_is_announced(stub, models):
    app = open_app()
    assert not app.toast
    (models / "answer" / "saved_model.pb").unlink()
    (models / "answer" / "saved_model.pb").write_bytes(b"another")
    app.run()
    assert "The model was replaced" in app.toast[0].value


def test_another_model_can_be_chosen(stub, models, monkeypatch):
    make_model(models, "product")
    monkeypatch.setattr(Predictor, "load", lambda folder: StubPredictor(("product",)) if "product" in folder else stub)
    app = open_app()
    app.text_area(key="ask_text").set_value("I love the iPad").run()
    assert app.header[0].value == "Positive emotion → iPad"
    app.selectbox(key="model_in_use").set_value("product").run()
    assert app.header[0].value == "iPad"
    assert "**product** tells product." in [each.value for each in app.sidebar.caption]


def test_the_box_names_the_model_that_answers_also_where_a_new_one_goes_before_it(models, stub_later):
    for name in ("product", "sample"):
        make_model(models, name)
    app = open_app()
    assert app.selectbox(key="model_in_use").value == "product"
    make_model(models, "answer")
    app.run()
    named = app.selectbox(key="model_in_use").value
    assert named == "answer"
    assert any(each.value.startswith(f"**{named}** tells") for each in app.sidebar.caption)
    app.selectbox(key="model_in_use").set_value("sample").run()
    make_model(models, "newer")
    app.run()
    assert app.selectbox(key="model_in_use").value == "sample"


def test_figures_of_single_and_joint_models():
    single = {"validation": {"accuracy": 0.8756, "accuracy_interval": [0.848, 0.899], "rows": 659}}
    assert sidebar.figures(single) == ["Accuracy 0.876 (95%: 0.848 to 0.899), 659 validation tweets"]
    joint = {"validation": {"product": single["validation"], "emotion": {"accuracy": 0.7, "rows": 1000}, "x": 1}}
    assert sidebar.figures(joint)[1] == "Emotion accuracy 0.700, 1,000 validation tweets"
    assert sidebar.figures({}) == []


# ---------------------------------------------------------------- training from the page


def pressed(app, label):
    next(each for each in app.button if each.label == label).click().run()
    assert not app.exception, app.exception
    return app


def test_the_training_command_is_one_that_the_trainer_takes(models):
    command = sample_training.command(models, paths.SAMPLE_CORPUS)
    assert command[:3] == ["python", "-m", "tf_model.train"]
    refused = subprocess.run(
        [sys.executable, *command[1:], "--name", ".hidden"], capture_output=True, text=True, cwd=paths.ROOT, check=False
    )
    assert "--name is the name of a folder" in refused.stderr  # every option before it was understood


def test_training_shows_its_progress_and_then_the_model(models, monkeypatch, stub_later):
    script = EPOCHS + f"import pathlib; p = pathlib.Path({str(models)!r}) / 'sample'; p.mkdir()\n"
    script += "(p / 'saved_model.pb').write_bytes(b'x')\n"
    monkeypatch.setattr(sample_training, "command", lambda *_: ["python", "-c", script])
    app = pressed(open_app(), "Train on the sample corpus")
    sample_training._slot().run.wait(20)
    assert (sample_training._slot().run.done, sample_training._slot().run.total) == (2, 2)
    app.run()
    assert app.text_area
    assert "trained on the small sample corpus" in app.warning[0].value


def test_a_running_training_is_seen_by_everybody_and_can_be_cancelled(models, monkeypatch):
    script = EPOCHS + "time.sleep(60)\n"
    monkeypatch.setattr(sample_training, "command", lambda *_: ["python", "-c", script])
    pressed(open_app(), "Train on the sample corpus")
    run = sample_training._slot().run
    until = time.monotonic() + 20
    while run.done < 2 and time.monotonic() < until:
        time.sleep(0.05)
    other = open_app()
    assert any("epoch 2/2" in each.value for each in other.code)
    assert not any(each.label == "Train on the sample corpus" for each in other.button)
    pressed(other, "Cancel the training")
    assert not run.running
    assert run.cancelled
    assert "The training was cancelled." in words_of(other)


def test_a_failed_training_shows_what_it_said(models, monkeypatch):
    monkeypatch.setattr(
        sample_training, "command", lambda *_: ["python", "-c", "raise SystemExit('error: no backbone')"]
    )
    app = pressed(open_app(), "Train on the sample corpus")
    sample_training._slot().run.wait(20)
    app.run()
    assert "The training ended with an error." in words_of(app)
    assert any("error: no backbone" in each.value for each in app.code)


@pytest.fixture
def stub_later(monkeypatch):
    """A model that answers once there is one."""
    made = StubPredictor(metrics={"dataset": "sample"})
    monkeypatch.setattr(Predictor, "load", lambda folder: made)
    return made


# ---------------------------------------------------------------- the look


def test_every_label_has_a_colour_of_its_own():
    colours = [charts.colour_of(label) for label in tasks.PRODUCTS]
    assert len(set(colours)) == len(tasks.PRODUCTS)
    assert set(colours) == set(charts.PALETTE)
    assert len({charts.colour_of(label) for label in tasks.EMOTIONS}) == len(tasks.EMOTIONS)
    assert charts.colour_of("anything") == charts.GREY


def test_the_settings_keep_to_this_machine_and_have_the_same_colours():
    config = tomllib.loads((APP.parent / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert tuple(config["theme"]["chartCategoricalColors"][: len(charts.PALETTE)]) == charts.PALETTE
    assert config["browser"]["gatherUsageStats"] is False
    assert config["server"]["address"] == "localhost"
    assert {"light", "dark"} <= set(config["theme"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_buttons_and_chosen_words_can_be_read(scheme):
    theme = tomllib.loads((APP.parent / ".streamlit" / "config.toml").read_text(encoding="utf-8"))["theme"][scheme]
    assert contrast(theme["primaryColor"], "#FFFFFF") >= 4  # streamlit writes white on its buttons
    assert contrast(theme["primaryColor"], theme["backgroundColor"]) >= 4
    assert contrast(theme["textColor"], theme["backgroundColor"]) >= 7


def contrast(one: str, other: str) -> float:
    """As WCAG 2.2 defines it, 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_legend_lies_below_the_axis_of_a_low_chart():
    figure = charts.legend_below(charts.horizontal_bars(["a"], [1.0]))
    assert figure.layout.legend.yref == "container"  # not a share of the plot, which may be one bar high
    assert charts.legend_below(figure, x_title=True).layout.margin.b > figure.layout.margin.t


def test_an_axis_title_makes_a_chart_higher():
    assert (
        charts.horizontal_bars(["a"], [1.0], x_title="x").layout.height
        > charts.horizontal_bars(["a"], [1.0]).layout.height
    )


def test_labels_of_charts_are_read_letter_by_letter():
    figure = charts.horizontal_bars(["<b>x</b>", "a & b"], [0.2, 0.8], percent=True, title="T")
    assert figure.layout.yaxis.ticktext == ("&lt;b&gt;x&lt;/b&gt;", "a &amp; b")
    assert figure.data[0].x == (0.2, 0.8)
    assert figure.layout.yaxis.autorange == "reversed"
    assert figure.layout.title.text == "T"
    assert figure.layout.paper_bgcolor is None  # the theme of the page decides
