import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import platformdirs
import pytest

from tellapart.cache import image_writer
from tellapart.cache.cache_folder import (
    backbones_dir,
    cache_root,
    clear_cache,
    images_dir,
    measure_cache,
    store_path,
)
from tellapart.cache.decoded_cache import CachedImages
from tellapart.cache.image_writer import ImageWriter
from tellapart.cache.photo_store import PhotoStore
from tellapart.config import ImageLimits
from tellapart.images.preprocess import PreprocessSpec
from tellapart.photos.loading import digest_photos
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.sources import list_photos

KIND = "facts 1"
DIGESTS = [f"{row:040x}" for row in range(20)]
BACKBONE_NAME = f"efficientnet-lite0-v1-{'0f' * 32}.onnx"
SPEC = PreprocessSpec((12, 16))
# What stands under `backbones/hub`, besides the links in `snapshots`.
HUB_FILES = {
    "models--ann--net/blobs/0123": b"m" * 400,
    "models--ann--net/refs/main": b"c" * 40,
    ".locks/models--ann--net/0123.lock": b"",
}
# An hour in which nothing is written is more than any download or decoding takes between two writes.
LONG_AGO = time.time() - 3 * 3600

Paint = Callable[..., Path]


def write(path: Path, content: bytes = b"12345", modified: float | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (modified or time.time(),) * 2)
    return path


def fill_store(path: Path) -> None:
    with PhotoStore(path) as store:
        store.add({digest: {KIND: b"known"} for digest in DIGESTS})


def files_below(folder: Path) -> list[str]:
    """Relative paths of the files and links below the folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or path.is_file())


def decode(photos: PhotoSet, root: Path, spec: PreprocessSpec = SPEC) -> CachedImages:
    """The images of the photos, by way of the cache folder."""
    with ImageWriter(spec, ImageLimits(), images_dir(root)) as writer:
        return writer.finish(photos, [str(digest) for digest in digest_photos(photos)])


@pytest.fixture
def root(tmp_path: Path, paint: Paint) -> Path:
    """A cache folder with one set of 2 decoded photos, 20 seen photos, and two backbones."""
    root = tmp_path / "cache"
    photos = list_photos([paint("photos/red.png", "red"), paint("photos/blue.png", "blue")])
    decode(photos, root)
    fill_store(store_path(root))
    write(backbones_dir(root) / BACKBONE_NAME, b"b" * 3000)
    for name, content in HUB_FILES.items():
        write(backbones_dir(root) / "hub" / name, content)
    snapshot = backbones_dir(root) / "hub/models--ann--net/snapshots/c0ffee"
    snapshot.mkdir(parents=True)
    (snapshot / "model.onnx").symlink_to("../../blobs/0123")
    return root


def test_the_parts_of_the_folder_have_one_place() -> None:
    root = cache_root("somewhere")
    assert root == Path("somewhere")
    assert images_dir(root) == root / "images"
    assert store_path(root) == root / "seen" / "photos.sqlite3"
    assert backbones_dir(root) == root / "backbones"


def test_without_a_folder_of_ones_own_it_is_the_users_cache_folder() -> None:
    assert cache_root(None) == platformdirs.user_cache_path("tellapart")


def test_each_part_is_counted_and_measured(root: Path) -> None:
    state = measure_cache(str(root))
    assert [(part.name, part.num_items) for part in state.parts] == [
        ("decoded photos", 1),
        ("seen photos", 20),
        ("backbones", 2),
    ]
    images, seen, backbones = (part.size_bytes for part in state.parts)
    assert images == sum(path.stat().st_size for path in images_dir(root).iterdir()) > 2 * 12 * 16 * 3
    assert seen == store_path(root).stat().st_size
    assert 3440 <= backbones < 3500
    assert state.size_bytes == images + seen + backbones
    assert state.note is None


def test_looking_changes_nothing(root: Path) -> None:
    before = files_below(root)
    measure_cache(str(root))
    assert files_below(root) == before


def test_a_folder_that_is_not_there_is_empty_and_is_not_made(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    assert measure_cache(missing).size_bytes == 0
    assert clear_cache(missing).freed_bytes == 0
    assert not Path(missing).exists()


def test_a_file_in_place_of_the_store_is_told_and_stays(root: Path) -> None:
    store_path(root).write_bytes(b"x" * 10_000)
    state = measure_cache(str(root))
    assert state.note is not None
    assert "is not a store of tellapart and stays as it is" in state.note
    assert state.parts[1].size_bytes == 0
    clear_cache(str(root))
    assert store_path(root).read_bytes() == b"x" * 10_000


@pytest.mark.parametrize("name", ["embeddings.sqlite3", "facts.sqlite3"])
def test_stores_that_earlier_versions_left_are_measured_and_cleared(name: str, root: Path) -> None:
    before = measure_cache(str(root)).size_bytes
    fill_store(root / name)
    assert measure_cache(str(root)).size_bytes == before + (root / name).stat().st_size
    clear_cache(str(root))
    assert files_below(root) == []


@pytest.mark.parametrize("name", ["embeddings.sqlite3", "facts.sqlite3", "seen/photos.sqlite3"])
def test_a_database_of_another_program_stays(name: str, root: Path) -> None:
    clear_cache(str(root))
    connection = sqlite3.connect(root / name)
    connection.execute("CREATE TABLE entries (model, digest)")
    connection.close()
    content = (root / name).read_bytes()
    assert measure_cache(str(root)).size_bytes == 0
    clear_cache(str(root))
    assert (root / name).read_bytes() == content


def test_clearing_frees_what_was_measured_and_leaves_no_file(root: Path) -> None:
    num_bytes = measure_cache(str(root)).size_bytes
    cleared = clear_cache(str(root))
    assert (cleared.root, cleared.freed_bytes, cleared.kept) == (root, num_bytes, ())
    assert files_below(root) == []
    assert measure_cache(str(root)).size_bytes == 0


def test_files_that_are_not_ours_stay(root: Path) -> None:
    foreign = [
        "notes.txt",
        "seen/photos.sqlite3.txt",
        "embeddings.sqlite3",
        "images/mine.npy",
        "images/mine.json",
        "backbones/mine.onnx",
        "backbones/mine.json",
        "backbones/hub/datasets--ann--photos/blobs/0123",
        "photos/cat.jpg",
    ]
    for name in foreign:
        write(root / name)
    clear_cache(str(root))
    assert files_below(root) == sorted(foreign)


def test_a_link_to_somebodys_own_collection_of_downloads_is_left_alone(root: Path, tmp_path: Path) -> None:
    (backbones_dir(root) / "hub").rename(tmp_path / "own")
    (backbones_dir(root) / "hub").symlink_to(tmp_path / "own")
    before = files_below(tmp_path / "own")
    assert measure_cache(str(root)).parts[-1].num_items == 1
    clear_cache(str(root))
    assert files_below(tmp_path / "own") == before


def test_what_a_link_leads_to_is_left_alone(root: Path, tmp_path: Path) -> None:
    own = write(tmp_path / "own" / "net.onnx")
    (backbones_dir(root) / "hub/models--ann--net/snapshots/own").symlink_to(own.parent)
    (backbones_dir(root) / "hub/models--ann--net/snapshots/own.onnx").symlink_to(own)
    clear_cache(str(root))
    assert own.read_bytes() == b"12345"


def test_what_is_being_written_stays_and_is_named(root: Path) -> None:
    busy = [
        write(images_dir(root) / ".images-abc.partial"),
        write(backbones_dir(root) / ".tellapart-0123456789ab.partial"),
        write(backbones_dir(root) / "hub/models--bob--net/blobs/4567.incomplete"),
    ]
    assert sorted(clear_cache(str(root)).kept) == sorted(busy)
    assert files_below(root) == sorted(str(path.relative_to(root)) for path in busy)


def test_what_was_left_by_a_kill_goes(root: Path) -> None:
    for name in (
        "images/.images-abc.partial",
        "backbones/.tellapart-0123456789ab.partial",
        "backbones/hub/models--bob--net/blobs/4567.incomplete",
        "seen/photos.sqlite3-journal",
        "seen/photos.sqlite3.damaged-0123",
    ):
        write(root / name, modified=LONG_AGO)
    assert clear_cache(str(root)).kept == ()
    assert files_below(root) == []


def test_a_file_that_cannot_be_deleted_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.name == BACKBONE_NAME:
            raise PermissionError(13, "Permission denied")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    assert clear_cache(str(root)).kept == (backbones_dir(root) / BACKBONE_NAME,)


def test_images_that_are_in_use_outlast_the_clearing(root: Path, tmp_path: Path) -> None:
    photos = list_photos([tmp_path / "photos"])
    used = decode(photos, root)
    expected = used.gather(np.array([0, 1]))
    clear_cache(str(root))
    np.testing.assert_array_equal(used.gather(np.array([0, 1])), expected)


def test_images_cleared_between_writing_and_opening_are_decoded_again(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_index = image_writer.write_file

    def be_cleared(path: Path, data: bytes) -> None:
        monkeypatch.setattr(image_writer, "write_file", write_index)
        write_index(path, data)
        clear_cache(str(root))

    monkeypatch.setattr(image_writer, "write_file", be_cleared)
    photos = list_photos([tmp_path / "photos"])
    images = decode(photos, root, PreprocessSpec((10, 10)))
    assert images.gather(np.array([0, 1])).shape == (2, 10, 10, 3)


def test_a_store_that_is_in_use_can_be_cleared(root: Path) -> None:
    with PhotoStore(store_path(root)) as store:
        assert len(store.find(DIGESTS, [KIND])) == 20
        clear_cache(str(root))
        store.add({DIGESTS[0]: {KIND: b"new"}})
        assert store.find(DIGESTS, [KIND]) == {DIGESTS[0]: {KIND: b"new"}}
        assert store.note is None


def test_clearing_again_and_again_stops_no_process_that_adds(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tellapart.cache.photo_store import PhotoStore\n"
        "print('ready', flush=True)\n"
        "with PhotoStore(Path(sys.argv[1])) as store:\n"
        "    for row in range(60):\n"
        "        store.add({f'{row:040x}': {'facts 1': b'%d' % row}})\n"
        "        found = store.find([f'{row:040x}'], ['facts 1'])\n"
        "        assert all(kinds == {'facts 1': b'%d' % row} for kinds in found.values())\n"
        "    print(store.note)\n"
    )
    command = [sys.executable, "-c", code, str(store_path(tmp_path))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    while process.poll() is None:
        assert clear_cache(str(tmp_path)).kept == ()
        time.sleep(0.02)
    output, _ = process.communicate()
    assert process.returncode == 0
    assert "damaged" not in output
