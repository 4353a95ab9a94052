"""ICC profiles read and written as bytes: whether one is as good as sRGB, and one for what a PNG says in numbers.

Applying them is littlecms', called by `colour.py`. Layout and curves: ICC.1:2022, sections 7, 9.2 and 10.
"""

import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

_FLOATS = NDArray[np.float64]
Curve = Callable[[_FLOATS], _FLOATS]

# Columns are red, green and blue of sRGB (IEC 61966-2-1) in CIE XYZ, adapted to D50 by Bradford's method (ICC.1, E).
_SRGB_TO_XYZ = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
# The curve of sRGB as `parametricCurveType` 3 has it: ((x + 0.055) / 1.055) ** 2.4 from 0.04045 on, x / 12.92 below.
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
# White, red, green and blue of sRGB, x and y of each.
SRGB_PRIMARIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
# ITU-T H.273: the same by number (BT.709, both of BT.601, BT.2020, those of cinemas and of displays), and powers of
# curves. Those of television, 1, 6, 14 and 15, are written for what is meant to be seen as sRGB.
_CODED_PRIMARIES = {
    1: SRGB_PRIMARIES,
    5: (0.3127, 0.329, 0.64, 0.33, 0.29, 0.6, 0.15, 0.06),
    6: (0.3127, 0.329, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    9: (0.3127, 0.329, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    12: (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
}
_CODED_GAMMAS = {1: None, 4: 2.2, 5: 2.8, 6: None, 8: 1.0, 13: None, 14: None, 15: None}
# What a transform may change by and still be left out, in 8-bit levels: roundings within the profile.
_SAME = 1.5
_NUM_PARAMETERS = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}
_CLASSES = frozenset({b"scnr", b"mntr", b"prtr", b"spac"})
_MAX_TAGS, _MAX_CURVE = 100, 4096
# Beyond this is no profile of any device: those of presses have 0.5 to 4 MB.
MAX_PROFILE_BYTES = 16 * 1024 * 1024
Space = Literal["grey", "rgb", "cmyk"]
_SPACES: dict[bytes, Space] = {b"GRAY": "grey", b"RGB ": "rgb", b"CMYK": "cmyk"}


def profile_space(profile: bytes) -> Space | None:
    """The colours that a profile of a device describes; `None` where it is no such profile."""
    is_device = profile[36:40] == b"acsp" and profile[12:16] in _CLASSES and len(profile) <= MAX_PROFILE_BYTES
    return _SPACES.get(profile[16:20]) if is_device else None


@lru_cache(maxsize=64)
def is_srgb(profile: bytes) -> bool:
    """Whether a profile is one of sRGB, or of its greys: no colour would change by more than rounding does.

    Tables (`A2B`) are not looked into, so such a profile counts as another.
    """
    try:
        tags = _read_tags(profile)
        if b"A2B0" in tags or b"A2B1" in tags:
            return False
        ramp = np.linspace(0, 1, 256)
        if profile_space(profile) == "grey":
            return bool(np.abs(_encode_srgb(_read_curve(tags[b"kTRC"])(ramp)) - ramp).max() * 255 <= _SAME)
        curves = [_read_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC")]
        columns = [_read_xyz(tags[name]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
    except (KeyError, ValueError, struct.error):
        return False
    axes = np.meshgrid(*[np.linspace(0, 1, 9)] * 3, indexing="ij")
    colours = np.concatenate([np.stack(axes, -1).reshape(-1, 3), np.repeat(ramp[:, None], 3, 1)])
    linear = np.stack([curve(colours[:, number]) for number, curve in enumerate(curves)], -1)
    with np.errstate(all="ignore"):
        seen = _encode_srgb(linear @ np.stack(columns) @ np.linalg.inv(_SRGB_TO_XYZ).T)
    return bool(np.abs(seen - colours).max() * 255 <= _SAME)


def make_rgb_profile(primaries: tuple[float, ...], gamma: float | None) -> bytes:
    """A profile of version 4 for colours stated in numbers.

    Args:
        primaries: x and y of white, red, green and blue in the CIE 1931 diagram.
        gamma: linear light is the stored number to this power; `None` for the curve of sRGB.

    Raises:
        ValueError: no light has these colours.
    """
    columns = _primaries_to_xyz(primaries)
    parameters = (0, gamma) if gamma is not None else (3, *_SRGB_CURVE)
    curve = b"para\0\0\0\0" + struct.pack(">HH", int(parameters[0]), 0) + b"".join(map(_fixed, parameters[1:]))
    named = [(b"desc", _text("tellapart")), (b"cprt", _text("none")), (b"wtpt", _xyz(_D50))]
    named += [(b"rgb"[place : place + 1] + b"XYZ", _xyz(columns[:, place])) for place in range(3)]
    named += [(letter + b"TRC", curve) for letter in (b"r", b"g", b"b")]
    table, body = struct.pack(">I", len(named)), b""
    start = 128 + 4 + 12 * len(named)
    for name, value in named:
        table += name + struct.pack(">II", start + len(body), len(value))
        body += value + b"\0" * (-len(value) % 4)
    header = struct.pack(">I4sI4s4s4s12x4s28x", start + len(body), b"", 0x04300000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    header += _xyz(_D50)[8:]
    return header.ljust(128, b"\0") + table + body


def profile_of_codes(primaries: int, transfer: int) -> bytes | None:
    """A profile for numbers of ITU-T H.273, empty where they are those of sRGB; `None` where they are not known.

    Args:
        primaries: number of the primaries.
        transfer: number of the curve.
    """
    if primaries not in _CODED_PRIMARIES or transfer not in _CODED_GAMMAS:
        return None
    gamma = _CODED_GAMMAS[transfer]
    is_srgb = primaries == 1 and gamma is None
    return b"" if is_srgb else make_rgb_profile(_CODED_PRIMARIES[primaries], gamma)


def _primaries_to_xyz(primaries: tuple[float, ...]) -> _FLOATS:
    """Columns are red, green and blue in CIE XYZ, adapted from their white to D50."""
    xs, ys = np.array(primaries[0::2]), np.array(primaries[1::2])
    if len(primaries) != 8 or (ys <= 0.001).any() or (xs < 0).any() or (xs + ys > 1.001).any():
        raise ValueError(f"primaries {primaries!r}")
    colours = np.stack([xs / ys, np.ones(4), (1 - xs - ys) / ys])
    white, lights = colours[:, 0], colours[:, 1:]
    if abs(np.linalg.det(lights)) < 1e-6:
        raise ValueError(f"primaries {primaries!r}")
    lights = lights * np.linalg.solve(lights, white)
    adapt = np.linalg.inv(_BRADFORD) @ np.diag((_BRADFORD @ _D50) / (_BRADFORD @ white)) @ _BRADFORD
    columns: _FLOATS = adapt @ lights
    if not np.isfinite(columns).all() or np.abs(columns).max() > 4:
        raise ValueError(f"primaries {primaries!r}")
    return columns


def _read_tags(profile: bytes) -> dict[bytes, bytes]:
    (number,) = struct.unpack_from(">I", profile, 128)
    tags = {}
    for entry in range(132, 132 + 12 * min(number, _MAX_TAGS), 12):
        name, start, size = struct.unpack_from(">4sII", profile, entry)
        tags[name] = profile[start : start + size]
    return tags


def _read_xyz(value: bytes) -> _FLOATS:
    return np.array(struct.unpack_from(">3i", value, 8)) / 65536


def _read_curve(value: bytes) -> Curve:
    """The function from stored numbers to linear light, both in `[0, 1]`.

    Raises:
        ValueError, struct.error: there is none.
    """
    number, kind = struct.unpack_from(">I", value, 8)[0], value[:4]
    if kind == b"curv" and number == 0:
        return lambda stored: stored
    if kind == b"curv" and number == 1:
        return lambda stored: stored ** (struct.unpack_from(">H", value, 12)[0] / 256)
    if kind == b"curv" and number <= _MAX_CURVE:
        points = np.array(struct.unpack_from(f">{number}H", value, 12)) / 65535
        return lambda stored: np.interp(stored, np.linspace(0, 1, number), points)
    form = number >> 16
    if kind != b"para" or form not in _NUM_PARAMETERS:
        raise ValueError(f"curve {kind!r}")
    numbers = struct.unpack_from(f">{_NUM_PARAMETERS[form]}i", value, 12)
    return _parametric(form, [each / 65536 for each in numbers])


def _parametric(form: int, given: list[float]) -> Curve:
    """ICC.1, table 68: `(a x + b) ** gamma + e` from `d` on, `c x + f` below."""
    gamma, a, b, c, d, e, f = (given + [0.0] * 7)[:7]
    if form == 0:
        a, d = 1.0, -1.0
    elif form in (1, 2):
        d, e, f, c = (-b / a if a else 0.0), (c if form == 2 else 0.0), (c if form == 2 else 0.0), 0.0
    return lambda stored: np.where(
        stored >= d, np.maximum(a * stored + b, 0) ** gamma + e, np.float64(c) * stored + np.float64(f)
    )


def _encode_srgb(linear: _FLOATS) -> _FLOATS:
    clipped = np.clip(linear, 0, 1)
    encoded: _FLOATS = np.where(clipped <= 0.0031308, clipped * 12.92, 1.055 * clipped ** (1 / 2.4) - 0.055)
    return encoded


def _fixed(number: Any) -> bytes:
    return struct.pack(">i", round(float(number) * 65536))


def _xyz(colour: _FLOATS) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_fixed, colour))


def _text(words: str) -> bytes:
    text = words.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(text), 28) + text
