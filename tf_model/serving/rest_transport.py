"""TensorFlow Serving's REST protocol (https://www.tensorflow.org/tfx/serving/api_rest)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError, MaxRetryError, ReadTimeoutError, ResponseError
from urllib3.util.retry import Retry

from tf_model.errors import ModelError
from tf_model.serving import remote
from tf_model.serving.remote import SIGNATURE, Signature


class Rest:
    """A model on a server that speaks HTTP. It may be used by several threads.

    Args:
        base: Scheme, host and port.
        name: The model's name.
        version: ``""`` for the latest, else e.g. ``"/versions/3"``.
        timeout: Seconds that the server may be silent.
        retries: How often a call is tried again.
        backoff: Seconds before the second retry, doubled before each further one.
    """

    def __init__(self, base: str, name: str, version: str, *, timeout: float, retries: int, backoff: float) -> None:
        self.url = f"{base}/v1/models/{name}{version}"
        self._timeout, self._tries = timeout, retries + 1
        self._pool = urllib3.PoolManager(
            maxsize=8,
            timeout=urllib3.Timeout(connect=min(remote.CONNECT_TIMEOUT, timeout), read=timeout),
            retries=_Retry(
                total=retries,
                backoff_factor=backoff,
                backoff_jitter=backoff,
                status_forcelist=remote.BUSY,
                allowed_methods=None,  # a prediction changes nothing: it may be asked for twice
                redirect=0,
                raise_on_status=False,
                respect_retry_after_header=False,
            ),
        )

    def signature(self) -> Signature:
        """The signature of the model, from its metadata."""
        found = self._call("GET", "/metadata")
        try:
            signature = found["metadata"]["signature_def"]["signature_def"][SIGNATURE]
            outputs = {name: _last_dimension(output) for name, output in signature["outputs"].items()}
            return Signature(tuple(signature["inputs"]), outputs, str(found["model_spec"].get("version", "")))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ModelError(
                f"{self.url}/metadata: expected the signature {SIGNATURE}, found {str(found)[:120]}; serve a model "
                "that `python -m tf_model.train` made"
            ) from error

    def predict(self, texts: Sequence[bytes]) -> Mapping[str, Any]:
        """The outputs for N texts."""
        body = {"signature_name": SIGNATURE, "inputs": {"text": [text.decode("utf-8") for text in texts]}}
        outputs = self._call("POST", ":predict", json.dumps(body).encode())
        outputs = outputs.get("outputs") if isinstance(outputs, dict) else None
        if not isinstance(outputs, dict):
            raise ModelError(f"{self.url}: expected outputs by name, and the reply has none; serve the model anew")
        return outputs

    def _call(self, method: str, what: str, body: bytes | None = None) -> Any:
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            response = self._pool.request(method, self.url + what, body=body, headers=headers)
        except ReadTimeoutError as error:
            raise remote.too_slow(self.url, self._timeout) from error
        except MaxRetryError as error:
            if isinstance(error.reason, ResponseError):
                raise remote.refused(self.url, "it sends us elsewhere") from error
            raise remote.unreachable(self.url, _cause(error.reason or error), self._tries) from error
        except (HTTPError, UnicodeError, ValueError) as error:
            raise remote.unreachable(self.url, error, 1) from error
        found = remote.as_json(response.data)
        reason = found.get("error") if isinstance(found, dict) else None
        reason = " ".join(str(reason or f"status {response.status}").split())
        if response.status in remote.BUSY:
            raise remote.busy(self.url, reason, self._tries)
        if response.status == 404:
            raise remote.no_such_model(self.url, reason)
        if response.status >= 400:
            raise remote.refused(self.url, reason)
        if not isinstance(found, dict):
            kind = response.headers.get("Content-Type", "nothing")
            raise ModelError(
                f"{self.url}: expected JSON, found {kind!r}; give the address of TensorFlow Serving's REST port, "
                "usually 8501"
            )
        return found


class _Retry(Retry):
    """Tries again, except after a call that took too long: that would only add to the load."""

    def increment(self, *arguments: Any, error: Exception | None = None, **more: Any) -> Retry:
        if isinstance(error, ReadTimeoutError):
            raise error
        return super().increment(*arguments, error=error, **more)


def _cause(error: BaseException) -> BaseException:
    """What the operating system said, where it said anything."""
    return error.__cause__ or error


def _last_dimension(output: Mapping[str, Any]) -> int | None:
    dimensions = output["tensor_shape"].get("dim", [])
    size = int(dimensions[-1]["size"]) if dimensions else -1
    return size if size > 0 else None
