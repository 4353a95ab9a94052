"""What the chunks of a PNG say beside its pixels: depth, colours, EXIF (PNG, third edition, section 11)."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from tellapart.formats.icc import MAX_PROFILE_BYTES, SRGB_PRIMARIES, make_rgb_profile, profile_of_codes

_SIGNATURE_SIZE = 8
# Encoders write the pixels in pieces of 8 kB and more, so a photo of 256 MB has fewer chunks than this.
_MAX_CHUNKS = 100_000
_COLOUR_CHUNKS = frozenset({b"cHRM", b"cICP", b"gAMA", b"iCCP", b"sRGB"})
_GREY, _RGB, _GREY_ALPHA, _RGB_ALPHA = 0, 2, 4, 6
NUM_CHANNELS = {_GREY: 1, _RGB: 3, _GREY_ALPHA: 2, _RGB_ALPHA: 4}
# How far from sRGB's own primaries programs write them into `cHRM`; what `gAMA` says of sRGB.
_SAME_PRIMARIES = 0.002
_SRGB_GAMMA = (0.45, 0.46)


@dataclass(frozen=True)
class PngHeader:
    """What a PNG says of its pixels.

    Attributes:
        bits: of a sample.
        colour_type: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha.
        significant_bits: how many of them the picture was made with; `None` where that is not said.
        transparent: the one grey or colour that is transparent, in 16-bit numbers; empty where there is none.
        profile: an ICC profile of its colours; empty for sRGB.
        exif: its block of EXIF, wherever it stands; empty where there is none.
    """

    bits: int
    colour_type: int
    significant_bits: int | None
    transparent: tuple[int, ...]
    profile: bytes
    exif: bytes


def read_png_header(data: bytes) -> PngHeader:
    """What the chunks of a PNG say; damage says nothing."""
    chunks: dict[bytes, bytes] = {}
    for kind, start, size in _chunks(data):
        if kind != b"IDAT":
            chunks.setdefault(kind, data[start + 8 : start + 8 + size])
    header = chunks.get(b"IHDR", b"").ljust(13, b"\0")
    bits, colour_type = header[8], header[9]
    significant = chunks.get(b"sBIT", b"")
    shades = significant[: 3 if colour_type in (_RGB, _RGB_ALPHA) else 1]
    transparent = chunks.get(b"tRNS", b"") if colour_type in (_GREY, _RGB) else b""
    return PngHeader(
        bits,
        colour_type,
        max(shades) if shades and 0 < max(shades) <= bits else None,
        struct.unpack(f">{len(transparent) // 2}H", transparent[: len(transparent) // 2 * 2])[:3],
        _profile(chunks),
        chunks.get(b"eXIf", b""),
    )


def has_colours_in_numbers(data: bytes) -> bool:
    """Whether a PNG says by numbers, and not by a profile, that its colours are not those of sRGB."""
    return bool(read_png_header(data).profile) and all(kind != b"iCCP" for kind, _start, _size in _chunks(data))


def as_rgba(data: bytes) -> bytes:
    """A PNG of grey and alpha in 16 bits as one of RGBA in 8: the same bytes, and so the same filters."""
    body = data[12:24] + b"\x08" + bytes([_RGB_ALPHA]) + data[26:29]
    return data[:12] + body + zlib.crc32(body).to_bytes(4, "big") + data[33:]


def without_colours(data: bytes) -> bytes:
    """The PNG without what it says of its colours: Pillow refuses the whole photo where a part of that is damaged.

    It refuses profiles of more than a megabyte as well.
    """
    parts = [data[:_SIGNATURE_SIZE]]
    for kind, start, size in _chunks(data):
        if kind == b"IDAT":
            return b"".join((*parts, data[start:])) if sum(map(len, parts)) < start else data
        if kind not in _COLOUR_CHUNKS:
            parts.append(data[start : start + 12 + size])
    return data


def profile_of_numbers(gamma: float | None, primaries: tuple[float, ...] | None) -> bytes:
    """A profile for what `gAMA` and `cHRM` say, empty where that is sRGB.

    A gamma of 0.45455 is what encoders write for sRGB's curve, so it counts as that unless the primaries are others.

    Args:
        gamma: as `gAMA` has it; `None` where there is none.
        primaries: x and y of white, red, green and blue; `None` where there are none.
    """
    is_srgb_gamma = gamma is None or _SRGB_GAMMA[0] <= gamma <= _SRGB_GAMMA[1]
    is_srgb_primaries = primaries is None or all(
        abs(own - srgb) <= _SAME_PRIMARIES for own, srgb in zip(primaries, SRGB_PRIMARIES, strict=False)
    )
    if is_srgb_gamma and is_srgb_primaries:
        return b""
    if gamma is not None and not 0.1 <= gamma <= 10:
        return b""
    try:
        return make_rgb_profile(primaries or SRGB_PRIMARIES, None if gamma is None else 1 / gamma)
    except ValueError:
        return b""


def _profile(chunks: dict[bytes, bytes]) -> bytes:
    """The profile of the chunk that counts: cICP, iCCP, sRGB, then gAMA and cHRM, as section 4.3 has it."""
    coded = chunks.get(b"cICP", b"")
    if len(coded) == 4 and coded[2:] == b"\0\1" and (profile := profile_of_codes(coded[0], coded[1])) is not None:
        return profile
    if b"iCCP" in chunks:
        _, _, packed = chunks[b"iCCP"].partition(b"\0")
        try:
            return zlib.decompressobj().decompress(packed[1:], MAX_PROFILE_BYTES)
        except zlib.error:
            return b""
    if b"sRGB" in chunks:
        return b""
    gamma, primaries = chunks.get(b"gAMA", b""), chunks.get(b"cHRM", b"")
    return profile_of_numbers(
        int.from_bytes(gamma, "big") / 100_000 if len(gamma) == 4 and any(gamma) else None,
        tuple(number / 100_000 for number in struct.unpack(">8I", primaries)) if len(primaries) == 32 else None,
    )


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, offset and size of what is inside for each chunk, the last of them maybe cut, up to the end of the PNG."""
    start = _SIGNATURE_SIZE
    for _ in range(_MAX_CHUNKS):
        kind = data[start + 4 : start + 8]
        if len(kind) < 4:
            return
        size = int.from_bytes(data[start : start + 4], "big")
        yield kind, start, size
        if kind == b"IEND":
            return
        start += 12 + size
