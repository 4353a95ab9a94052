"""`tellapart embed --engine ray`: the vectors of a list of photos, as Parquet parts."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tellapart.backbones.embedder import Embedder, start_backbone
from tellapart.config import DEFAULT_BACKBONE, ImageLimits
from tellapart.distribute.part_folder import open_part_folder
from tellapart.distribute.photo_job import REASON, JobSummary, PhotoWorkers, photos_at, run_job, threads_for
from tellapart.distribute.ray_session import RayConfig, ray_session
from tellapart.distribute.uri_bytes import UriReader
from tellapart.distribute.uri_list import PATH, open_uri_list
from tellapart.images.preprocess import load_image
from tellapart.photos.loading import digest_photo, map_images
from tellapart.records import Skipped
from tellapart.watcher import Watcher

CONTENT, EMBEDDING = "content", "embedding"
# As the pass over a collection.
_BATCH_SIZE = 2


def embed_list(
    source: str,
    out_dir: str | Path,
    *,
    backbone: str = DEFAULT_BACKBONE,
    cache_dir: str | None = None,
    uri_column: str | None = None,
    cluster: RayConfig = RayConfig(),
    on_photo: Callable[[int, int], None] = lambda num_done, num_photos: None,
) -> JobSummary:
    """The embeddings of the photos in a list, with a row for each in the Parquet parts of a folder.

    Columns: `path`, `content` (the checksum of the file, equal for copies), `embedding` (a list of float32 of one
    length), and `reason` for a photo that cannot be read, whose other columns are null. Photos that the folder has are
    passed over. A deep photo that does not say how many bits it fills is judged by itself.

    Args:
        source: a Parquet or CSV file with an address in each row.
        out_dir: new, empty, or with parts of the same backbone.
        backbone: a name such as `efficientnet-lite0`, the path of an ONNX file, or `hf:OWNER/NAME`.
        cache_dir: folder of the cache; `None` is the user's own.
        uri_column: the column of the addresses; `None` is `path` or `uri`.
        cluster: where Ray works.
        on_photo: told how many rows of the list are done, and of how many.

    Raises:
        BundleError, ConfigError: the backbone cannot be had, or does not run.
        ClusterError, DependencyError: Ray is missing, or has stopped.
        DatasetError: the list cannot be used, or no photo of it can be read.
        OutputError: the folder has something else, or cannot be written to.
    """
    uris = open_uri_list(source, uri_column)
    notes: list[str] = []
    started = start_backbone(backbone, cache_dir, Watcher(on_note=notes.append))
    made_by = {"kind": "tellapart embeddings", "backbone": started.embedder.key}
    with open_part_folder(Path(out_dir), made_by) as folder, ray_session(cluster, notes.append) as num_workers:
        import ray

        shipped = [ray.put((started.backbone.model, started.backbone.image_size, started.backbone.name))]
        workers = PhotoWorkers(EmbedWorker, (shipped, uris.base), num_workers)
        summary = run_job(uris, folder, workers, on_photo)
    summary.notes = tuple(notes)
    return summary


class EmbedWorker:
    """A process with a backbone: addresses in, vectors out.

    Args:
        shipped: a reference to the ONNX bytes, the image size and the name of the backbone.
        base: what relative paths begin at.
    """

    def __init__(self, shipped: Sequence[Any], base: str) -> None:
        import ray

        cv2.setNumThreads(1)  # the other cores are those of other workers
        self._embedder = Embedder(*ray.get(shipped[0]))
        self._base, self._reader = base, UriReader(base)

    def __call__(self, table: pa.Table) -> pa.Table:
        """The rows of the photos in the column `path`, in order."""
        photos = photos_at(table[PATH].to_pylist(), self._reader)
        spec, limits = self._embedder.preprocess, ImageLimits()
        contents: dict[int, str] = {}

        def load(row: int) -> NDArray[np.uint8]:
            data = photos.read(row)
            image = load_image(data, spec, limits)
            contents[row] = digest_photo(data)
            return image

        vectors = map_images(
            photos.paths,
            load,
            self._embedder.embed,
            _BATCH_SIZE,
            threads_for(photos.paths, self._base),
        )
        found = list(vectors)
        kind = pa.list_(pa.float32(), self._embedder.embedding_size)
        return pa.table(
            {
                PATH: pa.array(photos.paths, pa.string()),
                CONTENT: pa.array([contents.get(row) for row in range(len(found))], pa.string()),
                EMBEDDING: pa.array([None if isinstance(one, Skipped) else one for one in found], kind),
                REASON: pa.array([one.reason if isinstance(one, Skipped) else None for one in found], pa.string()),
            }
        )
