"""What all commands share: help with defaults, one-line errors, exit codes and progress."""

import argparse
import errno
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from tf_model.errors import TweetTargetError, UsageError
from tf_model.io.characters import visible


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows the default of an option, unless it has none."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        has_no_default = action.default is None or action.default is False or action.default == []
        if isinstance(action.default, list) and not has_no_default:
            return f"{action.help} (default: {' '.join(map(str, action.default))})"  # as it would be typed
        return action.help if has_no_default else super()._get_help_string(action)


class _Parser(argparse.ArgumentParser):
    """Reports wrong usage in one line, without listing all options."""

    def error(self, message: str) -> NoReturn:
        say(f"error: {message}; see `{self.prog} --help`")
        sys.exit(UsageError.exit_code)


def parser(module: str, description: str) -> argparse.ArgumentParser:
    """An argument parser for ``python -m module`` whose help shows the defaults.

    The description may be the first line of a docstring that begins with the command.
    """
    description = description.split("``: ")[-1]
    description = description[:1].upper() + description[1:]
    return _Parser(prog=f"python -m {module}", description=description, formatter_class=_HelpFormatter)


def positive_integer(text: str) -> int:
    """The type of an option that takes a whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text!r}")
    return int(text)


def run(main: Callable[[list[str] | None], int | None]) -> None:
    """Run a command's ``main`` and exit: 0 done, 1 unusable data, model or output, 2 wrong usage, 130 interrupted.

    A :class:`TweetTargetError` becomes one line on standard error; bugs keep their traceback.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by the parent process; else a file could get its number
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
    sys.stdout.reconfigure(errors="backslashreplace")  # as stderr does: not every terminal has every character
    try:
        code = main(None) or 0
        sys.stdout.flush()  # a closed pipe or a full disk raises here
    except TweetTargetError as error:
        say(f"error: {error}")
        code = error.exit_code
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] == "tf_model":
            raise
        say(
            f"error: the package {error.name!r} is not installed for {sys.executable}; "
            "run `make install`, then `. .venv/bin/activate`"
        )
        code = 1
    except MemoryError:
        say("error: out of memory; close other programs, or give a smaller file")
        code = 1
    except KeyboardInterrupt:
        say("interrupted")
        code = 130
    except OSError as error:
        if not isinstance(error, BrokenPipeError) and error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # drops the rest of the output
        code = 0
        if not isinstance(error, BrokenPipeError):  # else the reader of the output, such as head, has exited
            say(f"error: the output cannot be written: {error.strerror}; free some space and run the command again")
            code = 1
    sys.exit(code)


def say(line: str) -> None:
    """Print one line on standard error, where it does not mix with results; control characters become symbols.

    A full disk or a reader that has gone loses the line, not the work.
    """
    with suppress(OSError):
        print(visible(line), file=sys.stderr, flush=True)


def say_notes(notes: Iterable[str]) -> None:
    """Print remarks for the user, a line each, on standard error."""
    for note in notes:
        say(f"note: {note}")


def stdout() -> Any:
    """A rich console for results."""
    from rich.console import Console

    class Results(Console):
        def on_broken_pipe(self) -> None:
            raise  # the BrokenPipeError, which is no fault: see :func:`run`; rich would exit with 1

    return Results()


def stderr() -> Any:
    """A rich console for progress and notes; a reader that has gone loses the lines, not the work."""
    from rich.console import Console

    class Progress(Console):
        def on_broken_pipe(self) -> None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())

    return Progress(stderr=True)


@contextmanager
def stopped_cleanly() -> Iterator[None]:
    """Let SIGTERM unwind the stack like an interrupt, so that no half-written file stays behind; exit with 143."""

    def stop(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second signal must not interrupt the clean-up
        say("terminated")
        sys.exit(128 + signal.SIGTERM)

    previous_handler = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous_handler)


def progress_bar(console: Any, show: bool = True) -> Any:
    """A progress bar with count, total and time left; shown on terminals only, and removed when it stops."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not (show and console.is_terminal), transient=True)


@contextmanager
def show_epochs(console: Any) -> Iterator[Any]:
    """Yield a Keras callback that shows the progress of a training on ``console``."""
    import tf_keras

    first_epoch = None  # the first epoch of this run, and when it began
    with progress_bar(console) as bar:
        task = bar.add_task("training", total=None)

        def on_epoch_begin(epoch, logs=None):
            nonlocal first_epoch
            first_epoch = first_epoch or (epoch, time.perf_counter())
            epochs, steps = callback.params["epochs"], callback.params["steps"]
            bar.update(task, total=epochs * steps, completed=epoch * steps, description=f"epoch {epoch + 1}/{epochs}")

        def on_epoch_end(epoch, logs=None):
            epochs, elapsed = callback.params["epochs"], time.perf_counter() - first_epoch[1]
            seconds_left = elapsed / (epoch + 1 - first_epoch[0]) * (epochs - epoch - 1)
            metrics = "  ".join(f"{name} {value:.4f}" for name, value in (logs or {}).items())
            line = f"epoch {epoch + 1}/{epochs}  {metrics}  {duration(seconds_left)} left"
            console.print(line, highlight=False, soft_wrap=True)

        callback = tf_keras.callbacks.LambdaCallback(
            on_epoch_begin=on_epoch_begin,
            on_epoch_end=on_epoch_end,
            on_train_batch_end=lambda batch, logs=None: bar.advance(task),
        )
        yield callback


def duration(seconds: float) -> str:
    """``seconds`` as people say it: ``"48 s"``, ``"12 min"``, ``"1 h 05 min"``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
