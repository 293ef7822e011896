"""Monitor: accuracy, latency, throughput, resources, errors and drift of the model in use."""

import shlex
import time
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from streamlit_app.charts import monitor_charts, theme
from streamlit_app.charts.monitor_charts import milliseconds
from streamlit_app.components import loading, notices, recording
from streamlit_app.components.files import as_training_csv
from streamlit_app.components.notices import plain_markdown
from streamlit_app.components.training import can_train, offer_training
from streamlit_app.components.widgets import offer_file, pick
from tf_model import data, paths, tasks
from tf_model.cli import duration
from tf_model.errors import TweetTargetError, count_of
from tf_model.model_dir import ASSIGNMENT, METRICS, SAMPLE, read_json
from tf_model.modeling.joint_label import NOT_SURE
from tf_model.monitor import accuracy, drift, reference
from tf_model.monitor.aggregates import CPU, ERRORS, MEMORY, SECONDS
from tf_model.monitor.events import ABSTAINED
from tf_model.monitor.export import labelled_rows
from tf_model.monitor.report import FEWEST_FAILURES, FEWEST_REQUESTS, PERCENTILES, SIGNALS, Report
from tf_model.monitor.report import make as make_report
from tf_model.monitor.store import DAY, HOUR, MINUTE, RETENTION_SECONDS, Store

WINDOWS = {
    "15 min": 15 * MINUTE,
    "1 hour": HOUR,
    "6 hours": 6 * HOUR,
    "24 hours": DAY,
    "7 days": 7 * DAY,
    "30 days": 30 * DAY,
    "90 days": RETENTION_SECONDS,
}
DEFAULT_WINDOW = "1 hour"
POINTS = 60  # of each chart
MOST_ERRORS, MOST_CORRECTIONS = 50, 200
REFRESH_SECONDS = 10
MEGABYTE = 10**6
UNREADABLE = "The log of predictions cannot be read."
RESOURCES = {  # title, words for the mean, d3 format, scale
    CPU: ("Processor, cores in use", "{:.2f} cores in use", ".2~f", 1.0),
    MEMORY: ("Memory of a process, mean, MB", "{:,.0f} MB", ",.0f", 1 / MEGABYTE),
}
FEWEST = 5  # judgements or predictions for a point of the accuracy chart
SIGNAL_NAMES = {signal: signal.capitalize() for signal in SIGNALS} | {"log": "Lost records"}


def main() -> None:
    """The page."""
    st.title("Monitor")
    st.markdown("How the model is doing in use, from the log of predictions, errors and corrections.")
    store = Store(loading.monitor_log())
    if reason := recording.failure():
        notices.say_problem("Answers cannot be recorded.", reason)
    with notices.explained(UNREADABLE):
        names = _names(store)
        if not names:
            words = "Questions on Ask, and files on Batch with one row per text, appear here."
            st.info(f"No answer has been recorded yet. {words}", icon=":material/monitoring:")
            _offer_corrections(store)
            return
        window = pick("Time", WINDOWS, "monitor_window", default=DEFAULT_WINDOW)
        left, middle, right = st.columns([3, 1, 1], vertical_alignment="bottom")
        name = left.selectbox("Model", list(names), key="monitor_stream", persist_state="session")
        source = middle.selectbox(
            "Asked by",
            store.sources(names[name]),
            None,
            key="monitor_source",
            persist_state="session",
            placeholder="All, separately",
        )
        help_text = f"Refresh every {REFRESH_SECONDS} seconds"
        live = right.toggle("Live", value=True, key="monitor_live", persist_state="session", help=help_text)
        # A fragment, so that a refresh redraws nothing else.
        st.fragment(_show, run_every=REFRESH_SECONDS if live else None)(store, name, source, WINDOWS[window])
        _offer_corrections(store)


def _names(store: Store) -> dict[str, tuple[str, str]]:
    """The choices, the last used first: each model, for its version used last, then each of several versions."""
    versions = [(model, version) for model, version, _ in (store.versions() if store.exists else ())]
    models = [model for model, _ in versions]
    names = {model: versions[models.index(model)] for model in models}
    return names | {", version ".join(each): each for each in versions if models.count(each[0]) > 1}


@notices.explained(UNREADABLE)
def _show(store: Store, name: str, source: str | None, seconds: float) -> None:
    """Show all metrics of one version of a model, after a promotion the new one; versions are never mixed."""
    if name not in (names := _names(store)):  # the log was moved away
        st.rerun()
    model, version, source = streams = (*names[name], source)
    until = time.time()
    since = until - seconds
    folder = loading.models_folder() / model
    try:
        model_reference = reference.load(folder, version)
    except TweetTargetError as error:
        st.warning(plain_markdown(str(error)), icon=":material/warning:")
        model_reference = None
    report = make_report(store, since, until, model_reference, model, version, (until - since) / POINTS, source)
    corrections = store.rows("corrections", since, until, MOST_CORRECTIONS, streams)
    if not report.window.requests and corrections.empty and not report.alarms:  # all records may be lost
        st.info("Nothing was recorded in this period. Choose a longer one.", icon=":material/hourglass_empty:")
        return
    _show_alarms(report)
    _show_summary(report)
    _show_signals(report)
    _show_errors(store.rows("errors", since, until, MOST_ERRORS, streams), report)
    _show_corrections(corrections)
    _show_drift(report, folder)
    st.caption(f"{_clock(since)} to {_clock(until)} UTC. Version {plain_markdown(version)}.")


def _clock(seconds: float) -> str:
    return f"{pd.Timestamp(seconds, unit='s'):%d %b %Y, %H:%M}"


# ---------------------------------------------------------------- its parts


def _show_alarms(report: Report) -> None:
    """Show the alarms in words, or that there are none, and the signals that could not be judged."""
    names = [name.lower() for signal, name in SIGNAL_NAMES.items() if signal not in report.judged_signals]
    not_judged = f"Not judged: {', '.join(names)} (too few records, or no reference)." if names else ""
    requests, count = report.window.requests, len(report.alarms)
    request_count = count_of(requests, "request")
    if count:
        lines = [f"**{count_of(count, 'alarm')}**"]
        lines += [f"- **{SIGNAL_NAMES[alarm.signal]}**: {plain_markdown(alarm.words)}" for alarm in report.alarms]
        st.error("\n".join([*lines, "", not_judged]), icon=":material/notification_important:")
    elif report.judged_signals == ("log",):
        needed = f"alarms need {FEWEST_REQUESTS}, or {FEWEST_FAILURES} that failed"
        words = f"Too few requests to judge: {request_count} in this period; {needed}."
        st.info(words, icon=":material/hourglass_empty:")
    else:
        whose = " for at least one of those who asked" if report.is_by_source else ""
        judged_names = ", ".join(SIGNAL_NAMES[signal].lower() for signal in report.judged_signals)
        st.success(
            f"No alarms in {request_count}. Judged{whose}: {judged_names}. {not_judged}".strip(),
            icon=":material/check_circle:",
        )


def _show_summary(report: Report) -> None:
    """Totals over the whole time."""
    window = report.window
    outcomes = window.labels("outcome")
    p95, memory = window.histogram(SECONDS).quantile(0.95), window.mean(MEMORY)
    metrics = {
        "Predictions": f"{window.predictions:,}",
        "95% of requests within": "-" if p95 is None else milliseconds(p95),
        "Failed requests": f"{window.failures:,}",
        '"Not sure"': f"{outcomes.get(ABSTAINED, 0) / sum(outcomes.values()):.0%}" if outcomes else "-",
        "Memory": "-" if memory is None else f"{memory / MEGABYTE:,.0f} MB",
        "Records lost": f"{window.dropped:,}",
    }
    columns = [*st.columns(3), *st.columns(3)]
    for column, (label, value) in zip(columns, metrics.items(), strict=True):
        column.metric(label, value, border=True)


def _show_signals(report: Report) -> None:
    """Accuracy, latency, throughput, errors and resources over time."""
    windows = report.windows
    piece = f"each {duration(windows[0].until - windows[0].since)}"
    left, right = st.columns(2)
    with left:
        _show_accuracy(report, piece)
    with right:
        _show_latency(report)
    left, right = st.columns(2)
    with left:
        rate = 60 * report.window.predictions / max(report.window.until - report.window.since, 1)
        words = f"{rate:,.1f} a minute" if rate >= 1 else f"{rate * 60 * 24:,.0f} a day"
        count = report.window.predictions
        spoken = f"{count_of(count, 'prediction')}, {words} on average."
        counts = {"predictions": [window.predictions for window in windows]}
        _show_chart(monitor_charts.bars(windows, counts, f"Throughput, predictions {piece}"), "Predictions", spoken)
    with right:
        kinds = report.window.labels(ERRORS)
        spoken = f"{report.window.failures:,} of {report.window.requests:,} requests failed"
        spoken += f": {', '.join(f'{kind} {count:,}' for kind, count in kinds.items())}." if kinds else "."
        counts = {kind: [window.labels(ERRORS).get(kind, 0) for window in windows] for kind in kinds}
        _show_chart(monitor_charts.bars(windows, counts, f"Errors {piece}"), "Errors", spoken)
    _show_resources(report)


def _show_chart(chart: Any, title: str, spoken: str, note: str = "") -> None:
    """A chart over time; ``spoken``, its text for screen readers, is also its caption, followed by ``note``."""
    key = f"monitor_{title.split(',')[0].lower().replace(' ', '_')}"
    theme.show(chart, alt=f"{title} over time. {spoken}", caption=plain_markdown(f"{spoken} {note}".strip()), key=key)


def _show_accuracy(report: Report, piece: str) -> None:
    windows = report.windows
    corrected = [accuracy.from_corrections(window, FEWEST) for window in windows]
    estimated = {
        task: [accuracy.from_confidence(window, task, FEWEST) for window in windows] for task in report.estimates
    }
    spoken = ["No answer was judged by users."]
    if report.user_accuracy.rows:
        spoken = [f"Judged correct by users: {_accuracy_words(report.user_accuracy)}."]
    spoken += [f"Estimated for the {task}: {_accuracy_words(figure)}." for task, figure in report.estimates.items()]
    if report.estimates.keys() >= tasks.TASKS.keys():
        spoken.append("The estimate for the product counts only texts with an emotion: the others have no product.")
    if report.estimates and report.signals["drift"]:
        spoken.append(accuracy.DRIFT_WARNING)
    chart = monitor_charts.accuracy(windows, corrected, estimated, "Accuracy: estimated, and judged by users")
    _show_chart(chart, "Accuracy", " ".join(spoken), f"Points: {piece}, with {FEWEST} or more answers.")


def _accuracy_words(figure: accuracy.Accuracy) -> str:
    if figure.accuracy is None:
        return f"too few to say ({figure.rows:,})"
    return f"{figure.accuracy:.0%} (95% interval {figure.low:.0%} to {figure.high:.0%}, {figure.rows:,} answers)"


def _show_latency(report: Report) -> None:
    histograms = [window.histogram(SECONDS) for window in report.windows]
    values = {f"p{share}": [each.quantile(share / 100) for each in histograms] for share in PERCENTILES}
    chart = monitor_charts.lines(report.windows, values, "Latency of a request, ms", ",.0f", scale=1000)
    stages = report.seconds()
    times = stages.pop("total", None)
    spoken, note = "Nobody waited for an answer in this period.", "Whole files are left out."
    if times is not None:
        percentiles = ", ".join(f"p{share} {milliseconds(times.quantile(share / 100))}" for share in PERCENTILES)
        spoken = f"{percentiles} over {count_of(times.count, 'request')}."
        means = ", ".join(f"{stage} {milliseconds(each.mean)}" for stage, each in stages.items())
        note = f"On average {means}. {note}"
    _show_chart(chart, "Latency", spoken, note)


def _show_resources(report: Report) -> None:
    if report.window.mean(CPU) is None:
        st.caption("Processor and memory are measured while the app runs; there is no sample from this period.")
        return
    for (name, (title, words, form, scale)), column in zip(RESOURCES.items(), st.columns(2), strict=True):
        values = {title: [window.mean(name) for window in report.windows]}
        chart = monitor_charts.lines(report.windows, values, title, form, scale)
        with column:
            _show_chart(chart, title, f"{words.format(report.window.mean(name) * scale)} on average.")


# ---------------------------------------------------------------- tables


def _show_errors(errors: pd.DataFrame, report: Report) -> None:
    """The newest errors with their messages."""
    st.subheader("Latest errors", anchor=False)
    if errors.empty:
        st.caption("None in this period.")
        return
    st.dataframe(
        errors[["time", "source", "kind", "message"]],
        hide_index=True,
        column_config={"time": _time(), "message": st.column_config.TextColumn(width="large")},
        alt="The newest errors: when, where, of which kind, and their message",
    )
    if len(errors) == MOST_ERRORS:
        st.caption(f"The newest {MOST_ERRORS:,} of {report.window.failures:,}.")


def _show_corrections(corrections: pd.DataFrame) -> None:
    """The newest feedback of users."""
    st.subheader("Corrections", anchor=False)
    if corrections.empty:
        st.caption(
            "None in this period. People judge answers on the page Ask; what they say of single products is in the "
            "download below."
        )
        return
    answer = ["answer"] if corrections["answer"].notna().any() else ["product", "emotion"]
    judged = corrections["is_correct"].map({True: "correct", False: "wrong"})
    newest = corrections.assign(judged=judged.mask(corrections["answer"] == NOT_SURE, "neither"))
    # A dataframe shows users' texts as they are, never as HTML or Markdown.
    st.dataframe(
        newest[["time", "text", *answer, "judged", "correct_product", "correct_emotion"]].dropna(axis=1, how="all"),
        hide_index=True,
        column_config={
            "time": _time(),
            "text": st.column_config.TextColumn(width="medium"),
            "correct_product": "product, by the user",
            "correct_emotion": "emotion, by the user",
        },
        alt="The newest corrections: what was answered and what the user thought of it",
    )
    if len(corrections) == MOST_CORRECTIONS:
        st.caption(f"The newest {MOST_CORRECTIONS:,}; download them to see all.")
    st.caption(
        "Users choose which answers to judge. A thumbs down counts only once the right emotion or product is given. "
        'Corrections of "Not sure" are kept, but count as neither correct nor wrong.'
    )


def _offer_corrections(store: Store) -> None:
    """All corrections, whatever model and time are shown: a download, and a training on them."""
    if not store.exists or not (models := set(store.rows("corrections")["model"])):
        return

    def rows(models: set[str]) -> pd.DataFrame:
        corrections = store.rows("corrections")
        return labelled_rows(corrections[corrections["model"].isin(models)])

    log = store.path.absolute()
    elsewhere = "" if log == paths.MONITOR_LOG else f" --log {shlex.quote(str(log))}"
    words = (
        "All with a label, from every model and time, for `python -m tf_model.train --task answer --extra "
        "corrections.csv --name candidate`; those of one model: "
        f"`python -m tf_model.monitor export corrections.csv --model NAME{elsewhere}`"
    )
    name, key = "corrections.csv", "monitor_corrections"
    offer_file("Download all corrections", lambda: as_training_csv(rows(models)), name, key, help=words)
    # As for labels: a training that is started here does not read the table that a model of own data learned from.
    trainable = {model for model in models if _dataset_of(model) in (None, ASSIGNMENT, SAMPLE)}
    if can_train() and trainable:
        names = {tasks.ANSWER: "whole texts", tasks.TARGET.name: "each product"}
        task = pick("Train a model that answers for", names, "monitor_task", format_func=names.get)
        offer_training(task, lambda: as_training_csv(_with_known_labels(rows(trainable))), "monitor_train")


def _dataset_of(model: str) -> str | None:
    return read_json(loading.models_folder() / model / METRICS).get("dataset")


def _with_known_labels(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with labels of the dataset that the training will read; a mention may be of any product."""
    labels = {task.name: task.labels for task in data.read(data.resolve().path).tasks}
    is_product, is_emotion = (rows[task].isna() | rows[task].isin(labels.get(task, ())) for task in tasks.TASKS)
    return rows[is_emotion & (is_product | rows["start"].notna())]


def _show_drift(report: Report, folder: Path) -> None:
    """Each feature compared with the reference in ``folder``, and the distributions of one of them side by side."""
    st.subheader("Drift", anchor=False)
    if report.reference is None:
        location = plain_markdown(f"The app looks for it in {paths.shown(folder)}, where training writes it.")
        words = "Not judged: there is no reference.json for this version of the model."
        st.info(f"{words} {location}", icon=":material/info:")
        return
    if not report.drifts:
        words = f"that needs {drift.MINIMUM_ROWS} predictions; this period has {report.window.predictions:,}."
        st.info(f"Not judged: {words}", icon=":material/hourglass_empty:")
        return
    frame = pd.DataFrame(report.drifts)
    frame = frame.assign(
        feature=frame["feature"].map(drift.FEATURE_NAMES), state=frame["alarm"].map({True: "ALARM", False: "ok"})
    )
    state = [] if report.is_by_source else ["state"]
    st.dataframe(
        frame[["feature", *state, "index", "bound", "p_value", "rows"]],
        hide_index=True,
        column_config={
            "index": st.column_config.NumberColumn(
                "change", format="%.3f", help="0: none; below 0.1 seldom matters (population stability index)"
            ),
            "bound": st.column_config.NumberColumn("alarm at", format="%.3f"),
            "p_value": st.column_config.NumberColumn(
                "chance", format="%.2g", help="How probable so large a change is by chance alone (p-value)"
            ),
            "rows": st.column_config.NumberColumn("predictions", format="localized"),
        },
        alt="Each feature with how much it changed, the bound of an alarm, and how probable that is by chance",
    )
    words = (
        f"Compared with {report.reference.origin}, {report.reference.rows:,} predictions. An alarm needs a change of at"
        f" least its bound, and a chance below {report.drifts[0].level:.2g}."
    )
    if report.is_by_source:
        words += " The table is of all who asked together; an alarm is of each by itself: choose one in Asked by."
    st.caption(plain_markdown(words))
    by_name = {each.feature: each for each in report.drifts}
    names = sorted(by_name, key=lambda name: (by_name[name].alarm, by_name[name].index / by_name[name].bound))[::-1]
    name = st.selectbox(
        "Distribution of", names, format_func=drift.FEATURE_NAMES.get, key="monitor_feature", persist_state="session"
    )
    feature = by_name[name]
    theme.show(
        monitor_charts.side_by_side(feature.reference, feature.current, drift.FEATURE_NAMES[name].capitalize()),
        alt=f"Reference and now side by side. {feature.in_words()}",
        caption=f"Reference: {feature.reference_rows:,} predictions; now: {feature.rows:,}.",
        key="monitor_distribution",
    )


def _time() -> Any:
    return st.column_config.DatetimeColumn("time, UTC", format="DD MMM HH:mm:ss", timezone="UTC")


main()
