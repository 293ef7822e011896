"""The files of a saved model, how each is read, and which training the model comes from."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_model import paths, tasks
from tf_model.errors import ModelError, OutputError, UsageError, first_line, listed
from tf_model.io.files import clear_up, explain_write_errors, refuse_to_overwrite, sha256_of, write_json

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SIGNATURE = "serving_default"  # texts in, answers out
MEASURE = "measure"  # also returns the time of each stage and the UNK rate
GRAPH, FINGERPRINT = "saved_model.pb", "fingerprint.pb"
SAVED_MODEL = (GRAPH, FINGERPRINT, "variables", "assets")  # what TensorFlow writes; the rest is ours
LABELS, METRICS, RECIPE = "labels.json", "metrics.json", "recipe.json"
HISTORY, PREDICTIONS = "history.csv", "validation_predictions.csv"
CALIBRATION, CARD, REFERENCE = "calibration.json", "model_card.md", "reference.json"
OUT_OF_FOLD = "out_of_fold.npz"  # predictions for the training rows, by calibration models that had not seen them
PRODUCTS = "products.csv"  # of a model of targets: the products that it looks for
LIGHT = "light"  # the model that runs without TensorFlow, see tf_model.inference.light
MANIFEST = "manifest.json"  # the SHA-256 of every file that decides an answer
ASSIGNMENT, SAMPLE = "assignment", "sample"  # in the metrics: the report's dataset, and the sample corpus
SUM_TOLERANCE = 1e-3  # enough for probabilities that were rounded, too little for logits
TRAININGS = 10**6  # the last six digits of a version on a server identify the training


def probability_column(task: str, label: str) -> str:
    """The name of the column with the probability of one class."""
    return f"{task}_probability_{label}"


def probabilities_sum_to_1(probabilities: np.ndarray) -> bool:
    """Whether each row of probabilities, float [N, C], sums to 1; a row with NaN does not."""
    return bool((abs(probabilities.sum(axis=1) - 1) <= SUM_TOLERANCE).all())


def read_out_of_fold(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers, int64 [N], and calibrated probabilities, float16 [N, classes of all tasks]; or :class:`ModelError`.

    These are the training rows; each was predicted by a calibration model that had not seen it.
    """
    import zipfile

    import numpy as np

    try:
        with np.load(folder / OUT_OF_FOLD, allow_pickle=False) as arrays:
            return arrays["rows"], arrays["probabilities"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"{OUT_OF_FOLD} of {folder} is missing or damaged ({first_line(error)}), so it cannot teach; train it "
            "again with --task answer"
        ) from error


def read_labels(folder: Path) -> dict[str, tuple[str, ...]]:
    """The classes of each task of the model; :class:`ModelError` if the model is missing or incomplete."""
    try:
        missing = next((name for name in (GRAPH, LABELS) if not (folder / name).is_file()), None)
    except OSError as error:
        raise ModelError(f"{folder} cannot be read ({error.strerror}); check its permissions") from error
    if missing:
        raise ModelError(
            f"{folder} holds no complete model: {missing} is missing; train it again, or give another folder"
        )
    labels = read_json(folder / LABELS).get("labels")
    if not isinstance(labels, dict) or not labels or not labels.keys() <= tasks.ALL_TASKS.keys():
        raise ModelError(
            f"{folder / LABELS}: expected the classes of each task ({', '.join(tasks.ALL_TASKS)}) under 'labels', got "
            f"{str(labels)[:80]}; the model is of an older version or damaged: train it again"
        )
    return {task: tuple(classes) for task, classes in labels.items()}


def read_no_emotion(folder: Path) -> str | None:
    """The label of no emotion; None if the model has none; older models do not record it and use the report's."""
    return read_json(folder / LABELS).get("no_emotion", tasks.NO_EMOTION)


def read_json(file: Path, required: bool = False) -> dict[str, Any]:
    """The JSON object in a file; empty if the file does not exist and is not ``required``."""
    if not required and not file.exists():
        return {}
    value = _parsed(file, json.loads)
    if not isinstance(value, dict):
        raise _unusable(file, f"should be a JSON object, not a {type(value).__name__}")
    return value


def read_validation_rows(folder: Path) -> np.ndarray:
    """Row numbers of the validation part, which the model was not trained on, int64 [N]."""
    return _read_table(folder / PREDICTIONS, ["row"])["row"].to_numpy()


def validated_products(folder: Path) -> set[str]:
    """The products whose mentions a model of targets was validated on; none if its predictions do not name them."""
    frame = _read_table(folder / PREDICTIONS, ["row"])
    return set(frame[tasks.PRODUCT.name].dropna()) if tasks.PRODUCT.name in frame else set()


def _unusable(file: Path, reason: str) -> ModelError:
    return ModelError(f"{paths.shown(file)} {reason}; train the model again")


def _parsed(file: Path, parse: Callable[[str], Any]) -> Any:
    """What ``parse`` makes of the text in a file; :class:`ModelError` if it is missing or damaged."""
    try:
        return parse(file.read_bytes().decode("utf-8"))  # read_text would change a line ending inside a label
    except FileNotFoundError as error:
        raise _unusable(file, "is missing") from error
    except (OSError, ValueError) as error:
        raise _unusable(file, f"cannot be read ({first_line(error)})") from error


def _read_table(file: Path, columns: Sequence[str]) -> pd.DataFrame:
    """A CSV file with at least these columns; ``row`` holds whole numbers."""
    import pandas as pd

    # Labels are text: "None" or "NA" is a label, not a missing value, and "-1" or "true" is no number.
    options = {"keep_default_na": False, "na_values": [""]}
    options["dtype"] = dict.fromkeys(tasks.ALL_TASKS, "str") | {"row": "int64"}
    frame = _parsed(file, lambda text: pd.read_csv(io.StringIO(text), **options))
    missing = [name for name in columns if name not in frame]
    if missing:
        raise _unusable(file, f"lacks the columns {listed(missing)}")
    return frame


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model predicted for N validation rows, of one task with C classes."""

    labels: tuple[str, ...]  # C, in the order of their ids
    rows: np.ndarray  # int64 [N], row numbers in the data file, counted from 0
    label_ids: np.ndarray  # int64 [N], the true classes; -1 where there is none
    probabilities: np.ndarray  # float64 [N, C], each row a distribution
    products: np.ndarray | None = None  # object [N], the product of each mention, "" if none; for a model of targets

    @property
    def predicted_ids(self) -> np.ndarray:
        """int64 [N], the most probable class, or the first of several."""
        return self.probabilities.argmax(axis=1)

    @property
    def confidences(self) -> np.ndarray:
        """float64 [N], the probability of the predicted class, 0 to 1."""
        return self.probabilities.max(axis=1)

    @property
    def correct(self) -> np.ndarray:
        """bool [N], whether the predicted class is the true one."""
        return self.predicted_ids == self.label_ids

    def take(self, mask: np.ndarray) -> Predictions:
        """The rows where ``mask``, bool [N], is true."""
        products = None if self.products is None else self.products[mask]
        return Predictions(self.labels, self.rows[mask], self.label_ids[mask], self.probabilities[mask], products)


def _read_predictions(file: Path, labels: Mapping[str, Sequence[str]]) -> dict[str, Predictions]:
    """``validation_predictions.csv`` by task, each with all rows of the file."""
    import pandas as pd

    columns = {task: [probability_column(task, label) for label in labels[task]] for task in labels}
    frame = _read_table(file, ["row", *labels, *(name for names in columns.values() for name in names)])
    predictions = {}
    for task, classes in labels.items():
        label_ids = pd.Index(classes).get_indexer(frame[task])
        probabilities = frame[columns[task]].to_numpy("float64")
        products = None
        if task == tasks.TARGET.name and tasks.PRODUCT.name in frame:
            products = frame[tasks.PRODUCT.name].fillna("").astype(str).to_numpy(object)
        predictions[task] = Predictions(tuple(classes), frame["row"].to_numpy(), label_ids, probabilities, products)
    return predictions


class ModelFacts:
    """Facts about a saved model, from its labels and metrics."""

    labels: Mapping[str, tuple[str, ...]]
    no_emotion: str | None
    metrics: Mapping[str, Any]

    @property
    def tasks(self) -> tuple[tasks.Task, ...]:
        """The tasks that the model was trained for."""
        return tasks.of_model(self.labels, self.no_emotion)

    @property
    def task(self) -> str:
        """``"product"``, ``"emotion"``, ``"target"``, or ``"answer"`` for product and emotion; empty if not known."""
        return tasks.name_of(self.labels)

    @property
    def data_sha256(self) -> str | None:
        """The SHA-256 of the data file that the model was trained and validated on."""
        return self.metrics.get("data_sha256")

    @property
    def is_sample(self) -> bool:
        """Whether it was trained on the sample corpus; its answers and metrics then mean nothing for real tweets."""
        return self.metrics.get("dataset") == SAMPLE

    @property
    def reads_english(self) -> bool:
        """Whether the model is known to have been trained on English texts only."""
        return self.metrics.get("dataset") in (ASSIGNMENT, SAMPLE)


@dataclass(frozen=True, eq=False)
class ModelReport(ModelFacts):
    """The content of a saved model's folder."""

    folder: Path
    labels: Mapping[str, tuple[str, ...]]
    no_emotion: str | None
    metrics: Mapping[str, Any]
    recipe: Mapping[str, Any]
    predictions: Mapping[str, Predictions]  # also for rows without a label of the task
    calibration: Mapping[str, Any]  # empty for a model without "Not sure"
    card: str

    def labelled(self, task: str) -> Predictions:
        """The predictions of one task for the rows that have a label."""
        predictions = self.predictions[task]
        return predictions.take(predictions.label_ids != tasks.NO_LABEL)


def read_report(folder: Path | str) -> ModelReport:
    """What a page shows of the model in a folder, but for its history; :class:`ModelError` if a file is damaged."""
    folder = Path(folder)
    labels = read_labels(folder)
    return ModelReport(
        folder=folder,
        labels=labels,
        no_emotion=read_no_emotion(folder),
        metrics=read_json(folder / METRICS, required=True),
        recipe=read_json(folder / RECIPE, required=True),
        predictions=_read_predictions(folder / PREDICTIONS, labels),
        calibration=read_json(folder / CALIBRATION, required=tasks.has_answer(labels)),
        card=_parsed(folder / CARD, str),
    )


def is_there(folder: Path) -> bool:
    """Whether the folder exists; if a killed run had moved it away to replace it, it is put back first."""
    with suppress(OSError):  # such as a name that is too long
        if not folder.is_dir():
            clear_up(folder)
        return folder.is_dir()
    return False


def model_folders(folder: Path) -> tuple[Path, ...]:
    """The folders in ``folder``: answer, product and emotion first, then by name; hidden ones are unfinished models."""
    if not folder.is_dir():
        return ()
    order = {tasks.ANSWER: 0, tasks.PRODUCT.name: 1, tasks.EMOTION.name: 2}
    for name in (*order, tasks.TARGET.name):
        is_there(folder / name)
    folders = [each for each in folder.iterdir() if each.is_dir() and not each.name.startswith(".")]
    return tuple(sorted(folders, key=lambda each: (order.get(each.name, len(order)), each.name)))


# ---------------------------------------------------------------- whole, and of one training


def refuse_to_replace(folder: Path, overwrite: bool) -> None:
    """Raise :class:`OutputError` if the folder exists, unless it is a model that may be overwritten.

    :class:`UsageError` if TensorFlow would take its name for a pattern.
    """
    refuse_pattern(folder.absolute())
    refuse_to_overwrite(folder, overwrite)
    with explain_write_errors(folder):
        is_foreign = folder.exists() and not (folder / GRAPH).is_file()
    if is_foreign:
        raise OutputError(f"{paths.shown(folder)} is not a saved model, so it is not replaced; choose another name")


def refuse_pattern(folder: Path) -> None:
    """Raise :class:`UsageError` if TensorFlow would look for other files than those in the folder."""
    if set("*?[\\") & set(str(folder)):
        raise UsageError(f"TensorFlow takes *, ?, [ and \\ in {folder} for a pattern; choose another folder or name")


def write_manifest(folder: Path) -> None:
    """Write the SHA-256 of every file that decides an answer, except the list of products, which users may edit."""
    roots = [folder / name for name in (*SAVED_MODEL, LIGHT, LABELS, CALIBRATION)]
    files = sorted(file for root in roots for file in (root, *root.rglob("*")) if file.is_file())
    write_json(folder / MANIFEST, {"sha256": {file.relative_to(folder).as_posix(): sha256_of(file) for file in files}})


def check_manifest(folder: Path, light: bool) -> None:
    """Raise :class:`ModelError` if a file of the SavedModel, or of the ``light`` model, does not match the manifest.

    A SavedModel from before manifests existed has none and is not checked.
    """
    expected = read_json(folder / MANIFEST, required=light).get("sha256")
    if expected is None and not (folder / MANIFEST).exists():
        return
    if not isinstance(expected, dict) or LABELS not in expected:
        raise _unusable(folder / MANIFEST, "is damaged")
    ignored = SAVED_MODEL if light else (LIGHT,)
    for name, sha256 in expected.items():
        if name.split("/")[0] in ignored:
            continue
        try:
            problem = None if sha256_of(folder / name) == sha256 else "is damaged, or comes from another training"
        except OSError as error:
            problem = f"cannot be read ({error.strerror})"
        if problem:
            raise ModelError(f"{paths.shown(folder / name)} {problem}; copy the whole model again, or train it")


def identity(folder: Path) -> str:
    """A string that differs between any two models that nobody changed by hand: the manifest, or the training."""
    with suppress(OSError):
        return (folder / MANIFEST).read_text(encoding="utf-8", errors="replace")  # whoever loads it finds the damage
    return training_of(folder)


# ---------------------------------------------------------------- which training, and which version


def training_of(folder: Path) -> str:
    """The training run that a model comes from, the same for all copies: a hash of TensorFlow's files; "" if none."""
    for name in (FINGERPRINT, GRAPH):
        with suppress(OSError):
            return sha256_of(folder / name)[:12]
    return ""


def served_version(training: str, seconds: int) -> int:
    """The version number on a server, increasing with time: seconds since 1970, then six digits of the training."""
    return seconds * TRAININGS + int(training or "0", 16) % TRAININGS


def is_of_training(version: str, training: str) -> bool:
    """Whether a version in the log is from a training run: it is the run's hash, or its :func:`served_version`."""
    is_served = version.isdecimal() and int(version) % TRAININGS == served_version(training, 0)
    return bool(training) and (version == training or is_served)
