"""Which photos of a collection show the same moment: copies, near-duplicates and bursts, as groups.

Candidates come from the nearest neighbours of thumbnails, as they are and turned upright by their own light;
`likeness.py` has the last word on each. What is done with a group is the caller's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tellapart.checkup.cells import Cells, find_directions, sample_rows, to_unit_length
from tellapart.checkup.likeness import Likeness, compare_pairs
from tellapart.checkup.neighbours import Pairs, find_pairs
from tellapart.checkup.thumbnails import COARSE_SIDE, NUM_TURNS, Thumbnails, turn_each
from tellapart.images.facts import PhotoFacts
from tellapart.images.facts_table import FactsTable
from tellapart.records import PhotoGroup

_ROWS = NDArray[np.int64]

# Of each photo so many neighbours are looked at that come behind it, in each of the searches.
_MOST_EACH = 4
_COARSE_DIRECTIONS = 80
# Photos whose vectors are made at once.
_PHOTOS_AT_ONCE = 4096
# Least products of unit vectors in each search.
_LIES_ALIKE, _CROPPED_ALIKE, _TURNED_ALIKE = 0.65, 0.65, 0.72
# A crop is looked for by the middle of photos too: it shows much the same part, wherever it was taken.
_MIDDLE_SHARE = 0.9
# A photo counts as turned either way where its light leans by less than this, as a correlation with a slope.
_LEAN_TIE = 0.03
# Levels of luma or chroma within which photos of one shade are the same.
_FLAT_STEP = 3.0
# Groups of more photos are held together by a photo that all of them were compared with.
_MOST_CHAINED = 30
# Where so many photos that are not one agree this much all the same, there is a template.
_TEMPLATE_LEAST, _TEMPLATE_PHOTOS = 0.75, 3
_MAX_ROUNDS = 8
# Pictures of a burst are alike: correlation of coarse thumbnails.
_BURST_ALIKE = 0.5
# A picture of a series is compared with so many that follow it.
_BURST_STEPS = 3
_NO_PAIRS = np.zeros((2, 0), np.int64)


@dataclass(frozen=True, eq=False)
class _Photos:
    """What photos are compared by.

    Attributes:
        rows: those that are compared, one a content.
        thumbnails: of each photo.
        camera: equal numbers for equal cameras, int64 `(n,)`.
        captured_at: seconds, float64 `(n,)`; NaN where camera or time is not known.
    """

    rows: _ROWS
    thumbnails: Thumbnails
    camera: _ROWS
    captured_at: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.thumbnails)

    def are_in_series(self, links: _ROWS, seconds: float) -> NDArray[np.bool_]:
        """Whether each pair is of one camera, and of two moments at most `seconds` apart."""
        pause = np.abs(self.captured_at[links[0]] - self.captured_at[links[1]])
        # An edited copy may have lost the fraction of the second.
        is_short = (pause >= 1) & (pause <= seconds)
        return np.asarray(is_short & (self.camera[links[0]] == self.camera[links[1]]), np.bool_)


def find_groups(
    digests: Sequence[str], facts: Sequence[PhotoFacts], *, burst_seconds: float = 5.0
) -> tuple[PhotoGroup, ...]:
    """The groups of a collection: copies first, then near-duplicates, then bursts, each by its first row.

    A photo may be in a group of each kind; all copies of a photo are in the groups that it is in.

    Args:
        digests: content of each photo; equal ones are byte-identical.
        facts: of each photo.
        burst_seconds: longest pause between two pictures of a burst.
    """
    if not digests:
        return ()
    _, kept, content = np.unique(np.asarray(digests, np.bytes_), return_index=True, return_inverse=True)
    table = FactsTable.of(facts)
    moments = np.where(table.has_moment(), table.column("captured_at"), np.nan)
    photos = _Photos(np.sort(kept), Thumbnails.of(table), table.cameras, moments)
    near_links, series_links = _find_near(photos, burst_seconds)
    series_links = np.concatenate([series_links, _find_bursts(photos, burst_seconds)], axis=1)
    near, burst = (_connect(links, len(digests))[kept][content] for links in (near_links, series_links))
    return (
        *_list_groups("copies", content),
        *_list_groups("near", near, content),
        *_list_groups("burst", burst, near),
    )


def find_known(known: Thumbnails, asked: Thumbnails) -> NDArray[np.bool_]:
    """Which of the photos asked about are near copies of a known one: bool `(len(asked.luma),)`.

    Both are compared as photos of one collection are, so that a template they share is told from one photo.

    Args:
        known, asked: thumbnails of the same making, at least one each.
    """
    num_known, num_asked = len(known.luma), len(asked.luma)
    num_all = num_known + num_asked
    thumbnails = Thumbnails.made_of(
        np.concatenate([known.luma, asked.luma]), np.concatenate([known.chroma, asked.chroma])
    )
    photos = _Photos(np.arange(num_all), thumbnails, np.zeros(num_all, np.int64), np.full(num_all, np.nan))
    numbers = _connect(_find_near(photos, 0.0)[0], num_all)
    return np.isin(numbers[num_known:], numbers[:num_known])


def pauses_between(facts: FactsTable) -> NDArray[np.float64]:
    """Seconds between photos that follow one another on one camera, in any order; those that tell no time are left out.

    Within a second photos may be edited copies of one, so shorter pauses are left out too.
    """
    is_told = facts.has_moment()
    cameras, moments = facts.cameras[is_told], facts.column("captured_at")[is_told]
    order = np.lexsort((moments, cameras))
    pauses = np.diff(moments[order])[np.diff(cameras[order]) == 0]
    return np.asarray(pauses[pauses >= 1], np.float64)


def group_numbers(groups: Sequence[PhotoGroup], num_photos: int) -> NDArray[np.int64]:
    """Equal numbers for photos that any groups tie together, however many lie between: int64 `(num_photos,)`."""
    first = [group.rows[0] for group in groups for _ in group.rows]
    second = [row for group in groups for row in group.rows]
    return _connect(np.array([first, second], np.int64), num_photos)


def _connect(links: _ROWS, num_rows: int) -> _ROWS:
    """Equal numbers for rows that pairs, int64 `(2, pairs)`, tie together: int64 `(num_rows,)`."""
    graph = coo_array((np.ones(links.shape[1], np.bool_), tuple(links)), shape=(num_rows, num_rows))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _list_groups(
    kind: Literal["copies", "near", "burst"], numbers: _ROWS, known: _ROWS | None = None
) -> list[PhotoGroup]:
    """The groups of rows with equal numbers, by their first row, without those whose rows are all equal in `known`."""
    order = np.argsort(numbers, kind="stable")
    order = order[(np.bincount(numbers) > 1)[numbers[order]]]
    groups = []
    for rows in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1):
        if len(rows) and (known is None or (known[rows] != known[rows[0]]).any()):
            groups.append(PhotoGroup(kind, tuple(int(row) for row in rows)))
    return sorted(groups, key=lambda group: group.rows)


def _find_near(photos: _Photos, burst_seconds: float) -> tuple[_ROWS, _ROWS]:
    """Pairs of near-duplicates, and of pictures of one series as alike as these, int64 `(2, pairs)` each.

    Where a photo has more near-duplicates than are listed, the groups are compared once more by one photo of each: else
    a thousand versions of one photo would be many groups.
    """
    thumbnails = photos.thumbnails
    near, series = [_pair_flat(photos)], [_NO_PAIRS]
    rows = photos.rows[~thumbnails.is_flat[photos.rows]]
    for _ in range(_MAX_ROUNDS):
        if len(rows) < 2:
            break
        pairs = _find_candidates(photos, rows)
        links = rows[np.stack([pairs.first, pairs.second])]
        likeness = compare_pairs(thumbnails, links[0], links[1])
        is_one = _are_one_among_others(links, likeness, len(photos))
        is_series = photos.are_in_series(links, burst_seconds)
        is_near = is_one & ~is_series
        centres = _find_centres(links[:, is_near], likeness.is_sure[is_near], len(photos))
        near.append(np.stack([np.arange(len(photos)), centres]))
        series.append(links[:, is_one & is_series])
        num_found = np.bincount(links[0, is_one], minlength=len(photos))
        is_full = pairs.is_cut & (num_found[rows] >= _MOST_EACH // 2)
        rows = np.unique(centres[rows[is_full]])
    return np.concatenate(near, axis=1), np.concatenate(series, axis=1)


def _find_candidates(photos: _Photos, rows: _ROWS) -> Pairs:
    """Pairs of `rows`, as places in it, that may show one photo, from all searches; like photos follow one another."""
    cells, lying = _find_lying(photos.thumbnails, rows)
    searches = [(pairs, np.arange(len(rows))) for pairs in lying]
    searches.append(_find_turned(photos.thumbnails, rows))
    keys = []
    is_cut = np.zeros(len(rows), np.bool_)
    for pairs, owners in searches:
        first, second = owners[pairs.first], owners[pairs.second]
        keys.append(np.minimum(first, second) * len(rows) + np.maximum(first, second))
        is_cut[owners[pairs.is_cut]] = True
    first, second = np.divmod(np.unique(np.concatenate(keys)), max(1, len(rows)))
    first, second = first[first < second], second[first < second]
    # What a photo looks like in parts is then computed once for many of its pairs.
    order = np.argsort(cells.places[first], kind="stable")
    return Pairs(first[order], second[order], is_cut)


def _find_lying(thumbnails: Thumbnails, rows: _ROWS) -> tuple[Cells, tuple[Pairs, Pairs]]:
    """Pairs of photos that are alike as they lie, and of those whose middle is like another one as a whole.

    Before them stand the cells in which `rows` were looked for.
    """

    def view(places: _ROWS) -> NDArray[np.float32]:
        """Whole photos, then their middles."""
        is_whole = places < len(rows)
        middles = thumbnails.coarse(rows[places[~is_whole] - len(rows)], _MIDDLE_SHARE)
        return np.concatenate([thumbnails.coarse(rows[places[is_whole]]), middles])

    directions = find_directions(view(sample_rows(2 * len(rows))), _COARSE_DIRECTIONS)
    cells = Cells.of(_project(view, np.arange(len(rows)), directions))
    lying = find_pairs(cells, _LIES_ALIKE, _MOST_EACH)
    middles = _project(view, np.arange(len(rows), 2 * len(rows)), directions)
    return cells, (lying, find_pairs(cells, _CROPPED_ALIKE, _MOST_EACH, middles))


def _find_turned(thumbnails: Thumbnails, rows: _ROWS) -> tuple[Pairs, _ROWS]:
    """Pairs of photos that are alike when their light falls from one side, and of which of `rows` each of them is."""
    owners, turns = _turn_upright(thumbnails, rows)

    def view(places: _ROWS) -> NDArray[np.float32]:
        squares = thumbnails.coarse(rows[owners[places]]).reshape(-1, COARSE_SIDE, COARSE_SIDE)
        return turn_each(squares, turns[places]).reshape(-1, COARSE_SIDE**2)

    directions = find_directions(view(sample_rows(len(owners))), _COARSE_DIRECTIONS)
    cells = Cells.of(_project(view, np.arange(len(owners)), directions))
    return find_pairs(cells, _TURNED_ALIKE, _MOST_EACH), owners


def _project(
    view: Callable[[_ROWS], NDArray[np.float32]], places: _ROWS, directions: NDArray[np.float32]
) -> NDArray[np.float32]:
    """What `view` gives for places, in a few directions, as unit vectors: float32 `(len(places), k)`."""
    projected = np.empty((len(places), directions.shape[1]), np.float32)
    for start in range(0, len(places), _PHOTOS_AT_ONCE):
        part = slice(start, start + _PHOTOS_AT_ONCE)
        projected[part] = to_unit_length(view(places[part]) @ directions)
    return projected


def _turn_upright(thumbnails: Thumbnails, rows: _ROWS) -> tuple[_ROWS, _ROWS]:
    """How photos are turned so that their light leans down and to the right, more so down: which of `rows`, and how.

    So a photo and its mirror image become one. Where the light hardly leans, there is a turn for either way.
    """
    slope = np.linspace(-1, 1, COARSE_SIDE, dtype=np.float32)
    slope /= np.linalg.norm(slope) * np.sqrt(COARSE_SIDE)
    both = np.stack([np.tile(slope, COARSE_SIDE), np.repeat(slope, COARSE_SIDE)], axis=1)
    starts = range(0, len(rows), _PHOTOS_AT_ONCE)
    parts = [thumbnails.coarse(rows[start : start + _PHOTOS_AT_ONCE]) @ both for start in starts]
    lean = np.concatenate([np.zeros((0, 2), np.float32), *parts])
    owners, turns = [], []
    for number in range(NUM_TURNS):
        across, down = lean.T[::-1] if number & 4 else lean.T
        across, down = across * (-1 if number & 1 else 1), down * (-1 if number & 2 else 1)
        owners.append(np.flatnonzero((across >= -_LEAN_TIE) & (down >= across - _LEAN_TIE)))
        turns.append(np.full(len(owners[-1]), number))
    return np.concatenate(owners), np.concatenate(turns)


def _are_one_among_others(links: _ROWS, likeness: Likeness, num_rows: int) -> NDArray[np.bool_]:
    """Which pairs are one photo, given how much each photo has in common with photos that are not the same.

    Where several others nearly agree there is a template, such as a form or a part in its mount, and what is left to
    tell photos apart is little: then only what is beyond doubt counts.
    """
    is_weak = ~likeness.is_one & (likeness.agreement >= _TEMPLATE_LEAST)
    num_weak = np.bincount(links[:, is_weak].reshape(-1), minlength=num_rows)
    has_template = (num_weak[links] >= _TEMPLATE_PHOTOS).any(axis=0)
    return likeness.is_one & (~has_template | likeness.is_sure)


def _find_centres(links: _ROWS, is_sure: NDArray[np.bool_], num_rows: int) -> _ROWS:
    """Of each row the one that stands for its group, int64 `(num_rows,)`; for a row without links, itself.

    A group of many is taken apart into photos that are linked to one photo each, and beyond doubt: in a long chain of
    likenesses the ends have nothing to do with each other.
    """
    is_many = _are_many(links, num_rows)
    links = links[:, ~is_many[links[0]] | is_sure]
    is_many = _are_many(links, num_rows)
    numbers = _connect(links, num_rows)
    centres = np.unique(numbers, return_index=True)[1][numbers]
    if not is_many.any():
        return centres
    both = np.concatenate([links, links[::-1]], axis=1)
    both = both[:, np.argsort(both[0], kind="stable")]
    starts = np.searchsorted(both[0], np.arange(num_rows + 1))
    is_free = is_many.copy()
    many = np.flatnonzero(is_many)
    for row in many[np.argsort(-np.diff(starts)[many], kind="stable")]:
        if is_free[row]:
            linked = both[1, starts[row] : starts[row + 1]]
            members = np.append(linked[is_free[linked]], row)
            centres[members] = row
            is_free[members] = False
    return centres


def _are_many(links: _ROWS, num_rows: int) -> NDArray[np.bool_]:
    """Rows in a group of more than is held together by chains, bool `(num_rows,)`."""
    numbers = _connect(links, num_rows)
    return np.asarray(np.bincount(numbers)[numbers] > _MOST_CHAINED, np.bool_)


def _pair_flat(photos: _Photos) -> _ROWS:
    """Pairs of photos of one shade and of the same colour, int64 `(2, pairs)`."""
    rows = photos.rows[photos.thumbnails.is_flat[photos.rows]]
    colours = photos.thumbnails.mean_colours(rows)
    pairs = [_NO_PAIRS]
    while len(rows):
        same = np.abs(colours - colours[0]).max(axis=1) <= _FLAT_STEP
        pairs.append(np.stack([np.full(same.sum(), rows[0]), rows[same]]))
        rows, colours = rows[~same], colours[~same]
    return np.concatenate(pairs, axis=1)


def _find_bursts(photos: _Photos, burst_seconds: float) -> _ROWS:
    """Pairs of alike photos of one camera, taken within `burst_seconds` of each other, int64 `(2, pairs)`."""
    rows = photos.rows[np.isfinite(photos.captured_at[photos.rows])]
    rows = rows[np.lexsort((photos.captured_at[rows], photos.camera[rows]))]
    found = [_NO_PAIRS]
    for step in range(1, _BURST_STEPS + 1):
        first, second = rows[:-step], rows[step:]
        near = (photos.camera[first] == photos.camera[second]) & (
            photos.captured_at[second] - photos.captured_at[first] <= burst_seconds
        )
        first, second = first[near], second[near]
        coarse = photos.thumbnails.coarse
        is_alike = np.einsum("pd,pd->p", coarse(first), coarse(second)) >= _BURST_ALIKE
        found.append(np.stack([first[is_alike], second[is_alike]]))
    return np.concatenate(found, axis=1)
