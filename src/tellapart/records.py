"""What crosses from one room to another: small frozen records, no behaviour, no file access."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Skipped:
    """A file that is not used, and why, in words for the person who owns it."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
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
class PreparedRecord:
    """What is trained and measured on.

    Attributes:
        counts: usable photos of each class, in class order.
        num_skipped: files that are not used.
        num_train, num_validation: photos that train and validate.
    """

    counts: dict[str, int]
    num_skipped: int
    num_train: int
    num_validation: int


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
    """What the model says of one photo.

    Attributes:
        path: of the photo; `image 0` for the first of the images that were given as pixels, bytes or Pillow images.
        nearest_class: the class with the highest probability, whether or not that is an answer.
        probabilities: in the order of the model's `class_names`, summing to 1.
        distance: how unlike the photos of the training it is, where the model can tell.
        doubt: the answer in place of a class, `not sure` or `none of these`; `None` where the model answers.
        shown_doubt: the doubt in words that are no class of the model; `None` where `doubt` itself is none.
        by_dial: class and probability that a dial names in place of the nearest class; `None` where it names none.
    """

    path: str
    nearest_class: str
    probabilities: tuple[float, ...]
    distance: float | None = None
    doubt: str | None = None
    shown_doubt: str | None = None
    by_dial: tuple[str, float] | None = None

    @property
    def class_name(self) -> str | None:
        """The class that it answers, `None` where it does not answer."""
        return None if self.doubt else self.forced_class

    @property
    def probability(self) -> float | None:
        """That of `class_name`; `None` where the model does not answer."""
        if self.doubt:
            return None
        return self.highest_probability if self.by_dial is None else self.by_dial[1]

    @property
    def forced_class(self) -> str:
        """The class that it answers, or would answer if it had to."""
        return self.nearest_class if self.by_dial is None else self.by_dial[0]

    @property
    def highest_probability(self) -> float:
        """That of `nearest_class`."""
        return max(self.probabilities)

    @property
    def answer(self) -> str:
        """The class that it answers, or the doubt in words that are no class of the model."""
        return self.shown_doubt or self.doubt or self.forced_class


@dataclass(frozen=True)
class PhotoGroup:
    """Photos that show the same moment, by row, in rising order.

    `kind` is `copies` for byte-identical files, `near` for one picture that was encoded anew, resized, cropped,
    mirrored or made brighter, and `burst` for pictures taken within seconds of one another by one camera.
    """

    kind: Literal["copies", "near", "burst"]
    rows: tuple[int, ...]


@dataclass(frozen=True)
class LabelSuspect:
    """A photo whose label is probably wrong; the probabilities are those of a model that had not seen it.

    Attributes:
        row: the photo, of several that belong together, such as copies, the first.
        label, suggested_label: the label it has, and the one it may have.
        label_probability, suggested_probability: of both, the mean over the photos that belong together.
        other_rows: the others of them with the same label.
    """

    row: int
    label: int
    suggested_label: int
    label_probability: float
    suggested_probability: float
    other_rows: tuple[int, ...] = ()

    @property
    def rows(self) -> tuple[int, ...]:
        """The photo, and those that belong together with it."""
        return (self.row, *self.other_rows)


@dataclass(frozen=True)
class Shortcut:
    """How well the classes can be told apart by something that is not on the photos.

    Attributes:
        clue: what it is: `image size`, `file size`, `file format`, `camera` or `border`.
        accuracy: share of photos whose class a small model finds by the clue alone, cross-validated and balanced: the
            mean of the recalls of all classes.
        chance: what it would find if clue and class had nothing to do with each other.
        class_name: the class that the clue gives away most.
        recall: share of the photos of that class that the model finds.
        false_alarm_rate: share of the other photos that it takes for that class, the mean over their classes.
        value: what the photos of the class have in common, as `camera Canon EOS 5D`; empty where no one thing is.
        num_with, num_class: photos of the class with that value, of how many.
        num_others_with, num_others: the same of all other photos.
    """

    clue: str
    accuracy: float
    chance: float
    class_name: str
    recall: float
    false_alarm_rate: float
    value: str = ""
    num_with: int = 0
    num_class: int = 0
    num_others_with: int = 0
    num_others: int = 0


@dataclass(frozen=True)
class Finding:
    """Something about a collection that its owner should know before trusting numbers.

    Attributes:
        kind: its name in JSON, such as `copies` or `too_dark`.
        title: what was found and how often, in a few words.
        why: one sentence that says why it matters, and what is done about it.
        num_photos: photos it concerns.
        examples: rows of all of them, those that belong together in one tuple, the first to be shown first; empty where
            a finding is about the collection as a whole.
        captions: what is to be said of each example; as many as there are examples.
        is_problem: whether something should be fixed; otherwise it is only good to know.
        action: what its owner can do about it today; empty where there is nothing to do.
        is_folded: whether an example is one photo: those in one tuple are copies of it, or of one burst.
    """

    kind: str
    title: str
    why: str
    num_photos: int
    examples: tuple[tuple[int, ...], ...]
    captions: tuple[str, ...]
    is_problem: bool
    action: str = ""
    is_folded: bool = False


@dataclass(frozen=True)
class Figure:
    """What the check-up measured, beside the threshold that decides about it.

    Attributes:
        name: of the threshold, as `check --set` takes it.
        meaning: what is measured, its unit, and which side of the threshold is named.
        threshold: the one that was used.
        median, worst: of all photos, classes or clues; `None` where none was measured.
        num_found: how many of them are named.
    """

    name: str
    meaning: str
    threshold: float
    median: float | None
    worst: float | None
    num_found: int


@dataclass(frozen=True)
class Dial:
    """A threshold for one class: a photo is of that class from this probability on, else the most probable other one.

    Attributes:
        class_name: the class.
        threshold: in `[0, 1]`.
        max_missed: the share of its photos that may be missed, where the threshold was chosen by that.
    """

    class_name: str
    threshold: float
    max_missed: float | None = None
