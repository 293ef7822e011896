"""Damaged files and odd texts, a minute of them; `make fuzz` takes 100,000."""

from __future__ import annotations

import random
import sys

import pytest

from research.tools import fuzz
from tf_model.io import tables


@pytest.fixture(autouse=True)
def own_main(monkeypatch):
    """A spawned process starts with the main module, which AppTest has replaced by the app."""
    monkeypatch.setitem(sys.modules, "__main__", fuzz)


def test_damaged_files_and_odd_texts_get_an_answer_or_an_error_of_one_line(trained, capsys):
    assert fuzz.main(["--files", "1200", "--texts", "300", "--model", str(trained[0])]) == 0


def test_every_reader_gets_damaged_files():
    assert {tables._READERS[suffix] for suffix in fuzz.SUFFIXES} == {*tables._READERS.values()}


def test_a_process_that_dies_is_counted_with_the_number_of_its_file(tmp_path):
    counts, problems = fuzz.fuzz_files(tmp_path / "no model", 7, 1)
    assert problems == ["crashed or hung (1) at 7"]
    assert not any(counts["answered"].values())
    assert not any(counts["refused"].values())
    assert counts["upload taken"] == counts["upload refused"] == 0


def test_what_the_app_says_of_an_upload_is_counted(tmp_path, monkeypatch):
    sound = fuzz.sound_files(tmp_path)
    (tmp_path / "input.csv").write_bytes(sound[".csv"])
    assert fuzz._upload(tmp_path / "input.csv") == "taken"
    (tmp_path / "input.csv").write_bytes(b"")
    assert fuzz._upload(tmp_path / "input.csv") == "refused"
    monkeypatch.setattr(fuzz.files, "user_message", lambda *_: "two\nlines")
    assert fuzz._upload(tmp_path / "input.csv") == "in several lines"


def test_a_process_goes_on_where_the_one_before_it_ended(trained, monkeypatch):
    monkeypatch.setattr(fuzz, "cores", lambda: 1)
    monkeypatch.setattr(fuzz, "PROCESS_FILES", 2)
    counts, problems = fuzz.fuzz_files(trained[0], 0, 5)
    assert problems == []
    assert sum(counts["answered"].values()) + sum(counts["refused"].values()) == 5


def test_an_answer_that_differs_is_found():
    one = {"product": "iPad", "product_confidence": 0.5}
    assert fuzz.differences(3, [one], [one | {"product_confidence": 0.500001}]) == []
    assert len(fuzz.differences(3, [one], [one | {"product": "iPhone"}])) == 1
    assert len(fuzz.differences(3, [one], [one | {"product_confidence": 0.51}])) == 1
    assert fuzz.differences(3, [one, one], [one]) == ["text 3: 1 answers for 2"]


def test_the_same_number_gives_the_same_damage():
    content = bytes(range(256))
    made = [fuzz.damaged(content, random.Random(number), False) for number in (1, 1, 2)]
    assert made[0] == made[1] != made[2]
