"""Findings about how many photos each class has."""

from tellapart.photos.names import name_some
from tellapart.photos.photoset import PhotoSet
from tellapart.records import Finding

# The largest class may have so many times the photos of the smallest; the same bound as the head's.
_MOST_IMBALANCE = 3
_FEW_PHOTOS = 10


def find_imbalance(photos: PhotoSet) -> Finding | None:
    """A class with far more photos than another."""
    counts = {name: number for name, number in photos.counts().items() if number}
    if len(counts) < 2 or max(counts.values()) <= _MOST_IMBALANCE * min(counts.values()):
        return None
    largest, smallest = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    return Finding(
        "imbalance",
        f"{counts[largest]:,} photos of {largest!r}, {counts[smallest]:,} of {smallest!r}",
        "Each class is made to count alike, yet a class with few photos is known less well: more photos of it help "
        "most.",
        sum(counts.values()),
        (),
        (),
        is_problem=False,
    )


def find_few(photos: PhotoSet) -> Finding | None:
    """Classes with few photos."""
    few = [name for name, number in photos.counts().items() if 0 < number < _FEW_PHOTOS]
    if not few:
        return None
    return Finding(
        "few_photos",
        f"Fewer than {_FEW_PHOTOS} photos of {name_some(few)}",
        "That is enough to learn from and not to measure with: the interval around the accuracy will be wide.",
        sum(photos.counts()[name] for name in few),
        (),
        (),
        is_problem=False,
    )
