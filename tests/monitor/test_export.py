"""Corrections become a file for training, with only the labels that a person confirmed or named."""

import pandas
import pytest

from tests.monitor.made_up import NOON, corrected, store_with
from tf_model import tasks
from tf_model.data import dataset
from tf_model.errors import DataError, UsageError
from tf_model.modeling.joint_label import NOT_SURE
from tf_model.monitor.__main__ import main

IPAD, GOOD, BAD, NONE = "iPad", tasks.POSITIVE, tasks.NEGATIVE, tasks.NO_EMOTION


def agreed(text, product=None, predicted=(IPAD, GOOD, "answer"), when=NOON, is_correct=True, emotion=None):
    prediction = dict(zip(("product", "emotion", "answer"), predicted, strict=True))
    named = {"product": product, "emotion": emotion}
    return corrected(is_correct, when, text, prediction=prediction, **named)


def wrong(text, product=None, emotion=None, when=NOON):
    return agreed(text, product, when=when, is_correct=False, emotion=emotion)


def export(store, output, *options):
    assert main(["export", "--log", str(store.path), str(output), *options]) == 0


def exported(tmp_path, *corrections):
    output = tmp_path / "corrections.csv"
    export(store_with(tmp_path / "log", corrections), output, "--overwrite")
    frame = pandas.read_csv(output, keep_default_na=False)
    assert list(frame.columns) == ["text", "product", "emotion", "start", "end"]
    return [tuple(row) for row in frame.values.tolist()]


@pytest.mark.parametrize(
    ("correction", "labels"),
    [
        (agreed("t"), (IPAD, GOOD)),
        (agreed("t", predicted=(IPAD, None, None)), (IPAD, "")),  # a product-only model
        (agreed("t", predicted=("Kindle", "meh", "meh")), ("", "meh")),  # "no emotion" among a model's own labels
        (agreed("t", predicted=("Kindle", "good", "good → Kindle")), ("Kindle", "good")),
        (agreed("t", predicted=(IPAD, NONE, NONE)), ("", NONE)),  # no emotion, so no product
        (wrong("t", "iPhone", BAD), ("iPhone", BAD)),
        (wrong("t", "iPhone"), ("iPhone", "")),  # nothing was said about the emotion
        (wrong("t", emotion=BAD), ("", BAD)),
        (wrong("t", "iPhone", NONE), ("", NONE)),
        (agreed("t", "iPhone", predicted=(IPAD, GOOD, NOT_SURE)), ("iPhone", "")),
    ],
)
def test_the_labels_are_those_that_were_confirmed_or_named(tmp_path, correction, labels):
    assert exported(tmp_path, correction) == [("t", *labels, "", "")]


def test_what_teaches_nothing_is_left_out_and_counted(tmp_path, capsys):
    nothing = [wrong("a"), agreed("b", predicted=(IPAD, GOOD, NOT_SURE)), agreed(" ")]
    store = store_with(tmp_path / "log", [*nothing, agreed("c")])
    export(store, tmp_path / "out.csv")
    said = capsys.readouterr().err
    assert said.endswith("out.csv (1 row; left out: 3 corrections without a label, or repeated)\n")


def test_the_last_correction_of_a_text_counts(tmp_path):
    corrections = [agreed("t"), agreed("u"), wrong("t", "Google", BAD, when=NOON + 5)]
    assert exported(tmp_path, *corrections) == [("u", IPAD, GOOD, "", ""), ("t", "Google", BAD, "", "")]


def test_what_says_nothing_does_not_hide_what_was_said_before(tmp_path):
    unsure = (IPAD, GOOD, NOT_SURE)
    corrections = [wrong("t", "Google", BAD), wrong("t", when=NOON + 1)]
    corrections.append(agreed("t", predicted=unsure, when=NOON + 2))
    assert exported(tmp_path, *corrections) == [("t", "Google", BAD, "", "")]


def mention(text, product, emotion, start, end, when=NOON, is_correct=False):
    said = {"product": product, "emotion": emotion, "start": start, "end": end}
    return corrected(is_correct, when, text, **said)


def test_each_product_of_a_text_has_a_row_beside_that_of_the_whole_text(tmp_path):
    text = "my iPad is fine, my Pixel is dead"
    corrections = [
        agreed(text),
        mention(text, IPAD, GOOD, 3, 7, when=NOON + 1),
        mention(text, "Pixel", NONE, 20, 25, when=NOON + 2),
        mention(text, IPAD, NONE, 3, 7, when=NOON + 3, is_correct=True),
    ]
    assert exported(tmp_path, *corrections) == [
        (text, IPAD, GOOD, "", ""),
        (text, "Pixel", NONE, "20", "25"),
        (text, IPAD, NONE, "3", "7"),  # the last one; its product says which mention
    ]


@pytest.mark.parametrize("suffix", dataset.SUFFIXES)
def test_training_reads_the_file_with_the_texts_as_they_were(tmp_path, suffix):
    texts = ['=1+1, "quoted"', "line\nbreak", "🎉 عربي", "'", "nan", "NA", "a bell\x07", "_x0041_ is no escape"]
    store = store_with(tmp_path / "log", [agreed(text, when=NOON + n) for n, text in enumerate(texts)])
    export(store, tmp_path / f"corrections{suffix}")
    read = dataset.read(tmp_path / f"corrections{suffix}").labelled
    assert read[tasks.TEXT_COLUMN].tolist() == texts
    assert read[tasks.PRODUCT_COLUMN].tolist() == [IPAD] * len(texts)


def test_a_text_that_a_workbook_cannot_hold_is_cut_and_that_is_said(tmp_path, capsys):
    store = store_with(tmp_path / "log", [agreed("ab" * 20_000)])
    export(store, tmp_path / "whole.csv")
    [said] = capsys.readouterr().err.splitlines()
    assert said.endswith("whole.csv (1 row; left out: 0 corrections without a label, or repeated)")
    export(store, tmp_path / "cut.xlsx")
    _, note = capsys.readouterr().err.splitlines()
    assert note.startswith("texts cut to 32,767 characters")
    assert note.endswith(": 1; write a .csv file to keep them whole")


def test_a_nul_character_does_not_spoil_the_file(tmp_path):
    export(store_with(tmp_path / "log", [agreed("a\0b")]), tmp_path / "corrections.csv")
    assert dataset.read(tmp_path / "corrections.csv").labelled[tasks.TEXT_COLUMN].tolist() == ["a b"]


def test_nothing_to_export_and_an_unknown_ending_are_explained(tmp_path):
    store = store_with(tmp_path / "log", [wrong("a")])
    with pytest.raises(
        DataError,
        match="none of the 1 corrections names a product or an emotion; correct some answers in the app first",
    ):
        export(store, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()
    for suffix in (".txt", ".jsonl", ".parquet"):
        with pytest.raises(
            UsageError, match=r"ends in \.xlsx, \.csv, \.tsv, which `python -m tf_model\.train --extra` reads"
        ):
            export(store, tmp_path / f"out{suffix}")
