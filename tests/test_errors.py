import errno
import inspect
import pickle
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import tellapart
from tellapart import errors
from tellapart.errors import (
    BundleError,
    ClusterError,
    ConfigError,
    DatasetError,
    DependencyError,
    ExportError,
    ImageError,
    OutputError,
    TellapartError,
    is_out_of_memory,
)
from tellapart.images.preprocess import PreprocessSpec
from tellapart.photos.sources import open_labelled
from tellapart.predict.bundle import Bundle, write_bundle

TREE = {
    BundleError: ValueError,
    ClusterError: RuntimeError,
    ConfigError: ValueError,
    DatasetError: ValueError,
    DependencyError: ImportError,
    ExportError: RuntimeError,
    ImageError: ValueError,
    OutputError: OSError,
}


def test_the_tree_holds_every_error_of_the_module() -> None:
    defined = {value for _, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, Exception)}

    assert defined == {TellapartError, *TREE}


@pytest.mark.parametrize(("error", "builtin"), TREE.items(), ids=lambda kind: kind.__name__)
def test_every_error_is_ours_and_of_a_builtin_kind(error: type[TellapartError], builtin: type[Exception]) -> None:
    assert error.__bases__ == (TellapartError, builtin)


@pytest.mark.parametrize(("error", "builtin"), TREE.items(), ids=lambda kind: kind.__name__)
def test_the_docstring_draws_every_error(error: type[TellapartError], builtin: type[Exception]) -> None:
    (line,) = [line for line in errors.__doc__.splitlines() if f"── {error.__name__} " in line]

    assert f"({builtin.__name__})" in line


def test_the_base_catches_nothing_that_is_not_ours() -> None:
    assert TellapartError.__bases__ == (Exception,)


@pytest.mark.parametrize("error", TREE, ids=lambda kind: kind.__name__)
def test_the_message_is_what_was_given(error: type[TellapartError]) -> None:
    assert str(error("found, accepted, to do")) == "found, accepted, to do"


@pytest.mark.parametrize("error", TREE, ids=lambda kind: kind.__name__)
def test_an_error_passes_between_processes(error: type[TellapartError]) -> None:
    copy = pickle.loads(pickle.dumps(error("found, accepted, to do")))

    assert type(copy) is error
    assert str(copy) == "found, accepted, to do"


@pytest.mark.parametrize(
    ("error", "objects"),
    [
        (BundleError, {"path": "runs/pets"}),
        (ClusterError, {"address": "10.0.0.5:6379"}),
        (ConfigError, {"field": "epochs", "value": 0}),
        (DatasetError, {"paths": ("a.jpg", "b.jpg")}),
        (DependencyError, {"name": "onnx"}),
        (ImageError, {"path": "a.jpg"}),
        (OutputError, {"path": "out.csv"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_an_error_carries_what_it_is_about_between_processes_too(
    error: type[TellapartError], objects: dict[str, object]
) -> None:
    copy = pickle.loads(pickle.dumps(error("what was wrong", **objects)))

    assert {name: getattr(copy, name) for name in objects} == objects


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with two classes of three drawn photos each."""
    folder = tmp_path / "photos"
    generator = np.random.default_rng(1)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for number in range(3):
            pixels = generator.integers(0, 256, (24, 32, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.mark.parametrize("num_bytes", [0, 5, 60])
def test_a_photo_that_cannot_be_used_is_named(photos: Path, num_bytes: int) -> None:
    photo = photos / "cat" / "1.png"
    photo.write_bytes(photo.read_bytes()[:num_bytes])

    with pytest.raises(ImageError) as error:
        PreprocessSpec((8, 8)).load(photo)

    assert error.value.path == str(photo)


def test_a_photo_that_has_vanished_is_named(photos: Path) -> None:
    found = tellapart.open_photos(photos)
    Path(found.paths[2]).unlink()

    with pytest.raises(ImageError) as error:
        found.read(2)

    assert error.value.path == found.paths[2]


@pytest.mark.parametrize("name", ["gone", "cat/0.png", "empty", "one", "labels.csv", "broken.zip"])
def test_photos_that_cannot_be_used_are_named(photos: Path, name: str) -> None:
    (photos / "empty").mkdir()
    (photos / "one" / "cat").mkdir(parents=True)
    (photos / "one" / "cat" / "a.jpg").write_bytes(b"")
    (photos / "labels.csv").write_bytes(b"name,colour\n")
    (photos / "broken.zip").write_bytes(b"PK\x03\x04 and no more")

    with pytest.raises(DatasetError) as error:
        open_labelled(photos / name)

    assert error.value.paths == (str(photos / name),)


@pytest.mark.parametrize("name", ["bundle.json", "model.onnx"])
def test_a_damaged_file_of_a_model_is_named(tmp_path: Path, make_bundle: Callable[..., Bundle], name: str) -> None:
    write_bundle(tmp_path / "run", make_bundle())
    (tmp_path / "run" / name).write_bytes(b"{}")

    with pytest.raises(BundleError) as error:
        tellapart.load(tmp_path / "run")

    assert error.value.path == str(tmp_path / "run" / name)


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError) as error:
        tellapart.load(tmp_path)

    assert error.value.path == str(tmp_path)


@pytest.mark.parametrize("name", ["photos/cat/0.png", "photos/new.npz", "no such folder/a.npz"])
def test_a_file_that_may_not_be_written_is_named(photos: Path, name: str) -> None:
    path = photos.parent / name

    with pytest.raises(OutputError) as error:
        tellapart.embed(photos, path)

    assert error.value.path == str(path)


def test_a_setting_with_a_wrong_value_is_named() -> None:
    with pytest.raises(ConfigError) as error:
        tellapart.ClassicConfig(learning_rate=-1)

    assert (error.value.field, error.value.value) == ("learning_rate", -1)


def errors_of_libraries() -> list[Exception]:
    errors: list[Exception] = [MemoryError(), OSError(errno.ENOMEM, "Cannot allocate memory")]
    for act in (
        lambda: np.empty((2**60,), np.uint8),
        lambda: torch.empty(2**45),
        lambda: cv2.resize(np.zeros((2, 2), np.uint8), (2**30, 2**30)),
    ):
        try:
            act()
        except Exception as exc:
            errors.append(exc)
    return errors


@pytest.mark.parametrize("error", errors_of_libraries(), ids=lambda error: type(error).__module__)
def test_a_library_that_found_no_memory_is_known(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [ValueError("out of memory"), RuntimeError("shapes do not match"), ConfigError("not enough memory"), OSError()],
    ids=repr,
)
def test_other_errors_are_not_taken_for_a_lack_of_memory(error: Exception) -> None:
    assert not is_out_of_memory(error)
