"""What an installation without the packages that learn does: it looks and predicts, and says what training needs."""

import subprocess
import sys
from pathlib import Path

import pytest

DRIVER = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("h5py", "keras", "onnx", "torch", "huggingface_hub"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
sys.argv[0] = "tellapart"
from tellapart.cli.app import main
main()
"""


def test_an_export_says_what_to_install(model_dir: Path, tmp_path: Path) -> None:
    line = [sys.executable, "-c", DRIVER, "export", str(model_dir), "--to", "triton"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert (
        "--to triton needs onnx, which is not installed. Install it with: pip install 'tellapart[train]'" in done.stderr
    )


def run(*words: str, work_dir: Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-c", DRIVER, *words, "--cache-dir", str(work_dir / "cache")]
    return subprocess.run(line, cwd=work_dir, capture_output=True, text=True, check=False)


def test_photos_are_checked_as_well(animals_dir: Path, tmp_path: Path) -> None:
    done = run("check", str(animals_dir), "--html", str(tmp_path / "check.html"), work_dir=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "note: labels were not checked" in done.stdout
    assert "pip install 'tellapart[train]'" in done.stdout
    assert (tmp_path / "check.html").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["train", "PHOTOS", "--out", "run"],
        ["train", "PHOTOS", "--out", "run", "--recipe", "scratch", "--epochs", "1"],
        ["train", "PHOTOS", "--out", "run", "--recipe", "classic", "--epochs", "1"],
        ["train", "PHOTOS", "--out", "run", "--backbone", "hf:owner/name"],
        ["compare", "PHOTOS", "--out", "run"],
        ["compare", "PHOTOS", "--out", "run", "--recipes", "transfer,classic"],
        ["embed", "PHOTOS", "--out", "vectors.npz"],
        ["demo", "--out", "demo"],
    ],
    ids=["train", "scratch", "classic", "hub", "compare", "compare transfer", "embed", "demo"],
)
def test_what_needs_more_says_what_to_install_in_one_line(words: list[str], animals_dir: Path, tmp_path: Path) -> None:
    done = run(*(str(animals_dir) if word == "PHOTOS" else word for word in words), work_dir=tmp_path)
    assert done.returncode == 2
    assert "pip install" in done.stderr
    assert "defect" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "run" / "bundle.json").exists()
    assert not (tmp_path / "demo").exists()
