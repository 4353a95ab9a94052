"""The first directory of a TIFF, read without decoding: what it is a picture of, whether all of it is there, its work.

TIFF 6.0, section 2; BigTIFF: https://www.awaresystems.be/imaging/tiff/bigtiff.html. libtiff and Pillow believe what a
directory says and write about what they find to stderr, so what cannot be right is refused here.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from tellapart.errors import ImageError
from tellapart.images.other_files import describe_raw

BITS_PER_SAMPLE = 258
PHOTOMETRIC = 262

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
_MAX_ENTRIES, _MAX_PIECES, _MAX_SUB_DIRECTORIES = 1_000, 70_000, 16
_MAX_SAMPLES = 5  # Pillow reads CMYK with alpha, and no more
_MAX_TILE_WASTE = 1 << 24
_CUT = "is cut off: the TIFF data ends before the picture does"
_ADVICE = "Save it again as JPEG or PNG"


class _Entry(NamedTuple):
    """A tag's type and number of values, and where they stand."""

    kind: int
    num_values: int
    start: int

    @property
    def num_bytes(self) -> int:
        return _TYPE_SIZES.get(self.kind, 0) * self.num_values


class _Tiff:
    """A TIFF or the beginning of one; reading past its end gives zeros."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
        self._is_big = self.number(2, 2) == 43

    def number(self, start: int, size: int) -> int:
        return int.from_bytes(self.data[start : start + size], self._order)

    @property
    def first_directory(self) -> int:
        return self.number(8, 8) if self._is_big else self.number(4, 4)

    def entries(self, directory: int) -> dict[int, _Entry] | None:
        """Tag to entry of the directory at that offset; `None` where the data ends before it does.

        Raises:
            ImageError: there are more than any program writes.
        """
        count_size, entry_size, value_size = (8, 20, 8) if self._is_big else (2, 12, 4)
        num_entries = self.number(directory, count_size)
        first = directory + count_size
        if directory < 8 or first + entry_size * num_entries > len(self.data):
            return None
        if num_entries > _MAX_ENTRIES:
            raise ImageError(f"is a TIFF of {num_entries:,} tags, and at most {_MAX_ENTRIES:,} are read. {_ADVICE}")
        found: dict[int, _Entry] = {}
        for start in range(first, first + entry_size * num_entries, entry_size):
            entry = _Entry(self.number(start + 2, 2), self.number(start + 4, value_size), start + 4 + value_size)
            if entry.num_bytes > value_size:
                entry = entry._replace(start=self.number(entry.start, value_size))
            found[self.number(start, 2)] = entry
        return found

    def values(self, entry: _Entry | None, most: int) -> Iterator[int]:
        """The first `most` whole numbers of an entry; none where there is no entry."""
        size = _TYPE_SIZES.get(entry.kind, 0) if entry is not None else 0
        if entry is None or size == 0:
            return
        for number in range(min(entry.num_values, most)):
            yield self.number(entry.start + number * size, size)

    def value(self, entry: _Entry | None, default: int) -> int:
        """The first whole number of an entry; `default` where there is none."""
        return next(self.values(entry, 1), default)


def is_raw_tiff(head: bytes) -> bool | None:
    """Whether the first directory of a TIFF is that of a camera raw file; `None` where it lies behind `head`.

    Raw files hold a thumbnail there, and the sensor's data in it or in directories below it.

    Raises:
        ImageError: its directory has more entries than any program writes.
    """
    tiff = _Tiff(head)
    entries = tiff.entries(tiff.first_directory)
    return None if entries is None else _is_raw(tiff, entries)


def check_tiff(data: bytes) -> None:
    """Nothing, if the first picture of a TIFF is a photo that is there as a whole and that may be decoded.

    Raises:
        ImageError: it is the thumbnail of a camera raw file, of a kind that is not read, or too much work; or the file
            ends before its directory or its picture does.
    """
    tiff = _Tiff(data)
    entries = tiff.entries(tiff.first_directory)
    if entries is None:
        raise ImageError(_CUT)
    if _is_raw(tiff, entries):
        raise ImageError(f"is {describe_raw().reason}")
    compression = tiff.value(entries.get(_COMPRESSION), _UNCOMPRESSED)
    if compression not in _READ:
        name = _NOT_READ.get(compression, f"number {compression}")
        raise ImageError(f"is a TIFF with a compression that is not read ({name}). {_ADVICE}")
    num_samples = tiff.value(entries.get(_SAMPLES), 1)
    if num_samples > _MAX_SAMPLES:
        raise ImageError(f"is a TIFF of {num_samples} channels, and at most {_MAX_SAMPLES} are read. {_ADVICE}")
    for tag, entry in entries.items():
        if tag in _NEEDED and entry.num_bytes > 8 and entry.start + entry.num_bytes > len(data):
            raise ImageError(_CUT)
    # Pillow reads the values of all tags. In a sound file no two share their bytes.
    if sum(entry.num_bytes for entry in entries.values()) > len(data) + 8 * len(entries):
        raise ImageError("is damaged: the tags of the TIFF refer to more bytes than there are")
    _check_pieces(tiff, entries, compression)


def _is_raw(tiff: _Tiff, entries: dict[int, _Entry]) -> bool:
    if _DNG_VERSION in entries or tiff.value(entries.get(_SUBFILE_TYPE), 0) & 1:
        return True
    directories = [entries]
    for start in tiff.values(entries.get(_SUB_DIRECTORIES), _MAX_SUB_DIRECTORIES):
        directories.append(tiff.entries(start) or {})
    return any(tiff.value(one.get(PHOTOMETRIC), 0) in _SENSOR_PHOTOMETRICS for one in directories)


def _check_pieces(tiff: _Tiff, entries: dict[int, _Entry], compression: int) -> None:
    """Nothing, if the strips or tiles are not too many, and lie within the file."""
    for offsets, sizes in _OFFSETS_AND_SIZES:
        num_pieces = max(entries[tag].num_values if tag in entries else 0 for tag in (offsets, sizes))
        if num_pieces > _MAX_PIECES:
            raise ImageError(f"is a TIFF in {num_pieces:,} pieces, and at most {_MAX_PIECES:,} are read. {_ADVICE}")
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
            raise ImageError(f"is a TIFF whose tiles are far larger than its {width} x {height} pixels. {_ADVICE}")
