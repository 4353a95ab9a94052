import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tellapart.decisions.decisions import (
    Applied,
    Decision,
    Decisions,
    apply_decisions,
    apply_own_decisions,
    read_decisions,
)
from tellapart.errors import DatasetError
from tellapart.photos.files import DiskFile
from tellapart.photos.loading import digest_photo
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.sources import open_labelled
from tellapart.records import Skipped
from tellapart.watcher import Watcher

# One letter a content: `make({"cat/1.jpg": "a"})`.
Plan = dict[str, str]


def digest(letter: str) -> str:
    return letter * 40


def make(plan: Plan) -> tuple[PhotoSet, list[str | Skipped]]:
    """Photos at these paths below `p`, in the order given, and their digests; `?` cannot be read."""
    labels = [path.split("/")[0] for path in plan]
    class_names = tuple(sorted(set(labels)))
    photos = PhotoSet(
        source="p",
        paths=tuple(f"p/{path}" for path in plan),
        labels=np.array([class_names.index(label) for label in labels], dtype=np.int64),
        class_names=class_names,
        skipped=(Skipped("p/x.txt", "not a photo"),),
        places=tuple(DiskFile(path) for path in plan),
    )
    digests = [Skipped(path, "damaged") if plan[path] == "?" else digest(plan[path]) for path in plan]
    return photos, digests


def decide(*rows: str) -> Decisions:
    """Decisions such as `a cat/1.jpg keep` or `b cat/2.jpg move dog`, about paths below `p`."""
    found = []
    for line, row in enumerate(rows, 2):
        letter, path, verdict, *new_class = row.split(" ")
        label = path.split("/")[0]
        found.append(Decision(line, digest(letter), f"p/{path}", label, verdict, new_class[0] if new_class else None))
    return Decisions("d.csv", tuple(found))


def apply(plan: Plan, *rows: str) -> Applied:
    return apply_decisions(*make(plan), decide(*rows))


def labelled(applied: Applied) -> dict[str, str]:
    """Path below `p` to class."""
    photos = applied.photos
    return {path[2:]: photos.class_names[label] for path, label in zip(photos.paths, photos.labels, strict=True)}


def numbers(applied: Applied) -> tuple[int, int, int]:
    return applied.num_kept, applied.num_moved, applied.num_removed


FOUR = {"cat/1.jpg": "a", "cat/2.jpg": "b", "dog/3.jpg": "c", "dog/4.jpg": "d"}


def test_photos_are_kept_moved_and_removed() -> None:
    applied = apply(FOUR, "a cat/1.jpg keep", "b cat/2.jpg move dog", "c dog/3.jpg remove")
    assert labelled(applied) == {"cat/1.jpg": "cat", "cat/2.jpg": "dog", "dog/4.jpg": "dog"}
    assert numbers(applied) == (1, 1, 1)
    assert applied.rows.tolist() == [0, 1, 3]
    assert applied.notes() == ()


def test_rows_whose_label_was_decided_on_are_confirmed() -> None:
    assert apply(FOUR, "d dog/4.jpg keep", "b cat/2.jpg move dog", "a cat/1.jpg remove").confirmed == {0, 2}


def test_a_removed_photo_is_skipped_with_the_reason() -> None:
    assert apply(FOUR, "c dog/3.jpg remove").photos.skipped == (
        Skipped("p/x.txt", "not a photo"),
        Skipped("p/dog/3.jpg", "removed by a decision"),
    )


def test_the_photos_given_stay_as_they_are() -> None:
    photos, digests = make(FOUR)
    apply_decisions(photos, digests, decide("b cat/2.jpg move dog", "c dog/3.jpg remove"))
    assert (len(photos), photos.labels.tolist(), len(photos.skipped)) == (4, [0, 0, 1, 1], 1)


def test_decisions_survive_renamed_files() -> None:
    applied = apply({"cat/x.jpg": "b", "dog/1.jpg": "a"}, "b cat/2.jpg move dog")
    assert labelled(applied) == {"cat/x.jpg": "dog", "dog/1.jpg": "dog"}


def test_decisions_survive_a_renamed_class() -> None:
    applied = apply(
        {"kitten/2.jpg": "b", "kitten/3.jpg": "c", "dog/1.jpg": "a"}, "b cat/2.jpg remove", "c cat/3.jpg keep"
    )
    assert labelled(applied) == {"kitten/3.jpg": "kitten", "dog/1.jpg": "dog"}
    assert applied.confirmed == {0}


def test_a_label_that_was_changed_since_is_left_alone() -> None:
    plan = {"cat/1.jpg": "a", "dog/2.jpg": "b", "dog/3.jpg": "c"}
    applied = apply(plan, "a cat/1.jpg keep", "b cat/2.jpg remove", "c cat/3.jpg move owl")
    assert labelled(applied) == {"cat/1.jpg": "cat", "dog/2.jpg": "dog", "dog/3.jpg": "dog"}
    assert applied.notes() == ("2 of the 3 decisions in 'd.csv' had no effect: 'p' has no such photo with that label",)


def test_a_move_that_was_done_already_confirms_the_label() -> None:
    applied = apply({"cat/1.jpg": "a", "dog/2.jpg": "b"}, "b cat/2.jpg move dog")
    assert (numbers(applied), applied.confirmed, applied.notes()) == ((1, 0, 0), {1}, ())


def test_a_new_class_takes_its_natural_place() -> None:
    applied = apply(FOUR, "b cat/2.jpg move cow")
    assert applied.photos.class_names == ("cat", "cow", "dog")
    assert applied.photos.labels.tolist() == [0, 1, 2, 2]
    assert applied.notes() == ("new class by a decision: 'cow'",)


def test_a_class_whose_last_photo_went_is_none_any_more() -> None:
    applied = apply({**FOUR, "owl/5.jpg": "e"}, "a cat/1.jpg remove", "b cat/2.jpg move owl")
    assert applied.photos.class_names == ("dog", "owl")
    assert (applied.photos.labels.tolist(), applied.emptied) == ([1, 0, 0, 1], ("cat",))
    assert applied.notes() == ("no photo is left in class 'cat', so it is no longer a class",)


def test_all_photos_may_go() -> None:
    applied = apply({"cat/1.jpg": "a"}, "a cat/1.jpg remove")
    assert (len(applied.photos), applied.photos.class_names, applied.confirmed) == (0, (), frozenset())


@pytest.mark.parametrize("target", ["DOG", "Dog", "dog"])
def test_a_class_is_meant_whatever_its_case(target: str) -> None:
    assert apply(FOUR, f"b cat/2.jpg move {target}").photos.class_names == ("cat", "dog")


def test_two_new_classes_that_differ_by_case_are_one() -> None:
    applied = apply(FOUR, "b cat/2.jpg move Owl", "c dog/3.jpg move owl")
    assert applied.photos.class_names == ("Owl", "cat", "dog")


@pytest.mark.parametrize(
    ("name", "advice"),
    [("a/b", "a_b"), ("..", "_"), ("con", "_con"), ("ends.", "ends"), ("what?", "what_"), ("x" * 61, "x" * 60)],
)
def test_a_new_class_must_be_a_folder_name_everywhere(name: str, advice: str) -> None:
    with pytest.raises(
        DatasetError, match=r"line 2 of the decisions 'd.csv' moves a photo to .* do not allow that name"
    ) as error:
        apply(FOUR, f"b cat/2.jpg move {name}")
    assert f"such as {advice!r}" in str(error.value)


def test_a_class_that_there_is_may_have_any_name() -> None:
    photos, digests = make(FOUR)
    named = PhotoSet(**{**vars(photos), "class_names": ("a/b", "dog")})
    decisions = Decisions("d.csv", (Decision(2, digest("c"), "", "dog", "move", "a/b"),))
    assert apply_decisions(named, digests, decisions).photos.counts() == {"a/b": 3, "dog": 1}


# Byte-identical copies.


def test_a_copy_in_another_class_is_not_what_the_decision_is_about() -> None:
    applied = apply({"cat/1.jpg": "a", "dog/1.jpg": "a"}, "a dog/1.jpg remove")
    assert labelled(applied) == {"cat/1.jpg": "cat"}


def test_copies_in_two_classes_are_decided_on_one_by_one() -> None:
    applied = apply({"cat/1.jpg": "a", "dog/1.jpg": "a", "dog/2.jpg": "b"}, "a dog/1.jpg move cat", "a cat/1.jpg keep")
    assert labelled(applied) == {"cat/1.jpg": "cat", "dog/1.jpg": "cat", "dog/2.jpg": "dog"}
    assert (numbers(applied), applied.confirmed) == ((1, 1, 0), {0, 1})


def test_a_class_that_is_gone_does_not_claim_the_copy_decided_on_elsewhere() -> None:
    applied = apply({"cat/1.jpg": "a"}, "a dog/1.jpg remove", "a cat/1.jpg keep")
    assert labelled(applied) == {"cat/1.jpg": "cat"}
    assert (applied.num_kept, applied.num_elsewhere) == (1, 1)


def test_a_class_that_is_gone_means_no_copy_where_several_classes_have_one() -> None:
    plan = {"cat/1.jpg": "a", "dog/1.jpg": "a", "dog/2.jpg": "b"}
    applied = apply(plan, "a owl/1.jpg remove", "b dog/2.jpg keep")
    assert (len(applied.photos), applied.num_elsewhere) == (3, 1)


@pytest.mark.parametrize("verdict", ["keep", "move dog"])
def test_a_label_is_decided_for_all_copies_in_the_class(verdict: str) -> None:
    applied = apply({"cat/1.jpg": "a", "cat/2.jpg": "a", "cat/3.jpg": "b", "dog/4.jpg": "c"}, f"a cat/1.jpg {verdict}")
    assert applied.confirmed == {0, 1}
    assert len({label for path, label in labelled(applied).items() if path in ("cat/1.jpg", "cat/2.jpg")}) == 1


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("cat/1.jpg", "cat/2.jpg"),
        ("cat/2.jpg", "cat/1.jpg"),
        ("cat/old/2.jpg", "cat/1.jpg"),
        ("cat/x.jpg", "cat/1.jpg"),
    ],
    ids=["first", "second", "file-name", "renamed"],
)
def test_removing_one_copy_leaves_the_other(path: str, left: str) -> None:
    applied = apply({"cat/1.jpg": "a", "cat/2.jpg": "a", "dog/3.jpg": "b"}, f"a {path} remove")
    assert labelled(applied) == {left: "cat", "dog/3.jpg": "dog"}


def test_copies_with_the_same_name_are_told_apart_by_their_folder() -> None:
    photos, digests = make({"cat/u/1.jpg": "a", "cat/v/1.jpg": "a", "dog/3.jpg": "b"})
    decisions = Decisions("d.csv", (Decision(2, digest("a"), r"C:\photos\cat\v\1.jpg", "cat", "remove"),))
    assert labelled(apply_decisions(photos, digests, decisions)) == {"cat/u/1.jpg": "cat", "dog/3.jpg": "dog"}


def test_all_copies_go_when_all_are_decided_to() -> None:
    plan = {"cat/1.jpg": "a", "cat/2.jpg": "a", "dog/3.jpg": "b"}
    assert labelled(apply(plan, "a cat/1.jpg remove", "a cat/2.jpg remove")) == {"dog/3.jpg": "dog"}


def test_one_copy_may_be_moved_and_the_other_removed() -> None:
    plan = {"cat/1.jpg": "a", "cat/2.jpg": "a", "dog/3.jpg": "b"}
    applied = apply(plan, "a cat/1.jpg remove", "a cat/2.jpg move dog")
    assert labelled(applied) == {"cat/2.jpg": "dog", "dog/3.jpg": "dog"}


def test_a_copy_that_is_kept_is_not_removed_in_place_of_one_that_is_gone() -> None:
    applied = apply({"cat/x.jpg": "a", "dog/3.jpg": "b"}, "a cat/2.jpg remove", "a cat/1.jpg keep")
    assert labelled(applied) == {"cat/x.jpg": "cat", "dog/3.jpg": "dog"}
    assert applied.num_elsewhere == 1


@given(st.lists(st.sampled_from(["keep", "remove"]), min_size=1, max_size=6), st.integers(1, 6))
def test_as_many_copies_go_as_were_decided_to_and_no_kept_one(verdicts: Sequence[str], num_copies: int) -> None:
    plan = {f"cat/{number}.jpg": "a" for number in range(num_copies)}
    applied = apply(plan, *(f"a cat/{number}.jpg {verdict}" for number, verdict in enumerate(verdicts)))
    named = list(verdicts[:num_copies])
    assert applied.num_removed == named.count("remove")
    assert len(applied.photos) == num_copies - named.count("remove")


def test_a_moved_photo_confirms_its_copies_in_the_new_class() -> None:
    assert apply({"cat/1.jpg": "a", "cat/2.jpg": "b", "dog/3.jpg": "a"}, "a cat/1.jpg move dog").confirmed == {0, 2}


def test_fifty_thousand_copies_are_decided_on_in_one_go() -> None:
    plan = {f"cat/{number}.jpg": "a" for number in range(50_000)}
    applied = apply(plan, *(f"a cat/x{number}.jpg remove" for number in range(49_999)))
    assert len(applied.photos) == 1


# Decisions about other photos.


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            ["z cat/9.jpg keep"],
            r"^the decision in 'd.csv' is not about a photo in 'p'. Give the photos that were decided on",
        ),
        (["z cat/9.jpg keep", "y cat/8.jpg keep"], r"^none of the 2 decisions in 'd.csv' is about a photo in 'p'. "),
        (["z cat/9.jpg keep", "y cat/2.jpg keep"], r"in 'p'. 1 photo has changed since, .* Give the photos that"),
    ],
)
def test_decisions_that_are_all_about_other_photos_are_an_error(rows: list[str], words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        apply(FOUR, *rows)


def test_decisions_found_beside_the_photos_may_be_about_others() -> None:
    applied = apply_decisions(*make(FOUR), decide("z cat/9.jpg keep"), must_match=False)
    assert (len(applied.photos), applied.num_elsewhere) == (4, 1)


def test_no_decisions_change_nothing() -> None:
    applied = apply(FOUR)
    assert (labelled(applied), applied.notes()) == ({path: path[:3] for path in FOUR}, ())


def test_photos_that_have_changed_since_are_told() -> None:
    applied = apply(FOUR, "z cat/1.jpg remove", "y dog/4.jpg keep", "b cat/2.jpg keep")
    assert len(applied.photos) == 4
    assert applied.notes() == (
        "2 photos have changed since the decisions in 'd.csv' were made. Their decisions were left out",
    )


def test_a_photo_that_cannot_be_read_stays_and_has_no_decision() -> None:
    applied = apply({"cat/1.jpg": "?", "cat/2.jpg": "b"}, "a cat/1.jpg remove", "b cat/2.jpg keep")
    assert (len(applied.photos), applied.num_changed, applied.num_elsewhere) == (2, 0, 1)


def test_the_splits_of_the_source_stay_with_their_photos() -> None:
    photos, digests = make(FOUR)
    split = PhotoSet(**{**vars(photos), "given_splits": ("train", "test", "train", "test")})
    applied = apply_decisions(split, digests, decide("a cat/1.jpg remove"))
    assert applied.photos.given_splits == ("test", "train", "test")


@pytest.mark.parametrize("name", ["decisions.csv", "fixed.json"])
def test_files_of_tellapart_beside_the_classes_are_not_reported(plant: Callable[..., Path], name: str) -> None:
    root = plant("cat/1.jpg", "dog/1.jpg")
    text = {
        "decisions.csv": "content,path,class,decision,new_class\n",
        "fixed.json": '{"kind": "tellapart cleaned copy"}',
    }
    (root / name).write_text(text[name])
    assert open_labelled(root, check=False).skipped == ()


def test_a_table_of_somebody_else_is_reported_as_ever(plant: Callable[..., Path]) -> None:
    root = plant("cat/1.jpg", "dog/1.jpg")
    (root / "decisions.csv").write_text("path,label\n")
    (root / "fixed.json").write_text("{}")
    assert sorted(Path(one.path).name for one in open_labelled(root, check=False).skipped) == [
        "decisions.csv",
        "fixed.json",
    ]


def test_decisions_in_a_zip_are_not_reported_either(pack: Callable[..., Path], tmp_path: Path) -> None:
    path = pack("cat/1.jpg", "dog/1.jpg")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("decisions.csv", "content,path,class,decision,new_class\n")
    assert open_labelled(path, check=False).skipped == ()


def test_decisions_beside_each_of_several_folders_are_applied(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for number, folder in enumerate(folders):
        for name in ("cat", "dog"):
            (folder / name).mkdir(parents=True)
            for row in (1, 2):
                (folder / name / f"{row}.jpg").write_bytes(b"\xff\xd8\xff" + f"{number}{name}{row}".encode())
        content = digest_photo((folder / "cat/1.jpg").read_bytes())
        verdict = ("move,dog", "remove,")[number]
        (folder / "decisions.csv").write_text(f"content,path,class,decision,new_class\n{content},,cat,{verdict}\n")
    opened = open_labelled(folders)
    decided = apply_own_decisions(opened, Watcher())

    assert opened.counts() == {"cat": 4, "dog": 4}
    assert decided.photos.counts() == {"cat": 2, "dog": 5}
    assert [label for _, label in decided.confirmed] == ["dog"]


def test_decisions_that_are_not_utf8_are_read_and_said(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_bytes(f"content,path,class,decision\n{digest('a')},,caf\u00e9,keep\n".encode("cp1252"))
    applied = apply_decisions(*make({"caf\u00e9/1.jpg": "a", "dog/2.jpg": "b"}), read_decisions(path))

    assert applied.num_kept == 1
    assert "d.csv' is not UTF-8 text and was read as Windows-1252" in applied.notes()[0]
