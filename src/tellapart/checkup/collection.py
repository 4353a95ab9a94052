"""A collection after it was looked at, and how a finding about some of its photos is put."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tellapart.images.facts import PhotoFacts
from tellapart.photos.photoset import PhotoSet
from tellapart.records import Finding, LabelSuspect, PhotoGroup, Shortcut

# Photos that are shown one by one, at most.
MOST_SINGLE = 24


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
        is_alike: whether all photos look so much alike that near copies were not told from others.
    """

    photos: PhotoSet
    facts: tuple[PhotoFacts, ...]
    groups: tuple[PhotoGroup, ...]
    suspects: tuple[LabelSuspect, ...] = ()
    outliers: tuple[int, ...] = ()
    shortcuts: tuple[Shortcut, ...] = ()
    is_alike: bool = False


def find_single(
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
    shown = rows[:MOST_SINGLE]
    captions = tuple(caption(row) for row in shown)
    return Finding(kind, title(len(rows)), why, len(rows), tuple((row,) for row in shown), captions, is_problem)


def count_words(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun, in the singular for 1."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
