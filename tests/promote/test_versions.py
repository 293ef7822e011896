"""One folder for another: whole at every moment, also when the program ends at any line."""

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tf_model import paths
from tf_model.errors import OutputError
from tf_model.promote import versions
from tf_model.promote.versions import (
    PREVIOUS,
    RECORD,
    exchange_with_previous,
    locked,
    previous_of,
    recover,
    replace_folder,
)

FILES = 2


def make(folder: Path, version: str) -> Path:
    """A folder whose every file holds its version."""
    for number in range(FILES):
        file = folder / "parts" / f"{number}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(version)
    return folder


def version_of(folder: Path) -> str | None:
    """Which version a folder is, None if it is not there; it must be a whole one."""
    if not folder.exists():
        return None
    found = sorted(folder.glob("parts/*.txt"))
    assert len(found) == FILES
    [version] = {file.read_text() for file in found}
    return version


def leftovers(target: Path) -> list[str]:
    return [each.name for each in (target.parent / PREVIOUS).iterdir() if each.name != target.name]


@pytest.fixture(params=["at once", "in steps"])
def exchange(request, monkeypatch):
    """Both ways: that of the system, and the one for file systems that have none."""
    if request.param == "in steps":
        monkeypatch.setattr(versions, "_exchange_at_once", refuse)
    return request.param


def refuse(*_):
    raise OSError(errno.EINVAL, "not supported")


def test_versions_come_and_go(tmp_path, exchange):
    target = tmp_path / "models" / "answer"
    first, second, third = (make(tmp_path / name, name) for name in ("first", "second", "third"))
    replace_folder(first, target)
    assert (version_of(target), version_of(previous_of(target))) == ("first", None)
    replace_folder(second, target)
    assert (version_of(target), version_of(previous_of(target))) == ("second", "first")
    replace_folder(third, target)
    assert (version_of(target), version_of(previous_of(target))) == ("third", "second")
    exchange_with_previous(target)
    assert (version_of(target), version_of(previous_of(target))) == ("second", "third")
    exchange_with_previous(target)
    assert (version_of(target), version_of(previous_of(target))) == ("third", "second")
    assert leftovers(target) == []
    assert version_of(third) == "third"
    assert not (third / RECORD).exists()


def test_a_version_that_was_deleted_comes_back(tmp_path):
    target = make(tmp_path / "answer", "old")
    replace_folder(make(tmp_path / "new", "new"), target)
    target.rename(tmp_path / "gone")
    exchange_with_previous(target)
    assert (version_of(target), version_of(previous_of(target))) == ("old", None)


def test_this_system_exchanges_in_one_step(tmp_path):
    if not sys.platform.startswith(("linux", "darwin")):
        pytest.skip("this system has no exchange of paths")
    one, other = make(tmp_path / "one", "1"), make(tmp_path / "other", "2")
    versions._exchange_at_once(one, other)
    assert (version_of(one), version_of(other)) == ("2", "1")


def test_a_reader_always_finds_a_whole_version(tmp_path):
    if not sys.platform.startswith(("linux", "darwin")):
        pytest.skip("this system has no exchange of paths")
    target, other = make(tmp_path / "answer", "a"), make(tmp_path / "b", "b")
    stop, missing, looked = threading.Event(), [], []

    def look():
        while not stop.is_set():
            looked.append(1)
            if not (target / "parts" / "0.txt").exists():
                missing.append(1)

    reader = threading.Thread(target=look)
    reader.start()
    for _ in range(20):
        replace_folder(other, target)
        exchange_with_previous(target)
    stop.set()
    reader.join()
    assert len(looked) > 100
    assert missing == []


def test_what_cannot_be_copied_changes_nothing(tmp_path, exchange, monkeypatch):
    target = make(tmp_path / "answer", "old")

    def full(*arguments, **options):
        (tmp_path / PREVIOUS / arguments[1].name).mkdir()
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(versions.shutil, "copytree", full)
    with pytest.raises(OutputError, match="the disk is full"):
        replace_folder(make(tmp_path / "new", "new"), target)
    assert version_of(target) == "old"
    assert leftovers(target) == []


def test_another_name_that_begins_alike_is_left_alone(tmp_path):
    target, longer = tmp_path / "answer", tmp_path / "answer.v2"
    for number in "12":
        replace_folder(make(tmp_path / number, number), longer)
    replace_folder(make(tmp_path / "3", "3"), target)
    recover(target)
    assert (version_of(longer), version_of(previous_of(longer))) == ("2", "1")
    assert version_of(previous_of(target)) is None


def test_only_one_at_a_time(tmp_path):
    target = tmp_path / "answer"
    with locked(target), pytest.raises(OutputError, match=r"another promotion of .* is under way"), locked(target):
        pass
    with locked(target), locked(tmp_path / "other"):
        pass


# In a process of its own, which forks: a child does one thing and dies at a given line of the module, as if killed.
CRASHES = """
import errno, os, sys
sys.path[:0] = [{root!r}, {tests!r}]
from pathlib import Path
from tf_model import folder_versions
from test_folder_versions import make, refuse, version_of, leftovers
from tf_model.promote.versions import exchange_with_previous, previous_of, recover, replace_folder

os.fsync = lambda handle: None  # a process that dies loses nothing of what it wrote; this is for power cuts
base, steps = Path(sys.argv[1]), sys.argv[2] == "in steps"
if steps:
    folder_versions._exchange_at_once = refuse
actions = {{
    "first": lambda target: replace_folder(base / "b", target),
    "replace": lambda target: replace_folder(base / "b", target),
    "exchange": exchange_with_previous,
}}
before = {{"first": (None, None), "replace": ("a", "0"), "exchange": ("a", "b")}}
after = {{"first": ("b", None), "replace": ("b", "a"), "exchange": ("b", "a")}}
for name in "0ab":
    make(base / name, name)

def die_at(line):
    seen = 0
    def trace(frame, event, argument):
        nonlocal seen
        if frame.f_code.co_filename != folder_versions.__file__:
            return None
        if event == "line":
            seen += 1
            if seen == line:
                os._exit(9)
        return trace
    sys.settrace(trace)

for action, do in actions.items():
    line, died = 0, True
    states = set()
    while died:
        line += 1
        target = base / f"{{action}}-{{line}}" / "answer"
        target.parent.mkdir()
        for version, place in zip(before[action], (target, previous_of(target)), strict=True):
            if version:
                make(place, version)
        child = os.fork()
        if not child:
            die_at(line)
            do(target)
            os._exit(0)
        died = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        at_once = version_of(target)
        assert at_once in (before[action][0], after[action][0]) or (steps and at_once is None), (action, line, at_once)
        recover(target)
        recover(target)
        found = version_of(target), version_of(previous_of(target))
        states.add(found)
        assert found in (before[action], after[action]), (action, line, found)
        assert target.parent.joinpath(".previous").exists() is False or leftovers(target) == [], (action, line)
    assert states == {{before[action], after[action]}}, states
    print(action, line)
"""


@pytest.mark.parametrize("way", ["at once", "in steps"])
def test_dying_at_any_line_leaves_the_old_or_the_new_version(tmp_path, way):
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    script = CRASHES.format(root=str(paths.ROOT), tests=str(Path(__file__).parent))
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path), way], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = dict(line.split() for line in done.stdout.splitlines())
    assert int(lines["replace"]) > 60  # that many places to die were tried
