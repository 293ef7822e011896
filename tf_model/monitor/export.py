"""Export corrections as a file to train with, with the labels of the dataset."""

from pathlib import Path

import pandas

from tf_model import tasks
from tf_model.data.dataset import SUFFIXES
from tf_model.data.examples import SPAN
from tf_model.errors import DataError, UsageError
from tf_model.io import tables
from tf_model.modeling.joint_label import NOT_SURE
from tf_model.monitor.store import Store

COLUMNS = ["text", tasks.PRODUCT.name, tasks.EMOTION.name, *SPAN]


def labelled_rows(corrections: pandas.DataFrame) -> pandas.DataFrame:
    """Training rows from the corrections of a :class:`Store`, newest first: :data:`COLUMNS`, in order of time.

    A correction gives the labels that the user named. A confirmation gives the predicted labels, unless the answer was
    "Not sure", which confirms nothing. A text without emotion has no product, as in the dataset. Of several corrections
    of a text, the last one with a label counts. Blank texts and texts without any label are left out. Each corrected
    mention of a product has a row of its own, with the characters from ``start`` up to ``end``.
    """
    corrections = corrections[::-1]
    is_confirmed = corrections["is_correct"] & (corrections["answer"] != NOT_SURE)
    product, emotion = (
        corrections[f"correct_{task}"].fillna(corrections[task].where(is_confirmed)) for task in ("product", "emotion")
    )
    is_mention = corrections["start"].notna()
    is_emotion_alone = ~is_mention & ((emotion == tasks.NO_EMOTION) | (emotion == corrections["answer"]))
    text = corrections["text"].str.replace("\0", " ", regex=False)  # text files cannot hold a NUL character
    rows = corrections.assign(text=text, product=product.mask(is_emotion_alone), emotion=emotion)[COLUMNS]
    rows = rows[(text.str.strip() != "") & rows[["product", "emotion"]].notna().any(axis=1)]
    return rows[~rows.assign(product=rows["product"].where(is_mention))[["text", "product"]].duplicated(keep="last")]


def export(store: Store, output: Path, overwrite: bool = False, model: str | None = None) -> tuple[int, int, list[str]]:
    """Write the corrections, of one ``model`` or of all, as a file that ``python -m tf_model.train --extra`` reads.

    Returns the number of rows written, the number of corrections left out (without a label, or repeated), and notes
    for the user, such as on texts too long for a cell of a workbook. Raises :class:`DataError` if there is nothing to
    export, :class:`OutputError`, and :class:`UsageError` for a suffix that training does not read.
    """
    if output.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"{output}: expected a name that ends in {', '.join(SUFFIXES)}, which `python -m tf_model.train --extra` "
            f"reads, got {output.suffix or 'no ending'!r}; choose one of these"
        )
    tables.check_output(output, overwrite)
    corrections = store.rows("corrections", streams=(model,))
    rows = labelled_rows(corrections)
    if rows.empty:
        of_model = f" of the model {model!r}" if model else ""
        raise DataError(
            f"none of the {len(corrections):,} corrections{of_model} names a product or an emotion; correct some "
            "answers in the app first"
        )
    with tables.table_writer(output, overwrite) as writer:
        writer.write(rows)
    return len(rows), len(corrections) - len(rows), list(writer.notes)
