"""The export to LiteRT; `make test-exports` runs it, where TensorFlow is installed."""

from functools import cache
from typing import TYPE_CHECKING

import pytest

import tellapart

if TYPE_CHECKING:
    from collections.abc import Callable

    from tellapart.export.export_model import Export
    from tellapart.runs.job import Run

pytest.importorskip("tensorflow", reason="tellapart[litert] is not installed")
pytest.importorskip("ai_edge_litert", reason="tellapart[litert] is not installed")


@pytest.fixture(scope="module")
def litert(trained: "Run", tmp_path_factory: pytest.TempPathFactory) -> "Callable[[str], Export]":
    """A function from a target to an export, made once: TensorFlow takes a quarter of a minute to convert."""
    out = tmp_path_factory.mktemp("litert")
    return cache(lambda target: tellapart.export_model(trained.run_dir, target, out / target))


@pytest.mark.parametrize(("target", "largest"), [("litert", 1e-5), ("litert-int8", 0.25)])
def test_litert_answers_as_predict_does(target: str, largest: float, litert: "Callable[[str], Export]") -> None:
    done = litert(target)
    assert "model.tflite" in done.files
    assert done.proof.runtime.startswith("ai-edge-litert ")
    assert done.proof.largest_difference <= largest


def test_int8_takes_a_third_of_the_room(litert: "Callable[[str], Export]") -> None:
    sizes = [(litert(target).folder / "model.tflite").stat().st_size for target in ("litert", "litert-int8")]
    assert sizes[1] < sizes[0] / 3
