import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss

from tellapart.measure.calibration import measure_reliability
from tellapart.measure.intervals import wilson_interval

Answers = tuple[NDArray[np.int64], NDArray[np.float64]]


def draw_answers(num_photos: int, seed: int, sharpness: float = 1.0) -> Answers:
    """Labels, and probabilities that are right in the mean, or too bold with a sharpness above 1."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(1, 2, num_photos)
    labels = (generator.random(num_photos) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    stated = 1 / (1 + np.exp(-sharpness * logits))
    return labels, np.stack([1 - stated, stated], axis=1)


def test_the_brier_score_is_that_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.ones(4), 50)
    labels = generator.integers(0, 4, 50)
    expected = brier_score_loss(labels, probabilities, scale_by_half=False, labels=range(4))
    assert measure_reliability(labels, probabilities).brier == pytest.approx(expected)


@pytest.mark.parametrize(("column", "expected"), [(0, 0.0), (1, 2.0)], ids=["right", "wrong"])
def test_the_brier_score_of_certain_answers_is_0_or_2(column: int, expected: float) -> None:
    assert measure_reliability([0, 0], np.eye(2)[[column, column]]).brier == expected


def test_bins_hold_as_many_photos_each_in_order_of_probability() -> None:
    bins = measure_reliability(*draw_answers(457, 1)).bins
    sizes = [part.num_photos for part in bins]
    assert sum(sizes) == 457
    assert len(sizes) == 10
    assert max(sizes) - min(sizes) <= 1
    means = [part.mean_probability for part in bins]
    assert means == sorted(means)


def test_bins_have_the_wilson_interval_of_their_accuracy() -> None:
    labels, probabilities = draw_answers(300, 2)
    first = measure_reliability(labels, probabilities).bins[0]
    rows = np.argsort(probabilities.max(axis=1))[:30]
    num_right = int((probabilities[rows].argmax(axis=1) == labels[rows]).sum())
    assert first.accuracy == pytest.approx(num_right / 30)
    assert first.interval_95 == wilson_interval(num_right, 30)


def test_too_few_photos_have_a_brier_score_only() -> None:
    found = measure_reliability(*draw_answers(89, 3))
    assert found.bins == ()
    assert found.calibration_error is None
    assert found.calibration_interval_95 is None


def test_a_calibration_error_takes_500_photos() -> None:
    assert measure_reliability(*draw_answers(499, 4)).calibration_error is None
    assert measure_reliability(*draw_answers(500, 4)).calibration_error is not None


def test_a_calibrated_model_has_an_error_that_may_be_0() -> None:
    intervals = [measure_reliability(*draw_answers(600, seed)).calibration_interval_95 for seed in range(12)]
    lows = [interval[0] for interval in intervals if interval is not None]
    assert len(lows) == 12
    assert np.mean(np.array(lows) == 0) > 0.8


@pytest.mark.parametrize("num_photos", [600, 3000])
def test_a_bold_model_has_an_error_clear_of_0(num_photos: int) -> None:
    found = measure_reliability(*draw_answers(num_photos, 5, sharpness=4))
    assert found.calibration_error is not None
    assert found.calibration_interval_95 is not None
    low, high = found.calibration_interval_95
    assert 0 < low <= found.calibration_error <= high <= 1


def test_few_photos_show_the_same_error_in_the_mean_as_many() -> None:
    def mean_square(num_photos: int, seeds: range) -> float:
        found = [measure_reliability(*draw_answers(num_photos, seed, 2)).calibration_error for seed in seeds]
        return float(np.mean([error**2 for error in found if error is not None]))

    assert mean_square(500, range(20)) == pytest.approx(mean_square(20_000, range(100, 102)), rel=0.25)


def test_answers_that_are_all_certain_and_right_are_perfectly_reliable() -> None:
    labels = np.arange(600) % 3
    found = measure_reliability(labels, np.eye(3)[labels])
    assert (found.brier, found.calibration_error, found.calibration_interval_95) == (0, 0, (0, 0))


def test_the_same_photos_have_the_same_interval() -> None:
    answers = draw_answers(700, 6)
    assert measure_reliability(*answers) == measure_reliability(*answers)


def test_arrays_are_not_modified() -> None:
    labels, probabilities = draw_answers(600, 7)
    before = labels.copy(), probabilities.copy()
    measure_reliability(labels, probabilities)
    np.testing.assert_array_equal(labels, before[0])
    np.testing.assert_array_equal(probabilities, before[1])


def test_copies_of_every_photo_change_neither_the_error_nor_its_interval() -> None:
    labels, probabilities = draw_answers(500, 8, sharpness=3)
    groups = np.repeat(np.arange(500), 4)
    copied = measure_reliability(np.repeat(labels, 4), np.repeat(probabilities, 4, axis=0), groups)
    alone = measure_reliability(labels, probabilities)
    assert copied.calibration_interval_95 == pytest.approx(alone.calibration_interval_95, abs=0.03)
    assert copied.bins[0].interval_95 == pytest.approx(alone.bins[0].interval_95, abs=1e-9)
