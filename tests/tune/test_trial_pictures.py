from pathlib import Path

import cv2
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from tellapart.tune.trial_pictures import HISTORY_NAME, IMPORTANCE_NAME, PARALLEL_NAME, draw_study


def make_trial(state: TrialState, rate: float, *accuracies: float) -> FrozenTrial:
    """A trial with these accuracies, an epoch each."""
    return create_trial(
        state=state,
        value=accuracies[-1] if state == TrialState.COMPLETE else None,
        params={"rate": rate},
        distributions={"rate": FloatDistribution(0, 1)},
        intermediate_values=dict(enumerate(accuracies, 1)),
    )


FULL = make_trial(TrialState.COMPLETE, 0.5, 0.6, 0.7, 0.8)
PRUNED = [make_trial(TrialState.PRUNED, rate, rate) for rate in (0.1, 0.2, 0.4)]
FAILED = make_trial(TrialState.FAIL, 0.9, 0.1)


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study(direction="maximize")


def test_trials_that_ended_early_are_in_every_picture(study: optuna.Study, tmp_path: Path) -> None:
    study.add_trials([FULL, *PRUNED, FAILED])

    assert draw_study(study, tmp_path) == [HISTORY_NAME, PARALLEL_NAME, IMPORTANCE_NAME]
    assert all(cv2.imread(str(path)).std() > 5 for path in tmp_path.iterdir())
    assert [trial.state for trial in study.trials] == [FULL.state, *(one.state for one in PRUNED), FAILED.state]


def test_the_pictures_tell_what_a_trial_that_ended_early_had_reached(
    study: optuna.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = list[optuna.Study]()
    monkeypatch.setattr(
        "optuna.visualization.matplotlib.plot_parallel_coordinate", lambda given, **more: shown.append(given) or 1 / 0
    )
    study.add_trials([FULL, *PRUNED, FAILED])
    with pytest.raises(ZeroDivisionError):
        draw_study(study, tmp_path)

    assert [trial.value for trial in shown[0].trials] == [0.8, 0.1, 0.2, 0.4]


def test_one_trial_alone_shows_no_importance(study: optuna.Study, tmp_path: Path) -> None:
    study.add_trials([FULL, FAILED])

    assert IMPORTANCE_NAME not in draw_study(study, tmp_path)
