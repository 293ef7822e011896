"""Find the dataset: a file that the user names, a known folder, a download, or else the sample corpus."""

import argparse
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_model import cli, paths
from tf_model.data.dataset import ASSIGNMENT_SHA256, SUFFIXES, Columns, Dataset, is_sample, read
from tf_model.errors import DataError, TweetTargetError, first_line
from tf_model.io.files import check_file, explain_read_errors, explain_write_errors, is_file
from tf_model.tasks import COLUMNS

ADDRESS = (
    "https://raw.githubusercontent.com/GargPriyanshu1112/Wysa_NLP_Engineer_Assignment/"
    "8b353af3ec79f8b577796a73eb7cf5db96b2ebc3/dataset.xlsx"
)
WORKBOOK = "assignment.xlsx"
JUDGE_CSV = "judge-1377884607_tweet_product_company.csv"

DATA_VARIABLE = "TWEETS_DATA"
OFFLINE_VARIABLES = ("TWEETS_OFFLINE", "HF_HUB_OFFLINE")


@dataclass(frozen=True)
class Source:
    """The chosen file and why; whether it is the sample corpus, whose metrics say nothing about real tweets."""

    path: Path
    reason: str
    is_sample: bool = False

    def describe(self) -> str:
        """The file and the reason in one line; for the sample corpus, several lines that nobody can overlook."""
        if not self.is_sample:
            return f"data: {paths.shown(self.path)} ({self.reason})"
        return (
            "THIS IS NOT THE REAL DATASET: the sample corpus is used.\n"
            f"file: {paths.shown(self.path)}\n"
            f"why: {self.reason}\n"
            "Its texts were made up to try out the commands: no metric or model based on them says anything about real "
            f"tweets.\nTo use real data, put {WORKBOOK} into data/raw/, set {DATA_VARIABLE}, or add --data PATH."
        )


def resolve(path: Path | str | None = None, *, option: str = "--data") -> Source:
    """The data file: ``path``, ``TWEETS_DATA``, ``data/raw/``, ``../shared/data/``, a download, or the sample corpus.

    Raises :class:`DataError` if a named file is missing, ``data/raw/`` holds several others, or there is no data.
    """
    for candidate, origin in ((path, option), (os.environ.get(DATA_VARIABLE) or None, DATA_VARIABLE)):
        if candidate is not None:
            file = Path(candidate)
            with suppress(RuntimeError):  # "~someone" without a home folder: check_file reports it as missing
                file = file.expanduser()
            check_file(file, origin)
            return Source(file, f"named by {origin}", is_sample(file))
    with explain_read_errors(paths.RAW_DATA):
        raw_file = _find_raw(paths.RAW_DATA)
    if raw_file:
        return Source(raw_file, "found in data/raw/")
    shared_file = paths.SHARED_DATA / WORKBOOK
    if is_file(shared_file):
        return Source(shared_file, "found in ../shared/data/")
    return _download_or_sample()


def announce(source: Source) -> None:
    """Print on standard error which data is used and why; the sample corpus gets a red panel."""
    if not source.is_sample:
        return cli.say(source.describe())
    from rich.panel import Panel
    from rich.text import Text

    cli.stderr().print(Panel(Text(source.describe()), title="SAMPLE DATA", border_style="bold red", style="red"))


def load(path: Path | str | None = None, **options: Any) -> Dataset:
    """Find, announce and read a dataset; the options are those of :func:`tf_model.data.dataset.read`."""
    source = resolve(path)
    announce(source)
    try:
        dataset = read(source.path, **options)
    except TweetTargetError as error:
        if path is not None:
            raise
        raise type(error)(f"{error}; if you meant another table, name it with --data") from error
    if dataset.columns != Columns(*COLUMNS):
        cli.say(f"columns: {dataset.columns.describe()}")
    cli.say_notes(dataset.notes)
    return dataset


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--data``, and the options that name the columns of a table and its label for no emotion."""
    usage = f"a file ({', '.join(SUFFIXES)}; default: {DATA_VARIABLE}, else search)"
    parser.add_argument("--data", type=Path, metavar="PATH", help=usage)
    group = parser.add_argument_group("columns of the table (detected by their usual names if not given)")
    for part, content in (("text", "texts"), ("product", "products"), ("emotion", "emotions")):
        group.add_argument(f"--{part}-column", metavar="NAME", help=f"column of the {content}")
    group.add_argument("--no-emotion", metavar="LABEL", help='the label for no emotion, such as "neutral"')


def options_of(arguments: argparse.Namespace, metrics: Mapping[str, Any] = {}) -> dict[str, Any]:
    """Options for :func:`tf_model.data.dataset.read`: from the arguments, and from the ``metrics`` of a model."""
    columns = Columns(*(getattr(arguments, f"{part}_column") or None for part in ("text", "product", "emotion")))
    return {"columns": columns, "no_emotion": arguments.no_emotion, "preferred": Columns.of_model(metrics)}


def download(url: str, target: Path, sha256: str) -> Path:
    """Download a file whose sha256 is known. It appears under its name only when it is complete and correct."""
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    with explain_write_errors(target):
        try:
            pooch.retrieve(url, f"sha256:{sha256}", target.name, target.parent)
        except (requests.RequestException, ValueError) as error:
            is_mismatch = not isinstance(error, requests.RequestException)
            reason = "the sha256 differs, so it is not the expected file" if is_mismatch else first_line(error)
            raise DataError(
                f"cannot download {url}: {reason}; try again later, put the file into {target.parent} yourself as "
                f"{target.name}, or add --data PATH"
            ) from error
        target.chmod(0o644)  # a temporary file can be read by its owner only
    return target


def _find_raw(folder: Path) -> Path | None:
    for name in (WORKBOOK, JUDGE_CSV):
        if (folder / name).is_file():
            return folder / name
    # "~$name.xlsx" is the lock file of an open spreadsheet.
    files = sorted(
        file
        for file in folder.glob("*")
        if file.suffix.lower() in SUFFIXES and not file.name.startswith((".", "~$")) and file.is_file()
    )
    if len(files) > 1:
        names = ", ".join(file.name for file in files[:5])
        raise DataError(
            f"expected one data file in {folder}, got {len(files)} ({names}); say which one with --data PATH, or "
            f"rename it to {WORKBOOK}"
        )
    return files[0] if files else None


def _download_or_sample() -> Source:
    reason = "nothing in data/raw/ or ../shared/data/"
    flags = [
        name for name in OFFLINE_VARIABLES if os.environ.get(name, "").strip().lower() in ("1", "true", "yes", "on")
    ]
    if flags:
        reason += f", and {flags[0]} forbids a download"
    else:
        cli.say(f"downloading {ADDRESS}")
        try:
            target = download(ADDRESS, paths.RAW_DATA / WORKBOOK, ASSIGNMENT_SHA256)
            return Source(target, f"downloaded from {ADDRESS}, sha256 checked")
        except TweetTargetError as error:
            reason += f"; {error}"
    if not paths.SAMPLE_CORPUS.is_file():
        raise DataError(f"no data: {reason}; put {WORKBOOK} into {paths.RAW_DATA}, or add --data PATH")
    return Source(paths.SAMPLE_CORPUS, reason, is_sample=True)
