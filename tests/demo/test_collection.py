import csv
import io
import zipfile
from collections import Counter
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pytest

from tellapart.demo.collection import ARCHIVE_NAME, PLANTED_NAME, draw_collection, unpack_collection


@pytest.fixture(scope="module")
def drawn() -> dict[str, bytes]:
    return draw_collection()


@pytest.fixture(scope="module")
def shipped() -> dict[str, bytes]:
    data = resources.files("tellapart.demo").joinpath(ARCHIVE_NAME).read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def decode(data: bytes) -> np.ndarray:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.float32)


def test_what_ships_is_what_is_drawn(drawn: dict[str, bytes], shipped: dict[str, bytes]) -> None:
    assert list(shipped) == list(drawn)
    assert shipped[PLANTED_NAME] == drawn[PLANTED_NAME]
    for name in list(drawn)[:-1:10]:
        assert np.abs(decode(shipped[name]) - decode(drawn[name])).mean() < 3  # another OpenCV may round differently


def test_it_is_small(shipped: dict[str, bytes]) -> None:
    assert sum(map(len, shipped.values())) < 1_500_000


def test_what_is_planted_is_said(drawn: dict[str, bytes]) -> None:
    rows = list(csv.DictReader(drawn[PLANTED_NAME].decode().splitlines()))
    assert Counter(row["trap"] for row in rows) == {"wrong label": 3, "copy": 4, "foreign photo": 1}
    assert all(f"photos/{row['path']}" in drawn for row in rows)
    assert Counter(Path(name).parent.as_posix() for name in drawn) == {
        "photos/cat": 62,
        "photos/dog": 63,
        "new": 12,
        ".": 1,
    }


def test_it_is_unpacked_as_folders(tmp_path: Path, shipped: dict[str, bytes]) -> None:
    photos = unpack_collection(tmp_path)
    written = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in tmp_path.rglob("*.jpg")}
    assert written == {name: data for name, data in shipped.items() if name != PLANTED_NAME}
    assert all((photos.labelled / path).exists() for path in photos.planted)
    assert len(list(photos.new.iterdir())) == 12
