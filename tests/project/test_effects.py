"""Effects can be done twice without harm, and be undone."""

from pathlib import Path

import pytest

from tellapart.project.effects import (
    Decide,
    Effect,
    Hide,
    MakeFolder,
    MovePhoto,
    RemoveFolder,
    carry_out,
    decided_rows,
    effect_from_json,
)

DIGEST = "0" * 40
MOVES = [
    MovePhoto(".tellapart/incoming/x", "cat/a.png", DIGEST),
    MovePhoto("dog/a.png", "cat/a.png", DIGEST, "burst"),
    MovePhoto("dog/a.png", ".tellapart/bin/01234567-a.png", DIGEST, None, "dog/a.png"),
]
OTHERS: list[Effect] = [
    MakeFolder("cat"),
    RemoveFolder("cat"),
    Hide("photo", DIGEST),
    Hide("class", "cat", is_hidden=False),
    Decide(DIGEST, "cat", (), (("zoo/cat/a.png", "move", "dog"),)),
]


@pytest.mark.parametrize("effect", [*MOVES, *OTHERS], ids=repr)
def test_an_effect_is_read_back(effect: Effect) -> None:
    assert effect_from_json(effect.to_json()) == effect


@pytest.mark.parametrize("effect", OTHERS, ids=repr)
def test_an_effect_that_is_undone_twice_is_itself(effect: Effect) -> None:
    assert effect.inverse().inverse() == effect


@pytest.mark.parametrize("effect", MOVES, ids=repr)
def test_a_move_can_be_carried_out_twice_and_undone(effect: MovePhoto, tmp_path: Path) -> None:
    (tmp_path / effect.source).parent.mkdir(parents=True)
    (tmp_path / effect.source).write_bytes(b"photo")
    for _time in range(2):
        carry_out(tmp_path, [effect])
        assert (tmp_path / effect.target).read_bytes() == b"photo"
        assert not (tmp_path / effect.source).exists()
    back = effect.inverse()
    carry_out(tmp_path, [back])
    assert (tmp_path / back.target).read_bytes() == b"photo"


def test_a_move_replaces_nothing(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_text(name)
    carry_out(tmp_path, [MovePhoto("a.png", "b.png", DIGEST)])
    assert [(tmp_path / name).read_text() for name in ("a.png", "b.png")] == ["a.png", "b.png"]


def test_a_folder_with_something_in_it_stays(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    (tmp_path / "cat/note.txt").write_text("mine")
    carry_out(tmp_path, [RemoveFolder("cat")])
    assert (tmp_path / "cat/note.txt").read_text() == "mine"


ROWS = {
    "none": (),
    "moved": (("p/1", "move", "dog"),),
    "kept": (("p/1", "keep", None),),
    "copy removed": (("p/2", "remove", None),),
    "copy moved": (("p/2", "move", "owl"),),
    "without a path": (("", "keep", None),),
}


@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("target", ["cat", "dog", None])
def test_rows_about_copies_never_contradict_each_other(
    rows: tuple[tuple[str, str, str | None], ...], target: str | None
) -> None:
    after = decided_rows(rows, "cat", "p/1", target)
    labels = {new_class for _path, verdict, new_class in after if verdict == "move"}
    paths = [path for path, _verdict, _new_class in after]
    assert len(labels) <= 1
    assert len(paths) == len(set(paths))
    assert ("p/1", "remove", None) in after or target is not None
    assert not any(path == "" for path in paths)
