"""What is in the labelled tweets, as tidy tables: one observation a line, nothing drawn.

:func:`describe` turns the labelled rows of :mod:`tf_model.data` into a table with one line per tweet; every other
function takes that table, whole or filtered, and never changes it. The notebook and the page of the app draw the
same tables. An empty table is no error: what comes back is empty, or counts nothing.
"""

from tf_model.eda.keywords import keyword_rule, keyword_scores, named_by_product, several_named
from tf_model.eda.labels import emotion_by_product, emotions, length_summary, lengths, products, without_product
from tf_model.eda.repeats import NOTIONS, conflicting_labels, conflicts, groups_by, repeats
from tf_model.eda.surface_features import MARKS, after_cleaning, count_marks, token_counts, with_mark
from tf_model.eda.tweets import NO_LABEL, NO_PRODUCT, Filter, describe, label_order, named, terms
from tf_model.eda.words import frequent_words, telling_words, with_words

__all__ = [
    "MARKS",
    "NOTIONS",
    "NO_LABEL",
    "NO_PRODUCT",
    "Filter",
    "after_cleaning",
    "conflicting_labels",
    "conflicts",
    "count_marks",
    "describe",
    "emotion_by_product",
    "emotions",
    "frequent_words",
    "groups_by",
    "keyword_rule",
    "keyword_scores",
    "label_order",
    "length_summary",
    "lengths",
    "named",
    "named_by_product",
    "products",
    "repeats",
    "several_named",
    "telling_words",
    "terms",
    "token_counts",
    "with_mark",
    "with_words",
    "without_product",
]
