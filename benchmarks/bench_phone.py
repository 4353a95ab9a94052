"""Photos as phones take them, 12 megapixels each: `train` and `predict` against a bare loop of decoding and embedding.

The photos are enlarged from `--photos` (a folder per class) with a little noise, so that they are as heavy to decode as
a camera's. Each turn measures, one after the other and each in a process of its own: a training with an empty
store (the backbones are there), the bare loop with its model, the same training again, and a prediction of all photos.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from recording import REPOSITORY_DIR, Measurement, isolated_environment, record, tellapart_command

NATIVE_DIR = REPOSITORY_DIR / "../shared/data/cats-dogs-native"
_SIZE = (4000, 3000)
_MAX_RSS_SCRIPT = (
    "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:], capture_output=True, text=True);"
    "print(done.stderr[-2000:], file=sys.stderr);"
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(done.returncode)"
)


def make_photos(source_dir: Path, out_dir: Path, num_photos: int, suffix: str) -> None:
    """Fills `out_dir` with a folder per class and `num_photos` photos of 12 megapixels in all, `.jpg` or `.heic`."""
    noise = np.random.default_rng(0).normal(0, 3, (*_SIZE[::-1], 3)).round().astype(np.int16)
    class_dirs = sorted(path for path in source_dir.iterdir() if path.is_dir())
    for number in range(num_photos):
        class_dir = class_dirs[number % len(class_dirs)]
        path = sorted(class_dir.iterdir())[number // len(class_dirs)]
        image = cv2.resize(cv2.imread(str(path)), _SIZE, interpolation=cv2.INTER_CUBIC)
        image = np.clip(image + np.roll(noise, 97 * number, axis=0), 0, 255).astype(np.uint8)
        target = out_dir / class_dir.name / f"{path.stem}{suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        if suffix == ".jpg":
            cv2.imwrite(str(target), image, [cv2.IMWRITE_JPEG_QUALITY, 90])
        else:
            import pillow_heif

            pillow_heif.from_bytes("RGB", _SIZE, image[..., ::-1].tobytes()).save(target, quality=60)


def bare_loop(model: Path, photos_dir: Path) -> float:
    """Seconds to decode each photo once, JPEG at an eighth, and to run the backbone on it, on all cores."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    side = session.get_inputs()[0].shape[1]

    def work(path: Path) -> None:
        if path.suffix == ".jpg":
            image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_REDUCED_COLOR_8)[..., ::-1]
        else:
            import pillow_heif

            image = np.asarray(pillow_heif.open_heif(path.read_bytes()))
        image = cv2.resize(np.ascontiguousarray(image), (side, side), interpolation=cv2.INTER_AREA)
        session.run(["probabilities"], {"image": image[None]})

    started = time.perf_counter()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(work, sorted(path for path in photos_dir.rglob("*") if path.is_file())))
    return time.perf_counter() - started


def run_command(arguments: list[str | Path], cache_dir: Path) -> tuple[float, float]:
    """Wall seconds and peak memory in MB of one `tellapart` command."""
    command = [sys.executable, "-c", _MAX_RSS_SCRIPT, *tellapart_command(), *map(str, arguments)]
    started = time.perf_counter()
    done = subprocess.run(command, env=isolated_environment(cache_dir), capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, arguments))} exited with {done.returncode}: {done.stderr[-1500:]}")
    return seconds, int(done.stdout.split()[-1]) / 1024


def measure_turn(photos_dir: Path, exported_dir: Path, turn_dir: Path) -> dict[str, float]:
    """Seconds and MB of every part of one turn, by name."""
    cache_dir, run_dir = turn_dir / "cache", turn_dir / "run"
    backbones_dir = cache_dir / "tellapart/backbones"
    shutil.copytree(exported_dir, backbones_dir)
    found: dict[str, float] = {}
    found["train"], found["train_peak"] = run_command(["train", photos_dir, "--out", run_dir], cache_dir)
    bare = [sys.executable, __file__, "--bare", str(run_dir / "model.onnx"), str(photos_dir)]
    found["bare"] = float(json.loads(subprocess.run(bare, capture_output=True, text=True, check=True).stdout))
    found["train_again"], _ = run_command(["train", photos_dir, "--out", turn_dir / "run-2"], cache_dir)
    found["predict"], _ = run_command(["predict", run_dir, photos_dir, "--csv", turn_dir / "a.csv"], cache_dir)
    return found


def main() -> None:
    """Prints each turn, then the medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--photos", type=Path, default=NATIVE_DIR, help="a folder per class, enlarged from")
    parser.add_argument("--num-photos", type=int, default=300)
    parser.add_argument("--suffix", choices=(".jpg", ".heic"), default=".jpg")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--results", type=Path, default=REPOSITORY_DIR / "benchmarks/results.csv")
    parser.add_argument("--bare", nargs=2, type=Path, metavar=("MODEL", "PHOTOS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare:
        print(json.dumps(bare_loop(*arguments.bare)))
        return
    turns = []
    with tempfile.TemporaryDirectory() as name:
        work_dir = Path(name)
        photos_dir = work_dir / "photos"
        make_photos(arguments.photos, photos_dir, arguments.num_photos, arguments.suffix)
        few_dir = work_dir / "few"
        make_photos(arguments.photos, few_dir, 8, ".jpg")
        run_command(["train", few_dir, "--out", work_dir / "few-run"], work_dir / "export")
        exported_dir = work_dir / "export/tellapart/backbones"
        for number in range(arguments.runs):
            turn_dir = work_dir / f"turn-{number}"
            turn_dir.mkdir()
            turns.append(measure_turn(photos_dir, exported_dir, turn_dir))
            print(", ".join(f"{what} {value:.1f}" for what, value in turns[-1].items()), flush=True)
    prefix = f"phone{arguments.suffix}.{arguments.num_photos}"
    record(
        [
            Measurement(f"{prefix}.{what}", tuple(turn[what] for turn in turns), "MB" if "peak" in what else "s")
            for what in turns[0]
        ],
        arguments.results,
    )


if __name__ == "__main__":
    main()
