"""The facts of many photos in one array: no object a photo, and no copy where thumbnails are compared.

`backbones/photo_pass.py` fills it, the check-up reads it. What a fact is, `facts.py` says.
"""

from collections.abc import Iterable, Sequence
from typing import TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from tellapart.images.facts import CHROMA_SIDE, THUMBNAIL_SIDE, PhotoFacts

_Scalar = TypeVar("_Scalar", bound=np.generic)
_NUM_BORDER = 20
_NUMBERS = ("height", "width", "num_bytes", "brightness", "contrast", "sharpness", "flatness", "captured_at")
_ROW = np.dtype(
    [
        ("format", np.int32),
        ("camera", np.int32),
        ("height", np.int32),
        ("width", np.int32),
        ("has_exif_rotation", np.bool_),
        ("num_bytes", np.int64),
        ("captured_at", np.float64),
        ("brightness", np.float64),
        ("contrast", np.float64),
        ("sharpness", np.float64),
        ("flatness", np.float64),
        ("border", np.float32, (_NUM_BORDER,)),
        ("thumbnail", np.uint8, (THUMBNAIL_SIDE, THUMBNAIL_SIDE)),
        ("chroma", np.uint8, (CHROMA_SIDE, CHROMA_SIDE, 2)),
    ]
)
# Rows copied at once where some of them move.
_ROWS_AT_ONCE = 4096


class FactsTable(Sequence[PhotoFacts]):
    """Facts of photos, about 2.6 kB each; a row read by its number is a `PhotoFacts` that looks into the array.

    Args:
        num_rows: photos there is room for; each row is entered before it is read.
    """

    def __init__(self, num_rows: int) -> None:
        self._rows: NDArray[np.void] = np.empty(num_rows, _ROW)
        self._words: list[str | None] = []
        self._numbers: dict[str | None, int] = {}

    @classmethod
    def of(cls, facts: Iterable[PhotoFacts]) -> "FactsTable":
        """The table of these facts; one that is a table already is given back as it is."""
        if isinstance(facts, FactsTable):
            return facts
        listed = list(facts)
        table = cls(len(listed))
        for row, one in enumerate(listed):
            table.enter(row, one)
        return table

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, row: int) -> PhotoFacts: ...

    @overload
    def __getitem__(self, row: slice) -> "FactsTable": ...

    def __getitem__(self, row: int | slice) -> "PhotoFacts | FactsTable":
        if isinstance(row, slice):
            return self.take(range(*row.indices(len(self))))
        one = self._rows[row]
        moment = float(one["captured_at"])
        return PhotoFacts(
            format=self._words[one["format"]] or "",
            height=int(one["height"]),
            width=int(one["width"]),
            has_exif_rotation=bool(one["has_exif_rotation"]),
            num_bytes=int(one["num_bytes"]),
            camera=self._words[one["camera"]],
            captured_at=None if np.isnan(moment) else moment,
            brightness=float(one["brightness"]),
            contrast=float(one["contrast"]),
            sharpness=float(one["sharpness"]),
            flatness=float(one["flatness"]),
            border=one["border"],
            thumbnail=one["thumbnail"],
            chroma=one["chroma"],
        )

    def enter(self, row: int, facts: PhotoFacts) -> None:
        """The row has these facts from now on."""
        self._rows[row] = (
            self._number(facts.format),
            self._number(facts.camera),
            facts.height,
            facts.width,
            facts.has_exif_rotation,
            facts.num_bytes,
            np.nan if facts.captured_at is None else facts.captured_at,
            facts.brightness,
            facts.contrast,
            facts.sharpness,
            facts.flatness,
            facts.border,
            facts.thumbnail,
            facts.chroma,
        )

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> "FactsTable":
        """The facts of these rows, in this order, as a table of their own."""
        return self._with(self._rows[np.asarray(rows, np.int64)])

    def moved(self, sources: NDArray[np.int64], rows: NDArray[np.int64]) -> "FactsTable":
        """As `move_rows` moves those of an array; this table is not to be used any more."""
        return self._with(move_rows(self._rows, sources, rows))

    @property
    def thumbnails(self) -> NDArray[np.uint8]:
        """Of all photos, uint8 `(n, 48, 48)`; a view, as all columns."""
        return np.asarray(self._rows["thumbnail"])

    @property
    def chroma(self) -> NDArray[np.uint8]:
        """Of all photos, uint8 `(n, 8, 8, 2)`."""
        return np.asarray(self._rows["chroma"])

    @property
    def cameras(self) -> NDArray[np.int64]:
        """Equal numbers for photos of one camera, and for those that tell none, int64 `(n,)`."""
        return self._rows["camera"].astype(np.int64)

    def column(self, name: str) -> NDArray[np.float64]:
        """One number of all photos, float64 `(n,)`; NaN where `captured_at` is not told.

        Args:
            name: a field of `PhotoFacts` that is a number.
        """
        assert name in _NUMBERS
        return self._rows[name].astype(np.float64)

    def has_moment(self) -> NDArray[np.bool_]:
        """Which photos tell both their camera and when they were taken, bool `(n,)`."""
        is_told = np.array([word is not None for word in self._words], np.bool_)
        return np.asarray(is_told[self._rows["camera"]] & np.isfinite(self._rows["captured_at"]), np.bool_)

    def _with(self, rows: NDArray[np.void]) -> "FactsTable":
        table = FactsTable(0)
        table._rows, table._words, table._numbers = rows, self._words, self._numbers
        return table

    def _number(self, word: str | None) -> int:
        number = self._numbers.setdefault(word, len(self._words))
        if number == len(self._words):
            self._words.append(word)
        return number


def move_rows(values: NDArray[_Scalar], sources: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[_Scalar]:
    """The chosen rows of an array, moved to its beginning in place, so that no second array is made.

    Args:
        values: shape `(n, ...)`; not to be used any more.
        sources: of each row the one that its values are to be taken from: itself, or one that is its own source.
        rows: ascending: those that are kept.
    """
    copies = np.flatnonzero(sources != np.arange(len(sources)))
    for start in range(0, len(copies), _ROWS_AT_ONCE):
        part = copies[start : start + _ROWS_AT_ONCE]
        values[part] = values[sources[part]]
    if len(rows) == len(values):
        return values
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = rows[start : start + _ROWS_AT_ONCE]
        values[start : start + len(part)] = values[part]
    return values[: len(rows)]
