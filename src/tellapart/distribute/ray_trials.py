"""The trials of a search, run by Ray Tune: what a worker does, what is kept of each trial, and when to stop.

The only module that knows Ray Tune; imported where a search begins, after `cluster_tuning.py` has set the environment.
"""

import logging
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray import cloudpickle, tune
from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError
from ray.tune.error import TuneError
from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch
from ray.tune.stopper import NoopStopper

from tellapart.config import RecipeConfig
from tellapart.errors import ClusterError, TellapartError
from tellapart.predict.bundle import write_bundle
from tellapart.store import output_error
from tellapart.translation import gettext as _
from tellapart.tune.objective import TRIAL_PREFIX, Objective, TrialFailedError, with_length
from tellapart.tune.optuna_study import REDUCTION, OptunaStudy, first_rung
from tellapart.tune.search import Search, keep_model
from tellapart.tune.search_space import Range, decode_values, with_values
from tellapart.tune.trial_table import COMPLETE, FAILED, PRUNED, TrialRecord

# What a trial tells of an epoch, and at its end.
_EPOCH, _ACCURACY, _LOG_LOSS, _IS_OVER = "epoch", "validation_accuracy", "validation_log_loss", "is_over"
# Trials, as far as Ray is concerned, of a search that ends by the clock.
_NO_END = 1_000_000
_MOST_CHARACTERS = 300


@dataclass(frozen=True)
class TrialTask:
    """What a worker needs for any trial of a search.

    Attributes:
        objective: with the photos.
        config: the default settings.
        space: what is searched.
        num_epochs: of a full trial; `None` where that is not known, or nothing is trained in epochs.
        most_seconds: of a trial; `None` lets it finish.
    """

    objective: Objective
    config: RecipeConfig
    space: Mapping[str, Range]
    num_epochs: int | None
    most_seconds: float | None


def run_trial(params: dict[str, Any], task: TrialTask) -> None:
    """A trial in a worker: tells Ray of each epoch, and at the end hands over the model.

    Raises:
        TrialFailedError: it has no result; the message says why.
    """

    def report(epoch: int, accuracy: float) -> bool:
        tune.report({_EPOCH: epoch, _ACCURACY: accuracy})  # a trial that is behind the others ends here
        return False

    try:
        config = with_values(task.config, decode_values(task.space, params))
        fit = task.objective.fit(with_length(config, task.num_epochs, task.most_seconds), report, task.most_seconds)
    except TellapartError as exc:  # with nothing but words, which every process can read
        raise TrialFailedError(str(exc)) from None
    told = {_EPOCH: fit.num_epochs, _ACCURACY: fit.accuracy, _LOG_LOSS: fit.log_loss, _IS_OVER: True}
    with tempfile.TemporaryDirectory(prefix=TRIAL_PREFIX) as folder:
        write_bundle(Path(folder), fit.bundle)
        tune.report(told, checkpoint=tune.Checkpoint.from_directory(folder))


def try_default(search: Search, study: OptunaStudy, task: TrialTask) -> None:
    """Runs the trial of the default settings, to its end."""
    keeper = TrialKeeper(search, study, is_default=True)
    _run(search, task, keeper, tune.TuneConfig(num_samples=1), study.encode(search.default))


def try_others(search: Search, study: OptunaStudy, task: TrialTask, num_workers: int) -> None:
    """Runs trials of other settings side by side, until their number or the time is over, or too many failed in a row.

    Args:
        search, study: the trial of the default settings is over.
        task: of the trials.
        num_workers: trials at once.
    """
    records = study.records()
    left = _NO_END if search.budget.num_trials is None else search.budget.num_trials - len(records)
    points = study.draw_untried(left) if study.is_finite else []
    left = len(points) if study.is_finite else left
    keeper = TrialKeeper(search, study, is_default=False)
    if left < 1 or keeper.stop_all():
        return
    known = [one for one in records if one.state == COMPLETE]
    proposed = OptunaSearch(
        study.distributions,
        metric=_ACCURACY,
        mode="max",
        seed=search.config.seed + len(records),
        points_to_evaluate=[study.encode(values) for values in points or [dict(one.values) for one in known]],
        evaluated_rewards=None if points else [one.validation_accuracy for one in known],
    )
    config = tune.TuneConfig(
        search_alg=ConcurrencyLimiter(proposed, max_concurrent=num_workers),
        scheduler=_make_scheduler(task.num_epochs or 0),
        num_samples=left,
    )
    _run(search, task, keeper, config, {})


def _make_scheduler(num_epochs: int) -> ASHAScheduler | None:
    """Compares trials at a ninth and at a third of their epochs; `None` where there are none."""
    if num_epochs < 2:
        return None
    return ASHAScheduler(
        time_attr=_EPOCH,
        metric=_ACCURACY,
        mode="max",
        max_t=num_epochs - 1,
        grace_period=first_rung(num_epochs),
        reduction_factor=REDUCTION,
        stop_last_trials=False,
    )


def _run(
    search: Search, task: TrialTask, keeper: "TrialKeeper", config: tune.TuneConfig, params: Mapping[str, Any]
) -> None:
    folder = Path(tempfile.mkdtemp(prefix=TRIAL_PREFIX, dir=search.out_dir)).absolute()
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # what goes wrong is in the study
    try:
        tune.Tuner(
            tune.with_parameters(run_trial, task=task),
            param_space=dict(params),
            tune_config=config,
            run_config=tune.RunConfig(
                name="trials", storage_path=str(folder), callbacks=[keeper], stop=_AllStopper(keeper), verbose=0
            ),
        ).fit()
    except (TuneError, OSError) as exc:
        raise _stopped(search, keeper, exc) from exc
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _stopped(search: Search, keeper: "TrialKeeper", exc: Exception) -> Exception:
    """What has ended all trials: Ray raises another error for what a keeper has raised."""
    if keeper.failure is not None:
        return keeper.failure
    if isinstance(exc, TuneError):
        said = _("Ray has stopped: {reason}. Finished trials are kept. Give `resume=True` to continue.")
        return ClusterError(said.format(reason=" ".join(str(exc).split())[-_MOST_CHARACTERS:].rstrip(".")))
    if isinstance(exc, TellapartError | ConnectionError) or not isinstance(exc, OSError):
        return exc
    return output_error(search.out_dir, exc)


class TrialKeeper(tune.Callback):
    """Puts each trial that is over into the study, and its model into the folder where that counts.

    Args:
        search, study: of which.
        is_default: whether the trials have the default settings.

    Attributes:
        failure: why a trial could not be kept, as where the disk is full; all trials end.
    """

    failure: Exception | None = None

    def __init__(self, search: Search, study: OptunaStudy, *, is_default: bool) -> None:
        self._search, self._study, self._is_default = search, study, is_default
        self._reports: dict[str, dict[int, float]] = {}
        self._is_hopeless = False

    def __reduce__(self) -> tuple[type[tune.Callback], tuple[()]]:
        """Ray writes the callbacks down, to go on after a crash by itself; what goes on here is the study."""
        return tune.Callback, ()

    def stop_all(self) -> bool:
        """Whether the trials that still run are to end."""
        if self._is_default or self.failure is not None:
            return self.failure is not None
        return self._is_hopeless or self._search.budget.is_search_over(len(self._study.records()), 0.0)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Remembers how good a trial was after an epoch."""
        self._reports.setdefault(trial.trial_id, {})[result[_EPOCH]] = result[_ACCURACY]

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Keeps a trial that is complete, or that was ended because it was behind."""
        result = trial.last_result
        state = COMPLETE if result.get(_IS_OVER) else PRUNED
        record = TrialRecord(
            self._study.next_number,
            state,
            self._study.decode(trial.config),
            validation_accuracy=result[_ACCURACY],
            validation_log_loss=result.get(_LOG_LOSS),
            num_epochs=result[_EPOCH],
            seconds=result["time_total_s"],
            is_default=self._is_default,
        )
        self._keep(trial, record)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        """Keeps a trial that failed, with the reason."""
        values = self._study.decode(trial.config)
        seconds = (trial.last_result or {}).get("time_total_s", 0.0)
        record = TrialRecord(
            self._study.next_number,
            FAILED,
            values,
            seconds=seconds,
            is_default=self._is_default,
            reason=explain_failure(_error_of(trial)),
        )
        self._keep(trial, record)

    def _keep(self, trial: Trial, record: TrialRecord) -> None:
        try:
            if record.state == COMPLETE:
                keep_model(self._search, self._study.records(), record, lambda folder: _copy_model(trial, folder))
            self._study.add(record, self._reports.pop(trial.trial_id, {}))
            self._search.keep(self._study, record)
            self._is_hopeless = self._search.is_hopeless(self._study.records())
        except Exception as exc:
            self.failure = exc
            raise


class _AllStopper(tune.Stopper):
    """Ends all trials when a keeper says so."""

    def __init__(self, keeper: TrialKeeper) -> None:
        self._keeper = keeper

    def __reduce__(self) -> tuple[type[NoopStopper], tuple[()]]:
        """As for `TrialKeeper`."""
        return NoopStopper, ()

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        """Whether it is time."""
        return self._keeper.stop_all()


def explain_failure(error: BaseException | None) -> str:
    """Why a trial has no result, in one line for the person who tunes."""
    while isinstance(error, RayTaskError) and error.cause is not None:
        error = error.cause
    if isinstance(error, TrialFailedError):
        return str(error)
    if isinstance(error, OutOfMemoryError):
        return _("out of memory")
    if error is None or isinstance(error, RayActorError):
        return _("its process ended, which happens when memory runs out")
    return " ".join(f"{type(error).__name__}: {error}".split())[:_MOST_CHARACTERS]


def _error_of(trial: Trial) -> BaseException | None:
    """What a trial has raised; `None` where its process ended. The storage does not have the file yet."""
    try:
        error: BaseException = cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
    except (OSError, TypeError):
        return None
    return error


def _copy_model(trial: Trial, folder: Path) -> None:
    """Writes the model that a trial has handed over."""
    assert trial.checkpoint is not None
    folder.mkdir(parents=True, exist_ok=True)
    trial.checkpoint.to_directory(folder)
