"""The directories of a TIFF and what they say of their pages, read without decoding; damage gives zeros.

TIFF 6.0, sections 2 and 8; BigTIFF: https://www.awaresystems.be/imaging/tiff/bigtiff.html.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from tellapart.errors import ImageError
from tellapart.translation import gettext as _

_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_MAX_ENTRIES, MAX_PIECES = 1_000, 70_000
_MAX_TEXT_BYTES = 1 << 20


NOT_REDUCED = 0
PLANAR = 2


class TiffEntry(NamedTuple):
    """A tag's type and number of values, and where they stand."""

    kind: int
    num_values: int
    start: int

    @property
    def num_bytes(self) -> int:
        """Size of its values."""
        return _TYPE_SIZES.get(self.kind, 0) * self.num_values


class Tiff:
    """A TIFF or the beginning of one; reading past its end gives zeros."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
        self._is_big = self.number(2, 2) == 43

    def number(self, start: int, size: int) -> int:
        """The whole number of so many bytes that stands there."""
        return int.from_bytes(self.data[start : start + size], self.order)

    @property
    def first_directory(self) -> int:
        """Offset of the first directory."""
        return self.number(8, 8) if self._is_big else self.number(4, 4)

    def next_directory(self, directory: int) -> int:
        """Offset of the directory behind the one at that offset; 0 where it is the last."""
        count_size, entry_size, value_size = (8, 20, 8) if self._is_big else (2, 12, 4)
        return self.number(directory + count_size + entry_size * self.number(directory, count_size), value_size)

    def entries(self, directory: int) -> dict[int, TiffEntry] | None:
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
            raise ImageError(
                _(
                    "is a TIFF of {num_entries:,} tags, and at most {most:,} are "
                    "read. Save the photo again as JPEG or PNG"
                ).format(num_entries=num_entries, most=_MAX_ENTRIES)
            )
        found: dict[int, TiffEntry] = {}
        for start in range(first, first + entry_size * num_entries, entry_size):
            entry = TiffEntry(self.number(start + 2, 2), self.number(start + 4, value_size), start + 4 + value_size)
            if entry.num_bytes > value_size:
                entry = entry._replace(start=self.number(entry.start, value_size))
            found[self.number(start, 2)] = entry
        return found

    def values(self, entry: TiffEntry | None, most: int) -> Iterator[int]:
        """The first `most` whole numbers of an entry; none where there is no entry."""
        size = _TYPE_SIZES.get(entry.kind, 0) if entry is not None else 0
        if entry is None or size == 0:
            return
        for number in range(min(entry.num_values, most)):
            yield self.number(entry.start + number * size, size)

    def value(self, entry: TiffEntry | None, default: int) -> int:
        """The first whole number of an entry; `default` where there is none."""
        return next(self.values(entry, 1), default)

    def content(self, entry: TiffEntry | None, most: int) -> bytes:
        """The bytes of an entry, at most so many; empty where there is none."""
        return b"" if entry is None else self.data[entry.start : entry.start + min(entry.num_bytes, most)]


@dataclass(frozen=True)
class TiffPage:
    """What a directory says of its picture, `height` and `width` as stored; the numbers are those of TIFF 6.0.

    Attributes:
        bits: of a sample; 0 where they differ.
        sample_format: 1 unsigned, 2 signed, 3 real.
        num_samples: a pixel.
        is_planar: whether each sample has a plane of its own.
        extra: what samples beyond the colours are: 1 alpha that is multiplied in, 2 alpha, 0 unknown.
        piece: `(height, width)` of a strip or tile.
        is_tiled: whether the pieces are tiles.
        offsets, sizes: of the pieces.
        largest: the largest number that a sample may have, as `MaxSampleValue` says; 0 where it does not.
        palette: red, green and blue of all colours, up to 65535; empty where there is none.
        subfile: 0 for a page, other numbers for a smaller copy or a mask.
    """

    height: int
    width: int
    bits: int
    sample_format: int
    num_samples: int
    compression: int
    photometric: int
    predictor: int
    fill_order: int
    orientation: int
    is_planar: bool
    extra: tuple[int, ...]
    piece: tuple[int, int]
    is_tiled: bool
    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    largest: int
    palette: tuple[int, ...]
    subfile: int
    icc: bytes
    description: bytes


def read_page(tiff: Tiff, entries: Mapping[int, TiffEntry]) -> TiffPage:
    """What the directory with these entries says; defaults are those of TIFF 6.0."""

    def one(tag: int, default: int) -> int:
        return tiff.value(entries.get(tag), default)

    def many(tag: int, most: int) -> tuple[int, ...]:
        return tuple(tiff.values(entries.get(tag), most))

    height, width, photometric = one(257, 0), one(256, 0), one(262, 1)
    num_samples = one(277, 3 if photometric == 2 else 1)
    bits = set(many(258, max(1, num_samples))) or {1}
    is_tiled = 324 in entries and 322 in entries
    piece = (one(323, 0), one(322, 0)) if is_tiled else (min(one(278, height), height) or height, width)
    orientation = one(274, 1)
    old_subfile = one(255, 1)
    return TiffPage(
        height=height,
        width=width,
        bits=bits.pop() if len(bits) == 1 else 0,
        sample_format=one(339, 1),
        num_samples=num_samples,
        compression=one(259, 1),
        photometric=photometric,
        predictor=one(317, 1),
        fill_order=one(266, 1),
        orientation=orientation if 1 <= orientation <= 8 else 1,
        is_planar=one(284, 1) == PLANAR and num_samples > 1,
        extra=many(338, num_samples),
        piece=piece,
        is_tiled=is_tiled,
        offsets=many(324 if is_tiled else 273, MAX_PIECES),
        sizes=many(325 if is_tiled else 279, MAX_PIECES),
        largest=one(281, 0),
        palette=many(320, 3 << 16) if photometric == 3 else (),
        subfile=one(254, 0) & 5 or (old_subfile if old_subfile == 2 else NOT_REDUCED),
        icc=tiff.content(entries.get(34675), 1 << 24),
        description=tiff.content(entries.get(270), _MAX_TEXT_BYTES),
    )
