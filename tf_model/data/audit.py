"""What is wrong with a labelled dataset before anything is trained on it.

``python -m tf_model.data --audit FILE`` prints near-duplicates, near-duplicates whose labels disagree, how much of a
validation part leaks from the training part, rare classes, and label errors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tf_model import tasks
from tf_model.data import label_errors, splits
from tf_model.data.dataset import Dataset
from tf_model.data.examples import examples
from tf_model.errors import DataError, first_line, listed, plural

if TYPE_CHECKING:
    import pandas as pd

TRAINING_NAMES = ("train", "training")
SHOWN_ROWS = 10


def audit(dataset: Dataset, against: Dataset | None = None, split_column: str | None = None) -> dict[str, Any]:
    """Look for near-duplicates, conflicting labels, leakage, rare classes and label errors.

    Args:
        dataset: What to look at.
        against: What the model is trained on; ``dataset`` is then the part that validates.
        split_column: Column of ``dataset`` that says of each row whether it trains ("train" or "training", whatever
            the case); rows where it is empty take no part, all others validate. Without it and ``against`` the report's
            split is looked at; of a table with other labels than this project's none, for nobody knows how it will be
            split.

    Returns:
        Plain values, ready for JSON, without any text. Rows are numbered as in the ``row`` column, from 0.

        - ``dataset``, ``path``, ``sha256``, ``rows``, ``first_row``: of the dataset.
        - ``threshold``: least cosine of a near-duplicate.
        - ``near_duplicates``: the rows of each group of near-duplicates.
        - ``leaks``: whether any validation row has a near-duplicate in the training part.
        - ``leakage``: for each split ``split`` (in words), ``training_rows``, ``validation_rows``, the ``leaks``, the
          most similar first (``row``, its nearest ``training_row``, their ``similarity``), and ``first_training_row``:
          what the file with the training rows calls its row 0.
        - ``tasks``: for each task of which there are labels ``examples``, ``classes`` (of each its ``rows``, its
          ``groups``, near-duplicates counted once, and whether it is ``rare``: of fewer groups than folds),
          ``conflicts`` (groups of near-duplicates that disagree: ``rows``, ``labels``, and ``exact``, whether the very
          same text does), ``label_errors`` (the surest first: ``row``, ``label``, the ``probability`` that the TF-IDF
          baseline gives to it, and the class that is ``suggested``; None where they were not looked for) and a
          ``remark`` on these.
        - ``remarks``: what was not looked for, and why.

    Raises:
        DataError: The split column names no training or no validation row.
    """
    frame = dataset.labelled
    groups = splits.near_duplicate_groups(frame[tasks.TEXT_COLUMN].tolist())
    remarks: list[str] = []
    if against is not None:
        leakage = [_leakage_between(dataset, against)]
    elif split_column is not None:
        split = _split_by_column(dataset, split_column)
        leakage = [_leakage(frame, split, f"column {split_column!r}", dataset.first_row)]
    elif all(task in tasks.TASKS.values() for task in dataset.tasks):
        leakage = list(_leakage_of_report_split(dataset, remarks))
    else:
        leakage = []
        remarks.append("leakage was not looked for: name the split with --split-column or --against")
    audits = {}
    for task in dataset.tasks:
        is_labelled = frame[task.column].isin(task.labels).to_numpy()
        if is_labelled.any():
            audits[task.name] = _audit_task(examples(dataset, task), groups[is_labelled], task)
        else:
            remarks.append(f"no row has a label of the task {task.name}")
    rows = frame["row"].to_numpy()
    return {
        "dataset": dataset.name,
        "path": str(dataset.path),
        "sha256": dataset.sha256,
        "rows": len(frame),
        "first_row": dataset.first_row,
        "threshold": splits.THRESHOLD,
        "near_duplicates": [rows[positions].tolist() for positions in _groups_of_several(groups)],
        "leaks": any(each["leaks"] for each in leakage),
        "leakage": leakage,
        "tasks": audits,
        "remarks": remarks,
    }


def rows_named(audited: dict[str, Any]) -> set[int]:
    """Every row that :func:`audit` names, training rows of another file aside."""
    rows = {row for group in audited["near_duplicates"] for row in group}
    rows |= {leak["row"] for leakage in audited["leakage"] for leak in leakage["leaks"]}
    return rows | {error["row"] for task in audited["tasks"].values() for error in task["label_errors"] or ()}


# ---------------------------------------------------------------- labels


def _groups_of_several(groups: np.ndarray) -> Iterator[np.ndarray]:
    """Positions of each group that has more than one member, by its first member."""
    order = np.argsort(groups, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    yield from sorted((part for part in parts if len(part) > 1), key=lambda part: part[0])


def _audit_task(frame: pd.DataFrame, groups: np.ndarray, task: tasks.Task) -> dict[str, Any]:
    classes = {}
    for label in task.labels:
        own = groups[frame["label"] == label]
        count = len(np.unique(own))
        classes[label] = {"rows": len(own), "groups": count, "rare": 0 < count < label_errors.FOLDS}
    errors, remark = _find_label_errors(frame, groups, task)
    return {
        "examples": len(frame),
        "classes": classes,
        "conflicts": list(_conflicts(frame, groups)),
        "label_errors": errors,
        "remark": remark,
    }


def _conflicts(frame: pd.DataFrame, groups: np.ndarray) -> Iterator[dict[str, Any]]:
    disagrees_exactly = frame.groupby("text")["label"].transform("nunique") > 1
    for positions in _groups_of_several(groups):
        labels = frame["label"][positions]
        if labels.nunique() > 1:
            exact = bool(disagrees_exactly[positions].any())
            yield {"rows": frame["row"][positions].tolist(), "labels": labels.tolist(), "exact": exact}


def _find_label_errors(
    frame: pd.DataFrame, groups: np.ndarray, task: tasks.Task
) -> tuple[list[dict[str, Any]] | None, str]:
    """The label errors, or None, and a remark. Classes of a single group are left out: some fold cannot learn them."""
    if not label_errors.is_available():
        return None, "label errors need the package cleanlab: `pip install cleanlab==2.9.0`"
    alone = [label for label in task.labels if len(set(groups[frame["label"] == label])) == 1]
    is_kept = ~frame["label"].isin(alone).to_numpy()
    remark = f"too rare to be judged: {listed(alone)}" if alone else ""
    if not is_kept.any():
        return None, f"label errors were not looked for: {remark}"
    frame, groups = frame[is_kept].reset_index(drop=True), groups[is_kept]
    ids = frame["label_id"].to_numpy()
    try:
        folds = splits.grouped_folds(ids, groups, label_errors.FOLDS, classes=[(ids, task.labels)])
        probabilities = label_errors.out_of_fold(frame["text"].tolist(), ids, folds, len(task.labels))
    except (DataError, ValueError) as error:  # ValueError: one class only, or no word that occurs twice
        return None, f"label errors were not looked for: {first_line(error)}"
    confidence = label_errors.label_confidence(ids, probabilities)
    errors = [
        {
            "row": int(frame["row"][at]),
            "label": frame["label"][at],
            "probability": round(float(confidence[at]), 4),
            "suggested": task.labels[probabilities[at].argmax()],
        }
        for at in label_errors.find_label_errors(ids, probabilities)
    ]
    return errors, remark


# ---------------------------------------------------------------- leakage


def _leakage_of_report_split(dataset: Dataset, remarks: list[str]) -> Iterator[dict[str, Any]]:
    for task in dataset.tasks:
        frame = dataset.labelled[dataset.labelled[task.column].isin(task.labels)]
        if frame.empty:
            continue
        try:
            split = splits.report_split(frame[task.column].map(task.labels.index).to_numpy(), labels=task.labels)
        except DataError as error:
            remarks.append(f"the report's split of the task {task.name} cannot be made: {error}")
            continue
        yield _leakage(frame, split, f"the report's split of {task.name}", dataset.first_row)


def _leakage_between(dataset: Dataset, against: Dataset) -> dict[str, Any]:
    import pandas as pd

    positions, trained = np.arange(len(against.labelled) + len(dataset.labelled)), len(against.labelled)
    split = splits.Split(positions[:trained], positions[trained:])
    frame = pd.concat([against.labelled, dataset.labelled])
    return _leakage(frame, split, f"trained on {against.path}", against.first_row)


def _leakage(frame: pd.DataFrame, split: splits.Split, name: str, first_training_row: int) -> dict[str, Any]:
    rows = frame["row"].tolist()
    similarity, training = splits.nearest(frame[tasks.TEXT_COLUMN].tolist(), split.validation, split.train)
    leaks = [
        {
            "row": rows[split.validation[at]],
            "training_row": rows[training[at]],
            "similarity": min(round(float(similarity[at]), 4), 1.0),
        }
        for at in np.argsort(-similarity, kind="stable")
        if similarity[at] >= splits.THRESHOLD
    ]
    return {
        "split": name,
        "training_rows": len(split.train),
        "validation_rows": len(split.validation),
        "leaks": leaks,
        "first_training_row": first_training_row,
    }


def _split_by_column(dataset: Dataset, column: str) -> splits.Split:
    values = dataset.labelled[column].fillna("").str.lower()
    is_training = values.isin(TRAINING_NAMES)
    split = splits.Split(np.flatnonzero(is_training), np.flatnonzero((values != "") & ~is_training))
    if not len(split.train) or not len(split.validation):
        raise DataError(
            f"expected rows to train ({listed(TRAINING_NAMES)}) and others to validate in the column {column!r} of "
            f"{dataset.path}, got {listed(sorted(set(values) - {''}))}; rename them"
        )
    return split


# ---------------------------------------------------------------- in words


def describe(audited: dict[str, Any], texts: Mapping[int, str] | None = None) -> Iterator[str]:
    """What :func:`audit` returns, in lines; of each kind the first rows, with their ``texts`` (by row) if given.

    Rows are numbered as a spreadsheet shows them, the header being row 1; those of JSON lines by the line, those of
    Parquet from 1.
    """
    first_row = audited["first_row"]

    def name_rows(rows: list[tuple[int, str]]) -> Iterator[str]:
        for row, words in rows[:SHOWN_ROWS]:
            yield f"  row {row + first_row:,}: {words}" + (f"  {texts[row]}" if texts else "")
        if len(rows) > SHOWN_ROWS:
            yield f"  ... and {len(rows) - SHOWN_ROWS:,} more; --json names all"

    yield f"audit of {audited['path']}: {audited['rows']:,} rows"
    yield f"near-duplicates (cosine {audited['threshold']}): {_count_groups(audited['near_duplicates'])}"
    for leakage in audited["leakage"]:
        leaks, first = leakage["leaks"], leakage["first_training_row"]
        yield (
            f"leakage, {leakage['split']}: {len(leaks):,} of {leakage['validation_rows']:,} validation rows "
            f"({len(leaks) / leakage['validation_rows']:.1%}) have a near-duplicate among "
            f"{leakage['training_rows']:,} training rows"
        )
        like = "like training row {:,} ({:.2f})"
        yield from name_rows(
            [(leak["row"], like.format(leak["training_row"] + first, leak["similarity"])) for leak in leaks]
        )
    for name, task in audited["tasks"].items():
        yield f"{name}: {task['examples']:,} examples; the rows of each class, and near-duplicates counted once"
        width = max(map(len, task["classes"]))
        for label, count in task["classes"].items():
            yield f"  {label:<{width}} {count['rows']:>7,} {count['groups']:>7,}" + ("  rare" if count["rare"] else "")
        conflicts, errors = task["conflicts"], task["label_errors"]
        exact = sum(conflict["exact"] for conflict in conflicts)
        yield (
            f"{name}: near-duplicates with different labels: {_count_groups([each['rows'] for each in conflicts])}, "
            f"{exact:,} of them with the very same text"
        )
        yield from name_rows([(conflict["rows"][0], _name_labels(conflict, first_row)) for conflict in conflicts])
        if errors is not None:
            share = len(errors) / task["examples"]
            yield f"{name}: {len(errors):,} probable label errors ({share:.1%}), by confident learning"
            rather = "{label} ({probability:.2f}), rather {suggested}?"
            yield from name_rows([(error["row"], rather.format(**error)) for error in errors])
        if task["remark"]:
            yield f"{name}: {task['remark']}"
    for remark in audited["remarks"]:
        yield f"note: {remark}"


def _count_groups(groups: list[list[int]]) -> str:
    return f"{sum(map(len, groups)):,} rows in {len(groups):,} {plural(len(groups), 'group', 'groups')}"


def _name_labels(conflict: dict[str, Any], first_row: int) -> str:
    pairs = list(zip(conflict["rows"], conflict["labels"], strict=True))
    return ", ".join(f"{row + first_row:,} {label}" for row, label in pairs[:4]) + (", ..." if len(pairs) > 4 else "")
