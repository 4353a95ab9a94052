"""Which photo a decision is about.

- Its content says so: decisions survive renamed, moved and added files. A photo whose content has changed since is
  another photo, and its decision is left out.
- Byte-identical copies in several classes are told apart by the class in the decision. Where that class still exists,
  the decision is about photos with this label alone: if the picture now stands in another class only, its label has
  been dealt with since, and a decision to keep or to remove it there is left out; a move to where it stands is done.
  Where the class no longer exists, its folder has been renamed, and the content alone decides, unless the picture
  stands in several classes.
- Copies within one class: `keep` and `move` are about the picture, so they hold for all of them. Each `remove` removes
  one photo: the one with its path, else one that shares the last two parts of the path, else the file name, else one
  that no other decision names. So one `remove` leaves the other copies where they are, and all copies go only when as
  many are decided to.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tellapart.decisions.decision_table import Decision, path_key
from tellapart.photos.names import same_name_key
from tellapart.photos.photoset import PhotoSet
from tellapart.records import Skipped

# Parts of a path that have to agree for a decision to name this copy and no other; 0 is all of them.
_DEPTHS = (0, 2, 1)


@dataclass(frozen=True)
class Matches:
    """Decisions and the photos they are about.

    Attributes:
        chosen: row of a photo to its decision.
        num_changed: decisions about no photo, of which one stands at their path with another content.
        num_elsewhere: other decisions about no photo.
    """

    chosen: dict[int, Decision]
    num_changed: int
    num_elsewhere: int


def match_decisions(photos: PhotoSet, digests: Sequence[str | Skipped], decisions: Sequence[Decision]) -> Matches:
    """Which photo each decision is about, by the rules above.

    Args:
        photos: with labels.
        digests: one a photo, as `digest_photos` gives.
        decisions: rows of one file, as `read_decisions` gives.
    """
    matcher = _Matcher(photos, digests, decisions)
    chosen, left_over = matcher.match()
    num_changed = matcher.count_changed(left_over)
    return Matches(chosen, num_changed, len(left_over) - num_changed)


class _Matcher:
    """The photos by their content, and the decisions by what they are about."""

    def __init__(self, photos: PhotoSet, digests: Sequence[str | Skipped], decisions: Sequence[Decision]) -> None:
        assert photos.labels is not None
        self._photos = photos
        self._labels = photos.labels.tolist()
        self._digests = digests
        self._groups: dict[tuple[str, str], list[Decision]] = {}
        for one in decisions:
            self._groups.setdefault((one.content, one.class_name), []).append(one)
        wanted = {one.content for one in decisions}
        self._by_content: defaultdict[str, list[int]] = defaultdict(list)
        for row, digest in enumerate(digests):
            if isinstance(digest, str) and digest in wanted:
                self._by_content[digest].append(row)

    def match(self) -> tuple[dict[int, Decision], list[Decision]]:
        """The decision of each row that has one, and the decisions about no row."""
        chosen: dict[int, Decision] = {}
        left_over: list[Decision] = []
        # Those whose class exists go first: a copy in their class is not what a vanished class was about.
        known = set(self._photos.class_names)
        for (content, label), group in sorted(self._groups.items(), key=lambda item: item[0][1] not in known):
            rows = [row for row in self._by_content[content] if row not in chosen]
            candidates = self._candidates(rows, label, group)
            if not candidates:
                left_over += group
                continue
            found, rest = _assign(group, candidates, self._photos.paths)
            chosen |= found
            left_over += rest
        return chosen, left_over

    def count_changed(self, decisions: Iterable[Decision]) -> int:
        """How many of the decisions name the path of a photo, whose content is another one now."""
        lost = [one for one in decisions if not self._by_content[one.content] and one.path]
        if not lost:
            return 0
        readable = [path for path, item in zip(self._photos.paths, self._digests, strict=True) if isinstance(item, str)]
        known = {path_key(path, 2) for path in readable}
        return sum(path_key(one.path, 2) in known for one in lost)

    def _candidates(self, rows: Sequence[int], label: str, group: Sequence[Decision]) -> list[int]:
        """Those of the rows with the content of the decisions that these can be about."""
        names = {row: self._photos.class_names[self._labels[row]] for row in rows}
        exact = [row for row in rows if names[row] == label]
        if exact:
            return exact
        if label in self._photos.class_names:
            # Done already, by hand or in a cleaned copy.
            targets = {same_name_key(one.new_class) for one in group if one.new_class is not None}
            return [row for row in rows if same_name_key(names[row]) in targets]
        return list(rows) if len(set(names.values())) == 1 else []


def _assign(
    group: Sequence[Decision], rows: Sequence[int], paths: Sequence[str]
) -> tuple[dict[int, Decision], list[Decision]]:
    """Row to decision for byte-identical photos of one class, and the decisions that are left over."""
    found: dict[int, Decision] = {}
    waiting = list(group)
    for depth in _DEPTHS:
        free: defaultdict[str, deque[int]] = defaultdict(deque)
        for row in rows:
            if row not in found:
                free[path_key(paths[row], depth)].append(row)
        unmatched: list[Decision] = []
        for one in waiting:
            if one.path and (queue := free.get(path_key(one.path, depth))):
                found[queue.popleft()] = one
            else:
                unmatched.append(one)
        waiting = unmatched
    rest = deque(row for row in rows if row not in found)
    left_over: list[Decision] = []
    for one in sorted(waiting, key=lambda one: one.verdict == "remove"):
        if rest:
            found[rest.pop() if one.verdict == "remove" else rest.popleft()] = one
        elif one.verdict == "remove" or not any(other.label == one.label for other in found.values()):
            left_over.append(one)
    labelled = next((one for one in group if one.label is not None), None)
    if labelled is not None:
        found |= dict.fromkeys(rest, labelled)
    return found, left_over
