"""Untrusted bytes to an image: the only place that decodes one.

Whatever the bytes are, the answer is an upright uint8 RGB image or an `ImageError` whose words become the reason of a
`Skipped`. The content alone decides; nothing is decoded before size and number of pixels are within the limits.
Ordinary JPEG goes through OpenCV, at a reduced scale where that is enough; all else goes through Pillow, whose plugins
are called directly rather than by `Image.open`: only those named here can run, and Pillow's own pixel limit, a global
of the whole process, plays no part.

May be called by many threads at once: both libraries decode without holding Python's lock. What libjpeg and libtiff
print of damaged files is kept back. Pillow may warn; whether that is shown is the whole process's setting, which the
command line makes.
"""

import io
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from tellapart.config import ImageLimits
from tellapart.errors import ImageError
from tellapart.images.colour import has_other_colours, reduce_before, to_srgb
from tellapart.images.depth import Levels, SampleDepths
from tellapart.images.exif import read_orientation
from tellapart.images.formats import HEAD_BYTES, describe_other, sniff_format
from tellapart.images.headers import (
    EOI,
    JpegHeader,
    check_size,
    check_work,
    find_end,
    is_cut,
    read_jpeg_header,
    wavelet_size,
    webp_size,
)
from tellapart.images.photo_samples import check_tiff_mode, samples_of_deep_png, samples_of_pillow, samples_of_tiff
from tellapart.images.pixels import Samples, develop, turn_upright
from tellapart.images.png_chunks import read_png_header, without_colours
from tellapart.images.tiff_directory import TiffPage
from tellapart.images.tiff_pages import check_tiff, find_picture
from tellapart.images.tiff_samples import is_lossless
from tellapart.native_stderr import NativeStderr
from tellapart.records import ImageInfo

_PIXELS = NDArray[np.uint8]
PillowImage = Image.Image

_PLUGINS: dict[str, type[ImageFile.ImageFile]] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "HEIC": pillow_heif.HeifImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "JPEG 2000": Jpeg2KImagePlugin.Jpeg2KImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
}
# What damaged files make Pillow and its plugins raise; `Image.open` would hide a part of it.
_DECODER_ERRORS = (
    *(ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, MemoryError, OSError, RuntimeError),
    *(SyntaxError, TypeError, ValueError, struct.error, zlib.error, Image.DecompressionBombError),
    Warning,  # where the process has made warnings errors
)
# Behind a cut, this is read as pixels unlike those that an EOI marker there gives, which libjpeg continues with zeros.
# Each restart marker is there twice, so that the one that a file is cut in front of comes up, whichever it is.
_FILL = b"\xaa\x55" * 64 + b"".join(bytes((0xFF, 0xD0 + number % 8)) + b"\xaa\x55" * 16 for number in range(16))
_ZERO_RUN = bytes(64)
# What libtiff may decode; an image of the caller's may come from a TIFF too.
_BY_LIBTIFF = frozenset({"TIFF", "image"})
_KIND_WORDS = ("unsupported", "not supported", "unknown")
_CUT = "is cut off: the {} data ends before the picture does"
_ADVICE = "Save it again as JPEG or PNG"
_PROGRESSIVE_FRAME = 0xC2  # 0xC0 and 0xC1 are sequential, those above lossless or arithmetic


# Memory that decoding and what follows take at their highest, in bytes a pixel, measured with 12 megapixels of each
# (Pillow 13, OpenCV 5, 2026-11-28): Pillow holds colours in 4 bytes, hands out a copy, and a conversion is another.
_JPEG_MEMORY = 7.0
_MODE_MEMORY: Mapping[str, float] = {
    **dict.fromkeys(("1", "L"), 6),
    **dict.fromkeys(("P", "RGB", "YCbCr", "I;16", "I;16B", "I;16L"), 13),
    **dict.fromkeys(("LA", "La", "PA", "RGBA", "RGBa", "RGBX", "LAB", "HSV"), 17),
    **dict.fromkeys(("CMYK", "I", "F"), 20),
}
_FORMAT_MEMORY: Mapping[str, float] = {"WEBP": 23, "AVIF": 18, "HEIC": 14, "JPEG 2000": 21}
_ALPHA_MEMORY = 8
_DEEP_PNG_MEMORY = {0: 8, 2: 17, 4: 14, 6: 21}
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
        _check_reductions(data, header, [_MOST_REDUCED], limits)
    elif found == "TIFF" and is_lossless(page := _find_tiff_picture(data, limits)[0]):
        height, width, orientation = page.height, page.width, page.orientation
    else:
        with _pillow(found, data), _open_photo(found, data, limits) as photo:
            (width, height), orientation = photo.size, _orientation(photo, _exif(photo, data))
    return ImageInfo(found, width, height) if orientation >= 5 else ImageInfo(found, height, width)


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
    return decode_for_each(data, limits, [at_least], depths, is_managed)[0]


def decode_for_each(
    data: bytes,
    limits: ImageLimits,
    sizes: Sequence[tuple[int, int] | None],
    depths: SampleDepths = SampleDepths(),
    is_managed: bool = True,
) -> tuple[Decoded, ...]:
    """What `decode_photo` gives for each of `sizes`; decoded once where the same scale serves several of them.

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
        with _pillow(found, data):
            samples, exif = _read_samples(found, data, limits)
            pixels = develop(samples, depths)
        height, width = pixels.shape[:2][:: -1 if samples.orientation >= 5 else 1]
        info, orientation = ImageInfo(found, height, width), samples.orientation
        profile = samples.profile if is_managed else b""
        images = _render(pixels, profile, orientation, sizes)
        return tuple(Decoded(image, info, 1 if found == "TIFF" else orientation, exif) for image in images)
    header = read_jpeg_header(data)
    height, width = (header.height, header.width)[:: -1 if header.orientation >= 5 else 1]
    scales = [_reduction(header, size)[1] for size in sizes]
    _check_reductions(data, header, set(scales), limits)
    size_of_scale = dict(zip(scales, sizes, strict=True))
    profile = header.icc if is_managed else b""
    rendered = {
        scale: _render(
            _jpeg_channels(_decode_jpeg(data, header, size, limits), header, profile),
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
        is_deep = any(is_lossless(page) and page.bits > 8 for page in _find_tiff_picture(data, limits))
    if not is_deep or found is None:
        return None
    with _pillow(found, data):
        return _read_samples(found, data, limits)[0].levels()


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
    with _pillow("image", b""):
        samples = samples_of_pillow(image.copy())
        orientation = _orientation(image, _exif(image, b""))
        pixels = develop(samples, depths)
    return _render(pixels, samples.profile if is_managed else b"", orientation, [None])[0]


def _check_bytes(data: bytes, limits: ImageLimits) -> str:
    """The format of `data`.

    Raises:
        ImageError: empty, too large, or not a photo.
    """
    if not data:
        raise ImageError("is empty: the file has 0 bytes")
    if len(data) > limits.max_bytes:
        raise ImageError(f"is too large: {len(data):,} bytes, and at most {limits.max_bytes:,} are read")
    found = sniff_format(data[:64])
    if found is None:
        other = describe_other(data[:HEAD_BYTES])
        raise ImageError(f"is {other.reason}" if other.advice else f"is {other.reason}. Give {', '.join(_PLUGINS)}")
    return found


def _check_reductions(data: bytes, header: JpegHeader, scales: Iterable[int], limits: ImageLimits) -> None:
    """Nothing, if a JPEG may be decoded at each of these scales; what is counted is what is decoded.

    Raises:
        ImageError: it has no pixels, or too many.
    """
    # Where a scan lacks components, or refines the one before, libjpeg holds all coefficients, of 2 bytes each.
    is_held = header.frame_marker >= _PROGRESSIVE_FRAME or data[header.scan_start + 4] < header.num_components
    held = 2 * header.num_coefficients if is_held else 0.0
    for scale in scales:
        height, width = -(-header.height // scale), -(-header.width // scale)
        check_size(height, width, limits, _JPEG_MEMORY + held * scale * scale, len(data))


def _decode_jpeg(data: bytes, header: JpegHeader, at_least: tuple[int, int] | None, limits: ImageLimits) -> _PIXELS:
    """The pixels of a JPEG as stored, not yet turned: grey, RGB or CMYK.

    A file that was cut, or lost a part to zeros in a crash or a broken download, is found by decoding it twice, with
    two different continuations: what has all its pixels does not change. Only files without an end, or with a run of
    zeros among the pixels, pay for that. A progressive file holds its picture many times over, ever finer, so without
    an end it counts as cut.

    Raises:
        ImageError: the data ends before the picture does, or cannot be decoded.
    """
    end = find_end(data, header.scan_start)
    if end < 0 and header.frame_marker == _PROGRESSIVE_FRAME:
        raise ImageError(_CUT.format("JPEG"))
    is_whole = end >= 0 and data.find(_ZERO_RUN, header.scan_start, end) < 0
    if is_whole and (image := _decode_by_opencv(data, header, at_least)) is not None:
        return image
    kept = data[:end] if end >= 0 else data.rstrip(b"\x00")
    held = 2 * header.num_coefficients if header.frame_marker >= _PROGRESSIVE_FRAME else 0.0
    check_size(header.height, header.width, limits, _MODE_MEMORY["CMYK"] + held, len(data))
    with _pillow("JPEG", data):
        image = _decode_by_pillow(kept + EOI)
        if not is_whole and not np.array_equal(image, _decode_by_pillow(kept + _FILL + EOI)):
            raise ImageError(_CUT.format("JPEG") if end < 0 else "is damaged: zeros stand where JPEG data was")
    return image


def _jpeg_channels(pixels: _PIXELS, header: JpegHeader, profile: bytes) -> _PIXELS:
    """One channel of a grey JPEG that has a profile; OpenCV gives three of them."""
    return pixels[:, :, :1] if profile and header.num_components == 1 else pixels


def _decode_by_opencv(data: bytes, header: JpegHeader, at_least: tuple[int, int] | None) -> _PIXELS | None:
    """The pixels of an ordinary JPEG, at a scale that leaves `at_least`; `None`: Pillow has the last word on it."""
    if header.num_components not in (1, 3) or header.bits != 8 or header.frame_marker > _PROGRESSIVE_FRAME:
        return None
    flag, scale = _reduction(header, at_least)
    # The reduced flags for grey state the scale alone; IMREAD_COLOR_RGB beside them saves a pass over the pixels.
    flags = flag | cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        with NativeStderr():
            image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # beyond OpenCV's own limits
        return None
    if image is None or image.shape != (-(-header.height // scale), -(-header.width // scale), 3):
        return None
    return image.astype(np.uint8, copy=False)


def _decode_by_pillow(jpeg: bytes) -> _PIXELS:
    """The pixels of any JPEG, at its full size, of 1, 3 or 4 channels."""
    with JpegImagePlugin.JpegImageFile(io.BytesIO(jpeg)) as photo:
        photo.load()
        return develop(samples_of_pillow(photo), SampleDepths())


def _reduction(header: JpegHeader, at_least: tuple[int, int] | None) -> tuple[int, int]:
    """OpenCV's flag for the smallest scale that leaves `at_least`, and the number it divides by, rounding up."""
    if at_least is not None:
        height, width = at_least if header.orientation < 5 else at_least[::-1]
        for scale, flag in (
            (8, cv2.IMREAD_REDUCED_GRAYSCALE_8),
            (4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
            (2, cv2.IMREAD_REDUCED_GRAYSCALE_2),
        ):
            if -(-header.height // scale) >= height and -(-header.width // scale) >= width:
                return flag, scale
    return 0, 1


@contextmanager
def _pillow(found: str, data: bytes) -> Iterator[None]:
    """A stretch in which Pillow works on `data`: its errors become `ImageError`s."""
    try:
        if found in _BY_LIBTIFF:
            with NativeStderr(is_libtiff=True):
                yield
        else:
            yield
    except ImageError:
        raise
    except _DECODER_ERRORS as exc:
        raise ImageError(_explain(found, data, exc)) from exc


def _explain(found: str, data: bytes, error: BaseException) -> str:
    """The reason for a person, from what a decoder raised."""
    words = str(error).lower()
    if isinstance(error, MemoryError):
        return f"is too large: its {found} data needs more memory than there is. Save it smaller"
    if isinstance(error, Image.DecompressionBombError):  # where `limits` go beyond twice Pillow's own, 179 megapixels
        return f"is too large: Pillow refuses a {found} of so many pixels. {_ADVICE}"
    if "truncated" in words or isinstance(error, EOFError) or is_cut(data, found):
        return _CUT.format(found)
    if isinstance(error, NotImplementedError) or any(word in words for word in _KIND_WORDS):
        return f"is a {found} of a kind that is not read. {_ADVICE}"
    return f"is damaged: the {found} data cannot be decoded"


def _open_photo(found: str, data: bytes, limits: ImageLimits) -> ImageFile.ImageFile:
    """The photo with its header read and its size within `limits`; no pixel is decoded yet.

    Raises:
        ImageError: too many pixels, or a camera raw file, whose first picture is a thumbnail.
        _DECODER_ERRORS: the header is damaged.
    """
    if found == "WEBP" and (size := webp_size(data)):
        check_size(*size, limits, _FORMAT_MEMORY[found])  # Pillow's plugin makes the canvas when it opens the file
    if found == "TIFF":
        check_tiff(data)
    if found == "JPEG 2000":
        if is_cut(data, found):  # OpenJPEG makes a picture of what is there
            raise ImageError(_CUT.format(found))
        check_size(*wavelet_size(data), limits, _FORMAT_MEMORY[found], len(data))
    check_work(data, found)
    photo = _PLUGINS[found](io.BytesIO(data))
    width, height = photo.size
    is_opaque = not photo.has_transparency_data
    memory: float = _MODE_MEMORY[photo.mode if is_opaque else "RGBA"]
    if found == "PNG" and data[24:25] == b"\x10":
        memory = _DEEP_PNG_MEMORY.get(data[25], 0)
    elif found in _FORMAT_MEMORY:
        memory = _FORMAT_MEMORY[found] + (0 if is_opaque else _ALPHA_MEMORY)
    check_size(height, width, limits, memory, len(data))
    return photo


def _orientation(photo: PillowImage, exif: bytes) -> int:
    """EXIF's orientation of a photo opened by Pillow, 1 to 8: from EXIF, or XMP where EXIF is silent."""
    if photo.format == "TIFF":
        return 1  # Pillow states the size of a TIFF after turning it, and turns it when it loads
    xmp = photo.info.get("xmp") or photo.info.get("XML:com.adobe.xmp") or b""
    return read_orientation(exif, xmp if isinstance(xmp, bytes) else xmp.encode())


def _exif(photo: PillowImage, data: bytes) -> bytes:
    """The block of EXIF of a photo opened by Pillow, a whole TIFF being its own; empty where there is none."""
    if photo.format == "TIFF":
        return data
    exif = photo.info.get("exif") or (read_png_header(data).exif if photo.format == "PNG" else b"")
    if not exif and "Raw profile type exif" in photo.info:  # ImageMagick's EXIF in a PNG: name, length, then hex
        exif = bytes.fromhex("".join(photo.info["Raw profile type exif"].split("\n")[3:]))
    return bytes(exif)


def _find_tiff_picture(data: bytes, limits: ImageLimits) -> tuple[TiffPage, ...]:
    """The page of a TIFF that is the photo, or its pages of a colour each, within the limits.

    Raises:
        ImageError: it is none, there are several, or it has too many pixels.
    """
    check_tiff(data)
    pages = find_picture(data)
    page = pages[0]
    # In pieces, to bytes, to numbers, to 8 bits: four times what the file states, and three bytes a pixel.
    num_bytes = sum(page.num_samples * max(page.bits, 8) for page in pages) / 8
    check_size(page.height, page.width, limits, 4 * num_bytes + 3, len(data))
    return pages


def _read_samples(found: str, data: bytes, limits: ImageLimits) -> tuple[Samples, bytes]:
    """The numbers in a photo that is no JPEG, and its block of EXIF.

    Raises:
        ImageError: as for `decode_image`.
        _DECODER_ERRORS: the data is damaged.
    """
    pages = _find_tiff_picture(data, limits) if found == "TIFF" else ()
    if pages and (samples := samples_of_tiff(data, pages)) is not None:
        return samples, data
    header = read_png_header(data) if found == "PNG" else None
    with _open_photo(found, without_colours(data) if found == "PNG" else data, limits) as photo:
        if pages:
            check_tiff_mode(pages[0], photo.mode)
        exif = _exif(photo, data)
        orientation = _orientation(photo, exif)
        if header is not None and header.bits == 16:
            return replace(samples_of_deep_png(without_colours(data), header), orientation=orientation), exif
        photo.load()
        samples = replace(samples_of_pillow(photo), orientation=orientation)
        return samples if header is None else replace(samples, profile=header.profile), exif


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
