"""``python -m research.report``: write the pages and their figures from the recorded runs."""

from tf_model import cli, paths
from tf_model.errors import OutputError
from tf_model.io.files import whole_file

PAGES = ("results", "reproduction", "benchmarks")


def main(argv: list[str] | None = None) -> int:
    """Write the pages that are asked for; the figures belong to results.md."""
    parser = cli.parser("research.report", "Write research/*.md and research/figures/ from the recorded runs.")
    parser.add_argument("pages", nargs="*", metavar="PAGE", help=f"{', '.join(PAGES)}; all if none is given")
    parser.add_argument("--no-figures", action="store_true", help="leave research/figures/ as it is")
    arguments = parser.parse_args(argv)
    if unknown := set(arguments.pages) - set(PAGES):
        parser.error(f"there is no page {', '.join(sorted(unknown))}; expected {', '.join(PAGES)}")
    from research.report.pages import render

    pages = arguments.pages or PAGES
    for page in pages:
        path = paths.RESEARCH / f"{page}.md"
        text = render(page)
        with whole_file(path, overwrite=True) as part:
            part.write_text(text, encoding="utf-8")
        cli.say(f"written to {paths.shown(path)}")
    if "results" in pages and not arguments.no_figures:
        from research.report.figures import draw_all

        try:
            for path in draw_all():
                cli.say(f"written to {paths.shown(path)}")
        except OutputError as error:
            cli.say(f"warning: the figures stay as they are: {error}")
    return 0


if __name__ == "__main__":
    cli.run(main)
