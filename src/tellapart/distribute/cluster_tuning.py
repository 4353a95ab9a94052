"""`tellapart tune --engine ray`: the trials of a search side by side, by Ray Tune with Optuna and successive halving.

Settings, objective, study, table, pictures and what the winner is worth are those of the room `tune/`. Ray Tune says
which trial runs when and where. Each trial that is over is in the study at once, so a kill loses the running ones.
"""

import os
import pickle
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from tellapart.distribute.ray_session import RayConfig, ray_session
from tellapart.errors import DatasetError
from tellapart.photos.sources import Photos
from tellapart.settings import TuneSettings
from tellapart.translation import gettext as _
from tellapart.tune.objective import Objective
from tellapart.tune.search import Search, refused_default
from tellapart.tune.trial_table import TrialRecord, find_default
from tellapart.tune.tuning import Tuning, tune_recipe
from tellapart.watcher import Watcher

if TYPE_CHECKING:
    from tellapart.tune.optuna_study import OptunaStudy

# Said before Ray Tune is imported: Ctrl-C is ours, and nothing is printed or logged but what we print.
_ENVIRONMENT = {
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",  # the one that can be silenced
}


def tune_on_cluster(
    photos: Photos,
    out: str | Path,
    *,
    cluster: RayConfig = RayConfig(),
    minutes: float | None = None,
    trials: int | None = None,
    resume: bool = False,
    watch: Callable[[TrialRecord], None] = lambda record: None,
    watcher: Watcher | None = None,
    **settings: Unpack[TuneSettings],
) -> Tuning:
    """As `tune_recipe`, with trials that run side by side on a cluster.

    Every machine of the cluster has to see the photos and the folder `out` under the same paths.

    Args:
        photos, out, minutes, trials, resume, watch, watcher, settings: as for `tune_recipe`.
        cluster: where Ray works.

    Raises:
        DependencyError: Ray is not installed.
        DatasetError: the photos lie in a zip, which other processes cannot read.
        TellapartError, KeyboardInterrupt: as for `tune_recipe`.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    return tune_recipe(
        photos,
        out,
        minutes=minutes,
        trials=trials,
        resume=resume,
        watch=watch,
        watcher=watcher,
        engine=_ClusterEngine(cluster),
        **settings,
    )


@dataclass(frozen=True)
class _ClusterEngine:
    """Runs the trials of a search on a cluster: first that of the default settings, then the others.

    Attributes:
        config: where Ray works.
    """

    config: RayConfig

    def __call__(self, search: Search, study: "OptunaStudy") -> None:
        watcher, photos = search.objective.watcher, search.checkup.photos
        objective = _without_watcher(search.objective)
        try:
            pickle.dumps(objective)
        except (TypeError, AttributeError, pickle.PicklingError) as exc:
            said = _("the photos of {source!r} cannot be sent to other processes. Unpack a zip into a folder first.")
            raise DatasetError(said.format(source=photos.source), paths=[photos.source]) from exc
        with ray_session(self.config, watcher.on_note) as num_workers:
            from tellapart.distribute.ray_trials import TrialTask, try_default, try_others

            task = TrialTask(objective, search.config, search.space, None, search.budget.trial_seconds)
            if (finished := find_default(study.records())) is None:
                watcher.on_stage(_("trying the default settings"))
                try_default(search, study, task)
                records = study.records()
                finished = find_default(records)
                if finished is None:
                    raise refused_default(records[-1].reason if records else _("stopped"))
            watcher.on_stage(_("trying other settings"))
            try_others(search, study, replace(task, num_epochs=finished.num_epochs or None), num_workers)


def _without_watcher(objective: Objective) -> Objective:
    """The objective as another process can have it."""
    return replace(objective, watcher=Watcher(), work_dir=Path(tempfile.gettempdir()))
