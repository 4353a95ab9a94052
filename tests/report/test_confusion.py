"""The confusion figure: numbers and recalls for a few classes, names for many, and empty classes in all."""

import itertools
from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from tellapart.measure.metrics import evaluate_probabilities
from tellapart.records import Evaluation
from tellapart.report.confusion import draw_confusion
from tellapart.report.figures import figure_png


def make_evaluation(num_classes: int, names: Sequence[str] | None = None, num_photos: int = 300) -> Evaluation:
    """Three of four photos right; the last class has none."""
    generator = np.random.default_rng(num_classes)
    labels = generator.integers(0, max(1, num_classes - 1), num_photos)
    answers = np.where(generator.random(num_photos) < 0.75, labels, generator.integers(0, num_classes, num_photos))
    names = names or [f"class {number}" for number in range(num_classes)]
    return evaluate_probabilities(labels, np.eye(num_classes)[answers], names)


def evaluate(labels: Sequence[int], answers: Sequence[int], names: Sequence[str]) -> Evaluation:
    return evaluate_probabilities(labels, np.eye(len(names))[list(answers)], names)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


def cell_numbers(axes: Axes, num_classes: int) -> list[str]:
    return [text.get_text() for text in axes.texts[: num_classes**2]]


def cells(figure: Figure) -> np.ndarray:
    return np.asarray(figure.axes[0].images[0].get_array())


@pytest.mark.parametrize("num_classes", [2, 20, 41, 101, 400])
def test_a_figure_is_drawn_for_any_number_of_classes(num_classes: int) -> None:
    figure = draw_confusion(make_evaluation(num_classes))
    image = cv2.imdecode(np.frombuffer(figure_png(figure, dpi=30), np.uint8), cv2.IMREAD_COLOR)
    assert min(image.shape[:2]) > 100
    assert max(figure.get_size_inches()) < 20


def test_the_title_says_how_many_photos_are_right() -> None:
    figure = draw_confusion(evaluate([0] * 1100 + [1], [0] * 1100 + [0], ["cat", "dog"]))
    assert "right on 1,100 of 1,101 photos" in texts(figure)


def test_one_photo_is_not_photos() -> None:
    assert "right on 1 of 1 photo" in texts(draw_confusion(evaluate([0], [0], ["cat", "dog"])))


def test_cells_hold_the_counts_row_by_row() -> None:
    evaluation = make_evaluation(5)
    numbers = cell_numbers(draw_confusion(evaluation).axes[0], 5)
    assert [int(number) for number in numbers] == np.ravel(evaluation.confusion_matrix).tolist()


def test_rows_are_labels_and_columns_answers() -> None:
    figure = draw_confusion(evaluate([0, 0, 0], [1, 1, 1], ["cat", "dog"]))
    axes = figure.axes[0]
    number = next(text for text in axes.texts if text.get_text() == "3")
    assert number.get_position() == (1, 0)
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("what it is", "what the model says")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]


def test_recalls_stand_beside_their_rows() -> None:
    labels, answers = [0] * 3 + [1] * 2000, [0, 0, 1] + [1] * 1999 + [0]
    recalls = draw_confusion(evaluate(labels, answers, ["cat", "dog", "fox"])).axes[0].texts[-3:]
    assert [text.get_text() for text in recalls] == ["66.7 % found", "99.9 % found", "no photos"]
    assert [text.xy for text in recalls] == [(1, 0), (1, 1), (1, 2)]


def test_only_a_faultless_class_is_found_at_100_percent() -> None:
    written = texts(draw_confusion(evaluate([0] * 9 + [1] * 9, [0] * 18, ["cat", "dog"])))
    assert {"100 % found", "0 % found"} <= set(written)


@pytest.mark.parametrize(("num_classes", "has_numbers"), [(20, True), (21, False)])
def test_numbers_are_written_up_to_20_classes(num_classes: int, has_numbers: bool) -> None:
    assert bool(draw_confusion(make_evaluation(num_classes)).axes[0].texts) == has_numbers


def test_right_cells_are_blue_wrong_ones_orange_and_a_row_without_photos_grey() -> None:
    right, wrong, none = cells(draw_confusion(evaluate([0, 0, 0, 0, 1], [0, 0, 0, 1, 0], ["a", "b", "c"])))[:, 0]
    assert right[2] > right[0]
    assert wrong[0] > wrong[2]
    assert none[0] == none[1] == none[2] < 1


def test_the_larger_share_of_a_row_is_the_darker() -> None:
    one, two, three = cells(draw_confusion(evaluate([0] * 99, [0] * 90 + [1] * 8 + [2], ["a", "b", "c"])))[0]
    assert one.sum() < two.sum() < three.sum() < 3


def test_one_mistake_among_very_many_photos_can_be_seen() -> None:
    labels, answers = [0] * 100_000 + [1], [0] * 99_999 + [1, 1]
    assert cells(draw_confusion(evaluate(labels, answers, ["a", "b"])))[0, 1].min() < 0.95


@pytest.mark.parametrize("num_classes", [40, 100])
def test_all_of_up_to_100_classes_are_named_without_overlap(num_classes: int) -> None:
    figure = draw_confusion(make_evaluation(num_classes))
    figure.draw_without_rendering()
    labels = [label for label in figure.axes[0].get_yticklabels() if label.get_text()]
    boxes = [label.get_window_extent() for label in labels]
    assert len(boxes) == num_classes
    assert not any(above.overlaps(below) for above, below in itertools.pairwise(boxes))


def test_of_more_classes_some_are_named() -> None:
    names = [label.get_text() for label in draw_confusion(make_evaluation(1000)).axes[0].get_yticklabels()]
    assert names == [f"class {number}" for number in range(0, 1000, 10)]


@pytest.mark.parametrize("num_classes", [2, 4, 20])
def test_nothing_leaves_the_page_with_long_names(num_classes: int) -> None:
    names = [f"{number} $m_x$ " + "long " * 20 for number in range(num_classes)]
    figure = draw_confusion(make_evaluation(num_classes, names, num_photos=50_000))
    figure.draw_without_rendering()
    page = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert page.x0 >= 0
    assert page.y0 >= 0
    assert page.x1 <= width
    assert page.y1 <= height


@pytest.mark.parametrize("name", ["$x^2$", "🐶", "日本", "", "line\nbreak", "\udc80"], ids=ascii)
def test_an_odd_class_name_can_be_drawn(name: str) -> None:
    assert figure_png(draw_confusion(make_evaluation(2, [name, "plain"])), dpi=40)


def test_the_same_evaluation_gives_the_same_bytes() -> None:
    first, second = (figure_png(draw_confusion(make_evaluation(4)), dpi=60) for _ in range(2))
    assert first == second
