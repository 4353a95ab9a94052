"""Which pages of a TIFF are its picture, the only one or one for each colour, and whether it may be decoded.

libtiff and Pillow believe what a directory says, so what cannot be right or would be too much work is refused here.
Scanners store pages, microscopes slices and channels. Smaller copies of the first page are no pages.
"""

import re
from dataclasses import replace

from tellapart.errors import ImageError
from tellapart.formats.limits import cut_off
from tellapart.formats.other_kinds import describe_raw
from tellapart.formats.tiff_directory import MAX_PIECES, NOT_REDUCED, Tiff, TiffEntry, TiffPage, read_page
from tellapart.translation import gettext as _

_PHOTOMETRIC = 262
_SUBFILE_TYPE, _COMPRESSION, _SUB_DIRECTORIES, _DNG_VERSION = 254, 259, 330, 50706
_WIDTH, _HEIGHT, _SAMPLES, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 277, 322, 323
_SENSOR_PHOTOMETRICS = frozenset({32803, 34892})  # colour filter array, linear raw
# What decoding cannot do without: bits, colour map, where strips and tiles are, JPEG tables, sample format.
_NEEDED = frozenset({258, 273, 279, 320, 324, 325, 339, 347})
_OFFSETS_AND_SIZES = ((273, 279), (324, 325))  # of strips, of tiles
_NOT_READ = {
    **dict.fromkeys((33003, 33004, 33005, 34712), "JPEG 2000"),
    **dict.fromkeys((50002, 52546), "JPEG XL"),
    **dict.fromkeys((22610, 34934), "JPEG XR"),
    **dict.fromkeys((34661, 9, 10), "JBIG"),
    34887: "LERC",
    50001: "WebP",
    34892: "lossy DNG",
}
_READ = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 32771, 32773, 32946, 34925, 50000})
_UNCOMPRESSED = 1
_MAX_SUB_DIRECTORIES = 16
_MAX_SAMPLES = 5  # Pillow reads CMYK with alpha, and no more
_LOSSY = frozenset({6, 7})
_MAX_TILE_WASTE = 1 << 24
_MOST_COUNTED = 1_000
_NUM_COLOURS = (2, 3)

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
        raise ImageError(cut_off("TIFF"))
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
    if num_pages > _MOST_COUNTED:
        raise ImageError(
            _(
                "has more than {most:,} pages, and which of them is the photo is not known. Save "
                "the right page as a separate file"
            ).format(most=_MOST_COUNTED)
        )
    raise ImageError(
        _(
            "has {num_pages:,} pages, and which of them is the photo is not known. Save the right page "
            "as a separate file"
        ).format(num_pages=num_pages)
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


def is_raw_tiff(head: bytes) -> bool | None:
    """Whether the first directory of a TIFF is that of a camera raw file; `None` where it lies behind `head`.

    Raw files hold a thumbnail there, and the sensor's data in it or in directories below it.

    Raises:
        ImageError: its directory has more entries than any program writes.
    """
    tiff = Tiff(head)
    entries = tiff.entries(tiff.first_directory)
    return None if entries is None else _is_raw(tiff, entries)


def check_tiff(data: bytes) -> None:
    """Nothing, if the first picture of a TIFF is a photo that is there as a whole and that may be decoded.

    Raises:
        ImageError: it is the thumbnail of a camera raw file, of a kind that is not read, or too much work; or the file
            ends before its directory or its picture does.
    """
    tiff = Tiff(data)
    entries = tiff.entries(tiff.first_directory)
    if entries is None:
        raise ImageError(cut_off("TIFF"))
    if _is_raw(tiff, entries):
        raise ImageError(_("is {kind}").format(kind=describe_raw().reason))
    compression = tiff.value(entries.get(_COMPRESSION), _UNCOMPRESSED)
    if compression not in _READ:
        name = _NOT_READ.get(compression, _("number {number}").format(number=compression))
        raise ImageError(
            _("is a TIFF with a compression that is not read ({name}). Save the photo again as JPEG or PNG").format(
                name=name
            )
        )
    num_samples = tiff.value(entries.get(_SAMPLES), 1)
    if num_samples > _MAX_SAMPLES and compression in _LOSSY:
        raise ImageError(
            _(
                "is a TIFF of {num_samples} channels, and at most {most} are read. Save the photo again as JPEG or PNG"
            ).format(num_samples=num_samples, most=_MAX_SAMPLES)
        )
    for tag, entry in entries.items():
        if tag in _NEEDED and entry.num_bytes > 8 and entry.start + entry.num_bytes > len(data):
            raise ImageError(cut_off("TIFF"))
    # Pillow reads the values of all tags. In a sound file no two share their bytes.
    if sum(entry.num_bytes for entry in entries.values()) > len(data) + 8 * len(entries):
        raise ImageError(_("is damaged: the tags of the TIFF refer to more bytes than there are"))
    _check_pieces(tiff, entries, compression)


def _is_raw(tiff: Tiff, entries: dict[int, TiffEntry]) -> bool:
    if _DNG_VERSION in entries or tiff.value(entries.get(_SUBFILE_TYPE), 0) & 1:
        return True
    directories = [entries]
    for start in tiff.values(entries.get(_SUB_DIRECTORIES), _MAX_SUB_DIRECTORIES):
        directories.append(tiff.entries(start) or {})
    return any(tiff.value(one.get(_PHOTOMETRIC), 0) in _SENSOR_PHOTOMETRICS for one in directories)


def _check_pieces(tiff: Tiff, entries: dict[int, TiffEntry], compression: int) -> None:
    """Nothing, if the strips or tiles are not too many, and lie within the file."""
    for offsets, sizes in _OFFSETS_AND_SIZES:
        num_pieces = max(entries[tag].num_values if tag in entries else 0 for tag in (offsets, sizes))
        if num_pieces > MAX_PIECES:
            raise ImageError(
                _(
                    "is a TIFF in {num_pieces:,} pieces, and at most {most:,} are "
                    "read. Save the photo again as JPEG or PNG"
                ).format(num_pieces=num_pieces, most=MAX_PIECES)
            )
        if compression == _UNCOMPRESSED:
            continue  # sizes are often misstated there, and the decoder itself finds where the pixels end
        pairs = zip(
            tiff.values(entries.get(offsets), num_pieces), tiff.values(entries.get(sizes), num_pieces), strict=False
        )
        if any(start + size > len(tiff.data) for start, size in pairs):
            raise ImageError(cut_off("TIFF"))
    tile_height, tile_width = (tiff.value(entries.get(tag), 0) for tag in (_TILE_HEIGHT, _TILE_WIDTH))
    height, width = (tiff.value(entries.get(tag), 0) for tag in (_HEIGHT, _WIDTH))
    if tile_height and tile_width:
        area = -(-height // tile_height) * -(-width // tile_width) * tile_height * tile_width
        if area > 4 * height * width + _MAX_TILE_WASTE:
            raise ImageError(
                _(
                    "is a TIFF whose tiles are far larger than its {width} x {height} "
                    "pixels. Save the photo again as JPEG or PNG"
                ).format(width=width, height=height)
            )
