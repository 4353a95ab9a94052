"""`tellapart predict --engine ray`: the answers of a model for a list of photos, as Parquet parts.

The numbers are those of `predict`: the same gate decodes, the same model runs on batches of the same size.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Unpack

import cv2
import pyarrow as pa

from tellapart.distribute.part_folder import open_part_folder
from tellapart.distribute.photo_job import REASON, JobSummary, PhotoWorkers, photos_at, run_job, threads_for
from tellapart.distribute.ray_session import RayConfig, ray_session
from tellapart.distribute.uri_bytes import UriReader
from tellapart.distribute.uri_list import PATH, open_uri_list
from tellapart.predict.bundle import BUNDLE_FILE, Bundle
from tellapart.predict.model import Model, load
from tellapart.records import Prediction, Skipped
from tellapart.settings import AnswerSettings
from tellapart.store import sha256_hex


@dataclass(frozen=True)
class ClusterPredictions:
    """What `predict_list` did.

    Attributes:
        summary: how many photos there were, and which cannot be read.
        counts: answer to photos, of those that were done now.
    """

    summary: JobSummary
    counts: Counter[str] = field(default_factory=Counter)


def predict_list(
    model_dir: str | Path,
    source: str,
    out_dir: str | Path,
    *,
    uri_column: str | None = None,
    cluster: RayConfig = RayConfig(),
    on_photo: Callable[[int, int], None] = lambda num_done, num_photos: None,
    **settings: Unpack[AnswerSettings],
) -> ClusterPredictions:
    """What the model says of the photos in a list, with a row for each in the Parquet parts of a folder.

    Columns: `path`, `predicted_class`, `probability`, `p_<class>` for each class, `nearest_class`, `distance` where the
    model has it, `answer`, and `reason` for a photo that cannot be read, whose other columns are null. Numbers are
    float32, as the model gives them. Photos that the folder has are passed over.

    Args:
        model_dir: the folder that training made.
        source: a Parquet or CSV file with an address in each row.
        out_dir: new, empty, or with parts of the same model and settings.
        uri_column: the column of the addresses; `None` is `path` or `uri`.
        cluster: where Ray works.
        on_photo: told how many rows of the list are done, and of how many.
        settings: when the model answers, and with which class, as for `Model.predict`.

    Raises:
        BundleError: the folder holds no model that can be used.
        ClusterError, DependencyError: Ray is missing, or has stopped.
        ConfigError: a rate or a threshold is asked for that the model does not have.
        DatasetError: the list cannot be used, or no photo of it can be read.
        OutputError: the folder has something else, or cannot be written to.
    """
    model = load(model_dir)
    notes = list(model.answer_maker(**settings).rule.notes)
    uris = open_uri_list(source, uri_column)
    counts: Counter[str] = Counter()

    def count(table: pa.Table) -> None:
        counts.update(answer for answer in table["answer"].to_pylist() if answer is not None)

    made_by = {
        "kind": "tellapart predictions",
        "model": sha256_hex((Path(model_dir) / BUNDLE_FILE).read_bytes()),
        "settings": {name: str(value) for name, value in settings.items() if value is not None},
    }
    with open_part_folder(Path(out_dir), made_by) as folder, ray_session(cluster, notes.append) as num_workers:
        import ray

        shipped = [ray.put(model.bundle)]
        workers = PhotoWorkers(PredictWorker, (shipped, uris.base, dict(settings)), num_workers)
        summary = run_job(uris, folder, workers, on_photo, count)
    summary.notes = tuple(notes)
    return ClusterPredictions(summary, counts)


class PredictWorker:
    """A process with a model: addresses in, rows out.

    Args:
        shipped: a reference to the bundle.
        base: what relative paths begin at.
        settings: of `Model.predict`.
    """

    def __init__(self, shipped: Sequence[Any], base: str, settings: dict[str, Any]) -> None:
        import ray

        cv2.setNumThreads(1)  # the other cores are those of other workers
        self._bundle: Bundle = ray.get(shipped[0])
        self._models: dict[int, Model] = {}
        self._base, self._reader, self._settings = base, UriReader(base), settings

    def __call__(self, table: pa.Table) -> pa.Table:
        """The rows of the photos in the column `path`, in order."""
        paths = table[PATH].to_pylist()
        threads = threads_for(paths, self._base)
        if threads not in self._models:
            self._models[threads] = Model(self._bundle, threads)
        model = self._models[threads]
        results = model.predict(photos_at(paths, self._reader), **self._settings).items()
        return _to_table(model, [result for _row, result in results])


def _to_table(model: Model, results: Sequence[Prediction | Skipped]) -> pa.Table:
    rows = [_to_row(model, result) for result in results]
    numbers = ["probability", *(f"p_{name}" for name in model.class_names)]
    columns: dict[str, pa.DataType] = {PATH: pa.string(), "predicted_class": pa.string()}
    columns |= dict.fromkeys(numbers, pa.float32()) | {"nearest_class": pa.string()}
    columns |= {"distance": pa.float32()} if model.has_distances else {}
    columns |= {"answer": pa.string(), REASON: pa.string()}
    return pa.Table.from_pylist(rows, pa.schema(list(columns.items())))


def _to_row(model: Model, result: Prediction | Skipped) -> dict[str, Any]:
    if isinstance(result, Skipped):
        return {PATH: result.path, REASON: result.reason}
    shares = {f"p_{name}": share for name, share in zip(model.class_names, result.probabilities, strict=True)}
    return shares | {
        PATH: result.path,
        "predicted_class": result.class_name,
        "probability": result.probability,
        "nearest_class": result.nearest_class,
        "distance": result.distance,
        "answer": result.answer,
    }
