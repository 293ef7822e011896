"""``python -m research.report``: write the pages and their figures from the recorded runs."""

from tf_model import cli, paths
from tf_model.errors import OutputError
from tf_model.io.files import whole_file

PAGES = ("results", "reproduction", "benchmarks")


def main(argv: list[str] | None = None) -> int:
    """Write the pages, and the figures of results.md."""
    parser = cli.parser("research.report", "Write research/*.md and research/figures/ from the recorded runs.")
    parser.parse_args(argv)
    from research.report.figures import draw_all
    from research.report.pages import render

    for page in PAGES:
        path = paths.RESEARCH / f"{page}.md"
        text = render(page)
        with whole_file(path, overwrite=True) as part:
            part.write_text(text, encoding="utf-8")
        cli.say(f"written to {paths.shown(path)}")
    try:
        for path in draw_all():
            cli.say(f"written to {paths.shown(path)}")
    except OutputError as error:
        cli.say(f"warning: the figures are not updated: {error}")
    return 0


if __name__ == "__main__":
    cli.run(main)
