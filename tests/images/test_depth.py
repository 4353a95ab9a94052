"""One range for every mode of deep photo: what the header states, else what the collection shows."""

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from tellapart.config import ImageLimits
from tellapart.errors import ImageError
from tellapart.images.depth import (
    DEPTHS,
    Levels,
    SampleDepths,
    choose_depths,
    count_levels,
    find_depth,
    kind_of,
    scale_to_8_bits,
)
from tellapart.images.gate import decode_photo, measure_levels

RAMP = np.arange(256)


def levels_of(*values: float, dtype: str = "u2", num: int = 1000) -> Levels:
    """Of samples that are 0 but for these."""
    samples = np.zeros(num, dtype)
    samples[: len(values)] = values
    return count_levels(samples)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_the_fewest_bits_that_hold_the_samples_are_chosen(bits: int) -> None:
    samples = (RAMP << (bits - 8)).astype(np.uint16)
    assert choose_depths([count_levels(samples)]) == SampleDepths(int16=bits)


@pytest.mark.parametrize(("bits", "expected"), [(9, 10), (11, 12), (13, 14), (15, 16)])
def test_odd_numbers_of_bits_take_the_next_that_cameras_have(bits: int, expected: int) -> None:
    samples = (RAMP << (bits - 8)).astype(np.uint16)
    assert choose_depths([count_levels(samples)]).int16 == expected


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_a_thousandth_of_the_samples_may_lie_above(bits: int) -> None:
    below, above = 2**bits - 1, 2**bits
    one, two = [below] * 998 + [above], [below] * 997 + [above] * 2
    assert choose_depths([levels_of(*one)]).int16 == bits
    assert choose_depths([levels_of(*two)]).int16 != bits


def test_photos_are_taken_together() -> None:
    dark, bright = levels_of(*[4000] * 1000), levels_of(*[5000] * 1000)
    assert choose_depths([dark, bright]).int16 == 14
    assert choose_depths([dark] * 2000 + [bright]).int16 == 12


def test_each_kind_of_number_has_its_own_depth() -> None:
    photos = [levels_of(*[4000] * 900), levels_of(*[0.9] * 900, dtype="f4"), levels_of(*[2**31] * 900, dtype="u4")]
    assert choose_depths(photos) == SampleDepths(int16=12, int32=32, real=0)


def test_without_deep_photos_nothing_is_known() -> None:
    assert choose_depths([]) == SampleDepths()


@pytest.mark.parametrize(
    ("factor", "bits"), [(1 / 255, 0), (1.2 / 255, 0), (1, 8), (4, 10), (16, 12), (64, 14), (257, 16), (65536, 24)]
)
def test_white_of_real_numbers_is_one_or_that_of_integers(factor: float, bits: int) -> None:
    assert choose_depths([count_levels((RAMP * factor).astype(np.float32))]).real == bits


def test_numbers_that_are_not_finite_count_for_nothing() -> None:
    samples = np.array([np.nan, np.inf, -np.inf, 0.5], np.float32)
    assert count_levels(samples).num_above == (0,) * len(DEPTHS["real"])


@given(st.builds(SampleDepths, **{kind: st.none() | st.sampled_from(depths) for kind, depths in DEPTHS.items()}))
def test_depths_survive_json(depths: SampleDepths) -> None:
    assert SampleDepths.from_json(depths.to_json()) == depths


@pytest.mark.parametrize("value", [{"int16": 9}, {"int8": 8}, {"int16": "12"}, {"real": True}, {"int32": 64}], ids=str)
def test_depths_of_another_making_are_refused(value: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="unknown depth"):
        SampleDepths.from_json(value)


def test_levels_survive_their_bytes() -> None:
    levels = levels_of(1, 500, 5000)
    assert Levels.from_bytes(levels.to_bytes()) == levels


@pytest.mark.parametrize(
    ("dtype", "kind"), [("u2", "int16"), ("i2", "int16"), ("u4", "int32"), ("i8", "int32"), ("f2", "real")]
)
def test_kinds_are_told_by_type(dtype: str, kind: str) -> None:
    assert kind_of(np.dtype(dtype)) == kind


def test_what_the_collection_says_comes_before_what_the_photo_does() -> None:
    dark = levels_of(*[90] * 900)
    assert find_depth(dark, SampleDepths(int16=14)) == 14
    assert find_depth(dark, SampleDepths(real=0)) == 8


@pytest.mark.parametrize("dtype", ["u2", "i4", "u4", "i8", "f4", "f8"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_a_ramp_of_any_depth_becomes_one_of_8_bits(bits: int, dtype: str) -> None:
    samples = (RAMP * ((2**bits - 1) / 255)).astype(dtype)[np.newaxis]
    assert np.abs(scale_to_8_bits(samples, bits).astype(int) - RAMP).max() <= 1


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_reach_from_black_to_white(bits: int) -> None:
    samples = np.array([[0, 2**bits - 1]], np.uint16)
    assert scale_to_8_bits(samples, bits).tolist() == [[0, 255]]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["u2", "i2", "u4", "f4"]), st.sampled_from([8, 10, 12, 14, 16]))
def test_brighter_stays_brighter(seed: int, dtype: str, bits: int) -> None:
    samples = np.sort(np.random.default_rng(seed).integers(0, 2**15, 500)).astype(dtype)[np.newaxis]
    assert (np.diff(scale_to_8_bits(samples, bits)[0].astype(int)) >= 0).all()


def test_what_is_brighter_than_white_is_white() -> None:
    assert scale_to_8_bits(np.array([[4095, 4096, 65535]], np.uint16), 12).tolist() == [[255, 255, 255]]


def test_noise_below_black_is_black() -> None:
    assert scale_to_8_bits(np.array([[-100, 0, 4095]], np.int32), 12).tolist() == [[0, 0, 255]]


@pytest.mark.parametrize("dtype", ["i2", "i4", "f4", "f8"])
def test_numbers_far_below_0_are_refused(dtype: str) -> None:
    with pytest.raises(ImageError, match="holds negative numbers, so black is not known. Save the photo"):
        scale_to_8_bits(np.linspace(-1000, 1000, 300).astype(dtype)[np.newaxis], 10)


def test_numbers_beyond_all_whites_are_refused() -> None:
    with pytest.raises(ImageError, match=r"holds numbers up to 1.7e\+38, so white is not known"):
        scale_to_8_bits(np.linspace(0, 1.7e38, 300).astype(np.float32)[np.newaxis], 32)


def test_samples_of_8_bits_are_not_handed_out_to_be_changed() -> None:
    samples = np.full((2, 3), 7, np.uint8)
    assert not scale_to_8_bits(samples, 8).flags.writeable
    assert samples.flags.writeable


# Through the gate


def deep_png(values: NDArray[np.uint16]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def scene(brightest: int) -> NDArray[np.uint16]:
    """A grey scene of 12 bits with a single pixel that is brighter."""
    values = (np.random.default_rng(1).integers(20, 200, (60, 80)) << 4).astype(np.uint16)
    values[0, 0] = brightest
    return values


@pytest.mark.parametrize("brightest", [4095, 4096, 4097, 20_000, 65_535])
def test_one_bright_pixel_does_not_darken_a_photo(brightest: int) -> None:
    image = decode_photo(deep_png(scene(brightest))).image
    np.testing.assert_array_equal(image[1:, :, 0], scene(0)[1:] >> 4)


def test_a_photo_takes_the_depth_of_its_collection() -> None:
    image = decode_photo(deep_png(scene(4000)), depths=SampleDepths(int16=16)).image
    np.testing.assert_array_equal(image[:, :, 0], scene(4000) >> 8)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_levels_of_ordinary_photos_are_not_measured(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tellapart.images.gate.read_samples", lambda *arguments: pytest.fail("it was decoded"))
    for kind in ("JPEG", "PNG", "TIFF", "BMP"):
        file = io.BytesIO()
        Image.new(mode, (9, 9)).save(file, kind)
        assert measure_levels(file.getvalue(), ImageLimits()) is None
