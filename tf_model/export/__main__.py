"""``python -m tf_model.export``: export a trained model once more, as a SavedModel or as weights to train on from."""

import argparse
import shutil
from pathlib import Path

import numpy as np

from tf_model import cli, model_dir, paths, signing
from tf_model.config import config_of
from tf_model.data import Columns, TrainingRows, read, resolve, training_rows
from tf_model.data.products import read_products
from tf_model.data.splits import training_split
from tf_model.errors import ModelError, OutputError, TweetTargetError, UsageError
from tf_model.export import restore
from tf_model.export.light import write_light
from tf_model.export.saved_model import save_graph
from tf_model.inference.predictor import Predictor, find_model, probability_column
from tf_model.io.files import explain_write_errors, refuse_to_overwrite, whole_folder, write_json
from tf_model.modeling.backbone import TRAINED_ON
from tf_model.tasks import TARGET, TEXT_COLUMN

FORMATS = ("saved-model", "weights")
SAME_PROBABILITIES = 1e-5  # how far those of a model that was exported once more may be from its own


def main(argv: list[str] | None = None) -> int:
    """``python -m tf_model.export``: export a trained model once more."""
    arguments = _parser().parse_args(argv)
    refuse_to_overwrite(arguments.output, arguments.overwrite)
    sign = arguments.sign and signing.signer(arguments.sign)
    folder = find_model(arguments.model)
    _check_place(arguments.output, folder)
    restored = restore.load(folder)
    with cli.stopped_cleanly(), whole_folder(arguments.output, arguments.overwrite) as part:
        (_write_weights if arguments.format == "weights" else _write_again)(restored, part)
        if sign:
            sign(part)
    model, output = paths.shown(folder), paths.shown(arguments.output)
    use = "train --backbone" if arguments.format == "weights" else "predict --model"
    cli.say(f"exported {model} into {output}; use it with `python -m tf_model.{use} {output}`")
    return 0


def _check_place(output: Path, model: Path) -> None:
    """Refuse to replace anything but an earlier export, and least of all the model itself."""
    with explain_write_errors(output):
        if not output.is_dir():
            return
        if model.resolve().is_relative_to(output.resolve()):
            raise UsageError(f"{paths.shown(output)} is or holds the model that is exported; choose another --output")
        exported = (model_dir.GRAPH, "model.safetensors")  # one of them is in what either format makes
        if any(output.iterdir()) and not any((output / name).is_file() for name in exported):
            raise OutputError(
                f"{paths.shown(output)} holds neither a saved model nor weights and is not replaced; choose another one"
            )


def _write_again(restored: restore.Restored, folder: Path) -> None:
    """The SavedModel as the present code makes it, and the artifacts; :class:`ModelError` if it answers otherwise."""
    written = shutil.ignore_patterns(*model_dir.SAVED_MODEL, model_dir.LIGHT, model_dir.MANIFEST, signing.SIGNATURE)
    shutil.copytree(restored.predictor.folder, folder, ignore=written, dirs_exist_ok=True)
    calibration = model_dir.read_json(folder / model_dir.CALIBRATION)
    save_graph(restored.fitted, restored.tasks, folder, calibration)
    texts = read(paths.SAMPLE_CORPUS).labelled[TEXT_COLUMN].head(64).tolist()
    models = restored.predictor, Predictor.load(folder, "tensorflow")
    columns = [probability_column(task, label) for task, labels in models[0].labels.items() for label in labels]
    one, other = (model.predict(texts, probabilities=True)[columns].to_numpy() for model in models)
    difference = np.abs(one - other).max()
    if difference > SAME_PROBABILITIES:
        raise ModelError(
            f"{restored.predictor.folder} and its export differ by {difference:.2g} in a probability: it was trained "
            "by code that reads texts in another way; train it again"
        )
    rows = _validation_rows(restored.predictor)
    probabilities = None
    if rows:
        columns = [probability_column(task.name, label) for task in rows.tasks for label in task.labels]
        probabilities = models[1].predict(rows.texts, probabilities=True)[columns].to_numpy()
    no_emotion = restored.predictor.no_emotion
    write_light(restored.fitted, restored.tasks, folder, calibration, no_emotion, rows, probabilities)
    model_dir.write_manifest(folder)


def _validation_rows(model: Predictor) -> TrainingRows | None:
    """The rows that the model validated on; None where the dataset of its training is not found."""
    config, name = config_of(model.folder, model.recipe), model.metrics.get("task", "")
    try:
        dataset = read(resolve().path, columns=Columns.of_model(model.metrics), known=model.tasks)
        if dataset.sha256 != model.metrics.get("data_sha256"):
            return None
        products = read_products(model.folder / model_dir.PRODUCTS) if name == TARGET.name else None
        rows = training_rows(dataset, name, products)
    except TweetTargetError:
        return None
    return rows.take(training_split(rows, config.split_seed, config.validation_size)[0].validation)


def _write_weights(restored: restore.Restored, folder: Path) -> None:
    """The classifier as Hugging Face's libraries keep it, which is what ``--backbone`` reads."""
    restored.fitted.model.save_pretrained(folder, safe_serialization=True)
    (folder / "model.safetensors").chmod(0o644)  # else it is its owner's alone
    shutil.copy(restored.backbone.vocabulary, folder / "vocab.txt")
    write_json(folder / "tokenizer_config.json", {"do_lower_case": restored.backbone.lower_case})
    model = restored.predictor.folder
    unseen = model_dir.read_validation_rows(model).tolist() if (model / model_dir.PREDICTIONS).is_file() else []
    own = {"data_sha256": restored.predictor.metrics.get("data_sha256", ""), "unseen": sorted(unseen)}
    before = [{"data_sha256": each.data_sha256, "unseen": sorted(each.unseen)} for each in restored.backbone.trained_on]
    extra = restored.predictor.metrics.get("extra")
    more = [{"data_sha256": extra["sha256"], "unseen": []}] if extra else []
    write_json(folder / TRAINED_ON, [*before, own, *more])


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser("tf_model.export", "Export a trained model once more; training has done it once.")
    parser.add_argument(
        "model",
        nargs="?",
        type=Path,
        metavar="MODEL",
        help="folder of a saved model; if not given, saved_models/answer, or saved_models/product",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="the folder to make")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default=FORMATS[0],
        help="saved-model: raw strings in, answers out, as the present code makes it, with the artifacts of MODEL; "
        "weights: a folder in the format of Hugging Face, to train on from with --backbone",
    )
    parser.add_argument("--sign", type=Path, metavar="KEY", help="sign it by this elliptic-curve key (PEM)")
    parser.add_argument("--overwrite", action="store_true", help="replace DIR if it exists")
    return parser


if __name__ == "__main__":
    cli.run(main)
