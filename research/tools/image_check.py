"""``python -m research.tools.image_check``: the container image, built on a base made on the spot, started and asked.

The base is Debian's, by mmdebstrap. API and app are started from the image by podman with a read-only root, as the
image's user and with the limits of compose.yaml, asked over published ports, and stopped. It needs root.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import yaml

from research.runs import record
from research.tools.app_client import crowd
from research.tools.serve_check import QUESTION
from tf_model import cli, paths
from tf_model.errors import TweetTargetError

IMAGE, BASE = "localhost/tweet-target", "localhost/tweet-target-base"
# runc and cgroupfs also where there is no systemd.
PODMAN = ("podman", "--runtime", "runc", "--cgroup-manager", "cgroupfs")
LIMITS = ("--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096")  # podman's own are higher than a root may have
EXCLUDED = ("doc", "man", "locale")  # of the base, as Debian's slim image does
MOST_BYTES, MOST_SECONDS = 700e6, 5.0
STARTING_SECONDS = 60


def main(argv: list[str] | None = None) -> int:
    """Build, start, ask, stop, record."""
    cli.parser(
        "research.tools.image_check", "Build the container image on a fresh base, start it and ask it."
    ).parse_args(argv)
    for program in ("mmdebstrap", "podman", "runc"):
        if shutil.which(program) is None:
            advice = "apt-get install mmdebstrap podman runc netavark"
            raise TweetTargetError(f"expected {program} on this machine, found none; on Debian: {advice}")
    with cli.stopped_cleanly():
        cli.say("building the base and the image (two minutes)")
        _run(["bash", "-c", f"set -o pipefail; {' '.join(_bootstrap())} | {' '.join(PODMAN)} import --quiet - {BASE}"])
        options = " ".join(
            ["--format", "docker", "--layers=false", "--network", "host", *LIMITS, "--build-arg", f"BASE={BASE}"]
        )
        _run(["make", "image", f"ENGINE={' '.join(PODMAN)}", f"BUILD_OPTIONS={options}"])
        found = {"bytes": int(_podman("image", "inspect", "--format", "{{.Size}}", IMAGE))}
        _podman("run", "--rm", *LIMITS, IMAGE, "sh", "-c", "! command -v pip gcc && ! python3 -c 'import tensorflow'")
        with running("api", 8000) as (name, address, began):
            answer = _ask_api(f"{address}/predict", {"texts": [QUESTION]}, began)["predictions"][0]
            found["api"] = {"seconds_to_first_answer": time.monotonic() - began}
            targets = _ask_api(f"{address}/targets", {"texts": [QUESTION]}, began)["targets"][0]
            found["api"] |= _checked(name)
        with running("app", 8501) as (name, address, began):
            _wait(f"{address}/_stcore/health", began)
            [asked] = asyncio.run(crowd(address, people=1, questions=1, think=0, texts=[QUESTION]))
            found["app"] = {"seconds_to_first_answer": time.monotonic() - began} | _checked(name)
    cli.say(f"API: {answer}, {targets}")
    cli.say(f"app: {asked.sentence!r}")
    print(json.dumps(found, indent=2))
    cli.say(f"written to {paths.shown(record('image_check', 'make image-check', found))}")
    seconds = found["api"]["seconds_to_first_answer"]
    if found["bytes"] > MOST_BYTES or seconds > MOST_SECONDS:
        raise TweetTargetError(f"expected {MOST_BYTES / 1e6:.0f} MB and {MOST_SECONDS:g} s at most; see above")
    return 0


def _bootstrap() -> list[str]:
    excluded = [f"--dpkgopt='path-exclude=/usr/share/{name}/*'" for name in EXCLUDED]
    return ["mmdebstrap", "--quiet", "--variant=minbase", "--include=python3,libstdc++6", *excluded, "trixie", "-"]


def run_options(service: dict[str, Any]) -> list[str]:
    """What a service of compose.yaml asks for, as options of ``podman run``."""
    options = ["--read-only", "--memory", service["mem_limit"], "--pids-limit", str(service["pids_limit"])]
    options += [f"--tmpfs={folder}" for folder in service["tmpfs"]]
    options += [f"--cap-drop={name}" for name in service["cap_drop"]]
    options += [f"--security-opt={each.removesuffix(':true')}" for each in service["security_opt"]]
    return options + [
        word for name, value in service.get("environment", {}).items() for word in ("-e", f"{name}={value}")
    ]


@contextmanager
def running(service: str, port: int) -> Iterator[tuple[str, str, float]]:
    """A container of a service of compose.yaml: its name, its address on this machine, and when it was started."""
    settings = yaml.safe_load((paths.ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"][service]
    name = f"tweet-target-{service}-check"
    began = time.monotonic()
    options = ["--detach", "--name", name, "--publish", f"127.0.0.1::{port}", *run_options(settings), *LIMITS]
    _podman("run", *options, IMAGE, *settings.get("command", []))
    try:
        yield name, f"http://{_podman('port', name, str(port))}", began
    except (OSError, RuntimeError) as error:
        raise TweetTargetError(f"{service} did not answer: {_podman('logs', name)[-300:] or error}") from error
    finally:
        _podman("rm", "--force", "--time", "30", name)


def _checked(name: str) -> dict[str, Any]:
    """What a running container uses, after a check that it may write nowhere but in /tmp and its log, and as nobody."""
    _podman(
        "exec", name, "sh", "-c", 'test "$(id -u)" = 10001 && ! touch /app/x /opt/site-packages/x 2>&1 && touch /tmp/x'
    )
    usage = [f"/sys/fs/cgroup/{file}" for file in ("memory.current", "memory/memory.usage_in_bytes")]  # version 2, 1
    memory = _podman("exec", name, "sh", "-c", f"cat {usage[0]} 2> /dev/null || cat {usage[1]}")
    began = time.monotonic()
    _podman("stop", "--time", "30", name)
    status = int(_podman("inspect", "--format", "{{.State.ExitCode}}", name))
    return {"memory_bytes": int(memory), "seconds_to_stop": time.monotonic() - began, "exit_code": status}


def _ask_api(url: str, body: dict[str, Any], began: float) -> dict[str, Any]:
    return json.loads(
        _wait(urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"}), began)
    )


def _wait(request: Any, began: float) -> bytes:
    while True:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.read()
        except OSError:  # not yet up
            if time.monotonic() > began + STARTING_SECONDS:
                raise
            time.sleep(0.02)


def _podman(*words: str) -> str:
    return _run([*PODMAN, *words])


def _run(command: Sequence[str]) -> str:
    environment = os.environ | {"PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}
    done = subprocess.run(command, cwd=paths.ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise TweetTargetError(f"`{' '.join(command)[:120]}` failed: {lines[-1][:300]}")
    return done.stdout.strip()


if __name__ == "__main__":
    cli.run(main)
