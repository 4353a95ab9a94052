"""The routes of the project: classes, photos, commands, uploads, copies of photos, events, and what a phone may do."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, Field

from tellapart.errors import DatasetError, ImageError
from tellapart.photos.files import DiskFile
from tellapart.photos.names import class_name
from tellapart.project import project_commands as commands
from tellapart.project.command_plan import Renamed
from tellapart.project.project import Project
from tellapart.project.project_state import ProjectState, StudioPhoto, class_id
from tellapart.project.small_copies import SmallCopies
from tellapart.studio.events import EventBus
from tellapart.studio.studio_access import PHONE_CLASSES, PHONE_PHOTOS, SESSION_PATH, StudioKeys, is_token
from tellapart.studio.uploads import Destination, add_upload, receive_file
from tellapart.translation import current_language
from tellapart.translation import gettext as _
from tellapart.web.refusals import RequestError

_DIGEST = re.compile(r"[0-9a-f]{40}")
_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
_BATCH = re.compile(r"[A-Za-z0-9_.-]{1,64}")
UNSORTED, BIN, BY_FOLDER = "unsorted", "bin", "folders"


@dataclass(frozen=True)
class StudioState:
    """The parts that all routes of Studio share.

    Attributes:
        project: the folder.
        copies: small copies of its photos.
        events: what pages are told.
        keys: what clients must show.
        facts: each adds to what `/api/project` says, under its name.
        proposals: give the class that unsorted photos may be of, in the order in which a label helps most.
    """

    project: Project
    copies: SmallCopies
    events: EventBus
    keys: StudioKeys
    facts: dict[str, Callable[[], Any]]
    proposals: Callable[[], dict[str, dict[str, Any]]] = dict


class Command(BaseModel):
    """What `/api/commands` takes; which of the fields matter depends on `do`."""

    do: Literal["add_class", "rename_class", "merge_classes", "delete_class", "label", "keep", "bin", "restore", "undo"]
    name: str = ""
    class_: str = ""
    from_: str = ""
    into: str = ""
    photos: list[str] = []
    batch: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{0,64}$")] = ""

    model_config = {"alias_generator": lambda field: field.rstrip("_"), "populate_by_name": True}


def make_project_routes(state: StudioState) -> APIRouter:
    """The routes, answering from `state`."""
    router = APIRouter()
    project = state.project

    @router.post(SESSION_PATH)
    async def open_session(request: Request) -> Response:
        try:
            given = json.loads(await request.body())["token"]
        except (KeyError, TypeError, ValueError):
            given = None
        if not is_token(given, state.keys):
            message = _("This address is out of date. Open the one that `tellapart studio` printed.")
            raise RequestError(401, message, reason="token")
        response = Response(status_code=204)
        response.set_cookie(state.keys.cookie_name, state.keys.token, httponly=True, samesite="strict", path="/")
        return response

    @router.get("/api/project")
    async def describe() -> JSONResponse:
        return JSONResponse(await asyncio.to_thread(_describe_project, state))

    @router.get("/api/photos")
    async def list_photos(request: Request) -> Response:
        chosen = request.query_params.get("class", UNSORTED)
        return Response(await asyncio.to_thread(_list_photos, state, chosen), media_type="application/json")

    @router.post("/api/commands")
    async def run_command(command: Command) -> JSONResponse:
        return JSONResponse(await asyncio.to_thread(_run_command, project, command))

    async def upload(request: Request, name: str = "", burst: str = "", batch: str = "") -> JSONResponse:
        chosen = request.query_params.get("class", UNSORTED)
        to = await asyncio.to_thread(_destination, project, chosen, burst, batch)
        path = await receive_file(request, project, has_zips=request.url.path != PHONE_PHOTOS)
        added = await asyncio.to_thread(add_upload, project, state.copies, path, name, to)
        skipped = [{"name": file, "reason": reason} for file, reason in added.skipped]
        return JSONResponse({"revision": project.revision, "added": added.ids, "skipped": skipped})

    router.add_api_route("/api/uploads", upload, methods=["POST"])
    router.add_api_route(PHONE_PHOTOS, upload, methods=["POST"])

    @router.get(PHONE_CLASSES)
    async def list_classes() -> JSONResponse:
        names = (await asyncio.to_thread(project.state)).classes
        return JSONResponse({"classes": [{"id": class_id(name), "name": name} for name in names]})

    @router.get("/api/events")
    async def events(request: Request) -> StreamingResponse:
        last = request.headers.get("last-event-id", "")
        stream: AsyncIterator[bytes] = state.events.listen(int(last) if last.isdecimal() else None)
        return StreamingResponse(stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    return router


def make_copy_routes(state: StudioState) -> APIRouter:
    """The routes of small and large copies of photos."""
    router = APIRouter()

    @router.get("/thumb/{name}")
    async def small_copy(name: str) -> Response:
        digest = name.removesuffix(".webp")
        if not _DIGEST.fullmatch(digest):
            raise _no_photo()
        data = await asyncio.to_thread(_small_copy, state, digest)
        return Response(data, media_type="image/webp", headers=_FOR_EVER)

    @router.get("/photo/{identity}")
    async def large_copy(identity: str) -> Response:
        data = await asyncio.to_thread(_large_copy, state, identity)
        return Response(data, media_type="image/webp", headers={"Cache-Control": "no-cache"})

    return router


def _describe_project(state: StudioState) -> dict[str, Any]:
    project = state.project
    now = project.state()
    counts: dict[str, int] = dict.fromkeys(now.classes, 0)
    num_unsorted = num_bin = 0
    for photo in now.photos:
        if photo.label is not None:
            counts[photo.label] += photo.problem is None
        num_unsorted += photo.state == "unsorted"
        num_bin += photo.state == "bin"
    classes = [
        {"id": class_id(name), "name": name, "num_photos": num, "color_index": project.color_of(name)}
        for name, num in counts.items()
    ]
    described = {
        "revision": now.revision,
        "name": project.root.name,
        "language": current_language(),
        "classes": classes,
        "num_unsorted": num_unsorted,
        "num_bin": num_bin,
        "num_skipped": now.num_skipped,
        "num_unseen": sum(photo.digest is None and photo.problem is None for photo in now.photos),
        "problem": now.problem,
        "can_undo": bool(project.journal.undoable()),
    }
    return described | {name: tell() for name, tell in state.facts.items()}


def _list_photos(state: StudioState, chosen: str) -> bytes:
    now = state.project.state()
    if chosen in (UNSORTED, BIN):
        photos = [photo for photo in now.photos if photo.state == chosen]
    else:
        # One that was deleted or merged a moment ago has no photos; the page is about to learn of it.
        names = {name for name in now.classes if class_id(name) == chosen}
        photos = [photo for photo in now.photos if photo.label in names]
    proposals = state.proposals() if chosen == UNSORTED else {}
    order = {identity: place for place, identity in enumerate(proposals)}
    photos.sort(key=lambda photo: order.get(photo.id, len(order)))
    described = [_describe_photo(photo, proposals.get(photo.id)) for photo in photos]
    value = {"revision": now.revision, "photos": described}
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode()


def _describe_photo(photo: StudioPhoto, proposal: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "id": photo.id,
        "digest": photo.digest,
        "name": photo.name,
        "group": photo.group,
        "origin": "studio" if photo.is_ours else "yours",
        "problem": photo.problem,
        "proposal": proposal,
    }


def _run_command(project: Project, command: Command) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    try:
        match command.do:
            case "add_class":
                answer["class"] = commands.add_class(project, command.name)
                renamed: Renamed = {}
            case "rename_class":
                renamed = commands.rename_class(project, command.class_, command.name)
                answer["class"] = class_id(class_name(command.name))
            case "merge_classes":
                renamed = commands.merge_classes(project, command.from_, command.into)
                answer["class"] = command.into
            case "delete_class":
                renamed = commands.delete_class(project, command.class_)
            case "label":
                renamed = commands.label_photos(project, command.photos, command.class_, command.batch or None)
            case "keep":
                renamed = commands.keep_photos(project, command.photos)
            case "bin":
                renamed = commands.bin_photos(project, command.photos)
            case "restore":
                renamed = commands.restore_photos(project, command.photos)
            case "undo":
                renamed = commands.undo(project)
    except DatasetError as exc:
        raise RequestError(409, str(exc), reason="command") from exc
    return {"revision": project.state().revision, "photos": renamed, **answer}


def _destination(project: Project, chosen: str, burst: str, batch: str) -> Destination:
    """Where an upload goes, and with what it is undone: all photos of one burst, or all files of one drop.

    Raises:
        RequestError: there is no such class, or the name of the burst or batch is none.
    """
    for setting, value in (("burst", burst), ("batch", batch)):
        if value and not _BATCH.fullmatch(value):
            message = _("`{setting}` {value!r} cannot be a key. Give letters, digits, dots, dashes and underscores.")
            raise RequestError(400, message.format(setting=setting, value=value[:64]))
    key = burst or batch or None
    if chosen in (UNSORTED, BY_FOLDER):
        return Destination(None, chosen == BY_FOLDER, key, bool(burst))
    try:
        return Destination(commands.find_class(project, chosen), False, key, bool(burst))
    except DatasetError as exc:
        raise RequestError(409, str(exc), reason="command") from exc


def _small_copy(state: StudioState, digest: str) -> bytes:
    kept = state.copies.find(digest)
    if kept is not None:
        return kept
    now: ProjectState = state.project.state()
    photo = next((one for one in now.photos if one.digest == digest), None)
    if photo is None:
        raise _no_photo()
    data = _read(state, photo)
    try:
        copy = state.copies.make(data)
    except ImageError as exc:
        raise RequestError(422, str(exc), reason="photo") from exc
    state.copies.keep({digest: copy})
    return copy


def _large_copy(state: StudioState, identity: str) -> bytes:
    photo = state.project.state().by_id.get(identity)
    if photo is None:
        raise _no_photo()
    try:
        return state.copies.make_large(_read(state, photo))
    except ImageError as exc:
        raise RequestError(422, str(exc), reason="photo") from exc


def _read(state: StudioState, photo: StudioPhoto) -> bytes:
    place: DiskFile = state.project.place_of(photo)
    try:
        return place.read(state.project.limits.max_bytes)
    except ImageError as exc:
        raise RequestError(404, str(exc), reason="photo") from exc


def _no_photo() -> RequestError:
    return RequestError(404, _("This photo is not there any more."), reason="photo")
