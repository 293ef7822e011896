"""Write research/benchmarks.md from the recorded runs; no figure in it is typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from research.report.benchmarks import monitor, scale
from research.runs import load
from research.tools import serve_check
from tf_model import cli, paths
from tf_model.cli import duration
from tf_model.evaluation.metrics import REPORT
from tf_model.io.files import whole_file

FLOAT32_LOSS = "e718a05"
HEAD = """# Benchmarks

Written by `make benchmarks` from the recorded runs in [runs/](runs/); each section names the command that makes its
figures. The dataset is the real one throughout. What was not measured yet is not here.
"""


def main(argv: list[str] | None = None) -> int:
    """Render every recorded run and write the page."""
    cli.parser("research.report.benchmarks", __doc__.splitlines()[0]).parse_args(argv)
    sections = [render(run) for name, render in SECTIONS.items() if (run := load(name))]
    page = paths.RESEARCH / "benchmarks.md"
    with whole_file(page, overwrite=True) as part:
        part.write_text("\n".join([HEAD, *sections]), encoding="utf-8")
    cli.say(f"written to {paths.shown(page)} from {len(sections)} recorded runs")
    return 0


def _training(run: dict[str, Any]) -> str:
    rows = "\n".join(
        f"| {seed['seed']} | {seed['train_loss']:.4f} | {seed['train_accuracy']:.4f} | {seed['validation_loss']:.4f} | "
        f"{seed['validation_accuracy']:.4f} | {seed['validation_macro_f1']:.4f} | {duration(seed['seconds'])} | "
        f"{seed['peak_memory_bytes'] / 1e9:.2f} GB |"
        for seed in run["seeds"]
    )
    accuracy, macro_f1 = run["accuracy"], run["macro_f1"]
    return f"""## The `{run["recipe"]}` recipe on the report's split

`{run["command"]}`, {run["date"]}, {run["machine"]} ({run["device"]}). Protocol: {run["protocol"]};
{run["rows"]["train"]:,} tweets to train, {run["rows"]["validation"]:,} to validate.

| seed | train loss | train accuracy | validation loss | validation accuracy | macro-F1 | time in epochs | peak memory |
|---|---|---|---|---|---|---|---|
{rows}

Validation accuracy: mean **{accuracy["mean"]:.4f}**{_sd(accuracy)}, {accuracy["min"]:.4f} to
{accuracy["max"]:.4f}; {run["reach_target"]} of {accuracy["n"]} seeds reach {run["target"]}. Macro-F1: mean
{macro_f1["mean"]:.4f}{_sd(macro_f1)}. The report, with bert-base-uncased and one seed: train
{REPORT["train"]["loss"]} / {REPORT["train"]["accuracy"]}, validation {REPORT["validation"]["loss"]} /
{REPORT["validation"]["accuracy"]}. Times of runs beside which the machine did other work are longer than they need be.
"""


def _training_with_bfloat16_loss(run: dict[str, Any]) -> str:
    """The same runs by the code that left the classification layer, and so the loss, in bfloat16."""
    title = f"## The `{run['recipe']}` recipe, with the loss in bfloat16"
    note = (
        f"By the code before commit {FLOAT32_LOSS}, which keeps the last layer in float32 in mixed precision; kept for "
        "comparison: the command makes the section above now."
    )
    body = _training(run).split("\n", 2)[2]
    return f"{title}\n\n{note}\n\n{body}"


def _sd(summary: dict[str, Any]) -> str:
    return "" if summary["sd"] is None else f", sd {summary['sd']:.4f}"


def _epochs(run: dict[str, Any]) -> str:
    every = [row for row in run["epochs"] if row["epoch"] in (1, 2) or row["epoch"] % 2 == 0]
    rows = "\n".join(f"| {row['epoch']:.0f} | {row['val_accuracy']:.4f} | {row['val_loss']:.4f} |" for row in every)
    best = max(run["epochs"], key=lambda row: row["val_accuracy"])
    done = run.get("folds_done", run["folds"])
    folds = "mean over the folds" if done == run["folds"] else f"{done} of the {run['folds']} folds was run so far"
    return f"""## How many epochs for the packaged backbone

`make choose-epochs`: {run["folds"]}-fold cross-validation of the `report` recipe inside the training part of the
report's split ({run["rows"]:,} tweets, no near-duplicate on both sides), seed {", ".join(run["seeds"])}; {folds}. The
validation part has no say in it.

| epoch | accuracy | loss |
|---|---|---|
{rows}

Highest after {best["epoch"]:.0f} epochs, of {run["epochs"][-1]["epoch"]:.0f} that were tried. A fold trains on two
thirds as many tweets, so the full training part takes more steps an epoch.
"""


def _epoch(run: dict[str, Any]) -> str:
    rows = "\n".join(
        f"| {label} | {way['epoch_seconds']:.1f} s | {way['validation_accuracy']:.4f} "
        f"({way['validation_accuracy_interval'][0]:.3f} to {way['validation_accuracy_interval'][1]:.3f}) |"
        for label, way in (
            ("padded to the batch's longest tweet", run["bucketed"]),
            (f"padded to {run['padded_to']} tokens", run["padded"]),
        )
    )
    return f"""## Padding in training

`{run["command"]}`, {run["date"]}, {run["machine"]} ({run["bucketed"]["device"]}). {run["epochs"]} epochs at 1e-4, one
seed; time of an epoch without the first, which builds the graph; accuracy after the last (95% interval).

| batches | an epoch | validation accuracy |
|---|---|---|
{rows}

The epoch takes **{run["ratio"]:.2f}** of the time.
"""


def _prediction(run: dict[str, Any]) -> str:
    rates, times = run["tweets_per_second"], run["one_tweet_milliseconds"]
    return f"""## Prediction

`{run["command"]}`, {run["date"]}, {run["machine"]}. The {run["texts"]} Test tweets through the exported SavedModel,
float32, batches of {run["batch_size"]}; median of 5 rounds.

| batches | tweets/s |
|---|---|
| padded to the batch's longest tweet | {rates["bucketed"]:.0f} |
| padded to {run["padded_to"]} tokens | {rates["padded"]:.0f} |

**{run["ratio"]:.2f}** times as fast. One tweet alone: p50 **{times["p50"]:.1f} ms**, p95 {times["p95"]:.1f} ms, p99
{times["p99"]:.1f} ms, from string to answer.
{_whole_question(run.get("answer_beside_product"))}"""


def _whole_question(pair: dict[str, Any] | None) -> str:
    """What the model ``answer`` costs beside ``product``, if both were saved when it was measured."""
    if pair is None:
        return ""
    rows = "\n".join(
        f"| `{name}` | {pair[name]['backbone']}, {pair[name]['cleaning']} | {pair[name]['p50']:.1f} ms | "
        f"{pair[name]['p95']:.1f} ms | {pair[name]['p99']:.1f} ms |"
        for name in ("product", "answer")
    )
    return f"""
The whole question beside the product alone, one tweet at a time by the two saved models in turn:

| model | backbone, cleaning | p50 | p95 | p99 |
|---|---|---|---|---|
{rows}

`answer` takes **{pair["ratio"]:.2f}** times as long.
"""


def _gpu(run: dict[str, Any]) -> str:
    rows = "\n".join(
        f"| {name} | {way['device']} | {way['first_epoch_seconds']:.1f} s | {way['epoch_seconds']:.1f} s |"
        for name, way in run["runs"].items()
    )
    return f"""## An epoch on a GPU

`{run["command"]}`, {run["date"]}: batches of 32.

| model, number format | device | first epoch | each further epoch |
|---|---|---|---|
{rows}
"""


def _grouped(run: dict[str, Any]) -> str:
    rows = "\n".join(
        f"| {seed} | {found['accuracy']:.4f} ({found['accuracy_interval'][0]:.3f} to "
        f"{found['accuracy_interval'][1]:.3f}) | {found['macro_f1']:.4f} | {found['loss']:.4f} |"
        for seed, found in run["seeds"].items()
    )
    accuracy, macro_f1 = run["summary"]["accuracy"], run["summary"]["macro_f1"]
    return f"""## The `{run["recipe"]["name"]}` recipe without leakage

`make grouped ARGS="--seeds {" ".join(run["seeds"])}"`: {run["folds"]}-fold cross-validation over {run["rows"]:,} tweets
in {run["groups"]:,} groups of near-duplicates ({run["device"]}).

| seed | accuracy | macro-F1 | loss |
|---|---|---|---|
{rows}

Mean accuracy **{accuracy["mean"]:.4f}**{_sd(accuracy)}; mean macro-F1 **{macro_f1["mean"]:.4f}**{_sd(macro_f1)}.
"""


def _app(run: dict[str, Any]) -> str:
    first, memory = run["first_answer_seconds"]["browser"], run["memory"]
    loads = {
        f"{run['people']} people, {run['think_seconds']:g} s of reading between two questions": run["crowd"],
        f"{run['people']} people, all at the same moment": run["all_at_the_same_moment"],
    }
    rows = "\n".join(
        f"| {name} | {found['questions']:,} | {_p50_p95(found['answer_seconds'])} | {_p50_p95(found['page_seconds'])} |"
        for name, found in loads.items()
    )
    return f"""## The app

`{run["command"]}`, {run["date"]}, {run["machine"]}, server and clients on the same machine, over loopback. In a browser
with the page up, an answer is on the screen after {first["p50"]:.2f} s (median of {first["questions"]}; longest
{first["greatest"]:.2f} s). The many are sessions without a browser: until the sentence with the answer had come, and
until the page with charts and explanation was complete, p50 / p95.

| load | questions | answer | whole page |
|---|---|---|---|
{rows}

Over {memory["questions"]:,} more questions the server's memory grew by {memory["grown_bytes"] / 2**20:+.0f} MiB, from
{memory["before_bytes"] / 2**20:,.0f} MiB; a question took {memory["cpu_seconds_per_question"] * 1000:.0f} ms of
processor time, explanation included.
"""


def _p50_p95(seconds: dict[str, float]) -> str:
    return f"{seconds['p50']:.2f} / {seconds['p95']:.2f} s"


SECTIONS: dict[str, Callable[[dict[str, Any]], str]] = {
    "bench_train_report": _training,
    "bench_train_report_bfloat16_loss": _training_with_bfloat16_loss,
    "bench_train_tuned": _training,
    "choose_epochs": _epochs,
    "grouped_tuned": _grouped,
    "bench_epoch": _epoch,
    "bench_predict": _prediction,
    "bench_gpu": _gpu,
    "bench_monitor": monitor.section,
    "bench_app": _app,
    "bench_scale": scale.section,
    "serve_check": serve_check.section,
}


if __name__ == "__main__":
    cli.run(main)
