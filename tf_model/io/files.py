"""Files that are written whole or not at all, and what to say of those that cannot be read or written."""

import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

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
    """Make ``folder`` and what it stands in, and check that something can be written there.

    For what is written only after hours: a place that cannot be written to is then known at once.

    Raises:
        OutputError: It cannot be written to.
    """
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


@contextmanager
def whole_file(target: Path, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary path beside ``target``, and rename it to ``target`` when the block ends without an error.

    Args:
        target: The file to make. Its folder is created if need be.
        overwrite: Whether an existing file may be replaced.

    Yields:
        The path to write to. On any error, an interrupt included, it is removed and ``target`` is untouched.

    Raises:
        OutputError: ``target`` exists and ``overwrite`` is false, or it cannot be written.
    """
    target = Path(target)
    refuse_to_overwrite(target, overwrite)
    with explain_write_errors(target):
        if target.is_dir():
            raise OutputError(f"{target} is a folder; give the name of a file")
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
        os.close(handle)
        part: Path | None = Path(name)
        try:
            yield part
            with part.open("rb") as written:
                os.fsync(written.fileno())
            part.chmod(0o666 & ~_umask())
            if not overwrite and target.exists():
                kept, part = part, None
                raise OutputError(_made_meanwhile(target, kept))
            part.replace(target)
        finally:
            if part:
                part.unlink(missing_ok=True)


@contextmanager
def whole_folder(target: Path, overwrite: bool = False) -> Iterator[Path]:
    """Like :func:`whole_file`, for a folder: it appears complete, or not at all."""
    target = Path(target)
    refuse_to_overwrite(target, overwrite)
    with explain_write_errors(target):
        if target.exists() and not target.is_dir():
            raise OutputError(f"{target} is a file; give the name of a folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        part: Path | None = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
        try:
            yield part
            part.chmod(0o777 & ~_umask())
            if not overwrite and target.exists():
                kept, part = part, None
                raise OutputError(_made_meanwhile(target, kept))
            if target.exists():
                # Two renames, so that the old folder is there until the new one is complete.
                old = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".old", dir=target.parent))
                try:
                    target.rename(old / target.name)
                    part.rename(target)
                except BaseException:
                    if part.exists():
                        _put_back(old / target.name, target)
                    else:
                        shutil.rmtree(old, ignore_errors=True)
                    raise
                shutil.rmtree(old, ignore_errors=True)
            else:
                part.rename(target)
        finally:
            if part:
                shutil.rmtree(part, ignore_errors=True)


def _made_meanwhile(target: Path, part: Path) -> str:
    """The message where hours of work would replace what somebody else made in them: both are kept."""
    return f"{target} was made by another program meanwhile, and is kept; what was written is in {part}: rename it"


def _put_back(old: Path, target: Path) -> None:
    """Undo half a replacement; where that fails, leave the old folder where it is and say where."""
    try:
        if old.exists():
            old.rename(target)
        old.parent.rmdir()
    except OSError as error:
        raise OutputError(
            f"cannot put {target} back ({error.strerror}); it lies in {old}: rename it yourself"
        ) from error


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
    with explain_write_errors(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = _hold(lock)
        if file is None:
            raise OutputError(f"{work} is under way{_holder(lock)}; {advice}")
    with file:
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)  # while it is held: who opened it before looks again, see below


def _hold(lock: Path) -> IO[str] | None:
    """``lock``, open and locked, with our process number in it; None if another process holds it."""
    while True:
        file = lock.open("a+", encoding="ascii")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever held it may have removed it after we opened it: then the lock is on a file that nobody finds.
            if os.path.samestat(os.fstat(file.fileno()), lock.stat()):
                file.truncate(0)
                file.write(f"{os.getpid()}\n")
                file.flush()
                return file
        except BlockingIOError:
            file.close()
            return None
        except FileNotFoundError:
            pass  # removed just now
        except BaseException:
            file.close()
            raise
        file.close()


def _holder(lock: Path) -> str:
    with suppress(OSError):  # it may be gone by now
        number = lock.read_text(encoding="ascii", errors="replace").strip()
        return f" (process {number})" if number else ""
    return ""


def write_json(target: Path, value: Any, overwrite: bool = True) -> None:
    """Write ``value`` as indented UTF-8 JSON, whole or not at all."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with whole_file(target, overwrite) as part:
        part.write_text(text, encoding="utf-8")


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value
