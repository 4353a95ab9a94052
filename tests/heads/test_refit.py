import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tellapart.errors import DatasetError
from tellapart.heads.head import fit_head
from tellapart.heads.head_data import HeadData
from tellapart.heads.refit import HeadChoice, refit_head


def draw(seed: int, num_photos: int, num_classes: int, size: int = 20, distance: float = 1.5) -> HeadData:
    generator = np.random.default_rng(seed)
    labels = np.arange(num_photos) % num_classes
    centres = generator.normal(0, distance, (num_classes, size))
    embeddings = (generator.normal(0, 1, (num_photos, size)) + centres[labels]).astype(np.float32)
    return HeadData(embeddings, labels.astype(np.int64), np.arange(num_photos), num_classes)


@given(st.integers(0, 1000), st.integers(2, 4))
@settings(max_examples=10, deadline=None)
def test_a_head_that_is_refitted_to_the_same_photos_is_the_chosen_one(seed: int, num_classes: int) -> None:
    data = draw(seed, 40, num_classes)
    head = fit_head(data, 5, 0)
    again = refit_head(data, HeadChoice.from_json(head.to_json()), 0).head
    assert np.abs(again.probabilities(data.embeddings) - head.probabilities(data.embeddings)).max() < 0.02


@given(st.integers(0, 1000), st.integers(2, 30), st.integers(2, 4))
@settings(max_examples=20, deadline=None)
def test_without_a_choice_any_photos_give_probabilities(seed: int, num_photos: int, num_classes: int) -> None:
    data = draw(seed, max(num_photos, num_classes), num_classes)
    refit = refit_head(data, None, 0)
    probabilities = refit.head.probabilities(data.embeddings)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert len(refit.rows) == len(refit.is_right) == len(set(refit.rows.tolist()))


def test_the_figure_is_of_photos_that_were_held_out() -> None:
    generator = np.random.default_rng(0)
    noise = HeadData(generator.normal(0, 1, (200, 300)).astype(np.float32), np.arange(200) % 2, np.arange(200), 2)
    refit = refit_head(noise, None, 0)
    assert 0.35 < refit.is_right.mean() < 0.65


def test_photos_of_one_group_are_held_out_together() -> None:
    data = draw(1, 60, 2, distance=0.0)
    twice = HeadData(np.repeat(data.embeddings, 2, axis=0), np.repeat(data.labels, 2), np.repeat(np.arange(60), 2), 2)
    assert refit_head(twice, None, 0).is_right.mean() < 0.75


def test_embeddings_that_are_all_the_same_are_refused() -> None:
    same = HeadData(np.ones((6, 4), np.float32), np.arange(6) % 2, np.arange(6), 2)
    with pytest.raises(DatasetError, match="are the same"):
        refit_head(same, None, 0)


@pytest.mark.parametrize(
    "head",
    [
        {},
        {"chosen": ["LDA"], "tried": [], "temperature": 1.0},
        {"chosen": [], "tried": [], "temperature": 1.0},
        {"chosen": ["x"], "tried": [{"name": "x", "setting": "", "temperature": 1.0}], "temperature": 1.0},
    ],
    ids=["nothing", "not tried", "none chosen", "unknown"],
)
def test_a_damaged_choice_is_refused(head: dict[str, object]) -> None:
    with pytest.raises((KeyError, ValueError)):
        HeadChoice.from_json(head)
