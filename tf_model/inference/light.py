"""The light model: it answers raw strings by ONNX Runtime, and TensorFlow is not imported.

Texts of equally many tokens go in together, so that nothing is padded, and each batch has a core of its own.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tf_model import model_dir, tasks
from tf_model.device import cores
from tf_model.errors import ModelError, first_line
from tf_model.modeling.joint_label import answer_outputs
from tf_model.preprocessing.cleaning import Cleaning
from tf_model.preprocessing.light_tokenizer import LightTokenizer

FORMAT = 1  # of the folder; another one is of another version of this project
NETWORK, VOCABULARY, SETTINGS = "network.onnx", "vocab.txt", "light.json"
TOKENS = 512  # of a batch: what its layers compute stays in the cache of a core


class LightModel:
    """What is in a folder ``light/``, on ``threads`` cores (None: all)."""

    def __init__(self, folder: Path, threads: int | None = None):
        settings = model_dir.read_json(folder / SETTINGS, required=True)
        if settings.get("format") != FORMAT:
            raise ModelError(f"{folder} is of another version of this project; export the model again")
        self._settings = settings
        self._tasks = tasks.of_model(settings["labels"], settings["no_emotion"])
        self._ends = np.cumsum([len(task.labels) for task in self._tasks])[:-1]
        vocabulary = (folder / VOCABULARY).read_text(encoding="utf-8").removesuffix("\n").split("\n")
        cleaning = Cleaning(**settings["cleaning"])
        self._tokenizer = LightTokenizer(vocabulary, cleaning, settings["lower_case"], settings["max_tokens"])
        self._session = session(str(folder / NETWORK))
        self._threads = threads or cores()
        self._pool = ThreadPoolExecutor(self._threads)

    def score(self, batch: Sequence[bytes]) -> dict[str, np.ndarray]:
        """As :attr:`tf_model.inference.predictor.Predictor.score`, of any number of texts."""
        began = time.perf_counter()
        ids = self.token_ids([text.decode() for text in batch])
        between = time.perf_counter()
        logits = self.logits(ids)
        outputs = answer_outputs(self.probabilities(logits), self._tasks, self._settings["threshold"])
        unknown = self._tokenizer.unknown
        return outputs | {
            "unknown_share": np.array([row.count(unknown) / max(len(row) - 2, 1) for row in ids], np.float32),
            "tokenize_seconds": np.float64(between - began),
            "model_seconds": np.float64(time.perf_counter() - between),
        }

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The token ids of each text."""
        if len(texts) < self._threads:
            return [self._tokenizer(text) for text in texts]
        shares = [texts[first :: self._threads] for first in range(self._threads)]
        found = list(self._pool.map(lambda share: [self._tokenizer(text) for text in share], shares))
        return [found[number % self._threads][number // self._threads] for number in range(len(texts))]

    def logits(self, ids: Sequence[Sequence[int]]) -> np.ndarray:
        """The logits of all tasks side by side, float32 [N, classes], of texts of these token ids."""
        order = sorted(range(len(ids)), key=lambda number: -len(ids[number]))
        batches = []
        for length, group in itertools.groupby(order, key=lambda number: len(ids[number])):
            alike, size = list(group), max(TOKENS // length, 1)
            batches += [alike[first : first + size] for first in range(0, len(alike), size)]
        inputs = [np.array([ids[number] for number in batch], np.int32) for batch in batches]
        run = self._pool.map if len(inputs) > 1 else map
        found = np.concatenate(list(run(lambda batch: self._session.run(None, {"input_ids": batch})[0], inputs)))
        return found[np.argsort(order)]

    def probabilities(self, logits: np.ndarray) -> list[np.ndarray]:
        """Calibrated probabilities of each task, float32 [N, classes]."""
        found = []
        for task, values in zip(self._tasks, np.split(logits, self._ends, axis=1), strict=True):
            powers = np.exp((values - values.max(axis=1, keepdims=True)) / self._settings["temperature"][task.name])
            found.append((powers / powers.sum(axis=1, keepdims=True)).astype(np.float32))
        return found


def session(network: str | bytes) -> Any:
    """An ONNX Runtime session, one thread to each call; :class:`ModelError` where the network cannot be loaded."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(f"the light model needs the package onnxruntime ({first_line(error)}); install it") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own classes of errors have no common one
        raise ModelError(f"the light model cannot be loaded ({first_line(error)[:200]}); export it again") from error
