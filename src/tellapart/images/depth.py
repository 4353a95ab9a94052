"""How many bits the numbers of deep photos fill, and how those become 8 bits; arrays in, arrays out.

Cameras and scanners store 10, 12 or 14 bits as 16, and mostly do not say so. Then the collection says it: a number that
is the same for all of its photos, so that none is darker than its neighbour for one bright pixel.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tellapart.errors import ImageError
from tellapart.translation import gettext as _

_PIXELS = NDArray[np.uint8]
Kind = Literal["int16", "int32", "real"]

# Bits that white may fill, by kind. Real numbers have 0 bits where white is 1.0.
DEPTHS: dict[Kind, tuple[int, ...]] = {
    "int16": (8, 10, 12, 14, 16),
    "int32": (8, 10, 12, 14, 16, 24, 32),
    "real": (0, 8, 10, 12, 14, 16, 24, 32),
}
# Raised when what is counted changes, so that what an earlier version left in a store is not used.
LEVELS_KIND = "levels 1"
# The share of samples that may lie above white: the 99.9th percentile must not.
_SHARE_ABOVE = 0.001
# Interpolation leaves real numbers somewhat above 1.0.
_MOST_REAL = 2.0
# Noise around black goes below 0; more than this share of white is no noise.
_LEAST_SHARE = 1 / 16
_MOST_WHITE = 2.0**32
# Rows converted at once, so that a large photo needs no second copy of itself in 32 bits.
_ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class SampleDepths:
    """How many bits white fills in a collection of deep photos, by the kind of number that they store.

    Attributes:
        int16: for integers of 16 bits; `None` where there are none, or each of them states its own.
        int32: for integers of 32 or 64 bits.
        real: for floating point numbers; 0 where white is 1.0.
    """

    int16: int | None = None
    int32: int | None = None
    real: int | None = None

    def to_json(self) -> dict[str, int]:
        """The numbers that are known, by kind."""
        return {kind: bits for kind, bits in asdict(self).items() if bits is not None}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "SampleDepths":
        """The depths that `to_json` wrote.

        Raises:
            TypeError, ValueError: it did not.
        """
        for kind, bits in value.items():
            if kind not in DEPTHS or type(bits) is not int or bits not in DEPTHS[kind]:
                raise ValueError(f"unknown depth {kind!r}: {bits!r}")
        return cls(**value)


@dataclass(frozen=True)
class Levels:
    """How bright the samples of a deep photo are whose file does not say how many bits they fill.

    Attributes:
        kind: of its numbers.
        num_samples: all of them, alpha excluded.
        num_above: for each of `DEPTHS[kind]`, samples beyond the white of so many bits.
    """

    kind: Kind
    num_samples: int
    num_above: tuple[int, ...]

    def to_bytes(self) -> bytes:
        """The levels as JSON."""
        return json.dumps([self.kind, self.num_samples, self.num_above]).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Levels":
        """The levels that `to_bytes` wrote, and nothing else."""
        kind, num_samples, num_above = json.loads(data)
        return cls(kind, num_samples, tuple(num_above))


def kind_of(dtype: np.dtype[Any]) -> Kind:
    """The kind of number that an array of this type stores."""
    if dtype.kind == "f":
        return "real"
    return "int16" if dtype.itemsize <= 2 else "int32"


def count_levels(samples: NDArray[Any]) -> Levels:
    """The levels of one photo.

    Args:
        samples: integers or floats of any shape; not modified.
    """
    kind = kind_of(samples.dtype)
    whites = [_MOST_REAL if bits == 0 else float(2**bits - 1) for bits in DEPTHS[kind]]
    values = samples[np.isfinite(samples)] if kind == "real" else samples
    largest = float(values.max(initial=0))
    above = (int(np.count_nonzero(values > white)) if largest > white else 0 for white in whites)
    return Levels(kind, samples.size, tuple(above))


def choose_depths(levels: Iterable[Levels]) -> SampleDepths:
    """For each kind of number the fewest bits that hold the 99.9th percentile of all its photos taken together.

    Args:
        levels: of every deep photo; equal photos count once each.
    """
    of_kind: dict[str, list[Levels]] = {}
    for one in levels:
        of_kind.setdefault(one.kind, []).append(one)
    return SampleDepths(**{kind: _choose_bits(found) for kind, found in of_kind.items()})


def _choose_bits(levels: list[Levels]) -> int | None:
    """The fewest bits that hold all but a thousandth of the samples; the most there are where none do."""
    depths = DEPTHS[levels[0].kind]
    num_samples = sum(one.num_samples for one in levels)
    for number, bits in enumerate(depths):
        if sum(one.num_above[number] for one in levels) <= _SHARE_ABOVE * num_samples:
            return bits
    return depths[-1]


def find_depth(levels: Levels, depths: SampleDepths) -> int:
    """How many bits white fills in a photo: as its collection has it, or where that is not known, by itself."""
    bits: int | None = getattr(depths, levels.kind)
    own = choose_depths([levels]) if bits is None else depths
    return int(getattr(own, levels.kind))


def scale_to_8_bits(samples: NDArray[Any], num_bits: int) -> _PIXELS:
    """Samples of any depth in 8 bits, of the same shape.

    Args:
        samples: integers or floats, shape `(height, ...)`; not modified. Those of 8 bits come back, not writable.
        num_bits: how many bits white fills; 0, for floats, where it is 1.0. Integers lose their lowest bits, floats are
            rounded. What is brighter than white becomes white, what is darker than 0, or not a finite number, 0.

    Raises:
        ImageError: numbers lie far below 0, or beyond all whites, so that nobody can say which is black or white.
    """
    if samples.dtype == np.uint8 and num_bits == 8:
        same = np.ascontiguousarray(samples).view()
        same.flags.writeable = False
        return same
    if num_bits < 8 and samples.dtype.kind == "u":
        return np.asarray(samples * np.uint16(255) // (2**num_bits - 1), np.uint8)
    white = 1.0 if num_bits == 0 else float(2**num_bits - 1)
    _check_range(samples, white)
    image = np.empty(samples.shape, np.uint8)
    for start in range(0, len(samples), _ROWS_AT_ONCE):
        rows = samples[start : start + _ROWS_AT_ONCE]
        if rows.dtype.kind == "f":
            finite = np.nan_to_num(rows.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
            rows = np.rint(np.clip(finite, 0, white) * (255.0 / white))
        elif num_bits > 8:
            rows = np.right_shift(rows, num_bits - 8)
        image[start : start + _ROWS_AT_ONCE] = np.clip(rows, 0, 255)
    return image


def _check_range(samples: NDArray[Any], white: float) -> None:
    if samples.dtype.kind == "u" or not samples.size:
        return
    most = _SHARE_ABOVE * samples.size
    if np.count_nonzero(samples < -white * _LEAST_SHARE) > most:
        raise ImageError(
            _("holds negative numbers, so black is not known. Save the photo again as an 8-bit JPEG or PNG")
        )
    finite = samples[np.isfinite(samples)] if samples.dtype.kind == "f" else samples
    largest = float(finite.max(initial=0))
    if largest > _MOST_WHITE and np.count_nonzero(finite > _MOST_WHITE) > most:
        raise ImageError(
            _(
                "holds numbers up to {largest:.2g}, so white is not known. Save the photo again as an 8-bit JPEG or PNG"
            ).format(largest=largest)
        )
