"""A stand-in for TensorFlow Serving: the REST protocol as published, answered by the stub, with faults on demand.

https://www.tensorflow.org/tfx/serving/api_rest says what goes over the wire. The tests hold the stand-in to
TensorFlow's own message of a signature.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from stub_model import EMOTIONS

from tf_model import tasks

VERSION = "1795488000"
ANSWERS = {"answer": "Positive emotion → iPad", "best_guess": "Positive emotion → iPad", "second_guess": "none"}


def product_outputs(texts: list[str]) -> dict:
    """What a model of the task ``product`` returns: a text with "ipad" is about the iPad."""
    classes = [tasks.PRODUCTS.index("iPad") if "ipad" in text.lower() else 0 for text in texts]
    rows = [[0.75 if place == best else 0.03125 for place in range(9)] for best in classes]
    labels = [tasks.PRODUCTS[best] for best in classes]
    outputs = {"product": labels, "product_confidence": [0.75] * len(texts), "product_probabilities": rows}
    # A model of one task returns these outputs under a second name too.
    return outputs | {"label": labels, "confidence": outputs["product_confidence"], "probabilities": rows}


def answer_outputs(texts: list[str]) -> dict:
    """What the model ``answer`` returns."""
    product = product_outputs(texts)
    rows = len(texts)
    return {
        **{name: product[name] for name in ("product", "product_confidence", "product_probabilities")},
        "emotion": [EMOTIONS[2]] * rows,
        "emotion_confidence": [0.5] * rows,
        "emotion_probabilities": [[0.25, 0.25, 0.5]] * rows,
        "answer_confidence": [0.375] * rows,
        **{name: [text] * rows for name, text in ANSWERS.items()},
    }


MODELS = {"product": product_outputs, "answer": answer_outputs}


@dataclass
class StandIn:
    """A running stand-in.

    Attributes:
        models: Names of the models that it serves.
        faults: Faults for the next requests, one each: a status, ``"close"`` to break the connection, ``"half"`` to
            break it within the reply, a number of seconds to wait, or bytes to send instead of the reply.
        requests: Every request: method, path and body.
        change: Changes the outputs before they are sent.
    """

    models: tuple[str, ...] = ("product",)
    faults: list = field(default_factory=list)
    requests: list = field(default_factory=list)
    change: object = None
    url: str = ""

    @contextmanager
    def running(self):
        """Serve on a local port until the block ends."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *arguments: _Handler(self, *arguments))
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()


def metadata(name: str) -> dict:
    """The reply to ``GET .../metadata``: the published message as JSON, 64-bit numbers as strings."""
    outputs = {}
    for output, values in MODELS[name](["ipad"]).items():
        last = [values[0]] if isinstance(values[0], list) else []
        kind = "DT_STRING" if isinstance(values[0], str) else "DT_FLOAT"
        outputs[output] = _tensor(kind, [-1, *(len(each) for each in last)])
    signature = {
        "inputs": {"text": _tensor("DT_STRING", [-1])},
        "outputs": outputs,
        "method_name": "tensorflow/serving/predict",
        "defaults": {},
    }
    return {
        "model_spec": {"name": name, "signature_name": "", "version": VERSION},
        "metadata": {"signature_def": {"signature_def": {"serving_default": signature}}},
    }


def _tensor(kind: str, shape: list[int]) -> dict:
    dimensions = [{"size": str(size), "name": ""} for size in shape]
    return {"dtype": kind, "tensor_shape": {"dim": dimensions, "unknown_rank": False}, "name": "a:0"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, stand_in: StandIn, *arguments) -> None:
        self.stand_in = stand_in
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def log_message(self, *_) -> None:
        pass

    def _answer(self, body: bytes) -> None:
        self.stand_in.requests.append((self.command, self.path, body))
        fault = self.stand_in.faults.pop(0) if self.stand_in.faults else None
        if fault == "close":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if fault == "half":
            self._send(200, b" " * 1000, "application/json", half=True)
            return
        if isinstance(fault, float):
            time.sleep(fault)
            self.close_connection = True  # nobody waits any more: a reply would end in a traceback, in another test
            return
        if isinstance(fault, bytes):
            self._send(200, fault, "text/html")
            return
        if isinstance(fault, int):
            self._send_json(fault, {"error": f"made to fail with {fault}"})
            return
        path, _, verb = self.path.removeprefix("/v1/models/").partition(":")
        name, *version = path.removesuffix("/metadata").split("/")
        if name not in self.stand_in.models or version not in ([], ["versions", VERSION], ["labels", "stable"]):
            self._send_json(404, {"error": f"Servable not found for request: Latest({name})"})
        elif path.endswith("/metadata"):
            self._send_json(200, metadata(name))
        elif verb == "predict":
            self._predict(name, body)
        else:
            self._send_json(400, {"error": "Malformed request"})

    def _predict(self, name: str, body: bytes) -> None:
        request = json.loads(body)
        if request.keys() != {"signature_name", "inputs"} or request["signature_name"] != "serving_default":
            self._send_json(400, {"error": "JSON Value: {} is not formatted correctly for base64 data"})
            return
        outputs = MODELS[name](request["inputs"]["text"])
        self._send_json(200, {"outputs": self.stand_in.change(outputs) if self.stand_in.change else outputs})

    def _send_json(self, status: int, value: object) -> None:
        self._send(status, json.dumps(value, indent=4).encode(), "application/json")

    def _send(self, status: int, body: bytes, kind: str, half: bool = False) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if half:
            self.close_connection = True
            self.wfile.write(body[: len(body) // 2])
        else:
            self.wfile.write(body)
