"""``python -m research.tools.notebooks``: execute the notebooks of research/ from top to bottom, and fail on any error.

Each runs in a temporary copy, so that outputs, which hold other people's tweets, are never written beside it. Cells
tagged ``colab-only`` are left out, and training is cut to one epoch unless ``--full`` is given. With ``--clean`` a
notebook that has such cells runs in a virtual environment of its own, built as those cells would build it.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_model import cli, paths
from tf_model.cli import duration
from tf_model.data import DATA_VARIABLE, announce, resolve
from tf_model.errors import DataError, TweetTargetError, listed, plural
from tf_model.io.files import whole_file

if TYPE_CHECKING:
    from nbformat import NotebookNode

COLAB_ONLY = "colab-only"
# Options that a notebook adds to each training command; the notebooks that train say so.
TRAINING_VARIABLE = "NOTEBOOK_TRAINING"
SHORT_TRAINING = "--epochs 1 --backbone minilm"
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def main(argv: list[str] | None = None) -> int:
    """Execute the notebooks and say how long each took."""
    arguments = _parser().parse_args(argv)
    import nbformat

    notebooks = find(arguments.names)
    source = resolve(arguments.data)
    announce(source)
    environment = {DATA_VARIABLE: str(source.path.resolve()), "TF_CPP_MIN_LOG_LEVEL": "3"}
    if not arguments.full:
        environment[TRAINING_VARIABLE] = os.environ.get(TRAINING_VARIABLE, SHORT_TRAINING)
    failed = []
    with cli.stopped_cleanly(), tempfile.TemporaryDirectory(prefix="clean-environment-") as clean:
        for path in notebooks:
            python = build_environment(Path(clean)) if arguments.clean and has_colab_cells(path) else None
            began = time.monotonic()
            executed, error = execute(path, environment, arguments.timeout, python)
            outcome = f"failed: {error}" if error else "passed"
            cells, took = count_cells(executed), duration(time.monotonic() - began)
            cli.say(f"{path.stem}: {outcome} ({cells} {plural(cells, 'cell', 'cells')}, {took})")
            if arguments.keep:
                with whole_file(arguments.keep / path.name, arguments.overwrite) as part:
                    nbformat.write(executed, part)
            if error:
                failed.append(path.stem)
    if failed:
        raise TweetTargetError(
            f"{len(failed)} of {len(notebooks)} {plural(len(notebooks), 'notebook', 'notebooks')} failed: "
            f"{listed(failed)}; see the lines above, or add --keep DIR to look at the outputs"
        )
    return 0


def find(names: Sequence[str] = ()) -> list[Path]:
    """The notebooks of research/, or those with the given names (with or without ``.ipynb``), in the given order.

    Raises:
        DataError: There is none of a name.
    """
    known = {path.stem: path for path in sorted(paths.RESEARCH.glob("*.ipynb"))}
    wanted = [Path(name).name.removesuffix(".ipynb") for name in names] or list(known)
    missing = [name for name in wanted if name not in known]
    if missing:
        raise DataError(f"no notebook {listed(missing)} in {paths.shown(paths.RESEARCH)}; there are {listed(known)}")
    return [known[name] for name in wanted]


def build_environment(folder: Path) -> Path:
    """A virtual environment in ``folder`` with what requirements.lock pins and nothing else; its Python.

    Raises:
        TweetTargetError: It cannot be built; the reason stands above.
    """
    python = folder / "bin" / "python"
    if not python.is_file():
        cli.say("installing requirements.lock into a clean virtual environment (a few minutes)")
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        for command in (
            [sys.executable, "-m", "venv", folder],
            [*pip, "--require-hashes", "-r", paths.ROOT / "requirements.lock"],
        ):
            if subprocess.run(command).returncode:
                raise TweetTargetError(f"the clean environment cannot be built: {' '.join(map(str, command))} failed")
    return python


def has_colab_cells(path: Path) -> bool:
    """Whether a notebook has cells that only work in Google Colab."""
    return len(_read(path).cells) < len(_read(path, colab=True).cells)


def _read(path: Path, colab: bool = False) -> NotebookNode:
    """A notebook, without the cells that only work in Google Colab unless they are asked for."""
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if colab or COLAB_ONLY not in cell.metadata.get("tags", ())]
    return notebook


def execute(
    path: Path, environment: dict[str, str], timeout: float, python: Path | None = None
) -> tuple[NotebookNode, str | None]:
    """Execute a notebook in a temporary folder, which is its working directory.

    Args:
        path: The notebook, which is not changed.
        environment: Variables for its kernel, beside our own.
        timeout: The longest time of one cell, in seconds.
        python: Interpreter of its kernel; our own if not given.

    Returns:
        The notebook with outputs, as far as it got, and what went wrong in one line, None if nothing did.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    notebook = _read(path)
    python_path = os.pathsep.join(filter(None, [str(paths.ROOT), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory(prefix=f"{path.stem}-") as folder:
        client = NotebookClient(
            notebook,
            timeout=timeout,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            extra_arguments=["--log-level=ERROR"],
        )
        if python:
            client.create_kernel_manager().kernel_spec.argv[0] = str(python)
        try:
            client.execute(env={**os.environ, "PYTHONPATH": python_path, **environment})
        except CellExecutionError as error:
            return notebook, f"cell {_last_cell(notebook)}: {error.ename}: {_one_line(error.evalue)}"
        except CellTimeoutError:
            return notebook, f"cell {_last_cell(notebook)}: not done after {duration(timeout)}; see --timeout"
        except DeadKernelError:
            return notebook, f"cell {_last_cell(notebook)}: the kernel died, perhaps for want of memory"
    return notebook, None


def count_cells(notebook: NotebookNode) -> int:
    """How many cells of code were executed."""
    return sum(cell.cell_type == "code" and cell.get("execution_count") is not None for cell in notebook.cells)


def _last_cell(notebook: NotebookNode) -> int:
    """Number of the cell that failed, counted from 1 over the cells of code."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    started = [number for number, cell in enumerate(code, 1) if cell.get("execution_count") or cell.outputs]
    return max(started, default=1)


def _one_line(message: Any) -> str:
    return " ".join(_COLOURS.sub("", str(message)).split())[:300]


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser("research.tools.notebooks", "Execute the notebooks of research/ and fail on any error.")
    parser.add_argument("names", nargs="*", metavar="NAMES", help="notebooks; all of research/ if none is given")
    parser.add_argument("--data", metavar="PATH", help=f"the dataset; else {DATA_VARIABLE}, else search")
    parser.add_argument("--full", action="store_true", help="train as long as the notebooks say, not one epoch")
    parser.add_argument(
        "--clean", action="store_true", help="execute those for Colab in a virtual environment that is built for them"
    )
    parser.add_argument("--timeout", type=float, default=3600, metavar="SECONDS", help="longest time of one cell")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="write the executed notebooks, outputs included, into this folder"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace notebooks in the folder of --keep")
    return parser


if __name__ == "__main__":
    cli.run(main)
