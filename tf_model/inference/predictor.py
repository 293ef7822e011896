"""A saved model, ready to score batches of texts: found, checked and loaded, with an error for each way to be broken.

:meth:`Predictor.predict` is the one function that scores.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
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


@dataclass(frozen=True)
class Stages:
    """How one batch was scored.

    Attributes:
        tokenize: Seconds of cleaning and tokenizing.
        model: Seconds of the model, and of what is made of its output.
        unknown_shares: float32 [N], for each text the share of its tokens that the vocabulary does not know, 0 to 1.
    """

    tokenize: float
    model: float
    unknown_shares: numpy.ndarray


@dataclass(frozen=True)
class Measured:
    """Predictions and how they came about.

    Attributes:
        predictions: As :meth:`Predictor.predict` gives them, the guesses of a model that answers included.
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
            ``<task>_confidence`` (float32 [N]) and ``<task>_probabilities`` (float32 [N, classes]) for each task, and
            where the model gives one, ``answer`` (object [N], str) and what it was decided from: ``answer_confidence``
            (float32 [N]), ``best_guess`` and ``second_guess`` (object [N], str).
        has_answer: Whether ``score`` returns ``answer``.
        threshold: The confidence below which the model's answer is "Not sure", where it gives one.
        explainer: Explains one text as UTF-8 bytes, where the model can.
        measure: As ``score``, and says how it was done, where the model can.
        folder: Where the model was read from.
        recipe: ``recipe.json`` of that folder, empty if there is none.
        metrics: ``metrics.json`` of that folder, empty if there is none.
    """

    labels: dict[str, tuple[str, ...]]
    score: Callable[[Sequence[bytes]], Outputs]
    has_answer: bool = False
    folder: Path | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    threshold: float | None = None
    explainer: Callable[[bytes], Explanation] | None = None
    measure: Callable[[Sequence[bytes]], tuple[Outputs, Stages]] | None = None

    @classmethod
    def load(cls, folder: Path | str | None = None) -> Predictor:
        """Load a saved model; tensorflow and tensorflow-text are all that this needs.

        Args:
            folder: The model's folder. None: ``saved_models/answer`` if it is there, else ``saved_models/product``.

        Raises:
            ModelError: There is no such model, or the folder does not hold a whole one.
        """
        folder = find_model(folder)
        classes = model_dir.read_labels(folder)
        recipe = model_dir.read_json(folder / model_dir.RECIPE)
        metrics = model_dir.read_json(folder / model_dir.METRICS)
        signature = _load_signature(folder)
        names = _output_names(folder, signature, classes)
        has_answer = ANSWER in names.values()
        threshold = model_dir.read_json(folder / model_dir.CALIBRATION).get("threshold") if has_answer else None
        explainer = _explainer(signature.model.signatures)
        measure = _measurer(signature.model.signatures, names)
        # One graph for both, where there is one that measures: of two called in turn, one was up to 4% slower.
        score = (lambda batch: measure(batch)[0]) if measure else _scorer(signature, names)
        return cls(classes, score, has_answer, folder, recipe, metrics, threshold, explainer, measure)

    @property
    def name(self) -> str:
        """What the model is called: the name of its folder."""
        return self.folder.name if self.folder else ""

    @property
    def version(self) -> str:
        """Which training this is; see :func:`tf_model.model_dir.training_of`."""
        return model_dir.training_of(self.folder)

    @property
    def warning(self) -> str | None:
        """What a user must know before trusting the predictions, or None."""
        from tf_model.data.dataset import SAMPLE

        if self.metrics.get("dataset") != SAMPLE:
            return None
        return (
            f"{self.folder} was trained on the small sample corpus, not on the real data: "
            "its predictions show that the program works, not what the tweets say"
        )

    @property
    def can_explain(self) -> bool:
        """Whether :meth:`explain` works."""
        return self.explainer is not None

    def explain(self, text: Any) -> Explanation:
        """How much each word of ``text`` speaks for the product and the emotion that the model chose.

        Raises:
            ModelError: The model was exported without explanations.
        """
        if self.explainer is None:
            raise ModelError(
                f"{self.folder} cannot explain its answers; train it again with `python -m tf_model.train`"
            )
        return self.explainer(model_input(text))

    def columns(self, probabilities: bool = False, guesses: bool = False) -> dict[str, str]:
        """The columns of the predictions in their order, with their dtypes.

        Args:
            probabilities: With one column for each class of each task, ``<task>_probability_<label>``.
            guesses: With ``answer_confidence``, ``best_guess`` and ``second_guess``, where the model answers.
        """
        return columns_of(self.labels, self.has_answer, probabilities, guesses)

    def predict(
        self,
        texts: Sequence[Any],
        batch_size: int = BATCH_SIZE,
        probabilities: bool = False,
        on_progress: Callable[[int], None] | None = None,
        threshold: float | None = None,
        guesses: bool = False,
    ) -> pandas.DataFrame:
        """Score texts.

        A text's prediction depends on that text alone, whatever else is in the list. Texts of about one length share a
        batch, and a text that occurs twice in a window is scored once.

        Args:
            texts: N texts. None, NaN and NA are empty texts, half a surrogate pair is U+FFFD, anything else that is not
                a string is taken as ``str`` writes it. Only the first
                :data:`MAX_CHARACTERS` characters are read.
            batch_size: Texts scored at once, at least 1.
            probabilities: Add a column for each class.
            on_progress: Called after each batch with the number of texts done since the last call.
            threshold: Least confidence of an answer that is not "Not sure", 0 to 1. None: the model's own.
            guesses: Add ``answer_confidence`` (float32), ``best_guess`` and ``second_guess`` (str).

        Returns:
            N rows in the order of ``texts``, indexed from 0, with the columns and dtypes of :meth:`columns`:
            ``product`` (str) and ``product_confidence`` (float32, 0 to 1), then, as the model has them, ``emotion``,
            ``emotion_confidence``, ``answer``, the guesses and the probabilities.

        Raises:
            UsageError: ``batch_size`` is below 1, ``threshold`` is not from 0 to 1, or the model gives no answers to
                guess or to be unsure of.
        """
        import numpy
        import pandas

        if isinstance(texts, str | bytes):
            raise TypeError("expected a list of texts, got one text; write [text]")
        if batch_size < 1:
            raise UsageError(f"expected a batch size of at least 1, got {batch_size}")
        self.check_options(threshold, guesses)
        texts = list(texts)
        dtypes = self.columns(probabilities, guesses)
        columns = {name: numpy.empty(len(texts), object if dtype == "str" else dtype) for name, dtype in dtypes.items()}
        for start in range(0, len(texts), WINDOW):
            places: dict[bytes, list[int]] = {}
            for place, text in enumerate(texts[start : start + WINDOW], start):
                places.setdefault(model_input(text), []).append(place)
            # The longest first: a batch that does not fit into memory fails at once.
            inputs = sorted(places, key=len, reverse=True)
            for batch in (inputs[first : first + batch_size] for first in range(0, len(inputs), batch_size)):
                outputs = self.score(batch)
                if threshold is not None:
                    sure = outputs["answer_confidence"] >= threshold
                    outputs[tasks.ANSWER] = numpy.where(sure, outputs["best_guess"], NOT_SURE)
                rows = numpy.concatenate([places[text] for text in batch])
                copies = numpy.repeat(numpy.arange(len(batch)), [len(places[text]) for text in batch])
                for name, values in _select(self.labels, outputs, columns):
                    columns[name][rows] = values[copies]
                if on_progress:
                    on_progress(len(rows))
        return pandas.DataFrame({name: pandas.Series(columns[name], dtype=dtype) for name, dtype in dtypes.items()})

    def check_options(self, threshold: float | None, guesses: bool) -> None:
        """Raise :class:`UsageError` where the model gives no answers that a threshold or guesses could be of."""
        if not self.has_answer and (guesses or threshold is not None):
            subject = "guesses are" if guesses else "a threshold is"
            model = self.folder or self.name
            raise UsageError(f"{subject} for answers, which {model} does not give; run `make answer`")
        if threshold is not None and not 0 <= threshold <= 1:
            raise UsageError(f"expected a threshold from 0 to 1, got {threshold}")

    def predict_table(
        self,
        table: tables.Table,
        batch_size: int = BATCH_SIZE,
        probabilities: bool = False,
        on_progress: Callable[[int], None] | None = None,
        threshold: float | None = None,
        guesses: bool = False,
        record: Callable[[Sequence[Any], Measured], None] | None = None,
    ) -> Iterator[pandas.DataFrame]:
        """Yield the table's chunks with the predictions as further columns on the right; see :meth:`predict`.

        ``record``, if there is one, is given the texts of each chunk that has any, and what was measured.

        Raises:
            DataError: The table already has one of these columns, or cannot be read on.
            UsageError: See :meth:`predict`.
        """
        import pandas

        self.check_options(threshold, guesses)
        columns = self.columns(probabilities, guesses)
        tables.refuse_collisions(table, columns)
        options = {"probabilities": probabilities, "on_progress": on_progress, "threshold": threshold}
        for chunk in table.chunks():
            texts = table.texts(chunk)
            if record:
                measured = self.predict_measured(texts, batch_size=batch_size, **options)
                if len(texts):
                    record(texts, measured)
                predictions = measured.predictions[list(columns)]
            else:
                predictions = self.predict(texts, batch_size, guesses=guesses, **options)
            yield pandas.concat([chunk, predictions], axis=1)

    def predict_measured(self, texts: Sequence[Any], **options: Any) -> Measured:
        """Score texts and measure it.

        Args:
            texts: See :meth:`predict`.
            options: Further arguments of :meth:`predict`, but for ``guesses``.
        """
        stages = {"tokenize": 0.0, "model": 0.0}
        shares: dict[bytes, float] = {}
        measure = self.measure

        def score(batch: Sequence[bytes]) -> Outputs:
            outputs, found = measure(batch)
            stages["tokenize"] += found.tokenize
            stages["model"] += found.model
            shares.update(zip(batch, found.unknown_shares.tolist(), strict=True))
            return outputs

        measured = replace(self, score=score) if measure else self
        began = time.perf_counter()
        with _under_way():
            predictions = measured.predict(texts, guesses=self.has_answer, **options)
        taken = time.perf_counter() - began
        if not measure:
            return Measured(predictions, {"model": taken}, None)
        unknown_shares = [shares[model_input(text)] for text in texts]
        return Measured(predictions, stages | {"rest": max(taken - sum(stages.values()), 0.0)}, unknown_shares)


def columns_of(
    labels: Mapping[str, Sequence[str]], has_answer: bool, probabilities: bool = False, guesses: bool = False
) -> dict[str, str]:
    """:meth:`Predictor.columns` of a model with these labels; one in a folder answers if it knows both tasks."""
    columns = {}
    for task in labels:
        columns |= {task: "str", f"{task}_confidence": "float32"}
    if has_answer:
        columns[ANSWER] = "str"
    if has_answer and guesses:
        columns |= GUESSES
    if probabilities:
        columns |= {probability_column(task, label): "float32" for task in labels for label in labels[task]}
    return columns


def _select(
    labels: Mapping[str, Sequence[str]], outputs: Outputs, columns: dict[str, numpy.ndarray]
) -> Iterator[tuple[str, numpy.ndarray]]:
    """The outputs that have a column, the probabilities taken apart by class."""
    for name in columns:
        if name in outputs:
            yield name, outputs[name]
    for task, names in labels.items():
        for position, label in enumerate(names):
            if probability_column(task, label) in columns:
                yield probability_column(task, label), outputs[f"{task}_probabilities"][:, position]


def has_text(text: Any) -> bool:
    """Whether there is anything to read in a text of any kind: a missing one, and one of spaces, is answered too."""
    return bool(model_input(text).decode().strip())


def model_input(text: Any) -> bytes:
    """A text as the model reads it: UTF-8, never missing, not endless."""
    import pandas

    if not isinstance(text, str):
        if text is None or (pandas.api.types.is_scalar(text) and pandas.isna(text)):
            return b""
        text = tables.as_text(text)
    return well_formed(text[:MAX_CHARACTERS]).encode("utf-8")


def find_model(folder: Path | str | None) -> Path:
    """The folder of a saved model; None: ``saved_models/answer`` if it is there, else ``saved_models/product``.

    Raises:
        ModelError: There is none.
    """
    known = {name: paths.SAVED_MODELS / name for name in (*DEFAULT_MODELS, *tasks.TASKS)}
    if folder is None:
        for name in DEFAULT_MODELS:
            if known[name].is_dir():
                return known[name]
        raise ModelError(
            f"no trained model in {paths.SAVED_MODELS.name}/; run `make train`, or give another model with --model DIR"
        )
    folder = Path(folder)
    try:
        is_folder, is_there = folder.is_dir(), folder.exists()
    except OSError as error:
        raise ModelError(f"{str(folder)[:200]} cannot be looked at: {error.strerror}; check the path") from error
    if is_folder:
        return folder
    if is_there:
        raise ModelError(f"{folder} is a file; give the folder of a saved model, the one that holds saved_model.pb")
    near = known.get(folder.name)
    hint = f"did you mean {paths.SAVED_MODELS.name}/{near.name}? Else " if near is not None and near.is_dir() else ""
    raise ModelError(f"{folder} does not exist; {hint}run `make train`, or give the folder of a saved model")


def _load_signature(folder: Path) -> Any:
    """The function ``serving_default`` of a SavedModel, with the loaded model held as its attribute ``model``."""
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
    signatures = getattr(model, "signatures", {})
    signature = signatures.get(model_dir.SIGNATURE) if hasattr(signatures, "get") else None
    inputs = signature.structured_input_signature[1] if signature is not None else {}
    if list(inputs) != ["text"] or inputs["text"].dtype != tf.string:
        raise ModelError(
            f"{folder}: expected the signature serving_default(text: string[N]), found "
            f"{', '.join(signatures) or 'no signature'}{f' with the inputs {list(inputs)}' if inputs else ''}; "
            "train it again with `python -m tf_model.train`, or give another folder"
        )
    signature.model = model  # the signature alone would let the variables go
    return signature


def _output_names(folder: Path, signature: Any, classes: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """Our name of each output, by the signature's: a model of one task calls its own ``label``, not ``product``."""
    found = signature.structured_outputs
    names = {}
    for task in classes:
        label, prefix = ("label", "") if len(classes) == 1 else (task, f"{task}_")
        names |= {
            label: task,
            f"{prefix}confidence": f"{task}_confidence",
            f"{prefix}probabilities": f"{task}_probabilities",
        }
    if len(classes) > 1:
        names |= {name: name for name in (ANSWER, *GUESSES)}
    missing = [name for name in names if name not in found]
    if missing:
        raise ModelError(
            f"{folder}: expected serving_default to return {', '.join(names)}, found {', '.join(sorted(found))}; "
            "train it again with `python -m tf_model.train`, or give another folder"
        )
    for output, name in names.items():
        task = name.removesuffix("_probabilities")
        width = found[output].shape[-1] if task in classes and task != name else None
        if width is not None and width != len(classes[task]):
            raise ModelError(
                f"{folder}: the model has {width} classes and labels.json names {len(classes[task])}; "
                "export the model again"
            )
    return names


def _explainer(signatures: Any) -> Callable[[bytes], Explanation] | None:
    from tf_model.inference import attribution

    if attribution.SIGNATURE not in signatures:
        return None
    import tensorflow as tf

    signature = signatures[attribution.SIGNATURE]
    return lambda text: attribution.read_explanation(signature(text=tf.constant(text, tf.string)))


def _scorer(signature: Any, names: dict[str, str]) -> Callable[[Sequence[bytes]], Outputs]:
    import tensorflow as tf

    def score(batch: Sequence[bytes]) -> Outputs:
        with _explain_exhaustion(len(batch)):
            outputs = signature(text=tf.constant(batch, tf.string, shape=[len(batch)]))
        return {name: _as_numpy(outputs[output]) for output, name in names.items()}

    return score


def _measurer(signatures: Any, names: dict[str, str]) -> Callable[[Sequence[bytes]], tuple[Outputs, Stages]] | None:
    if MEASURE not in signatures:  # exported by an earlier version
        return None
    import tensorflow as tf

    signature = signatures[MEASURE]

    def measure(batch: Sequence[bytes]) -> tuple[Outputs, Stages]:
        with _explain_exhaustion(len(batch)):
            outputs = signature(text=tf.constant(batch, tf.string, shape=[len(batch)]))
        seconds = (float(outputs[f"{stage}_seconds"]) for stage in ("tokenize", "model"))
        stages = Stages(*seconds, outputs["unknown_share"].numpy())
        return {name: _as_numpy(outputs[output]) for output, name in names.items()}, stages

    return measure


@contextmanager
def _explain_exhaustion(rows: int) -> Iterator[None]:
    """Say what to do when ``rows`` texts at once do not fit into memory."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise ModelError(f"a batch of {rows} texts does not fit into memory; give a smaller --batch-size") from error


def _as_numpy(tensor: Any) -> numpy.ndarray:
    values = tensor.numpy()
    if values.dtype != object:
        return values
    values[:] = [text.decode("utf-8") for text in values]
    return values


# ---------------------------------------------------------------- how many are asked just now

_lock = threading.Lock()
_count = 0


def in_flight() -> int:
    """Calls of :meth:`Predictor.predict_measured` that are under way in this process."""
    return _count


@contextmanager
def _under_way() -> Iterator[None]:
    global _count
    with _lock:
        _count += 1
    try:
        yield
    finally:
        with _lock:
            _count -= 1
