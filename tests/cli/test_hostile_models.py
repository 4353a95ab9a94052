"""Model folders, run folders and backbones of strangers: whatever is in them, a command ends with one line."""

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tellapart.cli import app as cli_app
from tellapart.commands.backbone import pack_backbone
from tellapart.predict import bundle as bundle_module
from tellapart.runs.train import train
from tellapart.store import sha256_hex

NUM_FILES = int(os.environ.get("TELLAPART_TEST_FILES", "2000"))
# The sum at the end of a packed backbone, of which the last 64 are its digits.
SUM_BYTES = 86
# In JSON as it stands: what a checksum does not keep away.
VALUES = (
    "NaN", "Infinity", "-1e999", "1e308", "-1", "0", "1", "2.5", "2000000000", "9223372036854775807",
    "1" + "0" * 400, '""', '"x"', '"\\ud800"', '"\\u0000"', "[]", "[[]]", "{}", "null", "true", "[" * 300 + "]" * 300,
    "[1, 2]", '{"a": 1}', '["a", "b"]', "[0.1, 0.1]",
)  # fmt: skip


@pytest.fixture(scope="module")
def run_folder(tiny_backbone: Path, animals_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the recipe transfer, with heat maps, distances and thresholds."""
    out = tmp_path_factory.mktemp("hostile") / "run"
    train(animals_dir, out, backbone=str(tiny_backbone), cache_dir=str(out.parent / "cache"))
    return out


@pytest.fixture(scope="module")
def packed(tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The tiny backbone as one file."""
    out = tmp_path_factory.mktemp("packed") / "net.onnx"
    pack_backbone(str(tiny_backbone), out)
    return out.read_bytes()


def places(value: Any) -> list[tuple[Any, Any]]:
    """Each container in the JSON value, with a key or index in it."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


def mutate_json(data: bytes, chance: random.Random) -> bytes:
    """The JSON with another value somewhere, or without one."""
    value = json.loads(data)
    container, key = chance.choice(places(value))
    if chance.random() < 0.15:
        del container[key]
        return json.dumps(value).encode()
    container[key] = "HERE"
    return json.dumps(value).replace('"HERE"', chance.choice(VALUES)).encode()


def mutate_bytes(data: bytes, chance: random.Random) -> bytes:
    """The file with up to four places changed, cut, doubled or filled."""
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(data) + 1)
        end = min(len(data), start + chance.choice([0, 1, 1, 2, 8, 64]))
        new = chance.choice([chance.randbytes(end - start), chance.randbytes(3), b"", data[start:end] * 2, b"\xff" * 8])
        data = data[:start] + new + data[end:]
    return data


def sign(folder: Path) -> None:
    """Makes the checksums fit again, as a stranger would; nothing where bundle.json cannot be read."""
    path = folder / "bundle.json"
    try:
        described = json.loads(path.read_bytes())
        model = (folder / "model.onnx").read_bytes()
        described["model"] |= {"sha256": sha256_hex(model), "size_bytes": len(model)}
        del described["sha256"]
        described["sha256"] = bundle_module._own_checksum(described)
        path.write_text(json.dumps(described))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass


def mutate_run(folder: Path, chance: random.Random) -> str:
    """One file of the run is another afterwards; which one it was."""
    names = ["bundle.json"] * 4 + ["model.onnx"] * 3 + sorted(path.name for path in folder.iterdir() if path.is_file())
    name = chance.choice([name for name in names if not name.endswith((".png", ".html"))])
    path = folder / name
    is_json = name.endswith(".json") and chance.random() < 0.85
    path.write_bytes((mutate_json if is_json else mutate_bytes)(path.read_bytes(), chance))
    if chance.random() < 0.9:
        sign(folder)
    return name


def commands(folder: Path, photos: Path, out: Path) -> list[list[str]]:
    """What reads a run."""
    photo = str(photos / "cat" / "cat.0.jpg")
    model = str(folder)
    return [
        ["summary", model],
        ["predict", model, photo],
        ["predict", model, photo, "--not-sure", "0.3", "--none-of-these", "0.3", "--csv", str(out / "answers.csv")],
        ["predict", model, photo, "--heatmap", "--grid", str(out / "maps.png")],
        ["evaluate", model, str(photos)],
        ["report", model, "--cache-dir", str(folder.parent / "cache")],
        ["train", str(photos), "--resume", "--out", model, "--cache-dir", str(folder.parent / "cache")],
    ]


def assert_ends_well(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["tellapart", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli_app.main()
    said = capsys.readouterr()
    assert stop.value.code in (0, 2), said.err
    assert "defect" not in said.err + said.out
    assert "Traceback" not in said.err
    assert "Warning" not in said.err
    assert max(map(len, said.err.splitlines()), default=0) < 2000


def attack(seed: int, run_folder: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One mutated run, in one command."""
    chance = random.Random(seed)
    folder, out = tmp_path / "run", tmp_path / "out"
    for each in (folder, out):
        shutil.rmtree(each, ignore_errors=True)
    shutil.copytree(run_folder, folder)
    out.mkdir()
    mutate_run(folder, chance)
    command = chance.choices(commands(folder, photos, out), weights=[2, 3, 3, 3, 3, 1, 0.1])[0]
    (folder / "report.html").unlink(missing_ok=True)
    assert_ends_well(command, capsys)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_a_changed_run_ends_a_command_with_one_line(
    seed: int, run_folder: Path, animals_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attack(seed, run_folder, animals_dir, tmp_path, capsys)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_a_changed_backbone_ends_a_command_with_one_line(
    seed: int, tiny_backbone: Path, animals_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attack_backbone(seed, tiny_backbone, animals_dir, tmp_path, capsys)


def attack_backbone(
    seed: int, backbone: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(seed)
    shutil.copy(backbone, tmp_path / "net.onnx")
    shutil.copy(backbone.with_suffix(".json"), tmp_path / "net.json")
    path = tmp_path / chance.choice(["net.onnx", "net.onnx", "net.json"])
    change: Callable[[bytes, random.Random], bytes] = mutate_json if path.suffix == ".json" else mutate_bytes
    path.write_bytes(change(path.read_bytes(), chance))
    embed_one_cat(seed, photos, tmp_path, capsys)


def embed_one_cat(seed: int, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / f"{seed}.npz"
    flags = ["--backbone", str(tmp_path / "net.onnx"), "--out", str(out), "--cache-dir", str(tmp_path / "cache")]
    assert_ends_well(["embed", str(photos / "cat"), *flags], capsys)


def attack_pack(seed: int, packed: bytes, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One mutated packed backbone, half of the time with the right sum, as a stranger can compute it."""
    chance = random.Random(seed)
    body = mutate_bytes(packed[:-SUM_BYTES], chance)
    tail = packed[-SUM_BYTES:-64] + sha256_hex(body).encode()
    data = body + tail if chance.random() < 0.5 else mutate_bytes(packed, chance)
    (tmp_path / "net.onnx").write_bytes(data)
    embed_one_cat(seed, photos, tmp_path, capsys)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_a_changed_packed_backbone_ends_a_command_with_one_line(
    seed: int, packed: bytes, animals_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attack_pack(seed, packed, animals_dir, tmp_path, capsys)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(20))
def test_many_changed_files_end_commands_with_one_line(
    part: int,
    run_folder: Path,
    tiny_backbone: Path,
    packed: bytes,
    animals_dir: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for seed in range(part * NUM_FILES // 20, (part + 1) * NUM_FILES // 20):
        attack(seed, run_folder, animals_dir, tmp_path, capsys)
        attack_backbone(seed, tiny_backbone, animals_dir, tmp_path, capsys)
        attack_pack(seed, packed, animals_dir, tmp_path, capsys)
