from pathlib import Path

import numpy as np
import pytest

from tellapart.config import ClassicConfig
from tellapart.tune.optuna_study import OptunaStudy, first_rung, open_study
from tellapart.tune.search_space import space_of, values_of
from tellapart.tune.trial_table import COMPLETE, TrialRecord


def run_default(study: OptunaStudy, curve: list[float]) -> None:
    """The default settings as the first trial, with these accuracies epoch by epoch; no epoch ends it."""
    config = ClassicConfig()
    asked = study.ask(values_of(config, space_of(config, {})))
    assert asked is not None
    assert asked.is_default
    assert {asked.report(epoch, accuracy) for epoch, accuracy in enumerate(curve, start=1)} == {False}
    record = TrialRecord(asked.number, COMPLETE, asked.values, is_default=True)
    study.tell(TrialRecord(**vars(record) | {"validation_accuracy": curve[-1], "num_epochs": len(curve)}))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("num_epochs", [2, 14, 28, 64])
def test_the_first_of_the_others_is_compared_with_the_default(tmp_path: Path, num_epochs: int, seed: int) -> None:
    curve = np.sort(np.random.default_rng(seed).uniform(0.5, 0.9, num_epochs)).tolist()
    with open_study(tmp_path / "study.sqlite3", space_of(ClassicConfig(), {}), seed) as study:
        run_default(study, curve)
        rung = first_rung(num_epochs)
        behind, ahead = study.ask({}), study.ask({})

        assert behind is not None
        assert ahead is not None
        assert behind.report(rung, curve[rung - 1] - 0.01)
        assert not ahead.report(rung, curve[rung - 1] + 0.01)
