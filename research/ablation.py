"""``python -m research.ablation``: measure the effect of each bug in the report's code, one switch at a time.

Settings, seeds and batch order stay the same. Each switch is compared with the unchanged training, tweet by tweet
where both predict the same tweets. The run is recorded after each seed, so it may be stopped at any time; earlier
results are kept. The setting ``quick`` trains for 3 epochs at ten times the learning rate.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.model_selection import GroupKFold, StratifiedKFold, train_test_split

from research import study
from research.methods import bugs
from research.methods.baseline_models import SEEDS
from research.runs import UNCHANGED, pack, record, show, unpack
from research.study import GROUPED, PROTOCOLS, REPORT, Problem, make_problem
from research.variants import Variant, out_of_fold
from tf_model import cli, config, data, tasks
from tf_model.data import splits
from tf_model.evaluation.metrics import summarize
from tf_model.training.cross_validation import FOLD_SEED, FOLDS

SETTINGS = {
    "report": config.make_config("report"),
    "quick": config.make_config("report", learning_rate=1e-4, epochs=3),
}


def stratified(problem: Problem, seed: int) -> Sequence[splits.Split]:
    """The report's split, but stratified by class."""
    positions = np.arange(len(problem.rows))
    parts = train_test_split(positions, test_size=0.2, random_state=42, stratify=problem.rows.strata)
    return (splits.Split(*parts),)


def unstratified(problem: Problem, seed: int) -> Sequence[splits.Split]:
    """The grouped folds, but not stratified by class."""
    splitter = GroupKFold(FOLDS, shuffle=True, random_state=FOLD_SEED)
    return tuple(splits.Split(*parts) for parts in splitter.split(problem.rows.strata, groups=problem.groups))


def duplicates_across(problem: Problem, seed: int) -> Sequence[splits.Split]:
    """The stratified folds, but not grouped: near-duplicates fall on both sides by chance."""
    splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=FOLD_SEED)
    labels = problem.rows.strata
    return tuple(splits.Split(*parts) for parts in splitter.split(labels, labels))


def without_duplicates(problem: Problem, seed: int) -> Sequence[splits.Split]:
    """The report's split, without the training tweets that are near-duplicates of validation tweets."""
    (split,) = problem.folds[REPORT]
    leaks = np.isin(problem.groups[split.train], problem.groups[split.validation])
    return (splits.Split(split.train[~leaks], split.validation),)


def as_many_left_out(problem: Problem, seed: int) -> Sequence[splits.Split]:
    """The control of :func:`without_duplicates`: the same number of training tweets left out at random."""
    (split,) = problem.folds[REPORT]
    (clean,) = without_duplicates(problem, seed)
    chosen = np.random.default_rng(seed).permutation(len(split.train))[: len(clean.train)]
    return (splits.Split(split.train[np.sort(chosen)], split.validation),)


SWITCHES: dict[str, Variant] = {
    UNCHANGED: Variant("as it is here"),
    "no_mask": Variant("attention mask dropped (the report's bug)", prepare=bugs.drop_mask),
    "second_layer": Variant("second softmax layer on the logits (the report's bug)", prepare=bugs.add_second_layer),
    "urls_first": Variant("URL rule before the letters rule, so that it can match", inputs=bugs.without_urls),
    "normalized": Variant(
        "cleaning that keeps digits and emoticons, marks users and drops links",
        settings={"cleaning": "normalized"},
    ),
    "stratified": Variant("split stratified by class", folds={REPORT: stratified}),
    "unstratified": Variant("folds not stratified by class", folds={GROUPED: unstratified}),
    "without_duplicates": Variant(
        "near-duplicates of validation tweets left out of training",
        folds={REPORT: without_duplicates},
        control="as_many_left_out",
    ),
    "as_many_left_out": Variant("as many tweets left out at random", folds={REPORT: as_many_left_out}),
    "duplicates_across": Variant(
        "near-duplicates on both sides (the report's bug)", folds={GROUPED: duplicates_across}
    ),
}


def main(argv: list[str] | None = None) -> int:
    """Measure the chosen switches, print and record the results."""
    parser = study.parser("ablation", __doc__.splitlines()[0])
    parser.add_argument("--setting", choices=list(SETTINGS), default="report", help="how each model is trained")
    parser.add_argument("--switches", nargs="+", choices=list(SWITCHES), default=list(SWITCHES), help="to measure")
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS), help="on which rows")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS), help="training seeds")
    arguments = parser.parse_args(argv)
    command, setting = study.command_line("ablation", argv), arguments.setting
    dataset = data.load(arguments.data)
    problem = make_problem(dataset, tasks.PRODUCT.name)
    run_name = study.run_of_this_format("ablation")
    run = study.load_to_extend(run_name, {"dataset": dataset.name, **study.size_of(problem)})
    settings = run.setdefault("settings", {})
    if setting not in settings or not study.is_recorded_config(settings[setting]["recipe"], SETTINGS[setting]):
        settings[setting] = {"recipe": SETTINGS[setting].to_dict(), "protocols": {}}
    with cli.stopped_cleanly():
        for seed in arguments.seeds:
            for protocol in arguments.protocols:
                switches = settings[setting]["protocols"].setdefault(protocol, {})
                for name in study.with_unchanged(SWITCHES, arguments.switches, switches, seed):
                    switch = SWITCHES[name]
                    if switch.folds is not None and protocol not in switch.folds:
                        continue
                    folds = switch.folds[protocol](problem, seed) if switch.folds else problem.folds[protocol]
                    own_settings = replace(SETTINGS[setting], seed=seed)
                    result = out_of_fold(f"{name}-{setting}-{protocol}", switch, problem, folds, own_settings)
                    entry = switches.setdefault(name, {"title": switch.title})
                    metrics = seed_metrics(problem, result)
                    entry["seeds"] = study.with_seed(entry, seed, metrics)
                    switches = settings[setting]["protocols"][protocol] = summarized(switches, problem.groups)
                    record(run_name, command, run)
                    show(f"{setting}, {protocol}, seed {seed}, {name}", {"accuracy": metrics["accuracy"]})
                    if paired := switches[name]["paired"]:
                        show(f"{setting}, {protocol}, {name} less {UNCHANGED}", paired)
    return 0


def seed_metrics(problem: Problem, result: study.OutOfFold) -> dict[str, Any]:
    """The accuracy of one seed, which rows were predicted, and which of them correctly."""
    label_ids = problem.label_ids(tasks.PRODUCT)
    return {
        "accuracy": study.evaluate(tasks.PRODUCT, label_ids, result)["accuracy"],
        "answered": pack(result.predicted >= 0),
        "right": pack(result.predicted == label_ids),
    }


def compare(groups: np.ndarray, old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any] | None:
    """Paired difference of two switches' :func:`seed_metrics`, by seed; None without common seeds or tweets."""
    seeds = [seed for seed in new if seed in old]
    predicted = {side[seed]["answered"] for side in (old, new) for seed in seeds}
    if len(predicted) != 1:
        return None
    rows = np.flatnonzero(unpack(predicted.pop(), len(groups)))
    correct = [{seed: unpack(side[seed]["right"], len(groups))[rows] for seed in seeds} for side in (old, new)]
    return study.paired_difference(*correct, groups[rows])


def summarized(switches: Mapping[str, Any], groups: np.ndarray) -> dict[str, Any]:
    """Mean and spread of each switch, and its difference from the unchanged training and from its control."""
    results: dict[str, Any] = {}
    for name in [name for name in SWITCHES if name in switches]:
        seeds, control = switches[name]["seeds"], SWITCHES[name].control
        results[name] = switches[name] | {
            "summary": {"accuracy": summarize(each["accuracy"] for each in seeds.values())},
            "paired": None if name == UNCHANGED else compare(groups, switches[UNCHANGED]["seeds"], seeds),
        }
        if control in switches:
            results[name]["beside_control"] = compare(groups, switches[control]["seeds"], seeds)
    return results


if __name__ == "__main__":
    cli.run(main)
