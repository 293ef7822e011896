"""A file in, answers out: every format, progress, cancelling, filters, downloads, and what is refused."""

import io
import json
import threading

import openpyxl
import pandas
import pytest
from app_stub import StubPredictor, open_app, stub_predict_texts, words_of

from streamlit_app.charts import bar_charts
from streamlit_app.components import batch_job, files, loading, recording
from streamlit_app.components.batch_job import BatchJob
from streamlit_app.components.loading import ModelState
from tf_model import tasks
from tf_model.errors import ModelError
from tf_model.io import tables
from tf_model.model_dir import training_of
from tf_model.monitor.store import Store

TEXTS = ["I love the iPad", "I hate my iPhone", "hmm I love Google", "Android is there"]
ANSWERS = ["Positive emotion → iPad", "Negative emotion → iPhone", "Not sure", tasks.NO_EMOTION]
PREDICTED = ["product", "product_confidence", "emotion", "emotion_confidence", "answer"]
PREDICTED += ["answer_confidence", "best_guess", "second_guess", "status"]  # where the model is not sure, between what


def table() -> pandas.DataFrame:
    return pandas.DataFrame({"id": ["007", "1e5", "", "x"], "Tweet": TEXTS, "n": ["=1+1", "@user", "-5", "+1 great"]})


def written(frame: pandas.DataFrame, suffix: str, folder) -> bytes:
    path = folder / f"in{suffix}"
    with tables.table_writer(path) as writer:
        writer.write(frame)
    return path.read_bytes()


def upload(content: bytes, name: str):
    app = open_app("batch")
    app.file_uploader[0].set_value((name, content, "application/octet-stream")).run()
    assert not app.exception, app.exception
    return app


def job_of(stub, path, column="text") -> BatchJob:
    """A job for a file as the page would start it."""
    upload = files.keep("1", path.name, path.read_bytes())
    return BatchJob(ModelState("answer", path.parent, predictor=stub), upload, column)


def answer(app):
    """Press the button, and wait for the end of the work."""
    next(each for each in app.button if each.label.startswith("Answer ")).click().run()
    app.session_state["batch_job"].join(20)
    app.run()
    assert not app.exception, app.exception
    return app


def buttons(app) -> list[str]:
    return [each.label for each in app.button]


# ---------------------------------------------------------------- from end to end


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".xlsx", ".parquet", ".jsonl"])
def test_every_format_is_read_and_answered(stub, tmp_path, suffix):
    app = upload(written(table(), suffix, tmp_path), f"mine{suffix}")
    assert app.selectbox(key=app.selectbox[-1].key).value == "Tweet"
    assert "The first 4 of 4 rows." in words_of(app)
    assert app.dataframe[0].value["Tweet"].tolist() == TEXTS
    answer(app)
    assert "4 rows answered in" in app.success[0].value
    result = app.session_state["batch_job"].result
    assert list(result) == ["id", "Tweet", "n", *PREDICTED]
    assert result["answer"].tolist() == ANSWERS
    assert app.dataframe[-1].value["answer"].tolist() == ANSWERS


def test_another_column_can_be_picked(stub):
    app = upload(b"text,other\nI love the iPad,I hate my iPhone\n", "a.csv")
    app.selectbox[-1].set_value("other").run()
    answer(app)
    assert app.session_state["batch_job"].result["answer"].tolist() == ["Negative emotion → iPhone"]


def test_the_result_of_another_column_is_not_shown(stub):
    app = answer(upload(b"text,other\nI love the iPad,I hate my iPhone\n", "a.csv"))
    app.selectbox[-1].set_value("other").run()
    assert not app.success


def test_the_result_of_another_model_is_shown_with_its_name(stub, models):
    content = b"text\nI love the iPad\n"
    app = answer(upload(content, "a.csv"))
    assert not app.info
    (models / "answer" / "saved_model.pb").unlink()
    (models / "answer" / "saved_model.pb").write_bytes(b"another training")
    app.run()
    assert "1 row answered" in app.success[0].value
    said = app.info[0].value.replace("\\", "")
    assert said.startswith("These are the answers of the model answer (Saved ")
    assert said.endswith("), not of the one in use now.")
    assert not answer(app).info


def test_the_answer_is_the_first_filter(stub, tmp_path):
    app = answer(upload(written(table(), ".csv", tmp_path), "a.csv"))
    assert [each.label for each in app.multiselect] == ["Answer", "Product", "Emotion", "Status"]


def test_filters_act_together(stub, tmp_path):
    app = answer(upload(written(table(), ".csv", tmp_path), "a.csv"))
    app.text_input(key="filter_words").set_value("LOVE").run()
    assert app.dataframe[-1].value["answer"].tolist() == [ANSWERS[0], ANSWERS[2]]
    app.multiselect(key="filter_answer").set_value(["Not sure"]).run()
    assert app.dataframe[-1].value["Tweet"].tolist() == [TEXTS[2]]
    app.multiselect(key="filter_product").set_value(["iPad"]).run()
    assert app.dataframe[-1].value.empty
    assert "0 of 4 rows" in words_of(app)


def test_the_answer_stands_beside_the_text(stub, tmp_path):
    app = answer(upload(written(table(), ".csv", tmp_path), "a.csv"))
    assert "To act on single rows, use the column answer. To count, use emotion" in words_of(app)
    assert list(app.dataframe[-1].proto.column_order)[:3] == ["Tweet", "answer", "answer_confidence"]
    assert set(app.dataframe[-1].proto.column_order) == {"id", "Tweet", "n", *PREDICTED}


def test_charts_have_words(stub, tmp_path):
    app = answer(upload(written(table(), ".csv", tmp_path), "a.csv"))
    spoken = [chart.proto.alt for chart in app.get("plotly_chart")]
    assert spoken == [
        "Rows by product and emotion. Negative emotion: iPhone 1; Positive emotion: iPad 1, Google 1",
        "Half of the rows have a confidence above 94%.",
    ]
    caption = "By the best guess, 3 rows have an emotion toward a product (1 of them not sure) and 1 has none."
    assert caption in words_of(app)
    assert {each.label for each in app.get("download_button")} == {"Download CSV", "Download XLSX"}


def test_emotions_stand_in_the_same_order_whatever_their_numbers(stub):
    app = answer(upload(b"text\nI love it\nI love the iPad\nI hate it\n", "a.csv"))
    bars = json.loads(app.get("plotly_chart")[0].proto.spec)["data"]
    assert [each["name"] for each in bars] == [tasks.NEGATIVE, tasks.POSITIVE]


def test_a_column_called_status_is_not_overwritten(stub):
    assert "a.csv already has a column called 'status'" in words_of(answer(upload(b"text,status\na,b\n", "a.csv")))


def test_rows_without_a_text_are_said_and_kept_and_left_out_of_the_charts(stub):
    app = answer(upload(b"id,text\n1,I love the iPad\n2,\n3,  \n4,I hate my iPhone\n", "a.csv"))
    assert "2 of 4 rows are not; the answer there means little:\n- blank: **2**" in words_of(app)
    assert app.session_state["batch_job"].result["id"].tolist() == ["1", "2", "3", "4"]
    assert len(app.dataframe[-1].value) == 4
    spoken = app.get("plotly_chart")[0].proto.alt
    assert spoken == "Rows by product and emotion. Negative emotion: iPhone 1; Positive emotion: iPad 1"
    assert "Fit for the model?" not in words_of(answer(upload(b"text\nI love the iPad\n", "b.csv")))


def test_rows_that_are_not_fit_are_let_into_the_charts_by_one_checkbox(stub):
    app = answer(upload("text\nI love the iPad\nI love the ipad!\n👍\nI hate my iPhone\n".encode(), "a.csv"))
    assert app.session_state["batch_job"].result["status"].tolist() == ["fit", "repeated", "only emoji or signs", "fit"]
    assert "2 of 4 rows are not" in words_of(app)
    app.checkbox(key="batch_let_in").check().run()
    spoken = app.get("plotly_chart")[0].proto.alt
    assert spoken == "Rows by product and emotion. Negative emotion: iPhone 1; Positive emotion: iPad 2"
    app.multiselect(key="filter_status").set_value(["repeated"]).run()
    assert app.dataframe[-1].value["text"].tolist() == ["I love the ipad!"]


def test_a_model_of_english_texts_counts_no_others(stub):
    rows = b"text\nI love the iPad\nMe encanta mi nuevo iPad\n"
    assert answer(upload(rows, "a.csv")).session_state["batch_job"].result["status"].tolist() == ["fit", "fit"]
    stub.metrics["dataset"] = "assignment"
    app = answer(upload(rows, "a.csv"))
    assert app.session_state["batch_job"].result["status"].tolist() == ["fit", "other language"]


def test_a_file_without_texts_is_refused_with_its_columns(stub):
    app = upload(b'id,price,day\nA-1,9.90 EUR,"Mon, 2 May 2011"\nA-2,5.00 EUR,"Tue, 3 May 2011"\n', "a.csv")
    assert app.error[0].value == "This file cannot be used here."
    assert "a.csv: expected a column of texts, but 'id', 'price', 'day' hold numbers" in words_of(app)
    assert not any(label.startswith("Answer") for label in buttons(app))


def test_a_model_of_the_product_alone(stub, tmp_path):
    stub.tasks = ("product",)
    app = answer(upload(written(table(), ".csv", tmp_path), "a.csv"))
    assert list(app.session_state["batch_job"].result)[3:] == ["product", "product_confidence", "status"]
    spoken = app.get("plotly_chart")[0].proto.alt
    assert spoken == "Rows by product: iPad 1, iPhone 1, Google 1, Android 1"


def test_predictions_and_errors_are_recorded(stub, models, tmp_path):
    content = written(table(), ".csv", tmp_path)
    answer(upload(content, "a.csv"))
    stub.fails = ModelError("no memory")
    app = answer(upload(content, "b.csv"))
    assert app.error[0].value == "The file could not be answered."
    assert "no memory" in words_of(app)
    log = recording._recorder(str(loading.monitor_log()), "answer", training_of(models / "answer"))
    assert log.flush()
    store = Store(loading.monitor_log())
    assert sorted(store.predictions()["answer"]) == sorted(ANSWERS)
    assert set(store.predictions()["source"]) == {"batch"}
    assert store.errors()[["source", "kind"]].values.tolist() == [["batch", "ModelError"]]


def test_the_file_stays_when_another_page_is_looked_at(stub, tmp_path):
    app = answer(upload(written(table(), ".csv", tmp_path), "a.csv"))
    app.switch_page("views/ask.py").run()
    app.switch_page("views/batch.py").run()
    assert "Still here: a.csv" in words_of(app)
    assert "4 rows answered" in app.success[0].value
    next(each for each in app.button if each.label == "Remove").click().run()
    assert not app.success
    assert "batch_job" not in app.session_state


def test_the_chosen_column_stays_with_its_result(stub):
    app = upload(b"text,other\nI love the iPad,I hate my iPhone\n", "a.csv")
    app.selectbox[-1].set_value("other").run()
    answer(app)
    app.switch_page("views/ask.py").run()
    app.switch_page("views/batch.py").run()
    assert app.selectbox[-1].value == "other"
    assert "1 row answered" in app.success[0].value


# ---------------------------------------------------------------- what is refused


def test_too_many_rows_are_sent_to_the_command_line(stub, monkeypatch):
    monkeypatch.setattr(files, "LIMITS", tables.Limits(rows=3, columns=2, bytes=10**6))
    app = upload("text\n{}".format("a\n" * 4).encode(), "big.csv")
    assert app.error[0].value == "This file cannot be used here."
    assert "big.csv has more than 3 rows, and no more are taken here" in words_of(app)
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
        ("../../etc/[x](y).csv", b"a,b\n1\n", "../../etc/[x](y).csv, line 2"),
        ("\N{GRINNING FACE}" * 120 + ".csv", b"a,b\n1\n", "\N{GRINNING FACE}.csv, line 2"),
    ],
)
def test_a_file_that_cannot_be_read_is_explained_by_its_own_name(stub, name, content, said):
    app = upload(content, name)
    assert app.error[0].value == "This file cannot be used here."
    detail = app.text[-1].value
    assert said in detail
    assert "tweet-target-" not in detail


def test_a_file_on_which_its_library_fails_is_explained(stub, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("broken inside\nand more")

    monkeypatch.setattr(tables, "open_table", fail)
    assert "a.csv cannot be read (broken inside)" in words_of(upload(b"text\na\n", "a.csv"))


def test_columns_that_the_answers_need_are_not_overwritten(stub):
    app = answer(upload(b"text,product\na,b\n", "a.csv"))
    assert "a.csv already has a column called 'product'" in words_of(app)
    assert Store(loading.monitor_log()).errors().empty, "a wrong file is no failure of the model"


def test_a_header_without_a_row_has_nothing_to_answer(stub):
    app = upload(b"text,id\n", "a.csv")
    assert next(each for each in app.button if each.label == "Answer 0 rows").disabled
    assert "there is a header and not one row" in words_of(app)


# ---------------------------------------------------------------- cancelling


def test_cancel_stops_within_a_batch_and_keeps_nothing(stub, monkeypatch):
    reached, go_on, cancel = threading.Event(), threading.Event(), BatchJob.cancel

    def wait():
        reached.set()
        go_on.wait(20)

    stub.before_batch = wait
    app = upload(("text\n" + "I love the iPad\n" * 1_000).encode(), "a.csv")
    next(each for each in app.button if each.label == "Answer 1,000 rows").click().run()
    assert reached.wait(20)
    assert next(each for each in app.button if each.label == "Answer 1,000 rows").disabled

    def cancel_during_the_first_batch(job, wait=0.0):
        cancel(job)
        go_on.set()
        cancel(job, wait)

    monkeypatch.setattr(BatchJob, "cancel", cancel_during_the_first_batch)
    next(each for each in app.button if each.label == "Cancel").click().run()
    job = app.session_state["batch_job"]
    assert job.status == batch_job.CANCELLED
    assert job.done == 64
    assert job.result is None
    assert "Cancelled after 64 of 1,000 rows. No answers were kept." in app.info[-1].value


def test_a_file_is_answered_while_another_page_is_looked_at(stub):
    go_on = threading.Event()
    stub.before_batch = lambda: go_on.wait(20)
    app = upload(b"text\n" + b"I love the iPad\n" * 4, "a.csv")
    next(each for each in app.button if each.label == "Answer 4 rows").click().run()
    app.switch_page("views/ask.py").run()
    go_on.set()
    app.session_state["batch_job"].join(20)
    app.switch_page("views/batch.py").run()
    assert "4 rows answered" in app.success[0].value


def test_progress_and_time_left(stub, tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(batch_job.time, "monotonic", lambda: clock[0])
    go_on = threading.Event()
    stub.before_batch = lambda: go_on.wait(20)
    (tmp_path / "a.csv").write_text("text\n" + "a\n" * 4)
    job = job_of(stub, tmp_path / "a.csv")
    assert job.progress() == (0.0, None)
    job.done, job.total, clock[0] = 100, 400, 5.0
    assert job.progress() == (0.25, 15.0)
    go_on.set()
    job.join(20)


# ---------------------------------------------------------------- downloads


@pytest.mark.parametrize("text", ["=1+1", "+1 great", "-x", "@SUM(A1)", " =1", "\t=1", "\r=1", "＝1", "\ufeff=1"])
def test_a_text_like_a_formula_gets_an_apostrophe(text):
    assert files.harmless(text) == f"'{text}"


def test_bytes_are_shown_as_text():
    assert files.harmless(b"=1") == "'=1"


def test_what_follows_a_semicolon_begins_a_cell_in_germany():
    assert files.harmless('hello; =HYPERLINK("x")') == 'hello; \'=HYPERLINK("x")'
    assert files.harmless("=1;=2") == "'=1;'=2"
    assert files.harmless('a\n=1;"=2') == "a\n'=1;\"'=2"


@pytest.mark.parametrize("value", ["-5", "+1.5e3", "iPad = love", "", 5, -5.5, None, "1-2", "love it ;-)", "a;@user"])
def test_numbers_and_other_texts_stay(value):
    assert files.harmless(value) == value


def test_csv_keeps_columns_and_runs_no_formula(stub, tmp_path):
    app = answer(upload(written(table().rename(columns={"n": "=n"}), ".csv", tmp_path), "a.csv"))
    content = files.as_csv(app.session_state["batch_job"].result)
    assert content.startswith(files.BYTE_ORDER_MARK)
    read = pandas.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False, encoding="utf-8-sig")
    assert list(read) == ["id", "Tweet", "'=n", *PREDICTED]
    assert read["id"].tolist() == ["007", "1e5", "", "x"]
    assert read["'=n"].tolist() == ["'=1+1", "'@user", "-5", "'+1 great"]
    assert read["answer"].tolist() == ANSWERS


def test_xlsx_keeps_texts_as_texts(stub, tmp_path):
    app = answer(upload(written(table(), ".csv", tmp_path), "a.csv"))
    sheet = openpyxl.load_workbook(io.BytesIO(files.as_xlsx(app.session_state["batch_job"].result))).active
    rows = list(sheet.iter_rows())
    assert [cell.value for cell in rows[0]] == ["id", "Tweet", "n", *PREDICTED]
    assert [row[2].value for row in rows[1:]] == ["=1+1", "@user", "-5", "+1 great"]
    assert "f" not in {cell.data_type for row in rows for cell in row}


def test_columns_of_one_name_are_kept_apart():
    frame = pandas.DataFrame([["a", "=b"]], columns=["text", "text"])
    assert files.as_csv(frame) == files.BYTE_ORDER_MARK + b"text,text\na,'=b\n"
    assert list(files.showable(frame)) == ["text", "text (2)"]
    frame = pandas.DataFrame([["a", "b", "c"]], columns=["x", "x", "x (2)"])
    assert files.showable(frame).iloc[0].tolist() == ["a", "b", "c"]


def test_nothing_gives_a_header():
    frame = pandas.DataFrame({"text": [], "answer": []})
    assert files.as_csv(frame) == files.BYTE_ORDER_MARK + b"text,answer\n"


def test_mixed_values_can_be_shown():
    frame = pandas.DataFrame({"a": [1, "x", None, {"k": [1]}]}, dtype=object)
    assert files.showable(frame)["a"].tolist()[:2] == ["1", "x"]
    assert files.showable(frame)["a"].isna().tolist() == [False, False, True, False]


# ---------------------------------------------------------------- charts


def test_without_an_emotion_there_are_words_and_no_bars(stub):
    app = answer(upload(b"text\nAndroid is there\nhmm\n", "a.csv"))
    assert len(app.get("plotly_chart")) == 1
    caption = "By the best guess, 0 rows have an emotion toward a product (0 of them not sure) and 2 have none."
    assert caption in words_of(app)


def test_a_model_of_other_labels_is_counted_in_them(own_model):
    app = answer(upload(b"text\nso good\na lamp\nhmm\n", "a.csv"))
    words = words_of(app)
    assert "By the best guess, 1 row has an emotion toward a product (0 of them not sure) and 2 have none." in words
    assert 'product where emotion is not "meh"' in words


def test_a_file_without_a_text_has_no_charts(stub):
    app = answer(upload(b"id,text\n1,\n2, \n", "a.csv"))
    assert not app.get("plotly_chart")
    assert len(app.dataframe[-1].value) == 2


def test_emotions_are_told_apart_without_colour_too_and_classes_are_letters():
    counts = pandas.DataFrame(
        [(tasks.NEGATIVE, "a <b>", 99), (tasks.POSITIVE, "a <b>", 1)], columns=["emotion", "product", "tweets"]
    )
    negative, positive = bar_charts.emotion_by_product(counts, "title", "tweets").data
    assert (list(negative.x), list(negative.y)) == ([99], ["a &lt;b&gt;"])
    assert (negative.marker.pattern.shape, positive.marker.pattern.shape) == ("/", "")
    assert (negative.text, positive.text) == (("99",), ("1",))


def test_confidences_are_counted_in_bins():
    figure = bar_charts.confidences(pandas.Series([0.2, 0.6, 1.0], dtype="float32"), "title")
    assert sum(figure.data[0].y) == 3
    assert figure.data[0].y[-1] == 1


def test_a_hundred_thousand_rows_pass(stub, tmp_path, monkeypatch):
    rows = 100_000
    answered = stub_predict_texts(stub, TEXTS, probabilities=True)
    repeated = pandas.concat([answered] * (tables.CHUNK_ROWS // 4), ignore_index=True)
    monkeypatch.setattr(StubPredictor, "predict", lambda _, texts, *__, **___: repeated.iloc[: len(texts)].copy())
    (tmp_path / "a.csv").write_text("id,text\n" + "".join(f"{n},{TEXTS[n % 4]}\n" for n in range(rows)))
    job = job_of(stub, tmp_path / "a.csv")
    assert (job.upload.rows, job.upload.problem) == (rows, "")
    job.join(60)
    assert job.status == batch_job.DONE, job.problem
    assert len(job.result) == rows
    assert job.result["id"].tolist()[-1] == "99999"
    read = pandas.read_csv(io.BytesIO(files.as_csv(job.result)))
    assert read["answer"].value_counts().to_dict() == dict.fromkeys(ANSWERS, rows // 4)


def test_the_files_of_an_upload_go_with_it(tmp_path):
    kept = files.keep("1", "a.csv", b"text\na\n")
    folder = kept.path.parent
    assert folder.is_dir()
    del kept
    assert not folder.exists()


def test_a_broken_file_is_an_error_of_the_job_too(stub, tmp_path):
    (tmp_path / "a.csv").write_text("text\na\n")
    job = job_of(stub, tmp_path / "a.csv", "nothing")
    job.join(20)
    assert job.status == batch_job.FAILED
    assert job.problem.startswith("a.csv has no column 'nothing'")


def test_whatever_the_model_raises_is_one_line(stub, tmp_path):
    stub.fails = RuntimeError("no such operation\nand more")
    (tmp_path / "a.csv").write_text("text\na\n")
    job = job_of(stub, tmp_path / "a.csv")
    job.join(20)
    assert (job.status, job.problem) == (batch_job.FAILED, "no such operation")
