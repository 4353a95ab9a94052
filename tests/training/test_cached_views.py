import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tellapart.training.cached_views import choose_num_views, draw_photo_views

DIGEST, OTHER = "0123456789abcdef" * 2, "fedcba9876543210" * 2


@pytest.fixture
def image() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)


@pytest.mark.parametrize("num_views", [2, 3, 8])
def test_the_first_views_are_the_whole_photo_and_its_mirror_image(image: NDArray[np.uint8], num_views: int) -> None:
    views = draw_photo_views(DIGEST, image, num_views, flip=True)

    assert views.shape == (num_views, 24, 24, 3)
    np.testing.assert_array_equal(views[0], image)
    np.testing.assert_array_equal(views[1], image[:, ::-1])


def test_the_views_follow_from_the_content_of_the_photo_alone(image: NDArray[np.uint8]) -> None:
    first, again, other = (draw_photo_views(digest, image, 4, flip=True) for digest in (DIGEST, DIGEST, OTHER))

    np.testing.assert_array_equal(first, again)
    assert np.abs(first[2:].astype(int) - other[2:]).mean() > 1


def test_without_flip_no_crop_is_mirrored() -> None:
    ramp = np.tile(np.linspace(0, 255, 32).astype(np.uint8)[np.newaxis, :, np.newaxis], (32, 1, 3))
    crops = draw_photo_views(DIGEST, ramp, 8, flip=False)[2:].astype(int)

    assert (crops[:, :, -1].mean((1, 2)) > crops[:, :, 0].mean((1, 2))).all()


@given(num_photos=st.integers(1, 10**6), minutes=st.one_of(st.none(), st.floats(0.1, 1e5)))
def test_fewer_photos_and_more_time_never_mean_fewer_views(num_photos: int, minutes: float | None) -> None:
    num_views = choose_num_views(num_photos, minutes)

    assert 2 <= num_views <= 8
    assert choose_num_views(num_photos + 1, minutes) <= num_views <= choose_num_views(num_photos, None)
