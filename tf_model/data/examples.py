"""The rows of a dataset that a model can learn from, with the ids of their classes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path

import numpy as np

from tf_model import cli, model_dir, paths, tasks
from tf_model.data.dataset import MOST_CLASSES, Dataset
from tf_model.data.products import Mention, Products, read_products
from tf_model.errors import DataError, UsageError, close_names, listed, plural
from tf_model.preprocessing.cleaning import mark

SPAN = ("start", "end")  # columns in a file of corrections: the character positions of one mention


@dataclass(frozen=True)
class TrainingRows:
    """The rows that a model is trained and evaluated on."""

    tasks: tuple[tasks.Task, ...]
    rows: np.ndarray  # int64 [N], row numbers in the file
    texts: list[str]
    label_ids: np.ndarray  # int64 [N, tasks], -1 where a text has no label of a task
    is_weak: np.ndarray | None = None  # bool [N], whether the label is assumed: for training, not for evaluation
    targets: np.ndarray | None = None  # float32 [N, classes of all tasks]: soft targets, learned instead of labels

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def strata(self) -> np.ndarray:
        """What splits are stratified by: each row's first label, numbered across all tasks, int64 [N]."""
        offsets = np.cumsum([0, *(len(task.labels) for task in self.tasks)])
        task_positions = (self.label_ids != tasks.NO_LABEL).argmax(axis=1)
        return offsets[task_positions] + self.label_ids[np.arange(len(task_positions)), task_positions]

    @property
    def strata_names(self) -> tuple[str, ...]:
        """The names of the strata: the classes of all tasks, in order."""
        return sum((task.labels for task in self.tasks), ())

    @property
    def judged_ids(self) -> np.ndarray:
        """The labels for evaluation, int64 [N, tasks]: -1 also where a label is only assumed."""
        if self.is_weak is None:
            return self.label_ids
        return np.where(self.is_weak[:, None], tasks.NO_LABEL, self.label_ids)

    def take(self, positions: np.ndarray) -> TrainingRows:
        """The rows at these positions, in the order of ``positions``."""
        return replace(
            self,
            rows=self.rows[positions],
            texts=[self.texts[position] for position in positions],
            label_ids=self.label_ids[positions],
            is_weak=None if self.is_weak is None else self.is_weak[positions],
            targets=None if self.targets is None else self.targets[positions],
        )

    def numbered(self, numbers: np.ndarray) -> TrainingRows:
        """The rows with these numbers in the file, in file order."""
        return self.take(np.flatnonzero(np.isin(self.rows, numbers)))


def training_rows(dataset: Dataset, name: str, products: Products | None = None) -> TrainingRows:
    """The rows with a label of the task ``name``, or, for ``answer``, of either task, in file order.

    For ``target`` a text has one row for each of the ``products`` (default: :func:`products_of`) that it names, with
    the first mention marked. The labelled product gets the emotion; in a text labelled "no emotion" without a product,
    all get "no emotion". For any other product "no emotion" is only assumed, because the report's annotators named one
    product, not all. Texts whose emotion has no product, or a product that they do not name, are left out. A row with
    a :data:`SPAN` marks exactly that mention.

    The product of a tweet with an emotion but no product label is *unknown*, not absent. Raises :class:`DataError` if
    a task has no column or no row.
    """
    import pandas as pd

    is_target = name == tasks.TARGET.name
    names = [task.name for task in tasks.ANSWER_TASKS] if is_target or name == tasks.ANSWER else [name]
    row_tasks = tuple(task for task in dataset.tasks if task.name in names)
    possible = [task.name for task in dataset.tasks]
    if dataset.columns.product and tasks.EMOTION.name in possible:
        possible.append(tasks.TARGET.name)  # it needs no class for each product
    missing = [each for each in names if each not in possible]
    if missing and name not in possible:
        alternatives = " or ".join(f"--task {each}" for each in possible)
        raise DataError(
            f"--task {name} needs a column of {missing[0]}s, but none in {dataset.path} has a usual name, one spelling "
            f"of each label and at most {MOST_CLASSES} different values; name it with --{missing[0]}-column, or "
            f"choose {alternatives}"
        )
    # -1, tasks.NO_LABEL, where a row has no label of a task.
    ids_by_task = [pd.Index(task.labels).get_indexer(dataset.labelled[task.column]) for task in row_tasks]
    label_ids = np.stack(ids_by_task, axis=1)
    for task, ids in zip(row_tasks, label_ids.T, strict=True):
        if (ids == tasks.NO_LABEL).all():
            raise DataError(
                f"expected labels of the task {task.name!r} in the column {getattr(dataset.columns, task.name)!r} of "
                f"{dataset.path}, got none; add labels, or choose another task"
            )
    if is_target:
        return _target_rows(dataset, row_tasks[-1], products or products_of(dataset))
    is_labelled = (label_ids != tasks.NO_LABEL).any(axis=1)
    frame = dataset.labelled[is_labelled]
    texts = frame[tasks.TEXT_COLUMN].tolist()
    return TrainingRows(row_tasks, frame["row"].to_numpy(), texts, label_ids[is_labelled])


def products_of(dataset: Dataset) -> Products:
    """The products among a dataset's labels, with the known aliases if they are the report's.

    Without a product column, the report's products; :func:`training_rows` reports the missing column.
    """
    labels = sorted(dataset.labelled[tasks.PRODUCT_COLUMN].dropna().unique())
    is_known = set(labels) <= set(tasks.PRODUCTS)
    return read_products(paths.PRODUCTS) if is_known else Products(dict.fromkeys(labels, ()))


def products_for(name: str, path: Path | None, dataset: Dataset) -> Products | None:
    """The products whose mentions the task ``name`` learns, listed in the file ``path`` if given; None for other tasks.

    Raises :class:`UsageError` if a file is given for another task.
    """
    if name == tasks.TARGET.name:
        return read_products(path) if path else products_of(dataset)
    if path:
        raise UsageError(f"--products needs --task {tasks.TARGET.name}; add it")
    return None


def products_to_judge(name: str, folder: Path, dataset: Dataset, path: Path | None = None) -> Products | None:
    """The products whose mentions judge a model of the task ``name`` in ``folder``; None for other tasks than target.

    They are those of the file ``path`` if given, else of the model's list, or of the dataset if the list was edited and
    lacks one that the model was validated on. Raises :class:`UsageError` if a file is given for another task.
    """
    if path and name != tasks.TARGET.name:
        raise UsageError(f"--products needs a model of the task {tasks.TARGET.name}; name one, or leave it out")
    if path or name != tasks.TARGET.name:
        return products_for(name, path, dataset)
    own = read_products(folder / model_dir.PRODUCTS)
    return own if model_dir.validated_products(folder) <= own.aliases.keys() else products_of(dataset)


def _target_rows(dataset: Dataset, emotion: tasks.Task, products: Products) -> TrainingRows:
    frame = dataset.labelled.reindex(columns=["row", *tasks.COLUMNS, *SPAN])
    labelled = list(frame[frame[emotion.column].isin(emotion.labels)].itertuples(index=False, name=None))
    # A file may label each product in its own row.
    labelled_pairs = {(text.strip(), target) for _, text, target, *_ in labelled}
    first_targets: dict[str, str] = {}  # of each text: what is assumed about its other products is added once
    row_numbers, texts, label_ids, is_weak = [], [], [], []
    for row, text, target, emotion_label, start, end in labelled:
        has_span = not np.isnan(start)
        mentions = {target: Mention(target, int(start), int(end))} if has_span else products.first_mentions(text)
        is_for_all = has_span or (not isinstance(target, str) and emotion_label == emotion.no_emotion)
        if not is_for_all and target not in mentions:
            continue
        key = text.strip()
        can_assume = emotion.neutral is not None and not is_for_all and first_targets.setdefault(key, target) == target
        for name, mention in mentions.items():
            is_labelled = is_for_all or name == target
            if is_labelled or (can_assume and (key, name) not in labelled_pairs):
                row_numbers.append(row)
                texts.append(mark(text, mention.start, mention.end))
                label_ids.append(emotion.labels.index(emotion_label) if is_labelled else emotion.neutral)
                is_weak.append(not is_labelled)
    if not texts:
        raise DataError(
            f"no text of {dataset.path} names the product of its label; list the products' other names in --products, "
            "and spell the labels as the names there"
        )
    task = replace(emotion, name=tasks.TARGET.name)
    label_ids = np.array(label_ids, np.int64)[:, None]
    return TrainingRows((task,), np.array(row_numbers), texts, label_ids, is_weak=np.array(is_weak))


def checked_rows(dataset: Dataset, name: str, products: Products | None = None) -> TrainingRows:
    """:func:`training_rows`, checked; what a model cannot learn from them is noted on standard error.

    Raises :class:`DataError` if a class has a single example, or there is only one class.
    """
    rows = training_rows(dataset, name, products)
    for task, ids in zip(rows.tasks, rows.label_ids.T, strict=True):
        counts = np.bincount(ids[ids != tasks.NO_LABEL], minlength=len(task.labels))
        absent, rare, present = (list(compress(task.labels, mask)) for mask in (counts == 0, counts == 1, counts > 0))
        if rare:
            learnable = [label for label in present if label not in rare]
            similar_labels = [each for label in rare for each in close_names(label, learnable)]
            raise DataError(
                f"expected at least 2 examples of each class of the task {task.name!r}, got a single one of "
                f"{listed(rare, 5)}; add more, or leave {plural(len(rare), 'this class', 'these classes')} out"
                + (f"; did you mean {listed(similar_labels, 5)}?" if similar_labels else "")
                + ("" if learnable else "; if these are not labels, name another column, see --help")
            )
        if len(present) < 2:
            raise DataError(
                f"expected examples of at least two classes of the task {task.name!r}, got only {listed(present)}; "
                "add examples of another class"
            )
        if absent:
            cli.say(f"note: no example of {', '.join(absent)}; the model will hardly ever predict it")
        for label in task.ignored_labels if name != tasks.TARGET.name else ():
            if count := int((dataset.labelled[task.column] == label).sum()):
                noun = plural(count, "row is", "rows are")
                cli.say(f"note: {count:,} {noun} {label!r} and left out of the task {task.name}")
        if task.neutral is None and task.name != tasks.PRODUCT.name and name != tasks.EMOTION.name:
            result = "each product gets" if name == tasks.TARGET.name else "every answer names"
            cli.say(f'note: no class stands for "no emotion", so {result} some emotion; see --no-emotion')
    say_unnamed(dataset, rows)
    return rows


def say_unnamed(dataset: Dataset, rows: TrainingRows) -> None:
    """Note on standard error how many rows of the dataset gave no example of the task target, if ``rows`` are of it."""
    if rows.tasks[0].name != tasks.TARGET.name:
        return
    frame = dataset.labelled
    emotions = frame[tasks.EMOTION_COLUMN]
    is_lost = emotions.isin(rows.tasks[0].labels) & ~frame["row"].isin(rows.rows)
    has_product = frame[tasks.PRODUCT_COLUMN].notna()
    if count := int((is_lost & has_product).sum()):
        noun = plural(count, "row is left out: its text does", "rows are left out: their texts do")
        cli.say(
            f"note: {count:,} {noun} not name the labelled product; list its other names in --products, and spell the "
            "labels as the names there"
        )
    if count := int((is_lost & ~has_product & (emotions != rows.tasks[0].no_emotion)).sum()):
        cli.say(f"note: rows with an emotion, but without a product, were left out: {count:,}")
