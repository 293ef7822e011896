"""What the tests share: a tiny random BERT, the real dataset where it is, and no network."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background by a shell: what is ignored here would be ignored by the commands under test as well.
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TWEETS_OFFLINE"] = "1"
os.environ.pop("TWEETS_DATA", None)

# Enough words for the tests to tell products apart; everything else is spelled letter by letter or unknown.
WORDS = [
    *("ipad", "iphone", "android", "google", "apple", "app", "apps", "maps", "itunes", "sxsw", "user", "rt"),
    *("love", "hate", "great", "bad", "new", "at", "the", "a", "is", "my", "on", "in", "for", "and", "to", "of"),
    *"23!?.,:;)(#@'-&/",
]


@pytest.fixture(scope="session")
def vocabulary() -> list[str]:
    """Tokens of the tiny BERT: specials, words, and every letter and digit, alone and as a continuation."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return list(dict.fromkeys([*specials, *WORDS, *letters, *(f"##{letter}" for letter in letters)]))


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory, vocabulary: list[str]) -> Path:
    """Folder of a random BERT of 2 layers and 16 units, in the format of a backbone."""
    from tf_model.device import import_tensorflow

    tf = import_tensorflow()
    import tf_keras
    from transformers import BertConfig, TFBertForSequenceClassification

    folder = tmp_path_factory.mktemp("tiny-bert")
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=128,
    )
    tf_keras.utils.set_random_seed(0)
    model = TFBertForSequenceClassification(config)
    model(tf.constant([[2, 3]]))  # makes the variables
    model.save_pretrained(folder, safe_serialization=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def steady_bert(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny BERT without dropout, which each worker would draw for itself."""
    folder = shutil.copytree(tiny_bert, tmp_path_factory.mktemp("steady-bert"), dirs_exist_ok=True)
    settings = json.loads((folder / "config.json").read_text())
    without = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "num_hidden_layers": 1}
    (folder / "config.json").write_text(json.dumps(settings | without))
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The real workbook; the test is skipped where it is absent."""
    from tf_model import paths

    path = paths.SHARED_DATA / "assignment.xlsx"
    if not path.is_file():
        path = paths.RAW_DATA / "assignment.xlsx"
    if not path.is_file():
        pytest.skip("the real dataset is neither in ../shared/data nor in data/raw")
    return path


@pytest.fixture(scope="session")
def target_model(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the task ``target``, the tiny BERT trained by the real command on the sample of other brands."""
    from tf_model import paths, train

    folder = tmp_path_factory.mktemp("targets")
    arguments = ["--task", "target", "--data", str(paths.SAMPLE_CORPUS.with_name("brands.csv"))]
    arguments += ["--backbone", str(tiny_bert), "--output-dir", str(folder), "--precision", "float32"]
    assert train.main([*arguments, "--epochs", "4", "--learning-rate", "1e-2", "--batch-size", "8"]) == 0
    return folder / "target"
