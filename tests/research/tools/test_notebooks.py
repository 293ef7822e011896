"""The notebooks tell a story with the package's functions: they hold no outputs and no logic, and run to the end."""

from __future__ import annotations

import ast
import subprocess
import sys

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from research.tools import notebooks
from tf_model import paths
from tf_model.data import DATA_VARIABLE
from tf_model.errors import DataError, TweetTargetError

ALL = notebooks.find()


def write_notebook(folder, name, *cells, tags=()):
    made = [cell if isinstance(cell, dict) else new_code_cell(cell) for cell in cells]
    for cell, each in zip(made, tags, strict=False):
        cell.metadata["tags"] = each
    path = folder / f"{name}.ipynb"
    nbformat.write(new_notebook(cells=made), path)
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder of notebooks, and the sample corpus."""
    monkeypatch.setattr(paths, "RESEARCH", tmp_path)
    monkeypatch.setenv(DATA_VARIABLE, str(paths.SAMPLE_CORPUS))
    return tmp_path


def code_of(path):
    """The code of a notebook as plain Python: ``!`` and ``%`` lines become calls."""
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    return [ast.parse(TransformerManager().transform_cell(source)) for source in cells]


def test_the_notebooks_of_the_project_are_found():
    assert {"colab", "eda"} <= {path.stem for path in ALL}


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
class TestCommitted:
    def test_no_outputs(self, path):
        for cell in nbformat.read(path, as_version=4).cells:
            assert not cell.get("outputs"), cell.source
            assert cell.get("execution_count") is None, cell.source

    def test_no_logic_is_defined(self, path):
        for tree in code_of(path):
            for node in ast.walk(tree):
                assert not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef), ast.unparse(node)

    def test_it_explains_itself(self, path):
        cells = nbformat.read(path, as_version=4).cells
        assert cells[0].cell_type == "markdown"
        assert cells[0].source.startswith("# ")
        assert sum(cell.cell_type == "markdown" for cell in cells) >= 5


def test_every_chapter_of_the_exploration_ends_in_a_conclusion():
    cells = nbformat.read(paths.RESEARCH / "eda.ipynb", as_version=4).cells
    words = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    chapters = words.split("\n## ")[1:-1]
    assert len(chapters) == 9
    assert all("**Conclusion.**" in chapter for chapter in chapters)


@pytest.mark.timeout(1200)
def test_the_exploration_runs_on_the_sample_corpus():
    environment = {DATA_VARIABLE: str(paths.SAMPLE_CORPUS), "TF_CPP_MIN_LOG_LEVEL": "3"}
    executed, cells, error = notebooks.execute(paths.RESEARCH / "eda.ipynb", environment, timeout=1000)
    assert error is None, error
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert cells == len(code)
    charts = [
        cell for cell in code for output in cell.outputs if "application/vnd.plotly.v1+json" in output.get("data", {})
    ]
    assert len(charts) >= 12


@pytest.mark.timeout(1200)
def test_the_study_of_the_labels_runs_on_the_sample_corpus():
    pytest.importorskip("cleanlab", reason="cleanlab is in the extra research")
    environment = {DATA_VARIABLE: str(paths.SAMPLE_CORPUS), "TF_CPP_MIN_LOG_LEVEL": "3"}
    executed, cells, error = notebooks.execute(paths.RESEARCH / "label_quality.ipynb", environment, timeout=1000)
    assert error is None, error
    assert cells == sum(cell.cell_type == "code" for cell in executed.cells)


@pytest.mark.timeout(1800)
def test_the_colab_notebook_runs_without_its_colab_cells(shallow_bert):
    environment = {
        DATA_VARIABLE: str(paths.SAMPLE_CORPUS),
        notebooks.TRAINING_VARIABLE: f"--epochs 1 --backbone {shallow_bert}",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    executed, _, error = notebooks.execute(paths.RESEARCH / "colab.ipynb", environment, timeout=1500)
    assert error is None, error
    said = "\n".join(output.get("text", "") for cell in executed.cells for output in cell.get("outputs", ()))
    assert "dataset: sample" in said
    assert "this dataset has no unlabelled tweets" in said


class TestCommand:
    def test_each_is_told_what_it_needs_and_left_alone_and_an_error_is_named_with_its_cell(
        self, folder, capsys, monkeypatch
    ):
        monkeypatch.delenv(notebooks.TRAINING_VARIABLE, raising=False)
        source = (
            "import os, pathlib\n"
            "from tf_model import tasks\n"
            f"assert pathlib.Path(os.environ['{DATA_VARIABLE}']).samefile({str(paths.SAMPLE_CORPUS)!r})\n"
            f"assert os.environ['{notebooks.TRAINING_VARIABLE}'] == {notebooks.SHORT_TRAINING!r}\n"
            "pathlib.Path('made.txt').write_text(tasks.PRODUCT.name)\n"
        )
        path = write_notebook(folder, "told", "import google.colab", source, tags=([notebooks.COLAB_ONLY], ["other"]))
        before = path.read_bytes()
        bad = write_notebook(
            folder, "bad", "1 + 1", new_markdown_cell("words"), "raise KeyError('x')", "print('never')"
        )
        with pytest.raises(TweetTargetError, match="1 of 2 notebooks failed: 'bad'; see the lines above"):
            notebooks.main(["told.ipynb", "bad"])
        said = capsys.readouterr().err
        assert "bad: failed: cell 2: KeyError: 'x' (2 cells" in said
        assert "told: passed (1 cell," in said
        assert path.read_bytes() == before
        assert sorted(folder.iterdir()) == [bad, path]

    def test_those_for_colab_run_in_a_clean_environment(self, folder, monkeypatch, tmp_path_factory):
        python = tmp_path_factory.mktemp("clean") / "python"
        python.write_text(f'#!/bin/sh\nCLEAN=yes exec {sys.executable} "$@"\n', encoding="utf-8")
        python.chmod(0o755)
        monkeypatch.setenv(notebooks.TRAINING_VARIABLE, "")
        built = []
        monkeypatch.setattr(notebooks, "install", lambda lock, environment: built.append((lock, environment)) or python)
        for name in ("colab", "colab_too"):
            source = "import os\nassert os.environ['CLEAN']"
            write_notebook(folder, name, "never", source, tags=([notebooks.COLAB_ONLY],))
        write_notebook(
            folder,
            "eda",
            f"import os\nassert 'CLEAN' not in os.environ\nassert os.environ['{notebooks.TRAINING_VARIABLE}'] == ''",
        )
        assert notebooks.main(["--clean"]) == 0
        [(lock, environment)] = built
        assert lock == paths.ROOT / "requirements.lock"
        assert not environment.exists(), "it is removed at the end"

    def test_a_cell_that_takes_too_long(self, folder, capsys, monkeypatch):
        monkeypatch.setattr(notebooks, "MOST_SECONDS", 1)
        write_notebook(folder, "slow", "import time\ntime.sleep(600)")
        with pytest.raises(TweetTargetError, match="1 of 1 notebook failed: 'slow'"):
            notebooks.main([])
        assert "cell 1: not done after 1 s" in capsys.readouterr().err

    def test_an_unknown_name(self, folder):
        write_notebook(folder, "one", "1")
        with pytest.raises(DataError, match=r"no notebook 'two' in .*; there are 'one'"):
            notebooks.main(["one", "two"])


def test_a_clean_environment_holds_what_a_lock_pins_and_nothing_else(tmp_path):
    lock = tmp_path / "empty.lock"
    lock.write_text("", encoding="utf-8")
    python = notebooks.install(lock, tmp_path / "clean")
    assert subprocess.run([python, "-c", "import numpy"], capture_output=True, check=False).returncode == 1


def test_an_environment_that_cannot_be_built_says_so(tmp_path, capfd):
    with pytest.raises(TweetTargetError, match=r"no-such\.lock cannot be installed; see pip's message above"):
        notebooks.install(tmp_path / "no-such.lock", tmp_path / "clean")
    assert "no-such.lock" in capfd.readouterr().err
