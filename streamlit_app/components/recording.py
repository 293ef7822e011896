"""Record the app's answers and people's feedback in the monitor's log; the app also works without a log."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress

import streamlit as st

from streamlit_app import METRICS_VARIABLE
from streamlit_app.components import loading
from streamlit_app.components.loading import ModelState
from tf_model import cli, tasks
from tf_model.errors import TweetTargetError, UsageError, first_line
from tf_model.monitor import reference
from tf_model.monitor.prometheus import Exporter
from tf_model.monitor.recorder import Recorder
from tf_model.monitor.store import Store

APP, BATCH = "app", "batch"
failures: dict[str, str] = {}  # why no log can be opened, by its path
_recorders: list[Recorder] = []  # in use


def failure() -> str | None:
    """Why nothing can be recorded at the moment, in one line."""
    path = str(loading.monitor_log())
    if path in failures:  # it may be well again
        with suppress(OSError, TweetTargetError):
            Store(path).open().close()
            failures.pop(path, None)
            if exporter := serve_metrics():
                exporter.failure = None
    return failures.get(path) or next(
        (each.failure for each in _recorders if each.failure and str(each.path) == path), None
    )


def recorder(state: ModelState) -> Recorder | None:
    """The recorder of this model, shared by all sessions; None if the log cannot be opened."""
    path, exporter = str(loading.monitor_log()), serve_metrics()
    opened = None
    try:
        opened = _recorder(path, state.name, state.predictor.version, state.predictor.labels)
        failures.pop(path, None)
    except (OSError, TweetTargetError) as error:
        if path not in failures:
            cli.say(f"warning: answers are not recorded: {first_line(error)}")
        failures[path] = first_line(error)
    if exporter is not None:
        exporter.failure = failures.get(path)
    return opened


# No recorder is closed while the app runs: a running job may still write to that of an earlier model.
def _release(old_recorder: Recorder) -> None:
    _recorders.remove(old_recorder)
    old_recorder.close()


@st.cache_resource(show_spinner=False, on_release=_release)
def _recorder(path: str, model: str, version: str, _labels: Mapping[str, Sequence[str]] = {}) -> Recorder:
    new_recorder = Recorder(path, model=model, version=version)
    _recorders.append(new_recorder)
    exporter = serve_metrics()
    # Answers of a model of targets are not recorded, so /metrics describes the model of texts beside it.
    if exporter is not None and tasks.TARGET.name not in _labels:
        try:
            model_reference = reference.load(loading.models_folder() / model, version)
        except TweetTargetError as error:
            cli.say(f"warning: drift is not judged: {error}")
            model_reference = None
        exporter.attach(new_recorder, model_reference)
    return new_recorder


def serve_metrics() -> Exporter | None:
    """The Prometheus exporter, started by the first call; None if the environment does not ask for it."""
    address = os.environ.get(METRICS_VARIABLE)
    return _exporter(address) if address else None


@st.cache_resource(show_spinner=False)
def _exporter(address: str) -> Exporter | None:
    host, _, port = address.rpartition(":")
    try:
        if not port.isdecimal():
            raise UsageError(f"expected HOST:PORT in {METRICS_VARIABLE}, such as 127.0.0.1:9464, got {address!r}")
        exporter = Exporter()
        exporter.serve(int(port), host.strip("[]") or "127.0.0.1")  # IPv6: [::1]:9464
    except TweetTargetError as error:
        cli.say(f"warning: no metrics are served: {error}")
        return None
    return exporter
