"""What the commands share: exit codes, one-line errors, signals, training progress."""

import errno
import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from tf_model import cli, paths
from tf_model.cli import duration, show_epochs
from tf_model.errors import DataError, ModelError, OutputError, UsageError


def exit_code(main):
    with pytest.raises(SystemExit) as stopped:
        cli.run(main)
    return stopped.value.code


def raising(error):
    def main(argv):
        raise error

    return main


# ------------------------------------------------------------------------------------------------------ exit codes


@pytest.mark.parametrize(("returned", "code"), [(None, 0), (0, 0), (1, 1), (3, 3)])
def test_what_main_returns_is_the_exit_code(returned, code, capsys):
    assert exit_code(lambda argv: returned) == code
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DataError("no data; give a file"), 1),
        (ModelError("no model; train one"), 1),
        (OutputError("the disk is full; free some space"), 1),
        (UsageError("epochs must be at least 1, not 0"), 2),
    ],
)
def test_an_error_of_the_user_is_one_line_without_a_traceback(error, code, capsys):
    assert exit_code(raising(error)) == code
    assert capsys.readouterr() == ("", f"error: {error}\n")


def test_streams_that_are_closed_are_empty(tmp_path):
    main = "lambda _: print('out') or print('error', file=sys.stderr) or len(sys.stdin.buffer.read())"
    code = f"import sys; from tf_model import cli; cli.run({main})"
    done = subprocess.run(["bash", "-c", f'"{sys.executable}" -c "{code}" <&- >&- 2>&-'], cwd=paths.ROOT)
    assert done.returncode == 0


def test_an_error_that_quotes_data_stays_one_line(capsys):
    exit_code(raising(DataError("no column 'a\nb\x1b[31m'; rename it")))
    assert capsys.readouterr().err == "error: no column 'a␊b␛[31m'; rename it\n"


def test_our_own_mistakes_keep_their_traceback():
    with pytest.raises(ZeroDivisionError):
        cli.run(raising(ZeroDivisionError()))


def test_a_full_memory_is_one_line(capsys):
    assert exit_code(raising(MemoryError())) == 1
    assert capsys.readouterr() == ("", "error: out of memory; close other programs, or give a smaller file\n")


def test_a_missing_package_is_named_with_what_to_do(capsys):
    assert exit_code(raising(ModuleNotFoundError("No module named 'pandas'", name="pandas"))) == 1
    written = capsys.readouterr().err
    assert written == (
        f"error: the package 'pandas' is not installed for {sys.executable}; "
        "run `make install`, then `. .venv/bin/activate`\n"
    )


@pytest.mark.parametrize("name", ["tf_model", "tf_model.no_such_module", None])
def test_a_missing_module_of_our_own_is_our_mistake(name, capsys):
    if name is None:
        assert exit_code(raising(ModuleNotFoundError("gone"))) == 1
        assert "is not installed" in capsys.readouterr().err
    else:
        with pytest.raises(ModuleNotFoundError):
            cli.run(raising(ModuleNotFoundError(f"No module named {name!r}", name=name)))


# ----------------------------------------------------------------------------------------------------------- usage


@pytest.fixture
def parser():
    parser = cli.parser("tf_model.example", "An example.")
    parser.add_argument("--size", type=int, default=7, help="how large")
    parser.add_argument("--name", help="what it is called")
    parser.add_argument("--loud", action="store_true", help="shout")
    return parser


def test_help_shows_defaults_where_there_are_any(parser):
    parser.add_argument("--first", type=int, default=0, help="where to begin")
    parser.add_argument("--more", nargs="+", default=[], help="what else")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="where from")
    text = parser.format_help()
    assert text.startswith("usage: python -m tf_model.example ")
    assert "how large (default: 7)" in text
    assert "where to begin (default: 0)" in text
    assert "where from (default: 0 1)" in text
    assert text.count("(default:") == 3


def test_a_docstring_that_begins_with_the_command_describes_it_without():
    assert cli.parser("research.example", "``python -m research.example``: measure it.").description == "Measure it."


def test_wrong_usage_is_2_and_says_what_was_wrong(parser, capsys):
    assert exit_code(lambda argv: parser.parse_args(["--size", "big"])) == 2
    said = "error: argument --size: invalid int value: 'big'; see `python -m tf_model.example --help`\n"
    assert capsys.readouterr().err == said


# ---------------------------------------------------------------------------------------------------------- output


def test_notes_go_to_standard_error_as_one_line(capsys):
    cli.say("reading a\nb")
    assert capsys.readouterr() == ("", "reading a␊b\n")


def test_a_note_that_cannot_be_written_stops_nothing(monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(sys, "stderr", SimpleNamespace(write=full, flush=full))
    cli.say("the log is full")


def test_what_a_terminal_cannot_show_is_escaped(monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "latin-1"))
    assert exit_code(lambda argv: print("é g→")) == 0
    assert written.getvalue() == b"\xe9 g\\u2192\n"


def run_script(script, **options):
    """Run ``script`` with Python from the root of the project."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.Popen([sys.executable, "-c", script], cwd=paths.ROOT, env=environment, text=True, **options)


def run_without_reader(script):
    """The exit code and errors of ``script`` if nobody reads its output."""
    reader, writer = os.pipe()
    os.close(reader)
    with run_script(script, stdout=writer, stderr=subprocess.PIPE) as process:
        os.close(writer)
        _, errors = process.communicate(timeout=120)
    return process.returncode, errors


@pytest.mark.parametrize(
    "work", ["[print(i) for i in range(100_000)] and None", "cli.stdout().print('table')", "print('short')"]
)
def test_a_reader_that_has_gone_is_no_error(work):
    assert run_without_reader(f"from tf_model import cli\ncli.run(lambda argv: {work})") == (0, "")


def test_without_a_reader_of_its_progress_the_work_goes_on():
    script = (
        "from tf_model import cli\ncli.run(lambda argv: [cli.stderr().print('epoch') for _ in range(2)] and print(7))"
    )
    reader, writer = os.pipe()
    os.close(reader)
    with run_script(script, stdout=subprocess.PIPE, stderr=writer) as process:
        os.close(writer)
        assert process.communicate(timeout=120)[0] == "7\n"
    assert process.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is a device of Linux")
@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_full_disk_is_one_line(lines):
    script = f"from tf_model import cli\ncli.run(lambda argv: [print(i) for i in range({lines})] and None)"
    with Path("/dev/full").open("w") as full, run_script(script, stdout=full, stderr=subprocess.PIPE) as process:
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    said = "error: the output cannot be written: No space left on device; free some space and run the command again"
    assert errors.splitlines() == [said]


# --------------------------------------------------------------------------------------------------------- signals

WRITER = """
import sys, time
from pathlib import Path
from tf_model import cli
from tf_model.io.files import whole_file, whole_folder

def main(argv):
    with cli.stopped_cleanly(), whole_folder(Path(sys.argv[1], "folder")) as folder:
        (folder / "inside.txt").write_text("half")
        with whole_file(Path(sys.argv[1], "file.txt")) as part:
            part.write_text("half")
            print("writing", flush=True)
            try:
                time.sleep(60)
            finally:
                sys.stdin.read()  # cleaning up takes until the second signal was sent

sys.argv.append({folder!r})
cli.run(main)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_command_leaves_nothing_half_written(number, code, tmp_path):
    script = WRITER.format(folder=str(tmp_path))
    with run_script(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == "writing\n"
        assert len(list(tmp_path.iterdir())) == 2
        process.send_signal(number)
        if number == signal.SIGTERM:
            assert process.stderr.readline() == "terminated\n"
            process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=120)
    assert process.returncode == code
    assert errors == ("" if number == signal.SIGTERM else "interrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_the_signal_is_handled_only_meanwhile(capsys):
    @cli.stopped_cleanly()
    def work():
        handlers.append(signal.getsignal(signal.SIGTERM))
        signal.raise_signal(signal.SIGTERM)

    handlers, before = [], signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stopped:
        work()
    assert stopped.value.code == 143
    assert before not in handlers
    assert capsys.readouterr().err == "terminated\n"
    assert signal.getsignal(signal.SIGTERM) is before


# -------------------------------------------------------------------------------------------------------- progress


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (48.4, "48 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (720, "12 min"),
        (3569, "59 min"),
        (3900, "1 h 05 min"),
    ],
)
def test_seconds_as_people_say_them(seconds, words):
    assert duration(seconds) == words


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets."""
    now = [0.0]
    monkeypatch.setattr("tf_model.cli.time.perf_counter", lambda: now[0])
    return now


def test_without_a_screen_each_epoch_is_one_line_with_the_time_left(clock):
    page = io.StringIO()
    with show_epochs(Console(file=page, force_terminal=False, width=20)) as show:
        show.set_params({"epochs": 5, "steps": 2})
        for epoch in (2, 3, 4):  # resumed after two epochs
            show.on_epoch_begin(epoch)
            show.on_train_batch_end(0)
            show.on_train_batch_end(1)
            clock[0] += 60
            show.on_epoch_end(epoch, {"loss": 0.5})
    assert page.getvalue().splitlines() == [
        "epoch 3/5  loss 0.5000  2 min left",
        "epoch 4/5  loss 0.5000  60 s left",
        "epoch 5/5  loss 0.5000  0 s left",
    ]


def test_on_a_screen_the_bar_is_gone_when_the_training_is_stopped(clock):
    page = io.StringIO()

    def train():
        with show_epochs(Console(file=page, force_terminal=True, width=80)) as show:
            show.set_params({"epochs": 2, "steps": 3})
            show.on_epoch_begin(0)
            show.on_train_batch_end(0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train()
    shown = page.getvalue()
    assert "epoch 1/2" in shown
    assert shown.rstrip().endswith(("\x1b[2K", "\x1b[?25h"))  # line cleared, cursor restored
