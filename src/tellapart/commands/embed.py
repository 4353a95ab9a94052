"""`tellapart embed`: photos in, a file with a vector a photo out."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.embedder import start_backbone
from tellapart.backbones.photo_pass import Eye, look_at
from tellapart.backbones.seen_photos import SeenPhotos
from tellapart.config import DEFAULT_BACKBONE
from tellapart.errors import DatasetError
from tellapart.photos.sources import Photos, open_any_photos, source_paths
from tellapart.runs.outputs import OutputFile, check_output_files, has_arrays
from tellapart.settings import SourceSettings, source_config
from tellapart.store import write_file
from tellapart.translation import gettext as _
from tellapart.watcher import Watcher


def embed(
    photos: Photos,
    out: str | Path,
    *,
    backbone: str = DEFAULT_BACKBONE,
    watcher: Watcher | None = None,
    **source: Unpack[SourceSettings],
) -> SeenPhotos:
    """The embeddings of the photos, also written to the file `out` as `.npz`.

    The file holds `paths` (text, shape `(n,)`), `embeddings` (float32 `(n, d)`), `backbone` (text) and, where the
    source has labels, `labels` (int64 `(n,)`) and `class_names` (text); `numpy.load` reads it without pickle.

    Args:
        photos: anything `open_photos` takes, labelled or not.
        out: a new file, or an earlier one of this kind.
        backbone: a name such as `efficientnet-lite0`, the path of an ONNX file, or `hf:OWNER/NAME`.
        watcher: who is told about the progress.
        source: how labels are found: the fields of `SourceConfig`; `per_class` plays no part.

    Raises:
        DatasetError: the source cannot be used, or no photo can be read.
        OutputError: the file cannot be written, lies among the photos, or is somebody else's.
    """
    config = source_config(source)
    file = OutputFile(Path(out), "out", _("a file of embeddings"), has_arrays("paths", "embeddings", "backbone"))
    check_output_files([file], [*source_paths(photos), config.labels_csv])
    watcher = watcher or Watcher()
    opened = open_any_photos(photos, config)
    for note in opened.notes:
        watcher.on_note(note)
    if opened.unlabelled_reason is not None:
        watcher.on_note(_("The photos are taken as unlabelled: {reason}").format(reason=opened.unlabelled_reason))
    started = start_backbone(backbone, config.cache_dir, watcher)
    seen = look_at(opened, [Eye(started.embedder)], cache_dir=config.cache_dir, watcher=watcher)
    if not len(seen.photos):
        reason = seen.photos.skipped[0].reason if seen.photos.skipped else _("there are no photos")
        raise DatasetError(
            _(
                "none of the photos of {source!r} can be read. The first: {reason}. Give photos in JPEG, PNG "
                "or another common format. `tellapart show` lists the reasons."
            ).format(source=seen.photos.source, reason=reason),
            paths=[item.path for item in seen.photos.skipped],
        )
    write_file(Path(out), _npz_bytes(seen, started.backbone.name))
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
