"""The sources that go along with an export, each against the resize of the package, where its language can be run."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tellapart.export.converter_process import load_preprocess
from tellapart.images.preprocess import PreprocessSpec, resize_image
from tellapart.images.preprocessing_folder import (
    GOLDEN_FILE,
    GOLDEN_PHOTO,
    GOLDEN_TENSOR,
    PYTHON_FILE,
    SOURCE_FILES,
    write_preprocessing,
)
from tellapart.store import sha256_hex

SPECS = {
    "colour": PreprocessSpec((24, 20)),
    "grey": PreprocessSpec((46, 48), channels=1),
    "earlier decoder": PreprocessSpec((31, 12), decoder=2),
}
# Rounding may go the other way once in the mean of blocks and once in the cubic.
MOST_LEVELS = 1
# Prints the largest difference from the golden vector.
NODE = """
import { readFileSync } from "node:fs";
const { preprocess } = await import("./preprocess.mjs");
const golden = JSON.parse(readFileSync("golden.json"));
const made = preprocess(readFileSync(golden.photo.file), ...golden.photo.shape.slice(0, 2));
const tensor = readFileSync(golden.tensor.file);
if (made.length !== tensor.length) throw new Error("another size");
console.log(Math.max(...made.map((value, place) => Math.abs(value - tensor[place]))));
"""
SWIFT = """
import Foundation
let read = { (name: String) in [UInt8](FileManager.default.contents(atPath: name)!) }
let made = preprocess(read("golden_photo.rgb"), height: PHOTO_HEIGHT, width: PHOTO_WIDTH)
print(zip(made, read("golden_tensor.rgb")).map { abs(Int($0) - Int($1)) }.max()!)
"""
KOTLIN = """
import java.io.File
fun read(name: String) = File(name).readBytes().map { it.toInt() and 255 }.toIntArray()
fun main() {
    val made = preprocess(read("golden_photo.rgb"), PHOTO_HEIGHT, PHOTO_WIDTH)
    println(made.zip(read("golden_tensor.rgb")) { a, b -> Math.abs(a - b) }.max())
}
"""
Image = NDArray[np.uint8]


@pytest.fixture(scope="module", params=SPECS)
def spec(request: pytest.FixtureRequest) -> PreprocessSpec:
    return SPECS[request.param]


@pytest.fixture(scope="module")
def folder(spec: PreprocessSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources and the golden vector for a size."""
    path = tmp_path_factory.mktemp("export") / "preprocessing"
    write_preprocessing(path, spec)
    return path


@pytest.fixture(scope="module")
def preprocess(folder: Path) -> Callable[[Image], Image]:
    return load_preprocess(folder / PYTHON_FILE)


def largest_difference(one: Image, other: Image) -> int:
    assert one.shape == other.shape
    return int(np.abs(one.astype(np.int16) - other).max())


def run(folder: Path, *command: str) -> int:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


def with_photo_size(source: str, folder: Path) -> str:
    height, width, _ = json.loads((folder / GOLDEN_FILE).read_bytes())["photo"]["shape"]
    return source.replace("PHOTO_HEIGHT", str(height)).replace("PHOTO_WIDTH", str(width))


def test_the_folder_holds_a_source_a_language_and_the_golden_vector(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {*SOURCE_FILES, GOLDEN_FILE, GOLDEN_PHOTO, GOLDEN_TENSOR}


@pytest.mark.parametrize("part", ["photo", "tensor"])
def test_the_golden_vector_is_as_its_description_says(folder: Path, part: str) -> None:
    described = json.loads((folder / GOLDEN_FILE).read_bytes())[part]
    data = (folder / described["file"]).read_bytes()
    assert (sha256_hex(data), len(data)) == (described["sha256"], np.prod(described["shape"]))


def test_the_golden_tensor_is_what_predict_sees(folder: Path, spec: PreprocessSpec) -> None:
    shape = json.loads((folder / GOLDEN_FILE).read_bytes())["photo"]["shape"]
    photo = np.fromfile(folder / GOLDEN_PHOTO, np.uint8).reshape(shape)
    assert resize_image(photo, spec).tobytes() == (folder / GOLDEN_TENSOR).read_bytes()


@pytest.mark.parametrize("seed", range(12))
def test_python_gives_what_predict_sees(seed: int, spec: PreprocessSpec, preprocess: Callable[[Image], Image]) -> None:
    generator = np.random.default_rng(seed)
    height, width = generator.integers(2, 5 * np.array(spec.image_size))
    image = generator.integers(0, 256, (height, width, 3), np.uint8)
    assert largest_difference(preprocess(image), resize_image(image, spec)) <= MOST_LEVELS


@pytest.mark.parametrize("factors", [(1, 1), (2, 2), (2, 1), (4, 3)])
def test_blocks_of_whole_pixels_are_exact(
    factors: tuple[int, int], spec: PreprocessSpec, preprocess: Callable[[Image], Image]
) -> None:
    size = np.array(spec.image_size) * factors
    image = np.random.default_rng(3).integers(0, 256, (*size, 3), np.uint8)
    is_exact = spec.decoder == 3 or factors[0] == factors[1]
    assert largest_difference(preprocess(image), resize_image(image, spec)) <= (0 if is_exact else MOST_LEVELS)


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_javascript_gives_the_golden_tensor(folder: Path) -> None:
    assert run(folder, "node", "--input-type=module", "--eval", NODE) <= MOST_LEVELS


@pytest.mark.skipif(shutil.which("swiftc") is None, reason="Swift is not installed")
def test_swift_gives_the_golden_tensor(folder: Path, tmp_path: Path) -> None:
    main = tmp_path / "main.swift"
    main.write_text(with_photo_size(SWIFT, folder))
    subprocess.run(["swiftc", "-O", folder / "preprocess.swift", main, "-o", tmp_path / "run"], check=True)
    assert run(folder, str(tmp_path / "run")) <= MOST_LEVELS


@pytest.mark.skipif(shutil.which("kotlinc") is None, reason="Kotlin is not installed")
def test_kotlin_gives_the_golden_tensor(folder: Path, tmp_path: Path) -> None:
    main, jar = tmp_path / "Main.kt", tmp_path / "run.jar"
    main.write_text(with_photo_size(KOTLIN, folder))
    subprocess.run(["kotlinc", folder / "preprocess.kt", main, "-include-runtime", "-d", jar], check=True)
    assert run(folder, "java", "-jar", str(jar)) <= MOST_LEVELS
