"""`tellapart tune --recipe classic` within a time, against the recipe's own settings, on the same validation photos.

The time counts everything, the final training included. The default is trained to its last epoch, outside of that time,
so that its accuracy is the one it is known for. That takes as long again, so `--parts` and `--keep` do one after the
other. McNemar's test says whether the difference could be chance; so does the search itself for its own trial of the
default.
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
    parser.add_argument("--parts", default="search,default", help="what is run, by commas (default both)")
    parser.add_argument("--keep", type=Path, help="folder that keeps what is trained, for a part that is run later")
    parser.add_argument("--epochs", type=int, help="of the default (default: the recipe's 64)")
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    found: dict[str, list[float]] = {}
    for seed in range(arguments.runs):
        with tempfile.TemporaryDirectory() as folder:
            root = (arguments.keep or Path(folder)) / str(seed)
            if not (root / "photos").exists():
                link_photos(arguments.photos, arguments.num_photos, root / "photos")
            tuned, default = root / "tuned", root / "default"
            shared = ["--recipe", "classic", "--seed", str(seed), "--validation", "0.2"]
            figures = dict[str, float]()
            if "search" in parts:
                started = time.perf_counter()
                minutes = ["--minutes", str(arguments.minutes)]
                run_tellapart(["tune", root / "photos", "--out", tuned, *shared, *minutes], root / "cache")
                figures["minutes"] = (time.perf_counter() - started) / 60
                figures |= {"accuracy": accuracy_of(tuned / "best")} | of_search(tuned)
            if "default" in parts:
                epochs = [] if arguments.epochs is None else ["--epochs", str(arguments.epochs)]
                run_tellapart(["train", root / "photos", "--out", default, *shared, *epochs], root / "cache")
                figures["default_accuracy"] = accuracy_of(default)
            if (tuned / "best").exists() and default.exists():
                figures["p_value"] = compare_runs(tuned / "best", default)
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


def compare_runs(tuned: Path, default: Path) -> float:
    """The p-value of the difference of two runs on the photos that both have held out."""
    first, second = right_by_content(tuned), right_by_content(default)
    keys = sorted(first.keys() & second.keys())
    answers = [np.array([side[key] for key in keys]) for side in (first, second)]
    test = compare_paired("tuned", "default", answers[0], answers[1])
    print(f"{describe_test(test)} ({len(keys)} photos, p {test.p_value:.3g})")
    return float(test.p_value)


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
