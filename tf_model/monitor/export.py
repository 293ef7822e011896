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
    """Training rows from the corrections of a :class:`Store`: the columns :data:`COLUMNS`, in order of time.

    A correction gives the labels that the user named. A confirmation gives the predicted labels, unless the answer was
    "Not sure", which confirms nothing. A text without emotion has no product, as in the dataset. Of several corrections
    of a text, the last one with a label counts; a "wrong" without a label takes back a confirmation. Blank texts and
    texts without any label are left out. Each corrected mention of a product has a row of its own, with the characters
    from ``start`` up to ``end``.
    """
    rows: dict[tuple[str, str | None], tuple] = {}  # by text and product of a mention, in order of time
    confirmed_keys: set[tuple[str, str | None]] = set()
    for correction in corrections.astype(object).where(corrections.notna(), None).itertuples():
        is_confirmed = correction.is_correct and correction.answer != NOT_SURE
        product = correction.correct_product or (correction.product if is_confirmed else None)
        emotion = correction.correct_emotion or (correction.emotion if is_confirmed else None)
        is_mention = correction.start is not None
        text = correction.text.replace("\0", " ")  # text files cannot hold a NUL character
        key = text, product if is_mention else None
        # The answer is an emotion alone.
        if not is_mention and emotion and emotion in (tasks.NO_EMOTION, correction.answer):
            product = None
        if text.strip() and (product or emotion):
            rows.pop(key, None)  # so that the later correction goes to the end
            rows[key] = (text, product, emotion, correction.start, correction.end)
            (confirmed_keys.add if correction.is_correct else confirmed_keys.discard)(key)
        elif not correction.is_correct and key in confirmed_keys:
            rows.pop(key, None)
    return pandas.DataFrame(list(rows.values()), columns=COLUMNS).astype(dict.fromkeys(SPAN, "Int64"))


def export(store: Store, output: Path, overwrite: bool = False) -> tuple[int, int, list[str]]:
    """Write the corrections as a file that ``python -m tf_model.train --extra`` reads.

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
    corrections = store.corrections()
    rows = labelled_rows(corrections)
    if rows.empty:
        raise DataError(
            f"none of the {len(corrections):,} corrections names a product or an emotion; correct some answers in the "
            "app first"
        )
    with tables.table_writer(output, overwrite) as writer:
        writer.write(rows)
    return len(rows), len(corrections) - len(rows), list(writer.notes)
