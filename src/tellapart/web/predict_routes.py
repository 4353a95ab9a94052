"""`/predict`, `/models` and `/healthz`: a photo in, what the model says of it out."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from tellapart.web.request_body import find_photo, find_photo_head
from tellapart.web.served_models import PhotoAnswer, ServedModel
from tellapart.web.service_state import ServiceState


class ErrorAnswer(BaseModel):
    """What every refusal holds."""

    error: str = Field(description="What was wrong, and what to send instead, in one line.")


class PredictionAnswer(BaseModel):
    """What a model says of one photo."""

    model: str
    version: str = Field(description="Of the bundle; changes with its content.")
    answer: str = Field(description="The class, or `not sure` or `none of these`.")
    class_name: str | None = Field(alias="class", description="Null where the model does not answer.")
    probability: float | None = Field(description="Of the class; null where the model does not answer.")
    nearest_class: str = Field(description="The class with the highest probability, whether or not it is an answer.")
    probabilities: dict[str, float] = Field(description="Of each class, summing to 1.")
    distance: float | None = Field(description="How unlike the training photos it is; null where it cannot tell.")
    heatmap: str | None = Field(None, description="PNG in base64, square and transparent: stretch it over the photo.")


class ModelAnswer(BaseModel):
    """A model that is served."""

    name: str
    version: str
    classes: list[str]
    image_size: list[int] = Field(description="Height and width that a photo is resized to.")
    has_heatmaps: bool
    not_sure: bool = Field(description="Whether the server lets it answer `not sure`.")
    none_of_these: bool = Field(description="Whether the server lets it answer `none of these`.")


class ModelsAnswer(BaseModel):
    """All models that are served."""

    models: list[ModelAnswer]


class HealthAnswer(BaseModel):
    """That the server is well."""

    status: str


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Statuses of refusals as FastAPI documents them, besides those that every route may give."""
    return {status: {"model": ErrorAnswer} for status in (400, 401, 403, 421, 500, 503, *statuses)}


_PHOTO = {"schema": {"type": "string", "format": "binary"}}
_FORM = {
    "schema": {"type": "object", "required": ["photo"], "properties": {"photo": {"type": "string", "format": "binary"}}}
}
_BODY = {
    "requestBody": {"required": True, "content": {"application/octet-stream": _PHOTO, "multipart/form-data": _FORM}}
}


def make_predict_routes(state: ServiceState) -> APIRouter:
    """The routes, answering from `state`."""
    router = APIRouter()

    @router.post(
        "/predict", response_model=PredictionAnswer, responses=refusals(404, 408, 413, 415, 422), openapi_extra=_BODY
    )
    async def predict(
        request: Request,
        model: str | None = None,
        heatmap: bool = False,
        not_sure: float | None = None,
        none_of_these: float | None = None,
    ) -> JSONResponse:
        """Classify the photo in the body: its bytes, or a form with one file."""
        served = state.models.get(model)
        maker = served.maker_for(not_sure, none_of_these)
        if heatmap:
            served.model.check_activation_maps()
        state.queue.check()
        content_type = request.headers.get("content-type", "")
        limits = state.limits.image_limits

        def look(head: bytes) -> bool:
            return served.check_head(find_photo_head(head, content_type), limits)

        async with state.bodies.read(request, look) as body:
            state.queue.check()
            answers = await state.work(
                request, [lambda: served.answer_photo(find_photo(body, content_type), maker, limits, heatmap)]
            )
        state.count_answers(served, answers)
        return JSONResponse(describe_answer(served, answers[0], heatmap))

    @router.get("/models", response_model=ModelsAnswer, responses=refusals())
    async def models() -> JSONResponse:
        """List the models, with their classes."""
        return JSONResponse({"models": [_describe_model(served) for served in state.models]})

    @router.get("/healthz", response_model=HealthAnswer, responses=refusals())
    async def health() -> JSONResponse:
        """Say that the server is well."""
        return JSONResponse({"status": "ok"})

    return router


def describe_answer(served: ServedModel, answer: PhotoAnswer, with_heatmap: bool) -> dict[str, Any]:
    """The answer as the fields of `PredictionAnswer`."""
    prediction = answer.prediction
    described = {
        "model": served.name,
        "version": served.version,
        "answer": prediction.answer,
        "class": prediction.class_name,
        "probability": prediction.probability,
        "nearest_class": prediction.nearest_class,
        "probabilities": dict(zip(served.model.class_names, prediction.probabilities, strict=True)),
        "distance": prediction.distance,
    }
    return {**described, "heatmap": answer.heatmap} if with_heatmap else described


def _describe_model(served: ServedModel) -> dict[str, Any]:
    rule = served.maker.rule
    return {
        "name": served.name,
        "version": served.version,
        "classes": list(served.model.class_names),
        "image_size": list(served.model.preprocess.image_size),
        "has_heatmaps": served.model.has_activation_maps,
        "not_sure": "not sure" in rule.doubts,
        "none_of_these": "none of these" in rule.doubts,
    }
