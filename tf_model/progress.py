"""What a person sees of a training: a bar with the time left, or a line an epoch where there is no screen."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def show_epochs(console: Console, epochs: int, steps: int) -> Any:
    """A Keras callback that shows the progress of ``epochs`` epochs of ``steps`` batches on ``console``."""
    import tf_keras
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
    task = bar.add_task("training", total=epochs * steps)

    class ShowEpochs(tf_keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self._first_epoch = self._began = None

        def on_train_begin(self, logs=None):
            bar.start()

        def on_epoch_begin(self, epoch, logs=None):
            if self._began is None:
                self._began, self._first_epoch = time.perf_counter(), epoch
            bar.update(task, completed=epoch * steps, description=f"epoch {epoch + 1}/{epochs}")

        def on_train_batch_end(self, batch, logs=None):
            bar.advance(task)

        def on_epoch_end(self, epoch, logs=None):
            elapsed = time.perf_counter() - self._began
            left = elapsed / (epoch + 1 - self._first_epoch) * (epochs - epoch - 1)
            figures = "  ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items())
            line = f"epoch {epoch + 1}/{epochs}  {figures}  {duration(left)} left"
            console.print(line, highlight=False, soft_wrap=True)

        def on_train_end(self, logs=None):
            bar.stop()

        def stop(self):
            bar.stop()

    return ShowEpochs()


def duration(seconds: float) -> str:
    """``seconds`` as people say it: ``"48 s"``, ``"12 min"``, ``"1 h 05 min"``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
