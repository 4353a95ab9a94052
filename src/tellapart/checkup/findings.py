"""What a check-up tells the owner of a collection: facts, groups and suspicions in, findings with words out.

A finding is there when there is something to say; how many of its photos the report shows is bounded here.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from tellapart.checkup.collection import MOST_SINGLE, Examined, count_words
from tellapart.checkup.photo_findings import (
    find_blurred,
    find_dark,
    find_empty,
    find_masks,
    find_outliers,
    find_shapes,
    find_small,
    find_wrong_suffixes,
)
from tellapart.photos.names import name_some
from tellapart.records import Finding, Shortcut

# Groups that are shown of each finding, and photos of a group, at most.
_MOST_GROUPS, _MOST_IN_GROUP = 12, 6
# Photos of each side that show a shortcut.
_NUM_OF_SIDE = 4
# The largest class may have so many times the photos of the smallest; the same bound as the head's.
_MOST_IMBALANCE = 3
_FEW_PHOTOS = 10


def list_findings(examined: Examined, describe_shortcut: Callable[[Shortcut], str]) -> tuple[Finding, ...]:
    """What the owner should know, problems first, in each part the weightiest first."""
    makers: tuple[Callable[[Examined], Finding | None], ...] = (
        _leak,
        _cross_class,
        _suspects,
        find_masks,
        find_empty,
        lambda one: _shortcuts(one, describe_shortcut),
        _imbalance,
        _few,
        _copies,
        _near,
        _bursts,
        _alike,
        find_outliers,
        find_dark,
        find_blurred,
        find_small,
        find_wrong_suffixes,
        find_shapes,
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
        (("copies", "near", "alike"), "No photo is there twice, as a copy or nearly so."),
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
    groups = [group.rows for group in examined.groups if len({splits[row] for row in group.rows}) > 1]
    if not groups:
        return None
    num = len({row for rows in groups for row in rows})
    return Finding(
        "leak",
        f"{count_words(num, 'photo')} of one moment in more than one of the folders train, validation and test",
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
        f"{count_words(len(groups), 'photo')} in more than one class",
        "One picture cannot belong to two classes, so one of its labels is wrong and teaches the wrong thing.",
        num,
        *_show_groups(examined, groups),
        is_problem=True,
    )


def _suspects(examined: Examined) -> Finding | None:
    if not examined.suspects:
        return None
    names = examined.photos.class_names
    shown = examined.suspects[:MOST_SINGLE]
    return Finding(
        "label_suspects",
        f"{count_words(len(examined.suspects), 'label')} that may be wrong",
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
    shown = [pair for shortcut in examined.shortcuts for pair in _show_shortcut(examined, shortcut)]
    return Finding(
        "shortcuts",
        "Classes can be told apart without looking at what is on the photos",
        "A model may learn this instead of what you mean, and then fail on photos that were made in another way. "
        + " ".join(describe(shortcut) for shortcut in examined.shortcuts),
        len(examined.photos),
        tuple(rows for rows, _ in shown),
        tuple(caption for _, caption in shown),
        is_problem=True,
    )


def _show_shortcut(examined: Examined, shortcut: Shortcut) -> list[tuple[tuple[int, ...], str]]:
    """Some photos of the class that is given away, and some of the others."""
    photos = examined.photos
    assert photos.labels is not None
    label = photos.class_names.index(shortcut.class_name)
    sides = [
        [row for row, one in enumerate(photos.labels.tolist()) if (one == label) is within] for within in (True, False)
    ]
    chosen = [tuple(rows[:: max(1, len(rows) // _NUM_OF_SIDE)][:_NUM_OF_SIDE]) for rows in sides]
    words = (f"{shortcut.class_name}, given away by its {shortcut.clue}", "the others")
    return list(zip(chosen, words, strict=True))


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
        f"Fewer than {_FEW_PHOTOS} photos of {name_some(few)}",
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
        lambda groups, num: f"{count_words(num, 'file')} with the same content as another",
        "Copies add nothing to learn from; they stay on one side of the split, so that no photo is measured on that "
        "was learnt from.",
    )


def _near(examined: Examined) -> Finding | None:
    return _groups_of(
        examined,
        "near",
        lambda groups, num: f"{count_words(num, 'photo')} nearly the same as another",
        "Encoded anew, resized, cropped, mirrored or brighter, a photo is still the same one; these stay on one side "
        "of the split.",
    )


def _bursts(examined: Examined) -> Finding | None:
    return _groups_of(
        examined,
        "burst",
        lambda groups, num: f"{count_words(groups, 'series', 'series')} of photos taken within seconds",
        "Photos of one moment are so alike that they count for little more than one; they stay on one side of the "
        "split.",
    )


def _alike(examined: Examined) -> Finding | None:
    if not examined.is_alike:
        return None
    return Finding(
        "alike",
        "All photos look much alike",
        "Photos of different classes differ so little that near copies cannot be told from others, so only "
        "byte-identical copies stay together. If some of the photos are of one and the same thing, keep some things "
        "aside for `tellapart evaluate`.",
        len(examined.photos),
        (),
        (),
        is_problem=False,
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


def _class_of(examined: Examined) -> Callable[[int], str]:
    labels, names = examined.photos.labels, examined.photos.class_names
    return lambda row: "" if labels is None else names[labels[row]]
