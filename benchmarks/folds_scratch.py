"""Accuracy of the recipe `scratch` by cross-validation: each photo is judged by a network that has not seen it.

For collections too small for a hold-out to say much. Photos that belong together stay in one fold. A row a fold in the
results; the accuracy of all of them is printed at the end.
"""

import argparse
import csv
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from ablate_scratch import Setting, train
from recording import REPOSITORY_DIR, describe_commit, describe_machine
from tellapart import open_photos
from tellapart.config import ScratchConfig, SourceConfig
from tellapart.measure.intervals import wilson_interval
from tellapart.measure.splits import Split, fold_numbers
from tellapart.runs.held_out import hold_out
from tellapart.runs.network_recipe import prepare_photos
from tellapart.training.fit import FitData
from tellapart.training.plan import Length, choose_regime, choose_width, make_plan, usual_length

COLUMNS = (
    "date", "commit", "machine", "photos", "fold", "seed", "width", "num_train", "num_right", "num_photos", "epochs",
    "core_minutes",
)  # fmt: skip


def main() -> None:
    """Trains the folds that are not there yet and prints the accuracy of all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--photos", type=Path, default=REPOSITORY_DIR / "../shared/data/weather")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--only", type=int, nargs="+", help="numbers of folds to train (default: all)", metavar="FOLD")
    parser.add_argument("--views", type=float, help="computing, in photos of 96x96 pixels (default: the recipe's)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache-dir")
    parser.add_argument("--results", type=Path, default=REPOSITORY_DIR / "benchmarks/folds.csv")
    arguments = parser.parse_args()
    photos = open_photos(arguments.photos)
    num_train = round(len(photos) * (1 - 1 / arguments.folds))
    length = usual_length(num_train) if arguments.views is None else Length(views=arguments.views / num_train)
    width = choose_width(length, num_train)
    regime = choose_regime(length, width)
    config = ScratchConfig(seed=arguments.seed, image_size=(regime.side, regime.side))
    images, checkup = prepare_photos(photos, SourceConfig(cache_dir=arguments.cache_dir), config)
    split = hold_out(checkup.photos, checkup.group_numbers, config.validation_fraction, config.seed)
    data = FitData(images, checkup.photos.labels, split)
    numbers = fold_numbers(data.labels, checkup.group_numbers, arguments.folds, arguments.seed)
    plan = make_plan(regime, (regime.side, regime.side), length, width)
    rows = []
    for fold in arguments.only or range(arguments.folds):
        held_out = np.flatnonzero(numbers == fold)
        split = Split(np.flatnonzero(numbers != fold), held_out)
        trained = train(Setting(config, plan), replace(data, split=split), held_out)
        num_right = int((trained.both_views.argmax(axis=1) == data.labels[held_out]).sum())
        values = (
            time.strftime("%Y-%m-%d"), describe_commit(), describe_machine(), arguments.photos.name, fold,
            arguments.seed, width, len(split.train), num_right, len(held_out), f"{plan.num_epochs:.1f}",
            f"{trained.core_minutes:.1f}",
        )  # fmt: skip
        rows.append((num_right, len(held_out)))
        is_new = not arguments.results.exists()
        with arguments.results.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            if is_new:
                writer.writerow(COLUMNS)
            writer.writerow(values)
        print(f"fold {fold}: {num_right} of {len(held_out)}", flush=True)
    num_right, num_photos = np.sum(rows, axis=0).tolist()
    low, high = wilson_interval(num_right, num_photos)
    print(f"{num_right / num_photos:.4f} ({low:.3f} to {high:.3f}) on {num_photos} photos")


if __name__ == "__main__":
    main()
