"""The drawn demo photos: the same for the same seed, of the promised sizes, in Kaggle's layout."""

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tellapart.demo.drawing import DEMO_CLASSES, draw_photo, write_demo_folder, write_demo_zips
from tellapart.errors import OutputError


@settings(max_examples=25, deadline=None)
@given(kind=st.sampled_from(DEMO_CLASSES), seed=st.integers(0, 2**32 - 1))
def test_every_photo_is_rgb_with_sides_from_120_to_200(kind: str, seed: int) -> None:
    image = draw_photo(kind, np.random.default_rng(seed))
    assert image.dtype == np.uint8
    height, width, channels = image.shape
    assert channels == 3
    assert all(120 <= side <= 200 for side in (height, width))


@pytest.mark.parametrize("kind", DEMO_CLASSES)
def test_equal_generators_draw_the_same_photo(kind: str) -> None:
    first, second = (draw_photo(kind, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_the_kinds_differ_for_the_same_generator() -> None:
    cat, dog = (draw_photo(kind, np.random.default_rng(11)) for kind in DEMO_CLASSES)
    assert cat.shape == dog.shape
    assert np.mean(np.any(np.abs(cat.astype(int) - dog) > 40, axis=2)) > 0.02


def test_photos_vary_in_shape_and_in_brightness() -> None:
    images = [draw_photo("dog", np.random.default_rng(seed)) for seed in range(20)]
    assert len({image.shape for image in images}) > 10
    assert np.std([image.mean() for image in images]) > 15


def test_no_photo_is_flat() -> None:
    spreads = [draw_photo(DEMO_CLASSES[seed % 2], np.random.default_rng(seed)).std() for seed in range(20)]
    assert min(spreads) > 5


def test_an_unknown_kind_names_the_accepted_ones() -> None:
    with pytest.raises(ValueError, match="'cow'.*cat, dog"):
        draw_photo("cow", np.random.default_rng(0))


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    first = write_demo_zips(tmp_path / "first", 3, 4, seed=5)
    second = write_demo_zips(tmp_path / "second", 3, 4, seed=5)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_another_seed_gives_other_photos(tmp_path: Path) -> None:
    first, _ = write_demo_zips(tmp_path / "first", 2, 1, seed=5)
    second, _ = write_demo_zips(tmp_path / "second", 2, 1, seed=6)
    assert first.read_bytes() != second.read_bytes()


def test_the_zips_are_laid_out_as_kaggle_ships_them(tmp_path: Path) -> None:
    train, test = write_demo_zips(tmp_path, 2, 3, seed=0)
    assert (train.name, test.name) == ("train.zip", "test.zip")
    with zipfile.ZipFile(train) as archive:
        assert archive.namelist() == ["train/cat.0.jpg", "train/cat.1.jpg", "train/dog.0.jpg", "train/dog.1.jpg"]
    with zipfile.ZipFile(test) as archive:
        assert archive.namelist() == ["test/1.jpg", "test/2.jpg", "test/3.jpg"]


def test_every_member_is_a_jpeg(tmp_path: Path) -> None:
    train, _ = write_demo_zips(tmp_path, 2, 1, seed=0)
    with zipfile.ZipFile(train) as archive:
        members = [archive.read(name) for name in archive.namelist()]
    assert all(data.startswith(b"\xff\xd8") for data in members)
    assert all(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None for data in members)


def test_the_folder_holds_the_photos_of_the_zip(tmp_path: Path) -> None:
    train, _ = write_demo_zips(tmp_path, 2, 1, seed=3)
    folder = write_demo_folder(tmp_path / "folder", 2, seed=3)
    with zipfile.ZipFile(train) as archive:
        assert (folder / "dog" / "dog.1.jpg").read_bytes() == archive.read("train/dog.1.jpg")


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(OutputError, match="taken.*not a folder"):
        write_demo_zips(tmp_path / "taken", 1, 1, seed=0)
