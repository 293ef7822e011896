"""Damaged files and odd texts, a minute of them; `make fuzz` takes 100,000."""

from __future__ import annotations

import random
import sys

import pytest

from research.tools import fuzz


@pytest.fixture(autouse=True)
def own_main(monkeypatch):
    """A process that is spawned begins with the main module, for which AppTest leaves the app."""
    monkeypatch.setitem(sys.modules, "__main__", fuzz)


def test_damaged_files_and_odd_texts_get_an_answer_or_an_error_of_one_line(trained, capsys):
    assert fuzz.main(["--files", "1200", "--texts", "300", "--model", str(trained[0])]) == 0


def test_a_process_that_dies_is_counted_with_the_number_of_its_file(tmp_path):
    counts, problems = fuzz.fuzz_files(tmp_path / "no model", 7, 1)
    assert problems == ["crashed or hung (1) at 7"]
    assert not any(number for by_format in counts.values() for number in by_format.values())


def test_an_answer_that_differs_is_found():
    one = {"product": "iPad", "product_confidence": 0.5}
    assert fuzz._differences(3, [one], [one | {"product_confidence": 0.500001}]) == []
    assert len(fuzz._differences(3, [one], [one | {"product": "iPhone"}])) == 1
    assert len(fuzz._differences(3, [one], [one | {"product_confidence": 0.51}])) == 1
    assert fuzz._differences(3, [one, one], [one]) == ["text 3: 1 answers for 2"]


def test_the_same_number_gives_the_same_damage():
    content = bytes(range(256))
    made = [fuzz.damaged(content, random.Random(number), False) for number in (1, 1, 2)]
    assert made[0] == made[1] != made[2]
