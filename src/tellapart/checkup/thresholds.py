"""The bounds that the check-up decides by: what each is about, its default, and what it may be."""

from dataclasses import dataclass

from tellapart.images.facts import BLURRED
from tellapart.translation import gettext_noop
from tellapart.value_checks import check_range, check_whole

# The cross-validated probability of the label below which it is suspected, by default: this share of what it would have
# if all classes were as probable, but never less than 1 in 20. Without it, of the suspects among 548 photos of weather
# with 5 % of labels wrong 0.74 were wrong instead of 0.90, and of those among 5 photos of each digit 0.30 instead of
# 0.78 (by `prune_by_class`).
_SHARE_OF_EVEN, _LEAST_BOUND = 0.4, 0.05

# What each threshold is about, its unit, and which side of it is found. In the order of the documentation.
THRESHOLDS = {
    "empty": gettext_noop(
        "Contrast of a photo (standard deviation of its light, 0 to 0.5). Below it, the photo is empty."
    ),
    "dark": gettext_noop(
        "Light of a photo (its mean, or a fifth of its brightest twentieth, 0 to 1). Below it, the photo is dark."
    ),
    "blurred": gettext_noop(
        "Sharpness of a photo (about 1 without a sharp edge, more with). Below it, the photo is blurry."
    ),
    "small": gettext_noop("Shorter side of a photo in pixels. Below it, the photo is small."),
    "mask": gettext_noop(
        "Share of a picture that has one of six grey levels (0 to 1). From it on, the picture is a mask."
    ),
    "burst": gettext_noop("Seconds between two photos of one camera. Up to it, they may be one burst."),
    "wrong_label": gettext_noop(
        "Probability of a label, by models that had not seen the photo (0 to 1). Up to it, the label may be wrong."
    ),
    "odd": gettext_noop("How unlike its class a photo is, in standard deviations. Above it, the photo is odd."),
    "shortcut": gettext_noop(
        "How well one clue alone tells a class (0 is chance, 1 is always). From it on, the clue is a shortcut."
    ),
    "imbalance": gettext_noop("Photos of the largest class for each of this class. Above it, the classes are uneven."),
    "few": gettext_noop("Photos of a class. Below it, the class has few photos."),
}


@dataclass(frozen=True)
class CheckConfig:
    """The thresholds of the check-up, as `THRESHOLDS` explains them.

    Attributes:
        empty, dark, mask, shortcut: as shares.
        blurred: as `images.facts.measure_sharpness` measures.
        small: in pixels.
        burst: in seconds.
        wrong_label: a probability; `None` is 0.4 over the number of classes, and at least 0.05.
        odd: in standard deviations; `None` lets one photo of a collection be called odd by chance, and at most 2 % of
            the photos in all.
        imbalance: a ratio.
        few: a number of photos.
    """

    empty: float = 0.012
    dark: float = 0.06
    blurred: float = BLURRED
    small: int = 64
    mask: float = 0.9
    burst: float = 5.0
    wrong_label: float | None = None
    odd: float | None = None
    shortcut: float = 0.5
    imbalance: float = 3.0
    few: int = 10

    def __post_init__(self) -> None:
        check_range("empty", self.empty, 0, 0.5)
        for name in ("dark", "mask", "shortcut"):
            check_range(name, getattr(self, name), 0, 1)
        check_range("blurred", self.blurred, 0, 10)
        check_whole("small", self.small, 0, 100_000)
        check_range("burst", self.burst, 0, 86_400)
        if self.wrong_label is not None:
            check_range("wrong_label", self.wrong_label, 0, 1)
        if self.odd is not None:
            check_range("odd", self.odd, 0, 1000)
        check_range("imbalance", self.imbalance, 1, 1_000_000)
        check_whole("few", self.few, 0, 10**8)

    def wrong_label_of(self, num_classes: int) -> float:
        """The probability up to which a label is suspected among so many classes."""
        if self.wrong_label is not None:
            return self.wrong_label
        return max(_SHARE_OF_EVEN / num_classes, _LEAST_BOUND)
