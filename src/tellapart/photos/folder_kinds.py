"""What folders that are no classes are called: splits, days and cameras, plain wrappers; and which folders are splits.

Names alone never decide about a class: `photos/layout.py` asks where the folders are and what is beside them.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from tellapart.photos.files import FoundFile
from tellapart.photos.names import class_name

_SPLIT_NAME = re.compile(
    r"(?P<prefix>(?:.*[ ._-])?)(?P<kind>train|training|validation|valid|val|dev|test|testing)"
    r"(?:[ ._-]?(?:set|data|images))?\d*",
    re.IGNORECASE | re.DOTALL,
)
SPLIT_KINDS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}

# Names that wrap photos and say nothing of them.
PLAIN_FOLDERS = frozenset(
    "image images img imgs photo photos picture pictures pics data dataset jpegimages jpg jpeg png raw original "
    "originals".split()
)
_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec january february march april june july august september"
_MONTHS += " october november december"
# Days, numbers, and `cam1`, `day 3`, `100CANON`.
_CONTAINER = re.compile(
    r"\d+|(?:19|20)\d\d[ ._-]?\d\d(?:[ ._-]?\d\d)?(?:[ ._-].*)?|\d\d?[._-]\d\d?[._-](?:19|20)\d\d|\d{3}[A-Z_]{5}"
    rf"|(?:{_MONTHS.replace(' ', '|')})(?:[ ._-]?\d+)?"
    r"|(?:cam|camera|day|week|month|year|session|batch|part|take|shot|roll|run|set|subject|user|patient|person|site|"
    r"plot|folder|dir|disc|disk|card|dcim|device|phone|sensor|station|location|loc|trial|visit|video|vid|clip|scene|"
    r"sequence|seq|fold|group|room|house|field|tray|plate|slide|scan|series)[ ._-]?(?:\d+|[a-z])",
    re.IGNORECASE | re.DOTALL,
)


def is_split_name(name: str) -> bool:
    """Whether a folder is called like a split, as `train`, `test_set` or `seg_val`."""
    return _SPLIT_NAME.fullmatch(name) is not None


def is_container_name(name: str) -> bool:
    """Whether a folder is called like a day, a camera or a part, or is a number."""
    return _CONTAINER.fullmatch(name) is not None


def find_split_folders(folders: Mapping[str, Sequence[FoundFile]]) -> dict[str, str]:
    """Folder name -> split, where folders beside each other are splits of two kinds at least; else empty."""
    by_prefix: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for name in folders:
        if match := _SPLIT_NAME.fullmatch(name):
            by_prefix[match["prefix"].lower()][name] = SPLIT_KINDS[match["kind"].lower()]
    # `seg_train` belongs with `seg_test`; `crash_test` beside `train` and `validation` does not.
    splits = max(by_prefix.values(), key=lambda found: len(set(found.values())), default={})
    return splits if len(set(splits.values())) >= 2 else {}


def find_splits(folders: Sequence[Sequence[str]], labels: Sequence[str]) -> list[str | None]:
    """The split that a folder of each photo names, `None` for all where these folders are no splits.

    They are where `train` and another split occur, with one prefix, in most of the classes that have any.

    Args:
        folders: the names of the folders of each photo that are not its class.
        labels: its class; a folder called like one of them is no split.
    """
    classes = set(labels)
    matches = [
        next(
            (match for name in names if class_name(name) not in classes and (match := _SPLIT_NAME.fullmatch(name))),
            None,
        )
        for names in folders
    ]
    by_prefix: defaultdict[str, set[str]] = defaultdict(set)
    for match in matches:
        if match is not None:
            by_prefix[match["prefix"].lower()].add(SPLIT_KINDS[match["kind"].lower()])
    prefix = max(by_prefix, key=lambda name: len(by_prefix[name]), default="")
    splits = [
        SPLIT_KINDS[match["kind"].lower()] if match is not None and match["prefix"].lower() == prefix else None
        for match in matches
    ]
    kinds: defaultdict[str, set[str]] = defaultdict(set)
    for label, split in zip(labels, splits, strict=True):
        if split is not None:
            kinds[label].add(split)
    is_split = "train" in by_prefix[prefix] and len(by_prefix[prefix]) >= 2
    if not is_split or 2 * sum(len(found) >= 2 for found in kinds.values()) < len(kinds):
        return [None] * len(splits)
    return splits


def is_plain_name(name: str, others: Collection[str] = ()) -> bool:
    """Whether a folder is called as what it holds, photos, or is one of `others`."""
    return name.lower() in PLAIN_FOLDERS or name in others
