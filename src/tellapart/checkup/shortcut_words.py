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
from tellapart.measure.number_words import percent, quote
from tellapart.photos.photoset import PhotoSet
from tellapart.records import Finding, Shortcut
from tellapart.translation import gettext as _
from tellapart.translation import gettext_noop, ngettext

# A value that tells the class apart less than this is not what gives it away.
_LEAST_TOLD = 0.5
_MOST_BOUNDS = 50
# Below this share of false alarms there are hardly any.
_HARDLY_ANY = 0.005
# Photos of each side that show a shortcut, taken from all over the collection.
_NUM_OF_SIDE = 8


@dataclass(frozen=True)
class _Words:
    """How one clue is put: `{name}` is the class, `{value}` the value.

    Attributes:
        clue: the clue itself.
        all: what all photos of the class have.
        some: what some of them have.
        action: what to do.
    """

    clue: str
    all: str
    some: str
    action: str


_WORDS = {
    "camera": _Words(
        gettext_noop("camera"),
        gettext_noop("All {num_class:,} photos of {name} were taken with {value}"),
        gettext_noop("{num_with:,} of {num_class:,} photos of {name} were taken with {value}"),
        gettext_noop("Photograph the other classes with it too, or {name} with the cameras of the others."),
    ),
    "image size": _Words(
        gettext_noop("image size"),
        gettext_noop("All {num_class:,} photos of {name} are {value}"),
        gettext_noop("{num_with:,} of {num_class:,} photos of {name} are {value}"),
        gettext_noop("Add photos of the other classes of that size, or save all photos at one size."),
    ),
    "file format": _Words(
        gettext_noop("file format"),
        gettext_noop("All {num_class:,} photos of {name} are {value}"),
        gettext_noop("{num_with:,} of {num_class:,} photos of {name} are {value}"),
        gettext_noop("Save all photos in one format, from the originals."),
    ),
    "file size": _Words(
        gettext_noop("file size"),
        gettext_noop("All {num_class:,} photos of {name} are {value}"),
        gettext_noop("{num_with:,} of {num_class:,} photos of {name} are {value}"),
        gettext_noop("Save all photos with the same program and settings, from the originals."),
    ),
    "border": _Words(
        gettext_noop("border"),
        gettext_noop("All {num_class:,} photos of {name} have {value}"),
        gettext_noop("{num_with:,} of {num_class:,} photos of {name} have {value}"),
        gettext_noop("Crop the borders off, or add photos of the other classes with such a border."),
    ),
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
    found = [(_told(has, of_class), value, has) for value, has in _candidates(shortcut.clue, facts, of_class)]
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
        return _("The {clue} alone gives {name} away").format(
            clue=_(_WORDS[shortcut.clue].clue), name=quote(shortcut.class_name)
        )
    words = _WORDS[shortcut.clue]
    said = words.all if shortcut.num_with == shortcut.num_class else words.some
    return _(said).format(
        num_with=shortcut.num_with,
        num_class=shortcut.num_class,
        name=quote(shortcut.class_name),
        value=shortcut.value,
    )


def describe_strength(shortcut: Shortcut) -> str:
    """How well the clue alone tells the class, as a sentence for a person who knows no statistics."""
    said = _("The {clue} alone, without the picture, finds {found} of {name}, and hardly any of the others.")
    if shortcut.false_alarm_rate >= _HARDLY_ANY:
        said = _(
            "The {clue} alone, without the picture, finds {found} of {name}, and takes {wrong} of the others for it."
        )
    return said.format(
        clue=_(_WORDS[shortcut.clue].clue),
        found=percent(shortcut.recall, shortcut.num_class),
        name=quote(shortcut.class_name),
        wrong=percent(shortcut.false_alarm_rate, shortcut.num_others),
    )


def shortcut_action(shortcut: Shortcut) -> str:
    """What can be done about it today."""
    return _(_WORDS[shortcut.clue].action).format(name=quote(shortcut.class_name))


def describe_shortcuts(shortcuts: Sequence[Shortcut], photos: PhotoSet) -> Finding | None:
    """The finding about what gives classes away; its title and action are those of the strongest shortcut."""
    if not shortcuts:
        return None
    assert photos.labels is not None
    shown = [pair for shortcut in shortcuts for pair in _show_shortcut(photos, shortcut)]
    given_away = [photos.class_names.index(name) for name in {shortcut.class_name for shortcut in shortcuts}]
    others = [f"{describe_shortcut(shortcut)}." for shortcut in shortcuts[1:]]
    strengths = [describe_strength(shortcut) for shortcut in shortcuts]
    why = _("A model may learn this instead of what you mean, and then fail on photos made in another way.")
    return Finding(
        "shortcuts",
        _title(shortcuts[0]),
        " ".join([why, *others, *strengths]),
        int(np.isin(photos.labels, given_away).sum()),
        tuple(rows for rows, caption in shown),
        tuple(caption for rows, caption in shown),
        is_problem=True,
        action=shortcut_action(shortcuts[0]),
    )


def _title(shortcut: Shortcut) -> str:
    if not shortcut.value:
        return describe_shortcut(shortcut)
    said = ngettext(
        "{sentence}, and not the only other photo",
        "{sentence}, and none of the {num_others:,} others",
        shortcut.num_others,
    )
    if shortcut.num_others_with:
        said = ngettext(
            "{sentence}, and the only other photo",
            "{sentence}, and {num_with:,} of the {num_others:,} others",
            shortcut.num_others,
        )
    return said.format(
        sentence=describe_shortcut(shortcut), num_with=shortcut.num_others_with, num_others=shortcut.num_others
    )


def _candidates(
    clue: str, facts: Sequence[PhotoFacts], of_class: NDArray[np.bool_]
) -> list[tuple[str, NDArray[np.bool_]]]:
    """Values that could give a class away, and which photos have each."""
    if clue == "camera":
        return _of_names(
            [one.camera or "" for one in facts],
            of_class,
            lambda name: _("camera {name}").format(name=name) if name else _("no named camera"),
        )
    if clue == "file format":
        return _of_names([one.format for one in facts], of_class, lambda name: _("{format} files").format(format=name))
    if clue == "image size":
        sizes = _of_names(
            [format_size((one.height, one.width)) for one in facts],
            of_class,
            lambda size: _("{size} pixels").format(size=size),
        )
        sides = np.array([max(one.height, one.width) for one in facts], np.float64)
        say = _("{size:,.0f} pixels on the longer side")
        return sizes + _of_bounds(sides, lambda side: say.format(size=side), *_bounds())
    if clue == "file size":
        sizes_in_kb = np.array([one.num_bytes for one in facts]) / 1000
        return _of_bounds(sizes_in_kb, lambda size: f"{size:,.0f} kB", *_bounds())
    light = np.array([one.border[:12].reshape(4, 3).mean() for one in facts], np.float64)
    return _of_bounds(
        light, lambda share: f"{share:.0%}", _("a border of at least {value} light"), _("a border below {value} light")
    )


def _bounds() -> tuple[str, str]:
    return _("at least {value}"), _("smaller than {value}")


def _of_names(
    names: Sequence[str], of_class: NDArray[np.bool_], say: Callable[[str], str]
) -> list[tuple[str, NDArray[np.bool_]]]:
    """Those that enough photos of the class have: where each photo has a size of its own, all would be too many."""
    every_name = np.array(names, dtype=np.str_)
    found, counts = np.unique(every_name[of_class], return_counts=True)
    return [(say(str(name)), every_name == name) for name in found[counts >= _LEAST_TOLD * of_class.sum()]]


def _of_bounds(
    values: NDArray[np.float64], say: Callable[[float], str], above: str, below: str
) -> list[tuple[str, NDArray[np.bool_]]]:
    different = np.unique(values)[1:]
    bounds = different[:: max(1, len(different) // _MOST_BOUNDS)]
    pairs = [(above.format(value=say(bound)), values >= bound) for bound in bounds]
    return pairs + [(below.format(value=say(bound)), values < bound) for bound in bounds]


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
    return list(zip(chosen, (shortcut.class_name, _("the others")), strict=True))
