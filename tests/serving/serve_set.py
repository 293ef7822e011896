"""The serve set as the container image has it: its lock, what is left out of its packages, and the app."""

import os
import shutil
import subprocess
from pathlib import Path

from tf_model import paths

LOCK = paths.ROOT / "requirements-serve.lock"
# What an image has beside the packages; the Dockerfile copies the same.
COPIED = ("tf_model", "streamlit_app", "pyproject.toml", "data/sample.csv", "data/products.csv", "data/README.md")
SLIM = paths.ROOT / "tf_model/serving/deploy/slim.sh"  # what the image does without
# Only training needs them; the prediction must never come to want them unnoticed.
ABSENT = ("tensorflow", "tensorflow_text", "keras", "transformers", "keras_nlp", "tf_keras", "ray", "torch", "pytest")
QUESTION = "Loving the new iPad, the screen is gorgeous!"


def packages_of(environment: Path) -> Path:
    """The folder of the packages of an environment."""
    return next((environment / "lib").glob("python3*")) / "site-packages"


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
    command = [python, "-m", "tf_model.predict", "--text", QUESTION, "--format", "csv"]
    done = subprocess.run(command, cwd=app, env=clean_environment(), capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


def clean_environment() -> dict[str, str]:
    """The variables without what would lead back to this environment."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
