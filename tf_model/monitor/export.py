"""Corrections as a file to train with: the columns and labels of the dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tf_model import tasks
from tf_model.errors import DataError, UsageError
from tf_model.io import tables
from tf_model.monitor.store import Store
from tf_model.tasks import COLUMNS

if TYPE_CHECKING:
    import pandas


class Exported(NamedTuple):
    """How many rows were written, how many corrections were left out (without a label, or repeated), and remarks for
    the user, such as on texts that did not fit into a cell of a workbook."""

    rows: int
    left_out: int
    notes: tuple[str, ...]


def labelled(corrections: pandas.DataFrame) -> pandas.DataFrame:
    """What can be learned from corrections.

    A correction gives the labels that the user named. One that agrees gives those that were predicted, unless the
    answer was "Not sure", which confirms nothing. A text without emotion has no product, as in the dataset. Of several
    corrections of one text the last that has a label counts: one without changes nothing, except that a "wrong" takes
    back a confirmation.

    Args:
        corrections: What :meth:`tf_model.monitor.store.Store.corrections` returns.

    Returns:
        The three columns of the dataset, in the order of time; a label that is not known is missing. Texts with neither
        label, and blank ones, are left out.
    """
    import pandas

    from tf_model.modeling.joint_label import NOT_SURE

    rows: dict[int, tuple[str, str | None, str | None]] = {}  # by the hash of the text, in the order of time
    confirmed: set[int] = set()
    for each in corrections.astype(object).where(corrections.notna(), None).itertuples():
        agrees = each.is_correct and each.answer != NOT_SURE
        product = each.correct_product or (each.product if agrees else None)
        emotion = each.correct_emotion or (each.emotion if agrees else None)
        if emotion == tasks.NO_EMOTION:
            product = None
        text = each.text.replace("\0", " ")  # a NUL character cannot stand in a text file
        if text.strip() and (product or emotion):
            rows.pop(each.text_hash, None)  # the later one goes to the end
            rows[each.text_hash] = (text, product, emotion)
            (confirmed.add if each.is_correct else confirmed.discard)(each.text_hash)
        elif not each.is_correct and each.text_hash in confirmed:
            rows.pop(each.text_hash, None)
    return pandas.DataFrame(list(rows.values()), columns=list(COLUMNS))


def export(store: Store, output: Path, since: float = 0, overwrite: bool = False) -> Exported:
    """Write corrections as a file that ``python -m tf_model.train --extra`` reads.

    The file holds the texts as they are, for a program; a spreadsheet may take one that begins with ``=`` for a
    formula.

    Args:
        store: The log.
        output: The file to write; its suffix is one of :data:`tf_model.data.dataset.SUFFIXES`.
        since: Only corrections from then on, in seconds since 1970.
        overwrite: Whether the file may be replaced.

    Raises:
        DataError: There is nothing to export, or the log cannot be read.
        OutputError: The file exists and ``overwrite`` is false, or it cannot be written.
        UsageError: Its suffix is none that training reads.
    """
    from tf_model.data.dataset import SUFFIXES

    output = Path(output)
    if output.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"{output}: expected a name that ends in {', '.join(SUFFIXES)}, which `python -m tf_model.train --extra` "
            f"reads, got {output.suffix or 'no ending'!r}; choose one of these"
        )
    tables.check_output(output, overwrite)
    corrections = store.corrections(since)
    rows = labelled(corrections)
    if rows.empty:
        raise DataError(
            f"expected corrections that name a product or an emotion, got {len(corrections):,} corrections and none "
            "that does; correct some answers in the app first"
        )
    with tables.table_writer(output, overwrite) as writer:
        writer.write(rows)
    return Exported(len(rows), len(corrections) - len(rows), tuple(writer.notes))
