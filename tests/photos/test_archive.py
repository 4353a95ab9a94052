import datetime
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tellapart.config import ArchiveLimits
from tellapart.errors import DatasetError, ImageError
from tellapart.photos.archive import open_archive

Pack = Callable[..., Path]


def pack_member(path: Path, name: str = "cat/1.jpg", data: bytes = b"photo", **fields: int) -> Path:
    """A zip of one member whose entry has these fields."""
    info = zipfile.ZipInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, data)
    return path


def patch(path: Path, old: bytes, new: bytes) -> Path:
    """The same zip with every `old` replaced by `new`, which is as long."""
    assert len(old) == len(new)
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))
    return path


def test_members_are_files_with_their_path(pack: Pack) -> None:
    assert open_archive(pack("a/", "a/1.jpg", "./b/2.jpg")).names == ("a/1.jpg", "b/2.jpg")


def test_members_are_read_whole_or_from_the_front(tmp_path: Path) -> None:
    archive = open_archive(pack_member(tmp_path / "a.zip", data=b"0123456789"))

    assert (archive.read("cat/1.jpg"), archive.head("cat/1.jpg", 4), archive.size("cat/1.jpg")) == (
        b"0123456789",
        b"0123",
        10,
    )


def test_threads_read_the_right_bytes_at_the_same_time(tmp_path: Path) -> None:
    expected = {f"{number}.jpg": bytes([number]) * 40_000 for number in range(40)}
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in expected.items():
            packed.writestr(name, data)
    archive = open_archive(tmp_path / "a.zip")

    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(archive.read, list(expected) * 5))

    assert read == list(expected.values()) * 5


def test_an_archive_that_is_let_go_closes_its_file(pack: Pack) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        open_archive(pack("a.jpg"))


def test_zip64_members_are_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed, packed.open("1.jpg", "w", force_zip64=True) as member:
        member.write(b"photo")

    assert open_archive(tmp_path / "a.zip").read("1.jpg") == b"photo"


def test_names_that_macos_writes_as_utf8_without_saying_so_are_repaired(tmp_path: Path) -> None:
    path = patch(pack_member(tmp_path / "a.zip", name="12345.jpg"), b"12345.jpg", "é345.jpg".encode())

    assert open_archive(path).names == ("é345.jpg",)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../cat.jpg", r"leads out of the archive"),
        ("cat/../../1.jpg", r"leads out of the archive"),
        ("/etc/1.jpg", r"absolute path"),
        ("C:/cat/1.jpg", r"absolute path"),
        ("cat\\1.jpg", r"backslash"),
        ("x" * 300 + ".jpg", r"more than 255 characters"),
    ],
)
def test_a_member_outside_the_archive_is_refused(pack: Pack, name: str, words: str) -> None:
    with pytest.raises(DatasetError, match=rf"mine\.zip' is refused: member '.*{words}.*pass the folder instead"):
        open_archive(pack("cat/1.jpg", name))


def test_a_name_with_a_zero_byte_is_refused(tmp_path: Path) -> None:
    path = patch(pack_member(tmp_path / "a.zip", name="cat_1.jpg"), b"cat_1.jpg", b"cat\x001.jpg")

    with pytest.raises(DatasetError, match="zero byte"):
        open_archive(path)


@pytest.mark.parametrize(
    ("mode", "words"),
    [(stat.S_IFLNK, "is a link"), (stat.S_IFIFO, "is neither a file nor a folder")],
    ids=["link", "pipe"],
)
def test_links_and_special_files_are_refused(tmp_path: Path, mode: int, words: str) -> None:
    path = pack_member(tmp_path / "a.zip", data=b"/etc/passwd", external_attr=(mode | 0o777) << 16)

    with pytest.raises(DatasetError, match=f"member 'cat/1.jpg' {words}"):
        open_archive(path)


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = pack_member(tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)

    with pytest.raises(DatasetError, match="'cat/1.jpg' is encrypted with a password"):
        open_archive(path)


@pytest.mark.parametrize(("method", "name"), [(zipfile.ZIP_BZIP2, "bzip2"), (zipfile.ZIP_LZMA, "LZMA")])
def test_compression_other_than_deflate_is_refused(tmp_path: Path, method: int, name: str) -> None:
    with pytest.raises(DatasetError, match=f"packed with {name}, not deflated or stored"):
        open_archive(pack_member(tmp_path / "a.zip", compress_type=method))


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = patch(pack_twice(tmp_path / "a.zip"), b"cat/2.jpg", b"cat/1.jpg")

    with pytest.raises(DatasetError, match="'cat/1.jpg' is there twice"):
        open_archive(path)


def pack_twice(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cat/1.jpg", b"photo")
        archive.writestr("cat/2.jpg", b"photo")
    return path


def test_members_that_share_bytes_are_refused(tmp_path: Path) -> None:
    path = pack_twice(tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    second = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)
    data[second + 42 : second + 46] = struct.pack("<I", 0)
    path.write_bytes(data)

    with pytest.raises(DatasetError, match="overlaps another part of the archive"):
        open_archive(path)


def test_a_member_that_reaches_into_the_directory_is_refused(tmp_path: Path) -> None:
    path = pack_member(tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 20 : entry + 28] = struct.pack("<II", 500, 500)
    path.write_bytes(data)

    with pytest.raises(DatasetError, match="overlaps"):
        open_archive(path)


def test_a_bomb_that_states_its_size_is_refused_when_opened(tmp_path: Path) -> None:
    path = pack_member(tmp_path / "a.zip", data=bytes(5_000_000), compress_type=zipfile.ZIP_DEFLATED)

    with pytest.raises(DatasetError, match="unpacks [0-9,]+ bytes to at least 5,000,000, more than 200 times"):
        open_archive(path)


def test_a_member_never_gives_more_bytes_than_it_states(tmp_path: Path) -> None:
    path = pack_member(tmp_path / "a.zip", data=bytes(5_000_000), compress_type=zipfile.ZIP_DEFLATED)
    archive = open_archive(patch(path, struct.pack("<I", 5_000_000), struct.pack("<I", 1000)))

    assert archive.size("cat/1.jpg") == 1000
    with pytest.raises(ImageError, match="damaged"):
        archive.read("cat/1.jpg")


def test_bytes_are_counted_while_a_member_is_read(tmp_path: Path) -> None:
    path = pack_member(tmp_path / "a.zip", data=bytes(5_000_000), compress_type=zipfile.ZIP_DEFLATED)
    archive = open_archive(path, ArchiveLimits(max_ratio=10_000))
    archive._limits = ArchiveLimits(max_ratio=100)

    with pytest.raises(DatasetError, match="more than 100 times"):
        archive.read("cat/1.jpg")


def test_too_many_members_are_refused(pack: Pack) -> None:
    with pytest.raises(DatasetError, match="it has 3 members, more than 2. Split it"):
        open_archive(pack("1.jpg", "2.jpg", "3.jpg"), ArchiveLimits(max_members=2))


def test_too_many_bytes_in_all_are_refused(pack: Pack) -> None:
    with pytest.raises(DatasetError, match="unpack to 128 bytes, more than 100"):
        open_archive(pack("1.jpg", "2.jpg"), ArchiveLimits(max_total_bytes=100))


@pytest.mark.parametrize("num_bytes", [0, 4, 60, 200], ids=str)
def test_a_zip_that_is_cut_off_is_refused(pack: Pack, num_bytes: int) -> None:
    path = pack("1.jpg", "2.jpg")
    path.write_bytes(path.read_bytes()[:num_bytes])

    with pytest.raises(DatasetError, match="not a zip that can be read .* Download or pack it again"):
        open_archive(path)


def test_a_zip_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="cannot be opened: No such file"):
        open_archive(tmp_path / "no.zip")


def test_a_damaged_member_is_a_reason_for_this_photo_only(tmp_path: Path) -> None:
    archive = open_archive(patch(pack_member(tmp_path / "a.zip", data=b"photograph"), b"photograph", b"photogrXph"))

    with pytest.raises(ImageError, match="damaged.*Pack or download the archive again"):
        archive.read("cat/1.jpg")


def test_a_damaged_deflate_stream_is_a_reason_for_this_photo_only(tmp_path: Path) -> None:
    path = pack_member(tmp_path / "a.zip", data=b"photograph" * 9, compress_type=zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    start = 30 + len("cat/1.jpg")
    data[start : start + 6] = b"\xff" * 6
    path.write_bytes(data)

    with pytest.raises(ImageError, match="damaged"):
        open_archive(path).read("cat/1.jpg")


def test_an_archive_that_shrinks_while_open_is_a_reason_for_its_photos(tmp_path: Path) -> None:
    path = pack_member(tmp_path / "a.zip", data=bytes(range(256)) * 400)
    archive = open_archive(path)
    path.write_bytes(b"")

    with pytest.raises(ImageError, match="archive"):
        archive.read("cat/1.jpg")


def test_a_closed_archive_gives_a_reason(pack: Pack) -> None:
    archive = open_archive(pack("1.jpg"))
    archive.close()

    with pytest.raises(ImageError, match="cannot be read from the archive any more"):
        archive.read("1.jpg")


def test_a_member_has_the_time_that_the_archive_states(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo("a.jpg", date_time=(2011, 7, 31, 12, 30, 20)), b"photo")
    expected = int(datetime.datetime(2011, 7, 31, 12, 30, 20).timestamp()) * 10**9
    assert open_archive(tmp_path / "a.zip").modified_ns("a.jpg") == expected


def test_a_member_without_a_possible_time_has_none(tmp_path: Path) -> None:
    member = zipfile.ZipInfo("a.jpg")
    member.date_time = (1980, 0, 0, 0, 0, 0)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(member, b"photo")
    assert open_archive(tmp_path / "a.zip").modified_ns("a.jpg") is None
