"""The emotion toward each product: marked in the text, explained, corrected, for a file, with a custom list."""

import io
import os
from pathlib import Path
from types import SimpleNamespace

import app_stub
import pandas as pd
import pytest
from app_stub import StubTargets, ask, log_of, make_model, open_app, open_run, press, run_of, said, upload, words_of

from streamlit_app.charts import theme, token_highlighting
from streamlit_app.components import explorer, loading, notices, products, recording, runs
from tf_model import model_dir, tasks
from tf_model.data.products import Products, write_products
from tf_model.eda import NO_LABEL
from tf_model.errors import ModelError
from tf_model.inference.predictor import Predictor
from tf_model.monitor.__main__ import main
from tf_model.preprocessing.cleaning import mark

TEXT = "👍 I love my Kindle, but hate the <b>Xbox</b>"
KINDLE, XBOX = (12, 18), (36, 40)
FILE = 'text\n"I love my Kindle, hate the Xbox, hmm love the Xbox"\n\nI love the iPad\nan e-reader\n'


@pytest.fixture
def shown(monkeypatch):
    """The highlighted pieces of each text drawn."""
    drawn = []

    def draw(data, key):
        drawn.append((key, data["pieces"]))

    monkeypatch.setattr(token_highlighting, "component", lambda *_, **__: draw)
    return drawn


def pieces_of(shown, beginning):
    return next(pieces for key, pieces in reversed(shown) if key.startswith(beginning))


# ---------------------------------------------------------------- Ask


def test_each_product_is_marked_in_the_text_and_has_a_line(targets, shown):
    said = words_of(ask(TEXT))
    assert pieces_of(shown, "mentions") == [
        ("👍 I love my ", "", "", "", ""),
        ("Kindle", "word mention", f"{theme.POSITIVE}59", tasks.POSITIVE, ""),
        (", but hate the <b>", "", "", "", ""),
        ("Xbox", "word mention", f"{theme.NEGATIVE}59", tasks.NEGATIVE, ""),
        ("</b>", "", "", "", ""),
    ]
    assert "**Kindle**: Positive emotion, 94% sure" in said
    assert "**Xbox**: Negative emotion, 94% sure" in said
    assert "<b>" not in said


def test_a_screen_reader_is_told_the_answers(targets, monkeypatch):
    told = []
    monkeypatch.setattr(notices, "component", lambda *_, **__: lambda data, key: told.append(data))
    app = ask(TEXT, open_app())
    unfit = "This text is not fit for the model, so the answer means little: no known product."
    assert told == ["", f"Kindle: Positive emotion. Xbox: Negative emotion. {unfit} Positive emotion → Apple."]
    ask(" ", app)
    assert told[-1] == ""


def test_an_unfit_text_is_never_said_to_be_sure(targets, monkeypatch):
    told = []
    monkeypatch.setattr(notices, "component", lambda *_, **__: lambda data, key: told.append(data))
    app = ask(TEXT * 20)
    said = words_of(app)
    assert not app.get("plotly_chart")
    assert "**Kindle**: Positive emotion, which means little here" in said
    assert "94%" not in said
    words = "This text is not fit for the model, so the answer means little: longer than the model reads (at most "
    assert told[-1].startswith(words)
    said = words_of(ask("a Kindle, hmm an Xbox " * 40))
    assert "**Xbox**: Not sure, which means little here" in said
    assert "confidence" not in said


def test_no_emotion_and_not_sure_have_words_and_colours_of_their_own(targets, shown):
    said = words_of(ask("a Kindle, hmm an Xbox"))
    (_, (_, _, none, label, _), _, (_, _, unsure, word, _), _) = pieces_of(shown, "mentions")
    assert (none, label, word) == (f"{theme.NEUTRAL}59", "none", "Not sure")
    assert unsure not in (f"{theme.NEUTRAL}59", f"{theme.POSITIVE}59", f"{theme.NEGATIVE}59")
    assert "**Kindle**: No emotion toward brand or product, 94% sure" in said
    assert "**Xbox**: Not sure, the best guess has 40%" in said


def test_the_answer_for_the_whole_text_stands_below(targets):
    app = ask(TEXT)
    assert [each.value for each in app.header] == ["The whole text", "Positive emotion → Apple"]
    assert not ask("a Kindle").exception


def test_without_an_answer_model_the_products_are_all(models, targets):
    (models / "answer" / "saved_model.pb").unlink()
    (models / "answer").rmdir()
    app = ask(TEXT)
    assert "**Kindle**: Positive emotion, 94% sure" in words_of(app)
    assert not app.header
    assert "This text names none of the products." in words_of(ask("I love the iPad", app))


def test_a_model_of_targets_that_is_chosen_is_asked(models, targets, monkeypatch):
    other = StubTargets(folder=make_model(models, "mine"))
    (other.folder / "products.csv").write_text("name,aliases\niPad,\n")
    load = Predictor.load
    monkeypatch.setattr(Predictor, "load", lambda folder: other if folder.endswith("mine") else load(folder))
    app = open_app()
    app.selectbox(key=loading.CHOICE).set_value("mine").run()
    said = words_of(ask("I love the iPad and the Kindle", app))
    assert "The model's list: iPad" in said
    assert "**iPad**: Positive emotion" in said
    assert "**Kindle**" not in said
    assert "The whole text" in said
    assert any("predicts the emotion toward each product" in each.value for each in app.sidebar.caption)


def test_of_a_text_that_names_none_the_answer_for_the_whole_text_is_a_guess(targets):
    app = ask("I love the iPad")
    assert "This text names none of the products, so the answer below, for the whole text, is a guess." in words_of(app)
    assert [each.value for each in app.header] == ["The whole text", "Positive emotion → iPad"]


def test_the_words_that_counted_are_those_for_the_chosen_product(targets, shown):
    app = ask(TEXT)
    assert targets.explained == [mark(TEXT, *KINDLE)]
    words = [piece[0] for piece in pieces_of(shown, "highlighted_words_target")]
    assert words[8] == "Kindle,"
    next(each for each in app.segmented_control if each.label == "Show the words for").set_value("Xbox").run()
    assert targets.explained[-1] == mark(TEXT, *XBOX)
    assert "<b>Xbox</b>" in [piece[0] for piece in pieces_of(shown, "highlighted_words_target")]
    type_list(app, "Kindle")  # a list without the Xbox
    assert targets.explained[-1] == mark(TEXT, *XBOX), "that for the Kindle is remembered"
    assert "Kindle," in [piece[0] for piece in pieces_of(shown, "highlighted_words_target")]


def test_words_left_out_around_a_mention_are_told_from_the_words_of_the_mention(targets):
    app = ask("I love the pixel two", type_list(open_app(), "Pixel: pixel two"))
    assert "**Pixel**: Positive emotion" in words_of(app)
    assert "were weighed" not in words_of(app)
    assert "128 of the text's 204 words were weighed." in words_of(ask("I love the pixel two" + " word" * 200, app))


def test_a_rerun_finds_nothing_anew(targets, stub):
    app = ask(TEXT)
    calls = len(targets.calls)
    app.run()
    assert len(targets.calls) == calls
    for line in ("Kindle", "Xbox"):
        type_list(app, line)
    assert len(stub.calls) == 1, "the answer for the whole text stays"


def test_a_model_of_targets_that_fails_leaves_the_answer(targets, models):
    targets.fails = ModelError("no memory left")
    app = ask(TEXT)
    assert app.error[0].value == "The emotions toward the products in this text could not be predicted."
    assert app.header[-1].value == "Positive emotion → Apple"
    with pytest.raises(FileNotFoundError, match=r"answers\.parquet"):
        answer()
    assert log_of(models, "target").rows("errors").empty, "as its answers are not recorded"


def test_a_model_of_targets_that_is_broken_leaves_the_answer_and_its_runs(targets, models, stub, monkeypatch):
    run = run_of(answer()[0])
    os.utime(models / "target" / "saved_model.pb", ns=(1, 1))

    def load(folder):
        if folder.endswith("target"):
            raise ModelError("damaged")
        return stub

    monkeypatch.setattr(Predictor, "load", load)
    app = ask(TEXT)
    assert app.error[0].value == "The model `target` cannot be used."
    assert "3 rows answered in" in open_run(run).success[0].value
    assert app.header[0].value == "Positive emotion → Apple"


# ---------------------------------------------------------------- a custom list


def type_list(app, lines):
    app.text_area(key=products.TYPED).set_value(lines).run()
    assert not app.exception, app.exception
    return app


def test_products_can_be_typed_and_stay_in_the_session(targets):
    app = type_list(ask("I love the Pixel 2, hate the Switch"), "Pixel: pixel 2;pixel two\n\nSwitch\n")
    said = words_of(app)
    assert "Your list: Pixel\\, Switch" in said
    assert "**Pixel**: Positive emotion" in said
    assert "**Switch**: Negative emotion" in said
    app.switch_page("views/batch.py").run()
    app.switch_page("views/ask.py").run()
    assert "Your list: Pixel\\, Switch" in words_of(app)
    press(app, "Use the model's own list")
    assert "The model's list: Kindle\\, Xbox" in words_of(app)
    assert app.text_area(key=products.TYPED).value == ""


def test_products_typed_in_one_line_are_not_taken_for_one_product(targets):
    app = ask("I love the Pixel, hate the Switch")
    for typed, problem in (
        ("Pixel, Switch", "has a comma; write one product per line"),
        ("Pixel Core: switch, tab", "has a comma; write one product per line"),
        ("Pixel\tnexus\nSwitch\tnintendo", "has a tab; write one product per line, a colon after its name"),
        ("Pixel; Switch", "has a ; but no colon before it; one product per line"),
        ("Pixel: 2\nPixel : Pro", "'Pixel' has two lines; put all its aliases on one, and leave colons out of names"),
    ):
        assert problem in words_of(type_list(app, typed))
        assert "The model's list" in words_of(app)
    assert "Your list: Pixel" in words_of(type_list(app, "Pixel: re:pixel{1,2}\n\n Pixel: re:pixel{1,2}"))


def test_a_products_file_can_be_uploaded(targets):
    app, content = open_app(), b"- name: Pixel\n  aliases: [pixel 2]\n"
    app.file_uploader(key=products.FILE).set_value(("mine.yaml", content, "text/plain")).run()
    assert "**Pixel**: Positive emotion" in words_of(ask("I love the pixel 2", app))


def test_a_bad_list_gives_one_line_and_the_one_before_stays(targets):
    app = type_list(type_list(open_app(), "Pixel"), "Pixel: a\nSwitch: a")
    assert app.error[0].value == "This list of products cannot be used; the one below is in use."
    said = "your list: 'Pixel' and 'Switch' have the same alias 'a'; leave it to one of them"
    assert said in app.text[-1].value
    assert "Your list: Pixel" in words_of(app)
    assert not type_list(app, "Pixel").error


def test_a_huge_products_file_is_refused_before_it_is_read(targets, monkeypatch):
    monkeypatch.setattr(products, "MOST_BYTES", 20)
    app = type_list(open_app(), "Pixel")
    app.file_uploader(key=products.FILE).set_value(("mine.csv", b"name,aliases\nSwitch,\n", "text/csv")).run()
    assert app.text[-1].value == "'mine.csv' has more than 20 bytes, the most allowed."
    assert app.file_uploader(key=products.FILE).proto.max_upload_size_mb == 1
    assert "Your list: Pixel" in words_of(app)


def test_without_the_file_the_typed_list_is_used_again(targets):
    app = type_list(open_app(), "Pixel")
    app.file_uploader(key=products.FILE).set_value(("mine.csv", b"no table", "text/csv")).run()
    assert app.error[0].value == "This list of products cannot be used; the one below is in use."
    app.file_uploader(key=products.FILE).set_value(None).run()
    assert not app.error
    assert app.text_area(key=products.TYPED).value == "Pixel"
    assert "Your list: Pixel" in words_of(app)


def test_without_the_file_a_refused_typed_list_is_still_said_to_be_refused(targets):
    app = open_app()
    app.file_uploader(key=products.FILE).set_value(("mine.csv", b"name,aliases\nPixel,\n", "text/csv")).run()
    type_list(app, "Echo, Alexa").file_uploader(key=products.FILE).set_value(None).run()
    assert "has a comma" in app.text[-1].value
    assert "The model's list" in words_of(app)


def test_without_the_typed_list_the_file_is_used_again(targets):
    app = type_list(open_app(), "Switch")
    app.file_uploader(key=products.FILE).set_value(("mine.csv", b"name,aliases\nPixel,\n", "text/csv")).run()
    assert "Your list: Pixel" in words_of(type_list(app, ""))


def test_without_a_refused_file_the_list_of_the_file_before_it_stays(targets):
    app = open_app()
    for name, content in (("mine.csv", b"name,aliases\nPixel,\n"), ("bad.csv", b"no table")):
        app.file_uploader(key=products.FILE).set_value((name, content, "text/csv")).run()
    app.file_uploader(key=products.FILE).set_value(None).run()
    assert not app.error
    assert "Your list: Pixel" in words_of(app)
    app.file_uploader(key=products.FILE).set_value(("mine.csv", b"name,aliases\nSwitch,\n", "text/csv")).run()
    app.file_uploader(key=products.FILE).set_value(None).run()
    assert "The model's list" in words_of(app), "a file in use is gone with its list"


def test_a_change_of_the_models_list_shows_at_once(targets, models):
    assert "The model's list: Kindle\\, Xbox" in words_of(open_app())
    write_products(Products({"Pixel": ["pixel"]}), models / "target" / model_dir.PRODUCTS)
    assert "The model's list: Pixel" in words_of(open_app())


def test_a_bad_file_is_explained_by_its_own_name(targets):
    app = open_app()
    app.file_uploader(key=products.FILE).set_value(("[x](y).csv", b"name,aliases\nPixel,!\n", "text/csv")).run()
    assert app.text[-1].value.startswith("[x](y).csv: the alias '!' of 'Pixel' must hold a letter or a digit")


def test_names_are_never_read_as_markdown(targets):
    said = words_of(ask("I love a bold pixel", type_list(open_app(), "[x](y): pixel\n**bold**: bold")))
    assert "Your list: \\[x\\]\\(y\\)\\, \\*\\*bold\\*\\*" in said
    assert "**\\[x\\]\\(y\\)**: Positive emotion" in said


# ---------------------------------------------------------------- feedback


def choose(app, label, value):
    next(each for each in app.selectbox if each.label == label).set_value(value)
    return app


def store(app):
    return press(app, "Store")


def spans(models):
    kept = log_of(models, "target").rows("corrections")[::-1]
    columns = ["text", "correct_product", "correct_emotion", "start", "end", "is_correct"]
    return [tuple(row) for row in kept[columns].itertuples(index=False)]


def test_an_emotion_is_corrected_a_mention_added_and_one_removed(targets, models, tmp_path, capsys):
    app = ask(TEXT)
    store(choose(app, "The emotion toward it is …", tasks.NEGATIVE))
    assert app.success[0].value == "Thank you. Your feedback is stored."
    choose(app, "About …", "Xbox").run()
    store(choose(app, "The emotion toward it is …", "These words do not name it"))
    choose(app, "About …", "A product that was missed …").run()
    next(each for each in app.text_input if each.label.startswith("The words")).set_value("love my ")
    store(choose(choose(app, "They name …", "Xbox"), "The emotion toward it is …", tasks.POSITIVE))
    next(each for each in app.text_input if each.label.startswith("The words")).set_value("but")
    store(store(app))  # the second replaces the first, which Undo must not count
    assert spans(models) == [
        (TEXT, "Kindle", tasks.NEGATIVE, *KINDLE, False),
        (TEXT, "Xbox", tasks.NO_EMOTION, *XBOX, False),
        (TEXT, "Xbox", tasks.POSITIVE, 4, 11, False),
        (TEXT, "Xbox", tasks.POSITIVE, 20, 23, False),
    ]
    log = log_of(models, "target")
    assert log.rows("corrections")["answer"].fillna("").tolist() == ["", "", tasks.NEGATIVE, tasks.POSITIVE]
    assert main(["export", "--log", str(log.path), str(tmp_path / "out.csv")]) == 0
    assert "(2 rows; left out: 2 corrections " in capsys.readouterr().err, "for the Xbox, the last one counts"
    press(press(app, "Undo"), "Undo")
    assert [each[1] for each in spans(models)] == ["Kindle", "Xbox"], "both missed ones are taken back"
    assert not app.success


def test_a_correction_of_one_mention_is_taken_back_alone(targets, models):
    app = store(ask(TEXT))
    choose(app, "About …", "Xbox").run()
    store(app)
    press(app, "Undo")
    assert spans(models) == [(TEXT, "Kindle", tasks.POSITIVE, *KINDLE, True)]
    assert not app.success


def test_the_metrics_for_prometheus_are_those_of_the_answer_model(targets, monkeypatch):
    attached = []
    exporter = SimpleNamespace(attach=lambda log, *_: attached.append(log.model))
    monkeypatch.setattr(recording, "serve_metrics", lambda: exporter)
    ask(TEXT)
    assert attached == ["answer"]


def other_notes(app):
    return [each.value for each in app.info if "This text is not fit" not in each.value]


def test_a_missed_mention_is_beside_those_that_were_found(targets, models):
    app = store(ask("I love my Kindle, hate the old Kindle"))
    choose(app, "About …", "A product that was missed …").run()
    next(each for each in app.text_input if each.label.startswith("The words")).set_value("Kindle")
    store(choose(choose(app, "They name …", "Kindle"), "The emotion toward it is …", tasks.NEGATIVE))
    assert [each[2:5] for each in spans(models)] == [(tasks.POSITIVE, 10, 16), (tasks.NEGATIVE, 31, 37)]


def test_missed_words_are_marked_where_they_are_whole_words(targets, models):
    for text, words in (("worth the wait for it", "it"), ("oniPod", "iPod")):
        app = ask(text)
        next(each for each in app.text_input if each.label.startswith("The words")).set_value(words)
        store(choose(app, "The emotion toward it is …", tasks.POSITIVE))
        assert other_notes(app) == ["Choose a product first."]
        store(choose(app, "They name …", "Xbox"))
    assert [each[3:5] for each in spans(models)] == [(19, 21), (2, 6)]


@pytest.mark.parametrize("words", ["", "iPod"])
def test_missed_words_must_stand_in_the_text(targets, models, words):
    app = ask("no product here")
    next(each for each in app.text_input if each.label.startswith("The words")).set_value(words)
    store(choose(choose(app, "They name …", "Xbox"), "The emotion toward it is …", tasks.POSITIVE))
    assert other_notes(app) == ["These words are not in the text. Copy them from it."]
    assert not spans(models)


def test_of_not_sure_an_emotion_must_be_chosen(targets, models):
    app = store(ask("hmm love the Kindle"))
    assert other_notes(app) == ["Choose an emotion first."]
    assert not spans(models)
    store(choose(app, "The emotion toward it is …", tasks.POSITIVE))
    assert len(spans(models)) == 1


# ---------------------------------------------------------------- Batch


def answer(rows="one row per product", content=FILE, lines=""):
    """Run a file; return the page of the run, and its result."""
    app = upload(content)
    if rows:
        app.segmented_control[0].set_value(rows).run()
    if lines:
        type_list(app, lines)
    return app_stub.answer(app), run_of(app).answers().table


def offer_anew(app):
    """Cancel the run of a page, then have it offered again in a session of its own."""
    run, app = run_of(app), open_app("batch")
    run.status = runs.CANCELLED
    run.save()
    app.query_params["run"] = run.id
    app.run()
    return press(app, "Answer it again")


def test_a_file_gets_a_row_for_each_product(targets):
    app, result = answer(rows=None)
    of_mention = ["product", "mention", "start", "end", "emotion", "emotion_confidence", "best_guess"]
    assert list(result) == ["text", *of_mention, "status"]
    assert result["product"].fillna("").tolist() == ["Kindle", "Xbox", "", "Kindle"]
    assert result["mention"].tolist() == ["Kindle", "Xbox", "unnamed", "e-reader"]
    assert result["text"].tolist()[0] == result["text"].tolist()[1]
    assert "Number of mentions by product: Kindle 2, Xbox 1." in [chart.proto.alt for chart in app.get("plotly_chart")]
    assert (
        "1 of 4 rows is not. The charts leave them out unless you tick the box:\n- no known product: **1**"
        in words_of(app)
    )
    assert "upload the file again and list them under “Products to look for”." in words_of(app)
    assert app.success[0].value.startswith("3 rows answered in")
    assert app.success[0].value.endswith("A text that names several products has a row for each: 4 rows below.")


def test_a_downloaded_csv_has_the_places_of_its_own_texts(targets, monkeypatch):
    made = {}
    monkeypatch.setattr(explorer, "offer_file", lambda label, data, *_, **__: made.setdefault(label, data))
    answer(content='text\n"@Kindle, I love the Xbox"\n=) the Kindle;=\nthe iPad\n"the Xbox;=) Kindle"\n')
    table = pd.read_csv(io.BytesIO(made["Download CSV"]())).dropna(subset="start")
    assert table["text"].tolist()[2:] == ["'=) the Kindle;'=", "the Xbox;'=) Kindle", "the Xbox;'=) Kindle"]
    places = zip(table["text"], table["start"].astype(int), table["end"].astype(int), strict=True)
    assert [text[start:end] for text, start, end in places] == table["mention"].tolist()


def test_a_model_of_whole_texts_with_other_emotions_does_not_guess(targets, own_model, monkeypatch):
    load = {"target": targets, "answer": own_model}
    monkeypatch.setattr(Predictor, "load", lambda folder: load[Path(folder).name])
    app, result = answer(content="text\nI love my Kindle\nThis is good\n")
    assert result[["mention", "emotion"]].fillna("").values.tolist() == [["Kindle", tasks.POSITIVE], ["", ""]]
    run = run_of(app).id
    assert app.multiselect(key=f"{run}_emotions").options == [*tasks.EMOTIONS, NO_LABEL]
    assert "This text names none of the products." in words_of(ask("This is good"))
    assert offer_anew(app).segmented_control[0].value == "one row per product"


def test_a_model_of_other_emotions_that_is_chosen_answers(stub, targets, own_model, models, monkeypatch):
    make_model(models, "mine")
    load = {"target": targets, "answer": stub, "mine": own_model}
    monkeypatch.setattr(Predictor, "load", lambda folder: load[Path(folder).name])
    app = upload(FILE)
    assert app.segmented_control[0].value == "one row per product"
    app.selectbox(key=loading.CHOICE).set_value("mine").run()
    assert app.segmented_control[0].value == "one row per text"
    app.selectbox(key=loading.CHOICE).set_value("target").run()
    assert app.segmented_control[0].value == "one row per product"


def test_a_text_of_two_products_is_not_counted_as_repeated(targets):
    app, _ = answer()
    run = run_of(app).id
    app.session_state[f"{run}_tab"] = "Repeats"
    assert not app.run().exception, app.exception
    assert app.selectbox(key=f"{run}_repeats_bar").options == ["once"]


def test_the_words_of_a_text_of_two_products_count_once(targets):
    app, _ = answer(content="text\nmy Kindle beats my Xbox\nthe Kindle screen\n")
    run = run_of(app).id
    app.session_state[f"{run}_tab"] = "Words"
    assert not app.run().exception, app.exception
    chart = next(each.proto.alt for each in app.get("plotly_chart") if each.proto.alt.startswith("Most frequent"))
    assert chart == "Most frequent words: kindle 2, beats 1, screen 1, xbox 1."
    app.selectbox(key=f"{run}_frequent_False_bar").set_value("beats").run()
    assert list(app.dataframe[-1].value)[:4] == ["text", "product", "emotion", "best_guess"]
    assert "1 row." in [each.value for each in app.caption]


def test_intervals_across_all_products_are_said_to_be_too_narrow(targets):
    run = run_of(answer(content="text,date,source\nmy Kindle,2024-05-01,a\nmy Xbox,2024-05-02,b\n")[0])
    for tab in ("Over time", "Compare"):
        app = app_stub.open_run(run, tab)
        if tab == "Compare":
            app.multiselect(key=f"{run.id}_A_sources").set_value(["a"]).run()
        assert "which makes these intervals too narrow" in words_of(app), tab


def test_a_text_of_two_products_counts_once_in_the_notes_on_dates(targets):
    app, result = answer(content="text,date\nI love my Kindle and my Xbox,soon\nThe Kindle is here,2026-05-04\n")
    dates = run_of(app).answers().dates
    assert dates.notes == ("1 row with an unreadable date",)
    assert dates.values.isna().tolist() == [True, True, False]
    assert len(result) == 3


def test_a_file_uses_the_list_of_the_session(targets):
    _, result = answer(lines="iPad")
    assert result["mention"].tolist() == ["unnamed", "iPad", "unnamed"]


def test_a_file_that_names_no_product_has_no_charts(targets):
    app, _ = answer(content="text\nnothing here\n")
    assert not app.get("plotly_chart")
    next(each for each in app.checkbox if each.label == "Count them in the charts").check().run()
    assert not app.exception, app.exception


def test_a_text_that_names_no_product_is_never_counted_as_a_mention(targets):
    app, _ = answer(content="text\nI hate my Kindle\nI love my Xbox\nI hate this\nhmm I hate that\n")
    emotions = app.multiselect(key=f"{run_of(app).id}_emotions").options
    assert emotions == [*tasks.EMOTIONS, NO_LABEL], "a guess that is not sure has none"
    next(each for each in app.checkbox if each.label == "Count them in the charts").check().run()
    assert [(each.label, each.value) for each in app.metric][:2] == [
        ("Mentions counted", "2"),
        (tasks.NEGATIVE, "50.0%"),
    ]


def test_the_products_that_are_looked_for_say_which_texts_are_fit(targets):
    _, result = answer("one row per text")  # by the model answer, which knows other products than these
    assert "answer" in result
    assert result["status"].tolist() == ["no known product", "fit", "no known product"]
    _, result = answer("one row per text", lines="iPad: e-reader")
    assert result["status"].tolist() == ["no known product", "fit", "fit"]
    _, result = answer(content='text\n"I love my Kindle, hate the Xbox"\nI love the iPad\n')
    assert result["status"].tolist() == ["fit", "fit", "no known product"]
    words = "This text is not fit for the model, so the answer means little: "
    for text, by_targets, by_answer in (
        ("I love the iPad", "no known product", None),
        ("I love my Kindle", None, "no known product"),
        ("I love my Kindle, iPad and iPhone", None, "several products"),
    ):
        app = ask(text)
        said = [each.value for each in app.info if "not fit" in each.value]
        assert said == [f"{words}{reason}." for reason in (by_targets, by_answer) if reason], text
        assert any("% sure**" in each.value for each in app.markdown) == (by_answer is None)


def test_a_file_is_offered_anew_with_its_list_which_can_be_changed(targets):
    app = offer_anew(answer(lines="iPad: tablet; slate\nXbox")[0])
    assert "Your list: iPad, Xbox" in said(app)
    assert app.text_area(key=products.TYPED).value == "iPad: tablet; slate\nXbox"
    app = offer_anew(answer()[0])
    assert "The model's list: Kindle, Xbox" in said(app), "whatever it lists by then"


def test_a_list_that_cannot_be_typed_is_not_put_into_the_box(targets):
    page, _ = answer(lines="iPad: tablet")
    run = run_of(page)
    for alias, is_typed in (("Oasis, 2nd gen", False), ("re:oasis;2nd", False), ("re:oasis,? 2nd gen", True)):
        run.products = {"Kindle": [alias]}
        run.save()
        app = offer_anew(page)
        assert "Your list: Kindle" in words_of(app)
        assert app.text_area(key=products.TYPED).value == (f"Kindle: {alias}" if is_typed else "")


def test_a_file_of_one_row_per_text_is_offered_anew_without_a_list_of_its_own(targets):
    app = offer_anew(answer("one row per text")[0])
    assert "The model's list: Kindle, Xbox" in said(app)
    assert app.segmented_control(key="batch_rows").value == "one row per text"


def test_without_a_model_of_targets_there_is_no_choice(stub):
    app = upload(FILE)
    assert not app.segmented_control
    assert not any(each.key == products.TYPED for each in app.text_area)
