"""A grid of photos, each as large as it is beside the others, with its title over it."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tellapart.images.preprocess import shrink_image
from tellapart.report.figures import FAINT_INK, INK, drawable, drawn_language, new_figure
from tellapart.translation import gettext as _

_CELL_INCHES = 2.2
_TITLE_INCHES = 0.3
_MARGIN_INCHES = 0.16
_GAP_INCHES = 0.1
_THINNEST_INCHES = 0.06
_SHOWN_SIDE = 480
_SMALLEST_SHARE = 0.35


@drawn_language()
def draw_grid(images: Sequence[NDArray[np.uint8]], titles: Sequence[str], columns: int = 5) -> Figure:
    """The photos in reading order, each at its own aspect ratio and relative size, under its title.

    A large photo fills its cell; the others are smaller in proportion, but never below about a third of a cell, so that
    a thumbnail beside a 12-megapixel photo can still be made out.

    Args:
        images: uint8, each `(height, width, 3)` RGB or `(height, width)` or `(height, width, 1)` grey; not modified.
        titles: as many as images.
        columns: photos in a row, at least 1; fewer where there are fewer photos. No photos give a note that says so.
    """
    assert len(images) == len(titles), f"{len(images)} images, {len(titles)} titles"
    num_columns = max(1, min(columns, len(images)))
    sizes = _sizes_inches([image.shape[:2] for image in images])
    starts = range(0, len(images), num_columns)
    row_heights = [max(height for height, width in sizes[start : start + num_columns]) for start in starts]
    width = _MARGIN_INCHES + num_columns * (_CELL_INCHES + _MARGIN_INCHES)
    height = (
        2 * _MARGIN_INCHES + sum(row_heights) + len(row_heights) * _TITLE_INCHES + max(0, len(starts) - 1) * _GAP_INCHES
    )
    figure = new_figure(width, max(height, 1.0))
    figure.set_layout_engine("none")
    if not images:
        figure.text(0.5, 0.5, _("no photos to show"), ha="center", va="center", color=FAINT_INK, fontsize=12)
    top = height - _MARGIN_INCHES
    for start, row_height in zip(starts, row_heights, strict=True):
        bottom = top - _TITLE_INCHES - row_height
        for column, index in enumerate(range(start, min(start + num_columns, len(images)))):
            left = _MARGIN_INCHES + column * (_CELL_INCHES + _MARGIN_INCHES)
            middle = (left + _CELL_INCHES / 2, bottom + row_height / 2)
            _place_photo(figure, images[index], titles[index], middle, sizes[index])
        top = bottom - _GAP_INCHES
    return figure


def _place_photo(
    figure: Figure, image: NDArray[np.uint8], title: str, middle: tuple[float, float], size: tuple[float, float]
) -> None:
    """One photo with its title over it; `middle` is `(x, y)` and `size` `(height, width)`, inches from below left."""
    page_width, page_height = figure.get_size_inches()
    height, width = size
    left, bottom = middle[0] - width / 2, middle[1] - height / 2
    axes = figure.add_axes((left / page_width, bottom / page_height, width / page_width, height / page_height))
    axes.imshow(_reduce(image), cmap="gray", vmin=0, vmax=255, interpolation="antialiased", aspect="auto")
    axes.set_axis_off()
    place = (middle[0] / page_width, (bottom + height + 0.07) / page_height)
    figure.text(*place, drawable(title, longest=24), ha="center", va="bottom", color=INK, fontsize=11)


def _sizes_inches(shapes: Sequence[tuple[int, ...]]) -> list[tuple[float, float]]:
    """`(height, width)` on paper for each photo; one long strip does not make all others small."""
    if not shapes:
        return []
    long_sides = [max(shape) for shape in shapes]
    full = min(max(long_sides), 1.5 * float(np.median(long_sides)))
    scales = [_CELL_INCHES * min(1.0, max(_SMALLEST_SHARE, side / full)) / side for side in long_sides]
    return [
        (max(height * scale, _THINNEST_INCHES), max(width * scale, _THINNEST_INCHES))
        for (height, width), scale in zip(shapes, scales, strict=True)
    ]


def _reduce(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return shrink_image(image[:, :, 0] if image.ndim == 3 and image.shape[2] == 1 else image, _SHOWN_SIDE)
