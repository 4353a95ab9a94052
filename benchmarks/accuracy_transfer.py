"""Accuracy of the recipe `transfer` with few photos of each class, on all the others; and by cross-validation.

For every seed so many photos of each class are drawn, a head is fitted to them, and it is measured on all other photos.
With `--folded` another collection is measured by cross-validation, a seed a time.
"""

from pathlib import Path

import numpy as np

from recording import REPOSITORY_DIR, Measurement, make_parser, record
from tellapart.backbones.embedder import start_backbone
from tellapart.backbones.photo_pass import Eye, look_at
from tellapart.backbones.seen_photos import SeenPhotos
from tellapart.config import DEFAULT_BACKBONE, TransferConfig
from tellapart.heads.head import cross_validate_head, fit_head
from tellapart.heads.head_data import HeadData
from tellapart.photos.sources import open_photos
from tellapart.randomness import named_generator
from tellapart.watcher import Watcher

FOLDS = TransferConfig().folds


def embed(photos_dir: Path, backbone: str) -> SeenPhotos:
    """The photos with their embeddings, from the user's cache where they are there."""
    return look_at(open_photos(photos_dir), [Eye(start_backbone(backbone, None, Watcher()).embedder)])


def accuracy_with(embedded: SeenPhotos, per_class: int, seed: int) -> float:
    """Share of the photos that were not drawn and are told right by a head on `per_class` drawn ones of each class."""
    labels = embedded.photos.labels
    assert labels is not None
    generator = named_generator(seed, "few photos")
    classes = range(len(embedded.photos.class_names))
    drawn = np.concatenate([generator.permutation(np.flatnonzero(labels == name))[:per_class] for name in classes])
    # A copy of a drawn photo among the others would be no news to the head.
    others = ~np.isin(embedded.groups, embedded.groups[drawn])
    data = HeadData(embedded.embeddings[drawn], labels[drawn], embedded.groups[drawn], len(classes))
    answers = fit_head(data, FOLDS, seed).probabilities(embedded.embeddings[others]).argmax(axis=1)
    return float((answers == labels[others]).mean())


def folded_accuracy(embedded: SeenPhotos, seed: int) -> float:
    """Share of the photos that a head told right which had not seen them."""
    labels = embedded.photos.labels
    assert labels is not None
    data = HeadData(embedded.embeddings, labels, embedded.groups, len(embedded.photos.class_names))
    return float((cross_validate_head(data, FOLDS, seed).argmax(axis=1) == labels).mean())


def main() -> None:
    """Measures every number of photos with every seed."""
    parser = make_parser(__doc__, num_runs=5)
    parser.add_argument("--folded", type=Path, default=REPOSITORY_DIR / "../shared/data/weather")
    parser.add_argument("--backbone", default=DEFAULT_BACKBONE)
    parser.add_argument("--per-class", type=int, nargs="+", default=[1, 2, 5, 10, 20, 50, 100])
    arguments = parser.parse_args()
    seeds = range(arguments.runs)
    embedded = embed(arguments.photos, arguments.backbone)
    measurements = [
        Measurement(
            f"accuracy.{arguments.photos.parent.name}.{arguments.backbone}.{number}_per_class",
            tuple(accuracy_with(embedded, number, seed) for seed in seeds),
            "share",
        )
        for number in arguments.per_class
    ]
    folded = embed(arguments.folded, arguments.backbone)
    values = tuple(folded_accuracy(folded, seed) for seed in seeds)
    measurements.append(Measurement(f"accuracy.{arguments.folded.name}.{arguments.backbone}.folded", values, "share"))
    for item in measurements:
        print(f"{item.benchmark}: mean {np.mean(item.values):.4f}, {min(item.values):.4f} to {max(item.values):.4f}")
    record(measurements, arguments.results)


if __name__ == "__main__":
    main()
