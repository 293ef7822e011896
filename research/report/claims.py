"""What is true of this project and what is not: each question with the answer of the recorded runs, and by what.

The answers are computed: a new run may turn a yes into a no. ``results`` puts them at the head of its page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import pi, sqrt
from typing import Any

from research.ablation import SWITCHES, effects
from research.baselines import COPIES, GROUPED, REPORT
from research.compare import AVERAGED
from research.label_quality import WORDS
from research.learning_curve import run_name
from research.levers import APART, LEVERS, WITH_AN_EMOTION
from research.methods.baseline_models.baseline_models import OURS, baselines, methods
from research.report import markdown as md
from research.runs import UNCHANGED, gains, load, over_seeds
from tf_model import config, tasks
from tf_model.errors import plural
from tf_model.evaluation.metrics import REPORT as THE_REPORT
from tf_model.evaluation.metrics import wilson_interval

YES, NO, UNDECIDED, OPEN = "yes", "no", "the data cannot tell", "not measured yet"
REPORTED_EPOCHS = 10
HAIR = 2  # tweets: an interval that begins nearer to 0 might hold it if it were resampled once more
ABLATIONS = {"report": "at the report's rate", "quick": "at ten times the rate in 3 epochs"}  # its settings, in words

# What the models were to reach on the grouped protocol, by the mean over the seeds. Of the answer model, a figure of
# tf_model.evaluation.joint_metrics.headline: name, target, whether more is better.
TARGETS: dict[str, tuple[str, float, bool]] = {
    "product_accuracy": ("product accuracy", 0.89, True),
    "product_macro_f1": ("product macro-F1", 0.81, True),
    "emotion_accuracy": ("emotion accuracy", 0.76, True),
    "emotion_macro_f1": ("emotion macro-F1", 0.68, True),
    "answer_accuracy": ("answer exactly right, all tweets", 0.75, True),
    "answer_emotion_rows_accuracy": ("answer exactly right, tweets that carry an emotion", 0.58, True),
    "product_accuracy_at_80_percent": ("product accuracy on the most confident 80%", 0.94, True),
    "product_ece": ("ECE product after calibration", 0.03, False),
    "emotion_ece": ("ECE emotion after calibration", 0.03, False),
}
# What a lever is judged by: answers that are exactly right, of all tweets and of those that carry an emotion.
LEVER_FIGURES = {tasks.ANSWER: "answer_accuracy", WITH_AN_EMOTION: "answer_emotion_rows_accuracy"}
LEVER_QUESTIONS = (*tasks.TASKS, *LEVER_FIGURES)
TUNED_TARGETS = {"accuracy": ("accuracy", 0.885, True), "macro_f1": ("macro-F1", 0.80, True)}


@dataclass(frozen=True)
class Finding:
    """What the runs answer.

    Attributes:
        answer: In a few words: :data:`YES`, :data:`NO`, ...
        evidence: The figures it rests on.
    """

    answer: str
    evidence: str = ""


@dataclass(frozen=True)
class Question:
    """A question of a sceptical reader.

    Attributes:
        text: The question.
        finding: What the recorded runs answer; None where none is recorded.
        section: The heading in results.md, or the page and heading, below which the figures stand.
    """

    text: str
    finding: Callable[[], Finding | None]
    section: str


def reached(summary: Mapping[str, Any], target: float, more: bool = True) -> bool:
    """Whether the mean over the seeds is as good as the target."""
    return summary["mean"] >= target if more else summary["mean"] <= target


def verdict(low: float, high: float) -> str:
    """What an interval of a gain says: yes, no, or that it holds 0."""
    return YES if low > 0 else NO if high < 0 else UNDECIDED


# ---------------------------------------------------------------- the report


def _report_is_reached() -> Finding | None:
    run = load("bench_train_report")
    if run is None:
        return None
    accuracy, count = run["accuracy"], run["reach_target"]
    answer = YES if count == accuracy["n"] else NO if not count else f"with {count} of {accuracy['n']} seeds"
    each, reported = validated(run), THE_REPORT["validation"]["accuracy"]
    interval = ""
    if left_open(each, reported):
        by = f", by {f'each of {count} seeds' if count > 1 else 'one seed'}" if answer == YES else ""
        answer += f"{by}; others might say otherwise"
    if len(each) > 1:
        interval = f"; 95% over seeds {bounds(over_seeds(each))}"
        interval += f", which holds {reported:.4f}" if left_open(each, reported) else ""
    return Finding(
        answer,
        f"{md.mean(accuracy)}, {count} of {accuracy['n']} seeds{interval}{_with_the_loss_in_bfloat16()}; by the "
        f"packaged MiniLM, a smaller network, in {epochs_of(run)} epochs where the report had {REPORTED_EPOCHS}",
    )


def _with_the_loss_in_bfloat16() -> str:
    run = load("bench_train_report_bfloat16_loss")
    return f"; with the loss in bfloat16 {run['reach_target']} of {run['accuracy']['n']}" if run else ""


def bounds(interval: Sequence[float]) -> str:
    """An interval of an accuracy to four digits, as the targets have."""
    return " to ".join(f"{bound:.4f}" for bound in interval)


def validated(run: Mapping[str, Any]) -> list[float]:
    """The validation accuracy of each seed of a recorded ``bench_train``."""
    return [seed["validation_accuracy"] for seed in run.get("seeds", [])]


def epochs_of(run: Mapping[str, Any]) -> int:
    """How many epochs each seed of a recorded ``bench_train`` was trained for."""
    return (run.get("settings") or config.make_recipe(run["recipe"]).to_dict())["epochs"]


def _more_epochs_help() -> Finding | None:
    run = load("choose_epochs")
    if run is None:
        return None
    by_epoch = {round(row["epoch"]): row["val_accuracy"] for row in run["epochs"]}
    if REPORTED_EPOCHS not in by_epoch:
        return None
    last = max(by_epoch)
    (low, high), (lowest, highest) = (
        wilson_interval(round(by_epoch[epoch] * run["rows"]), run["rows"]) for epoch in (last, REPORTED_EPOCHS)
    )
    answer = f"{verdict(low - highest, high - lowest)}, by one seed"
    done = run.get("folds_done", run["folds"])
    which = "" if done == run["folds"] else f", in the {done} of {run['folds']} folds that were run"
    return Finding(
        f"{answer}{which}",
        f"{by_epoch[REPORTED_EPOCHS]:.4f} ({md.interval((lowest, highest))}) after {REPORTED_EPOCHS}, "
        f"{by_epoch[last]:.4f} ({md.interval((low, high))}) after {last}, the most that were tried; Wilson's "
        f"intervals, {run['rows']:,} tweets. Of the report's own network nothing was measured",
    )


def _duplicates_flatter(task: str) -> Callable[[], Finding | None]:
    def finding() -> Finding | None:
        run = load("baselines")
        if run is None:
            return None
        worth = {name: found[COPIES][task] for name, found in run["methods"].items() if task in found.get(COPIES, {})}
        return _by_copies(run, task, worth) if worth else _by_two_splits(run, task)

    return finding


def _told_of_copies(run: Mapping[str, Any]) -> tuple[dict[tuple[str, str], bool], int]:
    """By task and method, whether its seed nearest 0 can be told though so many were looked at; and how many were."""
    nearest = {
        (task, name): min(by_seed.values(), key=lambda test: abs(test["difference"]))
        for name, found in run["methods"].items()
        for task, by_seed in found.get(COPIES, {}).items()
    }
    asked = {key: test for key, test in nearest.items() if any(test["difference_interval"])}
    told = told_by_holm([(test["difference"], test["difference_interval"]) for test in asked.values()])
    return dict(zip(asked, told, strict=True)), len(asked)


def _by_copies(run: Mapping[str, Any], task: str, worth: Mapping[str, Any]) -> Finding:
    """By the same tweets, which each method answered with near-duplicates in training and without."""
    stays, asked = _told_of_copies(run)
    kept = 0
    by_verdict: dict[str, list[str]] = {YES: [], NO: [], UNDECIDED: []}
    alike = []
    for name, by_seed in worth.items():
        title, intervals = run["methods"][name]["title"], [test["difference_interval"] for test in by_seed.values()]
        if not any(bound for interval in intervals for bound in interval):
            alike.append(title)
            continue
        said = verdict(min(low for low, _ in intervals), max(high for _, high in intervals))
        _, test = weakest_seed(by_seed)
        lost = said != UNDECIDED and not stays.get((task, name), False)
        kept += said != UNDECIDED and not lost
        once = " (one seed)" if len(by_seed) == 1 and len(methods()[name].seeds) > 1 else ""
        gain = md.difference(test["difference"], test["difference_interval"])
        by_verdict[said].append(f"{title}{once} {gain}{', not once corrected' if lost else ''}")
    told = {said: shown for said, shown in by_verdict.items() if shown}
    counts = [f"{said} by {len(shown)}" for said, shown in told.items()]
    counts[:1] = [f"{first} of {sum(map(len, told.values()))} methods" for first in counts[:1]]
    if asked > 1 and any(said != UNDECIDED for said in told):
        counts.append(f"corrected for {asked} intervals (Holm), by {kept}")
    evidence = [f"{f'{said}: ' if len(told) > 1 else ''}{', '.join(shown)}" for said, shown in told.items()]
    if alike:
        evidence.append(f"the same answers either way: {', '.join(alike)}")
    evidence.append(f"on {md.first(md.first(worth))['rows']:,} tweets of {_split_of(run, task)}")
    return Finding("; ".join(counts) or UNDECIDED, "; ".join(evidence))


def _split_of(run: Mapping[str, Any], task: str) -> str:
    """Whose split a task has under the protocol report."""
    if task == tasks.PRODUCT.name:
        return "the report's split"
    return f"a split of {run['rows'][task][GROUPED]:,} by the report's rule: the report itself answered no {task}"


def _by_two_splits(run: Mapping[str, Any], task: str) -> Finding | None:
    """By the words model on different tweets: no test of what near-duplicates are worth."""
    found = run["methods"].get(WORDS)
    if not found or not all(protocol in found.get(task, {}) for protocol in (REPORT, GROUPED)):
        return None
    first = {protocol: md.first(found[task][protocol]["seeds"]) for protocol in (REPORT, GROUPED)}
    (low, high), (lowest, highest) = (first[protocol]["accuracy_interval"] for protocol in (REPORT, GROUPED))
    shown = {name: f"{each['accuracy']:.4f} ({md.interval(each['accuracy_interval'])})" for name, each in first.items()}
    apart = verdict(low - highest, high - lowest) != UNDECIDED
    return Finding(
        f"the two intervals {'do not overlap' if apart else 'overlap'}",
        f"{found['title']}: {shown[REPORT]} on the report's split, {shown[GROUPED]} without them",
    )


def _slips(setting: str) -> Callable[[], Finding | None]:
    def finding() -> Finding | None:
        run = load("ablation")
        found = run["settings"].get(setting) if run else None
        told, halves, once = [], [], []
        counts: dict[str, list[int]] = {}
        for protocol, switches in found["protocols"].items() if found else ():
            judging = [each for name in SWITCHES for each in effects(switches, name) if each.judges]
            clear = [each for each in judging if agreed(each.interval, each.each) != UNDECIDED]
            if judging:
                counts[protocol] = [len(clear), len(judging)]
            told += [
                f"{each.title} ({each.slip}; {protocol}): {md.difference(each.difference, each.interval)}"
                for each in clear
            ]
            open_ones = [each for each in judging if each not in clear]
            once += [each.difference for each in open_ones if len(each.each) < 2]
            halves += [_half_of_the_wider(each.interval, each.each) for each in open_ones if len(each.each) > 1]
        if not counts:
            return None
        if told:
            answer = ", ".join(f"{clear} of {_switches(count)} ({name})" for name, (clear, count) in counts.items())
            answer += f"; of the others {UNDECIDED}" if halves or once else ""
        else:
            every = ", ".join(f"{_switches(count)} ({name})" for name, (_, count) in counts.items())
            answer = f"{UNDECIDED} of any: {every}"
        evidence = told
        if halves:
            evidence = [*told, f"an effect would have to exceed {_from_to(halves)}, half the wider of its intervals"]
        if once:
            rest = f"{len(once)} {plural(len(once), 'rests', 'rest')} on one seed, which tells nothing"
            evidence = [*evidence, f"{rest}: {_from_to(once, '{:+.4f}')}"]
        return Finding(answer, "; ".join(evidence))

    return finding


def _switches(count: int) -> str:
    return f"{count} {plural(count, 'switch', 'switches')}"


def _half_of_the_wider(interval: Sequence[float], each: Sequence[float]) -> float:
    """Half the width of the wider of the intervals over tweets and over seeds."""
    return max((high - low) / 2 for low, high in (interval, over_seeds(each)))


def _from_to(values: Sequence[float], shape: str = "±{:.3f}") -> str:
    shown = dict.fromkeys(shape.format(value) for value in (min(values), max(values)))
    return " to ".join(shown)


# ---------------------------------------------------------------- our models


def _beats(
    question: str, run_name: str = f"compare_{tasks.ANSWER}", trained: str | None = None, networks: bool = False
) -> Callable[[], Finding | None]:
    """Whether ours beats every plain method, or every network that is not ours, by a recorded comparison.

    Args:
        question: A task, or the whole answer.
        run_name: Of the comparison.
        trained: A run with more seeds, which the comparison lacks.
        networks: Whether it is about those that train for minutes; else about the others.
    """

    def finding() -> Finding | None:
        run = load(run_name)
        if run is None:
            return None
        asked = [name for name, method in baselines().items() if method.slow == networks]
        by_method = {name: run["methods"].get(name, {}).get(question) for name in asked}
        by_method = {name: found for name, found in by_method.items() if found}
        if not by_method:
            return None
        intervals = [[test["difference_interval"] for test in tests.values()] for tests in by_method.values()]
        low = min(low for of_method in intervals for low, _ in of_method)
        # Behind a method only if each seed is.
        high = min(max(high for _, high in of_method) for of_method in intervals)
        weakest = {name: weakest_seed(tests) for name, tests in by_method.items()}
        rival = min(weakest, key=lambda name: weakest[name][1]["difference"])
        seed, test = weakest[rival]
        gain = md.difference(test["difference"], test["difference_interval"])
        seeds, averaged = set(by_method[rival]) - {AVERAGED}, by_method[rival].get(AVERAGED)
        named = f"our {'weakest' if len(seeds) > 1 else 'only'} seed, {seed}"
        if averaged:
            every = md.difference(averaged["difference"], averaged["difference_interval"])
            gain += f"; {len(seeds)} seeds averaged: {every}"
        gain += _more_seeds(trained, rival, question, test)
        missing = [name for name in asked if name not in by_method]
        narrowly, narrowest = _by_a_hair(run, by_method, rival)
        covered = f"; {len(by_method)} of {len(asked)} were measured" if missing else ""
        unmeasured = f"; not measured: {', '.join(baselines()[name].title for name in missing)}" if missing else ""
        return Finding(
            f"{verdict(low, high)}{narrowly}{' by one seed of each' if networks and len(seeds) == 1 else ''}{covered}",
            f"closest: {run['methods'][rival]['title']}; {named}: {gain}{narrowest}{unmeasured}",
        )

    return finding


def _by_a_hair(run: Mapping[str, Any], by_method: Mapping[str, Any], rival: str) -> tuple[str, str]:
    """Words for an answer that hangs on one or two tweets, and the difference that does, if it is not of the rival."""
    tests = [(name, key, test) for name, by_key in by_method.items() for key, test in by_key.items()]
    name, key, test = min(tests, key=lambda each: each[2]["difference_interval"][0])
    if not 0 < test["difference_interval"][0] * test["rows"] < HAIR:
        return "", ""
    gain = md.difference(test["difference"], test["difference_interval"])
    shown = "" if name == rival else f"; narrowest: {run['methods'][name]['title']}, our seed {key}: {gain}"
    return f", {'' if len(by_method[name]) == 1 else 'of one seed '}by a hair", shown


def _more_seeds(trained: str | None, rival: str, question: str, test: Mapping[str, Any]) -> str:
    """How far the seeds of a training run are ahead of a plain method on the rows of its test, which has but one."""
    run, plain = load(trained) if trained else None, load("baselines")
    theirs = plain["methods"].get(rival, {}).get(question, {}).get(REPORT) if plain else None
    if run is None or theirs is None or run["rows"]["validation"] != test["rows"]:
        return ""
    least, most = (run["accuracy"][bound] - theirs["summary"]["accuracy"]["mean"] for bound in ("min", "max"))
    low, high = test["difference_interval"]
    narrow = ", each by less than half the width of that interval" if max(-least, most) < (high - low) / 2 else ""
    return f"; {run['accuracy']['n']} seeds of `make bench-train`: {least:+.4f} to {most:+.4f}{narrow}"


def weakest_seed(by_seed: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Of the paired tests of our seeds against one baseline, the seed that gains least, and its test."""
    seeds = {seed: test for seed, test in by_seed.items() if seed != AVERAGED}
    least = min(seeds, key=lambda seed: seeds[seed]["difference"])
    return least, seeds[least]


def _answer_targets() -> Finding | None:
    return _targets_of(load("grouped_answer"), TARGETS)


def _tuned_targets() -> Finding | None:
    return _targets_of(load("grouped_tuned"), TUNED_TARGETS)


def _targets_of(run: Mapping[str, Any] | None, targets: Mapping[str, tuple[str, float, bool]]) -> Finding | None:
    if run is None:
        return None
    missed = [
        f"{title} {run['summary'][name]['mean']:.4f} ({target:g})"
        for name, (title, target, more) in targets.items()
        if not reached(run["summary"][name], target, more)
    ]
    open_ones = sum(left_open(of_each_seed(run, name), target) for name, (_, target, _) in targets.items())
    answer = YES if not missed else f"{len(targets) - len(missed)} of {len(targets)}"
    left = f"; of {open_ones} the seeds leave it open" if open_ones else ""
    return Finding(f"{answer}, by the mean{left}", f"missed: {'; '.join(missed)}" if missed else "")


def of_each_seed(run: Mapping[str, Any], figure: str) -> list[float]:
    """A figure of the headline, or of the one task, of each recorded seed that has it."""
    seeds = [seed.get("headline", seed) for seed in run["seeds"].values()]
    return [seed[figure] for seed in seeds if figure in seed]


def left_open(each: Sequence[float], target: float) -> bool:
    """Whether the 95% interval of a mean over training seeds holds the target, as that of one seed always does."""
    if not each:
        return False
    low, high = over_seeds(each)
    return low <= target <= high


def _calibration_helps(task: str) -> Callable[[], Finding | None]:
    def finding() -> Finding | None:
        run = load("grouped_answer")
        seeds = [found["calibration"][task] for found in run["seeds"].values() if "calibration" in found] if run else []
        if not seeds:
            return None
        every = ", ".join(f"{seed['before']['ece']:.3f} and {seed['after']['ece']:.3f}" for seed in seeds)
        gains = [seed["brier_gain"] for seed in seeds if "brier_gain" in seed]
        if len(gains) < len(seeds):
            return Finding(UNDECIDED, f"ECE of each seed before and after: {every}; not judged tweet by tweet")
        answer = verdict(min(gain["interval"][0] for gain in gains), max(gain["interval"][1] for gain in gains))
        gained = "; ".join(md.difference(gain["difference"], gain["interval"]) for gain in gains)
        chance = max(ece_by_chance(seed["after"]["reliability"]) for seed in seeds)
        return Finding(
            {YES: YES, NO: "no, less true"}.get(answer, answer),
            f"Brier score before less after, of each seed (above 0 is truer): {gained}; ECE before and after: "
            f"{every}, where exactly true confidences would show {chance:.3f} on average",
        )

    return finding


def ece_by_chance(reliability: Sequence[Mapping[str, Any]]) -> float:
    """The expected calibration error that probabilities have on average though they are exactly true, 0 to 1.

    In each bin the share that is right differs from its expectation as a binomial share does, by sqrt(2 / pi) standard
    deviations on average.

    Args:
        reliability: What :func:`tf_model.evaluation.calibration.reliability` returns.
    """
    rows = sum(each["rows"] for each in reliability)
    errors = [sqrt(each["confidence"] * (1 - each["confidence"]) * each["rows"]) for each in reliability]
    return sqrt(2 / pi) * sum(errors) / rows


def _two_models_are_better() -> Finding | None:
    found = _lever(APART)
    if found is None:
        return None
    count = len(found["seeds"])
    seeds = f"{count} {plural(count, 'seed', 'seeds')}"
    return Finding(_lever_verdict(APART, tasks.ANSWER), f"{seeds}; {_gains(found, LEVER_QUESTIONS)}")


def _any_lever_is_better() -> Finding | None:
    run = load("levers")
    # Two models are a question of their own.
    tried = {name: found for name, found in run["levers"].items() if name not in (UNCHANGED, APART)} if run else {}
    if not tried:
        return None
    verdicts, lost, judged = _corrected(tried)
    said = {name: {verdicts[name, question] for question in LEVER_FIGURES} for name in tried}
    mixed = [name for name in tried if {YES, NO} <= said[name]]
    better, worse = ([name for name in tried if each in said[name] and name not in mixed] for each in (YES, NO))
    once = sum(len(found["seeds"]) < 2 for found in tried.values())
    named = [("better", better), ("worse", worse), ("better and worse", mixed)]
    named.append((f"told by itself, not once corrected for {judged} verdicts (Holm)", lost))
    if not any(names for _, names in named):
        named = [("highest", [max(tried, key=lambda name: tried[name]["paired"][tasks.ANSWER]["difference"])])]
    return Finding(
        f"better: {len(better)} of {len(tried)} that were tried; worse: {len(worse)}; better on all tweets and worse "
        f"where there is an emotion, or the other way round: {len(mixed)}; of the others the data cannot tell"
        + (f", {once} had one seed only" if once else "")
        + (f"; corrected for {judged} verdicts (Holm)" if judged > 1 else ""),
        "; ".join(
            f"{how}: {LEVERS[name].title}: {_gains(tried[name], LEVER_FIGURES)}{_broken_targets(tried[name])}"
            for how, names in named
            for name in names
        ),
    )


def _corrected(tried: Mapping[str, Any]) -> tuple[dict[tuple[str, str], str], list[str], int]:
    """The verdict on each lever and question, undecided where it is not told once corrected for how many were given.

    The p-value of a verdict is the greater of the two that it takes, over tweets and over seeds; one seed gives none.

    Returns:
        Verdicts by lever and question; levers that lost one; how many were given.
    """
    from scipy.stats import ttest_1samp

    asked = [(name, question) for name in tried for question in LEVER_FIGURES]
    verdicts = {(name, question): _lever_verdict(name, question) for name, question in asked}
    p_values = {}
    for name, question in asked:
        each, paired = _lever_gains(name, LEVER_FIGURES[question]), tried[name]["paired"][question]
        if len(each) > 1:
            over_tweets = normal_p_value(paired["difference"], paired["interval"])
            p_values[name, question] = max(over_tweets, float(ttest_1samp(each, 0).pvalue))
    told = dict(zip(p_values, holm(list(p_values.values())), strict=True))
    lost = [key for key, said in verdicts.items() if said != UNDECIDED and not told[key]]
    return verdicts | dict.fromkeys(lost, UNDECIDED), list(dict.fromkeys(name for name, _ in lost)), len(told)


def _broken_targets(found: Mapping[str, Any]) -> str:
    """Which targets a lever misses that the recipe as it is reaches, both by the mean over their seeds."""
    before, after = _lever(UNCHANGED)["summary"], found["summary"]
    broken = [
        f"{title} {after[name]['mean']:.4f} ({target:g})"
        for name, (title, target, more) in TARGETS.items()
        if reached(before[name], target, more) and not reached(after[name], target, more)
    ]
    return f", misses what the recipe reaches: {', '.join(broken)}" if broken else ""


def _lever(name: str) -> Mapping[str, Any] | None:
    run = load("levers")
    return run["levers"].get(name) if run else None


def _lever_verdict(name: str, question: str) -> str:
    """Whether a lever is better at a question of :data:`LEVER_FIGURES`."""
    return agreed(_lever(name)["paired"][question]["interval"], _lever_gains(name, LEVER_FIGURES[question]))


def _lever_gains(name: str, figure: str = LEVER_FIGURES[tasks.ANSWER]) -> list[float]:
    """Of each seed, in answers that are exactly right, or in another figure."""
    found, unchanged = (
        {seed: figures["headline"] for seed, figures in _lever(each)["seeds"].items()} for each in (name, UNCHANGED)
    )
    return gains(found, unchanged, figure)


def agreed(interval: Sequence[float], each: Sequence[float]) -> str:
    """:func:`verdict`, if the seeds say so as well: an interval over tweets knows nothing of how much they differ."""
    answer = verdict(*interval)
    return answer if answer == verdict(*over_seeds(each)) else UNDECIDED


def _gains(found: Mapping[str, Any], questions: Iterable[str]) -> str:
    gains = ((question, found["paired"][question]) for question in questions)
    return ", ".join(
        f"{'where there is an emotion' if question == WITH_AN_EMOTION else question} "
        f"{md.difference(gain['difference'], gain['interval'])}"
        for question, gain in gains
    )


# ---------------------------------------------------------------- labels


def _people_agree(task: str) -> Callable[[], Finding | None]:
    def finding() -> Finding | None:
        run = load("label_quality")
        found = agreements_of(run).get(task, {}) if run else {}
        agreement = next((each for each in found.values() if each["groups"]), None)
        if agreement is None:
            return None
        ceiling = " to ".join(f"{bound:.3f}" for bound in agreement["ceiling"])
        ours = f"; our answer model has {agreement['our_accuracy']:.3f} there" if "our_accuracy" in agreement else ""
        return Finding(
            f"with a probability of {agreement['pairwise']:.3f}",
            f"{md.interval(agreement['interval'])}; the best possible accuracy on such texts is somewhere in "
            f"{ceiling}{ours}",
        )

    return finding


def agreements_of(run: Mapping[str, Any]) -> dict[str, Any]:
    """What a recorded ``label_quality`` says of how far labels agree, by task and of the whole answer."""
    found = {name: of_task["agreement"] for name, of_task in run["tasks"].items()}
    return found | ({tasks.ANSWER: run["answers_agree"]} if run.get("answers_agree") else {})


def _better_without_doubtful(task: str) -> Callable[[], Finding | None]:
    def finding() -> Finding | None:
        run = load("label_quality")
        by_task = {name: _without_doubtful(found) for name, found in run["tasks"].items()} if run else {}
        cases = by_task.get(task)
        if not cases:
            return None
        # Those of this task first: the order tells nothing to the correction.
        every = [values for _, values, _ in cases]
        every += [values for name, found in by_task.items() if name != task for _, values, _ in found]
        told = told_by_holm([(values["difference"], values["interval"]) for values in every])
        verdicts = [verdict(*values["interval"]) for _, values, _ in cases]
        left = [said for said, stays in zip(verdicts, told, strict=False) if stays]
        where, values, _ = max(cases, key=lambda case: case[1]["difference"])
        beside = [(values["doubtful"]["macro_f1"], values["random"]["macro_f1"]) for _, values, _ in cases]
        above, above_all = (sum(ours > random[key] for ours, random in beside) for key in ("mean", "max"))
        below = sum(ours < random["mean"] for ours, random in beside)
        return Finding(
            f"more accurate in {verdicts.count(YES)} of {len(cases)} cases, less in {verdicts.count(NO)}; corrected "
            f"for {len(every)} intervals (Holm), in {left.count(YES)} and {left.count(NO)}",
            f"most: {where}, {md.difference(values['difference'], values['interval'])}; macro-F1 above the mean of the "
            f"random draws in {above}, above each in {above_all}, below the mean in {below}; beside training on "
            f"everything {_falls(cases, 'accuracy')}, {_falls(cases, 'macro_f1', 'macro-F1')}",
        )

    return finding


def _without_doubtful(found: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any], Mapping[str, float]]]:
    """Each recorded case of a task: what was left out of which method, its figures, and those of all labels."""
    return [
        (f"{kept['title']} without {float(share):.0%}", values, kept["all"])
        for kept in found.get("without_doubtful", {}).values()
        for share, values in kept.items()
        if isinstance(values, Mapping) and "doubtful" in values
    ]


def _falls(cases: Sequence[tuple[str, Mapping[str, Any], Mapping[str, float]]], figure: str, name: str = "") -> str:
    """In how many cases a figure is lower than that of all labels, and the deepest fall."""
    pairs = [(everything[figure], values["doubtful"][figure]) for _, values, everything in cases]
    fallen = [(before, after) for before, after in pairs if after < before]
    deepest = max(fallen, key=lambda pair: pair[0] - pair[1], default=None)
    shown = f" (deepest: from {deepest[0]:.4f} to {deepest[1]:.4f})" if deepest else ""
    return f"{name or figure} falls in {len(fallen)}{shown}"


def told_by_holm(cases: Sequence[tuple[float, Sequence[float]]]) -> list[bool]:
    """Which differences can be told from 0 though so many were looked at, at 5% for all of them together.

    The p-value of each is that of the normal distribution whose 95% interval is as wide. Source: S. Holm, "A simple
    sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6 (1979).

    Args:
        cases: Each difference and its 95% interval.
    """
    return holm([normal_p_value(*case) for case in cases])


def normal_p_value(difference: float, interval: Sequence[float]) -> float:
    """Two-sided p of a difference by the normal distribution whose 95% interval is as wide."""
    from scipy.stats import norm

    deviation = (interval[1] - interval[0]) / (2 * norm.ppf(0.975))
    return float(2 * norm.sf(abs(difference) / deviation)) if deviation else float(difference == 0)


def holm(p_values: Sequence[float]) -> list[bool]:
    """Which of several hypotheses are rejected at 5% for all of them together; Holm (1979), see above."""
    told = [False] * len(p_values)
    for left, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[place] > 0.05 / (len(p_values) - left):
            break
        told[place] = True
    return told


def _bert_pays(task: str) -> Callable[[], Finding | None]:
    def finding() -> Finding | None:
        run = load(run_name(task))
        if run is None or OURS not in run["methods"]:
            return None
        rivals = len(run["methods"]) - 1
        plain = sum(not method.slow for method in baselines().values())
        sizes = ", ".join(f"{point['size']:,}" for point in run["methods"][OURS]["points"])
        return Finding(
            f"{pays(run)}; by macro-F1 {pays(run, 'macro_f1')}",
            f"our worst of {run['draws']} draws beats the best of the {rivals} plain methods, of {plain}, that "
            f"were measured; ours was with {sizes}",
        )

    return finding


def pays(run: Mapping[str, Any], figure: str = "accuracy") -> str:
    """From how many labelled tweets on :func:`pays_from` says that our model pays, in words, and by how much there."""
    size = pays_from(run, figure)
    if size is None:
        return "at no measured size"
    most = size == max(point["size"] for point in run["methods"][OURS]["points"])
    where = f"at {size:,}, the most that ours was measured with" if most else f"from {size:,} on"
    return f"{where} (there by {_leads(run, figure)[size]:.4f} at least)"


def _leads(run: Mapping[str, Any], figure: str) -> dict[int, float]:
    """How far our worst draw is ahead of the best draw of every measured baseline, by size."""
    others = [found for name, found in run["methods"].items() if name != OURS]
    leads = {}
    for point in run["methods"][OURS]["points"]:
        rivals = [each for found in others for each in found["points"] if each["size"] == point["size"]]
        if rivals:
            leads[point["size"]] = point[figure]["min"] - max(each[figure]["max"] for each in rivals)
    return leads


def pays_from(run: Mapping[str, Any], figure: str = "accuracy") -> int | None:
    """The number of labelled tweets from which on our worst draw is ahead of the best draw of every measured baseline.

    Args:
        run: A learning curve that holds :data:`OURS`.
        figure: In which it is ahead, ``"accuracy"`` or ``"macro_f1"``.
    """
    leads = _leads(run, figure)
    behind = [size for size, lead in leads.items() if lead <= 0]
    return min((size for size in leads if not behind or size > max(behind)), default=None)


# ---------------------------------------------------------------- the table


QUESTIONS = (
    Question(
        "Does the report's recipe reach its 0.8741 on its own split?",
        _report_is_reached,
        "The report's recipe reaches the report's accuracy",
    ),
    Question(
        "Do more epochs than the report's 10 help the packaged MiniLM, as it supposed of its own network?",
        _more_epochs_help,
        "benchmarks.md#How many epochs for the packaged backbone",
    ),
    Question(
        "Do near-duplicates on both sides of its split flatter a model of the product?",
        _duplicates_flatter(tasks.PRODUCT.name),
        "What near-duplicates on both sides are worth",
    ),
    Question(
        "... of the emotion?",
        _duplicates_flatter(tasks.EMOTION.name),
        "What near-duplicates on both sides are worth",
    ),
    Question(
        "Which slips of its code changed its accuracy, at its learning rate?",
        _slips("report"),
        f"What each slip of the report did, {ABLATIONS['report']}",
    ),
    Question("... at ten times that rate?", _slips("quick"), f"What each slip of the report did, {ABLATIONS['quick']}"),
    Question(
        "On its own split, does its recipe beat every plain method?",
        _beats(tasks.PRODUCT.name, f"compare_{REPORT}_product", trained="bench_train_report"),
        "The report's recipe less each baseline on its split, tweet by tweet",
    ),
    Question(
        "... keras-nlp's networks of the same size, trained at ten times its rate and more?",
        _beats(tasks.PRODUCT.name, f"compare_{REPORT}_product", trained="bench_train_report", networks=True),
        "The report's recipe less each baseline on its split, tweet by tweet",
    ),
    Question(
        "Without leakage, does our answer model beat every plain method on the product?",
        _beats(tasks.PRODUCT.name),
        "Our answer model less each baseline, tweet by tweet",
    ),
    Question(
        "... on the emotion?",
        _beats(tasks.EMOTION.name),
        "Our answer model less each baseline, tweet by tweet",
    ),
    Question(
        "... on the whole answer?",
        _beats(tasks.ANSWER),
        "Our answer model less each baseline, tweet by tweet",
    ),
    Question(
        "Does it, one model of both, beat keras-nlp's networks of the same size, one for each task, on the product?",
        _beats(tasks.PRODUCT.name, networks=True),
        "Our answer model less each baseline, tweet by tweet",
    ),
    Question(
        "... on the emotion?",
        _beats(tasks.EMOTION.name, networks=True),
        "Our answer model less each baseline, tweet by tweet",
    ),
    Question(
        "Does the answer model reach every target that was set for it?",
        _answer_targets,
        "What the answer model was to reach",
    ),
    Question("Does the tuned product model?", _tuned_targets, "What the tuned recipe was to reach"),
    Question(
        "Does the tuned product model beat every plain method?",
        _beats(tasks.PRODUCT.name, f"compare_{tasks.PRODUCT.name}"),
        "Our product model less each baseline, tweet by tweet",
    ),
    Question(
        "... keras-nlp's networks of the same size?",
        _beats(tasks.PRODUCT.name, f"compare_{tasks.PRODUCT.name}", networks=True),
        "Our product model less each baseline, tweet by tweet",
    ),
    Question(
        "Does calibration make the confidence in the product truer?",
        _calibration_helps(tasks.PRODUCT.name),
        'Calibration, and what "Not sure" costs',
    ),
    Question("... in the emotion?", _calibration_helps(tasks.EMOTION.name), 'Calibration, and what "Not sure" costs'),
    Question(
        "Would a model for each task answer better than one for both?",
        _two_models_are_better,
        "What was tried to better the answer model",
    ),
    Question(
        "Does another way of training or of calibrating better the answer model?",
        _any_lever_is_better,
        "What was tried to better the answer model",
    ),
    Question(
        "Do two labels of one text agree on the product, where both name one?",
        _people_agree(tasks.PRODUCT.name),
        "How far people agree, and how high an accuracy can get",
    ),
    Question(
        "... on the emotion?",
        _people_agree(tasks.EMOTION.name),
        "How far people agree, and how high an accuracy can get",
    ),
    Question(
        "... on the whole answer?",
        _people_agree(tasks.ANSWER),
        "How far people agree, and how high an accuracy can get",
    ),
    Question(
        "Is a model of the product better without the most doubtful labels than without as many of each class left out "
        "at random?",
        _better_without_doubtful(tasks.PRODUCT.name),
        "Training without the most doubtful labels",
    ),
    Question(
        "... of the emotion?", _better_without_doubtful(tasks.EMOTION.name), "Training without the most doubtful labels"
    ),
    Question(
        "From how many labelled tweets on does BERT pay, on the product?",
        _bert_pays(tasks.PRODUCT.name),
        "How many labelled tweets the product takes",
    ),
    Question("... on the emotion?", _bert_pays(tasks.EMOTION.name), "How many labelled tweets the emotion takes"),
)


def in_short() -> str:
    """The questions and their answers as a table; a question links to where the figures stand."""
    rows = []
    for question in QUESTIONS:
        finding = question.finding() or Finding(OPEN)
        page, _, heading = question.section.rpartition("#")
        rows.append([f"[{question.text}]({page}{md.anchor(heading)})", finding.answer, finding.evidence])
    return md.table(["question", "answer", "by what"], rows)
