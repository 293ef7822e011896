"""The log of predictions, an SQLite database: its tables, and how rows are written, read and pruned.

Of predictions, it keeps only the counts of :mod:`~tf_model.monitor.aggregates`, by minute and by hour; each error and
each correction is a row. In WAL mode one process writes while others read, several processes take turns to write, and
commits survive the death of the process.
"""

import math
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import astuple
from itertools import zip_longest
from pathlib import Path

import pandas
from filelock import FileLock, Timeout

from tf_model import paths
from tf_model.errors import DataError, OutputError, first_line
from tf_model.io.files import explain_read_errors, explain_write_errors
from tf_model.modeling.joint_label import NOT_SURE
from tf_model.monitor import aggregates
from tf_model.monitor.aggregates import CORRECT, ERRORS, FEEDBACK, WRONG, Counts, Window
from tf_model.monitor.events import (
    CONFIDENCE_COLUMNS,
    LABEL_COLUMNS,
    PROCESS,
    Answered,
    Corrected,
    Event,
    Failed,
    Stream,
)

VERSION = 4  # of SCHEMA: add 1 when it changes, or logs begun before can no longer be written to
APPLICATION = 0x54775461  # "TwTa"
MINUTE, HOUR, DAY = 60, 3600, 86_400
RETENTION_SECONDS = 90 * DAY  # older errors and counts are removed
MINUTE_RETENTION = 14 * DAY  # seconds; older charts are drawn by the hour
MOST_MINUTES = 2 * DAY  # the longest span that is read by the minute, in seconds
LOCK_TIMEOUT = 5.0  # seconds to wait for another process that writes

SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE streams (
  id INTEGER PRIMARY KEY, model TEXT NOT NULL, version TEXT NOT NULL, source TEXT NOT NULL, last_call REAL,
  UNIQUE (model, version, source)
);
CREATE TABLE errors (
  id INTEGER PRIMARY KEY, time REAL NOT NULL, stream INTEGER NOT NULL REFERENCES streams,
  kind TEXT NOT NULL, message TEXT NOT NULL
);
CREATE TABLE corrections (  -- start, end: the characters of the text that it is about, if it is about one mention
  id INTEGER PRIMARY KEY, time REAL NOT NULL, stream INTEGER NOT NULL REFERENCES streams,
  text TEXT NOT NULL, is_correct INTEGER NOT NULL,
  product TEXT, emotion TEXT, answer TEXT,
  product_confidence REAL, emotion_confidence REAL, answer_confidence REAL,
  correct_product TEXT, correct_emotion TEXT, start INTEGER, end INTEGER
);
CREATE TABLE aggregates (  -- level: seconds that one row covers
  level INTEGER NOT NULL, start INTEGER NOT NULL, stream INTEGER NOT NULL REFERENCES streams,
  name TEXT NOT NULL, key NOT NULL, count INTEGER NOT NULL, total REAL NOT NULL,
  PRIMARY KEY (level, start, stream, name, key)
) WITHOUT ROWID;
CREATE INDEX errors_by_time ON errors (time);
CREATE INDEX corrections_by_time ON corrections (time);
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
COMMIT;
"""

# Selects rows of ``streams``: model, version and source (always with the process's own); None or left out: any.
StreamFilter = tuple[str | None, ...]
ANY: StreamFilter = ()
_IN_STREAMS = (
    "(:model IS NULL OR model = :model) AND (:version IS NULL OR version = :version) "
    f"AND (:source IS NULL OR source IN (:source, '{PROCESS}'))"
)
ALL = -1  # of SQLite's LIMIT
Sample = tuple[float, Stream, Counts]  # time, stream, and counts that belong to no event


class Store:
    """A log of predictions: the database at ``path``, or :data:`tf_model.paths.MONITOR_LOG`.

    Writing creates the file. Any thread and process may read and write at the same time: each call opens the file
    anew, so a log may be moved away or deleted between two calls. All methods raise :class:`DataError` if the log
    cannot be used. Times are in seconds since 1970, and spans end before ``until``.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = Path(path) if path is not None else paths.MONITOR_LOG
        self._kept_open: sqlite3.Connection | None = None

    @property
    def exists(self) -> bool:
        """Whether there is a log to read."""
        with explain_read_errors(self.path):
            return self.path.is_file() and self.path.stat().st_size > 0  # empty while, or after, its creation fails

    # ------------------------------------------------------------ writing

    def open(self) -> sqlite3.Connection:
        """Create the database if needed, and return a connection for writing.

        :class:`DataError` if the file is not a prediction log of this version, :class:`OutputError` if creation fails.
        """
        with _creation_lock(self.path):
            if not self.exists:
                self.release()
                # SQLite finds its other two files by name: a new log must not share those of a log that was moved away.
                for suffix in ("-wal", "-shm"):
                    self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            # Private, as it may hold texts of users. SQLite's other files get the same permissions.
            self.path.touch(0o600)
            with _explain_sqlite_errors(self.path):
                return _connect(self.path, read_only=False)

    def keep_open(self) -> None:
        """Create the database if needed, and keep it open: else SQLite would merge its files after each write."""
        self._kept_open = self.open()

    def release(self) -> None:
        """Undo :meth:`keep_open`; a log that was moved away meanwhile gets the last commits."""
        connection, self._kept_open = self._kept_open, None
        if connection is not None:
            with suppress(sqlite3.Error), closing(connection):
                # Waits for nobody; close() would not do it for a file that was moved.
                connection.execute("PRAGMA wal_checkpoint")

    def write(self, events: Sequence[Event], samples: Sequence[Sample] = ()) -> None:
        """Write events, and counts that belong to no event, in one transaction: all of them, or none."""
        answered = [event for event in events if isinstance(event, Answered)]
        counts = [*((event.time, event.stream, aggregates.call_counts(event)) for event in answered), *samples]
        streams = {event.stream for event in events} | {stream for _, stream, _ in samples}
        stream_query = (
            "INSERT INTO streams (model, version, source) VALUES (?, ?, ?) "
            "ON CONFLICT DO UPDATE SET model = model RETURNING id"  # without an update, the id would not be returned
        )
        # A correction also takes back the one before it, which holds the same text.
        takes_back = bool(events) and isinstance(events[-1], Corrected) and events[-1].is_correct is None
        with self._write_connection(takes_back) as connection, connection:  # committed as a whole, or not at all
            connection.execute("BEGIN IMMEDIATE")
            stream_ids = {each: connection.execute(stream_query, astuple(each)).fetchone()[0] for each in streams}
            for event in events:
                _write_event(connection, event, stream_ids[event.stream])
            _add_up(connection, counts, stream_ids)

    @contextmanager
    def _write_connection(self, removes_texts: bool) -> Iterator[sqlite3.Connection]:
        with closing(self.open()) as connection, _explain_sqlite_errors(self.path):
            connection.execute("PRAGMA secure_delete = ON")  # a removed text must not stay in the file
            yield connection
            if removes_texts:  # nor, while a recorder holds the log open, in the other one
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def prune(self, seconds: float = RETENTION_SECONDS, corrections: bool = False) -> int:
        """Remove what is too old, in one transaction, and return the number of rows.

        Corrections stay unless ``corrections`` is true, since the next training learns from them.
        """
        now, removed = time.time(), 0
        oldest = now - seconds
        with self._write_connection(corrections) as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            for table in ("errors", "corrections") if corrections else ("errors",):
                removed += connection.execute(f"DELETE FROM {table} WHERE time < ?", [oldest]).rowcount
            for level, first in ((MINUTE, max(oldest, now - MINUTE_RETENTION)), (HOUR, oldest)):
                # A row is removed when all that it covers is too old.
                query = "DELETE FROM aggregates WHERE level = ? AND start < ?"
                removed += connection.execute(query, [level, first - level]).rowcount
        return removed

    # ------------------------------------------------------------ counts

    def window(self, since: float, until: float, streams: StreamFilter = ANY) -> Window:
        """All counts of a span; see :meth:`series`."""
        [window] = self.series(since, until, math.inf, streams)
        return window

    def series(self, since: float, until: float, step: float, streams: StreamFilter = ANY) -> list[Window]:
        """The counts of each ``step`` seconds of a span, for one model, version and source, including empty windows.

        Span and step are widened to whole minutes, or to whole hours if the span is longer than :data:`MOST_MINUTES` or
        begins before the minutes that are kept.
        """
        is_by_minute = until - since <= MOST_MINUTES and since >= time.time() - MINUTE_RETENTION
        level = MINUTE if is_by_minute else HOUR
        begin = int(since // level * level)
        end = max(int(-(-until // level) * level), begin + level)
        step = max(math.ceil(min(step, end - begin) / level), 1) * level
        windows = [Window(start, min(start + step, end)) for start in range(begin, end, step)]
        query = f"""
            SELECT CAST((time - :begin) / :step AS INTEGER) AS slot, name, key, sum(count), sum(total) FROM (
              SELECT start AS time, stream, name, key, count, total FROM aggregates WHERE level = :level
              UNION ALL SELECT time, stream, '{ERRORS}', kind, 1, 0 FROM errors
              UNION ALL SELECT time, stream, '{FEEDBACK}', iif(is_correct, '{CORRECT}', '{WRONG}'), 1, 0
                FROM corrections WHERE answer IS NOT '{NOT_SURE}'
            ) WHERE time >= :begin AND time < :end
              AND stream IN (SELECT id FROM streams WHERE {_IN_STREAMS}) GROUP BY slot, name, key
        """
        values = {"level": level, "begin": begin, "end": end, "step": step, **_stream_values(streams)}
        with self._read_connection() as connection:
            for slot, name, key, *sums in connection.execute(query, values):
                windows[slot].counts[name, key] = tuple(sums)
        return windows

    # ------------------------------------------------------------ rows

    def versions(self) -> list[tuple[str, str, float]]:
        """Every model and version that was called, and the time of its last call, latest first.

        Calls dated in the future, by a clock that was ahead, come last.
        """
        with self._read_connection() as connection:
            return connection.execute(
                "SELECT model, version, max(last_call) FROM streams WHERE last_call IS NOT NULL "
                "GROUP BY model, version ORDER BY max(iif(last_call > ?, NULL, last_call)) DESC, max(id) DESC",
                [time.time()],
            ).fetchall()

    def sources(self, streams: StreamFilter) -> list[str]:
        """The sources that ever called a model and version."""
        query = f"SELECT DISTINCT source FROM streams WHERE last_call IS NOT NULL AND {_IN_STREAMS} ORDER BY source"
        with self._read_connection() as connection:
            return [source for (source,) in connection.execute(query, _stream_values(streams))]

    def rows(
        self, table: str, since: float = 0, until: float = math.inf, limit: int = ALL, streams: StreamFilter = ANY
    ) -> pandas.DataFrame:
        """The newest ``limit`` rows of a span, newest first, of the ``errors`` or ``corrections``.

        Both have ``time``, ``model``, ``version`` and ``source``, and the other columns of :data:`SCHEMA`.
        """
        query = (
            f"SELECT model, version, source, {table}.* FROM {table} "
            f"JOIN streams ON streams.id = stream WHERE time >= :since AND time < :until AND {_IN_STREAMS} "
            f"ORDER BY time DESC, {table}.id DESC LIMIT :limit"
        )
        values = {"since": since, "until": until, "limit": limit, **_stream_values(streams)}
        with self._read_connection() as connection:
            frame = pandas.read_sql_query(query, connection, params=values).drop(columns=["id", "stream"])
        types = {"is_correct": bool, "start": "Int64", "end": "Int64"} if table == "corrections" else {}
        return frame.assign(time=pandas.to_datetime(frame["time"].astype("float64"), unit="s", utc=True)).astype(types)

    @contextmanager
    def _read_connection(self) -> Iterator[sqlite3.Connection]:
        if not self.exists:
            raise DataError(
                f"there is no prediction log at {paths.shown(self.path)}; use the app or `predict --record` first, or "
                "name another log"
            )
        with _explain_sqlite_errors(self.path), closing(_connect(self.path, read_only=True)) as connection:
            yield connection


def _stream_values(streams: StreamFilter) -> dict[str, str | None]:
    return dict(zip_longest(("model", "version", "source"), streams))


def _write_event(connection: sqlite3.Connection, event: Event, stream: int) -> None:
    if isinstance(event, Failed):
        row = (event.time, stream, event.kind, event.message)
        connection.execute("INSERT INTO errors VALUES (NULL, ?, ?, ?, ?)", row)
    elif isinstance(event, Corrected):  # which is not a call
        _write_correction(connection, event, stream)
        return
    query = "UPDATE streams SET last_call = max(min(coalesce(last_call, 0), ?), ?) WHERE id = ?"
    connection.execute(query, [time.time(), event.time, stream])


def _write_correction(connection: sqlite3.Connection, event: Corrected, stream: int) -> None:
    if event.is_correct is None:  # take back the last one of the same text, start and, if named, product until then
        last = (
            "SELECT max(id) FROM corrections "
            "WHERE stream = ? AND text = ? AND start IS ? AND time <= ? AND (? IS NULL OR correct_product = ?)"
        )
        values = [stream, event.text, event.start, event.time, event.product, event.product]
        connection.execute(f"DELETE FROM corrections WHERE id = ({last})", values)
        return
    predicted = [event.prediction.get(name) for name in (*LABEL_COLUMNS, *CONFIDENCE_COLUMNS)]
    row = (event.time, stream, event.text, event.is_correct, *predicted)
    row = (*row, event.product, event.emotion, event.start, event.end)
    connection.execute(f"INSERT INTO corrections VALUES (NULL{', ?' * len(row)})", row)


def _add_up(connection: sqlite3.Connection, samples: Sequence[Sample], stream_ids: dict[Stream, int]) -> None:
    sums: dict[tuple[int, int, int], Counts] = {}
    for when, stream, counts in samples:
        for level in (MINUTE, HOUR):
            aggregates.merge(sums.setdefault((level, int(when // level * level), stream_ids[stream]), {}), counts)
    connection.executemany(
        "INSERT INTO aggregates VALUES (?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET count = count + excluded.count, total = total + excluded.total",
        ((*bucket, *key, *value) for bucket, counts in sums.items() for key, value in counts.items()),
    )


# ---------------------------------------------------------------- the file


def _connect(path: Path, read_only: bool) -> sqlite3.Connection:
    """Open the log; :class:`DataError` if the file is not a log of this version."""
    if sqlite3.sqlite_version_info < (3, 35):  # of old systems, whatever the version of Python
        raise DataError(f"the log needs SQLite 3.35, and this Python has {sqlite3.sqlite_version}; use another Python")
    address = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rw'}"
    connection = sqlite3.connect(address, uri=True, timeout=LOCK_TIMEOUT, isolation_level=None, check_same_thread=False)
    try:
        is_new = not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if is_new and not read_only:
            connection.execute("PRAGMA auto_vacuum = FULL")  # only possible before the first table
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(SCHEMA)
        [application] = connection.execute("PRAGMA application_id").fetchone()
        [version] = connection.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION or version != VERSION:
            kind = f"version {version}" if application == APPLICATION else "another kind of file"
            raise DataError(
                f"{paths.shown(path)}: expected a prediction log of version {VERSION}, got {kind}; "
                "name another file, or move this one away to start a new log"
            )
        # In WAL mode a commit survives the death of the process without waiting for the disk. A power cut can lose the
        # last commits, but never damages older ones.
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _creation_lock(path: Path) -> Iterator[None]:
    """Hold the lock of a log, so that two processes do not create it at once."""
    with explain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(f"{path}.lock", LOCK_TIMEOUT, mode=0o600):
                yield
        except Timeout:
            raise OutputError(f"another program holds {paths.shown(f'{path}.lock')}; stop it first") from None


@contextmanager
def _explain_sqlite_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors for the log at ``path`` into a :class:`DataError` that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise DataError(
            f"the prediction log {paths.shown(path)} cannot be used: {first_line(error)}; check the disk, permissions "
            "and locks, or move the file away to start a new log"
        ) from error
