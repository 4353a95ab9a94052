"""Accuracy of the recipe `scratch` with each of its ingredients left out or changed, over seeds.

Every row of `ablation.csv` is one training: validation accuracy with both views of a photo, with one, and with both but
the normalisation as the training left it; and the minutes its process kept a core busy, which is what counts on a
machine that others use too. A seed decides the split as well as everything else. Trainings that the file already has
are not repeated, so several processes may each do a part, one a core.
"""

import argparse
import csv
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest.mock import patch

import numpy as np

from mini_xception import build_mini_xception
from recording import DEFAULT_PHOTOS_DIR, REPOSITORY_DIR, describe_commit, describe_machine
from tellapart.config import ScratchConfig, SourceConfig
from tellapart.networks.backend import Backend, find_backend, keras, reproducible
from tellapart.photos.photoset import PhotoSet
from tellapart.photos.sources import open_photos
from tellapart.runs.held_out import hold_out
from tellapart.runs.network_recipe import prepare_photos
from tellapart.training import hyperparameters
from tellapart.training.fit import FitData, fit_epochs, predict_probabilities
from tellapart.training.plan import Length, Phase, Plan, choose_regime, choose_width, cost_of, make_plan
from tellapart.training.recipes import compile_network, make_learner, open_course

ABLATION_PATH = REPOSITORY_DIR / "benchmarks/ablation.csv"
COLUMNS = (
    "date", "commit", "machine", "photos", "num_train", "num_validation", "learning_rate", "width", "ingredient",
    "views", "seed", "epochs", "image_size", "accuracy", "accuracy_one_view", "accuracy_unsettled", "log_loss",
    "core_minutes",
)  # fmt: skip


@dataclass(frozen=True)
class Setting:
    """One training: what it is made of, how long it is, and which numbers of `hyperparameters` it changes."""

    config: ScratchConfig
    plan: Plan
    hyperparameters: dict[str, object] = field(default_factory=dict)
    is_mini_xception: bool = False

    def at_rate(self, rate: float) -> "Setting":
        """The same with this highest learning rate."""
        return _tuned(LEARNING_RATE=rate / self.plan.rate)(self)

    def at_width(self, width: int) -> "Setting":
        """The same with a network of this width, for as much computing."""
        side = self.plan.image_size
        longer = cost_of(side, self.plan.width) / cost_of(side, width)
        phases = tuple(replace(phase, epochs=phase.epochs * longer) for phase in self.plan.phases)
        return replace(self, plan=replace(self.plan, phases=phases, width=width))


def _tuned(**changes: object) -> Callable[[Setting], Setting]:
    return lambda setting: replace(setting, hyperparameters=setting.hyperparameters | changes)


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
    "no whitening": _tuned(IS_WHITENED=False),
    "no label smoothing": _tuned(LABEL_SMOOTHING=0.0),
    "no clean end": _tuned(CLEAN_END=0.0),
    "weight decay / 4": _tuned(WEIGHT_DECAY=hyperparameters.WEIGHT_DECAY / 4),
    "weight decay x 4": _tuned(WEIGHT_DECAY=hyperparameters.WEIGHT_DECAY * 4),
    "learning rate 0.03": lambda setting: setting.at_rate(0.03),
    "learning rate 0.06": lambda setting: setting.at_rate(0.06),
    "learning rate 0.12": lambda setting: setting.at_rate(0.12),
    "learning rate 0.24": lambda setting: setting.at_rate(0.24),
    "learning rate 0.48": lambda setting: setting.at_rate(0.48),
    "batch of 16": _tuned(BATCH_SIZE=16),
    "batch of 64": _tuned(BATCH_SIZE=64),
    "no mirroring": lambda setting: replace(setting, config=replace(setting.config, flip=False)),
    "no rotation": _cropped(rotation_degrees=0.0),
    "no colour": _cropped(colour=0.0),
    "colour 0.3": _cropped(colour=0.3),
    "no erasing": _cropped(erase=0.0),
    "erasing 0.25": _cropped(erase=0.25),
    "whole photos": _cropped(least_area=0.85),
    "crops from 0.35": _cropped(least_area=0.35),
    "one size": _one_size,
    "width 8": lambda setting: setting.at_width(8),
    "width 12": lambda setting: setting.at_width(12),
    "width 16": lambda setting: setting.at_width(16),
    "width 24": lambda setting: setting.at_width(24),
    "width 32": lambda setting: setting.at_width(32),
    "width 48": lambda setting: setting.at_width(48),
    "mini-Xception": lambda setting: replace(setting, is_mini_xception=True),
}


@dataclass(frozen=True)
class Trained:
    """Validation probabilities of a model: of both views of a photo, of one, of both without settled normalisation."""

    both_views: np.ndarray
    one_view: np.ndarray
    unsettled: np.ndarray
    core_minutes: float


def measure(arguments: argparse.Namespace, photos: PhotoSet, ingredient: str, seed: int) -> dict[str, object]:
    """The row of one training."""
    length, width = length_of(arguments, len(photos)), width_of(arguments, len(photos))
    regime = choose_regime(length, width)
    side = side_of(arguments, len(photos))
    size = (side, side)
    config = ScratchConfig(seed=seed, flip=True, validation_fraction=arguments.validation, image_size=size)
    images, checkup = prepare_photos(photos, SourceConfig(cache_dir=arguments.cache_dir), config)
    split = hold_out(checkup.photos, checkup.group_numbers, config.validation_fraction, config.seed)
    data = FitData(images, checkup.photos.labels, split)
    base = Setting(config, make_plan(regime, size, length, width)).at_rate(rate_of(arguments, len(photos)))
    setting = INGREDIENTS[ingredient](base)
    rows = data.split.validation
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, arguments.most_validated).round().astype(int))]
    trained, labels = train(setting, data, rows), data.labels[rows]

    def accuracy(probabilities: np.ndarray) -> str:
        return f"{(probabilities.argmax(axis=1) == labels).mean():.4f}"

    return {
        "photos": arguments.photos.parent.name, "num_train": len(data.split.train), "num_validation": len(rows),
        "learning_rate": f"{rate_of(arguments, len(photos)):g}", "width": width,
        "ingredient": ingredient, "views": round(arguments.views), "seed": seed,
        "epochs": f"{setting.plan.num_epochs:.1f}", "image_size": side,
        "accuracy": accuracy(trained.both_views), "accuracy_one_view": accuracy(trained.one_view),
        "accuracy_unsettled": accuracy(trained.unsettled),
        "log_loss": f"{-np.log(trained.both_views[np.arange(len(labels)), labels]).mean():.4f}",
        "core_minutes": f"{trained.core_minutes:.1f}",
    }  # fmt: skip


def length_of(arguments: argparse.Namespace, num_photos: int) -> Length:
    """How long every training is."""
    return Length(views=arguments.views / _num_train(arguments, num_photos))


def _num_train(arguments: argparse.Namespace, num_photos: int) -> int:
    return round(num_photos * (1 - arguments.validation))


def rate_of(arguments: argparse.Namespace, num_photos: int) -> float:
    """The highest learning rate of every training that does not change it."""
    regime = choose_regime(length_of(arguments, num_photos), width_of(arguments, num_photos))
    usual: float = hyperparameters.LEARNING_RATE * regime.rate
    return arguments.learning_rate or usual


def width_of(arguments: argparse.Namespace, num_photos: int) -> int:
    """The width of the network of every training that does not change it."""
    width: int = arguments.width or choose_width(length_of(arguments, num_photos), _num_train(arguments, num_photos))
    return width


def side_of(arguments: argparse.Namespace, num_photos: int) -> int:
    """Height and width in pixels that every training predicts at."""
    regime = choose_regime(length_of(arguments, num_photos), width_of(arguments, num_photos))
    side: int = arguments.image_size or regime.side
    return side


def train(setting: Setting, data: FitData, rows: np.ndarray) -> Trained:
    """What the model of this setting says of the rows."""
    with patch.multiple(hyperparameters, **setting.hyperparameters), reproducible(setting.config.seed):
        return _train(setting, data, rows)


def _train(setting: Setting, data: FitData, rows: np.ndarray) -> Trained:
    backend = find_backend()
    model = make_model(setting, data, backend)
    started = time.process_time()
    with open_course(model, data, setting.config, backend, setting.plan) as course:
        recalibrate = course.recalibrate_normalization
        course.is_validated = lambda before, progress: False
        course.recalibrate_normalization = lambda: None
        for record in fit_epochs(data, course):
            print(
                f"  epoch {record.epoch}  loss {record.train_loss:.3f}  {record.images_per_second:.0f} photos/s",
                flush=True,
            )
        core_minutes = (time.process_time() - started) / 60
        unsettled = predict_probabilities(model, data.images, rows, mirrored=True)
        recalibrate()
        one_view, both_views = (
            predict_probabilities(model, data.images, rows, mirrored=mirrored) for mirrored in (False, True)
        )
    keras.utils.clear_session()
    return Trained(both_views, one_view, unsettled, core_minutes)


def make_model(setting: Setting, data: FitData, backend: Backend) -> keras.Model:
    """The network that this setting trains, compiled."""
    if not setting.is_mini_xception:
        return make_learner(setting.config, data, backend, setting.plan)
    num_classes, shape = len(data.images.photos.class_names), (None, None, setting.config.channels)
    model = build_mini_xception(shape, num_classes, backend.data_format)
    compile_network(model, setting.config)
    return model


def read_rows(path: Path) -> list[dict[str, str]]:
    """The trainings that are there."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def print_table(rows: list[dict[str, str]]) -> None:
    """A Markdown table of each kind of training: means, spreads, and differences to the whole recipe, seed by seed."""
    for place in sorted({_place(row) for row in rows}):
        here = {(row["ingredient"], row["seed"]): row for row in rows if _place(row) == place}
        print(f"\n{' '.join(place)}\n\n| | accuracy | against all, seed by seed | log-loss | core-minutes |")
        print("|---|---|---|---|---|")
        for ingredient in INGREDIENTS:
            runs = {seed: row for (name, seed), row in here.items() if name == ingredient}
            if not runs:
                continue
            gaps = [
                float(row["accuracy"]) - float(here["all", seed]["accuracy"])
                for seed, row in runs.items()
                if ("all", seed) in here and ingredient != "all"
            ]
            values, losses, minutes = (
                [float(row[column]) for row in runs.values()] for column in ("accuracy", "log_loss", "core_minutes")
            )
            against = f"{np.mean(gaps):+.3f} ({min(gaps):+.3f} to {max(gaps):+.3f})" if gaps else ""
            print(
                f"| {ingredient} | {np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f}), n={len(values)} |"
                f" {against} | {np.mean(losses):.3f} | {np.mean(minutes):.1f} |"
            )


def _place(row: dict[str, str]) -> tuple[str, ...]:
    size = str(round(int(row["num_train"]), -1))
    return row["photos"], size, *(row[name] for name in ("views", "learning_rate", "width", "image_size"))


def main() -> None:
    """Trains with every ingredient and seed that is asked for and not there yet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--photos", type=Path, default=DEFAULT_PHOTOS_DIR)
    parser.add_argument("--ingredients", nargs="+", choices=INGREDIENTS, default=list(INGREDIENTS), metavar="NAME")
    parser.add_argument("--views", type=float, default=24_000, help="computing, in photos of 96x96 pixels")
    parser.add_argument("--learning-rate", type=float, help="the highest, of all that do not change it")
    parser.add_argument("--width", type=int, help="channels of the first stage, of all that do not change it")
    parser.add_argument("--image-size", type=int, help="height and width in pixels to predict at")
    parser.add_argument("--validation", type=float, default=0.8, help="share of each class that is not trained on")
    parser.add_argument("--most-validated", type=int, default=1600, help="photos of that share to measure on")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cache-dir")
    parser.add_argument("--results", type=Path, default=ABLATION_PATH)
    arguments = parser.parse_args()
    photos = open_photos(arguments.photos)
    rate, width = f"{rate_of(arguments, len(photos)):g}", str(width_of(arguments, len(photos)))
    side = str(side_of(arguments, len(photos)))
    for ingredient in arguments.ingredients:
        for seed in arguments.seeds:
            key = (arguments.photos.parent.name, str(round(arguments.views)), rate, width, side, ingredient, str(seed))
            names = ("photos", "views", "learning_rate", "width", "image_size", "ingredient", "seed")
            if any(tuple(row[name] for name in names) == key for row in read_rows(arguments.results)):
                continue
            print(f"{ingredient}, seed {seed}", flush=True)
            found = measure(arguments, photos, ingredient, seed)
            stamp = {"date": time.strftime("%Y-%m-%d"), "commit": describe_commit(), "machine": describe_machine()}
            is_new = not arguments.results.exists()
            with arguments.results.open("a", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
                if is_new:
                    writer.writeheader()
                writer.writerow(stamp | found)
    print_table(read_rows(arguments.results))


if __name__ == "__main__":
    main()
