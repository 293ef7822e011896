"""What the Evaluate page shows for model folders: complete, broken, or none."""

import json
import shutil
from collections import Counter

import pandas as pd
import pytest
from app_stub import MARKUP, said
from model_folders import ROWS, labelled, write_answer, write_single
from sample_datasets import write_csv
from streamlit.testing.v1 import AppTest

from streamlit_app.charts import evaluate_charts
from tf_model import paths, tasks
from tf_model.data import DATA_VARIABLE, dataset
from tf_model.evaluation.calibration import reliability, risk_coverage
from tf_model.evaluation.metrics import wilson_interval
from tf_model.io import files

PAGE = paths.ROOT / "streamlit_app" / "views" / "evaluate.py"

pytestmark = pytest.mark.usefixtures("sample")


def open_page(model=None, task=None):
    page = AppTest.from_file(str(PAGE), default_timeout=120).run()
    if model:
        page.selectbox(key="evaluate_model").set_value(model).run()
    if task:
        page.segmented_control(key="evaluate_task").set_value(task).run()
    assert not page.exception, page.exception
    return page


def table_with(page, column):
    return next(each.value for each in page.dataframe if column in each.value)


def has_charts(page):
    return bool(page.get("plotly_chart"))


class TestStates:
    def test_a_card_fetches_no_picture(self, models):
        card = write_single(models) / "model_card.md"
        card.write_text(card.read_text() + r"![](http://127.0.0.1/seen.png) \![](http://127.0.0.1/seen.png)")
        [shown] = [each.value for each in open_page().markdown if "A card." in each.value]
        assert "![" not in shown
        assert shown.count("&#33;[](http") == 2

    def test_no_model_says_what_to_run(self, models):
        page = open_page()
        assert "make answer" in page.info[0].value
        assert not page.selectbox

    def test_a_folder_without_a_graph_is_broken(self, models):
        (write_single(models) / "saved_model.pb").unlink()
        page = open_page()
        assert "saved_model.pb is missing" in said(page)
        assert not has_charts(page)

    def test_a_damaged_file_is_named_and_another_model_can_be_chosen(self, models):
        (write_single(models) / "metrics.json").write_text("{")
        write_single(models, "emotion")
        page = open_page("product")
        assert "metrics.json cannot be read" in page.error[0].value.replace("\\", "")
        assert not has_charts(page)
        assert has_charts(open_page("emotion"))

    def test_a_model_of_the_sample_corpus_is_marked(self, models):
        write_single(models, dataset="sample")
        page = open_page()
        assert "its metrics say nothing about real tweets" in page.warning[0].value

    def test_a_replaced_model_is_seen_without_a_restart(self, models):
        folder = write_single(models)
        page = open_page()
        metrics = json.loads((folder / "metrics.json").read_text())
        metrics["validation"]["product"]["confusion_matrix"][0][0] += 1000
        (folder / "metrics.json").write_text(json.dumps(metrics))
        (folder / "manifest.json").write_text("of another training")
        assert f"Measured on {ROWS + 1000:,} texts" not in said(page)
        assert f"Measured on {ROWS + 1000:,} texts" in said(page.run())


class TestFigures:
    def test_the_protocol_stands_above_the_charts(self, models):
        write_single(models)
        assert "Protocol: random split (seed 42, 20% to validate)" in said(open_page())

    def test_charts_have_words(self, models):
        write_single(models)
        spoken = [chart.proto.alt for chart in open_page().get("plotly_chart")]
        assert len(spoken) == 3
        label_ids, probabilities = labelled(tasks.PRODUCTS)
        pairs = Counter(zip(label_ids.tolist(), probabilities.argmax(axis=1).tolist(), strict=True))
        wrong = {pair: count for pair, count in sorted(pairs.items()) if len({*pair}) > 1}
        (true, predicted), count = max(wrong.items(), key=lambda each: each[1])
        true, predicted = tasks.PRODUCTS[true], tasks.PRODUCTS[predicted]
        words = f"Confusion matrix of 9 classes. Most often confused: {true} taken for {predicted}: {count};"
        assert spoken[0].startswith(words)
        assert "On average the confidence is off by" in spoken[1]
        assert "validation texts get an answer" in spoken[2]


class TestTrust:
    def test_of_100_real_ones_and_of_100_flagged(self, models):
        write_single(models, "emotion")
        label_ids, probabilities = labelled(tasks.EMOTIONS)
        real, flagged = label_ids == 0, probabilities.argmax(axis=1) == 0
        hits = int((real & flagged).sum())
        low, high = wilson_interval(hits, int(real.sum()))
        words = f"{tasks.NEGATIVE}: of 100 real ones it finds {100 * hits / real.sum():.0f} ({100 * low:.0f} to "
        words += f"{100 * high:.0f}); of 100 that it flags, {100 * hits / flagged.sum():.0f} ("
        assert words in said(open_page())
        most = Counter(label_ids.tolist()).most_common(1)[0]
        words = f'always answering "{tasks.EMOTIONS[most[0]]}" is right in {100 * most[1] / ROWS:.0f} ('
        assert words in said(open_page())

    @pytest.mark.parametrize(
        ("task", "label", "rule"),
        [
            (tasks.PRODUCT, "iPad", "looking for the products' names"),
            (tasks.EMOTION, tasks.POSITIVE, "counting positive and negative words"),
        ],
    )
    def test_a_keyword_rule_stands_beside_where_the_dataset_is_at_hand(
        self, models, tmp_path, monkeypatch, task, label, rule
    ):
        write_single(models, task.name)
        assert rule not in said(open_page())
        data = write_csv(
            tmp_path / "mine.csv", [(f"I love my iPad {each}", "iPad", tasks.POSITIVE) for each in range(3 * ROWS)]
        )
        monkeypatch.setenv(DATA_VARIABLE, str(data))
        write_single(models, task.name, name="other", data_sha256=dataset.read(data).sha256)
        share = 100 * (labelled(task.labels)[0] == task.labels.index(label)).mean()
        assert f"{rule} is right in {share:.0f} (" in said(open_page("other"))

    def test_a_class_without_a_row_has_no_figure(self, models):
        folder = write_single(models, "emotion")
        metrics = json.loads((folder / "metrics.json").read_text())
        metrics["validation"]["emotion"]["confusion_matrix"] = [[0, 0, 0], [0, 9, 0], [0, 1, 0]]
        (folder / "metrics.json").write_text(json.dumps(metrics))
        assert f"{tasks.NEGATIVE}: of 100 real ones it finds -; of 100 that it flags, - are real." in said(open_page())


class TestThreshold:
    def test_the_slider_shows_what_would_happen(self, models):
        write_single(models)
        page = open_page()
        page.slider(key="evaluate_threshold_product_product_None").set_value(0.0).run()
        assert f"At 0.00, {ROWS} of {ROWS} validation texts get an answer;" in said(page)
        assert "0 wrong answers are avoided, 0 correct ones lost." in said(page)
        page.slider(key="evaluate_threshold_product_product_None").set_value(1.0).run()
        assert "At 1.00 none of the validation texts gets an answer." in said(page)

    def test_each_model_has_a_slider_of_its_own(self, models):
        write_single(models)
        shutil.copytree(models / "product", models / "product_2")
        page = open_page()
        page.slider(key="evaluate_threshold_product_product_None").set_value(0.9).run()
        page.selectbox(key="evaluate_model").set_value("product_2").run()
        assert page.slider(key="evaluate_threshold_product_product_2_None").value == 0.5

    def test_that_of_a_model_of_targets_begins_at_its_own_threshold(self, models):
        folder, page = write_single(models, "target"), None
        for threshold in (0.4, 0.7):  # the second model replaces the first while the page is open
            calibration = {"temperature": {"target": 1.5}, "threshold": threshold}
            (folder / "calibration.json").write_text(json.dumps(calibration), encoding="utf-8")
            (folder / "manifest.json").write_text(str(threshold), encoding="utf-8")
            page = page.run() if page else open_page()
            assert [each.value for each in page.slider] == [threshold]
            assert f"the model's own threshold, {threshold:.2f}" in said(page)


class TestAnswer:
    def test_the_whole_answer_first(self, models):
        write_answer(models)
        page = open_page()
        low, high = wilson_interval(0.75 * ROWS, ROWS)
        words = (
            f"together are right in 75 ({100 * low:.0f} to {100 * high:.0f}) of 100 texts. Of the texts with an emotion"
        )
        assert f"{words}, 58 of 100 are right." in said(page)
        assert page.slider(key="evaluate_threshold_answer_answer_0.5").value == 0.5  # the model's own
        assert "the model's own threshold, 0.50" in said(page)

    def test_each_task_by_itself(self, models):
        write_answer(models)
        page = open_page(task="product")
        assert f" of {ROWS * 2 // 3} validation texts get an answer;" in said(page)


class TestMistakes:
    def test_their_texts_are_shown_as_text_where_the_dataset_is_at_hand(self, models, tmp_path, monkeypatch):
        rows = [(f"{MARKUP} {number}", "iPad", tasks.POSITIVE) for number in range(3 * ROWS)]
        data = write_csv(tmp_path / "mine.csv", rows)
        monkeypatch.setenv(DATA_VARIABLE, str(data))
        write_single(models, data_sha256=dataset.read(data).sha256)
        page = open_page()
        mistakes = table_with(page, "true_probability")
        assert all(f"{MARKUP} {row}" == text for row, text in zip(mistakes["row"], mistakes["text"], strict=True))
        assert mistakes["true_probability"].is_monotonic_increasing
        assert (mistakes["label"] != mistakes["predicted"]).all()
        assert "<b>" not in said(page)
        assert all(not each.allow_html for each in page.markdown)

    def test_they_are_the_texts_of_the_column_that_the_model_reads(self, models, tmp_path, monkeypatch):
        data = tmp_path / "mine.csv"
        rows = pd.DataFrame({"title": "short", "body": "long", "product": ["iPad", "iPhone"] * ROWS * 2})
        rows[["title", "body"]] += rows.index.astype(str).to_numpy()[:, None]
        rows.to_csv(data, index=False)
        monkeypatch.setenv(DATA_VARIABLE, str(data))
        for name in ("title", "body"):
            columns = {"text": name, "product": "product"}
            write_single(models, name=name, data_sha256=files.sha256_of(data), columns=columns)
        for name, beginning in (("title", "short"), ("body", "long")):
            assert table_with(open_page(name), "true_probability")["text"].str.startswith(beginning).all()

    @pytest.mark.parametrize("columns", [{}, {"text": "body", "product": "brand"}])
    def test_row_numbers_alone_where_it_is_not(self, models, columns):
        write_single(models, columns=columns)
        page = open_page()
        assert "The texts cannot be shown, only their row numbers" in said(page)
        assert "name that file in TWEETS_DATA" in said(page)
        assert "text" not in table_with(page, "true_probability")


class TestCharts:
    def test_the_confusion_matrix_is_coloured_by_share_and_says_counts(self):
        figure = evaluate_charts.confusion([[3, 1], [0, 0]], ["a <b>", "c"])
        heat = figure.data[0]
        assert heat.z.tolist() == [[0.75, 0.25], [0, 0]]
        assert [list(row) for row in heat.text] == [["3", "1"], ["", ""]]
        assert heat.customdata.tolist() == [[3, 1], [0, 0]]
        assert "%{y}, predicted as %{x}" in heat.hovertemplate
        assert list(heat.x) == list(heat.y) == ["a &lt;b&gt;", "c"]

    def test_a_bin_of_few_rows_is_a_small_mark(self):
        label_ids, probabilities = [0] * 9 + [1], [[0.9, 0.1]] * 9 + [[0.4, 0.6]]
        figure = evaluate_charts.reliability(reliability(label_ids, probabilities))
        line = next(trace for trace in figure.data if trace.name == "model")
        assert list(line.x) == pytest.approx([0.6, 0.9])
        assert list(line.y) == pytest.approx([1, 1])
        assert line.marker.size[0] < line.marker.size[1]

    def test_the_chosen_threshold_is_marked_on_the_curve(self):
        figure = evaluate_charts.risk_coverage(risk_coverage([0.2, 0.9], [False, True]), (0.5, 1.0))
        assert sorted({*zip(figure.data[0].x, figure.data[0].y, strict=True)}) == [(0.5, 1.0), (1.0, 0.5)]
        assert (figure.data[1].x, figure.data[1].y) == ((0.5,), (1.0,))


def test_a_model_of_targets_is_not_said_to_find_products(models):
    path = write_single(models, "target") / "metrics.json"
    metrics, shares = json.loads(path.read_text()), ("accuracy", "emotion_rows_accuracy", "not_sure_share")
    metrics["validation"]["answer"] = dict.fromkeys(shares, 0.5) | {"rows": 60, "answered_accuracy": 0.8}
    path.write_text(json.dumps(metrics))
    words = said(open_page())
    assert "product together" not in words
    assert "Of the mentions with an emotion, 50 of 100 are right." in words
    assert f"Measured on {ROWS} mentions." in words


@pytest.mark.parametrize(
    ("name", "words"),
    [("emotion_rows_accuracy", "with an emotion, - of 100 are"), ("answered_accuracy", "; - of 100 other answers are")],
)
def test_a_share_of_no_row_is_a_dash(models, name, words):
    path = write_answer(models) / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["validation"]["answer"][name] = None
    path.write_text(json.dumps(metrics))
    assert words in said(open_page())
