"""Exports beside `predict`: the largest difference of a probability, and what int8 costs in accuracy and saves in size.

Float targets are measured on photos held out of two collections, one with two classes and one with four, for every
recipe. What int8 loses is measured on the photos held out of the first, and out of fold over all of the second.
"""

import tempfile
from pathlib import Path

import numpy as np

import tellapart
from recording import REPOSITORY_DIR, Measurement, make_parser, record
from tellapart.export.target import TARGETS

NUM_FOLDS = 5
SETTINGS: dict[str, dict[str, object]] = {
    "transfer": {"backbone": "efficientnet-lite0"},
    "scratch": {"epochs": 1, "image_size": (64, 64)},
    "classic": {"epochs": 1, "image_size": (64, 64)},
}
POINTS, RATIO, PROBABILITY = "percentage points", "ratio", "probability"


def train(photos: tellapart.PhotoSet | Path, out: Path, recipe: str, seed: int) -> tellapart.Model:
    settings = {"recipe": recipe, "seed": seed, **SETTINGS[recipe]}
    return tellapart.load(tellapart.train(photos, out, **settings).run_dir)  # type: ignore[arg-type]


def differences(photos: Path, recipe: str, targets: list[str], folder: Path) -> list[Measurement]:
    """The largest difference of each target on the photos that one run held out."""
    model, found = train(photos, folder / recipe, recipe, 0), []
    for target in targets:
        proof = model.export(target, accept_difference=True).proof
        name = f"export.{photos.name}.{recipe}.{target}.difference"
        found.append(Measurement(name, (proof.largest_difference,), PROBABILITY))
        print(found[-1], f"({proof.num_photos} photos {proof.photos}, {proof.num_changed} changed)", flush=True)
    return found


def export_int8(model: tellapart.Model, proof: tellapart.PhotoSet | None = None) -> tuple[float, float, float, float]:
    """Accuracy lost in points, size over the size before, changed answers and those of them that were sure."""
    done = model.export("onnx-int8", proof=proof, accept_difference=True)
    sizes = [(folder / "model.onnx").stat().st_size for folder in (done.folder, model.path) if folder is not None]
    lost = 100 * ((done.proof.accuracy_before or 0) - (done.proof.accuracy or 0))
    print(f"  int8: {lost:+.2f} points, {done.proof}", flush=True)
    return lost, sizes[0] / sizes[1], done.proof.num_changed, done.proof.num_changed_sure


def describe_int8(name: str, rows: list[tuple[float, float, float, float]]) -> list[Measurement]:
    columns = [tuple(map(float, column)) for column in zip(*rows, strict=True)]
    kinds = (("lost", POINTS), ("size", RATIO), ("changed", "photos"), ("changed_sure", "photos"))
    return [
        Measurement(f"export.{name}.int8.{kind}", values, unit)
        for (kind, unit), values in zip(kinds, columns, strict=True)
    ]


def out_of_fold(photos_dir: Path, seed: int, folder: Path) -> tuple[float, float, float, float]:
    """What int8 loses over all photos, each answered by a model that has not seen it."""
    photos = tellapart.open_photos(photos_dir).shuffled(seed)
    rows = []
    for fold in range(NUM_FOLDS):
        is_tested = np.arange(len(photos)) % NUM_FOLDS == fold
        model = train(photos.take(np.flatnonzero(~is_tested)), folder / f"{seed}-{fold}", "transfer", seed)
        rows.append(export_int8(model, photos.take(np.flatnonzero(is_tested))))
    lost, sizes, changed, sure = zip(*rows, strict=True)
    return float(np.mean(lost)), float(np.mean(sizes)), float(np.sum(changed)), float(np.sum(sure))


def main() -> None:
    """Measures both collections with every recipe, and int8 with every seed."""
    parser = make_parser(__doc__, num_runs=3)
    parser.add_argument("--folded", type=Path, default=REPOSITORY_DIR / "../shared/data/weather")
    parser.add_argument("--recipes", nargs="*", default=list(SETTINGS))
    parser.add_argument(
        "--targets", nargs="+", default=[name for name, target in TARGETS.items() if target.precision == "float32"]
    )
    arguments = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as name:
        for number, photos in enumerate((arguments.photos, arguments.folded)):
            for recipe in arguments.recipes:
                found += differences(photos, recipe, arguments.targets, Path(name) / str(number))
        seeds = range(arguments.runs)
        first = [export_int8(train(arguments.photos, Path(name) / f"int8-{seed}", "transfer", seed)) for seed in seeds]
        found += describe_int8(arguments.photos.parent.name, first)
        folded = [out_of_fold(arguments.folded, seed, Path(name) / "folds") for seed in seeds]
        found += describe_int8(f"{arguments.folded.name}.out_of_fold", folded)
    record(found, arguments.results)


if __name__ == "__main__":
    main()
