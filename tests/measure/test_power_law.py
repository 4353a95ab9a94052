import json
import re
from dataclasses import asdict

import numpy as np
import pytest

from tellapart.measure.measurement import Method, method_from_json
from tellapart.measure.power_law import CurveTrials, fit_learning_curve
from tellapart.measure.scores import CurvePoint, LearningCurve
from tellapart.translation import use_language


def draw_trials(
    errors: dict[int, float], num_photos: int, seed: int = 0, num_repeats: int = 4, copies: int = 1
) -> CurveTrials:
    """Models with such errors on average: a photo is wrong when its own difficulty is below the error."""
    generator = np.random.default_rng(seed)
    difficulty = np.repeat(generator.random(num_photos // copies), copies)
    sizes = np.repeat(list(errors), num_repeats)
    noise = generator.normal(0, 0.01, (len(sizes), num_photos))
    is_wrong = difficulty + noise < np.repeat(list(errors.values()), num_repeats)[:, np.newaxis]
    groups = np.repeat(np.arange(num_photos // copies), copies)
    return CurveTrials(sizes, np.ones_like(is_wrong), is_wrong, groups)


def power_law(scale: float, exponent: float, rest: float, sizes: tuple[int, ...]) -> dict[int, float]:
    return {size: scale * size**-exponent + rest for size in sizes}


def fit(trials: CurveTrials, seed: int = 0) -> LearningCurve:
    curve = fit_learning_curve(trials, seed)
    assert curve is not None
    return curve


def point_at(curve: LearningCurve, num_photos: int) -> CurvePoint:
    (point,) = (point for point in curve.fitted if point.num_photos == num_photos)
    return point


SIZES = (200, 400, 700, 1200, 1800)


def test_a_power_law_is_continued() -> None:
    curve = fit(draw_trials(power_law(4, 0.5, 0, SIZES), 2000))
    for size in (2000, 4000, 8000):
        point = point_at(curve, size)
        assert point.low <= 4 * size**-0.5 <= point.high
        assert point.error == pytest.approx(4 * size**-0.5, abs=0.02)


def test_the_fitted_curve_ends_at_4_times_the_photos_and_never_rises() -> None:
    curve = fit(draw_trials(power_law(4, 0.5, 0.05, SIZES), 2000))
    numbers = [point.num_photos for point in curve.fitted]
    assert numbers == sorted(set(numbers))
    assert numbers[0] == 200
    assert numbers[-1] == 8000
    errors = np.array([(point.low, point.error, point.high) for point in curve.fitted])
    assert (np.diff(errors, axis=0) <= 1e-12).all()
    assert (np.diff(errors, axis=1) >= 0).all()
    assert errors.min() >= 0
    assert errors.max() <= 1


def test_the_measured_errors_are_means_over_the_models_of_a_size() -> None:
    trials = draw_trials(power_law(4, 0.5, 0, SIZES), 500, num_repeats=2)
    curve = fit(trials)
    assert [size for size, _ in curve.measured] == list(SIZES)
    expected = trials.is_wrong.mean(axis=1).reshape(-1, 2).mean(axis=1)
    np.testing.assert_allclose([error for _, error in curve.measured], expected)


def test_a_steep_curve_promises_a_gain_in_a_sentence() -> None:
    curve = fit(draw_trials(power_law(10, 0.5, 0, SIZES), 2000))
    assert re.fullmatch(
        r"Twice as many photos would prevent about 2\d\.\d% of the mistakes \(.* to .*\)\.", curve.sentence
    )
    assert curve.gain == pytest.approx(10 * 2000**-0.5 - 10 * 4000**-0.5, abs=0.02)


@pytest.mark.parametrize("num_photos", [40, 80, 150])
def test_few_photos_leave_the_gain_unknown(num_photos: int) -> None:
    sizes = tuple(int(share * num_photos) for share in (0.2, 0.35, 0.6, 0.9))
    curve = fit(draw_trials(power_law(0.4, 0.3, 0, sizes), num_photos))
    assert curve.sentence.startswith("Unknown. ")
    assert curve.gain == 0


def test_few_photos_without_a_mistake_leave_the_gain_unknown() -> None:
    assert fit(draw_trials(dict.fromkeys((10, 20, 30, 40), -1.0), 50)).sentence.startswith("Unknown. ")


def test_a_flat_curve_promises_no_gain() -> None:
    curve = fit(draw_trials(dict.fromkeys(SIZES, 0.1), 2000))
    assert curve.sentence == "More photos like these would hardly help."


def test_a_model_without_mistakes_expects_no_gain() -> None:
    curve = fit(draw_trials(dict.fromkeys(SIZES, -1.0), 2000))
    assert curve.sentence == "More photos like these would hardly help."
    assert {point.error for point in curve.fitted} == {0.0}
    assert curve.exponent_95 == (0.0, 0.0)


def test_rising_errors_are_fitted_by_a_flat_curve() -> None:
    curve = fit(draw_trials({200: 0.1, 400: 0.15, 700: 0.2, 1200: 0.22}, 2000))
    assert curve.exponent_95[0] == 0.0
    assert "hardly help" in curve.sentence


def test_few_photos_leave_a_wider_band_than_many() -> None:
    widths = []
    for num_photos in (100, 3000):
        sizes = tuple(int(share * num_photos) for share in (0.1, 0.2, 0.35, 0.6, 0.9))
        last = point_at(fit(draw_trials(power_law(1, 0.4, 0, sizes), num_photos)), num_photos)
        widths.append(last.high - last.low)
    assert widths[0] > 2 * widths[1]


def test_copies_of_a_photo_count_as_one() -> None:
    law = power_law(1, 0.4, 0, (50, 100, 200, 300))
    single, copied = draw_trials(law, 400), draw_trials(law, 2000, copies=5)
    (one, many) = (point_at(fit(trials), len(trials.groups)) for trials in (single, copied))
    assert many.high - many.low > 0.7 * (one.high - one.low)


def test_fewer_than_4_sizes_give_no_curve() -> None:
    assert fit_learning_curve(draw_trials(power_law(4, 0.5, 0, (200, 400, 700)), 2000), 0) is None


def test_the_same_seed_gives_the_same_curve() -> None:
    trials = draw_trials(power_law(4, 0.5, 0, SIZES), 300)
    assert fit(trials, 1) == fit(trials, 1)
    assert fit(trials, 1) != fit(trials, 2)


def test_a_curve_that_is_read_again_speaks_the_language_of_today() -> None:
    curve = fit(draw_trials(power_law(2.0, 0.5, 0.01, SIZES), 2000))
    metrics: dict[str, object] = {"validation_method": "hold-out", "leak_accuracy": None, "num_repeats": 1}
    metrics |= {"learning_curve": json.loads(json.dumps(asdict(curve)))}
    assert method_from_json(metrics) == Method("hold-out", 1, curve)
    with use_language("zh"):
        again = method_from_json(metrics).curve
        expected = fit(draw_trials(power_law(2.0, 0.5, 0.01, SIZES), 2000)).sentence
    assert again is not None
    assert again.sentence == expected != curve.sentence
