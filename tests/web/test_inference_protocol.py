"""The Open Inference Protocol v2, asked by Triton's own client over a real socket, and by hand."""

import base64
import json
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from tellapart.predict.model import load
from tellapart.web.refusals import RequestError
from tellapart.web.tensors import parse_request

Draw = Callable[..., bytes]
INFER = "/v2/models/colours/infer"


@pytest.fixture(scope="module")
def triton(
    folders: dict[str, Path], run_server: Callable[..., AbstractContextManager[tuple[str, int]]]
) -> Iterator[Any]:
    """Triton's client of a server that runs in a thread."""
    from tritonclient import http

    with (
        run_server(folders) as (host, port),
        http.InferenceServerClient(f"{host}:{port}", network_timeout=60, connection_timeout=60) as client,
    ):
        yield client


def photos_of(draw: Draw, num: int = 3) -> list[bytes]:
    return [draw(seed, (20 + seed, 30), kind) for seed, kind in zip(range(num), ("PNG", "JPEG", "WEBP"), strict=False)]


def ask(client: Any, name: str, data: np.ndarray, datatype: str, is_binary: bool = True, **settings: Any) -> Any:
    from tritonclient import http

    tensor = http.InferInput(name, list(data.shape), datatype)
    tensor.set_data_from_numpy(data, binary_data=is_binary)
    return client.infer("colours", [tensor], **settings)


def test_the_client_finds_server_and_models_ready(triton: Any) -> None:
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("colours")
    assert not triton.is_model_ready("other")
    assert triton.get_server_metadata()["extensions"] == ["binary_tensor_data"]


def test_the_client_reads_what_a_model_takes(triton: Any) -> None:
    metadata = triton.get_model_metadata("colours")
    assert {one["name"]: one["shape"] for one in metadata["inputs"]} == {"image": [-1, 4, 6, 3], "photo": [-1]}
    assert {one["name"]: one["shape"] for one in metadata["outputs"]} == {"probabilities": [-1, 3], "answer": [-1]}
    assert triton.is_model_ready("colours", metadata["versions"][0])
    assert not triton.is_model_ready("colours", "7")


@pytest.mark.parametrize("is_binary", [True, False], ids=["binary", "JSON"])
def test_images_are_answered_as_by_the_model(is_binary: bool, triton: Any, folders: dict[str, Path]) -> None:
    images = np.random.default_rng(5).integers(0, 256, (4, 4, 6, 3), dtype=np.uint8)
    answer = ask(triton, "image", images, "UINT8", is_binary)
    expected = load(folders["colours"]).predict_proba(images)
    np.testing.assert_allclose(answer.as_numpy("probabilities"), expected, atol=1e-6)


@pytest.mark.parametrize("is_binary", [True, False], ids=["binary", "JSON"])
def test_photos_are_decoded_by_our_gate(is_binary: bool, triton: Any, draw: Draw, folders: dict[str, Path]) -> None:
    photos = photos_of(draw)
    data = photos if is_binary else [base64.b64encode(photo) for photo in photos]
    answer = ask(triton, "photo", np.array(data, object), "BYTES", is_binary)
    expected = list(load(folders["colours"]).predict(photos))
    np.testing.assert_allclose(
        answer.as_numpy("probabilities"), [prediction.probabilities for prediction in expected], atol=1e-6
    )
    assert [one.decode() for one in answer.as_numpy("answer")] == [prediction.answer for prediction in expected]


@pytest.mark.parametrize("is_binary", [True, False], ids=["binary", "JSON"])
def test_only_the_outputs_that_are_asked_for_are_given(is_binary: bool, triton: Any, draw: Draw) -> None:
    from tritonclient import http

    wanted = [http.InferRequestedOutput("answer", binary_data=is_binary)]
    answer = ask(triton, "photo", np.array(photos_of(draw), object), "BYTES", outputs=wanted, request_id="7")
    assert [one["name"] for one in answer.get_response()["outputs"]] == ["answer"]
    assert answer.as_numpy("answer").shape == (3,)
    assert answer.get_response()["id"] == "7"


def test_the_client_is_told_what_is_wrong(triton: Any, draw: Draw) -> None:
    from tritonclient.utils import InferenceServerException

    with pytest.raises(InferenceServerException, match="is cut off"):
        ask(triton, "photo", np.array([draw(1), draw(2)[:100]], object), "BYTES")
    with pytest.raises(InferenceServerException, match="the model takes"):
        ask(triton, "image", np.zeros((1, 5, 6, 3), np.uint8), "UINT8")


def tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "image", "datatype": "UINT8", "shape": [1, 4, 6, 3], "data": [7] * 72} | changes


WRONG: dict[str, tuple[Any, str]] = {
    "no object": ([], "no JSON object"),
    "no inputs": ({}, "'inputs' is missing"),
    "two inputs": ({"inputs": [tensor(), tensor()]}, "must hold one tensor"),
    "another input": ({"inputs": [tensor(name="pixels")]}, "Give image or photo"),
    "another type": ({"inputs": [tensor(datatype="FP32")]}, "UINT8"),
    "no shape": ({"inputs": [tensor(shape=[])]}, "no batch axis"),
    "a negative side": ({"inputs": [tensor(shape=[-1, 4, 6, 3])]}, "whole number"),
    "a shape that does not fit": ({"inputs": [tensor(shape=[2, 4, 6, 3])]}, "does not fit 72 numbers"),
    "fractions": ({"inputs": [tensor(data=[0.5] * 72)]}, "whole and from 0 to 255"),
    "large numbers": ({"inputs": [tensor(data=[256] * 72)]}, "whole and from 0 to 255"),
    "no numbers": ({"inputs": [tensor(data=[])]}, "whole and from 0 to 255"),
    "ragged": ({"inputs": [tensor(data=[[1, 2], [3]])]}, "inference protocol"),
    "no base64": ({"inputs": [tensor(name="photo", datatype="BYTES", shape=[1], data=["*"])]}, "in base64"),
    "too few photos": ({"inputs": [tensor(name="photo", datatype="BYTES", shape=[2], data=["AA=="])]}, "fit 1 photos"),
    "another output": ({"inputs": [tensor()], "outputs": [{"name": "logits"}]}, "Give probabilities or answer"),
    "shared memory": (
        {"inputs": [tensor(parameters={"shared_memory_region": "a"})]},
        "shared memory is not read",
    ),
    "no bytes": ({"inputs": [tensor(parameters={"binary_data_size": 72})]}, "0 bytes are behind the JSON"),
}


@pytest.mark.parametrize(("described", "words"), list(WRONG.values()), ids=list(WRONG))
def test_a_wrong_request_is_refused_with_the_reason(described: Any, words: str, colours: TestClient) -> None:
    answer = colours.post(INFER, json=described)
    assert (answer.status_code, words in answer.json()["error"]) == (400, True), answer.text


@pytest.mark.parametrize("length", ["-1", "x", "1000000", "3"])
def test_a_wrong_length_of_the_json_is_refused(length: str, colours: TestClient) -> None:
    body = json.dumps({"inputs": [tensor()]}).encode()
    answer = colours.post(INFER, content=body, headers={"inference-header-content-length": length})
    assert answer.status_code == 400


def test_too_many_photos_are_refused(colours: TestClient) -> None:
    answer = colours.post(INFER, json={"inputs": [tensor(shape=[1000, 4, 6, 3])]})
    assert (answer.status_code, "at most 64 are taken" in answer.json()["error"]) == (413, True)


def test_a_version_that_is_not_there_is_refused(colours: TestClient) -> None:
    (version,) = colours.get("/v2/models/colours").json()["versions"]
    body = {"inputs": [tensor()]}
    assert colours.post(f"/v2/models/colours/versions/{version}/infer", json=body).status_code == 200
    assert colours.post("/v2/models/colours/versions/1/infer", json=body).status_code == 404
    assert colours.post("/v2/models/pets/infer", json=body).status_code == 404


@settings(max_examples=60, deadline=None)
@given(photos=st.lists(st.binary(max_size=20), min_size=1, max_size=5))
def test_bytes_come_out_as_they_went_in(photos: list[bytes]) -> None:
    behind = b"".join(struct.pack("<I", len(photo)) + photo for photo in photos)
    described = tensor(
        name="photo", datatype="BYTES", shape=[len(photos)], parameters={"binary_data_size": len(behind)}
    )
    del described["data"]
    text = json.dumps({"inputs": [described]}).encode()
    assert parse_request(text + behind, str(len(text)), 64).photos == tuple(photos)
    with pytest.raises(RequestError):
        parse_request(text + behind[:-1], str(len(text)), 64)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
TENSOR = st.fixed_dictionaries(
    {"name": st.sampled_from(["image", "photo"]), "datatype": st.sampled_from(["UINT8", "BYTES"])},
    optional={"shape": JSON | st.lists(st.integers(-1, 3), max_size=3), "data": JSON, "parameters": JSON},
)


def num_taken(body: bytes, length: str | None) -> int | None:
    """How many images and photos a request holds; `None` where it is refused as the client's mistake."""
    try:
        asked = parse_request(body, length, 64)
    except RequestError as exc:
        return None if exc.status in (400, 413) else 0
    return len(asked.images) + len(asked.photos)


@settings(max_examples=200, deadline=None)
@given(inputs=st.lists(TENSOR | JSON, max_size=2) | JSON, outputs=JSON, length=st.none() | st.text(max_size=3))
def test_whatever_is_sent_is_a_request_or_refused(inputs: Any, outputs: Any, length: str | None) -> None:
    body = json.dumps({"inputs": inputs, "outputs": outputs}).encode()
    assert num_taken(body, length) != 0
