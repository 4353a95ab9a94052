import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import softmax

from tellapart.checkup.label_suspects import choose_outliers, find_label_suspects, measure_oddness


def draw_probabilities(
    truth: NDArray[np.int64], num_classes: int, sureness: float = 6.0, seed: int = 0
) -> NDArray[np.float32]:
    """What a model that is nearly always right says of photos of these classes."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 1, (len(truth), num_classes))
    logits[np.arange(len(truth)), truth] += sureness
    return softmax(logits, axis=1).astype(np.float32)


def flip(
    truth: NDArray[np.int64], num_classes: int, num_wrong: int, seed: int = 0
) -> tuple[NDArray[np.int64], set[int]]:
    """Labels of which some are wrong, and the rows of those."""
    generator = np.random.default_rng(seed)
    rows = generator.permutation(len(truth))[:num_wrong]
    labels = truth.copy()
    labels[rows] = (truth[rows] + generator.integers(1, num_classes, num_wrong)) % num_classes
    return labels, set(rows.tolist())


@pytest.mark.parametrize("num_classes", [2, 5, 40])
def test_wrong_labels_are_found(num_classes: int) -> None:
    truth = np.arange(400) % num_classes
    labels, wrong = flip(truth, num_classes, 20)
    found = {suspect.row for suspect in find_label_suspects(labels, draw_probabilities(truth, num_classes, 9.0))}
    assert len(found & wrong) >= 15
    assert len(found - wrong) <= 2


def test_a_suspect_says_what_it_is_and_what_it_may_be() -> None:
    truth = np.repeat([0, 1], 20)
    labels = truth.copy()
    labels[3] = 1
    probabilities = draw_probabilities(truth, 2, 9.0)
    (suspect,) = find_label_suspects(labels, probabilities)
    assert (suspect.row, suspect.label, suspect.suggested_label) == (3, 1, 0)
    assert suspect.label_probability == pytest.approx(probabilities[3, 1])
    assert suspect.suggested_probability == pytest.approx(probabilities[3, 0])


def test_the_most_suspicious_come_first() -> None:
    truth = np.arange(300) % 3
    labels, _ = flip(truth, 3, 30)
    found = [suspect.label_probability for suspect in find_label_suspects(labels, draw_probabilities(truth, 3, 9.0))]
    assert len(found) > 10
    assert found == sorted(found)


@pytest.mark.parametrize("sureness", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("num_classes", [2, 4, 60])
def test_few_right_labels_are_suspected_however_often_the_model_errs(num_classes: int, sureness: float) -> None:
    truth = np.arange(300) % num_classes
    # The posterior of classes at distance `sureness` of one another under noise of variance 1, so it is calibrated.
    logits = np.log(draw_probabilities(truth, num_classes, sureness)) * sureness
    assert len(find_label_suspects(truth, softmax(logits, axis=1))) <= 15


def test_photos_that_were_never_held_out_are_not_judged() -> None:
    truth = np.repeat([0, 1, 2], [30, 30, 1])
    labels, wrong = flip(truth[:60], 2, 4)
    probabilities = draw_probabilities(truth, 3, 9.0)
    probabilities[60] = np.nan
    found = {suspect.row for suspect in find_label_suspects(np.append(labels, 2), probabilities)}
    assert found <= wrong
    assert len(found) >= 3


@pytest.mark.parametrize("num_photos", [0, 1, 6])
def test_where_nothing_was_held_out_nothing_is_suspected(num_photos: int) -> None:
    assert find_label_suspects(np.arange(num_photos) % 2, np.full((num_photos, 2), np.nan, np.float32)) == ()


def test_a_single_class_has_no_suspects() -> None:
    probabilities = draw_probabilities(np.ones(10, np.int64), 2)
    assert find_label_suspects(np.zeros(10, np.int64), probabilities) == ()


def test_photos_of_one_moment_are_suspected_together_or_not_at_all() -> None:
    truth = np.repeat([0, 1], 30)
    labels, groups = truth.copy(), np.arange(60)
    labels[:3], groups[:3] = 1, 0
    probabilities = draw_probabilities(truth, 2, 4.0)
    probabilities[:3] = [(0.999, 0.001), (0.9, 0.1), (0.999, 0.001)]
    assert [suspect.rows for suspect in find_label_suspects(labels, probabilities, groups)] == [(0, 1, 2)]
    assert 1 not in {suspect.row for suspect in find_label_suspects(labels, probabilities)}


def test_of_a_photo_in_two_classes_the_wrong_label_is_suspected() -> None:
    truth = np.repeat([0, 1], 30)
    labels, groups = truth.copy(), np.arange(60)
    labels[1], groups[1] = 1, 0
    probabilities = draw_probabilities(truth, 2, 9.0)
    probabilities[1] = probabilities[0]
    assert [suspect.row for suspect in find_label_suspects(labels, probabilities, groups)] == [1]


@settings(max_examples=25, deadline=None)
@given(num_classes=st.integers(2, 6), num_photos=st.integers(1, 60), seed=st.integers(0, 1000))
def test_every_suspect_looks_more_like_another_class(num_classes: int, num_photos: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, num_classes, num_photos)
    probabilities = softmax(generator.normal(0, 4, (num_photos, num_classes)), axis=1).astype(np.float32)
    probabilities[generator.random(num_photos) < 0.1] = np.nan
    suspects = find_label_suspects(labels, probabilities, generator.integers(0, 40, num_photos))
    assert len({suspect.row for suspect in suspects}) == len(suspects)
    for suspect in suspects:
        assert suspect.label == labels[suspect.row] != suspect.suggested_label
        assert suspect.label_probability < suspect.suggested_probability


def draw_embeddings(labels: NDArray[np.int64], num_features: int = 64, seed: int = 0) -> NDArray[np.float32]:
    """Positive numbers around a mean of each class, as a network ending in a rectifier gives them."""
    generator = np.random.default_rng(seed)
    means = generator.gamma(1.0, 1.0, (int(labels.max(initial=0)) + 1, num_features))
    return (means[labels] * generator.gamma(4.0, 0.25, (len(labels), num_features))).astype(np.float32)


def find_outliers(
    embeddings: NDArray[np.float32], labels: NDArray[np.int64], groups: NDArray[np.int64]
) -> tuple[int, ...]:
    """Rows of the photos that look like no other of their class, by their embeddings alone."""
    return choose_outliers(measure_oddness(embeddings, labels, groups))


def test_a_photo_like_no_other_of_its_class_is_found() -> None:
    labels = np.repeat([0, 1], 100)
    embeddings = draw_embeddings(labels)
    embeddings[30] = draw_embeddings(np.array([0]), seed=9)[0]
    assert 30 in find_outliers(embeddings, labels, np.arange(200))
    assert find_outliers(embeddings, labels, np.arange(200))[0] == 30


@pytest.mark.parametrize("counts", [[20, 20], [300, 300], [12] * 40], ids=["20", "300", "40 classes"])
def test_few_of_ordinary_photos_are_called_unusual(counts: list[int]) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    numbers = [
        len(find_outliers(draw_embeddings(labels, seed=seed), labels, np.arange(len(labels)))) for seed in range(5)
    ]
    assert np.mean(numbers) <= 1.0


def test_two_copies_of_an_unusual_photo_do_not_hide_each_other() -> None:
    labels = np.zeros(100, np.int64)
    embeddings, groups = draw_embeddings(labels), np.arange(100)
    embeddings[[4, 5]] = draw_embeddings(np.array([0]), seed=9)
    groups[5] = 4
    assert set(find_outliers(embeddings, labels, groups)) == {4, 5}


def test_never_more_than_two_in_a_hundred_are_called_unusual() -> None:
    labels = np.zeros(500, np.int64)
    embeddings = draw_embeddings(labels)
    embeddings[:40] = np.random.default_rng(1).gamma(1.0, 1.0, (40, 64))
    assert len(find_outliers(embeddings, labels, np.arange(500))) == 10


@pytest.mark.parametrize("num_photos", [0, 1, 5])
def test_a_class_of_few_photos_is_not_judged(num_photos: int) -> None:
    labels = np.zeros(num_photos, np.int64)
    assert len(find_outliers(draw_embeddings(labels), labels, np.arange(num_photos))) == 0


def test_a_class_of_copies_is_not_judged() -> None:
    embeddings = np.repeat(draw_embeddings(np.array([0])), 50, axis=0)
    assert len(find_outliers(embeddings, np.zeros(50, np.int64), np.zeros(50, np.int64))) == 0


def test_photos_that_all_look_the_same_are_not_unusual() -> None:
    embeddings = np.ones((50, 8), np.float32)
    assert len(find_outliers(embeddings, np.zeros(50, np.int64), np.arange(50))) == 0


def test_the_embeddings_are_not_modified() -> None:
    labels = np.repeat([0, 1], 20)
    embeddings = draw_embeddings(labels)
    before = embeddings.copy()
    find_outliers(embeddings, labels, np.arange(40))
    np.testing.assert_array_equal(embeddings, before)
