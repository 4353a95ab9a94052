"""Photos that would cost minutes or gigabytes are refused from their header; what is counted is work, never time."""

import io
import struct
import zlib

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image

from tellapart.errors import ImageError
from tellapart.images.gate import decode_image, read_info

RGB = np.full((16, 24, 3), 90, np.uint8)


@pytest.fixture
def undecoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test fails when a pixel is decoded."""
    monkeypatch.setattr("cv2.imdecode", lambda *arguments: pytest.fail("it was decoded"))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda photo: pytest.fail("it was decoded"))


def encode(kind: str, **options: object) -> bytes:
    target = io.BytesIO()
    Image.fromarray(RGB).save(target, kind, **options)
    return target.getvalue()


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, colour_type: int, bits: int, *before: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    parts = (chunk(b"IHDR", header), *before, chunk(b"IDAT", zlib.compress(bytes(99))), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def jpeg(height: int, width: int, progressive: bool = False) -> bytes:
    """A JPEG whose header states this size."""
    data = bytearray(encode("JPEG", progressive=progressive, subsampling=0))
    at = data.index(b"\xff\xc2" if progressive else b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def tiff(*tags: tuple[int, int, int, int], num_bytes: int = 4096) -> bytes:
    body = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return (b"II*\x00\x08\x00\x00\x00" + struct.pack("<H", len(tags)) + body + bytes(4)).ljust(num_bytes, b"\0")


SEGMENT = b"\xff\xe9\x00\x02"
GIF = encode("GIF")
GIF_TABLE = bytes(3 << (GIF[10] & 7) + 1)
COMMENT = b"\x21\xfe" + b"\x01x" * 30_000 + b"\x00"
PALETTE = (chunk(b"PLTE", bytes(768)), chunk(b"tRNS", bytes(256)))
SIZE_TAGS = ((256, 4, 1, 100), (257, 4, 1, 100))

HOSTILE = {
    "PNG of 16-bit RGBA": (
        png(10_000, 11_000, 6, 16),
        "is too large: 10000 x 11000 pixels of this kind take 2,310 MB",
    ),
    "PNG of RGBA": (png(10_000, 11_000, 6, 8), "take 1,870 MB to decode"),
    "PNG of a palette with opacities": (png(10_000, 11_000, 3, 8, *PALETTE), "take 1,870 MB to decode"),
    "PNG of a column": (png(1, 119_000_000, 2, 8), "is too long: 1 x 119000000 pixels, and at most 65,535 a side"),
    "PNG of a line": (png(119_000_000, 1, 0, 8), "is too long: 119000000 x 1 pixels"),
    "PNG of chunks": (png(9, 9, 2, 8, chunk(b"teSt", b"") * 100_001), "is a PNG of more than 100,000 chunks"),
    "JPEG of segments": (
        b"\xff\xd8" + SEGMENT * 300_000 + encode("JPEG")[2:],
        "is a JPEG of more than 2,000 segments",
    ),
    "JPEG whose coefficients are held": (jpeg(10_000, 11_000, progressive=True), "take 1,430 MB to decode"),
    "GIF of comments": (GIF[:13] + GIF_TABLE + COMMENT + b",", "is a GIF of more than 20,000 blocks"),
    "BMP in runs": (
        b"BM" + struct.pack("<IIIIiiHHII", 0, 0, 1078, 40, 9_000, 9_000, 1, 8, 1, 0) + bytes(9_000_000),
        "is a packed BMP of 9,000,038 bytes",
    ),
    "TIFF of tags": (tiff(*((40_000 + i, 4, 1, 1) for i in range(2000)), num_bytes=40_000), "of 2,000 tags"),
    "TIFF of strips": (tiff(*SIZE_TAGS, (273, 4, 100_000, 200), num_bytes=500_000), "in 100,000 pieces"),
    "TIFF of tags that share their bytes": (
        tiff(*SIZE_TAGS, *((40_000 + i, 1, 4000, 0) for i in range(99))),
        "refer to more bytes than there are",
    ),
    "TIFF of a tile larger than it": (
        tiff(*SIZE_TAGS, (322, 4, 1, 60_000), (323, 4, 1, 60_000), (324, 4, 1, 8)),
        "tiles are far larger than its 100 x 100 pixels",
    ),
    "TIFF in an unknown compression": (
        tiff(*SIZE_TAGS, (259, 3, 1, 50_002)),
        "not read .JPEG XL.. Save the photo again",
    ),
}


@pytest.mark.usefixtures("undecoded")
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_photo_that_costs_too_much_is_refused_from_its_header(kind: str) -> None:
    data, words = HOSTILE[kind]
    with pytest.raises(ImageError, match=words):
        decode_image(data)


@pytest.mark.usefixtures("undecoded")
def test_a_jpeg_of_thousands_of_scans_is_refused_before_it_is_decoded() -> None:
    data = encode("JPEG", progressive=True)
    at = data.rindex(b"\xff\xda")
    with pytest.raises(ImageError, match="more than 100 scans"):
        decode_image(data[:at] + data[at:-2] * 3000 + data[-2:])


def test_a_jpeg_of_a_few_dozen_scans_and_segments_is_read() -> None:
    data = encode("JPEG", progressive=True)
    at = data.rindex(b"\xff\xda")
    many = data[:2] + SEGMENT * 300 + data[2:at] + data[at:-2] * 50 + data[-2:]
    assert decode_image(many).shape == RGB.shape


def test_a_phone_s_two_hundred_megapixels_pass_at_a_reduced_size() -> None:
    size = (12_240, 16_320)
    data = cv2.imencode(".jpg", np.full(size, 120, np.uint8))[1].tobytes()
    assert (read_info(data).height, read_info(data).width) == size
    assert decode_image(data, at_least=(288, 288)).shape == (-(-size[0] // 8), -(-size[1] // 8), 3)


def test_two_hundred_megapixels_at_full_size_are_refused() -> None:
    with pytest.raises(ImageError, match="is too large: 16320 x 12240 pixels, and at most 120,000,000 are read"):
        decode_image(jpeg(12_240, 16_320))


def heic_of_tiles() -> bytes:
    pillow_heif.register_heif_opener()
    target = io.BytesIO()
    Image.fromarray(np.zeros((600, 900, 3), np.uint8)).save(target, "HEIF", tile_size=256)
    return target.getvalue()


def test_a_heic_of_tiles_is_read() -> None:
    assert decode_image(heic_of_tiles()).shape == (600, 900, 3)


def test_a_heic_is_judged_by_all_of_its_tiles() -> None:
    size = b"ispe\0\0\0\0" + struct.pack(">II", 256, 256)
    data = heic_of_tiles()
    assert size in data
    with pytest.raises(ImageError, match="is a HEIC whose tiles have [0-9,]+ pixels"):
        decode_image(data.replace(size, b"ispe\0\0\0\0" + struct.pack(">II", 256_000, 256)))


@pytest.mark.parametrize(("place", "words"), [(24, "of 1,572,864 tiles|of [0-9,]+ tiles"), (40, "of [0-9,]+ channels")])
def test_a_jpeg_2000_of_many_tiles_or_channels_is_refused(place: int, words: str) -> None:
    data = bytearray(encode("JPEG2000", no_jp2=True))
    data[8:16] = struct.pack(">II", 4_000, 4_000)
    data[place : place + 8] = {24: struct.pack(">II", 2, 2), 40: b"\xff\xff" + bytes(data[42:48])}[place]
    with pytest.raises(ImageError, match=words):
        decode_image(bytes(data))
