import csv
from pathlib import Path

from tellapart.tune.trial_table import COMPLETE, FAILED, TRIALS_NAME, TrialRecord, write_trials


def test_a_value_that_was_not_drawn_yet_is_empty_and_one_left_to_the_recipe_is_auto(tmp_path: Path) -> None:
    default = TrialRecord(0, COMPLETE, {"image_size": None, "rate": 0.1}, 0.5, 0.7, is_default=True)
    killed = TrialRecord(1, FAILED, {"rate": 0.25}, reason="the process ended during this trial")
    write_trials(tmp_path, [default, killed])
    with (tmp_path / TRIALS_NAME).open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))

    assert [(row["image_size"], row["rate"]) for row in rows] == [("auto", "0.1"), ("", "0.25")]
    assert [row["reason"] for row in rows] == ["", killed.reason]
