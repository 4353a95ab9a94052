"""What was seen of each photo, kept by its content in one SQLite file: a photo is looked at once.

The file holds nothing that cannot be computed again. So nothing that happens to it is an error: a damaged store is
made again, a locked or full one behaves as an empty one, and `PhotoStore.note` says so. A file that is not a store of
tellapart is never changed, renamed or deleted. What the values are is `photo_pass.py`'s business.
"""

import contextlib
import hashlib
import math
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from tellapart.translation import gettext as _

# "tell" in ASCII, and where it stands in the file: how a database of ours is told from another program's.
_APPLICATION_ID, _ID_PLACE = 0x74656C6C, 68
_SQLITE_HEAD, _HEAD_BYTES = b"SQLite format 3\x00", 100
# Raised when the tables or the checksum change. Version 1 were the files `embeddings.sqlite3` and `facts.sqlite3`.
_SCHEMA_VERSION = 2
# Noting a use rewrites a short row of `photos` and no value.
_SCHEMA = (
    "CREATE TABLE photos (digest BLOB PRIMARY KEY, used INTEGER NOT NULL)",
    "CREATE TABLE seen (digest BLOB NOT NULL, kind TEXT NOT NULL, value BLOB NOT NULL, checksum BLOB NOT NULL,"
    " UNIQUE (digest, kind))",
    f"PRAGMA application_id = {_APPLICATION_ID}",
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
_MAX_STORE_BYTES = 4 * 1024**3
# Evicting goes a little below the bound, so that not every addition evicts.
_EVICTED_FILL = 0.95
# When a photo was used last is noted no more often than this.
_DAY_SECONDS = 24 * 3600
_MAX_TRIES = 3
_SIDE_SUFFIXES = ("-journal", "-wal", "-shm")
_DAMAGED_SUFFIX = ".damaged-"

# Another process has replaced or cleared the file, or deleted its journal with it.
_TAKEN_AWAY = {sqlite3.SQLITE_READONLY_DBMOVED, sqlite3.SQLITE_IOERR_DELETE_NOENT}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
# Codes about the content of the file; any other, such as that of a full disk, is about what is around it.
_DAMAGED = {
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_ERROR,  # a table or column is not there
    sqlite3.SQLITE_FORMAT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_SCHEMA,
    sqlite3.SQLITE_TOOBIG,
}

_Answer = TypeVar("_Answer")


class _NotUsableError(Exception):
    """The file stays as it is and is not used; the words say why."""


class _OtherVersionError(Exception):
    """The file is a sound store of another version of tellapart."""


class PhotoStore:
    """Values by content of the photo and kind of value, kept in one file; may be used from several threads.

    Several processes may use the file at once, and any may be killed at any moment.

    Args:
        path: the file; it and its folder are made when the first value is added.
        max_bytes: size of the file beyond which the least recently used photos go.
        timeout_seconds: how long to wait, all in all, for another program that has locked the file.

    Attributes:
        note: one sentence for the user when the store was made again or could not be used; `None` when all is well.
    """

    def __init__(self, path: Path, *, max_bytes: int = _MAX_STORE_BYTES, timeout_seconds: float = 5.0) -> None:
        self.note: str | None = None
        self._path = path
        self._max_bytes = max_bytes
        self._seconds_to_wait = timeout_seconds
        self._connection: sqlite3.Connection | None = None
        self._opened_file: tuple[int, int] | None = None
        self._stale: set[bytes] = set()
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Notes which photos were used and lets go of the file; whoever uses the store again opens it again."""
        with self._lock:
            if self._connection is not None and self._stale:
                # Nothing depends on it: read-only, locked by a process that adds, or damaged.
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("PRAGMA busy_timeout = 0")
                    _note_use(self._connection, self._stale)
            self._disconnect()

    def find(self, digests: Sequence[str], kinds: Sequence[str]) -> dict[str, dict[str, bytes]]:
        """Digest to kind to value, of those that are there and sound.

        Args:
            digests: content of each photo, 40 hexadecimal digits.
            kinds: names of what is asked for.
        """
        if not digests or not kinds or not os.path.exists(self._path):
            return {}
        with self._lock:
            return self._attempt(lambda connection: self._find(connection, digests, kinds), {})

    def add(self, items: Mapping[str, Mapping[str, bytes]]) -> None:
        """The values survive a kill from now on, and replace those of the same photo and kind.

        Args:
            items: digest to kind to value.
        """
        if items:
            with self._lock:
                self._attempt(lambda connection: self._add(connection, items), None)

    def num_photos(self) -> int:
        """How many photos there are."""
        if not os.path.exists(self._path):
            return 0
        with self._lock:
            return self._attempt(lambda connection: _number(connection, "SELECT COUNT(*) FROM photos"), 0)

    def _find(
        self, connection: sqlite3.Connection, digests: Sequence[str], kinds: Sequence[str]
    ) -> dict[str, dict[str, bytes]]:
        found: dict[str, dict[str, bytes]] = {}
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
                    self._stale.add(digest)
        if num_bad:
            self._tell(_("held damaged entries, which are computed again"))
        return found

    def _add(self, connection: sqlite3.Connection, items: Mapping[str, Mapping[str, bytes]]) -> None:
        rows = [
            (bytes.fromhex(digest), kind, value) for digest, kinds in items.items() for kind, value in kinds.items()
        ]
        with _transaction(connection):
            _note_use(connection, self._stale.union(digest for digest, _unused, _unused in rows))
            connection.executemany(
                "INSERT OR REPLACE INTO seen (digest, kind, value, checksum) VALUES (?, ?, ?, ?)",
                ((*row, _checksum(*row)) for row in rows),
            )
        self._stale.clear()
        if _used_bytes(connection) > self._max_bytes:
            _evict(connection, int(self._max_bytes * _EVICTED_FILL))

    def _attempt(self, act: Callable[[sqlite3.Connection], _Answer], otherwise: _Answer) -> _Answer:
        """What `act` gives, from a store made again where need be; `otherwise` where the store cannot be used."""
        for _unused in range(_MAX_TRIES):
            try:
                return act(self._open())
            except KeyboardInterrupt:
                self._disconnect()
                raise
            except _NotUsableError as exc:
                return self._go_without(str(exc), otherwise)
            except _OtherVersionError:
                if not self._replace(_("is of another version of tellapart")):
                    return otherwise
            except OSError as exc:
                return self._go_without(_("cannot be used ({strerror})").format(strerror=exc.strerror), otherwise)
            except sqlite3.Error as exc:
                code = getattr(exc, "sqlite_errorcode", None)
                if code is None:  # Python's own complaint: a defect of ours, no fault of the file
                    raise
                if code in _TAKEN_AWAY:
                    self._disconnect()
                elif code & 0xFF in _LOCKED:
                    self._seconds_to_wait = 0.0
                    return self._go_without(_("is locked by another program"), otherwise)
                elif code & 0xFF not in _DAMAGED:
                    return self._go_without(_("cannot be used ({exc})").format(exc=exc), otherwise)
                elif not self._replace(_("was damaged")):
                    return otherwise
        return self._go_without(_("cannot be used (other programs replace it all the time)"), otherwise)

    def _go_without(self, trouble: str, otherwise: _Answer) -> _Answer:
        self._disconnect()
        self._tell(
            _("{trouble}. The photos are read without it. To use another folder, set `cache_dir`").format(
                trouble=trouble
            )
        )
        return otherwise

    def _tell(self, what: str) -> None:
        self.note = self.note or _("the store of seen photos {path!r} {what}.").format(path=str(self._path), what=what)

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Looked at before the file is opened: if another process replaces it in between, `_replace` sees a file
            # that it does not know and leaves it alone. The other way about it would take the new one for the old.
            self._opened_file = _file_identity(self._path)
            if self._opened_file is not None and os.path.getsize(self._path) and not is_store(self._path):
                raise _NotUsableError(_("is not a store of tellapart and stays as it is"))
            self._connection = _connect(self._path, self._seconds_to_wait)
            _make_tables(self._connection)
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        self._stale.clear()
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _replace(self, trouble: str) -> bool:
        """Whether the file is out of the way, so that whoever opens the store next makes a new one."""
        if os.name == "nt":  # where no open file can be renamed; elsewhere its number is not given to another so long
            self._disconnect()
        try:
            if _file_identity(self._path) == self._opened_file:
                if not is_store(self._path):
                    return self._go_without(
                        _("{trouble} and is no longer known as a store of tellapart").format(trouble=trouble), False
                    )
                self._set_aside()
                self._tell(_("{trouble} and is made again").format(trouble=trouble))
        except FileNotFoundError:  # another process was faster
            pass
        except OSError as exc:
            return self._go_without(
                _("{trouble} and cannot be replaced ({strerror})").format(trouble=trouble, strerror=exc.strerror), False
            )
        finally:
            self._disconnect()
        return True

    def _set_aside(self) -> None:
        """Renames the file before it is deleted: what turns out to be another process' new one is put back."""
        aside = self._path.with_name(f"{self._path.name}{_DAMAGED_SUFFIX}{secrets.token_hex(6)}")
        os.rename(self._path, aside)
        if _file_identity(aside) != self._opened_file:
            with contextlib.suppress(OSError):  # a third process has made one by now: that is as good
                os.link(aside, self._path)
        os.unlink(aside)


def is_store(path: Path) -> bool:
    """Whether the file is a database that carries tellapart's mark, of whatever version."""
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    mark = int.from_bytes(head[_ID_PLACE : _ID_PLACE + 4], "big")
    return len(head) == _HEAD_BYTES and head.startswith(_SQLITE_HEAD) and mark == _APPLICATION_ID


def list_store_files(path: Path) -> list[Path]:
    """The files of the store at `path`, if it is one of ours: itself, then what SQLite or a kill has left beside it."""
    names: list[str] = []
    if is_store(path):
        names = [path.name, *(path.name + suffix for suffix in _SIDE_SUFFIXES)]
    with contextlib.suppress(OSError):
        names += sorted(name for name in os.listdir(path.parent) if name.startswith(path.name + _DAMAGED_SUFFIX))
    return [path.with_name(name) for name in names if os.path.isfile(path.with_name(name))]


def _file_identity(path: Path) -> tuple[int, int] | None:
    """Which file has that name, whatever is in it; `None` where there is none."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _connect(path: Path, timeout_seconds: float) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=timeout_seconds, isolation_level=None, check_same_thread=False)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_ROW_BYTES)
    return connection


def _make_tables(connection: sqlite3.Connection) -> None:
    """The database has our tables.

    Raises:
        _NotUsableError: it is another program's.
        _OtherVersionError: it is another version's.
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
    if _number(connection, "PRAGMA application_id") != _APPLICATION_ID:
        raise _NotUsableError(_("is not a store of tellapart and stays as it is"))
    if _number(connection, "PRAGMA user_version") != _SCHEMA_VERSION:
        raise _OtherVersionError


def _note_use(connection: sqlite3.Connection, digests: set[bytes]) -> None:
    now = int(time.time())
    connection.executemany(
        "INSERT OR REPLACE INTO photos (digest, used) VALUES (?, ?)", ((digest, now) for digest in digests)
    )


def _evict(connection: sqlite3.Connection, goal_bytes: int) -> None:
    """The least recently used photos are gone, so many that `goal_bytes` are reached, and the file has shrunk."""
    while (num_bytes := _used_bytes(connection)) > goal_bytes:
        num_photos = _number(connection, "SELECT COUNT(*) FROM photos")
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


def _number(connection: sqlite3.Connection, query: str) -> int:
    """The whole number that `query` gives; 0 where it gives none."""
    row = connection.execute(query).fetchone()
    return row[0] if row is not None and isinstance(row[0], int) else 0


def _is_empty(connection: sqlite3.Connection) -> bool:
    queries = ("PRAGMA application_id", "PRAGMA user_version", "SELECT COUNT(*) FROM sqlite_master")
    return not any(_number(connection, query) for query in queries)


def _used_bytes(connection: sqlite3.Connection) -> int:
    """Size of the database without the pages that are free for the next rows."""
    num_pages = _number(connection, "PRAGMA page_count") - _number(connection, "PRAGMA freelist_count")
    return num_pages * _number(connection, "PRAGMA page_size")


def _checksum(digest: bytes, kind: object, value: bytes) -> bytes:
    return hashlib.sha256(b"\x00".join((digest, str(kind).encode(), value))).digest()
