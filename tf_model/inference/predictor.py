"""Find, check and load a saved model and score texts, with a one-line error for each way a model can be broken.

:meth:`Predictor.predict_measured` is the one function that scores; :meth:`Predictor.predict` returns its predictions.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_model import cli, model_dir, paths, signing, tasks
from tf_model.errors import ModelError, UsageError, first_line, listed
from tf_model.inference import attribution
from tf_model.io import tables
from tf_model.io.characters import well_formed
from tf_model.model_dir import ModelFacts, probability_column
from tf_model.modeling.joint_label import NOT_SURE

MAX_CHARACTERS = 20_000  # enough for the tokens that a model reads; a pasted file of 10 MB costs no more
BATCH_SIZE = 64
WINDOW = tables.CHUNK_ROWS  # texts sorted by length together, so that batches need little padding
DEFAULT_MODELS = ("answer", "product")
GUESSES = {"answer_confidence": "float32", "best_guess": "str", "second_guess": "str"}
RUNTIMES = ("auto", "tensorflow", "light")
ATTEMPTS = 5  # at loading a model that is being replaced

if TYPE_CHECKING:
    from tf_model.inference.light import LightModel

Outputs = dict[str, np.ndarray]
_calls: list[None] = []  # one entry for each call under way; appending and popping need no lock


@dataclass(frozen=True)
class Measured:
    """Predictions, how long they took, and the UNK rate of each text."""

    predictions: Any  # a data frame with the columns of the predictor with ``probabilities``, indexed by the text
    seconds: Mapping[str, float]  # "tokenize" (with cleaning), "model" and "rest"; else "model", or none
    unk_rates: Sequence[float] | None  # UNK rate of each text, 0 to 1; None if not measured
    no_emotion: str | None = tasks.NO_EMOTION  # the model's label for no emotion


class TablePredictor:
    """Predictions for texts and for tables, from the ``columns`` and ``predict_measured`` of a subclass."""

    def predict(
        self,
        texts: Sequence[Any],
        probabilities: bool = False,
        on_progress: Callable[[int], None] | None = None,
        threshold: float | None = None,
    ) -> Any:
        """Score N texts: rows in their order, indexed by the text from 0, with the columns of ``columns``.

        Texts are read by :func:`model_input`. ``on_progress`` gets the number of texts of each finished batch. Answers
        below ``threshold`` (0 to 1; None: the model's own) are "Not sure".
        """
        if isinstance(texts, str | bytes):
            raise TypeError("expected a list of texts, got one text; write [text]")
        measured = self.predict_measured(texts, on_progress, threshold)
        return measured.predictions[list(self.columns(probabilities))]

    def predict_table(
        self,
        table: tables.Table,
        probabilities: bool = False,
        on_progress: Callable[[int], None] | None = None,
        threshold: float | None = None,
        record: Callable[[Sequence[Any], Measured], None] | None = None,
    ) -> Iterator[Any]:
        """Yield the table's chunks with the predictions as further columns on the right; see :meth:`predict`.

        A table column with the name of a prediction column is renamed, see :func:`tf_model.io.tables.input_renames`.
        ``record`` gets the texts of each chunk and their :class:`Measured`. Rows about one text share an index.
        """
        import pandas

        columns = list(self.columns(probabilities))
        names = tables.input_renames(table, columns)
        for chunk in table.chunks():
            texts = table.texts(chunk)
            measured = self.predict_measured(texts, on_progress=on_progress, threshold=threshold)
            if record and len(texts):
                record(texts, measured)
            rows = chunk.iloc[measured.predictions.index].rename(columns=names)
            yield pandas.concat([rows, measured.predictions[columns].set_axis(rows.index)], axis=1)


@dataclass(frozen=True)
class Predictor(TablePredictor, ModelFacts):
    """A trained model, ready to score.

    ``score`` takes a batch of N texts as UTF-8 bytes, N at least 1, and returns :func:`outputs_of` its labels: str as
    object [N], float32 [N], and the probabilities float32 [N, classes]. Some models also return ``unknown_share``
    (float32 [N]), ``tokenize_seconds`` and ``model_seconds`` (float). With the light model it takes a second argument,
    see :meth:`tf_model.inference.light.LightModel.score`.
    """

    labels: dict[str, tuple[str, ...]]  # the classes of each task, in the order of the probabilities
    score: Callable[..., Outputs]
    folder: Path | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    threshold: float | None = None  # the confidence below which the model's answer is "Not sure"
    batch_size: int = BATCH_SIZE  # texts per call of ``score``
    no_emotion: str | None = tasks.NO_EMOTION  # the label for no emotion, if the model has one
    runtime: str = "tensorflow"  # or "light"
    version: str = ""  # identifies the training, see model_dir.training_of; for a model on a server, its version there

    @classmethod
    def load(
        cls,
        folder: Path | str | None = None,
        runtime: str = RUNTIMES[0],
        threads: int | None = None,
        verify: Path | None = None,
    ) -> Predictor:
        """Load a saved model, see :func:`find_model`; :class:`ModelError` if the folder does not hold a whole one.

        ``runtime`` is one of :data:`RUNTIMES`: "light" needs no TensorFlow; "auto" prefers "light" if it is there and
        usable. ``threads``: how many to compute with; None: one per core. ``verify``: the public key to check the
        signature with; None: no check.
        """
        folder = find_model(folder)
        for _ in range(ATTEMPTS):
            # A link is followed once: a promotion that moves it meanwhile cannot mix the files of two versions.
            version_folder = folder.resolve() if folder.is_symlink() else folder
            identity = model_dir.identity(version_folder)
            try:
                if verify:
                    signing.verify(version_folder, verify)
                model = cls._load(folder, version_folder, runtime, threads)
            except ModelError:
                if model_dir.identity(version_folder) == identity:
                    raise
            else:
                if model_dir.identity(version_folder) == identity:
                    return model
        raise ModelError(f"{paths.shown(folder)} keeps being replaced while it is loading; try again later")

    @classmethod
    def _load(cls, folder: Path, version_folder: Path, runtime: str, threads: int | None) -> Predictor:
        labels = model_dir.read_labels(version_folder)
        settings = settings_of(version_folder) | {"folder": folder, "version": model_dir.training_of(version_folder)}
        light = _load_light(version_folder, runtime, threads)
        if light:
            return cls(labels, light.score, batch_size=WINDOW, runtime="light", **settings)
        return cls(labels, _scorer(_load_graph(version_folder, labels, threads)), **settings)

    @property
    def name(self) -> str:
        """What the model is called: the name of its folder."""
        return self.folder.name if self.folder else ""

    def explain(self, text: Any) -> attribution.Explanation:
        """How much each word of ``text`` speaks for the class that the model chose, for each task."""
        return attribution.explain(model_input(text).decode(), self.labels, self.probabilities)

    def columns(self, probabilities: bool = False) -> dict[str, str]:
        """The columns of the predictions with their dtypes, see :func:`columns_of`."""
        return columns_of(self.labels, probabilities)

    def probabilities(self, texts: Sequence[Any]) -> np.ndarray:
        """The probabilities of N texts, float32 [N, classes of all tasks], the tasks side by side."""
        columns = [probability_column(task, label) for task, labels in self.labels.items() for label in labels]
        return self.predict(texts, probabilities=True)[columns].to_numpy()

    def predict_measured(
        self, texts: Sequence[Any], on_progress: Callable[[int], None] | None = None, threshold: float | None = None
    ) -> Measured:
        """Score texts and measure how long it takes; for the arguments see :meth:`predict`."""
        import pandas

        self.check_threshold(threshold)
        began = time.perf_counter()
        inputs = [model_input(text) for text in texts]
        _calls.append(None)
        try:
            windows = [
                self._score_window(inputs[start : start + WINDOW], on_progress)
                for start in range(0, len(inputs), WINDOW)
            ]
        finally:
            _calls.pop()
        outputs = _merge(windows) if windows else {}
        if threshold is not None and outputs:
            is_sure = outputs["answer_confidence"] >= threshold
            outputs[tasks.ANSWER] = np.where(is_sure, outputs["best_guess"], NOT_SURE)
        for task, classes in self.labels.items():
            for number, label in enumerate(classes if outputs else ()):
                outputs[probability_column(task, label)] = outputs[f"{task}_probabilities"][:, number]
        columns = {}
        for name, dtype in self.columns(probabilities=True).items():
            values = outputs.get(name, [])
            # Arrays: building a Series for each column would take longer than a small model.
            columns[name] = pandas.array(values, dtype="str") if dtype == "str" else np.asarray(values, dtype)
        predictions = pandas.DataFrame(columns)
        seconds = {"model": time.perf_counter() - began}
        if "unknown_share" not in outputs:
            return Measured(predictions, seconds, None, self.no_emotion)
        stages = {stage: float(outputs[f"{stage}_seconds"]) for stage in ("tokenize", "model")}
        rest = max(seconds["model"] - sum(stages.values()), 0.0)
        return Measured(predictions, stages | {"rest": rest}, outputs["unknown_share"].tolist(), self.no_emotion)

    def _score_window(self, window: list[bytes], on_progress: Callable[[int], None] | None) -> Outputs:
        """The outputs of a window of texts, in its order; equal texts are scored once."""
        counts = Counter(window)
        texts = sorted(counts, key=len, reverse=True)  # longest first: a batch too large for memory fails at once
        batches = []

        def advance(scored: Sequence[bytes]) -> None:
            if on_progress:
                on_progress(sum(counts[text] for text in scored))

        for start in range(0, len(texts), self.batch_size):
            batch = texts[start : start + self.batch_size]
            if self.runtime == "light":  # one call scores a whole window, in batches of its own
                batches.append(self.score(batch, advance))
            else:
                batches.append(self.score(batch))
                advance(batch)
        position = {text: number for number, text in enumerate(texts)}
        rows = [position[text] for text in window]
        return {name: values[rows] if values.ndim else values for name, values in _merge(batches).items()}

    def check_threshold(self, threshold: float | None) -> None:
        """Raise :class:`UsageError` where the model gives no answers, or the threshold is not from 0 to 1."""
        if threshold is not None and not tasks.has_answer(self.labels):
            name = self.folder or self.name
            raise UsageError(f'only a model that says "Not sure" has a threshold, unlike {name}; run `make answer`')
        if threshold is not None and not 0 <= threshold <= 1:
            raise UsageError(f"expected a threshold from 0 to 1, got {threshold}")


def in_flight() -> int:
    """The number of calls of :meth:`Predictor.predict_measured` under way in this process."""
    return len(_calls)


def columns_of(labels: Mapping[str, Sequence[str]], probabilities: bool = False) -> dict[str, str]:
    """The columns of predictions in order, with their dtypes, from the classes of each task.

    For each task ``<task>`` and ``<task>_confidence`` (0 to 1), then ``answer`` if the model gives answers. With
    ``probabilities`` also the basis of the answer (:data:`GUESSES`), and ``<task>_probability_<label>``.
    """
    columns = {}
    for task in labels:
        columns |= {task: "str", f"{task}_confidence": "float32"}
    if tasks.has_answer(labels):
        columns |= {tasks.ANSWER: "str"} | (GUESSES if probabilities else {})
    if probabilities:
        columns |= {probability_column(task, label): "float32" for task in labels for label in labels[task]}
    return columns


def settings_of(folder: Path) -> dict[str, Any]:
    """The fields of a :class:`Predictor` that a model's files hold, besides the classes."""
    return {
        "recipe": model_dir.read_json(folder / model_dir.RECIPE),
        "metrics": model_dir.read_json(folder / model_dir.METRICS),
        "threshold": model_dir.read_json(folder / model_dir.CALIBRATION).get("threshold"),
        "no_emotion": model_dir.read_no_emotion(folder),
    }


def outputs_of(labels: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The outputs of a model with these classes, with their dtypes."""
    probabilities = {f"{task}_probabilities": "float32" for task in labels}
    return columns_of(labels) | probabilities | (GUESSES if tasks.has_answer(labels) else {})


def model_input(text: Any) -> bytes:
    """A text as the model reads it: UTF-8, cut to :data:`MAX_CHARACTERS`; None, NaN and NA are empty."""
    if not isinstance(text, str):
        import pandas

        if pandas.api.types.is_scalar(text) and pandas.isna(text):
            return b""
        text = tables.as_text(text)
    return well_formed(text[:MAX_CHARACTERS]).encode("utf-8")


def find_model(folder: Path | str | None) -> Path:
    """The folder of a saved model; None: ``saved_models/answer`` if it is there, else ``saved_models/product``."""
    models = paths.SAVED_MODELS
    if folder is None:
        for name in DEFAULT_MODELS:
            if model_dir.is_there(models / name):
                return models / name
        raise ModelError(f"no trained model in {models.name}/; run `make answer`, or name the folder of one")
    if model_dir.is_there(Path(folder)):
        return Path(folder)
    raise ModelError(f"{str(folder)[:200]} is not a folder; give that of a saved model, such as {models.name}/answer")


def _load_light(folder: Path, runtime: str, threads: int | None) -> LightModel | None:
    """The light model of a folder; None if the SavedModel is to be used."""
    if runtime == "tensorflow":
        return None
    of_manifest = model_dir.read_json(folder / model_dir.MANIFEST).get("sha256") or {}
    if not (folder / model_dir.LIGHT).is_dir() and f"{model_dir.LIGHT}/light.json" not in of_manifest:
        if runtime == "auto" and find_spec("tensorflow"):
            return None
        export = "`python -m tf_model.export`, for a BERT,"
        raise ModelError(f"{paths.shown(folder)} has no light model: {export} writes one; without it, use TensorFlow")
    from tf_model.inference.light import LightModel

    try:
        model_dir.check_manifest(folder, light=True)
        return LightModel(folder / model_dir.LIGHT, threads)
    except ModelError as error:
        if runtime == "light" or find_spec("tensorflow") is None:
            raise
        cli.say(f"note: {error}; using the SavedModel instead, which is slower")
        return None


def _load_graph(folder: Path, labels: Mapping[str, Sequence[str]], threads: int | None) -> Any:
    """The loaded SavedModel, after a check that its ``serving_default`` has the outputs for these labels."""
    from tf_model.device import import_tensorflow

    model_dir.refuse_pattern(folder)
    model_dir.check_manifest(folder, light=False)
    tf = import_tensorflow()
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    with suppress(RuntimeError):  # the caller has used the GPU: it is too late to change
        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)  # another worker, or a training, may share it
    import tensorflow_text  # noqa: F401  registers the operations of the tokenizer

    try:
        model = tf.saved_model.load(str(folder))
    except Exception as error:  # damaged files raise OSError, ValueError, KeyError, protobuf and tf.errors
        raise ModelError(
            f"{folder}: TensorFlow {tf.__version__} cannot load it ({first_line(error)[:300]}); train it again"
        ) from error
    signature = model.signatures.get(model_dir.SIGNATURE)
    outputs = signature.structured_outputs if signature else {}
    missing = outputs_of(labels).keys() - set(outputs)
    if missing:
        problem = f"{model_dir.SIGNATURE} does not return {listed(sorted(missing))}"
        raise ModelError(f"{folder}: {problem}; train the model again")
    return model


def _scorer(model: Any) -> Callable[[Sequence[bytes]], Outputs]:
    """A function that scores a batch with a loaded SavedModel, in halves if it does not fit into memory."""
    import tensorflow as tf

    signature = model_dir.MEASURE if model_dir.MEASURE in model.signatures else model_dir.SIGNATURE

    def score(batch: Sequence[bytes]) -> Outputs:
        try:
            outputs = model.signatures[signature](text=tf.constant(batch, tf.string, shape=[len(batch)]))
            arrays = {name: np.asarray(values.numpy()) for name, values in outputs.items()}
        except tf.errors.ResourceExhaustedError as error:
            if len(batch) == 1:
                raise ModelError("not even a single text fits into memory; close other programs first") from error
            half = len(batch) // 2
            return _merge([score(batch[:half]), score(batch[half:])])
        for values in arrays.values():
            if values.dtype == object:
                values[:] = [text.decode("utf-8") for text in values]
        return arrays

    return score


def _merge(parts: Sequence[Outputs]) -> Outputs:
    """Merge the outputs of several batches: rows are concatenated, seconds summed."""

    def join(values: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(values) if values[0].ndim else np.sum(values, axis=0)

    return {name: join([part[name] for part in parts]) for name in parts[0]}
