"""`tellapart check`, and the first part of every training: what is wrong with these photos, before anything is learnt.

It takes a second or two once the photos were looked at.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.embedder import start_backbone
from tellapart.backbones.photo_pass import Eye, look_at
from tellapart.backbones.seen_photos import SeenPhotos
from tellapart.checkup.class_balance import judge_balance, judge_counts
from tellapart.checkup.duplicates import find_groups, group_numbers
from tellapart.checkup.finding import PhotoScores, join_judgements, number_tiles
from tellapart.checkup.groups import judge_groups, keep_apart
from tellapart.checkup.photo_quality import judge_quality
from tellapart.checkup.shortcuts import judge_shortcuts
from tellapart.checkup.thresholds import CheckConfig
from tellapart.config import DEFAULT_BACKBONE
from tellapart.decisions.decisions import apply_own_decisions
from tellapart.errors import DatasetError, DependencyError
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.sources import Photos, open_any_photos
from tellapart.records import Figure, Finding, LabelSuspect, PhotoGroup
from tellapart.settings import CheckSettings, source_config, split_settings
from tellapart.translation import gettext as _
from tellapart.watcher import Watcher

if TYPE_CHECKING:
    import pandas

# Parts of the cross-validation that labels are doubted with.
_FOLDS = 5
# Kinds of finding, the weightiest first.
_ORDER = (
    *("leak", "cross_class", "label_suspects", "masks", "empty", "shortcuts", "imbalance", "few_photos", "copies"),
    *("near", "burst", "alike", "outliers", "too_dark", "too_blurred", "too_small", "wrong_suffix", "shapes"),
)


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
        scores: how each photo does, in every respect that was looked at.
        figures: what was measured, each beside its threshold.
    """

    seen: SeenPhotos
    groups: tuple[PhotoGroup, ...]
    group_numbers: NDArray[np.int64]
    probabilities: NDArray[np.float32] | None
    suspects: tuple[LabelSuspect, ...]
    findings: tuple[Finding, ...]
    clear: tuple[str, ...]
    scores: tuple[PhotoScores, ...] = ()
    figures: tuple[Figure, ...] = ()

    @property
    def photos(self) -> PhotoSet:
        """The photos that could be decoded."""
        return self.seen.photos

    def to_frame(self) -> "pandas.DataFrame":
        """A row for each photo: `path`, `class`, and for every respect NAME `NAME_score` and `is_NAME`.

        A score is a float in `[0, 1]`, where 1 is without fault and 0 the worst, or NaN where nothing can be said. An
        `is_` column is a boolean: whether the check-up names the photo. Without labels every `class` is `None`.
        """
        import pandas

        photos = self.photos
        names = None if photos.labels is None else [photos.class_names[label] for label in photos.labels]
        columns: dict[str, Any] = {"path": list(photos.paths), "class": names or [None] * len(photos)}
        for one in self.scores:
            columns |= {f"{one.name}_score": one.scores, f"is_{one.name}": one.is_found}
        return pandas.DataFrame(columns)


def check(
    photos: Photos,
    *,
    backbone: str = DEFAULT_BACKBONE,
    seed: int = 0,
    watcher: Watcher | None = None,
    **settings: Unpack[CheckSettings],
) -> Checkup:
    """What is wrong with the photos; nothing is changed or written but the cache.

    Without the packages that a backbone needs, labels are not doubted, and a note says so.

    Args:
        photos: anything `open_photos` takes, labelled or not.
        backbone: whose embeddings are used.
        seed: decides the folds.
        watcher: who is told about the progress.
        settings: the thresholds, the fields of `CheckConfig`, such as `dark=0.1`; and how labels are found and how many
            photos are taken, the fields of `SourceConfig`.

    Raises:
        DatasetError: the source cannot be used, or no photo of it can be read.
        ConfigError, BundleError: a setting cannot be had; the backbone cannot be had, or does not run.
    """
    watcher = watcher or Watcher()
    thresholds, source = split_settings(settings, CheckSettings)
    config, check_config = source_config(source), CheckConfig(**thresholds)
    opened = open_any_photos(photos, config)
    for note in opened.notes:
        watcher.on_note(note)
    if opened.unlabelled_reason is not None:
        watcher.on_note(_("the photos are taken as unlabelled: {reason}").format(reason=opened.unlabelled_reason))
    decided = apply_own_decisions(opened, watcher)
    opened = decided.photos
    if config.per_class is not None and opened.labels is not None:
        opened = opened.per_class(config.per_class, seed)
    seen = _look_with_backbone(opened, config.cache_dir, backbone, watcher)
    if not len(seen.photos):
        skipped = seen.photos.skipped
        raise DatasetError(
            _(
                "no photo of {source!r} can be read. The first one {reason}. Give photos in JPEG, PNG or another common"
                " format. `tellapart show` lists the reasons."
            ).format(source=opened.source, reason=skipped[0].reason)
            if skipped
            else _("there are no photos in {source!r}. Give photos in JPEG, PNG or another common format.").format(
                source=opened.source
            ),
            paths=[item.path for item in skipped],
        )
    watcher.on_stage(_("checking the photos"))
    return check_up(seen, seed, decided.confirmed, check_config)


def _look_with_backbone(photos: PhotoSet, cache_dir: str | None, backbone: str, watcher: Watcher) -> SeenPhotos:
    """What is seen of the photos; without embeddings, and a note, where a package for them is missing."""
    try:
        eyes = [Eye(start_backbone(backbone, cache_dir, watcher).embedder)]
    except DependencyError as exc:
        watcher.on_note(_("labels were not checked, because no backbone can be used: {reason}").format(reason=exc))
        eyes = []
    return look_at(photos, eyes, cache_dir=cache_dir, watcher=watcher)


def check_up(
    seen: SeenPhotos,
    seed: int,
    confirmed: frozenset[tuple[str, str]] = frozenset(),
    thresholds: CheckConfig | None = None,
) -> Checkup:
    """What is to be said of the photos, and which of them belong together.

    Args:
        seen: at least one photo.
        seed: decides the folds.
        confirmed: content and class of photos whose label is not doubted, for a person has decided on it.
        thresholds: what is named; the defaults if `None`.
    """
    photos = seen.photos
    thresholds = thresholds or CheckConfig()
    # Without embeddings, so that all recipes draw the same split (docs/decisions/009-near-copies-and-the-split.md).
    found = find_groups(seen.digests, seen.facts, burst_seconds=thresholds.burst)
    groups = keep_apart(found, photos)
    numbers = group_numbers(groups, len(photos))
    probabilities: NDArray[np.float32] | None = None
    suspects: tuple[LabelSuspect, ...] = ()
    parts = [
        judge_groups(seen, groups, thresholds.burst, is_alike=groups != found),
        judge_quality(seen, number_tiles(numbers, photos.labels), thresholds),
        judge_balance(photos, thresholds),
        judge_counts(photos, thresholds),
    ]
    if photos.labels is not None and len(np.unique(photos.labels)) > 1:
        probabilities = _out_of_fold(seen, numbers, seed)
        parts.append(judge_shortcuts(seen, probabilities, numbers, seed, thresholds))
        if probabilities is not None:
            from tellapart.checkup.label_suspects import judge_labels

            suspects, of_labels = judge_labels(seen, probabilities, numbers, confirmed, thresholds)
            parts.append(of_labels)
    told = join_judgements(parts)
    findings = sorted(told.findings, key=lambda finding: (not finding.is_problem, _ORDER.index(finding.kind)))
    return Checkup(
        seen,
        groups,
        numbers,
        probabilities,
        suspects,
        tuple(findings),
        _list_clear(photos, findings, probabilities is not None),
        told.scores,
        told.figures,
    )


def _list_clear(photos: PhotoSet, findings: Sequence[Finding], with_embeddings: bool) -> tuple[str, ...]:
    """What was looked for and not found, a sentence each.

    Args:
        photos: the collection.
        findings: what was found.
        with_embeddings: whether labels could be doubted.
    """
    looked: list[tuple[tuple[str, ...], str]] = [
        (("copies", "near", "alike"), _("There are no copies or near-copies.")),
        (("empty", "too_dark", "too_blurred"), _("No photo is empty, very dark or blurry.")),
    ]
    if photos.labels is not None:
        looked.append((("cross_class",), _("No photo is in two classes.")))
        looked.append((("shortcuts",), _("Image size, file format, camera and border do not give the classes away.")))
        if with_embeddings:
            looked.append((("label_suspects",), _("No label looks wrong.")))
            looked.append((("outliers",), _("No photo looks out of place in its class.")))
    if len(set(photos.given_splits)) > 1:
        looked.append((("leak",), _("No photo is in two split folders.")))
    found = {finding.kind for finding in findings}
    return tuple(sentence for kinds, sentence in looked if found.isdisjoint(kinds))


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


def checkup_to_json(checkup: Checkup) -> dict[str, Any]:
    """The check-up as a dict that `store.to_json_bytes` takes; photos are named by their paths."""
    photos = checkup.photos.portable()
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
        "figures": [asdict(figure) for figure in checkup.figures],
        "groups": [{"kind": group.kind, "photos": name(group.rows)} for group in checkup.groups],
        "label_suspects": [
            {
                "photo": photos.paths[row],
                "class": names[one.label],
                "suggested_class": names[one.suggested_label],
                "class_probability": one.label_probability,
                "suggested_probability": one.suggested_probability,
            }
            for one in checkup.suspects
            for row in one.rows
        ],
    }
