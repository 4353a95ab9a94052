"""Copies of photos in a folder per class, byte for byte; the photos stay as they are.

`commands/sorting.py` copies by what a model says, `commands/fix.py` by what a person has decided.
"""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from tellapart.errors import ImageError, OutputError
from tellapart.photos.files import ArchiveMember
from tellapart.photos.names import LONGEST_FOLDER_NAME, is_system_name, safe_name, same_name_key
from tellapart.photos.photoset import PhotoSet
from tellapart.records import Skipped
from tellapart.store import open_whole, remove_partials, sync_folder
from tellapart.translation import gettext as _


class PhotoCopier:
    """Copies photos into folders below `out_dir`, which exists.

    A photo keeps its file name and its modification time. Where another photo has been given that name in the folder,
    or one that differs by case alone, or a file with other content stands there, it becomes `name (2).jpg`, and so on;
    no file is ever replaced. A copy that an earlier run left there is not made again.

    Args:
        out_dir: what the folders are made in.
        photos: what is copied.
        setting: what the user named `out_dir` with.
        stays: whether a photo that has a copy in any folder of `out_dir` stays there, and gets no second one.

    Attributes:
        num_copied: photos copied now.
        num_kept: photos whose copy was there already.
        elsewhere: photos that an earlier run, or a person since, has put into another folder, and where they are.
        lost: photos that could not be read when they were to be copied.
    """

    def __init__(self, out_dir: Path, photos: PhotoSet, setting: str = "out", *, stays: bool = False) -> None:
        self._out_dir = out_dir
        self._photos = photos
        self._setting = setting
        # The places that photos of this run have, as text, which takes a third of the memory of a `Path`; and for a
        # name that came more than once the number below which all are taken.
        self._taken: set[str] = set()
        self._next_numbers: dict[str, int] = {}
        self._used_folders: set[Path] = set()
        self.num_copied = self.num_kept = 0
        self.elsewhere: list[tuple[str, str]] = []
        self.lost: list[Skipped] = []
        self._earlier = _earlier_copies(out_dir) if stays else {}

    def copy(self, row: int, folder: str) -> str | None:
        """Where the copy of the photo of this row stands, relative to `out_dir`; `None` if it could not be read.

        Args:
            row: of the photo.
            folder: relative to `out_dir`, with `/` between its parts; made when it is first used.

        Raises:
            OutputError: the copy cannot be written.
        """
        try:
            data = self._photos.read(row)
        except ImageError as exc:
            self.lost.append(Skipped(self._photos.paths[row], str(exc)))
            return None
        folder_path = self._out_dir / folder
        same = [path for path in self._earlier.get(len(data), ()) if _holds(path, data)]
        if same and all(path.parent != folder_path for path in same):
            found = same[0].relative_to(self._out_dir).as_posix()
            self.elsewhere.append((self._photos.paths[row], found))
            return found
        self._make(folder_path)
        path, is_there = self._find_place(folder_path / copy_name(self._photos, row), data, same)
        if is_there:
            self.num_kept += 1
        else:
            _write_copy(path, data, self._photos.places[row].modified_ns())
            self.num_copied += 1
        return f"{folder}/{path.name}"

    def sync(self) -> None:
        """Nothing; the names of the copies survive a power cut from now on."""
        for folder in self._used_folders:
            sync_folder(folder)

    def _make(self, folder: Path) -> None:
        if folder in self._used_folders:
            return
        if folder.parent != self._out_dir:
            self._make(folder.parent)
        try:
            folder.mkdir(exist_ok=True)
        except OSError as exc:
            raise OutputError(
                _(
                    "cannot make the folder {folder!r}: {strerror}. Free some space, or give another "
                    "folder as `{setting}`."
                ).format(folder=str(folder), strerror=exc.strerror, setting=self._setting),
                path=folder,
            ) from exc
        remove_partials(folder)
        self._used_folders.add(folder)

    def _find_place(self, wanted: Path, data: bytes, same: Iterable[Path]) -> tuple[Path, bool]:
        """Where the copy goes, and whether it is there already, under its own name or as one of `same`."""
        for path in (wanted, *same):
            if path.parent == wanted.parent and _place_key(path) not in self._taken and _holds(path, data):
                self._taken.add(_place_key(path))
                return path, True
        number = self._next_numbers.get(_place_key(wanted), 1)
        while _place_key(_numbered(wanted, number)) in self._taken:
            number += 1
        if number > 1:
            self._next_numbers[_place_key(wanted)] = number
        while True:
            path = _numbered(wanted, number)
            is_taken = _place_key(path) in self._taken
            is_there = not is_taken and _holds(path, data)
            if is_there or not (is_taken or os.path.lexists(path)):
                self._taken.add(_place_key(path))
                return path, is_there
            number += 1


def copy_name(photos: PhotoSet, row: int) -> str:
    """The file name that the copy of a photo asks for: its own, or one that this system allows and lists."""
    name = os.path.basename(photos.paths[row])
    # A zip may hold names that this system does not allow; a CSV may name a hidden file.
    return safe_name(name) if isinstance(photos.places[row], ArchiveMember) or is_system_name(name) else name


def folder_names(class_names: Iterable[str], reserved: Iterable[str]) -> dict[str, str]:
    """Class name to the name of its folder: one that every system allows, and no two alike, whatever their case.

    Args:
        class_names: any texts, none twice.
        reserved: names of files that stand beside the folders.
    """
    taken = {same_name_key(name) for name in reserved}
    folders: dict[str, str] = {}
    for class_name in class_names:
        base = safe_name(class_name[:LONGEST_FOLDER_NAME])
        folder, number = base, 2
        while same_name_key(folder) in taken:
            folder, number = f"{base} ({number})", number + 1
        taken.add(same_name_key(folder))
        folders[class_name] = folder
    return folders


def _earlier_copies(out_dir: Path) -> dict[int, list[Path]]:
    """Number of bytes to the files in the folders of `out_dir`, by name."""
    found: dict[int, list[Path]] = {}
    for path in sorted(out_dir.glob("*/*")):
        with contextlib.suppress(OSError):
            found.setdefault(path.stat().st_size, []).append(path)
    return found


def _place_key(path: Path) -> str:
    return f"{path.parent}{os.sep}{same_name_key(path.name)}"


def _numbered(path: Path, number: int) -> Path:
    return path if number == 1 else path.with_name(f"{path.stem} ({number}){path.suffix}")


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False


def _write_copy(path: Path, data: bytes, modified_ns: int | None) -> None:
    # Not synced one by one: 4,000 photos would take longer to copy than to predict.
    with open_whole(path, is_synced=False) as file:
        file.write(data)
        if modified_ns is not None:
            with contextlib.suppress(OSError):  # some network disks keep their own time
                os.utime(file.path, ns=(modified_ns, modified_ns))
