"""The app behind the HTTP API: its paths, limits, keys, log and metrics."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
import traceback
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Any, Literal

import prometheus_client
from fastapi import FastAPI, HTTPException, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel, Field, create_model
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tf_model import cli
from tf_model.api.batching import Batcher
from tf_model.inference.attribution import Explanation
from tf_model.inference.predictor import MAX_CHARACTERS, Predictor, outputs_of
from tf_model.inference.targets import TargetPredictor
from tf_model.io.base import rows_of
from tf_model.model_dir import SIGNATURE, probability_column
from tf_model.monitor.prometheus import PREFIX, SECONDS_BUCKETS
from tf_model.monitor.recorder import Recorder

LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")  # names of this machine
MOST_TEXTS = 128  # per request
MOST_MENTIONS = 10 * MOST_TEXTS  # in the texts of a request: each is scored like a text
MOST_BYTES = 2**18  # of a body: enough for the longest text, however it is escaped
MOST_WAITING = 512  # texts, about half a second of work
MOST_EXPLANATIONS = 8  # waiting, since each takes as long as dozens of answers
MOST_FAULTS, MOST_NAME = 3, 40  # faults of a request that are reported, and characters of a field name
TIMEOUT = 10.0  # seconds from the end of a request's headers to the end of its answer
RETRY_SECONDS = 1
SOURCE = "api"  # of recorded calls
PUBLIC_PATHS = ("/health/live", "/health/ready")  # they need no key and no name: Kubernetes asks a pod by its IP
EXAMPLE = "My iPad is great but my Android phone is a joke"
PROBLEMS = {
    400: "This host name is not served, or the body cannot be read.",
    401: "A key is needed: `Authorization: Bearer KEY`.",
    413: f"The body has more than {MOST_BYTES:,} bytes.",
    429: "The server is busy; `Retry-After` says when to try again.",
    500: "The model failed on these texts.",
    504: f"No answer within {TIMEOUT:g} seconds.",
}

Text = Annotated[str, Field(max_length=MAX_CHARACTERS, examples=[EXAMPLE])]
TextList = Annotated[list[Text], Field(min_length=1, max_length=MOST_TEXTS, examples=[[EXAMPLE, "ok"]])]


class Problem(BaseModel):
    """Why there is no answer."""

    detail: str


NO_TARGETS = "this server has no `target` model; run `make targets`, or give one with --targets"
NOT_SUPPORTED = {404: {"model": Problem, "description": "This model cannot do that."}}


class Texts(BaseModel, extra="forbid"):  # else products or a threshold would be ignored silently
    """Texts to answer for."""

    texts: TextList


class TextInputs(BaseModel, extra="forbid"):
    """The inputs of a model on TensorFlow Serving, by name."""

    text: TextList


class ServingRequest(BaseModel, extra="forbid"):
    """Texts to answer for, as TensorFlow Serving is asked."""

    inputs: TextInputs
    signature_name: Literal[SIGNATURE] = SIGNATURE


class OneText(BaseModel, extra="forbid"):
    """A text to explain the answer for, or with a mention's place the emotion directed at it."""

    text: Text
    start: Annotated[int | None, Field(examples=[3], description="of a mention, as in `/targets`; code points")] = None
    end: Annotated[int | None, Field(examples=[7], description="exclusive")] = None


def make_app(
    predictor: Predictor,
    targets: TargetPredictor | None = None,
    *,
    hosts: Sequence[str] = LOCAL_HOSTS,
    keys: Collection[str] = (),
    recorder: Recorder | None = None,
    registry: prometheus_client.CollectorRegistry,
) -> ASGIApp:
    """The API of a model of texts and, if given, a model of targets; it answers to the host names ``hosts``.

    With ``keys``, a request needs one of them. ``registry`` holds the other metrics of ``/metrics``.
    """
    app = FastAPI(
        title="Tweet Target",
        description="What emotion is directed toward which product?",
        version=predictor.version,
        docs_url=None,  # the pages load scripts from other sites
        redoc_url=None,
        redirect_slashes=False,  # behind a proxy for TLS, it would redirect to http
        max_body_size=MOST_BYTES,
        responses={status: {"model": Problem, "description": text} for status, text in PROBLEMS.items()}
        | {
            status: {"model": Problem, "description": PROBLEMS[status], "content": {"text/plain": {}}}
            for status in (400, 413)
        },
        dependencies=[Security(HTTPBearer(auto_error=False))] if keys else None,  # for the description; see Guard
    )
    app.add_middleware(HostCheck, allowed_hosts=list(hosts), www_redirect=False)
    names, outputs = list(predictor.columns()), list(outputs_of(predictor.labels))

    def measure(texts: Sequence[str]) -> Any:
        with recorder.recording_errors(SOURCE) if recorder else nullcontext():
            measured = predictor.predict_measured(texts)
        if recorder:
            recorder.record_measured(texts, measured, SOURCE)
        return measured.predictions

    def predict(texts: Sequence[str]) -> list[dict[str, Any]]:
        return [dict(zip(names, row, strict=True)) for row in rows_of(measure(texts)[names])]

    def serve(texts: Sequence[str]) -> list[tuple[Any, ...]]:
        predictions = measure(texts)
        columns = {name: predictions[name].tolist() for name in outputs if name in predictions}
        for task, labels in predictor.labels.items():
            probability_columns = [probability_column(task, label) for label in labels]
            columns[f"{task}_probabilities"] = predictions[probability_columns].to_numpy().tolist()
        return list(zip(*(columns[name] for name in outputs), strict=True))

    def find_targets(texts: Sequence[str]) -> list[list[dict[str, Any]]]:
        targets_by_text: list[list[dict[str, Any]]] = [[] for _ in texts]
        predictions = targets.predict(texts)
        for index, row in zip(predictions.index, rows_of(predictions), strict=True):
            values = dict(zip(predictions, row, strict=True))
            if values["mention"] is not None:
                targets_by_text[index].append(values)
        return targets_by_text

    def count_mentions(texts: Sequence[str]) -> list[int]:
        return [len(targets.products.first_mentions(text)) for text in texts]

    def explain(bodies: Sequence[OneText]) -> list[dict[str, Any]]:
        [body] = bodies
        place = body.start, body.end
        if place == (None, None):
            row, explanation = predict([body.text])[0], predictor.explain(body.text)
        else:
            rows = [row for row in find_targets([body.text])[0] if (row["start"], row["end"]) == place]
            if not rows:
                problem = {"loc": ("body", "start"), "msg": "/targets finds no mention there", "type": "value_error"}
                raise RequestValidationError([problem])
            row, explanation = rows[0], targets.explain(body.text, rows[0])
        return [{"prediction": row, "explanation": asdict(explanation)}]

    scoring = ThreadPoolExecutor(1, "scoring")
    prediction_batcher = Batcher(predict, scoring, MOST_WAITING)
    serving_batcher = Batcher(serve, scoring, MOST_WAITING)
    # A text counts once for each of its products: few are joined, or those given up would still take their time.
    # Products are looked for on a thread of their own: in long texts that takes a second or more.
    target_batcher = Batcher(find_targets, ThreadPoolExecutor(1, "targets"), MOST_WAITING, MOST_TEXTS)
    count_batcher = Batcher(count_mentions, ThreadPoolExecutor(1, "counting"), MOST_WAITING, 1)
    explanation_batcher = Batcher(explain, ThreadPoolExecutor(1, "explaining"), MOST_EXPLANATIONS, 1)

    prediction = _row_model("Prediction", predictor.columns())
    target = _row_model("Target", targets.columns() if targets else {})
    predictions = create_model("Predictions", predictions=list[prediction])
    all_targets = create_model("Targets", targets=(list[list[target]], Field(description="the targets of each text")))
    explanation = create_model("Explained", prediction=prediction | target, explanation=Explanation)

    @app.post("/predict", response_model=predictions, summary="The answer for each whole text")
    async def _predict(body: Texts, request: Request) -> Response:
        request.state.texts = len(body.texts)
        return JSONResponse({"predictions": await prediction_batcher(body.texts)})

    @app.post(
        "/targets",
        response_model=all_targets,
        responses=NOT_SUPPORTED,
        summary="The emotion directed at each product",
        description=f"The texts may name at most {MOST_MENTIONS:,} products, each counted once per text.",
    )
    async def _targets(body: Texts, request: Request) -> Response:
        request.state.texts = len(body.texts)
        if targets is None:
            raise HTTPException(404, NO_TARGETS)
        may_exceed = len(body.texts) * len(targets.products.aliases) > MOST_MENTIONS  # else there is no need to count
        if may_exceed and (mentions := sum(await count_batcher(body.texts))) > MOST_MENTIONS:
            message = f"the texts name {mentions:,} products, expected at most {MOST_MENTIONS:,}; send fewer texts"
            raise RequestValidationError([{"loc": ("body", "texts"), "msg": message, "type": "value_error"}])
        return JSONResponse({"targets": await target_batcher(body.texts)})

    @app.post("/explain", response_model=explanation, responses=NOT_SUPPORTED, summary="Which words counted")
    async def _explain(body: OneText, request: Request) -> Response:
        request.state.texts = 1
        if targets is None and (body.start, body.end) != (None, None):
            raise HTTPException(404, NO_TARGETS)
        [answer] = await explanation_batcher([body])
        return JSONResponse(answer)

    # The paths of TensorFlow Serving, so that a client of one works with the other.
    address = f"/v1/models/{predictor.name}"

    @app.post(f"{address}:predict", summary="Like /predict with all probabilities, in TensorFlow Serving's format")
    async def _serve(body: ServingRequest, request: Request) -> Response:
        request.state.texts = len(body.inputs.text)
        columns = zip(*await serving_batcher(body.inputs.text), strict=True)
        return JSONResponse({"outputs": dict(zip(outputs, columns, strict=True))})

    @app.get(f"{address}/metadata", summary="The model's inputs and outputs, in TensorFlow Serving's format")
    async def _metadata() -> dict[str, Any]:
        signature = {"inputs": {"text": {}}, "outputs": {name: {} for name in outputs}}
        spec = {"name": predictor.name, "version": predictor.version}
        return {"model_spec": spec, "metadata": {"signature_def": {"signature_def": {SIGNATURE: signature}}}}

    @app.get("/health/live", summary="Whether the process answers")
    async def _live() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/health/ready", responses={503: {"model": Problem, "description": "The server is busy."}})
    async def _ready() -> dict[str, str]:
        """Whether a text would be accepted."""
        if any(batcher.is_full for batcher in (prediction_batcher, serving_batcher, target_batcher)):
            raise HTTPException(503, "the server is busy")
        return {"status": "ok"}

    @app.get("/model", summary="Which models answer")
    async def _model() -> dict[str, Any]:
        about_targets = targets and _model_facts(targets.model) | {"products": list(targets.products.aliases)}
        return {"predict": _model_facts(predictor), "targets": about_targets}

    @app.get("/metrics", response_class=Response, summary="Metrics for Prometheus")
    def _metrics() -> Response:  # not async: FastAPI runs it in a thread, as it may read the log
        content = prometheus_client.generate_latest(registry)
        return Response(content, media_type=prometheus_client.CONTENT_TYPE_LATEST)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> Response:
        """Leave out the input, which may be long or not UTF-8; cut field names, which also come from outside."""
        detail = [{name: each[name] for name in ("loc", "msg", "type")} for each in error.errors()[:MOST_FAULTS]]
        for each in detail:
            if each["type"] == "model_attributes_type":
                each["msg"] = "expected a JSON object, and the header Content-Type: application/json"
            each["loc"] = [part[:MOST_NAME] if isinstance(part, str) else part for part in each["loc"]]
        return JSONResponse({"detail": detail}, 422)

    @app.exception_handler(asyncio.QueueFull)
    async def _busy(*_: Any) -> Response:
        return _problem(429, {"Retry-After": str(RETRY_SECONDS)})

    @app.exception_handler(Exception)
    async def _failed(*_: Any) -> Response:
        return _problem(500)

    return Guard(app, keys, registry, {route.path for route in app.routes})


class HostCheck(TrustedHostMiddleware):
    """Refuses requests under other host names, except for :data:`PUBLIC_PATHS`."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await (self.app if scope.get("path") in PUBLIC_PATHS else super().__call__)(scope, receive, send)


class Guard:
    """Wraps all requests: checks the key and the time limit, and logs one line without any content."""

    def __init__(
        self, app: ASGIApp, keys: Collection[str], registry: prometheus_client.CollectorRegistry, paths: Collection[str]
    ) -> None:
        self._app, self._paths = app, paths
        self._keys = [sha256(key.encode()).digest() for key in keys]
        self._seconds = prometheus_client.Histogram(
            f"{PREFIX}_http_request_duration_seconds",
            "Time of a request by path and status.",
            ["path", "status"],
            registry=registry,
            buckets=SECONDS_BUCKETS,
        )
        for path in paths:
            for status in (429, 500, 504):  # a rate needs a zero before the first error
                self._seconds.labels(path, status)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if scope["method"] == "HEAD":  # of health checks; the server sends no body
            scope = scope | {"method": "GET"}
        began, response = time.perf_counter(), {}

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                response["status"] = message["status"]
            await send(message)

        try:
            if not self._is_authorized(scope):
                await _problem(401, {"WWW-Authenticate": "Bearer"})(scope, receive, watch)
            else:
                async with asyncio.timeout(TIMEOUT):
                    await self._app(scope, receive, watch)
        except TimeoutError:
            if "status" not in response:
                await _problem(504)(scope, receive, watch)
        except Exception as error:  # FastAPI has answered; the error's message may quote a text
            place = traceback.extract_tb(error.__traceback__)[-1]
            response["error"] = f"{type(error).__name__} at {place.filename}:{place.lineno}"
        seconds = time.perf_counter() - began
        path = scope["path"] if scope["path"] in self._paths else "other"
        self._seconds.labels(path, response.get("status", 0)).observe(seconds)
        now, texts = datetime.now(UTC).isoformat(timespec="milliseconds"), scope.get("state", {}).get("texts", 0)
        cli.say(json.dumps({"time": now, "path": path, "seconds": round(seconds, 4), "texts": texts} | response))

    def _is_authorized(self, scope: Scope) -> bool:
        if not self._keys or scope["path"] in PUBLIC_PATHS:
            return True
        scheme, _, key = dict(scope["headers"]).get(b"authorization", b"").partition(b" ")
        digest = sha256(key.strip()).digest()
        return scheme.lower() == b"bearer" and any(secrets.compare_digest(digest, each) for each in self._keys)


def _problem(status: int, headers: Mapping[str, str] = {}) -> Response:
    return JSONResponse({"detail": PROBLEMS[status]}, status, headers)


def _row_model(name: str, columns: Mapping[str, str]) -> type[BaseModel]:
    """The description of a row with these columns and dtypes; any value may be missing."""
    types = {"str": str, "float32": float, "Int64": int}
    return create_model(name, **{column: types[dtype] | None for column, dtype in columns.items()})


def _model_facts(model: Predictor) -> dict[str, Any]:
    about = {"name": model.name, "version": model.version, "dataset": model.metrics.get("dataset")}
    return about | {"runtime": model.runtime, "labels": model.labels, "threshold": model.threshold}
