"""Training a model from a page, on labels given in the app too: a process of its own, one at a time."""

from __future__ import annotations

import atexit
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import streamlit as st

from streamlit_app.components import loading
from streamlit_app.components.notices import plain_markdown, said_by_toast, say_problem
from tf_model.io.files import explain_write_errors
from tf_model.paths import ROOT, shown

TRAIN = ("nice", sys.executable, "-m", "tf_model.train")  # people who ask the app come first
NAME = "candidate"
POLL_SECONDS = 2.0
_trainings: list[Training] = []  # since the app started, the newest last


@dataclass
class Training:
    """A running or finished training; its folder holds the labels and what it prints."""

    folder: Path  # of the new model
    log: Path
    process: subprocess.Popen[bytes]
    is_stopped: bool = False

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self.process.poll() is None

    @property
    def last_line(self) -> str:
        """What it printed last: its progress, or why it failed."""
        return (self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or [""])[-1]

    def stop(self) -> None:
        """Stop it; nothing is saved."""
        self.is_stopped = True
        self.process.terminate()


def offer_training(task: str, labels: Callable[[], str], key: str) -> None:
    """A button that trains a model on the dataset and a CSV of ``labels``; its progress, and what to do with it.

    ``key`` is the prefix of the widgets' keys. Without TensorFlow, as in the container, nothing is offered.
    """
    if find_spec("tensorflow") is None:
        return
    newest = _trainings[-1] if _trainings else None
    if newest and newest.is_running:
        _follow(newest, key)
        return
    st.button("Train a model", on_click=_start, args=(task, labels), icon=":material/model_training:", key=key)
    st.caption("Takes 15 to 60 minutes on two cores. The model in use stays as it is.")
    if newest is None:
        return
    if newest.is_stopped:
        st.info("The training was stopped. Nothing was saved.", icon=":material/stop_circle:")
    elif newest.process.returncode:
        say_problem("The training failed.", newest.last_line)
    else:
        name = plain_markdown(newest.folder.name)
        st.success(f"The new model is {name}: Evaluate shows how often it is right. This puts it to use:")
        st.code(f"python -m tf_model.promote {shown(newest.folder)}", language="bash")


@st.fragment(run_every=POLL_SECONDS)
def _follow(training: Training, key: str) -> None:
    if not training.is_running:
        st.rerun()
    st.markdown(f"Training {plain_markdown(training.folder.name)} on this machine:")
    st.text(training.last_line)
    st.button("Stop", on_click=training.stop, icon=":material/stop_circle:", key=f"{key}_stop")


@said_by_toast()
def _start(task: str, labels: Callable[[], str]) -> None:
    if any(each.is_running for each in _trainings):  # another window was faster
        return
    models = loading.models_folder().absolute()
    names = (f"{NAME}-{number}" if number > 1 else NAME for number in count(1))
    folder = next(models / name for name in names if not (models / name).exists())
    work = loading.monitor_log().parent / "training"
    extra, log = work / "labels.csv", work / "log.txt"
    with explain_write_errors(work):
        work.mkdir(mode=0o700, parents=True, exist_ok=True)
        extra.write_text(labels(), encoding="utf-8")
        options = ["--task", task, "--extra", extra, "--output-dir", models, "--name", folder.name, "--restart"]
        with log.open("wb") as output:
            process = subprocess.Popen([*TRAIN, *options], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
    _trainings.append(Training(folder, log, process))
    atexit.register(process.terminate)
