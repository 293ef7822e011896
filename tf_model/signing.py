"""Signed models: OpenSSF's model-signing with an elliptic-curve key (PEM), over every file of a model's folder."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tf_model import paths
from tf_model.errors import ModelError, UsageError, first_line

SIGNATURE = "model.sig"  # in the model's folder, and itself unsigned


def signer(private_key: Path) -> Callable[[Path], None]:
    """A function that signs a folder; raises :class:`UsageError` at once if the key cannot be used."""
    from model_signing import hashing, signing

    config = signing.Config().set_hashing_config(hashing.Config().set_ignored_paths(paths=[SIGNATURE]))
    with _usable(private_key):
        config.use_elliptic_key_signer(private_key=private_key)
    return lambda folder: config.sign(folder, folder / SIGNATURE)


def verify(folder: Path, public_key: Path) -> None:
    """Raise :class:`ModelError` if a file was changed, removed or added after signing, or the key does not match.

    File names in the signature are compared with the files in the folder, but never opened.
    """
    from model_signing import verifying

    with _usable(public_key):
        config = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
    if not (folder / SIGNATURE).is_file():
        raise ModelError(f"{paths.shown(folder)} is not signed: it has no {SIGNATURE}; have its maker sign it")
    try:
        config.verify(folder, folder / SIGNATURE)
    except Exception as error:  # whatever a damaged signature raises
        problem = re.sub(r': Expected.*|["\[\]]', "", first_line(error))[:200]
        raise ModelError(
            f"{paths.shown(folder)} cannot be verified with {paths.shown(public_key)} ({problem}); get the model again"
        ) from error


@contextmanager
def _usable(key: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, TypeError, AttributeError) as error:  # the latter two: a password; no elliptic curve
        reason = getattr(error, "strerror", None) or "something else"
        raise UsageError(
            f"expected an elliptic-curve key without a password in {paths.shown(key)} (for --verify the public one), "
            f"got: {reason}; `openssl ecparam -name prime256v1 -genkey -noout` makes one"
        ) from error
