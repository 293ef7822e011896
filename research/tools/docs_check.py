"""``python -m research.tools.docs_check``: every command of the README, run as written, in a copy of this checkout.

Trainings and evaluations get the sample corpus for their data, so that the whole takes half an hour rather than a day;
``--real`` runs them on the real tweets. What cannot be run here, for want of docker for instance, is listed at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from research.tools.browser import STARTING_SECONDS
from tf_model import cli, data, paths, tasks
from tf_model.errors import ModelError, TweetTargetError

README = paths.ROOT / "README.md"
PROGRAMS = r"(?:[A-Z_]+=\S+ )*(?:make|python -m|docker|conda|\. \.venv)[ \n/]"
# A command that only describes: an alarm, or a leak that it found, is no failure of the command.
MAY_REPORT = re.compile(r"monitor report|--audit|make audit")
ON_SAMPLE = re.compile(
    r"tf_model\.(train|evaluate|promote)|make (train|tuned|answer|evaluate|grouped|label|learning|base)"
)
TRAINS = re.compile(r"^(?:[A-Z_]+=\S+ )*(?:python -m tf_model\.train|make (?:train|tuned|answer))(?: |$)")
APP = "http://127.0.0.1:8501"
METRICS = "http://127.0.0.1:9464/metrics"
SERVED = re.compile(r"--server http://127\.0\.0\.1:(\d+)")
QUESTION = "I love the new iPad"


@dataclass(frozen=True)
class NotHere:
    """Why a command is not run.

    Attributes:
        commands: Which ones, a regular expression.
        reason: Why, in words.
        needs: A program that makes it possible after all.
    """

    commands: str
    reason: str
    needs: str | None = None


NOT_HERE = (
    NotHere(r"^make test( |$)", "it runs the tests, which take longer than all of this, and runs by itself"),
    NotHere(r"^make docs-check", "it is what runs here"),
    NotHere(r"^make image|docker", "it needs docker", needs="docker"),
    NotHere(r"conda", "it needs conda", needs="conda"),
    NotHere(r"install-gpu|bench-gpu", "it needs a machine with an NVIDIA GPU", needs="nvidia-smi"),
    NotHere(r"bert-base", "it needs a model hub"),
    NotHere(r"^make (bench\S*|screenshots|demo)( |$)", "it measures or films this checkout, and is run by itself"),
)


def main(argv: list[str] | None = None) -> int:
    """Copy, run one command after the other, say what became of each."""
    arguments = _parser().parse_args(argv)
    wanted = [command for command in commands_of(README) if re.search(arguments.only or "", command)]
    model = arguments.model or paths.SAVED_MODELS / tasks.ANSWER
    if not (model / "saved_model.pb").is_file():
        raise ModelError(f"{model} holds no model, which most commands ask; run `make answer`, or give --model DIR")
    failed, left_out = [], []
    with tempfile.TemporaryDirectory(prefix="docs-check-") as scratch:
        folder = Path(scratch) / "checkout"
        copy_checkout(folder, model)
        for command in wanted:
            reason = why_not(command)
            if reason:
                left_out.append(f"{command}: {reason}")
                continue
            begun = time.monotonic()
            error = run(command, folder, real=arguments.real)
            if makes_a_sample_of(tasks.ANSWER, command) and not arguments.real:
                place(model, folder)  # what is asked next is asked of the model that was given
            print(f"{'FAILED' if error else 'ok':7}{time.monotonic() - begun:6.0f} s  {command}", flush=True)
            if error:
                failed.append(command)
                print(error)
    print("\n".join(["", "not run:", *left_out]) if left_out else "")
    if failed:
        raise TweetTargetError(f"{len(failed)} of {len(wanted)} commands of the README failed: {'; '.join(failed)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser("research.tools.docs_check", "Run every command of the README as written.")
    parser.add_argument(
        "--model", type=Path, metavar="DIR", help="a model of both tasks; saved_models/answer if not given"
    )
    parser.add_argument("--only", metavar="REGEX", help="only the commands that this is found in")
    parser.add_argument("--real", action="store_true", help="train and evaluate on the real tweets as well (hours)")
    return parser


def commands_of(page: Path) -> list[str]:
    """The commands of a page, each once, in their order: those of its code blocks, and those between backticks."""
    text = page.read_text(encoding="utf-8")
    found: list[tuple[int, str]] = []
    for block in re.finditer(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in re.finditer(rf"^(?:\$ )?({PROGRAMS}.+)$", block[1], re.MULTILINE):
            found.append((block.start(1) + line.start(), line[1]))
    prose = re.sub(r"^```.*?^```", lambda block: " " * len(block[0]), text, flags=re.MULTILINE | re.DOTALL)
    for quoted in re.finditer(rf"`({PROGRAMS}[^`]+)`", prose):
        found.append((quoted.start(), quoted[1]))
    plain = (re.sub(r"\s+# .*| {2,}\S.*$", "", command) for _, command in sorted(found))
    return list(dict.fromkeys(" ".join(command.split()) for command in plain))


def why_not(command: str) -> str | None:
    """Why a command is not run here, or None."""
    for each in NOT_HERE:
        if re.search(each.commands, command) and not (each.needs and shutil.which(each.needs)):
            return each.reason
    return None


# ---------------------------------------------------------------- the copy


def copy_checkout(folder: Path, model: Path) -> None:
    """What git knows of this checkout, with its environment and a model, and the files that the README speaks of."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=paths.ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        source, target = paths.ROOT / name, folder / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)  # with its time, or make would install anew
    if not (folder / ".venv").exists():
        (folder / ".venv").symlink_to((paths.ROOT / ".venv").resolve())
    place(model, folder)
    _write_tables(folder)
    done = subprocess.run(
        [sys.executable, "-c", _RECORD_A_CORRECTION], cwd=folder, check=False, capture_output=True, text=True
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["nothing"]
        raise TweetTargetError(f"no correction could be recorded in the copy: {said[-1][:300]}")


def place(model: Path, folder: Path) -> None:
    """Put the model that commands ask into the copy, in place of any other."""
    target = folder / "saved_models" / tasks.ANSWER
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(model, target)


def _write_tables(folder: Path) -> None:
    import pandas

    sample = pandas.read_csv(paths.SAMPLE_CORPUS, dtype="str")
    sample.to_csv(folder / "mine.csv", index=False)
    other = sample[[tasks.TEXT_COLUMN, tasks.EMOTION_COLUMN]].set_axis(["text", "topic"], axis=1)
    other.assign(part=["train" if row % 5 else "test" for row in range(len(other))]).to_csv(
        folder / "other.csv", index=False
    )
    other[::5].to_csv(folder / "test.csv", index=False)
    other.drop(other.index[::5])[["text"]].to_csv(folder / "train.csv", index=False)
    texts = sample[[tasks.TEXT_COLUMN]].head(100)
    texts.to_csv(folder / "tweets.csv", index=False)
    texts.to_parquet(folder / "tweets.parquet", index=False)


_RECORD_A_CORRECTION = """
from tf_model import paths
from tf_model.inference.predictor import Predictor
from tf_model.monitor.recorder import Recorder

predictor = Predictor.load(paths.SAVED_MODELS / "answer")
texts = ["my toaster runs android and I adore it", "the new iPad is great"]
with Recorder(model="answer", version=predictor.version) as recorder:
    answers = recorder.predict(predictor, texts, "predict")
    recorder.correct(texts[0], answers.iloc[0], is_correct=False, product="Android", emotion="Positive emotion")
    assert recorder.flush(60), "the correction was not written"
"""


# ---------------------------------------------------------------- running


def run(command: str, folder: Path, real: bool = False) -> str:
    """Run a command as written; what it said if it failed, else nothing."""
    environment = os.environ | {
        "PATH": f"{folder / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "TWEETS_OFFLINE": "1",
        "PYTHONPATH": "",
    }
    on_sample = ON_SAMPLE.search(command) and not real
    # The copy stands alone: the dataset that is found from here would not be found from there.
    environment["TWEETS_DATA"] = str(paths.SAMPLE_CORPUS if on_sample else data.resolve(None).path.resolve())
    _make_room(command, folder, environment)
    with _model_server() if SERVED.search(command) else _nothing():
        if re.search(r"make app\b", command):
            return _start(command, folder, environment)
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
    # make ends with 2 whatever its command ended with, and says what that was.
    code = (
        1 if done.returncode == 2 and re.search(r"^make: .* Error 1$", done.stderr, re.MULTILINE) else done.returncode
    )
    expected = {0, 1} if MAY_REPORT.search(command) else {0}
    if code in expected and "Traceback" not in done.stderr:
        return ""
    return f"exit code {done.returncode}\n" + "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])


def _make_room(command: str, folder: Path, environment: dict[str, str]) -> None:
    """A model is never replaced unasked: what an earlier command of the page made is put away first."""
    if TRAINS.search(command):
        shutil.rmtree(folder / "saved_models" / trained_name(command), ignore_errors=True)
    if "--rollback" in command:  # there is something to go back to only after a promotion
        promote = "python -m tf_model.promote saved_models/candidate --to saved_models/answer --allow-worse --force"
        done = subprocess.run(
            ["bash", "-c", promote], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            cli.say(f"nothing was promoted before {command}: {done.stderr.strip()[-300:]}")


def makes_a_sample_of(name: str, command: str) -> bool:
    """Whether a command trains the model ``name``, which learns from the sample corpus here."""
    return bool(TRAINS.search(command) and ON_SAMPLE.search(command)) and trained_name(command) == name


def trained_name(command: str) -> str:
    """The model that a training writes."""
    for said in (r"--name (\S+)", r"make (tuned|answer)\b", r"--task (\S+)"):
        found = re.search(said, command)
        if found:
            return found[1]
    return tasks.PRODUCT.name


def _start(command: str, folder: Path, environment: dict[str, str]) -> str:
    """Start the app, ask it something, look for the metrics where they were asked for, and stop it."""
    wanted = [f"{APP}/_stcore/health", *([METRICS] if "TWEETS_METRICS" in command else [])]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            ["bash", "-c", command],
            cwd=folder,
            env=environment | {"STREAMLIT_SERVER_HEADLESS": "true"},
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        try:
            until = time.monotonic() + STARTING_SECONDS
            while wanted and time.monotonic() < until and process.poll() is None:
                try:
                    urllib.request.urlopen(wanted[0], timeout=2).close()
                    wanted.pop(0)
                except OSError:
                    time.sleep(0.5)
            error = "" if wanted else _ask()
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=60)
        if wanted:
            error = f"nothing at {wanted[0]}"
        said.seek(0)
        return f"{error}\n{said.read()[-800:]}" if error else ""


def _ask() -> str:
    """Ask the running app a question; what went wrong, if anything did."""
    from research.tools.app_client import Session

    async def ask() -> None:
        async with Session(APP) as session:
            await session.ask(QUESTION)  # raises where the page comes without an answer, whatever it is

    try:
        asyncio.run(asyncio.wait_for(ask(), STARTING_SECONDS))
    except (OSError, RuntimeError, TimeoutError) as error:
        return f"the app does not answer: {error or type(error).__name__}"
    return ""


@contextmanager
def _model_server() -> Iterator[None]:
    """The tests' stand-in for TensorFlow Serving, at the port that the README names."""
    sys.path[:0] = [str(paths.ROOT / "tests"), str(paths.ROOT / "tests" / "serving")]
    from stand_in import StandIn

    ports = {int(port) for port in SERVED.findall(README.read_text(encoding="utf-8"))}
    if len(ports) != 1:
        raise TweetTargetError(f"expected one address of a model server in {README.name}, found the ports {ports}")
    with StandIn(models=("product", "answer"), port=ports.pop()).running():
        yield


@contextmanager
def _nothing() -> Iterator[None]:
    yield


if __name__ == "__main__":
    cli.run(main)
