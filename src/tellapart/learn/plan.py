"""How long the recipe `scratch` trains, and at which image sizes. Arithmetic only; measuring is `pace.py`'s.

The unit of computing is a view: one training photo of 96x96 pixels through one step. A photo with k times the pixels
costs k views.
"""

import math
from dataclasses import dataclass

VIEW_SIDE = 96
# Sides of views as shares of the side that photos are predicted at, and how much of the computing each is given. A crop
# shows things larger than the whole photo does, so that photos are best predicted at more pixels than views have
# (Touvron et al. 2019).
_SHARES_OF_SIDE = ((0.6, 0.5), (0.8, 0.5))
_SIDE_STEP, _LEAST_SIDE = 16, 32
# The side to predict at, by the views there is time for.
_SIDES = ((0, 96), (60_000, 128), (150_000, 160), (500_000, 192))
# Views of a training whose length was not asked for: for this many photos; it grows with the root of their number.
_USUAL_VIEWS, _USUAL_PHOTOS = 330_000, 3_200
_MOST_EPOCHS = 400
# Photos are not shown much larger than they are.
_MOST_ENLARGED = 1.3
_LEAST_PREDICTED = 64


# Epochs that are sums of products end this near to a whole number.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Phase:
    """A part of a training in which all photos are seen at one size.

    Attributes:
        image_size: `(height, width)` of the views.
        epochs: how many of the epochs it takes.
        end: share of the whole training's computing that is done when it ends, in `(0, 1]`.
    """

    image_size: tuple[int, int]
    epochs: float
    end: float


@dataclass(frozen=True)
class Plan:
    """A training from scratch from its first step to its last; progress is the share of the computing that is done.

    Attributes:
        phases: in order; the last ends at 1.
        image_size: `(height, width)` that photos are predicted at.
        seconds: wall time of the training, which then ends by the clock; `None` ends it by the epochs.
    """

    phases: tuple[Phase, ...]
    image_size: tuple[int, int]
    seconds: float | None = None

    @property
    def num_epochs(self) -> float:
        """Epochs of all phases together; with `seconds` an estimate."""
        return sum(phase.epochs for phase in self.phases)

    def size_at(self, progress: float) -> tuple[int, int]:
        """`(height, width)` of the views of a step that begins at this progress."""
        return next((phase.image_size for phase in self.phases if progress < phase.end), self.phases[-1].image_size)

    def progress_after(self, epochs: float) -> float:
        """The progress when so many epochs are over, in `[0, 1]`."""
        begin = 0.0
        for phase in self.phases:
            if epochs < phase.epochs - _ROUNDING:
                return begin + (phase.end - begin) * epochs / phase.epochs
            epochs, begin = epochs - phase.epochs, phase.end
        return 1.0


def choose_image_size(num_views: float, native_side: float) -> tuple[int, int]:
    """`(height, width)` to predict at.

    Args:
        num_views: computing there is time for.
        native_side: side in pixels that photos of this collection typically have.
    """
    side = next(side for least, side in reversed(_SIDES) if num_views >= least)
    enlarged = max(_LEAST_PREDICTED, _round(native_side * _MOST_ENLARGED))
    return min(side, enlarged), min(side, enlarged)


def usual_views(num_train: int) -> float:
    """Computing of a training whose length was not asked for."""
    views = _USUAL_VIEWS * math.sqrt(num_train / _USUAL_PHOTOS)
    return min(views, _MOST_EPOCHS * num_train)


def make_plan(
    image_size: tuple[int, int],
    num_train: int,
    num_views: float | None = None,
    epochs: float | None = None,
    seconds: float | None = None,
) -> Plan:
    """The phases of a training.

    Args:
        image_size: `(height, width)` to predict at.
        num_train: photos of an epoch, at least 1.
        num_views: computing of the whole training; or
        epochs: its length.
        seconds: as `Plan` has it.
    """
    sizes = [_scaled(image_size, share) for share, _ in _SHARES_OF_SIDE]
    costs = [height * width / VIEW_SIDE**2 for height, width in sizes]
    shares = [share for _, share in _SHARES_OF_SIDE]
    # Epochs of each phase, were the whole training one view long a photo.
    relative = [share / cost for share, cost in zip(shares, costs, strict=True)]
    if epochs is None:
        assert num_views is not None
        scale = num_views / num_train
    else:
        scale = epochs / sum(relative)
    phases, end = [], 0.0
    for size, share, part in zip(sizes, shares, relative, strict=True):
        end += share
        phases.append(Phase(size, part * scale, end))
    return Plan(tuple(phases), image_size, seconds)


def _scaled(image_size: tuple[int, int], share: float) -> tuple[int, int]:
    """The size times `share`, at most itself."""
    height, width = (min(side, max(_LEAST_SIDE, _round(side * share))) for side in image_size)
    return height, width


def _round(side: float) -> int:
    return max(_SIDE_STEP, round(side / _SIDE_STEP) * _SIDE_STEP)
