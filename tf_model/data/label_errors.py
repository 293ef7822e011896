"""Label errors: labels that a TF-IDF baseline, trained without the row, contradicts.

Source: C. Northcutt, L. Jiang and I. Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", Journal of
Artificial Intelligence Research 70 (2021), as implemented in the package cleanlab.
"""

from typing import Any

import numpy as np

FOLDS = 5
# The best for the product by `python -m research.baselines --choose`, on the training part of the report's split. For
# the emotion, 1 is better by 1.9 points of accuracy; its effect on the rows found is not measured.
INVERSE_PENALTY = 10.0
# Of the gradient. With scikit-learn's default, 1e-4, probabilities differ between processors by up to 0.03, because
# the last digit of a feature does.
TOLERANCE = 1e-6


def tfidf_features() -> Any:
    """An unfitted transformer: TF-IDF of words and pairs of words, and of 2 to 5 characters inside words."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    options = {"sublinear_tf": True, "min_df": 2, "dtype": np.float32}
    return make_union(
        TfidfVectorizer(ngram_range=(1, 2), **options),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), **options),
    )


def tfidf_classifier(inverse_penalty: float = INVERSE_PENALTY) -> Any:
    """An unfitted scikit-learn pipeline from raw texts to classes: :func:`tfidf_features` and logistic regression."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    # The fastest multiclass solver on these wide, sparse vectors (a third of the time of lbfgs).
    classifier = LogisticRegression(C=inverse_penalty, solver="newton-cg", tol=TOLERANCE, max_iter=1000)
    return make_pipeline(tfidf_features(), classifier)


def find_label_errors(label_ids: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Positions (int64) of the labels that confident learning considers errors, the most likely errors first.

    Every class must occur among the labels.
    """
    from cleanlab.filter import find_label_issues

    issues = find_label_issues(label_ids, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1)
    return np.asarray(issues, np.int64)


def label_confidence(label_ids: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The probability that the model gives to each row's own label, float [N], 0 to 1; low means doubtful."""
    return np.asarray(probabilities)[np.arange(len(label_ids)), label_ids]
