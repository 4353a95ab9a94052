import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tellapart.backbones import backbone as backbone_module
from tellapart.backbones.backbone import Backbone, open_backbone
from tellapart.backbones.pretrained import PACKAGED_BACKBONES, PackagedBackbone
from tellapart.cache.cache_folder import EXPORTED_NAME
from tellapart.errors import BundleError, ConfigError
from tellapart.store import sha256_hex

NAME = "efficientnet-lite0"


@pytest.fixture
def exports(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names exported so far; the export itself is replaced by a few bytes that depend on the name."""
    names: list[str] = []

    def export(packaged: PackagedBackbone) -> bytes:
        names.append(packaged.name)
        return f"graph of {packaged.name}".encode()

    monkeypatch.setattr(backbone_module, "_export", export)
    return names


def embed(backbone: Backbone, images: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(backbone.model, providers=["CPUExecutionProvider"])
    return session.run(["embedding"], {"image": images})[0]


def test_a_built_in_backbone_is_exported_once_and_kept_under_its_hash(exports: list[str], tmp_path: Path) -> None:
    cache_dir = tmp_path / "new" / "backbones"
    first, second = open_backbone(NAME, cache_dir), open_backbone(NAME, cache_dir)
    assert first == second
    assert exports == [NAME]
    (path,) = cache_dir.iterdir()
    assert path.name == f"{NAME}-v2-{sha256_hex(path.read_bytes())}.onnx"


@pytest.mark.parametrize("name", list(PACKAGED_BACKBONES))
def test_every_built_in_backbone_has_its_own_graph_and_size(exports: list[str], tmp_path: Path, name: str) -> None:
    backbone = open_backbone(name, tmp_path)
    assert (backbone.name, backbone.image_size) == (name, PACKAGED_BACKBONES[name].image_size)
    assert backbone.model == f"graph of {name}".encode()


def test_a_damaged_file_is_made_again_and_said(exports: list[str], tmp_path: Path) -> None:
    whole = open_backbone(NAME, tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"damaged")
    again = open_backbone(NAME, tmp_path)
    assert again.model == whole.model
    assert again.notes == (f"The backbone file {str(path)!r} was damaged, and was made again.",)
    assert open_backbone(NAME, tmp_path).notes == ()


def test_a_damaged_file_of_another_name_is_removed(exports: list[str], tmp_path: Path) -> None:
    stray = tmp_path / f"{NAME}-v2-{'0' * 64}.onnx"
    stray.write_bytes(b"damaged")
    open_backbone(NAME, tmp_path)
    assert not stray.exists()


def test_files_of_another_version_or_size_are_not_used_and_stay(exports: list[str], tmp_path: Path) -> None:
    names = [f"{prefix}-{sha256_hex(b'old')}.onnx" for prefix in (f"{NAME}-v1", f"{NAME}@224-v2", f"{NAME}@288-v2")]
    for name in names:
        (tmp_path / name).write_bytes(b"old")
    assert open_backbone(NAME, tmp_path).model != b"old"
    assert set(names) < {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("name", ["efficientnet-lite0@288", "efficientnet-lite2@64"])
def test_a_size_behind_the_name_is_the_size_of_the_photos(exports: list[str], tmp_path: Path, name: str) -> None:
    backbone = open_backbone(name, tmp_path)
    side = int(name.partition("@")[2])
    assert (backbone.name, backbone.image_size) == (name, (side, side))
    assert backbone.model == f"graph of {name}".encode()
    assert EXPORTED_NAME.fullmatch(next(tmp_path.iterdir()).name)
    assert open_backbone(name, tmp_path) == backbone
    assert exports == [name]


def test_the_size_a_network_was_trained_on_is_the_same_network(exports: list[str], tmp_path: Path) -> None:
    assert open_backbone(f"{NAME}@224", tmp_path) == open_backbone(NAME, tmp_path)
    assert exports == [NAME]


@pytest.mark.parametrize("size", ["", "63", "1025", "288x288", "-1", "288.0", "²⁸⁸"])
def test_a_size_that_is_not_accepted_is_refused(exports: list[str], tmp_path: Path, size: str) -> None:
    with pytest.raises(ConfigError, match="a size from 64 to 1024 pixels, such as 'efficientnet-lite0@288'"):
        open_backbone(f"{NAME}@{size}", tmp_path)


def test_a_cache_folder_that_cannot_be_written_costs_only_a_note(exports: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    backbone = open_backbone(NAME, tmp_path / "file" / "backbones")
    assert backbone.model == f"graph of {NAME}".encode()
    assert "cannot be kept in" in backbone.notes[0]
    assert "another `cache_dir`" in backbone.notes[0]


def test_a_kept_backbone_loads_neither_keras_nor_pytorch(exports: list[str], tmp_path: Path) -> None:
    open_backbone(NAME, tmp_path)
    code = (
        "import sys; from pathlib import Path; from tellapart.backbones.backbone import open_backbone\n"
        f"open_backbone({NAME!r}, Path(sys.argv[1]))\n"
        "print(sorted({'keras', 'torch', 'huggingface_hub', 'onnx'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_an_onnx_file_is_opened_with_the_json_beside_it(tiny_backbone: Path, tmp_path: Path) -> None:
    backbone = open_backbone(str(tiny_backbone), tmp_path)
    assert (backbone.name, backbone.image_size) == ("tiny.onnx", (32, 32))
    assert embed(backbone, np.zeros((2, 32, 32, 3), np.uint8)).shape == (2, 24)


def test_an_onnx_file_is_not_copied_into_the_cache(tiny_backbone: Path, tmp_path: Path) -> None:
    open_backbone(str(tiny_backbone), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_by_another_name_is_opened_too(tiny_backbone: Path, tmp_path: Path) -> None:
    (tmp_path / "net.bin").write_bytes(tiny_backbone.read_bytes())
    (tmp_path / "net.json").write_bytes(tiny_backbone.with_suffix(".json").read_bytes())
    assert open_backbone(str(tmp_path / "net.bin"), tmp_path).name == "net.bin"


def test_an_onnx_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'missing\.onnx' cannot be read .*Give the path .*efficientnet-lite0"):
        open_backbone("missing.onnx", tmp_path)


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").mkdir()
    with pytest.raises(ConfigError, match=r"net\.onnx' cannot be read .*Give the path"):
        open_backbone(str(tmp_path / "net.onnx"), tmp_path)


def test_a_damaged_onnx_file_is_named(tiny_backbone: Path, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(tiny_backbone.read_bytes()[:-200])
    (tmp_path / "net.json").write_text("{}")
    with pytest.raises(BundleError, match=r"net\.onnx' is damaged or not an ONNX file"):
        open_backbone(str(tmp_path / "net.onnx"), tmp_path)


def test_an_unknown_name_lists_what_is_accepted_and_the_nearest(tmp_path: Path) -> None:
    accepted = r"Give one of efficientnet-lite0, .*FILE\.onnx, or hf:OWNER/NAME"
    with pytest.raises(ConfigError, match=f"'eficientnet-lite1' is not known. .*'efficientnet-lite1'. {accepted}"):
        open_backbone("eficientnet-lite1", tmp_path)


def test_a_backbone_from_the_hub_is_wrapped_with_its_preprocessing(
    tiny_backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, Path]] = []
    folder = tmp_path / "snapshot"
    (folder / "onnx").mkdir(parents=True)
    (folder / "onnx" / "model.onnx").write_bytes(tiny_backbone.read_bytes())
    settings = {"size": 32, "image_mean": [0.5] * 3, "image_std": [0.25] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))

    def fetch(name: str, cache_dir: Path) -> tuple[Path, Path]:
        asked.append((name, cache_dir))
        return folder / "onnx" / "model.onnx", folder

    monkeypatch.setattr(backbone_module, "fetch_backbone", fetch)
    backbone = open_backbone("hf:someone/net@v1", tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_allclose(embed(backbone, images), embed(open_backbone(str(tiny_backbone), tmp_path), images))
    assert (backbone.name, backbone.image_size) == ("hf:someone/net@v1", (32, 32))
    assert asked == [("someone/net@v1", tmp_path / "hub")]
