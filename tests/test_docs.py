"""Every command on the pages exists (it parses, or is a Makefile target), and so does every link."""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
from importlib import import_module
from pathlib import Path

import pytest

from tf_model import paths

PROGRAMS = r"(?:[A-Z_]+=\S+ )*(?:make|python -m|docker|conda|\. \.venv)[ \n/]"


def prose_of(page: Path) -> str:
    """A page, or the markdown cells of a notebook, with blanks in place of its code blocks."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return re.sub(r"^```.*?^```", lambda block: " " * len(block[0]), text, flags=re.MULTILINE | re.DOTALL)


def anchors_of(page: Path) -> list[str]:
    """GitHub's anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)", prose_of(page), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def commands_of(page: Path) -> list[str]:
    """The distinct commands of a page in order: those in code blocks, and those in backticks."""
    text = page.read_text(encoding="utf-8")
    places = []
    for block in re.finditer(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in re.finditer(rf"^(?:\$ )?({PROGRAMS}.+)$", block[1], re.MULTILINE):
            places.append((block.start(1) + line.start(), line[1]))
    places += [(quoted.start(), quoted[1]) for quoted in re.finditer(rf"`({PROGRAMS}[^`]+)`", prose_of(page))]
    plain = (re.sub(r"\s+# .*| {2,}\S.*$", "", command) for _, command in sorted(places))
    return list(dict.fromkeys(" ".join(command.split()) for command in plain))


PAGES = (
    paths.ROOT / "README.md",
    paths.ROOT / "CONTRIBUTING.md",
    *(paths.ROOT / "docs").glob("*.md"),
    paths.ROOT / "research" / "README.md",
)
LINKING = [
    page
    for pattern in ("*.md", "docs/*.md", "data/*.md", "research/*.md", "research/*.ipynb", "saved_models/README.md")
    for page in paths.ROOT.glob(pattern)
]
COMMANDS = sorted({command for page in PAGES for command in commands_of(page)})
MAKEFILE = (paths.ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = re.findall(r"^([a-z-]+):.* ## ", MAKEFILE, re.MULTILINE)
MAKES = sorted({*(each for each in COMMANDS if " make " in f" {each}"), *(f"make {each}" for each in TARGETS)})


class Understood(Exception):
    """A command has parsed its options and must not go on."""


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


@pytest.fixture
def understand(monkeypatch, capsys):
    """A function that has a module parse its options."""
    parse = argparse.ArgumentParser.parse_args

    def parse_and_stop(*given):
        parse(*given)  # exits with 2 if it does not parse
        raise Understood

    def understand(module, *options):
        name = module if (paths.ROOT / f"{module.replace('.', '/')}.py").is_file() else f"{module}.__main__"
        with pytest.raises(Understood):
            import_module(name).main(list(options))
        assert capsys.readouterr().err == ""

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
    return understand


@pytest.mark.parametrize("command", MAKES)
def test_what_make_is_asked_for_is_there_and_explained_and_understood(command, understand):
    words = arguments_of(command)[1:]
    targets = [word for word in words if "=" not in word]
    assert targets
    for target in targets:
        assert re.search(rf"^{re.escape(target)}:.* ## \S", MAKEFILE, re.MULTILINE), target
    for word in words:
        assert "=" not in word or word.split("=")[0] in ("ARGS", "PYTHON"), word
    environment = os.environ | {"MAKEFLAGS": "", "ARGS": ""}  # not those of `make test`
    command = ["make", "--dry-run", *words]
    run = subprocess.run(command, cwd=paths.ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    lines = re.findall(r"python -m ((?:tf_model|research)\b.*)", run.replace("\\\n", " "))
    assert lines or "train" not in targets
    for line in lines:
        understand(*shlex.split(line))


def test_a_file_of_the_name_of_a_target_does_not_stop_it():
    command = ["make", "--print-data-base", "--dry-run", "help"]
    rules = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=True).stdout
    phony = re.search(r"^\.PHONY: (.+)", rules, re.MULTILINE)[1].split()
    assert sorted(phony) == sorted(TARGETS)


@pytest.mark.parametrize("command", [each for each in COMMANDS if re.search("python -m (tf_model|research)", each)])
def test_a_command_understands_the_options_that_it_is_given(command, understand):
    understand(*arguments_of(command)[2:])


def test_the_pages_say_for_how_many_days_something_is_kept():
    from streamlit_app.components.runs import KEPT_DAYS
    from tf_model.monitor.store import DAY, MINUTE_RETENTION, RETENTION_SECONDS

    kept = RETENTION_SECONDS // DAY
    for page, words in (
        ("docs/monitoring.md", f"are deleted after {kept} days"),
        ("docs/monitoring.md", f"remove corrections older than {kept} days"),
        ("CHANGELOG.md", f"by minute for {MINUTE_RETENTION // DAY} days and by hour for {kept},"),
        ("docs/app.md", f"not changed for {KEPT_DAYS} days"),
    ):
        assert words in " ".join((paths.ROOT / page).read_text(encoding="utf-8").split())


def test_what_the_commands_leave_in_the_checkout_is_ignored_and_no_source_is(tmp_path):
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    written = re.findall(r"(?:--output|monitor export) ([a-z]\S*)", "\n".join(COMMANDS))
    assert len(written) > 5
    names = [name if "." in name else f"{name}/" for name in (*written, "report.json", "key.pem", "key.pub")]
    shutil.copy(paths.ROOT / ".gitignore", tmp_path)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    command = ["git", "check-ignore", *names, "tf_model/report.py", "docs/report.md"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split() == names


def test_every_relative_link_leads_to_a_file_and_its_anchor_to_a_heading():
    found = ((page, link) for page in LINKING for link in re.findall(r"\]\(([^)\s]+)", prose_of(page)))
    links = [(page, link) for page, link in found if ":" not in link]
    assert len(links) > 50
    broken = []
    for page, link in links:
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        is_here = target.exists() and target.resolve().is_relative_to(paths.ROOT)
        if not is_here or (anchor and anchor not in anchors_of(target)):
            broken.append(f"{page.relative_to(paths.ROOT)}: {link}")
    assert broken == []
