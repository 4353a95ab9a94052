import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tellapart.config import SourceConfig
from tellapart.errors import DatasetError
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.sources import list_photos, open_any_photos, open_labelled, open_photos
from tellapart.store import to_csv_bytes

JPEG_BYTES = b"\xff\xd8\xff\xe0" + bytes(60)
Plant = Callable[..., Path]
Pack = Callable[..., Path]

REAL_DATA = Path(__file__).parents[2] / "../shared/data"
PAIRS = ("cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "dog/2.jpg")
NAMED = ("cat.1.jpg", "cat.2.jpg", "dog.1.jpg", "dog.2.jpg")


def labelled(photos: PhotoSet) -> dict[str, str]:
    """Path below the source -> class."""
    assert photos.labels is not None
    return {
        os.path.relpath(path, photos.source): photos.class_names[label]
        for path, label in zip(photos.paths, photos.labels, strict=True)
    }


def reasons(photos: PhotoSet) -> dict[str, str]:
    """Path below the source -> why it is skipped."""
    return {os.path.relpath(skipped.path, photos.source): skipped.reason for skipped in photos.skipped}


def test_a_folder_per_class_gives_its_names_as_labels(plant: Plant) -> None:
    assert labelled(open_labelled(plant(*PAIRS))) == {path: path[:3] for path in PAIRS}


def test_paths_begin_with_the_source_as_typed(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(plant(*PAIRS).parent)

    assert open_labelled("mine/").paths[0] == "mine/cat/1.jpg"
    assert open_labelled("./mine").paths[0] == "./mine/cat/1.jpg"


def test_classes_and_photos_stand_in_natural_order(plant: Plant) -> None:
    photos = open_labelled(plant(*(f"c{number}/{row}.jpg" for number in (10, 9, 1) for row in (10, 2, 1))))

    assert photos.class_names == ("c1", "c9", "c10")
    assert [Path(path).name for path in photos.paths[:3]] == ["1.jpg", "2.jpg", "10.jpg"]


def test_a_folder_of_photos_labelled_by_name(plant: Plant) -> None:
    photos = open_labelled(plant(*NAMED, "dog-12.JPG", "cat (3).jpg"))

    assert photos.counts() == {"cat": 3, "dog": 3}


def test_a_class_in_the_path_of_the_source_says_nothing(tmp_path: Path, plant: Plant) -> None:
    dogan = tmp_path / "dogan" / "dogs-vs-cats"
    dogan.parent.mkdir()
    plant(*NAMED).rename(dogan)

    assert open_labelled(dogan).counts() == {"cat": 2, "dog": 2}


@pytest.mark.parametrize("names", [PAIRS, NAMED], ids=["folders", "names"])
@pytest.mark.parametrize("wrapper", ["", "train/", "photos/photos/", "mine/"], ids=["bare", "train", "twice", "same"])
def test_a_zip_is_read_like_a_folder_and_wrappers_are_passed_by(
    pack: Pack, plant: Plant, names: tuple[str, ...], wrapper: str
) -> None:
    wrapped = [wrapper + name for name in names]
    expected = {name: Path(name).name[:3] if names is NAMED else name[len(wrapper) :][:3] for name in wrapped}

    assert labelled(open_labelled(pack(*wrapped))) == expected
    assert labelled(open_labelled(plant(*wrapped))) == expected


def test_a_zip_shows_paths_below_its_own(pack: Pack) -> None:
    path = pack(*(f"train/{name}" for name in NAMED), to="train.zip")

    assert open_labelled(path).paths[0] == f"{path}/train/cat.1.jpg"


def test_a_stray_photo_beside_a_wrapper_does_not_hide_the_classes(plant: Plant) -> None:
    photos = open_labelled(plant("cover.jpg", *(f"photos/photos/{name}" for name in PAIRS)))

    assert photos.counts() == {"cat": 2, "dog": 2}
    assert "no class" in reasons(photos)["cover.jpg"]


def test_a_photo_beside_the_class_folders_has_no_class(plant: Plant) -> None:
    photos = open_labelled(plant(*PAIRS, "bird.1.jpg"))

    assert reasons(photos) == {"bird.1.jpg": "is beside the class folders, so it has no class"}


def test_folders_inside_a_class_folder_belong_to_the_class(plant: Plant) -> None:
    assert open_labelled(plant(*PAIRS, "cat/old/2019/7.jpg")).counts() == {"cat": 3, "dog": 2}


def test_folders_go_before_labels_in_names(plant: Plant) -> None:
    assert open_labelled(plant("wild/cat.1.jpg", "wild/dog.1.jpg", "tame/cat.2.jpg", "tame/dog.2.jpg")).class_names == (
        "tame",
        "wild",
    )


def test_photos_by_name_in_one_folder_below_count_too(plant: Plant) -> None:
    assert open_labelled(plant(*NAMED, "more/cat.3.jpg")).counts() == {"cat": 3, "dog": 2}


def test_split_folders_are_merged_by_class_and_remembered(plant: Plant) -> None:
    photos = open_labelled(plant(*(f"{split}/{name}" for split in ("train", "Validation", "test") for name in PAIRS)))

    assert photos.counts() == {"cat": 6, "dog": 6}
    assert photos.given_splits == ("validation",) * 4 + ("test",) * 4 + ("train",) * 4


@pytest.mark.parametrize("splits", [("train", "val"), ("training_set", "test_set"), ("seg_train", "seg_test")], ids=str)
def test_split_folders_have_many_names_and_may_be_wrapped_twice(plant: Plant, splits: tuple[str, ...]) -> None:
    photos = open_labelled(plant(*(f"{split}/{split}/{name}" for split in splits for name in PAIRS)))

    assert photos.counts() == {"cat": 4, "dog": 4}


@pytest.mark.parametrize("names", [PAIRS, NAMED], ids=["folders", "names"])
@pytest.mark.parametrize("test_photo", ["test/1.jpg", "test1/1.jpg", "test/test/1.jpg", "test/unknown/1.jpg"])
def test_unlabelled_test_photos_are_named_and_left_for_predict(
    plant: Plant, names: tuple[str, ...], test_photo: str
) -> None:
    photos = open_labelled(plant(*(f"train/{name}" for name in names), test_photo))

    assert photos.counts() == {"cat": 2, "dog": 2}
    assert reasons(photos) == {
        test_photo.split("/")[0]: "unlabelled test photos (1). Classify them with `tellapart predict`"
    }


def test_a_train_folder_without_another_split_beside_it_is_a_class(plant: Plant) -> None:
    photos = open_labelled(plant("train/steam/1.jpg", "train/diesel/1.jpg", "plane/1.jpg", "plane/2.jpg"))

    assert photos.counts() == {"plane": 2, "train": 2}
    assert photos.given_splits == ()


@pytest.mark.parametrize("name", ["face mask", "labels", "blood test", "images", "background", "data", "val", "masks"])
def test_a_class_may_have_any_name(plant: Plant, name: str) -> None:
    assert open_labelled(plant(f"{name}/1.jpg", f"{name}/2.jpg", "dog/1.jpg", "dog/2.jpg")).counts() == {
        name: 2,
        "dog": 2,
    }


def test_train_and_test_beside_another_class_are_classes_where_none_holds_folders(plant: Plant) -> None:
    photos = open_labelled(plant(*(f"{name}/{row}.jpg" for name in ("train", "test", "plane") for row in (1, 2))))

    assert photos.counts() == {"plane": 2, "test": 2, "train": 2}


def test_a_class_may_be_called_train(plant: Plant) -> None:
    assert open_labelled(plant("train/1.jpg", "train/2.jpg", "plane/1.jpg", "plane/2.jpg")).counts() == {
        "plane": 2,
        "train": 2,
    }


@pytest.mark.parametrize("middle", ["", "2019/", "images/"])
def test_split_folders_below_the_classes_are_splits(plant: Plant, middle: str) -> None:
    names = (f"{name}/{middle}{split}/1.jpg" for name in ("cat", "dog") for split in ("train", "val", "test"))
    photos = open_labelled(plant(*names), check=False)

    assert photos.counts() == {"cat": 3, "dog": 3}
    assert photos.given_splits == ("test", "train", "validation") * 2


def test_a_class_without_all_splits_below_it_keeps_those_it_has(plant: Plant) -> None:
    photos = open_labelled(plant("cat/train/1.jpg", "cat/test/1.jpg", "dog/train/1.jpg", "owl/test/1.jpg"), check=False)

    assert photos.counts() == {"cat": 2, "dog": 1, "owl": 1}
    assert photos.given_splits == ()

    photos = open_labelled(plant("dog/test/2.jpg"), check=False)

    assert photos.given_splits == ("test", "train", "test", "train", "test")


def test_a_lone_folder_in_a_split_is_the_class_that_other_splits_have(plant: Plant) -> None:
    photos = open_labelled(plant("train/images/1.jpg", "train/data/1.jpg", "val/images/new/2.jpg"), check=False)

    assert photos.counts() == {"data": 1, "images": 2}
    assert photos.given_splits == ("train", "train", "validation")


CAMERAS = [f"{camera}/{name}/{row}.jpg" for camera in ("cam1", "cam2") for name in ("ok", "defect") for row in (1, 2)]


@pytest.mark.parametrize(
    ("names", "levels"),
    [
        pytest.param(CAMERAS, (2, 1), id="cameras"),
        pytest.param([f"2024-05-0{day}/{name}/1.jpg" for day in (1, 2) for name in ("ok", "bad")], (2, 1), id="days"),
        pytest.param([f"data/{name}" for name in CAMERAS], (3, 2), id="in a wrapper"),
        pytest.param([f"{split}/{name}" for split in ("train", "test") for name in CAMERAS], (3, 2), id="in splits"),
        pytest.param([name.replace("/", "/day 1/", 1) for name in CAMERAS], (3, 1), id="days inside cameras"),
        pytest.param([name for name in CAMERAS if "cam1/defect" not in name], (2, 1), id="a camera without one"),
        pytest.param([f"cam{camera}/{digit}/1.jpg" for camera in (1, 2) for digit in range(9)], (2, 1), id="digits"),
        pytest.param(
            [f"{fruit}/{name}/1.jpg" for fruit in ("fig", "pear") for name in ("ripe", "rot")], (2, 1), id="own"
        ),
    ],
)
def test_the_same_folders_below_several_others_are_a_question(
    plant: Plant, names: list[str], levels: tuple[int, int]
) -> None:
    with pytest.raises(
        DatasetError, match="are the classes, give `class_level={}`. .*`class_level={}`".format(*levels)
    ):
        open_labelled(plant(*names))


@pytest.mark.parametrize(
    "inside",
    [
        ("2019", "2020"),
        ("batch 1", "batch 2"),
        ("1", "2"),
        ("images", "raw"),
        ("train", "val"),
        ("new",),
        ("new", "train"),
    ],
    ids=str,
)
def test_days_and_parts_inside_classes_are_no_question(plant: Plant, inside: tuple[str, ...]) -> None:
    photos = open_labelled(
        plant(*(f"{name}/{folder}/1.jpg" for name in ("cat", "dog") for folder in inside)), check=False
    )

    assert photos.counts() == {"cat": len(inside), "dog": len(inside)}


@pytest.mark.parametrize(("level", "counts"), [(1, {"cam1": 4, "cam2": 4}), (2, {"defect": 4, "ok": 4})])
def test_a_class_level_answers_the_question(plant: Plant, level: int, counts: dict[str, int]) -> None:
    photos = open_labelled(plant(*CAMERAS, "cover.jpg"), SourceConfig(class_level=level))

    assert photos.counts() == counts
    assert reasons(photos) == {"cover.jpg": f"has no folder at `class_level` {level}, so it has no class"}


def test_a_class_level_keeps_the_splits_above_and_below(plant: Plant) -> None:
    above = [f"{split}/{name}" for split in ("train", "test") for name in CAMERAS]
    photos = open_labelled(plant(*above), SourceConfig(class_level=3))

    assert (photos.counts(), photos.given_splits) == ({"defect": 8, "ok": 8}, ("test",) * 8 + ("train",) * 8)


@pytest.mark.parametrize(
    ("names", "level", "words"),
    [
        (("cat/a.jpg", "dog/b.jpg"), 2, "are at most 1 folder deep. Give a smaller number"),
        (("a.jpg", "b.jpg"), 1, "are in no folders. Put the photos of each class into a folder"),
    ],
    ids=["one folder", "no folder"],
)
def test_a_class_level_below_few_folders_is_refused(
    plant: Plant, names: tuple[str, ...], level: int, words: str
) -> None:
    with pytest.raises(DatasetError, match=words):
        open_labelled(plant(*names), SourceConfig(class_level=level))


def test_a_class_level_without_folders_is_refused(plant: Plant) -> None:
    with pytest.raises(DatasetError, match="`class_level` 3 is too deep: the photos of .* are at most 2 folders deep"):
        open_labelled(plant(*CAMERAS), SourceConfig(class_level=3))


def test_photos_whose_level_is_in_question_are_unlabelled_with_the_question_as_the_reason(plant: Plant) -> None:
    photos = open_any_photos(plant(*CAMERAS))

    assert (len(photos), photos.labels) == (8, None)
    assert "`class_level=2`" in (photos.unlabelled_reason or "")


def test_a_folder_with_another_prefix_is_no_split(plant: Plant) -> None:
    photos = open_labelled(plant(*(f"{folder}/{name}" for folder in ("train", "val", "old_test") for name in PAIRS)))

    assert photos.counts() == {"cat": 4, "dog": 4}
    assert reasons(photos) == {"old_test": "photos (4) beside the split folders 'train', 'val'"}


def test_splits_without_any_label_are_refused(plant: Plant) -> None:
    with pytest.raises(DatasetError, match="No labels found for"):
        open_labelled(plant("train/1.jpg", "train/2.jpg", "test/1.jpg"))


def test_classes_that_are_about_masks_stay_classes(plant: Plant) -> None:
    names = [f"{name}/{row}-{name.replace('_', '-')}.jpg" for name in ("with_mask", "without_mask") for row in (1, 2)]

    assert open_labelled(plant(*names)).counts() == {"with_mask": 2, "without_mask": 2}


def test_a_class_of_masks_numbered_like_its_neighbour_stays_a_class(plant: Plant) -> None:
    assert open_labelled(plant("hats/1.jpg", "hats/2.jpg", "masks/1.jpg", "masks/2.jpg")).counts() == {
        "hats": 2,
        "masks": 2,
    }


def test_stray_files_are_skipped_with_a_reason(plant: Plant) -> None:
    plant("README.txt", "cat/notes", "dog/.DS_Store", "Thumbs.db", "._1.jpg", ".git/a/1.jpg", data=b"text")
    plant("labels.csv", "empty.dat", data=b"")
    photos = open_labelled(plant(*PAIRS, "__MACOSX/cat/._1.jpg"))

    assert photos.counts() == {"cat": 2, "dog": 2}
    assert reasons(photos) == {
        ".git": "a hidden or system file",
        "._1.jpg": "a hidden or system file",
        "README.txt": "text, not a photo",
        "Thumbs.db": "a hidden or system file",
        "__MACOSX": "a hidden or system file",
        "cat/notes": "text, not a photo",
        "dog/.DS_Store": "a hidden or system file",
        "empty.dat": "an empty file",
        "labels.csv": "an empty file",
    }


def test_stray_files_in_a_zip_are_skipped_too(pack: Pack) -> None:
    photos = open_labelled(pack(*PAIRS, "__MACOSX/cat/._1.jpg", "__MACOSX/._cat", ".hidden"))

    assert reasons(photos) == {".hidden": "a hidden or system file", "__MACOSX": "a hidden or system file"}


def test_the_first_bytes_decide_about_files_without_the_suffix_of_a_photo(plant: Plant) -> None:
    assert open_labelled(plant(*PAIRS, "cat/scan", "dog/photo.dat", "dog/3.JPEG")).counts() == {"cat": 3, "dog": 4}


@pytest.mark.parametrize("name", ["a b.jpg", "🐈.jpg", "line\nbreak.jpg", "caf\udce9.jpg", "-rf.jpg"], ids=ascii)
def test_odd_names_are_read_and_printable(plant: Plant, name: str) -> None:
    photos = open_labelled(plant(*PAIRS, f"cat/{name}"))

    assert photos.counts() == {"cat": 3, "dog": 2}
    assert all("\n".join(photos.paths).encode() and photos.read(row) for row in range(len(photos)))


def test_links_in_a_circle_and_links_to_nothing_are_named(plant: Plant) -> None:
    root = plant(*PAIRS)
    (root / "cat" / "loop").symlink_to(root)
    (root / "up").symlink_to(root.parent)
    (root / "dog" / "self").symlink_to(root / "dog")
    (root / "dog" / "gone.jpg").symlink_to(root / "nothing.jpg")
    photos = open_labelled(root)

    assert photos.counts() == {"cat": 2, "dog": 2}
    assert {path: reason[:30] for path, reason in reasons(photos).items()} == {
        "cat/loop": "a link to a folder that it is ",
        "dog/gone.jpg": "a link that leads nowhere: No ",
        "dog/self": "a link to a folder that it is ",
        "up": "a link to a folder that it is ",
    }


def test_a_link_has_the_class_of_the_place_where_it_is(tmp_path: Path, plant: Plant) -> None:
    root = plant(*PAIRS)
    other = tmp_path / "other"
    other.mkdir()
    (other / "9.jpg").write_bytes((root / "dog" / "1.jpg").read_bytes())
    (root / "cat" / "more").symlink_to(other)
    (root / "cat" / "3.jpg").symlink_to(root / "dog" / "2.jpg")
    (root / "bird").symlink_to(root / "dog")

    assert labelled(open_labelled(root)) == {
        "bird/1.jpg": "bird",
        "bird/2.jpg": "bird",
        "cat/1.jpg": "cat",
        "cat/2.jpg": "cat",
        "cat/3.jpg": "cat",
        "cat/more/9.jpg": "cat",
        "dog/1.jpg": "dog",
        "dog/2.jpg": "dog",
    }


def test_a_link_has_the_split_of_the_place_where_it_is(plant: Plant) -> None:
    root = plant(*(f"all/{name}" for name in PAIRS))
    for split, row in (("train", 1), ("test", 2)):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            (root / split / name / f"{row}.jpg").symlink_to(root / "all" / name / f"{row}.jpg")
    photos = open_labelled(root)

    assert photos.counts() == {"cat": 2, "dog": 2}
    assert photos.given_splits == ("test", "test", "train", "train")


def test_a_folder_that_classes_link_to_is_no_class(plant: Plant) -> None:
    root = plant(*(f"all/{row}.jpg" for row in range(4)))
    for row, name in enumerate(["cat", "cat", "dog", "dog"]):
        (root / name).mkdir(exist_ok=True)
        (root / name / f"{row}.jpg").symlink_to(root / "all" / f"{row}.jpg")
    photos = open_labelled(root)

    assert photos.counts() == {"cat": 2, "dog": 2}
    assert set(reasons(photos).values()) == {"has its class from a link to it in a class folder"}


def test_a_photo_is_taken_once_in_a_class(plant: Plant) -> None:
    root = plant(*PAIRS)
    (root / "cat" / "0.jpg").symlink_to(root / "cat" / "1.jpg")
    photos = open_labelled(root)

    assert labelled(photos) == {path: path[:3] for path in PAIRS}
    assert reasons(photos) == {"cat/0.jpg": "a link to a photo that is already taken"}
    assert list_photos([root]).paths == photos.paths


def test_links_that_multiply_come_to_an_end(plant: Plant) -> None:
    root = plant("cat/1.jpg", "cat/2.jpg", "dog/0/1.jpg")
    for level in range(12):
        (root / "dog" / str(level + 1)).mkdir()
        for side in "ab":
            (root / "dog" / str(level) / side).symlink_to(root / "dog" / str(level + 1))

    assert open_labelled(root, check=False).counts() == {"cat": 2, "dog": 1}


def test_folders_without_photos_are_named(plant: Plant, tmp_path: Path) -> None:
    root = plant(*PAIRS, "cat/old/1.jpg")
    (root / "owl").mkdir()
    (root / "cat" / "new" / "deep").mkdir(parents=True)
    (root / ".hidden").mkdir()
    plant("bat/notes.txt", data=b"text")

    for photos in (open_labelled(root), list_photos([root])):
        assert reasons(photos) == {
            ".hidden": "a hidden or system file",
            "bat": "a folder without photos",
            "bat/notes.txt": "text, not a photo",
            "cat/new": "a folder without photos",
            "owl": "a folder without photos",
        }


def test_a_pipe_is_skipped_without_waiting_for_it(plant: Plant) -> None:
    root = plant(*PAIRS)
    os.mkfifo(root / "cat" / "3.jpg")

    assert reasons(open_labelled(root)) == {"cat/3.jpg": "it is not a regular file"}


def test_a_pattern_labels_by_name_at_any_depth(plant: Plant) -> None:
    photos = open_labelled(
        plant("a/x_cat.jpg", "b/y_cat.jpg", "b/z_dog.jpg", "v_dog.jpg", "v.jpg"),
        SourceConfig(label_pattern=r"_(\w+)\."),
    )

    assert photos.counts() == {"cat": 2, "dog": 2}
    assert reasons(photos) == {"v.jpg": "its name does not match `label_pattern`"}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        pytest.param(["1.jpg", "2.jpg"], "No labels .* 2 photos in .*'1.jpg', '2.jpg'.*`labels_csv`", id="numbers"),
        pytest.param(
            ["cat/1.jpg", "cat/2.jpg"],
            r"too few classes: 'cat' \(2 photos\).*Give photos of at least 2 classes",
            id="one folder",
        ),
        pytest.param(["cat.1.jpg", "cat.2.jpg"], r"too few classes: 'cat' \(2 photos\)", id="one name"),
        pytest.param([*PAIRS, "owl/1.jpg"], "class 'owl' in .* has 1 photo. Every class needs", id="one photo"),
        pytest.param([], "does not exist", id="no folder"),
    ],
)
def test_a_folder_that_cannot_be_learned_from_is_refused(plant: Plant, names: list[str], words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        open_labelled(plant(*names))


def test_small_and_single_classes_can_be_opened_without_the_check(plant: Plant) -> None:
    assert open_labelled(plant("cat/IMG_1.jpg"), check=False).counts() == {"cat": 1}


def test_a_folder_without_photos_is_refused_with_what_it_holds(plant: Plant) -> None:
    with pytest.raises(DatasetError, match=r"no photos, only 'a.txt', 'b.txt', .* and 2 more"):
        open_labelled(plant(*(f"{letter}.txt" for letter in "abcdefg"), data=b"text"))


def test_a_folder_of_zips_says_to_name_one(plant: Plant) -> None:
    with pytest.raises(DatasetError, match=r"no photos but zips: 'train.zip'. Give one of them"):
        open_labelled(plant("train.zip", data=b"PK"))


def test_a_zip_of_zips_says_to_unpack_it_once(pack: Pack) -> None:
    with pytest.raises(DatasetError, match=r"no photos but zips: 'test1.zip', 'train.zip'. Unpack it once"):
        open_labelled(pack("train.zip", "test1.zip", data=b"PK"))


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.txt", b"text", r"is not a folder, zip or CSV: text, not a photo"),
        ("a.jpg", b"\xff\xd8\xff", "a single photo.*tellapart predict"),
        ("a.zip", b"text", "cannot be read"),
    ],
)
def test_a_file_that_is_no_source_is_refused(plant: Plant, name: str, data: bytes, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        open_labelled(plant(name, data=data) / name)


def test_messages_have_one_line_whatever_the_names(plant: Plant) -> None:
    with pytest.raises(DatasetError) as caught:
        open_labelled(plant("two\nlines\udce9/1.jpg", "cat/1.jpg"))

    assert str(caught.value).isprintable()


def test_photos_without_labels_are_listed_as_given_and_in_natural_order_inside(plant: Plant, pack: Pack) -> None:
    root = plant("deep/er/2.jpg", "10.jpg", "2.jpg")
    archive = pack("b/1.jpg")
    photos = list_photos([root / "10.jpg", archive, root])

    assert photos.labels is None
    assert list(photos.paths) == [
        f"{root}/10.jpg",
        f"{archive}/b/1.jpg",
        f"{root}/2.jpg",
        f"{root}/10.jpg",
        f"{root}/deep/er/2.jpg",
    ]


def test_a_named_file_that_is_no_photo_is_skipped(plant: Plant) -> None:
    path = plant("notes.txt", data=b"text") / "notes.txt"
    photos = list_photos([path])

    assert (len(photos), photos.skipped[0].path, photos.skipped[0].reason) == (0, str(path), "text, not a photo")


def test_folders_without_any_photo_are_refused_when_listing(plant: Plant) -> None:
    with pytest.raises(DatasetError, match="no photos, only 'notes.txt'"):
        list_photos([plant("notes.txt", data=b"text")])


def test_a_path_with_nothing_is_refused_when_listing(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no.jpg' does not exist. Give a folder, zip"):
        list_photos([tmp_path / "no.jpg"])


@pytest.mark.real_data
@pytest.mark.skipif(not REAL_DATA.exists(), reason="the photos are not on this machine")
@pytest.mark.parametrize(
    ("folder", "counts"),
    [
        ("cats-dogs", {"cat": 2000, "dog": 2000}),
        ("cats-dogs/train", {"cat": 2000, "dog": 2000}),
        ("cats-dogs-native", {"cat": 200, "dog": 200}),
        ("weather", {"cloudy": 137, "rain": 137, "shine": 137, "sunrise": 137}),
    ],
)
def test_real_collections_are_understood(folder: str, counts: dict[str, int]) -> None:
    assert open_labelled(REAL_DATA / folder).counts() == counts


@pytest.mark.real_data
@pytest.mark.skipif(not REAL_DATA.exists(), reason="the photos are not on this machine")
def test_real_photos_without_labels_are_refused() -> None:
    with pytest.raises(DatasetError, match="No labels found for the 500 photos"):
        open_labelled(REAL_DATA / "cats-dogs/test1")


def shown_classes(photos: PhotoSet) -> dict[str, str]:
    """Path, below the folder of the test, to class."""
    assert photos.labels is not None
    folder = Path(photos.sources[0]).parent
    return {
        str(Path(path).relative_to(folder)): photos.class_names[label]
        for path, label in zip(photos.paths, photos.labels, strict=True)
    }


def test_classes_that_are_spread_over_several_zips_are_found(pack: Pack) -> None:
    zips = [pack("cat/1.jpg", "cat/2.jpg", to="a.zip"), pack("dog/1.jpg", "dog/2.jpg", to="b.zip")]
    photos = open_photos([str(path) for path in zips])

    assert shown_classes(photos) == {
        "a.zip/cat/1.jpg": "cat", "a.zip/cat/2.jpg": "cat", "b.zip/dog/1.jpg": "dog", "b.zip/dog/2.jpg": "dog"
    }  # fmt: skip
    assert photos.sources == tuple(map(str, zips))


def test_zips_with_wrapper_folders_of_different_names_are_one_source(pack: Pack) -> None:
    zips = [pack("pets/cat/1.jpg", "pets/dog/1.jpg", to="a.zip"), pack("more/cat/1.jpg", "more/dog/1.jpg", to="b.zip")]

    assert open_photos([str(path) for path in zips]).counts() == {"cat": 2, "dog": 2}


def test_zips_that_are_splits_keep_them(pack: Pack) -> None:
    zips = [
        pack("train/cat/1.jpg", "train/dog/1.jpg", to="train.zip"),
        pack("test/cat/2.jpg", "test/dog/2.jpg", to="test.zip"),
    ]
    photos = open_photos([str(path) for path in zips])

    assert photos.counts() == {"cat": 2, "dog": 2}
    assert sorted(map(str, photos.given_splits)) == ["test", "test", "train", "train"]


def test_a_csv_may_name_photos_in_several_zips(pack: Pack, tmp_path: Path) -> None:
    zips = [pack("1.jpg", "2.jpg", to="a.zip"), pack("3.jpg", "4.jpg", to="b.zip")]
    (tmp_path / "labels.csv").write_text("path,label\n1.jpg,cat\n2.jpg,dog\n3.jpg,cat\n4.jpg,dog\n")
    photos = open_photos([str(path) for path in zips], labels_csv=str(tmp_path / "labels.csv"))

    assert shown_classes(photos) == {
        "a.zip/1.jpg": "cat",
        "a.zip/2.jpg": "dog",
        "b.zip/3.jpg": "cat",
        "b.zip/4.jpg": "dog",
    }
    assert photos.skipped == ()


def labelled_by_rows(zips: list[Path], rows: dict[str, str], tmp_path: Path) -> PhotoSet:
    """The photos of the zips by a CSV of these paths and classes."""
    table = tmp_path / "labels.csv"
    table.write_bytes(to_csv_bytes([("path", "label"), *rows.items()]))
    return open_photos([str(path) for path in zips], labels_csv=str(table))


BEFORE = {
    "the zip": "{name}.zip/",
    "the zip in a folder": "downloads/{name}.zip/",
    "the zip of Windows": "C:\\data\\{name}.zip\\",
    "the folder it was unpacked to": "{name}/",
    "that folder in another": "./data/{name}/",
}
INSIDE = ("{number}.jpg", "cat/{number}.jpg", "all/cat/{number}.jpg")


@pytest.mark.parametrize("inside", INSIDE)
@pytest.mark.parametrize("before", BEFORE)
def test_a_csv_tells_photos_of_the_same_name_apart_by_their_zips(
    pack: Pack, tmp_path: Path, before: str, inside: str
) -> None:
    names = [inside.format(number=number) for number in (1, 2)]
    zips = [pack(*names, to=f"{name}.zip", data=JPEG_BYTES + name.encode()) for name in ("east", "west")]
    classes = {("east", 0): "cat", ("east", 1): "dog", ("west", 0): "dog", ("west", 1): "cat"}
    rows = {BEFORE[before].format(name=name) + names[row]: label for (name, row), label in classes.items()}
    photos = labelled_by_rows(zips, rows, tmp_path)
    expected = {f"{name}.zip/{names[row]}": label for (name, row), label in classes.items()}
    assert shown_classes(photos) == expected
    assert photos.skipped == ()


def test_a_name_that_two_zips_hold_says_too_little(pack: Pack, tmp_path: Path) -> None:
    zips = [pack("1.jpg", "2.jpg", to="a.zip"), pack("1.jpg", "3.jpg", to="b.zip")]
    photos = labelled_by_rows(zips, {"1.jpg": "cat", "2.jpg": "cat", "3.jpg": "dog"}, tmp_path)
    assert photos.counts() == {"cat": 1, "dog": 1}
    assert "several files have that name" in {item.path[-5:]: item.reason for item in photos.skipped}["1.jpg"]


def test_a_row_may_name_the_only_zip(pack: Pack, tmp_path: Path) -> None:
    photos = labelled_by_rows([pack("1.jpg", "2.jpg")], {"mine.zip/1.jpg": "cat", "x/mine.zip/2.jpg": "dog"}, tmp_path)
    assert photos.counts() == {"cat": 1, "dog": 1}


def test_a_folder_in_a_zip_goes_before_a_zip_of_that_name(pack: Pack, tmp_path: Path) -> None:
    zips = [pack("1.jpg", to="a.zip"), pack("a/1.jpg", "2.jpg", to="b.zip")]
    photos = labelled_by_rows(zips, {"a/1.jpg": "cat", "a.zip/1.jpg": "dog", "2.jpg": "cat"}, tmp_path)
    assert shown_classes(photos) == {
        "b.zip/a/1.jpg": "cat", "a.zip/1.jpg": "dog", "b.zip/2.jpg": "cat"
    }  # fmt: skip


def test_a_folder_beside_several_zips_is_a_source_of_its_own(pack: Pack, plant: Plant) -> None:
    folder = plant("cat/9.jpg", "dog/9.jpg")
    zips = [pack("cat/1.jpg", to="a.zip"), pack("dog/1.jpg", to="b.zip")]
    photos = open_photos([str(zips[0]), str(folder), str(zips[1])])

    assert photos.counts() == {"cat": 2, "dog": 2}
    assert photos.sources == (str(zips[0]), str(zips[1]), str(folder))


def test_a_file_that_is_left_out_is_shown_in_its_own_zip(pack: Pack) -> None:
    zips = [pack("cat/1.jpg", "cat/2.jpg", to="a.zip"), pack("dog/1.jpg", "dog/../../2.jpg", "readme.txt", to="b.zip")]
    photos = open_photos([str(path) for path in zips])

    assert [Path(item.path).name for item in photos.skipped] == ["readme.txt", "2.jpg"]
    assert all("b.zip" in item.path for item in photos.skipped)


def test_a_zip_of_nothing_but_odd_members_says_why(pack: Pack) -> None:
    with pytest.raises(
        DatasetError,
        match=r"holds no photos that can be read: 2 files are left out. The first is '../1.jpg': leads out",
    ):
        open_photos(str(pack("../1.jpg", "../2.jpg")))
