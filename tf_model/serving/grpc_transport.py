"""TensorFlow Serving's gRPC protocol, by its published messages (package tensorflow-serving-api)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tf_model.errors import ModelError, UsageError, first_line
from tf_model.serving import remote
from tf_model.serving.remote import PACKAGE, SIGNATURE, Signature

SERVICE = "tensorflow.serving.PredictionService"
MESSAGE_BYTES = 64 * 2**20  # gRPC's default of 4 MB is less than 64 texts of 20,000 characters can need


def import_messages() -> tuple[Any, Any, Any, Any]:
    """The modules ``grpc``, ``predict_pb2``, ``get_model_metadata_pb2`` and ``prediction_service_pb2_grpc``.

    Raises:
        UsageError: They are not installed.
    """
    from tf_model.device import import_tensorflow

    import_tensorflow()  # the messages are built on TensorFlow's own
    try:
        import grpc
        from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc
    except ImportError as error:
        raise UsageError(
            f"a server at grpc:// needs the package tensorflow-serving-api ({first_line(error)}); run `python -m pip "
            f"install '{PACKAGE}'`, or give its REST address, such as http://HOST:8501"
        ) from error
    return grpc, predict_pb2, get_model_metadata_pb2, prediction_service_pb2_grpc


class Grpc:
    """A model on a server that speaks gRPC, without encryption. It may be used by several threads.

    Args:
        base: ``grpc://HOST:PORT``.
        name: The model's name.
        version: ``""`` for the latest, else e.g. ``"/versions/3"``.
        timeout: Seconds that an answer may take, all tries together.
        retries: How often a call is tried again.
        backoff: Seconds before the second retry, doubled before each further one.
    """

    def __init__(self, base: str, name: str, version: str, *, timeout: float, retries: int, backoff: float) -> None:
        self._grpc, self._predict, self._metadata, services = import_messages()
        self.url = f"{base}/v1/models/{name}{version}"
        self._name, self._version, self._timeout, self._tries = name, version, timeout, retries + 1
        policy = {
            "maxAttempts": max(min(retries + 1, 5), 2),  # gRPC allows 2 to 5
            "initialBackoff": f"{max(backoff, 0.001)}s",
            "maxBackoff": f"{max(backoff, 0.001) * 2**retries}s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
        }
        config = {"methodConfig": [{"name": [{"service": SERVICE}], **({"retryPolicy": policy} if retries else {})}]}
        options = [
            ("grpc.service_config", json.dumps(config)),
            ("grpc.max_send_message_length", MESSAGE_BYTES),
            ("grpc.max_receive_message_length", MESSAGE_BYTES),
        ]
        self._stub = services.PredictionServiceStub(
            self._grpc.insecure_channel(base.removeprefix("grpc://"), options=options)
        )

    def signature(self) -> Signature:
        """The signature of the model, from its metadata."""
        request = self._metadata.GetModelMetadataRequest(metadata_field=["signature_def"])
        self._choose_model(request.model_spec)
        reply = self._call(self._stub.GetModelMetadata, request)
        signatures = self._metadata.SignatureDefMap()
        reply.metadata["signature_def"].Unpack(signatures)
        if SIGNATURE not in signatures.signature_def:
            raise remote.refused(self.url, f"it has no signature {SIGNATURE}")
        found = signatures.signature_def[SIGNATURE]
        outputs = {name: _last_dimension(output.tensor_shape) for name, output in found.outputs.items()}
        return Signature(tuple(found.inputs), outputs, str(reply.model_spec.version.value))

    def predict(self, texts: Sequence[bytes]) -> Mapping[str, Any]:
        """The outputs for N texts."""
        import tensorflow as tf

        request = self._predict.PredictRequest()
        self._choose_model(request.model_spec)
        request.model_spec.signature_name = SIGNATURE
        request.inputs["text"].CopyFrom(tf.make_tensor_proto(list(texts), tf.string, [len(texts)]))
        reply = self._call(self._stub.Predict, request)
        try:
            outputs = {name: tf.make_ndarray(values) for name, values in reply.outputs.items()}
        except (TypeError, ValueError) as error:  # fewer values than its shape says, or a type that numpy lacks
            raise ModelError(
                f"{self.url}: expected tensors, and one of the reply cannot be read ({first_line(error)[:120]}); serve "
                "the model anew"
            ) from error
        return {
            name: [text.decode("utf-8", "replace") for text in values] if values.dtype == object else values
            for name, values in outputs.items()
        }

    def _choose_model(self, spec: Any) -> None:
        spec.name = self._name
        if self._version.startswith("/versions/"):
            spec.version.value = int(self._version.rsplit("/", 1)[1])
        elif self._version:
            spec.version_label = self._version.rsplit("/", 1)[1]

    def _call(self, method: Any, request: Any) -> Any:
        codes = self._grpc.StatusCode
        try:
            return method(request, timeout=self._timeout)
        except self._grpc.RpcError as error:
            reason = " ".join(error.details().split())
            if error.code() == codes.DEADLINE_EXCEEDED:
                raise remote.too_slow(self.url, self._timeout) from error
            if error.code() == codes.UNAVAILABLE:
                raise remote.unreachable(self.url, RuntimeError(reason), self._tries) from error
            if error.code() == codes.RESOURCE_EXHAUSTED:
                raise remote.busy(self.url, reason, self._tries) from error
            if error.code() == codes.NOT_FOUND:
                raise remote.no_such_model(self.url, reason) from error
            raise remote.refused(self.url, f"{error.code().name}: {reason}") from error


def _last_dimension(shape: Any) -> int | None:
    size = shape.dim[-1].size if shape.dim else -1
    return size if size > 0 else None
