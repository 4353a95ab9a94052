import io

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from tellapart.formats.png_chunks import has_colours_in_numbers

SRGB = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
WIDE = (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)


def png(primaries: tuple[float, ...] | None = None, gamma: float | None = None, profile: bytes = b"") -> bytes:
    info, buffer = PngInfo(), io.BytesIO()
    if primaries is not None:
        info.add(b"cHRM", b"".join(round(one * 100_000).to_bytes(4, "big") for one in primaries))
    if gamma is not None:
        info.add(b"gAMA", round(gamma * 100_000).to_bytes(4, "big"))
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG", pnginfo=info, **({"icc_profile": profile} if profile else {}))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("photo", "is_so"),
    [
        (png(), False),
        (png(SRGB), False),
        (png(SRGB, 0.45455), False),
        (png(WIDE), True),
        (png(WIDE, 0.45455), True),
        (png(gamma=1.0), True),
        (png(WIDE, profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()), False),
        (b"no PNG", False),
    ],
)
def test_colours_of_a_png_are_in_numbers_without_a_profile_alone(photo: bytes, is_so: bool) -> None:
    assert has_colours_in_numbers(photo) == is_so
