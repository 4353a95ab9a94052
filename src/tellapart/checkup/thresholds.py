"""The bounds that the check-up decides by: what each is about, its default, and what it may be."""

from dataclasses import dataclass

from tellapart.config import check_range, check_whole
from tellapart.images.facts import BLURRED

# The cross-validated probability of the label below which it is suspected, by default: this share of what it would have
# if all classes were as probable, but never less than 1 in 20. Without it, of the suspects among 548 photos of weather
# with 5 % of labels wrong 0.74 were wrong instead of 0.90, and of those among 5 photos of each digit 0.30 instead of
# 0.78 (by `prune_by_class`).
_SHARE_OF_EVEN, _LEAST_BOUND = 0.4, 0.05

# What each threshold is about, its unit, and which side of it is found. In the order of the documentation.
THRESHOLDS = {
    "empty": "contrast of a photo (standard deviation of its light, 0 to 0.5); below it, the photo is empty",
    "dark": "light of a photo (its mean, or a fifth of its brightest twentieth; 0 to 1); below it, the photo is dark",
    "blurred": "sharpness of a photo (about 1 without a sharp edge, more with); below it, the photo is blurry",
    "small": "shorter side of a photo in pixels; below it, the photo is small",
    "mask": "share of a picture that has one of six grey levels (0 to 1); from it on, the picture is a mask",
    "burst": "seconds between two photos of one camera; up to it, they may be one series",
    "wrong_label": "probability of a label, by models that had not seen the photo (0 to 1); up to it, it is doubted",
    "odd": "how unlike its class a photo is, in standard deviations; above it, the photo is odd",
    "shortcut": "how far one clue alone gives a class away (0 is chance, 1 is always); from it on, it is a shortcut",
    "imbalance": "photos of the largest class for each of this class; above it, the classes are uneven",
    "few": "photos of a class; below it, they are few",
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
