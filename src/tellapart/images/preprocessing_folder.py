"""The folder `preprocessing/` of an export: how a photo becomes what the model takes, for programs of any language.

The sources in `reference/` are complete as they are; an export has its own size in their constants.
Beside them lies a drawn photo with what must come out of it, the golden vector.
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tellapart.images.preprocess import PreprocessSpec, resize_image
from tellapart.store import sha256_hex, to_json_bytes, write_file

PYTHON_FILE, SCRIPT_FILE = "preprocess.py", "preprocess.mjs"
SOURCE_FILES = (PYTHON_FILE, SCRIPT_FILE, "preprocess.swift", "preprocess.kt")
GOLDEN_FILE, GOLDEN_PHOTO, GOLDEN_TENSOR = "golden.json", "golden_photo.rgb", "golden_tensor.rgb"
_SOURCES_DIR = Path(__file__).with_name("reference")
# How the one line of constants begins in each language, and what ends it.
_CONSTANTS = {
    ".py": "HEIGHT, WIDTH, IS_GREY, HAS_ONE_FACTOR = {}, {}, {}, {}",
    ".mjs": "const [HEIGHT, WIDTH, IS_GREY, HAS_ONE_FACTOR] = [{}, {}, {}, {}];",
    ".swift": "let (HEIGHT, WIDTH, IS_GREY, HAS_ONE_FACTOR) = ({}, {}, {}, {})",
    ".kt": "const val HEIGHT = {}; const val WIDTH = {}; const val IS_GREY = {}; const val HAS_ONE_FACTOR = {}",
}
_CONSTANTS_LINE = re.compile(r"^(?:const |let )?(?:val )?[\[(]?HEIGHT\b.*$", re.MULTILINE)


def write_preprocessing(folder: Path, spec: PreprocessSpec) -> None:
    """The folder, made if need be, holds the sources for `spec` and the golden vector.

    Raises:
        OutputError: the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in SOURCE_FILES:
        write_file(folder / name, preprocessing_source(name, spec).encode())
    photo = draw_golden_photo(spec.image_size)
    tensor = resize_image(photo, spec)
    golden = {
        "photo": {"file": GOLDEN_PHOTO, "shape": list(photo.shape), "sha256": sha256_hex(photo.tobytes())},
        "tensor": {"file": GOLDEN_TENSOR, "shape": list(tensor.shape), "sha256": sha256_hex(tensor.tobytes())},
    }
    write_file(folder / GOLDEN_PHOTO, photo.tobytes())
    write_file(folder / GOLDEN_TENSOR, tensor.tobytes())
    write_file(folder / GOLDEN_FILE, to_json_bytes(golden))


def preprocessing_source(name: str, spec: PreprocessSpec) -> str:
    """One of `SOURCE_FILES` for the size, the channels and the decoder of `spec`."""
    suffix = Path(name).suffix
    words = ("False", "True") if suffix == ".py" else ("false", "true")
    constants = _CONSTANTS[suffix].format(*spec.image_size, words[spec.channels == 1], words[spec.decoder < 3])
    source = (_SOURCES_DIR / f"reference{suffix}").read_text(encoding="utf-8")
    text, num_lines = _CONSTANTS_LINE.subn(constants, source, count=1)
    assert num_lines == 1, name
    return text


def draw_golden_photo(image_size: tuple[int, int]) -> NDArray[np.uint8]:
    """A photo that has to be reduced by whole blocks across, and resized by a cubic in both directions.

    Args:
        image_size: `(height, width)` that the network takes, in pixels.

    Returns:
        uint8 RGB: slopes, a disc, stripes and a hard edge; the same on every machine.
    """
    height, width = image_size[0] * 3 // 2 + 7, image_size[1] * 5 // 2 + 3
    rows, columns = np.mgrid[:height, :width]
    slopes = np.stack([255 * rows // height, 255 * columns // width, (rows + 2 * columns) % 256], axis=2)
    stripes = (rows // 3 + columns // 5) % 2 == 0
    is_disc = (2 * rows - height) ** 2 + (2 * columns - width) ** 2 < min(height, width) ** 2 // 2
    slopes[is_disc] = (230, 60, 20)
    slopes[stripes & (columns > 2 * width // 3)] = (10, 20, 250)
    slopes[:, : width // 12] = np.where(stripes[:, : width // 12, np.newaxis], 255, 0)
    return slopes.astype(np.uint8)
