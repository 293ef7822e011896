"""Find the dataset, read it, check it, and say what is in it.

``python -m tf_model.data`` prints which file was chosen and why, how many examples each label has, and which rows
could not be used. In messages a row is numbered as a spreadsheet shows it (the header is row 1); the ``row`` column
counts from 0 in the data part, so row 0 is row 2 of the file.
"""

from __future__ import annotations

import codecs
import difflib
import hashlib
import io
import os
import re
import stat
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_model import console, paths, tasks
from tf_model.errors import DataError, TweetTargetError, UsageError
from tf_model.files import explain_write_errors

if TYPE_CHECKING:
    import pandas as pd

# The workbook that the report worked from; data/README.md says where it comes from.
ADDRESS = (
    "https://raw.githubusercontent.com/GargPriyanshu1112/Wysa_NLP_Engineer_Assignment/"
    "8b353af3ec79f8b577796a73eb7cf5db96b2ebc3/dataset.xlsx"
)
SHA256 = "4c5b5c09f5197f005ccc33b57547bb4491e59611fde6545ad5f503995d66b447"
WORKBOOK = "assignment.xlsx"
JUDGE_CSV = "judge-1377884607_tweet_product_company.csv"
SUFFIXES = (".xlsx", ".csv", ".tsv")

LABELLED_SHEET = "Train"
UNLABELLED_SHEET = "Test"
UNLABELLED_COLUMN = "Tweet"
COLUMNS = (tasks.TEXT_COLUMN, tasks.PRODUCT_COLUMN, tasks.EMOTION_COLUMN)
LONGEST_TEXT = 100_000  # characters; a longer cell is not a short text but a file pasted into one

DATA_VARIABLE = "TWEETS_DATA"
OFFLINE_VARIABLES = ("TWEETS_OFFLINE", "HF_HUB_OFFLINE")

ASSIGNMENT, SAMPLE, CUSTOM = "assignment", "sample", "custom"


@dataclass(frozen=True)
class Dropped:
    """Rows that were left out for one reason.

    Attributes:
        reason: Why, in words.
        count: How many rows.
        rows: The first five of them, as in the ``row`` column (counted from 0).
    """

    reason: str
    count: int
    rows: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A dataset that was read and checked.

    Attributes:
        name: ``"assignment"`` for the report's workbook (known by its sha256), ``"sample"`` for the sample corpus,
            else ``"custom"``.
        path: The file.
        sha256: Of the file, in hexadecimal.
        labelled: One line per usable row, in file order, with the columns ``row`` (int64, counted from 0 in the data
            part), :data:`tf_model.tasks.TEXT_COLUMN` (str, as in the file, never blank), and the product and the
            emotion column (str, stripped, missing where there is no label).
        unlabelled: The sheet ``Test``: the column ``Tweet`` (str; an empty cell is an empty string), every row, in
            file order. ``None`` where the file has no such sheet.
        dropped: Rows that ``labelled`` leaves out.
        warnings: What a user should know and need not act on, one line each.
    """

    name: str
    path: Path
    sha256: str
    labelled: pd.DataFrame
    unlabelled: pd.DataFrame | None = None
    dropped: tuple[Dropped, ...] = ()
    warnings: tuple[str, ...] = ()


# ---------------------------------------------------------------- find


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
    sha256: str = SHA256


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
            return f"data: {self.path} ({self.reason})"
        return (
            "THIS IS NOT THE REAL DATASET: the sample corpus is used.\n"
            f"file: {self.path}\n"
            f"why: {self.reason}\n"
            "Its texts were made up to try the commands out: no figure or model made from it says anything about real "
            f"tweets.\nTo use real data, put {WORKBOOK} into data/raw/, set {DATA_VARIABLE}, or add --data PATH."
        )


def resolve(path: Path | str | None = None, locations: Locations | None = None) -> Source:
    """Choose the data file; the first hit wins.

    In order: ``path``; the environment variable ``TWEETS_DATA``; ``data/raw/``; ``../shared/data/``; a download into
    ``data/raw/``, unless ``TWEETS_OFFLINE=1`` or ``HF_HUB_OFFLINE=1``; the sample corpus.

    Args:
        path: A file that the user named. If it is missing, that is an error: nothing else is tried.
        locations: Where to look; the project's own folders by default.

    Raises:
        DataError: The named file is missing, ``data/raw/`` holds several candidates, or there is no data at all.
    """
    locations = locations or Locations()
    for named, origin in ((path, "--data"), (os.environ.get(DATA_VARIABLE) or None, DATA_VARIABLE)):
        if named is not None:
            chosen = _expand(named)
            _check_file(chosen, origin)
            return Source(chosen, f"named by {origin}", _same_file(chosen, locations.sample))
    with _explain_read_errors(locations.raw):
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


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


# ---------------------------------------------------------------- download


@dataclass(frozen=True)
class Limits:
    """How long and how much a download may take.

    Attributes:
        connect: Seconds to wait for a connection.
        silence: Seconds without a byte before an attempt is given up.
        window: Seconds over which the speed is measured.
        slowest: Bytes per second; less than this over a whole window ends the download.
        total: Seconds for one attempt, however fast it is.
        size: Bytes; a larger answer is refused.
        retries: Further attempts, one and then two seconds later and so on, after a broken connection, a server
            error or wrong bytes.
    """

    connect: float = 10
    silence: float = 20
    window: float = 15
    slowest: float = 1024
    total: float = 300
    size: int = 100_000_000
    retries: int = 2


def download(url: str, target: Path, sha256: str, limits: Limits | None = None) -> Path:
    """Download a file whose sha256 is known, with a progress bar on standard error.

    The file appears under its name only when it is complete and correct. A file that is there already and correct is
    left alone.

    Args:
        url: An http or https address.
        target: The file to make; its folder is created.
        sha256: What the file must be, in hexadecimal.
        limits: Time and size limits.

    Returns:
        ``target``.

    Raises:
        DataError: The file cannot be had, or another file of this name is in the way.
        OutputError: ``target`` cannot be written.
    """
    import pooch
    import requests
    from rich.console import Console

    target, limits = Path(target), limits or Limits()
    if target.exists():
        if target.is_file() and pooch.file_hash(str(target)) == sha256:
            return target
        raise DataError(
            f"{target} is not the file that {url} should give (sha256 {sha256}); move it away, or use --data"
        )
    fetcher = pooch.create(
        target.parent,
        base_url="",
        registry={target.name: sha256},
        urls={target.name: url},
        retry_if_failed=limits.retries,
    )

    pooch.get_logger().setLevel("WARNING")  # it would tell what the next line and the bar tell
    Console(stderr=True).print(f"downloading {url}", soft_wrap=True, markup=False, highlight=False)

    def transfer(address: str, part: str, _: object) -> None:
        Path(part).write_bytes(_transfer(address, target.name, limits))

    try:
        with explain_write_errors(target):
            try:
                fetcher.fetch(target.name, downloader=transfer)
            except (requests.RequestException, ValueError) as error:
                raise DataError(_why(error)) from error
            target.chmod(0o644)  # a temporary file is its owner's alone
    except DataError as error:
        raise DataError(
            f"cannot download {url}: {error}; try again later, put the file into {target.parent} yourself as "
            f"{target.name}, or add --data PATH"
        ) from error
    return target


class _Received:
    """What has arrived so far. It is both the file and the progress bar of a ``pooch.HTTPDownloader``."""

    def __init__(self, size: int) -> None:
        self.content = bytearray()
        self.total = 0  # bytes announced by the server, 0 if unknown; set by pooch
        self.abandoned = False
        self._size = size

    def write(self, chunk: bytes) -> None:
        if self.abandoned:
            raise DataError("the download was abandoned")
        if len(self.content) + len(chunk) > self._size:
            raise DataError(f"the answer is larger than {self._size:,} bytes")
        self.content += chunk

    def update(self, _: int) -> None:
        """Nothing to do: the bar shows the length of ``content``."""

    flush = reset = close = lambda self: None


def _transfer(url: str, name: str, limits: Limits) -> bytes:
    """One attempt.

    A timeout of the HTTP library starts anew with every byte, so the transfer runs in a thread of its own while this
    one watches the clock. An abandoned thread holds no file and ends at its next chunk.

    Raises:
        DataError: A failure that another attempt would not mend.
        requests.RequestException, ValueError: Any other failure.
    """
    import pooch
    import requests

    received, failures = _Received(limits.size), []

    def work() -> None:
        try:
            pooch.HTTPDownloader(progressbar=received, timeout=(limits.connect, limits.silence))(url, received, None)
        except Exception as error:  # handed to the thread that waits
            failures.append(error)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    try:
        _watch(worker, received, name, limits)
    finally:
        received.abandoned = True
    if failures:
        error = failures[0]
        status = error.response.status_code if isinstance(error, requests.HTTPError) else 0
        if 400 <= status < 500 and status not in (408, 429):
            raise DataError(_why(error)) from error
        raise error
    if received.content[:512].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise DataError("a web page came instead of the file")
    return bytes(received.content)


def _watch(worker: threading.Thread, received: _Received, name: str, limits: Limits) -> None:
    """Show the progress until ``worker`` ends; raise :class:`DataError` if it is too slow."""
    from rich.console import Console
    from rich.progress import Progress

    began = window_began = time.monotonic()
    before = 0
    stderr = Console(stderr=True)
    with Progress(console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
        bar = progress.add_task(name, total=None)
        while worker.is_alive():
            worker.join(0.1)
            now, size = time.monotonic(), len(received.content)
            progress.update(bar, completed=size, total=received.total or None)
            if not worker.is_alive():
                return
            if now - began > limits.total:
                raise DataError(f"it took longer than {limits.total:g} s")
            if now - window_began > limits.window:
                if size - before < limits.slowest * limits.window:
                    raise DataError(f"the server sends less than {limits.slowest:g} bytes a second")
                window_began, before = now, size


def _why(error: Exception) -> str:
    """What went wrong with a download, in a few words."""
    import requests

    if isinstance(error, requests.HTTPError):
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return "no answer from the server in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection was cut off before the end"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate is not trusted"
    if isinstance(error, requests.ConnectionError):
        return "no connection to the server"
    if isinstance(error, requests.RequestException):
        return " ".join(str(error).split())
    return "what came is not the expected file, its sha256 differs"


# ---------------------------------------------------------------- read


def read(path: Path | str, locations: Locations | None = None) -> Dataset:
    """Read and check a dataset.

    A workbook (.xlsx) holds the labelled rows in a sheet ``Train``, or in its only sheet, and may hold unlabelled ones
    in a sheet ``Test``. A .csv or .tsv file holds labelled rows. UTF-8, Windows-1252, files that mix the two line by
    line, and UTF-16 with a byte order mark are understood. Column names are compared without case and surrounding
    spaces; other columns are ignored. Exact duplicates are kept, as the report kept them, and counted in a warning.

    Args:
        path: The file.
        locations: Tells which file is the sample corpus.

    Raises:
        DataError: The file cannot be read, has not the columns of :data:`COLUMNS`, no usable row, an unknown label, a
            text over :data:`LONGEST_TEXT` characters or a NUL character.
    """
    path, locations = Path(path), locations or Locations()
    _check_file(path)
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"expected an .xlsx, .csv or .tsv file, got {path}; save it as one of these")
    with _explain_read_errors(path):
        content = path.read_bytes()
    if not content.removeprefix(codecs.BOM_UTF8).strip():
        raise DataError(f"{path} is empty; expected a file with the columns {', '.join(COLUMNS)}")
    notes: list[str] = []
    if path.suffix.lower() == ".xlsx":
        table, unlabelled = _read_workbook(path, content, notes)
    else:
        table, unlabelled = _read_text(path, content, notes), None
    labelled, dropped = _drop_unusable(path, _tidy(path, table, notes))
    _check_schema(path, labelled)
    sha256 = hashlib.sha256(content).hexdigest()
    notes += _describe_repeats(labelled)
    return Dataset(_name(path, sha256, locations), path, sha256, labelled, unlabelled, dropped, tuple(notes))


def _name(path: Path, sha256: str, locations: Locations) -> str:
    if sha256 == SHA256:
        return ASSIGNMENT
    return SAMPLE if _same_file(path, locations.sample) else CUSTOM


def _check_file(path: Path, origin: str | None = None) -> None:
    """Raise :class:`DataError` unless ``path`` is a file. ``origin`` says who named it."""
    shown = f"{path} ({origin})" if origin else str(path)
    with _explain_read_errors(path, shown):
        mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise DataError(f"expected a file, {shown} is a folder; give the path of an .xlsx, .csv or .tsv file in it")
    if not stat.S_ISREG(mode):
        raise DataError(f"expected a file, {shown} is a device or a pipe; save the data as a file first")


@contextmanager
def _explain_read_errors(path: Path, shown: str | None = None) -> Iterator[None]:
    shown = shown or str(path)
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f"no file {shown}; give the path of an existing .xlsx, .csv or .tsv file") from error
    except PermissionError as error:
        raise DataError(f"reading {shown} is not permitted; change its permissions, or copy it") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"cannot read {shown!r}: {reason}; give the path of another file") from error


def _read_workbook(path: Path, content: bytes, notes: list[str]) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """The labelled table, header included, and the unlabelled texts."""
    sheets = _parse_workbook(path, content)
    by_name = {name.strip().lower(): name for name in sheets}
    if LABELLED_SHEET.lower() in by_name:
        labelled = sheets[by_name[LABELLED_SHEET.lower()]]
    elif len(sheets) == 1:
        labelled = next(iter(sheets.values()))
    else:
        raise DataError(
            f"expected a sheet {LABELLED_SHEET!r} in {path}, found {_quote(sheets)}; rename the one with the labelled "
            "rows"
        )
    _check_columns(path, labelled)
    name = by_name.get(UNLABELLED_SHEET.lower())
    if name is None or len(sheets) == 1:
        return labelled, None
    return labelled, _read_unlabelled(sheets[name], notes)


def _parse_workbook(path: Path, content: bytes) -> dict[str, pd.DataFrame]:
    import pandas as pd

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # openpyxl's remarks on styles and validation rules that it skips
            sheets = pd.read_excel(
                io.BytesIO(content), sheet_name=None, header=None, dtype=str, na_filter=False, engine="openpyxl"
            )
            return {name: sheet.fillna("") for name, sheet in sheets.items()}  # error cells such as #N/A are missing
    except Exception as error:  # openpyxl answers a damaged file with whatever its XML and zip readers happen to raise
        raise DataError(
            f"{path} is not an Excel workbook (.xlsx), is damaged or is protected by a password; open it in a "
            "spreadsheet program and save it again as .xlsx or .csv"
        ) from error


def _read_unlabelled(table: pd.DataFrame, notes: list[str]) -> pd.DataFrame | None:
    names = _column_names(table)
    if UNLABELLED_COLUMN.lower() not in names:
        notes.append(f"the sheet {UNLABELLED_SHEET!r} has no column {UNLABELLED_COLUMN!r} and is ignored")
        return None
    texts = table.iloc[1:, [names.index(UNLABELLED_COLUMN.lower())]]
    return texts.set_axis([UNLABELLED_COLUMN], axis=1).reset_index(drop=True)


def _read_text(path: Path, content: bytes, notes: list[str]) -> pd.DataFrame:
    """The table of a .csv or .tsv file, header included."""
    import pandas as pd

    text = _decode(path, content, notes)
    header = re.split(r"[\r\n]", text.lstrip(), maxsplit=1)[0]
    separator = max(",\t;", key=header.count)  # whatever the suffix: spreadsheets of many languages write ";"
    options = {"sep": separator, "header": None, "dtype": str, "na_filter": False, "skip_blank_lines": False}
    try:
        _check_columns(path, pd.read_csv(io.StringIO(text), nrows=1, **options))
        return pd.read_csv(io.StringIO(text), **options)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise DataError(f"{path} is no table: {_explain_parser(str(error))}") from error


def _explain_parser(message: str) -> str:
    """The advice for a message of pandas' reader, which calls a record a line, or, counted from 0, a row."""
    if match := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", message):
        expected, row, saw = match.groups()
        return (
            f"row {row} of the file has {saw} fields, the header {expected}; put texts that hold a separator in quotes"
        )
    if match := re.search(r"EOF inside string starting at row (\d+)", message):
        return f'the quote (") that opens in row {int(match.group(1)) + 1} of the file is never closed; close it'
    return f"{' '.join(message.split())}; save it again as CSV in UTF-8"


def _decode(path: Path, content: bytes, notes: list[str]) -> str:
    """Decode line by line, since copies of the dataset mix UTF-8 and Windows-1252.

    ``bytes.splitlines`` splits at line feeds and carriage returns alone, which occur inside no UTF-8 character; the
    line separators that Unicode adds (NEL, U+2028) stay where they are.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return _without_nul(path, content.decode("utf-16"))
        except UnicodeDecodeError as error:
            raise DataError(f"{path} starts like UTF-16 and is not; save it again as UTF-8") from error
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        return _without_nul(path, content.decode("utf-8"))
    except UnicodeDecodeError:
        lines = [_decode_line(line) for line in content.splitlines(keepends=True)]
    foreign = sum(is_foreign for _, is_foreign in lines)
    text = _without_nul(path, "".join(line for line, _ in lines))
    notes.append(f"{foreign:,} {_plural(foreign, 'line is', 'lines are')} not UTF-8 and read as Windows-1252")
    return text


def _decode_line(line: bytes) -> tuple[str, bool]:
    """The text of a line, and whether it is not UTF-8."""
    for encoding in ("utf-8", "cp1252"):
        try:
            return line.decode(encoding), encoding != "utf-8"
        except UnicodeDecodeError:
            continue
    return line.decode("latin-1"), True  # the five bytes that Windows-1252 leaves undefined


def _without_nul(path: Path, text: str) -> str:
    where = text.find("\0")
    if where >= 0:
        line = text.count("\n", 0, where) + 1
        raise DataError(
            f"expected text, {path} has a NUL character in line {line}: it is damaged, no text file, or UTF-16 without "
            "a byte order mark; save it again as CSV in UTF-8"
        )
    return text


def _column_names(table: pd.DataFrame) -> list[str]:
    return [] if table.empty else [name.strip("\ufeff \t\r\n").lower() for name in table.iloc[0]]


def _tidy(path: Path, table: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """Columns ``row`` and :data:`COLUMNS`, labels stripped and missing where empty; texts as they are."""
    import pandas as pd

    names = _column_names(table)
    extra = [str(name) for name, key in zip(table.iloc[0], names, strict=True) if key and key not in COLUMNS]
    if extra:
        notes.append(f"ignored {_plural(len(extra), 'column', 'columns')}: {_quote(extra)}")
    frame = table.iloc[1:, [names.index(column) for column in COLUMNS]].set_axis(list(COLUMNS), axis=1)
    frame = frame.reset_index(drop=True)
    frame.insert(0, "row", range(len(frame)))
    for task in tasks.TASKS.values():
        frame[task.column] = pd.Series([label.strip() or None for label in frame[task.column]], dtype="str")
    is_filled = (frame[tasks.TEXT_COLUMN] != "") | frame[[tasks.PRODUCT_COLUMN, tasks.EMOTION_COLUMN]].notna().any(
        axis=1
    )
    # Blank lines at the end are no rows; those in the middle are counted as dropped, so that row numbers stay true.
    return frame.iloc[: frame.index[is_filled].max() + 1] if is_filled.any() else frame.iloc[:0]


def _check_columns(path: Path, table: pd.DataFrame) -> None:
    names = _column_names(table)
    missing = [column for column in COLUMNS if column not in names]
    if missing:
        shown = [] if table.empty else list(table.iloc[0])
        near = {column: difflib.get_close_matches(column, names, n=1) for column in missing}
        hints = "".join(f"; {match[0]!r} looks like {column!r}" for column, match in near.items() if match)
        raise DataError(
            f"expected the columns {_quote(COLUMNS)} in {path}, found {_quote(shown)}: {_quote(missing)} "
            f"{_plural(len(missing), 'is', 'are')} missing{hints}; rename or add {_plural(len(missing), 'it', 'them')}"
        )
    for column in COLUMNS:
        if names.count(column) > 1:
            raise DataError(f"the column {column!r} occurs {names.count(column)} times in {path}; keep one of them")


def _drop_unusable(path: Path, frame: pd.DataFrame) -> tuple[pd.DataFrame, tuple[Dropped, ...]]:
    if frame.empty:
        raise DataError(f"expected rows below the header of {path}, found none; add labelled texts")
    texts = frame[tasks.TEXT_COLUMN]
    is_missing = texts == ""
    is_blank = ~is_missing & (texts.map(str.strip) == "")
    kept = frame[~(is_missing | is_blank)].reset_index(drop=True)
    if kept.empty:
        raise DataError(
            f"expected texts in the column {tasks.TEXT_COLUMN!r} of {path}, all {len(frame):,} are empty; fill it in"
        )
    masks = {"the text is missing": is_missing, "the text is white space only": is_blank}
    dropped = tuple(
        Dropped(reason, int(mask.sum()), tuple(frame["row"][mask].head().tolist()))
        for reason, mask in masks.items()
        if mask.any()
    )
    return kept, dropped


def _check_schema(path: Path, frame: pd.DataFrame) -> None:
    """Raise :class:`DataError` for the first row whose text or label cannot be used."""
    import pandera.pandas as pa

    labels = {
        task.column: pa.Column(str, pa.Check.isin(task.labels + task.ignored_labels), nullable=True)
        for task in tasks.TASKS.values()
    }
    text = pa.Column(str, pa.Check.str_length(min_value=1, max_value=LONGEST_TEXT))
    columns = {"row": pa.Column(int, unique=True), tasks.TEXT_COLUMN: text, **labels}
    try:
        pa.DataFrameSchema(columns, strict=True).validate(frame, lazy=True)
    except pa.errors.SchemaErrors as error:
        failures = error.failure_cases.sort_values("index", kind="stable")
        raise DataError(_explain_failure(path, frame, failures)) from None


def _explain_failure(path: Path, frame: pd.DataFrame, failures: pd.DataFrame) -> str:
    first = failures.iloc[0]
    row = f"row {frame['row'][int(first['index'])] + 2} of the file {path}"
    if first["column"] == tasks.TEXT_COLUMN:
        length = len(first["failure_case"])
        return f"{row} has a text of {length:,} characters, expected at most {LONGEST_TEXT:,}; shorten or remove it"
    task = next(task for task in tasks.TASKS.values() if task.column == first["column"])
    others = int((failures["column"] == task.column).sum()) - 1
    more = f" (and {others:,} more {_plural(others, 'row', 'rows')})" if others else ""
    return (
        f"{row} has {_shorten(first['failure_case'])} in {task.column!r}{more}, which is no known label; "
        f"{_suggest_label(first['failure_case'], task)}"
    )


def _suggest_label(value: str, task: tasks.Task) -> str:
    known = {label.lower(): label for label in task.labels + task.ignored_labels}
    near = difflib.get_close_matches(value.lower(), known, n=1)
    if near:
        return f"did you mean {known[near[0]]!r}? Correct it, or empty the cell"
    return f"use one of {_quote(known.values(), shown=len(known))}, or empty the cell"


def _repeated(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows whose exact text occurs more than once."""
    return frame[frame.duplicated(tasks.TEXT_COLUMN, keep=False)]


def _count_repeats(frame: pd.DataFrame) -> int:
    """How many rows repeat the exact text of an earlier one."""
    return int(frame.duplicated(tasks.TEXT_COLUMN).sum())


def _count_conflicts(frame: pd.DataFrame) -> dict[str, int]:
    """Per task, how many texts occur with two or more different labels; a missing label contradicts nothing."""
    texts = _repeated(frame).groupby(tasks.TEXT_COLUMN)
    return {name: int((texts[task.column].nunique() > 1).sum()) for name, task in tasks.TASKS.items()}


def _describe_repeats(frame: pd.DataFrame) -> list[str]:
    repeats = _count_repeats(frame)
    notes = []
    if repeats:
        notes.append(
            f"{repeats:,} {_plural(repeats, 'row repeats', 'rows repeat')} the exact text of an earlier row; kept"
        )
    for name, count in _count_conflicts(frame).items():
        if count:
            notes.append(f"{count:,} repeated {_plural(count, 'text has', 'texts have')} different {name} labels; kept")
    return notes


def _quote(names: Sequence[str] | Any, shown: int = 10) -> str:
    """Names for a message: in quotes, long ones and long lists cut short."""
    names = list(names)
    rest = f" and {len(names) - shown} more" if len(names) > shown else ""
    return (", ".join(_shorten(name) for name in names[:shown]) or "none") + rest


def _shorten(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _plural(count: int, one: str, many: str) -> str:
    return one if count == 1 else many


# ---------------------------------------------------------------- use


def examples(dataset: Dataset, task: tasks.Task) -> pd.DataFrame:
    """The rows that a task can learn from, in file order.

    Returns:
        The columns ``row`` (int64), ``text`` (str), ``label`` (str) and ``label_id`` (int64, the position of the
        label in ``task.labels``), indexed from 0. Rows without a label, or with one that the task ignores, are left
        out.

    Raises:
        DataError: No row has a label of this task.
    """
    frame = _select(dataset.labelled, task)
    if frame.empty:
        raise DataError(
            f"expected labels of the task {task.name!r} in the column {task.column!r} of {dataset.path}, found none; "
            "add labels, or choose another task"
        )
    return frame


def _select(labelled: pd.DataFrame, task: tasks.Task) -> pd.DataFrame:
    rows = labelled[labelled[task.column].isin(task.labels)]
    frame = rows[["row", tasks.TEXT_COLUMN, task.column]].set_axis(["row", "text", "label"], axis=1)
    ids = {label: number for number, label in enumerate(task.labels)}
    return frame.assign(label_id=frame["label"].map(ids).astype("int64")).reset_index(drop=True)


def check_classes(frame: pd.DataFrame, task: tasks.Task, minimum: int = 2) -> tuple[str, ...]:
    """Check that every class that occurs in ``examples(...)`` has enough examples to be split.

    Args:
        frame: What :func:`examples` returned.
        task: The same task.
        minimum: The fewest examples that a class may have.

    Returns:
        The classes that do not occur at all: a model can be trained without them and will never predict them.

    Raises:
        DataError: A class has fewer than ``minimum`` examples, or there is only one class.
    """
    counts = _count_labels(frame, task)
    scarce = [f"{label!r} ({count})" for label, count in counts.items() if 0 < count < minimum]
    if scarce:
        raise DataError(
            f"expected at least {minimum} examples of each class of the task {task.name!r}, found too few of "
            f"{', '.join(scarce)}; add more, or leave {_plural(len(scarce), 'this class', 'these classes')} out"
        )
    present = [label for label, count in counts.items() if count]
    if len(present) < 2:
        raise DataError(
            f"expected examples of at least two classes of the task {task.name!r}, found {_quote(present)} only; add "
            "examples of another class"
        )
    return tuple(label for label, count in counts.items() if not count)


def _count_labels(frame: pd.DataFrame, task: tasks.Task) -> dict[str, int]:
    counts = frame["label"].value_counts()
    return {label: int(counts.get(label, 0)) for label in task.labels}


@dataclass(frozen=True)
class TaskSummary:
    """What a dataset holds for one task.

    Attributes:
        examples: Rows that the task can learn from.
        labels: The number of examples of each class, in the order of the task.
        ignored: The number of rows with each label that the task ignores.
        unlabelled: Rows without a label.
        conflicts: Exact texts that occur with different labels.
    """

    examples: int
    labels: dict[str, int]
    ignored: dict[str, int]
    unlabelled: int
    conflicts: int


@dataclass(frozen=True)
class Summary:
    """What a dataset holds, without any of its texts.

    Attributes:
        dataset: :attr:`Dataset.name`.
        path: The file.
        reason: Why this file was chosen.
        sha256: Of the file.
        rows: Usable rows.
        unlabelled_rows: Rows of the sheet ``Test``, ``None`` where there is none.
        dropped: Rows that were left out.
        repeats: Rows that repeat the exact text of an earlier one.
        tasks: One entry per task, by its name.
        warnings: :attr:`Dataset.warnings`.
    """

    dataset: str
    path: str
    reason: str
    sha256: str
    rows: int
    unlabelled_rows: int | None
    dropped: tuple[Dropped, ...]
    repeats: int
    tasks: dict[str, TaskSummary] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def summarize(dataset: Dataset, reason: str = "") -> Summary:
    """Count what is in a dataset; ``reason`` says why this file was chosen."""
    frame = dataset.labelled
    conflicts = _count_conflicts(frame)
    return Summary(
        dataset=dataset.name,
        path=str(dataset.path),
        reason=reason,
        sha256=dataset.sha256,
        rows=len(frame),
        unlabelled_rows=None if dataset.unlabelled is None else len(dataset.unlabelled),
        dropped=dataset.dropped,
        repeats=_count_repeats(frame),
        tasks={name: _summarize_task(frame, task, conflicts[name]) for name, task in tasks.TASKS.items()},
        warnings=dataset.warnings,
    )


def _summarize_task(frame: pd.DataFrame, task: tasks.Task, conflicts: int) -> TaskSummary:
    chosen, column = _select(frame, task), frame[task.column]
    return TaskSummary(
        examples=len(chosen),
        labels=_count_labels(chosen, task),
        ignored={label: int((column == label).sum()) for label in task.ignored_labels},
        unlabelled=int(column.isna().sum()),
        conflicts=conflicts,
    )


# ---------------------------------------------------------------- command line


def main(argv: list[str] | None = None) -> int | None:
    """``python -m tf_model.data``: print what the dataset holds."""
    parser = console.parser("tf_model.data", "Find the dataset, check it and say what is in it.")
    parser.add_argument(
        "--data", metavar="PATH", help=f"an .xlsx, .csv or .tsv file; else {DATA_VARIABLE}, else search"
    )
    parser.add_argument("--json", action="store_true", help="print JSON on standard output instead of tables")
    args = parser.parse_args(argv)
    if args.data == "":
        raise UsageError("expected a path after --data, got nothing; name a file, or leave --data out")
    source = resolve(args.data)
    announce(source)
    summary = summarize(read(source.path), source.reason)
    if args.json:
        import json

        print(json.dumps(asdict(summary), indent=2, ensure_ascii=False))
    else:
        _print_summary(summary)
    return 0


def _print_summary(summary: Summary) -> None:
    from rich.console import Console

    stdout = Console(highlight=False, markup=False, soft_wrap=True)
    stdout.print(f"dataset   {summary.dataset}")
    stdout.print(f"file      {summary.path}")
    stdout.print(f"sha256    {summary.sha256}")
    stdout.print(f"rows      {summary.rows:,}")
    if summary.unlabelled_rows is not None:
        stdout.print(f"to label  {summary.unlabelled_rows:,} rows in the sheet {UNLABELLED_SHEET}")
    for dropped in summary.dropped:
        numbers = ", ".join(str(row + 2) for row in dropped.rows)
        rest = ", ..." if dropped.count > len(dropped.rows) else ""
        rows = _plural(dropped.count, "row", "rows")
        stdout.print(f"dropped   {dropped.count:,} {rows}: {dropped.reason} ({rows} {numbers}{rest} of the file)")
    for note in summary.warnings:
        stdout.print(f"note      {note}")
    for name, task in summary.tasks.items():
        stdout.print(_table(name, task))


def _table(name: str, task: TaskSummary) -> Any:
    from rich.table import Table

    table = Table(title=f"{name}: {task.examples:,} examples", title_justify="left", show_footer=False)
    table.add_column("label")
    table.add_column("rows", justify="right")
    table.add_column("share", justify="right")
    for label, count in task.labels.items():
        table.add_row(label, f"{count:,}", f"{count / task.examples:.1%}" if task.examples else "")
    table.add_section()
    for label, count in task.ignored.items():
        table.add_row(f"{label} (left out)", f"{count:,}", "")
    table.add_row("no label (left out)", f"{task.unlabelled:,}", "")
    return table


if __name__ == "__main__":
    console.run(main)
