"""``python -m research.tools.serve_check``: what a server installs is enough, and small enough.

The serve set (requirements-serve.lock) goes into a clean environment; the app, copied as the container image has it,
is started from there; one question is asked in a browser and one at the command line; sizes are compared.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from research.runs import record
from research.tools.browser import ask, chromium, open_window, running_app
from tf_model import cli, paths, tasks
from tf_model.errors import TweetTargetError
from tf_model.inference.predictor import find_model

LOCK = paths.ROOT / "requirements-serve.lock"
MOST_BYTES = 600e6
# What an image has beside the packages; the Dockerfile copies the same.
COPIED = ("tf_model", "streamlit_app", "pyproject.toml", "data/sample.csv", "data/README.md")
SLIM = paths.ROOT / "tf_model/serving/deploy/slim.sh"  # what the image does without
# Only training needs them; the prediction must never come to want them unnoticed.
ABSENT = ("tensorflow", "tensorflow_text", "keras", "transformers", "keras_nlp", "tf_keras", "ray", "torch", "pytest")
QUESTION = "Loving the new iPad, the screen is gorgeous!"


def main(argv: list[str] | None = None) -> int:
    """Install, start, ask, compare, record."""
    parser = cli.parser("research.tools.serve_check", "Install the serve set into a clean environment and ask the app.")
    parser.add_argument("--model", type=Path, metavar="DIR", help="the model to ask; answer or product if not given")
    parser.add_argument("--record", action="store_true", help="write the sizes into research/runs/")
    arguments = parser.parse_args(argv)
    model = find_model(arguments.model)
    with tempfile.TemporaryDirectory(prefix="serve-check-") as scratch:
        environment, app = Path(scratch) / "venv", Path(scratch) / "app"
        python = install(LOCK, environment)
        _run([str(SLIM), str(packages_of(environment))])
        installed, full = size_of(environment), size_of(Path(sys.prefix))
        present = [name for name in ABSENT if (packages_of(environment) / name).exists()]
        copy_app(app, model)
        line = predict(python, app)
        begun = time.monotonic()
        clean_app = running_app(python=python, folder=app, environment=clean_environment())
        with clean_app as address, chromium() as browser:
            page = open_window(browser, address)
            ask(page, QUESTION)
            heading = page.get_by_role("heading", level=2).first.inner_text()
            seconds = time.monotonic() - begun
    cli.say(f"command line: {line}")
    cli.say(f"app: {QUESTION!r} is answered by {heading!r} after {seconds:.1f} s, start included")
    print(f"{installed / 1e6:.0f} MB, {installed / full:.0%} of the full installation")
    if present:
        raise TweetTargetError(f"the serve set holds {', '.join(present)}, which only training needs; take it out")
    if arguments.record:
        results = {
            "packages": sum("==" in line for line in LOCK.read_text().splitlines() if line[:1].isalpha()),
            "serve_bytes": installed,
            "full_bytes": full,
            "share": installed / full,
            "seconds_to_first_answer": seconds,
        }
        cli.say(f"written to {paths.shown(record('serve_check', 'make serve-check', results))}")
    if installed > MOST_BYTES:
        raise TweetTargetError(f"expected at most {MOST_BYTES / 1e6:.0f} MB, got {installed / 1e6:.0f} MB")
    return 0


def install(lock: Path, environment: Path) -> Path:
    """Install what ``lock`` pins, and nothing else, into a new virtual environment, and return its Python."""
    cli.say(f"installing {lock.name} into a clean environment (a few minutes)")
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    _run([*pip, "install", "--quiet", "--no-compile", "--no-deps", "--require-hashes", "-r", str(lock)])
    return python


def packages_of(environment: Path) -> Path:
    """The folder of the packages of an environment."""
    return next((environment / "lib").glob("python3*")) / "site-packages"


def size_of(environment: Path) -> int:
    """Bytes of all packages of an environment, without what Python compiles at the first import."""
    files = (file for file in packages_of(environment).rglob("*") if file.suffix != ".pyc" and not file.is_symlink())
    return sum(file.stat().st_size for file in files if file.is_file())


def copy_app(folder: Path, model: Path) -> None:
    """The app as the image has it."""
    for name in COPIED:
        source, target = paths.ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    shutil.copytree(model, folder / "saved_models" / model.name)


def predict(python: Path, app: Path) -> str:
    """What the command line answers to the question."""
    output = _run([str(python), "-m", "tf_model.predict", "--text", QUESTION, "--format", "csv"], app)
    line = output.splitlines()[-1]
    if not any(label in line for label in tasks.PRODUCTS):
        raise TweetTargetError(f"expected a product from the command line, got {line[:200]!r}")
    return line


def clean_environment() -> dict[str, str]:
    """The variables without what would lead back to this environment."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}


def _run(command: list[str], folder: Path = paths.ROOT) -> str:
    done = subprocess.run(command, cwd=folder, env=clean_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise TweetTargetError(f"{' '.join(command[1:5])} failed: {lines[-1][:300]}")
    return done.stdout


if __name__ == "__main__":
    cli.run(main)
