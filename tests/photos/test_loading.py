import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tellapart.config import ImageLimits
from tellapart.errors import ImageError
from tellapart.photos.loading import map_photos, num_cores, stream_images
from tellapart.photos.preprocess import PreprocessSpec, load_image
from tellapart.photos.sources import PhotoSet, list_photos
from tellapart.records import Skipped

NUM_PHOTOS = 400
LOOK_AHEAD = 128  # two cores, two tasks each, 32 photos a task


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine of two cores."""
    monkeypatch.setattr("tellapart.photos.loading.num_cores", lambda: 2)


@pytest.fixture
def photos(tmp_path: Path) -> PhotoSet:
    """Files that begin like a JPEG and end with their own row number."""
    for row in range(NUM_PHOTOS):
        (tmp_path / f"{row}.jpg").write_bytes(b"\xff\xd8\xff\xe0" + row.to_bytes(60, "big"))
    return list_photos([tmp_path])


@pytest.fixture
def real_photos(tmp_path: Path) -> PhotoSet:
    """8 small photos of noise, in colour."""
    generator = np.random.default_rng(0)
    for row in range(8):
        Image.fromarray(generator.integers(0, 256, (20 + row, 30, 3)).astype(np.uint8)).save(tmp_path / f"{row}.png")
    return list_photos([tmp_path])


def number_of(data: bytes) -> int:
    return int.from_bytes(data[4:], "big")


def photo_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("photos")]


def test_results_come_in_order(photos: PhotoSet) -> None:
    assert list(map_photos(photos, number_of)) == list(range(NUM_PHOTOS))


def test_results_come_in_order_when_the_first_photo_is_the_slowest(photos: PhotoSet, two_cores: None) -> None:
    others_done = threading.Event()
    done: list[int] = []

    def work(data: bytes) -> int:
        number = number_of(data)
        if number == 0:
            assert others_done.wait(10)
        if number == 40:
            others_done.set()
        done.append(number)
        return number

    assert list(map_photos(photos, work)) == list(range(NUM_PHOTOS))
    assert done.index(0) > done.index(40)


def test_every_photo_is_read_once(photos: PhotoSet) -> None:
    seen: list[int] = []

    list(map_photos(photos, lambda data: seen.append(number_of(data))))

    assert sorted(seen) == list(range(NUM_PHOTOS))


def test_a_refused_photo_is_skipped_in_its_place(photos: PhotoSet) -> None:
    def work(data: bytes) -> int:
        if number_of(data) == 3:
            raise ImageError("is damaged")
        return number_of(data)

    items = list(map_photos(photos, work))

    assert items[3] == Skipped(photos.paths[3], "is damaged")
    assert items[:3] + items[4:] == [row for row in range(NUM_PHOTOS) if row != 3]


def test_a_photo_that_vanished_is_skipped_in_its_place(photos: PhotoSet) -> None:
    Path(photos.paths[7]).unlink()

    items = list(map_photos(photos, number_of))

    assert items[7] == Skipped(photos.paths[7], "the file is no longer there")
    assert items[8] == 8


def test_a_defect_in_the_work_is_not_hidden(photos: PhotoSet) -> None:
    def work(data: bytes) -> int:
        return 1 // number_of(data)

    with pytest.raises(ZeroDivisionError):
        list(map_photos(photos, work))
    assert photo_threads() == []


@pytest.mark.usefixtures("two_cores")
def test_no_more_than_the_look_ahead_is_read_before_it_is_asked_for(photos: PhotoSet) -> None:
    seen: list[int] = []
    items = map_photos(photos, lambda data: seen.append(number_of(data)))

    ahead = [len(seen) - num_taken for num_taken, _ in enumerate(items)]

    assert max(ahead) <= LOOK_AHEAD
    assert len(seen) == NUM_PHOTOS


@pytest.mark.usefixtures("two_cores")
def test_nothing_is_read_before_the_first_photo_is_asked_for(photos: PhotoSet) -> None:
    seen: list[int] = []

    items = map_photos(photos, lambda data: seen.append(number_of(data)))

    assert seen == []
    items.close()


@pytest.mark.usefixtures("two_cores")
def test_closing_early_stops_reading_and_ends_the_threads(photos: PhotoSet) -> None:
    seen: list[int] = []
    items = map_photos(photos, lambda data: seen.append(number_of(data)))
    next(items)

    items.close()

    assert len(seen) <= LOOK_AHEAD
    assert photo_threads() == []


@pytest.mark.usefixtures("two_cores")
def test_closing_early_cancels_what_has_not_begun(photos: PhotoSet) -> None:
    begun: list[int] = []
    closing = threading.Event()

    def work(data: bytes) -> None:
        begun.append(number_of(data))
        if number_of(data) >= 32:
            assert closing.wait(10)

    items = map_photos(photos, work)
    next(items)
    threading.Timer(0.2, closing.set).start()
    items.close()

    assert len(begun) <= 34


def test_an_empty_set_gives_nothing(photos: PhotoSet) -> None:
    assert list(map_photos(photos.take([]), number_of)) == []


def test_two_iterations_at_once_do_not_disturb_each_other(photos: PhotoSet) -> None:
    pairs = zip(map_photos(photos, number_of), map_photos(photos, number_of), strict=True)

    assert list(pairs) == [(row, row) for row in range(NUM_PHOTOS)]


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"), reason="this system does not say which cores a process may use"
)
def test_only_the_cores_of_this_process_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3, 5})

    assert num_cores() == 3


@pytest.mark.parametrize(("counted", "expected"), [(8, 8), (None, 1)], ids=["known", "unknown"])
def test_all_cores_count_where_the_system_does_not_say(
    monkeypatch: pytest.MonkeyPatch, counted: int | None, expected: int
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: counted)

    assert num_cores() == expected


@pytest.mark.parametrize("channels", [3, 1], ids=["colour", "grey"])
def test_streamed_images_are_those_that_are_loaded_one_by_one(real_photos: PhotoSet, channels: int) -> None:
    spec = PreprocessSpec((9, 13), channels)

    images = list(stream_images(real_photos, spec, ImageLimits()))

    expected = [load_image(real_photos.read(row), spec, ImageLimits()) for row in range(len(real_photos))]
    np.testing.assert_array_equal(images, expected)


def test_a_photo_above_the_limits_is_skipped_with_its_size(real_photos: PhotoSet) -> None:
    items = list(stream_images(real_photos, PreprocessSpec((9, 13)), ImageLimits(max_pixels=20 * 30)))

    assert items[0].shape == (9, 13, 3)
    assert items[1].path == real_photos.paths[1]
    assert "30 x 21 pixels; at most 600" in items[1].reason


def test_bytes_that_are_no_photo_are_skipped(plant: Callable[..., Path]) -> None:
    photos = list_photos([plant("cut.jpg")])

    (item,) = stream_images(photos, PreprocessSpec((9, 13)), ImageLimits())

    assert isinstance(item, Skipped)
    assert item.path == photos.paths[0]
