import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tellapart.config import ImageLimits
from tellapart.images.preprocess import PreprocessSpec, load_image
from tellapart.training.mirror import MirrorChoice, choose_mirroring

DATA_DIR = Path(__file__).parents[2] / "../shared/data"
FONTS = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_TRIPLEX)
SIDE = 64
NOTHING = MirrorChoice(True, 0.0, 0.0, 0.0, 0)

Pixels = NDArray[np.uint8]
Ints = NDArray[np.int64]


def paper(generator: np.random.Generator) -> Pixels:
    return np.full((SIDE, SIDE, 3), generator.integers(120, 256, 3), np.uint8)


def ink(generator: np.random.Generator) -> tuple[int, ...]:
    return tuple(generator.integers(0, 110, 3).tolist())


def with_noise(images: list[Pixels], generator: np.random.Generator) -> Pixels:
    stacked = np.stack(images)
    return np.clip(stacked + generator.normal(0, 20, stacked.shape), 0, 255).astype(np.uint8)


def letters(characters: str, num_photos: int, seed: int = 0) -> tuple[Pixels, Ints]:
    """Characters in four fonts, of many sizes, colours and places, and which of them each is."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(num_photos) % len(characters))
    images = []
    for label in labels:
        image, text = paper(generator), characters[label]
        font, scale = FONTS[generator.integers(len(FONTS))], generator.uniform(0.9, 1.6)
        thickness = int(generator.integers(1, 4))
        (width, height), _ = cv2.getTextSize(text, font, scale, thickness)
        column, row = generator.integers(-8, 9, 2)
        corner = (int((SIDE - width) // 2 + column), int((SIDE + height) // 2 + row))
        cv2.putText(image, text, corner, font, scale, ink(generator), thickness)
        images.append(image)
    return with_noise(images, generator), labels


def arrows(num_photos: int, seed: int = 0) -> tuple[Pixels, Ints]:
    """Arrows to the left (0) and to the right (1)."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(num_photos) % 2)
    images = []
    for label in labels:
        image = paper(generator)
        step = np.array([(2 * label - 1) * generator.integers(15, 24), generator.integers(-6, 7)])
        centre = SIDE // 2 + generator.integers(-8, 9, 2)
        ends = (tuple((centre - step).tolist()), tuple((centre + step).tolist()))
        cv2.arrowedLine(image, *ends, ink(generator), int(generator.integers(1, 4)), tipLength=0.3)
        images.append(image)
    return with_noise(images, generator), labels


def shapes(num_photos: int, seed: int = 0) -> tuple[Pixels, Ints]:
    """Circles (0), squares (1) and triangles (2), each its own mirror image."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(num_photos) % 3)
    outlines = (
        [[np.cos(t), np.sin(t)] for t in np.arange(40) * np.pi / 20],
        [[-1, -1], [1, -1], [1, 1], [-1, 1]],
        [[0, -1], [1, 1], [-1, 1]],
    )
    images = []
    for label in labels:
        image = paper(generator)
        points = np.array(outlines[label]) * generator.integers(10, 22) + SIDE // 2 + generator.integers(-9, 10, 2)
        cv2.fillPoly(image, [np.round(points).astype(np.int32)], ink(generator))
        images.append(image)
    return with_noise(images, generator), labels


def choose(images: Pixels, labels: Ints, seed: int = 0) -> MirrorChoice:
    """The choice where no photo is a duplicate."""
    return choose_mirroring(images, labels.astype(np.int64), np.arange(len(labels)), seed)


def load_photos(pattern: str, rows_of: slice) -> Pixels:
    """Real photos at 96x96 pixels; skips the test where they are absent."""
    paths = sorted(DATA_DIR.glob(pattern))[rows_of]
    if not paths:
        pytest.skip("the real photos are not here")
    return np.stack([load_image(path.read_bytes(), PreprocessSpec((96, 96)), ImageLimits()) for path in paths])


@pytest.mark.parametrize("num_photos", [60, 300])
@pytest.mark.parametrize("characters", ["bd", "pq"])
def test_letters_that_are_mirror_images_are_not_to_be_mirrored(characters: str, num_photos: int) -> None:
    choice = choose(*letters(characters, num_photos))
    assert not choice.is_harmless
    assert choice.loss_with > 0.9 * np.log(2)
    assert choice.loss_without < 0.45


def test_four_letters_that_are_two_pairs_of_mirror_images_are_not_to_be_mirrored() -> None:
    assert not choose(*letters("bdpq", 200)).is_harmless


@pytest.mark.parametrize("seed", range(3))
def test_arrows_to_the_left_and_right_are_not_to_be_mirrored(seed: int) -> None:
    assert not choose(*arrows(80, seed), seed).is_harmless


@pytest.mark.parametrize("num_photos", [12, 60, 300])
@pytest.mark.parametrize("seed", range(3))
def test_shapes_that_are_their_own_mirror_images_may_be_mirrored(num_photos: int, seed: int) -> None:
    choice = choose(*shapes(num_photos, seed), seed)
    assert choice.is_harmless
    assert choice.twins is None


def test_letters_that_are_their_own_mirror_images_may_be_mirrored() -> None:
    choice = choose(*letters("AHIMOTUVWXY", 440))
    assert choice.is_harmless
    assert choice.loss_with < choice.loss_without


def test_one_pair_of_mirror_images_among_many_classes_is_named() -> None:
    images, labels = letters("AHIMTUVXY8-+bd", 14 * 45)
    choice = choose(images, labels)
    assert choice.twins == (12, 13)
    assert not choice.is_harmless


def test_the_twins_are_named_by_the_labels_that_were_given() -> None:
    images, labels = letters("bd", 100)
    assert choose(images, np.array([3, 11])[labels]).twins == (3, 11)


def test_two_classes_without_a_difference_may_be_mirrored() -> None:
    images, _ = shapes(80)
    assert choose(images, np.random.default_rng(1).integers(0, 2, 80)).is_harmless


def test_where_each_photo_is_there_in_its_mirrored_form_too_mirroring_is_harmless() -> None:
    images, labels = letters("bd", 100)
    images = np.concatenate([images, images[:, :, ::-1]])
    groups = np.tile(np.arange(100), 2)
    assert choose_mirroring(images, np.tile(labels, 2), groups, 0).is_harmless


def test_the_seed_alone_decides() -> None:
    images, labels = letters("bd", 60)
    assert choose(images, labels, 5) == choose(images, labels, 5)
    assert choose(images, labels, 5) != choose(images, labels, 6)


def test_the_photos_are_only_read(tmp_path: Path) -> None:
    images, labels = letters("bd", 60)
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert choose(mapped, labels) == choose(images, labels)


def test_one_channel_says_what_three_equal_channels_say() -> None:
    images, labels = arrows(60)
    grey = images[..., :1]
    assert choose(grey, labels) == choose(np.repeat(grey, 3, axis=3), labels)


@pytest.mark.parametrize("image_size", [(24, 24), (40, 150), (224, 90)], ids=str)
def test_neither_the_size_nor_the_shape_of_the_photos_matters(image_size: tuple[int, int]) -> None:
    images, labels = arrows(80)
    resized = np.stack([cv2.resize(image, image_size[::-1], interpolation=cv2.INTER_AREA) for image in images])
    assert not choose(resized, labels).is_harmless


def test_mirroring_every_photo_changes_neither_loss() -> None:
    images, labels = letters("bdpq", 120)
    as_is, mirrored = choose(images, labels), choose(np.ascontiguousarray(images[:, :, ::-1]), labels)
    assert mirrored.loss_with == pytest.approx(as_is.loss_with, abs=0.01)
    assert mirrored.loss_without == pytest.approx(as_is.loss_without, abs=0.01)


def test_copies_of_photos_make_nothing_surer() -> None:
    images, labels = letters("bd", 60)
    once = choose(images, labels)
    copied = choose_mirroring(np.tile(images, (5, 1, 1, 1)), np.tile(labels, 5), np.tile(np.arange(60), 5), 0)
    assert copied.num_photos == 5 * once.num_photos
    assert copied.standard_error > 0.7 * once.standard_error


def test_no_more_than_2000_photos_are_looked_at_and_every_class_among_them() -> None:
    images, labels = shapes(30)
    rows = np.arange(2600) % 30
    labels = np.where(np.arange(2600) < 5, 3, labels[rows])
    assert choose(images[rows], labels).num_photos == 2000


def test_four_photos_of_each_of_many_classes_are_too_few_to_say() -> None:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (400, 24, 24, 3), np.uint8)
    choice = choose(images, np.arange(400) % 100)
    assert choice.is_harmless
    assert choice.num_photos == 400


@pytest.mark.parametrize("value", [0, 93, 255])
def test_nothing_is_measured_on_photos_of_one_colour(value: int) -> None:
    assert choose(np.full((20, 8, 8, 3), value, np.uint8), np.arange(20) % 2) == NOTHING


def test_nothing_is_measured_on_a_single_class() -> None:
    images, labels = shapes(12)
    assert choose(images, np.zeros_like(labels)) == NOTHING


def test_nothing_is_measured_where_no_class_has_two_different_photos() -> None:
    images, _ = shapes(6)
    labels = np.repeat(np.arange(2), 3)
    assert choose_mirroring(images, labels, labels, 0) == NOTHING


def test_nothing_is_measured_without_photos() -> None:
    assert choose(np.empty((0, 8, 8, 3), np.uint8), np.empty(0, np.int64)) == NOTHING


def test_equal_photos_with_different_labels_may_be_mirrored() -> None:
    images, _ = shapes(2)
    assert choose(images[np.arange(40) // 20], np.arange(40) % 2).is_harmless


@settings(max_examples=25)
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=6),
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from([1, 3]),
    st.integers(0, 2**32),
)
def test_every_small_collection_gets_an_answer(
    counts: list[int], height: int, width: int, channels: int, seed: int
) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.random.default_rng(seed).integers(0, 256, (len(labels), height, width, channels), np.uint8)
    choice = choose(images, labels, seed)
    assert np.isfinite([choice.loss_with, choice.loss_without, choice.standard_error]).all()
    assert 0 <= choice.num_photos <= len(labels)
    assert choice.standard_error >= 0


def test_keras_is_not_loaded() -> None:
    code = "import sys, tellapart.training.mirror; sys.exit('keras' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.real_data
@pytest.mark.parametrize("num_of_class", [25, 100, 400])
def test_cats_and_dogs_may_be_mirrored(num_of_class: int) -> None:
    cats = load_photos("cats-dogs/train/cat*", slice(num_of_class))
    dogs = load_photos("cats-dogs/train/dog*", slice(num_of_class))
    labels = np.repeat(np.arange(2), num_of_class)
    assert choose(np.concatenate([cats, dogs]), labels).is_harmless


@pytest.mark.real_data
def test_kinds_of_weather_may_be_mirrored() -> None:
    kinds = [load_photos(f"weather/{name}/*", slice(None, None, 2)) for name in ("cloudy", "rain", "shine", "sunrise")]
    labels = np.repeat(np.arange(4), [len(kind) for kind in kinds])
    assert choose(np.concatenate(kinds), labels).is_harmless
