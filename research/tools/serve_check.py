"""``python -m research.tools.serve_check``: what a server installs is enough, and small enough.

The serve set (requirements-serve.lock) goes into a clean environment; the app, copied as the container image has it,
is started from there; one question is asked in a browser and one at the command line; sizes are compared.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from research.runs import record
from research.tools.browser import chromium, wait_until_done
from tf_model import cli, paths, tasks
from tf_model.errors import ModelError, TweetTargetError, UsageError
from tf_model.inference.predictor import DEFAULT_MODELS

LOCK = paths.ROOT / "requirements-serve.lock"
INSTALLED = "serve-set.sha256"  # in the environment: of the lock file that it holds
MOST_OF_FULL = 0.60
# What an image has beside the packages; the Dockerfile copies the same.
COPIED = ("tf_model", "streamlit_app", "pyproject.toml", "data/sample.csv", "data/README.md")
# Folders of C++ headers, which the image leaves out as well.
HEADERS = "include"
# Only training needs them; the prediction must never come to want them unnoticed.
ABSENT = ("transformers", "keras_nlp", "keras_hub", "tf_keras", "ray", "torch", "tensorflow_serving", "pytest")
QUESTION = "Loving the new iPad, the screen is gorgeous!"
SECONDS = 300


def main(argv: list[str] | None = None) -> int:
    """Install, start, ask, compare, record."""
    arguments = _parser().parse_args(argv)
    model = arguments.model or next(
        (folder for name in DEFAULT_MODELS if (folder := paths.SAVED_MODELS / name).is_dir()), None
    )
    if model is None or not (model / "saved_model.pb").is_file():
        raise ModelError(f"{model or 'saved_models'} holds no model to ask; run `make answer`, or give --model DIR")
    with tempfile.TemporaryDirectory(prefix="serve-check-") as scratch:
        environment = arguments.environment or Path(scratch) / "venv"
        python = install(environment)
        installed, full = size_of(environment), size_of(Path(sys.prefix))
        present = [name for name in ABSENT if imports(python, name)]
        app = Path(scratch) / "app"
        copy_app(app, model)
        line = predict(python, app)
        heading, seconds = ask(python, app)
    results = {
        "packages": sum(
            " --hash" in line or "==" in line for line in LOCK.read_text().splitlines() if line[:1].isalpha()
        ),
        "serve_bytes": installed,
        "full_bytes": full,
        "share": installed / full,
        "seconds_to_first_answer": seconds,
    }
    cli.say(f"command line: {line}")
    cli.say(f"app: {QUESTION!r} is answered by {heading!r} after {seconds:.1f} s, start included")
    print(f"{installed / 1e9:.2f} GB of {full / 1e9:.2f} GB, {installed / full:.1%} of the full installation")
    if present:
        raise TweetTargetError(f"the serve set holds {', '.join(present)}, which only training needs; take it out")
    if installed > MOST_OF_FULL * full:
        raise TweetTargetError(
            f"expected at most {MOST_OF_FULL:.0%} of the full installation, got {installed / full:.1%}"
        )
    if arguments.record:
        cli.say(f"written to {paths.shown(record('serve_check', 'make serve-check', results))}")
    return 0


def section(run: dict[str, Any]) -> str:
    """The recorded run as a section of benchmarks.md."""
    return f"""## What a server installs

`{run["command"]}`, {run["date"]}, {run["machine"]}: the serve set, {run["packages"]} packages in an environment of its
own, takes {run["serve_bytes"] / 1e9:.2f} GB, {run["share"]:.1%} of the {run["full_bytes"] / 1e9:.2f} GB of the full
installation (target: at most {MOST_OF_FULL:.0%}). From there the app answered a question in a browser
{run["seconds_to_first_answer"]:.1f} s after it was started, and the command line answered as well.
"""


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser("research.tools.serve_check", "Install the serve set into a clean environment and ask the app.")
    parser.add_argument("--model", type=Path, metavar="DIR", help="the model to ask; answer or product if not given")
    parser.add_argument(
        "--environment", type=Path, metavar="DIR", help="keep the environment here, and use it if it is there"
    )
    parser.add_argument("--record", action="store_true", help="write the sizes into research/runs/")
    return parser


def install(environment: Path) -> Path:
    """Install the serve set into a new environment, and return its Python; one that holds it already is taken."""
    python, installed = environment / "bin" / "python", environment / INSTALLED
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not installed.is_file() or installed.read_text(encoding="ascii") != wanted:
        if environment.is_dir() and any(environment.iterdir()) and not (environment / "pyvenv.cfg").is_file():
            raise UsageError(f"{environment} holds something else than an environment; give --environment a new folder")
        cli.say("installing the serve set (a minute or two)")
        venv.create(environment, with_pip=False, clear=True)
        pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
        _run([*pip, "install", "--quiet", "--no-compile", "--no-deps", "--require-hashes", "-r", str(LOCK)])
        for headers in sorted(packages_of(environment).rglob(HEADERS)):
            shutil.rmtree(headers, ignore_errors=True)
        installed.write_text(wanted, encoding="ascii")  # last: an interrupted installation is done again
    return python


def packages_of(environment: Path) -> Path:
    """The folder of the packages of an environment."""
    return next((environment / "lib").glob("python3*")) / "site-packages"


def size_of(environment: Path) -> int:
    """Bytes of all packages of an environment, without what Python compiles at the first import."""
    files = (file for file in packages_of(environment).rglob("*") if file.suffix != ".pyc" and not file.is_symlink())
    return sum(file.stat().st_size for file in files if file.is_file())


def imports(python: Path, name: str) -> bool:
    """Whether a package is there."""
    code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({name!r}) is None)"
    return subprocess.run([python, "-c", code], cwd="/", check=False).returncode == 0


def copy_app(folder: Path, model: Path) -> None:
    """The app as the image has it."""
    for name in COPIED:
        source, target = paths.ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.is_file():
            shutil.copy2(source, target)
    shutil.copytree(model, folder / "saved_models" / model.name)


def predict(python: Path, app: Path) -> str:
    """What the command line says of the question."""
    output = _run([str(python), "-m", "tf_model.predict", "--text", QUESTION, "--format", "csv"], app)
    line = output.splitlines()[-1]
    if not any(label in line for label in tasks.PRODUCTS):
        raise TweetTargetError(f"expected a product from the command line, got {line[:200]!r}")
    return line


def ask(python: Path, app: Path) -> tuple[str, float]:
    """Ask the app in a browser: the heading of its answer, and the seconds since it was started."""
    begun = time.monotonic()
    with running(python, app) as address, chromium() as browser:
        page = browser.new_page()
        page.set_default_timeout(SECONDS * 1000)
        page.goto(address)
        page.get_by_label("Your text").fill(QUESTION)
        page.get_by_role("button", name="Ask", exact=True).click()
        heading = page.get_by_role("heading", level=2).first
        heading.wait_for()
        wait_until_done(page, SECONDS)
        return heading.inner_text(), time.monotonic() - begun


@contextmanager
def running(python: Path, app: Path) -> Iterator[str]:
    """The app on a free port, with nothing of this environment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [str(python), "-m", "streamlit_app", "--server.headless", "true"]
    command += ["--server.address", "127.0.0.1", "--server.port", str(port), "--server.fileWatcherType", "none"]
    with tempfile.TemporaryFile("w+") as said:
        server = subprocess.Popen(command, cwd=app, env=_clean(), stdout=said, stderr=said, text=True)
        try:
            _wait_until_well(server, f"http://127.0.0.1:{port}/_stcore/health", said)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            try:
                server.wait(timeout=15)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait_until_well(server: subprocess.Popen, health: str, said: Any) -> None:
    until = time.monotonic() + SECONDS
    while time.monotonic() < until and server.poll() is None:
        try:
            urllib.request.urlopen(health, timeout=2).close()
            return
        except OSError:
            time.sleep(0.2)
    said.seek(0)
    lines = said.read().strip().splitlines() or ["nothing"]
    raise TweetTargetError(f"the app did not start from the serve set; the last that it said: {lines[-1][:300]}")


def _clean() -> dict[str, str]:
    """The environment without what would lead back to this one."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}


def _run(command: list[str], folder: Path = paths.ROOT) -> str:
    done = subprocess.run(command, cwd=folder, env=_clean(), capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise TweetTargetError(f"{' '.join(command[1:5])} failed: {said[-1][:300]}")
    return done.stdout


if __name__ == "__main__":
    cli.run(main)
