"""``python -m research.results``: write research/results.md from the recorded runs; no figure in it is typed.

One section a claim: protocol, rows, seeds, spread, command, duration. What was not measured yet says so, with the
command that measures it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from research import markdown as md
from research.ablation import SWITCHES, UNCHANGED
from research.baselines import GROUPED, PROTOCOLS, REPORT
from research.claims import ABLATIONS, NO, TARGETS, TUNED_TARGETS, YES, in_short, pays_from, reached
from research.compare import AVERAGED
from research.label_quality import CHEAP, WORDS
from research.learning_curve import run_name
from research.levers import LEVERS
from research.levers import UNCHANGED as AS_IT_IS
from research.methods import CHOSEN, OURS, SEEDS, methods
from research.runs import load
from tf_model import console, paths, tasks
from tf_model.errors import OutputError
from tf_model.files import whole_file
from tf_model.messages import plural
from tf_model.metrics import REPORT as THE_REPORT
from tf_model.metrics import wilson_interval

HEAD = """# Results

Written by `make results` from the recorded runs in [runs/](runs/); no figure here is typed. Two protocols:

- **report**: the report's random 80/20 split, seed 42. Near-duplicates stand on both sides (`python -m tf_model.data
  --audit`), so it can flatter a model; it serves to compare with the report.
- **grouped**: 5-fold cross-validation in which no near-duplicate (cosine 0.8) is on both sides, fold seed 0. It serves
  to judge a model.

Intervals of an accuracy are Wilson's, 95%, and take tweets for independent; those of a difference resample groups of
near-duplicates. "sd" is over training seeds. Where an interval of a difference holds 0, the data cannot tell the two
apart. [benchmarks.md](benchmarks.md) has the times, and the report's recipe seed by seed.
"""
GROUPED_ANSWER = (
    "python -m tf_model.evaluate --task answer --protocol grouped --recipe {recipe} --seeds {seeds} --json "
    "research/runs/grouped_answer.json --overwrite"
)
WHEN = ("before", "after")  # calibration


def main(argv: list[str] | None = None) -> int:
    """Draw the figures, where a browser to draw them is there, and render every section."""
    parser = console.parser("research.results", __doc__.splitlines()[0])
    parser.add_argument("--no-figures", action="store_true", help="leave research/figures/ as it is")
    arguments = parser.parse_args(argv)
    if not arguments.no_figures:
        from research.figures import draw_all

        try:
            for path in draw_all():
                console.say(f"written to {paths.shown(path)}")
        except OutputError as error:
            console.say(f"warning: the figures stay as they are: {error}")
    page = paths.RESEARCH / "results.md"
    text = render()
    with whole_file(page, overwrite=True) as part:
        part.write_text(text, encoding="utf-8")
    console.say(f"written to {paths.shown(page)}")
    return 0


def render() -> str:
    """The page."""
    head = [HEAD, f"## In short\n\n{in_short()}\n"]
    return "\n".join([*head, *(f"## {title}\n\n{section()}" for title, section in SECTIONS.items())])


# ---------------------------------------------------------------- sections


def _report() -> str:
    run = load("bench_train_report")
    if run is None:
        return md.not_measured("make bench-train")
    accuracy, reported = run["accuracy"], THE_REPORT["validation"]["accuracy"]
    rows = [
        [f"`{run['recipe']}` recipe, packaged MiniLM", md.mean(accuracy), md.spread(accuracy), md.mean(run["macro_f1"])]
    ]
    rows.append(["the report, bert-base-uncased, one seed", f"{reported:.4f}", "", ""])
    seconds = sum(seed["seconds"] for seed in run["seeds"])
    return md.captioned(
        md.table(["", "validation accuracy", "range", "macro-F1"], rows),
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
                cells += _accuracy_and_f1(figures) if figures else ["not measured yet", "", ""]
            rows.append(cells)
        rows += _ours(task)
        header = ["method", "grouped accuracy", "interval", "macro-F1", "report accuracy", "interval", "macro-F1"]
        count = run["rows"][task]
        return md.captioned(
            md.table(header, rows),
            f"{count[GROUPED]:,} tweets in {run['groups'][task]:,} groups (grouped), {count[REPORT]:,} to validate "
            f"(report); the interval is that of the first seed; {md.made(run, _seconds(run))}{_seeds(run, task)}"
            f"{_missing(run)}",
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


def _missing(run: Mapping[str, Any]) -> str:
    """What would measure the methods that the recorded run lacks."""
    names = [name for name in methods() if name not in run["methods"] and name != OURS]
    if not names:
        return ""
    return f" Not measured yet: `python -m research.baselines --methods {' '.join(names)}`."


def _ours(task: str) -> list[list[str]]:
    """Rows of our own models in the table of a task's baselines."""
    rows = []
    tuned, answer, report = load("grouped_tuned"), load("grouped_answer"), load("bench_train_report")
    if report and task == tasks.PRODUCT.name:
        first = report["seeds"][0]["validation_accuracy"]
        interval = wilson_interval(round(first * report["rows"]["validation"]), report["rows"]["validation"])
        figures = [md.mean(report["accuracy"]), md.interval(interval), md.mean(report["macro_f1"])]
        rows.append([f"**`{report['recipe']}` recipe**", "", "", "", *figures])
    if tuned and tuned.get("task", tasks.PRODUCT.name) == task:
        rows.append([f"**`{tuned['recipe']['name']}` recipe**", *_accuracy_and_f1(tuned), "", "", ""])
    if answer:
        summary = answer["summary"]
        interval = md.first(answer["seeds"])[task]["accuracy_interval"]
        accuracy, macro_f1 = summary[f"{task}_accuracy"], summary[f"{task}_macro_f1"]
        title = "**`answer` model** (folds over all tweets)"
        rows.append([title, md.mean(accuracy), md.interval(interval), md.mean(macro_f1), "", "", ""])
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
            cells += [md.mean(summary["accuracy"]), md.interval(first["accuracy_interval"])]
            cells.append(md.mean(summary["emotion_rows_accuracy"]))
        rows.append(cells)
    if ours := load("grouped_answer"):
        summary, first = ours["summary"], md.first(ours["seeds"])[tasks.ANSWER]
        interval = md.interval(first["accuracy_interval"])
        carries = md.mean(summary["answer_emotion_rows_accuracy"])
        rows.append(["**`answer` model**", md.mean(summary["answer_accuracy"]), interval, carries, "", "", ""])
    header = ["method", "grouped, all", "interval", "with an emotion", "report, all", "interval", "with an emotion"]
    return md.captioned(
        md.table(header, rows),
        "Exactly right: no emotion where there is none; the emotion and, where it is labelled, the product elsewhere. "
        f"{_answer_rows(run)}{md.made(run, _seconds(run))} Methods that train for minutes answer product and emotion "
        f"alone, above.{md.figure_of('baselines')}",
    )


def _answer_rows(run: Mapping[str, Any]) -> str:
    for found in run["methods"].values():
        if figures := found.get(tasks.ANSWER, {}).get(GROUPED):
            one = md.first(figures["seeds"])[tasks.ANSWER]
            return f"{one['rows']:,} tweets, {one['emotion_rows']:,} of which carry an emotion (grouped); "
    return ""


def _choices() -> str:
    run = load("choose_baselines")
    if run is None:
        return md.not_measured("python -m research.baselines --choose")
    rows = []
    for name, used in CHOSEN.items():
        found = run["methods"].get(name)
        if found is None:
            rows.append([methods()[name].title, "not measured yet", "", f"{used:g}"])
            continue
        tried = (
            f"{float(value):g}: {accuracies[tasks.PRODUCT.name]:.4f} / {accuracies[tasks.EMOTION.name]:.4f}"
            for value, accuracies in found["tried"].items()
        )
        rows.append([found["title"], "; ".join(tried), f"{found['best']:g}", f"{used:g}"])
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
    for name, (title, target) in TUNED_TARGETS.items():
        summary = run["summary"][name]
        said = YES if reached(summary, target) else NO
        rows.append([title, md.mean(summary), md.spread(summary), f"≥ {target:g}", said])
    seeds = " ".join(run["seeds"])
    command = run.get("command", f'make grouped ARGS="--seeds {seeds}"')
    return md.captioned(
        md.table([f"`{run['recipe']['name']}` recipe, product", "mean", "range", "target", "reached"], rows),
        f"Protocol grouped, {run['folds']} folds; {run['rows']:,} tweets in {run['groups']:,} groups; seeds {seeds}; "
        f"`{command}`{md.dated(run)}, {run['device']}{md.took(run.get('seconds'))}. The target is for the mean of "
        f"{len(SEEDS)} seeds.",
    )


def _targets() -> str:
    run, baselines = load("grouped_answer"), load("baselines")
    if run is None:
        return md.not_measured(GROUPED_ANSWER.format(recipe="tuned", seeds="0 1 2"))
    words = _flat_baseline(baselines["methods"][WORDS]) if baselines and WORDS in baselines["methods"] else {}
    averaged = run.get("averaged", {}).get("headline", {})
    rows = []
    for name, (title, target, more) in TARGETS.items():
        rows.append(
            [
                title,
                md.share(words.get(name)),
                md.mean(run["summary"][name]),
                md.spread(run["summary"][name]),
                md.share(averaged.get(name)),
                f"{'≥' if more else '≤'} {target:g}",
                YES if reached(run["summary"][name], target, more) else NO,
            ]
        )
    seeds = " ".join(run["seeds"])
    recipe = run.get("recipe", {}).get("name", "tuned")
    command = run.get("command", GROUPED_ANSWER.format(recipe=recipe, seeds=seeds))
    header = ["", "words + logistic regression", "`answer` model", "range", "seeds averaged", "target", "reached"]
    return md.captioned(
        md.table(header, rows),
        f"Protocol grouped, {run['folds']} folds; {run.get('rows', 0):,} tweets; seeds {seeds}; `{command}`"
        f"{md.dated(run)}{md.took(run.get('seconds'))}. The temperatures for a fold come from the other folds. The "
        "words model is judged on the same folds. Exactly right is judged by the best guess, also where the answer is "
        '"Not sure"; the next table counts those as wrong.',
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
        f"what was measured. `make grouped-answer`{md.took(run.get('seconds'))}.{md.figure_of('reliability')}",
    )


def _levers() -> str:
    run, command = load("levers"), "python -m research.levers"
    if run is None:
        return md.not_measured(command)
    figures = ("product_accuracy", "product_macro_f1", "emotion_accuracy", "emotion_macro_f1", "answer_accuracy")
    rows, missing, seconds = [], [], 0.0
    for name, lever in LEVERS.items():
        found = run["levers"].get(name)
        if found is None:
            missing.append(name)
            continue
        seconds += sum(each["seconds"] for each in found["seeds"].values())
        cells = [lever.title, f"{lever.trainings:g}", " ".join(found["seeds"])]
        cells += [md.mean(found["summary"][figure]) for figure in figures]
        for question in (tasks.PRODUCT.name, tasks.EMOTION.name, tasks.ANSWER):
            paired = found["paired"][question]
            cells.append("" if name == AS_IT_IS else md.difference(paired["difference"], paired["interval"]))
        rows.append(cells)
    header = ["lever", "trainings", "seeds", "product accuracy", "macro-F1", "emotion accuracy", "macro-F1"]
    header += ["exactly right", "product", "emotion", "exactly right"]
    not_yet = f" Not measured yet: `{command} --levers {' '.join(missing)}`." if missing else ""
    return md.captioned(
        md.table(header, rows),
        f"Protocol grouped; {run['rows']:,} tweets in {run['groups']:,} groups; recipe `{run['recipe']['name']}`. The "
        "last three columns: accuracy less that of the recipe as it is with the same seeds, tweet by tweet; the 95% "
        "intervals resample groups of near-duplicates with the answers of all seeds, and know nothing of how much "
        f"another seed would differ. Trainings: of the whole size, that one model takes. `{run['command']}`, "
        f"{run['date']}, {run['machine']}{md.took(seconds)}, teachers left out.{not_yet}",
    )


def _flat_baseline(found: Mapping[str, Any]) -> dict[str, float]:
    """A baseline's figures on the folds of the answer, under the names of our headline."""
    flat = {}
    for question, figures in found[tasks.ANSWER]["grouped"]["summary"].items():
        flat |= {f"{question}_{name}": summary["mean"] for name, summary in figures.items()}
    return flat


def _paired(run_name: str, command: str) -> Callable[[], str]:
    def section() -> str:
        run = load(run_name)
        if run is None:
            return md.not_measured(command)
        rows = []
        for found in run["methods"].values():
            for question, by_seed in found.items():
                if question != "title":
                    rows.append([found["title"], question, *_tests(by_seed)])
        header = ["less", "question", "each seed", "seeds averaged", "only ours right", "only theirs", "p"]
        return md.captioned(
            md.table(header, rows),
            f"Accuracy of our model less that of the baseline on the same tweets, of {run['rows']:,}; "
            f"{run['protocol']}; each of our seeds "
            "by itself, and the mean of their probabilities (of one seed, its own), to which the 95% interval, the "
            "counts and p belong; "
            f"McNemar's exact test, which takes tweets for independent; {md.made(run)}",
        )

    return section


def _tests(by_seed: Mapping[str, Any]) -> list[str]:
    """Cells of one question: the seeds' differences, and the tests of the averaged answers, or of the only seed's."""
    seeds = [f"{test['difference']:+.4f}" for seed, test in by_seed.items() if seed != AVERAGED]
    test = by_seed.get(AVERAGED) or md.first(by_seed)
    counts = [f"{test['only_new_right']:,}", f"{test['only_old_right']:,}"]
    shown = md.difference(test["difference"], test["difference_interval"])
    return [" ".join(seeds), shown, *counts, md.p_value(test["p_value"])]


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
        ]
        for name, found in run["tasks"].items()
        for threshold, values in found["agreement"].items()
        if values["groups"]
    ]
    header = ["task", "cosine", "rows", "groups that disagree", "pairs of labels that agree", "ceiling of the accuracy"]
    return md.captioned(
        md.table(header, rows),
        "Two labels of one text agree with the probability A, the mean over texts of the sum of squares of the labels' "
        "probabilities. The best answer to a text is right with the greatest of them, which lies between that sum and "
        "its root; so the best accuracy that can be had on these texts lies between A and its root. Texts that occur "
        f"more than once are mostly retweets: the other tweets may be harder or easier. {md.made(run)}",
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
        md.table(header, rows), f"Confident learning from out-of-fold probabilities, {run['protocol']}; {md.made(run)}"
    )


def _without_doubtful() -> str:
    run = load("label_quality")
    if run is None:
        return md.not_measured("make label-quality")
    rows = []
    for name, found in run["tasks"].items():
        for kept in found["without_doubtful"].values():
            everything = kept["all"]
            figures = [f"{everything['accuracy']:.4f}", f"{everything['macro_f1']:.4f}"]
            rows.append([name, kept["title"], "nothing", *figures, "", ""])
            for share, values in kept.items():
                if not isinstance(values, Mapping) or "doubtful" not in values:
                    continue
                doubtful, random = values["doubtful"], values["random"]
                figures = [f"{doubtful['accuracy']:.4f}", f"{doubtful['macro_f1']:.4f}"]
                figures += [md.mean(random["accuracy"]), md.mean(random["macro_f1"])]
                rows.append([name, kept["title"], f"{float(share):.0%}", *figures])
        missing = [method for method in (*CHEAP, OURS) if method not in found["without_doubtful"]]
        rows += [[name, methods()[method].title, "not measured yet", *[""] * 4] for method in missing]
    header = ["task", "method", "left out", "accuracy", "macro-F1", "accuracy, at random", "macro-F1, at random"]
    return md.captioned(
        md.table(header, rows),
        f"Protocol {run['protocol']}; the most doubtful labels of each training part, found by the words model in "
        "cross-validation inside it, left out of training, beside as many at random (3 draws). Validation keeps all "
        f"its labels, wrong ones included; {md.made(run)} Our own model: `python -m "
        f"research.label_quality --methods {OURS}`.{md.figure_of('without_doubtful')}",
    )


def _learning_curve(task: str) -> Callable[[], str]:
    def section() -> str:
        name = run_name(task)
        option = f" --task {task}" if task != tasks.PRODUCT.name else ""
        run = load(name)
        if run is None:
            return md.not_measured(f"python -m research.learning_curve{option}")
        sizes = sorted({point["size"] for found in run["methods"].values() for point in found["points"]})
        rows = []
        for found in run["methods"].values():
            points = {point["size"]: point for point in found["points"]}
            cells = [md.mean(points[size]["accuracy"]) if size in points else "not measured yet" for size in sizes]
            largest = points[max(points)]
            rows.append([found["title"], *cells, f"{largest['seconds']['mean']:.1f} s"])
        if OURS not in run["methods"]:
            rows.append([methods()[OURS].title, *["not measured yet"] * len(sizes), ""])
        return md.captioned(
            md.table(["labelled tweets", *(f"{size:,}" for size in sizes), "cost"], rows),
            f"Accuracy on {run['rows']:,} tweets, {run['protocol']}; mean and sd over {run['draws']} draws; cost: "
            "fitting once at the greatest size and answering a fifth of the tweets (the frozen MiniLM's embeddings are "
            f"given, and not in it); {md.made(run, _seconds(run))} "
            f"{_pays(run, option)}{md.figure_of(name)}",
        )

    return section


def _pays(run: Mapping[str, Any], option: str) -> str:
    """From how many labels on our model is ahead of every baseline, by the means over the draws."""
    if OURS not in run["methods"]:
        return f"Our own model: `python -m research.learning_curve{option} --methods {OURS}`."
    size = pays_from(run)
    if size is None:
        return "At no measured size is our worst draw ahead of the best draw of every baseline."
    return f"From {size:,} labelled tweets on, our worst draw is ahead of the best draw of every baseline."


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
            for name, switch in SWITCHES.items():
                if not switch.applies(protocol):
                    continue
                measured = found["protocols"].get(protocol, {}).get(name)
                if measured is None:
                    rows.append([protocol, switch.title, "not measured yet", "", "", "", ""])
                    continue
                seconds += sum(figures["seconds"] for figures in measured["seeds"].values())
                rows.append([protocol, switch.title, *_effect(name, measured)])
        header = ["protocol", "switch", "seeds", "accuracy", "macro-F1", "difference", "95% interval"]
        rate = f"Adam {recipe['learning_rate']:g} {recipe['schedule']}"
        return md.captioned(
            md.table(header, rows),
            f"Product; {run['rows']:,} tweets in {run['groups']:,} groups; `{recipe['name']}` recipe, "
            f"{recipe['backbone']}, {rate}, {recipe['epochs']} epochs. Difference: accuracy with the switch less that "
            "of the unchanged training with the same seeds, on the same tweets; its interval resamples groups of "
            'near-duplicates with the answers of all seeds. "Other tweets": another split validates on other tweets, '
            f"so there is no paired difference. `{command}`, {run['date']}, {run['machine']}{md.took(seconds)}."
            f"{md.figure_of('ablation')}",
        )

    return section


def _effect(name: str, measured: Mapping[str, Any]) -> list[str]:
    summary, paired = measured["summary"], measured.get("paired")
    cells = [" ".join(measured["seeds"]), md.mean(summary["accuracy"]), md.mean(summary["macro_f1"])]
    if name == UNCHANGED:
        return [*cells, "", ""]
    if not paired:
        return [*cells, "other tweets", ""]
    low, high = paired["interval"]
    return [*cells, f"{paired['difference']:+.4f}", f"{low:+.4f} to {high:+.4f}"]


def _accuracy_and_f1(found: Mapping[str, Any]) -> list[str]:
    summary, first = found["summary"], md.first(found["seeds"])
    return [md.mean(summary["accuracy"]), md.interval(first["accuracy_interval"]), md.mean(summary["macro_f1"])]


SECTIONS: dict[str, Callable[[], str]] = {
    "The report's recipe reaches the report's accuracy": _report,
    "The product, beside plain methods": _baselines(tasks.PRODUCT.name),
    "The emotion, beside plain methods": _baselines(tasks.EMOTION.name),
    "The whole answer, beside plain methods": _answers,
    "What the answer model was to reach": _targets,
    'Calibration, and what "Not sure" costs': _calibration,
    "What was tried to better the answer model": _levers,
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
    console.run(main)
