"""A file that is no JPEG, or an image of Pillow's, to the numbers in it, as the file's own header describes them.

A decoder is believed only where what it gives has the shape and depth that the header states. `gate.py` calls this with
bytes that it has found to be of that format and within the limits.
"""

import io
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from tellapart.errors import ImageError
from tellapart.formats.icc import MAX_PROFILE_BYTES, profile_of_codes
from tellapart.formats.png_chunks import NUM_CHANNELS, PngHeader, as_rgba, profile_of_numbers
from tellapart.formats.tiff_directory import TiffPage
from tellapart.images.pixels import Samples
from tellapart.images.tiff_samples import describe_samples, is_lossless, join_channels, read_samples
from tellapart.translation import gettext as _

_DEEP_PNG_BITS = 16
# Held while the threads of libheif are set, which pillow-heif takes from a setting of the whole process.
_opening_heic = threading.Lock()
# The share of samples above the white that `sBIT` states beyond which it means the upper bits, as the standard has it.
_SHARE_ABOVE = 0.001
_TIFF_MODES = {0: ("1", "L"), 1: ("1", "L"), 2: ("RGB", "RGBA", "RGBX"), 3: ("P",), 5: ("CMYK",), 6: ("RGB",)}


def samples_of_tiff(data: bytes, pages: tuple[TiffPage, ...]) -> Samples | None:
    """The samples of the picture that these pages are; `None` where Pillow is to decode it.

    Raises:
        ImageError: it is of a kind that is not read, or cut off.
        OSError, ValueError and others of Pillow's: the data is damaged.
    """
    if not all(is_lossless(page) for page in pages):
        if len(pages) > 1:
            raise ImageError(
                _(
                    "is a TIFF of a kind that is not read: a page for each colour, compressed. Save the "
                    "photo again as JPEG or PNG"
                )
            )
        return None
    parts = [describe_samples(page, read_samples(data, page)) for page in pages]
    if len(parts) == 1:
        return parts[0]
    return replace(parts[0], colours=join_channels(np.concatenate([part.colours for part in parts], axis=2)))


def check_tiff_mode(page: TiffPage, mode: str) -> None:
    """Nothing, if Pillow opened a page as what it is.

    Raises:
        ImageError: it took it for something else.
    """
    if mode not in _TIFF_MODES.get(page.photometric, ()) or page.is_planar or page.bits > 8:
        raise ImageError(_("is a TIFF of a kind that is not read. Save the photo again as JPEG or PNG"))


def samples_of_deep_png(data: bytes, header: PngHeader) -> Samples:
    """The samples of a PNG of 16 bits.

    Pillow keeps the upper bytes of colours alone, so it is asked twice, and the second time told that the bytes stand
    the other way about. Grey with alpha is to it what RGBA of 8 bits is, byte for byte.

    Args:
        data: the whole file.
        header: of it.

    Raises:
        OSError, ValueError and others of Pillow's: the data is damaged.
    """
    num_channels = NUM_CHANNELS[header.colour_type]
    values: NDArray[Any]
    if num_channels == 2:
        values = _load_png(as_rgba(data), None).view(">u2").astype(np.uint16)
    elif num_channels == 1:
        values = _load_png(data, None)[:, :, np.newaxis]
    else:
        mode = "RGB" if num_channels == 3 else "RGBA"
        values = np.left_shift(_load_png(data, f"{mode};16B").astype(np.uint16), 8)
        values |= _load_png(data, f"{mode};16L")
    colours = values[:, :, : 1 if num_channels < 3 else 3]
    alpha = values[:, :, -1] if num_channels in (2, 4) else None
    if len(header.transparent) == colours.shape[2]:
        alpha = np.where((colours == np.array(header.transparent)).all(axis=2), 0, 65535).astype(np.uint16)
    return Samples(colours, alpha, stated_bits=_png_bits(colours, header), profile=header.profile)


def _load_png(data: bytes, raw_mode: str | None) -> NDArray[Any]:
    """What Pillow decodes, the bytes of a pixel taken as `raw_mode` says."""
    with PngImagePlugin.PngImageFile(io.BytesIO(data)) as photo:
        if raw_mode is not None:
            photo.tile = [tile._replace(args=raw_mode) for tile in photo.tile]
        photo.load()
        return np.asarray(photo)


def samples_of_pillow(image: Image.Image) -> Samples:
    """The samples of a loaded image of any mode; its orientation is left to the caller.

    Raises:
        ImageError: it is of a mode that is not read.
    """
    profile = _profile_of_pillow(image)
    if image.mode[0] in "IF":
        deep = np.asarray(image)
        key = image.info.get("transparency")
        alpha = np.where(deep == key, 0, 65535).astype(deep.dtype) if isinstance(key, int) else None
        return Samples(deep[:, :, np.newaxis], alpha, stated_bits=None, profile=profile)
    if image.mode == "LAB":
        raise ImageError(
            _("is a {format} of a kind that is not read: CIELAB. Save the photo again as JPEG or PNG").format(
                format=image.format or _("picture")
            )
        )
    # 16-bit colour is read by its high bytes, so a transparent colour stated in 16 bits names none of its pixels.
    key = image.info.get("transparency")
    if isinstance(key, tuple) and max(key) > 255:
        del image.info["transparency"]
    if image.has_transparency_data or image.mode in ("RGBa", "La", "PA"):
        rgba = image.convert("LA").convert("RGBA") if image.mode == "La" else image.convert("RGBA")
        pixels = np.asarray(rgba)
        return Samples(pixels[:, :, :3], pixels[:, :, 3], profile=profile)
    if image.mode in ("1", "L"):
        return Samples(np.asarray(image.convert("L"))[:, :, np.newaxis], profile=profile)
    plain = image if image.mode in ("RGB", "CMYK") else image.convert("RGB")
    return Samples(np.asarray(plain), profile=profile)


def samples_of_heic(data: bytes, photo: Image.Image) -> Samples:
    """The samples of an opaque HEIC in colours, where libheif has left them.

    Pillow keeps colours in 4 bytes and hands out a copy: 0.1 s of a core for 12 megapixels, of 0.5 s.

    Args:
        data: the whole file.
        photo: the same file opened by Pillow's plugin, not loaded.

    Raises:
        OSError, ValueError and others of Pillow's: the data is damaged.
    """
    container = _open_heic(data)
    picture = container[container.primary_index]
    pixels = np.asarray(picture)
    width, height = picture.size
    if picture.mode != "RGB" or pixels.shape[0] != height or pixels.shape[1] < width:
        raise ValueError("not the picture that the header describes")
    return Samples(pixels[:, :width], profile=_profile_of_pillow(photo))


def _open_heic(data: bytes) -> pillow_heif.HeifFile:
    """The file, decoded in the thread that asks for its pixels.

    Many photos are decoded at once, a thread a core. With the usual four threads for each photo, two photos of 12
    megapixels took 260 MB, and 140 MB without, in the same seconds of both cores (n = 2, 2026-11-28).
    """
    with _opening_heic:
        before, pillow_heif.options.DECODE_THREADS = pillow_heif.options.DECODE_THREADS, 0
        try:
            return pillow_heif.open_heif(data)
        finally:
            pillow_heif.options.DECODE_THREADS = before


def _profile_of_pillow(image: Image.Image) -> bytes:
    """The profile that Pillow found, or one for the numbers in a HEIC or PNG."""
    profile = image.info.get("icc_profile") or b""
    if isinstance(profile, bytes) and profile:
        return profile if len(profile) <= MAX_PROFILE_BYTES else b""
    codes = image.info.get("nclx_profile")
    if isinstance(codes, dict):
        return profile_of_codes(codes.get("color_primaries", 2), codes.get("transfer_characteristics", 2)) or b""
    gamma, primaries = image.info.get("gamma"), image.info.get("chromaticity")
    if "srgb" in image.info:
        return b""
    return profile_of_numbers(gamma, primaries if primaries and len(primaries) == 8 else None)


def _png_bits(colours: NDArray[Any], header: PngHeader) -> int | None:
    """How many bits white fills, where `sBIT` says so: the lowest, as cameras write, or all, as the standard has it."""
    bits = header.significant_bits
    if bits is None or bits >= _DEEP_PNG_BITS:
        return None
    bits = max(bits, 8)
    num_above = np.count_nonzero(colours >> bits)
    return _DEEP_PNG_BITS if num_above > _SHARE_ABOVE * colours.size else bits
