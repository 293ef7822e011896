"""Kill a recording process at a random moment, and check what it left."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.monitor import written_under_load
from tf_model.monitor.store import HOUR, MINUTE

SCRIPT = Path(written_under_load.__file__)


@dataclass(frozen=True)
class Left:
    """The state after the kill."""

    recorded: int  # calls that had returned
    missing_seconds: float  # from the return of the oldest missing call to the kill; 0 if none is missing
    faults: list[str]  # what is wrong with the log; empty if all is well


def kill_while_recording(path: Path, choose: random.Random, longest: float = 1.0) -> Left:
    """Start the program with a new log, kill it up to ``longest`` seconds after its first record, and check the log."""
    with subprocess.Popen([sys.executable, str(SCRIPT), str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        begin = process.stdout.readline()
        # Keep reading so that the pipe does not fill up; the moment stays random.
        until, lines = time.monotonic() + choose.uniform(0.05, longest), [begin]
        while time.monotonic() < until:
            lines.append(process.stdout.readline())
        killed = time.time()
        process.kill()
        lines += process.stdout.readlines()
    complete = [line.split() for line in lines if line.endswith(b"\n")]
    recorded = {(int(thread), int(number)): float(when) for thread, number, when in complete}
    return check(path, recorded, killed)


def check(path: Path, recorded: dict[tuple[int, int], float], killed: float) -> Left:
    """Compare the log with what was recorded."""
    faults = []
    with closing(sqlite3.connect(path)) as connection:
        [state] = connection.execute("PRAGMA integrity_check").fetchone()
        if state != "ok":
            faults.append(f"integrity: {state}")
        products = "SELECT key, sum(count) FROM aggregates WHERE name = 'product' AND level = ? GROUP BY key"
        by_minute, by_hour = (dict(connection.execute(products, [level])) for level in (MINUTE, HOUR))
        if by_minute != by_hour:
            faults.append("minutes and hours differ")
        texts = sum(by_minute.values())
        query = "SELECT sum(total) FROM aggregates WHERE name = 'requests' GROUP BY level"
        query += " UNION ALL SELECT sum(count) FROM aggregates WHERE name = 'length' GROUP BY level"
        if any(total != texts for (total,) in connection.execute(query)):
            faults.append("the counts of a call are there in part")
    kept = {tuple(map(int, name.split())): count for name, count in by_minute.items()}
    if any(count != written_under_load.TEXTS for count in kept.values()):
        faults.append("a call is there in part, or twice")
    for thread in {thread for thread, _ in kept}:
        numbers = sorted(number for each, number in kept if each == thread)
        if numbers != list(range(len(numbers))):
            faults.append(f"thread {thread} has gaps before its end")
    missing = [when for key, when in recorded.items() if key not in kept]
    age = max(killed - min(missing), 0.0) if missing else 0.0
    return Left(len(recorded), age, faults)
