"""``python -m tf_model.serving``: lay saved models out for TensorFlow Serving."""

import argparse
from pathlib import Path

from tf_model import cli, paths
from tf_model.errors import plural
from tf_model.inference.predictor import DEFAULT_MODELS, find_model
from tf_model.model_dir import is_there
from tf_model.serving.layout import write_layout

FOLDER = paths.SAVED_MODELS / ".serving"


def main(argv: list[str] | None = None) -> int:
    """Write the folder, and say how to start a server on it."""
    arguments = _parser().parse_args(argv)
    with cli.stopped_cleanly():
        existing = [each for name in DEFAULT_MODELS if is_there(each := paths.SAVED_MODELS / name)]
        models = arguments.models or existing or [find_model(None)]
        folder = write_layout(models, arguments.output)
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


if __name__ == "__main__":
    cli.run(main)
