"""Takes the numbers and the curve of a finished run into the repository: `record_run.py runs/train-classic`.

Appends accuracy and time to `results.csv`, and copies the history beside it.
"""

import argparse
import json
import shutil
from pathlib import Path

from recording import REPOSITORY_DIR, RESULTS_PATH, Measurement, record


def main() -> None:
    """Reads the run folder and writes both files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--name", default="classic", help="what the files and the rows are called")
    arguments = parser.parse_args()
    metrics = json.loads((arguments.run_dir / "metrics.json").read_bytes())
    units = {"validation_accuracy": "share", "train_seconds": "s", "images_per_second": "images/s"}
    epochs = metrics["num_epochs"]
    measurements = [
        Measurement(f"run.{arguments.name}.{epochs}-epochs.{name}", (metrics[name],), unit)
        for name, unit in units.items()
    ]
    record(measurements, RESULTS_PATH)
    shutil.copy(arguments.run_dir / "history.csv", REPOSITORY_DIR / f"benchmarks/{arguments.name}-history.csv")


if __name__ == "__main__":
    main()
