"""Report on a file of texts: what people feel about each product, how certain that is, and what changed."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_model import cli, paths, tasks
from tf_model.errors import DataError, UsageError, listed
from tf_model.io import tables
from tf_model.io.characters import well_formed
from tf_model.io.files import make_folder, refuse_to_overwrite, whole_file, write_json

if TYPE_CHECKING:
    import pandas as pd

    from tf_model.data.products import Products
    from tf_model.inference.predictor import Predictor
    from tf_model.inference.targets import TargetPredictor

TEMPLATES = Path(__file__).parent / "analysis"


def main(argv: list[str] | None = None) -> int:
    """``python -m tf_model.report``: read a file, predict for its texts, and write the report and its figures."""
    arguments = _parser().parse_args(argv)
    output: Path = arguments.output
    if output.suffix.lower() != ".html":
        raise UsageError(
            f"expected an output whose name ends in .html, got {output}; its numbers are written beside it as .json"
        )
    json_path = output.with_suffix(".json")
    for target in (output, json_path):
        refuse_to_overwrite(target, arguments.overwrite, Path(arguments.input))
    make_folder(output.parent)
    with cli.stopped_cleanly(), tables.open_table(arguments.input, arguments.column, arguments.sheet) as table:
        cli.say(f"reading the texts of column {table.text_column!r} ({table.reason})")
        cli.say_notes(table.notes)
        predictor, products = _load(arguments)
        result, texts = predict_rows(table, predictor, products)
        if table.total_rows is None:  # standard input is read only now
            cli.say_notes(table.notes)
    from tf_model.analysis.figures import figures
    from tf_model.inference.fit import NO_PRODUCT

    model = getattr(predictor, "model", predictor)  # of a TargetPredictor
    contents = figures(result, texts, model, well_formed(Path(arguments.input).name), not arguments.no_texts)
    page = render(contents)
    with whole_file(output, arguments.overwrite) as part:
        part.write_text(page, encoding="utf-8")
    write_json(json_path, contents, arguments.overwrite)
    cli.say(
        f"wrote {paths.shown(output)} and {paths.shown(json_path)} "
        f"({contents['counted']:,} of {contents['rows']:,} rows)"
    )
    if contents["not_fit"]:
        cli.say("not counted: " + "; ".join(f"{reason} {count:,}" for reason, count in contents["not_fit"].items()))
        if not contents["counted"] and NO_PRODUCT in contents["not_fit"]:
            cli.say("is the list of products yours? --products gives another")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser("tf_model.report", __doc__.splitlines()[0])
    add = parser.add_argument
    add("input", metavar="INPUT", help="a file of texts")
    add("--output", type=Path, required=True, metavar="REPORT", help="the .html to write; a .json is written beside it")
    add("--overwrite", action="store_true", help="replace both files if they exist")
    add("--column", metavar="NAME", help="the column with the texts; detected if not given")
    add("--sheet", metavar="NAME", help="the sheet of a workbook (default: the first with a text column)")
    where = "(default: saved_models/target, else answer)"
    add("--model", type=Path, metavar="DIR", help=f"a model that you trust {where}")
    add("--products", type=Path, metavar="FILE", help="the products to look for, .csv or .yaml (default: the model's)")
    add("--no-texts", action="store_true", help="quote no texts in the report")
    return parser


def _load(arguments: argparse.Namespace) -> tuple[Predictor | TargetPredictor, Products | None]:
    """The model, and the products of which a text must name one; None if they are unknown."""
    from tf_model.data.products import read_products
    from tf_model.inference.fit import known_products
    from tf_model.inference.predictor import Predictor, find_model
    from tf_model.inference.targets import TargetPredictor
    from tf_model.model_dir import METRICS, is_there, read_json, read_labels

    default = paths.SAVED_MODELS / tasks.TARGET.name
    folder = find_model(arguments.model or (default if is_there(default) else None))
    labels = read_labels(folder)
    read_json(folder / METRICS, required=True)  # the report shows them: without them, no text need be scored
    if tasks.TARGET.name in labels:
        predictor = TargetPredictor.load(folder, arguments.products)
        return predictor, predictor.products
    if not tasks.has_answer(labels):
        raise UsageError(
            f"{folder} predicts {listed(labels)}, but a report needs product and emotion; run `make answer`"
        )
    classes = labels[tasks.PRODUCT.name]
    products = read_products(arguments.products) if arguments.products else known_products(labels)
    if arguments.products and (unknown := [name for name in products.aliases if name not in classes]):
        advice = "a `target` model works for any product: run `make targets`"
        raise UsageError(f"{paths.shown(folder)} knows only {listed(classes)}, not {listed(unknown)}; {advice}")
    return Predictor.load(folder), products


def predict_rows(
    table: tables.Table, predictor: Predictor | TargetPredictor, products: Products | None
) -> tuple[pd.DataFrame, pd.Series]:
    """The rows of a table with predictions, probabilities and status, and their texts; both have one unique index.

    Raises :class:`DataError` if the table has no texts.
    """
    import pandas as pd

    from tf_model.inference.fit import STATUS, FitCheck
    from tf_model.inference.render import count_progress

    tables.refuse_without_texts(table)
    names, check = tables.input_renames(table, [STATUS]), FitCheck(getattr(predictor, "model", predictor), products)
    with count_progress(table.total_rows, show=True) as advance:
        parts = [
            rows.rename(columns=names).assign(**{STATUS: check.of_rows(table, rows)})
            for rows in predictor.predict_table(table, probabilities=True, on_progress=advance)
        ]
    result = pd.concat(parts, ignore_index=True)
    if result.empty:
        raise DataError(f"{table.name} has no rows; give a file with texts")
    texts = pd.Series(table.texts(result), dtype=object).map(tables.as_text, na_action="ignore")
    return result, texts.fillna("")


def render(contents: Mapping[str, Any]) -> str:
    """Render the figures as one HTML page that needs neither a network nor scripts."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent
    environment.filters["points"] = lambda share: f"{100 * share:+.1f}"
    environment.filters["count"] = "{:,}".format
    return environment.get_template("report.html.j2").render(contents)


def percent(share: float) -> str:
    """A share, 0 to 1, as a percentage: ``"0%"``, ``"4.2%"``, ``"42%"``."""
    return f"{100 * share:.1f}%" if 0.0005 <= share < 0.0995 else f"{100 * share:.0f}%"


if __name__ == "__main__":
    cli.run(main)
