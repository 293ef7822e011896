"""``python -m tf_model.promote``: replace the model in use by a new one, or roll back."""

import argparse
import os
import shlex
from pathlib import Path

from tf_model import cli, paths
from tf_model.errors import UsageError
from tf_model.promote.promotion import promote, rollback


def main(argv: list[str] | None = None) -> int:
    """Promote a model, or roll back to the previous one."""
    arguments = _parser().parse_args(argv)
    with cli.stopped_cleanly():
        (_promote if arguments.rollback is None else _roll_back)(arguments)
    return 0


def _promote(arguments: argparse.Namespace) -> None:
    done = promote(
        arguments.new,
        arguments.to,
        path=arguments.data,
        force=arguments.force,
        sign=arguments.sign,
        verify=arguments.verify,
    )
    if done.comparison:
        from tf_model.evaluation.comparison import print_comparison

        print_comparison(cli.stdout(), done.comparison)
    cli.say(f"promoted {paths.shown(arguments.new)} to {paths.shown(done.target)}")
    if done.previous:
        name = done.target.name if done.target.parent == paths.SAVED_MODELS.resolve() else str(done.target)
        cli.say(
            f"the version before is kept in {paths.shown(done.previous)}; to go back: "
            f"python -m tf_model.promote --rollback {shlex.quote(name)}"
        )


def _roll_back(arguments: argparse.Namespace) -> None:
    for option in ("to", "data", "force", "sign"):
        if getattr(arguments, option):
            raise UsageError(f"--{option} does not go with --rollback; leave one of them out")
    name = arguments.rollback
    target = Path(name) if os.sep in name else paths.SAVED_MODELS / name
    kept = rollback(target, arguments.verify)
    other = f"; the other is in {paths.shown(kept)}" if kept else ""
    cli.say(f"{paths.shown(target)} is the previous version again{other}")


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser("tf_model.promote", "Replace the model in use by a new one, or roll back.")
    either = parser.add_mutually_exclusive_group(required=True)
    either.add_argument("new", nargs="?", type=Path, metavar="NEW", help="folder of the new model, which is copied")
    either.add_argument("--rollback", metavar="NAME", help="swap a model and its previous version")
    add = parser.add_argument
    add("--to", type=Path, metavar="DIR", help="the model to replace (default: the one of the same task)")
    add("--data", metavar="PATH", help="the dataset to compare both on; searched for if not given")
    add("--force", action="store_true", help="promote it even if it is worse, has other classes or cannot be compared")
    add("--verify", type=Path, metavar="PUBLIC_KEY", help="refuse a model not signed with this key (PEM)")
    add("--sign", type=Path, metavar="KEY", help="sign the promoted copy with this elliptic-curve key (PEM)")
    return parser


if __name__ == "__main__":
    cli.run(main)
