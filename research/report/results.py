"""``python -m research.report.results``: write research/results.md from the recorded runs; no figure in it is typed.

One section a claim: protocol, rows, seeds, spread, command, duration. What was not measured yet says so, with the
command that measures it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from research.ablation import MENDED, PUT_IN, SWITCHES, Effect, commands, effects
from research.baselines import COPIES, GROUPED, PROTOCOLS, REPORT
from research.compare import AVERAGED, RECORDED, tests_of
from research.label_quality import CHEAP, WORDS
from research.learning_curve import run_name
from research.levers import LEVERS, WITH_AN_EMOTION, WORDS_MODEL
from research.methods.baseline_models.baseline_models import CHOSEN, OURS, in_words, methods, of_tasks
from research.report import markdown as md
from research.report.claims import (
    ABLATIONS,
    NO,
    REPORTED_EPOCHS,
    TARGETS,
    TUNED_TARGETS,
    YES,
    agreements_of,
    bounds,
    epochs_of,
    in_short,
    left_open,
    of_each_seed,
    pays,
    reached,
    validated,
    weakest_seed,
)
from research.report.figures import FEWEST_ROWS, accuracy_axis
from research.runs import UNCHANGED, load, over_seeds
from tf_model import cli, config, paths, tasks
from tf_model.errors import OutputError, plural
from tf_model.evaluation.metrics import REPORT as THE_REPORT
from tf_model.evaluation.metrics import summarize
from tf_model.io.files import whole_file
from tf_model.training import cross_validation

HEAD = """# Results

Written by `make results` from the recorded runs in [runs/](runs/); no figure here is typed. Two protocols:

- **report**: a random 80/20 split, seed 42: of the product the report's own; of the emotion and of the whole answer,
  which the report did not ask for, a split of their tweets by the same rule. Near-duplicates stand on both sides
  (`python -m tf_model.data --audit`), so it can flatter a model; it serves to compare with the report.
- **grouped**: 5-fold cross-validation in which no near-duplicate (cosine 0.8) is on both sides, fold seed 0. It serves
  to judge a model. The folds are drawn over the tweets that have the label: of one task for a model of that task, of
  either for one of both. So one method has two grouped figures of a task, and only those on the same folds compare:
  those of "folds over all tweets" with the `answer` model, the others with a model of the one task.

Intervals are 95%. They resample groups of near-duplicates, because copies are right or wrong together, with the answers
of all seeds; one with a star is Wilson's at the mean over the seeds, which takes tweets for independent and is too
narrow. "sd" is over training seeds. Where an interval of a difference holds 0,
the data cannot tell the two apart. [benchmarks.md](benchmarks.md) has the times, and the report's recipe seed by seed.
"""
GROUPED_ANSWER = (
    "python -m tf_model.evaluate --task answer --protocol grouped --recipe {recipe} --seeds {seeds} --json "
    "research/runs/grouped_answer.json --overwrite"
)
WHEN = ("before", "after")  # calibration
CONFUSIONS = 8  # of products that are shown
OVER_ALL = "folds over all tweets"
NOT_SURE = 'Calibration, and what "Not sure" costs'
SAME_TWEETS = "What near-duplicates on both sides are worth"
JUDGED = ("target", "reached by the mean", "95% over seeds")
JUDGED_HOW = (
    "Whether a target is reached is judged by the mean over the seeds; where Student's 95% interval of that mean holds "
    "the target, other seeds might say otherwise."
)
CHOSEN_HOW = {
    config.REPORT.name: "the report's own; the number of epochs for this backbone by `make choose-epochs`, inside the "
    "training part of the report's split",
    config.TUNED.name: "a first choice on other folds than those that are reported; no search is recorded",
    config.ANSWER.name: "those of `tuned`, with fewer passes over more tweets, and without the mark of a retweet, so "
    "that a tweet and its retweet are answered alike; no search is recorded",
}


def main(argv: list[str] | None = None) -> int:
    """Draw the figures, where a browser to draw them is there, and render every section."""
    parser = cli.parser("research.report.results", __doc__.splitlines()[0])
    parser.add_argument("--no-figures", action="store_true", help="leave research/figures/ as it is")
    arguments = parser.parse_args(argv)
    if not arguments.no_figures:
        from research.report.figures import draw_all

        try:
            for path in draw_all():
                cli.say(f"written to {paths.shown(path)}")
        except OutputError as error:
            cli.say(f"warning: the figures stay as they are: {error}")
    page = paths.RESEARCH / "results.md"
    text = render()
    with whole_file(page, overwrite=True) as part:
        part.write_text(text, encoding="utf-8")
    cli.say(f"written to {paths.shown(page)}")
    return 0


def render() -> str:
    """The page."""
    head = [HEAD, *_tweets(), f"## In short\n\n{in_short()}\n"]
    return "\n".join([*head, *(f"## {title}\n\n{section()}" for title, section in SECTIONS.items())])


def _tweets() -> list[str]:
    """Why some tables are of more tweets than others, where that is recorded."""
    run = load("baselines")
    if run is None:
        return []
    product, emotion, either = (run["rows"][name][GROUPED] for name in (*tasks.TASKS, tasks.ANSWER))
    return [
        f"{either:,} tweets have a label of either task: {product:,} name a product, {emotion:,} say which emotion or "
        f'that there is none. {either - emotion:,} name a product and of the emotion say "{tasks.CANNOT_TELL}": they '
        f"are learned from and answered with the others, and judged on the product alone. So {either:,} tweets are "
        f"answered for both tasks, and the emotion and the whole answer are judged on {emotion:,}.\n"
    ]


# ---------------------------------------------------------------- sections


def _report() -> str:
    run = load("bench_train_report")
    if run is None:
        return md.not_measured("make bench-train")
    accuracy, reported = run["accuracy"], THE_REPORT["validation"]["accuracy"]
    rows = [
        [
            f"`{run['recipe']}` recipe, packaged MiniLM, {epochs_of(run)} epochs",
            md.mean(accuracy),
            md.spread(accuracy),
            bounds(over_seeds(validated(run))) if accuracy["n"] > 1 else "one seed",
            md.mean(run["macro_f1"]),
        ],
        [f"the report, bert-base-uncased, {REPORTED_EPOCHS} epochs, one seed", f"{reported:.4f}", "", "", ""],
    ]
    seconds = sum(seed["seconds"] for seed in run["seeds"])
    return md.captioned(
        md.table(["", "validation accuracy", "range", "95% over seeds", "macro-F1"], rows),
        f"Protocol report; {run['rows']['train']:,} tweets to train, {run['rows']['validation']:,} to validate; "
        f"{accuracy['n']} {plural(accuracy['n'], 'seed', 'seeds')}; {md.made(run, seconds)}",
    )


def _baselines(task: str) -> Callable[[], str]:
    def section() -> str:
        run = load("baselines")
        if run is None:
            return md.not_measured("make baselines")
        rows = []
        for name, method in methods().items():
            found = run["methods"].get(name, {})
            if name == OURS and task not in found:
                continue  # it stands among ours where its own command measured it
            cells = [found.get("title", method.title)]
            for protocol in PROTOCOLS:
                figures = found.get(task, {}).get(protocol)
                rows_of = run["rows"][task][protocol]
                bounds = figures.get("intervals", {}).get(task) if figures else None
                cells += (
                    _accuracy_and_f1(figures["summary"], rows_of, bounds) if figures else ["not measured yet", "", ""]
                )
            rows.append(cells)
        rows += _ours(task, run)
        header = ["method", "grouped accuracy", "interval", "macro-F1", "report accuracy", "interval", "macro-F1"]
        count = run["rows"][task]
        star = any(cell.endswith("*") for row in rows for cell in row[1:])
        marked = "a star marks Wilson's interval, where the answers are not kept; " if star else ""
        return md.captioned(
            md.table(header, rows),
            f"{count[GROUPED]:,} tweets in {run['groups'][task]:,} groups (grouped), {count[REPORT]:,} to validate "
            f"(report); {marked}the keyword rules were written with tweets of this corpus in view, which flatters "
            f"them; {md.made(run, _seconds(run))}"
            f"{_seeds(run, task)}{_missing(run, task)} The two protocols answer different tweets, so that the two "
            f"accuracies of a method do not compare; those [on the same tweets]({md.anchor(SAME_TWEETS)}) do.",
        )

    return section


def _seconds(run: Mapping[str, Any]) -> float:
    return sum(found["seconds"] for found in run["methods"].values())


def _seeds(run: Mapping[str, Any], task: str) -> str:
    """Which seeds the methods with randomness were run with."""
    named = []
    for name, found in run["methods"].items():
        if len(methods()[name].seeds) > 1 and task in found:
            counts = (f"{protocol} {' '.join(figures['seeds'])}" for protocol, figures in found[task].items())
            named.append(f"{found['title']}: {', '.join(counts)}")
    if not named:
        return " No method measured here has randomness."
    return f" Seeds: {'; '.join(named)}. The other methods have no randomness."


def _missing(run: Mapping[str, Any], task: str) -> str:
    """What would measure the methods of which the recorded run lacks a task."""
    names = [name for name in methods() if task not in run["methods"].get(name, {}) and name != OURS]
    if not names:
        return ""
    return f" Not measured yet: `python -m research.baselines --methods {' '.join(names)} --problems {task}`."


def _ours(task: str, baselines: Mapping[str, Any]) -> list[list[str]]:
    """Rows of our own models in the table of a task's baselines, and of these on the folds of the answer model."""
    rows = []
    tuned, answer, report = load("grouped_tuned"), load("grouped_answer"), load("bench_train_report")
    if report and task == tasks.PRODUCT.name:
        figures = _accuracy_and_f1(report, report["rows"]["validation"])
        rows.append([f"**`{report['recipe']}` recipe**", "", "", "", *figures])
    if tuned and tuned.get("task", tasks.PRODUCT.name) == task:
        figures = _accuracy_and_f1(tuned["summary"], tuned["rows"])
        rows.append([f"**`{tuned['recipe']['name']}` recipe**", *figures, "", "", ""])
    if answer:
        summary = {name: answer["summary"][f"{task}_{name}"] for name in ("accuracy", "macro_f1")}
        count = md.first(answer["seeds"])[task]["rows"]
        for found in baselines["methods"].values():
            if plain := found.get(tasks.ANSWER, {}).get(GROUPED):
                figures = _accuracy_and_f1(plain["summary"][task], count, plain.get("intervals", {}).get(task))
                rows.append([f"{found['title']} ({OVER_ALL})", *figures, "", "", ""])
        rows.append([f"**`answer` model** ({OVER_ALL})", *_accuracy_and_f1(summary, count), "", "", ""])
    return rows or [["our models", "not measured yet", "", "", "", "", ""]]


def _answers() -> str:
    run = load("baselines")
    if run is None:
        return md.not_measured("make baselines")
    rows = []
    for name, method in methods().items():
        if method.slow:
            continue
        found = run["methods"].get(name, {})
        cells = [found.get("title", method.title)]
        for protocol in PROTOCOLS:
            figures = found.get(tasks.ANSWER, {}).get(protocol)
            if not figures:
                cells += ["not measured yet", "", ""]
                continue
            summary, first = figures["summary"][tasks.ANSWER], md.first(figures["seeds"])[tasks.ANSWER]
            bounds = figures.get("intervals", {}).get(tasks.ANSWER)
            cells += [md.mean(summary["accuracy"]), md.interval_of_mean(summary["accuracy"], first["rows"], bounds)]
            cells.append(md.mean(summary["emotion_rows_accuracy"]))
        rows.append(cells)
    if ours := load("grouped_answer"):
        summary, first = ours["summary"], md.first(ours["seeds"])[tasks.ANSWER]
        interval = md.interval_of_mean(summary["answer_accuracy"], first["rows"])
        carries = md.mean(summary["answer_emotion_rows_accuracy"])
        rows.append(["**`answer` model**", md.mean(summary["answer_accuracy"]), interval, carries, "", "", ""])
    header = ["method", "grouped, all", "interval", "with an emotion", "report, all", "interval", "with an emotion"]
    return md.captioned(
        md.table(header, rows),
        "Exactly right: no emotion where there is none; the emotion and, where it is labelled, the product elsewhere. "
        f"{_answer_rows(run)}{md.made(run, _seconds(run))} Methods that train for minutes answer product and emotion "
        f"alone, above.",
    )


def _answer_rows(run: Mapping[str, Any]) -> str:
    said = ""
    for protocol in (GROUPED, REPORT):
        every = (found.get(tasks.ANSWER, {}).get(protocol) for found in run["methods"].values())
        if figures := next(filter(None, every), None):
            one = md.first(figures["seeds"])[tasks.ANSWER]
            said += f"{one['rows']:,} tweets, {one['emotion_rows']:,} of which carry an emotion ({protocol}); "
    return said


def _choices() -> str:
    run = load("choose_baselines")
    if run is None:
        return md.not_measured("python -m research.baselines --choose")
    rows = []
    for name, used in CHOSEN.items():
        found = run["methods"].get(name)
        if found is None:
            rows.append([methods()[name].title, "not measured yet", "", of_tasks(used)])
            continue
        tried = (
            f"{float(value):g}: {accuracies[tasks.PRODUCT.name]:.4f} / {accuracies[tasks.EMOTION.name]:.4f}"
            for value, accuracies in found["tried"].items()
        )
        rows.append([found["title"], "; ".join(tried), of_tasks(found["best"]), of_tasks(used)])
    count = run["rows"]
    return md.captioned(
        md.table(["method", "tried: accuracy product / emotion", "best", "used"], rows),
        f"Linear models: the inverse penalty C. The network from scratch: the learning rate. {run['protocol']}; "
        f"{count['product']:,} and {count['emotion']:,} tweets; {md.made(run)}",
    )


def _tuned() -> str:
    run = load("grouped_tuned")
    if run is None:
        return md.not_measured("make grouped")
    rows = []
    for name, (title, target, more) in TUNED_TARGETS.items():
        summary = run["summary"][name]
        rows.append([title, md.mean(summary), md.spread(summary), *_judged(run, name, target, more)])
    seeds = " ".join(run["seeds"])
    command = run.get("command", f'make grouped ARGS="--seeds {seeds}"')
    return md.captioned(
        md.table([f"`{run['recipe']['name']}` recipe, product", "mean", "range", *JUDGED], rows),
        f"Protocol grouped, {run['folds']} folds; {run['rows']:,} tweets in {run['groups']:,} groups; seeds {seeds}; "
        f"`{command}`{md.dated(run)}, {run['device']}{md.took(run.get('seconds'))}. {JUDGED_HOW}",
    )


def _judged(run: Mapping[str, Any], name: str, target: float, more: bool) -> list[str]:
    """Cells that say whether a target is reached, under :data:`JUDGED`."""
    each = of_each_seed(run, name)
    interval = "one seed" if each else ""
    if len(each) > 1:
        interval = bounds(over_seeds(each)) + (", holds the target" if left_open(each, target) else "")
    said = YES if reached(run["summary"][name], target, more) else NO
    return [f"{'≥' if more else '≤'} {target:g}", said, interval]


def _targets() -> str:
    run, baselines = load("grouped_answer"), load("baselines")
    if run is None:
        return md.not_measured(GROUPED_ANSWER.format(recipe="answer", seeds="0 1 2"))
    plain = _plain_methods(baselines)
    words = plain.get(WORDS, {})
    averaged = run.get("averaged", {}).get("headline", {})
    rows = []
    for name, (title, target, more) in TARGETS.items():
        rows.append(
            [
                title,
                md.share(words.get(name)),
                md.share(max((figures[name] for figures in plain.values() if name in figures), default=None)),
                md.mean(run["summary"][name]),
                md.spread(run["summary"][name]),
                md.share(averaged.get(name)),
                *_judged(run, name, target, more),
            ]
        )
    seeds = " ".join(run["seeds"])
    recipe = run.get("recipe", {}).get("name", "answer")
    command = run.get("command", GROUPED_ANSWER.format(recipe=recipe, seeds=seeds))
    header = ["", "words + logistic regression", "best plain method", "`answer` model", "range", "seeds averaged"]
    header += JUDGED
    return md.captioned(
        md.table(header, rows),
        f"Protocol grouped, {run['folds']} folds; {run.get('rows', 0):,} tweets; seeds {seeds}; `{command}`"
        f"{md.dated(run)}{md.took(run.get('seconds'))}. {JUDGED_HOW} "
        "Seeds averaged: one answer to each tweet, from the mean of the seeds' probabilities, which is a model of as "
        "many trainings; the targets are not for it. The temperatures for a fold come from the other folds. The "
        f"plain methods, {len(plain)} of which answer both questions, are judged on the same folds; the best may be "
        "another one in each line, and only those with probabilities have a most confident 80%. "
        'Exactly right is judged by the best guess, also where the answer is "Not sure"; [another table]'
        f"({md.anchor(NOT_SURE)}) counts those as wrong.",
    )


def _classes() -> str:
    run = load("grouped_answer")
    by_seed = dict(run["seeds"]) if run else {}
    by_seed = {seed: found for seed, found in by_seed.items() if "per_class" in found[tasks.PRODUCT.name]}
    if not by_seed:
        return md.not_measured("make grouped-answer")
    rows = []
    for task in tasks.ANSWER_TASKS:
        for label in task.labels:
            figures = [found[task.name]["per_class"][label] for found in by_seed.values()]
            shares = {name: summarize(each[name] for each in figures) for name in ("precision", "recall", "f1")}
            precision, recall, f1 = map(md.mean, shares.values())
            tweets = figures[0]["support"]
            interval = md.wilson_of_mean(shares["recall"], tweets)
            rows.append([task.name, label, f"{tweets:,}", precision, recall, interval, f1])
    return md.captioned(
        md.table(["task", "class", "tweets", "precision", "recall", "recall, 95%", "F1"], rows),
        f"Protocol grouped, {run['folds']} folds; seeds {' '.join(by_seed)}, mean and sd; `make grouped-answer`"
        f"{md.dated(run)}. The sd says nothing of how few the tweets of a class are; the interval of its recall does "
        f"(Wilson's, at the mean over the seeds).{_confusions(by_seed)}",
    )


def _confusions(by_seed: Mapping[str, Any]) -> str:
    """What is taken for what: all of the emotion, the most frequent of the product."""
    if not all("confusion_matrix" in found[task.name] for found in by_seed.values() for task in tasks.ANSWER_TASKS):
        return ""
    product, emotion = (
        np.mean([found[task.name]["confusion_matrix"] for found in by_seed.values()], axis=0)
        for task in tasks.ANSWER_TASKS
    )
    labels = tasks.PRODUCT.labels
    taken = [
        (count, label, other, counts.sum())
        for label, counts in zip(labels, product, strict=True)
        for other, count in zip(labels, counts, strict=True)
        if label != other and count
    ]
    most = sorted(taken, key=lambda pair: -pair[0])[:CONFUSIONS]
    wrong = sum(count for count, *_ in taken)
    emotions = md.table(
        ["label, and answered", *tasks.EMOTION.labels],
        [
            [label, *(f"{count:,.0f}" for count in counts)]
            for label, counts in zip(tasks.EMOTION.labels, emotion, strict=True)
        ],
    )
    products = md.table(
        ["label", "answered", "tweets", "of those so labelled"],
        [[label, other, f"{count:,.0f}", f"{count / of:.1%}"] for count, label, other, of in most],
    )
    return (
        f"\n\n{emotions}\n\nThe emotion: tweets of each label by what is answered, mean over the seeds.\n\n{products}"
        f"\n\nThe product: the {len(most)} most frequent confusions, mean over the seeds; together "
        f"{sum(count for count, *_ in most):,.0f} of the {wrong:,.0f} wrong answers."
    )


def _calibration() -> str:
    run = load("grouped_answer")
    if run is None:
        return md.not_measured("make grouped-answer")
    by_seed = dict(run["seeds"]) | ({"averaged": run["averaged"]} if "averaged" in run else {})
    rows, answers = [], []
    for seed, found in by_seed.items():
        if "calibration" not in found:
            continue
        cells = [
            f"{found['calibration'][task][when][figure]:.4f}"
            for task in tasks.TASKS
            for figure in ("ece", "brier")
            for when in WHEN
        ]
        rows.append([seed, *cells])
        answer = found[tasks.ANSWER]
        shares = (answer["not_sure_share"], answer["answered_accuracy"], answer["accuracy_not_sure_wrong"])
        answers.append([seed, md.share(answer["accuracy"]), f"{answer['threshold']:.2f}", *map(md.share, shares)])
    header = [f"{task} {figure} {when}" for task in tasks.TASKS for figure in ("ECE", "Brier") for when in WHEN]
    not_sure = ["seed", "exactly right, best guess", "threshold", '"Not sure"', "right of the answered"]
    return md.captioned(
        f"{md.table(['seed', *header], rows)}\n\n{md.table([*not_sure, 'exactly right, Not sure is wrong'], answers)}",
        f"Protocol grouped, {run['folds']} folds; {run.get('rows', 0):,} tweets; expected calibration error (ECE) in "
        "15 bins; before and after temperatures that come from the other folds. The threshold is one number, chosen on "
        "all of these predictions, for which 80% of the answered are right: that share is so by choice, its price is "
        f"what was measured. `make grouped-answer`{md.took(run.get('seconds'))}."
        + md.figure_of(
            "reliability",
            "How often the answers of the first seed are right, by how sure they are; a larger point is of more "
            f"tweets, bins of fewer than {FEWEST_ROWS} are left out.",
        ),
    )


def _counting() -> str:
    run = load("grouped_answer")
    shares = [seed[tasks.ANSWER].get("emotion_shares") for seed in run["seeds"].values()] if run else []
    if not shares or None in shares:
        return md.not_measured("make grouped-answer")
    rows = [
        [emotion, *(md.mean(summarize(seed[emotion][by] for seed in shares)) for by in md.first(shares[0]))]
        for emotion in shares[0]
    ]
    return md.captioned(
        md.table(["emotion", "by the labels", "by the best guess", "of what is answered"], rows),
        f"Share of the tweets, mean over the seeds {' '.join(run['seeds'])}, protocol grouped; the best guess is the "
        'column `emotion`, what is answered is all of `answer` but "Not sure". What is withheld has an emotion more '
        f"often: to say how many, count best guesses; to act on single texts, keep to the answers. `make "
        f"grouped-answer`{md.dated(run)}.",
    )


def _levers() -> str:
    run, command = load("levers"), "python -m research.levers"
    if run is None:
        return md.not_measured(command)
    figures = ("product_accuracy", "product_macro_f1", "emotion_accuracy", "emotion_macro_f1", "answer_accuracy")
    figures += ("answer_emotion_rows_accuracy", "product_ece", "emotion_ece")
    rows, missing, seconds = [], [], 0.0
    for name, lever in LEVERS.items():
        found = run["levers"].get(name)
        if found is None:
            missing.append(name)
            continue
        seconds += sum(each["seconds"] for each in found["seeds"].values())
        cells = [lever.title, f"{lever.trainings:g}", " ".join(found["seeds"])]
        cells += [md.mean(found["summary"][figure]) for figure in figures]
        for question in (tasks.PRODUCT.name, tasks.EMOTION.name, tasks.ANSWER, WITH_AN_EMOTION):
            paired = found["paired"][question]
            cells.append("" if name == UNCHANGED else md.difference(paired["difference"], paired["interval"]))
        rows.append(cells)
    header = ["lever", "trainings", "seeds", "product accuracy", "macro-F1", "emotion accuracy", "macro-F1"]
    header += ["exactly right", "with an emotion", "product ECE", "emotion ECE"]
    header += ["product", "emotion", "exactly right", "with an emotion"]
    not_yet = f" Not measured yet: `{command} --levers {' '.join(missing)}`." if missing else ""
    return md.captioned(
        md.table(header, rows),
        f"Protocol grouped; {run['rows']:,} tweets in {run['groups']:,} groups; recipe `{run['recipe']['name']}`. The "
        "last four columns: accuracy less that of the recipe as it is with the same seeds, tweet by tweet; the 95% "
        "intervals resample groups of near-duplicates with the answers of all seeds, and know nothing of how much "
        f"another seed would differ: a lever counts as better where Student's 95% interval of its seeds leaves 0 out "
        "as well, and where Holm's correction for all such verdicts, of the last two columns, leaves it. None was "
        "taken over into the recipe: these are the folds that it is reported on, and to choose by them would be to "
        "tune on what is reported. "
        f"Trainings: of the whole size, that one model takes. {md.commands(run)}, "
        f"{run['date']}, {run['machine']}{md.took(seconds)}, teachers left out.{_doubted_otherwise(run)}{not_yet}",
    )


def _doubted_otherwise(run: Mapping[str, Any]) -> str:
    """Which levers took out what the audit's words model doubted as it was fitted before."""
    earlier = [
        lever.title
        for name, lever in LEVERS.items()
        if lever.doubts and name in run["levers"]
        if any(seed.get("words") != WORDS_MODEL for seed in run["levers"][name]["seeds"].values())
    ]
    if not earlier:
        return ""
    return f" By the audit's words model as it was fitted before (now {WORDS_MODEL}): {'; '.join(earlier)}."


def _plain_methods(run: Mapping[str, Any] | None) -> dict[str, dict[str, float]]:
    """Each baseline's figures on the folds of the answer, under the names of our headline."""
    found: dict[str, dict[str, float]] = {}
    for name, method in run["methods"].items() if run else ():
        by_question = method.get(tasks.ANSWER, {}).get(GROUPED, {}).get("summary", {})
        flat = {
            f"{question}_{figure}": summary["mean"]
            for question, figures in by_question.items()
            for figure, summary in figures.items()
        }
        if flat:
            found[name] = flat
    return found


def _copies() -> str:
    run = load("baselines")
    rows = []
    for name, found in run["methods"].items() if run else ():
        for task, by_seed in found.get(COPIES, {}).items():
            for seed, test in by_seed.items():
                seeds = f", seed {seed}" if len(methods()[name].seeds) > 1 else ""
                rows.append(
                    [
                        f"{found['title']}{seeds}",
                        task,
                        f"{test['rows']:,}",
                        *(f"{test['accuracy'][protocol]:.4f}" for protocol in (REPORT, GROUPED)),
                        md.difference(test["difference"], test["difference_interval"]),
                    ]
                )
    if not rows:
        return md.not_measured("make baselines")
    header = ["method", "task", "tweets", "with near-duplicates in training", "without", "difference"]
    return md.captioned(
        md.table(header, rows),
        "Accuracy on the tweets that the report's split validates on, answered once by the training of that split and "
        "once by that of the grouped folds, which holds no near-duplicate of the tweet; both train on four fifths. The "
        "95% interval resamples groups of near-duplicates. What is worth nothing to a method that learns nothing shows "
        "that the tweets are the same. The report answered the product alone: the split of the emotion is one of "
        f"{run['rows'][tasks.EMOTION.name][GROUPED]:,} tweets by its rule; {md.made(run, _seconds(run))}"
        + md.figure_of(
            "copies",
            "What near-duplicates in training add to the accuracy on the same tweets, with its 95% interval; hollow: "
            "the interval holds 0.",
        ),
    )


def _settings() -> str:
    rows = []
    for name, how in CHOSEN_HOW.items():
        recipe = config.make_recipe(name)
        rows.append([f"`{name}`", f"{in_words(recipe)}, at most {recipe.max_tokens} tokens", how])
    return md.captioned(
        md.table(["recipe", "settings", "how they were chosen"], rows),
        f"As `tf_model/config.py` has them; the backbone is {config.PACKAGED_BACKBONE}.",
    )


def _paired(run_name: str, command: str) -> Callable[[], str]:
    def section() -> str:
        run = load(run_name)
        if run is None:
            return md.not_measured(command)
        rows = []
        for found in run["methods"].values():
            rows += [[found["title"], question, *_tests(by_seed)] for question, by_seed in tests_of(found).items()]
        header = ["less", "question", "each seed", "weakest seed", "seeds averaged", "only ours right", "only theirs"]
        return md.captioned(
            md.table([*header, "p"], rows),
            f"Accuracy of our model less that of the baseline on the same tweets ({_compared_rows(run)}); "
            f"{run['protocol']}; each of our seeds ({_compared_seeds(run)}) by itself, with the 95% interval of the "
            "weakest, and the mean of their probabilities (of one seed, its own), to which its interval, the counts "
            "and p belong; McNemar's exact test, which takes tweets for independent; "
            f"{md.made(run)}{_networks(run)}{_by_records(run)}{_fitted_otherwise(run)}",
        )

    return section


def _networks(run: Mapping[str, Any]) -> str:
    """Which methods answered with one seed of several, and on folds of their own; see ``research.compare``."""
    slow = [found["title"] for name, found in run["methods"].items() if methods()[name].slow]
    if not slow:
        return ""
    own = ""
    if run["task"] == tasks.ANSWER:
        own = ", a model for each task, on folds over the tweets of that task, which keep near-duplicates together too"
    return f" {'; '.join(slow)}: one seed{own}."


def _by_records(run: Mapping[str, Any]) -> str:
    """Which methods were compared later, without any probabilities; see ``research.compare --recorded``."""
    by_command: dict[str, list[str]] = {}
    for found in run["methods"].values():
        if RECORDED in found:
            made = f"`{found[RECORDED]['command']}`, {found[RECORDED]['date']}"
            questions = " and ".join(found[RECORDED]["questions"])
            by_command.setdefault(made, []).append(f"{found['title']} ({questions})")
    return "".join(
        f" By the records of the answers alone ({made}), which seeds cannot be averaged from, so that the counts and p "
        f"are the weakest seed's: {'; '.join(titles)}."
        for made, titles in by_command.items()
    )


def _fitted_otherwise(run: Mapping[str, Any]) -> str:
    """Which methods were compared before their settings became what the other tables have."""
    known = methods()
    earlier = [
        f"{found['title']} (then {found['settings']}; now {known[name].settings})"
        for name, found in run["methods"].items()
        if "settings" in found and found["settings"] != known[name].settings
    ]
    if not earlier:
        return ""
    return f" Compared as it was fitted then, in the tables above as it is fitted now: {'; '.join(earlier)}."


def _compared_rows(run: Mapping[str, Any]) -> str:
    """How many tweets each question was asked of."""
    by_question = tests_of(md.first(run["methods"]))
    return ", ".join(f"{question} {md.first(found)['rows']:,}" for question, found in by_question.items())


def _compared_seeds(run: Mapping[str, Any]) -> str:
    return " ".join(seed for seed in md.first(tests_of(md.first(run["methods"]))) if seed != AVERAGED)


def _tests(by_seed: Mapping[str, Any]) -> list[str]:
    """Cells of one question: the seeds' differences, and the tests of the averaged answers, or of the only seed's.

    Of several seeds that were not averaged, the counts and p of the weakest.
    """
    seeds = [f"{test['difference']:+.4f}" for seed, test in by_seed.items() if seed != AVERAGED]
    _, weakest = weakest_seed(by_seed)
    test = by_seed.get(AVERAGED, weakest)
    weakest_gain, gain = (md.difference(each["difference"], each["difference_interval"]) for each in (weakest, test))
    averaged = gain if AVERAGED in by_seed or len(seeds) == 1 else "not kept"
    counts = [f"{test['only_new_right']:,}", f"{test['only_old_right']:,}"]
    return [" ".join(seeds), weakest_gain, averaged, *counts, md.p_value(test["p_value"])]


def _label_agreement() -> str:
    run = load("label_quality")
    if run is None:
        return md.not_measured("make label-quality")
    rows = [
        [
            name,
            threshold,
            f"{values['rows']:,}",
            f"{values['disagreeing_groups']:,} of {values['groups']:,}",
            f"{values['pairwise']:.3f} ({md.interval(values['interval'])})",
            md.interval(values["ceiling"]),
            f"{values['our_accuracy']:.3f} ({md.interval(values['our_interval'])})"
            if "our_accuracy" in values
            else "not measured yet",
        ]
        for name, agreement in agreements_of(run).items()
        for threshold, values in agreement.items()
        if values["groups"]
    ]
    header = ["question", "cosine", "rows", "groups that disagree", "agreement of two labels", "best possible accuracy"]
    header += ["`answer` model on these rows"]
    return md.captioned(
        md.table(header, rows),
        "Two labels of one text agree with the probability A, the mean over texts, each weighing as often as it "
        "occurs, of the sum of squares of the labels' probabilities. The best answer to a text is right with the "
        "greatest of them, which lies between that sum and its root; so the best possible accuracy is at least A "
        "and at most its root: from the low end of A's interval to the root of its high one. The product is asked of "
        "tweets whose label names one: a copy whose label names none is no disagreement there. For the whole answer "
        "it is one; tweets with an emotion of unknown target are left out. Texts that occur "
        "more than once are mostly retweets: the other tweets may be harder or easier. Our model's answers are those "
        f"of `make levers`, out of fold; intervals resample groups. {md.made(run)}",
    )


def _doubts() -> str:
    run = load("label_quality")
    if run is None:
        return md.not_measured("make label-quality")
    rows = []
    for name, found in run["tasks"].items():
        words, ours, both = (found["doubts"][key] for key in ("words", "ours", "both"))
        shown = [f"{each['rows']:,} ({each['share']:.1%})" if each else "not measured yet" for each in (words, ours)]
        rows.append([name, f"{found['rows']:,}", *shown, "" if both is None else f"{both:,}"])
    header = ["task", "labels", "doubted by the words model", "doubted by ours", "by both"]
    return md.captioned(
        md.table(header, rows),
        f"Confident learning from out-of-fold probabilities, {run['protocol']}; {md.made(run)} What ours doubts, "
        "and with it what the words model does, is counted by `python -m research.label_quality --store FOLDER`, the "
        f"folder in which `make grouped-answer` kept its folds.{_counted_otherwise(run)}",
    )


def _counted_otherwise(run: Mapping[str, Any]) -> str:
    """Which tasks' doubts are those of the words model as it was fitted before."""
    earlier = [
        name for name, found in run["tasks"].items() if found["doubts"].get("settings") != methods()[WORDS].settings
    ]
    if not earlier:
        return ""
    return f" Counted before the words model was fitted as in the tables above: {', '.join(earlier)}."


def _without_doubtful() -> str:
    run = load("label_quality")
    if run is None:
        return md.not_measured("make label-quality")
    rows = []
    for name, found in run["tasks"].items():
        for kept in found["without_doubtful"].values():
            everything = kept["all"]
            figures = [f"{everything['accuracy']:.4f}", f"{everything['macro_f1']:.4f}"]
            method = f"{kept['title']} ({kept['settings']})"  # as it was then
            rows.append([name, method, "nothing", *figures, "", "", ""])
            for share, values in kept.items():
                if not isinstance(values, Mapping) or "doubtful" not in values:
                    continue
                doubtful, random = values["doubtful"], values["random"]
                figures = [f"{doubtful['accuracy']:.4f}", f"{doubtful['macro_f1']:.4f}"]
                figures += [md.mean(random["accuracy"]), md.mean(random["macro_f1"])]
                figures.append(md.difference(values["difference"], values["interval"]))
                rows.append([name, method, f"{float(share):.0%}", *figures])
        missing = [method for method in (*CHEAP, OURS) if method not in found["without_doubtful"]]
        rows += [[name, methods()[method].title, "not measured yet", *[""] * 5] for method in missing]
    header = ["task", "method", "left out", "accuracy", "macro-F1", "accuracy, at random", "macro-F1, at random"]
    header.append("difference in accuracy")
    return md.captioned(
        md.table(header, rows),
        f"Protocol {run['protocol']}; the most doubtful labels of each training part, found by the words model in "
        "cross-validation inside it, left out of training, beside as many of each class at random (3 draws); the "
        "95% interval of the difference resamples groups of near-duplicates with the answers of all draws, and knows "
        "nothing of other draws, nor of how many intervals there are. The "
        f"validation part keeps its labels, wrong ones included; {md.made(run)} Our own model: `python -m "
        f"research.label_quality --methods {OURS}`."
        + md.figure_of(
            "without_doubtful", "What leaving doubtful labels out of training gains over leaving out random ones."
        ),
    )


def _learning_curve(task: str) -> Callable[[], str]:
    def section() -> str:
        name = run_name(task)
        option = f" --task {task}" if task != tasks.PRODUCT.name else ""
        run = load(name)
        if run is None:
            return md.not_measured(f"python -m research.learning_curve{option}")
        sizes = sorted({point["size"] for found in run["methods"].values() for point in found["points"]})
        rows, of_macro_f1 = [], []
        for found in run["methods"].values():
            points = {point["size"]: point for point in found["points"]}
            cells, macro_f1 = (
                [md.mean(points[size][figure]) if size in points else "not measured yet" for size in sizes]
                for figure in ("accuracy", "macro_f1")
            )
            largest = points.get(sizes[-1])
            rows.append([found["title"], *cells, f"{largest['seconds']['mean']:.1f} s" if largest else ""])
            of_macro_f1.append([found["title"], *macro_f1])
        if OURS not in run["methods"]:
            rows.append([methods()[OURS].title, *["not measured yet"] * len(sizes), ""])
        header = [f"{size:,}" for size in sizes]
        return md.captioned(
            f"{md.table(['labelled tweets: accuracy', *header, 'cost'], rows)}\n\n"
            f"{md.table(['labelled tweets: macro-F1', *header], of_macro_f1)}",
            f"On {run['rows']:,} tweets, {run['protocol']}; mean and sd over {run['draws']} draws"
            f"{_nearly_all(run['rows'], sizes[-1])}; cost: fitting once at the greatest size and answering a "
            "fifth of the tweets (the frozen MiniLM's embeddings are given, and not in it); "
            f"{md.made(run, _seconds(run))} {_pays(run, option)}"
            + md.figure_of(
                name,
                f"Accuracy of the {task} without leakage by the number of labelled tweets; bars are sd over draws; the "
                f"axis of the accuracy begins at {accuracy_axis(run)[0]:.2f}.",
            ),
        )

    return section


def _nearly_all(rows: int, greatest: int) -> str:
    """Out of how many tweets the draws are, which differ little where that is hardly more than the greatest size."""
    part = rows * (cross_validation.FOLDS - 1) // cross_validation.FOLDS
    alike = ", so that at the greatest size they hold nearly the same" if greatest > 0.95 * part else ""
    return f" out of the about {part:,} tweets of a training part{alike}"


def _pays(run: Mapping[str, Any], option: str) -> str:
    """From how many labels on our model is ahead of every baseline that was measured, and at which sizes it was."""
    if OURS not in run["methods"]:
        return f"Our own model: `python -m research.learning_curve{option} --methods {OURS}`."
    sizes = ", ".join(f"{point['size']:,}" for point in run["methods"][OURS]["points"])
    epochs = (
        f"Ours was measured with {sizes}; it makes as many passes over few tweets as over many, and so fewer steps."
    )
    return (
        f"From how many labelled tweets on our worst draw is ahead of the best draw of every method above: "
        f"{pays(run)}; by macro-F1 {pays(run, 'macro_f1')}. {epochs}"
    )


# ---------------------------------------------------------------- the report's slips


def _ablation(setting: str) -> Callable[[], str]:
    def section() -> str:
        run, command = load("ablation"), f"python -m research.ablation --setting {setting}"
        if run is None or setting not in run["settings"]:
            return md.not_measured(command)
        found = run["settings"][setting]
        recipe = found["recipe"]
        rows, seconds = [], 0.0
        for protocol in (REPORT, GROUPED):
            switches = found["protocols"].get(protocol, {})
            for name, switch in SWITCHES.items():
                if not switch.applies(protocol):
                    continue
                head, measured = [protocol, switch.slip], switches.get(name)
                if measured is None:
                    rows.append([*head, switch.title, "not measured yet", *[""] * 6])
                    continue
                seconds += sum(figures["seconds"] for figures in measured["seeds"].values())
                summary = measured["summary"]
                own = [" ".join(measured["seeds"]), md.mean(summary["accuracy"]), md.mean(summary["macro_f1"])]
                if not measured.get("paired"):
                    said = "" if name == UNCHANGED else "other tweets"
                    rows.append([*head, switch.title, *own, "", said, "", ""])
                for effect in effects(switches, name):
                    shown = own if effect.title == switch.title else [" ".join(effect.seeds), "", ""]
                    rows.append([*head, effect.title, *shown, *_effect(effect)])
        header = ["protocol", "slip", "switch", "seeds", "accuracy", "macro-F1", "each seed", "difference"]
        header += ["95%, over tweets", "95%, over seeds"]
        rate = f"Adam {recipe['learning_rate']:g} {recipe['schedule']}"
        made = " and ".join(f"`{each}`" for each in commands(setting, found["protocols"]))
        return md.captioned(
            md.table(header, rows),
            f"Product; {run['rows']:,} tweets in {run['groups']:,} groups; `{recipe['name']}` recipe, "
            f"{recipe['backbone']}, {rate}, {recipe['epochs']} epochs. Difference: accuracy with the switch less that "
            "of the unchanged training with the same seeds, on the same tweets; one interval resamples groups of "
            "near-duplicates with the answers of all seeds, the other is Student's of the seeds' mean: where either "
            "holds 0, or there is but one seed, the data cannot tell. A difference is what the slip does where it is "
            f'"{PUT_IN}", and the opposite where it is "{MENDED}". '
            '"Other tweets": another split validates on other tweets, '
            f"so there is no paired difference. {made}, {run['date']}, {run['machine']}{md.took(seconds)}."
            + md.figure_of(
                "ablation",
                "What each switch changes in the accuracy: the mean, its 95% interval over tweets (thick) and over "
                "seeds (thin), and each seed (ticks). Filled: neither interval holds 0; hollow: one does, or there is "
                "but one seed.",
            ),
        )

    return section


def _effect(effect: Effect) -> list[str]:
    """Each seed's gain, their mean, and its two intervals."""
    each = " ".join(f"{gain:+.4f}" for gain in effect.each)
    bounds = [effect.interval, *([over_seeds(effect.each)] if len(effect.each) > 1 else [])]
    shown = [f"{low:+.4f} to {high:+.4f}" for low, high in bounds]
    return [each, f"{effect.difference:+.4f}", *shown, *["one seed"] * (2 - len(shown))]


def _accuracy_and_f1(summary: Mapping[str, Any], rows: int, bounds: Sequence[float] | None = None) -> list[str]:
    accuracy = summary["accuracy"]
    return [md.mean(accuracy), md.interval_of_mean(accuracy, rows, bounds), md.mean(summary["macro_f1"])]


SECTIONS: dict[str, Callable[[], str]] = {
    "The report's recipe reaches the report's accuracy": _report,
    "The product, beside plain methods": _baselines(tasks.PRODUCT.name),
    "The emotion, beside plain methods": _baselines(tasks.EMOTION.name),
    "The whole answer, beside plain methods": _answers,
    SAME_TWEETS: _copies,
    "What the answer model was to reach": _targets,
    "What the answer model gets right, class by class": _classes,
    NOT_SURE: _calibration,
    "How many have an emotion: what counting answers gives": _counting,
    "What was tried to better the answer model": _levers,
    "The settings of the recipes": _settings,
    "How the settings of the baselines were chosen": _choices,
    "What the tuned recipe was to reach": _tuned,
    "The report's recipe less each baseline on its split, tweet by tweet": _paired(
        f"compare_{REPORT}_product", "python -m research.compare --task product --models saved_models/product"
    ),
    "Our answer model less each baseline, tweet by tweet": _paired(
        f"compare_{tasks.ANSWER}", f"python -m research.compare --task {tasks.ANSWER}"
    ),
    "Our product model less each baseline, tweet by tweet": _paired(
        "compare_product", "python -m research.compare --task product"
    ),
    "How far people agree, and how high an accuracy can get": _label_agreement,
    "Labels that look wrong": _doubts,
    "Training without the most doubtful labels": _without_doubtful,
    "How many labelled tweets the product takes": _learning_curve(tasks.PRODUCT.name),
    "How many labelled tweets the emotion takes": _learning_curve(tasks.EMOTION.name),
    **{f"What each slip of the report did, {each}": _ablation(name) for name, each in ABLATIONS.items()},
}


if __name__ == "__main__":
    cli.run(main)
