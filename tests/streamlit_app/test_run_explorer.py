"""What a run shows beyond Explore: corrected shares, changes over time, two selections compared, real dates."""

import io
import json
import re
import secrets
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from types import SimpleNamespace

import numpy
import openpyxl
import pandas
import pytest
import streamlit as st
from app_stub import fill_disk, open_run, press, run_of, said, start, upload, wait, words_of
from model_folders import labelled
from streamlit.testing.v1 import AppTest

from streamlit_app.components import files, labelling, run_explorer, runs
from tests.analysis.test_themes import FILLERS, PLANTED
from tf_model import data, paths, tasks
from tf_model.analysis import shares
from tf_model.data import corrections, splits
from tf_model.errors import count_of
from tf_model.evaluation.metrics import evaluate_probabilities
from tf_model.preprocessing.cleaning import mark

FIRST = date(2026, 5, 4)  # a Monday
WEEKS = 8


@pytest.fixture
def run(stub, tmp_path_factory):
    """Forty texts a week, half about the iPhone: from the fifth week on, these are negative and from the shop."""
    kept = tmp_path_factory.getbasetemp() / "run-of-320-texts"
    if not kept.exists():
        shutil.copytree(answered(texts_of_eight_weeks()).folder, kept)
    folder = runs._root() / secrets.token_urlsafe(16)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return runs.find(shutil.copytree(kept, folder).name)


def texts_of_eight_weeks():
    lines = ["text,when,Source"]
    for number in range(40 * WEEKS):
        week, place = divmod(number, 40)
        is_bad = week >= 4 and place < 20
        words = "I hate my iPhone, it crashed" if is_bad else "I love my iPhone" if place < 20 else "The iPad is there"
        lines.append(f'"{words} {number}",{FIRST + timedelta(weeks=week)},{"shop" if is_bad else "web"}')
    return lines


def answered(lines):
    return wait(start("a.csv", "\n".join(lines).encode()))


def test_what_changed_is_said_in_a_sentence_and_its_texts_are_read(run):
    app = open_run(run, "Over time")
    first = said(app)
    assert "From the week of 1 June 2026 on, Negative emotion toward iPhone rose from 0% to 100% of the texts" in first
    assert "Typical words since then: crashed, hate" in first
    assert re.search(r"Positive emotion toward iPhone fell [^:]*\. Typical words before: .*\blove\b", first)
    assert "Dates: column when." in first
    [chart] = app.get("plotly_chart")
    assert "Negative emotion toward iPhone: share of the texts by week: week of 4 May 2026 0%" in chart.proto.alt
    key = f"{run.id}_time_week_iPhone_{tasks.NEGATIVE}_bar"
    app.selectbox(key=key).set_value("week of 8 June 2026").run()
    assert len(app.dataframe[-1].value) == 20
    assert app.dataframe[-1].value["text"].str.contains("crashed").all()
    assert list(app.dataframe[-1].value)[:4] == ["text", "when", "Source", tasks.ANSWER]
    app.segmented_control(key=f"{run.id}_period_week_week").set_value("month").run()
    assert "From June 2026 on, Negative emotion toward iPhone rose from 0% to 100%" in said(app)
    [chart] = app.get("plotly_chart")
    assert "share of the texts by month: May 2026 0%, June 2026 100%" in chart.proto.alt
    app.multiselect(key=f"{run.id}_products").set_value(["iPhone"]).run()
    assert not app.exception, app.exception
    assert "Negative emotion toward iPhone rose from 0% to 100%" in said(app)
    assert "all products" not in words_of(app)


def test_a_week_without_texts_is_a_gap_in_the_curve(stub):
    weeks = [FIRST + timedelta(weeks=week) for week in range(WEEKS)]
    lines = [f"I love my iPad {number},{weeks[number]}" for number in range(WEEKS) if number != 2]
    app = open_run(answered(["text,when", *lines]), "Over time")
    [chart] = app.get("plotly_chart")
    assert "week of 11 May 2026 0%, week of 25 May 2026 0%," in chart.proto.alt
    line, band = json.loads(chart.proto.spec)["data"]
    assert (
        "No product's shares changed by more than chance; a change needs at least 30 texts on each side."
        in words_of(app)
    )
    assert [text[:10] for text in line["x"]] == list(map(str, weeks))
    assert [each is None for each in band["x"]] == [*[False] * 4, True, *[False] * 10, True]


def test_a_week_between_two_gaps_has_an_interval(stub):
    app = open_run(
        answered(["text,when", *(f"I love my iPad {n},{FIRST + timedelta(weeks=2 * n)}" for n in (0, 1))]), "Over time"
    )
    _, band = json.loads(app.get("plotly_chart")[0].proto.spec)["data"]
    assert len({*band["x"][:2]}) == 1
    assert band["line"]["width"], "a surface of no width shows only by its outline"


def test_a_file_of_dates_in_the_future_alone_is_shown(stub):
    run = answered(["text,when", *(f"I love my iPad {number},2999-01-01" for number in range(3))])
    app = open_run(run, "Over time")
    assert "3 rows with a date in the future, left out" in said(app)
    assert "None of these texts has a date." in words_of(app)
    assert not app.date_input


def test_dates_and_sources_are_filters_that_are_kept(run):
    app = open_run(run, "Rows")
    app.date_input(key=f"{run.id}_dates").set_value((FIRST, FIRST + timedelta(days=6))).run()
    app.multiselect(key=f"{run.id}_sources").set_value(["web"]).run()
    assert len(app.dataframe[-1].value) == 40
    assert len(open_run(run, "Rows").dataframe[-1].value) == 40
    app.multiselect(key=f"{run.id}_sources").set_value(["shop"]).run()
    assert "0 of 320 rows pass the filters." in words_of(app)


def test_two_selections_are_compared(run):
    app = open_run(run, "Compare")
    assert app.info[-1].value == "A and B hold the same texts: filter A or B by source, product or date."
    for side, source in (("A", "web"), ("B", "shop")):
        app.multiselect(key=f"{run.id}_{side}_sources").set_value([source]).run()
    assert not app.exception, app.exception
    assert "iPhone, Negative emotion: 0% in A, 100% in B, 100 points more" in said(app)
    assert "Words typical of B: " in said(app)
    assert "pass both filters" not in said(app)
    assert "how probable so large a difference is by chance alone" in said(app)
    assert "Fisher" not in said(app), "it is in the help"
    assert app.dataframe[-1].value["texts B"].tolist()[0] == 80
    assert app.dataframe[-1].value["difference"].max() == 100, "points, not percent"
    assert app.dataframe[-1].value["p_value"].between(0, 1e-9, inclusive="neither").any(), "small, but never 0"
    assert set(app.dataframe[-1].value["product"]) == {"all products", "iPhone"}  # the shop has no iPad text


def test_texts_on_both_sides_are_left_out_of_both(run):
    app = open_run(run, "Compare")
    app.multiselect(key=f"{run.id}_A_sources").set_value(["web"]).run()
    since = (FIRST + timedelta(weeks=3), FIRST + timedelta(weeks=7))
    app.date_input(key=f"{run.id}_B_dates").set_value(since).run()
    assert not app.exception, app.exception
    assert "120 of 320 texts pass both filters: left out of both." in said(app)
    assert "Negative emotion: 0% in A, 100% in B, 100 points more" in said(app)
    assert app.dataframe[-1].value[["texts A", "texts B"]].max().tolist() == [120, 80]


def test_a_part_is_compared_with_the_rest(run):
    app = open_run(run, "Compare")
    app.multiselect(key=f"{run.id}_B_sources").set_value(["shop"]).run()
    assert not app.exception, app.exception
    assert "80 of 320 texts pass both filters: counted in B alone." in said(app)
    assert app.dataframe[-1].value[["texts A", "texts B"]].max().tolist() == [240, 80]


def test_too_few_texts_are_not_said_to_be_alike(run):
    app = open_run(run, "Compare")
    app.text_input(key=f"{run.id}_A_contains").set_value("crashed 16").run()
    app.multiselect(key=f"{run.id}_B_sources").set_value(["web"]).run()
    assert "Not compared: A has 10 texts, B 240; each needs at least 30." in [each.value for each in app.info]


def test_two_files_with_other_columns_are_compared(run):
    other = answered(["id,review", *(f"{number},I love my iPhone {number}" for number in range(60))])
    app = open_run(other, "Compare")
    first, second = app.selectbox(key=f"{other.id}_another").options
    assert first == "Two selections of this file"
    assert second.startswith("This file and a.csv (20")
    app.selectbox(key=f"{other.id}_another").select_index(1).run()
    assert not app.exception, app.exception
    assert "iPhone, Negative emotion: 0% in A, 50% in B, 50 points more" in said(app)
    assert app.dataframe[-1].value[["texts A", "texts B"]].max().tolist() == [60, 320]


def test_of_files_with_one_name_the_chosen_one_is_compared(run):
    others = [answered(["text", *(f"I love my iPhone {number}" for number in range(size))]) for size in (40, 50, 60)]
    for number, other in enumerate(others):
        other.began += number
        other.save()
    app = open_run(run, "Compare")
    app.selectbox(key=f"{run.id}_another").select_index(2).run()
    assert app.dataframe[-1].value["texts B"].max() == 50
    app = open_run(others[0], "Compare")
    app.selectbox(key=f"{others[0].id}_another").select_index(2).run()
    assert "Texts of A with the text of one of B: 40." in said(app)


def test_files_that_were_answered_in_another_way_are_not_compared(run):
    other = answered(["text", *(f"I love my iPhone {number}" for number in range(40))])
    assert open_run(run, "Compare").selectbox(key=f"{run.id}_another")
    for change in ({"version": "another"}, {"products": {"iPad": ["ipad"]}}):
        replace(other, **change).save()
        assert f"{run.id}_another" not in [each.key for each in open_run(run, "Compare").selectbox], change


@pytest.mark.parametrize(
    ("time", "name", "hour", "shown"),
    [
        ("2024-05-01T10:00:00+02:00", "time (UTC)", 8, "yyyy-mm-dd h:mm:ss"),
        ("2024-05-01 10:00", "time", 10, "yyyy-mm-dd h:mm:ss"),
        ("01.05.2024", "time", 0, "yyyy-mm-dd"),
    ],
)
def test_the_workbook_has_real_dates_and_says_that_those_with_an_offset_are_in_utc(stub, time, name, hour, shown):
    answers = answered(["text,time", f"I love my iPad,{time}", f"I love my iPhone,{time}"]).answers()
    sheet = openpyxl.load_workbook(io.BytesIO(files.as_xlsx(answers.table, answers.dates))).active
    assert (sheet["B1"].value, sheet["B2"].value.hour, sheet["B2"].number_format) == (name, hour, shown)
    assert answers.table["time"].tolist() == [time] * 2


def test_of_two_columns_of_one_name_the_one_with_the_dates_has_real_dates_in_the_workbook(stub):
    answers = answered(["text,date,date", *(f"I love my iPad {number},no,01.05.2024" for number in range(2))]).answers()
    sheet = openpyxl.load_workbook(io.BytesIO(files.as_xlsx(answers.table, answers.dates))).active
    assert sheet["B2"].value == "no"
    assert sheet["C2"].is_date
    assert answers.first_columns == ["text", "date (2)"]


@cache
def correction():
    ids = numpy.arange(60) % 3
    unsure = numpy.random.default_rng(0).dirichlet([1, 1, 1], 60)
    labelled = SimpleNamespace(labels=tasks.EMOTIONS, probabilities=(numpy.eye(3)[ids] + unsure) / 2, label_ids=ids)
    named = pandas.Series(["iPhone", "iPad", "iPad"] * 20)
    return shares.Correction.of(labelled, named)


@pytest.fixture
def corrected(monkeypatch):
    """A model that states its error rates."""
    monkeypatch.setattr(run_explorer, "correction_of", lambda _: (correction(), ""))
    st.cache_resource.clear()


def test_rows_are_checked_by_hand_and_kept_with_the_run(run, corrected, monkeypatch):
    monkeypatch.setattr(labelling, "ROWS_TO_CHECK", 12)
    app = open_run(run)
    order = shares.checking_order(run.answers().rows)
    before = app.dataframe[-1].value
    press(app, "Draw 12 rows to check by hand")
    assert "12 left." in said(app)
    for number, label in enumerate((tasks.NEGATIVE, tasks.POSITIVE, "Cannot tell")):
        assert run.answers().rows["text"][order[number]] in words_of(app)
        press(app, label)
    press(app, "Undo")
    assert "10 left." in said(app)
    press(app, "Stop")
    assert run.checked.to_dict() == {order[0]: tasks.NEGATIVE, order[1]: tasks.POSITIVE}
    press(app, "Draw 10 rows to check by hand")
    press(app, tasks.NEGATIVE)
    run.store(runs.CHECKED, run.stored(runs.CHECKED) | {str(row): tasks.NEGATIVE for row in order[4:12]})
    app.run()  # as if pressed: the buttons know the new labels
    assert "1 left." in said(app)
    press(app, tasks.NEGATIVE)
    assert "12 of these texts, drawn at random, were checked by hand." in words_of(app)
    after = open_run(run).dataframe[-1].value
    wide = before["high"] - before["low"]
    assert ((after["high"] - after["low"])[wide > 0.2] < wide[wide > 0.2]).all()
    assert after["corrected share"][0] > before["corrected share"][0]


@pytest.mark.parametrize(("tab", "is_corrected"), [("Labels", True), ("Over time", False), ("Compare", False)])
def test_what_a_share_allows_for_is_said_and_a_filter_of_emotions_leaves_none(run, corrected, tab, is_corrected):
    app = open_run(run, tab)
    if tab == "Compare":
        for side, source in (("A", "web"), ("B", "shop")):
            app.multiselect(key=f"{run.id}_{side}_sources").set_value([source]).run()
    assert ("Shares are as the model counts, without correction" in words_of(app)) is not is_corrected
    assert ("counted share of a single product can be as close" in words_of(app)) is is_corrected
    assert run_explorer.ALL_EMOTIONS not in words_of(app)
    assert "Below each share" in words_of(app)
    app.multiselect(key=f"{run.id}_emotions").set_value([tasks.NEGATIVE]).run()
    assert not app.exception, app.exception
    assert run_explorer.ALL_EMOTIONS in words_of(app)
    assert "Below each share" not in words_of(app)
    assert "Corrected share" not in words_of(app)


def test_the_last_check_of_a_file_can_be_undone(stub, corrected):
    run = answered(["text", "I love my iPad", "The iPhone crashed"])
    app = open_run(run)
    assert "Below each share" not in words_of(app), "too few texts"
    press(app, "Draw 2 rows to check by hand")
    press(app, tasks.NEGATIVE)
    assert "Back to the last row" not in [each.label for each in app.button]
    press(app, tasks.POSITIVE)
    press(app, "Back to the last row")
    press(app, "Undo")
    assert "1 left." in said(app)
    assert run.checked.tolist() == [tasks.NEGATIVE]


def test_charts_are_of_the_most_frequent_products(stub, monkeypatch):
    monkeypatch.setattr("streamlit_app.components.explorer.MOST_PRODUCTS", 1)
    app = open_run(answered(["text", "I love my iPad", "The iPhone crashed", "An iPhone"]), "Labels")
    assert "Charts by product show the 1 most frequent of 2; filter for others." in words_of(app)
    alts = [chart.proto.alt for chart in app.get("plotly_chart")]
    assert alts[0] == "Number of texts by product: iPhone 2."
    assert "iPad" not in " ".join(alts)


def test_a_check_that_cannot_be_stored_is_said_and_the_row_stays(run, corrected, monkeypatch):
    app = open_run(run)
    press(app, "Draw 50 rows to check by hand")
    fill_disk(monkeypatch)
    press(app, tasks.NEGATIVE)
    assert r"checked\.json\: the disk is full" in app.toast[0].value
    assert "50 left." in said(app)


def test_rows_that_two_windows_check_are_all_kept(run, corrected):
    one, other = open_run(run), open_run(run)
    for app in (one, other):
        press(app, "Draw 50 rows to check by hand")
    press(one, tasks.NEGATIVE)
    press(one, tasks.POSITIVE)
    press(other, tasks.NO_EMOTION)
    order = shares.checking_order(run.answers().rows)
    assert run.checked.to_dict() == {order[0]: tasks.NO_EMOTION, order[1]: tasks.POSITIVE}
    press(other, "Undo")
    assert run.checked.to_dict() == {order[1]: tasks.POSITIVE}


def test_a_filter_may_leave_fewer_rows_than_were_to_be_checked(run, corrected):
    app = open_run(run)
    press(app, "Draw 50 rows to check by hand")
    app.text_input(key=f"{run.id}_contains").set_value("iPad is there 20").run()
    left = run.answers().rows["text"].str.contains("iPad is there 20").sum()
    press(app, f"Draw {count_of(left, 'row')} to check by hand")
    for _ in range(left):
        press(app, tasks.NO_EMOTION)
    assert not any(each.label.startswith("Draw") for each in app.button)
    assert f"{left} of these texts, drawn at random, were checked by hand.\n" in words_of(app)
    words = words_of(app.text_input(key=f"{run.id}_contains").set_value("").run())
    assert f"{left} more do not count here: a row before them was skipped, or they were drawn from another" in words


def test_a_row_of_which_nobody_can_tell_is_not_counted_as_checked(run, corrected):
    order = shares.checking_order(run.answers().rows)
    run.store(runs.CHECKED, {str(order[0]): tasks.NEGATIVE, str(order[1]): None})
    app = open_run(run)
    assert app.dataframe[-1].value["checked"].max() == 1
    assert "1 of these texts, drawn at random, were checked by hand." in words_of(app)
    assert "more do not count here" not in words_of(app)


def test_shares_are_corrected_where_the_model_says_how_it_errs(run, request, monkeypatch):
    assert "Shares are not corrected: " in said(open_run(run))
    request.getfixturevalue("corrected")
    app = open_run(run)
    assert "corrected for the model's known errors" in words_of(app)
    beside = {each.label: each.delta for each in app.metric}
    assert beside["Texts counted"] == ""
    assert beside["Negative emotion"].endswith("%)")
    table = app.dataframe[-1].value
    assert list(table)[:2] == ["product", "emotion"]
    assert table["corrected share"].between(table["low"], table["high"]).all()
    copy = SimpleNamespace(server_url="http://server", version="1", predictor=SimpleNamespace(folder=paths.ROOT))
    for training, is_corrected in (("2", False), ("1", True)):  # the server's, once the copy is that of its model
        monkeypatch.setattr(run_explorer, "training_of", lambda _, found=training: found)
        assert (run_explorer._correction(copy)[0] is not None) is is_corrected
    of_all = table[table["product"] == "all products"].set_index("emotion").loc[tasks.NEGATIVE]
    assert beside[tasks.NEGATIVE] == f"{of_all['corrected share']:.0%} ({of_all['low']:.0%} to {of_all['high']:.0%})"


def test_the_report_is_on_the_rows_that_pass_the_filters(run, stub, corrected, offered, monkeypatch):
    given = []
    monkeypatch.setattr(run_explorer, "figures", lambda *arguments, **kept: given.append((*arguments, kept)))
    monkeypatch.setattr(run_explorer, "render", lambda _: "a page")
    open_run(run)
    assert "Download report" not in offered, "nothing is known of how good the model is"
    stub.metrics["validation"] = {}
    run.store(run_explorer.THEMES, {"Negative emotion → iPad": {"1": "mine"}})
    app = open_run(run)
    app.multiselect(key=f"{run.id}_sources").set_value(["shop"]).run()
    assert offered["Download report"]() == "a page"
    [(result, texts, model, name, with_texts, kept)] = given
    assert with_texts
    assert kept["period"] is None
    assert kept["correction"][0] is correction(), "that of the page, whatever model has its name now"
    assert kept["checked_labels"].empty
    sizes = {name: len(themes) for name, themes in kept["chosen_themes"].items()}
    assert sizes.pop("Negative emotion → iPad") == 1, "those that were chosen stay"
    assert sizes == {"Negative emotion → iPhone": 80, "Positive emotion → iPhone": 80, "Positive emotion → iPad": 0}
    assert (len(result), model, name) == (80, stub, "a.csv (shop)")
    assert kept["of_file"]
    assert kept["dates"].values.index.equals(run.answers().table.index), "those of all rows"
    assert set(kept["products"]) == {"iPad", "iPhone"}, "also those of other sources"
    assert texts.index.equals(result.index)
    assert texts.str.contains("crashed").all()
    assert list(result)[:3] == ["text", "when", "Source"]
    assert f"emotion_probability_{tasks.NEGATIVE}" in result
    offered.clear()
    app.text_input(key=f"{run.id}_contains").set_value("no text has this").run()
    assert list(offered) == ["Download CSV", "Download XLSX"], "a report on no rows says nothing"


def test_shares_of_texts_that_contain_a_word_are_not_taken_for_shifted(run, stub, corrected, offered, monkeypatch):
    given = []
    monkeypatch.setattr(run_explorer, "_emotion_shares", lambda *arguments: given.append(arguments[4]))
    monkeypatch.setattr(run_explorer.RunExplorer, "_show_totals", lambda self, tweets: self._shares(self.rows))
    monkeypatch.setattr(run_explorer, "figures", lambda *_, by_words, **__: given.append(by_words))
    monkeypatch.setattr(run_explorer, "render", lambda _: "a page")
    stub.metrics["validation"] = {}
    app = open_run(run, "Rows")
    offered["Download report"]()
    app.text_input(key=f"{run.id}_contains").set_value("crashed").run()
    offered["Download report"]()
    assert given == [False, False, True, True]


def test_the_report_counts_what_the_charts_count(stub, corrected, offered):
    stub.metrics["validation"] = {"emotion": evaluate_probabilities(*labelled(tasks.EMOTIONS), tasks.EMOTIONS)}
    run = answered(["text", "I love my iPad", "I love my ipad!"])
    app = open_run(run)
    assert "1 of 2 rows are fit for the model and counted here" in offered["Download report"]()
    app.checkbox(key=f"{run.id}_let_in").set_value(True).run()
    assert "2 of 2 rows are counted here, also those not fit" in offered["Download report"]()


def test_the_report_is_by_the_chosen_period_without_quotes_if_asked_and_also_json(run, stub, monkeypatch):
    offered, given = {}, []
    monkeypatch.setattr(
        st, "download_button", lambda label, data, file_name, **options: offered.update({label: (data, file_name)})
    )

    def figures(*arguments, period, **_):
        given.append((arguments[4], period))
        return {"file": "é"}

    monkeypatch.setattr(run_explorer, "figures", figures)
    stub.metrics["validation"] = {}
    app = open_run(run, "Over time")
    app.segmented_control(key=f"{run.id}_period_week_week").set_value("month").run()
    app.toggle(key=f"{run.id}_quotes").set_value(False).run()
    app.session_state[f"{run.id}_tab"] = "Labels"
    app.run()
    data, name = offered["Download report.json"]
    assert (json.loads(data()), name) == ({"file": "é"}, "a_answers.json")
    assert given == [(False, "month")]


def test_texts_of_which_different_shares_were_read_have_one_reason(stub):
    run = answered(["text", *("I love my iPad " * count for count in (40, 80))])
    app = open_run(run, "Rows")
    assert "2 of 2 rows are not." in said(app)
    assert "- longer than the model reads: **2**" in said(app)
    assert app.multiselect(key=f"{run.id}_statuses").options == ["longer than the model reads"]
    read = [f"longer than the model reads (at most {share}% was read)" for share in (78, 39)]
    assert app.dataframe[-1].value["status"].tolist() == read


def test_what_counts_as_a_repeat_in_the_tab_of_that_name_is_said(stub):
    app = open_run(answered(["text", "I love my iPad http://t.co/1", "I love my iPad http://t.co/2"]), "Repeats")
    assert "- repeated: **1**" in said(app)
    assert [each.proto.alt for each in app.get("plotly_chart")] == [
        "Number of texts by how often they occur: 2 times 2."
    ]
    assert "punctuation, links or retweet marks are the same text." in said(app)


@pytest.fixture
def themes(stub):
    """Sixty complaints about the iPhone in two months, of five kinds."""
    generator, lines = numpy.random.default_rng(0), ["text,when"]
    for number in range(60):
        what = " ".join(generator.permutation([*PLANTED[number % 5].split(), *generator.choice(FILLERS, 4, False)]))
        lines.append(f"I hate my iPhone {what},2026-0{5 + number % 2}-04")
    return answered(lines)


def test_themes_are_shown_renamed_merged_and_kept_with_the_run(themes):
    key = f"{tasks.NEGATIVE} → iPhone"
    app = open_run(themes, "Themes")
    table = app.dataframe[-1].value
    names = table["name"].tolist()
    [chart] = app.get("plotly_chart")
    bars = ", ".join(f"{name} {sum(trend)}" for name, trend in zip(names, table["trend"], strict=True))
    assert chart.proto.alt == f"Number of different texts by theme: {bars}."
    app.selectbox(key=f"{themes.id}_themes_{key}_bar").set_value(names[0]).run()
    first = app.dataframe[0].value["text"]
    assert first.head(3).tolist() == table.iloc[0, -3:].tolist()
    app.multiselect[-1].set_value(names[:2])
    app.text_input[-1].set_value("<b>hardware</b>")
    press(app, "Rename or merge")
    merged = open_run(themes, "Themes").dataframe[-1].value
    assert len(merged) == len(table) - 1
    assert merged["name"].tolist()[0] == "<b>hardware</b>"
    app = open_run(themes, "Themes")
    press(app, "Find themes again")
    assert app.dataframe[-1].value["name"].tolist() == names
    app = open_run(themes, "Themes")
    app.selectbox(key=f"{themes.id}_themes_emotion").set_value(tasks.POSITIVE).run()
    assert "Themes need 30 different texts" in app.info[-1].value


def label(run, name):
    """The tab with the label queue, with the annotator's name entered."""
    app = open_run(run, "Label queue")
    app.text_input(key=labelling.ANNOTATOR).set_value(name).run()
    return app


def test_a_queue_is_labelled_by_two_people_and_gives_a_file_to_train_with(run, offered, monkeypatch):
    monkeypatch.setattr(labelling, "label_queue", lambda rows, emotions, labelled: rows.index[:3])
    texts = run.answers().rows["text"]
    assert "Type your name" in open_run(run, "Label queue").info[-1].value
    app, late = label(run, "Ann"), label(run, "Dan")
    press(app, "Choose 50 texts to label")
    assert texts[0] in said(app)
    press(late, "Choose 50 texts to label")
    assert "Row 1 of 3, 3 left." in said(late), "both label the same rows"
    press(app, tasks.NEGATIVE)
    assert texts[1] in said(app)
    press(app, tasks.POSITIVE)
    press(app, "Undo")
    assert "Row 2 of 3, 2 left." in said(app)
    press(app, "Next")
    press(app, tasks.POSITIVE)
    assert texts[1] in said(app), "it was not labelled yet"
    press(app, "Back")
    assert f"You said: {tasks.NEGATIVE}." in said(app)
    press(app, "Stop")
    press(app, "Label 1 row")
    press(app, "Cannot tell")
    assert app.button(key=f"{run.id}_queue_at_begin").label.startswith("Choose")
    assert run.stored("labels")["labels"] == {"Ann": {"0": tasks.NEGATIVE, "2": tasks.POSITIVE, "1": None}}
    app = label(run, "<b>Ben</b>")
    press(app, "Label 3 rows")
    for emotion in (tasks.POSITIVE, tasks.POSITIVE, tasks.POSITIVE):
        press(app, emotion)
    assert "Ann and <b>Ben</b> agree on 50% of 2 rows, Cohen's kappa 0.00." in said(app)
    assert app.code[0].value == "python -m tf_model.train --task answer --extra labels.csv --name candidate"
    assert app.button(key=f"{run.id}_queue_train").label == "Train a model"
    content = offered["Download 2 labelled rows"]()
    assert content.startswith('"text","product",'), "all in quotes, or a carriage return would end a row"
    file = pandas.read_csv(io.StringIO(content))
    assert list(file) == ["text", "product", "emotion", "start", "end"]
    assert file[["text", "emotion"]].to_numpy().tolist() == [[texts[each], tasks.POSITIVE] for each in (1, 2)]
    assert file["product"].isna().all(), "nobody checked it"


def test_a_model_of_own_labels_is_trained_on_its_own_table(own_model):
    app = label(answered(["text", "good xbox", "an xbox"]), "Ann")
    press(app, "Choose 50 texts to label")
    press(app, "good")
    press(app, "good")
    assert app.code[0].value == (
        "python -m tf_model.train --task answer --data TABLE --extra labels.csv --name candidate"
    )
    assert "TABLE is what the model was trained on" in said(app)
    assert "Train a model" not in [each.label for each in app.button], "the page does not know the table"


def test_there_may_be_more_emotions_than_keys(models):
    def page():
        from types import SimpleNamespace

        import pandas
        import streamlit

        from streamlit_app.components.labelling import ask_rows

        streamlit.session_state["key"] = 0
        run = SimpleNamespace(id="a", per_product=False, emotions=[f"emotion {number}" for number in range(12)])
        ask_rows(run, pandas.DataFrame({"text": ["a"]}), [0], {}, print, "key")

    app = AppTest.from_function(page, default_timeout=120).run()
    assert not app.exception, app.exception
    assert len(app.button) == 13 + len(("Back", "Next", "Undo", "Stop"))


def test_two_people_say_something_at_once(run):
    run.store(labelling.LABELS, {"queue": [], "labels": {}})
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda row: labelling._store_label(run, f"name {row % 2}", row, tasks.POSITIVE), range(60)))
    assert [len(said) for said in run.stored(labelling.LABELS)["labels"].values()] == [30, 30]


def test_a_run_that_was_deleted_in_another_window_stays_deleted(run, corrected, monkeypatch):
    monkeypatch.setattr(labelling, "label_queue", lambda rows, emotions, labelled: rows.index[:3])
    checking, labelling_now, beginning = open_run(run), label(run, "Ann"), label(run, "Ben")
    press(checking, "Draw 50 rows to check by hand")
    press(labelling_now, "Choose 50 texts to label")
    run.delete()
    press(checking, tasks.NEGATIVE)
    press(labelling_now, tasks.NEGATIVE)
    press(beginning, "Choose 50 texts to label")
    for app in (checking, labelling_now, beginning):
        assert "There is no such file here" in app.info[-1].value
    assert not run.folder.exists()


def test_the_queues_work_with_every_id_of_a_run(run, corrected):
    run.folder = run.folder.rename(run.folder.with_name(f"a__{run.id[3:]}"))
    press(open_run(run), "Draw 50 rows to check by hand")


def test_the_queue_chooses_further_texts_of_those_that_pass_the_filters(run):
    app = label(run, "Ann")
    app.multiselect(key=f"{run.id}_products").set_value(["iPad"]).run()
    press(app, "Choose 50 texts to label")
    rows = run.answers().rows
    first = run.stored("labels")["queue"]
    assert set(rows["product"][first]) == {"iPad"}
    app.multiselect(key=f"{run.id}_products").set_value([]).run()
    assert len(first) == 50
    run.store("labels", run.stored("labels") | {"labels": {"Ann": dict.fromkeys(map(str, first[1:]))}})
    app.run()  # as if pressed 49 times: the buttons know the new labels
    press(app, "Cannot tell")
    press(app, "Choose 50 texts to label")
    assert set(run.stored("labels")["queue"]) > set(first)
    assert rows["text"][run.stored("labels")["queue"]].is_unique


def test_each_product_of_a_text_is_labelled_and_its_file_trains_targets(targets, offered, tmp_path):
    app = upload('text\n"I love my Kindle, I hate my Xbox"\nIt is late\n')
    app.segmented_control(key="batch_rows").set_value("one row per product").run()
    run = wait(run_of(press(app, "Answer 2 rows")))
    app = label(run, "Ann")
    press(app, "Choose 50 texts to label")
    for emotion, product in ((tasks.POSITIVE, "Kindle"), (tasks.NEGATIVE, "Xbox")):
        assert f"direct at {product}?" in said(app)
        press(app, emotion)
    assert app.code[0].value.startswith("python -m tf_model.train --task target --extra")
    path = tmp_path / "labels.csv"
    path.write_text(offered["Download 2 labelled rows"](), encoding="utf-8")
    dataset = data.read(paths.SAMPLE_CORPUS)
    rows = data.training_rows(dataset, "target")
    split = splits.Split(numpy.arange(1, len(rows)), numpy.array([0]))
    together, _, extra = corrections.join(path, dataset, rows, split)
    assert (extra["rows"], extra["left_out"]) == (2, {})
    assert together.texts[-2:] == [
        mark("I love my Kindle, I hate my Xbox", start, end) for start, end in ((10, 16), (28, 32))
    ]
    labels = [tasks.EMOTIONS[each] for each in together.label_ids[-2:, 0]]
    assert labels == [tasks.POSITIVE, tasks.NEGATIVE]


def test_themes_that_another_window_changes_meanwhile_are_kept(themes, monkeypatch):
    find_themes = run_explorer.find_themes

    def slow(*arguments):
        themes.store(run_explorer.THEMES, {"other": {"0": "renamed"}})
        return find_themes(*arguments)

    monkeypatch.setattr(run_explorer, "find_themes", slow)
    open_run(themes, "Themes")
    assert set(themes.stored(run_explorer.THEMES)) == {"other", f"{tasks.NEGATIVE} → iPhone"}
