"""The boxes of HEIC, AVIF and JPEG 2000 files, and the sizes that they state."""

from collections.abc import Iterator

_JP2 = b"\x00\x00\x00\x0cjP  "


def boxes_of(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Kind, and where the content begins and ends, of each box of an ISO media or JPEG 2000 file.

    The last may end behind the file, which was cut then; damage ends the boxes.

    Args:
        data: the whole file.
        start, end: what to read of it, as of a box that holds boxes.
    """
    end = len(data) if end is None else min(end, len(data))
    while start + 8 <= end:
        size, begin = int.from_bytes(data[start : start + 4], "big"), start + 8
        if size == 1:
            size, begin = int.from_bytes(data[start + 8 : start + 16], "big"), start + 16
        if size == 0:  # to the end
            size = end - start
        if start + size < begin:
            return
        yield data[start + 4 : start + 8], begin, start + size
        start += size


def codestream_of(data: bytes) -> bytes:
    """The coded picture in a JPEG 2000 file, without zeros behind it; empty where there is none.

    ITU-T T.800, annexes A and I.
    """
    if not data.startswith(_JP2):
        return data.rstrip(b"\x00")
    found = ((begin, end) for kind, begin, end in boxes_of(data) if kind == b"jp2c")
    begin, end = next(found, (0, 0))
    return data[begin:end].rstrip(b"\x00") if end <= len(data) else b""


def read_colour_codes(data: bytes) -> tuple[int, int] | None:
    """The numbers of primaries and curve that a HEIC or AVIF states, as ITU-T H.273 has them; `None` where it does not.

    Box `colr` of the kind `nclx`: ISO/IEC 14496-12, section 12.1.5.
    """
    meta = next(((begin + 4, end) for kind, begin, end in boxes_of(data) if kind == b"meta"), None)
    place = meta
    for wanted in (b"iprp", b"ipco"):
        place = next((box[1:] for box in boxes_of(data, *place) if box[0] == wanted), None) if place else None
    colours = (begin for kind, begin, _ in boxes_of(data, *place) if kind == b"colr") if place else iter(())
    found = next((begin + 4 for begin in colours if data[begin : begin + 4] == b"nclx"), None)
    if found is None or found + 4 > len(data):
        return None
    return int.from_bytes(data[found : found + 2], "big"), int.from_bytes(data[found + 2 : found + 4], "big")


def wavelet_size(data: bytes) -> tuple[int, int]:
    """`(height, width)` that the coded picture in a JPEG 2000 file states, whatever its frame says.

    Args:
        data: the whole file, or its beginning; zeros where the picture begins behind it.
    """
    found = (begin for kind, begin, _ in boxes_of(data) if kind == b"jp2c")
    start = next(found, len(data)) if data.startswith(_JP2) else 0
    numbers = data[start + 8 : start + 24].ljust(16, b"\0")
    width, height, left, top = (int.from_bytes(numbers[at : at + 4], "big") for at in (0, 4, 8, 12))
    return height - top, width - left


def primary_size(data: bytes) -> tuple[int, int] | None:
    """`(height, width)` that a HEIC or AVIF states of its picture, not yet turned; `None` where it does not.

    Boxes `pitm`, `ispe` and `ipma`: ISO/IEC 14496-12, section 8.11.4, and ISO/IEC 23008-12, sections 6.5.3 and 9.3.1.

    Args:
        data: the whole file, or its beginning.
    """
    meta = next(((begin + 4, end) for kind, begin, end in boxes_of(data) if kind == b"meta"), None)
    if meta is None or meta[1] > len(data):
        return None
    inner = {kind: (begin, end) for kind, begin, end in boxes_of(data, *meta)}
    if b"iprp" not in inner or b"pitm" not in inner:
        return None
    start = inner[b"pitm"][0]
    is_long = data[start : start + 1] > b"\0"
    primary = int.from_bytes(data[start + 4 : start + (8 if is_long else 6)], "big")
    return _item_sizes(data, *inner[b"iprp"]).get(primary)


def grid_pixels(data: bytes) -> int:
    """Pixels of all tiles that the pictures in a HEIC or AVIF are put together of; 0 where none is.

    Boxes `ispe`, `ipma` and `iref`: ISO/IEC 23008-12, sections 6.5.3, 9.3.1 and ISO/IEC 14496-12, section 8.11.12.
    """
    meta = next(((begin + 4, end) for kind, begin, end in boxes_of(data) if kind == b"meta"), None)
    if meta is None:
        return 0
    inner = {kind: (begin, end) for kind, begin, end in boxes_of(data, *meta)}
    if b"iprp" not in inner or b"iref" not in inner:
        return 0
    sizes = _item_sizes(data, *inner[b"iprp"])
    start, end = inner[b"iref"]
    size = 4 if data[start] else 2
    num_pixels = 0
    for kind, begin, stop in boxes_of(data, start + 4, end):
        if kind == b"dimg":
            places = range(begin + size + 2, min(stop, len(data)) - size + 1, size)
            parts = (sizes.get(int.from_bytes(data[at : at + size], "big"), (0, 0)) for at in places)
            num_pixels += sum(height * width for height, width in parts)
    return num_pixels


def _item_sizes(data: bytes, start: int, end: int) -> dict[int, tuple[int, int]]:
    """`(height, width)` of each item that states its size."""
    boxes = list(boxes_of(data, start, end))
    properties = [box for kind, begin, stop in boxes if kind == b"ipco" for box in boxes_of(data, begin, stop)]
    sizes: dict[int, tuple[int, int]] = {}
    for begin in (begin for kind, begin, _ in boxes if kind == b"ipma" and begin + 8 <= len(data)):
        id_size, index_size = 4 if data[begin] else 2, 2 if data[begin + 3] & 1 else 1
        at, num_items = begin + 8, int.from_bytes(data[begin + 4 : begin + 8], "big")
        for _ in range(min(num_items, len(data) // 3)):
            item, num_indices = int.from_bytes(data[at : at + id_size], "big"), data[at + id_size : at + id_size + 1]
            at += id_size + 1
            for _ in range(num_indices[0] if num_indices else 0):
                index = int.from_bytes(data[at : at + index_size], "big") & (0x7FFF if index_size == 2 else 0x7F)
                at += index_size
                kind, place, _ = properties[index - 1] if 0 < index <= len(properties) else (b"", 0, 0)
                if kind == b"ispe":
                    width, height = (int.from_bytes(data[place + by : place + by + 4], "big") for by in (4, 8))
                    sizes[item] = height, width
    return sizes
