"""Which product, and which emotion, for each of many texts.

The command line reads a file in chunks, scores each chunk and
writes it, so that a million rows need no more memory than ten thousand.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from tf_model import cli, paths, tasks
from tf_model.errors import DataError, ModelError, UsageError, plural
from tf_model.inference.predictor import BATCH_SIZE, Predictor, find_model
from tf_model.inference.render import count_progress, print_rows, print_table
from tf_model.inference.render_attribution import explain_texts
from tf_model.io import tables

if TYPE_CHECKING:
    import pandas

    from tf_model.monitor.recorder import Recorder

FORMATS = ("table", "csv", "json")
ENGINES = ("plain", "ray")
TEST_PREDICTIONS = "test_predictions.csv"
RECORDED = "predict"  # the source that --record names


def write_test_predictions(
    predictor: Predictor,
    data: Path | str | None = None,
    output: Path | None = None,
    overwrite: bool = False,
    batch_size: int = BATCH_SIZE,
    probabilities: bool = False,
    threshold: float | None = None,
    guesses: bool = False,
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
        threshold: See :func:`predict_texts`.
        guesses: See :func:`predict_texts`.

    Returns:
        The number of tweets.

    Raises:
        ModelError: The model does not predict products.
        DataError: The dataset has no unlabelled tweets.
        OutputError: ``output`` exists and ``overwrite`` is false, or it cannot be written.
    """
    from tf_model import data as datasets
    from tf_model.data.dataset import UNLABELLED_COLUMN, UNLABELLED_SHEET

    output = Path(output) if output else paths.SAVED_MODELS / TEST_PREDICTIONS
    tables.check_output(output, overwrite)
    if tasks.PRODUCT.name not in predictor.labels:
        raise ModelError(
            f"{predictor.folder} predicts {', '.join(predictor.labels)}, not the product; give another --model"
        )
    source = datasets.resolve(data)
    datasets.announce(source)
    if output.exists() and output.samefile(source.path):
        raise UsageError(f"{output} is the dataset itself, which is never changed; choose another name for --output")
    unlabelled = datasets.read(source.path).unlabelled
    if unlabelled is None:
        raise DataError(
            f"{source.path} has no sheet {UNLABELLED_SHEET!r} with unlabelled tweets; "
            "give the workbook that has one with --data PATH"
        )
    tweets = unlabelled[UNLABELLED_COLUMN]
    predictions = predictor.predict(tweets, batch_size, probabilities, threshold=threshold, guesses=guesses)
    predictions = predictions.rename(columns={tasks.PRODUCT.name: "Tweet_is_directed_at"})
    predictions.insert(0, "Tweet", tweets.reset_index(drop=True))
    with tables.table_writer(output, overwrite) as writer:
        writer.write(predictions)
    return len(predictions)


# ---------------------------------------------------------------- command line


def main(argv: list[str] | None = None) -> int:
    """``python -m tf_model.predict``: predict for a file, for texts, or for standard input."""
    arguments = _parser().parse_args(argv)
    _check_usage(arguments)
    with cli.stopped_cleanly():
        if arguments.test_predictions:
            return _predict_test_sheet(arguments)
        if arguments.engine == "ray":
            _predict_on_ray(arguments)
            return 0
        if arguments.explain:
            explain_texts(_load(arguments), arguments.text, arguments.threshold, arguments.format)
            return 0
        with _open_input(arguments) as table:
            if arguments.output:
                tables.check_output(arguments.output, arguments.overwrite, table)
            _describe_input(arguments, table)
            _predict_input(arguments, _load(arguments), table)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser("tf_model.predict", "Say for each text which product it is about, and which emotion it shows.")
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
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace OUTPUT if it exists; an unfinished run of --engine ray goes on instead",
    )
    parser.add_argument("--column", metavar="NAME", help="the column of texts; found by itself if not given")
    parser.add_argument("--sheet", metavar="NAME", help="the sheet of a workbook; the first if not given")
    parser.add_argument(
        "--model",
        type=Path,
        metavar="DIR",
        help="the model, a program: one that you trust; if not given, saved_models/answer, or saved_models/product",
    )
    parser.add_argument("--probabilities", action="store_true", help="add the probability of each class")
    parser.add_argument(
        "--guesses", action="store_true", help="add the two best answers, and how sure the better one is"
    )
    parser.add_argument(
        "--threshold",
        type=_share,
        metavar="P",
        help="least confidence of an answer that is not 'Not sure'; the model's own",
    )
    parser.add_argument(
        "--record",
        action="store_true",
        help="add the predictions to the log that `python -m tf_model.monitor` reads; of the texts only hashes",
    )
    parser.add_argument(
        "--explain", action="store_true", help="show how much each word of the --text speaks for the answer"
    )
    parser.add_argument(
        "--batch-size",
        type=cli.positive_integer,
        default=BATCH_SIZE,
        metavar="N",
        help="texts that are scored at once",
    )
    parser.add_argument(
        "--test-predictions",
        action="store_true",
        help="predict the unlabelled tweets of the dataset into saved_models/test_predictions.csv, or OUTPUT",
    )
    parser.add_argument(
        "--server",
        metavar="URL",
        help="ask a TensorFlow Serving, such as http://127.0.0.1:8601, and load no model",
    )
    many = parser.add_argument_group("many tweets (INPUT and OUTPUT are folders of parts, or INPUT a file)")
    many.add_argument("--engine", choices=ENGINES, default="plain", help="ray: all cores, or a cluster; restartable")
    many.add_argument("--address", help="of a Ray cluster; RAY_ADDRESS, or this machine, if not given")
    many.add_argument(
        "--workers", type=cli.positive_integer, metavar="N", help="models at once; by the cores if not given"
    )
    many.add_argument(
        "--gpus-per-worker",
        type=_share,
        metavar="SHARE",
        help="of a GPU, for each model: 0.5 lets two share one, 0 is none; a whole one where there are any",
    )
    parser.add_argument("--data", metavar="PATH", help="the dataset for --test-predictions; searched for if not given")
    return parser


def _share(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 1, got {text!r}")
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
    if arguments.explain and (not arguments.text or arguments.output or arguments.format == "csv"):
        raise UsageError("--explain is for --text on the terminal, as a table or with --format json")
    if arguments.explain and arguments.server:
        raise UsageError("--explain needs the model itself, not a server: leave --server out")
    if arguments.record and (arguments.explain or arguments.test_predictions):
        raise UsageError(
            "--record keeps the predictions of texts and files, not of --explain and --test-predictions: leave it out"
        )
    if arguments.explain and (arguments.guesses or arguments.probabilities):
        raise UsageError("--explain shows the words' weights: leave --guesses and --probabilities out")
    if arguments.test_predictions and arguments.engine != "plain":
        raise UsageError("--test-predictions is done by the plain engine: leave --engine out")
    if arguments.engine == "ray" and not (arguments.input and arguments.output):
        raise UsageError("--engine ray reads files and writes a folder of parts: give INPUT and --output FOLDER")
    if arguments.engine == "ray" and (arguments.server or arguments.sheet or arguments.record):
        raise UsageError(
            "--engine ray loads the model itself and reads CSV and Parquet: leave --server, --sheet and --record out"
        )
    many = (arguments.address, arguments.workers, arguments.gpus_per_worker)
    if arguments.engine == "plain" and many != (None, None, None):
        raise UsageError("--address, --workers and --gpus-per-worker are for --engine ray")
    if arguments.data and not arguments.test_predictions:
        raise UsageError("--data names the dataset for --test-predictions; give a file to predict as INPUT")
    for name in ("column", "sheet"):
        if getattr(arguments, name) is not None and arguments.input is None:
            raise UsageError(f"--{name} chooses a part of a file, and no INPUT was given; leave it out")


def _open_input(arguments: argparse.Namespace) -> tables.Table:
    if arguments.text:
        return tables.table_of_texts(arguments.text)
    if arguments.input == tables.STANDARD_INPUT and sys.stdin.isatty():
        cli.say("one text a line; end with Ctrl-D")
    return tables.open_table(arguments.input, arguments.column, arguments.sheet)


def _describe_input(arguments: argparse.Namespace, table: tables.Table) -> None:
    if arguments.input and table.reason != "the only column":
        cli.say(f"reading the texts of column {table.text_column!r} ({table.reason})")
    for note in table.notes:
        cli.say(f"note: {note}")


def _load(arguments: argparse.Namespace) -> Predictor:
    if arguments.server:
        from tf_model.serving.remote import RemotePredictor

        return RemotePredictor.connect(arguments.server, folder=arguments.model)
    predictor = Predictor.load(arguments.model)
    if predictor.warning:
        cli.say(f"warning: {predictor.warning}")
    return predictor


def _predict_test_sheet(arguments: argparse.Namespace) -> int:
    output = arguments.output or paths.SAVED_MODELS / TEST_PREDICTIONS
    tables.check_output(output, arguments.overwrite)
    rows = write_test_predictions(
        _load(arguments),
        arguments.data,
        output,
        arguments.overwrite,
        arguments.batch_size,
        arguments.probabilities,
        arguments.threshold,
        arguments.guesses,
    )
    cli.say(f"wrote {paths.shown(output)} ({rows:,} tweets)")
    return 0


def _predict_on_ray(arguments: argparse.Namespace) -> None:
    from tf_model.batch.parts import Plan
    from tf_model.batch.ray_data import predict_files

    names = ("probabilities", "threshold", "guesses")
    with ExitStack() as stack:
        advance: list[Callable[[int], None]] = []

        def start(plan: Plan, done: int) -> None:
            cli.say(f"reading the texts of column {plan.text_column!r} ({plan.reason})")
            before = f"; {done:,} of them were done by an earlier run" if done else ""
            cli.say(f"{plan.rows:,} rows in {len(plan.parts):,} {plural(len(plan.parts), 'part', 'parts')}{before}")
            advance.append(stack.enter_context(count_progress(plan.rows - done, shown=True)))

        summary = predict_files(
            find_model(arguments.model),
            arguments.input,
            arguments.output,
            column=arguments.column,
            batch_size=arguments.batch_size,
            address=arguments.address,
            workers=arguments.workers,
            gpus=arguments.gpus_per_worker,
            options={name: getattr(arguments, name) for name in names},
            overwrite=arguments.overwrite,
            on_start=start,
            on_progress=lambda rows: advance[0](rows),
        )
    bad = f"; {summary.bad:,} were set aside in _bad/, with the reason" if summary.bad else ""
    cli.say(f"{summary.written:,} rows are in {paths.shown(summary.folder)}{bad}")


def _recorder(predictor: Predictor) -> Recorder:
    from tf_model.monitor.recorder import Recorder

    return Recorder(model=predictor.name, version=predictor.version)


def _recording_errors(chunks: Iterator[pandas.DataFrame], recorder: Recorder) -> Iterator[pandas.DataFrame]:
    """The same chunks; what goes wrong in reading and scoring them, but not in writing them, is recorded."""
    with recorder.recording_errors(RECORDED):
        yield from chunks


def _predict_input(arguments: argparse.Namespace, predictor: Predictor, table: tables.Table) -> None:
    predictor.check_options(arguments.threshold, arguments.guesses)  # before a log or a file is opened
    to_terminal = not arguments.output and sys.stdout.isatty()
    notes: list[str] = []
    with (
        count_progress(table.total_rows, shown=not to_terminal, summary=arguments.text is None) as advance,
        _recorder(predictor) if arguments.record else nullcontext() as recorder,
    ):
        chunks = predictor.predict_table(
            table,
            arguments.batch_size,
            arguments.probabilities,
            advance,
            arguments.threshold,
            arguments.guesses,
            record=(lambda texts, measured: recorder.record_measured(texts, measured, RECORDED)) if recorder else None,
        )
        if recorder:
            chunks = _recording_errors(chunks, recorder)
        if arguments.output:
            with tables.table_writer(arguments.output, arguments.overwrite) as writer:
                for chunk in chunks:
                    writer.write(chunk)
            notes = writer.notes
        elif (arguments.format or ("table" if to_terminal else "csv")) == "table":
            print_table(chunks, table, list(predictor.columns(arguments.probabilities, arguments.guesses)))
        else:
            print_rows(chunks, arguments.format or "csv")
    for note in notes:
        cli.say(f"note: {note}")
    if arguments.output:
        cli.say(f"wrote {arguments.output}")


if __name__ == "__main__":
    cli.run(main)
