"""Two checkouts side by side: seconds, memory and accuracy of the same commands, in turn, in one run.

Each turn runs every command with the one checkout and then with the other, each in a process of its own: a training
with an empty cache folder that holds only the backbones, the same training again, a prediction of all photos, bare ONNX
Runtime over as many ready-made images, a prediction of one photo, and `--help`. Ratios are taken within a turn.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from recording import DEFAULT_PHOTOS_DIR, REPOSITORY_DIR, Measurement, link_photos, record

BARE_SCRIPT = REPOSITORY_DIR / "benchmarks/bare_onnxruntime.py"
_PEAK_SCRIPT = (
    "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:], capture_output=True, text=True);"
    "print(done.stderr[-2000:], file=sys.stderr);"
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(done.returncode)"
)


def run(checkout: Path, arguments: list[str | Path], cache_dir: Path) -> tuple[float, float]:
    """Wall seconds and peak memory in MB of one `tellapart` command of a checkout."""
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src"), "XDG_CACHE_HOME": str(cache_dir)}
    command = [sys.executable, "-c", _PEAK_SCRIPT, sys.executable, "-m", "tellapart", *map(str, arguments)]
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=cache_dir)
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise SystemExit(f"{checkout}: {' '.join(map(str, arguments))} failed: {done.stderr[-1500:]}")
    return seconds, int(done.stdout.split()[-1]) / 1024


def bare_seconds(run_dir: Path, num_images: int) -> float:
    """Seconds of bare ONNX Runtime for that many ready-made images with the model of a run."""
    command = [sys.executable, str(BARE_SCRIPT), str(run_dir / "model.onnx"), "--output", "probabilities"]
    environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "1"}
    command += ["--num-images", str(num_images)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(json.loads(done.stdout)["seconds"])


def measure(checkout: Path, backbones_dir: Path, photos_dir: Path, turn_dir: Path) -> dict[str, float]:
    """Every figure of one checkout in one turn, by name."""
    cache_dir, run_dir = turn_dir / "cache", turn_dir / "run"
    shutil.copytree(backbones_dir, cache_dir / "tellapart/backbones")
    photos = sorted(photos_dir.glob("*.jpg"))
    found: dict[str, float] = {}
    found["train"], found["train_peak"] = run(checkout, ["train", photos_dir, "--out", run_dir], cache_dir)
    found["train_again"], _ = run(checkout, ["train", photos_dir, "--out", turn_dir / "again"], cache_dir)
    answers = ["--csv", turn_dir / "answers.csv"]
    found["predict"], found["predict_peak"] = run(checkout, ["predict", run_dir, photos_dir, *answers], cache_dir)
    found["bare"] = bare_seconds(run_dir, len(photos))
    found["predict_one"] = min(run(checkout, ["predict", run_dir, photos[0]], cache_dir)[0] for _ in range(3))
    found["help"] = min(run(checkout, ["--help"], cache_dir)[0] for _ in range(3))
    metrics = json.loads((run_dir / "metrics.json").read_bytes())
    found["accuracy"], found["log_loss"] = metrics["validation_accuracy"], metrics["validation_log_loss"]
    return found


def unit_of(name: str) -> str:
    """What the figure is in."""
    if name.endswith("_peak"):
        return "MB"
    return {"accuracy": "share", "log_loss": "nats"}.get(name, "s")


def main() -> None:
    """Prints each turn, then the medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("before", type=Path, help="the other checkout; this one comes after")
    parser.add_argument("--photos", type=Path, default=DEFAULT_PHOTOS_DIR, help="folder of cat.0.jpg, dog.1.jpg, ...")
    parser.add_argument("--num-photos", type=int, default=4000)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--results", type=Path, default=REPOSITORY_DIR / "benchmarks/results.csv")
    arguments = parser.parse_args()
    checkouts = {"before": arguments.before.resolve(), "after": REPOSITORY_DIR}
    turns: dict[str, list[dict[str, float]]] = {side: [] for side in checkouts}
    with tempfile.TemporaryDirectory() as name:
        work_dir = Path(name)
        photos_dir, few_dir = work_dir / "photos", work_dir / "few"
        link_photos(arguments.photos, arguments.num_photos, photos_dir)
        link_photos(arguments.photos, 16, few_dir)
        for side, checkout in checkouts.items():
            (work_dir / f"export-{side}").mkdir()
            run(checkout, ["train", few_dir, "--out", work_dir / f"few-{side}"], work_dir / f"export-{side}")
        for number in range(arguments.runs):
            for side, checkout in checkouts.items():
                turn_dir = work_dir / f"{side}-{number}"
                backbones_dir = work_dir / f"export-{side}/tellapart/backbones"
                turns[side].append(measure(checkout, backbones_dir, photos_dir, turn_dir))
                line = ", ".join(f"{what} {value:.4g}" for what, value in turns[side][-1].items())
                print(f"{side}: {line}", flush=True)
                shutil.rmtree(turn_dir)
    prefix = f"checkouts.{arguments.num_photos}"
    record(
        [
            Measurement(f"{prefix}.{side}.{what}", tuple(turn[what] for turn in found), unit_of(what))
            for side, found in turns.items()
            for what in found[0]
        ],
        arguments.results,
    )


if __name__ == "__main__":
    main()
