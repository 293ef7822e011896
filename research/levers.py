"""``python -m research.levers``: what might better the answer model, each lever beside the recipe as it is.

Leak-free folds, the same seeds, the same order of batches: nothing but the lever differs. A lever that wins belongs
into the recipe; those that lose stay here, with their figures. Finished folds are kept and the run is recorded after
each seed, so it may be stopped at any time. What is recorded stays, with which tweets were answered right: a lever that
is measured later is compared tweet by tweet all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from research.baselines import GROUPED, Problem, asked_rows, make_problem, right_by_question
from research.compare import as_answers
from research.runs import UNCHANGED, load, pack, record, unpack
from tf_model import cli, config, data, device, paths, tasks
from tf_model.config import Recipe
from tf_model.data import label_errors, splits
from tf_model.errors import UsageError
from tf_model.evaluation import joint_metrics
from tf_model.evaluation.calibration import scale
from tf_model.evaluation.comparison import compare_right
from tf_model.evaluation.metrics import SMALLEST_PROBABILITY
from tf_model.io import files
from tf_model.modeling import backbone
from tf_model.training import cross_validation
from tf_model.training.calibration_folds import FOLDS, out_of_fold_probabilities

if TYPE_CHECKING:
    from tf_model.training.trainer import Fitted

APART = "two_models"
WITH_AN_EMOTION = "answer_emotion_rows"
SMOOTHED = 0.1  # of each label, spread over all classes
SOFT = 0.5  # of each target, from the predictions of other models
DOUBTFUL = 0.05  # of the labels of each task
TEACHERS = 3
STORE = "levers"  # apart from the folds of `make grouped-answer`, which research.compare looks for
WORDS_MODEL = f"C={label_errors.INVERSE_PENALTY:g}, tolerance {label_errors.TOLERANCE:g}"
CLASSES = [len(task.labels) for task in tasks.ANSWER_TASKS]


@dataclass(frozen=True)
class Training:
    """All that a model may learn from, and by what.

    Attributes:
        rows: The training part of a fold.
        recipe: With the seed.
        weights: To start from.
        used: Devices and number format.
        data_sha256: Of the dataset.
    """

    rows: data.TrainingRows
    recipe: Recipe
    weights: backbone.Backbone
    used: device.Runtime
    data_sha256: str


@dataclass(frozen=True)
class Lever:
    """One thing that is done otherwise.

    Attributes:
        title: For tables.
        targets: What is learned instead of the labels, float32 [N, classes of all tasks]: of each task the share of
            each class, all of it 0 where a row has no label.
        settings: Fields of the recipe that are otherwise.
        apart: A model for each task, which costs twice as much to answer.
        trainings: How many trainings of the whole size it comes to, by the rows.
        recalibrate: What is made of the answers of the recipe as it is, in place of a training: a function of label ids
            int [N, tasks], their out-of-fold probabilities float [N, classes of all tasks], and the rows of each fold.
        doubts: It asks the words model, fitted as :data:`WORDS_MODEL` says, which labels look wrong.
    """

    title: str
    targets: Callable[[Training], np.ndarray] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    apart: bool = False
    trainings: float = 1.0
    recalibrate: Callable[[np.ndarray, np.ndarray, Sequence[np.ndarray]], np.ndarray] | None = None
    doubts: bool = False


# ---------------------------------------------------------------- what is learned


def hard_targets(training: Training) -> np.ndarray:
    """The labels themselves."""
    columns = []
    for ids, size in zip(training.rows.label_ids.T, CLASSES, strict=True):
        columns.append(np.eye(size, dtype=np.float32)[np.maximum(ids, 0)] * (ids >= 0)[:, np.newaxis])
    return np.concatenate(columns, axis=1)


def balanced(training: Training) -> np.ndarray:
    """Labels that weigh as the root of how rare their class is, 1 on average."""
    columns = []
    for part in _by_task(hard_targets(training)):
        weights = 1 / np.sqrt(np.maximum(part.sum(axis=0), 1))
        weighted = part * weights
        columns.append(weighted * part.sum() / weighted.sum())
    return np.concatenate(columns, axis=1).astype(np.float32)


def without_doubtful(training: Training) -> np.ndarray:
    """The labels but for the most doubtful: the least probable to the words model, fitted on other folds of the part.

    A row whose label of a task is left out may keep that of the other.
    """
    rows = training.rows
    folds = splits.folds_of(rows, splits.near_duplicate_groups(rows.texts), FOLDS, training.recipe.split_seed)
    columns = []
    for ids, part in zip(rows.label_ids.T, _by_task(hard_targets(training)), strict=True):
        labelled = np.flatnonzero(ids != tasks.NO_LABEL)
        sides = ((fold.train, fold.validation) for fold in folds)
        own = [splits.Split(*(np.flatnonzero(np.isin(labelled, side)) for side in both)) for both in sides]
        texts = [rows.texts[position] for position in labelled]
        said = label_errors.out_of_fold(texts, ids[labelled], own, part.shape[1])
        order = np.argsort(label_errors.label_confidence(ids[labelled], said), kind="stable")
        part[labelled[order[: round(DOUBTFUL * len(labelled))]]] = 0
        columns.append(part)
    return np.concatenate(columns, axis=1)


def softened(teachers: int) -> Callable[[Training], np.ndarray]:
    """Labels mixed with what ``teachers`` models, trained on other folds of the training part, say on average."""

    def targets(training: Training) -> np.ndarray:
        hard = hard_targets(training)
        said = np.mean([_taught(training, number) for number in range(teachers)], axis=0)
        columns = [
            part * (1 - SOFT) + part.sum(axis=1, keepdims=True) * SOFT * other
            for part, other in zip(_by_task(hard), _by_task(said), strict=True)
        ]
        return np.concatenate(columns, axis=1).astype(np.float32)

    return targets


def _taught(training: Training, number: int) -> np.ndarray:
    return out_of_fold_probabilities(
        training.rows,
        replace(training.recipe, seed=training.recipe.seed + 1000 * (number + 1)),
        training.weights,
        training.used,
        store=paths.CHECKPOINTS / STORE,
        data_sha256=[training.data_sha256],
        purpose=f"teacher {number + 1}",
    )


def _by_task(values: np.ndarray) -> list[np.ndarray]:
    return np.split(values, np.cumsum(CLASSES)[:-1], axis=1)


# ---------------------------------------------------------------- what is made of the answers


def with_class_bias(label_ids: np.ndarray, probabilities: np.ndarray, parts: Sequence[np.ndarray]) -> np.ndarray:
    """Probabilities to whose logarithm, over a temperature, a bias of each class was added.

    Source: A. Alexandari et al., "Maximum likelihood with bias-corrected calibration is hard-to-beat at label shift
    adaptation", ICML 2020.

    Args:
        label_ids: int [N, tasks], -1 where a row has no label of a task.
        probabilities: Out of fold, float [N, classes of all tasks].
        parts: Positions of the rows of each fold; temperature and biases of a part come from the labels of the others.

    Returns:
        float64 [N, classes of all tasks].
    """
    columns = []
    for ids, said in zip(label_ids.T, _by_task(probabilities), strict=True):
        calibrated = np.empty(said.shape, np.float64)
        for part in parts:
            others = np.setdiff1d(np.flatnonzero(ids != tasks.NO_LABEL), part)
            calibrated[part] = _scaled(said[part], _fitted_bias(ids[others], said[others]))
        columns.append(calibrated)
    return np.concatenate(columns, axis=1)


def _fitted_bias(label_ids: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """What makes the labels most likely: the logarithm of a temperature, and the bias of each class but the first."""
    from scipy.optimize import minimize

    rows = np.arange(len(label_ids))

    def loss(weights: np.ndarray) -> float:
        return -float(np.log(np.maximum(_scaled(probabilities, weights)[rows, label_ids], SMALLEST_PROBABILITY)).mean())

    return minimize(loss, np.zeros(probabilities.shape[1]), method="L-BFGS-B").x


def _scaled(probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    biased = scale(probabilities, float(np.exp(weights[0]))) * np.exp(np.concatenate([[0.0], weights[1:]]))
    return biased / biased.sum(axis=1, keepdims=True)


LEVERS: dict[str, Lever] = {
    UNCHANGED: Lever("as it is"),
    APART: Lever("a model for each task", apart=True, trainings=1.4),  # each of the rows with its own label
    "label_smoothing": Lever(f"labels smoothed by {SMOOTHED:g}", settings={"label_smoothing": SMOOTHED}),
    "class_balanced": Lever("rare classes weigh more (root of the inverse frequency)", balanced),
    "class_bias": Lever("calibrated by a bias of each class beside the temperature", recalibrate=with_class_bias),
    "without_doubtful": Lever(f"without the most doubtful {DOUBTFUL:.0%} of the labels", without_doubtful, doubts=True),
    # A model of two thirds for each of the folds, and the student.
    "soft_labels": Lever("half of each label from out-of-fold predictions", softened(1), trainings=FOLDS * 2 / 3 + 1),
    "distilled": Lever(
        f"the same from {TEACHERS} seeds' predictions", softened(TEACHERS), trainings=TEACHERS * FOLDS * 2 / 3 + 1
    ),
}


# ---------------------------------------------------------------- the command


def main(argv: list[str] | None = None) -> int:
    """Measure what was asked for, print and record it."""
    parser = cli.parser("research.levers", __doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="workbook or CSV file; found by itself if not given")
    parser.add_argument(
        "--levers", nargs="*", choices=list(LEVERS), default=list(LEVERS), help="which levers; none: sums up anew"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="training seeds")
    arguments = parser.parse_args(argv)
    source = data.resolve(arguments.data)
    data.announce(source)
    dataset = data.read(source.path)
    problem = make_problem(dataset, tasks.ANSWER)
    recipe = config.ANSWER
    run = _recorded(dataset, problem, recipe)
    missing = {str(seed) for seed in arguments.seeds} - set(run.get(UNCHANGED, {}).get("seeds", {}))
    if UNCHANGED not in arguments.levers and missing:
        raise UsageError(
            f"each lever is compared with {UNCHANGED!r}; name it too, for seed {', '.join(sorted(missing))}"
        )
    for found in run.values():
        found |= summary_of(found["seeds"], run[UNCHANGED]["seeds"], problem)
    if run:
        path = _record(dataset, problem, recipe, run)
    with cli.stopped_cleanly():
        for seed in arguments.seeds:
            for name in [name for name in LEVERS if name in arguments.levers]:
                found = measure(name, problem, replace(recipe, seed=seed), dataset.sha256)
                seeds = run.setdefault(name, {"title": LEVERS[name].title, "seeds": {}})["seeds"]
                seeds[str(seed)] = found
                run[name]["seeds"] = dict(sorted(seeds.items(), key=lambda item: int(item[0])))
                run = {name: run[name] for name in LEVERS if name in run}
                run[name] |= summary_of(run[name]["seeds"], run[UNCHANGED]["seeds"], problem)
                path = _record(dataset, problem, recipe, run)
                _print(name, seed, run[name])
    cli.say(f"written to {paths.shown(path)}")
    return 0


def measure(name: str, problem: Problem, recipe: Recipe, data_sha256: str) -> dict[str, Any]:
    """One seed of a lever: its headline figures, and which rows each question is answered right on."""
    probabilities, seconds = out_of_fold(name, problem, recipe, data_sha256)
    parts = [split.validation for split in problem.folds[GROUPED]]
    right = right_by_question(problem, as_answers(problem, probabilities))
    found = {
        "headline": joint_metrics.evaluate_out_of_fold(problem.rows.label_ids, probabilities, parts)["headline"],
        "right": {question: pack(answered) for question, (_, answered) in right.items()},
        "seconds": seconds,
    }
    return found | ({"words": WORDS_MODEL} if LEVERS[name].doubts else {})


def out_of_fold(name: str, problem: Problem, recipe: Recipe, data_sha256: str) -> tuple[np.ndarray, float]:
    """What a lever's models say of rows that they were not trained on, float32 [N, classes], and seconds of epochs.

    Finished folds are kept. The seconds of a lever's teachers are not among them.
    """
    if LEVERS[name].recalibrate:
        said, _ = out_of_fold(UNCHANGED, problem, recipe, data_sha256)
        parts = [split.validation for split in problem.folds[GROUPED]]
        return LEVERS[name].recalibrate(problem.rows.label_ids, said, parts), 0.0
    used, weights = device.prepare(recipe.seed), backbone.find(recipe.backbone)
    folds = problem.folds[GROUPED]
    store = cross_validation.store_of_folds(
        paths.CHECKPOINTS / STORE,
        data=data_sha256,
        folds=folds,
        backbone=weights,
        runtime=used,
        recipe=replace(recipe, seed=0),
        lever=[name, LEVERS[name].title, *([WORDS_MODEL] if LEVERS[name].doubts else [])],
    )
    files.make_folder(store)
    results = []
    for number, split in enumerate(folds, start=1):
        path = store / f"seed-{recipe.seed}-fold-{number}.npz"
        if not path.is_file():
            cli.say(f"{name}, seed {recipe.seed}, fold {number} of {len(folds)}")
            training = Training(problem.rows.take(split.train), recipe, weights, used, data_sha256)
            texts = [problem.rows.texts[position] for position in split.validation]
            cross_validation.write_fold(path, split.validation, *answer(LEVERS[name], training, texts))
        results.append(cross_validation.read_fold(path, recipe.seed, number))
    seconds = sum(row["seconds"] for result in results for row in result.history)
    return cross_validation.out_of_fold(results, recipe.seed, len(problem.rows)), seconds


def answer(lever: Lever, training: Training, texts: Sequence[str]) -> tuple[np.ndarray, list[dict[str, float]]]:
    """Train as a lever says, and answer: float32 [N, classes of all tasks], and the history of the training."""
    training = replace(training, recipe=replace(training.recipe, **lever.settings))
    if not lever.apart:
        fitted = train(training, lever.targets)
        return _say(fitted, texts), fitted.history
    parts, history = [], []
    for number in range(len(CLASSES)):
        label_ids = training.rows.label_ids
        labelled = training.rows.take(np.flatnonzero(label_ids[:, number] != tasks.NO_LABEL))
        others = np.arange(len(CLASSES)) != number
        alone = np.where(others, tasks.NO_LABEL, labelled.label_ids)
        fitted = train(replace(training, rows=replace(labelled, label_ids=alone)))
        parts.append(_by_task(_say(fitted, texts))[number])
        history += fitted.history
    return np.concatenate(parts, axis=1), history


def train(training: Training, targets: Callable[[Training], np.ndarray] | None = None) -> Fitted:
    """:func:`tf_model.training.trainer.fit` on the labels, or on ``targets`` in their place."""
    wanted = targets(training) if targets else None  # before: teachers are trained here
    import tf_keras

    from tf_model.cli import show_epochs
    from tf_model.preprocessing.batching import steps_per_epoch
    from tf_model.training.trainer import Part, fit

    rows, recipe = training.rows, training.recipe
    tf_keras.backend.clear_session()
    part = Part(rows.texts, rows.label_ids if wanted is None else np.arange(len(rows)))
    shown = show_epochs(cli.stderr(), recipe.epochs, steps_per_epoch(len(rows), recipe.batch_size))
    loss = None if wanted is None else cross_entropy(wanted)
    fitted = fit(recipe, training.weights, CLASSES, part, runtime=training.used, callbacks=[shown], loss=loss)
    return fitted.in_float32()


def cross_entropy(targets: np.ndarray) -> Any:
    """Sum over the tasks of the mean cross-entropy of the batch's examples that have a target of the task.

    With the labels as targets it is the loss of the recipe. Its arguments are positions among the targets, int32 [B],
    and logits, float32 [B, classes of all tasks].
    """
    import tensorflow as tf

    kept = tf.constant(targets, tf.float32)

    def loss(positions: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        total = 0.0
        wanted = tf.gather(kept, tf.reshape(positions, [-1]))  # (B, classes of all tasks)
        for target, scores in zip(tf.split(wanted, CLASSES, axis=-1), tf.split(logits, CLASSES, axis=-1), strict=True):
            losses = -tf.reduce_sum(target * tf.nn.log_softmax(scores), axis=-1)  # (B)
            labelled = tf.reduce_sum(tf.cast(tf.reduce_sum(target, axis=-1) > 0, tf.float32))
            total += tf.math.divide_no_nan(tf.reduce_sum(losses), labelled)
        return total

    return loss


def _say(fitted: Fitted, texts: Sequence[str]) -> np.ndarray:
    from tf_model.preprocessing.batching import encode

    return fitted.probabilities(encode(fitted.encoder, texts))


# ---------------------------------------------------------------- the record


def summary_of(seeds: Mapping[str, Any], unchanged: Mapping[str, Any], problem: Problem) -> dict[str, Any]:
    """Mean and spread of each headline figure, and the paired difference to the recipe as it is.

    Returns:
        ``summary`` and ``paired``: by question, and for the answers to tweets with an emotion alone
        (:data:`WITH_AN_EMOTION`), over the ``seeds`` that both have, ``difference`` (of the accuracy, -1 to 1) and its
        ``interval`` (95%), for which groups of near-duplicates are drawn with the answers of all seeds.
    """
    rows = asked_rows(problem)
    emotions = problem.label_ids(tasks.EMOTION)[rows[tasks.ANSWER]]
    some = {question: np.arange(len(positions)) for question, positions in rows.items()}
    some[WITH_AN_EMOTION] = np.flatnonzero(emotions != tasks.EMOTION.labels.index(tasks.NO_EMOTION))
    shared = [seed for seed in seeds if seed in unchanged]
    paired = {}
    for question, kept in some.items():
        asked = tasks.ANSWER if question == WITH_AN_EMOTION else question
        old, new = (
            np.concatenate([unpack(side[seed]["right"][asked], len(rows[asked]))[kept] for seed in shared])
            for side in (unchanged, seeds)
        )
        found = compare_right(old, new, np.tile(problem.groups[rows[asked][kept]], len(shared)))
        paired[question] = {"difference": found["difference"], "interval": found["difference_interval"]}
    summary = joint_metrics.summarize_headlines([figures["headline"] for figures in seeds.values()])
    return {"summary": summary, "paired": paired | {"seeds": shared}}


def _same(dataset: data.Dataset, problem: Problem, recipe: Recipe) -> dict[str, Any]:
    return {
        "data_sha256": dataset.sha256,
        "rows": len(problem.rows),
        "groups": int(problem.groups.max()) + 1,
        "recipe": replace(recipe, seed=0).to_dict(),
    }


def _recorded(dataset: data.Dataset, problem: Problem, recipe: Recipe) -> dict[str, Any]:
    """What is recorded of these rows and this recipe."""
    run, same = load("levers"), _same(dataset, problem, recipe)
    if run is None:
        return {}
    # A record from before a field was added has its default.
    run = run | {"recipe": Recipe.from_dict(run["recipe"]).to_dict()}
    if any(run.get(key) != value for key, value in same.items()):
        return {}
    return {name: found for name, found in run["levers"].items() if name in LEVERS}


def _record(dataset: data.Dataset, problem: Problem, recipe: Recipe, run: Mapping[str, Any]) -> Path:
    results = {"dataset": dataset.name, **_same(dataset, problem, recipe), "levers": dict(run)}
    return record("levers", command(run), results)


def command(run: Mapping[str, Any]) -> str:
    """What measures the levers as they are recorded: a command for those of the same seeds."""
    by_seeds: dict[str, list[str]] = {}
    for name, found in run.items():
        by_seeds.setdefault(" ".join(found["seeds"]), []).append(name)
    each = (
        f"python -m research.levers --levers {' '.join(names)} --seeds {seeds}" for seeds, names in by_seeds.items()
    )
    return " and ".join(each)


def _print(name: str, seed: int, found: Mapping[str, Any]) -> None:
    headline = found["seeds"][str(seed)]["headline"]
    line = f"{name}, seed {seed}: " + ", ".join(
        f"{figure.replace('_', ' ')} {headline[figure]:.4f}"
        for figure in ("product_accuracy", "emotion_accuracy", "answer_accuracy", "answer_emotion_rows_accuracy")
    )
    if name != UNCHANGED:
        for question in (task.name for task in tasks.ANSWER_TASKS):
            low, high = found["paired"][question]["interval"]
            line += f"; {question} {found['paired'][question]['difference']:+.4f} ({low:+.4f} to {high:+.4f})"
    cli.stdout().print(line, highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    cli.run(main)
