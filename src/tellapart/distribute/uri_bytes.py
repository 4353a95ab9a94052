"""From an address to the bytes that are there: local paths, `file://`, and buckets (`s3://`, `gs://`).

Buckets are opened by PyArrow, with the credentials of the environment. Addresses of web sites are refused: a list from
a stranger must not make this machine call others.
"""

import os
import posixpath
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pyarrow.fs

from tellapart.distribute.uri_home import restore_home
from tellapart.errors import DatasetError, ImageError
from tellapart.photos.files import DiskFile, check_file_size
from tellapart.translation import gettext as _
from tellapart.untrusted import open_regular, read_regular

# Two letters at least: `C:` is a drive of Windows.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_BUCKETS = ("s3", "gs", "gcs")
# With these words clouds say no, in what PyArrow passes on.
_DENIED = re.compile(
    r"denied|forbidden|permission|credential|unauthori|unauthent|invalid.?access|access.?token|\b40[13]\b", re.I
)
# With these that no photo can be had of them, now.
_UNREACHABLE = re.compile(
    r"network.?connection|could not (resolve|connect)|connection (refused|reset)|time[d-]?.?out|unavailable|slow.?down"
    r"|access.?token|internal.?(failure|error)|\b50[0234]\b",
    re.I,
)
_MISSING = re.compile(r"no.?such|not.?found|not exist|\b404\b", re.I)
_QUOTED = re.compile(r"'[^']*'")
_MOST_CHARACTERS = 200
# A list of photos may have any size.
_LARGEST_LIST = 2**62
# How long Google's storage is asked again for one photo; its own default is 15 minutes. Amazon's takes 6 seconds.
_GOOGLE_SECONDS = 20
# After these a bucket that does not answer is asked once more.
_PAUSES = (2.0, 8.0)


def scheme_of(uri: str) -> str:
    """The scheme in small letters, as `s3`; empty for a file of this machine."""
    match = _SCHEME.match(uri)
    scheme = match[1].lower() if match else ""
    return "" if scheme == "file" else scheme


def join_uri(base: str, uri: str) -> str:
    """The address, which begins at `base` where it is a relative path."""
    if _SCHEME.match(uri) or os.path.isabs(uri):
        return uri
    return posixpath.join(base, uri) if scheme_of(base) else os.path.join(base, uri)


def local_path(uri: str) -> str:
    """The path on this machine of a path, or of a `file://` address, which is percent-encoded."""
    if _SCHEME.match(uri) is None:
        return uri
    split = urlsplit(uri.replace("?", "%3F").replace("#", "%23"))
    return url2pathname(split.path if split.netloc in ("", "localhost") else f"//{split.netloc}{split.path}")


class UriReader:
    """Opens what is at addresses, each bucket once; may be used from several threads.

    Args:
        base: what relative paths begin at.
    """

    def __init__(self, base: str) -> None:
        restore_home()
        self._base = base
        self._buckets: dict[str, Any] = {}
        self._lock = threading.Lock()

    def read(self, uri: str, max_bytes: int) -> bytes:
        """The bytes at the address.

        Raises:
            ImageError: there is nothing, more than `max_bytes`, or it may not be read; the message is the reason.
            DatasetError: the bucket cannot be reached, so that no other photo of it could be read.
        """
        with _explained(uri, self._base):
            full = join_uri(self._base, uri)
            if not scheme_of(full):
                return read_regular(local_path(full), max_bytes)
            for pause in _PAUSES:
                try:
                    return self._read_object(full, max_bytes)
                except OSError as exc:
                    if not _is_unreachable(exc):
                        raise
                time.sleep(pause)
            return self._read_object(full, max_bytes)

    def _read_object(self, uri: str, max_bytes: int) -> bytes:
        with self.open(uri) as file:
            check_file_size(file.size(), max_bytes, uri)
            data: bytes = file.read()
        return data

    def head(self, uri: str, num_bytes: int) -> bytes:
        """At most the first bytes at the address.

        Raises:
            ImageError, DatasetError: as for `read`.
        """
        with _explained(uri, self._base), self.open(join_uri(self._base, uri)) as file:
            data: bytes = file.read(num_bytes)
            return data

    def open(self, uri: str) -> Any:
        """A file to read what is at an address, which is not a relative path.

        Raises:
            ImageError: the scheme is not one that is read.
            OSError, ValueError: it cannot be opened.
        """
        scheme = scheme_of(uri)
        if not scheme:
            return open_regular(local_path(uri), _LARGEST_LIST)
        if scheme not in _BUCKETS:
            said = _("addresses with {scheme}:// are not read. Give paths, or addresses with file://, s3:// or gs://")
            raise ImageError(said.format(scheme=scheme), path=uri)
        bucket, _slash, key = uri.partition("://")[2].partition("/")
        return self._open_bucket(scheme, bucket).open_input_file(f"{bucket.rpartition('@')[2]}/{key}")

    def _open_bucket(self, scheme: str, bucket: str) -> Any:
        """The file system of the bucket, whose name may have credentials before an `@`."""
        with self._lock:  # opening one asks where the bucket is
            address = f"{scheme}://{bucket}"
            if address not in self._buckets:
                more = "" if scheme == "s3" else f"?retry_limit_seconds={_GOOGLE_SECONDS}"
                self._buckets[address] = pyarrow.fs.FileSystem.from_uri(address + more)[0]
            return self._buckets[address]


@contextmanager
def _explained(uri: str, base: str) -> Iterator[None]:
    """Errors of the system and of clouds become ours."""
    try:
        yield
    except ImageError as exc:
        exc.path = uri
        raise
    except (OSError, ValueError, NotImplementedError) as exc:
        if scheme_of(join_uri(base, uri)) and _is_unreachable(exc):
            said = _("the storage of {uri!r} cannot be reached: {reason}. Run the same command to continue.")
            raise DatasetError(said.format(uri=uri, reason=_shorten(exc)), paths=[uri]) from exc
        raise ImageError(explain_refusal(exc), path=uri) from exc


def _is_unreachable(exc: Exception) -> bool:
    """Whether a cloud has said nothing of the photo, so that those after it would fare no better."""
    told = _QUOTED.sub("", str(exc))
    return not isinstance(exc, FileNotFoundError | PermissionError) and _UNREACHABLE.search(told) is not None


def _shorten(exc: Exception) -> str:
    """What an error says, in one line without a full stop."""
    said = " ".join(str(getattr(exc, "strerror", None) or exc).split())
    return said[:_MOST_CHARACTERS].rstrip(". ")


def explain_refusal(exc: Exception) -> str:
    """Why an address cannot be read, in words for the owner of the list, without a full stop."""
    if isinstance(exc, ImageError):
        return str(exc)
    # Names of buckets and files say nothing about the reason.
    told = "" if getattr(exc, "strerror", None) else _QUOTED.sub("", str(exc))
    if isinstance(exc, FileNotFoundError) or (_MISSING.search(told) and not _DENIED.search(told)):
        return _("there is no such file")
    if isinstance(exc, PermissionError) or _DENIED.search(told):
        return _("permission denied. Check the credentials, and what they may read")
    return _("the file cannot be read: {strerror}").format(strerror=_shorten(exc))


@dataclass(frozen=True, slots=True)
class UriFile(DiskFile):
    """A photo at an address, which is its `path`, for a `PhotoSet` to read."""

    reader: UriReader = field(repr=False)

    def head(self, num_bytes: int) -> bytes:
        """At most the first bytes that are there, or an `ImageError`."""
        return self.reader.head(self.path, num_bytes)

    def read(self, max_bytes: int) -> bytes:
        """All bytes that are there.

        Raises:
            ImageError: as for `UriReader.read`.
        """
        return self.reader.read(self.path, max_bytes)

    def modified_ns(self) -> None:
        """When it was last changed is not asked."""
