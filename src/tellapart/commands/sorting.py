"""`tellapart predict --sort-into`: a copy of each photo in a folder per predicted class; the photos stay as they are.

A photo that a sorting before has put into another folder stays there and is named: no photo is in two classes.
The folder holds `<class>/<file name>`, `sorted.csv` with what came from where, and the marker `sorted.json`.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tellapart.commands.copying import PhotoCopier, folder_names
from tellapart.photos.photoset import PhotoSet
from tellapart.records import Prediction, Skipped
from tellapart.runs.outputs import check_dir, check_outside, claim_dir
from tellapart.store import PartialFile, open_whole, remove_partials, to_csv_bytes, to_json_bytes, write_file

_SETTING = "sort_into"
_MARKER, _TABLE = "sorted.json", "sorted.csv"


@dataclass(frozen=True)
class SortedPhotos:
    """What `--sort-into` did.

    Attributes:
        num_copied: photos copied now.
        num_kept: photos whose copy was there already.
        elsewhere: photos that were in another folder already, and where, relative to the folder of the sorting; they
            got no second copy.
        lost: photos that were predicted and could no longer be read when they were to be copied.
    """

    num_copied: int
    num_kept: int
    lost: tuple[Skipped, ...]
    elsewhere: tuple[tuple[str, str], ...] = ()


@contextlib.contextmanager
def sort_photos(
    sort_dir: Path, sources: Iterable[str | Path], photos: PhotoSet, class_names: Sequence[str]
) -> Iterator["PhotoSorter"]:
    """What takes the predictions, one by one, and copies each photo; `sorted.csv` is there when the block has ended.

    Args:
        sort_dir: new, empty, or the folder of an earlier sorting, whose files stay.
        sources: what the photos were read from; the folder lies outside of them.
        photos: what is predicted.
        class_names: the classes of the model, and what else it may answer.

    Raises:
        OutputError: the folder holds something else, lies inside a source, or cannot be written to.
    """
    check_sort_dir(sort_dir, sources)
    claim_dir(sort_dir, _MARKER, _SETTING)
    remove_partials(sort_dir)
    write_file(sort_dir / _MARKER, to_json_bytes({"kind": "tellapart sorted photos"}))
    copier = PhotoCopier(sort_dir, photos, _SETTING, stays=True)
    with open_whole(sort_dir / _TABLE) as table:
        table.write(to_csv_bytes([["path", "copied_to", "predicted_class", "probability", "nearest_class"]]))
        yield PhotoSorter(copier, folder_names(class_names, (_MARKER, _TABLE)), table)
        copier.sync()


def check_sort_dir(sort_dir: Path, sources: Iterable[str | Path]) -> None:
    """Nothing, if `sort_photos` would take the folder.

    Raises:
        OutputError: the folder holds something else, lies inside a source, or cannot be written to.
    """
    for source in sources:
        check_outside(sort_dir, source, _SETTING)
    check_dir(sort_dir, _MARKER, _SETTING)


class PhotoSorter:
    """Copies photos into a folder per predicted class, with a row of the table each; made by `sort_photos`."""

    def __init__(self, copier: PhotoCopier, folders: dict[str, str], table: PartialFile) -> None:
        self._copier = copier
        self._folders = folders
        self._table = table

    @property
    def done(self) -> SortedPhotos:
        """What was done so far."""
        return SortedPhotos(
            self._copier.num_copied, self._copier.num_kept, tuple(self._copier.lost), tuple(self._copier.elsewhere)
        )

    def add(self, row: int, result: Prediction | Skipped) -> None:
        """Copies the photo of this row, if it was predicted.

        Raises:
            OutputError: the copy cannot be written.
        """
        if isinstance(result, Skipped):
            return
        copied_to = self._copier.copy(row, self._folders[result.answer])
        if copied_to is not None:
            probability = "" if result.probability is None else f"{result.probability:.6g}"
            row_text = [result.path, copied_to, result.class_name or "", probability, result.nearest_class]
            self._table.write(to_csv_bytes([row_text], is_start=False))
