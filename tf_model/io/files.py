"""Write files whole or not at all, and explain why a file cannot be read or written."""

import errno
import glob
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from tf_model import errors
from tf_model.errors import DataError, OutputError, UsageError
from tf_model.io.characters import well_formed


@contextmanager
def explain_read_errors(source: Path | str) -> Iterator[None]:
    """Turn an error raised while reading ``source`` into a :class:`DataError` that says what to do."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        reason = getattr(error, "strerror", None) or errors.first_line(error)
        raise DataError(f"cannot read {str(source)!r}: {reason}; check the file and its permissions") from error


def is_file(path: Path) -> bool:
    """Whether ``path`` is a file; unlike ``Path.is_file``, False in a folder that this user may not read."""
    return os.path.isfile(path)  # noqa: PTH113


def check_file(path: Path, origin: str = "") -> None:
    """Raise :class:`DataError` unless ``path`` is a readable file. ``origin`` says who named it."""
    description = f"{path} ({origin})" if origin else str(path)
    with explain_read_errors(description):
        if not path.exists():
            raise DataError(f"{description} does not exist; check the name")
        if not path.is_file():
            raise DataError(f"{description} is a folder or a pipe; name a file (`predict -` reads standard input)")
        path.open("rb").close()  # checks the permission


OLD, LOCK = "old", ".lock"  # beside a new file: the folder that it replaces, and the lock that a live run holds

_FULL = "the disk is full; free some space and run the command again"
_NOT_PERMITTED = "writing there is not permitted; choose another folder or change its permissions"
_NO_FOLDER = "a part of this path is a file, not a folder; choose another path"
_ADVICE = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EACCES: _NOT_PERMITTED,
    errno.EPERM: _NOT_PERMITTED,
    errno.EROFS: _NOT_PERMITTED,
    errno.ENOTDIR: _NO_FOLDER,
    errno.EEXIST: _NO_FOLDER,
}


@contextmanager
def explain_write_errors(target: Path) -> Iterator[None]:
    """Turn an ``OSError`` raised while writing ``target`` into an :class:`OutputError` that says what to do."""
    try:
        yield
    except shutil.Error as error:  # from a folder: the failure of each file, as (from, to, "[Errno 28] No space ...")
        reason = str(error.args[0][0][2])
        advice = next((advice for code, advice in _ADVICE.items() if f"[Errno {code}]" in reason), reason)
        raise OutputError(f"cannot write {target}: {advice}") from error
    except OSError as error:
        advice = _ADVICE.get(error.errno or 0) or error.strerror or str(error)
        raise OutputError(f"cannot write {target}: {advice}") from error


def make_folder(folder: Path) -> None:
    """Create ``folder`` and its parents; :class:`OutputError` at once if nothing can be written there."""
    with explain_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


def copy_folder(source: Path, target: Path, ignore: Callable[[str, list[str]], set[str]] | None = None) -> None:
    """Copy ``source`` to ``target``, whose folders can be moved and removed even if those of ``source`` cannot."""
    shutil.copytree(source, target, ignore=ignore, dirs_exist_ok=True)
    for each in (target, *target.rglob("*")):
        if each.is_dir():
            each.chmod(each.stat().st_mode | stat.S_IRWXU)


def refuse_to_overwrite(target: Path, overwrite: bool, source: Path | None = None) -> None:
    """Call :func:`clear_up`, then raise :class:`OutputError` if ``target`` exists and ``overwrite`` is false.

    Raises :class:`UsageError` if it is the file ``source``, the input.
    """
    with explain_write_errors(target):
        clear_up(target)
        exists = target.exists()
        if exists and source and source.exists() and target.samefile(source):
            raise UsageError(f"{target} is the input itself, which is never overwritten; choose another name")
    if exists and not overwrite:
        raise OutputError(f"{target} already exists; add --overwrite to replace it, or choose another name")


def clear_up(target: Path) -> None:
    """Remove what killed runs left beside ``target``, and restore a folder that such a run had moved away."""
    from filelock import FileLock

    for folder in target.parent.glob(f".{glob.escape(target.name)}.????????.part"):
        with suppress(OSError), FileLock(folder / LOCK).acquire(blocking=False):  # else its run is alive
            if (folder / OLD).exists() and not target.exists():
                (folder / OLD).rename(target)
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def whole_file(target: Path, overwrite: bool = False, is_folder: bool = False) -> Iterator[Path]:
    """Yield a temporary path beside ``target``, and rename it to ``target`` when the block ends without an error.

    On any error, including an interrupt, ``target`` is untouched. Its folder is created if needed.
    Raises :class:`OutputError` if ``target`` exists and ``overwrite`` is false, or it cannot be written.
    """
    from filelock import FileLock

    refuse_to_overwrite(target, overwrite)
    with explain_write_errors(target):
        if target.exists() and target.is_dir() != is_folder:
            advice = "a file; give the name of a folder" if is_folder else "a folder; give the name of a file"
            raise OutputError(f"{target} is {advice}")
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = None
        while lock is None:
            folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
            with suppress(FileNotFoundError, FileExistsError):  # another run cleared it up before it was locked
                lock = FileLock(folder / LOCK).acquire()
        new, old = folder / target.name, folder / OLD
        try:
            with lock:
                if is_folder:
                    new.mkdir()
                yield new
                if not is_folder:
                    with new.open("rb") as file:
                        os.fsync(file.fileno())
                if target.exists():
                    refuse_to_overwrite(target, overwrite)  # another program may have made it meanwhile
                    shutil.copymode(target, new)  # private files stay private
                    if is_folder:
                        target.rename(old)  # a folder cannot be replaced in one step
                new.replace(target)
        finally:
            if old.exists() and new.exists():
                old.rename(target)  # if that fails too, its error leaves the old folder in ``folder``
            shutil.rmtree(folder, ignore_errors=True)


def whole_folder(target: Path, overwrite: bool = False) -> AbstractContextManager[Path]:
    """Like :func:`whole_file`, for a folder: yields an empty folder to fill, which appears complete or not at all."""
    return whole_file(target, overwrite, is_folder=True)


@contextmanager
def locked(lock: Path, work: str, advice: str = "wait until it ends") -> Iterator[None]:
    """Hold the file ``lock`` while the block runs; :class:`OutputError` if another process holds it.

    The system frees it however the process ends. ``work`` ("another training") and ``advice`` are for the message.
    """
    from filelock import FileLock, Timeout

    with explain_write_errors(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        try:
            file_lock = FileLock(lock).acquire(blocking=False)
        except Timeout:
            process = lock.read_text().strip() if lock.exists() else ""
            owner = f" (process {process})" if process else ""
            raise OutputError(f"{work} is under way{owner}; {advice}") from None
    with file_lock:
        try:
            lock.write_text(f"{os.getpid()}\n")
            yield
        finally:
            lock.unlink(missing_ok=True)  # with the lock held: a process that locks a removed file tries again


def sha256_of(file: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_json(target: Path, value: Any, overwrite: bool = True) -> None:
    """Write ``value`` as indented UTF-8 JSON, whole or not at all."""
    with whole_file(target, overwrite) as part:
        part.write_text(json_text(value), encoding="utf-8")


def json_text(value: Any) -> str:
    """``value`` as indented JSON; the name of a file may hold what UTF-8 cannot encode."""
    return well_formed(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)) + "\n"
