"""Copies, near-duplicates and bursts are found, in whatever way they were made, and nothing else is grouped."""

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tellapart.checkup import duplicates
from tellapart.checkup.cells import Cells
from tellapart.checkup.duplicates import find_groups, group_numbers
from tellapart.checkup.neighbours import Pairs
from tellapart.checkup.thumbnails import NUM_TURNS, turn_squares
from tellapart.images.facts import PhotoFacts, facts_of
from tellapart.photos.loading import digest_photos, group_by_content
from tellapart.photos.sources import open_photos
from tellapart.records import PhotoGroup

REAL_DATA = Path(__file__).parents[2] / "../shared/data"
NUM_SCENES = 40
Pixels = np.ndarray


def scene(seed: int) -> Pixels:
    """A picture of textured discs, uint8 RGB `(150, 200, 3)`."""
    generator = np.random.default_rng(seed)
    image = np.full((450, 600, 3), generator.integers(60, 200, 3), np.uint8)
    for _ in range(60):
        centre = (int(generator.integers(600)), int(generator.integers(450)))
        colour = [int(level) for level in generator.integers(0, 230, 3)]
        cv2.circle(image, centre, int(generator.integers(8, 90)), colour, -1)
    return cv2.resize(image, (200, 150), interpolation=cv2.INTER_AREA)


def encode(image: Pixels, kind: str = "JPEG", **options: object) -> bytes:
    target = io.BytesIO()
    Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(target, kind, **options)
    return target.getvalue()


def resized(image: Pixels, factor: float) -> Pixels:
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


@cache
def scene_facts() -> tuple[PhotoFacts, ...]:
    return tuple(facts_of(encode(scene(seed), quality=90)) for seed in range(NUM_SCENES))


def groups_of(facts: Sequence[PhotoFacts]) -> tuple[PhotoGroup, ...]:
    """The groups of photos that are no copies."""
    return find_groups([str(row) for row in range(len(facts))], facts)


def turned_exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


CHANGES: dict[str, Callable[[Pixels], bytes]] = {
    "quality 30": lambda image: encode(image, quality=30),
    "png": lambda image: encode(image, "PNG"),
    "webp": lambda image: encode(image, "WEBP", quality=50),
    "a third of the size": lambda image: encode(resized(image, 1 / 3)),
    "twice the size": lambda image: encode(resized(image, 2)),
    "squeezed": lambda image: encode(cv2.resize(image, (160, 160))),
    "cropped left": lambda image: encode(image[:, 20:]),
    "cropped above": lambda image: encode(image[15:]),
    "cropped all around": lambda image: encode(image[8:-8, 10:-10]),
    "mirrored": lambda image: encode(image[:, ::-1]),
    "upside down": lambda image: encode(image[::-1, ::-1]),
    "turned left": lambda image: encode(np.rot90(image)),
    "turned by exif": lambda image: encode(image, exif=turned_exif()),
    "brighter": lambda image: encode(image * 1.3),
    "darker": lambda image: encode(image * 0.6),
    "less contrast": lambda image: encode(128 + (image.astype(int) - 128) * 0.6),
    "gamma": lambda image: encode(255 * (image / 255) ** 1.5),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_photo_is_grouped_with_the_one_it_was_made_of(change: Callable[[Pixels], bytes]) -> None:
    changed = [facts_of(change(scene(seed))) for seed in range(NUM_SCENES)]

    groups = groups_of([*scene_facts(), *changed])

    found = {group.rows for group in groups if group.kind == "near"}
    assert found <= {(seed, seed + NUM_SCENES) for seed in range(NUM_SCENES)}
    assert len(found) >= 0.95 * NUM_SCENES


def test_different_photos_are_not_grouped() -> None:
    assert groups_of(scene_facts()) == ()


def test_all_versions_of_a_photo_are_one_group() -> None:
    versions = [facts_of(change(scene(0))) for change in CHANGES.values()]

    (group,) = groups_of([*versions, *scene_facts()[1:]])

    assert group == PhotoGroup("near", tuple(range(len(versions))))


def test_a_collection_of_one_photo_in_many_versions_is_one_group() -> None:
    facts = [facts_of(encode(resized(scene(0), 1 - number / 200), quality=30 + number // 2)) for number in range(100)]

    assert groups_of(facts) == (PhotoGroup("near", tuple(range(100))),)


def test_equal_digests_are_copies_and_no_near_duplicates() -> None:
    facts = [*scene_facts()[:3], scene_facts()[1]]

    assert find_groups(["a", "b", "c", "b"], facts) == (PhotoGroup("copies", (1, 3)),)


def test_a_near_duplicate_of_one_copy_is_grouped_with_all_copies() -> None:
    facts = [scene_facts()[0], scene_facts()[0], facts_of(encode(scene(0), quality=40)), scene_facts()[1]]

    groups = find_groups(["x", "x", "y", "z"], facts)

    assert groups == (PhotoGroup("copies", (0, 1)), PhotoGroup("near", (0, 1, 2)))


@pytest.mark.parametrize("num_photos", [0, 1])
def test_few_photos_have_no_groups(num_photos: int) -> None:
    assert groups_of(scene_facts()[:num_photos]) == ()


def flat(colour: tuple[int, int, int], kind: str, height: int = 90) -> PhotoFacts:
    return facts_of(encode(np.full((height, 120, 3), colour, np.uint8), kind))


def test_placeholders_of_one_colour_are_grouped_and_those_of_others_are_not() -> None:
    colours = [(0, 0, 0), (255, 255, 255), (128, 128, 128), (255, 0, 0), (76, 76, 76)]
    facts = [flat(colour, kind, height) for colour in colours for kind, height in (("JPEG", 90), ("PNG", 60))]

    groups = groups_of([*facts, *scene_facts()])

    assert [group.rows for group in groups] == [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]


def test_smooth_pictures_of_other_light_are_not_grouped() -> None:
    slope = np.linspace(0, 1, 100)[:, np.newaxis, np.newaxis] * np.ones((1, 100, 3))
    facts = [facts_of(encode(low + (high - low) * slope, "PNG")) for low, high in ((20, 90), (100, 200), (150, 250))]

    assert groups_of(facts) == ()


def form(generator: np.random.Generator) -> Pixels:
    """A page of lines and headings that all pages share, filled in by hand."""
    page = np.full((560, 400, 3), 250, np.uint8)
    cv2.rectangle(page, (30, 10), (160, 35), (90, 40, 40), -1)
    for bottom in range(58, 540, 25):
        cv2.line(page, (30, bottom + 7), (370, bottom + 7), (60, 60, 60), 1)
        cv2.putText(page, "Field:", (34, bottom), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1)
        letters = "".join(chr(97 + int(generator.integers(26))) for _ in range(generator.integers(3, 22)))
        cv2.putText(page, letters, (100, bottom), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (120, 20, 20), 1)
    return page


def microscope(generator: np.random.Generator) -> Pixels:
    """Cells in the bright circle that all pictures share."""
    picture = np.zeros((300, 300, 3), np.uint8)
    cv2.circle(picture, (150, 150), 140, (200, 190, 210), -1)
    for _ in range(25):
        angle, radius = generator.uniform(0, 2 * np.pi), 110 * np.sqrt(generator.uniform())
        centre = (int(150 + radius * np.cos(angle)), int(150 + radius * np.sin(angle)))
        cv2.circle(picture, centre, int(generator.integers(6, 18)), (140, 90, 150), -1)
    return cv2.GaussianBlur(picture, (0, 0), 1.5)


def bottle(generator: np.random.Generator) -> Pixels:
    """A bottle from above, in nearly the same place in all pictures, with reflections of its own."""
    picture = np.full((300, 300, 3), 240, np.uint8)
    for radius, level in ((130, 60), (118, 100), (90, 30), (60, 150), (30, 20)):
        cv2.circle(picture, (150, 150), radius, (level, level, level), -1)
    for angle in generator.uniform(0, 360, 8):
        cv2.ellipse(picture, (150, 150), (105, 105), 0, angle, angle + 12, (230, 230, 230), 5)
    return cv2.GaussianBlur(picture, (0, 0), 1.5)


def belt(generator: np.random.Generator) -> Pixels:
    """A rough surface under a light that falls off to one side in all pictures."""
    light = 90 + 60 * np.sin(np.linspace(0, 3, 300))[np.newaxis, :, np.newaxis]
    grain = cv2.GaussianBlur(generator.standard_normal((300, 300, 3)), (0, 0), 2) * 60
    return np.clip(light + grain, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("draw", [form, microscope, bottle, belt])
def test_pictures_with_one_template_are_not_grouped_and_their_copies_are(
    draw: Callable[[np.random.Generator], Pixels],
) -> None:
    generator = np.random.default_rng(0)
    pictures = [draw(generator) for _ in range(60)]
    facts = [facts_of(encode(picture, quality=90)) for picture in pictures]

    groups = groups_of([*facts, facts_of(encode(pictures[7], quality=50))])

    assert groups == (PhotoGroup("near", (7, 60)),)


def series(times: Sequence[float | None], camera: str | None = "Canon EOS 5D") -> list[PhotoFacts]:
    """Pictures of one scene with something moving through it."""
    facts = []
    for number, captured_at in enumerate(times):
        picture = np.roll(scene(0), 2 * number, axis=1)
        cv2.circle(picture, (40 + 30 * number, 75), 20, (250, 250, 250), -1)
        facts.append(replace(facts_of(encode(picture)), camera=camera, captured_at=captured_at))
    return facts


def test_alike_pictures_of_one_camera_seconds_apart_are_a_burst() -> None:
    facts = [*series([100.0, 101.5, 105.0]), *scene_facts()[1:]]

    assert groups_of(facts) == (PhotoGroup("burst", (0, 1, 2)),)


def test_a_static_scene_is_a_burst_rather_than_a_near_duplicate() -> None:
    still = [replace(scene_facts()[0], camera="Canon", captured_at=moment) for moment in (10.0, 12.0)]

    assert groups_of(still) == (PhotoGroup("burst", (0, 1)),)


def test_an_edited_copy_that_kept_its_time_is_a_near_duplicate() -> None:
    edited = facts_of(encode(scene(0) * 0.8))
    facts = [replace(item, camera="Canon", captured_at=10.0) for item in (scene_facts()[0], edited)]

    assert groups_of(facts) == (PhotoGroup("near", (0, 1)),)


@pytest.mark.parametrize(
    ("times", "camera"),
    [([100.0, 160.0], "Canon"), ([100.0, 101.0], None), ([None, None], "Canon")],
    ids=["a minute apart", "no camera", "no time"],
)
def test_what_is_not_known_to_be_seconds_apart_is_no_burst(times: list[float | None], camera: str | None) -> None:
    assert groups_of(series(times, camera)) == ()


def test_pictures_of_two_cameras_are_no_burst() -> None:
    first, second = series([100.0, 101.0])

    assert groups_of([first, replace(second, camera="Pixel 7")]) == ()


def test_different_scenes_within_seconds_are_no_burst() -> None:
    facts = [replace(item, camera="Canon", captured_at=float(number)) for number, item in enumerate(scene_facts())]

    assert groups_of(facts) == ()


def test_group_numbers_join_groups_that_share_a_photo() -> None:
    groups = [PhotoGroup("copies", (0, 4)), PhotoGroup("near", (4, 5)), PhotoGroup("burst", (1, 2))]

    numbers = group_numbers(groups, 7)

    assert numbers.dtype == np.int64
    assert numbers[0] == numbers[4] == numbers[5]
    assert numbers[1] == numbers[2]
    assert len(set(numbers.tolist())) == 4


def test_no_groups_number_every_photo_for_itself() -> None:
    assert sorted(group_numbers([], 3).tolist()) == [0, 1, 2]


@given(st.lists(st.integers(0, 5), max_size=12))
def test_copies_are_exactly_the_equal_digests(contents: list[int]) -> None:
    groups = find_groups([str(content) for content in contents], [scene_facts()[content] for content in contents])

    expected = [tuple(np.flatnonzero(np.array(contents) == content).tolist()) for content in set(contents)]
    assert groups == tuple(PhotoGroup("copies", rows) for rows in sorted(expected) if len(rows) > 1)


@given(st.permutations(range(12)))
def test_the_order_of_photos_does_not_matter(order: list[int]) -> None:
    facts = [*scene_facts()[:6], *(replace(item, num_bytes=1) for item in scene_facts()[:6])]

    groups = find_groups([str(row) for row in order], [facts[row] for row in order])

    assert {frozenset(order[row] % 6 for row in group.rows) for group in groups} == {frozenset([k]) for k in range(6)}
    assert len(groups) == 6


def compare_all(cells: Cells, least: float, most_each: int, queries: Pixels | None = None) -> Pairs:
    """What `find_pairs` gives, by the products of all with all."""
    vectors = cells.vectors[cells.places]
    products = (vectors if queries is None else queries) @ vectors.T
    row, column = np.indices(products.shape)
    products[(column <= row) if queries is None else (column == row)] = -1
    nearest = np.argsort(-products, axis=1, kind="stable")[:, :most_each]
    is_listed = np.take_along_axis(products, nearest, axis=1) >= least
    links = np.stack([np.repeat(np.arange(len(vectors)), is_listed.sum(axis=1)), nearest[is_listed]])
    first, second = np.unique(np.sort(links, axis=0), axis=1)
    return Pairs(first, second, (products >= least).sum(axis=1) > most_each)


def with_noise(facts: PhotoFacts, generator: np.random.Generator, levels: float) -> PhotoFacts:
    """The photo once more, with noise of so many grey levels, turned or mirrored."""
    luma = turn_squares(facts.thumbnail[np.newaxis], int(generator.integers(NUM_TURNS)))[0]
    noisy = np.clip(luma + generator.normal(0, levels, luma.shape), 0, 255).astype(np.uint8)
    return replace(facts, thumbnail=noisy)


@pytest.mark.parametrize("levels", [3.0, 40.0])
@pytest.mark.parametrize("num_scenes", [1, NUM_SCENES])
def test_the_groups_are_those_of_a_comparison_of_all_with_all(
    levels: float, num_scenes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(num_scenes)
    chosen = generator.integers(num_scenes, size=300)
    facts = [with_noise(scene_facts()[row], generator, levels) for row in chosen]
    found = groups_of(facts)

    monkeypatch.setattr(duplicates, "find_pairs", compare_all)

    assert found == groups_of(facts)


@pytest.mark.real_data
@pytest.mark.skipif(not REAL_DATA.exists(), reason="no shared photos")
def test_all_byte_identical_groups_of_a_real_collection_are_found() -> None:
    photos = open_photos(REAL_DATA / "weather")
    digests = [str(item) for item in digest_photos(photos)]
    facts = [facts_of(photos.read(row)) for row in range(len(photos))]

    copies = [group.rows for group in find_groups(digests, facts) if group.kind == "copies"]

    numbers = group_by_content(digests)
    expected = [np.flatnonzero(numbers == number) for number in np.flatnonzero(np.bincount(numbers) > 1)]
    assert copies == sorted(tuple(rows.tolist()) for rows in expected)
    assert len(copies) == 24


@pytest.mark.real_data
@pytest.mark.skipif(not REAL_DATA.exists(), reason="no shared photos")
def test_photos_at_two_sizes_in_two_folders_are_found() -> None:
    names = [path.name for path in sorted((REAL_DATA / "cats-dogs-native/cat").iterdir())[::4]]
    small = [facts_of((REAL_DATA / "cats-dogs/train" / name).read_bytes()) for name in names]
    large = [facts_of((REAL_DATA / "cats-dogs-native/cat" / name).read_bytes()) for name in names]

    groups = groups_of([*small, *large])

    assert [group.rows for group in groups] == [(row, row + len(names)) for row in range(len(names))]
