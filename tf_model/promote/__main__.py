"""``python -m tf_model.promote``: replace the model in use by a new one, or roll back."""

import argparse
import os
import shlex
from pathlib import Path

from tf_model import cli, paths
from tf_model.errors import UsageError
from tf_model.model_dir import PRODUCTS
from tf_model.promote.promotion import promote, rollback


def main(argv: list[str] | None = None) -> int:
    """Promote a model, or roll back to the previous one."""
    arguments = _parser().parse_args(argv)
    with cli.stopped_cleanly():
        (_promote if arguments.rollback is None else _roll_back)(arguments)
    return 0


def _promote(arguments: argparse.Namespace) -> None:
    result = promote(
        arguments.new,
        arguments.to,
        path=arguments.data,
        force=arguments.force,
        sign=arguments.sign,
        verify=arguments.verify,
    )
    if result.comparison:
        from tf_model.evaluation.comparison import print_comparison

        print_comparison(cli.stdout(), result.comparison)
    cli.say(f"promoted {paths.shown(arguments.new)} to {paths.shown(result.target)}")
    if result.previous:
        name = result.target.name if result.target.parent == paths.SAVED_MODELS.resolve() else str(result.target)
        cli.say(
            f"the previous version is kept in {paths.shown(result.previous)}; to restore it: "
            f"python -m tf_model.promote --rollback {shlex.quote(name)}"
        )
        before, now = result.previous / PRODUCTS, result.target / PRODUCTS
        if before.is_file() and now.is_file() and before.read_bytes() != now.read_bytes():
            copy = shlex.join(["cp", paths.shown(before), paths.shown(now)])
            cli.say(f"note: its list of products is another than before; to keep the old one: {copy}")


def _roll_back(arguments: argparse.Namespace) -> None:
    for option in ("to", "data", "force", "sign"):
        if getattr(arguments, option):
            raise UsageError(f"--{option} cannot be used with --rollback; leave one of them out")
    name = arguments.rollback
    target = Path(name) if os.sep in name else paths.SAVED_MODELS / name
    replaced = rollback(target, arguments.verify)
    note = f"; the other version is in {paths.shown(replaced)}" if replaced else ""
    cli.say(f"{paths.shown(target)} is now {paths.shown(target.resolve())}{note}")


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser("tf_model.promote", "Replace the model in use by a new one, or roll back.")
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("new", nargs="?", type=Path, metavar="NEW", help="folder of the new model, which is copied")
    group.add_argument("--rollback", metavar="NAME", help="swap a model and its previous version")
    add = parser.add_argument
    add("--to", type=Path, metavar="DIR", help="the model to replace (default: the one of the same task)")
    add("--data", metavar="PATH", help="the dataset to compare both on; searched for if not given")
    add("--force", action="store_true", help="promote it even if it is worse, has other classes or cannot be compared")
    add("--verify", type=Path, metavar="PUBLIC_KEY", help="refuse a model not signed with this key (PEM)")
    add("--sign", type=Path, metavar="KEY", help="sign the promoted copy with this elliptic-curve key (PEM)")
    return parser


if __name__ == "__main__":
    cli.run(main)
