"""The parts of the Monitor page: alarms in words, the five signals over time, errors, corrections, drift."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from streamlit_app.charts.theme import monitor_charts, theme
from streamlit_app.charts.theme.monitor_charts import over
from streamlit_app.components.notices import plain_markdown
from tf_model import tasks
from tf_model.errors import plural
from tf_model.monitor import accuracy, drift, tally
from tf_model.monitor.events import STAGES, UNSURE
from tf_model.monitor.overview import MOST_ERRORS
from tf_model.monitor.report import Limits, Report
from tf_model.monitor.window import Window, table

MEBIBYTE = 2**20
FEWEST = 5  # judgements, or predictions, of one point of the chart of the accuracy
SIGNAL_NAMES = {
    "errors": "Errors",
    "latency": "Latency",
    "accuracy": "Accuracy",
    "drift": "Drift",
    "log": "Lost records",
}


def show_alarms(report: Report) -> None:
    """What somebody should look at, in words, or that there is nothing; and which signals could not be judged."""
    if report.alarms:
        count = len(report.alarms)
        lines = [f"**{count} {plural(count, 'alarm', 'alarms')}**"]
        lines += [f"- **{SIGNAL_NAMES[alarm.signal]}**: {plain_markdown(alarm.words)}" for alarm in report.alarms]
        st.error("\n".join([*lines, "", _undecided(report)]), icon=":material/notification_important:")
        return
    requests = report.window.requests
    counted = f"{requests:,} {plural(requests, 'request', 'requests')}"
    if report.decided == ("log",):
        st.info(
            f"Too little to judge: {counted} in this time, alarms need {report.limits.requests}.",
            icon=":material/hourglass_empty:",
        )
        return
    judged = ", ".join(SIGNAL_NAMES[signal].lower() for signal in report.decided)
    st.success(
        f"No alarm over {counted}. Judged: {judged}. {_undecided(report)}".strip(), icon=":material/check_circle:"
    )


def _undecided(report: Report) -> str:
    """Which signals raise no alarm because nobody could tell, and why; empty if there are none."""
    few = [signal for signal in report.judged if signal not in report.decided]
    alone = [signal for signal in SIGNAL_NAMES if signal not in report.judged]
    reasons = {"too few records so far": few, "no reference to compare with": alone}
    named = [
        f"{', '.join(SIGNAL_NAMES[signal].lower() for signal in signals)} ({reason})"
        for reason, signals in reasons.items()
        if signals
    ]
    return f"Not judged: {'; '.join(named)}." if named else ""


def show_summary(report: Report) -> None:
    """The figures of the whole time."""
    window = report.window
    outcomes = window.labels("outcome")
    unsure = outcomes.get(UNSURE, 0) / sum(outcomes.values()) if outcomes else None
    p95 = report.interactive.histogram(tally.SECONDS).quantile(0.95)
    memory = window.mean(tally.MEMORY)
    figures = {
        "Predictions": f"{window.predictions:,}",
        "95% of requests within": "-" if p95 is None else milliseconds(p95),
        "Failed requests": f"{window.failures:,}",
        '"Not sure"': "-" if unsure is None else f"{unsure:.0%}",
        "Memory": "-" if memory is None else f"{memory / MEBIBYTE:,.0f} MiB",
        "Records lost": f"{window.dropped:,}",
    }
    columns = [*st.columns(3), *st.columns(3)]
    for column, (label, value) in zip(columns, figures.items(), strict=True):
        column.metric(label, value, border=True)


def show_signals(report: Report, windows: Sequence[Window], interactive: Sequence[Window]) -> None:
    """The five signals over time.

    Args:
        report: The whole time.
        windows: The time in pieces.
        interactive: The same, without whole files.
    """
    frame, waited = table(windows), table(interactive)
    seconds = windows[0].until - windows[0].since
    piece = f"each {_duration(seconds)}"
    left, right = st.columns(2)
    with left:
        _show_accuracy(report, windows, piece)
    with right:
        times = {f"p{share}_seconds": f"p{share}" for share in (50, 95, 99)}
        theme.show(
            over(monitor_charts.lines(waited, times, "Latency of a request, ms", form=",.0f", scale=1000), windows),
            alt=f"Latency over time. {_spoken_latency(report)}",
            caption=f"{_spoken_latency(report)} {_spoken_stages(report)}Whole files are left out: they take as long as "
            "they take.",
            key="monitor_latency",
        )
    left, right = st.columns(2)
    with left:
        rate = report.window.predictions / max(report.window.until - report.window.since, 1)
        spoken = f"{report.window.predictions:,} predictions, {rate_in_words(rate * 60)} a minute on average."
        theme.show(
            over(monitor_charts.bars(frame, "predictions", f"Throughput, predictions {piece}"), windows),
            alt=f"Predictions over time. {spoken}",
            caption=spoken,
            key="monitor_throughput",
        )
    with right:
        kinds, errors = report.window.labels(tally.ERRORS), [each.labels(tally.ERRORS) for each in windows]
        spoken = f"{report.window.failures:,} of {report.window.requests:,} requests failed"
        spoken += f": {', '.join(f'{kind} {count:,}' for kind, count in kinds.items())}." if kinds else "."
        theme.show(
            over(monitor_charts.errors(frame["time"], errors, f"Errors {piece}"), windows),
            alt=f"Errors over time. {spoken}",
            caption=plain_markdown(spoken),
            key="monitor_errors",
        )
    _show_resources(report, frame, windows)


def _show_accuracy(report: Report, windows: Sequence[Window], piece: str) -> None:
    corrected = accuracy.over_time(windows, minimum=FEWEST)
    estimated = {task: accuracy.over_time(windows, task, FEWEST) for task in report.estimated}
    spoken = ["No answer was judged by users."]
    if report.corrected.rows:
        spoken = [f"Judged right by users: {_accuracy_words(report.corrected)}."]
    spoken += [f"Estimated for the {task}: {_accuracy_words(found)}." for task, found in report.estimated.items()]
    if report.estimated.keys() >= tasks.TASKS.keys():
        spoken.append("That of the product counts the texts with an emotion: the others have no product.")
    theme.show(
        over(monitor_charts.accuracy(corrected, estimated, "Accuracy: estimated, and judged by users"), windows),
        alt=" ".join(["Accuracy over time.", *spoken]),
        caption=" ".join(spoken) + f" Points: {piece}, where there are {FEWEST} or more.",
        key="monitor_accuracy",
    )


def _accuracy_words(found: accuracy.Accuracy) -> str:
    if found.accuracy is None:
        return f"too few to say ({found.rows:,})"
    return f"{found.accuracy:.0%} (95%: {found.low:.0%} to {found.high:.0%}, of {found.rows:,})"


def _spoken_latency(report: Report) -> str:
    found = report.interactive.histogram(tally.SECONDS)
    if not found.count:
        return "Nobody waited for an answer in this time."
    shown = ", ".join(f"p{share} {milliseconds(found.quantile(share / 100))}" for share in (50, 95, 99))
    return f"{shown} over {found.count:,} {plural(found.count, 'request', 'requests')}."


def _spoken_stages(report: Report) -> str:
    """The mean time of each stage, where more than one was measured."""
    means = {stage: report.interactive.histogram(tally.stage_name(stage)).mean for stage in STAGES}
    shown = [f"{stage} {milliseconds(mean)}" for stage, mean in means.items() if mean is not None]
    return f"On average {', '.join(shown)}. " if len(shown) > 1 else ""


def _show_resources(report: Report, frame: pd.DataFrame, windows: Sequence[Window]) -> None:
    found = {name: report.window.mean(name) for name in tally.SAMPLED}
    if found[tally.CPU] is None and found[tally.MEMORY] is None:
        st.caption("Processor and memory are measured while the app runs; there is no sample of this time.")

    def show(name: str, title: str, spoken: str, form: str, scale: float = 1.0, note: str = "") -> None:
        words = "" if found[name] is None else f"{spoken.format(found[name] * scale)} on average."
        theme.show(
            over(monitor_charts.lines(frame, {name: title}, title, form=form, scale=scale), windows),
            alt=f"{title}, over time. {words}",
            caption=f"{words} {note}".strip() or None,
            key=f"monitor_{name}",
        )

    left, right = st.columns(2)
    with left:
        show(tally.CPU, "Processor, cores in use", "{:.2f} cores in use", ".2~f")
    with right:
        show(tally.MEMORY, "Memory of the process, MiB", "{:,.0f} MiB", ",.0f", 1 / MEBIBYTE)
    if found[tally.GPU_UTILIZATION] is None and found[tally.GPU_MEMORY] is None:
        st.caption("No GPU was seen in this time (nvidia-smi is asked).")
        return
    left, right = st.columns(2)
    with left:
        note = "All GPUs of the machine, whoever uses them."
        show(tally.GPU_UTILIZATION, "GPUs, share of the time busy", "{:.0%} busy", ".0%", note=note)
    with right:
        show(tally.GPU_MEMORY, "Memory of the GPUs, MiB", "{:,.0f} MiB", ",.0f", 1 / MEBIBYTE)


# ---------------------------------------------------------------- tables


def show_errors(errors: pd.DataFrame, report: Report) -> None:
    """The newest errors with their messages."""
    st.subheader("Latest errors", anchor=False)
    if errors.empty:
        st.caption("None in this time.")
        return
    st.dataframe(
        errors[["time", "source", "kind", "message"]],
        hide_index=True,
        column_config={"time": _time(), "message": st.column_config.TextColumn(width="large")},
        alt="The newest errors: when, where, of which kind, and their message",
    )
    if len(errors) < MOST_ERRORS:  # the sums are of whole minutes or hours: they may know of one before this time
        st.caption(f"All {len(errors):,} that the log has of this time.")
    else:
        st.caption(f"The newest {len(errors):,} of {report.window.failures:,}.")


def show_corrections(corrections: pd.DataFrame, report: Report) -> None:
    """What users said, and how often they called an answer right."""
    st.subheader("Corrections", anchor=False)
    found = report.corrected
    if corrections.empty:
        st.caption("None in this time. People judge answers on the page Ask.")
        return
    if found.accuracy is None:
        st.markdown(
            f"{found.right:,} of {found.rows:,} judged answers were called right: too few for a figure, which "
            f"takes {Limits().judged}."
        )
    else:
        st.markdown(
            f"{found.right:,} of {found.rows:,} judged answers were called right: **{found.accuracy:.1%}** "
            f"(95% interval {found.low:.1%} to {found.high:.1%})."
        )
    said = ["answer"] if corrections["answer"].notna().any() else ["product", "emotion"]
    names = ["time", "text", *said, "verdict", "correct_product", "correct_emotion"]
    shown = corrections.iloc[::-1][names].dropna(axis=1, how="all")
    # A dataframe draws its cells letter by letter: no text of a user is ever read as HTML or Markdown.
    st.dataframe(
        shown,
        hide_index=True,
        column_config={
            "time": _time(),
            "text": st.column_config.TextColumn(width="medium"),
            "verdict": "judged",
            "correct_product": "product, by the user",
            "correct_emotion": "emotion, by the user",
        },
        alt="The newest corrections: what was answered and what the user said",
    )
    st.caption(
        'People judge whom they please: mistakes more readily than what is right. What they say of "Not sure" is kept, '
        "and judges no answer."
    )


def show_drift(report: Report, problem: str) -> None:
    """Each feature against the reference, and the distributions of one of them side by side."""
    st.subheader("Drift", anchor=False)
    if report.reference is None:
        st.info(f"Not judged: {plain_markdown(problem)}.", icon=":material/info:")
        return
    if not report.drifts:
        st.info(
            f"Not judged: that takes {drift.MINIMUM_ROWS} predictions, there are {report.window.predictions:,} in this "
            "time.",
            icon=":material/hourglass_empty:",
        )
        return
    st.dataframe(
        pd.DataFrame([_drift_row(found) for found in report.drifts]),
        hide_index=True,
        column_config={
            "index": st.column_config.NumberColumn("stability index", format="%.3f", help="0 where nothing changed"),
            "bound": st.column_config.NumberColumn("alarm from", format="%.3f"),
            "p": st.column_config.NumberColumn("p", format="%.2g", help="How probable this is by chance"),
            "predictions": st.column_config.NumberColumn(format="localized"),
        },
        alt="Each feature with its population stability index, the bound of an alarm and its p-value",
    )
    st.caption(
        plain_markdown(
            f"Against {report.reference.origin}, {report.reference.rows:,} predictions. An alarm needs both: an index "
            f"at its bound, and a p-value below {report.drifts[0].level:.2g}."
        )
    )
    by_name = {found.feature: found for found in report.drifts}
    worst = max(by_name, key=lambda name: (by_name[name].alarm, by_name[name].index / by_name[name].bound))
    names = list(by_name)
    chosen = st.selectbox(
        "Distribution of", names, index=names.index(worst), format_func=drift.IN_WORDS.get, key="monitor_feature"
    )
    found = by_name[chosen]
    theme.show(
        monitor_charts.side_by_side(found.reference, found.current, drift.IN_WORDS[chosen].capitalize()),
        alt=f"Reference and now side by side. {found.in_words()}",
        caption=f"Reference: {found.reference_rows:,} predictions; now: {found.rows:,}.",
        key="monitor_distribution",
    )


def _drift_row(found: drift.Drift) -> dict[str, Any]:
    return {
        "feature": drift.IN_WORDS[found.feature],
        "state": "ALARM" if found.alarm else "ok",
        "index": found.index,
        "bound": found.bound,
        "p": found.p_value,
        "predictions": found.rows,
    }


# ---------------------------------------------------------------- words


def milliseconds(seconds: float) -> str:
    """``15 ms``, or ``2.4 s`` from a second on."""
    if seconds >= 0.9995:
        return f"{seconds:,.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s"
    return f"{seconds * 1000:.3g} ms" if seconds >= 1e-5 or not seconds else "under 0.01 ms"


def rate_in_words(per_minute: float) -> str:
    """``1,642``, or ``0.69`` below ten."""
    if per_minute >= 9.95:
        return f"{per_minute:,.0f}"
    return f"{per_minute:.2g}" if per_minute >= 0.01 or not per_minute else "less than 0.01"


def _duration(seconds: float) -> str:
    for size, name in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = round(seconds / size, 1)
            return name if count == 1 else f"{count:g} {name}s"
    return f"{seconds:g} seconds"


def _time() -> Any:
    return st.column_config.DatetimeColumn("time, UTC", format="DD MMM HH:mm:ss", timezone="UTC")
