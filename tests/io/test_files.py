"""Files and folders appear whole or not at all."""

import errno
import json
import os
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tf_model import paths
from tf_model.errors import OutputError
from tf_model.io import files
from tf_model.io.files import explain_write_errors, locked, refuse_to_overwrite, whole_file, whole_folder, write_json


def write(part, content, kind):
    """``content`` as the file, or as a file of the folder, under a temporary name."""
    (part if kind is whole_file else part / "inside.txt").write_text(content)


def read(target, kind):
    return (target if kind is whole_file else target / "inside.txt").read_text()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def fail_in(kind, target, failure, **options):
    """Write half of ``target``, then raise."""
    with kind(target, **options) as part:
        write(part, "half", kind)
        raise failure


def make(target, content, kind, **options):
    with kind(target, **options) as part:
        write(part, content, kind)


both = pytest.mark.parametrize("kind", [whole_file, whole_folder])
FAILURES = [
    ValueError("a mistake"),
    KeyboardInterrupt(),
    SystemExit(143),
    OSError(errno.ENOSPC, "No space left on device"),
]


@both
def test_the_target_appears_when_the_block_ends_and_not_before(kind, tmp_path):
    target = tmp_path / "new" / "deep" / "target"
    with kind(target) as part:
        write(part, "content", kind)
        assert not target.exists()
        assert part.is_relative_to(target.parent)  # so that it can be renamed
    assert read(target, kind) == "content"
    assert names(target.parent) == ["target"]


@both
@pytest.mark.parametrize("failure", FAILURES, ids=repr)
def test_a_failure_leaves_the_old_one_untouched(kind, failure, tmp_path):
    target = tmp_path / "target"
    make(target, "old", kind)
    with pytest.raises((type(failure), OutputError)) as raised:
        fail_in(kind, target, failure, overwrite=True)
    assert isinstance(failure, OSError) or raised.value is failure
    assert read(target, kind) == "old"
    assert names(tmp_path) == ["target"]


@both
def test_the_old_one_is_there_until_the_new_one_is_complete(kind, tmp_path):
    target = tmp_path / "target"
    make(target, "old", kind)
    with kind(target, overwrite=True) as part:
        write(part, "new", kind)
        assert read(target, kind) == "old"
    assert read(target, kind) == "new"
    assert names(tmp_path) == ["target"]


def test_an_old_folder_is_replaced_as_a_whole(tmp_path):
    target = tmp_path / "target"
    with whole_folder(target) as part:
        (part / "old.txt").write_text("old")
    make(target, "new", whole_folder, overwrite=True)
    assert names(target) == ["inside.txt"]


@both
def test_an_existing_target_is_refused_before_anything_is_written(kind, tmp_path):
    target = tmp_path / "target"
    make(target, "old", kind)
    with pytest.raises(OutputError) as refused, kind(target):
        pytest.fail("the block was entered")
    assert str(refused.value) == f"{target} already exists; add --overwrite to replace it, or choose another name"
    assert read(target, kind) == "old"


def test_a_file_does_not_replace_a_folder_nor_a_folder_a_file(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="is a folder; give the name of a file"):
        make(tmp_path / "folder", "content", whole_file, overwrite=True)
    with pytest.raises(OutputError, match="is a file; give the name of a folder"):
        make(tmp_path / "file", "content", whole_folder, overwrite=True)
    assert names(tmp_path) == ["file", "folder"]


@both
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_permissions_follow_the_umask(kind, umask, tmp_path):
    target = tmp_path / "target"
    before = os.umask(umask)
    try:
        make(target, "content", kind)
        assert os.umask(umask) == umask  # it was only read
    finally:
        os.umask(before)
    assert stat.S_IMODE(target.stat().st_mode) == (0o666 if kind is whole_file else 0o777) & ~umask


@both
def test_what_was_private_stays_so(kind, tmp_path):
    target = tmp_path / "target"
    make(target, "old", kind)
    target.chmod(0o700)
    make(target, "new", kind, overwrite=True)
    assert (read(target, kind), stat.S_IMODE(target.stat().st_mode)) == ("new", 0o700)


@both
def test_two_writers_at_once_do_not_meet(kind, tmp_path):
    target = tmp_path / "target"
    with kind(target, overwrite=True) as one, kind(target, overwrite=True) as other:
        assert one != other
        write(one, "one", kind)
        write(other, "other", kind)
    assert read(target, kind) == "one"  # the outer block exits last
    assert names(tmp_path) == ["target"]


def test_many_writers_at_once_do_not_take_each_others_folders(tmp_path):
    def write_often(number: int) -> None:
        for _ in range(50):
            write_json(tmp_path / "target", number)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write_often, range(8)))
    assert names(tmp_path) == ["target"]


KILLED = """
import os, signal, sys
from pathlib import Path
from tf_model.io import files
target, kind, where = Path(sys.argv[1]), getattr(files, sys.argv[2]), sys.argv[3]

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

if where == "making":  # between its folder and the lock in it
    import filelock
    filelock.FileLock = die
if where == "renames":
    Path.replace = die
with kind(target, overwrite=True) as part:
    (part if kind is files.whole_file else part / "inside.txt").write_text("half")
    if where == "writing":
        die()
"""


@both
@pytest.mark.parametrize("where", ["making", "writing", "renames"])
def test_the_next_run_removes_what_a_killed_one_left_and_brings_the_old_one_back(kind, where, tmp_path):
    target, command = tmp_path / "a[b].c", [sys.executable, "-c", KILLED]
    make(target, "old", kind)
    with kind(tmp_path / "a[b].c.d") as alive:
        killed = subprocess.run([*command, target, kind.__name__, where], cwd=paths.ROOT, check=False)
        assert killed.returncode == -9
        assert target.exists() == (kind is whole_file or where != "renames")
        refuse_to_overwrite(target, overwrite=True)
        assert read(target, kind) == "old"
        assert len(names(tmp_path)) == 2, "the old one, and what is being written"
        write(alive, "alive", kind)
    assert read(tmp_path / "a[b].c.d", kind) == "alive"


# ---------------------------------------------------------------------------------- what goes wrong is explained


@both
@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.ENOSPC, "the disk is full; free some space and run the command again"),
        (errno.EDQUOT, "the disk is full; free some space and run the command again"),
        (errno.EACCES, "writing there is not permitted; choose another folder or change its permissions"),
        (errno.EROFS, "writing there is not permitted; choose another folder or change its permissions"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_an_error_of_the_system_becomes_one_line_of_advice(kind, code, advice, tmp_path):
    target = tmp_path / "target"
    with pytest.raises(OutputError) as raised, kind(target):
        raise OSError(code, os.strerror(code))
    assert str(raised.value) == f"cannot write {target}: {advice}"
    assert names(tmp_path) == []


@pytest.mark.parametrize(("code", "advice"), [(errno.ENOSPC, "the disk is full; free some"), (errno.EIO, "[Errno 5] ")])
def test_a_folder_that_cannot_be_copied_is_one_line(code, advice, tmp_path):
    def copy(*_):
        raise OSError(code, os.strerror(code))

    for name in ("a", "b"):
        make(tmp_path / "source" / name, "content", whole_file)
    with pytest.raises(OutputError) as raised, explain_write_errors(tmp_path / "target"):
        files.shutil.copytree(tmp_path / "source", tmp_path / "target", copy_function=copy)
    assert str(raised.value).startswith(f"cannot write {tmp_path / 'target'}: {advice}")
    assert "source" not in str(raised.value)


def fail(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("kind", "where", "name"),
    [
        (whole_file, files.os, "fsync"),
        (whole_file, Path, "replace"),
        (whole_file, files.tempfile, "mkdtemp"),
        (whole_folder, files.tempfile, "mkdtemp"),
        (whole_folder, Path, "mkdir"),
    ],
)
def test_a_disk_that_fills_up_at_the_last_moment_costs_nothing(kind, where, name, tmp_path, monkeypatch):
    target = tmp_path / "target"
    make(target, "old", kind)
    monkeypatch.setattr(where, name, fail)
    with pytest.raises(OutputError, match="the disk is full"):
        make(target, "new", kind, overwrite=True)
    monkeypatch.undo()
    assert read(target, kind) == "old"
    assert names(tmp_path) == ["target"]


@pytest.mark.parametrize("failure", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()], ids=repr)
def test_an_old_folder_is_put_back_if_the_new_one_cannot_take_its_place(failure, tmp_path, monkeypatch):
    target = tmp_path / "target"
    make(target, "old", whole_folder)
    replace = Path.replace

    def fail_to_replace(path, to):
        if path.parent.suffix == ".part" and path.name == "target":
            raise failure
        return replace(path, to)

    monkeypatch.setattr(Path, "replace", fail_to_replace)
    with pytest.raises((OutputError, KeyboardInterrupt)):
        make(target, "new", whole_folder, overwrite=True)
    assert read(target, whole_folder) == "old"
    assert names(tmp_path) == ["target"]


@both
def test_what_another_program_made_meanwhile_is_kept(kind, tmp_path):
    target = tmp_path / "target"

    def both_at_once():
        with kind(target) as part:
            write(part, "ours", kind)
            make(target, "theirs", kind)

    with pytest.raises(OutputError, match="already exists; add --overwrite"):
        both_at_once()
    assert read(target, kind) == "theirs"
    assert names(tmp_path) == ["target"]


def test_a_folder_that_somebody_makes_between_the_two_renames_costs_neither(tmp_path, monkeypatch):
    target = tmp_path / "target"
    make(target, "old", whole_folder)
    replace = Path.replace

    def replace_late(path, to):
        if path.parent.suffix == ".part" and path.name == "target":
            target.mkdir()
            write(target, "theirs", whole_folder)
        return replace(path, to)

    monkeypatch.setattr(Path, "replace", replace_late)
    with pytest.raises(OutputError, match="cannot write"):
        make(target, "new", whole_folder, overwrite=True)
    [old] = tmp_path.glob(".target.*.part/old")
    assert read(old, whole_folder) == "old"
    assert read(target, whole_folder) == "theirs"


def test_an_interrupt_after_the_new_one_took_its_place_leaves_it_there(tmp_path, monkeypatch):
    target = tmp_path / "target"
    make(target, "old", whole_folder)
    replace = Path.replace

    def replace_and_stop(path, to):
        replace(path, to)
        if path.parent.suffix == ".part" and path.name == "target":
            raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", replace_and_stop)
    with pytest.raises(KeyboardInterrupt):
        make(target, "new", whole_folder, overwrite=True)
    assert read(target, whole_folder) == "new"
    assert names(tmp_path) == ["target"]


@pytest.mark.parametrize("failure", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()], ids=repr)
def test_an_old_folder_that_cannot_be_put_back_is_not_deleted(failure, tmp_path, monkeypatch):
    target = tmp_path / "target"
    make(target, "old", whole_folder)
    rename = Path.rename

    def fail_to_replace(*_):
        raise failure

    def rename_once(path, to):
        if path.name == "old":
            raise OSError(errno.EIO, "Input/output error")
        return rename(path, to)

    monkeypatch.setattr(Path, "replace", fail_to_replace)
    monkeypatch.setattr(Path, "rename", rename_once)
    with pytest.raises(OutputError, match="cannot write"):
        make(target, "new", whole_folder, overwrite=True)
    monkeypatch.undo()
    [old] = tmp_path.glob(".target.*.part/old")
    assert read(old, whole_folder) == "old"


@both
@pytest.mark.parametrize("below", ["target", "folder/target"])
def test_a_part_of_the_path_that_is_a_file_is_explained(kind, below, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="a part of this path is a file, not a folder; choose another path"):
        make(tmp_path / "file" / below, "content", kind)


@both
def test_a_name_that_is_too_long_is_explained(kind, tmp_path):
    with pytest.raises(OutputError, match=r"cannot write .*File name too long"):
        make(tmp_path / ("x" * 300), "content", kind)
    assert names(tmp_path) == []


# ---------------------------------------------------------------------------------------------------------- JSON


def test_json_is_readable_text(tmp_path):
    write_json(tmp_path / "value.json", {"answer": "Positive emotion → iPad", "n": [1, 2.5, None]})
    text = (tmp_path / "value.json").read_bytes().decode("utf-8")
    assert text.startswith('{\n  "answer": "Positive emotion → iPad",\n')
    assert text.endswith("}\n")
    assert json.loads(text) == {"answer": "Positive emotion → iPad", "n": [1, 2.5, None]}


def test_json_may_hold_the_name_of_a_file_that_is_not_in_utf_8(tmp_path):
    write_json(tmp_path / "value.json", [os.fsdecode(b"R\xfccken.csv")])
    assert json.loads((tmp_path / "value.json").read_text("utf-8")) == ["R\ufffdcken.csv"]


def test_json_replaces_what_is_there_unless_told_not_to(tmp_path):
    target = tmp_path / "value.json"
    write_json(target, 1)
    write_json(target, 2)
    assert json.loads(target.read_text()) == 2
    with pytest.raises(OutputError, match="already exists"):
        write_json(target, 3, overwrite=False)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}])
def test_what_json_cannot_say_is_not_written(value, tmp_path):
    write_json(tmp_path / "value.json", "old")
    with pytest.raises((ValueError, TypeError)):
        write_json(tmp_path / "value.json", value)
    assert json.loads((tmp_path / "value.json").read_text()) == "old"
    assert names(tmp_path) == ["value.json"]


# ----------------------------------------------------------------------------------------------------------- locks

HOLD = """
import sys, time
from pathlib import Path
from tf_model.io.files import locked
with locked(Path(sys.argv[1]), "another training"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_what_another_process_does_is_not_done_twice(tmp_path):
    lock = tmp_path / "new" / "product.lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, lock], cwd=paths.ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(OutputError) as refused, locked(lock, "another training", "choose another --name"):
            pytest.fail("the block was entered")
        message = f"another training is under way (process {holder.pid}); choose another --name"
        assert str(refused.value) == message
    finally:
        holder.kill()  # no cleanup runs: the system releases the lock
        holder.communicate()
    with locked(lock, "another training"):
        assert lock.read_text() == f"{os.getpid()}\n"
    assert names(lock.parent) == []


@pytest.mark.parametrize("failure", FAILURES[:3], ids=repr)
def test_a_lock_is_let_go_of_after_a_failure(failure, tmp_path):
    with pytest.raises(type(failure)), locked(tmp_path / "a.lock", "another training"):
        raise failure
    assert names(tmp_path) == []
    with locked(tmp_path / "a.lock", "another training"):
        assert names(tmp_path) == ["a.lock"]


def test_a_lock_that_is_taken_and_removed_all_the_time_has_one_holder(tmp_path):
    inside, most, entered = [], [], []

    def work():
        while len(entered) < 200:
            with suppress(OutputError), locked(tmp_path / "a.lock", "another training"):
                inside.append(1)
                most.append(len(inside))
                entered.append(1)
                time.sleep(0.0005)
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert names(tmp_path) == []


def test_a_lock_that_cannot_be_made_says_why(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="a part of this path is a file"), locked(tmp_path / "file" / "a.lock", "x"):
        pytest.fail("the block was entered")
