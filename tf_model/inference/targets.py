"""The emotion directed at each product that a text names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tf_model import model_dir, paths, tasks
from tf_model.data.products import Products, read_products
from tf_model.errors import ModelError
from tf_model.inference.attribution import Explanation
from tf_model.inference.predictor import RUNTIMES, Measured, Predictor, TablePredictor, find_model, model_input
from tf_model.model_dir import probability_column
from tf_model.modeling.joint_label import NOT_SURE
from tf_model.preprocessing.cleaning import mark

MENTION_COLUMNS = {"product": "str", "mention": "str", "start": "Int64", "end": "Int64"}  # start, end: from 0
EMOTION_COLUMNS = {"emotion": "str", "emotion_confidence": "float32"}
UNNAMED = "unnamed"  # the mention if a text names no product; its row is a guess of the answer model
TASK = tasks.TARGET.name


@dataclass(frozen=True)
class TargetPredictor(TablePredictor):
    """A model of the task ``target`` with the products that it looks for; used like a :class:`Predictor`."""

    model: Predictor
    products: Products
    answer: Predictor | None = None  # guesses for the texts that name no product

    @classmethod
    def load(
        cls, folder: Path | str | None = None, products: Path | str | None = None, runtime: str = RUNTIMES[0]
    ) -> TargetPredictor:
        """Load what :func:`find_target_model` finds, see :meth:`Predictor.load`.

        Raises :class:`ModelError` and :class:`DataError`.
        """
        model, product_list, answer = find_target_model(folder, products)
        return cls(Predictor.load(model, runtime), product_list, Predictor.load(answer, runtime) if answer else None)

    def columns(self, probabilities: bool = False) -> dict[str, str]:
        """The columns of the predictions with their dtypes, see :func:`target_columns`."""
        return target_columns(self.model.labels, probabilities)

    def predict_measured(
        self, texts: Sequence[Any], on_progress: Callable[[int], None] | None = None, threshold: float | None = None
    ) -> Measured:
        """One row for each product that a text names, with the index of the text; times are not measured.

        A text that names no product has one row. Without an answer model it is empty; with one, the mention is
        :data:`UNNAMED`, and product and emotion are that model's guess. An emotion below ``threshold`` (0 to 1; None:
        the model's own) is "Not sure".
        """
        import pandas as pd

        inputs = [model_input(text).decode() for text in texts]
        rows = [
            (index, product, text[mention.start : mention.end], mention.start, mention.end)
            for index, text in enumerate(inputs)
            for product, mention in self.products.first_mentions(text).items()
        ]
        mentions = pd.DataFrame(rows, columns=["text", *MENTION_COLUMNS])
        marked_texts = [mark(inputs[index], start, end) for index, *_, start, end in rows]
        unnamed = sorted(set(range(len(inputs))) - set(mentions["text"]))
        total, scored = len(rows) + len(unnamed), 0

        def advance(count: int) -> None:  # of mentions, or of texts without one: their share of all stands for texts
            nonlocal scored
            before, scored = scored, scored + count
            if on_progress and count:
                on_progress(len(inputs) * scored // total - len(inputs) * before // total)

        scores = self.model.predict(marked_texts, probabilities=True, on_progress=advance, threshold=threshold)
        scores = scores.drop(columns=TASK).rename(columns=lambda name: name.replace(TASK, "emotion", 1))
        scores = scores.rename(columns={tasks.ANSWER: "emotion"})
        guesses = self._guess(inputs, unnamed, advance, threshold)
        combined = pd.concat([pd.concat([mentions, scores], axis=1), guesses]).sort_values("text", kind="stable")
        columns = self.columns(probabilities=True)
        return Measured(combined.astype({"text": "int64", **columns}).set_index("text")[list(columns)], {}, None)

    def _guess(
        self, texts: Sequence[str], indices: Sequence[int], advance: Callable[[int], None], threshold: float | None
    ) -> Any:
        """One row for each text at ``indices``, which names no product, without a product that is not looked for."""
        import pandas as pd

        rows = pd.DataFrame({"text": indices})
        if not self.answer:
            advance(len(indices))
        elif indices:
            guesses = self.answer.predict([texts[index] for index in indices], False, advance, threshold)
            is_sure = guesses[tasks.ANSWER] != NOT_SURE
            is_directed = is_sure & (guesses[tasks.ANSWER] != guesses["emotion"])
            is_directed &= guesses["product"].isin(self.products.aliases)
            rows["product"] = guesses["product"].where(is_directed)
            rows["mention"] = UNNAMED
            rows["emotion"] = guesses["emotion"].where(is_sure, NOT_SURE)
            rows["emotion_confidence"] = guesses["emotion_confidence"]
            is_blank = [not texts[index].strip() for index in indices]
            rows.loc[is_blank, rows.columns != "text"] = None
        return rows

    def explain(self, text: Any, row: Mapping[str, Any]) -> Explanation | None:
        """How much each word of ``text`` speaks for the emotion in a ``row`` of :meth:`predict`; None without one."""
        import pandas as pd

        if pd.isna(row["start"]):
            if not self.answer or pd.isna(row["emotion"]):
                return None
            explanation = self.answer.explain(text)
            return Explanation(explanation.words, {"emotion": explanation.tasks["emotion"]})
        explanation = self.model.explain(mark(model_input(text).decode(), row["start"], row["end"]))
        return Explanation(explanation.words, {"emotion": explanation.tasks[TASK]})


def find_target_model(
    folder: Path | str | None = None, products: Path | str | None = None
) -> tuple[Path, Products, Path | None]:
    """The folder of a model, the products to look for, and the folder of an answer model, None if there is none.

    The defaults are ``saved_models/target`` and the model's own products; the answer model is ``saved_models/answer``,
    if it knows the same emotions. Raises :class:`ModelError` if the model is of another task, and :class:`DataError`
    for the products file.
    """
    default, answer = paths.SAVED_MODELS / TASK, paths.SAVED_MODELS / tasks.ANSWER
    if folder is None and not model_dir.is_there(default):
        raise ModelError(f"no model in {paths.shown(default)}; run `make targets`, or name the folder of one")
    folder = find_model(folder or default)
    labels = model_dir.read_labels(folder)
    if not labels.get(TASK):
        raise ModelError(f"{folder} predicts for a whole text, not for each product; name the folder of another model")
    products_file = Path(products or folder / model_dir.PRODUCTS)
    if not products and not products_file.is_file():
        raise ModelError(f"{paths.shown(products_file)} is missing; give the products with --products FILE")
    is_guesser = model_dir.is_there(answer) and can_guess(model_dir.read_labels(answer), labels)
    return folder, read_products(products_file), answer if is_guesser else None


def can_guess(labels: Mapping[str, Sequence[str]], target_labels: Mapping[str, Sequence[str]]) -> bool:
    """Whether a model with these labels gives answers with the emotions of a model of targets."""
    return tasks.has_answer(labels) and labels.get(tasks.EMOTION.name) == target_labels.get(TASK)


def target_columns(labels: Mapping[str, Sequence[str]], probabilities: bool = False) -> dict[str, str]:
    """The columns of predictions and their dtypes; ``probabilities`` adds ``emotion_probability_<label>``."""
    classes = labels[TASK] if probabilities else ()
    return MENTION_COLUMNS | EMOTION_COLUMNS | {probability_column("emotion", label): "float32" for label in classes}
