"""How right models are, as small frozen records: scores, verdicts, comparisons, reliability, and the learning curve."""

from dataclasses import dataclass

from tellapart.records import Skipped


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
        kind: the finding it is about, or `too_few`, `guessing`, `weak_class`, `few_of_class`, `more_photos` or
            `skipped`.
        title: what it is about, in a few words.
        action: what can be done about it today.
        cost: share of all answers that may be wrong, or unknown, because of it.
    """

    kind: str
    title: str
    action: str
    cost: float


@dataclass(frozen=True)
class Mistake:
    """A photo that a model takes for what it is not.

    Attributes:
        path: of several photos that belong together, such as copies, the one the model was surest of.
        class_name: its label.
        predicted_class: what the model says.
        probability: of what it says.
        num_photos: photos that belong together and got the same answer.
    """

    path: str
    class_name: str
    predicted_class: str
    probability: float
    num_photos: int = 1


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
        steps: what to do next, the costliest neglect first.
        promise: what the training promised beside what came true; `None` where it promised nothing.
        mistakes: photos whose most probable class is not their label, the surest mistake first.
        notes: what should be known about the figures, a sentence each.
    """

    known_paths: tuple[str, ...]
    near_copy_paths: tuple[str, ...]
    other_split_paths: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    verdict: Verdict
    steps: tuple[Step, ...]
    promise: str | None
    mistakes: tuple[Mistake, ...]
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
class SelectivePoint:
    """How a model does on the photos it is surest about.

    Attributes:
        threshold: the least probability of a predicted class that counts as sure.
        num_answered: photos with at least that.
        num_wrong: those of them it was wrong about.
        num_independent: photos without copies that tell as much as those answered; `None` counts every photo.
    """

    threshold: float
    num_answered: int
    num_wrong: int
    num_independent: float | None = None


@dataclass(frozen=True)
class OperatingPoint:
    """What a threshold on the probability of one class does.

    Attributes:
        threshold: the least probability from which a photo is called that class.
        num_missed: photos of the class with less.
        num_false_alarms: other photos with that or more.
    """

    threshold: float
    num_missed: int
    num_false_alarms: int


@dataclass(frozen=True)
class OperatingCurve:
    """How one class was told from the rest at many thresholds, on photos the model had not seen.

    Attributes:
        class_name: the class.
        num_photos, num_others: photos of the class, and all others; at least 1 each.
        num_independent, num_others_independent: photos without copies that tell as much, which intervals count.
        points: the lowest threshold first.
    """

    class_name: str
    num_photos: int
    num_others: int
    num_independent: float
    num_others_independent: float
    points: tuple[OperatingPoint, ...]


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
        error: with the photos there are.
        prevented_95: how much lower the error would be with twice the photos: lower bound, middle, upper bound.
        num_groups: independent photos there are; 0 where that is not known.
    """

    measured: tuple[tuple[int, float], ...]
    fitted: tuple[CurvePoint, ...]
    exponent_95: tuple[float, float]
    num_photos: int
    sentence: str
    gain: float = 0.0
    error: float = 0.0
    prevented_95: tuple[float, float, float] = (0.0, 0.0, 0.0)
    num_groups: int = 0
