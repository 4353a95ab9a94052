"""Files among photos that no photo is read from: what each is called and what to do, by content first, name second."""

import io
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from tellapart.errors import ImageError
from tellapart.formats.other_kinds import HEAD_BYTES, describe_other, is_raw_name, is_zip_of_files
from tellapart.formats.photo_formats import PHOTO_SUFFIXES, SUFFIXES, sniff_format
from tellapart.images.gate import decode_image


def zip_of(*names: str, stored_first: bytes = b"") -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        if stored_first:
            archive.writestr("mimetype", stored_first)
        for name in names:
            archive.writestr(name, b"<xml/>" * 20)
    return target.getvalue()


def tar() -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.jpg"))
    return target.getvalue()


def media(brand: bytes, *others: bytes) -> bytes:
    body = brand + bytes(4) + b"".join(others)
    return struct.pack(">I", 8 + len(body)) + b"ftyp" + body + bytes(40)


def tiff(*tags: tuple[int, int, int, int], order: str = "<") -> bytes:
    """A TIFF whose first directory holds these tags: number, type, count, value."""
    body = b"".join(
        struct.pack(order + "HHI", tag, kind, count) + struct.pack(order + {3: "Hxx", 4: "I", 1: "Bxxx"}[kind], value)
        for tag, kind, count, value in tags
    )
    mark = {"<": b"II", ">": b"MM"}[order]
    return mark + struct.pack(order + "HIH", 42, 8, len(tags)) + body + bytes(200)


CONTENTS = {
    "raw Canon CR2": (b"II*\x00\x10\x00\x00\x00CR\x02\x00" + bytes(40), "a camera raw file (Canon CR2)"),
    "raw Canon CR3": (media(b"crx ", b"crx ", b"isom"), "a camera raw file (Canon CR3)"),
    "raw Fujifilm": (b"FUJIFILMCCD-RAW 0201FF", "a camera raw file (Fujifilm RAF)"),
    "raw Olympus": (b"IIRO\x08\x00\x00\x00" + bytes(40), "a camera raw file (Olympus ORF)"),
    "raw Olympus old": (b"IIRS\x08\x00\x00\x00" + bytes(40), "a camera raw file (Olympus ORF)"),
    "raw Panasonic": (b"IIU\x00\x18\x00\x00\x00" + bytes(40), "a camera raw file (Panasonic RW2)"),
    "raw Sigma": (b"FOVb" + bytes(40), "a camera raw file (Sigma X3F)"),
    "raw Minolta": (b"\x00MRM" + bytes(40), "a camera raw file (Minolta MRW)"),
    "raw Canon old": (b"II\x1a\x00\x00\x00HEAPCCDR", "a camera raw file (Canon CRW)"),
    "jxl codestream": (b"\xff\x0a\xfa\x1f" + bytes(40), "a JPEG XL picture"),
    "jxl container": (b"\x00\x00\x00\x0cJXL \r\n\x87\n" + bytes(40), "a JPEG XL picture"),
    "dicom": (bytes(128) + b"DICM" + b"\x02\x00" * 9, "a DICOM image"),
    "pdf": (b"%PDF-1.7\n", "a PDF document"),
    "svg": (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
    "svg bare": (b"<svg/>", "an SVG drawing"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "a PostScript drawing"),
    "psd": (b"8BPS\x00\x01" + bytes(30), "a Photoshop document"),
    "exr": (b"v/1\x01\x02\x00\x00\x00", "an OpenEXR picture"),
    "hdr": (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n", "a Radiance HDR picture"),
    "ppm": (b"P6\n# made by hand\n4 4\n255\n" + bytes(48), "a picture in a Netpbm format"),
    "xlsx": (zip_of("[Content_Types].xml", "_rels/.rels", "xl/workbook.xml"), "an Excel workbook"),
    "docx": (zip_of("[Content_Types].xml", "_rels/.rels", "word/document.xml"), "a Word document"),
    "pptx": (zip_of("[Content_Types].xml", "ppt/presentation.xml"), "a PowerPoint presentation"),
    "ods": (
        zip_of("content.xml", stored_first=b"application/vnd.oasis.opendocument.spreadsheet"),
        "an OpenDocument spreadsheet",
    ),
    "odt": (zip_of("content.xml", stored_first=b"application/vnd.oasis.opendocument.text"), "an OpenDocument file"),
    "zip": (zip_of("cat/1.jpg"), "a zip archive"),
    "zip empty": (zip_of(), "a zip archive"),
    "rar": (b"Rar!\x1a\x07\x01\x00", "a rar archive"),
    "7z": (b"7z\xbc\xaf\x27\x1c\x00\x04", "a 7-Zip archive"),
    "tar": (tar(), "a tar archive"),
    "gzip": (b"\x1f\x8b\x08\x00" + bytes(20), "a gzip archive"),
    "mp4": (media(b"mp42", b"isom"), "a video"),
    "mov": (media(b"qt  "), "a video"),
    "mov old": (b"\x00\x00\x00\x08wide\x00\x00\x10\x00mdat", "a video"),
    "avi": (b"RIFF\x10\x00\x00\x00AVI LIST", "a video"),
    "mkv": (b"\x1a\x45\xdf\xa3" + bytes(20), "a video"),
    "ts": ((b"G" + bytes(187)) * 8, "a video"),
    "m2ts": ((bytes(4) + b"G" + bytes(187)) * 8, "a video"),
    "web page": (b"<!DOCTYPE html><p>404", "a web page"),
    "web page later": (b"\n  <HTML><body>", "a web page"),
    "text": ("path,label\nmüller.jpg,cat\n".encode(), "text"),
    "text BM": (b"BM is how this text begins, no bitmap", "text"),
    "text P1": (b"P1 is the first patient, P2 the second", "text"),
    "text ID3": (b"ID3,ID4\n1,2\n", "text"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
    "apple double": (b"\x00\x05\x16\x07" + bytes(30), "macOS metadata of another file"),
    "lnk": (b"L\x00\x00\x00\x01\x14\x02\x00" + bytes(30), "a Windows shortcut"),
    "zeros": (bytes(5000), "a run of zeros"),
    "unknown": (b"\x91\x92\x07" * 50, "a file of no known kind"),
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_a_file_is_told_by_its_content_whatever_its_name(kind: str) -> None:
    data, words = CONTENTS[kind]
    assert sniff_format(data[:64]) is None
    assert describe_other(data[:HEAD_BYTES]).words == words
    assert words in describe_other(data[:HEAD_BYTES], "holiday.jpg").words


@pytest.mark.parametrize("kind", CONTENTS)
def test_bytes_of_the_kind_are_refused_with_these_words(kind: str) -> None:
    data, words = CONTENTS[kind]
    with pytest.raises(ImageError) as caught:
        decode_image(data)
    assert str(caught.value).startswith(f"is {words}, ")


@pytest.mark.parametrize(
    "kind", sorted(set(CONTENTS) - {"text", "text BM", "text P1", "text ID3", "unknown", "apple double"})
)
def test_every_known_kind_comes_with_what_to_do(kind: str) -> None:
    assert describe_other(CONTENTS[kind][0][:HEAD_BYTES]).advice


NAMES = {
    "x.CR2": "by its name a camera raw file (Canon)",
    "x.cr3": "by its name a camera raw file (Canon)",
    "x.NEF": "by its name a camera raw file (Nikon)",
    "x.arw": "by its name a camera raw file (Sony)",
    "x.dng": "by its name a camera raw file (Adobe DNG)",
    "x.raf": "by its name a camera raw file (Fujifilm RAF)",
    "x.orf": "by its name a camera raw file (Olympus ORF)",
    "x.rw2": "by its name a camera raw file (Panasonic)",
    "x.jxl": "by its name a JPEG XL picture",
    "x.dcm": "by its name a DICOM image",
    "x.psd": "by its name a Photoshop document",
    "x.exr": "by its name an OpenEXR picture",
    "x.tga": "by its name a TGA picture",
    "x.xls": "by its name an Excel workbook",
    "x.mp4": "by its name a video",
    "x.jpg.crdownload": "by its name an unfinished download",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("data", [bytes(300), b"\x91\x92\x07" * 50], ids=["zeros", "unknown"])
def test_where_the_content_says_nothing_the_name_does(name: str, data: bytes) -> None:
    assert describe_other(data, f"folder/{name}").words == NAMES[name]


def test_old_office_documents_are_told_apart_by_their_names() -> None:
    ole = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500)
    assert [describe_other(ole, name).words for name in ("a.xls", "a.doc", "a")] == [
        "an Excel workbook",
        "a Word document",
        "a document of an Office program",
    ]


def test_a_lock_file_of_an_open_document_is_named() -> None:
    assert describe_other(b"\x05Maria" + bytes(100), "photos/~$labels.xlsx").words == "a lock file of an Office program"


@pytest.mark.parametrize(("kind", "is_zip"), [("zip", True), ("xlsx", False), ("odt", False), ("rar", False)])
def test_only_a_zip_that_somebody_packed_is_a_source(kind: str, is_zip: bool) -> None:
    assert is_zip_of_files(CONTENTS[kind][0][:HEAD_BYTES]) is is_zip


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "tag",
    [(254, 4, 1, 1), (50706, 1, 4, 1), (262, 3, 1, 32803), (262, 3, 1, 34892)],
    ids="thumb dng cfa linear".split(),
)
def test_a_raw_file_that_begins_as_a_tiff_is_refused_as_one(tag: tuple[int, int, int, int], order: str) -> None:
    with pytest.raises(ImageError, match="^is a camera raw file, in a format that is not read. Export the photo"):
        decode_image(tiff(tag, order=order))


def test_a_raw_file_whose_sensor_is_in_a_directory_below_is_refused_as_one() -> None:
    below = struct.pack("<HHHII", 1, 262, 3, 1, 32803)
    data = bytearray(tiff((256, 3, 1, 8), (330, 4, 1, 100)))
    data[100 : 100 + len(below)] = below
    with pytest.raises(ImageError, match="^is a camera raw file"):
        decode_image(bytes(data))


def test_a_tiff_called_like_a_raw_file_is_still_read() -> None:
    target = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), 9, np.uint8)).save(target, "TIFF")
    assert is_raw_name("x.NEF")
    assert decode_image(target.getvalue()).shape == (4, 4, 3)


def test_suffixes_are_lower_case_with_their_dot() -> None:
    assert {".jpg", ".jpeg", ".png", ".webp", ".heic", ".avif", ".tif", ".tiff", ".gif", ".bmp"} <= PHOTO_SUFFIXES
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in PHOTO_SUFFIXES)
    assert {".jp2", ".j2k"} <= SUFFIXES["JPEG 2000"]
