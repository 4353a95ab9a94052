"""Training speed of `--recipe classic` against the article's pipeline: same network, photos, batch and augmentation.

Pairs in one run, each side in a process of its own. The first epoch of either side is a warm-up and is not counted.
"""

import csv
import json
import subprocess
import tempfile
from pathlib import Path

from recording import REPOSITORY_DIR, Measurement, link_photos, make_parser, record, run_tellapart

ARTICLE_SCRIPT = REPOSITORY_DIR / "benchmarks/article_pipeline.py"


def time_article(article_python: Path, photos_dir: Path, epochs: int) -> float:
    """Training images a second of the article's pipeline."""
    command = [str(article_python), str(ARTICLE_SCRIPT), str(photos_dir), "--epochs", str(epochs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} exited with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return float(json.loads(done.stdout.splitlines()[-1])["images_per_second"])


def time_tellapart(photos_dir: Path, epochs: int, work_dir: Path, run_number: int) -> float:
    """Training images a second of `tellapart train`, from its `history.csv`."""
    run_dir = work_dir / f"run-{run_number}"
    arguments = ["train", photos_dir, "--recipe", "classic", "--epochs", str(epochs), "--out", run_dir]
    run_tellapart(arguments, work_dir / "cache")
    with (run_dir / "history.csv").open(newline="", encoding="utf-8") as file:
        speeds = [float(row["images_per_second"]) for row in csv.DictReader(file)]
    return len(speeds[1:]) / sum(1 / speed for speed in speeds[1:])


def main() -> None:
    """Prints each pair, then the medians."""
    parser = make_parser(__doc__, num_runs=3)
    parser.add_argument("--article-python", type=Path, required=True, help="Python of the article's environment")
    parser.add_argument("--num-photos", type=int, default=1600, help="photos to take, half of each class")
    parser.add_argument("--epochs", type=int, default=3, help="epochs of each side, at least 2; the first is a warm-up")
    arguments = parser.parse_args()
    if arguments.epochs < 2:
        parser.error("--epochs must be at least 2: the first is a warm-up and is not counted")
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as name:
        work_dir = Path(name)
        photos_dir = work_dir / "photos"
        link_photos(arguments.photos, arguments.num_photos, photos_dir)
        for number in range(arguments.runs):
            theirs.append(time_article(arguments.article_python, photos_dir, arguments.epochs))
            ours.append(time_tellapart(photos_dir, arguments.epochs, work_dir, number))
            print(
                f"pair {number + 1}: article {theirs[-1]:.1f}, tellapart {ours[-1]:.1f} images/s,"
                f" ratio {ours[-1] / theirs[-1]:.2f}",
                flush=True,
            )
    ratios = tuple(our / their for our, their in zip(ours, theirs, strict=True))
    record(
        [
            Measurement("classic.article", tuple(theirs), "images/s"),
            Measurement("classic.tellapart", tuple(ours), "images/s"),
            Measurement("classic.ratio", ratios, "ratio"),
        ],
        arguments.results,
    )


if __name__ == "__main__":
    main()
