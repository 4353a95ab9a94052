"""Which pages of a TIFF are its picture: the only one, or one for each colour.

Scanners store pages, microscopes slices and channels. Smaller copies of the first page are no pages.
"""

import re
from dataclasses import replace

from tellapart.errors import ImageError
from tellapart.images.tiff_directory import NOT_REDUCED, Tiff, TiffPage, read_page

_MOST_COUNTED = 1_000
_NUM_COLOURS = (2, 3)
_CUT = "is cut off: the TIFF data ends before the picture does"
_IMAGEJ_COUNT = re.compile(rb"^(images|channels|slices|frames)=(\d{1,9})\s*$", re.MULTILINE)
_OME_COUNT = re.compile(rb"\bSize([CZT])\s*=\s*[\"'](\d{1,9})[\"']")
_OME_PIXELS = re.compile(rb"<(?:\w+:)?Pixels\b[^>]*>")


def find_picture(data: bytes) -> tuple[TiffPage, ...]:
    """The page that is the picture; two or three pages of one channel each where red, green and blue have their own.

    Raises:
        ImageError: there are several pages, and nothing says which of them is the photo; or the file ends within its
            directory.
    """
    tiff = Tiff(data)
    start = tiff.first_directory
    entries = tiff.entries(start)
    if entries is None:
        raise ImageError(_CUT)
    first = read_page(tiff, entries)
    pages, num_pages = [first], 1
    seen = {start}
    while (start := tiff.next_directory(start)) not in seen and num_pages <= _MOST_COUNTED:
        seen.add(start)
        if (entries := tiff.entries(start)) is None:
            break
        page = read_page(tiff, entries)
        if page.subfile == NOT_REDUCED and (page.height >= first.height or page.width >= first.width):
            num_pages += 1
            if len(pages) <= max(_NUM_COLOURS):
                pages.append(page)
    pages, num_pages = _stack_pages(pages, num_pages)
    if num_pages == 1:
        return (first,)
    if num_pages in _NUM_COLOURS and _num_channels(first) == num_pages and _are_channels(pages):
        return tuple(pages)
    number = f"{num_pages:,}" if num_pages <= _MOST_COUNTED else f"more than {_MOST_COUNTED:,}"
    raise ImageError(
        f"has {number} pages, and which of them is the photo is not known. Save the page you mean as a file of its own"
    )


def _imagej_counts(page: TiffPage) -> dict[bytes, int]:
    """What ImageJ says of how many there are; empty where another program wrote the file."""
    if not page.description.startswith(b"ImageJ="):
        return {}
    return {name: int(number) for name, number in _IMAGEJ_COUNT.findall(page.description)}


def _stack_pages(pages: list[TiffPage], num_pages: int) -> tuple[list[TiffPage], int]:
    """The pages of a stack for which ImageJ wrote one directory, one behind the other."""
    counts = _imagej_counts(pages[0])
    num_images = counts.get(b"images", 1)
    first = pages[0]
    if num_pages > 1 or num_images < 2 or first.compression != 1 or len(first.offsets) != 1:
        return pages, num_pages
    size = -(-first.width * first.num_samples * first.bits // 8) * first.height
    stack = [
        replace(first, offsets=(first.offsets[0] + number * size,), sizes=(size,))
        for number in range(min(num_images, max(_NUM_COLOURS) + 1))
    ]
    return stack, num_images


def _num_channels(page: TiffPage) -> int:
    """How many channels ImageJ or OME says that there are, where nothing else lies along the pages; 0: nobody says."""
    counts = _imagej_counts(page)
    if counts:
        is_flat = counts.get(b"slices", 1) == counts.get(b"frames", 1) == 1
        return counts.get(b"channels", 1) if is_flat else 0
    if (pixels := _OME_PIXELS.search(page.description)) is None:
        return 0
    sizes = {name: int(number) for name, number in _OME_COUNT.findall(pixels[0])}
    return sizes.get(b"C", 0) if sizes.get(b"Z", 1) == sizes.get(b"T", 1) == 1 else 0


def _are_channels(pages: list[TiffPage]) -> bool:
    """Whether the pages are one channel each, alike in all that matters."""
    first = pages[0]
    return first.num_samples == 1 and all(
        (page.height, page.width, page.bits, page.sample_format, page.num_samples, page.photometric)
        == (first.height, first.width, first.bits, first.sample_format, 1, first.photometric)
        for page in pages
    )
