"""The beginning of a file is enough to refuse what has too many pixels, and never refuses what would be decoded."""

import contextlib
import io

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from tellapart.config import ImageLimits
from tellapart.errors import ImageError
from tellapart.formats.photo_formats import sniff_format
from tellapart.formats.stated_size import stated_size
from tellapart.images.gate import check_head, decode_image, read_info

pillow_heif.register_heif_opener()

HEIGHT, WIDTH = 300, 420
STRICT = ImageLimits(max_pixels=HEIGHT * WIDTH - 1)
KINDS = {
    "JPEG": {},
    "progressive": {"format": "JPEG", "progressive": True},
    "PNG": {},
    "GIF": {},
    "WEBP": {},
    "lossless WEBP": {"format": "WEBP", "lossless": True},
    "extended WEBP": {"format": "WEBP", "exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"},
    "AVIF": {},
    "HEIF": {},
    "JPEG2000": {},
    "codestream": {"format": "JPEG2000", "no_jp2": True},
    "TIFF": {},
    "BMP": {},
}
# As decoders let a picture fill the last bytes of a file, all of them are needed to decode it.
MOST_HEAD_BYTES = 4096


def encode(kind: str) -> bytes:
    """A photo of noise, far larger than its header."""
    pixels = np.random.default_rng(len(kind)).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, **{"format": kind, **KINDS[kind]})
    return target.getvalue()


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_first_bytes_settle_that_a_photo_is_within_the_limits(kind: str) -> None:
    photo = encode(kind)
    assert len(photo) > 2 * MOST_HEAD_BYTES
    assert check_head(photo[:MOST_HEAD_BYTES])


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_first_bytes_refuse_too_many_pixels_in_the_words_of_the_decoder(kind: str) -> None:
    photo = encode(kind)
    with pytest.raises(ImageError, match=f"is too large: {WIDTH} x {HEIGHT} pixels") as early:
        check_head(photo[:MOST_HEAD_BYTES], STRICT)
    with pytest.raises(ImageError) as late:
        decode_image(photo, STRICT)
    assert str(early.value) == str(late.value)


@pytest.mark.parametrize("kind", list(KINDS))
def test_no_beginning_of_a_photo_refuses_it(kind: str) -> None:
    photo = encode(kind)
    settled = [check_head(photo[:length]) for length in range(MOST_HEAD_BYTES)]
    assert settled == sorted(settled)  # once settled, more of the photo changes nothing


@pytest.mark.parametrize("kind", [kind for kind in KINDS if KINDS[kind].get("format", kind) != "JPEG"])
def test_the_stated_size_is_that_of_the_decoded_photo(kind: str) -> None:
    photo = encode(kind)
    info = read_info(photo)
    assert stated_size(photo, str(sniff_format(photo[:64]))) == (info.height, info.width)


def test_a_jpeg_counts_with_the_pixels_that_are_decoded() -> None:
    head = encode("JPEG")[:MOST_HEAD_BYTES]
    assert check_head(head, STRICT, at_least=(32, 32))
    with pytest.raises(ImageError, match="is too large"):
        check_head(head, STRICT, at_least=(HEIGHT, WIDTH))


def test_a_directory_behind_the_pixels_is_waited_for() -> None:
    target = io.BytesIO()
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(target, "TIFF", compression="packbits")
    photo = target.getvalue()
    assert stated_size(photo[:100], "TIFF") is None
    assert not check_head(photo[:100], STRICT)


@pytest.mark.parametrize("words", [b"hello ", b"PK\x03\x04", b"%PDF-1.7 "])
def test_what_is_no_photo_is_refused_by_its_first_bytes(words: bytes) -> None:
    data = words * 9000
    assert not check_head(data[:100])
    with pytest.raises(ImageError) as early:
        check_head(data[:MOST_HEAD_BYTES])
    with pytest.raises(ImageError) as late:
        decode_image(data)
    assert str(early.value) == str(late.value)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_damaged_beginning_raises_nothing_but_a_refusal(kind: str) -> None:
    photo, chance = encode(kind)[:MOST_HEAD_BYTES], np.random.default_rng(1)
    for _ in range(200):
        damaged = np.frombuffer(photo, np.uint8).copy()
        damaged[chance.integers(0, 400, 6)] = chance.integers(0, 256, 6)
        with contextlib.suppress(ImageError):
            check_head(damaged[: chance.integers(1, MOST_HEAD_BYTES)].tobytes(), STRICT)
