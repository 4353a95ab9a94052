"""What a person has decided about photos, applied to a `PhotoSet`.

`decision_table.py` reads and writes the file, `decision_matching.py` finds the photo of each decision.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from tellapart.decisions.decision_matching import match_decisions
from tellapart.decisions.decision_table import (
    Decision,
    Decisions,
    decisions_to_csv,
    find_decisions,
    read_decisions,
)
from tellapart.errors import DatasetError
from tellapart.photos.loading import digest_photos
from tellapart.photos.names import LONGEST_FOLDER_NAME, name_some, natural_key, safe_name, same_name_key
from tellapart.photos.photoset import PhotoSet
from tellapart.records import Skipped
from tellapart.translation import gettext as _
from tellapart.translation import gettext_noop, ngettext
from tellapart.watcher import Watcher

__all__ = [
    "Applied",
    "DecidedPhotos",
    "Decision",
    "Decisions",
    "apply_decisions",
    "apply_own_decisions",
    "decisions_to_csv",
    "find_decisions",
    "read_decisions",
]

_REMOVED = gettext_noop("removed by a decision")


@dataclass(frozen=True, eq=False)
class Applied:
    """Photos after decisions have taken effect.

    Attributes:
        photos: without those removed, which are among its `skipped`; moved ones with their new label. A class whose
            last photo went is none any more, and new classes are in their natural place.
        rows: the row that each had before, int64, rising.
        confirmed: rows of `photos` whose label a person has decided on, by `keep` or `move`.
        num_kept, num_moved, num_removed: photos that a decision kept, moved or removed.
        num_decisions: decisions there were.
        num_changed: those about photos whose content has changed since, so that they were left out.
        num_elsewhere: other decisions that are about none of the photos.
        new_classes: classes that a decision has made.
        emptied: classes that have no photo any more.
        shown: the file of the decisions.
        note: a sentence on that file; `None` where all is well.
    """

    photos: PhotoSet
    rows: NDArray[np.int64] = field(repr=False)
    confirmed: frozenset[int] = field(repr=False)
    num_kept: int
    num_moved: int
    num_removed: int
    num_decisions: int
    num_changed: int
    num_elsewhere: int
    new_classes: tuple[str, ...]
    emptied: tuple[str, ...]
    shown: str
    note: str | None = None

    def notes(self) -> tuple[str, ...]:
        """A sentence for each thing that the owner of the photos may not expect."""
        found: list[str] = [] if self.note is None else [self.note]
        if self.num_changed:
            found.append(
                ngettext(
                    "{num:,} photo has changed since the decisions in {shown!r} were made. Its decision was left out",
                    "{num:,} photos have changed since the decisions in {shown!r} were made. "
                    "Their decisions were left out",
                    self.num_changed,
                ).format(num=self.num_changed, shown=self.shown)
            )
        if self.num_elsewhere:
            found.append(
                ngettext(
                    "the only decision in {shown!r} had no effect: {source!r} has no such photo with that label",
                    "{num:,} of the {total:,} decisions in {shown!r} had no effect: {source!r} has no such photo with "
                    "that label",
                    self.num_decisions,
                ).format(num=self.num_elsewhere, total=self.num_decisions, shown=self.shown, source=self.photos.source)
            )
        if self.new_classes:
            found.append(_("new class by a decision: {names}").format(names=name_some(self.new_classes)))
        if self.emptied:
            found.append(
                _("no photo is left in class {names}, so it is no longer a class").format(names=name_some(self.emptied))
            )
        return tuple(found)


def apply_decisions(
    photos: PhotoSet, digests: Sequence[str | Skipped], decisions: Decisions, *, must_match: bool = True
) -> Applied:
    """The photos as the decisions want them.

    Args:
        photos: with labels; not modified.
        digests: one a photo, as `digest_photos` gives; no decision is about a photo that cannot be read.
        decisions: what was decided.
        must_match: whether decisions that are all about other photos are an error: they are when the user has named
            them for these photos, and not when they were found beside the photos.

    Raises:
        DatasetError: none of the decisions is about any of the photos, or a photo is moved to a class that cannot be a
            folder everywhere.
    """
    assert photos.labels is not None, "only labelled photos are decided on"
    matches = match_decisions(photos, digests, decisions.rows)
    if must_match and decisions.rows and not matches.chosen:
        _refuse_all(photos.source, decisions, matches.num_changed)
    labels = [photos.class_names[label] for label in photos.labels.tolist()]
    new_labels = _new_labels(labels, photos.class_names, matches.chosen, decisions.shown)
    result, rows = _rebuild(photos, new_labels)
    decided = [one is not None and one.label is not None for one in map(matches.chosen.get, rows.tolist())]
    removed = sum(label is None for label in new_labels)
    moved = sum(new is not None and new != old for old, new in zip(labels, new_labels, strict=True))
    return Applied(
        photos=result,
        rows=rows,
        confirmed=_with_copies(result, [digests[row] for row in rows], decided),
        num_kept=len(matches.chosen) - removed - moved,
        num_moved=moved,
        num_removed=removed,
        num_decisions=len(decisions.rows),
        num_changed=matches.num_changed,
        num_elsewhere=matches.num_elsewhere,
        new_classes=tuple(name for name in result.class_names if name not in photos.class_names),
        emptied=tuple(name for name in photos.class_names if name not in result.class_names),
        shown=decisions.shown,
        note=decisions.note,
    )


def _refuse_all(source: str, decisions: Decisions, num_changed: int) -> None:
    num = len(decisions.rows)
    sentences = [
        ngettext(
            "the decision in {shown!r} is not about a photo in {source!r}.",
            "none of the {num:,} decisions in {shown!r} is about a photo in {source!r}.",
            num,
        ).format(num=num, shown=decisions.shown, source=source)
    ]
    if num_changed:
        sentences.append(
            ngettext(
                "{num:,} photo has changed since, and its decision was left out.",
                "{num:,} photos have changed since, and their decisions were left out.",
                num_changed,
            ).format(num=num_changed)
        )
    sentences.append(_("Give the photos that were decided on, under any names, or check these photos again."))
    raise DatasetError(" ".join(sentences), paths=[source, decisions.shown])


def _new_labels(
    labels: Sequence[str], class_names: Sequence[str], chosen: Mapping[int, Decision], shown: str
) -> list[str | None]:
    """The class of each photo by the decisions, `None` for one that is removed."""
    exact = set(class_names)
    alike = {same_name_key(name): name for name in reversed(class_names)}
    result: list[str | None] = list(labels)
    for row, one in chosen.items():
        if one.verdict == "remove":
            result[row] = None
        elif one.new_class is not None and one.new_class in exact:
            result[row] = one.new_class
        elif one.new_class is not None:
            key = same_name_key(one.new_class)
            if key not in alike:
                _check_class(one, shown)
            # `Dog` is `dog` where that exists: folders that differ by case alone are one folder on many disks.
            result[row] = alike.setdefault(key, one.new_class)
    return result


def _check_class(one: Decision, shown: str) -> None:
    name = one.new_class or ""
    safe = safe_name(name[:LONGEST_FOLDER_NAME])
    if safe != name:
        raise DatasetError(
            _(
                "line {line} of the decisions {shown!r} moves a photo to {name!r}. Some systems do not allow that "
                'name for a folder. Give at most {most} characters without <>:"/\\|?*, such as {safe!r}.'
            ).format(line=one.line, shown=shown, name=name, most=LONGEST_FOLDER_NAME, safe=safe),
            paths=[shown],
        )


def _rebuild(photos: PhotoSet, labels: Sequence[str | None]) -> tuple[PhotoSet, NDArray[np.int64]]:
    """The photos that have a label left, with these labels, and the row of each."""
    assert photos.labels is not None
    kept = [label for label in labels if label is not None]
    # Classes without photos beforehand stay as they were.
    never_used = set(photos.class_names) - {photos.class_names[label] for label in set(photos.labels.tolist())}
    class_names = tuple(sorted(never_used.union(kept), key=lambda name: natural_key((name,))))
    numbers = {name: number for number, name in enumerate(class_names)}
    rows = np.array([row for row, label in enumerate(labels) if label is not None], dtype=np.int64)
    removed = tuple(Skipped(photos.paths[row], _(_REMOVED)) for row, label in enumerate(labels) if label is None)
    result = replace(
        photos.take(rows),
        labels=np.array([numbers[label] for label in kept], dtype=np.int64),
        class_names=class_names,
        skipped=(*photos.skipped, *removed),
    )
    return result, rows


def _with_copies(photos: PhotoSet, digests: Sequence[str | Skipped], decided: Sequence[bool]) -> frozenset[int]:
    """Rows of the photos that were decided on, and of their copies in the same class."""
    assert photos.labels is not None
    pairs = list(zip(digests, photos.labels.tolist(), strict=True))
    known = {pair for pair, is_decided in zip(pairs, decided, strict=True) if is_decided}
    return frozenset(row for row, pair in enumerate(pairs) if pair in known)


@dataclass(frozen=True, eq=False)
class DecidedPhotos:
    """Photos after what their owner has decided about them in a `decisions.csv` beside them.

    Attributes:
        photos: without those removed, with new labels for those moved.
        confirmed: content and class of each photo whose label a person has decided on.
    """

    photos: PhotoSet
    confirmed: frozenset[tuple[str, str]] = frozenset()


def apply_own_decisions(photos: PhotoSet, watcher: Watcher) -> DecidedPhotos:
    """The photos as the `decisions.csv` in each of their folders wants them; as they are where there is none.

    Raises:
        DatasetError: a file is damaged, or moves a photo to a class that cannot be a folder.
    """
    found = [path for path in map(find_decisions, photos.sources or (photos.source,)) if path is not None]
    if not found or photos.labels is None:
        return DecidedPhotos(photos)
    digests = digest_photos(photos)
    confirmed: set[tuple[str, str]] = set()
    for path in found:
        applied = apply_decisions(photos, digests, read_decisions(path), must_match=False)
        for note in applied.notes():
            watcher.on_note(note)
        photos, digests = applied.photos, [digests[row] for row in applied.rows]
        assert photos.labels is not None
        confirmed.update((str(digests[row]), photos.class_names[photos.labels[row]]) for row in applied.confirmed)
    return DecidedPhotos(photos, frozenset(confirmed))
