"""Training over several devices, tried on two logical CPUs in a process of its own."""

import json
import subprocess
import sys

from tf_model import paths

TRAIN = """
import functools, json, sys
from tf_model import backbone, data, fit, paths, recipes, runtime, tasks

tf = runtime.import_tensorflow()
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
# What several GPUs would be.
tf.distribute.MirroredStrategy = functools.partial(tf.distribute.MirroredStrategy, ["CPU:0", "CPU:1"])
runtime.prepare(0, precision="float32")
two = runtime.Runtime("2 logical CPUs", gpus=2, precision="float32", xla=False, deterministic=False)
examples = data.examples(data.read(paths.SAMPLE_CORPUS), tasks.PRODUCT)
part = fit.Part(examples["text"].tolist()[:95], examples["label_id"].to_numpy()[:95])
recipe = recipes.make_recipe("report", backbone=sys.argv[1], epochs=12, learning_rate=5e-3, seed=1)
fitted = fit.fit(recipe, backbone.find(sys.argv[1]), [9], part, part, runtime=two)
replicas = {len(variable.values) for variable in fitted.model.trainable_variables}
print(json.dumps({"replicas": sorted(replicas), "history": fitted.history}))
"""


def test_a_batch_is_shared_between_two_devices(tiny_bert):
    command = [sys.executable, "-c", TRAIN, str(tiny_bert)]
    done = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["replicas"] == [2]
    losses = [row["val_loss"] for row in found["history"]]
    assert len(losses) == 12
    assert losses[-1] < losses[0] - 0.03
