import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import log_loss

from tellapart.measure.calibration import (
    HIGHEST_TEMPERATURE,
    LOWEST_TEMPERATURE,
    calibrate,
    fit_temperature,
    log_loss_terms,
)

Answers = tuple[NDArray[np.float64], NDArray[np.int64]]


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def draw_answers(num_photos: int, num_classes: int, seed: int, temperature: float = 1.0) -> Answers:
    """Logits, and labels drawn from `softmax(logits / temperature)`."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (num_photos, num_classes))
    sums = softmax(logits / temperature).cumsum(axis=1)
    return logits, (generator.random((num_photos, 1)) > sums[:, :-1]).sum(axis=1).astype(np.int64)


SIZES = {"num_photos": st.integers(1, 40), "num_classes": st.integers(2, 6), "seed": st.integers(0, 1000)}


@settings(deadline=None)
@given(**SIZES)
def test_the_terms_have_the_mean_that_scikit_learn_gives(num_photos: int, num_classes: int, seed: int) -> None:
    logits, labels = draw_answers(num_photos, num_classes, seed)
    expected = log_loss(labels, softmax(logits), labels=range(num_classes))
    assert log_loss_terms(logits, labels).mean() == pytest.approx(expected, abs=1e-9)


def test_terms_of_huge_float32_logits_are_finite_and_not_negative() -> None:
    logits = np.array([[3e38, -3e38], [-3e38, 3e38], [0, 0]], np.float32)
    terms = log_loss_terms(logits, np.array([0, 0, 1]))
    assert terms.dtype == np.float64
    assert terms[0] == 0
    assert terms[1] == pytest.approx(6e38)
    assert terms[2] == pytest.approx(np.log(2))


def test_no_photos_have_no_terms() -> None:
    assert log_loss_terms(np.zeros((0, 3)), np.zeros(0, np.int64)).shape == (0,)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("num_classes", [2, 5])
def test_the_temperature_that_the_labels_were_drawn_with_is_found(temperature: float, num_classes: int) -> None:
    logits, labels = draw_answers(20_000, num_classes, 0, temperature)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.06)


@settings(deadline=None, max_examples=30)
@given(factor=st.floats(0.1, 10), **SIZES)
def test_logits_times_a_factor_have_that_factor_times_the_temperature(
    factor: float, num_photos: int, num_classes: int, seed: int
) -> None:
    logits, labels = draw_answers(num_photos + 20, num_classes, seed, 2.0)
    once, times = fit_temperature(logits, labels), fit_temperature(logits * factor, labels)
    assert np.clip(once * factor, LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE) == pytest.approx(times, rel=5e-3)


@settings(deadline=None, max_examples=30)
@given(**SIZES)
def test_no_other_temperature_has_less_log_loss_with_the_pseudo_photo(
    num_photos: int, num_classes: int, seed: int
) -> None:
    logits, labels = draw_answers(num_photos, num_classes, seed)
    doubt = 0.25 / (num_photos + 1)
    targets = np.full(logits.shape, doubt / (num_classes - 1))
    targets[np.arange(num_photos), labels] = 1 - doubt

    def loss(temperature: float) -> float:
        return float(-(targets * np.log(softmax(logits / temperature))).sum(axis=1).mean())

    found = fit_temperature(logits, labels)
    others = np.exp(np.linspace(np.log(0.02), np.log(900), 200))
    assert loss(found) <= min(loss(other) for other in others) + 1e-6


def test_photos_that_are_all_right_leave_a_doubt_that_shrinks_with_their_number() -> None:
    confidence = []
    for number in (4, 40, 400):
        logits = np.tile([2.0, 0.0], (number, 1))
        temperature = fit_temperature(logits, np.zeros(number, np.int64))
        confidence.append(softmax(logits / temperature)[0, 0])
    np.testing.assert_allclose(confidence, [4.75 / 5, 40.75 / 41, 400.75 / 401], atol=1e-4)


def test_a_weight_of_two_counts_as_two_photos() -> None:
    logits, labels = draw_answers(2000, 3, 0, 2.0)
    weights = np.where(np.arange(2000) < 1000, 2.0, 1.0)
    repeated = np.concatenate([np.arange(1000), np.arange(2000)])
    assert fit_temperature(logits, labels, weights) == pytest.approx(
        fit_temperature(logits[repeated], labels[repeated]), rel=1e-3
    )


def test_the_scale_of_the_weights_does_not_matter() -> None:
    logits, labels = draw_answers(50, 3, 1)
    weights = np.linspace(0.1, 3, 50)
    assert fit_temperature(logits, labels, weights) == pytest.approx(fit_temperature(logits, labels, 100 * weights))


@pytest.mark.parametrize(
    ("logits", "labels"),
    [(np.zeros((0, 3)), []), (np.zeros((4, 3)), [0, 1, 2, 0]), (np.full((2, 3), 7.0), [0, 1])],
    ids=["no photos", "zeros", "the same for all classes"],
)
def test_logits_that_say_nothing_keep_a_temperature_of_one(logits: NDArray[np.float64], labels: list[int]) -> None:
    assert fit_temperature(logits, np.array(labels, np.int64)) == 1.0


def test_logits_that_are_always_wrong_are_cooled_to_nothing() -> None:
    logits = np.tile([5.0, 0.0], (20, 1))
    assert fit_temperature(logits, np.ones(20, np.int64)) > 0.9 * HIGHEST_TEMPERATURE


def test_logits_are_not_modified() -> None:
    logits, labels = draw_answers(10, 3, 0)
    logits.setflags(write=False)
    labels.setflags(write=False)
    assert fit_temperature(logits, labels) > 0
    assert len(log_loss_terms(logits, labels)) == 10


def test_a_model_that_is_not_sure_enough_is_calibrated() -> None:
    given, labels = draw_probabilities(1000, 0, temperature=0.5)
    temperature, probabilities = calibrate(given, labels, np.arange(1000) % 5)
    assert temperature == fit_temperature(np.log(given), labels)
    assert temperature == pytest.approx(0.5, rel=0.1)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), given.argmax(axis=1))
    assert mean_loss(probabilities, labels) < 0.95 * mean_loss(given, labels)


def test_no_photo_has_a_say_in_its_own_probabilities() -> None:
    given, labels = draw_probabilities(400, 1, temperature=0.5)
    folds = np.arange(400) % 5
    _, before = calibrate(given, labels, folds)
    changed = np.where((folds == 2) & (np.arange(400) < 15), (labels + 1) % 3, labels)
    _, after = calibrate(given, changed, folds)
    np.testing.assert_array_equal(before[folds == 2], after[folds == 2])
    assert not np.array_equal(before[folds == 1], after[folds == 1])


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_few_photos_leave_a_model_as_it_is(temperature: float) -> None:
    given, labels = draw_probabilities(99, 0, temperature)
    found, probabilities = calibrate(given, labels, np.arange(99) % 5)
    assert found == 1.0
    np.testing.assert_array_equal(probabilities, given)


def test_a_model_that_is_as_sure_as_it_may_be_stays_so() -> None:
    found = [calibrate(*draw_probabilities(300, seed), np.arange(300) % 5)[0] for seed in range(20)]
    assert sum(value == 1.0 for value in found) >= 15


def test_photos_that_all_belong_together_leave_a_model_as_it_is() -> None:
    given, labels = draw_probabilities(200, 0, temperature=0.5)
    assert calibrate(given, labels, np.zeros(200, np.int64))[0] == 1.0


def draw_probabilities(
    num_photos: int, seed: int, temperature: float = 1.0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """What a model says of 3 classes, and labels drawn from it at this temperature."""
    logits, labels = draw_answers(num_photos, 3, seed, temperature)
    return softmax(logits).astype(np.float32), labels


def mean_loss(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    return float(-np.log(probabilities[np.arange(len(labels)), labels]).mean())
