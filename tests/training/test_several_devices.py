"""Training over several devices, tried on two logical CPUs in a process of its own."""

import json
import subprocess
import sys

import numpy as np
import pytest

from tf_model import paths

TRAIN = """
import functools, json, sys
from tf_model import config, data, device, paths
from tf_model.modeling import backbone

tf = device.import_tensorflow()
from tf_model.preprocessing.batching import encode
from tf_model.training.trainer import Examples, fit, text_encoder

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
# What several GPUs would be.
tf.distribute.MirroredStrategy = functools.partial(tf.distribute.MirroredStrategy, ["CPU:0", "CPU:1"])
# Many rows lack one of the two labels, and the last of the batches is smaller than the others, and odd. With R-Drop,
# each row and its copy must be on the same device: without dropout, they do not differ.
rows = data.training_rows(data.read(paths.SAMPLE_CORPUS), "answer")
classes = [len(task.labels) for task in rows.tasks]
recipe = config.make_config("report", backbone=sys.argv[1], epochs=4, learning_rate=3e-3, seed=1, r_drop=1.0)
weights = backbone.find(sys.argv[1])
encoder = text_encoder(recipe, weights)
examples = Examples(encode(encoder, rows.texts[:95]), rows.label_ids[:95])
found = {}
for name, count in (("one", 1), ("two", 2)):
    device.prepare(1, precision="float32")
    used = device.Runtime("logical CPUs", gpus=count, precision="float32", deterministic=False)
    fitted = fit(recipe, weights, classes, encoder, examples, examples, runtime=used)
    replicas = {len(getattr(variable, "values", [variable])) for variable in fitted.model.trainable_variables}
    plain = fitted.in_float32()
    found[name] = {
        "replicas": sorted(replicas),
        "history": fitted.history,
        "exported_on": plain.model.distribute_strategy.num_replicas_in_sync,
    }
print(json.dumps(found))
"""


@pytest.mark.timeout(600)
def test_two_devices_share_a_batch_and_learn_what_one_learns(steady_bert):
    command = [sys.executable, "-c", TRAIN, str(steady_bert)]
    done = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["one"]["replicas"], found["two"]["replicas"]) == ([1], [2])
    assert found["two"]["exported_on"] == 1
    one, two = ({name: [row[name] for row in found[each]["history"]] for name in COLUMNS} for each in ("one", "two"))
    assert one["val_loss"][-1] < one["val_loss"][0] - 0.03
    np.testing.assert_allclose(two["val_loss"], one["val_loss"], rtol=1e-4)
    np.testing.assert_allclose(two["accuracy"], one["accuracy"], atol=0.02)
    # The last batch is padded so that the devices can share it, and so counts for a little more.
    np.testing.assert_allclose(two["loss"], one["loss"], rtol=5e-3)


COLUMNS = ("loss", "accuracy", "val_loss", "val_accuracy")
