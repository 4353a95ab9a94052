from pathlib import Path

import pytest

from tellapart.photos.names import PortablePaths
from tellapart.photos.sources import open_labelled


def test_relative_paths_stay_as_they_are() -> None:
    paths = ["pets/cat/1.jpg", "../pets/cat/1.jpg", "image 0"]

    assert [*map(PortablePaths(["pets"], paths), paths)] == paths


@pytest.mark.parametrize("source", ["/home/me/pets", "/home/me/pets/"])
def test_an_absolute_path_begins_at_its_source(source: str) -> None:
    shorten = PortablePaths([source], [])

    assert (shorten(source), shorten("/home/me/pets/cat/1.jpg")) == ("pets", "pets/cat/1.jpg")


def test_sources_of_one_name_stay_different() -> None:
    shorten = PortablePaths(["/a/pets", "/b/pets"], [])

    assert (shorten("/a/pets/1.jpg"), shorten("/b/pets/1.jpg")) == ("pets/1.jpg", "pets (2)/1.jpg")


def test_a_source_inside_another_goes_first() -> None:
    shorten = PortablePaths(["/a", "/a/pets"], [])

    assert (shorten("/a/pets/1.jpg"), shorten("/a/petshop/1.jpg")) == ("pets/1.jpg", "a/petshop/1.jpg")


def test_the_paths_of_a_table_begin_at_its_folder() -> None:
    assert PortablePaths(["/home/me/pets/labels.csv"], [])("/home/me/pets/cat/1.jpg") == "pets/cat/1.jpg"


def test_photos_in_no_source_begin_at_the_folder_they_share() -> None:
    paths = ["/data/x/cat/1.jpg", "/data/x/dog/1.jpg"]

    assert [*map(PortablePaths(["/home/me/labels.csv"], paths), paths)] == ["x/cat/1.jpg", "x/dog/1.jpg"]


def test_a_reason_names_the_source_alone() -> None:
    assert PortablePaths(["/home/me/pets"], []).in_text("not in '/home/me/pets'") == "not in 'pets'"


def test_a_photo_set_is_the_same_but_for_its_paths(plant: object, tmp_path: Path) -> None:
    folder = plant("cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "dog/2.jpg")  # type: ignore[operator]
    (folder / "dog" / "notes.txt").write_text("two dogs")
    photos = open_labelled(str(folder))
    portable = photos.portable()

    assert portable.paths == ("mine/cat/1.jpg", "mine/cat/2.jpg", "mine/dog/1.jpg", "mine/dog/2.jpg")
    assert (portable.source, portable.skipped[0].path) == ("mine", "mine/dog/notes.txt")
    assert [portable.read(row) for row in range(4)] == [photos.read(row) for row in range(4)]
