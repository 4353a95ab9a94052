"""What the page shows of a check-up, cut to what a person can look through: findings, and labels to look at.

Everything that is left out is counted, so that the page can say "and 37 more".
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tellapart.records import Finding, LabelSuspect
from tellapart.report.pictures import Album, ShownPhoto

# The finding whose photos have a table of their own on the page.
SUSPECTS_KIND = "label_suspects"

_MOST_PHOTOS_OF_FINDING = 24
_MOST_PHOTOS_OF_GROUP = 8
_MOST_SUSPECTS = 200


@dataclass(frozen=True)
class Group:
    """Photos side by side, what is to be said of them, and how many more belong to them."""

    caption: str
    photos: tuple[ShownPhoto, ...]
    num_more: int


@dataclass(frozen=True)
class FindingCard:
    """A finding with the groups that are shown, and how many of its photos are in none of them."""

    finding: Finding
    groups: tuple[Group, ...]
    num_more: int

    @property
    def is_single(self) -> bool:
        """Whether every photo stands for itself."""
        return all(len(group.photos) + group.num_more == 1 for group in self.groups)


def finding_cards(findings: Sequence[Finding], album: Album) -> tuple[FindingCard, ...]:
    """A card for every finding, problems first, otherwise in their order."""
    return tuple(_card(finding, album) for finding in sorted(findings, key=lambda finding: not finding.is_problem))


def suspect_lines(suspects: Sequence[LabelSuspect], album: Album) -> tuple[tuple[LabelSuspect, ShownPhoto], ...]:
    """The most suspicious labels, at most 200, each with its photo."""
    return tuple((suspect, album.show(suspect.row)) for suspect in suspects[:_MOST_SUSPECTS])


def _card(finding: Finding, album: Album) -> FindingCard:
    groups: list[Group] = []
    told: set[int] = set()
    num_shown = 0
    if finding.kind == SUSPECTS_KIND:
        return FindingCard(finding, (), 0)
    for rows, caption in zip(finding.examples, finding.captions, strict=True):
        room = min(_MOST_PHOTOS_OF_GROUP, _MOST_PHOTOS_OF_FINDING - num_shown)
        if room <= 0 or (groups and room < min(len(rows), 2)):
            break  # one photo of a pair says nothing
        photos = tuple(album.show(row) for row in rows[:room])
        groups.append(Group(caption, photos, len(rows) - len(photos)))
        told.update(rows)
        num_shown += len(photos)
    return FindingCard(finding, tuple(groups), max(0, finding.num_photos - len(told)))
