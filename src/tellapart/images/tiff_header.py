"""The first directory of a TIFF, read without decoding: what it is a picture of, whether all of it is there, its work.

TIFF 6.0, section 2; BigTIFF: https://www.awaresystems.be/imaging/tiff/bigtiff.html. libtiff and Pillow believe what a
directory says and write about what they find to stderr, so what cannot be right is refused here.
"""

from tellapart.errors import ImageError
from tellapart.images.other_files import describe_raw
from tellapart.images.tiff_directory import ADVICE, MAX_PIECES, Tiff, TiffEntry

_PHOTOMETRIC = 262
_SUBFILE_TYPE, _COMPRESSION, _SUB_DIRECTORIES, _DNG_VERSION = 254, 259, 330, 50706
_WIDTH, _HEIGHT, _SAMPLES, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 277, 322, 323
_SENSOR_PHOTOMETRICS = frozenset({32803, 34892})  # colour filter array, linear raw
# What decoding cannot do without: bits, colour map, where strips and tiles are, JPEG tables, sample format.
_NEEDED = frozenset({258, 273, 279, 320, 324, 325, 339, 347})
_OFFSETS_AND_SIZES = ((273, 279), (324, 325))  # of strips, of tiles
_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_NOT_READ = {
    **dict.fromkeys((33003, 33004, 33005, 34712), "JPEG 2000"),
    **dict.fromkeys((50002, 52546), "JPEG XL"),
    **dict.fromkeys((22610, 34934), "JPEG XR"),
    **dict.fromkeys((34661, 9, 10), "JBIG"),
    34887: "LERC",
    34892: "lossy DNG",
}
_READ = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 32771, 32773, 32946, 34925, 50000, 50001})
_UNCOMPRESSED = 1
_MAX_SUB_DIRECTORIES = 16
_MAX_SAMPLES = 5  # Pillow reads CMYK with alpha, and no more
_MAX_TILE_WASTE = 1 << 24
_CUT = "is cut off: the TIFF data ends before the picture does"


def is_raw_tiff(head: bytes) -> bool | None:
    """Whether the first directory of a TIFF is that of a camera raw file; `None` where it lies behind `head`.

    Raw files hold a thumbnail there, and the sensor's data in it or in directories below it.

    Raises:
        ImageError: its directory has more entries than any program writes.
    """
    tiff = Tiff(head)
    entries = tiff.entries(tiff.first_directory)
    return None if entries is None else _is_raw(tiff, entries)


def check_tiff(data: bytes) -> None:
    """Nothing, if the first picture of a TIFF is a photo that is there as a whole and that may be decoded.

    Raises:
        ImageError: it is the thumbnail of a camera raw file, of a kind that is not read, or too much work; or the file
            ends before its directory or its picture does.
    """
    tiff = Tiff(data)
    entries = tiff.entries(tiff.first_directory)
    if entries is None:
        raise ImageError(_CUT)
    if _is_raw(tiff, entries):
        raise ImageError(f"is {describe_raw().reason}")
    compression = tiff.value(entries.get(_COMPRESSION), _UNCOMPRESSED)
    if compression not in _READ:
        name = _NOT_READ.get(compression, f"number {compression}")
        raise ImageError(f"is a TIFF with a compression that is not read ({name}). {ADVICE}")
    num_samples = tiff.value(entries.get(_SAMPLES), 1)
    if num_samples > _MAX_SAMPLES:
        raise ImageError(f"is a TIFF of {num_samples} channels, and at most {_MAX_SAMPLES} are read. {ADVICE}")
    for tag, entry in entries.items():
        if tag in _NEEDED and entry.num_bytes > 8 and entry.start + entry.num_bytes > len(data):
            raise ImageError(_CUT)
    # Pillow reads the values of all tags. In a sound file no two share their bytes.
    if sum(entry.num_bytes for entry in entries.values()) > len(data) + 8 * len(entries):
        raise ImageError("is damaged: the tags of the TIFF refer to more bytes than there are")
    _check_pieces(tiff, entries, compression)


def _is_raw(tiff: Tiff, entries: dict[int, TiffEntry]) -> bool:
    if _DNG_VERSION in entries or tiff.value(entries.get(_SUBFILE_TYPE), 0) & 1:
        return True
    directories = [entries]
    for start in tiff.values(entries.get(_SUB_DIRECTORIES), _MAX_SUB_DIRECTORIES):
        directories.append(tiff.entries(start) or {})
    return any(tiff.value(one.get(_PHOTOMETRIC), 0) in _SENSOR_PHOTOMETRICS for one in directories)


def _check_pieces(tiff: Tiff, entries: dict[int, TiffEntry], compression: int) -> None:
    """Nothing, if the strips or tiles are not too many, and lie within the file."""
    for offsets, sizes in _OFFSETS_AND_SIZES:
        num_pieces = max(entries[tag].num_values if tag in entries else 0 for tag in (offsets, sizes))
        if num_pieces > MAX_PIECES:
            raise ImageError(f"is a TIFF in {num_pieces:,} pieces, and at most {MAX_PIECES:,} are read. {ADVICE}")
        if compression == _UNCOMPRESSED:
            continue  # sizes are often misstated there, and the decoder itself finds where the pixels end
        pairs = zip(
            tiff.values(entries.get(offsets), num_pieces), tiff.values(entries.get(sizes), num_pieces), strict=False
        )
        if any(start + size > len(tiff.data) for start, size in pairs):
            raise ImageError(_CUT)
    tile_height, tile_width = (tiff.value(entries.get(tag), 0) for tag in (_TILE_HEIGHT, _TILE_WIDTH))
    height, width = (tiff.value(entries.get(tag), 0) for tag in (_HEIGHT, _WIDTH))
    if tile_height and tile_width:
        area = -(-height // tile_height) * -(-width // tile_width) * tile_height * tile_width
        if area > 4 * height * width + _MAX_TILE_WASTE:
            raise ImageError(f"is a TIFF whose tiles are far larger than its {width} x {height} pixels. {ADVICE}")
