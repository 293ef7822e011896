"""How long the log keeps what, and how what is older goes."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass

from tf_model.monitor import schema
from tf_model.monitor.schema import DAY, LEVELS, MINUTE
from tf_model.monitor.store import MINUTES_KEPT, Store

CHUNK = 5_000  # texts removed in one transaction, so that a record waits some milliseconds at most

PAGES = 500  # of 4 KiB, given back at once


@dataclass(frozen=True)
class Retention:
    """What is kept.

    Attributes:
        seconds: Predictions, errors and sums older than this go.
        size_bytes: Where the log is larger than this, the oldest predictions go; the sums over them stay.
        corrections: Whether corrections older than ``seconds`` go as well. They hold texts, and they are what the
            next training learns from.
    """

    seconds: float = 90 * DAY
    size_bytes: int = 2 * 2**30
    corrections: bool = False


def prune(store: Store, retention: Retention, now: float | None = None) -> int:
    """Remove what need not be kept, and give its space back.

    Returns:
        The number of predictions, errors and corrections that were removed.

    Raises:
        DataError: The log cannot be used.
    """
    removed = 0
    while True:
        found = prune_some(store, retention, now)
        if not found:
            return removed
        removed += found


def prune_some(store: Store, retention: Retention, now: float | None = None) -> int:
    """One step of :func:`prune`, which keeps others from writing for some milliseconds only; 0 when all is done."""
    connection = store.open()
    oldest = (time.time() if now is None else now) - retention.seconds
    minutes = (time.time() if now is None else now) - MINUTES_KEPT
    with schema.explain_database_errors(store.path), schema.transaction(connection):
        removed = _remove_requests(connection, oldest)
        if not removed and size(connection) > retention.size_bytes:
            removed = _remove_requests(connection, None)
        for table in ("errors", "corrections") if retention.corrections else ("errors",):
            removed += connection.execute(f"DELETE FROM {table} WHERE time < ?", [oldest]).rowcount
        for level in LEVELS:
            kept = max(oldest, minutes) if level == MINUTE else oldest
            # A roll-up goes when all of it is too old.
            connection.execute("DELETE FROM rollups WHERE level = ? AND start < ?", [level, kept - level])
    with schema.explain_database_errors(store.path):
        # As a script: this statement gives a page back with each step, and execute() makes one step only.
        connection.executescript(f"PRAGMA incremental_vacuum({PAGES})")
    return removed


def _remove_requests(connection: sqlite3.Connection, oldest: float | None) -> int:
    """Remove the oldest requests with their predictions, :data:`CHUNK` texts at most, or one larger request."""
    where, values = ("WHERE time < ?", [oldest]) if oldest is not None else ("", [])
    rows = connection.execute(f"SELECT id, texts FROM requests {where} ORDER BY time LIMIT {CHUNK}", values)
    chosen, texts = [], 0
    for number, count in rows.fetchall():
        if chosen and texts + count > CHUNK:
            break
        chosen.append((number,))
        texts += count
    connection.executemany("DELETE FROM predictions WHERE request = ?", chosen)
    connection.executemany("DELETE FROM requests WHERE id = ?", chosen)
    return texts


def size(connection: sqlite3.Connection) -> int:
    """Bytes of the log that are in use; space that was given free and not yet given back does not count."""
    pages, free, page = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * page
