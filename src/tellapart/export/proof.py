"""Whether an export answers as `predict` does: differences on photos, and the gates that they have to pass."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.errors import ExportError
from tellapart.export.target import Target
from tellapart.measure.mcnemar import SIGNIFICANCE, compare_paired
from tellapart.measure.number_words import percent
from tellapart.measure.scores import PairedTest, SelectivePoint
from tellapart.measure.selective import threshold_for
from tellapart.translation import gettext as _
from tellapart.translation import ngettext
from tellapart.untrusted import read_json

# By how much a probability may differ at most; int8 is judged by its answers.
LARGEST_DIFFERENCE = {"float32": 1e-4, "float16": 1e-2, "browser": 1e-3}
# Browsers decode a large photo at its full size, and `predict` at a reduced one, so that its answer may differ by more
# than that: photos of more pixels count in the mean.
SMALL_PIXELS, LARGEST_MEAN_DIFFERENCE = 1_000_000, 0.02
# By how much a pixel of the reference implementation of the resize may differ: rounding, twice.
LARGEST_PIXEL_DIFFERENCE = 2
# The share of wrong answers that the usual "not sure" promises, and the threshold of models that cannot promise it.
_NOT_SURE, _SURE_ANYWAY = 0.05, 0.9
_Numbers = NDArray[np.float32]


@dataclass(frozen=True)
class Answers:
    """What a model and its export say of the same photos.

    Attributes:
        expected: probabilities by `predict`, `(n, num_classes)`.
        found: by the export, of the same pixels.
        found_by_own: by the export, of the pixels that its own reference implementation makes.
        pixels: by how much a pixel of the two differs at most, `(n,)`.
        labels: numbers of classes, `(n,)`; `None` where they are unknown.
        paths: of the photos.
        seconds: an answer took, `(n,)`.
        is_large: which photos have more than `SMALL_PIXELS`, where the target decodes them itself; `(n,)`, or `None`.
        num_unread: photos that it could not read, which are in none of these.
    """

    expected: _Numbers
    found: _Numbers
    found_by_own: _Numbers
    pixels: NDArray[np.int64]
    labels: NDArray[np.int64] | None
    paths: tuple[str, ...]
    seconds: NDArray[np.float64]
    is_large: NDArray[np.bool_] | None = None
    num_unread: int = 0


@dataclass(frozen=True)
class Proof:
    """How an export answers, beside `predict`, on the same photos.

    Attributes:
        runtime: what ran it, name and version.
        is_native: whether that is the runtime the export is for.
        photos: what the photos are: `held out` by the training, `given`, or of the `training`.
        num_photos: how many.
        processor: that ran it.
        speed_ratio: how many times as fast as the model it answers one photo, in one thread; `None` where that was not
            compared.
        num_unread: photos besides, which the export could not read.
        largest_difference, mean_difference: of a probability, for the same pixels.
        largest_pixel_difference: between the resize here and the reference implementation in the export, in levels.
        largest_difference_of_own: of a probability, from pixels that the reference implementation makes.
        num_changed: photos whose most probable class is another.
        sure_from: the probability from which an answer counts as sure.
        num_changed_sure: those of the changed that `predict` was sure of.
        accuracy, accuracy_before: of the export and of `predict`, where the photos have labels.
        p_value: of the paired test of the two.
        seconds_a_photo: the median, without decoding and resizing, on this machine.
        failures: the gates that it has not passed, a sentence each.
        is_accepted: whether the difference was accepted.
    """

    runtime: str
    is_native: bool
    photos: str
    num_photos: int
    largest_difference: float
    mean_difference: float
    largest_pixel_difference: int
    largest_difference_of_own: float
    num_changed: int
    sure_from: float
    num_changed_sure: int
    accuracy: float | None
    accuracy_before: float | None
    p_value: float | None
    seconds_a_photo: float
    processor: str = ""
    speed_ratio: float | None = None
    num_unread: int = 0
    failures: tuple[str, ...] = ()
    is_accepted: bool = False


def sure_from(selective: tuple[SelectivePoint, ...]) -> float:
    """The probability from which an answer counts as sure: that of the usual "not sure", at least 0.9 without one."""
    threshold = threshold_for(selective, _NOT_SURE)
    return _SURE_ANYWAY if threshold is None or not selective else max(threshold, _SURE_ANYWAY)


def compare_answers(answers: Answers, target: Target, kind: str, threshold: float, runtime: dict[str, Any]) -> Proof:
    """The proof of an export, with the gates that it has not passed.

    Args:
        answers: of both.
        target: decides about the gates.
        kind: what the photos are.
        threshold: as `sure_from` gives it.
        runtime: content of `runtime.json`.

    Raises:
        ExportError: what the export gives are no probabilities.
    """
    _check_numbers(answers, target)
    differences = np.abs(answers.found.astype(np.float64) - answers.expected)
    own = np.abs(answers.found_by_own.astype(np.float64) - answers.expected)
    is_changed = answers.found.argmax(axis=1) != answers.expected.argmax(axis=1)
    is_sure = answers.expected.max(axis=1) >= threshold
    test = _compare_accuracies(answers)
    proof = Proof(
        runtime=str(runtime["runtime"]),
        processor=str(runtime["processor"]),
        speed_ratio=runtime["speed_ratio"],
        is_native=bool(runtime["is_native"]),
        photos=kind,
        num_photos=len(answers.paths),
        largest_difference=float(differences.max()),
        mean_difference=float(differences.mean()),
        largest_pixel_difference=int(answers.pixels.max()),
        largest_difference_of_own=float(own.max()),
        num_changed=int(is_changed.sum()),
        sure_from=threshold,
        num_changed_sure=int((is_changed & is_sure).sum()),
        accuracy=_accuracy(answers.found, answers.labels),
        accuracy_before=_accuracy(answers.expected, answers.labels),
        p_value=None if test is None else test.p_value,
        seconds_a_photo=float(np.median(answers.seconds)),
        num_unread=answers.num_unread,
    )
    gated = differences.max(axis=1)
    if answers.is_large is not None and not answers.is_large.all():
        gated = np.where(answers.is_large, 0, gated)
    worst = int(gated.argmax())
    failures = _find_failures(proof, target, test, (float(gated[worst]), answers.paths[worst]))
    return Proof(**{**vars(proof), "failures": tuple(failures)})


def read_answers(path: Path, runtime_path: Path, target: Target) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The arrays and the runtime that the process of a runner has written.

    Raises:
        ExportError: they are not what a runner writes.
    """
    try:
        with np.load(path) as found:
            arrays = {name: found[name] for name in ("probabilities", "own_probabilities", "pixels", "seconds")}
        runtime = read_json(runtime_path)
        kept = {name: runtime[name] for name in ("runtime", "is_native", "processor")}
        return arrays, {**kept, "speed_ratio": runtime.get("speed_ratio")}
    except (KeyError, OSError, TypeError, ValueError) as exc:
        raise ExportError(
            _("the export to {target} gave no answers. Nothing was written.").format(target=target.name),
            target=target.name,
        ) from exc


def _check_numbers(answers: Answers, target: Target) -> None:
    for numbers in (answers.found, answers.found_by_own):
        is_usable = numbers.shape == answers.expected.shape and np.isfinite(numbers).all()
        if not is_usable or abs(numbers.sum(axis=1) - 1).max() > 0.01:
            raise ExportError(
                _("the export to {target} gives numbers that are no probabilities. Nothing was written.").format(
                    target=target.name
                ),
                target=target.name,
            )


def _accuracy(probabilities: _Numbers, labels: NDArray[np.int64] | None) -> float | None:
    return None if labels is None else float((probabilities.argmax(axis=1) == labels).mean())


def _compare_accuracies(answers: Answers) -> PairedTest | None:
    if answers.labels is None:
        return None
    before, after = (one.argmax(axis=1) == answers.labels for one in (answers.expected, answers.found))
    return compare_paired("predict", "export", before, after)


def _find_failures(proof: Proof, target: Target, test: PairedTest | None, worst: tuple[float, str]) -> list[str]:
    """The gates that the proof has not passed, a sentence each; `worst` is the largest difference and its photo."""
    found = []
    most = LARGEST_DIFFERENCE.get(target.precision)
    if most is not None and not worst[0] <= most:
        found.append(
            _("a probability differs by {difference:.2g}, and {most:g} is allowed, as in {path!r}.").format(
                difference=worst[0], most=most, path=worst[1]
            )
        )
    if target.precision == "browser" and not proof.mean_difference <= LARGEST_MEAN_DIFFERENCE:
        found.append(
            _("probabilities differ by {difference:.2g} on average, and {most:g} is allowed.").format(
                difference=proof.mean_difference, most=LARGEST_MEAN_DIFFERENCE
            )
        )
    if proof.largest_pixel_difference > LARGEST_PIXEL_DIFFERENCE:
        found.append(
            _("its resize differs by {difference} levels in a pixel, and {most} are allowed.").format(
                difference=proof.largest_pixel_difference, most=LARGEST_PIXEL_DIFFERENCE
            )
        )
    if target.precision in ("int8", "browser") and proof.num_changed_sure:
        found.append(
            ngettext(
                "{num} photo has another class although the answer was sure (at least {threshold}).",
                "{num} photos have another class although the answer was sure (at least {threshold}).",
                proof.num_changed_sure,
            ).format(num=proof.num_changed_sure, threshold=percent(proof.sure_from))
        )
    if test is not None and test.num_only_first > test.num_only_second and test.p_value < SIGNIFICANCE:
        found.append(
            _("it is less often right: {after} and not {before}.").format(
                after=percent(proof.accuracy or 0), before=percent(proof.accuracy_before or 0)
            )
        )
    return found


def describe_proof(proof: Proof) -> list[str]:
    """What was proved, a sentence or two a line."""
    kinds = {
        "held out": _("{num:,} photos that the training held out"),
        "given": _("{num:,} photos that you gave"),
        "training": _("{num:,} photos that the model was trained on"),
    }
    photos = kinds[proof.photos].format(num=proof.num_photos)
    ran = (
        _("Run by {runtime} on {photos}.") if proof.is_native else _("Read back and computed by {runtime} on {photos}.")
    )
    lines = [
        ran.format(runtime=proof.runtime, photos=photos),
        _("A probability differs by at most {largest:.2g}, on average by {mean:.2g}.").format(
            largest=proof.largest_difference, mean=proof.mean_difference
        ),
    ]
    if proof.speed_ratio is not None:
        said = _("It is {ratio:.2f} times as fast as the model in float32.")
        lines.append(said.format(ratio=proof.speed_ratio))
    changed = ngettext("{num:,} photo has another class.", "{num:,} photos have another class.", proof.num_changed)
    if proof.num_unread:
        unread = ngettext(
            "It could not read {num:,} photo more.", "It could not read {num:,} photos more.", proof.num_unread
        )
        lines.append(unread.format(num=proof.num_unread))
    lines.append(changed.format(num=proof.num_changed) if proof.num_changed else _("No photo has another class."))
    if proof.accuracy is not None and proof.accuracy_before is not None and proof.accuracy != proof.accuracy_before:
        lines.append(
            _("{after} of the answers are right. Before the export it was {before}.").format(
                after=percent(proof.accuracy, proof.num_photos), before=percent(proof.accuracy_before, proof.num_photos)
            )
        )
    return lines
