from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tellapart.config import ImageLimits, SourceConfig
from tellapart.errors import DatasetError, ImageError
from tellapart.photos.photoset import PhotoSet, check_classes
from tellapart.photos.sources import list_photos, open_labelled

Plant = Callable[..., Path]


@pytest.fixture
def photos(plant: Plant) -> PhotoSet:
    """3 cats and 12 dogs."""
    return open_labelled(plant(*(f"cat/{row}.jpg" for row in range(3)), *(f"dog/{row}.jpg" for row in range(12))))


def test_some_of_each_class_or_all_where_there_are_fewer(photos: PhotoSet) -> None:
    assert photos.per_class(5, seed=1).counts() == {"cat": 3, "dog": 5}


def test_the_seed_alone_decides_which_are_taken(photos: PhotoSet) -> None:
    assert photos.per_class(5, seed=1).paths == photos.per_class(5, seed=1).paths
    assert photos.per_class(5, seed=1).paths != photos.per_class(5, seed=2).paths


def test_photos_per_class_stay_in_order(photos: PhotoSet) -> None:
    chosen = photos.per_class(5, seed=3).paths

    assert list(chosen) == [path for path in photos.paths if path in set(chosen)]


def test_photos_per_class_need_labels(plant: Plant) -> None:
    with pytest.raises(DatasetError, match="have no labels"):
        list_photos([plant("1.jpg")]).per_class(1, seed=0)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_shuffling_keeps_every_photo_with_its_label(photos: PhotoSet, seed: int) -> None:
    shuffled = photos.shuffled(seed)

    assert sorted(zip(shuffled.paths, shuffled.labels, strict=True)) == sorted(
        zip(photos.paths, photos.labels, strict=True)
    )
    assert shuffled.paths == photos.shuffled(seed).paths


def test_no_rows_give_an_empty_set_with_the_same_classes(photos: PhotoSet) -> None:
    assert photos.take([]).counts() == {"cat": 0, "dog": 0}


def test_labels_cannot_be_changed(photos: PhotoSet) -> None:
    with pytest.raises(ValueError, match="read-only"):
        photos.labels[0] = 1


def test_a_photo_above_the_limit_is_not_read(plant: Plant) -> None:
    small = SourceConfig(limits=ImageLimits(max_bytes=10))
    photos = open_labelled(plant("cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "dog/2.jpg"), small)

    with pytest.raises(ImageError, match="too large: 64 bytes, and at most 10"):
        photos.read(0)


def test_a_zipped_photo_above_the_limit_is_not_read(pack: Callable[..., Path]) -> None:
    photos = list_photos([pack("1.jpg")], ImageLimits(max_bytes=10))

    with pytest.raises(ImageError, match="too large: 64 bytes"):
        photos.read(0)


def test_a_photo_that_vanished_is_a_reason(photos: PhotoSet) -> None:
    Path(photos.paths[0]).unlink()

    with pytest.raises(ImageError, match="no longer there"):
        photos.read(0)


def test_a_photo_that_became_a_folder_is_a_reason(photos: PhotoSet) -> None:
    Path(photos.paths[0]).unlink()
    Path(photos.paths[0]).mkdir()

    with pytest.raises(ImageError, match="cannot be read: Is a directory"):
        photos.read(0)


def test_arrays_are_images_with_their_labels(plant: Plant) -> None:
    root = plant("cat/bad.jpg", "dog/1.jpg")
    for name, colour in (("cat/1.png", (255, 0, 0)), ("cat/2.png", (250, 0, 0)), ("dog/1.jpg", (0, 0, 255))):
        Image.new("RGB", (30, 24), colour).save(root / name)

    with pytest.warns(UserWarning, match=r"^1 of 4 photos of '.*' cannot be used .* first is '.*cat/bad.jpg': "):
        images, labels = open_labelled(root, check=False).arrays((6, 8))

    assert (images.shape, images.dtype, labels.tolist()) == ((3, 6, 8, 3), np.uint8, [0, 0, 1])
    assert images[:, 0, 0, 0].tolist()[:2] == [255, 250]


def test_grey_arrays_have_one_channel(paint: Callable[..., Path], tmp_path: Path) -> None:
    paint("red/1.png", "red")
    paint("blue/1.png", "blue")

    assert open_labelled(tmp_path, check=False).arrays((6, 8), channels=1)[0].shape == (2, 6, 8, 1)


def test_arrays_of_nothing_are_empty(photos: PhotoSet) -> None:
    images, labels = photos.take([]).arrays((6, 8))

    assert (images.shape, labels.shape) == ((0, 6, 8, 3), (0,))


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({}, "too few classes: none"),
        ({"cat": 9}, r"too few classes: 'cat' \(9 photos\)"),
        ({"cat": 1, "dog": 9}, "class 'cat' in 'mine' has 1 photo. Every class needs at least 2. Add photos"),
        ({"cat": 0, "dog": 1, "owl": 1}, r"class 'cat' in 'mine' has 0 photos\. Also too few: 'dog', 'owl'"),
    ],
    ids=str,
)
def test_classes_that_cannot_be_learned_are_named(counts: dict[str, int], words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        check_classes(counts, "mine")


def test_two_classes_of_two_are_enough() -> None:
    check_classes({"cat": 2, "dog": 2}, "mine")
