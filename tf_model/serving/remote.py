"""A model on a TensorFlow Serving server, with the interface of one that is loaded here.

Spoken is the REST protocol (https://www.tensorflow.org/tfx/serving/api_rest), or, at an address that begins with
``grpc://``, the gRPC one. A call that finds nobody or a busy server is tried again; one that takes too long is not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from tf_model import tasks
from tf_model.errors import ModelError, UsageError, first_line, listed
from tf_model.inference.predictor import ANSWER, DEFAULT_MODELS, Outputs, Predictor
from tf_model.model_dir import CALIBRATION, METRICS, RECIPE, SIGNATURE, read_json, read_labels

if TYPE_CHECKING:
    import numpy

PACKAGE = "tensorflow-serving-api==2.21.0"  # for gRPC and for warm-up requests
TIMEOUT = 60.0  # seconds; a batch of 64 long texts on a busy core takes about two
CONNECT_TIMEOUT = 5.0
RETRIES = 4
BACKOFF = 0.25  # seconds before the second retry, doubled before each further one
# What a server that starts, restarts or is full answers with; any other status says that trying again is no use.
BUSY = (429, 502, 503, 504)


@dataclass(frozen=True)
class Signature:
    """What ``serving_default`` of a served model takes and returns.

    Attributes:
        inputs: Names of the inputs.
        outputs: The size of the last dimension of each output, by name; None where it is not known.
        version: The version of the model that answered.
    """

    inputs: tuple[str, ...]
    outputs: Mapping[str, int | None]
    version: str


class Transport(Protocol):
    """A way to talk to a server.

    Attributes:
        url: Of the model.
    """

    url: str

    def signature(self) -> Signature:
        """The signature of the model."""

    def predict(self, texts: Sequence[bytes]) -> Mapping[str, Any]:
        """The outputs for N texts, N values each."""


@dataclass(frozen=True)
class RemotePredictor(Predictor):
    """A model on a server. :meth:`~tf_model.inference.predictor.Predictor.predict` takes it like any other.

    Attributes:
        url: Address of the model on the server.
        version: The version of the model that answered first.
    """

    url: str = ""
    version: str = ""

    @property
    def name(self) -> str:
        """What the model is called on its server."""
        return self.url.partition("/v1/models/")[2].split("/")[0]

    @classmethod
    def connect(
        cls,
        server: str,
        model: str | None = None,
        folder: Path | str | None = None,
        *,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
        backoff: float = BACKOFF,
    ) -> RemotePredictor:
        """Find a model on a server.

        Args:
            server: ``http://HOST:8501``, ``https://...`` or ``grpc://HOST:8500``; it may go on with
                ``/v1/models/NAME`` and ``/versions/N`` or ``/labels/LABEL``.
            model: The model's name. None: as ``server`` says, else ``answer`` if it is there, else ``product``.
            folder: A local copy of the saved model, for the names of classes that are not the project's own, and for
                its recipe and metrics: a server tells none of them. Its graph is not loaded.
            timeout: Seconds that an answer may take.
            retries: How often a call is tried again when nobody answers or the server is busy.
            backoff: Seconds before the second retry, doubled before each further one.

        Raises:
            UsageError: ``server`` is no address.
            ModelError: The server cannot be reached, has no such model, or does not answer as expected.
        """
        base, name, version = _split(server)
        if base.startswith("grpc:"):
            from tf_model.serving.grpc_transport import Grpc as transport
        else:
            from tf_model.serving.rest_transport import Rest as transport
        names = [found for found in (model, name) if found] or list(DEFAULT_MODELS)
        for candidate in names[:1] if model or name else names:
            connection = transport(base, candidate, version, timeout=timeout, retries=retries, backoff=backoff)
            try:
                signature = connection.signature()
            except NoSuchModel:
                if candidate == names[-1] or model or name:
                    raise
                continue
            break
        if list(signature.inputs) != ["text"]:
            raise ModelError(
                f"{connection.url}: expected the signature {SIGNATURE}(text: string[N]), found the inputs "
                f"{listed(signature.inputs)}; serve a model that `python -m tf_model.train` made"
            )
        papers = Path(folder) if folder is not None else None
        labels = _labels(signature, papers, connection.url)
        return cls(
            labels=labels,
            score=_scorer(connection, labels, _names(labels)),
            has_answer=ANSWER in signature.outputs,
            folder=papers,
            recipe=read_json(papers / RECIPE) if papers else {},
            metrics=read_json(papers / METRICS) if papers else {},
            threshold=read_json(papers / CALIBRATION).get("threshold") if papers else None,
            url=connection.url,
            version=signature.version,
        )


class NoSuchModel(ModelError):
    """The server does not know the model, or has not loaded it yet."""


def _split(server: str) -> tuple[str, str | None, str]:
    """Address, name of the model, and what chooses a version, e.g. ``"/versions/3"``."""
    wrong = UsageError(
        f"expected the address of a TensorFlow Serving server, such as http://localhost:8501, got {server!r}"
    )
    try:
        parts = urlsplit(server)
        valid = parts.scheme in ("http", "https", "grpc") and parts.hostname and (parts.port or True)
    except ValueError as error:  # half an IPv6 address, or a port that is no number
        raise wrong from error
    path = [part for part in parts.path.split("/") if part]
    named = len(path) in (3, 5) and path[:2] == ["v1", "models"] and path[3:4] in ([], ["versions"], ["labels"])
    if path[3:4] == ["versions"] and not _is_version(path[-1]):
        named = False
    if not valid or parts.query or parts.username or (path and not named):
        raise wrong
    name = path[2] if named else None
    return f"{parts.scheme}://{parts.netloc}", name, f"/{path[3]}/{path[4]}" if len(path) == 5 else ""


def _is_version(text: str) -> bool:
    return text.isdecimal() and len(text) < 20 and int(text) < 2**63  # the server counts in 64 bits


# ---------------------------------------------------------------- what the model is


def _labels(signature: Signature, folder: Path | None, url: str) -> dict[str, tuple[str, ...]]:
    """The classes of each task: from a local folder, else the project's own if their number is right."""
    if folder is not None:
        labels = read_labels(folder)
    elif "probabilities" in signature.outputs:
        width = signature.outputs["probabilities"]
        labels = {task.name: task.labels for task in tasks.TASKS.values() if len(task.labels) == width}
    else:
        labels = {
            task.name: task.labels for task in tasks.TASKS.values() if f"{task.name}_probabilities" in signature.outputs
        }
    missing = [output for output in _names(labels) if output not in signature.outputs]
    widths = {task: signature.outputs.get(_probabilities(labels, task)) for task in labels}
    wrong = [task for task in labels if widths[task] not in (None, len(labels[task]))]
    if not labels or missing or wrong:
        raise ModelError(
            f"{url} returns {listed(signature.outputs)}, which is not what "
            f"{'the model in ' + str(folder) if folder else 'a model of the usual tasks'} returns; give the folder of "
            "the same model with --model DIR, so that the names of its classes are known"
        )
    return labels


def _probabilities(labels: Mapping[str, Any], task: str) -> str:
    return "probabilities" if len(labels) == 1 else f"{task}_probabilities"


def _names(labels: Mapping[str, Any]) -> dict[str, str]:
    """Our name of each output that every model has, by the server's."""
    if len(labels) != 1:
        return {name: name for task in labels for name in (task, f"{task}_confidence", f"{task}_probabilities")}
    [task] = labels
    return {"label": task, "confidence": f"{task}_confidence", "probabilities": f"{task}_probabilities"}


# ---------------------------------------------------------------- what it says


def _scorer(connection: Transport, labels: Mapping[str, tuple[str, ...]], names: Mapping[str, str]) -> Any:
    def score(batch: Sequence[bytes]) -> Outputs:
        found = connection.predict(batch)
        missing = [name for name in names if name not in found]
        if missing:
            raise ModelError(f"{connection.url}: the reply lacks {listed(missing)}; serve the model anew")
        outputs = {names.get(name, name): _values(name, found[name], len(batch), connection.url) for name in found}
        for task, classes in labels.items():
            _check_classes(outputs, task, classes, connection.url)
        return outputs

    return score


def _values(name: str, values: Any, rows: int, url: str) -> numpy.ndarray:
    """One output as an array: texts as objects, numbers as finite float32."""
    import numpy

    try:
        array = numpy.asarray(values)
        array = array.astype(object if array.dtype.kind in "US" or array.dtype == object else "float32")
    except (TypeError, ValueError):  # lists of several lengths
        array = numpy.empty(0, object)
    if array.dtype == object:
        good = array.shape == (rows,) and all(isinstance(value, str) for value in array)
    else:
        good = array.shape[:1] == (rows,) and bool(numpy.isfinite(array).all())
    if not good:
        raise ModelError(
            f"{url}: expected {rows} values of {name!r}, all texts or all finite numbers, and the reply holds "
            f"something else: {str(values)[:80]}"
        )
    return array


def _check_classes(outputs: Outputs, task: str, classes: Sequence[str], url: str) -> None:
    """The most probable class must have the name that the server gives it: else our names are another model's."""
    probabilities = outputs[f"{task}_probabilities"]
    if probabilities.ndim == 2 and probabilities.shape[1] == len(classes):
        named = [classes[place] for place in probabilities.argmax(axis=1)]
        if named == outputs[task].tolist():
            return
    raise ModelError(
        f"{url}: the names of its classes are not {listed(classes)}; give the folder of the same model with --model DIR"
    )


# ---------------------------------------------------------------- errors that both transports share


def unreachable(url: str, error: BaseException, tries: int) -> ModelError:
    """Nobody is there, or the connection broke, at every try."""
    return ModelError(
        f"no model server answers at {url} ({first_line(error)[:200]}; tried {tries} times); check --server, and that "
        "the server is running"
    )


def too_slow(url: str, timeout: float) -> ModelError:
    """An answer took too long."""
    return ModelError(
        f"the model server at {url} did not answer within {timeout:g} s; give a smaller --batch-size, or look "
        "at its load"
    )


def busy(url: str, reason: str, tries: int) -> ModelError:
    """The server said at every try that it is busy."""
    return ModelError(f"the model server at {url} is busy or starting ({reason[:200]}; tried {tries} times); try later")


def no_such_model(url: str, reason: str) -> NoSuchModel:
    """The server is there, and the model is not."""
    return NoSuchModel(
        f"the server has no model at {url} ({reason[:200]}); check the name and version, or wait until it is loaded"
    )


def refused(url: str, reason: str) -> ModelError:
    """The server cannot do what it was asked."""
    return ModelError(f"the model server at {url} refused ({reason[:300]}); its log says why")


def as_json(text: bytes) -> Any:
    """A JSON value, or None."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
