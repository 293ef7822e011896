"""The serve set as in the container image: its lock, what is removed from its packages, and the app."""

import os
import shutil
import subprocess
from pathlib import Path

from tf_model import paths

LOCK = paths.ROOT / "requirements-serve.lock"
# What the image has besides the packages; the Dockerfile copies the same.
COPIED = ("tf_model", "streamlit_app", "data/sample.csv", "data/products.csv", "data/README.md")
SLIM = paths.ROOT / "tf_model/serving/deploy/slim.sh"  # removes what the image does not need
# Only training needs these; prediction must not come to need them unnoticed.
ABSENT = ("tensorflow", "tensorflow_text", "keras", "transformers", "keras_nlp", "tf_keras", "ray", "torch", "pytest")
QUESTION = "Loving the new iPad, the screen is gorgeous!"


def packages_of(environment: Path) -> Path:
    """The site-packages folder of an environment."""
    return next((environment / "lib").glob("python3*")) / "site-packages"


def copy_app(folder: Path, model: Path) -> None:
    """Copy the app and a model as the image has them."""
    for name in COPIED:
        source, target = paths.ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target)
    shutil.copytree(model, folder / "saved_models" / model.name)


def run(python: Path, app: Path, *arguments: str | Path) -> subprocess.CompletedProcess:
    """Run Python in the app's folder."""
    return subprocess.run([python, *arguments], cwd=app, env=clean_environment(), capture_output=True, text=True)


def clean_environment() -> dict[str, str]:
    """The environment variables without those that lead back to this environment."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
