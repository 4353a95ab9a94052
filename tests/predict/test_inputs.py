"""Everything that a model may be asked about, in any mixture, is predicted as the same photo in a file is."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tellapart.errors import DatasetError, ImageError
from tellapart.images.preprocess import PreprocessSpec
from tellapart.photos.sources import list_photos
from tellapart.predict.bundle import Bundle
from tellapart.predict.model import Model

COLOURS = {"red": (255, 0, 0), "blue": (0, 0, 255)}


def pixels(colour: str) -> np.ndarray:
    return np.full((8, 12, 3), COLOURS[colour], np.uint8)


def png(colour: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels(colour)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photo of each colour."""
    path = tmp_path_factory.mktemp("photos")
    for colour in COLOURS:
        (path / f"{colour}.png").write_bytes(png(colour))
    return path


@pytest.fixture(scope="module")
def model(make_bundle: Callable[..., Bundle]) -> Model:
    return Model(make_bundle(), num_threads=2)


# From the colour and the folder to one photo of that colour.
KINDS: dict[str, Callable[[str, Path], object]] = {
    "path": lambda colour, folder: folder / f"{colour}.png",
    "text": lambda colour, folder: str(folder / f"{colour}.png"),
    "bytes": lambda colour, folder: png(colour),
    "array": lambda colour, folder: pixels(colour),
    "array of one": lambda colour, folder: pixels(colour)[np.newaxis],
    "pillow": lambda colour, folder: Image.fromarray(pixels(colour)),
    "pillow, transparent": lambda colour, folder: Image.fromarray(pixels(colour)).convert("RGBA"),
    "pillow, opened": lambda colour, folder: Image.open(io.BytesIO(png(colour))),
    "photo set": lambda colour, folder: list_photos([folder / f"{colour}.png"]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_photo_is_predicted_alone(model: Model, folder: Path, kind: str) -> None:
    assert [one.class_name for one in model.predict(KINDS[kind]("red", folder))] == ["red"]


@settings(deadline=None, max_examples=30)
@given(chosen=st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.sampled_from(sorted(COLOURS))), max_size=20))
def test_any_mixture_is_predicted_in_order(model: Model, folder: Path, chosen: list[tuple[str, str]]) -> None:
    photos = [KINDS[kind](colour, folder) for kind, colour in chosen]
    predictions = model.predict(photos)
    assert [one.class_name for one in predictions] == [colour for _, colour in chosen]
    assert (predictions.skipped, len(predictions)) == ((), len(chosen))


def test_a_folder_is_predicted_in_natural_order(model: Model, folder: Path) -> None:
    assert [Path(one.path).name for one in model.predict(folder)] == ["blue.png", "red.png"]


def test_images_that_are_no_files_are_numbered(model: Model, folder: Path) -> None:
    photos = [pixels("red"), folder / "blue.png", np.stack([pixels("blue"), pixels("red")])]
    names = [one.path for one in model.predict(photos)]
    assert names == ["image 0", str(folder / "blue.png"), "image 1", "image 2"]


def test_bytes_that_are_no_photo_are_skipped_with_the_reason(model: Model) -> None:
    predictions = model.predict([png("red"), b"no photo"])
    assert [one.class_name for one in predictions] == ["red"]
    assert [(one.path, "not a photo" in one.reason) for one in predictions.skipped] == [("image 1", True)]


@pytest.mark.parametrize(
    ("photo", "words"),
    [
        (np.zeros((4, 6, 3)), r"an array of float64, shape \(4, 6, 3\), is not a photo. Give uint8 RGB"),
        (np.zeros((4, 6), np.uint8), r"shape \(4, 6\), is not a photo"),
        ([3], "an int is not a photo. Give a path"),
        ([None], "a NoneType is not a photo"),
    ],
    ids=["floats", "grey", "number", "None"],
)
def test_what_is_no_photo_is_refused_at_once(model: Model, photo: object, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        model.predict(photo)


@pytest.mark.parametrize("kind", ["path", "text", "bytes", "array", "pillow"])
def test_the_preprocessing_loads_one_photo_as_the_model_takes_it(model: Model, folder: Path, kind: str) -> None:
    image = model.preprocess.load(KINDS[kind]("red", folder))
    assert (image.dtype, image.shape) == (np.uint8, (4, 6, 3))
    (alone,) = model.predict_proba(image)
    (together,) = model.predict_proba(image[np.newaxis])
    (predicted,) = model.predict(KINDS[kind]("red", folder))
    np.testing.assert_array_equal(alone, together)
    np.testing.assert_allclose(alone, predicted.probabilities, atol=1e-6)


def test_a_photo_that_cannot_be_loaded_names_its_path(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no photo")
    for path in (tmp_path / "a.jpg", tmp_path / "gone.jpg"):
        with pytest.raises(ImageError) as caught:
            PreprocessSpec((4, 6)).load(path)
        assert caught.value.path == str(path)


def test_a_pillow_image_is_turned_upright_as_its_file_is(tmp_path: Path) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.png", exif=exif)
    spec = PreprocessSpec((12, 8))
    with Image.open(tmp_path / "a.png") as opened:
        np.testing.assert_array_equal(spec.load(opened), spec.load(tmp_path / "a.png"))
