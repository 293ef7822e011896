"""``python -m tf_model.export``: export a trained model once more."""

import argparse
import shlex
import shutil
from pathlib import Path

import numpy as np

from tf_model import cli, model_dir, paths, signing
from tf_model.data import Columns, TrainingRows, products_to_judge, read, resolve, training_rows
from tf_model.errors import ModelError, TweetTargetError
from tf_model.export import restore
from tf_model.export.light import write_light
from tf_model.export.saved_model import save_graph
from tf_model.inference.predictor import Predictor, find_model
from tf_model.io.files import copy_folder, whole_folder
from tf_model.tasks import TARGET, TEXT_COLUMN
from tf_model.training.trainer import Fitted

SAME_PROBABILITIES = 1e-5  # the most that a probability may change when a model is exported again


def main(argv: list[str] | None = None) -> int:
    """``python -m tf_model.export``: export a trained model once more."""
    arguments = _parser().parse_args(argv)
    model_dir.refuse_to_replace(arguments.output, arguments.overwrite)
    sign = arguments.sign and signing.signer(arguments.sign)
    folder = find_model(arguments.model)
    restored = restore.load(folder)
    with cli.stopped_cleanly(), whole_folder(arguments.output, arguments.overwrite) as part:
        _export_again(*restored, part)
        if sign:
            sign(part)
    model, output = paths.shown(folder), paths.shown(arguments.output)
    targets = ["--targets"] if TARGET.name in restored[1].labels else []
    use = shlex.join(["python", "-m", "tf_model.predict", *targets, "--model", str(output)])
    cli.say(f"exported {model} to {output}; use it with `{use}`")
    return 0


def _export_again(fitted: Fitted, model: Predictor, folder: Path) -> None:
    """Write the SavedModel with the current code, and the artifacts; :class:`ModelError` if its answers differ."""
    ignore = shutil.ignore_patterns(*model_dir.SAVED_MODEL, model_dir.LIGHT, model_dir.MANIFEST, signing.SIGNATURE)
    copy_folder(model.folder, folder, ignore)
    calibration = model_dir.read_json(folder / model_dir.CALIBRATION)
    save_graph(fitted, model.tasks, folder, calibration)
    texts = read(paths.SAMPLE_CORPUS).labelled[TEXT_COLUMN].head(64).tolist()
    exported = Predictor.load(folder, "tensorflow")
    difference = np.abs(model.probabilities(texts) - exported.probabilities(texts)).max()
    if difference > SAME_PROBABILITIES:
        raise ModelError(
            f"{model.folder} and its export differ by {difference:.2g} in a probability: it was trained "
            "by code that reads texts differently; train it again"
        )
    rows, training_texts = _rows(model)
    probabilities = exported.probabilities(rows.texts) if rows else None
    write_light(fitted, model.tasks, folder, calibration, rows, probabilities, training_texts)
    model_dir.write_manifest(folder)


def _rows(model: Predictor) -> tuple[TrainingRows | None, list[str]]:
    """The model's validation rows and its training texts; None and none if the dataset of its training is not found."""
    try:
        dataset = read(resolve().path, columns=Columns.of_model(model.metrics), known_tasks=model.tasks)
        if dataset.sha256 != model.data_sha256:
            return None, []
        products = products_to_judge(model.task, model.folder, dataset)
        rows = training_rows(dataset, model.task, products)
        numbers = model_dir.read_validation_rows(model.folder)
        is_training = ~np.isin(rows.rows, numbers)
        return rows.numbered(numbers), [rows.texts[position] for position in np.flatnonzero(is_training)]
    except TweetTargetError:
        return None, []


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser("tf_model.export", "Export a trained model again, as training did.")
    parser.add_argument(
        "model",
        nargs="?",
        type=Path,
        metavar="MODEL",
        help="folder of a saved model (default: saved_models/answer, else saved_models/product)",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="the folder to create")
    parser.add_argument("--sign", type=Path, metavar="KEY", help="sign the export with this elliptic-curve key (PEM)")
    parser.add_argument("--overwrite", action="store_true", help="replace DIR if it exists")
    return parser


if __name__ == "__main__":
    cli.run(main)
