"""Which pretrained network looks at the photos of a training, at which size, with or without a mirrored view.

Asked of a part of the photos, by the log-loss of a quick head in cross-validation. Called by `head_recipe.py`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.embedder import start_backbone
from tellapart.backbones.photo_pass import Eye, look_at
from tellapart.backbones.pretrained import MIRRORED, find_packaged
from tellapart.backbones.seen_photos import SeenPhotos
from tellapart.checkup.duplicates import find_groups, group_numbers
from tellapart.config import DEFAULT_BACKBONE, EYES, QUICK_BACKBONE, TransferConfig
from tellapart.errors import ConfigError
from tellapart.heads.cross_validation import held_out_losses
from tellapart.heads.head_data import HeadData, are_same
from tellapart.photos.photoset import PhotoSet
from tellapart.randomness import named_generator
from tellapart.runs.held_out import load_chosen
from tellapart.runs.job import TrainJob
from tellapart.translation import gettext as _
from tellapart.watcher import Watcher

_LARGER_BACKBONE = "efficientnet-lite2"
# Every fourth photo is looked at by all, so that the whole takes about three times as long as with the quick one alone.
_SHARE, _FEWEST, _MOST = 0.25, 100, 1000
# Below, the losses of so few photos say nothing.
_FEWEST_TO_CHOOSE = 40
# A costlier one is taken where it lowers the log-loss by so many standard errors of the difference: few photos easily
# make a network look better than it is (docs/decisions/013-which-network-looks.md).
_STANDARD_ERRORS = 2.5


@dataclass(frozen=True)
class TriedEyes:
    """A network that was tried.

    Attributes:
        name: of the backbone.
        log_loss: mean over the photos, in nats, in cross-validation.
        gain: by how much that is below the log-loss of the one it was compared with; `None` for the first.
        standard_error: of the gain; `None` likewise.
        cost: multiplications for a photo; 1 is EfficientNet-Lite0 at 224 pixels.
    """

    name: str
    log_loss: float
    gain: float | None
    standard_error: float | None
    cost: float


@dataclass(frozen=True)
class EyeChoice:
    """The network that looks at the photos.

    Attributes:
        chosen: name of the backbone.
        cost: of an answer, as in `TriedEyes`; `None` for a network that is not built in.
        num_photos: photos that were asked; 0 where there was no choice.
        tried: from cheap to costly; empty where there was no choice.
    """

    chosen: str
    cost: float | None
    num_photos: int = 0
    tried: tuple[TriedEyes, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def choose_eyes(job: TrainJob, config: TransferConfig) -> EyeChoice:
    """The network that `backbone` or `eyes` names, or the best one for these photos.

    Raises:
        ConfigError: there is no such network.
        BundleError, DependencyError: it cannot be had, or does not run.
    """
    if config.backbone is not None:
        packaged = find_packaged(config.backbone)
        return EyeChoice(config.backbone, None if packaged is None else packaged.cost)
    names = _candidates(config.eyes)
    if len(names) == 1:
        return EyeChoice(names[0], _cost(names[0]))
    job.watcher.on_stage(_("comparing pretrained networks on some of the photos"))
    eyes = _open_eyes(names, job)
    seen = load_chosen(
        job.photos,
        job.source.per_class,
        config.seed,
        lambda photos: look_at(
            _draw(photos, config.seed),
            eyes,
            cache_dir=job.source.cache_dir,
            watcher=Watcher(on_embedded=job.watcher.on_embedded),
        ),
    )
    job.watcher.on_stage(_("comparing pretrained networks on some of the photos"))
    return _compare(names, seen, config)


def _candidates(eyes: str) -> list[str]:
    """The names to choose from, from cheap to costly; the larger network only where its package is installed.

    Raises:
        ConfigError: `eyes` is neither a way to choose nor the name of a built-in network.
    """
    if eyes == "quick":
        return [QUICK_BACKBONE]
    if eyes not in EYES:
        if find_packaged(eyes) is None:
            raise ConfigError(
                _(
                    "`eyes` {value!r} is not known. Give {names}, or a built-in network such as {example!r}. For other"
                    " networks use `backbone`."
                ).format(value=eyes, names=", ".join(EYES), example=DEFAULT_BACKBONE),
                field="eyes",
                value=eyes,
            )
        return [eyes]
    names = [DEFAULT_BACKBONE, DEFAULT_BACKBONE + MIRRORED]
    larger = find_packaged(_LARGER_BACKBONE)
    if larger is not None and larger.is_installed:
        names += [_LARGER_BACKBONE, _LARGER_BACKBONE + MIRRORED] if eyes == "best" else [_LARGER_BACKBONE]
    return sorted(names, key=_cost)


def _open_eyes(names: Sequence[str], job: TrainJob) -> list[Eye]:
    """An eye for each name; that of a network with a mirrored view sees the mirror image alone.

    The other view is what the network without it sees. Sharing that saves a quarter of the time.
    """
    plain = dict.fromkeys(name.removesuffix(MIRRORED) for name in names)
    embedders = {name: start_backbone(name, job.source.cache_dir, job.watcher).embedder for name in plain}
    return [Eye(embedders[name.removesuffix(MIRRORED)], name.endswith(MIRRORED)) for name in names]


def _cost(name: str) -> float:
    packaged = find_packaged(name)
    assert packaged is not None
    return packaged.cost


def _draw(photos: PhotoSet, seed: int) -> PhotoSet:
    """A quarter of each class, at least 2 photos of it where it has them; of few photos more, of very many fewer."""
    assert photos.labels is not None
    wanted = min(_MOST, max(_SHARE * len(photos), _FEWEST)) / max(1, len(photos))
    order = named_generator(seed, "eyes").permutation(len(photos))
    drawn: list[NDArray[np.int64]] = []
    for label in np.unique(photos.labels):
        rows = order[photos.labels[order] == label]
        drawn.append(rows[: max(2, round(wanted * len(rows)))])
    return photos.take(np.sort(np.concatenate(drawn)))


def _compare(names: Sequence[str], seen: SeenPhotos, config: TransferConfig) -> EyeChoice:
    """The cheapest of the networks that no costlier one is clearly better than; `seen` by the eyes of `_open_eyes`."""
    first = EyeChoice(names[0], _cost(names[0]))
    assert seen.photos.labels is not None and seen.embeddings is not None
    present, labels = np.unique(seen.photos.labels, return_inverse=True)
    if len(seen) < _FEWEST_TO_CHOOSE or len(present) < 2:
        return first
    groups = group_numbers(find_groups(seen.digests, seen.facts), len(seen))
    losses: dict[str, NDArray[np.float64]] = {}
    tried: list[TriedEyes] = []
    best = names[0]
    views = dict(zip(names, (seen.embeddings, *seen.further_embeddings), strict=True))
    for name, view in views.items():
        other = views[name.removesuffix(MIRRORED)]
        embeddings = np.asarray((other + view) / 2, np.float32) if name.endswith(MIRRORED) else view
        if are_same(embeddings):
            return first
        data = HeadData(embeddings, labels.astype(np.int64), groups, len(present))
        losses[name] = held_out_losses(data, config.folds, config.seed)
        if len(losses[name]) < _FEWEST_TO_CHOOSE:
            return first
        gains = losses[best] - losses[name]
        gain, error = float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(len(gains)))
        loss, is_first = float(losses[name].mean()), not tried
        tried.append(TriedEyes(name, loss, None if is_first else gain, None if is_first else error, _cost(name)))
        if gain > _STANDARD_ERRORS * error:
            best = name
    return EyeChoice(best, _cost(best), len(seen), tuple(tried))
