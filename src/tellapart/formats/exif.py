"""What a block of EXIF tells of a photo: how it is to be turned, which camera took it, and when.

The only reader of EXIF, and its only writer, for frames that were recorded here. Damage is never an error: what cannot
be read is not known. Tags and layout: EXIF 2.32, sections 4.5 and 4.6. Why this is not Pillow's: `docs/decisions`.
"""

import calendar
import re
import struct
import time
from dataclasses import dataclass
from typing import Literal

_EXIF = b"Exif\x00\x00"
_ORIENTATION, _MAKE, _MODEL, _EXIF_DIRECTORY = 0x0112, 0x010F, 0x0110, 0x8769
_TAKEN, _DIGITIZED, _TAKEN_FRACTION, _DIGITIZED_FRACTION = 0x9003, 0x9004, 0x9291, 0x9292
_TEXT, _LONG = 2, 4
# More than a directory of any camera holds: a count beyond it is damage.
_MAX_ENTRIES = 1_000
_MAX_TEXT = 64
# Where a block of EXIF begins, if there is one.
_HEAD_BYTES = 65_536
_TIME = re.compile(r"(\d{4})[:\-/](\d{2})[:\-/](\d{2})[ T](\d{2}):(\d{2}):(\d{2})")
_XMP_ORIENTATION = re.compile(rb"tiff:Orientation(?:=[\"']|>)([1-8])[\"'<]")


@dataclass(frozen=True)
class Shot:
    """How a photo came about.

    Attributes:
        camera: maker and model, such as `Canon EOS 5D`; `None` where they are not told.
        captured_at: seconds from 1970 by the clock of the camera, whose time zone is not known; `None` where no time
            is told.
    """

    camera: str | None
    captured_at: float | None


def read_orientation(exif: bytes, xmp: bytes = b"") -> int:
    """EXIF's orientation, 1 to 8: from a block of EXIF, or from XMP where EXIF is silent; 1 where both are.

    Args:
        exif: a TIFF structure, which may begin with `Exif`; empty: it is silent.
        xmp: an XMP packet.
    """
    block = _open_block(exif)
    entry = block.entries(block.number(4, 4)).get(_ORIENTATION) if block is not None else None
    if block is None or entry is None:
        found = _XMP_ORIENTATION.search(xmp)
        return int(found[1]) if found else 1
    value = block.number(entry + 8, 4 if block.number(entry + 2, 2) == _LONG else 2)
    return value if 1 <= value <= 8 else 1


def read_shot(exif: bytes) -> Shot:
    """The camera and the time that a block of EXIF tells.

    Args:
        exif: a TIFF structure, which may begin with `Exif`; empty: nothing is known.
    """
    block = _open_block(exif)
    if block is None:
        return Shot(None, None)
    main = block.entries(block.number(4, 4))
    directory = main.get(_EXIF_DIRECTORY)
    inner = block.entries(block.number(directory + 8, 4)) if directory is not None else {}
    return Shot(
        _name_camera(block.text(main.get(_MAKE)), block.text(main.get(_MODEL))),
        _read_time(block.text(inner.get(_TAKEN)), block.text(inner.get(_TAKEN_FRACTION)))
        or _read_time(block.text(inner.get(_DIGITIZED)), block.text(inner.get(_DIGITIZED_FRACTION))),
    )


def add_shot(jpeg: bytes, shot: Shot) -> bytes:
    """The JPEG with a block of EXIF that tells how it came about; a file that has one already, or is none, as it is.

    Args:
        jpeg: the whole file.
        shot: its camera is ASCII, and its time is known.
    """
    if not jpeg.startswith(b"\xff\xd8\xff") or _EXIF in jpeg[:_HEAD_BYTES]:
        return jpeg
    assert shot.camera is not None
    assert shot.captured_at is not None
    moment = time.gmtime(shot.captured_at)
    taken = time.strftime("%Y:%m:%d %H:%M:%S", moment).encode() + b"\0"
    fraction = f"{int(shot.captured_at % 1 * 1000):03d}".encode() + b"\0"
    camera = shot.camera.encode("ascii") + b"\0"
    # TIFF: a directory of two entries, one of two, and the texts that are too long for an entry.
    inner = 8 + 2 + 2 * 12 + 4
    texts = inner + 2 + 2 * 12 + 4
    entry = struct.Struct("<HHII")
    tiff = b"II*\0" + struct.pack("<IH", 8, 2)
    tiff += entry.pack(_MODEL, _TEXT, len(camera), texts + len(taken)) + entry.pack(_EXIF_DIRECTORY, _LONG, 1, inner)
    tiff += struct.pack("<IH", 0, 2) + entry.pack(_TAKEN, _TEXT, len(taken), texts)
    tiff += struct.pack("<HHI", _TAKEN_FRACTION, _TEXT, len(fraction)) + fraction + bytes(4)
    segment = _EXIF + tiff + taken + camera
    place = 4 + int.from_bytes(jpeg[4:6], "big") if jpeg[2:4] == b"\xff\xe0" else 2  # JFIF's own block stays first
    return jpeg[:place] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[place:]


@dataclass(frozen=True)
class _Block:
    """A TIFF structure; reading past its end gives zeros and empty text."""

    tiff: memoryview
    order: Literal["little", "big"]

    def number(self, start: int, size: int) -> int:
        return int.from_bytes(self.tiff[start : start + size], self.order)

    def entries(self, first: int) -> dict[int, int]:
        """Tag to offset of each entry of the directory at `first`; empty where there is none."""
        num_entries = self.number(first, 2)
        if first < 8 or num_entries > _MAX_ENTRIES:
            return {}
        starts = range(first + 2, min(first + 2 + 12 * num_entries, len(self.tiff) - 11), 12)
        return {self.number(start, 2): start for start in starts}

    def text(self, entry: int | None) -> str:
        """The text of the entry at that offset, up to its first zero; empty where it is no text."""
        if entry is None or self.number(entry + 2, 2) != _TEXT:
            return ""
        size = self.number(entry + 4, 4)
        start = entry + 8 if size <= 4 else self.number(entry + 8, 4)
        raw = bytes(self.tiff[start : start + min(size, _MAX_TEXT)]).partition(b"\x00")[0]
        text = raw.decode("utf-8", errors="replace")
        return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _open_block(exif: bytes) -> _Block | None:
    """The TIFF structure in a block of EXIF; `None` where there is none."""
    tiff = memoryview(exif)[len(_EXIF) :] if exif.startswith(_EXIF) else memoryview(exif)
    order = bytes(tiff[:2])
    return _Block(tiff, "little" if order == b"II" else "big") if order in (b"II", b"MM") else None


def _name_camera(make: str, model: str) -> str | None:
    """Maker and model without saying the maker twice; `None` where neither is told."""
    first_word = make.partition(" ")[0].lower()
    if first_word and model.lower().startswith(first_word):
        return model
    return " ".join(part for part in (make, model) if part) or None


def _read_time(text: str, fraction: str) -> float | None:
    """Seconds from 1970 of a time as EXIF writes it; `None` where it is none, such as all zeros."""
    found = _TIME.match(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.groups())
    if not (year >= 1 and 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second <= 60):
        return None
    seconds = calendar.timegm((year, month, day, hour, minute, second))
    digits = fraction if fraction.isascii() and fraction.isdigit() else ""
    return seconds + (int(digits[:6]) / 10 ** len(digits[:6]) if digits else 0.0)
