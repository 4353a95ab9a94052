"""How long the recipe `scratch` trains, and at which image sizes. Arithmetic only; measuring is `pace.py`'s.

The unit of computing is a view: one training photo of 96x96 pixels through one step. A photo with k times the pixels
costs k views.
"""

import math
from dataclasses import dataclass

from tellapart.config import CropConfig

VIEW_SIDE = 96
_SIDE_STEP, _LEAST_SIDE = 16, 32
# Views of a training whose length was not asked for: for this many photos; it grows with the root of their number.
_USUAL_VIEWS, _USUAL_PHOTOS = 330_000, 3_200
_MOST_VIEWS_A_PHOTO = 400
# Photos are not shown much larger than they are.
_MOST_ENLARGED = 1.3
_LEAST_PREDICTED = 64
# Mistakes fall with about this power of the computing: docs/from-scratch.md.
_ERROR_POWER = 0.4
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
        crops: the random views.
        seconds: wall time of the training, which then ends by the clock; `None` ends it by the epochs.
    """

    phases: tuple[Phase, ...]
    image_size: tuple[int, int]
    crops: CropConfig
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


@dataclass(frozen=True)
class Regime:
    """How photos are shown in a training of some length; short ones learn most from small views that look alike.

    Attributes:
        least_views: computing a photo, from which on this is the way.
        side: height and width to predict at, in pixels, where nothing else is asked for.
        shares: of each phase, the side of its views as a share of that side, and how much of the computing it is given.
        crops: the random views.
    """

    least_views: float
    side: int
    shares: tuple[tuple[float, float], ...]
    crops: CropConfig

    def sizes(self, image_size: tuple[int, int]) -> list[tuple[int, int]]:
        """`(height, width)` of the views of each phase."""
        return [_scaled(image_size, share) for share, _ in self.shares]

    def epochs_a_view(self, image_size: tuple[int, int]) -> list[float]:
        """Epochs of each phase in a training of one view a photo."""
        areas = [height * width / VIEW_SIDE**2 for height, width in self.sizes(image_size)]
        return [part / area for (_, part), area in zip(self.shares, areas, strict=True)]


# Crops show things larger than the whole photo does, so photos are best predicted at more pixels than the views of
# small crops have (Touvron et al. 2019).
REGIMES = (
    Regime(0, 64, ((1.0, 1.0),), CropConfig(least_area=0.5, colour=0.2, erase=0.0, mix=0.0)),
    Regime(25, 96, ((0.67, 0.4), (1.0, 0.6)), CropConfig(least_area=0.5, colour=0.2, erase=0.0, mix=0.0)),
    Regime(70, 160, ((0.4, 0.2), (0.6, 0.4), (0.8, 0.4)), CropConfig()),
)


def choose_regime(length: "Length") -> Regime:
    """The way for a training of this length; the first of them takes any."""
    return next(
        regime
        for regime in reversed(REGIMES)
        if length.views_of(regime, (regime.side, regime.side)) >= regime.least_views
    )


@dataclass(frozen=True)
class Length:
    """How long a training is: by its computing a photo, or by its epochs. One of the two is `None`."""

    views: float | None = None
    epochs: float | None = None

    def views_of(self, regime: Regime, image_size: tuple[int, int]) -> float:
        """Computing a photo of a training of this length."""
        if self.epochs is not None:
            return self.epochs / sum(regime.epochs_a_view(image_size))
        assert self.views is not None
        return self.views


def choose_image_size(regime: Regime, native_side: float) -> tuple[int, int]:
    """`(height, width)` to predict at, for photos whose sides are about so many pixels."""
    side = min(regime.side, max(_LEAST_PREDICTED, _round(native_side * _MOST_ENLARGED)))
    return side, side


def usual_length(num_train: int) -> Length:
    """The length of a training that nobody set."""
    views = _USUAL_VIEWS * math.sqrt(num_train / _USUAL_PHOTOS)
    return Length(min(views / num_train, _MOST_VIEWS_A_PHOTO))


def make_plan(regime: Regime, image_size: tuple[int, int], length: Length, seconds: float | None = None) -> Plan:
    """The phases of a training of this length; `seconds` as `Plan` has it."""
    views, phases, end = length.views_of(regime, image_size), [], 0.0
    parts = zip(regime.sizes(image_size), regime.epochs_a_view(image_size), regime.shares, strict=True)
    for size, epochs, (_, share) in parts:
        end += share
        phases.append(Phase(size, epochs * views, end))
    return Plan(tuple(phases), image_size, regime.crops, seconds)


def expect_from_more(accuracy: float, factor: float) -> float:
    """The accuracy to expect from `factor` times the computing, by how it went with other photos; both in `[0, 1]`."""
    return 1 - (1 - accuracy) / factor**_ERROR_POWER


def _scaled(image_size: tuple[int, int], share: float) -> tuple[int, int]:
    """The size times `share`, at most itself."""
    height, width = (min(side, max(_LEAST_SIDE, _round(side * share))) for side in image_size)
    return height, width


def _round(side: float) -> int:
    return max(_SIDE_STEP, round(side / _SIDE_STEP) * _SIDE_STEP)
