"""Drawn photos of cats and dogs, the same bytes for the same seed, for the demo and the tests.

Made to be learnable but not easy: both kinds share coats, backgrounds and light, and over a quarter of the photos is
cut off, covered, turned away or has ears that the other kind has too. The faces are `demo/faces.py`'s; here are
scene, light, lens and files.
"""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tellapart.demo.faces import draw_face, pick
from tellapart.demo.sketch import Colour, Floats, Sketch, oval, smooth_noise
from tellapart.errors import OutputError
from tellapart.store import write_file
from tellapart.translation import gettext as _

DEMO_CLASSES = ("cat", "dog")

_OVERSAMPLING = 2
_SIDES = (120, 200)
_ASPECTS = (1.0, 1.0, 4 / 3, 3 / 4, 3 / 2, 2 / 3, 5 / 4)
_ZIP_TIME = (2020, 1, 1, 0, 0, 0)
_TEST_STREAM = len(DEMO_CLASSES)


def draw_photo(kind: str, generator: np.random.Generator) -> NDArray[np.uint8]:
    """A drawn photo of one face: uint8 RGB, shape `(height, width, 3)`, both sides 120 to 200 pixels.

    Args:
        kind: a name of `DEMO_CLASSES`.
        generator: where every choice comes from; two generators in the same state give the same photo.
    """
    if kind not in DEMO_CLASSES:
        raise ValueError(f"kind {kind!r} is not drawn. Give one of {', '.join(DEMO_CLASSES)}.")
    height, width = _draw_size(generator)
    canvas = (height * _OVERSAMPLING, width * _OVERSAMPLING)
    pixels = _draw_background(canvas, generator)
    is_hard = generator.random() < 0.28
    sketch = _place_face(pixels, is_hard, generator)
    draw_face(sketch, kind, is_hard and generator.random() < 0.5, generator)
    if generator.random() < 0.14:
        _cover_part(sketch, generator)
    if generator.random() < 0.5:
        pixels = np.ascontiguousarray(pixels[:, ::-1])
    pixels = _light(pixels, generator)
    small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    return _photograph(np.asarray(small, dtype=np.float32), generator)


def write_demo_zips(out_dir: Path, num_per_class: int, num_test: int, seed: int) -> tuple[Path, Path]:
    """Paths of a new `train.zip` and `test.zip` in `out_dir`, laid out as Kaggle ships cats and dogs.

    `train.zip` holds `train/cat.0.jpg`, ..., `train/dog.0.jpg`, ...; `test.zip` holds `test/1.jpg`, ... without labels.
    The same arguments give the same bytes. Both are overwritten where they exist.

    Args:
        out_dir: made if it is missing.
        num_per_class: photos of each class in `train.zip`.
        num_test: photos in `test.zip`, about half of each kind, in random order.
        seed: non-negative.

    Raises:
        OutputError: the files cannot be written.
    """
    make_folder(out_dir)
    paths = (out_dir / "train.zip", out_dir / "test.zip")
    write_file(paths[0], zip_bytes(_draw_train(num_per_class, seed, "train/{kind}.{number}.jpg")))
    write_file(paths[1], zip_bytes(_draw_test(num_test, seed)))
    return paths


def write_demo_folder(out_dir: Path, num_per_class: int, seed: int) -> Path:
    """`out_dir`, now with a folder a class (`cat/cat.0.jpg`, ...), holding the photos of `write_demo_zips`.

    Raises:
        OutputError: the files cannot be written.
    """
    for kind in DEMO_CLASSES:
        make_folder(out_dir / kind)
    for name, data in _draw_train(num_per_class, seed, "{kind}/{kind}.{number}.jpg"):
        write_file(out_dir / name, data)
    return out_dir


def make_folder(path: Path) -> None:
    """Makes the folder, and those above it, if it is missing.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as exc:
        raise OutputError(
            _("{path!r} exists and is not a folder. Give a new path as `out`.").format(path=str(path)), path=path
        ) from exc
    except OSError as exc:
        raise OutputError(
            _("cannot make the folder {path!r}: {strerror}. Give another `out`.").format(
                path=str(path), strerror=exc.strerror
            ),
            path=path,
        ) from exc


def _draw_train(num_per_class: int, seed: int, name: str) -> Iterator[tuple[str, bytes]]:
    for label, kind in enumerate(DEMO_CLASSES):
        for number in range(num_per_class):
            generator = np.random.default_rng((seed, label, number))
            yield name.format(kind=kind, number=number), encode_jpeg(draw_photo(kind, generator), generator)


def _draw_test(num_test: int, seed: int) -> Iterator[tuple[str, bytes]]:
    for number in range(1, num_test + 1):
        generator = np.random.default_rng((seed, _TEST_STREAM, number))
        kind = pick(DEMO_CLASSES, generator)
        yield f"test/{number}.jpg", encode_jpeg(draw_photo(kind, generator), generator)


def zip_bytes(members: Iterator[tuple[str, bytes]]) -> bytes:
    """A zip of these members by name; the same members give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name, date_time=_ZIP_TIME)
            info.external_attr = 0o644 << 16
            archive.writestr(info, data)
    return buffer.getvalue()


def encode_jpeg(image: NDArray[np.uint8], generator: np.random.Generator) -> bytes:
    """The image as a JPEG of a quality that is drawn between 70 and 94."""
    quality = int(generator.integers(70, 95))
    is_encoded, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert is_encoded
    return bytes(data)


def _draw_size(generator: np.random.Generator) -> tuple[int, int]:
    low, high = _SIDES
    aspect = pick(_ASPECTS, generator)
    long_side = generator.uniform(low * max(aspect, 1 / aspect), high)
    short_side = long_side / max(aspect, 1 / aspect)
    sides = (round(short_side), round(long_side))
    return sides if aspect >= 1 else sides[::-1]


def _place_face(pixels: Floats, is_hard: bool, generator: np.random.Generator) -> Sketch:
    """A sketch on the pixels; a hard one is more often cut off by the frame, small, tilted or turned away."""
    height, width = pixels.shape[:2]
    reach = 1.7 if is_hard else 1.0
    unit = min(height, width) * (generator.uniform(0.14, 0.42) if is_hard else generator.uniform(0.25, 0.34))
    drift_x, drift_y = generator.uniform(-0.09, 0.09, 2) * reach
    centre = (width * (0.5 + drift_x), height * (0.52 + drift_y))
    tilt = float(np.clip(generator.normal(0, 0.16 * reach), -1.0, 1.0))
    turn = (float(generator.uniform(-0.32, 0.32) * reach), float(generator.uniform(-0.12, 0.14) * reach))
    return Sketch(pixels, centre, unit, tilt, turn)


def _draw_background(shape: tuple[int, int], generator: np.random.Generator) -> Floats:
    """A float32 picture in `[0, 1]`, shape `(*shape, 3)`: plain, a gradient, a room, a meadow, lights or cloth."""
    first, second = _random_colour(generator), _random_colour(generator)
    rows = np.linspace(0, 1, shape[0], dtype=np.float32)[:, np.newaxis]
    columns = np.linspace(0, 1, shape[1], dtype=np.float32)[np.newaxis, :]
    style = int(generator.integers(6))
    if style == 0:
        share = np.full(shape, 0.0, dtype=np.float32)
    elif style == 1:
        angle = generator.uniform(0, 2 * np.pi)
        share = np.clip(0.5 + (rows - 0.5) * np.cos(angle) + (columns - 0.5) * np.sin(angle), 0, 1)
    elif style == 2:
        share = np.clip((rows - generator.uniform(0.45, 0.8)) * 60, 0, 1) + 0 * columns
    elif style == 3:
        return _draw_meadow(shape, generator)
    elif style == 4:
        return _draw_lights(shape, first, generator)
    else:
        cell = shape[0] / generator.uniform(3, 14)
        share = np.clip(0.5 + 0.6 * smooth_noise(shape, cell, generator), 0, 1)
    share = share + 0.05 * smooth_noise(shape, shape[0] / 5, generator)
    return _mix(first, second, share)


def _draw_meadow(shape: tuple[int, int], generator: np.random.Generator) -> Floats:
    horizon = round(shape[0] * generator.uniform(0.15, 0.6))
    sky = _mix((0.55, 0.74, 0.92), (0.9, 0.94, 0.97), 0.5 + 0.7 * smooth_noise(shape, shape[0] / 4, generator))
    blades = smooth_noise(shape, 3, generator)
    blades = cv2.GaussianBlur(blades, (0, 0), 1.0, sigmaY=5.0) * 1.8
    grass = _mix((0.22, 0.42, 0.14), (0.56, 0.70, 0.28), 0.5 + blades + 0.2 * smooth_noise(shape, 60, generator))
    sky[horizon:] = grass[horizon:]
    return np.asarray(cv2.GaussianBlur(sky, (0, 0), generator.uniform(1, 5)), dtype=np.float32)


def _draw_lights(shape: tuple[int, int], colour: Colour, generator: np.random.Generator) -> Floats:
    """Out-of-focus discs on a darker wall."""
    pixels = np.ones((*shape, 3), dtype=np.float32) * np.asarray(colour, dtype=np.float32) * 0.6
    for _unused in range(int(generator.integers(6, 22))):
        disc = pixels.copy()
        centre = (int(generator.integers(shape[1])), int(generator.integers(shape[0])))
        radius = int(generator.uniform(0.03, 0.16) * shape[0])
        cv2.circle(disc, centre, radius, _random_colour(generator), -1, cv2.LINE_AA)
        pixels = cv2.addWeighted(pixels, 0.5, disc, 0.5, 0).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), generator.uniform(1, 6)), dtype=np.float32)


def _cover_part(sketch: Sketch, generator: np.random.Generator) -> None:
    """Something in front of the face: a stick, a blanket's edge, a ball or a leaf."""
    colour = np.asarray(_random_colour(generator), dtype=np.float32)
    shape = (sketch.pixels.shape[0], sketch.pixels.shape[1])
    cloth = colour * (1 + 0.12 * smooth_noise(shape, 7, generator))[..., np.newaxis]
    style = int(generator.integers(4))
    x, y = generator.uniform(-0.9, 0.9), generator.uniform(-0.7, 0.7)
    if style == 0:
        slope, half = generator.uniform(-0.5, 0.5), generator.uniform(0.07, 0.15)
        top, bottom = x - slope * 4, x + slope * 4
        corners = ((top - half, -4.0), (top + half, -4.0), (bottom + half, 4.0), (bottom - half, 4.0))
        outline = [corner for corner in corners for _unused in range(2)]
    elif style == 1:
        edge = generator.uniform(0.35, 0.75)
        outline = [(-4, edge + 0.2), (-1, edge), (1, edge + 0.12), (4, edge - 0.1), (4, 5), (4, 5), (-4, 5), (-4, 5)]
    elif style == 2:
        radius = generator.uniform(0.25, 0.45)
        outline = list(oval(x, y, radius, radius))
    else:
        cloth = cloth * np.asarray((0.35, 0.75, 0.3), dtype=np.float32)
        outline = [(x, y - 0.6), (x, y - 0.6), (x + 0.3, y), (x + 0.1, y + 0.6), (x + 0.1, y + 0.6), (x - 0.25, y)]
    sketch.fill(outline, np.clip(cloth, 0, 1).astype(np.float32), 0.3, 0.35)


def _light(pixels: Floats, generator: np.random.Generator) -> Floats:
    """The picture under a lamp from one side, with a colour cast, darker corners and an exposure of its own."""
    height, width = pixels.shape[:2]
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, np.newaxis]
    columns = np.linspace(-1, 1, width, dtype=np.float32)[np.newaxis, :]
    angle, slope = generator.uniform(0, 2 * np.pi), generator.uniform(0, 0.3)
    lamp = 1 + slope * (rows * np.cos(angle) + columns * np.sin(angle))
    corners = 1 - generator.uniform(0, 0.22) * (rows**2 + columns**2) / 2
    cast = 1 + generator.normal(0, 0.05, 3).astype(np.float32)
    exposure = generator.uniform(0.8, 1.12) if generator.random() < 0.85 else generator.uniform(0.42, 0.66)
    return np.asarray(pixels * (lamp * corners * exposure)[..., np.newaxis] * cast, dtype=np.float32)


def _photograph(pixels: Floats, generator: np.random.Generator) -> NDArray[np.uint8]:
    """What a camera makes of the scene: some blur, some noise, 8 bits."""
    if generator.random() < 0.35:
        pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), generator.uniform(0.4, 2.0)), dtype=np.float32)
    noise = generator.normal(0, generator.uniform(0.004, 0.04), pixels.shape).astype(np.float32)
    return np.asarray(np.clip((pixels + noise) * 255 + 0.5, 0, 255), dtype=np.uint8)


def _random_colour(generator: np.random.Generator) -> Colour:
    """Mostly the muted colours of rooms and gardens, now and then a bright one."""
    grey = generator.uniform(0.2, 0.92)
    spread = 0.12 if generator.random() < 0.7 else 0.35
    red, green, blue = np.clip(grey + generator.normal(0, spread, 3), 0.05, 1)
    return float(red), float(green), float(blue)


def _mix(first: Colour, second: Colour, share: Floats) -> Floats:
    part = np.clip(share, 0, 1)[..., np.newaxis]
    mixed = np.asarray(first, dtype=np.float32) * (1 - part) + np.asarray(second, dtype=np.float32) * part
    return np.asarray(mixed, dtype=np.float32)
