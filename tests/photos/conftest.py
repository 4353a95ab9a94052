"""Fixtures for sources of photos: files that begin like photos, which listing never decodes, in folders and zips."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

JPEG_BYTES = b"\xff\xd8\xff\xe0" + bytes(60)
PNG_BYTES = b"\x89PNG\r\n\x1a\n" + bytes(56)


@pytest.fixture
def plant(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes files, JPEG-like unless told otherwise, below a folder `mine`, and gives that folder."""
    root = tmp_path / "mine"

    def write(*names: str, data: bytes = JPEG_BYTES) -> Path:
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return root

    return write


@pytest.fixture
def pack(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a zip of JPEG-like members and gives its path."""

    def write(*names: str, to: str = "mine.zip", data: bytes = JPEG_BYTES) -> Path:
        path = tmp_path / to
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, data)
        return path

    return write
