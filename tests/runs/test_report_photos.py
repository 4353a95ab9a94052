"""The photos of a report: larger copies of what a click opens, and details of large ones where the model looked."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from tellapart.backbones.photo_pass import look_at
from tellapart.images.preprocess import PreprocessSpec
from tellapart.measure.measurement import Method, measure
from tellapart.photos.sources import open_photos
from tellapart.report.pictures import DETAIL_SIDE, LARGE_SIDE
from tellapart.runs.report_photos import gather_photos

LARGE, SMALL = (1300, 1700), (300, 400)
MARK = (1000, 1500)  # row and column of a red square in the large photos


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Two large photos with a mark of 3 pixels, and two small ones."""
    folder = tmp_path_factory.mktemp("photos")
    for number, (name, size) in enumerate([("a", LARGE), ("a", SMALL), ("b", LARGE), ("b", SMALL)]):
        image = np.random.default_rng(number).integers(90, 110, (*size, 3)).astype(np.uint8)
        if size == LARGE:
            image[MARK[0] : MARK[0] + 3, MARK[1] : MARK[1] + 3] = (0, 0, 255)
        (folder / name).mkdir(exist_ok=True)
        cv2.imwrite(str(folder / name / f"{number}.png"), image)
    return look_at(open_photos(folder), [], cache_dir=str(tmp_path_factory.mktemp("cache")))


def gather(seen: Any, activation: np.ndarray) -> tuple[dict, dict]:
    """The photos with a model that looks at `activation` for each class of each photo."""
    predictor = SimpleNamespace(
        has_activation_maps=True,
        preprocess=PreprocessSpec((32, 32)),
        activation_maps=lambda images: np.broadcast_to(activation, (len(images), 2, *activation.shape)),
    )
    measurement = measure(
        np.arange(4), seen.photos.labels, np.full((4, 2), 0.5, np.float32), seen.photos.class_names, Method("hold-out")
    )
    checkup = SimpleNamespace(seen=seen, photos=seen.photos)
    return gather_photos(checkup, range(4), range(4), measurement, predictor)  # type: ignore[arg-type]


def spot(row: int, column: int, size: int = 8) -> np.ndarray:
    activation = np.zeros((size, size), np.float32)
    activation[row, column] = 1
    return activation


def rows_of(seen: Any, size: tuple[int, int]) -> set[int]:
    return {row for row, facts in enumerate(seen.facts) if (facts.height, facts.width) == size}


def test_photos_larger_than_their_copies_have_a_detail(seen: Any) -> None:
    photos, maps = gather(seen, spot(6, 7))
    assert {row for row, photo in photos.items() if photo.detail is not None} == rows_of(seen, LARGE)
    assert set(maps) == set(photos)


def test_a_detail_shows_each_pixel_of_where_the_model_looked(seen: Any) -> None:
    photos, _ = gather(seen, spot(6, 7))
    for row in rows_of(seen, LARGE):
        detail = photos[row].detail
        assert detail.shape == (DETAIL_SIDE, DETAIL_SIDE, 3)
        assert (detail == (255, 0, 0)).all(axis=2).sum() == 9
        assert max(photos[row].large.shape) <= LARGE_SIDE


@pytest.mark.parametrize("activation", [np.ones((8, 8)), spot(0, 0, size=2)], ids=["flat", "coarse"])
def test_where_the_map_shows_nothing_there_is_no_detail(seen: Any, activation: np.ndarray) -> None:
    photos, _ = gather(seen, activation.astype(np.float32))
    assert [photo.detail for photo in photos.values()] == [None] * 4


def test_a_photo_that_is_gone_has_no_detail(seen: Any) -> None:
    gone = {path: Path(path).read_bytes() for path in seen.photos.paths[:1]}
    Path(seen.photos.paths[0]).unlink()
    photos, _ = gather(seen, spot(6, 7))
    for path, data in gone.items():
        Path(path).write_bytes(data)
    assert photos[0].detail is None
