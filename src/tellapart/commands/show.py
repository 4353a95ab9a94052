"""What a source holds: photos per class, their shapes, what cannot be used and why; pictures of it in a folder.

Every photo is really decoded, for a header says little about whether the rest of the file is there.
"""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from tellapart.errors import ImageError
from tellapart.file_set import write_files
from tellapart.images.gate import decode_image, read_info
from tellapart.images.preprocess import PreprocessSpec, resize_image
from tellapart.photos.loading import map_photos
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.sources import Photos, open_any_photos, source_paths
from tellapart.records import ImageInfo, Skipped
from tellapart.runs.outputs import check_dir, check_outside, claim_dir
from tellapart.settings import SourceSettings, source_config
from tellapart.store import sha256_hex, to_csv_bytes, to_json_bytes

GRID_NAME, CLASSES_NAME, SKIPPED_NAME, MARKER_NAME = "grid.png", "classes.png", "skipped.csv", "show.json"

_SMALL_SIDE = 64
_NUM_GRID_PHOTOS = 20
_GRID_SIDE = 480
_GRID_SMALLEST_SIDE = 120


@dataclass(frozen=True)
class Show:
    """What was found in a source.

    Attributes:
        photos: the photos that decode, in the order of the source.
        counts: photos per class among them; empty for a source without labels.
        infos: format and size of each, in the order of `photos`.
        skipped: files that are not used, those that do not decode included.
    """

    photos: PhotoSet
    counts: dict[str, int]
    infos: tuple[ImageInfo, ...]
    skipped: tuple[Skipped, ...]


@dataclass(frozen=True)
class ShapeSummary:
    """Which sizes occur; every shape is `(height, width)` in pixels.

    Attributes:
        smallest, largest: by number of pixels.
        median: the median height and the median width, each on its own.
        commonest: at most 5 shapes with their counts, the commonest first.
        num_shapes: how many different shapes there are.
        formats: number of photos per file format, the commonest first.
    """

    smallest: tuple[int, int]
    largest: tuple[int, int]
    median: tuple[int, int]
    commonest: tuple[tuple[tuple[int, int], int], ...]
    num_shapes: int
    formats: dict[str, int]


def show(photos: Photos, out: str | Path | None = None, **source: Unpack[SourceSettings]) -> Show:
    """What a source of photos holds, every photo checked by decoding it; with `out` also written there as files.

    The folder gets `grid.png`, `classes.png`, `skipped.csv` and `show.json`, all or none.

    Args:
        photos: anything `open_photos` takes, labelled or not.
        out: a folder that is new, empty, or written by an earlier call; `None` writes nothing.
        source: how labels are found: the fields of `SourceConfig`; `per_class` plays no part.

    Raises:
        DatasetError: the source cannot be read, or labels that were asked for are not there.
        OutputError: `out` holds something else, lies inside the source, or cannot be written.
    """
    config = source_config(source)
    if out is not None:
        for named in source_paths(photos):
            check_outside(Path(out), named)
        check_dir(Path(out), MARKER_NAME)
    shown = _check_photos(open_any_photos(photos, config))
    if out is not None:
        claim_dir(Path(out), MARKER_NAME)
        write_files(Path(out), _make_files(shown), last=MARKER_NAME)
    return shown


def summarise_shapes(infos: Sequence[ImageInfo]) -> ShapeSummary | None:
    """The sizes and formats in a few numbers; `None` without photos."""
    if not infos:
        return None
    shapes = Counter((info.height, info.width) for info in infos)
    by_area = sorted(shapes, key=lambda shape: (shape[0] * shape[1], shape))
    commonest = sorted(shapes.items(), key=lambda item: (-item[1], item[0]))
    formats = sorted(Counter(info.format for info in infos).items(), key=lambda item: (-item[1], item[0]))
    median = (
        round(statistics.median(info.height for info in infos)),
        round(statistics.median(info.width for info in infos)),
    )
    return ShapeSummary(by_area[0], by_area[-1], median, tuple(commonest[:5]), len(shapes), dict(formats))


def _check_photos(photos: PhotoSet) -> Show:
    def check(data: bytes) -> ImageInfo:
        info = read_info(data, photos.limits)
        decode_image(data, photos.limits, at_least=(_SMALL_SIDE, _SMALL_SIDE))
        return info

    infos: list[ImageInfo] = []
    rows: list[int] = []
    broken: list[Skipped] = []
    for row, item in enumerate(map_photos(photos, check)):
        if isinstance(item, Skipped):
            broken.append(item)
        else:
            rows.append(row)
            infos.append(item)
    usable = photos.take(rows)
    return Show(usable, usable.counts(), tuple(infos), (*photos.skipped, *broken))


def _make_files(show: Show) -> dict[str, bytes]:
    """The content of every file by name, `show.json` with the checksums of the others last."""
    # Drawing costs a second of imports, which printing alone does not need.
    from tellapart.report.classes import draw_class_counts
    from tellapart.report.figures import figure_png
    from tellapart.report.grid import draw_grid

    skipped = replace(show.photos, skipped=show.skipped).portable().skipped
    rows = _grid_rows(show)
    images = [_grid_image(show, row, max(_long_side(show, each) for each in rows)) for row in rows]
    files = {
        GRID_NAME: figure_png(draw_grid(images, [_grid_title(show.photos, row) for row in rows])),
        CLASSES_NAME: figure_png(draw_class_counts(show.counts)),
        SKIPPED_NAME: to_csv_bytes([("path", "reason"), *((item.path, item.reason) for item in skipped)]),
    }
    return {**files, MARKER_NAME: _marker_json(show, files)}


def _grid_rows(show: Show) -> list[int]:
    """The first photos of each class in turn: one of each, then the second of each, and so on."""
    if show.photos.labels is None:
        return list(range(min(len(show.photos), _NUM_GRID_PHOTOS)))
    labels = show.photos.labels
    of_class = [np.flatnonzero(labels == label)[:_NUM_GRID_PHOTOS] for label in range(len(show.photos.class_names))]
    turns = ((int(rows[turn]) for rows in of_class if turn < len(rows)) for turn in range(_NUM_GRID_PHOTOS))
    return [row for turn in turns for row in turn][:_NUM_GRID_PHOTOS]


def _grid_image(show: Show, row: int, longest: int) -> NDArray[np.uint8]:
    """The photo reduced as all in the grid are, so that their sizes still compare, but not beyond recognition.

    A photo that has gone meanwhile is grey.
    """
    info, own = show.infos[row], _long_side(show, row)
    share = min(1.0, max(_GRID_SIDE / longest, _GRID_SMALLEST_SIDE / own))
    size = (max(1, round(info.height * share)), max(1, round(info.width * share)))
    try:
        image = decode_image(show.photos.read(row), show.photos.limits, at_least=size)
    except ImageError:
        return np.full((*size, 3), 200, np.uint8)
    return resize_image(image, PreprocessSpec(size))


def _long_side(show: Show, row: int) -> int:
    return max(show.infos[row].height, show.infos[row].width)


def _grid_title(photos: PhotoSet, row: int) -> str:
    if photos.labels is None:
        return Path(photos.paths[row]).name
    return photos.class_names[int(photos.labels[row])]


def _marker_json(show: Show, files: dict[str, bytes]) -> bytes:
    return to_json_bytes(
        {
            "schema": 1,
            "source": show.photos.portable().source,
            "num_photos": len(show.photos),
            "num_skipped": len(show.skipped),
            "class_counts": show.counts,
            "sha256": {name: sha256_hex(data) for name, data in files.items()},
        }
    )
