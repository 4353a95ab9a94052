"""`tellapart train URIS --engine ray`: embeddings by a cluster, and a head fitted here that learns from all of them.

A stratified sample goes through everything that a training is: the check-up, cross-validation, the test on held-out
photos and the report. The photos outside of it teach LDA, by sums over batches (`heads/stream_fit.py`).
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.photo_pass import ImageSink, look_at, progress_reporter
from tellapart.backbones.seen_photos import SeenPhotos
from tellapart.checkup.check_up import Checkup
from tellapart.config import (
    DEFAULT_BACKBONE,
    LABEL_SETTINGS,
    QUICK_BACKBONE,
    DialConfig,
    RecipeConfig,
    SourceConfig,
    TransferConfig,
)
from tellapart.distribute.embedded_parts import EmbeddedPhotos, GatheredPhotos, read_parts
from tellapart.distribute.embedding import embed_list
from tellapart.distribute.labelled_uris import LabelledUris, read_labels
from tellapart.distribute.ray_session import RayConfig
from tellapart.distribute.uri_bytes import UriFile, UriReader
from tellapart.distribute.uri_list import open_uri_list
from tellapart.errors import ConfigError, DatasetError, OutputError
from tellapart.heads.head_data import HeadData
from tellapart.heads.linear_models import LinearModel
from tellapart.heads.stream_fit import SAMPLE_SIZE, Batch, draw_sample, fit_lda_stream
from tellapart.measure.scores import LearningCurve
from tellapart.measure.splits import Split
from tellapart.photos.names import printable
from tellapart.photos.photoset import PhotoSet, check_classes
from tellapart.predict.dial import check_dial_class
from tellapart.records import Skipped
from tellapart.runs.head_recipe import HeadRecipe
from tellapart.runs.job import Fitted, Run, TrainJob
from tellapart.runs.outputs import check_outside
from tellapart.runs.run_folder import (
    RUN_FILE_NAME,
    RunFile,
    begin_run,
    check_same_settings,
    claimed,
    read_run_file,
    run_file_of,
)
from tellapart.runs.train import check_can_train, train_job
from tellapart.settings import TrainSettings, recipe_config, source_config, split_dial, split_settings
from tellapart.store import remove_partials
from tellapart.translation import gettext as _
from tellapart.value_checks import check_whole
from tellapart.watcher import Watcher

PARTS_NAME = "embeddings"
# The other photos teach LDA where they are at least so many times those of the sample; with fewer they add little, and
# near copies of a photo of the sample, which are looked for in the sample alone, would weigh too much.
_LEAST_TIMES = 1
_FEWEST_SAMPLED = 100


def train_on_cluster(
    uris: str,
    out: str | Path,
    *,
    cluster: RayConfig = RayConfig(),
    uri_column: str | None = None,
    label_column: str = "label",
    sample: int = SAMPLE_SIZE,
    resume: bool = False,
    watcher: Watcher | None = None,
    **settings: Unpack[TrainSettings],
) -> Run:
    """A classifier of the photos of a list, which a cluster embeds; the folder `out` is a run as `train` makes one.

    Up to `sample` photos all of them are treated as by `train`, with the same result. Of more, a stratified sample is:
    it is checked, chooses the head, and a fifth of it tests the model. The other photos teach linear discriminant
    analysis, without a copy of a photo of the sample among them; near copies are looked for in the sample alone.

    Args:
        uris: a Parquet or CSV file with an address and a label in each row, on this machine or in a bucket.
        out: folder of the run; new, empty, or with `resume` an earlier run, whose embeddings are kept.
        cluster: where Ray works.
        uri_column, label_column: the columns of the list; without the first, `path` or `uri`.
        sample: photos that are kept in memory at once.
        resume: go on with the run in `out`.
        watcher: who is told about the progress.
        settings: as for `train`, of the recipe `transfer`.

    Raises:
        ConfigError: a setting has a wrong value, has no effect here, or differs from those of the run to resume.
        DatasetError: the list or the photos cannot be used, or differ from those of the run to resume.
        DependencyError: Ray or another package is not installed.
        ClusterError: the cluster is gone in mid-job; `resume` goes on.
        OutputError: `out` is not ours, or cannot be written.
    """
    started, run_dir, watcher = time.perf_counter(), Path(out), watcher or Watcher()
    dial, others = split_dial(settings)
    of_recipe, of_source = split_settings(others)
    config, source = _make_config(of_recipe), _make_source(of_source)
    check_whole("sample", sample, _FEWEST_SAMPLED, 10**9)
    check_can_train()
    check_outside(run_dir, Path(uris))
    with claimed(run_dir):
        resumed = _read_resumed(run_dir) if resume else None
        if resumed is None:
            _check_new(run_dir)
        else:
            config = _make_config(of_recipe, resumed.config)
            check_same_settings(resumed.config, config)
            dial = resumed.dial if dial == DialConfig() else dial
        opened = open_uri_list(uris, uri_column, label_column)
        labelled = read_labels(opened)
        check_classes(labelled.counts(), uris)
        check_dial_class(dial, labelled.class_names)
        photos = PhotoSet(uris, (), np.zeros(0, np.int64), labelled.class_names, labelled.unlabelled, ())
        begin_run(run_dir, replace(run_file_of(photos, source, config, labelled.checksum), dial=dial), resumed)
        report, parts_dir = progress_reporter(opened.num_rows, watcher), run_dir / PARTS_NAME
        done = embed_list(
            uris,
            parts_dir,
            backbone=config.backbone or DEFAULT_BACKBONE,
            cache_dir=source.cache_dir,
            uri_column=uri_column,
            cluster=cluster,
            on_photo=lambda num_done, num_photos: report(num_done, 0),
        )
        for note in done.notes:
            watcher.on_note(note)
        embedded = read_parts(sorted(parts_dir.glob("part-*.parquet")), labelled)
        chosen = _choose(embedded, sample, config.seed, uris)
        sampled = embedded.gather(chosen)
        photos = _photos_of(sampled, opened.base, labelled, embedded)
        job = TrainJob(photos, run_dir, config, source, resumed, watcher, started, dial=dial)
        return train_job(job, SampledHeadRecipe(job, Sampling(labelled, embedded, chosen, sampled)))


@dataclass(frozen=True, eq=False)
class Sampling:
    """The photos of a list, and which of them are in the sample.

    Attributes:
        labelled: the list.
        embedded: its photos that can be used.
        is_sampled: bool, shape `(len(embedded),)`.
        sampled: those of the sample.
    """

    labelled: LabelledUris
    embedded: EmbeddedPhotos
    is_sampled: NDArray[np.bool_]
    sampled: GatheredPhotos

    @property
    def num_others(self) -> int:
        """Photos outside of the sample that teach LDA; 0 where they are too few."""
        num = len(self.embedded) - len(self.sampled.labels)
        return num if num >= _LEAST_TIMES * len(self.sampled.labels) else 0

    def to_json(self) -> dict[str, int]:
        """What `metrics.json` says of it."""
        return {
            "num_listed": len(self.labelled.labels) + len(self.labelled.unlabelled),
            "num_usable": len(self.embedded),
            "num_sampled": len(self.sampled.labels),
            "num_streamed": self.num_others,
        }


class SampledHeadRecipe(HeadRecipe):
    """The recipe `transfer` on the sample of a list, with LDA of the other photos.

    Args:
        job: with the photos of the sample.
        sampling: which they are.
    """

    def __init__(self, job: TrainJob, sampling: Sampling) -> None:
        super().__init__(job)
        self._sampling = sampling

    def _embed(self, sink: Callable[[], ImageSink | None] = lambda: None) -> SeenPhotos:
        """The photos of the sample, read once more for what the check-up and the report say of them."""
        job, sampled = self._job, self._sampling.sampled
        seen = look_at(job.photos, cache_dir=job.source.cache_dir, watcher=job.watcher)
        row_of_path = {path: row for row, path in enumerate(job.photos.paths)}
        rows = np.array([row_of_path[path] for path in seen.photos.paths], np.int64)
        is_same = np.array([seen.digests[place] == sampled.digests[row] for place, row in enumerate(rows)], np.bool_)
        changed = tuple(
            Skipped(seen.photos.paths[place], _("it has changed since it was embedded"))
            for place in np.flatnonzero(~is_same)
        )
        kept = seen.take(np.flatnonzero(is_same))
        photos = replace(kept.photos, skipped=kept.photos.skipped + changed)
        return replace(kept, photos=photos, embeddings=sampled.embeddings[rows[is_same]], num_found=0)

    def run_file(self, checkup: Checkup) -> RunFile:
        """What `run.json` says: that of the whole list."""
        return run_file_of(checkup.photos, self._job.source, self._config, self._sampling.labelled.checksum)

    def fit(self, checkup: Checkup, split: Split) -> Fitted:
        """The head in one model with its backbone, how it does, and how many photos it learnt from."""
        fitted = super().fit(checkup, split)
        return replace(fitted, metrics={**fitted.metrics, "sample": self._sampling.to_json()})

    def _streamed(self, data: HeadData) -> Mapping[float | None, LinearModel] | None:
        """LDA of the photos outside of the sample; a class without any is learnt from those of the sample."""
        sampling = self._sampling
        if not sampling.num_others:
            return None
        num, all_num = sampling.num_others, len(sampling.embedded)
        self._job.watcher.on_note(
            _("The head is chosen and tested on a sample of {sampled:,} of {num:,} photos. LDA learns from the others.")
            .format(sampled=all_num - num, num=all_num)
        )  # fmt: skip
        self._job.watcher.on_stage(_("learning from the photos outside of the sample"))
        counts = np.bincount(sampling.embedded.labels[~sampling.is_sampled], minlength=data.num_classes)
        is_rare = (counts == 0)[data.labels]

        def batches() -> Iterator[Batch]:
            yield from sampling.embedded.batches(~sampling.is_sampled)
            if is_rare.any():
                yield data.embeddings[is_rare], data.labels[is_rare]

        return fit_lda_stream(batches, data.num_classes, is_corrected=data.class_weights is not None)

    def _learning_curve(self, data: HeadData) -> LearningCurve | None:
        """As of any training where all photos are in the sample; else there are more, and the curve would mislead."""
        return None if self._sampling.num_others else super()._learning_curve(data)


def _make_config(settings: Mapping[str, Any], stored: RecipeConfig | None = None) -> TransferConfig:
    """The settings of the head, with a backbone; those that are not given are those of the run to resume.

    Raises:
        ConfigError: they are of another recipe, or ask for a choice between networks.
    """
    config = recipe_config(settings, stored)
    if not isinstance(config, TransferConfig) or config.recipe != TransferConfig.recipe:
        said = _("`recipe={recipe!r}` trains on one machine. With `engine='ray'` give `recipe='transfer'`.")
        raise ConfigError(said.format(recipe=config.recipe), field="recipe", value=config.recipe)
    if config.backbone is not None:
        return config
    if config.eyes == "best":
        said = _("`eyes='best'` tries networks on one machine. With `engine='ray'` name one with `backbone`.")
        raise ConfigError(said, field="eyes", value=config.eyes)
    named = {"auto": DEFAULT_BACKBONE, "quick": QUICK_BACKBONE}
    return replace(config, backbone=named.get(config.eyes, config.eyes), eyes="auto")


def _make_source(settings: Mapping[str, Any]) -> SourceConfig:
    """The settings of the source that a list has.

    Raises:
        ConfigError: one has no effect on a list.
    """
    for name in (*LABEL_SETTINGS, "per_class"):
        if settings.get(name) is not None:
            said = _("`{name}` has no effect with `engine='ray'`. The list has a column of labels: `label_column`.")
            raise ConfigError(said.format(name=name), field=name, value=settings[name])
    return source_config(settings)


def _check_new(run_dir: Path) -> None:
    """Nothing, if there is no run in the folder.

    Raises:
        OutputError: there is one.
    """
    if (run_dir / RUN_FILE_NAME).exists():
        said = _("there is a run in {folder!r} already. Give `resume=True` to continue it, or another `out`.")
        raise OutputError(said.format(folder=str(run_dir)), path=run_dir)


def _read_resumed(run_dir: Path) -> RunFile:
    """What the run to resume says of itself.

    Raises:
        BundleError: there is no run, or it is damaged.
    """
    stored = read_run_file(run_dir)
    remove_partials(run_dir)
    return stored


def _choose(embedded: EmbeddedPhotos, sample: int, seed: int, source: str) -> NDArray[np.bool_]:
    """Which photos are in the sample.

    Raises:
        DatasetError: no photo can be read.
    """
    if not len(embedded):
        first = embedded.unreadable[0]
        said = _("none of the photos of {source!r} can be read. The first, {path!r}: {reason}.")
        raise DatasetError(
            said.format(source=source, path=first.path, reason=first.reason.rstrip(".")),
            paths=[item.path for item in embedded.unreadable],
        )
    return draw_sample(embedded.labels, embedded.contents, sample, seed)


def _photos_of(sampled: GatheredPhotos, base: str, labelled: LabelledUris, embedded: EmbeddedPhotos) -> PhotoSet:
    """The photos of the sample; all files of the list that cannot be used are named."""
    reader = UriReader(base)
    return PhotoSet(
        source=labelled.source,
        paths=tuple(map(printable, sampled.paths)),
        labels=sampled.labels,
        class_names=labelled.class_names,
        skipped=labelled.unlabelled + embedded.unreadable,
        places=tuple(UriFile(path, reader) for path in sampled.paths),
    )
