"""Deep photos that do not say how many bits they fill are seen as their collection has it, by every door."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tellapart
from tellapart.backbones.embedder import Embedder, start_backbone
from tellapart.backbones.photo_pass import Eye, look_at
from tellapart.config import ImageLimits, SourceConfig, TransferConfig
from tellapart.images.depth import SampleDepths
from tellapart.images.preprocess import PreprocessSpec, load_image
from tellapart.photos.files import DiskFile
from tellapart.photos.sources import list_photos, open_photos
from tellapart.predict.bundle import read_bundle
from tellapart.watcher import Watcher

SIDE = 24


def write_deep(path: Path, brightest: int, seed: int) -> None:
    """A photo of noise around the middle of 12 bits, with a tenth as bright as that."""
    values = np.random.default_rng(seed).integers(1000, 2000, (SIDE, SIDE)).astype(np.uint16)
    values[: SIDE // 10] = brightest
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


@pytest.fixture
def embedder(tiny_backbone: Path) -> Embedder:
    return start_backbone(str(tiny_backbone), None, Watcher()).embedder


@pytest.fixture
def photos_dir(tmp_path: Path) -> Path:
    """Two deep photos, one a little brighter, a copy of it, one that is damaged, and an ordinary photo."""
    folder = tmp_path / "photos"
    write_deep(folder / "a.tif", 4080, 1)
    write_deep(folder / "b.png", 4200, 2)
    shutil.copy(folder / "b.png", folder / "copy.png")
    (folder / "cut.png").write_bytes((folder / "b.png").read_bytes()[:200])
    Image.new("RGB", (SIDE, SIDE), (10, 90, 200)).save(folder / "plain.jpg")
    return folder


def test_all_take_the_depth_that_holds_them_together(photos_dir: Path, embedder: Embedder, tmp_path: Path) -> None:
    seen = look_at(list_photos([photos_dir]), [Eye(embedder)], cache_dir=str(tmp_path / "cache"))

    assert [Path(path).name for path in seen.photos.paths] == ["a.tif", "b.png", "copy.png", "plain.jpg"]
    assert [Path(item.path).name for item in seen.photos.skipped] == ["cut.png"]
    assert seen.depths == SampleDepths(int16=14)
    spec = PreprocessSpec(embedder.preprocess.image_size, depths=seen.depths)
    images = np.stack([load_image(seen.photos.read(row), spec, ImageLimits()) for row in range(4)])
    assert seen.embeddings is not None
    np.testing.assert_allclose(seen.embeddings, embedder.embed(images), rtol=1e-4, atol=1e-5)


def test_another_photo_changes_the_depth_of_all(photos_dir: Path, embedder: Embedder, tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    (photos_dir / "b.png").unlink()
    (photos_dir / "copy.png").unlink()
    alone = look_at(list_photos([photos_dir]), [Eye(embedder)], cache_dir=cache)
    write_deep(photos_dir / "c.tif", 60_000, 3)
    both = look_at(list_photos([photos_dir]), [Eye(embedder)], cache_dir=cache)

    assert (alone.depths, both.depths) == (SampleDepths(int16=12), SampleDepths(int16=16))
    assert alone.facts[0].brightness == pytest.approx(16 * both.facts[0].brightness, rel=0.1)


def test_what_was_seen_is_found_again(
    photos_dir: Path, embedder: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = str(tmp_path / "cache")
    first = look_at(list_photos([photos_dir]), [Eye(embedder)], cache_dir=cache)
    monkeypatch.setattr("tellapart.images.gate.read_samples", lambda *arguments: pytest.fail("it was decoded"))
    (photos_dir / "cut.png").unlink()
    again = look_at(list_photos([photos_dir]), [Eye(embedder)], cache_dir=cache)

    assert (again.num_found, again.depths) == (4, first.depths)
    np.testing.assert_array_equal(again.embeddings, first.embeddings)


def test_deep_photos_are_opened_twice_and_others_once(
    photos_dir: Path, embedder: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: Counter[str] = Counter()
    read = DiskFile.read

    def count(place: DiskFile, max_bytes: int) -> bytes:
        opened[Path(place.path).name] += 1
        return read(place, max_bytes)

    monkeypatch.setattr(DiskFile, "read", count)
    look_at(list_photos([photos_dir]), [Eye(embedder)], cache_dir=str(tmp_path / "cache"))

    # Threads read the photos: of two copies either may come first, and is the one that is opened again.
    copies = opened.pop("b.png"), opened.pop("copy.png")
    assert sorted(copies) == [1, 2]
    assert opened == {"a.tif": 2, "cut.png": 1, "plain.jpg": 1}


def test_arrays_have_the_depth_of_the_collection(tmp_path: Path) -> None:
    write_deep(tmp_path / "dark" / "a.tif", 4080, 1)
    write_deep(tmp_path / "light" / "b.tif", 20_000, 2)
    (tmp_path / "light" / "0.png").write_bytes((tmp_path / "light" / "b.tif").read_bytes()[:300])

    with pytest.warns(UserWarning, match=r"1 of 3 photos .* cannot be used"):
        images, labels = open_photos(tmp_path).arrays((SIDE, SIDE))

    stored = [np.asarray(Image.open(tmp_path / name)) >> 8 for name in ("dark/a.tif", "light/b.tif")]
    np.testing.assert_array_equal(images[:, :, :, 0], stored)
    assert labels.tolist() == [0, 1]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory, tiny_backbone: Path) -> Path:
    """A training on photos of 12 bits in 16."""
    folder = tmp_path_factory.mktemp("deep")
    for number in range(12):
        write_deep(folder / "photos" / "grey" / f"{number}.tif", 4000, number)
        write_deep(folder / "photos" / "bright" / f"{number}.png", 3000, 100 + number)
        values = np.asarray(Image.open(folder / "photos" / "bright" / f"{number}.png")) * np.uint16(2)
        Image.fromarray(values).save(folder / "photos" / "bright" / f"{number}.png")
    config = TransferConfig(backbone=str(tiny_backbone), folds=3)
    tellapart.train(
        folder / "photos", folder / "run", config=config, source=SourceConfig(cache_dir=str(folder / "cache"))
    )
    return folder / "run"


def test_a_bundle_keeps_the_depth_of_its_training(run_dir: Path) -> None:
    assert read_bundle(run_dir).preprocess.depths == SampleDepths(int16=14)


def test_prediction_uses_the_depth_of_the_bundle(run_dir: Path, tmp_path: Path) -> None:
    write_deep(tmp_path / "dark.tif", 1999, 7)
    model = tellapart.load(run_dir)

    image = model.preprocess.load(tmp_path / "dark.tif")

    small = PreprocessSpec(model.preprocess.image_size, depths=SampleDepths(int16=14))
    np.testing.assert_array_equal(image, small.load(tmp_path / "dark.tif"))
    assert image.max() < 40  # by itself it would be of 12 bits, and four times as bright
