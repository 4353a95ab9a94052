"""What a run keeps of the photos its model learnt from, and which of other photos are these or near copies of them.

Their content stands in `split.csv`, their fingerprints in `fingerprints.bin`; the photos and the cache may be gone.
"""

from dataclasses import dataclass
from pathlib import Path

from tellapart.backbones.seen_photos import SeenPhotos
from tellapart.checkup.check_up import Checkup
from tellapart.checkup.duplicates import find_known
from tellapart.checkup.fingerprints import Fingerprints
from tellapart.errors import BundleError
from tellapart.measure.splits import Split
from tellapart.runs.run_tables import SPLIT_NAME, read_rows
from tellapart.store import write_file
from tellapart.translation import gettext as _
from tellapart.untrusted import read_regular, reason_of

FINGERPRINTS_NAME = "fingerprints.bin"
_MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class KnownPhotos:
    """What a run knows of some photos.

    Attributes:
        learnt: rows of photos that the model has learnt from, byte for byte.
        near_copies: rows of other photos that are near copies of one it has learnt from.
        validated: rows of photos that the training measured the model on.
        notes: what cannot be told, a sentence each.
    """

    learnt: frozenset[int] = frozenset()
    near_copies: frozenset[int] = frozenset()
    validated: frozenset[int] = frozenset()
    notes: tuple[str, ...] = ()

    @property
    def all(self) -> frozenset[int]:
        """Rows of the photos that the model has learnt from in one form or another."""
        return self.learnt | self.near_copies


def write_fingerprints(run_dir: Path, checkup: Checkup, split: Split) -> None:
    """Writes `fingerprints.bin`: those of the photos that are learnt from.

    There are none where the check-up has found that the photos differ in less than a thumbnail shows: each would be
    taken for a copy of another.
    """
    is_telling = all(finding.kind != "alike" for finding in checkup.findings)
    learnt = Fingerprints.of(checkup.seen.facts[row] for row in split.train.tolist() if is_telling)
    write_file(run_dir / FINGERPRINTS_NAME, learnt.to_bytes())


def find_known_photos(run_dir: Path | None, seen: SeenPhotos) -> KnownPhotos:
    """Which of the photos the model of a run has learnt from, and what cannot be told of it.

    Args:
        run_dir: folder of the run; `None` for a model that was not read from one.
        seen: the photos.

    Raises:
        BundleError: what the run keeps of its photos is damaged.
    """
    content = _read_content(run_dir)
    kept = _read_fingerprints(run_dir)
    if content is None and kept is None:
        note = _(
            "this model has no list of the photos it was trained on, so these photos may be among them. Copy the whole"
            " run folder to have them left out."
        )
        return KnownPhotos(notes=(note,))
    content = content or {}
    of_split = {
        name: frozenset(row for row, digest in enumerate(seen.digests) if content.get(digest) == name)
        for name in ("train", "validation")
    }
    is_needed = kept is not None and len(kept) > 0
    asked = [row for row in range(len(seen)) if is_needed and row not in of_split["train"]]
    notes: tuple[str, ...] = ()
    near: frozenset[int] = frozenset()
    if kept is None:
        notes = (
            _(
                "this run has no fingerprints of the photos it was trained on, so near-copies of them are not"
                " recognised. Train again to have them left out."
            ),
        )
    elif not len(kept):
        notes = (
            _(
                "the photos this model was trained on look nearly the same, so near-copies of them cannot be"
                " recognised."
                " Only identical files are left out."
            ),
        )
    elif asked:
        is_known = find_known(kept.thumbnails(), Fingerprints.of(seen.facts[row] for row in asked).thumbnails())
        near = frozenset(row for row, known in zip(asked, is_known, strict=True) if known)
    return KnownPhotos(of_split["train"], near, of_split["validation"] - near, notes)


def _read_content(run_dir: Path | None) -> dict[str, str] | None:
    """Content to split of the photos of a run; `None` where the folder does not say."""
    if run_dir is None or not (run_dir / SPLIT_NAME).is_file():
        return None
    try:
        return {row["content"]: row["split"] for row in read_rows(run_dir / SPLIT_NAME)}
    except KeyError as exc:
        raise _damaged(run_dir / SPLIT_NAME, _("it has no column {name}").format(name=exc)) from exc


def _read_fingerprints(run_dir: Path | None) -> Fingerprints | None:
    """The fingerprints of a run; `None` where there are none."""
    if run_dir is None or not (run_dir / FINGERPRINTS_NAME).is_file():
        return None
    path = run_dir / FINGERPRINTS_NAME
    try:
        return Fingerprints.from_bytes(read_regular(path, _MOST_BYTES))
    except (OSError, ValueError) as exc:
        raise _damaged(path, reason_of(exc)) from exc


def _damaged(path: Path, reason: str) -> BundleError:
    return BundleError(
        _("{path!r} is damaged: {reason}. Copy the folder again or train again.").format(path=str(path), reason=reason),
        path=path,
    )
