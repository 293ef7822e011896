"""What is in the labelled tweets, as tidy tables.

:func:`describe` makes a table with one line per tweet; every other function takes that table, whole, filtered or empty,
and never changes it.
"""

from tf_model.eda.labels import emotion_by_product, label_counts
from tf_model.eda.repeats import NOTIONS, conflicting_labels, conflicts, groups_by, repeats
from tf_model.eda.surface_features import after_cleaning, count_surface_features, token_counts, with_surface_feature
from tf_model.eda.tweets import NO_LABEL, NO_PRODUCT, describe, filter_tweets, is_label, label_order, named_brands
from tf_model.eda.words import distinctive_words, frequent_words, keyword_rule, keyword_scores, with_words
