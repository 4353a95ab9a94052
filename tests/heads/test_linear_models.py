import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression

from tellapart.heads.linear_models import (
    Coordinates,
    Examples,
    LinearModel,
    LogisticPath,
    average,
    fit_lda,
    fit_nearest_mean,
    ledoit_wolf,
)


def draw_classes(counts: list[int], num_features: int, distance: float = 2.0, seed: int = 0) -> Examples:
    """Photos of each class around a mean of their own, as the fits see them."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    means = np.eye(len(counts), num_features) * distance
    vectors = (means[labels] + generator.normal(0, 1, (len(labels), num_features))) / np.sqrt(num_features)
    return Examples(vectors.astype(np.float32), labels, len(counts), num_features, None)


def relative(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """What softmax sees of logits."""
    return np.asarray(logits - logits.mean(axis=1, keepdims=True), np.float64)


@pytest.mark.parametrize("shrinkage", [0.2, 0.5, 1.0])
def test_lda_tells_apart_as_that_of_scikit_learn_does(shrinkage: float) -> None:
    examples = draw_classes([40, 40, 40], 30)
    oracle = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(examples.vectors, examples.labels)

    (model,) = fit_lda(examples, [shrinkage])

    found = relative(model.logits(examples.vectors))
    expected = relative(oracle.decision_function(examples.vectors))
    scale = (found * expected).sum() / (expected**2).sum()
    np.testing.assert_allclose(found, scale * expected, atol=0.01 * np.abs(found).max())


def test_ledoit_and_wolf_are_estimated_as_scikit_learn_does() -> None:
    examples = draw_classes([80], 40)
    residuals = examples.vectors - examples.vectors.mean(axis=0)
    covariance = (residuals.T @ residuals).astype(np.float64) / len(residuals)
    expected = ledoit_wolf_shrinkage(residuals, assume_centered=True)
    assert 0.05 < expected < 0.95
    assert ledoit_wolf(residuals, covariance, 40) == pytest.approx(expected, rel=1e-4)


def test_ledoit_and_wolf_are_estimated_in_the_space_before_the_rotation() -> None:
    vectors = (np.random.default_rng(0).normal(0, 1, (20, 60)) * np.linspace(0.1, 3, 60)).astype(np.float32)
    rotated = Coordinates(vectors).vectors
    assert rotated.shape == (20, 20)
    covariance = (rotated.T @ rotated).astype(np.float64) / 20
    expected = ledoit_wolf_shrinkage(vectors - vectors.mean(axis=0), assume_centered=True)
    assert 0.05 < expected < 0.95
    assert ledoit_wolf(rotated, covariance, 60) == pytest.approx(expected, rel=1e-4)


def test_residuals_that_are_all_zero_are_shrunk_all_the_way() -> None:
    assert ledoit_wolf(np.zeros((4, 3), np.float32), np.zeros((3, 3)), 3) == 1.0


def test_lda_is_the_same_with_and_without_the_rotation() -> None:
    embeddings = draw_classes([10, 10, 10], 100, distance=6).vectors
    labels = np.repeat([0, 1, 2], 10)
    coordinates = Coordinates(embeddings)
    plain = (embeddings - embeddings.mean(axis=0)) / np.sqrt(embeddings.var(axis=0).sum())
    rotated_models = fit_lda(Examples(coordinates.vectors, labels, 3, 100, None), [None, 0.5])
    plain_models = fit_lda(Examples(plain.astype(np.float32), labels, 3, 100, None), [None, 0.5])
    for rotated_model, plain_model in zip(rotated_models, plain_models, strict=True):
        found = relative(coordinates.to_embeddings(rotated_model).logits(embeddings))
        expected = relative(plain_model.logits(plain.astype(np.float32)))
        np.testing.assert_allclose(found, expected, atol=5e-3)


def test_lda_takes_the_classes_to_be_as_frequent_as_they_are() -> None:
    examples = draw_classes([150, 50], 4)
    balanced = Examples(examples.vectors, examples.labels, 2, 4, np.array([2 / 3, 2.0]))
    (counted,), (alike,) = fit_lda(examples, [0.5]), fit_lda(balanced, [0.5])
    np.testing.assert_allclose(counted.weights, alike.weights)
    np.testing.assert_allclose(counted.bias - alike.bias, np.log([0.75, 0.25]))


def test_lda_of_classes_without_any_spread_is_finite_and_right() -> None:
    vectors = np.repeat(np.eye(2, 5, dtype=np.float32), 4, axis=0)
    labels = np.repeat([0, 1], 4)
    for model in fit_lda(Examples(vectors, labels, 2, 5, None), [None, 0.5]):
        logits = model.logits(vectors)
        assert np.isfinite(logits).all()
        np.testing.assert_array_equal(logits.argmax(axis=1), labels)


@pytest.mark.parametrize("seed", range(3))
def test_lda_finds_a_rare_class_whose_mean_is_known_badly(seed: int) -> None:
    rare = draw_classes([300, 3], 300, distance=6, seed=seed)
    fresh = draw_classes([300, 300], 300, distance=6, seed=seed + 100)
    (model,) = fit_lda(Examples(rare.vectors, rare.labels, 2, 300, np.ones(2)), [0.5])
    found = model.logits(fresh.vectors).argmax(axis=1)
    assert (found[fresh.labels == 1] == 1).mean() > 0.9
    assert (found[fresh.labels == 0] == 0).mean() > 0.9


def test_the_nearest_mean_is_that_of_least_distance() -> None:
    examples = draw_classes([5, 5, 5, 5], 20, distance=4)
    means = np.stack([examples.vectors[examples.labels == label].mean(axis=0) for label in range(4)])
    distances = np.linalg.norm(examples.vectors[:, np.newaxis] - means, axis=2)
    logits = fit_nearest_mean(examples).logits(examples.vectors)
    np.testing.assert_array_equal(logits.argmax(axis=1), distances.argmin(axis=1))


@pytest.mark.parametrize("num_classes", [2, 4, 30])
@pytest.mark.parametrize("size", [1e-3, 1.0, 50.0])
def test_at_its_mean_a_class_has_a_probability_of_95_percent(num_classes: int, size: float) -> None:
    vectors = size * np.eye(num_classes, 40, dtype=np.float32)
    examples = Examples(vectors, np.arange(num_classes), num_classes, 40, None)
    logits = fit_nearest_mean(examples).logits(vectors)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.diag(probabilities), 0.95, atol=1e-4)


def test_a_class_of_one_photo_is_not_behind_a_class_of_two() -> None:
    right = []
    for seed in range(40):
        few, fresh = draw_classes([2, 1], 400, 8, seed), draw_classes([20, 20], 400, 8, seed + 100)
        found = fit_nearest_mean(few).logits(fresh.vectors).argmax(axis=1)
        right.append((found[fresh.labels == 1] == 1).mean())
    assert np.mean(right) > 0.9


@pytest.mark.parametrize("num_classes", [2, 3])
@pytest.mark.parametrize("inverse_penalty", [1.0, 100.0])
def test_logistic_regression_is_the_same_with_and_without_the_rotation(
    num_classes: int, inverse_penalty: float
) -> None:
    raw = draw_classes([20] * num_classes, 150, distance=8)
    embeddings = 3 * raw.vectors + 1
    plain = (embeddings - embeddings.mean(axis=0)) / np.sqrt(embeddings.var(axis=0).sum())
    oracle = LogisticRegression(C=inverse_penalty, tol=1e-7, max_iter=2000).fit(plain.astype(np.float64), raw.labels)
    coordinates = Coordinates(embeddings)
    path = LogisticPath()
    examples = Examples(coordinates.vectors, raw.labels, num_classes, 150, None)
    path.fit(examples, inverse_penalty / 10)

    model = coordinates.to_embeddings(path.fit(examples, inverse_penalty))

    logits = model.logits(embeddings)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, oracle.predict_proba(plain), atol=1e-3)


def test_logistic_regression_with_class_weights_is_that_of_repeated_photos() -> None:
    examples = draw_classes([30, 10], 5)
    weighted = Examples(examples.vectors, examples.labels, 2, 5, np.array([1.0, 3.0]))
    rows = np.concatenate([np.arange(30), np.tile(np.arange(30, 40), 3)])
    repeated = Examples(examples.vectors[rows], examples.labels[rows], 2, 5, None)
    found, expected = LogisticPath().fit(weighted, 10.0), LogisticPath().fit(repeated, 10.0)
    np.testing.assert_allclose(found.weights, expected.weights, atol=1e-2)
    np.testing.assert_allclose(found.bias, expected.bias, atol=1e-2)


def test_coordinates_are_centred_of_unit_mean_square_and_keep_angles() -> None:
    embeddings = (np.random.default_rng(0).gamma(1, 5, (12, 40)) + 100).astype(np.float32)
    vectors = Coordinates(embeddings).vectors
    centred = embeddings - embeddings.mean(axis=0)
    expected = centred @ centred.T / (centred**2).sum() * 12
    assert vectors.shape == (12, 12)
    np.testing.assert_allclose(vectors @ vectors.T, expected, atol=1e-4)


@pytest.mark.parametrize("shape", [(12, 40), (40, 12)], ids=["rotated", "plain"])
def test_a_model_moved_to_the_embeddings_has_the_same_logits(shape: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    embeddings = generator.normal(5, 3, shape).astype(np.float32)
    coordinates = Coordinates(embeddings)
    model = LinearModel(generator.normal(0, 1, (12, 3)), generator.normal(0, 1, 3))
    moved = coordinates.to_embeddings(model)
    np.testing.assert_allclose(moved.logits(embeddings), model.logits(coordinates.vectors), atol=1e-4)


def test_coordinates_do_not_modify_the_embeddings() -> None:
    embeddings = np.random.default_rng(0).normal(0, 1, (5, 9)).astype(np.float32)
    before = embeddings.copy()
    Coordinates(embeddings)
    np.testing.assert_array_equal(embeddings, before)


def test_the_average_of_models_has_the_mean_of_their_logits() -> None:
    first, second = LinearModel(np.eye(2), np.zeros(2)), LinearModel(3 * np.eye(2), np.ones(2))
    vectors = np.array([[1, 2], [3, 4]], np.float32)
    expected = (first.logits(vectors) + second.logits(vectors)) / 2
    np.testing.assert_allclose(average([first, second]).logits(vectors), expected)


def test_a_model_over_a_temperature_has_its_logits_divided() -> None:
    model = LinearModel(np.eye(2), np.ones(2))
    vectors = np.array([[1, 2]], np.float32)
    np.testing.assert_allclose(model.over(4).logits(vectors), model.logits(vectors) / 4)
