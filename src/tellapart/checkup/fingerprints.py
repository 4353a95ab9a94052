"""What is kept of photos so that they and their near copies are known again: a thumbnail of each in some 130 bytes.

A fingerprint is the low frequencies of the thumbnail that the check-up compares; it lies in the folder of a run. Which
photos are known is `duplicates.py`'s to say, by the same comparison as between photos of a collection.
"""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn, idctn

from tellapart.checkup.thumbnails import Thumbnails
from tellapart.images.facts import CHROMA_SIDE, THUMBNAIL_SIDE, PhotoFacts

_COEFFICIENTS = NDArray[np.int16]

_MAGIC = b"tellapart fingerprints 1\n"
# Frequencies below these are kept, in these steps: docs/decisions/009-near-copies-and-the-split.md has what they cost.
_LUMA_BELOW, _CHROMA_BELOW, _STEP = 15, 3, 16.0
# More than any run has; what a damaged file claims is not believed.
_MOST_PHOTOS, _MOST_BYTES = 2_000_000, 1 << 30


def _low_frequencies(side: int, below: int) -> NDArray[np.bool_]:
    """Which coefficients of a square are kept: bool `(side, side)`."""
    number = np.arange(side)
    return np.asarray(number[:, None] ** 2 + number**2 < below**2, np.bool_)


_LUMA_KEPT = _low_frequencies(THUMBNAIL_SIDE, _LUMA_BELOW)
_CHROMA_KEPT = _low_frequencies(CHROMA_SIDE, _CHROMA_BELOW)
_NUM_LUMA, _NUM_CHROMA = int(_LUMA_KEPT.sum()), 2 * int(_CHROMA_KEPT.sum())
_SIZE = _NUM_LUMA + _NUM_CHROMA


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """Fingerprints of photos, in an order that is the caller's.

    Attributes:
        coefficients: int16 `(n, size)`: those of luma, then of Cr and of Cb, of the orthonormal discrete cosine
            transform (type II), in steps of 16.
    """

    coefficients: _COEFFICIENTS

    def __len__(self) -> int:
        return len(self.coefficients)

    @classmethod
    def of(cls, facts: Iterable[PhotoFacts]) -> "Fingerprints":
        """Those of photos, any number of them."""
        return cls(np.fromiter(map(fingerprint, facts), np.dtype((np.int16, _SIZE))))

    def joined(self, other: "Fingerprints") -> "Fingerprints":
        """These and, behind them, the others."""
        return Fingerprints(np.concatenate([self.coefficients, other.coefficients]))

    def thumbnails(self) -> Thumbnails:
        """The thumbnails that they stand for, at least one, without the fine detail that is not kept."""
        luma = _from_coefficients(self.coefficients[:, :_NUM_LUMA], _LUMA_KEPT)
        chroma = self.coefficients[:, _NUM_LUMA:].reshape(len(self), 2, -1)
        red_blue = [_from_coefficients(chroma[:, number], _CHROMA_KEPT) for number in range(2)]
        return Thumbnails.made_of(luma, np.stack(red_blue, axis=3))

    def to_bytes(self) -> bytes:
        """The fingerprints as a file."""
        # Small numbers of either sign become small ones, so that the high bytes, which stand behind, are nearly all 0.
        folded = ((self.coefficients << 1) ^ (self.coefficients >> 15)).astype("<u2").T
        planes = np.ascontiguousarray(folded).view(np.uint8).reshape(-1, 2).T
        return _MAGIC + len(self).to_bytes(8, "little") + zlib.compress(planes.tobytes(), 9)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Fingerprints":
        """The fingerprints that `to_bytes` wrote.

        Raises:
            ValueError: the bytes are something else, or damaged.
        """
        start = len(_MAGIC) + 8
        num_photos = int.from_bytes(data[len(_MAGIC) : start], "little")
        if not data.startswith(_MAGIC) or num_photos > _MOST_PHOTOS:
            raise ValueError("these are no fingerprints of photos")
        num_bytes = num_photos * _SIZE * 2
        inflated = zlib.decompressobj()
        try:
            planes = inflated.decompress(data[start:], num_bytes + 1) if num_bytes < _MOST_BYTES else b""
        except zlib.error as exc:
            raise ValueError(f"the fingerprints are damaged: {exc}") from exc
        if len(planes) != num_bytes or not inflated.eof:
            raise ValueError("the fingerprints are cut short")
        folded = np.ascontiguousarray(np.frombuffer(planes, np.uint8).reshape(2, -1).T).view("<u2")
        folded = folded.reshape(_SIZE, num_photos).T
        return cls((folded >> 1).astype(np.int16) ^ -(folded & 1).astype(np.int16))


def fingerprint(facts: PhotoFacts) -> _COEFFICIENTS:
    """The fingerprint of one photo: int16 `(size,)`."""
    parts = [_to_coefficients(facts.thumbnail, _LUMA_KEPT)]
    parts += [_to_coefficients(facts.chroma[:, :, number], _CHROMA_KEPT) for number in range(2)]
    return np.concatenate(parts)


def _to_coefficients(square: NDArray[np.uint8], kept: NDArray[np.bool_]) -> _COEFFICIENTS:
    return np.asarray(np.rint(dctn(square.astype(np.float32), norm="ortho")[kept] / _STEP), np.int16)


def _from_coefficients(coefficients: _COEFFICIENTS, kept: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Squares, uint8 `(n, side, side)`."""
    spread = np.zeros((len(coefficients), *kept.shape), np.float32)
    spread[:, kept] = coefficients * np.float32(_STEP)
    return np.asarray(np.clip(np.rint(idctn(spread, axes=(1, 2), norm="ortho")), 0, 255), np.uint8)
