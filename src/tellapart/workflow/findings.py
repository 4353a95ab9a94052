"""What a check-up tells the owner of a collection: facts, groups and suspicions in, findings with words out.

A finding is there when there is something to say; how many of its photos the report shows is bounded here.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from tellapart.photos.facts import PhotoFacts
from tellapart.photos.formats import SUFFIXES
from tellapart.photos.names import name_some
from tellapart.photos.photoset import PhotoSet
from tellapart.records import Finding, LabelSuspect, PhotoGroup, Shortcut

# Shown of each finding, at most.
_MOST_GROUPS, _MOST_IN_GROUP, _MOST_SINGLE = 12, 6, 24
# Mean luma below which a photo is called dark, luma range below which it is called empty, both in [0, 1].
_DARK, _EMPTY = 0.06, 0.012
# A photo is called small when its shorter side has fewer pixels, blurred when it is this much less sharp than the
# median of the collection and not sharp by itself either.
_SMALL_SIDE = 64
# The largest class may have so many times the photos of the smallest; the same bound as the head's.
_MOST_IMBALANCE = 3
_FEW_PHOTOS = 10
# A drawn mask has so many grey levels at most, each in so much of its thumbnail at least, and little between them,
# which is where cells of the thumbnail lie on an edge.
_MASK_LEVELS, _LEAST_LEVEL, _FLAT_SHARE = 6, 0.02, 0.9


@dataclass(frozen=True, eq=False)
class Examined:
    """What is known of a collection after it was looked at; rows are those of `photos`.

    Attributes:
        photos: the usable photos.
        facts: of each.
        groups: photos that belong together.
        suspects: labels that are probably wrong.
        outliers: rows of photos that look like no other in their class.
        shortcuts: what gives the classes away without being on the photos.
    """

    photos: PhotoSet
    facts: tuple[PhotoFacts, ...]
    groups: tuple[PhotoGroup, ...]
    suspects: tuple[LabelSuspect, ...] = ()
    outliers: tuple[int, ...] = ()
    shortcuts: tuple[Shortcut, ...] = ()


def list_findings(examined: Examined, describe_shortcut: Callable[[Shortcut], str]) -> tuple[Finding, ...]:
    """What the owner should know, problems first, in each part the weightiest first."""
    makers: tuple[Callable[[Examined], Finding | None], ...] = (
        _leak,
        _cross_class,
        _suspects,
        _masks,
        _empty,
        lambda one: _shortcuts(one, describe_shortcut),
        _imbalance,
        _few,
        _copies,
        _near,
        _bursts,
        _outliers,
        _dark,
        _blurred,
        _small,
        _wrong_suffix,
        _shapes,
    )
    found = [finding for maker in makers if (finding := maker(examined)) is not None]
    return tuple(sorted(found, key=lambda finding: not finding.is_problem))


def list_clear(examined: Examined, findings: Sequence[Finding], with_embeddings: bool) -> tuple[str, ...]:
    """What was looked for and not found, a sentence each.

    Args:
        examined: the collection.
        findings: what was found.
        with_embeddings: whether labels could be doubted.
    """
    looked: list[tuple[tuple[str, ...], str]] = [
        (("copies", "near"), "No photo is there twice, as a copy or nearly so."),
        (("empty", "too_dark", "too_blurred"), "No photo is empty, nearly black or without a sharp edge."),
    ]
    if examined.photos.labels is not None:
        looked.append((("cross_class",), "No photo stands in more than one class."))
        looked.append((("shortcuts",), "Image size, file format, camera and border do not give the classes away."))
        if with_embeddings:
            looked.append((("label_suspects",), "No label looks wrong."))
            looked.append((("outliers",), "No photo looks out of place in its class."))
    if len(set(examined.photos.given_splits)) > 1:
        looked.append((("leak",), "No photo stands on both sides of the split that the folders make."))
    found = {finding.kind for finding in findings}
    return tuple(sentence for kinds, sentence in looked if found.isdisjoint(kinds))


def _leak(examined: Examined) -> Finding | None:
    """Groups that stand on both sides of a split that the source brings along."""
    splits = examined.photos.given_splits
    if not splits:
        return None
    groups = [group.rows for group in _largest_kinds(examined) if len({splits[row] for row in group.rows}) > 1]
    if not groups:
        return None
    num = len({row for rows in groups for row in rows})
    return Finding(
        "leak",
        f"{_count(num, 'photo')} of one moment in more than one of the folders train, validation and test",
        "A model recognises what it has learnt by heart, so such photos make it look better than it is; their copies "
        "are left out of what it is measured on.",
        num,
        *_show_groups(examined, groups, lambda row: splits[row] or "no folder"),
        is_problem=True,
    )


def _cross_class(examined: Examined) -> Finding | None:
    labels = examined.photos.labels
    if labels is None:
        return None
    groups = [
        group.rows
        for group in examined.groups
        if group.kind != "burst" and len({int(labels[row]) for row in group.rows}) > 1
    ]
    if not groups:
        return None
    num = len({row for rows in groups for row in rows})
    return Finding(
        "cross_class",
        f"{_count(len(groups), 'photo')} in more than one class",
        "One picture cannot belong to two classes, so one of its labels is wrong and teaches the wrong thing.",
        num,
        *_show_groups(examined, groups),
        is_problem=True,
    )


def _suspects(examined: Examined) -> Finding | None:
    if not examined.suspects:
        return None
    names = examined.photos.class_names
    shown = examined.suspects[:_MOST_SINGLE]
    return Finding(
        "label_suspects",
        f"{_count(len(examined.suspects), 'label')} that may be wrong",
        "A model that had not seen these photos was sure of another class; look at each, for it may be the model that "
        "is wrong.",
        len(examined.suspects),
        tuple((suspect.row,) for suspect in shown),
        tuple(
            f"labelled {names[suspect.label]}, looks like {names[suspect.suggested_label]}"
            f" ({suspect.suggested_probability:.0%})"
            for suspect in shown
        ),
        is_problem=True,
    )


def _shortcuts(examined: Examined, describe: Callable[[Shortcut], str]) -> Finding | None:
    if not examined.shortcuts:
        return None
    return Finding(
        "shortcuts",
        "Classes can be told apart without looking at what is on the photos",
        "A model may learn this instead of what you mean, and then fail on photos that were made in another way. "
        + " ".join(describe(shortcut) for shortcut in examined.shortcuts),
        len(examined.photos),
        (),
        (),
        is_problem=True,
    )


def _imbalance(examined: Examined) -> Finding | None:
    counts = {name: number for name, number in examined.photos.counts().items() if number}
    if len(counts) < 2 or max(counts.values()) <= _MOST_IMBALANCE * min(counts.values()):
        return None
    largest, smallest = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    return Finding(
        "imbalance",
        f"{counts[largest]:,} photos of {largest!r}, {counts[smallest]:,} of {smallest!r}",
        "Each class is made to count alike, yet a class with few photos is known less well: more photos of it help "
        "most.",
        sum(counts.values()),
        (),
        (),
        is_problem=False,
    )


def _few(examined: Examined) -> Finding | None:
    few = [name for name, number in examined.photos.counts().items() if 0 < number < _FEW_PHOTOS]
    if not few:
        return None
    return Finding(
        "few_photos",
        f"fewer than {_FEW_PHOTOS} photos of {name_some(few)}",
        "That is enough to learn from and not to measure with: the interval around the accuracy will be wide.",
        sum(examined.photos.counts()[name] for name in few),
        (),
        (),
        is_problem=False,
    )


def _copies(examined: Examined) -> Finding | None:
    return _groups_of(
        examined,
        "copies",
        lambda groups, num: f"{_count(num, 'file')} with the same content as another",
        "Copies add nothing to learn from; they stay on one side of the split, so that no photo is measured on that "
        "was learnt from.",
    )


def _near(examined: Examined) -> Finding | None:
    return _groups_of(
        examined,
        "near",
        lambda groups, num: f"{_count(num, 'photo')} nearly the same as another",
        "Encoded anew, resized, cropped, mirrored or brighter, a photo is still the same one; these stay on one side "
        "of the split.",
    )


def _bursts(examined: Examined) -> Finding | None:
    return _groups_of(
        examined,
        "burst",
        lambda groups, num: f"{_count(groups, 'series', 'series')} of photos taken within seconds",
        "Photos of one moment are so alike that they count for little more than one; they stay on one side of the "
        "split.",
    )


def _groups_of(examined: Examined, kind: str, title: Callable[[int, int], str], why: str) -> Finding | None:
    """The groups of a kind; the title is made of how many there are, and of the photos beyond one of each."""
    groups = [group.rows for group in examined.groups if group.kind == kind]
    if not groups:
        return None
    num_extra = sum(len(rows) - 1 for rows in groups)
    return Finding(
        kind, title(len(groups), num_extra), why, num_extra, *_show_groups(examined, groups), is_problem=False
    )


def _outliers(examined: Examined) -> Finding | None:
    return _single(
        examined,
        "outliers",
        examined.outliers,
        lambda num: f"{_count(num, 'photo')} unlike any other in the class",
        "Often a screenshot, a document or a photo in the wrong folder; sometimes only a rare view, which is worth "
        "keeping.",
    )


def _empty(examined: Examined) -> Finding | None:
    rows = [row for row, facts in enumerate(examined.facts) if facts.contrast < _EMPTY]
    return _single(
        examined,
        "empty",
        rows,
        lambda num: f"{_count(num, 'picture')} of one colour",
        "There is nothing on them to learn from: a lens cap, or a placeholder for a photo that is gone.",
        is_problem=True,
    )


def _masks(examined: Examined) -> Finding | None:
    is_mask = [_is_drawn_in_few_levels(facts) for facts in examined.facts]
    rows = [row for row, answer in enumerate(is_mask) if answer]
    if len(rows) > len(is_mask) / 2:  # then that is what the collection is about
        return None
    return _single(
        examined,
        "masks",
        rows,
        lambda num: f"{_count(num, 'picture')} drawn in a few flat colours",
        "Among photos these are mostly masks or diagrams that lie beside them; take them out if they are none of the "
        "things to tell apart.",
        is_problem=True,
    )


def _dark(examined: Examined) -> Finding | None:
    rows = [row for row, facts in enumerate(examined.facts) if facts.brightness < _DARK and facts.contrast >= _EMPTY]
    order = sorted(rows, key=lambda row: examined.facts[row].brightness)
    return _single(
        examined,
        "too_dark",
        order,
        lambda num: f"{_count(num, 'photo')} nearly black",
        "What cannot be made out cannot be learnt; keep them only if such photos will be asked about.",
    )


def _blurred(examined: Examined) -> Finding | None:
    rows = [row for row, facts in enumerate(examined.facts) if facts.is_blurred and facts.contrast >= _EMPTY]
    order = sorted(rows, key=lambda row: examined.facts[row].sharpness)
    return _single(
        examined,
        "too_blurred",
        order,
        lambda num: f"{_count(num, 'photo')} without a sharp edge",
        "Out of focus or enlarged from a thumbnail; keep them only if such photos will be asked about.",
    )


def _small(examined: Examined) -> Finding | None:
    rows = [row for row, facts in enumerate(examined.facts) if min(facts.height, facts.width) < _SMALL_SIDE]
    return _single(
        examined,
        "too_small",
        rows,
        lambda num: f"{_count(num, 'photo')} with a side below {_SMALL_SIDE} pixels",
        "The network sees photos at 224 pixels, so these are enlarged and show little.",
        lambda row: f"{examined.facts[row].width} x {examined.facts[row].height}",
    )


def _wrong_suffix(examined: Examined) -> Finding | None:
    rows = [
        row
        for row, (path, facts) in enumerate(zip(examined.photos.paths, examined.facts, strict=True))
        if (suffix := PurePath(path).suffix.lower()) and suffix not in SUFFIXES[facts.format]
    ]
    return _single(
        examined,
        "wrong_suffix",
        rows,
        lambda num: f"{_count(num, 'file')} whose name ends like another format",
        "They are read by their content, so nothing is lost here; other programs may refuse them.",
        lambda row: f"{PurePath(examined.photos.paths[row]).suffix}, really {examined.facts[row].format}",
    )


def _shapes(examined: Examined) -> Finding | None:
    if not examined.facts:
        return None
    sizes = np.array([(facts.height, facts.width) for facts in examined.facts])
    smallest, largest = sizes[sizes.prod(axis=1).argmin()], sizes[sizes.prod(axis=1).argmax()]
    num_upright = int((sizes[:, 0] > sizes[:, 1]).sum())
    num_turned = sum(facts.has_exif_rotation for facts in examined.facts)
    formats = Counter(facts.format for facts in examined.facts)
    words = ", ".join(f"{number:,} {name}" for name, number in formats.most_common())
    span = f"all {smallest[1]} x {smallest[0]} pixels"
    if len(np.unique(sizes, axis=0)) > 1:
        span = f"from {smallest[1]} x {smallest[0]} to {largest[1]} x {largest[0]} pixels"
    return Finding(
        "shapes",
        f"{span}; {words}",
        f"{_count(num_upright, 'photo')} upright, the others square or wide; {num_turned:,} turned as their camera "
        "says. All are squeezed to one square size.",
        len(examined.facts),
        (),
        (),
        is_problem=False,
    )


def _single(
    examined: Examined,
    kind: str,
    rows: Sequence[int],
    title: Callable[[int], str],
    why: str,
    caption: Callable[[int], str] = lambda row: "",
    is_problem: bool = False,
) -> Finding | None:
    """A finding about photos one by one."""
    if not rows:
        return None
    shown = rows[:_MOST_SINGLE]
    captions = tuple(caption(row) for row in shown)
    return Finding(kind, title(len(rows)), why, len(rows), tuple((row,) for row in shown), captions, is_problem)


def _show_groups(
    examined: Examined, groups: Iterable[Sequence[int]], word: Callable[[int], str] | None = None
) -> tuple[tuple[tuple[int, ...], ...], tuple[str, ...]]:
    """Rows and captions of some groups; a caption says what differs within one: by default the class."""
    say = word or _class_of(examined)
    shown = sorted(groups, key=len, reverse=True)[:_MOST_GROUPS]
    examples, captions = [], []
    for rows in shown:
        numbers = Counter(say(row) for row in rows)
        words = [name if number == 1 else f"{number:,} x {name}" for name, number in numbers.items() if name]
        examples.append(_one_of_each(rows, say)[:_MOST_IN_GROUP])
        captions.append(", ".join(words[:5]) if len(words) > 1 else "")
    return tuple(examples), tuple(captions)


def _one_of_each(rows: Sequence[int], say: Callable[[int], str]) -> tuple[int, ...]:
    """The rows, with one of each word first, so that a difference is among those that are shown."""
    seen: set[str] = set()
    first = [row for row in rows if not (say(row) in seen or seen.add(say(row)))]  # type: ignore[func-returns-value]
    return (*first, *(row for row in rows if row not in first))


def _largest_kinds(examined: Examined) -> Iterator[PhotoGroup]:
    """Groups of photos that show the same thing."""
    return (group for group in examined.groups if len(group.rows) > 1)


def _class_of(examined: Examined) -> Callable[[int], str]:
    labels, names = examined.photos.labels, examined.photos.class_names
    return lambda row: "" if labels is None else names[labels[row]]


def _is_drawn_in_few_levels(facts: PhotoFacts) -> bool:
    """Whether nearly all of the thumbnail has one of a few grey levels, and more than one of them."""
    counts: NDArray[np.int64] = np.bincount(facts.thumbnail.reshape(-1), minlength=256)
    shares = []
    for _ in range(_MASK_LEVELS):
        level = int(counts.argmax())
        near = slice(max(0, level - 1), level + 2)
        shares.append(counts[near].sum() / facts.thumbnail.size)
        counts[near] = 0
    large = [share for share in shares if share >= _LEAST_LEVEL]
    return len(large) >= 2 and sum(large) >= _FLAT_SHARE


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
