"""``python -m tf_model.report``: a page that agrees with its metrics, for texts or their predictions."""

import io
import json
import re
import shutil
import sys
from dataclasses import replace
from functools import cache, partial

import numpy as np
import pandas as pd
import pytest
from answered_rows import three_months
from model_folders import write_answer, write_single
from stub_model import stub, target_stub

from tf_model import analysis, paths, report
from tf_model.analysis.changes import find_dates
from tf_model.analysis.figures import figures
from tf_model.analysis.rows import ALL, find_source
from tf_model.analysis.shares import checked_sample, checking_order
from tf_model.data.products import Products
from tf_model.errors import DataError, ModelError, OutputError, UsageError
from tf_model.inference.predictor import Predictor
from tf_model.inference.targets import TargetPredictor
from tf_model.io import tables
from tf_model.model_dir import read_json
from tf_model.tasks import NEGATIVE, NO_EMOTION

read_correction = cache(analysis.figures.read_correction)  # half a second of fitting
NASTY = '<script>alert("1")</script><img src=http://x.invalid/a.png> my iPad & I'


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    return write_answer(tmp_path_factory.mktemp("models"))


@pytest.fixture
def folder(answer, monkeypatch):
    """The folder of a model whose answers are those of the stub."""
    answer_as_stub(answer, monkeypatch)
    return answer


def answer_as_stub(folder, patch):
    def load(path):
        return replace(stub(has_emotion=True), folder=path, metrics=read_json(folder / "metrics.json"))

    patch.setattr(Predictor, "load", load)
    patch.setattr(analysis.figures, "read_correction", read_correction)


@pytest.fixture
def file(tmp_path):
    return write_file(tmp_path)


@pytest.fixture
def short(tmp_path):
    """Too few texts for corrected shares, themes and changes, which take time."""
    return write_file(tmp_path, 2)


def write_file(folder, fit_rows=150):
    """A user's file: dates, sources, texts about two products, and some unfit for the model."""
    generator = np.random.default_rng(0)
    words = ["battery", "screen", "keyboard", "signal", "camera", "update", "store", "design", "price", "cover"]
    fit = [
        f"the {'ipad' if number % 2 else 'iphone'} {' '.join(generator.choice(words, number % 7 + 3))} {number}"
        for number in range(fit_rows)
    ]
    texts = [*fit, NASTY, fit[0], "", "my ipad and my iphone", "nothing of either"]
    frame = pd.DataFrame({"when": "03/25/2024", "source": "forum", "text": texts})
    frame.loc[::3, "source"] = "mail"
    path = folder / "tweets.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def reported(answer, tmp_path_factory):
    """The page and the JSON on the file, for tests that change neither."""
    with pytest.MonkeyPatch.context() as patch:
        answer_as_stub(answer, patch)
        return run(write_file(tmp_path_factory.mktemp("reported")), answer)


def run(file, folder, *options):
    output = file.with_name("report.html")
    options = [*(["--model", str(folder)] if folder else []), *options]
    assert report.main([str(file), "--output", str(output), *options]) == 0
    return output.read_text(encoding="utf-8"), json.loads(output.with_suffix(".json").read_text(encoding="utf-8"))


def test_the_page_and_the_json_say_the_same(reported):
    page, found = reported
    assert (found["rows"], found["counted"]) == (155, 151)
    assert found["not_fit"] == {"repeated": 1, "blank": 1, "several products": 1, "no known product": 1}
    assert found["dates"] == {"column": "when", "notes": [], "of_file": False}
    assert [side["name"] for side in found["comparison"]["sides"]] == ["forum", "mail"]
    plain = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    assert "151 of 155 rows are fit for the model and counted here. Negative" in plain
    assert re.search(r"finds it in \d+% of the texts; corrected for its known errors, about \d+% \(95% range", plain)
    assert "Drawn at random from all of these, no text was checked by hand." in plain
    assert "Checked" not in plain
    assert "is below 0.05: none does." in plain
    lines = []
    for line in found["shares"]:
        assert f"{line['texts']:,}" in plain
        if line["share"] is not None:
            shares = (line["counted_share"], line["share"], line["low"], line["high"])
            counted, corrected, low, high = map(report.percent, shares)
            lines.append((line["emotion"], counted, corrected, f"{low} to {high}"))
            if line["product"] == ALL and line["emotion"] != NO_EMOTION:
                words = f"{counted} of the texts; corrected for its known errors, about {corrected} (95% range {low} to"
                assert f"{line['emotion']}: the model finds it in {words}" in plain
    cells = r'<td class="word">([^<]*)</td><td>[^<]*</td><td>([^<]*)</td>\s*<td>([^<]*)</td><td>([^<]*)</td>'
    assert re.findall(cells, page.partition("<h2>Over time")[0]) == lines
    total = sum(line["counted_share"] for line in found["shares"] if line["product"] == "all products")
    assert total == pytest.approx(1, abs=1e-5)


def test_one_row_is_one_row(file, folder):
    file.write_text("text\n\U0001f44d\n", encoding="utf-8")
    plain = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", run(file, folder)[0]))
    assert "0 of 1 row is fit for the model" in plain
    assert "1 row is not, and left out of everything below." in plain


def test_own_names_of_the_products_that_a_model_knows_are_looked_for(short, folder, tmp_path, capsys):
    products = tmp_path / "mine.csv"
    products.write_text("name,aliases\niPad,either\n", encoding="utf-8")
    _, found = run(short, folder, "--products", str(products))
    assert found["not_fit"] == {"no known product": 2, "repeated": 1, "blank": 1}
    reasons = "; ".join(f"{reason} {count}" for reason, count in found["not_fit"].items())
    assert f"not counted: {reasons}" in capsys.readouterr().err


def test_a_model_of_targets_is_the_default_and_looks_for_own_products(file, target_model, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "SAVED_MODELS", target_model.parent)
    products = tmp_path / "mine.csv"
    products.write_text("name,aliases\niPad,either\n", encoding="utf-8")
    _, found = run(file, None, "--products", str(products))
    assert (found["model"]["name"], found["model"]["is_target"]) == ("target", True)
    assert found["not_fit"] == {"no known product": 76, "repeated": 1, "blank": 1}


def test_without_a_model_of_targets_that_of_whole_texts_is_the_default(short, folder, monkeypatch):
    monkeypatch.setattr(paths, "SAVED_MODELS", folder.parent)
    _, found = run(short, None)
    assert (found["model"]["name"], found["model"]["is_target"]) == ("answer", False)


def test_the_page_needs_nothing_else_and_runs_nothing(file, folder, reported):
    page, found = reported
    assert not re.search(r"<(script|link|iframe|img|object)|@import|url\(|https?://(?!x\.invalid)", page)
    quotes = [quote for part in found["themes"] for theme in part["themes"] for quote in theme["quotes"]]
    assert quotes
    without, kept = run(file, folder, "--no-texts")
    assert "<blockquote>" not in without
    assert not any(quote in json.dumps(kept) for quote in quotes)


def test_where_nothing_can_be_written_nothing_is_scored(file, folder, monkeypatch):
    monkeypatch.setattr(report, "predict_rows", None)
    with pytest.raises(OutputError, match="cannot write"):
        report.main([str(file), "--model", str(folder), "--output", str(file / "report.html")])


def test_how_the_file_was_read_is_said(short, folder, capsys):
    short.write_bytes(short.read_bytes() + "2024-03-25,forum,my ipad is très chic\n".encode("latin-1"))
    run(short, folder)
    assert "note: not all of it is UTF-8" in capsys.readouterr().err


def test_another_sheet_is_chosen_by_an_option_that_there_is(short, folder, capsys):
    workbook = short.with_suffix(".xlsx")
    with pd.ExcelWriter(workbook) as writer:
        for sheet, column in (("Notes", "n"), ("Tweets", "text")):
            pd.read_csv(short).rename(columns={"text": column}).to_excel(writer, sheet_name=sheet, index=False)
    _, found = run(workbook, folder)
    assert found["not_fit"]["blank"] == 1, "an empty cell"
    assert "the sheet 'Tweets' of 'Notes', 'Tweets'; --sheet chooses another" in capsys.readouterr().err
    run(workbook, folder, "--sheet", "Notes", "--column", "n", "--overwrite")
    assert "reading the sheet" not in capsys.readouterr().err, "as asked"
    run(workbook, folder, "--column", "n", "--overwrite")
    assert "reading the sheet 'Notes'" in capsys.readouterr().err


def test_user_text_is_never_html(reported):
    theme = {"name": NASTY, "words": [NASTY], "texts": 30, "trend": [], "quotes": [NASTY]}
    themes = [{"product": NASTY, "emotion": NEGATIVE, "texts": 30, "themes": [theme]}]
    page = report.render(reported[1] | {"themes": themes, "file": NASTY})
    assert "<script" not in page
    assert "<img" not in page
    assert page.count("&lt;script&gt;") == 5


def test_the_report_of_predictions_is_that_of_their_texts(file, folder, reported):
    texts = pd.read_csv(file, keep_default_na=False)
    answers = Predictor.load(folder).predict(texts["text"].tolist(), probabilities=True)
    pd.concat([texts, answers.assign(status="mine")], axis=1).to_csv(file, index=False)
    _, of_answers = run(file, folder)
    assert of_answers == reported[1]


def test_standard_input_is_read_once(short, folder, monkeypatch, tmp_path, capsys):
    lines = pd.read_csv(short, keep_default_na=False)["text"]
    content = "\n".join(line for line in lines if line).encode() + b" caf\xe9"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(content))))
    assert report.main(["-", "--output", str(tmp_path / "r.html"), "--model", str(folder)]) == 0
    assert "note: not all of it is UTF-8: the other bytes were read as Windows-1252" in capsys.readouterr().err
    assert json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["rows"] == len(lines) - 1


def test_own_labels_need_not_be_names_that_texts_contain(short, folder, tmp_path):
    folder = shutil.copytree(folder, tmp_path / "own")
    labels = read_json(folder / "labels.json")
    labels["labels"]["product"][0] = "battery life"
    (folder / "labels.json").write_text(json.dumps(labels), encoding="utf-8")
    _, found = run(short, folder)
    assert found["not_fit"] == {"repeated": 1, "blank": 1}


def test_repeats_that_stand_together_are_told_from_the_products_of_one_text(file, folder):
    finder = TargetPredictor(replace(target_stub(), folder=folder), Products({"iPad": (), "iPhone": ()}))
    text = "my ipad and my iphone"
    pd.DataFrame({"text": [text, text, "the ipad", "the ipad"]}).to_csv(file, index=False)
    with tables.open_table(file) as table:
        rows, _ = report.predict_rows(table, finder, finder.products)
    assert rows["status"].tolist() == ["fit", "fit", "repeated", "repeated", "fit", "repeated"]


def test_a_model_of_targets_counts_each_product_of_a_text(file, folder, monkeypatch):
    metrics = read_json(folder / "metrics.json")
    metrics["validation"]["target"] = metrics["validation"]["emotion"]
    model = replace(target_stub(), folder=folder, metrics=metrics)
    finder = TargetPredictor(model, Products({"iPad": (), "iPhone": ()}))
    monkeypatch.setattr(report, "_load", lambda _: (finder, finder.products))
    page, found = run(file, folder)
    assert (found["rows"], found["counted"]) == (156, 153)  # some name both
    assert "counted here; a text that names several products has a row for each." in page
    assert found["not_fit"] == {"repeated": 1, "blank": 1, "no known product": 1}
    assert {line["counted"] for line in found["shares"] if line["emotion"] == NO_EMOTION} == {153, 77, 76}
    assert "<th>Mentions</th>" in page
    assert re.search(r"the model finds it in [\d.]+% of the mentions", page)


# The correction takes most of the time, and other tests hold what it says.
uncorrected = partial(figures, correction=(None, "none"))


def test_what_changed_stands_on_the_page(folder, tmp_path):
    rows = three_months().rename(columns={"date": "posted"})
    model = Predictor.load(folder)
    result = rows.drop(columns="text").assign(status="fit")
    contents = uncorrected(result, rows["text"], model, "made-up.csv")
    page = report.render(contents)
    plain = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page))
    assert re.search(
        r"iPhone: negative emotion rose from [\d.]+% to \d+% of the texts, from 2024-04-29 on \(\+\d+\.\d points, 95% "
        r"interval \+\d+\.\d to \+\d+\.\d; \d+ texts before, \d+ after\)\. Typical words since then: battery, dies",
        plain,
    )
    words = r"The largest change: negative emotion toward iPhone fell [^:]* on\. Typical words before: battery, dies"
    assert re.search(words, plain)
    assert "<polyline" in page
    assert page.count('<line class="change"') == len(contents["changes"]), "each is marked in its curve"
    assert "nan" not in plain.lower().split()
    contents["changes"][0]["product"] = "all products"
    assert "The largest change: negative emotion across all products fell" in report.render(contents)


def test_of_too_few_texts_no_difference_and_no_change_is_denied(folder):
    rows = three_months(count=25).rename(columns={"date": "posted"})
    result = rows.drop(columns="text").assign(status="fit", source=["web", "mail"] * 12 + ["web"])
    page = report.render(figures(result, rows["text"], Predictor.load(folder), "made-up.csv"))
    assert "none does" not in page
    assert page.count("more than chance; a change needs at least 30 texts on each side.") == 2
    assert "Products with fewer than ten texts on average, in the weeks with any, have no chart." in page


@pytest.mark.parametrize("name", ["source", "Content Source", "Social-Network"])
def test_a_column_of_sources_may_have_a_longer_name_and_its_namesakes_are_left(name):
    table = pd.DataFrame([["x", "z", "web"], ["y", "z", "mail"]], columns=["resource", name, name])
    position, cells = find_source(table)
    assert (position, cells.name, cells.tolist()) == (2, name, ["web", "mail"])


def test_tiny_shares_are_written_like_none():
    shares = (0, 0.0004, 0.0006, 0.042, 0.0996, 0.42, 1)
    assert [report.percent(share) for share in shares] == ["0%", "0%", "0.1%", "4.2%", "10%", "42%", "100%"]


def test_a_file_without_a_known_product_asks_for_the_list(folder, tmp_path, capsys):
    file = tmp_path / "a.csv"
    file.write_text("text\nthe kettle leaks\n")
    run(file, folder)
    assert "is the list of products yours? --products gives another" in capsys.readouterr().err


def test_a_single_product_is_named(folder):
    rows = three_months().rename(columns={"date": "posted"}).query("product == 'iPhone'")
    result = rows.drop(columns="text").assign(status="fit", source=["web"] + ["mail"] * (len(rows) - 1))
    found = figures(result, rows["text"], Predictor.load(folder), "made-up.csv")
    lists = [found["shares"], found["over_time"], found["changes"], found["comparison"]["lines"]]
    assert [{line["product"] for line in lines} for lines in lists] == [{"iPhone"}] * 4
    page = report.render(found)
    assert "The largest change: negative emotion toward iPhone" in page
    assert "the model finds it in" in page
    assert "all products" not in page


def test_rows_that_were_checked_for_one_product_are_said(folder):
    rows = three_months(count=300).rename(columns={"date": "posted"})
    order = checking_order(rows[rows["product"] == "iPad"])[:40]
    checked = pd.Series([NO_EMOTION, NEGATIVE, *[None] * 3, *[NEGATIVE] * 35], order)
    of_all = checked_sample(rows, checked).count()
    assert of_all < 10, "rows of one product are no sample of all"
    result = rows.drop(columns="text").assign(status="fit")
    found = figures(result, rows["text"], Predictor.load(folder), "a.csv", checked_labels=checked)
    assert {line["product"]: line["checked"] for line in found["shares"]} == {ALL: of_all, "iPad": 37, "iPhone": 0}
    page = report.render(found)
    assert f"Drawn at random from all of these, {of_all or 'no'} text" in page
    assert "for the labels that people gave texts drawn at random (column Checked)" in page
    found["shares"][0]["checked"] = 30
    assert "checked by hand" not in report.render(found)


def test_the_period_can_be_chosen(folder):
    rows = three_months().rename(columns={"date": "posted"})
    result = rows.drop(columns="text").assign(status="fit")
    themes = {f"{NEGATIVE} → iPhone": dict.fromkeys(map(str, rows.index), "bad")}
    model = Predictor.load(folder)
    found = uncorrected(result, rows["text"], model, "made-up.csv", chosen_themes=themes, period="month")
    assert found["period"] == "month"
    assert {line["start"] for line in found["over_time"]} == {"2024-04-01", "2024-05-01", "2024-06-01"}
    assert {change["when"] for change in found["changes"]} == {"2024-05-01", "2024-06-01"}
    assert {len(theme["trend"]) for part in found["themes"] for theme in part["themes"]} == {3}


def test_the_days_of_a_selection_are_those_of_the_whole_file(folder):
    rows = three_months().rename(columns={"date": "posted"})
    rows["posted"] = rows["posted"].dt.strftime("%d/%m/%Y")
    kept = rows[rows["posted"].str.match(r"0\d/05")]  # alone they could be months
    result = kept.drop(columns="text").assign(status="fit")
    selected = result, kept["text"], Predictor.load(folder), "a.csv"
    found = uncorrected(*selected, dates=find_dates(rows[["posted"]]), of_file=True)
    assert uncorrected(*selected, of_file=True)["dates"] is None, "as on the page, which found none"
    assert {line["start"][:7] for line in found["over_time"]} == {"2024-05"}
    page = report.render(found | {"dates": found["dates"] | {"notes": ["7 rows without a date"]}})
    assert "In the whole file: 7 rows without a date." in page


def test_unfit_rows_are_counted_where_they_were_let_into_the_charts(folder):
    rows = three_months(count=60).rename(columns={"date": "posted"})
    result = rows.drop(columns="text").assign(status=["repeated"] * 10 + ["fit"] * (len(rows) - 10))
    probabilities = [name for name in result if name.startswith("emotion_probability_")]
    result.loc[result.index[:4], probabilities] = float("nan")  # as of a text that names no product
    for counts_unfit, counted, words in (
        (False, len(rows) - 10, "10 rows are not, and left out of everything below."),
        (True, len(rows) - 4, "10 rows are not, and 6 of them counted below all the same."),
    ):
        found = uncorrected(result, rows["text"], Predictor.load(folder), "a.csv", counts_unfit=counts_unfit)
        assert found["counted"] == counted
        page = report.render(found)
        assert words in page
        assert ("counted here, also those not fit for the model" in page) is counts_unfit


def test_a_curve_is_broken_where_a_week_has_no_texts(folder):
    rows = three_months().rename(columns={"date": "posted"})
    pages = []
    for kept in (rows, rows[~rows["posted"].between("2024-05-06", "2024-05-12 23:59")]):
        result = kept.drop(columns="text").assign(status="fit")
        found = uncorrected(result, kept["text"], Predictor.load(folder), "made-up.csv")
        pages.append(report.render(found))
    whole, broken = (
        [len(points.split()) - 1 for points in re.findall(r'<polyline points="([^"]*)"', page)] for page in pages
    )
    assert whole == [13] * 6  # all products and two of them, two emotions
    assert broken == [5, 7] * 6
    weeks = [line for line in found["over_time"] if line["start"] == "2024-05-06"]
    assert {(line["texts"], line["share"], line["low"], line["high"]) for line in weeks} == {(0, None, None, None)}


def test_themes_that_were_renamed_and_merged_on_the_page_stay_so(folder):
    rows = three_months().rename(columns={"date": "posted"})
    own = rows.index[(rows["emotion"] == NEGATIVE) & (rows["product"] == "iPhone")]
    kept = {f"{NEGATIVE} → iPhone": dict.fromkeys(map(str, [*own, len(rows)]), NASTY)}  # one is left out by the filters
    result = rows.drop(columns="text").assign(status="fit")
    found = uncorrected(result, rows["text"], Predictor.load(folder), "made-up.csv", chosen_themes=kept)
    named = [[theme["name"] == NASTY for theme in part["themes"]] for part in found["themes"]]
    assert [True] in named
    assert sum(map(sum, named)) == 1
    assert "<b>&lt;script&gt;" in report.render(found)
    other = uncorrected(result, rows["text"], Predictor.load(folder), "a.csv", chosen_themes=kept, products=["Battery"])
    for contents, is_a_word in ((found, True), (other, False)):  # the names of the whole file's products are none
        words = [word for part in contents["themes"] for theme in part["themes"] for word in theme["words"]]
        assert ("battery" in str(words)) is is_a_word


def test_a_theme_whose_texts_have_no_date_has_no_trend(reported):
    theme = {"name": "battery", "words": ["battery"], "texts": 30, "trend": [0, 0], "quotes": []}
    themes = [{"product": "iPad", "emotion": NEGATIVE, "texts": 30, "themes": [theme]}]
    assert "30 texts</p>" in report.render(reported[1] | {"themes": themes})


def test_what_cannot_be_done_is_said_before_any_work(file, folder, tmp_path):
    with pytest.raises(UsageError, match=r"expected an output whose name ends in \.html, got .*report\.pdf"):
        report.main([str(file), "--output", str(tmp_path / "report.pdf")])
    (tmp_path / "report.json").write_text("{}", encoding="utf-8")
    with pytest.raises(OutputError, match=r"report\.json already exists; add --overwrite"):
        report.main([str(file), "--output", str(tmp_path / "report.html")])
    own = tmp_path / "own.json"
    own.write_text('{"text": "my ipad"}\n', encoding="utf-8")
    with pytest.raises(UsageError, match=r"own\.json is the input itself, which is never overwritten"):
        report.main([str(own), "--output", str(tmp_path / "own.html"), "--overwrite"])
    assert own.read_text(encoding="utf-8") == '{"text": "my ipad"}\n'
    products = tmp_path / "mine.csv"
    products.write_text("name\niPad\nKindle\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"knows only 'iPhone', .*, not 'Kindle'; .* `make targets`"):
        run(file, folder, "--overwrite", "--products", str(products))
    with pytest.raises(UsageError, match="predicts 'product', but a report needs product and emotion; run `make answ"):
        run(file, write_single(tmp_path), "--overwrite")
    bare = shutil.copytree(folder, tmp_path / "bare")
    (bare / "metrics.json").unlink()
    with pytest.raises(ModelError, match=r"bare/metrics\.json is missing; train the model again"):
        run(file, bare, "--overwrite")
    numbers = tmp_path / "numbers.csv"
    numbers.write_text("id,price\nA1,2\nA2,3\n", encoding="utf-8")
    with pytest.raises(DataError, match="expected a column of texts, but 'id', 'price' hold numbers, dates or single"):
        run(numbers, folder, "--overwrite")
    empty = tmp_path / "empty.csv"
    empty.write_text("text\n", encoding="utf-8")
    with pytest.raises(DataError, match="has no rows; give a file with texts"):
        run(empty, folder, "--overwrite")
