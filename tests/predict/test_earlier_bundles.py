"""Bundles of earlier versions answer as they did: `schema2/` was written by one, and its answers by its own model."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tellapart.images.depth import SampleDepths
from tellapart.predict.model import load

SCHEMA_2 = Path(__file__).parent / "schema2"
ANSWERS: list[dict[str, Any]] = json.loads((SCHEMA_2 / "answers.json").read_text())


def drawn_photo(number: int) -> bytes:
    """Noise, every other photo with a gamma that the bundle's training did not look at."""
    shape = ANSWERS[number]["shape"]
    pixels = np.random.default_rng(sum(shape)).integers(0, 256, (*shape, 3)).astype(np.uint8)
    chunks, file = PngInfo(), io.BytesIO()
    for gamma in [100_000][: number % 2]:
        chunks.add(b"gAMA", gamma.to_bytes(4, "big"))
    Image.fromarray(pixels).save(file, "PNG", pnginfo=chunks)
    return file.getvalue()


@pytest.mark.parametrize("number", range(len(ANSWERS)), ids=[str(answer["shape"]) for answer in ANSWERS])
def test_a_bundle_of_schema_2_answers_as_before(number: int) -> None:
    (prediction,) = load(SCHEMA_2).predict(drawn_photo(number))

    np.testing.assert_allclose(prediction.probabilities, ANSWERS[number]["probabilities"], rtol=0, atol=1e-6)


def test_a_bundle_of_schema_2_sees_photos_as_decoder_2_does() -> None:
    spec = load(SCHEMA_2).preprocess

    assert (spec.decoder, spec.is_managed, spec.depths) == (2, False, SampleDepths())
