"""Zip archives read in place, with limits; the only module that opens one.

A zip may come from a stranger. Everything the directory of the archive can tell is checked when it is opened, so that
a bad archive is refused before any work starts; what only decompression can tell is counted while a member is read.
Nothing is ever extracted to disk. `photos/files.py` makes photos of the members.
"""

import datetime
import stat
import struct
import threading
import weakref
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, NoReturn

from tellapart.config import ArchiveLimits
from tellapart.errors import DatasetError, ImageError
from tellapart.photos.names import printable

_CHUNK_BYTES = 256 * 1024
_RATIO_FLOOR_BYTES = 1024 * 1024
_LOCAL_HEADER_BYTES = 30
_ENCRYPTED_FLAG = 0x1
_UTF8_FLAG = 0x800
_DRIVE_LENGTH = 2
_MAX_NAME_LENGTH = 255
# bzip2 and LZMA are refused: zipfile decompresses a whole input chunk of them at once, however large it becomes.
_ACCEPTED_COMPRESSION = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_METHOD_NAMES = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ"}
_REPACK = "Unpack it with a tool you trust, look at what it holds, and pass the folder instead."


class Archive:
    """An open zip whose members are read by name; threads may read at the same time.

    Args:
        path: the file, used in messages.
        file: the file, opened for reading; closed by `close`.
        limits: what a member may become when it is decompressed.

    Attributes:
        path: the file.
        names: the members that are files, in the order of the archive, with `/` between folders.
    """

    def __init__(self, path: Path, file: BinaryIO, limits: ArchiveLimits) -> None:
        self.path = path
        self._file = file
        self._limits = limits
        # A file that we pass in is never closed by zipfile, whose own count of users is not safe between threads.
        self._zip = zipfile.ZipFile(file)
        self._lock = threading.Lock()
        self._members = _check_members(path, self._zip, limits)
        self.names: tuple[str, ...] = tuple(self._members)
        weakref.finalize(self, file.close)

    def size(self, name: str) -> int:
        """Bytes of the member after decompression, as the archive states them; reading never gives more."""
        return self._members[name].file_size

    def modified_ns(self, name: str) -> int | None:
        """The time that the archive states for the member, nanoseconds since 1970; `None` if it states none.

        Zip knows neither time zones nor odd seconds: the time is taken as local.
        """
        try:
            moment = datetime.datetime(*self._members[name].date_time)
            return int(moment.timestamp()) * 1_000_000_000
        except (ValueError, OverflowError, OSError):
            return None

    def read(self, name: str) -> bytes:
        """The bytes of a member, decompressed and compared with its checksum.

        Raises:
            ImageError: the member is damaged, or the archive has changed or vanished since it was opened.
            DatasetError: the member decompresses to far more than its size in the archive.
        """
        return self._read(name, self._members[name].file_size + 1)

    def head(self, name: str, num_bytes: int) -> bytes:
        """At most the first `num_bytes` of a member, without looking at its checksum.

        Raises:
            ImageError: as `read`.
        """
        return self._read(name, num_bytes)

    def close(self) -> None:
        """Nothing; the file is closed, and reading is no longer possible."""
        self._zip.close()
        self._file.close()

    def _read(self, name: str, max_bytes: int) -> bytes:
        member = self._members[name]
        chunks: list[bytes] = []
        num_bytes = 0
        try:
            with self._lock:
                stream = self._zip.open(member)
            with stream:
                while num_bytes < max_bytes and (chunk := stream.read(min(_CHUNK_BYTES, max_bytes - num_bytes))):
                    chunks.append(chunk)
                    num_bytes += len(chunk)
                    _check_ratio(self.path, name, num_bytes, member.compress_size, self._limits)
        except DatasetError:
            raise
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, struct.error) as exc:
            raise ImageError(
                f"is damaged in the archive ({_one_line(exc)}). Pack or download the archive again",
                path=f"{self.path}/{name}",
            ) from exc
        except (OSError, ValueError) as exc:
            raise ImageError(
                f"cannot be read from the archive any more ({_one_line(exc)})", path=f"{self.path}/{name}"
            ) from exc
        return b"".join(chunks)


def open_archive(path: Path, limits: ArchiveLimits = ArchiveLimits()) -> Archive:
    """The zip at `path`, checked as far as its directory tells, ready to be read.

    Raises:
        DatasetError: it is not a whole zip, or a member is encrypted, a link, packed in an unknown way, outside the
            archive, named twice, overlapping another, or above `limits`.
    """
    try:
        file = path.open("rb")
    except OSError as exc:
        raise DatasetError(
            f"archive {str(path)!r} cannot be opened: {exc.strerror}. Check the path and its permissions.",
            paths=[path],
        ) from exc
    try:
        return Archive(path, file, limits)
    except DatasetError:
        file.close()
        raise
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, OSError, EOFError) as exc:
        file.close()
        raise DatasetError(
            f"archive {str(path)!r} is not a zip that can be read ({_one_line(exc)}). It may be cut off. "
            "Download or pack it again.",
            paths=[path],
        ) from exc


def _one_line(exc: BaseException) -> str:
    """What an exception says, as one line; its kind where it says nothing."""
    return " ".join(printable(str(exc)).split()) or type(exc).__name__


def _refuse(path: Path, name: str, found: str) -> NoReturn:
    raise DatasetError(f"archive {str(path)!r} is refused: member {name!r} {found}. {_REPACK}", paths=[path])


def _check_members(path: Path, archive: zipfile.ZipFile, limits: ArchiveLimits) -> dict[str, zipfile.ZipInfo]:
    """The files of the archive by name, every one checked."""
    infos = archive.infolist()
    if len(infos) > limits.max_members:
        raise DatasetError(
            f"archive {str(path)!r} is refused: it has {len(infos):,} members, more than {limits.max_members:,}. "
            "Split it into several archives, or unpack it and give the folder.",
            paths=[path],
        )
    members: dict[str, zipfile.ZipInfo] = {}
    total_bytes = 0
    for info in infos:
        name = _check_name(path, info)
        _check_kind(path, name, info)
        _check_ratio(path, name, info.file_size, info.compress_size, limits)
        total_bytes += info.file_size
        if info.is_dir():
            continue
        if name in members:
            _refuse(path, name, "is there twice, so it is not clear which one is meant")
        members[name] = info
    if total_bytes > limits.max_total_bytes:
        raise DatasetError(
            f"archive {str(path)!r} is refused: its members unpack to {total_bytes:,} bytes, more than "
            f"{limits.max_total_bytes:,}. Split it into several archives.",
            paths=[path],
        )
    _check_overlaps(path, infos, archive.start_dir)
    return members


def _check_name(path: Path, info: zipfile.ZipInfo) -> str:
    """The name of a member with `/` between its parts and no empty parts, if it stays inside the archive."""
    name = info.orig_filename
    if not info.flag_bits & _UTF8_FLAG and not name.isascii():
        name = _repair_name(name)
    if "\0" in name:
        _refuse(path, name, "has a zero byte in its name")
    if "\\" in name:
        _refuse(path, name, "has a backslash in its name, where '/' separates folders")
    if name.startswith("/") or (len(name) >= _DRIVE_LENGTH and name[1] == ":" and name[0].isalpha()):
        _refuse(path, name, "has an absolute path, which leads out of the archive")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        _refuse(path, name, "leads out of the archive with '..'")
    if not parts and not info.is_dir():
        _refuse(path, name, "has no name")
    if max(map(len, parts), default=0) > _MAX_NAME_LENGTH:
        _refuse(path, name[:_MAX_NAME_LENGTH], f"has a name of more than {_MAX_NAME_LENGTH} characters")
    return "/".join(parts)


def _repair_name(name: str) -> str:
    """The name read as UTF-8 where it was written so without saying it, as macOS does; else unchanged."""
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return name


def _check_kind(path: Path, name: str, info: zipfile.ZipInfo) -> None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind == stat.S_IFLNK:
        _refuse(path, name, "is a link, not a file or folder")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        _refuse(path, name, "is neither a file nor a folder")
    if info.flag_bits & _ENCRYPTED_FLAG:
        _refuse(path, name, "is encrypted with a password")
    if info.compress_type not in _ACCEPTED_COMPRESSION:
        packed = _METHOD_NAMES.get(info.compress_type, f"method {info.compress_type}")
        _refuse(path, name, f"is packed with {packed}, not deflated or stored")


def _check_ratio(path: Path, name: str, num_bytes: int, compressed_bytes: int, limits: ArchiveLimits) -> None:
    if num_bytes > _RATIO_FLOOR_BYTES and num_bytes > limits.max_ratio * compressed_bytes:
        _refuse(
            path,
            name,
            f"unpacks {compressed_bytes:,} bytes to at least {num_bytes:,}, more than {limits.max_ratio:g} times as "
            "many (photos stay below 10)",
        )


def _check_overlaps(path: Path, infos: Iterable[zipfile.ZipInfo], directory_offset: int) -> None:
    """Nothing, if no two members share bytes of the file, and none reaches into the directory at its end."""
    ordered = sorted(infos, key=lambda info: info.header_offset)
    starts = [info.header_offset for info in ordered[1:]] + [directory_offset]
    for info, next_start in zip(ordered, starts, strict=False):
        encoding = "utf-8" if info.flag_bits & _UTF8_FLAG else "cp437"
        name_bytes = len(info.orig_filename.encode(encoding, "replace"))
        if (
            info.header_offset < 0
            or info.header_offset + _LOCAL_HEADER_BYTES + name_bytes + info.compress_size > next_start
        ):
            _refuse(path, info.filename, "overlaps another part of the archive, as in a decompression bomb")
