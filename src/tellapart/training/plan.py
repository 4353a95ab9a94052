"""How long the recipe `scratch` trains which network, and at which image sizes. Arithmetic only.

The unit of computing is a view: one training photo of 96x96 pixels through one step of a network of width 32.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from tellapart.config import CropConfig

VIEW_SIDE, VIEW_WIDTH = 96, 32
# What a step costs whatever the size of its photos, in pixels a photo: 32 photos took 82, 136 and 218 ms at 64, 96 and
# 128 pixels (2 cores, medians of 11 steps, 2026-11-24).
_PIXELS_A_STEP = 3300
# Half of a step grows with the width of the network, as its activations do, and half with the square of it, as its
# products do: at widths of 16, 24 and 48 that makes 0.38, 0.66 and 1.88 of a step; measured were 0.39, 0.65 and 2.0
# (one core, 32 photos of 96x96 pixels, in turn, n = 7, 2026-11-25).
_SHARE_OF_PRODUCTS = 0.5
# A network of width 32 is for so much computing over all photos; it grows with the root of that: decision 011.
_VIEWS_OF_WIDTH = 430_000
_WIDTH_STEP, _LEAST_WIDTH, _MOST_WIDTH = 8, 16, 48
_SIDE_STEP, _LEAST_SIDE = 16, 32
# Views of a training whose length was not asked for: for this many photos; it grows with the root of their number.
_USUAL_VIEWS, _USUAL_PHOTOS = 330_000, 3_200
_MOST_VIEWS_A_PHOTO = 400
# Photos are not shown much larger than they are.
_MOST_ENLARGED = 1.3
_LEAST_PREDICTED = 64
# Mistakes fall with about this power of the computing: docs/how-it-works/from-scratch.md.
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
        crops: the random views.
    """

    image_size: tuple[int, int]
    epochs: float
    end: float
    crops: CropConfig


@dataclass(frozen=True)
class Plan:
    """A training from scratch from its first step to its last; progress is the share of the computing that is done.

    Attributes:
        phases: in order; the last ends at 1.
        image_size: `(height, width)` that photos are predicted at.
        seconds: wall time of the training, which then ends by the clock; `None` ends it by the epochs.
        rate: share of the usual learning rate.
        width: channels of the network's first stage.
    """

    phases: tuple[Phase, ...]
    image_size: tuple[int, int]
    seconds: float | None = None
    rate: float = 1.0
    width: int = VIEW_WIDTH

    @property
    def num_epochs(self) -> float:
        """Epochs of all phases together; with `seconds` an estimate."""
        return sum(phase.epochs for phase in self.phases)

    @property
    def num_views(self) -> float:
        """Computing a photo of all phases together."""
        return sum(phase.epochs * cost_of(phase.image_size, self.width) for phase in self.phases)

    def phase_at(self, progress: float) -> Phase:
        """The phase of a step that begins at this progress."""
        return next((phase for phase in self.phases if progress < phase.end), self.phases[-1])

    def with_crops(self, **changes: Any) -> "Plan":
        """The plan with these settings of the views changed in all phases."""
        phases = tuple(replace(phase, crops=replace(phase.crops, **changes)) for phase in self.phases)
        return replace(self, phases=phases)

    def at_rates(self, rates: Sequence[float], num_train: int) -> "Plan":
        """The plan with the epochs that fit into its seconds.

        Args:
            rates: photos a second in each phase.
            num_train: photos of an epoch.
        """
        assert self.seconds is not None
        phases, begin = [], 0.0
        for phase, rate in zip(self.phases, rates, strict=True):
            phases.append(replace(phase, epochs=self.seconds * (phase.end - begin) * rate / num_train))
            begin = phase.end
        return replace(self, phases=tuple(phases))

    def progress_after(self, epochs: float) -> float:
        """The progress when so many epochs are over, in `[0, 1]`."""
        begin = 0.0
        for phase in self.phases:
            if epochs < phase.epochs - _ROUNDING:
                return begin + (phase.end - begin) * epochs / phase.epochs
            epochs, begin = epochs - phase.epochs, phase.end
        return 1.0


def cost_of(image_size: tuple[int, int], network_width: int = VIEW_WIDTH) -> float:
    """Computing of a step with photos of this `(height, width)` through a network of this width, in views a photo."""
    wider = network_width / VIEW_WIDTH
    of_network = (1 - _SHARE_OF_PRODUCTS) * wider + _SHARE_OF_PRODUCTS * wider**2
    return of_network * (image_size[0] * image_size[1] + _PIXELS_A_STEP) / (VIEW_SIDE**2 + _PIXELS_A_STEP)


class Stage(NamedTuple):
    """A phase of a training of any length.

    Attributes:
        share_of_side: side of the views as a share of the side that photos are predicted at.
        share_of_computing: what it is given of the whole.
        crops: the random views.
    """

    share_of_side: float
    share_of_computing: float
    crops: CropConfig


@dataclass(frozen=True)
class Regime:
    """How photos are shown in a training of some length.

    Attributes:
        least_views: computing a photo, from which on this is the way.
        side: height and width to predict at, in pixels, where nothing else is asked for.
        stages: in order; their shares of the computing add up to 1.
        rate: share of the usual learning rate. The longer a training is, the less the highest may be that ends well.
    """

    least_views: float
    side: int
    stages: tuple[Stage, ...]
    rate: float = 1.0

    def sizes(self, image_size: tuple[int, int]) -> list[tuple[int, int]]:
        """`(height, width)` of the views of each stage."""
        return [_scaled(image_size, stage.share_of_side) for stage in self.stages]

    def epochs_a_view(self, image_size: tuple[int, int], network_width: int) -> list[float]:
        """Epochs of each stage in a training of one view a photo."""
        costs = [cost_of(size, network_width) for size in self.sizes(image_size)]
        return [stage.share_of_computing / cost for stage, cost in zip(self.stages, costs, strict=True)]


# Views that look much alike teach fastest, ones that differ teach longest; so they come one after the other, as the
# views grow (progressive learning, Tan and Le 2021).
_GENTLE = CropConfig(least_area=0.5, colour=0.2, erase=0.0)
_VARIED = CropConfig()
# Crops show things larger than the whole photo does, so after small crops photos are best predicted at more pixels than
# the views have (Touvron et al. 2019).
REGIMES = (
    Regime(0, 64, (Stage(1.0, 1.0, _GENTLE),)),
    Regime(25, 128, (Stage(0.5, 0.3, _GENTLE), Stage(0.75, 0.7, _VARIED))),
    Regime(80, 160, (Stage(0.4, 0.12, _GENTLE), Stage(0.6, 0.28, _VARIED), Stage(0.8, 0.6, _VARIED)), rate=0.5),
)


def choose_width(length: "Length", num_train: int) -> int:
    """Channels of the first stage of the network for a training of this length with so many photos.

    In the same time a narrower network takes more steps, which is worth more the fewer there are.
    """
    for width in range(_MOST_WIDTH, _LEAST_WIDTH, -_WIDTH_STEP):
        regime = choose_regime(length, width)
        num_views = length.views_of(regime, (regime.side, regime.side), width) * num_train
        if VIEW_WIDTH * math.sqrt(num_views / _VIEWS_OF_WIDTH) >= width - _WIDTH_STEP / 2:
            return width
    return _LEAST_WIDTH


def choose_regime(length: "Length", network_width: int) -> Regime:
    """The way for a training of this length; the first of them takes any."""
    return next(
        regime
        for regime in reversed(REGIMES)
        if length.views_of(regime, (regime.side, regime.side), network_width) >= regime.least_views
    )


@dataclass(frozen=True)
class Length:
    """How long a training is: by its computing a photo, or by its epochs. One of the two is `None`."""

    views: float | None = None
    epochs: float | None = None

    def views_of(self, regime: Regime, image_size: tuple[int, int], network_width: int) -> float:
        """Computing a photo of a training of this length."""
        if self.epochs is not None:
            return self.epochs / sum(regime.epochs_a_view(image_size, network_width))
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


def make_plan(
    regime: Regime, image_size: tuple[int, int], length: Length, network_width: int, seconds: float | None = None
) -> Plan:
    """The phases of a training of this length; `seconds` as `Plan` has it."""
    views, phases, end = length.views_of(regime, image_size, network_width), [], 0.0
    epochs_a_view = regime.epochs_a_view(image_size, network_width)
    for size, epochs, stage in zip(regime.sizes(image_size), epochs_a_view, regime.stages, strict=True):
        end += stage.share_of_computing
        phases.append(Phase(size, epochs * views, end, stage.crops))
    return Plan(tuple(phases), image_size, seconds, regime.rate, network_width)


def expect_from_more(accuracy: float, factor: float) -> float:
    """The accuracy to expect from `factor` times the computing, by how it went with other photos; both in `[0, 1]`."""
    return 1 - (1 - accuracy) * math.pow(factor, -_ERROR_POWER)


def _scaled(image_size: tuple[int, int], share: float) -> tuple[int, int]:
    """The size times `share`, at most itself."""
    height, width = (min(side, max(_LEAST_SIDE, _round(side * share))) for side in image_size)
    return height, width


def _round(side: float) -> int:
    return max(_SIDE_STEP, round(side / _SIDE_STEP) * _SIDE_STEP)
