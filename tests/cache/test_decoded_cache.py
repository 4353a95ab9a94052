import io
import json
from pathlib import Path

import numpy as np
import pytest

from tellapart.cache.decoded_cache import (
    ImageIndex,
    npy_header,
    pixels_of,
    read_index,
    read_indexes,
    release_pages,
)
from tellapart.images.preprocess import PreprocessSpec

SETTINGS: list[object] = [1, {"image_size": [4, 5]}]
SHAPE = (4, 5, 3)
PIXELS = pixels_of(PreprocessSpec((4, 5)))


def write_images(folder: Path, key: str, digests: list[str], settings: list[object] = SETTINGS) -> Path:
    """An index and its images; the path of the index."""
    np.save(folder / f"{key}.npy", np.zeros((len(digests), *SHAPE), np.uint8))
    path = folder / f"{key}.json"
    path.write_text(json.dumps({"settings": settings, "depths": {}, "digests": digests}))
    return path


def test_releasing_the_pages_of_an_array_in_memory_does_nothing() -> None:
    images = np.arange(48, dtype=np.uint8).reshape(1, 4, 4, 3)

    release_pages(images[:, ::-1])

    np.testing.assert_array_equal(images.ravel(), np.arange(48))


@pytest.mark.parametrize("num_images", [1, 9, 10, 12345, 10**9])
def test_the_header_is_as_long_for_any_number_of_images(num_images: int) -> None:
    form = pixels_of(PreprocessSpec((150, 150)))
    header = npy_header(num_images, form)

    assert len(header) == len(npy_header(1, form))
    np.lib.format.read_magic(file := io.BytesIO(header))
    assert np.lib.format.read_array_header_1_0(file)[0] == (num_images, 150, 150, 3)


def test_an_index_says_where_each_image_is(tmp_path: Path) -> None:
    path = write_images(tmp_path, "a" * 40, ["one", "two"])

    assert read_index(path, SETTINGS, PIXELS) == ImageIndex(path.with_suffix(".npy"), {"one": 0, "two": 1}, {})


def test_the_indexes_of_a_folder_are_those_of_these_settings(tmp_path: Path) -> None:
    write_images(tmp_path, "a" * 40, ["one"])
    write_images(tmp_path, "b" * 40, ["two"], [2])
    write_images(tmp_path, "c" * 40, ["three"])
    (tmp_path / f"{'c' * 40}.npy").unlink()

    (index,) = read_indexes(tmp_path, SETTINGS, PIXELS)

    assert index.places == {"one": 0}
