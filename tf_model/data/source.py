"""Where the dataset is: named by the user, in a known folder, downloaded, or else the sample corpus."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tf_model import paths
from tf_model.data.dataset import ASSIGNMENT_SHA256, SUFFIXES, check_file, is_same_file
from tf_model.data.download import download
from tf_model.errors import DataError, TweetTargetError
from tf_model.io.files import explain_read_errors

# The workbook that the report worked from; data/README.md says where it comes from.
ADDRESS = (
    "https://raw.githubusercontent.com/GargPriyanshu1112/Wysa_NLP_Engineer_Assignment/"
    "8b353af3ec79f8b577796a73eb7cf5db96b2ebc3/dataset.xlsx"
)
WORKBOOK = "assignment.xlsx"
JUDGE_CSV = "judge-1377884607_tweet_product_company.csv"

DATA_VARIABLE = "TWEETS_DATA"
OFFLINE_VARIABLES = ("TWEETS_OFFLINE", "HF_HUB_OFFLINE")


@dataclass(frozen=True)
class Locations:
    """Where data is looked for when the user names no file.

    Attributes:
        raw: Folder for the user's copy, and for a download.
        shared: Folder beside the checkout that may hold the workbook.
        sample: The sample corpus, the last resort.
        address: Where the workbook can be downloaded.
        sha256: What the download must be, in hexadecimal.
    """

    raw: Path = paths.RAW_DATA
    shared: Path = paths.SHARED_DATA
    sample: Path = paths.SAMPLE_CORPUS
    address: str = ADDRESS
    sha256: str = ASSIGNMENT_SHA256


@dataclass(frozen=True)
class Source:
    """The file that was chosen.

    Attributes:
        path: The file.
        reason: Why this one.
        is_sample: Whether it is the sample corpus, whose figures say nothing about real tweets.
    """

    path: Path
    reason: str
    is_sample: bool = False

    def describe(self) -> str:
        """What was chosen and why: one line, or several that cannot be overlooked for the sample corpus."""
        if not self.is_sample:
            return f"data: {paths.shown(self.path)} ({self.reason})"
        return (
            "THIS IS NOT THE REAL DATASET: the sample corpus is used.\n"
            f"file: {paths.shown(self.path)}\n"
            f"why: {self.reason}\n"
            "Its texts were made up to try the commands out: no figure or model made from it says anything about real "
            f"tweets.\nTo use real data, put {WORKBOOK} into data/raw/, set {DATA_VARIABLE}, or add --data PATH."
        )


def resolve(path: Path | str | None = None, locations: Locations | None = None, *, option: str = "--data") -> Source:
    """Choose the data file; the first hit wins.

    In order: ``path``; the environment variable ``TWEETS_DATA``; ``data/raw/``; ``../shared/data/``; a download into
    ``data/raw/``, unless ``TWEETS_OFFLINE=1`` or ``HF_HUB_OFFLINE=1``; the sample corpus.

    Args:
        path: A file that the user named. If it is missing, that is an error: nothing else is tried.
        locations: Where to look; the project's own folders by default.
        option: What the user named ``path`` with, for messages.

    Raises:
        DataError: The named file is missing, ``data/raw/`` holds several candidates, or there is no data at all.
    """
    locations = locations or Locations()
    for named, origin in ((path, option), (os.environ.get(DATA_VARIABLE) or None, DATA_VARIABLE)):
        if named is not None:
            chosen = _expand(named)
            check_file(chosen, origin)
            return Source(chosen, f"named by {origin}", is_same_file(chosen, locations.sample))
    with explain_read_errors(locations.raw):
        found = _find_raw(locations.raw)
    if found:
        return Source(found, "found in data/raw/")
    shared = locations.shared / WORKBOOK
    if shared.is_file():
        return Source(shared, "found in ../shared/data/")
    return _download_or_sample(locations)


def announce(source: Source) -> None:
    """Print on standard error which data is used and why; the sample corpus gets a red panel."""
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    stderr = Console(stderr=True, highlight=False)
    if source.is_sample:
        stderr.print(Panel(Text(source.describe()), title="SAMPLE DATA", border_style="bold red", style="red"))
    else:
        stderr.print(Text(source.describe()), soft_wrap=True)


def _expand(named: Path | str) -> Path:
    try:
        return Path(named).expanduser()
    except RuntimeError:  # "~someone" who has no home: take it as it is, the check says that it is missing
        return Path(named)


def _find_raw(folder: Path) -> Path | None:
    for name in (WORKBOOK, JUDGE_CSV):
        if (folder / name).is_file():
            return folder / name
    if not folder.is_dir():
        return None
    # "~$name.xlsx" is the lock file of an open spreadsheet.
    found = sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in SUFFIXES and not file.name.startswith((".", "~$")) and file.is_file()
    )
    if len(found) > 1:
        names = ", ".join(file.name for file in found[:5])
        raise DataError(
            f"expected one data file in {folder}, found {len(found)} ({names}); say which one with --data PATH, or "
            f"rename it to {WORKBOOK}"
        )
    return found[0] if found else None


def _download_or_sample(locations: Locations) -> Source:
    offline = next((name for name in OFFLINE_VARIABLES if _is_on(os.environ.get(name))), None)
    if offline:
        why = f"nothing in data/raw/ or ../shared/data/, and {offline} forbids a download"
    else:
        try:
            target = download(locations.address, locations.raw / WORKBOOK, locations.sha256)
            return Source(target, f"downloaded from {locations.address}, sha256 checked")
        except TweetTargetError as error:
            why = f"nothing in data/raw/ or ../shared/data/; {error}"
    if not locations.sample.is_file():
        raise DataError(f"no data: {why}; put {WORKBOOK} into {locations.raw}, or add --data PATH")
    return Source(locations.sample, why, is_sample=True)


def _is_on(value: str | None) -> bool:
    return (value or "").strip().lower() in ("1", "true", "yes", "on")
