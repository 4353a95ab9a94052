"""The numbers in a TIFF, whatever their depth, order and planes.

The decoder is used for what it does alike for all files: to unpack strips and tiles to bytes. Each plane is handed to
it as a grey picture of 8 bits that has the bytes of a row for pixels; what the bytes mean is read here, from what the
file says. Predictors: TIFF 6.0, section 14, and Adobe Photoshop TIFF Technical Note 3.
"""

import io
import re
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from tellapart.errors import ImageError
from tellapart.formats.limits import cut_off
from tellapart.formats.tiff_directory import TiffPage
from tellapart.images.pixels import Samples
from tellapart.translation import gettext as _

_BYTES = NDArray[np.uint8]

# None, LZW, deflate, PackBits, deflate, LZMA, Zstandard: what comes out is what went in.
_LOSSLESS = frozenset({1, 5, 8, 32773, 32946, 34925, 50000})
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK = 0, 1, 2, 3, 5
_READ = frozenset({_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK})
_TYPES = {1: "u", 2: "i", 3: "f", 4: "u"}
# Elsewhere the tag is a leftover, and the numbers are themselves.
_PREDICTED = _LOSSLESS - {1, 32773}
_WHOLE_BITS = (8, 16, 32, 64)
_DIFFERENCES, _REAL_DIFFERENCES = 2, 3
_OME_BITS = re.compile(rb"<(?:\w+:)?Pixels\b[^>]*\bSignificantBits\s*=\s*[\"'](\d{1,2})[\"']")


def is_lossless(page: TiffPage) -> bool:
    """Whether `read_samples` is for this page; others are left to the decoder, which knows how they were made."""
    is_yes_or_no = page.bits == 1 and page.num_samples == 1 and page.photometric != _PALETTE
    return page.compression in _LOSSLESS and page.photometric in _READ and not is_yes_or_no


def read_samples(data: bytes, page: TiffPage) -> NDArray[Any]:
    """All samples of a page, integers or floats as stored, shape `(height, width, num_samples)`.

    Args:
        data: the whole file.
        page: one that `is_lossless`.

    Raises:
        ImageError: they are of a kind that is not read, or the file ends before they do.
        OSError, ValueError and others of Pillow's: the data is damaged.
    """
    is_real = page.sample_format == 3
    is_known = (
        page.bits in _WHOLE_BITS if page.sample_format in (2, 3) else 1 <= page.bits <= 16 or page.bits in (32, 64)
    )
    if page.sample_format not in _TYPES or not is_known or (is_real and page.bits == 8):
        raise ImageError(_("is a TIFF with numbers of a kind that is not read. Save the photo again as JPEG or PNG"))
    predictor = _predictor(page)
    is_predicted = predictor == 1 or (predictor == _DIFFERENCES and page.bits in _WHOLE_BITS)
    if not is_predicted and not (predictor == _REAL_DIFFERENCES and is_real):
        raise ImageError(_("is a TIFF with a predictor that is not read. Save the photo again as JPEG or PNG"))
    if min(*page.piece, page.height, page.width) < 1:
        raise ImageError(_("is damaged: the TIFF header states strips or tiles without pixels"))
    num_planes = page.num_samples if page.is_planar else 1
    planes = [_read_plane(data, page, number) for number in range(num_planes)]
    return planes[0] if num_planes == 1 else np.concatenate(planes, axis=2)


def _predictor(page: TiffPage) -> int:
    """What the numbers are differences of; 1 where they are themselves."""
    return page.predictor if page.compression in _PREDICTED else 1


def describe_samples(page: TiffPage, samples: NDArray[Any]) -> Samples:
    """What the samples of a page mean, as `read_samples` gives them.

    Raises:
        ImageError: they are too few for a picture of this kind, or nobody can say what they are.
    """
    num_colours = {_RGB: 3, _CMYK: 4}.get(page.photometric, 1)
    num_more = page.num_samples - num_colours
    extra = (*page.extra, *(0,) * max(0, num_more - len(page.extra)))
    alphas = [place for place in range(max(0, num_more)) if extra[place] in (1, 2)]
    if num_more < 0:
        raise ImageError(
            _("is damaged: the TIFF header states {num_samples} channels for its colours").format(
                num_samples=page.num_samples
            )
        )
    if page.photometric == _BLACK_IS_ZERO and not alphas and (num_more > 1 or (num_more == 1 and page.is_planar)):
        if num_more > 2:
            raise ImageError(
                _(
                    "has {num_samples} channels, and which of them make the picture is not known. Save "
                    "the photo again as JPEG or PNG"
                ).format(num_samples=page.num_samples)
            )
        return Samples(join_channels(samples), stated_bits=_stated_bits(page), orientation=page.orientation)
    if page.photometric == _PALETTE:
        return Samples(
            _read_palette(page)[np.minimum(samples[:, :, 0], 2**page.bits - 1)], None, 8, page.orientation, page.icc
        )
    return Samples(
        samples[:, :, :num_colours],
        alpha=samples[:, :, num_colours + alphas[0]] if alphas else None,
        stated_bits=page.bits if page.photometric == _CMYK else _stated_bits(page),
        orientation=page.orientation,
        profile=page.icc,
        is_premultiplied=bool(alphas) and extra[alphas[0]] == 1,
        is_white_zero=page.photometric == _WHITE_IS_ZERO,
    )


def join_channels(samples: NDArray[Any]) -> NDArray[Any]:
    """Two or three channels as red, green and blue, the way ImageJ shows them; shape `(height, width, 3)`."""
    missing = 3 - samples.shape[2]
    return (
        np.concatenate([samples, np.zeros((*samples.shape[:2], missing), samples.dtype)], axis=2)
        if missing
        else samples
    )


def _read_palette(page: TiffPage) -> NDArray[np.uint8]:
    """The colours, uint8 `(n, 3)`; some programs write them in 8 of the 16 bits."""
    num_colours = 2**page.bits
    if page.sample_format != 1 or page.num_samples != 1 or len(page.palette) < 3 * num_colours:
        raise ImageError(_("is damaged: the TIFF has fewer colours in its table than its pixels may name"))
    table = np.array(page.palette[: 3 * num_colours], np.uint16).reshape(3, num_colours).T
    return np.asarray(table >> (8 if table.max() > 255 else 0), np.uint8)


def _stated_bits(page: TiffPage) -> int | None:
    """How many bits white fills, where the file says so; a largest value that is no white is that of one picture."""
    if page.sample_format == 3:
        return None
    if page.bits not in (16, 32, 64):
        return page.bits
    if 255 <= page.largest < 65535 and page.largest & (page.largest + 1) == 0:
        return page.largest.bit_length()
    found = _OME_BITS.search(page.description)
    return int(found[1]) if found and 8 <= int(found[1]) < page.bits else None


def _read_plane(data: bytes, page: TiffPage, number: int) -> NDArray[Any]:
    """The samples of one plane, shape `(height, width, samples)`: all of them where there is one plane."""
    num_samples = 1 if page.is_planar else page.num_samples
    piece_height, piece_width = page.piece
    num_columns, num_rows = -(-page.width // piece_width), -(-page.height // piece_height)
    row_bytes = -(-piece_width * num_samples * page.bits // 8)
    num_pieces = num_columns * num_rows
    offsets = page.offsets[number * num_pieces : (number + 1) * num_pieces]
    sizes = page.sizes[number * num_pieces : (number + 1) * num_pieces]
    if len(offsets) < num_pieces or (len(sizes) < num_pieces and page.compression != 1):
        raise ImageError(cut_off("TIFF"))
    height = num_rows * piece_height if page.is_tiled else page.height
    grey = _as_grey_tiff(data, page, (height, num_columns * row_bytes), (piece_height, row_bytes), (offsets, sizes))
    with _GreyPicture(io.BytesIO(grey)) as picture:
        picture.load()
        rows = np.asarray(picture)
    order = ">" if data[:2] == b"MM" else "<"
    columns = [
        _interpret(rows[:, start : start + row_bytes], page, (piece_width, num_samples), order)
        for start in range(0, num_columns * row_bytes, row_bytes)
    ]
    whole = columns[0] if num_columns == 1 else np.concatenate(columns, axis=1)
    return whole[: page.height, : page.width]


class _GreyPicture(TiffImagePlugin.TiffImageFile):
    """Bytes as pixels, of which there may be more than Pillow's limit of pixels; ours was checked before."""

    def load_prepare(self) -> None:
        if self._im is None:
            self.im = Image.new("L", self.size).im
        super().load_prepare()


def _as_grey_tiff(
    data: bytes,
    page: TiffPage,
    size: tuple[int, int],
    piece: tuple[int, int],
    places: tuple[tuple[int, ...], tuple[int, ...]],
) -> bytes:
    """The file with another directory, of a grey picture of 8 bits whose pixels are the bytes of these pieces."""
    offsets, sizes = places
    tags: dict[int, tuple[int, ...]] = {
        256: (size[1],),
        257: (size[0],),
        258: (8,),
        259: (page.compression,),
        262: (_BLACK_IS_ZERO,),
        266: (page.fill_order,),
        277: (1,),
    }
    if page.is_tiled:
        tags |= {322: (piece[1],), 323: (piece[0],), 324: offsets, 325: sizes or (0,) * len(offsets)}
    else:
        lengths = sizes or tuple(min(piece[0], size[0]) * piece[1] for _unused in offsets)
        tags |= {273: offsets, 278: (piece[0],), 279: lengths}
    start = len(data) + len(data) % 2
    values = start + 2 + 12 * len(tags) + 4
    directory, behind = struct.pack("<H", len(tags)), b""
    for tag, numbers in sorted(tags.items()):
        packed = struct.pack(f"<{len(numbers)}I", *(min(each, 2**32 - 1) for each in numbers))
        place = packed if len(numbers) == 1 else struct.pack("<I", values + len(behind))
        behind += b"" if len(numbers) == 1 else packed
        directory += struct.pack("<HHI", tag, 4, len(numbers)) + place
    head = b"II*\0" + struct.pack("<I", start)
    return b"".join((head, data[8:], b"\0" * (len(data) % 2), directory, bytes(4), behind))


def _interpret(rows: _BYTES, page: TiffPage, shape: tuple[int, int], order: str) -> NDArray[Any]:
    """The samples that the bytes of a column of pieces are, shape `(height, *shape)`, in this machine's byte order."""
    if page.bits not in _WHOLE_BITS:
        return _unpack(rows, page.bits, shape)
    whole = np.ascontiguousarray(rows)
    num_bytes, kind = page.bits // 8, _TYPES[page.sample_format]
    if _predictor(page) == _REAL_DIFFERENCES:
        width, num_samples = shape
        summed = np.cumsum(whole.reshape(len(whole), -1, num_samples), axis=1, dtype=np.uint8)
        split = summed.reshape(len(whole), num_bytes, width * num_samples)
        whole, order = np.ascontiguousarray(split.transpose(0, 2, 1)), ">"
    unsigned = whole.view(f"{order}u{num_bytes}").reshape(len(whole), *shape)
    native = np.ascontiguousarray(unsigned, dtype=f"u{num_bytes}")
    if _predictor(page) == _DIFFERENCES:
        native = np.cumsum(native, axis=1, dtype=native.dtype)
    return native.view(f"{kind}{num_bytes}")


def _unpack(rows: _BYTES, bits: int, shape: tuple[int, int]) -> NDArray[np.uint16]:
    """Samples of 1 to 16 bits that are packed without gaps, the highest bit first."""
    samples = np.empty((len(rows), *shape), np.uint16)
    num_bits = shape[0] * shape[1] * bits
    weights = (1 << np.arange(bits - 1, -1, -1)).astype(np.uint16)
    for number, row in enumerate(rows):
        samples[number] = (np.unpackbits(row)[:num_bits].reshape(*shape, bits) * weights).sum(axis=2, dtype=np.uint16)
    return samples
