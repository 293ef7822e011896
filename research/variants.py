"""``python -m research.variants``: compare variants that might improve the answer model with the training as it is.

All use the same grouped folds, seeds and batch order; only the variant differs. The run is recorded after each seed, so
it may be stopped at any time; earlier results are kept. Folds and seed are for choices (research/runs/
variants_folds_100.json); once a variant is chosen, ``--fold-seed 0 --seeds 0 1 2`` measures it on the reported folds
(variants.json). Machines that train in float32 record into files of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from research import study
from research.methods.baseline_models import raw
from research.methods.neural import FineTuned
from research.runs import UNCHANGED, record, show, unpack
from research.study import GROUPED, Problem, make_problem
from tf_model import cli, config, data, tasks
from tf_model.data import splits
from tf_model.evaluation import joint_metrics
from tf_model.training import distillation
from tf_model.training.cross_validation import FOLD_SEED, data_identity

RECORD = "variants"  # name of the recorded run, and key of the variants in it
EMOTION_ROWS = "answer_emotion_rows"
TEACHER_FOLDS = 3
CHOICE_SEED = 100  # of folds and training: choices are not made on the folds that results are reported on
MPNET = {"backbone": "mpnet", "learning_rate": 3e-5, "epochs": 3}  # half an hour a fold on 2 cores
LORA = {"lora_rank": 16, "learning_rate": 1e-3, "epochs": 8}  # adapters need a higher learning rate and more epochs
TEACHER_SEEDS = [{"seed": 1000 + number} for number in range(3)]

Targets = Callable[[data.TrainingRows, config.TrainingConfig], np.ndarray]


def train_and_score(
    rows: data.TrainingRows,
    settings: config.TrainingConfig,
    texts: Sequence[str],
    targets: Targets | None = None,
    prepare: Callable[[Any], None] | None = None,
) -> np.ndarray:
    """Train on ``rows`` and score ``texts``: float32 [texts, classes of all tasks].

    ``targets`` makes soft targets in place of the labels, float32 [N, classes of all tasks]: the share of each class of
    a task, all 0 where a row has no label. ``prepare`` may change the compiled model.
    """
    soft_targets = targets(rows, settings) if targets else None
    with cli.show_epochs(cli.stderr()) as progress:
        classes = [len(task.labels) for task in rows.tasks]
        model = FineTuned(settings, classes, callbacks=[progress], prepare=prepare)
        return model.fit(rows.texts, rows.label_ids, soft_targets).predict_proba(texts)


def fold_scores(
    name: str,
    rows: data.TrainingRows,
    folds: Sequence[splits.Split],
    settings: config.TrainingConfig,
    targets: Targets | None = None,
    prepare: Callable[[Any], None] | None = None,
) -> study.OutOfFold:
    """Out-of-fold probabilities of what :func:`train_and_score` trains; finished folds are kept."""

    def fit_and_score(split: splits.Split) -> np.ndarray:
        texts = [rows.texts[position] for position in split.validation]
        return train_and_score(rows.take(split.train), settings, texts, targets, prepare)

    depends_on = data_identity([], rows, settings), settings.to_dict(), study.precision_and_gpus()
    title = f"{name}, seed {settings.seed}"
    return study.score_folds(f"variant-{name}-seed-{settings.seed}", depends_on, len(rows), folds, fit_and_score, title)


# ---------------------------------------------------------------- training targets


def distilled(*teachers: Mapping[str, Any]) -> Targets:
    """The labels blended with the mean prediction of teachers with other settings, each trained on other folds."""

    def targets(rows: data.TrainingRows, settings: config.TrainingConfig) -> np.ndarray:
        groups = splits.near_duplicate_groups(rows.texts)
        folds, predictions = splits.folds_of(rows, groups, TEACHER_FOLDS, settings.split_seed), []
        for teacher in teachers:
            scores = fold_scores("teacher", rows, folds, replace(settings, **teacher)).scores
            temperatures = joint_metrics.fit_temperatures(rows, scores)
            predictions.append(joint_metrics.calibrate(scores, temperatures, rows.tasks))
        return distillation.blend(rows.label_ids, np.mean(predictions, axis=0), settings.teacher_weight, rows.tasks)

    return targets


# ---------------------------------------------------------------- the variants


@dataclass(frozen=True)
class Variant:
    """One change to the training."""

    title: str
    targets: Targets | None = None  # see :func:`train_and_score`
    settings: Mapping[str, Any] = field(default_factory=dict)  # fields of the training configuration
    prepare: Callable[[Any], None] | None = None  # changes the compiled model
    inputs: Callable[[Sequence[str]], np.ndarray] = raw  # makes what is trained on from the texts
    # By protocol: makes the folds of a problem and a seed, which replace its own; other protocols are skipped.
    folds: Mapping[str, Callable[[Problem, int], Sequence[splits.Split]]] | None = None
    control: str | None = None  # a variant that differs from this one only in what this one tests


VARIANTS: dict[str, Variant] = {
    UNCHANGED: Variant("as it is"),
    "r_drop": Variant("two passes that agree (R-Drop)", settings={"r_drop": 1.0}),
    "lora": Variant("adapters (LoRA) of rank 16", settings=LORA),
    "mpnet": Variant("12 layers (MPNet)", settings=MPNET),
    "mpnet_lora": Variant("12 layers (MPNet), adapters of rank 16", settings=MPNET | LORA),
    "distilled_minilm": Variant("taught by three seeds of itself", distilled(*TEACHER_SEEDS)),
    "distilled_mpnet_minilm": Variant("taught by MPNet and three seeds of itself", distilled(MPNET, *TEACHER_SEEDS)),
}


# ---------------------------------------------------------------- the command


def main(argv: list[str] | None = None) -> int:
    """Measure the chosen variants, print and record the results."""
    parser = study.parser("variants", __doc__.splitlines()[0])
    default = [name for name in VARIANTS if "mpnet" not in name]
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=default, help="by default, without MPNet's")
    fold_help = f"seed of the folds ({FOLD_SEED}: the reported ones)"
    parser.add_argument("--fold-seed", type=int, default=CHOICE_SEED, help=fold_help)
    parser.add_argument("--seeds", type=int, nargs="+", default=[CHOICE_SEED], help="training seeds")
    arguments = parser.parse_args(argv)
    command = study.command_line("variants", argv)
    dataset = data.load(arguments.data)
    problem, settings = make_problem(dataset, tasks.ANSWER, arguments.fold_seed), replace(config.ANSWER, seed=0)
    identity = {"dataset": dataset.name, **study.size_of(problem)}
    run_name = RECORD if arguments.fold_seed == FOLD_SEED else f"{RECORD}_folds_{arguments.fold_seed}"
    run_name = study.run_of_this_format(run_name)
    run = study.load_to_extend(run_name, identity, settings)
    entries = run.setdefault(RECORD, {})
    with cli.stopped_cleanly():
        for seed in arguments.seeds:
            for name in study.with_unchanged(VARIANTS, arguments.variants, entries, seed):
                metrics = measure(name, problem, replace(settings, seed=seed))
                entry = entries.setdefault(name, {"title": VARIANTS[name].title})
                entry["seeds"] = study.with_seed(entry, seed, metrics)
                entries = run[RECORD] = summarized(entries, problem)
                record(run_name, command, run)
                show(f"{name}, seed {seed}", metrics["headline"])
                if name != UNCHANGED:
                    for question, paired in entries[name]["paired"].items():
                        show(f"{name} less {UNCHANGED}, {question}", paired)
    return 0


def measure(name: str, problem: Problem, settings: config.TrainingConfig) -> dict[str, Any]:
    """One seed of a variant: its headline metrics, and which rows of each question are predicted correctly."""
    result = out_of_fold(name, VARIANTS[name], problem, problem.folds[GROUPED], settings)
    parts = [split.validation for split in problem.folds[GROUPED]]
    correct = study.correct_by_question(problem, result.scores)
    headline = joint_metrics.evaluate_out_of_fold(problem.rows, result.scores, parts)["headline"]
    return {"headline": headline, "right": study.packed(correct), "seconds": result.seconds}


def out_of_fold(
    name: str, variant: Variant, problem: Problem, folds: Sequence[splits.Split], settings: config.TrainingConfig
) -> study.OutOfFold:
    """A variant's out-of-fold probabilities, [N, classes of all tasks]; finished folds are kept."""
    rows = replace(problem.rows, texts=variant.inputs(problem.rows.texts).tolist())
    return fold_scores(name, rows, folds, replace(settings, **variant.settings), variant.targets, variant.prepare)


# ---------------------------------------------------------------- the record


def summarized(entries: Mapping[str, Any], problem: Problem) -> dict[str, Any]:
    """Each variant with ``paired``, its difference from the unchanged training; also those no longer in the code.

    ``paired`` has each question, and the whole answer on tweets with an emotion only (:data:`EMOTION_ROWS`).
    """
    rows = study.question_rows(problem)
    answers = rows[tasks.ANSWER]
    compared = rows | {EMOTION_ROWS: answers[problem.label_ids(tasks.EMOTION)[answers] != tasks.EMOTION.neutral]}

    def correct(name: str, question: str) -> dict[str, np.ndarray]:
        recorded = tasks.ANSWER if question == EMOTION_ROWS else question
        is_compared = np.isin(rows[recorded], compared[question])
        seeds = entries[name]["seeds"].items()
        return {seed: unpack(each["right"][recorded], len(is_compared))[is_compared] for seed, each in seeds}

    results: dict[str, Any] = {}
    for name in entries:
        paired = {
            question: study.paired_difference(
                correct(UNCHANGED, question), correct(name, question), problem.groups[positions]
            )
            for question, positions in compared.items()
        }
        results[name] = entries[name] | {"paired": paired}
    return results


if __name__ == "__main__":
    cli.run(main)
