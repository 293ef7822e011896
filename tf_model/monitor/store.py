"""The log of predictions, an SQLite database: its tables, what writes them, what reads them, what removes old rows.

SQLite in WAL mode: one writes while others read, several processes may write by turns, and what was committed survives
the death of the process. A call is a row of ``requests`` and each of its texts one of ``predictions``. ``aggregates``
holds the counts of :mod:`~tf_model.monitor.aggregates` by minute and by hour, added up in the same transaction, so that
nobody has to read the predictions to draw a chart.
"""

from __future__ import annotations

import itertools
import math
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from tf_model import paths, tasks
from tf_model.errors import DataError, first_line
from tf_model.io.files import explain_write_errors
from tf_model.monitor import aggregates
from tf_model.monitor.aggregates import DIRECTED_CONFIDENCE, LABELS, NUMBERS, Counts, Window
from tf_model.monitor.events import COLUMNS, CONFIDENCE_COLUMNS, LABEL_COLUMNS, STAGES, Answered, Event, Failed, Stream

if TYPE_CHECKING:
    import pandas

VERSION = 2
APPLICATION = 0x54775461  # "TwTa"
MINUTE, HOUR, DAY = 60, 3600, 86_400
MINUTES_KEPT = 14 * DAY  # seconds; older charts are drawn by the hour
MOST_MINUTES = 2 * DAY  # the longest span that is read by the minute, in seconds
PATIENCE = 5.0  # seconds to wait for another process that writes
CHUNK = 5_000  # texts removed in one transaction, so that a record waits some milliseconds at most
FREED_PAGES = 500  # of 4 KiB, given back at once
SALT_BYTES = 16

_LABELS_AND_CONFIDENCES = """
  product TEXT, emotion TEXT, answer TEXT,
  product_confidence REAL, emotion_confidence REAL, answer_confidence REAL"""
SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE streams (
  id INTEGER PRIMARY KEY, model TEXT NOT NULL, version TEXT NOT NULL, source TEXT NOT NULL, last_call REAL,
  UNIQUE (model, version, source)
);
CREATE TABLE requests (
  id INTEGER PRIMARY KEY, time REAL NOT NULL, stream INTEGER NOT NULL REFERENCES streams, texts INTEGER NOT NULL,
  tokenize_seconds REAL, model_seconds REAL, rest_seconds REAL
);
CREATE TABLE predictions (
  request INTEGER NOT NULL REFERENCES requests, position INTEGER NOT NULL, text_hash INTEGER NOT NULL,
  {_LABELS_AND_CONFIDENCES}, outcome TEXT NOT NULL, length INTEGER NOT NULL, unk_rate REAL,
  PRIMARY KEY (request, position)
) WITHOUT ROWID;
CREATE TABLE errors (
  id INTEGER PRIMARY KEY, time REAL NOT NULL, stream INTEGER NOT NULL REFERENCES streams,
  kind TEXT NOT NULL, message TEXT NOT NULL
);
CREATE TABLE corrections (
  id INTEGER PRIMARY KEY, time REAL NOT NULL, stream INTEGER NOT NULL REFERENCES streams,
  text TEXT NOT NULL, text_hash INTEGER NOT NULL, is_correct INTEGER NOT NULL,
  {_LABELS_AND_CONFIDENCES}, correct_product TEXT, correct_emotion TEXT
);
CREATE TABLE aggregates (  -- level: seconds that one row covers
  level INTEGER NOT NULL, start INTEGER NOT NULL, stream INTEGER NOT NULL REFERENCES streams,
  name TEXT NOT NULL, key NOT NULL, count INTEGER NOT NULL, total REAL NOT NULL,
  PRIMARY KEY (level, start, stream, name, key)
) WITHOUT ROWID;
CREATE INDEX requests_by_time ON requests (time);
CREATE INDEX errors_by_time ON errors (time);
CREATE INDEX corrections_by_time ON corrections (time);
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
COMMIT;
"""

# Which rows of ``streams``: a model and its version; None: any.
OfModel = tuple[str | None, str | None]
ANY: OfModel = (None, None)
_OF_MODEL = "(:model IS NULL OR model = :model) AND (:version IS NULL OR version = :version)"
ADD_UP = "ON CONFLICT DO UPDATE SET count = count + excluded.count, total = total + excluded.total"


def _counted_predictions() -> str:
    """SQL that counts the predictions of requests after ``:last``: labels, and numbers by bin.

    The confidence in the product is counted once more for the texts with an emotion, by the best guess: the others have
    no product to be sure of.
    """
    chosen = [(name, name, "0.0", f"{name} IS NOT NULL") for name in LABELS]
    chosen += [(name, bins.sql(name), name, f"{name} IS NOT NULL") for name, bins in NUMBERS.items()]
    sure, directed = "product_confidence", f"emotion != '{tasks.NO_EMOTION}'"
    chosen.append((DIRECTED_CONFIDENCE, NUMBERS[sure].sql(sure), sure, f"{sure} IS NOT NULL AND {directed}"))
    counted = " UNION ALL ".join(
        f"SELECT request, '{name}' AS name, {key} AS key, {value} AS value FROM predictions "
        f"WHERE request > :last AND {condition}"
        for name, key, value, condition in chosen
    )
    return f"""
        INSERT INTO aggregates
        SELECT level, CAST(time / level AS INTEGER) * level AS start, stream, name, key, count(*), total(value)
        FROM ({counted}) JOIN requests ON requests.id = request
          JOIN (SELECT {MINUTE} AS level UNION ALL SELECT {HOUR})
        WHERE true GROUP BY level, start, stream, name, key {ADD_UP}
    """


COUNT_PREDICTIONS = _counted_predictions()


@dataclass(frozen=True)
class Retention:
    """What is kept.

    Attributes:
        seconds: Predictions, errors and counts older than this go.
        size_bytes: Where the log is larger than this, the oldest predictions go; the counts of them stay.
        corrections: Whether corrections older than ``seconds`` go as well. They hold texts, and they are what the
            next training learns from.
    """

    seconds: float = 90 * DAY
    size_bytes: int = 2 * 2**30
    corrections: bool = False


class Store:
    """A log of predictions.

    Writing is for one thread (:class:`~tf_model.monitor.recorder.Recorder` has it). Reading is for any thread and
    process, also while somebody writes: every reading opens a connection of its own.

    Args:
        path: The database; None: :data:`tf_model.paths.MONITOR_LOG`. It is made by the first writing, not before.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = Path(path) if path is not None else paths.MONITOR_LOG
        self._writing: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None  # that is open for writing

    @property
    def exists(self) -> bool:
        """Whether there is a log to read."""
        return self.path.is_file()

    # ------------------------------------------------------------ writing

    def open(self) -> sqlite3.Connection:
        """Make the database if need be, and give the connection that writes.

        Raises:
            DataError: The file is no prediction log, or one of another version.
            OutputError: It cannot be made.
        """
        if self._writing is None:
            with _only_one(self.path):
                if not self.exists:
                    # SQLite finds its other two files by name: a new log must not share those of one that was moved
                    # away, which somebody may still have open.
                    for ending in ("-wal", "-shm"):
                        self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
                # It may hold texts of users: nobody else's business. SQLite's other files get the same permissions.
                self.path.touch(0o600)
                with explain_database_errors(self.path):
                    self._writing = _connect(self.path, self.path)
                self._file = self._present_file()
        return self._writing

    def close(self) -> None:
        """End writing; reading goes on to be possible."""
        if self._writing is not None:
            self._writing.close()
            self._writing = None

    def write(self, events: Sequence[Event], counts: Sequence[tuple[float, Stream, Counts]] = ()) -> None:
        """Write events, and counts that belong to none, in one transaction.

        A log that was moved away or deleted meanwhile is left, and a new one is begun at its path.

        Args:
            events: What happened.
            counts: Time, stream and counts, such as samples of the memory in use.

        Raises:
            sqlite3.Error: Nothing was written; the same call may be made again.
        """
        if self._writing is not None and self._file != self._present_file():
            with suppress(sqlite3.Error):
                # Closing would not, and it may have moved alone.
                self._writing.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self.close()
        write_events(self.open(), events, counts)

    def _present_file(self) -> tuple[int, int] | None:
        """Which file stands at the path, None if none does."""
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def salt(self) -> bytes:
        """The secret that goes into the hashes of a log; made at first use, in a file of its own beside the log.

        Whoever is given the log alone cannot find out by guessing which texts are in it.

        Raises:
            DataError: The file is damaged.
            OutputError: It cannot be written.
        """
        file = self.path.with_name(f"{self.path.name}.salt")
        with _only_one(self.path):
            if not file.exists():
                new = file.with_suffix(".new")
                new.touch(0o600)
                new.write_bytes(os.urandom(SALT_BYTES))
                new.replace(file)
            salt = file.read_bytes()
        if len(salt) != SALT_BYTES:
            raise DataError(
                f"{paths.shown(file)}: expected {SALT_BYTES} bytes, got {len(salt)}; "
                "remove it, and new hashes will not compare with old ones"
            )
        return salt

    def prune(self, retention: Retention, now: float | None = None) -> int:
        """Remove a part of what need not be kept, in one short transaction, and give its space back.

        Returns:
            The number of predictions, errors and corrections that were removed; 0 when nothing is left to remove.

        Raises:
            DataError: The log cannot be used.
        """
        connection = self.open()
        now = time.time() if now is None else now
        oldest = now - retention.seconds
        with explain_database_errors(self.path):
            with _transaction(connection):
                removed = _remove_requests(connection, oldest)
                if not removed and size(connection) > retention.size_bytes:
                    removed = _remove_requests(connection, math.inf)
                for table in ("errors", "corrections") if retention.corrections else ("errors",):
                    removed += connection.execute(f"DELETE FROM {table} WHERE time < ?", [oldest]).rowcount
                for level, first in ((MINUTE, max(oldest, now - MINUTES_KEPT)), (HOUR, oldest)):
                    # A row goes when all that it covers is too old.
                    connection.execute("DELETE FROM aggregates WHERE level = ? AND start < ?", [level, first - level])
            # As a script: this statement gives a page back with each step, and execute() makes one step only.
            connection.executescript(f"PRAGMA incremental_vacuum({FREED_PAGES})")
        return removed

    # ------------------------------------------------------------ counts

    def window(self, since: float, until: float, of: OfModel = ANY) -> Window:
        """Everything that was counted from ``since`` to ``until``; see :meth:`series`."""
        [window] = self.series(since, until, math.inf, of)
        return window

    def series(self, since: float, until: float, step: float, of: OfModel = ANY) -> list[Window]:
        """What was counted in each ``step`` of time.

        Args:
            since: Beginning, in seconds since 1970; moved back to a whole minute, or to a whole hour where the span is
                longer than :data:`MOST_MINUTES` or begins before the minutes that are kept.
            until: End, exclusive; moved on likewise.
            step: Seconds of a window; widened to a multiple of the same.
            of: Only of this model and version.

        Returns:
            Windows without a gap, in the order of time; empty ones where nothing happened.

        Raises:
            DataError: The log cannot be read.
        """
        fine = until - since <= MOST_MINUTES and since >= time.time() - MINUTES_KEPT
        level = MINUTE if fine else HOUR
        begin = int(since // level * level)
        end = max(int(-(-until // level) * level), begin + level)
        step = max(math.ceil(min(step, end - begin) / level), 1) * level
        windows = [Window(start, min(start + step, end)) for start in range(begin, end, step)]
        with self._reading() as connection:
            for index, name, key, *sums in _counts(connection, level, begin, end, step, of):
                windows[index].counts[name, key] = tuple(sums)
        return windows

    # ------------------------------------------------------------ rows

    def versions(self) -> list[tuple[str, str, float]]:
        """Every model and version that was asked, and when last, in seconds since 1970; the last one first."""
        with self._reading() as connection:
            return connection.execute(
                "SELECT model, version, max(last_call) FROM streams WHERE last_call IS NOT NULL "
                "GROUP BY model, version ORDER BY 3 DESC, max(id) DESC"
            ).fetchall()

    def newest(self, model: str | None = None) -> tuple[str, str] | None:
        """Model and version that were asked last, or the version of ``model``; None where none was."""
        return next(((name, version) for name, version, _ in self.versions() if model in (None, name)), None)

    def span(self) -> tuple[float, float] | None:
        """Beginning and end of what the log holds, in whole hours; None of an empty one."""
        with self._reading() as connection:
            query = "SELECT min(start), max(start) FROM aggregates WHERE level = ?"
            [(first, last)] = connection.execute(query, [HOUR])
        return None if first is None else (float(first), float(last + HOUR))

    def predictions(self, since: float = 0, until: float = math.inf, most: int | None = None) -> pandas.DataFrame:
        """The newest ``most`` predictions from ``since`` to ``until`` (exclusive; seconds since 1970), oldest first.

        Returns:
            ``time`` (UTC), ``model``, ``version``, ``source``, ``request``, ``batch_size``, the seconds of each stage
            (of the whole call), ``text_hash``, labels and confidences, ``outcome``, ``length`` (characters) and
            ``unk_rate``.
        """
        columns = ", ".join((*(f"{stage}_seconds" for stage in STAGES), "text_hash", *COLUMNS))
        frame = self._frame(
            f"SELECT time, model, version, source, request, texts AS batch_size, {columns} FROM requests "
            "JOIN predictions ON request = requests.id JOIN streams ON streams.id = stream "
            "WHERE time >= :since AND time < :until ORDER BY time DESC, request DESC, position DESC LIMIT :most",
            {"since": since, "until": until, "most": most},
        )
        return frame.iloc[::-1].reset_index(drop=True)

    def errors(
        self, since: float = 0, until: float = math.inf, most: int | None = None, of: OfModel = ANY
    ) -> pandas.DataFrame:
        """The newest ``most`` errors, the newest first: ``time``, ``model``, ``version``, ``source``, ``kind``,
        ``message``."""
        return self._newest("errors", ("kind", "message"), since, until, most, of)

    def corrections(
        self, since: float = 0, until: float = math.inf, most: int | None = None, of: OfModel = ANY
    ) -> pandas.DataFrame:
        """The newest ``most`` corrections, the oldest of them first: ``time``, ``model``, ``version``, ``source``,
        ``text``, ``text_hash``, ``is_correct``, what the model answered (labels and confidences) and what the user
        named (``correct_product``, ``correct_emotion``)."""
        answered = (*LABEL_COLUMNS, *CONFIDENCE_COLUMNS)
        columns = ("text", "text_hash", "is_correct", *answered, "correct_product", "correct_emotion")
        frame = self._newest("corrections", columns, since, until, most, of)
        return frame.iloc[::-1].reset_index(drop=True).astype({"is_correct": bool})

    def _newest(
        self, table: str, columns: Sequence[str], since: float, until: float, most: int | None, of: OfModel
    ) -> pandas.DataFrame:
        return self._frame(
            f"SELECT time, model, version, source, {', '.join(columns)} FROM {table} "
            f"JOIN streams ON streams.id = stream WHERE time >= :since AND time < :until AND {_OF_MODEL} "
            f"ORDER BY time DESC, {table}.id DESC LIMIT :most",
            {"since": since, "until": until, "most": most, "model": of[0], "version": of[1]},
        )

    def _frame(self, query: str, values: dict[str, Any]) -> pandas.DataFrame:
        import pandas

        with self._reading() as connection:
            rows = connection.execute(query, values | {"most": -1 if values["most"] is None else values["most"]})
            names = [column[0] for column in rows.description]
            frame = pandas.DataFrame(rows.fetchall(), columns=names)
        return frame.assign(time=pandas.to_datetime(frame["time"].astype("float64"), unit="s", utc=True))

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        if not self.exists:
            raise DataError(
                f"there is no prediction log at {paths.shown(self.path)}; predict something first, or name another"
            )
        address = f"{self.path.absolute().as_uri()}?mode=ro"
        with explain_database_errors(self.path), closing(_connect(address, self.path)) as connection:
            yield connection


def counts_of(event: Answered) -> Counts:
    """What the predictions of one call count for, as the log counts them."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.executescript(SCHEMA)
        write_events(connection, [event])
        begin = int(event.time // HOUR * HOUR)
        rows = _counts(connection, HOUR, begin, begin + HOUR, HOUR, ANY)
        wanted = (*LABELS, *NUMBERS, DIRECTED_CONFIDENCE)
        return {(name, key): (count, total) for _, name, key, count, total in rows if name in wanted}


def write_events(
    connection: sqlite3.Connection, events: Sequence[Event], counts: Sequence[tuple[float, Stream, Counts]] = ()
) -> None:
    """Write events and counts in one transaction; see :meth:`Store.write`."""
    counted = [*((event.time, event.stream, aggregates.of_event(event)) for event in events), *counts]
    with _transaction(connection):
        ids = {stream: _stream_id(connection, stream) for stream in {stream for _, stream, _ in counted}}
        [last] = connection.execute("SELECT coalesce(max(id), 0) FROM requests").fetchone()
        requests, predictions = [], []
        for event in events:
            if isinstance(event, Answered):
                number = last + 1 + len(requests)
                seconds = (event.seconds.get(stage) for stage in STAGES)
                requests.append((number, event.time, ids[event.stream], event.rows, *seconds))
                nothing = [None] * event.rows
                columns = (event.columns.get(name, nothing) for name in COLUMNS)
                rows = zip(event.text_hashes, *columns, strict=True)
                predictions += [(number, position, *row) for position, row in enumerate(rows)]
            elif isinstance(event, Failed):
                values = (event.time, ids[event.stream], event.kind, event.message)
                connection.execute("INSERT INTO errors VALUES (NULL, ?, ?, ?, ?)", values)
            else:
                known = [event.prediction.get(name) for name in (*LABEL_COLUMNS, *CONFIDENCE_COLUMNS)]
                values = (event.time, ids[event.stream], event.text, event.text_hash, event.is_correct, *known)
                _insert(connection, "corrections", [(None, *values, event.product, event.emotion)])
        _insert(connection, "requests", requests)
        _insert(connection, "predictions", predictions)
        connection.execute(COUNT_PREDICTIONS, {"last": last})
        _insert(connection, "aggregates", _rows(counted, ids), ADD_UP)
        calls = [(event.time, ids[event.stream]) for event in events if isinstance(event, Answered | Failed)]
        latest = {stream: (when, stream) for when, stream in sorted(calls)}
        query = "UPDATE streams SET last_call = max(coalesce(last_call, 0), ?) WHERE id = ?"
        connection.executemany(query, latest.values())


def _rows(counted: Sequence[tuple[float, Stream, Counts]], ids: dict[Stream, int]) -> list[tuple[Any, ...]]:
    """Rows of ``aggregates``, added up as far as that can be done before they are written."""
    minutes: dict[tuple[int, int], Counts] = {}
    for when, stream, counts in counted:
        aggregates.merge(minutes.setdefault((int(when // MINUTE * MINUTE), ids[stream]), {}), counts)
    hours: dict[tuple[int, int], Counts] = {}
    for (start, stream), counts in minutes.items():
        aggregates.merge(hours.setdefault((start // HOUR * HOUR, stream), {}), counts)
    return [
        (level, *where, *key, *value)
        for level, sums in ((MINUTE, minutes), (HOUR, hours))
        for where, counts in sums.items()
        for key, value in counts.items()
    ]


def _stream_id(connection: sqlite3.Connection, stream: Stream) -> int:
    names = (stream.model, stream.version, stream.source)
    connection.execute("INSERT OR IGNORE INTO streams (model, version, source) VALUES (?, ?, ?)", names)
    query = "SELECT id FROM streams WHERE model = ? AND version = ? AND source = ?"
    [number] = connection.execute(query, names).fetchone()
    return number


def _insert(connection: sqlite3.Connection, table: str, rows: Sequence[Sequence[Any]], ending: str = "") -> None:
    """Insert rows in few statements: between two, another thread may keep the interpreter for itself."""
    done = 0
    for count in (512, 64, 8, 1):  # rows of one statement; few sizes, so that SQLite compiles each once
        while len(rows) - done >= count:
            group = rows[done : done + count]
            row = f"({', '.join('?' * len(group[0]))})"
            values = list(itertools.chain.from_iterable(group))
            connection.execute(f"INSERT INTO {table} VALUES {', '.join([row] * count)} {ending}", values)
            done += count


def _counts(
    connection: sqlite3.Connection, level: int, begin: int, end: int, step: int, of: OfModel
) -> Iterator[tuple[int, str, aggregates.Key, int, float]]:
    return connection.execute(
        "SELECT (start - :begin) / :step AS slot, name, key, sum(count), sum(total) FROM aggregates "
        "WHERE level = :level AND start >= :begin AND start < :end "
        f"AND stream IN (SELECT id FROM streams WHERE {_OF_MODEL}) GROUP BY slot, name, key",
        {"level": level, "begin": begin, "end": end, "step": step, "model": of[0], "version": of[1]},
    )


def _remove_requests(connection: sqlite3.Connection, before: float) -> int:
    """Remove the oldest requests before a time, about :data:`CHUNK` texts; returns the number of their predictions."""
    oldest = f"SELECT id, time, texts FROM requests WHERE time < ? ORDER BY time, id LIMIT {CHUNK}"
    until = f"SELECT id, texts, sum(texts) OVER (ORDER BY time, id) AS sum FROM ({oldest})"
    chosen = f"SELECT id FROM ({until}) WHERE sum - texts < {CHUNK}"
    removed = connection.execute(f"DELETE FROM predictions WHERE request IN ({chosen})", [before]).rowcount
    connection.execute(f"DELETE FROM requests WHERE id IN ({chosen})", [before])
    return removed


def size(connection: sqlite3.Connection) -> int:
    """Bytes of the log that are in use; space that was freed and not yet given back does not count."""
    pages, free, page = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * page


# ---------------------------------------------------------------- the file


def _connect(address: Path | str, path: Path) -> sqlite3.Connection:
    """Open the log at ``path``, to write where ``address`` is the path, else to read.

    Raises:
        DataError: It is no prediction log, or one of another version.
    """
    to_read = isinstance(address, str)
    connection = sqlite3.connect(address, uri=to_read, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
    try:
        is_new = not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if is_new and not to_read:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only possible before the first table
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(SCHEMA)
        [application] = connection.execute("PRAGMA application_id").fetchone()
        [version] = connection.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION or version != VERSION:
            kind = f"version {version}" if application == APPLICATION else "another kind of file"
            raise DataError(
                f"{paths.shown(path)}: expected a prediction log of version {VERSION}, got {kind}; "
                "name another file, or move this one away, and a new one is begun"
            )
        # In WAL mode a commit is safe from the death of the process without waiting for the disk; only a power cut can
        # take the last ones, and never damages what is older.
        connection.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Hold the folder of a log, so that two processes do not begin it at once."""
    with explain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock", mode=0o600):
            yield


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of the block or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def explain_database_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite raises for the log at ``path`` into a :class:`DataError` that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        if isinstance(error, sqlite3.OperationalError):
            advice = "check the disk, the permissions, and whether another program keeps it locked"
        else:
            advice = "move the file away, and a new one is begun"
        shown = paths.shown(path)
        raise DataError(f"the prediction log {shown} cannot be used: {first_line(error)}; {advice}") from error
