"""``python -m tf_model.api``: answer requests over HTTP, as ``python -m tf_model.predict`` does for files."""

from __future__ import annotations

import argparse
import gc
import os
import re
import socket
from contextlib import ExitStack
from pathlib import Path

from tf_model import cli, model_dir, paths, tasks
from tf_model.errors import OutputError, UsageError

KEYS = "TWEETS_API_KEYS"
CONNECTIONS = 1000  # at once; most systems allow a process 1,024 open files


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C, and finish the requests that have begun."""
    arguments = _parser().parse_args(argv)
    keys = {key.strip() for key in os.environ.get(KEYS, "").split(",")} - {""}
    if KEYS in os.environ and not keys:
        raise UsageError(f"{KEYS} holds no key, so anybody could ask; set it to KEY,KEY, or unset it")
    with cli.stopped_cleanly(), ExitStack() as stack:
        listener = stack.enter_context(_listen(arguments.host, arguments.port))
        import uvicorn

        from tf_model.api.app import LOCAL_HOSTS, TIMEOUT, make_app
        from tf_model.inference.predictor import Predictor
        from tf_model.inference.targets import TargetPredictor, find_target_model
        from tf_model.monitor import reference
        from tf_model.monitor.prometheus import Exporter, process_registry

        predictor = Predictor.load(arguments.model, verify=arguments.verify)
        if tasks.TARGET.name in predictor.labels:
            raise UsageError(f"{predictor.folder} answers for each product that a text names; give it as --targets DIR")
        targets = None
        if arguments.targets or arguments.products or model_dir.is_there(paths.SAVED_MODELS / tasks.TARGET.name):
            folder, products, _ = find_target_model(arguments.targets, arguments.products)
            # Without a model that guesses, as only texts that name a product have targets.
            targets = TargetPredictor(Predictor.load(folder, verify=arguments.verify), products)
        recorder, registry = None, process_registry()
        if arguments.record:
            from tf_model.monitor.recorder import Recorder

            recorder = stack.enter_context(Recorder(model=predictor.name, version=predictor.version))
            exporter = Exporter()
            exporter.attach(recorder, reference.load(predictor.folder, predictor.version))
            registry = exporter.registry
        for model in filter(None, (predictor, targets and targets.model)):
            model.predict(["My iPad is great!"])
        host, port = listener.getsockname()[:2]
        host = f"[{host}]" if ":" in host else host
        hosts = [*LOCAL_HOSTS, host, *(arguments.allow_host or ())]
        app = make_app(predictor, targets, hosts=hosts, keys=keys, recorder=recorder, registry=registry)
        gc.collect()
        gc.freeze()  # the models stay in memory: no collection need look at them again
        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            ws="none",
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=75,  # proxies use a connection again for 60 s; one just closed would be an error
            timeout_graceful_shutdown=int(TIMEOUT) + 1,
        )
        names = predictor.name + (f" and {targets.model.name}" if targets else "")
        cli.say(f"serving {names} at http://{host}:{port}")
        uvicorn.Server(config).run(sockets=[listener])
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser("tf_model.api", "Serve predictions over HTTP: /predict, /targets, /explain; see /openapi.json.")
    parser.epilog = f"{KEYS}=KEY,KEY in the environment: a request needs one of them (Authorization: Bearer KEY)"
    add = parser.add_argument
    add("--port", type=int, default=8000, help="the port to listen on; 0 for any free one")
    add("--host", default="127.0.0.1", metavar="ADDRESS", help="where to listen; 0.0.0.0 to serve other machines")
    add(
        "--allow-host",
        type=_host_name,
        action="append",
        metavar="NAME",
        help="a host name to accept besides localhost, repeatable; *.NAME for its subdomains, * for any",
    )
    add("--model", type=Path, metavar="DIR", help="a model that you trust (default: saved_models/answer, else product)")
    add("--targets", type=Path, metavar="DIR", help="the model for /targets (default: saved_models/target, if any)")
    add("--products", type=Path, metavar="FILE", help="the products to look for, .csv or .yaml (default: the model's)")
    add("--verify", type=Path, metavar="PUBLIC_KEY", help="refuse models not signed with this key (PEM)")
    add("--record", action="store_true", help="log predictions, without the texts, for `python -m tf_model.monitor`")
    return parser


def _host_name(text: str) -> str:
    if not re.fullmatch(r"\*|(?:\*\.)?[a-zA-Z0-9._-]+|\[[0-9a-fA-F:.]+\]", text):
        raise argparse.ArgumentTypeError(f"expected NAME, *.NAME, [IPv6] or * without a port, got {text!r}")
    return text


def _listen(host: str, port: int) -> socket.socket:
    if not host:
        raise UsageError("--host is empty, which would let anybody connect; give an address, or 0.0.0.0 for all")
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"cannot listen at {host} port {port}: {reason}; choose another --host or --port") from error
    # Connections inherit this; without it, the second packet of an answer waits 40 ms for the first acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


if __name__ == "__main__":
    cli.run(main)
