import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_datasets import long_targets
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.model_selection import train_test_split

from tf_model import data, tasks
from tf_model.data import splits
from tf_model.data.splits import (
    folds_of,
    grouped_folds,
    near_duplicate_groups,
    nearest,
    report_split,
    training_split,
)
from tf_model.errors import DataError, UsageError
from tf_model.preprocessing.cleaning import mark
from tf_model.tasks import PRODUCT, PRODUCTS

LONG = "the new tablet is out today and everybody in the queue wants to have one"
OTHER = "no charger left at the booth, which is a pity for all of us with old phones"
some_texts = st.lists(
    st.sampled_from([LONG, LONG + " now", LONG[10:], OTHER, OTHER[:50], "RT @me: " + OTHER, "", " ", ":)", "short"])
    | st.text("ab #@:.", max_size=12),
    max_size=12,
)


def partition(groups):
    """The groups as sets of positions, whatever their numbers."""
    return {frozenset(np.flatnonzero(groups == group).tolist()) for group in np.unique(groups)}


@pytest.fixture(scope="module")
def report_rows(real_dataset):
    """Texts and class ids of the labelled tweets, in the order of the file."""
    rows = data.training_rows(real_dataset, PRODUCT.name)
    return rows.texts, rows.label_ids[:, 0]


@pytest.fixture(scope="module")
def report_groups(report_rows):
    return near_duplicate_groups(report_rows[0])


class TestReportSplit:
    def test_is_scikit_learns_split_in_file_order(self):
        label_ids = np.arange(100) % 4
        train, validation = train_test_split(np.arange(100), test_size=0.2, random_state=42)
        split = report_split(label_ids)
        assert split.train.tolist() == train.tolist()
        assert split.validation.tolist() == validation.tolist()

    def test_seed_and_size_are_used(self):
        label_ids = np.arange(100) % 4
        assert report_split(label_ids, seed=1).train.tolist() != report_split(label_ids).train.tolist()
        assert len(report_split(label_ids, validation_size=0.31).validation) == 31

    def test_a_class_that_only_validates_is_named(self):
        label_ids = np.zeros(20, dtype=int)
        label_ids[report_split(label_ids).validation[:2]] = 1
        with pytest.raises(DataError, match=r"training part.*seed 42.*none of 'rare' \(id 1\).*another --split-seed"):
            report_split(label_ids, labels=("usual", "rare"))

    def test_a_class_without_rows_is_no_error(self):
        report_split(np.array([0, 2] * 10), labels=("a", "b", "c"))

    def test_too_few_rows(self):
        with pytest.raises(DataError, match=r"enough labelled rows.*got 2; label more"):
            report_split(np.array([0, 0]), validation_size=0.9)

    def test_real_data(self, report_rows):
        split = report_split(report_rows[1], labels=PRODUCTS)
        assert (len(split.train), len(split.validation)) == (2632, 659)


class TestNearDuplicateGroups:
    def test_no_text(self):
        assert near_duplicate_groups([]).tolist() == []

    def test_repeats_share_a_group(self):
        groups = near_duplicate_groups([LONG, OTHER, LONG, "", "", ":)", " ", "!?", ":)"])
        assert groups.dtype == np.int64
        assert partition(groups) == {frozenset(g) for g in ([0, 2], [1], [3, 4, 6], [5, 8], [7])}
        links = ("https://t.co/Ab3dEf9hiJ", "http://t.co/Zy8xWv5utS", "pic.twitter.com/Qr7sTu1vWx")
        assert not near_duplicate_groups([f"my Kindle broke {link}" for link in links]).any()

    @pytest.mark.parametrize(
        "retweet",
        ["RT @me: go", "rt @me go!", "RT @me: RT @you_2: Go", '"RT @me: go"', "RT: @me GO", "...go..."],
    )
    def test_a_retweet_is_with_its_tweet(self, retweet):
        assert partition(near_duplicate_groups(["Go", retweet, "stay", "RT @me: leave"])) == {
            frozenset(g) for g in ([0, 1], [2], [3])
        }

    def test_the_mentions_of_a_retweet_share_a_group_although_one_is_its_author(self):
        text = "RT @kindle: my Xbox is a joke"
        marked = [mark(text, 4, 10), mark(text, 15, 19)]
        assert partition(near_duplicate_groups([*marked, LONG])) == {frozenset([0, 1]), frozenset([2])}

    def test_mentions_of_two_products_that_read_alike_share_a_group(self):
        texts = [mark("I love my Kindle", 10, 16), mark("i love my Xbox!", 10, 14), mark("I hate my Xbox", 10, 14)]
        assert partition(near_duplicate_groups(texts)) == {frozenset([0, 1]), frozenset([2])}

    def test_a_word_that_ends_in_rt_is_no_retweet_mark(self):
        assert len(set(near_duplicate_groups(["start @me: go", "go"]))) == 2

    def test_groups_are_transitive(self):
        words = [f"word{i}number{i}" for i in range(40)]
        chain = [" ".join(words[i : i + 30]) for i in (0, 3, 6, 9)]
        cosine = cosine_similarity(TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5)).fit_transform(chain))
        threshold = min(cosine[0, 1], cosine[1, 2], cosine[2, 3]) - 0.01
        assert cosine[0, 3] < threshold
        assert near_duplicate_groups(chain, threshold).tolist() == [0, 0, 0, 0]

    def test_agrees_with_dense_similarities(self):
        texts = [LONG, LONG[:60], LONG[20:], OTHER, OTHER.upper() + " again", OTHER[30:], LONG + " " + OTHER]
        cosine = cosine_similarity(TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5)).fit_transform(texts))
        for threshold in (0.3, 0.6, 0.8, 0.95):
            reach = np.linalg.matrix_power((cosine >= threshold).astype(int), len(texts)) > 0
            expected = {frozenset(np.flatnonzero(row).tolist()) for row in reach}
            assert partition(near_duplicate_groups(texts, threshold)) == expected

    @given(some_texts, st.randoms(use_true_random=False))
    @settings(max_examples=25, deadline=None)
    def test_order_and_blocks_do_not_matter(self, texts, random):
        order = list(range(len(texts)))
        random.shuffle(order)
        expected = partition(near_duplicate_groups(texts))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(splits, "BLOCK_ROWS", 2)
            shuffled = near_duplicate_groups([texts[i] for i in order])
        assert {frozenset(order[i] for i in group) for group in partition(shuffled)} == expected

    def test_of_many_texts_few_rows_are_compared_at_once(self, monkeypatch):
        texts, places = [LONG, OTHER, LONG[:60], OTHER + " again", LONG, "something else"], np.arange(6)
        expected = near_duplicate_groups(texts).tolist()
        monkeypatch.setattr(splits, "BLOCK_PAIRS", 2 * len(texts))
        blocks = [rows.tolist() for rows, _ in splits._similarity_blocks(texts, places, places)]
        assert blocks == [[0, 1], [2, 3], [4, 5]]
        assert near_duplicate_groups(texts).tolist() == expected

    def test_real_repeats_share_a_group(self, report_rows, report_groups):
        bare = [re.sub(r"[\W_]+", " ", text.lower()).strip() for text in report_rows[0]]
        first = {}
        repeats = [(first.setdefault(text, i), i) for i, text in enumerate(bare)]
        repeats = [(one, other) for one, other in repeats if one != other]
        assert len(repeats) == 32
        assert all(report_groups[one] == report_groups[other] for one, other in repeats)

    def test_real_groups_are_many_and_small(self, report_groups):
        sizes = np.bincount(report_groups)
        assert len(sizes) == pytest.approx(2644, abs=20)
        assert sizes.max() < 0.02 * len(report_groups)


class TestGroupedFolds:
    @given(
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 14)), min_size=20, max_size=60),
        st.integers(2, 4),
        st.integers(0, 3),
    )
    @settings(max_examples=40, deadline=None)
    def test_no_group_is_on_both_sides_and_each_row_validates_once(self, rows, folds, seed):
        label_ids, groups = np.array(rows).T
        try:
            splits_ = grouped_folds(label_ids, groups, folds, seed)
        except DataError as error:
            assert "each class needs" in str(error) or "use fewer folds" in str(error)  # noqa: PT017
            return
        assert len(splits_) == folds
        assert sorted(np.concatenate([s.validation for s in splits_])) == list(range(len(rows)))
        for split in splits_:
            assert not set(groups[split.train]) & set(groups[split.validation])
            assert sorted([*split.train, *split.validation]) == list(range(len(rows)))
            assert set(label_ids[split.train]) == set(label_ids)

    def test_classes_are_spread_evenly(self):
        label_ids = np.repeat([0, 1], [80, 20])
        for split in grouped_folds(label_ids, np.arange(100)):
            assert np.bincount(label_ids[split.validation]).tolist() == [16, 4]

    def test_the_seed_decides(self):
        label_ids, groups = np.arange(60) % 3, np.arange(60) // 2
        parts = [[s.validation.tolist() for s in grouped_folds(label_ids, groups, seed=seed)] for seed in (0, 0, 1)]
        assert parts[0] == parts[1] != parts[2]

    def test_fewer_groups_than_folds(self):
        with pytest.raises(DataError, match="5 folds need at least 5 groups, got 3; use fewer folds"):
            grouped_folds(np.zeros(9, dtype=int), np.arange(9) % 3)

    def test_a_class_in_one_group_is_named(self):
        label_ids = np.array([0] * 10 + [1, 1])
        groups = np.array([*range(10), 10, 10])
        with pytest.raises(DataError, match=r"at least 2 that are not near-duplicates.*without 'rare' \(id 1\); label"):
            grouped_folds(label_ids, groups, classes=[(label_ids, ("usual", "rare"))])
        with pytest.raises(DataError, match="without class 1; label"):
            grouped_folds(label_ids, groups)

    @pytest.mark.filterwarnings("error")
    def test_a_class_in_fewer_groups_than_folds_is_no_error(self):
        label_ids = np.array([0] * 20 + [1, 1])
        for split in grouped_folds(label_ids, np.arange(22)):
            assert 1 in label_ids[split.train]

    @pytest.mark.parametrize(
        ("parts", "words"),
        [
            (([0, 1], [2, 3]), "fold 1 of 2 trains without class 1; label more"),
            (([0, 1, 2, 3], []), "fold 1 of 2 has no validation row; use fewer folds"),
        ],
    )
    def test_a_fold_that_cannot_be_used_is_named(self, monkeypatch, parts, words):
        class Unlucky:
            def __init__(self, **_):
                pass

            def split(self, *_):
                yield [np.array(part, dtype=int) for part in parts]

        monkeypatch.setattr("sklearn.model_selection.StratifiedGroupKFold", Unlucky)
        with pytest.raises(DataError, match=words):
            grouped_folds(np.array([0, 0, 1, 1]), np.arange(4), folds=2)

    def test_every_class_smaller_than_the_folds(self):
        with pytest.raises(
            DataError, match=r"a class of at least 4 examples, but the largest has 2; use fewer folds \(train"
        ):
            grouped_folds(np.array([0, 0, 1, 1]), np.arange(4), folds=4)

    def test_one_fold_is_no_cross_validation(self):
        with pytest.raises(UsageError, match="at least 2 folds, got 1"):
            grouped_folds(np.array([0, 0]), np.arange(2), folds=1)

    @staticmethod
    def rows_of_both_tasks(products, emotions):
        label_ids = np.stack([products, emotions], axis=1)
        texts = [str(number) for number in range(len(label_ids))]
        return data.TrainingRows(tasks.ANSWER_TASKS, np.arange(len(label_ids)), texts, label_ids)

    def test_a_single_tweet_with_an_emotion_and_no_product_is_no_error(self):
        products, emotions = np.array([0, 1] * 10 + [-1] * 11), np.array([0, 1, 2] * 6 + [0, 1] + [1] * 10 + [0])
        rows = self.rows_of_both_tasks(products, emotions)
        assert (rows.strata == len(PRODUCTS)).sum() == 1
        folds = folds_of(rows, np.arange(31), 5, 0)
        assert sorted(np.concatenate([split.validation for split in folds])) == list(range(31))
        for split in folds:
            assert set(emotions[split.train]) == {0, 1, 2}
        rows = self.rows_of_both_tasks(np.array([0] * 20 + [-1]), np.ones(21, int))
        assert len(folds_of(rows, np.arange(21), 5, 0)) == 5, "no label is not a class"

    def test_a_class_of_either_task_in_one_group_is_named(self):
        products, emotions = np.array([0] * 10 + [-1] * 10), np.array([1] * 19 + [2])
        with pytest.raises(DataError, match=r"trains without 'Positive emotion' \(id 2\)"):
            folds_of(self.rows_of_both_tasks(products, emotions), np.arange(20), 5, 0)

    def test_two_mentions_far_from_each_other_in_one_text_are_on_one_side(self, tmp_path):
        dataset = data.read(long_targets(tmp_path))
        rows = data.training_rows(dataset, "target")
        numbers = np.repeat(np.arange(20), 2)  # of the texts
        split, _ = training_split(rows, 0, 0.2)
        assert len(rows) == 40
        assert not np.intersect1d(numbers[split.train], numbers[split.validation]).size
        part = rows.take(split.train)
        assert partition(near_duplicate_groups(part.texts)) == partition(numbers[split.train])
        with pytest.raises(UsageError, match=r"and so on, not 0\.9; the nearest is 0\.5"):
            training_split(rows, 0, 0.9)

    def test_real_folds_do_not_leak(self, report_rows, report_groups):
        texts, label_ids = report_rows
        splits_ = grouped_folds(label_ids, report_groups)
        assert [len(split.validation) for split in splits_] == pytest.approx([658] * 5, abs=5)
        similarity, _ = nearest(texts, splits_[0].validation, splits_[0].train)
        assert similarity.max() < splits.THRESHOLD


class TestNearest:
    def test_similarity_and_position(self):
        texts = [LONG, OTHER, LONG.upper(), "RT @me: " + OTHER, "something else altogether", "not in any part"]
        similarity, position = nearest(texts, np.array([2, 3, 4]), np.array([1, 0]))
        assert similarity[:2] == pytest.approx([1, 1])
        assert similarity[2] < 0.5
        assert position[:2].tolist() == [0, 1]

    def test_of_two_near_duplicates_the_nearer(self):
        _, position = nearest([LONG + "!", OTHER, LONG + " again", LONG], np.array([0]), np.array([2, 3]))
        assert position.tolist() == [3]

    @given(some_texts.filter(lambda texts: len(texts) >= 4), st.sampled_from([0.5, 0.8, 0.95]))
    @settings(max_examples=25, deadline=None)
    def test_no_near_duplicate_crosses_grouped_folds(self, texts, threshold):
        groups = near_duplicate_groups(texts, threshold)
        if len(set(groups)) < 2:
            return
        for split in grouped_folds(np.zeros(len(texts), dtype=int), groups, folds=2):
            assert (nearest(texts, split.validation, split.train)[0] < threshold).all()

    def test_real_near_duplicates_cross_the_report_split(self, report_rows):
        texts, label_ids = report_rows
        split = report_split(label_ids)
        similarity, position = nearest(texts, split.validation, split.train)
        assert (similarity >= splits.THRESHOLD).sum() == 204
        assert (similarity >= 0.95).mean() == pytest.approx(0.20, abs=0.01)
        agrees = label_ids[position] == label_ids[split.validation]
        assert agrees[similarity >= 0.8].mean() == pytest.approx(0.89, abs=0.02)
