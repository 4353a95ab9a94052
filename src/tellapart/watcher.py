"""Who is told how a run goes."""

from collections.abc import Callable
from dataclasses import dataclass

from tellapart.records import EmbedRecord, EpochRecord, Finding, PreparedRecord, StepRecord


def _ignore(*records: object) -> None:
    pass


@dataclass(frozen=True)
class Watcher:
    """Who is told how a training goes; every call returns at once and must not raise.

    Attributes:
        on_prepared: once, when the usable photos are known.
        on_checked: once, before anything is learnt: what the check-up found, problems first.
        on_stage: when a part of the work begins that may take seconds: what is being done, as `writing the report`.
        on_embedded: while photos are read, and at the end of it.
        on_step: after every step of a network's training.
        on_epoch: after every epoch, when its checkpoint is safe.
        on_note: a sentence the user should read, such as that a cache was damaged and is made again.
    """

    on_prepared: Callable[[PreparedRecord], None] = _ignore
    on_checked: Callable[[tuple[Finding, ...]], None] = _ignore
    on_stage: Callable[[str], None] = _ignore
    on_embedded: Callable[[EmbedRecord], None] = _ignore
    on_step: Callable[[StepRecord], None] = _ignore
    on_epoch: Callable[[EpochRecord], None] = _ignore
    on_note: Callable[[str], None] = _ignore
