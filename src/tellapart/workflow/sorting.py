"""`tellapart predict --sort-into`: a copy of each photo in a folder per predicted class; the photos stay as they are.

The folder holds `<class>/<file name>`, `sorted.csv` with what came from where, and the marker `sorted.json`.
"""

import contextlib
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tellapart.errors import ImageError, OutputError
from tellapart.photos.files import ArchiveMember
from tellapart.photos.photoset import PhotoSet
from tellapart.records import Prediction, Skipped
from tellapart.store import (
    PartialFile,
    check_outside,
    claim_dir,
    open_whole,
    remove_partials,
    sync_folder,
    to_csv_bytes,
    to_json_bytes,
    write_file,
)

_FLAG = "--sort-into"
_MARKER, _TABLE = "sorted.json", "sorted.csv"
_FORBIDDEN = frozenset('<>:"/\\|?*')
# What Windows takes for a device, whatever follows the first dot.
_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9\u00b9\u00b2\u00b3]) *(\..*)?", re.IGNORECASE)
_LONGEST_NAME = 60


@dataclass(frozen=True)
class SortedPhotos:
    """What `--sort-into` did.

    Attributes:
        num_copied: photos copied now.
        num_kept: photos whose copy was there already.
        lost: photos that were predicted and could no longer be read when they were to be copied.
    """

    num_copied: int
    num_kept: int
    lost: tuple[Skipped, ...]


@contextlib.contextmanager
def sort_photos(
    sort_dir: Path, sources: Iterable[str | Path], photos: PhotoSet, class_names: Sequence[str]
) -> Iterator["PhotoSorter"]:
    """What takes the predictions, one by one, and copies each photo; `sorted.csv` is there when the block has ended.

    Args:
        sort_dir: new, empty, or the folder of an earlier sorting, whose files stay.
        sources: what the photos were read from; the folder lies outside of them.
        photos: what is predicted.
        class_names: the classes of the model.

    Raises:
        OutputError: the folder holds something else, lies inside a source, or cannot be written to.
    """
    for source in sources:
        check_outside(sort_dir, Path(source), _FLAG)
    claim_dir(sort_dir, _MARKER, _FLAG)
    remove_partials(sort_dir)
    write_file(sort_dir / _MARKER, to_json_bytes({"kind": "tellapart sorted photos"}))
    with open_whole(sort_dir / _TABLE) as table:
        table.write(to_csv_bytes([["path", "copied_to", "predicted_class", "probability"]]))
        sorter = PhotoSorter(sort_dir, photos, class_names, table)
        yield sorter
        sorter.sync()


class PhotoSorter:
    """Copies photos into a folder per class; made by `sort_photos`.

    A photo keeps its file name and its modification time. Where another photo of that name has been sorted into the
    folder, or a file with other content stands there, it becomes `name (2).jpg`, and so on; no file is ever replaced.
    A copy that an earlier sorting left there is not made again.
    """

    def __init__(self, sort_dir: Path, photos: PhotoSet, class_names: Sequence[str], table: PartialFile) -> None:
        self._photos = photos
        self._folders = {name: sort_dir / folder for name, folder in folder_names(class_names).items()}
        self._table = table
        # The places that photos of this sorting have, as text, which takes a third of the memory of a `Path`; and for a
        # name that came more than once the number below which all are taken.
        self._taken: set[str] = set()
        self._next_numbers: dict[str, int] = {}
        self._used_folders: set[Path] = set()
        self._num_copied = self._num_kept = 0
        self._lost: list[Skipped] = []

    @property
    def done(self) -> SortedPhotos:
        """What was done so far."""
        return SortedPhotos(self._num_copied, self._num_kept, tuple(self._lost))

    def add(self, row: int, result: Prediction | Skipped) -> None:
        """Copies the photo of this row, if it was predicted.

        Raises:
            OutputError: the copy cannot be written.
        """
        if isinstance(result, Skipped):
            return
        try:
            data = self._photos.read(row)
        except ImageError as exc:
            self._lost.append(Skipped(result.path, str(exc)))
            return
        folder = self._folders[result.predicted_class]
        self._make(folder)
        path, is_there = self._find_place(folder / self._file_name(row), data)
        if is_there:
            self._num_kept += 1
        else:
            _copy(path, data, self._photos.places[row].modified_ns())
            self._num_copied += 1
        copied_to = f"{folder.name}/{path.name}"
        row_text = [result.path, copied_to, result.predicted_class, f"{result.probability:.6g}"]
        self._table.write(to_csv_bytes([row_text]))

    def sync(self) -> None:
        """Nothing; the names of the copies survive a power cut from now on."""
        for folder in self._used_folders:
            sync_folder(folder)

    def _make(self, folder: Path) -> None:
        if folder in self._used_folders:
            return
        try:
            folder.mkdir(exist_ok=True)
        except OSError as exc:
            raise OutputError(
                f"cannot make the folder {str(folder)!r}: {exc.strerror}; make room for it, or pass another {_FLAG}."
            ) from exc
        remove_partials(folder)
        self._used_folders.add(folder)

    def _file_name(self, row: int) -> str:
        name = os.path.basename(self._photos.paths[row])
        # A zip may hold names that this system does not allow.
        return _safe_name(name) if isinstance(self._photos.places[row], ArchiveMember) else name

    def _find_place(self, wanted: Path, data: bytes) -> tuple[Path, bool]:
        """Where the copy goes, and whether it is there already."""
        number = self._next_numbers.get(str(wanted), 1)
        while str(_numbered(wanted, number)) in self._taken:
            number += 1
        if number > 1:
            self._next_numbers[str(wanted)] = number
        while True:
            path = _numbered(wanted, number)
            is_taken = str(path) in self._taken
            is_there = not is_taken and _holds(path, data)
            if is_there or not (is_taken or os.path.lexists(path)):
                self._taken.add(str(path))
                return path, is_there
            number += 1


def folder_names(class_names: Iterable[str]) -> dict[str, str]:
    """Class name to the name of its folder: one that every system allows, and no two alike, whatever their case."""
    taken = {_MARKER, _TABLE}
    folders: dict[str, str] = {}
    for class_name in class_names:
        base = _safe_name(class_name[:_LONGEST_NAME])
        folder, number = base, 2
        while _key(folder) in taken:
            folder, number = f"{base} ({number})", number + 1
        taken.add(_key(folder))
        folders[class_name] = folder
    return folders


def _safe_name(text: str) -> str:
    """The text without what some system does not allow in a file name, never empty, hidden or a device."""
    shown = "".join("_" if char in _FORBIDDEN or not char.isprintable() else char for char in text).strip(" .") or "_"
    return f"_{shown}" if _DEVICE.fullmatch(shown) else shown


def _key(name: str) -> str:
    """Equal for names that a file system may take for the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _numbered(path: Path, number: int) -> Path:
    return path if number == 1 else path.with_name(f"{path.stem} ({number}){path.suffix}")


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False


def _copy(path: Path, data: bytes, modified_ns: int | None) -> None:
    # Not synced one by one: 4,000 photos would take longer to copy than to predict.
    with open_whole(path, is_synced=False) as file:
        file.write(data)
        if modified_ns is not None:
            with contextlib.suppress(OSError):  # some network disks keep their own time
                os.utime(file.path, ns=(modified_ns, modified_ns))
