"""The light model: it answers raw strings with OpenVINO, without importing TensorFlow.

Texts with the same number of tokens are batched together, so nothing is padded.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tf_model import model_dir, tasks
from tf_model.device import cores, schedulable_cores
from tf_model.errors import ModelError, first_line
from tf_model.modeling.joint_label import answer_outputs
from tf_model.preprocessing.cleaning import Cleaning
from tf_model.preprocessing.light_tokenizer import LightTokenizer, read_vocabulary

FORMAT = 2  # of the folder; another number comes from another version of this project
NETWORK, VOCABULARY, SETTINGS = "network.xml", "vocab.txt", "light.json"
TOKENS = 1024  # per batch; more was no faster, and took more memory


class LightModel:
    """The model in a folder ``light/``, run on ``threads`` cores (None: all)."""

    def __init__(self, folder: Path, threads: int | None = None):
        settings = model_dir.read_json(folder / SETTINGS, required=True)
        if settings.get("format") != FORMAT:
            raise ModelError(f"{folder} is of another version of this project; export the model again")
        self._settings = settings
        self._tasks = tasks.of_model(settings["labels"], settings["no_emotion"])
        self._ends = np.cumsum([len(task.labels) for task in self._tasks])[:-1]
        vocabulary, cleaning = read_vocabulary(folder / VOCABULARY), Cleaning(**settings["cleaning"])
        self.token_ids = LightTokenizer(vocabulary, cleaning, settings["lower_case"], settings["max_tokens"])
        self._network = compile_network(folder / NETWORK, settings["group"], threads or cores())

    def score(
        self, batch: Sequence[bytes], on_scored: Callable[[Sequence[bytes]], None] = lambda texts: None
    ) -> dict[str, np.ndarray]:
        """Like :attr:`tf_model.inference.predictor.Predictor.score`, for any number of texts.

        ``on_scored`` gets those of each batch of one length, at most :data:`TOKENS`, as it is finished.
        """
        began = time.perf_counter()
        ids = self.token_ids([text.decode() for text in batch])
        tokenized = time.perf_counter()
        logits = self.logits(ids, lambda numbers: on_scored([batch[number] for number in numbers]))
        outputs = answer_outputs(self.probabilities(logits), self._tasks, self._settings["threshold"])
        unknown = self.token_ids.unknown
        return outputs | {
            "unknown_share": np.array([row.count(unknown) / max(len(row) - 2, 1) for row in ids], np.float32),
            "tokenize_seconds": np.float64(tokenized - began),
            "model_seconds": np.float64(time.perf_counter() - tokenized),
        }

    def logits(
        self, ids: Sequence[Sequence[int]], on_scored: Callable[[Sequence[int]], None] = lambda numbers: None
    ) -> np.ndarray:
        """The logits of texts with these token ids, float32 [N, classes], all tasks side by side.

        ``on_scored`` gets the indices of each finished batch.
        """
        order = sorted(range(len(ids)), key=lambda number: -len(ids[number]))
        batches = []
        for length, group in itertools.groupby(order, key=lambda number: len(ids[number])):
            remaining = list(group)
            while remaining:  # powers of two only: each new shape costs time, and memory for good
                size = 1 << min(len(remaining), max(TOKENS // length, 1)).bit_length() - 1
                batches.append(self._infer([ids[number] for number in remaining[:size]]))
                on_scored(remaining[:size])
                remaining = remaining[size:]
        return np.concatenate(batches)[np.argsort(order)]

    def _infer(self, batch: Sequence[Sequence[int]]) -> np.ndarray:
        """The logits, float32 [B, classes], of texts with the same number of tokens."""
        request = self._network.create_infer_request()  # a request serves one thread at a time
        return request.infer([np.array(batch, np.int32)], share_inputs=True)[0]

    def probabilities(self, logits: np.ndarray) -> list[np.ndarray]:
        """Calibrated probabilities of each task, float32 [N, classes]."""
        scores = []
        for task, values in zip(self._tasks, np.split(logits, self._ends, axis=1), strict=True):
            powers = np.exp((values - values.max(axis=1, keepdims=True)) / self._settings["temperature"][task.name])
            scores.append((powers / powers.sum(axis=1, keepdims=True)).astype(np.float32))
        return scores


def compile_network(network: Any, group: int, threads: int) -> Any:
    """An OpenVINO network, or the file of one, compiled for ``threads`` cores; :class:`ModelError` if that fails.

    ``group`` activations share the scale of their 8-bit integers; 0: they stay 32-bit floats.
    """
    try:
        import openvino
    except ImportError as error:
        raise ModelError(f"the light model needs the package openvino ({first_line(error)}); install it") from error
    properties = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,  # two batches at once on two cores took longer than one after the other
        # Not with fewer threads than cores: several processes would all share the first cores.
        "ENABLE_CPU_PINNING": threads == schedulable_cores(),
        "INFERENCE_PRECISION_HINT": "f32",  # same results on every processor
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": group,
        "CPU_RUNTIME_CACHE_CAPACITY": 100,  # kernels, one per shape; the default of 5,000 takes 50 MB more
    }
    try:
        # In a thread that ends: OpenVINO gives the calling thread a signal stack, and frees it with the network, maybe
        # from another thread. If the caller still ran, the next SIGTERM would kill it at once, without clean-up.
        with ThreadPoolExecutor(1) as thread:
            compiling = thread.submit(openvino.Core().compile_model, network, "CPU", properties)
            import pandas  # noqa: F401  for the answers; its import takes as long as compiling beside it

            return compiling.result()
    except RuntimeError as error:
        raise ModelError(f"the light model cannot be loaded ({first_line(error)[:200]}); export it again") from error
