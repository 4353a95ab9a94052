"""Masks are told by what is in them; a name alone makes none."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tellapart.config import SourceConfig
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.sources import list_photos, open_labelled

Draw = Callable[..., Path]


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    """A function that draws photos, or masks of a kind, below a folder `mine`, and gives that folder."""
    root = tmp_path / "mine"

    def write(*names: str, kind: str = "photo") -> Path:
        for number, name in enumerate(names):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            PICTURES[kind](np.random.default_rng(number)).save(path)
        return root

    return write


def texture(generator: np.random.Generator) -> np.ndarray:
    """Noise on a slope, grey, as a photo has it: uint8 `(48, 64)`."""
    slope = np.linspace(40, 200, 64)[np.newaxis, :] + np.linspace(0, 30, 48)[:, np.newaxis]
    return np.clip(slope + generator.normal(0, 12, (48, 64)), 0, 255).astype(np.uint8)


def patch(generator: np.random.Generator) -> np.ndarray:
    """A rectangle of ones on zeros: uint8 `(48, 64)`."""
    found = np.zeros((48, 64), np.uint8)
    top, left = generator.integers(4, 20, 2)
    found[top : top + 20, left : left + 30] = 1
    return found


def palette(generator: np.random.Generator) -> Image.Image:
    """Class numbers in colours, as VOC has them."""
    image = Image.fromarray(patch(generator) * 3, "P")
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0])
    return image


PICTURES: dict[str, Callable[[np.random.Generator], Image.Image]] = {
    "photo": lambda generator: Image.fromarray(np.stack([texture(generator) for _ in range(3)], axis=2)),
    "grey photo": lambda generator: Image.fromarray(texture(generator)),
    "large photo": lambda generator: Image.fromarray(texture(generator)).resize((320, 240), Image.Resampling.NEAREST),
    "binary": lambda generator: Image.fromarray(patch(generator) * 255),
    "one bit": lambda generator: Image.fromarray(patch(generator) * 255).convert("1"),
    "numbers": lambda generator: Image.fromarray(patch(generator) * 2),
    "trimap": lambda generator: Image.fromarray(patch(generator) + 1),
    "colours": palette,
    "empty": lambda generator: Image.fromarray(np.zeros((48, 64), np.uint8)),
    "small": lambda generator: Image.fromarray(patch(generator)[:40, :40] * 255),
}
PAIRS = ("cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "dog/2.jpg")


def reasons(photos: PhotoSet) -> dict[str, str]:
    """Path below the source -> why it is skipped."""
    return {os.path.relpath(skipped.path, photos.source): skipped.reason for skipped in photos.skipped}


@pytest.mark.parametrize("kind", ["binary", "one bit", "numbers", "trimap", "colours", "empty"])
def test_a_mask_of_any_kind_is_told_by_its_content(draw: Draw, kind: str) -> None:
    draw("cat/1.png", "dog/2.png", kind=kind)
    photos = open_labelled(draw(*PAIRS))

    assert photos.counts() == {"cat": 2, "dog": 2}
    assert reasons(photos) == {
        "cat/1.png": "a mask of the photo '1.jpg', by its content",
        "dog/2.png": "a mask of the photo '2.jpg', by its content",
    }


def draw_outlines(number: int, levels: tuple[int, ...]) -> Image.Image:
    """Shapes of a few grey levels, one inside another."""
    generator = np.random.default_rng(number)
    image = Image.new("L", (320, 240), levels[0])
    for place, level in enumerate(levels[1:]):
        inset = 30 + 25 * place
        left, top = generator.integers(inset, inset + 12, 2).tolist()
        ImageDraw.Draw(image).ellipse((left, top, 320 - inset, 240 - inset), fill=level)
    return image


@pytest.mark.parametrize("quality", [50, 60, 75, 95])
@pytest.mark.parametrize("levels", [(0, 255), (255, 0), (0, 128, 255), (40, 90, 150, 220)], ids=str)
@pytest.mark.parametrize("name", ["masks/cat/{}.jpg", "cat/{}_mask.jpg", "cat/{}_mask.jpeg"])
def test_masks_that_were_saved_as_jpeg_are_told(draw: Draw, name: str, levels: tuple[int, ...], quality: int) -> None:
    root = draw("cat/1.jpg", "cat/2.jpg", "dog/3.jpg", "dog/4.jpg", kind="large photo")
    masks = [name.format(number) for number in (1, 2)]
    for number, mask in enumerate(masks):
        (root / mask).parent.mkdir(parents=True, exist_ok=True)
        draw_outlines(number, levels).save(root / mask, quality=quality)
    photos = open_labelled(root)
    assert photos.counts() == {"cat": 2, "dog": 2}
    assert set(reasons(photos)) == set(masks)


@pytest.mark.parametrize(
    "mask",
    [
        "cat/1.png",
        "cat/1.bmp",
        "cat/1_mask.png",
        "cat/1_mask.jpg",
        "cat/1-mask.png",
        "cat/1_mask_1.png",
        "cat/1_segmentation.png",
        "cat/mask_1.png",
        "cat/1_ground truth.png",
        "cat/masks/1.png",
        "masks/cat/1.png",
        "ground_truth/cat/1_mask.png",
        "cat_masks/1.png",
        "annotations/trimaps/cat/1.png",
        "labels/1.png",
        "Label IDs/1.png",
    ],
)
def test_a_mask_at_any_place_is_named_and_never_a_class(draw: Draw, mask: str) -> None:
    draw(mask, kind="binary")
    photos = open_labelled(draw(*PAIRS))

    assert photos.counts() == {"cat": 2, "dog": 2}
    assert reasons(photos) == {mask: "a mask of the photo '1.jpg', by its content"}


def test_masks_beside_images_by_folder(draw: Draw) -> None:
    draw(*(f"masks/{name[:-4]}.png" for name in PAIRS), kind="binary")
    photos = open_labelled(draw(*(f"images/{name}" for name in PAIRS)))

    assert photos.counts() == {"cat": 2, "dog": 2}
    assert len(photos.skipped) == 4


def test_masks_in_a_folder_of_any_name_within_each_class(draw: Draw) -> None:
    draw("cat/bw/1.png", "dog/bw/1.png", kind="binary")
    photos = open_labelled(draw("cat/img/1.jpg", "dog/img/1.jpg"), check=False)

    assert photos.counts() == {"cat": 1, "dog": 1}


def test_a_word_that_makes_masks_of_many_photos_needs_no_known_meaning(draw: Draw) -> None:
    draw(*(f"cat/{row}_lesion.png" for row in (1, 2, 3)), kind="binary")
    photos = open_labelled(draw(*(f"{name}/{row}.jpg" for name in ("cat", "dog") for row in (1, 2, 3))))

    assert photos.counts() == {"cat": 3, "dog": 3}
    assert len(photos.skipped) == 3


def test_many_masks_are_named_although_few_are_looked_at(draw: Draw) -> None:
    draw(*(f"cat/{row}.png" for row in range(20)), kind="binary")
    photos = open_labelled(draw(*(f"{name}/{row}.jpg" for name in ("cat", "dog") for row in range(20))))

    assert photos.counts() == {"cat": 20, "dog": 20}


def test_a_photo_saved_twice_is_no_mask(draw: Draw) -> None:
    draw("cat/1.png", kind="photo")

    assert open_labelled(draw(*PAIRS)).counts() == {"cat": 3, "dog": 2}


def test_where_only_some_are_masks_each_is_judged(draw: Draw) -> None:
    draw(*(f"cat/{row}.png" for row in range(10)), kind="binary")
    draw(*(f"cat/{row}.png" for row in range(10, 20)), kind="photo")
    photos = open_labelled(draw(*(f"{name}/{row}.jpg" for name in ("cat", "dog") for row in range(20))))

    assert photos.counts() == {"cat": 30, "dog": 20}


@pytest.mark.parametrize("name", ["face mask", "masks", "labels", "segmentation", "cat_mask", "gt", "annotations"])
@pytest.mark.parametrize("kind", ["photo", "grey photo"])
def test_a_class_of_photos_may_be_called_like_masks(draw: Draw, name: str, kind: str) -> None:
    draw(f"{name}/1.png", f"{name}/2.png", kind=kind)

    assert open_labelled(draw("cat/1.jpg", "cat/2.jpg")).counts() == {"cat": 2, name: 2}


@pytest.mark.parametrize("kind", ["binary", "small"])
def test_a_class_of_drawings_is_a_class(draw: Draw, kind: str) -> None:
    draw("sketch/1.png", "sketch/2.png", kind=kind)

    assert open_labelled(draw("photo/1.jpg", "photo/2.jpg")).counts() == {"photo": 2, "sketch": 2}


def test_drawings_that_have_no_photo_are_no_masks(draw: Draw) -> None:
    draw("masks/a.png", "masks/b.png", kind="binary")

    assert open_labelled(draw("cat/1.jpg", "cat/2.jpg")).counts() == {"cat": 2, "masks": 2}


def test_digits_in_black_and_white_are_no_masks_of_each_other(draw: Draw) -> None:
    names = [f"{digit}/{row}{word}.png" for digit in (0, 1) for row in (1, 2) for word in ("", "_mask")]

    assert open_labelled(draw(*names, kind="binary")).counts() == {"0": 4, "1": 4}


def test_a_csv_is_the_word_about_masks_too(draw: Draw, tmp_path: Path) -> None:
    draw("1.png", "2.png", kind="binary")
    root = draw("1.jpg", "2.jpg")
    table = tmp_path / "labels.csv"
    table.write_text("path,label\n1.png,mask\n2.png,mask\n1.jpg,photo\n2.jpg,photo\n")

    assert open_labelled(root, SourceConfig(labels_csv=str(table))).counts() == {"mask": 2, "photo": 2}


def test_photos_to_predict_are_without_masks_as_those_to_train_on(draw: Draw) -> None:
    draw("1_mask.png", kind="binary")
    photos = list_photos([draw("1.jpg")])

    assert ([Path(path).name for path in photos.paths], len(photos.skipped)) == (["1.jpg"], 1)


def test_a_mask_that_is_named_itself_is_predicted(draw: Draw) -> None:
    draw("1_mask.png", kind="binary")
    root = draw("1.jpg")

    assert len(list_photos([root / "1.jpg", root / "1_mask.png"])) == 2
