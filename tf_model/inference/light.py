"""The light model: it answers raw strings by OpenVINO, and TensorFlow is not imported.

Texts of equally many tokens go in together, so that nothing is padded. One text has all cores; of many batches, each
has a core of its own.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from tf_model import model_dir, tasks
from tf_model.device import cores
from tf_model.errors import ModelError, first_line
from tf_model.modeling.joint_label import answer_outputs
from tf_model.preprocessing.cleaning import Cleaning
from tf_model.preprocessing.light_tokenizer import LightTokenizer

FORMAT = 2  # of the folder; another one is of another version of this project
NETWORK, VOCABULARY, SETTINGS = "network.xml", "vocab.txt", "light.json"
TOKENS = 512  # of a batch: what its layers compute stays in the cache of a core
MANY = 8  # batches from which each is computed on one core, and as many at once as there are cores


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
        self._threads = threads or cores()
        self._pool = ThreadPoolExecutor(self._threads)
        self._network = read_network(folder / NETWORK)
        self._one = self._compiled(1)

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
        return self._tokenizer(texts)

    def logits(self, ids: Sequence[Sequence[int]]) -> np.ndarray:
        """The logits of all tasks side by side, float32 [N, classes], of texts of these token ids."""
        order = sorted(range(len(ids)), key=lambda number: -len(ids[number]))
        batches = []
        for length, group in itertools.groupby(order, key=lambda number: len(ids[number])):
            alike = list(group)
            while alike:  # sizes that occur again and again: each new shape costs some milliseconds
                size = min(1 << len(alike).bit_length() - 1, max(TOKENS // length, 1))
                batches.append(np.array([ids[number] for number in alike[:size]], np.int32))
                alike = alike[size:]
        if len(batches) < MANY:
            found = [infer(self._one, batch) for batch in batches]
        else:
            found = self._pool.map(partial(infer, self._many), batches)
        return np.concatenate(list(found))[np.argsort(order)]

    @cached_property
    def _many(self) -> Any:
        """The network with a stream for each core, made when it is first needed."""
        return self._compiled(self._threads)

    def _compiled(self, streams: int) -> Any:
        """The network, which computes ``streams`` batches at once; :class:`ModelError` if it cannot be had."""
        import openvino

        properties = {
            "INFERENCE_NUM_THREADS": self._threads,
            "NUM_STREAMS": streams,
            "INFERENCE_PRECISION_HINT": "f32",  # alike on every processor
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": self._settings["group"],  # 0: nothing is quantized
        }
        return openvino.Core().compile_model(self._network, "CPU", properties)

    def probabilities(self, logits: np.ndarray) -> list[np.ndarray]:
        """Calibrated probabilities of each task, float32 [N, classes]."""
        found = []
        for task, values in zip(self._tasks, np.split(logits, self._ends, axis=1), strict=True):
            powers = np.exp((values - values.max(axis=1, keepdims=True)) / self._settings["temperature"][task.name])
            found.append((powers / powers.sum(axis=1, keepdims=True)).astype(np.float32))
        return found


def read_network(file: Path) -> Any:
    """An OpenVINO network; :class:`ModelError` if it cannot be read."""
    try:
        import openvino

        return openvino.Core().read_model(file)
    except ImportError as error:
        raise ModelError(f"the light model needs the package openvino ({first_line(error)}); install it") from error
    except RuntimeError as error:
        raise ModelError(f"the light model cannot be loaded ({first_line(error)[:200]}); export it again") from error


def infer(network: Any, batch: np.ndarray) -> np.ndarray:
    """The logits, float32 [B, classes], of token ids, int32 [B, L]; safe in threads, for each has its own request."""
    return network.create_infer_request().infer([batch], share_inputs=True)[0]
