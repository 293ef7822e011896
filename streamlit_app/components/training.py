"""Training a model from a page, on labels given in the app too: a process of its own, one at a time."""

from __future__ import annotations

import atexit
import secrets
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import streamlit as st

from streamlit_app.components import loading
from streamlit_app.components.notices import IN_A_TERMINAL, plain_markdown, said_by_toast, say_problem
from tf_model import paths
from tf_model.io.files import explain_write_errors

TRAIN = ("nice", sys.executable, "-m", "tf_model.train")  # people who ask the app come first
NAME = "retrained"  # not "candidate", as a training in a terminal is called: --restart discards an unfinished one
POLL_SECONDS = 2.0
_trainings: list[Training] = []  # since the app started, the newest last
_lock = threading.Lock()  # two windows may start one at the same moment


@dataclass
class Training:
    """A running or finished training of a new model."""

    task: str
    folder: Path  # of the new model: there once it is saved
    log: Path  # what the process prints
    process: subprocess.Popen[bytes]
    is_stopped: bool = False

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self.process.poll() is None

    @property
    def last_line(self) -> str:
        """What it printed last: its progress, or why it failed."""
        if (self.process.returncode or 0) < 0:
            return "The system ended it, perhaps for lack of memory."
        if not self.log.is_file():  # deleted after a week
            return ""
        return (self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or [""])[-1]

    def stop(self) -> None:
        """Stop it; no model is saved."""
        self.is_stopped = True
        self.process.terminate()


def can_train() -> bool:
    """Whether TensorFlow is installed; it is not in the container."""
    return find_spec("tensorflow") is not None


def offer_training(task: str, labels: Callable[[], str], key: str) -> None:
    """A button that trains a model on the dataset and a CSV of ``labels``; its progress, and what to do with it.

    ``key`` is the prefix of the widgets' keys.
    """
    newest = _trainings[-1] if _trainings else None
    if newest and newest.is_running:
        _follow(newest, key)
        return
    st.button("Train a model", on_click=_start, args=(task, labels), icon=":material/model_training:", key=key)
    st.caption("Takes 15 to 60 minutes on two cores, and ends if the app does. The model in use stays as it is.")
    if newest is None:
        return
    if newest.folder.is_dir():
        name, target = plain_markdown(newest.folder.name), newest.folder.with_name(newest.task)
        st.success(
            f"The new model is {name}: Evaluate shows how often it is right. To use it, unless its accuracy is lower, "
            f"run this {IN_A_TERMINAL}:"
        )
        command = ["python", "-m", "tf_model.promote", paths.shown(newest.folder), "--to", paths.shown(target)]
        st.code(shlex.join(command), language="bash")
    elif newest.is_stopped:
        st.info("The training was stopped. There is no new model.", icon=":material/stop_circle:")
    elif newest.process.returncode:  # 0: its model was moved or deleted since
        say_problem("The training failed.", newest.last_line)


@st.fragment(run_every=POLL_SECONDS)
def _follow(training: Training, key: str) -> None:
    if not training.is_running:
        st.rerun()
    st.markdown(f"Training {plain_markdown(training.folder.name)} on this machine:")
    st.text(training.last_line)
    st.button("Stop", on_click=training.stop, icon=":material/stop_circle:", key=f"{key}_stop")


@said_by_toast()
def _start(task: str, labels: Callable[[], str]) -> None:
    with _lock:
        if any(each.is_running for each in _trainings):  # another window was faster
            return
        models = loading.models_folder().absolute()
        names = (f"{NAME}-{number}" if number > 1 else NAME for number in count(1))
        name = next(name for name in names if not (models / name).exists())
        # Among the uploaded files, whose texts are deleted after a week, as the labels hold some.
        work = loading.monitor_log().absolute().parent / "runs" / secrets.token_urlsafe(16)
        extra, log = work / "labels.csv", work / "log.txt"
        with explain_write_errors(work):
            work.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # whoever can list it can open the runs
            work.mkdir(mode=0o700)
            extra.write_text(labels(), encoding="utf-8")
            options = ["--task", task, "--extra", extra, "--output-dir", models, "--name", name, "--restart"]
            with log.open("wb") as output:
                process = subprocess.Popen([*TRAIN, *options], cwd=paths.ROOT, stdout=output, stderr=subprocess.STDOUT)
        _trainings.append(Training(task, models / name, log, process))
        atexit.register(process.terminate)
