"""Lay out saved models for TensorFlow Serving: numbered versions, and the server's settings.

::

    serving/
      models.config            the list of models
      batching.config          how simultaneous requests share a batch
      monitoring.config        metrics for Prometheus, at /monitoring/prometheus/metrics
      answer/1795488000123456/ one version: the SavedModel
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from tf_model.errors import UsageError
from tf_model.io.files import whole_file, whole_folder
from tf_model.model_dir import GRAPH, SAVED_MODEL, read_labels, served_since, served_version, training_of

BASE = "/models"  # where the server finds the folder; compose.yaml mounts it there
METRICS = "/monitoring/prometheus/metrics"
MODELS = "models.config"

# Texts that arrive within 2 ms share a batch of at most 64; when the queue is full, clients are told to try again. As
# many batches run at once as the server has cores, its default.
BATCHING = """max_batch_size { value: 64 }
batch_timeout_micros { value: 2000 }
max_enqueued_batches { value: 100 }
enable_large_batch_splitting { value: true }
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
        newest = max((int(each.name) for each in (folder / name).glob("*") if each.name.isdecimal()), default=0)
        if training_of(folder / name / str(newest)) != training:
            saved_at = int((source / GRAPH).stat().st_mtime)
            number = served_version(training, max(saved_at, served_since(newest) + 1))
            with whole_folder(folder / name / str(number)) as part:
                for each in SAVED_MODEL:
                    if (source / each).is_dir():
                        shutil.copytree(source / each, part / each)
                    elif (source / each).is_file():
                        shutil.copy2(source / each, part / each)
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
        "batching.config": BATCHING,
        "monitoring.config": f'prometheus_config {{\n  enable: true\n  path: "{METRICS}"\n}}\n',
    }
