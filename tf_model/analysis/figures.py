"""All figures of a report, as one JSON-ready dictionary that the page and ``report.json`` share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tf_model import tasks
from tf_model.analysis.changes import Dates, by_period, find_changes, find_dates, period_of
from tf_model.analysis.compare import compare, distinctive_words
from tf_model.analysis.rows import LEAST_TEXTS, analysed_rows, emotions_of, find_source
from tf_model.analysis.shares import Correction, emotion_shares, read_correction
from tf_model.analysis.themes import QUOTES, describe_themes, find_themes
from tf_model.errors import TweetTargetError
from tf_model.inference.fit import FIT, STATUS, reasons_of
from tf_model.inference.predictor import Predictor, columns_of
from tf_model.inference.targets import target_columns
from tf_model.modeling.joint_label import answer_text


def figures(
    result: pd.DataFrame,
    texts: pd.Series,
    model: Predictor,
    name: str,
    with_texts: bool = True,
    checked_labels: pd.Series | None = None,
    chosen_themes: Mapping[str, Any] | None = None,
    dates: Dates | None = None,
    of_file: bool = False,
    products: Sequence[str] | None = None,
    counts_unfit: bool = False,
    period: str | None = None,
    correction: tuple[Correction | None, str] | None = None,
    by_words: bool = False,
) -> dict[str, Any]:
    """The figures of a user's file, called ``name``; for ``checked_labels`` see :func:`emotion_shares`.

    ``result`` has the file's own columns, the predictions of ``model`` with probabilities, and the status of each row;
    ``texts`` are its texts. Both have a unique index. Rows that are not fit for the model are left out but for their
    number, unless ``counts_unfit``.
    ``chosen_themes`` has, by ``emotion → product``, themes found or chosen before: the name of the theme of each row.
    If ``result`` is a selection ``of_file``, ``dates`` are those of the whole file, None if it has none, since the days
    of a few rows may look like months; and so are the ``products``, whose names tell no theme.
    ``correction``: what :func:`correction_of` returned, if the model may have been replaced since. ``by_words``:
    whether the rows were selected by a word, see :func:`emotion_shares`.
    ``period``: of the shares over time; default :func:`period_of`.
    """
    emotions = emotions_of(model.labels)
    is_target = tasks.TARGET.name in model.labels
    prediction_columns = (target_columns if is_target else columns_of)(model.labels, probabilities=True)
    own_columns = result.loc[:, ~result.columns.isin([*prediction_columns, STATUS])]
    dates = dates if of_file else find_dates(own_columns)
    is_fit = result[STATUS] == FIT
    is_counted = is_fit | counts_unfit
    rows = analysed_rows(result[is_counted], texts[is_counted], emotions, dates and dates.values)
    reasons = reasons_of(result.loc[~is_fit, STATUS]).str.split("; ").explode().value_counts()
    validation = model.metrics["validation"][tasks.TARGET.name if is_target else tasks.EMOTION.name]
    non_neutral = [emotion for emotion in emotions if emotion != model.no_emotion]
    correction, problem = correction or correction_of(model.folder)
    dated = rows["date"].notna().any()
    period = (period or period_of(rows["date"])) if dated else None
    return {
        "file": name,
        "date": pd.Timestamp.now("UTC").date().isoformat(),
        "model": {
            "name": model.name,
            "is_target": is_target,
            "version": model.version,
            "dataset": model.metrics.get("dataset"),
            "validation_rows": validation["rows"],
            "accuracy": validation["accuracy"],
            "per_emotion": {each: validation["per_class"][each] for each in non_neutral},
        },
        "emotions": list(emotions),
        "no_emotion": model.no_emotion,
        "rows": len(result),
        "counted": len(rows),
        "least_texts": LEAST_TEXTS,
        "unfit": int((~is_fit).sum()),
        "unfit_counted": int((~is_fit[rows.index]).sum()),
        "not_fit": reasons.to_dict(),
        "shares": _lines(emotion_shares(rows, emotions, correction, checked_labels, by_words)),
        "correction_rows": correction and correction.rows,
        "correction_problem": problem or None,
        "dates": dates and {"column": dates.column, "notes": list(dates.notes), "of_file": of_file},
        "period": period,
        "over_time": _lines(by_period(rows, non_neutral, period)) if dated else [],
        "changes": _lines(find_changes(rows, non_neutral, period=period)) if dated else [],
        "comparison": _comparison(rows, own_columns, emotions),
        "themes": _themes(rows, non_neutral, with_texts, chosen_themes or {}, period, products),
    }


def correction_of(folder: Path) -> tuple[Correction | None, str]:
    """The correction for the known errors of the model in ``folder``, or None and the reason."""
    try:
        return read_correction(folder), ""
    except TweetTargetError as error:
        return None, str(error)


def _comparison(rows: pd.DataFrame, own_columns: pd.DataFrame, emotions: Sequence[str]) -> dict[str, Any] | None:
    """Compare the two most frequent sources of texts; None if no column holds at least two."""
    source = find_source(own_columns)
    if source is None:
        return None
    _, source_column = source
    sources = source_column[rows.index]
    names = sources.value_counts().index[:2].tolist()
    if len(names) < 2:
        return None
    one, other = ((sources == each).to_numpy(bool) for each in names)
    lines, words = _lines(compare(rows, one, other, emotions)), distinctive_words(rows, one, other)
    sides = [{"name": each, "words": own_words} for each, own_words in zip(names, words, strict=True)]
    return {"column": str(source_column.name), "sides": sides, "lines": lines}


def _themes(
    rows: pd.DataFrame,
    emotions: Sequence[str],
    with_texts: bool,
    chosen_themes: Mapping[str, Any],
    period: str | None,
    names: Sequence[str] | None,
) -> list[dict[str, Any]]:
    """The themes of each product and emotion with enough texts, and the number of texts of each theme by period."""
    entries, products = [], rows["product"].value_counts().index
    names = products if names is None else names
    for product in products:
        for emotion in emotions:
            key = answer_text(emotion, product)
            if key in chosen_themes:
                themes = pd.Series(chosen_themes[key], dtype=object).rename(int)
            else:
                themes = find_themes(rows[(rows["product"] == product) & (rows["emotion"] == emotion)], names)
            lines = [
                {
                    "name": line.theme,
                    "words": line.words,
                    "texts": len(line.texts),
                    "trend": line.trend,
                    "quotes": rows.loc[line.texts[:QUOTES], "text"].tolist() if with_texts else [],
                }
                for line in describe_themes(rows, themes, names, period).itertuples()
            ]
            if lines:
                texts = sum(line["texts"] for line in lines)
                entries.append({"product": product, "emotion": emotion, "texts": texts, "themes": lines})
    return entries


def _lines(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table for JSON: NaN becomes null, a date an ISO string."""
    days = {name: table[name].dt.strftime("%Y-%m-%d") for name in ("start", "when") if name in table and len(table)}
    return json.loads(table.assign(**days).to_json(orient="records", double_precision=6))
