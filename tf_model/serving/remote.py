"""A model on a server (TensorFlow Serving or ``python -m tf_model.api``), with the interface of a local model.

It uses REST (https://www.tensorflow.org/tfx/serving/api_rest). A call is retried if the server is down, busy or late
(504), but not if it sends nothing for :data:`TIMEOUT`, which would only add to the load.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import urllib3
from urllib3.exceptions import HTTPError, ReadTimeoutError

from tf_model import tasks
from tf_model.errors import ModelError, UsageError, first_line, listed
from tf_model.inference.predictor import DEFAULT_MODELS, Outputs, Predictor, outputs_of, settings_of
from tf_model.model_dir import SIGNATURE, is_of_training, read_labels, training_of

TIMEOUT = 60.0  # seconds without a byte of the reply; a batch of 64 long texts on a busy core takes about two
MOST_REQUEST_BYTES = 2**18  # bytes of a request of several texts; this project's API does not take more
CONNECT_TIMEOUT = 5.0
CONNECT_RETRIES = 4  # with their pauses 2 s: the address may be wrong
RETRIES = 8  # with their pauses 32 s: a restart of the API takes up to 11 s to shut down, and loads the models
BACKOFF = 0.25  # seconds before the second retry, doubled before each further one
# Statuses of a server that starts, restarts or is full; with any other status, retrying is no use.
BUSY = (429, 502, 503, 504)
_ADDRESS = re.compile(
    r"(https?://(?:\[[0-9a-fA-F:.]+\]|[^\s/?#@:\[\]]+)(?::\d+)?)"
    r"(?:/v1/models/([^\s/?#:]+)(/versions/\d{1,18}|/labels/[^\s/?#:]+)?)?/?"
)


@dataclass(frozen=True)
class RemotePredictor(Predictor):
    """A model on a server, used like any :class:`~tf_model.inference.predictor.Predictor`."""

    url: str = ""  # address of the model on the server

    @property
    def name(self) -> str:
        """The name of the model on its server."""
        return self.url.partition("/v1/models/")[2].split("/")[0]

    def check_version(self) -> None:
        """Raise :class:`ModelError` if the server has another version of the model than at :meth:`connect`."""
        version, _ = _Client(self.url, RETRIES).signature()
        if version != self.version:
            raise ModelError(
                f"{self.url} had version {self.version} of the model at the beginning and has {version} at the end, so "
                "answers may come from both; ask again"
            )

    @classmethod
    def connect(cls, server: str, folder: Path | str | None = None, *, retries: int | None = None) -> RemotePredictor:
        """Find a model at ``http://HOST:8000/v1/models/NAME/versions/N``; without a name ``answer``, else ``product``.

        A local copy in ``folder`` provides what a server does not: the class names if they are not the project's own
        and, if it is of the same training, the metrics.
        """
        match = _ADDRESS.fullmatch(server)
        if not match:
            raise UsageError(f"expected the REST address of a server, such as http://127.0.0.1:8000, got {server!r}")
        base, model_name, version = match.groups("")
        names = (model_name,) if model_name else DEFAULT_MODELS
        for name in names:
            client = _Client(f"{base}/v1/models/{name}{version}", CONNECT_RETRIES if retries is None else retries)
            try:
                served_version, outputs = client.signature()
                client.retries = RETRIES if retries is None else retries
                break
            except _NoSuchModel:
                if name == names[-1]:
                    raise
        folder = Path(folder) if folder is not None else None
        labels = _labels(outputs, folder, client.url)
        settings = settings_of(folder) if folder else {}
        if folder and not is_of_training(served_version, training_of(folder)):  # such as a new one, not served yet
            settings = {"no_emotion": settings["no_emotion"]}
        return cls(
            labels=labels,
            score=lambda batch: client.score(batch, labels),
            folder=folder,
            url=client.url,
            version=served_version,
            **settings,
        )


def _labels(outputs: Sequence[str], folder: Path | None, url: str) -> dict[str, tuple[str, ...]]:
    """The classes of each task that the server has outputs for: from a local folder, else the project's own."""
    if folder is not None:
        labels = read_labels(folder)
    else:
        labels = {
            task.name: task.labels for task in tasks.ALL_TASKS.values() if f"{task.name}_probabilities" in outputs
        }
    if not labels or not outputs_of(labels).keys() <= set(outputs):
        raise ModelError(
            f"{url} returns {listed(outputs)}, unlike {folder or 'a model of the usual tasks'}; give the "
            "folder of the same model with --model DIR"
        )
    return labels


def _parse_outputs(reply: Any, rows: int, labels: Mapping[str, Sequence[str]], url: str) -> Outputs:
    """The outputs of a reply as arrays; :class:`ModelError` if they are not those of a model with these classes."""
    shapes = {f"{task}_probabilities": (rows, len(classes)) for task, classes in labels.items()}
    outputs = {}
    try:
        for name, dtype in outputs_of(labels).items():
            outputs[name] = np.asarray(reply[name], object if dtype == "str" else dtype)
            if outputs[name].shape != shapes.get(name, (rows,)):
                raise ValueError
        for task, classes in labels.items():
            if [classes[best] for best in outputs[f"{task}_probabilities"].argmax(axis=1)] != outputs[task].tolist():
                raise ValueError
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{url} does not answer like a model of {' and '.join(labels)} with these classes: "
            f"{'; '.join(listed(classes) for classes in labels.values())}; give the folder of the same model with "
            "--model DIR, or serve it again"
        ) from error
    return outputs


class _NoSuchModel(ModelError):
    """The server does not know the model, or has not loaded it yet."""


class _Client:
    """A REST client of one model. Several threads may use it."""

    def __init__(self, url: str, retries: int) -> None:
        self.url, self.retries = url, retries
        timeout = urllib3.Timeout(connect=CONNECT_TIMEOUT, read=TIMEOUT)
        self._pool = urllib3.PoolManager(maxsize=8, timeout=timeout, retries=False)

    def signature(self) -> tuple[str, list[str]]:
        """The version that answers, and the names of the outputs."""
        reply = self._call("GET", "/metadata")
        try:
            signature = reply["metadata"]["signature_def"]["signature_def"][SIGNATURE]
            inputs, outputs = list(signature["inputs"]), list(signature["outputs"])
            version = str(reply["model_spec"].get("version", ""))
        except (KeyError, TypeError, AttributeError):
            inputs = []
        if inputs != ["text"]:
            expected = f"expected the signature {SIGNATURE}(text: string[N])"
            raise ModelError(f"{self.url}: {expected}, got {str(reply)[:120]}; serve a model of this project")
        return version, outputs

    def score(self, texts: Sequence[bytes], labels: Mapping[str, Sequence[str]]) -> Outputs:
        """The outputs for N texts, in several requests if they are too long for one."""
        inputs = {"text": [text.decode("utf-8") for text in texts]}
        body = json.dumps({"signature_name": SIGNATURE, "inputs": inputs}).encode()
        if len(body) > MOST_REQUEST_BYTES and len(texts) > 1:
            half = len(texts) // 2
            parts = [self.score(each, labels) for each in (texts[:half], texts[half:])]
            return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        reply = self._call("POST", ":predict", body)
        return _parse_outputs(reply.get("outputs"), len(texts), labels, self.url)

    def _call(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"} if body else {}
        for attempt in range(self.retries + 1):
            if attempt > 1:
                time.sleep(BACKOFF * 2 ** (attempt - 2))
            try:
                response = self._pool.request(method, self.url + path, body=body, headers=headers, redirect=False)
            except ReadTimeoutError as error:
                late = f"did not answer within {TIMEOUT:g} s"
                raise ModelError(f"the model server at {self.url} {late}; check its load") from error
            except HTTPError as error:
                failure = f"no model server answers at {self.url} ({first_line(error.__cause__ or error)[:200]}"
                advice = "check --server, and that the server is running"
                continue
            reply = None
            with suppress(ValueError):
                reply = response.json()
            # A message about texts may quote them, and errors are logged and shown on the page Monitor.
            reason = (reply.get("error") or reply.get("detail")) if isinstance(reply, dict) and not body else None
            reason = " ".join(str(reason or f"status {response.status}").split())[:200]
            if response.status not in BUSY:
                break
            failure, advice = f"the model server at {self.url} is busy or starting ({reason}", "try later"
        else:
            raise ModelError(f"{failure}; tried {self.retries + 1} times); {advice}")
        if response.status == 404:
            raise _NoSuchModel(
                f"the server has no model at {self.url} ({reason}); check its name, or wait until it is loaded"
            )
        if response.status == 400 and response.data == b"Invalid host header":  # words of Starlette, under our API
            raise ModelError(f"the API at {self.url} is not reached by this name; start it with --allow-host NAME")
        if response.status != 200:
            raise ModelError(f"the model server at {self.url} refused the request ({reason}); see its log")
        if not isinstance(reply, dict):
            advice = "give the port of the API, usually 8000, or TensorFlow Serving's REST port, 8601 in compose.yaml"
            raise ModelError(f"{self.url}: expected a JSON object, got another reply; {advice}")
        return reply
