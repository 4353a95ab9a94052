import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tellapart.config import ImageLimits
from tellapart.errors import ImageError
from tellapart.images.preprocess import PreprocessSpec, load_image
from tellapart.photos.loading import digest_photos, even_size, map_images, map_photos, num_cores, stream_images
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.sources import list_photos
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
    assert "30 x 21 pixels, and at most 600" in items[1].reason


def test_bytes_that_are_no_photo_are_skipped(plant: Callable[..., Path]) -> None:
    photos = list_photos([plant("cut.jpg")])

    (item,) = stream_images(photos, PreprocessSpec((9, 13)), ImageLimits())

    assert isinstance(item, Skipped)
    assert item.path == photos.paths[0]


def sums(images: np.ndarray) -> np.ndarray:
    """A number for each image, and how many images it was computed with."""
    return np.stack([images.astype(np.int64).sum(axis=(1, 2, 3)), np.full(len(images), len(images))], axis=1)


def loaded(photos: PhotoSet, limits: ImageLimits = ImageLimits()) -> tuple[Sequence[str], Callable[[int], np.ndarray]]:
    return photos.paths, lambda row: load_image(photos.read(row), PreprocessSpec((9, 13)), limits)


def batch_sizes(items: Iterable[np.ndarray]) -> list[int]:
    return [int(item[1]) for item in items]


def test_each_photo_gets_its_row_of_what_its_batch_gave(real_photos: PhotoSet) -> None:
    spec = PreprocessSpec((9, 13))
    rows = [item[0] for item in map_images(*loaded(real_photos), sums, 3)]
    assert rows == [
        load_image(real_photos.read(row), spec, ImageLimits()).astype(np.int64).sum() for row in range(len(real_photos))
    ]


def test_photos_that_cannot_be_used_are_skipped_in_their_place_and_leave_the_batch(real_photos: PhotoSet) -> None:
    Path(real_photos.paths[0]).write_bytes(b"\x89PNG\r\n\x1a\n")
    Path(real_photos.paths[5]).unlink()
    items = list(map_images(*loaded(real_photos), sums, 4, num_threads=1))
    assert [isinstance(item, Skipped) for item in items] == [row in (0, 5) for row in range(8)]
    assert [item.path for item in (items[0], items[5])] == [real_photos.paths[0], real_photos.paths[5]]
    assert batch_sizes(items[row] for row in (1, 2, 3, 4, 6, 7)) == [3] * 6


def test_a_batch_without_usable_photos_is_not_worked_on(real_photos: PhotoSet) -> None:
    def refuse(images: np.ndarray) -> np.ndarray:
        raise AssertionError(images.shape)

    items = list(map_images(*loaded(real_photos, ImageLimits(max_pixels=1)), refuse, 4))
    assert [type(item) for item in items] == [Skipped] * 8


@pytest.mark.parametrize(
    ("num_photos", "sizes"),
    [(1, [1]), (2, [1, 1]), (10, [5] * 10), (32, [16] * 32), (34, [9] * 27 + [7] * 7)],
    ids=str,
)
@pytest.mark.usefixtures("two_cores")
def test_batches_are_as_large_as_allowed_and_as_many_for_each_core(
    real_photos: PhotoSet, num_photos: int, sizes: list[int]
) -> None:
    some = real_photos.take([0] * num_photos)
    assert batch_sizes(map_images(*loaded(some), sums, 16)) == sizes


@given(st.integers(0, 5000), st.integers(1, 64), st.integers(1, 32))
def test_an_even_size_keeps_to_the_largest_and_leaves_no_thread_without_work(
    num_items: int, largest: int, num_threads: int
) -> None:
    size = even_size(num_items, largest, num_threads)
    num_rounds = -(-num_items // (largest * num_threads))
    assert 1 <= size <= largest
    assert -(-num_items // size) <= max(num_rounds * num_threads, 1)


def test_batches_are_worked_on_at_once(real_photos: PhotoSet) -> None:
    meeting = threading.Barrier(2, timeout=10)

    def work(images: np.ndarray) -> np.ndarray:
        meeting.wait()
        return sums(images)

    items = list(map_images(*loaded(real_photos), work, 4, num_threads=2))
    assert len(items) == 8


def test_an_error_in_the_work_on_a_batch_is_not_hidden(real_photos: PhotoSet) -> None:
    def fail(images: np.ndarray) -> np.ndarray:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(map_images(*loaded(real_photos), fail, 4))
    assert photo_threads() == []


def test_no_more_than_two_batches_a_thread_are_loaded_ahead(real_photos: PhotoSet) -> None:
    seen: list[int] = []
    paths, load = loaded(real_photos.take([0] * 200))

    def load_counting(row: int) -> np.ndarray:
        seen.append(1)
        return load(row)

    items = map_images(paths, load_counting, sums, 5, num_threads=2)
    ahead = [len(seen) - num_taken for num_taken, _ in enumerate(items)]
    assert max(ahead) <= 20
    assert len(seen) == 200


def test_no_photos_give_no_rows(real_photos: PhotoSet) -> None:
    assert list(map_images(*loaded(real_photos.take([])), sums, 4)) == []


def test_digests_are_those_of_the_bytes_and_a_photo_that_vanished_is_skipped(photos: PhotoSet) -> None:
    expected = [hashlib.blake2b(photos.read(row), digest_size=20).hexdigest() for row in range(NUM_PHOTOS)]
    Path(photos.paths[7]).unlink()
    digests = digest_photos(photos)
    assert digests[7] == Skipped(photos.paths[7], "the file is no longer there")
    assert digests[:7] + digests[8:] == expected[:7] + expected[8:]
