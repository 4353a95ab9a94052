"""What a file is, told by its content alone: names and extensions are never looked at, and nothing is decoded here.

`gate.py` decides with this which decoder a file meets, and names what was found where it meets none.
"""

# Suffixes of photos by format, lower case, with the dot. A photo under another name is found by its content.
SUFFIXES = {
    "AVIF": frozenset({".avif"}),
    "BMP": frozenset({".bmp", ".dib"}),
    "GIF": frozenset({".gif"}),
    "HEIC": frozenset({".heic", ".heics", ".heif", ".hif"}),
    "JPEG": frozenset({".jfif", ".jpe", ".jpeg", ".jpg", ".mpo"}),
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
_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
)
# Beginnings of files that turn up among photos, with what to call them.
_OTHERS = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript drawing"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript drawing"),
    (b"8BPS", "a Photoshop document"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "a JPEG 2000 picture"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "a JPEG XL picture"),
    (b"FUJIFILMCCD-RAW", "a camera raw file"),
    (b"IIRO", "a camera raw file"),
    (b"IIRS", "a camera raw file"),
    (b"IIU\x00", "a camera raw file"),
    (b"\x00\x00\x01\x00", "an icon"),
    (b"\x00\x05\x16\x07", "macOS metadata of another file"),
    (b"PK\x03\x04", "a zip archive"),
    (b"Rar!", "a rar archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"SQLite format 3", "a database"),
    (b"\x1a\x45\xdf\xa3", "a video"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x89HDF", "an HDF5 file"),
    (b"version https://git-lfs", "a Git LFS pointer (run 'git lfs pull')"),
)
_MARKUP = (
    (b"<svg", "an SVG drawing"),
    (b"<html", "a web page"),
    (b"<!doctype html", "a web page"),
    (b"<?xml", "XML text"),
)


def _brands(head: bytes) -> list[bytes]:
    """The major and the compatible brands in `head`, the beginning of an ISO media file; empty for others."""
    if head[4:8] != b"ftyp":
        return []
    end = min(int.from_bytes(head[:4], "big"), len(head))
    return [head[8:12], *(head[start : start + 4] for start in range(16, end - 3, 4))]


def sniff_format(head: bytes) -> str | None:
    """The format that the first bytes of a file show, or `None` if they are not those of a photo.

    It is one of JPEG, PNG, GIF, WEBP, HEIC, AVIF, TIFF and BMP.

    Args:
        head: the first 64 bytes, or the whole file.
    """
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return None if name == "TIFF" and head[8:10] == b"CR" else name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_SIZES:
        return "BMP"
    brands = _brands(head[:256])
    if not _AVIF_BRANDS.isdisjoint(brands):
        return "AVIF"
    return None if _HEIC_BRANDS.isdisjoint(brands) else "HEIC"


def describe_other(data: bytes) -> str:
    """What a file that is not a photo seems to be, with its article, as in "a PDF document"."""
    head = data[:1024]
    if not head.strip(b"\x00"):
        return "a run of zeros"
    for magic, words in _OTHERS:
        if head.startswith(magic):
            return words
    if head[:2] in (b"II", b"MM") and head[8:10] == b"CR":
        return "a camera raw file"
    brands = _brands(head)
    if brands:
        return "a camera raw file" if brands[0] == b"crx " else "a video"
    if head[:4] == b"RIFF":
        return {b"AVI ": "a video", b"WAVE": "a sound"}.get(head[8:12], "a file of no known kind")
    return _describe_text(head)


def _describe_text(head: bytes) -> str:
    """What kind of text `head` is the beginning of, or that it is none."""
    lowered = head.lower()
    for mark, words in _MARKUP:
        if mark in lowered and b"\x00" not in head:
            return words
    # A character may be cut at the end of `head`, so what cannot be read there is let go.
    text = head.decode("utf-8", errors="ignore")
    is_text = len(text.encode()) >= len(head) - 3 and all(char.isprintable() or char.isspace() for char in text)
    return "text" if text and is_text else "a file of no known kind"
