"""Two models on the same rows: metrics worked out by hand, and which rows may be used."""

import json
from dataclasses import replace
from math import comb

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from sample_datasets import write_csv
from stub_model import target_stub

from tf_model import tasks
from tf_model.data import dataset as dataset_file
from tf_model.errors import DataError, ModelError
from tf_model.evaluation import comparison
from tf_model.evaluation.comparison import compare_models, paired_test
from tf_model.inference.predictor import Predictor
from tf_model.modeling.joint_label import answer_outputs


def right(*counts: tuple[bool, bool, int]) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays from (old is correct, new is correct, rows)."""
    rows = [(old, new) for old, new, number in counts for _ in range(number)]
    return tuple(np.array(column) for column in zip(*rows, strict=True))


def difference_interval(old, new, groups=None):
    return tuple(paired_test(old, new, groups)["difference_interval"])


# ------------------------------------------------------------------------------------------------------ figures


def test_mcnemar_is_a_sign_test_on_the_rows_where_they_differ():
    old, new = right((True, True, 500), (False, False, 60), (True, False, 3), (False, True, 12))
    p_value = paired_test(old, new)["p_value"]
    assert p_value == pytest.approx(2 * sum(comb(15, k) for k in range(4)) / 2**15)
    assert paired_test(new, old)["p_value"] == pytest.approx(p_value)
    # What both get right or wrong does not count.
    assert paired_test(*right((True, False, 3), (False, True, 12)))["p_value"] == pytest.approx(p_value)


def test_models_that_never_differ_are_equally_good():
    found = paired_test(*right((True, True, 9), (False, False, 1)))
    assert (found["p_value"], found["difference"], found["difference_interval"]) == (1.0, 0.0, [0.0, 0.0])
    assert found["verdict"] == comparison.NO_DIFFERENCE


@pytest.mark.parametrize(
    ("only_old", "only_new", "verdict"), [(5, 20, "better"), (20, 5, "worse"), (5, 6, "no clear difference")]
)
def test_the_verdict_is_on_the_new_model(only_old, only_new, verdict):
    found = paired_test(*right((True, True, 600), (True, False, only_old), (False, True, only_new)))
    assert found["verdict"] == verdict
    assert (found["only_old_right"], found["only_new_right"]) == (only_old, only_new)
    rows = 600 + only_old + only_new
    assert found["difference"] == pytest.approx((only_new - only_old) / rows)
    low, high = found["difference_interval"]
    assert low < found["difference"] < high
    assert (low > 0) == (verdict == "better")
    assert (high < 0) == (verdict == "worse")


def test_the_interval_has_the_width_that_theory_says():
    old, new = right((True, True, 500), (False, False, 60), (True, False, 20), (False, True, 40))
    low, high = difference_interval(old, new)
    share_new, share_old = 40 / 620, 20 / 620
    spread = np.sqrt((share_new + share_old - (share_new - share_old) ** 2) / 620)
    assert (low + high) / 2 == pytest.approx(share_new - share_old, abs=0.002)
    assert high - low == pytest.approx(2 * 1.96 * spread, rel=0.05)


def test_repeats_of_one_text_do_not_make_the_interval_narrower():
    old, new = right((True, True, 60), (True, False, 4), (False, True, 12))
    alone = difference_interval(old, new)
    tenfold = difference_interval(np.repeat(old, 10), np.repeat(new, 10), np.repeat(np.arange(76), 10))
    assert tenfold == pytest.approx(alone, abs=1e-9)
    low, high = difference_interval(np.repeat(old, 10), np.repeat(new, 10))  # taken as ten times as many texts
    assert high - low < 0.5 * (alone[1] - alone[0])


def test_retweets_of_one_tweet_are_not_as_many_tweets():
    old, new = np.ones(200, bool), np.ones(200, bool)
    old[:9] = False  # one tweet and its eight retweets, which the new model gets right
    new[9] = False
    groups = np.concatenate([np.zeros(9, int), np.arange(1, 192)])
    assert paired_test(old, new)["verdict"] == comparison.BETTER
    found = paired_test(old, new, groups)
    assert found["p_value"] < comparison.SIGNIFICANCE
    assert found["difference_interval"][0] <= 0 < found["difference_interval"][1]
    assert found["verdict"] == comparison.NO_DIFFERENCE
    assert paired_test(new, old, groups)["verdict"] == comparison.NO_DIFFERENCE


def test_an_interval_needs_two_texts():
    with pytest.raises(DataError, match="at least 2 rows that are not near-duplicates, got 1"):
        difference_interval(*right((True, False, 5)), np.zeros(5, int))


# ------------------------------------------------------------------------------------------------------ models

PRODUCTS = ("iPhone", "iPad", "Google")


def unlike(letter: str) -> str:
    """Words unique to a letter, so that no rows are near-duplicates."""
    return " ".join(f"{letter}{end}" for end in ("rotun", "limax", "spend", "kworth", "ymbal"))


ROWS = [
    *((f"{unlike(letter)} my ipad", "iPad", tasks.POSITIVE) for letter in "abcdefgh"),
    *((f"{unlike(letter)} that iphone", "iPhone", tasks.NEGATIVE) for letter in "ijklm"),
    ("a tweet about the weather and nothing else", "", tasks.NO_EMOTION),
    ("somebody is glad and does not say of what", "", tasks.POSITIVE),
]


def read(path, rows):
    return dataset_file.read(write_csv(path, rows), known_tasks=[replace(tasks.PRODUCT, labels=PRODUCTS)])


@pytest.fixture
def dataset(tmp_path):
    return read(tmp_path / "data.csv", ROWS)


def model(folder, dataset, rows, *, sees=("ipad", "iphone"), emotion=False, **metrics) -> Predictor:
    """A model that recognizes the products in ``sees`` and was validated on ``rows``."""

    def score(batch):
        texts = [text.decode().lower() for text in batch]
        products = [
            1 if "ipad" in text and "ipad" in sees else 0 if "iphone" in text and "iphone" in sees else 2
            for text in texts
        ]
        emotions = [1 if "weather" in text else 0 if "iphone" in text else 2 for text in texts]
        scores = [np.eye(3, dtype=np.float32)[ids] * 0.7 + 0.1 for ids in (products, emotions)]
        model_tasks = tasks.of_model(labels, tasks.NO_EMOTION)
        return answer_outputs(scores[: len(labels)], model_tasks, 1.0 if emotion else None)  # never sure

    folder.mkdir()
    frame = pd.DataFrame({"row": rows})
    frame.to_csv(folder / "validation_predictions.csv", index=False)
    labels = {"product": PRODUCTS} | ({"emotion": tasks.EMOTIONS} if emotion else {})
    return Predictor(labels, score, folder, metrics={"data_sha256": dataset.sha256, **metrics})


def test_models_are_compared_on_the_rows_that_both_validated_on(tmp_path, dataset):
    old = model(tmp_path / "old", dataset, range(0, 12), sees=("iphone",))
    new = model(tmp_path / "new", dataset, range(2, 15))
    found = compare_models(old, new, dataset)
    assert found["rows"] == 10  # rows 2 to 11
    product = found["tasks"]["product"]
    assert (product["rows"], product["only_old_right"], product["only_new_right"]) == (10, 0, 6)
    assert (product["old"]["accuracy"], product["new"]["accuracy"]) == (0.4, 1.0)
    assert product["p_value"] == 2 / 2**6
    assert (found["task"], found["verdict"]) == ("product", "better")
    assert found["data_sha256"] == dataset.sha256
    json.dumps(found, allow_nan=False)


def test_the_answer_decides_where_both_give_one(tmp_path, dataset):
    rows = range(len(ROWS))
    old = model(tmp_path / "old", dataset, rows, emotion=True)
    new = model(tmp_path / "new", dataset, rows, sees=("iphone",), emotion=True)
    found = compare_models(old, new, dataset)
    assert list(found["tasks"]) == ["product", "emotion", "answer"]
    assert found["task"] == "answer"
    # Best guesses, withheld or not; no emotion needs no product, unknown products are not judged.
    assert found["tasks"]["answer"]["old"]["accuracy"] == 1.0
    assert found["tasks"]["answer"]["only_old_right"] == 8
    assert found["tasks"]["product"]["rows"] == 13
    assert found["tasks"]["emotion"]["difference"] == 0
    assert found["verdict"] == "worse"


def test_retweets_in_a_dataset_are_counted_as_one_tweet(tmp_path):
    retweets = [(f"RT @user: {ROWS[0][0]}", *ROWS[0][1:])] * 3
    dataset = read(tmp_path / "data.csv", [*ROWS, *retweets])
    rows = range(len(ROWS) + len(retweets))
    old = model(tmp_path / "old", dataset, rows, sees=("iphone",), emotion=True)
    found = compare_models(old, model(tmp_path / "new", dataset, rows, emotion=True), dataset)["tasks"]
    assert {name: (each["rows"], each["groups"]) for name, each in found.items()} == {
        "product": (16, 13),
        "emotion": (18, 15),
        "answer": (18, 15),
    }


def test_a_model_of_the_product_compares_with_one_of_both(tmp_path, dataset):
    rows = range(len(ROWS))
    old, new = model(tmp_path / "old", dataset, rows), model(tmp_path / "new", dataset, rows, emotion=True)
    assert list(compare_models(old, new, dataset)["tasks"]) == ["product"]


@pytest.mark.parametrize("names", ["Xbox,\nKindle,\n", "Kindle,\nWii,\n"])  # as in training, and edited
def test_models_of_targets_are_compared_on_the_labelled_mentions(tmp_path, names):
    rows = [
        *((f"{unlike(letter)} my Xbox is great but a Kindle is bad", "Xbox", tasks.POSITIVE) for letter in "abcd"),
        *((f"{unlike(letter)} a Kindle is bad", "Kindle", tasks.NEGATIVE) for letter in "efg"),
        (f"{unlike('h')} neither Xbox {unlike('j') * 9} {unlike('k') * 9} nor Kindle", "", tasks.NO_EMOTION),
        (f"{unlike('i')} names no product", "", tasks.NO_EMOTION),
    ]
    dataset = dataset_file.read(write_csv(tmp_path / "data.csv", rows))
    old = replace(model(tmp_path / "old", dataset, range(9)), labels={"target": tasks.EMOTIONS})
    new = replace(model(tmp_path / "new", dataset, range(1, 9)), labels={"target": tasks.EMOTIONS})
    old = replace(old, score=lambda batch: target_stub().score([text.replace(b"great", b"fine") for text in batch]))
    new = replace(new, score=target_stub().score)
    (old.folder / "products.csv").write_text(f"name,aliases\n{names}", encoding="utf-8")
    validated = pd.DataFrame({"row": range(9), "product": [*["Xbox"] * 4, *["Kindle"] * 3, None, None]})
    validated.to_csv(old.folder / "validation_predictions.csv", index=False)
    found = compare_models(old, new, dataset)
    target = found["tasks"]["target"]
    assert found["rows"] == target["rows"] == 3 + 3 + 2  # without the assumed label of the other product: no emotion
    assert (target["old"]["accuracy"], target["new"]["accuracy"]) == (5 / 8, 1.0)
    assert (found["task"], target["only_new_right"]) == ("target", 3)
    assert target["groups"] == 3 + 3 + 1, "one for each text"


def test_rows_without_a_label_of_a_task_are_one_clear_line(tmp_path, dataset):
    rows = range(len(ROWS) - 2, len(ROWS))  # no product
    old, new = (model(tmp_path / name, dataset, rows, emotion=True) for name in ("old", "new"))
    with pytest.raises(ModelError, match=r"none of the 2 rows .* has a label of the task 'product'; train them with"):
        compare_models(old, new, dataset)


def test_models_that_take_other_labels_for_no_emotion_are_refused(tmp_path, dataset):
    old = model(tmp_path / "old", dataset, range(9), emotion=True)
    with pytest.raises(ModelError, match="take different labels for no emotion"):
        compare_models(old, replace(old, no_emotion=None), dataset)
    alone = replace(old, labels={"emotion": tasks.EMOTIONS})
    with pytest.raises(ModelError, match="take different labels for no emotion"):
        compare_models(alone, replace(alone, no_emotion=None), dataset)


def test_models_of_different_columns_are_refused(tmp_path, dataset):
    old = model(tmp_path / "old", dataset, range(9), columns={"text": "raw", "product": "brand", "emotion": "mood"})
    new = model(tmp_path / "new", dataset, range(9), columns={"text": "raw", "product": "brand", "emotion": None})
    assert compare_models(old, new, dataset)["rows"] == 9, "neither predicts the emotion"
    new.metrics["columns"]["text"] = "translated"
    with pytest.raises(ModelError, match="columns, 'raw' and 'translated'; train both with the same --text-column"):
        compare_models(old, new, dataset)


def test_models_of_different_tasks_are_refused(tmp_path, dataset):
    old = model(tmp_path / "old", dataset, range(9))
    new = replace(old, labels={"emotion": tasks.EMOTIONS})
    with pytest.raises(ModelError, match=r"predicts product and .* predicts emotion; compare models of the same"):
        compare_models(old, new, dataset)
    others = replace(old, labels={"product": ("Kindle", "Xbox")})
    with pytest.raises(ModelError, match=r"predicts product and .* predicts product with other classes; compare"):
        compare_models(old, others, dataset)


def test_rows_that_a_model_may_have_trained_on_are_not_used(tmp_path, dataset):
    known = model(tmp_path / "known", dataset, range(7))
    other = model(tmp_path / "other", dataset, range(7), data_sha256="0" * 64)
    with pytest.raises(ModelError, match=r"other was trained on other data \(sha256 0+\) .* with --data"):
        compare_models(known, other, dataset)
    elsewhere = model(tmp_path / "elsewhere", dataset, range(6, 14))
    with pytest.raises(ModelError, match="only 1 row is unknown to both; train them with the same --split-seed"):
        compare_models(known, elsewhere, dataset)


@pytest.mark.parametrize("content", [None, "", "product\nx\n", "row\nfirst\n"])
def test_a_model_that_does_not_say_what_it_validated_on_is_refused(tmp_path, dataset, content):
    old = model(tmp_path / "old", dataset, range(9))
    file = old.folder / "validation_predictions.csv"
    file.unlink() if content is None else file.write_text(content)
    with pytest.raises(ModelError, match=r"validation_predictions\.csv.*; train the model again"):
        compare_models(old, old, dataset)


def test_what_is_printed(tmp_path, dataset, capsys):
    rows = range(len(ROWS))
    old = model(tmp_path / "old", dataset, rows, sees=("iphone",))
    found = compare_models(old, model(tmp_path / "[new]", dataset, rows), dataset)
    comparison.print_comparison(Console(width=120), found)
    said = capsys.readouterr().out
    assert "[new]" in said  # a name is not markup
    assert "+0.6154" in said
    assert (
        "the new model is better: accuracy of the product 1.0000 against 0.3846, correct where the other is wrong: "
        "new 8 times, old 0, p = 0.0078"
    ) in said
