"""What every benchmark shares: its flags, folders of photos to read, and the line in `results.csv`.

Speeds on one machine drift by tens of percent within an hour, so a benchmark measures both sides of a ratio in turn, in
one run, and records the median of the ratios with their spread.
"""

import argparse
import csv
import importlib.metadata
import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

REPOSITORY_DIR = Path(__file__).resolve().parent.parent
DEFAULT_PHOTOS_DIR = REPOSITORY_DIR / "../shared/data/cats-dogs/train"
RESULTS_PATH = REPOSITORY_DIR / "benchmarks/results.csv"

COLUMNS = ("date", "commit", "machine", "versions", "benchmark", "n", "median", "spread", "unit")
_PACKAGES = ("numpy", "opencv-python-headless", "pillow", "onnxruntime", "keras", "torch")


@dataclass(frozen=True)
class Measurement:
    """What one benchmark found.

    Attributes:
        benchmark: what was measured, such as `reading.phone.ratio`.
        values: one a repetition, at least one.
        unit: of the values; `ratio` for a quotient of two speeds.
    """

    benchmark: str
    values: tuple[float, ...]
    unit: str

    @property
    def median(self) -> float:
        """The middle value."""
        return statistics.median(self.values)

    @property
    def spread(self) -> float:
        """The largest value minus the smallest."""
        return max(self.values) - min(self.values)

    def __str__(self) -> str:
        """A line for the terminal."""
        return f"{self.benchmark}: median {self.median:.4g} {self.unit}, spread {self.spread:.3g}, n={len(self.values)}"


def make_parser(description: str | None, num_runs: int) -> argparse.ArgumentParser:
    """A parser with the flags all benchmarks have: `--photos`, `--runs` and `--results`."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--photos", type=Path, default=DEFAULT_PHOTOS_DIR, help="folder of cat.0.jpg, dog.1.jpg, ...")
    parser.add_argument("--runs", type=int, default=num_runs, help=f"repetitions (default {num_runs})")
    parser.add_argument("--results", type=Path, default=RESULTS_PATH, help="CSV to append to")
    return parser


def record(measurements: Sequence[Measurement], results_path: Path) -> None:
    """Prints the measurements and appends one line each to the CSV, with its header when the file is new."""
    is_new = not results_path.exists() or results_path.stat().st_size == 0
    shared = (datetime.now(UTC).date().isoformat(), describe_commit(), describe_machine(), describe_versions())
    with results_path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if is_new:
            writer.writerow(COLUMNS)
        for item in measurements:
            print(item)
            numbers = (len(item.values), f"{item.median:.5g}", f"{item.spread:.3g}")
            writer.writerow((*shared, item.benchmark, *numbers, item.unit))


def write_simulation(
    description: str | None,
    table_name: str,
    header: Sequence[str],
    rows: Callable[[int], Iterable[Sequence[object]]],
    num_draws: int,
) -> None:
    """Writes a table of `benchmarks/tables`: the rows of so many collections drawn of each kind, by the command line.

    Args:
        description: the docstring of the script; its first line is the help.
        table_name: file name in `benchmarks/tables`.
        header: names of the columns.
        rows: of a number of drawn collections of each kind.
        num_draws: the usual number.
    """
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--draws", type=int, default=num_draws, help=f"collections of each kind (default {num_draws})")
    parser.add_argument("--table", type=Path, default=REPOSITORY_DIR / "benchmarks/tables" / table_name)
    arguments = parser.parse_args()
    print(describe_machine())
    with arguments.table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows(arguments.draws))


def describe_commit() -> str:
    """The short commit of the code, with `+` when files differ from it; `none` outside of git."""
    commit = _git("rev-parse", "--short", "HEAD")
    changes = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!benchmarks/results.csv")
    return commit + ("+" if changes else "") if commit else "none"


def describe_machine() -> str:
    """Processor and cores, such as `2 x AMD EPYC 7763`."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    name = platform.processor() or platform.machine()
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.exists():
        names = [line.partition(":")[2].strip() for line in cpu_info.read_text().splitlines() if "model name" in line]
        name = names[0] if names else name
    return f"{cores} x {name}"


def describe_versions() -> str:
    """Python and the packages that do the work, as far as they are installed."""
    versions = [f"python {platform.python_version()}"]
    for package in _PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return ", ".join(versions)


def tellapart_command() -> list[str]:
    """How to start `tellapart` of the environment that runs the benchmark."""
    script = Path(sys.executable).with_name("tellapart")
    if script.exists():
        return [str(script)]
    return [sys.executable, "-c", "from tellapart.cli.app import main; main()"]


def run_tellapart(arguments: Sequence[str | Path], cache_dir: Path) -> None:
    """Runs one command to its end, with a cache of its own so that nothing an earlier run left is found.

    Raises:
        SystemExit: the command failed; carries what it said.
    """
    command = [*tellapart_command(), *map(str, arguments)]
    done = subprocess.run(command, env=isolated_environment(cache_dir), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} exited with {done.returncode}: {done.stderr.strip()}")


def isolated_environment(cache_dir: Path) -> dict[str, str]:
    """The environment of this process with `cache_dir` as the user's cache."""
    return {**os.environ, "XDG_CACHE_HOME": str(cache_dir)}


def link_photos(photos_dir: Path, num_photos: int, out_dir: Path, num_copies: int = 1) -> int:
    """Fills a new folder with photos, half of them of each class, each `num_copies` times; the number of files in it.

    The files are hard links where the disk allows them, else copies. The copies differ in name only: `cat.7.jpg`
    becomes `cat.7000000.jpg`, `cat.7000001.jpg` and so on.

    Raises:
        SystemExit: the folder does not hold that many photos of each class.
    """
    out_dir.mkdir(parents=True)
    num_files = 0
    for class_name in ("cat", "dog"):
        paths = sorted(photos_dir.glob(f"{class_name}.*.jpg"), key=lambda path: int(path.name.split(".")[1]))
        if len(paths) < num_photos // 2:
            raise SystemExit(f"{photos_dir} has {len(paths)} photos {class_name}.*.jpg; {num_photos // 2} are needed.")
        for path in paths[: num_photos // 2]:
            number = int(path.name.split(".")[1])
            for copy in range(num_copies):
                _link_or_copy(path, out_dir / f"{class_name}.{number * 1_000_000 + copy}.jpg")
                num_files += 1
    return num_files


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _git(*arguments: str) -> str:
    """What git prints, or nothing where there is no git or no repository."""
    try:
        done = subprocess.run(["git", *arguments], cwd=REPOSITORY_DIR, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
