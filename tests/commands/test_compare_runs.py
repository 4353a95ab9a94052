from pathlib import Path

import pytest

import tellapart
from tellapart.commands.compare_runs import compare_runs
from tellapart.demo.drawing import write_demo_folder
from tellapart.errors import BundleError, DatasetError
from tellapart.live.run_list import learned_photos, list_runs, read_summary
from tellapart.runs.run_tables import read_rows


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path, cache_dir: str) -> Path:
    """Two runs of the same photos, and one of others; not to be changed."""
    root = tmp_path_factory.mktemp("three")
    photos = write_demo_folder(root / "photos", 12, seed=1)
    others = write_demo_folder(root / "others", 5, seed=2)
    eyes = {"first": {"backbone": str(tiny_backbone)}, "second": {"backbone": str(tiny_backbone), "seed": 3}}
    for name, settings in eyes.items():
        tellapart.train(photos, root / "runs" / name, cache_dir=cache_dir, **settings)  # type: ignore[arg-type]
    tellapart.train(others, root / "runs" / "third", cache_dir=cache_dir, backbone=str(tiny_backbone))
    return root / "runs"


def test_two_runs_are_compared_on_all_photos_that_both_were_tested_on(runs_dir: Path) -> None:
    found = compare_runs(runs_dir / "first", runs_dir / "second")
    tables = [read_rows(runs_dir / name / "predictions.csv") for name in ("first", "second")]
    right = [{row["content"]: row["class"] == row["predicted_class"] for row in table} for table in tables]
    differing = {content for content in right[0] if right[0][content] != right[1][content]}
    assert found.num_photos == len(right[0])
    assert {photo.content for photo in found.differing} == differing
    assert found.first_accuracy == pytest.approx(sum(right[0].values()) / len(right[0]))
    assert found.test.num_only_first + found.test.num_only_second <= len(differing)


def test_a_run_is_as_good_as_itself(runs_dir: Path) -> None:
    found = compare_runs(runs_dir / "first", runs_dir / "first")
    assert found.differing == ()
    assert found.test.p_value == 1.0


def test_runs_of_other_photos_are_not_compared(runs_dir: Path) -> None:
    with pytest.raises(DatasetError, match="not tested on the same photos"):
        compare_runs(runs_dir / "first", runs_dir / "third")


def test_a_run_without_answers_is_refused(runs_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="predictions"):
        compare_runs(runs_dir / "first", tmp_path)


def test_runs_are_listed_with_what_they_say_of_themselves(runs_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    runs = list_runs([runs_dir, tmp_path, tmp_path / "missing"])
    assert {run.name for run in runs} == {"first", "second", "third"}
    assert all(run.recipe == "transfer" and run.verdict and run.accuracy is not None for run in runs)
    assert sorted((run.made_at for run in runs), reverse=True) == [run.made_at for run in runs]


def test_damaged_runs_are_not_listed(runs_dir: Path, tmp_path: Path) -> None:
    for name in ("run.json", "metrics.json", "bundle.json"):
        folder = tmp_path / f"no-{name}"
        folder.mkdir()
        for file in ("run.json", "metrics.json", "bundle.json"):
            content = (runs_dir / "first" / file).read_bytes()
            (folder / file).write_bytes(content if file != name else b"{")
    (tmp_path / "no-bundle.json" / "bundle.json").unlink()
    assert list_runs([tmp_path]) == []


def test_the_photos_of_a_run_are_known_by_content_and_class(runs_dir: Path) -> None:
    assert learned_photos(runs_dir / "first") == learned_photos(runs_dir / "second")
    assert learned_photos(runs_dir / "first") != learned_photos(runs_dir / "third")
    assert learned_photos(runs_dir / "first").total() == read_summary(runs_dir / "first").num_photos
