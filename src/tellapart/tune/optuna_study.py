"""The engine Optuna: which settings are tried next, which trials end early, and the study on the disk.

The only module that knows Optuna. What is kept is one SQLite file; Optuna sends nothing.
"""

import itertools
import json
import sqlite3
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.trial import TrialState
from sqlalchemy.exc import SQLAlchemyError

from tellapart.errors import BundleError
from tellapart.randomness import named_generator
from tellapart.translation import gettext as _
from tellapart.tune.search_space import Choices, NumberRange, Range
from tellapart.tune.trial_table import COMPLETE, FAILED, PRUNED, TrialRecord, show_value

_STUDY_NAME, _RECORD, _DEFAULT = "tellapart", "record", "is_default"
_STATES = {COMPLETE: TrialState.COMPLETE, PRUNED: TrialState.PRUNED, FAILED: TrialState.FAIL}
# Of the trials that reach a rung of epochs, a third goes on to the next; there are three rungs.
_REDUCTION, _RUNGS = 3, 3
# Settings of a finite space are listed one by one up to so many.
_MOST_LISTED = 1000


@dataclass(frozen=True)
class AskedTrial:
    """Settings to try next.

    Attributes:
        number: of the trial.
        values: field to value.
        is_default: whether they are the default.
        report: takes the epoch and its accuracy, and says whether the trial is to end.
    """

    number: int
    values: Mapping[str, Any]
    is_default: bool
    report: Callable[[int, float], bool]


class OptunaStudy:
    """A study in a file; use `open_study`.

    Args:
        study: Optuna's.
        space: what is searched.
        seed: decides what is tried.
    """

    def __init__(self, study: optuna.Study, space: Mapping[str, Range], seed: int) -> None:
        self.study, self._space, self._seed = study, space, seed
        self._distributions = {name: _distribution(one) for name, one in space.items()}

    def close_stale(self) -> int:
        """How many trials a killed process has left running; they are closed as failed."""
        stale = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        for trial in stale:
            values = self._decode(trial.params)
            record = TrialRecord(trial.number, FAILED, values, reason=_("the process ended during this trial"))
            self.tell(record)
        return len(stale)

    def records(self) -> list[TrialRecord]:
        """The trials that are over, in order."""
        found = []
        for trial in self.study.get_trials(deepcopy=False, states=tuple(_STATES.values())):
            stored = json.loads(trial.user_attrs[_RECORD])
            found.append(TrialRecord(**stored | {"values": self._decode(trial.params)}))
        return found

    def ask(self, default: Mapping[str, Any]) -> AskedTrial | None:
        """What to try next: first the default, until it has a result; `None` where everything was tried."""
        records = self.records()
        finished = next((one for one in records if one.is_default and one.state == COMPLETE), None)
        if finished is None:
            self._enqueue(default, is_default=True)
        elif self._is_finite():
            if (untried := self._draw_untried(records)) is None:
                return None
            self._enqueue(untried)
        epochs = 0 if finished is None else finished.num_epochs
        self.study.pruner = optuna.pruners.NopPruner()
        if epochs > 1:
            least = max(1, epochs // _REDUCTION ** (_RUNGS - 1))
            self.study.pruner = optuna.pruners.SuccessiveHalvingPruner(least, reduction_factor=_REDUCTION)
        trial = self.study.ask(self._distributions)

        def report(epoch: int, accuracy: float) -> bool:
            trial.report(accuracy, epoch)
            return trial.should_prune()

        return AskedTrial(trial.number, self._decode(trial.params), finished is None, report)

    def tell(self, record: TrialRecord) -> None:
        """The trial is over, and survives a kill from now on."""
        storage = self.study._storage
        (trial,) = (one for one in self.study.get_trials(deepcopy=False) if one.number == record.number)
        stored = asdict(record) | {"values": {name: show_value(value) for name, value in record.values.items()}}
        storage.set_trial_user_attr(trial._trial_id, _RECORD, json.dumps(stored))
        value = record.validation_accuracy if record.state == COMPLETE else None
        self.study.tell(record.number, value, state=_STATES[record.state])

    def _enqueue(self, values: Mapping[str, Any], *, is_default: bool = False) -> None:
        params = {name: _encode(self._space[name], value) for name, value in values.items()}
        self.study.enqueue_trial(params, user_attrs={_DEFAULT: is_default})

    def _is_finite(self) -> bool:
        return all(isinstance(one, Choices) for one in self._space.values())

    def _draw_untried(self, records: list[TrialRecord]) -> dict[str, Any] | None:
        tried = {tuple(record.values.get(name, self) for name in self._space) for record in records}
        choices = [one.values for one in self._space.values() if isinstance(one, Choices)]
        listed = itertools.islice(itertools.product(*choices), _MOST_LISTED)
        left = [values for values in listed if values not in tried]
        if not left:
            return None
        place = int(named_generator(self._seed, "trials", len(records)).integers(len(left)))
        return dict(zip(self._space, left[place], strict=True))

    def _decode(self, params: Mapping[str, Any]) -> dict[str, Any]:
        found = {}
        for name, value in params.items():
            one = self._space[name]
            found[name] = (
                next(choice for choice in one.values if show_value(choice) == value)
                if isinstance(one, Choices)
                else value
            )
        return found


@contextmanager
def open_study(path: Path, space: Mapping[str, Range], seed: int) -> Iterator[OptunaStudy]:
    """The study in the file, made if need be; Optuna prints nothing meanwhile.

    Args:
        path: of the SQLite file.
        space: what is searched.
        seed: decides what is tried.

    Raises:
        BundleError: the file is damaged, or of another version of Optuna or of tellapart.
    """
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield _open(path, space, seed)
    except (SQLAlchemyError, sqlite3.Error) as exc:
        raise _unusable(path, str(exc.__cause__ or exc)) from exc
    finally:
        optuna.logging.set_verbosity(verbosity)


def _open(path: Path, space: Mapping[str, Range], seed: int) -> OptunaStudy:
    # By a function that connects, for any path: in an address `?` and `#` would mean something.
    storage = None
    try:
        storage = optuna.storages.RDBStorage(
            "sqlite:///study", engine_kwargs={"creator": lambda: sqlite3.connect(path, timeout=60)}
        )
        study = optuna.create_study(
            storage=storage, study_name=_STUDY_NAME, direction="maximize", load_if_exists=True, sampler=None
        )
        num = len(study.get_trials(deepcopy=False))
        study.sampler = optuna.samplers.TPESampler(seed=seed + num)
        opened = OptunaStudy(study, space, seed)
        opened.records()  # refuses values that this version does not know
    except (RuntimeError, KeyError, StopIteration, TypeError, ValueError) as exc:
        raise _unusable(path, str(exc)) from exc
    return opened


def _unusable(path: Path, reason: str) -> BundleError:
    first = (reason.strip().splitlines() or [""])[0].rstrip(".")
    said = _("the study {path!r} is damaged or of another version ({reason}). Tune again with another `out`.")
    return BundleError(said.format(path=str(path), reason=first), path=path)


def _distribution(one: Range) -> BaseDistribution:
    if isinstance(one, NumberRange):
        return FloatDistribution(one.low, one.high, log=one.is_log)
    return CategoricalDistribution([show_value(value) for value in one.values])


def _encode(one: Range, value: Any) -> Any:
    return show_value(value) if isinstance(one, Choices) else value
