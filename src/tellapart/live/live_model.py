"""The model that is trained while photos arrive: a thread that looks at them, refits the head, and has it chosen again.

Each photo is embedded as it arrives, and the head that was chosen last is refitted at once; its figure is provisional.
After some seconds of rest the full choice follows (`live/full_choice.py`): only its run is saved, exported or served.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tellapart.backbones.embedder import OpenBackbone
from tellapart.config import TransferConfig
from tellapart.errors import TellapartError
from tellapart.heads.head_data import HeadData
from tellapart.heads.refit import HeadChoice, refit_head
from tellapart.live.full_choice import FullChoice
from tellapart.live.live_answers import LiveAnswers, Proposals, RefittedModel
from tellapart.live.live_fit import describe_single, figure_of, group_photos, last_choice, open_or_usual
from tellapart.live.live_project import LiveProject, ModelPhoto
from tellapart.live.model_status import ModelStatus, Snapshot
from tellapart.live.run_list import LearnedPhotos, RunSummary
from tellapart.live.seen_memory import SeenMemory
from tellapart.translation import gettext as _
from tellapart.translation import ngettext

REST_SECONDS = 5.0
# How often a choice under way is looked at, and how soon what failed is tried again.
_POLL_SECONDS, _RETRY_SECONDS = 0.2, 10.0
# After so long the photos that are known by then are fitted, and the others looked at after that.
_LOOK_SECONDS = 3.0
_SEED = TransferConfig.seed


class LiveModel:
    """Trains while photos arrive; may be asked from any thread.

    Args:
        project: whose photos.
        publish: told each change of the status.
        backbone: what photos are looked at with; `None` leaves it to the full choice.
        rest_seconds: without a change, after which the full choice begins.
        kept: gives the folders of runs that are in use, and stay.
    """

    def __init__(
        self,
        project: LiveProject,
        publish: Callable[[ModelStatus], None],
        *,
        backbone: str | None = None,
        rest_seconds: float = REST_SECONDS,
        kept: Callable[[], Sequence[Path]] = lambda: (),
    ) -> None:
        self.answers = LiveAnswers()
        self._project, self._publish, self._backbone = project, publish, backbone
        self._rest_seconds = rest_seconds
        self._choice = FullChoice(project, backbone, kept)
        self._memory = SeenMemory(project.cache_dir)
        self._status = ModelStatus()
        self._snapshot: Snapshot | None = None
        self._proposals: Proposals = {}
        self._wake, self._is_closed = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._opened: OpenBackbone | None = None
        self._is_opened = False
        self._head_choice: HeadChoice | None = None
        self._fitted: RefittedModel | None = None
        self._learned: LearnedPhotos | None = None
        self._chosen: tuple[LearnedPhotos, RunSummary] | None = None
        self._begun = 0.0
        self._unsorted: tuple[str, ...] = ()
        self._rest_until: float | None = None

    @property
    def status(self) -> ModelStatus:
        """How the model is now."""
        return self._status

    @property
    def snapshot(self) -> Snapshot | None:
        """What was seen of the photos that have a class; `None` where there are none."""
        return self._snapshot

    @property
    def proposals(self) -> Proposals:
        """What unsorted photos may be, in the order in which a label helps most."""
        return self._proposals

    def start(self) -> None:
        """Nothing; from now on the photos are looked at."""
        self._thread = threading.Thread(target=self._work, name="live model", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Nothing; the thread has ended, and a choice under way was stopped."""
        self._is_closed.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def project_changed(self) -> None:
        """Nothing; the photos are looked at again soon."""
        self._wake.set()

    def _work(self) -> None:
        is_look = True
        while not self._is_closed.is_set():
            self._wake.clear()
            try:
                seconds = self._step() if is_look else self._continue_choice()
            except TellapartError as exc:
                seconds = self._fail(str(exc))
            except Exception as exc:  # whatever it is, the thread goes on, and the page says it
                seconds = self._fail(f"{type(exc).__name__}: {exc}")
            is_look = self._wake.wait(seconds) or self._status.state in ("waiting", "failed")
        try:
            self._choice.stop()
        except TellapartError:
            return  # what is left unfinished is removed when Studio is started again

    def _step(self) -> float | None:
        """How long to wait for a change before the next step; `None` for as long as it takes."""
        self._begun = time.monotonic()
        photos = tuple(self._project.model_photos())
        opened = self._open_backbone()
        is_whole = self._memory.update(photos, opened.embedder, self._on_progress)
        labelled = self._memory.usable([photo for photo in photos if photo.class_name is not None])
        learned = Counter((self._memory.content(photo), photo.class_name or "") for photo in labelled)
        if learned != self._learned or self._status.state in ("waiting", "failed"):
            self._refit(photos, labelled, learned)
        self._propose(photos)
        if not is_whole:
            self._set(state="waiting")
            return 0.0
        return self._continue_choice()

    def _open_backbone(self) -> OpenBackbone:
        """The backbone of the last choice, whose head is known from now on."""
        if self._opened is None or not self._is_opened:
            name, self._head_choice = last_choice(self._project, self._backbone)
            opened = open_or_usual(name, self._project.cache_dir)
            if self._opened is None or opened.embedder.key != self._opened.embedder.key:
                self._opened, self._learned = opened, None
            self._is_opened = True
        return self._opened

    def _on_progress(self, num_done: int, num_all: int) -> bool:
        said = ngettext("Reading {num:,} new photo.", "Reading {num:,} new photos.", num_all - num_done)
        self._set(state="waiting", message=said.format(num=num_all - num_done))
        # What is known by then counts in the model before the rest is looked at.
        return not self._is_closed.is_set() and time.monotonic() - self._begun < _LOOK_SECONDS

    def _refit(self, photos: Sequence[ModelPhoto], labelled: list[ModelPhoto], learned: LearnedPhotos) -> None:
        """The head is that of these photos, and its figure is known."""
        begun = time.perf_counter()
        if learned != self._learned:
            self._choice.stop()
        self._learned, self._rest_until = learned, None
        names = {photo.class_name for photo in labelled}
        if len(names) < 2:
            self._fitted, self._snapshot = None, None
            self.answers.offer(None)
            self._set(**vars(ModelStatus(message=self._describe_lack(photos, labelled))))
            return
        self._set(state="fitting", message="")
        seen = self._memory.seen(labelled, self._project.folder)
        self._snapshot = Snapshot(tuple(labelled), seen)
        groups = group_photos(labelled, seen)
        assert seen.embeddings is not None and seen.photos.labels is not None
        assert self._opened is not None
        class_names = seen.photos.class_names
        data = HeadData(seen.embeddings, seen.photos.labels, groups, len(class_names))
        refit = refit_head(data, self._head_choice, _SEED)
        self._fitted = RefittedModel(self._opened, class_names, refit.head, data, _SEED)
        is_chosen = self._chosen is not None and self._chosen[0] == learned
        run = self._chosen[1] if self._chosen is not None and is_chosen else self._choice.find(learned)
        if run is not None:
            self._take_over(run)
            return
        self.answers.offer(self._fitted)
        self._rest_until = time.monotonic() + self._rest_seconds
        accuracy, interval = figure_of(refit, groups)
        self._set(
            state="provisional",
            accuracy=accuracy,
            interval=interval,
            is_provisional=True,
            num_photos=len(labelled),
            num_seconds=time.perf_counter() - begun,
            message=describe_single(seen),
            run=None,
        )

    def _describe_lack(self, photos: Sequence[ModelPhoto], labelled: Sequence[ModelPhoto]) -> str:
        reasons = self._memory.reasons([photo for photo in photos if photo.class_name is not None])
        if reasons and not labelled:
            said = _("No photo can be read. The first one: {reason}.")
            return said.format(reason=next(iter(reasons.values())).rstrip("."))
        if labelled:
            return _("Add photos to a second class.")
        return _("Add photos to at least two classes.")

    def _propose(self, photos: Sequence[ModelPhoto]) -> None:
        """The proposals are those of the head for the unsorted photos that are there."""
        unsorted = self._memory.usable([photo for photo in photos if photo.class_name is None])
        ids = tuple(photo.id for photo in unsorted)
        proposals: Proposals = {}
        if ids and self._fitted is not None:
            proposals = self._fitted.propose(ids, self._memory.embeddings(unsorted))
        if proposals != self._proposals or ids != self._unsorted:
            self._proposals, self._unsorted = proposals, ids
            self._set(num_proposed=self._status.num_proposed + 1)

    def _continue_choice(self) -> float | None:
        """How long to wait; a choice is begun after the rest, and taken over when it has ended."""
        if self._choice.is_begun:
            if self._choice.is_running:
                progress = self._choice.progress
                self._set(state="choosing", message="" if progress is None else progress.stage)
                return _POLL_SECONDS
            found = self._choice.take()
            if isinstance(found, str):
                self._set(state="failed", message=found)
            else:
                self._is_opened = False
                self._take_over(found)
            return None
        if self._rest_until is None:
            return None
        if (seconds := self._rest_until - time.monotonic()) > 0:
            return seconds
        self._rest_until = None
        self._choice.begin()
        self._set(state="choosing", message="")
        return _POLL_SECONDS

    def _take_over(self, run: RunSummary) -> None:
        """The model is that of the run."""
        self.answers.offer(run)
        assert self._learned is not None
        self._chosen, self._rest_until = (self._learned, run), None
        self._set(
            state="ready",
            accuracy=run.accuracy,
            interval=run.interval_95,
            is_provisional=False,
            num_photos=self._learned.total(),
            message="",
            run=run.name,
        )

    def _fail(self, message: str) -> float:
        """How long to wait; the page says what has failed."""
        self._set(state="failed", message=" ".join(message.split()))
        return _RETRY_SECONDS

    def _set(self, **changes: Any) -> None:
        status = replace(self._status, **changes)
        if status != self._status:
            self._status = status
            self._publish(status)
