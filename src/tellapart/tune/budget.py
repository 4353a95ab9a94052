"""How long a search may take, and how its time is shared out: trials first, then the final training."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

# Shares of the minutes. A full trial takes 0.22 of them; with successive halving, nine settings cost about as much as
# two and a half full trials, so the trials end at 0.6. The final training has more photos, and the rest is for the
# pictures and the report.
_TRIAL_SHARE, _SEARCH_SHARE, _FINAL_SHARE = 0.22, 0.6, 0.9


@dataclass(frozen=True)
class Budget:
    """The time and the trials of a search; of time or trials one is `None`.

    Attributes:
        minutes: for everything, the final training and earlier parts of the search included.
        num_trials: those that failed or were pruned included.
        seconds_before: that earlier parts of the search took.
        clock: seconds since some moment.
        started: when this part began, by the clock.
    """

    minutes: float | None
    num_trials: int | None
    seconds_before: float = 0.0
    clock: Callable[[], float] = time.perf_counter
    started: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """That were used, earlier parts included."""
        return self.seconds_before + self.clock() - self.started

    @property
    def trial_seconds(self) -> float | None:
        """The most that a trial in epochs may take; `None` without a limit."""
        return None if self.minutes is None else 60 * self.minutes * _TRIAL_SHARE

    @property
    def final_seconds(self) -> float | None:
        """What is left for the final training; `None` without a limit."""
        if self.minutes is None:
            return None
        return max(0.0, (60 * self.minutes - self.seconds) * _FINAL_SHARE)

    def is_search_over(self, num_trials: int, usual_seconds: float) -> bool:
        """Whether no trial begins any more.

        Args:
            num_trials: that are over.
            usual_seconds: what a trial takes.
        """
        if self.num_trials is not None and num_trials >= self.num_trials:
            return True
        return self.minutes is not None and self.seconds + usual_seconds > 60 * self.minutes * _SEARCH_SHARE
