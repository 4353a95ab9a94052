"""The export to LiteRT; `make test-exports` runs it, where TensorFlow is installed."""

from typing import TYPE_CHECKING

import pytest

import tellapart

if TYPE_CHECKING:
    from pathlib import Path

    from tellapart.runs.job import Run

pytest.importorskip("tensorflow", reason="tellapart[litert] is not installed")
pytest.importorskip("ai_edge_litert", reason="tellapart[litert] is not installed")


@pytest.mark.parametrize(("target", "largest"), [("litert", 1e-5), ("litert-int8", 0.25)])
def test_litert_answers_as_predict_does(target: str, largest: float, trained: "Run", tmp_path: "Path") -> None:
    done = tellapart.export_model(trained.run_dir, target, tmp_path / "out")
    assert "model.tflite" in done.files
    assert done.proof.runtime.startswith("ai-edge-litert ")
    assert done.proof.largest_difference <= largest


def test_int8_takes_a_third_of_the_room(trained: "Run", tmp_path: "Path") -> None:
    folders = [tellapart.export_model(trained.run_dir, to, tmp_path / to).folder for to in ("litert", "litert-int8")]
    sizes = [(folder / "model.tflite").stat().st_size for folder in folders]
    assert sizes[1] < sizes[0] / 3
