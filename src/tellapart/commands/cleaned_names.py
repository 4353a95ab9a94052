"""What the folder and file names of a cleaned copy mean to whoever reads it as a source of photos."""

from collections.abc import Sequence
from pathlib import Path

from tellapart.photos.files import FoundFile
from tellapart.photos.layout import label_files
from tellapart.photos.misplaced import separate_photos
from tellapart.photos.names import class_name, list_some, name_some, natural_key
from tellapart.photos.photoset import PhotoSet
from tellapart.translation import gettext as _


def describe_surprises(photos: PhotoSet, places: Sequence[str | None], out_dir: Path) -> list[str]:
    """A sentence for each way in which the copy, read as a folder of photos, differs from what was copied.

    Args:
        photos: what was copied.
        places: where each stands, relative to `out_dir`, as `<class>/<name>` or `<split>/<class>/<name>`; `None` for
            one that was not copied.
        out_dir: the folder of the copy.
    """
    assert photos.labels is not None
    found: list[str] = []
    files: list[FoundFile] = []
    folders: dict[str, str] = {}
    for label, place, photo in zip(photos.labels.tolist(), places, photos.places, strict=True):
        if place is not None:
            files.append(FoundFile(tuple(place.split("/")), photo))
            folders[photos.class_names[label]] = files[-1].parts[-2]
    renamed = [name for name, folder in folders.items() if class_name(folder) != name]
    if renamed:
        shown = list_some([_("{folder!r} for {name!r}").format(folder=folders[name], name=name) for name in renamed])
        found.append(_("folders are named so that every system allows them: {shown}").format(shown=shown))
    if len(folders) < 2:
        found.append(
            _("only the class {folders} is left in {out_dir!r}. Training needs at least 2 classes").format(
                folders=name_some(folders), out_dir=str(out_dir)
            )
        )
    elif misread := _find_misread(files, out_dir.stem):
        found.append(
            _(
                "{num:,} photos, such as {first!r}, have names from which {out_dir!r} will be "
                "read with other classes. Rename their folders or files there before you train"
            ).format(num=len(misread), first=misread[0], out_dir=str(out_dir))
        )
    return found


def _find_misread(files: Sequence[FoundFile], source_name: str) -> list[str]:
    """The files whose class, by their place, is not that of the folder they stand in."""
    listed = sorted(files, key=lambda file: natural_key(file.parts))
    kept, _unused = separate_photos(listed)
    reading = label_files(kept, source_name)
    labels = {item.file.parts: item.label for item in reading.labelled} if reading is not None else {}
    return ["/".join(file.parts) for file in listed if labels.get(file.parts) != class_name(file.parts[-2])]
