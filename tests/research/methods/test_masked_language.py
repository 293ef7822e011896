"""Masked-language training: what is masked, and that the backbone which results has learned and can be fine-tuned."""

from dataclasses import replace

import numpy as np
import pytest

from research.methods import masked_language
from tf_model import config, data, device, paths
from tf_model.modeling import backbone
from tf_model.preprocessing.light_tokenizer import CLS, PAD, SEP, UNKNOWN


def test_words_are_masked_as_in_bert_and_nothing_else_is(vocabulary):
    tf = device.import_tensorflow()
    special = [vocabulary.index(token) for token in (CLS, SEP, PAD, UNKNOWN)]
    ids = np.random.default_rng(0).integers(len(vocabulary), size=(200, 500))
    (masked, is_chosen), (_, again) = (
        [each.numpy() for each in masked_language.mask(tf.constant(ids, tf.int32), vocabulary, tf.constant([1, step]))]
        for step in (2, 4)
    )
    is_word = ~np.isin(ids, [*special, vocabulary.index("[MASK]")])
    assert not is_chosen[~is_word].any()
    assert (masked[~is_chosen] == ids[~is_chosen]).all()
    assert is_chosen[is_word].mean() == pytest.approx(0.15, abs=0.005)
    assert (masked[is_chosen] == vocabulary.index("[MASK]")).mean() == pytest.approx(0.8, abs=0.02)
    assert (masked[is_chosen] == ids[is_chosen]).mean() == pytest.approx(0.1, abs=0.02)
    assert (is_chosen & again).sum() == pytest.approx(0.15 * is_chosen.sum(), rel=0.1), "other words in another step"


def test_a_backbone_learns_the_words_of_the_texts_and_can_be_fine_tuned(shallow_bert, tmp_path, monkeypatch):
    from tf_model.modeling import classifier

    prepare = device.prepare
    monkeypatch.setattr(device, "prepare", lambda seed, **_: prepare(seed, precision="float32"))
    texts = data.training_rows(data.read(paths.SAMPLE_CORPUS), "answer").texts[:200]
    settings = replace(config.ANSWER, backbone=str(shallow_bert), epochs=6, batch_size=16, learning_rate=1e-2, seed=3)
    losses = masked_language.pretrain(texts, settings, tmp_path)
    assert len(losses) == 6
    assert losses[-1] < losses[0] - 0.5
    found = backbone.find(str(tmp_path))
    assert found.vocabulary.read_bytes() == (shallow_bert / "vocab.txt").read_bytes()
    before, after = (
        [each.numpy() for each in classifier.build(each, [3], "mean").bert.trainable_variables if "kernel" in each.name]
        for each in (backbone.find(str(shallow_bert)), found)
    )
    assert len(after) == 6
    assert all(np.abs(new - old).max() > 1e-2 for new, old in zip(after, before, strict=True))
