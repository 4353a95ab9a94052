"""Exports that are wrong on purpose, in ways that are drawn: the proof of every target finds each."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import tellapart
from tellapart.errors import ExportError
from tellapart.export import converter_process
from tellapart.export.target import LABELS_NAME, TARGETS
from tellapart.predict.bundle import Bundle, read_bundle, write_bundle

if TYPE_CHECKING:
    from tellapart.runs.job import Run

# Targets whose model has the names of the classes in it.
NAMING = ("coreml", "web", "web-int8")
FOUND = "answers differently|other classes|names another class"


@dataclass(frozen=True)
class Mistake:
    """What a converter gets wrong.

    Attributes:
        bundle: what it makes of the model.
        folder: what it makes of the files of the export that are there before it starts.
    """

    bundle: Callable[[Bundle], Bundle] = lambda bundle: bundle
    folder: Callable[[Path], None] = lambda folder: None


def drawn_order(generator: np.random.Generator, num: int) -> list[int]:
    """An order of so many things that is another than the first."""
    orders = list(permutations(range(num)))[1:]
    return list(orders[generator.integers(len(orders))])


def swap_channels(generator: np.random.Generator, target: str) -> Mistake:
    """Channels in a drawn order; for int8 in the one most unlike the right one, as less may be within its rounding."""
    drawn = drawn_order(generator, 3)

    def change(bundle: Bundle) -> Bundle:
        model = onnx.load_model_from_string(bundle.model)
        kernel = next(one for one in model.graph.initializer if len(one.dims) == 4 and one.dims[1] == 3)
        right = numpy_helper.to_array(kernel)
        farthest = max(permutations(range(3)), key=lambda order: np.square(right[:, list(order)] - right).sum())
        order = list(farthest) if TARGETS[target].precision == "int8" else drawn
        kernel.CopyFrom(numpy_helper.from_array(right[:, order].copy(), kernel.name))
        return replace(bundle, model=model.SerializeToString())

    return Mistake(bundle=change)


def take_softmax_twice(generator: np.random.Generator, target: str) -> Mistake:
    def change(bundle: Bundle) -> Bundle:
        model = onnx.load_model_from_string(bundle.model)
        last = next(node for node in model.graph.node if "probabilities" in node.output)
        last.name = last.output[list(last.output).index("probabilities")] = "once"
        model.graph.node.append(helper.make_node("Softmax", ["once"], ["probabilities"], axis=-1))
        return replace(bundle, model=model.SerializeToString())

    return Mistake(bundle=change)


def permute_labels(generator: np.random.Generator, target: str) -> Mistake:
    seed = int(generator.integers(2**31))

    def change(bundle: Bundle) -> Bundle:
        order = drawn_order(np.random.default_rng(seed), len(bundle.class_names))
        return replace(bundle, class_names=tuple(bundle.class_names[place] for place in order))

    def write(folder: Path) -> None:
        lines = (folder / LABELS_NAME).read_text().splitlines()
        order = drawn_order(np.random.default_rng(seed), len(lines))
        (folder / LABELS_NAME).write_text("".join(f"{lines[place]}\n" for place in order))

    return Mistake(bundle=change) if target in NAMING else Mistake(folder=write)


def forget_the_temperature(generator: np.random.Generator, target: str) -> Mistake:
    return Mistake(bundle=lambda bundle: replace(bundle, temperature=1.0))


def change_the_resize(generator: np.random.Generator, target: str) -> Mistake:
    """Pixels are shifted by a drawn number of columns, in Python and in JavaScript."""
    shift = int(generator.integers(1, 6))

    def write(folder: Path) -> None:
        with (folder / "preprocessing/preprocess.py").open("a") as file:
            file.write(
                "\n\nright = preprocess\n\n\ndef preprocess(image):\n"
                f"    return np.roll(right(image), {shift}, axis=1)\n"
            )
        path = folder / "preprocessing/preprocess.mjs"
        text = path.read_text().replace("export function preprocess(", "function rightly(")
        path.write_text(
            f"{text}\nexport function preprocess(pixels, height, width) {{\n"
            "  const image = rightly(pixels, height, width), row = WIDTH * (IS_GREY ? 1 : 3);\n"
            f"  const shift = {shift} * (IS_GREY ? 1 : 3);\n"
            "  return image.map((value, at) => image[at - (at % row) + (((at % row) - shift + row) % row)]);\n}\n"
        )

    return Mistake(folder=write)


MISTAKES: dict[str, Callable[[np.random.Generator, str], Mistake]] = {
    "channels": swap_channels,
    "softmax": take_softmax_twice,
    "labels": permute_labels,
    "temperature": forget_the_temperature,
    "resize": change_the_resize,
}
# By far not all pairs in each run: each target with one mistake, and the quickest target with all of them.
USUAL = {*zip(TARGETS, [*MISTAKES, *MISTAKES], strict=False), *(("triton", mistake) for mistake in MISTAKES)}


@pytest.fixture
def tempered_run(transfer_run: "Run", tmp_path: Path) -> Callable[[np.random.Generator], Path]:
    """A function that gives the run with a drawn temperature, far from 1."""

    def make(generator: np.random.Generator) -> Path:
        temperature = float(generator.uniform(1.5, 3.0) ** generator.choice([-1, 1]))
        folder = shutil.copytree(transfer_run.run_dir, tmp_path / "run")
        write_bundle(folder, replace(read_bundle(folder), temperature=temperature))
        return folder

    return make


@pytest.fixture
def mistaken(monkeypatch: pytest.MonkeyPatch, converted_here: Callable[..., None]) -> Callable[[Mistake], None]:
    """A function after which converters make the mistake."""

    def make(mistake: Mistake) -> None:
        converted_here()

        def read(folder: Path) -> Bundle:
            mistake.folder(folder.parent / converter_process.EXPORT_DIR)
            return mistake.bundle(read_bundle(folder))

        monkeypatch.setattr(converter_process, "read_bundle", read)

    return make


@pytest.fixture
def refused(
    tempered_run: Callable[[np.random.Generator], Path], mistaken: Callable[[Mistake], None], tmp_path: Path
) -> Callable[[str, str, int], str]:
    """A function that gives why an export with a mistake, drawn from a seed, was not written."""

    def export(target: str, mistake: str, seed: int) -> str:
        generator = np.random.default_rng(seed)
        run_dir = tempered_run(generator)
        mistaken(MISTAKES[mistake](generator, target))
        with pytest.raises(ExportError) as caught:
            tellapart.export_model(run_dir, target, tmp_path / "exports/out")
        assert not (tmp_path / "exports").exists()
        return str(caught.value)

    return export


@pytest.mark.parametrize(("target", "mistake"), sorted(USUAL))
@pytest.mark.filterwarnings("ignore")
def test_a_wrong_export_is_found(
    target: str, mistake: str, installed: str, refused: Callable[[str, str, int], str]
) -> None:
    assert re.search(FOUND, refused(target, mistake, 0))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.filterwarnings("ignore")
def test_every_wrong_export_is_found(
    target: str, mistake: str, seed: int, installed: str, refused: Callable[[str, str, int], str]
) -> None:
    assert re.search(FOUND, refused(target, mistake, seed))
