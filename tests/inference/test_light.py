"""The light model in use: its answers, and what happens if it cannot be used."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas
import pytest
from stub_model import stub

from tf_model import model_dir, paths, predict
from tf_model.device import schedulable_cores
from tf_model.errors import ModelError
from tf_model.inference import light, predictor
from tf_model.inference.predictor import Predictor
from tf_model.io.files import write_json
from tf_model.preprocessing.cleaning import mark

TEXTS = [
    "I love my new iPad 2!",
    "google maps at #sxsw",
    "",
    None,
    "the apps " * 100,
    "caf\u00e9 \U0001f389",
    "\ud83d x",
]
TEXTS += ["\ud83d x"]
TEXTS *= 5


@pytest.fixture(scope="module")
def product(random_models) -> Path:
    return random_models / "product"


@pytest.fixture(scope="module")
def answer(random_models) -> Path:
    return random_models / "answer"


@pytest.fixture(scope="module", params=["product", "answer", "target"])
def folder(random_models, request) -> Path:
    return random_models / request.param


@pytest.fixture
def copy(product, tmp_path) -> Path:
    return shutil.copytree(product, tmp_path / "copy")


def test_it_answers_as_the_saved_model_does(folder):
    texts = [mark(text or "", 0, len(text or "") // 2) for text in TEXTS] if folder.name == "target" else TEXTS
    models = [Predictor.load(folder, runtime) for runtime in ("tensorflow", "light", "auto")]
    assert [model.runtime for model in models] == ["tensorflow", "light", "light"]
    expected, *found = (model.predict_measured(texts) for model in models)
    for each in found:
        pandas.testing.assert_frame_equal(each.predictions, expected.predictions, atol=1e-5, rtol=0)
        assert each.unk_rates == pytest.approx(expected.unk_rates)
        assert list(each.seconds) == ["tokenize", "model", "rest"]
    assert expected.predictions.select_dtypes("number").std().max() > 1e-3


def test_two_processes_do_not_share_one_core(product, monkeypatch):
    network = light.LightModel(product / "light", threads=1)._network
    assert not network.get_property("ENABLE_CPU_PINNING"), "each would begin with the first core"
    monkeypatch.setattr(light, "cores", schedulable_cores)  # as without a limit of time
    assert light.LightModel(product / "light")._network.get_property("ENABLE_CPU_PINNING")


def test_an_answer_is_the_same_alone_and_among_others(folder):
    model = Predictor.load(folder, "light")
    together = model.predict(TEXTS, probabilities=True)
    for number in range(7):
        alone = model.predict([TEXTS[number]], probabilities=True)
        among = together[number : number + 1].reset_index(drop=True)
        pandas.testing.assert_frame_equal(alone, among, atol=1e-6, rtol=0)


def test_batches_hold_texts_of_one_length_and_no_more_than_fit(product, monkeypatch):
    model = light.LightModel(product / "light")
    sizes, infer = [], model._infer
    monkeypatch.setattr(model, "_infer", lambda batch: sizes.append((len(batch), len(batch[0]))) or infer(batch))
    monkeypatch.setattr(light, "TOKENS", 40)
    ids = [[2, *[number % 60 + 5] * length, 3] for length in (1, 8, 1, 100, 8) for number in range(7)]
    logits = model.logits(ids)
    assert sorted(sizes) == sorted([(8, 3), (4, 3), (2, 3), *[(4, 10)] * 3, (2, 10), *[(1, 102)] * 7])
    np.testing.assert_allclose(logits, np.concatenate([model.logits([each]) for each in ids]), atol=1e-5)


def test_progress_comes_after_each_batch_and_counts_equal_texts(product, monkeypatch):
    monkeypatch.setattr(light, "TOKENS", 40)
    model, progress = Predictor.load(product, "light"), []
    texts = [f"the iPad {number}" for number in range(20)] * 3
    expected = model.predict(texts, probabilities=True)
    found = model.predict(texts, probabilities=True, on_progress=progress.append)
    pandas.testing.assert_frame_equal(found, expected)
    assert sum(progress) == len(texts)
    assert max(progress) <= 30, "a job is cancelled within a batch, not a window"


def test_tensorflow_is_not_imported(random_models, tmp_path):
    code = """
import sys
from tf_model import paths, predict
paths.SAVED_MODELS /= "none"
models, products = sys.argv[1:]
for name, more in {"product": [], "answer": [], "target": ["--targets", "--products", products]}.items():
    predict.main(["--text", "my iPad", "--model", f"{models}/{name}", "--runtime", "light", *more])
    assert not {"tensorflow", "transformers", "sklearn"} & set(sys.modules), name
"""
    command = [sys.executable, "-c", code, str(random_models), str(write_products(tmp_path))]
    done = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 6, "of each model the names of the columns, and a row"
    assert all(line.startswith("my iPad,") for line in lines[1::2])


def write_products(folder: Path) -> Path:
    (folder / "products.csv").write_text("name,aliases\niPad,\n")
    return folder / "products.csv"


def test_a_damaged_light_model_gives_way_to_the_saved_model_if_there_is_tensorflow(copy, capsys, monkeypatch):
    file = copy / "light" / "network.bin"
    content = file.read_bytes()
    file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    with monkeypatch.context() as patch:
        patch.setattr(predictor, "find_spec", lambda _: None)  # as in the container
        with pytest.raises(ModelError, match=r"network\.bin is damaged"):
            Predictor.load(copy)
    model = Predictor.load(copy)
    assert model.runtime == "tensorflow"
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert line.endswith("; using the SavedModel instead, which is slower\n")
    shutil.rmtree(copy / "light")
    with pytest.raises(ModelError, match=r"light/light\.json cannot be read"):
        Predictor.load(copy, "light")
    assert model.predict(["a"]).shape[0] == 1


@pytest.mark.parametrize("runtime", predictor.RUNTIMES)
def test_labels_in_another_order_are_refused(copy, runtime):
    labels = json.loads((copy / "labels.json").read_text())
    labels["labels"]["product"].reverse()
    write_json(copy / "labels.json", labels)
    with pytest.raises(ModelError, match=r"labels\.json is damaged, or comes from another training"):
        Predictor.load(copy, runtime)


def test_what_else_a_light_model_may_lack(copy, monkeypatch):
    (copy / "light" / "vocab.txt").unlink()
    with pytest.raises(ModelError, match=r"vocab\.txt cannot be read \(No such file"):
        Predictor.load(copy, "light")
    (copy / "manifest.json").write_text("{}")
    with pytest.raises(ModelError, match=r"manifest\.json is damaged"):
        Predictor.load(copy, "light")
    (copy / "manifest.json").unlink()
    with pytest.raises(ModelError, match=r"manifest\.json is missing"):
        Predictor.load(copy, "light")
    shutil.rmtree(copy / "light")
    with pytest.raises(ModelError, match=r"has no light model: `python -m tf_model\.export`, for a BERT, writes one"):
        Predictor.load(copy, "light")


def test_one_of_another_version_and_a_missing_package(copy, monkeypatch):
    settings = copy / "light" / "light.json"
    settings.write_text(settings.read_text().replace('"format": 2', '"format": 1'))
    model_dir.write_manifest(copy)
    with pytest.raises(ModelError, match=r"is of another version of this project; export the model again"):
        Predictor.load(copy, "light")
    (copy / "light" / "network.xml").write_text("<net>")
    with pytest.raises(ModelError, match=r"the light model cannot be loaded .*; export it again"):
        light.compile_network(copy / "light" / "network.xml", 0, 1)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ModelError, match=r"needs the package openvino .*install it"):
        light.compile_network(copy / "light" / "network.xml", 0, 1)


@pytest.mark.parametrize("runtime", ["tensorflow", "light"])
def test_files_of_another_training_are_refused(answer, tmp_path, runtime):
    """The graph of one training with the variables of another has the same shapes, and would load silently."""
    copy = shutil.copytree(answer, tmp_path / "copy")
    (copy / "assets" / "words.txt").write_text("a")  # as a graph with a table read from a file has
    model_dir.write_manifest(copy)
    files = {path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()}
    files -= {"labels.json", "manifest.json", "recipe.json"}
    names = [name for name in files if name.startswith("light/") == (runtime == "light") or name == "calibration.json"]
    assert len(names) >= 4
    for name in names:
        content = (copy / name).read_bytes()
        (copy / name).write_bytes(content + b"\n")  # JSON stays readable
        with pytest.raises(ModelError, match=f"{name} is damaged, or comes from another training; copy the whole"):
            Predictor.load(copy, runtime)
        (copy / name).write_bytes(content)


@pytest.mark.parametrize("runtime", ["tensorflow", "light"])
def test_a_model_that_is_replaced_while_it_is_loaded_is_loaded_again(copy, runtime, monkeypatch):
    step = "_load_graph" if runtime == "tensorflow" else "_load_light"
    loaded, model = [], SimpleNamespace(signatures={"serving_default": None}, score=None)

    def replaced(*_):
        loaded.append(model)
        if len(loaded) < 3:
            manifest = json.loads((copy / "manifest.json").read_text())
            (copy / "manifest.json").write_text(json.dumps(manifest | {"made": len(loaded)}))
        return model

    monkeypatch.setattr(predictor, step, replaced)
    assert Predictor.load(copy, runtime).runtime == runtime
    assert len(loaded) == 3
    monkeypatch.setattr(predictor, "ATTEMPTS", 0)
    with pytest.raises(ModelError, match="keeps being replaced while it is loading; try again later"):
        Predictor.load(copy, runtime)


def test_the_command_takes_the_runtime(monkeypatch):
    taken = []
    monkeypatch.setattr(Predictor, "load", lambda folder, **given: taken.append(given) or stub())
    for runtime in predictor.RUNTIMES:
        assert predict.main(["--text", "my iPad", "--runtime", runtime]) == 0
    assert taken == [{"runtime": each} for each in predictor.RUNTIMES]


def test_a_model_that_another_thread_gives_up_leaves_signals_as_they_were(product):
    """OpenVINO frees what it gave to the thread that compiled it; a signal there was a segmentation fault."""
    script = f"""
import signal, threading
from pathlib import Path
from tf_model.inference.light import LightModel
held = [LightModel(Path({str(product / "light")!r}))]
thread = threading.Thread(target=held.clear)
thread.start()
thread.join()
signal.signal(signal.SIGTERM, lambda *_: print("handled"))
signal.raise_signal(signal.SIGTERM)
"""
    found = subprocess.run([sys.executable, "-c", script], cwd=paths.ROOT, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "handled\n"), found.stderr
