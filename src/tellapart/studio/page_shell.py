"""The page of Studio as files: one shell for every view, another for a phone, and the modules and styles they load.

Nothing of the project is in them, so they are open to whoever asks; what they show comes from the routes that ask for
the session. The modules are served as they are in the package: there is no build step.
"""

import json
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from tellapart.page_templates import make_environment
from tellapart.translation import current_language, script_texts

VIEWS = ("collect", "train", "check", "try", "use")
# The module that begins each shell.
_PAGE_SCRIPT, _PHONE_SCRIPT = "main.js", "phone.js"
_KINDS = {".js": "text/javascript", ".css": "text/css", ".json": "application/json"}
# A server of another version may answer at the same address a minute later.
_CACHING = {"Cache-Control": "no-cache"}


def make_shell_routes() -> APIRouter:
    """The routes of the page: `/` and one for each view, `/phone`, and `/static/...`."""
    router = APIRouter(include_in_schema=False)
    static = static_files()
    modules = [name for name in static if name.endswith(".js") and name not in (_PAGE_SCRIPT, _PHONE_SCRIPT)]

    async def page() -> HTMLResponse:
        return HTMLResponse(render_shell(_PAGE_SCRIPT, modules), headers=_CACHING)

    for path in ("/", *(f"/{view}" for view in VIEWS)):
        router.add_api_route(path, page, response_class=HTMLResponse, name="page")

    @router.get("/phone", response_class=HTMLResponse)
    async def phone() -> HTMLResponse:
        return HTMLResponse(render_shell(_PHONE_SCRIPT, []), headers=_CACHING)

    @router.get("/static/{name:path}")
    async def static_file(name: str) -> Response:
        if name not in static:
            return Response(status_code=404)
        return Response(static[name], media_type=_KINDS[f".{name.rpartition('.')[2]}"], headers=_CACHING)

    return router


@cache
def static_files() -> dict[str, bytes]:
    """What `/static/` has: name, as in `vendor/preact.js`, to content."""
    found: dict[str, bytes] = {}
    waiting: list[tuple[str, Traversable]] = [("", files("tellapart.studio") / "static")]
    while waiting:
        prefix, folder = waiting.pop()
        for entry in folder.iterdir():
            if entry.is_dir():
                waiting.append((f"{prefix}{entry.name}/", entry))
            elif any(entry.name.endswith(ending) for ending in _KINDS):
                found[prefix + entry.name] = entry.read_bytes()
    return dict(sorted(found.items()))


def page_texts() -> dict[str, str]:
    """What the modules of the page say, English to the language of the process; nothing where that is English."""
    scripts = [data.decode() for name, data in static_files().items() if name.endswith(".js") and "/" not in name]
    return {english: text for script in scripts for english, text in script_texts(script).items()}


def render_shell(script: str, modules: list[str]) -> str:
    """The page that starts `script`, and has the browser load `modules` at once."""
    # `<` could end the element that holds the texts.
    texts = Markup(json.dumps(page_texts(), ensure_ascii=False).replace("<", r"\u003c"))
    template = make_environment("tellapart.studio").get_template("studio.html")
    return template.render(language=current_language(), script=script, modules=modules, texts=texts)
