"""`tellapart train` and `predict` with the recipe `transfer`, against bare ONNX Runtime over as many ready-made inputs.

Each turn measures, one after the other and each in a process of its own: bare ONNX Runtime, a training with an empty
cache (the backbone is exported, too), a training with only the backbone in the cache, the same training again, one with
50 photos more, a prediction of all photos, and a prediction of one. Ratios are taken within a turn.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from recording import (
    REPOSITORY_DIR,
    Measurement,
    isolated_environment,
    link_photos,
    make_parser,
    record,
    run_tellapart,
    tellapart_command,
)

BARE_SCRIPT = REPOSITORY_DIR / "benchmarks/bare_onnxruntime.py"
NUM_ADDED = 50


def seconds_of(arguments: list[str | Path], cache_dir: Path) -> float:
    """Wall time of one `tellapart` command, from starting the process to its end."""
    started = time.perf_counter()
    run_tellapart(arguments, cache_dir)
    return time.perf_counter() - started


def bare_seconds(model: Path, num_images: int) -> float:
    """Seconds of bare ONNX Runtime inference over that many ready-made inputs."""
    command = [sys.executable, str(BARE_SCRIPT), str(model), "--num-images", str(num_images)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} exited with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return float(json.loads(done.stdout)["seconds"])


def export_backbone(photos_dir: Path, cache_dir: Path, work_dir: Path) -> Path:
    """The ONNX file of the default backbone, in the cache."""
    run_tellapart(["embed", photos_dir, "--out", work_dir / "few.npz"], cache_dir)
    return next((cache_dir / "tellapart/backbones").glob("*.onnx"))


def measure_turn(
    photos_dir: Path, added_dir: Path, model: Path, turn_dir: Path, num_photos: int
) -> tuple[dict[str, float], float]:
    """Seconds of every part of one turn, by name, and the validation accuracy."""
    run_dir, backbone_cache = turn_dir / "run", turn_dir / "cache"
    cached_model = backbone_cache / "tellapart/backbones" / model.name
    cached_model.parent.mkdir(parents=True)
    shutil.copyfile(model, cached_model)
    one_photo = next(iter(sorted(photos_dir.glob("*.jpg"))))
    csv_path = turn_dir / "predictions.csv"
    seconds = {"bare": bare_seconds(model, num_photos)}
    seconds["train_empty_cache"] = seconds_of(["train", photos_dir, "--out", turn_dir / "run-0"], turn_dir / "empty")
    seconds["train"] = seconds_of(["train", photos_dir, "--out", run_dir], backbone_cache)
    seconds["train_again"] = seconds_of(["train", photos_dir, "--out", turn_dir / "run-2"], backbone_cache)
    seconds["train_50_more"] = seconds_of(["train", added_dir, "--out", turn_dir / "run-3"], backbone_cache)
    seconds["predict"] = seconds_of(["predict", run_dir, photos_dir, "--csv", csv_path], backbone_cache)
    seconds["predict_one"] = seconds_of(["predict", run_dir, one_photo], backbone_cache)
    return seconds, float(json.loads((run_dir / "metrics.json").read_bytes())["validation_accuracy"])


def peak_memory_mb(run_dir: Path, photos_dir: Path, num_files: int, work_dir: Path) -> list[float]:
    """Resident memory, MB, of a prediction of `num_files` paths, sampled every few seconds after the first thousand."""
    script = (
        "import sys, itertools, pathlib, psutil, tellapart\n"
        "model = tellapart.load(sys.argv[1])\n"
        "paths = sorted(map(str, pathlib.Path(sys.argv[2]).glob('*.jpg')))\n"
        "wanted = list(itertools.islice(itertools.cycle(paths), int(sys.argv[3])))\n"
        "process = psutil.Process()\n"
        "for number, _ in enumerate(model.predict(wanted), start=1):\n"
        "    if number % 1000 == 0:\n"
        "        print(process.memory_info().rss / 1e6, flush=True)\n"
    )
    command = [sys.executable, "-c", script, str(run_dir), str(photos_dir), str(num_files)]
    environment = isolated_environment(work_dir)
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        raise SystemExit(f"the prediction of {num_files} files exited with {done.returncode}: {done.stderr.strip()}")
    return [float(line) for line in done.stdout.split()]


def main() -> None:
    """Prints each turn, then the medians."""
    parser = make_parser(__doc__, num_runs=3)
    parser.add_argument("--num-photos", type=int, default=3950, help="photos to take, half of each class")
    parser.add_argument("--memory-files", type=int, default=0, help="files of the memory measurement; 0 leaves it out")
    arguments = parser.parse_args()
    print(f"using {' '.join(tellapart_command())}", flush=True)
    turns: list[dict[str, float]] = []
    accuracies: list[float] = []
    memory: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        work_dir = Path(name)
        photos_dir, added_dir = work_dir / "photos", work_dir / "added"
        num_photos = link_photos(arguments.photos, arguments.num_photos, photos_dir)
        link_photos(arguments.photos, arguments.num_photos + NUM_ADDED, added_dir)
        few_dir = work_dir / "few"
        link_photos(arguments.photos, 2, few_dir)
        model = export_backbone(few_dir, work_dir / "export", work_dir)
        for number in range(arguments.runs):
            turn_dir = work_dir / f"turn-{number}"
            turn_dir.mkdir()
            seconds, accuracy = measure_turn(photos_dir, added_dir, model, turn_dir, num_photos)
            turns.append(seconds)
            accuracies.append(accuracy)
            print(", ".join(f"{what} {value:.1f} s" for what, value in seconds.items()), flush=True)
        if arguments.memory_files:
            last_run = work_dir / f"turn-{arguments.runs - 1}/run"
            memory = peak_memory_mb(last_run, photos_dir, arguments.memory_files, work_dir)
    measurements = [
        Measurement(f"transfer.{num_photos}.{what}", tuple(turn[what] for turn in turns), "s") for what in turns[0]
    ]
    for what in ("train_empty_cache", "train"):
        ratios = tuple(turn[what] / turn["bare"] for turn in turns)
        measurements.append(Measurement(f"transfer.{num_photos}.{what}_over_bare", ratios, "ratio"))
    shares = tuple(turn["bare"] / turn["predict"] for turn in turns)
    measurements.append(Measurement(f"transfer.{num_photos}.predict_share_of_bare", shares, "ratio"))
    measurements.append(Measurement(f"transfer.{num_photos}.validation_accuracy", tuple(accuracies), "share"))
    if memory:
        measurements.append(Measurement(f"transfer.memory_after_1000.{arguments.memory_files}", (memory[0],), "MB"))
        measurements.append(Measurement(f"transfer.memory_peak.{arguments.memory_files}", (max(memory),), "MB"))
    record(measurements, arguments.results)


if __name__ == "__main__":
    main()
