"""``python -m tf_model.serving``: lay saved models out for TensorFlow Serving: numbered versions, and their list.

::

    serving/
      models.config            the list of models
      answer/1795488000123456/ one version: the SavedModel
"""

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from tf_model import cli, paths
from tf_model.errors import UsageError, listed, plural
from tf_model.inference.predictor import DEFAULT_MODELS, find_model
from tf_model.io.files import whole_file, whole_folder
from tf_model.model_dir import (
    GRAPH,
    SAVED_MODEL,
    TRAININGS,
    check_manifest,
    is_there,
    read_labels,
    served_version,
    training_of,
)

FOLDER = paths.SAVED_MODELS / ".serving"
BASE = "/models"  # where the server finds the folder; compose.yaml mounts it there
MODELS = "models.config"
MODEL = """  config {{
    name: {name}
    base_path: {path}
    model_platform: "tensorflow"
    model_version_policy {{ latest {{ num_versions: 1 }} }}
  }}
"""


def main(argv: list[str] | None = None) -> int:
    """Write the folder, and say how to start a server on it."""
    arguments = _parser().parse_args(argv)
    with cli.stopped_cleanly():
        existing = [each for name in DEFAULT_MODELS if is_there(each := paths.SAVED_MODELS / name)]
        models = arguments.models or existing or [find_model(None)]
        folder = write_layout(models, arguments.output)
    names = {Path(model).absolute().name for model in models}
    if others := sorted(each.name for each in folder.iterdir() if each.is_dir() and each.name not in names):
        cli.say(f"note: {listed(others)} from earlier runs will not be served; to serve them too, name all models")
    cli.say(
        f"{len(models)} {plural(len(models), 'model is', 'models are')} in {paths.shown(folder)}; "
        f"`docker compose up serving` serves {paths.shown(FOLDER)}"
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser("tf_model.serving", "Lay out saved models for TensorFlow Serving.")
    add = parser.add_argument
    add("models", nargs="*", type=Path, metavar="MODEL", help="folders of models (default: answer and product)")
    add("--output", type=Path, default=Path(paths.shown(FOLDER)), metavar="DIR", help="the folder to write")
    return parser


def write_layout(models: Sequence[Path | str], folder: Path | str) -> Path:
    """Lay out saved models for a server in ``folder``, under the names of their own folders, and return ``folder``.

    :func:`tf_model.model_dir.served_version` numbers a version; a rolled-back model gets a number above the newest,
    because the server serves the highest. Existing versions stay.
    """
    folder, sources = Path(folder), [Path(model).absolute() for model in models]
    names = [source.name for source in sources]
    if len(set(names)) != len(names):
        raise UsageError(f"two models have the same name: {', '.join(names)}; rename one of their folders")
    for name, source in zip(names, [each.resolve() for each in sources], strict=True):  # a link is followed once
        read_labels(source)  # raises if the model is incomplete
        check_manifest(source, light=False)  # TensorFlow Serving would not notice files of two trainings
        training = training_of(source)
        newest = max((int(each.name) for each in (folder / name).glob("*") if each.name.isdecimal()), default=0)
        if training_of(folder / name / str(newest)) != training:
            saved_at = int((source / GRAPH).stat().st_mtime)
            number = served_version(training, max(saved_at, newest // TRAININGS + 1))
            with whole_folder(folder / name / str(number)) as part:
                for each in SAVED_MODEL:
                    if (source / each).is_dir():
                        shutil.copytree(source / each, part / each)
                    elif (source / each).is_file():
                        shutil.copy2(source / each, part / each)
    configs = "".join(MODEL.format(name=json.dumps(name), path=json.dumps(f"{BASE}/{name}")) for name in names)
    with whole_file(folder / MODELS, overwrite=True) as part:
        part.write_text(f"model_config_list {{\n{configs}}}\n", encoding="utf-8")
    return folder


if __name__ == "__main__":
    cli.run(main)
