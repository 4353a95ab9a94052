import keras
import numpy as np
import pytest

from tellapart.training.averages import WeightAverage


def make_model() -> keras.Model:
    """Two layers, one of them with weights that are not trained."""
    image = keras.Input((4,))
    x = keras.layers.BatchNormalization()(image)
    model = keras.Model(image, keras.layers.Dense(3)(x))
    fill(model, 0.0)
    return model


def fill(model: keras.Model, value: float) -> None:
    model.set_weights([np.full_like(weight, value) for weight in model.get_weights()])


def add_steps(average: WeightAverage, model: keras.Model, values: list[float], all_steps: float = 1000) -> None:
    for value in values:
        fill(model, value)
        average.add(all_steps)


def mean_of(average: WeightAverage) -> float:
    """The number that all averaged weights are."""
    numbers = np.concatenate([np.ravel(value) for value in average.values[:-1]])
    assert np.ptp(numbers) < 1e-5
    return float(numbers[0])


def test_without_a_step_the_average_is_what_the_weights_were() -> None:
    model = make_model()
    fill(model, 2.5)
    average = WeightAverage(model)
    fill(model, 9.0)

    assert mean_of(average) == 2.5


def test_weights_that_stand_still_are_their_own_average() -> None:
    model = make_model()
    average = WeightAverage(model)

    add_steps(average, model, [1.5] * 200)

    assert mean_of(average) == pytest.approx(1.5)


def test_the_first_weights_are_soon_forgotten() -> None:
    model = make_model()
    fill(model, 1000.0)
    average = WeightAverage(model)

    add_steps(average, model, [1.0] * 20)

    assert mean_of(average) == pytest.approx(1.0)


def test_late_in_a_training_the_average_reaches_back_a_twenty_fifth_of_it() -> None:
    model = make_model()
    average = WeightAverage(model)
    add_steps(average, model, [0.0] * 800)

    add_steps(average, model, [1.0] * 40)
    soon = mean_of(average)
    add_steps(average, model, [1.0] * 160)

    assert soon == pytest.approx(1 - np.exp(-1), abs=0.05)
    assert mean_of(average) > 0.98


def test_weights_that_swing_are_averaged_out() -> None:
    model = make_model()
    average = WeightAverage(model)

    add_steps(average, model, [0.0] * 400 + [1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0] * 50)

    assert abs(mean_of(average)) < 0.1


@pytest.mark.parametrize("num_steps", [1, 3, 4, 7])
def test_a_training_of_a_few_steps_ends_with_its_last_weights(num_steps: int) -> None:
    model = make_model()
    average = WeightAverage(model)

    add_steps(average, model, [float(step) for step in range(1, num_steps + 1)], all_steps=num_steps)

    assert mean_of(average) == num_steps


def test_a_longer_reach_follows_a_jump_later() -> None:
    model = make_model()
    near, far = WeightAverage(model, reach=0.04), WeightAverage(model, reach=0.2)

    for average in (near, far):
        add_steps(average, model, [0.0] * 800 + [1.0] * 40)

    assert mean_of(far) < 0.7 * mean_of(near)


def test_weights_that_are_not_trained_are_averaged_too() -> None:
    model = make_model()

    assert len(WeightAverage(model).values) == len(model.get_weights()) + 1 == 7


def test_the_model_has_the_average_as_long_as_it_is_lent_and_its_own_weights_afterwards() -> None:
    model = make_model()
    average = WeightAverage(model)
    fill(model, 3.0)

    with average.lent_to(model):
        lent = [weight.copy() for weight in model.get_weights()]

    assert {float(weight.max()) for weight in lent} == {0.0}
    assert {float(weight.max()) for weight in model.get_weights()} == {3.0}


def test_an_error_meanwhile_gives_the_weights_back() -> None:
    model = make_model()
    average = WeightAverage(model)
    fill(model, 3.0)

    with pytest.raises(KeyboardInterrupt), average.lent_to(model):
        raise KeyboardInterrupt

    assert {float(weight.max()) for weight in model.get_weights()} == {3.0}


def test_lending_changes_no_average() -> None:
    model = make_model()
    average = WeightAverage(model)
    fill(model, 3.0)

    with average.lent_to(model):
        fill(model, 5.0)

    assert mean_of(average) == 0.0


def test_a_restored_average_goes_on_as_if_it_had_never_stopped() -> None:
    model = make_model()
    unbroken, begun, resumed = WeightAverage(model), WeightAverage(model), WeightAverage(model)
    values = list(np.random.default_rng(0).normal(size=61))

    add_steps(unbroken, model, values)
    add_steps(begun, model, values[:30])
    resumed.restore(begun.values)
    add_steps(resumed, model, values[30:])

    for one, other in zip(unbroken.values, resumed.values, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_was_handed_out_stays_as_it_was() -> None:
    model = make_model()
    average = WeightAverage(model)
    values = average.values

    add_steps(average, model, [1.0] * 8)

    assert max(float(value.max()) for value in values) == 0.0


def test_what_an_average_was_restored_from_stays_as_it_was() -> None:
    model = make_model()
    average = WeightAverage(model)
    values = tuple(np.zeros_like(value) for value in average.values)

    average.restore(values)
    add_steps(average, model, [1.0] * 8)

    assert max(float(value.max()) for value in values) == 0.0
