"""The tables of the store of seen photos: values by content of a photo and kind, and when each photo was used last."""

import hashlib
import math
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tellapart.translation import gettext as _

# "tell" in ASCII: how a database of ours is told from another program's.
APPLICATION_ID = 0x74656C6C
# Raised when the tables or the checksum change. Version 1 were the files `embeddings.sqlite3` and `facts.sqlite3`.
_SCHEMA_VERSION = 2
# Noting a use rewrites a short row of `photos` and no value.
_SCHEMA = (
    "CREATE TABLE photos (digest BLOB PRIMARY KEY, used INTEGER NOT NULL)",
    "CREATE TABLE seen (digest BLOB NOT NULL, kind TEXT NOT NULL, value BLOB NOT NULL, checksum BLOB NOT NULL,"
    " UNIQUE (digest, kind))",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {_SCHEMA_VERSION}",
)
# Into SQLite's usual 4,096 bytes an embedding of 1,280 numbers does not fit; six fill such a page to 94 %.
_PAGE_BYTES = 32_768
# A rollback journal, not a write-ahead log: it works on network disks and in read-only folders and leaves one file.
_SETTINGS = (
    "PRAGMA journal_mode = DELETE",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA cell_size_check = ON",
    "PRAGMA cache_size = -8000",
)
# SQLite before 3.32 takes 999 values in one statement.
_DIGESTS_A_QUERY = 500
# A damaged length must not ask for a gigabyte.
_MAX_ROW_BYTES = 16 * 1024**2
# Evicting goes a little below the bound, so that not every addition evicts.
_EVICTED_FILL = 0.95
# When a photo was used last is noted no more often than this.
_DAY_SECONDS = 24 * 3600


class NotUsableError(Exception):
    """The file stays as it is and is not used; the words say why."""


class OtherVersionError(Exception):
    """The file is a sound store of another version of tellapart."""


def connect(path: Path, timeout_seconds: float) -> sqlite3.Connection:
    """The database in a file, which is made where there is none; waits so long for one that is locked."""
    connection = sqlite3.connect(path, timeout=timeout_seconds, isolation_level=None, check_same_thread=False)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_ROW_BYTES)
    return connection


def make_tables(connection: sqlite3.Connection) -> None:
    """The database has our tables.

    Raises:
        NotUsableError: it is another program's.
        OtherVersionError: it is another version's.
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
    if number_of(connection, "PRAGMA application_id") != APPLICATION_ID:
        raise NotUsableError(_("is not a store of tellapart and stays as it is"))
    if number_of(connection, "PRAGMA user_version") != _SCHEMA_VERSION:
        raise OtherVersionError


def find_values(
    connection: sqlite3.Connection, digests: Sequence[str], kinds: Sequence[str]
) -> tuple[dict[str, dict[str, bytes]], set[bytes], int]:
    """What is there of these photos.

    Args:
        connection: to a database with our tables.
        digests: content of each photo, 40 hexadecimal digits.
        kinds: names of what is asked for.

    Returns:
        Digest to kind to value; the digests whose use is to be noted; and how many values are damaged.
    """
    found: dict[str, dict[str, bytes]] = {}
    stale: set[bytes] = set()
    num_bad, now = 0, time.time()
    for start in range(0, len(digests), _DIGESTS_A_QUERY):
        part = [bytes.fromhex(digest) for digest in digests[start : start + _DIGESTS_A_QUERY]]
        query = (
            "SELECT digest, kind, value, checksum, used FROM seen LEFT JOIN photos USING (digest)"
            f" WHERE digest IN ({', '.join('?' * len(part))}) AND kind IN ({', '.join('?' * len(kinds))})"
        )
        for digest, kind, value, checksum, used in connection.execute(query, (*part, *kinds)):
            if not isinstance(value, bytes) or checksum != _checksum(digest, kind, value):
                num_bad += 1
                continue
            found.setdefault(digest.hex(), {})[kind] = value
            # A use in the future was noted by a clock that was wrong.
            if not isinstance(used, int) or abs(now - used) > _DAY_SECONDS:
                stale.add(digest)
    return found, stale, num_bad


def add_values(
    connection: sqlite3.Connection, items: Mapping[str, Mapping[str, bytes]], used: set[bytes], max_bytes: int
) -> None:
    """The values replace those of the same photo and kind; the least recently used photos go where it grows too large.

    Args:
        connection: to a database with our tables.
        items: digest to kind to value.
        used: digests of other photos that were used.
        max_bytes: size beyond which photos go.
    """
    rows = [(bytes.fromhex(digest), kind, value) for digest, kinds in items.items() for kind, value in kinds.items()]
    with _transaction(connection):
        note_use(connection, used.union(row[0] for row in rows))
        connection.executemany(
            "INSERT OR REPLACE INTO seen (digest, kind, value, checksum) VALUES (?, ?, ?, ?)",
            ((*row, _checksum(*row)) for row in rows),
        )
    if _used_bytes(connection) > max_bytes:
        _evict(connection, int(max_bytes * _EVICTED_FILL))


def note_use(connection: sqlite3.Connection, digests: set[bytes]) -> None:
    """The photos count as used now."""
    now = int(time.time())
    connection.executemany(
        "INSERT OR REPLACE INTO photos (digest, used) VALUES (?, ?)", ((digest, now) for digest in digests)
    )


def _evict(connection: sqlite3.Connection, goal_bytes: int) -> None:
    """The least recently used photos are gone, so many that `goal_bytes` are reached, and the file has shrunk."""
    while (num_bytes := _used_bytes(connection)) > goal_bytes:
        num_photos = number_of(connection, "SELECT COUNT(*) FROM photos")
        num_evicted = math.ceil(num_photos * (1 - goal_bytes / num_bytes))
        oldest = "SELECT digest FROM photos ORDER BY used, rowid LIMIT ?"
        with _transaction(connection):
            connection.execute(f"DELETE FROM seen WHERE digest IN ({oldest})", (num_evicted,))
            connection.execute(f"DELETE FROM photos WHERE digest IN ({oldest})", (num_evicted,))
            if not num_photos:  # values whose photos were lost to damage
                connection.execute("DELETE FROM seen")
        if not num_photos:
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


def number_of(connection: sqlite3.Connection, query: str) -> int:
    """The whole number that `query` gives; 0 where it gives none."""
    row = connection.execute(query).fetchone()
    return row[0] if row is not None and isinstance(row[0], int) else 0


def _is_empty(connection: sqlite3.Connection) -> bool:
    queries = ("PRAGMA application_id", "PRAGMA user_version", "SELECT COUNT(*) FROM sqlite_master")
    return not any(number_of(connection, query) for query in queries)


def _used_bytes(connection: sqlite3.Connection) -> int:
    """Size of the database without the pages that are free for the next rows."""
    num_pages = number_of(connection, "PRAGMA page_count") - number_of(connection, "PRAGMA freelist_count")
    return num_pages * number_of(connection, "PRAGMA page_size")


def _checksum(digest: bytes, kind: object, value: bytes) -> bytes:
    return hashlib.sha256(b"\x00".join((digest, str(kind).encode(), value))).digest()
