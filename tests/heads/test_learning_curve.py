import subprocess
import sys

import numpy as np
import pytest

from tellapart.errors import DatasetError
from tellapart.heads.head_data import HeadData
from tellapart.heads.learning_curve import measure_learning_curve


def draw_data(counts: list[int], size: int, distance: float = 2.5, copies: int = 1, seed: int = 0) -> HeadData:
    """Embeddings of each class around a mean of their own; each photo `copies` times."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    means = distance * np.eye(len(counts), size)
    embeddings = means[labels] + generator.normal(0, 1, (len(labels), size))
    groups = np.arange(len(labels))
    rows = np.repeat(groups, copies)
    return HeadData(embeddings.astype(np.float32)[rows], labels[rows], groups[rows], len(counts))


def test_the_error_falls_with_the_photos_and_the_curve_goes_on() -> None:
    curve = measure_learning_curve(draw_data([200, 200], 100), 0)
    assert curve is not None
    assert [size for size, _ in curve.measured] == [40, 80, 140, 240, 360]
    errors = [error for _, error in curve.measured]
    assert errors[0] > errors[-1] > 0
    assert curve.fitted[-1].num_photos == 1600
    assert curve.fitted[-1].error <= curve.fitted[0].error


def test_classes_that_cannot_be_told_apart_expect_no_gain() -> None:
    curve = measure_learning_curve(draw_data([200, 200], 20, distance=0), 0)
    assert curve is not None
    assert curve.measured[-1][1] == pytest.approx(0.5, abs=0.1)
    assert curve.sentence.startswith("More photos like these would hardly help")


def test_copies_of_a_photo_tell_nothing_new() -> None:
    curve = measure_learning_curve(draw_data([100, 100], 150, distance=0, copies=4), 0)
    assert curve is not None
    assert min(error for _, error in curve.measured) > 0.35


def test_main_directions_make_as_many_mistakes_as_all() -> None:
    many = measure_learning_curve(draw_data([300, 300], 400), 0)
    few = measure_learning_curve(draw_data([300, 300], 200), 0)
    assert many is not None
    assert few is not None
    assert many.measured[-1][1] == pytest.approx(few.measured[-1][1], abs=0.06)


def test_2_classes_of_5_photos_are_too_few() -> None:
    assert measure_learning_curve(draw_data([5, 5], 30), 0) is None


def test_100_classes_of_5_photos_have_a_curve() -> None:
    curve = measure_learning_curve(draw_data([5] * 100, 300, distance=8), 0)
    assert curve is not None
    assert [size for size, _ in curve.measured] == [100, 200, 300, 450]


@pytest.mark.parametrize("counts", [[90, 3], [120, 1], [60, 40, 2]], ids=str)
def test_rare_classes_are_learnt_from_by_every_model(counts: list[int]) -> None:
    curve = measure_learning_curve(draw_data(counts, 50), 0)
    assert curve is not None
    assert all(0 <= error <= 1 for _, error in curve.measured)


def test_a_photo_in_several_classes_is_no_obstacle() -> None:
    data = draw_data([40, 40, 2], 30)
    groups = data.groups.copy()
    groups[[80, 81]] = groups[[0, 1]]
    assert measure_learning_curve(HeadData(data.embeddings, data.labels, groups, 3), 0) is not None


def test_the_same_seed_gives_the_same_curve() -> None:
    data = draw_data([50, 50], 30)
    assert measure_learning_curve(data, 3) == measure_learning_curve(data, 3)
    assert measure_learning_curve(data, 3) != measure_learning_curve(data, 4)


def test_embeddings_are_not_modified() -> None:
    data = draw_data([50, 50], 300)
    before = data.embeddings.copy()
    measure_learning_curve(data, 0)
    np.testing.assert_array_equal(data.embeddings, before)


def test_embeddings_that_are_not_finite_are_refused() -> None:
    data = draw_data([50, 50], 30)
    data.embeddings[7] = np.nan
    with pytest.raises(DatasetError, match="1 is not finite .row 7"):
        measure_learning_curve(data, 0)


def test_a_curve_is_measured_without_loading_keras() -> None:
    code = "import sys, tellapart.heads.learning_curve; print({'keras', 'torch'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
