"""Photos that are no ordinary JPEG to the numbers in them, by Pillow's plugins.

They are called directly rather than by `Image.open`: only those named here can run, and Pillow's own pixel limit, a
global of the whole process, plays no part.
"""

import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

import pillow_heif
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
from tellapart.formats.exif import read_orientation
from tellapart.formats.icc import profile_of_codes
from tellapart.formats.iso_boxes import read_colour_codes, wavelet_size
from tellapart.formats.limits import check_size, check_work, cut_off, is_cut
from tellapart.formats.png_chunks import read_png_header, without_colours
from tellapart.formats.stated_size import webp_size
from tellapart.formats.tiff_directory import TiffPage
from tellapart.formats.tiff_pages import check_tiff, find_picture
from tellapart.images.photo_samples import (
    check_tiff_mode,
    samples_of_deep_png,
    samples_of_heic,
    samples_of_pillow,
    samples_of_tiff,
)
from tellapart.images.pixels import Samples
from tellapart.native_stderr import NativeStderr
from tellapart.translation import gettext as _

PillowImage = Image.Image

PLUGINS: dict[str, type[ImageFile.ImageFile]] = {
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
# What libtiff may decode; an image of the caller's may come from a TIFF too.
_BY_LIBTIFF = frozenset({"TIFF", "image"})
_KIND_WORDS = ("unsupported", "not supported", "unknown")


MODE_MEMORY: Mapping[str, float] = {
    **dict.fromkeys(("1", "L"), 6),
    **dict.fromkeys(("P", "RGB", "YCbCr", "I;16", "I;16B", "I;16L"), 13),
    **dict.fromkeys(("LA", "La", "PA", "RGBA", "RGBa", "RGBX", "LAB", "HSV"), 17),
    **dict.fromkeys(("CMYK", "I", "F"), 20),
}
_FORMAT_MEMORY: Mapping[str, float] = {"WEBP": 23, "AVIF": 18, "HEIC": 14, "JPEG 2000": 21}
_ALPHA_MEMORY = 8
_DEEP_PNG_MEMORY = {0: 8, 2: 17, 4: 14, 6: 21}


@contextmanager
def pillow_errors(found: str, data: bytes) -> Iterator[None]:
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
        return _("is too large: its {found} data needs more memory than there is. Save the photo smaller").format(
            found=found
        )
    if isinstance(error, Image.DecompressionBombError):  # where `limits` go beyond twice Pillow's own, 179 megapixels
        return _(
            "is too large: Pillow refuses a {found} of so many pixels. Save the photo again as JPEG or PNG"
        ).format(found=found)
    if "truncated" in words or isinstance(error, EOFError) or is_cut(data, found):
        return cut_off(found)
    if isinstance(error, NotImplementedError) or any(word in words for word in _KIND_WORDS):
        return _("is a {found} of a kind that is not read. Save the photo again as JPEG or PNG").format(found=found)
    return _("is damaged: the {found} data cannot be decoded").format(found=found)


def read_samples(found: str, data: bytes, limits: ImageLimits) -> tuple[Samples, bytes]:
    """The numbers in a photo that is no JPEG, and its block of EXIF.

    Raises:
        ImageError: as for `decode_image`.
        _DECODER_ERRORS: the data is damaged.
    """
    pages = find_tiff_picture(data, limits) if found == "TIFF" else ()
    if pages and (samples := samples_of_tiff(data, pages)) is not None:
        return samples, data
    header = read_png_header(data) if found == "PNG" else None
    with open_photo(found, without_colours(data) if found == "PNG" else data, limits) as photo:
        if pages:
            check_tiff_mode(pages[0], photo.mode)
        exif = exif_of(photo, data)
        orientation = orientation_of(photo, exif)
        if header is not None and header.bits == 16:
            return replace(samples_of_deep_png(without_colours(data), header), orientation=orientation), exif
        if found == "HEIC" and photo.mode == "RGB" and not photo.has_transparency_data:
            return replace(samples_of_heic(data, photo), orientation=orientation), exif
        photo.load()
        samples = replace(samples_of_pillow(photo), orientation=orientation)
        if found == "AVIF" and not samples.profile and (codes := read_colour_codes(data)) is not None:
            samples = replace(samples, profile=profile_of_codes(*codes) or b"")
        return samples if header is None else replace(samples, profile=header.profile), exif


def find_tiff_picture(data: bytes, limits: ImageLimits) -> tuple[TiffPage, ...]:
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


def open_photo(found: str, data: bytes, limits: ImageLimits) -> ImageFile.ImageFile:
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
            raise ImageError(cut_off(found))
        check_size(*wavelet_size(data), limits, _FORMAT_MEMORY[found], len(data))
    check_work(data, found)
    photo = PLUGINS[found](io.BytesIO(data))
    width, height = photo.size
    is_opaque = not photo.has_transparency_data
    memory: float = MODE_MEMORY[photo.mode if is_opaque else "RGBA"]
    if found == "PNG" and data[24:25] == b"\x10":
        memory = _DEEP_PNG_MEMORY.get(data[25], 0)
    elif found in _FORMAT_MEMORY:
        memory = _FORMAT_MEMORY[found] + (0 if is_opaque else _ALPHA_MEMORY)
    check_size(height, width, limits, memory, len(data))
    return photo


def orientation_of(photo: PillowImage, exif: bytes) -> int:
    """EXIF's orientation of a photo opened by Pillow, 1 to 8: from EXIF, or XMP where EXIF is silent."""
    if photo.format == "TIFF":
        return 1  # Pillow states the size of a TIFF after turning it, and turns it when it loads
    xmp = photo.info.get("xmp") or photo.info.get("XML:com.adobe.xmp") or b""
    return read_orientation(exif, xmp if isinstance(xmp, bytes) else xmp.encode())


def exif_of(photo: PillowImage, data: bytes) -> bytes:
    """The block of EXIF of a photo opened by Pillow, a whole TIFF being its own; empty where there is none."""
    if photo.format == "TIFF":
        return data
    exif = photo.info.get("exif") or (read_png_header(data).exif if photo.format == "PNG" else b"")
    if not exif and "Raw profile type exif" in photo.info:  # ImageMagick's EXIF in a PNG: name, length, then hex
        exif = bytes.fromhex("".join(photo.info["Raw profile type exif"].split("\n")[3:]))
    return bytes(exif)
