"""What the page shows of a check-up, cut to what a person can look through: findings, and labels to look at.

Everything that is left out is counted, so that the page can say "and 37 more".
"""

from collections.abc import Iterable, Sequence
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
    """Photos side by side, what is to be said of them, and how many more belong to them.

    `rows` are those that are decided on here: those that are shown, or all copies that the shown one stands for.
    """

    caption: str
    photos: tuple[ShownPhoto, ...]
    num_more: int
    rows: tuple[int, ...]


@dataclass(frozen=True)
class FindingCard:
    """A finding with the groups that are shown, and how many of its photos are in none of them."""

    finding: Finding
    groups: tuple[Group, ...]
    num_more: int

    @property
    def is_single(self) -> bool:
        """Whether every photo stands for itself and its copies."""
        return self.finding.is_folded or all(len(group.photos) + group.num_more == 1 for group in self.groups)


def finding_cards(findings: Sequence[Finding], album: Album) -> tuple[FindingCard, ...]:
    """A card for every finding, problems first, otherwise in their order."""
    return tuple(_card(finding, album) for finding in sorted(findings, key=lambda finding: not finding.is_problem))


def suspect_lines(suspects: Sequence[LabelSuspect], album: Album) -> tuple[tuple[LabelSuspect, ShownPhoto], ...]:
    """The most suspicious labels, at most 200, each with its photo."""
    return tuple((suspect, album.show(suspect.row)) for suspect in suspects[:_MOST_SUSPECTS])


def rows_to_show(findings: Iterable[Finding], suspects: Sequence[LabelSuspect]) -> list[int]:
    """The photos that the page shows of a check-up."""
    rows = [row for finding in findings for decided, _num_shown in _shown_examples(finding) for row in decided]
    return [*rows, *(row for suspect in suspects[:_MOST_SUSPECTS] for row in suspect.rows)]


def _shown_examples(finding: Finding) -> list[tuple[tuple[int, ...], int]]:
    """The first examples of a finding, as far as there is room: the rows to decide on, and how many of them are shown.

    Findings that have their own table have none.
    """
    shown: list[tuple[tuple[int, ...], int]] = []
    if finding.kind == SUSPECTS_KIND:
        return shown
    if finding.is_folded:
        return [(rows, 1) for rows in finding.examples[:_MOST_PHOTOS_OF_FINDING]]
    room = _MOST_PHOTOS_OF_FINDING
    for rows in finding.examples:
        if room <= 0 or (shown and room < min(len(rows), 2)):
            break  # one photo of a pair says nothing
        some = rows[: min(_MOST_PHOTOS_OF_GROUP, room)]
        shown.append((some, len(some)))
        room -= len(some)
    return shown


def _card(finding: Finding, album: Album) -> FindingCard:
    if finding.kind == SUSPECTS_KIND:
        return FindingCard(finding, (), 0)
    shown = _shown_examples(finding)
    groups = [
        Group(caption, tuple(album.show(row) for row in decided[:num_shown]), len(rows) - len(decided), decided)
        for (decided, num_shown), rows, caption in zip(shown, finding.examples, finding.captions, strict=False)
    ]
    told = {row for rows in finding.examples[: len(shown)] for row in rows}
    return FindingCard(finding, tuple(groups), max(0, finding.num_photos - len(told)))
