"""``python -m tf_model.predict --explain``: each word's weight for the answer, on the terminal or as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tf_model import cli
from tf_model.inference.render import standard_output
from tf_model.io.text_files import json_line

if TYPE_CHECKING:
    from tf_model.inference.predictor import Predictor

BAR = 12  # characters of the longest bar


def explain_texts(predictor: Predictor, texts: Sequence[str], threshold: float | None, form: str | None) -> None:
    """Print the prediction for each text and the weights of its words; ``form`` "json" prints one object a line."""

    predictions = predictor.predict(texts, threshold=threshold)
    for text, (_, row) in zip(texts, predictions.iterrows(), strict=True):
        found = predictor.explain(text)
        if form == "json":
            values = {name: value if isinstance(value, str) else round(float(value), 6) for name, value in row.items()}
            with standard_output() as stream:
                stream.write(json_line({"text": text, **values, "explanation": asdict(found)}) + "\n")
        else:
            _print(text, row, found)


def _print(text: str, row: Any, found: Any) -> None:
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    from tf_model.io.characters import visible

    chosen = {task: getattr(found, task) for task in ("product", "emotion") if getattr(found, task)}
    answer = row.get("answer")
    guesses = [f"{label} ({row[f'{task}_confidence']:.3f})" for task, label in chosen.items()]
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("word")
    for label in chosen.values():
        table.add_column(Text(visible(f"for {label}")), justify="right", no_wrap=True)
        table.add_column("", no_wrap=True)
    largest = max((abs(weight) for task in chosen for weight in getattr(found, f"{task}_weights")), default=0) or 1
    for place, word in enumerate(found.words):
        cells = []
        for task in chosen:
            weight = getattr(found, f"{task}_weights")[place]
            cells += [f"{weight:+.2f}", ("+" if weight > 0 else "-") * round(abs(weight) / largest * BAR)]
        table.add_row(Text(visible(word)), *cells)
    stdout = cli.stdout()
    stdout.print(Text(visible(text)[:500]), soft_wrap=True)
    stdout.print(Text(visible(": ".join([*([answer] if answer else []), ", ".join(guesses)]))), soft_wrap=True)
    if found.words:
        stdout.print(table)
    else:
        stdout.print("no word is left after cleaning: nothing to explain")
