"""``python -m tf_model.predict``: the product and the emotion of each text.

A file is read, scored and written in chunks, so that a million rows need no more memory than ten thousand.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

from tf_model import cli, paths, tasks
from tf_model.errors import DataError, ModelError, OutputError, UsageError, count_of, plural
from tf_model.inference.predictor import RUNTIMES, Measured, Predictor, find_model, model_input
from tf_model.inference.render import count_progress, explain_texts, print_rows, print_table
from tf_model.inference.targets import TargetPredictor, find_target_model
from tf_model.io import tables
from tf_model.io.files import refuse_to_overwrite
from tf_model.model_dir import METRICS, read_json, read_labels

RECORDED = "predict"  # the source that --record names

# By argument name: which options an option requires, and which it excludes.
NEEDS = {
    "explain": ("text",),
    "column": ("input",),
    "sheet": ("input",),
    "data": ("test_predictions",),
    "products": ("targets",),
    "engine": ("input", "output"),
    "address": ("engine",),
    "workers": ("engine",),
}
EXCLUDES = {
    "output": ("format",),
    "explain": ("output", "record", "probabilities"),
    "test_predictions": ("record", "format"),
    "engine": ("server", "sheet", "record"),
    "targets": ("server", "record", "test_predictions"),
    "runtime": ("server",),
    "threshold": ("record",),  # the reference for drift has the model's own
}


def main(argv: list[str] | None = None) -> int:
    """Predict for a file, for texts, or for standard input."""
    arguments = _parser().parse_args(argv)
    _check_usage(arguments)
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # Arrow's own allocator keeps 40 MB that it has freed
    with cli.stopped_cleanly():
        if arguments.test_predictions:
            _predict_test_sheet(arguments)
        elif arguments.engine:
            _predict_on_ray(arguments)
        elif arguments.explain:
            explain_texts(_load(arguments), arguments.text, arguments.threshold, arguments.format)
        else:
            with _open_input(arguments) as table:
                tables.refuse_without_texts(table)
                if arguments.output:
                    tables.check_output(arguments.output, arguments.overwrite, table)
                _predict_input(arguments, _load(arguments), table)
                if table.total_rows is None:  # standard input is read only now
                    cli.say_notes(table.notes)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser("tf_model.predict", "Predict which emotion each text directs at which product.")
    add = parser.add_argument
    inputs, outputs = ", ".join(tables.INPUT_SUFFIXES), ", ".join(tables.OUTPUT_SUFFIXES)
    add("input", nargs="?", metavar="INPUT", help=f"a file ({inputs}), or - for standard input, one text per line")
    add("--text", action="append", help="a text instead of a file, repeatable; --text=TEXT if it begins with a dash")
    add("--output", type=Path, metavar="OUTPUT", help=f"the file to write ({outputs})")
    add("--format", choices=("table", "csv", "json"), help="how to print (default: a table on a terminal, else csv)")
    add("--overwrite", action="store_true", help="replace OUTPUT if it exists; not needed to resume --engine ray")
    add("--column", metavar="NAME", help="the column with the texts; detected if not given")
    add("--sheet", metavar="NAME", help="the sheet of a workbook (default: the first with a text column)")
    where = "(default: saved_models/answer, else product; with --targets, target)"
    add("--model", type=Path, metavar="DIR", help=f"a model that you trust {where}")
    add("--probabilities", action="store_true", help="add the two best answers and the probability of each class")
    add("--threshold", type=float, metavar="P", help="answer 'Not sure' below this confidence (default: the model's)")
    add("--record", action="store_true", help="log predictions, without the texts, for `python -m tf_model.monitor`")
    add("--targets", action="store_true", help="predict the emotion directed at each named product, one row each")
    add("--products", type=Path, metavar="FILE", help="the products to look for, .csv or .yaml (default: the model's)")
    add("--explain", action="store_true", help="show how much each word of --text supports the answer")
    add(
        "--runtime",
        choices=RUNTIMES,
        help="light: the model's small network, without TensorFlow (default: auto, which is light where possible)",
    )
    where = "saved_models/test_predictions.csv, or OUTPUT"
    add("--test-predictions", action="store_true", help=f"predict the dataset's unlabelled tweets into {where}")
    add("--data", metavar="PATH", help="the dataset for --test-predictions; searched for if not given")
    add(
        "--server",
        metavar="URL",
        help="use the API or TensorFlow Serving at this URL, such as http://127.0.0.1:8000, and load no model",
    )
    add = parser.add_argument_group("many tweets (INPUT is a file or a folder, OUTPUT a folder of shards)").add_argument
    add("--engine", choices=("ray",), help="ray: use all cores or a cluster; a stopped run resumes")
    add("--address", help="address of a Ray cluster (default: RAY_ADDRESS, else this machine)")
    add("--workers", type=cli.positive_integer, metavar="N", help="number of models at once (default: by the cores)")
    return parser


def _check_usage(arguments: argparse.Namespace) -> None:
    options = [name for name, value in vars(arguments).items() if value is not None and value is not False]
    if len({*options} & {"input", "text", "test_predictions"}) != 1:
        raise UsageError("expected one of INPUT, - for standard input, --text TEXT and --test-predictions; see --help")
    for option in options:
        for related in NEEDS.get(option, ()):
            if related not in options:
                raise UsageError(f"{_flag(option)} needs {_flag(related)}; see --help")
        for related in EXCLUDES.get(option, ()):
            if related in options:
                raise UsageError(f"{_flag(option)} cannot be used with {_flag(related)}; leave one of them out")
    if arguments.explain and arguments.format == "csv":
        raise UsageError("--explain prints a table, or one object per line with --format json; leave out --format csv")


def _flag(option: str) -> str:
    """The name of an argument on the command line."""
    return "INPUT" if option == "input" else f"--{option.replace('_', '-')}"


def _open_input(arguments: argparse.Namespace) -> tables.Table:
    if arguments.text:
        return tables.TextsInMemory(arguments.text)
    if arguments.input == tables.STANDARD_INPUT and sys.stdin.isatty():
        cli.say("one text per line; end with Ctrl-D")
    table = tables.open_table(arguments.input, arguments.column, arguments.sheet)
    if table.columns != ["text"]:  # so that users notice if the first text was taken for a header
        cli.say(f"reading the texts of column {table.text_column!r} ({table.reason})")
    cli.say_notes(table.notes)
    return table


def _load(arguments: argparse.Namespace) -> Predictor | TargetPredictor:
    if arguments.server is not None:
        from tf_model.serving.remote import RemotePredictor

        predictor = RemotePredictor.connect(arguments.server, folder=arguments.model)
        _refuse_targets(predictor.url, predictor.labels, "leave out --server, and add --targets")
        return predictor
    runtime = {"runtime": arguments.runtime} if arguments.runtime else {}
    if arguments.targets:
        predictor = TargetPredictor.load(arguments.model, arguments.products, **runtime)
        model = predictor.model
    else:
        predictor = model = Predictor.load(arguments.model, **runtime)
        can_add = not (arguments.test_predictions or arguments.record)
        _refuse_targets(model.folder, model.labels, "add it" if can_add else "name another model")
    _warn_of_sample(model)
    return predictor


def _warn_of_sample(model: Predictor) -> None:
    if model.is_sample:
        cli.say(
            f"warning: {model.folder} was trained on the small sample corpus, not on the real data: "
            "its predictions show that the program works, not what the tweets say"
        )


def _refuse_targets(model: Path | str, labels: Mapping[str, Any], advice: str = "add it") -> None:
    if tasks.TARGET.name in labels:
        raise UsageError(f"{model} works only with --targets; {advice}")


def _predict_test_sheet(arguments: argparse.Namespace) -> None:
    """Write the file that the report delivered: the dataset's unlabelled tweets with the product of each."""
    from tf_model import data
    from tf_model.data.dataset import UNLABELLED_COLUMN, UNLABELLED_SHEET

    output = arguments.output or paths.SAVED_MODELS / "test_predictions.csv"
    tables.check_output(output, arguments.overwrite)
    predictor = _load(arguments)
    if tasks.PRODUCT.name not in predictor.labels:
        raise ModelError(
            f"{predictor.folder or predictor.name} predicts {', '.join(predictor.labels)}, not the product; "
            "name another model"
        )
    source = data.resolve(arguments.data)
    data.announce(source)
    refuse_to_overwrite(output, arguments.overwrite, source.path)
    dataset = data.read(source.path)
    if dataset.unlabelled is None:
        reason = f"{source.path} has no sheet {UNLABELLED_SHEET!r} with unlabelled tweets"
        why = [each for each in dataset.warnings if each.startswith(f"the sheet {UNLABELLED_SHEET!r}")]
        raise DataError("; ".join([reason, *why, "give the workbook that has one with --data PATH"]))
    tweets = dataset.unlabelled[UNLABELLED_COLUMN]
    predictions = predictor.predict(tweets, probabilities=arguments.probabilities, threshold=arguments.threshold)
    predictions = predictions.rename(columns={tasks.PRODUCT.name: "Tweet_is_directed_at"})
    predictions.insert(0, "Tweet", tweets.reset_index(drop=True))
    with tables.table_writer(output, arguments.overwrite) as writer:
        writer.write(predictions)
    cli.say(f"wrote {paths.shown(output)} ({len(predictions):,} tweets)")
    if arguments.server is not None:
        predictor.check_version()


def _predict_on_ray(arguments: argparse.Namespace) -> None:
    from tf_model.batch.ray_data import predict_files

    if arguments.targets:
        folder, products, answer_folder = find_target_model(arguments.model, arguments.products)
    else:
        folder, products, answer_folder = find_model(arguments.model), None, None
        _refuse_targets(folder, read_labels(folder))
    # Before the input is cut.
    model = Predictor(read_labels(folder), score=None, folder=folder, metrics=read_json(folder / METRICS))
    model.check_threshold(arguments.threshold)
    _warn_of_sample(model)
    with ExitStack() as stack:

        def start(shards: Any, done_rows: int) -> Callable[[int], None]:
            cli.say(f"reading the texts of column {shards.text_column!r} ({shards.reason})")
            done_note = f"; {done_rows:,} of them were done by an earlier run" if done_rows else ""
            cli.say(f"{count_of(shards.rows, 'row')} in {count_of(len(shards.sizes), 'shard')}{done_note}")
            return stack.enter_context(count_progress(shards.rows - done_rows, show=True))

        shards = predict_files(
            folder,
            arguments.input,
            arguments.output,
            products=products,
            answer_folder=answer_folder,
            column=arguments.column,
            address=arguments.address,
            runtime=arguments.runtime or RUNTIMES[0],
            workers=arguments.workers,
            probabilities=arguments.probabilities,
            threshold=arguments.threshold,
            overwrite=arguments.overwrite,
            on_start=start,
        )
    bad_note = f"; set aside in _bad/, with the reason: {shards.bad:,}" if shards.bad else ""
    cli.say(f"wrote {paths.shown(arguments.output)} ({count_of(shards.rows, 'row')}{bad_note})")


def _predict_input(arguments: argparse.Namespace, predictor: Predictor, table: tables.Table) -> None:
    model = getattr(predictor, "model", predictor)  # of a TargetPredictor
    model.check_threshold(arguments.threshold)  # before a file is opened
    to_terminal = not arguments.output and sys.stdout.isatty()
    notes: list[str] = []
    blank_count = 0

    def after_scoring(texts: Sequence[Any], measured: Measured) -> None:
        nonlocal blank_count
        blank_count += sum(not model_input(text).decode().strip() for text in texts)
        if arguments.record:
            recorder.record_measured(texts, measured, RECORDED)

    with ExitStack() as stack:
        progress = nullcontext() if arguments.text else count_progress(table.total_rows, show=not to_terminal)
        advance = stack.enter_context(progress)
        chunks = predictor.predict_table(table, arguments.probabilities, advance, arguments.threshold, after_scoring)
        if arguments.record:
            from tf_model.monitor.recorder import Recorder

            recorder = stack.enter_context(Recorder(model=predictor.name, version=predictor.version))
            chunks = _with_errors_recorded(recorder, chunks)
        if arguments.output:
            with tables.table_writer(arguments.output, arguments.overwrite) as writer:
                for chunk in chunks:
                    writer.write(chunk)
            notes = [*(f"note: {note}" for note in writer.notes), f"wrote {arguments.output}"]
        elif (arguments.format or ("table" if to_terminal else "csv")) == "table":
            names = [name for name in predictor.columns(arguments.probabilities) if name not in ("start", "end")]
            print_table(chunks, table, names)
        else:
            print_rows(chunks, arguments.format or "csv")
    if blank_count and not arguments.targets:
        words = plural(blank_count, "text is blank; ignore its answer", "texts are blank; ignore their answers")
        cli.say(f"note: {blank_count:,} {words}")
    for note in notes:
        cli.say(note)
    if arguments.record and (lost_count := recorder.waiting + recorder.dropped):
        raise OutputError(
            f"{lost_count:,} predictions are not in the log {recorder.path}, and the monitor does not count them; the "
            "answers are complete; before the next run, end the program that uses the log"
        )
    if arguments.server is not None:
        predictor.check_version()


def _with_errors_recorded(recorder: Any, chunks: Iterator[Any]) -> Iterator[Any]:
    """Yield the chunks; errors in reading and scoring are recorded, errors in writing are not."""
    with recorder.recording_errors(RECORDED):
        yield from chunks


if __name__ == "__main__":
    cli.run(main)
