"""What all studies share: rows and folds, out-of-fold scores that are kept, metrics, and paired differences."""

import argparse
import hashlib
import json
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from research import runs
from research.methods.baseline_models import Method
from research.runs import UNCHANGED, pack, unpack
from tf_model import cli, data, device, paths, tasks
from tf_model.data import splits
from tf_model.device import versions
from tf_model.evaluation import joint_metrics
from tf_model.evaluation.calibration import accuracy_at_coverage
from tf_model.evaluation.comparison import paired_test
from tf_model.evaluation.joint_metrics import COVERAGE
from tf_model.evaluation.metrics import evaluate_probabilities
from tf_model.io.files import whole_file
from tf_model.preprocessing.cleaning import CLEANINGS
from tf_model.training.cross_validation import FOLD_SEED, FOLDS

REPORT, GROUPED = "report", "grouped"
PROTOCOLS = (GROUPED, REPORT)
PROBLEMS = (*tasks.TASKS, tasks.ANSWER)


# ---------------------------------------------------------------- the command


def parser(
    name: str, description: str, methods: Mapping[str, Method] = {}, quick: Sequence[str] = ()
) -> argparse.ArgumentParser:
    """A parser for ``python -m research.<name>`` with ``--data``, and with ``--methods`` if there are ``methods``."""
    command_parser = cli.parser(f"research.{name}", description)
    command_parser.add_argument(
        "--data", type=Path, help="an .xlsx, .csv or .tsv file (default: TWEETS_DATA, else search)"
    )
    if methods:
        default = list(quick) or [method.name for method in methods.values() if not method.slow]
        command_parser.add_argument(
            "--methods", nargs="+", choices=list(methods), default=default, help="others may take hours"
        )
    return command_parser


def command_line(name: str, argv: Sequence[str] | None) -> str:
    """The command as it was given, for the record, without ``--data``: its path holds on this machine only."""
    hidden = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    hidden.add_argument("--data")
    _, options = hidden.parse_known_args(argv)
    return shlex.join(["python", "-m", f"research.{name}", *options])


# ---------------------------------------------------------------- rows and folds


@dataclass(frozen=True, eq=False)
class Problem:
    """Rows to classify, and their folds."""

    name: str  # "product", "emotion", or "answer" for both on the same rows
    rows: data.TrainingRows  # rows without a label of a task are predicted but not trained on
    groups: np.ndarray  # of near-duplicates, int64 [N]
    folds: Mapping[str, Sequence[splits.Split]]  # by protocol
    data_sha256: str  # of the file that the rows are from

    def label_ids(self, task: tasks.Task) -> np.ndarray:
        """Class ids of a task, int64 [N], -1 where there is none."""
        return self.rows.label_ids[:, self.rows.tasks.index(task)]


def make_problem(dataset: data.Dataset, name: str, fold_seed: int = FOLD_SEED) -> Problem:
    """Rows, groups and folds exactly as ``python -m tf_model.evaluate --task NAME`` makes them."""
    rows = data.training_rows(dataset, name)
    groups = splits.near_duplicate_groups(rows.texts)
    report = splits.report_split(rows.strata, labels=rows.strata_names)
    folds = {REPORT: (report,), GROUPED: splits.folds_of(rows, groups, FOLDS, fold_seed)}
    return Problem(name, rows, groups, folds, dataset.sha256)


def size_of(problem: Problem) -> dict[str, Any]:
    """The values in a record that identify the rows of a run."""
    return {"data_sha256": problem.data_sha256, "rows": len(problem.rows), "groups": int(problem.groups.max()) + 1}


# ---------------------------------------------------------------- out-of-fold scores


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Scores of rows by models that were not fitted on them.

    ``scores`` is float32 [N, classes], NaN in rows that are in no validation part. A method without probabilities
    scores 1 for the predicted class and 0 for the others.
    """

    scores: np.ndarray
    seconds: float  # of fitting and predicting

    @property
    def predicted(self) -> np.ndarray:
        """Class ids, int64 [N], -1 in rows that are in no validation part."""
        return np.where(np.isnan(self.scores).any(axis=1), -1, self.scores.argmax(axis=1))


def score_folds(
    name: str,
    depends_on: Sequence[Any],
    rows: int,
    folds: Sequence[splits.Split],
    fit_and_score: Callable[[splits.Split], np.ndarray],
    title: str = "",
) -> OutOfFold:
    """Score each row with a model that was fitted without it. Finished folds are kept, so a stopped run resumes.

    ``fit_and_score`` returns the scores of the validation part, float [V, classes]; ``depends_on`` is everything that
    decides the scores besides the folds and the versions. A ``title`` is printed with each fold.
    """
    fold_rows = [[split.train.tolist(), split.validation.tolist()] for split in folds]
    text = json.dumps([*depends_on, fold_rows, versions(), version("scikit-learn")], sort_keys=True)
    path = paths.CHECKPOINTS / ".studies" / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.npz"
    all_scores, seconds = None, 0.0
    for number, split in enumerate(folds, start=1):
        fold_path = path.with_suffix(f".fold-{number}.npz")
        if not fold_path.is_file():
            if title:
                cli.say(f"{title}, fold {number} of {len(folds)}")
            begin = time.perf_counter()
            scores = fit_and_score(split)
            with whole_file(fold_path) as new, new.open("wb") as file:
                np.savez(file, scores=scores, seconds=time.perf_counter() - begin)
        with np.load(fold_path, allow_pickle=False) as fold_result:
            if all_scores is None:
                all_scores = np.full((rows, fold_result["scores"].shape[1]), np.nan, np.float32)
            all_scores[split.validation] = fold_result["scores"]
            seconds += float(fold_result["seconds"])
    return OutOfFold(all_scores, seconds)


def precision_and_gpus() -> list[Any]:
    """What of the machine decides a trained network's scores: the number format, and how many GPUs there are."""
    runtime = device.prepare(0)
    return [runtime.precision, runtime.gpus]


def run_of_this_format(name: str) -> str:
    """The name of a run whose trainings are compared: a difference between number formats must not pass for a gain."""
    precision, _ = precision_and_gpus()
    return name if precision == "mixed_bfloat16" else f"{name}_{precision}"


def score_method(method: Method, problem: Problem, task: tasks.Task, protocol: str, seed: int) -> OutOfFold:
    """Scores of a method for all validation rows, fitted on each fold's training rows with a label of the task."""
    label_ids, folds = problem.label_ids(task), problem.folds[protocol]
    name = f"{method.name}-{task.name}-of-{problem.name}-{protocol}-seed-{seed}"

    def fit_and_score(split: splits.Split) -> np.ndarray:
        inputs = method.inputs(problem.rows.texts)
        train = split.train[label_ids[split.train] != tasks.NO_LABEL]
        model = method.make(task, seed).fit(inputs[train], label_ids[train])
        if not method.has_probabilities:
            return np.eye(len(task.labels), dtype=np.float32)[model.predict(inputs[split.validation])]
        scores = np.zeros((len(split.validation), len(task.labels)), np.float32)
        scores[:, model.classes_] = model.predict_proba(inputs[split.validation])
        return scores

    title = f"{method.name}, {task.name}, {protocol}, seed {seed}" if method.slow else ""
    cleanings = [asdict(each) for each in CLEANINGS.values()]  # the settings hold the name of one
    machine = precision_and_gpus() if method.slow else []
    depends_on = problem.data_sha256, problem.rows.rows.tolist(), method.settings, cleanings, machine
    return score_folds(name, depends_on, len(problem.rows), folds, fit_and_score, title)


# ---------------------------------------------------------------- metrics


def evaluate(
    task: tasks.Task, label_ids: np.ndarray, result: OutOfFold, has_probabilities: bool = True
) -> dict[str, Any]:
    """Metrics of one task over the rows that were predicted and have a label, without the confusion matrix.

    ``accuracy_at_80_percent`` is added; a method without probabilities has neither that nor a loss.
    """
    rows = np.flatnonzero((result.predicted >= 0) & (label_ids != tasks.NO_LABEL))
    label_ids, scores = label_ids[rows], result.scores[rows]
    metrics = evaluate_probabilities(label_ids, scores, task.labels)
    del metrics["confusion_matrix"]
    if has_probabilities:
        correct = scores.argmax(axis=1) == label_ids
        metrics["accuracy_at_80_percent"] = accuracy_at_coverage(scores.max(axis=1), correct, COVERAGE)
    else:
        del metrics["loss"]
    return metrics


# By question: positions of the rows that can be judged, int64 [M], and whether each is predicted correctly, bool [M].
Correct = Mapping[str, tuple[np.ndarray, np.ndarray]]


def correct_by_question(problem: Problem, scores: np.ndarray) -> Correct:
    """Which rows of each question are predicted correctly, by scores float [N, classes of all tasks], NaN for none.

    If the problem has both tasks on the same rows, the whole answer is a question too.
    """
    rows = np.flatnonzero(~np.isnan(scores).any(axis=1))
    correct = joint_metrics.correct_by_question(problem.rows.take(rows), scores[rows])
    return {name: (rows[positions], is_right) for name, (positions, is_right) in correct.items() if name in PROBLEMS}


def packed(correct: Correct) -> dict[str, str]:
    """Which rows of each question are predicted correctly, for the record."""
    return {question: pack(is_correct) for question, (_, is_correct) in correct.items()}


def unpacked(record: Mapping[str, str], rows: Mapping[str, np.ndarray]) -> Correct:
    """The inverse of :func:`packed`, for the questions of ``rows``, see :func:`question_rows`."""
    return {key: (rows[key], unpack(record[key], len(rows[key]))) for key in rows if key in record}


def question_rows(problem: Problem, protocol: str = GROUPED) -> dict[str, np.ndarray]:
    """Positions of the rows on which each question can be judged under a protocol, int64 [rows], by question."""
    positions = np.sort(np.concatenate([split.validation for split in problem.folds[protocol]]))
    rows = {task.name: positions[problem.label_ids(task)[positions] != tasks.NO_LABEL] for task in problem.rows.tasks}
    return rows | ({tasks.ANSWER: rows[tasks.EMOTION.name]} if problem.name == tasks.ANSWER else {})


# ---------------------------------------------------------------- one thing at a time


def is_recorded_config(recorded: Mapping[str, Any], settings: Any) -> bool:
    """Whether a recorded training configuration equals ``settings``; fields added since then have their defaults."""
    return type(settings).from_dict(recorded) == settings


def load_to_extend(name: str, identity: Mapping[str, Any], settings: Any = None) -> dict[str, Any]:
    """The recorded run if its values of ``identity`` (data, rows, folds) are equal, else a new run with only these.

    The ``settings`` of its trainings, if given, must be equal too.
    """
    run = runs.load(name)
    is_same = run and all(run.get(key) == value for key, value in identity.items())
    if is_same and (settings is None or is_recorded_config(run.get("recipe", {}), settings)):
        return run
    return dict(identity) | ({} if settings is None else {"recipe": settings.to_dict()})


def with_unchanged(variants: Mapping[str, Any], chosen: Sequence[str], recorded: Mapping[str, Any], seed: int) -> list:
    """The ``variants`` to measure with a seed: those ``chosen``, and :data:`UNCHANGED` if the record lacks it."""
    missing = str(seed) not in recorded.get(UNCHANGED, {}).get("seeds", {})
    return [name for name in variants if name in chosen or (missing and name == UNCHANGED)]


def with_seed(entry: Mapping[str, Any], seed: int, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The recorded ``seeds`` of an entry together with the metrics of one more, in numeric order."""
    seeds = entry.get("seeds", {}) | {str(seed): metrics}
    return dict(sorted(seeds.items(), key=lambda item: int(item[0])))


def paired_difference(
    old: Mapping[str, np.ndarray], new: Mapping[str, np.ndarray], groups: np.ndarray
) -> dict[str, Any]:
    """The accuracy of a variant less that of another on the same rows, averaged over the seeds that both have.

    ``old`` and ``new`` say by seed whether each row is correct, bool [N], and share at least one seed. The 95% interval
    resamples groups of near-duplicates, each with the predictions of all seeds.
    """
    seeds = [seed for seed in new if seed in old]
    before, after = (np.concatenate([side[seed] for seed in seeds]) for side in (old, new))
    test = paired_test(before, after, np.tile(groups, len(seeds)))
    return {"seeds": seeds, "difference": test["difference"], "interval": test["difference_interval"]}
