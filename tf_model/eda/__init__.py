"""What is in the labelled tweets, as tidy tables: one observation a line, nothing drawn.

:func:`describe` turns the labelled rows of :mod:`tf_model.data` into a table with one line per tweet; every other
function takes that table, whole or filtered, and never changes it. The notebook and the page of the app draw the
same tables. An empty table is no error: what comes back is empty, or counts nothing.
"""

from tf_model.eda.keywords import keyword_rule, keyword_scores, named_by_product, several_named
from tf_model.eda.labels import (
    NOTIONS,
    conflicting_labels,
    conflicts,
    emotion_by_product,
    emotions,
    groups_by,
    length_summary,
    lengths,
    products,
    repeats,
    without_product,
)
from tf_model.eda.surface_features import (
    SURFACE_FEATURES,
    after_cleaning,
    count_surface_features,
    token_counts,
    with_surface_feature,
)
from tf_model.eda.tweets import NO_LABEL, NO_PRODUCT, Filter, describe, label_order, named, terms
from tf_model.eda.words import frequent_words, telling_words, with_words

__all__ = [
    "NOTIONS",
    "NO_LABEL",
    "NO_PRODUCT",
    "SURFACE_FEATURES",
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
    "named_by_product",
    "products",
    "repeats",
    "several_named",
    "telling_words",
    "terms",
    "token_counts",
    "with_surface_feature",
    "with_words",
    "without_product",
]
