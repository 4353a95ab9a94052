"""The run folder: which files a training leaves, and how they are named and written."""

import dataclasses
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tellapart.config import AugmentConfig, ClassicConfig, RecipeConfig, ScratchConfig, TransferConfig
from tellapart.errors import BundleError, ConfigError, DatasetError
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.splits import Split
from tellapart.records import EpochRecord, Skipped
from tellapart.runs.job import RunFile, TrainJob
from tellapart.runs.outputs import claim_dir
from tellapart.store import to_csv_bytes, to_json_bytes, write_file

RUN_FILE_NAME = "run.json"
METRICS_NAME, SPLIT_NAME, SKIPPED_NAME = "metrics.json", "split.csv", "skipped.csv"
CHECKPOINT_DIR_NAME = "checkpoints"
_SCHEMA = 1


def claim_run(job: TrainJob, photos_key: str, views: float | None = None) -> RunFile:
    """What `run.json` now says: the folder is that of a training under way on these photos.

    Raises:
        DatasetError: the run to resume was trained on other photos.
        OutputError: the folder is not ours, or cannot be written.
    """
    if job.resumed is not None and job.resumed.photos_key != photos_key:
        raise DatasetError(
            f"the photos of {job.photos.source!r} are not those that {str(job.run_dir)!r} was trained on;"
            " --resume needs the same ones. Train anew with another --out."
        )
    run_file = RunFile(job.photos.source, job.config, job.source.per_class, photos_key, "training", views)
    claim_dir(job.run_dir, RUN_FILE_NAME)
    write_run_file(job.run_dir, run_file)
    return run_file


def finish_run_file(run_dir: Path, run_file: RunFile, is_stopped: bool = False) -> None:
    """Writes to `run.json` that the training is over."""
    write_run_file(run_dir, dataclasses.replace(run_file, state="stopped" if is_stopped else "finished"))


def write_run_file(run_dir: Path, run: RunFile) -> None:
    """Writes `run.json`, which also marks the folder as ours."""
    write_file(run_dir / RUN_FILE_NAME, to_json_bytes({"kind": "tellapart run", "schema": _SCHEMA} | asdict(run)))


def read_run_file(run_dir: Path) -> RunFile:
    """What `run.json` says.

    Raises:
        BundleError: there is no run in the folder, or it is damaged or of another version.
    """
    path = run_dir / RUN_FILE_NAME
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError as exc:
        raise BundleError(
            f"{str(run_dir)!r} holds no run to resume (no {RUN_FILE_NAME}); pass the --out of one."
        ) from exc
    except (OSError, ValueError) as exc:
        raise BundleError(f"{str(path)!r} cannot be read: {exc}; train again with another --out.") from exc
    try:
        if value["kind"] != "tellapart run" or value["schema"] != _SCHEMA:
            raise ValueError(f"kind {value['kind']!r}, schema {value['schema']!r}")
        stored = (value[name] for name in ("source", "per_class", "photos_key", "state"))
        source, per_class, photos_key, state = stored
        return RunFile(source, _config_from(value["config"]), per_class, photos_key, state, value.get("views"))
    except (KeyError, TypeError, ValueError) as exc:
        raise BundleError(
            f"{str(path)!r} is damaged or of another version ({exc}); train again with another --out."
        ) from exc


def check_same_settings(stored: RecipeConfig, config: RecipeConfig) -> None:
    """Nothing, if a run with `stored` settings can go on with `config`: all but the epochs of `classic` are the same.

    Raises:
        ConfigError: some differ; it names them.
    """
    # The learning rate of `scratch` has fallen to nothing by its last epoch, so that more of them would do nothing.
    names = [field.name for field in dataclasses.fields(stored)]
    names = [name for name in names if name != "epochs" or stored.recipe == "scratch"]
    if stored.recipe != config.recipe:
        names = ["recipe"]
    differing = [
        f"{name} {getattr(config, name)!r} (the run has {getattr(stored, name)!r})"
        for name in names
        if getattr(stored, name) != getattr(config, name)
    ]
    if differing:
        raise ConfigError(
            f"--resume goes on with the settings of the run, and these differ: {', '.join(differing[:5])}."
            " Leave them out, or train anew with another --out."
        )


def installed_versions(*packages: str) -> dict[str, str]:
    """Versions of Python, of what every result depends on, and of `packages`."""
    shared = ("tellapart", "numpy", "onnxruntime", "opencv-python-headless", "pillow")
    return {"python": platform.python_version()} | {name: version(name) for name in (*shared, *packages)}


def write_history(run_dir: Path, history: Sequence[EpochRecord]) -> None:
    """Writes `history.csv`, one row an epoch."""
    names = [field.name for field in dataclasses.fields(EpochRecord)]
    rows = [[getattr(record, name) for name in names] for record in history]
    write_file(run_dir / "history.csv", to_csv_bytes([names, *rows]))


def write_split(
    run_dir: Path, photos: PhotoSet, split: Split, digests: Sequence[str], groups: NDArray[np.int64]
) -> None:
    """Writes `split.csv`: path, class, split and content of every photo used, and the number of its group.

    The split is `none` for photos that neither train nor validate.
    """
    assert photos.labels is not None
    sides = dict.fromkeys(split.validation.tolist(), "validation") | dict.fromkeys(split.train.tolist(), "train")
    rows = [
        [path, photos.class_names[label], sides.get(row, "none"), digest, group]
        for row, (path, label, digest, group) in enumerate(
            zip(photos.paths, photos.labels.tolist(), digests, groups.tolist(), strict=True)
        )
    ]
    write_file(run_dir / SPLIT_NAME, to_csv_bytes([["path", "class", "split", "content", "group"], *rows]))


def write_skipped(run_dir: Path, skipped: Sequence[Skipped]) -> None:
    """Writes `skipped.csv`: every file that was left out, and why; only the header when there is none."""
    rows = [[item.path, item.reason] for item in skipped]
    write_file(run_dir / SKIPPED_NAME, to_csv_bytes([["path", "reason"], *rows]))


def _config_from(value: dict[str, Any]) -> RecipeConfig:
    if value["recipe"] == "transfer":
        return TransferConfig(**value)
    if value["recipe"] == "scratch":
        size = value["image_size"]
        return ScratchConfig(**value | {"image_size": None if size is None else tuple(size)})
    augment = value["augment"]
    return ClassicConfig(
        **value
        | {
            "image_size": tuple(value["image_size"]),
            "augment": None if augment is None else AugmentConfig(**augment),
        }
    )
