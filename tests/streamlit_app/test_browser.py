"""The real app on a small real model, in a headless Chromium: asked, corrected, given a file, cancelled, downloaded."""

from __future__ import annotations

import json
import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from urllib.parse import urlsplit

import openpyxl
import pandas
import pytest

from tests.monitor.made_up import counts_of, wait_until
from tf_model import tasks
from tf_model.model_dir import LABELS, PRODUCTS, SIGNATURE
from tf_model.modeling.joint_label import NOT_SURE, answer_text
from tf_model.monitor.store import Store

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from research.tools.app_client import crowd
from research.tools.browser import CHROMIUM, chromium, page_links, running_app, wait_until_done

pytestmark = [
    pytest.mark.skipif(not any(map(shutil.which, CHROMIUM)), reason="no Chromium on this machine"),
    pytest.mark.timeout(900),  # the first test also waits for the training and for the app to start
]

SECONDS = 180_000  # milliseconds that anything may take on a busy machine
ANSWERS = {answer_text(emotion, product) for emotion in tasks.EMOTIONS for product in tasks.PRODUCTS} | {NOT_SURE}
PREDICTED = ["product", "product_confidence", "emotion", "emotion_confidence", "answer"]
PREDICTED += ["answer_confidence", "best_guess", "second_guess", "status"]
MARKUP = '<img src=x onerror="window.hacked = 1"><b>love</b> the iPad **2** :smile: $x$'


@pytest.fixture(scope="module")
def models(tmp_path_factory, answer_model):
    """A folder with one small real model, which tests may replace."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copytree(answer_model, folder / "answer")
    return folder


@pytest.fixture(scope="module")
def address(models):
    with running_app(models) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser):
    context = browser.new_context(accept_downloads=True, viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(SECONDS)
    page = context.new_page()
    page.elsewhere = []
    page.on("request", lambda request: page.elsewhere.append(request.url) if _is_elsewhere(request.url) else None)
    yield page
    context.close()


def _is_elsewhere(url: str) -> bool:
    found = urlsplit(url)
    return found.scheme in ("http", "https", "ws", "wss") and found.hostname != "127.0.0.1"


def ask(page, address, text):
    page.goto(address)
    page.get_by_label("Your text").fill(text)
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_role("heading", level=2).first.wait_for()
    wait_until_done(page)


def upload(page, address, path):
    page.goto(f"{address}/batch")
    page.locator("input[type=file]").set_input_files(path)
    page.get_by_role("button", name="Answer", exact=False).click()


def corrections(models) -> pandas.DataFrame:
    store = Store(models / ".monitor" / "predictions.sqlite")
    wait_until(lambda: not store.rows("corrections").empty)
    return store.rows("corrections")


def test_a_text_is_answered_shown_as_text_and_corrected(page, address, models):
    ask(page, address, MARKUP)
    answer = page.get_by_role("heading", level=2).first.inner_text()
    assert answer in ANSWERS
    assert page.get_by_text("sure", exact=False).count()
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src=x]").count() == 0
    for chart in ("Probability of each emotion", "Probability of each product"):
        page.get_by_text(chart, exact=False).first.wait_for()
    page.locator(".js-plotly-plot").nth(1).wait_for()
    assert page.locator(".js-plotly-plot").count() == 2
    page.locator("p.text .word").first.wait_for()
    words = [each.text_content() for each in page.locator("p.text .word").all()]
    assert words[0].startswith("<img")
    assert any("<b>love</b>" in word for word in words)

    if answer != NOT_SURE:  # which is no answer to judge
        page.get_by_role("radio", name="Thumbs down").click()
    emotion = tasks.POSITIVE if answer.startswith(tasks.NEGATIVE) else tasks.NEGATIVE
    for label, option in (("The emotion is …", emotion), ("It is about …", "iPad")):
        box = page.get_by_role("combobox", name=label)
        box.click()
        box.fill(option)
        page.get_by_role("option", name=option, exact=True).wait_for()
        page.keyboard.press("Enter")
        page.get_by_role("option").first.wait_for(state="detached")
    page.get_by_role("button", name="Store", exact=True).click()
    page.get_by_text("Thank you. Your feedback is stored").wait_for()
    (row,) = corrections(models).to_dict("records")
    assert (row["text"], row["is_correct"]) == (MARKUP, False)
    assert (row["correct_product"], row["correct_emotion"]) == ("iPad", emotion)


@pytest.fixture(scope="module")
def address_of_targets(tmp_path_factory):
    """The app with a target model that knows two words: a small BERT would see no difference."""
    from tf_model.device import import_tensorflow

    tf = import_tensorflow()
    folder = tmp_path_factory.mktemp("models") / "target"

    class Rule(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def __call__(self, text):
            is_good = tf.strings.regex_full_match(text, "(?s)[^\x02]*love my \x02.*")
            probabilities = tf.where(is_good[:, None], [[0.05, 0.05, 0.9]], [[0.9, 0.05, 0.05]])
            label, sure = tf.where(is_good, tasks.POSITIVE, tasks.NEGATIVE), tf.reduce_max(probabilities, 1)
            outputs = {"target": label, "target_confidence": sure, "target_probabilities": probabilities}
            return outputs | {"answer": label, "answer_confidence": sure, "best_guess": label, "second_guess": label}

    rule = Rule()
    tf.saved_model.save(rule, str(folder), signatures={SIGNATURE: rule.__call__})
    (folder / LABELS).write_text(json.dumps({"task": "target", "labels": {"target": tasks.EMOTIONS}}))
    (folder / PRODUCTS).write_text("name,aliases\nKindle,\nAndroid,Android phone\n")
    with running_app(folder.parent) as address:
        yield address


def test_two_products_of_one_text_have_two_colours(page, address_of_targets):
    page.goto(address_of_targets)
    markup = MARKUP.replace("iPad", "tablet")  # names no product of the list
    page.get_by_label("Your text").fill(f"I love my Kindle 👍 but my Android phone is a joke\n{markup}")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.locator("p.text .mention").nth(1).wait_for()
    mentions = page.locator("p.text .mention").all()
    assert [each.text_content() for each in mentions] == ["KindlePositive emotion", "Android phoneNegative emotion"]
    assert len({each.evaluate("word => getComputedStyle(word).backgroundColor") for each in mentions}) == 2
    for line in ("Kindle: Positive emotion, 90% sure", "Android: Negative emotion, 90% sure"):
        page.get_by_text(line).wait_for()
    assert markup in page.locator("p.text").first.text_content()
    assert page.locator("p.text b, p.text img").count() == 0
    assert page.evaluate("window.hacked") is None
    assert page.elsewhere == []


def test_a_file_is_answered_and_its_downloads_read_back(page, address, tmp_path):
    texts = ["I love the iPad", "=1+1", "@user the maps, again"]
    pandas.DataFrame({"id": ["007", "8", "9"], "text": texts}).to_csv(tmp_path / "mine.csv", index=False)
    upload(page, address, tmp_path / "mine.csv")
    page.get_by_text("3 rows answered").wait_for()
    page.reload()
    page.get_by_text("3 rows answered").wait_for()
    for kind in ("CSV", "XLSX"):
        with page.expect_download() as waiting:
            page.get_by_role("button", name=f"Download {kind}").click()
        assert waiting.value.suggested_filename == f"mine_answers.{kind.lower()}"
        waiting.value.save_as(tmp_path / f"out.{kind.lower()}")
    read = pandas.read_csv(tmp_path / "out.csv", dtype=str, encoding="utf-8-sig")
    assert list(read) == ["id", "text", *PREDICTED]
    assert read["id"].tolist() == ["007", "8", "9"]
    assert read["text"].tolist() == [texts[0], "'=1+1", "'@user the maps, again"]
    assert set(read["product"]) <= set(tasks.PRODUCTS)
    assert set(read["answer"]) <= ANSWERS
    cells = list(openpyxl.load_workbook(tmp_path / "out.xlsx").active.iter_rows(min_row=2))
    assert [row[1].value for row in cells] == texts
    assert not any(cell.data_type == "f" for row in cells for cell in row)


def test_a_queue_is_labelled_by_keys_alone(page, address, tmp_path):
    path = tmp_path / "tweets.csv"
    path.write_text("text\nI love my iPad\nMy iPhone died on me\nGoogle talks at noon\n", encoding="utf-8")
    upload(page, address, path)
    page.get_by_role("tab", name="Label queue").click()
    page.get_by_label("Your name").fill("Ann")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Choose 50 texts to label").click()
    page.get_by_text("Row 1 of 3, 3 left.").wait_for()
    for key, said in (
        ("1", "Row 2 of 3, 2 left."),
        ("ArrowLeft", f"Row 1 of 3, 2 left. You said: {tasks.NEGATIVE}."),
        ("Backspace", "Row 1 of 3, 3 left."),
        ("ArrowRight", "Row 2 of 3, 3 left."),
        ("3", "Row 3 of 3, 2 left."),
        ("4", "Row 1 of 3, 1 left."),
    ):
        # A shortcut works only after the page has drawn its button.
        page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")
        page.keyboard.press(key)
        page.get_by_text(said, exact=True).wait_for()
    text = page.locator('[data-testid="stText"]').first.inner_text()
    page.locator('p[role="status"]', has_text=f"at a product: {text}").wait_for(state="attached")
    page.keyboard.press("2")
    page.get_by_text("python -m tf_model.train --task answer --extra labels.csv").wait_for()
    page.get_by_role("button", name="Download 2 labelled rows").wait_for()


def test_a_long_file_goes_on_through_a_reload_and_can_be_cancelled(page, address, tmp_path):
    (tmp_path / "long.csv").write_text("text\n" + "".join(f"the iPad number {n} is great\n" for n in range(150_000)))
    upload(page, address, tmp_path / "long.csv")
    page.wait_for_url("**/batch?run=*")
    page.get_by_text(re.compile("of 150,000 rows, .* left")).wait_for()
    page.reload()
    page.get_by_role("button", name="Cancel").click()
    said = page.get_by_text("No answers were kept.")
    said.wait_for()
    assert "of 150,000 rows" in said.inner_text()
    page.get_by_role("button", name="Answer it again").click()
    page.get_by_role("button", name="Answer 150,000 rows").wait_for()
    page.go_back()
    page.get_by_role("link", name="long.csv").click()
    page.wait_for_url("**/batch?run=*")
    page.get_by_role("button", name="Answer 150,000 rows").wait_for()
    wait_until_done(page)  # the list of runs, with its own buttons, goes last
    page.get_by_role("button", name="Delete").press("Enter")
    page.get_by_text("This also deletes its answers, checks, labels and theme names.").wait_for()
    page.get_by_role("button", name="Delete for good").press("Enter")
    page.get_by_text("An answer for every row of a file.").wait_for()


def check(page, width):
    """With everything unfolded: no exception, no overflow of the window's width, no serious problem for axe-core."""
    wait_until_done(page)
    folded = page.locator("details:not([open]) > summary")
    if folded.count():
        folded.evaluate_all("folded => folded.forEach(each => each.click())")
        wait_until_done(page)
    assert page.locator('[data-testid="stException"]').count() == 0
    assert page.locator('[data-testid="stMain"]').evaluate("main => main.scrollWidth") <= width
    if not page.evaluate("'axe' in window"):
        page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert not serious, [
        (each["id"], node["html"], node["failureSummary"]) for each in serious for node in each["nodes"]
    ]


@pytest.mark.parametrize(
    ("scheme", "width", "background"), [("light", 1280, "rgb(255, 255, 255)"), ("dark", 390, "rgb(18, 24, 31)")]
)
def test_every_page_is_right_in_both_themes_and_widths(page, address, tmp_path, scheme, width, background):
    (tmp_path / "mine.csv").write_text(
        "text,date,source\n" + "".join(f"I love the iPad {n},2026-05-{n:02},web\nbad,,mail\n" for n in range(1, 31))
    )
    page.emulate_media(color_scheme=scheme)
    page.goto(address)
    links = page_links(page)
    assert list(links) == ["Ask", "Batch", "Explore", "Evaluate", "Monitor"]
    page.set_viewport_size({"width": width, "height": 1000})
    for name, link in links.items():
        ask(page, link, "I love the iPad") if name == "Ask" else page.goto(link)
        page.get_by_role("heading", level=1, name=name).wait_for()
        check(page, width)
    assert page.locator('[data-testid="stApp"]').evaluate("app => getComputedStyle(app).backgroundColor") == background
    upload(page, address, tmp_path / "mine.csv")
    page.get_by_text("60 rows answered").wait_for()
    wait_until_done(page)
    tabs = page.get_by_role("tab").all()
    assert len(tabs) == 8
    for tab in tabs:
        tab.click()
        # Until the app has begun to draw the tab, its panel is empty.
        page.locator('[data-testid="stTabPanel"]:visible [data-testid="stElementContainer"]').first.wait_for()
        check(page, width)
    assert page.elsewhere == []


def tab_to(page, place):
    """Press Tab until the focus is on ``place``."""
    for _ in range(200):
        page.keyboard.press("Tab")
        if place.evaluate("place => place === document.activeElement"):
            return
    raise AssertionError("the focus never came there")


def test_keys_alone_ask_change_pages_and_answer_a_file(page, address, tmp_path):
    from playwright.sync_api import expect

    days = "".join(f"I love the iPad {day},2026-05-{day:02}\n" for day in range(1, 31))
    (tmp_path / "mine.csv").write_text(f"text,date\n{days}")
    # Listening only around the key that opens the chooser misses it when the browser hears of the key first.
    page.on("filechooser", lambda chooser: chooser.set_files(tmp_path / "mine.csv"))
    page.goto(address)
    wait_until_done(page)
    tab_to(page, page.get_by_label("Your text"))
    page.keyboard.type("I love the iPad")
    tab_to(page, page.get_by_role("button", name="Ask", exact=True))
    page.keyboard.press("Enter")
    page.get_by_role("heading", level=2).first.wait_for()
    assert page.get_by_role("heading", level=2).first.inner_text() in ANSWERS
    for name in ("Monitor", "Batch"):
        change_page(page, name)
    wait_until_done(page)  # a part that is drawn again loses the focus
    tab_to(page, page.get_by_test_id("stFileUploaderDropzone").locator("button"))
    page.keyboard.press("Enter")
    answer = page.get_by_role("button", name="Answer 30 rows")
    answer.wait_for()
    wait_until_done(page)
    tab_to(page, answer)
    page.keyboard.press("Enter")
    page.get_by_text("30 rows answered").wait_for()
    wait_until_done(page)
    tab_to(page, page.get_by_role("tab", selected=True))
    page.keyboard.press("ArrowRight")
    page.get_by_role("tab", name="Over time", selected=True).wait_for()
    page.get_by_text("Dates: column date").wait_for()
    change_page(page, "Ask")
    expect(page.get_by_label("Your text"), "it is one session").to_have_value("I love the iPad", timeout=SECONDS)


def change_page(page, name):
    """Choose a page in the menu by keys."""
    wait_until_done(page)
    link = page.get_by_role("link", name=name, exact=False).first
    tab_to(page, link)
    assert link.evaluate("link => getComputedStyle(link).outline").endswith("solid 3px")
    page.keyboard.press("Enter")
    page.get_by_role("heading", level=1, name=name).wait_for()


def test_sessions_of_the_load_test_get_their_answers(address, models):
    store = Store(models / ".monitor" / "predictions.sqlite")
    before = counts_of(store.path).predictions if store.exists else 0
    with ThreadPoolExecutor() as pool:  # playwright occupies this thread's event loop
        asked = pool.submit(crowd, address, people=3, questions=2, think=0.0).result()
    assert len(asked) == 6
    assert all(0 < each.answer <= each.page for each in asked)
    wait_until(lambda: counts_of(store.path).predictions >= before + 6)
    assert counts_of(store.path).predictions >= before + 6


def test_a_replaced_model_is_picked_up_while_the_page_is_open(page, address, models):
    ask(page, address, "I love the iPad")
    copy = models / ".copy"
    shutil.copytree(models / "answer", copy)
    os.utime(copy / "saved_model.pb")
    (models / "answer").rename(models / ".old")
    copy.rename(models / "answer")
    page.get_by_label("Your text").fill("I love the iPhone")
    page.get_by_role("button", name="Ask", exact=True).click()
    page.get_by_text("The model was replaced").wait_for()
    assert page.locator('[data-testid="stException"]').count() == 0
