"""Every command of the README and of CONTRIBUTING is one that there is: `make docs-check` runs those of the README."""

import argparse
import re
import shlex
from importlib import import_module

import pytest

from research.tools.docs_check import NOT_HERE, README, commands_of, makes_a_sample_of, place, trained_name, why_not
from tf_model import paths

PAGES = (README, paths.ROOT / "CONTRIBUTING.md")
COMMANDS = sorted({command for page in PAGES for command in commands_of(page)})
MAKEFILE = (paths.ROOT / "Makefile").read_text(encoding="utf-8")


class Understood(Exception):
    """A command has read its options, and is not to go on."""


def arguments_of(command: str) -> list[str]:
    """The words of a command, without the settings before it."""
    words = shlex.split(command)
    while re.match(r"[A-Z_]+=", words[0]):
        words.pop(0)
    return words


def test_the_commands_of_a_page_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "Run `make app`, or `make\nresults`, not `makefile`.\n"
        "```\n$ make train ARGS=--overwrite\nepoch 1 of 2\n$ . .venv/bin/activate\n```\n"
        "```\npython -m tf_model.data    # which dataset\nTWEETS_METRICS=here:1 make app\ndata/ ──> text\n```\n",
        encoding="utf-8",
    )
    assert commands_of(page) == [
        "make app",
        "make results",
        "make train ARGS=--overwrite",
        ". .venv/bin/activate",
        "python -m tf_model.data",
        "TWEETS_METRICS=here:1 make app",
    ]
    assert len(COMMANDS) > 30


@pytest.mark.parametrize("command", [each for each in COMMANDS if " make " in f" {each}"])
def test_what_make_is_asked_for_is_there_and_explained(command):
    words = arguments_of(command)[1:]
    targets = [word for word in words if "=" not in word]
    assert targets
    for target in targets:
        assert re.search(rf"^{re.escape(target)}:.* ## \S", MAKEFILE, re.MULTILINE), target
    for word in words:
        assert "=" not in word or word.split("=")[0] in ("ARGS", "PYTHON"), word


@pytest.mark.parametrize("command", [each for each in COMMANDS if "python -m tf_model" in each])
def test_a_command_understands_the_options_that_it_is_given(command, monkeypatch, capsys):
    parse = argparse.ArgumentParser.parse_args

    def parse_and_stop(*given):
        parse(*given)  # exits with 2 where it does not understand
        raise Understood

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
    _, _, module, *options = arguments_of(command)
    name = module if (paths.ROOT / f"{module.replace('.', '/')}.py").is_file() else f"{module}.__main__"
    with pytest.raises(Understood):
        import_module(name).main(options)
    assert capsys.readouterr().err == ""


def test_what_is_not_run_is_still_a_command_of_the_page():
    for each in NOT_HERE:
        assert re.search(r"^[^ ]", each.reason)
    assert why_not("make train") is None
    assert why_not("make test-predictions") is None
    assert why_not("make test") is not None


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("make train ARGS=--overwrite", "product"),
        ("make answer", "answer"),
        ("python -m tf_model.train --task emotion", "emotion"),
        ("python -m tf_model.train --task answer --extra corrections.csv --name candidate", "candidate"),
    ],
)
def test_room_is_made_for_the_model_that_a_training_writes(command, name):
    assert trained_name(command) == name


@pytest.mark.parametrize(
    ("command", "replaced"),
    [
        ("make answer", True),
        ("python -m tf_model.train --task answer", True),
        ("python -m tf_model.train --task answer --extra corrections.csv --name candidate", False),
        ("make train", False),
        ('python -m tf_model.predict --text "make answer"', False),
    ],
)
def test_a_model_of_the_sample_does_not_stay_in_the_place_of_the_one_that_is_asked(tmp_path, command, replaced):
    assert makes_a_sample_of("answer", command) == replaced
    model, copy = tmp_path / "model", tmp_path / "copy"
    for folder, said in ((model, "given"), (copy / "saved_models" / "answer", "of the sample")):
        folder.mkdir(parents=True)
        (folder / "labels.json").write_text(said)
    (copy / "saved_models" / "answer" / "more").touch()
    place(model, copy)
    assert [file.name for file in (copy / "saved_models" / "answer").iterdir()] == ["labels.json"]
    assert (copy / "saved_models" / "answer" / "labels.json").read_text() == "given"
