"""What crosses from one room to another: small frozen records, no behaviour, no file access."""

from dataclasses import dataclass
from typing import Literal


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
        distance: how unlike the photos of the training it is, where that was asked for.
        doubt: the answer in place of a class, `not sure` or `none of these`; `None` where the model answers.
        shown_doubt: the doubt in words that are no class of the model; `None` where `doubt` itself is none.
    """

    path: str
    nearest_class: str
    probabilities: tuple[float, ...]
    distance: float | None = None
    doubt: str | None = None
    shown_doubt: str | None = None

    @property
    def class_name(self) -> str | None:
        """The nearest class where that is the answer, `None` where the model does not answer."""
        return None if self.doubt else self.nearest_class

    @property
    def probability(self) -> float | None:
        """That of `class_name`; `None` where the model does not answer."""
        return None if self.doubt else self.highest_probability

    @property
    def highest_probability(self) -> float:
        """That of `nearest_class`."""
        return max(self.probabilities)

    @property
    def answer(self) -> str:
        """The nearest class, or the doubt in words that are no class of the model."""
        return self.shown_doubt or self.doubt or self.nearest_class


@dataclass(frozen=True)
class ClassScore:
    """How one class fared.

    Attributes:
        class_name: the class.
        num_photos: photos of it.
        num_groups: those of them that are independent: copies and photos of one burst count as one.
        precision: share of the photos that were given this class and are of it; `None` where none was given it.
        recall: share of its photos that were given this class; `None` without photos.
        recall_interval_95: of the recall, by groups; `None` likewise.
    """

    class_name: str
    num_photos: int
    num_groups: int
    precision: float | None
    recall: float | None
    recall_interval_95: tuple[float, float] | None


@dataclass(frozen=True)
class Evaluation:
    """How right a model is on labelled photos it has never seen.

    Attributes:
        accuracy: share of photos whose predicted class is their label.
        interval_95: Wilson interval of the accuracy; copies and photos of one burst count as one photo.
        num_photos: photos the figures rest on.
        num_groups: those of them that are independent.
        balanced_accuracy: mean of the recalls of the classes that have photos.
        balanced_interval_95: of the balanced accuracy.
        macro_f1: mean F1 score of the classes.
        constant_class, constant_accuracy: the most frequent class, and how often always naming it would be right.
        log_loss: mean of `-log p(label)` in nats.
        per_class: one entry a class, in class order.
        confusion_matrix: `[label][predicted]` counts.
    """

    accuracy: float
    interval_95: tuple[float, float]
    num_photos: int
    num_groups: int
    balanced_accuracy: float
    balanced_interval_95: tuple[float, float]
    macro_f1: float
    constant_class: str
    constant_accuracy: float
    log_loss: float
    per_class: tuple[ClassScore, ...]
    confusion_matrix: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Verdict:
    """Whether a model is worth using, for a person who reads nothing else.

    Attributes:
        word: `Good`, `Usable with care`, `Not better than guessing` or `Too few photos to know`.
        colour: `green`, `amber` or `red`.
        sentence: what it does, in a sentence or two with numbers.
        advice: whether to use it.
        reasons: why the word is that, the first one decides.
    """

    word: str
    colour: str
    sentence: str
    advice: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """Something to do next.

    Attributes:
        kind: the finding it is about, or `too_few`, `guessing`, `weak_class`, `more_photos` or `skipped`.
        title: what it is about, in a few words.
        action: what can be done about it today.
        cost: share of all answers that may be wrong, or unknown, because of it.
    """

    kind: str
    title: str
    action: str
    cost: float


@dataclass(frozen=True)
class ModelEvaluation(Evaluation):
    """How right a model is on labelled photos that it has not learnt from.

    Attributes:
        known_paths: photos left out because the model has learnt from them, or from near copies of them.
        near_copy_paths: those of them that it has learnt from in another form only: encoded anew, resized, mirrored,
            turned or made brighter.
        other_split_paths: other photos left out because the source has a test split, and they are outside of it.
        skipped: files that took no part, with the reason.
        verdict: whether the model is worth using, by these photos alone.
        promise: what the training promised beside what came true; `None` where it promised nothing.
        notes: what should be known about the figures, a sentence each.
    """

    known_paths: tuple[str, ...]
    near_copy_paths: tuple[str, ...]
    other_split_paths: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    verdict: Verdict
    promise: str | None
    notes: tuple[str, ...]

    @property
    def num_known(self) -> int:
        """Photos that were left out because the model has learnt from them, or from near copies of them."""
        return len(self.known_paths)


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
        num_only_first: photos that only the first got right; photos that belong together, such as copies, are one.
        num_only_second: likewise of the second.
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
    """

    kind: str
    title: str
    why: str
    num_photos: int
    examples: tuple[tuple[int, ...], ...]
    captions: tuple[str, ...]
    is_problem: bool
    action: str = ""


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
class SelectivePoint:
    """How a model does on the photos it is surest about.

    Attributes:
        threshold: the least probability of a predicted class that counts as sure.
        num_answered: photos with at least that.
        num_wrong: those of them it was wrong about.
    """

    threshold: float
    num_answered: int
    num_wrong: int


@dataclass(frozen=True)
class ReliabilityBin:
    """Photos of similar probability: their mean probability, how often the model was right, and its 95 % interval."""

    num_photos: int
    mean_probability: float
    accuracy: float
    interval_95: tuple[float, float]


@dataclass(frozen=True)
class Reliability:
    """Whether probabilities mean what they say.

    Attributes:
        brier: mean over photos of the squared distance between probabilities and the label, in `[0, 2]`.
        bins: photos in order of probability, as many in each; empty where there are too few.
        calibration_error: debiased, in `[0, 1]`; `None` where there are too few photos.
        calibration_interval_95: its bootstrap interval; `None` likewise.
    """

    brier: float
    bins: tuple[ReliabilityBin, ...]
    calibration_error: float | None
    calibration_interval_95: tuple[float, float] | None


@dataclass(frozen=True)
class CurvePoint:
    """The error of models that learnt from so many photos, in `[0, 1]`; `low` and `high` bound it with 95 %."""

    num_photos: int
    error: float
    low: float
    high: float


@dataclass(frozen=True)
class LearningCurve:
    """How the error falls with the number of photos.

    Attributes:
        measured: number of photos and error of each model that was tried.
        fitted: the curve through them, at most to 4 times the photos there are.
        exponent_95: bootstrap interval of the exponent b of `error = a n^-b + c`.
        num_photos: photos there are, all of them.
        sentence: what it says about more photos.
        gain: how much lower the error would be with twice the photos; 0 where no gain is certain.
    """

    measured: tuple[tuple[int, float], ...]
    fitted: tuple[CurvePoint, ...]
    exponent_95: tuple[float, float]
    num_photos: int
    sentence: str
    gain: float = 0.0
