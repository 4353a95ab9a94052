"""What `evaluate` makes of photos that a run has learnt from, in every form, without the cache."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tellapart
from tellapart.commands.evaluate import evaluation_to_json
from tellapart.demo.drawing import write_demo_folder
from tellapart.errors import BundleError, DatasetError


@pytest.fixture(scope="module")
def run_dir(animals_dir: Path, tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory, cache_dir: str) -> Path:
    """A run that has learnt from all photos of `animals_dir`; not to be changed."""
    out = tmp_path_factory.mktemp("learnt") / "run"
    return tellapart.train(animals_dir, out, backbone=str(tiny_backbone), cache_dir=cache_dir).run_dir


@pytest.fixture(scope="module")
def new_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3 drawn photos of each class that no run has seen; not to be changed."""
    return write_demo_folder(tmp_path_factory.mktemp("new") / "photos", 3, seed=77)


@pytest.fixture
def own_run(run_dir: Path, tmp_path: Path) -> Path:
    """A copy of the run that a test may change."""
    return Path(shutil.copytree(run_dir, tmp_path / "own-run"))


def with_copies(animals_dir: Path, new_dir: Path, out: Path, change: Callable[[Image.Image], Image.Image]) -> Path:
    """The new photos, and beside them changed copies of two learnt ones of each class."""
    shutil.copytree(new_dir, out)
    for folder in sorted(animals_dir.iterdir()):
        for path in sorted(folder.iterdir())[:2]:
            change(Image.open(path).convert("RGB")).save(out / folder.name / f"copy-{path.stem}.jpg", quality=80)
    return out


def test_the_training_folder_leaves_nothing_to_measure(run_dir: Path, animals_dir: Path) -> None:
    with pytest.raises(DatasetError, match="the model was trained on all 24 photos of .*that the model has not seen"):
        tellapart.evaluate(run_dir, animals_dir)


def test_new_photos_in_the_training_folder_are_measured_alone(
    run_dir: Path, animals_dir: Path, new_dir: Path, tmp_path: Path
) -> None:
    mixed = Path(shutil.copytree(animals_dir, tmp_path / "mixed"))
    for path in new_dir.rglob("*.jpg"):
        shutil.copy(path, mixed / path.parent.name / f"new-{path.name}")
    evaluation = tellapart.evaluate(run_dir, mixed)
    assert (evaluation.num_photos, evaluation.num_known, evaluation.near_copy_paths) == (6, 24, ())


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda image: image, id="re-encoded"),
        pytest.param(lambda image: image.resize((image.width * 2 // 3, image.height * 2 // 3)), id="resized"),
        pytest.param(lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), id="mirrored"),
    ],
)
def test_near_copies_of_learnt_photos_are_left_out(
    run_dir: Path, animals_dir: Path, new_dir: Path, tmp_path: Path, change: Callable[[Image.Image], Image.Image]
) -> None:
    evaluation = tellapart.evaluate(run_dir, with_copies(animals_dir, new_dir, tmp_path / "mixed", change))
    assert (evaluation.num_photos, evaluation.num_known) == (6, 4)
    assert {Path(path).name[:5] for path in evaluation.near_copy_paths} == {"copy-"}


def test_a_test_folder_is_what_is_meant(run_dir: Path, animals_dir: Path, new_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(animals_dir, tmp_path / "all/train")
    shutil.copytree(new_dir, tmp_path / "all/test")
    evaluation = tellapart.evaluate(run_dir, tmp_path / "all")
    assert (evaluation.num_photos, evaluation.num_known, evaluation.other_split_paths) == (6, 24, ())


def test_photos_outside_of_the_test_folder_are_counted_where_the_model_does_not_know_them(
    run_dir: Path, new_dir: Path, tmp_path: Path
) -> None:
    write_demo_folder(tmp_path / "all/train", 2, seed=78)
    shutil.copytree(new_dir, tmp_path / "all/test")
    evaluation = tellapart.evaluate(run_dir, tmp_path / "all")
    assert (evaluation.num_photos, evaluation.num_known, len(evaluation.other_split_paths)) == (6, 0, 4)


def test_a_test_folder_that_was_learnt_from_leaves_nothing(
    run_dir: Path, animals_dir: Path, new_dir: Path, tmp_path: Path
) -> None:
    shutil.copytree(animals_dir, tmp_path / "all/test")
    shutil.copytree(new_dir, tmp_path / "all/train")
    with pytest.raises(DatasetError, match="all 24 photos of the test split of"):
        tellapart.evaluate(run_dir, tmp_path / "all")


def test_photos_that_a_training_held_out_are_measured_and_said_to_be_such(
    trained: tellapart.Run, animals_dir: Path
) -> None:
    evaluation = tellapart.evaluate(trained.run_dir, animals_dir)
    assert trained.validation is not None
    assert evaluation.num_photos == trained.validation.num_photos
    assert "The training held out all of these photos" in evaluation.notes[0]


def test_a_run_that_was_moved_without_its_tables_still_knows_its_photos(own_run: Path, animals_dir: Path) -> None:
    (own_run / "split.csv").unlink()
    with pytest.raises(DatasetError, match="the model was trained on all 24 photos"):
        tellapart.evaluate(own_run, animals_dir)


def test_a_run_without_fingerprints_says_that_it_knows_no_near_copies(
    own_run: Path, animals_dir: Path, new_dir: Path, tmp_path: Path
) -> None:
    (own_run / "fingerprints.bin").unlink()
    mixed = with_copies(animals_dir, new_dir, tmp_path / "mixed", lambda image: image)
    evaluation = tellapart.evaluate(own_run, mixed)
    assert (evaluation.num_photos, evaluation.num_known) == (10, 0)
    assert (
        "no fingerprints of the photos it was trained on, so near-copies of them are not recognised"
        in evaluation.notes[0]
    )


def test_a_model_alone_says_that_it_cannot_tell_what_it_knows(model_dir: Path, tmp_path: Path) -> None:
    for label, colour in (("blue", (0, 0, 255)), ("red", (255, 0, 0))):
        (tmp_path / "unseen" / label).mkdir(parents=True)
        Image.fromarray(np.full((20, 30, 3), colour, np.uint8)).save(tmp_path / "unseen" / label / "0.png")
    assert "has no list of the photos" in tellapart.evaluate(model_dir, tmp_path / "unseen").notes[0]


@pytest.mark.parametrize("content", [b"", b"tellapart fingerprints 1\n\xff\xff", b"nothing of ours"])
def test_damaged_fingerprints_are_told(own_run: Path, new_dir: Path, content: bytes) -> None:
    (own_run / "fingerprints.bin").write_bytes(content)
    with pytest.raises(BundleError, match=r"fingerprints.bin' is damaged"):
        tellapart.evaluate(own_run, new_dir)


def test_the_json_counts_what_was_left_out(run_dir: Path, animals_dir: Path, new_dir: Path, tmp_path: Path) -> None:
    mixed = with_copies(animals_dir, new_dir, tmp_path / "mixed", lambda image: image)
    found = evaluation_to_json(tellapart.evaluate(run_dir, mixed))
    assert {name: found[name] for name in ("num_photos", "num_known", "num_near_copies", "num_other_splits")} == {
        "num_photos": 6,
        "num_known": 4,
        "num_near_copies": 4,
        "num_other_splits": 0,
    }


def test_photos_that_are_all_nearly_alike_are_known_by_their_content_alone(
    tiny_backbone: Path, tmp_path: Path, cache_dir: str
) -> None:
    generator = np.random.default_rng(0)
    scene = generator.integers(0, 255, (60, 80, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    for label, row in (("good", 100), ("scratched", 300)):
        for number in range(8):
            image = scene.copy()
            image[row : row + 12, 40 + 60 * number : 52 + 60 * number] = 255
            path = tmp_path / ("test" if number > 5 else "train") / label / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    learnt, new = tmp_path / "train", tmp_path / "test"
    run = tellapart.train(learnt, tmp_path / "run", backbone=str(tiny_backbone), cache_dir=cache_dir)
    evaluation = tellapart.evaluate(run.run_dir, new)
    assert (evaluation.num_photos, evaluation.num_known) == (4, 0)
    assert "look nearly the same" in evaluation.notes[0]


def test_the_page_names_the_photos_that_were_left_out_and_not_where_they_are(
    run_dir: Path, animals_dir: Path, new_dir: Path, tmp_path: Path
) -> None:
    mixed = with_copies(animals_dir, new_dir, tmp_path / "mixed", lambda image: image)
    evaluation = tellapart.evaluate(run_dir, mixed, html=tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert len(evaluation.near_copy_paths) == 4
    assert all(Path(path).name in page for path in evaluation.near_copy_paths)
    assert "4 photos not in the test" in page
    assert str(tmp_path) not in page
