"""How long a user waits for `tellapart --help` and for one prediction, each a new process, beside an empty Python.

The files are in the system's cache: the first start after a reboot also waits for the disk.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from recording import Measurement, link_photos, make_parser, record, run_tellapart, tellapart_command


def seconds_of(command: list[str]) -> float:
    """Wall time of a command, from starting it to its end.

    Raises:
        SystemExit: it failed.
    """
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} exited with {done.returncode}: {done.stderr.strip()}")
    return seconds


def train_small_model(photos_dir: Path, work_dir: Path) -> Path:
    """The folder of a classic model that had one epoch on a few photos; as large and as slow as a good one."""
    few_dir, model_dir = work_dir / "few", work_dir / "model"
    link_photos(photos_dir, 40, few_dir)
    run_tellapart(["train", few_dir, "--recipe", "classic", "--epochs", "1", "--out", model_dir], work_dir / "cache")
    return model_dir


def main() -> None:
    """Times the three commands in turn, after one turn that is not counted."""
    parser = make_parser(__doc__, num_runs=15)
    parser.add_argument("--model", type=Path, help="a model folder (default: one is trained first)")
    arguments = parser.parse_args()
    photo = next(iter(sorted(arguments.photos.glob("*.jpg"))), None)
    if photo is None:
        raise SystemExit(f"{arguments.photos} holds no *.jpg; pass a folder of photos with --photos.")
    with tempfile.TemporaryDirectory() as name:
        work_dir = Path(name)
        model_dir = arguments.model or train_small_model(arguments.photos, work_dir)
        predict = ["predict", str(model_dir), str(photo), "--csv", str(work_dir / "predictions.csv")]
        commands = {
            "python": [sys.executable, "-c", "pass"],
            "help": [*tellapart_command(), "--help"],
            "predict": [*tellapart_command(), *predict],
        }
        turns = [{what: seconds_of(command) for what, command in commands.items()} for _ in range(arguments.runs + 1)][
            1:
        ]
    seconds = [Measurement(f"start.{what}", tuple(turn[what] for turn in turns), "s") for what in commands]
    ratios = [
        Measurement(f"start.{what}_ratio", tuple(turn[what] / turn["python"] for turn in turns), "ratio")
        for what in ("help", "predict")
    ]
    record(seconds + ratios, arguments.results)


if __name__ == "__main__":
    main()
