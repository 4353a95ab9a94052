"""The recipe `finetune`: that of `transfer`, and where it pays, the last blocks of the network trained as well.

On a GPU all of the network is trained, from the pixels of the views on.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tellapart.backbones.backbone import Backbone
from tellapart.backbones.embedder import Embedder, OpenBackbone
from tellapart.backbones.frozen_part import FrozenPart
from tellapart.backbones.photo_pass import ImageSink
from tellapart.backbones.pretrained import find_packaged
from tellapart.backbones.seen_photos import SeenPhotos
from tellapart.cache.cache_folder import cache_root, images_dir
from tellapart.cache.decoded_cache import CachedImages
from tellapart.cache.image_writer import ImageWriter
from tellapart.checkup.check_up import Checkup
from tellapart.config import DEFAULT_BACKBONE, FinetuneConfig
from tellapart.errors import ConfigError
from tellapart.heads.head import FittedHead, fit_head
from tellapart.heads.head_data import HeadData
from tellapart.heads.novelty import Novelty, fit_novelty
from tellapart.images.preprocess import PreprocessSpec
from tellapart.measure.splits import Split, count_groups, fold_numbers
from tellapart.runs.fine_tuning_choice import (
    NUM_FOLDS,
    SHARES,
    FineTuningChoice,
    FoldTrial,
    choose,
    describe_few_errors,
    distances_of,
    head_logits,
    log_frequencies,
)
from tellapart.runs.head_recipe import HeadRecipe, head_data
from tellapart.runs.held_out import hold_out
from tellapart.runs.job import Fitted, TrainJob
from tellapart.runs.run_folder import CHECKPOINT_DIR_NAME
from tellapart.runs.run_tables import installed_versions
from tellapart.training.cached_views import choose_num_views, views_form
from tellapart.training.fine_tuning import FineTuningPlan, ViewData, embed_views, fine_tune, mix_arrays
from tellapart.training.trained_part import TrainedPart, choose_device
from tellapart.translation import gettext as _

# With fewer, the difference on two halves says more about luck than about fine-tuning.
_FEWEST = 150
_VALIDATION_FRACTION = 0.2
_USUAL_STEPS = 1_200
# By the clock: what each training of a half gets of the time that is left, what the model and the report take, and the
# least that is worth beginning with.
_SHARE_OF_A_FOLD, _SECONDS_AT_END, _LEAST_SECONDS = 0.28, 15.0, 30.0
_FLOATS = NDArray[np.float32]
_ROWS = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Tuned:
    """A network after its training.

    Attributes:
        network: with its trained weights.
        before, after: the weights, name to array.
        num_steps: that it took.
    """

    network: TrainedPart
    before: dict[str, _FLOATS]
    after: dict[str, _FLOATS]
    num_steps: int

    def at(self, share: float) -> TrainedPart:
        """The network so far on the way from the weights before to those after the training."""
        self.network.take_arrays(mix_arrays(self.before, self.after, share))
        return self.network


@dataclass(frozen=True, eq=False)
class _Half:
    """What a training on one half of the photos is compared with.

    Attributes:
        learned, held_out: rows of the photos of this half and of the other one, int64, shapes `(m,)` and `(n,)`.
        head: on the pretrained network, fitted to the photos of this half.
        frozen: its logits for the photos of the other one, float32, shape `(n, num_classes)`.
    """

    learned: _ROWS
    held_out: _ROWS
    head: FittedHead
    frozen: _FLOATS


class FinetuneRecipe(HeadRecipe):
    """The recipe `finetune`.

    Args:
        job: a training with a `FinetuneConfig`.

    Raises:
        ConfigError: the backbone is not a built-in one.
    """

    def __init__(self, job: TrainJob) -> None:
        assert isinstance(job.config, FinetuneConfig)
        self._settings = job.config
        backbone = job.config.backbone
        if backbone is not None and find_packaged(backbone) is None:
            raise ConfigError(
                _(
                    "`recipe='finetune'` needs a built-in network, and `backbone` {name!r} is another one. Give a"
                    " network such as {example!r}, or `recipe='transfer'` without `minutes`."
                ).format(name=backbone, example=DEFAULT_BACKBONE),
                field="backbone",
                value=backbone,
            )
        super().__init__(job)
        packaged = find_packaged(self._eyes.chosen)
        assert packaged is not None
        self._packaged = packaged
        self._device, self._is_whole = choose_device()
        self._frozen_part: FrozenPart | None = None
        self._images: CachedImages | None = None
        self._num_views = 0

    def look(self) -> Checkup:
        """As the recipe `transfer`; the features of several views of each photo are kept as well."""
        num_photos, per_class = len(self._job.photos), self._job.source.per_class
        if per_class is not None:
            num_photos = min(num_photos, per_class * len(self._job.photos.class_names))
        if num_photos >= _FEWEST:
            self._num_views = choose_num_views(num_photos, self._settings.minutes)
        return super().look()

    def _embed(self, sink: Callable[[], ImageSink | None] = lambda: None) -> SeenPhotos:
        if not self._num_views:
            return super()._embed()
        self._frozen_part = FrozenPart(self._packaged, is_empty=self._is_whole)
        form = views_form(self._frozen_part, self._num_views, self._settings.flip)
        spec, limits = PreprocessSpec(self._packaged.image_size), self._job.photos.limits
        folder, writers = images_dir(cache_root(self._job.source.cache_dir)), list[ImageWriter]()
        with ExitStack() as stack:

            def open_writer() -> ImageWriter:
                writers.append(stack.enter_context(ImageWriter(spec, limits, folder, form)))
                return writers[-1]

            seen = super()._embed(open_writer)
            self._images = writers[-1].finish(seen.photos, seen.digests, seen.depths)
        # A photo may have gone since it was looked at.
        row_of_path = {path: row for row, path in enumerate(seen.photos.paths)}
        there = seen.take([row_of_path[path] for path in self._images.photos.paths])
        return replace(there, photos=self._images.photos)

    def split(self, checkup: Checkup) -> Split:
        """A test part outside of all that is decided, where fine-tuning is tried; else as the recipe `transfer`."""
        photos, groups = checkup.photos, checkup.group_numbers
        assert photos.labels is not None
        if len(np.unique(groups)) < _FEWEST or min(count_groups(photos.labels, groups)) < 2:
            self._num_views = 0
        if not self._num_views:
            return super().split(checkup)
        return hold_out(photos, groups, self._settings.validation_fraction or _VALIDATION_FRACTION, self._config.seed)

    def fit(self, checkup: Checkup, split: Split) -> Fitted:
        """The fine-tuned network where it is better by more than its standard error; else the pretrained one.

        When the user stops the trainings, it is the pretrained one too, and a later run goes on with them.
        """
        if not self._num_views:
            said = _("Fine-tuning was not tried. It needs {num} different photos, and 2 of each class.")
            return self._keep_frozen(checkup, FineTuningChoice(False, said.format(num=_FEWEST)))
        try:
            choice, trials = self._try_halves(checkup, split)
            if not choice.is_kept:
                return self._keep_frozen(checkup, choice)
            return self._tune_all(checkup, split, choice, trials)
        except KeyboardInterrupt:
            said = _("Fine-tuning was stopped before it was decided on. The model has the pretrained network.")
            return replace(self._keep_frozen(checkup, FineTuningChoice(False, said)), is_stopped=True)

    def _keep_frozen(self, checkup: Checkup, choice: FineTuningChoice) -> Fitted:
        """What the recipe `transfer` makes of the photos, which need not be kept apart for a decision any more."""
        self._job.watcher.on_note(choice.sentence)
        split = super().split(checkup)
        frozen = super().fit(checkup, split)
        return replace(frozen, split=split, metrics={**frozen.metrics, "fine_tuning": choice.to_json()})

    def _try_halves(self, checkup: Checkup, split: Split) -> tuple[FineTuningChoice, list[FoldTrial]]:
        """Whether fine-tuning pays, and what both trainings say."""
        assert checkup.photos.labels is not None
        labels = checkup.photos.labels
        folds = fold_numbers(labels[split.train], checkup.group_numbers[split.train], NUM_FOLDS, self._config.seed)
        halves = [
            self._fit_half(checkup, split.train[folds != number], split.train[folds == number])
            for number in range(NUM_FOLDS)
        ]
        said = describe_few_errors([(half.frozen, labels[half.held_out]) for half in halves])
        if said is not None:
            return FineTuningChoice(False, said), []
        seconds = self._seconds_left()
        if seconds is not None and seconds < _LEAST_SECONDS:
            said = _("Fine-tuning was not tried, because `minutes` leaves no time for it. Give more `minutes`.")
            return FineTuningChoice(False, said), []
        each = None if seconds is None else _SHARE_OF_A_FOLD * seconds
        trials = [self._try_half(checkup, half, number, each) for number, half in enumerate(halves)]
        return choose(trials, labels, self._num_views), trials

    def _fit_half(self, checkup: Checkup, learned: _ROWS, held_out: _ROWS) -> _Half:
        head = fit_head(head_data(checkup, learned), self._config.folds, self._config.seed)
        unseen = np.asarray(head_data(checkup, held_out).embeddings)
        return _Half(learned, held_out, head, head_logits(head.weights, head.bias, unseen))

    def _try_half(self, checkup: Checkup, half: _Half, number: int, seconds: float | None) -> FoldTrial:
        """What a training on some rows says of others."""
        data, labels = head_data(checkup, half.learned), checkup.photos.labels
        assert labels is not None
        frequencies = log_frequencies(half.head, data.labels)
        tuned = self._train(half.head, self._view_data(checkup, half.learned, frequencies), number, seconds)
        of_unseen = self._view_data(checkup, half.held_out, None)
        logits = {}
        for share in SHARES:
            logits[share] = head_logits(*_split_head(tuned.at(share)), self._embed_views(tuned.network, of_unseen))
        weights = data.class_weights
        of_classes = np.ones(data.num_classes) if weights is None else weights

        def distances(share: float) -> _FLOATS | None:
            network = tuned.at(share)
            seen = self._embed_views(network, self._view_data(checkup, half.learned, None))
            return distances_of(
                replace(data, embeddings=seen), self._embed_views(network, of_unseen), self._config.seed
            )

        return FoldTrial(
            rows=half.held_out,
            frozen=half.frozen,
            tuned=logits,
            weights=of_classes[labels[half.held_out]],
            distances=distances,
            num_steps=tuned.num_steps,
        )

    def _tune_all(self, checkup: Checkup, split: Split, choice: FineTuningChoice, trials: list[FoldTrial]) -> Fitted:
        """The network fine-tuned on all photos that train, as a model of the same form."""
        head, data = self._fit_head(checkup, split), head_data(checkup, split.train)
        frozen = self._measure(checkup, split, head, data)
        seconds = self._seconds_left()
        if seconds is not None:
            seconds = max(seconds, _LEAST_SECONDS)
        frequencies = log_frequencies(head, data.labels)
        tuned = self._train(head, self._view_data(checkup, split.train, frequencies), NUM_FOLDS, seconds)
        network = tuned.at(choice.share)
        everything = np.arange(len(checkup.photos))
        embeddings = self._embed_views(network, self._view_data(checkup, everything, None))
        seen_anew = replace(checkup, seen=replace(checkup.seen, embeddings=embeddings))
        weights, bias = (value / np.float32(choice.temperature) for value in _split_head(network))
        new_head = replace(head, weights=weights, bias=bias, temperature=choice.temperature)
        measurement = self._measure(seen_anew, split, new_head, data)
        novelty = self._fit_novelty(replace(data, embeddings=embeddings[split.train]), trials, choice.share)
        self._job.watcher.on_stage(_("making the model, and comparing its answers with the trained ones"))
        fitted = self._export(self._open_tuned(network), seen_anew, new_head, novelty, measurement)
        self._job.watcher.on_note(choice.sentence)
        tested = None if frozen is None else frozen.evaluation
        choice = replace(
            choice,
            num_steps=(*choice.num_steps, tuned.num_steps),
            tested_frozen_log_loss=None if tested is None else tested.log_loss,
            tested_frozen_accuracy=None if tested is None else tested.accuracy,
        )
        bundle = replace(fitted.bundle, versions=installed_versions("scikit-learn", "torch"))
        described = {"fine_tuning": choice.to_json(), "device": "cpu" if self._device.type == "cpu" else "gpu"}
        return replace(fitted, bundle=bundle, metrics={**fitted.metrics, **described})

    def _train(self, head: FittedHead, data: ViewData, number: int, seconds: float | None) -> Tuned:
        """One of the trainings, counted from 0."""
        self._job.watcher.on_stage(
            _("fine-tuning, {number} of {num_all}").format(number=number + 1, num_all=NUM_FOLDS + 1)
        )
        assert self._frozen_part is not None
        tensors = self._frozen_part.tensors
        network = TrainedPart(tensors, head.weights, head.bias, is_whole=self._is_whole, device=self._device)
        before = network.to_arrays()
        num_steps = self._settings.steps or (_USUAL_STEPS if seconds is None else None)
        plan = FineTuningPlan(self._config.seed, number + 1, NUM_FOLDS + 1, num_steps, seconds)
        num_done = fine_tune(network, data, plan, self._checkpoint_dir(number), self._job.watcher.on_step)
        return Tuned(network, before, network.to_arrays(), num_done)

    def _checkpoint_dir(self, number: int) -> Path:
        return self._job.run_dir / CHECKPOINT_DIR_NAME / f"fine-tuning-{number + 1}"

    def _seconds_left(self) -> float | None:
        """Seconds for what is still to be trained; `None` without `minutes`."""
        if self._settings.minutes is None:
            return None
        return self._settings.minutes * 60 - (time.perf_counter() - self._job.started) - _SECONDS_AT_END

    def _view_data(self, checkup: Checkup, rows: _ROWS, frequencies: _FLOATS | None) -> ViewData:
        labels, images = checkup.photos.labels, self._images
        assert labels is not None and images is not None
        return ViewData(images.store, images.places[rows], labels[rows], frequencies, self._settings.flip)

    def _embed_views(self, network: TrainedPart, data: ViewData) -> _FLOATS:
        return embed_views(network, data, mirrored=self._packaged.is_mirrored)

    def _fit_novelty(self, data: HeadData, trials: list[FoldTrial], share: float) -> Novelty | None:
        """As for a pretrained network, but for the usual distances.

        The network has learned the photos of its training, which lie closer together than new ones. So the usual
        distances are those of each half by the network that was trained on the other one.
        """
        self._job.watcher.on_stage(_("learning what unfamiliar photos look like"))
        novelty, usual = fit_novelty(data, self._config.seed), [trial.distances(share) for trial in trials]
        found = [one for one in usual if one is not None]
        if novelty is None or len(found) < len(trials):
            return None
        return replace(novelty, usual=np.sort(np.concatenate(found)))

    def _open_tuned(self, network: TrainedPart) -> OpenBackbone:
        assert self._frozen_part is not None
        name = f"{self._packaged.name}, fine-tuned"
        backbone = Backbone(name, self._frozen_part.build_with(network.to_tensors()), self._packaged.image_size)
        return OpenBackbone(backbone, Embedder(backbone.model, backbone.image_size, name))


def _split_head(network: TrainedPart) -> tuple[_FLOATS, _FLOATS]:
    """Weights and bias of the head, float32, shapes `(size, num_classes)` and `(num_classes,)`."""
    arrays = network.to_arrays()
    return arrays["weights"], arrays["bias"]
