import pickle
import threading
from typing import Any

import pytest

pytest.importorskip("ray.tune", reason="tellapart[ray] is not installed")

from ray import tune
from ray.tune.stopper import NoopStopper

from tellapart.distribute import ray_trials


@pytest.mark.filterwarnings("ignore")
def test_what_follows_the_trials_is_written_down_without_the_terminal_it_speaks_to() -> None:
    terminal: Any = threading.RLock()  # as that of a progress bar, which no file can hold
    keeper = ray_trials.TrialKeeper(terminal, terminal, is_default=False)
    assert type(pickle.loads(pickle.dumps(keeper))) is tune.Callback
    assert type(pickle.loads(pickle.dumps(ray_trials._AllStopper(keeper)))) is NoopStopper
