"""The directory of a zip: how many members there are, where each one is, and what the archive says of it.

The end record says how long the directory is, so a directory that is too long is refused before it is read. Layout:
APPNOTE.TXT of PKWARE, version 6.3.10, sections 4.3.12 to 4.3.16, 4.5.3 (zip64) and 4.6.9 (names in Unicode).
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn

from tellapart.config import ArchiveLimits
from tellapart.errors import DatasetError
from tellapart.translation import gettext as _
from tellapart.translation import gettext_noop

_END = struct.Struct("<4s4H2LH")
_END_MARK = b"PK\x05\x06"
_END64 = struct.Struct("<4sQ2H2L4Q")
_END64_MARK = b"PK\x06\x06"
_LOCATOR = struct.Struct("<4sLQL")
_LOCATOR_MARK = b"PK\x06\x07"
_ENTRY = struct.Struct("<4s6H3L5H2L")
_ENTRY_MARK = b"PK\x01\x02"
_MAX_COMMENT_BYTES = 2**16 - 1
# A field that holds its largest value stands in the zip64 field.
_FULL_16, _FULL_32 = 2**16 - 1, 2**32 - 1
_ZIP64_FIELD, _UNICODE_NAME_FIELD = 0x0001, 0x7075
_UTF8_FLAG = 0x800
_SPLIT_IT = gettext_noop("Split it into several archives, or unpack it and give the folder.")
_OTHER_KINDS = (
    (b"Rar!", gettext_noop("a RAR archive")),
    (b"7z\xbc\xaf", gettext_noop("a 7-Zip archive")),
    (b"\x1f\x8b", gettext_noop("a gzip archive")),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A member, as the directory describes it.

    Attributes:
        raw_name: the bytes of the name.
        unicode_name: the name as text, where the archive says which text it is.
        flags, method, crc: as in the archive.
        packed_bytes, num_bytes: bytes in the archive, and after decompression.
        offset: of the local header in the file.
        mode: kind and permissions of the file on Unix; 0 where the archive does not say.
        moment: when the file was changed: date and time as MS-DOS counts them.
    """

    raw_name: bytes
    unicode_name: str | None
    flags: int
    method: int
    crc: int
    packed_bytes: int
    num_bytes: int
    offset: int
    mode: int
    moment: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _End:
    """What the end record says."""

    num_entries: int
    num_bytes: int
    offset: int
    disks: tuple[int, ...]


def read_directory(path: Path, file: BinaryIO, limits: ArchiveLimits) -> tuple[list[Entry], int]:
    """The members of the archive in their order, folders included, and where the directory starts in the file.

    Bytes before the archive, as in a self-extracting one, are allowed.

    Args:
        path: the file, used in messages.
        file: the file, opened for reading.
        limits: how long the directory may be.

    Raises:
        DatasetError: it is no whole zip, one part of several, or its directory is too long.
    """
    end, place = _find_end(path, file)
    if any(end.disks):
        raise DatasetError(
            _(
                "archive {path!r} is one part of an archive in several files. Unpack it together with "
                "the other parts, and give the folder."
            ).format(path=str(path)),
            paths=[path],
        )
    if end.num_entries > limits.max_members:
        _refuse_count(path, end.num_entries, limits)
    if end.num_bytes > limits.max_directory_bytes:
        raise DatasetError(
            _(
                "archive {path!r} is too large: its list of files has {num_bytes:,} bytes, and at most "
                "{most:,} are read. {what_to_do}"
            ).format(
                path=str(path),
                num_bytes=end.num_bytes,
                most=limits.max_directory_bytes,
                what_to_do=_(_SPLIT_IT),
            ),
            paths=[path],
        )
    start = place - end.num_bytes
    if start < 0 or start < end.offset:
        _refuse_damaged(path, _("its directory is not where its end says"))
    file.seek(start)
    data = file.read(end.num_bytes)
    if len(data) < end.num_bytes:
        _refuse_damaged(path, _("it is shorter than its end says"))
    num_entries = _count(path, data, limits.max_members)
    if num_entries > limits.max_members:
        _refuse_count(path, num_entries, limits)
    if num_entries & _FULL_16 != end.num_entries & _FULL_16:
        _refuse_damaged(
            path,
            _("its end says {stated:,} files and its directory has {found:,}").format(
                stated=end.num_entries, found=num_entries
            ),
        )
    return list(_entries(data, start - end.offset)), start


def _find_end(path: Path, file: BinaryIO) -> tuple[_End, int]:
    """The end record, and where the directory before it ends."""
    size = file.seek(0, 2)
    tail_start = max(0, size - _END.size - _MAX_COMMENT_BYTES)
    file.seek(tail_start)
    tail = file.read()
    place = tail.rfind(_END_MARK)
    # A comment may hold the mark of an end record; the real one says how long the comment behind it is.
    while place >= 0 and not _is_end(tail, place):
        place = tail.rfind(_END_MARK, 0, place)
    if place < 0:
        file.seek(0)
        head = file.read(8)
        found = next((words for mark, words in _OTHER_KINDS if head.startswith(mark)), None)
        if found is not None:
            raise DatasetError(
                _("archive {path!r} is {found}, not a zip. Unpack it and give the folder.").format(
                    path=str(path), found=_(found)
                ),
                paths=[path],
            )
        _refuse_damaged(path, _("it has no directory at its end"))
    _unused, disk, first_disk, here, entries, num_bytes, offset, _unused = _END.unpack_from(tail, place)
    end = _End(entries, num_bytes, offset, (disk, first_disk, entries - here))
    if _FULL_16 not in (disk, first_disk, here, entries) and _FULL_32 not in (num_bytes, offset):
        return end, tail_start + place
    return _find_end64(file, end, tail_start + place)


def _is_end(tail: bytes, place: int) -> bool:
    if place + _END.size > len(tail):
        return False
    return place + _END.size + int(_END.unpack_from(tail, place)[7]) <= len(tail)


def _find_end64(file: BinaryIO, end: _End, place: int) -> tuple[_End, int]:
    """The end record of zip64 that stands before the usual one; the usual one where there is none."""
    file.seek(max(0, place - _LOCATOR.size))
    locator = file.read(_LOCATOR.size)
    if len(locator) < _LOCATOR.size or not locator.startswith(_LOCATOR_MARK):
        return end, place
    _unused, disk, stated, num_disks = _LOCATOR.unpack(locator)
    # With bytes before the archive the record is not where the locator says, but right before the locator.
    for start in (place - _LOCATOR.size - _END64.size, stated):
        if 0 <= start < place:
            file.seek(start)
            record = file.read(_END64.size)
            if len(record) == _END64.size and record.startswith(_END64_MARK):
                fields = _END64.unpack(record)
                disks = (disk, max(0, num_disks - 1), fields[4], fields[5], fields[7] - fields[6])
                return _End(fields[7], fields[8], fields[9], disks), start
    return end, place


def _count(path: Path, data: bytes, most: int) -> int:
    """The number of entries in the directory; counting ends beyond `most`."""
    place = num = 0
    while place < len(data) and num <= most:
        if place + _ENTRY.size > len(data) or data[place : place + 4] != _ENTRY_MARK:
            _refuse_damaged(path, _("its directory is broken after {num:,} files").format(num=num))
        name, extra, comment = struct.unpack_from("<3H", data, place + 28)
        place += _ENTRY.size + name + extra + comment
        num += 1
    if place > len(data) and num <= most:
        _refuse_damaged(path, _("its directory is broken after {num:,} files").format(num=num - 1))
    return num


def _entries(data: bytes, num_before: int) -> Iterator[Entry]:
    """The entries; `num_before` bytes stand before the archive."""
    place = 0
    while place < len(data):
        fields = _ENTRY.unpack_from(data, place)
        flags, method, time, date, crc, packed, num_bytes, *lengths = fields[3:13]
        attributes, offset = fields[15:]
        name_end = place + _ENTRY.size + lengths[0]
        raw_name = data[place + _ENTRY.size : name_end]
        extra = dict(_extra_fields(data[name_end : name_end + lengths[1]]))
        sizes = _with_zip64([num_bytes, packed, offset], extra.get(_ZIP64_FIELD, b""))
        yield Entry(
            raw_name, _unicode_name(raw_name, flags, extra.get(_UNICODE_NAME_FIELD, b"")), flags, method, crc,
            sizes[1], sizes[0], sizes[2] + num_before, attributes >> 16, (date, time),
        )  # fmt: skip
        place = name_end + lengths[1] + lengths[2]


def _extra_fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of each extra field; a broken one ends them."""
    place = 0
    while place + 4 <= len(data):
        number, num_bytes = struct.unpack_from("<2H", data, place)
        place += 4 + num_bytes
        if place <= len(data):
            yield number, data[place - num_bytes : place]


def _with_zip64(sizes: list[int], field: bytes) -> list[int]:
    """The sizes, those that do not fit 32 bits from the zip64 field, which holds them in the same order."""
    numbers = iter(struct.unpack_from(f"<{len(field) // 8}Q", field))
    return [next(numbers, size) if size == _FULL_32 else size for size in sizes]


def _unicode_name(raw_name: bytes, flags: int, field: bytes) -> str | None:
    """The name as text where the archive says so: ASCII, by its flag, or in the field of Info-ZIP."""
    if raw_name.isascii():
        return raw_name.decode("ascii")
    try:
        if flags & _UTF8_FLAG:
            return raw_name.decode("utf-8")
        # The field is void where a program that does not know it has renamed the member.
        if len(field) > 5 and field[0] == 1 and struct.unpack_from("<L", field, 1)[0] == zlib.crc32(raw_name):
            return field[5:].decode("utf-8")
    except UnicodeError:
        pass
    return None


def _refuse_damaged(path: Path, found: str) -> NoReturn:
    raise DatasetError(
        _("archive {path!r} cannot be read: {found}. The file may be cut off. Download or pack it again.").format(
            path=str(path), found=found
        ),
        paths=[path],
    )


def _refuse_count(path: Path, num_entries: int, limits: ArchiveLimits) -> NoReturn:
    raise DatasetError(
        _(
            "archive {path!r} is too large: it has at least {found:,} files, and at most {most:,} are read. "
            "{what_to_do}"
        ).format(path=str(path), found=num_entries, most=limits.max_members, what_to_do=_(_SPLIT_IT)),
        paths=[path],
    )
