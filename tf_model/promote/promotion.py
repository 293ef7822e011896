"""Replace the model in use by a new one, unless that is worse, and roll back.

The new model is copied to the versions of the model in use, see :mod:`tf_model.promote.versions`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_model import cli, data, model_dir, paths, signing
from tf_model.errors import ModelError, TweetTargetError, UsageError
from tf_model.inference.predictor import Predictor
from tf_model.model_dir import probabilities_sum_to_1, probability_column, refuse_to_replace, training_of
from tf_model.promote import versions

TRIAL = "Can't wait to get my hands on an iPad 2 at #SXSW!"


@dataclass(frozen=True)
class Promotion:
    """The result of a promotion."""

    target: Path  # where the new model is
    previous: Path | None  # the version that it replaced, if any
    comparison: Mapping[str, Any] | None  # of the two models, see ``compare_models``; None if not compared


def promote(
    new: Path | str,
    target: Path | str | None = None,
    *,
    path: Path | str | None = None,
    force: bool = False,
    sign: Path | None = None,
    verify: Path | None = None,
) -> Promotion:
    """Replace ``target`` by a copy of the model ``new`` and keep the previous version.

    ``target`` need not exist; None: ``saved_models/`` and the name of the model's task. The two are compared on the
    dataset ``path``; ``force`` promotes whatever the result. An error leaves everything unchanged. The signature is
    checked with the public key ``verify`` before the model is loaded and after it is copied; the private key ``sign``
    signs the copy.
    """
    add_signature, version = sign and signing.signer(sign), model_dir.identity(Path(new))
    model = load_and_try(Path(new), verify)
    new, target = Path(new), _absolute_path(paths.SAVED_MODELS / model.task if target is None else target)
    with versions.locked(target):
        versions.recover(target)
        refuse_to_replace(target, overwrite=True)
        is_replacement = target.exists()
        comparison = _compare(model, target, path, force) if is_replacement else None

        def finish(copy: Path) -> None:
            if not model_dir.identity(copy) == model_dir.identity(new) == version:
                raise ModelError(f"{paths.shown(new)} was replaced by another model meanwhile; promote it again")
            if verify:
                signing.verify(copy, verify)
            if add_signature:
                add_signature(copy)

        versions.add_version(new, target, finish)
    return Promotion(target, versions.other_version(target) if is_replacement else None, comparison)


def rollback(target: Path | str, verify: Path | None = None) -> Path | None:
    """Swap a model with its previous version, which must work and, if ``verify`` is given, be signed by that key.

    A second rollback undoes the first. If the model is missing, its newest version is restored. Returns the version
    that was in use, if there is another.
    """
    target = _absolute_path(target)
    if versions.versions(target):
        with versions.locked(target):
            if not target.exists():  # the next line uses the newest version
                load_and_try(versions.versions(target)[-1], verify)
            was_missing, other = versions.recover(target), versions.other_version(target)
            if other and not was_missing:
                load_and_try(other, verify)
                versions.use_version(target, other)
            if other or was_missing:
                return versions.other_version(target)
    folder = paths.shown(versions.versions_folder(target))
    raise ModelError(f"{paths.shown(target)} has no previous version in {folder}: only a promotion keeps one")


def load_and_try(folder: Path, verify: Path | None = None) -> Predictor:
    """Load a model and let it answer two texts; :class:`ModelError` if it cannot, or gives no probabilities."""
    model = Predictor.load(folder, verify=verify)
    try:
        predictions = model.predict([TRIAL, ""], probabilities=True)
    except TweetTargetError:
        raise
    except Exception as error:  # whatever a damaged graph raises
        raise ModelError(f"{folder} was loaded but cannot answer ({type(error).__name__}); train it again") from error
    for task, labels in model.labels.items():
        probabilities = predictions[[probability_column(task, label) for label in labels]].to_numpy()
        if not probabilities_sum_to_1(probabilities):
            expected = f"expected probabilities of the {task} that sum to 1"
            raise ModelError(f"{expected}, {folder} gives {probabilities[0].tolist()}; train it again")
    return model


def _absolute_path(target: Path | str) -> Path:
    """The absolute path of a model's name: the link itself, not the version that it points to."""
    target = Path(target)
    target = target.parent.resolve() / target.name
    if not target.name or target.name.startswith(".") or versions.FOLDER in target.parts:
        raise UsageError(f"expected a name such as {paths.SAVED_MODELS.name}/answer, got {target}")
    if target.is_symlink() and target.readlink().parent != Path(versions.FOLDER, target.name):
        raise UsageError(f"{paths.shown(target)} is a link to {target.readlink()}; name that folder instead")
    return target


def _compare(model: Predictor, target: Path, path: Path | str | None, force: bool) -> Mapping[str, Any] | None:
    """Refuse a model that should not replace the one in use; returns the comparison of the two, if possible."""
    from tf_model.evaluation.comparison import compare_models, result_line

    new, old = paths.shown(model.folder), paths.shown(target)
    advice = "add --force to promote it anyway"
    try:
        current = Predictor.load(target)
    except ModelError as error:
        cli.say(f"note: nothing to compare with, the model in use is broken: {error}")
        return None
    if training_of(model.folder) == training_of(target):  # a copy would displace the version to roll back to
        raise UsageError(f"{new} is already the model in use; give the folder of another one")
    new_labels, old_labels = ({task: set(labels) for task, labels in each.labels.items()} for each in (model, current))
    if new_labels != old_labels and not force:
        raise ModelError(
            f"{new} predicts {', '.join(new_labels)} and {old} {', '.join(old_labels)}"
            f"{' with other classes' if new_labels.keys() == old_labels.keys() else ''}; "
            f"promote it under another name, or {advice}"
        )
    try:
        dataset = data.load(path, columns=data.Columns.of_model(current.metrics), known_tasks=current.tasks)
        comparison = compare_models(current, model, dataset)
    except TweetTargetError as error:
        if not force:
            raise ModelError(f"{new} and {old} cannot be compared: {error}; or {advice}") from error
        cli.say(f"note: {new} and {old} were not compared: {error}")
        return None
    if comparison["tasks"][comparison["task"]]["difference"] < 0 and not force:
        raise ModelError(f"{result_line(comparison)}; {advice}")
    return comparison
