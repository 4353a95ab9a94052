"""Fixtures for zips: what `zipfile` writes, and what it never would."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

JPEG_BYTES = b"\xff\xd8\xff\xe0" + bytes(60)


@pytest.fixture
def pack_raw(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a zip of stored members whose names are bytes, each with flags and extra fields."""

    def write(*names: bytes | tuple[bytes, int], flags: int = 0, extra: bytes = b"", data: bytes = JPEG_BYTES) -> Path:
        path = tmp_path / "raw.zip"
        with_flags = [name if isinstance(name, tuple) else (name, flags) for name in names]
        path.write_bytes(_raw_zip([(name, data + name, own_flags, extra) for name, own_flags in with_flags]))
        return path

    return write


def _raw_zip(members: list[tuple[bytes, bytes, int, bytes]]) -> bytes:
    """A zip of stored members: name, content, flags and extra fields of each."""
    local, directory = b"", b""
    for name, data, flags, extra in members:
        shared = struct.pack(
            "<5H3L2H", 20, flags, 0, 0, 0x21, zlib.crc32(data), len(data), len(data), len(name), len(extra)
        )
        directory += struct.pack("<4sH", b"PK\x01\x02", 20) + shared
        directory += struct.pack("<3H2L", 0, 0, 0, 0, len(local)) + name + extra
        local += b"PK\x03\x04" + shared + name + extra + data
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, len(members), len(members), len(directory), len(local), 0)
    return local + directory + end
