"""Training on the sample corpus from the page: one run at a time for the whole app, its progress for all to see."""

from __future__ import annotations

import atexit
import os
import re
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

import streamlit as st

from streamlit_app.components.loading import SAMPLE_MODEL
from tf_model import paths
from tf_model.paths import shown

_EPOCH = re.compile(r"^epoch (\d+)/(\d+) ")
_KEPT_LINES = 200


def command(models: Path) -> list[str]:
    """The command that trains the model ``sample`` in the folder ``models``."""
    options = ["--recipe", "tuned", "--name", SAMPLE_MODEL, "--overwrite", "--restart"]
    options += ["--data", shown(paths.SAMPLE_CORPUS), "--output-dir", shown(models)]
    return ["python", "-m", "tf_model.train", *options]


class Training:
    """One run of a training command.

    Attributes:
        lines: The last lines that it printed.
        done: Epochs finished.
        total: Epochs in all; 0 until the first is finished.
        cancelled: Whether somebody stopped it.
    """

    def __init__(self, arguments: list[str]) -> None:
        self.lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self.done = self.total = 0
        self.cancelled = False
        search_path = os.pathsep.join([str(paths.ROOT), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [sys.executable, *arguments[1:]],
            env=os.environ | {"PYTHONPATH": search_path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        atexit.register(self.cancel)  # the app that ends takes its training along

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None or self._reader.is_alive()

    @property
    def succeeded(self) -> bool:
        """Whether it has ended well."""
        return not self.running and self._process.returncode == 0

    def cancel(self) -> None:
        """Stop it; the command leaves no half-written model."""
        if self._process.poll() is None:
            self.cancelled = True
            self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Wait until it has ended, at most ``seconds``."""
        self._process.wait(seconds)
        self._reader.join(seconds)

    def _read(self) -> None:
        for line in filter(None, map(str.rstrip, self._process.stdout)):
            self.lines.append(line)
            if epoch := _EPOCH.match(line):
                self.done, self.total = int(epoch[1]), int(epoch[2])


@st.cache_resource(show_spinner=False)
def _runs() -> list[Training]:
    """The trainings that were started since the app began, over all sessions."""
    return []


def offer(models: Path) -> None:
    """The offer to train on the sample corpus, with live progress once it runs."""
    arguments, runs = command(models), _runs()
    st.markdown(
        "**Or try the app with a model of the sample corpus**, about 500 sentences written for this project. "
        "Training takes about a minute; the model's answers mean nothing."
    )
    st.code(" ".join(arguments), language="bash", wrap_lines=True)
    run = runs[-1] if runs else None
    if run and run.running:
        _follow(run)
        return
    if run and run.cancelled:
        st.info("The training was cancelled.")
    elif run and not run.succeeded:
        st.error("The training ended with an error.", icon=":material/error:")
        st.code("\n".join(run.lines), language=None)
    if st.button("Train on the sample corpus", type="primary", icon=":material/model_training:"):
        runs.append(Training(arguments))
        st.rerun()


@st.fragment(run_every=1.0)
def _follow(run: Training) -> None:
    if not run.running:
        st.rerun()  # the whole page, which then finds the model or shows the error
    if run.total:
        st.progress(run.done / run.total, text=f"Epoch {run.done} of {run.total}")
    else:
        st.progress(0.0, text="Preparing: reading the corpus, building the model")
    with st.expander("Output of the training", expanded=True):
        st.code("\n".join(list(run.lines)[-12:]) or "…", language=None, wrap_lines=True)
    if st.button("Cancel the training", icon=":material/stop_circle:"):
        run.cancel()
        run.wait(20)
        st.rerun()
