"""The comparison figure: one to six recipes, whatever their names and however far apart their figures."""

import itertools

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from tellapart.measure.intervals import wilson_interval
from tellapart.measure.metrics import evaluate_probabilities
from tellapart.measure.scores import Comparison, PairedTest, RecipeResult
from tellapart.report.comparison import draw_comparison
from tellapart.report.figures import figure_png


def make_result(
    recipe: str = "transfer", num_right: int = 784, seconds: float = 38.0, speed: float = 160.0, size: int = 13_600_000
) -> RecipeResult:
    labels = np.arange(800) % 2
    shares = np.eye(2)[np.where(np.arange(800) < num_right, labels, 1 - labels)]
    evaluation = evaluate_probabilities(labels, shares, ("cat", "dog"))
    return RecipeResult(recipe, evaluation, seconds, speed, size)


def compare(*results: RecipeResult, p_value: float = 0.001) -> Comparison:
    pairs = itertools.combinations([result.recipe for result in results], 2)
    return Comparison(results, tuple(PairedTest(first, second, 30, 5, p_value) for first, second in pairs))


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


def assert_on_page(figure: Figure) -> None:
    figure.draw_without_rendering()
    page, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert 0 <= page.x0 < page.x1 <= width
    assert 0 <= page.y0 < page.y1 <= height


@pytest.mark.parametrize("num_recipes", [1, 2, 6])
@pytest.mark.parametrize("word", ["quite long words ", "$x_1$ ", "日本 "], ids=ascii)
def test_any_number_of_recipes_with_any_names_stays_on_the_page(num_recipes: int, word: str) -> None:
    results = [make_result(f"{word * 6}{number}", 700 + 15 * number) for number in range(num_recipes)]
    figure = draw_comparison(compare(*results, p_value=0.3))
    assert_on_page(figure)
    image = cv2.imdecode(np.frombuffer(figure_png(figure, dpi=40), np.uint8), cv2.IMREAD_COLOR)
    assert image.shape[1] > 300


def test_every_figure_is_written_beside_its_mark() -> None:
    slow = make_result("classic", 688, 5400.0, 331.4, 27_600_000)
    written = texts(draw_comparison(compare(make_result(), slow)))
    assert {"transfer", "98.0%", "38 s", "160", "14 MB"} <= set(written)
    assert {"classic", "86.0%", "1.5 h", "331", "28 MB"} <= set(written)


def test_the_caption_says_what_the_tests_say() -> None:
    written = texts(draw_comparison(compare(make_result("a"), make_result("b"), make_result("c"))))
    assert any(
        caption.split("\n")
        == [f"{pair} than {other}: chance alone gives such a difference 1 time in 1,000"
            for pair, other in (("a is better", "b"), ("a is better", "c"), ("b is better", "c"))]
        for caption in written
    )  # fmt: skip


def test_the_first_recipe_is_on_top() -> None:
    axes = draw_comparison(compare(make_result("a"), make_result("b"))).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]
    assert axes.yaxis_inverted()


@pytest.mark.parametrize("num_right", [0, 1, 400, 799, 800])
def test_the_accuracy_panel_shows_the_whole_interval(num_right: int) -> None:
    axes = draw_comparison(compare(make_result(num_right=num_right))).axes[0]
    low, high = axes.get_xlim()
    assert low < wilson_interval(num_right, 800)[0]
    assert high > wilson_interval(num_right, 800)[1]


@pytest.mark.parametrize(("seconds", "scale"), [(379.0, "linear"), (381.0, "log")])
def test_a_ratio_above_ten_makes_the_axis_logarithmic(seconds: float, scale: str) -> None:
    axes = draw_comparison(compare(make_result("a"), make_result("b", seconds=seconds))).axes[1]
    assert axes.get_xscale() == scale


def test_bars_begin_at_zero_and_a_logarithmic_axis_has_points() -> None:
    figure = draw_comparison(compare(make_result("a", seconds=1.0), make_result("b", seconds=100.0)))
    times, speeds = figure.axes[1:3]
    assert (len(times.patches), len(times.lines)) == (0, 2)
    assert [patch.get_x() for patch in speeds.patches] == [0, 0]
    assert speeds.get_xlim()[0] == 0


def test_no_time_at_all_is_drawn() -> None:
    assert_on_page(draw_comparison(compare(make_result(seconds=0.0), make_result("b", seconds=0.0))))
    assert_on_page(draw_comparison(compare(make_result(seconds=0.0), make_result("b", seconds=5.0))))


@pytest.mark.parametrize(
    ("seconds", "speed", "size"),
    [(0.004, 0.02, 12), (3.2e6, 250_000.0, 80_000_000_000), (59.7, 9.96, 999_600)],
    ids=["tiny", "huge", "just below the next unit"],
)
@pytest.mark.parametrize("has_other", [False, True], ids=["alone", "beside a usual one"])
def test_amounts_of_any_size_stay_on_the_page(seconds: float, speed: float, size: int, has_other: bool) -> None:
    results = [make_result("odd", 600, seconds, speed, size), make_result()]
    assert_on_page(draw_comparison(compare(*results[: 1 + has_other])))


def test_the_same_comparison_gives_the_same_bytes() -> None:
    first, second = (figure_png(draw_comparison(compare(make_result(), make_result("b")))) for _ in range(2))
    assert first == second
