"""The check-up of a project: made again in a thread when its photos have changed and somebody asks."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from tellapart.checkup.check_up import Checkup, check_up
from tellapart.config import TransferConfig
from tellapart.errors import TellapartError
from tellapart.live.model_status import Snapshot
from tellapart.records import Finding

CheckState = Literal["none", "checking", "ready", "failed"]


@dataclass(frozen=True)
class CheckStatus:
    """How the check-up is.

    Attributes:
        state: `none` while there is nothing to check, `checking`, `ready` or `failed`.
        message: why it failed, in one line.
        findings: as the page takes them, problems first; those of the last check-up while another is under way.
    """

    state: CheckState
    message: str = ""
    findings: tuple[dict[str, Any], ...] = ()


class LiveCheckup:
    """The findings about the photos of a project; may be asked from several threads.

    Args:
        snapshot: gives what was seen of the photos that have a class.
        publish: told the state whenever a check-up begins or ends.
    """

    def __init__(self, snapshot: Callable[[], Snapshot | None], publish: Callable[[CheckStatus], None]) -> None:
        self._snapshot, self._publish = snapshot, publish
        self._lock = threading.Lock()
        self._checked: Snapshot | None = None
        self._status = CheckStatus("none")
        self._thread: threading.Thread | None = None

    def status(self) -> CheckStatus:
        """The newest findings; where photos have changed since, a check-up begins, and `publish` is told of its end."""
        with self._lock:
            snapshot = self._snapshot()
            if self._thread is not None and self._thread.is_alive():
                return self._status
            if snapshot is None:
                self._checked, self._status = None, CheckStatus("none")
            elif snapshot is not self._checked:
                self._status = CheckStatus("checking", findings=self._status.findings)
                self._thread = threading.Thread(target=self._check, args=(snapshot,), name="check-up", daemon=True)
                self._thread.start()
            return self._status

    def close(self) -> None:
        """Nothing; no check-up is under way."""
        thread = self._thread
        if thread is not None:
            thread.join()

    def _check(self, snapshot: Snapshot) -> None:
        try:
            status = CheckStatus("ready", findings=_find(snapshot))
        except TellapartError as exc:
            status = CheckStatus("failed", str(exc))
        except Exception as exc:  # whatever it is, the page says it
            status = CheckStatus("failed", " ".join(f"{type(exc).__name__}: {exc}".split()))
        self._checked, self._status = snapshot, status
        self._publish(status)


def _find(snapshot: Snapshot) -> tuple[dict[str, Any], ...]:
    confirmed = frozenset(
        (digest, photo.class_name or "")
        for digest, photo in zip(snapshot.seen.digests, snapshot.photos, strict=True)
        if photo.is_confirmed
    )
    checkup = check_up(snapshot.seen, TransferConfig.seed, confirmed)
    return tuple(_describe(finding, checkup, snapshot) for finding in checkup.findings)


def _describe(finding: Finding, checkup: Checkup, snapshot: Snapshot) -> dict[str, Any]:
    """A finding as the page takes it: its photos in groups of those that belong together, each with a proposal."""
    proposals = {}
    if finding.kind == "label_suspects":
        names = checkup.photos.class_names
        proposals = {
            row: {"proposal": names[one.suggested_label], "probability": one.suggested_probability}
            for one in checkup.suspects
            for row in one.rows
        }
    groups = [
        {"caption": caption, "photos": [{"photo": snapshot.photos[row], **proposals.get(row, {})} for row in rows]}
        for rows, caption in zip(finding.examples, finding.captions, strict=True)
    ]
    return {
        "name": finding.kind,
        "title": finding.title,
        "sentence": finding.why,
        "action": finding.action,
        "is_problem": finding.is_problem,
        "num_photos": finding.num_photos,
        "groups": groups,
    }
