"""Fixtures that several test folders share: a model that sees only colour, photos of one colour, and drawn sources."""

import json
import os
import signal
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Some tests import these libraries themselves.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("KERAS_BACKEND", "torch")
# A shell starts what runs in the background with Ctrl-C ignored, and what ignores it hands that on.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import numpy as np
import onnx
import pytest
from PIL import Image

from tellapart.cache.image_writer import ImageWriter
from tellapart.config import ClassicConfig, ImageLimits, SourceConfig
from tellapart.demo.drawing import DEMO_CLASSES, draw_photo, write_demo_folder
from tellapart.images.preprocess import PreprocessSpec
from tellapart.measure.splits import split_indices
from tellapart.photos.loading import digest_photos
from tellapart.photos.sources import open_photos
from tellapart.predict.bundle import Bundle, write_bundle
from tellapart.records import LayerRecord
from tellapart.translation import ENGLISH, use_language

if TYPE_CHECKING:
    from tellapart.export.export_model import Export
    from tellapart.runs.job import Run
    from tellapart.training.fit import FitData

TINY = ClassicConfig(image_size=(46, 48), epochs=2, batch_size=8)
SHORT = replace(TINY, learning_rate=1e-3)
# Files that begin like photos, which listing never decodes.
JPEG_BYTES = b"\xff\xd8\xff\xe0" + bytes(60)
CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")
COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


def colour_model(class_names: Sequence[str], image_size: tuple[int, int] = (4, 6), sharpness: float = 6.0) -> bytes:
    """ONNX bytes: softmax over how much of each class's colour the mean of the image holds."""
    columns = np.array([COLOURS[name] for name in class_names], np.float32).T / 255 * sharpness / 255
    nodes = [
        onnx.helper.make_node("Cast", ["image"], ["float"], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("ReduceMean", ["float"], ["mean"], axes=[1, 2], keepdims=0),
        onnx.helper.make_node("MatMul", ["mean", "columns"], ["logits"]),
        onnx.helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "colour",
        [onnx.helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["batch", *image_size, 3])],
        [onnx.helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, ["batch", len(class_names)])],
        [onnx.numpy_helper.from_array(columns, "columns")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """Each test begins in English, whatever language the one before it has left."""
    with use_language(ENGLISH):
        yield


@pytest.fixture
def plant(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes files, JPEG-like unless told otherwise, below a folder `mine`, and gives that folder."""
    root = tmp_path / "mine"

    def write(*names: str, data: bytes = JPEG_BYTES) -> Path:
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return root

    return write


@pytest.fixture
def pack(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a zip of JPEG-like members and gives its path."""

    def write(*names: str, to: str = "mine.zip", data: bytes = JPEG_BYTES) -> Path:
        path = tmp_path / to
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, data)
        return path

    return write


@pytest.fixture(scope="session")
def make_bundle() -> Callable[..., Bundle]:
    """A function from class names (of `COLOURS`) to a bundle; further arguments replace fields."""

    def make(class_names: Sequence[str] = ("blue", "red"), **fields: object) -> Bundle:
        values: dict[str, object] = {
            "class_names": tuple(class_names),
            "preprocess": PreprocessSpec((4, 6)),
            "layers": (LayerRecord("mean", "GlobalAveragePooling2D", (3,), 0), LayerRecord("top", "Dense", (2,), 6)),
            "versions": {"tellapart": "0.1.0"},
            "recipe": "classic",
        }
        spec: PreprocessSpec = fields.get("preprocess") or values["preprocess"]  # type: ignore[assignment]
        model = fields.pop("model", None) or colour_model(class_names, spec.image_size)
        return Bundle(**{**values, "model": model, **fields})

    return make


def map_model(class_names: Sequence[str], sharpness: float = 6.0) -> bytes:
    """`colour_model` for 4x6 pixels in the form of a transfer model: it also gives maps, 2x3, as second output."""
    weights = np.array([COLOURS[name] for name in class_names], np.float32) / 255 * sharpness / 255
    nodes = [
        onnx.helper.make_node("Cast", ["image"], ["float"], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        onnx.helper.make_node("AveragePool", ["planes"], ["features"], kernel_shape=[2, 2], strides=[2, 2]),
        onnx.helper.make_node("Conv", ["features", "kernel", "bias"], ["activation_map"], name="map"),
        onnx.helper.make_node("ReduceMean", ["features"], ["embedding"], axes=[2, 3], keepdims=0),
        onnx.helper.make_node("Gemm", ["embedding", "weights", "bias"], ["logits"], transB=1),
        onnx.helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    num_classes = len(class_names)
    values = {"weights": weights, "kernel": weights[:, :, None, None], "bias": np.linspace(0, 1, num_classes)}
    graph = onnx.helper.make_graph(
        nodes,
        "map",
        [onnx.helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["batch", 4, 6, 3])],
        [
            onnx.helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, ["batch", num_classes]),
            onnx.helper.make_tensor_value_info("activation_map", onnx.TensorProto.FLOAT, ["batch", num_classes, 2, 3]),
        ],
        [onnx.numpy_helper.from_array(value.astype(np.float32), name) for name, value in values.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    return model.SerializeToString()


@pytest.fixture(scope="session")
def map_bundle(make_bundle: Callable[..., Bundle]) -> Bundle:
    """A bundle for the classes blue and red whose model also gives activation maps."""
    return make_bundle(model=map_model(("blue", "red")))


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX file with its preprocessing beside it: two random convolutions over 32x32 pixels, 24 features on 7x7."""
    generator = np.random.default_rng(0)
    kernels = {
        "first": generator.normal(0, 0.3, (12, 3, 5, 5)).astype(np.float32),
        "second": generator.normal(0, 0.15, (24, 12, 3, 3)).astype(np.float32),
    }
    nodes = [
        onnx.helper.make_node("Conv", ["pixels", "first"], ["edges"], strides=[2, 2]),
        onnx.helper.make_node("Relu", ["edges"], ["bright"]),
        onnx.helper.make_node("Conv", ["bright", "second"], ["parts"], strides=[2, 2], pads=[1, 1, 1, 1]),
        onnx.helper.make_node("Relu", ["parts"], ["features"]),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "tiny",
        [onnx.helper.make_tensor_value_info("pixels", onnx.TensorProto.FLOAT, ["batch", 3, 32, 32])],
        [onnx.helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, ["batch", 24, 7, 7])],
        [onnx.numpy_helper.from_array(kernel, name) for name, kernel in kernels.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    folder = tmp_path_factory.mktemp("backbone")
    (folder / "tiny.onnx").write_bytes(model.SerializeToString())
    described = {"image_size": [32, 32], "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}
    (folder / "tiny.json").write_text(json.dumps(described))
    return folder / "tiny.onnx"


@pytest.fixture
def model_dir(tmp_path: Path, make_bundle: Callable[..., Bundle]) -> Path:
    """A model folder for the classes blue and red."""
    folder = tmp_path / "model"
    write_bundle(folder, make_bundle())
    return folder


@pytest.fixture
def paint(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a photo of one colour under `tmp_path` and gives its path."""

    def write(name: str, colour: str, size: tuple[int, int] = (24, 32)) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((*size, 3), COLOURS[colour], np.uint8)).save(path)
        return path

    return write


@pytest.fixture(scope="session")
def tiny_config() -> ClassicConfig:
    """The smallest settings the article's network takes; height and width differ."""
    return TINY


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> "FitData":
    """24 drawn photos at `TINY.image_size`, 5 of them to validate."""
    from tellapart.training.fit import FitData  # loads Keras, which most tests do without

    folder = tmp_path_factory.mktemp("tiny")
    photos = open_photos(write_demo_folder(folder / "photos", 12, seed=0))
    with ImageWriter(PreprocessSpec(TINY.image_size), ImageLimits(), folder / "cache") as writer:
        images = writer.finish(photos, [str(digest) for digest in digest_photos(photos)])
    labels = np.array(images.photos.labels)
    return FitData(images, labels, split_indices(labels, images.groups(), 0.2, seed=0))


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where the tests keep decoded photos."""
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def source_config(cache_dir: str) -> SourceConfig:
    """Settings that leave the user's cache folder alone."""
    return SourceConfig(cache_dir=cache_dir)


@pytest.fixture(scope="session")
def animals_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder per class with 12 drawn photos each; not to be changed."""
    return write_demo_folder(tmp_path_factory.mktemp("animals") / "photos", 12, seed=0)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, animals_dir: Path, source_config: SourceConfig) -> "Run":
    """A finished run of two epochs; not to be changed."""
    from tellapart.runs.train import train

    return train(animals_dir, tmp_path_factory.mktemp("runs") / "animals", config=SHORT, source=source_config)


@pytest.fixture(scope="session")
def exported(trained: "Run", tmp_path_factory: pytest.TempPathFactory) -> "Export":
    """An export made as users make it, by processes of its own; not to be changed."""
    from tellapart.predict.model import load

    export: Export = load(trained.run_dir).export("onnx-int8", tmp_path_factory.mktemp("exports") / "int8")
    return export


def write_film(path: Path, seeds: Sequence[int], size: tuple[int, int] = (320, 240)) -> None:
    """Writes drawn cats as the frames of a film in YUV4MPEG2, a kind of which Chromium makes a camera."""
    width, height = size
    generators = [np.random.default_rng(seed) for seed in seeds]
    frames = [Image.fromarray(draw_photo(DEMO_CLASSES[0], one)).resize(size).convert("YCbCr") for one in generators]
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 C420jpeg\n".encode())
        for light, *colours in (frame.split() for frame in frames):
            halves = [one.resize((width // 2, height // 2)) for one in colours]
            file.write(b"".join((b"FRAME\n", *(one.tobytes() for one in (light, *halves)))))


@pytest.fixture(scope="session")
def open_chromium(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., AbstractContextManager[Any]]:
    """A function that opens a Chromium with a camera that shows drawn cats, for as long as a block.

    It finds no host by name. Preferences of the browser are given by name. Where there is no Chromium the test is
    skipped.
    """

    @contextmanager
    def opened(**preferences: str) -> Iterator[Any]:
        webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
        if not (CHROMIUM.exists() and DRIVER.exists()):
            pytest.skip(f"needs {CHROMIUM} and {DRIVER}")
        film = tmp_path_factory.mktemp("camera") / "camera.y4m"
        write_film(film, range(500, 512))
        options = webdriver.ChromeOptions()
        options.binary_location = str(CHROMIUM)
        for argument in (
            "--headless=new",
            "--no-sandbox",
            "--force-prefers-reduced-motion",
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-video-capture={film}",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
        ):
            options.add_argument(argument)
        options.add_experimental_option("prefs", preferences)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(str(DRIVER)))
        try:
            driver.set_window_size(1200, 900)
            yield driver
        finally:
            driver.quit()

    return opened
