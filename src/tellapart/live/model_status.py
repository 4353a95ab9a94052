"""How the model of a project is, as the page shows it, and what it was fitted to."""

from dataclasses import dataclass
from typing import Literal

from tellapart.backbones.seen_photos import SeenPhotos
from tellapart.live.live_project import ModelPhoto

ModelState = Literal["none", "waiting", "fitting", "provisional", "choosing", "ready", "failed"]


@dataclass(frozen=True)
class ModelStatus:
    """How the model is, as the page shows it.

    Attributes:
        state: `none` without enough photos; `waiting` while photos are looked at; `fitting`; `provisional`; `choosing`;
            `ready`, which is a run; or `failed`.
        accuracy, interval: of the model, with its 95 % interval; `None` where nothing could be measured.
        is_provisional: whether the figure is that of a refitted head.
        num_photos: photos with a class that count in it.
        num_seconds: that the last refit took.
        message: one line, where something is to be said.
        run: the name of the run that answers; `None` where none does.
        num_proposed: changes when there are other proposals for unsorted photos.
    """

    state: ModelState = "none"
    accuracy: float | None = None
    interval: tuple[float, float] | None = None
    is_provisional: bool = False
    num_photos: int = 0
    num_seconds: float = 0.0
    message: str = ""
    run: str | None = None
    num_proposed: int = 0


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The photos with a class that could be decoded, as they were when they were last looked at.

    Attributes:
        photos: of the project.
        seen: what was seen of each, in the same order.
    """

    photos: tuple[ModelPhoto, ...]
    seen: SeenPhotos
