import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tellapart.errors import DatasetError
from tellapart.zips.archive import open_archive

PackRaw = Callable[..., Path]
UTF8 = 0x800


@pytest.mark.parametrize(
    "names",
    [
        ("pets\\cat\\1.jpg", "pets\\dog\\1.jpg"),
        ("pets\\cat/1.jpg", "pets/dog\\1.jpg"),
        ("pets/cat/1.jpg", "pets\\dog\\1.jpg"),
    ],
    ids=["all", "mixed", "some"],
)
def test_backslashes_are_folders(pack: Callable[..., Path], names: tuple[str, ...]) -> None:
    archive = open_archive(pack("pets\\", "pets\\cat\\", *names))

    assert (archive.names, archive.left_out) == (("pets/cat/1.jpg", "pets/dog/1.jpg"), ())


def test_names_without_a_flag_are_utf8_where_they_can_be(pack_raw: PackRaw) -> None:
    assert open_archive(pack_raw("Katze/Süß.jpg".encode())).names == ("Katze/Süß.jpg",)


def test_names_with_the_flag_are_utf8_whatever_the_others_are(pack_raw: PackRaw) -> None:
    told = ("Hühner/1.jpg".encode(), UTF8)
    untold = [(name.encode("cp1252"), 0) for name in ("Gänse/1.jpg", "Bären/1.jpg", "Kühe/1.jpg")]

    assert open_archive(pack_raw(told, *untold)).names == ("Hühner/1.jpg", "Gänse/1.jpg", "Bären/1.jpg", "Kühe/1.jpg")


def unicode_field(raw_name: bytes, name: str) -> bytes:
    content = struct.pack("<BL", 1, zlib.crc32(raw_name)) + name.encode()
    return struct.pack("<2H", 0x7075, len(content)) + content


def test_the_field_of_info_zip_says_the_name(pack_raw: PackRaw) -> None:
    raw_name = "猫/1.jpg".encode("gbk")

    assert open_archive(pack_raw(raw_name, extra=unicode_field(raw_name, "猫/1.jpg"))).names == ("猫/1.jpg",)


def test_the_field_of_info_zip_is_void_after_a_renaming(pack_raw: PackRaw) -> None:
    field = unicode_field(b"old name", "猫/1.jpg")

    assert open_archive(pack_raw("Süß/1.jpg".encode(), extra=field)).names == ("Süß/1.jpg",)


def test_a_broken_extra_field_is_passed_by(pack_raw: PackRaw) -> None:
    assert open_archive(pack_raw(b"cat/1.jpg", extra=b"\x75\x70\xff\xffabc")).names == ("cat/1.jpg",)


def test_a_flag_that_is_untrue_does_not_count(pack_raw: PackRaw) -> None:
    names = ("Hühner.jpg", "Gänse.jpg", "Bären.jpg")

    assert open_archive(pack_raw(*(name.encode("cp1252") for name in names), flags=UTF8)).left_out == ()


def test_names_that_cannot_be_told_are_one_line_with_what_to_do(pack_raw: PackRaw) -> None:
    with pytest.raises(
        DatasetError, match="does not say how its file names are encoded.* Pack it again with names in UTF-8"
    ):
        open_archive(pack_raw(b"\xff\x81\xfe\x90\x8d\xa0\xff\x9d/1.jpg", b"\x90\x8d\xff\x80\xff\xff/1.jpg"))


def test_python_reads_the_names_as_we_do(tmp_path: Path) -> None:
    names = ["猫/1.jpg", "Hühner/Süß.jpg", "кошка/1.jpg", "cat/1.jpg"]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        for name in names:
            packed.writestr(name, name)

    assert open_archive(tmp_path / "a.zip").names == tuple(names)
