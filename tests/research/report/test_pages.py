"""The pages match the recorded runs, are short, and their links work."""

from __future__ import annotations

import re
import shutil

import pandas as pd
import pytest
from jinja2 import UndefinedError

from research import runs
from research.report import __main__ as command
from research.report import pages
from tf_model import paths
from tf_model.errors import DataError, OutputError

WORDS = {"results": 3_000, "benchmarks": 1_500, "reproduction": 1_200, "README": 500}


def text_of(page: str) -> str:
    return (paths.RESEARCH / f"{page}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", command.PAGES)
def test_a_committed_page_is_what_the_recorded_runs_render_to(page):
    assert text_of(page) == pages.render(page), "run `make results`"


@pytest.mark.parametrize(("page", "limit"), WORDS.items())
def test_a_page_is_short(page, limit):
    assert len(text_of(page).split()) < limit


@pytest.mark.parametrize("page", WORDS)
def test_every_table_has_as_many_cells_in_each_line(page):
    tables = re.findall(r"(?:^\|.*\n)+", text_of(page), re.MULTILINE)
    assert tables
    for table in tables:
        lines = table.splitlines()
        assert set(lines[1]) <= set("|-:"), lines[1]
        assert len({line.count("|") for line in lines}) == 1, table


def test_files_that_a_page_names_are_there():
    names = re.findall(r"`((?:tests|tf_model|research)/[\w/]+(?:\.\w+)?)`", "".join(map(text_of, WORDS)))
    assert names
    assert [name for name in names if not (paths.ROOT / name).exists()] == []


def test_figures_of_the_page_are_drawn_and_no_others():
    shown = re.findall(r"!\[[^]]*\]\(figures/(.*?)\)", text_of("results"))
    assert sorted(shown) == sorted(path.name for path in (paths.RESEARCH / "figures").iterdir())


@pytest.mark.parametrize(
    ("page", "missing"),
    [
        ("results", "grouped_answer"),
        ("results", "label_quality"),
        ("benchmarks", "bench_app"),
        ("reproduction", "choose_epochs"),
    ],
)
def test_a_missing_run_is_named(tmp_path, monkeypatch, page, missing):
    shutil.copytree(runs.RUNS, tmp_path / "runs", ignore=shutil.ignore_patterns(f"{missing}.json"))
    monkeypatch.setattr(runs, "RUNS", tmp_path / "runs")
    with pytest.raises(DataError, match=rf"research/runs/{missing}\.json is missing; restore it"):
        pages.render(page)


@pytest.mark.parametrize("how", ["count", "plain", "percent", "points"])
def test_a_figure_that_a_run_lacks_is_named(tmp_path, monkeypatch, how):
    (tmp_path / "page.md.j2").write_text(f'{{{{ recorded("fuzz").absent | {how} }}}}', encoding="utf-8")
    monkeypatch.setattr(pages, "TEMPLATES", tmp_path)
    with pytest.raises(UndefinedError, match="no attribute 'absent'"):
        pages.render("page")


def test_without_a_browser_the_pages_are_written_and_the_figures_stay(tmp_path, monkeypatch, capsys):
    from research.report import figures

    def refuse():
        yield tmp_path / "figures" / "first.svg"
        raise OutputError("no browser")

    monkeypatch.setattr(paths, "RESEARCH", tmp_path)
    monkeypatch.setattr(figures, "draw_all", refuse)
    monkeypatch.setattr(pages, "render", str)
    assert command.main([]) == 0
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(command.PAGES)
    assert "warning: the figures are not updated: no browser" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0197, "+2.0"), (-0.0031, "-0.3"), (0.0001, "+0.01"), (-0.0004, "-0.04"), (0.0, "+0.0"), (0.0005, "+0.1")],
)
def test_a_difference_is_shown_in_points_with_its_sign(value, shown):
    assert pages.points(value) == shown


def test_figures_in_the_text_are_rounded_and_what_was_not_measured_is_empty():
    row = pd.Series({"difference": 0.02, "low": -0.003, "high": 0.043, "seeds_low": -0.1, "seeds_high": 0.1})
    assert pages.difference(row) == "+2.0 (-0.3 to +4.3)"
    assert pages.ci(row) == "95% CI -0.3 to +4.3"
    assert pages.seeds_ci(row) == "-10.0 to +10.0"
    assert pages.interval((0.8738, 0.88534), 2) == "87.38\N{EN DASH}88.53%"
    assert (pages.difference(None), pages.percent(None), pages.percent(0.87405, 2)) == ("", "", "87.41%")
