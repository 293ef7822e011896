"""Lay out saved models for TensorFlow Serving: numbered versions, warm-up requests and the server's settings.

::

    serving/
      models.config            the list of models
      batching.config          how simultaneous requests share a batch
      monitoring.config        metrics for Prometheus, at /monitoring/prometheus/metrics
      answer/1795488000123456/ one version: the SavedModel, with assets.extra/tf_serving_warmup_requests

The server replays the warm-up requests before a version is ready, so no user waits for the first call of a shape
(https://www.tensorflow.org/tfx/serving/saved_model_warmup).
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from tf_model.device import import_tensorflow
from tf_model.errors import UsageError
from tf_model.io.files import whole_file, whole_folder
from tf_model.model_dir import (
    GRAPH,
    SAVED_MODEL,
    SIGNATURE,
    is_of_training,
    read_labels,
    served_since,
    served_version,
    training_of,
)

BASE = "/models"  # where the server finds the folder; compose.yaml mounts it there
WARMUP = Path("assets.extra") / "tf_serving_warmup_requests"
METRICS = "/monitoring/prometheus/metrics"
MODELS = "models.config"

# Repeated 1 to 12 times, the words give batches of each multiple of 8 tokens; sizes as for one question and for a file.
WARMUP_WORDS = "My new iPad is great but the phone is slow"
WARMUP_LENGTHS = (1, 2, 4, 6, 8, 12)
WARMUP_SIZES = (1, 8, 64)

# Texts that arrive within 2 ms share a batch of at most 64; when the queue is full, clients are told to try again.
BATCHING = """max_batch_size {{ value: 64 }}
batch_timeout_micros {{ value: 2000 }}
num_batch_threads {{ value: {cores} }}
max_enqueued_batches {{ value: 100 }}
enable_large_batch_splitting {{ value: true }}
"""
MODEL = """  config {{
    name: {name}
    base_path: {path}
    model_platform: "tensorflow"
    model_version_policy {{ latest {{ num_versions: 1 }} }}
  }}
"""


def write_layout(models: Sequence[Path | str], folder: Path | str) -> Path:
    """Lay out saved models for a server in ``folder``, under the names of their own folders, and return ``folder``.

    :func:`tf_model.model_dir.served_version` numbers a version; a rolled-back model gets a number above the newest,
    because the server serves the highest. Existing versions stay; so do settings other than :data:`MODELS`, which
    somebody may have changed.
    """
    folder, sources = Path(folder), [Path(model).absolute() for model in models]
    names = [source.name for source in sources]
    if len(set(names)) != len(names):
        raise UsageError(f"two models have the same name: {', '.join(names)}; rename one of their folders")
    for name, source in zip(names, [each.resolve() for each in sources], strict=True):  # a link is followed once
        read_labels(source)  # raises if the model is incomplete
        training = training_of(source)
        versions = [int(each.name) for each in (folder / name).glob("*") if each.name.isdecimal()]
        newest = max(versions, default=0)
        newest_folder = folder / name / str(newest)
        if not is_of_training(newest_folder.name, training) or training_of(newest_folder) != training:
            saved_at = int((source / GRAPH).stat().st_mtime)
            number = served_version(training, max(saved_at, served_since(newest) + 1))
            _write_version(source, newest_folder.with_name(str(number)))
    for name, text in settings(names).items():
        if name == MODELS or not (folder / name).exists():
            with whole_file(folder / name, overwrite=True) as part:
                part.write_text(text, encoding="utf-8")
    return folder


def settings(names: Sequence[str]) -> dict[str, str]:
    """The server's settings by file name: text protos of its published messages."""
    models = "".join(MODEL.format(name=json.dumps(name), path=json.dumps(f"{BASE}/{name}")) for name in names)
    return {
        MODELS: f"model_config_list {{\n{models}}}\n",
        "batching.config": BATCHING.format(cores=os.cpu_count() or 1),
        "monitoring.config": f'prometheus_config {{\n  enable: true\n  path: "{METRICS}"\n}}\n',
    }


def warmup_requests() -> Iterator[bytes]:
    """A serialized ``tensorflow.serving.PredictionLog`` for each size and length of the warm-up.

    The messages are encoded here because no package of ours has them (tensorflow_serving/apis/prediction_log.proto and
    predict.proto). A request names no model: the server replays it for the model whose folder holds it.
    """
    tf = import_tensorflow()
    for size in WARMUP_SIZES:
        for length in WARMUP_LENGTHS:
            texts = [f"{' '.join([WARMUP_WORDS] * length)} {number}" for number in range(size)]
            tensor = tf.make_tensor_proto(texts, tf.string).SerializeToString()
            model_spec = _field(1, _field(3, SIGNATURE.encode()))
            inputs = _field(2, _field(1, b"text") + _field(2, tensor))
            yield _field(6, _field(1, model_spec + inputs))


def _field(number: int, content: bytes) -> bytes:
    """Encode a field of bytes: number and type, length, content (https://protobuf.dev/programming-guides/encoding)."""
    length, size = len(content), bytearray()
    while length > 127:
        size.append(length % 128 + 128)
        length //= 128
    return bytes([number * 8 + 2, *size, length]) + content


def _write_version(source: Path, target: Path) -> None:
    tf = import_tensorflow()
    with whole_folder(target) as part:
        for name in SAVED_MODEL:
            if (source / name).is_dir():
                shutil.copytree(source / name, part / name)
            elif (source / name).is_file():
                shutil.copy2(source / name, part / name)
        (part / WARMUP).parent.mkdir()
        with tf.io.TFRecordWriter(str(part / WARMUP)) as writer:
            for request in warmup_requests():
                writer.write(request)
