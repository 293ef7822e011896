"""What is in the labelled tweets, as tidy tables: one observation a line, nothing drawn.

:func:`describe` turns the labelled rows of :mod:`tf_model.data` into a table with one line per tweet; every other
function takes that table, whole or filtered, and never changes it. An empty table is no error: what comes back is
empty, or counts nothing.
"""

from tf_model.eda.labels import emotion_by_product, emotions, length_summary, lengths, products, without_product
from tf_model.eda.repeats import NOTIONS, conflicting_labels, conflicts, groups_by, repeats
from tf_model.eda.surface_features import after_cleaning, count_surface_features, token_counts, with_surface_feature
from tf_model.eda.tweets import NO_LABEL, NO_PRODUCT, Filter, describe, label_order, named
from tf_model.eda.words import frequent_words, keyword_rule, keyword_scores, several_named, telling_words, with_words

__all__ = [
    "NOTIONS",
    "NO_LABEL",
    "NO_PRODUCT",
    "Filter",
    "after_cleaning",
    "conflicting_labels",
    "conflicts",
    "count_surface_features",
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
    "products",
    "repeats",
    "several_named",
    "telling_words",
    "token_counts",
    "with_surface_feature",
    "with_words",
    "without_product",
]
