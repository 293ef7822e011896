"""``python -m tf_model.promote``: put a new model in the place of the one in use, and back again."""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path

from tf_model import cli, paths
from tf_model.errors import UsageError
from tf_model.promote.promotion import promote, rollback


def main(argv: list[str] | None = None) -> int:
    """``python -m tf_model.promote``: promote a model, or go back to the previous one."""
    arguments = _parser().parse_args(argv)
    if (arguments.new is None) == (arguments.rollback is None):
        raise UsageError("expected the folder of a new model, or --rollback NAME, and not both; see --help")
    with cli.stopped_cleanly():
        if arguments.rollback is not None:
            name = arguments.rollback
            target = Path(name) if os.sep in name else paths.SAVED_MODELS / name
            kept = rollback(target)
            cli.say(
                f"{paths.shown(target)} is the previous version again"
                + (f"; the other is in {paths.shown(kept)}" if kept else "")
            )
            return 0
        done = promote(
            arguments.new,
            arguments.to,
            path=arguments.data,
            force=arguments.force,
            allow_worse=arguments.allow_worse,
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
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser("tf_model.promote", "Put a new model in the place of the one in use, or go back.")
    parser.add_argument("new", nargs="?", type=Path, metavar="NEW", help="folder of the new model; it stays")
    parser.add_argument(
        "--to",
        type=Path,
        metavar="DIR",
        help="the model to replace; if not given, saved_models/answer, product or emotion, as the new one predicts",
    )
    parser.add_argument("--rollback", metavar="NAME", help="exchange a model and its previous version")
    parser.add_argument("--data", metavar="PATH", help="the dataset to compare the two on; searched for if not given")
    parser.add_argument("--allow-worse", action="store_true", help="promote also a model with a lower accuracy")
    parser.add_argument(
        "--force",
        action="store_true",
        help="promote also a model of the sample corpus over one of real tweets, one of another task, and one that "
        "cannot be compared",
    )
    return parser


if __name__ == "__main__":
    cli.run(main)
