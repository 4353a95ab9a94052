"""Several zips as the parts of one collection, as download services pack it."""

from collections.abc import Sequence

from tellapart.config import SourceConfig
from tellapart.errors import DatasetError
from tellapart.photos.files import Listing, Reading
from tellapart.photos.source_reading import read_listed


def read_zips(sources: Sequence[str], listings: Sequence[Listing], config: SourceConfig) -> Reading:
    """The photos of several zips: each read by itself where each has classes of its own, else all together.

    Args:
        sources: the zips.
        listings: what each holds.
        config: where labels come from.

    Raises:
        DatasetError: as for `open_labelled`.
    """
    files = tuple(file for listing in listings for file in listing.files)
    try:
        reading = read_listed(", ".join(sources), Listing(files), "zip", config)
    except DatasetError:
        if (found := _read_each(sources, listings, config)) is None:
            raise
        return found
    if config.labels_csv is not None or any(item.split for item in reading.labelled):
        return reading
    return _read_each(sources, listings, config) or reading


def _read_each(sources: Sequence[str], listings: Sequence[Listing], config: SourceConfig) -> Reading | None:
    """What the zips hold, each read by itself; `None` where one of them has no two classes."""
    together = Reading()
    for source, listing in zip(sources, listings, strict=True):
        try:
            reading = read_listed(source, Listing(listing.files), "zip", config)
        except DatasetError:
            return None
        if len({item.label for item in reading.labelled}) < 2:
            return None
        together.labelled += reading.labelled
        together.left_out += reading.left_out
        together.notes += reading.notes
    return together
