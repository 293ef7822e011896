"""``python -m research.results``: write research/results.md from the recorded runs; no figure in it is typed.

One section a claim: protocol, rows, seeds, spread, command, duration. What was not measured yet says so, with the
command that measures it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from research.ablation import SWITCHES, UNCHANGED
from research.baselines import GROUPED, PROTOCOLS, REPORT
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
from tf_model.progress import duration

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
# What issue 7 set out to reach; figure of tf_model.answer_figures.headline: name, target, whether more is better.
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
WHEN = ("before", "after")  # calibration
ABLATIONS = {"report": "at the report's rate", "quick": "at ten times the rate in 3 epochs"}
TUNED_TARGETS = {"accuracy": ("accuracy", 0.885), "macro_f1": ("macro-F1", 0.80)}


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
    return "\n".join([HEAD, *(f"## {title}\n\n{section()}" for title, section in SECTIONS.items())])


# ---------------------------------------------------------------- sections


def _report() -> str:
    run = load("bench_train_report")
    if run is None:
        return _not_measured("make bench-train")
    accuracy, reported = run["accuracy"], THE_REPORT["validation"]["accuracy"]
    rows = [[f"`{run['recipe']}` recipe, packaged MiniLM", _mean(accuracy), _range(accuracy), _mean(run["macro_f1"])]]
    rows.append(["the report, bert-base-uncased, one seed", f"{reported:.4f}", "", ""])
    seconds = sum(seed["seconds"] for seed in run["seeds"])
    return _section(
        _table(["", "validation accuracy", "range", "macro-F1"], rows),
        f"Protocol report; {run['rows']['train']:,} tweets to train, {run['rows']['validation']:,} to validate; "
        f"{accuracy['n']} {plural(accuracy['n'], 'seed', 'seeds')}; {_made(run, seconds)}",
    )


def _baselines(task: str) -> Callable[[], str]:
    def section() -> str:
        run = load("baselines")
        if run is None:
            return _not_measured("make baselines")
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
        return _section(
            _table(header, rows),
            f"{count[GROUPED]:,} tweets in {run['groups'][task]:,} groups (grouped), {count[REPORT]:,} to validate "
            f"(report); the interval is that of the first seed; {_made(run, _seconds(run))}{_seeds(run, task)}"
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
        figures = [_mean(report["accuracy"]), _interval(interval), _mean(report["macro_f1"])]
        rows.append([f"**`{report['recipe']}` recipe**", "", "", "", *figures])
    if tuned and tuned.get("task", tasks.PRODUCT.name) == task:
        rows.append([f"**`{tuned['recipe']['name']}` recipe**", *_accuracy_and_f1(tuned), "", "", ""])
    if answer:
        summary = answer["summary"]
        interval = _first(answer["seeds"])[task]["accuracy_interval"]
        accuracy, macro_f1 = summary[f"{task}_accuracy"], summary[f"{task}_macro_f1"]
        title = "**`answer` model** (folds over all tweets)"
        rows.append([title, _mean(accuracy), _interval(interval), _mean(macro_f1), "", "", ""])
    return rows or [["our models", "not measured yet", "", "", "", "", ""]]


def _answers() -> str:
    run = load("baselines")
    if run is None:
        return _not_measured("make baselines")
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
            summary, first = figures["summary"][tasks.ANSWER], _first(figures["seeds"])[tasks.ANSWER]
            cells += [_mean(summary["accuracy"]), _interval(first["accuracy_interval"])]
            cells.append(_mean(summary["emotion_rows_accuracy"]))
        rows.append(cells)
    if ours := load("grouped_answer"):
        summary, first = ours["summary"], _first(ours["seeds"])[tasks.ANSWER]
        interval = _interval(first["accuracy_interval"])
        carries = _mean(summary["answer_emotion_rows_accuracy"])
        rows.append(["**`answer` model**", _mean(summary["answer_accuracy"]), interval, carries, "", "", ""])
    header = ["method", "grouped, all", "interval", "with an emotion", "report, all", "interval", "with an emotion"]
    return _section(
        _table(header, rows),
        "Exactly right: no emotion where there is none; the emotion and, where it is labelled, the product elsewhere. "
        f"{_answer_rows(run)}{_made(run, _seconds(run))} Methods that train for minutes answer product and emotion "
        f"alone, above.{_figure_of('baselines')}",
    )


def _answer_rows(run: Mapping[str, Any]) -> str:
    for found in run["methods"].values():
        if figures := found.get(tasks.ANSWER, {}).get(GROUPED):
            one = _first(figures["seeds"])[tasks.ANSWER]
            return f"{one['rows']:,} tweets, {one['emotion_rows']:,} of which carry an emotion (grouped); "
    return ""


def _choices() -> str:
    run = load("choose_baselines")
    if run is None:
        return _not_measured("python -m research.baselines --choose")
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
    return _section(
        _table(["method", "tried: accuracy product / emotion", "best", "used"], rows),
        f"Linear models: the inverse penalty C. The network from scratch: the learning rate. {run['protocol']}; "
        f"{count['product']:,} and {count['emotion']:,} tweets; {_made(run)}",
    )


def _tuned() -> str:
    run = load("grouped_tuned")
    if run is None:
        return _not_measured("make grouped")
    rows = []
    for name, (title, target) in TUNED_TARGETS.items():
        summary = run["summary"][name]
        reached = "yes" if summary["mean"] >= target else "no"
        rows.append([title, _mean(summary), _range(summary), f"≥ {target:g}", reached])
    seeds = " ".join(run["seeds"])
    command = run.get("command", f'make grouped ARGS="--seeds {seeds}"')
    return _section(
        _table([f"`{run['recipe']['name']}` recipe, product", "mean", "range", "target", "reached"], rows),
        f"Protocol grouped, {run['folds']} folds; {run['rows']:,} tweets in {run['groups']:,} groups; seeds {seeds}; "
        f"`{command}`{_date(run)}, {run['device']}{_took(run.get('seconds'))}. The target is for the mean of "
        f"{len(SEEDS)} seeds.",
    )


def _targets() -> str:
    run, baselines = load("grouped_answer"), load("baselines")
    if run is None:
        return _not_measured(GROUPED_ANSWER.format(recipe="tuned", seeds="0 1 2"))
    words = _flat_baseline(baselines["methods"][WORDS]) if baselines and WORDS in baselines["methods"] else {}
    averaged = run.get("averaged", {}).get("headline", {})
    rows = []
    for name, (title, target, more) in TARGETS.items():
        reached = run["summary"][name]["mean"] >= target if more else run["summary"][name]["mean"] <= target
        rows.append(
            [
                title,
                _share(words.get(name)),
                _mean(run["summary"][name]),
                _range(run["summary"][name]),
                _share(averaged.get(name)),
                f"{'≥' if more else '≤'} {target:g}",
                "yes" if reached else "no",
            ]
        )
    seeds = " ".join(run["seeds"])
    recipe = run.get("recipe", {}).get("name", "tuned")
    command = run.get("command", GROUPED_ANSWER.format(recipe=recipe, seeds=seeds))
    header = ["", "words + logistic regression", "`answer` model", "range", "seeds averaged", "target", "reached"]
    return _section(
        _table(header, rows),
        f"Protocol grouped, {run['folds']} folds; {run.get('rows', 0):,} tweets; seeds {seeds}; `{command}`{_date(run)}"
        f"{_took(run.get('seconds'))}. The temperatures for a fold come from the other folds. The words model is "
        'judged on the same folds. Exactly right is judged by the best guess, also where the answer is "Not sure"; the '
        "next table counts those as wrong.",
    )


def _calibration() -> str:
    run = load("grouped_answer")
    if run is None:
        return _not_measured("make grouped-answer")
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
        answers.append([seed, _share(answer["accuracy"]), f"{answer['threshold']:.2f}", *map(_share, shares)])
    header = [f"{task} {figure} {when}" for task in tasks.TASKS for figure in ("ECE", "Brier") for when in WHEN]
    not_sure = ["seed", "exactly right, best guess", "threshold", '"Not sure"', "right of the answered"]
    return _section(
        f"{_table(['seed', *header], rows)}\n\n{_table([*not_sure, 'exactly right, Not sure is wrong'], answers)}",
        f"Protocol grouped, {run['folds']} folds; {run.get('rows', 0):,} tweets; expected calibration error (ECE) in "
        "15 bins; before and after temperatures that come from the other folds. The threshold is one number, chosen on "
        "all of these predictions, for which 80% of the answered are right: that share is so by choice, its price is "
        f"what was measured. `make grouped-answer`{_took(run.get('seconds'))}.{_figure_of('reliability')}",
    )


def _levers() -> str:
    run, command = load("levers"), "python -m research.levers"
    if run is None:
        return _not_measured(command)
    figures = ("product_accuracy", "product_macro_f1", "emotion_accuracy", "emotion_macro_f1", "answer_accuracy")
    rows, missing, seconds = [], [], 0.0
    for name, lever in LEVERS.items():
        found = run["levers"].get(name)
        if found is None:
            missing.append(name)
            continue
        seconds += sum(each["seconds"] for each in found["seeds"].values())
        cells = [lever.title, f"{lever.trainings:g}", " ".join(found["seeds"])]
        cells += [_mean(found["summary"][figure]) for figure in figures]
        for question in (tasks.PRODUCT.name, tasks.EMOTION.name, tasks.ANSWER):
            paired = found["paired"][question]
            low, high = paired["interval"]
            cells.append("" if name == AS_IT_IS else f"{paired['difference']:+.4f} ({low:+.4f} to {high:+.4f})")
        rows.append(cells)
    header = ["lever", "trainings", "seeds", "product accuracy", "macro-F1", "emotion accuracy", "macro-F1"]
    header += ["exactly right", "product", "emotion", "exactly right"]
    not_yet = f" Not measured yet: `{command} --levers {' '.join(missing)}`." if missing else ""
    return _section(
        _table(header, rows),
        f"Protocol grouped; {run['rows']:,} tweets in {run['groups']:,} groups; recipe `{run['recipe']['name']}`. The "
        "last three columns: accuracy less that of the recipe as it is with the same seeds, tweet by tweet; the 95% "
        "intervals resample groups of near-duplicates with the answers of all seeds, and know nothing of how much "
        f"another seed would differ. Trainings: of the whole size, that one model takes. `{run['command']}`, "
        f"{run['date']}, {run['machine']}{_took(seconds)}, teachers left out.{not_yet}",
    )


def _flat_baseline(found: Mapping[str, Any]) -> dict[str, float]:
    """A baseline's figures on the folds of the answer, under the names of our headline."""
    flat = {}
    for question, figures in found[tasks.ANSWER]["grouped"]["summary"].items():
        flat |= {f"{question}_{name}": summary["mean"] for name, summary in figures.items()}
    return flat


def _paired(task: str) -> Callable[[], str]:
    def section() -> str:
        run = load(f"compare_{task}")
        if run is None:
            return _not_measured(f"python -m research.compare --task {task}")
        rows = []
        for found in run["methods"].values():
            for question, by_seed in found.items():
                if question != "title":
                    rows += [[found["title"], question, seed, *_test(test)] for seed, test in by_seed.items()]
        header = ["less", "question", "our seed", "difference", "95% interval", "only ours right", "only theirs", "p"]
        return _section(
            _table(header, rows),
            f"Accuracy of our model less that of the baseline on the same rows; {run['protocol']}; McNemar's exact "
            f"test, which takes tweets for independent; {_made(run)}",
        )

    return section


def _test(test: Mapping[str, Any]) -> list[str]:
    low, high = test["difference_interval"]
    counts = [f"{test['only_new_right']:,}", f"{test['only_old_right']:,}"]
    return [f"{test['difference']:+.4f}", f"{low:+.4f} to {high:+.4f}", *counts, f"{test['p_value']:.2g}"]


def _label_agreement() -> str:
    run = load("label_quality")
    if run is None:
        return _not_measured("make label-quality")
    rows = [
        [
            name,
            threshold,
            f"{values['rows']:,}",
            f"{values['disagreeing_groups']:,} of {values['groups']:,}",
            f"{values['pairwise']:.3f} ({_interval(values['interval'])})",
            _interval(values["ceiling"]),
        ]
        for name, found in run["tasks"].items()
        for threshold, values in found["agreement"].items()
        if values["groups"]
    ]
    header = ["task", "cosine", "rows", "groups that disagree", "pairs of labels that agree", "ceiling of the accuracy"]
    return _section(
        _table(header, rows),
        "Two labels of one text agree with the probability A, the mean over texts of the sum of squares of the labels' "
        "probabilities. The best answer to a text is right with the greatest of them, which lies between that sum and "
        "its root; so the best accuracy that can be had on these texts lies between A and its root. Texts that occur "
        f"more than once are mostly retweets: the other tweets may be harder or easier. {_made(run)}",
    )


def _doubts() -> str:
    run = load("label_quality")
    if run is None:
        return _not_measured("make label-quality")
    rows = []
    for name, found in run["tasks"].items():
        words, ours, both = (found["doubts"][key] for key in ("words", "ours", "both"))
        shown = [f"{each['rows']:,} ({each['share']:.1%})" if each else "not measured yet" for each in (words, ours)]
        rows.append([name, f"{found['rows']:,}", *shown, "" if both is None else f"{both:,}"])
    header = ["task", "labels", "doubted by the words model", "doubted by ours", "by both"]
    return _section(
        _table(header, rows), f"Confident learning from out-of-fold probabilities, {run['protocol']}; {_made(run)}"
    )


def _without_doubtful() -> str:
    run = load("label_quality")
    if run is None:
        return _not_measured("make label-quality")
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
                figures += [_mean(random["accuracy"]), _mean(random["macro_f1"])]
                rows.append([name, kept["title"], f"{float(share):.0%}", *figures])
        missing = [method for method in (*CHEAP, OURS) if method not in found["without_doubtful"]]
        rows += [[name, methods()[method].title, "not measured yet", *[""] * 4] for method in missing]
    header = ["task", "method", "left out", "accuracy", "macro-F1", "accuracy, at random", "macro-F1, at random"]
    return _section(
        _table(header, rows),
        f"Protocol {run['protocol']}; the most doubtful labels of each training part, found by the words model in "
        "cross-validation inside it, left out of training, beside as many at random (3 draws). Validation keeps all "
        f"its labels, wrong ones included; {_made(run)} Our own model: `python -m "
        f"research.label_quality --methods {OURS}`.{_figure_of('without_doubtful')}",
    )


def _learning_curve(task: str) -> Callable[[], str]:
    def section() -> str:
        name = run_name(task)
        option = f" --task {task}" if task != tasks.PRODUCT.name else ""
        run = load(name)
        if run is None:
            return _not_measured(f"python -m research.learning_curve{option}")
        sizes = sorted({point["size"] for found in run["methods"].values() for point in found["points"]})
        rows = []
        for found in run["methods"].values():
            points = {point["size"]: point for point in found["points"]}
            cells = [_mean(points[size]["accuracy"]) if size in points else "not measured yet" for size in sizes]
            largest = points[max(points)]
            rows.append([found["title"], *cells, f"{largest['seconds']['mean']:.1f} s"])
        if OURS not in run["methods"]:
            rows.append([methods()[OURS].title, *["not measured yet"] * len(sizes), ""])
        return _section(
            _table(["labelled tweets", *(f"{size:,}" for size in sizes), "cost"], rows),
            f"Accuracy on {run['rows']:,} tweets, {run['protocol']}; mean and sd over {run['draws']} draws; cost: "
            "fitting once at the greatest size and answering a fifth of the tweets (the frozen MiniLM's embeddings are "
            f"given, and not in it); {_made(run, _seconds(run))} "
            f"{_pays(run, option)}{_figure_of(name)}",
        )

    return section


def _pays(run: Mapping[str, Any], option: str) -> str:
    """From how many labels on our model is ahead of every baseline, by the means over the draws."""
    ours = run["methods"].get(OURS)
    if ours is None:
        return f"Our own model: `python -m research.learning_curve{option} --methods {OURS}`."
    others = [found for name, found in run["methods"].items() if name != OURS]
    ahead: dict[int, bool] = {}
    for point in ours["points"]:
        rivals = [each for found in others for each in found["points"] if each["size"] == point["size"]]
        if rivals:
            ahead[point["size"]] = point["accuracy"]["min"] > max(each["accuracy"]["max"] for each in rivals)
    behind = [size for size, is_ahead in ahead.items() if not is_ahead]
    pays = [size for size in ahead if not behind or size > max(behind)]
    if not pays:
        return "At no measured size is our worst draw ahead of the best draw of every baseline."
    return f"From {min(pays):,} labelled tweets on, our worst draw is ahead of the best draw of every baseline."


# ---------------------------------------------------------------- the report's slips


def _ablation(setting: str) -> Callable[[], str]:
    def section() -> str:
        run, command = load("ablation"), f"python -m research.ablation --setting {setting}"
        if run is None or setting not in run["settings"]:
            return _not_measured(command)
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
        return _section(
            _table(header, rows),
            f"Product; {run['rows']:,} tweets in {run['groups']:,} groups; `{recipe['name']}` recipe, "
            f"{recipe['backbone']}, {rate}, {recipe['epochs']} epochs. Difference: accuracy with the switch less that "
            "of the unchanged training with the same seeds, on the same tweets; its interval resamples groups of "
            'near-duplicates with the answers of all seeds. "Other tweets": another split validates on other tweets, '
            f"so there is no paired difference. `{command}`, {run['date']}, {run['machine']}{_took(seconds)}."
            f"{_figure_of('ablation')}",
        )

    return section


def _effect(name: str, measured: Mapping[str, Any]) -> list[str]:
    summary, paired = measured["summary"], measured.get("paired")
    cells = [" ".join(measured["seeds"]), _mean(summary["accuracy"]), _mean(summary["macro_f1"])]
    if name == UNCHANGED:
        return [*cells, "", ""]
    if not paired:
        return [*cells, "other tweets", ""]
    low, high = paired["interval"]
    return [*cells, f"{paired['difference']:+.4f}", f"{low:+.4f} to {high:+.4f}"]


# ---------------------------------------------------------------- pieces


def _section(table: str, remark: str) -> str:
    return f"{table}\n\n{remark}\n"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def _not_measured(command: str) -> str:
    return f"Not measured yet: run `{command}`.\n"


def _made(run: Mapping[str, Any], seconds: float | None = None) -> str:
    return f"`{run['command']}`, {run['date']}, {run['machine']}{_took(seconds)}."


def _date(run: Mapping[str, Any]) -> str:
    return f", {run['date']}" if "date" in run else ""


def _took(seconds: float | None) -> str:
    return "" if not seconds else f", {duration(seconds)} of computing"


def _figure_of(name: str) -> str:
    """The drawn figure, where it was drawn."""
    path = paths.RESEARCH / "figures" / f"{name}.svg"
    return f"\n\n![{name.replace('_', ' ')}](figures/{path.name})" if path.is_file() else ""


def _accuracy_and_f1(found: Mapping[str, Any]) -> list[str]:
    summary, first = found["summary"], _first(found["seeds"])
    return [_mean(summary["accuracy"]), _interval(first["accuracy_interval"]), _mean(summary["macro_f1"])]


def _mean(summary: Mapping[str, Any]) -> str:
    return f"{summary['mean']:.4f}" + ("" if summary["sd"] is None else f" (sd {summary['sd']:.4f})")


def _range(summary: Mapping[str, Any]) -> str:
    return f"{summary['min']:.4f} to {summary['max']:.4f}" if summary["n"] > 1 else ""


def _interval(interval: Sequence[float]) -> str:
    return f"{interval[0]:.3f} to {interval[1]:.3f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _first(mapping: Mapping[str, Any]) -> Any:
    return next(iter(mapping.values()))


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
    "Our answer model less each baseline, tweet by tweet": _paired(tasks.ANSWER),
    "Our product model less each baseline, tweet by tweet": _paired(tasks.PRODUCT.name),
    "How far people agree, and how high an accuracy can get": _label_agreement,
    "Labels that look wrong": _doubts,
    "Training without the most doubtful labels": _without_doubtful,
    "How many labelled tweets the product takes": _learning_curve(tasks.PRODUCT.name),
    "How many labelled tweets the emotion takes": _learning_curve(tasks.EMOTION.name),
    **{f"What each slip of the report did, {each}": _ablation(name) for name, each in ABLATIONS.items()},
}


if __name__ == "__main__":
    console.run(main)
