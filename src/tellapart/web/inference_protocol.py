"""The Open Inference Protocol v2, as KServe, Triton and their clients speak it.

A model takes one of two inputs: `image`, pixels as the model sees them, or `photo`, files that our gate decodes.
"""

import functools
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from tellapart.errors import DatasetError
from tellapart.translation import gettext as _
from tellapart.web.predict_routes import refusals
from tellapart.web.refusals import RequestError
from tellapart.web.served_models import PhotoAnswer, ServedModel
from tellapart.web.service_state import ServiceState
from tellapart.web.tensors import (
    ANSWER,
    IMAGE,
    PHOTO,
    PROBABILITIES,
    InferRequest,
    find_first_photo,
    parse_request,
    write_response,
)

_LENGTH_HEADER = "inference-header-content-length"
_NAME = {"type": "string"}
_TENSOR = {
    "type": "object",
    "required": ["name", "shape", "datatype"],
    "properties": {
        "name": {"enum": [IMAGE, PHOTO]},
        "datatype": {"enum": ["UINT8", "BYTES"]},
        "shape": {"type": "array", "items": {"type": "integer"}},
        "data": {"type": "array"},
        "parameters": {"type": "object"},
    },
}
_REQUEST = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": _NAME,
        "inputs": {"type": "array", "items": _TENSOR, "minItems": 1, "maxItems": 1},
        "outputs": {"type": "array", "items": {"type": "object", "required": ["name"], "properties": {"name": _NAME}}},
        "parameters": {"type": "object"},
    },
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": _REQUEST},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


class ServerMetadata(BaseModel):
    """What the server is, in the protocol's words."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    """A tensor, in the protocol's words; -1 is any size."""

    name: str
    datatype: str
    shape: list[int]


class ModelMetadata(BaseModel):
    """What a model takes and gives, in the protocol's words."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata] = Field(description="A request gives one of them.")
    outputs: list[TensorMetadata]


class LiveAnswer(BaseModel):
    """That the server runs."""

    live: bool


class ReadyAnswer(BaseModel):
    """That the server, or a model of it, can answer."""

    ready: bool


class InferAnswer(BaseModel):
    """The outputs of a model, in the protocol's words."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[dict[str, Any]]


def make_protocol_routes(state: ServiceState, version: str) -> APIRouter:
    """The routes, answering from `state`; `version` is that of tellapart."""
    router = APIRouter(prefix="/v2")

    @router.get("", response_model=ServerMetadata, responses=refusals())
    async def server() -> ServerMetadata:
        """Say what the server is."""
        return ServerMetadata(name="tellapart", version=version, extensions=["binary_tensor_data"])

    @router.get("/health/live", response_model=LiveAnswer, responses=refusals())
    async def live() -> LiveAnswer:
        """Say that the server runs."""
        return LiveAnswer(live=True)

    @router.get("/health/ready", response_model=ReadyAnswer, responses=refusals())
    async def ready() -> ReadyAnswer:
        """Say that all models can answer."""
        return ReadyAnswer(ready=True)

    def find(name: str, version: str | None) -> ServedModel:
        served = state.models.get(name)
        if version not in (None, served.version):
            message = _("Model {name!r} has version {found}, and not {version!r}.")
            raise RequestError(
                404, message.format(name=name, found=served.version, version=str(version)[:64]), reason="no model"
            )
        return served

    @router.get("/models/{name}", response_model=ModelMetadata, responses=refusals(404))
    @router.get("/models/{name}/versions/{version}", response_model=ModelMetadata, responses=refusals(404))
    async def metadata(name: str, version: str | None = None) -> ModelMetadata:
        """Say what a model takes and gives."""
        return _describe(find(name, version))

    @router.get("/models/{name}/ready", response_model=ReadyAnswer, responses=refusals(404))
    @router.get("/models/{name}/versions/{version}/ready", response_model=ReadyAnswer, responses=refusals(404))
    async def model_ready(name: str, version: str | None = None) -> ReadyAnswer:
        """Say that a model can answer."""
        find(name, version)
        return ReadyAnswer(ready=True)

    documented = {"response_model": InferAnswer, "responses": refusals(404, 408, 413, 415, 422), "openapi_extra": _BODY}

    @router.post("/models/{name}/infer", **documented)  # type: ignore[arg-type]
    @router.post("/models/{name}/versions/{version}/infer", **documented)  # type: ignore[arg-type]
    async def infer(request: Request, name: str, version: str | None = None) -> Response:
        """Classify photos, or images that are already at the size of the model."""
        served = find(name, version)
        state.queue.check()
        length = request.headers.get(_LENGTH_HEADER)

        def look(head: bytes) -> bool:
            photo = find_first_photo(head, length)
            return photo is None or served.check_head(photo, state.limits.image_limits)

        async with state.bodies.read(request, look) as body:
            state.queue.check()
            parse = functools.partial(parse_request, body, length, state.limits.max_photos)
            (asked,) = await state.work(request, [parse])
            answers = await state.work(request, _works(state, served, asked))
        state.count_answers(served, answers)
        return _respond(served, asked, answers)

    return router


def _works(state: ServiceState, served: ServedModel, asked: InferRequest) -> list[functools.partial[PhotoAnswer]]:
    """A job for each image or photo."""
    for image in asked.images:
        if image.shape != served.model.preprocess.shape:
            raise DatasetError(
                _(
                    "The images have the shape {found}, and the model takes {wanted}. Send files as photo instead."
                ).format(found=image.shape, wanted=served.model.preprocess.shape)
            )
    limits = state.limits.image_limits
    photos = [functools.partial(served.answer_photo, photo, served.maker, limits) for photo in asked.photos]
    return photos + [functools.partial(served.answer_image, image, served.maker) for image in asked.images]


def _respond(served: ServedModel, asked: InferRequest, answers: list[PhotoAnswer]) -> Response:
    head: dict[str, Any] = {"model_name": served.name, "model_version": served.version}
    if asked.request_id is not None:
        head["id"] = asked.request_id
    probabilities = np.array([answer.prediction.probabilities for answer in answers], np.float32)
    body, num_json = write_response(
        head, asked.outputs, probabilities, [answer.prediction.answer for answer in answers]
    )
    if num_json is None:
        return Response(body, media_type="application/json")
    return Response(body, media_type="application/octet-stream", headers={_LENGTH_HEADER: str(num_json)})


def _describe(served: ServedModel) -> ModelMetadata:
    num_classes = len(served.model.class_names)
    return ModelMetadata(
        name=served.name,
        versions=[served.version],
        platform="tellapart_onnx",
        inputs=[
            TensorMetadata(name=IMAGE, datatype="UINT8", shape=[-1, *served.model.preprocess.shape]),
            TensorMetadata(name=PHOTO, datatype="BYTES", shape=[-1]),
        ],
        outputs=[
            TensorMetadata(name=PROBABILITIES, datatype="FP32", shape=[-1, num_classes]),
            TensorMetadata(name=ANSWER, datatype="BYTES", shape=[-1]),
        ],
    )
