"""Extra labelled texts, such as users' corrections: used for training, never for validation."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_model import cli, paths, tasks
from tf_model.data import splits
from tf_model.data.dataset import FIRST_ROW, Dataset, Dropped, check_schema, read
from tf_model.data.examples import SPAN, TrainingRows, products_of, training_rows
from tf_model.data.products import Products
from tf_model.errors import DataError, UsageError, count_of
from tf_model.preprocessing.cleaning import mark

if TYPE_CHECKING:
    import pandas as pd


def join(
    path: Path | str, dataset: Dataset, rows: TrainingRows, split: splits.Split, products: Products | None = None
) -> tuple[TrainingRows, splits.Split, dict[str, Any]]:
    """Add the rows of a file, labelled like the dataset, to the training part of a split, and print what is left out.

    Also returns, for ``metrics.json``, the file's name and sha256, and how many rows are used and left out; no text.
    The new rows follow the dataset's rows; the validation part stays the same. Texts that the dataset labels, for
    ``target`` only with the same product or with none, and near-duplicates of validation texts are left out. A row with
    a span labels one mention and is used for ``target`` only. Raises :class:`DataError` if the file cannot be used, or
    no row of it is left.
    """
    import pandas as pd

    is_target = rows.tasks[0].name == tasks.TARGET.name
    known_tasks = [task for task in dataset.tasks if task.name != tasks.PRODUCT.name]  # any product can be mentioned
    file = read(path, known_tasks=known_tasks, preferred=dataset.columns)
    with suppress(UsageError):  # most files have no spans
        file = read(path, SPAN, file.columns, known_tasks=known_tasks)
    frame, dropped = _with_spans(file), list(file.dropped)

    def leave_out(reason: str, mask: Any) -> None:
        nonlocal frame
        if mask.any():
            dropped.append(Dropped(reason, tuple(frame["row"][mask])))
        frame = frame[~mask]

    if not is_target:
        leave_out("about one mention, for --task target only", frame["start"].notna())
        check_schema(file.path, frame, rows.tasks, file.columns)
    has_label = np.any([frame[task.column].isin(task.labels) for task in rows.tasks], axis=0)
    # Before duplicates are dropped: a row without a label must not replace an earlier one that has one.
    leave_out("no label to learn", ~has_label)
    of_product = " and product" * is_target
    is_repeated, is_renamed = _is_repeated(frame, is_target)
    leave_out(f"{'another' if is_target else 'a later'} row has the same text{of_product}", is_repeated)
    leave_out("a later row is about the same words", is_renamed[~is_repeated])
    learned = dataset.labelled[dataset.labelled["row"].isin(rows.rows)]
    leave_out(f"text{of_product} already in the dataset, whose label counts", _is_learned(frame, learned, is_target))
    products = (products or products_of(dataset)) if is_target else None
    is_near = splits.near_validation(frame[tasks.TEXT_COLUMN], rows, split, dataset.labelled[tasks.TEXT_COLUMN])
    if products:  # a mention may read like one that validates, whatever product either names
        validated = {splits.bare_words(splits.as_read(rows.texts[position])) for position in split.validation}
        is_near |= np.array([not validated.isdisjoint(_read_of(row, products)) for row in frame.itertuples()], bool)
    leave_out("near-duplicate of a validation text", is_near)
    new_rows = frame.assign(row=int(dataset.labelled["row"].max()) + 1 + np.arange(len(frame)))
    all_labelled = pd.concat([dataset.labelled, new_rows], ignore_index=True)
    name = tasks.name_of(task.name for task in rows.tasks)
    all_rows = training_rows(replace(dataset, labelled=all_labelled), name, products)
    leave_out("the product of its label is not named", ~new_rows["row"].isin(all_rows.rows))
    used = f"{count_of(len(frame), 'row')} of {paths.shown(file.path)} to train with"
    used += f" (columns: {file.columns.describe()})" * (file.columns != dataset.columns)
    lines = [f"extra: {line}" for line in (used, *file.warnings, *(each.describe() for each in dropped))]
    if frame.empty:
        raise DataError(f"expected new rows to train on, got {'; '.join(lines)}")
    for line in lines:
        cli.say(line)
    left_out = {each.reason: len(each.rows) for each in dropped}
    extra = {"file": file.path.name, "sha256": file.sha256, "rows": len(frame), "left_out": left_out}
    # A label of the dataset that was only assumed is gone where a new row labels the mention.
    mentions = set(zip(all_rows.rows, all_rows.texts, strict=True))
    is_kept = np.array([mention in mentions for mention in zip(rows.rows, rows.texts, strict=True)])
    positions = np.cumsum(is_kept) - 1
    train, validation = (positions[part[is_kept[part]]] for part in split)
    return all_rows, splits.Split(np.append(train, np.arange(is_kept.sum(), len(all_rows))), validation), extra


def _with_spans(file: Dataset) -> pd.DataFrame:
    """The rows of a file with the columns :data:`SPAN`, float, missing where the label is about the whole text."""
    import pandas as pd

    cells = file.labelled.reindex(columns=SPAN)
    spans = cells.apply(pd.to_numeric, errors="coerce")
    lengths = file.labelled[tasks.TEXT_COLUMN].str.len()
    is_span = (spans % 1 == 0).all(axis=1) & (spans["start"] >= 0) & (spans["start"] < spans["end"])
    is_wrong = cells.notna().any(axis=1) & ~(is_span & (spans["end"] <= lengths))
    if is_wrong.any():
        row = file.labelled["row"][is_wrong].iloc[0] + FIRST_ROW
        raise DataError(
            f"row {row} of the file {file.path}: expected start and end to be character positions, counted from 0, "
            f"got {' and '.join(cells[is_wrong].iloc[0].fillna('nothing'))}; correct them, or leave both empty"
        )
    return file.labelled.assign(**spans)


def _is_repeated(frame: pd.DataFrame, is_target: bool) -> tuple[np.ndarray, np.ndarray]:
    """Whether another row labels the same text (and product), and whether a later one the same span: bool [N] each.

    The last row counts. But a label of a mention is more exact than one of the whole text, or of no product, whichever
    is later. The same words under another product are the same input, since the name is masked.
    """
    import pandas as pd

    keys, has_span = pd.Series(_keys(frame, is_target)), frame["start"].notna().to_numpy()
    is_repeated = keys.iloc[np.argsort(has_span, kind="stable")].duplicated(keep="last").sort_index().to_numpy()
    spanned = {text for text, _ in keys[has_span]}
    is_repeated = is_repeated | ~has_span & np.array([not product and text in spanned for text, product in keys], bool)
    return is_repeated, has_span & frame.duplicated([tasks.TEXT_COLUMN, *SPAN], keep="last").to_numpy()


def _is_learned(frame: pd.DataFrame, learned: pd.DataFrame, is_target: bool) -> np.ndarray:
    """Whether the rows ``learned`` have a label of the same text, for ``target`` of the same product, bool [N].

    A label without a product holds for each one that the text names.
    """
    keys = set(_keys(learned, is_target))
    texts = {text for text, _ in keys}
    is_learned = [
        (text, product) in keys or (text, "") in keys or (not product and text in texts)
        for text, product in _keys(frame, is_target)
    ]
    return np.array(is_learned, bool)


def _read_of(row: Any, products: Products) -> set[str]:
    """What a model of targets reads of each mention in a row with a text and, perhaps, a span."""
    text, spans = getattr(row, tasks.TEXT_COLUMN), [(row.start, row.end)]
    if np.isnan(row.start):
        spans = [(mention.start, mention.end) for mention in products.first_mentions(text).values()]
    return {splits.bare_words(splits.as_read(mark(text, int(start), int(end)))) for start, end in spans}


def _keys(frame: Any, is_target: bool) -> list[tuple[str, str]]:
    """The stripped text of each row and, for ``target``, its product; empty if it has none."""
    products = frame[tasks.PRODUCT_COLUMN].fillna("") if is_target else [""] * len(frame)
    return list(zip(frame[tasks.TEXT_COLUMN].str.strip(), products, strict=True))
