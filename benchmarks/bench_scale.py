"""What a photo costs in time and memory as collections grow, with `show`, `check`, `train` and `predict`.

Photos of 48x48 pixels are drawn, no two alike, and the backbone is an ONNX file of one small convolution with 1,280
numbers a photo, as many as the usual one gives: what is measured is what the tool itself needs a photo. Every command
runs in a process of its own with an empty cache. Time is processor seconds of that process, which other work on the
machine hardly changes; memory is its high-water mark. Linux only.
"""

import csv
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnx

from recording import Measurement, isolated_environment, make_parser, record, tellapart_command

VERBS = ("show", "check", "train", "predict")
LAYOUTS = ("folders", "flat", "csv", "zip")
POLL_SECONDS = 0.1
SIDE = 48
NUM_FEATURES = 1280
CHECK = """
import sys, tellapart
source, backbone, *labels = sys.argv[1:]
tellapart.check(source, backbone=backbone, labels_csv=labels[0] if labels else None)
"""


@dataclass(frozen=True)
class Cost:
    """What a command took.

    Attributes:
        cpu_seconds: of user and system.
        wall_seconds: from start to end.
        peak_kb: high-water mark of resident memory, in units of 1,024 bytes.
        output_kb: what it printed, in units of 1,000 bytes.
    """

    cpu_seconds: float
    wall_seconds: float
    peak_kb: int
    output_kb: float


def draw_photos(num_photos: int, num_classes: int) -> Iterator[tuple[str, str, bytes]]:
    """Class, name and JPEG of photos that do not exist: a texture of its own under the colour of its class."""
    generator = np.random.default_rng(0)
    tints = generator.uniform(60, 190, (num_classes, 3))
    for row in range(num_photos):
        label = row % num_classes
        small = tints[label] + generator.normal(0, 40, (9, 9, 3))
        image = cv2.resize(np.clip(small, 0, 255).astype(np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
        yield f"class{label:04d}", f"photo{row:07d}.jpg", data


def write_collection(target_dir: Path, layout: str, num_photos: int, num_classes: int) -> list[str]:
    """Writes drawn photos as a layout has it; what names them on the command line."""
    target_dir.mkdir(parents=True)
    photos = draw_photos(num_photos, num_classes)
    if layout == "zip":
        with zipfile.ZipFile(target_dir / "photos.zip", "w") as archive:
            for class_name, name, data in photos:
                archive.writestr(f"{class_name}/{name}", data)
        return [str(target_dir / "photos.zip")]
    rows = [("path", "label")]
    for class_name, name, data in photos:
        relative = {"folders": f"{class_name}/{name}", "flat": f"{class_name}.{name}", "csv": f"images/{name}"}[layout]
        path = target_dir / relative
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        rows.append((relative, class_name))
    if layout != "csv":
        return [str(target_dir)]
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    (target_dir / "labels.csv").write_text(text.getvalue())
    return [str(target_dir), "--labels-csv", str(target_dir / "labels.csv")]


def write_backbone(folder: Path) -> Path:
    """An ONNX file of a convolution over 32x32 pixels: 1,280 features on 2x2 places; its preprocessing beside it."""
    kernel = np.random.default_rng(0).normal(0, 0.2, (NUM_FEATURES, 3, 4, 4)).astype(np.float32)
    nodes = [
        onnx.helper.make_node("AveragePool", ["pixels"], ["few"], kernel_shape=[4, 4], strides=[4, 4]),
        onnx.helper.make_node("Conv", ["few", "kernel"], ["sums"], strides=[4, 4]),
        onnx.helper.make_node("Relu", ["sums"], ["features"]),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "small",
        [onnx.helper.make_tensor_value_info("pixels", onnx.TensorProto.FLOAT, ["batch", 3, 32, 32])],
        [onnx.helper.make_tensor_value_info("features", onnx.TensorProto.FLOAT, ["batch", NUM_FEATURES, 2, 2])],
        [onnx.numpy_helper.from_array(kernel, "kernel")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    (folder / "small.onnx").write_bytes(model.SerializeToString())
    (folder / "small.json").write_text('{"image_size": [32, 32], "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}')
    return folder / "small.onnx"


def run_command(command: list[str], work_dir: Path) -> Cost:
    """Runs a command to its end, with a cache of its own.

    Raises:
        SystemExit: the command failed; carries what it said.
    """
    cache_dir = work_dir / "cache"
    shutil.rmtree(cache_dir, ignore_errors=True)
    log_path = work_dir / "log.txt"
    started = time.perf_counter()
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=isolated_environment(cache_dir))
        peak_kb = 0
        while True:
            peak_kb = max(peak_kb, high_water_kb(process.pid))
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            time.sleep(POLL_SECONDS)
    wall_seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} exited with {process.returncode}: {log_path.read_text()[-2000:]}")
    return Cost(usage.ru_utime + usage.ru_stime, wall_seconds, peak_kb, log_path.stat().st_size / 1000)


def high_water_kb(pid: int) -> int:
    """`VmHWM` of a process; 0 when it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def measure_verbs(verbs: list[str], named: list[str], run_dir: Path, work_dir: Path) -> dict[str, Cost]:
    """The cost of each verb for one collection; `train` writes `run_dir`, which `predict` reads."""
    backbone = str(write_backbone(work_dir))
    tool = tellapart_command()
    commands = {
        "show": [*tool, "show", *named],
        # The command has no backbone of one's own, the function has.
        "check": [sys.executable, "-c", CHECK, named[0], backbone, *named[2:]],
        "train": [*tool, "train", *named, "--recipe", "transfer", "--backbone", backbone, "--out", str(run_dir)],
        "predict": [*tool, "predict", str(run_dir), named[0], "--csv", str(work_dir / "predictions.csv")],
    }
    costs = {}
    for verb in verbs:
        costs[verb] = run_command(commands[verb], work_dir)
        print(f"{verb} {' '.join(named)}: {costs[verb]}", flush=True)
    return costs


def describe(prefix: str, num_photos: int, costs: dict[str, Cost]) -> list[Measurement]:
    """Time and memory of each verb for a collection of this many photos."""
    found = []
    for verb, cost in costs.items():
        name = f"scale.{verb}.{prefix}.{num_photos}"
        found += [
            Measurement(f"{name}.cpu", (1000 * cost.cpu_seconds / num_photos,), "ms/photo"),
            Measurement(f"{name}.memory", (cost.peak_kb * 1.024 / 1000,), "MB"),
        ]
    return found


def compare_sizes(prefix: str, costs: dict[int, dict[str, Cost]]) -> list[Measurement]:
    """How time a photo and memory grow from the second largest size to the largest."""
    if len(costs) < 2:
        return []
    small, large = sorted(costs)[-2:]
    found = []
    for verb in costs[large]:
        less, more = costs[small][verb], costs[large][verb]
        growth = (more.cpu_seconds / large) / (less.cpu_seconds / small)
        memory = (more.peak_kb - less.peak_kb) * 1.024 / (large - small)
        found += [
            Measurement(f"scale.{verb}.{prefix}.{small}_to_{large}.cpu", (growth,), "ratio"),
            Measurement(f"scale.{verb}.{prefix}.{small}_to_{large}.memory", (memory,), "kB/photo"),
        ]
    return found


def measure_classes(num_classes: int, verbs: list[str], work_dir: Path) -> list[Measurement]:
    """Many classes of 3 photos each: costs, what is printed, and the files that describe the run."""
    named = write_collection(work_dir / "classes", "folders", 3 * num_classes, num_classes)
    run_dir = work_dir / "run-classes"
    costs = measure_verbs(verbs, named, run_dir, work_dir)
    found = describe("classes", 3 * num_classes, costs)
    found += [
        Measurement(f"scale.{verb}.classes.{3 * num_classes}.output", (cost.output_kb,), "kB")
        for verb, cost in costs.items()
    ]
    sizes = {path.name: path.stat().st_size / 1e6 for path in sorted(run_dir.glob("*")) if path.is_file()}
    found += [
        Measurement(f"scale.train.classes.{3 * num_classes}.{name}", (sizes[name],), "MB")
        for name in ("report.html", "metrics.json")
        if name in sizes
    ]
    shutil.rmtree(work_dir / "classes")
    return found


def main() -> None:
    """Measures each size of each layout in turn, then many classes."""
    parser = make_parser(__doc__, num_runs=1)
    parser.add_argument(
        "--sizes", default="1000,10000,100000", help="photos of each collection, by commas; empty for none"
    )
    parser.add_argument("--verbs", default=",".join(VERBS), help="commands, by commas")
    parser.add_argument("--layouts", default="folders", help=f"of {', '.join(LAYOUTS)}, by commas")
    parser.add_argument("--num-classes", type=int, default=10, help="classes of these collections")
    parser.add_argument("--many-classes", type=int, default=1000, help="classes of 3 photos each; 0 for none")
    arguments = parser.parse_args()
    verbs, sizes = arguments.verbs.split(","), [int(size) for size in arguments.sizes.split(",") if size]
    with tempfile.TemporaryDirectory() as name:
        work_dir = Path(name)
        for layout in arguments.layouts.split(",") if sizes else ():
            costs, measurements = {}, list[Measurement]()
            for num_photos in sizes:
                target_dir = work_dir / f"{layout}-{num_photos}"
                named = write_collection(target_dir, layout, num_photos, arguments.num_classes)
                costs[num_photos] = measure_verbs(verbs, named, work_dir / f"run-{layout}-{num_photos}", work_dir)
                measurements += describe(layout, num_photos, costs[num_photos])
                shutil.rmtree(target_dir)
            record([*measurements, *compare_sizes(layout, costs)], arguments.results)
        if arguments.many_classes:
            record(measure_classes(arguments.many_classes, verbs, work_dir), arguments.results)


if __name__ == "__main__":
    main()
