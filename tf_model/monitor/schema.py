"""The log as a database: its tables, and how it is opened.

SQLite in WAL mode: one writes while others read, and what was committed survives the death of the process. A call is a
row of ``requests`` and each of its texts one of ``predictions``. ``rollups`` holds the sums of :mod:`tally` by minute,
hour and day, written in the same transaction, so that nobody has to read the predictions to draw a chart.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tf_model import paths
from tf_model.errors import DataError, first_line
from tf_model.io.files import explain_write_errors

VERSION = 1
APPLICATION = 0x54775461  # "TwTa"
MINUTE, HOUR, DAY = LEVELS = (60, 3600, 86_400)  # seconds that one roll-up covers
PATIENCE = 5.0  # seconds to wait for another process that writes
SALT_BYTES = 16

TABLES = """
CREATE TABLE streams (
  id INTEGER PRIMARY KEY,
  model TEXT NOT NULL,
  version TEXT NOT NULL,
  source TEXT NOT NULL,
  UNIQUE (model, version, source)
);
CREATE TABLE labels (id INTEGER PRIMARY KEY, value TEXT NOT NULL UNIQUE);
CREATE TABLE requests (
  id INTEGER PRIMARY KEY,
  time REAL NOT NULL,
  stream INTEGER NOT NULL REFERENCES streams,
  texts INTEGER NOT NULL,
  tokenize_seconds REAL,
  model_seconds REAL,
  rest_seconds REAL
);
CREATE INDEX requests_by_time ON requests (time);
CREATE TABLE predictions (
  request INTEGER NOT NULL REFERENCES requests,
  position INTEGER NOT NULL,
  text_hash INTEGER NOT NULL,
  text TEXT,
  product INTEGER REFERENCES labels,
  product_confidence REAL,
  emotion INTEGER REFERENCES labels,
  emotion_confidence REAL,
  answer INTEGER REFERENCES labels,
  answer_confidence REAL,
  outcome INTEGER REFERENCES labels,
  length INTEGER,
  unknown_share REAL,
  PRIMARY KEY (request, position)
) WITHOUT ROWID;
CREATE TABLE errors (
  id INTEGER PRIMARY KEY,
  time REAL NOT NULL,
  stream INTEGER NOT NULL REFERENCES streams,
  kind TEXT NOT NULL,
  message TEXT NOT NULL
);
CREATE INDEX errors_by_time ON errors (time);
CREATE TABLE corrections (
  id INTEGER PRIMARY KEY,
  time REAL NOT NULL,
  stream INTEGER NOT NULL REFERENCES streams,
  text TEXT NOT NULL,
  text_hash INTEGER NOT NULL,
  verdict TEXT NOT NULL,
  product TEXT,
  product_confidence REAL,
  emotion TEXT,
  emotion_confidence REAL,
  answer TEXT,
  answer_confidence REAL,
  correct_product TEXT,
  correct_emotion TEXT
);
CREATE INDEX corrections_by_time ON corrections (time);
CREATE TABLE rollups (
  level INTEGER NOT NULL,
  start INTEGER NOT NULL,
  stream INTEGER NOT NULL REFERENCES streams,
  name TEXT NOT NULL,
  key NOT NULL,
  count INTEGER NOT NULL,
  total REAL NOT NULL,
  PRIMARY KEY (level, start, stream, name, key)
) WITHOUT ROWID;
"""


@contextmanager
def explain_database_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite raises for the log at ``path`` into a :class:`DataError` that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        shown, reason = paths.shown(path), first_line(error)
        if isinstance(error, sqlite3.OperationalError):
            advice = "check the disk, the permissions, and whether another program keeps it locked"
        else:
            advice = "move the file away, and a new one is begun"
        raise DataError(f"the prediction log {shown} cannot be used: {reason}; {advice}") from error


def open_to_write(path: Path) -> sqlite3.Connection:
    """Open the log for the one thread that writes; the file and its folder are made if need be.

    Raises:
        DataError: The file is no prediction log, or one of a later version.
        OutputError: It cannot be made.
    """
    with explain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # It may hold texts of users: nobody else's business. SQLite gives its other files the same permissions.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    with explain_database_errors(path):
        connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    if _is_new(connection):
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only possible before the first table
        connection.execute("PRAGMA journal_mode = WAL")
        with transaction(connection):
            if _is_new(connection):  # still: another process may have been faster
                for statement in TABLES.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION}")
                connection.execute(f"PRAGMA user_version = {VERSION}")
    _check_version(connection, path)
    connection.execute("PRAGMA journal_mode = WAL")
    # In WAL mode a commit is safe from the death of the process without waiting for the disk; only a power cut can
    # take the last ones, and never damages what is older.
    connection.execute("PRAGMA synchronous = NORMAL")


def open_to_read(path: Path) -> sqlite3.Connection:
    """Open an existing log for reading alone.

    Raises:
        DataError: There is none, the file is no prediction log, or one of a later version.
    """
    if not path.is_file():
        raise DataError(f"there is no prediction log at {paths.shown(path)}; predict something first, or name another")
    with explain_database_errors(path):
        address = f"{path.absolute().as_uri()}?mode=ro"
        connection = sqlite3.connect(address, uri=True, timeout=PATIENCE, isolation_level=None)
        try:
            _check_version(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def _is_new(connection: sqlite3.Connection) -> bool:
    return not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    [application] = connection.execute("PRAGMA application_id").fetchone()
    [version] = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION or version != VERSION:
        found = f"version {version}" if application == APPLICATION else "another kind of file"
        raise DataError(
            f"{paths.shown(path)}: expected a prediction log of version {VERSION}, found {found}; "
            "name another file, or move this one away"
        )


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of the block or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def salt(path: Path) -> bytes:
    """The secret that goes into the hashes of a log; made at first use, in a file of its own beside the log.

    Whoever is given the log alone cannot find out by guessing which texts are in it.

    Raises:
        DataError: The file is damaged.
        OutputError: It cannot be written.
    """
    place = path.with_name(f"{path.name}.salt")
    with explain_write_errors(place):
        if not place.exists():
            handle, name = tempfile.mkstemp(prefix=f".{place.name}.", dir=place.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(os.urandom(SALT_BYTES))
                with suppress(FileExistsError):  # another process was faster: its salt counts
                    os.link(name, place)
            finally:
                Path(name).unlink()
        found = place.read_bytes()
    if len(found) != SALT_BYTES:
        raise DataError(
            f"{paths.shown(place)}: expected {SALT_BYTES} bytes, found {len(found)}; "
            "remove it, and new hashes will not compare with old ones"
        )
    return found
