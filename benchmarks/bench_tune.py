"""`tellapart tune --recipe classic` within a time, against the recipe's own settings, on the same validation photos.

The time counts everything, the final training included. The default is trained to its last epoch, outside of that time,
so that its accuracy is the one it is known for; `--no-default` leaves that out, for it takes as long again. McNemar's
test says whether the difference could be chance; so does the search itself for its own trial of the default.
"""

import csv
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from recording import Measurement, link_photos, make_parser, record, run_tellapart
from tellapart.measure.mcnemar import compare_paired, describe_test


def main() -> None:
    """Tunes, trains the default, and records both accuracies, the time and the p-value."""
    parser = make_parser(__doc__, 1)
    parser.add_argument("--minutes", type=float, default=60.0, help="of the search (default 60)")
    parser.add_argument("--num-photos", type=int, default=4000, help="half of each class (default 4,000)")
    parser.add_argument("--no-default", action="store_true", help="the default is not trained to its end")
    parser.add_argument("--epochs", type=int, help="of the default (default: the recipe's 64)")
    arguments = parser.parse_args()
    found: dict[str, list[float]] = {}
    for seed in range(arguments.runs):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            link_photos(arguments.photos, arguments.num_photos, root / "photos")
            shared = ["--recipe", "classic", "--seed", str(seed), "--validation", "0.2"]
            started = time.perf_counter()
            minutes = ["--minutes", str(arguments.minutes)]
            run_tellapart(["tune", root / "photos", "--out", root / "tuned", *shared, *minutes], root / "cache")
            seconds = time.perf_counter() - started
            tuned, default = root / "tuned" / "best", root / "default"
            figures = {"minutes": seconds / 60, "accuracy": accuracy_of(tuned)} | of_search(root / "tuned")
            if not arguments.no_default:
                epochs = [] if arguments.epochs is None else ["--epochs", str(arguments.epochs)]
                run_tellapart(["train", root / "photos", "--out", default, *shared, *epochs], root / "cache")
                figures |= beside(tuned, default)
            for name, value in figures.items():
                found.setdefault(name, []).append(value)
    units = {"minutes": "min", "trials": "trials", "p_value": "probability", "trial.p_value": "probability"}
    prefix = f"tune.classic.{arguments.minutes:g}min"
    measured = [
        Measurement(f"{prefix}.{name}", tuple(values), units.get(name, "share")) for name, values in found.items()
    ]
    record(measured, arguments.results)


def of_search(folder: Path) -> dict[str, float]:
    """Trials of a study, and what the one that won is worth beside that of the default on photos that no trial saw."""
    lead = json.loads((folder / "study.json").read_bytes())["lead"]
    with (folder / "trials.csv").open(newline="", encoding="utf-8-sig") as file:
        num_trials = len(list(csv.DictReader(file)))
    return {"trials": num_trials} | ({} if lead is None else {"trial.p_value": lead["test"]["p_value"]})


def beside(tuned: Path, default: Path) -> dict[str, float]:
    """The accuracy of the default, and the p-value of its difference from the tuned one on the photos of both."""
    first, second = right_by_content(tuned), right_by_content(default)
    keys = sorted(first.keys() & second.keys())
    answers = [np.array([side[key] for key in keys]) for side in (first, second)]
    test = compare_paired("tuned", "default", answers[0], answers[1])
    print(f"{describe_test(test)} ({len(keys)} photos, p {test.p_value:.3g})")
    return {"default_accuracy": accuracy_of(default), "p_value": test.p_value}


def accuracy_of(run_dir: Path) -> float:
    """On its validation photos."""
    return float(json.loads((run_dir / "metrics.json").read_bytes())["validation_accuracy"])


def right_by_content(run_dir: Path) -> dict[str, bool]:
    """Whether the model was right about each validation photo, by path and content."""
    with (run_dir / "predictions.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    return {f"{row['path']} {row['content']}": row["class"] == row["predicted_class"] for row in rows}


if __name__ == "__main__":
    main()
