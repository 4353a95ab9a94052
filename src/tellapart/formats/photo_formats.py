"""The formats that photos are read in, and how one is told by the first bytes of a file. The only list of them."""

# Suffixes of photos by format, lower case, with the dot. A photo under another name is found by its content.
SUFFIXES = {
    "AVIF": frozenset({".avif"}),
    "BMP": frozenset({".bmp", ".dib"}),
    "GIF": frozenset({".gif"}),
    "HEIC": frozenset({".heic", ".heics", ".heif", ".hif"}),
    "JPEG": frozenset({".jfif", ".jpe", ".jpeg", ".jpg", ".mpo"}),
    "JPEG 2000": frozenset({".j2c", ".j2k", ".jp2", ".jpc", ".jpf", ".jpx"}),
    "PNG": frozenset({".apng", ".png"}),
    "TIFF": frozenset({".tif", ".tiff"}),
    "WEBP": frozenset({".webp"}),
}
PHOTO_SUFFIXES = frozenset().union(*SUFFIXES.values())

_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"mif2"}
)
_BMP_HEADER_SIZES = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_PHOTO_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
)
# Camera raw files that begin like a TIFF, by what stands behind its header.
_RAW_MARKS = (b"CR", b"IIII", b"MMMM")


def media_brands(head: bytes) -> list[bytes]:
    """The major and the compatible brands in `head`, the beginning of an ISO media file; empty for others."""
    if head[4:8] != b"ftyp":
        return []
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return [head[8:12], *(head[start : start + 4] for start in range(16, end - 3, 4))]


def sniff_format(head: bytes) -> str | None:
    """The format that the first bytes of a file show, or `None` if they are not those of a photo.

    It is one of the keys of `SUFFIXES`.

    Args:
        head: the first 64 bytes, or the whole file.
    """
    for magic, name in _PHOTO_MAGIC:
        if head.startswith(magic):
            return None if name == "TIFF" and head.startswith(_RAW_MARKS, 8) else name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    brands = media_brands(head[:256])
    if not _AVIF_BRANDS.isdisjoint(brands):
        return "AVIF"
    return None if _HEIC_BRANDS.isdisjoint(brands) else "HEIC"
