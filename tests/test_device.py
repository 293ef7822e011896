"""TensorFlow's setup: number format, devices, seeds, and a quiet start."""

import os
import random
import sys

import numpy as np
import pytest

from tf_model import device
from tf_model.device import Runtime, import_tensorflow, prepare

tf = import_tensorflow()


@pytest.fixture(autouse=True)
def same_policy():
    """Restores the number format of the other tests."""
    import tf_keras

    before = tf_keras.mixed_precision.global_policy()
    yield
    tf_keras.mixed_precision.set_global_policy(before)


def policy():
    import tf_keras

    return tf_keras.mixed_precision.global_policy().name


@pytest.fixture
def gpus(monkeypatch):
    """Makes TensorFlow believe in GPUs of the given names and compute capabilities; returns calls of memory growth."""

    def pretend(*details):
        devices = [f"GPU:{number}" for number in range(len(details))]
        known = dict(zip(devices, details, strict=True))
        growing = []
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: devices)
        monkeypatch.setattr(tf.config.experimental, "set_memory_growth", lambda *call: growing.append(call))
        monkeypatch.setattr(tf.config.experimental, "get_device_details", known.get)
        return growing

    return pretend


H100 = {"device_name": "NVIDIA H100 80GB HBM3", "compute_capability": (9, 0)}
A100 = {"device_name": "NVIDIA A100-SXM4-40GB", "compute_capability": (8, 0)}
T4 = {"device_name": "Tesla T4", "compute_capability": (7, 5)}


# --------------------------------------------------------------------------------------------------- number format


@pytest.mark.parametrize(
    ("cpuinfo", "has"),
    [
        ("processor\t: 0\nflags\t\t: fpu sse avx512f avx512_bf16 avx512_vnni\nbugs\t\t: spectre\n", True),
        ("processor\t: 0\nflags\t\t: fpu amx_tile amx_bf16\n", True),
        ("flags : amx_bf16", True),
        ("processor\t: 0\nflags\t\t: fpu sse avx2 avx512f avx512_vnni amx_tile\n", False),
        ("model name\t: avx512_bf16\nflags\t\t: fpu avx2\n", False),
        ("flags\t\t: avx512_bf16x not_amx_bf16x\n", False),
        ("Features\t: fp asimd bf16\n", False),  # ARM: not measured
        ("", False),
    ],
)
def test_whether_the_cpu_computes_in_bfloat16_is_read_from_its_flags(cpuinfo, has, tmp_path):
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert device._cpu_has_bfloat16(tmp_path / "cpuinfo") is has


def test_without_cpuinfo_or_with_odd_bytes_nothing_is_assumed(tmp_path):
    assert not device._cpu_has_bfloat16(tmp_path / "absent")
    assert not device._cpu_has_bfloat16(tmp_path)
    (tmp_path / "cpuinfo").write_bytes(b"model name\t: \xff\xfe\nflags\t\t: avx2\n")
    assert not device._cpu_has_bfloat16(tmp_path / "cpuinfo")


@pytest.mark.parametrize(("native", "expected"), [(True, "mixed_bfloat16"), (False, "float32")])
def test_auto_is_bfloat16_where_the_cpu_computes_in_it(native, expected, gpus, monkeypatch):
    gpus()
    monkeypatch.setattr(device, "_cpu_has_bfloat16", lambda: native)
    used = prepare(0)
    assert used.precision == policy() == expected
    assert used.gpus == 0
    assert used.device.startswith("CPU, ")


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ([H100], "mixed_bfloat16"),
        ([A100], "mixed_bfloat16"),
        ([T4], "float32"),
        ([H100, T4], "float32"),
        ([{}], "float32"),
    ],
)
def test_auto_is_bfloat16_where_every_gpu_computes_in_it(details, expected, gpus, monkeypatch):
    gpus(*details)
    monkeypatch.setattr(device, "_cpu_has_bfloat16", lambda: expected == "float32")  # does not count
    assert prepare(0).precision == policy() == expected


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_a_number_format_can_be_demanded(precision):
    assert prepare(0, precision=precision).precision == policy() == precision


# --------------------------------------------------------------------------------------------------------- devices


@pytest.mark.parametrize(
    ("limit", "cores"), [("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1), ("6400000 100000", 8)]
)
def test_a_container_has_as_many_cores_as_its_limit_gives_it_time(limit, cores, tmp_path, monkeypatch):
    monkeypatch.setattr(device, "schedulable_cores", lambda: 8)
    (tmp_path / "cpu.max").write_text(f"{limit}\n")
    assert device.cores(tmp_path / "cpu.max") == cores


@pytest.mark.parametrize("limit", ["max 100000", "", None])
def test_without_a_limit_all_cores_count(limit, tmp_path):
    if limit is not None:
        (tmp_path / "cpu.max").write_text(f"{limit}\n")
    assert device.cores(tmp_path / "cpu.max") == device.schedulable_cores() >= 1


def test_a_gpu_is_named_and_takes_memory_as_it_needs_it(gpus):
    growing = gpus(H100)
    used = prepare(0)
    assert (used.device, used.gpus) == ("NVIDIA H100 80GB HBM3", 1)
    assert growing == [("GPU:0", True)]


def test_several_gpus_are_counted_and_used_together(gpus, monkeypatch):
    gpus(H100, H100)
    used = prepare(0)
    assert (used.device, used.gpus) == ("2 x NVIDIA H100 80GB HBM3", 2)
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda: "mirrored")
    assert used.strategy() == "mirrored"


@pytest.mark.parametrize("count", [0, 1])
def test_one_device_needs_no_distribution(count):
    assert Runtime("a device", count, "float32", False).strategy() is tf.distribute.get_strategy()


# ------------------------------------------------------------------------------------------------------------ seeds


def test_every_generator_is_seeded():
    def draw(seed):
        prepare(seed, precision="float32")
        return random.random(), np.random.rand(), float(tf.random.uniform([]))

    first = draw(1)
    assert draw(1) == first
    assert all(one != other for one, other in zip(draw(2), first, strict=True))


@pytest.mark.parametrize("deterministic", [False, True])
def test_determinism_is_asked_of_tensorflow_only_on_demand(deterministic, monkeypatch):
    calls = []
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: calls.append("asked"))
    used = prepare(0, precision="float32", deterministic=deterministic)
    assert calls == ["asked"] * deterministic
    assert used.deterministic is deterministic


# ---------------------------------------------------------------------------------------------------- a quiet start


def test_tensorflow_is_imported_once_with_legacy_keras():
    assert import_tensorflow() is sys.modules["tensorflow"] is tf
    assert os.environ["TF_USE_LEGACY_KERAS"] == "1"
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "1"
    assert tf.keras.Model.__module__.startswith("tf_keras.")


def test_models_one_after_the_other_warn_of_no_retracing(caplog):
    for _ in range(6):  # like the folds of a small table
        tf.function(lambda x: x + 1)(tf.constant(1))
    assert caplog.records == []


def mumble():
    with device._quiet():
        os.write(2, b"I0000 00:00:1760000000.1  123 port.cc:153] oneDNN custom operations are on.\n")
        raise ImportError("broken")


def test_chatter_is_held_back_until_tensorflow_is_there_or_cannot_be_imported(capfd):
    with pytest.raises(ImportError, match="broken"):
        mumble()
    assert capfd.readouterr() == ("", "")
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


def test_versions_name_what_decides_the_numbers():
    found = device.versions()
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["tensorflow"] == tf.__version__
    assert set(found) >= {"python", "tensorflow", "tf-keras", "tensorflow-text", "transformers", "keras-nlp", "numpy"}
