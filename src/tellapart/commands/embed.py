"""`tellapart embed`: photos in, a file with a vector a photo out."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.embedder import start_backbone
from tellapart.backbones.photo_pass import Eye, look_at
from tellapart.backbones.seen_photos import SeenPhotos
from tellapart.config import DEFAULT_BACKBONE, SourceConfig
from tellapart.errors import DatasetError
from tellapart.photos.sources import open_any_photos
from tellapart.runs.outputs import OutputFile, check_output_files, has_arrays
from tellapart.store import write_file
from tellapart.watcher import Watcher


def embed_to_file(
    source: str | Path,
    out_path: Path,
    backbone: str = DEFAULT_BACKBONE,
    *,
    config: SourceConfig = SourceConfig(),
    watcher: Watcher | None = None,
) -> SeenPhotos:
    """The embeddings of the photos of `source`, also written to `out_path` as `.npz`.

    The file holds `paths` (text, shape `(n,)`), `embeddings` (float32 `(n, d)`), `backbone` (text) and, where the
    source has labels, `labels` (int64 `(n,)`) and `class_names` (text); `numpy.load` reads it without pickle.

    Raises:
        DatasetError: the source cannot be used, or no photo can be read.
        OutputError: the file cannot be written, lies among the photos, or is somebody else's.
    """
    file = OutputFile(out_path, "out", "a file of embeddings", has_arrays("paths", "embeddings", "backbone"))
    check_output_files([file], [source, config.labels_csv])
    watcher = watcher or Watcher()
    photos, _ = open_any_photos(source, config)
    opened = start_backbone(backbone, config.cache_dir, watcher)
    seen = look_at(photos, [Eye(opened.embedder)], cache_dir=config.cache_dir, watcher=watcher)
    if not len(seen.photos):
        reason = seen.photos.skipped[0].reason if seen.photos.skipped else "there are none"
        raise DatasetError(
            f"none of the photos of {str(source)!r} can be read, the first because: {reason}. Photos in JPEG, PNG and "
            "other common formats are accepted; check them with `tellapart show`."
        )
    write_file(out_path, _npz_bytes(seen, opened.backbone.name))
    return seen


def _npz_bytes(seen: SeenPhotos, backbone_name: str) -> bytes:
    photos = seen.photos
    assert seen.embeddings is not None
    arrays: dict[str, NDArray[np.generic]] = {
        "paths": _text_array(photos.paths),
        "embeddings": seen.embeddings,
        "backbone": np.array(backbone_name),
    }
    if photos.labels is not None:
        arrays |= {"labels": np.array(photos.labels), "class_names": _text_array(photos.class_names)}
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _text_array(texts: Sequence[str]) -> NDArray[np.str_]:
    return np.array(texts, dtype=np.str_)
