"""The notebooks tell a story with the package's functions: they hold no outputs and no logic, and run to the end."""

from __future__ import annotations

import ast
import json
import os
import shlex
import signal
import subprocess
import sys
import time
import venv
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbclient import NotebookClient

from tf_model import paths
from tf_model.data import DATA_VARIABLE

ALL = sorted(paths.RESEARCH.glob("*.ipynb"))
TRAINING_VARIABLE = "NOTEBOOK_TRAINING"  # options that a notebook adds to each training command


def execute(
    name: str, folder: Path, dataset: Path, training: str = "", python: object = sys.executable
) -> list[nbformat.NotebookNode]:
    """The cells of a notebook after a run in ``folder``: their outputs, which are others' tweets, are never written.

    Cells that only work in Google Colab are skipped. CellExecutionError if a cell fails.
    """
    notebook = nbformat.read(paths.RESEARCH / f"{name}.ipynb", as_version=4)
    client = NotebookClient(
        notebook,
        timeout=3600,
        kernel_name="python3",
        skip_cells_with_tag="colab-only",
        resources={"metadata": {"path": folder}},
        extra_arguments=["--log-level=ERROR"],
    )
    client.create_kernel_manager().kernel_spec.argv[0] = str(python)
    variables = {DATA_VARIABLE: str(dataset), TRAINING_VARIABLE: training, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return client.execute(env={**os.environ, "PYTHONPATH": str(paths.ROOT), **variables}).cells


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
def test_the_exploration_runs_on_the_sample_corpus(tmp_path):
    code = [cell for cell in execute("eda", tmp_path, paths.SAMPLE_CORPUS) if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    plotly = "application/vnd.plotly.v1+json"
    charts = [output.data[plotly] for cell in code for output in cell.outputs if plotly in output.get("data", {})]
    assert len(charts) >= 12
    for name, axis in [item for chart in charts for item in chart["layout"].items() if item[0][1:].startswith("axis")]:
        assert axis.get("showticklabels", True) or "matches" in axis, f"{name} has its own scale but no numbers"


@pytest.mark.timeout(1200)
def test_the_study_of_the_labels_runs_on_the_sample_corpus(tmp_path):
    cells = execute("label_quality", tmp_path, paths.SAMPLE_CORPUS)
    assert all(cell.execution_count for cell in cells if cell.cell_type == "code")


@pytest.mark.timeout(1800)
def test_the_colab_notebook_resumes_a_killed_training_to_the_metrics_it_would_have_had(tmp_path, trained):
    """SIGKILL in the middle, then the notebook without its Colab cells."""
    whole, done = trained
    *command, _ = done.args
    killed = subprocess.Popen(
        [*command, str(tmp_path / "saved_models")],
        cwd=paths.ROOT,
        text=True,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    for line in killed.stderr:
        if line.startswith("epoch 2/"):
            break
    time.sleep(0.05)
    killed.kill()
    killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL, "the run was over before it could be killed"
    model = tmp_path / "saved_models" / "product"
    assert not model.exists()

    options = shlex.join(command[command.index("--data") : -1])
    cells = execute("colab", tmp_path, paths.SAMPLE_CORPUS, options)
    said = "\n".join(output.get("text", "") for cell in cells for output in cell.get("outputs", ()))
    assert "dataset: sample" in said
    assert "this dataset has no unlabelled tweets" in said
    assert "resuming after " in said
    found, expected = (json.loads((folder / "metrics.json").read_text(encoding="utf-8")) for folder in (model, whole))
    for part in ("train", "validation"):
        assert found[part] == expected[part]
    predictions = [(folder / "validation_predictions.csv").read_bytes() for folder in (model, whole)]
    assert predictions[0] == predictions[1]


@pytest.fixture(scope="session")
def clean_python(tmp_path_factory) -> Path:
    """The Python of a new virtual environment with what requirements.lock pins, and nothing else, as Colab has it."""
    python = tmp_path_factory.mktemp("clean") / "bin" / "python"
    venv.create(python.parent.parent)
    options = ["--quiet", "--no-compile", "--no-deps", "--require-hashes", "-r", paths.ROOT / "requirements.lock"]
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    subprocess.run([*pip, "install", *options], check=True)
    return python


@pytest.mark.notebooks
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", [path.stem for path in ALL])
def test_it_runs_on_the_real_data(name, tmp_path, real_data, request):
    """With NOTEBOOK_TRAINING="" in the environment, training takes as long as it does for a reader."""
    python = request.getfixturevalue("clean_python") if name == "colab" else sys.executable
    training = os.environ.get(TRAINING_VARIABLE, "--epochs 1 --backbone minilm")
    execute(name, tmp_path, real_data, training, python)
