"""``python -m research.tools.image_check``: build the container image on a fresh base, start it and ask it.

mmdebstrap makes the base from Debian. podman starts API and app with a read-only root, as the image's user and with the
limits of compose.yaml. Both are asked over published ports, read by Debian's Prometheus with the settings and rules of
compose.yaml, and stopped. It needs root.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

from research.runs import record
from research.tools.app_client import crowd
from tf_model import cli, paths, tasks
from tf_model.errors import TweetTargetError

IMAGE, BASE = "localhost/tweet-target", "localhost/tweet-target-base"
# runc and cgroupfs also work without systemd.
PODMAN = ("podman", "--runtime", "runc", "--cgroup-manager", "cgroupfs")
LIMITS = ("--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096")  # podman's defaults may exceed root's limits
EXCLUDED = ("doc", "man", "locale")  # left out of the base, as in Debian's slim image
DEPLOY = paths.ROOT / "tf_model"
MOST_BYTES, MOST_SECONDS = 700e6, 5.0
QUESTION = "Loving the new iPad, the screen is gorgeous!"
STARTING_SECONDS = 60


def main(argv: list[str] | None = None) -> int:
    """Build the image, start it, ask it, stop it and record the results."""
    cli.parser(
        "research.tools.image_check", "Build the container image on a fresh base, start it and ask it."
    ).parse_args(argv)
    for program in ("mmdebstrap", "podman", "runc", "prometheus"):
        if shutil.which(program) is None:
            advice = "apt-get install mmdebstrap podman runc netavark prometheus"
            raise TweetTargetError(f"expected {program} on this machine, found none; on Debian: {advice}")
    with cli.stopped_cleanly():
        cli.say("building the base and the image (two minutes)")
        _run(["bash", "-c", f"set -o pipefail; {' '.join(_bootstrap())} | {' '.join(PODMAN)} import --quiet - {BASE}"])
        options = f"--format docker --layers=false --network host {' '.join(LIMITS)} --build-arg BASE={BASE}"
        _run(["make", "image", f"ENGINE={' '.join(PODMAN)}", f"BUILD_OPTIONS={options}"])
        results = {"bytes": int(_podman("image", "inspect", "--format", "{{.Size}}", IMAGE))}
        packages = _podman("run", "--rm", *LIMITS, IMAGE, "du", "--summarize", "--bytes", "/opt/site-packages")
        results["packages_bytes"] = int(packages.split()[0])
        absence_check = "! command -v pip && ! command -v gcc && ! python3 -c 'import tensorflow' 2> /dev/null"
        _podman("run", "--rm", *LIMITS, IMAGE, "sh", "-c", absence_check)
        with ExitStack() as stack:
            api, [address], began = stack.enter_context(running("api", 8000))
            cli.say(f"API: {_ask_api(f'{address}/predict', began)['predictions'][0]}")
            results["api"] = {"seconds_to_first_answer": time.monotonic() - began}
            if (paths.SAVED_MODELS / tasks.TARGET.name).is_dir():
                cli.say(f"targets: {_ask_api(f'{address}/targets', began)['targets'][0]}")
            app, [page, metrics], began = stack.enter_context(running("app", 8501, 9464))
            _wait(f"{page}/_stcore/health", began)
            [answer] = crowd(page, people=1, questions=1, think=0, texts=[QUESTION])
            cli.say(f"app: {answer.sentence!r}")
            results["app"] = {"seconds_to_first_answer": time.monotonic() - began}
            _scrape({"tweet-target": metrics, "tweet-target-api": address})
            for service, name in (("api", api), ("app", app)):
                results[service] |= _check_container(name)
    print(json.dumps(results, indent=2))
    record("image_check", "make image-check", results)
    seconds = results["api"]["seconds_to_first_answer"]
    if results["bytes"] > MOST_BYTES or seconds > MOST_SECONDS:
        raise TweetTargetError(f"expected {MOST_BYTES / 1e6:.0f} MB and {MOST_SECONDS:g} s at most; see above")
    return 0


def _bootstrap() -> list[str]:
    excluded = [f"--dpkgopt='path-exclude=/usr/share/{name}/*'" for name in EXCLUDED]
    return ["mmdebstrap", "--quiet", "--variant=minbase", "--include=python3,libstdc++6", *excluded, "trixie", "-"]


def run_options(service: dict[str, Any]) -> list[str]:
    """The settings of a service of compose.yaml, as options of ``podman run``."""
    options = ["--read-only", "--memory", service["mem_limit"], "--pids-limit", str(service["pids_limit"])]
    options += [f"--tmpfs={folder}" for folder in service["tmpfs"]]
    options += [f"--cap-drop={name}" for name in service["cap_drop"]]
    options += [f"--security-opt={each.removesuffix(':true')}" for each in service["security_opt"]]
    return options + [
        word for name, value in service.get("environment", {}).items() for word in ("-e", f"{name}={value}")
    ]


@contextmanager
def running(service: str, *ports: int) -> Iterator[tuple[str, list[str], float]]:
    """Run a service of compose.yaml in a container; yield its name, its ports' addresses here, and its start time."""
    settings = yaml.safe_load((paths.ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"][service]
    name = f"tweet-target-{service}-check"
    began = time.monotonic()
    published = [f"--publish=127.0.0.1::{port}" for port in ports]
    options = ["--detach", "--name", name, *published, *run_options(settings), *LIMITS]
    _podman("run", *options, IMAGE, *settings.get("command", []))
    try:
        yield name, [f"http://{_podman('port', name, str(port))}" for port in ports], began
    except (OSError, RuntimeError) as error:
        raise TweetTargetError(f"{service} did not answer: {_podman('logs', name)[-300:] or error}") from error
    finally:
        _podman("rm", "--force", "--time", "30", name)


def _check_container(name: str) -> dict[str, Any]:
    """Check that a container's user is 10001 and may write to /tmp, not to the code; stop it, return what it used."""
    writes = "! touch /app/x 2>&1 && ! touch /opt/site-packages/x 2>&1"  # one by one: both at once fail if either does
    _podman("exec", name, "sh", "-c", f'test "$(id -u)" = 10001 && {writes} && touch /tmp/x')
    usage = [f"/sys/fs/cgroup/{file}" for file in ("memory.current", "memory/memory.usage_in_bytes")]  # version 2, 1
    memory = _podman("exec", name, "sh", "-c", f"cat {usage[0]} 2> /dev/null || cat {usage[1]}")
    began = time.monotonic()
    _podman("stop", "--time", "30", name)
    status = int(_podman("inspect", "--format", "{{.State.ExitCode}}", name))
    return {"memory_bytes": int(memory), "seconds_to_stop": time.monotonic() - began, "exit_code": status}


def _scrape(addresses: dict[str, str]) -> None:
    """Let Prometheus read these jobs, with the settings and rules of compose.yaml; an error if it cannot."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        settings = yaml.safe_load((DEPLOY / "serving/deploy/prometheus.yml").read_text(encoding="utf-8"))
        for job in settings["scrape_configs"]:
            job["static_configs"] = [
                {"targets": [addresses.get(job["job_name"], "localhost:1").removeprefix("http://")]}
            ]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
        shutil.copy(DEPLOY / "monitor/deploy/alerts.yml", folder)
        command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        with subprocess.Popen([*command, f"--web.listen-address={address}"], stderr=subprocess.DEVNULL) as server:
            try:
                began = time.monotonic()
                _wait(f"http://{address}/-/ready", began)
                while True:
                    data = json.loads(_wait(f"http://{address}/api/v1/targets", began))["data"]["activeTargets"]
                    health = {each["labels"]["job"]: each["health"] for each in data}
                    if all(health.get(job) == "up" for job in addresses):
                        break
                    if time.monotonic() > began + STARTING_SECONDS:
                        raise TweetTargetError(f"Prometheus does not read the containers: {health}")
                    time.sleep(0.5)
            finally:
                server.terminate()


def _ask_api(url: str, began: float) -> dict[str, Any]:
    body = json.dumps({"texts": [QUESTION]}).encode()
    return json.loads(_wait(urllib.request.Request(url, body, {"Content-Type": "application/json"}), began))


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
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line and not line.startswith("make: ")]
        lines = lines or [f"exit code {done.returncode}"]
        raise TweetTargetError(f"`{' '.join(command)[:120]}` failed: {lines[-1][:300]}")
    return done.stdout.strip()


if __name__ == "__main__":
    cli.run(main)
