"""What each part of the page shows, cut to what a person can look through: findings, skipped files, labels, answers.

Everything that is left out is counted, so that the page can say "and 37 more".
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from tellapart.records import Finding, Skipped
from tellapart.report.embedded_pictures import Album, ShownPhoto
from tellapart.report.report_data import Answer, Report

# The finding whose photos have a table of their own on the page.
SUSPECTS_KIND = "label_suspects"

_MOST_PHOTOS_OF_FINDING = 24
_MOST_PHOTOS_OF_GROUP = 8
_MOST_SUSPECTS = 200
_MOST_ANSWERS = 24
_MOST_REASONS, _MOST_PATHS = 30, 20


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


@dataclass(frozen=True)
class SkippedGroup:
    """Files that are skipped for one reason: the first of them, and how many there are."""

    reason: str
    paths: tuple[str, ...]
    num_files: int


@dataclass(frozen=True)
class SuspectLine:
    """A photo whose label is probably wrong; classes as numbers, probabilities in `[0, 1]`."""

    photo: ShownPhoto
    label: int
    suggested_label: int
    label_probability: float
    suggested_probability: float


@dataclass(frozen=True)
class AnswerCard:
    """A photo and what the model said of it; `heatmap_id` is `None` where nothing says where it looked."""

    photo: ShownPhoto
    heatmap_id: str | None
    label: int
    predicted: int
    probability: float


def finding_cards(report: Report, album: Album) -> tuple[FindingCard, ...]:
    """A card for every finding, problems first, otherwise in their order."""
    findings = sorted(report.findings, key=lambda finding: not finding.is_problem)
    return tuple(_card(finding, album) for finding in findings)


def skipped_groups(skipped: Iterable[Skipped]) -> tuple[SkippedGroup, ...]:
    """The files by reason, the most frequent first; at most 30 reasons, the last standing for all others."""
    paths: dict[str, list[str]] = defaultdict(list)
    for item in skipped:
        paths[item.reason].append(item.path)
    groups = [
        SkippedGroup(reason, tuple(some[:_MOST_PATHS]), len(some))
        for reason, some in sorted(paths.items(), key=lambda pair: -len(pair[1]))
    ]
    if len(groups) <= _MOST_REASONS:
        return tuple(groups)
    rest = groups[_MOST_REASONS - 1 :]
    shown = [path for group in rest for path in group.paths][:_MOST_PATHS]
    others = SkippedGroup("other reasons", tuple(shown), sum(group.num_files for group in rest))
    return (*groups[: _MOST_REASONS - 1], others)


def suspect_lines(report: Report, album: Album) -> tuple[SuspectLine, ...]:
    """The most suspicious labels, at most 200."""
    return tuple(
        SuspectLine(
            album.show(suspect.row),
            suspect.label,
            suspect.suggested_label,
            suspect.label_probability,
            suspect.suggested_probability,
        )
        for suspect in report.suspects[:_MOST_SUSPECTS]
    )


def answer_cards(answers: tuple[Answer, ...], album: Album) -> tuple[AnswerCard, ...]:
    """The first answers, at most 24, with their heat maps."""
    return tuple(
        AnswerCard(
            album.show(answer.row),
            album.show_heatmap(answer.row),
            answer.label,
            answer.predicted,
            answer.probability,
        )
        for answer in answers[:_MOST_ANSWERS]
    )


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
