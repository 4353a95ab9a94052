"""Embeddings as rows of a SQLite database: the tables, and what is asked of them, each row proven by its checksum.

What to do when the database is damaged, locked or full is `backbones/embedding_cache.py`'s, the only caller: here
`sqlite3.Error` passes through.
"""

import contextlib
import hashlib
import math
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# "tell" in ASCII: how a database of ours is told from another program's.
_APPLICATION_ID = 0x74656C6C
# Raised when the tables or the checksum change.
_SCHEMA_VERSION = 1
# Short rows and vectors stand apart, so that noting a use rewrites no vector: 4,000 uses take 0.03 s instead of 0.19 s
# (2 cores, November 2026). With the vector in a WITHOUT ROWID table, adding takes three times as long.
_SCHEMA = (
    "CREATE TABLE entries (model BLOB NOT NULL, digest BLOB NOT NULL, used INTEGER NOT NULL,"
    " vector_id INTEGER NOT NULL, checksum BLOB NOT NULL, PRIMARY KEY (model, digest)) WITHOUT ROWID",
    "CREATE TABLE vectors (id INTEGER PRIMARY KEY, vector BLOB NOT NULL)",
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {_SCHEMA_VERSION}",
)
# Six embeddings of 1,280 numbers fill such a page to 94 %; into SQLite's usual 4,096 bytes none fits.
_PAGE_BYTES = 32_768
# A rollback journal, not a write-ahead log: it works on network disks and in read-only folders and leaves one file.
# Adding 4,000 embeddings 256 at a time takes 0.3 s with it, 0.1 s with the log, beside 28 s for embedding them.
_SETTINGS = (
    "PRAGMA journal_mode = DELETE",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA cell_size_check = ON",
    "PRAGMA cache_size = -32000",
)
# SQLite before 3.32 takes 999 values in one statement.
_DIGESTS_A_QUERY = 500
# A damaged length must not ask for a gigabyte.
_MAX_ROW_BYTES = 16 * 1024**2
# When a photo was used last is noted no more often than this.
_DAY_SECONDS = 24 * 3600

_Vectors = dict[str, NDArray[np.float32]]


class OtherVersionError(Exception):
    """The database is sound, but not one that this version of tellapart made."""


def connect(path: Path, timeout_seconds: float) -> sqlite3.Connection:
    """A connection to the database at `path`, made when missing; `prepare` comes next."""
    connection = sqlite3.connect(path, timeout=timeout_seconds, isolation_level=None)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_ROW_BYTES)
    return connection


def prepare(connection: sqlite3.Connection) -> None:
    """The database has our tables.

    Raises:
        OtherVersionError: it is another program's, or another version's.
    """
    for setting in _SETTINGS:
        connection.execute(setting).fetchall()
    if _is_empty(connection):
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        with _transaction(connection):
            if _is_empty(connection):  # another process may have been faster
                for statement in _SCHEMA:
                    connection.execute(statement)
    versions = _number(connection, "PRAGMA application_id"), _number(connection, "PRAGMA user_version")
    if versions != (_APPLICATION_ID, _SCHEMA_VERSION):
        raise OtherVersionError


def find_vectors(connection: sqlite3.Connection, digests: Sequence[str], model: bytes) -> tuple[_Vectors, int]:
    """Digest to embedding of those that are there and sound, all equally long, and how many are there and are not.

    The unsound ones are deleted, and the use of the others is noted.
    """
    vectors: dict[bytes, bytes] = {}
    bad: list[bytes] = []
    stale: list[bytes] = []
    now = int(time.time())
    for digest, used, checksum, vector in _select(connection, digests, model):
        if not isinstance(vector, bytes) or not vector or checksum != _checksum(model, digest, vector):
            bad.append(digest)
            continue
        vectors[digest] = vector
        # A use in the future was noted by a clock that was wrong.
        if not isinstance(used, int) or abs(now - used) > _DAY_SECONDS:
            stale.append(digest)
    lengths = Counter(map(len, vectors.values())).most_common()
    bad += [digest for digest, vector in vectors.items() if len(vector) != lengths[0][0] or len(vector) % 4]
    for digest in bad:
        vectors.pop(digest, None)
    if bad or stale:
        _tidy(connection, model, bad, stale)
    return {digest.hex(): np.frombuffer(vector, np.dtype("<f4")) for digest, vector in vectors.items()}, len(bad)


def add_vectors(connection: sqlite3.Connection, items: Mapping[str, NDArray[np.float32]], model: bytes) -> None:
    """The embeddings are in the database, in place of those of the same photos and model."""
    vectors = {bytes.fromhex(digest): _to_bytes(vector) for digest, vector in items.items()}
    now = int(time.time())
    with _transaction(connection):
        _delete(connection, model, vectors)
        entries = []
        for digest, vector in vectors.items():
            vector_id = connection.execute("INSERT INTO vectors (vector) VALUES (?)", (vector,)).lastrowid
            entries.append((model, digest, now, vector_id, _checksum(model, digest, vector)))
        connection.executemany(
            "INSERT INTO entries (model, digest, used, vector_id, checksum) VALUES (?, ?, ?, ?, ?)", entries
        )


def count_vectors(connection: sqlite3.Connection) -> int:
    """How many embeddings there are, of all models."""
    return _number(connection, "SELECT COUNT(*) FROM entries")


def used_bytes(connection: sqlite3.Connection) -> int:
    """Size of the database without the pages that are free for the next rows."""
    num_pages = _number(connection, "PRAGMA page_count") - _number(connection, "PRAGMA freelist_count")
    return num_pages * _number(connection, "PRAGMA page_size")


def evict_vectors(connection: sqlite3.Connection, goal_bytes: int) -> None:
    """The least recently used embeddings are gone, so many that `goal_bytes` are reached, and the file has shrunk."""
    while (num_bytes := used_bytes(connection)) > goal_bytes:
        num_evicted = math.ceil(count_vectors(connection) * (1 - goal_bytes / num_bytes))
        with _transaction(connection):
            oldest = connection.execute(
                "SELECT model, digest FROM entries ORDER BY used, vector_id LIMIT ?", (num_evicted,)
            ).fetchall()
            for model in {model for model, _ in oldest}:
                _delete(connection, model, [digest for other, digest in oldest if other == model])
            if not oldest:  # vectors whose entries were lost to damage
                connection.execute("DELETE FROM vectors")
        if not oldest:
            break
    # `execute` would stop after the first page: this statement gives rows without columns.
    connection.executescript("PRAGMA incremental_vacuum")


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is done within is done at the end, or nothing of it."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _number(connection: sqlite3.Connection, query: str) -> int:
    """The whole number that `query` gives; 0 where it gives none."""
    row = connection.execute(query).fetchone()
    return row[0] if row is not None and isinstance(row[0], int) else 0


def _is_empty(connection: sqlite3.Connection) -> bool:
    queries = ("PRAGMA application_id", "PRAGMA user_version", "SELECT COUNT(*) FROM sqlite_master")
    return not any(_number(connection, query) for query in queries)


def _select(
    connection: sqlite3.Connection, digests: Sequence[str], model: bytes
) -> Iterator[tuple[bytes, object, object, object]]:
    """Digest, use, checksum and vector of those of `digests` that are there, as they stand in the database."""
    for start in range(0, len(digests), _DIGESTS_A_QUERY):
        part = [bytes.fromhex(digest) for digest in digests[start : start + _DIGESTS_A_QUERY]]
        yield from connection.execute(
            "SELECT digest, used, checksum, vector FROM entries LEFT JOIN vectors ON id = vector_id"
            f" WHERE model = ? AND digest IN ({', '.join('?' * len(part))})",
            (model, *part),
        )


def _checksum(model: bytes, digest: bytes, vector: bytes) -> bytes:
    return hashlib.sha256(b"".join((model, digest, vector))).digest()


def _to_bytes(vector: NDArray[np.float32]) -> bytes:
    assert vector.dtype == np.float32 and vector.ndim == 1, "an embedding is a float32 vector"
    assert 0 < vector.nbytes < _MAX_ROW_BYTES // 2, "an embedding has at least one number, and no millions"
    return vector.astype("<f4", copy=False).tobytes()


def _delete(connection: sqlite3.Connection, model: bytes, digests: Iterable[bytes]) -> None:
    keys = [(model, digest) for digest in digests]
    connection.executemany(
        "DELETE FROM vectors WHERE id IN (SELECT vector_id FROM entries WHERE model = ? AND digest = ?)", keys
    )
    connection.executemany("DELETE FROM entries WHERE model = ? AND digest = ?", keys)


def _tidy(connection: sqlite3.Connection, model: bytes, bad: Sequence[bytes], stale: Sequence[bytes]) -> None:
    """Deletes the bad and notes the use of the stale, if that can be done at once: nothing depends on it."""
    wait_ms = _number(connection, "PRAGMA busy_timeout")
    connection.execute("PRAGMA busy_timeout = 0")
    # Read-only, or locked by a process that adds. What tells of damage is a `DatabaseError` and passes.
    with contextlib.suppress(sqlite3.OperationalError), _transaction(connection):
        _delete(connection, model, bad)
        connection.executemany(
            "UPDATE entries SET used = ? WHERE model = ? AND digest = ?",
            ((int(time.time()), model, digest) for digest in stale),
        )
    connection.execute(f"PRAGMA busy_timeout = {wait_ms}")
