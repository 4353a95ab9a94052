"""What a browser is shown, and what watches the server: the page to try photos, the one for programs, the counters.

Nothing on the pages comes from another host; FastAPI's own pages would load scripts from one.
"""

from importlib.resources import files
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse

from tellapart.page_templates import make_environment
from tellapart.translation import current_language
from tellapart.web.predict_routes import refusals
from tellapart.web.service_state import ServiceState

# What the page loads: the room and the folder that hold it, and its kind.
_STATIC = {
    "page.js": ("tellapart.web", "static", "text/javascript"),
    "photo_input.js": ("tellapart.browser", "templates", "text/javascript"),
    "style.css": ("tellapart.web", "static", "text/css"),
}


def make_page_routes(app: FastAPI, state: ServiceState) -> APIRouter:
    """The routes of an app that has all others already."""
    router = APIRouter()
    static = {name: (files(room) / folder / name).read_bytes() for name, (room, folder, _kind) in _STATIC.items()}
    environment = make_environment("tellapart.web")
    page = environment.get_template("page.html").render(language=current_language())

    @router.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def try_photos() -> HTMLResponse:
        return HTMLResponse(page)

    @router.get("/docs", response_class=HTMLResponse, include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        address = str(request.base_url).rstrip("/")
        paths = _described_paths(app.openapi())
        template = environment.get_template("docs.html")
        return HTMLResponse(template.render(language=current_language(), address=address, paths=paths))

    @router.get("/static/{name}", include_in_schema=False)
    async def static_file(name: str) -> Response:
        if name not in static:
            return Response(status_code=404)
        return Response(static[name], media_type=_STATIC[name][2])

    @router.get("/metrics", responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **refusals()})
    async def metrics() -> Response:
        """Give the counters, in Prometheus's text format."""
        return Response(state.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router


def _described_paths(document: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """The operations by path and method, each with the kind of its parameters and the fields of its answer."""
    schemas = document["components"]["schemas"]
    described: dict[str, dict[str, dict[str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            content = operation["responses"].get("200", {}).get("content", {}).get("application/json", {})
            name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
            described.setdefault(path, {})[method] = {
                "description": operation.get("description", ""),
                "parameters": [
                    {"name": one["name"], "in": one["in"], "kind": _kind_of(one["schema"])}
                    for one in operation.get("parameters", ())
                ],
                "requestBody": operation.get("requestBody"),
                "fields": [
                    {"name": field, "description": one.get("description", "")}
                    for field, one in schemas.get(name, {}).get("properties", {}).items()
                ],
                "responses": list(operation["responses"]),
            }
    return described


def _kind_of(schema: dict[str, Any]) -> str:
    kinds = [one.get("type", "") for one in schema.get("anyOf", [schema])]
    return " | ".join(kind for kind in kinds if kind != "null")
