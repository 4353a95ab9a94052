import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tellapart.measure.intervals import num_independent
from tellapart.measure.scores import SelectivePoint
from tellapart.measure.selective import describe_selective, selective_points, threshold_for

Answers = tuple[NDArray[np.int64], NDArray[np.float32]]


def draw_answers(num_photos: int, accuracy: float, seed: int) -> Answers:
    """Labels and calibrated probabilities of two classes, from a model with about this accuracy."""
    generator = np.random.default_rng(seed)
    sure = 0.5 + 0.5 * generator.beta(4 * accuracy - 2, 4 - 4 * accuracy, num_photos)
    labels = generator.integers(0, 2, num_photos)
    predicted = np.where(generator.random(num_photos) < sure, labels, 1 - labels)
    probabilities = np.where(predicted[:, np.newaxis] == np.arange(2), sure[:, np.newaxis], 1 - sure[:, np.newaxis])
    return labels, probabilities.astype(np.float32)


def answers_from(sure: list[float], is_right: list[bool]) -> Answers:
    """Photos of class 0 that a model told with such probabilities."""
    column = np.where(is_right, sure, 1 - np.array(sure)).astype(np.float32)
    return np.zeros(len(sure), np.int64), np.stack([column, 1 - column], axis=1)


def test_points_count_the_photos_answered_and_the_wrong_ones() -> None:
    points = selective_points(*answers_from([0.625, 0.75, 0.875, 1.0], [True, False, True, True]))
    assert points == (
        SelectivePoint(0.0, 4, 1, 4),
        SelectivePoint(0.75, 3, 1, 3),
        SelectivePoint(0.875, 2, 0, 2),
        SelectivePoint(1.0, 1, 0, 1),
    )


def test_photos_of_one_probability_are_answered_together() -> None:
    points = selective_points(*answers_from([0.75, 0.75, 0.75, 0.875], [True, False, True, True]))
    assert points == (SelectivePoint(0.0, 4, 1, 4), SelectivePoint(0.875, 1, 0, 1))


def test_no_photos_give_no_points() -> None:
    assert selective_points(np.zeros(0, np.int64), np.zeros((0, 2), np.float32)) == ()


@settings(max_examples=50)
@given(st.integers(1, 400), st.sampled_from([0.7, 0.9, 0.98]), st.integers(0, 10**6))
def test_points_are_few_rise_and_agree_with_the_photos(num_photos: int, accuracy: float, seed: int) -> None:
    labels, probabilities = draw_answers(num_photos, accuracy, seed)
    points = selective_points(labels, probabilities)
    thresholds = [point.threshold for point in points]
    assert 1 <= len(points) <= 100
    assert thresholds[0] == 0
    assert thresholds == sorted(set(thresholds))
    is_answered = probabilities.max(axis=1) >= np.array(thresholds)[:, np.newaxis]
    is_wrong = probabilities.argmax(axis=1) != labels
    assert [point.num_answered for point in points] == is_answered.sum(axis=1).tolist()
    assert [point.num_wrong for point in points] == (is_answered & is_wrong).sum(axis=1).tolist()


def test_the_points_do_not_depend_on_the_order_of_the_photos() -> None:
    labels, probabilities = draw_answers(300, 0.9, 0)
    order = np.random.default_rng(1).permutation(300)
    assert selective_points(labels[order], probabilities[order]) == selective_points(labels, probabilities)


def test_a_model_that_is_right_often_enough_answers_all() -> None:
    assert threshold_for((SelectivePoint(0.0, 100, 2), SelectivePoint(0.9, 50, 0)), 0.05) == 0.0


def test_nothing_is_promised_where_even_the_surest_photos_are_wrong_too_often() -> None:
    assert threshold_for((SelectivePoint(0.0, 100, 30), SelectivePoint(0.9, 50, 10)), 0.05) is None


def test_nothing_is_promised_of_too_few_photos_even_if_all_are_right() -> None:
    assert threshold_for((SelectivePoint(0.0, 10, 0),), 0.05) is None
    assert threshold_for((SelectivePoint(0.0, 30, 0),), 0.05) == 0.0


def test_nothing_is_promised_without_points() -> None:
    assert threshold_for((), 0.05) is None


@settings(max_examples=50)
@given(st.integers(1, 400), st.sampled_from([0.7, 0.9, 0.98]), st.integers(0, 10**6))
def test_a_smaller_error_asks_for_a_higher_threshold(num_photos: int, accuracy: float, seed: int) -> None:
    points = selective_points(*draw_answers(num_photos, accuracy, seed))
    found = [threshold_for(points, target) for target in (0.2, 0.1, 0.05, 0.02, 0.01)]
    as_numbers = [2.0 if threshold is None else threshold for threshold in found]
    assert as_numbers == sorted(as_numbers)


@pytest.mark.parametrize("target", [0.05, 0.1])
@pytest.mark.parametrize(("num_photos", "accuracy"), [(60, 0.97), (200, 0.9), (200, 0.97), (800, 0.75), (800, 0.9)])
def test_the_promise_holds_on_new_photos(num_photos: int, accuracy: float, target: float) -> None:
    new_labels, new_probabilities = draw_answers(20_000, accuracy, 10**6)
    sure, is_wrong = new_probabilities.max(axis=1), new_probabilities.argmax(axis=1) != new_labels
    thresholds = [
        threshold_for(selective_points(*draw_answers(num_photos, accuracy, seed)), target) for seed in range(100)
    ]
    errors = [is_wrong[sure >= threshold].mean() for threshold in thresholds if threshold is not None]
    assert len(errors) > 20
    assert np.mean(errors) <= 1.05 * target


@pytest.mark.parametrize("accuracy", [0.7, 0.85])
def test_few_photos_of_a_bad_model_seldom_promise_anything(accuracy: float) -> None:
    thresholds = [threshold_for(selective_points(*draw_answers(60, accuracy, seed)), 0.02) for seed in range(100)]
    assert sum(threshold is not None for threshold in thresholds) < 10


def test_a_few_right_answers_at_the_top_do_not_make_up_for_wrong_ones_below() -> None:
    points = (SelectivePoint(0.0, 100, 12), SelectivePoint(0.7, 60, 8), SelectivePoint(0.9, 25, 0))
    assert threshold_for(points, 0.05) is None
    assert threshold_for(points, 0.17) == 0.0


def test_the_line_is_not_drawn_below_a_stretch_that_breaks_the_promise() -> None:
    points = (SelectivePoint(0.0, 200, 9), SelectivePoint(0.6, 120, 9), SelectivePoint(0.8, 100, 1))
    assert threshold_for(points, 0.06) == 0.8


def test_the_sentence_says_how_many_photos_are_answered_and_measured() -> None:
    points = (SelectivePoint(0.0, 200, 20), SelectivePoint(0.8, 186, 4), SelectivePoint(0.9, 100, 1))
    assert describe_selective(points, 0.05) == (
        "With `not_sure=0.05` the model answers 93% of photos. It answered 186 of 200 photos it had not seen, and 4 of"
        " these answers were wrong."
    )


def test_the_sentence_says_that_all_photos_are_answered() -> None:
    assert "answers all photos. It answered 200 of 200" in describe_selective((SelectivePoint(0.0, 200, 2),), 0.05)


def test_the_sentence_does_not_round_up_to_all_photos() -> None:
    points = (SelectivePoint(0.0, 1000, 12), SelectivePoint(0.6, 998, 2))
    assert "answers 99.8% of photos" in describe_selective(points, 0.01)


def test_the_sentence_says_how_many_photos_a_promise_takes() -> None:
    sentence = describe_selective((SelectivePoint(0.0, 60, 0),), 0.01)
    assert "answers no photos. There are too few photos to promise this" in sentence
    assert "takes 99 independent photos" in sentence
    assert "tested on 60" in sentence


def test_so_many_photos_as_the_sentence_names_are_enough() -> None:
    assert threshold_for((SelectivePoint(0.0, 99, 0),), 0.01) == 0.0
    assert threshold_for((SelectivePoint(0.0, 98, 0),), 0.01) is None


def test_the_sentence_says_how_wrong_the_surest_answers_were() -> None:
    sentence = describe_selective((SelectivePoint(0.0, 100, 30), SelectivePoint(0.9, 50, 10)), 0.05)
    assert "answers no photos. It is too often wrong to promise this" in sentence
    assert "10 of its 50 surest answers were wrong" in sentence


def test_the_sentence_says_that_the_surest_answers_were_right_and_too_few() -> None:
    points = (SelectivePoint(0.0, 100, 12), SelectivePoint(0.7, 60, 8), SelectivePoint(0.9, 25, 0))
    sentence = describe_selective(points, 0.05)
    assert "answers no photos. There are too few photos to promise this" in sentence
    assert "0 of its 25 surest answers were wrong" in sentence


@settings(max_examples=50)
@given(st.integers(1, 300), st.integers(1, 60), st.sampled_from([0.7, 0.9, 0.98]), st.integers(0, 10**6))
def test_points_count_their_independent_photos(num_photos: int, num_groups: int, accuracy: float, seed: int) -> None:
    labels, probabilities = draw_answers(num_photos, accuracy, seed)
    groups = np.random.default_rng(seed).integers(0, num_groups, num_photos)
    sure = probabilities.max(axis=1)
    points = selective_points(labels, probabilities, groups)
    expected = [num_independent(groups[sure >= point.threshold]) for point in points]
    np.testing.assert_allclose([point.num_independent for point in points], expected, rtol=1e-12)


@pytest.mark.parametrize("copies", [2, 7])
@pytest.mark.parametrize("target", [0.02, 0.1])
def test_copies_of_every_photo_change_no_threshold(copies: int, target: float) -> None:
    labels, probabilities = draw_answers(90, 0.95, 3)
    once = selective_points(labels, probabilities)
    groups = np.tile(np.arange(90), copies)
    often = selective_points(np.tile(labels, copies), np.tile(probabilities, (copies, 1)), groups)
    assert threshold_for(often, target) == threshold_for(once, target)


def test_copies_make_no_promise_possible() -> None:
    labels, probabilities = answers_from([0.9] * 70, [True] * 70)
    groups = np.arange(70) // 7
    assert threshold_for(selective_points(labels, probabilities), 0.02) == 0.0
    assert threshold_for(selective_points(labels, probabilities, groups), 0.02) is None
    assert "tested on 10." in describe_selective(selective_points(labels, probabilities, groups), 0.02)


def draw_groups(num_groups: int, accuracy: float, together: float, seed: int) -> tuple[Answers, NDArray[np.int64]]:
    """Answers as `draw_answers` has them, in groups of 1 to 8 photos; so many of a group are copies of one photo."""
    generator = np.random.default_rng(seed)
    groups = np.repeat(np.arange(num_groups), generator.integers(1, 9, num_groups))
    labels, probabilities = draw_answers(len(groups), accuracy, seed)
    first = np.unique(groups, return_index=True)[1][groups]
    source = np.where(generator.random(len(groups)) < together, first, np.arange(len(groups)))
    return (labels[source], probabilities[source]), groups


@pytest.mark.parametrize("together", [0.5, 1.0])
@pytest.mark.parametrize(("num_groups", "accuracy", "target"), [(60, 0.97, 0.1), (200, 0.9, 0.05), (200, 0.97, 0.05)])
def test_the_promise_holds_on_new_photos_where_photos_come_in_groups(
    num_groups: int, accuracy: float, target: float, together: float
) -> None:
    new_labels, new_probabilities = draw_answers(20_000, accuracy, 10**6)
    sure, is_wrong = new_probabilities.max(axis=1), new_probabilities.argmax(axis=1) != new_labels
    drawn = [draw_groups(num_groups, accuracy, together, seed) for seed in range(100)]
    thresholds = [threshold_for(selective_points(*answers, groups), target) for answers, groups in drawn]
    errors = [is_wrong[sure >= threshold].mean() for threshold in thresholds if threshold is not None]
    assert len(errors) > 20
    assert np.mean(errors) <= 1.05 * target


def test_prediction_needs_numpy_only_for_a_threshold() -> None:
    code = "import sys, tellapart.measure.selective; print({'scipy', 'sklearn', 'pandas'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
