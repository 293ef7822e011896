"""One version of a folder for the next, in one step, with the version before it kept.

At every moment there is a whole folder under the name, also if the machine stops in between.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import re
import secrets
import shutil
import sys
from contextlib import AbstractContextManager
from pathlib import Path

from tf_model import paths
from tf_model.io import files
from tf_model.io.files import explain_write_errors

PREVIOUS = ".previous"
RECORD = "promoted.json"  # in a version: which replacement brought it, and from where

# renameat2 of Linux (since 3.15) and renamex_np of macOS (since 10.12): exchange two paths in one step.
AT_FDCWD, RENAME_EXCHANGE, RENAME_SWAP = -100, 2, 2

# Beside `.previous/<name>`, the version before, a replacement has folders of its own for a while:
#   .<name>.<ticket>.part    a copy that is not whole, or a version that is being removed
#   .<name>.<ticket>         the whole copy; once it is exchanged, the old version
#   .<name>.<ticket>.aside   the old version, where the system has no exchange
# The copy's record holds its ticket, which tells the copy from the old version.


def replace_folder(new: Path, target: Path) -> None:
    """Copy ``new`` to ``target`` in one step, and keep what was there in ``.previous/`` beside it.

    At every moment ``target`` is what it was or the whole of ``new``; what a crash leaves behind is put in order by
    :func:`recover`. Call it with the lock held.

    Raises:
        OutputError: It cannot be written; ``target`` is what it was.
    """
    kept = previous_of(target)
    ticket = secrets.token_hex(4)
    staged = kept.with_name(f".{target.name}.{ticket}")
    part = staged.with_name(f"{staged.name}.part")
    with explain_write_errors(target):
        kept.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copytree(new, part)
            record = {"ticket": ticket, "from": paths.shown(new)}
            (part / RECORD).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            _sync(part)
            part.rename(staged)
            if target.exists():
                exchange(staged, target, aside=staged.with_name(f"{staged.name}.aside"))
            else:
                staged.rename(target)
            _sync_folder(target.parent)
        finally:
            shutil.rmtree(part, ignore_errors=True)
            recover(target)


def exchange_with_previous(target: Path) -> None:
    """Exchange ``target`` and its previous version, which must be there; call it with the lock held.

    Raises:
        OutputError: The folders cannot be renamed; both are where they were.
    """
    kept = previous_of(target)
    with explain_write_errors(target):
        if target.exists():
            exchange(kept, target, aside=kept.with_name(f".{target.name}.{secrets.token_hex(4)}.aside"))
        else:
            kept.rename(target)
        _sync_folder(target.parent)


def recover(target: Path) -> None:
    """Put in order what was interrupted; nothing happens if nothing was. Call it with the lock held.

    Afterwards ``target`` is there if it ever was, ``.previous/`` holds at most one version of it, a whole one, and
    there is nothing else of it.

    Raises:
        OutputError: The folders cannot be renamed.
    """
    kept = previous_of(target)
    name = re.compile(rf"\.{re.escape(target.name)}\.([0-9a-f]{{8}})(\.part|\.aside)?")
    found = [(folder, match) for folder in _folders(kept.parent) if (match := name.fullmatch(folder.name))]
    with explain_write_errors(target):
        # What may have to go back into its place comes first.
        for folder, match in sorted(found, key=lambda pair: (".aside", None, ".part").index(pair[1][2])):
            if match[2] == ".aside" and not target.exists():
                folder.rename(target)
            elif match[2] == ".part" or (match[2] is None and _ticket(folder) == match[1]):
                shutil.rmtree(folder, ignore_errors=True)
            else:
                _keep(folder, kept)


def _keep(folder: Path, kept: Path) -> None:
    """Make ``folder`` the version that is kept; the one before it goes."""
    old = folder.with_name(f".{kept.name}.{secrets.token_hex(4)}.part")
    if kept.exists():
        kept.rename(old)
    folder.rename(kept)
    shutil.rmtree(old, ignore_errors=True)


def previous_of(target: Path) -> Path:
    """Where the previous version of a model is kept."""
    return target.parent / PREVIOUS / target.name


def exchange(one: Path, other: Path, aside: Path) -> None:
    """Exchange two folders of one file system in a single step; where the system cannot, in three by way of ``aside``.

    Raises:
        OSError: They cannot be renamed; both are where they were.
    """
    try:
        _exchange_at_once(one, other)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
            raise
        other.rename(aside)
        try:
            one.rename(other)
        except BaseException:
            aside.rename(other)
            raise
        aside.rename(one)


def _exchange_at_once(one: Path, other: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    first, second = os.fsencode(one), os.fsencode(other)
    try:
        if sys.platform == "darwin":
            failed = libc.renamex_np(first, second, ctypes.c_uint(RENAME_SWAP))
        else:
            failed = libc.renameat2(AT_FDCWD, first, AT_FDCWD, second, ctypes.c_uint(RENAME_EXCHANGE))
    except AttributeError as error:  # a C library without it
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from error
    if failed:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(other))


def _folders(parent: Path) -> list[Path]:
    return list(parent.iterdir()) if parent.is_dir() else []


def _ticket(folder: Path) -> str | None:
    """Which promotion brought the model of a folder."""
    try:
        return json.loads((folder / RECORD).read_text(encoding="utf-8")).get("ticket")
    except (OSError, ValueError, AttributeError):
        return None


def _sync(folder: Path) -> None:
    """Have everything in a folder on the disk, so that a name never leads to a file that is not."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())
        else:
            _sync_folder(file)
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def locked(target: Path) -> AbstractContextManager[None]:
    """Let no other promotion of this model in while the block runs; :class:`OutputError` if there is one."""
    lock = target.parent / PREVIOUS / f".{target.name}.lock"
    return files.locked(lock, f"another promotion of {paths.shown(target)}")
