from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellapart.training.plan import (
    REGIMES,
    VIEW_SIDE,
    VIEW_WIDTH,
    Length,
    Regime,
    choose_image_size,
    choose_regime,
    choose_width,
    cost_of,
    make_plan,
    usual_length,
)

SIDES = st.integers(32, 400)
LENGTHS = st.floats(0.2, 500)
WIDTHS = st.sampled_from([16, 24, 32, 48])
EVERY_REGIME = st.sampled_from(REGIMES)
LONG = REGIMES[-1]


@given(regime=EVERY_REGIME, height=SIDES, width=SIDES, network_width=WIDTHS, epochs=LENGTHS)
def test_a_plan_has_as_many_epochs_as_asked_for_and_ends_at_one(
    regime: Regime, height: int, width: int, network_width: int, epochs: float
) -> None:
    plan = make_plan(regime, (height, width), Length(epochs=epochs), network_width)
    assert plan.num_epochs == pytest.approx(epochs)
    assert plan.phases[-1].end == pytest.approx(1)
    assert plan.progress_after(epochs) == 1


@given(regime=EVERY_REGIME, side=SIDES, network_width=WIDTHS, views=LENGTHS)
def test_a_plan_by_computing_costs_that_much(regime: Regime, side: int, network_width: int, views: float) -> None:
    plan = make_plan(regime, (side, side), Length(views=views), network_width)
    costs = [phase.epochs * cost_of(phase.image_size, network_width) for phase in plan.phases]
    assert sum(costs) == pytest.approx(plan.num_views) == pytest.approx(views)


@given(regime=EVERY_REGIME, height=SIDES, width=SIDES)
def test_views_grow_and_are_never_larger_than_what_is_predicted(regime: Regime, height: int, width: int) -> None:
    sizes = [phase.image_size for phase in make_plan(regime, (height, width), Length(epochs=9), 24).phases]
    assert sizes == sorted(sizes)
    assert all(size[0] <= height and size[1] <= width for size in sizes)


@given(one=st.floats(0, 9), other=st.floats(0, 9))
def test_progress_never_goes_back(one: float, other: float) -> None:
    plan = make_plan(LONG, (128, 128), Length(epochs=9), 24)
    low, high = sorted((one, other))
    assert plan.progress_after(low) <= plan.progress_after(high) <= 1


def test_progress_is_the_share_of_the_computing_that_is_done() -> None:
    plan = make_plan(LONG, (160, 160), Length(epochs=12), 24)
    first, *others = plan.phases
    assert plan.progress_after(first.epochs / 2) == pytest.approx(first.end / 2)
    assert plan.progress_after(first.epochs) == pytest.approx(first.end)
    assert plan.phase_at(first.end - 1e-9) is first
    assert plan.phase_at(first.end) is others[0]


def test_the_last_step_still_has_a_size() -> None:
    plan = make_plan(LONG, (96, 96), Length(epochs=3), 24)
    assert plan.phase_at(1.0) is plan.phases[-1]


@given(one=st.floats(0, 1000), other=st.floats(0, 1000))
def test_more_computing_never_means_smaller_photos(one: float, other: float) -> None:
    low, high = (choose_regime(Length(views=views), 24) for views in sorted((one, other)))
    assert choose_image_size(low, 1000) <= choose_image_size(high, 1000)


@pytest.mark.parametrize("width", [16, 32])
@pytest.mark.parametrize("regime", REGIMES)
def test_epochs_and_their_computing_choose_the_same_way(regime: Regime, width: int) -> None:
    views = regime.least_views + 1
    epochs = make_plan(regime, (regime.side, regime.side), Length(views=views), width).num_epochs
    assert choose_regime(Length(views=views), width) is choose_regime(Length(epochs=epochs), width) is regime


def test_small_photos_are_not_blown_up() -> None:
    assert choose_image_size(LONG, 28) == (64, 64)
    assert choose_image_size(LONG, 100) == (128, 128)
    assert choose_image_size(LONG, 1000) == (LONG.side, LONG.side)


@given(num_train=st.integers(1, 10**6))
def test_the_usual_computing_grows_more_slowly_than_the_photos(num_train: int) -> None:
    one, two = (usual_length(number).views * number for number in (num_train, 2 * num_train))
    assert one <= two <= 2 * one * 1.0001


def test_a_plan_by_the_clock_says_so() -> None:
    assert make_plan(LONG, (96, 96), Length(views=100), 24, seconds=90).seconds == 90


def test_epochs_follow_from_measured_rates_and_all_else_stays() -> None:
    plan = make_plan(LONG, (160, 160), Length(views=100.0), 24, seconds=600.0)
    rates = [500.0, 250.0, 100.0]
    timed = plan.at_rates(rates, 1200)
    took = [phase.epochs * 1200 / rate for phase, rate in zip(timed.phases, rates, strict=True)]
    assert took == pytest.approx([0.12 * 600, 0.28 * 600, 0.6 * 600])
    assert replace(timed, phases=()) == replace(plan, phases=())
    assert [replace(phase, epochs=0) for phase in timed.phases] == [replace(phase, epochs=0) for phase in plan.phases]


def test_a_long_training_learns_at_half_the_rate_of_the_others() -> None:
    assert [make_plan(regime, (128, 128), Length(views=9), 24).rate for regime in REGIMES] == [1, 1, 0.5]


def test_the_views_of_all_phases_can_be_changed_at_once() -> None:
    plan = make_plan(LONG, (96, 96), Length(views=100), 24).with_crops(flip=False, rotation_degrees=180.0)
    assert {(phase.crops.flip, phase.crops.rotation_degrees) for phase in plan.phases} == {(False, 180.0)}


@pytest.mark.parametrize("regime", REGIMES)
def test_the_stages_share_all_of_the_computing(regime: Regime) -> None:
    assert sum(stage.share_of_computing for stage in regime.stages) == pytest.approx(1)


def test_a_view_is_the_unit_and_larger_photos_cost_more() -> None:
    assert cost_of((VIEW_SIDE, VIEW_SIDE)) == 1
    assert cost_of((64, 64)) < 1 < cost_of((128, 128)) < (128 / VIEW_SIDE) ** 2


@pytest.mark.parametrize("narrow", [8, 16, 24])
def test_a_narrower_network_costs_less_but_not_by_the_square(narrow: int) -> None:
    share = narrow / VIEW_WIDTH
    assert share**2 < cost_of((64, 64), narrow) / cost_of((64, 64), VIEW_WIDTH) < share


@pytest.mark.parametrize(
    ("num_views", "width"),
    [(1, 16), (160_000, 16), (170_000, 24), (320_000, 24), (330_000, 32), (600_000, 40), (1e6, 48), (1e9, 48)],
)
def test_the_network_grows_with_the_computing_over_all_photos(num_views: float, width: int) -> None:
    assert choose_width(Length(views=num_views), 1) == choose_width(Length(views=num_views / 500), 500) == width


@given(epochs=LENGTHS, more=st.floats(1, 10), num_train=st.integers(1, 10**5))
def test_more_epochs_never_mean_a_narrower_network(epochs: float, more: float, num_train: int) -> None:
    assert choose_width(Length(epochs=epochs), num_train) <= choose_width(Length(epochs=epochs * more), num_train)


@given(views=st.floats(1, 500), num_train=st.integers(1, 10**5))
def test_the_epochs_of_a_plan_choose_a_network_at_least_as_wide(views: float, num_train: int) -> None:
    width = choose_width(Length(views=views), num_train)
    regime = choose_regime(Length(views=views), width)
    plan = make_plan(regime, (regime.side, regime.side), Length(views=views), width)
    assert choose_width(Length(epochs=plan.num_epochs * 1.001), num_train) >= width
