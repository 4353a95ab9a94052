"""Whether the classes can be told apart without looking at what is on the photos: clues in, shortcuts out.

A network that is shown wolves on large photos and dogs on small ones may learn the size. So each clue is given alone to
a small decision tree, and its answers for photos it has not seen are held against chance. Called by the check-up; draws
and writes nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.seen_photos import SeenPhotos
from tellapart.checkup.finding import Judgement, judgement, make_figure
from tellapart.checkup.shortcut_words import describe_shortcuts, with_value
from tellapart.checkup.thresholds import CheckConfig
from tellapart.images.facts import PhotoFacts
from tellapart.measure.splits import fold_numbers
from tellapart.randomness import named_generator
from tellapart.records import Shortcut

# The border is a part of the picture, and a file is the larger the more there is on it (a handwritten 1 takes fewer
# bytes than an 8), so both may well depend on what the picture shows.
_PARTS_OF_THE_PICTURE = frozenset({"border", "file size"})
# What a clue must reach to be a shortcut: how much more often photos of a class are taken for that class than other
# photos are, halfway from chance to certainty; far more for a part of the picture, or nearly as much as the whole.
_LEAST_GIVEN_AWAY_BY_A_PART = 0.9
_RIVALS = 0.9
# How often a collection without any shortcut may be warned of one, whatever the number of its clues.
_FALSE_ALARMS = 0.01
_NUM_SHUFFLES = 999
_NUM_FOLDS = 5
# A class with fewer different photos is not said to be given away. The shuffled labels are held against answers that
# were given once, and the answers about few photos of a class hang together: 20 classes of 5 photos without a shortcut
# were warned in 5 of 100 drawings, 20 classes of 10 in 3 of 300, 5 classes of 12 in 5 of 300, larger ones in none.
_FEWEST_PHOTOS = 10
# Photos looked at, in all and at least of each class.
_MOST_PHOTOS, _MOST_OF_RARE = 2000, 20
_LEAVES_A_CLASS, _FEWEST_LEAVES, _FEWEST_IN_LEAF = 3, 8, 3


@dataclass(frozen=True)
class _JudgedPhotos:
    """One photo of each group and class, as far as they are ever held out; arrays of shape `(n,)`."""

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    folds: NDArray[np.int64]
    num_classes: int


def measure_clues(
    clues: Callable[[NDArray[np.int64]], Mapping[str, NDArray[np.float64]]],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    class_names: Sequence[str],
    seed: int,
    reference_accuracy: float | None = None,
    least: float = CheckConfig.shortcut,
) -> tuple[tuple[Shortcut, bool], ...]:
    """What each clue gives away, and whether it is a shortcut; the one that gives most away first.

    Each clue is learnt alone by a decision tree that counts all classes alike, in 5 folds. It is a shortcut if some
    class is told from the others at least half as well as can be, and if that is no chance: over all clues together
    about one collection in a hundred without a shortcut is warned of one (labels shuffled 999 times, Bonferroni over
    the clues). Of photos in one group one is looked at, so that a burst counts once.

    Args:
        clues: from rows to name to finite numbers of shape `(len(rows), size)`; asked once, for some rows. A clue that
            is the same for all photos is left out. `border` and `file size` depend on the picture, so they must
            tell a class from the others at least nine tenths as well as can be, or nine tenths as well as the whole
            picture does.
        labels: ints in `[0, num_classes)`, shape `(n,)`.
        groups: ints, shape `(n,)`; equal numbers are of one moment.
        class_names: the classes, in order.
        seed: decides on the folds, on the shuffles, and on which photos of a very large collection are looked at.
        reference_accuracy: balanced accuracy of what learnt from the whole pictures, in `[0, 1]`.
        least: what a clue must reach, halfway from chance to certainty by default.
    """
    photos = _choose_photos(labels, groups, len(class_names), seed)
    is_judged = bool((np.bincount(photos.labels) >= _FEWEST_PHOTOS).any())
    told = clues(photos.rows) if is_judged else {}
    varying = {name: values for name, values in told.items() if (values != values[:1]).any()}
    measured = []
    for name, values in varying.items():
        predicted = _predict(values, photos, seed)
        shortcut = _measure(name, predicted, photos, class_names)
        if shortcut is not None:
            is_found = _is_large(shortcut, reference_accuracy, least) and (
                _chance_of(shortcut, predicted, photos, seed) <= _FALSE_ALARMS / len(varying)
            )
            measured.append((shortcut, is_found))
    return tuple(sorted(measured, key=lambda pair: (-_given_away_by(pair[0]), pair[0].clue in _PARTS_OF_THE_PICTURE)))


def judge_shortcuts(
    seen: SeenPhotos,
    probabilities: NDArray[np.float32] | None,
    groups: NDArray[np.int64],
    seed: int,
    thresholds: CheckConfig,
) -> Judgement:
    """What gives the classes of labelled photos away; the figure has how much each clue gives away.

    Args:
        seen: the photos.
        probabilities: as in `Checkup`.
        groups: equal numbers for photos that belong together.
        seed: as for `measure_clues`.
        thresholds: what a clue must reach.
    """
    labels, names = seen.photos.labels, seen.photos.class_names
    assert labels is not None
    reference = None if probabilities is None else _balanced_accuracy(labels, probabilities)
    least = thresholds.shortcut
    measured = measure_clues(
        lambda rows: clues_of(seen.facts.take(rows)), labels, groups, names, seed, reference, least
    )
    shortcuts = [
        with_value(shortcut, seen.facts, labels, names.index(shortcut.class_name))
        for shortcut, is_found in measured
        if is_found
    ]
    given_away = [_given_away_by(shortcut) for shortcut, _ in measured]
    figure = make_figure("shortcut", given_away, least, len(shortcuts), is_low_worst=False)
    return judgement(describe_shortcuts(shortcuts, seen.photos), figure=figure)


def _given_away_by(shortcut: Shortcut) -> float:
    """How much a clue gives away: 0 is chance, 1 is every photo of the class and no other."""
    return shortcut.recall - shortcut.false_alarm_rate


def _balanced_accuracy(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float | None:
    """The mean over classes of the share of photos that were recognised; `None` where no model could be asked."""
    known = np.isfinite(probabilities).all(axis=1)
    is_right = probabilities[known].argmax(axis=1) == labels[known]
    recalls = [is_right[labels[known] == label].mean() for label in np.unique(labels[known])]
    return float(np.mean(recalls)) if recalls else None


def clues_of(facts: Sequence[PhotoFacts]) -> dict[str, NDArray[np.float64]]:
    """What is known of each photo besides what is on it, one matrix a clue, a row a photo."""
    sizes = np.log([(one.height, one.width) for one in facts])
    num_bytes = np.log([one.num_bytes for one in facts])
    return {
        "image size": np.column_stack([sizes, sizes[:, 0] - sizes[:, 1]]),
        "file size": np.column_stack([num_bytes, num_bytes - sizes.sum(axis=1)]),
        "file format": _indicators([one.format for one in facts]),
        "camera": _indicators([one.camera or "" for one in facts]),
        "border": np.array([one.border for one in facts], np.float64),
    }


def _indicators(names: Sequence[str]) -> NDArray[np.float64]:
    """A column for each name: 1 where it is that of the row."""
    found, numbers = np.unique(np.asarray(names, dtype=np.str_), return_inverse=True)
    return np.eye(len(found))[numbers.reshape(-1)]


def _choose_photos(labels: NDArray[np.int64], groups: NDArray[np.int64], num_classes: int, seed: int) -> _JudgedPhotos:
    """One photo of each group and class, at most some thousand, each class in its share."""
    _, rows = np.unique(np.stack([groups, labels]), axis=1, return_index=True)
    order = named_generator(seed, "shortcuts").permutation(np.sort(rows))
    by_class = order[np.argsort(labels[order], kind="stable")]
    counts = np.bincount(labels[by_class], minlength=num_classes)
    place_in_class = np.arange(len(by_class)) - np.repeat(np.cumsum(counts) - counts, counts)
    rows = np.sort(by_class[place_in_class < max(_MOST_OF_RARE, _MOST_PHOTOS // max(1, num_classes))])
    folds = fold_numbers(labels[rows], groups[rows], _NUM_FOLDS, seed)
    return _JudgedPhotos(rows, labels[rows], folds, num_classes)


def _predict(values: NDArray[np.float64], photos: _JudgedPhotos, seed: int) -> NDArray[np.int64]:
    """The class of each photo by a tree that has not seen it; -1 where it is never held out."""
    from sklearn.tree import DecisionTreeClassifier

    predicted = np.full(len(values), -1, np.int64)
    tree = DecisionTreeClassifier(
        max_leaf_nodes=max(_FEWEST_LEAVES, _LEAVES_A_CLASS * photos.num_classes),
        min_samples_leaf=_FEWEST_IN_LEAF,
        class_weight="balanced",
        random_state=int(named_generator(seed, "trees").integers(2**31)),
    )
    for number in range(_NUM_FOLDS):
        fold = photos.folds == number
        if fold.any() and not fold.all():
            predicted[fold] = tree.fit(values[~fold], photos.labels[~fold]).predict(values[fold])
    return predicted


def _given_away(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], num_classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each class the recall, and the mean share of the other classes that is taken for it; NaN for small classes.

    How much a clue gives a class away is the difference of the two (Youden 1950).
    """
    counts = np.bincount(labels, minlength=num_classes)
    is_judged = counts >= _FEWEST_PHOTOS
    a_photo = np.divide(1.0, counts, out=np.zeros(num_classes), where=is_judged)
    taken = np.bincount(predicted, a_photo[labels], minlength=num_classes)
    is_right = predicted == labels
    recalls = np.bincount(labels[is_right], minlength=num_classes) / np.maximum(counts, 1)
    own = np.where(is_judged, recalls, 0)
    false_alarms = np.maximum(taken - own, 0) / max(1, int(is_judged.sum()) - 1)
    return np.where(is_judged, recalls, np.nan), np.where(is_judged, false_alarms, np.nan)


def _measure(
    name: str, predicted: NDArray[np.int64], photos: _JudgedPhotos, class_names: Sequence[str]
) -> Shortcut | None:
    """What the clue gives away; `None` where fewer than 2 classes have enough photos."""
    known = predicted >= 0
    recalls, false_alarms = _given_away(photos.labels[known], predicted[known], photos.num_classes)
    if np.isfinite(recalls).sum() < 2:
        return None
    most = int(np.nanargmax(recalls - false_alarms))
    return Shortcut(
        clue=name,
        accuracy=float(np.nanmean(recalls)),
        chance=1 / len(np.unique(photos.labels)),
        class_name=class_names[most],
        recall=float(recalls[most]),
        false_alarm_rate=float(false_alarms[most]),
    )


def _is_large(shortcut: Shortcut, reference_accuracy: float | None, least: float) -> bool:
    given_away = _given_away_by(shortcut)
    if shortcut.clue not in _PARTS_OF_THE_PICTURE or given_away >= _LEAST_GIVEN_AWAY_BY_A_PART:
        return given_away >= least
    if reference_accuracy is None or given_away < least:
        return False
    return shortcut.accuracy - shortcut.chance >= _RIVALS * (reference_accuracy - shortcut.chance)


def _chance_of(shortcut: Shortcut, predicted: NDArray[np.int64], photos: _JudgedPhotos, seed: int) -> float:
    """How often shuffled labels let the clue give some class away as much: in `(0, 1]` (Phipson and Smyth 2010)."""
    known = predicted >= 0
    labels, answers = photos.labels[known], predicted[known]
    generator = named_generator(seed, "shuffles")
    num_as_large = 0
    for _ in range(_NUM_SHUFFLES):
        recalls, false_alarms = _given_away(generator.permutation(labels), answers, photos.num_classes)
        num_as_large += bool(np.nanmax(recalls - false_alarms) >= _given_away_by(shortcut))
    return (num_as_large + 1) / (_NUM_SHUFFLES + 1)
