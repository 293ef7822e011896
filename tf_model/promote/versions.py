"""The versions of a model, and the link to the version in use.

::

    saved_models/answer              a link to .versions/answer/2, the version in use
    saved_models/.versions/answer/1  the other version, for a rollback
    saved_models/.versions/answer/2

The link is moved in one step, so whoever opens the name gets a whole version. Only if the name is still a plain folder,
as training leaves it, two renames are needed; after a kill between them, the name is missing until :func:`recover`.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from tf_model import paths
from tf_model.errors import OutputError
from tf_model.io import files
from tf_model.io.files import explain_write_errors

FOLDER = ".versions"


def add_version(new: Path, target: Path, finish: Callable[[Path], None] | None = None) -> None:
    """Copy ``new`` to the versions of ``target`` and use it; only the previous version is kept.

    ``finish`` is given the copy before anybody sees it; an error that it raises leaves everything unchanged.
    Call with the lock held. After an :class:`OutputError`, ``target`` is unchanged.
    """
    version = _next_version(target)
    with explain_write_errors(target):
        with files.whole_folder(version) as part:
            files.copy_folder(new, part)
            if finish:
                finish(part)
            for file in part.rglob("*"):
                if file.is_file():
                    with file.open("rb") as stream:
                        os.fsync(stream.fileno())  # so that the link never points to files lost in a power cut
        # Only now, so that there is always another whole version. Hidden, so that a half-removed one never counts; and
        # removed only after the link has moved: until then, a rollback would take the new version for the old one.
        # A link to a version may also be a copy or a new name: `cp -r` and `mv` keep links.
        linked = {os.path.realpath(each) for each in target.parent.iterdir() if each.is_symlink()}
        old = [each for each in versions(target) if each != version and os.path.realpath(each) not in linked]
        hidden = [each.rename(each.with_name(f".{each.name}.old")) for each in old]
        try:
            use_version(target, version)
        except OutputError:  # not if stopped: the link may have moved
            failed = version.rename(version.with_name(f".{version.name}.old"))
            for each, place in zip(hidden, old, strict=True):
                each.rename(place)
            shutil.rmtree(failed, ignore_errors=True)
            raise
        for each in hidden:
            shutil.rmtree(each, ignore_errors=True)


def use_version(target: Path, version: Path) -> None:
    """Point the name ``target`` to ``version``; what was there stays as the other version."""
    link = _link_beside(target)
    with explain_write_errors(target):
        link.unlink(missing_ok=True)
        link.symlink_to(version.relative_to(target.parent))  # so that the folder of models can be moved
        if not target.exists() or target.is_symlink():
            link.replace(target)
            return
        # The old folder gets the highest number: if the name is lost now, recover() restores this version.
        old = _next_version(target)
        target.rename(old)
        try:
            link.replace(target)
        except BaseException:
            old.rename(target)
            raise


def recover(target: Path) -> bool:
    """Clean up after a killed promotion; if the name is missing, use the newest version. Returns whether it was."""
    for each in versions_folder(target).glob(".*"):
        shutil.rmtree(each, ignore_errors=True)
    _link_beside(target).unlink(missing_ok=True)
    existing = versions(target)
    if target.exists() or not existing:
        return False
    use_version(target, existing[-1])
    return True


def versions_folder(target: Path) -> Path:
    """The folder of a model's versions."""
    return target.parent / FOLDER / target.name


def versions(target: Path) -> list[Path]:
    """The versions of a model, oldest first."""
    folders = versions_folder(target).glob("*")
    return sorted((each for each in folders if each.name.isdecimal()), key=lambda each: int(each.name))


def other_version(target: Path) -> Path | None:
    """The newest version that is not in use, to roll back to; None if there is none."""
    in_use = target.readlink().name if target.is_symlink() else ""
    return next((each for each in reversed(versions(target)) if each.name != in_use), None)


def locked(target: Path) -> AbstractContextManager[None]:
    """Exclude other promotions of this model while the block runs; :class:`OutputError` if one is running."""
    lock = target.parent / FOLDER / f".{target.name}.lock"
    return files.locked(lock, f"another promotion of {paths.shown(target)}")


def _link_beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.link")


def _next_version(target: Path) -> Path:
    newest = next(reversed(versions(target)), None)
    return versions_folder(target) / str(int(newest.name) + 1 if newest else 1)
