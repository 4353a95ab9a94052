"""Untrusted bytes to an image: the only place that decodes one.

Whatever the bytes are, the answer is an upright uint8 RGB image or an `ImageError` whose words become the reason of a
`Skipped`. The content alone decides; nothing is decoded before size and number of pixels are within the limits.
Ordinary JPEG goes through OpenCV (`jpeg_decoder.py`), all else through Pillow (`pillow_decoder.py`).

May be called by many threads at once: both libraries decode without holding Python's lock. What libjpeg and libtiff
print of damaged files is kept back. Pillow may warn; whether that is shown is the whole process's setting, which the
command line makes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tellapart.config import ImageLimits
from tellapart.errors import ImageError
from tellapart.formats.jpeg_header import read_jpeg_header
from tellapart.formats.limits import check_size
from tellapart.formats.other_kinds import HEAD_BYTES, describe_other
from tellapart.formats.photo_formats import sniff_format
from tellapart.formats.stated_size import stated_size
from tellapart.images.colour import has_other_colours, reduce_before, to_srgb
from tellapart.images.depth import Levels, SampleDepths
from tellapart.images.jpeg_decoder import check_reductions, decode_jpeg, jpeg_channels, reduction
from tellapart.images.photo_samples import samples_of_pillow
from tellapart.images.pillow_decoder import (
    PLUGINS,
    PillowImage,
    exif_of,
    find_tiff_picture,
    open_photo,
    orientation_of,
    pillow_errors,
    read_samples,
)
from tellapart.images.pixels import develop, turn_upright
from tellapart.images.tiff_samples import is_lossless
from tellapart.records import ImageInfo
from tellapart.translation import gettext as _

_PIXELS = NDArray[np.uint8]
# The smallest scale that a JPEG is decoded at.
_MOST_REDUCED = 8


class Decoded(NamedTuple):
    """A photo and what its file says of it.

    Attributes:
        image: upright uint8 RGB, shape `(height, width, 3)`; may be smaller than the photo.
        info: format and full size.
        orientation: EXIF's number, 1 to 8, which is already applied; 1 for TIFF.
        exif: the block of EXIF, a whole TIFF being its own; empty where there is none.
    """

    image: NDArray[np.uint8]
    info: ImageInfo
    orientation: int
    exif: bytes


def read_info(data: bytes, limits: ImageLimits = ImageLimits()) -> ImageInfo:
    """What the header of a photo says, without decoding a pixel.

    Args:
        data: the whole file.

    Raises:
        ImageError: the file is not a photo, exceeds `limits`, or its header is damaged.
    """
    found = _check_bytes(data, limits)
    if found == "JPEG":
        header = read_jpeg_header(data)
        height, width, orientation = header.height, header.width, header.orientation
        check_reductions(data, header, [_MOST_REDUCED], limits)
    elif found == "TIFF" and is_lossless(page := find_tiff_picture(data, limits)[0]):
        height, width, orientation = page.height, page.width, page.orientation
    else:
        with pillow_errors(found, data), open_photo(found, data, limits) as photo:
            (width, height), orientation = photo.size, orientation_of(photo, exif_of(photo, data))
    return ImageInfo(found, width, height) if orientation >= 5 else ImageInfo(found, height, width)


def check_head(head: bytes, limits: ImageLimits = ImageLimits(), at_least: tuple[int, int] | None = None) -> bool:
    """Whether the beginning of a file settles that its pixels are within the limits; `False` asks for more of it.

    Cheap: nothing is decoded, and what is not certain from the beginning alone is left to `decode_image`.

    Args:
        head: its first bytes.
        limits, at_least: as for `decode_image`.

    Raises:
        ImageError: it has more pixels than `limits` let in, or is no photo.
    """
    found = sniff_format(head[:64])
    if found is None:
        if len(head) >= HEAD_BYTES:
            raise ImageError(_not_a_photo(head))
        return False
    if found != "JPEG":
        if (size := stated_size(head, found)) is not None:
            check_size(*size, limits)
        return size is not None
    try:
        header = read_jpeg_header(head)
    except ImageError:
        return False
    check_reductions(head, header, [reduction(header, at_least)[1]], limits)
    return True


def decode_image(
    data: bytes, limits: ImageLimits = ImageLimits(), at_least: tuple[int, int] | None = None
) -> NDArray[np.uint8]:
    """The photo in `data`, upright, opaque, in sRGB, first frame: uint8 RGB, shape `(height, width, 3)`.

    Args:
        data: the whole file.
        at_least: `(height, width)`; a larger JPEG may come back at a half, a quarter or an eighth of its size, and a
            photo in other colours than sRGB's at a whole fraction of it, never below this in either direction. `None`:
            full size.

    Raises:
        ImageError: the file is not a photo, exceeds `limits`, is cut off or damaged, or of a kind that is not read.
    """
    return decode_photo(data, limits, at_least).image


def decode_photo(
    data: bytes,
    limits: ImageLimits = ImageLimits(),
    at_least: tuple[int, int] | None = None,
    depths: SampleDepths = SampleDepths(),
    is_managed: bool = True,
) -> Decoded:
    """The image as `decode_image` gives it, with what the file says of it, read once; arguments as `decode_for_each`.

    Raises:
        ImageError: as for `decode_image`.
    """
    decoded = decode_for_each(data, limits, [at_least], depths, is_managed)[0]
    return decoded._replace(image=as_own(decoded.image))


def decode_for_each(
    data: bytes,
    limits: ImageLimits,
    sizes: Sequence[tuple[int, int] | None],
    depths: SampleDepths = SampleDepths(),
    is_managed: bool = True,
) -> tuple[Decoded, ...]:
    """What `decode_photo` gives for each of `sizes`; decoded once where the same scale serves several of them.

    The images may share memory, with each other and with a decoder, and not be writable.

    Args:
        data: the whole file.
        limits: the largest photo that is decoded.
        sizes: what is asked for, as `at_least` of `decode_image`.
        depths: how many bits white fills in the collection, for deep photos that do not say; where they are not known,
            each tells by itself.
        is_managed: whether colour profiles are applied.

    Raises:
        ImageError: as for `decode_image`.
    """
    found = _check_bytes(data, limits)
    if found != "JPEG":
        with pillow_errors(found, data):
            samples, exif = read_samples(found, data, limits)
            pixels = develop(samples, depths)
        height, width = pixels.shape[:2][:: -1 if samples.orientation >= 5 else 1]
        info, orientation = ImageInfo(found, height, width), samples.orientation
        profile = samples.profile if is_managed else b""
        images = _render(pixels, profile, orientation, sizes)
        return tuple(Decoded(image, info, 1 if found == "TIFF" else orientation, exif) for image in images)
    header = read_jpeg_header(data)
    height, width = (header.height, header.width)[:: -1 if header.orientation >= 5 else 1]
    scales = [reduction(header, size)[1] for size in sizes]
    check_reductions(data, header, set(scales), limits)
    size_of_scale = dict(zip(scales, sizes, strict=True))
    profile = header.icc if is_managed else b""
    rendered = {
        scale: _render(
            jpeg_channels(decode_jpeg(data, header, size, limits), header, profile),
            profile,
            header.orientation,
            [size],
        )[0]
        for scale, size in size_of_scale.items()
    }
    info = ImageInfo(found, height, width)
    return tuple(Decoded(rendered[scale], info, header.orientation, header.exif) for scale in scales)


def measure_levels(data: bytes, limits: ImageLimits) -> Levels | None:
    """How bright a deep photo is that does not say how many bits it fills; `None` for all others, undecoded.

    Raises:
        ImageError: it is such a photo, and cannot be decoded.
    """
    found = sniff_format(data[:64])
    is_deep = found == "PNG" and data[24:25] == b"\x10"
    if found == "TIFF":
        is_deep = any(is_lossless(page) and page.bits > 8 for page in find_tiff_picture(data, limits))
    if not is_deep or found is None:
        return None
    with pillow_errors(found, data):
        return read_samples(found, data, limits)[0].levels()


def convert_image(
    image: PillowImage, depths: SampleDepths = SampleDepths(), *, is_managed: bool = True
) -> NDArray[np.uint8]:
    """The pixels of an image that Pillow has opened or made, as `decode_image` gives them: uint8 RGB.

    Args:
        image: of any mode; not modified.
        depths, is_managed: as for `decode_for_each`.

    Raises:
        ImageError: it has no pixels, or its file is damaged.
    """
    check_size(image.height, image.width, ImageLimits(max_pixels=2**40))
    with pillow_errors("image", b""):
        samples = samples_of_pillow(image.copy())
        orientation = orientation_of(image, exif_of(image, b""))
        pixels = develop(samples, depths)
    return as_own(_render(pixels, samples.profile if is_managed else b"", orientation, [None])[0])


def as_own(image: _PIXELS) -> _PIXELS:
    """The image, or a copy of it where its memory is a decoder's."""
    return np.require(image, requirements="W")


def _check_bytes(data: bytes, limits: ImageLimits) -> str:
    """The format of `data`.

    Raises:
        ImageError: empty, too large, or not a photo.
    """
    if not data:
        raise ImageError(_("is empty: the file has 0 bytes"))
    if len(data) > limits.max_bytes:
        raise ImageError(
            _("is too large: {num:,} bytes, and at most {max_bytes:,} are read").format(
                num=len(data), max_bytes=limits.max_bytes
            )
        )
    found = sniff_format(data[:64])
    if found is None:
        raise ImageError(_not_a_photo(data))
    return found


def _not_a_photo(data: bytes) -> str:
    """Why it cannot be used."""
    other = describe_other(data[:HEAD_BYTES])
    reason = _("is {kind}").format(kind=other.reason)
    return reason if other.advice else _("{reason}. Give {formats}").format(reason=reason, formats=", ".join(PLUGINS))


def _render(
    pixels: _PIXELS, profile: bytes, orientation: int, sizes: Sequence[tuple[int, int] | None]
) -> tuple[_PIXELS, ...]:
    """Upright RGB of sRGB for each of the sizes; what has to be transformed is reduced before."""
    num_channels = pixels.shape[2]
    if not has_other_colours(profile, num_channels):
        return (turn_upright(to_srgb(pixels, b""), orientation),) * len(sizes)
    images: dict[tuple[int, ...], _PIXELS] = {}
    rendered = []
    for size in sizes:
        reduced = reduce_before(pixels, size if size is None or orientation < 5 else size[::-1])
        if reduced.shape not in images:
            images[reduced.shape] = turn_upright(to_srgb(reduced, profile), orientation)
        rendered.append(images[reduced.shape])
    return tuple(rendered)
