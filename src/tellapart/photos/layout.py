"""From files to labelled photos: folder per class, labels by name, split folders, wrapper folders.

Works on the relative paths alone; opens no file. `photos/sources.py` calls `label_files`.
"""

import re
from collections.abc import Sequence

from tellapart.photos.files import FoundFile, Labelled, Reading
from tellapart.photos.labels import labels_from_names
from tellapart.photos.names import class_name, name_some

_SPLIT_NAME = re.compile(
    r"(?P<prefix>(?:.*[ ._-])?)(?P<kind>train|training|validation|valid|val|test|testing)"
    r"(?:[ ._-]?(?:set|data|images))?\d*",
    re.IGNORECASE | re.DOTALL,
)
_SPLIT_KINDS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
}
# Names that wrap photos and say nothing of them.
_PLAIN_FOLDERS = frozenset("image images img imgs photo photos picture pictures pics data dataset jpegimages".split())

_NO_CLASS = "stands beside the class folders, so it has no class"
_NO_SPLIT = "stands beside the split folders, so it has no class"
_NO_LABEL = "has no label in its name, as 'cat' in 'cat.12.jpg'"


def label_files(files: Sequence[FoundFile], source_name: str) -> Reading | None:
    """The photos with the labels that their folders or names give, or `None` when they carry none.

    Args:
        files: photos in natural order.
        source_name: name of the source without suffix; a lone folder called the same is a wrapper, not a class.
    """
    depth = _wrapper_depth(files, 0)
    here, folders = _at_depth(files, depth)
    splits = _find_splits(folders, depth)
    if not splits:
        return _read_below(files, 0, source_name)
    reading = _read_splits(folders, splits, depth)
    if reading is not None:
        above = [file for file in files if len(file.parts) <= depth]
        reading.left_out += [(file.parts, _NO_SPLIT) for file in [*above, *here]]
    return reading


def split_of(file: FoundFile) -> str | None:
    """The split that the top folder of a photo names, or `None`."""
    match = _SPLIT_NAME.fullmatch(file.parts[0]) if len(file.parts) > 1 else None
    return _SPLIT_KINDS[match["kind"].lower()] if match else None


def _at_depth(files: Sequence[FoundFile], depth: int) -> tuple[list[FoundFile], dict[str, list[FoundFile]]]:
    """The files that stand right in the folder at `depth`, and the others by the name of the next folder."""
    here: list[FoundFile] = []
    folders: dict[str, list[FoundFile]] = {}
    for file in files:
        if len(file.parts) == depth + 1:
            here.append(file)
        elif len(file.parts) > depth + 1:
            folders.setdefault(file.parts[depth], []).append(file)
    return here, folders


def _wrapper_depth(files: Sequence[FoundFile], depth: int) -> int:
    """The depth, from `depth` on, of the folder whose folders are the classes or splits.

    A lone folder is a wrapper when most of what it holds stands in several folders further down. Otherwise the last
    lone folder above the first photos stays: it may be the only class.
    """
    num_here: list[int] = []
    level = depth
    here, folders = _at_depth(files, level)
    while len(folders) == 1:
        num_here.append(len(here))
        level += 1
        here, folders = _at_depth(next(iter(folders.values())), level)
    if folders and sum(map(len, folders.values())) * 2 > len(files):
        return level
    above_photos = next((i for i, number in enumerate(num_here) if number), len(num_here)) - 1
    return depth + max(0, above_photos)


def _find_splits(folders: dict[str, list[FoundFile]], depth: int) -> dict[str, str]:
    """Folder name -> split, when the folders are splits; empty when they are classes."""
    by_prefix: dict[str, dict[str, str]] = {}
    for name in folders:
        if match := _SPLIT_NAME.fullmatch(name):
            by_prefix.setdefault(match["prefix"].lower(), {})[name] = _SPLIT_KINDS[match["kind"].lower()]
    # `seg_train` belongs with `seg_test`; `crash_test` beside `train` and `validation` does not.
    splits = max(by_prefix.values(), key=lambda found: len(set(found.values())), default={})
    if len(set(splits.values())) >= 2:
        return splits
    if len(splits) != 1 or len(by_prefix) > 1 or len(folders) == 1:
        return {}
    # A lone `train` beside flat folders: a split when it holds classes, a class like the others when it holds photos.
    inside = {name: len(_at_depth(files, depth + 1)[1]) for name, files in folders.items()}
    only = next(iter(splits))
    return splits if inside[only] >= 2 and all(num == 0 for name, num in inside.items() if name != only) else {}


def _read_splits(folders: dict[str, list[FoundFile]], splits: dict[str, str], depth: int) -> Reading | None:
    """All splits merged by class; a folder without labels is left out by name."""
    readings = {name: _read_below(folders[name], depth + 1, name) for name in splits}
    known = {
        item.label
        for name, reading in readings.items()
        if reading and splits[name] != "test"
        for item in reading.labelled
    }
    merged = Reading()
    for name, files in folders.items():
        folder = files[0].parts[: depth + 1]
        reading = readings.get(name)
        if name not in splits:
            merged.left_out.append((folder, f"photos ({len(files):,}) beside the split folders {name_some(splits)}"))
        elif reading is None or (
            splits[name] == "test" and known and known.isdisjoint(i.label for i in reading.labelled)
        ):
            kind = "test photos" if splits[name] == "test" else "photos"
            merged.left_out.append((folder, f"unlabelled {kind} ({len(files):,}); they are for `tellapart predict`"))
        else:
            merged.labelled += [Labelled(item.file, item.label, splits[name]) for item in reading.labelled]
            merged.left_out += reading.left_out
    return merged if merged.labelled else None


def _read_below(files: Sequence[FoundFile], depth: int, folder_name: str) -> Reading | None:
    """The photos of the folder at `depth` with their classes, wrappers passed by; `None` where they carry no labels."""
    inner = _wrapper_depth(files, depth)
    reading = _read_classes([file for file in files if len(file.parts) > inner], inner, folder_name)
    if reading is not None:
        reading.left_out += [(file.parts, _NO_CLASS) for file in files if len(file.parts) <= inner]
    return reading


def _read_classes(files: Sequence[FoundFile], depth: int, folder_name: str) -> Reading | None:
    """The photos below one folder by the folders in it, or by their names when there are no two folders."""
    here, folders = _at_depth(files, depth)
    if len(folders) >= 2:
        return _read_folders(here, folders)
    labels = labels_from_names([file.name for file in files])
    num_classes = len(set(labels or ()) - {None})
    if not folders or num_classes >= 2:
        return _read_names(files, labels)
    only = next(iter(folders))
    if _SPLIT_NAME.fullmatch(only) or only.lower() in _PLAIN_FOLDERS or only == folder_name:
        return _read_names(files, labels)
    return _read_folders(here, folders)


def _read_folders(here: Sequence[FoundFile], folders: dict[str, list[FoundFile]]) -> Reading:
    labelled = [Labelled(file, class_name(name) or repr(name)) for name, files in folders.items() for file in files]
    return Reading(labelled, [(file.parts, _NO_CLASS) for file in here])


def _read_names(files: Sequence[FoundFile], labels: Sequence[str | None] | None) -> Reading | None:
    if labels is None:
        return None
    reading = Reading()
    for file, label in zip(files, labels, strict=True):
        if label is None:
            reading.left_out.append((file.parts, _NO_LABEL))
        else:
            reading.labelled.append(Labelled(file, label))
    return reading
