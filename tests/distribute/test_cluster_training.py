"""What `tellapart train --engine ray` makes of embeddings, whoever has made them; the cluster has tests of its own."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow")

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

import tellapart
from tellapart.backbones.embedder import start_backbone
from tellapart.distribute import cluster_training
from tellapart.distribute.cluster_training import train_on_cluster
from tellapart.distribute.photo_job import JobSummary
from tellapart.distribute.uri_list import open_uri_list
from tellapart.errors import BundleError, ConfigError, DatasetError, ImageError, OutputError
from tellapart.images.gate import decode_photo
from tellapart.images.preprocess import resize_image
from tellapart.photos.loading import digest_photo
from tellapart.runs.run_folder import read_run_file
from tellapart.watcher import Watcher

COLOURS = {"blue": (40, 60, 200), "green": (60, 180, 60), "red": (210, 60, 50)}


def write_photos(folder: Path, counts: dict[str, int], seed: int = 0) -> list[tuple[str, str]]:
    """Noisy photos of one colour a class; path and label of each."""
    generator = np.random.default_rng(seed)
    folder.mkdir(exist_ok=True)
    rows = []
    for name, number in counts.items():
        for count in range(number):
            pixels = np.array(COLOURS[name]) + generator.normal(0, 45, (24, 28, 3)) + generator.normal(0, 25, 3)
            path = folder / f"{name}-{count}.png"
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
            rows.append((str(path), name))
    generator.shuffle(rows)
    return rows


def write_list(path: Path, rows: Sequence[tuple[str, str]]) -> str:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "label"), *rows])
    return str(path)


@pytest.fixture
def embedded_here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lists are embedded by this process, into two parts; gives the addresses that were."""
    asked: list[str] = []

    def embed(source: str, folder: Path, *, backbone: str, cache_dir: str, uri_column: None, **more: Any) -> JobSummary:
        embedder, uris = start_backbone(backbone, cache_dir, Watcher()).embedder, open_uri_list(source, uri_column)
        rows = []
        for path in [path for table in uris.read() for path in table.column("path").to_pylist()]:
            asked.append(path)
            try:
                data = Path(path).read_bytes()
                image = resize_image(decode_photo(data).image, embedder.preprocess)
            except (OSError, ImageError) as exc:
                rows.append({"path": path, "content": None, "embedding": None, "reason": str(exc)})
                continue
            vector = embedder.embed(image[np.newaxis])[0]
            rows.append({"path": path, "content": digest_photo(data), "embedding": vector.tolist(), "reason": None})
        schema = pa.schema(
            [("path", pa.string()), ("content", pa.string()), ("embedding", pa.list_(pa.float32())),
             ("reason", pa.string())]
        )  # fmt: skip
        folder.mkdir(exist_ok=True)
        files = [folder / f"part-{number:06d}.parquet" for number in range(2)]
        for number, file in enumerate(files):
            pq.write_table(pa.Table.from_pylist(rows[number::2], schema), file)
        return JobSummary()

    monkeypatch.setattr(cluster_training, "embed_list", embed)
    return asked


@pytest.fixture
def train_list(tmp_path: Path, tiny_backbone: Path, cache_dir: str, embedded_here: list[str]) -> Callable[..., Any]:
    """A function that trains on the rows of a list; further arguments are settings."""

    def train(rows: Sequence[tuple[str, str]], name: str = "run", **settings: Any) -> Any:
        given = {"backbone": str(tiny_backbone), "cache_dir": cache_dir, **settings}
        return train_on_cluster(write_list(tmp_path / "list.csv", rows), tmp_path / name, **given)

    return train


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def test_a_short_list_gives_the_run_that_train_gives(
    tmp_path: Path, train_list: Callable[..., Any], tiny_backbone: Path, cache_dir: str
) -> None:
    rows = write_photos(tmp_path / "photos", {"blue": 30, "green": 20, "red": 25})
    run = train_list(rows)
    usual = tellapart.train(
        str(tmp_path / "list.csv"), tmp_path / "usual", backbone=str(tiny_backbone), cache_dir=cache_dir
    )
    first, second = (json.loads((one.run_dir / "metrics.json").read_bytes()) for one in (run, usual))
    assert first["head"] == second["head"]
    assert first["validation_log_loss"] == second["validation_log_loss"]
    answers = [next(iter(tellapart.load(one.run_dir).predict(rows[3][0]))).probabilities for one in (run, usual)]
    np.testing.assert_array_equal(*answers)
    assert first["sample"]["num_streamed"] == 0


def test_a_long_list_is_tested_on_photos_of_the_sample_that_taught_nothing(
    tmp_path: Path, train_list: Callable[..., Any]
) -> None:
    rows = write_photos(tmp_path / "photos", {"blue": 150, "green": 120, "red": 130})
    notes: list[str] = []
    run = train_list(rows, sample=100, validation_fraction=0.2, watcher=Watcher(on_note=notes.append))
    metrics = json.loads((run.run_dir / "metrics.json").read_bytes())
    sample = metrics["sample"]
    assert (sample["num_listed"], sample["num_usable"]) == (400, 400)
    assert sample["num_sampled"] + sample["num_streamed"] == 400
    assert 100 <= sample["num_sampled"] <= 170
    assert metrics["num_train"] + metrics["num_validation"] == sample["num_sampled"]
    assert metrics["learning_curve"] is None
    assert run.validation.accuracy > 0.9
    assert any(f"a sample of {sample['num_sampled']} of 400 photos" in note for note in notes)
    assert "photos that LDA learned from" in (run.run_dir / "report.html").read_text()


def test_copies_of_the_sample_teach_nothing(
    tmp_path: Path, train_list: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = write_photos(tmp_path / "photos", {"blue": 100, "red": 100})
    copies = []
    for path, name in rows:
        copy = Path(path).with_name(f"copy of {Path(path).name}")
        copy.write_bytes(Path(path).read_bytes())
        copies.append((str(copy), name))
    streamed: list[Any] = []
    fit = cluster_training.fit_lda_stream

    def watched(batches: Any, *args: Any, **settings: Any) -> Any:
        streamed.extend(embeddings for embeddings, _labels in batches())
        return fit(batches, *args, **settings)

    monkeypatch.setattr(cluster_training, "fit_lda_stream", watched)
    run = train_list([*rows, *copies], sample=100)
    content = {row["content"] for row in read_csv(run.run_dir / "split.csv")}
    metrics = json.loads((run.run_dir / "metrics.json").read_bytes())
    assert metrics["sample"]["num_sampled"] == 2 * len(content)
    assert sum(map(len, streamed)) == 400 - 2 * len(content)


def test_a_class_that_is_in_the_sample_alone_is_learned(tmp_path: Path, train_list: Callable[..., Any]) -> None:
    rows = write_photos(tmp_path / "photos", {"blue": 200, "green": 8, "red": 200})
    run = train_list(rows, sample=100, validation_fraction=0.25)
    model = tellapart.load(run.run_dir)
    green = [path for path, name in rows if name == "green"]
    assert sum(one.nearest_class == "green" for one in model.predict(green)) >= 5


def test_photos_without_a_label_or_that_cannot_be_read_are_named_and_counted(
    tmp_path: Path, train_list: Callable[..., Any]
) -> None:
    rows = write_photos(tmp_path / "photos", {"blue": 12, "red": 12})
    (tmp_path / "photos/broken.png").write_bytes(b"no photo")
    bad = [(str(tmp_path / "photos/broken.png"), "red"), (str(tmp_path / "gone.png"), "blue"), (rows[0][0] + "x", "")]
    run = train_list([*rows, *bad])
    skipped = {Path(row["path"]).name for row in read_csv(run.run_dir / "skipped.csv")}
    assert skipped == {Path(path).name for path, _name in bad}
    assert json.loads((run.run_dir / "metrics.json").read_bytes())["num_skipped"] == 3


def test_a_photo_that_changes_after_it_was_embedded_is_left_out(
    tmp_path: Path, train_list: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = write_photos(tmp_path / "photos", {"blue": 12, "red": 12})
    read = cluster_training.read_parts

    def change(*args: Any) -> Any:
        Path(rows[0][0]).write_bytes(Path(rows[1][0]).read_bytes())
        return read(*args)

    monkeypatch.setattr(cluster_training, "read_parts", change)
    skipped = read_csv(train_list(rows).run_dir / "skipped.csv")
    assert [row["reason"] for row in skipped] == ["it has changed since it was embedded"]


@pytest.mark.parametrize(
    ("counts", "words"), [({"red": 5}, "too few classes"), ({"blue": 6, "red": 1}, "class 'red' in .* has 1 photo")]
)
def test_too_few_photos_are_refused_before_any_is_embedded(
    counts: dict[str, int], words: str, tmp_path: Path, train_list: Callable[..., Any], embedded_here: list[str]
) -> None:
    with pytest.raises(DatasetError, match=words):
        train_list(write_photos(tmp_path / "photos", counts))
    assert embedded_here == []
    assert not (tmp_path / "run").exists()


def test_a_list_without_the_column_of_labels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("path,kind\na.jpg,x\n")
    with pytest.raises(DatasetError, match=r"has no column 'label'.*`label_column`"):
        train_on_cluster(str(tmp_path / "list.csv"), tmp_path / "run")


def test_a_list_of_which_no_photo_can_be_read_is_refused(tmp_path: Path, train_list: Callable[..., Any]) -> None:
    rows = [(str(tmp_path / f"{number}.jpg"), "ab"[number % 2]) for number in range(6)]
    with pytest.raises(DatasetError, match="none of the photos of .* can be read"):
        train_list(rows)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"recipe": "scratch"}, "`recipe='scratch'` trains on one machine"),
        ({"eyes": "best"}, "`eyes='best'` tries networks on one machine"),
        ({"per_class": 5}, "`per_class` has no effect"),
        ({"label_pattern": "(a)"}, "`label_pattern` has no effect"),
        ({"sample": 3}, "`sample` 3"),
    ],
)
def test_settings_that_have_no_effect_are_refused(settings: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        train_on_cluster(str(tmp_path / "list.csv"), tmp_path / "run", **settings)


def test_a_run_is_resumed_with_its_own_settings_and_not_written_over(
    tmp_path: Path, train_list: Callable[..., Any], tiny_backbone: Path
) -> None:
    rows = write_photos(tmp_path / "photos", {"blue": 12, "red": 12})
    run = train_list(rows, folds=3)
    with pytest.raises(OutputError, match="Give `resume=True`"):
        train_list(rows)
    again = train_list(rows, resume=True)
    config: Any = read_run_file(again.run_dir).config
    assert (config.folds, config.backbone) == (3, str(tiny_backbone))
    with pytest.raises(ConfigError, match="`folds` 4"):
        train_list(rows, resume=True, folds=4)
    with pytest.raises(DatasetError, match="are not those that"):
        train_list(rows[1:], resume=True)
    assert run.run_dir == again.run_dir


def test_there_is_nothing_to_resume_in_a_new_folder(train_list: Callable[..., Any]) -> None:
    with pytest.raises(BundleError, match="holds no run"):
        train_list([("a", "x"), ("b", "y")], resume=True)
