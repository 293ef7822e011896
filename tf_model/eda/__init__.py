"""What is in the labelled tweets, as tidy tables.

:func:`describe` makes a table with one line per tweet; every other function takes that table, whole, filtered or empty,
and never changes it.
"""

from tf_model.eda.counts import emotion_by_product, label_counts, repeats
from tf_model.eda.tweets import NO_LABEL, NO_PRODUCT, describe, filter_tweets, is_label, label_order
from tf_model.eda.words import distinctive_words, frequent_words, keyword_emotion, keyword_rule, with_words
