"""The log of predictions: events in, tables and sums out.

Writing is for one thread (:class:`tf_model.monitor.recorder.Recorder` has it); reading is for any thread and process,
also while somebody writes, since every reading opens a connection of its own.
"""

from __future__ import annotations

import fcntl
import itertools
import math
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_model import paths
from tf_model.io.files import explain_write_errors
from tf_model.monitor import schema, tally
from tf_model.monitor.events import (
    CONFIDENCE_COLUMNS,
    LABEL_COLUMNS,
    PROCESS,
    STAGES,
    Answered,
    Corrected,
    Event,
    Failed,
    Stream,
)
from tf_model.monitor.schema import DAY, HOUR, LEVELS, MINUTE
from tf_model.monitor.window import Window

if TYPE_CHECKING:
    import pandas

MINUTES_KEPT = 14 * DAY  # seconds; older charts are drawn by the hour
MOST_MINUTES = 2 * DAY  # the longest span that is read by the minute, in seconds
MOST_HOURS = 120 * DAY  # and by the hour

_REQUESTS = "INSERT INTO requests VALUES"
_PREDICTIONS = "INSERT INTO predictions VALUES"
_ROLLUPS = "INSERT INTO rollups VALUES"
_ADD = "ON CONFLICT DO UPDATE SET count = count + excluded.count, total = total + excluded.total"
_GROUPS = (512, 64, 8, 1)  # rows of one statement; few sizes, so that SQLite compiles each once


class Store:
    """A log of predictions.

    Args:
        path: The database; None: :data:`tf_model.paths.MONITOR_LOG`. It is made by the first writing, not before.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        self.path = Path(path) if path is not None else paths.MONITOR_LOG
        self._writing: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None  # that is open for writing
        self._ids: dict[Any, int] = {}

    @property
    def exists(self) -> bool:
        """Whether there is a log to read."""
        return self.path.is_file()

    # ------------------------------------------------------------ writing

    def open(self) -> sqlite3.Connection:
        """Make the database if need be, and give the connection that writes.

        Raises:
            DataError: The file is no prediction log.
            OutputError: It cannot be made.
        """
        if self._writing is None:
            with _alone_in_its_folder(self.path):
                if not self.exists:
                    # SQLite finds its other two files by name: a new log must not share those of one that was moved
                    # away, which somebody may still have open.
                    for ending in ("-wal", "-shm"):
                        self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
                self._writing = schema.open_to_write(self.path)
                self._file = self._present_file()
            self._ids.clear()
        return self._writing

    def close(self) -> None:
        """End writing; reading goes on to be possible."""
        if self._writing is not None:
            self._writing.close()
            self._writing = None

    def _leave_what_was_moved(self) -> None:
        """Close a log that no longer stands at its path."""
        with suppress(sqlite3.Error):
            self.open().execute("PRAGMA wal_checkpoint(TRUNCATE)")  # closing would not, and it may have moved alone
        self.close()

    def _present_file(self) -> tuple[int, int] | None:
        """Which file stands at the path, None if none does."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def write(self, events: Sequence[Event], more: Sequence[tuple[float, Stream, tally.Counts]] = ()) -> None:
        """Write events, and sums that are no events, in one transaction.

        A log that was moved away or deleted meanwhile is left, and a new one is begun at its path.

        Args:
            events: What happened.
            more: Time, stream and sums, such as samples of the memory in use.

        Raises:
            sqlite3.Error: Nothing was written; the same call may be made again.
        """
        if self._writing is not None and self._file != self._present_file():
            self._leave_what_was_moved()
        connection = self.open()
        try:
            with schema.transaction(connection):
                self._write(connection, events, more)
        except BaseException:
            self._ids.clear()  # some may be of rows that were rolled back
            raise

    def _write(self, connection: sqlite3.Connection, events: Sequence[Event], more: Sequence[Any]) -> None:
        answered = [event for event in events if isinstance(event, Answered)]
        if answered:
            [last] = connection.execute("SELECT coalesce(max(id), 0) FROM requests").fetchone()
            numbered = list(enumerate(answered, last + 1))
            _insert(connection, _REQUESTS, [self._request(number, event) for number, event in numbered])
            rows = [row for number, event in numbered for row in self._predictions(number, event)]
            _insert(connection, _PREDICTIONS, rows)
        for event in events:
            if isinstance(event, Failed):
                values = (event.time, self._stream(event.stream), event.kind, event.message)
                connection.execute("INSERT INTO errors VALUES (NULL, ?, ?, ?, ?)", values)
            elif isinstance(event, Corrected):
                self._write_correction(connection, event)
        self._add_up(connection, events, more)

    def _request(self, number: int, event: Answered) -> list[Any]:
        seconds = (event.seconds.get(stage) for stage in STAGES)
        return [number, event.time, self._stream(event.stream), event.rows, *seconds]

    def _predictions(self, number: int, event: Answered) -> Iterator[list[Any]]:
        nothing = [None] * event.rows
        columns: list[Sequence[Any]] = [event.text_hashes, event.texts or nothing]
        for label, confidence in zip(LABEL_COLUMNS, CONFIDENCE_COLUMNS, strict=True):
            columns += [self._labels(event.columns.get(label, nothing)), event.columns.get(confidence, nothing)]
        columns.append(self._labels(event.columns["outcome"]))
        columns += [event.columns["length"], event.columns.get("unknown_share", nothing)]
        for position, values in enumerate(zip(*columns, strict=True)):
            yield [number, position, *values]

    def _write_correction(self, connection: sqlite3.Connection, event: Corrected) -> None:
        said = event.prediction
        pairs = [(said.get(label), _number(said.get(f"{label}_confidence"))) for label in LABEL_COLUMNS]
        head = (event.time, self._stream(event.stream), event.text, event.text_hash, event.verdict)
        values = (*head, *(value for pair in pairs for value in pair), event.product, event.emotion)
        connection.execute(f"INSERT INTO corrections VALUES (NULL{', ?' * len(values)})", values)

    def _add_up(self, connection: sqlite3.Connection, events: Sequence[Event], more: Sequence[Any]) -> None:
        tallies: dict[tuple[int, int], tally.Counts] = {}
        for event in events:
            place = int(event.time // MINUTE * MINUTE), self._stream(event.stream)
            tally.count_event(tallies.setdefault(place, {}), event)
        for when, stream, counts in more:
            place = int(when // MINUTE * MINUTE), self._stream(stream)
            tally.merge(tallies.setdefault(place, {}), counts)
        levels: dict[tuple[int, int, int], tally.Counts] = {}
        for (minute, stream), counts in tallies.items():
            for level in LEVELS:
                tally.merge(levels.setdefault((level, minute // level * level, stream), {}), counts)
        rows = [(*place, *what, *sums) for place, counts in levels.items() for what, sums in counts.items()]
        _insert(connection, _ROLLUPS, rows, _ADD)

    def _labels(self, values: Iterable[str | None]) -> list[int | None]:
        return [None if value is None else self._id("labels", (value,)) for value in values]

    def _stream(self, stream: Stream) -> int:
        return self._id("streams", (stream.model, stream.version, stream.source))

    def _id(self, table: str, values: tuple[str, ...]) -> int:
        """The number of a label or stream, remembered, so that it is asked for once."""
        found = self._ids.get((table, values))
        if found is None:
            connection = self.open()
            columns = {"labels": ("value",), "streams": ("model", "version", "source")}[table]
            marks, names = ", ".join("?" * len(values)), ", ".join(columns)
            connection.execute(f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})", values)
            where = " AND ".join(f"{column} = ?" for column in columns)
            [found] = connection.execute(f"SELECT id FROM {table} WHERE {where}", values).fetchone()
            self._ids[table, values] = found
        return found

    # ------------------------------------------------------------ sums

    def window(
        self,
        since: float,
        until: float,
        model: str | None = None,
        version: str | None = None,
        sources: Iterable[str] | None = None,
    ) -> Window:
        """Everything that was counted from ``since`` to ``until``, added up; see :meth:`series`."""
        [window] = self._sums(_level(since, until), since, until, math.inf, (model, version, sources))
        return window

    def series(
        self,
        since: float,
        until: float,
        step: float,
        model: str | None = None,
        version: str | None = None,
        sources: Iterable[str] | None = None,
    ) -> list[Window]:
        """What was counted in each ``step`` of time; reads sums only, so that the number of predictions hardly counts.

        Args:
            since: Beginning, in seconds since 1970; moved back to a whole minute, or hour or day for long spans and
                old ones (:data:`MOST_MINUTES`, :data:`MOST_HOURS`, :data:`MINUTES_KEPT`).
            until: End, exclusive; moved on likewise.
            step: Seconds of a window; widened to a multiple of the same.
            model: Only of this model; None: of all.
            version: Only of this version; None: of all.
            sources: Only of these sources; None: of all.

        Returns:
            Windows without a gap, in the order of time; empty ones where nothing happened.

        Raises:
            DataError: The log cannot be read.
        """
        return self._sums(_level(since, until), since, until, step, (model, version, sources))

    def _sums(self, level: int, since: float, until: float, step: float, choice: tuple[Any, Any, Any]) -> list[Window]:
        begin, end = int(since // level * level), max(int(-(-until // level) * level), int(since // level + 1) * level)
        step = max(math.ceil(min(step, end - begin) / level), 1) * level
        starts = range(begin, end, step)
        found: list[tally.Counts] = [{} for _ in starts]
        with self._reading() as connection:
            streams = self._matching(connection, *choice)
            marks = ", ".join("?" * len(streams))
            rows = connection.execute(
                "SELECT (start - ?) / ?, name, key, sum(count), sum(total) FROM rollups "
                f"WHERE level = ? AND start >= ? AND start < ? AND stream IN ({marks}) GROUP BY 1, 2, 3",
                (begin, step, level, begin, end, *streams),
            )
            for slot, name, key, count, total in rows:
                found[slot][name, key] = count, total
        return [Window(start, min(start + step, end), counts) for start, counts in zip(starts, found, strict=True)]

    def _matching(
        self, connection: sqlite3.Connection, model: str | None, version: str | None, sources: Iterable[str] | None
    ) -> list[int]:
        wanted = None if sources is None else set(sources)
        return [
            number
            for number, *names in connection.execute("SELECT id, model, version, source FROM streams")
            if model in (None, names[0])
            and version in (None, names[1])
            and (wanted is None or names[2] in wanted | {PROCESS})
        ]

    # ------------------------------------------------------------ rows

    def streams(self) -> pandas.DataFrame:
        """Every ``model``, ``version`` and ``source`` that made predictions, with the ``first`` and ``last`` day."""
        return self._frame(
            "SELECT model, version, source, min(start) AS first, max(start) AS last FROM streams "
            f"JOIN rollups ON rollups.stream = streams.id AND level = {DAY} WHERE source != ? "
            "GROUP BY streams.id ORDER BY last, first",
            (PROCESS,),
            times=("first", "last"),
        )

    def newest(self, model: str | None = None) -> tuple[str, str] | None:
        """Model and version that were asked last, or the version of ``model``, whether the call failed or not; None
        where none was."""
        with self._reading() as connection:
            where = "" if model is None else "AND model = ?"
            names = [] if model is None else [model]
            found = connection.execute(
                "SELECT streams.id, max(start) FROM streams JOIN rollups ON rollups.stream = streams.id "
                f"WHERE level = ? AND name = ? {where} GROUP BY streams.id",
                (HOUR, tally.REQUESTS, *names),
            ).fetchall()
            if not found:
                return None
            hour = max(start for _, start in found)
            streams = [stream for stream, start in found if start == hour]
            # Several in one hour: the rows tell which came last, unless they were removed.
            marks = ", ".join("?" * len(streams))
            times = [
                connection.execute(
                    f"SELECT time, stream FROM {table} WHERE time >= ? AND stream IN ({marks}) "
                    "ORDER BY time DESC LIMIT 1",
                    (hour, *streams),
                ).fetchone()
                for table in ("requests", "errors")
            ]
            last = max(filter(None, times), default=(hour, max(streams)))[1]
            return connection.execute("SELECT model, version FROM streams WHERE id = ?", [last]).fetchone()

    def last_time(self, model: str, version: str) -> float | None:
        """When a version of a model was asked or corrected last, in seconds since 1970; None: never, or long ago."""
        with self._reading() as connection:
            times = [
                connection.execute(
                    f"SELECT time FROM {table} JOIN streams ON streams.id = stream WHERE model = ? AND version = ? "
                    "ORDER BY time DESC LIMIT 1",
                    (model, version),
                ).fetchone()
                for table in ("requests", "errors", "corrections")
            ]
        return max((time for [time] in filter(None, times)), default=None)

    def span(self) -> tuple[float, float] | None:
        """Beginning and end of what the log holds, None of an empty one; by the minute as far as those are kept."""
        with self._reading() as connection:
            [hours, minutes] = (
                connection.execute("SELECT min(start), max(start) FROM rollups WHERE level = ?", [level]).fetchone()
                for level in (HOUR, MINUTE)
            )
        if hours[0] is None:
            return None
        if minutes[0] is None:
            return float(hours[0]), float(hours[1] + HOUR)
        first = minutes[0] if minutes[0] < hours[0] + HOUR else hours[0]  # else minutes before it were removed
        return float(first), float(minutes[1] + MINUTE)

    def predictions(self, since: float = 0, until: float = math.inf, most: int | None = None) -> pandas.DataFrame:
        """The predictions from ``since`` to ``until`` (exclusive; seconds since 1970), the oldest first.

        Args:
            since: Beginning.
            until: End.
            most: Read the newest of them only, this many at most; None: all.

        Returns:
            ``time`` (UTC), ``model``, ``version``, ``source``, ``request``, ``batch_size``, ``tokenize_seconds``,
            ``model_seconds``, ``rest_seconds`` (of the whole call), ``text_hash``, ``text`` (missing where it was not
            kept), ``product``, ``product_confidence``, ``emotion``, ``emotion_confidence``, ``answer``,
            ``answer_confidence``, ``outcome``, ``length`` (characters) and ``unknown_share``.
        """
        frame = self._frame(
            """
            SELECT time, streams.model, version, source, request, texts AS batch_size, tokenize_seconds, model_seconds,
              rest_seconds, text_hash, text, product.value AS product, product_confidence, emotion.value AS emotion,
              emotion_confidence, answer.value AS answer, answer_confidence, outcome.value AS outcome, length,
              unknown_share
            FROM requests JOIN predictions ON request = requests.id JOIN streams ON streams.id = stream
              LEFT JOIN labels AS product ON product.id = predictions.product
              LEFT JOIN labels AS emotion ON emotion.id = predictions.emotion
              LEFT JOIN labels AS answer ON answer.id = predictions.answer
              LEFT JOIN labels AS outcome ON outcome.id = predictions.outcome
            WHERE time >= ? AND time < ? ORDER BY time DESC, request DESC, position DESC LIMIT ?
            """,
            (since, until, -1 if most is None else most),
        )
        return frame.iloc[::-1].reset_index(drop=True)

    def errors(
        self,
        since: float = 0,
        until: float = math.inf,
        most: int | None = None,
        model: str | None = None,
        version: str | None = None,
    ) -> pandas.DataFrame:
        """The newest ``most`` errors, the newest first: ``time``, ``model``, ``version``, ``source``, ``kind``,
        ``message``; those of one ``model``, or ``version``, only if it is given."""
        return self._newest(
            "SELECT time, model, version, source, kind, message FROM errors JOIN streams ON streams.id = stream",
            (since, until, most, model, version),
        )

    def corrections(
        self,
        since: float = 0,
        until: float = math.inf,
        most: int | None = None,
        model: str | None = None,
        version: str | None = None,
    ) -> pandas.DataFrame:
        """The newest ``most`` corrections, the oldest of them first; arguments as those of :meth:`errors`.

        Returns:
            ``time``, ``model``, ``version``, ``source``, ``text``, ``text_hash``, ``verdict``, what the model had said
            (``product``, ``product_confidence``, ``emotion``, ``emotion_confidence``, ``answer``,
            ``answer_confidence``) and what the user said (``correct_product``, ``correct_emotion``).
        """
        frame = self._newest(
            "SELECT time, streams.model, version, source, text, text_hash, verdict, product, product_confidence, "
            "emotion, emotion_confidence, answer, answer_confidence, correct_product, correct_emotion "
            "FROM corrections JOIN streams ON streams.id = stream",
            (since, until, most, model, version),
        )
        return frame.iloc[::-1].reset_index(drop=True)

    def _newest(self, query: str, choice: tuple[float, float, int | None, str | None, str | None]) -> pandas.DataFrame:
        """Rows of a table that has a ``time`` and an ``id``, the newest first."""
        since, until, most, model, version = choice
        table = query.split(" FROM ")[1].split()[0]
        where, values = "time >= ? AND time < ?", [since, until]
        for column, wanted in (("model", model), ("version", version)):
            if wanted is not None:
                where += f" AND streams.{column} = ?"
                values.append(wanted)
        ending = f"WHERE {where} ORDER BY time DESC, {table}.id DESC LIMIT ?"
        return self._frame(f"{query} {ending}", (*values, -1 if most is None else most))

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with closing(schema.open_to_read(self.path)) as connection, schema.explain_database_errors(self.path):
            yield connection

    def _frame(self, query: str, values: tuple[Any, ...], times: Sequence[str] = ("time",)) -> pandas.DataFrame:
        import pandas

        with self._reading() as connection:
            found = connection.execute(query, values)
            names = [column[0] for column in found.description]
            frame = pandas.DataFrame(found.fetchall(), columns=names)
        for name in times:
            frame[name] = pandas.to_datetime(frame[name].astype("float64"), unit="s", utc=True)
        return frame


def _level(since: float, until: float) -> int:
    """Which roll-ups to read: as fine as is still kept, and few enough to be quick."""
    if until - since <= MOST_MINUTES and since >= time.time() - MINUTES_KEPT:
        return MINUTE
    return HOUR if until - since <= MOST_HOURS else DAY


@contextmanager
def _alone_in_its_folder(path: Path) -> Iterator[None]:
    """Hold the folder of a log while it is opened, so that two processes do not begin it at once."""
    with explain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _insert(connection: sqlite3.Connection, statement: str, rows: Sequence[Sequence[Any]], ending: str = "") -> None:
    """Insert rows in few statements: between two, another thread may keep the interpreter for itself."""
    done = 0
    for size in _GROUPS:
        while len(rows) - done >= size:
            group = rows[done : done + size]
            marks = f"({', '.join('?' * len(group[0]))})"
            values = list(itertools.chain.from_iterable(group))
            connection.execute(f"{statement} {', '.join([marks] * size)} {ending}", values)
            done += size


def _number(value: Any) -> float | None:
    return None if value is None or math.isnan(value) else float(value)
