"""``python -m research.results``: write research/results.md from the recorded runs; no figure in it is typed.

One section a claim: protocol, rows, seeds, spread, command, duration. What was not measured yet says so, with the
command that measures it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from research.methods import methods
from research.runs import load
from tf_model import console, paths, tasks
from tf_model.files import whole_file
from tf_model.messages import plural
from tf_model.metrics import REPORT
from tf_model.progress import duration

HEAD = """# Results

Written by `make results` from the recorded runs in [runs/](runs/); no figure here is typed. Two protocols:

- **report**: the report's random 80/20 split, seed 42. Near-duplicates stand on both sides (`python -m tf_model.data
  --audit`), so it flatters every model; it serves to compare with the report.
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
NOT_BUILT = "Not built: a transformer of this size from scratch, and keras-nlp's BERT classifier on the same weights."
WORDS = "words_logistic"
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


def main(argv: list[str] | None = None) -> int:
    """Render every section, and the figures where they are asked for."""
    parser = console.parser("research.results", __doc__.splitlines()[0])
    parser.add_argument("--figures", action="store_true", help="also draw research/figures/ (needs kaleido and Chrome)")
    arguments = parser.parse_args(argv)
    page = paths.RESEARCH / "results.md"
    text = render()
    with whole_file(page, overwrite=True) as part:
        part.write_text(text, encoding="utf-8")
    console.say(f"written to {paths.shown(page)}")
    if arguments.figures:
        from research.figures import draw_all

        for path in draw_all():
            console.say(f"written to {paths.shown(path)}")
    return 0


def render() -> str:
    """The page."""
    return "\n".join([HEAD, *(f"## {title}\n\n{section()}" for title, section in SECTIONS.items())])


# ---------------------------------------------------------------- sections


def _report() -> str:
    run = load("bench_train_report")
    if run is None:
        return _not_measured("make bench-train")
    accuracy, reported = run["accuracy"], REPORT["validation"]["accuracy"]
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
        rows = [
            [
                found["title"],
                *(cell for protocol in ("grouped", "report") for cell in _accuracy_and_f1(found[task][protocol])),
            ]
            for found in run["methods"].values()
        ]
        rows += [*_missing(run), *_ours(task)]
        header = ["method", "grouped accuracy", "interval", "macro-F1", "report accuracy", "interval", "macro-F1"]
        count = run["rows"][task]
        seconds = sum(found["seconds"] for found in run["methods"].values())
        return _section(
            _table(header, rows),
            f"{count['grouped']:,} tweets in {run['groups'][task]:,} groups (grouped), {count['report']:,} to validate "
            f"(report); the interval is that of the first seed; {_made(run, seconds)}"
            f"{_seeds(run['methods'].values(), task)} {NOT_BUILT}",
        )

    return section


def _missing(run: Mapping[str, Any]) -> list[list[str]]:
    """Rows of the baselines that the recorded run lacks, in a table of seven columns."""
    titles = [method.title for name, method in methods().items() if name not in run["methods"]]
    return [[title, "not measured yet", "", "", "", "", ""] for title in titles]


def _ours(task: str) -> list[list[str]]:
    """Rows of our own models in the table of a task's baselines."""
    rows = []
    tuned, answer = load("grouped_tuned"), load("grouped_answer")
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
    for found in run["methods"].values():
        cells = [found["title"]]
        for protocol in ("grouped", "report"):
            summary = found[tasks.ANSWER][protocol]["summary"][tasks.ANSWER]
            first = _first(found[tasks.ANSWER][protocol]["seeds"])[tasks.ANSWER]
            cells += [_mean(summary["accuracy"]), _interval(first["accuracy_interval"])]
            cells.append(_mean(summary["emotion_rows_accuracy"]))
        rows.append(cells)
    rows += _missing(run)
    if ours := load("grouped_answer"):
        summary, first = ours["summary"], _first(ours["seeds"])[tasks.ANSWER]
        interval = _interval(first["accuracy_interval"])
        carries = _mean(summary["answer_emotion_rows_accuracy"])
        rows.append(["**`answer` model**", _mean(summary["answer_accuracy"]), interval, carries, "", "", ""])
    one = _first(_first(run["methods"])[tasks.ANSWER]["grouped"]["seeds"])[tasks.ANSWER]
    header = ["method", "grouped, all", "interval", "with an emotion", "report, all", "interval", "with an emotion"]
    return _section(
        _table(header, rows),
        "Exactly right: no emotion where there is none; the emotion and, where it is labelled, the product elsewhere. "
        f"{one['rows']:,} tweets, {one['emotion_rows']:,} of which carry an emotion (grouped); "
        f"{_made(run, sum(found['seconds'] for found in run['methods'].values()))}",
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
    header = ["", "words + logistic regression", "`answer` model", "range", "seeds averaged", "target", "reached"]
    return _section(
        _table(header, rows),
        f"Protocol grouped, {run['folds']} folds; {run.get('rows', 0):,} tweets; seeds {seeds}; "
        f"`{GROUPED_ANSWER.format(recipe=run.get('recipe', {}).get('name', 'tuned'), seeds=seeds)}`"
        f"{_took(run.get('seconds'))}. The temperatures for a fold come from the other folds. The words model is "
        "judged on the same folds.",
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
            return _not_measured(f"python -m research.compare --task {task} --store FOLDER")
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
        for share, values in found["without_doubtful"].items():
            if share == "all":
                rows.append([name, "nothing", f"{values['accuracy']:.4f}", f"{values['macro_f1']:.4f}", "", ""])
            else:
                doubtful, random = values["doubtful"], values["random"]
                figures = [f"{doubtful['accuracy']:.4f}", f"{doubtful['macro_f1']:.4f}"]
                rows.append(
                    [name, f"{float(share):.0%}", *figures, _mean(random["accuracy"]), _mean(random["macro_f1"])]
                )
    header = ["task", "left out", "accuracy", "macro-F1", "accuracy, at random", "macro-F1, at random"]
    return _section(
        _table(header, rows),
        f"TF-IDF + logistic regression, {run['protocol']}; the most doubtful labels of each training part, found by "
        "cross-validation inside it, left out of training, beside as many at random (3 draws). Validation keeps all "
        f"its labels, wrong ones included; {_made(run)}",
    )


def _learning_curve() -> str:
    run = load("learning_curve")
    if run is None:
        return _not_measured("make learning-curve")
    sizes = [point["size"] for point in _first(run["methods"])["points"]]
    rows = [
        [found["title"], *(_mean(point["accuracy"]) for point in found["points"])] for found in run["methods"].values()
    ]
    if "minilm" not in run["methods"]:
        rows.append(["MiniLM fine-tuned", "not measured yet: run `python -m research.learning_curve --minilm`"])
        rows[-1] += [""] * (len(sizes) - 1)
    seconds = sum(found["seconds"] for found in run["methods"].values())
    return _section(
        _table(["labelled tweets", *(f"{size:,}" for size in sizes)], rows),
        f"Accuracy on {run['rows']:,} tweets, {run['protocol']}; mean and sd over {run['draws']} draws; "
        f"{_made(run, seconds)}\n\n![accuracy against the number of labelled tweets](figures/learning_curve.svg)",
    )


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


def _took(seconds: float | None) -> str:
    return "" if not seconds else f", {duration(seconds)} of computing"


def _seeds(found_by_method: Iterable[Mapping[str, Any]], task: str) -> str:
    several = {found["title"]: len(found[task]["grouped"]["seeds"]) for found in found_by_method}
    named = ", ".join(f"{title} {count}" for title, count in several.items() if count > 1)
    return f" Seeds: {named}; the other methods have no randomness." if named else " No method here has randomness."


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
    "Our answer model less each baseline, tweet by tweet": _paired(tasks.ANSWER),
    "Our product model less each baseline, tweet by tweet": _paired(tasks.PRODUCT.name),
    "How far people agree, and how high an accuracy can get": _label_agreement,
    "Labels that look wrong": _doubts,
    "Training without the most doubtful labels": _without_doubtful,
    "How many labelled tweets it takes": _learning_curve,
}


if __name__ == "__main__":
    console.run(main)
