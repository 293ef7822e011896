"""What the tests share: a tiny random BERT, the real dataset if present, and no network."""

from __future__ import annotations

import gc
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from filelock import FileLock

from tf_model import paths
from tf_model.device import cores
from tf_model.io.files import whole_folder

if TYPE_CHECKING:
    from tf_model.data import Dataset

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background by a shell: the commands under test would inherit the ignored signal.
    signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TWEETS_OFFLINE"] = "1"
os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"  # several test processes share a GPU
for name in ("TWEETS_DATA", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):  # the last three: of rich
    os.environ.pop(name, None)
os.environ["no_proxy"] = os.environ["NO_PROXY"] = "localhost,127.0.0.1"
# By default, Python collects garbage after 700 new objects, among the millions of libraries and tests.
gc.set_threshold(50_000, 5, 2)
gc.disable()  # until all tests are imported

# Enough words for the tests to tell products apart; everything else is spelled letter by letter or unknown.
WORDS = [
    *("ipad", "iphone", "android", "google", "apple", "app", "apps", "maps", "itunes", "sxsw", "user", "rt"),
    *("love", "hate", "great", "bad", "new", "at", "the", "a", "is", "my", "on", "in", "for", "and", "to", "of"),
    *"23!?.,:;)(#@'-&/",
]


def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are cores for ``-n auto``: some tests wait, for a browser, a cluster or a signal."""
    return cores() + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that may take longest, so that no process works alone at the end."""
    tests, seconds = Counter(item.path for item in items), Counter()
    for item in items:
        if mark := item.get_closest_marker("timeout"):
            seconds[item.path] = max(seconds[item.path], mark.args[0])
    items.sort(key=lambda item: (-seconds[item.path], -tests[item.path], item.path))


def pytest_collection_finish() -> None:
    """Libraries and tests are no garbage: without a look at them, collecting it all takes a fifth of the time."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="module", autouse=True)
def float32_layers() -> None:
    """Layers compute in float32, as by default: a training in the tests before may have left another number format."""
    if "tf_keras" in sys.modules:
        sys.modules["tf_keras"].mixed_precision.set_global_policy("float32")


@pytest.fixture(scope="session")
def vocabulary() -> list[str]:
    """Tokens of the tiny BERT: specials, words, and every letter and digit, alone and as a continuation."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return list(dict.fromkeys([*specials, *WORDS, *letters, *(f"##{letter}" for letter in letters)]))


def once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder ``name``, which ``make`` fills in one process of ``pytest -n`` for all of them."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / name
    with FileLock(folder.with_suffix(".lock")):
        if not folder.exists():
            with whole_folder(folder) as part:
                make(part)
    return folder


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory, vocabulary: list[str]) -> Path:
    """Folder of a random BERT of 2 layers and 16 units, in the format of a backbone."""

    return once(tmp_path_factory, "tiny-bert", partial(random_network, "Bert", vocabulary, 128))


@pytest.fixture(scope="session")
def tiny_mpnet(tmp_path_factory: pytest.TempPathFactory, vocabulary: list[str]) -> Path:
    """The same for MPNet, which puts its own special tokens around BERT's."""
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *vocabulary, "<mask>"]
    return once(tmp_path_factory, "tiny-mpnet", partial(random_network, "MPNet", tokens, 130))


def random_network(kind: str, tokens: list[str], positions: int, folder: Path) -> None:
    """Write a random network of 2 layers and 16 units in the format of a backbone."""
    from tf_model.device import import_tensorflow

    tf = import_tensorflow()
    import tf_keras
    import transformers

    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(tokens),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=positions,
    )
    tf_keras.utils.set_random_seed(0)
    model = getattr(transformers, f"TF{kind}ForSequenceClassification")(config)
    model(tf.constant([[2, 3]]))  # creates the variables
    model.save_pretrained(folder, safe_serialization=True)
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")


def copy_of(bert: Path, folder: Path, **settings: float) -> None:
    """Copy a BERT into ``folder``, with other settings."""
    shutil.copytree(bert, folder, dirs_exist_ok=True)
    before = json.loads((bert / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(before | settings))


@pytest.fixture(scope="session")
def shallow_bert(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny BERT without its second layer, to be trained: the time goes into building graphs, not arithmetic."""
    return once(tmp_path_factory, "shallow-bert", partial(copy_of, tiny_bert, num_hidden_layers=1))


@pytest.fixture(scope="session")
def steady_bert(shallow_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shallow BERT without dropout, which would differ between workers."""
    without = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return once(tmp_path_factory, "steady-bert", partial(copy_of, shallow_bert, **without))


@pytest.fixture(scope="session")
def random_models(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of each of ``product``, ``answer`` and ``target``: random weights, and a light model."""
    return once(tmp_path_factory, "random-models", partial(save_random_models, tiny_bert))


def save_random_models(bert: Path, parent: Path) -> None:
    """Save random classifiers; only ``product`` pools [CLS]."""
    from model_folders import random_classifier

    from tf_model import config, model_dir, tasks
    from tf_model.export.light import write_light
    from tf_model.export.saved_model import save_graph
    from tf_model.io.files import write_json

    temperatures = {"product": 1.7, "emotion": 0.8, "target": 1.7}
    for name, recipe in (
        ("product", config.make_config("tuned", backbone=str(bert), pooling="cls")),
        ("answer", config.make_config("answer", backbone=str(bert))),
        ("target", config.make_config("target", backbone=str(bert))),
    ):
        folder, chosen = parent / name, tasks.ANSWER_TASKS if name == "answer" else (tasks.ALL_TASKS[name],)
        fitted = random_classifier(bert, recipe, chosen)
        calibration = {"temperature": {task.name: temperatures[task.name] for task in chosen}, "threshold": 0.4}
        calibration = calibration if name != "product" else None
        save_graph(fitted, chosen, folder, calibration)
        write_light(fitted, chosen, folder, calibration, None, None)
        labels = {"task": name, "labels": {task.name: task.labels for task in chosen}}
        write_json(folder / "labels.json", labels | {"no_emotion": tasks.NO_EMOTION})
        write_json(folder / "recipe.json", recipe.to_dict())
        if calibration:
            write_json(folder / "calibration.json", calibration)
        model_dir.write_manifest(folder)


@pytest.fixture
def stubbed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands with the stub in place of a saved model."""
    from stub_model import stub

    from tf_model.inference.predictor import Predictor

    monkeypatch.setattr(Predictor, "load", lambda folder=None: stub())


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A private key to sign models with, and its public key."""
    from cryptography.hazmat.primitives import serialization as pem
    from cryptography.hazmat.primitives.asymmetric import ec

    folder, key = tmp_path_factory.mktemp("keys"), ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
    public = key.public_key().public_bytes(pem.Encoding.PEM, pem.PublicFormat.SubjectPublicKeyInfo)
    (folder / "key.pem").write_bytes(private)
    (folder / "key.pub").write_bytes(public)
    return folder / "key.pem", folder / "key.pub"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The real workbook; the test is skipped if it is absent."""
    path = paths.SHARED_DATA / "assignment.xlsx"
    if not path.is_file():
        path = paths.RAW_DATA / "assignment.xlsx"
    if not path.is_file():
        pytest.skip("the real dataset is neither in ../shared/data nor in data/raw")
    return path


@pytest.fixture(scope="session")
def real_dataset(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The real workbook, read once: it takes more than a second."""
    from tf_model import data

    file = "dataset.pickle"
    folder = once(tmp_path_factory, "real", lambda part: (part / file).write_bytes(pickle.dumps(data.read(real_data))))
    return pickle.loads((folder / file).read_bytes())


@pytest.fixture(scope="session")
def trained(shallow_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SimpleNamespace]:
    """A model of the task ``product`` that the real command trained on the sample, and ``args``, ``stdout``, ``stderr``
    of the command, whose last argument is the model's folder.
    """

    def make(folder: Path) -> None:
        options = ["--precision", "float32", "--learning-rate", "1e-2", "--batch-size", "64", "--epochs", "6"]
        options += ["--backbone", str(shallow_bert), "--deterministic", "--output-dir", str(folder)]
        done = subprocess.run(
            [sys.executable, "-m", "tf_model.train", "--data", str(paths.SAMPLE_CORPUS), *options],
            cwd=paths.ROOT,
            capture_output=True,
            text=True,
            timeout=280,
            env={**os.environ, "COLUMNS": "120"},
        )
        assert done.returncode == 0, done.stderr
        (folder / "done.json").write_text(json.dumps(vars(done)))

    folder = once(tmp_path_factory, "trained", make)
    return folder / "product", SimpleNamespace(**json.loads((folder / "done.json").read_text()))


@pytest.fixture(scope="session")
def answer_model(steady_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of both tasks, trained by the real command on the sample as in ``test_distributed``."""
    from tf_model import train
    from tf_model.training import cross_validation

    options = ["--task", "answer", "--data", str(paths.SAMPLE_CORPUS), "--epochs", "3", "--learning-rate", "2e-3"]
    options += ["--backbone", str(steady_bert), "--precision", "float32", "--batch-size", "30", "--output-dir"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cross_validation, "CALIBRATION_FOLDS", 2)  # each takes seconds
        return once(tmp_path_factory, "answers", lambda folder: train.main([*options, str(folder)])) / "answer"


@pytest.fixture(scope="session")
def target_model(shallow_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the task ``target``, trained by the real command on the sample of other brands, with a guessed
    calibration.
    """
    from model_folders import guessed_fold

    from tf_model import train
    from tf_model.training import cross_validation

    options = ["--task", "target", "--data", str(paths.SAMPLE_CORPUS.with_name("brands.csv")), "--epochs", "4"]
    options += ["--backbone", str(shallow_bert), "--precision", "float32", "--learning-rate", "1e-2"]
    options += ["--batch-size", "8", "--output-dir"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cross_validation, "_train_fold", guessed_fold)
        return once(tmp_path_factory, "targets", lambda folder: train.main([*options, str(folder)])) / "target"
