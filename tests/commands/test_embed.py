from pathlib import Path

import numpy as np
import pytest

from tellapart.commands.embed import embed
from tellapart.config import SourceConfig
from tellapart.demo.drawing import write_demo_folder
from tellapart.errors import DatasetError


@pytest.fixture(scope="module")
def photos_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder per class with 6 drawn photos each."""
    return write_demo_folder(tmp_path_factory.mktemp("embed") / "photos", 6, seed=2)


def embed_to_arrays(source: Path, out: Path, tiny_backbone: Path, config: SourceConfig) -> dict[str, np.ndarray]:
    embed(source, out, backbone=str(tiny_backbone), cache_dir=config.cache_dir)
    with np.load(out, allow_pickle=False) as file:
        return dict(file)


def test_the_file_holds_a_vector_a_photo_with_paths_labels_and_the_backbone(
    photos_dir: Path, tiny_backbone: Path, source_config: SourceConfig, tmp_path: Path
) -> None:
    arrays = embed_to_arrays(photos_dir, tmp_path / "out.npz", tiny_backbone, source_config)
    assert arrays["embeddings"].shape == (12, 24)
    assert arrays["embeddings"].dtype == np.float32
    assert [Path(path).parent.name for path in arrays["paths"]] == ["cat"] * 6 + ["dog"] * 6
    assert arrays["labels"].tolist() == [0] * 6 + [1] * 6
    assert arrays["class_names"].tolist() == ["cat", "dog"]
    assert "tiny.onnx" in str(arrays["backbone"])


def test_photos_without_labels_have_vectors_and_no_labels(
    photos_dir: Path, tiny_backbone: Path, source_config: SourceConfig, tmp_path: Path
) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for number, path in enumerate(sorted(photos_dir.rglob("*.jpg"))):
        (flat / f"{number}.jpg").write_bytes(path.read_bytes())
    arrays = embed_to_arrays(flat, tmp_path / "out.npz", tiny_backbone, source_config)
    labelled = embed_to_arrays(photos_dir, tmp_path / "labelled.npz", tiny_backbone, source_config)
    assert "labels" not in arrays
    np.testing.assert_array_equal(arrays["embeddings"], labelled["embeddings"])


def test_copies_of_a_photo_have_the_same_vector_and_are_embedded_once(
    photos_dir: Path, tiny_backbone: Path, tmp_path: Path
) -> None:
    twice = tmp_path / "twice"
    twice.mkdir()
    first, second = sorted(photos_dir.rglob("*.jpg"))[:2]
    for name, path in (("1.jpg", first), ("2.jpg", second), ("3.jpg", first)):
        (twice / name).write_bytes(path.read_bytes())
    arrays = embed_to_arrays(
        twice, tmp_path / "out.npz", tiny_backbone, SourceConfig(cache_dir=str(tmp_path / "cache"))
    )
    np.testing.assert_array_equal(arrays["embeddings"][0], arrays["embeddings"][2])
    assert not np.array_equal(arrays["embeddings"][0], arrays["embeddings"][1])


def test_a_source_without_a_readable_photo_is_refused(
    tiny_backbone: Path, source_config: SourceConfig, tmp_path: Path
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "1.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    with pytest.raises(DatasetError, match="none of the photos of .* can be read"):
        embed(tmp_path / "photos", tmp_path / "out.npz", backbone=str(tiny_backbone), cache_dir=source_config.cache_dir)
    assert not (tmp_path / "out.npz").exists()
