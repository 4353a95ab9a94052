"""`SeenPhotos`: a photo set and what was seen of each of its photos.

`photo_pass.py` makes them; the check-up and the trainings use them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tellapart.cache.photo_store import PhotoStore
from tellapart.images.depth import SampleDepths
from tellapart.images.facts_table import FactsTable
from tellapart.images.gate import decode_photo
from tellapart.images.preprocess import (
    THUMBNAIL_KIND,
    THUMBNAIL_LONGEST_SIDE,
    decode_thumbnail,
    shrink_image,
)
from tellapart.photos.loading import group_by_content, map_photos
from tellapart.photos.photoset import PhotoSet
from tellapart.records import Skipped

_PIXELS = NDArray[np.uint8]
_SIZE = (THUMBNAIL_LONGEST_SIDE, THUMBNAIL_LONGEST_SIDE)
# Thumbnails asked for at once: some 3 MB.
_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class SeenPhotos:
    """Photos of which everything is known that can be known without labels; row by row.

    Attributes:
        photos: those that could be decoded; `photos.skipped` names the others.
        digests: content of each, hexadecimal; equal digests are byte-identical files.
        facts: of each.
        embeddings: of the first eye, float32, shape `(len(photos), embedding_size)`; `None` where no backbone looked.
        num_found: photos that an earlier run had seen.
        further_embeddings: those of the other eyes, in the order they were asked for.
        store_path: where thumbnails are kept; `None` reads the photos for them.
        depths: how many bits white fills in the deep photos among them.
    """

    photos: PhotoSet
    digests: tuple[str, ...]
    facts: FactsTable
    embeddings: NDArray[np.float32] | None
    num_found: int = 0
    further_embeddings: tuple[NDArray[np.float32], ...] = ()
    store_path: Path | None = field(default=None, repr=False)
    depths: SampleDepths = SampleDepths()

    def __len__(self) -> int:
        return len(self.photos)

    @property
    def groups(self) -> NDArray[np.int64]:
        """Equal numbers for byte-identical photos, int64, shape `(len(photos),)`."""
        return group_by_content(self.digests)

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> "SeenPhotos":
        """The photos of these rows, in this order."""
        order = np.asarray(rows, np.int64)
        return replace(
            self,
            photos=self.photos.take(order),
            digests=tuple(self.digests[row] for row in order),
            facts=self.facts.take(order),
            embeddings=None if self.embeddings is None else self.embeddings[order],
            further_embeddings=tuple(one[order] for one in self.further_embeddings),
        )

    def thumbnails(self, rows: Sequence[int]) -> dict[int, _PIXELS]:
        """A small image of each of the rows: uint8 RGB, its longer side at most `THUMBNAIL_LONGEST_SIDE` pixels.

        They come from the store; one that the store has lost is made of its file. A photo that is gone there as well
        is left out.
        """
        found = dict(self._stored_thumbnails(rows))
        missing = [row for row in dict.fromkeys(rows) if row not in found]
        limits, depths = self.photos.limits, self.depths
        images = map_photos(
            self.photos.take(missing),
            lambda data: shrink_image(decode_photo(data, limits, _SIZE, depths).image, THUMBNAIL_LONGEST_SIDE),
        )
        made = {row: image for row, image in zip(missing, images, strict=True) if not isinstance(image, Skipped)}
        return found | made

    def _stored_thumbnails(self, rows: Sequence[int]) -> Iterator[tuple[int, _PIXELS]]:
        if self.store_path is None:
            return
        with PhotoStore(self.store_path) as store:
            for start in range(0, len(rows), _AT_ONCE):
                part = rows[start : start + _AT_ONCE]
                stored = store.find(sorted({self.digests[row] for row in part}), [THUMBNAIL_KIND])
                for row in part:
                    if (kinds := stored.get(self.digests[row])) is not None:
                        yield row, decode_thumbnail(kinds[THUMBNAIL_KIND])
