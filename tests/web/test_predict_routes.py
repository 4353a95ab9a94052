"""`/predict`, `/models` and `/healthz`: the answers of `tellapart predict`, and one line of JSON for what is wrong."""

import asyncio
import base64
import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import pytest
from fastapi import Request
from fastapi.testclient import TestClient

from tellapart.errors import ImageError
from tellapart.images.preprocess import PreprocessSpec
from tellapart.measure.scores import SelectivePoint
from tellapart.predict.bundle import Bundle, write_bundle
from tellapart.predict.model import Model, load
from tellapart.records import Dial
from tellapart.web.refusals import RequestError
from tellapart.web.request_body import BodyReader, find_photo_head
from tellapart.web.serve_config import ServeConfig, ServeLimits

SHARED = Path(__file__).parents[2] / "../shared"
CASES, PHOTOS = SHARED / "cases", SHARED / "data/weather"
KINDS = ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "JPEG2000", "TIFF", "BMP", "HEIF"]
Draw = Callable[..., bytes]

pillow_heif.register_heif_opener()


def png_of(height: int, width: int) -> bytes:
    """A PNG whose header states this size, with hardly any data."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    ]
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("kind", KINDS)
def test_a_photo_is_answered_as_by_predict(
    kind: str, draw: Draw, folders: dict[str, Path], colours: TestClient
) -> None:
    photos = [draw(seed, size, kind) for seed, size in enumerate([(30, 40), (200, 64), (4, 6), (7, 300)])]
    expected = list(load(folders["colours"]).predict(photos))
    for photo, prediction in zip(photos, expected, strict=True):
        answer = colours.post("/predict", content=photo).json()
        assert (answer["answer"], answer["class"]) == (prediction.answer, prediction.class_name)
        np.testing.assert_allclose(list(answer["probabilities"].values()), prediction.probabilities, atol=1e-6)
        assert answer["probability"] == pytest.approx(prediction.probability, abs=1e-6)


def said_by(model: Model, data: bytes) -> list[float] | str:
    """What the model says of a photo as a list of probabilities, or why it cannot be read."""
    try:
        return [float(number) for number in model.predict_proba(model.preprocess.load(data))[0]]
    except ImageError as exc:
        return f"The photo {str(exc).rstrip('.')}."


@pytest.mark.real_data
@pytest.mark.skipif(not PHOTOS.is_dir(), reason="the photos are not here")
def test_two_hundred_photos_are_answered_as_by_predict(
    tmp_path: Path, make_bundle: Callable[..., Bundle], open_client: Callable[..., TestClient]
) -> None:
    write_bundle(tmp_path / "m", make_bundle(preprocess=PreprocessSpec((96, 128))))
    paths = sorted(PHOTOS.glob("*/*.jp*g"))
    photos = [path.read_bytes() for path in paths[:: max(1, len(paths) // 200)]][:200]
    assert len(photos) == 200
    expected = [prediction.probabilities for prediction in load(tmp_path / "m").predict(photos)]
    with open_client({"m": tmp_path / "m"}) as client:
        answers = [client.post("/predict", content=photo).json()["probabilities"] for photo in photos]
    np.testing.assert_allclose([list(answer.values()) for answer in answers], expected, rtol=0, atol=1e-6)


@pytest.mark.real_data
@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not here")
def test_every_case_is_answered_or_refused_as_by_predict(folders: dict[str, Path], colours: TestClient) -> None:
    model = load(folders["colours"])
    photos = [path.read_bytes() for path in sorted(CASES.rglob("*")) if path.is_file() and path.stat().st_size < 2e7]
    assert photos
    for photo in photos:
        answer, expected = colours.post("/predict", content=photo).json(), said_by(model, photo)
        found = answer.get("error") or list(answer["probabilities"].values())
        assert found == (expected if isinstance(expected, str) else pytest.approx(expected, abs=1e-6))


@pytest.mark.parametrize("name", ["photo", "file", "anything"])
def test_a_form_with_one_file_is_answered_as_the_photo_itself(name: str, draw: Draw, colours: TestClient) -> None:
    raw = colours.post("/predict", content=draw(1)).json()
    form = colours.post("/predict", files={name: ("a.png", draw(1), "text/plain")}, data={"note": "mine"}).json()
    assert form == raw


@pytest.mark.parametrize("kind", ["image/jpeg", "text/plain", "application/json", "application/x-www-form-urlencoded"])
def test_the_content_says_what_a_photo_is_and_not_its_header(kind: str, draw: Draw, colours: TestClient) -> None:
    answer = colours.post("/predict", content=draw(1), headers={"content-type": kind})
    assert answer.json() == colours.post("/predict", content=draw(1)).json()


def test_the_model_is_chosen_by_name(draw: Draw, client: TestClient, folders: dict[str, Path]) -> None:
    for name, folder in folders.items():
        answer = client.post("/predict", params={"model": name}, content=draw(2)).json()
        assert (answer["model"], tuple(answer["probabilities"])) == (name, load(folder).class_names)


def test_a_heat_map_is_a_picture_where_it_is_asked_for(draw: Draw, client: TestClient) -> None:
    answer = client.post("/predict?model=maps&heatmap=1", content=draw(3, (40, 60))).json()
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(answer["heatmap"]), np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    assert picture.shape[2] == 4
    assert "heatmap" not in client.post("/predict?model=maps", content=draw(3)).json()


def test_a_model_may_be_not_sure_at_the_rate_of_the_server_or_of_the_request(
    draw: Draw, tmp_path: Path, make_bundle: Callable[..., Bundle], open_client: Callable[..., TestClient]
) -> None:
    points = (SelectivePoint(0.0, 100, 30), SelectivePoint(0.999, 2, 0))
    write_bundle(tmp_path / "m", make_bundle(selective=points))
    expected = list(load(tmp_path / "m").predict(draw(4), not_sure=0.1))
    assert expected[0].answer == "not sure"
    with open_client({"m": tmp_path / "m"}, config=ServeConfig(not_sure=0.1)) as strict:
        answer = strict.post("/predict", content=draw(4)).json()
        assert (answer["answer"], answer["class"], answer["probability"]) == ("not sure", None, None)
        assert strict.post("/predict?not_sure=0.9", content=draw(4)).json()["class"] == answer["nearest_class"]
    with open_client({"m": tmp_path / "m"}) as lenient:
        assert lenient.post("/predict?not_sure=0.1", content=draw(4)).json()["answer"] == "not sure"


def test_the_dial_of_a_bundle_is_obeyed(
    draw: Draw, tmp_path: Path, make_bundle: Callable[..., Bundle], open_client: Callable[..., TestClient]
) -> None:
    write_bundle(tmp_path / "m", make_bundle(dial=Dial("red", 0.01)))
    photos = [draw(seed) for seed in range(8)]
    expected = list(load(tmp_path / "m").predict(photos))
    assert any(prediction.by_dial for prediction in expected)
    with open_client({"m": tmp_path / "m"}) as client:
        answers = [client.post("/predict", content=photo).json() for photo in photos]
    found = [(one["answer"], one["probability"], one["nearest_class"]) for one in answers]
    assert found == [(one.answer, pytest.approx(one.probability), one.nearest_class) for one in expected]


def zipped(photo: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.png", photo)
    return buffer.getvalue()


SPOILT = {
    "empty": (lambda photo: b"", 400, "is empty"),
    "rubbish": (lambda photo: bytes(range(256)) * 9, 415, "The photo is"),
    "text": (lambda photo: b"hello, I am no photo", 415, "The photo is"),
    "a zip": (zipped, 415, "zip"),
    "cut off": (lambda photo: photo[: len(photo) // 2], 422, "cut off"),
    "damaged": (lambda photo: photo[:40] + bytes(60) + photo[100:], 422, "PNG"),
    "200 megapixels": (lambda photo: png_of(10_000, 20_000), 422, "is too large: 20000 x 10000 pixels"),
}


@pytest.mark.parametrize(("spoil", "status", "words"), list(SPOILT.values()), ids=list(SPOILT))
def test_what_is_no_photo_gets_one_line_with_the_reason(
    spoil: Callable[[bytes], bytes], status: int, words: str, draw: Draw, colours: TestClient
) -> None:
    answer = colours.post("/predict", content=spoil(draw(5)))
    assert answer.status_code == status
    assert list(answer.json()) == ["error"]
    assert words in answer.json()["error"]
    assert "\n" not in answer.json()["error"]
    assert colours.post("/predict", content=draw(5)).status_code == 200


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/predict?model=colour", 404, "Did you mean 'colours'"),
        ("/predict", 400, "Give `model`, one of: colours, maps"),
        ("/predict?model=maps&heatmap=perhaps", 400, "`heatmap` is wrong"),
        ("/predict?model=colours&heatmap=1", 400, "leave `heatmap` out"),
        ("/predict?model=colours&not_sure=2", 400, "`not_sure` 2.0 must be above 0 and below 1"),
        ("/predict?model=colours&not_sure=nan", 400, "`not_sure` nan must be above 0 and below 1"),
        ("/predict?model=colours&none_of_these=0.1", 400, "leave `none_of_these` out"),
        ("/predicted", 404, "There is nothing at '/predicted'"),
        ("/models", 405, "does not take POST"),
    ],
)
def test_a_wrong_question_is_refused_with_what_to_give(
    path: str, status: int, words: str, draw: Draw, client: TestClient
) -> None:
    answer = client.post(path, content=draw(6))
    assert (answer.status_code, words in answer.json()["error"]) == (status, True), answer.text


def test_two_photos_in_one_form_are_refused(draw: Draw, colours: TestClient) -> None:
    answer = colours.post("/predict", files=[("a", ("a.png", draw(1))), ("b", ("b.png", draw(2)))])
    assert (answer.status_code, answer.json()["error"]) == (400, "The form has 2 photos. Send one photo a request.")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b"no form"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nhalf'),
        ("multipart/form-data; boundary=x", b"--x--\r\n"),
    ],
    ids=["no boundary", "no form", "cut off", "no part"],
)
def test_a_broken_form_is_refused(kind: str, body: bytes, colours: TestClient) -> None:
    answer = colours.post("/predict", content=body, headers={"content-type": kind})
    assert (answer.status_code, "The form" in answer.json()["error"]) == (400, True)


def test_a_compressed_body_is_refused(draw: Draw, colours: TestClient) -> None:
    answer = colours.post("/predict", content=zlib.compress(draw(1)), headers={"content-encoding": "deflate"})
    assert (answer.status_code, "compressed" in answer.json()["error"]) == (415, True)


@pytest.mark.parametrize("is_declared", [True, False], ids=["declared", "in chunks"])
def test_a_body_beyond_the_limit_is_refused(
    is_declared: bool, folders: dict[str, Path], open_client: Callable[..., TestClient]
) -> None:
    body = bytes(3000)
    content = body if is_declared else (body[start : start + 100] for start in range(0, 3000, 100))
    with open_client({"m": folders["colours"]}, ServeLimits(max_bytes=2000)) as client:
        answer = client.post("/predict", content=content)
    assert (answer.status_code, "at most 2,000 bytes" in answer.json()["error"]) == (413, True)


def chunked_request(body: bytes, size: int, content_type: str = "image/png") -> tuple[Request, list[int]]:
    """A request whose body arrives in parts of that size, and how many bytes of it were asked for, part by part."""
    asked: list[int] = []
    headers = [(b"content-length", b"%d" % len(body)), (b"content-type", content_type.encode())]

    async def receive() -> dict[str, object]:
        start = sum(asked)
        asked.append(len(body[start : start + size]))
        return {"type": "http.request", "body": body[start : start + size], "more_body": start + size < len(body)}

    return Request({"type": "http", "method": "POST", "headers": headers}, receive), asked


async def read_whole(request: Request, check_head: Callable[[bytes], bool]) -> int:
    async with BodyReader(2**26, 2**28).read(request, check_head) as body:
        return len(body)


def test_a_body_is_looked_at_while_it_arrives_and_refused_there() -> None:
    def look(head: bytes) -> bool:
        if len(head) < 3000:
            return False
        raise RequestError(422, "too many pixels")

    request, asked = chunked_request(bytes(10_000_000), 1000)
    with pytest.raises(RequestError, match="too many pixels"):
        asyncio.run(read_whole(request, look))
    assert sum(asked) == 4000


def test_a_body_is_looked_at_a_few_times_only() -> None:
    seen: list[int] = []
    request, _asked = chunked_request(bytes(5_000_000), 1000)
    assert asyncio.run(read_whole(request, lambda head: bool(seen.append(len(head))))) == 5_000_000
    assert seen == [*(1000 * 4**power for power in range(6)), 1024**2]


def test_a_body_that_is_settled_is_looked_at_no_more() -> None:
    seen: list[int] = []
    request, _asked = chunked_request(bytes(500_000), 1000)
    asyncio.run(read_whole(request, lambda head: not seen.append(len(head))))
    assert seen == [1000]


@pytest.mark.parametrize("size", [400, 8000])
def test_the_photo_in_a_form_is_found_in_its_beginning(size: int) -> None:
    photo = bytes(range(256)) * 40
    form = b'--x\r\nContent-Disposition: form-data; name="note"\r\n\r\nmine\r\n'
    form += b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a.png"\r\n\r\n' + photo + b"\r\n--x--\r\n"
    found = find_photo_head(form[:size], "multipart/form-data; boundary=x")
    assert 0 < size - len(found) < 200
    assert photo.startswith(found)


def test_uploads_together_have_a_limit(folders: dict[str, Path], open_client: Callable[..., TestClient]) -> None:
    limits = ServeLimits(max_bytes=2000, max_buffered_bytes=2000)
    with open_client({"m": folders["colours"]}, limits) as client:
        client.app.state.service.bodies.num_buffered_bytes = 1000  # type: ignore[attr-defined]
        answer = client.post("/predict", content=bytes(1500))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert client.app.state.service.bodies.num_buffered_bytes == 1000  # type: ignore[attr-defined]


def test_the_models_are_listed(client: TestClient, folders: dict[str, Path]) -> None:
    models = client.get("/models").json()["models"]
    assert [one["name"] for one in models] == list(folders)
    assert [one["classes"] for one in models] == [["blue", "green", "red"], ["blue", "red"]]
    assert [one["has_heatmaps"] for one in models] == [False, True]


def test_health_needs_no_photo(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
