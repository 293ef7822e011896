"""Split rows into training and validation: the report's split, and folds without near-duplicates on both sides.

If one of two near-duplicates is trained on and the other validates, the validation accuracy is too optimistic.
"""

import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tf_model import tasks
from tf_model.data.examples import TrainingRows
from tf_model.errors import DataError, UsageError, listed
from tf_model.preprocessing.cleaning import MASK, MENTION, unmark

# Applied to lower-cased text. "RT @a: RT @b: text" is a retweet of a retweet.
RETWEET_MARKS = re.compile(r"^(?:\W*rt:?\s*@\w+)+")
_NO_WORDS = re.compile(r"(?:https?://\S+|pic\.twitter\.com/\S+|[\W_])+")
THRESHOLD = 0.8  # least cosine similarity of near-duplicates
# How many similarities are held in memory at once: some hundred megabytes for any number of texts.
BLOCK_ROWS, BLOCK_PAIRS = 1_000, 10_000_000


class Split(NamedTuple):
    """Positions of the training and the validation rows, counted from 0: two int64 arrays without common values."""

    train: np.ndarray
    validation: np.ndarray


def report_split(
    label_ids: np.ndarray, seed: int = 42, validation_size: float = 0.2, labels: Sequence[str] = ()
) -> Split:
    """The report's split: ``train_test_split(test_size=0.2, random_state=42)`` over the rows in file order.

    Use it to compare with the report, and :func:`grouped_folds` to evaluate a model. Raises :class:`DataError` if there
    are too few rows, or the training part lacks a class; ``labels`` are the class names for the message.
    """
    from sklearn.model_selection import train_test_split

    try:
        train, validation = train_test_split(np.arange(len(label_ids)), test_size=validation_size, random_state=seed)
    except ValueError as error:
        raise DataError(
            f"expected enough labelled rows for training and validation, got {len(label_ids)}; label more rows"
        ) from error
    missing = np.setdiff1d(label_ids, label_ids[train])
    if missing.size:
        raise DataError(
            f"each class needs an example in the training part, but with seed {seed} it has none of "
            f"{_class_names(missing, labels)}; label more of them, or choose another --split-seed"
        )
    return Split(train, validation)


def training_split(rows: TrainingRows, seed: int, validation_size: float) -> tuple[Split, str]:
    """Return the split and its description: as in the report for product or emotion alone, else by groups.

    Raises :class:`DataError` if there are too few rows, and :class:`UsageError` if ``validation_size`` is not 1 / n.
    """
    if not tasks.has_answer(task.name for task in rows.tasks):
        split = report_split(rows.strata, seed, validation_size, rows.strata_names)
        return split, (
            f"random split (seed {seed}, {validation_size:.0%} to validate), as in the report: "
            "near-duplicates may be on both sides"
        )
    folds = max(2, round(1 / validation_size))
    if abs(1 / folds - validation_size) > 0.01:
        raise UsageError(
            "--task answer and target validate on one of several folds, so --validation-size can be 0.5, 0.33, "
            f"0.25, 0.2 and so on, not {validation_size:g}; the nearest is {1 / folds:.2g}"
        )
    groups = near_duplicate_groups(rows.texts)
    split = folds_of(rows, groups, folds, seed)[0]
    has_labels = (rows.judged_ids[split.validation] != tasks.NO_LABEL).any(axis=0)
    unlabelled_tasks = [task.name for task, has_label in zip(rows.tasks, has_labels, strict=True) if not has_label]
    if unlabelled_tasks:
        raise DataError(
            f"expected validation rows of each task, but with seed {seed} none has a label of "
            f"{listed(unlabelled_tasks)}; label more of them, or choose another --split-seed"
        )
    return split, f"one of {folds} grouped folds (seed {seed}): no near-duplicate is on both sides"


def near_duplicate_groups(texts: Sequence[str], threshold: float = THRESHOLD) -> np.ndarray:
    """Number the texts so that near-duplicates, and near-duplicates of near-duplicates, share a number: int64 [N].

    Two texts are near-duplicates if the cosine of their TF-IDF vectors of 3 to 5 characters is at least ``threshold``,
    or their :func:`bare_words`, masked or not, are the same. Time grows with the square of the number of texts, memory
    does not.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    all_positions = groups = np.arange(len(texts))
    for rows, similarity in _similarity_blocks(texts, all_positions, all_positions):
        block_positions, other_positions = (similarity >= threshold).nonzero()
        # Joining whole groups, rather than collecting every pair first, keeps memory small.
        pairs = groups[rows[block_positions]], groups[other_positions]
        adjacency = coo_array((np.ones(len(block_positions), dtype=bool), pairs), shape=(len(texts), len(texts)))
        groups = connected_components(adjacency, directed=False)[1][groups]
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def folds_of(rows: TrainingRows, groups: np.ndarray, folds: int, seed: int) -> tuple[Split, ...]:
    """:func:`grouped_folds`, stratified by the rows' strata; every training part has each class of each task."""
    classes = [(ids, task.labels) for ids, task in zip(rows.label_ids.T, rows.tasks, strict=True)]
    return grouped_folds(rows.strata, groups, folds, seed, classes)


def grouped_folds(
    strata: np.ndarray,
    groups: np.ndarray,
    folds: int = 5,
    seed: int = 0,
    classes: Sequence[tuple[np.ndarray, Sequence[str]]] = (),
) -> tuple[Split, ...]:
    """scikit-learn's ``StratifiedGroupKFold(shuffle=True)``: stratified folds with each group on one side only.

    ``classes`` are class ids (int [N], -1: none) with their names, by default the strata. Raises :class:`DataError` if
    a training part would lack a class, or there are too few rows or groups.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    if folds < 2:
        raise UsageError(f"cross-validation needs at least 2 folds, got {folds}; 5 is usual")
    count, advice = len(np.unique(groups)), "use fewer folds (train: a larger --validation-size), or label more rows"
    if count < folds:
        raise DataError(f"{folds} folds need at least {folds} groups, got {count}; {advice}")
    largest = np.bincount(strata).max()
    if largest < folds:
        raise DataError(
            f"{folds} folds need a class of at least {folds} examples, but the largest has {largest}; {advice}"
        )
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A class may have fewer rows than folds; that each training part has the class is checked below.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        splits = tuple(Split(*parts) for parts in splitter.split(strata, strata, groups))
    for number, split in enumerate(splits, start=1):
        for ids, labels in classes or [(strata, ())]:
            missing = np.setdiff1d(ids[ids >= 0], ids[split.train])
            if missing.size:
                raise DataError(
                    "each class needs an example in every training part, and so at least 2 that are not "
                    f"near-duplicates, but fold {number} of {folds} trains without {_class_names(missing, labels)}; "
                    "label more of them, or choose another --split-seed (of evaluate: --fold-seed, --folds)"
                )
        if not split.validation.size:
            raise DataError(f"fold {number} of {folds} has no validation row; use fewer folds, or more groups")
    return splits


def nearest(texts: Sequence[str], rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the most similar text among ``columns`` for each of ``rows``; both are positions in ``texts``.

    Returns the similarities, float32 [rows], 0 to 1, and the positions of the texts found, int64 [rows].
    """
    blocks = [
        (similarity.max(axis=1).toarray().ravel(), np.asarray(similarity.argmax(axis=1)).ravel())
        for _, similarity in _similarity_blocks(texts, rows, columns)
    ]
    similarities, best_columns = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return similarities, columns[best_columns]


def near_validation(texts: Sequence[str], rows: TrainingRows, split: Split, dataset_texts: Sequence[str]) -> np.ndarray:
    """Whether each text is a near-duplicate of a validation text, bool [N].

    TF-IDF weights n-grams over all texts, the dataset's included.
    """
    if not len(texts):
        return np.zeros(0, bool)
    validation_texts = [unmark(rows.texts[position]) for position in split.validation]
    all_texts = [*texts, *validation_texts, *dataset_texts]
    similarities, _ = nearest(all_texts, np.arange(len(texts)), len(texts) + np.arange(len(validation_texts)))
    return similarities >= THRESHOLD


def _similarity_blocks(texts: Sequence[str], rows: np.ndarray, columns: np.ndarray) -> Iterator[tuple[np.ndarray, Any]]:
    """Yield a block of ``rows``, [B], and its similarities to ``columns``, sparse float32 [B, columns]."""
    if not len(rows):
        return
    # Of marked texts, those that a model of targets reads alike are duplicates too, whatever product is masked.
    masked_texts = [as_read(text) for text in texts]
    vectors = [_ngram_vectors(texts), _word_vectors(texts), _word_vectors(masked_texts)]
    pairs = [(each, each[columns].T.tocsr()) for each in vectors]
    block_size = min(BLOCK_ROWS, max(BLOCK_PAIRS // len(columns), 1))
    for start in range(0, len(rows), block_size):
        block = rows[start : start + block_size]
        ngrams, words, masked = (each[block] @ of_columns for each, of_columns in pairs)
        yield block, ngrams.maximum(words).maximum(masked).tocsr()


def _ngram_vectors(texts: Sequence[str]) -> Any:
    """TF-IDF of character n-grams, sparse float32 [N, n-grams], rows of length 1 (0 for an empty text)."""
    from scipy.sparse import csr_array
    from sklearn.feature_extraction.text import TfidfVectorizer

    if not any(text.strip() for text in texts):
        return csr_array((len(texts), 1), dtype=np.float32)
    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), dtype=np.float32)
    return csr_array(vectorizer.fit_transform(texts))


def _word_vectors(texts: Sequence[str]) -> Any:
    """One-hot vectors of the texts' :func:`bare_words`, sparse float32 [N, distinct sequences of words]."""
    from scipy.sparse import csr_array

    _, sequence = np.unique(np.array([bare_words(text) for text in texts], dtype=object), return_inverse=True)
    return csr_array((np.ones(len(texts), dtype=np.float32), (np.arange(len(texts)), sequence)))


def as_read(text: str) -> str:
    """A text with its marked mention masked, as a model of targets reads it."""
    return re.sub(MENTION, MASK, text)


def bare_words(text: str) -> str:
    """The words of a text in lower case, without punctuation, links and retweet marks; if none, the text in lower case.

    Each time that a link is shared, it may have another address.
    """
    lower = unmark(text).lower()
    return _NO_WORDS.sub(" ", RETWEET_MARKS.sub("", lower)).strip() or lower.strip()


def _class_names(ids: np.ndarray, labels: Sequence[str]) -> str:
    return ", ".join(f"{labels[i]!r} (id {i})" if i < len(labels) else f"class {i}" for i in map(int, ids))
