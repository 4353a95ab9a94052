"""`tellapart fix`: a cleaned copy of labelled photos, as a person has decided; the originals stay as they are.

The copy holds `<class>/<file name>` (below a folder per split where the source has several), `decisions.csv` with the
labels that a person has confirmed, and `fixed.json`, which says what the copy was made of: running again after a kill
completes it, and other photos are never mixed into it.
"""

import glob
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack, cast

import platformdirs

from tellapart.commands.cleaned_names import describe_surprises
from tellapart.commands.copying import PhotoCopier, copy_name, folder_names
from tellapart.config import ImageLimits
from tellapart.decisions.decisions import (
    Applied,
    Decision,
    Decisions,
    apply_decisions,
    decisions_to_csv,
    find_decisions,
    read_decisions,
)
from tellapart.errors import ConfigError, DatasetError, OutputError
from tellapart.images.gate import read_info
from tellapart.photos.loading import digest_photo, map_photos
from tellapart.photos.misplaced import CLEANED_KIND
from tellapart.photos.names import CLEANED_MARKER, DECISIONS_NAME, class_name, printable
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.sources import Photos, open_labelled, source_paths
from tellapart.records import Skipped
from tellapart.runs.outputs import check_dir, check_outside, claim_dir
from tellapart.runs.run_folder import RUN_FILE_NAME, read_run_file
from tellapart.settings import SourceSettings, source_config
from tellapart.store import remove_partials, sha256_hex, to_json_bytes, write_file
from tellapart.translation import gettext as _
from tellapart.untrusted import read_json

_DEFAULT_SPLIT = "train"
# What a browser puts behind the name of a file that is there already.
_COUNTED = re.compile(r"( ?\(\d+\)|-\d+)?")


@dataclass(frozen=True)
class FixSummary:
    """What a cleaned copy holds, and what became of the rest.

    Attributes:
        counts: photos of the copy by class, in class order, those that were there already included.
        num_kept: photos whose label a decision confirmed.
        num_moved: photos that a decision moved to another class.
        num_removed: photos that a decision removed.
        num_copies: byte-identical copies that were left out.
        num_there: photos whose copy an earlier, unfinished run had made.
        skipped: files of the source that are no usable photos, with the reason.
        notes: sentences about what may be unexpected.
    """

    counts: dict[str, int]
    num_kept: int
    num_moved: int
    num_removed: int
    num_copies: int
    num_there: int
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]

    @property
    def num_photos(self) -> int:
        """Photos of the copy."""
        return sum(self.counts.values())


@dataclass(frozen=True, eq=False)
class _Cleaned:
    """Photos, one digest each, and the rows whose label a person has decided on."""

    photos: PhotoSet
    digests: list[str]
    decided: frozenset[int] = frozenset()


def fix(
    photos: Photos,
    out: str | Path,
    *,
    decisions: str | Path | None = None,
    drop_copies: bool = False,
    on_photo: Callable[[int, int], None] = lambda num_done, num_photos: None,
    **source: Unpack[SourceSettings],
) -> FixSummary:
    """What was copied into the folder `out`, with the decisions applied.

    Decisions that stand in the source itself are applied first: those named are about the photos as these leave them.

    Args:
        photos: labelled photos, as for `open_photos`, or the folder of a run, whose photos are meant; not modified.
        out: outside of the source; new, empty, or the copy of an earlier run with the same photos and decisions.
        decisions: the file of the decisions, or the name under which the report offered it: then it is looked for here,
            in the folders of the photos, and where a browser puts downloads. May be left out with `drop_copies`, or
            where the source holds a `decisions.csv`.
        drop_copies: whether byte-identical photos of one class are copied once.
        on_photo: told how many of how many photos are done; each counts half when it is read, half when it is copied.
        source: where labels come from: the fields of `SourceConfig`; `per_class` plays no part.

    Raises:
        ConfigError: there is nothing to do.
        DatasetError: the source or the decisions cannot be used, none of them is about the photos, or none is left.
        OutputError: the folder lies inside the source, holds something else, or cannot be written.
    """
    photos, source = _photos_of_run(photos, source)
    config, out_dir, named = source_config(source), Path(out), source_paths(photos)
    for path in named:
        check_outside(out_dir, path)
    check_dir(out_dir, CLEANED_MARKER)
    steps = _read_steps(named, None if decisions is None else find_download(decisions, named), drop_copies)
    opened = open_labelled(photos, config, check=False)
    start, skipped = _read_all(opened, opened.limits, on_photo)
    decided, applied = _apply(start, steps)
    cleaned = _without_copies(decided) if drop_copies else decided
    if not len(cleaned.photos):
        raise DatasetError(
            _("no photo of {source!r} is left to copy. Remove fewer photos.").format(source=opened.source),
            paths=[opened.source],
        )
    folders = _choose_folders(cleaned.photos)
    _claim(out_dir, cleaned, folders)
    copier = PhotoCopier(out_dir, cleaned.photos)
    places = _copy_all(copier, folders, lambda share: on_photo(math.ceil((1 + share) * len(opened) / 2), len(opened)))
    write_file(out_dir / DECISIONS_NAME, decisions_to_csv(_decided_rows(cleaned, places, out_dir)))
    num_moved = sum(one.num_moved for one in applied)
    return FixSummary(
        counts=cleaned.photos.take([row for row, place in enumerate(places) if place is not None]).counts(),
        num_kept=sum(one.num_kept for one in applied[-1:]),
        num_moved=num_moved,
        num_removed=sum(one.num_removed for one in applied),
        num_copies=len(decided.photos) - len(cleaned.photos),
        num_there=copier.num_kept,
        skipped=(*skipped, *copier.lost),
        notes=(
            *opened.notes,
            *(note for one in applied for note in one.notes()),
            *describe_surprises(cleaned.photos, places, out_dir),
        ),
    )


def _photos_of_run(photos: Photos, settings: SourceSettings) -> tuple[Photos, SourceSettings]:
    """The photos of a run and the settings of their labels where its folder was named; else both as they are."""
    if not isinstance(photos, str | Path) or not (Path(photos) / RUN_FILE_NAME).is_file():
        return photos, settings
    run_file = read_run_file(Path(photos))
    where: Photos = run_file.source if isinstance(run_file.source, str) else list(run_file.source)
    return where, cast("SourceSettings", {**run_file.labels, **settings})


def find_download(named: str | Path, sources: Sequence[str | Path]) -> Path:
    """The file that was named, or the newest download of that name; `named` itself where there is none.

    A browser that downloads a file once more calls it `decisions-1a2b3c4d (1).csv`.
    """
    path = Path(named)
    if path.exists() or path.name != str(named):
        return path
    folders = [*map(Path, sources), Path(platformdirs.user_downloads_dir())]
    pattern = f"{glob.escape(path.stem)}*{glob.escape(path.suffix)}"
    found = [one for folder in folders for one in folder.glob(pattern) if _COUNTED.fullmatch(one.stem, len(path.stem))]
    return max(found, key=lambda one: one.stat().st_mtime, default=path)


def _read_steps(
    sources: Sequence[str | Path], named: str | Path | None, drop_copies: bool
) -> list[tuple[Decisions, bool]]:
    """The decisions to apply, one file after the other, and whether it is an error that none is about the photos.

    It is one for the file that the user has named, and for that in the source where there is nothing else to do.
    """
    found = [path for path in map(find_decisions, sources) if path is not None]
    is_named = [named is not None and Path(named).exists() and path.samefile(named) for path in found]
    is_all = named is None and not drop_copies and len(found) == 1
    steps = [(read_decisions(path), is_all or is_it) for path, is_it in zip(found, is_named, strict=True)]
    if named is not None and not any(is_named):
        steps.append((read_decisions(named), True))
    if not drop_copies and not any(decisions.rows for decisions, _unused in steps):
        problem = (
            _("{file!r} holds no decision, so there is nothing to fix.").format(file=str(named))
            if named is not None
            else _("No decisions were given, so there is nothing to fix.")
        )
        what_to_do = _("Give the file that you downloaded from the report as `decisions`, or give `drop_copies=True`.")
        raise ConfigError(
            f"{problem} {what_to_do}",
            field="decisions",
            value=named,
        )
    return steps


def _read_all(
    photos: PhotoSet, limits: ImageLimits, on_photo: Callable[[int, int], None]
) -> tuple[_Cleaned, tuple[Skipped, ...]]:
    """The photos that can be used, as far as their headers tell, and the files that cannot."""
    digests: list[str] = []
    rows: list[int] = []
    unusable: list[Skipped] = []
    for row, item in enumerate(map_photos(photos, lambda data: _check_and_digest(data, limits))):
        if isinstance(item, Skipped):
            unusable.append(item)
        else:
            digests.append(item)
            rows.append(row)
        on_photo(row // 2 + 1, len(photos))
    return _Cleaned(photos.take(rows), digests), (*photos.skipped, *unusable)


def _check_and_digest(data: bytes, limits: ImageLimits) -> str:
    read_info(data, limits)
    return digest_photo(data)


def _apply(cleaned: _Cleaned, steps: Sequence[tuple[Decisions, bool]]) -> tuple[_Cleaned, list[Applied]]:
    """The photos after all decisions; a later file may overrule what an earlier one confirmed."""
    results: list[Applied] = []
    for decisions, must_match in steps:
        applied = apply_decisions(cleaned.photos, cleaned.digests, decisions, must_match=must_match)
        rows = applied.rows.tolist()
        decided = applied.confirmed | {new for new, old in enumerate(rows) if old in cleaned.decided}
        cleaned = _Cleaned(applied.photos, [cleaned.digests[row] for row in rows], decided)
        results.append(applied)
    return cleaned, results


def _without_copies(cleaned: _Cleaned) -> _Cleaned:
    """The first of the byte-identical photos of each class."""
    assert cleaned.photos.labels is not None
    first: dict[tuple[str, int], int] = {}
    for row, key in enumerate(zip(cleaned.digests, cleaned.photos.labels.tolist(), strict=True)):
        first.setdefault(key, row)
    rows = sorted(first.values())
    decided = frozenset(new for new, old in enumerate(rows) if old in cleaned.decided)
    return _Cleaned(cleaned.photos.take(rows), [cleaned.digests[row] for row in rows], decided)


def _choose_folders(photos: PhotoSet) -> list[str]:
    """The folder of each photo, relative to that of the copy."""
    assert photos.labels is not None
    by_class = folder_names(photos.class_names, (CLEANED_MARKER, DECISIONS_NAME))
    folders = [by_class[photos.class_names[label]] for label in photos.labels.tolist()]
    if len(set(photos.given_splits)) < 2:
        return folders
    # What the source keeps for testing stays apart; photos outside of its split folders are trained on.
    return [f"{split or _DEFAULT_SPLIT}/{name}" for split, name in zip(photos.given_splits, folders, strict=True)]


def _claim(out_dir: Path, cleaned: _Cleaned, folders: Sequence[str]) -> None:
    """The folder is that of a copy of exactly these photos."""
    names = [copy_name(cleaned.photos, row) for row in range(len(folders))]
    key = sha256_hex(to_json_bytes([list(item) for item in zip(cleaned.digests, folders, names, strict=True)]))
    marker = out_dir / CLEANED_MARKER
    claim_dir(out_dir, CLEANED_MARKER)
    if marker.is_file() and _read_key(marker) != key:
        raise OutputError(
            _(
                "{out_dir!r} holds a copy of other photos, or a copy made with other decisions. Give "
                "another folder as `out`, or delete that folder first."
            ).format(out_dir=str(out_dir)),
            path=out_dir,
        )
    remove_partials(out_dir)
    write_file(
        marker, to_json_bytes({"kind": CLEANED_KIND, "source": cleaned.photos.portable().source, "content": key})
    )


def _read_key(marker: Path) -> str | None:
    """What an earlier run was made of; `None` where the file is not one of ours, or damaged."""
    try:
        found = read_json(marker)
    except (OSError, ValueError):
        return None
    return found.get("content") if isinstance(found, dict) and found.get("kind") == CLEANED_KIND else None


def _copy_all(copier: PhotoCopier, folders: Sequence[str], on_share: Callable[[float], None]) -> list[str | None]:
    """Where each photo stands now, relative to the copy; `None` for one that could not be read any more."""
    places: list[str | None] = []
    for row, folder in enumerate(folders):
        places.append(copier.copy(row, folder))
        on_share((row + 1) / len(folders))
    copier.sync()
    return places


def _decided_rows(cleaned: _Cleaned, places: Sequence[str | None], out_dir: Path) -> list[Decision]:
    """What a person has decided on, as it is in the copy: every label is right."""
    rows: list[Decision] = []
    for row in sorted(cleaned.decided):
        place = places[row]
        if place is not None:
            path, folder = printable(str(out_dir / place)), place.split("/")[-2]
            rows.append(Decision(len(rows) + 2, cleaned.digests[row], path, class_name(folder), "keep"))
    return rows
