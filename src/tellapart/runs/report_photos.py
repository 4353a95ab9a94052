"""The photos of a report: small ones from the store, larger copies and details from the files, and the maps."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.seen_photos import SeenPhotos
from tellapart.checkup.check_up import Checkup
from tellapart.errors import ImageError
from tellapart.images.gate import decode_for_each
from tellapart.images.preprocess import THUMBNAIL_LONGEST_SIDE, resize_image, shrink_image
from tellapart.measure.measurement import Measurement
from tellapart.photos.loading import map_batches, map_photos, num_cores
from tellapart.predict.model import Model
from tellapart.records import Skipped
from tellapart.report.pictures import LARGE_SIDE, LEAST_DETAIL_GAIN, ReportPhoto, cut_detail, judge_map

_Image = NDArray[np.uint8]
_Map = NDArray[np.float32]

# Shown in place of a photo that could be read when it was looked at, and no longer.
GONE = np.full((48, 64, 3), 200, np.uint8)
# What a photo that a click enlarges is decoded at, at least: `(height, width)`, a quarter of one of 12 megapixels.
_ENLARGED = (672, 672)
# Photos decoded at their full size for a detail, at most: a tenth of a second each.
_MOST_DETAILS = 36


def gather_photos(
    checkup: Checkup,
    rows: Iterable[int],
    enlarged: Sequence[int],
    measurement: Measurement | None,
    predictor: Model | None,
) -> tuple[dict[int, ReportPhoto], dict[int, _Map]]:
    """The photos of `rows`, by row, and the maps of where the model looked for its answer to those of `enlarged`.

    Args:
        checkup: of the photos; rows behind them are left out.
        rows: photos that the page shows.
        enlarged: those of them that a click shows large, those whose details count most first.
        measurement: the answers of the model; `None` without one.
        predictor: the model; `None` without one.
    """
    seen = checkup.seen
    large, images = _read_again(seen, enlarged, predictor)
    maps: dict[int, _Map] = {}
    if measurement is not None and predictor is not None and images:
        maps = _map_answers(predictor, images, measurement)
    details = _cut_details(seen, maps, enlarged)
    photos = checkup.photos
    there = [row for row in dict.fromkeys(rows) if row < len(photos)]
    small = seen.thumbnails(there)
    labels, names = photos.labels, photos.class_names
    shown = {
        row: ReportPhoto(
            photos.paths[row],
            seen.digests[row],
            None if labels is None else names[labels[row]],
            small.get(row, GONE),
            large.get(row),
            details.get(row),
        )
        for row in there
    }
    return shown, maps


def _read_again(
    seen: SeenPhotos, rows: Iterable[int], predictor: Model | None
) -> tuple[dict[int, _Image], dict[int, _Image]]:
    """Of the rows whose photo can be read: a larger copy where there is more to see, and the image for the model.

    Each photo is read once for both. Without a model that says where it looked there are no images.
    """
    photos = seen.photos
    there = [row for row in dict.fromkeys(rows) if row < len(photos)]
    spec = predictor.preprocess if predictor is not None and predictor.has_activation_maps else None
    sizes = [_ENLARGED, *([spec.image_size] if spec else [])]

    def read(data: bytes) -> tuple[_Image, _Image | None]:
        decoded = [one.image for one in decode_for_each(data, photos.limits, sizes)]
        return shrink_image(decoded[0], LARGE_SIDE), None if spec is None else resize_image(decoded[-1], spec)

    found = zip(there, map_photos(photos.take(there), read), strict=True)
    pairs = {row: pair for row, pair in found if not isinstance(pair, Skipped)}
    large = {row: copy for row, (copy, _) in pairs.items() if max(copy.shape[:2]) > THUMBNAIL_LONGEST_SIDE}
    return large, {row: image for row, (_, image) in pairs.items() if image is not None}


def _map_answers(predictor: Model, images: Mapping[int, _Image], measurement: Measurement) -> dict[int, _Map]:
    """Where the model looked for the class that it answered, of each image of an answer."""
    predicted = dict(zip(measurement.rows.tolist(), measurement.predicted.tolist(), strict=True))
    rows = [row for row in images if row in predicted]
    maps = predictor.activation_maps(np.stack([images[row] for row in rows])) if rows else ()
    return {row: one[predicted[row]] for row, one in zip(rows, maps, strict=True)}


def _cut_details(seen: SeenPhotos, maps: Mapping[int, _Map], rows: Iterable[int]) -> dict[int, _Image]:
    """Of photos far larger than their copies, the part at full resolution where the model looked."""
    longest = {row: max(seen.facts[row].height, seen.facts[row].width) for row in maps}
    wanted = [
        row
        for row in dict.fromkeys(rows)
        if row in maps and longest[row] >= LEAST_DETAIL_GAIN * LARGE_SIDE and judge_map(maps[row]) == "clear"
    ][:_MOST_DETAILS]

    def cut(places: Iterator[int]) -> list[_Image | None]:
        return [_cut_one(seen, wanted[place], maps[wanted[place]]) for place in places]

    found = zip(wanted, map_batches(len(wanted), 1, cut, num_cores()), strict=True)
    return {row: detail for row, detail in found if detail is not None}


def _cut_one(seen: SeenPhotos, row: int, activation: _Map) -> _Image | None:
    try:
        (decoded,) = decode_for_each(seen.photos.read(row), seen.photos.limits, [None])
        return cut_detail(decoded.image, activation)
    except ImageError:  # gone, or too large to be decoded in full
        return None
