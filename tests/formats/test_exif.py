"""Camera and time are read from EXIF where they are told, and damage is never an error."""

import calendar
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from tellapart.formats.exif import Shot, add_shot, read_orientation, read_shot

NOON = calendar.timegm((2024, 5, 17, 12, 0, 0))


def exif_bytes(main: dict[int, str], inner: dict[int, str]) -> bytes:
    exif = Image.Exif()
    exif.update(main)
    exif.get_ifd(ExifTags.IFD.Exif).update(inner)
    return exif.tobytes()


def taken(text: str, fraction: str = "") -> float | None:
    inner = {ExifTags.Base.DateTimeOriginal: text, ExifTags.Base.SubsecTimeOriginal: fraction}
    return read_shot(exif_bytes({}, inner)).captured_at


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("Canon", "Canon EOS 5D", "Canon EOS 5D"),
        ("NIKON CORPORATION", "NIKON D90", "NIKON D90"),
        ("Google", "Pixel 7", "Google Pixel 7"),
        ("Apple", "", "Apple"),
        ("", "SM-G960F", "SM-G960F"),
        ("  Apple \x00junk", "iPhone  12", "Apple iPhone 12"),
    ],
)
def test_maker_and_model_are_one_name(make: str, model: str, camera: str) -> None:
    tags = {ExifTags.Base.Make: make, ExifTags.Base.Model: model}

    assert read_shot(exif_bytes(tags, {})).camera == camera


def test_the_time_of_the_shot_is_read_in_seconds() -> None:
    assert taken("2024:05:17 12:00:00") == NOON


def test_fractions_of_a_second_are_added() -> None:
    assert taken("2024:05:17 12:00:00", fraction="25") == NOON + 0.25


def test_the_time_of_digitizing_stands_in_for_that_of_the_shot() -> None:
    assert read_shot(exif_bytes({}, {ExifTags.Base.DateTimeDigitized: "2024:05:17 12:00:00"})).captured_at == NOON


@pytest.mark.parametrize("text", ["0000:00:00 00:00:00", "    :  :     :  :  ", "2024:13:01 00:00:00", "yesterday", ""])
def test_a_time_that_is_none_is_not_known(text: str) -> None:
    assert taken(text) is None


def test_no_exif_tells_nothing() -> None:
    assert (read_shot(b"").camera, read_shot(b"").captured_at) == (None, None)


@given(st.binary(max_size=200), st.integers(0, 150))
def test_damage_is_never_an_error(noise: bytes, start: int) -> None:
    whole = exif_bytes({ExifTags.Base.Make: "Canon"}, {ExifTags.Base.DateTimeOriginal: "2024:05:17 12:00:00"})

    read_shot(whole[:start] + noise)
    read_shot(b"Exif\x00\x00II*\x00" + noise)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("value", "orientation"), [*((number, number) for number in range(1, 9)), (0, 1), (9, 1)])
def test_the_orientation_is_read_in_both_byte_orders(value: int, orientation: int, order: str) -> None:
    exif = Image.Exif()
    exif.endian = order
    exif[ExifTags.Base.Orientation] = value

    assert read_orientation(exif.tobytes()) == orientation


def test_xmp_tells_the_orientation_where_exif_is_silent() -> None:
    xmp = b'<rdf tiff:Orientation="6"/>'
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3

    assert [read_orientation(block, xmp) for block in (b"", exif_bytes({}, {}), exif.tobytes())] == [6, 6, 3]


@given(st.binary(max_size=200))
def test_any_bytes_have_an_orientation(noise: bytes) -> None:
    assert read_orientation(b"II*\x00" + noise, noise) in range(1, 9)


@pytest.mark.parametrize("second", [0.0, 0.001, 0.25, 59.999])
@pytest.mark.parametrize("camera", ["Canon", "tellapart Studio", "a" * 63])
def test_a_shot_that_is_added_is_read_back(camera: str, second: float) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 10), (200, 0, 0)).save(buffer, "JPEG")
    shot = Shot(camera, 1_764_300_000 + second)
    added = add_shot(buffer.getvalue(), shot)
    with Image.open(io.BytesIO(added)) as image:
        found = read_shot(image.info["exif"])
        assert image.getpixel((1, 1)) == Image.open(buffer).getpixel((1, 1))
    assert (found.camera, found.captured_at) == (camera, pytest.approx(shot.captured_at, abs=0.0011))


@pytest.mark.parametrize("kind", ["PNG", "JPEG with a shot"])
def test_what_is_no_jpeg_or_has_a_shot_stays_as_it_is(kind: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 10)).save(buffer, kind[:4].strip())
    once = add_shot(buffer.getvalue(), Shot("a", 1e9))
    assert add_shot(once, Shot("b", 2e9)) == once
