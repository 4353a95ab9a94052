"""What a search knows and keeps, and its trials one after another; `tuning.py` tells the whole story.

Another engine runs the same trials elsewhere, and keeps them by the same functions.
"""

import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tellapart.checkup.check_up import Checkup
from tellapart.config import RecipeConfig
from tellapart.errors import DatasetError, TellapartError
from tellapart.measure.splits import Split
from tellapart.predict.bundle import write_bundle
from tellapart.store import to_json_bytes, write_file
from tellapart.translation import gettext as _
from tellapart.tune.budget import Budget
from tellapart.tune.objective import Objective, TrialFailedError, TrialPrunedError, with_length
from tellapart.tune.search_space import Range, values_of, with_values
from tellapart.tune.study_file import MARKER_NAME
from tellapart.tune.trial_table import COMPLETE, FAILED, PRUNED, TrialRecord, find_best, find_default, write_trials

if TYPE_CHECKING:  # Optuna is needed by searches alone
    from tellapart.tune.optuna_study import AskedTrial, OptunaStudy

MODELS_NAME = "models"
# So many trials in a row without a result end a search: settings alone do not explain that.
_MOST_FAILED = 10


@dataclass(frozen=True)
class Search:
    """What a search knows from its beginning.

    Attributes:
        out_dir: its folder.
        config: the default settings.
        space: what is searched.
        budget: of time or trials.
        checkup, split: the photos, and which of them trials see.
        objective: of a trial.
        described: what `study.json` says of it.
        watch: told of each trial that is over.
    """

    out_dir: Path
    config: RecipeConfig
    space: Mapping[str, Range]
    budget: Budget
    checkup: Checkup
    split: Split
    objective: Objective
    described: dict[str, Any]
    watch: Callable[[TrialRecord], None]

    @property
    def default(self) -> Mapping[str, Any]:
        """The default settings, field to value."""
        return values_of(self.config, self.space)

    def keep(self, study: "OptunaStudy", record: TrialRecord) -> None:
        """Writes down a trial that is over and in the study, and tells of it."""
        write_trials(self.out_dir, study.records())
        self.save()
        self.watch(record)

    def is_hopeless(self, records: Sequence[TrialRecord]) -> bool:
        """Whether so many trials failed in a row that the search ends; a note says so."""
        if len(records) < _MOST_FAILED or any(one.state != FAILED for one in records[-_MOST_FAILED:]):
            return False
        said = _("The last {num} trials failed, so the search ended. The last reason: {reason}")
        self.objective.watcher.on_note(said.format(num=_MOST_FAILED, reason=records[-1].reason))
        return True

    def save(self, **more: Any) -> None:
        """Writes `study.json`, which also marks the folder as ours."""
        content = self.described | {"seconds": self.budget.seconds} | more
        write_file(self.out_dir / MARKER_NAME, to_json_bytes(content))


# Runs trials until the time or their number is over: each one that is over is in the study then, and was kept.
Engine = Callable[[Search, "OptunaStudy"], None]


def try_in_turn(search: Search, study: "OptunaStudy") -> None:
    """Trials, until the time or their number is over, all settings were tried, or too many failed in a row."""
    while True:
        records = study.records()
        seconds = [one.seconds for one in records if one.state != FAILED]
        finished = find_default(records)
        if finished is not None and (
            search.budget.is_search_over(len(records), statistics.median(seconds)) or search.is_hopeless(records)
        ):
            return
        asked = study.ask(search.default)
        if asked is None:
            return
        record = _try_one(search, study, asked, 0 if finished is None else finished.num_epochs)
        search.keep(study, record)


def _try_one(search: Search, study: "OptunaStudy", asked: "AskedTrial", num_epochs: int) -> TrialRecord:
    """The trial, which is in the study when this ends; where its model counts, that is in the folder before."""
    started = search.budget.seconds
    record = TrialRecord(asked.number, FAILED, asked.values, is_default=asked.is_default)
    most = search.budget.trial_seconds
    try:
        config = with_length(with_values(search.config, asked.values), num_epochs or None, most)
        fit = search.objective.fit(config, asked.report, most)
        record = replace(
            record,
            state=COMPLETE,
            validation_accuracy=fit.accuracy,
            validation_log_loss=fit.log_loss,
            num_epochs=fit.num_epochs,
        )
        keep_model(search, study.records(), record, lambda folder: write_bundle(folder, fit.bundle))
    except TrialPrunedError as exc:
        record = replace(record, state=PRUNED, validation_accuracy=exc.accuracy, num_epochs=exc.num_epochs)
    except (TrialFailedError, TellapartError) as exc:
        record = replace(record, reason=str(exc))
        if asked.is_default:  # not the settings that were tried, but the photos or the machine
            study.tell(replace(record, seconds=search.budget.seconds - started))
            raise exc if isinstance(exc, TellapartError) else refused_default(str(exc)) from exc
    except BaseException:
        study.tell(replace(record, reason=_("stopped"), seconds=search.budget.seconds - started))
        raise
    record = replace(record, seconds=search.budget.seconds - started)
    study.tell(record)
    return record


def refused_default(reason: str) -> DatasetError:
    """The error for default settings without a result: not they are at fault, but the photos or the machine."""
    said = _("the default settings gave no model: {reason}. Train once with `tellapart train` to see more.")
    return DatasetError(said.format(reason=reason))


def keep_model(
    search: Search, earlier: Sequence[TrialRecord], record: TrialRecord, write: Callable[[Path], object]
) -> None:
    """Has the model of the trial written, if it is the default's or the best so far; one that it beats goes.

    Args:
        search: in whose folder.
        earlier: trials that were over before.
        record: the trial, complete.
        write: writes its model into a folder.
    """
    best = find_best([*earlier, record])
    if record.is_default or best == record:
        write(search.out_dir / MODELS_NAME / str(record.number))
    kept = {str(one.number) for one in [*earlier, record, best] if one is not None and (one.is_default or one == best)}
    for folder in (search.out_dir / MODELS_NAME).iterdir():
        if folder.name not in kept:
            shutil.rmtree(folder, ignore_errors=True)
