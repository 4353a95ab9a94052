"""`scratch` and `finetune` on a GPU: photos a second of a step and its share of the peak, then two whole trainings.

The peak is the faster of five float16 products of two 8192x8192 matrices. A step of `scratch` takes as many photos as
`train` gives it on this device. The trainings are those of the command line, each in a process of its own; what is
recorded of them is the accuracy on the photos held out, the seconds of the whole command, and for `scratch` the photos
a second of its steps. `gpu.sh` runs this. `--any-device` lets it run without a GPU, to try it.
"""

import json
import tempfile
import time
from pathlib import Path

# Decides Keras' backend, so it stands before keras.
from tellapart.networks.backend import Backend, find_backend, keras  # isort: skip

import torch

from profile_step import count_gflop
from recording import Measurement, make_parser, record, run_tellapart
from tellapart import open_photos
from tellapart.config import ScratchConfig
from tellapart.networks.residual import build_residual_network
from tellapart.training.plan import VIEW_WIDTH
from tellapart.training.recipes import batch_size, compile_network, make_scratch_network
from tellapart.training.step import measure_photos_per_second

SIDES = (96, 160)
_GEMM_SIDE_OF_GPU, _GEMM_SIDE_OF_CPU, _NUM_PRODUCTS = 8192, 2048, 5


def peak_gflops(device: str) -> float:
    """Speed of the fastest of a few large matrix products, in 10^9 operations a second; in float32 on a CPU."""
    is_gpu = device != "cpu"
    side, number = (_GEMM_SIDE_OF_GPU, torch.float16) if is_gpu else (_GEMM_SIDE_OF_CPU, torch.float32)
    left, right = (torch.rand(side, side, device="cuda" if is_gpu else "cpu").to(number) for _ in range(2))
    rates = []
    for _ in range(_NUM_PRODUCTS + 1):
        started = time.perf_counter()
        torch.mm(left, right)
        if is_gpu:
            torch.cuda.synchronize()
        rates.append(2 * side**3 / 1e9 / (time.perf_counter() - started))
    return max(rates[1:])


def measure_steps(backend: Backend, num_train: int, num_runs: int) -> list[Measurement]:
    """Photos a second of a step of `scratch`, its share of the peak, and the peak, at two sizes of view."""
    photos_a_step = batch_size(backend, num_train)
    peaks = [peak_gflops(backend.device) for _ in range(num_runs)]
    measurements = [Measurement("gpu.gemm_peak", tuple(peaks), "GFLOP/s")]
    for side in SIDES:
        config = ScratchConfig(image_size=(side, side))
        model = make_scratch_network(config, 2, backend)
        compile_network(model, config)
        rates = [measure_photos_per_second(model, backend, photos_a_step, (side, side)) for _ in range(num_runs)]
        fixed = build_residual_network((side, side, 3), 2, backend.data_format, VIEW_WIDTH)
        gflop = count_gflop(fixed, 1)["whole_step"]
        name = f"gpu.step.{side}.{photos_a_step}_photos"
        measurements += [
            Measurement(name, tuple(rates), "photos/s"),
            Measurement(f"{name}.of_peak", tuple(rate * gflop / max(peaks) for rate in rates), "ratio"),
        ]
        keras.utils.clear_session()
    return measurements


def measure_training(recipe: str, length: list[str], photos_dir: Path, folder: Path, seed: int) -> dict[str, float]:
    """Figures of one training by the command line."""
    run_dir = folder / f"{recipe}-{seed}"
    started = time.perf_counter()
    arguments = ["train", photos_dir, "--recipe", recipe, *length, "--seed", str(seed), "--out", run_dir]
    run_tellapart(arguments, folder / "cache")
    seconds = time.perf_counter() - started
    metrics = json.loads((run_dir / "metrics.json").read_bytes())
    print(f"  {recipe}, seed {seed}: {metrics['validation_accuracy']:.4f}, {seconds:.0f} s", flush=True)
    found = {"accuracy": metrics["validation_accuracy"], "seconds": seconds}
    if "images_per_second" in metrics:
        found["photos_per_second"] = metrics["images_per_second"]
    return found


def main() -> None:
    """Measures the steps, then trains with each recipe."""
    parser = make_parser(__doc__, num_runs=3)
    parser.add_argument("--minutes", type=float, default=2.0, help="of each training (default 2)")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each recipe (default 1)")
    parser.add_argument("--any-device", action="store_true", help="also run where there is no GPU")
    arguments = parser.parse_args()
    backend = find_backend()
    if backend.name != "torch" or (backend.device == "cpu" and not arguments.any_device):
        raise SystemExit(f"this is for PyTorch on a GPU; found {backend.name} on {backend.device}.")
    device = torch.cuda.get_device_name() if backend.device != "cpu" else "cpu"
    print(f"{device}, torch {torch.__version__}, keras {keras.__version__}", flush=True)
    measurements = measure_steps(backend, round(0.8 * len(open_photos(arguments.photos))), arguments.runs)
    units = {"accuracy": "share", "seconds": "s", "photos_per_second": "photos/s"}
    length = ["--minutes", f"{arguments.minutes:g}"]
    with tempfile.TemporaryDirectory() as name:
        for recipe in ("scratch", "finetune"):
            found = [
                measure_training(recipe, length, arguments.photos, Path(name), seed) for seed in range(arguments.seeds)
            ]
            measurements += [
                Measurement(
                    f"gpu.{recipe}.{arguments.minutes:g}_minutes.{what}", tuple(one[what] for one in found), units[what]
                )
                for what in found[0]
            ]
    record(measurements, arguments.results)


if __name__ == "__main__":
    main()
