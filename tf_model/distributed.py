"""Training with several processes, on one machine or on many, as described by ``TF_CONFIG``.

Each worker runs the same command with the same settings, and computes its share of every batch; the first worker, the
chief, keeps the checkpoint and saves the model. https://www.tensorflow.org/guide/distributed_training#TF_CONFIG
"""

import hashlib
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tf_model.errors import TweetTargetError, UsageError, first_line

VARIABLE = "TF_CONFIG"
STARTUP_SECONDS = 300
EXAMPLE = '{"cluster": {"worker": ["10.0.0.1:12345", "10.0.0.2:12345"]}, "task": {"type": "worker", "index": 0}}'


class WorkerLost(TweetTargetError):
    """Another worker of the training is gone."""


@dataclass
class Cluster:
    """The workers of a training run: host and port of each, the chief first; ``index``, from 0, is this process's."""

    addresses: tuple[str, ...]
    index: int
    strategy: Any = None  # once connected, a ``tf.distribute.MultiWorkerMirroredStrategy``

    def describe(self) -> str:
        """``"worker 1 of 2"``."""
        return f"worker {self.index + 1} of {len(self.addresses)}"

    def connect(self, seconds: float) -> None:
        """Wait until all workers are connected; call this before any other TensorFlow operation.

        If they are not connected after ``seconds``, SIGALRM ends the process. Raises :class:`UsageError` if this
        process cannot listen at its address.
        """
        import tensorflow as tf

        # While TensorFlow waits, it holds the GIL, so no Python signal handler can run.
        handler = signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            self.strategy = tf.distribute.MultiWorkerMirroredStrategy()
        except (tf.errors.UnknownError, tf.errors.InvalidArgumentError) as error:
            raise UsageError(
                f"{self.describe()} cannot listen at {self.addresses[self.index]} ({first_line(error)}); give each "
                f"worker its own index in {VARIABLE}, and a port that no other program uses"
            ) from error
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGINT, handler)

    def agree(self, **values: Any) -> list[str]:
        """Wait for all workers; return the names of the JSON-ready ``values`` that differ between them."""
        import tensorflow as tf

        digests = [hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()[:4] for value in values.values()]
        own = tf.constant([[int.from_bytes(digest, "big", signed=True) for digest in digests]], tf.int32)  # (1, things)

        def gather() -> Any:
            return tf.distribute.get_replica_context().all_gather(own, axis=0)  # (replicas, things)

        with self.explain_losses():
            gathered = self.strategy.experimental_local_results(self.strategy.run(tf.function(gather)))[0].numpy()
        return [name for name, column in zip(values, gathered.T, strict=True) if len(set(column.tolist())) > 1]

    def wait(self) -> None:
        """Wait until all workers reach this point; raise :class:`WorkerLost` if one is gone."""
        self.agree(here=True)

    @contextmanager
    def explain_losses(self) -> Iterator[None]:
        """Raise a one-line :class:`WorkerLost` instead of TensorFlow's long error about a lost worker."""
        import tensorflow as tf

        try:
            yield
        except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as error:
            raise WorkerLost(
                f"another worker of {', '.join(self.addresses)} is gone; finished epochs are kept: "
                "start all workers again with --resume"
            ) from error


def from_environment() -> Cluster | None:
    """The cluster in ``TF_CONFIG``; None if it names no other worker; :class:`UsageError` if it is malformed."""
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return None
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        chiefs, workers = (tuple(cluster.get(kind, ())) for kind in ("chief", "worker"))
        kind, index = task["type"], int(task["index"])
        known = set(cluster) <= {"chief", "worker"} and len(chiefs) <= 1
        addresses = (*chiefs, *workers)
        peers = {"chief": chiefs, "worker": workers}[kind]
        valid = known and 0 <= index < len(peers) and all(isinstance(each, str) and ":" in each for each in addresses)
    except (ValueError, KeyError, TypeError, AttributeError):
        valid = False
    if not valid or len(set(addresses)) != len(addresses):
        raise UsageError(f"expected {VARIABLE} to name all workers and this one, such as {EXAMPLE}, got {text}")
    if len(addresses) == 1:
        return None
    return Cluster(addresses, index if kind == "chief" else len(chiefs) + index)
