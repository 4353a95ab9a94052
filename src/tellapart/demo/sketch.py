"""Painting with smooth outlines on a float picture: the paper and the brushes of the drawn demo photos.

`demo/faces.py` draws faces with it, `demo/drawing.py` backgrounds.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Colour = tuple[float, float, float]
Window = tuple[slice, slice]
Points = Sequence[tuple[float, float]]

TEXTURE_REACH = 2.4


class Sketch:
    """A picture being painted, with the place of one face in it.

    Args:
        pixels: float32 RGB in `[0, 1]`, shape `(height, width, 3)`; painted on in place.
        centre: `(x, y)` of the head in pixels.
        unit: pixels per unit of the face's coordinates.
        tilt: rotation in the picture plane, in radians.
        turn: `(yaw, pitch)` of the head, in radians; what lies in front of the head moves sideways with it.
    """

    def __init__(
        self, pixels: Floats, centre: tuple[float, float], unit: float, tilt: float, turn: tuple[float, float]
    ) -> None:
        self.pixels = pixels
        self.unit = unit
        self._turn = turn
        cosine, sine = np.cos(tilt) * unit, np.sin(tilt) * unit
        self._matrix = np.array([[cosine, -sine, centre[0]], [sine, cosine, centre[1]]], dtype=np.float64)

    def place(self, points: Points | NDArray[np.float64], depth: float = 0.0) -> NDArray[np.float64]:
        """Pixel coordinates `(n, 2)` of points that lie `depth` head radii in front of the head's centre plane."""
        yaw, pitch = self._turn
        flat = np.asarray(points, dtype=np.float64)
        x = flat[:, 0] * np.cos(yaw) + depth * np.sin(yaw)
        y = flat[:, 1] * np.cos(pitch) + depth * np.sin(pitch)
        return np.stack([x, y, np.ones_like(x)], axis=1) @ self._matrix.T

    def spread(self, texture: Floats) -> Floats:
        """A square texture of the face's surroundings, moved to where the face is: float32, the picture's shape."""
        scale = 2 * TEXTURE_REACH / texture.shape[0]
        to_face = np.array([[scale, 0, -TEXTURE_REACH], [0, scale, -TEXTURE_REACH], [0, 0, 1]])
        height, width = self.pixels.shape[:2]
        matrix = self._matrix @ to_face
        return np.asarray(
            cv2.warpAffine(texture, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT),
            dtype=np.float32,
        )

    def fill(
        self,
        outline: Points,
        colour: Floats | Colour,
        depth: float = 0.0,
        volume: float = 0.0,
        fluff: Floats | None = None,
    ) -> None:
        """The closed smooth curve through `outline`, painted; a point given twice is a corner.

        Args:
            outline: points in face coordinates.
            colour: one colour, or a float32 picture to take the pixels from.
            depth: how far in front of the head's centre plane the shape lies.
            volume: how much darker the rim is than the middle, in `[0, 1]`.
            fluff: zero-mean noise of the picture's height and width that frays the rim.
        """
        curve = self.place(_smooth_curve(outline), depth)
        window, low = self._window(curve, int(0.2 * self.unit) + 3)
        mask = _polygon_mask(curve - low, self.pixels[window].shape[:2])
        if mask.size == 0:
            return
        if fluff is not None:
            soft = cv2.GaussianBlur(mask, (0, 0), 0.045 * self.unit + 0.3)
            mask = np.clip((soft - 0.5 + 0.30 * fluff[window]) * 5 + 0.5, 0, 1)
        paint = np.asarray(colour, dtype=np.float32)
        paint = paint[window] if paint.ndim == 3 else paint
        if volume:
            inside = cv2.GaussianBlur(mask, (0, 0), 0.16 * self.unit + 0.5)
            paint = paint * (1 - volume * np.clip(2 - 2 * inside, 0, 1))[..., np.newaxis]
        self._blend(window, paint, mask)

    def stroke(self, points: Points, colour: Colour, width: float, depth: float = 0.0, alpha: float = 1.0) -> None:
        """A smooth open line through the points, `width` in face units and at least a pixel."""
        curve = self.place(_smooth_curve(points, closed=False), depth)
        thickness = max(1, round(width * self.unit))
        window, low = self._window(curve, thickness + 2)
        mask = np.zeros(self.pixels[window].shape[:2], dtype=np.uint8)
        if mask.size:
            cv2.polylines(mask, [_fixed_point(curve - low)], False, 255, thickness, cv2.LINE_AA, shift=4)
            self._blend(window, np.asarray(colour, dtype=np.float32), mask.astype(np.float32) * (alpha / 255))

    def _window(self, curve: NDArray[np.float64], margin: int) -> tuple[Window, NDArray[np.int64]]:
        """The part of the picture that holds the curve, and its `(x, y)` corner; empty if the curve is outside."""
        low = np.maximum(np.floor(curve.min(axis=0)).astype(np.int64) - margin, 0)
        high = np.minimum(np.ceil(curve.max(axis=0)).astype(np.int64) + margin, self.pixels.shape[1::-1])
        high = np.maximum(high, low)
        return (slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))), low

    def _blend(self, window: Window, paint: Floats, opacity: Floats) -> None:
        self.pixels[window] += (paint - self.pixels[window]) * opacity[..., np.newaxis]


def smooth_noise(shape: tuple[int, int], cell: float, generator: np.random.Generator) -> Floats:
    """Soft random hills about `cell` pixels wide, mean near 0, most values within `[-1, 1]`: float32 of `shape`."""
    height, width = shape
    coarse = generator.uniform(-1, 1, (int(height / cell) + 3, int(width / cell) + 3)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.float32)


def _smooth_curve(points: Points, closed: bool = True, steps: int = 10) -> NDArray[np.float64]:
    """A Catmull-Rom curve through the points, as `(n, 2)` points close together."""
    knots = np.asarray(points, dtype=np.float64)
    padded = np.concatenate([knots[-1:], knots, knots[:2]] if closed else [knots[:1], knots, knots[-1:]])
    before, start, end, after = padded[:-3, None], padded[1:-2, None], padded[2:-1, None], padded[3:, None]
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    curve = 0.5 * (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t**2
        + (3 * start - before - 3 * end + after) * t**3
    )
    flat = curve.reshape(-1, 2)
    return flat if closed else np.concatenate([flat, knots[-1:]])


def _fixed_point(curve: NDArray[np.float64]) -> NDArray[np.int32]:
    """Coordinates in sixteenths of a pixel, as OpenCV draws them with `shift=4`."""
    return np.round(curve * 16).astype(np.int32)


def _polygon_mask(curve: NDArray[np.float64], shape: tuple[int, int]) -> Floats:
    mask = np.zeros(shape, dtype=np.uint8)
    if mask.size:
        cv2.fillPoly(mask, [_fixed_point(curve)], 255, cv2.LINE_AA, shift=4)
    return np.asarray(mask / 255, dtype=np.float32)


def mirrored(right: Points) -> Points:
    """A symmetric outline from its right half, top to bottom."""
    return [*right, *((-x, y) for x, y in reversed(right) if x)]


def oval(x: float, y: float, half_width: float, half_height: float) -> Points:
    """The outline of an ellipse around `(x, y)`."""
    angles = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    return [(x + half_width * float(np.cos(a)), y + half_height * float(np.sin(a))) for a in angles]
