"""`tellapart check`, and the first part of every training: what is wrong with these photos, before anything is learnt.

It takes a second or two once the photos were looked at.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.embedder import start_backbone
from tellapart.backbones.photo_pass import Eye, look_at
from tellapart.backbones.seen_photos import SeenPhotos
from tellapart.checkup.collection import Examined
from tellapart.checkup.duplicates import find_groups, group_numbers
from tellapart.checkup.findings import list_clear, list_findings
from tellapart.config import DEFAULT_BACKBONE, SourceConfig
from tellapart.errors import DatasetError, DependencyError
from tellapart.images.facts import PhotoFacts
from tellapart.photos.decisions import apply_own_decisions
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.sources import open_any_photos
from tellapart.photos.splits import count_groups
from tellapart.records import Finding, LabelSuspect, PhotoGroup, Shortcut
from tellapart.watcher import Watcher

# Parts of the cross-validation that labels are doubted with.
_FOLDS = 5
# Share of photos that may be nearly the same as one of another class, and different photos that each class must keep,
# before near copies are given up.
_MOST_TORN, _LEAST_GROUPS = 0.2, 2


@dataclass(frozen=True, eq=False)
class Checkup:
    """What a check-up found.

    Attributes:
        seen: the photos.
        groups: photos that belong together.
        group_numbers: int64, shape `(n,)`, equal for photos that some group ties together.
        probabilities: of the classes, of each photo by a model that had not seen it nor one of its group; float32,
            shape `(n, num_classes)`, NaN where no model could be asked. `None` without labels or embeddings.
        suspects: labels that are probably wrong.
        findings: all of it in words, problems first.
        clear: what was looked for and not found, a sentence each.
    """

    seen: SeenPhotos
    groups: tuple[PhotoGroup, ...]
    group_numbers: NDArray[np.int64]
    probabilities: NDArray[np.float32] | None
    suspects: tuple[LabelSuspect, ...]
    findings: tuple[Finding, ...]
    clear: tuple[str, ...]

    @property
    def photos(self) -> PhotoSet:
        """The photos that could be decoded."""
        return self.seen.photos


def check_photos(
    source: str | Path,
    config: SourceConfig = SourceConfig(),
    *,
    backbone: str = DEFAULT_BACKBONE,
    seed: int = 0,
    watcher: Watcher | None = None,
) -> Checkup:
    """What is wrong with the photos of `source`; nothing is changed or written but the cache.

    Without the packages that a backbone needs, labels are not doubted, and a note says so.

    Args:
        source: anything `open_any_photos` takes, labelled or not.
        config: how labels are found and how many photos are taken.
        backbone: whose embeddings are used.
        seed: decides the folds.
        watcher: who is told about the progress.

    Raises:
        DatasetError: the source cannot be used, or no photo of it can be read.
        ConfigError, BundleError: the backbone cannot be had, or does not run.
    """
    watcher = watcher or Watcher()
    photos, _ = open_any_photos(source, config)
    decided = apply_own_decisions(photos, watcher)
    photos = decided.photos
    if config.per_class is not None and photos.labels is not None:
        photos = photos.per_class(config.per_class, seed)
    seen = _look_with_backbone(photos, config.cache_dir, backbone, watcher)
    if not len(seen.photos):
        skipped = seen.photos.skipped
        reason = skipped[0].reason if skipped else "there are none"
        raise DatasetError(
            f"none of the photos of {str(source)!r} can be read, the first because: {reason}. Photos in JPEG, PNG and "
            "other common formats are accepted; `tellapart show` lists the reasons."
        )
    return check_up(seen, seed, decided.confirmed)


def _look_with_backbone(photos: PhotoSet, cache_dir: str | None, backbone: str, watcher: Watcher) -> SeenPhotos:
    """What is seen of the photos; without embeddings, and a note, where a package for them is missing."""
    try:
        eyes = [Eye(start_backbone(backbone, cache_dir, watcher).embedder)]
    except DependencyError as exc:
        watcher.on_note(f"labels were not checked, because no backbone can be used: {exc}")
        eyes = []
    return look_at(photos, eyes, cache_dir=cache_dir, watcher=watcher)


def check_up(seen: SeenPhotos, seed: int, confirmed: frozenset[tuple[str, str]] = frozenset()) -> Checkup:
    """What is to be said of the photos, and which of them belong together.

    Args:
        seen: at least one photo.
        seed: decides the folds.
        confirmed: content and class of photos whose label is not doubted, for a person has decided on it.
    """
    from tellapart.checkup.shortcuts import describe_shortcut

    photos = seen.photos
    # Without embeddings, so that all recipes draw the same split (docs/decisions/009-near-copies-and-the-split.md).
    found = find_groups(seen.digests, seen.facts)
    groups = _tell_apart(found, photos)
    numbers = group_numbers(groups, len(photos))
    examined = Examined(photos, seen.facts, groups, is_alike=groups != found)
    probabilities = None
    if photos.labels is not None and len(np.unique(photos.labels)) > 1:
        probabilities = _out_of_fold(seen, numbers, seed)
        examined = replace(
            examined,
            suspects=_suspects(seen, probabilities, numbers, confirmed),
            outliers=_outliers(seen, numbers),
            shortcuts=_shortcuts(seen, probabilities, numbers, seed),
        )
    findings = list_findings(examined, describe_shortcut)
    clear = list_clear(examined, findings, probabilities is not None)
    return Checkup(seen, groups, numbers, probabilities, examined.suspects, findings, clear)


def _tell_apart(groups: tuple[PhotoGroup, ...], photos: PhotoSet) -> tuple[PhotoGroup, ...]:
    """The groups, or only the copies among them where the photos of a collection are all too much alike.

    A belt, a slide or a form looks the same but for what matters on it. There, near copies would tie together what is
    to be told apart: photos of several classes, or all photos of one.
    """
    labels = photos.labels
    copies = tuple(group for group in groups if group.kind == "copies")
    if labels is None or len(copies) == len(groups):
        return groups
    torn = {
        row
        for group in groups
        if group.kind != "copies" and len({int(labels[one]) for one in group.rows}) > 1
        for row in group.rows
    }
    tied, apart = (np.array(count_groups(labels, group_numbers(some, len(photos)))) for some in (groups, copies))
    is_whole_class = bool(((tied < _LEAST_GROUPS) & (apart >= _LEAST_GROUPS)).any())
    return copies if len(torn) > _MOST_TORN * len(photos) or is_whole_class else groups


def _out_of_fold(seen: SeenPhotos, groups: NDArray[np.int64], seed: int) -> NDArray[np.float32] | None:
    if seen.embeddings is None:
        return None
    from tellapart.heads.head import out_of_fold_probabilities
    from tellapart.heads.head_data import HeadData

    labels, present = _dense_labels(seen.photos)
    data = HeadData(seen.embeddings, labels, groups, len(present))
    found = out_of_fold_probabilities(data, _FOLDS, seed)
    probabilities = np.zeros((len(labels), len(seen.photos.class_names)), np.float32)
    probabilities[:, present] = found
    probabilities[np.isnan(found).any(axis=1)] = np.nan
    return probabilities


def _dense_labels(photos: PhotoSet) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Labels numbered without gaps, and the class number of each; a class may have lost all its photos."""
    assert photos.labels is not None
    present, labels = np.unique(photos.labels, return_inverse=True)
    return labels.reshape(-1).astype(np.int64), present


def _suspects(
    seen: SeenPhotos,
    probabilities: NDArray[np.float32] | None,
    groups: NDArray[np.int64],
    confirmed: frozenset[tuple[str, str]],
) -> tuple[LabelSuspect, ...]:
    """Labels that are probably wrong, without those a person has confirmed."""
    if probabilities is None:
        return ()
    from tellapart.checkup.label_suspects import find_label_suspects

    photos = seen.photos
    assert photos.labels is not None
    suspects = find_label_suspects(photos.labels, probabilities, groups)
    return tuple(one for one in suspects if (seen.digests[one.row], photos.class_names[one.label]) not in confirmed)


def _outliers(seen: SeenPhotos, groups: NDArray[np.int64]) -> tuple[int, ...]:
    labels = seen.photos.labels
    if seen.embeddings is None or labels is None:
        return ()
    from tellapart.checkup.label_suspects import find_outliers

    return tuple(int(row) for row in find_outliers(seen.embeddings, labels, groups))


def _shortcuts(
    seen: SeenPhotos, probabilities: NDArray[np.float32] | None, groups: NDArray[np.int64], seed: int
) -> tuple[Shortcut, ...]:
    from tellapart.checkup.shortcuts import find_shortcuts

    labels, names = seen.photos.labels, seen.photos.class_names
    assert labels is not None
    reference = None if probabilities is None else _balanced_accuracy(labels, probabilities)
    return find_shortcuts(_clues(seen.facts), labels, groups, names, seed, reference)


def _balanced_accuracy(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float | None:
    """The mean over classes of the share of photos that were recognised; `None` where no model could be asked."""
    known = np.isfinite(probabilities).all(axis=1)
    is_right = probabilities[known].argmax(axis=1) == labels[known]
    recalls = [is_right[labels[known] == label].mean() for label in np.unique(labels[known])]
    return float(np.mean(recalls)) if recalls else None


def _clues(facts: Sequence[PhotoFacts]) -> dict[str, NDArray[np.float64]]:
    """What is known of each photo besides what is on it, one matrix a clue, a row a photo."""
    sizes = np.log([(one.height, one.width) for one in facts])
    num_bytes = np.log([one.num_bytes for one in facts])
    return {
        "image size": np.column_stack([sizes, sizes[:, 0] - sizes[:, 1]]),
        "file size": np.column_stack([num_bytes, num_bytes - sizes.sum(axis=1)]),
        "file format": _indicators([one.format for one in facts]),
        "camera": _indicators([one.camera or "" for one in facts]),
        "border": np.array([one.border for one in facts], np.float64),
    }


def _indicators(names: Sequence[str]) -> NDArray[np.float64]:
    """A column for each name: 1 where it is that of the row."""
    found, numbers = np.unique(np.asarray(names, dtype=np.str_), return_inverse=True)
    return np.eye(len(found))[numbers.reshape(-1)]


def checkup_to_json(checkup: Checkup) -> dict[str, Any]:
    """The check-up as a dict that `store.to_json_bytes` takes; photos are named by their paths."""
    photos = checkup.photos
    names = photos.class_names

    def name(rows: Sequence[int]) -> list[str]:
        return [photos.paths[row] for row in rows]

    return {
        "source": photos.source,
        "num_photos": len(photos),
        "counts": photos.counts(),
        "skipped": [asdict(item) for item in photos.skipped],
        "findings": [
            asdict(finding) | {"examples": [name(rows) for rows in finding.examples]} for finding in checkup.findings
        ],
        "groups": [{"kind": group.kind, "photos": name(group.rows)} for group in checkup.groups],
        "label_suspects": [
            {
                "photo": photos.paths[one.row],
                "class": names[one.label],
                "suggested_class": names[one.suggested_label],
                "class_probability": one.label_probability,
                "suggested_probability": one.suggested_probability,
            }
            for one in checkup.suspects
        ],
    }
