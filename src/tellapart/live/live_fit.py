"""What a refit of the head stands on: the last choice, the backbone, the groups of the photos, and its figure."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.embedder import OpenBackbone, start_backbone
from tellapart.backbones.seen_photos import SeenPhotos
from tellapart.checkup.duplicates import find_groups, group_numbers
from tellapart.checkup.groups import keep_apart
from tellapart.config import DEFAULT_BACKBONE, TransferConfig
from tellapart.errors import BundleError, TellapartError
from tellapart.heads.refit import HeadChoice, Refit
from tellapart.live.full_choice import runs_of_project
from tellapart.live.live_project import LiveProject, ModelPhoto
from tellapart.measure.intervals import grouped_interval
from tellapart.photos.names import name_some
from tellapart.records import PhotoGroup
from tellapart.runs.run_folder import read_run_file
from tellapart.runs.run_tables import DAMAGE, read_metrics
from tellapart.translation import gettext as _
from tellapart.watcher import Watcher


def last_choice(project: LiveProject, backbone: str | None) -> tuple[str, HeadChoice | None]:
    """The backbone and the head of the newest run on embeddings; the usual backbone and no head without one.

    Args:
        project: whose runs.
        backbone: the one that is to be used whatever a run says; `None` without such.
    """
    for run in runs_of_project(project):
        if run.recipe != "transfer":
            continue
        try:
            config = read_run_file(run.run_dir).config
            if isinstance(config, TransferConfig) and config.backbone is not None:
                return backbone or config.backbone, HeadChoice.from_json(read_metrics(run.run_dir)["head"])
        except (BundleError, *DAMAGE):
            continue
    return backbone or DEFAULT_BACKBONE, None


def open_or_usual(name: str, cache_dir: str | None) -> OpenBackbone:
    """The backbone of that name; the usual one where it cannot be had any more, as a file that is gone."""
    try:
        return start_backbone(name, cache_dir, Watcher())
    except TellapartError:
        if name == DEFAULT_BACKBONE:
            raise
        return start_backbone(DEFAULT_BACKBONE, cache_dir, Watcher())


def group_photos(photos: Sequence[ModelPhoto], seen: SeenPhotos) -> NDArray[np.int64]:
    """Equal numbers for photos that belong together: as the check-up finds them, and those of one burst."""
    bursts: dict[str, list[int]] = {}
    for row, photo in enumerate(photos):
        if photo.group is not None:
            bursts.setdefault(photo.group, []).append(row)
    of_bursts = tuple(PhotoGroup("burst", tuple(rows)) for rows in bursts.values() if len(rows) > 1)
    return group_numbers((*keep_apart(find_groups(seen.digests, seen.facts), seen.photos), *of_bursts), len(photos))


def figure_of(refit: Refit, groups: NDArray[np.int64]) -> tuple[float | None, tuple[float, float] | None]:
    """The accuracy of a refitted head and its 95 % interval; `None` where no photo could be held out."""
    if not len(refit.rows):
        return None, None
    return float(refit.is_right.mean()), grouped_interval(refit.is_right, groups[refit.rows])


def describe_single(seen: SeenPhotos) -> str:
    """A line on the classes that have a single photo; empty where none has."""
    single = [name for name, number in seen.photos.counts().items() if number == 1]
    if not single:
        return ""
    return _("Add photos of {names}. One photo is too few for a test.").format(names=name_some(single))
