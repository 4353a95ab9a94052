"""The routes of the model: how it is, what it says of a photo, and what the check-up has found."""

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from tellapart.studio.model_side import ModelSide
from tellapart.web.predict_routes import describe_answer
from tellapart.web.request_body import BodyReader, find_photo
from tellapart.web.serve_config import ServeLimits


def make_model_routes(side: ModelSide, limits: ServeLimits = ServeLimits()) -> APIRouter:
    """The routes, answering from `side`; `limits` are of a photo that is tried."""
    router = APIRouter()
    bodies = BodyReader(limits.max_bytes, limits.max_buffered_bytes)

    async def answer(find: Callable[[], bytes], heatmap: bool) -> dict[str, Any]:
        served, is_provisional = await asyncio.to_thread(side.model.answers.served)
        with_map = heatmap and served.model.has_activation_maps
        (found,) = await side.queue.run(
            [lambda: served.answer_photo(find(), served.maker, limits.image_limits, with_map)]
        )
        return {**describe_answer(served, found, heatmap), "provisional": is_provisional}

    @router.get("/api/model")
    async def describe() -> JSONResponse:
        return JSONResponse(side.describe_model())

    @router.post("/api/try")
    async def try_photo(request: Request, heatmap: bool = False) -> JSONResponse:
        side.queue.check()
        content_type = request.headers.get("content-type", "")
        async with bodies.read(request) as body:
            side.queue.check()
            return JSONResponse(await answer(lambda: find_photo(body, content_type), heatmap))

    @router.get("/api/heatmap/{identity}")
    async def heatmap(identity: str) -> JSONResponse:
        return JSONResponse(await answer(lambda: side.read_photo(identity), True))

    @router.get("/api/check")
    async def check() -> JSONResponse:
        return JSONResponse(await asyncio.to_thread(side.describe_check))

    return router
