"""Files that are not used, by reason: a few groups that a person can read in place of a thousand lines."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tellapart.records import Skipped

_VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|\d[\d.,]*")


@dataclass(frozen=True)
class SkippedGroup:
    """Files that are skipped for one reason: the first few of them, and how many there are in all."""

    reason: str
    first: tuple[str, ...]
    num_files: int


def group_skipped(skipped: Sequence[Skipped], num_first: int = 5, most: int | None = None) -> tuple[SkippedGroup, ...]:
    """Skipped files by reason, the commonest first; numbers and quoted names in a reason do not tell groups apart.

    Args:
        skipped: in the order of the source.
        num_first: paths to keep of each group.
        most: groups to give at most, the last of them for all other reasons; `None` gives all.
    """
    groups: dict[str, list[Skipped]] = {}
    for item in skipped:
        groups.setdefault(_VARYING.sub("…", item.reason), []).append(item)
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    named = [
        (items[0].reason if len({item.reason for item in items}) == 1 else pattern, items) for pattern, items in ordered
    ]
    if most is not None and len(named) > most:
        named[most - 1 :] = [("other reasons", [item for _, items in named[most - 1 :] for item in items])]
    return tuple(
        SkippedGroup(reason, tuple(item.path for item in items[:num_first]), len(items)) for reason, items in named
    )
