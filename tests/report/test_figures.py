"""The figures: PNG files that decode, of sensible sizes, whatever the names and numbers in them."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray

from tellapart.records import EpochRecord
from tellapart.report.classes import draw_class_counts
from tellapart.report.curves import draw_curves
from tellapart.report.figures import drawable, figure_png
from tellapart.report.grid import draw_grid

ODD_NAMES = [
    "$", "$x^2$", r"\frac{", r"\$a$", "a_b^c", "🐶", "日本", "", " ", "line\nbreak", "nul\x00", "\udc80", "‮rtl",
    "👩‍🚀", "%s {} <b>", "long " * 40,
]  # fmt: skip


def decode(png: bytes) -> NDArray[np.uint8]:
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


def make_history(num_epochs: int) -> list[EpochRecord]:
    return [
        EpochRecord(n + 1, 0.7 / (n + 1), 0.5 + n / 200, 0.8 / (n + 1), 0.5 + n / 300, 1, 1) for n in range(num_epochs)
    ]


def make_images(*sizes: tuple[int, int]) -> list[NDArray[np.uint8]]:
    return [np.full((*size, 3), 90, dtype=np.uint8) for size in sizes]


def photo_sizes(figure: Figure) -> list[tuple[float, float]]:
    """`(height, width)` of every photo in inches."""
    width, height = figure.get_size_inches()
    return [(axes.get_position().height * height, axes.get_position().width * width) for axes in figure.axes]


@pytest.mark.parametrize("num_classes", [0, 1, 2, 9, 100])
def test_bars_are_drawn_for_any_number_of_classes(num_classes: int) -> None:
    figure = draw_class_counts({f"class {number}": number * 7 for number in range(num_classes)})
    assert len(decode(figure_png(figure, dpi=40))) > 100
    assert sum(len(axes.patches) for axes in figure.axes) == num_classes


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_an_odd_class_name_can_be_drawn(name: str) -> None:
    assert decode(figure_png(draw_class_counts({name: 3, "plain": 4}), dpi=40)) is not None


def test_bars_carry_their_counts_and_the_title_the_sum() -> None:
    written = texts(draw_class_counts({"cat": 2000, "dog": 1}))
    assert {"2,000", "1", "2,001 photos, 2 classes"} <= set(written)


def test_names_that_look_the_same_keep_their_own_bars() -> None:
    figure = draw_class_counts({"a\u200bb": 1, "ab": 9})
    assert [patch.get_height() for patch in figure.axes[0].patches] == [1, 9]


@pytest.mark.parametrize("names", [["a", "b"], [f"c{n}" for n in range(8)]], ids=["2 classes", "8 classes"])
def test_a_few_short_names_stand_below_upright_bars(names: list[str]) -> None:
    figure = draw_class_counts(dict.fromkeys(names, 5))
    assert {patch.get_height() for patch in figure.axes[0].patches} == {5}


@pytest.mark.parametrize("names", [["a", "b" * 20], [f"c{n}" for n in range(9)]], ids=["long name", "9 classes"])
def test_many_or_long_names_stand_beside_lying_bars(names: list[str]) -> None:
    figure = draw_class_counts(dict.fromkeys(names, 5))
    assert {patch.get_width() for patch in figure.axes[0].patches} == {5}


@pytest.mark.parametrize("num_epochs", [0, 1, 2, 64])
def test_curves_are_drawn_for_any_number_of_epochs(num_epochs: int) -> None:
    image = decode(figure_png(draw_curves(make_history(num_epochs)), dpi=50))
    assert image.shape[1] > 2 * image.shape[0]


def test_each_panel_shows_measured_and_smoothed_values() -> None:
    accuracy, loss = draw_curves(make_history(5)).axes
    raw, smoothed = (line.get_ydata() for line in loss.lines[:2])
    np.testing.assert_allclose(raw, [record.train_loss for record in make_history(5)])
    assert smoothed[1] == pytest.approx(0.7 * raw[0] + 0.3 * raw[1])
    assert len(accuracy.lines) == len(loss.lines) == 4


def test_curves_with_infinite_or_missing_losses_are_drawn() -> None:
    history = [EpochRecord(1, float("nan"), 0.5, float("inf"), 0.5, 1, 1), EpochRecord(2, 0.6, 0.5, 0.7, 0.5, 1, 1)]
    assert decode(figure_png(draw_curves(history), dpi=40)) is not None


def looked_at(epochs: list[int], num_epochs: int) -> list[EpochRecord]:
    """A history whose validation photos were looked at in some epochs only."""
    history = make_history(num_epochs)
    unseen = {"validation_loss": None, "validation_accuracy": None}
    return [record if record.epoch in epochs else replace(record, **unseen) for record in history]


@pytest.mark.parametrize("epochs", [[], [1], [8], [2, 4, 6, 8], [1, 3, 4, 5, 6, 8]], ids=str)
def test_curves_are_drawn_whatever_epochs_were_validated(epochs: list[int]) -> None:
    figure = draw_curves(looked_at(epochs, 8))
    assert decode(figure_png(figure, dpi=40)) is not None
    assert {text.get_text() for text in figure.axes[0].get_legend().get_texts()} == {"training", "validation"}


def test_a_few_validated_epochs_are_marks_at_their_epochs_with_the_values_as_measured() -> None:
    history = looked_at([3, 6, 9, 12], 12)
    accuracy, loss = draw_curves(history).axes
    for axes, name in ((accuracy, "validation_accuracy"), (loss, "validation_loss")):
        (line,) = [line for line in axes.lines if line.get_label() == "validation"]
        assert list(line.get_xdata()) == [3, 6, 9, 12]
        assert list(line.get_ydata()) == [getattr(history[epoch - 1], name) for epoch in (3, 6, 9, 12)]
        assert line.get_marker() == "o"


def test_training_values_of_epochs_that_were_not_validated_are_drawn() -> None:
    accuracy, _ = draw_curves(looked_at([3, 6], 6)).axes
    assert list(accuracy.lines[0].get_xdata()) == [1, 2, 3, 4, 5, 6]
    assert accuracy.lines[1].get_label() == "training"


def test_a_single_epoch_left_out_leaves_curves_that_are_smoothed() -> None:
    _, loss = draw_curves(looked_at([1, 2, 4, 5, 6], 6)).axes
    raw, smoothed = loss.lines[2:]
    assert list(raw.get_xdata()) == list(smoothed.get_xdata()) == [1, 2, 4, 5, 6]
    assert smoothed.get_ydata()[1] == pytest.approx(0.7 * raw.get_ydata()[0] + 0.3 * raw.get_ydata()[1])


def test_photos_keep_their_aspect_ratio_and_relative_size() -> None:
    wide, tall, small = photo_sizes(draw_grid(make_images((100, 200), (200, 100), (50, 100)), ["a", "b", "c"]))
    assert wide[1] / wide[0] == pytest.approx(2)
    assert tall == pytest.approx(wide[::-1])
    assert small[1] == pytest.approx(wide[1] / 2)


def test_a_thumbnail_beside_a_large_photo_can_still_be_seen() -> None:
    large, tiny = photo_sizes(draw_grid(make_images((3000, 4000), (24, 32)), ["a", "b"]))
    assert tiny[1] > large[1] / 4


def test_no_photo_leaves_the_page_or_covers_another() -> None:
    figure = draw_grid(make_images(*[(60 + 9 * n, 200 - 11 * n) for n in range(13)]), [str(n) for n in range(13)])
    boxes = [axes.get_position() for axes in figure.axes]
    assert all(0 <= edge <= 1 for box in boxes for edge in box.extents)
    assert not any(first.overlaps(second) for n, first in enumerate(boxes) for second in boxes[:n])


@pytest.mark.parametrize("num_photos", [0, 1, 5, 6])
def test_a_grid_of_any_number_of_photos_is_drawn(num_photos: int) -> None:
    figure = draw_grid(make_images(*[(30, 40)] * num_photos), ["dog 0.97"] * num_photos)
    assert decode(figure_png(figure, dpi=60)) is not None
    assert texts(figure).count("dog 0.97") == num_photos


@pytest.mark.parametrize("shape", [(30, 40), (30, 40, 1), (1, 900, 3), (900, 1, 3)], ids=str)
def test_grey_photos_and_strips_are_drawn(shape: tuple[int, ...]) -> None:
    assert decode(figure_png(draw_grid([np.zeros(shape, dtype=np.uint8)], ["x"]), dpi=60)) is not None


@pytest.mark.parametrize("title", ODD_NAMES, ids=ascii)
def test_an_odd_title_can_be_drawn(title: str) -> None:
    assert decode(figure_png(draw_grid(make_images((30, 40)), [title]), dpi=40)) is not None


def test_the_drawn_images_are_not_modified() -> None:
    image = np.arange(600 * 500 * 3, dtype=np.uint8).reshape(600, 500, 3)
    before = image.copy()
    figure_png(draw_grid([image], ["x"]), dpi=40)
    np.testing.assert_array_equal(image, before)


def test_the_same_figure_gives_the_same_bytes() -> None:
    assert figure_png(draw_curves(make_history(3))) == figure_png(draw_curves(make_history(3)))


def test_dpi_scales_the_figure() -> None:
    figure = draw_curves(make_history(2))
    assert decode(figure_png(figure, dpi=80)).shape[1] == pytest.approx(
        2 * decode(figure_png(figure, dpi=40)).shape[1], abs=2
    )


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | st.text(st.characters(), max_size=5))
def test_any_text_becomes_one_printable_line_without_formulas(text: str) -> None:
    shown = drawable(text)
    assert shown.isprintable()
    assert shown.count("$") == shown.count(r"\$")
    assert 0 < len(shown.replace(r"\$", "$")) <= 40


def test_a_character_without_a_glyph_is_named() -> None:
    assert drawable("my 🐶") in ("my [dog face]", "my 🐶")


def test_a_long_text_loses_its_middle() -> None:
    assert drawable("a" * 30 + "z" * 30, longest=12) == "a" * 8 + "…" + "z" * 3


def test_a_thousand_classes_fit_into_one_picture() -> None:
    image = decode(figure_png(draw_class_counts({f"class {number}": number % 7 for number in range(1000)}), dpi=40))
    assert max(image.shape) < 1000
