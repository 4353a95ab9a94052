"""Accuracy of the recipe `scratch` with each of its ingredients left out or changed, over seeds.

Every row of `ablation.csv` is one training: validation accuracy with and without the mirrored view, and its minutes.
A seed decides the split as well as everything else. Trainings that the file already has are not repeated.
"""

import argparse
import csv
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from recording import DEFAULT_PHOTOS_DIR, REPOSITORY_DIR, describe_commit, describe_machine
from tellapart.config import ScratchConfig, SourceConfig
from tellapart.learn.backend import keras, start_backend
from tellapart.learn.fit import FitData, fit_epochs, predict_probabilities
from tellapart.learn.plan import Length, Phase, Plan, choose_regime, make_plan
from tellapart.learn.recipes import make_learner, open_course
from tellapart.learn.tuning import USUAL, Tuning
from tellapart.photos.sources import open_photos
from tellapart.workflow.network import prepare_photos

ABLATION_PATH = REPOSITORY_DIR / "benchmarks/ablation.csv"
COLUMNS = (
    "date", "commit", "machine", "photos", "ingredient", "views", "seed", "epochs", "image_size", "accuracy",
    "accuracy_one_view", "log_loss", "minutes",
)  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """One training: what it is made of, and how long it is."""

    config: ScratchConfig
    tuning: Tuning
    plan: Plan


def _tuned(**changes: object) -> Callable[[Setting], Setting]:
    return lambda setting: replace(setting, tuning=replace(setting.tuning, **changes))


def _cropped(**changes: object) -> Callable[[Setting], Setting]:
    return lambda setting: replace(setting, plan=setting.plan.with_crops(**changes))


def _one_size(setting: Setting) -> Setting:
    """All views at the last size, for as much computing."""
    plan = setting.plan
    last = plan.phases[-1]
    share = last.end - (plan.phases[-2].end if len(plan.phases) > 1 else 0.0)
    return replace(setting, plan=replace(plan, phases=(Phase(last.image_size, last.epochs / share, 1.0, last.crops),)))


INGREDIENTS: dict[str, Callable[[Setting], Setting]] = {
    "all": lambda setting: setting,
    "no whitening": _tuned(is_whitened=False),
    "no averaging": _tuned(reach=0.0),
    "no label smoothing": _tuned(label_smoothing=0.0),
    "no clean end": _tuned(clean_end=0.0),
    "weight decay / 4": lambda setting: _tuned(weight_decay=setting.tuning.weight_decay / 4)(setting),
    "weight decay x 4": lambda setting: _tuned(weight_decay=setting.tuning.weight_decay * 4)(setting),
    "learning rate / 2": lambda setting: _tuned(learning_rate=setting.tuning.learning_rate / 2)(setting),
    "learning rate x 2": lambda setting: _tuned(learning_rate=setting.tuning.learning_rate * 2)(setting),
    "batch of 32": _tuned(batch_size=32),
    "no mirroring": lambda setting: replace(setting, config=replace(setting.config, flip=False)),
    "no rotation": _cropped(rotation_degrees=0.0),
    "no colour": _cropped(colour=0.0),
    "colour 0.3": _cropped(colour=0.3),
    "no erasing": _cropped(erase=0.0),
    "erasing 0.25": _cropped(erase=0.25),
    "no mixing": _cropped(mix=0.0),
    "mixing 0.5": _cropped(mix=0.5),
    "whole photos": _cropped(least_area=0.85),
    "crops from 0.35": _cropped(least_area=0.35),
    "one size": _one_size,
}


def measure(photos_dir: Path, ingredient: str, num_views: float, seed: int, cache_dir: str | None) -> dict[str, object]:
    """The row of one training."""
    photos = open_photos(photos_dir)
    config = ScratchConfig(seed=seed, flip=True)
    length = Length(views=num_views / (len(photos) * (1 - config.validation_fraction)))
    regime = choose_regime(length)
    config = replace(config, image_size=(regime.side, regime.side))
    data = prepare_photos(photos, SourceConfig(cache_dir=cache_dir), config)
    setting = INGREDIENTS[ingredient](Setting(config, USUAL, make_plan(regime, config.image_size, length)))
    one_view, both_views, seconds = train(setting, data)
    labels = data.labels[data.split.validation]
    return {
        "photos": photos_dir.parent.name, "ingredient": ingredient, "views": round(num_views), "seed": seed,
        "epochs": f"{setting.plan.num_epochs:.1f}", "image_size": regime.side,
        "accuracy": f"{(both_views.argmax(axis=1) == labels).mean():.4f}",
        "accuracy_one_view": f"{(one_view.argmax(axis=1) == labels).mean():.4f}",
        "log_loss": f"{-np.log(both_views[np.arange(len(labels)), labels]).mean():.4f}",
        "minutes": f"{seconds / 60:.1f}",
    }  # fmt: skip


def train(setting: Setting, data: FitData) -> tuple[np.ndarray, np.ndarray, float]:
    """Validation probabilities of one view and of both, and seconds of the epochs."""
    backend = start_backend(setting.config.seed)
    model = make_learner(setting.config, data, backend, setting.tuning)
    started = time.perf_counter()
    with open_course(model, data, setting.config, backend, setting.plan, setting.tuning) as course:
        course.is_validated = lambda before, progress: False
        for record in fit_epochs(data, course):
            print(f"  epoch {record.epoch}  loss {record.train_loss:.3f}  {record.images_per_second:.0f} photos/s")
        seconds = time.perf_counter() - started
        with course.settled(is_final=True):
            rows = data.split.validation
            views = [predict_probabilities(model, data.images, rows, mirrored=both) for both in (False, True)]
    keras.utils.clear_session()
    return views[0], views[1], seconds


def read_rows(path: Path) -> list[dict[str, str]]:
    """The trainings that are there."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def print_table(rows: list[dict[str, str]]) -> None:
    """Mean, lowest and highest of each ingredient."""
    for key in sorted({(row["photos"], row["views"], row["ingredient"]) for row in rows}):
        values = [float(r["accuracy"]) for r in rows if (r["photos"], r["views"], r["ingredient"]) == key]
        print(f"{' '.join(key)}: {np.mean(values):.4f}, {min(values):.4f} to {max(values):.4f}, n={len(values)}")


def main() -> None:
    """Trains with every ingredient and seed that is asked for and not there yet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--photos", type=Path, default=DEFAULT_PHOTOS_DIR)
    parser.add_argument("--ingredients", nargs="+", choices=INGREDIENTS, default=list(INGREDIENTS), metavar="NAME")
    parser.add_argument("--views", type=float, default=40_000, help="computing, in photos of 96x96 pixels")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cache-dir")
    parser.add_argument("--results", type=Path, default=ABLATION_PATH)
    arguments = parser.parse_args()
    place = arguments.photos.parent.name
    for seed in arguments.seeds:
        for ingredient in arguments.ingredients:
            key = (place, ingredient, str(round(arguments.views)), str(seed))
            rows = read_rows(arguments.results)
            if any((r["photos"], r["ingredient"], r["views"], r["seed"]) == key for r in rows):
                continue
            print(f"{ingredient}, seed {seed}")
            found = measure(arguments.photos, ingredient, arguments.views, seed, arguments.cache_dir)
            stamp = {"date": time.strftime("%Y-%m-%d"), "commit": describe_commit(), "machine": describe_machine()}
            with arguments.results.open("a", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
                if not rows:
                    writer.writeheader()
                writer.writerow(stamp | found)
    print_table(read_rows(arguments.results))


if __name__ == "__main__":
    main()
