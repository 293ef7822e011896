"""``python -m tf_model.promote``: replace the model in use by a new one, unless that is less accurate, or roll back.

The new model is copied to the versions of the model in use, see :mod:`tf_model.promote.versions`.
"""

import argparse
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tf_model import cli, data, model_dir, paths, signing
from tf_model.errors import ModelError, TweetTargetError, UsageError
from tf_model.inference.predictor import Predictor
from tf_model.model_dir import PRODUCTS, probabilities_sum_to_1, probability_column, refuse_to_replace, training_of
from tf_model.promote import versions

TRIAL = "Can't wait to get my hands on an iPad 2 at #SXSW!"


def main(argv: list[str] | None = None) -> int:
    """Promote a model, or roll back to the previous one."""
    arguments = _parser().parse_args(argv)
    with cli.stopped_cleanly():
        (_promote if arguments.rollback is None else _roll_back)(arguments)
    return 0


def _promote(arguments: argparse.Namespace) -> None:
    """Replace a model by a copy of the new one, and keep the previous version; an error leaves everything unchanged.

    The two are compared on the dataset; with ``--force``, the result does not matter. The signature is checked before
    the new model is loaded and after it is copied.
    """
    new, verify = arguments.new, arguments.verify
    add_signature = signing.signer(arguments.sign) if arguments.sign else None
    version = model_dir.identity(new)
    model = _load_and_try(new, verify)
    target = _absolute_path(arguments.to or paths.SAVED_MODELS / model.task)
    with versions.locked(target):
        versions.recover(target)
        refuse_to_replace(target, overwrite=True)
        is_replacement = target.exists()
        comparison = _compare(model, target, arguments.data, arguments.force) if is_replacement else None

        def finish(copy: Path) -> None:
            if not model_dir.identity(copy) == model_dir.identity(new) == version:
                raise ModelError(f"{paths.shown(new)} was replaced by another model meanwhile; promote it again")
            if verify:
                signing.verify(copy, verify)
            if add_signature:
                add_signature(copy)

        versions.add_version(new, target, finish)
    if comparison:
        from tf_model.evaluation.comparison import print_comparison

        print_comparison(cli.stdout(), comparison)
    cli.say(f"promoted {paths.shown(new)} to {paths.shown(target)}")
    if not is_replacement:
        return
    previous = versions.other_version(target)
    name = target.name if target.parent == paths.SAVED_MODELS.resolve() else str(target)
    cli.say(
        f"the previous version is kept in {paths.shown(previous)}; to restore it: "
        f"python -m tf_model.promote --rollback {shlex.quote(name)}"
    )
    before, now = previous / PRODUCTS, target / PRODUCTS
    if before.is_file() and now.is_file() and before.read_bytes() != now.read_bytes():
        copy = shlex.join(["cp", paths.shown(before), paths.shown(now)])
        again = ", then sign it again" if (target / signing.SIGNATURE).exists() else ""
        cli.say(f"note: its list of products is another than before; to keep the old one: {copy}{again}")


def _roll_back(arguments: argparse.Namespace) -> None:
    """Swap a model with its previous version, which must work and, with ``--verify``, be signed by that key.

    A second rollback undoes the first. If the model is missing, its newest version is restored.
    """
    for option in ("to", "data", "force", "sign"):
        if getattr(arguments, option):
            raise UsageError(f"--{option} cannot be used with --rollback; leave one of them out")
    name, verify = arguments.rollback, arguments.verify
    target = _absolute_path(Path(name) if os.sep in name else paths.SAVED_MODELS / name)
    if versions.other_version(target) is None:
        folder = paths.shown(versions.versions_folder(target))
        raise ModelError(f"{paths.shown(target)} has no previous version in {folder}: only a promotion keeps one")
    with versions.locked(target):
        other = versions.other_version(target)  # the newest version if the model is missing
        _load_and_try(other, verify)
        if not versions.recover(target):
            versions.use_version(target, other)
    replaced = versions.other_version(target)
    note = f"; the other version is in {paths.shown(replaced)}" if replaced else ""
    cli.say(f"{paths.shown(target)} is now {paths.shown(target.resolve())}{note}")


def _load_and_try(folder: Path, verify: Path | None = None) -> Predictor:
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


def _absolute_path(target: Path) -> Path:
    """The absolute path of a model's name: the link itself, not the version that it points to."""
    target = target.parent.resolve() / target.name
    if not target.name or target.name.startswith(".") or versions.FOLDER in target.parts:
        raise UsageError(f"expected a name such as {paths.SAVED_MODELS.name}/answer, got {target}")
    if target.is_symlink() and target.readlink().parent != Path(versions.FOLDER, target.name):
        raise UsageError(f"{paths.shown(target)} is a link to {target.readlink()}; name that folder instead")
    return target


def _compare(model: Predictor, target: Path, path: str | None, force: bool) -> Mapping[str, Any] | None:
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
        dataset = data.load(path, preferred=data.Columns.of_model(current.metrics), known_tasks=current.tasks)
        comparison = compare_models(current, model, dataset)
    except TweetTargetError as error:
        if not force:
            raise ModelError(f"{new} and {old} cannot be compared: {error}; or {advice}") from error
        cli.say(f"note: {new} and {old} were not compared: {error}")
        return None
    if comparison["tasks"][comparison["task"]]["difference"] < 0 and not force:
        raise ModelError(f"the new model's accuracy is lower; {result_line(comparison)}; {advice}")
    return comparison


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser("tf_model.promote", "Replace the model in use by a new one, or roll back.")
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("new", nargs="?", type=Path, metavar="NEW", help="folder of the new model, which is copied")
    group.add_argument("--rollback", metavar="NAME", help="swap a model and its previous version")
    add = parser.add_argument
    add("--to", type=Path, metavar="DIR", help="the model to replace (default: the one of the same task)")
    add("--data", metavar="PATH", help="the dataset to compare both on; searched for if not given")
    add(
        "--force",
        action="store_true",
        help="promote it even if its accuracy is lower, or it has other classes or cannot be compared",
    )
    add("--verify", type=Path, metavar="PUBLIC_KEY", help="refuse a model not signed with this key (PEM)")
    add("--sign", type=Path, metavar="KEY", help="sign the promoted copy with this elliptic-curve key (PEM)")
    return parser


if __name__ == "__main__":
    cli.run(main)
