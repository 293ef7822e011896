"""Which product, and which emotion, for each of many texts.

:func:`predict_texts` is the one function that scores. The command line reads a file in chunks, scores each chunk and
writes it, so that a million rows need no more memory than ten thousand.
"""

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from tf_model import console, paths, tables, tasks
from tf_model.errors import DataError, ModelError, UsageError

if TYPE_CHECKING:
    import numpy
    import pandas

BATCH_SIZE = 64
# Texts are sorted by length within a window, so that a batch is padded to texts of about its own length.
WINDOW = tables.CHUNK_ROWS
# A model reads the first 128 tokens. 20,000 characters hold them even where cleaning takes most of a text away, and
# keep a pasted file of 10 MB from costing more than a tweet.
MAX_CHARACTERS = 20_000
DEFAULT_MODELS = ("answer", "product")
ANSWER = "answer"
FORMATS = ("table", "csv", "json")
TEST_PREDICTIONS = "test_predictions.csv"
SHOWN_CHARACTERS = 280  # of a text in a table on the terminal

Outputs = dict[str, "numpy.ndarray"]


# ------------------------------------------------------------------------------------------------------- model


@dataclass(frozen=True)
class Predictor:
    """A trained model, ready to score.

    Attributes:
        labels: The classes of each task that the model knows, by task name, in the order of the probabilities.
        score: Scores one batch: from N texts as UTF-8 bytes, N at least 1, to ``<task>`` (object [N], str),
            ``<task>_confidence`` (float32 [N]) and ``<task>_probabilities`` (float32 [N, classes]) for each task, and
            ``answer`` (object [N], str) where the model gives one.
        has_answer: Whether ``score`` returns ``answer``.
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

    @classmethod
    def load(cls, folder: Path | str | None = None) -> "Predictor":
        """Load a saved model; tensorflow and tensorflow-text are all that this needs.

        Args:
            folder: The model's folder. None: ``saved_models/answer`` if it is there, else ``saved_models/product``.

        Raises:
            ModelError: There is no such model, or the folder does not hold a whole one.
        """
        folder = _find_model(folder)
        classes = _read_labels(folder)
        recipe, metrics = _read_json(folder / "recipe.json"), _read_json(folder / "metrics.json")
        signature = _load_signature(folder)
        names = _output_names(folder, signature, classes)
        has_answer = ANSWER in names.values()
        return cls(classes, _scorer(signature, names), has_answer, folder, recipe, metrics)

    @property
    def warning(self) -> str | None:
        """What a user must know before trusting the predictions, or None."""
        if self.metrics.get("dataset") != "sample":
            return None
        return (
            f"{self.folder} was trained on the small sample corpus, not on the real data: "
            "its predictions show that the program works, not what the tweets say"
        )

    def columns(self, probabilities: bool = False) -> dict[str, str]:
        """The columns of the predictions in their order, with their dtypes.

        Args:
            probabilities: With one column for each class of each task, ``<task>_probability_<label>``.
        """
        columns = {}
        for task in self.labels:
            columns |= {task: "str", f"{task}_confidence": "float32"}
        if self.has_answer:
            columns[ANSWER] = "str"
        if probabilities:
            columns |= {_probability(task, label): "float32" for task in self.labels for label in self.labels[task]}
        return columns


def _probability(task: str, label: str) -> str:
    return f"{task}_probability_{label}"


def _find_model(folder: Path | str | None) -> Path:
    known = {name: paths.SAVED_MODELS / name for name in (*DEFAULT_MODELS, *tasks.TASKS)}
    if folder is None:
        for name in DEFAULT_MODELS:
            if known[name].is_dir():
                return known[name]
        raise ModelError(
            f"no trained model in {paths.SAVED_MODELS.name}/; run `make train`, or give another model with --model DIR"
        )
    folder = Path(folder)
    if folder.is_dir():
        return folder
    if folder.exists():
        raise ModelError(f"{folder} is a file; give the folder of a saved model, the one that holds saved_model.pb")
    near = known.get(folder.name)
    hint = f"did you mean {paths.SAVED_MODELS.name}/{near.name}? " if near is not None and near.is_dir() else ""
    raise ModelError(f"{folder} does not exist; {hint}run `make train`, or give the folder of a saved model")


def _read_json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} cannot be read ({tables.first_line(error)}); export the model again") from error
    if not isinstance(value, dict):
        raise ModelError(f"{file}: expected a JSON object, found a {type(value).__name__}; export the model again")
    return value


def _read_labels(folder: Path) -> dict[str, tuple[str, ...]]:
    """Classes by task, from ``{"task": T, "labels": [...]}`` or ``{"task": "answer", "product": [...], ...}``."""
    file = folder / "labels.json"
    if not (folder / "saved_model.pb").is_file() or not file.is_file():
        missing = "labels.json" if (folder / "saved_model.pb").is_file() else "saved_model.pb"
        raise ModelError(
            f"{folder} holds no whole model: {missing} is missing; export it again, or give another folder"
        )
    found = _read_json(file)
    task = found.get("task")
    classes = {name: found.get(name) for name in tasks.TASKS} if task == ANSWER else {task: found.get("labels")}
    if not all(name in tasks.TASKS and _is_list_of_text(labels) for name, labels in classes.items()):
        raise ModelError(
            f"{file}: expected a task ({', '.join([*tasks.TASKS, ANSWER])}) and its labels, found {str(found)[:200]}; "
            "export the model again"
        )
    return {name: tuple(labels) for name, labels in classes.items()}


def _is_list_of_text(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, str) for each in value)


def _load_signature(folder: Path) -> Any:
    """The function ``serving_default`` of a SavedModel, with the loaded model held as its attribute ``model``."""
    from tf_model.runtime import import_tensorflow

    tf = import_tensorflow()
    import tensorflow_text  # noqa: F401  registers the operations of the tokenizer

    try:
        model = tf.saved_model.load(str(folder))
    except Exception as error:  # damaged files show as OSError, ValueError, KeyError, protobuf and tf.errors
        raise ModelError(
            f"{folder} holds no model that TensorFlow {tf.__version__} can load ({tables.first_line(error)[:300]}); "
            "export it again, or give another folder"
        ) from error
    signatures = getattr(model, "signatures", {})
    signature = signatures.get("serving_default") if hasattr(signatures, "get") else None
    inputs = signature.structured_input_signature[1] if signature is not None else {}
    if list(inputs) != ["text"] or inputs["text"].dtype != tf.string:
        raise ModelError(
            f"{folder}: expected the signature serving_default(text: string[N]), found "
            f"{', '.join(signatures) or 'no signature'}{f' with the inputs {list(inputs)}' if inputs else ''}; "
            "export the model with `python -m tf_model.export`, or give another folder"
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
        names[ANSWER] = ANSWER
    missing = [name for name in names if name not in found]
    if missing:
        raise ModelError(
            f"{folder}: expected serving_default to return {', '.join(names)}, found {', '.join(sorted(found))}; "
            "export the model with `python -m tf_model.export`, or give another folder"
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


def _scorer(signature: Any, names: dict[str, str]) -> Callable[[Sequence[bytes]], Outputs]:
    import tensorflow as tf

    def score(batch: Sequence[bytes]) -> Outputs:
        try:
            outputs = signature(text=tf.constant(batch, tf.string, shape=[len(batch)]))
        except tf.errors.ResourceExhaustedError as error:
            raise ModelError(
                f"a batch of {len(batch)} texts does not fit into memory; give a smaller --batch-size"
            ) from error
        return {name: _as_numpy(outputs[output]) for output, name in names.items()}

    return score


def _as_numpy(tensor: Any) -> "numpy.ndarray":
    values = tensor.numpy()
    if values.dtype != object:
        return values
    values[:] = [text.decode("utf-8") for text in values]
    return values


# ----------------------------------------------------------------------------------------------------- scoring


def predict_texts(
    predictor: Predictor,
    texts: Sequence[Any],
    batch_size: int = BATCH_SIZE,
    probabilities: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> "pandas.DataFrame":
    """Score texts.

    A text's prediction depends on that text alone, whatever else is in the list. Texts of about one length share a
    batch, and a text that occurs twice in a window is scored once.

    Args:
        predictor: The model.
        texts: N texts. None, NaN and NA are empty texts, half a surrogate pair is U+FFFD, anything else that is not
            a string is taken as ``str`` writes it. Only the first :data:`MAX_CHARACTERS` characters are read.
        batch_size: Texts scored at once, at least 1.
        probabilities: Add a column for each class.
        on_progress: Called after each batch with the number of texts done since the last call.

    Returns:
        N rows in the order of ``texts``, indexed from 0, with the columns and dtypes of :meth:`Predictor.columns`:
        ``product`` (str) and ``product_confidence`` (float32, 0 to 1), then, as the model has them, ``emotion``,
        ``emotion_confidence``, ``answer`` and the probabilities.

    Raises:
        UsageError: ``batch_size`` is below 1.
    """
    import numpy
    import pandas

    if isinstance(texts, str | bytes):
        raise TypeError("expected a list of texts, got one text; write [text]")
    if batch_size < 1:
        raise UsageError(f"expected a batch size of at least 1, got {batch_size}")
    texts = list(texts)
    dtypes = predictor.columns(probabilities)
    columns = {name: numpy.empty(len(texts), object if dtype == "str" else dtype) for name, dtype in dtypes.items()}
    for start in range(0, len(texts), WINDOW):
        places: dict[bytes, list[int]] = {}
        for place, text in enumerate(texts[start : start + WINDOW], start):
            places.setdefault(_model_input(text), []).append(place)
        # The longest first: a batch that does not fit into memory fails at once.
        inputs = sorted(places, key=len, reverse=True)
        for batch in (inputs[first : first + batch_size] for first in range(0, len(inputs), batch_size)):
            outputs = predictor.score(batch)
            rows = numpy.concatenate([places[text] for text in batch])
            copies = numpy.repeat(numpy.arange(len(batch)), [len(places[text]) for text in batch])
            for name, values in _select(predictor, outputs, columns):
                columns[name][rows] = values[copies]
            if on_progress:
                on_progress(len(rows))
    return pandas.DataFrame({name: pandas.Series(columns[name], dtype=dtype) for name, dtype in dtypes.items()})


def _select(
    predictor: Predictor, outputs: Outputs, columns: dict[str, "numpy.ndarray"]
) -> Iterator[tuple[str, "numpy.ndarray"]]:
    """The outputs that have a column, the probabilities taken apart by class."""
    for name in columns:
        if name in outputs:
            yield name, outputs[name]
    for task, labels in predictor.labels.items():
        for position, label in enumerate(labels):
            if _probability(task, label) in columns:
                yield _probability(task, label), outputs[f"{task}_probabilities"][:, position]


def _model_input(text: Any) -> bytes:
    """A text as the model reads it: UTF-8, never missing, not endless."""
    import pandas

    if not isinstance(text, str):
        if text is None or (pandas.api.types.is_scalar(text) and pandas.isna(text)):
            return b""
        text = tables.as_text(text)
    return tables.well_formed(text[:MAX_CHARACTERS]).encode("utf-8")


def predict_table(
    predictor: Predictor,
    table: tables.Table,
    batch_size: int = BATCH_SIZE,
    probabilities: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> Iterator["pandas.DataFrame"]:
    """Yield the table's chunks with the predictions as further columns on the right.

    Raises:
        DataError: The table already has one of these columns, or cannot be read on.
    """
    import pandas

    tables.refuse_collisions(table, predictor.columns(probabilities))
    for chunk in table.chunks():
        predictions = predict_texts(predictor, table.texts(chunk), batch_size, probabilities, on_progress)
        yield pandas.concat([chunk, predictions], axis=1)


def write_test_predictions(
    predictor: Predictor,
    data: Path | str | None = None,
    output: Path | None = None,
    overwrite: bool = False,
    batch_size: int = BATCH_SIZE,
    probabilities: bool = False,
) -> int:
    """Write the file that the report delivered: the dataset's unlabelled tweets and what each is directed at.

    Its columns are ``Tweet`` and ``Tweet_is_directed_at`` (the predicted product), then ``product_confidence`` and
    whatever else the model predicts.

    Args:
        predictor: A model of the task ``product``, or ``answer``.
        data: The dataset; None: see :func:`tf_model.data.resolve`.
        output: The file to write; None: ``saved_models/test_predictions.csv``.
        overwrite: Whether it may be replaced.
        batch_size: See :func:`predict_texts`.
        probabilities: See :func:`predict_texts`.

    Returns:
        The number of tweets.

    Raises:
        ModelError: The model does not predict products.
        DataError: The dataset has no unlabelled tweets.
        OutputError: ``output`` exists and ``overwrite`` is false, or it cannot be written.
    """
    from tf_model import data as datasets

    output = Path(output) if output else paths.SAVED_MODELS / TEST_PREDICTIONS
    tables.check_output(output, overwrite)
    if tasks.PRODUCT.name not in predictor.labels:
        raise ModelError(
            f"{predictor.folder} predicts {', '.join(predictor.labels)}, not the product; give another --model"
        )
    source = datasets.resolve(data)
    datasets.announce(source)
    unlabelled = datasets.read(source.path).unlabelled
    if unlabelled is None:
        raise DataError(
            f"{source.path} has no sheet {datasets.UNLABELLED_SHEET!r} with unlabelled tweets; "
            "give the workbook that has one with --data PATH"
        )
    tweets = unlabelled[datasets.UNLABELLED_COLUMN]
    predictions = predict_texts(predictor, tweets, batch_size, probabilities)
    predictions = predictions.rename(columns={tasks.PRODUCT.name: "Tweet_is_directed_at"})
    predictions.insert(0, "Tweet", tweets.reset_index(drop=True))
    with tables.table_writer(output, overwrite) as writer:
        writer.write(predictions)
    return len(predictions)


# ------------------------------------------------------------------------------------------------ command line


def main(argv: list[str] | None = None) -> int:
    """``python -m tf_model.predict``: predict for a file, for texts, or for standard input."""
    arguments = _parser().parse_args(argv)
    _check_usage(arguments)
    with console.stopped_cleanly():
        if arguments.test_predictions:
            return _predict_test_sheet(arguments)
        with _open_input(arguments) as table:
            if arguments.output:
                tables.check_output(arguments.output, arguments.overwrite, table)
            _describe_input(arguments, table)
            _predict_input(arguments, _load(arguments.model), table)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = console.parser(
        "tf_model.predict", "Say for each text which product it is about, and which emotion it shows."
    )
    parser.add_argument(
        "input",
        nargs="?",
        metavar="INPUT",
        help=f"a file ({', '.join(tables.INPUT_SUFFIXES)}), or - for standard input, one text a line",
    )
    parser.add_argument(
        "--text",
        action="append",
        metavar="TEXT",
        help="a text instead of a file; repeat it for several, write --text=TEXT if it begins with a dash",
    )
    parser.add_argument(
        "--output", type=Path, metavar="OUTPUT", help=f"the file to write ({', '.join(tables.OUTPUT_SUFFIXES)})"
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help="how to print where there is no --output: a table on a terminal, else csv; json is one object a line",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace OUTPUT if it exists")
    parser.add_argument("--column", metavar="NAME", help="the column of texts; found by itself if not given")
    parser.add_argument("--sheet", metavar="NAME", help="the sheet of a workbook; the first if not given")
    parser.add_argument(
        "--model",
        type=Path,
        metavar="DIR",
        help="the model; if not given, saved_models/answer, or saved_models/product",
    )
    parser.add_argument("--probabilities", action="store_true", help="add the probability of each class")
    parser.add_argument(
        "--batch-size", type=_positive, default=BATCH_SIZE, metavar="N", help="texts that are scored at once"
    )
    parser.add_argument(
        "--test-predictions",
        action="store_true",
        help="predict the unlabelled tweets of the dataset into saved_models/test_predictions.csv, or OUTPUT",
    )
    parser.add_argument("--data", metavar="PATH", help="the dataset for --test-predictions; searched for if not given")
    return parser


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return number


def _check_usage(arguments: argparse.Namespace) -> None:
    given = [arguments.input is not None, bool(arguments.text), arguments.test_predictions]
    if sum(given) != 1:
        found = "several of them" if sum(given) else "none of them"
        raise UsageError(
            f"expected a file, - for standard input, --text TEXT or --test-predictions, got {found}; see --help"
        )
    if arguments.output and arguments.format:
        raise UsageError("--format is for the terminal: the name of --output says its format; leave one of them out")
    if arguments.data and not arguments.test_predictions:
        raise UsageError("--data names the dataset for --test-predictions; give a file to predict as INPUT")
    for name in ("column", "sheet"):
        if getattr(arguments, name) is not None and arguments.input is None:
            raise UsageError(f"--{name} chooses a part of a file, and no INPUT was given; leave it out")


def _open_input(arguments: argparse.Namespace) -> tables.Table:
    if arguments.text:
        return tables.table_of_texts(arguments.text)
    if arguments.input == tables.STANDARD_INPUT and sys.stdin.isatty():
        _say("one text a line; end with Ctrl-D")
    return tables.open_table(arguments.input, arguments.column, arguments.sheet)


def _describe_input(arguments: argparse.Namespace, table: tables.Table) -> None:
    if arguments.input and table.reason != "the only column":
        _say(f"reading the texts of column {table.text_column!r} ({table.reason})")
    for note in table.notes:
        _say(f"note: {note}")


def _load(folder: Path | None) -> Predictor:
    predictor = Predictor.load(folder)
    if predictor.warning:
        _say(f"warning: {predictor.warning}")
    return predictor


def _predict_test_sheet(arguments: argparse.Namespace) -> int:
    output = arguments.output or paths.SAVED_MODELS / TEST_PREDICTIONS
    tables.check_output(output, arguments.overwrite)
    rows = write_test_predictions(
        _load(arguments.model),
        arguments.data,
        output,
        arguments.overwrite,
        arguments.batch_size,
        arguments.probabilities,
    )
    _say(f"wrote {output} ({rows:,} tweets)")
    return 0


def _predict_input(arguments: argparse.Namespace, predictor: Predictor, table: tables.Table) -> None:
    to_terminal = not arguments.output and sys.stdout.isatty()
    with _progress(table.total_rows, shown=not to_terminal, summary=arguments.text is None) as advance:
        chunks = predict_table(predictor, table, arguments.batch_size, arguments.probabilities, advance)
        if arguments.output:
            with tables.table_writer(arguments.output, arguments.overwrite) as writer:
                for chunk in chunks:
                    writer.write(chunk)
            notes = writer.notes
        elif (arguments.format or ("table" if to_terminal else "csv")) == "table":
            notes = _print_tables(chunks, table, predictor, arguments.probabilities)
        else:
            notes = _print_rows(chunks, arguments.format or "csv")
    for note in notes:
        _say(f"note: {note}")
    if arguments.output:
        _say(f"wrote {arguments.output}")


def _print_rows(chunks: Iterator["pandas.DataFrame"], kind: str) -> list[str]:
    """Rows to standard output, the same as in a file, with no raw control character to a terminal."""
    with _standard_output() as stream:
        target = _Harmless(stream) if sys.stdout.isatty() else stream
        writer = tables.JsonLinesWriter(target) if kind == "json" else tables.CsvWriter(target)
        for chunk in chunks:
            writer.write(chunk)
            stream.flush()
    return writer.notes


class _Harmless:
    """A stream to a terminal that shows control characters instead of sending them."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        self._stream.write("\n".join(visible(line) for line in text.split("\n")))


@contextmanager
def _standard_output() -> Iterator[TextIO]:
    """Standard output as UTF-8, with line endings left as they are."""
    import io

    sys.stdout.flush()
    stream = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="")
    try:
        yield stream
        stream.flush()
    finally:
        stream.detach()


def _print_tables(
    chunks: Iterator["pandas.DataFrame"], table: tables.Table, predictor: Predictor, probabilities: bool
) -> list[str]:
    """A table for people: the text and the predictions, one table for each chunk."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    names = list(predictor.columns(probabilities))
    for chunk in chunks:
        shown = Table()
        shown.add_column("text", overflow="fold", ratio=1)
        for name in names:
            shown.add_column(Text(visible(name.replace("_", " "))), justify="right" if "_" in name else "left")
        for text, *values in zip(table.texts(chunk), *(chunk[name] for name in names), strict=True):
            cells = [value if isinstance(value, str) else f"{value:.1%}" for value in values]
            shown.add_row(Text(_shortened(text)), *(Text(visible(cell)) for cell in cells))
        Console(markup=False, highlight=False).print(shown)
    return []


def _shortened(text: Any) -> str:
    text = _model_input(text).decode("utf-8")
    return visible(text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…")


# C0, DEL, C1, and the characters that turn the direction of writing or end a line.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")


def visible(text: str) -> str:
    """``text`` for a terminal: control characters, escape sequences included, as symbols that do nothing."""

    def symbol(found: re.Match[str]) -> str:
        code = ord(found[0])
        return chr(0x2400 + code) if code < 0x20 else "␡" if code == 0x7F else "\ufffd"

    return _UNPRINTABLE.sub(symbol, text)


@contextmanager
def _progress(total: int | None, shown: bool, summary: bool = True) -> Iterator[Callable[[int], None]]:
    """Give a function that counts texts; show a bar on a terminal, and the count and rate at the end."""
    begun, done = time.monotonic(), 0
    with _bar(total if shown and sys.stderr.isatty() else 0) as advance_bar:

        def advance(texts: int) -> None:
            nonlocal done
            done += texts
            advance_bar(texts, done / max(time.monotonic() - begun, 1e-9))

        yield advance
    if summary:
        seconds = time.monotonic() - begun
        _say(
            f"{done:,} {'text' if done == 1 else 'texts'} in {seconds:.1f} s ({done / max(seconds, 1e-9):,.0f} texts/s)"
        )


@contextmanager
def _bar(total: int | None) -> Iterator[Callable[[int, float], None]]:
    if total == 0:
        yield lambda texts, rate: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=total, rate="")
        yield lambda texts, rate: progress.update(bar, advance=texts, rate=f"{rate:,.0f} texts/s")


def _say(line: str) -> None:
    console.say(visible(line))


if __name__ == "__main__":
    console.run(main)
