"""The report of a run: there at the end, made anew when it is gone, and every number in it from the tables."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tellapart.config import SourceConfig, TransferConfig
from tellapart.errors import BundleError, DatasetError
from tellapart.photos.demo import write_demo_folder
from tellapart.workflow.job import Run
from tellapart.workflow.report import report_again
from tellapart.workflow.train import train


@pytest.fixture(scope="module")
def photos_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn photos, with one copied into its own class; not to be changed."""
    folder = write_demo_folder(tmp_path_factory.mktemp("photos") / "photos", 12, seed=1)
    first = sorted(path for path in folder.iterdir() if path.is_dir())[0]
    photo = sorted(first.iterdir())[0]
    shutil.copy(photo, photo.with_name("again" + photo.suffix))
    return folder


@pytest.fixture(scope="module")
def headed(
    tmp_path_factory: pytest.TempPathFactory, photos_dir: Path, tiny_backbone: Path, source_config: SourceConfig
) -> Run:
    """A finished run of `transfer`; not to be changed."""
    config = TransferConfig(backbone=str(tiny_backbone), folds=3)
    return train(photos_dir, tmp_path_factory.mktemp("runs") / "headed", config, source=source_config)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_report_holds_the_photos_themselves_and_asks_no_other_place(headed: Run) -> None:
    page = (headed.run_dir / "report.html").read_text()
    assert "data:image/jpeg;base64," in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_accuracy_and_losses_follow_from_the_predictions(headed: Run) -> None:
    rows = table(headed.run_dir / "predictions.csv")
    metrics = json.loads((headed.run_dir / "metrics.json").read_bytes())
    names = metrics["class_names"]
    probabilities = np.array([[float(row[f"p_{name}"]) for name in names] for row in rows])
    labels = np.array([names.index(row["class"]) for row in rows])
    assert [row["predicted_class"] for row in rows] == [names[best] for best in probabilities.argmax(axis=1)]
    assert metrics["validation_accuracy"] == pytest.approx((probabilities.argmax(axis=1) == labels).mean())
    truth = probabilities[np.arange(len(labels)), labels]
    assert metrics["validation_log_loss"] == pytest.approx(-np.log(truth).mean(), rel=1e-5)
    brier = ((probabilities - np.eye(len(names))[labels]) ** 2).sum(axis=1).mean()
    assert metrics["validation_brier"] == pytest.approx(brier, rel=1e-5)
    assert metrics["num_validation"] == len(rows)
    assert metrics["num_repeats"] == 3


def test_copies_share_content_and_group_in_the_split(headed: Run) -> None:
    rows = table(headed.run_dir / "split.csv")
    (copy,) = [row for row in rows if Path(row["path"]).stem == "again"]
    same = [row for row in rows if row["content"] == copy["content"]]
    assert len(same) == 2
    assert len({row["group"] for row in same}) == 1


def test_the_same_page_is_made_anew_from_the_tables_and_the_photos(headed: Run, tmp_path: Path, cache_dir: str) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(headed.run_dir, run_dir)
    (run_dir / "report.html").unlink()
    assert report_again(run_dir, cache_dir) == run_dir / "report.html"
    assert (run_dir / "report.html").read_bytes() == (headed.run_dir / "report.html").read_bytes()
    assert (run_dir / "check.json").read_bytes() == (headed.run_dir / "check.json").read_bytes()


def test_a_page_that_is_there_stays_as_it_is(headed: Run, tmp_path: Path, cache_dir: str) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(headed.run_dir, run_dir)
    (run_dir / "report.html").write_text("mine")
    assert report_again(run_dir, cache_dir).read_text() == "mine"


def test_the_page_of_a_network_is_made_anew_as_well(trained: Run, tmp_path: Path, cache_dir: str) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(trained.run_dir, run_dir)
    (run_dir / "report.html").unlink()
    report_again(run_dir, cache_dir)
    assert (run_dir / "report.html").read_bytes() == (trained.run_dir / "report.html").read_bytes()


def test_photos_that_are_gone_are_named(
    photos_dir: Path, tiny_backbone: Path, source_config: SourceConfig, cache_dir: str, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(photos_dir, photos)
    config = TransferConfig(backbone=str(tiny_backbone), folds=3)
    run = train(photos, tmp_path / "run", config, source=source_config)
    (run.run_dir / "report.html").unlink()
    victim = next(path for path in sorted(photos.rglob("*")) if path.is_file())
    victim.unlink()
    with pytest.raises(DatasetError, match=f"no longer in .*{victim.name}.*Put them back"):
        report_again(run.run_dir, cache_dir)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="holds no run"):
        report_again(tmp_path)
