"""What fine-tuning is worth: accuracy and log-loss of frozen networks and of `finetune`, on photos kept out of both.

`python benchmarks/bench_finetune.py NAME=PHOTOS ...` holds out 30 % of each class of each collection, without copies on
both sides, and trains on the rest: a head on EfficientNet-Lite0 at 224 pixels, one on the network that `eyes="auto"`
chooses, and `finetune` from that network with so many steps or minutes. Beside them stands plain logistic regression,
as scikit-learn has it, on the embeddings of the chosen network. What is recorded beside their figures is the share of
the errors of the frozen network at 224 pixels, and of the chosen one, that fine-tuning has taken away (negative where
there are more), minutes of one core, and whether the interval that a run gives for its own accuracy holds the one of
the test, which is itself of few photos.
"""

import argparse
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

import tellapart
from recording import RESULTS_PATH, Measurement, record
from tellapart.backbones.embedder import start_backbone
from tellapart.backbones.photo_pass import Eye, look_at
from tellapart.checkup.duplicates import find_groups, group_numbers
from tellapart.measure.calibration import log_loss_terms
from tellapart.measure.softmax import to_logits
from tellapart.measure.splits import split_indices
from tellapart.photos.photoset import PhotoSet
from tellapart.runs.run_folder import read_run_file
from tellapart.watcher import Watcher

_HELD_OUT = 0.3
_QUICK, _CHOSEN, _TUNED = "frozen_224", "frozen_chosen", "finetune"


def split(photos_dir: str, per_class: int | None, seed: int, cache_dir: str) -> tuple[PhotoSet, PhotoSet]:
    """The photos to train with, at most `per_class` of each class, and those to test on."""
    seen = look_at(tellapart.open_photos(photos_dir), cache_dir=cache_dir)
    photos = seen.photos
    assert photos.labels is not None
    groups = group_numbers(find_groups(seen.digests, seen.facts), len(seen))
    parts = split_indices(photos.labels, groups, _HELD_OUT, seed)
    learned = photos.take(parts.train)
    return (learned if per_class is None else learned.per_class(per_class, seed)), photos.take(parts.validation)


def judge(run_dir: Path, test: PhotoSet) -> tuple[float, float]:
    """Accuracy, and log-loss in nats, of the model on the photos."""
    model = tellapart.load(run_dir)
    assert test.labels is not None
    return score(np.array([one.probabilities for one in model.predict(test)], np.float32), test.labels)


def score(probabilities: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Accuracy, and log-loss in nats."""
    loss = float(log_loss_terms(to_logits(probabilities), labels).mean())
    return float((probabilities.argmax(axis=1) == labels).mean()), loss


def plain_regression(backbone: str, learned: PhotoSet, test: PhotoSet, cache_dir: str) -> tuple[float, float]:
    """Accuracy and log-loss in nats of logistic regression on the embeddings of the network."""
    eye = Eye(start_backbone(backbone, cache_dir, Watcher()).embedder)
    seen = [look_at(photos, [eye], cache_dir=cache_dir) for photos in (learned, test)]
    model = LogisticRegression(max_iter=1000).fit(seen[0].embeddings, seen[0].photos.labels)
    assert seen[1].photos.labels is not None
    return score(model.predict_proba(seen[1].embeddings).astype(np.float32), seen[1].photos.labels)


def compare(photos_dir: str, arguments: argparse.Namespace, seed: int, folder: Path) -> dict[str, float]:
    """The figures of one split of a collection, by name."""
    cache_dir = str(folder / "cache")
    learned, test = split(photos_dir, arguments.per_class, seed, cache_dir)
    figures: dict[str, float] = {}

    def train(name: str, **settings: object) -> Path:
        run_dir, started = folder / f"{Path(photos_dir).name}-{seed}-{name}", time.process_time()
        tellapart.train(learned, run_dir, cache_dir=cache_dir, seed=seed, **settings)  # type: ignore[arg-type]
        figures[f"{name}.core_minutes"] = (time.process_time() - started) / 60
        figures[f"{name}.accuracy"], figures[f"{name}.log_loss"] = judge(run_dir, test)
        low, high = json.loads((run_dir / "metrics.json").read_bytes())["validation_interval_95"]
        figures[f"{name}.interval_holds"] = float(low <= figures[f"{name}.accuracy"] <= high)
        print(f"  {name}: {figures[f'{name}.accuracy']:.4f}, {figures[f'{name}.log_loss']:.4f}", flush=True)
        return run_dir

    train(_QUICK, eyes="quick")
    config = read_run_file(train(_CHOSEN)).config
    assert isinstance(config, tellapart.TransferConfig)
    assert config.backbone is not None
    plain = plain_regression(config.backbone, learned, test, cache_dir)
    figures["plain_regression.accuracy"], figures["plain_regression.log_loss"] = plain
    if not (arguments.steps or arguments.minutes):
        return figures
    length = {"minutes": arguments.minutes} if arguments.minutes else {"steps": arguments.steps}
    tuned = train(_TUNED, recipe="finetune", backbone=config.backbone, **length)
    decided = json.loads((tuned / "metrics.json").read_bytes())
    print(f"  {config.backbone}: {decided['fine_tuning']}", flush=True)
    figures["finetune.is_kept"] = float(decided["fine_tuning"]["is_kept"])
    figures["finetune.reported_accuracy"] = decided["validation_accuracy"]
    for name in (_QUICK, _CHOSEN):
        errors = max(1 - figures[f"{name}.accuracy"], 0.5 / len(test))
        figures[f"errors_gone_of_{name}"] = 1 - (1 - figures["finetune.accuracy"]) / errors
    return figures


def measure(collection: str, photos_dir: str, arguments: argparse.Namespace, folder: Path) -> Sequence[Measurement]:
    """The figures of a collection over all seeds."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for seed in range(arguments.seeds):
        print(f"{collection}, seed {seed}", flush=True)
        for name, value in compare(photos_dir, arguments, seed, folder).items():
            found[name].append(value)
    size = "all" if arguments.per_class is None else str(arguments.per_class)
    length = f"{arguments.minutes:g}min" if arguments.minutes else arguments.steps or "frozen"
    prefix = f"finetune.{collection}.{size}.{length}"
    units = {"log_loss": "nats", "core_minutes": "min"}
    return [
        Measurement(f"{prefix}.{name}", tuple(values), units.get(name.rpartition(".")[2], "share"))
        for name, values in found.items()
    ]


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("collections", nargs="+", metavar="NAME=PHOTOS")
    parser.add_argument("--steps", type=int, default=1200, help="of each training (default 1200); 0 does not fine-tune")
    parser.add_argument("--minutes", type=float, help="of the whole fine-tuning, in place of steps")
    parser.add_argument("--seeds", type=int, default=3, help="splits (default 3)")
    parser.add_argument("--per-class", type=int, help="photos of each class to train with (default all)")
    parser.add_argument("--folder", type=Path, help="where runs and cache stay (default: they are deleted)")
    parser.add_argument("--results", type=Path, default=RESULTS_PATH, help="CSV to append to")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        for item in arguments.collections:
            collection, _, photos_dir = item.partition("=")
            record(measure(collection, photos_dir, arguments, folder), arguments.results)


if __name__ == "__main__":
    main()
