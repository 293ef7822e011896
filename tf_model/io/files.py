"""Files that are written whole or not at all, and what to say of those that cannot be read or written."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from tf_model import errors
from tf_model.errors import DataError, OutputError


@contextmanager
def explain_read_errors(source: Path | str) -> Iterator[None]:
    """Turn what is raised while reading ``source`` into a :class:`DataError` that says what to do."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        reason = getattr(error, "strerror", None) or errors.first_line(error)
        raise DataError(f"cannot read {str(source)!r}: {reason}; check the file and its permissions") from error


@contextmanager
def explain_write_errors(target: Path) -> Iterator[None]:
    """Turn an ``OSError`` raised while writing ``target`` into an :class:`OutputError` that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            advice = "the disk is full; free some space and run the command again"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            advice = "writing there is not permitted; choose another place or change its permissions"
        elif error.errno in (errno.ENOTDIR, errno.EEXIST):
            advice = "a part of this path is a file, not a folder; choose another path"
        else:
            advice = error.strerror or str(error)
        raise OutputError(f"cannot write {target}: {advice}") from error


def make_folder(folder: Path) -> None:
    """Make ``folder`` and its parents, and raise :class:`OutputError` at once if nothing can be written there."""
    with explain_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


def refuse_to_overwrite(target: Path, overwrite: bool) -> None:
    """Raise :class:`OutputError` if ``target`` exists and ``overwrite`` is false."""
    with explain_write_errors(target):
        exists = target.exists()
    if exists and not overwrite:
        raise OutputError(f"{target} already exists; add --overwrite to replace it, or choose another name")


def whole_file(target: Path, overwrite: bool = False) -> AbstractContextManager[Path]:
    """Give a temporary path beside ``target``, and rename it to ``target`` when the block ends without an error.

    Args:
        target: The file to make. Its folder is created if need be.
        overwrite: Whether an existing file may be replaced.

    Returns:
        A context manager that gives the path to write to. On any error, an interrupt included, it is removed and
        ``target`` is untouched.

    Raises:
        OutputError: ``target`` exists and ``overwrite`` is false, or it cannot be written.
    """
    return _whole(Path(target), overwrite, is_folder=False)


def whole_folder(target: Path, overwrite: bool = False) -> AbstractContextManager[Path]:
    """Like :func:`whole_file`, for a folder, which is there to be filled: it appears complete, or not at all."""
    return _whole(Path(target), overwrite, is_folder=True)


@contextmanager
def _whole(target: Path, overwrite: bool, is_folder: bool) -> Iterator[Path]:
    refuse_to_overwrite(target, overwrite)
    with explain_write_errors(target):
        if target.exists() and target.is_dir() != is_folder:
            advice = "a file; give the name of a folder" if is_folder else "a folder; give the name of a file"
            raise OutputError(f"{target} is {advice}")
        target.parent.mkdir(parents=True, exist_ok=True)
        holder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
        part = holder / target.name
        try:
            if is_folder:
                part.mkdir()
            yield part
            if not is_folder:
                with part.open("rb") as written:
                    os.fsync(written.fileno())
            if not target.exists() or (overwrite and not is_folder):
                part.replace(target)
            elif overwrite:
                _replace_folder(target, part, holder / "old")
            else:  # hours of work would replace what somebody else made in them
                raise _KeptError(
                    f"{target} was made by another program meanwhile, and is kept; what was written is in {part}: "
                    "rename it"
                )
        except _KeptError:
            raise
        except BaseException:
            shutil.rmtree(holder, ignore_errors=True)
            raise
        shutil.rmtree(holder, ignore_errors=True)


class _KeptError(OutputError):
    """What would be lost otherwise is kept under a temporary name, which the message gives."""


def _replace_folder(target: Path, new: Path, old: Path) -> None:
    """Two renames, so that the old folder is there until the new one is complete."""
    try:
        target.rename(old)
        new.rename(target)
    except BaseException:
        if new.exists() and old.exists():
            try:
                old.rename(target)
            except OSError as error:
                raise _KeptError(
                    f"cannot put {target} back ({error.strerror}); it lies in {old}: rename it yourself"
                ) from error
        raise


@contextmanager
def locked(lock: Path, work: str, advice: str = "wait until it ends") -> Iterator[None]:
    """Hold the file ``lock`` while the block runs, so that no other process does the same work meanwhile.

    The system lets go of it when the process ends, however it ends.

    Args:
        lock: The file; made and removed here, with the number of the process in it.
        work: What is locked, for the message: "another training of product".
        advice: What to do about it.

    Raises:
        OutputError: Another process holds the lock, or the file cannot be made.
    """
    from filelock import FileLock, Timeout

    with explain_write_errors(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            held = FileLock(lock).acquire(blocking=False)
        except Timeout:
            process = lock.read_text().strip() if lock.exists() else ""
            holder = f" (process {process})" if process else ""
            raise OutputError(f"{work} is under way{holder}; {advice}") from None
    with held:
        try:
            lock.write_text(f"{os.getpid()}\n")
            yield
        finally:
            lock.unlink(missing_ok=True)  # while it is held: whoever locks a file that was removed tries again


def write_json(target: Path, value: Any, overwrite: bool = True) -> None:
    """Write ``value`` as indented UTF-8 JSON, whole or not at all."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with whole_file(target, overwrite) as part:
        part.write_text(text, encoding="utf-8")
