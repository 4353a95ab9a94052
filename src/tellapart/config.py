"""Every setting, one frozen dataclass per stage, checked when it is made.

Defaults stand here and nowhere else. The command line fills these from flags; Python callers make them directly.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tellapart.errors import ConfigError
from tellapart.translation import gettext as _
from tellapart.value_checks import check_choice, check_range, check_whole, refused

OPTIMIZER_NAMES = ("adadelta", "adagrad", "adam", "adamw", "rmsprop", "sgd")
DEFAULT_BACKBONE, QUICK_BACKBONE = "efficientnet-lite0@288", "efficientnet-lite0"
# Of the images that a network looks at, in pixels.
MAX_SIDE = 4096
# What `eyes` may say instead of the name of a network.
EYES = ("auto", "quick", "best")
# Each says where the labels of photos are, so that two of them would contradict each other.
LABEL_SETTINGS = ("labels_csv", "label_pattern", "class_level")


@dataclass(frozen=True)
class ImageLimits:
    """The largest photo that is decoded; anything above becomes a `Skipped` record.

    Attributes:
        max_bytes: size of the file, in bytes.
        max_pixels: height times width of what is decoded, so a JPEG may have more where it is read at a reduced size;
            120 million covers today's 108-megapixel phones.
    """

    max_bytes: int = 256 * 1024 * 1024
    max_pixels: int = 120_000_000

    def __post_init__(self) -> None:
        check_whole("max_bytes", self.max_bytes, 1, 2**40)
        check_whole("max_pixels", self.max_pixels, 1, 2**40)


@dataclass(frozen=True)
class ArchiveLimits:
    """What a zip may hold before it is refused.

    Attributes:
        max_members: number of files.
        max_total_bytes: bytes of all members together after decompression, as really counted.
        max_directory_bytes: length of the list of members.
        max_ratio: decompressed size over compressed size of one member above 1 MiB; deflated photos stay below 10.
        max_suspicious_bytes: decompressed size of all smaller members together that are beyond `max_ratio`.
    """

    max_members: int = 500_000
    max_total_bytes: int = 200 * 1024**3
    max_directory_bytes: int = 128 * 1024**2
    max_ratio: float = 200.0
    max_suspicious_bytes: int = 1024**3

    def __post_init__(self) -> None:
        check_whole("max_members", self.max_members, 1, 10**8)
        check_whole("max_total_bytes", self.max_total_bytes, 1, 2**50)
        check_whole("max_directory_bytes", self.max_directory_bytes, 1, 2**40)
        check_whole("max_suspicious_bytes", self.max_suspicious_bytes, 0, 2**50)
        check_range("max_ratio", self.max_ratio, 1, 10_000)


@dataclass(frozen=True)
class SourceConfig:
    """How labels are found and how many photos are taken.

    Attributes:
        labels_csv: path of a CSV with a path and a label column, whose paths are relative to the source.
        label_pattern: regular expression with one group (or a group called `label`), searched in the file name.
        class_level: which folder of each path is its class, counted from 1 for the folders directly in the source.
        per_class: photos to take of each class; `None` takes all.
        cache_dir: folder for decoded photos; `None` is the user's cache folder.
        limits: the largest photo that is decoded.
    """

    labels_csv: str | None = None
    label_pattern: str | None = None
    class_level: int | None = None
    per_class: int | None = None
    cache_dir: str | None = None
    limits: ImageLimits = field(default_factory=ImageLimits)

    def __post_init__(self) -> None:
        given = [name for name in LABEL_SETTINGS if getattr(self, name) is not None]
        if len(given) > 1:
            first, second = given[:2]
            message = _("`{first}` and `{second}` were both given. Give one of them.").format(
                first=first, second=second
            )
            raise ConfigError(message, field=first)
        if self.class_level is not None:
            check_whole("class_level", self.class_level, 1, 100)
        if self.per_class is not None:
            check_whole("per_class", self.per_class, 2, 10**8)
        if self.label_pattern is not None:
            check_pattern(self.label_pattern)

    @property
    def label_setting(self) -> str | None:
        """The setting that says where labels are; `None` where that is to be found out."""
        return next((name for name in LABEL_SETTINGS if getattr(self, name) is not None), None)


def check_pattern(pattern: str) -> None:
    """Nothing, if `pattern` compiles and has a group that captures the label.

    Raises:
        ConfigError: it does not compile, or has no group.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as exc:
        message = _(
            "`label_pattern` {pattern!r} is not a regular expression: {exc}. Give one such as '^([a-z]+)_'."
        ).format(pattern=pattern, exc=exc)
        raise ConfigError(message, field="label_pattern", value=pattern) from exc
    if compiled.groups < 1:
        raise ConfigError(
            _("`label_pattern` {pattern!r} has no group. Put parentheses around the class, as in '^([a-z]+)_'.").format(
                pattern=pattern
            ),
            field="label_pattern",
            value=pattern,
        )


@dataclass(frozen=True)
class AugmentConfig:
    """Ranges of the random warp that a training photo goes through, as Keras' `ImageDataGenerator` defines them.

    Attributes:
        rotation_degrees: angle drawn from `[-r, r]`.
        width_shift, height_shift: shift drawn from `[-s, s]`, as a fraction of the width or height.
        shear_degrees: shear angle drawn from `[-s, s]`; the article's `shear_range=0.2` means degrees in Keras.
        zoom: each axis is scaled by a factor drawn from `[1 - z, 1 + z]`.
        horizontal_flip: mirror with probability one half.
    """

    rotation_degrees: float = 40.0
    width_shift: float = 0.2
    height_shift: float = 0.2
    shear_degrees: float = 0.2
    zoom: float = 0.2
    horizontal_flip: bool = True

    def __post_init__(self) -> None:
        check_range("rotation_degrees", self.rotation_degrees, 0, 180)
        check_range("width_shift", self.width_shift, 0, 1)
        check_range("height_shift", self.height_shift, 0, 1)
        check_range("shear_degrees", self.shear_degrees, 0, 89)
        check_range("zoom", self.zoom, 0, 0.99)


@dataclass(frozen=True)
class CropConfig:
    """Ranges of the random view of a training photo that the residual network learns from.

    Attributes:
        least_area: a crop covers a share of the photo drawn from `[least_area, 1]`.
        aspect: its width over its height, relative to the photo's, is drawn between `1 / aspect` and `aspect`, evenly
            on a log scale.
        rotation_degrees: angle drawn from `[-r, r]`.
        flip: whether every other view of a photo is mirrored left to right.
        colour: brightness and contrast are scaled by factors from `[1 - c, 1 + c]`, saturation by one from an
            interval a third wider.
        erase: probability that a rectangle is painted over.
    """

    least_area: float = 0.35
    aspect: float = 4 / 3
    rotation_degrees: float = 10.0
    flip: bool = True
    colour: float = 0.3
    erase: float = 0.25

    def __post_init__(self) -> None:
        check_range("least_area", self.least_area, 0.01, 1)
        check_range("aspect", self.aspect, 1, 10)
        check_range("rotation_degrees", self.rotation_degrees, 0, 180)
        for name in ("colour", "erase"):
            check_range(name, getattr(self, name), 0, 1)


@dataclass(frozen=True)
class ClassicConfig:
    """How the article's network is trained from scratch, with the article's settings.

    Attributes:
        recipe: `classic`.
        image_size: `(height, width)` in pixels that every photo is resized to.
        channels: 3 for colour, 1 for gray.
        validation_fraction: share of each class kept out of training, strictly between 0 and 1.
        epochs: passes over the training photos.
        batch_size: photos per step.
        optimizer: a name of `OPTIMIZER_NAMES`.
        learning_rate: step size of the optimizer.
        augment: the random warp, or `None` for none.
        seed: the one number all randomness comes from.
    """

    recipe: Literal["classic"] = "classic"
    image_size: tuple[int, int] = (150, 150)
    channels: Literal[1, 3] = 3
    validation_fraction: float = 0.2
    epochs: int = 64
    batch_size: int = 32
    optimizer: str = "rmsprop"
    learning_rate: float = 1e-4
    augment: AugmentConfig | None = field(default_factory=AugmentConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("recipe", self.recipe, ("classic",))
        _check_image(self.image_size, self.channels)
        check_range("validation_fraction", self.validation_fraction, 0, 1, open_ends=True)
        check_whole("epochs", self.epochs, 1, 100_000)
        check_whole("batch_size", self.batch_size, 1, 65_536)
        check_choice("optimizer", self.optimizer, OPTIMIZER_NAMES)
        check_range("learning_rate", self.learning_rate, 0, 100, open_ends=True)
        check_whole("seed", self.seed, 0, 2**32 - 1)


@dataclass(frozen=True)
class ScratchConfig:
    """How the residual network is trained from scratch; a default that is `None` is planned by the recipe.

    Attributes:
        recipe: `scratch`.
        minutes: wall time of the whole training, from the first photo to the last file; excludes `epochs`.
        epochs: passes over the training photos; excludes `minutes`.
        image_size: `(height, width)` in pixels that photos are predicted at; the first epochs see smaller ones.
        channels: 3 for colour, 1 for gray.
        flip: whether a mirrored photo is still one of its class; then training mirrors every other view of a photo, and
            an answer is the mean of those for a photo and for its mirror image.
        rotations: whether a photo turned by any angle is still one of its class, as under a microscope.
        validation_fraction: share of each class kept out of training, strictly between 0 and 1.
        seed: the one number all randomness comes from.
    """

    recipe: Literal["scratch"] = "scratch"
    minutes: float | None = None
    epochs: int | None = None
    image_size: tuple[int, int] | None = None
    channels: Literal[1, 3] = 3
    flip: bool = True
    rotations: bool = False
    validation_fraction: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("recipe", self.recipe, ("scratch",))
        if self.minutes is not None and self.epochs is not None:
            raise ConfigError(
                _(
                    "`minutes` {minutes!r} and `epochs` {epochs!r} were both given, and each sets how long to "
                    "train. Give one of them."
                ).format(minutes=self.minutes, epochs=self.epochs),
                field="minutes",
                value=self.minutes,
            )
        if self.minutes is not None:
            check_range("minutes", self.minutes, 0.1, 100_000)
        if self.epochs is not None:
            check_whole("epochs", self.epochs, 1, 100_000)
        _check_image(self.image_size or (16, 16), self.channels)
        check_range("validation_fraction", self.validation_fraction, 0, 1, open_ends=True)
        check_whole("seed", self.seed, 0, 2**32 - 1)


def _check_image(image_size: tuple[int, int], channels: int) -> None:
    """Nothing, if photos can be resized to this.

    Raises:
        ConfigError: they cannot.
    """
    if not isinstance(image_size, tuple) or len(image_size) != 2:
        raise ConfigError(
            _("`image_size` {image_size!r} must be a pair (height, width) in pixels, such as (150, 150).").format(
                image_size=image_size
            ),
            field="image_size",
            value=image_size,
        )
    for side in image_size:
        check_whole("image_size", side, 16, MAX_SIDE)
    if channels not in (1, 3):
        raise ConfigError(
            _("`channels` {channels!r} must be 3 (colour) or 1 (grey).").format(channels=channels),
            field="channels",
            value=channels,
        )


@dataclass(frozen=True)
class TransferConfig:
    """How a head is trained on the embeddings of a frozen backbone.

    Attributes:
        recipe: `transfer`.
        backbone: a name that `tellapart train --help` lists, the path of an ONNX file, or `hf:OWNER/NAME`; `None`
            leaves it to `eyes`.
        eyes: which pretrained network looks at the photos, at which size. `auto` chooses by cross-validation between
            EfficientNet-Lite0 at 288 pixels, the same with a mirrored view, and EfficientNet-Lite2 where it is
            installed; `best` tries EfficientNet-Lite2 with a mirrored view as well; `quick` is EfficientNet-Lite0 at
            224 pixels; `NAME`, `NAME@SIZE` or `NAME@SIZE+mirrored` is that one.
        validation_fraction: share of each class kept out of training, strictly between 0 and 1. `None` keeps 0.2 from
            1,000 photos on; with fewer all photos train, and cross-validation measures the accuracy.
        folds: parts of the cross-validation that chooses the head, and that measures it below 1,000 photos.
        seed: the one number all randomness comes from.
    """

    recipe: Literal["transfer", "finetune"] = "transfer"
    backbone: str | None = None
    eyes: str = "auto"
    validation_fraction: float | None = None
    folds: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("recipe", self.recipe, (type(self).recipe,))
        if self.backbone is not None and (not isinstance(self.backbone, str) or not self.backbone):
            raise ConfigError(
                _(
                    "`backbone` {backbone!r} is not a backbone. Give a name such as {example!r}, the path of "
                    "an ONNX file, or hf:OWNER/NAME."
                ).format(backbone=self.backbone, example=DEFAULT_BACKBONE),
                field="backbone",
                value=self.backbone,
            )
        if self.backbone is not None and self.eyes != "auto":
            raise ConfigError(
                _("`backbone` {backbone!r} and `eyes` {eyes!r} both name a network. Give one of them.").format(
                    backbone=self.backbone, eyes=self.eyes
                ),
                field="eyes",
                value=self.eyes,
            )
        if not isinstance(self.eyes, str) or not self.eyes:
            raise ConfigError(
                _("`eyes` {eyes!r} is not known. Give {known}, or a network such as {example!r}.").format(
                    eyes=self.eyes, known=", ".join(EYES), example=DEFAULT_BACKBONE
                ),
                field="eyes",
                value=self.eyes,
            )
        if self.validation_fraction is not None:
            check_range("validation_fraction", self.validation_fraction, 0, 1, open_ends=True)
        check_whole("folds", self.folds, 2, 100)
        check_whole("seed", self.seed, 0, 2**32 - 1)


@dataclass(frozen=True)
class FinetuneConfig(TransferConfig):
    """How a built-in backbone is fine-tuned, where that pays; else it is as `TransferConfig`.

    On a CPU its last blocks are trained, on a GPU of NVIDIA all of it.

    Attributes:
        recipe: `finetune`.
        backbone, eyes: as in `TransferConfig`; the network has to be a built-in one.
        validation_fraction: share of each class kept out of all that is decided, strictly between 0 and 1. `None` keeps
            0.2 where fine-tuning is tried, whatever the number of photos.
        folds, seed: as in `TransferConfig`.
        minutes: wall time of the whole training, from the first photo to the last file; excludes `steps`.
        steps: updates of each of the three trainings: two that decide whether it pays, and one that is kept; `None`
            with `minutes` is what there is time for, and else 1,200.
        flip: whether a mirrored photo is still one of its class.
    """

    recipe: Literal["transfer", "finetune"] = "finetune"
    minutes: float | None = None
    steps: int | None = None
    flip: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.minutes is not None and self.steps is not None:
            raise ConfigError(
                _(
                    "`minutes` {minutes!r} and `steps` {steps!r} were both given, and each sets how long to train. "
                    "Give one of them."
                ).format(minutes=self.minutes, steps=self.steps),
                field="minutes",
                value=self.minutes,
            )
        if self.minutes is not None:
            check_range("minutes", self.minutes, 0.1, 100_000)
        if self.steps is not None:
            check_whole("steps", self.steps, 1, 100_000)


RecipeConfig = TransferConfig | FinetuneConfig | ScratchConfig | ClassicConfig
# The recipes, the default first, and what each is set with.
RECIPE_CONFIGS: dict[str, type[RecipeConfig]] = {
    "transfer": TransferConfig,
    "finetune": FinetuneConfig,
    "scratch": ScratchConfig,
    "classic": ClassicConfig,
}


ClassNumber = str | Mapping[str, float]
OFF = "off"


@dataclass(frozen=True)
class DialConfig:
    """From which probability on a photo is called one of the classes: by a threshold, or by what may be missed.

    One class has it, and is told from the rest. Either setting is `{"cracked": 0.2}` or `"cracked=0.2"`, and `"off"`
    takes the dial of a model away.

    Attributes:
        threshold: the least probability, strictly between 0 and 1.
        max_missed: the share of the photos of that class that may be missed, strictly between 0 and 1.
    """

    threshold: ClassNumber | None = None
    max_missed: ClassNumber | None = None

    def __post_init__(self) -> None:
        if self.threshold is not None and self.max_missed is not None:
            raise ConfigError(
                _("`{first}` and `{second}` were both given. Give one of them.").format(
                    first="threshold", second="max_missed"
                ),
                field="threshold",
                value=self.threshold,
            )
        if self.threshold is not None or self.max_missed is not None:
            self.chosen  # noqa: B018  # refuses what is not a class and a number

    @property
    def is_off(self) -> bool:
        """Whether no class has a threshold, not even the one that a model brings along."""
        return OFF in (self.threshold, self.max_missed)

    @property
    def chosen(self) -> tuple[str, str, float] | None:
        """The setting that was given, its class and its number; `None` where none was given, or `"off"`."""
        for name in ("threshold", "max_missed"):
            value = getattr(self, name)
            if value is not None and value != OFF:
                return (name, *_class_and_number(name, value))
        return None


def _class_and_number(name: str, value: ClassNumber) -> tuple[str, float]:
    """The class and the number of `{"cracked": 0.2}` or `"cracked=0.2"`."""
    pairs: dict[Any, Any] = {}
    if isinstance(value, Mapping):
        pairs = dict(value)
    elif isinstance(value, str) and "=" in value:
        class_name, number = value.rsplit("=", 1)
        pairs = {class_name: number}
    if len(pairs) > 1:
        raise refused(name, value, _("names several classes. Give one of them: only one can have a threshold."))
    class_name, number = next(iter(pairs.items()), ("", ""))
    if not isinstance(class_name, str) or not class_name:
        raise refused(name, value, _("names no class. Give a class and a number, such as cracked=0.2."))
    try:
        share = float(number)
    except (TypeError, ValueError):
        raise refused(name, value, _("has no number. Give a class and a number, such as cracked=0.2.")) from None
    if not 0 < share < 1:
        raise refused(name, value, _("must be above 0 and below 1. For 5%, write 0.05."))
    return class_name, share


@dataclass(frozen=True)
class AnswerConfig(DialConfig):
    """When a model answers, and with which class.

    Attributes:
        not_sure: share of wrong answers that is accepted among those that are given; `None` answers always.
        none_of_these: share of photos like those of the training that may be taken for none of the classes; `None`
            takes every photo for one of them.
    """

    not_sure: float | None = None
    none_of_these: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("not_sure", "none_of_these"):
            if getattr(self, name) is not None:
                check_range(name, getattr(self, name), 0, 1, open_ends=True)
