"""The cache folder: where each part of it is, how large it is, and clearing it.

    images/               decoded photos                   `cache/decoded_cache.py`
    seen/photos.sqlite3   what was seen of photos          `cache/photo_store.py`
    backbones/            built-in backbones as ONNX       `backbones/backbone.py`
    backbones/hub/        downloads                        `backbones/hub.py`, in the layout of `huggingface_hub`

All of it can be made or downloaded again. The folder may be one that holds other people's files, so only what carries a
mark or a name of ours counts and is deleted. That includes `embeddings.sqlite3` and `facts.sqlite3`, which earlier
versions wrote into the folder itself.
"""

import contextlib
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from tellapart.cache.photo_store import PhotoStore, list_store_files
from tellapart.translation import gettext as _

# What an exported backbone is called in the cache: its name, the version of the export, and the hash of its content.
EXPORTED_NAME = re.compile(r"[a-z0-9@+-]+-v\d+-[0-9a-f]{64}\.onnx")
# Where versions before 0.2 kept embeddings and facts.
_EARLIER_STORES = ("embeddings.sqlite3", "facts.sqlite3")
# What tellapart/store.py calls a file that it is writing.
_PARTIAL_NAME = re.compile(r"\.tellapart-[0-9a-f]+\.partial")
# Decoded photos, and what holds them while they are written. What is deleted carries a name of ours: `--cache-dir` may
# be a folder with other people's arrays in it.
_IMAGES_NAME = re.compile(r"[0-9a-f]{40}\.npy")
_PARTIAL_IMAGES = (".images-*.partial", ".tellapart-*.partial")
# What another process writes at this moment stays; what was not touched for so long was left by one that was killed.
_UNFINISHED_SUFFIXES = (".partial", ".incomplete")
_UNFINISHED_SECONDS = 3600


@dataclass(frozen=True)
class CachePart:
    """One kind of thing in the cache folder.

    Attributes:
        name: what it is, in words.
        path: its folder or file, whether it exists or not.
        num_items: sets of decoded photos, photos seen, or backbones.
        size_bytes: on the disk.
    """

    name: str
    path: Path
    num_items: int
    size_bytes: int


@dataclass(frozen=True)
class CacheState:
    """What is in the cache folder.

    Attributes:
        root: the folder, whether it exists or not.
        parts: decoded photos, seen photos and backbones, in that order.
        note: a sentence for the user about the store of seen photos, such as that it was damaged.
    """

    root: Path
    parts: tuple[CachePart, ...]
    note: str | None

    @property
    def size_bytes(self) -> int:
        """Bytes on the disk, of all parts."""
        return sum(part.size_bytes for part in self.parts)


@dataclass(frozen=True)
class ClearedCache:
    """What `clear_cache` did.

    Attributes:
        root: the folder.
        freed_bytes: size of the files that were deleted.
        kept: files of ours that are still there, because another process writes them or they cannot be deleted.
    """

    root: Path
    freed_bytes: int
    kept: tuple[Path, ...]


def cache_root(cache_dir: str | None) -> Path:
    """The cache folder: `cache_dir`, or the user's own for `None`; not made here."""
    return Path(cache_dir) if cache_dir is not None else platformdirs.user_cache_path("tellapart")


def images_dir(root: Path) -> Path:
    """Where decoded photos are kept."""
    return root / "images"


def store_path(root: Path) -> Path:
    """The file that keeps what was seen of photos."""
    return root / "seen" / "photos.sqlite3"


def backbones_dir(root: Path) -> Path:
    """Where backbones are kept, downloads among them."""
    return root / "backbones"


def list_image_files(cache_dir: Path) -> list[Path]:
    """The files in the folder that are ours: indexes, images, and those that are being written, or were when killed."""
    partial = [path for name in _PARTIAL_IMAGES for path in cache_dir.glob(name)]
    images = [path for path in cache_dir.glob("*.npy") if _IMAGES_NAME.fullmatch(path.name)]
    indexes = [path for path in cache_dir.glob("*.json") if _IMAGES_NAME.fullmatch(path.with_suffix(".npy").name)]
    return [path for path in (*sorted(indexes), *sorted(images), *sorted(partial)) if path.is_file()]


def measure_cache(cache_dir: str | None = None) -> CacheState:
    """What is in the cache folder and how large it is; an absent folder is an empty one."""
    root = cache_root(cache_dir)
    image_files = list_image_files(images_dir(root))
    backbone_files = _list_backbone_files(root)
    repositories = _list_repositories(root)
    hub_files = [path for repository in repositories for path in _list_within(repository)]
    num_backbones = sum(path.suffix == ".onnx" for path in backbone_files) + len(repositories)
    num_sets = sum(path.suffix == ".npy" for path in image_files)
    with PhotoStore(store_path(root)) as store:
        num_seen = store.num_photos()
    parts = (
        CachePart(_("decoded photos"), images_dir(root), num_sets, _total_bytes(image_files)),
        CachePart(_("seen photos"), store_path(root).parent, num_seen, _total_bytes(_list_stores(root))),
        CachePart(_("backbones"), backbones_dir(root), num_backbones, _total_bytes([*backbone_files, *hub_files])),
    )
    return CacheState(root, parts, store.note)


def clear_cache(cache_dir: str | None = None) -> ClearedCache:
    """What was deleted: all that is ours in the cache folder, but not what another process writes at this moment.

    A process that reads what is deleted goes on reading it; one that would have found something computes it. The
    folders stay, because a process may be about to write into them.
    """
    root = cache_root(cache_dir)
    files = [*list_image_files(images_dir(root)), *_list_backbone_files(root), *_list_stores(root)]
    unfinished = [path for path in files if _is_being_written(path)]
    deletable = [path for path in files if path not in unfinished]
    folders: list[Path] = []
    for repository in _list_repositories(root):
        within = _list_within(repository)
        if being_written := [path for path in within if _is_being_written(path)]:
            unfinished += being_written
            continue
        locks = _hub_dir(root) / ".locks" / repository.name
        deletable += [*within, *_list_within(locks)]
        folders += [repository, locks]
    freed_bytes, kept = _delete_files(deletable)
    for folder in folders:
        _remove_empty_folders(folder)
    return ClearedCache(root, freed_bytes, tuple(unfinished + kept))


def _hub_dir(root: Path) -> Path:
    return backbones_dir(root) / "hub"


def _list_stores(root: Path) -> list[Path]:
    """The files of the store of seen photos, and of those that earlier versions left."""
    paths = [store_path(root), *(root / name for name in _EARLIER_STORES)]
    return [file for path in paths for file in list_store_files(path)]


def _list_backbone_files(root: Path) -> list[Path]:
    folder = backbones_dir(root)
    names = (EXPORTED_NAME, _PARTIAL_NAME)
    return [path for path in sorted(folder.glob("*")) if any(n.fullmatch(path.name) for n in names) and path.is_file()]


def _list_repositories(root: Path) -> list[Path]:
    """A folder for each repository downloaded."""
    hub_dir = _hub_dir(root)
    if hub_dir.is_symlink():  # somebody's own collection
        return []
    return [path for path in sorted(hub_dir.glob("models--*--*")) if path.is_dir() and not path.is_symlink()]


def _list_within(folder: Path) -> list[Path]:
    """All files below the folder; links are files, and lead nowhere else."""
    return sorted(Path(parent) / name for parent, _unused, names in os.walk(folder) for name in names)


def _total_bytes(files: Sequence[Path]) -> int:
    total = 0
    for path in files:
        with contextlib.suppress(OSError):  # another process deletes too
            total += path.lstat().st_size
    return total


def _is_being_written(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return path.suffix in _UNFINISHED_SUFFIXES and time.time() - path.stat().st_mtime < _UNFINISHED_SECONDS
    return False


def _delete_files(files: Sequence[Path]) -> tuple[int, list[Path]]:
    """Bytes freed, and the files that could not be deleted."""
    freed_bytes = 0
    kept: list[Path] = []
    for path in files:
        try:
            num_bytes = path.lstat().st_size
            path.unlink()
            freed_bytes += num_bytes
        except FileNotFoundError:
            pass  # another process was faster
        except OSError:
            kept.append(path)
    return freed_bytes, kept


def _remove_empty_folders(folder: Path) -> None:
    for parent, _unused, _unused in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):  # something has come into it
            os.rmdir(parent)
