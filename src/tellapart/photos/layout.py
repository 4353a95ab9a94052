"""From files to labelled photos: folder per class, labels by name, split folders, wrapper folders.

Works on the relative paths alone; opens no file. `photos/sources.py` calls `label_files`. Which folders are splits is
in `photos/folder_kinds.py`.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path

from tellapart.errors import DatasetError
from tellapart.photos.files import FoundFile, Labelled, Reading
from tellapart.photos.folder_kinds import (
    find_split_folders,
    find_splits,
    is_container_name,
    is_plain_name,
    is_split_name,
)
from tellapart.photos.labels import labels_from_names
from tellapart.photos.names import class_name, name_some
from tellapart.translation import gettext as _
from tellapart.translation import gettext_noop, ngettext

_NO_CLASS = gettext_noop("is beside the class folders, so it has no class")
_NO_SPLIT = gettext_noop("is beside the split folders, so it has no class")
_NO_LABEL = gettext_noop("has no label in its name, as 'cat' in 'cat.12.jpg'")


def label_files(files: Sequence[FoundFile], source: str, class_level: int | None = None) -> Reading | None:
    """The photos with the labels that their folders or names give, or `None` when they carry none.

    Args:
        files: photos in natural order.
        source: what the user named; a lone folder called the same is a wrapper, not a class.
        class_level: which folder of each path is its class, counted from 1 at the source; `None` finds it.

    Raises:
        DatasetError: the folders of two levels may be the classes, or there are no folders at `class_level`.
    """
    if class_level is not None:
        return _read_level(files, class_level, source)
    depth = _wrapper_depth(files, 0)
    here, folders = _at_depth(files, depth)
    splits = find_split_folders(folders)
    reader = _Reader(source)
    if not splits:
        return reader.read_below(files, 0, Path(source).stem)
    reading = _read_splits(reader, folders, splits, depth)
    if reading is None:
        # `train` beside `plane`, both with photos and no folder: vehicles.
        return None if len(splits) == len(folders) else _read_folders(here, folders, depth)
    above = [file for file in files if len(file.parts) <= depth]
    reading.left_out += [(file.parts, _(_NO_SPLIT)) for file in [*above, *here]]
    return reading


def _read_level(files: Sequence[FoundFile], level: int, source: str) -> Reading:
    """The photos with the folder at `level` of their path as class, and with the splits above and below it."""
    inside = [file for file in files if len(file.parts) > level]
    if not inside:
        deepest = max((len(file.parts) - 1 for file in files), default=0)
        said = ngettext(
            "`class_level` {level} is too deep: the photos of {source!r} are at most {deepest} folder deep. Give a "
            "smaller number. The folders directly in the source are 1.",
            "`class_level` {level} is too deep: the photos of {source!r} are at most {deepest} folders deep. Give a "
            "smaller number. The folders directly in the source are 1.",
            deepest,
        )
        if not deepest:
            said = _(
                "`class_level` {level} is too deep: the photos of {source!r} are in no folders. Put the photos of each "
                "class into a folder of their own."
            )
        raise DatasetError(
            said.format(level=level, source=source, deepest=deepest),
            paths=[source],
        )
    labels = [class_name(file.parts[level - 1]) or repr(file.parts[level - 1]) for file in inside]
    splits = find_splits([(*file.parts[: level - 1], *file.parts[level:-1]) for file in inside], labels)
    labelled = [Labelled(*item) for item in zip(inside, labels, splits, strict=True)]
    reason = _("has no folder at `class_level` {level}, so it has no class").format(level=level)
    return Reading(labelled, [(file.parts, reason) for file in files if len(file.parts) <= level])


def _at_depth(files: Sequence[FoundFile], depth: int) -> tuple[list[FoundFile], dict[str, list[FoundFile]]]:
    """The files right in the folder at `depth`, and the others by the name of the next folder."""
    here: list[FoundFile] = []
    folders: dict[str, list[FoundFile]] = {}
    for file in files:
        if len(file.parts) == depth + 1:
            here.append(file)
        elif len(file.parts) > depth + 1:
            folders.setdefault(file.parts[depth], []).append(file)
    return here, folders


def _wrapper_depth(files: Sequence[FoundFile], depth: int, known: Collection[str] = ()) -> int:
    """The depth, from `depth` on, of the folder whose folders are the classes or splits.

    A lone folder is a wrapper when most of what it holds is in several folders further down. Otherwise the last lone
    folder above the first photos stays: it may be the only class. A lone folder of a known class is that class.
    """
    num_here: list[int] = []
    level = depth
    here, folders = _at_depth(files, level)
    while len(folders) == 1:
        if class_name(next(iter(folders))) in known:
            return level
        num_here.append(len(here))
        level += 1
        here, folders = _at_depth(next(iter(folders.values())), level)
    if folders and sum(map(len, folders.values())) * 2 > len(files):
        return level
    above_photos = next((i for i, number in enumerate(num_here) if number), len(num_here)) - 1
    return depth + max(0, above_photos)


def _read_splits(
    reader: "_Reader", folders: dict[str, list[FoundFile]], splits: dict[str, str], depth: int
) -> Reading | None:
    """All splits merged by class; a folder without labels is left out by name.

    `None` where none has labels, or where these are in file names only and other folders are beside: `train` is a split
    where its folders are classes.
    """
    readings: dict[str, Reading | None] = {}
    known: set[str] = set()
    # A split that lacks all classes but one may have a lone folder, which the others say is a class.
    for name in sorted(splits, key=lambda name: -len(_at_depth(folders[name], depth + 1)[1])):
        readings[name] = reading = reader.read_below(folders[name], depth + 1, name, known)
        if reading is not None and splits[name] != "test":
            known.update(item.label for item in reading.labelled)
    has_folders = any(len(file.parts) > depth + 2 for name in splits for file in folders[name])
    if len(splits) < len(folders) and not has_folders:
        return None
    merged = Reading()
    for name, files in folders.items():
        folder = files[0].parts[: depth + 1]
        reading = readings.get(name)
        if name not in splits:
            merged.left_out.append(
                (
                    folder,
                    _("photos ({num:,}) beside the split folders {splits}").format(
                        num=len(files), splits=name_some(splits)
                    ),
                )
            )
        elif reading is None or (
            splits[name] == "test" and known and known.isdisjoint(item.label for item in reading.labelled)
        ):
            if splits[name] == "test":
                reason = _("unlabelled test photos ({num:,}). Classify them with `tellapart predict`")
            else:
                reason = _("unlabelled photos ({num:,}). Classify them with `tellapart predict`")
            merged.left_out.append((folder, reason.format(num=len(files))))
        else:
            merged.labelled += [Labelled(item.file, item.label, splits[name]) for item in reading.labelled]
            merged.left_out += reading.left_out
    return merged if merged.labelled else None


class _Reader:
    """Reads the folders of one source, which is named when a level of folders is in question."""

    def __init__(self, source: str) -> None:
        self._source = source

    def read_below(
        self, files: Sequence[FoundFile], depth: int, folder_name: str, known: Collection[str] = ()
    ) -> Reading | None:
        """The photos of the folder at `depth` with their classes, wrappers passed by; `None` where they have none.

        Args:
            files: all in the folder.
            depth: how many folders down it is.
            folder_name: its name.
            known: classes that other folders have.
        """
        inner = _wrapper_depth(files, depth, known)
        inside = [file for file in files if len(file.parts) > inner]
        reading = self._read_classes(inside, inner, folder_name, known)
        if reading is not None:
            reading.left_out += [(file.parts, _(_NO_CLASS)) for file in files if len(file.parts) <= inner]
        return reading

    def _read_classes(
        self, files: Sequence[FoundFile], depth: int, folder_name: str, known: Collection[str]
    ) -> Reading | None:
        """The photos below one folder by the folders in it, or by their names when there are no two folders."""
        here, folders = _at_depth(files, depth)
        if len(folders) >= 2:
            self._check_levels(folders, depth)
            return _read_folders(here, folders, depth)
        labels = labels_from_names([file.name for file in files])
        if not folders:
            return _read_names(files, labels)
        only = next(iter(folders))
        num_classes = len(set(labels or ()) - {None})
        is_wrapper = num_classes >= 2 or is_split_name(only) or is_plain_name(only, (folder_name,))
        if is_wrapper and class_name(only) not in known:
            return _read_names(files, labels)
        return _read_folders(here, folders, depth)

    def _check_levels(self, folders: dict[str, list[FoundFile]], depth: int) -> None:
        """Nothing, if only the folders at `depth` can be the classes.

        Raises:
            DatasetError: folders further down have the same names below several of them, as those of cameras or days.
        """
        num_photos = sum(map(len, folders.values()))
        deepest = max(len(file.parts) for files in folders.values() for file in files) - 1
        for level in range(depth + 1, deepest):
            owners: defaultdict[str, set[str]] = defaultdict(set)
            sizes: defaultdict[str, int] = defaultdict(int)
            for top, files in folders.items():
                for file in files:
                    if len(file.parts) > level + 1:
                        owners[class_name(file.parts[level])].add(top)
                        sizes[class_name(file.parts[level])] += 1
            repeated = [name for name, tops in owners.items() if len(tops) >= 2 and _may_be_class(name, folders)]
            telling = [name for name in owners if _may_be_class(name, folders)]
            if len(telling) >= 2 and 2 * sum(sizes[name] for name in repeated) >= num_photos:
                self._ask_level(list(folders), depth + 1, telling, level + 1)

    def _ask_level(self, upper: Sequence[str], upper_level: int, lower: Sequence[str], lower_level: int) -> None:
        raise DatasetError(
            _(
                "the classes of {source!r} are not clear. Folders such as {lower} are inside several of "
                "{upper}. If {lower} are the classes, give `class_level={lower_level}`. If {upper} are, give "
                "`class_level={upper_level}`."
            ).format(
                source=self._source,
                lower=name_some(sorted(lower), 3),
                upper=name_some(upper, 3),
                lower_level=lower_level,
                upper_level=upper_level,
            ),
            paths=[self._source],
        )


def _may_be_class(name: str, upper: Collection[str]) -> bool:
    """Whether a folder further down may be a class, and not a split, a day or a plain folder of photos.

    Numbers may be classes below cameras or days, as digits are; below classes they are parts.
    """
    if is_split_name(name) or is_plain_name(name):
        return False
    return not is_container_name(name) or (name.isdecimal() and len(name) < 4 and all(map(is_container_name, upper)))


def _read_folders(here: Sequence[FoundFile], folders: dict[str, list[FoundFile]], depth: int) -> Reading:
    """The photos with the name of their folder at `depth` as class, and the split that a folder in it names."""
    files = [file for found in folders.values() for file in found]
    labels = [class_name(name) or repr(name) for name, found in folders.items() for _unused in found]
    splits = find_splits([file.parts[depth + 1 : -1] for file in files], labels)
    labelled = [Labelled(*item) for item in zip(files, labels, splits, strict=True)]
    return Reading(labelled, [(file.parts, _(_NO_CLASS)) for file in here])


def _read_names(files: Sequence[FoundFile], labels: Sequence[str | None] | None) -> Reading | None:
    if labels is None:
        return None
    reading = Reading()
    for file, label in zip(files, labels, strict=True):
        if label is None:
            reading.left_out.append((file.parts, _(_NO_LABEL)))
        else:
            reading.labelled.append(Labelled(file, label))
    return reading
