import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tellapart.config import ArchiveLimits
from tellapart.errors import DatasetError
from tellapart.zips.archive import open_archive
from tellapart.zips.directory import read_directory

Pack = Callable[..., Path]
END_MARK = b"PK\x05\x06"


class CountedFile(io.BytesIO):
    """A file that says how many bytes were read from it."""

    num_read = 0

    def read(self, num_bytes: int | None = -1, /) -> bytes:
        data = super().read(num_bytes)
        self.num_read += len(data)
        return data


def change_end(path: Path, offset: int, fields: bytes) -> Path:
    """The archive with other bytes at `offset` of its end record."""
    data = bytearray(path.read_bytes())
    start = data.rindex(END_MARK) + offset
    data[start : start + len(fields)] = fields
    path.write_bytes(data)
    return path


def write_many(path: Path, num_entries: int, stated: int | None = None) -> Path:
    """A zip whose directory has this many entries of one member, in zip64; its end states `stated` of them."""
    entry = struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, 0, 0, 0x21, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    size, start = num_entries * len(entry), 0
    stated = num_entries if stated is None else stated
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, stated, stated, size, start)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, size, 1)
    end = struct.pack("<4s4H2LH", END_MARK, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    path.write_bytes(entry * num_entries + end64 + locator + end)
    return path


def test_too_many_entries_are_refused_from_the_end_record_alone(tmp_path: Path) -> None:
    path = write_many(tmp_path / "a.zip", 30_000)
    file = CountedFile(path.read_bytes())

    with pytest.raises(DatasetError, match="at least 30,000 files, and at most 1,000 are read. Split it"):
        read_directory(path, file, ArchiveLimits(max_members=1000))
    assert file.num_read < 70_000


def test_entries_that_the_end_record_hides_are_counted_no_further_than_allowed(tmp_path: Path) -> None:
    path = write_many(tmp_path / "a.zip", 30_000, stated=3)

    with pytest.raises(DatasetError, match="at least 1,001 files, and at most 1,000 are read"):
        open_archive(path, ArchiveLimits(max_members=1000))


def test_a_directory_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    path = write_many(tmp_path / "a.zip", 30_000, stated=3)
    file = CountedFile(path.read_bytes())

    with pytest.raises(DatasetError, match=r"its list of files has 1,410,000 bytes, and at most 1,000,000 are read"):
        read_directory(path, file, ArchiveLimits(max_directory_bytes=1_000_000))
    assert file.num_read < 70_000


def test_members_of_zip64_are_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed, packed.open("1.jpg", "w", force_zip64=True) as member:
        member.write(b"photo")

    assert open_archive(tmp_path / "a.zip").read("1.jpg") == b"photo"


def test_more_members_than_an_old_end_record_can_count_are_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        for number in range(66_000):
            packed.writestr(f"{number}.jpg", b"")

    assert len(open_archive(tmp_path / "a.zip").names) == 66_000


def test_sizes_and_places_are_taken_from_the_zip64_field(tmp_path: Path) -> None:
    path = write_zip64_entry(tmp_path / "a.zip", b"photo")

    archive = open_archive(path)
    assert (archive.size("a"), archive.read("a")) == (5, b"photo")


def write_zip64_entry(path: Path, data: bytes) -> Path:
    crc, full = zlib.crc32(data), 0xFFFFFFFF
    local = struct.pack("<4s5H3L2H", b"PK\x03\x04", 45, 0, 0, 0, 0x21, crc, len(data), len(data), 1, 0) + b"a" + data
    extra = struct.pack("<2H3Q", 1, 24, len(data), len(data), 0)
    entry = struct.pack(
        "<4s6H3L5H2L", b"PK\x01\x02", 45, 45, 0, 0, 0, 0x21, crc, full, full, 1, len(extra), 0, 0, 0, 0, full
    )
    directory = entry + b"a" + extra
    end = struct.pack("<4s4H2LH", END_MARK, 0, 0, 1, 1, len(directory), len(local), 0)
    path.write_bytes(local + directory + end)
    return path


@pytest.mark.parametrize(
    "before", [b"#!/bin/sh\n", bytes(100_000), b"PK\x01\x02" * 50], ids=["script", "long", "marks"]
)
def test_bytes_before_the_archive_are_allowed(pack: Pack, before: bytes) -> None:
    path = pack("cat/1.jpg", data=b"photo")
    path.write_bytes(before + path.read_bytes())

    assert open_archive(path).read("cat/1.jpg") == b"photo"


def test_bytes_before_an_archive_in_zip64_are_allowed(tmp_path: Path) -> None:
    path = write_many(tmp_path / "a.zip", 3)
    path.write_bytes(bytes(1000) + path.read_bytes())

    assert len(read_directory(path, io.BytesIO(path.read_bytes()), ArchiveLimits())[0]) == 3


@pytest.mark.parametrize("comment", [b"", b"holiday", END_MARK + b"holiday", bytes(60_000)], ids=range(4))
def test_an_archive_may_have_a_comment(pack: Pack, comment: bytes) -> None:
    path = pack("cat/1.jpg")
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = comment

    assert open_archive(path).names == ("cat/1.jpg",)


@pytest.mark.parametrize(
    ("offset", "fields"), [(4, b"\1\0"), (6, b"\1\0"), (8, b"\0\0")], ids=["disk", "start", "here"]
)
def test_one_part_of_an_archive_in_several_files_is_refused(pack: Pack, offset: int, fields: bytes) -> None:
    with pytest.raises(
        DatasetError, match="one part of an archive in several files. Unpack it together with the other parts"
    ):
        open_archive(change_end(pack("cat/1.jpg"), offset, fields))


@pytest.mark.parametrize(
    ("head", "words"),
    [(b"Rar!\x1a\x07\x01\x00", "a RAR"), (b"7z\xbc\xaf\x27\x1c", "a 7-Zip"), (b"\x1f\x8b\x08", "a gzip")],
)
def test_another_kind_of_archive_is_named(tmp_path: Path, head: bytes, words: str) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(head + bytes(100))

    with pytest.raises(DatasetError, match=rf"a\.zip' is {words} archive, not a zip. Unpack it and give the folder"):
        open_archive(path)


@pytest.mark.parametrize(
    ("offset", "fields"),
    [(12, b"\xff\xff\0\0"), (16, b"\xff\xff\0\0"), (12, b"\5\0\0\0"), (8, b"\7\0\7\0")],
    ids=range(4),
)
def test_an_end_record_that_does_not_fit_is_refused_in_one_line(pack: Pack, offset: int, fields: bytes) -> None:
    with pytest.raises(DatasetError, match="cannot be read: .* Download or pack it again") as caught:
        open_archive(change_end(pack("cat/1.jpg"), offset, fields))
    assert "\n" not in str(caught.value)


def test_a_directory_that_is_broken_is_refused_with_how_far_it_goes(pack: Pack) -> None:
    path = pack("cat/1.jpg", "cat/2.jpg")
    data = path.read_bytes()
    second = data.rindex(b"PK\x01\x02")
    path.write_bytes(data[:second] + b"XX" + data[second + 2 :])

    with pytest.raises(DatasetError, match="its directory is broken after 1 files"):
        open_archive(path)
