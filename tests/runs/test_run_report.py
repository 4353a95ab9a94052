"""The report of a run: there at the end, made anew when it is gone, and every number in it from the tables."""

import csv
import hashlib
import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from tellapart.config import ClassicConfig, SourceConfig, TransferConfig
from tellapart.demo.drawing import write_demo_folder
from tellapart.errors import BundleError, DatasetError
from tellapart.measure.number_words import percent
from tellapart.runs.job import Run
from tellapart.runs.run_report import rebuild_report
from tellapart.runs.train import train
from tellapart.translation import use_language
from tellapart.watcher import Watcher


@pytest.fixture(scope="module")
def photos_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn photos, with one copied into its own class, one cut off and a note; not to be changed."""
    folder = write_demo_folder(tmp_path_factory.mktemp("photos") / "photos", 12, seed=1)
    first = sorted(path for path in folder.iterdir() if path.is_dir())[0]
    photo = sorted(first.iterdir())[0]
    shutil.copy(photo, photo.with_name("again" + photo.suffix))
    (first / "cut.jpg").write_bytes(photo.read_bytes()[:-100])
    (first / "notes.txt").write_text("mine")
    return folder


@pytest.fixture(scope="module")
def headed(
    tmp_path_factory: pytest.TempPathFactory, photos_dir: Path, tiny_backbone: Path, source_config: SourceConfig
) -> Run:
    """A finished run of `transfer`; not to be changed."""
    config = TransferConfig(backbone=str(tiny_backbone), folds=3)
    return train(photos_dir, tmp_path_factory.mktemp("runs") / "headed", config=config, source=source_config)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
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
    assert rebuild_report(run_dir, cache_dir=cache_dir) == run_dir / "report.html"
    assert (run_dir / "report.html").read_bytes() == (headed.run_dir / "report.html").read_bytes()
    assert (run_dir / "check.json").read_bytes() == (headed.run_dir / "check.json").read_bytes()


def test_a_page_that_is_made_anew_speaks_one_language(headed: Run, tmp_path: Path, cache_dir: str) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(headed.run_dir, run_dir)
    (run_dir / "report.html").unlink()
    with use_language("zh"):
        page = rebuild_report(run_dir, cache_dir=cache_dir).read_text(encoding="utf-8")
    skipped = table(run_dir / "skipped.csv")
    english = [row["reason"] for row in skipped]
    assert len(english) == 2
    assert [reason for reason in english if reason in page] == []
    assert all(Path(row["path"]).name in page for row in skipped)


def test_a_page_that_is_there_stays_as_it_is(headed: Run, tmp_path: Path, cache_dir: str) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(headed.run_dir, run_dir)
    (run_dir / "report.html").write_text("mine")
    assert rebuild_report(run_dir, cache_dir=cache_dir).read_text() == "mine"


def test_the_page_of_a_network_is_made_anew_as_well(trained: Run, tmp_path: Path, cache_dir: str) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(trained.run_dir, run_dir)
    (run_dir / "report.html").unlink()
    rebuild_report(run_dir, cache_dir=cache_dir)
    assert (run_dir / "report.html").read_bytes() == (trained.run_dir / "report.html").read_bytes()


@pytest.fixture(scope="module")
def of_two_folders(
    tmp_path_factory: pytest.TempPathFactory, photos_dir: Path, tiny_backbone: Path, source_config: SourceConfig
) -> Run:
    """A finished run on a list of two folders, one of them with a comma in its name; not to be changed."""
    folder = tmp_path_factory.mktemp("two")
    more = write_demo_folder(folder / "more, of them", 4, seed=5)
    config = TransferConfig(backbone=str(tiny_backbone), folds=3)
    return train([photos_dir, more], folder / "run", config=config, source=source_config)


def test_a_run_on_several_folders_lists_them(of_two_folders: Run, photos_dir: Path) -> None:
    stored = json.loads((of_two_folders.run_dir / "run.json").read_bytes())
    assert stored["source"] == [str(photos_dir), str(of_two_folders.run_dir.with_name("more, of them"))]


def test_a_run_on_one_folder_names_it(headed: Run, photos_dir: Path) -> None:
    assert json.loads((headed.run_dir / "run.json").read_bytes())["source"] == str(photos_dir)


def test_the_page_of_a_run_on_several_folders_is_made_anew(of_two_folders: Run, tmp_path: Path, cache_dir: str) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(of_two_folders.run_dir, run_dir)
    (run_dir / "report.html").unlink()
    rebuild_report(run_dir, cache_dir=cache_dir)
    assert (run_dir / "report.html").read_bytes() == (of_two_folders.run_dir / "report.html").read_bytes()


def test_a_run_is_taken_as_train_gives_it_and_as_a_path(headed: Run) -> None:
    assert rebuild_report(headed) == rebuild_report(str(headed.run_dir)) == headed.run_dir / "report.html"


def test_a_photo_that_is_gone_is_named_and_grey(
    photos_dir: Path, tiny_backbone: Path, source_config: SourceConfig, cache_dir: str, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(photos_dir, photos)
    config = TransferConfig(backbone=str(tiny_backbone), folds=3)
    run = train(photos, tmp_path / "run", config=config, source=source_config)
    (run.run_dir / "report.html").unlink()
    victim = next(path for path in sorted(photos.rglob("*")) if path.is_file())
    victim.unlink()
    notes: list[str] = []
    rebuild_report(run.run_dir, cache_dir=cache_dir, watcher=Watcher(on_note=notes.append))
    assert re.search(rf"^1 of 25 photos .* no longer in .*{victim.name}.* in grey", notes[-1])
    metrics = json.loads((run.run_dir / "metrics.json").read_bytes())
    assert (
        percent(metrics["validation_accuracy"], metrics["num_validation"]) in (run.run_dir / "report.html").read_text()
    )


def test_a_report_of_photos_that_are_all_gone_is_refused(
    photos_dir: Path, headed: Run, cache_dir: str, tmp_path: Path
) -> None:
    shutil.copytree(headed.run_dir, tmp_path / "run")
    (tmp_path / "run" / "report.html").unlink()
    stored = json.loads((tmp_path / "run" / "run.json").read_bytes())
    other = write_demo_folder(tmp_path / "other", 3, seed=9)
    (tmp_path / "run" / "run.json").write_text(json.dumps(stored | {"source": str(other)}))
    with pytest.raises(DatasetError, match="none of the 25 photos .* Say where they are now with `photos`"):
        rebuild_report(tmp_path / "run", cache_dir=cache_dir)


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="holds no run"):
        rebuild_report(tmp_path)


def test_a_hundred_classes_of_five_have_a_report(
    tiny_backbone: Path, source_config: SourceConfig, tmp_path: Path
) -> None:
    generator = np.random.default_rng(0)
    for number in range(100):
        folder = tmp_path / "photos" / f"class {number}"
        folder.mkdir(parents=True)
        colour = generator.integers(0, 200, 3)
        for photo in range(5):
            image = np.clip(colour + generator.normal(0, 25, (40, 40, 3)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(folder / f"{photo}.png"), image)
    config = TransferConfig(backbone=str(tiny_backbone), folds=3)
    run = train(tmp_path / "photos", tmp_path / "run", config=config, source=source_config)
    page = (run.run_dir / "report.html").read_text()
    assert all(f"class {number}" in page for number in range(100))
    assert len(page) < 5_000_000


def test_two_classes_that_hold_the_same_photos_are_refused_by_a_network(
    animals_dir: Path, source_config: SourceConfig, tmp_path: Path
) -> None:
    shutil.copytree(animals_dir / "cat", tmp_path / "photos" / "cat")
    shutil.copytree(animals_dir / "cat", tmp_path / "photos" / "dog")
    config = ClassicConfig(image_size=(46, 48), epochs=1)
    with pytest.raises(
        DatasetError, match="class 'dog' in .* has no photo of its own, because each has a copy in another class"
    ):
        train(tmp_path / "photos", tmp_path / "run", config=config, source=source_config)


def test_photos_that_were_decided_on_train_as_decided(
    photos_dir: Path, tiny_backbone: Path, source_config: SourceConfig, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(photos_dir, photos)
    moved, removed = photos / "cat" / "cat.3.jpg", photos / "cat" / "cat.4.jpg"
    rows = [
        [hashlib.blake2b(path.read_bytes(), digest_size=20).hexdigest(), str(path), "cat", decision, new_class]
        for path, decision, new_class in ((moved, "move", "dog"), (removed, "remove", ""))
    ]
    lines = ["content,path,class,decision,new_class", *(",".join(row) for row in rows)]
    (photos / "decisions.csv").write_text("\n".join(lines))
    config = TransferConfig(backbone=str(tiny_backbone), folds=3)
    run = train(photos, tmp_path / "run", config=config, source=source_config)
    classes = {Path(row["path"]).name: row["class"] for row in table(run.run_dir / "split.csv")}
    assert classes[moved.name] == "dog"
    assert removed.name not in classes
    assert "removed by a decision" in (run.run_dir / "skipped.csv").read_text()
    (run.run_dir / "report.html").unlink()
    assert rebuild_report(run.run_dir, cache_dir=source_config.cache_dir).exists()
