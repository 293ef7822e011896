"""``python -m research.tools.notebooks``: execute the notebooks of research/ from top to bottom, and fail on any error.

Each runs in a temporary copy, so that outputs, which hold other people's tweets, are never written beside it. Cells
tagged ``colab-only`` are skipped, and training is cut to one epoch unless the variable NOTEBOOK_TRAINING has other
options. With ``--clean``, notebooks with such cells run in a virtual environment built as those cells would build it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tf_model import cli, paths
from tf_model.cli import duration
from tf_model.data import DATA_VARIABLE, announce, resolve
from tf_model.errors import DataError, TweetTargetError, listed, plural

if TYPE_CHECKING:
    from nbformat import NotebookNode

COLAB_ONLY = "colab-only"
TRAINING_VARIABLE = "NOTEBOOK_TRAINING"  # options that a notebook adds to each training command
SHORT_TRAINING = "--epochs 1 --backbone minilm"
MOST_SECONDS = 3600  # of one cell
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def main(argv: list[str] | None = None) -> int:
    """Execute the notebooks and say how long each took."""
    parser = cli.parser("research.tools.notebooks", "Execute the notebooks of research/ and fail on any error.")
    parser.add_argument("names", nargs="*", metavar="NAMES", help="notebooks; all of research/ if none is given")
    parser.add_argument(
        "--data", metavar="PATH", help=f"the dataset; by default, {DATA_VARIABLE} or the one that is found"
    )
    parser.add_argument(
        "--clean", action="store_true", help="execute the Colab notebooks in a virtual environment built for them"
    )
    arguments = parser.parse_args(argv)
    notebooks = find(arguments.names)
    source = resolve(arguments.data)
    announce(source)
    environment = {
        DATA_VARIABLE: str(source.path.resolve()),
        TRAINING_VARIABLE: os.environ.get(TRAINING_VARIABLE, SHORT_TRAINING),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    failed, for_colab = [], [path for path in notebooks if arguments.clean and has_colab_cells(path)]
    with cli.stopped_cleanly(), tempfile.TemporaryDirectory(prefix="clean-environment-") as clean:
        python = install(paths.ROOT / "requirements.lock", Path(clean)) if for_colab else None
        for path in notebooks:
            began = time.monotonic()
            _, cells, error = execute(path, environment, MOST_SECONDS, python if path in for_colab else None)
            outcome, took = f"failed: {error}" if error else "passed", duration(time.monotonic() - began)
            cli.say(f"{path.stem}: {outcome} ({cells} {plural(cells, 'cell', 'cells')}, {took})")
            if error:
                failed.append(path.stem)
    if failed:
        raise TweetTargetError(
            f"{len(failed)} of {len(notebooks)} {plural(len(notebooks), 'notebook', 'notebooks')} failed: "
            f"{listed(failed)}; see the lines above"
        )
    return 0


def install(lock: Path, environment: Path) -> Path:
    """Install what ``lock`` pins, and nothing else, into a new virtual environment, and return its Python."""
    cli.say(f"installing {lock.name} into a clean environment (a few minutes)")
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    pip += ["install", "--quiet", "--no-compile", "--no-deps", "--require-hashes", "-r", lock]
    if subprocess.run(pip).returncode:
        raise TweetTargetError(f"{lock.name} cannot be installed; see pip's message above")
    return python


def find(names: Sequence[str] = ()) -> list[Path]:
    """All notebooks of research/, or those named, with or without ``.ipynb``; DataError if one is missing."""
    by_name = {path.stem: path for path in sorted(paths.RESEARCH.glob("*.ipynb"))}
    requested = [Path(name).stem for name in names] or list(by_name)
    missing = [name for name in requested if name not in by_name]
    if missing:
        raise DataError(f"no notebook {listed(missing)} in {paths.shown(paths.RESEARCH)}; there are {listed(by_name)}")
    return [by_name[name] for name in requested]


def has_colab_cells(path: Path) -> bool:
    """Whether a notebook has cells that only work in Google Colab."""
    import nbformat

    return any(COLAB_ONLY in cell.metadata.get("tags", ()) for cell in nbformat.read(path, as_version=4).cells)


def execute(
    path: Path, environment: dict[str, str], timeout: float, python: Path | None = None
) -> tuple[NotebookNode, int, str | None]:
    """Execute a notebook with ``python``, by default our own, in a temporary working directory.

    Returns the notebook with its outputs so far, the number of cells begun, and the error in one line, or None. A cell
    may take ``timeout`` seconds.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    python_path = os.pathsep.join(filter(None, [str(paths.ROOT), os.environ.get("PYTHONPATH")]))
    with tempfile.TemporaryDirectory(prefix=f"{path.stem}-") as folder:
        client = NotebookClient(
            nbformat.read(path, as_version=4),
            timeout=timeout,
            kernel_name="python3",
            skip_cells_with_tag=COLAB_ONLY,
            resources={"metadata": {"path": folder}},
            extra_arguments=["--log-level=ERROR"],
        )
        if python:
            client.create_kernel_manager().kernel_spec.argv[0] = str(python)
        error_line = None
        try:
            client.execute(env={**os.environ, "PYTHONPATH": python_path, **environment})
        except CellExecutionError as error:
            error_line = f"{error.ename}: {' '.join(COLOURS.sub('', str(error.evalue)).split())[:300]}"
        except CellTimeoutError:
            error_line = f"not done after {duration(timeout)}"
        except DeadKernelError:
            error_line = "the kernel died, perhaps out of memory"
    number = client.code_cells_executed
    return client.nb, number, error_line and f"cell {number}: {error_line}"


if __name__ == "__main__":
    cli.run(main)
