"""Photos are known again by their fingerprints, in any form, and no other photo is taken for one of them."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from PIL import Image, ImageEnhance

from tellapart.checkup.duplicates import find_known
from tellapart.checkup.fingerprints import Fingerprints
from tellapart.demo.drawing import write_demo_folder
from tellapart.images.facts import facts_of

SIZE = Fingerprints.of(()).coefficients.shape[1]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """48 drawn photos, all different."""
    folder = write_demo_folder(tmp_path_factory.mktemp("drawn") / "photos", 24, seed=5)
    return [path.read_bytes() for path in sorted(folder.rglob("*.jpg"))]


def fingerprints(photos: list[bytes]) -> Fingerprints:
    return Fingerprints.of([facts_of(data) for data in photos])


def encode(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def halve(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)


COPIES: dict[str, Callable[[Image.Image], bytes]] = {
    "re-encoded": lambda image: encode(image, quality=60),
    "another format": lambda image: encode(image, "PNG"),
    "resized": lambda image: encode(halve(image), quality=90),
    "mirrored": lambda image: encode(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), quality=90),
    "turned": lambda image: encode(image.transpose(Image.Transpose.ROTATE_90), quality=90),
    "brighter": lambda image: encode(ImageEnhance.Brightness(image).enhance(1.1), quality=90),
}


@pytest.mark.parametrize("change", list(COPIES.values()), ids=list(COPIES))
def test_a_changed_copy_is_known(photos: list[bytes], change: Callable[[Image.Image], bytes]) -> None:
    copies = [change(Image.open(io.BytesIO(data)).convert("RGB")) for data in photos[:24]]
    assert find_known(fingerprints(photos).thumbnails(), fingerprints(copies).thumbnails()).mean() > 0.95


def test_another_photo_is_not_known(photos: list[bytes]) -> None:
    known = find_known(fingerprints(photos[::2]).thumbnails(), fingerprints(photos[1::2]).thumbnails())
    assert not known.any()


def test_photos_of_one_shade_are_known_by_it() -> None:
    shades = [encode(Image.new("RGB", (40, 30), colour), "PNG") for colour in ((200, 30, 30), (30, 30, 200))]
    assert find_known(fingerprints(shades[:1]).thumbnails(), fingerprints(shades).thumbnails()).tolist() == [
        True,
        False,
    ]


@settings(deadline=None, max_examples=30)
@given(numbers=st_numpy.arrays(np.int16, st.tuples(st.integers(0, 4), st.just(SIZE))))
def test_a_file_of_fingerprints_reads_back_as_it_was(numbers: np.ndarray) -> None:
    np.testing.assert_array_equal(Fingerprints.from_bytes(Fingerprints(numbers).to_bytes()).coefficients, numbers)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_damaged_file_is_refused(data: st.DataObject) -> None:
    whole = Fingerprints(np.arange(2 * SIZE, dtype=np.int16).reshape(2, SIZE)).to_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ValueError, match="fingerprints"):
        Fingerprints.from_bytes(whole[:place])


def test_a_file_that_claims_more_photos_than_any_run_has_is_refused() -> None:
    whole = Fingerprints.of(()).to_bytes()
    head = whole.index(b"\n") + 1
    with pytest.raises(ValueError, match="no fingerprints"):
        Fingerprints.from_bytes(whole[:head] + b"\xff" * 8 + whole[head + 8 :])


def test_fingerprints_of_4000_photos_are_far_below_a_megabyte(photos: list[bytes], tmp_path: Path) -> None:
    assert len(fingerprints(photos).to_bytes()) < 200 * len(photos)
