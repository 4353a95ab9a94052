"""Zip archives read in place, with limits; the only module that opens one.

A zip may come from a stranger. What its directory tells is checked when it is opened, so that a bad archive is refused,
and a bad member left out, before any work starts. Reading a member never gives more bytes than the directory states.
Nothing is ever extracted to disk.
"""

import datetime
import stat
import struct
import threading
import unicodedata
import weakref
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tellapart.config import ArchiveLimits
from tellapart.errors import DatasetError, ImageError
from tellapart.translation import gettext as _
from tellapart.zips.directory import Entry, read_directory
from tellapart.zips.member_names import member_names, split_name

_CHUNK_BYTES = 256 * 1024
_RATIO_FLOOR_BYTES = 1024 * 1024
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_LOCAL_MARK = b"PK\x03\x04"
_ENCRYPTED_FLAG = 0x1
_STORED, _DEFLATED = 0, 8
# The decoders of the others decompress a whole chunk of input at once, however large it becomes.
_METHOD_NAMES = {
    1: "Shrink", 6: "Implode", 9: "Deflate64", 12: "bzip2", 14: "LZMA", 20: "Zstandard", 93: "Zstandard", 95: "XZ",
    96: "JPEG recompression", 97: "WavPack", 98: "PPMd", 99: "AES",
}  # fmt: skip

Parts = tuple[str, ...]


class Archive:
    """An open zip whose members are read by name; threads may read at the same time.

    Args:
        path: the file, used in messages.
        file: the file, opened for reading; closed by `close`.
        limits: what the archive may hold, and what a member may become when it is decompressed.

    Attributes:
        path: the file.
        names: the members that can be read, in the order of the archive, with `/` between folders.
        left_out: the parts of the names of the other files, and why each is left out.

    Raises:
        DatasetError: as `open_archive`.
    """

    def __init__(self, path: Path, file: BinaryIO, limits: ArchiveLimits) -> None:
        self.path = path
        self._file = file
        self._lock = threading.Lock()
        entries, directory_start = read_directory(path, file, limits)
        sorter = _Sorter(limits)
        for entry, name in zip(entries, member_names(path, entries), strict=True):
            sorter.add(entry, name)
        if sorter.total_bytes > limits.max_total_bytes:
            raise DatasetError(
                _(
                    "archive {path!r} is too large: unpacked it has {total_bytes:,} bytes, and at most "
                    "{max_total_bytes:,} are read. Split it into several archives."
                ).format(path=str(path), total_bytes=sorter.total_bytes, max_total_bytes=limits.max_total_bytes),
                paths=[path],
            )
        sorter.leave_out_overlaps(directory_start)
        self._members = sorter.members
        self.names: tuple[str, ...] = tuple(self._members)
        self.left_out: tuple[tuple[Parts, str], ...] = tuple(sorter.left_out)
        self._max_ratio = limits.max_ratio
        weakref.finalize(self, file.close)

    def size(self, name: str) -> int:
        """Bytes of the member after decompression, as the archive states them; reading never gives more."""
        return self._members[name].num_bytes

    def is_suspicious(self, name: str) -> bool:
        """Whether the member grows more by decompression than photos do."""
        return _grows_too_much(self._members[name], self._max_ratio)

    def modified_ns(self, name: str) -> int | None:
        """The time that the archive states for the member, nanoseconds since 1970; `None` if it states none.

        Zip knows neither time zones nor odd seconds: the time is taken as local.
        """
        date, time = self._members[name].moment
        day = (date >> 9) + 1980, date >> 5 & 0xF, date & 0x1F
        try:
            moment = datetime.datetime(*day, time >> 11, time >> 5 & 0x3F, (time & 0x1F) * 2)
            return int(moment.timestamp()) * 1_000_000_000
        except (ValueError, OverflowError, OSError):
            return None

    def read(self, name: str) -> bytes:
        """The bytes of a member, decompressed and compared with its checksum.

        Raises:
            ImageError: the member is damaged, or the archive has changed or vanished since it was opened.
        """
        member = self._members[name]
        data = self._unpack(name, member.num_bytes + 1)
        if len(data) != member.num_bytes or zlib.crc32(data) != member.crc:
            raise self._damaged(name, _("its bytes do not match its checksum"))
        return data

    def head(self, name: str, num_bytes: int) -> bytes:
        """At most the first `num_bytes` of a member, without looking at its checksum.

        Raises:
            ImageError: as `read`.
        """
        return self._unpack(name, num_bytes)

    def close(self) -> None:
        """Nothing; the file is closed, and reading is no longer possible."""
        self._file.close()

    def _unpack(self, name: str, max_bytes: int) -> bytes:
        """At most `max_bytes` of a member; its compressed bytes are read only as far as these need."""
        chunks: list[bytes] = []
        num_bytes = 0
        try:
            for chunk in self._unpacked_chunks(name, max_bytes):
                chunks.append(chunk)
                num_bytes += len(chunk)
                if num_bytes >= max_bytes:
                    break
        except zlib.error as exc:
            raise self._damaged(name, str(exc)) from exc
        except (OSError, ValueError) as exc:
            reason = getattr(exc, "strerror", None) or str(exc)
            raise ImageError(
                _("can no longer be read from the archive ({reason})").format(reason=reason),
                path=f"{self.path}/{name}",
            ) from exc
        return b"".join(chunks)[:max_bytes]

    def _unpacked_chunks(self, name: str, max_bytes: int) -> Iterator[bytes]:
        member = self._members[name]
        header = self._read_at(member.offset, _LOCAL_HEADER.size)
        if len(header) < _LOCAL_HEADER.size or not header.startswith(_LOCAL_MARK):
            raise self._damaged(name, _("its local header is missing"))
        fields = _LOCAL_HEADER.unpack(header)
        place = member.offset + _LOCAL_HEADER.size + fields[-2] + fields[-1]
        rest = member.packed_bytes
        inflater = zlib.decompressobj(-zlib.MAX_WBITS) if member.method == _DEFLATED else None
        step = min(_CHUNK_BYTES, max(max_bytes, 512))
        while rest > 0:
            packed = self._read_at(place, min(step, rest))
            if not packed:
                raise self._damaged(name, _("the archive is cut off"))
            place, rest = place + len(packed), rest - len(packed)
            if inflater is None:
                yield packed
                continue
            while packed and not inflater.eof:
                yield inflater.decompress(packed, step)
                packed = inflater.unconsumed_tail

    def _read_at(self, place: int, num_bytes: int) -> bytes:
        with self._lock:
            self._file.seek(place)
            return self._file.read(num_bytes)

    def _damaged(self, name: str, found: str) -> ImageError:
        return ImageError(
            _("is damaged in the archive ({found}). Pack or download the archive again").format(found=found),
            path=f"{self.path}/{name}",
        )


def open_archive(path: Path, limits: ArchiveLimits = ArchiveLimits()) -> Archive:
    """The zip at `path`, checked as far as its directory tells, ready to be read.

    Raises:
        DatasetError: it is not a whole zip, is one part of several, holds more than `limits`, or does not tell how its
            names are encoded.
    """
    try:
        file = path.open("rb")
    except OSError as exc:
        raise DatasetError(
            _("archive {path!r} cannot be opened: {strerror}. Check the path and its permissions.").format(
                path=str(path), strerror=exc.strerror
            ),
            paths=[path],
        ) from exc
    try:
        return Archive(path, file, limits)
    except OSError as exc:
        file.close()
        raise DatasetError(
            _("archive {path!r} cannot be read: {strerror}. Check the disk, or copy the archive again.").format(
                path=str(path), strerror=exc.strerror
            ),
            paths=[path],
        ) from exc
    except BaseException:
        file.close()
        raise


class _Sorter:
    """The members that can be read, and the others with the reason."""

    def __init__(self, limits: ArchiveLimits) -> None:
        self._limits = limits
        self.members: dict[str, Entry] = {}
        self.left_out: list[tuple[Parts, str]] = []
        self.total_bytes = 0
        self._suspicious_bytes = 0
        self._by_content: dict[tuple[str, int, int], str] = {}

    def add(self, entry: Entry, name: str) -> None:
        if name.endswith("/") or stat.S_ISDIR(entry.mode):
            return
        parts, reason = split_name(name)
        reason = reason or _odd_kind(entry) or self._odd_size(entry)
        if reason is not None:
            self.left_out.append((parts, reason))
            return
        name = "/".join(parts)
        # The same bytes under the same name, in whatever Unicode form, are one photo.
        content = (unicodedata.normalize("NFC", name), entry.crc, entry.num_bytes)
        if content in self._by_content:
            return
        self._by_content[content] = name
        self.total_bytes += entry.num_bytes
        if name in self.members:
            self.left_out.append((parts, _("has the name of a later file in the archive, which is used instead")))
            del self.members[name]
        self.members[name] = entry

    def _odd_size(self, entry: Entry) -> str | None:
        """Why a member that grows more than photos do is left out; small ones are not, until they are many."""
        if not _grows_too_much(entry, self._limits.max_ratio):
            return None
        self._suspicious_bytes += entry.num_bytes
        if entry.num_bytes <= _RATIO_FLOOR_BYTES and self._suspicious_bytes <= self._limits.max_suspicious_bytes:
            return None
        return _(
            "unpacks from {packed_bytes:,} to {num_bytes:,} bytes, more than {max_ratio:g} times as many. "
            "Photos stay below 10 times"
        ).format(packed_bytes=entry.packed_bytes, num_bytes=entry.num_bytes, max_ratio=self._limits.max_ratio)

    def leave_out_overlaps(self, directory_start: int) -> None:
        """Members that share bytes of the file with another one, or with the directory, are left out."""
        end = 0
        for name, entry in sorted(self.members.items(), key=lambda item: item[1].offset):
            next_end = entry.offset + _LOCAL_HEADER.size + len(entry.raw_name) + entry.packed_bytes
            if entry.offset < end or next_end > directory_start:
                del self.members[name]
                self.left_out.append((tuple(name.split("/")), _("shares bytes with another part of the archive")))
            end = max(end, min(next_end, directory_start))


def _grows_too_much(entry: Entry, max_ratio: float) -> bool:
    return entry.num_bytes > max_ratio * max(entry.packed_bytes, 1)


def _odd_kind(entry: Entry) -> str | None:
    """Why a member is left out for what it is."""
    kind = stat.S_IFMT(entry.mode)
    if kind == stat.S_IFLNK:
        return _("is a link, not a file. Pack the file itself")
    if kind not in (0, stat.S_IFREG):
        return _("is neither a file nor a folder")
    if entry.flags & _ENCRYPTED_FLAG:
        return _("is encrypted with a password. Pack it again without one")
    if entry.method not in (_STORED, _DEFLATED):
        packed = _METHOD_NAMES.get(entry.method, _("method {number}").format(number=entry.method))
        return _("is packed with {packed}. Pack it again with Deflate, the usual method").format(packed=packed)
    return None
