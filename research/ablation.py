"""``python -m research.ablation``: what each slip of the report's code did, one switch at a time.

Everything but the switch stays as it is here: recipe, seeds, order of the batches. Each switch is measured on the
report's split and on the grouped protocol, and compared with the unchanged training tweet by tweet where both answer
the same tweets. Finished folds are kept and the run is recorded after each seed, so it may be stopped at any time; what
is recorded stays, with which tweets were answered right, so that seeds of several days are compared alike. The setting
``quick`` learns at ten times the rate in 3 epochs: a seed takes minutes, not an hour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from research.baselines import GROUPED, PROTOCOLS, REPORT, Answers, Problem, answers, make_problem, score
from research.methods.baseline_models.baseline_models import SEEDS, Method
from research.methods.baseline_models.bugs import NO_MASK, SECOND_LAYER, URLS_FIRST, SlippedBert
from research.runs import UNCHANGED, gains, load, pack, record, unpack
from tf_model import cli, config, data, paths, tasks
from tf_model.config import Recipe
from tf_model.data import splits
from tf_model.errors import UsageError
from tf_model.evaluation.comparison import compare_right
from tf_model.evaluation.metrics import summarize
from tf_model.training import cross_validation

SETTINGS: dict[str, Recipe] = {
    "report": config.REPORT_DEFAULT,
    "quick": config.make_recipe("report", learning_rate=1e-4, epochs=3),
}
PUT_IN, MENDED, CONTROL = "put in", "mended", "control"
FIGURES = ("accuracy", "macro_f1", "loss")


@dataclass(frozen=True)
class Switch:
    """One thing that is done otherwise.

    Attributes:
        title: For tables.
        slips: Of :class:`research.methods.bugs.SlippedBert`.
        settings: Fields of the recipe that are otherwise.
        folds: By protocol, who trains for whom instead, from the problem and a seed; a protocol without an entry keeps
            its own folds if there are slips, else the switch has no meaning there.
        control: The switch that shares with this one what it is not about, and is compared with it as well.
        slip: Whether the report's slip is :data:`PUT_IN`, so that the difference is what it does, or :data:`MENDED`,
            so that its sign is the opposite; :data:`CONTROL` of the control of another switch.
    """

    title: str
    slips: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    folds: Mapping[str, Callable[[Problem, int], Sequence[splits.Split]]] | None = None
    control: str | None = None
    slip: str = ""

    def applies(self, protocol: str) -> bool:
        """Whether it changes anything under a protocol."""
        return self.folds is None or protocol in self.folds


# ---------------------------------------------------------------- other splits


def stratified(problem: Problem, seed: int) -> Sequence[splits.Split]:
    """The report's split, but with the classes alike on both sides."""
    from sklearn.model_selection import train_test_split

    positions = np.arange(len(problem.rows))
    parts = train_test_split(positions, test_size=0.2, random_state=42, stratify=problem.rows.strata)
    return (splits.Split(*parts),)


def unstratified(problem: Problem, seed: int) -> Sequence[splits.Split]:
    """The grouped folds, but without regard to the classes."""
    from sklearn.model_selection import GroupKFold

    splitter = GroupKFold(cross_validation.FOLDS, shuffle=True, random_state=cross_validation.FOLD_SEED)
    return tuple(splits.Split(*parts) for parts in splitter.split(problem.rows.strata, groups=problem.groups))


def duplicates_across(problem: Problem, seed: int) -> Sequence[splits.Split]:
    """The grouped folds, but with near-duplicates on both sides as chance has it."""
    from sklearn.model_selection import StratifiedKFold

    splitter = StratifiedKFold(cross_validation.FOLDS, shuffle=True, random_state=cross_validation.FOLD_SEED)
    labels = problem.rows.strata
    return tuple(splits.Split(*parts) for parts in splitter.split(labels, labels))


def without_duplicates(problem: Problem, seed: int) -> Sequence[splits.Split]:
    """The report's split, but the near-duplicates of validation tweets are left out of training."""
    (split,) = problem.folds[REPORT]
    leaks = np.isin(problem.groups[split.train], problem.groups[split.validation])
    return (splits.Split(split.train[~leaks], split.validation),)


def as_many_left_out(problem: Problem, seed: int) -> Sequence[splits.Split]:
    """The control of :func:`without_duplicates`: as many tweets are left out, at random."""
    (split,) = problem.folds[REPORT]
    (clean,) = without_duplicates(problem, seed)
    kept = np.random.default_rng(seed).permutation(len(split.train))[: len(clean.train)]
    return (splits.Split(split.train[np.sort(kept)], split.validation),)


SWITCHES: dict[str, Switch] = {
    UNCHANGED: Switch("as it is here"),
    "no_mask": Switch("attention mask dropped (the report's slip)", (NO_MASK,), slip=PUT_IN),
    "second_layer": Switch("second softmax layer on the logits (the report's slip)", (SECOND_LAYER,), slip=PUT_IN),
    "urls_first": Switch("URL rule before the letters rule, so that it can match", (URLS_FIRST,), slip=MENDED),
    "normalized": Switch(
        "cleaning that keeps digits and emoticons, marks users and drops links",
        settings={"cleaning": "normalized"},
        slip=MENDED,
    ),
    "stratified": Switch("split stratified by class", folds={REPORT: stratified}, slip=MENDED),
    "unstratified": Switch("folds not stratified by class", folds={GROUPED: unstratified}, slip=PUT_IN),
    "without_duplicates": Switch(
        "near-duplicates of validation tweets left out of training",
        folds={REPORT: without_duplicates},
        control="as_many_left_out",
        slip=MENDED,
    ),
    "as_many_left_out": Switch("as many tweets left out at random", folds={REPORT: as_many_left_out}, slip=CONTROL),
    "duplicates_across": Switch(
        "near-duplicates on both sides (the report's slip)", folds={GROUPED: duplicates_across}, slip=PUT_IN
    ),
}


@dataclass(frozen=True)
class Effect:
    """What a switch did to the accuracy, beside the unchanged training or beside its control.

    Attributes:
        title: For tables.
        slip: As in :class:`Switch`.
        judges: Whether it says what the slip did: a control does not, nor does a switch without its control.
        seeds: Those that both have.
        each: The gain of each, -1 to 1.
        difference: Their mean.
        interval: Its 95% interval over the tweets.
    """

    title: str
    slip: str
    judges: bool
    seeds: Sequence[str]
    each: Sequence[float]
    difference: float
    interval: Sequence[float]


def effects(switches: Mapping[str, Any], name: str) -> Iterator[Effect]:
    """What a switch did: beside the unchanged training, and beside its control, as far as either is recorded.

    Args:
        switches: What the recorded run has of a protocol.
        name: Of the switch.
    """
    switch = SWITCHES[name]
    measured, control = switches.get(name, {}), switch.control
    besides = [("paired", UNCHANGED, switch.title, not control and switch.slip != CONTROL)]
    if control:
        besides.append(("beside_control", control, f"{switch.title}, less {SWITCHES[control].title}", True))
    for key, other, title, judges in besides:
        if paired := measured.get(key):
            ours, others = measured["seeds"], switches[other]["seeds"]
            seeds, each = [seed for seed in ours if seed in others], gains(ours, others, "accuracy")
            yield Effect(title, switch.slip, judges, seeds, each, paired["difference"], paired["interval"])


# ---------------------------------------------------------------- the command


def main(argv: list[str] | None = None) -> int:
    """Measure what was asked for, print and record it."""
    parser = cli.parser("research.ablation", __doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="workbook or CSV file; found by itself if not given")
    parser.add_argument("--setting", choices=list(SETTINGS), default="report", help="how each model is trained")
    parser.add_argument(
        "--switches", nargs="*", choices=list(SWITCHES), default=list(SWITCHES), help="which; none: sums up anew"
    )
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=list(PROTOCOLS), help="on which rows")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS), help="training seeds")
    arguments = parser.parse_args(argv)
    source = data.resolve(arguments.data)
    data.announce(source)
    dataset = data.read(source.path)
    problem = make_problem(dataset, tasks.PRODUCT.name)
    if not arguments.switches:
        path = _record(arguments.setting, dataset, problem)
    elif UNCHANGED not in arguments.switches:
        _require_unchanged(arguments.setting, dataset, problem, arguments.protocols, arguments.seeds)
    with cli.stopped_cleanly():
        for seed in arguments.seeds:
            for protocol in arguments.protocols:
                for name in [name for name in SWITCHES if name in arguments.switches]:
                    if not SWITCHES[name].applies(protocol):
                        continue
                    said = answer(arguments.setting, name, problem, protocol, seed, dataset.sha256)
                    found = figures(problem, said)
                    path = _record(arguments.setting, dataset, problem, protocol, name, seed, found)
                    paired = load("ablation")["settings"][arguments.setting]["protocols"][protocol][name]["paired"]
                    _print(arguments.setting, protocol, name, seed, found, paired)
    cli.say(f"written to {paths.shown(path)}")
    return 0


def answer(setting: str, name: str, problem: Problem, protocol: str, seed: int, data_sha256: str) -> Answers:
    """Out-of-fold answers with one switch, from the store or computed and kept there."""
    switch = SWITCHES[name]
    recipe = replace(SETTINGS[setting], seed=seed, **switch.settings)
    folds = problem.folds[protocol] if switch.folds is None else switch.folds[protocol](problem, seed)
    method = Method(
        f"ablation_{setting}_{name}",
        switch.title,
        lambda task, seed: SlippedBert(recipe, len(task.labels), switch.slips),
        has_probabilities=True,
        settings=str(recipe),
        slow=True,
    )
    return answers(method, replace(problem, folds={protocol: folds}), tasks.PRODUCT, protocol, seed, data_sha256)


def figures(problem: Problem, said: Answers) -> dict[str, Any]:
    """Figures of one seed, ready for JSON: with which of all rows were answered, and which answered right."""
    label_ids = problem.label_ids(tasks.PRODUCT)
    metrics = score(tasks.PRODUCT, label_ids, said)
    return {name: metrics[name] for name in ("rows", *FIGURES, "accuracy_interval")} | {
        "answered": pack(said.predicted >= 0),
        "right": pack(said.predicted == label_ids),
        "seconds": said.seconds,
    }


def compare(
    groups: np.ndarray, unchanged: Mapping[str, Mapping[str, Any]], said: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any] | None:
    """What a switch does to the accuracy, tweet by tweet and seed by seed.

    Args:
        groups: Near-duplicates among all rows, int64 [N].
        unchanged: :func:`figures` without the switch, by seed.
        said: The same with it.

    Returns:
        ``seeds`` that both have, ``difference`` (mean over seeds, -1 to 1), and its ``interval`` (95%), for which
        groups of near-duplicates are drawn with the answers of all seeds to them; None where other tweets were
        answered, or no seed is in both.
    """
    seeds = [seed for seed in said if seed in unchanged]
    if not seeds or any(said[seed]["answered"] != unchanged[seed]["answered"] for seed in seeds):
        return None
    rows = [np.flatnonzero(unpack(said[seed]["answered"], len(groups))) for seed in seeds]
    old, new = (
        np.concatenate([unpack(side[seed]["right"], len(groups))[at] for seed, at in zip(seeds, rows, strict=True)])
        for side in (unchanged, said)
    )
    found = compare_right(old, new, np.concatenate([groups[at] for at in rows]))
    return {"seeds": seeds, "difference": found["difference"], "interval": found["difference_interval"]}


def _record(
    setting: str,
    dataset: data.Dataset,
    problem: Problem,
    protocol: str | None = None,
    name: str | None = None,
    seed: int | None = None,
    found_of_seed: Mapping[str, Any] | None = None,
) -> Path:
    """Add one seed of a switch, if there is one, to the recorded run, and sum it up.

    The record is begun anew where it is of other rows, and its setting where it is of another recipe.
    """
    recorded, same = _recorded(setting, dataset, problem)
    protocols = recorded[setting]["protocols"]
    if found_of_seed is not None:
        found = protocols.setdefault(protocol, {}).setdefault(name, {"title": SWITCHES[name].title, "seeds": {}})
        seeds = found["seeds"] | {str(seed): found_of_seed}
        found["seeds"] = dict(sorted(seeds.items(), key=lambda item: int(item[0])))
    recorded[setting]["protocols"] = {each: _summed_up(protocols[each], problem.groups) for each in protocols}
    made = [each for name in SETTINGS if name in recorded for each in commands(name, recorded[name]["protocols"])]
    return record("ablation", " and ".join(made), {"dataset": dataset.name, **same, "settings": recorded})


def _recorded(setting: str, dataset: data.Dataset, problem: Problem) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is recorded of each setting on these rows, the one asked for among them, and what says which rows."""
    recipe = SETTINGS[setting].to_dict()
    same = {"data_sha256": dataset.sha256, "rows": len(problem.rows), "groups": int(problem.groups.max()) + 1}
    run = load("ablation")
    recorded = run["settings"] if run and all(run.get(key) == value for key, value in same.items()) else {}
    # A record from before a field was added has its default.
    if setting not in recorded or Recipe.from_dict(recorded[setting]["recipe"]).to_dict() != recipe:
        recorded[setting] = {"recipe": recipe, "protocols": {}}
    return recorded, same


def _require_unchanged(
    setting: str, dataset: data.Dataset, problem: Problem, protocols: Sequence[str], seeds: Sequence[int]
) -> None:
    """Raise :class:`UsageError` unless the unchanged training is recorded of each protocol and seed."""
    recorded, _ = _recorded(setting, dataset, problem)
    found = recorded[setting]["protocols"]
    for protocol in protocols:
        known = found.get(protocol, {}).get(UNCHANGED, {}).get("seeds", {})
        if missing := [str(seed) for seed in seeds if str(seed) not in known]:
            raise UsageError(
                f"each switch is compared with {UNCHANGED!r}; name it too, on the protocol {protocol!r} for seed "
                f"{', '.join(missing)}"
            )


def commands(setting: str, protocols: Mapping[str, Any]) -> list[str]:
    """What measures a setting as it is recorded: a command a protocol, with the seeds of the unchanged training."""
    base = f"python -m research.ablation --setting {setting}"
    seeds = {name: switches[UNCHANGED]["seeds"] for name, switches in protocols.items() if UNCHANGED in switches}
    return [f"{base} --protocols {name} --seeds {' '.join(each)}" for name, each in seeds.items()] or [base]


def _summed_up(switches: Mapping[str, Any], groups: np.ndarray) -> dict[str, Any]:
    """Mean and spread of each switch, and what it does beside the unchanged training and beside its control."""
    summed: dict[str, Any] = {}
    for name in [name for name in SWITCHES if name in switches]:
        seeds, control = switches[name]["seeds"], SWITCHES[name].control
        summed[name] = switches[name] | {
            "summary": {key: summarize(each[key] for each in seeds.values()) for key in FIGURES},
            "paired": None if name == UNCHANGED else compare(groups, switches[UNCHANGED]["seeds"], seeds),
        }
        if control in switches:
            summed[name]["beside_control"] = compare(groups, switches[control]["seeds"], seeds)
    return summed


def _print(
    setting: str, protocol: str, name: str, seed: int, found: Mapping[str, Any], paired: Mapping[str, Any] | None
) -> None:
    line = f"{setting}, {protocol}, seed {seed}, {name}: accuracy {found['accuracy']:.4f}"
    if paired:
        low, high = paired["interval"]
        line += f"; over {len(paired['seeds'])} seeds {paired['difference']:+.4f} ({low:+.4f} to {high:+.4f})"
    cli.stdout().print(line, highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    cli.run(main)
