"""What is known of each trial, and `trials.csv`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tellapart.store import to_csv_bytes, write_file

COMPLETE, PRUNED, FAILED = "complete", "pruned", "failed"
TRIALS_NAME = "trials.csv"


@dataclass(frozen=True)
class TrialRecord:
    """A trial that is over.

    Attributes:
        number: counted from 0.
        state: `complete`, `pruned` because it was behind others, or `failed`.
        values: field of the config to the value tried.
        validation_accuracy, validation_log_loss: on photos of the search that it held out; `None` without a result.
        num_epochs: that it trained; 0 where nothing is trained in epochs.
        seconds: it took.
        is_default: whether it has the default settings.
        reason: why it failed; empty elsewhere.
    """

    number: int
    state: str
    values: Mapping[str, Any]
    validation_accuracy: float | None = None
    validation_log_loss: float | None = None
    num_epochs: int = 0
    seconds: float = 0.0
    is_default: bool = False
    reason: str = ""


def find_best(records: Sequence[TrialRecord]) -> TrialRecord | None:
    """The complete trial of the highest accuracy, then the lowest log-loss, then the lowest number."""
    complete = [one for one in records if one.state == COMPLETE]
    return min(complete, key=_rank) if complete else None


def find_default(records: Sequence[TrialRecord]) -> TrialRecord | None:
    """The trial of the default settings, once it is complete."""
    return next((one for one in records if one.is_default and one.state == COMPLETE), None)


def _rank(record: TrialRecord) -> tuple[float, float, int]:
    assert record.validation_accuracy is not None and record.validation_log_loss is not None
    return (-record.validation_accuracy, record.validation_log_loss, record.number)


def write_trials(out_dir: Path, records: Sequence[TrialRecord]) -> None:
    """Writes `trials.csv`: a row a trial, the values tried in the last columns."""
    names = sorted({name for record in records for name in record.values})
    columns = ["number", "state", "validation_accuracy", "validation_log_loss", "num_epochs", "seconds", "is_default"]
    rows: list[Sequence[object]] = [[*columns, "reason", *names]]
    for record in records:
        values = asdict(record) | {"seconds": f"{record.seconds:.1f}"}
        shown = ["" if values[name] is None else values[name] for name in [*columns, "reason"]]
        tried = record.values  # a trial that was killed at its very beginning lacks some
        rows.append([*shown, *(show_value(tried[name]) if name in tried else "" for name in names)])
    write_file(out_dir / TRIALS_NAME, to_csv_bytes(rows))


def show_value(value: Any) -> str:
    """A value as people read it: `96x96`, `0.00031`, `auto` for what is left to the recipe."""
    if value is None:
        return "auto"
    if isinstance(value, tuple):
        return "x".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
