"""A saved model as TensorFlow Serving wants it: numbered versions, warm-up requests and the server's settings.

::

    serving/
      models.config            which models there are
      batching.config          how requests that arrive together share a batch
      monitoring.config        metrics for Prometheus, at /monitoring/prometheus/metrics
      answer/1795488000123456/ one version: the SavedModel, with assets.extra/tf_serving_warmup_requests

The server replays the warm-up requests before it says that the version is there, so that no user waits for the first
call of each shape (https://www.tensorflow.org/tfx/serving/saved_model_warmup).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tf_model.errors import OutputError, UsageError, first_line
from tf_model.io.files import explain_read_errors, explain_write_errors, whole_file, whole_folder
from tf_model.model_dir import (
    GRAPH,
    SAVED_MODEL,
    is_of_training,
    read_labels,
    served_since,
    served_version,
    training_of,
)
from tf_model.serving.remote import PACKAGE, SIGNATURE

# Where the server finds the folder; compose.yaml mounts it there.
BASE = "/models"
WARMUP = Path("assets.extra") / "tf_serving_warmup_requests"
METRICS = "/monitoring/prometheus/metrics"
# At the beginning of each file of settings. Whoever changes one takes it off, and keeps what he has changed.
MARK = "# Written by python -m tf_model.serving, which replaces it; without this line it does not.\n"

# Words of no tweet of the dataset. Texts of 1 to 12 times these give batches padded to each multiple of 8 tokens that
# occurs in tweets; the sizes are those of one question and of a file.
WARMUP_WORDS = "My new iPad is great but the phone is slow"
WARMUP_LENGTHS = (1, 2, 4, 6, 8, 12)
WARMUP_SIZES = (1, 8, 64)


def write_layout(
    models: Sequence[Path | str], folder: Path | str, *, cores: int | None = None, overwrite: bool = False
) -> Path:
    """Lay out saved models for a server.

    A version is numbered by the time when its model was saved, or a second after the newest that is there: the server
    serves the highest number, also where a model was taken back. Its last digits say which training it is, see
    :func:`tf_model.model_dir.served_version`. Versions that are there already stay, so that a server that watches
    the folder goes over to the new one by itself; a model that is the newest one there already is left alone.

    Args:
        models: Folders of saved models; the name of each is its name on the server.
        folder: Where to.
        cores: Batches that the server computes at once. None: the cores of this machine.
        overwrite: Whether a model that is there already is written once more, and settings that somebody has
            made his own (:func:`changed_settings`) are replaced; else these are kept.

    Returns:
        ``folder``.

    Raises:
        ModelError: A folder holds no saved model.
        OutputError: Something cannot be written.
        UsageError: Two models have one name, or the package tensorflow-serving-api is not installed.
    """
    folder, sources = Path(folder), [Path(model).resolve() for model in models]
    names = [source.name for source in sources]
    if len(set(names)) != len(names):
        raise UsageError(f"two of the models are called alike: {', '.join(names)}; rename the folder of one")
    kept = [] if overwrite else changed_settings(folder)
    requests = list(warmup_requests())
    for source in sources:
        read_labels(source)  # raises where there is no whole model
        newest = max(_versions(folder / source.name), default=None)
        training = training_of(source)
        there = newest is not None and training_of(folder / source.name / str(newest)) == training
        if there and is_of_training(str(newest), training):
            if overwrite:
                _write_version(source, folder / source.name / str(newest), requests)
            continue
        saved = int((source / GRAPH).stat().st_mtime)
        version = served_version(training, max(saved, served_since(newest or 0) + 1))
        _write_version(source, folder / source.name / str(version), requests)
    for name, text in settings(names, cores).items():
        if name in kept:
            continue
        with whole_file(folder / name, overwrite=True) as part:
            part.write_text(text, encoding="utf-8")
    return folder


def changed_settings(folder: Path) -> list[str]:
    """The files of settings in ``folder`` that this command did not write, or that somebody has made his own."""
    found = []
    for name in settings([]):
        path = folder / name
        if path.is_file():
            with explain_read_errors(path):
                if not path.read_text(encoding="utf-8", errors="replace").startswith(MARK):
                    found.append(name)
    return found


def settings(names: Sequence[str], cores: int | None = None) -> dict[str, str]:
    """The server's settings, by the name of the file: text protos of its published messages."""
    cores = cores or os.cpu_count() or 1
    configs = "".join(
        f"""  config {{
    name: "{name}"
    base_path: "{BASE}/{name}"
    model_platform: "tensorflow"
    model_version_policy {{ latest {{ num_versions: 1 }} }}
  }}
"""
        for name in names
    )
    found = {
        "models.config": f"model_config_list {{\n{configs}}}\n",
        # Texts that arrive within 2 ms of each other share a batch; what is more than 64 at once is cut up, and what
        # does not fit into a queue of 100 batches is told to come again (the client does).
        "batching.config": f"""max_batch_size {{ value: 64 }}
batch_timeout_micros {{ value: 2000 }}
num_batch_threads {{ value: {cores} }}
max_enqueued_batches {{ value: 100 }}
enable_large_batch_splitting {{ value: true }}
""",
        "monitoring.config": f'prometheus_config {{\n  enable: true\n  path: "{METRICS}"\n}}\n',
    }
    return {name: MARK + text for name, text in found.items()}


def warmup_texts() -> Iterator[list[str]]:
    """Batches of each size and each length that the server is to have seen."""
    for size in WARMUP_SIZES:
        for length in WARMUP_LENGTHS:
            yield [f"{' '.join([WARMUP_WORDS] * length)} {number}" for number in range(size)]


def warmup_requests() -> Iterator[bytes]:
    """One ``tensorflow.serving.PredictionLog`` for each of :func:`warmup_texts`, serialized.

    Raises:
        UsageError: The package tensorflow-serving-api is not installed.
    """
    from tf_model.device import import_tensorflow

    tf = import_tensorflow()
    try:
        from tensorflow_serving.apis import prediction_log_pb2
    except ImportError as error:
        raise UsageError(
            f"warm-up requests need the package tensorflow-serving-api ({first_line(error)}); run `python -m pip "
            f"install '{PACKAGE}'`"
        ) from error
    for texts in warmup_texts():
        log = prediction_log_pb2.PredictionLog()
        request = log.predict_log.request
        # No name of a model: the server replays a request for the model in whose folder it lies.
        request.model_spec.signature_name = SIGNATURE
        request.inputs["text"].CopyFrom(tf.make_tensor_proto(texts, tf.string))
        yield log.SerializeToString()


def _versions(folder: Path) -> list[int]:
    """The versions of a model that are there."""
    return [int(each.name) for each in folder.glob("*") if each.name.isdecimal() and each.is_dir()]


def _write_version(source: Path, target: Path, requests: Sequence[bytes]) -> None:
    with explain_write_errors(target), whole_folder(target, overwrite=True) as part:
        for name in SAVED_MODEL:
            found = source / name
            if found.is_dir():
                shutil.copytree(found, part / name, copy_function=_link_or_copy)
            elif found.is_file():
                _link_or_copy(found, part / name)
        (part / WARMUP).parent.mkdir()
        _write_records(part / WARMUP, requests)


def _link_or_copy(source: Any, target: Any) -> None:
    """Without a second copy on the disk where both are on one."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _write_records(path: Path, records: Sequence[bytes]) -> None:
    import tensorflow as tf

    try:
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record in records:
                writer.write(record)
    except tf.errors.OpError as error:
        raise OutputError(
            f"cannot write {path}: {first_line(error)}; free some space and run the command again"
        ) from error
