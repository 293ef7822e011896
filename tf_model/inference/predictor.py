"""A saved model, ready to score texts: located, checked and loaded, with a one-line error for each way to be broken.

:meth:`Predictor.predict_measured` is the one function that scores; :meth:`Predictor.predict` gives its predictions.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_model import model_dir, paths, tasks
from tf_model.errors import ModelError, UsageError, first_line
from tf_model.io import tables
from tf_model.io.characters import well_formed
from tf_model.model_dir import probability_column
from tf_model.modeling.joint_label import NOT_SURE

if TYPE_CHECKING:
    import numpy
    import pandas

    from tf_model.inference.attribution import Explanation

# A model reads the first 128 tokens. 20,000 characters hold them even where cleaning takes most of a text away, and
# keep a pasted file of 10 MB from costing more than a tweet.
MAX_CHARACTERS = 20_000
BATCH_SIZE = 64
# Texts are sorted by length within a window, so that a batch is padded to texts of about its own length.
WINDOW = tables.CHUNK_ROWS
DEFAULT_MODELS = ("answer", "product")
ANSWER = tasks.ANSWER
GUESSES = {"answer_confidence": "float32", "best_guess": "str", "second_guess": "str"}
MEASURE = "measure"  # the signature that also says how long each stage took, and what the vocabulary does not know

Outputs = dict[str, "numpy.ndarray"]
_calls: list[None] = []  # one entry for each call under way; appending and popping need no lock


@dataclass(frozen=True)
class Measured:
    """Predictions and how they came about.

    Attributes:
        predictions: One row a text, with every column that the model has: those of :meth:`Predictor.columns` with
            ``probabilities``.
        seconds: How long the call took, by stage: ``"tokenize"`` (cleaning and tokenizing), ``"model"`` and ``"rest"``;
            of a model that does not tell ``"model"`` alone.
        unknown_shares: For each text the share of its tokens that the vocabulary does not know, 0 to 1; None where the
            model does not tell.
    """

    predictions: pandas.DataFrame
    seconds: Mapping[str, float]
    unknown_shares: Sequence[float] | None


@dataclass(frozen=True)
class Predictor:
    """A trained model, ready to score.

    Attributes:
        labels: The classes of each task that the model knows, by task name, in the order of the probabilities.
        score: Scores one batch: from N texts as UTF-8 bytes, N at least 1, to ``<task>`` (object [N], str),
            ``<task>_confidence`` (float32 [N]) and ``<task>_probabilities`` (float32 [N, classes]) for each task. Of a
            model of both tasks also ``answer`` (object [N], str) and what it was decided from: ``answer_confidence``
            (float32 [N]), ``best_guess`` and ``second_guess`` (object [N], str). Where the model can tell how it
            scored, also ``unknown_share`` (float32 [N]), ``tokenize_seconds`` and ``model_seconds`` (float).
        folder: Where the model was read from.
        recipe: ``recipe.json`` of that folder, empty if there is none.
        metrics: ``metrics.json`` of that folder, empty if there is none.
        threshold: The confidence below which the model's answer is "Not sure", where it gives one.
        explainer: Explains one text as UTF-8 bytes, where the model can.
    """

    labels: dict[str, tuple[str, ...]]
    score: Callable[[Sequence[bytes]], Outputs]
    folder: Path | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    threshold: float | None = None
    explainer: Callable[[bytes], Explanation] | None = None

    @classmethod
    def load(cls, folder: Path | str | None = None) -> Predictor:
        """Load a saved model; tensorflow and tensorflow-text are all that this needs.

        Args:
            folder: The model's folder. None: ``saved_models/answer`` if it is there, else ``saved_models/product``.

        Raises:
            ModelError: There is no such model, or the folder does not hold a whole one.
        """
        folder = find_model(folder)
        labels = model_dir.read_labels(folder)
        names = (model_dir.RECIPE, model_dir.METRICS, model_dir.CALIBRATION)
        recipe, metrics, calibration = (model_dir.read_json(folder / name) for name in names)
        model = _load_graph(folder, labels)
        return cls(labels, _scorer(model), folder, recipe, metrics, calibration.get("threshold"), _explainer(model))

    @property
    def name(self) -> str:
        """What the model is called: the name of its folder."""
        return self.folder.name if self.folder else ""

    @property
    def version(self) -> str:
        """Which training this is; see :func:`tf_model.model_dir.training_of`."""
        return model_dir.training_of(self.folder)

    @property
    def has_answer(self) -> bool:
        """Whether the model knows both tasks, and so answers the whole question."""
        return len(self.labels) > 1

    @property
    def can_explain(self) -> bool:
        """Whether :meth:`explain` works."""
        return self.explainer is not None

    def explain(self, text: Any) -> Explanation:
        """How much each word of ``text`` speaks for the class that the model chose, for each task.

        Raises:
            ModelError: The model cannot explain.
        """
        if self.explainer is None:
            raise ModelError(
                f"{self.folder} cannot explain its answers; train it again with `python -m tf_model.train`"
            )
        return self.explainer(model_input(text))

    def columns(self, probabilities: bool = False) -> dict[str, str]:
        """The columns of the predictions in their order, with their dtypes; see :func:`columns_of`."""
        return columns_of(self.labels, probabilities)

    def predict(
        self,
        texts: Sequence[Any],
        batch_size: int = BATCH_SIZE,
        probabilities: bool = False,
        on_progress: Callable[[int], None] | None = None,
        threshold: float | None = None,
    ) -> pandas.DataFrame:
        """Score texts.

        A text's prediction depends on that text alone, whatever else is in the list. Texts of about one length share a
        batch, and a text that occurs twice in a window is scored once.

        Args:
            texts: N texts. None, NaN and NA are empty texts, half a surrogate pair is U+FFFD, anything else that is not
                a string is taken as ``str`` writes it. Only the first :data:`MAX_CHARACTERS` characters are read.
            batch_size: Texts scored at once, at least 1.
            probabilities: Add the columns that :func:`columns_of` names.
            on_progress: Called after each batch with the number of texts done since the last call.
            threshold: Least confidence of an answer that is not "Not sure", 0 to 1. None: the model's own.

        Returns:
            N rows in the order of ``texts``, indexed from 0, with the columns and dtypes of :meth:`columns`.

        Raises:
            UsageError: ``threshold`` is not from 0 to 1, or the model gives no answers to be unsure of.
        """
        measured = self.predict_measured(texts, batch_size, on_progress, threshold)
        return measured.predictions[list(self.columns(probabilities))]

    def predict_table(
        self,
        table: tables.Table,
        probabilities: bool = False,
        on_progress: Callable[[int], None] | None = None,
        threshold: float | None = None,
        record: Callable[[Sequence[Any], Measured], None] | None = None,
    ) -> Iterator[pandas.DataFrame]:
        """Yield the table's chunks with the predictions as further columns on the right; see :meth:`predict`.

        ``record`` is given the texts of each chunk that has any, and what was measured.

        Raises:
            DataError: The table already has one of these columns, or cannot be read on.
        """
        import pandas

        columns = list(self.columns(probabilities))
        tables.refuse_collisions(table, columns)
        for chunk in table.chunks():
            texts = table.texts(chunk)
            measured = self.predict_measured(texts, on_progress=on_progress, threshold=threshold)
            if record and len(texts):
                record(texts, measured)
            yield pandas.concat([chunk, measured.predictions[columns]], axis=1)

    def predict_measured(
        self,
        texts: Sequence[Any],
        batch_size: int = BATCH_SIZE,
        on_progress: Callable[[int], None] | None = None,
        threshold: float | None = None,
    ) -> Measured:
        """Score texts and say how that went; for the arguments see :meth:`predict`."""
        import numpy
        import pandas

        if isinstance(texts, str | bytes):
            raise TypeError("expected a list of texts, got one text; write [text]")
        self.check_threshold(threshold)
        began = time.perf_counter()
        inputs = [model_input(text) for text in texts]
        _calls.append(None)
        try:
            windows = [
                self._score_window(inputs[start : start + WINDOW], batch_size, on_progress)
                for start in range(0, len(inputs), WINDOW)
            ]
        finally:
            _calls.pop()
        outputs = _joined(windows) if windows else {}
        if threshold is not None and outputs:
            is_sure = outputs["answer_confidence"] >= threshold
            outputs[ANSWER] = numpy.where(is_sure, outputs["best_guess"], NOT_SURE)
        for task, classes in self.labels.items():
            for number, label in enumerate(classes if outputs else ()):
                outputs[probability_column(task, label)] = outputs[f"{task}_probabilities"][:, number]
        columns = {}
        for name, dtype in self.columns(probabilities=True).items():
            values = outputs.get(name, [])
            # Arrays: to make a Series of each would take longer than a small model does.
            columns[name] = pandas.array(values, dtype="str") if dtype == "str" else numpy.asarray(values, dtype)
        predictions = pandas.DataFrame(columns)
        seconds = {"model": time.perf_counter() - began}
        if "unknown_share" not in outputs:
            return Measured(predictions, seconds, None)
        stages = {stage: float(outputs[f"{stage}_seconds"]) for stage in ("tokenize", "model")}
        rest = max(seconds["model"] - sum(stages.values()), 0.0)
        return Measured(predictions, stages | {"rest": rest}, outputs["unknown_share"].tolist())

    def _score_window(self, window: list[bytes], batch_size: int, on_progress: Callable[[int], None] | None) -> Outputs:
        """The outputs of all texts of a window, in its order."""
        copies = Counter(window)
        # The longest first: a batch that does not fit into memory fails at once.
        texts = sorted(copies, key=len, reverse=True)
        batches = []
        for first in range(0, len(texts), batch_size):
            batch = texts[first : first + batch_size]
            batches.append(self.score(batch))
            if on_progress:
                on_progress(sum(copies[text] for text in batch))
        index = {text: number for number, text in enumerate(texts)}
        rows = [index[text] for text in window]
        return {name: values[rows] if values.ndim else values for name, values in _joined(batches).items()}

    def check_threshold(self, threshold: float | None) -> None:
        """Raise :class:`UsageError` where the model gives no answers, or the threshold is not from 0 to 1."""
        if threshold is None:
            return
        if not self.has_answer:
            model = self.folder or self.name
            raise UsageError(f"a threshold is for answers, which {model} does not give; run `make answer`")
        if not 0 <= threshold <= 1:
            raise UsageError(f"expected a threshold from 0 to 1, got {threshold}")


def in_flight() -> int:
    """Calls of :meth:`Predictor.predict_measured` that are under way in this process."""
    return len(_calls)


def columns_of(labels: Mapping[str, Sequence[str]], probabilities: bool = False) -> dict[str, str]:
    """The columns of predictions in their order, with their dtypes.

    For each task ``<task>`` (str) and ``<task>_confidence`` (float32, 0 to 1), then, of a model of both tasks,
    ``answer`` (str).

    Args:
        labels: The classes of each task of the model.
        probabilities: Add, of a model of both tasks, how sure the best answer is, and the two best: see
            :data:`GUESSES`; then ``<task>_probability_<label>`` for each class of each task.
    """
    columns = {}
    for task in labels:
        columns |= {task: "str", f"{task}_confidence": "float32"}
    if len(labels) > 1:
        columns |= {ANSWER: "str"} | (GUESSES if probabilities else {})
    if probabilities:
        columns |= {probability_column(task, label): "float32" for task in labels for label in labels[task]}
    return columns


def has_text(text: Any) -> bool:
    """Whether there is anything to read in a text of any kind: a missing one, and one of spaces, is answered too."""
    return bool(model_input(text).decode().strip())


def model_input(text: Any) -> bytes:
    """A text as the model reads it: UTF-8, never missing, not endless."""
    if not isinstance(text, str):
        import pandas

        if pandas.api.types.is_scalar(text) and pandas.isna(text):
            return b""
        text = tables.as_text(text)
    return well_formed(text[:MAX_CHARACTERS]).encode("utf-8")


# ---------------------------------------------------------------- the saved model


def find_model(folder: Path | str | None) -> Path:
    """The folder of a saved model; None: ``saved_models/answer`` if it is there, else ``saved_models/product``.

    Raises:
        ModelError: There is none.
    """
    if folder is None:
        for name in DEFAULT_MODELS:
            if (paths.SAVED_MODELS / name).is_dir():
                return paths.SAVED_MODELS / name
        raise ModelError(
            f"no trained model in {paths.SAVED_MODELS.name}/; run `make train`, or give another model with --model DIR"
        )
    folder = Path(folder)
    try:
        if folder.is_dir():
            return folder
        problem = "is a file" if folder.exists() else "does not exist"
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    is_known = folder.name in (*DEFAULT_MODELS, *tasks.TASKS) and (paths.SAVED_MODELS / folder.name).is_dir()
    hint = f"did you mean {paths.SAVED_MODELS.name}/{folder.name}? Else " if is_known else ""
    raise ModelError(f"{str(folder)[:200]} {problem}; {hint}run `make train`, or give the folder of a saved model")


def _load_graph(folder: Path, labels: Mapping[str, Sequence[str]]) -> Any:
    """The loaded SavedModel, after a check that its ``serving_default`` is that of a model with these labels."""
    from tf_model.device import import_tensorflow

    tf = import_tensorflow()
    import tensorflow_text  # noqa: F401  registers the operations of the tokenizer

    try:
        model = tf.saved_model.load(str(folder))
    except Exception as error:  # damaged files show as OSError, ValueError, KeyError, protobuf and tf.errors
        raise ModelError(
            f"{folder} holds no model that TensorFlow {tf.__version__} can load ({first_line(error)[:300]}); "
            "export it again, or give another folder"
        ) from error
    signature = model.signatures.get(model_dir.SIGNATURE)
    outputs = signature.structured_outputs if signature else {}
    expected = [f"{task}{ending}" for task in labels for ending in ("", "_confidence", "_probabilities")]
    expected += [ANSWER, *GUESSES] if len(labels) > 1 else []
    if not set(expected) <= set(outputs):
        raise ModelError(
            f"{folder}: expected {model_dir.SIGNATURE} to return {', '.join(expected)}, found "
            f"{', '.join(sorted(outputs)) or 'nothing'}; train the model again with `python -m tf_model.train`"
        )
    for task, classes in labels.items():
        width = outputs[f"{task}_probabilities"].shape[-1]
        if width not in (None, len(classes)):
            raise ModelError(
                f"{folder}: the model has {width} classes and {model_dir.LABELS} names {len(classes)}; "
                "export the model again"
            )
    return model


def _scorer(model: Any) -> Callable[[Sequence[bytes]], Outputs]:
    """What scores a batch by a loaded SavedModel, in halves where it does not fit into memory."""
    import tensorflow as tf

    signature = MEASURE if MEASURE in model.signatures else model_dir.SIGNATURE

    def score(batch: Sequence[bytes]) -> Outputs:
        try:
            outputs = model.signatures[signature](text=tf.constant(batch, tf.string, shape=[len(batch)]))
            return {name: _as_numpy(values) for name, values in outputs.items()}
        except tf.errors.ResourceExhaustedError as error:
            if len(batch) == 1:
                raise ModelError("not even one text at a time fits into memory; end other programs first") from error
        half = len(batch) // 2
        return _joined([score(batch[:half]), score(batch[half:])])

    return score


def _explainer(model: Any) -> Callable[[bytes], Explanation] | None:
    from tf_model.inference import attribution

    if attribution.SIGNATURE not in model.signatures:
        return None
    import tensorflow as tf

    return lambda text: attribution.read_explanation(
        model.signatures[attribution.SIGNATURE](text=tf.constant(text, tf.string))
    )


def _as_numpy(tensor: Any) -> numpy.ndarray:
    import numpy

    values = numpy.asarray(tensor.numpy())
    if values.dtype == object:
        values[:] = [text.decode("utf-8") for text in values]
    return values


def _joined(parts: Sequence[Outputs]) -> Outputs:
    """The outputs of several batches as of one: rows one below the other, seconds added up."""
    import numpy

    def join(values: list[numpy.ndarray]) -> numpy.ndarray:
        return numpy.concatenate(values) if values[0].ndim else numpy.sum(values, axis=0)

    return {name: join([part[name] for part in parts]) for name in parts[0]}
