"""The parts of the Monitor page: alarms in words, the five signals over time, errors, corrections, drift."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from streamlit_app.charts import monitor_charts, theme
from streamlit_app.components.notices import plain_markdown
from tf_model import tasks
from tf_model.errors import plural
from tf_model.monitor import accuracy, aggregates, drift
from tf_model.monitor.aggregates import CPU, ERRORS, GPU_MEMORY, GPU_UTILIZATION, MEMORY, SECONDS, waited
from tf_model.monitor.events import ABSTAINED, STAGES
from tf_model.monitor.report import PERCENTILES, Limits, Report

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
        words = f"Too little to judge: {counted} in this time, alarms need {report.limits.requests}."
        st.info(words, icon=":material/hourglass_empty:")
        return
    words = f"No alarm over {counted}. Judged: {_names(report.decided)}. {_undecided(report)}"
    st.success(words.strip(), icon=":material/check_circle:")


def _undecided(report: Report) -> str:
    """Which signals raise no alarm because nobody could tell, and why; empty if there are none."""
    reasons = {
        "too few records so far": [signal for signal in report.judged if signal not in report.decided],
        "no reference to compare with": [signal for signal in SIGNAL_NAMES if signal not in report.judged],
    }
    named = [f"{_names(signals)} ({reason})" for reason, signals in reasons.items() if signals]
    return f"Not judged: {'; '.join(named)}." if named else ""


def _names(signals: Any) -> str:
    return ", ".join(SIGNAL_NAMES[signal].lower() for signal in signals)


def show_summary(report: Report) -> None:
    """The figures of the whole time."""
    window = report.window
    outcomes = window.labels("outcome")
    p95, memory = window.histogram(waited(SECONDS)).quantile(0.95), window.mean(MEMORY)
    figures = {
        "Predictions": f"{window.predictions:,}",
        "95% of requests within": "-" if p95 is None else milliseconds(p95),
        "Failed requests": f"{window.failures:,}",
        '"Not sure"': f"{outcomes.get(ABSTAINED, 0) / sum(outcomes.values()):.0%}" if outcomes else "-",
        "Memory": "-" if memory is None else f"{memory / MEBIBYTE:,.0f} MiB",
        "Records lost": f"{window.dropped:,}",
    }
    columns = [*st.columns(3), *st.columns(3)]
    for column, (label, value) in zip(columns, figures.items(), strict=True):
        column.metric(label, value, border=True)


def show_signals(report: Report) -> None:
    """The five signals over time."""
    windows = report.windows
    piece = f"each {_duration(windows[0].until - windows[0].since)}"
    left, right = st.columns(2)
    with left:
        _show_accuracy(report, piece)
    with right:
        histograms = [window.histogram(waited(SECONDS)) for window in windows]
        times = {f"p{share}": [each.quantile(share / 100) for each in histograms] for share in PERCENTILES}
        chart = monitor_charts.lines(windows, times, "Latency of a request, ms", ",.0f", scale=1000)
        note = "Whole files are left out: they take as long as they take."
        _show(chart, "Latency", _spoken_latency(report), f"{_spoken_stages(report)}{note}")
    left, right = st.columns(2)
    with left:
        rate = report.window.predictions / max(report.window.until - report.window.since, 1)
        spoken = f"{report.window.predictions:,} predictions, {rate_in_words(rate * 60)} a minute on average."
        counts = {"predictions": [window.predictions for window in windows]}
        _show(monitor_charts.bars(windows, counts, f"Throughput, predictions {piece}"), "Predictions", spoken)
    with right:
        kinds = report.window.labels(ERRORS)
        spoken = f"{report.window.failures:,} of {report.window.requests:,} requests failed"
        spoken += f": {', '.join(f'{kind} {count:,}' for kind, count in kinds.items())}." if kinds else "."
        counts = {kind: [window.labels(ERRORS).get(kind, 0) for window in windows] for kind in kinds}
        _show(monitor_charts.bars(windows, counts, f"Errors {piece}", "No error in this time"), "Errors", spoken)
    _show_resources(report)


def _show(chart: Any, title: str, spoken: str, note: str = "") -> None:
    """A chart over time, with the words for those who do not see it, which stand below it as well."""
    key = f"monitor_{title.split(',')[0].lower().replace(' ', '_')}"
    theme.show(chart, alt=f"{title} over time. {spoken}", caption=plain_markdown(f"{spoken} {note}".strip()), key=key)


def _show_accuracy(report: Report, piece: str) -> None:
    windows = report.windows
    corrected = [accuracy.from_corrections(window, FEWEST) for window in windows]
    estimated = {
        task: [accuracy.from_confidence(window, task, FEWEST) for window in windows] for task in report.estimated
    }
    spoken = ["No answer was judged by users."]
    if report.corrected.rows:
        spoken = [f"Judged correct by users: {_accuracy_words(report.corrected)}."]
    spoken += [f"Estimated for the {task}: {_accuracy_words(figure)}." for task, figure in report.estimated.items()]
    if report.estimated.keys() >= tasks.TASKS.keys():
        spoken.append("That of the product counts the texts with an emotion: the others have no product.")
    chart = monitor_charts.accuracy(windows, corrected, estimated, "Accuracy: estimated, and judged by users")
    _show(chart, "Accuracy", " ".join(spoken), f"Points: {piece}, where there are {FEWEST} or more.")


def _accuracy_words(figure: accuracy.Accuracy) -> str:
    if figure.accuracy is None:
        return f"too few to say ({figure.rows:,})"
    return f"{figure.accuracy:.0%} (95%: {figure.low:.0%} to {figure.high:.0%}, of {figure.rows:,})"


def _spoken_latency(report: Report) -> str:
    times = report.window.histogram(waited(SECONDS))
    if not times.count:
        return "Nobody waited for an answer in this time."
    shown = ", ".join(f"p{share} {milliseconds(times.quantile(share / 100))}" for share in PERCENTILES)
    return f"{shown} over {times.count:,} {plural(times.count, 'request', 'requests')}."


def _spoken_stages(report: Report) -> str:
    """The mean time of each stage, where more than one was measured."""
    means = {stage: report.window.histogram(waited(f"{stage}_seconds")).mean for stage in STAGES}
    shown = [f"{stage} {milliseconds(mean)}" for stage, mean in means.items() if mean is not None]
    return f"On average {', '.join(shown)}. " if len(shown) > 1 else ""


def _show_resources(report: Report) -> None:
    means = {name: report.window.mean(name) for name in aggregates.SAMPLED}

    def show(name: str, title: str, spoken: str, form: str, scale: float = 1.0, note: str = "") -> None:
        values = [window.mean(name) for window in report.windows]
        words = "" if means[name] is None else f"{spoken.format(means[name] * scale)} on average."
        _show(monitor_charts.lines(report.windows, {title: values}, title, form, scale), title, words, note)

    if means[CPU] is None and means[MEMORY] is None:
        st.caption("Processor and memory are measured while the app runs; there is no sample of this time.")
    left, right = st.columns(2)
    with left:
        show(CPU, "Processor, cores in use", "{:.2f} cores in use", ".2~f")
    with right:
        show(MEMORY, "Memory of the process, MiB", "{:,.0f} MiB", ",.0f", 1 / MEBIBYTE)
    if means[GPU_UTILIZATION] is None and means[GPU_MEMORY] is None:
        st.caption("No GPU was seen in this time.")
        return
    left, right = st.columns(2)
    with left:
        note = "All GPUs of the machine, whoever uses them."
        show(GPU_UTILIZATION, "GPUs, share of the time busy", "{:.0%} busy", ".0%", note=note)
    with right:
        show(GPU_MEMORY, "Memory of the GPUs, MiB", "{:,.0f} MiB", ",.0f", 1 / MEBIBYTE)


# ---------------------------------------------------------------- tables


def show_errors(errors: pd.DataFrame, report: Report, most: int) -> None:
    """The newest errors, ``most`` at most, with their messages."""
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
    if len(errors) < most:  # the counts are of whole minutes or hours: they may hold one of before this time
        st.caption(f"All {len(errors):,} that the log has of this time.")
    else:
        st.caption(f"The newest {len(errors):,} of {report.window.failures:,}.")


def show_corrections(corrections: pd.DataFrame, report: Report) -> None:
    """What users thought, and how often they called an answer correct."""
    st.subheader("Corrections", anchor=False)
    if corrections.empty:
        st.caption("None in this time. People judge answers on the page Ask.")
        return
    judged = report.corrected
    words = f"{judged.correct:,} of {judged.rows:,} judged answers were called correct: "
    if judged.accuracy is None:
        st.markdown(f"{words}too few for a figure, which takes {Limits().judged}.")
    else:
        st.markdown(f"{words}**{judged.accuracy:.1%}** (95% interval {judged.low:.1%} to {judged.high:.1%}).")
    answer = ["answer"] if corrections["answer"].notna().any() else ["product", "emotion"]
    shown = corrections.iloc[::-1].assign(judged=corrections["is_correct"].map({True: "correct", False: "wrong"}))
    # A dataframe draws its cells letter by letter: no text of a user is ever read as HTML or Markdown.
    st.dataframe(
        shown[["time", "text", *answer, "judged", "correct_product", "correct_emotion"]].dropna(axis=1, how="all"),
        hide_index=True,
        column_config={
            "time": _time(),
            "text": st.column_config.TextColumn(width="medium"),
            "correct_product": "product, by the user",
            "correct_emotion": "emotion, by the user",
        },
        alt="The newest corrections: what was answered and what the user thought of it",
    )
    st.caption(
        "People judge whom they please: mistakes more readily than what is correct. What they think of "
        '"Not sure" is kept, and judges no answer.'
    )


def show_drift(report: Report, problem: str) -> None:
    """Each feature against the reference, and the distributions of one of them side by side."""
    st.subheader("Drift", anchor=False)
    if report.reference is None:
        st.info(f"Not judged: {plain_markdown(problem)}.", icon=":material/info:")
        return
    if not report.drifts:
        words = f"that takes {drift.MINIMUM_ROWS} predictions, there are {report.window.predictions:,} in this time."
        st.info(f"Not judged: {words}", icon=":material/hourglass_empty:")
        return
    rows = [
        {
            "feature": drift.IN_WORDS[each.feature],
            "state": "ALARM" if each.alarm else "ok",
            "index": each.index,
            "bound": each.bound,
            "p": each.p_value,
            "predictions": each.rows,
        }
        for each in report.drifts
    ]
    st.dataframe(
        pd.DataFrame(rows),
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
    by_name = {each.feature: each for each in report.drifts}
    names = list(by_name)
    worst = max(names, key=lambda name: (by_name[name].alarm, by_name[name].index / by_name[name].bound))
    chosen = st.selectbox(
        "Distribution of", names, index=names.index(worst), format_func=drift.IN_WORDS.get, key="monitor_feature"
    )
    feature = by_name[chosen]
    theme.show(
        monitor_charts.side_by_side(feature.reference, feature.current, drift.IN_WORDS[chosen].capitalize()),
        alt=f"Reference and now side by side. {feature.in_words()}",
        caption=f"Reference: {feature.reference_rows:,} predictions; now: {feature.rows:,}.",
        key="monitor_distribution",
    )


# ---------------------------------------------------------------- words


def milliseconds(seconds: float) -> str:
    """``15 ms``, or ``2.4 s`` from a second on."""
    if seconds >= 0.9995:
        return f"{seconds:,.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s"
    return f"{seconds * 1000:.3g} ms"


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
