import shutil
from pathlib import Path

import pytest

from tellapart.checkup.check_up import check
from tellapart.demo.drawing import write_demo_folder
from tellapart.measure.scores import Step
from tellapart.runs.assessment import assess, describe_difference

CUT = {"cut.jpg": b"\xff\xd8\xff\xe0 no more", "CUT.PNG": b"\x89PNG\r\n\x1a\n", "empty.heic": b""}
NO_PHOTOS = {"notes.txt": b"read me", "Thumbs.db": b"\xd0\xcf\x11\xe0", "table.csv": b"a,b\n", "film.mp4": b"moov"}


@pytest.fixture(scope="module")
def drawn_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 drawn photos of each of two classes; not to be changed."""
    return write_demo_folder(tmp_path_factory.mktemp("drawn") / "photos", 8, seed=3)


def skipped_steps(drawn_dir: Path, others: dict[str, bytes], backbone: Path, cache_dir: str, to: Path) -> list[Step]:
    """The steps about files that were left out, where these lie among the photos of a class."""
    shutil.copytree(drawn_dir, to)
    for name, data in others.items():
        (to / "cat" / name).write_bytes(data)
    found = assess(check(to, backbone=str(backbone), cache_dir=cache_dir), None)
    return [step for step in found.steps if step.kind == "skipped"]


@pytest.mark.parametrize("name", CUT)
def test_a_photo_that_cannot_be_read_is_lost(
    drawn_dir: Path, tiny_backbone: Path, cache_dir: str, tmp_path: Path, name: str
) -> None:
    (step,) = skipped_steps(drawn_dir, {name: CUT[name]}, tiny_backbone, cache_dir, tmp_path / "photos")
    assert step.title == "1 photo could not be used"


@pytest.mark.parametrize("name", NO_PHOTOS)
def test_a_file_that_is_no_photo_is_no_loss(
    drawn_dir: Path, tiny_backbone: Path, cache_dir: str, tmp_path: Path, name: str
) -> None:
    assert skipped_steps(drawn_dir, {name: NO_PHOTOS[name]}, tiny_backbone, cache_dir, tmp_path / "photos") == []


def test_only_photos_are_counted_among_what_is_left_out(
    drawn_dir: Path, tiny_backbone: Path, cache_dir: str, tmp_path: Path
) -> None:
    (step,) = skipped_steps(drawn_dir, CUT | NO_PHOTOS, tiny_backbone, cache_dir, tmp_path / "photos")
    assert step.title == "3 photos could not be used"


@pytest.mark.parametrize("difference", [0.0, 1e-6, 1e-4])
def test_rounding_of_an_export_is_not_spoken_of(difference: float) -> None:
    assert describe_difference(difference) is None


def test_a_larger_difference_of_an_export_is_told() -> None:
    assert "differs from the trained one by up to 0.0003 in a probability" in str(describe_difference(0.00031))
