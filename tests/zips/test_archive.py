import datetime
import re
import stat
import struct
import unicodedata
import warnings
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tellapart.config import ArchiveLimits
from tellapart.errors import DatasetError, ImageError
from tellapart.photos.files import ArchiveMember
from tellapart.zips.archive import open_archive

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


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("../cat.jpg", "leads out of the archive with '..'"),
        ("cat/../../1.jpg", "leads out of the archive with '..'"),
        ("..\\cat.jpg", "leads out of the archive with '..'"),
        ("/etc/1.jpg", "has an absolute path"),
        ("\\\\server\\cat\\1.jpg", "has an absolute path"),
        ("C:/cat/1.jpg", "has an absolute path"),
        ("c:\\cat\\1.jpg", "has an absolute path"),
        ("x" * 300 + ".jpg", "has a name of more than 255 characters"),
        ("x/" * 3000 + "1.jpg", "has a name of more than 255 characters"),
        ("./.", "has no name"),
    ],
)
def test_a_member_with_an_odd_name_is_left_out_alone(pack: Pack, name: str, words: str) -> None:
    archive = open_archive(pack("cat/1.jpg", name))

    assert archive.names == ("cat/1.jpg",)
    ((_, reason),) = archive.left_out
    assert reason.startswith(words)


def test_a_name_with_a_zero_byte_is_left_out(tmp_path: Path) -> None:
    path = patch(pack_member(tmp_path / "a.zip", name="cat_1.jpg"), b"cat_1.jpg", b"cat\x001.jpg")

    assert open_archive(path).left_out == ((("cat\x001.jpg",), "has a zero byte in its name"),)


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (stat.S_IFLNK, "is a link, not a file. Pack the file itself"),
        (stat.S_IFIFO, "is neither a file nor a folder"),
        (stat.S_IFCHR, "is neither a file nor a folder"),
    ],
    ids=["link", "pipe", "device"],
)
def test_links_and_special_files_are_left_out(tmp_path: Path, mode: int, reason: str) -> None:
    path = pack_member(tmp_path / "a.zip", data=b"/etc/passwd", external_attr=(mode | 0o777) << 16)

    assert open_archive(path).left_out == ((("cat", "1.jpg"), reason),)


def test_a_folder_without_a_slash_is_no_file(tmp_path: Path) -> None:
    archive = open_archive(pack_member(tmp_path / "a.zip", "cat", b"", external_attr=(stat.S_IFDIR | 0o777) << 16))

    assert (archive.names, archive.left_out) == ((), ())


def test_an_encrypted_member_is_left_out_and_the_others_are_read(pack: Pack) -> None:
    path = pack("cat/1.jpg", "cat/2.jpg")
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    archive = open_archive(path)

    assert archive.names == ("cat/2.jpg",)
    assert archive.left_out == ((("cat", "1.jpg"), "is encrypted with a password. Pack it again without one"),)


@pytest.mark.parametrize(
    ("method", "name"),
    [(9, "Deflate64"), (12, "bzip2"), (14, "LZMA"), (93, "Zstandard"), (95, "XZ"), (98, "PPMd"), (55, "method 55")],
)
def test_a_member_that_is_packed_otherwise_is_left_out(tmp_path: Path, method: int, name: str) -> None:
    path = pack_member(tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    start = data.index(b"PK\x01\x02") + 10
    data[start : start + 2] = struct.pack("<H", method)
    path.write_bytes(data)

    ((_, reason),) = open_archive(path).left_out
    assert reason == f"is packed with {name}. Pack it again with Deflate, the usual method"


def test_a_member_that_is_there_twice_with_the_same_bytes_is_one_photo(tmp_path: Path) -> None:
    archive = open_archive(patch(pack_two(tmp_path / "a.zip"), b"cat/2.jpg", b"cat/1.jpg"))

    assert (archive.names, archive.left_out) == (("cat/1.jpg",), ())


def test_of_two_members_of_one_name_the_last_counts_as_it_does_when_unpacked(tmp_path: Path) -> None:
    archive = open_archive(patch(pack_two(tmp_path / "a.zip", b"other"), b"cat/2.jpg", b"cat/1.jpg"))

    ((parts, reason),) = archive.left_out
    assert archive.read("cat/1.jpg") == b"other"
    assert parts == ("cat", "1.jpg")
    assert reason == "has the name of a later file in the archive, which is used instead"


@pytest.mark.parametrize(("second", "num"), [(b"photo", 1), (b"other", 2)], ids=["same bytes", "other bytes"])
def test_names_that_differ_in_their_unicode_form_alone(tmp_path: Path, second: bytes, num: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr(unicodedata.normalize("NFC", "é.jpg"), b"photo")
        packed.writestr(unicodedata.normalize("NFD", "é.jpg"), second)

    assert len(open_archive(tmp_path / "a.zip").names) == num


def test_names_that_differ_in_case_are_two_photos(pack: Pack) -> None:
    assert open_archive(pack("Cat/1.jpg", "cat/1.jpg")).names == ("Cat/1.jpg", "cat/1.jpg")


def pack_two(path: Path, second: bytes = b"photo") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("cat/1.jpg", b"photo")
        archive.writestr("cat/2.jpg", second)
    return path


def test_a_member_that_shares_bytes_with_another_is_left_out(tmp_path: Path) -> None:
    path = pack_two(tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    second = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)
    data[second + 42 : second + 46] = struct.pack("<I", 0)
    path.write_bytes(data)
    archive = open_archive(path)

    assert archive.names == ("cat/1.jpg",)
    assert archive.left_out == ((("cat", "2.jpg"), "shares bytes with another part of the archive"),)


def test_a_member_that_reaches_into_the_directory_is_left_out(tmp_path: Path) -> None:
    path = pack_member(tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 20 : entry + 28] = struct.pack("<II", 500, 500)
    path.write_bytes(data)

    assert open_archive(path).left_out == ((("cat", "1.jpg"), "shares bytes with another part of the archive"),)


def test_a_bomb_that_states_its_size_is_left_out_when_opened(tmp_path: Path) -> None:
    path = pack_member(tmp_path / "a.zip", data=bytes(5_000_000), compress_type=zipfile.ZIP_DEFLATED)

    ((_, reason),) = open_archive(path).left_out
    assert re.match(r"unpacks from [0-9,]+ to 5,000,000 bytes, more than 200 times as many", reason)


def test_small_members_that_grow_too_much_have_a_budget_together(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for number in range(10):
            packed.writestr(f"{number}.jpg", bytes(1_000_000))
    archive = open_archive(tmp_path / "a.zip", ArchiveLimits(max_suspicious_bytes=3_500_000))

    assert archive.names == ("0.jpg", "1.jpg", "2.jpg")
    assert len(archive.left_out) == 7


def test_members_of_zeros_are_known_by_their_first_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for number in range(50):
            packed.writestr(f"{number}.jpg", bytes(1_000_000))
    archive = open_archive(tmp_path / "a.zip")
    num_bytes: list[int] = []
    unpack = archive._unpack
    monkeypatch.setattr(archive, "_unpack", lambda name, most: [unpack(name, most), num_bytes.append(most)][0])
    reasons = {reason_of(ArchiveMember(archive, name)) for name in archive.names}

    assert reasons == {"is a run of zeros, not a photo. Its content is lost. Copy the file again from the original"}
    assert sum(num_bytes) <= 50 * 4096


def reason_of(member: ArchiveMember) -> str:
    with pytest.raises(ImageError) as caught:
        member.read(10**9)
    return str(caught.value)


def test_a_head_reads_no_more_of_the_file_than_it_needs(tmp_path: Path) -> None:
    archive = open_archive(pack_member(tmp_path / "a.zip", data=bytes(5_000_000)))
    sizes: list[int] = []
    read_at = archive._read_at

    def count(place: int, num_bytes: int) -> bytes:
        sizes.append(num_bytes)
        return read_at(place, num_bytes)

    archive._read_at = count  # type: ignore[method-assign]

    assert len(archive.head("cat/1.jpg", 64)) == 64
    assert sum(sizes) < 1000


def test_a_member_never_gives_more_bytes_than_it_states(tmp_path: Path) -> None:
    path = pack_member(tmp_path / "a.zip", data=bytes(5_000_000), compress_type=zipfile.ZIP_DEFLATED)
    archive = open_archive(patch(path, struct.pack("<I", 5_000_000), struct.pack("<I", 1000)))

    assert archive.size("cat/1.jpg") == 1000
    with pytest.raises(ImageError, match="damaged"):
        archive.read("cat/1.jpg")


def test_too_many_bytes_in_all_are_refused(pack: Pack) -> None:
    with pytest.raises(DatasetError, match="unpacked it has 128 bytes, and at most 100 are read"):
        open_archive(pack("1.jpg", "2.jpg"), ArchiveLimits(max_total_bytes=100))


@pytest.mark.parametrize("num_bytes", [0, 4, 60, 200], ids=str)
def test_a_zip_that_is_cut_off_is_refused(pack: Pack, num_bytes: int) -> None:
    path = pack("1.jpg", "2.jpg")
    path.write_bytes(path.read_bytes()[:num_bytes])

    with pytest.raises(DatasetError, match="cannot be read: .* Download or pack it again"):
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

    with pytest.raises(ImageError, match="can no longer be read from the archive"):
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
