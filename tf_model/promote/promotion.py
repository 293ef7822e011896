"""``python -m tf_model.promote``: put a new model in the place of the one in use, and back again.

The new model is copied beside the old one; one system call then exchanges the two, so that there is a whole model under
the name at every moment, also if the machine stops in between. What was replaced is kept in ``.previous/`` until the
next promotion. A program keeps the model that it has loaded; the app loads the new one by itself.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_model import cli, data, paths, tasks
from tf_model.errors import ModelError, OutputError, TweetTargetError, UsageError
from tf_model.evaluation.metrics import SUM_TOLERANCE
from tf_model.inference.predictor import Predictor, probability_column
from tf_model.model_dir import GRAPH
from tf_model.promote import versions

TRIAL = "Can't wait to get my hands on an iPad 2 at #SXSW!"


# ---------------------------------------------------------------- what may be promoted


@dataclass(frozen=True)
class Promotion:
    """What was done.

    Attributes:
        target: Where the new model is.
        previous: Where the one that it replaced is kept; None if there was none.
        comparison: Of the two, see ``compare_models``; None if they were not compared.
    """

    target: Path
    previous: Path | None
    comparison: Mapping[str, Any] | None


def promote(
    new: Path | str,
    target: Path | str | None = None,
    *,
    comparison: Mapping[str, Any] | None = None,
    path: Path | str | None = None,
    force: bool = False,
    allow_worse: bool = False,
) -> Promotion:
    """Put a copy of the model ``new`` in the place of ``target`` and keep what was there.

    Args:
        new: Folder of a saved model; it stays as it is.
        target: Where the model is loaded from; it need not exist. None: ``saved_models/`` and what the model predicts,
            ``answer``, ``product`` or ``emotion``.
        comparison: What ``compare_models`` found of exactly these two; None: compare them now.
        path: The dataset to compare on; None: see :func:`tf_model.data.resolve`.
        force: Promote also a model of the sample corpus over one of real tweets, one of another task, and one that
            cannot be compared. A model that does not work is never promoted.
        allow_worse: Promote also a model with a lower accuracy.

    Raises:
        ModelError: The new model is refused; the message says why, and which option allows it.
        OutputError: It cannot be copied. What was there is still there.
    """
    model = load_and_try(Path(new))
    if target is None:
        target = paths.SAVED_MODELS / (tasks.ANSWER if len(model.labels) > 1 else next(iter(model.labels)))
    new, target = Path(new), Path(target).resolve()
    _check_places(new, target)
    with versions.locked(target):
        versions.recover(target)
        there_was = target.exists()
        if there_was:
            comparison = _judge(model, target, comparison, path, force, allow_worse)
        versions.replace_folder(new, target)
    return Promotion(target, versions.previous_of(target) if there_was else None, comparison)


def rollback(target: Path | str) -> Path:
    """Exchange a model and its previous version; a second rollback undoes the first.

    Args:
        target: The model's folder.

    Returns:
        Where the version that was in use is kept now.

    Raises:
        ModelError: There is no previous version, or it does not work.
        OutputError: The folders cannot be renamed.
    """
    target = Path(target).resolve()
    kept = versions.previous_of(target)
    if kept.parent.is_dir():
        with versions.locked(target):
            versions.recover(target)
            if kept.is_dir():
                load_and_try(kept)
                versions.exchange_with_previous(target)
                return kept
    raise ModelError(f"{paths.shown(kept)} does not exist: only a promotion keeps the version before it")


def load_and_try(folder: Path) -> Predictor:
    """Load a model and let it answer two texts.

    Raises:
        ModelError: It cannot be loaded, it fails, or what it gives are no probabilities.
    """
    import numpy as np

    model = Predictor.load(folder)
    try:
        answered = model.predict([TRIAL, ""], probabilities=True)
    except TweetTargetError:
        raise
    except Exception as error:  # whatever a damaged graph raises
        raise ModelError(f"{folder} was loaded and cannot answer ({type(error).__name__}); train it again") from error
    for task, labels in model.labels.items():
        probabilities = answered[[probability_column(task, label) for label in labels]].to_numpy()
        if not (np.abs(probabilities.sum(axis=1) - 1) <= SUM_TOLERANCE).all():  # so written, NaN is refused as well
            raise ModelError(
                f"expected probabilities of the {task} that sum to 1, {folder} gives {probabilities[0].tolist()}; "
                "train it again"
            )
    return model


def _check_places(new: Path, target: Path) -> None:
    if not target.name or target.name.startswith("."):
        raise UsageError(f"expected a name such as {paths.SAVED_MODELS.name}/answer to promote to, got {target}")
    if target.exists() and not (target / GRAPH).is_file():
        raise OutputError(f"{paths.shown(target)} is not a saved model and is not replaced; choose another place")
    if target.exists() and target.samefile(new):
        raise UsageError(f"{paths.shown(new)} is the model in use already; give the folder of another one")


def _judge(
    model: Predictor,
    target: Path,
    comparison: Mapping[str, Any] | None,
    path: Path | str | None,
    force: bool,
    allow_worse: bool,
) -> Mapping[str, Any] | None:
    """Refuse a model that should not replace the one in use; the comparison of the two, where there can be one."""
    from tf_model.evaluation.comparison import compare_models, verdict_line

    assert model.folder is not None
    new, old = paths.shown(model.folder), paths.shown(target)
    try:
        current = Predictor.load(target)
    except ModelError as error:
        cli.say(f"note: nothing to compare with, the model in use is broken: {error}")
        return None
    if not force:
        anyway = _command(new, old, path, force=True, allow_worse=allow_worse)
        _refuse_another_kind(model, current, f"`{anyway}` promotes it all the same")
    if comparison is None and _is_sample(current) and not _is_sample(model):
        cli.say(f"note: {old} was trained on the sample corpus; a model of real tweets replaces it uncompared")
        return None
    if comparison is None:
        try:
            source = data.resolve(path)
            data.announce(source)
            comparison = compare_models(current, model, data.read(source.path))
        except TweetTargetError as error:
            if not force:
                anyway = _command(new, old, path, force=True, allow_worse=allow_worse)
                raise ModelError(
                    f"{new} and {old} cannot be compared: {error}; or `{anyway}` promotes it uncompared"
                ) from error
            cli.say(f"note: {new} and {old} were not compared: {error}")
            return None
    if comparison["tasks"][comparison["task"]]["difference"] < 0 and not allow_worse:
        anyway = _command(new, old, path, force=force, allow_worse=True)
        raise ModelError(f"{verdict_line(comparison)}; `{anyway}` promotes it all the same")
    return comparison


def _command(new: str, old: str, path: Path | str | None, *, force: bool, allow_worse: bool) -> str:
    words = ["python", "-m", "tf_model.promote", new, "--to", old]
    words += ["--data", str(path)] if path else []
    return shlex.join([*words, *["--force"] * force, *["--allow-worse"] * allow_worse])


def _refuse_another_kind(model: Predictor, current: Predictor, otherwise: str) -> None:
    if _is_sample(model) and not _is_sample(current):
        raise ModelError(
            f"{model.folder} was trained on the sample corpus, {current.folder} on real tweets; train it on those, or "
            f"{otherwise}"
        )
    if set(model.labels) != set(current.labels):
        raise ModelError(
            f"{model.folder} predicts {', '.join(model.labels)} and {current.folder} {', '.join(current.labels)}; "
            f"promote it to another name, or {otherwise}"
        )


def _is_sample(model: Predictor) -> bool:
    return model.metrics.get("dataset") == data.SAMPLE
