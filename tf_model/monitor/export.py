"""Corrections as rows to train with, with the labels of the dataset."""

import pandas

from tf_model import tasks
from tf_model.data.examples import SPAN
from tf_model.modeling.joint_label import NOT_SURE

COLUMNS = ["text", tasks.PRODUCT.name, tasks.EMOTION.name, *SPAN]


def labelled_rows(corrections: pandas.DataFrame) -> pandas.DataFrame:
    """Training rows from the ``corrections`` of a log, newest first: :data:`COLUMNS`, in order of time.

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
