"""Photos that belong together: which of them do, what is to be said of them, and how each photo does.

Which photos show the same moment is `duplicates.py`'s to find.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from tellapart.backbones.seen_photos import SeenPhotos
from tellapart.checkup.duplicates import group_numbers, pauses_between
from tellapart.checkup.finding import Judgement, PhotoScores, make_figure
from tellapart.measure.number_words import count_photos
from tellapart.measure.splits import count_groups
from tellapart.photos.photoset import PhotoSet
from tellapart.records import Finding, PhotoGroup
from tellapart.translation import gettext as _
from tellapart.translation import ngettext

Groups = tuple[PhotoGroup, ...]

# Share of photos that may be nearly the same as one of another class, and different photos that each class must keep,
# before near copies are given up.
_MOST_TORN, _LEAST_GROUPS = 0.2, 2


def keep_apart(groups: Groups, photos: PhotoSet) -> Groups:
    """The groups, or only the copies among them where the photos of a collection are all too much alike.

    A belt, a slide or a form looks the same but for what matters on it. There, near copies would tie together what is
    to be told apart: photos of several classes, or all photos of one.
    """
    labels = photos.labels
    copies = tuple(group for group in groups if group.kind == "copies")
    if labels is None or len(copies) == len(groups):
        return groups
    torn = {
        row
        for group in groups
        if group.kind != "copies" and len({int(labels[one]) for one in group.rows}) > 1
        for row in group.rows
    }
    tied, apart = (np.array(count_groups(labels, group_numbers(some, len(photos)))) for some in (groups, copies))
    is_whole_class = bool(((tied < _LEAST_GROUPS) & (apart >= _LEAST_GROUPS)).any())
    return copies if len(torn) > _MOST_TORN * len(photos) or is_whole_class else groups


def judge_groups(seen: SeenPhotos, groups: Groups, burst_seconds: float, *, is_alike: bool) -> Judgement:
    """What is to be said of photos that belong together, and how each photo does.

    Args:
        seen: all photos.
        groups: of them, as `keep_apart` leaves them.
        burst_seconds: longest pause between two photos of a series.
        is_alike: whether near copies were given up.
    """
    photos = seen.photos
    makers = (_find_leak, _find_cross_class, _find_copies, _find_near, _find_bursts)
    findings = [finding for make in makers if (finding := make(photos, groups)) is not None]
    if is_alike:
        findings.append(_find_alike(photos))
    numbers = range(len(photos))
    scores = [
        _score_groups("copy", groups, ("copies",), numbers),
        _score_groups("near_copy", groups, ("near",), numbers),
        _score_groups("burst", groups, ("burst",), numbers),
    ]
    if photos.labels is not None:
        scores.append(_score_groups("cross_class", groups, ("copies", "near"), numbers, photos.labels.tolist()))
    if photos.given_splits:
        scores.append(_score_groups("leak", groups, ("copies", "near", "burst"), numbers, photos.given_splits))
    num_in_series = len({row for group in groups if group.kind == "burst" for row in group.rows})
    pauses = pauses_between(seen.facts)
    figure = make_figure("burst", pauses, burst_seconds, num_in_series, is_low_worst=True)
    return Judgement(tuple(findings), tuple(scores), (figure,))


def _score_groups(
    name: str, groups: Groups, kinds: Sequence[str], rows: Sequence[int], words: Sequence[object] | None = None
) -> PhotoScores:
    """For each photo the share of its group that is like it: itself alone, or all of the same word.

    Args:
        name: of the scores.
        groups: of all kinds.
        kinds: those that count.
        rows: all of them.
        words: what a photo is to have in common with its group; `None` for nothing.
    """
    scores = np.ones(len(rows))
    marks: Sequence[object] = rows if words is None else words
    for group in groups:
        if group.kind in kinds:
            counts = Counter(marks[row] for row in group.rows)
            for row in group.rows:
                scores[row] = min(scores[row], counts[marks[row]] / len(group.rows))
    return PhotoScores(name, scores, scores < 1)


def _find_leak(photos: PhotoSet, groups: Groups) -> Finding | None:
    """Groups that stand on both sides of a split that the source brings along."""
    splits = photos.given_splits
    if not splits:
        return None
    some = [group.rows for group in groups if len({splits[row] for row in group.rows}) > 1]
    if not some:
        return None
    num = len({row for rows in some for row in rows})
    return Finding(
        "leak",
        _title_of_leak(splits, some),
        _(
            "A model recognises photos that it was trained on, so such photos make it look better than it is. They are"
            " left out of the test."
        ),
        num,
        *_show_groups(photos, some, lambda row: splits[row] or _("no folder")),
        is_problem=True,
        action=_("Delete these photos from the validation and test folders, or train on one folder without the split."),
    )


def _title_of_leak(splits: Sequence[str | None], groups: Sequence[Sequence[int]]) -> str:
    """How many photos of which folder were not held out in truth."""
    held_out = [name for name in ("validation", "test") if name in splits]
    learnt = [rows for rows in groups if any(splits[row] not in held_out for row in rows)]
    leaked = {row for rows in learnt for row in rows if splits[row] in held_out}
    if not leaked:
        num = len({row for rows in groups for row in rows})
        return _("{photos} in one split folder with a copy in another").format(photos=count_photos(num))
    num_all = sum(splits.count(name) for name in held_out)
    return ngettext(
        "The only photo in {folders} has a copy in the training photos",
        "{num:,} of the {num_all:,} photos in {folders} have a copy in the training photos",
        num_all,
    ).format(num=len(leaked), num_all=num_all, folders=" + ".join(held_out))


def _find_cross_class(photos: PhotoSet, groups: Groups) -> Finding | None:
    labels = photos.labels
    if labels is None:
        return None
    some = [
        group.rows for group in groups if group.kind != "burst" and len({int(labels[row]) for row in group.rows}) > 1
    ]
    if not some:
        return None
    num = len({row for rows in some for row in rows})
    return Finding(
        "cross_class",
        ngettext("{num:,} photo in more than one class", "{num:,} photos in more than one class", len(some)).format(
            num=len(some)
        ),
        _("A photo cannot belong to two classes. One of its labels is wrong and teaches the wrong thing."),
        num,
        *_show_groups(photos, some),
        is_problem=True,
        action=_("Keep each photo in one class. Choose below, download your decisions, run the command shown there."),
    )


def _find_copies(photos: PhotoSet, groups: Groups) -> Finding | None:
    return _groups_of(
        photos,
        groups,
        "copies",
        lambda groups, num: ngettext(
            "{num:,} file with the same content as another", "{num:,} files with the same content as another", num
        ).format(num=num),
        _(
            "Copies add nothing to training. They stay together in the split, so no photo is used for both training and"
            " testing."
        ),
    )


def _find_near(photos: PhotoSet, groups: Groups) -> Finding | None:
    return _groups_of(
        photos,
        groups,
        "near",
        lambda groups, num: ngettext(
            "{num:,} photo nearly the same as another", "{num:,} photos nearly the same as another", num
        ).format(num=num),
        _(
            "Re-saved, resized, cropped, mirrored or brightened copies count as the same photo. They stay together in"
            " the split."
        ),
    )


def _find_bursts(photos: PhotoSet, groups: Groups) -> Finding | None:
    return _groups_of(
        photos,
        groups,
        "burst",
        lambda groups, num: ngettext(
            "{num:,} burst of photos taken within seconds", "{num:,} bursts of photos taken within seconds", groups
        ).format(num=groups),
        _("Photos of one burst count for little more than one photo. They stay together in the split."),
    )


def _find_alike(photos: PhotoSet) -> Finding:
    return Finding(
        "alike",
        _("All photos look nearly the same"),
        _(
            "Photos of different classes differ too little to detect near-copies, so only identical files stay together"
            " in the split. If several photos show the same object, keep some objects for `tellapart evaluate`."
        ),
        len(photos),
        (),
        (),
        is_problem=False,
    )


def _groups_of(
    photos: PhotoSet, groups: Groups, kind: str, title: Callable[[int, int], str], why: str
) -> Finding | None:
    """The groups of a kind; the title is made of how many there are, and of the photos beyond one of each."""
    some = [group.rows for group in groups if group.kind == kind]
    if not some:
        return None
    num_extra = sum(len(rows) - 1 for rows in some)
    return Finding(kind, title(len(some), num_extra), why, num_extra, *_show_groups(photos, some), is_problem=False)


def _show_groups(
    photos: PhotoSet, groups: Iterable[Sequence[int]], word: Callable[[int], str] | None = None
) -> tuple[tuple[tuple[int, ...], ...], tuple[str, ...]]:
    """Rows and captions of groups, the largest first; a caption says what differs within one: by default the class."""
    say = word or _class_of(photos)
    examples, captions = [], []
    for rows in sorted(groups, key=len, reverse=True):
        numbers = Counter(say(row) for row in rows)
        words = [name if number == 1 else f"{number:,} x {name}" for name, number in numbers.items() if name]
        examples.append(_one_of_each(rows, say))
        captions.append(", ".join(words[:5]) if len(words) > 1 else "")
    return tuple(examples), tuple(captions)


def _one_of_each(rows: Sequence[int], say: Callable[[int], str]) -> tuple[int, ...]:
    """The rows, with one of each word first, so that a difference is among those that are shown."""
    seen: set[str] = set()
    first = [row for row in rows if not (say(row) in seen or seen.add(say(row)))]  # type: ignore[func-returns-value]
    return (*first, *(row for row in rows if row not in first))


def _class_of(photos: PhotoSet) -> Callable[[int], str]:
    labels, names = photos.labels, photos.class_names
    return lambda row: "" if labels is None else names[labels[row]]
