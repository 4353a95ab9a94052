"""Exports beside `predict`: how far a probability differs, what int8 costs, and what an export takes.

Float targets are measured on photos held out of each collection, for every recipe. What int8 loses is measured on the
photos held out of the first collection, and out of fold over all of the others. It runs in parts, of minutes each:
`bench_export.py --collections weather --recipes scratch --targets keras openvino --seeds 0`.
"""

import os
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

import tellapart
from recording import DEFAULT_PHOTOS_DIR, REPOSITORY_DIR, Measurement, make_parser, record
from tellapart.export.target import TARGETS

NUM_FOLDS = 5
# Photos of the proof of a float export; as many are held out of small collections too.
NUM_PROVED = 200
COLLECTIONS = {"cats-dogs": DEFAULT_PHOTOS_DIR, "weather": REPOSITORY_DIR / "../shared/data/weather"}
SETTINGS: dict[str, dict[str, object]] = {
    "transfer": {"backbone": "efficientnet-lite0"},
    "scratch": {"epochs": 1, "image_size": (64, 64)},
    "classic": {"epochs": 1, "image_size": (64, 64)},
}
FLOAT_TARGETS = [name for name, target in TARGETS.items() if target.precision in ("float32", "browser")]
INT8_TARGETS = ["onnx-int8", "litert-int8"]
UNITS = {
    "difference": "probability",
    "seconds": "s",
    "cpu_seconds": "s",
    "seconds_a_photo": "s",
    "lost": "percentage points",
    "size": "ratio",
    "changed": "photos",
    "changed_sure": "photos",
    "logits": "ratio",
}
Found = defaultdict[str, list[float]]


def open_collection(name: str, num_photos: int | None) -> tellapart.PhotoSet:
    photos = tellapart.open_photos(COLLECTIONS[name]).shuffled(0)
    return photos if num_photos is None else photos.take(range(min(num_photos, len(photos))))


def train(photos: tellapart.PhotoSet, out: Path, recipe: str, seed: int) -> tellapart.Model:
    fraction = min(0.5, max(0.2, (NUM_PROVED + 0.5) / len(photos)))
    settings = {"recipe": recipe, "seed": seed, "validation_fraction": fraction, **SETTINGS[recipe]}
    return tellapart.load(tellapart.train(photos, out, **settings).run_dir)  # type: ignore[arg-type]


def cpu_seconds() -> float:
    """Of this process and of those that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def export_float(model: tellapart.Model, target: str, found: Found, name: str) -> None:
    """One export, its largest difference, and what it took."""
    started, before = time.perf_counter(), cpu_seconds()
    proof = model.export(target, accept_difference=True).proof
    found[f"{name}.seconds"].append(time.perf_counter() - started)
    found[f"{name}.cpu_seconds"].append(cpu_seconds() - before)
    found[f"{name}.difference"].append(proof.largest_difference)
    found[f"{name}.seconds_a_photo"].append(proof.seconds_a_photo)
    print(f"{name}: {proof.largest_difference:.3g} on {proof.num_photos} photos {proof.photos}, {proof}", flush=True)


def export_int8(model: tellapart.Model, target: str, proof: tellapart.PhotoSet | None = None) -> dict[str, float]:
    """Accuracy lost in points, size over the size before, changed answers and those of them that were sure."""
    done = model.export(target, proof=proof, accept_difference=True)
    assert model.path is not None
    sizes = [max(path.stat().st_size for path in folder.glob("model.*")) for folder in (done.folder, model.path)]
    print(f"  {target}: {done.proof}", flush=True)
    return {
        "lost": 100 * ((done.proof.accuracy_before or 0) - (done.proof.accuracy or 0)),
        "size": sizes[0] / sizes[1],
        "changed": done.proof.num_changed,
        "changed_sure": done.proof.num_changed_sure,
        "logits": done.proof.logit_difference,
    }


def out_of_fold(photos: tellapart.PhotoSet, target: str, seed: int, folder: Path) -> dict[str, float]:
    """What int8 loses over all photos, each answered by a model that has not seen it."""
    photos, rows = photos.shuffled(seed), list[dict[str, float]]()
    for fold in range(NUM_FOLDS):
        is_tested = np.arange(len(photos)) % NUM_FOLDS == fold
        model = train(photos.take(np.flatnonzero(~is_tested)), folder / str(fold), "transfer", seed)
        rows.append(export_int8(model, target, photos.take(np.flatnonzero(is_tested))))
    pooled = {"lost": np.mean, "size": np.mean, "changed": np.sum, "changed_sure": np.sum, "logits": np.max}
    return {name: float(pool([row[name] for row in rows])) for name, pool in pooled.items()}  # type: ignore[operator]


def main() -> None:
    """Measures the collections, recipes, targets and seeds that are asked for."""
    parser = make_parser(__doc__, num_runs=1)
    parser.add_argument("--collections", nargs="+", choices=list(COLLECTIONS), default=list(COLLECTIONS))
    parser.add_argument("--recipes", nargs="+", choices=list(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--targets", nargs="+", choices=[*FLOAT_TARGETS, *INT8_TARGETS], default=FLOAT_TARGETS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--num-photos", type=int, help="of each collection, to try it")
    arguments = parser.parse_args()
    found: Found = defaultdict(list)
    floats = [name for name in arguments.targets if name in FLOAT_TARGETS]
    in_int8 = [name for name in arguments.targets if name in INT8_TARGETS]
    for collection in arguments.collections:
        photos = open_collection(collection, arguments.num_photos)
        for seed in arguments.seeds:
            for recipe in arguments.recipes if floats else ():
                with tempfile.TemporaryDirectory() as folder:
                    model = train(photos, Path(folder) / "run", recipe, seed)
                    for target in floats:
                        export_float(model, target, found, f"export.{collection}.{recipe}.{target}")
            for target in in_int8:
                with tempfile.TemporaryDirectory() as folder:
                    if collection == next(iter(COLLECTIONS)):
                        kind, row = (
                            "held_out",
                            export_int8(train(photos, Path(folder) / "run", "transfer", seed), target),
                        )
                    else:
                        kind, row = "out_of_fold", out_of_fold(photos, target, seed, Path(folder))
                for name, value in row.items():
                    found[f"export.{collection}.{kind}.{target}.{name}"].append(value)
    measurements = [Measurement(name, tuple(values), UNITS[name.rpartition(".")[2]]) for name, values in found.items()]
    record(measurements, arguments.results)


if __name__ == "__main__":
    main()
