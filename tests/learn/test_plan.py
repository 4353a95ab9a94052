import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellapart.learn.plan import VIEW_SIDE, Plan, choose_image_size, make_plan, usual_views

SIDES = st.integers(32, 400)
EPOCHS = st.floats(0.2, 500)


@given(height=SIDES, width=SIDES, epochs=EPOCHS)
def test_a_plan_has_as_many_epochs_as_asked_for_and_ends_at_one(height: int, width: int, epochs: float) -> None:
    plan = make_plan((height, width), 100, epochs=epochs)
    assert plan.num_epochs == pytest.approx(epochs)
    assert plan.phases[-1].end == pytest.approx(1)
    assert plan.progress_after(epochs) == 1


@given(side=SIDES, num_train=st.integers(2, 50_000), num_views=st.floats(100, 1e7))
def test_a_plan_by_computing_costs_that_much(side: int, num_train: int, num_views: float) -> None:
    plan = make_plan((side, side), num_train, num_views=num_views)
    costs = [phase.epochs * math.prod(phase.image_size) / VIEW_SIDE**2 for phase in plan.phases]
    assert sum(costs) * num_train == pytest.approx(num_views)


@given(height=SIDES, width=SIDES)
def test_views_grow_and_are_never_larger_than_what_is_predicted(height: int, width: int) -> None:
    sizes = [phase.image_size for phase in make_plan((height, width), 100, epochs=9).phases]
    assert sizes == sorted(sizes)
    assert all(size[0] <= height and size[1] <= width for size in sizes)


@given(one=st.floats(0, 9), other=st.floats(0, 9))
def test_progress_never_goes_back(one: float, other: float) -> None:
    plan = make_plan((128, 128), 100, epochs=9)
    low, high = sorted((one, other))
    assert plan.progress_after(low) <= plan.progress_after(high) <= 1


def test_progress_is_the_share_of_the_computing_that_is_done() -> None:
    plan = make_plan((160, 160), 100, epochs=12)
    first, *others = plan.phases
    assert plan.progress_after(first.epochs / 2) == pytest.approx(first.end / 2)
    assert plan.progress_after(first.epochs) == pytest.approx(first.end)
    assert plan.size_at(first.end - 1e-9) == first.image_size
    assert plan.size_at(first.end) == others[0].image_size


def test_the_last_step_still_has_a_size() -> None:
    plan = make_plan((96, 96), 100, epochs=3)
    assert plan.size_at(1.0) == plan.phases[-1].image_size


@given(one=st.floats(0, 1e7), other=st.floats(0, 1e7))
def test_more_computing_never_means_smaller_photos(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert choose_image_size(low, 1000) <= choose_image_size(high, 1000)


def test_small_photos_are_not_blown_up() -> None:
    assert choose_image_size(1e7, 28) == (64, 64)
    assert choose_image_size(1e7, 100) == (128, 128)


@given(num_train=st.integers(1, 10**6))
def test_the_usual_computing_grows_more_slowly_than_the_photos(num_train: int) -> None:
    assert usual_views(num_train) <= usual_views(2 * num_train) <= 2 * usual_views(num_train) * 1.0001


def test_a_plan_by_the_clock_says_so() -> None:
    plan = make_plan((96, 96), 1000, num_views=10_000, seconds=100)
    assert isinstance(plan, Plan)
    assert plan.seconds == 100
