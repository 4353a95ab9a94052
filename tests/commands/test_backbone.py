"""A pretrained network as one file, and that file in place of the network."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tellapart.backbones.backbone import open_backbone
from tellapart.backbones.backbone_pack import read_pack
from tellapart.backbones.embedder import Embedder
from tellapart.cli.app import main
from tellapart.commands.backbone import pack_backbone
from tellapart.commands.embed import embed
from tellapart.errors import BundleError, ConfigError, OutputError
from tellapart.runs.train import train
from tellapart.sklearn import PhotoEmbedder

SMALL = "efficientnet-lite0@64"


@pytest.fixture(scope="module")
def packed(tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny backbone as one file, in a folder of its own."""
    out = tmp_path_factory.mktemp("packed") / "carried.onnx"
    pack_backbone(str(tiny_backbone), out)
    return out


def run(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", ["tellapart", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def test_a_packed_file_is_the_network_with_its_json(packed: Path, tiny_backbone: Path, tmp_path: Path) -> None:
    carried, opened = open_backbone(str(packed), tmp_path), open_backbone(str(tiny_backbone), tmp_path)
    assert (carried.model, carried.image_size) == (opened.model, opened.image_size)
    assert carried.name == "carried.onnx"


def test_the_json_beside_a_packed_file_plays_no_part(packed: Path, tmp_path: Path) -> None:
    copy = tmp_path / "net.onnx"
    shutil.copy(packed, copy)
    (tmp_path / "net.json").write_text('{"image_size": [64, 64]}')
    (tmp_path / "config.json").write_text("no JSON")
    assert open_backbone(str(copy), tmp_path).image_size == (32, 32)


def test_a_packed_file_can_have_any_name_and_be_packed_again(packed: Path, tmp_path: Path) -> None:
    copy = tmp_path / "net"
    shutil.copy(packed, copy)
    pack_backbone(str(copy), tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == packed.read_bytes()


def test_a_built_in_network_sees_the_same_when_packed(tmp_path: Path) -> None:
    done = pack_backbone(SMALL, tmp_path / "net.onnx", cache_dir=str(tmp_path / "cache"))
    images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    found = [
        Embedder(backbone.model, backbone.image_size, "it").embed(images)
        for name in (SMALL, str(tmp_path / "net.onnx"))
        for backbone in [open_backbone(name, tmp_path / "cache" / "backbones")]
    ]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4, atol=1e-5)
    assert (done.name, done.license) == (SMALL, "Apache-2.0")
    pack = read_pack((tmp_path / "net.onnx").read_bytes(), "it", "it")
    assert pack is not None
    assert "Apache License" in pack.license_text


@pytest.mark.parametrize(
    "use",
    [
        lambda photos, net, out: train(photos, out, backbone=net, cache_dir=str(out.parent / "cache")),
        lambda photos, net, out: embed(photos, out, backbone=net, cache_dir=str(out.parent / "cache")),
        lambda photos, net, out: PhotoEmbedder(backbone=net, cache_dir=str(out.parent / "cache")).fit_transform(
            sorted(map(str, photos.rglob("*.jpg")))
        ),
    ],
    ids=["train", "embed", "sklearn"],
)
def test_it_is_a_backbone_wherever_one_is_named(
    use: Callable[[Path, str, Path], object], packed: Path, animals_dir: Path, tmp_path: Path
) -> None:
    assert use(animals_dir, str(packed), tmp_path / "made") is not None


def test_the_command_says_what_it_wrote_and_how_to_use_it(
    tiny_backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("backbone", "pack", str(tiny_backbone), monkeypatch=monkeypatch) == 0
    said = capsys.readouterr().out
    digest = hashlib.sha256((tmp_path / "tiny.onnx").read_bytes()).hexdigest()
    assert f"SHA-256: {digest}" in said
    assert "No licence is stated. Ask the owner" in said
    assert "--backbone tiny.onnx" in said


def test_the_file_itself_is_not_overwritten_by_its_pack(
    tiny_backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (tiny_backbone, tiny_backbone.with_suffix(".json")):
        shutil.copy(path, tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="tiny.onnx"):
        pack_backbone("tiny.onnx")
    assert (tmp_path / "tiny.onnx").read_bytes() == tiny_backbone.read_bytes()


def test_an_earlier_pack_is_replaced(packed: Path, tiny_backbone: Path, tmp_path: Path) -> None:
    out = tmp_path / "net.onnx"
    shutil.copy(packed, out)
    done = pack_backbone(str(tiny_backbone), out)
    assert done.size_bytes == out.stat().st_size


def test_what_is_no_backbone_is_not_packed(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"no network")
    (tmp_path / "net.json").write_text(json.dumps({"image_size": [8, 8]}))
    with pytest.raises(BundleError, match="damaged or not an ONNX file"):
        pack_backbone(str(tmp_path / "net.onnx"), tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()


def test_an_unknown_name_is_an_error_of_the_argument(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("backbone", "pack", "eficientnet", monkeypatch=monkeypatch) == 2
    assert "BACKBONE 'eficientnet' is not known" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("hf:some/net", "net.onnx"),
        ("hf:some/net@v1", "net.onnx"),
        ("efficientnet-lite0@288+mirrored", "efficientnet-lite0@288+mirrored.onnx"),
        ("/a/b/my net.onnx", "my-net.onnx"),
        ("..", "...onnx"),
    ],
)
def test_the_file_is_named_after_the_network(name: str, file: str) -> None:
    from tellapart.commands.backbone import _file_name

    assert _file_name(name) == file


def test_a_wrong_name_changes_no_file_that_is_there(packed: Path, tmp_path: Path) -> None:
    out = tmp_path / "net.onnx"
    shutil.copy(packed, out)
    with pytest.raises(ConfigError):
        pack_backbone("nothing", out)
    assert out.read_bytes() == packed.read_bytes()
