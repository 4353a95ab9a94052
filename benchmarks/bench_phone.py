"""Photos as phones take them, 12 megapixels each: `train` and `predict` against a bare loop of decoding and embedding.

The photos are enlarged from `--photos` (a folder per class) with a little noise, so that they are as heavy to decode as
a camera's; HEIC is made of tiles of 512 pixels, as phones do. Each turn measures, one after the other and each in a
process of its own: a training with an empty store (the backbones are there), the bare loop with its model, the same
training again, and a prediction of all photos. Seconds of all cores (`cpu`) and memory hardly depend on what else the
machine does.
"""

import argparse
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pillow_heif

from recording import REPOSITORY_DIR, Measurement, isolated_environment, record, tellapart_command

NATIVE_DIR = REPOSITORY_DIR / "../shared/data/cats-dogs-native"
_SIZE = (4000, 3000)
_TILE_SIDE = 512
# Without threads of its own: its threads wait for one another after every row, so that on a busy machine one photo took
# 145 s by the clock, and 3 s of a core (2026-11-28).
_ENCODER, _NUM_HEIC_PICTURES = {"preset": "ultrafast", "x265:pools": "none"}, 8
_NOISE_SIDE = 1000
_USAGE_SCRIPT = (
    "import json, resource, subprocess, sys; done = subprocess.run(sys.argv[1:], capture_output=True, text=True);"
    "print(done.stderr[-2000:], file=sys.stderr); used = resource.getrusage(resource.RUSAGE_CHILDREN);"
    "print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss / 1024])); sys.exit(done.returncode)"
)


def make_photos(source_dir: Path, out_dir: Path, num_jpeg: int, num_heic: int) -> None:
    """Fills `out_dir` with a folder per class and so many photos of 12 megapixels in all, each a file of its own.

    Encoding a HEIC takes 3 s of a core, so there are few pictures of them. Their files differ in a box that no reader
    looks into, and each is decoded and seen as if it were another.
    """
    noise = np.random.default_rng(0).normal(0, 3, (_NOISE_SIDE, _NOISE_SIDE, 3)).round().astype(np.int8)
    class_dirs = sorted(path for path in source_dir.iterdir() if path.is_dir())
    num_pictures = min(num_heic, _NUM_HEIC_PICTURES)

    def make(number: int) -> None:
        class_dir = class_dirs[number % len(class_dirs)]
        path = sorted(class_dir.iterdir())[number // len(class_dirs)]
        image = cv2.resize(cv2.imread(str(path)), _SIZE, interpolation=cv2.INTER_CUBIC)
        moved = np.roll(noise, (97 * number, 31 * number), axis=(0, 1))
        over_all = np.tile(moved, (_SIZE[1] // _NOISE_SIDE, _SIZE[0] // _NOISE_SIDE, 1))
        image = cv2.add(image, over_all, dtype=cv2.CV_8U)
        target = out_dir / class_dir.name / path.stem
        target.parent.mkdir(parents=True, exist_ok=True)
        if number < num_jpeg:
            cv2.imwrite(f"{target}.jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])
            return
        photo, buffer = pillow_heif.from_bytes("RGB", _SIZE, image[..., ::-1].tobytes()), io.BytesIO()
        photo.save(buffer, quality=60, tile_size=_TILE_SIDE, enc_params=_ENCODER)
        for copy in range(number - num_jpeg, num_heic, num_pictures):
            box = b"free" + f"{copy:8}".encode()
            data = buffer.getvalue() + (len(box) + 4).to_bytes(4, "big") + box
            Path(f"{target}-{copy}.heic").write_bytes(data)

    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(make, range(num_jpeg + num_pictures)))


def bare_loop(model: Path, photos_dir: Path) -> list[float]:
    """Seconds, seconds of all cores, and MB: each photo decoded once, JPEG at an eighth, and seen by the backbone."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    side = session.get_inputs()[0].shape[1]

    def work(path: Path) -> None:
        if path.suffix == ".jpg":
            image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_REDUCED_COLOR_8)[..., ::-1]
        else:
            image = np.asarray(pillow_heif.open_heif(path.read_bytes()))
        image = cv2.resize(np.ascontiguousarray(image), (side, side), interpolation=cv2.INTER_AREA)
        session.run(["probabilities"], {"image": image[None]})

    started = time.perf_counter()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(work, sorted(path for path in photos_dir.rglob("*") if path.is_file())))
    seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_SELF)
    return [seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]


def run_command(arguments: list[str | Path], cache_dir: Path) -> list[float]:
    """Seconds, seconds of all cores, and peak memory in MB of one `tellapart` command."""
    command = [sys.executable, "-c", _USAGE_SCRIPT, *tellapart_command(), *map(str, arguments)]
    started = time.perf_counter()
    done = subprocess.run(command, env=isolated_environment(cache_dir), capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, arguments))} exited with {done.returncode}: {done.stderr[-1500:]}")
    return [seconds, *json.loads(done.stdout.splitlines()[-1])]


def measure_turn(photos_dir: Path, exported_dir: Path, turn_dir: Path) -> dict[str, float]:
    """Seconds, seconds of all cores and MB of every part of one turn, by name."""
    cache_dir, run_dir = turn_dir / "cache", turn_dir / "run"
    shutil.copytree(exported_dir, cache_dir / "tellapart/backbones")
    parts = {"train": run_command(["train", photos_dir, "--out", run_dir], cache_dir)}
    bare = [sys.executable, __file__, "--bare", str(run_dir / "model.onnx"), str(photos_dir)]
    parts["bare"] = json.loads(subprocess.run(bare, capture_output=True, text=True, check=True).stdout)
    parts["train_again"] = run_command(["train", photos_dir, "--out", turn_dir / "run-2"], cache_dir)
    parts["predict"] = run_command(["predict", run_dir, photos_dir, "--csv", turn_dir / "a.csv"], cache_dir)
    return {
        f"{part}{suffix}": value
        for part, values in parts.items()
        for suffix, value in zip(("", "_cpu", "_peak"), values, strict=True)
    }


def main() -> None:
    """Prints each turn, then the medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--photos", type=Path, default=NATIVE_DIR, help="a folder per class, enlarged from")
    parser.add_argument("--num-jpeg", type=int, default=300)
    parser.add_argument("--num-heic", type=int, default=100)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="where the photos stay, and are found the next time")
    parser.add_argument("--results", type=Path, default=REPOSITORY_DIR / "benchmarks/results.csv")
    parser.add_argument("--bare", nargs=2, type=Path, metavar=("MODEL", "PHOTOS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare:
        print(json.dumps(bare_loop(*arguments.bare)))
        return
    turns = []
    with tempfile.TemporaryDirectory() as name:
        work_dir = Path(name)
        photos_dir = arguments.keep or work_dir / "photos"
        if not photos_dir.exists():
            make_photos(arguments.photos, photos_dir, arguments.num_jpeg, arguments.num_heic)
        few_dir = work_dir / "few"
        make_photos(arguments.photos, few_dir, 8, 0)
        run_command(["train", few_dir, "--out", work_dir / "few-run"], work_dir / "export")
        exported_dir = work_dir / "export/tellapart/backbones"
        for number in range(arguments.runs):
            turn_dir = work_dir / f"turn-{number}"
            turn_dir.mkdir()
            turns.append(measure_turn(photos_dir, exported_dir, turn_dir))
            print(", ".join(f"{what} {value:.1f}" for what, value in turns[-1].items()), flush=True)
    prefix = f"phone.{arguments.num_jpeg}jpg+{arguments.num_heic}heic"
    record(
        [
            Measurement(f"{prefix}.{what}", tuple(turn[what] for turn in turns), "MB" if "peak" in what else "s")
            for what in turns[0]
        ],
        arguments.results,
    )


if __name__ == "__main__":
    main()
