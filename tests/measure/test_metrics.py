import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, log_loss, precision_score, recall_score

from tellapart.errors import DatasetError
from tellapart.measure.intervals import wilson_interval
from tellapart.measure.metrics import evaluate_probabilities

CLASSES = ("cat", "dog", "fox")


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Labels, probabilities with float32 rounding, and class names."""
    num_classes, num_photos = draw(st.integers(2, 5)), draw(st.integers(1, 40))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    probabilities = generator.dirichlet(np.full(num_classes, 0.5), num_photos).astype(np.float32)
    labels = generator.integers(0, draw(st.integers(1, num_classes)), num_photos)
    return labels, probabilities, [f"class {number}" for number in range(num_classes)]


@settings(deadline=None, max_examples=60)
@given(cases())
def test_the_figures_are_those_of_scikit_learn(case: tuple[np.ndarray, np.ndarray, list[str]]) -> None:
    labels, probabilities, names = case
    result = evaluate_probabilities(labels, probabilities, names)
    predicted, every = probabilities.argmax(axis=1), range(len(names))
    exact = probabilities.astype(np.float64) / probabilities.astype(np.float64).sum(axis=1, keepdims=True)
    assert result.accuracy == pytest.approx(accuracy_score(labels, predicted))
    assert result.log_loss == pytest.approx(log_loss(labels, exact, labels=list(every)))
    scores: dict[str, Any] = {"labels": list(every), "average": None, "zero_division": np.nan}
    precision, recall = precision_score(labels, predicted, **scores), recall_score(labels, predicted, **scores)
    measured = [(score.precision, score.recall) for score in result.per_class]
    np.testing.assert_allclose(np.array(measured, float), np.column_stack([precision, recall]))


@settings(deadline=None, max_examples=60)
@given(cases())
def test_the_counts_agree_with_one_another(case: tuple[np.ndarray, np.ndarray, list[str]]) -> None:
    labels, probabilities, names = case
    result = evaluate_probabilities(labels, probabilities, names)
    matrix = np.array(result.confusion_matrix)
    assert matrix.sum() == result.num_photos == len(labels)
    assert matrix.sum(axis=1).tolist() == [score.num_photos for score in result.per_class]
    assert matrix.trace() / len(labels) == result.accuracy
    assert result.interval_95 == wilson_interval(int(matrix.trace()), len(labels))
    assert [score.class_name for score in result.per_class] == names


def test_the_log_loss_is_the_mean_of_minus_log_of_the_labels_probability() -> None:
    result = evaluate_probabilities([0, 2], [[0.5, 0.25, 0.25], [0.5, 0.25, 0.25]], CLASSES)
    assert result.log_loss == pytest.approx((math.log(2) + math.log(4)) / 2)


def test_rows_of_the_confusion_matrix_are_labels() -> None:
    result = evaluate_probabilities([0, 0, 1], [[0, 1], [1, 0], [0, 1]], ("cat", "dog"))
    assert result.confusion_matrix == ((1, 1), (0, 1))


def test_photos_of_a_single_class_are_evaluated() -> None:
    result = evaluate_probabilities([1, 1], [[0.1, 0.8, 0.1], [0.2, 0.7, 0.1]], CLASSES)
    assert result.accuracy == 1.0
    assert [(score.num_photos, score.precision, score.recall) for score in result.per_class] == [
        (0, None, None),
        (2, 1.0, 1.0),
        (0, None, None),
    ]


def test_a_probability_of_zero_for_the_label_keeps_the_loss_finite() -> None:
    assert math.isfinite(evaluate_probabilities([0], [[0.0, 1.0]], ("cat", "dog")).log_loss)


def test_every_figure_is_a_plain_python_number() -> None:
    result = evaluate_probabilities(np.array([0]), np.array([[0.9, 0.1]], np.float32), ("cat", "dog"))
    assert type(result.accuracy) is float
    assert type(result.log_loss) is float
    assert type(result.confusion_matrix[0][0]) is int
    assert type(result.per_class[0].num_photos) is int


@pytest.mark.parametrize(
    ("labels", "probabilities", "words"),
    [
        ([], np.empty((0, 3)), "there are 0 photos to evaluate"),
        ([0], [[math.nan, 0.5, 0.5]], "of 1 of 1 photos are not finite.*smaller `learning_rate`"),
        ([0], [[math.inf, 0.0, 0.0]], "not finite"),
        ([0], [[3.0, -2.0, 0.0]], "from -2 to 3, .*Apply softmax"),
        ([0], [[0.5, 0.1, 0.1]], "sums from 0.7 to 0.7"),
        ([0], [[0.5, 0.5]], r"shape \(1, 2\) for 3 classes"),
        ([0, 1], [[0.5, 0.25, 0.25]], "one label a photo"),
        ([0.5], [[0.5, 0.25, 0.25]], "Give whole numbers"),
        ([3], [[0.5, 0.25, 0.25]], "Give 0 to 2"),
        ([-1], [[0.5, 0.25, 0.25]], "labels run from -1"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(labels: Any, probabilities: Any, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        evaluate_probabilities(labels, probabilities, CLASSES)


@settings(deadline=None, max_examples=60)
@given(cases())
def test_balanced_accuracy_and_f1_are_those_of_scikit_learn(case: tuple[np.ndarray, np.ndarray, list[str]]) -> None:
    labels, probabilities, names = case
    result, predicted = evaluate_probabilities(labels, probabilities, names), probabilities.argmax(axis=1)
    recalls = recall_score(labels, predicted, labels=np.unique(labels), average=None, zero_division=0.0)
    assert result.balanced_accuracy == pytest.approx(np.mean(recalls))
    assert result.macro_f1 == pytest.approx(f1_score(labels, predicted, average="macro", zero_division=0.0))
    low, high = result.balanced_interval_95
    assert 0 <= low <= result.balanced_accuracy <= high <= 1


def test_the_interval_of_balanced_accuracy_holds_the_truth() -> None:
    generator, held = np.random.default_rng(5), []
    for _ in range(500):
        labels = np.repeat([0, 1, 2], [200, 40, 25])
        is_right = generator.random(265) < np.array([0.98, 0.8, 0.6])[labels]
        shares = np.eye(3)[np.where(is_right, labels, (labels + 1) % 3)]
        low, high = evaluate_probabilities(labels, shares, CLASSES).balanced_interval_95
        held.append(low <= (0.98 + 0.8 + 0.6) / 3 <= high)
    assert 0.93 <= np.mean(held) <= 0.985


def test_the_best_constant_answer_is_the_most_frequent_class() -> None:
    result = evaluate_probabilities([0, 1, 1, 1], np.eye(3)[[0, 1, 1, 2]], CLASSES)
    assert (result.constant_class, result.constant_accuracy) == ("dog", 0.75)


def test_groups_are_counted_class_by_class() -> None:
    labels, groups = np.array([0, 0, 0, 1, 1]), np.array([7, 7, 8, 9, 9])
    result = evaluate_probabilities(labels, np.eye(2)[labels], ("cat", "dog"), groups)
    assert result.num_groups == 3
    assert [score.num_groups for score in result.per_class] == [2, 1]
    assert result.per_class[1].recall_interval_95 == wilson_interval(1, 1)
