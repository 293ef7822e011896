"""Training on the sample corpus from the page: one run at a time for the whole app, its progress for all to see."""

from __future__ import annotations

import atexit
import re
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

import streamlit as st

from tf_model import paths
from tf_model.paths import shown

SAMPLE_MODEL_OPTIONS = ("--recipe", "tuned", "--name", "sample", "--overwrite", "--restart")
_EPOCH = re.compile(r"^epoch (\d+)/(\d+) ")
_KEPT_LINES = 200


def command(models: Path, corpus: Path) -> list[str]:
    """The command that trains a model on ``corpus`` into ``models/sample``."""
    options = [*SAMPLE_MODEL_OPTIONS, "--data", shown(corpus), "--output-dir", shown(models)]
    return ["python", "-m", "tf_model.train", *options]


class Training:
    """One run of a training command, followed line by line.

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
        self._process = subprocess.Popen(
            [sys.executable, *arguments[1:]],
            cwd=Path.cwd(),
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        atexit.register(self.cancel)  # the server that ends takes its training along

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
        for line in self._process.stdout:
            line = line.rstrip()
            if line:
                self.lines.append(line)
            found = _EPOCH.match(line)
            if found:
                self.done, self.total = int(found[1]), int(found[2])


def _environment() -> dict[str, str]:
    """Ours, with the project's packages found from any working directory."""
    import os

    found = os.environ.get("PYTHONPATH")
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(paths.ROOT), *([found] if found else [])])}


class _Slot:
    """The place for the one run, shared by all sessions."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.run: Training | None = None


@st.cache_resource(show_spinner=False)
def _slot() -> _Slot:
    return _Slot()


def start(arguments: list[str]) -> None:
    """Start the training unless one is running already."""
    slot = _slot()
    with slot.lock:
        if slot.run is None or not slot.run.running:
            slot.run = Training(arguments)


def offer(models: Path, corpus: Path) -> None:
    """The offer to train on the sample corpus, with live progress once it runs."""
    arguments = command(models, corpus)
    st.markdown(
        "**Or look around with a model of the sample corpus**: about 500 sentences written for this project. "
        "It takes about a minute, and its answers mean nothing."
    )
    st.code(" ".join(arguments), language="bash", wrap_lines=True)
    run = _slot().run
    if run is not None and run.running:
        _follow(run)
        return
    if run is not None and run.cancelled:
        st.info("The training was cancelled.")
    elif run is not None and not run.succeeded:
        st.error("The training ended with an error.", icon=":material/error:")
        st.code("\n".join(run.lines), language=None)
    if st.button("Train on the sample corpus", type="primary", icon=":material/model_training:"):
        start(arguments)
        st.rerun()


@st.fragment(run_every=1.0)
def _follow(run: Training) -> None:
    if not run.running:
        st.rerun()  # the whole page: the model is there, or what went wrong
    share = run.done / run.total if run.total else 0.0
    label = f"Epoch {run.done} of {run.total}" if run.total else "Preparing: reading the corpus, building the model"
    st.progress(share, text=label)
    with st.expander("What the training says", expanded=True):
        st.code("\n".join(list(run.lines)[-12:]) or "…", language=None, wrap_lines=True)
    if st.button("Cancel the training", icon=":material/stop_circle:"):
        run.cancel()
        run.wait(20)
        st.rerun()
