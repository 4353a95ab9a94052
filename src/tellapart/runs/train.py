"""`tellapart train`: from photos to a run folder with a classifier in it, or the continuation of one."""

import time
from dataclasses import replace
from pathlib import Path

from tellapart.config import RecipeConfig, ScratchConfig, SourceConfig, TransferConfig
from tellapart.errors import OutputError
from tellapart.photos.decisions import apply_own_decisions
from tellapart.photos.sources import PhotoSet, open_photos
from tellapart.runs.job import Run, RunFile, TrainJob
from tellapart.runs.outputs import check_outside, claim_dir
from tellapart.runs.run_folder import RUN_FILE_NAME, check_same_settings, read_run_file
from tellapart.store import remove_partials
from tellapart.watcher import Watcher


def train(
    photos: PhotoSet | str | Path,
    out: str | Path,
    config: RecipeConfig | None = None,
    *,
    source: SourceConfig | None = None,
    resume: bool = False,
    watcher: Watcher | None = None,
) -> Run:
    """A trained classifier in the folder `out`, with its pictures and numbers.

    A `KeyboardInterrupt` stops a training in epochs at the last finished one and leaves a folder that is as usable as
    that of a finished run, and can be resumed.

    Args:
        photos: an opened photo set, or anything `open_photos` takes.
        out: folder of the run; new, empty, or an earlier run to resume.
        config: how to train: a head on the embeddings of a frozen backbone (`TransferConfig`), the residual network
            from scratch (`ScratchConfig`), or the article's network (`ClassicConfig`); `None` is `TransferConfig()`, or
            with `resume` the settings of the run.
        source: how labels are found and how many photos are taken.
        resume: go on with the run in `out`, killed or finished, up to `config.epochs` where there are epochs.
        watcher: who is told about the progress.

    Raises:
        ConfigError: a setting is not accepted, or differs from those of the run to resume.
        DatasetError: the photos cannot be used, or differ from those of the run to resume.
        BundleError: there is no run to resume, or it is damaged; or the backbone cannot be used.
        DependencyError: a package that the training needs is not installed.
        OutputError: `out` is not ours, or cannot be written.
        KeyboardInterrupt: the user stopped it before there was anything to keep.
    """
    started, run_dir, watcher = time.perf_counter(), Path(out), watcher or Watcher()
    if run_dir.exists():  # found now rather than after the photos are decoded
        claim_dir(run_dir, RUN_FILE_NAME)
    check_outside(run_dir, Path(photos.source if isinstance(photos, PhotoSet) else photos))
    config, source, stored = _settings(run_dir, config, source or SourceConfig(), resume)
    is_transfer = isinstance(config, TransferConfig)
    # A head can be learnt from a single photo of a class; that its accuracy is then unknown is said later.
    photos = photos if isinstance(photos, PhotoSet) else open_photos(photos, source, check=not is_transfer)
    decided = apply_own_decisions(photos, watcher)
    job = TrainJob(decided.photos, run_dir, config, source, stored, watcher, started, decided.confirmed)
    if is_transfer:
        from tellapart.runs.train_head import train_head

        return train_head(job)
    # Keras and PyTorch take seconds to load, which a head does without.
    from tellapart.runs.train_network import train_network

    return train_network(job)


def _settings(
    run_dir: Path, config: RecipeConfig | None, source: SourceConfig, resume: bool
) -> tuple[RecipeConfig, SourceConfig, RunFile | None]:
    """The settings to train with, and those of the run to resume, if one is."""
    if not resume:
        if (run_dir / RUN_FILE_NAME).exists():
            raise OutputError(
                f"{str(run_dir)!r} holds a run already; pass --resume to go on with it, or another --out."
            )
        return config or TransferConfig(), source, None
    stored = read_run_file(run_dir)
    remove_partials(run_dir)
    config = _as_decided(config or stored.config, stored.config)
    check_same_settings(stored.config, config)
    return config, replace(source, per_class=stored.per_class), stored


def _as_decided(config: RecipeConfig, stored: RecipeConfig) -> RecipeConfig:
    """`config` with what was left to the recipe as the run has decided it."""
    if not isinstance(config, ScratchConfig) or not isinstance(stored, ScratchConfig):
        return config
    left = [name for name in ("image_size", "flip") if getattr(config, name) is None]
    return replace(config, **{name: getattr(stored, name) for name in left})
