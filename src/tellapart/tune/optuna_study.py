"""The engine Optuna: which settings are tried next, which trials end early, and the study on the disk.

The only module that knows Optuna. What is kept is one SQLite file; Optuna sends nothing.
"""

import copy
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

from tellapart.errors import BundleError, OutputError
from tellapart.randomness import named_generator
from tellapart.translation import gettext as _
from tellapart.tune.search_space import Choices, NumberRange, Range, decode_values, encode_values
from tellapart.tune.trial_table import COMPLETE, FAILED, PRUNED, TrialRecord, find_default, show_value

_STUDY_NAME, _RECORD, _DEFAULT = "tellapart", "record", "is_default"
_STATES = {COMPLETE: TrialState.COMPLETE, PRUNED: TrialState.PRUNED, FAILED: TrialState.FAIL}
# Of the trials that reach a rung of epochs, a third goes on to the next; there are three rungs.
REDUCTION, _RUNGS = 3, 3
# What SQLite says where the disk is at fault, and not the file.
_OF_THE_DISK = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
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

    Attributes:
        distributions: what is searched, as Optuna has it.
    """

    def __init__(self, study: optuna.Study, space: Mapping[str, Range], seed: int) -> None:
        self.study, self._space, self._seed = study, space, seed
        self.distributions = {name: _distribution(one) for name, one in space.items()}

    def close_stale(self) -> int:
        """How many trials a killed process has left running; they are closed as failed."""
        stale = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        for trial in stale:
            values = self.decode(trial.params)
            record = TrialRecord(trial.number, FAILED, values, reason=_("the process ended during this trial"))
            self.tell(record)
        return len(stale)

    def records(self) -> list[TrialRecord]:
        """The trials that are over, in order."""
        found = []
        for trial in self.study.get_trials(deepcopy=False, states=tuple(_STATES.values())):
            stored = json.loads(trial.user_attrs[_RECORD])
            found.append(TrialRecord(**stored | {"values": self.decode(trial.params)}))
        return found

    def ask(self, default: Mapping[str, Any]) -> AskedTrial | None:
        """What to try next: first the default, until it has a result; `None` where everything was tried."""
        records = self.records()
        finished = find_default(records)
        if finished is None:
            self._enqueue(default, is_default=True)
        elif self.is_finite:
            if not (untried := self.draw_untried(1)):
                return None
            self._enqueue(untried[0])
        epochs = 0 if finished is None else finished.num_epochs
        self.study.pruner = optuna.pruners.NopPruner()
        if epochs > 1:
            self.study.pruner = _halving(epochs)
        trial = self.study.ask(self.distributions)

        def report(epoch: int, accuracy: float) -> bool:
            trial.report(accuracy, epoch)
            return trial.should_prune()

        return AskedTrial(trial.number, self.decode(trial.params), finished is None, report)

    def tell(self, record: TrialRecord) -> None:
        """The trial is over, and survives a kill from now on."""
        storage = self.study._storage
        storage.set_trial_user_attr(self._running(record.number)._trial_id, _RECORD, _stored(record))
        if record.is_default and record.state == COMPLETE and record.num_epochs > 1:
            self._enter_rungs(record)
        value = record.validation_accuracy if record.state == COMPLETE else None
        self.study.tell(record.number, value, state=_STATES[record.state])

    def _enter_rungs(self, default: TrialRecord) -> None:
        """Has the default take part in the halving, whose rungs its epochs decide, so that no trial lacks a rival."""
        pruner = _halving(default.num_epochs)
        for epoch in sorted(self._running(default.number).intermediate_values):
            trial = copy.deepcopy(self._running(default.number))
            trial.intermediate_values = {at: value for at, value in trial.intermediate_values.items() if at <= epoch}
            pruner.prune(self.study, trial)  # enters its value; what it says of the default does not matter

    def _running(self, number: int) -> optuna.trial.FrozenTrial:
        return next(one for one in self.study.get_trials(deepcopy=False) if one.number == number)

    def add(self, record: TrialRecord, reports: Mapping[int, float]) -> None:
        """Takes a trial that was run elsewhere and is over; it survives a kill from now on.

        Args:
            record: its number is that of the next trial, `next_number`.
            reports: the accuracy after each epoch that told one.
        """
        self.study.add_trial(
            optuna.trial.create_trial(
                state=_STATES[record.state],
                value=record.validation_accuracy if record.state == COMPLETE else None,
                params=self.encode(record.values),
                distributions=self.distributions,
                user_attrs={_RECORD: _stored(record), _DEFAULT: record.is_default},
                intermediate_values=dict(reports),
            )
        )

    @property
    def next_number(self) -> int:
        """Of the trial that is added next."""
        return len(self.study.get_trials(deepcopy=False))

    def encode(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values as Optuna has them."""
        return encode_values(self._space, values)

    def _enqueue(self, values: Mapping[str, Any], *, is_default: bool = False) -> None:
        self.study.enqueue_trial(self.encode(values), user_attrs={_DEFAULT: is_default})

    @property
    def is_finite(self) -> bool:
        """Whether all settings could be tried, one after another."""
        return all(isinstance(one, Choices) for one in self._space.values())

    def draw_untried(self, most: int) -> list[dict[str, Any]]:
        """At most so many settings of a finite space that no trial has had, in random order."""
        records = self.records()
        tried = {tuple(record.values.get(name, self) for name in self._space) for record in records}
        choices = [one.values for one in self._space.values() if isinstance(one, Choices)]
        listed = itertools.islice(itertools.product(*choices), _MOST_LISTED)
        left = [values for values in listed if values not in tried]
        order = named_generator(self._seed, "trials", len(records)).permutation(len(left))[:most]
        return [dict(zip(self._space, left[place], strict=True)) for place in order.tolist()]

    def decode(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The values that Optuna's stand for.

        Raises:
            KeyError, StopIteration: a name or a value is unknown.
        """
        return decode_values(self._space, params)


@contextmanager
def open_study(path: Path, space: Mapping[str, Range], seed: int) -> Iterator[OptunaStudy]:
    """The study in the file, made if need be; Optuna prints nothing meanwhile.

    Args:
        path: of the SQLite file.
        space: what is searched.
        seed: decides what is tried.

    Raises:
        BundleError: the file is damaged, or of another version of Optuna or of tellapart.
        OutputError: the disk is full, or does not let the file be written.
    """
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield _open(path, space, seed)
    except (SQLAlchemyError, sqlite3.Error, optuna.exceptions.StorageInternalError) as exc:
        raise _refused(path, exc) from exc
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


def first_rung(epochs: int) -> int:
    """The epoch at which trials of so many epochs are compared first."""
    return max(1, epochs // int(REDUCTION ** (_RUNGS - 1)))


def _halving(epochs: int) -> optuna.pruners.BasePruner:
    """Ends trials of so many epochs that are behind the others at a rung."""
    return optuna.pruners.SuccessiveHalvingPruner(first_rung(epochs), reduction_factor=REDUCTION)


def _stored(record: TrialRecord) -> str:
    return json.dumps(asdict(record) | {"values": {name: show_value(value) for name, value in record.values.items()}})


def _refused(path: Path, exc: BaseException) -> BundleError | OutputError:
    """The error for what SQLite has refused, which others have passed on: the disk is at fault, or the file."""
    while not isinstance(exc, sqlite3.Error) and exc.__cause__ is not None:
        exc = exc.__cause__
    # The lowest byte is the kind; the others say more of it.
    if getattr(exc, "sqlite_errorcode", 0) & 0xFF not in _OF_THE_DISK:
        return _unusable(path, str(exc))
    said = _("cannot write {path!r}: {reason}. Finished trials are kept. Make room, then give `resume=True`.")
    return OutputError(said.format(path=str(path), reason=exc), path=path)


def _unusable(path: Path, reason: str) -> BundleError:
    first = (reason.strip().splitlines() or [""])[0].rstrip(".")
    said = _("the study {path!r} is damaged or of another version ({reason}). Tune again with another `out`.")
    return BundleError(said.format(path=str(path), reason=first), path=path)


def _distribution(one: Range) -> BaseDistribution:
    if isinstance(one, NumberRange):
        return FloatDistribution(one.low, one.high, log=one.is_log)
    return CategoricalDistribution([show_value(value) for value in one.values])
