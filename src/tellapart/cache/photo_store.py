"""What was seen of each photo, kept by its content in one SQLite file: a photo is looked at once.

The file holds nothing that cannot be computed again. So nothing that happens to it is an error: a damaged store is
made again, a locked or full one behaves as an empty one, and `PhotoStore.note` says so. A file that is not a store of
tellapart is never changed, renamed or deleted. What stands in it is `photo_tables.py`'s, what the values are
`backbones/photo_pass.py`'s business.
"""

import contextlib
import os
import secrets
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from tellapart.cache.photo_tables import (
    APPLICATION_ID,
    NotUsableError,
    OtherVersionError,
    add_values,
    connect,
    find_values,
    make_tables,
    note_use,
    number_of,
)
from tellapart.translation import gettext as _
from tellapart.untrusted import check_regular, open_regular

# Where the mark of ours stands in the file.
_ID_PLACE = 68
_SQLITE_HEAD, _HEAD_BYTES = b"SQLite format 3\x00", 100
# Nothing of the store is read as a whole.
_ANY_SIZE = 2**63
_MAX_STORE_BYTES = 4 * 1024**3
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
                    note_use(self._connection, self._stale)
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
            return self._attempt(lambda connection: number_of(connection, "SELECT COUNT(*) FROM photos"), 0)

    def _find(
        self, connection: sqlite3.Connection, digests: Sequence[str], kinds: Sequence[str]
    ) -> dict[str, dict[str, bytes]]:
        found, stale, num_bad = find_values(connection, digests, kinds)
        self._stale |= stale
        if num_bad:
            self._tell(_("held damaged entries, which are computed again"))
        return found

    def _add(self, connection: sqlite3.Connection, items: Mapping[str, Mapping[str, bytes]]) -> None:
        add_values(connection, items, self._stale, self._max_bytes)
        self._stale.clear()

    def _attempt(self, act: Callable[[sqlite3.Connection], _Answer], otherwise: _Answer) -> _Answer:
        """What `act` gives, from a store made again where need be; `otherwise` where the store cannot be used."""
        for _unused in range(_MAX_TRIES):
            try:
                return act(self._open())
            except KeyboardInterrupt:
                self._disconnect()
                raise
            except NotUsableError as exc:
                return self._go_without(str(exc), otherwise)
            except OtherVersionError:
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
            _check_files(self._path)
            if self._opened_file is not None and os.path.getsize(self._path) and not is_store(self._path):
                raise NotUsableError(_("is not a store of tellapart and stays as it is"))
            self._connection = connect(self._path, self._seconds_to_wait)
            make_tables(self._connection)
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
        with open_regular(path, _ANY_SIZE) as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    mark = int.from_bytes(head[_ID_PLACE : _ID_PLACE + 4], "big")
    return len(head) == _HEAD_BYTES and head.startswith(_SQLITE_HEAD) and mark == APPLICATION_ID


def list_store_files(path: Path) -> list[Path]:
    """The files of the store at `path`, if it is one of ours: itself, then what SQLite or a kill has left beside it."""
    names: list[str] = []
    if is_store(path):
        names = [path.name, *(path.name + suffix for suffix in _SIDE_SUFFIXES)]
    with contextlib.suppress(OSError):
        names += sorted(name for name in os.listdir(path.parent) if name.startswith(path.name + _DAMAGED_SUFFIX))
    return [path.with_name(name) for name in names if os.path.isfile(path.with_name(name))]


def _check_files(path: Path) -> None:
    """Nothing, if what SQLite opens of the store are files; it would wait for the writer of a pipe for ever.

    Nothing is opened: closing a file would give up the locks that another connection of this process holds on it.

    Raises:
        OSError: the store, or a journal beside it, is a pipe, socket, device or folder.
    """
    for name in (path.name, *(path.name + suffix for suffix in _SIDE_SUFFIXES)):
        with contextlib.suppress(FileNotFoundError):
            check_regular(os.stat(path.with_name(name)), path.with_name(name))


def _file_identity(path: Path) -> tuple[int, int] | None:
    """Which file has that name, whatever is in it; `None` where there is none."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
