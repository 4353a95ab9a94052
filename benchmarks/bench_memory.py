"""Peak resident memory of `tellapart train`: on 4,000 photos, and on 40,000 which are the 4,000 under ten names.

`VmHWM` of /proc/PID/status is read while the process runs and `ru_maxrss` when it has ended; the larger one counts.
Linux only.
"""

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from recording import Measurement, isolated_environment, link_photos, make_parser, record, tellapart_command

POLL_SECONDS = 0.2


def peak_memory_gb(photos_dir: Path, work_dir: Path, max_seconds: float | None) -> float:
    """Peak resident memory of one epoch, in GB of 10^9 bytes.

    Args:
        photos_dir: what to train on.
        work_dir: for the run and its cache; the run's name is that of `photos_dir`.
        max_seconds: seconds of training after which the process gets a Ctrl-C; `None` lets it finish.

    Raises:
        SystemExit: the training failed.
    """
    run_dir, log_path = work_dir / f"run-{photos_dir.name}", work_dir / f"{photos_dir.name}.log"
    command = [
        *tellapart_command(),
        "train",
        str(photos_dir),
        "--recipe",
        "classic",
        "--epochs",
        "1",
        "--out",
        str(run_dir),
    ]
    with log_path.open("wb") as log:
        environment = isolated_environment(work_dir / "cache")
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        peak_kb, is_stopped, started = 0, False, None
        while True:
            peak_kb = max(peak_kb, _high_water_kb(process.pid))
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            # split.csv is written between decoding and the first step.
            if started is None and (run_dir / "split.csv").exists():
                started = time.monotonic()
            if max_seconds is not None and started is not None and time.monotonic() - started > max_seconds:
                if not is_stopped:
                    process.send_signal(signal.SIGINT)
                is_stopped = True
            time.sleep(POLL_SECONDS)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0 and not is_stopped:
        log_text = log_path.read_text(errors="replace").strip()
        raise SystemExit(f"{' '.join(command)} exited with {process.returncode}: {log_text[-2000:]}")
    return max(peak_kb, usage.ru_maxrss) * 1024 / 1e9


def _high_water_kb(pid: int) -> int:
    """`VmHWM` of a process; 0 when it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def main() -> None:
    """Measures both sizes in turn."""
    parser = make_parser(__doc__, num_runs=1)
    parser.add_argument("--num-photos", type=int, default=4000, help="photos of the small run, half of each class")
    parser.add_argument("--copies", type=int, default=10, help="names for each photo in the large run")
    parser.add_argument("--max-seconds", type=float, help="training time before a Ctrl-C (default: a whole epoch)")
    arguments = parser.parse_args()
    peaks: dict[str, list[float]] = {"small": [], "large": []}
    with tempfile.TemporaryDirectory() as name:
        for number in range(arguments.runs):
            for size, copies in (("small", 1), ("large", arguments.copies)):
                work_dir = Path(name) / str(number)
                photos_dir = work_dir / size
                num_files = link_photos(arguments.photos, arguments.num_photos, photos_dir, copies)
                peaks[size].append(peak_memory_gb(photos_dir, work_dir, arguments.max_seconds))
                print(f"{num_files} photos: {peaks[size][-1]:.2f} GB", flush=True)
    ratios = tuple(large / small for small, large in zip(peaks["small"], peaks["large"], strict=True))
    record(
        [
            Measurement(f"memory.{arguments.num_photos}_photos", tuple(peaks["small"]), "GB"),
            Measurement(f"memory.{arguments.num_photos * arguments.copies}_photos", tuple(peaks["large"]), "GB"),
            Measurement("memory.ratio", ratios, "ratio"),
        ],
        arguments.results,
    )


if __name__ == "__main__":
    main()
