"""Recorded runs: one JSON file each, from which the pages are written."""

import base64
import json
import platform
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from tf_model import cli, paths
from tf_model.device import cores, versions
from tf_model.evaluation.metrics import pack as pack  # with its inverse, below
from tf_model.io.files import write_json

RUNS = paths.RESEARCH / "runs"
UNCHANGED = "unchanged"  # in a study that changes one thing at a time: the training without a change


def load(name: str) -> dict[str, Any] | None:
    """A recorded run, or None."""
    path = RUNS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def still_valid(entries: Mapping[str, Any], methods: Mapping[str, Any]) -> dict[str, Any]:
    """The recorded entries of methods whose settings have not changed, in the order of ``methods``."""
    return {
        name: entries[name]
        for name, method in methods.items()
        if name in entries and entries[name]["settings"] == method.settings
    }


def record(name: str, command: str, results: Mapping[str, Any]) -> None:
    """Write a run with its commands (also those of the run that it extends), machine and versions, and say where."""
    commands = [*filter(None, results.get("command", "").split(" and ")), command]
    provenance = {
        "command": " and ".join(dict.fromkeys(commands)),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "versions": versions(),
    }
    path = RUNS / f"{name}.json"
    write_json(path, provenance | {key: value for key, value in results.items() if key not in provenance})
    cli.say(f"written to {paths.shown(path)}")


def unpack(packed: str, rows: int) -> np.ndarray:
    """The inverse of :func:`pack`, bool [rows]; ValueError if another number of rows was packed."""
    octets = np.frombuffer(base64.b64decode(packed), np.uint8)
    if len(octets) != -(-rows // 8):
        raise ValueError(f"expected packed values of {rows} rows, got {len(octets)} bytes")
    return np.unpackbits(octets, count=rows).astype(bool)


def show(title: str, figures: Mapping[str, Any]) -> None:
    """Print figures in one line."""
    print(f"{title}: {', '.join(f'{key} {_text(value)}' for key, value in figures.items())}", flush=True)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


def machine() -> str:
    """The number of cores that this process may use, and the name of the processor."""
    model = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = re.findall(r"^model name\s*: (.*)", cpuinfo.read_text("ascii", errors="replace"), re.MULTILINE)
        model = names[0] if names else model
    return f"{cores()} cores of {model}"
