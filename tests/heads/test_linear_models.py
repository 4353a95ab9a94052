import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression

from tellapart.heads.linear_models import (
    ClassMoments,
    Examples,
    LinearModel,
    average,
    even_out_lengths,
    fit_lda,
    fit_logistic,
    fit_nearest_mean,
    ledoit_wolf,
    make_examples,
    sum_fourth_powers,
    to_unit_length,
)

Floats = NDArray[np.float32]


def draw_photos(counts: list[int], num_features: int, distance: float = 2.0, seed: int = 0) -> tuple[Floats, Examples]:
    """Photos of each class around a mean of their own, and how the fits see them."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    vectors = np.eye(len(counts), num_features)[labels] * distance + generator.normal(0, 1, (len(labels), num_features))
    vectors = (vectors + 3).astype(np.float32)
    return vectors, make_examples(vectors, labels, len(counts))


def relative(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """What softmax sees of logits."""
    return np.asarray(logits - logits.mean(axis=1, keepdims=True), np.float64)


@settings(max_examples=25, deadline=None)
@given(shape=st.tuples(st.integers(1, 8), st.integers(1, 8)), scale=st.floats(1e-3, 1e3), seed=st.integers(0, 99))
def test_even_lengths_are_the_root_of_what_they_were(shape: tuple[int, int], scale: float, seed: int) -> None:
    vectors = (np.random.default_rng(seed).normal(0, scale, shape)).astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=1)
    np.testing.assert_allclose(np.linalg.norm(even_out_lengths(vectors), axis=1), np.sqrt(lengths), rtol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(to_unit_length(vectors), axis=1), 1, rtol=1e-4)


def test_an_embedding_of_zeros_stays_zeros() -> None:
    zeros = np.zeros((2, 3), np.float32)
    np.testing.assert_array_equal(even_out_lengths(zeros), zeros)
    np.testing.assert_array_equal(to_unit_length(zeros), zeros)


@pytest.mark.parametrize("counts", [[40, 40, 40], [60, 20], [10, 30, 20, 40]], ids=str)
@pytest.mark.parametrize("shrinkage", [0.2, 0.5, 1.0])
def test_lda_tells_apart_as_that_of_scikit_learn_does(counts: list[int], shrinkage: float) -> None:
    vectors, examples = draw_photos(counts, 30)
    oracle = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(vectors, examples.labels)
    (model,) = fit_lda(examples, [shrinkage])
    expected = oracle.predict_log_proba(vectors)
    np.testing.assert_allclose(relative(model.logits(vectors)), relative(expected), rtol=0.02, atol=0.05)


def test_ledoit_and_wolf_are_estimated_as_scikit_learn_does() -> None:
    residuals = np.random.default_rng(0).normal(0, 1, (80, 40)).astype(np.float32)
    residuals -= residuals.mean(axis=0)
    covariance = (residuals.T @ residuals).astype(np.float64) / len(residuals)
    expected = ledoit_wolf_shrinkage(residuals, assume_centered=True)
    assert 0.05 < expected < 1
    fourth_power = sum_fourth_powers(residuals) / len(residuals)
    moments = ClassMoments(np.array([50, 30]), np.zeros((2, 40)), covariance, fourth_power, 40)
    assert ledoit_wolf(moments) == pytest.approx(expected, rel=1e-4)


def test_residuals_that_are_all_zero_are_shrunk_all_the_way() -> None:
    assert ledoit_wolf(ClassMoments(np.array([2, 2]), np.zeros((2, 3)), np.zeros((3, 3)), 0.0, 3)) == 1.0


@pytest.mark.parametrize("counts", [[30, 30], [20, 10, 40]], ids=str)
@pytest.mark.parametrize("inverse_penalty", [1.0, 100.0])
def test_logistic_regression_is_that_of_scikit_learn(counts: list[int], inverse_penalty: float) -> None:
    vectors, examples = draw_photos(counts, 8)
    centred = (vectors - vectors.mean(axis=0)) * examples.scale
    oracle = LogisticRegression(C=inverse_penalty, tol=1e-7, max_iter=2000).fit(centred, examples.labels)
    model = fit_logistic(examples, [inverse_penalty / 10, inverse_penalty])[-1]
    logits = model.logits(vectors)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, oracle.predict_proba(centred), atol=0.02)


@pytest.mark.parametrize("fit", [fit_lda, fit_logistic])
@pytest.mark.parametrize("counts", [[30, 60], [10, 40, 20]], ids=str)
def test_a_correction_divides_probabilities_by_class_frequencies(fit: object, counts: list[int]) -> None:
    vectors, examples = draw_photos(counts, 6)
    corrected = make_examples(vectors, examples.labels, len(counts), is_corrected=True)
    (plain,), (fair,) = fit(examples, [0.5]), fit(corrected, [0.5])  # type: ignore[operator]
    frequencies = np.log(np.array(counts) / sum(counts))
    np.testing.assert_allclose(plain.bias - fair.bias, frequencies, atol=1e-9)
    np.testing.assert_array_equal(plain.weights, fair.weights)


@pytest.mark.parametrize("fit", [fit_lda, fit_logistic, fit_nearest_mean])
@pytest.mark.parametrize("shape", [(12, 40), (40, 12)], ids=["rotated", "plain"])
def test_a_model_of_the_vectors_has_the_logits_of_that_of_the_coordinates(fit: object, shape: tuple[int, int]) -> None:
    vectors = np.random.default_rng(0).normal(5, 3, shape).astype(np.float32)
    examples = make_examples(vectors, np.arange(len(vectors)) % 3, 3)
    identity = Examples(
        examples.coordinates, examples.labels, 3, False, np.zeros(examples.coordinates.shape[1], np.float32), 1.0, None
    )
    (of_vectors,), (inside,) = fit(examples, [0.5]), fit(identity, [0.5])  # type: ignore[operator]
    # The covariance is pulled towards the mean variance of all features, so only angles can be compared for LDA.
    found, expected = relative(of_vectors.logits(vectors)), relative(inside.logits(examples.coordinates))
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.98


def test_coordinates_are_centred_of_unit_mean_square_and_keep_angles() -> None:
    vectors = (np.random.default_rng(0).gamma(1, 5, (12, 40)) + 100).astype(np.float32)
    coordinates = make_examples(vectors, np.arange(12) % 2, 2).coordinates
    centred = vectors - vectors.mean(axis=0)
    assert coordinates.shape == (12, 12)
    np.testing.assert_allclose(coordinates @ coordinates.T, centred @ centred.T / (centred**2).sum() * 12, atol=1e-4)


@pytest.mark.parametrize("num_photos", [20, 200])
def test_main_directions_keep_what_photos_differ_in(num_photos: int) -> None:
    generator = np.random.default_rng(0)
    inside = generator.normal(0, 1, (num_photos, 3)) @ generator.normal(0, 1, (3, 50))
    vectors = (inside + generator.normal(0, 1e-3, inside.shape)).astype(np.float32)
    coordinates = make_examples(vectors, np.arange(num_photos) % 2, 2, num_directions=3).coordinates
    assert coordinates.shape == (num_photos, 3)
    assert np.square(coordinates).sum() == pytest.approx(num_photos, rel=1e-3)


def test_the_vectors_are_not_modified() -> None:
    vectors = np.random.default_rng(0).normal(0, 1, (5, 9)).astype(np.float32)
    vectors.setflags(write=False)
    make_examples(vectors, np.arange(5) % 2, 2)


def test_lda_of_classes_without_any_spread_is_finite_and_right() -> None:
    vectors, labels = np.repeat(np.eye(2, 5, dtype=np.float32), 4, axis=0), np.repeat([0, 1], 4)
    for model in fit_lda(make_examples(vectors, labels, 2), [None, 0.5]):
        logits = model.logits(vectors)
        assert np.isfinite(logits).all()
        np.testing.assert_array_equal(logits.argmax(axis=1), labels)


def test_the_nearest_mean_is_that_of_least_distance() -> None:
    vectors, examples = draw_photos([5, 5, 5, 5], 20, distance=4)
    means = np.stack([vectors[examples.labels == label].mean(axis=0) for label in range(4)])
    distances = np.linalg.norm(vectors[:, np.newaxis] - means, axis=2)
    (model,) = fit_nearest_mean(examples)
    np.testing.assert_array_equal(model.logits(vectors).argmax(axis=1), distances.argmin(axis=1))


@pytest.mark.parametrize("num_classes", [2, 4, 30])
@pytest.mark.parametrize("size", [1e-3, 1.0, 50.0])
def test_at_its_mean_a_class_has_a_probability_of_95_percent(num_classes: int, size: float) -> None:
    vectors = size * np.eye(num_classes, 40, dtype=np.float32)
    (model,) = fit_nearest_mean(make_examples(vectors, np.arange(num_classes), num_classes))
    logits = model.logits(vectors)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.diag(probabilities), 0.95, atol=1e-4)


def test_a_class_of_one_photo_is_not_behind_a_class_of_two() -> None:
    right = []
    for seed in range(40):
        (model,) = fit_nearest_mean(draw_photos([2, 1], 400, 8, seed)[1])
        fresh, examples = draw_photos([20, 20], 400, 8, seed + 100)
        right.append((model.logits(fresh).argmax(axis=1)[examples.labels == 1] == 1).mean())
    assert np.mean(right) > 0.9


def test_the_average_of_models_has_the_mean_of_their_logits() -> None:
    first, second = LinearModel(np.eye(2), np.zeros(2)), LinearModel(3 * np.eye(2), np.ones(2))
    vectors = np.array([[1, 2], [3, 4]], np.float32)
    expected = (first.logits(vectors) + second.logits(vectors)) / 2
    np.testing.assert_allclose(average([first, second]).logits(vectors), expected)


def test_a_model_over_a_temperature_has_its_logits_divided() -> None:
    model = LinearModel(np.eye(2), np.ones(2))
    vectors = np.array([[1, 2]], np.float32)
    np.testing.assert_allclose(model.over(4).logits(vectors), model.logits(vectors) / 4)
