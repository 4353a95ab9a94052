"""Photos whose label is doubtful, and photos that look like no other of their class, and the findings about them.

Called by the check-up; nothing is changed or removed because of them. Owns cleanlab, which is
imported where it is needed.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from tellapart.backbones.seen_photos import SeenPhotos
from tellapart.checkup.finding import (
    Judgement,
    SingleWords,
    find_single,
    make_figure,
    number_tiles,
    scores_of_rows,
)
from tellapart.checkup.thresholds import CheckConfig
from tellapart.measure.number_words import count_photos, percent
from tellapart.photos.photoset import PhotoSet
from tellapart.records import Finding, LabelSuspect
from tellapart.translation import gettext as _
from tellapart.translation import ngettext

_FLOATS = NDArray[np.float32] | NDArray[np.float64]
# The other class must be this probable: a model that is seldom right about 60 classes suspected 81 of 300 right labels
# otherwise.
_LEAST_SUGGESTED = 0.5
# Photos a class must have of different moments for one of them to be like no other.
_FEWEST_MOMENTS = 10
# A photo is held against so many others of its class at most, and how far it is from this share of them counts.
_MOST_REFERENCES = 1500
_NEIGHBOUR_SHARE, _FEWEST_NEIGHBOURS = 0.03, 3
# How many photos of a collection without any odd one may be called odd, and the largest share that ever is.
_FALSE_ALARMS, _LARGEST_SHARE = 1.0, 0.02
# Distances that differ by less than this share say nothing, however alike all photos are.
_LEAST_SPREAD = 0.02
# From few photos what is usual is known badly, so less is made of a deviation; by this over the number of photos.
_UNKNOWN = 4
_ROWS_AT_ONCE = 4096
# Squared distances of rounding errors, between vectors of length 1.
_LEAST_SQUARE = 1e-6


@dataclass(frozen=True)
class _Moments:
    """Photos of one group with one label, taken together.

    Attributes:
        rows: photos that a model has judged without having seen them.
        of_row: for each of `rows` its number here.
        labels: of each moment.
        probabilities: float64, the mean over its photos.
    """

    rows: NDArray[np.int64]
    of_row: NDArray[np.int64]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]


def judge_labels(
    seen: SeenPhotos,
    probabilities: NDArray[np.float32],
    groups: NDArray[np.int64],
    confirmed: frozenset[tuple[str, str]],
    thresholds: CheckConfig,
) -> tuple[tuple[LabelSuspect, ...], Judgement]:
    """Labels that are probably wrong, and what is to be said of them and of odd photos.

    Args:
        seen: labelled photos with embeddings.
        probabilities: as in `Checkup`.
        groups: equal numbers for photos that belong together.
        confirmed: content and class of photos whose label a person has confirmed; it is not suspected.
        thresholds: what is suspected, and what is odd.
    """
    photos, labels = seen.photos, seen.photos.labels
    assert labels is not None and seen.embeddings is not None
    bound = thresholds.wrong_label_of(probabilities.shape[1])
    found = find_label_suspects(labels, probabilities, groups, bound)
    is_open = [
        (digest, photos.class_names[label]) not in confirmed for digest, label in zip(seen.digests, labels, strict=True)
    ]
    suspects = tuple(_with_rows(one, rows) for one in found if (rows := [row for row in one.rows if is_open[row]]))
    oddness = measure_oddness(seen.embeddings, labels, groups)
    outliers = choose_outliers(oddness, thresholds.odd)
    likely = np.where(np.isfinite(oddness), norm.sf(oddness), np.nan)
    of_label = probabilities[np.arange(len(labels)), labels]
    odd_bound = _chance_bound(len(labels)) if thresholds.odd is None else thresholds.odd
    findings = (describe_suspects(suspects, photos), describe_outliers(outliers, number_tiles(groups, labels)))
    return suspects, Judgement(
        tuple(finding for finding in findings if finding is not None),
        (
            scores_of_rows("label_suspect", of_label, [row for one in suspects for row in one.rows]),
            scores_of_rows("outlier", likely, outliers),
        ),
        (
            make_figure("wrong_label", of_label, bound, len(suspects), is_low_worst=True),
            make_figure("odd", oddness, odd_bound, len(outliers), is_low_worst=False),
        ),
    )


def find_label_suspects(
    labels: NDArray[np.int64],
    probabilities: _FLOATS,
    groups: NDArray[np.int64] | None = None,
    bound: float | None = None,
) -> tuple[LabelSuspect, ...]:
    """Photos whose label is probably wrong, the most suspicious first; those of one group with one label as one.

    Confident learning (Northcutt, Jiang and Chuang 2021) says how many labels are wrong: a label counts as wrong where
    another class is at least as probable as it is, on average, for the photos labelled so. That many are suspected,
    those with the least probable labels, as long as another class is more probable and the label is improbable indeed.

    Args:
        labels: ints in `[0, num_classes)`, shape `(n,)`; not modified.
        probabilities: of models that had not seen the photo, shape `(n, num_classes)`; a photo with a NaN is not
            judged.
        groups: ints, shape `(n,)`; photos of one group with one label are judged by their mean, all alike. `None` takes
            every photo by itself.
        bound: the probability up to which a label is improbable; `None` is the check-up's default.
    """
    moments = _gather(labels, probabilities, groups)
    if len(np.unique(moments.labels)) < 2:
        return ()
    suspected = _suspect(moments, CheckConfig(wrong_label=bound).wrong_label_of(probabilities.shape[1]))
    best = moments.probabilities.argmax(axis=1)
    suspects = []
    rows = moments.rows[np.argsort(moments.of_row, kind="stable")]
    ends = np.cumsum(np.bincount(moments.of_row))
    for moment in np.flatnonzero(suspected).tolist():
        first, *others = rows[ends[moment - 1] if moment else 0 : ends[moment]].tolist()
        label, suggested = int(moments.labels[moment]), int(best[moment])
        of_label, of_suggested = moments.probabilities[moment, [label, suggested]].tolist()
        suspects.append(LabelSuspect(first, label, suggested, of_label, of_suggested, tuple(others)))
    return tuple(sorted(suspects, key=lambda suspect: (suspect.label_probability, suspect.row)))


def _with_rows(suspect: LabelSuspect, rows: Sequence[int]) -> LabelSuspect:
    """The suspect, for these of its photos alone."""
    return replace(suspect, row=rows[0], other_rows=tuple(rows[1:]))


def describe_suspects(suspects: tuple[LabelSuspect, ...], photos: PhotoSet) -> Finding | None:
    """The finding about labels that are probably wrong."""
    if not suspects:
        return None
    names, num_photos = photos.class_names, sum(len(one.rows) for one in suspects)
    title = ngettext("{num:,} label that may be wrong", "{num:,} labels that may be wrong", len(suspects))
    if num_photos > len(suspects):
        title = ngettext(
            "{num:,} label that may be wrong ({photos} with their copies)",
            "{num:,} labels that may be wrong ({photos} with their copies)",
            len(suspects),
        )
    return Finding(
        "label_suspects",
        title.format(num=len(suspects), photos=count_photos(num_photos)),
        _("A model that had not seen these photos was sure of another class. Check each one, the model may be wrong."),
        num_photos,
        tuple(suspect.rows for suspect in suspects),
        tuple(
            _("labelled {name}, looks like {suggested} ({probability})").format(
                name=names[suspect.label],
                suggested=names[suspect.suggested_label],
                probability=percent(suspect.suggested_probability),
            )
            for suspect in suspects
        ),
        is_problem=True,
        action=_("Check each one and decide, download your decisions, run the command shown there. It takes minutes."),
    )


def _suspect(moments: _Moments, bound: float) -> NDArray[np.bool_]:
    """Whether the label of each moment is suspected; one more probable than `bound` never is."""
    with warnings.catch_warnings():  # of a progress bar that a notebook lacks, and that is never shown
        warnings.simplefilter("ignore")
        from cleanlab.count import num_label_issues
        from cleanlab.rank import get_label_quality_scores

    # What cleanlab offers, under the same bounds: this count with its ranking, `prune_by_class`, `low_self_confidence`.
    # 5 % of labels flipped at random, EfficientNet-Lite0, precision and recall, means of 10 drawings, 2026-11-24:
    # 400 pets 0.96 0.89, 0.97 0.89, 0.98 0.82; 400 kinds of weather 0.88 0.82, 0.88 0.76, 0.91 0.74; 50 of each digit
    # 0.90 0.88, 0.92 0.78, 0.92 0.84. `predicted_neq_given` suspects 25 of 4,000 pets with nothing flipped, these 4.
    num_wrong = num_label_issues(moments.labels, moments.probabilities, estimation_method="off_diagonal_calibrated")
    scores = get_label_quality_scores(moments.labels, moments.probabilities, method="self_confidence")
    suspected = np.zeros(len(scores), np.bool_)
    suspected[np.argsort(scores, kind="stable")[:num_wrong]] = True
    is_sure = moments.probabilities.max(axis=1) >= _LEAST_SUGGESTED
    suspected &= (scores <= bound) & is_sure & (moments.probabilities.argmax(axis=1) != moments.labels)
    return suspected


def _gather(labels: NDArray[np.int64], probabilities: _FLOATS, groups: NDArray[np.int64] | None) -> _Moments:
    """The photos that a model has judged, by group and label."""
    rows = np.flatnonzero(np.isfinite(probabilities).all(axis=1))
    names = rows if groups is None else groups[rows]
    (_moment_names, moment_labels), of_row = np.unique(np.stack([names, labels[rows]]), axis=1, return_inverse=True)
    of_row = of_row.reshape(-1)
    sums = np.zeros((len(moment_labels), probabilities.shape[1]))
    np.add.at(sums, of_row, probabilities[rows])
    return _Moments(rows, of_row, moment_labels, sums / sums.sum(axis=1, keepdims=True))


def choose_outliers(oddness: NDArray[np.float64], bound: float | None = None) -> tuple[int, ...]:
    """Rows of the oddest photos, the oddest first.

    Args:
        oddness: as `measure_oddness` gives it.
        bound: all above it are odd; by default those that chance does not explain, at most 2 % of all, or a single one.
    """
    order = np.argsort(-oddness, kind="stable")
    if bound is None:
        order, bound = order[: max(1, int(_LARGEST_SHARE * len(oddness)))], _chance_bound(len(oddness))
    return tuple(int(row) for row in order if oddness[row] > bound)


def _chance_bound(num_photos: int) -> float:
    """How odd the oddest of so many photos is, about once a collection, when none of them is out of place."""
    return float(norm.isf(_FALSE_ALARMS / max(num_photos, 2)))


def measure_oddness(
    embeddings: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64]
) -> NDArray[np.float64]:
    """How unlike the others of its class each photo is, in standard deviations; minus infinity where not judged.

    A photo is odd when it is far from the nearest others of its class that are of another moment, far beyond what is
    usual there: if the logarithms of these distances are normally distributed in each class, one photo of the whole
    collection is called odd by chance. Classes of fewer than 10 different photos are not judged.

    Args:
        embeddings: finite, shape `(n, size)`; not modified.
        labels: ints in `[0, num_classes)`, shape `(n,)`.
        groups: ints, shape `(n,)`; equal numbers are of one moment.
    """
    oddness = np.full(len(labels), -np.inf)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        if len(np.unique(groups[rows])) >= _FEWEST_MOMENTS:
            oddness[rows] = _standardise(_log_distances(_normalise(embeddings[rows]), groups[rows]))
    return oddness


def describe_outliers(rows: Sequence[int], tiles: NDArray[np.int64]) -> Finding | None:
    """Photos that look like no other in their class."""
    words = SingleWords(
        lambda num: ngettext(
            "{num:,} photo unlike any other in the class", "{num:,} photos unlike any other in the class", num
        ).format(num=num),
        _(
            "Often a screenshot, a document or a photo in the wrong folder. Sometimes a rare view that is worth"
            " keeping."
        ),
    )
    return find_single("outliers", rows, tiles, words)


def _normalise(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Signed roots of the features, at length 1, so that no single feature outweighs all others.

    After Perronnin, Sanchez and Mensink (2010). Of 4 photos of weather among 400 pets, 0.06 are found by distances of
    the embeddings as they are, 0.78 at length 1, and 0.90 by roots at length 1 (means over 4, 10 and 10 drawings).
    """
    roots = np.sign(embeddings) * np.sqrt(np.abs(embeddings))
    lengths = np.linalg.norm(roots, axis=1, keepdims=True)
    return np.asarray(roots / np.where(lengths > 0, lengths, 1), np.float32)


def _log_distances(vectors: NDArray[np.float32], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """How far each photo is from its nearest neighbours of other groups, as a logarithm; NaN where it has too few.

    Args:
        vectors: of one class, of length 1 each.
        groups: of the same photos.
    """
    references = np.arange(0, len(vectors), -(-len(vectors) // _MOST_REFERENCES))
    num_neighbours = max(_FEWEST_NEIGHBOURS, round(_NEIGHBOUR_SHARE * len(references)))
    distances = np.empty(len(vectors))
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        squared = 2 - 2 * (vectors[rows] @ vectors[references].T)
        squared[groups[rows, np.newaxis] == groups[references]] = np.inf
        nearest = np.partition(squared, num_neighbours - 1, axis=1)[:, :num_neighbours]
        distances[rows] = np.sqrt(np.maximum(nearest, _LEAST_SQUARE)).mean(axis=1)
    return np.where(np.isfinite(distances), np.log(distances), np.nan)


def _standardise(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many standard deviations each value is above the median, both robust; minus infinity for NaN."""
    known = values[np.isfinite(values)]
    if len(known) < _FEWEST_MOMENTS:
        return np.full(len(values), -np.inf)
    median = np.median(known)
    # A normal distribution has as much as one standard deviation between its median and its quantile 0.841.
    upper = np.quantile(known, norm.cdf(1)) - median
    middle = np.median(np.abs(known - median)) / norm.ppf(0.75)
    deviations = (values - median) / max(upper, middle, _LEAST_SPREAD)
    return np.where(np.isfinite(values), deviations * (1 - _UNKNOWN / len(known)), -np.inf)
