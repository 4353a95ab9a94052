"""Content-addressed embeddings in one SQLite file: a photo that was embedded once is not embedded again.

The file is tellapart's own and holds nothing that cannot be computed anew. So nothing that befalls it is an error: what
is damaged is made anew, what is locked or full behaves as an empty cache, and `EmbeddingCache.note` says so. The rows
are `embedding_table.py`'s; which photos are embedded, and what a model key stands for, is the caller's.
"""

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.embedding_table import (
    OtherVersionError,
    add_vectors,
    connect,
    count_vectors,
    evict_vectors,
    find_vectors,
    prepare,
    used_bytes,
)

_MAX_CACHE_BYTES = 2 * 1024**3
# Evicting goes a little below the bound, so that not every addition evicts.
_EVICTED_FILL = 0.95
_MAX_TRIES = 3
_SIDE_SUFFIXES = ("-journal", "-wal", "-shm")
_DAMAGED_SUFFIX = ".damaged-"

# Another process has replaced or cleared the file, or deleted its journal with it.
_TAKEN_AWAY = {sqlite3.SQLITE_READONLY_DBMOVED, sqlite3.SQLITE_IOERR_DELETE_NOENT}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
# What speaks of the content of the file; anything else, such as a full disk, speaks of what is around it.
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

_Outcome = TypeVar("_Outcome")


class EmbeddingCache:
    """Embeddings by content of the photo and key of the model, kept in one file; for use in one thread.

    Several processes may use the file at once, and any may be killed at any moment.

    Args:
        path: the file; it and its folder are made when the first embedding is added. What is found there and is no such
            cache is replaced.
        max_bytes: size of the file beyond which the least recently used embeddings go.
        timeout_seconds: how long to wait, all in all, for another program that has locked the file.

    Attributes:
        note: one sentence for the user when the cache was made anew or could not be used; `None` when all is well.
    """

    def __init__(self, path: Path, *, max_bytes: int = _MAX_CACHE_BYTES, timeout_seconds: float = 5.0) -> None:
        self.note: str | None = None
        self._path = path
        self._max_bytes = max_bytes
        self._seconds_to_wait = timeout_seconds
        self._connection: sqlite3.Connection | None = None
        self._opened_file: tuple[int, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets go of the file; whoever uses the cache again opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def find(self, digests: Sequence[str], model_key: str) -> dict[str, NDArray[np.float32]]:
        """Those embeddings that are there: digest to float32, shape `(embedding_size,)`, read-only, all equally long.

        Args:
            digests: content of each photo, 40 hexadecimal digits.
            model_key: backbone and preprocessing, 64 hexadecimal digits.
        """
        if not digests or not os.path.exists(self._path):
            return {}
        nothing: dict[str, NDArray[np.float32]] = {}
        vectors, num_bad = self._attempt(
            lambda connection: find_vectors(connection, digests, bytes.fromhex(model_key)), (nothing, 0)
        )
        if num_bad:
            self._tell(f"held {num_bad:,} damaged embedding{'s'[: num_bad > 1]}, which will be computed again")
        return vectors

    def add(self, items: Mapping[str, NDArray[np.float32]], model_key: str) -> None:
        """The embeddings survive a kill from now on, and stand in place of those of the same photos and model.

        Args:
            items: digest to float32, shape `(embedding_size,)`; not modified.
            model_key: as for `find`.
        """
        if items:
            self._attempt(lambda connection: self._add(connection, items, bytes.fromhex(model_key)), None)

    def num_embeddings(self) -> int:
        """How many embeddings there are, of all models."""
        return self._attempt(count_vectors, 0) if os.path.exists(self._path) else 0

    def size_bytes(self) -> int:
        """Bytes on the disk."""
        num_bytes = 0
        for path in list_embedding_files(self._path):
            with contextlib.suppress(OSError):  # another process deletes too
                num_bytes += path.stat().st_size
        return num_bytes

    def _add(self, connection: sqlite3.Connection, items: Mapping[str, NDArray[np.float32]], model: bytes) -> None:
        add_vectors(connection, items, model)
        if used_bytes(connection) > self._max_bytes:
            evict_vectors(connection, int(self._max_bytes * _EVICTED_FILL))

    def _attempt(self, act: Callable[[sqlite3.Connection], _Outcome], otherwise: _Outcome) -> _Outcome:
        """What `act` gives, from a cache made anew where need be; `otherwise` where the cache cannot be used."""
        for _ in range(_MAX_TRIES):
            try:
                return act(self._open())
            except KeyboardInterrupt:
                self.close()
                raise
            except OtherVersionError:
                if not self._replace("is not of this version of tellapart"):
                    return otherwise
            except OSError as exc:
                return self._go_without(f"cannot be used ({exc.strerror})", otherwise)
            except sqlite3.Error as exc:
                code = getattr(exc, "sqlite_errorcode", None)
                if code is None:  # Python's own complaint: a defect of ours, no fault of the file
                    raise
                if code in _TAKEN_AWAY:
                    self.close()
                elif code & 0xFF in _LOCKED:
                    self._seconds_to_wait = 0.0
                    return self._go_without("is locked by another program", otherwise)
                elif code & 0xFF not in _DAMAGED:
                    return self._go_without(f"cannot be used ({exc})", otherwise)
                elif not self._replace("was damaged"):
                    return otherwise
        return self._go_without("cannot be used (others replace it all the time)", otherwise)

    def _go_without(self, trouble: str, otherwise: _Outcome) -> _Outcome:
        self.close()
        self._tell(f"{trouble}; photos are embedded without it. Another folder can be named with --cache-dir")
        return otherwise

    def _tell(self, what: str) -> None:
        self.note = self.note or f"the embedding cache {str(self._path)!r} {what}."

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Looked at before the file is opened: if another process replaces it in between, `_replace` sees a file
            # that it does not know and leaves it alone. The other way about it would take the new one for the old.
            self._opened_file = _file_identity(self._path)
            self._connection = connect(self._path, self._seconds_to_wait)
            prepare(self._connection)
        return self._connection

    def _replace(self, trouble: str) -> bool:
        """Whether the file is out of the way, so that whoever opens the cache next makes a new one."""
        if os.name == "nt":  # where no open file can be renamed; elsewhere its number is not given to another so long
            self.close()
        try:
            if _file_identity(self._path) == self._opened_file:
                self._set_aside()
                self._tell(f"{trouble} and is made anew; its photos are embedded again")
        except FileNotFoundError:  # another process was faster
            pass
        except OSError as exc:
            return self._go_without(f"{trouble} and cannot be replaced ({exc.strerror})", False)
        finally:
            self.close()
        return True

    def _set_aside(self) -> None:
        """Renames the file before it is deleted: what turns out to be another process' new one is put back."""
        aside = self._path.with_name(f"{self._path.name}{_DAMAGED_SUFFIX}{secrets.token_hex(6)}")
        os.rename(self._path, aside)
        if _file_identity(aside) != self._opened_file:
            with contextlib.suppress(OSError):  # a third process has made one by now: that is as good
                os.link(aside, self._path)
        os.unlink(aside)


def list_embedding_files(path: Path) -> list[Path]:
    """The files that there are of the cache at `path`: itself first, then what SQLite or a kill has left beside it."""
    names = [path.name, *(path.name + suffix for suffix in _SIDE_SUFFIXES)]
    with contextlib.suppress(OSError):
        names += sorted(name for name in os.listdir(path.parent) if name.startswith(path.name + _DAMAGED_SUFFIX))
    return [path.with_name(name) for name in names if os.path.isfile(path.with_name(name))]


def _file_identity(path: Path) -> tuple[int, int] | None:
    """Which file stands under that name, whatever is in it; `None` where there is none."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
