"""What is dropped, pasted, recorded or sent by a phone: streamed to the disk, and decoded once.

Nothing of an upload is in a class before its bytes are on the disk and its entry is in the journal.
"""

import asyncio
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fastapi import Request

from tellapart.config import ArchiveLimits
from tellapart.errors import DatasetError, ImageError
from tellapart.formats.exif import Shot, add_shot
from tellapart.formats.other_kinds import HEAD_BYTES, is_zip_of_files
from tellapart.formats.photo_formats import SUFFIXES, sniff_format
from tellapart.photos.files import ArchiveMember, FoundFile, list_archive
from tellapart.photos.layout import label_files
from tellapart.photos.loading import digest_photo, map_batches, num_cores
from tellapart.photos.misplaced import separate_photos
from tellapart.photos.names import class_name, printable
from tellapart.project.effects import INCOMING_DIR
from tellapart.project.new_photos import Added, NewPhoto, add_photos
from tellapart.project.project import Project
from tellapart.project.project_commands import safe_photo_name
from tellapart.project.small_copies import SmallCopies
from tellapart.store import open_whole, remove_quietly
from tellapart.translation import gettext as _
from tellapart.web.refusals import RequestError, too_large
from tellapart.zips.archive import open_archive

# Collected before a thread writes them.
_BUFFER_BYTES = 1024**2
# Photos of a zip that are taken over by one entry of the journal, and shown at once.
_PHOTOS_AN_ENTRY = 64
# What frames that were recorded in a browser say of their camera.
_CAMERA = "tellapart Studio"
# One for each format, of the several that are known.
_SUFFIX_OF = {
    "AVIF": ".avif", "BMP": ".bmp", "GIF": ".gif", "HEIC": ".heic", "JPEG": ".jpg", "JPEG 2000": ".jp2",
    "PNG": ".png", "TIFF": ".tif", "WEBP": ".webp",
}  # fmt: skip
assert _SUFFIX_OF.keys() == SUFFIXES.keys()


@dataclass(frozen=True)
class Destination:
    """Where uploaded photos go.

    Attributes:
        label: their class; `None` leaves them unsorted.
        by_folder: whether the folder that a photo was in, or a zip has it in, is its class; `label` is for the others.
        batch: what is undone together, and for photos of a camera, which of them are one burst.
        is_burst: whether they are one burst.
    """

    label: str | None
    by_folder: bool = False
    batch: str | None = None
    is_burst: bool = False


async def receive_file(request: Request, project: Project, *, has_zips: bool = True) -> Path:
    """The file in the body of a request, streamed to the folder for incoming ones; whoever calls removes it.

    Args:
        request: with a photo or a zip as its body.
        project: that it is for.
        has_zips: whether zips are taken.

    Raises:
        RequestError: it is larger than photos may be, and no zip; or a zip, and these are not taken.
        OutputError: the disk is full or fails.
        ClientDisconnect: the client has left before its end.
    """
    path = project.root / INCOMING_DIR / secrets.token_hex(8)
    most, num_bytes, buffer = project.limits.max_bytes, 0, bytearray()
    try:
        # A disk may take long to have all of it, so that is waited for in a thread.
        with open_whole(path, is_synced=False) as file:
            async for chunk in request.stream():
                buffer += chunk
                if num_bytes == 0 and is_zip_of_files(bytes(buffer[:HEAD_BYTES])):
                    if not has_zips:
                        raise RequestError(415, _("Only photos can be sent to this address."), reason="phone")
                    most = ArchiveLimits().max_total_bytes
                if num_bytes + len(buffer) > most:
                    raise too_large(most)
                if len(buffer) >= _BUFFER_BYTES:
                    num_bytes += len(buffer)
                    await asyncio.to_thread(file.write, bytes(buffer))
                    buffer.clear()
            await asyncio.to_thread(file.write, bytes(buffer))
    except BaseException:
        remove_quietly(path)
        raise
    return path


def add_upload(project: Project, copies: SmallCopies, path: Path, name: str, to: Destination) -> Added:
    """What has become of a photo or zip that was received.

    Args:
        project: that it is added to.
        copies: where the small copies of its photos are kept.
        path: of the file, in the folder for incoming ones; gone afterwards.
        name: what the browser calls it; may have folders, and is not to be trusted.
        to: where its photos go.

    Raises:
        RequestError: a zip cannot be read.
        OutputError: the disk is full or fails; what was answered so far is kept.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        if is_zip_of_files(head):
            return _add_zip(project, copies, path, to)
        added = Added()
        made: dict[str, bytes] = {}
        shown = printable(name)[:200]
        try:
            data = _with_time(path, to)
            digest = _check(data, copies, made)
        except ImageError as exc:
            added.skipped.append((shown, str(exc)))
            return added
        copies.keep(made)
        _sync(path)
        folder = class_name(name.replace("\\", "/").rstrip("/").rpartition("/")[0].rpartition("/")[2])
        label = folder if to.by_folder and folder else to.label
        photo = NewPhoto(f"{INCOMING_DIR}/{path.name}", _file_name(name, head), digest, label)
        add_photos(project, [photo], added, to.batch, is_burst=to.is_burst)
        return added
    finally:
        remove_quietly(path)


def _with_time(path: Path, to: Destination) -> bytes:
    """The content of a file; a frame of a burst also tells when it was recorded, so that training finds the burst."""
    data = path.read_bytes()
    if to.is_burst:
        timed = add_shot(data, Shot(_CAMERA, time.time()))
        if timed is not data:
            with open_whole(path, is_synced=False) as file:
                file.write(timed)
        return timed
    return data


def _add_zip(project: Project, copies: SmallCopies, path: Path, to: Destination) -> Added:
    try:
        archive = open_archive(path)
    except DatasetError as exc:
        raise RequestError(422, str(exc).replace(str(path), "zip"), reason="zip") from exc
    added = Added()
    try:
        listing = list_archive(archive)
        files, left_out = separate_photos(listing.files)
        added.skipped += [("/".join(parts)[:200], reason) for parts, reason in (*left_out, *listing.left_out)]
        labels = _labels(files, to)
        batch = Destination(to.label, to.by_folder, to.batch or f"zip {path.name}", to.is_burst)
        for start in range(0, len(files), _PHOTOS_AN_ENTRY):
            part = files[start : start + _PHOTOS_AN_ENTRY]
            _add_members(project, copies, part, labels, (batch, added))
    finally:
        archive.close()
    return added


def _labels(files: list[FoundFile], to: Destination) -> dict[tuple[str, ...], str]:
    """The class of each member that has one in its zip; empty where the folders of the zip do not count."""
    if not to.by_folder:
        return {}
    try:
        reading = label_files(files, "zip")
    except DatasetError:
        reading = None
    return {} if reading is None else {item.file.parts: item.label for item in reading.labelled}


def _add_members(
    project: Project,
    copies: SmallCopies,
    files: list[FoundFile],
    labels: dict[tuple[str, ...], str],
    to: tuple[Destination, Added],
) -> None:
    destination, added = to
    made: dict[str, bytes] = {}

    def unpack(rows: Iterator[int]) -> list[NewPhoto | str]:
        return [
            _unpack(project, copies, files[row], labels.get(files[row].parts, destination.label), made) for row in rows
        ]

    photos: list[NewPhoto] = []
    try:
        for file, item in zip(files, map_batches(len(files), 4, unpack, num_cores()), strict=True):
            if isinstance(item, str):
                added.skipped.append((printable("/".join(file.parts))[:200], item))
            else:
                photos.append(item)
        copies.keep(made)
        add_photos(project, photos, added, destination.batch, is_burst=destination.is_burst)
    finally:
        for photo in photos:
            remove_quietly(project.root / photo.incoming)


def _unpack(
    project: Project, copies: SmallCopies, file: FoundFile, label: str | None, made: dict[str, bytes]
) -> NewPhoto | str:
    """The member of a zip as a file on the disk, or why it is no photo that can be used."""
    assert isinstance(file.place, ArchiveMember)
    try:
        data = file.place.read(project.limits.max_bytes)
        digest = _check(data, copies, made)
    except ImageError as exc:
        return str(exc)
    incoming = f"{INCOMING_DIR}/{secrets.token_hex(8)}"
    with open_whole(project.root / incoming) as written:
        written.write(data)
    return NewPhoto(incoming, _file_name(file.name, data[:HEAD_BYTES]), digest, label)


def _check(data: bytes, copies: SmallCopies, made: dict[str, bytes]) -> str:
    """The digest of a photo that can be used; its small copy is entered.

    Raises:
        ImageError: it cannot be used.
    """
    digest = digest_photo(data)
    if copies.find(digest) is None:
        made[digest] = copies.make(data)
    return digest


def _sync(path: Path) -> None:
    """Nothing; the content of the file survives a power cut."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def _file_name(name: str, head: bytes) -> str:
    return safe_photo_name(name, _SUFFIX_OF.get(sniff_format(head[:256]) or "", ""))
