"""What a photo costs with `predict --engine ray` as lists grow, with one worker and with two.

Photos and backbone are those of `bench_scale.py`: what is measured is what the tool and Ray need a photo. Processor
seconds are those of the command and of all processes that Ray starts for it, looked up while they run. What Ray takes
to start is that of the shortest list. `alone` is `predict` without Ray, on the same photos. Memory is that of the
process that reads the list and writes the answers. Linux only.
"""

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from bench_scale import Cost, high_water_kb, write_backbone, write_collection
from recording import Measurement, isolated_environment, make_parser, record, run_tellapart, tellapart_command

NUM_CLASSES, NUM_TRAINED, NUM_TO_START = 10, 200, 100
POLL_SECONDS = 0.2


def run_tree(command: list[str], work_dir: Path) -> Cost:
    """Runs a command to its end; its processor seconds with those of all processes below it.

    Raises:
        SystemExit: the command failed; carries what it said.
    """
    log_path, seconds, peak_kb = work_dir / "log.txt", dict[tuple[int, float], float](), 0
    started = time.perf_counter()
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=isolated_environment(work_dir / "cache"))
        tree = psutil.Process(process.pid)
        while process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                for one in (tree, *tree.children(recursive=True)):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        used = one.cpu_times()
                        seconds[one.pid, one.create_time()] = used.user + used.system
            peak_kb = max(peak_kb, high_water_kb(process.pid))
            time.sleep(POLL_SECONDS)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} exited with {process.returncode}: {log_path.read_text()[-2000:]}")
    wall_seconds = time.perf_counter() - started
    cost = Cost(sum(seconds.values()), wall_seconds, peak_kb, log_path.stat().st_size / 1000)
    print(f"{' '.join(command)}: {cost}", flush=True)
    return cost


def write_list(folder: Path, num_photos: int) -> Path:
    """Draws photos, and lists them."""
    write_collection(folder, "csv", num_photos, NUM_CLASSES)
    return folder / "labels.csv"


def describe(name: str, costs: Mapping[int, Cost]) -> list[Measurement]:
    """Processor seconds and memory of each length of a list."""
    found = []
    for num_photos, cost in costs.items():
        found.append(Measurement(f"cluster.{name}.{num_photos}.cpu", (cost.cpu_seconds,), "core-s"))
        found.append(Measurement(f"cluster.{name}.{num_photos}.memory", (cost.peak_kb * 1.024 / 1000,), "MB"))
    return found


def main() -> None:
    """Measures each length of the list, without Ray, with one worker and with two."""
    parser = make_parser(__doc__, num_runs=1)
    parser.add_argument("--sizes", default="1000,10000,100000", help="photos of each list, by commas")
    parser.add_argument("--ways", default="alone,ray1,ray2", help="without Ray, or with so many workers, by commas")
    arguments = parser.parse_args()
    sizes = [NUM_TO_START, *map(int, arguments.sizes.split(","))]
    ways = {
        way: [] if way == "alone" else ["--engine", "ray", "--workers", way.removeprefix("ray")]
        for way in arguments.ways.split(",")
    }
    costs: dict[str, dict[int, Cost]] = {name: {} for name in ways}
    with tempfile.TemporaryDirectory() as name:
        work_dir = Path(name)
        (trained,) = write_collection(work_dir / "train", "folders", NUM_TRAINED, NUM_CLASSES)
        backbone = write_backbone(work_dir)
        run_dir = work_dir / "run"
        run_tellapart(["train", trained, "--backbone", backbone, "--out", run_dir], work_dir / "cache")
        for num_photos in sizes:
            listed = write_list(work_dir / str(num_photos), num_photos)
            for way, flags in ways.items():
                out = work_dir / f"{way}-{num_photos}"
                asked = (
                    [str(listed), *flags, "--out", str(out)] if flags else [str(listed.parent), "--csv", f"{out}.csv"]
                )
                command = [*tellapart_command(), "predict", str(run_dir), *asked]
                costs[way][num_photos] = run_tree(command, work_dir)
    measurements = []
    for way, found in costs.items():
        measurements += describe(way, found)
    record(measurements, arguments.results)


if __name__ == "__main__":
    main()
