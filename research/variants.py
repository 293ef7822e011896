"""``python -m research.variants``: compare variants that might improve the answer model with the training as it is.

All use the same grouped folds, seeds and batch order; only the variant differs. The run is recorded after each seed, so
it may be stopped at any time; earlier results are kept. Folds and seed are for choices (research/runs/
levers_folds_100.json); once a variant is chosen, ``--fold-seed 0 --seeds 0 1 2`` measures it on the reported folds
(levers.json).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from research import study
from research.methods.neural import FineTuned
from research.runs import UNCHANGED, load_to_extend, record, show, unpack
from research.study import GROUPED, Problem, make_problem
from tf_model import cli, config, data, tasks
from tf_model.data import label_errors, splits
from tf_model.evaluation import joint_metrics
from tf_model.evaluation.calibration import scale
from tf_model.evaluation.metrics import SMALLEST_PROBABILITY
from tf_model.training import distillation
from tf_model.training.cross_validation import FOLD_SEED, data_identity

RECORD = "levers"  # name of the recorded run, and key of the variants in it
EMOTION_ROWS = "answer_emotion_rows"
SMOOTHING = 0.1  # of each label, spread over all classes
DOUBTFUL_SHARE = 0.05  # share of each task's labels
LABEL_ERROR_FOLDS = 3
TEACHER_FOLDS = 3
CHOICE_SEED = 100  # of folds and training: choices are not made on the folds that results are reported on
MPNET = {"backbone": "mpnet", "learning_rate": 3e-5, "epochs": 5}
LORA = {"lora_rank": 16, "learning_rate": 1e-3, "epochs": 8}  # adapters need a higher learning rate and more epochs
TEACHER_SEEDS = [{"seed": 1000 + number} for number in range(3)]
LAYER_DECAY = 0.85
BIASES = np.linspace(-1.5, 1.5, 31)
CLASSES = [len(task.labels) for task in tasks.ANSWER_TASKS]

Targets = Callable[[data.TrainingRows, config.TrainingConfig], np.ndarray]
FitBias = Callable[[np.ndarray, np.ndarray], np.ndarray]  # label ids and probabilities of a task -> weights


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
        model = FineTuned(settings, CLASSES, callbacks=[progress], prepare=prepare)
        return model.fit(rows.texts, rows.label_ids, soft_targets).predict_proba(texts)


def two_models(rows: data.TrainingRows, settings: config.TrainingConfig, texts: Sequence[str]) -> np.ndarray:
    """One model per task, each trained on the rows with its label: prediction costs twice as much."""
    parts = []
    for number in range(len(CLASSES)):
        labelled = rows.take(np.flatnonzero(rows.label_ids[:, number] != tasks.NO_LABEL))
        others = np.arange(len(CLASSES)) != number
        single_task = replace(labelled, label_ids=np.where(others, tasks.NO_LABEL, labelled.label_ids))
        parts.append(_by_task(train_and_score(single_task, settings, texts))[number])
    return np.concatenate(parts, axis=1)


def with_targets(
    rows: data.TrainingRows, mentions: data.TrainingRows, settings: config.TrainingConfig, texts: Sequence[str]
) -> np.ndarray:
    """Also learn, as a third task, the emotion directed at each marked mention; scores of the other two tasks."""
    learned = [*rows.texts, *mentions.texts]
    label_ids = np.full((len(learned), len(CLASSES) + 1), tasks.NO_LABEL)
    label_ids[: len(rows), :-1], label_ids[len(rows) :, -1] = rows.label_ids, mentions.label_ids[:, 0]
    with cli.show_epochs(cli.stderr()) as progress:
        model = FineTuned(settings, [*CLASSES, len(tasks.TARGET.labels)], callbacks=[progress])
        return model.fit(learned, label_ids).predict_proba(texts)[:, : sum(CLASSES)]


# ---------------------------------------------------------------- training targets


def hard_targets(rows: data.TrainingRows, settings: config.TrainingConfig) -> np.ndarray:
    """The labels themselves."""
    no_teacher = np.zeros((len(rows), sum(CLASSES)), np.float32)
    return distillation.blend(rows.label_ids, no_teacher, weight=0.0, tasks=rows.tasks)


def class_balanced(rows: data.TrainingRows, settings: config.TrainingConfig) -> np.ndarray:
    """Labels weighted by the inverse root of their class frequency, 1 on average."""
    columns = []
    for part in _by_task(hard_targets(rows, settings)):
        weights = 1 / np.sqrt(np.maximum(part.sum(axis=0), 1))
        weighted = part * weights
        columns.append(weighted * part.sum() / weighted.sum())
    return np.concatenate(columns, axis=1).astype(np.float32)


def without_doubtful(rows: data.TrainingRows, settings: config.TrainingConfig) -> np.ndarray:
    """The labels without those that are least probable to the TF-IDF baseline, fitted on other folds."""
    groups = splits.near_duplicate_groups(rows.texts)
    folds = splits.folds_of(rows, groups, LABEL_ERROR_FOLDS, settings.split_seed)
    columns = []
    for ids, part in zip(rows.label_ids.T, _by_task(hard_targets(rows, settings)), strict=True):
        labelled = np.flatnonzero(ids != tasks.NO_LABEL)
        labelled_folds = [splits.Split(*(np.flatnonzero(np.isin(labelled, side)) for side in fold)) for fold in folds]
        texts = [rows.texts[position] for position in labelled]
        probabilities = label_errors.out_of_fold(texts, ids[labelled], labelled_folds, part.shape[1])
        order = np.argsort(label_errors.label_confidence(ids[labelled], probabilities), kind="stable")
        part[labelled[order[: round(DOUBTFUL_SHARE * len(labelled))]]] = 0
        columns.append(part)
    return np.concatenate(columns, axis=1)


def distilled(*teachers: Mapping[str, Any]) -> Targets:
    """The labels blended with the mean prediction of teachers with other settings, each trained on other folds."""

    def targets(rows: data.TrainingRows, settings: config.TrainingConfig) -> np.ndarray:
        groups = splits.near_duplicate_groups(rows.texts)
        folds, predictions = splits.folds_of(rows, groups, TEACHER_FOLDS, settings.split_seed), []
        for teacher in teachers:
            scores = np.empty((len(rows), sum(CLASSES)), np.float32)
            for fold in folds:
                texts = [rows.texts[position] for position in fold.validation]
                scores[fold.validation] = train_and_score(rows.take(fold.train), replace(settings, **teacher), texts)
            temperatures = joint_metrics.fit_temperatures(rows, scores)
            predictions.append(joint_metrics.calibrate(scores, temperatures, rows.tasks))
        return distillation.blend(rows.label_ids, np.mean(predictions, axis=0), settings.teacher_weight, rows.tasks)

    return targets


def _by_task(values: np.ndarray) -> list[np.ndarray]:
    return list(joint_metrics.by_task(values).values())


# ---------------------------------------------------------------- training procedure


def average_weights(model: Any) -> None:
    """Use a moving average of the weights at the end."""
    model.optimizer.use_ema, model.optimizer.ema_momentum = True, 0.99


def layer_wise_rates(model: Any) -> None:
    """Let each layer learn at :data:`LAYER_DECAY` of the rate of the layer above it.

    Source: J. Howard and S. Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL 2018.
    """
    step, layers = model.optimizer.update_step, model.config.num_hidden_layers

    def update_step(gradient: Any, variable: Any) -> None:
        before, layer = variable.value(), re.search(r"layer_\._(\d+)", variable.name)
        number = int(layer[1]) if layer else -1 if "embeddings" in variable.name else layers
        step(gradient, variable)
        variable.assign(before + LAYER_DECAY ** (layers - number) * (variable - before))

    model.optimizer.update_step = update_step


def half_the_layers(model: Any) -> None:
    """Keep every second layer, including the last."""
    encoder = model.bert.encoder
    encoder.layer = encoder.layer[1::2]
    model.config.num_hidden_layers = len(encoder.layer)


# ---------------------------------------------------------------- recalibration


def with_class_bias(
    label_ids: np.ndarray, probabilities: np.ndarray, parts: Sequence[np.ndarray], fit: FitBias
) -> np.ndarray:
    """Calibrate by a temperature, then a bias added to the logarithm of each class's probability; float64, same shape.

    ``parts`` are the positions of each fold's rows. A part's temperature and biases are fitted on the labels of the
    other rows.
    Source: A. Alexandari et al., "Maximum likelihood with bias-corrected calibration is hard-to-beat at label shift
    adaptation", ICML 2020.
    """
    columns = []
    for ids, scores in zip(label_ids.T, _by_task(probabilities), strict=True):
        calibrated = np.empty(scores.shape, np.float64)
        for part in parts:
            others = np.setdiff1d(np.flatnonzero(ids != tasks.NO_LABEL), part)
            calibrated[part] = _scaled(scores[part], fit(ids[others], scores[others]))
        columns.append(calibrated)
    return np.concatenate(columns, axis=1)


def likeliest_bias(label_ids: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Maximum-likelihood weights: the logarithm of a temperature, and the bias of each class but the first."""
    from scipy.optimize import minimize

    rows = np.arange(len(label_ids))

    def loss(weights: np.ndarray) -> float:
        return -float(np.log(np.maximum(_scaled(probabilities, weights)[rows, label_ids], SMALLEST_PROBABILITY)).mean())

    return minimize(loss, np.zeros(probabilities.shape[1]), method="L-BFGS-B").x


def macro_f1_bias(label_ids: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """As :func:`likeliest_bias`, but temperature 1 and the biases with the best macro-F1, changed one at a time."""
    from sklearn.metrics import f1_score

    def score(weights: np.ndarray) -> float:
        return f1_score(label_ids, _scaled(probabilities, weights).argmax(axis=1), average="macro")

    weights = np.zeros(probabilities.shape[1])
    for number in [*range(1, len(weights))] * 2:
        candidates = [np.where(np.arange(len(weights)) == number, bias, weights) for bias in BIASES]
        weights = max([weights, *candidates], key=score)
    return weights


def _scaled(probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    biased = scale(probabilities, float(np.exp(weights[0]))) * np.exp(np.concatenate([[0.0], weights[1:]]))
    return biased / biased.sum(axis=1, keepdims=True)


@dataclass(frozen=True)
class Variant:
    """One change to the training."""

    title: str
    targets: Targets | None = None  # see :func:`train_and_score`
    settings: Mapping[str, Any] = field(default_factory=dict)  # fields of the training configuration
    prepare: Callable[[Any], None] | None = None  # changes the compiled model
    per_task: bool = False  # see :func:`two_models`
    per_mention: bool = False  # see :func:`with_targets`
    # Fits the weights of :func:`with_class_bias` for the unchanged training; nothing is trained.
    fit_bias: FitBias | None = None


VARIANTS: dict[str, Variant] = {
    UNCHANGED: Variant("as it is"),
    "two_models": Variant("a model for each task", per_task=True),
    "with_targets": Variant("targets as a third task", settings={"cleaning": "target"}, per_mention=True),
    "before": Variant("four epochs, and the end", settings={"cleaning": "normalized_no_retweet", "epochs": 4}),
    "label_smoothing": Variant(f"labels smoothed by {SMOOTHING:g}", settings={"label_smoothing": SMOOTHING}),
    "class_balanced": Variant("rare classes weigh more (root of the inverse frequency)", class_balanced),
    "class_bias": Variant("calibrated by a bias of each class beside the temperature", fit_bias=likeliest_bias),
    "class_bias_macro_f1": Variant("a bias of each class, for macro-F1", fit_bias=macro_f1_bias),
    "ema": Variant("a moving average of the weights", prepare=average_weights),
    "layer_rates": Variant(f"each layer at {LAYER_DECAY:g} of the rate above it", prepare=layer_wise_rates),
    "r_drop": Variant("two passes that agree (R-Drop)", settings={"r_drop": 1.0}),
    "lora": Variant("adapters (LoRA) of rank 16", settings=LORA),
    "half_layers": Variant("half the layers", prepare=half_the_layers),
    "half_layers_distilled": Variant("half the layers, taught by all", distilled({}), prepare=half_the_layers),
    "mpnet": Variant("12 layers (MPNet)", settings=MPNET),
    "mpnet_lora": Variant("12 layers (MPNet), adapters of rank 16", settings=MPNET | LORA),
    "distilled_minilm": Variant("taught by three seeds of itself", distilled(*TEACHER_SEEDS)),
    "distilled_mpnet": Variant("taught by MPNet", distilled(MPNET)),
    "distilled_mpnet_minilm": Variant("taught by MPNet and three seeds of itself", distilled(MPNET, *TEACHER_SEEDS)),
    "without_doubtful": Variant(f"without the most doubtful {DOUBTFUL_SHARE:.0%} of the labels", without_doubtful),
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
    run = load_to_extend(run_name, identity)
    if not study.is_recorded_config(run.get("recipe", {}), settings):
        run = identity | {"recipe": settings.to_dict()}
    entries = run.setdefault(RECORD, {})
    with cli.stopped_cleanly():
        for seed in arguments.seeds:
            for name in study.with_unchanged(VARIANTS, arguments.variants, entries, seed):
                metrics = measure(name, problem, replace(settings, seed=seed), dataset)
                entry = entries.setdefault(name, {"title": VARIANTS[name].title})
                entry["seeds"] = study.with_seed(entry, seed, metrics)
                entries = run[RECORD] = summarized(entries, problem)
                record(run_name, command, run)
                show(f"{name}, seed {seed}", metrics["headline"])
                if name != UNCHANGED:
                    for question, paired in entries[name]["paired"].items():
                        show(f"{name} less {UNCHANGED}, {question}", paired)
    return 0


def measure(name: str, problem: Problem, settings: config.TrainingConfig, dataset: data.Dataset) -> dict[str, Any]:
    """One seed of a variant: its headline metrics, and which rows of each question are predicted correctly."""
    result = out_of_fold(name, problem, settings, dataset)
    parts = [split.validation for split in problem.folds[GROUPED]]
    correct = study.correct_by_question(problem, study.predicted_by_task(problem, result.scores))
    headline = joint_metrics.evaluate_out_of_fold(problem.rows, result.scores, parts)["headline"]
    return {"headline": headline, "right": study.packed(correct), "seconds": result.seconds}


def out_of_fold(name: str, problem: Problem, settings: config.TrainingConfig, dataset: data.Dataset) -> study.OutOfFold:
    """A variant's out-of-fold probabilities, [N, classes of all tasks]; finished folds are kept."""
    variant, folds, rows = VARIANTS[name], problem.folds[GROUPED], problem.rows
    if variant.fit_bias:
        unchanged = out_of_fold(UNCHANGED, problem, settings, dataset)
        parts = [split.validation for split in folds]
        return study.OutOfFold(with_class_bias(rows.label_ids, unchanged.scores, parts, variant.fit_bias), 0.0)
    own_settings, title = replace(settings, **variant.settings), f"{name}, seed {settings.seed}"
    mentions = data.training_rows(dataset, tasks.TARGET.name) if variant.per_mention else None

    def fit_and_score(split: splits.Split) -> np.ndarray:
        train, texts = rows.take(split.train), [rows.texts[position] for position in split.validation]
        if variant.per_task:
            return two_models(train, own_settings, texts)
        if mentions:
            return with_targets(train, mentions.numbered(train.rows), own_settings, texts)
        return train_and_score(train, own_settings, texts, variant.targets, variant.prepare)

    identity = data_identity([problem.data_sha256], rows, own_settings)
    learned = (mentions.texts, mentions.label_ids.tolist()) if mentions else ()
    depends_on = identity, own_settings.to_dict(), variant.title, label_errors.INVERSE_PENALTY, *learned
    store_name = f"variant-{name}-seed-{settings.seed}"
    return study.score_folds(store_name, depends_on, len(rows), folds, fit_and_score, title)


# ---------------------------------------------------------------- the record


def summarized(entries: Mapping[str, Any], problem: Problem) -> dict[str, Any]:
    """Each variant with ``paired``, its difference from the unchanged training.

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
    for name in [name for name in VARIANTS if name in entries]:
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
