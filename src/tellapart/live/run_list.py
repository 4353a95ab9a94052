"""The runs in some folders, as a person chooses among them: what each is, how good it is, and its photos."""

import datetime
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tellapart.errors import BundleError
from tellapart.predict.bundle import BUNDLE_FILE
from tellapart.runs.run_folder import RUN_FILE_NAME, read_run_file
from tellapart.runs.run_tables import DAMAGE, METRICS_NAME, SPLIT_NAME, read_metrics, read_rows
from tellapart.untrusted import number_of, text_of

# Content and class of each photo of a run, with how often it is there.
LearnedPhotos = Counter[tuple[str, str]]


@dataclass(frozen=True)
class RunSummary:
    """A run whose model can be used.

    Attributes:
        run_dir: its folder.
        sources: where its photos were.
        recipe: how it was trained.
        made_at: when, as ISO 8601 in UTC.
        num_photos: photos that trained.
        class_names: in the order of the model.
        verdict, verdict_sentence: whether it is worth using; empty in a run that was not assessed.
        accuracy: on photos it had not seen; `None` where there were none.
        interval_95: of the accuracy.
        is_stopped: its training was stopped, and can go on.
    """

    run_dir: Path
    sources: tuple[str, ...]
    recipe: str
    made_at: str
    num_photos: int
    class_names: tuple[str, ...]
    verdict: str
    verdict_sentence: str
    accuracy: float | None
    interval_95: tuple[float, float] | None
    is_stopped: bool

    @property
    def name(self) -> str:
        """That of its folder."""
        return self.run_dir.name


def list_runs(folders: Iterable[Path]) -> list[RunSummary]:
    """The runs directly in the folders, the newest first; what is damaged, unfinished or no run is left out."""
    found: dict[Path, tuple[float, RunSummary]] = {}
    for folder in folders:
        for path in _subfolders(folder):
            try:
                made_at = (path / METRICS_NAME).stat().st_mtime
                found[path.resolve()] = made_at, read_summary(path)
            except (OSError, BundleError):
                continue
    return [summary for _made_at, summary in sorted(found.values(), key=lambda item: item[0], reverse=True)]


def read_summary(run_dir: Path) -> RunSummary:
    """What a run says of itself.

    Raises:
        BundleError: the folder holds no run with a model, or it is damaged.
        OSError: a file of it is missing.
    """
    run_file, metrics = read_run_file(run_dir), read_metrics(run_dir)
    (run_dir / BUNDLE_FILE).stat()
    made_at = datetime.datetime.fromtimestamp((run_dir / METRICS_NAME).stat().st_mtime, datetime.UTC)
    try:
        return RunSummary(
            run_dir=run_dir,
            sources=(run_file.source,) if isinstance(run_file.source, str) else run_file.source,
            recipe=text_of(metrics["recipe"]),
            made_at=made_at.isoformat(timespec="seconds"),
            num_photos=int(number_of(metrics["num_train"], 0)),
            class_names=tuple(text_of(name) for name in metrics["class_names"]),
            verdict=text_of(metrics.get("verdict") or ""),
            verdict_sentence=text_of(metrics.get("verdict_sentence") or ""),
            accuracy=_share_of(metrics.get("validation_accuracy")),
            interval_95=_interval_of(metrics.get("validation_interval_95")),
            is_stopped=run_file.state == "stopped",
        )
    except DAMAGE as exc:
        raise BundleError(str(exc), path=run_dir / METRICS_NAME) from exc


def learned_photos(run_dir: Path) -> LearnedPhotos:
    """The photos of a run, those held out included, by content and class.

    Raises:
        BundleError: its table of them cannot be read.
    """
    return Counter((row["content"], row["class"]) for row in read_rows(run_dir / SPLIT_NAME, "content", "class"))


def _subfolders(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if (path / RUN_FILE_NAME).is_file()]
    except OSError:
        return []


def _share_of(value: Any) -> float | None:
    return None if value is None else number_of(value, 0, 1)


def _interval_of(value: Any) -> tuple[float, float] | None:
    return None if value is None else (number_of(value[0], 0, 1), number_of(value[1], 0, 1))
