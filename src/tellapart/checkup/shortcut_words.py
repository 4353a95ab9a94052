"""What is said of a shortcut: which value gives a class away, on how many photos, and what to do about it.

`shortcuts.py` finds them; here a person is told. A value is read from the counts: the camera, size or bound that most
photos of the class have and fewest others.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tellapart.images.facts import PhotoFacts
from tellapart.images.preprocess import format_size
from tellapart.measure.number_words import quote
from tellapart.photos.photoset import PhotoSet
from tellapart.records import Finding, Shortcut

# A value that tells the class apart less than this is not what gives it away.
_LEAST_TOLD = 0.5
_MOST_BOUNDS = 50
# Photos of each side that show a shortcut, taken from all over the collection.
_NUM_OF_SIDE = 8


@dataclass(frozen=True)
class _Words:
    """How one clue is put.

    Attributes:
        have: the verb and the value, `{}`.
        action: what to do; `{name}` is the class, `{value}` the value.
    """

    have: str
    action: str


_WORDS = {
    "camera": _Words(
        "were taken with {}", "Photograph the other classes with it too, or {name} with the cameras of the others."
    ),
    "image size": _Words("are {}", "Add photos of the other classes of that size, or save all photos at one size."),
    "file format": _Words("are {}", "Save all photos in one format, from the originals."),
    "file size": _Words("are {}", "Save all photos with the same program and settings, from the originals."),
    "border": _Words("have {}", "Crop the borders off, or add photos of the other classes with such a border."),
}


def with_value(shortcut: Shortcut, facts: Sequence[PhotoFacts], labels: NDArray[np.int64], label: int) -> Shortcut:
    """The shortcut with the value that gives the class away, and how many photos have it.

    Args:
        shortcut: as it was found.
        facts: of all photos.
        labels: of all photos, ints, shape `(n,)`.
        label: the class that is given away.
    """
    of_class = labels == label
    found = [(_told(has, of_class), value, has) for value, has in _candidates(shortcut.clue, facts)]
    told, value, has = max(found, key=lambda one: one[0], default=(0.0, "", of_class))
    if told < _LEAST_TOLD:
        return shortcut
    return replace(
        shortcut,
        value=value,
        num_with=int(has[of_class].sum()),
        num_class=int(of_class.sum()),
        num_others_with=int(has[~of_class].sum()),
        num_others=int((~of_class).sum()),
    )


def describe_shortcut(shortcut: Shortcut) -> str:
    """What gives the class away, as a sentence without a full stop: `All 25 photos of 'a' were taken with camera X`."""
    if not shortcut.value:
        return f"{quote(shortcut.class_name)} can be told by the {shortcut.clue} alone"
    number = "All" if shortcut.num_with == shortcut.num_class else f"{shortcut.num_with:,} of"
    have = _WORDS[shortcut.clue].have.format(shortcut.value)
    return f"{number} {shortcut.num_class:,} photos of {quote(shortcut.class_name)} {have}"


def describe_strength(shortcut: Shortcut) -> str:
    """How well the clue alone tells the class, as a sentence for a person who knows no statistics."""
    wrongly = f"{shortcut.false_alarm_rate:.0%}" if shortcut.false_alarm_rate >= 0.005 else "hardly any"
    return (
        f"By the {shortcut.clue} alone, without the picture, {shortcut.recall:.0%} of {quote(shortcut.class_name)} are"
        f" found, and {wrongly} of the others are taken for it."
    )


def shortcut_action(shortcut: Shortcut) -> str:
    """What can be done about it today."""
    return _WORDS[shortcut.clue].action.format(name=quote(shortcut.class_name))


def describe_shortcuts(shortcuts: Sequence[Shortcut], photos: PhotoSet) -> Finding | None:
    """The finding about what gives classes away; its title and action are those of the strongest shortcut."""
    if not shortcuts:
        return None
    assert photos.labels is not None
    shown = [pair for shortcut in shortcuts for pair in _show_shortcut(photos, shortcut)]
    given_away = [photos.class_names.index(name) for name in {shortcut.class_name for shortcut in shortcuts}]
    others = [f"{describe_shortcut(shortcut)}." for shortcut in shortcuts[1:]]
    strengths = [describe_strength(shortcut) for shortcut in shortcuts]
    why = "A model may learn this instead of what you mean, and then fail on photos made in another way."
    return Finding(
        "shortcuts",
        _title(shortcuts[0]),
        " ".join([why, *others, *strengths]),
        int(np.isin(photos.labels, given_away).sum()),
        tuple(rows for rows, _ in shown),
        tuple(caption for _, caption in shown),
        is_problem=True,
        action=shortcut_action(shortcuts[0]),
    )


def _title(shortcut: Shortcut) -> str:
    if not shortcut.value:
        return describe_shortcut(shortcut)
    others = f"{shortcut.num_others_with:,}" if shortcut.num_others_with else "none"
    return f"{describe_shortcut(shortcut)}, and {others} of the {shortcut.num_others:,} others"


def _candidates(clue: str, facts: Sequence[PhotoFacts]) -> list[tuple[str, NDArray[np.bool_]]]:
    """Values that could give a class away, and which photos have each."""
    if clue == "camera":
        return _of_names(
            [one.camera or "" for one in facts], lambda name: f"camera {name}" if name else "no named camera"
        )
    if clue == "file format":
        return _of_names([one.format for one in facts], lambda name: f"{name} files")
    if clue == "image size":
        sizes = _of_names([format_size((one.height, one.width)) for one in facts], lambda size: f"{size} pixels")
        sides = np.array([max(one.height, one.width) for one in facts], np.float64)
        return sizes + _of_bounds(sides, lambda side: f"{side:,.0f} pixels on the longer side", "at least {}", "smaller than {}")
    if clue == "file size":
        sizes_in_kb = np.array([one.num_bytes for one in facts]) / 1000
        return _of_bounds(sizes_in_kb, lambda size: f"{size:,.0f} kB", "at least {}", "smaller than {}")
    light = np.array([one.border[:12].reshape(4, 3).mean() for one in facts], np.float64)
    return _of_bounds(light, lambda share: f"{share:.0%} light", "a border of at least {}", "a border below {}")


def _of_names(names: Sequence[str], say: Callable[[str], str]) -> list[tuple[str, NDArray[np.bool_]]]:
    every_name = np.array(names, dtype=np.str_)
    return [(say(str(name)), every_name == name) for name in np.unique(every_name)]


def _of_bounds(
    values: NDArray[np.float64], say: Callable[[float], str], above: str, below: str
) -> list[tuple[str, NDArray[np.bool_]]]:
    different = np.unique(values)[1:]
    bounds = different[:: max(1, len(different) // _MOST_BOUNDS)]
    pairs = [(above.format(say(bound)), values >= bound) for bound in bounds]
    return pairs + [(below.format(say(bound)), values < bound) for bound in bounds]


def _told(has: NDArray[np.bool_], of_class: NDArray[np.bool_]) -> float:
    """How much a value tells the class from the others: 1 if all of it and none of the others have it (Youden 1950)."""
    return float(has[of_class].mean() - has[~of_class].mean())


def _show_shortcut(photos: PhotoSet, shortcut: Shortcut) -> list[tuple[tuple[int, ...], str]]:
    """The photos of the class that is given away, and the others; first some that lie far apart."""
    assert photos.labels is not None
    label = photos.class_names.index(shortcut.class_name)
    sides = [
        [row for row, one in enumerate(photos.labels.tolist()) if (one == label) is within] for within in (True, False)
    ]
    apart = [rows[:: max(1, len(rows) // _NUM_OF_SIDE)][:_NUM_OF_SIDE] for rows in sides]
    chosen = [tuple(dict.fromkeys([*some, *rows])) for some, rows in zip(apart, sides, strict=True)]
    return list(zip(chosen, (shortcut.class_name, "the others"), strict=True))
