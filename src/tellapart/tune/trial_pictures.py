"""The pictures of a study, as Optuna draws them: which settings mattered, which were tried, and how it went."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import optuna
from optuna.trial import TrialState

from tellapart.report.figures import figure_png
from tellapart.store import write_file
from tellapart.translation import gettext as _

HISTORY_NAME, PARALLEL_NAME, IMPORTANCE_NAME = "history.png", "parallel.png", "importance.png"


def draw_study(study: optuna.Study, out_dir: Path) -> list[str]:
    """Writes the pictures that the trials are enough for; their names.

    A trial that has ended early is shown with the accuracy that it had then: Optuna would leave it out, and what most
    settings are worth would be told from a few of them.
    """
    from matplotlib import pyplot
    from optuna.visualization import matplotlib as drawings

    plots: dict[str, Callable[..., Any]] = {
        HISTORY_NAME: drawings.plot_optimization_history,
        PARALLEL_NAME: drawings.plot_parallel_coordinate,
        IMPORTANCE_NAME: drawings.plot_param_importances,
    }
    shown = _with_pruned(study)
    if len({trial.value for trial in shown.get_trials(deepcopy=False)}) < 2:
        del plots[IMPORTANCE_NAME]  # no setting has changed anything, and all would be shown as of one importance
    written = []
    for name, plot in plots.items():
        before = set(pyplot.get_fignums())
        # Optuna chooses a style for the whole process. The names of the settings are longer than the margins.
        with warnings.catch_warnings(), matplotlib.rc_context({"backend": "agg", "savefig.bbox": "tight"}):
            warnings.simplefilter("ignore")
            try:
                figure = _figure_of(plot(shown, target_name=_("accuracy")))
                write_file(out_dir / name, figure_png(figure))
                written.append(name)
            except (RuntimeError, ValueError):  # too few trials, or all with the same values
                pass
            finally:
                for number in set(pyplot.get_fignums()) - before:
                    pyplot.close(number)
    return written


def _with_pruned(study: optuna.Study) -> optuna.Study:
    """A copy in memory in which trials that ended early are complete, and failed ones are missing."""
    copied = optuna.create_study(direction=study.direction)
    for trial in study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED)):
        if trial.state == TrialState.PRUNED and trial.intermediate_values:
            trial.state, trial.value = TrialState.COMPLETE, trial.intermediate_values[max(trial.intermediate_values)]
        if trial.state == TrialState.COMPLETE:
            copied.add_trial(trial)
    return copied


def _figure_of(axes: Any) -> Any:
    figure = (axes if hasattr(axes, "figure") else axes[0]).figure
    figure.set_size_inches(9, 5.5)
    return figure
