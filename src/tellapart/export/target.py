"""What a model can be exported to, and what each target has to give: a converter and a runner, two functions a module.

The module of a target is imported in a process of its own (`converter_process.py`), so that what it loads, prints or
breaks stays there. It has `convert(work: Conversion) -> None`, which writes the model and an example into the folder,
and `open_runner(folder: Path) -> Runner`, which opens what lies in the folder and nothing else.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tellapart.errors import DependencyError
from tellapart.installation import install_extra
from tellapart.predict.bundle import Bundle
from tellapart.store import write_file
from tellapart.translation import gettext as _
from tellapart.value_checks import check_choice

LABELS_NAME, EXAMPLE_NAME, PREPROCESSING_NAME = "labels.txt", "example.py", "preprocessing"
# What may go along with the probabilities.
HEAT_MAPS, NONE_OF_THESE = "heat maps", "none of these"

_EXAMPLE = '''"""Names the class of a photo: `python example.py PHOTO`. Needs NumPy, Pillow and {package}."""

import sys
from pathlib import Path

import numpy as np
{imports}
from PIL import Image, ImageOps

here = Path(__file__).resolve().parent
sys.path.insert(0, str(here / "preprocessing"))
from preprocess import preprocess

labels = (here / "labels.txt").read_text(encoding="utf-8").splitlines()
photo = ImageOps.exif_transpose(Image.open(sys.argv[1])).convert("RGB")
image = preprocess(np.asarray(photo))[np.newaxis]
{lines}
best = int(probabilities.argmax())
print(f"{{labels[best]}} {{probabilities[best]:.4f}}")
'''

_ROOM = __name__.rpartition(".")[0]
_CALIBRATION_PHOTOS = 100
# TensorFlow's converter runs each of them by a slow interpreter.
_FEW_CALIBRATION_PHOTOS = 60
_LITERT = {"tensorflow": "litert", "ai_edge_litert": "litert", "onnx": "train"}
# One thread: on a busy machine threads spend most of their time on waiting for each other, layer by layer.
_ON_TORCH = {"KERAS_BACKEND": "torch", "OMP_NUM_THREADS": "1"}
_ON_TENSORFLOW = {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}


@dataclass(frozen=True)
class Target:
    """A kind of export.

    Attributes:
        name: as `to` takes it.
        module: in this room, with its `convert` and `open_runner`.
        precision: of its numbers, which decides how much an answer may differ; `browser` is float32 behind another
            decoder of photos.
        needs: the modules that must be there, each with the extra of the installation that brings it.
        num_calibration: photos of the training that the converter is given, at most.
        holds: what goes along besides the probabilities.
        is_example_run: whether the example is run on a photo, as far as it can be here.
        environment: variables of the process that converts, and of the one that runs.
        takes_files: whether it decodes photos itself, so that it is proved from the files on.
        is_timed: whether its speed is compared with that of the model, by `compare_speed` of its module.
    """

    name: str
    module: str
    precision: Literal["float32", "float16", "int8", "browser"] = "float32"
    needs: Mapping[str, str] = field(default_factory=lambda: {"onnx": "train"})
    num_calibration: int = 0
    holds: frozenset[str] = frozenset()
    is_example_run: bool = True
    environment: Mapping[str, str] = field(default_factory=dict)
    takes_files: bool = False
    is_timed: bool = False


@dataclass(frozen=True)
class Conversion:
    """What a converter is given.

    Attributes:
        bundle: the model.
        folder: the export that is being made; `labels.txt` and `preprocessing/` are in it already.
        calibration: photos of the training as the model sees them, uint8, shape `(n, *bundle.preprocess.shape)`; none
            where the target asks for none.
    """

    bundle: Bundle
    folder: Path
    calibration: NDArray[np.uint8]


@dataclass(frozen=True)
class Runner:
    """An export, opened.

    Attributes:
        runtime: what runs it, name and version.
        predict: from images, uint8, shape `(n, height, width, channels)`, to probabilities as `predict` gives them,
            float32, shape `(n, num_classes)`.
        is_native: whether that is the runtime the export is for. Where it cannot run on this machine, the export is
            read back and computed by another.
        answer_files: what takes the place of `predict` where the target decodes photos itself: from their files to
            probabilities, float32, `(n, num_classes)`, NaN where one cannot be read, and the seconds of each, `(n,)`.
        class_names: the classes as the export itself names them, besides `labels.txt`; `None` where it does not.
        batch_size: images that `predict` is given at once, at most.
    """

    runtime: str
    predict: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    is_native: bool = True
    answer_files: Callable[[Sequence[Path]], tuple[NDArray[np.float32], NDArray[np.float64]]] | None = None
    class_names: Sequence[str] | None = None
    batch_size: int = 1


_ALL_OUTPUTS = frozenset({HEAT_MAPS, NONE_OF_THESE})
_ALL = (
    Target("openvino", "openvino_model", needs={"openvino": "openvino", "onnx": "train"}, holds=_ALL_OUTPUTS),
    Target(
        "keras",
        "keras_model",
        needs={"keras": "train", "torch": "train", "onnx": "train"},
        holds=frozenset({HEAT_MAPS}),
        environment=_ON_TORCH,
    ),
    Target(
        "coreml",
        "coreml_model",
        needs={"coremltools": "coreml", "torch": "train", "onnx": "train"},
        holds=_ALL_OUTPUTS,
        environment=_ON_TORCH,
        is_example_run=False,
    ),
    Target("triton", "triton_repository", holds=_ALL_OUTPUTS, is_example_run=False),
    Target(
        "onnx-int8",
        "quantised_onnx",
        "int8",
        num_calibration=_CALIBRATION_PHOTOS,
        holds=_ALL_OUTPUTS,
        is_timed=True,
    ),
    Target("litert", "litert_model", needs=_LITERT, environment=_ON_TENSORFLOW),
    Target(
        "litert-int8",
        "litert_model",
        "int8",
        needs=_LITERT,
        num_calibration=_FEW_CALIBRATION_PHOTOS,
        environment=_ON_TENSORFLOW,
    ),
    Target("web", "web_page", "browser", holds=_ALL_OUTPUTS, is_example_run=False, takes_files=True),
    Target(
        "web-int8",
        "web_page",
        "int8",
        num_calibration=_CALIBRATION_PHOTOS,
        holds=_ALL_OUTPUTS,
        is_example_run=False,
        takes_files=True,
    ),
)
TARGETS: Mapping[str, Target] = MappingProxyType({target.name: target for target in _ALL})


def to_label(class_name: str) -> str:
    """The name of a class as it stands in a line of `labels.txt`."""
    return " ".join(class_name.splitlines())


def read_labels(path: Path) -> list[str]:
    """The lines of a `labels.txt`.

    Raises:
        OSError, ValueError: it cannot be read, or is no text.
    """
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def find_target(name: str) -> Target:
    """The target of that name, whose packages are installed.

    Raises:
        ConfigError: there is none.
        DependencyError: a package is missing; the message has the command that installs it.
    """
    check_choice("to", name, tuple(TARGETS))
    target = TARGETS[name]
    for module, extra in target.needs.items():
        if not _is_installed(module):
            raise DependencyError(
                _("`to={target!r}` needs {module}, which is not installed. Install it with: {command}").format(
                    target=name, module=module, command=install_extra(extra)
                ),
                name=module,
            )
    return target


def _is_installed(module: str) -> bool:
    """Whether the module can be imported, without importing it."""
    try:
        return find_spec(module) is not None
    except ImportError:
        return False


def module_of(target: Target) -> str:
    """The full name of the target's module."""
    return f"{_ROOM}.{target.module}"


def write_example(folder: Path, package: str, imports: str, lines: str) -> None:
    """The folder of an export holds `example.py`.

    Args:
        folder: of the export.
        package: what has to be installed, as people call it.
        imports: a line or several.
        lines: from `image`, uint8 `(1, height, width, channels)`, and `here`, the folder, to `probabilities`,
            `(num_classes,)`.

    Raises:
        OutputError: the file cannot be written.
    """
    text = _EXAMPLE.format(package=package, imports=imports, lines=lines)
    write_file(folder / EXAMPLE_NAME, text.encode())
