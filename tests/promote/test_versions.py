"""A link that moves from one version to the next: complete at every moment, even if the program dies at any line."""

import errno
import os
import shutil
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tf_model.errors import OutputError
from tf_model.io import files
from tf_model.promote import versions
from tf_model.promote.versions import add_version, locked, other_version, recover, use_version, versions_folder

pytestmark = pytest.mark.timeout(300)  # the default, given so that this slow file begins early

FILES = 2


def make(folder: Path, content: str) -> Path:
    """A folder whose every file holds ``content``."""
    for number in range(FILES):
        file = folder / "parts" / f"{number}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return folder


def content_of(folder: Path | None) -> str | None:
    """The content of a folder, which must be complete; None if there is no folder."""
    if folder is None or not folder.exists():
        return None
    files = sorted(folder.glob("parts/*.txt"))
    assert len(files) == FILES
    [content] = {file.read_text() for file in files}
    return content


def both(target: Path) -> tuple[str | None, str | None]:
    return content_of(target), content_of(other_version(target))


def leftovers(target: Path) -> list[str]:
    """Hidden files and folders left beside the link and its two versions."""
    folders = (target.parent, versions_folder(target))
    return [each.name for folder in folders for each in folder.glob(".*") if each.name != versions.FOLDER]


def test_versions_come_and_go(tmp_path):
    target = tmp_path / "models" / "answer"
    first, second, third = (make(tmp_path / name, name) for name in ("first", "second", "third"))
    add_version(first, target)
    assert both(target) == ("first", None)
    add_version(second, target)
    assert both(target) == ("second", "first")
    add_version(third, target)
    assert both(target) == ("third", "second")
    for expected in [("second", "third"), ("third", "second"), ("second", "third")]:
        use_version(target, other_version(target))
        assert both(target) == expected
    add_version(first, target)  # after a rollback: the version in use is kept, whatever its number
    assert both(target) == ("first", "second")
    assert len(versions.versions(target)) == 2
    assert leftovers(target) == []
    assert content_of(third) == "third"
    copy = target.with_name("copy")
    copy.symlink_to(target.readlink())  # as `cp -r` copies a link
    target.with_name("loop").symlink_to("loop")
    for new in (first, third):
        add_version(new, target)
    assert (both(target), content_of(copy)) == (("third", "first"), "first")


def test_the_oldest_version_is_removed_only_once_the_new_one_is_in_use(tmp_path, monkeypatch):
    target, removed = tmp_path / "answer", []

    def remove(folder, **_):
        removed.append((content_of(folder), content_of(target)))
        shutil.rmtree(folder)

    monkeypatch.setattr(versions, "shutil", SimpleNamespace(copytree=shutil.copytree, rmtree=remove))
    for name in "1234":
        add_version(make(tmp_path / name, name), target)
    assert removed == [("1", "3"), ("2", "4")]


def test_a_link_that_cannot_be_moved_leaves_both_versions(tmp_path, monkeypatch):
    target = tmp_path / "answer"
    for name in "12":
        add_version(make(tmp_path / name, name), target)
    monkeypatch.setattr(Path, "symlink_to", lambda *_: (_ for _ in ()).throw(PermissionError(errno.EACCES, "no")))
    with pytest.raises(OutputError, match="writing there is not permitted"):
        add_version(make(tmp_path / "3", "3"), target)
    assert both(target) == ("2", "1")
    assert leftovers(target) == []


def test_the_folder_of_models_can_be_moved(tmp_path):
    add_version(make(tmp_path / "new", "new"), tmp_path / "models" / "answer")
    (tmp_path / "models").rename(tmp_path / "moved")
    assert content_of(tmp_path / "moved" / "answer") == "new"


def test_a_folder_without_write_permission_becomes_a_version_that_can_be_removed(tmp_path):
    new, target = make(tmp_path / "new", "new"), tmp_path / "answer"
    for each in (new / "parts", new):
        each.chmod(0o555)
    add_version(new, target)
    assert [stat.S_IMODE(each.stat().st_mode) for each in (target, target / "parts")] == [0o755] * 2


def test_what_cannot_be_copied_changes_nothing(tmp_path, monkeypatch):
    target = make(tmp_path / "answer", "old")
    add_version(make(tmp_path / "new", "new"), target)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(versions.shutil, "copytree", full)
    with pytest.raises(OutputError, match="the disk is full"):
        add_version(make(tmp_path / "newer", "newer"), target)
    assert both(target) == ("new", "old")
    assert leftovers(target) == []


def test_a_link_that_cannot_be_made_leaves_the_folder_in_its_place(tmp_path, monkeypatch):
    target = make(tmp_path / "answer", "old")
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(PermissionError(errno.EACCES, "no")))
    with pytest.raises(OutputError, match="writing there is not permitted"):
        use_version(target, versions_folder(make(tmp_path / ".versions" / "answer" / "1", "new")))
    assert content_of(target) == "old"
    assert not target.is_symlink()


def test_another_name_that_begins_alike_is_left_alone(tmp_path):
    target, longer = tmp_path / "answer", tmp_path / "answer.v2"
    for number in "12":
        add_version(make(tmp_path / number, number), longer)
    add_version(make(tmp_path / "3", "3"), target)
    recover(target)
    assert both(longer) == ("2", "1")
    assert both(target) == ("3", None)


def test_only_one_at_a_time(tmp_path):
    target = tmp_path / "answer"
    with locked(target), pytest.raises(OutputError, match=r"another promotion of .* is under way"), locked(target):
        pass
    with locked(target), locked(tmp_path / "other"):
        pass


def nothing(target: Path) -> None:
    pass


def plain(target: Path) -> None:
    make(target, "a")


def linked(target: Path) -> None:
    for name in "0a":
        add_version(target.parents[1] / name, target)


def rolled_back(target: Path) -> None:
    for name in "a0":
        add_version(target.parents[1] / name, target)
    use_version(target, other_version(target))


def trained_over(target: Path) -> None:
    linked(target)
    target.unlink()
    make(target, "b")


# What is there, what is done, what may be in use and kept afterwards once it was put in order, and whether the name may
# be missing for a moment.
@pytest.mark.parametrize(
    ("prepare", "action", "allowed", "may_be_missing"),
    [
        (nothing, "add b", [(None, None), ("b", None)], True),
        (plain, "add b", [("a", None), ("a", "b"), ("b", "a")], True),
        (linked, "add b", [("a", "0"), ("a", "b"), ("b", "a")], False),
        (rolled_back, "add b", [("a", "0"), ("a", "b"), ("b", "a")], False),
        (linked, "back", [("a", "0"), ("0", "a")], False),
        (trained_over, "add c", [("b", "a"), ("b", "c"), ("c", "b")], True),
        (trained_over, "back", [("b", "a"), ("a", "b")], True),
    ],
)
def test_dying_at_any_line_leaves_the_old_or_the_new_version(
    tmp_path, monkeypatch, prepare, action, allowed, may_be_missing
):
    """What is on the disk before a line is what a process leaves that dies there; it is copied wherever it changed."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)  # for power cuts
    for name in "0abc":
        make(tmp_path / name, name)
    target = tmp_path / "models" / "answer"
    target.parent.mkdir()
    prepare(target)
    is_missing, kept, last = [], [], None

    def keep() -> None:
        nonlocal last
        is_missing.append(not target.exists())
        entries = [(path, path.lstat()) for path in sorted(target.parent.rglob("*"))]
        found = [(path, of.st_ino, of.st_mode, of.st_size, of.st_mtime_ns) for path, of in entries]
        if found != last:
            copy = shutil.copytree(target.parent, tmp_path / f"line {len(is_missing)}", symlinks=True)
            kept.append(copy / target.name)
        last = found

    def trace(frame, event, argument):
        if frame.f_code.co_filename not in (versions.__file__, files.__file__):
            return None
        if event == "line":
            keep()
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        if action == "back":
            use_version(target, other_version(target))
        else:
            add_version(tmp_path / action[-1], target)
    finally:
        sys.settrace(before)
    keep()
    states = []
    for each in kept:
        assert content_of(each) in [now for now, _ in allowed] or may_be_missing, each
        recover(each)
        states.append(both(each))
        assert leftovers(each) == [], each
    assert {allowed[0], allowed[-1]} <= set(states) <= set(allowed)
    assert prepare is nothing or sum(is_missing) <= 2  # the lines between two renames
    assert action == "back" or len(is_missing) > 60
