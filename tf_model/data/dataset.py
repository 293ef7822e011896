"""Read a labelled table and check its columns, its texts and its labels.

Messages number rows as a spreadsheet does; the ``row`` column counts from 0 below the header.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_model import paths, tasks
from tf_model.errors import DataError, UsageError, close_names, listed, plural, quoted
from tf_model.io import tables
from tf_model.io.files import explain_read_errors, sha256_of
from tf_model.model_dir import ASSIGNMENT, SAMPLE
from tf_model.tasks import ANSWER_TASKS, COLUMNS, EMOTION, PRODUCT, TEXT_COLUMN

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".xlsx", ".csv", ".tsv")
LABELLED_SHEET = "Train"
UNLABELLED_SHEET = "Test"
UNLABELLED_COLUMN = "Tweet"
FIRST_ROW = 2  # the number that a spreadsheet gives to row 0, below the header
LONGEST_TEXT = 100_000  # characters; a longer cell is no short text but a file pasted into it
MOST_CLASSES = 100  # a column with more values holds no labels but numbers or names of the rows
USUAL_COLUMNS = {
    PRODUCT.name: ("product", "brand", "target", "aspect", "entity"),
    EMOTION.name: ("emotion", "sentiment", "polarity", "label"),
}

CUSTOM = "custom"
# The report's workbook; data/README.md gives its source.
ASSIGNMENT_SHA256 = "4c5b5c09f5197f005ccc33b57547bb4491e59611fde6545ad5f503995d66b447"


class _NoLabelsError(DataError):
    """The values of a column cannot be used as labels."""


@dataclass(frozen=True)
class Dropped:
    """Rows that were left out for one reason, numbered as in the ``row`` column."""

    reason: str
    rows: tuple[int, ...]

    def describe(self) -> str:
        """The count, the reason, and the first row numbers as in the file."""
        rows = plural(len(self.rows), "row", "rows")
        numbers = ", ".join(str(row + FIRST_ROW) for row in self.rows[:5]) + (", ..." if len(self.rows) > 5 else "")
        return f"{len(self.rows):,} {rows} left out: {self.reason} ({rows} {numbers} of the file)"


@dataclass(frozen=True)
class Columns:
    """The names of a file's text and label columns; None: to be detected, or absent; empty: not to be read."""

    text: str | None = None
    product: str | None = None
    emotion: str | None = None

    @classmethod
    def of_model(cls, metrics: Mapping[str, Any]) -> Columns:
        """The columns that a model was trained on, from its ``metrics``; without labels that it does not predict."""
        unused = {PRODUCT.name: EMOTION.name, EMOTION.name: PRODUCT.name}.get(metrics.get("task"))
        return cls(**metrics.get("columns", {}) | ({unused: ""} if unused else {}))

    def describe(self) -> str:
        """Which column holds what, in words."""
        return ", ".join(f"{part}: {name}" for part, name in asdict(self).items() if name)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A labelled table that was read and checked.

    ``labelled`` has the column ``row`` (int64), the text (as in the file, never blank) and a column of each task (str,
    stripped, missing where there is no label), in file order. Text and labels are renamed to
    :data:`tf_model.tasks.COLUMNS`; ``columns`` holds their names in the file.
    """

    name: str  # ASSIGNMENT for the report's workbook (known by its sha256), SAMPLE, else CUSTOM
    path: Path
    sha256: str
    labelled: pd.DataFrame
    unlabelled: pd.DataFrame | None = None  # the sheet "Test": the column "Tweet", empty cells as empty strings
    dropped: tuple[Dropped, ...] = ()  # rows that ``labelled`` leaves out
    warnings: tuple[str, ...] = ()  # one line each
    tasks: tuple[tasks.Task, ...] = ANSWER_TASKS  # the tasks that have a column in the table
    columns: Columns = Columns(*COLUMNS)

    @property
    def notes(self) -> tuple[str, ...]:
        """The rows that were left out, and warnings about how the file was read, one line each."""
        return (*(dropped.describe() for dropped in self.dropped), *self.warnings)

    @property
    def identity(self) -> str:
        """What determines the rows and labels: the file's hash, and its columns if they are not the report's."""
        return self.sha256 if self.columns == Columns(*COLUMNS) else f"{self.sha256} {self.columns}"


def read(
    path: Path | str,
    extra_columns: Sequence[str] = (),
    columns: Columns = Columns(),
    no_emotion: str | None = None,
    known_tasks: Iterable[tasks.Task] = (),
    preferred: Columns = Columns(),
) -> Dataset:
    """Read and check a dataset; ``extra_columns`` names further columns to keep. Duplicates are kept, as in the report.

    The classes are those of the ``known_tasks``, such as a model's; else the report's if all labels are, or some in a
    column of the report's name; else the labels of the table. ``no_emotion`` names the label of no emotion.
    ``preferred`` columns, such as a model's, are used if the table has them. Raises :class:`DataError` if the file, a
    text or a label cannot be used, and :class:`UsageError` if a named column is missing, or several fit.
    """
    import pandas as pd

    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"expected a file ({', '.join(SUFFIXES)}), got {path}; save it as one of these")
    try:
        table, frame = _load(path, sheet=LABELLED_SHEET)
    except UsageError:  # no workbook, or none with such a sheet
        table, frame = _load(path)
    with tables.explain_sheet(table):
        columns = _find_columns(table, frame, columns, preferred)
    names = dict(zip(COLUMNS, asdict(columns).values(), strict=True)) | {name: name for name in extra_columns}
    labelled = pd.DataFrame({"row": frame.index})
    for standard, name in names.items():
        cells = [""] * len(frame) if name is None else _as_texts(frame, tables.named_column(table, name))
        if standard != TEXT_COLUMN:
            cells = [cell.strip() or None for cell in cells]
        labelled[standard] = pd.Series(cells, dtype="str")
    is_blank = labelled[TEXT_COLUMN].map(str.strip) == ""
    if is_blank.all():
        raise DataError(f"expected rows with a text below the header of {path}, got none; add labelled texts")
    dropped = (Dropped("the text is missing", tuple(labelled["row"][is_blank])),) if is_blank.any() else ()
    labelled = labelled[~is_blank].reset_index(drop=True)
    table_tasks, problems = _find_tasks(path, labelled, columns, no_emotion, known_tasks)
    check_schema(path, labelled, table_tasks, columns)
    unlabelled, sheet_problems = _read_unlabelled(path)
    with explain_read_errors(path):
        sha256 = sha256_of(path)
    name = ASSIGNMENT if sha256 == ASSIGNMENT_SHA256 else SAMPLE if is_sample(path) else CUSTOM
    notes = (*table.notes, *problems, *sheet_problems)
    return Dataset(name, path, sha256, labelled, unlabelled, dropped, notes, tasks=tuple(table_tasks), columns=columns)


def _read_unlabelled(path: Path) -> tuple[pd.DataFrame | None, list[str]]:
    """The column "Tweet" of the sheet "Test", None if there is none, and why the sheet cannot be used."""
    import pandas as pd

    try:
        sheet, rows = _load(path, UNLABELLED_COLUMN, UNLABELLED_SHEET)
    except UsageError:  # no workbook, or no such sheet or column
        return None, []
    except DataError as error:
        return None, [f"the sheet {UNLABELLED_SHEET!r} is left out: {error}"]
    return pd.DataFrame({UNLABELLED_COLUMN: _as_texts(rows, sheet.text_position)}), []


def is_sample(path: Path) -> bool:
    """Whether ``path`` is the sample corpus."""
    return paths.SAMPLE_CORPUS.is_file() and path.samefile(paths.SAMPLE_CORPUS)


# ---------------------------------------------------------------- the table


def _load(path: Path, text_column: str | None = None, sheet: str | None = None) -> tuple[tables.Table, pd.DataFrame]:
    """Read a table and close it; its rows are indexed by their position in the file, counted from 0."""
    with tables.open_table(path, text_column, sheet, sheet_option=f"the name {LABELLED_SHEET!r}") as table:
        rows = dict(table.rows())
        return table, table.frame(list(rows.values())).set_axis([number - table.first_row for number in rows])


def _find_columns(table: tables.Table, frame: pd.DataFrame, requested: Columns, preferred: Columns) -> Columns:
    """The names of the columns in the file: as given, else as preferred, else the report's, else the only usual one."""
    path, names = table.path, table.columns
    chosen = {part: names[tables.named_column(table, name)] for part, name in asdict(requested).items() if name}
    if len(set(chosen.values())) < len(chosen):
        raise UsageError(f"expected different columns of {path}, got {Columns(**chosen).describe()}; name another one")
    for part, name in asdict(preferred).items():
        with suppress(UsageError):  # the table has no such column
            column = names[tables.named_column(table, name)] if name else None
            if column and column not in chosen.values():
                chosen.setdefault(part, column)
    for part, standard in (*((task.name, task.column) for task in ANSWER_TASKS), ("text", TEXT_COLUMN)):
        if part in chosen or "" in (getattr(requested, part), getattr(preferred, part)):
            continue
        unused = [name for name in dict.fromkeys(names) if name not in chosen.values()]
        candidates = [name for name in unused if tables.plain_name(name) == standard]
        candidates = candidates or [name for name in unused if tables.plain_name(name) in USUAL_COLUMNS.get(part, ())]
        if len(candidates) > 1:
            raise UsageError(
                f"{path} has several columns that may hold the {part}, {listed(candidates)}; say which with "
                f"--{part}-column"
            )
        if candidates:
            chosen[part] = candidates[0]
    if not chosen.keys() - {"text"}:
        raise DataError(
            f"expected a column of products or of emotions in {path}, got the columns {listed(names)}; name it with "
            "--product-column or --emotion-column"
        )
    if "text" not in chosen:  # `unused` is of the last round, which looked for the text
        if not unused:
            raise DataError(f"expected a column of texts beside the labels in {path}, got {listed(names)}; add it")
        unused_columns = frame.iloc[:, [names.index(name) for name in unused]]
        position, _ = tables.choose_text_column(unused_columns, str(path))
        is_usual = tables.plain_name(unused[position]) in tables.USUAL_NAMES
        is_text = tables.has_letters if len(unused) == 1 else tables.has_words
        if not is_usual and not is_text(unused_columns.iloc[:, position]):
            raise DataError(
                f"expected a column of texts beside the labels in {path}, but {listed(unused)} hold numbers, dates or "
                "single words; add the texts, or name their column with --text-column"
            )
        chosen["text"] = unused[position]
    return Columns(**chosen)


def _as_texts(frame: pd.DataFrame, position: int) -> list[str]:
    return frame.iloc[:, position].map(tables.as_text, na_action="ignore").fillna("").tolist()


# ---------------------------------------------------------------- labels


def _find_tasks(
    path: Path, labelled: pd.DataFrame, columns: Columns, no_emotion: str | None, known_tasks: Iterable[tasks.Task]
) -> tuple[list[tasks.Task], list[str]]:
    """The tasks that the label columns can be used for, and why others cannot; words for "no label" become missing.

    Raises :class:`DataError` if no column can be used.
    """
    table_tasks, errors = [], []
    for task in ANSWER_TASKS:
        if name := getattr(columns, task.name):
            labels = labelled[task.column].dropna().unique().tolist()
            missing = [label for label in labels if tasks.is_missing(label, task.name)]
            labelled[task.column] = labelled[task.column].mask(labelled[task.column].isin(missing))
            labels = [label for label in labels if label not in missing]
            known = next((replace(each, name=task.name) for each in known_tasks if each.column == task.column), None)
            try:
                table_tasks.append(known or _task_of(path, task, name, labels, no_emotion))
            except _NoLabelsError as error:
                errors.append(error)
    if not table_tasks:
        raise errors[0]
    return table_tasks, list(map(str, errors))


def _task_of(path: Path, task: tasks.Task, name: str, labels: list[str], no_emotion: str | None) -> tasks.Task:
    """The task with its classes, from the ``labels`` found in the column ``name``."""
    report_labels = {*task.labels, *task.ignored_labels}
    is_like_report = tables.plain_name(name) == task.column and not report_labels.isdisjoint(labels)
    is_emotion = task.name == EMOTION.name
    ignored = [label for label in labels if is_emotion and tasks.is_cannot_tell(label)]
    task = replace(task, ignored_labels=tuple(dict.fromkeys((*task.ignored_labels, *ignored))))
    if not is_like_report and not report_labels.issuperset(labels):
        classes = [label for label in labels if label not in ignored]
        if not classes:
            raise DataError(f"expected labels in the column {name!r} of {path}, got none; fill it in, or name another")
        if len(classes) > MOST_CLASSES:
            raise _NoLabelsError(
                f"the column {name!r} of {path} has {len(classes):,} different values, and a task at most "
                f"{MOST_CLASSES} classes{'' if is_emotion else ' (--task target: any number)'}; if you need labels of "
                f"the {task.name}, name another one with --{task.name}-column"
            )
        normalized = {label: " ".join(unicodedata.normalize("NFC", label).casefold().split()) for label in classes}
        if duplicates := [label for label in classes if list(normalized.values()).count(normalized[label]) > 1]:
            raise _NoLabelsError(
                f"the labels {listed(sorted(duplicates, key=normalized.get))} in the column {name!r} of {path} "
                "differ only in letter case, spaces or the encoding of accents; spell each one way"
            )
        neutral = tasks.no_emotion_of(classes) if is_emotion else []
        if len(neutral) > 1 and not no_emotion:
            raise UsageError(
                f"the labels {listed(neutral)} in the column {name!r} of {path} may all mean no emotion; "
                "say which does with --no-emotion"
            )
        task = replace(
            task,
            labels=tuple(sorted(classes)),
            ignored_labels=tuple(ignored),
            no_emotion=neutral[0] if neutral else None,
        )
    if is_emotion and no_emotion:
        if no_emotion not in task.labels:
            raise UsageError(
                f"--no-emotion: the column {name!r} of {path} has no label {no_emotion!r}; it has {listed(task.labels)}"
            )
        task = replace(task, no_emotion=no_emotion)
    return task


def check_schema(path: Path, frame: pd.DataFrame, table_tasks: Sequence[tasks.Task], columns: Columns) -> None:
    """Raise :class:`DataError` for the first row whose text or label cannot be used."""
    unusable = {}  # cells by column
    for task in table_tasks:
        labels = frame[task.column].dropna()
        known = [*task.labels, *task.ignored_labels, *filter(tasks.is_cannot_tell, labels)]
        unusable[task.column] = labels[~labels.isin(known)]
    texts = frame[TEXT_COLUMN]
    unusable[TEXT_COLUMN] = texts[texts.str.len() > LONGEST_TEXT]
    unusable = {column: cells for column, cells in unusable.items() if len(cells)}
    if not unusable:
        return
    column = min(unusable, key=lambda each: unusable[each].index[0])
    index, value = next(unusable[column].items())
    row = f"row {frame['row'][index] + FIRST_ROW} of the file {path}"
    if column == TEXT_COLUMN:
        raise DataError(
            f"{row} has a text of {len(value):,} characters, expected at most {LONGEST_TEXT:,}; shorten or remove it"
        )
    task = next(task for task in table_tasks if task.column == column)
    other_rows = len(unusable[column]) - 1
    note = f" (and {other_rows:,} more {plural(other_rows, 'row', 'rows')})" if other_rows else ""
    suggestions = close_names(value, task.labels)
    advice = f"did you mean {suggestions[0]!r}? Correct it" if suggestions else f"use one of {listed(task.labels)}"
    raise DataError(
        f"{row} has {quoted(value)} in {getattr(columns, task.name)!r}{note}, which is not a known label; {advice}, or "
        "empty the cell"
    )
