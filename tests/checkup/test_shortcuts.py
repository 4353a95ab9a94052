from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tellapart.checkup.shortcut_words import describe_shortcut, describe_strength, shortcut_action, with_value
from tellapart.checkup.shortcuts import measure_clues
from tellapart.images.facts import PhotoFacts, facts_of
from tellapart.records import Shortcut

PETS = ("cat", "dog")


def find_shortcuts(*arguments: object) -> tuple[Shortcut, ...]:
    """The clues that are shortcuts; arguments as for `measure_clues`, but the clues are those of all photos."""
    clues, *others = arguments
    found = measure_clues(lambda rows: {name: values[rows] for name, values in clues.items()}, *others)  # type: ignore
    return tuple(shortcut for shortcut, is_found in found if is_found)


def draw_sizes(num_photos: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(6, 0.5, (num_photos, 3))


def apart(num_photos: int) -> NDArray[np.int64]:
    """Every photo a group of its own."""
    return np.arange(num_photos)


def test_a_class_of_larger_photos_is_found() -> None:
    labels = np.repeat([0, 1], 50)
    sizes = draw_sizes(100) + 3 * labels[:, np.newaxis]
    (found,) = find_shortcuts({"image size": sizes}, labels, apart(100), PETS, 0)
    assert (found.clue, found.chance) == ("image size", 0.5)
    assert found.accuracy > 0.95
    assert found.class_name in PETS


def test_sizes_that_have_nothing_to_do_with_the_class_are_no_shortcut() -> None:
    labels = np.repeat([0, 1], 50)
    assert find_shortcuts({"image size": draw_sizes(100)}, labels, apart(100), PETS, 0) == ()


def test_a_clue_that_tells_a_little_is_no_shortcut() -> None:
    labels = np.repeat([0, 1], 500)
    sizes = draw_sizes(1000)[:, :1] + 0.4 * labels[:, np.newaxis]
    assert find_shortcuts({"image size": sizes}, labels, apart(1000), PETS, 0) == ()


def test_the_class_that_is_given_away_is_named_among_many() -> None:
    labels = np.repeat(np.arange(10), 30)
    is_png = (labels == 7).astype(np.float64)
    names = [f"kind {number}" for number in range(10)]
    (found,) = find_shortcuts({"file format": np.stack([is_png, 1 - is_png], axis=1)}, labels, apart(300), names, 0)
    assert found.class_name == "kind 7"
    assert found.recall == 1.0
    assert found.false_alarm_rate == 0.0
    assert found.accuracy < 0.3


def test_the_clue_that_gives_most_away_comes_first() -> None:
    labels = np.repeat([0, 1], 100)
    blurred = np.where(np.random.default_rng(0).random(200) < 0.1, 1 - labels, labels)
    clues = {
        "camera": blurred[:, np.newaxis].astype(np.float64),
        "file format": labels[:, np.newaxis].astype(np.float64),
    }
    found = find_shortcuts(clues, labels, apart(200), PETS, 0)
    assert [shortcut.clue for shortcut in found] == ["file format", "camera"]


def test_a_clue_that_is_the_same_for_all_is_left_out() -> None:
    labels = np.repeat([0, 1], 50)
    assert find_shortcuts({"camera": np.ones((100, 2))}, labels, apart(100), PETS, 0) == ()


@pytest.mark.parametrize("part", ["border", "file size"])
def test_what_depends_on_the_picture_may_tell_something(part: str) -> None:
    labels = np.repeat([0, 1], 200)
    clue = np.random.default_rng(0).normal(0, 1, (400, 4))[:, :1] + 2.5 * labels[:, np.newaxis]
    assert find_shortcuts({part: clue}, labels, apart(400), PETS, 0, 0.99) == ()
    assert len(find_shortcuts({"image size": clue}, labels, apart(400), PETS, 0, 0.99)) == 1


def test_a_border_that_tells_as_much_as_the_whole_picture_is_a_shortcut() -> None:
    labels = np.repeat([0, 1], 200)
    border = np.random.default_rng(0).normal(0, 1, (400, 1)) + 2.5 * labels[:, np.newaxis]
    (found,) = find_shortcuts({"border": border}, labels, apart(400), PETS, 0, 0.85)
    assert found.clue == "border"


def test_a_white_frame_around_one_class_is_a_shortcut() -> None:
    labels = np.repeat([0, 1], 50)
    border = np.random.default_rng(0).random((100, 4)) * 0.9
    border[labels == 1] = 1.0
    (found,) = find_shortcuts({"border": border}, labels, apart(100), PETS, 0)
    assert found.clue == "border"


def test_one_burst_of_large_photos_gives_no_class_away() -> None:
    labels = np.repeat([0, 1], 60)
    sizes = draw_sizes(120)
    groups = apart(120)
    groups[60:100] = 60
    sizes[60:100] = 12.0
    assert find_shortcuts({"image size": sizes}, labels, groups, PETS, 0) == ()


@pytest.mark.parametrize("num_photos", [4, 6])
def test_very_few_photos_prove_nothing(num_photos: int) -> None:
    labels = np.repeat([0, 1], num_photos // 2)
    assert find_shortcuts({"image size": 9.0 * labels[:, np.newaxis]}, labels, apart(num_photos), PETS, 0) == ()


def test_ten_photos_of_each_format_are_enough() -> None:
    labels = np.repeat([0, 1], 10)
    assert len(find_shortcuts({"file format": labels[:, np.newaxis] * 1.0}, labels, apart(20), PETS, 0)) == 1


@pytest.mark.parametrize("counts", [[10, 10], [10] * 20, [200, 12], [3, 3, 3]], ids=str)
def test_meaningless_clues_hardly_ever_warn(counts: list[int]) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    names = [str(number) for number in range(len(counts))]
    generator = np.random.default_rng(0)
    warned = [
        find_shortcuts(
            {
                "image size": generator.normal(size=(len(labels), 3)),
                "camera": generator.integers(0, 2, (len(labels), 4)) * 1.0,
            },
            labels,
            apart(len(labels)),
            names,
            seed,
        )
        for seed in range(20)
    ]
    assert sum(len(found) for found in warned) <= 1


def test_a_class_without_photos_changes_nothing() -> None:
    labels = np.repeat([0, 2], 50)
    (found,) = find_shortcuts({"camera": labels[:, np.newaxis] * 1.0}, labels, apart(100), ("a", "b", "c"), 0)
    assert found.class_name in ("a", "c")
    assert found.chance == 0.5


@pytest.mark.parametrize("num_photos", [0, 1, 5])
def test_a_single_class_has_no_shortcut(num_photos: int) -> None:
    clues = {"image size": draw_sizes(num_photos)}
    assert find_shortcuts(clues, np.zeros(num_photos, np.int64), apart(num_photos), ("cat",), 0) == ()


def test_a_rare_class_of_a_very_large_collection_is_still_seen() -> None:
    labels = np.zeros(20000, np.int64)
    labels[::500] = 1
    (found,) = find_shortcuts({"file format": labels[:, np.newaxis] * 1.0}, labels, apart(20000), PETS, 0)
    assert found.recall == 1.0


def test_the_same_seed_finds_the_same() -> None:
    labels = np.repeat([0, 1], 100)
    sizes = draw_sizes(200) + labels[:, np.newaxis]
    first = find_shortcuts({"image size": sizes}, labels, apart(200), PETS, 3)
    assert len(first) == 1
    assert first == find_shortcuts({"image size": sizes}, labels, apart(200), PETS, 3)


@settings(max_examples=15, deadline=None)
@given(
    labels=st.lists(st.integers(0, 3), min_size=1, max_size=40),
    num_groups=st.integers(1, 40),
    seed=st.integers(0, 1000),
)
def test_any_small_collection_is_judged_without_fault(labels: list[int], num_groups: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    groups = generator.integers(0, num_groups, len(labels))
    clues = {"image size": generator.normal(size=(len(labels), 2)), "border": generator.normal(size=(len(labels), 1))}
    for shortcut in find_shortcuts(clues, np.array(labels), groups, "abcd", seed):
        assert 0 <= shortcut.false_alarm_rate < shortcut.recall <= 1


FORMAT = Shortcut("file format", 0.97, 0.5, "cat", 0.98, 0.04)


def test_how_strong_a_shortcut_is_is_told_in_one_sentence() -> None:
    assert describe_strength(FORMAT) == (
        "The file format alone, without the picture, finds 98% of 'cat', and takes 4% of the others for it."
    )


def test_no_false_alarms_are_hardly_any() -> None:
    assert "hardly any of the others" in describe_strength(replace(FORMAT, false_alarm_rate=0.001))


def draw_facts(
    camera: str | None = None, size: tuple[int, int] = (480, 640), num_bytes: int = 90_000, file_format: str = "JPEG"
) -> PhotoFacts:
    photo = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    facts = facts_of(cv2.imencode(".png", photo)[1].tobytes())
    height, width = size
    return replace(facts, camera=camera, height=height, width=width, num_bytes=num_bytes, format=file_format)


@pytest.mark.parametrize(
    ("clue", "of_class", "of_others", "words"),
    [
        (
            "camera",
            {"camera": "Canon EOS 5D"},
            {"camera": "Pixel 4"},
            "All 25 photos of 'mould' were taken with camera",
        ),
        ("image size", {"size": (480, 640)}, {"size": (600, 800)}, "All 25 photos of 'mould' are 640x480 pixels"),
        ("file format", {"file_format": "PNG"}, {"file_format": "JPEG"}, "All 25 photos of 'mould' are PNG files"),
        ("file size", {"num_bytes": 20_000}, {"num_bytes": 90_000}, "All 25 photos of 'mould' are smaller than 90 kB"),
    ],
    ids=["camera", "size", "format", "bytes"],
)
def test_the_value_of_a_shortcut_is_named(clue: str, of_class: dict, of_others: dict, words: str) -> None:
    facts = [draw_facts(**of_class)] * 25 + [draw_facts(**of_others)] * 75
    labels = np.repeat([1, 0], [25, 75])
    found = with_value(Shortcut(clue, 1.0, 0.5, "mould", 1.0, 0.0), facts, labels, 1)
    assert describe_shortcut(found).startswith(words)
    assert (found.num_with, found.num_class, found.num_others_with, found.num_others) == (25, 25, 0, 75)


def test_what_to_do_about_one_camera_a_class_names_the_class() -> None:
    assert shortcut_action(replace(FORMAT, clue="camera")) == (
        "Photograph the other classes with it too, or 'cat' with the cameras of the others."
    )


def test_a_clue_without_one_value_is_named_by_itself() -> None:
    cameras = ["a", "b", "c", "d", "e"]
    facts = [draw_facts(camera=cameras[row % 5]) for row in range(100)]
    found = with_value(Shortcut("camera", 0.9, 0.5, "cat", 0.9, 0.1), facts, np.arange(100) // 50, 1)
    assert describe_shortcut(found) == "The camera alone gives 'cat' away"
