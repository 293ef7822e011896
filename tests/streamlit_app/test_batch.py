"""A file in, answers out: every format, progress, cancelling, filters, downloads, and what is refused."""

import errno
import io
import json
import os
import stat
import threading
import time
import tomllib
from datetime import date, datetime
from pathlib import Path
from types import SimpleNamespace

import openpyxl
import pandas
import pyarrow
import pytest
import streamlit as st
from app_stub import (
    APP,
    answer,
    answered,
    figures,
    fill_disk,
    log_of,
    open_app,
    open_run,
    press,
    run_of,
    said,
    start,
    upload,
    wait,
    words_of,
)

from streamlit_app.components import files, runs
from tests.monitor.made_up import counts_of
from tf_model import eda, tasks
from tf_model.io import tables

TEXTS = ["I love the iPad", "I hate my iPhone", "hmm I love Google", "Android is there"]
ANSWERS = ["Positive emotion → iPad", "Negative emotion → iPhone", "Not sure", tasks.NO_EMOTION]
PREDICTED = ["product", "product_confidence", "emotion", "emotion_confidence", "answer"]
PREDICTED += ["answer_confidence", "best_guess", "second_guess", "status"]  # where it is not sure, between which


def table() -> pandas.DataFrame:
    return pandas.DataFrame({"id": ["007", "1e5", "", "x"], "Tweet": TEXTS, "n": ["=1+1", "@user", "-5", "+1 great"]})


def written(frame: pandas.DataFrame, suffix: str, folder) -> bytes:
    path = folder / f"in{suffix}"
    with tables.table_writer(path) as writer:
        writer.write(frame)
    return path.read_bytes()


def rows_of(app) -> pandas.DataFrame:
    """The table in the tab Rows, with the current filters."""
    return open_run(run_of(app), "Rows").dataframe[-1].value


def choose(app, name: str, value):
    """Set a filter."""
    key = f"{run_of(app).id}_{name}"
    box = next(each for kind in ("multiselect", "text_input", "checkbox") for each in app.get(kind) if each.key == key)
    box.set_value(value).run()
    assert not app.exception, app.exception
    return app


def counted(app) -> str:
    """How many texts the charts count."""
    return figures(app)["Texts counted"]


def buttons(app) -> list[str]:
    return [each.label for each in app.button]


# ---------------------------------------------------------------- from end to end


def test_texts_that_parquet_holds_as_bytes_are_shown_as_they_were_answered(stub, tmp_path):
    pandas.DataFrame({"id": ["a", "b"], "data": [b"\xff I love the iPad", None]}).to_parquet(tmp_path / "in.parquet")
    app = upload((tmp_path / "in.parquet").read_bytes(), "in.parquet")
    assert app.dataframe[0].value["data"].tolist()[0] == "\N{REPLACEMENT CHARACTER} I love the iPad"
    app.selectbox[-1].set_value("data").run()
    answer(app)
    assert run_of(app).answers().rows["text"].tolist() == ["\N{REPLACEMENT CHARACTER} I love the iPad", ""]


@pytest.mark.parametrize("suffix", [".tsv", ".jsonl"])  # the others: in the tests below
def test_every_format_is_read_and_answered(stub, tmp_path, suffix):
    app = upload(written(table(), suffix, tmp_path), f"mine{suffix}")
    assert app.selectbox(key=app.selectbox[-1].key).value == "Tweet"
    assert "The first 4 of 4 rows." in words_of(app)
    assert app.dataframe[0].value["Tweet"].tolist() == TEXTS
    answer(app)
    assert "4 rows answered in" in app.success[0].value
    result = run_of(app).answers().table
    assert list(result) == ["id", "Tweet", "n", *PREDICTED]
    assert result["answer"].tolist() == ANSWERS
    assert rows_of(app)["answer"].tolist() == ANSWERS


def test_another_column_can_be_picked(stub):
    app = upload(b"text,other\nI love the iPad,I hate my iPhone\n", "a.csv")
    app.selectbox[-1].set_value("other").run()
    answer(app)
    assert run_of(app).answers().table["answer"].tolist() == ["Negative emotion → iPhone"]


def test_the_sheet_that_is_shown_is_answered(stub, tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["About this file"])
    for name, texts in (("long", TEXTS), ("short", TEXTS[:1])):
        sheet = book.create_sheet(name)
        for row in (["id", "remarks"], *enumerate(texts)):
            sheet.append(row)
    book.save(tmp_path / "a.xlsx")
    app = answer(upload((tmp_path / "a.xlsx").read_bytes(), "a.xlsx"))
    assert "4 rows answered in" in app.success[0].value
    assert run_of(app).answers().table["answer"].tolist() == ANSWERS


def test_the_result_of_another_model_is_shown_with_its_name(stub, models):
    content = b"text\nI love the iPad\n"
    app = answer(upload(content, "a.csv"))
    assert not app.info
    (models / "answer" / "saved_model.pb").unlink()
    (models / "answer" / "saved_model.pb").write_bytes(b"another training")
    app.run()
    assert "1 row answered" in app.success[0].value
    assert "answered by answer (Saved " in said(app)
    words = "These answers come from a different model than the one now in use. So shares are not corrected"
    assert app.info[0].value.startswith(words)


def test_filters_act_together_on_charts_rows_and_downloads_and_are_kept(stub, tmp_path):
    app = answered(written(table(), ".csv", tmp_path))
    choose(app, "contains", "LOVE")
    assert rows_of(app)["answer"].tolist() == [ANSWERS[0], ANSWERS[2]]
    choose(app, "products", ["Google"])
    assert [each.proto.alt for each in app.get("plotly_chart")][1].startswith("Number of texts by emotion: ")
    assert figures(app) == {
        "Texts counted": "1",
        "Negative emotion": "0.0%",
        "Positive emotion": "100.0%",
        "Not sure": "100.0%",
    }
    reopened = open_run(run_of(app), "Rows")
    assert reopened.dataframe[-1].value["Tweet"].tolist() == [TEXTS[2]]
    assert "1 of 4 rows pass the filters." in words_of(reopened)
    choose(app, "emotions", [tasks.NEGATIVE])
    assert "No text passes these filters." in app.info[-1].value


def test_dates_and_sources_are_filters_where_the_file_has_them():
    every = eda.describe(
        pandas.DataFrame({"row": [1, 2], tasks.TEXT_COLUMN: "a", tasks.PRODUCT_COLUMN: "b", tasks.EMOTION_COLUMN: "c"})
    ).assign(source=["web", "shop"], date=pandas.to_datetime(["2026-05-01 23:00", "2026-05-02 00:00"]))
    assert eda.filter_tweets(every, sources=("shop",))["row"].tolist() == [2]
    day = date(2026, 5, 1)
    assert eda.filter_tweets(every, dates=(day, day))["row"].tolist() == [1]
    assert len(eda.filter_tweets(every, dates=(day,))) == 2, "the last day is not chosen yet"


def test_the_answer_stands_beside_the_text(stub, tmp_path):
    app = answered(written(table(), ".csv", tmp_path))
    shown = open_run(run_of(app), "Rows").dataframe[-1].proto
    order = list(shown.column_order)
    assert order[:4] == ["Tweet", "answer", "status", "answer_confidence"]
    assert set(order) == {"id", "Tweet", "n", *PREDICTED}
    assert [name for name, each in json.loads(shown.columns).items() if each.get("hidden")] == ["_index"]


def test_a_bar_opens_its_texts_and_downloads_exactly_those(stub, tmp_path, monkeypatch):
    offered = {}
    monkeypatch.setattr(st, "download_button", lambda _, data, key, **options: offered.update({key: data}))
    app = answered(written(table(), ".csv", tmp_path))
    key = f"{run_of(app).id}_emotion"
    app.selectbox(key=f"{key}_bar").set_value(tasks.POSITIVE).run()
    assert app.dataframe[-1].value["Tweet"].tolist() == [TEXTS[0], TEXTS[2]]
    read = pandas.read_csv(io.BytesIO(offered[f"{key}_{tasks.POSITIVE}_CSV"]()), encoding="utf-8-sig")
    assert list(read) == ["id", "Tweet", "n", *PREDICTED]
    assert read["Tweet"].tolist() == [TEXTS[0], TEXTS[2]]
    assert read["n"].tolist() == ["'=1+1", "-5"], "no formula"
    every = openpyxl.load_workbook(io.BytesIO(offered[f"{run_of(app).id}_all_XLSX"]())).active
    assert [cell.value for cell in every[1]] == ["id", "Tweet", "n", *PREDICTED]
    assert [cell.value for cell in every["C"]] == ["n", *table()["n"]]
    assert {cell.data_type for cell in every["C"]} == {"s"}, "texts, no formulas"


def test_charts_have_words(stub, tmp_path):
    app = answered(written(table(), ".csv", tmp_path))
    products, emotions, both = [chart.proto.alt for chart in app.get("plotly_chart")]
    assert products == "Number of texts by product: iPhone 1, iPad 1, Google 1, Android 1."
    assert emotions == (
        "Number of texts by emotion: Negative emotion 1, No emotion toward brand or product 1, Positive emotion 2."
    )
    assert "iPhone: Negative emotion 100%" in both
    assert figures(app) == {
        "Texts counted": "4",
        "Negative emotion": "25.0%",
        "Positive emotion": "50.0%",
        "Not sure": "25.0%",
    }
    assert {each.label for each in app.get("download_button")} == {"Download CSV", "Download XLSX"}


def test_rows_without_a_text_are_said_and_kept_and_left_out_of_the_charts(stub):
    app = answered(b"id,text\n1,I love the iPad\n2,\n3,  \n4,I hate my iPhone\n")
    assert "2 of 4 rows are not. The charts leave them out unless you tick the box:\n- blank: **2**" in words_of(app)
    assert run_of(app).answers().table["id"].tolist() == ["1", "2", "3", "4"]
    assert len(rows_of(app)) == 4
    assert counted(app) == "2"
    assert "Fit for the model?" not in words_of(answered(b"text\nI love the iPad\n", "b.csv"))


def test_rows_that_are_not_fit_are_let_into_the_charts_by_one_checkbox(stub):
    app = answered("text\nI love the iPad\nI love the ipad!\n👍\nI hate my iPhone\n".encode())
    assert run_of(app).answers().table["status"].tolist() == ["fit", "repeated", "only emoji, signs or links", "fit"]
    assert "2 of 4 rows are not" in words_of(app)
    assert counted(app) == "2"
    choose(app, "let_in", True)
    assert counted(app) == "4"
    assert run_of(app).stored("filters")["let_in"], "after a reload too"
    table = run_of(app).answers().table
    assert table["emotion_confidence"].notna().tolist() == [True, True, False, True], "never sure of what means little"
    choose(app, "let_in", False)
    choose(app, "statuses", ["repeated"])
    assert counted(app) == "1", "what is asked for is let in"
    assert rows_of(app)["text"].tolist() == ["I love the ipad!"]


def test_a_file_of_unfit_texts_is_not_said_to_be_filtered(stub):
    app = answered("text\n👍\n".encode())
    assert "1 row, column text, one row per text" in said(app)
    assert not app.get("plotly_chart")
    assert app.info[-1].value.startswith("None of these texts is counted:")
    choose(app, "contains", "x")
    assert "No text passes these filters." in app.info[-1].value


def test_a_model_of_english_texts_counts_no_others(stub):
    rows = b"text\nI love the iPad\nMe encanta mi nuevo iPad\n"
    assert run_of(answered(rows)).answers().table["status"].tolist() == ["fit", "fit"]
    stub.metrics["dataset"] = "assignment"
    app = answered(rows)
    assert run_of(app).answers().table["status"].tolist() == ["fit", "other language"]


def test_a_text_is_counted_only_for_a_product_that_it_names_as_in_a_report(stub):
    app = answered(b"text\nI love the iPad\nI love the Nimbus\nI love the iPad and iPhone\n")
    assert run_of(app).answers().table["status"].tolist() == ["fit", "no known product", "several products"]
    assert counted(app) == "1"


def test_a_file_without_texts_is_refused_with_its_columns(stub):
    app = upload(b'id,price,day\nA-1,9.90 EUR,"Mon, 2 May 2011"\nA-2,5.00 EUR,"Tue, 3 May 2011"\n', "a.csv")
    assert app.error[0].value == "This file cannot be used here."
    assert "a.csv: expected a column of texts, but 'id', 'price', 'day' hold numbers" in words_of(app)
    assert not any(label.startswith("Answer") for label in buttons(app))


def test_a_model_of_the_product_alone(stub, tmp_path):
    stub.tasks = ("product",)
    app = upload(written(table(), ".csv", tmp_path), "a.csv")
    assert "This model predicts the product only: there will be no Over time, Compare," in app.info[0].value
    answer(app)
    assert list(run_of(app).answers().table)[3:] == ["product", "product_confidence", "status"]
    [chart] = app.get("plotly_chart")
    assert chart.proto.alt == "Number of texts by product: iPhone 1, iPad 1, Google 1, Android 1."
    assert [each.label for each in app.metric] == ["Texts counted"]
    assert [each.label for each in app.multiselect] == ["Products", "Statuses"]


def test_a_model_of_the_emotion_alone(stub):
    stub.tasks = ("emotion",)
    app = answered(b"text,product\nI love the iPad,mine\n")
    assert list(run_of(app).answers().table) == ["text", "product", "emotion", "emotion_confidence", "status"]
    [chart] = app.get("plotly_chart")
    assert chart.proto.alt.startswith("Number of texts by emotion: ")


def test_predictions_and_errors_are_recorded(stub, models, tmp_path):
    content = written(table(), ".csv", tmp_path)
    answer(upload(content, "a.csv"))
    stub.fails = RuntimeError("no memory\nand more")
    app = answer(upload(content, "b.csv"))
    assert app.error[0].value == "The file could not be answered."
    assert "no memory" in words_of(app)
    assert run_of(app).problem == "no memory"
    store = log_of(models)
    assert counts_of(store.path).predictions == counts_of(store.path, "batch").predictions == len(ANSWERS)
    assert store.rows("errors")[["source", "kind"]].values.tolist() == [["batch", "RuntimeError"]]


def test_a_file_that_is_not_answered_yet_stays_until_it_is_deleted(stub, models, tmp_path):
    run = run_of(upload(written(table(), ".csv", tmp_path), "a.csv"))
    app = open_app("batch")
    assert "4 rows, new, " in words_of(app)
    assert "Answer 4 rows" in buttons(open_run(run))
    press(app, "Delete for good")
    assert list((models / ".monitor" / "runs").iterdir()) == []


# ---------------------------------------------------------------- what is refused


def test_too_many_rows_are_sent_to_the_command_line(stub, monkeypatch):
    monkeypatch.setattr(files, "LIMITS", tables.Limits(rows=3, columns=2, bytes=10**6))
    app = upload("text\n{}".format("a\n" * 4).encode(), "big.csv")
    assert app.error[0].value == "This file cannot be used here."
    assert "big.csv has more than 3 rows, the most allowed here" in words_of(app)
    assert "python -m tf_model.predict FILE --output answers.csv" in words_of(app)
    assert not any(label.startswith("Answer") for label in buttons(app))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"", "a.csv is empty"),
        ("a.csv", b"a,b\n1\n", "a.csv, line 2: expected 2 fields"),
        ("a.xlsx", b"PK nonsense", "a.xlsx"),
        ("a.parquet", b"PAR1", "a.parquet: expected a Parquet file"),
        ("a.jsonl", b"[1]\n", "a.jsonl, line 1: expected a JSON object"),
        ("a.csv", b"text,id,text\nI love it,1,so\n", "a.csv has 2 columns called 'text'; rename all but one"),
        ("a.csv", b"text,id\n", "a.csv has no rows; give a file with texts"),
        ("../../etc/[x](y).csv", b"a,b\n1\n", "../../etc/[x](y).csv, line 2"),
        ("\N{GRINNING FACE}" * 120 + ".csv", b"a,b\n1\n", "\N{GRINNING FACE}.csv, line 2"),
    ],
)
def test_a_file_that_cannot_be_read_is_explained_by_its_own_name_and_goes(stub, models, name, content, said):
    app = upload(content, name)
    assert app.error[0].value == "This file cannot be used here."
    detail = app.text[-1].value
    assert said in detail
    assert "tweet-target-" not in detail
    assert list((models / ".monitor" / "runs").iterdir()) == []


def test_a_file_on_which_its_library_fails_is_explained(stub, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("broken inside\nand more")

    monkeypatch.setattr(tables, "open_table", fail)
    assert "a.csv cannot be read (broken inside)" in words_of(upload(b"text\na\n", "a.csv"))


def test_columns_that_are_called_as_those_of_the_answers_are_kept_under_another_name(stub):
    app = answered(b"answer,product,status,row\nI love the iPad,mine,sold,9\n")
    opened = open_run(run_of(app), "Rows").dataframe[-1]
    [row] = opened.value.to_dict("records")
    own = {"answer_input": "I love the iPad", "product_input": "mine", "status_input": "sold", "row": "9"}
    assert {name: row[name] for name in own} == own
    assert row["product"] == "iPad"
    assert opened.proto.column_order[:2] == ["answer_input", "answer"]


# ---------------------------------------------------------------- cancelling


@pytest.fixture
def held(stub):
    """Holds the model before its first batch until ``go_on`` is set."""
    hold = SimpleNamespace(reached=threading.Event(), go_on=threading.Event())

    def wait_there():
        hold.reached.set()
        hold.go_on.wait()

    stub.before_batch = wait_there
    yield hold
    hold.go_on.set()


MANY = ("text\n" + "I love the iPad\n" * 1_000).encode()


def test_cancel_stops_within_a_batch_and_keeps_nothing(held):
    app = press(upload(MANY, "a.csv"), "Answer 1,000 rows")
    assert held.reached.wait(120)
    assert "Reading the file and scoring the first rows…" in [each.proto.text for each in app.get("progress")]

    press(app, "Cancel")
    assert "Cancelling…" in [each.proto.text for each in app.get("progress")]
    held.go_on.set()
    run = wait(run_of(app))
    assert not app.run().exception, app.exception
    assert run.status == runs.CANCELLED
    assert sorted(path.name for path in run.folder.iterdir()) == ["run.json", "upload.csv"]
    assert "Cancelled after 64 of 1,000 rows. No answers were kept." in app.info[-1].value


def test_progress_and_time_left(held, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(runs.time, "monotonic", lambda: clock[0])
    job = start("a.csv", b"text\n" + b"a\n" * 400).job
    job.done, clock[0] = 100, 5.0
    assert job.seconds_left == 15.0


# ---------------------------------------------------------------- runs that last


def test_a_run_goes_on_while_its_page_is_loaded_again(held):
    app = press(upload(MANY, "a.csv"), "Answer 1,000 rows")
    run = run_of(app)
    reloaded = open_run(run)
    assert "Cancel" in buttons(reloaded)
    held.go_on.set()
    assert wait(run).status == runs.DONE
    assert "1,000 rows answered" in reloaded.run().success[0].value


def test_the_answers_of_a_finished_run_are_ready_for_its_page(stub):
    run = start("a.csv", "\n".join(["text", *TEXTS]).encode())
    wait(run)
    before = runs._read_answers.cache_info()
    assert len(run.answers().table) == len(TEXTS)
    after = runs._read_answers.cache_info()
    assert (after.hits, after.misses) == (before.hits + 1, before.misses)


def test_a_finished_run_survives_a_restart_and_an_interrupted_one_is_offered_anew(stub):
    app = upload(b"other,text\nI love the iPad,a\n", "a.csv")
    app.selectbox[-1].set_value("other").run()
    unfinished = run_of(answer(app))
    unfinished.status = runs.RUNNING  # and no job: as after a restart
    unfinished.save()
    app = open_run(unfinished)
    assert "Not all rows were answered: the app was stopped, or its disk is full." in app.info[-1].value
    press(app, "Answer it again")
    assert app.selectbox[-1].value == "other"
    done = run_of(answer(app))
    assert done.id == unfinished.id
    runs._read_answers.cache_clear()
    assert "1 row answered" in open_run(done).success[0].value


def test_a_deleted_run_leaves_nothing_whoever_deletes_it_and_when(held):
    app = press(upload(MANY, "a.csv"), "Answer 1,000 rows")
    run, job = run_of(app), run_of(app).job
    other = open_run(run)
    press(app, "Delete for good")
    press(other, "Delete for good")
    held.go_on.set()
    job.join(120)
    assert not run.folder.exists()
    assert runs.find(run.id) is None
    assert "There is no such file here" in open_run(run).info[-1].value


def test_a_run_that_is_deleted_while_its_end_is_stored_does_not_come_back(stub, monkeypatch):
    def write_json(path, values):
        if values.get("status") == runs.DONE:
            runs.find(path.parent.name).delete()
        write(path, values)

    write = runs.write_json
    monkeypatch.setattr(runs, "write_json", write_json)
    app = press(upload(b"text\nI love the iPad\n", "a.csv"), "Answer 1 row")
    run = run_of(app)
    if job := run.job:
        job.join(120)
    assert not run.folder.exists()


def test_a_run_is_not_begun_again_that_another_window_deleted_or_began(held):
    app = press(upload(MANY, "a.csv"), "Answer 1,000 rows")
    assert held.reached.wait(120)
    press(app, "Cancel")
    held.go_on.set()
    run = wait(run_of(app))
    app.run()
    other, third = open_run(run), open_run(run)
    held.reached.clear()
    held.go_on.clear()
    press(press(app, "Answer it again"), "Answer 1,000 rows")
    assert held.reached.wait(120)
    press(other, "Answer it again")
    assert runs.find(run.id).status == runs.RUNNING
    press(app, "Delete for good")
    press(third, "Answer it again")
    assert "There is no such file here" in third.info[-1].value
    assert not run.folder.exists()


def test_a_run_whose_end_cannot_be_stored_is_said_and_can_be_answered_again(held, monkeypatch, capfd):
    app = press(upload(b"text\nI love the iPad\n", "a.csv"), "Answer 1 row")
    assert held.reached.wait(120)
    with monkeypatch.context() as patch:
        fill_disk(patch)
        held.go_on.set()
        assert wait(run_of(app)).status == runs.INTERRUPTED
        assert "run.json: the disk is full" in capfd.readouterr().err.splitlines()[-1]
        assert "its disk is full" in app.run().info[-1].value
        press(app, "Answer it again")
        assert r"run\.json\: the disk is full" in app.toast[0].value
    press(app, "Answer it again")
    assert "1 row answered" in answer(app).success[0].value


def test_a_disk_that_fills_up_later_is_said(stub, monkeypatch):
    app = answered(b"text\nI love the iPad\nI hate it\n")
    fill_disk(monkeypatch)
    choose(app, "contains", "love")
    assert "filters.json: the disk is full" in words_of(app)


def test_a_file_that_cannot_be_stored_leaves_no_run(stub, models, monkeypatch):
    def full(path, content):
        path.write_text("text\nI lo")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert "the disk is full" in words_of(upload(b"text\nI love the iPad\n", "a.csv"))
    assert list((models / ".monitor" / "runs").iterdir()) == []


def test_a_run_is_private_listed_for_its_browser_and_kept_for_a_week(stub, monkeypatch, tmp_path):
    run = run_of(answer(upload(b"text\nI love the iPad\n", "[x](y).csv")))
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (run.folder, run.folder.parent)] == [0o700, 0o700]
    app = open_app("batch")
    assert [each.proto.label for each in app.get("page_link")] == [r"\[x\]\(y\)\.csv"]
    time_of_day = f"{datetime.fromtimestamp(run.began):%H:%M}"
    assert f"{time_of_day}, kept until" in words_of(app), "it tells files of one name apart"
    monkeypatch.setattr(runs, "owner", lambda: "another browser")
    assert not open_app("batch").get("page_link")
    assert run.folder.exists()
    week_ago = time.time() - runs.KEPT_SECONDS - 1
    os.utime(run.folder, (week_ago, week_ago))
    open_app()
    assert not run.folder.exists(), "whatever page is opened"


def test_the_browser_is_remembered_on_the_first_page_that_it_opens(stub, monkeypatch):
    told = []
    monkeypatch.setattr(runs, "component", lambda *_, **__: lambda data, key: told.append(data))
    open_app()
    assert told == ["the browser"], "else two tabs, opened one after the other, would have an id each"


@pytest.mark.parametrize("address", ["", "..", "../../answer", "a" * 22, "a" * 21 + "/"])
def test_no_address_leads_elsewhere(stub, models, address):
    (models / ".monitor" / "runs").mkdir(parents=True)
    assert runs.find(address) is None


# ---------------------------------------------------------------- downloads


@pytest.mark.parametrize("text", ["=1+1", "+1 great", "-x", "@SUM(A1)", " =1", "\t=1", "\r=1", "＝1", "\ufeff=1"])
def test_a_text_like_a_formula_gets_an_apostrophe(text):
    assert files.escape_formulas(text) == f"'{text}"


def test_formulas_are_escaped_in_bytes_and_nested_values_too():
    assert files.escape_formulas(b"=1") == "'=1"
    assert files.escape_formulas({"name": "x;=1"}) == '{"name": "x;\'=1"}'
    assert files.escape_formulas(["x;=1"]) == '["x;\'=1"]'


def test_what_follows_a_semicolon_begins_a_cell_in_germany():
    assert files.escape_formulas('hello; =HYPERLINK("x")') == 'hello; \'=HYPERLINK("x")'
    assert files.escape_formulas("=1;=2") == "'=1;'=2"
    assert files.escape_formulas('a\n=1;"=2') == "a\n'=1;\"'=2"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("value", ["a" + "\n" * 100_000 + "b", "1" * 100_000 + "x"])
def test_a_long_cell_is_checked_for_formulas_in_linear_time(value):
    assert files.escape_formulas(value) == value


@pytest.mark.parametrize("value", ["-5", "+1.5e3", "iPad = love", "", 5, -5.5, None, "1-2", "love it ;-)", "a;@user"])
def test_numbers_and_other_texts_stay(value):
    assert files.escape_formulas(value) == value


def test_csv_keeps_columns_and_runs_no_formula(stub, tmp_path):
    app = answer(upload(written(table().rename(columns={"n": "=n"}), ".csv", tmp_path), "a.csv"))
    content = files.as_csv(run_of(app).answers().table)
    assert content.startswith(files.BYTE_ORDER_MARK)
    read = pandas.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False, encoding="utf-8-sig")
    assert list(read) == ["id", "Tweet", "'=n", *PREDICTED]
    assert read["id"].tolist() == ["007", "1e5", "", "x"]
    assert read["'=n"].tolist() == ["'=1+1", "'@user", "-5", "'+1 great"]
    assert read["answer"].tolist() == ANSWERS


def test_plain_numbers_are_numbers_in_a_workbook_and_ids_keep_their_digits():
    columns = {"likes": ["3", "-12", None], "price": ["9.90", "0", "10.5"], "n": [1, 2, 3], "part": ["1", "2", "x"]}
    ids = {"zip": ["01067", "10115", "80331"], "tweet": ["1234567890123456789", "1", "2"], "none": [None] * 3}
    columns |= {"rate": ["0.125", "1234.567", "2.0625"], "reach": ["1.299", "850", "12.500"]}  # may be 1,299 and 12,500
    ids["version"] = ["4.1", "4.10", "4.1"]
    content = files.as_xlsx(pandas.DataFrame(columns | ids, dtype=object))
    rows = list(openpyxl.load_workbook(io.BytesIO(content)).active.iter_rows(min_row=2, values_only=True))
    assert rows[0] == (3, 9.9, 1, "1", 0.125, "1.299", "01067", "1234567890123456789", None, "4.1")
    assert rows[2] == (None, 10.5, 3, "x", 2.0625, "12.500", "80331", "2", None, "4.1")


def test_an_empty_cell_leaves_a_column_of_numbers():
    content = files.as_xlsx(pandas.DataFrame({"text": list("abc"), "likes": ["3", "", "12"]}))
    rows = openpyxl.load_workbook(io.BytesIO(content)).active.iter_rows(min_row=2, values_only=True)
    assert list(rows) == [("a", 3), ("b", None), ("c", 12)]


@pytest.mark.parametrize("kind", ["string", "date32", "null"])
def test_a_column_without_a_value_can_be_in_a_workbook(kind):
    dtype = pandas.ArrowDtype(getattr(pyarrow, kind)())
    frame = pandas.DataFrame({"text": ["a", "b"], "x": pandas.array([None, None], dtype=dtype)})
    assert openpyxl.load_workbook(io.BytesIO(files.as_xlsx(frame))).active["B2"].value is None


def test_columns_of_one_name_are_kept_apart():
    frame = pandas.DataFrame([["a", "=b"]], columns=["text", "text"])
    assert files.as_csv(frame) == files.BYTE_ORDER_MARK + b"text,text\na,'=b\n"
    assert list(files.displayable(frame)) == ["text", "text (2)"]
    frame = pandas.DataFrame([["a", "b", "c"]], columns=["x", "x", "x (2)"])
    assert files.displayable(frame).iloc[0].tolist() == ["a", "b", "c"]
    assert files.displayable(frame)["x (2)"].item() == "c", "a column keeps its own name"


def test_ids_keep_their_digits_beside_a_missing_one():
    frame = pandas.DataFrame({"text": ["a", "b"], "id": [1804674407370955161, None]}, dtype=object)
    assert files.as_csv(frame) == files.BYTE_ORDER_MARK + b"text,id\na,1804674407370955161\nb,\n"


def test_nothing_gives_a_header():
    frame = pandas.DataFrame({"text": [], "answer": []})
    assert files.as_csv(frame) == files.BYTE_ORDER_MARK + b"text,answer\n"


def test_mixed_values_can_be_shown():
    frame = pandas.DataFrame({"a": [1, "x", None, {"k": [1]}]}, dtype=object)
    assert files.displayable(frame)["a"].tolist()[:2] == ["1", "x"]
    assert files.displayable(frame)["a"].isna().tolist() == [False, False, True, False]
    ids, lists = pandas.Series([1804674407370955161, 1]), pandas.ArrowDtype(pyarrow.list_(pyarrow.string()))
    frame = pandas.DataFrame({"id": ids, "tags": pandas.Series([["a", "b"], None], dtype=lists), "n": [1, 2**53]})
    shown = files.displayable(frame)
    assert shown["id"].tolist() == ["1804674407370955161", "1"]
    assert shown["tags"][0] == '["a", "b"]'
    assert shown["n"].tolist() == [1, 2**53]


# ---------------------------------------------------------------- charts


def test_a_model_of_other_labels_is_counted_in_them(own_model):
    app = answered(b"text\nso good\na lamp\nhmm\n")
    assert figures(app)["good"] == "33.3%"


def test_the_rows_of_several_chunks_pass(stub, monkeypatch):
    monkeypatch.setattr("tf_model.io.base.CHUNK_CELLS", 1_000)
    rows = 2_000
    content = "id,text\n" + "".join(f"{n},{TEXTS[n % 4]}\n" for n in range(rows))
    run = wait(start("a.csv", content.encode()))
    assert run.status == runs.DONE, run.problem
    result = run.answers().table
    assert len(result) == rows
    assert result["id"].tolist()[-1] == "1999"
    read = pandas.read_csv(io.BytesIO(files.as_csv(result)))
    assert read["answer"].value_counts().to_dict() == dict.fromkeys(ANSWERS, rows // 4)


def test_a_broken_file_is_an_error_of_the_run_too(stub):
    run = wait(start("a.csv", b"text\na\n", "nothing"))
    assert run.status == runs.FAILED
    assert run.problem.startswith("a.csv has no column 'nothing'")


def test_what_reads_larger_files_is_said_below_the_uploader(stub):
    [caption] = [each.value for each in open_app("batch").caption if "100 MB" in each.value]
    assert "200,000 rows, 1,000 columns, 10,000,000 cells and 100 MB (250 MB unpacked)" in caption
    config = tomllib.loads((APP.parent / ".streamlit" / "config.toml").read_text(encoding="utf-8"))
    assert config["server"]["maxUploadSize"] == 100
    assert "`python -m tf_model.predict FILE --output answers.csv`" in caption
    assert "`python -m tf_model.report FILE --output report.html`" in caption
