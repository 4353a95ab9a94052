"""Whether an export answers as `predict` does: the differences on photos, and what of them is told."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.errors import ExportError
from tellapart.export.proof_gates import differ_in_logits, fails_in_accuracy, fails_in_answers, fails_in_numbers
from tellapart.export.target import Target, to_label
from tellapart.measure.mcnemar import compare_paired
from tellapart.measure.number_words import count_photos, percent
from tellapart.measure.scores import PairedTest, SelectivePoint
from tellapart.measure.selective import threshold_for
from tellapart.predict.dial import apply_dial
from tellapart.records import Dial
from tellapart.translation import gettext as _
from tellapart.translation import ngettext
from tellapart.untrusted import read_json

# The share of wrong answers that the usual "not sure" promises, and from which probability on an answer counts as sure
# where a model can promise none.
_NOT_SURE, _SURE_WITHOUT_THRESHOLD = 0.05, 0.9
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
        dial: the one that the model answers by, with the names of its classes; `None` for the most probable class.
        is_otherwise: which photos the target decodes otherwise than `predict`, as large ones; `(n,)`; `None` for none.
        num_unread: photos that it could not read, which are in none of these.
        copies: what both say of copies of such photos, as `predict` decodes them: expected and found,
            `(m, num_classes)` each, and the paths of the photos; `None` where there are none.
    """

    expected: _Numbers
    found: _Numbers
    found_by_own: _Numbers
    pixels: NDArray[np.int64]
    labels: NDArray[np.int64] | None
    paths: tuple[str, ...]
    seconds: NDArray[np.float64]
    dial: tuple[Dial, tuple[str, ...]] | None = None
    is_otherwise: NDArray[np.bool_] | None = None
    num_unread: int = 0
    copies: tuple[_Numbers, _Numbers, tuple[str, ...]] | None = None

    def classes(self, probabilities: _Numbers) -> NDArray[np.int64]:
        """The number of the class that is answered for each photo."""
        if self.dial is None:
            return np.asarray(probabilities.argmax(axis=1), np.int64)
        dial, class_names = self.dial
        return apply_dial(dial, class_names, probabilities)


@dataclass(frozen=True)
class Proof:
    """How an export answers, beside `predict`, on the same photos.

    Attributes:
        runtime: what ran it, name and version.
        is_native: whether that is the runtime the export is for.
        photos: what the photos are: `held out` by the training, `given`, or of the `training`.
        num_photos: how many; where there are more than a proof takes, evenly chosen.
        processor: that ran it.
        speed_ratio: how many times as fast as the model it answers one photo, in one thread; `None` where that was not
            compared.
        num_unread: photos besides, which the export could not read.
        largest_difference, mean_difference: of a probability, for the same pixels.
        largest_pixel_difference: between the resize here and the reference implementation in the export, in levels.
        largest_difference_of_own: of a probability, from pixels that the reference implementation makes.
        num_changed: photos whose class is another.
        sure_from: the probability from which an answer counts as sure: the threshold of the usual "not sure".
        num_changed_sure: those of the changed that `predict` was sure of.
        accuracy, accuracy_before: of the export and of `predict`, where the photos have labels.
        p_value: of the paired test of the two.
        seconds_a_photo: the median, without decoding and resizing, on this machine.
        failures: the gates that it has not passed, a sentence each.
        is_accepted: whether the difference was accepted.
        num_photos_there: of that kind, from which those of the proof were chosen.
        has_threshold: whether the model has such a threshold, which leaves photos out; else 0.9 takes its place.
        logit_difference: the root of the mean square by which logits differ, as a share of their size, for photos that
            both sides decode alike.
        is_example_run: whether the example was run, and named the class.
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
    num_photos_there: int = 0
    has_threshold: bool = False
    logit_difference: float = 0.0
    is_example_run: bool = False


def sure_threshold(selective: tuple[SelectivePoint, ...]) -> float | None:
    """The threshold of the usual "not sure"; `None` where there is none, or it leaves no photo out.

    A model that is rarely wrong answers every photo, also those of which it is not sure
    (docs/decisions/021-when-an-answer-is-sure.md).
    """
    return threshold_for(selective, _NOT_SURE) or None if selective else None


def compare_answers(
    answers: Answers, target: Target, kind: str, threshold: float | None, runtime: dict[str, Any]
) -> Proof:
    """The proof of an export, with the gates that it has not passed.

    Args:
        answers: of both.
        target: decides about the gates.
        kind: what the photos are.
        threshold: as `sure_threshold` gives it.
        runtime: content of `runtime.json`.

    Raises:
        ExportError: what the export gives are no probabilities.
    """
    _check_numbers(answers, target)
    differences = np.abs(answers.found.astype(np.float64) - answers.expected)
    own = np.abs(answers.found_by_own.astype(np.float64) - answers.expected)
    is_changed = answers.classes(answers.found) != answers.classes(answers.expected)
    least = _SURE_WITHOUT_THRESHOLD if threshold is None else threshold
    is_sure = answers.expected.max(axis=1) >= least
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
        sure_from=least,
        num_changed_sure=int((is_changed & is_sure).sum()),
        accuracy=_accuracy(answers, answers.found),
        accuracy_before=_accuracy(answers, answers.expected),
        p_value=None if test is None else test.p_value,
        seconds_a_photo=float(np.median(answers.seconds)),
        num_unread=answers.num_unread,
        has_threshold=threshold is not None,
        logit_difference=differ_in_logits(*_decoded_alike(answers)),
    )
    failures = (
        *fails_in_numbers(
            target, _find_worst(answers, differences), proof.mean_difference, proof.largest_pixel_difference
        ),
        *fails_in_answers(target, proof.num_changed_sure, least, proof.logit_difference),
        *fails_in_accuracy(test, proof.accuracy, proof.accuracy_before),
    )
    return replace(proof, failures=failures)


def _decoded_alike(answers: Answers) -> tuple[_Numbers, _Numbers]:
    """What was found and expected for photos that both sides decode alike: small ones, and copies of large ones."""
    if answers.is_otherwise is None:
        return answers.found, answers.expected
    found, expected = answers.found[~answers.is_otherwise], answers.expected[~answers.is_otherwise]
    if answers.copies is None:
        return found, expected
    is_read = np.isfinite(answers.copies[1]).all(axis=1)
    return np.concatenate([found, answers.copies[1][is_read]]), np.concatenate([expected, answers.copies[0][is_read]])


def _find_worst(answers: Answers, differences: NDArray[np.float64]) -> tuple[float, str]:
    """The largest difference where none is expected, and its photo; of large photos that of their copies."""
    large = np.zeros(len(differences), np.bool_) if answers.is_otherwise is None else answers.is_otherwise
    rows = np.where(large, 0, differences.max(axis=1))
    worst = float(rows.max()), answers.paths[int(rows.argmax())]
    if answers.copies is None:
        return worst
    expected, found, paths = answers.copies
    of_copies = np.nan_to_num(np.abs(found.astype(np.float64) - expected).max(axis=1), nan=1.0)
    place = int(of_copies.argmax())
    return max(worst, (float(of_copies[place]), paths[place]))


def read_answers(path: Path, runtime_path: Path, target: Target) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The arrays and the runtime that the process of a runner has written.

    Raises:
        ExportError: they are not what a runner writes.
    """
    try:
        with np.load(path) as found:
            arrays = {name: found[name] for name in ("probabilities", "own_probabilities", "pixels", "seconds")}
        runtime = read_json(runtime_path)
        kept = {name: runtime[name] for name in ("runtime", "is_native", "processor", "class_names")}
        return arrays, {**kept, "speed_ratio": runtime.get("speed_ratio")}
    except (KeyError, OSError, TypeError, ValueError) as exc:
        raise ExportError(
            _("the export to {target} gave no answers. Nothing was written.").format(target=target.name),
            target=target.name,
        ) from exc


def check_class_names(runtime: dict[str, Any], class_names: Sequence[str], target: Target) -> None:
    """Nothing, if every place of the export that names the classes has those of the model, in the same order.

    Args:
        runtime: content of `runtime.json`.
        class_names: of the model.
        target: what it is.

    Raises:
        ExportError: one names others.
    """
    for found in runtime["class_names"]:
        if list(map(to_label, found)) != list(map(to_label, class_names)):
            raise ExportError(
                _("the export to {target} names other classes, or in another order. Nothing was written.").format(
                    target=target.name
                ),
                target=target.name,
            )


def _check_numbers(answers: Answers, target: Target) -> None:
    # Whole numbers of 8 bits are rounded each, so that their sum is not quite 1.
    most = 0.01 + (answers.expected.shape[1] / 256 if target.precision == "int8" else 0)
    for numbers in (answers.found, answers.found_by_own):
        is_usable = numbers.shape == answers.expected.shape and np.isfinite(numbers).all() and numbers.min() >= -most
        if not is_usable or abs(numbers.sum(axis=1) - 1).max() > most:
            raise ExportError(
                _("the export to {target} gives numbers that are no probabilities. Nothing was written.").format(
                    target=target.name
                ),
                target=target.name,
            )


def _accuracy(answers: Answers, probabilities: _Numbers) -> float | None:
    return None if answers.labels is None else float((answers.classes(probabilities) == answers.labels).mean())


def _compare_accuracies(answers: Answers) -> PairedTest | None:
    if answers.labels is None:
        return None
    before, after = (answers.classes(one) == answers.labels for one in (answers.expected, answers.found))
    return compare_paired("predict", "export", before, after)


def describe_proof(proof: Proof) -> list[str]:
    """What was proved, a sentence or two a line."""
    kinds = {
        "held out": _("{photos} that the training held out"),
        "given": _("{photos} that you gave"),
        "training": _("{photos} that the model was trained on"),
    }
    photos = kinds[proof.photos].format(photos=count_photos(proof.num_photos))
    if proof.num_photos < proof.num_photos_there:
        photos = _("{photos}, evenly chosen from {num_there:,}").format(photos=photos, num_there=proof.num_photos_there)
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
    if proof.num_changed:
        lines.append(_describe_sure(proof))
    if proof.accuracy is not None and proof.accuracy_before is not None and proof.accuracy != proof.accuracy_before:
        lines.append(
            _("{after} of the answers are right. Before the export it was {before}.").format(
                after=percent(proof.accuracy, proof.num_photos), before=percent(proof.accuracy_before, proof.num_photos)
            )
        )
    return lines


def _describe_sure(proof: Proof) -> str:
    """How many of the changed answers were sure, and from which probability an answer is."""
    said = (
        _("{num:,} of them had a sure answer, by the threshold of 'not sure': at least {threshold}.")
        if proof.has_threshold
        else _("{num:,} of them had a sure answer: at least {threshold}, as the model has no threshold of 'not sure'.")
    )
    return said.format(num=proof.num_changed_sure, threshold=percent(proof.sure_from))
