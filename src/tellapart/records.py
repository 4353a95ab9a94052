"""What crosses from one room to another: small frozen records, no behaviour, no file access."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Skipped:
    """A file that is not used, and why, in words for the person who owns it."""

    path: str
    reason: str


@dataclass(frozen=True)
class ImageInfo:
    """What the header of a photo says; `height` and `width` in pixels, after the EXIF orientation is applied."""

    format: str
    height: int
    width: int


@dataclass(frozen=True)
class StepRecord:
    """Progress inside an epoch; means over the steps so far, `seconds_left` to the end of the whole run.

    `epoch` and `step` count from 1.
    """

    epoch: int
    num_epochs: int
    step: int
    num_steps: int
    train_loss: float
    train_accuracy: float
    seconds_left: float


@dataclass(frozen=True)
class EmbedRecord:
    """Progress of embedding: photos done so far, found in the cache or computed, of all there are."""

    num_done: int
    num_photos: int
    num_found: int
    seconds_left: float


@dataclass(frozen=True)
class EpochRecord:
    """One finished epoch, counted from 1; losses in nats, accuracies in `[0, 1]`.

    The training figures are means over the steps of the epoch, measured on augmented photos while the weights change;
    the validation figures are measured once, at the end of the epoch, on photos that are only resized. They are `None`
    in an epoch after which the validation photos were not looked at. `progress` is the share of the whole training that
    is done, in `(0, 1]`.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    seconds: float
    images_per_second: float
    progress: float = 1.0


@dataclass(frozen=True)
class LayerRecord:
    """One layer of a network; `output_shape` without the batch axis."""

    name: str
    kind: str
    output_shape: tuple[int, ...]
    num_parameters: int


@dataclass(frozen=True)
class Prediction:
    """What the model says of one photo; `probabilities` in the order of the bundle's class names, summing to 1."""

    path: str
    predicted_class: str
    probability: float
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class ClassScore:
    """How one class fared; `precision` and `recall` are `None` where nothing was predicted or present."""

    class_name: str
    num_photos: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class Evaluation:
    """How right a model is on labelled photos it has never seen.

    Attributes:
        accuracy: share of photos whose predicted class is their label.
        interval_95: Wilson interval of the accuracy.
        num_photos: photos the figures rest on.
        log_loss: mean of `-log p(label)` in nats.
        per_class: one entry a class, in class order.
        confusion_matrix: `[label][predicted]` counts.
    """

    accuracy: float
    interval_95: tuple[float, float]
    num_photos: int
    log_loss: float
    per_class: tuple[ClassScore, ...]
    confusion_matrix: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class RecipeResult:
    """What one recipe made of the photos that all compared recipes share.

    Attributes:
        recipe: its name.
        validation: the figures on the validation photos.
        train_seconds: wall time of the training.
        photos_per_second: speed of prediction, from files to answers.
        model_bytes: size of the model on disk.
    """

    recipe: str
    validation: Evaluation
    train_seconds: float
    photos_per_second: float
    model_bytes: int


@dataclass(frozen=True)
class PairedTest:
    """McNemar's exact test of two recipes on the same photos.

    Attributes:
        first, second: names of the recipes.
        num_only_first: photos that only the first got right.
        num_only_second: photos that only the second got right.
        p_value: how often chance alone splits their sum at least as unevenly, in `[0, 1]`.
    """

    first: str
    second: str
    num_only_first: int
    num_only_second: int
    p_value: float


@dataclass(frozen=True)
class Comparison:
    """Recipes side by side on one split, and the test of each pair."""

    results: tuple[RecipeResult, ...]
    tests: tuple[PairedTest, ...]
