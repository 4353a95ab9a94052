"""What libjpeg and libtiff print of damaged photos reaches nobody, and what others print is not lost."""

import contextlib
import io
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from tellapart.errors import ImageError
from tellapart.images.gate import convert_image, decode_image
from tellapart.native_stderr import NativeStderr

NOISE = np.random.default_rng(5).integers(0, 256, (64, 96, 3)).astype(np.uint8)


def encode(kind: str, **options: object) -> bytes:
    target = io.BytesIO()
    Image.fromarray(NOISE).save(target, kind, **options)
    return target.getvalue()


def damage(data: bytes, seed: int) -> bytes:
    """The file with some bytes behind its header changed."""
    rng = np.random.default_rng(seed)
    changed = np.frombuffer(data, np.uint8).copy()
    changed[rng.integers(len(data) // 3, len(data) - 200, 9)] = rng.integers(0, 256, 9)
    return changed.tobytes()


def try_to_decode(data: bytes) -> None:
    with contextlib.suppress(ImageError):
        decode_image(data)


DAMAGED = {
    "jpeg": [damage(encode("JPEG"), seed) for seed in range(20)],
    "jpeg progressive": [damage(encode("JPEG", progressive=True), seed) for seed in range(20)],
    "jpeg with bytes before a marker": [encode("JPEG").replace(b"\xff\xda", b"junk\xff\xda", 1)],
    "tiff lzw": [damage(encode("TIFF", compression="tiff_lzw"), seed) for seed in range(20)],
    "tiff deflate": [damage(encode("TIFF", compression="tiff_deflate"), seed) for seed in range(20)],
    "tiff jpeg": [damage(encode("TIFF", compression="jpeg"), seed) for seed in range(20)],
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_nothing_is_printed_of_damaged_photos(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    for data in DAMAGED[kind]:
        try_to_decode(data)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(try_to_decode, DAMAGED[kind]))
    assert capfd.readouterr() == ("", "")


def test_nothing_is_printed_of_a_damaged_image_that_pillow_has_opened(capfd: pytest.CaptureFixture[str]) -> None:
    for data in DAMAGED["tiff lzw"]:
        with contextlib.suppress(ImageError, OSError), Image.open(io.BytesIO(data)) as image:
            convert_image(image)
    assert capfd.readouterr() == ("", "")


def test_libjpeg_is_what_would_print(capfd: pytest.CaptureFixture[str]) -> None:
    import cv2

    cv2.imdecode(np.frombuffer(DAMAGED["jpeg with bytes before a marker"][0], np.uint8), cv2.IMREAD_COLOR)
    assert "Corrupt JPEG data" in capfd.readouterr().err


@pytest.mark.parametrize("is_libtiff", [False, True])
def test_what_others_print_in_the_meantime_is_passed_on(is_libtiff: bool, capfd: pytest.CaptureFixture[str]) -> None:
    with NativeStderr(is_libtiff=is_libtiff):
        os.write(2, b"epoch 1 of 9\nCorrupt JPEG data: 4 extraneous bytes\n")
    assert capfd.readouterr().err == "epoch 1 of 9\n"


def test_where_several_threads_decode_each_passes_on_what_was_printed(capfd: pytest.CaptureFixture[str]) -> None:
    inner_is_over, outer_may_end = threading.Event(), threading.Event()

    def outer() -> None:
        with NativeStderr():
            inner_is_over.wait(10)
            outer_may_end.wait(10)

    thread = threading.Thread(target=outer)
    thread.start()
    with NativeStderr():
        os.write(2, b"first\n")
    printed_while_inside = capfd.readouterr().err
    inner_is_over.set()
    os.write(2, b"second\n")
    outer_may_end.set()
    thread.join()
    assert (printed_while_inside, capfd.readouterr().err) == ("first\n", "second\n")


def test_the_descriptor_leads_where_it_led_before() -> None:
    before = os.fstat(2)
    with pytest.raises(ValueError, match="inside"), NativeStderr():
        raise ValueError("inside")
    after = os.fstat(2)
    assert (before.st_dev, before.st_ino) == (after.st_dev, after.st_ino)


def test_a_child_that_is_forked_while_a_photo_is_decoded_prints_where_its_parent_does(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with NativeStderr():
        child = os.fork()
        if child == 0:
            os.write(2, b"from the child\n")
            os._exit(0)
        os.waitpid(child, 0)
        printed = capfd.readouterr().err
    assert printed == "from the child\n"
