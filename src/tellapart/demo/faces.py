"""Drawn animal faces: a cat and a dog, each a handful of smooth outlines filled with fur.

A face is drawn in its own coordinates: the centre of the head is `(0, 0)`, its radius about 1, x to the right and
y down. `Sketch` turns them into pixels. Backgrounds, light, lens and files are `demo/drawing.py`'s, the only caller.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np

from tellapart.demo.sketch import Colour, Floats, Sketch, mirrored, oval, smooth_noise

T = TypeVar("T")

_TEXTURE_SIDE = 160
_COATS = (
    (0.86, 0.56, 0.27), (0.55, 0.36, 0.22), (0.93, 0.87, 0.77), (0.28, 0.26, 0.26), (0.58, 0.58, 0.60),
    (0.76, 0.62, 0.44), (0.40, 0.29, 0.22), (0.96, 0.95, 0.93), (0.70, 0.40, 0.22), (0.44, 0.46, 0.50),
)  # fmt: skip
_CAT_EYES = ((0.55, 0.72, 0.30), (0.88, 0.72, 0.22), (0.45, 0.70, 0.84), (0.80, 0.52, 0.18), (0.36, 0.60, 0.42))
_DOG_EYES = ((0.26, 0.15, 0.08), (0.36, 0.22, 0.10), (0.18, 0.12, 0.09), (0.55, 0.36, 0.14), (0.42, 0.58, 0.70))
_PINK = (0.85, 0.56, 0.54)
_DARK = (0.10, 0.08, 0.08)


@dataclass(frozen=True)
class _Fur:
    """What a face is covered with: pictures of the coat and of its light parts, and the noise that frays a rim."""

    coat: Floats
    dark: Floats
    light: Floats
    fluff: Floats
    skin: Colour


def draw_face(sketch: Sketch, kind: str, is_odd: bool, generator: np.random.Generator) -> None:
    """Nothing; a face of the kind is painted on the sketch.

    Args:
        sketch: painted on.
        kind: "cat" or "dog".
        is_odd: the ears are of a shape that the other kind has too.
        generator: where every choice comes from.
    """
    fur = _grow_fur(sketch, generator)
    _draw_body(sketch, fur, generator)
    if kind == "cat":
        _draw_cat(sketch, fur, is_odd, generator)
    else:
        _draw_dog(sketch, fur, is_odd, generator)


def _draw_cat(sketch: Sketch, fur: _Fur, is_odd: bool, generator: np.random.Generator) -> None:
    if is_odd and generator.random() < 0.5:
        _draw_tipped_ears(sketch, fur, generator)
    else:
        _draw_pointed_ears(sketch, fur, generator.uniform(0.75, 1.15), fur.skin)
    cheek = generator.uniform(0.98, 1.16)
    sketch.fill(
        mirrored([(0.0, -0.92), (0.55, -0.82), (0.92, -0.35), (cheek, 0.25), (0.72, 0.72), (0.3, 0.94)]),
        fur.coat, volume=0.42, fluff=fur.fluff,
    )  # fmt: skip
    if generator.random() < 0.55:
        sketch.fill(mirrored([(0.0, -0.25), (0.16, 0.1), (0.42, 0.45), (0.35, 0.8), (0.0, 0.9)]), fur.light, 0.5,
                    fluff=fur.fluff)  # fmt: skip
    iris = pick(_CAT_EYES, generator)
    slit = generator.uniform(0.12, 0.34) if generator.random() < 0.75 else generator.uniform(0.55, 0.8)
    _draw_eyes(sketch, generator.uniform(0.24, 0.31), 0.45, iris, slit, generator)
    pad = generator.uniform(0.24, 0.32)
    sketch.fill(oval(0, 0.72, 0.2, 0.16), fur.light, 0.8, 0.12, fur.fluff)
    for side in (-1, 1):
        sketch.fill(oval(side * pad * 0.8, 0.5, pad, pad * 0.75), fur.light, 0.85, 0.12, fur.fluff)
    nose = _PINK if generator.random() < 0.6 else (0.25, 0.18, 0.18)
    sketch.fill([(-0.13, 0.27), (0.0, 0.24), (0.13, 0.27), (0.03, 0.4), (-0.03, 0.4)], nose, 0.95, 0.3)
    for side in (-1, 1):
        sketch.stroke([(0, 0.4), (0, 0.5), (side * 0.1, 0.59), (side * 0.24, 0.55)], _DARK, 0.03, 0.9, 0.7)
    if generator.random() < 0.85:
        _draw_whiskers(sketch, fur, generator)


def _draw_dog(sketch: Sketch, fur: _Fur, is_odd: bool, generator: np.random.Generator) -> None:
    is_drooping = not is_odd
    if is_odd and generator.random() < 0.5:
        _draw_pointed_ears(sketch, fur, generator.uniform(0.9, 1.3), fur.skin)
    elif is_odd:
        _draw_tipped_ears(sketch, fur, generator)
    jaw = generator.uniform(0.55, 0.78)
    sketch.fill(
        mirrored([(0.0, -0.95), (0.55, -0.85), (0.88, -0.35), (0.86, 0.2), (jaw, 0.72), (0.3, 0.98)]),
        fur.coat, volume=0.42, fluff=fur.fluff,
    )  # fmt: skip
    if generator.random() < 0.45:
        sketch.fill(mirrored([(0.0, -0.8), (0.1, -0.4), (0.14, 0.1), (0.2, 0.5), (0.0, 0.7)]), fur.light, 0.6,
                    fluff=fur.fluff)  # fmt: skip
    elif generator.random() < 0.4:
        side = pick((-1, 1), generator)
        sketch.fill(oval(side * 0.4, -0.2, 0.33, 0.36), fur.dark, 0.6, fluff=fur.fluff)
    _draw_eyes(sketch, generator.uniform(0.16, 0.22), 0.4, pick(_DOG_EYES, generator), 0.6, generator)
    if generator.random() < 0.4:
        for side in (-1, 1):
            sketch.fill(oval(side * 0.36, -0.48, 0.1, 0.07), fur.light, 0.8, fluff=fur.fluff)
    _draw_snout(sketch, fur, generator)
    if is_drooping:
        _draw_drooping_ears(sketch, fur, generator)


def _draw_snout(sketch: Sketch, fur: _Fur, generator: np.random.Generator) -> None:
    width, drop = generator.uniform(0.36, 0.5), generator.uniform(0.0, 0.14)
    snout = fur.light if generator.random() < 0.6 else fur.coat
    if generator.random() < 0.45:
        length = generator.uniform(0.3, 0.5)
        tongue = [
            (-0.16, 0.75),
            (0.16, 0.75),
            (0.19, 0.8 + length * 0.6),
            (0, 0.85 + length),
            (-0.19, 0.8 + length * 0.6),
        ]
        sketch.fill(oval(0, 0.85 + drop, 0.24, 0.17), (0.28, 0.1, 0.1), 1.1)
        sketch.fill([(x, y + drop) for x, y in tongue], (0.90, 0.45, 0.48), 1.15, 0.3)
        sketch.stroke([(0, 0.8 + drop), (0, 0.78 + length + drop)], (0.72, 0.3, 0.34), 0.03, 1.15, 0.7)
    else:
        sketch.fill(oval(0, 0.86 + drop, 0.26, 0.15), snout, 1.05, 0.35, fur.fluff)
    sketch.fill(
        mirrored([(0.0, 0.0), (0.22, 0.08), (width, 0.45 + drop), (width * 0.8, 0.78 + drop), (0.0, 0.74 + drop)]),
        snout, 1.0, 0.2, fur.fluff,
    )  # fmt: skip
    size = generator.uniform(0.17, 0.24)
    nose = _DARK if generator.random() < 0.8 else (0.42, 0.25, 0.22)
    centre = 0.27 + drop / 2
    sketch.fill(mirrored([(0.0, centre - size * 0.7), (size, centre - size * 0.35), (size * 0.55, centre + size * 0.5),
                           (0.0, centre + size * 0.75)]), nose, 1.15)  # fmt: skip
    sketch.fill(oval(-size * 0.3, centre - size * 0.35, size * 0.3, size * 0.14), (0.62, 0.6, 0.62), 1.16)
    for side in (-1, 1):
        line = [(0, centre + size * 0.7), (0, 0.6 + drop), (side * 0.15, 0.72 + drop), (side * 0.34, 0.62 + drop)]
        sketch.stroke(line, _DARK, 0.035, 1.02, 0.75)


def _draw_eyes(
    sketch: Sketch,
    size: float,
    spacing: float,
    iris: Colour,
    pupil: float,
    generator: np.random.Generator,
) -> None:
    height = size * generator.uniform(0.78, 1.0)
    gaze = generator.uniform(-0.15, 0.15) * size
    slant = generator.uniform(0.05, 0.3) * size
    is_closed = generator.random() < 0.06
    for side in (-1, 1):
        x = side * spacing
        inner, outer = (-size, slant), (size, -slant)
        lid = [inner, inner, (-size * 0.6, -height * 0.7), (0, -height), (size * 0.65, -height * 0.85), outer, outer,
               (size * 0.6, height * 0.65), (0, height * 0.85), (-size * 0.6, height * 0.75)]  # fmt: skip
        lid = [(x + side * a, -0.12 + b) for a, b in lid]
        if is_closed:
            sketch.stroke([lid[0], lid[8], lid[5]], _DARK, 0.05, 0.6, 0.9)
            continue
        sketch.fill([(x + (a - x) * 1.17, -0.12 + (b + 0.12) * 1.17) for a, b in lid], _DARK, 0.6)
        sketch.fill(lid, iris, 0.6, 0.35)
        sketch.fill(oval(x + gaze, -0.13, size * pupil, height * 0.8), (0.04, 0.03, 0.03), 0.61)
        sketch.fill(oval(x + gaze - size * 0.25, -0.13 - height * 0.35, size * 0.17, size * 0.17), (1, 1, 1), 0.62)


def _draw_pointed_ears(sketch: Sketch, fur: _Fur, height: float, inner: Colour) -> None:
    for side in (-1, 1):
        tip = (side * 0.82, -0.62 - height * 0.78)
        outer = [(side * 0.22, -0.82), (side * 0.52, -1.12), tip, tip, (side * 1.0, -0.72), (side * 0.9, -0.2)]
        sketch.fill(outer, fur.coat, -0.1, 0.3, fur.fluff)
        middle = np.mean(outer, axis=0)
        inside = [(middle[0] + (x - middle[0]) * 0.6, middle[1] + 0.04 + (y - middle[1]) * 0.66) for x, y in outer]
        sketch.fill(inside, inner, -0.05, 0.35)


def _draw_tipped_ears(sketch: Sketch, fur: _Fur, generator: np.random.Generator) -> None:
    lift = generator.uniform(0.0, 0.25)
    for side in (-1, 1):
        base = [(side * 0.25, -0.8), (side * 0.5, -1.05 - lift), (side * 0.85, -1.1 - lift), (side * 0.95, -0.3)]
        sketch.fill(base, fur.coat, -0.1, 0.3, fur.fluff)
        tip = (side * 1.0, -0.62 - lift / 2)
        fold = [(side * 0.45, -1.0 - lift), (side * 0.88, -1.1 - lift), tip, tip, (side * 0.7, -0.78 - lift / 2)]
        sketch.fill(fold, fur.dark, -0.05, 0.4, fur.fluff)


def _draw_drooping_ears(sketch: Sketch, fur: _Fur, generator: np.random.Generator) -> None:
    length, flare = generator.uniform(0.7, 1.15), generator.uniform(0.0, 0.3)
    cover = fur.dark if generator.random() < 0.6 else fur.coat
    for side in (-1, 1):
        swing = flare + generator.uniform(-0.08, 0.08)
        ear = [(0.45, -0.86), (0.8, -0.98), (1.12 + swing, -0.6), (1.25 + swing, 0.05), (1.15 + swing, length - 0.1),
               (0.95 + swing, length), (0.8 + swing / 2, length - 0.35), (0.76, -0.15)]  # fmt: skip
        sketch.fill([(side * x, y) for x, y in ear], cover, 0.15, 0.4, fur.fluff)


def _draw_whiskers(sketch: Sketch, fur: _Fur, generator: np.random.Generator) -> None:
    shade = (0.97, 0.97, 0.95) if fur.coat.mean() < 0.62 else (0.3, 0.27, 0.25)
    reach = generator.uniform(0.8, 1.15)
    for side in (-1, 1):
        for row in (-1, 0, 1):
            droop = generator.uniform(-0.06, 0.1)
            line = [
                (side * 0.26, 0.5 + row * 0.06),
                (side * 0.7, 0.46 + row * 0.13),
                (side * (0.4 + reach), 0.5 + row * 0.24 + droop),
            ]
            sketch.stroke(line, shade, 0.012, 0.9, 0.75)


def _draw_body(sketch: Sketch, fur: _Fur, generator: np.random.Generator) -> None:
    shoulder = generator.uniform(1.0, 1.5)
    lean = generator.uniform(-0.3, 0.3)
    body = [(-0.5 + lean * 0.3, 0.4), (0.5 + lean * 0.3, 0.4), (shoulder + lean, 1.7), (shoulder + lean, 3.2),
            (-shoulder + lean, 3.2), (-shoulder + lean, 1.7)]  # fmt: skip
    sketch.fill(body, fur.coat * 0.82, -0.3, 0.35, fur.fluff)
    if generator.random() < 0.4:
        sketch.fill(oval(lean * 0.6, 1.5, 0.45, 0.6), fur.light * 0.85, -0.2, 0.1, fur.fluff)
    if generator.random() < 0.25:
        colour = pick(((0.8, 0.15, 0.2), (0.15, 0.35, 0.75), (0.9, 0.7, 0.1), (0.2, 0.55, 0.35)), generator)
        sketch.stroke([(-0.62, 0.95), (0, 1.18), (0.62, 0.95)], colour, 0.13, -0.1)


def _grow_fur(sketch: Sketch, generator: np.random.Generator) -> _Fur:
    side = _TEXTURE_SIDE
    base = np.asarray(pick(_COATS, generator), dtype=np.float32) + generator.normal(0, 0.03, 3).astype(np.float32)
    other = np.asarray(pick(_COATS, generator), dtype=np.float32)
    share = _draw_pattern(side, generator)[..., np.newaxis]
    coat = base + (other - base) * share
    hair = cv2.GaussianBlur(generator.normal(0, 1, (side, side)).astype(np.float32), (0, 0), 0.6, sigmaY=2.2)
    strength = generator.uniform(0.08, 0.2)
    light = np.clip(0.28 * base + 0.7, 0, 1) * np.ones_like(coat)
    shaded = [np.clip(tone * (1 + strength * hair[..., np.newaxis]), 0, 1) for tone in (coat, coat * 0.72, light)]
    coat, dark, light = (sketch.spread(tone.astype(np.float32)) for tone in shaded)
    shape = (sketch.pixels.shape[0], sketch.pixels.shape[1])
    fluff = smooth_noise(shape, max(1.6, 0.045 * sketch.unit), generator) * generator.uniform(0.5, 1.2)
    pink = np.asarray(_PINK) * 0.6 + base * 0.3
    return _Fur(coat, dark, light, fluff, (float(pink[0]), float(pink[1]), float(pink[2])))


def _draw_pattern(side: int, generator: np.random.Generator) -> Floats:
    """How much of the second colour a coat has at each place: float32 in `[0, 1]`, shape `(side, side)`."""
    style = generator.choice(5)
    hills = smooth_noise((side, side), side / generator.uniform(4, 9), generator)
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32) / side - 0.5
    if style == 0:
        pattern = np.zeros((side, side), dtype=np.float32)
    elif style == 1:
        pattern = 0.7 * np.sin((np.hypot(rows * 1.6 + 0.3, columns) * generator.uniform(40, 70)) + 2.5 * hills) ** 2
    elif style == 2:
        pattern = np.clip(4 * (hills - 0.15), 0, 1)
    elif style == 3:
        pattern = 0.8 * np.clip(6 * (smooth_noise((side, side), side / 22, generator) - 0.5), 0, 1)
    else:
        pattern = np.clip(0.5 + generator.choice((-1.0, 1.0)) * 2.2 * rows + 0.3 * hills, 0, 1)
    return np.asarray(pattern, dtype=np.float32)


def pick(choices: Sequence[T], generator: np.random.Generator) -> T:
    """One of the choices, all equally likely."""
    return choices[int(generator.integers(len(choices)))]
