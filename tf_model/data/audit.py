"""Check a labelled dataset for problems before training: ``python -m tf_model.data --audit FILE``."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from tf_model import tasks
from tf_model.data import splits
from tf_model.data.dataset import FIRST_ROW, Dataset
from tf_model.errors import DataError, count_of, first_line, listed

TRAINING_NAMES = ("train", "training")
SHOWN_ROWS = 10
FOLDS = 5  # of the TF-IDF baseline that judges the labels
# The best for the product by `python -m research.baselines --choose`, on the training part of the report's split. For
# the emotion, 1 is better by 1.9 points of accuracy; its effect on the rows found is not measured.
INVERSE_PENALTY = 10.0
# Of the gradient. With scikit-learn's default, 1e-4, probabilities differ between processors by up to 0.03, because
# the last digit of a feature does.
TOLERANCE = 1e-6


def audit(dataset: Dataset, against: Dataset | None = None, split_column: str | None = None) -> dict[str, Any]:
    """Look for near-duplicates, conflicting labels, leakage, rare classes and label errors.

    Leakage is checked from ``against``, the training file, into ``dataset``; without it, between the rows that
    ``split_column`` marks "train" or "training" and its other rows; else across the report's split. Returns JSON-ready
    values without any text. Rows are numbered from 0; row 0 is row ``first_row`` of the file. Raises
    :class:`DataError` if the split column names no training or no validation row.
    """
    labelled = dataset.labelled
    frame = pd.DataFrame({"row": labelled["row"], "text": labelled[tasks.TEXT_COLUMN]})
    remarks: list[str] = []
    if against is not None:
        all_rows, training_count = pd.concat([against.labelled, labelled]), len(against.labelled)
        split = splits.Split(np.arange(training_count), np.arange(training_count, len(all_rows)))
        leakage = [_leakage(all_rows, split, f"trained on {against.path}")]
    elif split_column is not None:
        split = _split_by_column(dataset, split_column)
        leakage = [_leakage(labelled, split, f"column {split_column!r}")]
    else:
        leakage = list(_leakage_of_report_split(dataset, remarks))
    frame["group"] = splits.near_duplicate_groups(frame["text"].tolist())
    audits = {}
    for task in dataset.tasks:
        task_frame = frame.assign(label=labelled[task.column])[labelled[task.column].isin(task.labels)]
        if task_frame.empty:
            remarks.append(f"no row has a label of the task {task.name}")
        else:
            audits[task.name] = _audit_task(task_frame.reset_index(drop=True), task)
    return {
        "dataset": dataset.name,
        "path": str(dataset.path),
        "sha256": dataset.sha256,
        "rows": len(frame),
        "first_row": FIRST_ROW,
        "threshold": splits.THRESHOLD,
        "near_duplicates": [rows["row"].tolist() for rows in _groups_of_several(frame)],
        "leaks": any(each["leaks"] for each in leakage),
        "leakage": leakage,
        "tasks": audits,
        "remarks": remarks,
    }


def _groups_of_several(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The rows of each group of at least two, in the order of the groups' first rows."""
    repeated = frame[frame.duplicated("group", keep=False)]
    return (rows for _, rows in repeated.groupby("group", sort=False))


def _audit_task(frame: pd.DataFrame, task: tasks.Task) -> dict[str, Any]:
    """Audit one task; ``frame`` has the columns ``row``, ``text``, ``label`` and ``group``, indexed from 0."""
    classes = {}
    for label in task.labels:
        class_groups = frame["group"][frame["label"] == label]
        count = class_groups.nunique()
        classes[label] = {"rows": len(class_groups), "groups": count, "rare": 0 < count < FOLDS}
    is_mixed = frame.groupby("text")["label"].transform("nunique") > 1
    conflicts = [
        {"rows": rows["row"].tolist(), "labels": rows["label"].tolist(), "exact": bool(is_mixed[rows.index].any())}
        for rows in _groups_of_several(frame)
        if rows["label"].nunique() > 1
    ]
    return {"examples": len(frame), "classes": classes, "conflicts": conflicts} | _find_label_errors(frame, task)


def _find_label_errors(frame: pd.DataFrame, task: tasks.Task) -> dict[str, Any]:
    """Return ``label_errors`` with ``baseline_accuracy``, or None if they cannot be found, and a ``remark``.

    A label error is a label that the TF-IDF baseline, trained without the row, contradicts. Source: C. Northcutt,
    L. Jiang and I. Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", Journal of Artificial
    Intelligence Research 70 (2021). Classes with a single group are left out: one fold would train without them.
    """
    counts = frame.groupby("label")["group"].nunique()
    single_group_labels = [label for label in task.labels if counts.get(label) == 1]
    remark = f"too rare to check: {listed(single_group_labels)}" if single_group_labels else ""
    frame = frame[~frame["label"].isin(single_group_labels)].reset_index(drop=True)
    if frame["label"].nunique() < 2:
        remark = remark or "there is only one class"
        return {"label_errors": None, "remark": f"label errors were not checked: {remark}"}
    from sklearn.model_selection import cross_val_predict

    labels = [label for label in task.labels if counts.get(label, 0) > 1]
    ids = frame["label"].map(labels.index).to_numpy()
    try:
        folds = splits.grouped_folds(ids, frame["group"].to_numpy(), FOLDS, classes=[(ids, labels)])
        classifier, texts = tfidf_classifier(), frame["text"].tolist()
        probabilities = cross_val_predict(classifier, texts, ids, cv=folds, method="predict_proba")
    except (DataError, ValueError) as error:  # ValueError: no word occurs in two texts
        return {"label_errors": None, "remark": f"label errors were not checked: {first_line(error)}"}
    from cleanlab.filter import find_label_issues

    confidence = probabilities[np.arange(len(ids)), ids]
    errors = [
        {
            "row": int(frame["row"][position]),
            "label": frame["label"][position],
            "probability": round(float(confidence[position]), 4),
            "suggested": labels[probabilities[position].argmax()],
        }
        for position in find_label_issues(ids, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1)
    ]
    accuracy = float((probabilities.argmax(axis=1) == ids).mean())
    return {"label_errors": errors, "baseline_accuracy": accuracy, "remark": remark}


def tfidf_features() -> Any:
    """An unfitted transformer: TF-IDF of words and pairs of words, and of 2 to 5 characters inside words."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    options = {"sublinear_tf": True, "min_df": 2, "dtype": np.float32}
    return make_union(
        TfidfVectorizer(ngram_range=(1, 2), **options),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), **options),
    )


def tfidf_classifier(inverse_penalty: float = INVERSE_PENALTY) -> Any:
    """An unfitted scikit-learn pipeline from raw texts to classes: :func:`tfidf_features` and logistic regression."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    # The fastest multiclass solver on these wide, sparse vectors (a third of the time of lbfgs).
    classifier = LogisticRegression(C=inverse_penalty, solver="newton-cg", tol=TOLERANCE, max_iter=1000)
    return make_pipeline(tfidf_features(), classifier)


def _leakage_of_report_split(dataset: Dataset, remarks: list[str]) -> Iterator[dict[str, Any]]:
    for task in dataset.tasks:
        frame = dataset.labelled[dataset.labelled[task.column].isin(task.labels)]
        if frame.empty:
            continue
        try:
            split = splits.report_split(frame[task.column].map(task.labels.index).to_numpy(), labels=task.labels)
        except DataError as error:
            remarks.append(f"the random split cannot be made for the task {task.name}: {error}")
            continue
        yield _leakage(frame, split, f"the random split of --task {task.name}")


def _leakage(frame: pd.DataFrame, split: splits.Split, name: str) -> dict[str, Any]:
    rows = frame["row"].tolist()
    similarities, nearest_rows = splits.nearest(frame[tasks.TEXT_COLUMN].tolist(), split.validation, split.train)
    leaks = [
        {
            "row": rows[split.validation[index]],
            "training_row": rows[nearest_rows[index]],
            "similarity": round(float(similarities[index]), 4),
        }
        for index in np.argsort(-similarities, kind="stable")
        if similarities[index] >= splits.THRESHOLD
    ]
    return {"split": name, "training_rows": len(split.train), "validation_rows": len(split.validation), "leaks": leaks}


def _split_by_column(dataset: Dataset, column: str) -> splits.Split:
    values = dataset.labelled[column].fillna("").str.lower()
    is_training = values.isin(TRAINING_NAMES)
    split = splits.Split(np.flatnonzero(is_training), np.flatnonzero((values != "") & ~is_training))
    if not len(split.train) or not len(split.validation):
        raise DataError(
            f"expected training rows ({listed(TRAINING_NAMES)}) and validation rows in the column {column!r} of "
            f"{dataset.path}, got {listed(sorted(set(values) - {''}))}; rename them"
        )
    return split


def describe(results: dict[str, Any], texts: Mapping[int, str] | None = None) -> Iterator[str]:
    """Print-ready lines of :func:`audit`'s result: the first rows of each kind, by file row number, with ``texts``."""

    def name_rows(rows: list[tuple[int, str]]) -> Iterator[str]:
        for row, description in rows[:SHOWN_ROWS]:
            yield f"  row {row + FIRST_ROW:,}: {description}" + (f"  {texts[row]}" if texts else "")
        if len(rows) > SHOWN_ROWS:
            yield f"  ... and {len(rows) - SHOWN_ROWS:,} more; --json lists all"

    yield f"audit of {results['path']}: {results['rows']:,} rows"
    yield f"near-duplicates (cosine {results['threshold']}): {_count_groups(results['near_duplicates'])}"
    for leakage in results["leakage"]:
        leaks = leakage["leaks"]
        yield (
            f"leakage, {leakage['split']}: {len(leaks):,} of {leakage['validation_rows']:,} validation rows "
            f"({len(leaks) / leakage['validation_rows']:.1%}) have a near-duplicate among "
            f"{leakage['training_rows']:,} training rows"
        )
        template = "like training row {:,} ({:.2f})"
        yield from name_rows(
            [(leak["row"], template.format(leak["training_row"] + FIRST_ROW, leak["similarity"])) for leak in leaks]
        )
    for name, task in results["tasks"].items():
        yield f"{name}: {task['examples']:,} examples; the rows of each class, and near-duplicates counted once"
        width = max(map(len, task["classes"]))
        for label, counts in task["classes"].items():
            yield f"  {label:<{width}} {counts['rows']:>7,} {counts['groups']:>7,}" + (
                "  rare" if counts["rare"] else ""
            )
        conflicts, errors = task["conflicts"], task["label_errors"]
        exact_count = sum(conflict["exact"] for conflict in conflicts)
        yield (
            f"{name}: near-duplicates with different labels: {_count_groups([each['rows'] for each in conflicts])}, "
            f"{exact_count:,} of them with exactly the same text"
        )
        yield from name_rows([(conflict["rows"][0], _name_labels(conflict)) for conflict in conflicts])
        if errors is not None:
            share = len(errors) / task["examples"]
            yield (
                f"{name}: {len(errors):,} possible label errors ({share:.1%}), by confident learning with a TF-IDF "
                f"baseline of {task['baseline_accuracy']:.0%} accuracy; the lower that is, the less reliable they are"
            )
            template = "{label} ({probability:.2f}), perhaps {suggested}?"
            yield from name_rows([(error["row"], template.format(**error)) for error in errors])
        if task["remark"]:
            yield f"{name}: {task['remark']}"
    for remark in results["remarks"]:
        yield f"note: {remark}"


def _count_groups(groups: list[list[int]]) -> str:
    return f"{sum(map(len, groups)):,} rows in {count_of(len(groups), 'group')}"


def _name_labels(conflict: dict[str, Any]) -> str:
    rows, labels = conflict["rows"], conflict["labels"]
    # The first row of each label comes first, or four equal labels would hide the others.
    pairs = sorted(zip(rows, labels, strict=True), key=lambda pair: rows.index(pair[0]) != labels.index(pair[1]))
    return ", ".join(f"{row + FIRST_ROW:,} {label}" for row, label in pairs[:4]) + (", ..." if len(pairs) > 4 else "")
